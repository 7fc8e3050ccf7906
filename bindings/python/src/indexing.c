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
    struct progress progress = {NULL, NULL, false};
    uint32_t timeout_ms = 0;
    if (py_convert_seconds(state, values[TIMEOUT], "timeout", &timeout_ms) < 0 ||
        py_progress_take(values[PROGRESS], &progress) < 0) {
        return NULL;
    }
    if (py_collection_enter(state, collection) < 0) return NULL;
    omendb_error err = {OMENDB_OK, ""};
    progress.thread = PyEval_SaveThread();
    const omendb_status status = omendb_collection_wait_indexed(
        collection->handle, timeout_ms, py_progress_report, &progress, &err);
    PyEval_RestoreThread(progress.thread);
    py_collection_leave(collection);
    if (progress.raised) return NULL;
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    Py_RETURN_NONE;
}
