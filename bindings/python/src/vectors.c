/* vectors.c - vectors from Python.
 *
 * An array - anything with the buffer protocol or __array_interface__ - is used where it lies:
 * f16, f32, f64, i8 and u8 elements, any positive distance between its rows, the components of
 * a row side by side. Another layout (columns, broadcast, misaligned, reversed) is gathered into
 * a block first. A list holds numbers (one vector) or rows: arrays of one element type, or lists
 * of numbers, which are passed on in double precision so that the engine alone rounds.
 *
 * uint8 is packed bits where the field is of type bit; uint16 the raw halves of bf16 where the
 * field is bf16.
 */
#include "binding.h"

#include <limits.h>
#include <string.h>

/* An array before anything is known about how it will be used. */
struct vector_array {
    omendb_type type; /* OMENDB_BF16 stands for 16-bit unsigned integers. */
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
    [OMENDB_U8] = 1,  [OMENDB_BIT] = 1, [OMENDB_F64] = 8,
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
                 "vectors must hold float32, float16, float64, int8 or uint8, not '%s' elements",
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

static int vector_array_from_buffer(struct module_state *state, PyObject *value,
                                    struct vector_array *array)
{
    if (PyObject_GetBuffer(value, &array->buffer, PyBUF_STRIDES | PyBUF_FORMAT) < 0) return -1;
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
    default:
        return vector_array_refuse(full);
    }
    if (buffer->itemsize != vector_element_sizes[array->type]) return vector_array_refuse(full);
    if (vector_array_check_dimensions(state, buffer->ndim) < 0) return -1;
    array->data = buffer->buf;
    array->dimensions = buffer->ndim;
    for (int i = 0; i < buffer->ndim; i++) {
        array->shape[i] = buffer->shape[i];
        array->strides[i] = buffer->strides[i];
    }
    return 0;
}

static int vector_array_typestr(PyObject *typestr, omendb_type *out)
{
    static const struct {
        const char *typestr;
        omendb_type type;
    } known[] = {
        {"<f4", OMENDB_F32}, {"<f2", OMENDB_F16},  {"<f8", OMENDB_F64},  {"|i1", OMENDB_I8},
        {"|u1", OMENDB_U8},  {"<u2", OMENDB_BF16}, {"<V2", OMENDB_BF16}, {"|V2", OMENDB_BF16},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (PyUnicode_CompareWithASCIIString(typestr, known[i].typestr) == 0) {
            *out = known[i].type;
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError,
                 "vectors must hold float32, float16, float64, int8 or uint8, not %R elements",
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

/* 1: `value` is an array; 0: it is something else; -1 with an exception. */
static int vector_array_init(struct module_state *state, PyObject *value,
                             struct vector_array *array)
{
    *array = (struct vector_array){.data = NULL};
    if (PyList_Check(value) || PyTuple_Check(value)) return 0;
    int result = 0;
    if (PyObject_CheckBuffer(value)) {
        result = vector_array_from_buffer(state, value, array);
    } else {
        array->interface = PyObject_GetAttrString(value, "__array_interface__");
        if (array->interface == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
            PyErr_Clear();
            return 0;
        }
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

/* Decides what raw integers mean to the field, and sets type and dim. */
static int vector_rows_set_type(struct module_state *state, struct collection *collection,
                                PyObject *field, omendb_type type, Py_ssize_t width,
                                struct vector_rows *rows)
{
    if ((size_t)width > UINT32_MAX / CHAR_BIT) {
        (void)py_errors_format(state, OMENDB_ERR_DIMENSION, "a vector of %zd components", width);
        return -1;
    }
    rows->type = type;
    rows->dim = (uint32_t)width;
    if (type != OMENDB_U8 && type != OMENDB_BF16) return 0;
    omendb_type stored = OMENDB_F32;
    uint32_t dim = 0;
    const int found = py_collection_vector_field(state, collection, field, &stored, &dim);
    if (found < 0) return -1;
    if (type == OMENDB_BF16 && stored != OMENDB_BF16) return vector_array_refuse("H");
    if (type == OMENDB_U8 && found == 1 && stored == OMENDB_BIT) {
        rows->type = OMENDB_BIT;
        rows->dim = (dim + CHAR_BIT - 1) / CHAR_BIT == rows->dim ? dim : rows->dim * CHAR_BIT;
    }
    return 0;
}

static int vector_rows_from_array(struct module_state *state, struct collection *collection,
                                  PyObject *field, struct vector_array *array,
                                  struct vector_rows *rows)
{
    const size_t size = vector_element_sizes[array->type];
    const size_t width = (size_t)array->shape[1];
    rows->count = (size_t)array->shape[0];
    rows->single = array->dimensions == 1;
    if (vector_rows_set_type(state, collection, field, array->type, array->shape[1], rows) < 0) {
        return -1;
    }
    const bool side_by_side = array->strides[1] == (Py_ssize_t)size || width <= 1;
    const bool rows_forward = rows->count <= 1 ||
                              (array->strides[0] >= (Py_ssize_t)(width * size) && width != 0);
    const bool aligned = (uintptr_t)array->data % size == 0 &&
                         (rows->count <= 1 || array->strides[0] % (Py_ssize_t)size == 0);
    if (side_by_side && rows_forward && aligned) {
        rows->data = array->data;
        rows->row_stride = rows->count > 1 ? (size_t)array->strides[0] : width * size;
        rows->owner = array->owner;
        rows->interface = array->interface;
        rows->buffer = array->buffer;
        rows->buffer_held = array->buffer_held;
        *array = (struct vector_array){.data = NULL}; /* Moved. */
        return 0;
    }
    rows->block = vector_block(rows->count, width * size);
    if (rows->block == NULL) return -1;
    for (size_t i = 0; i < rows->count; i++) {
        vector_array_copy_row(array, (Py_ssize_t)i, (char *)rows->block + i * width * size);
    }
    rows->data = rows->block;
    rows->row_stride = width * size;
    return 0;
}

/* ---- Lists ----------------------------------------------------------------------------- */

static int vector_row_from_numbers(PyObject *numbers, Py_ssize_t count, double *to)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        to[i] = PyFloat_AsDouble(PyTuple_GetItem(numbers, i));
        if (to[i] == -1.0 && PyErr_Occurred()) return -1;
    }
    return 0;
}

static int vector_rows_from_numbers(struct module_state *state, struct collection *collection,
                                    PyObject *numbers, struct vector_rows *rows)
{
    const Py_ssize_t count = PyTuple_Size(numbers);
    rows->single = true;
    rows->count = 1;
    if (vector_rows_set_type(state, collection, NULL, OMENDB_F64, count, rows) < 0) return -1;
    rows->row_stride = (size_t)count * sizeof(double);
    rows->block = vector_block(1, rows->row_stride);
    rows->data = rows->block;
    if (rows->block == NULL) return -1;
    return vector_row_from_numbers(numbers, count, rows->block);
}

/* One row of a list, into rows->block, which the first row present makes. */
static int vector_rows_add(struct module_state *state, struct collection *collection,
                           PyObject *field, PyObject *value, size_t index, struct vector_rows *rows)
{
    struct vector_array array;
    PyObject *numbers = NULL;
    int result = -1;
    const int is_array = vector_array_init(state, value, &array);
    if (is_array < 0) return -1;
    if (is_array == 0) {
        if (PyUnicode_Check(value)) {
            PyErr_SetString(PyExc_TypeError, "a vector must hold numbers, not str");
        } else {
            numbers = PySequence_Tuple(value);
        }
        if (numbers == NULL) return -1;
    } else if (array.dimensions != 1) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT,
                               "row %zu: a vector must have one dimension", index);
        goto cleanup;
    }
    const omendb_type type = is_array ? array.type : OMENDB_F64;
    const Py_ssize_t width = is_array ? array.shape[1] : PyTuple_Size(numbers);
    const size_t row_size = (size_t)width * vector_element_sizes[type];
    if (rows->block == NULL) {
        if (vector_rows_set_type(state, collection, field, type, width, rows) < 0) goto cleanup;
        rows->row_stride = row_size;
        rows->block = vector_block(rows->count, row_size);
        if (rows->block == NULL) goto cleanup;
    }
    const bool same_type = type == rows->type || (type == OMENDB_U8 && rows->type == OMENDB_BIT);
    if (!same_type) {
        PyErr_Format(PyExc_TypeError, "row %zu: the rows of a list must have one element type",
                     index);
        goto cleanup;
    }
    if (row_size != rows->row_stride) {
        (void)py_errors_format(state, OMENDB_ERR_DIMENSION,
                               "row %zu: a vector of %zd components after one of %zu", index, width,
                               rows->row_stride / vector_element_sizes[type]);
        goto cleanup;
    }
    char *const to = (char *)rows->block + index * rows->row_stride;
    if (is_array) {
        vector_array_copy_row(&array, 0, to);
        result = 0;
    } else {
        result = vector_row_from_numbers(numbers, width, (double *)(void *)to);
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
        if (items != NULL) {
            PyObject *const first = PyTuple_Size(items) > 0 ? PyTuple_GetItem(items, 0) : NULL;
            const bool numbers = first != NULL && PyNumber_Check(first) && !PySequence_Check(first);
            result = numbers ? vector_rows_from_numbers(state, collection, items, rows)
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
