/* graph_calibrate.h - how much effort finds how much: measured, and stored with the graph.
 *
 *     walk     by edges where there are some; by codes
 *     stretch  0, 1.05, 1.1, 1.2, 1.35   0: only ef ends a walk; else it ends when what is left is
 *                                        farther than stretch times the k-th so far
 *     rungs    ef 14 16 24 32 48 ... 2048, up to where walks read as much as a scan
 *     k        10, and 100 with some of the queries in large graphs
 *     each:    recall, hops, distances, and how much recall varies from query to query
 *
 * The queries are vectors that wait to be linked: the graph doesn't know them, as it won't know the
 * user's. Where none wait, linked ones are taken and left out of their own answers, which flatters
 * the graph, since it holds edges of theirs: then more margin is asked for (graph_choose.h).
 *
 * One traced walk tells what all shorter ones find (graph_trace.h), for any k and stretch, so a query
 * costs one scan and a walk each way: of moderate ef first, then four times as much as long as not
 * everything was found. What has found all goes on to do so; its counts grow with ef. In the midst
 * of a load a few queries must do, for k = 10.
 *
 * Cost: 300 queries over 100,000 x 100 take 0.5 CPU seconds, nearly half of them for the scans, and
 * the few in the midst of the load 0.1; linking takes 9.
 */
#ifndef INDEX_VECTOR_GRAPH_CALIBRATE_H
#define INDEX_VECTOR_GRAPH_CALIBRATE_H

#include "index/vector/graph_index.h"

struct store;

enum {
    GRAPH_CALIBRATE_QUERIES = 300,
    GRAPH_CALIBRATE_QUERIES_FEW = 64 /* In the midst of a load. */
};

/* Should a graph of `linked` nodes, all that there are, be measured? It holds a quarter more than
 * when it was, or that was in the midst of a load, or before it had edges. */
bool graph_calibrate_outdated(const struct graph_index *graph, uint32_t linked);

/* Measures. nodes: [count], at most GRAPH_CALIBRATE_QUERIES; held_out: none of them is linked;
 * whole: no others wait. stopping: asked between searches. INTERRUPTED; NOMEM, IO, CORRUPT. No
 * lock held. */
omendb_status graph_calibrate(struct graph_index *graph, struct store *store, const uint32_t *nodes,
                              uint32_t count, bool held_out, bool whole, uint32_t threads,
                              bool (*stopping)(void *context), void *context,
                              struct graph_table *out, omendb_error *err);

#endif /* INDEX_VECTOR_GRAPH_CALIBRATE_H */
