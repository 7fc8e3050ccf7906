/* wal.h - the log: every acknowledged batch, in order, in segments beside the data file.
 *
 *     <file>-wal-7   [header 4 KiB][frame][frame][frame]000000000
 *                       salt 9a..    └─chain─┘└─chain─┘
 *     <file>-wal-8   [header 4 KiB]000000000000000000000000000000  created and zeroed ahead
 *
 * A frame holds the batches of one group commit and is padded to 4 KiB, so that a sector which
 * was acknowledged is never written again. It is valid when its checksum (seeded by the segment's
 * salt), its salt, its sequence and its chain (the checksum of the frame before) are right.
 *
 * Reading ends at the first invalid frame; then either the next segment continues exactly there
 * (a recovery started it), or the log ends. If a later frame or segment proves that the invalid
 * one had been synced (durable_sequence, or a switch, which syncs first), that is rot in
 * acknowledged data: CORRUPT, never a silent cut.
 *
 * Room is reserved before a batch is staged: wal_reserve() creates the segment that it will go to,
 * so that a full disk is found while nothing has changed; and memory for its frame, so that writing
 * the frame can't fail for want of it.
 *
 * Threads: wal_reserve, wal_prepare_next: the writer lock. wal_write, wal_sync, wal_mark: the log
 * leader. Both touch the segment list under `mutex`.
 */
#ifndef STORE_WAL_H
#define STORE_WAL_H

#include "base/buffer.h"
#include "os/thread.h"
#include "os/vfs.h"
#include "store/format.h"

enum {
    WAL_SEGMENT_MIN = 256 << 10,
    WAL_SEGMENT_DEFAULT = 16 << 20,
    WAL_SEGMENTS_MAX = 4096,
    /* Left to deletes when the disk is full: 32 frames of up to about 90 ids. A batch that adds
     * something makes the next segment while so much is left, and fails when it can't. */
    WAL_SPARE = 128 << 10
};

struct wal_position {
    uint64_t segment;
    uint64_t offset; /* 0: the beginning of a segment that may not exist yet. */
    uint64_t salt;
    uint64_t chain;
};

struct wal_segment {
    uint64_t number;
    uint64_t size;
    uint64_t reserved; /* Bytes promised to batches, header included. */
    struct file *file;
};

/* A batch to be written. */
struct wal_batch {
    const uint8_t *bytes;
    size_t size;
    uint32_t operation_count;
    uint64_t sequence;
    uint64_t segment; /* From wal_reserve(). */
};

struct wal {
    struct vfs *vfs;
    char *path; /* Of the data file. */
    uint8_t uuid[16];
    uint64_t segment_max;
    struct mutex mutex;        /* segments */
    struct mutex create_mutex; /* One segment is made at a time. */
    bool mutex_made;
    struct wal_segment *segments; /* Oldest first; from `writing` on open for writing. */
    size_t segments_count, segments_capacity;
    uint64_t writing;   /* Number of the segment that frames go to; 0 = none yet. */
    uint64_t reserving; /* Promises aren't made in segments before this one. Writer lock. */
    uint64_t offset;    /* Next frame there. */
    uint64_t salt, chain;
    uint64_t next_number;
    uint64_t next_size;        /* Of the next ordinary segment. */
    uint64_t sequence;         /* Of the last batch written. */
    uint64_t durable_sequence; /* Of the last batch synced. */
    bool unsynced;             /* Frames were written since the last sync. */
    bool marked;               /* The last frame is a mark. */
    uint64_t bytes_total;      /* Of all segments on disk; read by stats under mutex. */
    uint64_t frames, syncs, recycled;
    struct buffer frame; /* The leader's. The larger of it and `spare` always holds ... */
    struct buffer spare; /* ... the frames that were promised. Under mutex. */
    uint64_t promised;   /* Bytes of frames promised and not yet begun. Under mutex. */
    /* Where wal_replay() ended: behind the last whole frame, `sequence` its last batch. Replay may
     * go on there. */
    struct wal_position replayed;
    bool following; /* Replay goes on again and again: it looks for rot only in what lies near. */
#ifdef OMENDB_MUTANTS
    struct buffer last_payload; /* For MUTANT(rewrite_of_last_acknowledged_sector). */
    uint64_t last_offset, last_chain, last_sequence;
    uint32_t last_count;
#endif
};

omendb_status wal_init(struct wal *wal, struct vfs *vfs, const char *path, const uint8_t uuid[16],
                       uint64_t segment_max, omendb_error *err);
void wal_deinit(struct wal *wal); /* Closes the files; the log stays. */

/* Reads everything from `position` on; calls each() for every batch in order. Afterwards the log
 * continues (wal_start) behind what was read. *found: whether a segment at `position` exists.
 * CORRUPT: acknowledged data is damaged. */
omendb_status wal_replay(struct wal *wal, struct wal_position position, uint64_t sequence,
                         omendb_status (*each)(void *context, const struct wal_batch *batch,
                                               omendb_error *err),
                         void *context, bool *found, omendb_error *err);

/* Before the first write: removes segments that were not read (beyond the end, or before
 * `keep_from`) and remembers the others, so that wal_release() finds them. */
omendb_status wal_start(struct wal *wal, uint64_t keep_from, omendb_error *err);

/* Syncs the segment that wal_replay() read last: what it read may be in the page cache only, and
 * the image before the next one still needs it. Earlier ones were synced at a switch. */
omendb_status wal_sync_replayed(struct wal *wal, omendb_error *err);

/* Makes sure that the first segment exists and carries its header, synced: then a damaged image
 * can be told from one that was being replaced. Log leader. FULL, IO, NOMEM. */
omendb_status wal_begin(struct wal *wal, omendb_error *err);

/* Promises room for a batch of `size` operation bytes; tells its segment. `spare`: so many bytes
 * must be left in segments that exist; see WAL_SPARE. FULL, IO, NOMEM. */
omendb_status wal_reserve(struct wal *wal, size_t size, uint64_t spare, uint64_t *segment,
                          omendb_error *err);

/* Takes the last promise back: the batch wasn't staged. */
void wal_return(struct wal *wal, size_t size, uint64_t segment);

/* Makes the next segment ahead of need, off the commit path. Any thread. */
omendb_status wal_prepare_next(struct wal *wal, omendb_error *err);

/* Writes batches (in order of sequence) as few frames as possible; syncs when asked. */
omendb_status wal_write(struct wal *wal, const struct wal_batch *batches, size_t count, bool sync,
                        omendb_error *err);
omendb_status wal_sync(struct wal *wal, omendb_error *err);
/* An empty frame that covers the last one, so that rot in it would be noticed; synced. */
omendb_status wal_mark(struct wal *wal, omendb_error *err);

/* Where a checkpoint of everything written so far lets replay begin. Nobody may write a frame
 * meanwhile (txn_lead_begin). */
struct wal_position wal_end(struct wal *wal);

/* Segments before `segment` are no longer needed: one is kept as the next, others are removed. */
omendb_status wal_release(struct wal *wal, uint64_t segment, omendb_error *err);
/* After a clean close: all of them. */
omendb_status wal_remove_all(struct wal *wal, omendb_error *err);

uint64_t wal_bytes_since(struct wal *wal, struct wal_position position);

#endif /* STORE_WAL_H */
