#include "store/block_map.h"

#include <assert.h>

#include "base/alloc.h"

enum { BITS = 64 };

static void summary_update(struct block_map *map, size_t word)
{
    const uint64_t bit = UINT64_C(1) << (word % BITS);
    if (map->taken[word] != UINT64_MAX) map->summary[word / BITS] |= bit;
    else map->summary[word / BITS] &= ~bit;
}

void block_map_deinit(struct block_map *map)
{
    alloc_free(map->taken);
    alloc_free(map->summary);
    *map = (struct block_map){0};
}

static omendb_status map_grow(struct block_map *map, uint32_t blocks, omendb_error *err)
{
    const size_t words = ((size_t)blocks + BITS - 1) / BITS;
    if (words <= map->words) return OMENDB_OK;
    if (!alloc_grow(&map->taken, &map->taken_capacity, words, sizeof *map->taken) ||
        !alloc_grow(&map->summary, &map->summary_capacity, (words + BITS - 1) / BITS,
                    sizeof *map->summary))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: block map of %u blocks", blocks);
    for (size_t word = map->words; word < words; word++) {
        if (word % BITS == 0) map->summary[word / BITS] = 0;
        map->taken[word] = 0;
        map->summary[word / BITS] |= UINT64_C(1) << (word % BITS);
    }
    map->words = words;
    return OMENDB_OK;
}

static void take_bit(struct block_map *map, uint32_t block)
{
    map->taken[block / BITS] |= UINT64_C(1) << (block % BITS);
    map->taken_count++;
    if (block >= map->end) map->end = block + 1;
    summary_update(map, block / BITS);
}

omendb_status block_map_take(struct block_map *map, uint32_t *out, omendb_error *err)
{
    for (size_t group = 0; group < (map->words + BITS - 1) / BITS; group++) {
        if (map->summary[group] == 0) continue;
        const size_t word = group * BITS + (size_t)__builtin_ctzll(map->summary[group]);
        const uint32_t bit = (uint32_t)__builtin_ctzll(~map->taken[word]);
        *out = (uint32_t)word * BITS + bit;
        take_bit(map, *out);
        return OMENDB_OK;
    }
    const size_t next = map->words * BITS;
    if (next >= UINT32_MAX - BITS) return fail(err, OMENDB_ERR_FULL, "the file has 2^32 blocks");
    TRY(map_grow(map, (uint32_t)next + BITS, err));
    *out = (uint32_t)next;
    take_bit(map, *out);
    return OMENDB_OK;
}

omendb_status block_map_mark(struct block_map *map, uint32_t first, uint32_t count,
                             omendb_error *err)
{
    if (count > UINT32_MAX - BITS || first > UINT32_MAX - BITS - count)
        return fail(err, OMENDB_ERR_ARGUMENT, "block %u is out of range", first);
    TRY(map_grow(map, first + count, err));
    for (uint32_t block = first; block < first + count; block++) {
        if (!block_map_is_taken(map, block)) continue;
        return fail(err, OMENDB_ERR_ARGUMENT, "block %u is used twice", block);
    }
    for (uint32_t block = first; block < first + count; block++) take_bit(map, block);
    return OMENDB_OK;
}

void block_map_give(struct block_map *map, uint32_t block)
{
    assert(block_map_is_taken(map, block)); /* A double release loses data. */
    map->taken[block / BITS] &= ~(UINT64_C(1) << (block % BITS));
    map->taken_count--;
    summary_update(map, block / BITS);
}

bool block_map_is_taken(const struct block_map *map, uint32_t block)
{
    return block / BITS < map->words && (map->taken[block / BITS] >> (block % BITS) & 1) != 0;
}

uint32_t block_map_trim(struct block_map *map)
{
    while (map->end > 0 && !block_map_is_taken(map, map->end - 1)) map->end--;
    return map->end;
}

uint32_t block_map_free_below(const struct block_map *map, uint32_t limit)
{
    uint32_t taken = 0;
    for (size_t word = 0; word < map->words && word * BITS < limit; word++) {
        uint64_t bits = map->taken[word];
        if ((word + 1) * BITS > limit) bits &= (UINT64_C(1) << (limit % BITS)) - 1;
        taken += (uint32_t)__builtin_popcountll(bits);
    }
    return limit - taken;
}

void block_map_check(const struct block_map *map)
{
    uint32_t seen = 0;
    for (size_t word = 0; word < map->words; word++) {
        const bool has_free = map->taken[word] != UINT64_MAX;
        const bool marked = (map->summary[word / BITS] >> (word % BITS) & 1) != 0;
        assert(has_free == marked);
        (void)has_free, (void)marked;
        seen += (uint32_t)__builtin_popcountll(map->taken[word]);
    }
    assert(seen == map->taken_count);
    (void)seen;
}
