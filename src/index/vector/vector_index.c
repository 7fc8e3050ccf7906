#include "index/vector/vector_index.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "os/cpu.h"

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
    return dim * (uint32_t)sizeof(float);
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

static omendb_status vector_index_attach_field(struct collection *collection, uint32_t field,
                                               omendb_error *err)
{
    const struct schema_vector *schema = &collection->schema->vectors[field];
    if (!codes_useful(schema->type, schema->dim)) return OMENDB_OK;
    const uint32_t stride = codes_stride(schema->dim);
    const uint32_t params_stride = vector_index_params_stride(schema->dim);
    assert(params_stride >= sizeof(struct vector_params));
    struct vector_index *index = alloc_zeroed(1, sizeof *index);
    if (index == NULL) return fail(err, OMENDB_ERR_NOMEM, "codes: an index");
    omendb_status status = OMENDB_OK;
    index->rows = collection_derived(collection, field, ARRAY_CODES);
    index->params = collection_derived(collection, field, ARRAY_CODE_PARAMS);
    if (index->rows == NULL)
        status = collection_add_derived(collection, field, ARRAY_CODES, stride, false, &index->rows,
                                        err);
    if (status == OMENDB_OK && index->params == NULL)
        status = collection_add_derived(collection, field, ARRAY_CODE_PARAMS, params_stride, false,
                                        &index->params, err);
    if (status == OMENDB_OK &&
        (index->rows->stride != stride || index->params->stride != params_stride))
        status = fail(err, OMENDB_ERR_CORRUPT, "codes: field %u: element sizes %u, %u", field,
                      index->rows->stride, index->params->stride);
    if (status == OMENDB_OK) status = vector_index_load_state(index, err);
    if (status == OMENDB_OK)
        status = codes_init(&index->codes, kernels_for(cpu_features()), schema->type,
                            schema->metric, schema->dim, index->state.seed, err);
    if (status == OMENDB_OK) status = vector_index_load_centres(index, err);
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
    const int i = vector_index_decides(node);
    if (i >= 0 && index->state.states[i] == CENTRE_UNDECIDED)
        TRY(vector_index_decide(collection, field, node, (uint32_t)i, err));
    if (array_capacity(index->rows) <= node) TRY(array_grow(index->rows, (uint64_t)node + 1, err));
    return array_prepare(index->rows, node, err);
}

void vector_index_node_write(void *context, struct collection *collection, uint32_t field,
                             uint32_t node, const void *vector)
{
    (void)context;
    struct vector_index *index = vector_index_of(collection, field);
    if (index == NULL) return;
    codes_encode(&index->codes, vector, atomic_load_relaxed_u32(&index->codes.centre_count) - 1,
                 array_at_writable(index->rows, node));
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
    for (uint32_t node = 0; node < node_count && node < rows; node++) {
        char text[160];
        omendb_error cause = {0};
        uint32_t head = SLOT_NONE;
        const void *vector = NULL;
        omendb_status status = collection_node_head(collection, field, node, &head, &cause);
        if (status == OMENDB_OK && head == SLOT_NONE) continue;
        const uint8_t *row = NULL;
        if (status == OMENDB_OK)
            status = collection_vector(collection, field, node, &vector, &cause);
        if (status == OMENDB_OK) {
            row = array_read(index->rows, node, &cause);
            if (row == NULL && cause.status == OMENDB_OK) continue; /* No code: no bound. */
            status = cause.status;
        }
        if (status != OMENDB_OK) {
            (void)snprintf(text, sizeof text, "codes: field %u, node %u: %.100s", field, node,
                           cause.message);
            problem(context, text);
        } else if (vector != NULL && !codes_verify_row(&index->codes, vector, row, scratch)) {
            (void)snprintf(text, sizeof text, "codes: field %u, node %u: error bound too small",
                           field, node);
            problem(context, text);
        }
    }
    alloc_free(scratch);
    return OMENDB_OK;
}
