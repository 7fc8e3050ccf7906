/* collection_node.c - a node's states, and when its number may be reused.
 *
 *               last slot unlinked, or its vector moved
 *     in use ──────────────────────────────────────────▶ free ── retiring ─▶ retired ─▶ free list
 *       │ mark()                                          ▲
 *       ▼                                                 │ release() ─▶ released
 *     in use, HELD ──────── the same, node_freed() ───▶ free, HELD (on no list)
 *
 * `released` joins `retiring` when a checkpoint begins, so that what an index gave up between two of
 * them waits as long as what the checkpoint itself unlinked: both images on disk record it. An image
 * never shows that list.
 */
#include <assert.h>

#include "store/collection_inner.h"
#include "store/space.h"

static struct node *node_prepared(struct vector_store *store, uint32_t node)
{
    return array_at_writable(&store->nodes, node);
}

omendb_status collection_node_flags(struct collection *collection, uint32_t field, uint32_t node,
                                    uint32_t *out, omendb_error *err)
{
    const void *element = NULL;
    TRY(element_read(&collection->vectors[field].nodes, node, &element, err));
    const struct node *record = element;
    *out = atomic_load_acquire_u32((const atomic_u32 *)(const void *)&record->flags);
    return OMENDB_OK;
}

omendb_status collection_node_mark(struct collection *collection, uint32_t field, uint32_t node,
                                   uint32_t set_bits, uint32_t clear_bits, omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    assert(((set_bits | clear_bits) & ~(NODE_HELD | NODE_LINKED)) == 0);
    TRY(array_prepare(&store->nodes, node, err));
    struct node *record = node_prepared(store, node);
    const uint32_t flags = (record->flags | set_bits) & ~clear_bits;
    if ((record->flags & (NODE_FREE | NODE_HELD)) == NODE_FREE)
        return fail(err, OMENDB_ERR_NOT_FOUND, "node %u is free already", node);
    /* LINKED without HELD; or a free node that would be on no list and that nobody holds. */
    if ((flags & (NODE_LINKED | NODE_FREE)) != 0 && (flags & NODE_HELD) == 0)
        return fail(err, OMENDB_ERR_INTERNAL, "node %u can't have flags %u", node, flags);
    atomic_store_release_u32((atomic_u32 *)(void *)&record->flags,
                             flags); /* collection_node_flags */
    return OMENDB_OK;
}

omendb_status collection_node_release(struct collection *collection, uint32_t field, uint32_t node,
                                      omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    TRY(array_prepare(&store->nodes, node, err));
    struct node *record = node_prepared(store, node);
    const uint32_t flags = record->flags;
    if ((flags & NODE_FREE) == 0) {
        publish32(&record->flags, 0);
        return OMENDB_OK;
    }
    if ((flags & NODE_HELD) == 0) return OMENDB_OK; /* It is on its way already. */
    publish32(&record->head, store->released_head); /* FREE stays: with collection_node_head() */
    publish32(&record->flags, NODE_FREE);
    if (store->released_head == SLOT_NONE) store->released_last = node;
    store->released_head = node;
    (void)atomic_sub_u32(&store->held_free, 1);
    return OMENDB_OK;
}

void collection_node_free(struct collection *collection, uint32_t field, uint32_t node)
{
    struct vector_store *store = &collection->vectors[field];
    struct node *record = node_prepared(store, node);
    const struct index_hooks *hooks = collection->hooks;
    if ((record->flags & NODE_HELD) == 0) {
        publish32(&record->flags, NODE_FREE); /* with collection_node_head() */
        publish32(&record->head, store->retiring_head);
        store->retiring_head = node;
        return;
    }
    publish32(&record->flags, record->flags | NODE_FREE); /* with collection_node_head() */
    publish32(&record->head, SLOT_NONE);
    (void)atomic_add_u32(&store->held_free, 1);
    atomic_store_release_u32(&collection->work_wanted, 1); /* with wanted_next() */
    if (hooks != NULL && hooks->node_freed != NULL)
        hooks->node_freed(hooks->context, collection, field, node);
}

omendb_status collection_nodes_released(struct collection *collection, omendb_error *err)
{
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        struct vector_store *store = &collection->vectors[f];
        if (store->released_head == SLOT_NONE) continue;
        TRY(array_prepare(&store->nodes, store->released_last, err));
        publish32(&node_prepared(store, store->released_last)->head, store->retiring_head);
        store->retiring_head = store->released_head;
        store->released_head = SLOT_NONE;
        /* Later than the release, so that it covers every reader of that time. */
        collection->retiring_epoch = epoch_stamp(&collection->space->epoch);
    }
    return OMENDB_OK;
}
