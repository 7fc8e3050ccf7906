#include "index/vector/graph.h"

#include <assert.h>
#include <string.h>

#include "index/vector/graph_kernels.h"

void graph_column_init(struct graph_column *column, uint8_t *base, uint32_t stride,
                       uint32_t per_block, uint32_t block_size)
{
    assert(per_block != 0);
    uint32_t log = 0;
    while ((UINT64_C(2) << log) <= per_block) log++;
    /* index * per_block < 2^(32 + log): the remainder of the division below never reaches a unit
     * (Granlund and Montgomery 1994). */
    *column = (struct graph_column){.base = base,
                                    .stride = stride,
                                    .per_block = per_block,
                                    .shift = 32 + log,
                                    .block_size = block_size};
    const uint64_t power = UINT64_C(1) << column->shift;
    column->magic = power / per_block + (power % per_block != 0 ? 1 : 0);
}

uint32_t graph_bits(uint32_t dim)
{
    uint32_t power = GRAPH_SPREAD_MIN;
    while (power < dim) power *= 2;
    if (power <= GRAPH_SPREAD_MAX) return power;
    const uint32_t most = dim > GRAPH_BITS_MAX ? GRAPH_BITS_LONG : GRAPH_BITS_MAX;
    const uint32_t bits = (dim + GRAPH_BITS_MULTIPLE - 1) / GRAPH_BITS_MULTIPLE *
                          GRAPH_BITS_MULTIPLE;
    return bits < most ? bits : most;
}

void graph_init(struct graph *graph, const struct kernels *kernels, uint32_t features, uint32_t dim,
                omendb_metric metric)
{
    *graph = (struct graph){.kernels = kernels,
                            .search = graph_kernels_for(features),
                            .dim = dim,
                            .entry_share = graph_edges_pay(dim) ? GRAPH_ENTRY_SHARE
                                                                : GRAPH_ENTRY_SHARE_PLAIN,
                            .size = codes_stride(dim) - CODES_HEADER_SIZE,
                            .bits = graph_bits(dim),
                            .inner_product = metric == OMENDB_IP,
                            .unit = 1};
    graph->edge_size = 4 * graph->bits + GRAPH_FACTORS_SIZE;
    graph->spread = graph->bits > dim && graph->bits <= GRAPH_SPREAD_MAX;
    /* Weyl's sequence by the golden ratio, mixed: the same for ever, since it may be stored one day. */
    for (uint32_t i = 0; i < COUNT_OF(graph->spread_signs); i++) {
        const uint64_t x = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
        graph->spread_signs[i] = (x ^ x >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
    }
}

void graph_spread(const struct graph *graph, float *x)
{
    graph->kernels->flip_signs(x, graph->spread_signs, graph->bits);
    graph->kernels->fht(x, graph->bits);
}

/* ---- Edges --------------------------------------------------------------------- */

/* The nearest f16 that isn't an infinity. */
static uint16_t graph_half(const struct graph *graph, float value)
{
    uint16_t half = 0;
    if (value > 65504) value = 65504;
    else if (value < -65504) value = -65504;
    (void)graph->kernels->from_f32[OMENDB_F16](&value, &half, 1);
    return half;
}

static void graph_signs_write(uint8_t *edges, uint32_t bits, uint32_t slot, const uint64_t *words)
{
    const uint32_t shift = slot >= 16 ? 4 : 0;
    const uint8_t others = slot >= 16 ? 0x0F : 0xF0;
    uint8_t *at = edges + (slot & 15);
    for (uint32_t i = 0; i < bits; i += 4, at += 16) {
        const uint32_t nibble = (uint32_t)(words[i / 64] >> (i % 64)) & 15u;
        *at = (uint8_t)((*at & others) | nibble << shift);
    }
}

/* The place of a node as signs see it. out: [graph_edges_room() / 2] */
static void graph_place(const struct graph *graph, uint32_t node, float *restrict out)
{
    const uint8_t *row = graph_code(graph, node);
    const struct code_header *header = (const void *)row;
    const uint8_t *restrict code = row + CODES_HEADER_SIZE;
    const float low = header->low * graph->unit, scale = header->scale * graph->unit;
    (void)graph->kernels->to_f32[OMENDB_U8](code, out, graph->dim);
    /* In steps of 16, for compilers that vectorise loops of known length only. */
    for (uint32_t at = 0; at < graph->dim; at += 16)
        for (uint32_t i = 0; i < 16; i++) out[at + i] = scale * out[at + i] + low;
    const uint32_t end = graph->spread ? graph->bits : (graph->dim + 15) / 16 * 16;
    memset(out + graph->dim, 0, (end - graph->dim) * sizeof *out);
    if (graph->spread) graph_spread(graph, out);
}

size_t graph_edges_room(const struct graph *graph)
{
    return 2 * (size_t)(graph->bits > graph->size ? graph->bits : graph->size);
}

/* node: GRAPH_NONE = one at the frame's centre. */
static void graph_edges_write(const struct graph *graph, uint8_t *edges, uint32_t bits,
                              uint32_t node, const uint32_t *links, uint32_t mask, float *scratch)
{
    uint16_t *a = (uint16_t *)(void *)(edges + bits * 4), *f = a + GRAPH_SLOTS;
    float *p = scratch, *o = scratch + graph_edges_room(graph) / 2;
    const uint32_t dim = graph->spread ? bits : graph->dim;
    bool placed = false;
    for (; mask != 0; mask &= mask - 1) {
        const uint32_t slot = (uint32_t)__builtin_ctz(mask);
        a[slot] = 0; /* Empty: whoever reads on skips the slot. */
        atomic_thread_fence(memory_order_release);
        if (links[slot] == 0) continue;
        if (!placed && node != GRAPH_NONE) graph_place(graph, node, p);
        else if (!placed) memset(p, 0, graph_edges_room(graph) / 2 * sizeof *p);
        placed = true;
        graph_place(graph, graph_slot_node(links[slot]), o);
        uint64_t words[GRAPH_BITS_MAX / 64];
        float sums[3];
        graph->search->relate(p, o, dim, bits, words, sums);
        /* Equal codes (r = 0) say nothing about the direction: the estimate is the distance. */
        const float factor = sums[1] > 0 ? sums[0] / sums[1] : 0;
        graph_signs_write(edges, bits, slot, words);
        f[slot] = graph_half(graph, 2 * factor);
        const uint16_t value = graph_half(
            graph, graph->inner_product ? 0 : sums[0] + 2 * factor * sums[2]);
        atomic_thread_fence(memory_order_release);
        a[slot] = (uint16_t)(value ^ GRAPH_A_EMPTY);
    }
}

void graph_edges_encode(const struct graph *graph, uint32_t node, const uint32_t *links,
                        uint32_t mask, float *scratch)
{
    graph_edges_write(graph, graph_edges(graph, node), graph->bits, node, links, mask, scratch);
}

void graph_edges_encode_centre(const struct graph *graph, uint8_t *edges, const uint32_t *links,
                               uint32_t mask, float *scratch)
{
    graph_edges_write(graph, edges, graph_entry_bits(graph), GRAPH_NONE, links, mask, scratch);
}
