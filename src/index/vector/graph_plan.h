/* graph_plan.h - the inside of plans, for graph_change.c and graph_repair.c.
 *
 * Work is handed out in items by a counter; what an item yields is stored under its number, so the
 * result doesn't depend on who did it. Edges to be added are gathered as requests, sorted by target
 * and applied to one row by one thread.
 */
#ifndef INDEX_VECTOR_GRAPH_PLAN_H
#define INDEX_VECTOR_GRAPH_PLAN_H

#include "index/vector/graph_change.h"
#include "index/vector/graph_prune.h"

enum { GRAPH_REPAIR_NEAR = 50 }; /* Live neighbours of a dead node that repairs choose from. */

struct graph_request {       /* "Add a strict edge target -> source", or, with `dead` of the job: */
    uint32_t target, source; /* "source is dead: fill its slot". */
    uint32_t dead;           /* Number of the dead node + 1, or 0. */
    float distance;
};

struct graph_dead { /* What a search from a dead node found. */
    uint32_t near_count;
    uint32_t near[GRAPH_REPAIR_NEAR]; /* Live, nearest first. */
};

struct graph_job {
    const struct graph *graph;
    const struct graph_change_options *options;
    struct graph_plan *plan;
    uint32_t item_count;
    atomic_u32 next_item;
    atomic_u32 stopped;
    omendb_status (*run)(struct graph_job *job, struct graph_worker *worker, uint32_t item,
                         omendb_error *err);
    const uint32_t *nodes;
    bool refining; /* `nodes`, ascending, have the plan's first rows, which may be edited. */
    void *context;
    const uint32_t *groups;        /* First request of each target; one more at the end. */
    const struct graph_dead *dead; /* By item; for requests that fill slots. */
};

/* Worker memory for the threads. */
omendb_status graph_plan_prepare(struct graph_plan *plan, const struct graph *graph,
                                 uint32_t threads, omendb_error *err);
/* Runs job->run for every item. INTERRUPTED, or the first worker's failure. */
omendb_status graph_job_run(struct graph_job *job, omendb_error *err);

/* Rows for `count` more. */
omendb_status graph_plan_grow(struct graph_plan *plan, size_t count, omendb_error *err);

/* Sorts requests (source GRAPH_NONE = none) by target, within one by (distance, source). Returns how
 * many remain. */
size_t graph_requests_sort(struct graph_request *requests, struct graph_request *scratch,
                           size_t count);

/* Edits the row of each target of the sorted requests: that of the plan when refining one of
 * job->nodes, else the graph's, appended to the plan. Other own rows aren't targets. */
omendb_status graph_plan_link(struct graph_job *job, const struct graph_request *requests,
                              size_t count, omendb_error *err);

/* The slot of a dead node in a row gets one of `near` (some may be dead, or in the row already):
 * IP-DiskANN's choice, adapted to filled rows. */
void graph_row_repair(struct graph_row_edit *edit, uint32_t slot, const uint32_t *near,
                      uint32_t near_count);

#endif /* INDEX_VECTOR_GRAPH_PLAN_H */
