#include "index/vector/vector_stats.h"

#include "index/vector/graph_choose.h"

enum { STATS_K = 10 }; /* Hits that the reported efforts are for. */

static const float stats_recalls[] = {0.90f, 0.95f, 0.99f};

/* Indexed of the live nodes. A node that is freed and linked at once may be missed by one count and
 * not yet seen by the other: never more than there are. */
static uint64_t stats_indexed(const struct graph_index *graph, uint64_t live)
{
    const uint64_t linked = atomic_load_acquire_u32(&graph->linked);
    const uint64_t dead = atomic_load_acquire_u32(&graph->dead_linked);
    const uint64_t indexed = linked > dead ? linked - dead : 0;
    return indexed < live ? indexed : live;
}

static uint64_t stats_live(const struct collection *collection, uint32_t field)
{
    return atomic_load_acquire_u32(&collection->vectors[field].nodes_live);
}

/* The graph, when the profile uses it. */
static struct graph_index *stats_graph(const struct collection *collection, uint32_t field)
{
    return vector_index_profile(collection, field) != GRAPH_PROFILE_EXACT
               ? graph_index_of(collection, field)
               : NULL;
}

/* Are there vectors enough to begin one? */
static bool stats_due(const struct collection *collection, uint32_t field)
{
    return vector_index_profile(collection, field) != GRAPH_PROFILE_EXACT &&
           stats_live(collection, field) >= GRAPH_BEGIN;
}

void vector_stats_progress(const struct collection *collection, uint32_t field, uint64_t *indexed,
                           uint64_t *total)
{
    const struct graph_index *graph = stats_graph(collection, field);
    *total = graph != NULL || stats_due(collection, field) ? stats_live(collection, field) : 0;
    *indexed = graph != NULL ? stats_indexed(graph, *total) : 0;
}

static omendb_status stats_recall(const struct graph_table *table, const struct graph *graph,
                                  float recall, bool first, struct buffer *out, omendb_error *err)
{
    struct graph_choice choice = {0};
    TRY(buffer_append_format(out, err, "%s{\"recall\":%.2f,", first ? "" : ",", (double)recall));
    if (!graph_choose(table, graph, STATS_K, recall, &choice))
        return buffer_append_text(
            out, "\"walk\":null,\"ef\":null,\"stretch\":null,\"hops\":null,\"measured\":1}", err);
    return buffer_append_format(
        out, err, "\"walk\":\"%s\",\"ef\":%u,\"stretch\":%.2f,\"hops\":%u,\"measured\":%.4f}",
        choice.walk == GRAPH_WALK_EDGES ? "edges" : "codes", choice.ef, (double)choice.stretch,
        choice.hops, (double)choice.recall);
}

static omendb_status stats_calibration(const struct graph_index *graph, struct buffer *out,
                                       omendb_error *err)
{
    const struct graph_table *table = atomic_load_acquire_pointer(&graph->table);
    if (table == NULL || table->linked == 0)
        return buffer_append_text(out, ",\"calibration\":null", err);
    TRY(buffer_append_format(out, err,
                             ",\"calibration\":{\"vectors\":%u,\"queries\":%u,\"held_out\":%s,"
                             "\"k\":%d,\"efforts\":[",
                             table->linked, table->queries[0],
                             (table->held_out >> GRAPH_WALK_CODES & 1) != 0 ? "true" : "false",
                             STATS_K));
    for (size_t i = 0; i < COUNT_OF(stats_recalls); i++)
        TRY(stats_recall(table, &graph->graph, stats_recalls[i], i == 0, out, err));
    return buffer_append_text(out, "]}", err);
}

static omendb_status stats_graph_write(const struct graph_index *graph, uint64_t indexed,
                                       uint64_t live, struct buffer *out, omendb_error *err)
{
    const struct graph_entries *entries = atomic_load_acquire_pointer(&graph->graph.entries);
    const uint32_t entries_count = entries != NULL ? entries->count : graph->state.entries_count;
    const bool edges = atomic_load_acquire_u32(&graph->graph.edges_ready) != 0;
    TRY(buffer_append_format(
        out, err,
        ",\"state\":\"%s\",\"indexed\":%llu,\"unindexed\":%llu,\"progress\":%.4f,\"dead\":%u,"
        "\"sweeps\":%u,\"unreachable_repaired\":%u,\"entries\":%u,\"walk\":\"%s\"",
        indexed < live ? "building" : "ready", (unsigned long long)indexed,
        (unsigned long long)(live - indexed), live != 0 ? (double)indexed / (double)live : 1.0,
        atomic_load_relaxed_u32(&graph->dead_count), atomic_load_relaxed_u32(&graph->sweeps),
        atomic_load_relaxed_u32(&graph->unreachable_found), entries_count,
        edges ? "edges" : "codes"));
    TRY(buffer_append_format(
        out, err,
        ",\"memory_bytes\":%llu,\"bytes_per_vector\":{\"codes\":%u,\"links\":%d,\"edges\":%u}",
        (unsigned long long)graph_index_hot_bytes(graph), graph->index->codes.stride,
        GRAPH_LINKS_SIZE, edges ? graph->graph.edge_size : 0));
    return stats_calibration(graph, out, err);
}

/* Ranges of memory by node. Those of the edges are the work's own, outside of the lock. */
static uint64_t stats_memory(const struct graph_index *graph)
{
    const struct vector_store *store = &graph->collection->vectors[graph->field];
    const bool edges = atomic_load_acquire_u32(&graph->graph.edges_ready) != 0;
    const uint64_t nodes = atomic_load_acquire_u32(&store->node_count);
    return graph->dead.committed + graph->freed.committed + graph->held.committed +
           graph->queued.committed + (edges ? nodes * graph->graph.edge_size : 0);
}

omendb_status vector_stats_write(void *context, const struct collection *collection, uint32_t field,
                                 struct buffer *out, struct index_totals *totals, omendb_error *err)
{
    static const char *const profile_names[] = {"fast", "compact", "exact"};
    const struct graph_index *graph = stats_graph(collection, field);
    const uint64_t live = stats_live(collection, field);
    (void)context;
    TRY(buffer_append_format(out, err, "\"index\":{\"profile\":\"%s\"",
                             profile_names[vector_index_profile(collection, field)]));
    if (graph == NULL) {
        TRY(buffer_append_format(out, err, ",\"state\":\"%s\"",
                                 stats_due(collection, field) ? "building" : "none"));
    } else {
        const uint64_t indexed = stats_indexed(graph, live);
        totals->unindexed = live - indexed;
        totals->bytes = stats_memory(graph);
        TRY(stats_graph_write(graph, indexed, live, out, err));
    }
    return buffer_append_text(out, "},", err);
}
