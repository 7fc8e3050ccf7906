/* vector_map.h - from the bytes of a vector to the node that holds them: linear hashing (Litwin
 * 1980), chained through the nodes themselves.
 *
 *     bucket of hash h = h mod 2^(level + 1) if that bucket exists already, else h mod 2^level
 *     heads  [u32][u32][u32] ...        one bucket for each node that was ever in use
 *              └─▶ node {hash, hash_next} ──▶ node {hash, NONE}
 *
 * Documents with equal vectors share a node, so staging asks for every vector that comes in. The
 * whole hash lies in the node: bytes are compared, and a cold vector read, only where 32 bits agree;
 * a bucket is divided and a node removed without a look at its vector. 12 bytes a node, where
 * buckets as those of the id map would take 18. Vectors made to collide make a slow chain.
 *
 * Invariants
 *   1. a node is in the chain of its hash's bucket iff it isn't free; then hash is that of its bytes.
 *   2. no two nodes in the map hold the same bytes (the writer looks before it puts).
 *   3. bucket_count is 0 or at least 64; it never falls.
 *
 * Threads: one writer; any number of readers inside a snapshot. Putting, removing and replacing are
 * one store each, and a removed node leads on until it is reused (store/epoch.h). A split happens
 * between two increments of `version`; a reader that saw it change looks again.
 */
#ifndef STORE_VECTOR_MAP_H
#define STORE_VECTOR_MAP_H

#include "store/array.h"

struct vector_map {
    struct array heads; /* hot, u32 by bucket: first node of its chain, or SLOT_NONE */
    atomic_u32 bucket_count;
    uint32_t entry_count;
    atomic_u32 version; /* Odd while a chain is divided. */
};

struct
    vector_match { /* How to tell that a node, whose hash is the one wanted, is the one wanted. */
    void *context;
    omendb_status (*same)(void *context, uint32_t node, bool *same, omendb_error *err);
};

omendb_status vector_map_init(struct vector_map *map, struct space *space, uint32_t field,
                              omendb_error *err);
void vector_map_deinit(struct vector_map *map);

uint32_t vector_map_hash(const void *vector, size_t size);

/* *out = SLOT_NONE when there is no such node. `nodes`: the field's array of struct node. */
omendb_status vector_map_find(struct vector_map *map, struct array *nodes, uint32_t hash,
                              const struct vector_match *match, uint32_t *out, omendb_error *err);

/* Brings nearer what staging a hash soon will look at: `depth` 0 the head of its chain, 1 the chain's
 * first node, 2 its second one; each wants that the one before has come. `order`: about so many
 * others are put before it, which divide chains. Writer. */
void vector_map_ahead(const struct vector_map *map, const struct array *nodes, uint32_t hash,
                      uint32_t order, uint32_t depth);

/* Makes sure that the next put of this hash succeeds, once its node is prepared: the table grows here. */
omendb_status vector_map_reserve(struct vector_map *map, struct array *nodes, uint32_t hash,
                                 omendb_error *err);
void vector_map_put(struct vector_map *map, struct array *nodes, uint32_t hash, uint32_t node);

/* Makes sure that the next remove or replace of this node succeeds: CORRUPT when it isn't there. */
omendb_status vector_map_change_reserve(struct vector_map *map, struct array *nodes, uint32_t node,
                                        omendb_error *err);
void vector_map_remove(struct vector_map *map, struct array *nodes, uint32_t node);
/* `to` takes the place of `from`; both are prepared, and `to` holds the bytes already. */
void vector_map_replace(struct vector_map *map, struct array *nodes, uint32_t from, uint32_t to);

/* *entries = nodes in all chains; problem() for each one that is free or in a wrong chain. */
omendb_status vector_map_verify(struct vector_map *map, struct array *nodes,
                                void (*problem)(void *context, const char *text), void *context,
                                uint64_t *entries, omendb_error *err);

#endif /* STORE_VECTOR_MAP_H */
