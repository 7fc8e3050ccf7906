/* Collection: the nearest documents of a vector. */
#include "binding.h"

struct search_call {
    omendb_collection *collection;
    const omendb_search_params *params;
    omendb_hits *hits;
    omendb_error err;
};

static omendb_status searching_run(void *argument)
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
static int searching_options(struct module_state *state, PyObject *const *values,
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

PyObject *py_searching_search(PyObject *self, PyObject *const *args, Py_ssize_t count,
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
        searching_options(state, values, &params) < 0) {
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
    if (py_json_append_object(state, &filter, values[SEARCH_WHERE], "", "where", -1) < 0)
        goto cleanup;
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
    const uint64_t size = py_collection_size(collection);
    const bool may_last = size != 0 && queries.count >= SCAN_LASTS / size;
    const int called = py_call_run(collection->database, may_last, searching_run, &call, &status);
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
