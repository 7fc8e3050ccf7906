/* collection_reclaim.c - from dead versions back to free space.
 *
 *     dead ──unlink──▶ retiring ──next checkpoint──▶ retired ──next checkpoint──▶ free ──▶ reused
 *
 * A version may be unlinked when no snapshot can see it (death <= oldest). It is reused only when
 * the live superblock and the one before it both record the removal, and when every reader that
 * was inside at the unlinking has left: a reader may stand on it while it walks a chain.
 */
#include <assert.h>
#include <string.h>

#include "store/collection_inner.h"
#include "store/space.h"

/* ---- Slots ---- */

/* The version whose `previous` is `slot`: prepared; SLOT_NONE when `slot` is the newest. */
static omendb_status successor_find(struct collection *collection, uint32_t newest, uint32_t slot,
                                    uint32_t *out, omendb_error *err)
{
    uint32_t hops = 0;
    *out = SLOT_NONE;
    for (uint32_t at = newest; at != slot;) {
        const struct slot *record = NULL;
        if (at == SLOT_NONE || ++hops > atomic_load_relaxed_u32(&collection->slot_count))
            return fail(err, OMENDB_ERR_CORRUPT, "slot %u is missing in the chain of its id", slot);
        TRY(slot_read(collection, at, &record, err));
        *out = at;
        at = record->previous;
    }
    if (*out != SLOT_NONE) TRY(array_prepare(&collection->slots, *out, err));
    return OMENDB_OK;
}

/* Do the links of the slot's neighbours in the chain of `node` lead to it? Both are prepared. */
static omendb_status links_prepare(struct vector_store *store, uint32_t node, uint32_t slot,
                                   const struct slot_link *link, omendb_error *err)
{
    const struct slot_link *before = NULL, *after = NULL;
    if (link->previous != SLOT_NONE) {
        TRY(array_prepare(&store->links, link->previous, err));
        before = array_at_writable(&store->links, link->previous);
    }
    if (link->next != SLOT_NONE) {
        TRY(array_prepare(&store->links, link->next, err));
        after = array_at_writable(&store->links, link->next);
    }
    const struct node *record = array_at_writable(&store->nodes, node);
    if ((before != NULL ? before->next : record->head) != slot ||
        (after != NULL && after->previous != slot))
        return fail(err, OMENDB_ERR_CORRUPT, "slot %u is missing in the chain of node %u", slot,
                    node);
    return OMENDB_OK;
}

static omendb_status node_unlink(struct collection *collection, uint32_t field, uint32_t slot,
                                 omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    TRY(array_prepare(&store->links, slot, err));
    struct slot_link *link = array_at_writable(&store->links, slot);
    const uint32_t node = link->node, next = link->next, previous = link->previous;
    const bool last = previous == SLOT_NONE && next == SLOT_NONE;
    if (node == SLOT_NONE) return OMENDB_OK;
    TRY(array_prepare(&store->nodes, node, err));
    TRY(links_prepare(store, node, slot, link, err));
    if (last) TRY(vector_map_change_reserve(&store->map, &store->nodes, node, err));

    struct node *record = array_at_writable(&store->nodes, node);
    if (next != SLOT_NONE)
        ((struct slot_link *)array_at_writable(&store->links, next))->previous = previous;
    if (previous != SLOT_NONE) {
        publish32(&((struct slot_link *)array_at_writable(&store->links, previous))->next, next);
    } else if (next != SLOT_NONE) {
        publish32(&record->head, next);
    } else {
        vector_map_remove(&store->map, &store->nodes, node);
        (void)atomic_sub_u32(&store->nodes_live, 1);
        collection_node_free(collection, field, node);
    }
    /* So that a reclaim that failed half-way can be repeated: this field is done. The slot's own
     * `next` stays for readers that stand on it. */
    publish32(&link->node, SLOT_NONE);
    return OMENDB_OK;
}

static omendb_status slot_unlink(struct collection *collection, uint32_t slot, omendb_error *err)
{
    struct id_view id;
    uint32_t newest = SLOT_NONE, after = SLOT_NONE;
    TRY(array_prepare(&collection->slots, slot, err));
    TRY(collection_slot_id(collection, slot, &id, err));
    const struct slot record = *slot_writable(collection, slot);
    TRY(newest_find(collection, &id, record.hash, &newest, err));
    TRY(successor_find(collection, newest, slot, &after, err));
    for (uint32_t field = 0; field < collection->schema->vectors_count; field++)
        TRY(node_unlink(collection, field, slot, err));
    TRY(id_map_reserve(&collection->ids, record.hash, err));
    TRY(heap_release_reserve(&collection->documents, record.document, err));
    const bool last = after == SLOT_NONE && record.previous == SLOT_NONE;
    const bool text = (record.flags & SLOT_ID_TEXT) != 0;
    if (last && text) TRY(heap_release_reserve(&collection->id_texts, record.id, err));

    if (after != SLOT_NONE) publish32(&slot_writable(collection, after)->previous, record.previous);
    else if (last) id_map_remove(&collection->ids, record.hash, slot);
    else id_map_replace(&collection->ids, record.hash, slot, record.previous);
    heap_release(&collection->documents, record.document);
    if (last && text) heap_release(&collection->id_texts, record.id);
    struct slot *free = slot_writable(collection, slot);
    publish32(&free->flags, record.flags | SLOT_FREE);
    free->next = collection->retiring_head;
    collection->retiring_head = slot;
    return OMENDB_OK;
}

/* ---- Lists ---- */

/* Puts the list `head` before the list *onto; counts its members. */
static omendb_status slots_splice(struct collection *collection, uint32_t head, uint32_t *onto,
                                  uint32_t *count, omendb_error *err)
{
    uint32_t last = head, seen = 0;
    if (head == SLOT_NONE) return OMENDB_OK;
    for (uint32_t at = head; at != SLOT_NONE;) {
        const struct slot *record = NULL;
        TRY(slot_read(collection, at, &record, err));
        last = at;
        at = record->next;
        if (++seen > atomic_load_relaxed_u32(&collection->slot_count))
            return fail(err, OMENDB_ERR_CORRUPT, "a list of free slots has a loop");
    }
    TRY(array_prepare(&collection->slots, last, err));
    slot_writable(collection, last)->next = *onto;
    *onto = head;
    *count += seen;
    return OMENDB_OK;
}

static omendb_status nodes_splice(struct vector_store *store, uint32_t head, uint32_t *onto,
                                  uint32_t *count, omendb_error *err)
{
    uint32_t last = head, seen = 0;
    if (head == SLOT_NONE) return OMENDB_OK;
    for (uint32_t at = head; at != SLOT_NONE;) {
        const void *element = NULL;
        TRY(element_read(&store->nodes, at, &element, err));
        last = at;
        at = ((const struct node *)element)->head;
        if (++seen > atomic_load_relaxed_u32(&store->node_count))
            return fail(err, OMENDB_ERR_CORRUPT, "a list of free nodes has a loop");
    }
    TRY(array_prepare(&store->nodes, last, err));
    publish32(&((struct node *)array_at_writable(&store->nodes, last))->head, *onto);
    *onto = head;
    *count += seen;
    return OMENDB_OK;
}

/* One step for each durable checkpoint: retired becomes free, retiring becomes retired. */
static omendb_status lists_rotate(struct collection *collection, omendb_error *err)
{
    struct space *space = collection->space;
    if (collection->rotated_generation == space->generation) return OMENDB_OK;
    if (epoch_oldest_epoch(&space->epoch) <= collection->retired_epoch) return OMENDB_OK;
    TRY(slots_splice(collection, collection->retired_head, &collection->free_head,
                     &collection->free_count, err));
    collection->retired_head = SLOT_NONE;
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        struct vector_store *store = &collection->vectors[f];
        TRY(nodes_splice(store, store->retired_head, &store->free_head, &store->free_count, err));
        store->retired_head = SLOT_NONE;
    }
    /* Only now, when nothing can fail: a list that moved on alone would be reused too early. */
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        struct vector_store *store = &collection->vectors[f];
        store->retired_head = store->retiring_head;
        store->retiring_head = SLOT_NONE;
    }
    collection->retired_head = collection->retiring_head;
    collection->retiring_head = SLOT_NONE;
    collection->retired_epoch = collection->retiring_epoch;
    collection->rotated_generation = space->generation;
    return OMENDB_OK;
}

/* ---- Moving documents ---- */

static omendb_status document_moved(void *context, uint32_t owner, uint64_t from, uint64_t to,
                                    bool *wanted, omendb_error *err)
{
    struct collection *collection = context;
    const struct slot *record = NULL;
    *wanted = false;
    if (owner >= atomic_load_relaxed_u32(&collection->slot_count)) return OMENDB_OK;
    TRY(slot_read(collection, owner, &record, err));
    *wanted = (record->flags & SLOT_FREE) == 0 && record->document == from;
    if (!*wanted) return OMENDB_OK;
    TRY(array_prepare(&collection->slots, owner, err));
    if (to != HEAP_NOWHERE) publish64(&slot_writable(collection, owner)->document, to);
    return OMENDB_OK;
}

struct text_match {
    struct collection *collection;
    uint64_t location;
};

static omendb_status text_same(void *context, uint32_t slot, bool *same, omendb_error *err)
{
    const struct text_match *match = context;
    const struct slot *record = NULL;
    TRY(slot_read(match->collection, slot, &record, err));
    *same = (record->flags & SLOT_ID_TEXT) != 0 && record->id == match->location;
    return OMENDB_OK;
}

/* All versions of an id share its text, whose owner is the id's hash. */
static omendb_status text_moved(void *context, uint32_t owner, uint64_t from, uint64_t to,
                                bool *wanted, omendb_error *err)
{
    struct collection *collection = context;
    struct text_match match = {.collection = collection, .location = from};
    const struct id_match same = {.context = &match, .same = text_same};
    uint32_t newest = SLOT_NONE;
    TRY(id_map_find(&collection->ids, owner, &same, &newest, err));
    *wanted = newest != SLOT_NONE;
    for (uint32_t pass = to == HEAP_NOWHERE ? 1 : 0; pass < 2; pass++) {
        uint32_t hops = 0;
        for (uint32_t slot = newest; slot != SLOT_NONE;) {
            if (++hops > atomic_load_relaxed_u32(&collection->slot_count))
                return fail(err, OMENDB_ERR_CORRUPT, "the versions of an id form a loop");
            TRY(array_prepare(&collection->slots, slot, err));
            if (pass == 1 && to != HEAP_NOWHERE)
                publish64(&slot_writable(collection, slot)->id, to);
            slot = slot_writable(collection, slot)->previous;
        }
    }
    return OMENDB_OK;
}

/* Unlinks what no snapshot sees any more, newest first: then each is the second of its chains, and
 * a document that was updated a thousand times isn't walked a thousand times. */
static omendb_status dead_unlink(struct collection *collection, uint64_t oldest, size_t count_max,
                                 bool *unlinked, omendb_error *err)
{
    const size_t begin = collection->dead_begin;
    size_t end = begin;
    for (; end < collection->dead_end && end - begin < count_max; end++) {
        const struct slot *record = NULL;
        TRY(slot_read(collection, collection->dead[end], &record, err));
        if (record->death > oldest) break;
    }
    omendb_status status = OMENDB_OK;
    size_t at = end;
    while (at > begin) {
        *unlinked = true; /* Also when it fails half-way, with a node retired. */
        status = slot_unlink(collection, collection->dead[at - 1], err);
        if (status != OMENDB_OK) break;
        at--;
    }
    if (at == begin) {
        collection->dead_begin = end;
    } else {
        memmove(collection->dead + at, collection->dead + end,
                (collection->dead_end - end) * sizeof *collection->dead);
        collection->dead_end -= end - at;
    }
    return status;
}

bool collection_reclaimable(struct collection *collection, uint64_t oldest)
{
    const struct slot *record = NULL;
    if (collection->dead_begin == collection->dead_end) return false;
    /* One that can't be read is tried, so that the reason is noted. */
    const uint32_t slot = collection->dead[collection->dead_begin];
    return slot_read(collection, slot, &record, NULL) != OMENDB_OK || record->death <= oldest;
}

/* All that may be unlinked, or some at a time until they have made so many blocks dirty. */
static omendb_status dead_unlink_within(struct collection *collection, uint64_t oldest,
                                        uint64_t dirty_blocks, bool *unlinked, omendb_error *err)
{
    enum { AT_A_TIME = 64 };
    const atomic_u32 *dirty = &collection->space->dirty;
    const uint32_t before = atomic_load_relaxed_u32(dirty);
    if (dirty_blocks == UINT64_MAX) return dead_unlink(collection, oldest, SIZE_MAX, unlinked, err);
    for (size_t left = SIZE_MAX; collection->dead_end - collection->dead_begin < left;) {
        const uint32_t now = atomic_load_relaxed_u32(dirty);
        if (now >= before && now - before >= dirty_blocks) break;
        left = collection->dead_end - collection->dead_begin;
        TRY(dead_unlink(collection, oldest, AT_A_TIME, unlinked, err));
    }
    return OMENDB_OK;
}

omendb_status collection_reclaim(struct collection *collection, uint64_t oldest,
                                 struct reclaim_limits limits, omendb_error *err)
{
    TRY(lists_rotate(collection, err));
    TRY(collection_nodes_released(collection, err)); /* After it: they wait as long as others. */
    TRY(collection_drop_blocks(collection, err));
    heap_settle(&collection->documents);
    heap_settle(&collection->id_texts);
    bool unlinked = false;
    omendb_status status = dead_unlink_within(collection, oldest, limits.dirty_blocks, &unlinked,
                                              err);
    if (status == OMENDB_OK)
        status = collection_compact(collection, limits.moved_bytes, &unlinked, err);
    if (unlinked) collection->retiring_epoch = epoch_stamp(&collection->space->epoch);
    if (status != OMENDB_OK) return status;
    TRY(heap_compact(&collection->documents, limits.moved_bytes, document_moved, collection, err));
    return heap_compact(&collection->id_texts, limits.moved_bytes, text_moved, collection, err);
}

omendb_status collection_list_dead(struct collection *collection, omendb_error *err)
{
    for (size_t i = collection->dead_begin; i < collection->dead_end; i++) {
        const uint32_t slot = collection->dead[i];
        const uint32_t next = i + 1 < collection->dead_end ? collection->dead[i + 1] : SLOT_NONE;
        const struct slot *record = NULL;
        TRY(slot_read(collection, slot, &record, err));
        if (record->next == next) continue; /* As the image before has it: one block less. */
        TRY(array_prepare(&collection->slots, slot, err));
        slot_writable(collection, slot)->next = next;
    }
    return OMENDB_OK;
}
