/* graph_layers.h - the second way into a graph: the upper layers of HNSW, apart from the graph.
 *
 * Layer l is a graph of its own over every 32^(l+1)-th node; a search descends through them with a
 * pool of one and begins at what it found (Malkov and Yashunin 2018, sections 3 and 4.1; their
 * levels are drawn for each node, ours follow from its number). It stands beside the table of hubs
 * (graph_entries.c) so that both can be measured on the same graph; see graph_entry_rule().
 *
 *     nodes  [count]   linked and alive when chosen, sorted by a mix of their numbers
 *     codes  [count]   copies, side by side, in the same order
 *     layer 0          links over places [0, count):        every 32nd node
 *     layer 1          links over places [0, count / 32):   every 1024th, and so on
 *
 * Each layer is thus a prefix of the one below, a place means the same in all of them, and the order
 * in which places are inserted is shuffled. The highest is entered by a table of hubs of its own.
 *
 * What this costs: 1 % of the time of a build, 1/30 of the codes and links. Nothing is stored.
 *
 * Invariants
 *   1. immutable; replaced as a whole when entries are (graph_index.h), the old ones retired by
 *      epoch. A node that died since still routes, and is left out of what a walk begins with.
 *   2. the graph's own edges never depend on layers: whoever builds enters by hubs.
 *   3. the same layers for any number of threads and with every kernels table.
 *
 * Threads: searches any number; graph_layers_choose() one, which may use several.
 */
#ifndef INDEX_VECTOR_GRAPH_LAYERS_H
#define INDEX_VECTOR_GRAPH_LAYERS_H

#include "index/vector/graph_change.h"

enum {
    GRAPH_LAYERS_SHIFT = 5,   /* A layer has 1/32 of the nodes of the one below. */
    GRAPH_LAYERS_LEAST = 256, /* Nodes of the highest layer; fewer are no layer. */
    GRAPH_LAYERS_MAX = 5,     /* 2^31 / 32^5 = 64 */
    GRAPH_LAYERS_BUILD = 40   /* ef_construction of layers. */
};

struct graph_layers {
    uint32_t count; /* At least 1. */
    uint32_t *nodes;
    uint8_t *codes;
    struct graph_layer {
        struct graph graph; /* Its nodes are places. */
        uint8_t *links;
        uint32_t count;
    } layers[GRAPH_LAYERS_MAX];
};

/* Where searches of a graph had better begin, by the dimension and the nodes linked: by hubs,
 * whatever they are. From 8 to 1,536 dimensions and up to a million nodes a descent saves no more
 * hops than its own cost (bench/RESULTS.md, "Entry strategies"). */
enum graph_enter graph_entry_rule(uint32_t dim, uint32_t linked);

/* Layers over `linked` nodes below `options->node_end`; NULL when they are too few for one. Uses
 * threads, stopping and context of options. Deterministic. NOMEM; INTERRUPTED. */
omendb_status graph_layers_choose(const struct graph *graph, const atomic_u64 *linked,
                                  const struct graph_change_options *options,
                                  struct graph_layers **out, omendb_error *err);
void graph_layers_destroy(struct graph_layers *layers); /* NULL is allowed. */

#endif /* INDEX_VECTOR_GRAPH_LAYERS_H */
