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
 * Threads: space_address/map/read any; taking, writing and releasing: the checkpoint.
 */
#ifndef STORE_SPACE_H
#define STORE_SPACE_H

#include "os/thread.h"
#include "os/vfs.h"
#include "store/block_map.h"
#include "store/epoch.h"
#include "store/format.h"

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
