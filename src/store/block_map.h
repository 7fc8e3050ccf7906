/* block_map.h - which blocks of the data file are in use.
 *
 * One bit per block says whether it is taken; a coarser map says which words still have a free
 * bit, so that finding a block reads two cache lines instead of the whole map.
 *
 *      summary   1 0 1 1 ...            bit w set = word w has a free block
 *                | |
 *      taken     | 1111...1111          word 1: all 64 blocks taken
 *                1011...0000            word 0: block 1 is free
 *
 * Invariants (checked by block_map_check):
 *   1. summary bit w is set if and only if taken[w] != ~0.
 *   2. taken_count equals the number of one bits; none lies at or above `end`.
 *
 * When a block may be given back is the business of space.h. Threads: the checkpoint only.
 */
#ifndef STORE_BLOCK_MAP_H
#define STORE_BLOCK_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct block_map {
    uint64_t *taken;   /* [words] */
    uint64_t *summary; /* [words / 64 rounded up] */
    size_t words, taken_capacity, summary_capacity;
    uint32_t taken_count;
    uint32_t end; /* One past the highest block that was ever taken: the file's size. */
};

void block_map_deinit(struct block_map *map);

/* Takes the lowest free block. NOMEM; FULL at 2^32 - 1 blocks. */
omendb_status block_map_take(struct block_map *map, uint32_t *out, omendb_error *err);

/* Marks [first, first + count) as taken; ARGUMENT when one is already, nothing changed then. */
omendb_status block_map_mark(struct block_map *map, uint32_t first, uint32_t count,
                             omendb_error *err);

void block_map_give(struct block_map *map, uint32_t block); /* It must be taken. */
bool block_map_is_taken(const struct block_map *map, uint32_t block);

/* Lowers `end` to one past the highest taken block and returns it. */
uint32_t block_map_trim(struct block_map *map);

/* How many blocks below `limit` are free. */
uint32_t block_map_free_below(const struct block_map *map, uint32_t limit);

void block_map_check(const struct block_map *map); /* Asserts the invariants. */

#endif /* STORE_BLOCK_MAP_H */
