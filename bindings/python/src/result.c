/* result.c - what a search found.
 *
 *     Result ── omendb_hits ──▶ ids, documents, vectors   Python objects, made when asked for
 *                    ▲
 *     Numbers ── owner ─▶ Result                          distances, scores: the hits' own memory
 *
 * With one query (dim,) a Result is a sequence of Hit; with several (nq, dim) a sequence of lists
 * of Hit. Hits are copies that belong to nobody but their handle: a Result, and numbers taken
 * from it, go on working when the collection is dropped or the database closed.
 *
 * A Result takes part in garbage collection, for the documents in it are the user's to change.
 * It keeps no reference to the Numbers it gave away: those refer to it.
 */
#include "binding.h"

#include <string.h>

struct result {
    PyObject base;
    omendb_hits *hits;
    PyObject *field; /* Of the vectors, or NULL: the only one. */
    omendb_type type;
    uint32_t dim;
    Py_ssize_t query_count;
    uint32_t flags;
    bool single;
    PyObject *ids; /* Lists, one for each query; NULL: not made yet. */
    PyObject *documents;
    PyObject *vectors;
};

PyObject *py_result_create(struct module_state *state, omendb_hits *hits, bool single,
                           uint32_t flags, PyObject *field, omendb_type type, uint32_t dim)
{
    struct result *const result = (struct result *)py_module_new_object(state->result_type);
    if (result == NULL) {
        omendb_hits_destroy(hits);
        return NULL;
    }
    result->hits = hits;
    result->single = single;
    result->flags = flags;
    result->field = field != NULL ? Py_NewRef(field) : NULL;
    result->type = type;
    result->dim = dim;
    result->query_count = (Py_ssize_t)omendb_hits_query_count(hits);
    return (PyObject *)result;
}

static int result_traverse(PyObject *self, visitproc visit, void *arg)
{
    const struct result *const result = (struct result *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(result->documents);
    Py_VISIT(result->ids);
    Py_VISIT(result->vectors);
    return 0;
}

static int result_clear(PyObject *self)
{
    struct result *const result = (struct result *)self;
    Py_CLEAR(result->documents);
    Py_CLEAR(result->ids);
    Py_CLEAR(result->vectors);
    return 0;
}

static void result_dealloc(PyObject *self)
{
    struct result *const result = (struct result *)self;
    PyObject_GC_UnTrack(self);
    (void)result_clear(self);
    Py_CLEAR(result->field);
    omendb_hits_destroy(result->hits);
    py_module_free_object(self);
}

/* ---- Columns: what is made from the hits ------------------------------------------------ */

static PyObject *result_make_ids(struct module_state *state, const struct result *result,
                                 size_t query)
{
    (void)state;
    const size_t count = omendb_hits_count(result->hits, query);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        omendb_hit hit;
        omendb_hits_entry(result->hits, query, i, &hit);
        PyObject *id = py_convert_id_to_python(&hit.document.id);
        if (id == NULL || PyList_SetItem(list, (Py_ssize_t)i, id) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *result_make_documents(struct module_state *state, const struct result *result,
                                       size_t query)
{
    const size_t count = omendb_hits_count(result->hits, query);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        omendb_hit hit;
        omendb_hits_entry(result->hits, query, i, &hit);
        PyObject *document = hit.document.json_view != NULL
                                 ? py_json_decode(state, hit.document.json_view,
                                                  hit.document.json_size)
                                 : Py_NewRef(Py_None);
        if (document == NULL || PyList_SetItem(list, (Py_ssize_t)i, document) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *result_make_vectors(struct module_state *state, const struct result *result,
                                     size_t query)
{
    const omendb_documents *const documents = omendb_hits_documents(result->hits, query);
    return py_result_gather_vectors(state, documents, result->field, result->type, result->dim);
}

/* A borrowed reference to *slot, a list with one value for each query, made when first needed. */
static PyObject *result_need(struct module_state *state, struct result *result, PyObject **slot,
                             PyObject *(*make)(struct module_state *, const struct result *,
                                               size_t))
{
    if (*slot != NULL) return *slot;
    PyObject *list = PyList_New(result->query_count);
    for (Py_ssize_t query = 0; list != NULL && query < result->query_count; query++) {
        PyObject *value = make(state, result, (size_t)query);
        if (value == NULL || PyList_SetItem(list, query, value) < 0) Py_CLEAR(list);
    }
    /* Decoding runs Python code: another thread may have been faster. */
    if (*slot == NULL) {
        *slot = list;
    } else {
        Py_XDECREF(list);
    }
    return *slot;
}

/* ---- Vectors --------------------------------------------------------------------------- */

static PyObject *result_no_vector(struct module_state *state, const omendb_documents *documents,
                                  size_t index)
{
    omendb_document entry;
    omendb_documents_entry(documents, index, &entry);
    PyObject *id = py_convert_id_to_python(&entry.id);
    if (id == NULL) return NULL;
    (void)py_errors_format(state, OMENDB_ERR_NOT_FOUND,
                           entry.found ? "document %R has no such vector" : "no document %R", id);
    Py_DECREF(id);
    return NULL;
}

PyObject *py_result_gather_vectors(struct module_state *state, const omendb_documents *documents,
                                   PyObject *field, omendb_type type, uint32_t dim)
{
    const char *name = NULL;
    if (field != NULL && py_convert_name(state, field, "field", &name) < 0) return NULL;
    const size_t count = omendb_documents_count(documents);
    static const unsigned char sizes[] = {[OMENDB_F32] = 4, [OMENDB_F16] = 2, [OMENDB_BF16] = 2,
                                          [OMENDB_I8] = 1,  [OMENDB_U8] = 1,  [OMENDB_BIT] = 1};
    const size_t width = type == OMENDB_BIT ? ((size_t)dim + 7) / 8 : dim;
    const size_t size = width * sizes[type];
    void *data = NULL;
    PyObject *array = py_numbers_create(state, type, (Py_ssize_t)count, (Py_ssize_t)width, &data);
    if (array == NULL) return NULL;
    for (size_t i = 0; i < count; i++) {
        const void *const vector = omendb_documents_vector(documents, i, name, NULL, NULL);
        if (vector == NULL) {
            Py_DECREF(array);
            return result_no_vector(state, documents, i);
        }
        memcpy((char *)data + i * size, vector, size);
    }
    return array;
}

/* ---- What Python sees ------------------------------------------------------------------ */

/* A column, or with one query its only entry. */
static PyObject *result_column(PyObject *self, PyObject **slot,
                               PyObject *(*make)(struct module_state *, const struct result *,
                                                 size_t))
{
    struct module_state *const state = py_module_state_of(self);
    struct result *const result = (struct result *)self;
    PyObject *const column = state != NULL ? result_need(state, result, slot, make) : NULL;
    if (column == NULL) return NULL;
    if (!result->single) return Py_NewRef(column);
    PyObject *const only = PyList_GetItem(column, 0);
    return only != NULL ? Py_NewRef(only) : NULL;
}

static PyObject *result_ids(PyObject *self, void *closure)
{
    (void)closure;
    return result_column(self, &((struct result *)self)->ids, result_make_ids);
}

static PyObject *result_documents(PyObject *self, void *closure)
{
    (void)closure;
    struct result *const result = (struct result *)self;
    if ((result->flags & OMENDB_WITH_DOCUMENTS) == 0) Py_RETURN_NONE;
    return result_column(self, &result->documents, result_make_documents);
}

static PyObject *result_vectors(PyObject *self, void *closure)
{
    (void)closure;
    struct result *const result = (struct result *)self;
    if ((result->flags & OMENDB_WITH_VECTORS) == 0) Py_RETURN_NONE;
    return result_column(self, &result->vectors, result_make_vectors);
}

/* The hits' own numbers: (found,) of one query, (nq, k) of several. */
static PyObject *result_numbers(PyObject *self, const float *numbers)
{
    struct module_state *const state = py_module_state_of(self);
    const struct result *const result = (struct result *)self;
    if (state == NULL) return NULL;
    if (result->single) {
        const Py_ssize_t found = (Py_ssize_t)omendb_hits_count(result->hits, 0);
        return py_numbers_view(state, self, numbers, found, -1);
    }
    return py_numbers_view(state, self, numbers, result->query_count,
                           (Py_ssize_t)omendb_hits_k(result->hits));
}

static PyObject *result_distances(PyObject *self, void *closure)
{
    (void)closure;
    return result_numbers(self, omendb_hits_distances(((struct result *)self)->hits));
}

static PyObject *result_scores(PyObject *self, void *closure)
{
    (void)closure;
    return result_numbers(self, omendb_hits_scores(((struct result *)self)->hits));
}

static PyObject *result_explain(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct module_state *const state = py_module_state_of(self);
    const char *const text = omendb_hits_explain(((struct result *)self)->hits);
    return state != NULL ? py_json_decode(state, text, strlen(text)) : NULL;
}

/* Hit `index` of query `query`, both within bounds. */
static PyObject *result_hit(struct module_state *state, struct result *result, Py_ssize_t query,
                            Py_ssize_t index)
{
    PyObject *const ids = result_need(state, result, &result->ids, result_make_ids);
    if (ids == NULL) return NULL;
    PyObject *documents = Py_None;
    if ((result->flags & OMENDB_WITH_DOCUMENTS) != 0) {
        documents = result_need(state, result, &result->documents, result_make_documents);
        if (documents == NULL) return NULL;
    }
    omendb_hit found;
    omendb_hits_entry(result->hits, (size_t)query, (size_t)index, &found);
    PyObject *const hit = PyStructSequence_New(state->hit_type);
    PyObject *const members[4] = {
        PySequence_GetItem(PyList_GetItem(ids, query), index),
        PyFloat_FromDouble((double)found.score),
        PyFloat_FromDouble((double)found.distance),
        Py_IsNone(documents) ? Py_NewRef(Py_None)
                             : PySequence_GetItem(PyList_GetItem(documents, query), index),
    };
    bool whole = hit != NULL;
    for (Py_ssize_t i = 0; i < 4; i++) {
        whole = whole && members[i] != NULL;
        if (hit != NULL) {
            PyStructSequence_SetItem(hit, i, members[i]);
        } else {
            Py_XDECREF(members[i]);
        }
    }
    if (whole) return hit;
    Py_XDECREF(hit);
    return NULL;
}

static Py_ssize_t result_length(PyObject *self)
{
    const struct result *const result = (struct result *)self;
    return result->single ? (Py_ssize_t)omendb_hits_count(result->hits, 0) : result->query_count;
}

static PyObject *result_item(PyObject *self, Py_ssize_t index)
{
    struct module_state *const state = py_module_state_of(self);
    struct result *const result = (struct result *)self;
    if (state == NULL) return NULL;
    if (index < 0 || index >= result_length(self)) {
        PyErr_SetString(PyExc_IndexError, "omendb.Result index out of range");
        return NULL;
    }
    if (result->single) return result_hit(state, result, 0, index);
    const Py_ssize_t count = (Py_ssize_t)omendb_hits_count(result->hits, (size_t)index);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *hit = result_hit(state, result, index, i);
        if (hit == NULL || PyList_SetItem(list, i, hit) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *result_subscript(PyObject *self, PyObject *key)
{
    if (PyIndex_Check(key)) {
        const Py_ssize_t index = PyNumber_AsSsize_t(key, PyExc_IndexError);
        if (index == -1 && PyErr_Occurred()) return NULL;
        return result_item(self, index < 0 ? index + result_length(self) : index);
    }
    PyObject *items = PySequence_List(self);
    if (items == NULL) return NULL;
    PyObject *part = PyObject_GetItem(items, key);
    Py_DECREF(items);
    return part;
}

static PyObject *result_repr(PyObject *self)
{
    const struct result *const result = (struct result *)self;
    return PyUnicode_FromFormat("<omendb.Result of %zd %s>", result_length(self),
                                result->single ? "hits" : "queries");
}

static PyMethodDef result_methods[] = {
    {"explain", result_explain, METH_NOARGS, "explain($self, /)\n--\n\nHow the search was run."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef result_properties[] = {
    {"ids", result_ids, NULL, "Ids, best first: a list, or one list for each query", NULL},
    {"scores", result_scores, NULL,
     "Numbers (found,) or (nq, k), higher is better; NaN past a query's hits", NULL},
    {"distances", result_distances, NULL,
     "Numbers (found,) or (nq, k), of the metric; NaN past a query's hits", NULL},
    {"documents", result_documents, NULL, "Documents as ids; None with documents=False", NULL},
    {"vectors", result_vectors, NULL,
     "Numbers (found, dim), or one for each query; None without vectors=True", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot result_slots[] = {
    {Py_tp_doc,
     TEXT("The hits of a search: a sequence of Hit, or of one list of Hit for each query.")},
    {Py_tp_dealloc, SLOT(result_dealloc)},
    {Py_tp_traverse, SLOT(result_traverse)},
    {Py_tp_clear, SLOT(result_clear)},
    {Py_tp_repr, SLOT(result_repr)},
    {Py_tp_iter, SLOT(PySeqIter_New)},
    {Py_tp_methods, result_methods},
    {Py_tp_getset, result_properties},
    {Py_sq_length, SLOT(result_length)},
    {Py_sq_item, SLOT(result_item)},
    {Py_mp_length, SLOT(result_length)},
    {Py_mp_subscript, SLOT(result_subscript)},
    {0, NULL},
};

PyType_Spec *py_result_spec(void)
{
    static PyType_Spec spec = {
        .name = "omendb.Result",
        .basicsize = (int)sizeof(struct result),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                 Py_TPFLAGS_IMMUTABLETYPE,
        .slots = result_slots,
    };
    return &spec;
}
