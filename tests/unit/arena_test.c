/* Tests of base/arena.h. */
#include "test.h"

#include <stdint.h>

#include "base/alloc.h"
#include "base/arena.h"

static uint64_t random_state = 88172645463325252u;
static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Every request keeps the bytes written into it, whatever is requested later. */
static void requests_are_aligned_and_never_overlap(void)
{
    enum { COUNT = 2000 };
    static uint8_t *items[COUNT];
    static size_t sizes[COUNT];
    struct arena arena;
    arena_init(&arena, 0);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            const size_t align = (size_t)1 << random_u64() % 13;
            sizes[i] = random_u64() % (i % 100 == 0 ? 50000 : 200);
            items[i] = arena_alloc(&arena, sizes[i], align);
            CHECK(items[i] != NULL && (uintptr_t)items[i] % align == 0);
            memset(items[i], (int)(i & 255), sizes[i]);
        }
        for (size_t i = 0; i < COUNT; i++) {
            for (size_t k = 0; k < sizes[i]; k++) CHECK(items[i][k] == (i & 255));
        }
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    CHECK(alloc_bytes() == 0);
}

static void repeated_work_allocates_nothing(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    /* 300 KiB: the blocks double until one holds all of it. */
    for (int round = 0; round < 8; round++) {
        if (round == 7) alloc_fail_after(0, 0);
        for (int i = 0; i < 300; i++) CHECK(arena_alloc(&arena, 1000, 8) != NULL);
        arena_reset(&arena);
    }
    alloc_fail_after(-1, 0);
    arena_deinit(&arena);
}

static void the_limit_holds(void)
{
    struct arena arena;
    arena_init(&arena, 100000);
    size_t taken = 0;
    while (arena_alloc(&arena, 1000, 8) != NULL) {
        taken += 1000;
        CHECK(arena.size_taken <= 100000);
    }
    CHECK(taken >= 90000); /* Headers and ends of blocks cost little. */
    CHECK(arena_alloc(&arena, 100000, 8) == NULL);
    arena_reset(&arena);
    CHECK(arena_alloc(&arena, 1000, 8) != NULL);
    arena_deinit(&arena);
    CHECK(arena.size_taken == 0 && arena.size_max == 100000);
    CHECK(alloc_bytes() == 0);
}

static void impossible_sizes_are_refused(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    CHECK(arena_alloc(&arena, SIZE_MAX, 1) == NULL);
    CHECK(arena_alloc(&arena, SIZE_MAX - 8, 4096) == NULL);
    CHECK(arena_alloc_array(&arena, SIZE_MAX / 2, 3, 8) == NULL);
    CHECK(arena_alloc(&arena, 10, 1) != NULL);
    CHECK(arena_alloc(&arena, SIZE_MAX, 1) == NULL);
    CHECK(arena_alloc(&arena, SIZE_MAX - 4096, 4096) == NULL);
    CHECK(arena_alloc_array(&arena, 0, 8, 8) != NULL);
    arena_deinit(&arena);
}

static void a_failed_request_changes_nothing(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    alloc_fail_after(0, 1);
    CHECK(arena_alloc(&arena, 10, 8) == NULL);
    CHECK(arena.blocks == NULL && arena.size_taken == 0);
    uint8_t *first = arena_alloc(&arena, 10, 8);
    CHECK(first != NULL);
    memset(first, 7, 10);
    const struct arena before = arena;
    alloc_fail_after(0, 1);
    CHECK(arena_alloc(&arena, 100000, 8) == NULL);
    alloc_fail_after(-1, 0);
    CHECK(memcmp(&before, &arena, sizeof arena) == 0);
    for (int i = 0; i < 10; i++) CHECK(first[i] == 7);
    arena_deinit(&arena);
    CHECK(alloc_bytes() == 0);
}

static const struct test tests[] = {
    {"requests_are_aligned_and_never_overlap", requests_are_aligned_and_never_overlap},
    {"repeated_work_allocates_nothing", repeated_work_allocates_nothing},
    {"the_limit_holds", the_limit_holds},
    {"impossible_sizes_are_refused", impossible_sizes_are_refused},
    {"a_failed_request_changes_nothing", a_failed_request_changes_nothing},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
