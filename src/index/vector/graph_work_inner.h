/* graph_work_inner.h - the inside of the background work on a graph, for graph_work.c (what is to
 * be done, and inserting), graph_apply.c (plans become rows and edges) and graph_sweep.c (the dead).
 *
 * Threads: the index thread; graph_apply_* and graph_sweep_* take the writer lock for themselves.
 */
#ifndef INDEX_VECTOR_GRAPH_WORK_INNER_H
#define INDEX_VECTOR_GRAPH_WORK_INNER_H

#include "index/vector/graph_work.h"
#include "store/host.h"

enum {
    WORK_LOCK_ROWS = 64, /* Rows, marks or releases in one hold of the writer lock; < 100 us. */
    WORK_THREADS_MAX = 64
};

struct graph_work {
    struct graph_index *graph;
    struct index_host *host; /* Of the piece. */
    struct graph_plan plan;
    uint32_t *window; /* Entries [stuck, stuck + window_count) of the tail, shuffled. */
    size_t window_capacity;
    uint32_t window_count, window_at;
    uint32_t stuck;   /* First entries of the tail that have no code. */
    uint32_t waiting; /* Entries of the tail behind the window, when it was looked at last. */
    uint32_t *batch;
    size_t batch_capacity;
    uint32_t batch_count;
    uint32_t *kept; /* Of a window that is left behind. */
    size_t kept_capacity;
    uint32_t *masks; /* [plan.count] slots of each row that changed. */
    size_t masks_capacity;
    float *scratch; /* [threads][graph_edges_room()] */
    size_t scratch_capacity;
    uint64_t *swept; /* Dead nodes that the sweep under way is for. */
    size_t swept_capacity;
    uint32_t sweep_at, sweep_end; /* Rows still to be swept. */
    bool sweeping;
    uint32_t gone; /* Nodes that were freed since the graph was measured. */
    bool loaded;
    uint32_t edges_at; /* Edges of nodes below it are made. */
};

static inline uint32_t graph_work_threads(const struct graph_work *work)
{
    return work->host->threads < WORK_THREADS_MAX ? work->host->threads : WORK_THREADS_MAX;
}

static inline uint32_t graph_work_node_count(const struct graph_index *graph)
{
    return atomic_load_acquire_u32(&graph->collection->vectors[graph->field].node_count);
}

/* Bits by node: who has a row, or will. */
static inline const atomic_u64 *graph_work_held_bits(const struct graph_index *graph)
{
    return (const void *)graph->held.base;
}

/* graph_work.c */
omendb_status graph_work_no_memory(omendb_error *err);
struct graph_change_options graph_work_options(const struct graph_work *work);
uint32_t graph_work_living(const struct graph_index *graph); /* Held and not dead. */
/* Chooses where searches begin, stores and publishes it; none when nobody is alive. */
omendb_status graph_work_entries_choose(struct graph_work *work, omendb_error *err);

uint32_t graph_work_left(const struct graph_work *work); /* Of the tail; no batch has them. */

/* graph_refine.c */
/* When nothing is left to be linked but the last few. */
bool graph_refine_due(struct graph_work *work);
/* The next nodes; at the end entries are chosen and reach is proved again. */
omendb_status graph_refine_piece(struct graph_work *work, omendb_error *err);
/* Ends a pass: so much is to be linked that another one will follow. */
void graph_refine_forget(struct graph_work *work);

/* graph_apply.c */
/* Rows and edges as work->plan says, own rows first: nobody enters a node that leads nowhere.
 * INTERRUPTED when stopping; what was applied by then stays. */
omendb_status graph_apply_plan(struct graph_work *work, omendb_error *err);
/* Writer lock: one row; *mask: slots that changed. */
omendb_status graph_apply_row(struct graph_index *graph, const struct graph_row *row,
                              uint32_t *mask, omendb_error *err);
bool graph_apply_has_edges(const struct graph_work *work);
bool graph_apply_edges_wanted(const struct graph_work *work); /* Profile, and room for them. */
/* Walks that still read them find empty ones. */
void graph_apply_edges_drop(struct graph_work *work);
/* Makes edges of the next nodes; they are ready when all are made. Links don't change meanwhile. */
omendb_status graph_apply_edges_piece(struct graph_work *work, omendb_error *err);

/* graph_sweep.c */
/* Repairs the rows around freed nodes. */
omendb_status graph_sweep_delete(struct graph_work *work, omendb_error *err);
bool graph_sweep_due(const struct graph_work *work);
/* The next range of rows; at the end dead nodes are released. */
omendb_status graph_sweep_piece(struct graph_work *work, omendb_error *err);

#endif /* INDEX_VECTOR_GRAPH_WORK_INNER_H */
