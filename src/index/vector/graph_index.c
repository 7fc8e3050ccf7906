#include "index/vector/graph_index.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_work.h"
#include "index/vector/vector_index.h"
#include "os/cpu.h"
#include "os/memory.h"
#include "store/space.h"

enum {
    GRAPH_TAIL_MIN = 1024,
    GRAPH_UNIT_SAMPLE = 4096,        /* Codes that the unit is taken of. */
    GRAPH_RANGE_NODES_MAX = 1 << 30, /* What is reserved by node; halved if it must be ... */
    GRAPH_EDGES_NODES_MAX = 1 << 27, /* ... and of edges, which are long. */
    GRAPH_HUGE_MIN = 8 << 20         /* Bytes of a range from which on huge pages pay. */
};

/* ---- Ranges ---------------------------------------------------------------------- */

static omendb_status graph_range_init(struct graph_range *range, size_t length, omendb_error *err)
{
    void *base = NULL;
    range->length = length;
    TRY(memory_reserve(&range->length, MEMORY_STEP, &base, err));
    range->base = base;
    return OMENDB_OK;
}

static void graph_range_deinit(struct graph_range *range)
{
    memory_release(range->base, range->length);
    *range = (struct graph_range){0};
}

omendb_status graph_range_commit(struct graph_range *range, size_t size, omendb_error *err)
{
    if (size <= range->committed) return OMENDB_OK;
    if (size > range->length)
        return fail(err, OMENDB_ERR_FULL, "graph: %zu bytes by node, %zu reserved", size,
                    range->length);
    /* A sixteenth more than is needed: growth asks the system seldom. */
    size_t wanted = size + size / 16;
    if (wanted > range->length) wanted = range->length;
    wanted = (wanted + MEMORY_STEP - 1) / MEMORY_STEP * MEMORY_STEP;
    TRY(memory_commit(range->base, range->committed, wanted - range->committed, err));
    if (wanted >= GRAPH_HUGE_MIN)
        memory_prefer_huge(range->base, range->committed, wanted - range->committed);
    range->committed = wanted;
    return OMENDB_OK;
}

static size_t graph_bits_size(uint32_t nodes)
{
    return ((size_t)nodes + 63) / 64 * 8;
}

static omendb_status graph_index_commit_bits(struct graph_index *graph, uint32_t nodes,
                                             omendb_error *err)
{
    struct graph_range *const ranges[] = {&graph->dead, &graph->freed, &graph->held,
                                          &graph->queued};
    for (size_t i = 0; i < COUNT_OF(ranges); i++)
        TRY(graph_range_commit(ranges[i], graph_bits_size(nodes), err));
    return OMENDB_OK;
}

/* ---- State ----------------------------------------------------------------------- */

omendb_status graph_index_read_state(struct array *array, struct graph_state *out,
                                     omendb_error *err)
{
    omendb_error cause = {0};
    const struct graph_state *stored = NULL;
    memset(out, 0, sizeof *out);
    if (array_capacity(array) != 0) stored = array_read(array, 0, &cause);
    if (cause.status != OMENDB_OK)
        return fail(err, cause.status, "graph: state: %s", cause.message);
    if (stored == NULL || stored->version == 0) return OMENDB_OK;
    if (stored->version > GRAPH_STATE_VERSION_MAX)
        return fail(err, OMENDB_ERR_UNSUPPORTED, "graph: version %u", stored->version);
    memcpy(out, stored, sizeof *out);
    if (out->profile > GRAPH_PROFILE_EXACT)
        return fail(err, OMENDB_ERR_UNSUPPORTED, "graph: profile %u", out->profile);
    return OMENDB_OK;
}

static omendb_status graph_index_check_state(const struct collection *collection, uint32_t field,
                                             const struct vector_index *index,
                                             const struct graph_state *state, omendb_error *err)
{
    const uint32_t entries_max = state->version == 1 ? GRAPH_STATE_ENTRIES : GRAPH_ENTRIES_MAX;
    const uint32_t nodes = atomic_load_relaxed_u32(&collection->vectors[field].node_count);
    bool good = state->frame < atomic_load_relaxed_u32(&index->codes.centre_count) &&
                state->entries_count <= entries_max && state->linked <= nodes &&
                state->refine_end <= nodes && state->refining <= state->refine_end &&
                state->unit > 0 && isfinite(state->unit);
    if (!good) return fail(err, OMENDB_ERR_CORRUPT, "graph: field %u: its state is wrong", field);
    return OMENDB_OK;
}

omendb_status graph_index_read_entries(const struct graph_index *graph, uint32_t *out,
                                       omendb_error *err)
{
    const uint32_t count = graph->state.entries_count;
    for (uint32_t at = 0, size = 0; at < count; at += size) {
        const uint32_t *entries = graph->state.entries;
        size = at == 0 ? GRAPH_STATE_ENTRIES : GRAPH_STATE_MORE;
        if (at != 0) {
            omendb_error cause = {0};
            const struct graph_state_more *more = array_read(
                graph->state_array, 1 + (at - GRAPH_STATE_ENTRIES) / GRAPH_STATE_MORE, &cause);
            if (more == NULL) return fail(err, cause.status, "graph: entries: %s", cause.message);
            entries = more->entries;
        }
        if (size > count - at) size = count - at;
        memcpy(out + at, entries, size * sizeof *entries);
    }
    return OMENDB_OK;
}

/* Keeps the entries as stored, until they can be used. */
static omendb_status graph_index_open_entries(struct graph_index *graph, omendb_error *err)
{
    const struct vector_store *store = &graph->collection->vectors[graph->field];
    const uint32_t nodes = atomic_load_relaxed_u32(&store->node_count);
    const uint32_t count = graph->state.entries_count;
    if (count == 0) return OMENDB_OK;
    graph->opened = alloc_raw(count, sizeof *graph->opened);
    if (graph->opened == NULL) return fail(err, OMENDB_ERR_NOMEM, "graph: entries");
    TRY(graph_index_read_entries(graph, graph->opened, err));
    for (uint32_t i = 0; i < count; i++)
        if (graph->opened[i] >= nodes)
            return fail(err, OMENDB_ERR_CORRUPT, "graph: field %u: entry %u is wrong", graph->field,
                        i);
    atomic_store_relaxed_u32(&graph->opened_count, count);
    return OMENDB_OK;
}

omendb_status graph_index_prepare_state(struct graph_index *graph, omendb_error *err)
{
    TRY(array_grow(graph->state_array, 1, err));
    return array_prepare(graph->state_array, 0, err);
}

void graph_index_store(struct graph_index *graph)
{
    memcpy(array_at_writable(graph->state_array, 0), &graph->state, sizeof graph->state);
    atomic_store_release_u32(&graph->linked, graph->state.linked); /* stats and estimates */
}

void graph_index_store_entries(struct graph_index *graph, const struct graph_entries *entries)
{
    const uint32_t count = entries != NULL ? entries->count : 0;
    struct graph_state *state = &graph->state;
    const uint32_t first = count < GRAPH_STATE_ENTRIES ? count : GRAPH_STATE_ENTRIES;
    state->version = count > GRAPH_STATE_ENTRIES ? 2 : 1;
    state->entries_count = count;
    memset(state->entries, 0, sizeof state->entries);
    if (count != 0) memcpy(state->entries, entries->nodes, first * sizeof *entries->nodes);
    for (uint32_t at = GRAPH_STATE_ENTRIES, element = 1; at < GRAPH_ENTRIES_MAX;
         at += GRAPH_STATE_MORE, element++) {
        struct graph_state_more *more = array_at_writable(graph->state_array, element);
        const uint32_t left = count > at ? count - at : 0;
        memset(more, 0, sizeof *more);
        if (left != 0)
            memcpy(more->entries, entries->nodes + at,
                   (left < GRAPH_STATE_MORE ? left : GRAPH_STATE_MORE) * sizeof *entries->nodes);
    }
    graph_index_store(graph);
}

void graph_index_store_linked(struct graph_index *graph)
{
    struct graph_state *stored = array_at_writable(graph->state_array, 0);
    stored->linked = graph->state.linked;
    atomic_store_release_u32(&graph->linked, graph->state.linked); /* stats and estimates */
}

/* ---- Making ---------------------------------------------------------------------- */

/* Columns of arrays that have their address space. */
static omendb_status graph_index_columns(struct graph_index *graph, omendb_error *err)
{
    struct array *rows = graph->index->rows;
    TRY(array_grow(rows, 1, err));
    TRY(array_grow(graph->links, 1, err));
    graph_column_init(&graph->graph.codes, rows->base, rows->stride, rows->per_block, BLOCK_SIZE);
    graph->graph.size = rows->stride - CODES_HEADER_SIZE;
    graph_column_init(&graph->graph.links, graph->links->base, graph->links->stride,
                      graph->links->per_block, BLOCK_SIZE);
    return OMENDB_OK;
}

static omendb_status graph_index_ranges(struct graph_index *graph, omendb_error *err)
{
    const size_t bits = graph_bits_size(GRAPH_RANGE_NODES_MAX);
    TRY(graph_range_init(&graph->dead, bits, err));
    TRY(graph_range_init(&graph->freed, bits, err));
    TRY(graph_range_init(&graph->held, bits, err));
    TRY(graph_range_init(&graph->queued, bits, err));
    TRY(graph_range_init(&graph->edges, (size_t)GRAPH_EDGES_NODES_MAX * graph->graph.edge_size,
                         err));
    graph->graph.dead = (const void *)graph->dead.base;
    return OMENDB_OK;
}

static struct graph_tail *graph_tail_create(uint32_t capacity)
{
    struct graph_tail *tail = alloc_raw(1, sizeof *tail + (size_t)capacity * sizeof(uint32_t));
    if (tail == NULL) return NULL;
    atomic_store_relaxed_u32(&tail->begin, 0);
    atomic_store_relaxed_u32(&tail->end, 0);
    tail->capacity = capacity;
    return tail;
}

static void graph_index_set_tail(struct graph_index *graph, struct graph_tail *tail)
{
    atomic_store_release_pointer(&graph->tail, tail); /* with readers' captures */
}

/* A graph with this state, nothing in its memory yet. */
static omendb_status graph_index_create(struct collection *collection, uint32_t field,
                                        struct vector_index *index, const struct graph_state *state,
                                        struct graph_index **out, omendb_error *err)
{
    const struct schema_vector *schema = &collection->schema->vectors[field];
    struct graph_index *graph = alloc_zeroed(1, sizeof *graph);
    if (graph == NULL) return fail(err, OMENDB_ERR_NOMEM, "graph: field %u", field);
    graph->collection = collection;
    graph->field = field;
    graph->index = index;
    graph->links = index->links;
    graph->state_array = index->graph_state;
    graph->state = *state;
    const uint32_t features = cpu_features();
    graph_init(&graph->graph, kernels_for(features), features, schema->dim, schema->metric);
    graph->graph.unit = state->unit;
    atomic_store_relaxed_u32(&graph->linked, state->linked);
    omendb_status status = mutex_init(&graph->load_mutex, err);
    graph->mutex_made = status == OMENDB_OK;
    if (status == OMENDB_OK) status = graph_index_columns(graph, err);
    if (status == OMENDB_OK) status = graph_index_ranges(graph, err);
    if (status == OMENDB_OK)
        status = graph_index_commit_bits(
            graph, atomic_load_relaxed_u32(&collection->vectors[field].node_count) + 1, err);
    if (status == OMENDB_OK) {
        struct graph_tail *tail = graph_tail_create(GRAPH_TAIL_MIN);
        if (tail == NULL) status = fail(err, OMENDB_ERR_NOMEM, "graph: a list of nodes");
        else graph_index_set_tail(graph, tail);
    }
    if (status != OMENDB_OK) {
        graph_index_destroy(graph);
        return status;
    }
    *out = graph;
    return OMENDB_OK;
}

void graph_index_destroy(struct graph_index *graph)
{
    if (graph == NULL) return;
    graph_work_destroy(graph->work);
    graph_entries_destroy(atomic_load_acquire_pointer(&graph->graph.entries));
    alloc_free(atomic_load_acquire_pointer(&graph->tail));
    alloc_free(atomic_load_acquire_pointer(&graph->table));
    struct graph_range *const ranges[] = {&graph->dead, &graph->freed, &graph->held, &graph->queued,
                                          &graph->edges};
    for (size_t i = 0; i < COUNT_OF(ranges); i++) graph_range_deinit(ranges[i]);
    alloc_free(graph->opened);
    if (graph->mutex_made) mutex_deinit(&graph->load_mutex);
    alloc_free(graph);
}

/* ---- Tail ------------------------------------------------------------------------ */

/* Another tail with room for `more` entries, the present one's last. A tail that no reader knows
 * yet (published: false) is freed at once. */
static omendb_status graph_tail_replace(struct graph_index *graph, uint32_t begin,
                                        const uint32_t *first, uint32_t first_count, uint32_t more,
                                        omendb_error *err)
{
    struct graph_tail *old = atomic_load_relaxed_pointer(&graph->tail);
    struct epoch *epoch = &graph->collection->space->epoch;
    const uint32_t end = atomic_load_relaxed_u32(&old->end);
    const uint64_t count = (uint64_t)first_count + (end - begin);
    uint64_t capacity = 2 * (count + more);
    if (capacity < GRAPH_TAIL_MIN) capacity = GRAPH_TAIL_MIN;
    if (capacity > UINT32_MAX) capacity = UINT32_MAX;
    if (count + more > capacity) return fail(err, OMENDB_ERR_FULL, "graph: the tail is full");
    TRY(epoch_promise(epoch, err));
    struct graph_tail *tail = graph_tail_create((uint32_t)capacity);
    if (tail == NULL) {
        epoch_forgo(epoch, 1);
        return fail(err, OMENDB_ERR_NOMEM, "graph: %llu nodes to link", (unsigned long long)count);
    }
    if (first_count != 0) memcpy(tail->nodes, first, first_count * sizeof *first);
    if (end != begin)
        memcpy(tail->nodes + first_count, old->nodes + begin, (end - begin) * sizeof *first);
    atomic_store_relaxed_u32(&tail->end, (uint32_t)count);
    graph_index_set_tail(graph, tail);
    epoch_retire(epoch, old, alloc_free);
    return OMENDB_OK;
}

static omendb_status graph_tail_room(struct graph_index *graph, uint32_t more, omendb_error *err)
{
    const struct graph_tail *tail = atomic_load_relaxed_pointer(&graph->tail);
    const uint32_t begin = atomic_load_relaxed_u32(&tail->begin);
    if (tail->capacity - atomic_load_relaxed_u32(&tail->end) >= more) return OMENDB_OK;
    return graph_tail_replace(graph, begin, NULL, 0, more, err);
}

/* Into the room that was made. */
static void graph_tail_append(struct graph_index *graph, uint32_t node)
{
    struct graph_tail *tail = atomic_load_relaxed_pointer(&graph->tail);
    const uint32_t end = atomic_load_relaxed_u32(&tail->end);
    if (graph_range_bit(&graph->queued, node)) return;
    assert(end < tail->capacity);
    graph_range_set(&graph->queued, node);
    tail->nodes[end] = node;
    atomic_store_release_u32(&tail->end, end + 1); /* with readers' captures */
}

omendb_status graph_tail_advance(struct graph_index *graph, uint32_t count, const uint32_t *kept,
                                 uint32_t kept_count, omendb_error *err)
{
    struct graph_tail *tail = atomic_load_relaxed_pointer(&graph->tail);
    const uint32_t begin = atomic_load_relaxed_u32(&tail->begin);
    assert(count <= atomic_load_relaxed_u32(&tail->end) - begin);
    if (kept_count == count &&
        (count == 0 || memcmp(tail->nodes + begin, kept, count * sizeof *kept) == 0))
        return OMENDB_OK;
    if (kept_count != 0) TRY(graph_tail_replace(graph, begin + count, kept, kept_count, 1, err));
    /* The old tail is still there: retired things go at the next commit or checkpoint, and the
     * writer lock is ours. */
    for (uint32_t i = begin; i < begin + count; i++)
        graph_range_clear(&graph->queued, tail->nodes[i]);
    for (uint32_t i = 0; i < kept_count; i++) graph_range_set(&graph->queued, kept[i]);
    if (kept_count == 0) atomic_store_release_u32(&tail->begin, begin + count); /* with captures */
    return OMENDB_OK;
}

/* ---- Opening and beginning --------------------------------------------------------- */

/* Sorts all nodes by their flags: into the tail, dead, or linked. */
static omendb_status graph_index_scan_nodes(struct graph_index *graph, omendb_error *err)
{
    struct collection *collection = graph->collection;
    const struct vector_store *store = &collection->vectors[graph->field];
    const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
    TRY(graph_tail_room(graph, atomic_load_relaxed_u32(&store->nodes_live), err));
    for (uint32_t node = 0; node < count; node++) {
        uint32_t flags = 0;
        TRY(collection_node_flags(collection, graph->field, node, &flags, err));
        if ((flags & NODE_HELD) != 0) graph_range_set(&graph->held, node);
        if ((flags & (NODE_FREE | NODE_HELD)) == (NODE_FREE | NODE_HELD))
            graph_index_node_freed(graph, node);
        if ((flags & (NODE_FREE | NODE_LINKED)) != 0) continue;
        TRY(graph_tail_room(graph, 1, err));
        graph_tail_append(graph, node);
    }
    return OMENDB_OK;
}

omendb_status graph_index_open(struct collection *collection, uint32_t field,
                               struct vector_index *index, const struct graph_state *state,
                               struct graph_index **out, omendb_error *err)
{
    const struct vector_store *store = &collection->vectors[field];
    const uint32_t held_free = atomic_load_relaxed_u32(&store->held_free);
    struct graph_index *graph = NULL;
    *out = NULL;
    if (state->begun == 0) return OMENDB_OK;
    TRY(graph_index_check_state(collection, field, index, state, err));
    TRY(graph_index_create(collection, field, index, state, &graph, err));
    omendb_status status = graph_index_open_entries(graph, err);
    if (status == OMENDB_OK && state->table.linked != 0)
        status = graph_index_publish_table(graph, &state->table, err);
    if (status == OMENDB_OK &&
        (held_free != 0 || atomic_load_relaxed_u32(&store->nodes_live) != state->linked))
        status = graph_index_scan_nodes(graph, err);
    if (status != OMENDB_OK) {
        graph_index_destroy(graph);
        return status;
    }
    *out = graph;
    return OMENDB_OK;
}

/* The power of two nearest to 1 / sqrt(mean |o|^2) of codes in the frame; 1 when there are none. */
static float graph_index_unit(struct vector_index *index, uint32_t frame, uint32_t node_count)
{
    const uint32_t step = node_count <= GRAPH_UNIT_SAMPLE ? 1 : node_count / GRAPH_UNIT_SAMPLE;
    double sum = 0;
    uint32_t count = 0;
    for (uint64_t node = 0; node < node_count && node < array_capacity(index->rows); node += step) {
        const struct code_header *header = array_read(index->rows, node, NULL);
        if (header == NULL || header->error == 0 || header->centre != frame) continue;
        sum += (double)header->length * (double)header->length;
        count++;
    }
    if (count == 0 || !(sum > 0)) return 1;
    return ldexpf(1.0f, (int)lrint(-0.5 * log2(sum / count)));
}

omendb_status graph_index_begin(struct collection *collection, uint32_t field,
                                struct vector_index *index, enum graph_profile profile,
                                struct graph_index **out, omendb_error *err)
{
    const uint32_t nodes = atomic_load_relaxed_u32(&collection->vectors[field].node_count);
    /* Products of two nodes follow from their codes around the origin only. */
    const uint32_t frame = index->codes.metric == OMENDB_IP
                               ? 0
                               : atomic_load_relaxed_u32(&index->codes.centre_count) - 1;
    const struct graph_state state = {.version = 1,
                                      .profile = profile,
                                      .begun = 1,
                                      .frame = frame,
                                      .unit = graph_index_unit(index, frame, nodes)};
    struct graph_index *graph = NULL;
    TRY(graph_index_create(collection, field, index, &state, &graph, err));
    omendb_status status = graph_index_scan_nodes(graph, err);
    if (status == OMENDB_OK) status = graph_index_prepare_state(graph, err);
    if (status != OMENDB_OK) {
        graph_index_destroy(graph);
        return status;
    }
    graph_index_store(graph);
    *out = graph;
    return OMENDB_OK;
}

/* ---- Nodes ----------------------------------------------------------------------- */

omendb_status graph_index_node_reserve(struct graph_index *graph, uint32_t node, omendb_error *err)
{
    if (node < GRAPH_NODES_MAX) TRY(graph_index_commit_bits(graph, node + 1, err));
    return graph_tail_room(graph, 1, err);
}

void graph_index_node_write(struct graph_index *graph, uint32_t node)
{
    graph_tail_append(graph, node);
}

void graph_index_node_freed(struct graph_index *graph, uint32_t node)
{
    if (graph_range_bit(&graph->dead, node)) return;
    graph_range_set(&graph->dead, node);
    graph_range_set(&graph->freed, node);
    (void)atomic_add_u32(&graph->freed_count, 1);
    (void)atomic_add_u32(&graph->dead_count, 1);
    uint32_t flags = 0; /* They were just written or read. */
    if (collection_node_flags(graph->collection, graph->field, node, &flags, NULL) == OMENDB_OK &&
        (flags & NODE_LINKED) != 0)
        (void)atomic_add_u32(&graph->dead_linked, 1);
}

bool graph_index_coded(const struct graph_index *graph, uint32_t node)
{
    struct code_header header;
    memcpy(&header, graph_code(&graph->graph, node), sizeof header);
    return header.error != 0 && header.centre == graph->state.frame && node < GRAPH_NODES_MAX;
}

/* ---- Publishing ------------------------------------------------------------------ */

static void graph_index_release_entries(void *entries)
{
    graph_entries_destroy(entries);
}

omendb_status graph_index_publish_entries(struct graph_index *graph, struct graph_entries *entries,
                                          omendb_error *err)
{
    struct epoch *epoch = &graph->collection->space->epoch;
    struct graph_entries *old = atomic_load_relaxed_pointer(&graph->graph.entries);
    if (old != NULL) {
        const omendb_status status = epoch_promise(epoch, err);
        if (status != OMENDB_OK) {
            graph_entries_destroy(entries);
            return status;
        }
    }
    atomic_store_release_pointer(&graph->graph.entries, entries);  /* with walks */
    atomic_store_release_u32(&graph->searchable, entries != NULL); /* with graph_index_load() */
    if (old != NULL) epoch_retire(epoch, old, graph_index_release_entries);
    return OMENDB_OK;
}

omendb_status graph_index_publish_table(struct graph_index *graph, const struct graph_table *table,
                                        omendb_error *err)
{
    struct epoch *epoch = &graph->collection->space->epoch;
    struct graph_table *old = atomic_load_relaxed_pointer(&graph->table);
    struct graph_table *copy = alloc_raw(1, sizeof *copy);
    if (copy == NULL) return fail(err, OMENDB_ERR_NOMEM, "graph: a calibration");
    *copy = *table;
    if (old != NULL) {
        const omendb_status status = epoch_promise(epoch, err);
        if (status != OMENDB_OK) {
            alloc_free(copy);
            return status;
        }
    }
    atomic_store_release_pointer(&graph->table, copy); /* with vector_search() */
    if (old != NULL) epoch_retire(epoch, old, alloc_free);
    return OMENDB_OK;
}

/* ---- Readers --------------------------------------------------------------------- */

struct graph_index *graph_index_of(const struct collection *collection, uint32_t field)
{
    const struct vector_index *index = vector_index_of(collection, field);
    return index != NULL ? atomic_load_acquire_pointer(&index->graph) : NULL;
}

static uint64_t graph_index_missing(const struct array *array)
{
    if (atomic_load_acquire_u32(&array->all_resident) != 0) return 0;
    return (uint64_t)atomic_load_acquire_u32(&array->block_count) * BLOCK_SIZE;
}

omendb_status graph_index_load(struct graph_index *graph, uint64_t size_max, bool *searchable,
                               omendb_error *err)
{
    struct array *rows = graph->index->rows;
    *searchable = atomic_load_acquire_u32(&graph->searchable) != 0;
    if (*searchable) return OMENDB_OK;
    if (atomic_load_acquire_u32(&graph->opened_count) == 0 ||
        graph_index_missing(rows) + graph_index_missing(graph->links) > size_max)
        return OMENDB_OK;
    mutex_lock(&graph->load_mutex);
    omendb_status status = OMENDB_OK;
    const uint32_t count = atomic_load_acquire_u32(&graph->opened_count);
    if (count != 0) {
        struct graph_entries *entries = NULL;
        status = array_load_all(rows, err);
        if (status == OMENDB_OK) status = array_load_all(graph->links, err);
        if (status == OMENDB_OK)
            status = graph_entries_make(&graph->graph, graph->opened, count, &entries, err);
        if (status == OMENDB_OK) status = graph_index_publish_entries(graph, entries, err);
        /* From now on entries are the work's affair. */
        if (status == OMENDB_OK) atomic_store_release_u32(&graph->opened_count, 0);
    }
    mutex_unlock(&graph->load_mutex);
    *searchable = status == OMENDB_OK && atomic_load_acquire_u32(&graph->searchable) != 0;
    return status;
}

uint64_t graph_index_hot_bytes(const struct graph_index *graph)
{
    const struct vector_store *store = &graph->collection->vectors[graph->field];
    const uint64_t nodes = atomic_load_acquire_u32(&store->node_count);
    const uint64_t blocks = (uint64_t)atomic_load_acquire_u32(&graph->index->rows->block_count) +
                            atomic_load_acquire_u32(&graph->links->block_count);
    const bool edges = atomic_load_acquire_u32(&graph->graph.edges_ready) != 0;
    return blocks * BLOCK_SIZE + nodes * (edges ? graph->graph.edge_size : 0) + nodes / 2;
}
