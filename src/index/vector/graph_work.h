/* graph_work.h - the background work on a graph: what it does, piece by piece.
 *
 *     begin ─▶ recode into the frame ─▶ bring into memory, make edges
 *                      ┌──────────────────────┘
 *                      ▼
 *     freed nodes: repair rows around them ─▶ a tenth is dead: sweep, release
 *          ─▶ doubled, or all linked: entries, reach, calibration ─▶ tail: a batch is linked ─▶ again
 *
 * Plans are computed without a lock on several threads (graph_change.h) and applied a few rows in
 * one hold of the writer lock. Between two holds everything is in a state that an image may be made
 * of: what is planned and not applied is simply not done yet.
 *
 * A batch: HOLD its nodes; plan; their own rows, then their edges; rows that lead to them, edges of
 * those; LINKED; out of the tail. Nodes are taken from a window of the tail in an order that looks
 * random but isn't: a load in sorted order would build a bad graph.
 *
 * Threads: the index thread; one piece at a time.
 */
#ifndef INDEX_VECTOR_GRAPH_WORK_H
#define INDEX_VECTOR_GRAPH_WORK_H

#include "index/vector/graph_index.h"

struct index_host;

/* One bounded piece of what there is to do; *more: there is more. Fewer than options->begin live
 * nodes get no graph. Errors leave a graph that can go on: NOMEM, IO, CORRUPT, FULL. */
omendb_status graph_work_piece(struct collection *collection, uint32_t field,
                               struct vector_index *index, const struct graph_options *options,
                               struct index_host *host, bool *more, omendb_error *err);

void graph_work_destroy(struct graph_work *work); /* NULL is allowed. */

#endif /* INDEX_VECTOR_GRAPH_WORK_H */
