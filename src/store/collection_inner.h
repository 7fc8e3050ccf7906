/* collection_inner.h - what the collection_*.c files share and nobody else needs. */
#ifndef STORE_COLLECTION_INNER_H
#define STORE_COLLECTION_INNER_H

#include "store/collection.h"

omendb_status collection_make(struct space *space, const struct index_hooks *hooks, uint32_t id,
                              const char *name, uint64_t born, struct collection **out,
                              omendb_error *err);
void collection_free(struct collection *collection);

/* An element that must be there: a hole is CORRUPT. */
omendb_status element_read(struct array *array, uint64_t index, const void **out,
                           omendb_error *err);
omendb_status slot_read(struct collection *collection, uint32_t slot, const struct slot **out,
                        omendb_error *err);

/* Changes of what readers look at without a lock; they pair with the loads in collection.c. */
static inline void publish64(uint64_t *member, uint64_t value)
{
    atomic_store_release_u64((atomic_u64 *)(void *)member, value);
}

static inline void publish32(uint32_t *member, uint32_t value)
{
    atomic_store_release_u32((atomic_u32 *)(void *)member, value);
}

/* A slot that was prepared. */
static inline struct slot *slot_writable(struct collection *collection, uint32_t slot)
{
    return array_at_writable(&collection->slots, slot);
}

/* The newest version of an id, alive or dead, or SLOT_NONE. */
omendb_status newest_find(struct collection *collection, const struct id_view *id, uint32_t hash,
                          uint32_t *out, omendb_error *err);

/* The version that is alive now, or SLOT_NONE: at most one of the chain that begins at `newest`. */
omendb_status alive_find(struct collection *collection, uint32_t newest, uint32_t *out,
                         omendb_error *err);

/* collection_reclaim.c. Links the versions that are dead but not reclaimed (a snapshot sees them, or
 * reclaiming failed), as an image lists them. */
omendb_status collection_list_dead(struct collection *collection, omendb_error *err);

/* collection_node.c. The prepared node, whose chain is empty now or moved to another node, becomes
 * free: on the retiring list, or the index is told. */
void collection_node_free(struct collection *collection, uint32_t field, uint32_t node);
/* What was released since the last checkpoint goes on the retiring lists. */
omendb_status collection_nodes_released(struct collection *collection, omendb_error *err);

/* collection_compact.c. Blocks without a node in use become holes. */
omendb_status collection_drop_blocks(struct collection *collection, omendb_error *err);
/* Moves vectors of high nodes (at most `budget` bytes) to low free ones when that frees blocks. */
omendb_status collection_compact(struct collection *collection, uint64_t budget, bool *moved,
                                 omendb_error *err);

#endif /* STORE_COLLECTION_INNER_H */
