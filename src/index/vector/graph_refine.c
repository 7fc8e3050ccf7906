/* graph_refine.c - a second look at every node, when a load has ended. */
#include <math.h>

#include "base/alloc.h"
#include "index/vector/graph_calibrate.h"
#include "index/vector/graph_work_inner.h"

enum {
    REFINE_BATCH = 1024, /* Nodes of a piece: they search the same frozen graph. */
    REFINE_EF = 64
};

/* Has the graph grown by a half since? Then early rows know too few of the others. */
bool graph_refine_due(struct graph_work *work)
{
    struct graph_state *state = &work->graph->state;
    const uint32_t left = graph_work_left(work);
    if (left > GRAPH_CALIBRATE_QUERIES) return false;
    /* Who came since may not wait for the pass; the last of the load wait as held-out queries. */
    if (state->refining != 0) return work->waiting == 0;
    return state->linked - state->linked / 3 > state->refined;
}

static omendb_status refine_note(struct graph_work *work, uint32_t refining, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    host_lock(work->host);
    const omendb_status status = graph_index_prepare_state(graph, err);
    if (status == OMENDB_OK) {
        struct graph_state *state = &graph->state;
        /* A pass that a load ended and a crash brought back may have left out the load. */
        if (refining == 0)
            state->refined = state->linked < state->refine_end ? state->linked : state->refine_end;
        state->refining = refining;
        state->finished = 0; /* Reach is proved anew. */
        graph_index_store(graph);
        host_changed(work->host);
    }
    host_unlock(work->host);
    return status;
}

omendb_status graph_refine_piece(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    struct graph_change_options options = graph_work_options(work);
    if (graph->state.refining == 0) {
        graph->state.refine_end = graph_work_node_count(graph);
        if (graph->state.refine_end == 0) return OMENDB_OK;
        TRY(refine_note(work, 1, err));
    }
    uint32_t node = graph->state.refining - 1;
    work->batch_count = 0;
    if (!alloc_grow(&work->batch, &work->batch_capacity, REFINE_BATCH, sizeof *work->batch))
        return graph_work_no_memory(err);
    for (; node < graph->state.refine_end && work->batch_count < REFINE_BATCH; node++)
        if (graph_range_bit(&graph->held, node) && !graph_range_bit(&graph->dead, node))
            work->batch[work->batch_count++] = node;
    if (work->batch_count != 0) {
        options.ef = REFINE_EF;
        options.keep = 0;
        TRY(graph_plan_refine(&graph->graph, work->batch, work->batch_count, &options, &work->plan,
                              err));
        TRY(graph_apply_plan(work, err));
    }
    return refine_note(work, node < graph->state.refine_end ? node + 1 : 0, err);
}

void graph_refine_forget(struct graph_work *work)
{
    /* In memory: what is stored still says so, and is as good. */
    work->graph->state.refining = 0;
}
