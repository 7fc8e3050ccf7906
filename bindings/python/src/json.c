/* Documents and filters as JSON text, straight into one buffer: no `import json` to write.
 * A byte string becomes {"$binary": "<base64>"}. What JSON cannot say is refused here, with
 * its Python type and its place, which the frames of the recursion know:
 *
 *     struct json_place <- struct json_place <- struct json_place
 *        documents[3]        ['meta']              [0]                documents[3]['meta'][0]
 */
#include "binding.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int text_reserve(struct text *text, size_t more)
{
    if (more <= text->capacity - text->size) return 0;
    size_t capacity = text->capacity != 0 ? text->capacity * 2 : 256;
    while (capacity - text->size < more) {
        if (capacity > (size_t)PY_SSIZE_T_MAX / 2) {
            PyErr_NoMemory();
            return -1;
        }
        capacity *= 2;
    }
    char *const data = PyMem_Realloc(text->data, capacity);
    if (data == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    text->data = data;
    text->capacity = capacity;
    return 0;
}

static int text_append(struct text *text, const char *data, size_t size)
{
    if (size == 0) return 0; /* memcpy() takes no NULL. */
    if (text_reserve(text, size) < 0) return -1;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    return 0;
}

static int text_append_char(struct text *text, char c)
{
    return text_append(text, &c, 1);
}

void py_text_deinit(struct text *text)
{
    PyMem_Free(text->data);
    *text = (struct text){NULL, 0, 0};
}

/* Where in the Python value the writer is. */
struct json_place {
    const struct json_place *outer; /* NULL: the whole value. */
    const char *what;               /* Of the whole value: its name. */
    PyObject *key;                  /* Borrowed; NULL: `index`. */
    Py_ssize_t index;               /* Below 0 in the whole value: there is just one. */
};

struct json_writer {
    struct module_state *state;
    struct text *text;
};

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than OMENDB_DEPTH_MAX. */
static PyObject *json_place_text(const struct json_place *place)
{
    if (place->outer == NULL) {
        return place->index < 0 ? PyUnicode_FromString(place->what)
                                : PyUnicode_FromFormat("%s[%zd]", place->what, place->index);
    }
    PyObject *outer = json_place_text(place->outer);
    if (outer == NULL) return NULL;
    PyObject *text = place->key != NULL ? PyUnicode_FromFormat("%U[%R]", outer, place->key)
                                        : PyUnicode_FromFormat("%U[%zd]", outer, place->index);
    Py_DECREF(outer);
    return text;
}

/* Raises "<place>: <problem>" as TypeError (status OK) or as what the status stands for; takes
 * `problem`; always -1. */
static int json_refuse(struct module_state *state, const struct json_place *place,
                       omendb_status status, PyObject *problem)
{
    PyObject *at = problem != NULL ? json_place_text(place) : NULL;
    if (at != NULL && status == OMENDB_OK) {
        PyErr_Format(PyExc_TypeError, "%U: %U", at, problem);
    } else if (at != NULL) {
        (void)py_errors_format(state, status, "%U: %U", at, problem);
    }
    Py_XDECREF(at);
    Py_XDECREF(problem);
    return -1;
}

/* A type that JSON has no form for, and what to do about those that people try. */
static int json_refuse_type(struct module_state *state, const struct json_place *place,
                            PyObject *value)
{
    static const struct {
        const char *name;
        const char *hint;
    } hints[] = {
        {"datetime", "; use .isoformat() or .timestamp()"},
        {"date", "; use .isoformat()"},
        {"time", "; use .isoformat()"},
        {"Timestamp", "; use .isoformat() or .timestamp()"},
        {"datetime64", "; use str(value)"},
        {"timedelta", "; use .total_seconds()"},
        {"Decimal", "; use str(value) or float(value)"},
        {"UUID", "; use str(value)"},
        {"PosixPath", "; use str(value)"},
        {"set", "; use list(value)"},
        {"frozenset", "; use list(value)"},
        {"generator", "; use list(value)"},
    };
    const char *hint = "";
    PyObject *name = PyType_GetName(Py_TYPE(value));
    if (name == NULL) return -1;
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (PyUnicode_CompareWithASCIIString(name, hints[i].name) == 0) hint = hints[i].hint;
    }
    Py_DECREF(name);
    return json_refuse(state, place, OMENDB_OK,
                       PyUnicode_FromFormat("a document cannot hold %R%s", Py_TYPE(value), hint));
}

static int json_append_string(const struct json_writer *writer, PyObject *value,
                              const struct json_place *place)
{
    struct text *const text = writer->text;
    Py_ssize_t length = 0;
    const char *const bytes = PyUnicode_AsUTF8AndSize(value, &length);
    if (bytes == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return -1;
        PyErr_Clear();
        return json_refuse(writer->state, place, OMENDB_ERR_VALUE,
                           PyUnicode_FromString("a str with lone surrogates isn't UTF-8"));
    }
    const size_t size = (size_t)length;
    if (text_append_char(text, '"') < 0) return -1;
    size_t begin = 0;
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        if (text_append(text, bytes + begin, i - begin) < 0) return -1;
        begin = i + 1;
        char escape[8];
        int escape_length = 2;
        escape[0] = '\\';
        escape[1] = (char)c;
        if (c < 0x20) {
            escape_length = PyOS_snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        }
        if (text_append(text, escape, (size_t)escape_length) < 0) return -1;
    }
    if (text_append(text, bytes + begin, size - begin) < 0) return -1;
    return text_append_char(text, '"');
}

static int json_append_int(const struct json_writer *writer, PyObject *value,
                           const struct json_place *place)
{
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
        if (number == -1 && PyErr_Occurred()) return -1;
        char digits[24];
        const int length = PyOS_snprintf(digits, sizeof digits, "%lld", number);
        return text_append(writer->text, digits, (size_t)length);
    }
    PyObject *digits = PyNumber_ToBase(value, 10);
    if (digits == NULL) {
        /* Python limits the conversion, in this direction and in the other. */
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
        PyErr_Clear();
        return json_refuse(writer->state, place, OMENDB_ERR_VALUE,
                           PyUnicode_FromString("an int of too many digits"));
    }
    Py_ssize_t size = 0;
    const char *const bytes = PyUnicode_AsUTF8AndSize(digits, &size);
    const int result = bytes != NULL ? text_append(writer->text, bytes, (size_t)size) : -1;
    Py_DECREF(digits);
    return result;
}

static int json_append_float(const struct json_writer *writer, double value,
                             const struct json_place *place)
{
    if (!isfinite(value)) {
        return json_refuse(writer->state, place, OMENDB_ERR_VALUE,
                           PyUnicode_FromFormat("a document cannot hold %s",
                                                isnan(value) ? "NaN" : "an infinity"));
    }
    char *const digits = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (digits == NULL) return -1;
    const int result = text_append(writer->text, digits, strlen(digits));
    PyMem_Free(digits);
    return result;
}

static int json_append_bytes(struct text *text, PyObject *value)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char head[] = "{\"$binary\":\"";
    Py_buffer buffer;
    if (PyObject_GetBuffer(value, &buffer, PyBUF_SIMPLE) < 0) return -1;
    const unsigned char *const bytes = buffer.buf;
    const size_t size = (size_t)buffer.len;
    int result = text_append(text, head, sizeof head - 1);
    for (size_t i = 0; i < size && result == 0; i += 3) {
        const size_t left = size - i;
        const unsigned group = (unsigned)bytes[i] << 16 |
                               (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                               (left > 2 ? (unsigned)bytes[i + 2] : 0);
        const char digits[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                                left > 1 ? alphabet[group >> 6 & 63] : '=',
                                left > 2 ? alphabet[group & 63] : '='};
        result = text_append(text, digits, sizeof digits);
    }
    if (result == 0) result = text_append(text, "\"}", 2);
    PyBuffer_Release(&buffer);
    return result;
}

/* A memoryview of bytes holds bytes, also where they don't lie side by side; of other elements
 * it could be either. */
static int json_append_memory(const struct json_writer *writer, PyObject *value,
                              const struct json_place *place)
{
    PyObject *format = PyObject_GetAttr(value, writer->state->names[NAME_FORMAT]);
    if (format == NULL) return -1;
    const bool is_bytes = PyUnicode_CompareWithASCIIString(format, "B") == 0 ||
                          PyUnicode_CompareWithASCIIString(format, "b") == 0 ||
                          PyUnicode_CompareWithASCIIString(format, "c") == 0;
    if (!is_bytes) {
        const int refused = json_refuse(
            writer->state, place, OMENDB_OK,
            PyUnicode_FromFormat("a memoryview of %R elements: use bytes(view) or view.tolist()",
                                 format));
        Py_DECREF(format);
        return refused;
    }
    Py_DECREF(format);
    PyObject *bytes = py_module_call_method(writer->state, value, NAME_TOBYTES);
    if (bytes == NULL) return -1;
    const int result = json_append_bytes(writer->text, bytes);
    Py_DECREF(bytes);
    return result;
}

static int json_append_value(const struct json_writer *writer, PyObject *value,
                             const struct json_place *place, unsigned depth);

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than OMENDB_DEPTH_MAX. */
static int json_append_dict(const struct json_writer *writer, PyObject *value,
                            const struct json_place *place, unsigned depth)
{
    PyObject *key = NULL, *item = NULL;
    Py_ssize_t position = 0;
    bool first = true;
    if (text_append_char(writer->text, '{') < 0) return -1;
    while (PyDict_Next(value, &position, &key, &item)) {
        if (!PyUnicode_Check(key)) {
            return json_refuse(
                writer->state, place, OMENDB_OK,
                PyUnicode_FromFormat("keys must be str, not %R (%R)", Py_TYPE(key), key));
        }
        /* Encoding may run foreign code (tolist) that changes the dict. */
        Py_INCREF(key);
        Py_INCREF(item);
        const struct json_place inner = {.outer = place, .key = key};
        int result = first ? 0 : text_append_char(writer->text, ',');
        if (result == 0) result = json_append_string(writer, key, &inner);
        if (result == 0) result = text_append_char(writer->text, ':');
        if (result == 0) result = json_append_value(writer, item, &inner, depth);
        Py_DECREF(key);
        Py_DECREF(item);
        if (result < 0) return -1;
        first = false;
    }
    return text_append_char(writer->text, '}');
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than OMENDB_DEPTH_MAX. */
static int json_append_sequence(const struct json_writer *writer, PyObject *value,
                                const struct json_place *place, unsigned depth)
{
    PyObject *items = PySequence_Tuple(value);
    if (items == NULL) return -1;
    const Py_ssize_t count = PyTuple_Size(items);
    int result = text_append_char(writer->text, '[');
    for (Py_ssize_t i = 0; i < count && result == 0; i++) {
        const struct json_place inner = {.outer = place, .index = i};
        if (i > 0) result = text_append_char(writer->text, ',');
        if (result == 0) {
            result = json_append_value(writer, PyTuple_GetItem(items, i), &inner, depth);
        }
    }
    Py_DECREF(items);
    return result == 0 ? text_append_char(writer->text, ']') : -1;
}

int py_json_is_mapping(const struct module_state *state, PyObject *value)
{
    if (PyDict_Check(value)) return 1;
    if (!PyMapping_Check(value) || PyUnicode_Check(value)) return 0;
    PyObject *keys = py_module_attribute(state, value, NAME_KEYS);
    if (keys == NULL) return PyErr_Occurred() ? -1 : 0;
    Py_DECREF(keys);
    return 1;
}

/* A copy of a mapping that isn't a dict; NULL without an exception: it is no mapping. */
static PyObject *json_copy_mapping(const struct module_state *state, PyObject *value)
{
    if (py_json_is_mapping(state, value) <= 0) return NULL;
    PyObject *dict = PyDict_New();
    if (dict != NULL && PyDict_Update(dict, value) < 0) Py_CLEAR(dict);
    return dict;
}

/* NumPy's times would come out of tolist() as a number that nobody meant. 1, 0, or -1. */
static int json_is_time(const struct module_state *state, PyObject *value)
{
    PyObject *type = py_module_attribute(state, value, NAME_DTYPE);
    PyObject *kind = type != NULL ? py_module_attribute(state, type, NAME_KIND) : NULL;
    int result = 0;
    if (kind != NULL && PyUnicode_Check(kind)) {
        result = PyUnicode_CompareWithASCIIString(kind, "M") == 0 ||
                 PyUnicode_CompareWithASCIIString(kind, "m") == 0;
    } else if (PyErr_Occurred()) {
        result = -1;
    }
    Py_XDECREF(type);
    Py_XDECREF(kind);
    return result;
}

/* NumPy's scalars and arrays, which know what they are in plain Python, and other mappings.
 * tolist() goes first: a series of pandas has keys as well. */
/* NOLINTNEXTLINE(misc-no-recursion): no deeper than OMENDB_DEPTH_MAX. */
static int json_append_foreign(const struct json_writer *writer, PyObject *value,
                               const struct json_place *place, unsigned depth)
{
    struct module_state *const state = writer->state;
    const int is_time = json_is_time(state, value);
    if (is_time < 0) return -1;
    if (is_time > 0) return json_refuse_type(state, place, value);
    PyObject *plain = py_module_call_method(state, value, NAME_TOLIST);
    if (plain == NULL && !PyErr_Occurred()) plain = json_copy_mapping(state, value);
    if (plain == NULL) return PyErr_Occurred() ? -1 : json_refuse_type(state, place, value);
    const int result = json_append_value(writer, plain, place, depth);
    Py_DECREF(plain);
    return result;
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than OMENDB_DEPTH_MAX. */
static int json_append_value(const struct json_writer *writer, PyObject *value,
                             const struct json_place *place, unsigned depth)
{
    struct text *const text = writer->text;
    if (depth > OMENDB_DEPTH_MAX) {
        /* Without its place: that would be 64 keys long. */
        (void)py_errors_format(writer->state, OMENDB_ERR_ARGUMENT,
                               "a document is nested deeper than %u", OMENDB_DEPTH_MAX);
        return -1;
    }
    if (Py_IsNone(value)) return text_append(text, "null", 4);
    if (Py_IsTrue(value)) return text_append(text, "true", 4);
    if (Py_IsFalse(value)) return text_append(text, "false", 5);
    if (PyUnicode_Check(value)) return json_append_string(writer, value, place);
    if (PyLong_Check(value)) return json_append_int(writer, value, place);
    if (PyFloat_Check(value)) return json_append_float(writer, PyFloat_AsDouble(value), place);
    if (PyDict_Check(value)) return json_append_dict(writer, value, place, depth + 1);
    if (PyList_Check(value) || PyTuple_Check(value)) {
        return json_append_sequence(writer, value, place, depth + 1);
    }
    if (PyBytes_Check(value) || PyByteArray_Check(value)) return json_append_bytes(text, value);
    if (PyMemoryView_Check(value)) return json_append_memory(writer, value, place);
    return json_append_foreign(writer, value, place, depth + 1);
}

int py_json_append_object(struct module_state *state, struct text *text, PyObject *value,
                          const char *missing, const char *what, Py_ssize_t row)
{
    const struct json_place place = {.what = what, .index = row};
    const struct json_writer writer = {state, text};
    if (value == NULL || Py_IsNone(value)) return text_append(text, missing, strlen(missing));
    if (PyUnicode_Check(value)) {
        const char *bytes = NULL;
        size_t size = 0;
        if (py_convert_text(state, value, what, &bytes, &size) < 0) return -1;
        if (size != 0) return text_append(text, bytes, size);
        return json_refuse(state, &place, OMENDB_ERR_VALUE,
                           PyUnicode_FromString("the empty string isn't JSON"));
    }
    if (PyDict_Check(value)) return json_append_value(&writer, value, &place, 0);
    PyObject *dict = json_copy_mapping(state, value);
    if (dict == NULL) {
        if (PyErr_Occurred()) return -1;
        return json_refuse(
            state, &place, OMENDB_OK,
            PyUnicode_FromFormat("must be a dict, a JSON str or None, not %R", Py_TYPE(value)));
    }
    const int result = json_append_value(&writer, dict, &place, 0);
    Py_DECREF(dict);
    return result;
}

PyObject *py_json_decode(struct module_state *state, const char *data, size_t size)
{
    static const char binary[] = "\"$binary\"";
    bool has_binary = false;
    for (const char *at = data; (at = memchr(at, '$', size - (size_t)(at - data))) != NULL; at++) {
        const size_t before = (size_t)(at - data);
        if (before >= 1 && size - before >= sizeof binary - 2 &&
            memcmp(at - 1, binary, sizeof binary - 1) == 0) {
            has_binary = true;
            break;
        }
    }
    PyObject *text = PyUnicode_DecodeUTF8(data, (Py_ssize_t)size, "strict");
    if (text == NULL) return NULL;
    PyObject *result = py_module_call_helper(state, has_binary ? NAME_DECODE_BINARY : NAME_DECODE,
                                             &text, 1);
    Py_DECREF(text);
    return result;
}

PyObject *py_json_decode_owned(struct module_state *state, char *text)
{
    PyObject *result = py_json_decode(state, text, strlen(text));
    omendb_text_destroy(text);
    return result;
}
