/* Exceptions: one class for each status, below omendb.Error and, where Python has a class for
 * the same thing, below that as well. */
#include "binding.h"

#include <stdarg.h>
#include <string.h>

struct error_class {
    const char *name; /* "omendb.X" */
    PyObject **base;  /* The builtin parent, or NULL. */
    const char *doc;
};

/* By -status; the numbers of omendb.h never change. */
static const struct error_class error_classes[STATUS_COUNT] = {
    {"omendb.Error", NULL, "Base of all errors of OmenDB. `status` is the code of omendb.h."},
    {"omendb.NoMemoryError", &PyExc_MemoryError, "Out of memory; nothing was changed."},
    {"omendb.IOError_", &PyExc_OSError, "The operating system refused."},
    {"omendb.CorruptError", NULL, "A checksum or an invariant on disk failed."},
    {"omendb.ArgumentError", &PyExc_ValueError, "The call was wrong; nothing was changed."},
    {"omendb.BusyError", NULL, "Another process or a limit holds it; try again."},
    {"omendb.FullError", NULL, "The disk or a stated limit is reached; nothing was changed."},
    {"omendb.InternalError", NULL, "A bug of OmenDB; the file is safe."},
    {"omendb.NotFoundError", &PyExc_KeyError, "No such file, collection, field or document."},
    {"omendb.ExistsError", NULL, "It is there already."},
    {"omendb.DimensionError", &PyExc_ValueError,
     "A vector's dimension isn't the field's; nothing was changed."},
    {"omendb.InvalidValueError", &PyExc_ValueError,
     "NaN, infinity, zero vector under cosine, bad JSON or UTF-8; nothing was changed."},
    {"omendb.ReadOnlyError", NULL, "The database or the medium is read-only."},
    {"omendb.MisuseError", NULL, "Used after close or fork, or after a failure fenced it."},
    {"omendb.UnsupportedError", NULL, "A file of a newer format, or a feature this build lacks."},
    {"omendb.InterruptedError", &PyExc_InterruptedError, "Database.interrupt() was called."},
    {"omendb.TimeoutError", &PyExc_TimeoutError, "The call's own timeout passed."},
    {"omendb.ConflictError", NULL, "Somebody else changed it first; nothing was changed."},
};

static PyObject *errors_make_class(const struct error_class *class, int status, PyObject *base)
{
    PyObject *result = NULL;
    PyObject *bases = NULL;
    PyObject *members = Py_BuildValue("{s:i}", "status", status);
    if (members == NULL) return NULL;
    if (base == NULL) {
        /* KeyError quotes its message and OSError reads it as an errno: both get the plain text
         * back through the base class that comes first in their order. */
        PyObject *plain = PyObject_GetAttrString(PyExc_BaseException, "__str__");
        const int set = plain != NULL ? PyDict_SetItemString(members, "__str__", plain) : -1;
        Py_XDECREF(plain);
        if (set < 0) goto cleanup;
        base = PyExc_Exception;
    }
    bases = class->base != NULL ? PyTuple_Pack(2, base, *class->base) : PyTuple_Pack(1, base);
    if (bases != NULL) result = PyErr_NewExceptionWithDoc(class->name, class->doc, bases, members);
cleanup:
    Py_XDECREF(bases);
    Py_DECREF(members);
    return result;
}

int py_errors_init(PyObject *module, struct module_state *state)
{
    for (int i = 0; i < STATUS_COUNT; i++) {
        state->errors[i] = errors_make_class(&error_classes[i], -i,
                                             i == 0 ? NULL : state->errors[0]);
        if (state->errors[i] == NULL) return -1;
        const char *const short_name = error_classes[i].name + sizeof("omendb.") - 1;
        if (PyModule_AddObjectRef(module, short_name, state->errors[i]) < 0) return -1;
    }
    return 0;
}

static PyObject *errors_class(const struct module_state *state, omendb_status status)
{
    const int index = status < 0 && status > -STATUS_COUNT ? -status : 0;
    /* After the module was cleared at shutdown there are no classes left. */
    return state->errors[index] != NULL ? state->errors[index] : PyExc_RuntimeError;
}

void *py_errors_raise(struct module_state *state, omendb_status status, const omendb_error *err)
{
    const char *message = err != NULL && err->message[0] != '\0' ? err->message
                                                                 : omendb_status_name(status);
    /* The message is cut to fit and may end inside a character. */
    PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    if (text == NULL) return NULL;
    PyErr_SetObject(errors_class(state, status), text);
    Py_DECREF(text);
    return NULL;
}

void *py_errors_raise_hint(struct module_state *state, omendb_status status,
                           const omendb_error *err, const char *hint)
{
    PyObject *text = PyUnicode_DecodeUTF8(err->message, (Py_ssize_t)strlen(err->message),
                                          "replace");
    if (text == NULL) return NULL;
    (void)py_errors_format(state, status, "%U; %s", text, hint);
    Py_DECREF(text);
    return NULL;
}

void *py_errors_format(struct module_state *state, omendb_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)PyErr_FormatV(errors_class(state, status), format, list);
    va_end(list);
    return NULL;
}

void py_errors_translate_unicode(struct module_state *state, const char *what)
{
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return;
    PyErr_Clear();
    (void)py_errors_format(state, OMENDB_ERR_VALUE, "%s: a str with lone surrogates isn't UTF-8",
                           what);
}
