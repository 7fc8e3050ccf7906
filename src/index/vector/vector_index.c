#include "index/vector/vector_index.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_work.h"
#include "os/cpu.h"
#include "store/host.h"
#include "store/space.h"

/* Any constant would do; it is stored, so that another version may take another. */
#define VECTOR_INDEX_SEED UINT64_C(0x4F6D656E44422037)

enum {
    CENTRE_NODE_FIRST = 256, /* The node whose reservation decides about the first centre. */
    CENTRE_SAMPLE_MAX = 4096 /* Vectors that a mean is taken of. */
};

/* A centre pays if it takes at least 1/8 off the mean squared distance to the one before: errors
 * shrink with the root, so less would not be felt. */
#define CENTRE_GAIN 8.0

static uint32_t vector_index_params_stride(uint32_t dim)
{
    const uint32_t size = dim * (uint32_t)sizeof(float);
    return size > sizeof(struct vector_params) ? size : (uint32_t)sizeof(struct vector_params);
}

/* Which centre (states[i]) the reservation of this node decides about, or -1. */
static int vector_index_decides(uint32_t node)
{
    uint64_t at = CENTRE_NODE_FIRST;
    for (int i = 0; at <= node; i++, at *= 4) {
        if (at == node) return i;
    }
    return -1;
}

/* ---- Attach -------------------------------------------------------------------- */

static omendb_status vector_index_load_centres(struct vector_index *index, omendb_error *err)
{
    for (uint32_t i = 0; i < CODES_CENTRES - 1; i++) {
        if (index->state.states[i] != CENTRE_ADDED) continue;
        omendb_error cause = {0};
        const float *centre = array_read(index->params, 1 + i, &cause);
        if (centre == NULL)
            return fail(err, cause.status != OMENDB_OK ? cause.status : OMENDB_ERR_CORRUPT,
                        "codes: centre %u: %s", i, cause.message);
        if (!index->codes.kernels->all_finite(centre, index->codes.dim))
            return fail(err, OMENDB_ERR_CORRUPT, "codes: centre %u is not finite", i);
        TRY(codes_add_centre(&index->codes, centre, err));
    }
    return OMENDB_OK;
}

/* Reads element 0 into index->state; a new one where there is none. */
static omendb_status vector_index_load_state(struct vector_index *index, omendb_error *err)
{
    omendb_error cause = {0};
    const struct vector_params *stored = NULL;
    if (array_capacity(index->params) != 0) {
        stored = array_read(index->params, 0, &cause);
        if (cause.status != OMENDB_OK)
            return fail(err, cause.status, "codes: parameters: %s", cause.message);
    }
    if (stored != NULL && stored->version != 0) {
        memcpy(&index->state, stored, sizeof index->state);
        if (index->state.version > VECTOR_PARAMS_VERSION)
            return fail(err, OMENDB_ERR_UNSUPPORTED, "codes: version %u", index->state.version);
    } else {
        index->state = (struct vector_params){.seed = VECTOR_INDEX_SEED};
    }
    return OMENDB_OK;
}

/* Finds or adds one of the field's arrays. */
static omendb_status vector_index_array(struct collection *collection, uint32_t field,
                                        enum array_kind kind, uint32_t stride, bool hot,
                                        struct array **out, omendb_error *err)
{
    *out = collection_derived(collection, field, kind);
    if (*out == NULL) return collection_add_derived(collection, field, kind, stride, hot, out, err);
    if ((*out)->stride != stride)
        return fail(err, OMENDB_ERR_CORRUPT, "codes: field %u: array %d has elements of %u bytes",
                    field, (int)kind, (*out)->stride);
    return OMENDB_OK;
}

/* Codes made by version 0.1 before they were packed have more zeros at their ends: as good as ours. */
static omendb_status vector_index_rows(struct collection *collection, uint32_t field, uint32_t dim,
                                       struct array **out, omendb_error *err)
{
    const struct array *stored = collection_derived(collection, field, ARRAY_CODES);
    uint32_t stride = codes_stride(dim);
    if (stored != NULL && codes_stride_possible(dim, stored->stride)) stride = stored->stride;
    return vector_index_array(collection, field, ARRAY_CODES, stride, true, out, err);
}

static omendb_status vector_index_attach_arrays(struct collection *collection, uint32_t field,
                                                struct vector_index *index, omendb_error *err)
{
    const uint32_t dim = collection->schema->vectors[field].dim;
    TRY(vector_index_rows(collection, field, dim, &index->rows, err));
    TRY(vector_index_array(collection, field, ARRAY_CODE_PARAMS, vector_index_params_stride(dim),
                           false, &index->params, err));
    TRY(vector_index_array(collection, field, ARRAY_GRAPH_LINKS, GRAPH_LINKS_SIZE, true,
                           &index->links, err));
    return vector_index_array(collection, field, ARRAY_GRAPH_STATE, sizeof(struct graph_state),
                              false, &index->graph_state, err);
}

static omendb_status vector_index_load_graph(struct collection *collection, uint32_t field,
                                             struct vector_index *index, omendb_error *err)
{
    struct graph_index *graph = NULL;
    struct graph_state *state = alloc_raw(1, sizeof *state);
    if (state == NULL) return fail(err, OMENDB_ERR_NOMEM, "graph: its state");
    omendb_status status = graph_index_read_state(index->graph_state, state, err);
    if (status == OMENDB_OK)
        status = graph_index_open(collection, field, index, state, &graph, err);
    if (status == OMENDB_OK) {
        const omendb_index made = collection->schema->vectors[field].index;
        const uint32_t profile = made <= OMENDB_INDEX_FAST      ? GRAPH_PROFILE_FAST
                                 : made == OMENDB_INDEX_COMPACT ? GRAPH_PROFILE_COMPACT
                                                                : GRAPH_PROFILE_EXACT;
        atomic_store_relaxed_u32(&index->profile, state->version != 0 ? state->profile : profile);
        atomic_store_release_pointer(&index->graph, graph); /* with graph_index_of() */
    }
    alloc_free(state);
    return status;
}

static omendb_status vector_index_attach_field(struct collection *collection, uint32_t field,
                                               omendb_error *err)
{
    const struct schema_vector *schema = &collection->schema->vectors[field];
    if (!codes_possible(schema->type, schema->dim)) return OMENDB_OK;
    struct vector_index *index = alloc_zeroed(1, sizeof *index);
    if (index == NULL) return fail(err, OMENDB_ERR_NOMEM, "codes: an index");
    omendb_status status = vector_index_attach_arrays(collection, field, index, err);
    if (status == OMENDB_OK) status = vector_index_load_state(index, err);
    if (status == OMENDB_OK)
        status = codes_init(&index->codes, kernels_for(cpu_features()), schema->type,
                            schema->metric, schema->dim, index->state.seed, err);
    if (status == OMENDB_OK) codes_set_stride(&index->codes, index->rows->stride);
    if (status == OMENDB_OK) status = vector_index_load_centres(index, err);
    if (status == OMENDB_OK) status = vector_index_load_graph(collection, field, index, err);
    if (status != OMENDB_OK) {
        codes_deinit(&index->codes);
        alloc_free(index);
        return status;
    }
    collection->vectors[field].index = index;
    return OMENDB_OK;
}

omendb_status vector_index_attach(void *context, struct collection *collection, omendb_error *err)
{
    for (uint32_t field = 0; field < collection->schema->vectors_count; field++) {
        const omendb_status status = vector_index_attach_field(collection, field, err);
        if (status != OMENDB_OK) {
            vector_index_detach(context, collection);
            return status;
        }
    }
    return OMENDB_OK;
}

void vector_index_detach(void *context, struct collection *collection)
{
    (void)context;
    if (collection->schema == NULL || collection->vectors == NULL) return; /* Half decoded. */
    for (uint32_t field = 0; field < collection->schema->vectors_count; field++) {
        struct vector_index *index = vector_index_of(collection, field);
        if (index == NULL) continue;
        graph_index_destroy(atomic_load_acquire_pointer(&index->graph));
        codes_deinit(&index->codes);
        alloc_free(index);
        collection->vectors[field].index = NULL;
    }
}

/* ---- Centres ------------------------------------------------------------------- */

/* Means over a sample of nodes [0, node_end): of the vectors, and of their squared norms. Vectors
 * that can't be read are left out: a later query says what is wrong with them. */
static uint32_t vector_index_mean(struct collection *collection, uint32_t field, uint32_t node_end,
                                  double *mean, double *mean_square)
{
    const struct vector_index *index = vector_index_of(collection, field);
    const uint32_t dim = index->codes.dim;
    float *x = index->codes.scratch;
    const uint32_t step = node_end <= CENTRE_SAMPLE_MAX ? 1 : node_end / CENTRE_SAMPLE_MAX;
    uint32_t count = 0;
    *mean_square = 0;
    memset(mean, 0, dim * sizeof *mean);
    for (uint64_t node = 0; node < node_end; node += step) {
        omendb_error ignored = {0};
        uint32_t head = SLOT_NONE;
        const void *vector = NULL;
        if (collection_node_head(collection, field, (uint32_t)node, &head, &ignored) != OMENDB_OK ||
            head == SLOT_NONE)
            continue;
        if (collection_vector(collection, field, (uint32_t)node, &vector, &ignored) != OMENDB_OK ||
            vector == NULL || !codes_widen(&index->codes, vector, x))
            continue;
        for (uint32_t i = 0; i < dim; i++) {
            mean[i] += (double)x[i];
            *mean_square += (double)x[i] * (double)x[i];
        }
        count++;
    }
    for (uint32_t i = 0; count != 0 && i < dim; i++) mean[i] /= count;
    if (count != 0) *mean_square /= count;
    return count;
}

/* Is the mean worth a centre of its own? With E = mean |x|^2 and m the mean, the mean of |x - c|^2
 * is E - 2 <m, c> + |c|^2, and moving from c to m takes |m - c|^2 off it. */
static bool vector_index_centre_pays(const struct vector_index *index, const double *mean,
                                     double mean_square)
{
    const struct codes *codes = &index->codes;
    const float *c = codes->centres[atomic_load_relaxed_u32(&codes->centre_count) - 1];
    double spread = mean_square, gain = 0;
    for (uint32_t i = 0; i < codes->dim; i++) {
        const double ci = c != NULL ? (double)c[i] : 0;
        spread += ci * ci - 2 * ci * mean[i];
        gain += (mean[i] - ci) * (mean[i] - ci);
    }
    return gain > 0 && gain * CENTRE_GAIN >= spread;
}

/* Makes room for the parameters; vector_index_store_state() can't fail after it. */
static omendb_status vector_index_prepare_state(struct vector_index *index, omendb_error *err)
{
    if (array_capacity(index->params) < CODES_CENTRES)
        TRY(array_grow(index->params, CODES_CENTRES, err));
    return array_prepare(index->params, 0, err);
}

static void vector_index_store_state(struct vector_index *index)
{
    index->state.version = VECTOR_PARAMS_VERSION;
    memcpy(array_at_writable(index->params, 0), &index->state, sizeof index->state);
}

/* Decides states[i]. Whatever fails leaves it undecided: the next reservation of the node tries
 * again. */
static omendb_status vector_index_decide(struct collection *collection, uint32_t field,
                                         uint32_t node, uint32_t i, omendb_error *err)
{
    struct vector_index *index = vector_index_of(collection, field);
    const uint32_t dim = index->codes.dim;
    TRY(vector_index_prepare_state(index, err));
    TRY(array_prepare(index->params, 1 + i, err));
    double *mean = alloc_raw(dim, sizeof *mean);
    if (mean == NULL) return fail(err, OMENDB_ERR_NOMEM, "codes: a centre");
    double mean_square;
    const uint32_t count = vector_index_mean(collection, field, node, mean, &mean_square);
    omendb_status status = OMENDB_OK;
    uint8_t state = CENTRE_SKIPPED;
    if (count != 0 && vector_index_centre_pays(index, mean, mean_square)) {
        float *centre = array_at_writable(index->params, 1 + i);
        for (uint32_t j = 0; j < dim; j++) centre[j] = (float)mean[j];
        status = codes_add_centre(&index->codes, centre, err);
        state = CENTRE_ADDED;
    }
    alloc_free(mean);
    TRY(status);
    index->state.states[i] = state;
    vector_index_store_state(index);
    return OMENDB_OK;
}

/* ---- Nodes --------------------------------------------------------------------- */

omendb_status vector_index_node_reserve(void *context, struct collection *collection,
                                        uint32_t field, uint32_t node, omendb_error *err)
{
    (void)context;
    struct vector_index *index = vector_index_of(collection, field);
    if (index == NULL) return OMENDB_OK;
    if (index->state.version == 0) {
        TRY(vector_index_prepare_state(index, err));
        vector_index_store_state(index);
    }
    struct graph_index *graph = atomic_load_relaxed_pointer(&index->graph);
    const int i = graph == NULL ? vector_index_decides(node) : -1;
    if (i >= 0 && index->state.states[i] == CENTRE_UNDECIDED)
        TRY(vector_index_decide(collection, field, node, (uint32_t)i, err));
    if (array_capacity(index->rows) <= node) TRY(array_grow(index->rows, (uint64_t)node + 1, err));
    TRY(array_prepare(index->rows, node, err));
    return graph != NULL ? graph_index_node_reserve(graph, node, err) : OMENDB_OK;
}

void vector_index_node_write(void *context, struct collection *collection, uint32_t field,
                             uint32_t node, const void *vector)
{
    (void)context;
    struct vector_index *index = vector_index_of(collection, field);
    if (index == NULL) return;
    struct graph_index *graph = atomic_load_relaxed_pointer(&index->graph);
    const uint32_t centre = graph != NULL ? graph->state.frame
                                          : atomic_load_relaxed_u32(&index->codes.centre_count) - 1;
    codes_encode(&index->codes, vector, centre, array_at_writable(index->rows, node));
    if (graph != NULL) graph_index_node_write(graph, node);
}

void vector_index_node_freed(void *context, struct collection *collection, uint32_t field,
                             uint32_t node)
{
    (void)context;
    struct graph_index *graph = graph_index_of(collection, field);
    if (graph != NULL) graph_index_node_freed(graph, node);
}

omendb_status vector_index_work(void *context, struct collection *collection,
                                struct index_host *host, bool *more, omendb_error *err)
{
    struct graph_options options = {0};
    if (context != NULL) options = *(const struct graph_options *)context;
    if (options.begin == 0) options.begin = GRAPH_BEGIN;
    *more = false;
    for (uint32_t field = 0; field < collection->schema->vectors_count; field++) {
        struct vector_index *index = vector_index_of(collection, field);
        bool again = false;
        if (index == NULL || host_stopping(host)) continue;
        TRY(graph_work_piece(collection, field, index, &options, host, &again, err));
        *more = *more || again;
    }
    return OMENDB_OK;
}

/* Writer lock. */
static omendb_status vector_index_set_profile(struct collection *collection,
                                              struct vector_index *index,
                                              enum graph_profile profile, omendb_error *err)
{
    struct graph_index *graph = atomic_load_relaxed_pointer(&index->graph);
    TRY(array_grow(index->graph_state, 1, err));
    TRY(array_prepare(index->graph_state, 0, err));
    struct graph_state *stored = array_at_writable(index->graph_state, 0);
    if (stored->version == 0) stored->version = 1;
    stored->profile = profile;
    if (graph != NULL) graph->state.profile = profile;
    atomic_store_release_u32(&index->profile, profile);    /* with searches and the work */
    atomic_store_release_u32(&collection->work_wanted, 1); /* with the store's index thread */
    return OMENDB_OK;
}

omendb_status vector_index_choose_profile(struct store *store, struct collection *collection,
                                          uint32_t field, enum graph_profile profile,
                                          omendb_error *err)
{
    struct vector_index *index = vector_index_of(collection, field);
    struct index_host host = {.store = store, .collection = collection};
    if (index == NULL)
        return fail(err, OMENDB_ERR_ARGUMENT, "field %s can have no graph",
                    collection->schema->vectors[field].name);
    if (collection->space->read_only)
        return fail(err, OMENDB_ERR_READ_ONLY, "the database is open for reading only");
    host_lock(&host);
    const omendb_status status = vector_index_set_profile(collection, index, profile, err);
    if (status == OMENDB_OK) host_changed(&host);
    host_unlock(&host);
    TRY(status);
    return store_checkpoint(store, err);
}

omendb_status vector_index_verify(struct collection *collection, uint32_t field,
                                  void (*problem)(void *context, const char *text), void *context,
                                  omendb_error *err)
{
    struct vector_index *index = vector_index_of(collection, field);
    if (index == NULL) return OMENDB_OK;
    float *scratch = alloc_raw(index->codes.dim, sizeof *scratch);
    if (scratch == NULL) return fail(err, OMENDB_ERR_NOMEM, "codes: verify");
    const uint32_t node_count = atomic_load_acquire_u32(&collection->vectors[field].node_count);
    const uint64_t rows = array_capacity(index->rows);
    omendb_status status = OMENDB_OK;
    for (uint32_t node = 0; status == OMENDB_OK && node < node_count && node < rows; node++) {
        char text[160];
        omendb_error cause = {0};
        uint32_t head = SLOT_NONE;
        const void *vector = NULL;
        status = collection_node_head(collection, field, node, &head, &cause);
        if (status == OMENDB_OK && head == SLOT_NONE) continue;
        const uint8_t *row = NULL;
        if (status == OMENDB_OK)
            status = collection_vector(collection, field, node, &vector, &cause);
        if (status == OMENDB_OK) {
            row = array_read(index->rows, node, &cause);
            if (row == NULL && cause.status == OMENDB_OK) continue; /* No code: no bound. */
            status = cause.status;
        }
        if (status == OMENDB_ERR_CORRUPT) {
            (void)snprintf(text, sizeof text, "codes: field %u, node %u: %.100s", field, node,
                           cause.message);
            problem(context, text);
            status = OMENDB_OK;
        } else if (status != OMENDB_OK) {
            if (err != NULL) *err = cause;
        } else if (vector != NULL && !codes_verify_row(&index->codes, vector, row, scratch)) {
            (void)snprintf(text, sizeof text, "codes: field %u, node %u: error bound too small",
                           field, node);
            problem(context, text);
        }
    }
    alloc_free(scratch);
    TRY(status);
    struct graph_index *graph = graph_index_of(collection, field);
    return graph != NULL ? graph_index_verify(graph, true, problem, context, err) : OMENDB_OK;
}

omendb_status vector_index_check(void *context, struct collection *collection, bool deep,
                                 void (*problem)(void *context, const char *text),
                                 void *problem_context, omendb_error *err)
{
    (void)context;
    for (uint32_t field = 0; field < collection->schema->vectors_count; field++) {
        struct graph_index *graph = graph_index_of(collection, field);
        if (deep) TRY(vector_index_verify(collection, field, problem, problem_context, err));
        else if (graph != NULL)
            TRY(graph_index_verify(graph, false, problem, problem_context, err));
    }
    return OMENDB_OK;
}
