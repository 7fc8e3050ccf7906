/* The id map against a plain table: growth by splits, colliding hashes, removal, hostile buckets. */
#include "store/id_map.h"

#include "store_help.h"

enum { SLOTS_MAX = 30000 };

/* slot -> its id. Two ids may share a hash; slots are found by id. */
static uint64_t slot_ids[SLOTS_MAX];

struct wanted {
    uint64_t id;
    uint32_t asked;
};

static omendb_status same(void *context, uint32_t slot, bool *out, omendb_error *error)
{
    struct wanted *wanted = context;
    (void)error;
    CHECK(slot < SLOTS_MAX);
    wanted->asked++;
    *out = slot_ids[slot] == wanted->id;
    return OMENDB_OK;
}

static uint32_t find(struct id_map *map, uint32_t hash, uint64_t id)
{
    struct wanted wanted = {.id = id};
    const struct id_match match = {.context = &wanted, .same = same};
    uint32_t slot = 0;
    OK(id_map_find(map, hash, &match, &slot, &err));
    return slot;
}

/* Ids map to hashes by `mask`: few bits make many collisions. */
static uint32_t hash_of(uint64_t id, uint32_t mask)
{
    uint64_t state = id;
    return (uint32_t)random_next(&state) & mask;
}

static void behaves(uint32_t mask, uint32_t ids, uint32_t steps, uint64_t seed)
{
    struct space space;
    struct id_map map;
    char name[256];
    make_name(name, "id-map");
    open_space(&space, name);
    OK(id_map_init(&map, &space, &err));
    uint32_t *slot_of = malloc(ids * sizeof *slot_of); /* The model. */
    uint32_t next = 0, count = 0;
    for (uint32_t i = 0; i < ids; i++) slot_of[i] = SLOT_NONE;
    for (uint32_t step = 0; step < steps && next < SLOTS_MAX; step++) {
        const uint32_t id = random_below(&seed, ids);
        const uint32_t hash = hash_of(id, mask);
        const uint32_t dice = random_below(&seed, 100);
        CHECK(find(&map, hash, id) == slot_of[id]);
        if (slot_of[id] == SLOT_NONE) {
            OK(id_map_reserve(&map, hash, &err));
            slot_ids[next] = id;
            id_map_put(&map, hash, next);
            slot_of[id] = next++;
            count++;
        } else if (dice < 30) {
            OK(id_map_reserve(&map, hash, &err));
            slot_ids[next] = id;
            id_map_replace(&map, hash, slot_of[id], next);
            slot_of[id] = next++;
        } else if (dice < (step > steps / 2 ? 80u : 40u)) {
            OK(id_map_reserve(&map, hash, &err));
            id_map_remove(&map, hash, slot_of[id]);
            slot_of[id] = SLOT_NONE;
            count--;
        }
        CHECK(map.entry_count == count);
    }
    for (uint32_t id = 0; id < ids; id++) CHECK(find(&map, hash_of(id, mask), id) == slot_of[id]);
    for (uint32_t id = 0; id < ids; id++) {
        if (slot_of[id] == SLOT_NONE) continue;
        OK(id_map_reserve(&map, hash_of(id, mask), &err));
        id_map_remove(&map, hash_of(id, mask), slot_of[id]);
    }
    CHECK(map.entry_count == 0);
    free(slot_of);
    id_map_deinit(&map);
    space_deinit(&space);
    CHECK(unlink(name) == 0);
}

static void is_its_model_with_spread_hashes(void)
{
    behaves(UINT32_MAX, 12000, 40000, 1);
    behaves(UINT32_MAX, 100, 20000, 2);
}

static void is_its_model_with_colliding_hashes(void)
{
    behaves(0xFF, 3000, 12000, 3); /* Chains of overflow buckets. */
    behaves(0, 300, 4000, 4);      /* One chain. */
    behaves(0x80000000u, 300, 4000, 5);
}

static void grows_by_one_bucket_at_a_time(void)
{
    struct space space;
    struct id_map map;
    char name[256];
    uint32_t before = 0;
    make_name(name, "id-map");
    open_space(&space, name);
    OK(id_map_init(&map, &space, &err));
    for (uint32_t i = 0; i < SLOTS_MAX; i++) {
        const uint32_t hash = hash_of(i, UINT32_MAX);
        OK(id_map_reserve(&map, hash, &err));
        slot_ids[i] = i;
        id_map_put(&map, hash, i);
        const uint32_t count = atomic_load_relaxed_u32(&map.bucket_count);
        CHECK(count == before || (before == 0 && count == 64) || count == before + 1);
        CHECK((uint64_t)count * 5 + 5 >= map.entry_count);
        before = count;
    }
    /* An id that isn't there is compared with few others. */
    uint32_t asked = 0;
    for (uint32_t i = SLOTS_MAX; i < 2 * SLOTS_MAX; i++) {
        struct wanted wanted = {.id = i};
        const struct id_match match = {.context = &wanted, .same = same};
        uint32_t slot = 0;
        OK(id_map_find(&map, hash_of(i, UINT32_MAX), &match, &slot, &err));
        CHECK(slot == SLOT_NONE);
        asked += wanted.asked;
    }
    CHECK(asked < 10);
    id_map_deinit(&map);
    space_deinit(&space);
    CHECK(unlink(name) == 0);
}

/* Churn must not lengthen the chains: empty overflow buckets are used again. */
static void overflow_buckets_are_used_again(void)
{
    struct space space;
    struct id_map map;
    char name[256];
    make_name(name, "id-map");
    open_space(&space, name);
    OK(id_map_init(&map, &space, &err));
    uint32_t after_first = 0;
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < 100; i++) {
            OK(id_map_reserve(&map, 7, &err));
            slot_ids[i] = i;
            id_map_put(&map, 7, i);
        }
        for (uint32_t i = 0; i < 100; i++) {
            OK(id_map_reserve(&map, 7, &err));
            id_map_remove(&map, 7, (i + round) % 100);
        }
        if (round == 0) after_first = map.overflow_count;
    }
    CHECK(map.overflow_count <= after_first + 2);
    id_map_deinit(&map);
    space_deinit(&space);
    CHECK(unlink(name) == 0);
}

/* Buckets with links to anywhere: an error, an answer, never a loop or a read out of bounds. */
static void hostile_buckets_end_in_an_error(void)
{
    struct space space;
    struct id_map map;
    char name[256];
    uint64_t seed = 9;
    make_name(name, "id-map");
    open_space(&space, name);
    for (uint32_t round = 0; round < 300; round++) {
        OK(id_map_init(&map, &space, &err));
        for (uint32_t i = 0; i < 300; i++) {
            const uint32_t hash = hash_of(i, 0xF);
            OK(id_map_reserve(&map, hash, &err));
            slot_ids[i] = i;
            id_map_put(&map, hash, i);
        }
        for (uint32_t i = 0; i < 3; i++) {
            struct array *array = random_below(&seed, 2) == 0 ? &map.buckets : &map.overflow;
            const uint32_t limit = array == &map.buckets ? 64 : map.overflow_count;
            const uint32_t at = random_below(&seed, limit);
            OK(array_prepare(array, at, &err));
            struct id_bucket *bucket = array_at_writable(array, at);
            bucket->overflow = random_below(&seed, 3) == 0 ? (uint32_t)random_next(&seed)
                                                           : random_below(&seed, limit);
        }
        for (uint32_t i = 0; i < 300; i++) {
            struct wanted wanted = {.id = UINT64_MAX};
            const struct id_match match = {.context = &wanted, .same = same};
            uint32_t slot = 0;
            const uint32_t hash = hash_of(i, 0xF);
            omendb_status status = id_map_find(&map, hash, &match, &slot, &err);
            CHECK(status == OMENDB_ERR_CORRUPT || (status == OMENDB_OK && slot == SLOT_NONE));
            status = id_map_reserve(&map, hash, &err);
            CHECK(status == OMENDB_ERR_CORRUPT || status == OMENDB_OK);
        }
        id_map_deinit(&map);
    }
    space_deinit(&space);
    CHECK(unlink(name) == 0);
}

static void a_failed_allocation_changes_nothing(void)
{
    struct space space;
    struct id_map map;
    char name[256];
    make_name(name, "id-map");
    open_space(&space, name);
    for (long n = 0; n < 12; n++) {
        OK(id_map_init(&map, &space, &err));
        uint32_t failed = 0;
        for (uint32_t i = 0; i < 12000; i++) {
            const uint32_t hash = hash_of(i, UINT32_MAX);
            alloc_fail_after(n, 1);
            const omendb_status status = id_map_reserve(&map, hash, &err);
            alloc_fail_after(-1, 0);
            CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
            CHECK(map.entry_count == i);
            failed += status != OMENDB_OK;
            OK(id_map_reserve(&map, hash, &err));
            slot_ids[i] = i;
            id_map_put(&map, hash, i);
        }
        CHECK(n > 2 || failed != 0);
        for (uint32_t i = 0; i < 12000; i++) CHECK(find(&map, hash_of(i, UINT32_MAX), i) == i);
        id_map_deinit(&map);
    }
    space_deinit(&space);
    CHECK(unlink(name) == 0);
}

static const struct test tests[] = {
    {"is_its_model_with_spread_hashes", is_its_model_with_spread_hashes},
    {"is_its_model_with_colliding_hashes", is_its_model_with_colliding_hashes},
    {"grows_by_one_bucket_at_a_time", grows_by_one_bucket_at_a_time},
    {"overflow_buckets_are_used_again", overflow_buckets_are_used_again},
    {"hostile_buckets_end_in_an_error", hostile_buckets_end_in_an_error},
    {"a_failed_allocation_changes_nothing", a_failed_allocation_changes_nothing},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
