/* Threads that bring a hot array in from its file, beside a writer that changes it: everybody sees
 * whole elements, and no change is undone by a late read. */
#include "store/array.h"

#include "store_help.h"

enum { BLOCKS = 256, PER_BLOCK = 8, COUNT = BLOCKS * PER_BLOCK, THREADS = 4 };
#if defined(__SANITIZE_THREAD__)
enum { ROUNDS = 6 };
#else
enum { ROUNDS = 30 };
#endif

static struct space space;
static struct array array;
static atomic_u32 written[COUNT]; /* 1: the writer has changed it. */

/* The writer publishes by `written`, as the engine does by a slot's birth. */
static void element_check(uint32_t index)
{
    omendb_error local = {0};
    const bool changed = atomic_load_acquire_u32(&written[index]) != 0;
    const atomic_u64 *element = array_read(&array, index, &local);
    CHECK(element != NULL && local.status == OMENDB_OK);
    const uint64_t value = atomic_load_acquire_u64(element);
    CHECK(value == (uint64_t)index + 1 + COUNT || (!changed && value == (uint64_t)index + 1));
}

static void reader(uint64_t seed)
{
    struct snapshot snapshot;
    omendb_error local = {0};
    CHECK(epoch_enter(&space.epoch, &snapshot, &local) == OMENDB_OK);
    for (uint32_t i = 0; i < 40; i++) {
        const uint32_t first = random_below(&seed, COUNT);
        if (i % 2 == 0)
            CHECK(array_load_range(&array, first / PER_BLOCK, random_below(&seed, 40), &local) ==
                  OMENDB_OK);
        for (uint32_t at = first; at < first + 100 && at < COUNT; at++) element_check(at);
    }
    CHECK(array_load_all(&array, &local) == OMENDB_OK);
    for (uint32_t at = 0; at < COUNT; at++) element_check(at);
    epoch_leave(&snapshot);
}

static void writer(uint64_t seed)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t index = random_below(&seed, COUNT);
        omendb_error local = {0};
        CHECK(array_prepare(&array, index, &local) == OMENDB_OK);
        atomic_store_release_u64(array_at_writable(&array, index), (uint64_t)index + 1 + COUNT);
        atomic_store_release_u32(&written[index], 1); /* with element_check() */
    }
}

static void work(void *context, uint32_t index)
{
    const uint64_t seed = *(const uint64_t *)context * THREADS + index;
    if (index == 0) writer(seed);
    else reader(seed);
}

static void loading_undoes_no_change(void)
{
    struct buffer record = {0};
    char name[256];
    make_name(name, "array-threads");
    open_space(&space, name);
    OK(array_init(&array, &space, 7, 3, BLOCK_SIZE / PER_BLOCK, true, &err));
    OK(array_grow(&array, COUNT, &err));
    for (uint32_t i = 0; i < COUNT; i++) {
        OK(array_prepare(&array, i, &err));
        *(uint64_t *)array_at_writable(&array, i) = (uint64_t)i + 1;
    }
    OK(array_freeze(&array, &err));
    OK(array_write_frozen(&array, &err));
    OK(array_encode(&array, &record, &err));
    OK(space_release_reserve(&space, array_releases(&array), &err));
    array_thaw(&array, true);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t used = 0;
        array_deinit(&array);
        OK(array_decode(&array, &space, true, record.data, record.size, &used, &err));
        for (uint32_t i = 0; i < COUNT; i++) atomic_store_relaxed_u32(&written[i], 0);
        thread_parallel(THREADS, THREADS, work, &round);
    }
    array_deinit(&array);
    buffer_deinit(&record);
    space_deinit(&space);
    CHECK(unlink(name) == 0);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"loading_undoes_no_change", loading_undoes_no_change},
        {0},
    };
    return test_main(tests, argc, argv);
}
