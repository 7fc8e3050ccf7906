#include "index/vector/graph_search.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_kernels.h"

/* ---- Dispatch ------------------------------------------------------------------ */

size_t graph_kernels_list(uint32_t features, const struct graph_kernels **out, size_t max)
{
    const struct graph_kernels *all[] = {
        &graph_kernels_portable,
#if defined(__x86_64__)
        &graph_kernels_avx2,
        &graph_kernels_avx512,
#elif defined(__aarch64__)
        &graph_kernels_neon,
#endif
    };
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if ((all[i]->features & ~features) != 0) continue;
        if (count < max) out[count] = all[i];
        count++;
    }
    return count;
}

const struct graph_kernels *graph_kernels_for(uint32_t features)
{
    const struct graph_kernels *list[KERNELS_LIST_MAX] = {0};
    return list[graph_kernels_list(features, list, KERNELS_LIST_MAX) - 1];
}

/* ---- Queries ------------------------------------------------------------------- */

void graph_query_deinit(struct graph_query *query)
{
    alloc_free(query->memory);
    *query = (struct graph_query){0};
}

static omendb_status graph_query_room(struct graph_query *query, const struct graph *graph,
                                      omendb_error *err)
{
    const size_t table_size = (size_t)graph->bits * 4;
    const size_t spread_size = graph->spread ? graph->bits * sizeof(float) : 0;
    const size_t size = (size_t)graph->size * (sizeof(float) + 1) + table_size + spread_size;
    if (size > query->memory_size) {
        uint8_t *memory = alloc_aligned(CACHE_LINE, size);
        if (memory == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a query");
        alloc_free(query->memory);
        query->memory = memory;
        query->memory_size = size;
    }
    /* graph->size is a multiple of 16, as bits are of 64 where they are spread: each part begins at a
     * cache line. */
    query->turned = (float *)(void *)query->memory;
    query->spread = graph->spread ? query->turned + graph->size : query->turned;
    query->table = query->memory + (size_t)graph->size * sizeof(float) + spread_size;
    query->digits = (int8_t *)(query->table + table_size);
    return OMENDB_OK;
}

/* out = unit * (vector - centre): before the rotation, since a power of two changes no bit of it.
 * In steps of 16, for compilers that vectorise loops of known length only. */
static void graph_query_move(float *restrict out, const float *restrict vector,
                             const float *restrict centre, float unit, uint32_t dim)
{
    uint32_t at = 0;
    for (; centre != NULL && at + 16 <= dim; at += 16)
        for (uint32_t i = 0; i < 16; i++) out[at + i] = (vector[at + i] - centre[at + i]) * unit;
    for (; centre == NULL && at + 16 <= dim; at += 16)
        for (uint32_t i = 0; i < 16; i++) out[at + i] = vector[at + i] * unit;
    for (; at < dim; at++) out[at] = (centre != NULL ? vector[at] - centre[at] : vector[at]) * unit;
}

/* The table, of what `turned` is for signs. */
static void graph_query_tabulate(struct graph_query *query, const struct graph *graph)
{
    if (graph->spread) {
        memcpy(query->spread, query->turned, graph->dim * sizeof *query->spread);
        memset(query->spread + graph->dim, 0, (graph->bits - graph->dim) * sizeof *query->spread);
        graph_spread(graph, query->spread);
    }
    graph->search->tabulate(query, graph->bits);
}

omendb_status graph_query_begin(struct graph_query *query, const struct graph *graph,
                                const struct rotation *rotation, const float *centre,
                                const float *vector, omendb_error *err)
{
    TRY(graph_query_room(query, graph, err));
    float *x = query->turned;
    graph_query_move(x, vector, graph->inner_product ? NULL : centre, graph->unit, graph->dim);
    rotation_apply(rotation, graph->kernels, x);
    for (uint32_t i = graph->dim; i < graph->size; i++) x[i] = 0;
    graph->search->digitize(query, graph->size);
    graph_query_tabulate(query, graph);
    query->length_weight = graph->unit * graph->unit;
    query->product_weight = -2 * query->step * graph->unit;
    if (graph->inner_product) query->square = query->length_weight = 0;
    return OMENDB_OK;
}

omendb_status graph_query_begin_node(struct graph_query *query, const struct graph *graph,
                                     uint32_t node, omendb_error *err)
{
    TRY(graph_query_room(query, graph, err));
    const uint8_t *row = graph_code(graph, node);
    const struct code_header *header = (const void *)row;
    const uint8_t *code = row + CODES_HEADER_SIZE;
    const float low = header->low * graph->unit, scale = header->scale * graph->unit;
    for (uint32_t i = 0; i < graph->dim; i++) query->turned[i] = low + scale * (float)code[i];
    for (uint32_t i = graph->dim; i < graph->size; i++) query->turned[i] = 0;
    graph->search->digitize(query, graph->size);
    graph_query_tabulate(query, graph);
    query->length_weight = graph->unit * graph->unit;
    query->product_weight = -2 * query->step * graph->unit;
    query->square = query->length_weight * (header->length * header->length);
    if (graph->inner_product) query->square = query->length_weight = 0;
    return OMENDB_OK;
}

float graph_distance(const struct graph *graph, const struct graph_query *query, uint32_t node)
{
    return graph->search->distance(graph, query, node);
}

/* ---- Candidates ---------------------------------------------------------------- */

int64_t graph_queue_shorten(struct graph_queue *queue, uint32_t keep, int64_t floor)
{
    int64_t *pile = queue->pile;
    int64_t low = GRAPH_QUEUE_NONE, high = INT64_MIN;
    uint32_t wanted = keep, count = queue->pile_count, left = 0;
    if (count <= keep) return GRAPH_QUEUE_NONE;
    for (uint32_t i = 0; i < count; i++) {
        low = pile[i] < low ? pile[i] : low;
        high = pile[i] > high ? pile[i] : high;
    }
    /* The wanted-th is in [low, high], and all below `low` are kept. Halved eight times a round, until
     * few enough are kept too many. */
    while (low != high) {
        uint32_t counts[256] = {0}, bin = 0, before = 0;
        const uint64_t range = (uint64_t)high - (uint64_t)low;
        const uint32_t length = 64 - (uint32_t)__builtin_clzll(range);
        const uint32_t shift = length > 8 ? length - 8 : 0;
        for (uint32_t i = 0; i < count; i++)
            if (pile[i] >= low && pile[i] <= high)
                counts[((uint64_t)pile[i] - (uint64_t)low) >> shift]++;
        while (before + counts[bin] < wanted) before += counts[bin++];
        const uint64_t end = (((uint64_t)bin + 1) << shift) - 1;
        high = end < range ? (int64_t)((uint64_t)low + end) : high;
        if (counts[bin] + before - wanted <= keep / 8) break;
        low = (int64_t)((uint64_t)low + ((uint64_t)bin << shift));
        wanted -= before;
    }
    if (high < floor) high = floor;
    /* Of equal ones no more than are wanted. */
    uint32_t equal = low == high ? wanted : UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (pile[i] > high || (pile[i] == high && equal == 0)) continue;
        equal -= pile[i] == high;
        pile[left++] = pile[i];
    }
    queue->pile_count = left;
    return high;
}

/* ---- Walks --------------------------------------------------------------------- */

void graph_scratch_deinit(struct graph_scratch *scratch)
{
    alloc_free(scratch->distances);
    alloc_free(scratch->nodes);
    alloc_free(scratch->keys);
    alloc_free(scratch->kept);
    alloc_free(scratch->near_distances);
    alloc_free(scratch->near_nodes);
    alloc_free(scratch->visited);
    alloc_free(scratch->touched);
    *scratch = (struct graph_scratch){0};
}

/* Beyond the pool: vector loads past its end, and the place that an insertion shifts into. */
enum { POOL_SLACK = 64 };

omendb_status graph_scratch_reserve(struct graph_scratch *scratch, uint32_t node_end, uint32_t ef,
                                    uint32_t keep, omendb_error *err)
{
    assert(ef <= GRAPH_EFFORT_MAX && keep <= ef);
    if (ef > scratch->pool_capacity || scratch->distances == NULL) {
        float *distances = alloc_zeroed((size_t)ef + POOL_SLACK, sizeof *distances);
        uint32_t *nodes = alloc_zeroed((size_t)ef + POOL_SLACK, sizeof *nodes);
        int64_t *keys = alloc_raw(graph_queue_size(ef), sizeof *keys);
        if (distances == NULL || nodes == NULL || keys == NULL) {
            alloc_free(distances);
            alloc_free(nodes);
            alloc_free(keys);
            return fail(err, OMENDB_ERR_NOMEM, "out of memory: a search with ef %u", ef);
        }
        alloc_free(scratch->distances);
        alloc_free(scratch->nodes);
        alloc_free(scratch->keys);
        scratch->keys = keys;
        scratch->distances = distances;
        scratch->nodes = nodes;
        scratch->pool_capacity = ef;
    }
    if (keep > scratch->kept_capacity || scratch->kept == NULL) {
        struct graph_candidate *kept = alloc_raw(keep, sizeof *kept);
        float *distances = alloc_zeroed((size_t)keep + POOL_SLACK, sizeof *distances);
        uint32_t *nodes = alloc_zeroed((size_t)keep + POOL_SLACK, sizeof *nodes);
        if (kept == NULL || distances == NULL || nodes == NULL) {
            alloc_free(kept);
            alloc_free(distances);
            alloc_free(nodes);
            return fail(err, OMENDB_ERR_NOMEM, "out of memory: %u hits", keep);
        }
        alloc_free(scratch->kept);
        alloc_free(scratch->near_distances);
        alloc_free(scratch->near_nodes);
        scratch->kept = kept;
        scratch->near_distances = distances;
        scratch->near_nodes = nodes;
        scratch->kept_capacity = keep;
    }
    const size_t words = (size_t)node_end / 64 + 1;
    if (words > scratch->visited_words) {
        const size_t larger = words + words / 4;
        uint64_t *visited = alloc_zeroed(larger, sizeof *visited);
        if (visited == NULL)
            return fail(err, OMENDB_ERR_NOMEM, "out of memory: marks of %u nodes", node_end);
        alloc_free(scratch->visited);
        scratch->visited = visited;
        scratch->visited_words = larger;
    }
    scratch->node_end = node_end;
    if (scratch->touched != NULL) return OMENDB_OK;
    scratch->touched = alloc_raw(GRAPH_TOUCHED_MAX, sizeof *scratch->touched);
    if (scratch->touched == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a search");
    return OMENDB_OK;
}

void graph_scratch_forget(struct graph_scratch *scratch)
{
    if (scratch->touched_count > GRAPH_TOUCHED_MAX) {
        memset(scratch->visited, 0, scratch->visited_words * sizeof *scratch->visited);
    } else {
        for (size_t i = 0; i < scratch->touched_count; i++)
            scratch->visited[scratch->touched[i] / 64] = 0;
    }
    scratch->touched_count = 0;
}

uint32_t graph_search(const struct graph *graph, const struct graph_query *query,
                      const struct graph_effort *effort, struct graph_scratch *scratch)
{
    const struct graph_kernels *table = graph->search;
    const uint32_t kept = effort->walk == GRAPH_WALK_CODES
                              ? table->walk_codes(graph, query, effort, scratch)
                          : effort->ef < GRAPH_QUEUE_EF
                              ? table->walk_edges(graph, query, effort, scratch)
                              : table->walk_edges_far(graph, query, effort, scratch);
    graph_scratch_forget(scratch);
    return kept;
}
