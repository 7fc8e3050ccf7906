/* collection_compact.c - gives the file back what deleted vectors occupied.
 *
 *     before   [A . . B][. C . .][. . . D]        . = free node
 *     after    [A D C B][. . . .][. . . .]        two blocks become holes
 *
 * Vectors of the highest nodes move to the lowest free ones. The old node is retired like a
 * deleted one, so a reader that found it still reads the same vector; a scan over all nodes is told
 * by vector_store.moves and repeats. Node numbers aren't in the log, so replay needn't know.
 *
 * Blocks without a node in use are dropped only when every reader that could have found one there
 * has left.
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "store/collection_inner.h"
#include "store/space.h"

static struct node *node_at(struct vector_store *store, uint32_t node)
{
    return array_at_writable(&store->nodes, node);
}

/* Nodes whose elements must stay. */
static uint32_t nodes_kept(const struct vector_store *store)
{
    return atomic_load_relaxed_u32(&store->nodes_live) + atomic_load_relaxed_u32(&store->held_free);
}

/* Blocks of a per-node array that hold content. */
static uint32_t blocks_present(struct array *array, uint32_t nodes)
{
    uint32_t present = 0;
    for (uint32_t block = 0; block < (nodes + array->per_block - 1) / array->per_block; block++)
        if (array_block_present(array, block)) present++;
    return present;
}

/* Blocks that the live vectors would fill. */
static uint32_t blocks_needed(const struct array *array, uint32_t live)
{
    return (live + array->per_block - 1) / array->per_block;
}

bool collection_wants_compaction(struct collection *collection, uint64_t oldest)
{
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        struct vector_store *store = &collection->vectors[f];
        const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
        const uint32_t live = nodes_kept(store);
        const uint32_t needed = blocks_needed(&store->vectors, live);
        if (count - live < count / 8 || count / store->vectors.per_block <= needed + 2) continue;
        if (blocks_present(&store->vectors, count) > needed + needed / 8 + 2) return true;
    }
    return collection_reclaimable(collection, oldest);
}

/* ---- Dropping blocks ---- */

static omendb_status block_drop_if_free(struct vector_store *store, struct array *array,
                                        uint32_t block, omendb_error *err)
{
    const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
    const uint32_t first = block * array->per_block;
    if (block >= atomic_load_relaxed_u32(&array->block_count)) return OMENDB_OK;
    if (!array_block_present(array, block)) return OMENDB_OK;
    for (uint32_t node = first; node < first + array->per_block && node < count; node++) {
        const void *element = NULL;
        TRY(element_read(&store->nodes, node, &element, err));
        if (((const struct node *)element)->flags != NODE_FREE) return OMENDB_OK;
    }
    TRY(array_prepare(array, first, err));
    array_drop_block(array, block);
    return OMENDB_OK;
}

omendb_status collection_drop_blocks(struct collection *collection, omendb_error *err)
{
    /* Nodes that were retired last may still be looked at. */
    if (epoch_oldest_epoch(&collection->space->epoch) <= collection->retiring_epoch)
        return OMENDB_OK;
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        struct vector_store *store = &collection->vectors[f];
        const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
        const uint32_t unused = count - nodes_kept(store);
        if (unused < count / 8 || unused < store->vectors.per_block) continue;
        for (uint32_t block = 0; block < count / store->vectors.per_block; block++)
            TRY(block_drop_if_free(store, &store->vectors, block, err));
        for (uint32_t i = 0; i < store->derived_count; i++) {
            struct array *array = store->derived[i];
            if (array->kind != ARRAY_CODES && array->kind != ARRAY_GRAPH_LINKS) continue;
            for (uint32_t block = 0; block < count / array->per_block; block++)
                TRY(block_drop_if_free(store, array, block, err));
        }
    }
    return OMENDB_OK;
}

/* ---- Moving vectors ---- */

static omendb_status free_bits_read(struct vector_store *store, uint64_t *bits, omendb_error *err)
{
    uint32_t seen = 0;
    for (uint32_t node = store->free_head; node != SLOT_NONE; seen++) {
        const void *element = NULL;
        if (node >= atomic_load_relaxed_u32(&store->node_count) || seen > store->free_count)
            return fail(err, OMENDB_ERR_CORRUPT, "the list of free nodes is wrong");
        bits[node / 64] |= UINT64_C(1) << (node % 64);
        TRY(element_read(&store->nodes, node, &element, err));
        node = ((const struct node *)element)->head;
    }
    return OMENDB_OK;
}

/* All that moving one vector needs and that can fail. */
static omendb_status move_prepare(struct collection *collection, uint32_t field, uint32_t from,
                                  uint32_t to, const void **vector, omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    uint32_t slot = SLOT_NONE, hops = 0;
    TRY(collection_vector(collection, field, from, vector, err));
    TRY(array_prepare(&store->vectors, to, err));
    TRY(array_prepare(&store->nodes, to, err));
    TRY(array_prepare(&store->nodes, from, err));
    if (collection->hooks != NULL && collection->hooks->node_reserve != NULL)
        TRY(collection->hooks->node_reserve(collection->hooks->context, collection, field, to,
                                            err));
    TRY(vector_map_change_reserve(&store->map, &store->nodes, from, err));
    TRY(collection_node_head(collection, field, from, &slot, err));
    while (slot != SLOT_NONE) {
        if (++hops > atomic_load_relaxed_u32(&collection->slot_count))
            return fail(err, OMENDB_ERR_CORRUPT, "the slots of node %u form a loop", from);
        TRY(array_prepare(&store->links, slot, err));
        TRY(collection_link_next(collection, field, slot, &slot, err));
    }
    return OMENDB_OK;
}

static void move_apply(struct collection *collection, uint32_t field, uint32_t from, uint32_t to,
                       const void *vector)
{
    struct vector_store *store = &collection->vectors[field];
    const uint32_t head = node_at(store, from)->head;
    memcpy(array_at_writable(&store->vectors, to), vector, store->vectors.stride);
    if (collection->hooks != NULL && collection->hooks->node_write != NULL)
        collection->hooks->node_write(collection->hooks->context, collection, field, to, vector);
    publish32(&node_at(store, to)->head, head);
    publish32(&node_at(store, to)->flags, 0); /* with collection_node_head() */
    vector_map_replace(&store->map, &store->nodes, from, to);
    for (uint32_t slot = head; slot != SLOT_NONE;) {
        struct slot_link *link = array_at_writable(&store->links, slot);
        publish32(&link->node, to); /* Who reads the old number finds the same vector there. */
        slot = link->next;
    }
    collection_node_free(collection, field, from);
}

/* The free list again, lowest first, so that gaps fill from below. */
static omendb_status free_list_write(struct vector_store *store, const uint64_t *bits,
                                     omendb_error *err)
{
    const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
    uint32_t head = SLOT_NONE, length = 0;
    for (uint32_t node = count; node-- > 0;) {
        if ((bits[node / 64] >> (node % 64) & 1) == 0) continue;
        TRY(array_prepare(&store->nodes, node, err));
        publish32(&node_at(store, node)->head, head);
        head = node;
        length++;
    }
    store->free_head = head;
    store->free_count = length;
    return OMENDB_OK;
}

static omendb_status field_compact(struct collection *collection, uint32_t field, uint64_t budget,
                                   bool *moved, omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
    uint32_t low = 0, high = count;
    omendb_status status = OMENDB_OK;
    if (store->free_count < count / 8 || store->free_count < 2 * store->vectors.per_block)
        return OMENDB_OK;
    const uint32_t needed = blocks_needed(&store->vectors, nodes_kept(store));
    if (blocks_present(&store->vectors, count) <= needed + needed / 8 + 2) return OMENDB_OK;
    uint64_t *bits = alloc_zeroed((size_t)count / 64 + 1, sizeof *bits);
    if (bits == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: map of free nodes");
    status = free_bits_read(store, bits, err);
    /* From here on the list is rewritten: an early end leaves what wasn't moved in it. */
    (void)atomic_add_u64(&store->moves, 1);
    for (uint64_t bytes = 0; status == OMENDB_OK && bytes < budget;
         bytes += store->vectors.stride) {
        const void *element = NULL, *vector = NULL;
        while (low < high && (bits[low / 64] >> (low % 64) & 1) == 0) low++;
        do {
            high--;
            if (high <= low || low >= count) break;
            status = element_read(&store->nodes, high, &element, err);
        } while (status == OMENDB_OK && (((const struct node *)element)->flags & NODE_FREE) != 0);
        if (status != OMENDB_OK || high <= low || low >= count) break;
        status = move_prepare(collection, field, high, low, &vector, err);
        if (status != OMENDB_OK) break;
        move_apply(collection, field, high, low, vector);
        bits[low / 64] &= ~(UINT64_C(1) << (low % 64));
        *moved = true;
    }
    if (*moved || status == OMENDB_OK) {
        const omendb_status listed = free_list_write(store, bits, err);
        if (status == OMENDB_OK) status = listed;
    }
    (void)atomic_add_u64(&store->moves, 1); /* with collection_moves() */
    alloc_free(bits);
    return status;
}

omendb_status collection_compact(struct collection *collection, uint64_t budget, bool *moved,
                                 omendb_error *err)
{
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++)
        TRY(field_compact(collection, f, budget, moved, err));
    return OMENDB_OK;
}
