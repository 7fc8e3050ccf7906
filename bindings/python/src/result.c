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

static const unsigned char result_element_sizes[] = {
    [OMENDB_F32] = 4, [OMENDB_F16] = 2, [OMENDB_BF16] = 2,
    [OMENDB_I8] = 1,  [OMENDB_U8] = 1,  [OMENDB_BIT] = 1};

/* Components of a vector in memory: bytes for bits. */
static size_t result_vector_width(omendb_type type, uint32_t dim)
{
    return type == OMENDB_BIT ? ((size_t)dim + 7) / 8 : dim;
}

/* The vectors of the entries as one Numbers of its own, (rows, dim). With `skip` an entry without
 * one is left out, else refused. */
static PyObject *result_gather_vectors(struct module_state *state,
                                       const omendb_documents *documents, bool skip,
                                       const char *name, omendb_type type, uint32_t dim)
{
    const size_t count = omendb_documents_count(documents);
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        if (omendb_documents_vector(documents, i, name, NULL, NULL) != NULL) {
            rows++;
        } else if (!skip) {
            return result_no_vector(state, documents, i);
        }
    }
    const size_t width = result_vector_width(type, dim);
    const size_t size = width * result_element_sizes[type];
    void *data = NULL;
    PyObject *numbers = py_numbers_create(state, type, (Py_ssize_t)rows, (Py_ssize_t)width, &data);
    char *to = data;
    for (size_t i = 0; numbers != NULL && i < count; i++) {
        const void *const vector = omendb_documents_vector(documents, i, name, NULL, NULL);
        if (vector == NULL) continue;
        memcpy(to, vector, size);
        to += size;
    }
    return numbers;
}

/* Whether every entry has its vector, one right after the other. */
static bool result_vectors_are_packed(const omendb_documents *documents, const char *name,
                                      size_t size)
{
    const size_t count = omendb_documents_count(documents);
    const char *const first = omendb_documents_vector(documents, 0, name, NULL, NULL);
    if (first == NULL) return false;
    for (size_t i = 1; i < count; i++) {
        if (omendb_documents_vector(documents, i, name, NULL, NULL) != first + i * size) {
            return false;
        }
    }
    return true;
}

static void result_capsule_end(PyObject *capsule)
{
    omendb_documents_destroy(PyCapsule_GetPointer(capsule, NULL));
}

/* The ids of the entries that have the vector. */
static PyObject *result_vector_ids(const omendb_documents *documents, const char *name,
                                   Py_ssize_t rows)
{
    const size_t count = omendb_documents_count(documents);
    PyObject *ids = PyList_New(rows);
    Py_ssize_t row = 0;
    for (size_t i = 0; ids != NULL && i < count; i++) {
        if (omendb_documents_vector(documents, i, name, NULL, NULL) == NULL) continue;
        omendb_document entry;
        omendb_documents_entry(documents, i, &entry);
        PyObject *id = py_convert_id_to_python(&entry.id);
        if (id == NULL || PyList_SetItem(ids, row++, id) < 0) Py_CLEAR(ids);
    }
    return ids;
}

PyObject *py_result_take_vectors(struct module_state *state, omendb_documents *documents, bool skip,
                                 PyObject *field, omendb_type type, uint32_t dim)
{
    const char *name = NULL;
    PyObject *numbers = NULL, *ids = NULL;
    const size_t width = result_vector_width(type, dim);
    if (field != NULL && py_convert_name(state, field, "field", &name) < 0) goto cleanup;
    if (result_vectors_are_packed(documents, name, width * result_element_sizes[type])) {
        PyObject *capsule = PyCapsule_New(documents, NULL, result_capsule_end);
        if (capsule == NULL) goto cleanup;
        numbers = py_numbers_view(state, capsule, type,
                                  omendb_documents_vector(documents, 0, name, NULL, NULL),
                                  (Py_ssize_t)omendb_documents_count(documents), (Py_ssize_t)width);
        if (numbers != NULL) {
            ids = result_vector_ids(documents, name, PySequence_Size(numbers));
            if (ids == NULL) Py_CLEAR(numbers);
        }
        Py_DECREF(capsule); /* Ends the documents, now or with the numbers. */
        if (numbers != NULL) py_numbers_set_ids(numbers, ids);
        return numbers;
    }
    numbers = result_gather_vectors(state, documents, skip, name, type, dim);
    if (numbers != NULL) {
        ids = result_vector_ids(documents, name, PySequence_Size(numbers));
        if (ids == NULL) Py_CLEAR(numbers);
        if (numbers != NULL) py_numbers_set_ids(numbers, ids);
    }
cleanup:
    omendb_documents_destroy(documents);
    return numbers;
}

static PyObject *result_make_vectors(struct module_state *state, const struct result *result,
                                     size_t query)
{
    const char *name = NULL;
    if (result->field != NULL && py_convert_name(state, result->field, "field", &name) < 0) {
        return NULL;
    }
    return result_gather_vectors(state, omendb_hits_documents(result->hits, query), false, name,
                                 result->type, result->dim);
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
        return py_numbers_view(state, self, OMENDB_F32, numbers, found, -1);
    }
    return py_numbers_view(state, self, OMENDB_F32, numbers, result->query_count,
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

/* The best hits of one query, the size of several. */
static PyObject *result_repr(PyObject *self)
{
    enum { SHOWN_MAX = 3 };
    const struct result *const result = (struct result *)self;
    const Py_ssize_t length = result_length(self);
    if (!result->single) {
        return PyUnicode_FromFormat("<omendb.Result of %zd %s, k %u>", length,
                                    length == 1 ? "query" : "queries",
                                    (unsigned)omendb_hits_k(result->hits));
    }
    PyObject *text = PyUnicode_FromFormat("<omendb.Result of %zd %s", length,
                                          length == 1 ? "hit" : "hits");
    for (Py_ssize_t i = 0; text != NULL && i < length && i < SHOWN_MAX; i++) {
        omendb_hit hit;
        omendb_hits_entry(result->hits, 0, (size_t)i, &hit);
        char score[32];
        (void)PyOS_snprintf(score, sizeof score, "%.4g", (double)hit.score);
        PyObject *id = py_convert_id_to_python(&hit.document.id);
        PyObject *longer = id != NULL ? PyUnicode_FromFormat("%U%s%R %s", text,
                                                             i == 0 ? ": " : ", ", id, score)
                                      : NULL;
        Py_XDECREF(id);
        Py_DECREF(text);
        text = longer;
    }
    if (text == NULL) return NULL;
    PyObject *whole = PyUnicode_FromFormat("%U%s>", text, length > SHOWN_MAX ? ", ..." : "");
    Py_DECREF(text);
    return whole;
}

static PyObject *result_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_module_refuse_pickle(self, "take list(result), or result.ids and result.documents");
}

static PyMethodDef result_methods[] = {
    {"explain", result_explain, METH_NOARGS,
     "explain($self, /)\n--\n\n"
     "How the search was run, a dict.\n\n"
     "    >>> sorted(docs.search([1, 0, 0]).explain())  # doctest: +ELLIPSIS\n"
     "    [...]"},
    {"__reduce__", result_reduce, METH_NOARGS, NULL},
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
     TEXT("The hits of a search: a sequence of Hit, or of one list of Hit for each query.\n\n"
          "    >>> r = docs.search([1, 0, 0], k=2)\n"
          "    >>> r.ids, r.scores.tolist(), r.documents\n"
          "    (['a', 7], [1.0, 0.3333333432674408], [{'n': 1}, {'n': 3}])\n"
          "    >>> r[0]\n"
          "    omendb.Hit(id='a', score=1.0, distance=0.0, document={'n': 1})\n"
          "    >>> [hit.id for hit in r]\n"
          "    ['a', 7]\n"
          "    >>> docs.search([[1, 0, 0], [0, 1, 0]], k=1).ids\n"
          "    [['a'], ['b']]\n\n"
          "It outlives its collection and its database.")},
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
