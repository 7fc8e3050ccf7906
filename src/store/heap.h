/* heap.h - byte strings of any length (documents, string ids) in 64 KiB chunks.
 *
 * Records are appended to the current chunk, 8-aligned, never across a chunk's end:
 *
 *     chunk   {size u32, owner u32, bytes ..., pad} {size, owner, bytes} ... free
 *     location = chunk << 16 | byte offset
 *
 * A record of more than HEAP_RUN_MIN bytes has a run of chunks of its own, found by its first. The
 * owner is the slot that holds the record, so that a sparse chunk can be emptied: its live records
 * move to the current chunk and their owners are told.
 *
 * Invariants: meta[c].live = bytes of live records of chunk c; a chunk with live = 0 that isn't
 * current is free, and is taken again only when every reader of that time has left. Threads: heap_read() any, inside a snapshot; the rest the writer.
 */
#ifndef STORE_HEAP_H
#define STORE_HEAP_H

#include "base/buffer.h"
#include "store/array.h"

enum { HEAP_RUN_MIN = 32768, HEAP_RECORD_HEADER = 8 };
#define HEAP_NOWHERE UINT64_MAX

struct heap {
    struct array chunks; /* cold, one chunk an element */
    struct array meta;   /* hot, struct heap_chunk */
    uint32_t chunk_count;
    uint32_t current; /* Chunk that is appended to, or UINT32_MAX. */
    uint32_t current_used;
    uint64_t live_bytes, used_bytes;
    uint32_t *free; /* Chunks that can be taken; rebuilt from meta after open. */
    size_t free_count, free_capacity;
    bool free_known;
    size_t run_at;     /* Where on the free list the reserved run lies; past it: at the end. */
    uint32_t *pending; /* Chunks emptied, but a reader may be about to look into them. */
    size_t pending_count, pending_capacity;
    uint64_t pending_epoch; /* Stamp of the newest of them. */
};

omendb_status heap_init(struct heap *heap, struct space *space, uint32_t kind_chunks,
                        uint32_t kind_meta, omendb_error *err);
void heap_deinit(struct heap *heap);

/* Makes sure that the next heap_append() of `size` bytes succeeds. FULL, NOMEM, CORRUPT. */
omendb_status heap_reserve(struct heap *heap, uint32_t size, omendb_error *err);
uint64_t heap_append(struct heap *heap, const void *bytes, uint32_t size, uint32_t owner);

/* Makes sure that heap_release(location) succeeds. */
omendb_status heap_release_reserve(struct heap *heap, uint64_t location, omendb_error *err);
void heap_release(struct heap *heap, uint64_t location);

/* Lets emptied chunks be taken again once no reader can look for an old record there. */
void heap_settle(struct heap *heap);

/* The record's bytes: a view into the chunk, or (a run) a copy in `scratch`. */
omendb_status heap_read(struct heap *heap, uint64_t location, struct buffer *scratch,
                        const uint8_t **view, uint32_t *size, omendb_error *err);

/* Moves the live records of sparse chunks until dead bytes are at most a tenth, or `budget`
 * bytes were moved. moved(context, owner, from, to) updates the owner and returns whether the
 * record was still wanted. */
omendb_status heap_compact(struct heap *heap, uint64_t budget,
                           omendb_status (*moved)(void *context, uint32_t owner, uint64_t from,
                                                  uint64_t to, bool *wanted, omendb_error *err),
                           void *context, omendb_error *err);

#endif /* STORE_HEAP_H */
