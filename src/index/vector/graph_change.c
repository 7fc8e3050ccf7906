#include "index/vector/graph_change.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_kernels.h"
#include "index/vector/graph_plan.h"
#include "os/thread.h"

/* ---- Plans --------------------------------------------------------------------- */

void graph_plan_deinit(struct graph_plan *plan)
{
    for (uint32_t i = 0; i < plan->worker_count; i++) graph_worker_deinit(&plan->workers[i]);
    alloc_free(plan->workers);
    alloc_free(plan->rows);
    *plan = (struct graph_plan){0};
}

omendb_status graph_plan_prepare(struct graph_plan *plan, const struct graph *graph,
                                 uint32_t threads, omendb_error *err)
{
    assert(threads >= 1);
    plan->count = plan->own = 0;
    if (threads > plan->worker_count) {
        struct graph_worker *workers = alloc_zeroed(threads, sizeof *workers);
        if (workers == NULL)
            return fail(err, OMENDB_ERR_NOMEM, "out of memory: %u graph workers", threads);
        if (plan->worker_count != 0)
            memcpy(workers, plan->workers, plan->worker_count * sizeof *workers);
        alloc_free(plan->workers);
        plan->workers = workers;
        plan->worker_count = threads;
    }
    for (uint32_t i = 0; i < threads; i++) TRY(graph_worker_init(&plan->workers[i], graph, err));
    return OMENDB_OK;
}

omendb_status graph_plan_grow(struct graph_plan *plan, size_t count, omendb_error *err)
{
    if (alloc_grow(&plan->rows, &plan->capacity, plan->count + count, sizeof *plan->rows))
        return OMENDB_OK;
    return fail(err, OMENDB_ERR_NOMEM, "out of memory: %zu rows of a graph", plan->count + count);
}

/* ---- Jobs ---------------------------------------------------------------------- */

static void graph_job_work(void *context, uint32_t index)
{
    struct graph_job *job = context;
    struct graph_worker *worker = &job->plan->workers[index];
    const struct graph_change_options *options = job->options;
    worker->status = OMENDB_OK;
    for (;;) {
        const uint32_t item = atomic_add_u32(&job->next_item, 1);
        if (item >= job->item_count || atomic_load_relaxed_u32(&job->stopped) != 0) return;
        if (options->stopping != NULL && item % 16 == 0 && options->stopping(options->context)) {
            worker->status = fail(&worker->error, OMENDB_ERR_INTERRUPTED, "graph: interrupted");
        } else {
            worker->status = job->run(job, worker, item, &worker->error);
        }
        if (worker->status == OMENDB_OK) continue;
        atomic_store_relaxed_u32(&job->stopped, 1);
        return;
    }
}

omendb_status graph_job_run(struct graph_job *job, omendb_error *err)
{
    uint32_t threads = job->options->threads;
    if (threads > job->item_count / 4) threads = job->item_count / 4 != 0 ? job->item_count / 4 : 1;
    atomic_store_relaxed_u32(&job->next_item, 0);
    atomic_store_relaxed_u32(&job->stopped, 0);
    thread_parallel(threads, threads, graph_job_work, job);
    omendb_status status = OMENDB_OK;
    for (uint32_t i = 0; i < threads; i++) {
        struct graph_worker *worker = &job->plan->workers[i];
        struct graph_counts *counts = &worker->scratch.counts;
        job->plan->counts.hops += counts->hops;
        job->plan->counts.distances += counts->distances;
        job->plan->counts.estimates += counts->estimates;
        job->plan->counts.bytes += counts->bytes;
        *counts = (struct graph_counts){0};
        if (worker->status == OMENDB_OK || status != OMENDB_OK) continue;
        status = worker->status;
        if (err != NULL) *err = worker->error;
    }
    return status;
}

/* ---- Requests ------------------------------------------------------------------ */

size_t graph_requests_sort(struct graph_request *requests, struct graph_request *scratch,
                           size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (requests[i].source != GRAPH_NONE) requests[kept++] = requests[i];
    struct graph_request *from = requests, *to = scratch;
    for (uint32_t shift = 0; shift < 32; shift += 8) { /* Four passes: the result ends in place. */
        size_t starts[257] = {0};
        for (size_t i = 0; i < kept; i++) starts[(from[i].target >> shift & 255) + 1]++;
        for (uint32_t digit = 0; digit < 256; digit++) starts[digit + 1] += starts[digit];
        for (size_t i = 0; i < kept; i++) to[starts[from[i].target >> shift & 255]++] = from[i];
        struct graph_request *swapped = from;
        from = to;
        to = swapped;
    }
    for (size_t i = 1; i < kept; i++) { /* Groups are short. */
        const struct graph_request request = requests[i];
        size_t at = i;
        for (; at > 0 && requests[at - 1].target == request.target &&
               (requests[at - 1].distance > request.distance ||
                (requests[at - 1].distance == request.distance &&
                 requests[at - 1].source > request.source));
             at--)
            requests[at] = requests[at - 1];
        requests[at] = request;
    }
    return kept;
}

struct graph_linking {
    const struct graph_request *requests;
    uint32_t *rows; /* [targets] of the plan. */
    size_t planned; /* Rows that were there before: edited, not copied from the graph. */
};

static omendb_status graph_link_row(struct graph_job *job, struct graph_worker *worker,
                                    uint32_t item, omendb_error *err)
{
    const struct graph_linking *linking = job->context;
    const struct graph_request *requests = linking->requests;
    struct graph_row *row = &job->plan->rows[linking->rows[item]];
    const uint32_t begin = job->groups[item], end = job->groups[item + 1];
    struct graph_row_edit edit;
    (void)err;
    if (linking->rows[item] >= linking->planned) {
        row->node = requests[begin].target;
        memcpy(row->slots, graph_links(job->graph, row->node), sizeof row->slots);
    }
    graph_row_edit_begin(&edit, job->graph, worker, row->node, row->slots);
    for (uint32_t i = begin; i < end; i++) {
        if (requests[i].dead == 0) {
            graph_row_link(&edit, requests[i].source, requests[i].distance);
            continue;
        }
        const struct graph_dead *dead = &job->dead[requests[i].dead - 1];
        const uint32_t slot = graph_row_find(row->slots, requests[i].source);
        if (slot < GRAPH_SLOTS) graph_row_repair(&edit, slot, dead->near, dead->near_count);
    }
    return OMENDB_OK;
}

static int graph_node_order(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

omendb_status graph_plan_link(struct graph_job *job, const struct graph_request *requests,
                              size_t count, omendb_error *err)
{
    struct graph_plan *plan = job->plan;
    uint32_t targets = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || requests[i].target != requests[i - 1].target) targets++;
    if (targets == 0) return OMENDB_OK;
    uint32_t *groups = alloc_raw(2 * (size_t)targets + 1, sizeof *groups);
    if (groups == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: rows of a graph");
    omendb_status status = graph_plan_grow(plan, targets, err);
    if (status == OMENDB_OK) {
        struct graph_linking linking = {
            .requests = requests, .rows = groups + targets + 1, .planned = plan->count};
        const uint32_t *nodes = job->refining ? job->nodes : NULL;
        uint32_t at = 0, appended = 0;
        for (size_t i = 0; i < count; i++) {
            if (i != 0 && requests[i].target == requests[i - 1].target) continue;
            const uint32_t *own = nodes == NULL ? NULL
                                                : bsearch(&requests[i].target, nodes, plan->count,
                                                          sizeof *nodes, graph_node_order);
            linking.rows[at] = own != NULL ? (uint32_t)(own - nodes)
                                           : (uint32_t)linking.planned + appended++;
            groups[at++] = (uint32_t)i;
        }
        groups[targets] = (uint32_t)count;
        job->groups = groups;
        job->context = &linking;
        job->item_count = targets;
        job->run = graph_link_row;
        status = graph_job_run(job, err);
        if (status == OMENDB_OK) plan->count += appended;
        job->groups = NULL;
    }
    alloc_free(groups);
    return status;
}

/* ---- Inserting ----------------------------------------------------------------- */

uint32_t graph_batch_size(uint32_t linked)
{
    if (linked == 0) return GRAPH_BATCH_FIRST;
    const uint32_t share = linked / GRAPH_BATCH_SHARE;
    return share < GRAPH_BATCH_MIN ? GRAPH_BATCH_MIN
                                   : (share > GRAPH_BATCH_MAX ? GRAPH_BATCH_MAX : share);
}

struct graph_inserting {
    struct graph_request *requests; /* [count][GRAPH_SLOTS] */
    bool first;                     /* The graph is empty: the batch is all there is. */
    uint32_t count;
};

/* The nearest others of the batch: worker->points, sorted; returns how many. */
static uint32_t graph_nearest_of_batch(struct graph_job *job, struct graph_worker *worker,
                                       uint32_t node, uint32_t count)
{
    struct graph_point *points = worker->points;
    struct graph_point self, other;
    uint32_t kept = 0;
    graph_point_load(job->graph, worker, node, &self);
    for (uint32_t i = 0; i < count; i++) {
        if (job->nodes[i] == node) continue;
        graph_point_load(job->graph, worker, job->nodes[i], &other);
        other.distance = graph_point_distance(job->graph, &self, &other);
        if (kept == GRAPH_PRUNE_MAX && !(other.distance < points[kept - 1].distance)) continue;
        uint32_t at = kept < GRAPH_PRUNE_MAX ? kept++ : kept - 1;
        for (; at > 0 &&
               (points[at - 1].distance > other.distance ||
                (points[at - 1].distance == other.distance && points[at - 1].node > other.node));
             at--)
            points[at] = points[at - 1];
        points[at] = other;
    }
    return kept;
}

/* Adds the living of the node's row to the `count` points; returns how many there are then. */
static uint32_t graph_nearest_add_row(const struct graph *graph, struct graph_worker *worker,
                                      const struct graph_point *self, uint32_t count)
{
    const uint32_t *links = graph_links(graph, self->node);
    const uint32_t found = count;
    for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
        const uint32_t other = graph_slot_node(links[slot]);
        uint32_t i = 0;
        if (links[slot] == 0 || graph_is_dead(graph, other)) continue;
        while (i < found && worker->points[i].node != other) i++;
        if (i < found) continue;
        struct graph_point *point = &worker->points[count++];
        graph_point_load(graph, worker, other, point);
        point->distance = graph_point_distance(graph, self, point);
    }
    return count;
}

/* The nearest nodes of the graph, and when refining those of its row: worker->points, sorted;
 * returns how many. */
static omendb_status graph_nearest(struct graph_job *job, struct graph_worker *worker,
                                   uint32_t node, uint32_t *out, omendb_error *err)
{
    const struct graph *graph = job->graph;
    const uint32_t ef = job->options->ef;
    const uint32_t room = job->refining ? GRAPH_PRUNE_MAX - GRAPH_SLOTS : GRAPH_PRUNE_MAX;
    const uint32_t most = job->options->keep != 0 && job->options->keep < room ? job->options->keep
                                                                               : room;
    const struct graph_effort effort = {.walk = GRAPH_WALK_CODES,
                                        .ef = ef,
                                        .keep = ef < most ? ef : most,
                                        .near = 1,
                                        .enter = job->refining ? GRAPH_ENTER_NODE
                                                               : GRAPH_ENTER_HUBS,
                                        .from = node};
    struct graph_point self;
    TRY(graph_query_begin_node(&worker->query, graph, node, err));
    TRY(graph_scratch_reserve(&worker->scratch, job->options->node_end, ef, effort.keep, err));
    const uint32_t found = graph_search(graph, &worker->query, &effort, &worker->scratch);
    uint32_t count = 0;
    graph_point_load(graph, worker, node, &self);
    for (uint32_t i = 0; i < found; i++) {
        struct graph_point *point = &worker->points[count];
        if (worker->scratch.kept[i].node == node) continue;
        graph_point_load(graph, worker, worker->scratch.kept[i].node, point);
        point->distance = graph_point_distance(graph, &self, point);
        count++;
    }
    if (job->refining) count = graph_nearest_add_row(graph, worker, &self, count);
    graph_points_sort(worker->points, count);
    *out = count;
    return OMENDB_OK;
}

static bool graph_row_is_strict(const uint32_t *links, uint32_t other)
{
    const uint32_t slot = graph_row_find(links, other);
    return slot < GRAPH_SLOTS && (links[slot] & GRAPH_STRICT) != 0;
}

/* Products obey no triangle: whoever is left out isn't led to by the others, and short vectors lose
 * their only in-edge. So an edge that the other end had asked for is asked for again. */
static bool graph_keeps_back_edge(const struct graph *graph, uint32_t node, uint32_t other)
{
    return graph->inner_product && graph_row_is_strict(graph_links(graph, node), other);
}

static omendb_status graph_insert_node(struct graph_job *job, struct graph_worker *worker,
                                       uint32_t item, omendb_error *err)
{
    struct graph_inserting *inserting = job->context;
    const uint32_t node = job->nodes[item];
    struct graph_request *requests = inserting->requests + (size_t)item * GRAPH_SLOTS;
    struct graph_row *row = &job->plan->rows[item];
    uint32_t count = 0, at = 0;
    if (inserting->first) count = graph_nearest_of_batch(job, worker, node, inserting->count);
    else TRY(graph_nearest(job, worker, node, &count, err));
    (void)graph_prune(job->graph, worker->points, count);
    row->node = node;
    graph_row_write(worker->points, count, row->slots);
    for (uint32_t i = 0; i < count; i++) {
        const struct graph_point *point = &worker->points[i];
        const bool chosen = point->rank == GRAPH_CHOSEN;
        const bool known = job->refining &&
                           graph_row_is_strict(graph_links(job->graph, point->node), node);
        if (chosen ? known : !(known && graph_keeps_back_edge(job->graph, node, point->node)))
            continue;
        if (at == GRAPH_SLOTS) break;
        requests[at++] = (struct graph_request){.target = chosen ? point->node : node,
                                                .source = chosen ? node : point->node,
                                                .dead = 0,
                                                .distance = point->distance};
    }
    for (; at < GRAPH_SLOTS; at++) requests[at].source = GRAPH_NONE;
    return OMENDB_OK;
}

/* A target that is itself new: after an end in the middle of its insertion other rows may lead to
 * it already. Its own row is planned anew, so the request falls away. */
static void graph_requests_drop_own(struct graph_request *requests, size_t count, uint32_t *own,
                                    uint32_t own_count)
{
    qsort(own, own_count, sizeof *own, graph_node_order);
    for (size_t i = 0; i < count; i++) {
        if (requests[i].source == GRAPH_NONE) continue;
        if (bsearch(&requests[i].target, own, own_count, sizeof *own, graph_node_order) != NULL)
            requests[i].source = GRAPH_NONE;
    }
}

/* The first nodes: each row also gets the edges back, right here. */
static void graph_plan_link_first(struct graph_job *job, const struct graph_request *requests,
                                  size_t count)
{
    struct graph_plan *plan = job->plan;
    for (size_t i = 0; i < count; i++) {
        struct graph_row *row = plan->rows;
        while (row->node != requests[i].target) row++; /* A few hundred at most. */
        struct graph_row_edit edit;
        graph_row_edit_begin(&edit, job->graph, &plan->workers[0], row->node, row->slots);
        graph_row_link(&edit, requests[i].source, requests[i].distance);
    }
}

omendb_status graph_plan_insert(const struct graph *graph, const uint32_t *nodes, uint32_t count,
                                const struct graph_change_options *options, struct graph_plan *plan,
                                omendb_error *err)
{
    const bool first = atomic_load_acquire_pointer(&graph->entries) == NULL;
    const size_t request_count = (size_t)count * GRAPH_SLOTS;
    assert(!first || count <= GRAPH_BATCH_FIRST);
    TRY(graph_plan_prepare(plan, graph, options->threads, err));
    TRY(graph_plan_grow(plan, count, err));
    struct graph_request *requests = alloc_raw(2 * request_count, sizeof *requests);
    uint32_t *own = alloc_raw(count, sizeof *own);
    omendb_status status = OMENDB_OK;
    if (requests == NULL || own == NULL)
        status = fail(err, OMENDB_ERR_NOMEM, "out of memory: a batch of %u nodes", count);
    struct graph_inserting inserting = {.requests = requests, .first = first, .count = count};
    struct graph_job job = {.graph = graph,
                            .options = options,
                            .plan = plan,
                            .nodes = nodes,
                            .item_count = count,
                            .run = graph_insert_node,
                            .context = &inserting};
    if (status == OMENDB_OK) status = graph_job_run(&job, err);
    if (status == OMENDB_OK) {
        plan->count = plan->own = count;
        memcpy(own, nodes, count * sizeof *own);
        if (!first) graph_requests_drop_own(requests, request_count, own, count);
        const size_t kept = graph_requests_sort(requests, requests + request_count, request_count);
        if (first) graph_plan_link_first(&job, requests, kept);
        else status = graph_plan_link(&job, requests, kept, err);
    }
    if (status != OMENDB_OK) plan->count = plan->own = 0;
    alloc_free(requests);
    alloc_free(own);
    return status;
}

omendb_status graph_plan_refine(const struct graph *graph, const uint32_t *nodes, uint32_t count,
                                const struct graph_change_options *options, struct graph_plan *plan,
                                omendb_error *err)
{
    const size_t request_count = (size_t)count * GRAPH_SLOTS;
    TRY(graph_plan_prepare(plan, graph, options->threads, err));
    TRY(graph_plan_grow(plan, count, err));
    struct graph_request *requests = alloc_raw(2 * request_count, sizeof *requests);
    if (requests == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: a batch of %u nodes", count);
    struct graph_inserting refining = {.requests = requests, .count = count};
    struct graph_job job = {.graph = graph,
                            .options = options,
                            .plan = plan,
                            .nodes = nodes,
                            .refining = true,
                            .item_count = count,
                            .run = graph_insert_node,
                            .context = &refining};
    omendb_status status = graph_job_run(&job, err);
    if (status == OMENDB_OK) {
        plan->count = count;
        const size_t kept = graph_requests_sort(requests, requests + request_count, request_count);
        status = graph_plan_link(&job, requests, kept, err);
    }
    if (status != OMENDB_OK) plan->count = 0;
    alloc_free(requests);
    return status;
}
