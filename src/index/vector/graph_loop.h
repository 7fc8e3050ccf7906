/* graph_loop.h - the walks of graph_search.h, included by each graph_<instruction set>.c, which has
 * defined before:
 *
 *     LOOP_TARGET              attribute of every function, or empty
 *     LOOP_NAME(name)          its own name for `name`
 *     loop_dot(code, digits, size)       sum of code * digit, exact
 *     loop_scan(edges, table, bits, sums)   the table's sums of the 32 slots: u16 sums[32]
 *     loop_below(query, distance, factors, sums, limit, estimates)   the estimates of the 32 slots
 *                              (f32 estimates[32]); returns the mask of those < limit
 *     loop_shift(distances, nodes, rank, count)   moves [rank, count) one place up; optional
 *                              (LOOP_HAS_SHIFT); the arrays reach 64 beyond their capacity
 *     loop_merge(distances, nodes, &count, ef, found distances, found nodes, found)
 *                              puts all of them into the pool, returns the lowest place; optional
 *                              (LOOP_HAS_MERGE)
 *     loop_rank(distances, count, distance)   how many of a sorted array are <= distance
 *     loop_queue_add, loop_queue_drop     see graph_queue.h; optional
 *     loop_dot_four(rows, digits, size, dots)   loop_dot() of four rows' codes: i32 dots[4]; optional
 *                              (LOOP_HAS_DOT_FOUR)
 *
 * Every function but the way down layers is inlined into the three walks at the end. Without LOOP_NAME it defines nothing.
 */
#include "index/vector/graph_kernels.h"
#include "index/vector/graph_layers.h"
#include "index/vector/graph_trace.h"

#if defined(LOOP_NAME)
#define LOOP_INLINE static LOOP_TARGET ALWAYS_INLINE
#define LOOP_EXPANDED UINT32_C(0x80000000)

LOOP_INLINE void LOOP_NAME(fetch)(const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i += CACHE_LINE) prefetch(at + i);
}

/* A distance from what stands in a row's header and the product of its code. */
LOOP_INLINE float LOOP_NAME(combine)(const struct graph_query *query, float low, float scale,
                                     float length, int32_t dot)
{
    const float product = low * query->sum + scale * (float)dot;
    return query->square + query->length_weight * (length * length) +
           query->product_weight * product;
}

LOOP_INLINE float LOOP_NAME(measure)(const struct graph *graph, const struct graph_query *query,
                                     const uint8_t *row)
{
    const struct code_header *header = (const void *)row;
    const int32_t dot = LOOP_NAME(dot)(row + CODES_HEADER_SIZE, query->digits, graph->size);
    return LOOP_NAME(combine)(query, header->low, header->scale, header->length, dot);
}

LOOP_INLINE float LOOP_NAME(measure_node)(const struct graph *graph,
                                          const struct graph_query *query, uint32_t node)
{
    return LOOP_NAME(measure)(graph, query, graph_code(graph, node));
}

/* The same of `count` rows: out[count + 3], rows[count + 3], whose last three are only written. */
LOOP_INLINE void LOOP_NAME(measure_rows)(const struct graph *graph, const struct graph_query *query,
                                         const uint8_t **rows, uint32_t count, float *out)
{
#ifdef LOOP_HAS_DOT_FOUR
    for (uint32_t i = 0; i < 3 && count != 0; i++) rows[count + i] = rows[0];
    for (uint32_t i = 0; i < count; i += 4) {
        float low[4], scale[4], length[4];
        int32_t dots[4];
        LOOP_NAME(dot_four)(rows + i, query->digits, graph->size, dots);
        for (uint32_t j = 0; j < 4; j++) {
            const struct code_header *header = (const void *)rows[i + j];
            low[j] = header->low;
            scale[j] = header->scale;
            length[j] = header->length;
        }
        for (uint32_t j = 0; j < 4; j++)
            out[i + j] = LOOP_NAME(combine)(query, low[j], scale[j], length[j], dots[j]);
    }
#else
    for (uint32_t i = 0; i < count; i++) out[i] = LOOP_NAME(measure)(graph, query, rows[i]);
#endif
}

LOOP_INLINE bool LOOP_NAME(visit)(struct graph_scratch *scratch, uint32_t node)
{
    uint64_t *word = &scratch->visited[node / 64];
    const uint64_t bit = UINT64_C(1) << (node % 64);
    if ((*word & bit) != 0) return false;
    *word |= bit;
    if (scratch->touched_count < GRAPH_TOUCHED_MAX) scratch->touched[scratch->touched_count] = node;
    scratch->touched_count++;
    return true;
}

/* Notes `count` <= GRAPH_SLOTS nodes whose bits were set. */
LOOP_INLINE void LOOP_NAME(touch)(struct graph_scratch *scratch, const uint32_t *nodes,
                                  uint32_t count)
{
    if (scratch->touched_count + GRAPH_SLOTS <= GRAPH_TOUCHED_MAX) {
        for (uint32_t i = 0; i < count; i++)
            scratch->touched[scratch->touched_count + i] = nodes[i];
        scratch->touched_count += count;
    } else {
        scratch->touched_count = GRAPH_TOUCHED_MAX + 1; /* All bits are forgotten. */
    }
}

#ifndef LOOP_HAS_SHIFT
LOOP_INLINE void LOOP_NAME(shift)(float *distances, uint32_t *nodes, uint32_t rank, uint32_t count)
{
    memmove(distances + rank + 1, distances + rank, (count - rank) * sizeof *distances);
    memmove(nodes + rank + 1, nodes + rank, (count - rank) * sizeof *nodes);
}
#endif

/* Into the sorted pool; returns the place, or `ef` when it is full of nearer ones. */
LOOP_INLINE uint32_t LOOP_NAME(pool_insert)(float *distances, uint32_t *nodes, uint32_t *count,
                                            uint32_t ef, float distance, uint32_t node)
{
    const uint32_t rank = LOOP_NAME(rank)(distances, *count, distance);
    if (rank >= ef) return ef;
    LOOP_NAME(shift)(distances, nodes, rank, *count < ef ? *count : ef - 1);
    distances[rank] = distance;
    nodes[rank] = node;
    if (*count < ef) ++*count;
    return rank;
}

#ifndef LOOP_HAS_MERGE
LOOP_INLINE uint32_t LOOP_NAME(merge)(float *pool_distances, uint32_t *pool_nodes,
                                      uint32_t *pool_count, uint32_t ef, const float *distances,
                                      const uint32_t *nodes, uint32_t count)
{
    uint32_t lowest = ef;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t rank = LOOP_NAME(pool_insert)(pool_distances, pool_nodes, pool_count, ef,
                                                     distances[i], nodes[i]);
        if (rank < lowest) lowest = rank;
    }
    return lowest;
}
#endif

/* Of each row of entries the one that is nearest by its signs, of these the nearest: their
 * numbers. chosen: [GRAPH_GLANCED] */
LOOP_INLINE uint32_t LOOP_NAME(enter_signs)(const struct graph *graph,
                                            const struct graph_query *query,
                                            const struct graph_entries *entries, uint32_t node_end,
                                            struct graph_scratch *scratch, uint32_t *chosen)
{
    const uint32_t bits = graph_entry_bits(graph), size = graph_entry_row_size(graph);
    const uint32_t rows = (entries->count + GRAPH_SLOTS - 1) / GRAPH_SLOTS;
    /* loop_shift() wants 64 beyond the capacity. */
    float nearest[GRAPH_GLANCED + 64] = {0};
    uint32_t numbers[GRAPH_GLANCED + 64] = {0};
    uint16_t sums[GRAPH_SLOTS] ALIGNED(64);
    float estimates[GRAPH_SLOTS] ALIGNED(64);
    struct graph_query part = *query;
    uint32_t count = 0, ends = 0;
    if (bits != graph->bits) {
        for (uint32_t i = 0; i < bits * 4; i += 16) ends += query->table[i] + query->table[i + 15];
        part.table_low = -(float)ends * (query->table_step / 2);
    }
    for (uint32_t row = 0; row < rows; row++) {
        const uint8_t *signs = entries->signs + (size_t)row * size;
        int32_t least = INT32_MAX;
        LOOP_NAME(scan)(signs, query->table, bits, sums);
        (void)LOOP_NAME(below)(&part, query->square,
                               (const uint16_t *)(const void *)(signs + bits * 4), sums, INFINITY,
                               estimates);
        /* Floats in the order of integers, the slot in place of the last bits. */
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
            int32_t key = 0;
            memcpy(&key, &estimates[slot], sizeof key);
            key = ((key ^ (key >> 31 & INT32_MAX)) & ~(GRAPH_SLOTS - 1)) | (int32_t)slot;
            least = key < least ? key : least;
        }
        const uint32_t slot = (uint32_t)least & (GRAPH_SLOTS - 1), at = row * GRAPH_SLOTS + slot;
        if (entries->nodes[at] >= node_end) continue; /* Newer than the walk. */
        (void)LOOP_NAME(pool_insert)(nearest, numbers, &count, GRAPH_GLANCED, estimates[slot], at);
    }
    memcpy(chosen, numbers, count * sizeof *chosen);
    scratch->counts.estimates += rows * GRAPH_SLOTS;
    scratch->counts.bytes += (uint64_t)rows * size;
    return count;
}

/* The entries that are nearest by their codes: their numbers. chosen: [GRAPH_ENTERED] */
LOOP_INLINE uint32_t LOOP_NAME(enter_codes)(const struct graph *graph,
                                            const struct graph_query *query,
                                            const struct graph_entries *entries, uint32_t node_end,
                                            struct graph_scratch *scratch, uint32_t *chosen)
{
    float nearest[GRAPH_ENTERED + 64] = {0};
    uint32_t numbers[GRAPH_ENTERED + 64] = {0}, count = 0;
    const uint8_t *row = entries->codes;
    for (uint32_t i = 0; i < entries->count; i++, row += graph->codes.stride) {
        if (entries->nodes[i] >= node_end) continue; /* Newer than the walk. */
        (void)LOOP_NAME(pool_insert)(nearest, numbers, &count, GRAPH_ENTERED,
                                     LOOP_NAME(measure)(graph, query, row), i);
    }
    memcpy(chosen, numbers, count * sizeof *chosen);
    scratch->counts.distances += entries->count;
    scratch->counts.bytes += (uint64_t)entries->count * graph->codes.stride;
    return count;
}

/* The nearest entries become the pool. */
LOOP_INLINE uint32_t LOOP_NAME(enter_table)(const struct graph *graph,
                                            const struct graph_query *query, uint32_t wanted,
                                            uint32_t node_end, struct graph_scratch *scratch)
{
    const struct graph_entries *entries = atomic_load_acquire_pointer(&graph->entries);
    uint32_t chosen[GRAPH_GLANCED], chosen_count = 0, count = 0;
    const uint8_t *rows[GRAPH_GLANCED + 3];
    float measured[GRAPH_GLANCED + 3];
    if (entries == NULL) return 0;
    if (entries->signs != NULL)
        chosen_count = LOOP_NAME(enter_signs)(graph, query, entries, node_end, scratch, chosen);
    if (chosen_count == 0)
        chosen_count = LOOP_NAME(enter_codes)(graph, query, entries, node_end, scratch, chosen);
    for (uint32_t i = 0; i < chosen_count; i++) {
        rows[i] = entries->codes + (size_t)chosen[i] * graph->codes.stride;
        LOOP_NAME(fetch)(rows[i], graph->codes.stride);
    }
    LOOP_NAME(measure_rows)(graph, query, rows, chosen_count, measured);
    for (uint32_t i = 0; i < chosen_count; i++)
        (void)LOOP_NAME(pool_insert)(scratch->distances, scratch->nodes, &count, wanted,
                                     measured[i], entries->nodes[chosen[i]]);
    scratch->counts.distances += chosen_count;
    scratch->counts.bytes += (uint64_t)chosen_count * graph->codes.stride;
    return count;
}

#include "index/vector/graph_queue.h"

/* Expands the nearest of a pool of `count` until none is left; returns how many are in it then. */
LOOP_INLINE uint32_t LOOP_NAME(expand)(const struct graph *graph, const struct graph_query *query,
                                       const struct graph_effort *effort, uint32_t node_end,
                                       uint32_t count, struct graph_scratch *scratch)
{
    const uint32_t ef = effort->ef;
    const bool bounded = effort->stretch > 0 && !graph->inner_product;
    uint32_t cursor = 0;
    uint64_t hops = 0, distances = 0;
    float found_distances[GRAPH_SLOTS] ALIGNED(64);
    uint32_t found_nodes[GRAPH_SLOTS] ALIGNED(64);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) found_distances[i] = INFINITY;
    for (;;) {
        uint32_t seen[GRAPH_SLOTS], seen_count = 0, found = 0;
        while (cursor < count && (scratch->nodes[cursor] & LOOP_EXPANDED) != 0) cursor++;
        if (cursor == count) break;
        if (bounded && count >= effort->near &&
            scratch->distances[cursor] > effort->stretch * scratch->distances[effort->near - 1])
            break;
        if (effort->trace != NULL)
            graph_trace_note(effort->trace, scratch->distances[cursor], cursor, scratch->distances,
                             count, distances);
        const uint32_t *links = graph_links(graph, scratch->nodes[cursor]);
        scratch->nodes[cursor] |= LOOP_EXPANDED;
        hops++;
        /* Whether a neighbour is new or near can't be predicted: no branches. */
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
            const uint32_t neighbour = (links[slot] & GRAPH_NODE_MASK) - 1;
            if (neighbour >= node_end) continue; /* Empty slots too. */
            uint64_t *word = &scratch->visited[neighbour / 64];
            const uint64_t before = *word, bit = UINT64_C(1) << (neighbour % 64);
            *word = before | bit;
            seen[seen_count] = neighbour;
            seen_count += (before & bit) == 0;
        }
        LOOP_NAME(touch)(scratch, seen, seen_count);
        const uint8_t *rows[GRAPH_SLOTS + 3];
        float measured[GRAPH_SLOTS + 3];
        for (uint32_t i = 0; i < seen_count; i++) {
            rows[i] = graph_code(graph, seen[i]);
            LOOP_NAME(fetch)(rows[i], graph->codes.stride);
        }
        const float limit = count == ef ? scratch->distances[ef - 1] : INFINITY;
        LOOP_NAME(measure_rows)(graph, query, rows, seen_count, measured);
        for (uint32_t i = 0; i < seen_count; i++) {
            found_distances[found] = measured[i];
            found_nodes[found] = seen[i];
            found += measured[i] < limit;
        }
        if (found < GRAPH_SLOTS) found_distances[found] = INFINITY;
        distances += seen_count;
        if (effort->trace != NULL) {
            const float far = count >= effort->keep ? scratch->distances[effort->keep - 1]
                                                    : INFINITY;
            for (uint32_t i = 0; i < found; i++) {
                if (found_distances[i] < far)
                    graph_trace_meet(effort->trace, found_distances[i], found_nodes[i]);
            }
        }
        if (found != 0) {
            const uint32_t lowest = LOOP_NAME(merge)(scratch->distances, scratch->nodes, &count, ef,
                                                     found_distances, found_nodes, found);
            if (lowest < cursor) cursor = lowest;
            for (uint32_t i = 0; i < found; i++) found_distances[i] = INFINITY;
        }
        /* The row of the node that is probably expanded after the next one; the next one's was
         * asked for a round ago, or waits. */
        for (uint32_t at = cursor, ahead = 0; at < count && ahead < 2; at++) {
            if ((scratch->nodes[at] & LOOP_EXPANDED) != 0) continue;
            LOOP_NAME(fetch)
            ((const uint8_t *)graph_links(graph, scratch->nodes[at]), GRAPH_LINKS_SIZE);
            ahead++;
        }
    }
    scratch->counts.hops += hops;
    scratch->counts.distances += distances;
    scratch->counts.bytes += hops * GRAPH_LINKS_SIZE + distances * graph->codes.stride;
    return count;
}

/* Down the layers with a pool of one, as HNSW does: what is nearest in the lowest becomes the pool,
 * unless it is dead or newer than the walk. Pools of 2, 4 and 8 cost more than they save. */
static LOOP_TARGET RACY_READS uint32_t LOOP_NAME(descend)(const struct graph *graph,
                                                          const struct graph_query *query,
                                                          const struct graph_layers *layers,
                                                          struct graph_scratch *scratch)
{
    const struct graph_effort effort = {.ef = 1};
    const struct graph_layer *layer = &layers->layers[layers->count - 1];
    uint32_t *found = &scratch->nodes[0];
    if (LOOP_NAME(enter_table)(&layer->graph, query, 1, layer->count, scratch) == 0) return 0;
    for (;; layer--) {
        *found &= ~LOOP_EXPANDED;
        (void)LOOP_NAME(visit)(scratch, *found);
        (void)LOOP_NAME(expand)(&layer->graph, query, &effort, layer->count, 1, scratch);
        graph_scratch_forget(scratch);
        if (layer == layers->layers) break;
    }
    *found = layers->nodes[*found & ~LOOP_EXPANDED];
    return *found < scratch->node_end && !graph_is_dead(graph, *found) ? 1 : 0;
}

/* The nodes that a walk begins with become the pool. */
LOOP_INLINE uint32_t LOOP_NAME(enter)(const struct graph *graph, const struct graph_query *query,
                                      const struct graph_effort *effort,
                                      struct graph_scratch *scratch)
{
    const uint32_t wanted = effort->ef < GRAPH_ENTERED ? effort->ef : GRAPH_ENTERED;
    if (effort->enter == GRAPH_ENTER_NODE) {
        scratch->nodes[0] = effort->from;
        scratch->distances[0] = LOOP_NAME(measure_node)(graph, query, effort->from);
        return 1;
    }
    if (effort->enter == GRAPH_ENTER_LAYERS) {
        const struct graph_layers *layers = atomic_load_acquire_pointer(&graph->layers);
        if (layers != NULL && layers->layers[0].count <= scratch->node_end) {
            const uint32_t count = LOOP_NAME(descend)(graph, query, layers, scratch);
            if (count != 0) return count;
        }
    }
    return LOOP_NAME(enter_table)(graph, query, wanted, scratch->node_end, scratch);
}

LOOP_INLINE void LOOP_NAME(fetch_hop)(const struct graph *graph, uint32_t node)
{
    LOOP_NAME(fetch)(graph_code(graph, node), graph->codes.stride);
    LOOP_NAME(fetch)(graph_edges(graph, node), graph->edge_size);
    LOOP_NAME(fetch)((const uint8_t *)graph_links(graph, node), GRAPH_LINKS_SIZE);
}

/* The place of the nearest of the pool that isn't expanded, from `cursor` on, which is marked and
 * visited; `count` when none is left below the limit. */
LOOP_INLINE uint32_t LOOP_NAME(pool_take)(struct graph_scratch *scratch, uint32_t cursor,
                                          uint32_t count, float limit)
{
    for (; cursor < count; cursor++) {
        const uint32_t candidate = scratch->nodes[cursor];
        if ((candidate & LOOP_EXPANDED) != 0) continue;
        if (scratch->distances[cursor] > limit) return count;
        scratch->nodes[cursor] = candidate | LOOP_EXPANDED;
        if (LOOP_NAME(visit)(scratch, candidate)) break;
    }
    return cursor;
}

/* queued: what was found waits in a queue, else in the sorted pool. The same nodes are expanded in
 * the same order, but where estimates are equal. */
LOOP_INLINE uint32_t LOOP_NAME(walk_edges_by)(const struct graph *graph,
                                              const struct graph_query *query,
                                              const struct graph_effort *effort,
                                              struct graph_scratch *scratch, bool queued)
{
    const uint32_t ef = effort->ef, keep = effort->keep;
    const bool bounded = effort->stretch > 0 && !graph->inner_product;
    uint32_t count = LOOP_NAME(enter)(graph, query, effort, scratch);
    uint32_t cursor = 0, kept = 0;
    uint64_t hops = 0;
    uint32_t next = UINT32_MAX;
    uint16_t sums[GRAPH_SLOTS] ALIGNED(64);
    float estimates[GRAPH_SLOTS] ALIGNED(64), found_distances[GRAPH_SLOTS] ALIGNED(64);
    uint32_t found_nodes[GRAPH_SLOTS] ALIGNED(64);
    int64_t found_keys[GRAPH_SLOTS];
    struct graph_queue queue;
    if (queued) LOOP_NAME(queue_begin)(&queue, ef, count, scratch);
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) found_distances[i] = INFINITY;
    for (;;) {
        /* The node whose memory was asked for in the last round, then the nearest one left. */
        const uint32_t node = next;
        float limit = INFINITY, estimate = 0;
        uint32_t rank = 0;
        next = UINT32_MAX;
        if (bounded && kept >= effort->near)
            limit = effort->stretch * scratch->near_distances[effort->near - 1];
        if (queued) {
            const int64_t key = LOOP_NAME(queue_take)(&queue, ef, limit, scratch);
            if (key != GRAPH_QUEUE_NONE) {
                next = graph_queue_node(key);
                estimate = graph_queue_distance(key);
                rank = queue.last;
            }
        } else {
            rank = cursor = LOOP_NAME(pool_take)(scratch, cursor, count, limit);
            if (cursor < count) {
                next = scratch->nodes[cursor] & ~LOOP_EXPANDED;
                estimate = scratch->distances[cursor++];
            }
        }
        if (next != UINT32_MAX) {
            if (effort->trace != NULL)
                graph_trace_note(effort->trace, estimate, rank, scratch->near_distances, kept,
                                 hops);
            LOOP_NAME(fetch_hop)(graph, next);
        }
        if (node == UINT32_MAX) {
            if (next == UINT32_MAX) break;
            continue;
        }
        hops++;
        const float distance = LOOP_NAME(measure)(graph, query, graph_code(graph, node));
        if ((kept < keep || distance < scratch->near_distances[keep - 1]) &&
            !graph_is_dead(graph, node)) {
            (void)LOOP_NAME(pool_insert)(scratch->near_distances, scratch->near_nodes, &kept, keep,
                                         distance, node);
            if (effort->trace != NULL) graph_trace_meet(effort->trace, distance, node);
        }
        if (bounded && kept >= effort->near)
            limit = effort->stretch * scratch->near_distances[effort->near - 1];
        float farthest = INFINITY;
        if (queued) farthest = graph_queue_above(queue.limit);
        else if (count == ef) farthest = scratch->distances[ef - 1];
        if (farthest < limit) limit = farthest;

        const uint8_t *edges = graph_edges(graph, node);
        LOOP_NAME(scan)(edges, query->table, graph->bits, sums);
        uint32_t mask = LOOP_NAME(below)(query, distance,
                                         (const uint16_t *)(const void *)(edges + graph->bits * 4),
                                         sums, limit, estimates);
        const uint32_t *links = graph_links(graph, node);
        uint32_t found = 0;
        while (mask != 0) {
            const uint32_t slot = (uint32_t)__builtin_ctz(mask);
            mask &= mask - 1;
            const uint32_t neighbour = (links[slot] & GRAPH_NODE_MASK) - 1;
            if (neighbour >= scratch->node_end) continue; /* Empty slots too. */
            if (queued) {
                found_keys[found] = graph_queue_key(estimates[slot], neighbour);
            } else {
                found_distances[found] = estimates[slot];
                found_nodes[found] = neighbour;
            }
            found += (uint32_t)(~scratch->visited[neighbour / 64] >> (neighbour % 64)) & 1;
        }
        if (queued) {
            LOOP_NAME(queue_put)(&queue, found_keys, found);
            LOOP_NAME(queue_cut)(&queue, ef);
            continue;
        }
        if (found < GRAPH_SLOTS) found_distances[found] = INFINITY;
        if (found == 0) continue;
        const uint32_t lowest = LOOP_NAME(merge)(scratch->distances, scratch->nodes, &count, ef,
                                                 found_distances, found_nodes, found);
        if (lowest < cursor) cursor = lowest;
        for (uint32_t i = 0; i < found; i++) found_distances[i] = INFINITY;
    }
    scratch->counts.hops += hops;
    scratch->counts.distances += hops;
    scratch->counts.estimates += hops * GRAPH_SLOTS;
    scratch->counts.bytes += hops * (graph->codes.stride + graph->edge_size + GRAPH_LINKS_SIZE);
    for (uint32_t i = 0; i < kept; i++)
        scratch->kept[i] = (struct graph_candidate){.distance = scratch->near_distances[i],
                                                    .node = scratch->near_nodes[i]};
    return kept;
}

static LOOP_TARGET RACY_READS uint32_t LOOP_NAME(walk_edges)(const struct graph *graph,
                                                             const struct graph_query *query,
                                                             const struct graph_effort *effort,
                                                             struct graph_scratch *scratch)
{
    return LOOP_NAME(walk_edges_by)(graph, query, effort, scratch, false);
}

static LOOP_TARGET RACY_READS uint32_t LOOP_NAME(walk_edges_far)(const struct graph *graph,
                                                                 const struct graph_query *query,
                                                                 const struct graph_effort *effort,
                                                                 struct graph_scratch *scratch)
{
    return LOOP_NAME(walk_edges_by)(graph, query, effort, scratch, true);
}

static LOOP_TARGET RACY_READS uint32_t LOOP_NAME(walk_codes)(const struct graph *graph,
                                                             const struct graph_query *query,
                                                             const struct graph_effort *effort,
                                                             struct graph_scratch *scratch)
{
    uint32_t count = LOOP_NAME(enter)(graph, query, effort, scratch);
    for (uint32_t i = 0; i < count; i++) {
        (void)LOOP_NAME(visit)(scratch, scratch->nodes[i]);
        if (effort->trace != NULL)
            graph_trace_meet(effort->trace, scratch->distances[i], scratch->nodes[i]);
    }
    count = LOOP_NAME(expand)(graph, query, effort, scratch->node_end, count, scratch);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count && kept < effort->keep; i++) {
        const uint32_t node = scratch->nodes[i] & ~LOOP_EXPANDED;
        if (graph_is_dead(graph, node)) continue;
        scratch->kept[kept++] = (struct graph_candidate){.distance = scratch->distances[i],
                                                         .node = node};
    }
    scratch->pool_count = count;
    return kept;
}

static LOOP_TARGET RACY_READS float
LOOP_NAME(distance)(const struct graph *graph, const struct graph_query *query, uint32_t node)
{
    return LOOP_NAME(measure_node)(graph, query, node);
}
#endif
