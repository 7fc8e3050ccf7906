/* What a new collection's documents look like, as declared by omendb.Vector, omendb.Int and the
 * like: read through their attributes `dim`, `metric`, `type`, `index` and `kind`. */
#include "binding.h"

void py_schema_columns_deinit(struct schema_columns *columns)
{
    PyMem_Free(columns->vectors);
    PyMem_Free(columns->fields);
    Py_XDECREF(columns->vector_items);
    Py_XDECREF(columns->field_items);
}

/* The pairs of a dict, or NULL with *count 0 for None; -1 with an exception. */
static int schema_items(PyObject *value, const char *what, PyObject **items, Py_ssize_t *count)
{
    *count = 0;
    if (value == NULL || Py_IsNone(value)) return 0;
    if (!PyDict_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a dict {name: declaration}, not %R", what,
                     Py_TYPE(value));
        return -1;
    }
    *items = PyDict_Items(value);
    if (*items == NULL) return -1;
    *count = PyList_Size(*items);
    return 0;
}

static int schema_choice(struct module_state *state, PyObject *declaration, const char *attribute,
                         const char *const *names, uint32_t *out)
{
    PyObject *value = PyObject_GetAttrString(declaration, attribute);
    if (value == NULL) return -1;
    const int result = py_convert_choice(state, value, attribute, names, out);
    Py_DECREF(value);
    return result;
}

static int schema_add_vector(struct module_state *state, PyObject *pair, omendb_vector_field *out)
{
    PyObject *const declaration = PyTuple_GetItem(pair, 1);
    *out = (omendb_vector_field)OMENDB_VECTOR_FIELD_INIT;
    if (py_convert_name(state, PyTuple_GetItem(pair, 0), "a vector field's name", &out->name) < 0) {
        return -1;
    }
    PyObject *dim = PyObject_GetAttrString(declaration, "dim");
    if (dim == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Format(PyExc_TypeError, "a vector field must be an omendb.Vector, not %R",
                         Py_TYPE(declaration));
        }
        return -1;
    }
    const int result = py_convert_u32(state, dim, "dim", &out->dim);
    Py_DECREF(dim);
    if (result < 0) return -1;
    if (schema_choice(state, declaration, "metric", py_convert_metric_names, &out->metric) < 0) {
        return -1;
    }
    if (schema_choice(state, declaration, "type", py_convert_type_names, &out->type) < 0) return -1;
    /* A declaration of one's own need not have it. */
    if (schema_choice(state, declaration, "index", py_convert_index_names, &out->index) == 0) {
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
    PyErr_Clear();
    return 0;
}

static int schema_add_field(struct module_state *state, PyObject *pair, omendb_field *out)
{
    PyObject *const declaration = PyTuple_GetItem(pair, 1);
    *out = (omendb_field){(uint32_t)sizeof *out, OMENDB_FIELD_ANY, NULL};
    if (py_convert_name(state, PyTuple_GetItem(pair, 0), "a field's name", &out->name) < 0)
        return -1;
    if (schema_choice(state, declaration, "kind", py_convert_field_type_names, &out->type) == 0) {
        return 0;
    }
    if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Format(PyExc_TypeError,
                     "a field must be declared as omendb.Int() and the like, not %R",
                     Py_TYPE(declaration));
    }
    return -1;
}

int py_schema_columns_init(struct module_state *state, PyObject *vectors, PyObject *fields,
                           struct schema_columns *columns)
{
    *columns = (struct schema_columns){.schema = OMENDB_SCHEMA_INIT};
    Py_ssize_t vectors_count = 0, fields_count = 0;
    if (schema_items(vectors, "vectors", &columns->vector_items, &vectors_count) < 0 ||
        schema_items(fields, "fields", &columns->field_items, &fields_count) < 0) {
        goto fail;
    }
    columns->vectors = PyMem_Calloc((size_t)vectors_count + 1, sizeof *columns->vectors);
    columns->fields = PyMem_Calloc((size_t)fields_count + 1, sizeof *columns->fields);
    if (columns->vectors == NULL || columns->fields == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    for (Py_ssize_t i = 0; i < vectors_count; i++) {
        PyObject *const pair = PyList_GetItem(columns->vector_items, i);
        if (schema_add_vector(state, pair, &columns->vectors[i]) < 0) goto fail;
    }
    for (Py_ssize_t i = 0; i < fields_count; i++) {
        PyObject *const pair = PyList_GetItem(columns->field_items, i);
        if (schema_add_field(state, pair, &columns->fields[i]) < 0) goto fail;
    }
    columns->schema.vectors = columns->vectors;
    columns->schema.vectors_count = (uint32_t)vectors_count;
    columns->schema.fields = fields_count != 0 ? columns->fields : NULL;
    columns->schema.fields_count = (uint32_t)fields_count;
    return 0;
fail:
    py_schema_columns_deinit(columns);
    return -1;
}
