/* graph_calibrate.h - how much effort finds how much: measured, stored with the graph, looked up by
 * every search.
 *
 *     ef  12 16 24 32 48 ... 2048          rungs, for k = 10 (and 100 in large graphs)
 *     stretch 0, 1.05 ... 1.35             0: only ef ends a walk; else it ends when what is left
 *                                          is farther than stretch times the k-th so far
 *     each pair: recall, hops              over up to 200 stored vectors
 *
 * The queries are vectors that wait to be linked: the graph doesn't know them, as it won't know the
 * user's. Where none wait, linked ones are taken and left out of their own answers, which flatters
 * the graph, since it holds edges of theirs: then more margin is asked for.
 *
 * A search for recall r takes the pair with the fewest hops whose recall is r + margin, between two
 * rungs by interpolation; other k between 10 and 100 by log k, beyond in proportion. The margin is
 * mostly the error of measuring with so few queries (.015 at r = .95).
 */
#ifndef INDEX_VECTOR_GRAPH_CALIBRATE_H
#define INDEX_VECTOR_GRAPH_CALIBRATE_H

#include "index/vector/graph_index.h"

struct store;

enum { GRAPH_CALIBRATE_QUERIES = 200 };

struct graph_choice {
    uint32_t ef;
    float stretch; /* graph_search.h */
    float recall;  /* Measured or interpolated; 0 = unknown. */
    uint32_t hops; /* Expected; 0 = unknown. */
};

/* Measures. nodes: [count], at most GRAPH_CALIBRATE_QUERIES; held_out: none of them is linked.
 * stopping: asked between searches. INTERRUPTED; NOMEM, IO, CORRUPT. No lock held. */
omendb_status graph_calibrate(struct graph_index *graph, struct store *store, const uint32_t *nodes,
                              uint32_t count, bool held_out, uint32_t threads,
                              bool (*stopping)(void *context), void *context,
                              struct graph_table *out, omendb_error *err);

/* False: nothing measured reaches the recall. table may be NULL. */
bool graph_choose(const struct graph_table *table, uint32_t k, float recall,
                  struct graph_choice *out);
/* What a given ef will do. */
void graph_choose_ef(const struct graph_table *table, uint32_t k, uint32_t ef,
                     struct graph_choice *out);

/* The rungs, for reports. */
uint32_t graph_rung_ef(uint32_t rung);
float graph_rung_stretch(uint32_t stretch);

#endif /* INDEX_VECTOR_GRAPH_CALIBRATE_H */
