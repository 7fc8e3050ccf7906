/* graph_change.h - what changes a graph: plans computed on the frozen graph, applied row by row.
 *
 *     plan (no lock, several threads)                     apply (writer lock, a few rows at a time)
 *     search, prune, reverse edges by target  ──rows──▶   links[node] = row; edges[node] again
 *
 * Building is batch-synchronous (ParlayANN: Manohar et al., PPoPP 2024): the nodes of a batch
 * search the graph as it was before it, reverse edges are gathered by target and each target's row
 * is made by one thread in one order. So a plan, and the graph, are the same for any number of
 * threads. Inserting one node is a batch of one.
 *
 * A plan is a list of whole rows: first those of new nodes, then those that lead to them; applied
 * in this order a reader never enters a node that leads nowhere, and an end in the middle (a crash,
 * a checkpoint between two pieces) leaves a graph whose unfinished nodes are merely not linked yet:
 * planning them again is harmless.
 *
 * Pruning (alpha = 1: the relative neighbourhood rule of HNSW's algorithm 4 and DiskANN): a
 * candidate is refused when an edge already taken is nearer to it than the node itself. Edges
 * chosen so are strict; what is left of a row is filled with refused ones, since a scan of a full
 * row costs no more: the nearest whose direction is far enough from those of the edges before it,
 * under a growing cosine (SymphonyQG, section 4, bounds that angle, too). A new edge takes a free
 * slot, else the fill slot with the most similar direction; only a row of 32 strict edges is pruned
 * again.
 */
#ifndef INDEX_VECTOR_GRAPH_CHANGE_H
#define INDEX_VECTOR_GRAPH_CHANGE_H

#include "index/vector/graph_search.h"

enum {
    GRAPH_BATCH_FIRST = 256, /* Nodes that begin a graph: they are compared with one another. */
    GRAPH_BATCH_SHARE = 20,  /* Later batches: at most this part of what is linked. */
    GRAPH_BATCH_MIN = 16,
    GRAPH_BATCH_MAX = 16384
};

struct graph_row {
    uint32_t node;
    uint32_t slots[GRAPH_SLOTS];
};

struct graph_plan { /* {0} to begin with; reused from batch to batch. */
    struct graph_row *rows;
    size_t count, capacity;
    size_t own;                   /* The first so many rows are those of the batch's own nodes. */
    struct graph_counts counts;   /* Of all plans so far. */
    struct graph_worker *workers; /* [worker_count] scratch memory of threads. */
    uint32_t worker_count;
};
void graph_plan_deinit(struct graph_plan *plan);

struct graph_change_options {
    uint32_t ef;                     /* Of the searches (ef_construction). */
    uint32_t keep;                   /* Of what they find pruning looks at; 0 = GRAPH_PRUNE_MAX. */
    uint32_t threads;                /* At least 1. */
    uint32_t node_end;               /* Above every node of the graph. */
    bool (*stopping)(void *context); /* Asked now and then; NULL = never. */
    void *context;
};

/* Plans the insertion of nodes (distinct, with codes in the frame, not dead). The first nodes of an
 * empty graph find one another: a batch is split by its caller, see graph_batch_size(). NOMEM;
 * INTERRUPTED when stopping() said so: the plan is empty then. */
omendb_status graph_plan_insert(const struct graph *graph, const uint32_t *nodes, uint32_t count,
                                const struct graph_change_options *options, struct graph_plan *plan,
                                omendb_error *err);

/* Plans a second look at linked nodes (ascending, not dead): each searches again from where it
 * stands, and its row is pruned anew out of what it finds and what it had. When a node was inserted
 * most of the others were missing; this is what makes rows of the early ones as good as those of
 * the last (HNSW and Vamana build better graphs in two passes, too). Errors as of insertion. */
omendb_status graph_plan_refine(const struct graph *graph, const uint32_t *nodes, uint32_t count,
                                const struct graph_change_options *options, struct graph_plan *plan,
                                omendb_error *err);

/* How many nodes the next batch may have when `linked` are in the graph. */
uint32_t graph_batch_size(uint32_t linked);

/* Plans what the removal of dead nodes (their bits are set in graph->dead; `nodes` are those that
 * died since the last plan) asks for at once: the rows that a search from each of them meets are
 * repaired in the manner of IP-DiskANN (Xu et al. 2025). Their own rows stay until the sweep. */
omendb_status graph_plan_delete(const struct graph *graph, const uint32_t *nodes, uint32_t count,
                                const struct graph_change_options *options, struct graph_plan *plan,
                                omendb_error *err);

/* Plans the sweep of rows [begin, end): no slot of theirs holds a dead node after it. `linked`
 * tells which rows count, but for those of nodes that are `leaving` (bits up to `end`): they go with
 * their nodes. Rows of nodes that died later stay longer than those that leave, so they do count. */
omendb_status graph_plan_sweep(const struct graph *graph, const atomic_u64 *linked,
                               const uint64_t *leaving, uint32_t begin, uint32_t end,
                               const struct graph_change_options *options, struct graph_plan *plan,
                               omendb_error *err);

/* Plans an edge to each linked node that can't be reached from the entries, from the nearest one
 * that can; *unreachable says how many there were (0: the plan is empty). Repeat until 0. */
omendb_status graph_plan_reach(const struct graph *graph, const atomic_u64 *linked,
                               const struct graph_change_options *options, struct graph_plan *plan,
                               uint32_t *unreachable, omendb_error *err);

/* The entry table for `node_end` nodes of which `linked` are in: hubs, far from one another.
 * Deterministic. The caller frees it (graph_entries_destroy) when no search uses it. NOMEM. */
omendb_status graph_entries_choose(const struct graph *graph, const atomic_u64 *linked,
                                   uint32_t node_end, struct graph_entries **out,
                                   omendb_error *err);
/* The table with these nodes, e.g. as stored. NOMEM. */
omendb_status graph_entries_make(const struct graph *graph, const uint32_t *nodes, uint32_t count,
                                 struct graph_entries **out, omendb_error *err);
void graph_entries_destroy(struct graph_entries *entries);

#endif /* INDEX_VECTOR_GRAPH_CHANGE_H */
