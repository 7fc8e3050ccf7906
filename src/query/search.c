/* search.c - nearest neighbours: the caller's queries checked and converted, the index asked, its
 * hits turned into ids, distances and scores.
 *
 *     params ─check, convert─▶ queries [count][stride] ─index, a slice at a time─▶ flat hits
 *            ─▶ omendb_hits, or the caller's own columns
 *
 * Queries go to the index in slices, so that what is kept beside the result is bounded. One snapshot
 * and one compiled filter serve them all. For several queries the filter's verdicts are remembered,
 * a byte for each slot: a document is read once however many queries come near it. */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "query/explain.h"
#include "query/overlay_search.h"
#include "query/params.h"
#include "query/run.h"
#include "query/vectors.h"
#include "simd/distance.h"

enum {
    SEARCH_K_DEFAULT = 10,
    SEARCH_THREADS_MAX = 64,
    SEARCH_SLICE_HITS = 1 << 17,  /* Of a slice, at most, but for one query a thread: ... */
    SEARCH_SLICE_BYTES = 4 << 20, /* ... 2 MiB of struct flat_hit, 4 MiB of queries. */
    QUERY_ALIGN = 64
};

_Static_assert(OMENDB_EF_MAX == GRAPH_EFFORT_MAX, "ef as promised");

enum verdict { VERDICT_UNKNOWN, VERDICT_PASSES, VERDICT_FAILS };

/* Memory of searches, kept in the workspace. */
struct search_space {
    uint8_t *queries;        /* [slice][stride] */
    size_t queries_capacity; /* Bytes: strides differ from field to field. */
    float *floats;           /* [dim] */
    size_t floats_capacity;
    struct vector_query *asked; /* [slice] */
    size_t asked_capacity;
    struct flat_hit *hits; /* [slice][k_index] */
    size_t hits_capacity;
    uint32_t *found; /* [slice] */
    size_t found_capacity;
    atomic_u8 *verdicts; /* [verdicts_count], enum verdict. Any thread of the search; relaxed. */
    size_t verdicts_capacity;
    struct overlay_search own; /* Of transactions. */
    struct vector_workspace workspaces[SEARCH_THREADS_MAX];
};

struct searching {
    struct run run;
    struct search_space *space;
    const struct schema_vector *field;
    uint32_t field_index;
    omendb_search_params params; /* Defaults filled in. */
    uint32_t k_total;            /* k + offset */
    uint32_t k_index;            /* Asked of the index: hidden documents may be among them. */
    bool asked_passes;           /* The index asks about each document. */
    size_t stride;               /* Bytes between converted queries. */
    size_t slice;                /* Queries that go to the index at once. */
    uint32_t verdicts_count;     /* 0: verdicts aren't kept. */
    struct vector_stats stats;
};

/* Who takes what the index found. */
struct taker {
    void *context;
    /* hits: [count], those before the offset left out. */
    omendb_status (*take)(void *context, const struct searching *searching, size_t query,
                          const struct flat_hit *hits, uint32_t count, omendb_error *err);
};

static void search_space_destroy(struct search_space *space)
{
    alloc_free(space->queries);
    alloc_free(space->floats);
    alloc_free(space->asked);
    alloc_free(space->hits);
    alloc_free(space->found);
    alloc_free(space->verdicts);
    overlay_search_deinit(&space->own);
    for (uint32_t i = 0; i < SEARCH_THREADS_MAX; i++)
        vector_workspace_deinit(&space->workspaces[i]);
    alloc_free(space);
}

/* ---- Parameters ---- */

static omendb_status check_numbers(omendb_search_params *params, omendb_error *err)
{
    if (params->k == 0) params->k = SEARCH_K_DEFAULT;
    if (params->k > OMENDB_K_MAX || params->offset > OMENDB_K_MAX - params->k)
        return fail(err, OMENDB_ERR_ARGUMENT, "search: k %u + offset %u, at most %u together",
                    params->k, params->offset, OMENDB_K_MAX);
    if (!(params->recall >= 0.0f && params->recall <= 1.0f))
        return fail(err, OMENDB_ERR_ARGUMENT, "search: recall must lie in (0, 1]");
    if (params->ef != 0 && (params->ef < params->k + params->offset || params->ef > OMENDB_EF_MAX))
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "search: ef %u, must lie between k + offset = %u and %u", params->ef,
                    params->k + params->offset, OMENDB_EF_MAX);
    if (params->query_count == 0 || params->queries == NULL)
        return fail(err, OMENDB_ERR_ARGUMENT, "search: no queries");
    if (params->threads == 0) params->threads = 1;
    if (params->threads > SEARCH_THREADS_MAX) params->threads = SEARCH_THREADS_MAX;
    return OMENDB_OK;
}

static omendb_status read_params(struct searching *searching, const struct exec *exec,
                                 const omendb_search_params *from, omendb_error *err)
{
    omendb_search_params *params = &searching->params;
    const struct schema *schema = exec->collection->schema;
    TRY(params_read(params, sizeof *params, from, "search", err));
    TRY(params_check_flags(
        params->flags, OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS | OMENDB_EXACT, "search", err));
    TRY(check_numbers(params, err));
    TRY(schema_vector_index(schema, params->field, &searching->field_index, err));
    searching->field = &schema->vectors[searching->field_index];
    TRY(vectors_check_shape(searching->field, params->type, params->dim, err));
    const size_t size = schema_vector_size(params->type, params->dim);
    if (params->row_stride == 0) params->row_stride = size;
    if (params->row_stride < size)
        return fail(err, OMENDB_ERR_ARGUMENT, "search: row_stride %zu, a query has %zu bytes",
                    params->row_stride, size);
    searching->k_total = params->k + params->offset;
    searching->stride = (searching->field->size + QUERY_ALIGN - 1u) & ~(size_t)(QUERY_ALIGN - 1);
    return OMENDB_OK;
}

static void choose_slice(struct searching *searching)
{
    const omendb_search_params *params = &searching->params;
    searching->slice = SEARCH_SLICE_HITS / searching->k_index;
    if (searching->slice > SEARCH_SLICE_BYTES / searching->stride)
        searching->slice = SEARCH_SLICE_BYTES / searching->stride;
    if (searching->slice < params->threads) searching->slice = params->threads;
    if (searching->slice > params->query_count) searching->slice = params->query_count;
}

/* ---- The filter ---- */

static omendb_status ask_filter(const struct searching *searching, uint32_t slot, bool *out,
                                omendb_error *err)
{
    /* One thread: the workspace's buffer. Several: documents that don't span blocks, nearly all,
     * need no memory, and the others pay for an allocation. */
    struct buffer own = {0};
    struct buffer *scratch = searching->params.threads == 1 ? &searching->run.workspace->scratch
                                                            : &own;
    if (run_hides(&searching->run, slot)) {
        *out = false;
        return OMENDB_OK;
    }
    const omendb_status status = run_passes(&searching->run, scratch, slot, out, err);
    buffer_deinit(&own);
    return status;
}

/* Verdicts are the same whoever finds them, and nothing else is handed over with them: relaxed. */
static omendb_status search_passes(void *context, uint32_t slot, bool *out, omendb_error *err)
{
    const struct searching *searching = context;
    if (slot >= searching->verdicts_count) return ask_filter(searching, slot, out, err);
    atomic_u8 *verdict = &searching->space->verdicts[slot];
    const uint8_t known = atomic_load_relaxed_u8(verdict);
    if (known != VERDICT_UNKNOWN) {
        *out = known == VERDICT_PASSES;
        return OMENDB_OK;
    }
    TRY(ask_filter(searching, slot, out, err));
    atomic_store_relaxed_u8(verdict, *out ? VERDICT_PASSES : VERDICT_FAILS);
    return OMENDB_OK;
}

static omendb_status search_interrupted(void *context, omendb_error *err)
{
    return run_check(&((const struct searching *)context)->run, err);
}

/* ---- Asking the index ---- */

static omendb_status search_no_memory(omendb_error *err)
{
    return fail(err, OMENDB_ERR_NOMEM, "out of memory: search");
}

/* How the index leaves out what a transaction hides: it gives more hits and they are taken out, which
 * leaves the choice of a walk; or it asks, when there is a filter anyway or they are many. */
static void prepare_hiding(struct searching *searching)
{
    const uint64_t hidden = searching->run.own != NULL ? searching->run.own->hidden : 0;
    const bool few = hidden <= OVERLAY_SEARCH_HIDDEN_MAX &&
                     searching->k_total + hidden <= OMENDB_K_MAX;
    searching->asked_passes = searching->run.filtered || !few;
    searching->k_index = searching->k_total;
    if (!searching->asked_passes) searching->k_index += (uint32_t)hidden;
}

static omendb_status prepare_space(struct searching *searching, omendb_error *err)
{
    const size_t slice = searching->slice;
    struct workspace *workspace = searching->run.workspace;
    if (workspace->search == NULL) {
        workspace->search = alloc_zeroed(1, sizeof *workspace->search);
        workspace->search_destroy = search_space_destroy;
    }
    struct search_space *space = workspace->search;
    if (space == NULL) return search_no_memory(err);
    if (!alloc_grow(&space->queries, &space->queries_capacity, slice * searching->stride, 1) ||
        !alloc_grow(&space->floats, &space->floats_capacity, searching->field->dim,
                    sizeof *space->floats) ||
        !alloc_grow(&space->asked, &space->asked_capacity, slice, sizeof *space->asked) ||
        !alloc_grow(&space->hits, &space->hits_capacity, slice * searching->k_index,
                    sizeof *space->hits) ||
        !alloc_grow(&space->found, &space->found_capacity, slice, sizeof *space->found))
        return search_no_memory(err);
    searching->space = space;
    if (searching->run.own != NULL)
        TRY(overlay_search_begin(&space->own, &searching->run, searching->field_index, err));
    if (!searching->asked_passes || searching->params.query_count == 1) return OMENDB_OK;
    const uint32_t slots = atomic_load_acquire_u32(&searching->run.exec->collection->slot_count);
    if (!alloc_grow(&space->verdicts, &space->verdicts_capacity, slots, sizeof *space->verdicts))
        return search_no_memory(err);
    for (uint32_t i = 0; i < slots; i++)
        atomic_store_relaxed_u8(&space->verdicts[i], VERDICT_UNKNOWN);
    searching->verdicts_count = slots;
    return OMENDB_OK;
}

static omendb_status convert_query(struct searching *searching, size_t query, void *to,
                                   omendb_error *err)
{
    const uint8_t *from = (const uint8_t *)searching->params.queries +
                          query * searching->params.row_stride;
    const omendb_status status = vectors_convert(searching->run.exec->kernels, searching->field,
                                                 searching->params.type, from, to,
                                                 searching->space->floats, err);
    if (status != OMENDB_OK) return fail_within(err, status, "search: query %zu", query);
    return OMENDB_OK;
}

static omendb_status search_slice(struct searching *searching, size_t first, uint32_t count,
                                  omendb_error *err)
{
    struct search_space *space = searching->space;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *vector = space->queries + i * searching->stride;
        TRY(convert_query(searching, first + i, vector, err));
        space->asked[i] = (struct vector_query){
            .flat = {.collection = searching->run.exec->collection,
                     .field = searching->field_index,
                     .k = searching->k_index,
                     .vector = vector,
                     .sequence = searching->run.snapshot.sequence,
                     .passes = searching->asked_passes ? search_passes : NULL,
                     .passes_context = searching,
                     .interrupted = search_interrupted,
                     .interrupted_context = searching},
            .recall = searching->params.recall,
            .ef = searching->params.ef,
            .exact = (searching->params.flags & OMENDB_EXACT) != 0};
    }
    if (count == 1 && searching->params.threads == 1)
        return vector_search(space->asked, space->workspaces, space->hits, space->found,
                             &searching->stats, err);
    return vector_search_batch(space->asked, count, searching->params.threads, space->workspaces,
                               space->hits, space->found, &searching->stats, err);
}

/* Runs all queries and hands over what each found, in order. */
static omendb_status search_run(struct searching *searching, struct taker taker, omendb_error *err)
{
    const size_t query_count = searching->params.query_count;
    const uint32_t offset = searching->params.offset;
    prepare_hiding(searching);
    choose_slice(searching);
    TRY(prepare_space(searching, err));
    for (size_t first = 0; first < query_count; first += searching->slice) {
        const size_t left = query_count - first;
        const uint32_t count = (uint32_t)(left < searching->slice ? left : searching->slice);
        TRY(run_check(&searching->run, err));
        TRY(search_slice(searching, first, count, err));
        for (uint32_t i = 0; i < count; i++) {
            uint32_t found = searching->space->found[i];
            const struct flat_hit *hits = searching->space->hits + (size_t)i * searching->k_index;
            if (searching->run.own != NULL) {
                struct overlay_search *own = &searching->space->own;
                TRY(overlay_search_merge(own, &searching->run, searching->field_index,
                                         searching->space->queries + i * searching->stride,
                                         searching->k_total, hits, found, &found, err));
                hits = own->merged;
            }
            TRY(taker.take(taker.context, searching, first + i, hits + offset,
                           found > offset ? found - offset : 0, err));
        }
    }
    return OMENDB_OK;
}

static float search_report(const struct searching *searching, const struct flat_hit *hit)
{
    return distance_report(searching->field->metric, hit->distance);
}

static float search_score(const struct searching *searching, const struct flat_hit *hit)
{
    return distance_score(searching->field->metric, searching->field->dim, hit->distance);
}

/* ---- Into a result ---- */

static omendb_status search_hit_id(const struct searching *searching, const struct flat_hit *hit,
                                   struct id_view *out, omendb_error *err)
{
    if (hit->slot != SLOT_NONE)
        return collection_slot_id(searching->run.exec->collection, hit->slot, out, err);
    *out = operation_id(run_own(&searching->run, hit->node));
    return OMENDB_OK;
}

static omendb_status search_add(omendb_hits *out, const struct searching *searching,
                                const struct flat_hit *hit, omendb_error *err)
{
    struct collection *collection = searching->run.exec->collection;
    struct id_view id;
    if (hit->slot == SLOT_NONE)
        return result_add_own(&out->result, collection->schema, run_own(&searching->run, hit->node),
                              err);
    TRY(collection_slot_id(collection, hit->slot, &id, err));
    return result_add(&out->result, collection, hit->slot, &id, &searching->run.workspace->scratch,
                      err);
}

static omendb_status take_into_result(void *context, const struct searching *searching,
                                      size_t query, const struct flat_hit *hits, uint32_t count,
                                      omendb_error *err)
{
    omendb_hits *out = context;
    omendb_documents *view = &out->views[query];
    view->first = out->result.count;
    for (uint32_t i = 0; i < count; i++) {
        TRY(search_add(out, searching, &hits[i], err));
        out->distances[query * out->k + i] = search_report(searching, &hits[i]);
        out->scores[query * out->k + i] = search_score(searching, &hits[i]);
    }
    view->count = count;
    return OMENDB_OK;
}

static omendb_status search_explain(const struct searching *searching, struct buffer *out,
                                    omendb_error *err)
{
    const struct explain explain = {.sequence = searching->run.snapshot.sequence,
                                    .query_count = searching->params.query_count,
                                    .k = searching->params.k,
                                    .offset = searching->params.offset,
                                    .threads = searching->params.threads,
                                    .kernels = searching->run.exec->kernels->name,
                                    .stats = &searching->stats};
    TRY(explain_write(&explain, out, err));
    return buffer_append_zeros(out, 1, err);
}

omendb_status exec_search(const struct exec *exec, const omendb_search_params *params,
                          omendb_hits **out, omendb_error *err)
{
    struct searching searching = {.field = NULL};
    omendb_hits *hits = NULL;
    TRY(read_params(&searching, exec, params, err));
    omendb_status status = run_begin(&searching.run, exec, searching.params.filter,
                                     searching.params.filter_size, searching.params.timeout_ms,
                                     err);
    if (status == OMENDB_OK)
        status = result_create_hits(exec->collection->schema, searching.params.flags,
                                    searching.params.query_count, searching.params.k, &hits, err);
    if (status == OMENDB_OK)
        status = search_run(&searching, (struct taker){hits, take_into_result}, err);
    if (status == OMENDB_OK) status = search_explain(&searching, &hits->explain, err);
    run_end(&searching.run);
    if (status != OMENDB_OK) {
        result_destroy_hits(hits);
        return status;
    }
    *out = hits;
    return OMENDB_OK;
}

/* ---- Into the caller's columns ---- */

struct columns {
    uint64_t *ids;
    float *distances, *scores; /* May be NULL. */
    uint32_t *found;
};

static omendb_status take_into_columns(void *context, const struct searching *searching,
                                       size_t query, const struct flat_hit *hits, uint32_t count,
                                       omendb_error *err)
{
    const struct columns *columns = context;
    const size_t first = query * searching->params.k;
    for (uint32_t i = 0; i < count; i++) {
        struct id_view id;
        TRY(search_hit_id(searching, &hits[i], &id, err));
        if (id.text_view != NULL)
            return fail(err, OMENDB_ERR_ARGUMENT,
                        "search: a hit has the string id \"%.*s\": use omendb_collection_search()",
                        id.size > 64 ? 64 : (int)id.size, (const char *)id.text_view);
        columns->ids[first + i] = id.number;
        if (columns->distances != NULL)
            columns->distances[first + i] = search_report(searching, &hits[i]);
        if (columns->scores != NULL) columns->scores[first + i] = search_score(searching, &hits[i]);
    }
    columns->found[query] = count;
    return OMENDB_OK;
}

/* The arrays are written by way of `columns`. NOLINTBEGIN(readability-non-const-parameter) */
omendb_status exec_search_numbers(const struct exec *exec, const omendb_search_params *params,
                                  uint64_t *ids, float *distances, float *scores, uint32_t *found,
                                  omendb_error *err)
{
    struct searching searching = {.field = NULL};
    struct columns columns = {.ids = ids, .distances = distances, .scores = scores, .found = found};
    TRY(read_params(&searching, exec, params, err));
    omendb_status status = run_begin(&searching.run, exec, searching.params.filter,
                                     searching.params.filter_size, searching.params.timeout_ms,
                                     err);
    if (status == OMENDB_OK)
        status = search_run(&searching, (struct taker){&columns, take_into_columns}, err);
    run_end(&searching.run);
    return status;
}
/* NOLINTEND(readability-non-const-parameter) */
