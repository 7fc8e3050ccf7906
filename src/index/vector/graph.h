/* graph.h - a navigable graph over the nodes of a vector field, and how it lies in memory.
 *
 * Every node has a row of 32 out-edges. A search walks from node to node towards the query; what
 * one step needs lies together:
 *
 *     codes   [node]   codes.h: header {scale, low, length ...}, 7-bit code     the node's place
 *     links   [node]   u32 slots[32]                            128 B           where it leads
 *     edges   [node]   1-bit codes of those 32 neighbours, relative to the node   (profile "fast")
 *
 *     slot    0 = empty, else (neighbour + 1), and GRAPH_STRICT if pruning chose the edge; other
 *             edges only fill the row (a full row costs no more than an empty one)
 *     edges   0           16 * bits / 4             + 64          + 128        bytes
 *             | fast-scan codes | f16 a[32] ^ 0x7C00 | f16 f[32] |
 *             byte 16 s + (j & 15), nibble j >> 4 = signs of dimensions 4 s .. 4 s + 3 of slot j
 *
 * Codes of the graph are all made for one centre, the frame, so that the distance of two nodes
 * follows from their codes. With o the turned vector of slot j's node, p that of the row's, and
 * r = o - p, c = sign(r) / 2 on the first `bits` dimensions, F = |r|^2 / <r, c> (RaBitQ: Gao and
 * Long, SIGMOD 2024; codes beside the row: SymphonyQG, Gou, Gao, Xu and Long, SIGMOD 2025):
 *
 *     |q - o|^2 = |q - p|^2 + |r|^2 - 2 <q - p, r>      ~ |q - p|^2 + a - f <q, c>
 *     a = |r|^2 + 2 F <p, c>,  f = 2 F                  (both in units of unit^2 and unit)
 *     IP:  -2 <q, o> = -2 <q, p> - 2 <q, r>,            a = 0, f = 2 F; the frame is the origin
 *
 * Links are the graph; they are stored. Edges follow from links and codes, live in memory only and
 * are made again after an open, while searches go on with codes alone (profile "compact" does
 * nothing else). A slot is written in the order a = empty; code, f; a, so that a reader who races
 * with it at worst misjudges one neighbour.
 *
 * Invariants
 *   1. which edges there are never depends on the profile, the number of threads or the
 *      instruction set: integer products of codes, and f32 formulas in one fixed order.
 *   2. a row holds a neighbour once, never the node itself.
 *   3. every node that stands in a slot is HELD (store/collection.h): its number keeps its meaning.
 *
 * Threads: searches any number; rows change under the writer lock, by one graph writer.
 */
#ifndef INDEX_VECTOR_GRAPH_H
#define INDEX_VECTOR_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"
#include "index/vector/codes.h"

enum {
    GRAPH_SLOTS = 32,
    GRAPH_LINKS_SIZE = 4 * GRAPH_SLOTS,
    GRAPH_BITS_MULTIPLE = 16, /* Dimensions of a fast-scan step of 64 bytes. */
    GRAPH_BITS_MAX = 512,
    GRAPH_SPREAD_MIN = 64, /* Powers of two. */
    GRAPH_SPREAD_MAX = 256,
    GRAPH_BITS_LONG = 400, /* Of more dimensions than GRAPH_BITS_MAX. */
    GRAPH_FACTORS_SIZE = 2 * 2 * GRAPH_SLOTS,
    GRAPH_ENTRIES_MAX = 2560,
    GRAPH_ENTRY_SHARE = 400,   /* Nodes for each entry. */
    GRAPH_ENTRIES_PLAIN = 512, /* Of graphs whose entries have no signs: all codes are looked at. */
    GRAPH_ENTRY_SHARE_PLAIN = 2048,
    GRAPH_EDGES_DIM = 32,   /* Up to so many dimensions walks go by codes. */
    GRAPH_ENTERED = 4,      /* Entries that a walk begins with: the nearest ones. */
    GRAPH_GLANCED = 8,      /* By signs the nearest, whose codes are looked at. */
    GRAPH_ENTRY_BITS = 128, /* Signs of an entry, at most. */
    GRAPH_EFFORT_MAX = 8192 /* Largest ef. */
};

#define GRAPH_NONE UINT32_MAX /* No node. */
#define GRAPH_STRICT UINT32_C(0x80000000)
#define GRAPH_NODE_MASK UINT32_C(0x7FFFFFFF)
#define GRAPH_NODES_MAX UINT32_C(0x7FFFFFF0) /* Nodes beyond it stay in the tail. */
#define GRAPH_A_EMPTY 0x7C00u                /* f16 +inf; stored as its difference to that. */

static inline uint32_t graph_slot(uint32_t node)
{
    return node + 1;
}
static inline uint32_t graph_slot_node(uint32_t slot)
{
    return (slot & GRAPH_NODE_MASK) - 1;
}

/* Elements of one size in blocks: those of a hot array, or one block for all. */
struct graph_column {
    uint8_t *base;
    uint32_t stride, per_block;
    uint64_t magic; /* index / per_block = index * magic >> shift, for any index < 2^31. */
    uint32_t shift;
    uint32_t block_size;
};

void graph_column_init(struct graph_column *column, uint8_t *base, uint32_t stride,
                       uint32_t per_block, uint32_t block_size);

static inline uint8_t *graph_column_at(const struct graph_column *column, uint32_t index)
{
    const uint32_t block = (uint32_t)((uint64_t)index * column->magic >> column->shift);
    return column->base + (size_t)block * column->block_size +
           (size_t)(index - block * column->per_block) * column->stride;
}

struct graph_candidate {
    float distance; /* In the frame; comparable within one search only. */
    uint32_t node;
};

/* Where searches begin: nodes that many rows lead to, each as far as can be from those before it,
 * their codes copied side by side. Replaced as a whole, the old one retired by epoch. */
struct graph_entries {
    uint32_t count;
    uint32_t nodes[GRAPH_ENTRIES_MAX];
    uint8_t *codes; /* [count], at the stride of codes. */
    uint8_t *signs; /* [count / GRAPH_SLOTS, rounded up][graph_entry_row_size()], as edges of a
                       node at the frame's centre; NULL where walks by edges don't pay. */
};

struct graph {
    const struct kernels *kernels;
    const struct graph_kernels *search; /* graph_kernels.h */
    struct graph_column codes;
    struct graph_column links;
    uint8_t *edges;     /* [edges_capacity][edge_size]; NULL in profile "compact". */
    uint32_t edge_size; /* 4 * bits + GRAPH_FACTORS_SIZE */
    uint32_t bits;      /* Signs of an edge. */
    bool spread;        /* Over more dimensions than there are: graph_spread(). */
    uint64_t spread_signs[GRAPH_SPREAD_MAX / 64];
    uint32_t dim, size;   /* Components; bytes of a code, as stored. */
    uint32_t entry_share; /* One node of so many is an entry. */
    bool inner_product;   /* Ranks by product; else by L2 in the frame (COSINE: of unit vectors). */
    float unit;           /* Multiplies lengths, so that f16 holds them: a power of two. */
    atomic_pointer entries; /* struct graph_entries, or NULL: nothing to find. */
    atomic_pointer layers;  /* struct graph_layers, or NULL: enter by hubs. */
    atomic_u32 edges_ready; /* 1: every linked node has its edges. */
    const atomic_u64 *dead; /* Bit: routes, but isn't returned or linked to. NULL = none. */
};

/* Signs of an edge for vectors of that many dimensions: one for each in steps of 16; up to
 * GRAPH_SPREAD_MAX the next power of two, over which the components are spread; of long vectors
 * only the first ones. */
uint32_t graph_bits(uint32_t dim);

/* Turns a point of the frame once more, into [bits] dimensions: random signs and one Hadamard
 * transform of its components and of zeros. What signs miss falls with the root of their number.
 * x: [bits], zero from dim on; only where graph->spread */
void graph_spread(const struct graph *graph, float *x);

/* Are walks by edges faster than by codes? With few dimensions a code is no longer than a line of
 * memory, and signs say little: at 8 to 32 dimensions and recall .99 codes are 1.2 to 2.1 times as
 * fast, from 64 on edges are (bench/RESULTS.md). */
static inline bool graph_edges_pay(uint32_t dim)
{
    return dim > GRAPH_EDGES_DIM;
}

/* Fills in what follows from dim; columns and the rest are the caller's. */
void graph_init(struct graph *graph, const struct kernels *kernels, uint32_t features, uint32_t dim,
                omendb_metric metric);

static inline const uint8_t *graph_code(const struct graph *graph, uint32_t node)
{
    return graph_column_at(&graph->codes, node);
}
static inline const uint32_t *graph_links(const struct graph *graph, uint32_t node)
{
    return (const uint32_t *)(const void *)graph_column_at(&graph->links, node);
}
static inline uint8_t *graph_edges(const struct graph *graph, uint32_t node)
{
    return graph->edges + (size_t)node * graph->edge_size;
}
static inline bool graph_is_dead(const struct graph *graph, uint32_t node)
{
    return graph->dead != NULL &&
           (atomic_load_relaxed_u64(&graph->dead[node / 64]) >> (node % 64) & 1) != 0;
}

static inline uint32_t graph_entry_bits(const struct graph *graph)
{
    return graph->bits < GRAPH_ENTRY_BITS ? graph->bits : GRAPH_ENTRY_BITS;
}
static inline uint32_t graph_entry_row_size(const struct graph *graph)
{
    return 4 * graph_entry_bits(graph) + GRAPH_FACTORS_SIZE;
}

/* Writes the slots of `mask` of a node's edges from a row of links, the others stay. Codes of the
 * neighbours must be resident. links: [GRAPH_SLOTS] */
void graph_edges_encode(const struct graph *graph, uint32_t node, const uint32_t *links,
                        uint32_t mask, float *scratch /* [graph_edges_room()] */);
size_t graph_edges_room(const struct graph *graph);

/* The same for a node at the frame's centre, that isn't one of the graph's. edges:
 * [graph_entry_row_size()], zeroed */
void graph_edges_encode_centre(const struct graph *graph, uint8_t *edges, const uint32_t *links,
                               uint32_t mask, float *scratch);

#endif /* INDEX_VECTOR_GRAPH_H */
