/* vectors.c - vectors from Python.
 *
 * An array - anything with the buffer protocol or __array_interface__ - is used where it lies:
 * f16, f32, f64, i8 and u8 elements, any positive distance between its rows, the components of
 * a row side by side. Another layout (columns, broadcast, misaligned, reversed) is gathered into
 * a block first. A list holds numbers (one vector) or rows: arrays of one element type, or lists
 * of numbers, which are passed on in double precision so that the engine alone rounds.
 *
 * uint8 is packed bits where the field is of type bit; uint16 the raw halves of bf16 where the
 * field is bf16. Booleans go with bit fields alone and are packed here; so are lists of zeros and
 * ones, and lists of whole bytes. An array of Python objects is a list; whatever has __array__()
 * is the array that it gives.
 */
#include "binding.h"

#include <limits.h>
#include <string.h>

/* Booleans, a byte each: never handed on as such. */
enum { VECTOR_BOOL = 7 };

/* An array before anything is known about how it will be used. */
struct vector_array {
    omendb_type type; /* OMENDB_BF16 stands for 16-bit unsigned integers; or VECTOR_BOOL. */
    const char *data;
    int dimensions; /* 1 or 2 */
    Py_ssize_t shape[2];
    Py_ssize_t strides[2];
    PyObject *owner;
    PyObject *interface;
    Py_buffer buffer;
    bool buffer_held;
};

static const unsigned char vector_element_sizes[] = {
    [OMENDB_F32] = 4, [OMENDB_F16] = 2, [OMENDB_BF16] = 2, [OMENDB_I8] = 1,
    [OMENDB_U8] = 1,  [OMENDB_BIT] = 1, [OMENDB_F64] = 8,  [VECTOR_BOOL] = 1,
};

static void vector_array_deinit(struct vector_array *array)
{
    if (array->buffer_held) PyBuffer_Release(&array->buffer);
    Py_CLEAR(array->owner);
    Py_CLEAR(array->interface);
    array->buffer_held = false;
}

static int vector_array_refuse(const char *element)
{
    PyErr_Format(PyExc_TypeError,
                 "vectors must hold float32, float16, float64, int8 or uint8, not '%s' elements: "
                 "use X.astype('float32')",
                 element);
    return -1;
}

static int vector_array_check_dimensions(struct module_state *state, Py_ssize_t dimensions)
{
    if (dimensions == 1 || dimensions == 2) return 0;
    (void)py_errors_format(state, OMENDB_ERR_ARGUMENT,
                           "vectors must be of shape (dim,) or (rows, dim), not of %zd dimensions",
                           dimensions);
    return -1;
}

static int vector_array_from_buffer(struct module_state *state, struct vector_array *array)
{
    array->buffer_held = true;
    const Py_buffer *const buffer = &array->buffer;
    const char *const full = buffer->format != NULL ? buffer->format : "B";
    const char *const format = *full == '<' || *full == '=' || *full == '@' ? full + 1 : full;
    switch (format[0] != '\0' && format[1] == '\0' ? format[0] : '?') {
    case 'f':
        array->type = OMENDB_F32;
        break;
    case 'e':
        array->type = OMENDB_F16;
        break;
    case 'd':
        array->type = OMENDB_F64;
        break;
    case 'b':
        array->type = OMENDB_I8;
        break;
    case 'B':
        array->type = OMENDB_U8;
        break;
    case 'H':
        array->type = OMENDB_BF16;
        break;
    case '?':
        array->type = VECTOR_BOOL;
        if (*full == '?' && full[1] == '\0') break;
        return vector_array_refuse(full);
    default:
        return vector_array_refuse(full);
    }
    if (buffer->itemsize != vector_element_sizes[array->type]) return vector_array_refuse(full);
    if (vector_array_check_dimensions(state, buffer->ndim) < 0) return -1;
    array->data = buffer->buf;
    array->dimensions = buffer->ndim;
    Py_ssize_t packed = buffer->itemsize;
    for (int i = buffer->ndim - 1; i >= 0; i--) {
        array->shape[i] = buffer->shape[i];
        /* ctypes gives no strides, whatever is asked for. */
        array->strides[i] = buffer->strides != NULL ? buffer->strides[i] : packed;
        packed *= buffer->shape[i];
    }
    return 0;
}

static int vector_array_typestr(PyObject *typestr, omendb_type *out)
{
    static const struct {
        const char *typestr;
        omendb_type type;
    } known[] = {
        {"<f4", OMENDB_F32},  {"<f2", OMENDB_F16},  {"<f8", OMENDB_F64},
        {"|i1", OMENDB_I8},   {"|u1", OMENDB_U8},   {"<u2", OMENDB_BF16},
        {"<V2", OMENDB_BF16}, {"|V2", OMENDB_BF16}, {"|b1", VECTOR_BOOL},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (PyUnicode_CompareWithASCIIString(typestr, known[i].typestr) == 0) {
            *out = known[i].type;
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError,
                 "vectors must hold float32, float16, float64, int8 or uint8, not %R elements: "
                 "use X.astype('float32')",
                 typestr);
    return -1;
}

/* One of the tuples of an array interface: `count` numbers. */
static int vector_array_numbers(PyObject *tuple, int count, Py_ssize_t *out)
{
    for (int i = 0; i < count; i++) {
        PyObject *const item = PyTuple_GetItem(tuple, i);
        if (item == NULL) return -1;
        out[i] = PyNumber_AsSsize_t(item, PyExc_OverflowError);
        if (out[i] == -1 && PyErr_Occurred()) return -1;
    }
    return 0;
}

static int vector_array_from_interface(struct module_state *state, struct vector_array *array)
{
    PyObject *const interface = array->interface;
    if (!PyDict_Check(interface)) goto malformed;
    PyObject *const shape = PyDict_GetItemString(interface, "shape");
    PyObject *const typestr = PyDict_GetItemString(interface, "typestr");
    PyObject *const data = PyDict_GetItemString(interface, "data");
    PyObject *const strides = PyDict_GetItemString(interface, "strides");
    if (shape == NULL || !PyTuple_Check(shape) || typestr == NULL || !PyUnicode_Check(typestr) ||
        data == NULL || !PyTuple_Check(data) || PyTuple_Size(data) < 1) {
        goto malformed;
    }
    if (vector_array_typestr(typestr, &array->type) < 0) return -1;
    const Py_ssize_t dimensions = PyTuple_Size(shape);
    if (vector_array_check_dimensions(state, dimensions) < 0) return -1;
    array->dimensions = (int)dimensions;
    if (vector_array_numbers(shape, array->dimensions, array->shape) < 0) return -1;
    if (array->shape[0] < 0 || (dimensions == 2 && array->shape[1] < 0)) goto malformed;
    if (strides != NULL && !Py_IsNone(strides)) {
        if (!PyTuple_Check(strides) || PyTuple_Size(strides) != dimensions) goto malformed;
        if (vector_array_numbers(strides, array->dimensions, array->strides) < 0) return -1;
    } else {
        const Py_ssize_t size = vector_element_sizes[array->type];
        array->strides[0] = dimensions == 2 ? array->shape[1] * size : size;
        array->strides[1] = size;
    }
    array->data = PyLong_AsVoidPtr(PyTuple_GetItem(data, 0));
    return array->data == NULL && PyErr_Occurred() ? -1 : 0;
malformed:
    PyErr_SetString(PyExc_TypeError, "__array_interface__ isn't as NumPy describes it");
    return -1;
}

/* 1: a buffer was got; 0: there is none; -1: `value` holds Python objects and is no array. Some
 * types, NumPy's extensions, have a buffer protocol that fails and an interface that works. */
static int vector_array_get_buffer(PyObject *value, struct vector_array *array)
{
    if (!PyObject_CheckBuffer(value)) return 0;
    if (PyObject_GetBuffer(value, &array->buffer, PyBUF_STRIDES | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return 0;
    }
    const char *const format = array->buffer.format;
    if (format == NULL || strcmp(format, "O") != 0) return 1;
    PyBuffer_Release(&array->buffer);
    return -1;
}

/* 1: `value` is an array; 0: it is something else; -1 with an exception. */
static int vector_array_init_plain(struct module_state *state, PyObject *value,
                                   struct vector_array *array)
{
    *array = (struct vector_array){.data = NULL};
    if (PyList_Check(value) || PyTuple_Check(value)) return 0;
    int result = vector_array_get_buffer(value, array);
    if (result < 0) return 0;
    if (result > 0) {
        result = vector_array_from_buffer(state, array);
    } else {
        array->interface = py_module_attribute(state, value, NAME_ARRAY_INTERFACE);
        if (array->interface == NULL) return PyErr_Occurred() ? -1 : 0;
        result = vector_array_from_interface(state, array);
    }
    if (result < 0) {
        vector_array_deinit(array);
        return -1;
    }
    Py_INCREF(value);
    array->owner = value;
    if (array->dimensions == 1) {
        array->shape[1] = array->shape[0];
        array->strides[1] = array->strides[0];
        array->shape[0] = 1;
        array->strides[0] = 0;
    }
    return 1;
}

/* The same, also through __array__(): pandas, torch and the like. */
static int vector_array_init(struct module_state *state, PyObject *value,
                             struct vector_array *array)
{
    const int result = vector_array_init_plain(state, value, array);
    if (result != 0 || PyList_Check(value) || PyTuple_Check(value)) return result;
    if (PyUnicode_Check(value) || PyType_Check(value)) return 0;
    PyObject *converted = py_module_call_method(state, value, NAME_ARRAY);
    if (converted == NULL) return PyErr_Occurred() ? -1 : 0;
    const int second = vector_array_init_plain(state, converted, array);
    Py_DECREF(converted); /* The array keeps it. */
    return second;
}

/* Copies row `row` of an array into `to`, its components side by side. */
static void vector_array_copy_row(const struct vector_array *array, Py_ssize_t row, char *to)
{
    const size_t size = vector_element_sizes[array->type];
    const char *const from = array->data + row * array->strides[0];
    if (array->strides[1] == (Py_ssize_t)size) {
        memcpy(to, from, (size_t)array->shape[1] * size);
        return;
    }
    for (Py_ssize_t i = 0; i < array->shape[1]; i++) {
        memcpy(to + (size_t)i * size, from + i * array->strides[1], size);
    }
}

static void *vector_block(size_t rows, size_t row_size)
{
    void *block = NULL;
    if (row_size == 0 || rows <= (size_t)PY_SSIZE_T_MAX / row_size) {
        block = PyMem_Calloc(rows != 0 ? rows : 1, row_size != 0 ? row_size : 1);
    }
    if (block == NULL) PyErr_NoMemory();
    return block;
}

/* How rows of one kind are handed on. */
struct vector_form {
    omendb_type type;
    uint32_t dim;
    size_t row_size; /* Bytes of a packed row. */
    enum { FORM_ELEMENTS, FORM_DOUBLES, FORM_BITS, FORM_BYTES } from;
};

/* Decides what elements of `type` (a list: OMENDB_F64), `width` in a row, mean to the field. */
static int vector_form_init(struct module_state *state, struct collection *collection,
                            PyObject *field, omendb_type type, bool is_list, Py_ssize_t width,
                            struct vector_form *form)
{
    if ((size_t)width > UINT32_MAX / CHAR_BIT) {
        (void)py_errors_format(state, OMENDB_ERR_DIMENSION, "a vector of %zd components", width);
        return -1;
    }
    const uint32_t count = (uint32_t)width;
    *form = (struct vector_form){.type = type,
                                 .dim = count,
                                 .row_size = (size_t)width * vector_element_sizes[type],
                                 .from = is_list ? FORM_DOUBLES : FORM_ELEMENTS};
    if (!is_list && type != OMENDB_U8 && type != OMENDB_BF16 && type != VECTOR_BOOL) return 0;
    omendb_type stored = OMENDB_F32;
    uint32_t dim = 0;
    const int found = py_collection_vector_field(state, collection, field, &stored, &dim);
    if (found < 0) return -1;
    const bool is_bit = found == 1 && stored == OMENDB_BIT;
    if (type == OMENDB_BF16 && stored != OMENDB_BF16) return vector_array_refuse("H");
    if (type == VECTOR_BOOL && !is_bit) return vector_array_refuse("?");
    if (!is_bit) return 0;
    const uint32_t bytes = (dim + CHAR_BIT - 1) / CHAR_BIT;
    form->type = OMENDB_BIT;
    if (type == OMENDB_U8 || (is_list && count == bytes && count != dim)) {
        form->dim = bytes == count ? dim : count * CHAR_BIT;
        form->row_size = count;
        if (is_list) form->from = FORM_BYTES;
        return 0;
    }
    form->from = FORM_BITS;
    form->row_size = (count + CHAR_BIT - 1) / CHAR_BIT;
    return 0;
}

/* Row `row` of an array into `to`. */
static void vector_form_copy(const struct vector_form *form, const struct vector_array *array,
                             Py_ssize_t row, char *to)
{
    if (form->from == FORM_ELEMENTS) {
        vector_array_copy_row(array, row, to);
        return;
    }
    const char *const from = array->data + row * array->strides[0];
    memset(to, 0, form->row_size);
    for (Py_ssize_t i = 0; i < array->shape[1]; i++) {
        if (from[i * array->strides[1]] != 0) to[i / CHAR_BIT] |= (char)(1 << i % CHAR_BIT);
    }
}

static int vector_rows_from_array(struct module_state *state, struct collection *collection,
                                  PyObject *field, struct vector_array *array,
                                  struct vector_rows *rows)
{
    const size_t size = vector_element_sizes[array->type];
    const size_t width = (size_t)array->shape[1];
    rows->count = (size_t)array->shape[0];
    rows->single = array->dimensions == 1;
    struct vector_form form;
    if (vector_form_init(state, collection, field, array->type, false, array->shape[1], &form) <
        0) {
        return -1;
    }
    rows->type = form.type;
    rows->dim = form.dim;
    const bool side_by_side = array->strides[1] == (Py_ssize_t)size || width <= 1;
    const bool rows_forward = rows->count <= 1 ||
                              (array->strides[0] >= (Py_ssize_t)(width * size) && width != 0);
    const bool aligned = (uintptr_t)array->data % size == 0 &&
                         (rows->count <= 1 || array->strides[0] % (Py_ssize_t)size == 0);
    if (side_by_side && rows_forward && aligned && form.from == FORM_ELEMENTS) {
        rows->data = array->data;
        rows->row_stride = rows->count > 1 ? (size_t)array->strides[0] : width * size;
        rows->owner = array->owner;
        rows->interface = array->interface;
        rows->buffer = array->buffer;
        rows->buffer_held = array->buffer_held;
        *array = (struct vector_array){.data = NULL}; /* Moved. */
        return 0;
    }
    rows->row_stride = form.row_size;
    rows->block = vector_block(rows->count, rows->row_stride);
    if (rows->block == NULL) return -1;
    for (size_t i = 0; i < rows->count; i++) {
        vector_form_copy(&form, array, (Py_ssize_t)i, (char *)rows->block + i * rows->row_stride);
    }
    rows->data = rows->block;
    return 0;
}

/* ---- Lists ----------------------------------------------------------------------------- */

/* A list's number as what the field takes; `index` of them into `to`. */
static int vector_form_put(struct module_state *state, const struct vector_form *form,
                           PyObject *number, Py_ssize_t index, char *to)
{
    const double value = PyFloat_AsDouble(number);
    if (value == -1.0 && PyErr_Occurred()) return -1;
    if (form->from == FORM_DOUBLES) {
        memcpy(to + (size_t)index * sizeof value, &value, sizeof value);
        return 0;
    }
    const int max = form->from == FORM_BITS ? 1 : UCHAR_MAX;
    const int whole = value >= 0.0 && value <= (double)max ? (int)value : -1;
    if (whole < 0 || (double)whole != value) {
        (void)py_errors_format(state, OMENDB_ERR_VALUE,
                               "component %zd of a bit vector must be %s, not %R", index,
                               form->from == FORM_BITS ? "0 or 1" : "a byte", number);
        return -1;
    }
    if (form->from == FORM_BYTES) {
        to[index] = (char)(unsigned char)whole;
    } else {
        to[index / CHAR_BIT] |= (char)(whole << index % CHAR_BIT);
    }
    return 0;
}

/* All numbers of a list into `to`, which holds zeros. */
static int vector_form_put_all(struct module_state *state, const struct vector_form *form,
                               PyObject *numbers, char *to)
{
    const Py_ssize_t count = PyTuple_Size(numbers);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (vector_form_put(state, form, PyTuple_GetItem(numbers, i), i, to) < 0) return -1;
    }
    return 0;
}

static int vector_rows_from_numbers(struct module_state *state, struct collection *collection,
                                    PyObject *field, PyObject *numbers, struct vector_rows *rows)
{
    struct vector_form form;
    rows->single = true;
    rows->count = 1;
    if (vector_form_init(state, collection, field, OMENDB_F64, true, PyTuple_Size(numbers), &form) <
        0) {
        return -1;
    }
    rows->type = form.type;
    rows->dim = form.dim;
    rows->row_stride = form.row_size;
    rows->block = vector_block(1, rows->row_stride);
    rows->data = rows->block;
    if (rows->block == NULL) return -1;
    return vector_form_put_all(state, &form, numbers, rows->block);
}

/* One row of a list, into rows->block, which the first row present makes. */
static int vector_rows_add(struct module_state *state, struct collection *collection,
                           PyObject *field, PyObject *value, size_t index, struct vector_rows *rows)
{
    struct vector_array array;
    struct vector_form form;
    PyObject *numbers = NULL;
    int result = -1;
    const int is_array = vector_array_init(state, value, &array);
    if (is_array < 0) return -1;
    if (is_array == 0) {
        numbers = PyUnicode_Check(value) ? NULL : PySequence_Tuple(value);
        if (numbers == NULL) {
            if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError)) return -1;
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError,
                         "row %zu: a vector must be an array or a list of numbers,"
                         " not %R",
                         index, Py_TYPE(value));
            return -1;
        }
    } else if (array.dimensions != 1) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT,
                               "row %zu: a vector must have one dimension", index);
        goto cleanup;
    }
    const omendb_type type = is_array ? array.type : OMENDB_F64;
    const Py_ssize_t width = is_array ? array.shape[1] : PyTuple_Size(numbers);
    if (vector_form_init(state, collection, field, type, is_array == 0, width, &form) < 0) {
        goto cleanup;
    }
    if (rows->block == NULL) {
        rows->type = form.type;
        rows->dim = form.dim;
        rows->row_stride = form.row_size;
        rows->block = vector_block(rows->count, rows->row_stride);
        if (rows->block == NULL) goto cleanup;
    }
    if (form.type != rows->type) {
        PyErr_Format(PyExc_TypeError, "row %zu: the rows of a list must have one element type",
                     index);
        goto cleanup;
    }
    if (form.dim != rows->dim || form.row_size != rows->row_stride) {
        (void)py_errors_format(state, OMENDB_ERR_DIMENSION,
                               "row %zu: a vector of %u components after one of %u", index,
                               (unsigned)form.dim, (unsigned)rows->dim);
        goto cleanup;
    }
    char *const to = (char *)rows->block + index * rows->row_stride;
    if (is_array) {
        vector_form_copy(&form, &array, 0, to);
        result = 0;
    } else {
        result = vector_form_put_all(state, &form, numbers, to);
    }
cleanup:
    if (is_array) vector_array_deinit(&array);
    Py_XDECREF(numbers);
    return result;
}

static int vector_rows_from_list(struct module_state *state, struct collection *collection,
                                 PyObject *field, PyObject *items, bool none_allowed,
                                 struct vector_rows *rows)
{
    rows->count = (size_t)PyTuple_Size(items);
    rows->present_block = PyMem_Calloc(rows->count + 1, 1);
    if (rows->present_block == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    size_t present = 0;
    for (size_t i = 0; i < rows->count; i++) {
        PyObject *const item = PyTuple_GetItem(items, (Py_ssize_t)i);
        if (none_allowed && Py_IsNone(item)) continue;
        if (vector_rows_add(state, collection, field, item, i, rows) < 0) return -1;
        rows->present_block[i] = 1;
        present++;
    }
    rows->data = rows->block;
    rows->empty = present == 0;
    if (present != rows->count) rows->present = rows->present_block;
    return 0;
}

int py_vector_rows_init(struct module_state *state, struct collection *collection, PyObject *field,
                        PyObject *value, bool none_allowed, struct vector_rows *rows)
{
    *rows = (struct vector_rows){.count = 0};
    struct vector_array array;
    const int is_array = vector_array_init(state, value, &array);
    if (is_array < 0) return -1;
    int result = -1;
    if (is_array) {
        result = vector_rows_from_array(state, collection, field, &array, rows);
        vector_array_deinit(&array);
    } else if (PyUnicode_Check(value) || PyDict_Check(value)) {
        PyErr_Format(PyExc_TypeError, "vectors must be arrays or lists of numbers, not %R",
                     Py_TYPE(value));
    } else {
        PyObject *items = PySequence_Tuple(value);
        if (items == NULL && PyErr_ExceptionMatches(PyExc_TypeError) &&
            !PyObject_HasAttrString(value, "__iter__")) {
            PyErr_Format(PyExc_TypeError, "vectors must be arrays or lists of numbers, not %R",
                         Py_TYPE(value));
        }
        if (items != NULL) {
            PyObject *const first = PyTuple_Size(items) > 0 ? PyTuple_GetItem(items, 0) : NULL;
            const bool numbers = first != NULL && PyNumber_Check(first) && !PySequence_Check(first);
            result = numbers ? vector_rows_from_numbers(state, collection, field, items, rows)
                             : vector_rows_from_list(state, collection, field, items, none_allowed,
                                                     rows);
            Py_DECREF(items);
        }
    }
    if (result < 0) py_vector_rows_deinit(rows);
    return result;
}

void py_vector_rows_deinit(struct vector_rows *rows)
{
    if (rows->buffer_held) PyBuffer_Release(&rows->buffer);
    Py_XDECREF(rows->owner);
    Py_XDECREF(rows->interface);
    PyMem_Free(rows->block);
    PyMem_Free(rows->present_block);
    *rows = (struct vector_rows){.count = 0};
}
