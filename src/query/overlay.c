#include "query/overlay.h"

#include <assert.h>

#include "base/alloc.h"

/* An entry as it was before the call under way. */
struct overlay_undo {
    uint32_t entry, operation; /* OVERLAY_NEW: it wasn't there. */
};
#define OVERLAY_NEW UINT32_MAX

enum { OVERLAY_TABLE_MIN = 16 };

void overlay_deinit(struct overlay *overlay)
{
    for (size_t i = 0; i < overlay->part_count; i++) {
        alloc_free(overlay->parts[i].entries);
        alloc_free(overlay->parts[i].by_id.places);
        alloc_free(overlay->parts[i].by_slot.places);
    }
    alloc_free(overlay->parts);
    alloc_free(overlay->undo);
    batch_deinit(&overlay->batch);
    *overlay = (struct overlay){0};
}

/* ---- Looking ---- */

static uint32_t overlay_slot_hash(uint32_t slot)
{
    const uint32_t mixed = slot * 2654435761u;
    return mixed ^ mixed >> 16;
}

static const struct operation *overlay_at(const struct overlay *overlay, uint32_t operation)
{
    return (const void *)(overlay->batch.bytes.data + operation);
}

const struct overlay_part *overlay_part_of(const struct overlay *overlay, uint32_t collection)
{
    for (size_t i = 0; i < overlay->part_count; i++)
        if (overlay->parts[i].collection == collection) return &overlay->parts[i];
    return NULL;
}

const struct operation *overlay_operation(const struct overlay *overlay,
                                          const struct overlay_part *part, size_t entry)
{
    return overlay_at(overlay, part->entries[entry].operation);
}

static bool overlay_same(const struct overlay *overlay, const struct overlay_entry *entry,
                         uint32_t hash, const struct id_view *id)
{
    if (entry->hash != hash) return false;
    const struct id_view own = operation_id(overlay_at(overlay, entry->operation));
    return id_view_compare(&own, id) == 0;
}

static uint32_t overlay_entry_of(const struct overlay *overlay, const struct overlay_part *part,
                                 const struct id_view *id, uint32_t hash)
{
    const struct overlay_table *table = &part->by_id;
    if (table->size == 0) return UINT32_MAX;
    for (size_t at = hash & (table->size - 1);; at = (at + 1) & (table->size - 1)) {
        const uint32_t place = table->places[at];
        if (place == 0) return UINT32_MAX;
        if (overlay_same(overlay, &part->entries[place - 1], hash, id)) return place - 1;
    }
}

const struct operation *overlay_find(const struct overlay *overlay, const struct overlay_part *part,
                                     const struct id_view *id)
{
    const uint32_t entry = overlay_entry_of(overlay, part, id, id_hash(id));
    return entry != UINT32_MAX ? overlay_operation(overlay, part, entry) : NULL;
}

bool overlay_hides(const struct overlay_part *part, uint32_t slot)
{
    const struct overlay_table *table = &part->by_slot;
    if (table->size == 0) return false;
    for (size_t at = overlay_slot_hash(slot) & (table->size - 1);;
         at = (at + 1) & (table->size - 1)) {
        const uint32_t place = table->places[at];
        if (place == 0) return false;
        if (part->entries[place - 1].slot == slot) return true;
    }
}

/* ---- Writing ---- */

static void overlay_place(struct overlay_table *table, uint32_t hash, uint32_t entry)
{
    size_t at = hash & (table->size - 1);
    while (table->places[at] != 0) at = (at + 1) & (table->size - 1);
    table->places[at] = entry + 1;
}

/* The last one that was placed: others were placed before it, past its empty place. */
static void overlay_unplace(struct overlay_table *table, uint32_t hash, uint32_t entry)
{
    size_t at = hash & (table->size - 1);
    while (table->places[at] != entry + 1) at = (at + 1) & (table->size - 1);
    table->places[at] = 0;
}

/* Room for `entries` at a load of at most a half; made anew when it is too small. */
static omendb_status overlay_table_reserve(struct overlay_table *table,
                                           const struct overlay_part *part, size_t entries,
                                           bool by_slot, omendb_error *err)
{
    size_t size = table->size != 0 ? table->size : OVERLAY_TABLE_MIN;
    while (size / 2 < entries) size *= 2;
    if (size == table->size) return OMENDB_OK;
    uint32_t *places = alloc_zeroed(size, sizeof *places);
    if (places == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a transaction");
    alloc_free(table->places);
    *table = (struct overlay_table){.places = places, .size = size};
    for (uint32_t i = 0; i < part->count; i++) {
        const struct overlay_entry *entry = &part->entries[i];
        if (!by_slot) overlay_place(table, entry->hash, i);
        else if (entry->slot != SLOT_NONE) overlay_place(table, overlay_slot_hash(entry->slot), i);
    }
    return OMENDB_OK;
}

static omendb_status overlay_part_reserve(struct overlay_part *part, size_t more, omendb_error *err)
{
    const size_t entries = part->count + more;
    if (entries >= UINT32_MAX)
        return fail(err, OMENDB_ERR_FULL, "a transaction of more than 2^32 documents");
    if (!alloc_grow(&part->entries, &part->capacity, entries, sizeof *part->entries))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: a transaction");
    TRY(overlay_table_reserve(&part->by_id, part, entries, false, err));
    return overlay_table_reserve(&part->by_slot, part, entries, true, err);
}

static omendb_status overlay_part_take(struct overlay *overlay, uint32_t collection,
                                       struct overlay_part **out, omendb_error *err)
{
    for (size_t i = 0; i < overlay->part_count; i++) {
        *out = &overlay->parts[i];
        if (overlay->parts[i].collection == collection) return OMENDB_OK;
    }
    if (!alloc_grow(&overlay->parts, &overlay->part_capacity, overlay->part_count + 1,
                    sizeof *overlay->parts))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: a transaction");
    *out = &overlay->parts[overlay->part_count++];
    **out = (struct overlay_part){.collection = collection};
    return OMENDB_OK;
}

/* Counts the entry once more (1) or once less (-1, as unsigned). */
static void overlay_count(const struct overlay *overlay, struct overlay_part *part, uint32_t entry,
                          uint64_t by)
{
    if (overlay_operation(overlay, part, entry)->type == OPERATION_UPSERT) part->own += by;
    if (part->entries[entry].slot != SLOT_NONE) part->hidden += by;
}

static void overlay_add(struct overlay *overlay, struct overlay_part *part,
                        struct overlay_entry entry)
{
    const uint32_t number = (uint32_t)part->count++;
    part->entries[number] = entry;
    overlay_place(&part->by_id, entry.hash, number);
    if (entry.slot != SLOT_NONE)
        overlay_place(&part->by_slot, overlay_slot_hash(entry.slot), number);
    overlay_count(overlay, part, number, 1);
}

/* In the opposite order of the changes. */
static void overlay_restore(struct overlay *overlay, struct overlay_part *part,
                            struct overlay_undo undo)
{
    struct overlay_entry *entry = &part->entries[undo.entry];
    overlay_count(overlay, part, undo.entry, UINT64_MAX);
    if (undo.operation != OVERLAY_NEW) {
        entry->operation = undo.operation;
        overlay_count(overlay, part, undo.entry, 1);
        return;
    }
    assert(undo.entry + 1 == part->count);
    overlay_unplace(&part->by_id, entry->hash, undo.entry);
    if (entry->slot != SLOT_NONE)
        overlay_unplace(&part->by_slot, overlay_slot_hash(entry->slot), undo.entry);
    part->count--;
}

/* The version that the operation would replace: VERSION_MISSING, OMENDB_VERSION_OWN or a sequence. */
static omendb_status overlay_version(const struct overlay *overlay, const struct overlay_part *part,
                                     uint32_t entry, uint32_t slot, struct collection *collection,
                                     uint64_t *out, omendb_error *err)
{
    *out = VERSION_MISSING;
    if (entry != UINT32_MAX) {
        if (overlay_operation(overlay, part, entry)->type == OPERATION_UPSERT)
            *out = OMENDB_VERSION_OWN;
        return OMENDB_OK;
    }
    if (slot == SLOT_NONE) return OMENDB_OK;
    return collection_slot_version(collection, slot, out, err);
}

struct overlay_writing {
    struct overlay *overlay;
    struct overlay_part *part;
    struct collection *collection;
    const struct snapshot *snapshot;
    const struct batch_condition *condition, *conditions_end;
    size_t undo_count;
    uint64_t deleted;
};

/* The operation at `place` of the overlay's batch, number `order` of those being written. Room is
 * there. */
static omendb_status overlay_write_one(struct overlay_writing *writing, uint32_t place,
                                       uint32_t order, omendb_error *err)
{
    struct overlay *overlay = writing->overlay;
    struct overlay_part *part = writing->part;
    const struct operation *op = overlay_at(overlay, place);
    const struct id_view id = operation_id(op);
    const uint32_t hash = id_hash(&id);
    uint32_t entry = overlay_entry_of(overlay, part, &id, hash), slot = SLOT_NONE;
    uint64_t version = VERSION_MISSING;
    if (entry == UINT32_MAX)
        TRY(collection_find(writing->collection, &id, writing->snapshot->sequence, &slot, err));
    TRY(overlay_version(overlay, part, entry, slot, writing->collection, &version, err));
    if (writing->condition != writing->conditions_end && writing->condition->operation == order) {
        const uint64_t wanted = (writing->condition++)->version;
        if (wanted != version) return collection_condition_failed(op, version, wanted, err);
    }
    writing->deleted += op->type == OPERATION_DELETE && version != VERSION_MISSING;
    const bool is_new = entry == UINT32_MAX;
    overlay->undo[writing->undo_count++] = (struct overlay_undo){
        .entry = is_new ? (uint32_t)part->count : entry,
        .operation = is_new ? OVERLAY_NEW : part->entries[entry].operation};
    if (is_new) {
        overlay_add(overlay, part,
                    (struct overlay_entry){.operation = place, .slot = slot, .hash = hash});
        return OMENDB_OK;
    }
    overlay_count(overlay, part, entry, UINT64_MAX);
    part->entries[entry].operation = place;
    overlay_count(overlay, part, entry, 1);
    return OMENDB_OK;
}

omendb_status overlay_write(struct overlay *overlay, struct collection *collection,
                            const struct snapshot *snapshot, const struct batch *batch,
                            uint64_t *deleted, omendb_error *err)
{
    const struct batch_mark mark = batch_mark(&overlay->batch);
    struct overlay_writing writing = {.overlay = overlay,
                                      .collection = collection,
                                      .snapshot = snapshot,
                                      .condition = batch->conditions,
                                      .conditions_end = batch_conditions_end(batch)};
    TRY(overlay_part_take(overlay, collection->id, &writing.part, err));
    TRY(overlay_part_reserve(writing.part, batch->operation_count, err));
    if (!alloc_grow(&overlay->undo, &overlay->undo_capacity, batch->operation_count,
                    sizeof *overlay->undo))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: a transaction");
    TRY(batch_append(&overlay->batch, batch, err));
    omendb_status status = OMENDB_OK;
    size_t at = mark.size;
    for (uint32_t i = 0; status == OMENDB_OK && i < batch->operation_count; i++) {
        status = overlay_write_one(&writing, (uint32_t)at, i, err);
        at += (size_t)overlay_at(overlay, (uint32_t)at)->size;
    }
    if (status != OMENDB_OK) {
        while (writing.undo_count > 0)
            overlay_restore(overlay, writing.part, overlay->undo[--writing.undo_count]);
        batch_return(&overlay->batch, mark);
    } else if (deleted != NULL) {
        *deleted = writing.deleted;
    }
    return status;
}
