/* toy_index.h - the smallest index that works in the background: it remembers a checksum of every
 * vector in a row keyed by node, in pieces of a few nodes, and gives up what was freed.
 *
 *     row of a node    {linked u64, checksum of the vector u64}, in a hot array of kind TOY_KIND
 *
 * Invariants, whenever the writer lock isn't held and after every crash (toy_verify):
 *   1. a node is HELD and LINKED exactly when its row says linked,
 *   2. and then its vector is still the one that was linked: nobody has reused its number.
 *
 * Threads: work on one thread; counters any.
 */
#ifndef TOY_INDEX_H
#define TOY_INDEX_H

#include <stdio.h>
#include <string.h>

#include "base/checksum.h"
#include "store/host.h"

enum { TOY_KIND = ARRAY_GRAPH_LINKS }; /* A hot one. */

struct toy_row {
    uint64_t linked, checksum;
    uint64_t unused[14];
};
_Static_assert(sizeof(struct toy_row) == 128, "toy_row");

struct toy {
    uint32_t piece; /* Nodes of one call. */
    uint32_t
        checkpoint_each; /* Every so manieth piece that changed something asks for one; 0 = none. */
    void (*began)(void *context); /* Told of every call; NULL: nobody. */
    void *began_context;
    atomic_u32 calls, pieces, freed, failures_wanted;
    atomic_u32 linger;   /* 1: a call comes back only when it is told to. */
    atomic_u32 lingered; /* Calls that were told to. */
};

static inline bool toy_due(uint32_t flags)
{
    return (flags & (NODE_FREE | NODE_HELD)) == 0 ||
           (flags & (NODE_FREE | NODE_HELD)) == (NODE_FREE | NODE_HELD);
}

static inline omendb_status toy_attach(void *context, struct collection *collection,
                                       omendb_error *err)
{
    (void)context;
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        struct array *rows = collection_derived(collection, f, TOY_KIND);
        if (rows == NULL)
            TRY(collection_add_derived(collection, f, TOY_KIND, sizeof(struct toy_row), true, &rows,
                                       err));
    }
    return OMENDB_OK;
}

static inline void toy_node_freed(void *context, struct collection *collection, uint32_t field,
                                  uint32_t node)
{
    struct toy *toy = context;
    (void)collection, (void)field, (void)node;
    (void)atomic_add_u32(&toy->freed, 1);
}

static inline uint64_t toy_checksum(const struct collection *collection, uint32_t field,
                                    const void *vector)
{
    return checksum64(vector, collection->vectors[field].vectors.stride);
}

/* Links a node that is in use, or forgets one that was freed. Writer lock held. */
static inline omendb_status toy_node_do(struct collection *collection, uint32_t field,
                                        uint32_t node, uint32_t flags, omendb_error *err)
{
    struct array *rows = collection_derived(collection, field, TOY_KIND);
    const void *vector = NULL;
    struct toy_row row = {0};
    TRY(array_grow(rows, (uint64_t)node + 1, err));
    TRY(array_prepare(rows, node, err));
    if ((flags & NODE_FREE) == 0) {
        TRY(collection_vector(collection, field, node, &vector, err));
        row = (struct toy_row){.linked = 1, .checksum = toy_checksum(collection, field, vector)};
        TRY(collection_node_mark(collection, field, node, NODE_HELD | NODE_LINKED, 0, err));
    } else {
        TRY(collection_node_release(collection, field, node, err));
    }
    memcpy(array_at_writable(rows, node), &row, sizeof row);
    return OMENDB_OK;
}

/* Writer lock held. */
static inline omendb_status toy_piece(struct toy *toy, struct collection *collection,
                                      uint32_t *done, bool *more, omendb_error *err)
{
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        const uint32_t count = atomic_load_acquire_u32(&collection->vectors[f].node_count);
        for (uint32_t node = 0; node < count; node++) {
            uint32_t flags = 0;
            TRY(collection_node_flags(collection, f, node, &flags, err));
            if (!toy_due(flags)) continue;
            if (*done == toy->piece) {
                *more = true;
                return OMENDB_OK;
            }
            TRY(toy_node_do(collection, f, node, flags, err));
            ++*done;
        }
    }
    return OMENDB_OK;
}

static inline omendb_status toy_work(void *context, struct collection *collection,
                                     struct index_host *host, bool *more, omendb_error *err)
{
    struct toy *toy = context;
    uint32_t done = 0;
    (void)atomic_add_u32(&toy->calls, 1);
    if (toy->began != NULL) toy->began(toy->began_context);
    if (atomic_load_acquire_u32(&toy->linger) != 0) {
        while (!host_stopping(host)) thread_yield();
        (void)atomic_add_u32(&toy->lingered, 1);
        return OMENDB_OK;
    }
    if (atomic_load_acquire_u32(&toy->failures_wanted) != 0) {
        (void)atomic_sub_u32(&toy->failures_wanted, 1);
        return fail(err, OMENDB_ERR_NOMEM, "the toy was told to fail");
    }
    host_lock(host);
    const omendb_status status = toy_piece(toy, collection, &done, more, err);
    if (done != 0) host_changed(host);
    host_unlock(host);
    if (done == 0) return status;
    const uint32_t pieces = atomic_add_u32(&toy->pieces, 1) + 1;
    if (toy->checkpoint_each != 0 && pieces % toy->checkpoint_each == 0) host_want_checkpoint(host);
    return status;
}

static inline struct index_hooks toy_hooks(struct toy *toy)
{
    return (struct index_hooks){
        .context = toy, .attach = toy_attach, .node_freed = toy_node_freed, .work = toy_work};
}

/* Invariants 1 and 2. Nobody writes, or the writer lock is held. *wrong: what doesn't hold, or
 * NULL. */
static inline omendb_status toy_verify(struct collection *collection, const char **wrong,
                                       omendb_error *err)
{
    *wrong = NULL;
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        struct array *rows = collection_derived(collection, f, TOY_KIND);
        const uint32_t count = atomic_load_acquire_u32(&collection->vectors[f].node_count);
        if (rows == NULL) *wrong = "the rows are missing";
        for (uint32_t node = 0; node < count && *wrong == NULL; node++) {
            const struct toy_row *row = NULL;
            omendb_error local = {0};
            uint32_t flags = 0;
            const void *vector = NULL;
            TRY(collection_node_flags(collection, f, node, &flags, err));
            if (node < array_capacity(rows)) row = array_read(rows, node, &local);
            if (local.status != OMENDB_OK) {
                if (err != NULL) *err = local;
                return local.status;
            }
            const bool linked = row != NULL && row->linked != 0;
            const uint32_t both = flags & (NODE_HELD | NODE_LINKED);
            if (linked != (both == (NODE_HELD | NODE_LINKED)) || (!linked && both != 0))
                *wrong = linked ? "a row of a node that isn't held" : "a held node without row";
            if (!linked || *wrong != NULL) continue;
            TRY(collection_vector(collection, f, node, &vector, err));
            if (toy_checksum(collection, f, vector) != row->checksum)
                *wrong = "a held node was reused";
        }
    }
    return OMENDB_OK;
}

#endif /* TOY_INDEX_H */
