/* Collection: writing, reading and searching its documents. */
#include "binding.h"

#include <string.h>

/* Work of one call above which it may last long enough for a user to press Ctrl-C: documents
 * looked at, or written. Below, the hop to another thread could show (see call.c). */
enum { SCAN_LASTS = 1 << 18, WRITE_LASTS = 4096 };

int py_collection_enter(struct module_state *state, struct collection *collection)
{
    if (py_database_enter(state, collection->database) < 0) return -1;
    if (collection->handle != NULL) return 0;
    py_database_leave(collection->database);
    (void)py_errors_format(state, OMENDB_ERR_MISUSE, "the database was closed");
    return -1;
}

void py_collection_leave(struct collection *collection)
{
    py_database_leave(collection->database);
}

static void collection_detach(struct child *child)
{
    struct collection *const collection =
        (struct collection *)(void *)((char *)child - offsetof(struct collection, child));
    omendb_collection_close(collection->handle);
    collection->handle = NULL;
}

PyObject *py_collection_create(struct module_state *state, struct database *database,
                               omendb_collection *handle)
{
    struct collection *const collection = (struct collection *)py_module_new_object(
        state->collection_type);
    if (collection == NULL) {
        omendb_collection_close(handle);
        return NULL;
    }
    Py_INCREF((PyObject *)database);
    collection->database = database;
    collection->handle = handle;
    py_database_add_child(database, &collection->child, collection_detach);
    return (PyObject *)collection;
}

static void collection_dealloc(PyObject *self)
{
    struct collection *const collection = (struct collection *)self;
    py_database_remove_child(&collection->child);
    omendb_collection_close(collection->handle);
    Py_XDECREF(collection->fields);
    Py_XDECREF((PyObject *)collection->database);
    py_module_free_object(self);
}

/* ---- Description ----------------------------------------------------------------------- */

PyObject *py_collection_describe_object(struct module_state *state, struct collection *collection)
{
    char *text = NULL;
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    if (py_collection_enter(state, collection) < 0) return NULL;
    WITHOUT_GIL(status = omendb_collection_describe(collection->handle, &text, &err));
    py_collection_leave(collection);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    return py_json_decode_owned(state, text);
}

static PyObject *collection_describe(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct module_state *const state = py_module_state_of(self);
    return state != NULL ? py_collection_describe_object(state, (struct collection *)self) : NULL;
}

int py_collection_vector_field(struct module_state *state, struct collection *collection,
                               PyObject *name, omendb_type *type, uint32_t *dim)
{
    if (collection->fields == NULL) {
        PyObject *described = py_collection_describe_object(state, collection);
        if (described == NULL) return -1;
        PyObject *fields = py_module_call_helper(state, "vector_fields", &described, 1);
        Py_DECREF(described);
        if (fields == NULL) return -1;
        Py_XDECREF(collection->fields);
        collection->fields = fields;
    }
    PyObject *field = NULL;
    if (name != NULL) {
        field = PyDict_GetItemWithError(collection->fields, name);
        if (field == NULL && PyErr_Occurred()) return -1;
    } else if (PyDict_Size(collection->fields) == 1) {
        Py_ssize_t position = 0;
        (void)PyDict_Next(collection->fields, &position, NULL, &field);
    }
    if (field == NULL) return 0;
    if (py_convert_choice(state, PyTuple_GetItem(field, 0), "type", py_convert_type_names, type) <
            0 ||
        py_convert_u32(state, PyTuple_GetItem(field, 1), "dim", dim) < 0) {
        return -1;
    }
    return 1;
}

static PyObject *collection_name(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *described = collection_describe(self, NULL);
    if (described == NULL) return NULL;
    PyObject *name = PyMapping_GetItemString(described, "name");
    Py_DECREF(described);
    return name;
}

static PyObject *collection_database(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *const database = (PyObject *)((struct collection *)self)->database;
    Py_INCREF((PyObject *)database);
    return database;
}

static PyObject *collection_repr(PyObject *self)
{
    PyObject *name = collection_name(self, NULL);
    if (name == NULL) {
        PyErr_Clear();
        return PyUnicode_FromString("<omendb.Collection, closed>");
    }
    PyObject *result = PyUnicode_FromFormat("<omendb.Collection %R>", name);
    Py_DECREF(name);
    return result;
}

/* Documents there are now; 0 when that can't be said. Inside py_collection_enter(). */
static uint64_t collection_size(struct collection *collection)
{
    uint64_t count = 0;
    if (omendb_collection_count(collection->handle, NULL, 0, &count, NULL) != OMENDB_OK) return 0;
    return count;
}

/* ---- Writing --------------------------------------------------------------------------- */

struct upsert_call {
    omendb_collection *collection;
    const omendb_rows *rows;
    omendb_error err;
};

static omendb_status collection_run_upsert(void *argument)
{
    struct upsert_call *const call = argument;
    return omendb_collection_upsert(call->collection, call->rows, &call->err);
}

static PyObject *collection_upsert(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                   PyObject *keywords)
{
    enum { IDS, VECTORS, DOCUMENTS, COUNT };
    static const char *const names[] = {"ids", "vectors", "documents", NULL};
    static const struct signature signature = {"upsert", names, 3, 1};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    struct row_columns columns;
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_row_columns_init(state, collection, values[IDS], values[VECTORS], values[DOCUMENTS],
                            &columns) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (py_collection_enter(state, collection) == 0) {
        struct upsert_call call = {.collection = collection->handle, .rows = &columns.rows};
        omendb_status status = OMENDB_OK;
        int called = 0;
        if (columns.rows.count != 0) {
            called = py_call_run(collection->database, columns.rows.count >= WRITE_LASTS,
                                 collection_run_upsert, &call, &status);
        }
        py_collection_leave(collection);
        if (called == 0 && status != OMENDB_OK) py_errors_raise(state, status, &call.err);
        if (called == 0 && status == OMENDB_OK) result = Py_NewRef(Py_None);
    }
    py_row_columns_deinit(&columns);
    return result;
}

struct delete_call {
    omendb_collection *collection;
    const struct id_column *ids; /* NULL: by filter. */
    const struct text *filter;
    uint64_t deleted;
    omendb_error err;
};

static omendb_status collection_run_delete(void *argument)
{
    struct delete_call *const call = argument;
    if (call->ids != NULL) {
        return omendb_collection_delete(call->collection, call->ids->ids, call->ids->count,
                                        &call->deleted, &call->err);
    }
    return omendb_collection_delete_where(call->collection, call->filter->data, call->filter->size,
                                          &call->deleted, &call->err);
}

static PyObject *collection_delete(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                   PyObject *keywords)
{
    enum { IDS, WHERE, COUNT };
    static const char *const names[] = {"ids", "where", NULL};
    static const struct signature signature = {"delete", names, 1, 0};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    const bool by_ids = values[IDS] != NULL && !Py_IsNone(values[IDS]);
    const bool by_filter = values[WHERE] != NULL && !Py_IsNone(values[WHERE]);
    if (by_ids == by_filter) {
        return py_errors_format(state, OMENDB_ERR_ARGUMENT, "delete() needs either ids or where");
    }
    struct id_column ids = {.count = 0};
    struct text filter = {NULL, 0, 0};
    PyObject *result = NULL;
    if (by_ids && py_id_column_init(state, values[IDS], true, &ids) < 0) return NULL;
    if (by_filter && py_json_append_object(state, &filter, values[WHERE], NULL, "where") < 0) {
        goto cleanup;
    }
    if (py_collection_enter(state, collection) < 0) goto cleanup;
    struct delete_call call = {
        .collection = collection->handle, .ids = by_ids ? &ids : NULL, .filter = &filter};
    omendb_status status = OMENDB_OK;
    int called = 0;
    if (by_filter || ids.count != 0) {
        const bool may_last = by_ids ? ids.count >= WRITE_LASTS
                                     : collection_size(collection) >= WRITE_LASTS;
        called = py_call_run(collection->database, may_last, collection_run_delete, &call, &status);
    }
    py_collection_leave(collection);
    if (called == 0) {
        result = status == OMENDB_OK ? PyLong_FromUnsignedLongLong(call.deleted)
                                     : py_errors_raise(state, status, &call.err);
    }
cleanup:
    py_id_column_deinit(&ids);
    py_text_deinit(&filter);
    return result;
}

/* ---- Reading --------------------------------------------------------------------------- */

/* The document of an entry: what went in, or None. */
static PyObject *collection_document(struct module_state *state, const omendb_documents *documents,
                                     size_t index)
{
    omendb_document document;
    omendb_documents_entry(documents, index, &document);
    if (document.json_view == NULL) Py_RETURN_NONE;
    return py_json_decode(state, document.json_view, document.json_size);
}

/* The documents of some ids, inside py_collection_enter(). */
static omendb_documents *collection_get_documents(struct module_state *state,
                                                  struct collection *collection, PyObject *value,
                                                  uint32_t flags, bool *single)
{
    struct id_column ids;
    if (py_id_column_init(state, value, true, &ids) < 0) return NULL;
    omendb_documents *documents = NULL;
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    WITHOUT_GIL(status = omendb_collection_get(collection->handle, ids.ids, ids.count, flags,
                                               &documents, &err));
    *single = ids.single;
    py_id_column_deinit(&ids);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    return documents;
}

static PyObject *collection_get(PyObject *self, PyObject *id)
{
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || py_collection_enter(state, collection) < 0) return NULL;
    bool single = false;
    PyObject *result = NULL;
    omendb_documents *const documents = collection_get_documents(state, collection, id,
                                                                 OMENDB_WITH_DOCUMENTS, &single);
    if (documents != NULL && !single) {
        PyErr_SetString(PyExc_TypeError, "get() takes one id; get_many() takes several");
    } else if (documents != NULL) {
        result = collection_document(state, documents, 0);
    }
    omendb_documents_destroy(documents);
    py_collection_leave(collection);
    return result;
}

static PyObject *collection_get_many(PyObject *self, PyObject *ids)
{
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || py_collection_enter(state, collection) < 0) return NULL;
    bool single = false;
    PyObject *list = NULL;
    omendb_documents *const documents = collection_get_documents(state, collection, ids,
                                                                 OMENDB_WITH_DOCUMENTS, &single);
    if (documents != NULL) {
        const size_t count = omendb_documents_count(documents);
        list = PyList_New((Py_ssize_t)count);
        for (size_t i = 0; list != NULL && i < count; i++) {
            PyObject *item = collection_document(state, documents, i);
            if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) < 0) Py_CLEAR(list);
        }
    }
    omendb_documents_destroy(documents);
    py_collection_leave(collection);
    return list;
}

static int collection_contains(PyObject *self, PyObject *id)
{
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || py_collection_enter(state, collection) < 0) return -1;
    bool single = false;
    int result = -1;
    omendb_documents *const documents = collection_get_documents(state, collection, id, 0, &single);
    if (documents != NULL && single) {
        omendb_document document;
        omendb_documents_entry(documents, 0, &document);
        result = document.found != 0;
    } else if (documents != NULL) {
        PyErr_SetString(PyExc_TypeError, "an id must be an int or a str");
    }
    omendb_documents_destroy(documents);
    py_collection_leave(collection);
    return result;
}

static PyObject *collection_vectors(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                    PyObject *keywords)
{
    enum { FIELD, IDS, COUNT };
    static const char *const names[] = {"field", "ids", NULL};
    static const struct signature signature = {"vectors", names, 2, 2};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_collection_enter(state, collection) < 0) {
        return NULL;
    }
    bool single = false;
    PyObject *result = NULL;
    PyObject *const field = Py_IsNone(values[FIELD]) ? NULL : values[FIELD];
    omendb_documents *documents = NULL;
    omendb_type type = OMENDB_F32;
    uint32_t dim = 0;
    const int found = py_collection_vector_field(state, collection, field, &type, &dim);
    if (found > 0) {
        documents = collection_get_documents(state, collection, values[IDS], OMENDB_WITH_VECTORS,
                                             &single);
    } else if (found == 0 && field != NULL) {
        (void)py_errors_format(state, OMENDB_ERR_NOT_FOUND, "no vector field %R", field);
    } else if (found == 0) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT,
                               "which vector field? the collection hasn't just one");
    }
    if (documents != NULL) {
        result = py_result_gather_vectors(state, documents, field, type, dim);
    }
    omendb_documents_destroy(documents);
    py_collection_leave(collection);
    if (result != NULL && single) {
        PyObject *row = PySequence_GetItem(result, 0);
        Py_DECREF(result);
        return row;
    }
    return result;
}

struct find_call {
    omendb_collection *collection;
    const omendb_find_params *params;
    omendb_documents *documents;
    omendb_error err;
};

static omendb_status collection_run_find(void *argument)
{
    struct find_call *const call = argument;
    return omendb_collection_find(call->collection, call->params, &call->documents, &call->err);
}

/* The entries as a list of Document(id, document). */
static PyObject *collection_document_list(struct module_state *state,
                                          const omendb_documents *documents)
{
    const size_t count = omendb_documents_count(documents);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        omendb_document entry;
        omendb_documents_entry(documents, i, &entry);
        PyObject *item = PyStructSequence_New(state->document_type);
        PyObject *id = py_convert_id_to_python(&entry.id);
        PyObject *document = collection_document(state, documents, i);
        const bool whole = item != NULL && id != NULL && document != NULL;
        if (!whole) {
            Py_XDECREF(item);
            Py_XDECREF(id);
            Py_XDECREF(document);
            Py_CLEAR(list);
            break;
        }
        PyStructSequence_SetItem(item, 0, id);
        PyStructSequence_SetItem(item, 1, document);
        if (PyList_SetItem(list, (Py_ssize_t)i, item) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *collection_find(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                 PyObject *keywords)
{
    enum { WHERE, LIMIT, AFTER, TIMEOUT, COUNT };
    static const char *const names[] = {"where", "limit", "after", "timeout", NULL};
    static const struct signature signature = {"find", names, 1, 0};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    omendb_find_params params = OMENDB_FIND_PARAMS_INIT;
    struct id_column after = {.count = 0};
    struct text filter = {NULL, 0, 0};
    PyObject *result = NULL;
    uint64_t limit = 100;
    if (values[LIMIT] != NULL && Py_IsNone(values[LIMIT])) limit = SIZE_MAX;
    if (py_convert_u64(state, values[LIMIT], "limit", &limit) < 0 ||
        py_convert_seconds(state, values[TIMEOUT], "timeout", &params.timeout_ms) < 0 ||
        py_json_append_object(state, &filter, values[WHERE], "", "where") < 0) {
        goto cleanup;
    }
    if (values[AFTER] != NULL && !Py_IsNone(values[AFTER])) {
        if (py_id_column_init(state, values[AFTER], true, &after) < 0) goto cleanup;
        if (!after.single) {
            PyErr_SetString(PyExc_TypeError, "after must be one id");
            goto cleanup;
        }
    }
    if (limit == 0) {
        result = PyList_New(0); /* To the engine 0 means its default. */
        goto cleanup;
    }
    params.flags = OMENDB_WITH_DOCUMENTS;
    params.filter = filter.size != 0 ? filter.data : NULL;
    params.filter_size = filter.size;
    params.after = after.ids;
    params.limit = (size_t)limit;
    if (py_collection_enter(state, collection) < 0) goto cleanup;
    struct find_call call = {.collection = collection->handle, .params = &params};
    omendb_status status = OMENDB_OK;
    const bool may_last = collection_size(collection) >= SCAN_LASTS;
    const int called = py_call_run(collection->database, may_last, collection_run_find, &call,
                                   &status);
    if (called == 0) {
        result = status == OMENDB_OK ? collection_document_list(state, call.documents)
                                     : py_errors_raise(state, status, &call.err);
    }
    omendb_documents_destroy(call.documents);
    py_collection_leave(collection);
cleanup:
    py_id_column_deinit(&after);
    py_text_deinit(&filter);
    return result;
}

struct count_call {
    omendb_collection *collection;
    const struct text *filter;
    uint64_t count;
    omendb_error err;
};

static omendb_status collection_run_count(void *argument)
{
    struct count_call *const call = argument;
    return omendb_collection_count(call->collection,
                                   call->filter->size != 0 ? call->filter->data : NULL,
                                   call->filter->size, &call->count, &call->err);
}

static int collection_count_where(PyObject *self, PyObject *where, uint64_t *out)
{
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    struct text filter = {NULL, 0, 0};
    if (state == NULL) return -1;
    if (py_json_append_object(state, &filter, where, "", "where") < 0 ||
        py_collection_enter(state, collection) < 0) {
        py_text_deinit(&filter);
        return -1;
    }
    struct count_call call = {.collection = collection->handle, .filter = &filter};
    omendb_status status = OMENDB_OK;
    const bool may_last = filter.size != 0 && collection_size(collection) >= SCAN_LASTS;
    int result = py_call_run(collection->database, may_last, collection_run_count, &call, &status);
    py_collection_leave(collection);
    py_text_deinit(&filter);
    if (result == 0 && status != OMENDB_OK) {
        py_errors_raise(state, status, &call.err);
        result = -1;
    }
    *out = call.count;
    return result;
}

static PyObject *collection_count(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                  PyObject *keywords)
{
    static const char *const names[] = {"where", NULL};
    static const struct signature signature = {"count", names, 1, 0};
    PyObject *values[1];
    uint64_t found = 0;
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        collection_count_where(self, values[0], &found) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(found);
}

static Py_ssize_t collection_length(PyObject *self)
{
    uint64_t found = 0;
    return collection_count_where(self, NULL, &found) < 0 ? -1 : (Py_ssize_t)found;
}

/* An empty collection is not a missing one: `if collection:` holds. */
static int collection_true(PyObject *self)
{
    (void)self;
    return 1;
}

/* ---- Searching ------------------------------------------------------------------------- */

struct search_call {
    omendb_collection *collection;
    const omendb_search_params *params;
    omendb_hits *hits;
    omendb_error err;
};

static omendb_status collection_run_search(void *argument)
{
    struct search_call *const call = argument;
    return omendb_collection_search(call->collection, call->params, &call->hits, &call->err);
}

enum {
    SEARCH_QUERY,
    SEARCH_K,
    SEARCH_WHERE,
    SEARCH_RECALL,
    SEARCH_EF,
    SEARCH_EXACT,
    SEARCH_THREADS,
    SEARCH_FIELD,
    SEARCH_OFFSET,
    SEARCH_DOCUMENTS,
    SEARCH_VECTORS,
    SEARCH_TIMEOUT,
    SEARCH_COUNT
};

/* The options of a search but for its queries and filter. */
static int collection_search_options(struct module_state *state, PyObject *const *values,
                                     omendb_search_params *params)
{
    bool exact = false, documents = true, vectors = false;
    params->k = 10;
    if (py_convert_u32(state, values[SEARCH_K], "k", &params->k) < 0 ||
        py_convert_u32(state, values[SEARCH_EF], "ef", &params->ef) < 0 ||
        py_convert_u32(state, values[SEARCH_THREADS], "threads", &params->threads) < 0 ||
        py_convert_u32(state, values[SEARCH_OFFSET], "offset", &params->offset) < 0 ||
        py_convert_bool(values[SEARCH_EXACT], &exact) < 0 ||
        py_convert_bool(values[SEARCH_DOCUMENTS], &documents) < 0 ||
        py_convert_bool(values[SEARCH_VECTORS], &vectors) < 0 ||
        py_convert_seconds(state, values[SEARCH_TIMEOUT], "timeout", &params->timeout_ms) < 0) {
        return -1;
    }
    if (params->k == 0) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "k must be from 1 to %u", OMENDB_K_MAX);
        return -1;
    }
    if (values[SEARCH_RECALL] != NULL && !Py_IsNone(values[SEARCH_RECALL])) {
        const double recall = PyFloat_AsDouble(values[SEARCH_RECALL]);
        if (recall == -1.0 && PyErr_Occurred()) return -1;
        if (!(recall > 0.0 && recall <= 1.0)) {
            (void)py_errors_format(state, OMENDB_ERR_ARGUMENT,
                                   "recall must be above 0 and at most 1, not %R",
                                   values[SEARCH_RECALL]);
            return -1;
        }
        params->recall = (float)recall;
    }
    if (exact) params->flags |= OMENDB_EXACT;
    if (documents) params->flags |= OMENDB_WITH_DOCUMENTS;
    if (vectors) params->flags |= OMENDB_WITH_VECTORS;
    return 0;
}

static PyObject *collection_search(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                   PyObject *keywords)
{
    static const char *const names[] = {"q",       "k",       "where", "recall", "ef",
                                        "exact",   "threads", "field", "offset", "documents",
                                        "vectors", "timeout", NULL};
    static const struct signature signature = {"search", names, 2, 1};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[SEARCH_COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    PyObject *field = values[SEARCH_FIELD];
    if (field != NULL && Py_IsNone(field)) field = NULL;
    if ((field != NULL && py_convert_name(state, field, "field", &params.field) < 0) ||
        collection_search_options(state, values, &params) < 0) {
        return NULL;
    }
    omendb_type type = OMENDB_F32;
    uint32_t dim = 0;
    if ((params.flags & OMENDB_WITH_VECTORS) != 0 &&
        py_collection_vector_field(state, collection, field, &type, &dim) < 0) {
        return NULL;
    }
    struct vector_rows queries;
    if (py_vector_rows_init(state, collection, field, values[SEARCH_QUERY], false, &queries) < 0) {
        return NULL;
    }
    struct text filter = {NULL, 0, 0};
    PyObject *result = NULL;
    if (py_json_append_object(state, &filter, values[SEARCH_WHERE], "", "where") < 0) goto cleanup;
    if (queries.count == 0) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "search() needs at least one query");
        goto cleanup;
    }
    params.type = queries.type;
    params.dim = queries.dim;
    params.queries = queries.data;
    params.query_count = queries.count;
    params.row_stride = queries.row_stride;
    params.filter = filter.size != 0 ? filter.data : NULL;
    params.filter_size = filter.size;
    if (py_collection_enter(state, collection) < 0) goto cleanup;
    struct search_call call = {.collection = collection->handle, .params = &params};
    omendb_status status = OMENDB_OK;
    const uint64_t size = collection_size(collection);
    const bool may_last = size != 0 && queries.count >= SCAN_LASTS / size;
    const int called = py_call_run(collection->database, may_last, collection_run_search, &call,
                                   &status);
    if (called == 0 && status == OMENDB_OK) {
        result = py_result_create(state, call.hits, queries.single, params.flags, field, type, dim);
    } else {
        omendb_hits_destroy(call.hits);
        if (called == 0) py_errors_raise(state, status, &call.err);
    }
    py_collection_leave(collection);
cleanup:
    py_vector_rows_deinit(&queries);
    py_text_deinit(&filter);
    return result;
}

static PyMethodDef collection_methods[] = {
    {"upsert", METHOD(collection_upsert), METHOD_FLAGS,
     "upsert($self, /, ids, vectors=None, documents=None)\n--\n\n"
     "Insert or replace documents, all or none of them.\n\n"
     "ids: ints from 0 to 2**64 - 1 and strs. vectors: an array (rows, dim) for the only vector\n"
     "field, or {field: array}; a list may hold None where a document has no vector.\n"
     "documents: dicts, JSON strs or None. One id with one vector and one document does too."},
    {"delete", METHOD(collection_delete), METHOD_FLAGS,
     "delete($self, /, ids=None, *, where=None)\n--\n\n"
     "Delete documents by id or by filter; how many there were."},
    {"get", collection_get, METH_O, "get($self, id, /)\n--\n\nThe document of an id, or None."},
    {"get_many", collection_get_many, METH_O,
     "get_many($self, ids, /)\n--\n\nThe document of each id, None where there is none."},
    {"vectors", METHOD(collection_vectors), METHOD_FLAGS,
     "vectors($self, /, field, ids)\n--\n\n"
     "The vectors of some ids as they went in: a Numbers (len(ids), dim), or (dim,) for one id.\n"
     "field None: the only one."},
    {"find", METHOD(collection_find), METHOD_FLAGS,
     "find($self, /, where=None, *, limit=100, after=None, timeout=None)\n--\n\n"
     "Documents that match a filter as [Document(id, document)], in the order of ids: ints\n"
     "before strs. after: the last id of the page before. limit None: all."},
    {"count", METHOD(collection_count), METHOD_FLAGS,
     "count($self, /, where=None)\n--\n\nHow many documents there are, or match a filter."},
    {"search", METHOD(collection_search), METHOD_FLAGS,
     "search($self, /, q, k=10, *, where=None, recall=None, ef=None, exact=False, threads=None,\n"
     "       field=None, offset=0, documents=True, vectors=False, timeout=None)\n--\n\n"
     "The k nearest documents of a vector (dim,), or of each of several (nq, dim)."},
    {"describe", collection_describe, METH_NOARGS,
     "describe($self, /)\n--\n\nName, count, vector fields and declared fields."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef collection_properties[] = {
    {"name", collection_name, NULL, "The collection's name", NULL},
    {"database", collection_database, NULL, "The Database it belongs to", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot collection_slots[] = {
    {Py_tp_doc,
     TEXT("A collection of documents; made by Database.create_collection() and collection().")},
    {Py_tp_dealloc, SLOT(collection_dealloc)},
    {Py_tp_repr, SLOT(collection_repr)},
    {Py_tp_methods, collection_methods},
    {Py_tp_getset, collection_properties},
    {Py_mp_length, SLOT(collection_length)},
    {Py_nb_bool, SLOT(collection_true)},
    {Py_sq_contains, SLOT(collection_contains)},
    {0, NULL},
};

PyType_Spec *py_collection_spec(void)
{
    static PyType_Spec spec = {
        .name = "omendb.Collection",
        .basicsize = (int)sizeof(struct collection),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = collection_slots,
    };
    return &spec;
}
