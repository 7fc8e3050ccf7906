/* Long calls that tell how far they are, and end when Ctrl-C was pressed or the callback raises. */
#include "binding.h"

int py_progress_take(PyObject *value, struct progress *progress)
{
    if (value == NULL || Py_IsNone(value)) return 0;
    if (!PyCallable_Check(value)) {
        PyErr_Format(PyExc_TypeError, "progress must be callable, not %R", Py_TYPE(value));
        return -1;
    }
    progress->callback = value;
    return 0;
}

int py_progress_report(void *context, uint64_t done, uint64_t total)
{
    struct progress *const progress = context;
    PyEval_RestoreThread(progress->thread);
    if (PyErr_CheckSignals() < 0) {
        progress->raised = true;
    } else if (progress->callback != NULL) {
        PyObject *result = PyObject_CallFunction(progress->callback, "KK", (unsigned long long)done,
                                                 (unsigned long long)total);
        progress->raised = result == NULL;
        Py_XDECREF(result);
    }
    progress->thread = PyEval_SaveThread();
    return progress->raised;
}
