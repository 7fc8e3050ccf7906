/* Calls of the engine that may last longer than a user waits before pressing Ctrl-C.
 *
 * A signal handler of Python runs only on the main thread and only between two bytecodes. So a
 * call that may last runs on a thread of its own while the main thread waits in a way that
 * signals end; then it runs the handlers, and when one raises it interrupts the engine and waits
 * for the call to come back. Short calls stay on their thread: the hop costs some 45 us, more
 * than a search in a small collection. */
#include "binding.h"

#include <pythread.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

struct call {
    omendb_status (*run)(void *argument);
    void *argument;
    omendb_status status;
    PyThread_type_lock ended; /* Held until the call has ended. */
};

static void call_thread(void *argument)
{
    struct call *const call = argument;
    call->status = call->run(call->argument);
    PyThread_release_lock(call->ended);
}

static bool call_on_main_thread(void)
{
#if defined(__linux__)
    return syscall(SYS_gettid) == (long)getpid();
#else
    return true;
#endif
}

/* Waits for the call; -1 when a signal handler raised meanwhile. */
static int call_wait(struct database *database, struct call *call)
{
    enum { WAIT_US = 100000 };
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    for (;;) {
        PyLockStatus got = PY_LOCK_FAILURE;
        WITHOUT_GIL(got = PyThread_acquire_lock_timed(call->ended, WAIT_US, 1));
        if (got == PY_LOCK_ACQUIRED) break;
        if (type == NULL && PyErr_CheckSignals() < 0) PyErr_Fetch(&type, &value, &traceback);
        /* Again each time: the first may have come before the engine began. */
        if (type != NULL) omendb_interrupt(database->handle);
    }
    if (type == NULL) return 0;
    PyErr_Restore(type, value, traceback);
    return -1;
}

int py_call_run(struct database *database, bool may_last, omendb_status (*run)(void *argument),
                void *argument, omendb_status *status)
{
    struct call call = {run, argument, OMENDB_OK, NULL};
    int result = 0;
    if (may_last && call_on_main_thread()) call.ended = PyThread_allocate_lock();
    if (call.ended != NULL) {
        (void)PyThread_acquire_lock(call.ended, NOWAIT_LOCK);
        if (PyThread_start_new_thread(call_thread, &call) != (unsigned long)-1) {
            result = call_wait(database, &call);
            *status = call.status;
        } else {
            WITHOUT_GIL(*status = run(argument));
        }
        PyThread_release_lock(call.ended);
        PyThread_free_lock(call.ended);
        return result;
    }
    WITHOUT_GIL(*status = run(argument));
    return result;
}
