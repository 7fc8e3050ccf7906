/* Documents and filters as JSON text, straight into one buffer: no `import json` to write.
 * A byte string becomes {"$binary": "<base64>"}. What JSON cannot say is refused here, with
 * the Python type in the message. */
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

static int json_append_string(struct module_state *state, struct text *text, PyObject *value)
{
    const char *bytes = NULL;
    size_t size = 0;
    if (py_convert_text(state, value, "document", &bytes, &size) < 0) return -1;
    if (text_append_char(text, '"') < 0) return -1;
    size_t begin = 0;
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        if (text_append(text, bytes + begin, i - begin) < 0) return -1;
        begin = i + 1;
        char escape[8];
        int length = 2;
        escape[0] = '\\';
        escape[1] = (char)c;
        if (c < 0x20) length = PyOS_snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        if (text_append(text, escape, (size_t)length) < 0) return -1;
    }
    if (text_append(text, bytes + begin, size - begin) < 0) return -1;
    return text_append_char(text, '"');
}

static int json_append_int(struct module_state *state, struct text *text, PyObject *value)
{
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
        if (number == -1 && PyErr_Occurred()) return -1;
        char digits[24];
        const int length = PyOS_snprintf(digits, sizeof digits, "%lld", number);
        return text_append(text, digits, (size_t)length);
    }
    PyObject *digits = PyNumber_ToBase(value, 10);
    if (digits == NULL) return -1;
    const char *bytes = NULL;
    size_t size = 0;
    int result = py_convert_text(state, digits, "document", &bytes, &size);
    if (result == 0) result = text_append(text, bytes, size);
    Py_DECREF(digits);
    return result;
}

static int json_append_float(struct module_state *state, struct text *text, double value)
{
    if (!isfinite(value)) {
        (void)py_errors_format(state, OMENDB_ERR_VALUE, "a document may not hold %s",
                               isnan(value) ? "NaN" : "an infinity");
        return -1;
    }
    char *const digits = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (digits == NULL) return -1;
    const int result = text_append(text, digits, strlen(digits));
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

static int json_append_value(struct module_state *state, struct text *text, PyObject *value,
                             unsigned depth);

static int json_append_dict(struct module_state *state, struct text *text, PyObject *value,
                            unsigned depth)
{
    PyObject *key = NULL, *item = NULL;
    Py_ssize_t position = 0;
    bool first = true;
    if (text_append_char(text, '{') < 0) return -1;
    while (PyDict_Next(value, &position, &key, &item)) {
        if (!PyUnicode_Check(key)) {
            PyErr_Format(PyExc_TypeError, "keys of a document must be str, not %R", Py_TYPE(key));
            return -1;
        }
        /* Encoding may run foreign code (tolist) that changes the dict. */
        Py_INCREF(key);
        Py_INCREF(item);
        int result = first ? 0 : text_append_char(text, ',');
        if (result == 0) result = json_append_string(state, text, key);
        if (result == 0) result = text_append_char(text, ':');
        if (result == 0) result = json_append_value(state, text, item, depth);
        Py_DECREF(key);
        Py_DECREF(item);
        if (result < 0) return -1;
        first = false;
    }
    return text_append_char(text, '}');
}

static int json_append_sequence(struct module_state *state, struct text *text, PyObject *value,
                                unsigned depth)
{
    PyObject *items = PySequence_Tuple(value);
    if (items == NULL) return -1;
    const Py_ssize_t count = PyTuple_Size(items);
    int result = text_append_char(text, '[');
    for (Py_ssize_t i = 0; i < count && result == 0; i++) {
        if (i > 0) result = text_append_char(text, ',');
        if (result == 0) {
            result = json_append_value(state, text, PyTuple_GetItem(items, i), depth);
        }
    }
    Py_DECREF(items);
    return result == 0 ? text_append_char(text, ']') : -1;
}

/* NumPy's scalars and arrays know what they are in plain Python. */
static int json_append_foreign(struct module_state *state, struct text *text, PyObject *value,
                               unsigned depth)
{
    PyObject *plain = PyObject_CallMethod(value, "tolist", NULL);
    if (plain == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Format(PyExc_TypeError, "a document cannot hold %R", Py_TYPE(value));
        }
        return -1;
    }
    const int result = json_append_value(state, text, plain, depth);
    Py_DECREF(plain);
    return result;
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than OMENDB_DEPTH_MAX. */
static int json_append_value(struct module_state *state, struct text *text, PyObject *value,
                             unsigned depth)
{
    if (depth > OMENDB_DEPTH_MAX) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "a document is nested deeper than %u",
                               OMENDB_DEPTH_MAX);
        return -1;
    }
    if (Py_IsNone(value)) return text_append(text, "null", 4);
    if (Py_IsTrue(value)) return text_append(text, "true", 4);
    if (Py_IsFalse(value)) return text_append(text, "false", 5);
    if (PyUnicode_Check(value)) return json_append_string(state, text, value);
    if (PyLong_Check(value)) return json_append_int(state, text, value);
    if (PyFloat_Check(value)) return json_append_float(state, text, PyFloat_AsDouble(value));
    if (PyDict_Check(value)) return json_append_dict(state, text, value, depth + 1);
    if (PyList_Check(value) || PyTuple_Check(value)) {
        return json_append_sequence(state, text, value, depth + 1);
    }
    if (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value)) {
        return json_append_bytes(text, value);
    }
    return json_append_foreign(state, text, value, depth + 1);
}

int py_json_append(struct module_state *state, struct text *text, PyObject *value)
{
    return json_append_value(state, text, value, 0);
}

int py_json_append_object(struct module_state *state, struct text *text, PyObject *value,
                          const char *missing, const char *what)
{
    if (value == NULL || Py_IsNone(value)) return text_append(text, missing, strlen(missing));
    if (PyUnicode_Check(value)) {
        const char *bytes = NULL;
        size_t size = 0;
        if (py_convert_text(state, value, what, &bytes, &size) < 0) return -1;
        if (size != 0) return text_append(text, bytes, size);
        (void)py_errors_format(state, OMENDB_ERR_VALUE, "%s: the empty string isn't JSON", what);
        return -1;
    }
    if (PyDict_Check(value)) return py_json_append(state, text, value);
    PyErr_Format(PyExc_TypeError, "%s must be a dict, a JSON str or None, not %R", what,
                 Py_TYPE(value));
    return -1;
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
    PyObject *result = py_module_call_helper(state, has_binary ? "decode_binary" : "decode", &text,
                                             1);
    Py_DECREF(text);
    return result;
}

PyObject *py_json_decode_owned(struct module_state *state, char *text)
{
    PyObject *result = py_json_decode(state, text, strlen(text));
    omendb_text_destroy(text);
    return result;
}
