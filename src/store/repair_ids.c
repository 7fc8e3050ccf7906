/* repair_ids.c - ids of documents whose slots are lost.
 *
 * The slot alone says which id a document has and whether it is alive. But the id map's entry of an
 * id still has the id's hash and the slot, and strings lie in the id heap under their hash:
 *
 *     entry {hash, slot in a damaged block} ──hash──▶ record {owner = hash, bytes}
 *
 * So strings are found again; numbers aren't, their hashes can't be turned back. An id that had been
 * deleted shortly before the image may be among them. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "store/collection_inner.h"
#include "store/repair_inner.h"

struct lost_hashes {
    uint32_t *items;
    size_t count, capacity;
};

static int hashes_order(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* Entries of one array of buckets whose slots can't be read. */
static omendb_status buckets_scan(struct collection *from, struct array *buckets, uint64_t count,
                                  struct lost_hashes *out, omendb_error *err)
{
    const uint32_t slots = atomic_load_relaxed_u32(&from->slot_count);
    for (uint64_t b = 0; b < count; b++) {
        const void *element = NULL;
        if (element_read(buckets, b, &element, NULL) != OMENDB_OK) {
            b = ((uint64_t)array_block(buckets, b) + 1) * buckets->per_block - 1;
            continue;
        }
        const struct id_bucket *bucket = element;
        for (uint32_t i = 0; i < ID_BUCKET_ENTRIES; i++) {
            const uint32_t slot = (uint32_t)bucket->entries[i];
            const struct slot *record = NULL;
            if (bucket->entries[i] == UINT64_MAX || slot >= slots ||
                slot_read(from, slot, &record, NULL) == OMENDB_OK)
                continue;
            if (!alloc_grow(&out->items, &out->capacity, out->count + 1, sizeof *out->items))
                return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of lost ids");
            out->items[out->count++] = (uint32_t)(bucket->entries[i] >> 32);
        }
    }
    return OMENDB_OK;
}

/* A deleted id that came again has two records. */
static bool is_lost_already(const struct repair *run, const struct repair_part *part,
                            const struct id_view *id, uint32_t hash)
{
    for (size_t i = run->losses_count; i-- > 0 && run->losses[i].collection == part->id;) {
        struct id_view other;
        if (run->losses[i].hash != hash) continue;
        repair_id_of(run, &run->losses[i], &other);
        if (id_view_compare(&other, id) == 0) return true;
    }
    return false;
}

/* The records of one chunk of ids. */
static omendb_status chunk_scan(struct repair *run, struct repair_part *part, const uint8_t *chunk,
                                uint32_t used, const struct lost_hashes *hashes, omendb_error *err)
{
    for (uint32_t at = 0; used - at >= HEAP_RECORD_HEADER && at < used;) {
        const uint32_t size = load_le32(chunk + at), owner = load_le32(chunk + at + 4);
        const struct id_view id = {.text_view = chunk + at + HEAP_RECORD_HEADER, .size = size};
        if (size == 0 || size > OMENDB_ID_SIZE_MAX || size > used - at - HEAP_RECORD_HEADER) break;
        at += (HEAP_RECORD_HEADER + size + 7) & ~UINT32_C(7);
        if (bsearch(&owner, hashes->items, hashes->count, sizeof owner, hashes_order) == NULL ||
            id_hash(&id) != owner)
            continue;
        uint32_t slot = SLOT_NONE;
        const uint64_t now = atomic_load_acquire_u64(&run->out->space.epoch.visible_sequence);
        TRY(collection_find(part->to, &id, now, &slot, err));
        /* Another one with that hash; or said already. */
        if (slot != SLOT_NONE || part->nameless == 0 || is_lost_already(run, part, &id, owner))
            continue;
        TRY(repair_loss_add(run, part, &id, 0, err));
        part->nameless--;
    }
    return OMENDB_OK;
}

static omendb_status heap_scan(struct repair *run, struct repair_part *part,
                               const struct lost_hashes *hashes, omendb_error *err)
{
    struct heap *heap = &part->from->id_texts;
    for (uint32_t c = 0; c < heap->chunk_count; c++) {
        const void *meta = NULL, *chunk = NULL;
        if (element_read(&heap->meta, c, &meta, NULL) != OMENDB_OK ||
            element_read(&heap->chunks, c, &chunk, NULL) != OMENDB_OK)
            continue;
        const uint32_t used = ((const struct heap_chunk *)meta)->used;
        if (used <= BLOCK_SIZE) TRY(chunk_scan(run, part, chunk, used, hashes, err));
    }
    return OMENDB_OK;
}

omendb_status repair_lost_ids(struct repair *run, struct repair_part *part, omendb_error *err)
{
    struct collection *from = part->from;
    struct lost_hashes hashes = {0};
    struct snapshot snapshot;
    omendb_status status = buckets_scan(
        from, &from->ids.buckets, atomic_load_relaxed_u32(&from->ids.bucket_count), &hashes, err);
    if (status == OMENDB_OK)
        status = buckets_scan(from, &from->ids.overflow, from->ids.overflow_count, &hashes, err);
    if (status == OMENDB_OK && hashes.count != 0) {
        qsort(hashes.items, hashes.count, sizeof *hashes.items, hashes_order);
        status = store_enter(run->out, &snapshot, err);
        if (status == OMENDB_OK) {
            status = heap_scan(run, part, &hashes, err);
            store_leave(&snapshot);
        }
    }
    alloc_free(hashes.items);
    return status;
}
