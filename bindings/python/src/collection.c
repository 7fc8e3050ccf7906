/* Collection: what it is, and writing to it; reading.c and searching.c have the rest. */
#include "binding.h"

#include <string.h>

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
        PyObject *fields = py_module_call_helper(state, NAME_VECTOR_FIELDS, &described, 1);
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
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL) return NULL;
    PyObject *described = collection_describe(self, NULL);
    if (described == NULL) {
        const bool dropped = PyErr_ExceptionMatches(state->errors[-OMENDB_ERR_NOT_FOUND]);
        PyErr_Clear();
        return PyUnicode_FromFormat("<omendb.Collection, %s>", dropped ? "dropped" : "closed");
    }
    PyObject *text = py_module_call_helper(state, NAME_COLLECTION_TEXT, &described, 1);
    Py_DECREF(described);
    return text;
}

static PyObject *collection_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_module_refuse_pickle(self, "send the database's path and the collection's name, and "
                                         "omendb.open(path, read_only=True)[name] there");
}

/* An empty collection is not a missing one: `if collection:` holds. */
static int collection_true(PyObject *self)
{
    (void)self;
    return 1;
}

uint64_t py_collection_size(struct collection *collection)
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
    enum { IDS, VECTORS, DOCUMENTS, IF_ABSENT, IF_VERSION, COUNT };
    static const char *const names[] = {"ids",       "vectors",    "documents",
                                        "if_absent", "if_version", NULL};
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
    if (py_row_columns_set_conditions(state, values[IF_ABSENT], values[IF_VERSION], &columns) ==
            0 &&
        py_collection_enter(state, collection) == 0) {
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
    const uint64_t *if_versions; /* NULL: no conditions. */
    uint64_t deleted;
    omendb_error err;
};

static omendb_status collection_run_delete(void *argument)
{
    struct delete_call *const call = argument;
    if (call->if_versions != NULL) {
        call->deleted = call->ids->count;
        return omendb_collection_delete_if_version(call->collection, call->ids->ids,
                                                   call->if_versions, call->ids->count, &call->err);
    }
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
    enum { IDS, WHERE, IF_VERSION, COUNT };
    static const char *const names[] = {"ids", "where", "if_version", NULL};
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
    uint64_t *if_versions = NULL;
    PyObject *result = NULL;
    if (by_filter && values[IF_VERSION] != NULL && !Py_IsNone(values[IF_VERSION])) {
        return py_errors_format(state, OMENDB_ERR_ARGUMENT, "if_version goes with ids");
    }
    if (by_ids && py_id_column_init(state, values[IDS], true, &ids) < 0) return NULL;
    if (by_filter && py_json_append_object(state, &filter, values[WHERE], NULL, "where", -1) < 0) {
        goto cleanup;
    }
    if (by_ids &&
        py_row_versions(state, values[IF_VERSION], ids.count, ids.single, &if_versions) < 0) {
        goto cleanup;
    }
    if (py_collection_enter(state, collection) < 0) goto cleanup;
    struct delete_call call = {.collection = collection->handle,
                               .ids = by_ids ? &ids : NULL,
                               .filter = &filter,
                               .if_versions = if_versions};
    omendb_status status = OMENDB_OK;
    int called = 0;
    if (by_filter || ids.count != 0) {
        const bool may_last = by_ids ? ids.count >= WRITE_LASTS
                                     : py_collection_size(collection) >= WRITE_LASTS;
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
    PyMem_Free(if_versions);
    return result;
}

static PyMethodDef collection_methods[] = {
    {"upsert", METHOD(collection_upsert), METHOD_FLAGS,
     "upsert($self, /, ids, vectors=None, documents=None, *, if_absent=False, if_version=None)\n"
     "--\n\n"
     "Insert or replace documents, all or none of them.\n\n"
     "ids: ints from 0 to 2**64 - 1 and strs. vectors: an array (rows, dim) for the only vector\n"
     "field, or {field: array}; a list may hold None where a document has no vector.\n"
     "documents: dicts, JSON strs or None. One id with one vector and one document does too.\n"
     "if_absent: insert only, ExistsError. if_version: the version that the document must have, "
     "as\n"
     "get_with_version() told, 0 for none, or one for each id (None: any); ConflictError.\n\n"
     "    >>> docs.upsert(ids=['c', 9], vectors=[[0, 1, 1], [1, 1, 1]],\n"
     "    ...             documents=[{'n': 4}, {'n': 5}])\n"
     "    >>> docs.upsert('d', [1, 0, 1], {'n': 6})\n"
     "    >>> len(docs)\n"
     "    6"},
    {"delete", METHOD(collection_delete), METHOD_FLAGS,
     "delete($self, /, ids=None, *, where=None, if_version=None)\n--\n\n"
     "Delete documents by id or by filter; how many there were. if_version as in upsert().\n\n"
     "    >>> docs.delete(['a', 'missing']), docs.delete(where={'n': {'$gte': 3}})\n"
     "    (1, 1)\n"
     "    >>> list(docs)\n"
     "    ['b']"},
    {"get", METHOD(py_reading_get), METHOD_FLAGS,
     "get($self, /, id, default=None)\n--\n\n"
     "The document of an id, or `default`; docs[id] raises NotFoundError instead.\n\n"
     "    >>> docs.get('a'), docs.get('missing'), docs[7]\n"
     "    ({'n': 1}, None, {'n': 3})"},
    {"get_many", METHOD(py_reading_get_many), METHOD_FLAGS,
     "get_many($self, /, ids)\n--\n\n"
     "The document of each id, None where there is none; all at one moment.\n\n"
     "    >>> docs.get_many(['b', 'missing', 7])\n"
     "    [{'n': 2}, None, {'n': 3}]"},
    {"get_with_version", METHOD(py_reading_get_with_version), METHOD_FLAGS,
     "get_with_version($self, /, id)\n--\n\n"
     "(document, version) of an id, (None, 0) when there is none: for upsert(if_version=...).\n"
     "What this transaction has written has the version 2**64 - 2.\n\n"
     "    >>> document, version = docs.get_with_version('a')\n"
     "    >>> docs.upsert('a', documents={'n': document['n'] + 1}, if_version=version)\n"
     "    >>> docs.upsert('a', documents={'n': 9}, if_version=version)\n"
     "    ... # doctest: +IGNORE_EXCEPTION_DETAIL\n"
     "    Traceback (most recent call last):\n"
     "    omendb.ConflictError"},
    {"vectors", METHOD(py_reading_vectors), METHOD_FLAGS,
     "vectors($self, /, field=None, ids=None, *, where=None)\n--\n\n"
     "Vectors as they went in, read-only, all of one moment: a Numbers (rows, dim), its rows the\n"
     "ids `.ids`.\n\n"
     "ids: these, in this order (one id: a row (dim,)); NotFoundError where one is missing.\n"
     "Without: of all documents that match `where` and have the vector, in the order of ids.\n"
     "field None: the only one.\n\n"
     "    >>> X = docs.vectors('v')\n"
     "    >>> X.tolist(), X.ids\n"
     "    ([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [7, 'a', 'b'])\n"
     "    >>> docs.vectors('v', ids=['b']).tolist(), docs.vectors('v', 'b').tolist()\n"
     "    ([[0.0, 1.0, 0.0]], [0.0, 1.0, 0.0])"},
    {"find", METHOD(py_reading_find), METHOD_FLAGS,
     "find($self, /, where=None, *, limit=100, after=None, documents=True, timeout=None)\n--\n\n"
     "Documents that match a filter as [Document(id, document)], in the order of ids: ints\n"
     "before strs. after: the last id of the page before. limit None: all. Each call looks at\n"
     "all ids; items() chooses its pages by that.\n\n"
     "    >>> docs.find({'n': {'$lte': 2}}, limit=1)\n"
     "    [omendb.Document(id='a', document={'n': 1})]\n"
     "    >>> [id for id, document in docs.find({'n': {'$lte': 2}}, after='a')]\n"
     "    ['b']"},
    {"items", METHOD(py_reading_items), METHOD_FLAGS,
     "items($self, /, where=None)\n--\n\n"
     "Iterate over (id, document) of what matches, in the order of ids, page by page. Each page\n"
     "is of one moment; documents may be written and deleted meanwhile.\n\n"
     "    >>> for id, document in docs.items():\n"
     "    ...     print(id, document)\n"
     "    7 {'n': 3}\n"
     "    a {'n': 1}\n"
     "    b {'n': 2}"},
    {"ids", METHOD(py_reading_ids), METHOD_FLAGS,
     "ids($self, /, where=None)\n--\n\n"
     "Iterate over the ids of what matches, as items() does; iter(docs) are all.\n\n"
     "    >>> list(docs.ids({'n': {'$gt': 1}})), list(docs)\n"
     "    ([7, 'b'], [7, 'a', 'b'])"},
    {"count", METHOD(py_reading_count), METHOD_FLAGS,
     "count($self, /, where=None)\n--\n\n"
     "How many documents there are, or match a filter.\n\n"
     "    >>> docs.count(), len(docs), docs.count({'n': 2})\n"
     "    (3, 3, 1)"},
    {"search", METHOD(py_searching_search), METHOD_FLAGS,
     "search($self, /, q, k=10, *, where=None, recall=None, ef=None, exact=False, threads=None,\n"
     "       field=None, offset=0, documents=True, vectors=False, timeout=None)\n--\n\n"
     "The k nearest documents of a vector (dim,), or of each of several (nq, dim).\n\n"
     "where: a filter. recall: the part of the true hits that is wanted, 0.95 by default, or ef:\n"
     "the graph's beam width, from k to 8192; exact: brute force's answer. threads: for several\n"
     "queries or a large scan. offset: leave out that many of the best. timeout: seconds.\n\n"
     "    >>> r = docs.search([1, 0.1, 0], k=2, where={'n': {'$lte': 2}})\n"
     "    >>> r.ids, r.documents\n"
     "    (['a', 'b'], [{'n': 1}, {'n': 2}])\n"
     "    >>> for hit in r:\n"
     "    ...     print(hit.id, round(hit.score, 3), hit.document)\n"
     "    a 0.99 {'n': 1}\n"
     "    b 0.356 {'n': 2}"},
    {"set_index", METHOD(py_indexing_set), METHOD_FLAGS,
     "set_index($self, /, field, index)\n--\n\n"
     "Search a vector field (None: the only one) in another way from now on: 'fast', 'compact' or\n"
     "'exact', as in Vector. Searches go on meanwhile.\n\n"
     "    >>> docs.set_index('v', 'exact')\n"
     "    >>> docs.describe()['vectors'][0]['index']\n"
     "    'exact'"},
    {"wait_indexed", METHOD(py_indexing_wait), METHOD_FLAGS,
     "wait_indexed($self, /, timeout=None, progress=None)\n--\n\n"
     "Wait until the graphs hold all vectors. Never needed for right answers: it tells when\n"
     "searches have become as fast as they will. progress(indexed, total) is called at the\n"
     "beginning, some ten times a second, and at the end; what it raises ends the waiting.\n"
     "timeout: seconds, then TimeoutError.\n\n"
     "    >>> docs.wait_indexed(progress=lambda indexed, total: None)"},
    {"describe", collection_describe, METH_NOARGS,
     "describe($self, /)\n--\n\n"
     "Name, count, vector fields and declared fields, a dict.\n\n"
     "    >>> docs.describe()['vectors']\n"
     "    [{'name': 'v', 'dim': 3, 'type': 'f32', 'metric': 'l2', 'index': 'exact'}]"},
    {"__reduce__", collection_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef collection_properties[] = {
    {"name", collection_name, NULL, "The collection's name", NULL},
    {"database", collection_database, NULL, "The Database it belongs to", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot collection_slots[] = {
    {Py_tp_doc,
     TEXT("A collection of documents; made by Database.create_collection() and collection().\n\n"
          "    >>> docs\n"
          "    <omendb.Collection 'docs': 3 documents, v: Vector(3, 'l2', type='f32')>\n"
          "    >>> len(docs), 'a' in docs, docs['a'], list(docs)\n"
          "    (3, True, {'n': 1}, [7, 'a', 'b'])\n"
          "    >>> docs.search([1, 0, 0], k=1).ids\n"
          "    ['a']")},
    {Py_tp_dealloc, SLOT(collection_dealloc)},
    {Py_tp_repr, SLOT(collection_repr)},
    {Py_tp_methods, collection_methods},
    {Py_tp_getset, collection_properties},
    {Py_tp_iter, SLOT(py_reading_iterate)},
    {Py_mp_length, SLOT(py_reading_length)},
    {Py_mp_subscript, SLOT(py_reading_subscript)},
    {Py_nb_bool, SLOT(collection_true)},
    {Py_sq_contains, SLOT(py_reading_contains)},
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
