/* space.h - the data file as a space of blocks: taking, writing, reading, giving back.
 *
 * A block is in one of these states:
 *
 *     free ──take──▶ new ──durable──▶ live ──release──▶ released ──▶ free
 *                     └──give back (checkpoint failed)──▶ free
 *
 * A block released by checkpoint g is still part of image g - 1, which is the one to fall back on
 * until g + 1 is durable. So it is free only after the superblock of g + 1 is synced, and only
 * when no reader of this process entered before it was released and no reader process pins an
 * image older than g.
 *
 * Reader processes pin generation n by a shared lock on byte SPACE_PIN_BASE + n mod 2^20 of the
 * file; the writer asks for those bytes before it frees.
 *
 * The reserve. A checkpoint needs blocks before it can give any back, so on a full disk one that
 * comes too late could never be made. Therefore a batch that adds something is taken only while the
 * disk space of the next checkpoint is there already:
 *
 *     space_promise():   allocated >= taken + dirty + what the batch will need + reserve
 *
 * `allocated` blocks at the file's beginning have their disk space, the end may lie past the file's.
 * The reserve is left to deletes, checkpoints and recovery: SPACE_RESERVE blocks and 1/64 of the
 * file, for what deleting changes, for directories and for the catalog. It is an estimate: what
 * indexes change in the background comes out of it until the next batch counts it.
 *
 * Threads: space_address/map/read, space_dirtied and space_cleaned any; space_promise the writer;
 * taking, writing and releasing: the checkpoint.
 */
#ifndef STORE_SPACE_H
#define STORE_SPACE_H

#include "base/atomics.h"
#include "os/thread.h"
#include "os/vfs.h"
#include "store/block_map.h"
#include "store/epoch.h"
#include "store/format.h"

enum { /* Blocks of 64 KiB. */
       SPACE_RESERVE = 40,
       SPACE_YIELD = 6, /* Of the reserve: a segment of the log, and a bit. */
       SPACE_STEP_MIN = 16,
       SPACE_STEP_MAX = 1024,
       SPACE_SLACK = 64
};

#define SPACE_WRITER_BYTE (UINT64_C(1) << 62)       /* Locked by the writer. */
#define SPACE_PIN_BASE ((UINT64_C(1) << 62) + 4096) /* 2^20 bytes, one for each generation. */
#define SPACE_PIN_COUNT (UINT64_C(1) << 20)

struct released_block {
    uint32_t block;
    uint64_t generation; /* The checkpoint that released it. */
    uint64_t epoch;      /* Readers that entered by then may still look at it. */
};

struct space {
    struct vfs *vfs;
    struct file *file; /* NULL: in memory; then nothing below is used but epoch. */
    bool read_only;
    bool
        lists_unread; /* Collections are decoded without their lists of dead slots: only blocks count. */
    const uint8_t *mapping; /* The file from its beginning; longer than it. */
    size_t mapping_length;
    uint64_t generation; /* Of the newest durable superblock. */
    struct block_map map;
    struct released_block *released;
    size_t released_count, released_capacity;
    uint64_t *releasing; /* [releasing_words] bit: the block is on that list. */
    size_t releasing_words, releasing_capacity;
    uint64_t blocks_written; /* Since open, for stats. */
    struct mutex size_mutex; /* Allocating and cutting the file: the two that follow. */
    bool size_mutex_made;
    bool overshot;        /* Allocating failed, perhaps after a part that nobody counts. */
    uint64_t written_end; /* Bytes: a block may be on its way to any place before it. */
    atomic_u32 allocated; /* Blocks from the file's beginning on that have their disk space. */
    atomic_u32 taken;     /* map.taken_count, for the writer. */
    atomic_u32 dirty; /* Blocks of arrays that the next checkpoint writes, or is to write still. */
    struct epoch epoch;
};

omendb_status space_init(struct space *space, struct vfs *vfs, struct file *file /* taken */,
                         bool read_only, omendb_error *err);
void space_deinit(struct space *space);

/* Is `file` still what lies at `path`? */
omendb_status space_file_is_at(struct file *file, const char *path, bool *out, omendb_error *err);

/* The mapped bytes of a block, unverified. */
static inline const uint8_t *space_address(const struct space *space, uint32_t block)
{
    return space->mapping + (size_t)block * BLOCK_SIZE;
}

/* The mapped and verified block, or CORRUPT / IO. */
omendb_status space_map_block(struct space *space, struct block_ref ref, const uint8_t **out,
                              omendb_error *err);
/* Reads and verifies a block into `to` [BLOCK_SIZE]. */
omendb_status space_read_block(struct space *space, struct block_ref ref, void *to,
                               omendb_error *err);

/* Reads `count` blocks that lie one behind the other (refs[i].block = refs[0].block + i) into `to` by
 * one read; *good: how many of them, from the first on, are as they should be. Fewer than all: why
 * the next one isn't. */
omendb_status space_read_blocks(struct space *space, const struct block_ref *refs, uint32_t count,
                                void *to, uint32_t *good, omendb_error *err);

/* Takes a free block, writes `data` [BLOCK_SIZE] there and gives its reference, for the image of
 * generation + 1. FULL, IO, NOMEM; nothing is taken then. */
omendb_status space_write_block(struct space *space, const void *data, struct block_ref *out,
                                omendb_error *err);

/* Has the disk space for the next checkpoint, with `more` blocks in it, and the reserve left: see
 * above. FULL, IO: nothing was changed. */
omendb_status space_promise(struct space *space, uint64_t more, omendb_error *err);

/* A block of an array became dirty, or `count` of them were written or forgotten. */
static inline void space_dirtied(struct space *space)
{
    (void)atomic_add_u32(&space->dirty, 1);
}

static inline void space_cleaned(struct space *space, uint32_t count)
{
    (void)atomic_sub_u32(&space->dirty, count);
}

/* Less than the promise is there, and half of it will be needed by the next checkpoint. */
bool space_is_short(struct space *space);

/* Blocks there are beyond those that the next checkpoint writes and a quarter of the reserve. */
uint64_t space_spare(struct space *space);

/* On a full disk: leaves SPACE_YIELD blocks of the reserve to the log, once. true: trying again may
 * help. */
bool space_yield(struct space *space);

/* The file's end that nobody uses goes back to the disk: what exceeds the promise by SPACE_SLACK
 * blocks, or by any, or the reserve too. A failure costs only space. */
enum space_trim { SPACE_TRIM_USUAL, SPACE_TRIM_TIGHT, SPACE_TRIM_ALL };
void space_trim(struct space *space, enum space_trim how);

/* After map was changed by who opens the file. */
void space_counted(struct space *space);

/* A new block that never became part of a durable image is free again. */
void space_give_back(struct space *space, uint32_t block);

/* Blocks that the image being made no longer uses; call space_release_reserve() before. */
omendb_status space_release_reserve(struct space *space, size_t count, omendb_error *err);
/* A block that was never taken or is released twice (two references of a damaged file) stays as
 * it is. */
void space_release(struct space *space, uint32_t block, uint64_t generation);

/* A released block, at once: nobody needs it any more. The caller takes it off the list. */
void space_free(struct space *space, uint32_t block);

/* After the superblock of `generation` is durable: frees what may be freed. */
void space_advance(struct space *space, uint64_t generation);

/* One past the last block that the newest image refers to: blocks that are only waiting to be freed
 * don't count. */
uint32_t space_live_end(const struct space *space);

/* Is a generation in [first, last] pinned by a reader process? */
bool space_pinned(struct space *space, uint64_t first, uint64_t last);

#endif /* STORE_SPACE_H */
