#include "store/heap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/space.h"

struct record_header {
    uint32_t size;
    uint32_t owner;
};
_Static_assert(sizeof(struct record_header) == HEAP_RECORD_HEADER, "record header");

enum { OFFSET_BITS = 16 };
static const uint32_t no_chunk = UINT32_MAX;

static uint32_t record_size(uint32_t size)
{
    return (HEAP_RECORD_HEADER + size + 7) & ~UINT32_C(7);
}

static uint32_t run_chunks(uint32_t size)
{
    return (HEAP_RECORD_HEADER + size + BLOCK_SIZE - 1) / BLOCK_SIZE;
}

static uint32_t location_chunk(uint64_t location)
{
    return (uint32_t)(location >> OFFSET_BITS);
}

static uint32_t location_offset(uint64_t location)
{
    return (uint32_t)(location & ((1 << OFFSET_BITS) - 1));
}

omendb_status heap_init(struct heap *heap, struct space *space, uint32_t kind_chunks,
                        uint32_t kind_meta, omendb_error *err)
{
    *heap = (struct heap){.current = no_chunk, .free_known = true};
    TRY(array_init(&heap->chunks, space, kind_chunks, 0, BLOCK_SIZE, false, err));
    return array_init(&heap->meta, space, kind_meta, 0, sizeof(struct heap_chunk), true, err);
}

void heap_deinit(struct heap *heap)
{
    array_deinit(&heap->chunks);
    array_deinit(&heap->meta);
    alloc_free(heap->free);
    alloc_free(heap->pending);
    *heap = (struct heap){0};
}

static struct heap_chunk *meta_at(struct heap *heap, uint32_t chunk)
{
    return array_at_writable(&heap->meta, chunk);
}

static bool is_pending(const struct heap *heap, uint32_t chunk)
{
    for (size_t i = 0; i < heap->pending_count; i++)
        if (heap->pending[i] == chunk) return true;
    return false;
}

/* After open: the free chunks are those that meta calls unused. */
static omendb_status free_list_build(struct heap *heap, omendb_error *err)
{
    if (heap->free_known) return OMENDB_OK;
    TRY(array_load_all(&heap->meta, err));
    heap->free_count = 0;
    for (uint32_t i = heap->chunk_count; i-- > 0;) {
        const struct heap_chunk *meta = array_at(&heap->meta, i);
        if (meta->used != 0 || i == heap->current || is_pending(heap, i)) continue;
        if (!alloc_grow(&heap->free, &heap->free_capacity, heap->free_count + 1,
                        sizeof *heap->free))
            return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of free chunks");
        heap->free[heap->free_count++] = i;
    }
    heap->free_known = true;
    return OMENDB_OK;
}

/* Room for one more chunk number on the free list, so that releasing can't fail. */
static omendb_status free_list_reserve(struct heap *heap, uint32_t more, omendb_error *err)
{
    TRY(free_list_build(heap, err));
    if (!alloc_grow(&heap->pending, &heap->pending_capacity, heap->pending_count + more,
                    sizeof *heap->pending) ||
        !alloc_grow(&heap->free, &heap->free_capacity,
                    heap->free_count + heap->pending_count + more, sizeof *heap->free))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of free chunks");
    return OMENDB_OK;
}

static omendb_status chunk_prepare(struct heap *heap, uint32_t chunk, omendb_error *err)
{
    TRY(array_prepare(&heap->chunks, chunk, err));
    return array_prepare(&heap->meta, chunk, err);
}

static omendb_status chunks_add(struct heap *heap, uint32_t count, omendb_error *err)
{
    const uint64_t wanted = (uint64_t)heap->chunk_count + count;
    if (wanted >= no_chunk) return fail(err, OMENDB_ERR_FULL, "documents: 2^32 chunks");
    TRY(array_grow(&heap->chunks, wanted, err));
    TRY(array_grow(&heap->meta, wanted, err));
    for (uint32_t i = heap->chunk_count; i < wanted; i++) TRY(chunk_prepare(heap, i, err));
    return OMENDB_OK;
}

static int chunk_descending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Where `count` neighbours begin on the free list; free_count when there are none. Looked for only
 * when half of all chunks are free, so that sorting is paid for by what was deleted. */
static size_t run_find(struct heap *heap, uint32_t count)
{
    if (heap->free_count < count || heap->free_count < heap->chunk_count / 2)
        return heap->free_count;
    qsort(heap->free, heap->free_count, sizeof *heap->free, chunk_descending);
    size_t begin = heap->free_count - 1; /* From the lowest on. */
    for (size_t i = heap->free_count; i-- > 0;) {
        if (i + 1 < heap->free_count && heap->free[i] != heap->free[i + 1] + 1) begin = i;
        if (begin - i + 1 == count) return i;
    }
    return heap->free_count;
}

static omendb_status run_reserve(struct heap *heap, uint32_t count, omendb_error *err)
{
    heap->run_at = run_find(heap, count);
    if (heap->run_at == heap->free_count) return chunks_add(heap, count, err);
    for (uint32_t i = 0; i < count; i++)
        TRY(chunk_prepare(heap, heap->free[heap->run_at + i], err));
    return OMENDB_OK;
}

/* The first chunk of the run that run_reserve() found or made room for. */
static uint32_t run_take(struct heap *heap, uint32_t count)
{
    const size_t at = heap->run_at;
    if (at >= heap->free_count) {
        heap->chunk_count += count;
        return heap->chunk_count - count;
    }
    const uint32_t first = heap->free[at + count - 1]; /* They descend. */
    assert(heap->free[at] == first + count - 1);
    memmove(heap->free + at, heap->free + at + count,
            (heap->free_count - at - count) * sizeof *heap->free);
    heap->free_count -= count;
    return first;
}

omendb_status heap_reserve(struct heap *heap, uint32_t size, omendb_error *err)
{
    TRY(free_list_reserve(heap, 1, err));
    if (size > HEAP_RUN_MIN) return run_reserve(heap, run_chunks(size), err);
    if (heap->current != no_chunk && heap->current_used + record_size(size) <= BLOCK_SIZE)
        return chunk_prepare(heap, heap->current, err);
    if (heap->current != no_chunk) TRY(array_prepare(&heap->meta, heap->current, err));
    if (heap->free_count != 0) return chunk_prepare(heap, heap->free[heap->free_count - 1], err);
    return chunks_add(heap, 1, err);
}

static void chunk_free(struct heap *heap, uint32_t chunk)
{
    struct heap_chunk *meta = meta_at(heap, chunk);
    heap->used_bytes -= meta->used;
    meta->used = 0;
    array_drop_block(&heap->chunks, chunk);
    assert(heap->pending_count < heap->pending_capacity);
    heap->pending[heap->pending_count++] = chunk;
    heap->pending_epoch = epoch_stamp(&heap->chunks.space->epoch);
}

void heap_settle(struct heap *heap)
{
    if (heap->pending_count == 0 ||
        epoch_oldest_epoch(&heap->chunks.space->epoch) <= heap->pending_epoch)
        return;
    assert(heap->free_count + heap->pending_count <= heap->free_capacity);
    memcpy(heap->free + heap->free_count, heap->pending, heap->pending_count * sizeof *heap->free);
    heap->free_count += heap->pending_count;
    heap->pending_count = 0;
}

static void current_change(struct heap *heap)
{
    const uint32_t before = heap->current;
    const bool emptied = before != no_chunk && meta_at(heap, before)->live == 0;
    if (heap->free_count != 0) heap->current = heap->free[--heap->free_count];
    else heap->current = heap->chunk_count++;
    heap->current_used = 0;
    *meta_at(heap, heap->current) = (struct heap_chunk){0};
    /* A chunk that emptied while it was current was kept; now it can go. */
    if (emptied && array_prepare(&heap->chunks, before, NULL) == OMENDB_OK)
        chunk_free(heap, before);
}

uint64_t heap_append(struct heap *heap, const void *bytes, uint32_t size, uint32_t owner)
{
    const struct record_header header = {.size = size, .owner = owner};
    if (size > HEAP_RUN_MIN) {
        const uint32_t count = run_chunks(size), first = run_take(heap, count);
        const uint8_t *from = bytes;
        uint32_t left = size;
        for (uint32_t i = 0; i < count; i++) {
            uint8_t *to = array_at_writable(&heap->chunks, first + i);
            uint32_t room = BLOCK_SIZE;
            if (i == 0) {
                memcpy(to, &header, sizeof header);
                to += sizeof header;
                room -= (uint32_t)sizeof header;
            }
            const uint32_t part = left < room ? left : room;
            memcpy(to, from, part);
            memset(to + part, 0, room - part);
            from += part;
            left -= part;
            const uint32_t used = part + BLOCK_SIZE - room;
            *meta_at(heap, first + i) = (struct heap_chunk){.used = used, .live = used};
            heap->used_bytes += used;
            heap->live_bytes += used;
        }
        return (uint64_t)first << OFFSET_BITS;
    }
    const uint32_t total = record_size(size);
    if (heap->current == no_chunk || heap->current_used + total > BLOCK_SIZE) current_change(heap);
    uint8_t *to = (uint8_t *)array_at_writable(&heap->chunks, heap->current) + heap->current_used;
    const uint64_t location = (uint64_t)heap->current << OFFSET_BITS | heap->current_used;
    memcpy(to, &header, sizeof header);
    if (size != 0) memcpy(to + sizeof header, bytes, size);
    memset(to + sizeof header + size, 0, total - sizeof header - size);
    heap->current_used += total;
    struct heap_chunk *meta = meta_at(heap, heap->current);
    meta->used = heap->current_used;
    meta->live += total;
    heap->used_bytes += total;
    heap->live_bytes += total;
    return location;
}

static omendb_status header_read(struct heap *heap, uint64_t location, struct record_header *out,
                                 const uint8_t **bytes, omendb_error *err)
{
    const uint32_t chunk = location_chunk(location), offset = location_offset(location);
    omendb_error local = {0};
    if (offset > BLOCK_SIZE - HEAP_RECORD_HEADER)
        return fail(err, OMENDB_ERR_CORRUPT, "heap: location out of range");
    if (chunk >= array_capacity(&heap->chunks))
        return fail(err, OMENDB_ERR_CORRUPT, "heap: there is no chunk %u", chunk);
    const uint8_t *memory = array_read(&heap->chunks, chunk, &local);
    if (memory == NULL) {
        if (local.status == OMENDB_OK)
            return fail(err, OMENDB_ERR_CORRUPT, "heap: chunk %u is a hole", chunk);
        if (err != NULL) *err = local;
        return local.status;
    }
    memcpy(out, memory + offset, sizeof *out);
    /* The binary form of 16 MiB of JSON may have 2.7 times as many bytes ("[],[],..."), so the size is
     * bounded by the chunks that there are. */
    if (out->size > OMENDB_BATCH_SIZE_MAX ||
        (out->size <= HEAP_RUN_MIN && offset + record_size(out->size) > BLOCK_SIZE) ||
        (out->size > HEAP_RUN_MIN &&
         (offset != 0 || (uint64_t)chunk + run_chunks(out->size) > array_capacity(&heap->chunks))))
        return fail(err, OMENDB_ERR_CORRUPT, "heap: record at chunk %u byte %u is malformed", chunk,
                    offset);
    *bytes = memory + offset + sizeof *out;
    return OMENDB_OK;
}

omendb_status heap_read(struct heap *heap, uint64_t location, struct buffer *scratch,
                        const uint8_t **view, uint32_t *size, omendb_error *err)
{
    struct record_header header;
    const uint8_t *bytes = NULL;
    TRY(header_read(heap, location, &header, &bytes, err));
    *size = header.size;
    if (header.size <= HEAP_RUN_MIN) {
        *view = bytes;
        return OMENDB_OK;
    }
    const uint32_t first = location_chunk(location);
    uint32_t part = BLOCK_SIZE - HEAP_RECORD_HEADER, left = header.size;
    buffer_clear(scratch);
    TRY(buffer_reserve(scratch, header.size, err));
    for (uint32_t chunk = first; left != 0; chunk++) {
        omendb_error local = {0};
        if (part > left) part = left;
        if (chunk != first) bytes = array_read(&heap->chunks, chunk, &local);
        if (bytes == NULL) {
            if (err != NULL) *err = local;
            return local.status != OMENDB_OK ? local.status
                                             : fail(err, OMENDB_ERR_CORRUPT, "heap: a hole");
        }
        TRY(buffer_append(scratch, bytes, part, err));
        left -= part;
        part = BLOCK_SIZE;
    }
    *view = scratch->data;
    return OMENDB_OK;
}

/* Live bytes that a record has in a chunk: a run, even one of a single chunk, has all of them. */
static uint32_t record_part(const struct heap_chunk *meta, uint32_t size)
{
    return size > HEAP_RUN_MIN ? meta->live : record_size(size);
}

omendb_status heap_release_reserve(struct heap *heap, uint64_t location, omendb_error *err)
{
    struct record_header header;
    const uint8_t *bytes = NULL;
    TRY(header_read(heap, location, &header, &bytes, err));
    const uint32_t count = header.size > HEAP_RUN_MIN ? run_chunks(header.size) : 1;
    TRY(free_list_reserve(heap, count + 1, err));
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t chunk = location_chunk(location) + i;
        TRY(array_prepare(&heap->meta, chunk, err));
        const struct heap_chunk *meta = meta_at(heap, chunk);
        const uint32_t size = record_part(meta, header.size);
        if (meta->live < size)
            return fail(err, OMENDB_ERR_CORRUPT, "heap: chunk %u counts too few bytes", chunk);
        if (meta->live == size && chunk != heap->current)
            TRY(array_prepare(&heap->chunks, chunk, err));
    }
    return OMENDB_OK;
}

void heap_release(struct heap *heap, uint64_t location)
{
    struct record_header header;
    const uint8_t *bytes = NULL;
    if (header_read(heap, location, &header, &bytes, NULL) != OMENDB_OK) return;
    const uint32_t count = header.size > HEAP_RUN_MIN ? run_chunks(header.size) : 1;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t chunk = location_chunk(location) + i;
        struct heap_chunk *meta = meta_at(heap, chunk);
        const uint32_t size = record_part(meta, header.size);
        assert(meta->live >= size);
        meta->live -= size;
        heap->live_bytes -= size;
        if (meta->live == 0 && chunk != heap->current) chunk_free(heap, chunk);
    }
}

/* Moves the wanted records of one chunk; afterwards its live bytes are what couldn't be moved. */
static omendb_status chunk_empty(struct heap *heap, uint32_t chunk, uint64_t *moved_bytes,
                                 omendb_status (*moved)(void *context, uint32_t owner,
                                                        uint64_t from, uint64_t to, bool *wanted,
                                                        omendb_error *err),
                                 void *context, omendb_error *err)
{
    const struct heap_chunk *meta = array_at(&heap->meta, chunk);
    /* With its last live record the chunk is dropped; what lies behind that one is dead. */
    for (uint32_t offset = 0; meta->live != 0 && offset < meta->used;) {
        const uint64_t from = (uint64_t)chunk << OFFSET_BITS | offset;
        struct record_header header;
        const uint8_t *bytes = NULL;
        bool wanted = false;
        TRY(header_read(heap, from, &header, &bytes, err));
        if (header.size > HEAP_RUN_MIN) /* Its chunks are all alive or all free. */
            return fail(err, OMENDB_ERR_CORRUPT, "heap: chunk %u counts too few bytes", chunk);
        offset += record_size(header.size);
        TRY(moved(context, header.owner, from, HEAP_NOWHERE, &wanted, err)); /* Only asks. */
        if (!wanted) continue;
        TRY(heap_reserve(heap, header.size, err));
        TRY(heap_release_reserve(heap, from, err));
        TRY(header_read(heap, from, &header, &bytes, err)); /* It may have been copied. */
        const uint64_t to = heap_append(heap, bytes, header.size, header.owner);
        TRY(moved(context, header.owner, from, to, &wanted, err));
        heap_release(heap, wanted ? from : to);
        *moved_bytes += record_size(header.size);
    }
    return OMENDB_OK;
}

omendb_status heap_compact(struct heap *heap, uint64_t budget,
                           omendb_status (*moved)(void *context, uint32_t owner, uint64_t from,
                                                  uint64_t to, bool *wanted, omendb_error *err),
                           void *context, omendb_error *err)
{
    uint64_t moved_bytes = 0;
    if (heap->used_bytes - heap->live_bytes <= heap->used_bytes / 10 ||
        heap->used_bytes < 4 * (uint64_t)BLOCK_SIZE)
        return OMENDB_OK;
    TRY(free_list_build(heap, err));
    TRY(array_load_all(&heap->meta, err));
    /* Sparsest first: three passes of rising density, each over the metadata only. */
    for (uint32_t eighths = 2; eighths <= 6; eighths += 2) {
        const uint32_t count = heap->chunk_count;
        for (uint32_t chunk = 0; chunk < count; chunk++) {
            const struct heap_chunk *meta = array_at(&heap->meta, chunk);
            if (heap->used_bytes - heap->live_bytes <= heap->used_bytes / 10) return OMENDB_OK;
            if (moved_bytes >= budget) return OMENDB_OK;
            if (chunk == heap->current || meta->live == 0 || meta->live == meta->used ||
                (uint64_t)meta->live * 8 > (uint64_t)meta->used * eighths)
                continue;
            TRY(chunk_empty(heap, chunk, &moved_bytes, moved, context, err));
        }
    }
    return OMENDB_OK;
}
