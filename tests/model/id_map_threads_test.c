/* Readers of the id map while its one writer puts, splits, replaces and removes: what is always there
 * is always found, what was never there never. */
#include "store/id_map.h"

#include "os/thread.h"
#include "store_help.h"

enum { STABLE = 2000, CHURNED = 3000, READERS = 3, ROUNDS = 12 };

static struct space space;
static struct id_map map;
static atomic_u32 stop, finds;

/* Slots 0 .. STABLE - 1 are ids that stay; the churned ids use slots above, two each in turn. */
static uint32_t hash_of(uint32_t id)
{
    uint64_t state = id;
    return (uint32_t)random_next(&state) & 0x1FFF; /* With collisions. */
}

static uint32_t id_of(uint32_t slot)
{
    return slot < STABLE ? slot : STABLE + (slot - STABLE) / 2;
}

static omendb_status same(void *context, uint32_t slot, bool *out, omendb_error *error)
{
    (void)error;
    CHECK(slot < STABLE + 2 * CHURNED);
    *out = id_of(slot) == *(const uint32_t *)context;
    return OMENDB_OK;
}

static uint32_t find(uint32_t id)
{
    const struct id_match match = {.context = &id, .same = same};
    uint32_t slot = 0;
    CHECK(id_map_find(&map, hash_of(id), &match, &slot, NULL) == OMENDB_OK);
    return slot;
}

static void reader(void *context)
{
    uint64_t seed = (uint64_t)(uintptr_t)context;
    while (atomic_load_acquire_u32(&stop) == 0) {
        const uint32_t stable = random_below(&seed, STABLE);
        CHECK(find(stable) == stable);
        const uint32_t churned = STABLE + random_below(&seed, CHURNED);
        const uint32_t slot = find(churned);
        CHECK(slot == SLOT_NONE || id_of(slot) == churned);
        CHECK(find(STABLE + CHURNED + random_below(&seed, 1000)) == SLOT_NONE);
        (void)atomic_add_u32(&finds, 1);
    }
}

static void put(uint32_t id, uint32_t slot)
{
    OK(id_map_reserve(&map, hash_of(id), &err));
    id_map_put(&map, hash_of(id), slot);
}

static void readers_find_what_is_there_during_any_change(void)
{
    struct thread threads[READERS] = {0};
    char name[256];
    make_name(name, "id-map-threads");
    open_space(&space, name);
    OK(id_map_init(&map, &space, &err));
    for (uint32_t i = 0; i < STABLE; i++) put(i, i);
    for (uintptr_t i = 0; i < READERS; i++)
        OK(thread_start(&threads[i], "reader", reader, (void *)(i + 1), &err));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < CHURNED; i++) put(STABLE + i, STABLE + 2 * i);
        for (uint32_t i = 0; i < CHURNED; i++) {
            OK(id_map_reserve(&map, hash_of(STABLE + i), &err));
            id_map_replace(&map, hash_of(STABLE + i), STABLE + 2 * i, STABLE + 2 * i + 1);
        }
        for (uint32_t i = 0; i < CHURNED; i++) {
            OK(id_map_reserve(&map, hash_of(STABLE + i), &err));
            id_map_remove(&map, hash_of(STABLE + i), STABLE + 2 * i + 1);
        }
    }
    while (atomic_load_acquire_u32(&finds) < 1000) thread_yield();
    atomic_store_release_u32(&stop, 1);
    for (uint32_t i = 0; i < READERS; i++) thread_join(&threads[i]);
    id_map_deinit(&map);
    space_deinit(&space);
    CHECK(unlink(name) == 0);
}

static const struct test tests[] = {
    {"readers_find_what_is_there_during_any_change", readers_find_what_is_there_during_any_change},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
