/* id_map.h - from an id's hash to the newest slot of that id: linear hashing (Litwin 1980).
 *
 *     bucket of hash h = h mod 2^(level + 1) if that bucket exists already, else h mod 2^level
 *     buckets   [7 entries | overflow]  ──▶ overflow buckets, in an array of their own
 *
 * The table grows by one bucket each time the load passes 5 entries a bucket, so no insert ever
 * rehashes the whole. Entries are (hash, slot); the caller compares ids, since two ids may have one
 * hash. A slot number of an entry changes in place when a document is updated.
 *
 * Threads: one writer; any number of readers inside a snapshot. Moving an entry (split, removal)
 * happens between two increments of `version`; a reader that saw it change looks again.
 */
#ifndef STORE_ID_MAP_H
#define STORE_ID_MAP_H

#include "store/array.h"

struct id_map {
    struct array buckets;  /* hot, struct id_bucket */
    struct array overflow; /* hot, struct id_bucket */
    atomic_u32 bucket_count;
    uint32_t overflow_count, overflow_free; /* free: list through id_bucket.overflow */
    uint64_t entry_count;
    atomic_u32 version; /* Odd while entries move. */
};

struct id_match { /* How to tell that an entry's slot holds the id looked for. */
    void *context;
    omendb_status (*same)(void *context, uint32_t slot, bool *same, omendb_error *err);
};

omendb_status id_map_init(struct id_map *map, struct space *space, omendb_error *err);
void id_map_deinit(struct id_map *map);

/* *out = SLOT_NONE when there is no such entry. */
omendb_status id_map_find(struct id_map *map, uint32_t hash, const struct id_match *match,
                          uint32_t *out, omendb_error *err);

/* Brings the bucket of a hash that will be looked up soon nearer. Writer. */
void id_map_ahead(const struct id_map *map, uint32_t hash);

/* Makes sure that the next put, replace or remove of this hash succeeds. */
omendb_status id_map_reserve(struct id_map *map, uint32_t hash, omendb_error *err);
void id_map_put(struct id_map *map, uint32_t hash, uint32_t slot);
void id_map_replace(struct id_map *map, uint32_t hash, uint32_t old_slot, uint32_t slot);
void id_map_remove(struct id_map *map, uint32_t hash, uint32_t slot);

#endif /* STORE_ID_MAP_H */
