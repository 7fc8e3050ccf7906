/* graph_portable.c - the walks in plain C: any processor, and what the others are tested against. */
#include "index/vector/graph_kernels.h"

#include <math.h>
#include <string.h>

#define LOOP_TARGET
#define LOOP_NAME(name) graph_portable_##name

static ALWAYS_INLINE int32_t graph_portable_dot(const uint8_t *code, const int8_t *digits,
                                                uint32_t size)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < size; i++) sum += (int32_t)code[i] * digits[i];
    return sum;
}

static ALWAYS_INLINE void graph_portable_scan(const uint8_t *edges, const uint8_t *table,
                                              uint32_t bits, uint16_t *sums)
{
    memset(sums, 0, GRAPH_SLOTS * sizeof *sums);
    for (uint32_t at = 0; at < bits * 4; at += 16) {
        for (uint32_t j = 0; j < 16; j++) {
            sums[j] = (uint16_t)(sums[j] + table[at + (edges[at + j] & 15u)]);
            sums[j + 16] = (uint16_t)(sums[j + 16] + table[at + (edges[at + j] >> 4)]);
        }
    }
}

/* Exact: every f16 is an f32. */
static float graph_portable_half(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = half >> 10 & 31u, fraction = half & 1023u;
    if (exponent == 0) {
        const float value = (float)fraction * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    const uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static ALWAYS_INLINE uint32_t graph_portable_below(const struct graph_query *query, float distance,
                                                   const uint16_t *factors, const uint16_t *sums,
                                                   float limit, float *estimates)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        const float a = graph_portable_half((uint16_t)(factors[i] ^ GRAPH_A_EMPTY));
        const float f = graph_portable_half(factors[GRAPH_SLOTS + i]);
        estimates[i] = fmaf(-f, fmaf(query->table_step, (float)sums[i], query->table_low),
                            distance + a);
        mask |= (uint32_t)(estimates[i] < limit) << i;
    }
    return mask;
}

static ALWAYS_INLINE uint32_t graph_portable_rank(const float *distances, uint32_t count,
                                                  float distance)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (distances[middle] <= distance) low = middle + 1;
        else high = middle;
    }
    return low;
}

#include "index/vector/graph_loop.h"

/* The order of graph_kernels.h. */
static float graph_portable_sum(float lanes[16])
{
    for (uint32_t half = 8; half > 0; half /= 2)
        for (uint32_t i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

static void graph_portable_tabulate(struct graph_query *query, uint32_t bits)
{
    const float *x = query->spread;
    float range = 0;
    for (uint32_t i = 0; i < bits; i += 4) {
        const float group = (fabsf(x[i]) + fabsf(x[i + 1])) + (fabsf(x[i + 2]) + fabsf(x[i + 3]));
        if (group > range) range = group;
    }
    query->table_step = graph_step(range, 255);
    const float multiplier = GRAPH_TABLE_FINE / query->table_step;
    int32_t total = 0;
    for (uint32_t i = 0; i < bits; i += 4) {
        int32_t fine[4], base = GRAPH_TABLE_FINE / 2;
        for (uint32_t j = 0; j < 4; j++) {
            fine[j] = (int32_t)lrintf(x[i + j] * multiplier);
            total += fine[j] < 0 ? -fine[j] : fine[j];
            base -= fine[j] < 0 ? fine[j] : 0;
        }
        for (uint32_t entry = 0; entry < 16; entry++) {
            int32_t sum = base;
            for (uint32_t j = 0; j < 4; j++) sum += (entry >> j & 1) != 0 ? fine[j] : 0;
            query->table[i * 4 + entry] = (uint8_t)(sum / GRAPH_TABLE_FINE);
        }
    }
    query->table_low = graph_table_low(total, query->table_step);
}

static void graph_portable_digitize(struct graph_query *query, uint32_t size)
{
    const float *x = query->turned;
    float max = 0, squares[16] = {0};
    for (uint32_t i = 0; i < size; i++) {
        if (fabsf(x[i]) > max) max = fabsf(x[i]);
        squares[i % 16] = fmaf(x[i], x[i], squares[i % 16]);
    }
    query->square = graph_portable_sum(squares);
    query->step = graph_step(max, 127);
    const float inverse = 1 / query->step;
    int32_t sum = 0;
    for (uint32_t i = 0; i < size; i++) {
        const int32_t digit = (int32_t)lrintf(x[i] * inverse);
        query->digits[i] = (int8_t)digit;
        sum += digit;
    }
    query->sum = (float)sum;
}

static void graph_portable_relate(const float *p, const float *o, uint32_t dim, uint32_t bits,
                                  uint64_t *words, float sums[3])
{
    float square[16] = {0}, size[16] = {0}, turned[16] = {0};
    memset(words, 0, GRAPH_BITS_MAX / 8);
    for (uint32_t i = 0; i < dim; i++) {
        const float rest = o[i] - p[i];
        square[i % 16] = fmaf(rest, rest, square[i % 16]);
        if (i >= bits) continue;
        if (rest > 0) words[i / 64] |= UINT64_C(1) << (i % 64);
        size[i % 16] += fabsf(rest);
        turned[i % 16] += rest > 0 ? p[i] : -p[i];
    }
    sums[0] = graph_portable_sum(square);
    sums[1] = graph_portable_sum(size) / 2;
    sums[2] = graph_portable_sum(turned) / 2;
}

const struct graph_kernels graph_kernels_portable = {
    .name = "portable",
    .features = 0,
    .walk_edges = graph_portable_walk_edges,
    .walk_edges_far = graph_portable_walk_edges_far,
    .walk_codes = graph_portable_walk_codes,
    .distance = graph_portable_distance,
    .digitize = graph_portable_digitize,
    .tabulate = graph_portable_tabulate,
    .relate = graph_portable_relate,
};
