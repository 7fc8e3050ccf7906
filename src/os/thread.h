/* thread.h - threads, mutexes and condition variables of the operating system.
 *
 * A mutex spins about 100 times and then sleeps in the kernel (a preempted spinning thread would
 * stall its host). Embed the structures; init and deinit in place. What can fail counts as an
 * allocation for alloc_fail_after().
 */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct mutex {
    pthread_mutex_t handle;
};
struct condition {
    pthread_cond_t handle; /* Waits by the monotonic clock. */
};
struct thread {
    pthread_t handle;
    bool running;
};

omendb_status mutex_init(struct mutex *mutex, omendb_error *err);
void mutex_deinit(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
bool mutex_try_lock(struct mutex *mutex); /* false: somebody holds it. */
void mutex_unlock(struct mutex *mutex);

omendb_status condition_init(struct condition *condition, omendb_error *err);
void condition_deinit(struct condition *condition);
void condition_wait(struct condition *condition, struct mutex *mutex);
/* Returns false when `timeout_ms` passed. May wake without cause, like every condition. */
bool condition_wait_for(struct condition *condition, struct mutex *mutex, uint32_t timeout_ms);
void condition_wake_one(struct condition *condition);
void condition_wake_all(struct condition *condition);

/* Something that happens again and again, for many waiters at once: nobody needs a mutex to learn
 * of it. Look at event_now(), then at what you wait for, then event_wait() with what you saw:
 * it returns at once when the event has happened since. May also return without cause. */
struct event {
    _Atomic(uint32_t) count; /* {0} is ready to use. */
};
uint32_t event_now(const struct event *event);
void event_wait(struct event *event, uint32_t seen);
/* The same, for at most `timeout_ms`. */
void event_wait_for(struct event *event, uint32_t seen, uint32_t timeout_ms);
void event_announce(struct event *event); /* What was written before is seen by who wakes. */

/* `name`: at most 15 bytes, shown by debuggers. Signals are blocked in the new thread. */
omendb_status thread_start(struct thread *thread, const char *name, void (*run)(void *context),
                           void *context, omendb_error *err);
void thread_join(struct thread *thread); /* A thread that isn't running is allowed. */
uint64_t thread_self(void);              /* A small number, unique among live threads. */
void thread_yield(void);

/* Runs run(context, i) for i in [0, count) on up to `threads` threads, the caller among them;
 * when a thread can't be started the others do its share. Returns after all have ended. */
void thread_parallel(uint32_t threads, uint32_t count, void (*run)(void *context, uint32_t index),
                     void *context);

#endif /* OS_THREAD_H */
