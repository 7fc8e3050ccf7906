/* Arguments, options and ids from Python. */
#include "binding.h"

#include <math.h>
#include <string.h>

const char *const py_convert_type_names[] = {"f32", "f16", "bf16", "i8", "u8", "bit", NULL};
const char *const py_convert_metric_names[] = {"l2", "cosine", "ip", "hamming", NULL};
const char *const py_convert_index_names[] = {"default", "fast", "compact", "exact", NULL};
const char *const py_convert_durability_names[] = {"default", "full", "interval", "none", NULL};
const char *const py_convert_field_type_names[] = {"any",  "bool",  "int",   "float",  "string",
                                                   "text", "bytes", "array", "object", NULL};
_Static_assert(OMENDB_BIT == 5 && OMENDB_HAMMING == 3 && OMENDB_DURABILITY_NONE == 3 &&
                   OMENDB_INDEX_EXACT == 3 && OMENDB_FIELD_OBJECT == 8,
               "the tables above are in the order of omendb.h");

int py_convert_arguments(const struct signature *signature, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords, PyObject **values)
{
    Py_ssize_t names_count = 0;
    while (signature->names[names_count] != NULL) values[names_count++] = NULL;
    if (count > signature->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd positional arguments (%zd given)",
                     signature->function, signature->positional, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) values[i] = args[i];
    const Py_ssize_t keywords_count = keywords != NULL ? PyTuple_Size(keywords) : 0;
    for (Py_ssize_t i = 0; i < keywords_count; i++) {
        PyObject *const key = PyTuple_GetItem(keywords, i);
        Py_ssize_t at = 0;
        while (at < names_count &&
               PyUnicode_CompareWithASCIIString(key, signature->names[at]) != 0) {
            at++;
        }
        if (at == names_count) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R",
                         signature->function, key);
            return -1;
        }
        if (values[at] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument %R",
                         signature->function, key);
            return -1;
        }
        values[at] = args[count + i];
    }
    for (Py_ssize_t i = 0; i < signature->required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'",
                         signature->function, signature->names[i]);
            return -1;
        }
    }
    return 0;
}

int py_convert_u64(struct module_state *state, PyObject *value, const char *what, uint64_t *out)
{
    if (value == NULL || Py_IsNone(value)) return 0;
    if (PyBool_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int, not bool", what);
        return -1;
    }
    PyObject *index = PyNumber_Index(value);
    if (index == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "%s must be an int, not %R", what, Py_TYPE(value));
        }
        return -1;
    }
    const unsigned long long number = PyLong_AsUnsignedLongLong(index);
    Py_DECREF(index);
    if (number == (unsigned long long)-1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) return -1;
        PyErr_Clear();
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "%s must be from 0 to 2**64 - 1, not %R",
                               what, value);
        return -1;
    }
    *out = number;
    return 0;
}

int py_convert_u32(struct module_state *state, PyObject *value, const char *what, uint32_t *out)
{
    uint64_t number = *out;
    if (py_convert_u64(state, value, what, &number) < 0) return -1;
    if (number > UINT32_MAX) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "%s must be below 2**32, not %R", what,
                               value);
        return -1;
    }
    *out = (uint32_t)number;
    return 0;
}

int py_convert_bool(PyObject *value, bool *out)
{
    if (value == NULL || Py_IsNone(value)) return 0;
    const int truth = PyObject_IsTrue(value);
    if (truth < 0) return -1;
    *out = truth != 0;
    return 0;
}

int py_convert_seconds(struct module_state *state, PyObject *value, const char *what,
                       uint32_t *milliseconds)
{
    if (value == NULL || Py_IsNone(value)) return 0;
    const double seconds = PyFloat_AsDouble(value);
    if (seconds == -1.0 && PyErr_Occurred()) return -1;
    const double wanted = ceil(seconds * 1000.0);
    if (!(seconds > 0.0) || !(wanted <= (double)UINT32_MAX)) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT,
                               "%s must be a positive number of seconds below 49 days, not %R",
                               what, value);
        return -1;
    }
    *milliseconds = (uint32_t)wanted;
    return 0;
}

int py_convert_choice(struct module_state *state, PyObject *value, const char *what,
                      const char *const *names, uint32_t *out)
{
    if (value == NULL || Py_IsNone(value)) return 0;
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %R", what, Py_TYPE(value));
        return -1;
    }
    for (uint32_t i = 0; names[i] != NULL; i++) {
        if (PyUnicode_CompareWithASCIIString(value, names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    PyObject *known = PyUnicode_FromString(names[0]);
    for (uint32_t i = 1; names[i] != NULL && known != NULL; i++) {
        PyObject *longer = PyUnicode_FromFormat("%U, %s", known, names[i]);
        Py_DECREF(known);
        known = longer;
    }
    if (known == NULL) return -1;
    (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "%s must be one of %U, not %R", what, known,
                           value);
    Py_DECREF(known);
    return -1;
}

int py_convert_text(struct module_state *state, PyObject *value, const char *what, const char **out,
                    size_t *size)
{
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %R", what, Py_TYPE(value));
        return -1;
    }
    Py_ssize_t length = 0;
    const char *const text = PyUnicode_AsUTF8AndSize(value, &length);
    if (text == NULL) {
        py_errors_translate_unicode(state, what);
        return -1;
    }
    *out = text;
    *size = (size_t)length;
    return 0;
}

int py_convert_name(struct module_state *state, PyObject *value, const char *what, const char **out)
{
    size_t size = 0;
    if (py_convert_text(state, value, what, out, &size) < 0) return -1;
    if (strlen(*out) != size) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "%s holds a NUL character", what);
        return -1;
    }
    return 0;
}

/* ---- Ids ------------------------------------------------------------------------------- */

static int id_from_python(struct module_state *state, PyObject *value, const char *what,
                          omendb_id *out)
{
    *out = (omendb_id){NULL, 0, 0};
    if (PyUnicode_Check(value)) {
        if (py_convert_text(state, value, what, &out->text_view, &out->size) < 0) return -1;
        if (out->size != 0) return 0;
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "%s may not be the empty string", what);
        return -1;
    }
    if (!PyIndex_Check(value) || PyBool_Check(value)) {
        PyObject *name = PyType_GetName(Py_TYPE(value));
        if (name == NULL) return -1;
        const bool is_uuid = PyUnicode_CompareWithASCIIString(name, "UUID") == 0;
        Py_DECREF(name);
        PyErr_Format(PyExc_TypeError, "%s must be an int or a str, not %R%s", what, Py_TYPE(value),
                     is_uuid ? "; use str(value)" : "");
        return -1;
    }
    return py_convert_u64(state, value, what, &out->number);
}

/* The same for one of several, with its place in the message. */
static int id_from_python_at(struct module_state *state, PyObject *value, bool single, size_t index,
                             omendb_id *out)
{
    if (id_from_python(state, value, "an id", out) == 0) return 0;
    if (single) return -1;
    char what[40];
    (void)PyOS_snprintf(what, sizeof what, "ids[%zu]", index);
    PyErr_Clear();
    return id_from_python(state, value, what, out);
}

PyObject *py_convert_id_to_python(const omendb_id *id)
{
    if (id->text_view == NULL) return PyLong_FromUnsignedLongLong(id->number);
    return PyUnicode_DecodeUTF8(id->text_view, (Py_ssize_t)id->size, "strict");
}

/* 1 when the ids are a packed one-dimensional array of 64-bit integers: used where they lie. */
static int id_column_from_buffer(struct module_state *state, PyObject *value,
                                 struct id_column *column)
{
    if (!PyObject_CheckBuffer(value)) return 0;
    if (PyObject_GetBuffer(value, &column->buffer, PyBUF_ND | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return 0;
    }
    const char *format = column->buffer.format != NULL ? column->buffer.format : "B";
    if (*format == '<' || *format == '=' || *format == '@') format++;
    const bool is_signed = *format == 'q' || *format == 'l' || *format == 'n';
    const bool is_unsigned = *format == 'Q' || *format == 'L' || *format == 'N';
    if (column->buffer.ndim != 1 || column->buffer.itemsize != 8 || format[0] == '\0' ||
        format[1] != '\0' || !(is_signed || is_unsigned) ||
        (uintptr_t)column->buffer.buf % sizeof(uint64_t) != 0) {
        PyBuffer_Release(&column->buffer);
        return 0;
    }
    column->buffer_held = true;
    column->count = (size_t)column->buffer.shape[0];
    column->numbers = column->buffer.buf;
    for (size_t i = 0; is_signed && i < column->count; i++) {
        if (((const int64_t *)column->buffer.buf)[i] < 0) {
            (void)py_errors_format(state, OMENDB_ERR_ARGUMENT,
                                   "an id must be from 0 to 2**64 - 1, not %lld",
                                   (long long)((const int64_t *)column->buffer.buf)[i]);
            return -1;
        }
    }
    return 1;
}

/* The ids of column->owner; as plain numbers when they all are and the caller can take that. */
static int id_column_from_tuple(struct module_state *state, bool as_ids, struct id_column *column)
{
    column->count = (size_t)PyTuple_Size(column->owner);
    if (column->count == 0) return 0;
    column->ids = PyMem_Malloc(column->count * sizeof *column->ids);
    if (column->ids == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    bool all_numbers = !as_ids;
    for (size_t i = 0; i < column->count; i++) {
        PyObject *const value = PyTuple_GetItem(column->owner, (Py_ssize_t)i);
        if (id_from_python_at(state, value, column->single, i, &column->ids[i]) < 0) return -1;
        all_numbers = all_numbers && column->ids[i].text_view == NULL;
    }
    if (all_numbers) {
        uint64_t *const numbers = PyMem_Malloc(column->count * sizeof *numbers);
        if (numbers == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        for (size_t i = 0; i < column->count; i++) numbers[i] = column->ids[i].number;
        PyMem_Free(column->ids);
        column->numbers = numbers;
        column->block = numbers;
        column->ids = NULL;
    }
    return 0;
}

/* Numbers in a buffer as omendb_id, for the calls that take only those. */
static int id_column_spread(struct id_column *column)
{
    omendb_id *const ids = PyMem_Calloc(column->count + 1, sizeof *ids);
    if (ids == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < column->count; i++) ids[i].number = column->numbers[i];
    column->ids = ids;
    column->numbers = NULL;
    return 0;
}

/* Whether a value that didn't become a tuple could have been one. */
static bool id_column_iterable(PyObject *value)
{
    PyObject *type = NULL, *raised = NULL, *traceback = NULL;
    PyErr_Fetch(&type, &raised, &traceback);
    PyObject *iterator = PyObject_GetIter(value);
    if (iterator == NULL) PyErr_Clear();
    Py_XDECREF(iterator);
    PyErr_Restore(type, raised, traceback);
    return iterator != NULL;
}

int py_id_column_init(struct module_state *state, PyObject *value, bool as_ids,
                      struct id_column *column)
{
    *column = (struct id_column){.count = 0};
    int found = 0;
    if (PyBytes_Check(value) || PyByteArray_Check(value)) {
        PyErr_Format(PyExc_TypeError, "ids must be ints or strs, not %R", Py_TYPE(value));
        return -1;
    }
    if (PyUnicode_Check(value) || (PyIndex_Check(value) && !PyObject_CheckBuffer(value))) {
        column->single = true;
        column->owner = PyTuple_Pack(1, value);
    } else if ((found = id_column_from_buffer(state, value, column)) == 0) {
        /* A NumPy integer is a buffer of no dimension as well as an index. */
        column->owner = PySequence_Tuple(value);
        if (column->owner == NULL && !id_column_iterable(value)) {
            PyErr_Clear();
            column->single = true;
            column->owner = PyTuple_Pack(1, value);
        }
    }
    if (found == 1) {
        if (!as_ids || id_column_spread(column) == 0) return 0;
    } else if (found == 0 && column->owner != NULL) {
        if (id_column_from_tuple(state, as_ids, column) == 0) return 0;
    }
    py_id_column_deinit(column);
    return -1;
}

void py_id_column_deinit(struct id_column *column)
{
    PyMem_Free(column->ids);
    PyMem_Free(column->block);
    Py_XDECREF(column->owner);
    if (column->buffer_held) PyBuffer_Release(&column->buffer);
    *column = (struct id_column){.count = 0};
}
