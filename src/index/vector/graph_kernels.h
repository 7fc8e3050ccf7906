/* graph_kernels.h - the walk, compiled once per instruction set.
 *
 *     graph_loop.h       the walks themselves, in terms of a few inline functions
 *     graph_portable.c   those functions in plain C
 *     graph_avx2.c, graph_avx512.c (VNNI), graph_neon.c
 *
 * A walk's steps are too short for calls through a table: the whole loop is compiled for each
 * processor, so that distances, scans and prefetches are inlined.
 *
 * Every table gives the same bits, walks included. Sums of floats run in 16 lanes, dimension i in
 * lane i % 16, products by fma, and end as lane[j] += lane[j + 8], + 4, + 2, + 1. The table of a
 * query is made of integers:
 *
 *     fine[i]   = spread[i] * GRAPH_TABLE_FINE / table_step, rounded to nearest even
 *     table[e]  = sum over the group's four i of (bit of e ? max(fine[i], 0) : max(-fine[i], 0)),
 *                 / GRAPH_TABLE_FINE, rounded half up
 *
 * The largest sum of a group is 255 * 128 + 4 * 0.5 + 64 for rounding, below 2^15.
 *
 * Threads: tables are constant.
 */
#ifndef INDEX_VECTOR_GRAPH_KERNELS_H
#define INDEX_VECTOR_GRAPH_KERNELS_H

#include "index/vector/graph_search.h"

enum { GRAPH_TABLE_SHIFT = 7, GRAPH_TABLE_FINE = 1 << GRAPH_TABLE_SHIFT };

/* The step with which `largest` is `steps` of them; 1 for what is as good as zero. */
static inline float graph_step(float largest, float steps)
{
    return largest > 1e-30f ? largest / steps : 1;
}

/* <q, c> when every entry adds 0: total = the sum of |fine|, below 2^24. */
static inline float graph_table_low(int32_t total, float table_step)
{
    return -(float)total * (table_step / (2 * GRAPH_TABLE_FINE));
}

struct graph_kernels {
    const char *name;
    uint32_t features; /* Bits of enum kernels_feature that it needs. */
    /* See graph_search(): fills scratch->kept, returns how many. */
    uint32_t (*walk_edges)(const struct graph *graph, const struct graph_query *query,
                           const struct graph_effort *effort, struct graph_scratch *scratch);
    /* The same with the candidates in a queue (graph_queue.h), which is faster where ef is large:
     * the nodes are expanded in the same order, but for those whose estimates are equal. */
    uint32_t (*walk_edges_far)(const struct graph *graph, const struct graph_query *query,
                               const struct graph_effort *effort, struct graph_scratch *scratch);
    uint32_t (*walk_codes)(const struct graph *graph, const struct graph_query *query,
                           const struct graph_effort *effort, struct graph_scratch *scratch);
    float (*distance)(const struct graph *graph, const struct graph_query *query, uint32_t node);
    /* digits, step, sum and square from `turned`. */
    void (*digitize)(struct graph_query *query, uint32_t size);
    /* table, table_step and table_low from `spread`. */
    void (*tabulate)(struct graph_query *query, uint32_t bits);
    /* Of one slot: signs of r = o - p (bit i of words[i / 64], below `bits`), the sums |r|^2 (all
     * dimensions), <r, c> and <p, c> (below `bits`). In units of `unit`.
     * p, o: [dim rounded up to 16], zero from dim on; words: [GRAPH_BITS_MAX / 64] */
    void (*relate)(const float *p, const float *o, uint32_t dim, uint32_t bits, uint64_t *words,
                   float sums[3]);
};

/* The fastest that needs no feature outside `features`. */
const struct graph_kernels *graph_kernels_for(uint32_t features);
/* Every table that `features` allow, portable first; writes at most `max`, returns how many. */
size_t graph_kernels_list(uint32_t features, const struct graph_kernels **out, size_t max);

extern const struct graph_kernels graph_kernels_portable;
#if defined(__x86_64__)
extern const struct graph_kernels graph_kernels_avx2;
extern const struct graph_kernels graph_kernels_avx512;
#elif defined(__aarch64__)
extern const struct graph_kernels graph_kernels_neon;
#endif

#endif /* INDEX_VECTOR_GRAPH_KERNELS_H */
