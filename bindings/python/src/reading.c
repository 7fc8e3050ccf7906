/* Collection: documents and vectors by id, by filter, and one after the other. */
#include "binding.h"

/* The document of an entry: what went in, or None. */
static PyObject *reading_document(struct module_state *state, const omendb_documents *documents,
                                  size_t index)
{
    omendb_document document;
    omendb_documents_entry(documents, index, &document);
    if (document.json_view == NULL) Py_RETURN_NONE;
    return py_json_decode(state, document.json_view, document.json_size);
}

/* ---- By id ----------------------------------------------------------------------------- */

/* The documents of some ids, inside py_collection_enter(). */
static omendb_documents *reading_by_ids(struct module_state *state, struct collection *collection,
                                        PyObject *value, uint32_t flags, bool *single)
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

/* The document of one id: a new reference, or NULL without an exception when there is none. */
static PyObject *reading_one(struct module_state *state, PyObject *self, PyObject *id,
                             const char *function)
{
    struct collection *const collection = (struct collection *)self;
    if (py_collection_enter(state, collection) < 0) return NULL;
    bool single = false;
    PyObject *result = NULL;
    omendb_documents *const documents = reading_by_ids(state, collection, id, OMENDB_WITH_DOCUMENTS,
                                                       &single);
    if (documents != NULL && !single) {
        PyErr_Format(PyExc_TypeError, "%s takes one id; get_many() takes several", function);
    } else if (documents != NULL) {
        omendb_document document;
        omendb_documents_entry(documents, 0, &document);
        if (document.found != 0) result = reading_document(state, documents, 0);
    }
    omendb_documents_destroy(documents);
    py_collection_leave(collection);
    return result;
}

PyObject *py_reading_get(PyObject *self, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords)
{
    enum { ID, DEFAULT, COUNT };
    static const char *const names[] = {"id", "default", NULL};
    static const struct signature signature = {"get", names, 2, 1};
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    PyObject *const document = reading_one(state, self, values[ID], "get()");
    if (document != NULL || PyErr_Occurred()) return document;
    return Py_NewRef(values[DEFAULT] != NULL ? values[DEFAULT] : Py_None);
}

PyObject *py_reading_subscript(PyObject *self, PyObject *id)
{
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL) return NULL;
    PyObject *const document = reading_one(state, self, id, "collection[id]");
    if (document != NULL || PyErr_Occurred()) return document;
    return py_errors_format(state, OMENDB_ERR_NOT_FOUND, "no document %R", id);
}

PyObject *py_reading_get_with_version(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                      PyObject *keywords)
{
    static const char *const names[] = {"id", NULL};
    static const struct signature signature = {"get_with_version", names, 1, 1};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[1];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_collection_enter(state, collection) < 0) {
        return NULL;
    }
    bool single = false;
    PyObject *result = NULL;
    omendb_documents *const documents = reading_by_ids(state, collection, values[0],
                                                       OMENDB_WITH_DOCUMENTS, &single);
    if (documents != NULL && !single) {
        PyErr_SetString(PyExc_TypeError, "get_with_version() takes one id");
    } else if (documents != NULL) {
        PyObject *const document = reading_document(state, documents, 0);
        if (document != NULL) {
            result = Py_BuildValue("NK", document,
                                   (unsigned long long)omendb_documents_version(documents, 0));
        }
    }
    omendb_documents_destroy(documents);
    py_collection_leave(collection);
    return result;
}

PyObject *py_reading_get_many(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords)
{
    static const char *const names[] = {"ids", NULL};
    static const struct signature signature = {"get_many", names, 1, 1};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[1];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_collection_enter(state, collection) < 0) {
        return NULL;
    }
    bool single = false;
    PyObject *list = NULL;
    omendb_documents *const documents = reading_by_ids(state, collection, values[0],
                                                       OMENDB_WITH_DOCUMENTS, &single);
    if (documents != NULL) {
        const size_t found = omendb_documents_count(documents);
        list = PyList_New((Py_ssize_t)found);
        for (size_t i = 0; list != NULL && i < found; i++) {
            PyObject *item = reading_document(state, documents, i);
            if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) < 0) Py_CLEAR(list);
        }
    }
    omendb_documents_destroy(documents);
    py_collection_leave(collection);
    return list;
}

int py_reading_contains(PyObject *self, PyObject *id)
{
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || py_collection_enter(state, collection) < 0) return -1;
    bool single = false;
    int result = -1;
    omendb_documents *const documents = reading_by_ids(state, collection, id, 0, &single);
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

/* ---- By filter ------------------------------------------------------------------------- */

struct find_call {
    omendb_collection *collection;
    const omendb_find_params *params;
    omendb_documents *documents;
    omendb_error err;
};

static omendb_status reading_run_find(void *argument)
{
    struct find_call *const call = argument;
    return omendb_collection_find(call->collection, call->params, &call->documents, &call->err);
}

/* Inside py_collection_enter(). */
static omendb_documents *reading_by_filter(struct module_state *state,
                                           struct collection *collection,
                                           const omendb_find_params *params)
{
    struct find_call call = {.collection = collection->handle, .params = params};
    omendb_status status = OMENDB_OK;
    const bool may_last = py_collection_size(collection) >= SCAN_LASTS;
    const int called = py_call_run(collection->database, may_last, reading_run_find, &call,
                                   &status);
    if (called == 0 && status == OMENDB_OK) return call.documents;
    omendb_documents_destroy(call.documents);
    if (called == 0) py_errors_raise(state, status, &call.err);
    return NULL;
}

/* The entries as a list of Document(id, document). */
static PyObject *reading_document_list(struct module_state *state,
                                       const omendb_documents *documents)
{
    const size_t count = omendb_documents_count(documents);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        omendb_document entry;
        omendb_documents_entry(documents, i, &entry);
        PyObject *item = PyStructSequence_New(state->document_type);
        PyObject *id = py_convert_id_to_python(&entry.id);
        PyObject *document = reading_document(state, documents, i);
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

PyObject *py_reading_find(PyObject *self, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords)
{
    enum { WHERE, LIMIT, AFTER, DOCUMENTS, TIMEOUT, COUNT };
    static const char *const names[] = {"where", "limit", "after", "documents", "timeout", NULL};
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
    bool with_documents = true;
    uint64_t limit = 100;
    if (values[LIMIT] != NULL && Py_IsNone(values[LIMIT])) limit = SIZE_MAX;
    if (py_convert_u64(state, values[LIMIT], "limit", &limit) < 0 ||
        py_convert_bool(values[DOCUMENTS], &with_documents) < 0 ||
        py_convert_seconds(state, values[TIMEOUT], "timeout", &params.timeout_ms) < 0 ||
        py_json_append_object(state, &filter, values[WHERE], "", "where", -1) < 0) {
        goto cleanup;
    }
    if (values[AFTER] != NULL && !Py_IsNone(values[AFTER])) {
        if (py_id_column_init(state, values[AFTER], true, &after) < 0) goto cleanup;
        if (!after.single) {
            PyErr_SetString(PyExc_TypeError, "after must be one id");
            goto cleanup;
        }
    }
    params.flags = with_documents ? OMENDB_WITH_DOCUMENTS : 0;
    params.filter = filter.size != 0 ? filter.data : NULL;
    params.filter_size = filter.size;
    params.after = after.ids;
    params.limit = (size_t)limit;
    if (py_collection_enter(state, collection) < 0) goto cleanup;
    if (limit == 0) {
        result = PyList_New(0); /* To the engine 0 means its default. */
    } else {
        omendb_documents *const documents = reading_by_filter(state, collection, &params);
        if (documents != NULL) result = reading_document_list(state, documents);
        omendb_documents_destroy(documents);
    }
    py_collection_leave(collection);
cleanup:
    py_id_column_deinit(&after);
    py_text_deinit(&filter);
    return result;
}

/* items() and ids(): pages of find(), by a generator of _helpers. */
static PyObject *reading_pages(PyObject *self, enum name helper, PyObject *where)
{
    struct module_state *const state = py_module_state_of(self);
    PyObject *const values[] = {self, where != NULL ? where : Py_None};
    return state != NULL ? py_module_call_helper(state, helper, values, 2) : NULL;
}

PyObject *py_reading_items(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    static const char *const names[] = {"where", NULL};
    static const struct signature signature = {"items", names, 1, 0};
    PyObject *values[1];
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0) return NULL;
    return reading_pages(self, NAME_ITEMS, values[0]);
}

PyObject *py_reading_ids(PyObject *self, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords)
{
    static const char *const names[] = {"where", NULL};
    static const struct signature signature = {"ids", names, 1, 0};
    PyObject *values[1];
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0) return NULL;
    return reading_pages(self, NAME_IDS, values[0]);
}

PyObject *py_reading_iterate(PyObject *self)
{
    return reading_pages(self, NAME_IDS, NULL);
}

/* ---- Counting -------------------------------------------------------------------------- */

struct count_call {
    omendb_collection *collection;
    const struct text *filter;
    uint64_t count;
    omendb_error err;
};

static omendb_status reading_run_count(void *argument)
{
    struct count_call *const call = argument;
    return omendb_collection_count(call->collection,
                                   call->filter->size != 0 ? call->filter->data : NULL,
                                   call->filter->size, &call->count, &call->err);
}

static int reading_count_where(PyObject *self, PyObject *where, uint64_t *out)
{
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    struct text filter = {NULL, 0, 0};
    if (state == NULL) return -1;
    if (py_json_append_object(state, &filter, where, "", "where", -1) < 0 ||
        py_collection_enter(state, collection) < 0) {
        py_text_deinit(&filter);
        return -1;
    }
    struct count_call call = {.collection = collection->handle, .filter = &filter};
    omendb_status status = OMENDB_OK;
    const bool may_last = filter.size != 0 && py_collection_size(collection) >= SCAN_LASTS;
    int result = py_call_run(collection->database, may_last, reading_run_count, &call, &status);
    py_collection_leave(collection);
    py_text_deinit(&filter);
    if (result == 0 && status != OMENDB_OK) {
        py_errors_raise(state, status, &call.err);
        result = -1;
    }
    *out = call.count;
    return result;
}

PyObject *py_reading_count(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    static const char *const names[] = {"where", NULL};
    static const struct signature signature = {"count", names, 1, 0};
    PyObject *values[1];
    uint64_t found = 0;
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        reading_count_where(self, values[0], &found) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(found);
}

Py_ssize_t py_reading_length(PyObject *self)
{
    uint64_t found = 0;
    return reading_count_where(self, NULL, &found) < 0 ? -1 : (Py_ssize_t)found;
}

/* ---- Vectors --------------------------------------------------------------------------- */

/* Vectors of the documents that match a filter, those without one left out. */
static PyObject *reading_all_vectors(struct module_state *state, struct collection *collection,
                                     PyObject *field, PyObject *where, omendb_type type,
                                     uint32_t dim)
{
    omendb_find_params params = OMENDB_FIND_PARAMS_INIT;
    struct text filter = {NULL, 0, 0};
    PyObject *result = NULL;
    if (py_json_append_object(state, &filter, where, "", "where", -1) == 0) {
        params.flags = OMENDB_WITH_VECTORS;
        params.filter = filter.size != 0 ? filter.data : NULL;
        params.filter_size = filter.size;
        params.limit = SIZE_MAX;
        omendb_documents *const documents = reading_by_filter(state, collection, &params);
        if (documents != NULL) {
            result = py_result_take_vectors(state, documents, true, field, type, dim);
        }
    }
    py_text_deinit(&filter);
    return result;
}

PyObject *py_reading_vectors(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords)
{
    enum { FIELD, IDS, WHERE, COUNT };
    static const char *const names[] = {"field", "ids", "where", NULL};
    static const struct signature signature = {"vectors", names, 2, 0};
    struct collection *const collection = (struct collection *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_collection_enter(state, collection) < 0) {
        return NULL;
    }
    PyObject *const field = values[FIELD] == NULL || Py_IsNone(values[FIELD]) ? NULL
                                                                              : values[FIELD];
    const bool by_ids = values[IDS] != NULL && !Py_IsNone(values[IDS]);
    const bool by_filter = values[WHERE] != NULL && !Py_IsNone(values[WHERE]);
    bool single = false;
    PyObject *result = NULL;
    omendb_type type = OMENDB_F32;
    uint32_t dim = 0;
    const char *name = NULL;
    int found = -1;
    if (by_ids && by_filter) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT, "vectors() takes ids or where");
    } else if (field == NULL || py_convert_name(state, field, "field", &name) == 0) {
        found = py_collection_vector_field(state, collection, field, &type, &dim);
    }
    if (found > 0 && by_ids) {
        omendb_documents *const documents = reading_by_ids(state, collection, values[IDS],
                                                           OMENDB_WITH_VECTORS, &single);
        if (documents != NULL) {
            result = py_result_take_vectors(state, documents, false, field, type, dim);
        }
    } else if (found > 0) {
        result = reading_all_vectors(state, collection, field, values[WHERE], type, dim);
    } else if (found == 0 && field != NULL) {
        (void)py_errors_format(state, OMENDB_ERR_NOT_FOUND, "no vector field %R", field);
    } else if (found == 0) {
        (void)py_errors_format(state, OMENDB_ERR_ARGUMENT,
                               "which vector field? the collection hasn't just one");
    }
    py_collection_leave(collection);
    if (result != NULL && single) {
        PyObject *row = PySequence_GetItem(result, 0);
        Py_DECREF(result);
        return row;
    }
    return result;
}
