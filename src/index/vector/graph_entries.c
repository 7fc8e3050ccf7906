/* graph_entries.c - where searches begin.
 *
 * In high dimension the upper layers of HNSW buy nothing: searches run along hubs anyway (Munyampirwa,
 * Lakshman and Coleman, "Down with the Hierarchy", 2024). So a small table of nodes with many
 * in-edges takes their place, thinned by farthest-point picking (Gonzalez 1985) so that every region
 * has one; a walk begins at the nearest few. Thousands of them are looked at in about 25 ns for each
 * 32: by signs, as a node's neighbours are; then the codes of the nearest decide.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_change.h"
#include "index/vector/graph_prune.h"

enum {
    ENTRIES_MIN = 64,
    ENTRIES_CANDIDATES = 32,        /* Hubs looked at for each entry ... */
    ENTRIES_CANDIDATES_MAX = 40960, /* ... and in all. */
    ENTRIES_DEGREES = 4096          /* In-degrees from here on are taken for equal. */
};

void graph_entries_destroy(struct graph_entries *entries)
{
    if (entries == NULL) return;
    alloc_free(entries->codes);
    alloc_free(entries->signs);
    alloc_free(entries);
}

/* The signs of all entries. NOMEM. */
static omendb_status entries_sign(const struct graph *graph, struct graph_entries *entries,
                                  omendb_error *err)
{
    const uint32_t rows = (entries->count + GRAPH_SLOTS - 1) / GRAPH_SLOTS;
    float *scratch = alloc_aligned(CACHE_LINE, graph_edges_room(graph) * sizeof *scratch);
    entries->signs = alloc_aligned(CACHE_LINE, (size_t)rows * graph_entry_row_size(graph));
    if (scratch == NULL || entries->signs == NULL) {
        alloc_free(scratch);
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: entries of a graph");
    }
    memset(entries->signs, 0, (size_t)rows * graph_entry_row_size(graph));
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t links[GRAPH_SLOTS] = {0};
        for (uint32_t i = 0; i < GRAPH_SLOTS && row * GRAPH_SLOTS + i < entries->count; i++)
            links[i] = graph_slot(entries->nodes[row * GRAPH_SLOTS + i]);
        graph_edges_encode_centre(graph, entries->signs + (size_t)row * graph_entry_row_size(graph),
                                  links, UINT32_MAX, scratch);
    }
    alloc_free(scratch);
    return OMENDB_OK;
}

omendb_status graph_entries_make(const struct graph *graph, const uint32_t *nodes, uint32_t count,
                                 struct graph_entries **out, omendb_error *err)
{
    assert(count >= 1 && count <= GRAPH_ENTRIES_MAX);
    struct graph_entries *entries = alloc_zeroed(1, sizeof *entries);
    if (entries == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: entries of a graph");
    entries->codes = alloc_aligned(CACHE_LINE, (size_t)count * graph->codes.stride);
    if (entries->codes == NULL) {
        graph_entries_destroy(entries);
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: entries of a graph");
    }
    entries->count = count;
    for (uint32_t i = 0; i < count; i++) {
        entries->nodes[i] = nodes[i];
        memcpy(entries->codes + (size_t)i * graph->codes.stride, graph_code(graph, nodes[i]),
               graph->codes.stride);
    }
    if (graph_edges_pay(graph->dim)) {
        const omendb_status status = entries_sign(graph, entries, err);
        if (status != OMENDB_OK) {
            graph_entries_destroy(entries);
            return status;
        }
    }
    *out = entries;
    return OMENDB_OK;
}

static bool entries_linked(const atomic_u64 *linked, uint32_t node)
{
    return (atomic_load_relaxed_u64(&linked[node / 64]) >> (node % 64) & 1) != 0;
}

/* The nodes that most rows lead to, at most `wanted`: first those above a degree that `wanted`
 * nodes reach, in the order of their numbers, then those of just that degree. */
static uint32_t entries_hubs(const struct graph *graph, const atomic_u64 *linked,
                             const uint32_t *degrees, uint32_t node_end, uint32_t wanted,
                             uint32_t *hubs)
{
    uint32_t histogram[ENTRIES_DEGREES] = {0};
    uint32_t above = 0, threshold = ENTRIES_DEGREES, count = 0;
    for (uint32_t node = 0; node < node_end; node++) {
        if (!entries_linked(linked, node) || graph_is_dead(graph, node)) continue;
        histogram[degrees[node] < ENTRIES_DEGREES ? degrees[node] : ENTRIES_DEGREES - 1]++;
    }
    while (threshold > 0 && above + histogram[threshold - 1] <= wanted)
        above += histogram[--threshold];
    /* Degrees >= threshold all fit; one less fills what is left. */
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t node = 0; node < node_end && count < wanted; node++) {
            if (!entries_linked(linked, node) || graph_is_dead(graph, node)) continue;
            const uint32_t degree = degrees[node] < ENTRIES_DEGREES ? degrees[node]
                                                                    : ENTRIES_DEGREES - 1;
            if (pass == 0 ? degree >= threshold : threshold > 0 && degree == threshold - 1)
                hubs[count++] = node;
        }
    }
    return count;
}

/* Moves `wanted` hubs that lie far from one another to the front. */
static void entries_spread(const struct graph *graph, struct graph_point *points, uint32_t count,
                           uint32_t wanted)
{
    for (uint32_t i = 0; i < count; i++) points[i].distance = INFINITY;
    for (uint32_t taken = 0; taken < wanted; taken++) {
        uint32_t farthest = taken;
        for (uint32_t i = taken + 1; i < count && taken > 0; i++)
            if (points[i].distance > points[farthest].distance) farthest = i;
        const struct graph_point point = points[farthest];
        points[farthest] = points[taken];
        points[taken] = point;
        for (uint32_t i = taken + 1; i < count; i++) {
            const float distance = graph_point_distance(graph, &points[i], &point);
            if (distance < points[i].distance) points[i].distance = distance;
        }
    }
}

/* How many entries pay for `live` nodes. */
static uint32_t entries_wanted(const struct graph *graph, uint32_t live)
{
    const uint32_t max = graph_edges_pay(graph->dim) ? GRAPH_ENTRIES_MAX : GRAPH_ENTRIES_PLAIN;
    const uint32_t wanted = live / graph->entry_share;
    if (wanted > max) return max;
    return wanted > ENTRIES_MIN ? wanted : ENTRIES_MIN;
}

omendb_status graph_entries_choose(const struct graph *graph, const atomic_u64 *linked,
                                   uint32_t node_end, struct graph_entries **out, omendb_error *err)
{
    struct graph_worker *worker = alloc_zeroed(1, sizeof *worker);
    uint32_t *degrees = alloc_zeroed(node_end, sizeof *degrees);
    uint32_t *hubs = NULL;
    struct graph_point *points = NULL;
    uint32_t live = 0;
    omendb_status status = OMENDB_OK;
    if (worker == NULL || degrees == NULL)
        status = fail(err, OMENDB_ERR_NOMEM, "out of memory: entries of a graph");
    if (status == OMENDB_OK) status = graph_worker_init(worker, graph, err);
    for (uint32_t node = 0; status == OMENDB_OK && node < node_end; node++) {
        if (!entries_linked(linked, node)) continue;
        if (!graph_is_dead(graph, node)) live++;
        const uint32_t *slots = graph_links(graph, node);
        for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
            if (slots[i] != 0 && graph_slot_node(slots[i]) < node_end)
                degrees[graph_slot_node(slots[i])]++;
    }
    uint32_t wanted = entries_wanted(graph, live), looked = wanted * ENTRIES_CANDIDATES;
    if (looked > ENTRIES_CANDIDATES_MAX) looked = ENTRIES_CANDIDATES_MAX;
    if (status == OMENDB_OK && live == 0) {
        *out = NULL;
    } else if (status == OMENDB_OK) {
        hubs = alloc_raw(looked, sizeof *hubs);
        points = alloc_raw(looked, sizeof *points);
        if (hubs == NULL || points == NULL) {
            status = fail(err, OMENDB_ERR_NOMEM, "out of memory: entries of a graph");
        } else {
            const uint32_t count = entries_hubs(graph, linked, degrees, node_end, looked, hubs);
            if (wanted > count) wanted = count; /* Some may have died since they were counted. */
            for (uint32_t i = 0; i < count; i++)
                graph_point_load(graph, worker, hubs[i], &points[i]);
            entries_spread(graph, points, count, wanted);
            for (uint32_t i = 0; i < wanted; i++) hubs[i] = points[i].node;
            *out = NULL;
            if (wanted != 0) status = graph_entries_make(graph, hubs, wanted, out, err);
        }
    }
    alloc_free(points);
    alloc_free(hubs);
    alloc_free(degrees);
    if (worker != NULL) graph_worker_deinit(worker);
    alloc_free(worker);
    return status;
}
