/* numbers.c - numbers for Python: a read-only block of C memory that NumPy and memoryview look
 * at in place, through the buffer protocol and through __array_interface__.
 *
 *     Numbers (nq, k) ──owner──▶ Result          distances, scores: memory of the hits
 *     Numbers (n, dim) ──owner──▶ capsule        vectors that lie packed in omendb_documents
 *     Numbers (n, dim)                           vectors gathered into a block of its own
 *     Numbers (k,) ──owner──▶ Numbers (nq, k)    a row of any
 */
#include "binding.h"

#include <math.h>
#include <string.h>

struct numbers {
    PyObject base;
    PyObject *owner; /* Strong: whose memory `data` is. NULL: ours. */
    PyObject *ids;   /* A list, one for each row; or NULL. */
    char *data;
    omendb_type type;
    int dimensions; /* 1 or 2 */
    Py_ssize_t shape[2];
    Py_ssize_t strides[2];
};

struct numbers_element {
    Py_ssize_t size;
    const char *format;  /* Of the struct module. */
    const char *typestr; /* Of __array_interface__. */
};

static const struct numbers_element numbers_elements[] = {
    [OMENDB_F32] = {4, "f", "<f4"}, [OMENDB_F16] = {2, "e", "<f2"}, [OMENDB_BF16] = {2, "H", "<u2"},
    [OMENDB_I8] = {1, "b", "|i1"},  [OMENDB_U8] = {1, "B", "|u1"},  [OMENDB_BIT] = {1, "B", "|u1"},
};

/* Packed numbers without their memory. */
static struct numbers *numbers_shaped(struct module_state *state, omendb_type type, Py_ssize_t rows,
                                      Py_ssize_t columns)
{
    struct numbers *const numbers = (struct numbers *)py_module_new_object(state->numbers_type);
    if (numbers == NULL) return NULL;
    const Py_ssize_t size = numbers_elements[type].size;
    const Py_ssize_t width = columns < 0 ? 1 : columns;
    numbers->type = type;
    numbers->dimensions = columns < 0 ? 1 : 2;
    numbers->shape[0] = rows;
    numbers->shape[1] = columns;
    numbers->strides[0] = width * size;
    numbers->strides[1] = size;
    return numbers;
}

PyObject *py_numbers_create(struct module_state *state, omendb_type type, Py_ssize_t rows,
                            Py_ssize_t columns, void **data)
{
    struct numbers *const numbers = numbers_shaped(state, type, rows, columns);
    if (numbers == NULL) return NULL;
    const Py_ssize_t row_size = numbers->strides[0];
    if (row_size == 0 || rows <= PY_SSIZE_T_MAX / row_size) {
        numbers->data = PyMem_Malloc((size_t)(rows * row_size));
    }
    if (numbers->data == NULL) {
        Py_DECREF((PyObject *)numbers);
        return PyErr_NoMemory();
    }
    *data = numbers->data;
    return (PyObject *)numbers;
}

PyObject *py_numbers_view(struct module_state *state, PyObject *owner, omendb_type type,
                          const void *data, Py_ssize_t rows, Py_ssize_t columns)
{
    struct numbers *const numbers = numbers_shaped(state, type, rows, columns);
    if (numbers == NULL) return NULL;
    numbers->owner = Py_NewRef(owner);
    numbers->data = (char *)(uintptr_t)data; /* Never written: all exports are read-only. */
    return (PyObject *)numbers;
}

void py_numbers_set_ids(PyObject *numbers, PyObject *ids)
{
    ((struct numbers *)numbers)->ids = ids;
}

static void numbers_dealloc(PyObject *self)
{
    struct numbers *const numbers = (struct numbers *)self;
    PyObject_GC_UnTrack(self);
    Py_CLEAR(numbers->ids);
    if (numbers->owner == NULL) PyMem_Free(numbers->data);
    Py_XDECREF(numbers->owner);
    py_module_free_object(self);
}

/* An owner's documents may hold what refers back to it. */
static int numbers_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((struct numbers *)self)->owner);
    Py_VISIT(((struct numbers *)self)->ids);
    return 0;
}

/* The owner stays: somebody may look at its memory. Cycles through it are its own to break. */
static int numbers_clear(PyObject *self)
{
    Py_CLEAR(((struct numbers *)self)->ids);
    return 0;
}

static int numbers_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    struct numbers *const numbers = (struct numbers *)self;
    view->obj = NULL;
    if ((flags & PyBUF_WRITABLE) != 0) {
        PyErr_SetString(PyExc_BufferError, "omendb.Numbers are read-only");
        return -1;
    }
    const struct numbers_element *const element = &numbers_elements[numbers->type];
    const bool shaped = (flags & PyBUF_ND) == PyBUF_ND;
    const bool strided = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
    view->buf = numbers->data;
    view->len = numbers->shape[0] * numbers->strides[0];
    view->itemsize = element->size;
    view->readonly = 1;
    view->ndim = shaped ? numbers->dimensions : 1;
    view->format = (flags & PyBUF_FORMAT) != 0 ? (char *)(uintptr_t)element->format : NULL;
    view->shape = shaped ? numbers->shape : NULL;
    view->strides = strided ? numbers->strides : NULL;
    view->suboffsets = NULL;
    view->internal = NULL;
    if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && numbers->dimensions == 2 &&
        numbers->shape[0] > 1 && numbers->shape[1] > 1) {
        PyErr_SetString(PyExc_BufferError, "omendb.Numbers are in C order");
        return -1;
    }
    Py_INCREF(self);
    view->obj = self;
    return 0;
}

static double numbers_half_to_double(uint16_t bits)
{
    const double sign = (bits & 0x8000u) != 0 ? -1.0 : 1.0;
    const int exponent = bits >> 10 & 31;
    const int mantissa = bits & 1023;
    if (exponent == 31) return mantissa != 0 ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0) return sign * ldexp(mantissa, -24);
    return sign * ldexp(1024 + mantissa, exponent - 25);
}

static PyObject *numbers_element_to_python(omendb_type type, const char *at)
{
    if (type == OMENDB_F32) {
        float value;
        memcpy(&value, at, sizeof value);
        return PyFloat_FromDouble((double)value);
    }
    if (type == OMENDB_F16) {
        uint16_t bits;
        memcpy(&bits, at, sizeof bits);
        return PyFloat_FromDouble(numbers_half_to_double(bits));
    }
    if (type == OMENDB_BF16) {
        uint16_t bits;
        memcpy(&bits, at, sizeof bits);
        const uint32_t wide = (uint32_t)bits << 16;
        float value;
        memcpy(&value, &wide, sizeof value);
        return PyFloat_FromDouble((double)value);
    }
    return PyLong_FromLong(type == OMENDB_I8 ? (long)*(const signed char *)at
                                             : (long)*(const unsigned char *)at);
}

static Py_ssize_t numbers_length(PyObject *self)
{
    return ((struct numbers *)self)->shape[0];
}

static PyObject *numbers_item(PyObject *self, Py_ssize_t index)
{
    struct numbers *const numbers = (struct numbers *)self;
    if (index < 0 || index >= numbers->shape[0]) {
        PyErr_SetString(PyExc_IndexError, "omendb.Numbers index out of range");
        return NULL;
    }
    char *const at = numbers->data + index * numbers->strides[0];
    if (numbers->dimensions == 1) return numbers_element_to_python(numbers->type, at);
    struct numbers *const row = (struct numbers *)py_module_new_object(Py_TYPE(self));
    if (row == NULL) return NULL;
    row->owner = Py_NewRef(self);
    row->data = at;
    row->type = numbers->type;
    row->dimensions = 1;
    row->shape[0] = numbers->shape[1];
    row->strides[0] = numbers->strides[1];
    return (PyObject *)row;
}

/* Python's own list operations give slices, negative indices and iteration their usual sense. */
static PyObject *numbers_subscript(PyObject *self, PyObject *key)
{
    if (PyIndex_Check(key)) {
        const Py_ssize_t index = PyNumber_AsSsize_t(key, PyExc_IndexError);
        if (index == -1 && PyErr_Occurred()) return NULL;
        return numbers_item(self, index < 0 ? index + numbers_length(self) : index);
    }
    PyObject *items = PySequence_List(self);
    if (items == NULL) return NULL;
    PyObject *result = PyObject_GetItem(items, key);
    Py_DECREF(items);
    return result;
}

static PyObject *numbers_tolist(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct numbers *const numbers = (struct numbers *)self;
    PyObject *list = PyList_New(numbers->shape[0]);
    for (Py_ssize_t i = 0; list != NULL && i < numbers->shape[0]; i++) {
        PyObject *item = numbers_item(self, i);
        if (item != NULL && numbers->dimensions == 2) {
            PyObject *row = numbers_tolist(item, NULL);
            Py_DECREF(item);
            item = row;
        }
        if (item == NULL || PyList_SetItem(list, i, item) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *numbers_shape(PyObject *self, void *closure)
{
    (void)closure;
    const struct numbers *const numbers = (struct numbers *)self;
    if (numbers->dimensions == 1) return Py_BuildValue("(n)", numbers->shape[0]);
    return Py_BuildValue("(nn)", numbers->shape[0], numbers->shape[1]);
}

static PyObject *numbers_ids(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *const ids = ((struct numbers *)self)->ids;
    return Py_NewRef(ids != NULL ? ids : Py_None);
}

static PyObject *numbers_dimensions(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromLong(((struct numbers *)self)->dimensions);
}

static PyObject *numbers_type_name(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(py_convert_type_names[((struct numbers *)self)->type]);
}

static PyObject *numbers_interface(PyObject *self, void *closure)
{
    (void)closure;
    const struct numbers *const numbers = (struct numbers *)self;
    PyObject *shape = numbers_shape(self, NULL);
    PyObject *address = PyLong_FromVoidPtr(numbers->data);
    PyObject *result = NULL;
    if (shape != NULL && address != NULL) {
        result = Py_BuildValue("{s:i,s:O,s:s,s:(OO),s:O}", "version", 3, "shape", shape, "typestr",
                               numbers_elements[numbers->type].typestr, "data", address, Py_True,
                               "strides", Py_None);
    }
    Py_XDECREF(shape);
    Py_XDECREF(address);
    return result;
}

static PyObject *numbers_repr(PyObject *self)
{
    enum { SHOWN_MAX = 100 };
    const struct numbers *const numbers = (struct numbers *)self;
    const char *const type = py_convert_type_names[numbers->type];
    if (numbers->shape[0] * numbers->strides[0] / numbers_elements[numbers->type].size >
        SHOWN_MAX) {
        PyObject *shape = numbers_shape(self, NULL);
        if (shape == NULL) return NULL;
        PyObject *brief = PyUnicode_FromFormat("omendb.Numbers(shape=%R, type='%s')", shape, type);
        Py_DECREF(shape);
        return brief;
    }
    PyObject *list = numbers_tolist(self, NULL);
    if (list == NULL) return NULL;
    PyObject *result = PyUnicode_FromFormat("omendb.Numbers(%R, type='%s')", list, type);
    Py_DECREF(list);
    return result;
}

static PyObject *numbers_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_module_refuse_pickle(self, "take numpy.array(numbers) or numbers.tolist()");
}

static PyMethodDef numbers_methods[] = {
    {"tolist", numbers_tolist, METH_NOARGS,
     "tolist($self, /)\n--\n\n"
     "The numbers as a list, or as a list of lists.\n\n"
     "    >>> docs.vectors('v', ['a']).tolist()\n"
     "    [[1.0, 0.0, 0.0]]"},
    {"__reduce__", numbers_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef numbers_properties[] = {
    {"ids", numbers_ids, NULL,
     "The ids of the rows, a list: of what Collection.vectors() gave; else None", NULL},
    {"shape", numbers_shape, NULL, "(rows,) or (rows, columns)", NULL},
    {"ndim", numbers_dimensions, NULL, "1 or 2", NULL},
    {"type", numbers_type_name, NULL,
     "Element type: f32, f16, bf16 (its 16 bits as unsigned numbers), i8, u8, bit.", NULL},
    {"__array_interface__", numbers_interface, NULL, "NumPy's array interface, version 3", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot numbers_slots[] = {
    {Py_tp_doc,
     TEXT("Numbers in C memory, read-only: a sequence of one or two dimensions.\n\n"
          "numpy.asarray() and memoryview() look at them without a copy and keep them alive.\n\n"
          "    >>> X = docs.vectors('v')\n"
          "    >>> X.shape, X.type, X.ids\n"
          "    ((3, 3), 'f32', [7, 'a', 'b'])\n"
          "    >>> X[0], list(X[0]), memoryview(X).readonly\n"
          "    (omendb.Numbers([0.0, 0.0, 1.0], type='f32'), [0.0, 0.0, 1.0], True)")},
    {Py_tp_dealloc, SLOT(numbers_dealloc)},
    {Py_tp_traverse, SLOT(numbers_traverse)},
    {Py_tp_clear, SLOT(numbers_clear)},
    {Py_tp_repr, SLOT(numbers_repr)},
    {Py_tp_methods, numbers_methods},
    {Py_tp_getset, numbers_properties},
    {Py_tp_iter, SLOT(PySeqIter_New)},
    {Py_bf_getbuffer, SLOT(numbers_get_buffer)},
    {Py_sq_length, SLOT(numbers_length)},
    {Py_sq_item, SLOT(numbers_item)},
    {Py_mp_length, SLOT(numbers_length)},
    {Py_mp_subscript, SLOT(numbers_subscript)},
    {0, NULL},
};

PyType_Spec *py_numbers_spec(void)
{
    static PyType_Spec spec = {
        .name = "omendb.Numbers",
        .basicsize = (int)sizeof(struct numbers),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                 Py_TPFLAGS_IMMUTABLETYPE,
        .slots = numbers_slots,
    };
    return &spec;
}
