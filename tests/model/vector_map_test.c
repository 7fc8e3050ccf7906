/* The vector map against a plain table: growth by splits, colliding hashes, removal and replacement
 * anywhere in a chain, hostile links. What a vector is stands in a table beside it. */
#include "store/vector_map.h"

#include "store_help.h"

enum { NODES_MAX = 30000 };

static uint64_t node_ids[NODES_MAX];
static struct space space;
static struct vector_map map;
static struct array nodes;
static char name[256];

static void set_up(void)
{
    make_name(name, "vector-map");
    open_space(&space, name);
    OK(vector_map_init(&map, &space, 0, &err));
    OK(array_init(&nodes, &space, ARRAY_NODES, 0, sizeof(struct node), true, &err));
}

static void tear_down(void)
{
    vector_map_deinit(&map);
    array_deinit(&nodes);
    space_deinit(&space);
    CHECK(unlink(name) == 0);
}

struct wanted {
    uint64_t id;
    uint32_t asked;
};

static omendb_status same(void *context, uint32_t node, bool *out, omendb_error *error)
{
    struct wanted *wanted = context;
    (void)error;
    CHECK(node < NODES_MAX);
    wanted->asked++;
    *out = node_ids[node] == wanted->id;
    return OMENDB_OK;
}

static uint32_t find(uint32_t hash, uint64_t id)
{
    struct wanted wanted = {.id = id};
    const struct vector_match match = {.context = &wanted, .same = same};
    uint32_t node = 0;
    OK(vector_map_find(&map, &nodes, hash, &match, &node, &err));
    return node;
}

/* Ids map to hashes by `mask`: few bits make many collisions. */
static uint32_t hash_of(uint64_t id, uint32_t mask)
{
    uint64_t state = id;
    return (uint32_t)random_next(&state) & mask;
}

static void node_make(uint32_t node, uint64_t id)
{
    OK(array_grow(&nodes, (uint64_t)node + 1, &err));
    OK(array_prepare(&nodes, node, &err));
    node_ids[node] = id;
}

static void put(uint32_t hash, uint32_t node, uint64_t id)
{
    node_make(node, id);
    OK(vector_map_reserve(&map, &nodes, hash, &err));
    vector_map_put(&map, &nodes, hash, node);
}

static void remove_node(uint32_t node)
{
    OK(vector_map_change_reserve(&map, &nodes, node, &err));
    OK(array_prepare(&nodes, node, &err));
    vector_map_remove(&map, &nodes, node);
}

static void no_problem(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
    CHECK(false);
}

static void behaves(uint32_t mask, uint32_t ids, uint32_t steps, uint64_t seed)
{
    uint32_t *node_of = malloc(ids * sizeof *node_of); /* The model. */
    uint32_t next = 0, count = 0;
    uint64_t entries = 0;
    set_up();
    for (uint32_t i = 0; i < ids; i++) node_of[i] = SLOT_NONE;
    for (uint32_t step = 0; step < steps && next < NODES_MAX; step++) {
        const uint32_t id = random_below(&seed, ids), hash = hash_of(id, mask);
        const uint32_t dice = random_below(&seed, 100);
        CHECK(find(hash, id) == node_of[id]);
        if (node_of[id] == SLOT_NONE) {
            put(hash, next, id);
            node_of[id] = next++;
            count++;
        } else if (dice < 20) {
            node_make(next, id);
            OK(vector_map_change_reserve(&map, &nodes, node_of[id], &err));
            OK(array_prepare(&nodes, node_of[id], &err));
            vector_map_replace(&map, &nodes, node_of[id], next);
            node_of[id] = next++;
        } else if (dice < (step > steps / 2 ? 80u : 40u)) {
            remove_node(node_of[id]);
            node_of[id] = SLOT_NONE;
            count--;
        }
        CHECK(map.entry_count == count);
    }
    for (uint32_t id = 0; id < ids; id++) CHECK(find(hash_of(id, mask), id) == node_of[id]);
    OK(vector_map_verify(&map, &nodes, no_problem, NULL, &entries, &err));
    CHECK(entries == count);
    for (uint32_t id = 0; id < ids; id++)
        if (node_of[id] != SLOT_NONE) remove_node(node_of[id]);
    OK(vector_map_verify(&map, &nodes, no_problem, NULL, &entries, &err));
    CHECK(entries == 0 && map.entry_count == 0);
    free(node_of);
    tear_down();
}

static void is_its_model_with_spread_hashes(void)
{
    behaves(UINT32_MAX, 12000, 60000, 1);
    behaves(UINT32_MAX, 100, 20000, 2);
}

static void is_its_model_with_colliding_hashes(void)
{
    behaves(0xFF, 3000, 12000, 3);
    behaves(0, 300, 4000, 4); /* One chain. */
    behaves(0x80000000u, 300, 4000, 5);
}

static void grows_with_its_nodes_and_asks_about_few(void)
{
    uint32_t asked = 0;
    set_up();
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        const uint32_t before = atomic_load_relaxed_u32(&map.bucket_count);
        put(hash_of(i, UINT32_MAX), i, i);
        const uint32_t count = atomic_load_relaxed_u32(&map.bucket_count);
        CHECK(count == before || (before == 0 && count == 64) || count == before + 1);
        CHECK(count >= map.entry_count && count <= (i < 64 ? 64 : i + 1));
    }
    for (uint32_t i = NODES_MAX; i < 2 * NODES_MAX; i++) {
        struct wanted wanted = {.id = i};
        const struct vector_match match = {.context = &wanted, .same = same};
        uint32_t node = 0;
        OK(vector_map_find(&map, &nodes, hash_of(i, UINT32_MAX), &match, &node, &err));
        CHECK(node == SLOT_NONE);
        asked += wanted.asked;
    }
    CHECK(asked < 10);
    tear_down();
}

static void ignore(void *context, const char *text)
{
    (void)text;
    ++*(uint32_t *)context;
}

/* Links to anywhere: an error or an answer, never a loop without end or a read out of bounds. */
static void hostile_links_end_in_an_error(void)
{
    enum { COUNT = 300 };
    uint64_t seed = 9;
    uint32_t corrupt = 0, problems = 0;
    for (uint32_t round = 0; round < 200; round++) {
        set_up();
        for (uint32_t i = 0; i < COUNT; i++) put(hash_of(i, 0x1F), i, i);
        for (uint32_t i = 0; i < 3; i++) {
            const uint32_t at = random_below(&seed, COUNT);
            const uint32_t bad = random_below(&seed, 3) == 0 ? (uint32_t)random_next(&seed)
                                                             : random_below(&seed, COUNT);
            struct node *node = array_at_writable(&nodes, at);
            if (i < 2) node->hash_next = bad;
            else *(uint32_t *)array_at_writable(&map.heads, at % 64) = bad;
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            struct wanted wanted = {.id = UINT64_MAX};
            const struct vector_match match = {.context = &wanted, .same = same};
            uint32_t node = 0;
            const uint32_t hash = hash_of(i, 0x1F);
            omendb_status status = vector_map_find(&map, &nodes, hash, &match, &node, &err);
            CHECK(status == OMENDB_ERR_CORRUPT || (status == OMENDB_OK && node == SLOT_NONE));
            corrupt += status != OMENDB_OK;
            status = vector_map_reserve(&map, &nodes, hash, &err);
            CHECK(status == OMENDB_ERR_CORRUPT || status == OMENDB_OK);
            status = vector_map_change_reserve(&map, &nodes, i, &err);
            CHECK(status == OMENDB_ERR_CORRUPT || status == OMENDB_OK);
        }
        uint64_t entries = 0;
        const omendb_status status = vector_map_verify(&map, &nodes, ignore, &problems, &entries,
                                                       &err);
        CHECK(status == OMENDB_ERR_CORRUPT || status == OMENDB_OK);
        tear_down();
    }
    CHECK(corrupt != 0 && problems != 0);
}

static void a_failed_allocation_changes_nothing(void)
{
    for (long n = 0; n < 8; n++) {
        set_up();
        for (uint32_t i = 0; i < 12000; i++) {
            const uint32_t hash = hash_of(i, UINT32_MAX);
            node_make(i, i);
            alloc_fail_after(n, 1);
            const omendb_status status = vector_map_reserve(&map, &nodes, hash, &err);
            alloc_fail_after(-1, 0);
            CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
            CHECK(map.entry_count == i);
            put(hash, i, i);
        }
        for (uint32_t i = 0; i < 12000; i++) CHECK(find(hash_of(i, UINT32_MAX), i) == i);
        tear_down();
    }
}

static const struct test tests[] = {
    {"is_its_model_with_spread_hashes", is_its_model_with_spread_hashes},
    {"is_its_model_with_colliding_hashes", is_its_model_with_colliding_hashes},
    {"grows_with_its_nodes_and_asks_about_few", grows_with_its_nodes_and_asks_about_few},
    {"hostile_links_end_in_an_error", hostile_links_end_in_an_error},
    {"a_failed_allocation_changes_nothing", a_failed_allocation_changes_nothing},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
