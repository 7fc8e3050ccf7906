/* The columns of an upsert: ids, vectors and documents of one call, brought into the form of
 * omendb_rows. Everything that the engine will look at is owned here until the call is over. */
#include "binding.h"

#include <string.h>

static int row_columns_add_vectors(struct module_state *state, struct collection *collection,
                                   PyObject *field, PyObject *value, struct row_columns *columns)
{
    const char *name = NULL;
    if (field != NULL && py_convert_name(state, field, "a vector field's name", &name) < 0)
        return -1;
    if (columns->vectors_count == OMENDB_VECTOR_FIELDS_MAX) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "more than %u vector fields",
                               OMENDB_VECTOR_FIELDS_MAX);
        return -1;
    }
    struct vector_rows *const rows = &columns->vectors[columns->vectors_count];
    if (py_vector_rows_init(state, collection, field, value, !columns->ids.single, rows) < 0) {
        return -1;
    }
    const size_t at = columns->vectors_count++;
    if (rows->count != columns->ids.count) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "%zu vectors for %zu ids", rows->count,
                               columns->ids.count);
        return -1;
    }
    if (rows->empty) return 0;
    columns->views[at] = (omendb_vectors)OMENDB_VECTORS_INIT;
    columns->views[at].type = rows->type;
    columns->views[at].field = name;
    columns->views[at].data = rows->data;
    columns->views[at].row_stride = rows->row_stride;
    columns->views[at].dim = rows->dim;
    columns->views[at].present = rows->present;
    return 0;
}

static int row_columns_set_vectors(struct module_state *state, struct collection *collection,
                                   PyObject *vectors, struct row_columns *columns)
{
    if (vectors == NULL || Py_IsNone(vectors)) return 0;
    if (!PyDict_Check(vectors)) {
        return row_columns_add_vectors(state, collection, NULL, vectors, columns);
    }
    columns->names = PyDict_Items(vectors);
    if (columns->names == NULL) return -1;
    const Py_ssize_t count = PyList_Size(columns->names);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *const pair = PyList_GetItem(columns->names, i);
        PyObject *const value = PyTuple_GetItem(pair, 1);
        if (Py_IsNone(value)) continue;
        if (row_columns_add_vectors(state, collection, PyTuple_GetItem(pair, 0), value, columns) <
            0) {
            return -1;
        }
    }
    return 0;
}

static int row_columns_set_documents(struct module_state *state, PyObject *documents,
                                     struct row_columns *columns)
{
    if (documents == NULL || Py_IsNone(documents)) return 0;
    const int is_mapping = py_json_is_mapping(state, documents);
    if (is_mapping < 0) return -1;
    const bool one = is_mapping != 0 || PyUnicode_Check(documents);
    if (one && !columns->ids.single) {
        PyErr_SetString(PyExc_TypeError,
                        "documents must be a sequence of dicts, one for each id, not one dict");
        return -1;
    }
    PyObject *items = one ? PyTuple_Pack(1, documents) : PySequence_Tuple(documents);
    if (items == NULL) return -1;
    const size_t count = (size_t)PyTuple_Size(items);
    int result = -1;
    if (count != columns->ids.count) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "%zu documents for %zu ids", count,
                               columns->ids.count);
        goto cleanup;
    }
    columns->json_offsets = PyMem_Calloc(count + 1, sizeof *columns->json_offsets);
    if (columns->json_offsets == NULL) {
        PyErr_NoMemory();
        goto cleanup;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *const item = PyTuple_GetItem(items, (Py_ssize_t)i);
        const Py_ssize_t row = one ? -1 : (Py_ssize_t)i;
        if (py_json_append_object(state, &columns->json, item, "{}", "documents", row) < 0) {
            goto cleanup;
        }
        columns->json_offsets[i + 1] = columns->json.size;
    }
    result = 0;
cleanup:
    Py_DECREF(items);
    return result;
}

int py_row_columns_init(struct module_state *state, struct collection *collection, PyObject *ids,
                        PyObject *vectors, PyObject *documents, struct row_columns *columns)
{
    memset(columns, 0, sizeof *columns);
    columns->rows = (omendb_rows)OMENDB_ROWS_INIT;
    if (PyAnySet_Check(ids) || PyDict_Check(ids)) {
        /* A set has no order to put vectors beside; the values of a dict would get lost. */
        PyErr_Format(PyExc_TypeError, "ids must be a list or an array, not %R", Py_TYPE(ids));
        return -1;
    }
    if (py_id_column_init(state, ids, false, &columns->ids) < 0 ||
        row_columns_set_vectors(state, collection, vectors, columns) < 0 ||
        row_columns_set_documents(state, documents, columns) < 0) {
        py_row_columns_deinit(columns);
        return -1;
    }
    /* Columns in which no row has a vector say nothing: left out. */
    size_t views_count = 0;
    for (size_t i = 0; i < columns->vectors_count; i++) {
        if (!columns->vectors[i].empty) columns->views[views_count++] = columns->views[i];
    }
    columns->rows.count = columns->ids.count;
    columns->rows.ids = columns->ids.ids;
    columns->rows.id_numbers = columns->ids.numbers;
    columns->rows.vectors = columns->views;
    columns->rows.vectors_count = (uint32_t)views_count;
    columns->rows.json = columns->json_offsets != NULL ? columns->json.data : NULL;
    columns->rows.json_offsets = columns->json_offsets;
    return 0;
}

int py_row_versions(struct module_state *state, PyObject *value, size_t count, bool single,
                    uint64_t **out)
{
    *out = NULL;
    if (value == NULL || Py_IsNone(value)) return 0;
    const bool one = PyIndex_Check(value) && single;
    PyObject *items = one ? PyTuple_Pack(1, value) : PySequence_Tuple(value);
    uint64_t *versions = NULL;
    if (items == NULL) return -1;
    const size_t given = (size_t)PyTuple_Size(items);
    if (given != count) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "%zu versions for %zu ids", given,
                               count);
        goto fail;
    }
    versions = PyMem_Calloc(count + 1, sizeof *versions);
    if (versions == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    for (size_t i = 0; i < count; i++) {
        versions[i] = OMENDB_VERSION_ANY; /* None leaves it. */
        if (py_convert_u64(state, PyTuple_GetItem(items, (Py_ssize_t)i), "if_version",
                           &versions[i]) < 0) {
            goto fail;
        }
    }
    Py_DECREF(items);
    *out = versions;
    return 0;
fail:
    Py_DECREF(items);
    PyMem_Free(versions);
    return -1;
}

int py_row_columns_set_conditions(struct module_state *state, PyObject *if_absent,
                                  PyObject *if_version, struct row_columns *columns)
{
    bool absent = false;
    if (py_convert_bool(if_absent, &absent) < 0 ||
        py_row_versions(state, if_version, columns->ids.count, columns->ids.single,
                        &columns->if_versions) < 0) {
        return -1;
    }
    if (absent) columns->rows.flags |= OMENDB_ROWS_IF_ABSENT;
    columns->rows.if_versions = columns->if_versions;
    return 0;
}

void py_row_columns_deinit(struct row_columns *columns)
{
    for (size_t i = 0; i < columns->vectors_count; i++) py_vector_rows_deinit(&columns->vectors[i]);
    columns->vectors_count = 0;
    py_id_column_deinit(&columns->ids);
    Py_CLEAR(columns->names);
    py_text_deinit(&columns->json);
    PyMem_Free(columns->json_offsets);
    columns->json_offsets = NULL;
    PyMem_Free(columns->if_versions);
    columns->if_versions = NULL;
}
