/* os_threads_test.c - mutexes, conditions and threads of src/os/thread.h. */
#include "test.h"

#include <signal.h>

#include "base/alloc.h"
#include "base/atomics.h"
#include "os/thread.h"
#include "os/vfs.h"

struct shared {
    struct mutex mutex;
    struct condition changed;
    uint64_t count;
    uint64_t self;
    int turns;
    bool signals_blocked;
};

static void count_up(void *context)
{
    struct shared *shared = context;
    for (int i = 0; i < 20000; i++) {
        mutex_lock(&shared->mutex);
        shared->count++;
        mutex_unlock(&shared->mutex);
    }
}

static void a_mutex_excludes(void)
{
    struct shared shared = {0};
    struct thread threads[4] = {0};
    CHECK(mutex_init(&shared.mutex, NULL) == OMENDB_OK);
    for (int i = 0; i < 4; i++)
        CHECK(thread_start(&threads[i], "count", count_up, &shared, NULL) == OMENDB_OK);
    for (int i = 0; i < 4; i++) thread_join(&threads[i]);
    thread_join(&threads[0]); /* Ended already: allowed. */
    CHECK(shared.count == 80000);
    mutex_deinit(&shared.mutex);
}

static void answer(void *context)
{
    struct shared *shared = context;
    sigset_t mask;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    mutex_lock(&shared->mutex);
    shared->self = thread_self();
    shared->signals_blocked = sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGALRM) == 1;
    shared->turns = 1;
    condition_wake_all(&shared->changed);
    while (shared->turns == 1) condition_wait(&shared->changed, &shared->mutex);
    shared->turns = 3;
    condition_wake_one(&shared->changed);
    mutex_unlock(&shared->mutex);
}

static void a_condition_wakes_and_times_out(void)
{
    struct shared shared = {0};
    struct thread thread = {0};
    CHECK(mutex_init(&shared.mutex, NULL) == OMENDB_OK);
    CHECK(condition_init(&shared.changed, NULL) == OMENDB_OK);
    mutex_lock(&shared.mutex);
    const uint64_t start = vfs_real()->ops->clock_monotonic_ns(vfs_real());
    while (condition_wait_for(&shared.changed, &shared.mutex, 20)) continue;
    CHECK(vfs_real()->ops->clock_monotonic_ns(vfs_real()) - start >= 19000000);
    CHECK(thread_start(&thread, "a name longer than it may be", answer, &shared, NULL) ==
          OMENDB_OK);
    while (shared.turns != 1) condition_wait(&shared.changed, &shared.mutex);
    shared.turns = 2;
    condition_wake_one(&shared.changed);
    while (shared.turns != 3) (void)condition_wait_for(&shared.changed, &shared.mutex, 10000);
    mutex_unlock(&shared.mutex);
    thread_join(&thread);
    CHECK(shared.self != 0 && shared.self != thread_self() && shared.signals_blocked);
    CHECK(thread_self() == thread_self());
    thread_yield();
    condition_deinit(&shared.changed);
    mutex_deinit(&shared.mutex);
}

static void announce(void *context)
{
    event_announce(context);
}

static void an_event_ends_waits_and_a_lock_can_be_tried(void)
{
    struct shared shared = {0};
    struct thread thread = {0};
    struct event event = {0};
    const uint32_t seen = event_now(&event);
    const uint64_t start = vfs_real()->ops->clock_monotonic_ns(vfs_real());
    event_wait_for(&event, seen, 20); /* Nobody announces anything. */
    CHECK(event_now(&event) == seen);
    CHECK(thread_start(&thread, "announcer", announce, &event, NULL) == OMENDB_OK);
    while (event_now(&event) == seen) event_wait_for(&event, seen, 600000);
    event_wait_for(&event, seen, 600000); /* It has happened since. */
    CHECK(vfs_real()->ops->clock_monotonic_ns(vfs_real()) - start < UINT64_C(300000000000));
    thread_join(&thread);
    CHECK(mutex_init(&shared.mutex, NULL) == OMENDB_OK);
    CHECK(mutex_try_lock(&shared.mutex));
    CHECK(!mutex_try_lock(&shared.mutex));
    mutex_unlock(&shared.mutex);
    CHECK(mutex_try_lock(&shared.mutex));
    mutex_unlock(&shared.mutex);
    mutex_deinit(&shared.mutex);
}

enum { SHARES = 1000 };

struct shares {
    atomic_u32 done[SHARES];
};

static void take_share(void *context, uint32_t index)
{
    struct shares *shares = context;
    (void)atomic_add_u32(&shares->done[index], 1);
}

static void parallel_runs_each_index_once(void)
{
    static const uint32_t counts[] = {0, 1, 2, 3, 7, SHARES};
    static const uint32_t threads[] = {0, 1, 2, 5, 300};
    static struct shares shares;
    for (size_t c = 0; c < COUNT_OF(counts); c++) {
        for (size_t t = 0; t < COUNT_OF(threads); t++) {
            for (int failing = 0; failing < 3; failing++) {
                for (size_t i = 0; i < SHARES; i++) atomic_store_relaxed_u32(&shares.done[i], 0);
                if (failing != 0) alloc_fail_after(failing - 1, 0); /* No helper, or just one. */
                thread_parallel(threads[t], counts[c], take_share, &shares);
                alloc_fail_after(-1, 0);
                for (uint32_t i = 0; i < SHARES; i++)
                    CHECK(atomic_load_relaxed_u32(&shares.done[i]) == (i < counts[c] ? 1u : 0u));
            }
        }
    }
}

static void thread_objects_report_no_memory(void)
{
    struct shared shared = {0};
    struct thread thread = {0};
    alloc_fail_after(0, 1);
    CHECK(thread_start(&thread, "x", count_up, &shared, NULL) == OMENDB_ERR_NOMEM);
    CHECK(!thread.running);
    alloc_fail_after(0, 1);
    CHECK(mutex_init(&shared.mutex, NULL) == OMENDB_ERR_NOMEM);
    alloc_fail_after(0, 1);
    CHECK(condition_init(&shared.changed, NULL) == OMENDB_ERR_NOMEM);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_mutex_excludes", a_mutex_excludes},
        {"a_condition_wakes_and_times_out", a_condition_wakes_and_times_out},
        {"an_event_ends_waits_and_a_lock_can_be_tried",
         an_event_ends_waits_and_a_lock_can_be_tried},
        {"parallel_runs_each_index_once", parallel_runs_each_index_once},
        {"thread_objects_report_no_memory", thread_objects_report_no_memory},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
