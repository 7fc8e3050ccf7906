#include "interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "text.h"

static struct {
    pthread_mutex_t lock; /* Guards db. */
    omendb *db;
    atomic_bool raised;
    int fd;
    sigset_t signals;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static void *interrupt_main(void *argument)
{
    (void)argument;
    int signal_number;
    if (sigwait(&state.signals, &signal_number) != 0) return NULL;
    atomic_store(&state.raised, true);
    (void)eventfd_write(state.fd, 1);
    (void)pthread_mutex_lock(&state.lock);
    if (state.db != NULL) omendb_interrupt(state.db);
    (void)pthread_mutex_unlock(&state.lock);
    if (sigwait(&state.signals, &signal_number) == 0) _exit(CLI_FAILURE);
    return NULL;
}

void interrupt_begin(void)
{
    pthread_t thread;
    state.fd = eventfd(0, EFD_CLOEXEC);
    (void)sigemptyset(&state.signals);
    (void)sigaddset(&state.signals, SIGINT);
    (void)sigaddset(&state.signals, SIGTERM);
    /* Without the thread the signals keep their default: the process ends, as safely. */
    if (pthread_sigmask(SIG_BLOCK, &state.signals, NULL) != 0) return;
    if (pthread_create(&thread, NULL, interrupt_main, NULL) != 0) {
        (void)pthread_sigmask(SIG_UNBLOCK, &state.signals, NULL);
        return;
    }
    (void)pthread_detach(thread);
}

bool interrupt_raised(void)
{
    return atomic_load(&state.raised);
}

int interrupt_fd(void)
{
    return state.fd;
}

void interrupt_watch(omendb *db)
{
    (void)pthread_mutex_lock(&state.lock);
    state.db = db;
    (void)pthread_mutex_unlock(&state.lock);
}
