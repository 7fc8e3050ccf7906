/* graph_repair.c - removing nodes: repairs at once, the sweep, and reachability.
 *
 * A dead node goes on routing until no row leads to it. What a search from it meets is repaired
 * when it dies (IP-DiskANN: Xu, Manohar et al. 2025, in-place updates; here on rows that are always
 * full); such a search misses about a third of its in-edges, so that the sweep, which looks at
 * every row, is what frees its number. Measured on sentence and word embeddings: after seven full
 * turnovers recall is that of a fresh build.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_kernels.h"
#include "index/vector/graph_plan.h"

enum {
    REPAIR_EF = 64,
    REPAIR_TRIED = 8,   /* Candidates for the place of a strict edge ... */
    REPAIR_TAKEN = 3,   /* ... of which so many are taken, */
    REPAIR_BRIDGES = 3, /* and so many nodes are linked to each strict neighbour of the dead. */
    REPAIR_HOSTED = 8   /* Nodes that one row is given when many can't be reached. */
};

static bool repair_linked(const atomic_u64 *linked, uint32_t node)
{
    return (atomic_load_relaxed_u64(&linked[node / 64]) >> (node % 64) & 1) != 0;
}

/* ---- Rows ---------------------------------------------------------------------- */

void graph_row_repair(struct graph_row_edit *edit, uint32_t slot, const uint32_t *near,
                      uint32_t near_count)
{
    const struct graph *graph = edit->graph;
    struct graph_worker *worker = edit->worker;
    struct graph_point *points = worker->points;
    struct graph_point self;
    const bool strict = (edit->slots[slot] & GRAPH_STRICT) != 0;
    uint32_t count = 0, edges = 0, taken = 0;
    edit->slots[slot] = 0;
    graph_point_load(graph, worker, edit->node, &self);
    for (uint32_t i = 0; i < near_count && count < GRAPH_PRUNE_MAX; i++) {
        if (near[i] == edit->node || graph_is_dead(graph, near[i]) ||
            graph_row_find(edit->slots, near[i]) < GRAPH_SLOTS)
            continue;
        graph_point_load(graph, worker, near[i], &points[count]);
        points[count].distance = graph_point_distance(graph, &self, &points[count]);
        count++;
    }
    if (count == 0) return;
    graph_points_sort(points, count);
    if (!strict) {
        graph_row_put(edit, slot, points[0].node, false, points[0].distance);
        return;
    }
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
        if ((edit->slots[i] & GRAPH_STRICT) != 0)
            graph_point_load(graph, worker, graph_slot_node(edit->slots[i]),
                             &worker->edges[edges++]);
    struct graph_candidate chosen[REPAIR_TAKEN];
    const struct graph_candidate nearest = {.distance = points[0].distance, .node = points[0].node};
    for (uint32_t i = 0; i < count && i < REPAIR_TRIED && taken < REPAIR_TAKEN; i++) {
        bool occluded = false;
        for (uint32_t j = 0; j < edges && !occluded; j++)
            occluded = graph_point_distance(graph, &points[i], &worker->edges[j]) <
                       points[i].distance;
        if (occluded) continue;
        chosen[taken++] = (struct graph_candidate){.distance = points[i].distance,
                                                   .node = points[i].node};
        if (edges < GRAPH_SLOTS) worker->edges[edges++] = points[i];
    }
    if (taken == 0) {
        graph_row_put(edit, slot, nearest.node, false, nearest.distance);
        return;
    }
    graph_row_put(edit, slot, chosen[0].node, true, chosen[0].distance);
    for (uint32_t i = 1; i < taken; i++) graph_row_link(edit, chosen[i].node, chosen[i].distance);
}

/* ---- Deleting ------------------------------------------------------------------ */

enum { REPAIR_REQUESTS = REPAIR_EF + GRAPH_SLOTS * REPAIR_BRIDGES }; /* Of one dead node. */

struct repair_deleting {
    struct graph_request *requests; /* [count][REPAIR_REQUESTS] */
    struct graph_dead *dead;        /* [count] */
};

/* Edges from the live nodes nearest to a strict neighbour of the dead to that neighbour. */
static uint32_t repair_bridge(struct graph_job *job, struct graph_worker *worker,
                              const struct graph_dead *dead, uint32_t neighbour,
                              struct graph_request *requests)
{
    struct graph_candidate best[REPAIR_BRIDGES];
    struct graph_point self, other;
    uint32_t count = 0;
    graph_point_load(job->graph, worker, neighbour, &self);
    for (uint32_t i = 0; i < dead->near_count; i++) {
        if (dead->near[i] == neighbour) continue;
        graph_point_load(job->graph, worker, dead->near[i], &other);
        const float distance = graph_point_distance(job->graph, &self, &other);
        if (count == REPAIR_BRIDGES && !(distance < best[count - 1].distance)) continue;
        uint32_t at = count < REPAIR_BRIDGES ? count++ : count - 1;
        for (; at > 0 && best[at - 1].distance > distance; at--) best[at] = best[at - 1];
        best[at] = (struct graph_candidate){.distance = distance, .node = dead->near[i]};
    }
    for (uint32_t i = 0; i < count; i++)
        requests[i] = (struct graph_request){
            .target = best[i].node, .source = neighbour, .dead = 0, .distance = best[i].distance};
    return count;
}

static omendb_status repair_delete_node(struct graph_job *job, struct graph_worker *worker,
                                        uint32_t item, omendb_error *err)
{
    const struct graph *graph = job->graph;
    const uint32_t node = job->nodes[item];
    const struct repair_deleting *deleting = job->context;
    struct graph_request *requests = deleting->requests + (size_t)item * REPAIR_REQUESTS;
    struct graph_dead *dead = &deleting->dead[item];
    const struct graph_effort effort = {
        .walk = GRAPH_WALK_CODES, .ef = REPAIR_EF, .keep = GRAPH_REPAIR_NEAR, .near = 1};
    uint32_t count = 0;
    TRY(graph_query_begin_node(&worker->query, graph, node, err));
    TRY(graph_scratch_reserve(&worker->scratch, job->options->node_end, effort.ef, effort.keep,
                              err));
    dead->near_count = graph_search(graph, &worker->query, &effort, &worker->scratch);
    for (uint32_t i = 0; i < dead->near_count; i++) dead->near[i] = worker->scratch.kept[i].node;
    /* What is left in the pool was expanded, all of it. */
    for (uint32_t i = 0; i < worker->scratch.pool_count; i++) {
        const uint32_t met = worker->scratch.nodes[i] & GRAPH_NODE_MASK;
        if (met == node || graph_is_dead(graph, met) ||
            graph_row_find(graph_links(graph, met), node) == GRAPH_SLOTS)
            continue;
        requests[count++] = (struct graph_request){
            .target = met, .source = node, .dead = item + 1, .distance = -1};
    }
    const uint32_t *slots = graph_links(graph, node);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if ((slots[i] & GRAPH_STRICT) == 0) continue;
        const uint32_t neighbour = graph_slot_node(slots[i]);
        if (graph_is_dead(graph, neighbour)) continue;
        count += repair_bridge(job, worker, dead, neighbour, requests + count);
    }
    assert(count <= REPAIR_REQUESTS);
    for (; count < REPAIR_REQUESTS; count++) requests[count].source = GRAPH_NONE;
    return OMENDB_OK;
}

omendb_status graph_plan_delete(const struct graph *graph, const uint32_t *nodes, uint32_t count,
                                const struct graph_change_options *options, struct graph_plan *plan,
                                omendb_error *err)
{
    const size_t request_count = (size_t)count * REPAIR_REQUESTS;
    TRY(graph_plan_prepare(plan, graph, options->threads, err));
    if (atomic_load_acquire_pointer(&graph->entries) == NULL) return OMENDB_OK;
    struct graph_request *requests = alloc_raw(2 * request_count, sizeof *requests);
    struct graph_dead *dead = alloc_raw(count, sizeof *dead);
    omendb_status status = OMENDB_OK;
    if (requests == NULL || dead == NULL)
        status = fail(err, OMENDB_ERR_NOMEM, "out of memory: removing %u nodes", count);
    struct repair_deleting deleting = {.requests = requests, .dead = dead};
    struct graph_job job = {.graph = graph,
                            .options = options,
                            .plan = plan,
                            .nodes = nodes,
                            .item_count = count,
                            .run = repair_delete_node,
                            .context = &deleting,
                            .dead = dead};
    if (status == OMENDB_OK) status = graph_job_run(&job, err);
    if (status == OMENDB_OK) {
        const size_t kept = graph_requests_sort(requests, requests + request_count, request_count);
        status = graph_plan_link(&job, requests, kept, err);
    }
    if (status != OMENDB_OK) plan->count = 0;
    alloc_free(requests);
    alloc_free(dead);
    return status;
}

/* ---- Sweeping ------------------------------------------------------------------ */

struct repair_sweeping {
    const atomic_u64 *linked;
    const uint32_t *nodes; /* Rows to be swept. */
    size_t first_row;
};

static bool repair_needs_sweep(const struct graph *graph, uint32_t node)
{
    const uint32_t *slots = graph_links(graph, node);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
        if (slots[i] != 0 && graph_is_dead(graph, graph_slot_node(slots[i]))) return true;
    return false;
}

static omendb_status repair_sweep_row(struct graph_job *job, struct graph_worker *worker,
                                      uint32_t item, omendb_error *err)
{
    const struct graph *graph = job->graph;
    const struct repair_sweeping *sweeping = job->context;
    struct graph_row *row = &job->plan->rows[sweeping->first_row + item];
    struct graph_row_edit edit;
    (void)err;
    row->node = sweeping->nodes[item];
    memcpy(row->slots, graph_links(graph, row->node), sizeof row->slots);
    graph_row_edit_begin(&edit, graph, worker, row->node, row->slots);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if (row->slots[i] == 0) continue;
        const uint32_t dead = graph_slot_node(row->slots[i]);
        if (!graph_is_dead(graph, dead)) continue;
        /* What the dead node led to is what it stood for. */
        const uint32_t *slots = graph_links(graph, dead);
        uint32_t near[GRAPH_SLOTS], count = 0;
        for (uint32_t j = 0; j < GRAPH_SLOTS; j++)
            if (slots[j] != 0 && repair_linked(sweeping->linked, graph_slot_node(slots[j])))
                near[count++] = graph_slot_node(slots[j]);
        graph_row_repair(&edit, i, near, count);
    }
    return OMENDB_OK;
}

omendb_status graph_plan_sweep(const struct graph *graph, const atomic_u64 *linked,
                               const uint64_t *leaving, uint32_t begin, uint32_t end,
                               const struct graph_change_options *options, struct graph_plan *plan,
                               omendb_error *err)
{
    TRY(graph_plan_prepare(plan, graph, options->threads, err));
    uint32_t *nodes = alloc_raw((size_t)(end - begin) + 1, sizeof *nodes);
    if (nodes == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: sweeping a graph");
    uint32_t count = 0;
    for (uint32_t node = begin; node < end; node++)
        if (repair_linked(linked, node) && (leaving[node / 64] >> (node % 64) & 1) == 0 &&
            repair_needs_sweep(graph, node))
            nodes[count++] = node;
    struct repair_sweeping sweeping = {.linked = linked, .nodes = nodes, .first_row = 0};
    struct graph_job job = {.graph = graph,
                            .options = options,
                            .plan = plan,
                            .item_count = count,
                            .run = repair_sweep_row,
                            .context = &sweeping};
    omendb_status status = graph_plan_grow(plan, count, err);
    if (status == OMENDB_OK && count != 0) status = graph_job_run(&job, err);
    if (status == OMENDB_OK) plan->count = count;
    alloc_free(nodes);
    return status;
}

/* ---- Reachability -------------------------------------------------------------- */

struct repair_reaching {
    uint64_t *seen;    /* Bit by node: reachable. */
    uint32_t *stack;   /* [node_end] */
    uint32_t *degrees; /* [node_end] in-edges from live rows. */
    uint32_t host;     /* A node that was attached, whose row takes others; or GRAPH_NONE. */
    uint32_t hosted;
};

/* Marks what can be reached from a node that was just marked. */
static void repair_spread(const struct graph *graph, const atomic_u64 *linked, uint32_t node_end,
                          struct repair_reaching *reaching, uint32_t from)
{
    size_t depth = 0;
    reaching->stack[depth++] = from;
    while (depth > 0) {
        const uint32_t *slots = graph_links(graph, reaching->stack[--depth]);
        for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
            const uint32_t next = graph_slot_node(slots[i]);
            if (slots[i] == 0 || next >= node_end || !repair_linked(linked, next) ||
                graph_is_dead(graph, next) || (reaching->seen[next / 64] >> (next % 64) & 1) != 0)
                continue;
            reaching->seen[next / 64] |= UINT64_C(1) << (next % 64);
            reaching->stack[depth++] = next;
        }
    }
}

static bool repair_mark(struct repair_reaching *reaching, uint32_t node)
{
    const uint64_t bit = UINT64_C(1) << (node % 64);
    if ((reaching->seen[node / 64] & bit) != 0) return false;
    reaching->seen[node / 64] |= bit;
    return true;
}

static void repair_degrees(const struct graph *graph, const atomic_u64 *linked, uint32_t node_end,
                           uint32_t *degrees)
{
    for (uint32_t node = 0; node < node_end; node++) {
        if (!repair_linked(linked, node) || graph_is_dead(graph, node)) continue;
        const uint32_t *slots = graph_links(graph, node);
        for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
            if (slots[i] != 0 && graph_slot_node(slots[i]) < node_end)
                degrees[graph_slot_node(slots[i])]++;
    }
}

/* The farthest filling edge that its target can do without, else such a strict one, else the
 * weakest; GRAPH_SLOTS never. */
static uint32_t repair_spare_slot(struct graph_row_edit *edit, const uint32_t *degrees)
{
    const uint32_t weakest = graph_row_weakest(edit);
    uint32_t best[2] = {GRAPH_SLOTS, GRAPH_SLOTS};
    if (weakest < GRAPH_SLOTS && edit->slots[weakest] == 0) return weakest;
    graph_row_measure(edit);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        uint32_t *kind = &best[(edit->slots[i] & GRAPH_STRICT) != 0];
        if (degrees[graph_slot_node(edit->slots[i])] < 2) continue;
        if (*kind == GRAPH_SLOTS || edit->distances[i] > edit->distances[*kind]) *kind = i;
    }
    if (best[0] < GRAPH_SLOTS) return best[0];
    if (best[1] < GRAPH_SLOTS) return best[1];
    return weakest < GRAPH_SLOTS ? weakest : 0;
}

/* The row as planned so far; a new one in the plan when it isn't there. */
static omendb_status repair_row(struct graph_plan *plan, const struct graph *graph, uint32_t node,
                                struct graph_row **out, omendb_error *err)
{
    for (size_t i = plan->count; i-- > 0;) { /* A host is among the last. */
        if (plan->rows[i].node != node) continue;
        *out = &plan->rows[i];
        return OMENDB_OK;
    }
    TRY(graph_plan_grow(plan, 1, err));
    struct graph_row *row = &plan->rows[plan->count++];
    row->node = node;
    memcpy(row->slots, graph_links(graph, node), sizeof row->slots);
    *out = row;
    return OMENDB_OK;
}

/* An edge from -> node in the plan. */
static omendb_status repair_attach_to(const struct graph *graph, struct graph_plan *plan,
                                      struct repair_reaching *reaching, uint32_t from,
                                      uint32_t node, omendb_error *err)
{
    struct graph_worker *worker = &plan->workers[0];
    struct graph_row *row = NULL;
    struct graph_row_edit edit;
    struct graph_point self, other;
    TRY(repair_row(plan, graph, from, &row, err));
    graph_row_edit_begin(&edit, graph, worker, from, row->slots);
    graph_point_load(graph, worker, from, &self);
    graph_point_load(graph, worker, node, &other);
    const uint32_t slot = repair_spare_slot(&edit, reaching->degrees);
    if (row->slots[slot] != 0) reaching->degrees[graph_slot_node(row->slots[slot])]--;
    graph_row_put(&edit, slot, node, true, graph_point_distance(graph, &self, &other));
    reaching->degrees[node]++;
    return OMENDB_OK;
}

/* An edge to `node` from the nearest node that can be reached. The nearest by product are the same
 * few for most nodes, and their rows lead everywhere: so the first edge is theirs, the
 * others are in rows of nodes that were attached before, REPAIR_HOSTED in each. */
static omendb_status repair_attach(const struct graph *graph,
                                   const struct graph_change_options *options,
                                   struct graph_plan *plan, struct repair_reaching *reaching,
                                   uint32_t node, omendb_error *err)
{
    struct graph_worker *worker = &plan->workers[0];
    const struct graph_effort effort = {
        .walk = GRAPH_WALK_CODES, .ef = REPAIR_EF, .keep = REPAIR_EF, .near = 1};
    if (graph->inner_product && reaching->host != GRAPH_NONE) {
        const uint32_t host = reaching->host;
        if (++reaching->hosted == REPAIR_HOSTED) {
            reaching->host = node;
            reaching->hosted = 0;
        }
        return repair_attach_to(graph, plan, reaching, host, node, err);
    }
    TRY(graph_query_begin_node(&worker->query, graph, node, err));
    TRY(graph_scratch_reserve(&worker->scratch, options->node_end, effort.ef, effort.keep, err));
    const uint32_t found = graph_search(graph, &worker->query, &effort, &worker->scratch);
    for (uint32_t i = 0; i < found; i++) {
        const uint32_t from = worker->scratch.kept[i].node;
        if (from == node || (reaching->seen[from / 64] >> (from % 64) & 1) == 0) continue;
        reaching->host = node;
        return repair_attach_to(graph, plan, reaching, from, node, err);
    }
    return OMENDB_OK; /* Nothing live is reachable: the entries are chosen anew by the caller. */
}

omendb_status graph_plan_reach(const struct graph *graph, const atomic_u64 *linked,
                               const struct graph_change_options *options, struct graph_plan *plan,
                               uint32_t *unreachable, omendb_error *err)
{
    const uint32_t node_end = options->node_end;
    const struct graph_entries *entries = atomic_load_acquire_pointer(&graph->entries);
    *unreachable = 0;
    TRY(graph_plan_prepare(plan, graph, 1, err));
    if (entries == NULL) return OMENDB_OK;
    struct repair_reaching reaching = {
        .seen = alloc_zeroed((size_t)node_end / 64 + 1, sizeof *reaching.seen),
        .stack = alloc_raw(node_end, sizeof *reaching.stack),
        .degrees = alloc_zeroed(node_end, sizeof *reaching.degrees),
        .host = GRAPH_NONE};
    omendb_status status = OMENDB_OK;
    if (reaching.seen == NULL || reaching.stack == NULL || reaching.degrees == NULL) {
        status = fail(err, OMENDB_ERR_NOMEM, "out of memory: proving that %u nodes are reachable",
                      node_end);
    } else {
        for (uint32_t i = 0; i < entries->count; i++)
            if (entries->nodes[i] < node_end && repair_mark(&reaching, entries->nodes[i]))
                repair_spread(graph, linked, node_end, &reaching, entries->nodes[i]);
        bool counted = false;
        for (uint32_t node = 0; status == OMENDB_OK && node < node_end; node++) {
            if (!repair_linked(linked, node) || graph_is_dead(graph, node)) continue;
            if ((reaching.seen[node / 64] >> (node % 64) & 1) != 0) continue;
            if (options->stopping != NULL && options->stopping(options->context))
                status = fail(err, OMENDB_ERR_INTERRUPTED, "graph: interrupted");
            if (!counted) repair_degrees(graph, linked, node_end, reaching.degrees);
            counted = true;
            ++*unreachable;
            if (status == OMENDB_OK)
                status = repair_attach(graph, options, plan, &reaching, node, err);
            if (repair_mark(&reaching, node))
                repair_spread(graph, linked, node_end, &reaching, node);
        }
    }
    if (status != OMENDB_OK) plan->count = 0;
    alloc_free(reaching.seen);
    alloc_free(reaching.stack);
    alloc_free(reaching.degrees);
    return status;
}
