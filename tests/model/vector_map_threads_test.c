/* Readers of the vector map while its one writer puts, splits, replaces and removes: what is always
 * there is always found, what was never there never. Nodes aren't used again: epochs see to that. */
#include "store/vector_map.h"

#include "os/thread.h"
#include "store_help.h"

enum {
    STABLE = 1000,
    CHURNED = 1500,
    READERS = 3,
    ROUNDS = 8,
    NODES = STABLE + 2 * CHURNED * ROUNDS
};

static struct space space;
static struct vector_map map;
static struct array nodes;
static uint32_t node_ids[NODES]; /* Each written before its node is put. */
static atomic_u32 stop, finds;

static uint32_t hash_of(uint32_t id)
{
    uint64_t state = id;
    return (uint32_t)random_next(&state) & 0x1FFF; /* With collisions. */
}

static omendb_status same(void *context, uint32_t node, bool *out, omendb_error *error)
{
    (void)error;
    CHECK(node < NODES);
    *out = node_ids[node] == *(const uint32_t *)context;
    return OMENDB_OK;
}

static uint32_t find(uint32_t id)
{
    const struct vector_match match = {.context = &id, .same = same};
    uint32_t node = 0;
    CHECK(vector_map_find(&map, &nodes, hash_of(id), &match, &node, NULL) == OMENDB_OK);
    return node;
}

static void reader(void *context)
{
    uint64_t seed = (uint64_t)(uintptr_t)context;
    while (atomic_load_acquire_u32(&stop) == 0) {
        const uint32_t stable = random_below(&seed, STABLE);
        CHECK(find(stable) == stable);
        const uint32_t churned = STABLE + random_below(&seed, CHURNED);
        const uint32_t node = find(churned);
        CHECK(node == SLOT_NONE || node_ids[node] == churned);
        CHECK(find(STABLE + CHURNED + random_below(&seed, 1000)) == SLOT_NONE);
        (void)atomic_add_u32(&finds, 1);
    }
}

static void put(uint32_t id, uint32_t node)
{
    OK(array_prepare(&nodes, node, &err));
    node_ids[node] = id;
    OK(vector_map_reserve(&map, &nodes, hash_of(id), &err));
    vector_map_put(&map, &nodes, hash_of(id), node);
}

static void readers_find_what_is_there_during_any_change(void)
{
    struct thread threads[READERS] = {0};
    char name[256];
    uint32_t next = STABLE;
    make_name(name, "vector-map-threads");
    open_space(&space, name);
    OK(vector_map_init(&map, &space, 0, &err));
    OK(array_init(&nodes, &space, ARRAY_NODES, 0, sizeof(struct node), true, &err));
    OK(array_grow(&nodes, NODES, &err));
    for (uint32_t i = 0; i < STABLE; i++) put(i, i);
    for (uintptr_t i = 0; i < READERS; i++)
        OK(thread_start(&threads[i], "reader", reader, (void *)(i + 1), &err));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t begin = next;
        for (uint32_t i = 0; i < CHURNED; i++) put(STABLE + i, next++);
        for (uint32_t i = 0; i < CHURNED; i++, next++) {
            OK(array_prepare(&nodes, next, &err));
            node_ids[next] = STABLE + i;
            OK(vector_map_change_reserve(&map, &nodes, begin + i, &err));
            vector_map_replace(&map, &nodes, begin + i, next);
        }
        for (uint32_t i = 0; i < CHURNED; i++) {
            const uint32_t node = begin + CHURNED + (i * 7 + round) % CHURNED;
            OK(vector_map_change_reserve(&map, &nodes, node, &err));
            vector_map_remove(&map, &nodes, node);
        }
        CHECK(map.entry_count == STABLE);
    }
    while (atomic_load_acquire_u32(&finds) < 1000) thread_yield();
    atomic_store_release_u32(&stop, 1);
    for (uint32_t i = 0; i < READERS; i++) thread_join(&threads[i]);
    vector_map_deinit(&map);
    array_deinit(&nodes);
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
