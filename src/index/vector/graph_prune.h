/* graph_prune.h - which edges a row keeps: points gathered for pair distances, pruning, linking.
 *
 * Distances of two codes of the frame follow from one integer product:
 *
 *     <a, b> = low_a total_b + low_b product_a + scale_a scale_b dot,   product = scale * sum of code
 *     total = dim * low + product                                       (the sum of components)
 *
 * always evaluated in this form and order, so that rows are the same on every machine.
 *
 * Threads: a worker belongs to one.
 */
#ifndef INDEX_VECTOR_GRAPH_PRUNE_H
#define INDEX_VECTOR_GRAPH_PRUNE_H

#include "index/vector/graph_search.h"

enum {
    GRAPH_PRUNE_MAX = 160,   /* Candidates that pruning looks at: more cost time and win nothing. */
    GRAPH_FILL_LOOKED = 100, /* Refused ones that may fill a row. */
};

struct graph_point {
    const uint8_t *code;
    float low, scale, product, total, square; /* In units of unit. */
    float distance;                           /* To the node whose row it is for. */
    uint32_t node;
    uint32_t rank; /* enum graph_edge */
};

enum graph_edge { GRAPH_REFUSED = 0, GRAPH_FILLS, GRAPH_CHOSEN };

struct graph_worker {
    struct graph_query query;
    struct graph_scratch scratch;
    struct graph_point points[GRAPH_PRUNE_MAX];
    struct graph_point edges[GRAPH_SLOTS];
    uint8_t *ones; /* [size] codes of 1, for sums. */
    float *floats; /* [size] */
    omendb_status status;
    omendb_error error;
};

omendb_status graph_worker_init(struct graph_worker *worker, const struct graph *graph,
                                omendb_error *err);
void graph_worker_deinit(struct graph_worker *worker); /* {0} is allowed. */

/* All of a point but `distance` and `rank`. */
void graph_point_load(const struct graph *graph, const struct graph_worker *worker, uint32_t node,
                      struct graph_point *out);
float graph_point_distance(const struct graph *graph, const struct graph_point *a,
                           const struct graph_point *b);

/* Sorts by (distance, node). */
void graph_points_sort(struct graph_point *points, uint32_t count);

/* Sets every point's rank: at most GRAPH_SLOTS of them chosen or filling. points: [count] sorted by
 * distance, distinct, without the row's node. Returns how many are chosen. */
uint32_t graph_prune(const struct graph *graph, struct graph_point *points, uint32_t count);

/* Only the strict rule, on `count` points. */
uint32_t graph_prune_strict(const struct graph *graph, struct graph_point *points, uint32_t count,
                            uint32_t limit);

/* The row of the points' ranks, chosen ones first. */
void graph_row_write(const struct graph_point *points, uint32_t count, uint32_t *slots);

/* A row while edges are added to it: distances are computed when first needed. */
struct graph_row_edit {
    const struct graph *graph;
    struct graph_worker *worker;
    uint32_t node;
    uint32_t *slots; /* [GRAPH_SLOTS] */
    bool measured;
    float distances[GRAPH_SLOTS]; /* Of the slots in use. */
};
void graph_row_edit_begin(struct graph_row_edit *edit, const struct graph *graph,
                          struct graph_worker *worker, uint32_t node, uint32_t *slots);

/* Adds a strict edge to `other`, `distance` away: see graph_change.h. Uses worker->points. */
void graph_row_link(struct graph_row_edit *edit, uint32_t other, float distance);

/* Makes edit->distances known. */
void graph_row_measure(struct graph_row_edit *edit);

/* Slot that holds `other`, or GRAPH_SLOTS. */
uint32_t graph_row_find(const uint32_t *slots, uint32_t other);
/* An empty slot, else the farthest filling one, else GRAPH_SLOTS. */
uint32_t graph_row_weakest(struct graph_row_edit *edit);
/* Puts an edge into a slot. */
void graph_row_put(struct graph_row_edit *edit, uint32_t slot, uint32_t other, bool strict,
                   float distance);

#endif /* INDEX_VECTOR_GRAPH_PRUNE_H */
