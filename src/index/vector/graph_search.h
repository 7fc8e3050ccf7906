/* graph_search.h - one search: a query turned into the frame, scratch memory, the walk.
 *
 *     query ──turn, 8-bit digits, table──▶ entries ──▶ pool (ef best, sorted) ──▶ kept candidates
 *                                            ▲            │ nearest not expanded
 *                                            └────────────┘ its exact code distance, its 32 edges
 *
 * GRAPH_WALK_EDGES (profile "fast"): one expanded node costs one distance of its code, which
 * decides about the answer, and one scan of its edges, whose estimates fill the pool. A node is
 * marked when it is expanded, not when it is seen: a second, better estimate rescues a bad first.
 * GRAPH_WALK_CODES (profile "compact", building): beam search of HNSW (Malkov and Yashunin 2018,
 * algorithm 2) on distances of codes.
 *
 * The pool is a sorted array: with ef of a few hundred at most, a vector compare to find the rank
 * and a move beat a heap, and the next node is known one step ahead, so that its memory can be
 * fetched meanwhile.
 *
 * Threads: a query and a scratch belong to one thread.
 */
#ifndef INDEX_VECTOR_GRAPH_SEARCH_H
#define INDEX_VECTOR_GRAPH_SEARCH_H

#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "index/vector/graph.h"

struct graph_query { /* {0} to begin with; may be used for one graph after another. */
    float *turned;   /* [size] unit * M (q - c), for IP unit * M q; 0 from dim on. */
    float *spread;   /* [bits] the same as signs see it: graph_spread(), or `turned` itself. */
    int8_t *digits;  /* [size] turned = step * digits, nearly. */
    uint8_t *table;  /* [bits / 4][16] */
    float step;
    float sum;                   /* Of the digits. */
    float square;                /* |turned|^2; 0 for IP. */
    float length_weight;         /* distance = square + length_weight * length^2 */
    float product_weight;        /*     + product_weight * (low * sum + scale * <code, digits>) */
    float table_step, table_low; /* <q, c> = table_low + table_step * sum of entries */
    uint8_t *memory;
    size_t memory_size;
};

enum { GRAPH_TOUCHED_MAX = 16384 };

enum graph_walk { GRAPH_WALK_EDGES, GRAPH_WALK_CODES };
enum graph_enter {
    GRAPH_ENTER_HUBS,   /* graph_entries.c */
    GRAPH_ENTER_LAYERS, /* graph_layers.h */
    GRAPH_ENTER_NODE    /* effort->from, a linked node that is near. */
};

struct graph_effort {
    enum graph_walk walk;
    uint32_t ef;   /* Size of the pool, 1 .. GRAPH_EFFORT_MAX. */
    uint32_t keep; /* Candidates wanted, at most ef. */
    float stretch; /* Estimates above stretch * (the `near`-th distance so far) aren't followed
                      (squared distances); 0 = no such limit. */
    uint32_t near; /* 1 .. keep */
    enum graph_enter enter;    /* By layers where there are some, else by hubs. */
    uint32_t from;             /* Of GRAPH_ENTER_NODE. */
    struct graph_trace *trace; /* graph_trace.h: what is to be noted, or NULL. */
};

struct graph_counts {   /* Added to, never reset. */
    uint64_t hops;      /* Nodes expanded. */
    uint64_t distances; /* Code distances computed. */
    uint64_t estimates; /* Edges scanned. */
    uint64_t bytes;     /* Read of codes, links and edges. */
};

/* The candidates of a walk by edges: graph_queue.h. */
enum { GRAPH_QUEUE_NEAR = 32, GRAPH_QUEUE_REFILL = 24, GRAPH_QUEUE_SLACK = 128 };
enum { GRAPH_QUEUE_EF = 128 }; /* Walks from that ef on have one, others a sorted pool. */
#define GRAPH_QUEUE_NONE INT64_MAX

struct graph_queue {
    int64_t near[GRAPH_QUEUE_NEAR] ALIGNED(64);
    int64_t *taken; /* [ef + 1] */
    int64_t *pile;  /* [1.5 ef + GRAPH_QUEUE_SLACK + GRAPH_SLOTS + 1] */
    int64_t bound;
    int64_t limit; /* Candidates above it are never taken. */
    uint32_t pile_count, taken_count;
    uint32_t last; /* Place in `taken` of the one that was taken last. */
};

static inline int64_t graph_queue_key(float distance, uint32_t node)
{
    int32_t bits = 0;
    memcpy(&bits, &distance, sizeof bits);
    bits ^= bits >> 31 & INT32_MAX;
    return bits * (INT64_C(1) << 32) + node;
}
static inline uint32_t graph_queue_node(int64_t key)
{
    return (uint32_t)key;
}
static inline float graph_queue_distance(int64_t key)
{
    int32_t bits = (int32_t)(key >> 32);
    float distance = 0;
    bits ^= bits >> 31 & INT32_MAX;
    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/* The least distance above all keys of that distance. */
static inline float graph_queue_above(int64_t key)
{
    const int64_t above = (key >> 32) + 1;
    return above >= 0x7F800000 ? INFINITY : graph_queue_distance(above * (INT64_C(1) << 32));
}

/* Keys that a walk with that ef has room for. */
static inline size_t graph_queue_size(uint32_t ef)
{
    return (size_t)ef + 1 + ef + ef / 2 + GRAPH_QUEUE_SLACK + GRAPH_SLOTS + 1;
}

/* Leaves out keys of the pile so that no more stay than a little above `keep`, but for those up to
 * `floor`. Returns the key above which all of them were left out. Cost: about 4 ns a key. */
int64_t graph_queue_shorten(struct graph_queue *queue, uint32_t keep, int64_t floor);

/* Scratch memory of walks; {0} to begin with. Grows to what the largest needed. */
struct graph_scratch {
    float *distances;             /* [pool_capacity + 64] of the pool, sorted */
    uint32_t *nodes;              /* [pool_capacity + 64] highest bit: expanded */
    int64_t *keys;                /* [graph_queue_size(pool_capacity)] of a graph_queue */
    struct graph_candidate *kept; /* [kept_capacity] sorted; the result of a walk. */
    float *near_distances;        /* [kept_capacity + 64] the same while it goes on. */
    uint32_t *near_nodes;         /* [kept_capacity + 64] */
    uint32_t pool_capacity, kept_capacity;
    uint32_t pool_count; /* Of the last walk by codes. */
    uint64_t *visited;   /* Bit by node; all zero between walks. */
    size_t visited_words;
    uint32_t node_end; /* Nodes from here on are newer than the walk: not followed. */
    uint32_t *touched; /* [GRAPH_TOUCHED_MAX] nodes whose bit is set, while they fit. */
    size_t touched_count;
    struct graph_counts counts;
};

void graph_query_deinit(struct graph_query *query);
void graph_scratch_deinit(struct graph_scratch *scratch);

/* Turns a vector (codes_widen()ed: f32, unit under COSINE; not moved by the centre yet) into a
 * query. centre: the frame's, NULL = origin; ignored for IP. NOMEM. */
omendb_status graph_query_begin(struct graph_query *query, const struct graph *graph,
                                const struct rotation *rotation, const float *centre,
                                const float *vector, omendb_error *err);

/* A stored node as query (its code). NOMEM. */
omendb_status graph_query_begin_node(struct graph_query *query, const struct graph *graph,
                                     uint32_t node, omendb_error *err);

/* Room for walks of that effort over nodes below `node_end`. NOMEM. */
omendb_status graph_scratch_reserve(struct graph_scratch *scratch, uint32_t node_end, uint32_t ef,
                                    uint32_t keep, omendb_error *err);

/* Takes back all marks. */
void graph_scratch_forget(struct graph_scratch *scratch);

/* The nearest nodes that aren't dead, nearest first by (distance, node), at most effort->keep:
 * scratch->kept; returns how many. All codes and links must be resident; edges too for
 * GRAPH_WALK_EDGES. */
uint32_t graph_search(const struct graph *graph, const struct graph_query *query,
                      const struct graph_effort *effort, struct graph_scratch *scratch);

/* Squared distance in the frame, in units of unit^2 (IP: minus the product, doubled). */
float graph_distance(const struct graph *graph, const struct graph_query *query, uint32_t node);

#endif /* INDEX_VECTOR_GRAPH_SEARCH_H */
