/* The block map against an array of bools, and at its edges. */
#include "store/block_map.h"

#include "store_help.h"

enum { MODEL_BLOCKS = 20000 };

static bool model[MODEL_BLOCKS];

static uint32_t model_lowest_free(void)
{
    uint32_t at = 0;
    while (model[at]) at++;
    return at;
}

static void compare(const struct block_map *map)
{
    uint32_t count = 0, end = 0;
    for (uint32_t block = 0; block < MODEL_BLOCKS; block++) {
        CHECK(block_map_is_taken(map, block) == model[block]);
        if (!model[block]) continue;
        count++;
        end = block + 1;
    }
    CHECK(map->taken_count == count && map->end >= end);
    block_map_check(map);
}

static void takes_the_lowest_free_block_always(void)
{
    struct block_map map = {0};
    uint64_t seed = 1;
    for (uint32_t step = 0; step < 60000; step++) {
        const uint32_t dice = random_below(&seed, 100);
        const uint32_t at = random_below(&seed, MODEL_BLOCKS - 70);
        if (dice < (step < 30000 ? 60u : 40u) && map.taken_count < MODEL_BLOCKS - 100) {
            uint32_t block = 0;
            OK(block_map_take(&map, &block, &err));
            CHECK(block == model_lowest_free());
            model[block] = true;
        } else if (dice < 97) {
            if (!model[at]) continue;
            block_map_give(&map, at);
            model[at] = false;
        } else {
            const uint32_t count = random_below(&seed, 70);
            bool free = true;
            for (uint32_t i = 0; i < count; i++) free = free && !model[at + i];
            const uint32_t before = map.taken_count;
            const omendb_status status = block_map_mark(&map, at, count, &err);
            CHECK(status == (free ? OMENDB_OK : OMENDB_ERR_ARGUMENT));
            CHECK(map.taken_count == before + (free ? count : 0));
            for (uint32_t i = 0; free && i < count; i++) model[at + i] = true;
        }
        if (step % 5000 == 0) compare(&map);
    }
    compare(&map);
    block_map_deinit(&map);
    memset(model, 0, sizeof model);
}

static void trims_to_the_highest_taken_block(void)
{
    struct block_map map = {0};
    OK(block_map_mark(&map, 0, 2, &err));
    OK(block_map_mark(&map, 700, 3, &err));
    CHECK(map.end == 703);
    block_map_give(&map, 702);
    block_map_give(&map, 700);
    CHECK(map.end == 703);
    CHECK(block_map_trim(&map) == 702);
    block_map_give(&map, 701);
    CHECK(block_map_trim(&map) == 2);
    block_map_give(&map, 0);
    block_map_give(&map, 1);
    CHECK(block_map_trim(&map) == 0 && map.taken_count == 0);
    block_map_check(&map);
    block_map_deinit(&map);
}

static void counts_the_free_blocks_below_any_limit(void)
{
    struct block_map map = {0};
    uint64_t seed = 2;
    for (uint32_t i = 0; i < 300; i++) {
        const uint32_t block = random_below(&seed, 500);
        if (!block_map_is_taken(&map, block)) OK(block_map_mark(&map, block, 1, &err));
    }
    for (uint32_t limit = 0; limit < 700; limit++) {
        uint32_t free = 0;
        for (uint32_t block = 0; block < limit; block++) free += !block_map_is_taken(&map, block);
        CHECK(block_map_free_below(&map, limit) == free);
    }
    block_map_deinit(&map);
}

static void refuses_ranges_past_the_last_block(void)
{
    struct block_map map = {0};
    FAILS(OMENDB_ERR_ARGUMENT, block_map_mark(&map, UINT32_MAX, 1, &err));
    FAILS(OMENDB_ERR_ARGUMENT, block_map_mark(&map, 1, UINT32_MAX, &err));
    FAILS(OMENDB_ERR_ARGUMENT, block_map_mark(&map, UINT32_MAX - 65, 3, &err));
    CHECK(!block_map_is_taken(&map, UINT32_MAX));
    CHECK(map.taken_count == 0 && map.words == 0);
    block_map_deinit(&map);
}

static void a_failed_allocation_changes_nothing(void)
{
    for (long n = 0; n < 4; n++) {
        struct block_map map = {0};
        uint32_t block = 0;
        for (uint32_t i = 0; i < 4096; i++) OK(block_map_take(&map, &block, &err));
        alloc_fail_after(n, 0);
        const omendb_status status = block_map_take(&map, &block, &err);
        alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
        if (status != OMENDB_OK) CHECK(map.taken_count == 4096);
        block_map_check(&map);
        if (status != OMENDB_OK) OK(block_map_take(&map, &block, &err));
        CHECK(block == 4096 && map.taken_count == 4097);
        block_map_check(&map);
        block_map_deinit(&map);
    }
}

static const struct test tests[] = {
    {"takes_the_lowest_free_block_always", takes_the_lowest_free_block_always},
    {"trims_to_the_highest_taken_block", trims_to_the_highest_taken_block},
    {"counts_the_free_blocks_below_any_limit", counts_the_free_blocks_below_any_limit},
    {"refuses_ranges_past_the_last_block", refuses_ranges_past_the_last_block},
    {"a_failed_allocation_changes_nothing", a_failed_allocation_changes_nothing},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
