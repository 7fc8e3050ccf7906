/* graph_verify.c - compares a graph with the nodes it is about. Reports, never repairs. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_index.h"
#include "index/vector/vector_index.h"

struct graph_verify {
    struct graph_index *graph;
    void (*problem)(void *context, const char *text);
    void *context;
    uint32_t node_count;
    uint32_t linked, held, held_free;
    uint32_t entries[GRAPH_ENTRIES_MAX]; /* [state.entries_count] */
};

static void verify_problem(const struct graph_verify *verify, const char *format, ...)
    PRINTF_LIKE(2, 3);

static void verify_problem(const struct graph_verify *verify, const char *format, ...)
{
    char text[160];
    int size = snprintf(text, sizeof text, "graph: field %u, ", verify->graph->field);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + size, sizeof text - (size_t)size, format, arguments);
    va_end(arguments);
    verify->problem(verify->context, text);
}

/* Flags of a node, or a problem and 0. */
static uint32_t verify_flags(const struct graph_verify *verify, uint32_t node)
{
    omendb_error cause = {0};
    uint32_t flags = 0;
    if (collection_node_flags(verify->graph->collection, verify->graph->field, node, &flags,
                              &cause) != OMENDB_OK)
        verify_problem(verify, "node %u: %.80s", node, cause.message);
    return flags;
}

/* The row of a node; NULL: it has none, or it can't be read. */
static const uint32_t *verify_row_view(const struct graph_verify *verify, uint32_t node)
{
    struct array *links = verify->graph->links;
    omendb_error cause = {0};
    if (node >= array_capacity(links)) return NULL;
    const uint32_t *row = array_read(links, node, &cause);
    if (row == NULL && cause.status != OMENDB_OK)
        verify_problem(verify, "row %u: %.80s", node, cause.message);
    return row;
}

static void verify_row_slots(const struct graph_verify *verify, uint32_t node, const uint32_t *row)
{
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if (row[i] == 0) continue;
        const uint32_t other = graph_slot_node(row[i]);
        if (other >= verify->node_count || other == node) {
            verify_problem(verify, "row %u leads to %u", node, other);
            continue;
        }
        if ((verify_flags(verify, other) & NODE_HELD) == 0)
            verify_problem(verify, "row %u leads to %u, which isn't held", node, other);
        for (uint32_t j = 0; j < i; j++) {
            if (row[j] != 0 && graph_slot_node(row[j]) == other)
                verify_problem(verify, "row %u leads to %u twice", node, other);
        }
    }
}

static void verify_code(const struct graph_verify *verify, uint32_t node)
{
    omendb_error cause = {0};
    struct code_header header;
    const uint8_t *code = array_read(verify->graph->index->rows, node, &cause);
    if (code == NULL) {
        verify_problem(verify, "node %u: no code: %.80s", node, cause.message);
        return;
    }
    memcpy(&header, code, sizeof header);
    if (header.error == 0 || header.centre != verify->graph->state.frame)
        verify_problem(verify, "node %u: its code isn't in the frame", node);
}

static void verify_node(struct graph_verify *verify, uint32_t node)
{
    static const uint32_t empty[GRAPH_SLOTS];
    const uint32_t flags = verify_flags(verify, node);
    const uint32_t *row = verify_row_view(verify, node);
    verify->linked += (flags & NODE_LINKED) != 0;
    verify->held += (flags & NODE_HELD) != 0;
    verify->held_free += (flags & (NODE_HELD | NODE_FREE)) == (NODE_HELD | NODE_FREE);
    if ((flags & NODE_LINKED) != 0 && row == NULL)
        verify_problem(verify, "row %u is missing", node);
    if ((flags & NODE_HELD) != 0) verify_code(verify, node);
    else if (row != NULL && memcmp(row, empty, sizeof empty) != 0)
        verify_problem(verify, "node %u isn't held and has a row", node);
    if ((flags & NODE_HELD) != 0 && row != NULL) verify_row_slots(verify, node, row);
    if ((flags & (NODE_FREE | NODE_LINKED)) == 0 && !graph_range_bit(&verify->graph->queued, node))
        verify_problem(verify, "node %u is neither linked nor in the tail", node);
    if ((flags & (NODE_FREE | NODE_HELD)) == (NODE_FREE | NODE_HELD) &&
        !graph_range_bit(&verify->graph->dead, node))
        verify_problem(verify, "node %u was freed unnoticed", node);
}

/* Every linked node can be reached from the entries. */
static omendb_status verify_reach(const struct graph_verify *verify, omendb_error *err)
{
    const struct graph_state *state = &verify->graph->state;
    const size_t words = (size_t)verify->node_count / 64 + 1;
    uint64_t *seen = alloc_zeroed(words, sizeof *seen);
    uint32_t *queue = alloc_raw((size_t)verify->node_count + 1, sizeof *queue);
    uint32_t begin = 0, end = 0, missing = 0;
    if (seen == NULL || queue == NULL) {
        alloc_free(seen);
        alloc_free(queue);
        return fail(err, OMENDB_ERR_NOMEM, "graph: verify");
    }
    for (uint32_t i = 0; i < state->entries_count; i++) {
        const uint32_t node = verify->entries[i];
        if (node >= verify->node_count || (seen[node / 64] >> (node % 64) & 1) != 0) continue;
        seen[node / 64] |= UINT64_C(1) << (node % 64);
        queue[end++] = node;
    }
    while (begin < end) {
        const uint32_t *row = verify_row_view(verify, queue[begin++]);
        for (uint32_t i = 0; row != NULL && i < GRAPH_SLOTS; i++) {
            if (row[i] == 0) continue;
            const uint32_t node = graph_slot_node(row[i]);
            if (node >= verify->node_count || (seen[node / 64] >> (node % 64) & 1) != 0) continue;
            seen[node / 64] |= UINT64_C(1) << (node % 64);
            queue[end++] = node;
        }
    }
    for (uint32_t node = 0; node < verify->node_count; node++) {
        if ((seen[node / 64] >> (node % 64) & 1) == 0)
            missing += (verify_flags(verify, node) & NODE_LINKED) != 0;
    }
    if (missing != 0) verify_problem(verify, "%u linked nodes can't be reached", missing);
    alloc_free(seen);
    alloc_free(queue);
    return OMENDB_OK;
}

static omendb_status verify_graph(struct graph_verify *verify, bool deep, omendb_error *err)
{
    const struct graph_state *state = &verify->graph->state;
    for (uint32_t node = 0; node < verify->node_count; node++) verify_node(verify, node);
    if (verify->linked != state->linked)
        verify_problem(verify, "%u nodes are linked, not %u", verify->linked, state->linked);
    TRY(graph_index_read_entries(verify->graph, verify->entries, err));
    for (uint32_t i = 0; i < state->entries_count; i++) {
        const uint32_t node = verify->entries[i];
        if (node >= verify->node_count || (verify_flags(verify, node) & NODE_HELD) == 0)
            verify_problem(verify, "entry %u isn't held", node);
    }
    /* Between two proofs of reach, and while a batch is being linked, a few nodes may be found by
     * exact match alone. */
    const bool proved = state->finished == state->linked && verify->held_free == 0 &&
                        verify->held == verify->linked;
    return deep && proved ? verify_reach(verify, err) : OMENDB_OK;
}

omendb_status graph_index_verify(struct graph_index *graph, bool deep,
                                 void (*problem)(void *context, const char *text), void *context,
                                 omendb_error *err)
{
    const struct vector_store *store = &graph->collection->vectors[graph->field];
    if (graph->state.recoded != UINT32_MAX) return OMENDB_OK; /* It hasn't really begun. */
    struct graph_verify *verify = alloc_zeroed(1, sizeof *verify);
    if (verify == NULL) return fail(err, OMENDB_ERR_NOMEM, "graph: verify");
    verify->graph = graph;
    verify->problem = problem;
    verify->context = context;
    verify->node_count = atomic_load_acquire_u32(&store->node_count);
    const omendb_status status = verify_graph(verify, deep, err);
    alloc_free(verify);
    return status;
}
