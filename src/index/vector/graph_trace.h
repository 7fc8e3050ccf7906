/* graph_trace.h - what one long walk tells about all shorter ones.
 *
 * A walk expands the nearest node of its pool that is left, whatever its ef and stretch (graph_search.h):
 * these only say where it ends. So a walk with a smaller ef, or with a stretch, is the beginning of
 * one with a larger ef and none; a walk that is traced notes at each hop what would have ended it.
 *
 *     hops   [hop_count]   rank in the pool and distance of the node that is expanded next; the
 *                          near-th distances by then; counts by then
 *     found  [found_count] candidates for the answer, in the order in which they were met
 *
 * By codes that is exact. By edges a walk fetches the next node while it looks at the last one, so
 * one that has nothing left may go on with what the last one brings: it is as long as the trace
 * says, or longer.
 *
 * Threads: a trace belongs to one walk.
 */
#ifndef INDEX_VECTOR_GRAPH_TRACE_H
#define INDEX_VECTOR_GRAPH_TRACE_H

#include <math.h>

#include "index/vector/graph.h"

enum {
    GRAPH_TRACE_NEARS = 2,
    GRAPH_TRACE_HOPS_MAX = 6144, /* What doesn't fit isn't noted: a shorter walk. */
    GRAPH_TRACE_FOUND_MAX = 16384
};

struct graph_trace_hop {
    float distance;                /* As the pool has it. */
    float near[GRAPH_TRACE_NEARS]; /* INFINITY while fewer were found. */
    uint32_t rank;                 /* A walk whose ef isn't greater ends before this hop. */
    uint32_t found;                /* Before this hop was chosen. */
    uint32_t distances;            /* Of neighbours; walks by codes. */
};

struct graph_trace {
    uint32_t near[GRAPH_TRACE_NEARS]; /* Given: 1 .. keep, 0 = none. */
    uint32_t hop_count, found_count;
    struct graph_trace_hop hops[GRAPH_TRACE_HOPS_MAX];
    struct graph_candidate found[GRAPH_TRACE_FOUND_MAX];
};

/* distances: [count] sorted, of which the near-th are noted. */
static inline void graph_trace_note(struct graph_trace *trace, float distance, uint32_t rank,
                                    const float *distances, uint32_t count, uint64_t measured)
{
    if (trace->hop_count == GRAPH_TRACE_HOPS_MAX) return;
    struct graph_trace_hop *hop = &trace->hops[trace->hop_count++];
    hop->distance = distance;
    hop->rank = rank;
    hop->found = trace->found_count;
    hop->distances = (uint32_t)measured;
    for (uint32_t i = 0; i < GRAPH_TRACE_NEARS; i++)
        hop->near[i] = trace->near[i] != 0 && count >= trace->near[i]
                           ? distances[trace->near[i] - 1]
                           : INFINITY;
}

static inline void graph_trace_meet(struct graph_trace *trace, float distance, uint32_t node)
{
    if (trace->found_count == GRAPH_TRACE_FOUND_MAX) return;
    trace->found[trace->found_count++] = (struct graph_candidate){distance, node};
}

#endif /* INDEX_VECTOR_GRAPH_TRACE_H */
