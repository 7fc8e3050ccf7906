/* array.h - a persistent array of fixed-size elements: one block directory, two ways to live in memory.
 *
 * Elements never straddle a block: element i lies in logical block i / per_block at byte
 * (i % per_block) * stride. Logical block b of the array is file block refs[b] (format.h).
 *
 *   hot   (slot table, id map, codes)    reserved address space; block b at base + b * 64 KiB.
 *         |block 0|block 1|.......|      Addresses never move, readers need no lock. A block that
 *             resident bit per block     isn't resident after open is read and verified by the
 *                                        first who needs it; a scan reads ahead.
 *   cold  (vectors, documents)           a table of pointers: into the read-only mapping of the
 *         [ptr][ptr][NULL][ptr]...       file, or to an owned buffer that no superblock holds yet.
 *           |    |                       NULL = not yet verified (or a hole, which reads as zero).
 *         mapping owned buffer
 *
 * Writing: array_prepare() makes the block of an element writable (loads it, copies a mapped or
 * frozen one) and may fail; array_at_writable() then can't. Every change goes through it.
 *
 * Checkpoint: array_freeze() (writer lock held) moves the dirty set to the frozen set; then
 * array_write_frozen() writes those blocks to new places while the writer goes on: the first
 * array_prepare() of a frozen block keeps its pre-image. array_thaw() ends it, either way.
 *
 * Invariants
 *   1. dirty bit set => the block is resident (hot), or owned or dropped (cold). A dropped block is
 *      a hole, even while a late reader still maps what it was; a hot one is resident, all zeros and
 *      without memory.
 *   2. a block with a non-zero ref and no dirty or frozen bit has exactly the content that the
 *      ref's checksum names.
 *   3. a file block is never written while any superblock or reader can reach it.
 *
 * Threads: array_read() any number; everything else the writer (writer lock), except
 * array_write_frozen(), which the checkpoint calls without it.
 */
#ifndef STORE_ARRAY_H
#define STORE_ARRAY_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"
#include "base/buffer.h"
#include "base/compiler.h"
#include "base/status.h"
#include "os/thread.h"
#include "store/format.h"

struct space;

struct array_change {
    uint32_t index;       /* Logical block. */
    bool moved;           /* Only its place: array_relocate(). */
    struct block_ref ref; /* Its new place; block 0 = a hole. */
};

struct array {
    struct space *space;
    uint32_t kind;              /* enum array_kind: what it is, for the catalog and messages. */
    uint32_t field;             /* Vector field it belongs to, or 0. */
    uint32_t stride;            /* Bytes of an element, at most BLOCK_SIZE. */
    uint32_t per_block;         /* Elements of a block. */
    uint64_t per_block_inverse; /* 2^63 / per_block + 1: array_block(). */
    bool hot;                   /* A choice of this library, not of the file. */
    uint64_t covers_sequence;   /* Derived arrays: every batch up to it is in (as stored). */
    uint32_t blocks_max;        /* What the reserved address space allows. */
    atomic_u32 block_count;     /* Logical blocks there are; written by the writer. */

    uint8_t *base;           /* hot: block b at base + b * BLOCK_SIZE. */
    atomic_u64 *resident;    /* hot: bit = loaded and verified, or never stored. */
    atomic_pointer *chunks;  /* cold: [blocks_max] */
    size_t reserved_length;  /* Bytes reserved for base + resident, or for chunks. */
    size_t committed;        /* Bytes committed of base or chunks. */
    atomic_u32 all_resident; /* 1: the resident test can be skipped. */
    atomic_u64 owned_bytes;  /* cold: buffers of ours. */

    struct block_ref *refs; /* [refs_capacity] under load_mutex */
    uint64_t *owned;        /* cold: chunks[b] is a buffer of ours. Writer. */
    uint64_t *dirty;        /* Changed since the last freeze. Writer. */
    uint64_t *dropped;      /* A hole that no durable image may have yet. Writer. */
    uint64_t *loading;      /* hot: someone reads the block in. Under load_mutex. */
    size_t refs_capacity, owned_capacity, dirty_capacity, dropped_capacity, loading_capacity;
    uint32_t words;           /* Words of owned, dirty, dropped and loading. */
    atomic_u32 dropped_count; /* hot: dropped blocks, which have no memory. */

    uint32_t leaf_count;      /* Directory leaves stored; 0 = the directory is inline. */
    uint32_t stored_count;    /* Logical blocks of the stored directory. */
    struct block_ref *leaves; /* [leaf_count] under load_mutex */
    uint64_t *leaf_loaded;    /* bit: refs of that leaf are in memory. */
    bool leaves_known;        /* All of them are. */

    struct mutex load_mutex;   /* refs, leaves, loading: loading and publishing. */
    struct mutex freeze_mutex; /* frozen, preimages. */
    struct condition loaded;   /* Bits of `loading` were cleared. */
    bool locks_made;
    bool freezing;                /* Between freeze and thaw; changed under the writer lock. */
    uint32_t frozen_count;        /* Logical blocks when frozen. */
    uint32_t dirty_count;         /* Bits in dirty: what space.h counts of this array, ... */
    uint32_t unwritten_count;     /* ... and dirty ones of the freeze that have no new place yet. */
    uint64_t *frozen;             /* bit: to be written by this checkpoint. */
    void **preimages;             /* [frozen_count] content of a frozen block that changed since. */
    struct array_change *changes; /* What this checkpoint stored anew. */
    size_t changes_count, changes_capacity;
    struct block_ref *new_leaves; /* [new_leaf_count] as encoded by this checkpoint */
    uint32_t new_leaf_count;
    uint32_t leaf_limit; /* Not 0: leaves at this file block or behind it are to move. */
};

/* Makes an empty array. */
omendb_status array_init(struct array *array, struct space *space, uint32_t kind, uint32_t field,
                         uint32_t stride, bool hot, omendb_error *err);
void array_deinit(struct array *array); /* Memory only; {0} is allowed. */

/* The block of an element, index / per_block, without a division: exact while index * per_block is
 * below 2^63, and elements are below 2^40 (2^24 blocks of at most 2^16). */
static inline uint32_t array_block(const struct array *array, uint64_t index)
{
    UINT128 product = index << 1;
    product *= array->per_block_inverse;
    return (uint32_t)(product >> 64);
}

/* Where in that block it begins, in bytes. */
static inline size_t array_offset(const struct array *array, uint64_t index, uint32_t block)
{
    return (size_t)(index - (uint64_t)block * array->per_block) * array->stride;
}

/* Elements that fit into the blocks there are now. */
static inline uint64_t array_capacity(const struct array *array)
{
    return (uint64_t)atomic_load_acquire_u32(&array->block_count) * array->per_block;
}

/* Makes room for elements [0, count): address space and bookkeeping only. FULL, NOMEM. */
omendb_status array_grow(struct array *array, uint64_t count, omendb_error *err);

/* The element, verified; NULL + *err (CORRUPT, IO, NOMEM) when its block can't be had. Valid while
 * the caller's snapshot (store/epoch.h) is open. A hole of a cold array gives NULL + OK status. */
const void *array_read_slow(struct array *array, uint32_t block, omendb_error *err);

static inline const void *array_read(struct array *array, uint64_t index, omendb_error *err)
{
    const uint32_t block = array_block(array, index);
    const size_t at = array_offset(array, index, block);
    const uint8_t *memory = NULL;
    if (array->hot) {
        memory = array->base + (size_t)block * BLOCK_SIZE;
        if (UNLIKELY(atomic_load_acquire_u32(&array->all_resident) == 0) &&
            (atomic_load_acquire_u64(&array->resident[block / 64]) >> (block % 64) & 1) == 0)
            memory = array_read_slow(array, block, err);
    } else {
        memory = atomic_load_acquire_pointer(&array->chunks[block]);
        if (UNLIKELY(memory == NULL)) memory = array_read_slow(array, block, err);
    }
    return memory != NULL ? memory + at : NULL;
}

/* Hot arrays: the element if its block is in memory, else NULL: for who only wants to be early. */
static inline const void *array_peek(const struct array *array, uint64_t index)
{
    const uint32_t block = array_block(array, index);
    if (index >= array_capacity(array) ||
        (atomic_load_acquire_u32(&array->all_resident) == 0 &&
         (atomic_load_acquire_u64(&array->resident[block / 64]) >> (block % 64) & 1) == 0))
        return NULL;
    return array->base + (size_t)block * BLOCK_SIZE + array_offset(array, index, block);
}

static inline bool array_is_set(const uint64_t *bits, uint32_t block)
{
    return (bits[block / 64] >> (block % 64) & 1) != 0;
}

omendb_status array_prepare_slow(struct array *array, uint64_t index, omendb_error *err);

/* Makes the element writable; see above. NOMEM, CORRUPT, IO. */
static inline omendb_status array_prepare(struct array *array, uint64_t index, omendb_error *err)
{
    const uint32_t block = array_block(array, index);
    /* Most often its block was prepared before: invariant 1. */
    if (LIKELY(index < array_capacity(array) && !array->freezing &&
               array_is_set(array->dirty, block) && !array_is_set(array->dropped, block)))
        return OMENDB_OK;
    return array_prepare_slow(array, index, err);
}

/* The element of a prepared block. */
static inline void *array_at_writable(struct array *array, uint64_t index)
{
    const uint32_t block = array_block(array, index);
    assert(array_is_set(array->dirty, block)); /* array_prepare() came before. */
    uint8_t *memory = array->hot ? array->base + (size_t)block * BLOCK_SIZE
                                 : (uint8_t *)atomic_load_relaxed_pointer(&array->chunks[block]);
    return memory + array_offset(array, index, block);
}

/* Hot arrays: the address of an element whose block is known to be resident. */
static inline void *array_at(const struct array *array, uint64_t index)
{
    const uint32_t block = array_block(array, index);
    return array->base + (size_t)block * BLOCK_SIZE + array_offset(array, index, block);
}

/* Brings blocks [first, first + count) of a hot array in, as far as there are so many, in reads of
 * 1 MiB where the file has them in order; several threads may load at once. Inside a snapshot, or
 * under the writer lock. CORRUPT, IO. */
omendb_status array_load_range(struct array *array, uint32_t first, uint32_t count,
                               omendb_error *err);
/* The same for all, so that array_at() may be used everywhere. */
omendb_status array_load_all(struct array *array, omendb_error *err);

/* Is there content for the block, here or in the file? A hot block that the checkpoint under way
 * writes for the first time doesn't count yet. Writer. */
bool array_block_present(struct array *array, uint32_t block);

/* Forgets a block's content: it becomes a hole (prepared before). Readers of a hot array may see
 * zeros from now on: none may still rely on its elements. */
void array_drop_block(struct array *array, uint32_t block);

/* ---- For the checkpoint and the catalog ---- */
omendb_status array_freeze(struct array *array, omendb_error *err);
omendb_status array_write_frozen(struct array *array, omendb_error *err);
/* How many blocks array_thaw(durable) will release: space_release_reserve() that many before. */
size_t array_releases(const struct array *array);
/* durable: the superblock is synced, cold blocks move to the mapping. Otherwise they are dirty
 * again and their new file blocks are given back. Writer lock. */
void array_thaw(struct array *array, bool durable);

/* Moves stored blocks that lie at file block `limit` or above to free blocks below it, at most
 * *budget of them, and has array_encode() move directory leaves that lie there; between array_write_frozen() and array_encode(). */
omendb_status array_relocate(struct array *array, uint32_t limit, uint32_t *budget,
                             omendb_error *err);

/* Writes changed directory leaves and appends the array's catalog record. */
omendb_status array_encode(struct array *array, struct buffer *out, omendb_error *err);
/* `hot`: how it is to be held in memory. */
omendb_status array_decode(struct array *array, struct space *space, bool hot, const uint8_t *bytes,
                           size_t size, size_t *used, omendb_error *err);

/* Gives every file block back (a dropped collection), after the next checkpoint. */
omendb_status array_release_blocks(struct array *array, omendb_error *err);

/* Calls each(context, file block) for every block the array refers to, leaves included. */
omendb_status array_each_block(struct array *array,
                               omendb_status (*each)(void *context, struct block_ref ref,
                                                     omendb_error *err),
                               void *context, omendb_error *err);

/* Reads every stored block and compares checksums; calls problem() for each bad one. */
omendb_status array_verify(struct array *array, void (*problem)(void *context, const char *text),
                           void *context, omendb_error *err);

/* Bytes of the file's blocks that hold the array now, directory leaves included. */
uint64_t array_stored_bytes(struct array *array);

uint64_t array_memory_bytes(const struct array *array); /* Committed and owned. */

#endif /* STORE_ARRAY_H */
