#include "index/vector/flat.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/vector_index.h"
#include "os/cpu.h"
#include "os/thread.h"
#include "simd/distance.h"

enum {
    FLAT_DIRECT_NODES = 256, /* So few nodes are scanned without codes. */
    FLAT_AHEAD = 1024,       /* Bytes of a vector that are asked for before it is read. */
    FLAT_REFINE_BATCH = 16,  /* Full vectors in flight. */
    FLAT_CANDIDATES_MIN = 1024,
    FLAT_INTERRUPT_NODES = 8192 /* Nodes between two questions. */
};

struct flat_search {
    const struct flat_query *query;
    const struct schema_vector *schema;
    const struct kernels *kernels;
    struct flat_workspace *workspace;
    struct flat_stats stats;
    float norm; /* Of the query. */
    uint32_t node_begin, node_end;
    atomic_u32 *shared_limit; /* Bits of the least limit of all threads of this query, or NULL. */
};

void flat_workspace_deinit(struct flat_workspace *workspace)
{
    codes_query_deinit(&workspace->codes);
    alloc_free(workspace->uppers.values);
    alloc_free(workspace->candidates);
    alloc_free(workspace->results);
    *workspace = (struct flat_workspace){0};
}

static omendb_status flat_workspace_begin(struct flat_workspace *workspace, uint32_t k,
                                          omendb_error *err)
{
    if (!alloc_grow(&workspace->uppers.values, &workspace->uppers_capacity, k,
                    sizeof *workspace->uppers.values) ||
        !alloc_grow(&workspace->results, &workspace->results_capacity, k,
                    sizeof *workspace->results) ||
        !alloc_grow(&workspace->candidates, &workspace->candidates_capacity, FLAT_CANDIDATES_MIN,
                    sizeof *workspace->candidates))
        return fail(err, OMENDB_ERR_NOMEM, "search: workspace for %u hits", k);
    workspace->uppers.count = 0;
    workspace->uppers.limit = k;
    workspace->candidate_count = 0;
    workspace->result_count = 0;
    return OMENDB_OK;
}

/* ---- Results: a heap with the worst on top ---------------------------------------- */

static omendb_status flat_result_id(const struct flat_search *search, struct flat_result *result,
                                    omendb_error *err)
{
    if (result->id_known) return OMENDB_OK;
    TRY(collection_slot_id(search->query->collection, result->hit.slot, &result->id, err));
    result->id_known = true;
    return OMENDB_OK;
}

/* *out: does a come before b? Ids are read only where all else is equal. */
static omendb_status flat_before(const struct flat_search *search, struct flat_result *a,
                                 struct flat_result *b, bool *out, omendb_error *err)
{
    if (a->hit.distance < b->hit.distance || b->hit.distance < a->hit.distance) {
        *out = a->hit.distance < b->hit.distance;
    } else if (a->hit.equal != b->hit.equal) {
        *out = a->hit.equal;
    } else {
        TRY(flat_result_id(search, a, err));
        TRY(flat_result_id(search, b, err));
        *out = id_view_compare(&a->id, &b->id) < 0;
    }
    return OMENDB_OK;
}

/* Puts `result` at the top of a heap of `count` whose top is free, and lets it sink. */
static omendb_status flat_sink(const struct flat_search *search, struct flat_result *results,
                               size_t count, struct flat_result result, omendb_error *err)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        bool before;
        if (child >= count) break;
        if (child + 1 < count) {
            TRY(flat_before(search, &results[child], &results[child + 1], &before, err));
            if (before) child++;
        }
        TRY(flat_before(search, &result, &results[child], &before, err));
        if (!before) break;
        results[at] = results[child];
        at = child;
    }
    results[at] = result;
    return OMENDB_OK;
}

static omendb_status flat_add_result(struct flat_search *search, struct flat_hit hit,
                                     omendb_error *err)
{
    struct flat_workspace *workspace = search->workspace;
    struct flat_result *results = workspace->results;
    struct flat_result result = {.hit = hit};
    bool before;
    if (workspace->result_count == search->query->k) {
        TRY(flat_before(search, &result, &results[0], &before, err));
        if (!before) return OMENDB_OK;
        return flat_sink(search, results, workspace->result_count, result, err);
    }
    size_t at = workspace->result_count;
    while (at > 0) {
        const size_t parent = (at - 1) / 2;
        TRY(flat_before(search, &results[parent], &result, &before, err));
        if (!before) break;
        results[at] = results[parent];
        at = parent;
    }
    results[at] = result;
    workspace->result_count++;
    return OMENDB_OK;
}

/* A distance that a result must not exceed. */
static float flat_result_limit(const struct flat_search *search)
{
    const struct flat_workspace *workspace = search->workspace;
    return workspace->result_count == search->query->k ? workspace->results[0].hit.distance
                                                       : INFINITY;
}

/* Takes the heap apart, best first. */
static omendb_status flat_finish(struct flat_search *search, struct flat_hit *hits, uint32_t *found,
                                 omendb_error *err)
{
    struct flat_workspace *workspace = search->workspace;
    const size_t total = workspace->result_count;
    for (size_t count = total; count > 0; count--) {
        hits[count - 1] = workspace->results[0].hit;
        TRY(flat_sink(search, workspace->results, count - 1, workspace->results[count - 1], err));
    }
    workspace->result_count = 0;
    *found = (uint32_t)total;
    return OMENDB_OK;
}

/* ---- Documents of a node ----------------------------------------------------------- */

/* Calls add(search, node, slot, context) for each document of the node that counts. */
static omendb_status flat_documents(struct flat_search *search, uint32_t node,
                                    omendb_status (*add)(struct flat_search *search, uint32_t node,
                                                         uint32_t slot, const void *context,
                                                         omendb_error *err),
                                    const void *context, omendb_error *err)
{
    const struct flat_query *query = search->query;
    struct collection *collection = query->collection;
    uint32_t slot;
    TRY(collection_node_head(collection, query->field, node, &slot, err));
    for (uint32_t hops = 0; slot != SLOT_NONE; hops++) {
        bool counts;
        if (hops > atomic_load_relaxed_u32(&collection->slot_count))
            return fail(err, OMENDB_ERR_CORRUPT, "the documents of vector %u form a loop", node);
        TRY(collection_visible(collection, slot, query->sequence, &counts, err));
        if (counts && query->passes != NULL) {
            TRY(query->passes(query->passes_context, slot, &counts, err));
            search->stats.filtered += !counts;
        }
        if (counts) TRY(add(search, node, slot, context, err));
        TRY(collection_link_next(collection, query->field, slot, &slot, err));
    }
    return OMENDB_OK;
}

static omendb_status flat_ask_interrupted(struct flat_search *search, uint64_t *asked,
                                          omendb_error *err)
{
    if (search->query->interrupted == NULL || search->stats.scanned - *asked < FLAT_INTERRUPT_NODES)
        return OMENDB_OK;
    *asked = search->stats.scanned;
    return search->query->interrupted(search->query->interrupted_context, err);
}

/* ---- Without codes ------------------------------------------------------------------ */

struct flat_distance {
    float distance;
    const void *vector;
};

/* Bytes are compared here, not before: only now is it known that no writer is filling them. */
static omendb_status flat_add_exact(struct flat_search *search, uint32_t node, uint32_t slot,
                                    const void *context, omendb_error *err)
{
    const struct flat_distance *exact = context;
    const struct schema_vector *schema = search->schema;
    const struct flat_hit hit = {.slot = slot,
                                 .node = node,
                                 .distance = exact->distance,
                                 .equal = distance_byte_equal(schema->type, schema->dim,
                                                              search->query->vector,
                                                              exact->vector)};
    return flat_add_result(search, hit, err);
}

/* Rows [begin, begin + count) of one block. */
static omendb_status flat_direct_rows(struct flat_search *search, uint32_t begin, uint32_t count,
                                      const uint8_t *rows, omendb_error *err)
{
    const struct flat_query *query = search->query;
    const struct schema_vector *schema = search->schema;
    float distances[CODES_CHUNK], norms[CODES_CHUNK];
    const bool cosine = schema->metric == OMENDB_COSINE;
    for (uint32_t i = 0; cosine && i < count; i++)
        norms[i] = distance_norm(search->kernels, schema->type, schema->dim,
                                 rows + (size_t)i * schema->size);
    distance_exact_rows(search->kernels, schema->metric, schema->type, schema->dim, query->vector,
                        search->norm, rows, schema->size, cosine ? norms : NULL, count, distances);
    search->stats.scanned += count;
    search->stats.refined += count;
    for (uint32_t i = 0; i < count; i++) {
        if (distances[i] > flat_result_limit(search)) continue;
        const struct flat_distance exact = {.distance = distances[i],
                                            .vector = rows + (size_t)i * schema->size};
        search->stats.candidates++;
        TRY(flat_documents(search, begin + i, flat_add_exact, &exact, err));
    }
    return OMENDB_OK;
}

static omendb_status flat_scan_direct(struct flat_search *search, omendb_error *err)
{
    struct array *vectors = &search->query->collection->vectors[search->query->field].vectors;
    uint64_t asked = 0;
    for (uint32_t node = search->node_begin; node < search->node_end;) {
        const uint32_t in_block = vectors->per_block - node % vectors->per_block;
        uint32_t count = in_block < CODES_CHUNK ? in_block : CODES_CHUNK;
        if (count > search->node_end - node) count = search->node_end - node;
        omendb_error cause = {0};
        const uint8_t *rows = array_read(vectors, node, &cause);
        if (cause.status != OMENDB_OK) {
            if (err != NULL) *err = cause;
            return cause.status;
        }
        /* A hole holds no vector of any document. */
        if (rows != NULL) TRY(flat_direct_rows(search, node, count, rows, err));
        node += count;
        TRY(flat_ask_interrupted(search, &asked, err));
    }
    return OMENDB_OK;
}

/* ---- Candidates: an array, then a heap with the least lower bound on top -------------- */

static float flat_upper_limit(const struct flat_search *search)
{
    float limit = heap_top_limit(&search->workspace->uppers);
    if (search->shared_limit != NULL) {
        const uint32_t bits = atomic_load_relaxed_u32(search->shared_limit);
        float shared;
        memcpy(&shared, &bits, sizeof shared);
        if (shared < limit) limit = shared;
    }
    return limit;
}

/* Tells the other threads of the query. Relaxed: a limit is true whenever it is seen. */
static void flat_share_limit(const struct flat_search *search)
{
    if (search->shared_limit == NULL) return;
    const float limit = heap_top_limit(&search->workspace->uppers);
    uint32_t bits = atomic_load_relaxed_u32(search->shared_limit), wanted;
    memcpy(&wanted, &limit, sizeof wanted);
    for (;;) {
        float shared;
        memcpy(&shared, &bits, sizeof shared);
        if (shared <= limit || atomic_swap_if_u32(search->shared_limit, &bits, wanted)) return;
    }
}

/* Called with a full array: drops what the limit has overtaken, or makes it larger. */
static omendb_status flat_candidates_room(struct flat_search *search, omendb_error *err)
{
    struct flat_workspace *workspace = search->workspace;
    const float limit = flat_upper_limit(search);
    size_t kept = 0;
    for (size_t i = 0; i < workspace->candidate_count; i++) {
        if (workspace->candidates[i].lower <= limit)
            workspace->candidates[kept++] = workspace->candidates[i];
    }
    workspace->candidate_count = kept;
    if (kept <= workspace->candidates_capacity / 2) return OMENDB_OK;
    if (!alloc_grow(&workspace->candidates, &workspace->candidates_capacity,
                    workspace->candidates_capacity + 1, sizeof *workspace->candidates))
        return fail(err, OMENDB_ERR_NOMEM, "search: %zu candidates", kept);
    return OMENDB_OK;
}

static omendb_status flat_add_candidate(struct flat_search *search, uint32_t node, uint32_t slot,
                                        const void *context, omendb_error *err)
{
    const struct code_bound *bound = context;
    struct flat_workspace *workspace = search->workspace;
    if (workspace->candidate_count == workspace->candidates_capacity)
        TRY(flat_candidates_room(search, err));
    workspace->candidates[workspace->candidate_count++] = (struct flat_candidate){
        .lower = bound->lower, .node = node, .slot = slot};
    heap_top_add(&workspace->uppers, bound->upper);
    return OMENDB_OK;
}

/* Documents of one node stand together, so that its distance is computed once. */
static bool flat_candidate_before(struct flat_candidate a, struct flat_candidate b)
{
    if (a.lower < b.lower || b.lower < a.lower) return a.lower < b.lower;
    return a.node < b.node;
}

static void flat_candidate_sink(struct flat_candidate *heap, size_t count, size_t at)
{
    const struct flat_candidate moving = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && flat_candidate_before(heap[child + 1], heap[child])) child++;
        if (!flat_candidate_before(heap[child], moving)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

/* ---- With codes ----------------------------------------------------------------------- */

static omendb_status flat_scan_codes(struct flat_search *search, const struct vector_index *index,
                                     omendb_error *err)
{
    struct array *rows = index->rows;
    const uint64_t coded = array_capacity(rows); /* Nodes past it have no row at all. */
    struct code_bound bounds[CODES_CHUNK];
    uint64_t asked = 0;
    for (uint32_t node = search->node_begin; node < search->node_end;) {
        const uint32_t in_block = rows->per_block - node % rows->per_block;
        uint32_t count = in_block < CODES_CHUNK ? in_block : CODES_CHUNK;
        if (count > search->node_end - node) count = search->node_end - node;
        uint32_t found = count;
        const uint8_t *at = NULL;
        if (node < coded) {
            omendb_error cause = {0};
            at = array_read(rows, node, &cause);
            if (cause.status != OMENDB_OK) return fail(err, cause.status, "%s", cause.message);
        }
        if (at != NULL) {
            found = codes_bounds(&search->workspace->codes, at, count, flat_upper_limit(search),
                                 bounds);
        } else { /* No codes: nothing is known. */
            for (uint32_t i = 0; i < count; i++)
                bounds[i] = (struct code_bound){i, -INFINITY, INFINITY};
        }
        search->stats.scanned += count;
        for (uint32_t i = 0; i < found; i++) {
            if (bounds[i].lower > flat_upper_limit(search)) continue;
            search->stats.candidates++;
            TRY(flat_documents(search, node + bounds[i].index, flat_add_candidate, &bounds[i],
                               err));
        }
        if (found != 0) flat_share_limit(search);
        node += count;
        TRY(flat_ask_interrupted(search, &asked, err));
    }
    return OMENDB_OK;
}

/* Exact distances of nodes [count] in one go; then their documents become results. */
static omendb_status flat_refine_batch(struct flat_search *search,
                                       const struct flat_candidate *batch, uint32_t count,
                                       omendb_error *err)
{
    const struct flat_query *query = search->query;
    const struct schema_vector *schema = search->schema;
    const void *vectors[FLAT_REFINE_BATCH];
    float norms[FLAT_REFINE_BATCH], distances[FLAT_REFINE_BATCH];
    uint32_t of[FLAT_REFINE_BATCH], distinct = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || batch[i].node != batch[i - 1].node) {
            TRY(collection_vector(query->collection, query->field, batch[i].node,
                                  &vectors[distinct], err));
            for (size_t byte = 0; byte < schema->size; byte += CACHE_LINE)
                prefetch((const uint8_t *)vectors[distinct] + byte);
            distinct++;
        }
        of[i] = distinct - 1;
    }
    const bool cosine = schema->metric == OMENDB_COSINE;
    for (uint32_t i = 0; cosine && i < distinct; i++)
        norms[i] = distance_norm(search->kernels, schema->type, schema->dim, vectors[i]);
    distance_exact_gather(search->kernels, schema->metric, schema->type, schema->dim, query->vector,
                          search->norm, vectors, cosine ? norms : NULL, distinct, distances);
    search->stats.refined += distinct;
    for (uint32_t i = 0; i < count; i++) {
        const float distance = distances[of[i]];
        if (distance > flat_result_limit(search)) continue;
        const struct flat_hit hit = {
            .slot = batch[i].slot,
            .node = batch[i].node,
            .distance = distance,
            .equal = distance_byte_equal(schema->type, schema->dim, query->vector, vectors[of[i]])};
        TRY(flat_add_result(search, hit, err));
    }
    return OMENDB_OK;
}

static omendb_status flat_refine(struct flat_search *search, omendb_error *err)
{
    struct flat_workspace *workspace = search->workspace;
    struct flat_candidate *heap = workspace->candidates;
    const float limit = flat_upper_limit(search);
    size_t count = 0;
    for (size_t i = 0; i < workspace->candidate_count; i++) {
        if (heap[i].lower <= limit) heap[count++] = heap[i];
    }
    for (size_t at = count / 2; at-- > 0;) flat_candidate_sink(heap, count, at);
    while (count > 0 && heap[0].lower <= flat_result_limit(search)) {
        struct flat_candidate batch[FLAT_REFINE_BATCH];
        uint32_t taken = 0;
        while (taken < FLAT_REFINE_BATCH && count > 0 &&
               heap[0].lower <= flat_result_limit(search)) {
            batch[taken++] = heap[0];
            heap[0] = heap[--count];
            if (count > 0) flat_candidate_sink(heap, count, 0);
        }
        TRY(flat_refine_batch(search, batch, taken, err));
        if (search->query->interrupted != NULL)
            TRY(search->query->interrupted(search->query->interrupted_context, err));
    }
    workspace->candidate_count = 0;
    return OMENDB_OK;
}

/* ---- Searches --------------------------------------------------------------------------- */

/* The field's codes, where a scan of them pays. */
static const struct vector_index *flat_index(const struct collection *collection, uint32_t field)
{
    const struct schema_vector *schema = &collection->schema->vectors[field];
    return codes_useful(schema->type, schema->dim) ? vector_index_of(collection, field) : NULL;
}

static omendb_status flat_collect_begin(struct flat_search *search, omendb_error *err)
{
    const struct flat_query *query = search->query;
    assert(query->k >= 1 && query->k <= OMENDB_K_MAX);
    TRY(flat_workspace_begin(search->workspace, query->k, err));
    search->norm = distance_norm(search->kernels, search->schema->type, search->schema->dim,
                                 query->vector);
    return OMENDB_OK;
}

/* Leaves the answer in the workspace's results. */
static omendb_status flat_collect(struct flat_search *search, bool brute, omendb_error *err)
{
    const struct flat_query *query = search->query;
    const struct vector_index *index = flat_index(query->collection, query->field);
    bool usable = false;
    TRY(flat_collect_begin(search, err));
    if (!brute && index != NULL && search->node_end - search->node_begin >= FLAT_DIRECT_NODES)
        TRY(codes_query_begin(&search->workspace->codes, &index->codes, query->vector, &usable,
                              err));
    if (!usable) return flat_scan_direct(search, err);
    TRY(flat_scan_codes(search, index, err));
    return flat_refine(search, err);
}

static void flat_begin(struct flat_search *search, const struct flat_query *query,
                       struct flat_workspace *workspace)
{
    const struct vector_store *vectors = &query->collection->vectors[query->field];
    const uint32_t node_count = atomic_load_acquire_u32(&vectors->node_count);
    if (workspace->kernels == NULL) workspace->kernels = kernels_for(cpu_features());
    *search = (struct flat_search){.query = query,
                                   .schema = &query->collection->schema->vectors[query->field],
                                   .kernels = workspace->kernels,
                                   .workspace = workspace,
                                   .node_begin = query->node_begin,
                                   .node_end = query->node_end == 0 || query->node_end > node_count
                                                   ? node_count
                                                   : query->node_end};
    if (search->node_begin > search->node_end) search->node_begin = search->node_end;
}

static void flat_add_stats(struct flat_stats *stats, const struct flat_stats *more)
{
    if (stats == NULL) return;
    stats->scanned += more->scanned;
    stats->candidates += more->candidates;
    stats->refined += more->refined;
    stats->filtered += more->filtered;
}

bool flat_moved(const struct vector_store *vectors, uint64_t before)
{
    return before % 2 != 0 || collection_moves(vectors) != before;
}

static omendb_status flat_search_either(const struct flat_query *query, bool brute,
                                        struct flat_workspace *workspace, struct flat_hit *hits,
                                        uint32_t *found, struct flat_stats *stats,
                                        omendb_error *err)
{
    omendb_error cause = {0}; /* Some callees tell a failure by `err` alone. */
    const struct vector_store *vectors = &query->collection->vectors[query->field];
    omendb_status status = OMENDB_OK;
    uint64_t moves = 0;
    do {
        struct flat_search search;
        moves = collection_moves(vectors);
        flat_begin(&search, query, workspace);
        status = flat_collect(&search, brute, &cause);
        if (status == OMENDB_OK) status = flat_finish(&search, hits, found, &cause);
        flat_add_stats(stats, &search.stats);
    } while (status == OMENDB_OK && flat_moved(vectors, moves));
    if (status != OMENDB_OK && err != NULL) *err = cause;
    return status;
}

omendb_status flat_search(const struct flat_query *query, struct flat_workspace *workspace,
                          struct flat_hit *hits, uint32_t *found, struct flat_stats *stats,
                          omendb_error *err)
{
    return flat_search_either(query, false, workspace, hits, found, stats, err);
}

omendb_status flat_search_brute(const struct flat_query *query, struct flat_workspace *workspace,
                                struct flat_hit *hits, uint32_t *found, struct flat_stats *stats,
                                omendb_error *err)
{
    return flat_search_either(query, true, workspace, hits, found, stats, err);
}

static void flat_head_prefetch(struct collection *collection, uint32_t field, uint32_t node)
{
    uint32_t slot = SLOT_NONE;
    if (collection_node_head(collection, field, node, &slot, NULL) != OMENDB_OK) return;
    if (slot >= atomic_load_relaxed_u32(&collection->slot_count)) return;
    prefetch(array_at(&collection->slots, slot));
    prefetch(array_at(&collection->vectors[field].links, slot));
}

/* Exact distances of nodes [count] (at most FLAT_REFINE_BATCH) anywhere, then their documents. What
 * a document needs (its node, link and slot) is fetched ahead of it, step by step. */
static omendb_status flat_node_batch(struct flat_search *search, const uint32_t *nodes,
                                     uint32_t count, omendb_error *err)
{
    const struct flat_query *query = search->query;
    const struct schema_vector *schema = search->schema;
    struct collection *collection = query->collection;
    const void *vectors[FLAT_REFINE_BATCH];
    float norms[FLAT_REFINE_BATCH], distances[FLAT_REFINE_BATCH];
    const size_t ahead = schema->size < FLAT_AHEAD ? schema->size : FLAT_AHEAD;
    for (uint32_t i = 0; i < count; i++) {
        TRY(collection_vector(collection, query->field, nodes[i], &vectors[i], err));
        /* The rest of a long one follows by itself, as it is read in order, and waits for less. */
        for (size_t byte = 0; byte < ahead; byte += CACHE_LINE)
            prefetch((const uint8_t *)vectors[i] + byte);
        prefetch(array_at(&collection->vectors[query->field].nodes, nodes[i]));
    }
    for (uint32_t i = 0; i < count; i++) flat_head_prefetch(collection, query->field, nodes[i]);
    const bool cosine = schema->metric == OMENDB_COSINE;
    for (uint32_t i = 0; cosine && i < count; i++)
        norms[i] = distance_norm(search->kernels, schema->type, schema->dim, vectors[i]);
    distance_exact_gather(search->kernels, schema->metric, schema->type, schema->dim, query->vector,
                          search->norm, vectors, cosine ? norms : NULL, count, distances);
    search->stats.refined += count;
    for (uint32_t i = 0; i < count; i++) {
        if (distances[i] > flat_result_limit(search)) continue;
        const struct flat_distance exact = {.distance = distances[i], .vector = vectors[i]};
        search->stats.candidates++;
        TRY(flat_documents(search, nodes[i], flat_add_exact, &exact, err));
    }
    return OMENDB_OK;
}

static omendb_status flat_node_list(struct flat_search *search, const uint32_t *nodes,
                                    uint32_t count, omendb_error *err)
{
    uint64_t asked = search->stats.scanned;
    for (uint32_t at = 0; at < count; at += FLAT_REFINE_BATCH) {
        const uint32_t left = count - at;
        search->stats.scanned += left < FLAT_REFINE_BATCH ? left : FLAT_REFINE_BATCH;
        TRY(flat_node_batch(search, nodes + at, left < FLAT_REFINE_BATCH ? left : FLAT_REFINE_BATCH,
                            err));
        TRY(flat_ask_interrupted(search, &asked, err));
    }
    return OMENDB_OK;
}

omendb_status flat_search_nodes(const struct flat_query *query, const uint32_t *near,
                                uint32_t near_count, const uint32_t *others, uint32_t other_count,
                                struct flat_workspace *workspace, struct flat_hit *hits,
                                uint32_t *found, struct flat_stats *stats, omendb_error *err)
{
    const struct vector_index *index = flat_index(query->collection, query->field);
    struct flat_search search;
    omendb_error cause = {0};
    bool usable = false;
    flat_begin(&search, query, workspace);
    omendb_status status = flat_collect_begin(&search, &cause);
    if (status == OMENDB_OK) status = flat_node_list(&search, near, near_count, &cause);
    if (status == OMENDB_OK && index != NULL && other_count >= FLAT_DIRECT_NODES)
        status = codes_query_begin(&workspace->codes, &index->codes, query->vector, &usable,
                                   &cause);
    if (status == OMENDB_OK && !usable)
        status = flat_node_list(&search, others, other_count, &cause);
    for (size_t i = 0; status == OMENDB_OK && usable && i < workspace->result_count; i++)
        heap_top_add(&workspace->uppers, workspace->results[i].hit.distance);
    uint64_t asked = search.stats.scanned;
    /* Runs of numbers, as a load leaves them, are scanned like a range. */
    for (uint32_t at = 0, next = 0; status == OMENDB_OK && usable && at < other_count; at = next) {
        for (next = at + 1; next < other_count && others[next] == others[next - 1] + 1;) next++;
        search.node_begin = others[at];
        search.node_end = others[at] + (next - at);
        status = flat_scan_codes(&search, index, &cause);
        if (status == OMENDB_OK) status = flat_ask_interrupted(&search, &asked, &cause);
    }
    if (status == OMENDB_OK && usable) status = flat_refine(&search, &cause);
    if (status == OMENDB_OK) status = flat_finish(&search, hits, found, &cause);
    flat_add_stats(stats, &search.stats);
    if (status != OMENDB_OK && err != NULL) *err = cause;
    return status;
}

uint64_t flat_estimate_bytes(const struct collection *collection, uint32_t field)
{
    const struct vector_store *vectors = &collection->vectors[field];
    const struct vector_index *index = flat_index(collection, field);
    const uint64_t nodes = atomic_load_acquire_u32(&vectors->node_count);
    if (index == NULL || nodes < FLAT_DIRECT_NODES)
        return nodes * collection->schema->vectors[field].size;
    return nodes * index->codes.stride;
}

/* ---- Threads ------------------------------------------------------------------------------ */

enum {
    FLAT_THREADS_MAX = 64,
    FLAT_RANGE_MIN = 2048 /* Nodes: less isn't worth a thread. */
};

struct flat_lane { /* One thread's worth of state, beside its workspace. */
    ALIGNED(CACHE_LINE) atomic_u32 busy;
    struct flat_search search; /* A range of the single query. */
    struct flat_stats stats;   /* Whole queries. */
    uint32_t failed;           /* Least query that failed, or UINT32_MAX. */
    omendb_error error;        /* Its error. */
};

struct flat_batch {
    const struct flat_query *queries;
    struct flat_workspace *workspaces;
    struct flat_hit *hits;
    uint32_t *found;
    uint32_t k_max;
    struct flat_lane lanes[FLAT_THREADS_MAX];
};

static void flat_lane_failed(struct flat_lane *lane, uint32_t query, const omendb_error *error)
{
    if (query >= lane->failed) return;
    lane->failed = query;
    lane->error = *error;
}

static void flat_batch_query(void *context, uint32_t index)
{
    struct flat_batch *batch = context;
    /* There are as many lanes as threads, so one is free. */
    uint32_t i = 0;
    for (uint32_t idle = 0; !atomic_swap_if_u32(&batch->lanes[i].busy, &idle, 1); idle = 0, i++) {
    }
    struct flat_lane *lane = &batch->lanes[i];
    omendb_error error = {0};
    if (flat_search(&batch->queries[index], &batch->workspaces[i],
                    batch->hits + (size_t)index * batch->k_max, &batch->found[index], &lane->stats,
                    &error) != OMENDB_OK)
        flat_lane_failed(lane, index, &error);
    atomic_store_release_u32(&lane->busy, 0); /* Pairs with the swap above. */
}

static void flat_batch_range(void *context, uint32_t index)
{
    struct flat_batch *batch = context;
    struct flat_lane *lane = &batch->lanes[index];
    omendb_error error = {0};
    if (flat_collect(&lane->search, false, &error) != OMENDB_OK)
        flat_lane_failed(lane, index, &error);
}

/* One query, its nodes in `parts` ranges; the answers meet in the first lane. */
static omendb_status flat_batch_ranges_once(struct flat_batch *batch, uint32_t parts,
                                            struct flat_hit *hits, uint32_t *found,
                                            struct flat_stats *stats, omendb_error *err)
{
    atomic_u32 limit;
    const float infinity = INFINITY;
    uint32_t bits;
    memcpy(&bits, &infinity, sizeof bits);
    atomic_store_relaxed_u32(&limit, bits);
    struct flat_search *first = &batch->lanes[0].search;
    flat_begin(first, &batch->queries[0], &batch->workspaces[0]);
    const uint64_t begin = first->node_begin, total = first->node_end - begin;
    for (uint32_t i = 0; i < parts; i++) {
        struct flat_search *search = &batch->lanes[i].search;
        *search = *first;
        search->workspace = &batch->workspaces[i];
        search->node_begin = (uint32_t)(begin + total * i / parts);
        search->node_end = (uint32_t)(begin + total * (i + 1) / parts);
        search->shared_limit = &limit;
    }
    thread_parallel(parts, parts, flat_batch_range, batch);
    omendb_error cause = {0};
    omendb_status status = OMENDB_OK;
    for (uint32_t i = 0; i < parts; i++) {
        const struct flat_lane *lane = &batch->lanes[i];
        flat_add_stats(stats, &lane->search.stats);
        if (status == OMENDB_OK && lane->failed != UINT32_MAX) {
            cause = lane->error;
            status = cause.status;
        }
        const struct flat_workspace *workspace = lane->search.workspace;
        for (size_t j = 0; i != 0 && status == OMENDB_OK && j < workspace->result_count; j++)
            status = flat_add_result(first, workspace->results[j].hit, &cause);
    }
    if (status == OMENDB_OK) status = flat_finish(first, hits, found, &cause);
    if (status != OMENDB_OK && err != NULL) *err = cause;
    return status;
}

static omendb_status flat_batch_ranges(struct flat_batch *batch, uint32_t parts,
                                       struct flat_hit *hits, uint32_t *found,
                                       struct flat_stats *stats, omendb_error *err)
{
    const struct flat_query *query = &batch->queries[0];
    const struct vector_store *vectors = &query->collection->vectors[query->field];
    for (;;) {
        const uint64_t moves = collection_moves(vectors);
        TRY(flat_batch_ranges_once(batch, parts, hits, found, stats, err));
        if (!flat_moved(vectors, moves)) return OMENDB_OK;
    }
}

omendb_status flat_search_batch(const struct flat_query *queries, uint32_t count, uint32_t threads,
                                struct flat_workspace *workspaces, struct flat_hit *hits,
                                uint32_t *found, struct flat_stats *stats, omendb_error *err)
{
    struct flat_batch batch = {
        .queries = queries, .workspaces = workspaces, .hits = hits, .found = found};
    if (count == 0) return OMENDB_OK;
    if (threads == 0) threads = 1;
    if (threads > FLAT_THREADS_MAX) threads = FLAT_THREADS_MAX;
    for (uint32_t i = 0; i < threads; i++) {
        atomic_store_relaxed_u32(&batch.lanes[i].busy, 0);
        batch.lanes[i].failed = UINT32_MAX;
    }
    if (count == 1) {
        const struct vector_store *vectors = &queries->collection->vectors[queries->field];
        uint32_t parts = atomic_load_acquire_u32(&vectors->node_count) / FLAT_RANGE_MIN;
        if (parts > threads) parts = threads;
        if (parts < 2) return flat_search(queries, workspaces, hits, found, stats, err);
        return flat_batch_ranges(&batch, parts, hits, found, stats, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (queries[i].k > batch.k_max) batch.k_max = queries[i].k;
    }
    thread_parallel(threads, count, flat_batch_query, &batch);
    const struct flat_lane *failed = NULL;
    for (uint32_t i = 0; i < threads; i++) {
        const struct flat_lane *lane = &batch.lanes[i];
        flat_add_stats(stats, &lane->stats);
        if (lane->failed != UINT32_MAX && (failed == NULL || lane->failed < failed->failed))
            failed = lane;
    }
    if (failed == NULL) return OMENDB_OK;
    if (err != NULL) *err = failed->error;
    return failed->error.status;
}
