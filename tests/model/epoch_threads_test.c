/* Epochs under threads: readers walk what a writer replaces and retires; freed memory is poisoned, so
 * that a reader that still held it sees it (and the sanitizers do). */
#include "store/epoch.h"

#include "os/thread.h"
#include "store_help.h"

enum { READERS = 4, CELLS = 8, REPLACEMENTS = 60000 };

struct shared {
    uint64_t value, check; /* check = ~value while alive. */
};

static struct epoch epoch;
static atomic_pointer cells[CELLS];
static atomic_u32 stop, reads;
static atomic_u64 reclaimed; /* Sequences below it were declared gone. */

static void release(void *pointer)
{
    struct shared *item = pointer;
    item->value = item->check = 0xDEAD;
    alloc_free(item);
}

static void reader(void *context)
{
    uint64_t seed = (uint64_t)(uintptr_t)context;
    while (atomic_load_acquire_u32(&stop) == 0) {
        struct snapshot snapshot;
        const struct shared *held[CELLS];
        CHECK(epoch_enter(&epoch, &snapshot, NULL) == OMENDB_OK);
        for (uint32_t i = 0; i < CELLS; i++) {
            held[i] = atomic_load_acquire_pointer(&cells[i]);
            if (random_below(&seed, 64) == 0) thread_yield();
        }
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < CELLS; i++) CHECK(held[i]->check == ~held[i]->value);
            /* Nothing that this snapshot sees was declared gone. */
            CHECK(atomic_load_acquire_u64(&reclaimed) <= snapshot.sequence);
            if (random_below(&seed, 16) == 0) thread_yield();
        }
        epoch_leave(&snapshot);
        (void)atomic_add_u32(&reads, 1);
    }
}

static struct shared *made(uint64_t value)
{
    struct shared *item = alloc_raw(1, sizeof *item);
    CHECK(item != NULL);
    *item = (struct shared){.value = value, .check = ~value};
    return item;
}

static void readers_never_see_freed_memory_or_reclaimed_sequences(void)
{
    struct thread threads[READERS] = {0};
    OK(epoch_init(&epoch, &err));
    for (uint64_t i = 0; i < CELLS; i++) atomic_store_release_pointer(&cells[i], made(i));
    for (uintptr_t i = 0; i < READERS; i++)
        OK(thread_start(&threads[i], "reader", reader, (void *)(i + 1), &err));
    uint64_t seed = 99;
    for (uint64_t sequence = 1; sequence <= REPLACEMENTS; sequence++) {
        atomic_pointer *cell = &cells[random_below(&seed, CELLS)];
        struct shared *old = atomic_load_acquire_pointer(cell);
        atomic_store_release_pointer(cell, made(sequence));
        atomic_store_release_u64(&epoch.visible_sequence, sequence);
        OK(epoch_promise(&epoch, &err));
        epoch_retire(&epoch, old, release);
        if (sequence % 7 == 0) epoch_collect(&epoch);
        if (sequence % 5 == 0) atomic_store_release_u64(&reclaimed, epoch_oldest(&epoch));
        if (sequence % 100 == 0) thread_yield();
    }
    while (atomic_load_acquire_u32(&reads) < 1000) thread_yield();
    atomic_store_release_u32(&stop, 1);
    for (uint32_t i = 0; i < READERS; i++) thread_join(&threads[i]);
    epoch_collect(&epoch);
    CHECK(epoch.retired_count == 0);
    for (uint32_t i = 0; i < CELLS; i++) release(atomic_load_acquire_pointer(&cells[i]));
    epoch_deinit(&epoch);
}

static void crowd(void *context)
{
    struct snapshot snapshots[50];
    (void)context;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 50; i++)
            CHECK(epoch_enter(&epoch, &snapshots[i], NULL) == OMENDB_OK);
        for (uint32_t i = 0; i < 50; i++)
            for (uint32_t k = 0; k < i; k++) CHECK(snapshots[i].reader != snapshots[k].reader);
        for (uint32_t i = 0; i < 50; i++) epoch_leave(&snapshots[i]);
    }
}

/* 400 readers at once need seven pages, added by several threads at the same time. */
static void more_readers_than_a_page_get_lines_of_their_own(void)
{
    struct thread threads[8] = {0};
    OK(epoch_init(&epoch, &err));
    for (uint32_t i = 0; i < 8; i++) OK(thread_start(&threads[i], "crowd", crowd, NULL, &err));
    for (uint32_t i = 0; i < 8; i++) thread_join(&threads[i]);
    CHECK(epoch_readers(&epoch) == 0);
    epoch_deinit(&epoch);
}

static const struct test tests[] = {
    {"readers_never_see_freed_memory_or_reclaimed_sequences",
     readers_never_see_freed_memory_or_reclaimed_sequences},
    {"more_readers_than_a_page_get_lines_of_their_own",
     more_readers_than_a_page_get_lines_of_their_own},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
