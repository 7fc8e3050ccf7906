/* Collection: how vector fields are indexed, and waiting until they are. */
#include "binding.h"

PyObject *py_indexing_set(PyObject *self, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords)
{
    enum { FIELD, INDEX, COUNT };
    static const char *const names[] = {"field", "index", NULL};
    static const struct signature signature = {"set_index", names, 2, 2};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    const char *field = NULL;
    omendb_index index = OMENDB_INDEX_DEFAULT;
    if ((!Py_IsNone(values[FIELD]) && py_convert_name(state, values[FIELD], "field", &field) < 0) ||
        py_convert_choice(state, values[INDEX], "index", py_convert_index_names, &index) < 0 ||
        py_collection_enter(state, collection) < 0) {
        return NULL;
    }
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    WITHOUT_GIL(status = omendb_collection_set_index(collection->handle, field, index, &err));
    py_collection_leave(collection);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    Py_RETURN_NONE;
}

struct index_wait {
    PyThreadState *thread; /* Of the caller, who has left the GIL. */
    PyObject *progress;    /* NULL: nobody wants to know. */
    bool raised;           /* An exception of the callback, or of a signal handler, is set. */
};

/* Called some ten times a second on the waiting thread: signals are seen to here as well. */
static int indexing_report(void *context, uint64_t indexed, uint64_t total)
{
    struct index_wait *const wait = context;
    PyEval_RestoreThread(wait->thread);
    if (PyErr_CheckSignals() < 0) {
        wait->raised = true;
    } else if (wait->progress != NULL) {
        PyObject *result = PyObject_CallFunction(wait->progress, "KK", (unsigned long long)indexed,
                                                 (unsigned long long)total);
        wait->raised = result == NULL;
        Py_XDECREF(result);
    }
    wait->thread = PyEval_SaveThread();
    return wait->raised;
}

PyObject *py_indexing_wait(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    enum { TIMEOUT, PROGRESS, COUNT };
    static const char *const names[] = {"timeout", "progress", NULL};
    static const struct signature signature = {"wait_indexed", names, 2, 0};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    struct index_wait wait = {NULL, NULL, false};
    uint32_t timeout_ms = 0;
    if (py_convert_seconds(state, values[TIMEOUT], "timeout", &timeout_ms) < 0) return NULL;
    if (values[PROGRESS] != NULL && !Py_IsNone(values[PROGRESS])) wait.progress = values[PROGRESS];
    if (wait.progress != NULL && !PyCallable_Check(wait.progress)) {
        PyErr_Format(PyExc_TypeError, "progress must be callable, not %R", Py_TYPE(wait.progress));
        return NULL;
    }
    if (py_collection_enter(state, collection) < 0) return NULL;
    omendb_error err = {OMENDB_OK, ""};
    wait.thread = PyEval_SaveThread();
    const omendb_status status = omendb_collection_wait_indexed(collection->handle, timeout_ms,
                                                                indexing_report, &wait, &err);
    PyEval_RestoreThread(wait.thread);
    py_collection_leave(collection);
    if (wait.raised) return NULL;
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    Py_RETURN_NONE;
}
