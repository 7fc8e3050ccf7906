#include "os/thread.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomics.h"

enum { THREAD_NAME = 16, THREAD_PARALLEL_MAX = 256 };

omendb_status mutex_init(struct mutex *mutex, omendb_error *err)
{
    /* glibc's adaptive kind is what the header promises: about 100 spins, then a futex. */
    pthread_mutexattr_t attributes;
    int code = alloc_must_fail() != 0 ? ENOMEM : pthread_mutexattr_init(&attributes);
    if (code == 0) {
        code = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
        if (code == 0) code = pthread_mutex_init(&mutex->handle, &attributes);
        (void)pthread_mutexattr_destroy(&attributes);
    }
    return code == 0 ? OMENDB_OK : fail(err, OMENDB_ERR_NOMEM, "mutex: no memory");
}

void mutex_deinit(struct mutex *mutex)
{
    const int code = pthread_mutex_destroy(&mutex->handle);
    assert(code == 0); /* EBUSY: somebody holds it. */
    (void)code;
}

void mutex_lock(struct mutex *mutex)
{
    const int code = pthread_mutex_lock(&mutex->handle);
    assert(code == 0);
    (void)code;
}

bool mutex_try_lock(struct mutex *mutex)
{
    const int code = pthread_mutex_trylock(&mutex->handle);
    assert(code == 0 || code == EBUSY);
    return code == 0;
}

void mutex_unlock(struct mutex *mutex)
{
    const int code = pthread_mutex_unlock(&mutex->handle);
    assert(code == 0);
    (void)code;
}

omendb_status condition_init(struct condition *condition, omendb_error *err)
{
    pthread_condattr_t attributes;
    int code = alloc_must_fail() != 0 ? ENOMEM : pthread_condattr_init(&attributes);
    if (code == 0) {
        code = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (code == 0) code = pthread_cond_init(&condition->handle, &attributes);
        (void)pthread_condattr_destroy(&attributes);
    }
    return code == 0 ? OMENDB_OK : fail(err, OMENDB_ERR_NOMEM, "condition: no memory");
}

void condition_deinit(struct condition *condition)
{
    (void)pthread_cond_destroy(&condition->handle);
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    (void)pthread_cond_wait(&condition->handle, &mutex->handle);
}

bool condition_wait_for(struct condition *condition, struct mutex *mutex, uint32_t timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec += 1;
    }
    return pthread_cond_timedwait(&condition->handle, &mutex->handle, &until) != ETIMEDOUT;
}

void condition_wake_one(struct condition *condition)
{
    (void)pthread_cond_signal(&condition->handle);
}

void condition_wake_all(struct condition *condition)
{
    (void)pthread_cond_broadcast(&condition->handle);
}

/* Goes to the new thread, which frees it. */
struct thread_begin {
    void (*run)(void *context);
    void *context;
    char name[THREAD_NAME];
};

static void *thread_main(void *argument)
{
    struct thread_begin *handed = argument;
    const struct thread_begin begin = *handed;
    alloc_free(handed);
    (void)pthread_setname_np(pthread_self(), begin.name);
    begin.run(begin.context);
    return NULL;
}

omendb_status thread_start(struct thread *thread, const char *name, void (*run)(void *context),
                           void *context, omendb_error *err)
{
    struct thread_begin *begin = alloc_zeroed(1, sizeof *begin);
    if (begin == NULL) return fail(err, OMENDB_ERR_NOMEM, "thread %s: no memory", name);
    begin->run = run;
    begin->context = context;
    (void)strncpy(begin->name, name, sizeof begin->name - 1);

    /* The new thread inherits the mask: the host's handlers never run on our threads. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(&thread->handle, NULL, thread_main, begin);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        char space[128];
        alloc_free(begin);
        return fail(err, code == EAGAIN || code == ENOMEM ? OMENDB_ERR_NOMEM : OMENDB_ERR_IO,
                    "thread %s: %s", name, strerror_r(code, space, sizeof space));
    }
    thread->running = true;
    return OMENDB_OK;
}

void thread_join(struct thread *thread)
{
    if (!thread->running) return;
    (void)pthread_join(thread->handle, NULL);
    thread->running = false;
}

uint64_t thread_self(void)
{
    static _Thread_local uint64_t self; /* The kernel's number, asked for once. */
    if (UNLIKELY(self == 0)) self = (uint64_t)syscall(SYS_gettid);
    return self;
}

void thread_yield(void)
{
    (void)sched_yield();
}

struct parallel {
    void (*run)(void *context, uint32_t index);
    void *context;
    uint32_t count;
    atomic_u32 next; /* The first index that nobody has taken. */
};

static void parallel_work(void *argument)
{
    struct parallel *work = argument;
    for (;;) {
        /* Never past count + threads: the loop of each thread stops at its first index too high. */
        const uint32_t index = atomic_add_u32(&work->next, 1);
        if (index >= work->count) return;
        work->run(work->context, index);
    }
}

void thread_parallel(uint32_t threads, uint32_t count, void (*run)(void *context, uint32_t index),
                     void *context)
{
    struct thread helpers[THREAD_PARALLEL_MAX - 1];
    struct parallel work = {.run = run, .context = context, .count = count};
    assert(count <= UINT32_MAX - THREAD_PARALLEL_MAX);
    if (threads > THREAD_PARALLEL_MAX) threads = THREAD_PARALLEL_MAX;
    if (threads > count) threads = count;
    uint32_t started = 0;
    while (started + 1 < threads) {
        helpers[started].running = false;
        if (thread_start(&helpers[started], "omendb-work", parallel_work, &work, NULL) != OMENDB_OK)
            break; /* Those that run do the whole. */
        started++;
    }
    parallel_work(&work);
    for (uint32_t i = 0; i < started; i++) thread_join(&helpers[i]);
}

uint32_t event_now(const struct event *event)
{
    return atomic_load_explicit(&event->count, memory_order_acquire);
}

void event_wait(struct event *event, uint32_t seen)
{
    (void)syscall(SYS_futex, &event->count, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

void event_wait_for(struct event *event, uint32_t seen, uint32_t timeout_ms)
{
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                                     .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    (void)syscall(SYS_futex, &event->count, FUTEX_WAIT_PRIVATE, seen, &timeout, NULL, 0);
}

void event_announce(struct event *event)
{
    (void)atomic_fetch_add_explicit(&event->count, 1, memory_order_acq_rel);
    (void)syscall(SYS_futex, &event->count, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
