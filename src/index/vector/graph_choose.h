/* graph_choose.h - from a recall that is wanted to the cheapest walk that was measured to reach it.
 *
 *     table (graph_calibrate.h)   for k = 10 and 100, each walk and stretch: a ladder of ef with
 *                                 recall, hops, distances
 *     what is there now           edges or not, bytes of codes and edges: the cost of each walk
 *     ──▶ walk, ef, stretch
 *
 * A rung reaches recall r when it was measured to find r + margin, where the margin is mostly the
 * error of measuring with so few queries (.012 at r = .95, .006 at .99 for 300 of them); between two
 * rungs of a ladder by interpolation, which is on the safe side, since recall grows ever more
 * slowly. k below 10 is searched like 10; between 10 and 100 the same walk and stretch must reach r
 * for both, ef lies between theirs by log k; beyond, and where only k = 10 was measured, it grows in
 * proportion, which is more than is needed (words of 100 dimensions, r = .95, 10 to 100: by edges 4.0
 * times, by codes 2.5 times).
 *
 * Costs are those of a model, so that what is chosen follows from the file and not from how busy a
 * machine was: nanoseconds of walks over 6 sets of 100 to 784 dimensions and 9,000 to 100,000
 * vectors (1,500 pairs of ef and stretch, k = 10 and 100, AVX-512), fitted by least squares of the
 * relative error: half of all pairs within 7 %, 19 of 20 within 23 %; the pair that it chooses takes
 * at most 6 % longer than the best one (bench/RESULTS.md).
 *
 * Threads: functions of their arguments.
 */
#ifndef INDEX_VECTOR_GRAPH_CHOOSE_H
#define INDEX_VECTOR_GRAPH_CHOOSE_H

#include "index/vector/graph_index.h"
#include "index/vector/graph_search.h"

struct graph_choice {
    enum graph_walk walk;
    uint32_t ef;
    float stretch;      /* graph_search.h */
    float recall;       /* Measured or interpolated, or a floor of it; 0 = unknown. */
    uint32_t hops;      /* Expected; 0 = unknown. */
    uint32_t distances; /* Expected, of neighbours; 0 by edges. */
};

/* Hits that ladders were measured for, and what walks for fewer look at. */
enum { GRAPH_K_SMALL = 10, GRAPH_K_LARGE = 100 };

/* False: nothing measured reaches the recall by a walk that is possible now. table may be NULL. */
bool graph_choose(const struct graph_table *table, const struct graph *graph, uint32_t k,
                  float recall, struct graph_choice *out);

/* What a given ef will do: by edges where there are some, no stretch, recall at least. */
void graph_choose_ef(const struct graph_table *table, const struct graph *graph, uint32_t k,
                     uint32_t ef, struct graph_choice *out);

/* Nanoseconds of a walk, but for what all walks of a query have in common. */
double graph_walk_cost(const struct graph *graph, enum graph_walk walk, double ef, double hops,
                       double distances);
/* Bytes that it reads. */
uint64_t graph_walk_bytes(const struct graph *graph, enum graph_walk walk, uint32_t hops,
                          uint32_t distances);

uint32_t graph_rung_ef(uint32_t rung);
float graph_rung_stretch(uint32_t stretch);

#endif /* INDEX_VECTOR_GRAPH_CHOOSE_H */
