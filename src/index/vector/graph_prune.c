#include "index/vector/graph_prune.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"

enum { PRUNE_BLOCK = 4 }; /* Distances computed together. */

/* A refused candidate may fill a free slot if its direction, seen from the row's node, has at most
 * this cosine with every nearer edge taken so far; rungs are tried one after another until the row
 * is full. The last takes whatever is nearest. */
static const float graph_fill_rungs[] = {0.5f, 0.55f, 0.6f, 0.65f, 0.7f,    0.75f,
                                         0.8f, 0.85f, 0.9f, 0.95f, INFINITY};

omendb_status graph_worker_init(struct graph_worker *worker, const struct graph *graph,
                                omendb_error *err)
{
    if (worker->ones != NULL) return OMENDB_OK;
    worker->ones = alloc_aligned(CACHE_LINE, graph->size);
    worker->floats = alloc_aligned(CACHE_LINE, graph->size * sizeof *worker->floats);
    if (worker->ones == NULL || worker->floats == NULL) {
        graph_worker_deinit(worker);
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: building a graph");
    }
    memset(worker->ones, 1, graph->size);
    return OMENDB_OK;
}

void graph_worker_deinit(struct graph_worker *worker)
{
    graph_query_deinit(&worker->query);
    graph_scratch_deinit(&worker->scratch);
    alloc_free(worker->ones);
    alloc_free(worker->floats);
    worker->ones = NULL;
    worker->floats = NULL;
}

void graph_point_load(const struct graph *graph, const struct graph_worker *worker, uint32_t node,
                      struct graph_point *out)
{
    const uint8_t *row = graph_code(graph, node);
    const struct code_header *header = (const void *)row;
    out->code = row + CODES_HEADER_SIZE;
    out->node = node;
    out->low = header->low * graph->unit;
    out->scale = header->scale * graph->unit;
    const float length = header->length * graph->unit;
    out->square = length * length;
    out->product = out->scale * (float)graph->kernels->u7_dot(worker->ones, out->code, graph->size);
    out->total = (float)graph->dim * out->low + out->product;
}

static float graph_point_apart(const struct graph *graph, const struct graph_point *a,
                               const struct graph_point *b, float dot)
{
    const float product = a->low * b->total + b->low * a->product + a->scale * b->scale * dot;
    if (graph->inner_product) return -2 * product;
    return a->square + b->square - 2 * product;
}

float graph_point_distance(const struct graph *graph, const struct graph_point *a,
                           const struct graph_point *b)
{
    return graph_point_apart(graph, a, b,
                             (float)graph->kernels->u7_dot(a->code, b->code, graph->size));
}

/* The distances of a point to `count` others, at most PRUNE_BLOCK. */
static void graph_point_distances(const struct graph *graph, const struct graph_point *point,
                                  const struct graph_point *const *others, uint32_t count,
                                  float *out)
{
    const uint8_t *codes[PRUNE_BLOCK] = {NULL};
    int32_t dots[PRUNE_BLOCK];
    for (uint32_t i = 0; i < count; i++) codes[i] = others[i]->code;
    graph->kernels->u7_dot_gather(point->code, codes, graph->size, count, dots);
    for (uint32_t i = 0; i < count; i++)
        out[i] = graph_point_apart(graph, point, others[i], (float)dots[i]);
}

void graph_points_sort(struct graph_point *points, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) { /* Nearly sorted, and few. */
        const struct graph_point point = points[i];
        uint32_t at = i;
        for (; at > 0 &&
               (points[at - 1].distance > point.distance ||
                (points[at - 1].distance == point.distance && points[at - 1].node > point.node));
             at--)
            points[at] = points[at - 1];
        points[at] = point;
    }
}

/* Is some taken edge nearer to the point than it is to the row's node? */
static bool graph_occluded(const struct graph *graph, const struct graph_point *point,
                           const struct graph_point *const *taken, uint32_t count)
{
    float distances[PRUNE_BLOCK];
    for (uint32_t at = 0; at < count; at += PRUNE_BLOCK) {
        const uint32_t block = count - at < PRUNE_BLOCK ? count - at : PRUNE_BLOCK;
        graph_point_distances(graph, point, taken + at, block, distances);
        for (uint32_t i = 0; i < block; i++)
            if (distances[i] < point->distance) return true;
    }
    return false;
}

uint32_t graph_prune_strict(const struct graph *graph, struct graph_point *points, uint32_t count,
                            uint32_t limit)
{
    const struct graph_point *taken[GRAPH_SLOTS];
    uint32_t chosen = 0;
    assert(limit <= GRAPH_SLOTS);
    for (uint32_t i = 0; i < count; i++) {
        points[i].rank = GRAPH_REFUSED;
        if (chosen == limit || graph_occluded(graph, &points[i], taken, chosen)) continue;
        points[i].rank = GRAPH_CHOSEN;
        taken[chosen++] = &points[i];
    }
    return chosen;
}

/* Edges that a row has taken, and how crowded the directions of the others are. */
struct graph_filling {
    const struct graph *graph;
    struct graph_point *points;
    uint32_t taken[GRAPH_SLOTS]; /* Places in points. */
    uint32_t used;
    float crowded[GRAPH_FILL_LOOKED]; /* The greatest cosine with the first `compared` of taken. */
    uint8_t compared[GRAPH_FILL_LOOKED];
};

static float graph_cosine(const struct graph_point *a, const struct graph_point *b, float apart)
{
    const float product = a->distance * b->distance;
    /* One lies where the node does (codes are rounded): its direction says nothing. */
    if (!(a->distance > 0 && b->distance > 0 && product > 0)) return 1;
    return (a->distance + b->distance - apart) / (2 * sqrtf(product));
}

static bool graph_fill_fits(struct graph_filling *filling, uint32_t at, float rung)
{
    const struct graph_point *point = &filling->points[at];
    const struct graph_point *edges[PRUNE_BLOCK];
    float distances[PRUNE_BLOCK], crowded = filling->crowded[at];
    uint32_t i = filling->compared[at];
    while (i < filling->used && crowded <= rung) {
        uint32_t count = 0;
        for (; i < filling->used && count < PRUNE_BLOCK; i++) {
            edges[count] = &filling->points[filling->taken[i]];
            count += edges[count]->distance <= point->distance;
        }
        graph_point_distances(filling->graph, point, edges, count, distances);
        for (uint32_t j = 0; j < count; j++) {
            const float cosine = graph_cosine(point, edges[j], distances[j]);
            if (cosine > crowded) crowded = cosine;
        }
    }
    filling->compared[at] = (uint8_t)i;
    filling->crowded[at] = crowded;
    return crowded <= rung;
}

uint32_t graph_prune(const struct graph *graph, struct graph_point *points, uint32_t count)
{
    const uint32_t chosen = graph_prune_strict(graph, points, count, GRAPH_SLOTS);
    const uint32_t looked = count < GRAPH_FILL_LOOKED ? count : GRAPH_FILL_LOOKED;
    struct graph_filling filling = {.graph = graph, .points = points};
    for (uint32_t i = 0; i < count; i++)
        if (points[i].rank == GRAPH_CHOSEN) filling.taken[filling.used++] = i;
    for (uint32_t i = 0; i < looked; i++) filling.crowded[i] = -INFINITY;
    for (uint32_t rung = 0; rung < COUNT_OF(graph_fill_rungs); rung++) {
        /* Products have no angles. */
        if (graph->inner_product && !isinf(graph_fill_rungs[rung])) continue;
        for (uint32_t i = 0; i < looked && filling.used < GRAPH_SLOTS; i++) {
            if (points[i].rank != GRAPH_REFUSED) continue;
            if (!isinf(graph_fill_rungs[rung]) &&
                !graph_fill_fits(&filling, i, graph_fill_rungs[rung]))
                continue;
            points[i].rank = GRAPH_FILLS;
            filling.taken[filling.used++] = i;
        }
    }
    return chosen;
}

void graph_row_write(const struct graph_point *points, uint32_t count, uint32_t *slots)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++)
        if (points[i].rank == GRAPH_CHOSEN) slots[at++] = graph_slot(points[i].node) | GRAPH_STRICT;
    for (uint32_t i = 0; i < count; i++)
        if (points[i].rank == GRAPH_FILLS) slots[at++] = graph_slot(points[i].node);
    assert(at <= GRAPH_SLOTS);
    for (; at < GRAPH_SLOTS; at++) slots[at] = 0;
}

/* ---- Editing a row ------------------------------------------------------------- */

void graph_row_edit_begin(struct graph_row_edit *edit, const struct graph *graph,
                          struct graph_worker *worker, uint32_t node, uint32_t *slots)
{
    edit->graph = graph;
    edit->worker = worker;
    edit->node = node;
    edit->slots = slots;
    edit->measured = false;
}

void graph_row_measure(struct graph_row_edit *edit)
{
    struct graph_point node, other;
    if (edit->measured) return;
    edit->measured = true;
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
        if (edit->slots[i] != 0) prefetch(graph_code(edit->graph, graph_slot_node(edit->slots[i])));
    graph_point_load(edit->graph, edit->worker, edit->node, &node);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if (edit->slots[i] == 0) continue;
        graph_point_load(edit->graph, edit->worker, graph_slot_node(edit->slots[i]), &other);
        edit->distances[i] = graph_point_distance(edit->graph, &node, &other);
    }
}

uint32_t graph_row_find(const uint32_t *slots, uint32_t other)
{
    uint32_t slot = 0;
    while (slot < GRAPH_SLOTS && (slots[slot] & GRAPH_NODE_MASK) != graph_slot(other)) slot++;
    return slot;
}

uint32_t graph_row_weakest(struct graph_row_edit *edit)
{
    uint32_t weakest = GRAPH_SLOTS, fills = 0;
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if (edit->slots[i] == 0) return i;
        if ((edit->slots[i] & GRAPH_STRICT) == 0) fills++;
    }
    if (fills == 0) return GRAPH_SLOTS;
    graph_row_measure(edit);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if ((edit->slots[i] & GRAPH_STRICT) != 0) continue;
        if (weakest == GRAPH_SLOTS || edit->distances[i] > edit->distances[weakest]) weakest = i;
    }
    return weakest;
}

void graph_row_put(struct graph_row_edit *edit, uint32_t slot, uint32_t other, bool strict,
                   float distance)
{
    edit->slots[slot] = graph_slot(other) | (strict ? GRAPH_STRICT : 0);
    edit->distances[slot] = distance;
}

/* All slots are strict: pruned once more, together with the new edge. What the rule refuses is
 * filling from now on, and the new edge takes the place of the farthest of those. */
static void graph_row_prune(struct graph_row_edit *edit, uint32_t other, float distance)
{
    struct graph_point *points = edit->worker->points;
    graph_row_measure(edit);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        graph_point_load(edit->graph, edit->worker, graph_slot_node(edit->slots[i]), &points[i]);
        points[i].distance = edit->distances[i];
    }
    graph_point_load(edit->graph, edit->worker, other, &points[GRAPH_SLOTS]);
    points[GRAPH_SLOTS].distance = distance;
    graph_points_sort(points, GRAPH_SLOTS + 1);
    (void)graph_prune_strict(edit->graph, points, GRAPH_SLOTS + 1, GRAPH_SLOTS);
    for (uint32_t i = 0; i <= GRAPH_SLOTS; i++) {
        if (points[i].rank == GRAPH_CHOSEN || points[i].node == other) continue;
        edit->slots[graph_row_find(edit->slots, points[i].node)] &= GRAPH_NODE_MASK;
    }
    uint32_t slot = graph_row_weakest(edit);
    if (slot == GRAPH_SLOTS) { /* All are needed, and the farthest has to go. */
        slot = 0;
        for (uint32_t i = 1; i < GRAPH_SLOTS; i++)
            if (edit->distances[i] > edit->distances[slot]) slot = i;
    }
    graph_row_put(edit, slot, other, true, distance);
}

/* The filling slot whose direction is nearest to that of a new edge; GRAPH_SLOTS = there is none. */
static uint32_t graph_row_crowded(struct graph_row_edit *edit, uint32_t other, float distance)
{
    struct graph_point added, fill;
    uint32_t crowded = GRAPH_SLOTS;
    float most = -INFINITY;
    graph_row_measure(edit);
    graph_point_load(edit->graph, edit->worker, other, &added);
    added.distance = distance;
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if ((edit->slots[i] & GRAPH_STRICT) != 0 || edit->slots[i] == 0) continue;
        graph_point_load(edit->graph, edit->worker, graph_slot_node(edit->slots[i]), &fill);
        fill.distance = edit->distances[i];
        const float cosine = graph_cosine(&added, &fill,
                                          graph_point_distance(edit->graph, &added, &fill));
        if (cosine <= most) continue;
        most = cosine;
        crowded = i;
    }
    return crowded;
}

void graph_row_link(struct graph_row_edit *edit, uint32_t other, float distance)
{
    uint32_t slot = graph_row_find(edit->slots, other);
    if (slot < GRAPH_SLOTS) {
        edit->slots[slot] |= GRAPH_STRICT;
        return;
    }
    slot = graph_row_weakest(edit);
    if (slot < GRAPH_SLOTS && edit->slots[slot] != 0 && !edit->graph->inner_product) {
        const uint32_t crowded = graph_row_crowded(edit, other, distance);
        if (crowded < GRAPH_SLOTS) slot = crowded;
    }
    if (slot < GRAPH_SLOTS) graph_row_put(edit, slot, other, true, distance);
    else graph_row_prune(edit, other, distance);
}
