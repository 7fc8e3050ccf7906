/* graph_neon.c - the walks with NEON (every AArch64 processor).
 *
 * A step of the scan takes 16 bytes, one group of four dimensions: two table lookups and four
 * widening additions. Two products 127 * 127 fit 16 bits; pairs of them are then added to 32.
 */
#include "index/vector/graph_kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#define LOOP_TARGET
#define LOOP_NAME(name) graph_neon_##name

static ALWAYS_INLINE int32_t graph_neon_dot(const uint8_t *code, const int8_t *digits,
                                            uint32_t size)
{
    int32x4_t even = vdupq_n_s32(0), odd = even;
    uint32_t i = 0;
    for (; i + 32 <= size; i += 32) {
        const int8x16_t first = vreinterpretq_s8_u8(vld1q_u8(code + i));
        const int8x16_t second = vreinterpretq_s8_u8(vld1q_u8(code + i + 16));
        const int8x16_t by_first = vld1q_s8(digits + i), by_second = vld1q_s8(digits + i + 16);
        const int16x8_t low = vmull_s8(vget_low_s8(first), vget_low_s8(by_first));
        const int16x8_t high = vmull_high_s8(first, by_first);
        even = vpadalq_s16(even, vmlal_s8(low, vget_low_s8(second), vget_low_s8(by_second)));
        odd = vpadalq_s16(odd, vmlal_high_s8(high, second, by_second));
    }
    if (i < size) {
        const int8x16_t last = vreinterpretq_s8_u8(vld1q_u8(code + i)), by = vld1q_s8(digits + i);
        even = vpadalq_s16(even, vmull_s8(vget_low_s8(last), vget_low_s8(by)));
        odd = vpadalq_s16(odd, vmull_high_s8(last, by));
    }
    return vaddvq_s32(vaddq_s32(even, odd));
}

/* Sums stay below 2^16: 128 groups * 255. */
static ALWAYS_INLINE void graph_neon_scan(const uint8_t *edges, const uint8_t *table, uint32_t bits,
                                          uint16_t *sums)
{
    const uint8x16_t nibble = vdupq_n_u8(15);
    uint16x8_t first = vdupq_n_u16(0), second = first, third = first, fourth = first;
    for (uint32_t at = 0; at < bits * 4; at += 16) {
        const uint8x16_t codes = vld1q_u8(edges + at), entries = vld1q_u8(table + at);
        const uint8x16_t lows = vqtbl1q_u8(entries, vandq_u8(codes, nibble));
        const uint8x16_t highs = vqtbl1q_u8(entries, vshrq_n_u8(codes, 4));
        first = vaddw_u8(first, vget_low_u8(lows));
        second = vaddw_high_u8(second, lows);
        third = vaddw_u8(third, vget_low_u8(highs));
        fourth = vaddw_high_u8(fourth, highs);
    }
    vst1q_u16(sums, first);
    vst1q_u16(sums + 8, second);
    vst1q_u16(sums + 16, third);
    vst1q_u16(sums + 24, fourth);
}

/* One bit of a number for each lane of all ones. */
static ALWAYS_INLINE uint32_t graph_neon_mask(uint32x4_t lanes)
{
    static const uint32_t weights[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(lanes, vld1q_u32(weights)));
}

static ALWAYS_INLINE float32x4_t graph_neon_half(const uint16_t *halves, uint16_t flipped)
{
    const uint16x4_t bits = veor_u16(vld1_u16(halves), vdup_n_u16(flipped));
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}

static ALWAYS_INLINE uint32_t graph_neon_below(const struct graph_query *query, float distance,
                                               const uint16_t *factors, const uint16_t *sums,
                                               float limit, float *estimates)
{
    const float32x4_t base = vdupq_n_f32(distance), limits = vdupq_n_f32(limit);
    const float32x4_t table_low = vdupq_n_f32(query->table_low);
    const float32x4_t table_step = vdupq_n_f32(query->table_step);
    uint32_t mask = 0;
    UNROLL(8)
    for (uint32_t i = 0; i < GRAPH_SLOTS; i += 4) {
        const float32x4_t sum = vcvtq_f32_u32(vmovl_u16(vld1_u16(sums + i)));
        const float32x4_t a = graph_neon_half(factors + i, GRAPH_A_EMPTY);
        const float32x4_t f = graph_neon_half(factors + GRAPH_SLOTS + i, 0);
        const float32x4_t product = vfmaq_f32(table_low, table_step, sum);
        const float32x4_t estimate = vfmsq_f32(vaddq_f32(base, a), f, product);
        vst1q_f32(estimates + i, estimate);
        mask |= graph_neon_mask(vcltq_f32(estimate, limits)) << i;
    }
    return mask;
}

static ALWAYS_INLINE uint32_t graph_neon_rank(const float *distances, uint32_t count,
                                              float distance)
{
    const float32x4_t wanted = vdupq_n_f32(distance);
    for (uint32_t rank = 0; rank < count; rank += 8) { /* The arrays reach beyond their capacity. */
        const uint32x4_t low = vcleq_f32(vld1q_f32(distances + rank), wanted);
        const uint32x4_t high = vcleq_f32(vld1q_f32(distances + rank + 4), wanted);
        const uint32_t below = graph_neon_mask(low) | graph_neon_mask(high) << 4;
        const uint32_t within = count - rank >= 8 ? 0xFFu : (1u << (count - rank)) - 1;
        if ((below & within) != 0xFFu) return rank + (uint32_t)__builtin_popcount(below & within);
    }
    return count;
}

static ALWAYS_INLINE int64x2_t graph_neon_smaller(int64x2_t a, int64x2_t b)
{
    return vbslq_s64(vcgtq_s64(a, b), b, a);
}

static ALWAYS_INLINE int64x2_t graph_neon_larger(int64x2_t a, int64x2_t b)
{
    return vbslq_s64(vcgtq_s64(a, b), a, b);
}

/* Sorted, the k-th smallest after a key came is min(a[k], max(a[k - 1], key)). */
#define LOOP_HAS_QUEUE_ADD
static ALWAYS_INLINE uint32_t graph_neon_queue_add(int64_t *near, int64_t *bound,
                                                   const int64_t *keys, uint32_t count,
                                                   int64_t *out)
{
    enum { REGISTERS = GRAPH_QUEUE_NEAR / 2 };
    int64x2_t sorted[REGISTERS];
    int64_t least = *bound;
    uint32_t passed = 0;
    UNROLL(16)
    for (int i = 0; i < REGISTERS; i++) sorted[i] = vld1q_s64(near + 2 * i);
    for (uint32_t i = 0; i < count; i++) {
        const bool below = keys[i] < least;
        const int64x2_t key = vdupq_n_s64(below ? keys[i] : GRAPH_QUEUE_NONE);
        const int64_t last = vgetq_lane_s64(sorted[REGISTERS - 1], 1);
        UNROLL(16)
        for (int j = REGISTERS - 1; j >= 0; j--) {
            const int64x2_t lower = j > 0 ? sorted[j - 1] : vdupq_n_s64(INT64_MIN);
            const int64x2_t before = vextq_s64(lower, sorted[j], 1);
            sorted[j] = graph_neon_smaller(sorted[j], graph_neon_larger(before, key));
        }
        const int64_t passing = below && keys[i] < last ? last : keys[i];
        out[passed] = passing;
        passed += passing != GRAPH_QUEUE_NONE;
        least = passing < least ? passing : least;
    }
    UNROLL(16)
    for (int i = 0; i < REGISTERS; i++) vst1q_s64(near + 2 * i, sorted[i]);
    *bound = least;
    return passed;
}

/* Whole registers: a load across two fresh stores would wait for them. */
#define LOOP_HAS_QUEUE_DROP
static ALWAYS_INLINE void graph_neon_queue_drop(int64_t *near)
{
    int64x2_t low = vld1q_s64(near);
    UNROLL(16)
    for (int i = 0; i < GRAPH_QUEUE_NEAR; i += 2) {
        const int64x2_t high = i + 2 < GRAPH_QUEUE_NEAR ? vld1q_s64(near + i + 2)
                                                        : vdupq_n_s64(GRAPH_QUEUE_NONE);
        vst1q_s64(near + i, vextq_s64(low, high, 1));
        low = high;
    }
}

#include "index/vector/graph_loop.h"

/* Of 16 lanes, in the order of graph_kernels.h. */
static ALWAYS_INLINE float graph_neon_sum_floats(const float32x4_t lanes[4])
{
    const float32x4_t four = vaddq_f32(vaddq_f32(lanes[0], lanes[2]),
                                       vaddq_f32(lanes[1], lanes[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

/* 8 floats times `multiplier`, rounded to 16-bit words. */
static ALWAYS_INLINE int16x8_t graph_neon_round_words(const float *x, float multiplier)
{
    return vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), multiplier))),
                        vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), multiplier))));
}

/* The 16 entries of one group, as graph_kernels.h defines them. */
static ALWAYS_INLINE void graph_neon_entries(int16x4_t fine, uint8_t *table)
{
    static const uint16_t bits[3][8] = {
        {0, UINT16_MAX, 0, UINT16_MAX, 0, UINT16_MAX, 0, UINT16_MAX},
        {0, 0, UINT16_MAX, UINT16_MAX, 0, 0, UINT16_MAX, UINT16_MAX},
        {0, 0, 0, 0, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX}};
    const uint16x4_t words = vreinterpret_u16_s16(fine);
    const int16_t below = vaddv_s16(vmax_s16(vneg_s16(fine), vdup_n_s16(0)));
    uint16x8_t low = vdupq_n_u16((uint16_t)below);
    low = vaddq_u16(low, vandq_u16(vdupq_lane_u16(words, 0), vld1q_u16(bits[0])));
    low = vaddq_u16(low, vandq_u16(vdupq_lane_u16(words, 1), vld1q_u16(bits[1])));
    low = vaddq_u16(low, vandq_u16(vdupq_lane_u16(words, 2), vld1q_u16(bits[2])));
    const uint16x8_t high = vaddq_u16(low, vdupq_lane_u16(words, 3));
    vst1q_u8(table, vcombine_u8(vrshrn_n_u16(low, GRAPH_TABLE_SHIFT),
                                vrshrn_n_u16(high, GRAPH_TABLE_SHIFT)));
}

static void graph_neon_digitize(struct graph_query *query, uint32_t size)
{
    const float *x = query->turned;
    float32x4_t largest = vdupq_n_f32(0), squares[4];
    for (uint32_t part = 0; part < 4; part++) squares[part] = vdupq_n_f32(0);
    for (uint32_t i = 0; i < size; i += 16) {
        UNROLL(4)
        for (uint32_t part = 0; part < 4; part++) {
            const float32x4_t values = vld1q_f32(x + i + 4 * part);
            largest = vmaxq_f32(largest, vabsq_f32(values));
            squares[part] = vfmaq_f32(squares[part], values, values);
        }
    }
    query->square = graph_neon_sum_floats(squares);
    query->step = graph_step(vmaxvq_f32(largest), 127);
    const float inverse = 1 / query->step;
    int32x4_t sum = vdupq_n_s32(0);
    for (uint32_t i = 0; i < size; i += 16) {
        const int16x8_t early = graph_neon_round_words(x + i, inverse);
        const int16x8_t late = graph_neon_round_words(x + i + 8, inverse);
        sum = vpadalq_s16(sum, vaddq_s16(early, late));
        vst1q_s8(query->digits + i, vcombine_s8(vmovn_s16(early), vmovn_s16(late)));
    }
    query->sum = (float)vaddvq_s32(sum);
}

static void graph_neon_tabulate(struct graph_query *query, uint32_t bits)
{
    const float *x = query->spread;
    float32x4_t ranges = vdupq_n_f32(0);
    for (uint32_t i = 0; i < bits; i += 8) {
        /* (x0 + x1) + (x2 + x3) of each group. */
        const float32x4_t pairs = vpaddq_f32(vabsq_f32(vld1q_f32(x + i)),
                                             vabsq_f32(vld1q_f32(x + i + 4)));
        ranges = vmaxq_f32(ranges, vpaddq_f32(pairs, pairs));
    }
    query->table_step = graph_step(vmaxvq_f32(ranges), 255);
    const float multiplier = GRAPH_TABLE_FINE / query->table_step;
    int32x4_t total = vdupq_n_s32(0);
    for (uint32_t i = 0; i < bits; i += 8) {
        const int16x8_t fine = graph_neon_round_words(x + i, multiplier);
        total = vpadalq_s16(total, vabsq_s16(fine));
        graph_neon_entries(vget_low_s16(fine), query->table + (size_t)i * 4);
        graph_neon_entries(vget_high_s16(fine), query->table + (size_t)i * 4 + 16);
    }
    query->table_low = graph_table_low(vaddvq_s32(total), query->table_step);
}

static void graph_neon_relate(const float *p, const float *o, uint32_t dim, uint32_t bits,
                              uint64_t *words, float sums[3])
{
    static const uint32_t lanes[4] = {0, 1, 2, 3};
    float32x4_t square[4], size[4], turned[4];
    for (uint32_t part = 0; part < 4; part++)
        square[part] = size[part] = turned[part] = vdupq_n_f32(0);
    memset(words, 0, GRAPH_BITS_MAX / 8);
    for (uint32_t i = 0; i < dim; i += 16) {
        UNROLL(4)
        for (uint32_t part = 0; part < 4; part++) {
            const uint32x4_t within = vcltq_u32(
                vaddq_u32(vld1q_u32(lanes), vdupq_n_u32(i + 4 * part)), vdupq_n_u32(dim));
            const float32x4_t point = vld1q_f32(p + i + 4 * part);
            const float32x4_t away = vsubq_f32(vld1q_f32(o + i + 4 * part), point);
            const float32x4_t rest = vreinterpretq_f32_u32(
                vandq_u32(within, vreinterpretq_u32_f32(away)));
            square[part] = vfmaq_f32(square[part], rest, rest);
            if (i >= bits) continue;
            const uint32x4_t positive = vcgtzq_f32(rest);
            words[i / 64] |= (uint64_t)graph_neon_mask(positive) << (i % 64 + 4 * part);
            size[part] = vaddq_f32(size[part], vabsq_f32(rest));
            turned[part] = vaddq_f32(turned[part], vbslq_f32(positive, point, vnegq_f32(point)));
        }
    }
    sums[0] = graph_neon_sum_floats(square);
    sums[1] = graph_neon_sum_floats(size) / 2;
    sums[2] = graph_neon_sum_floats(turned) / 2;
}

const struct graph_kernels graph_kernels_neon = {
    .name = "neon",
    .features = KERNELS_NEON,
    .walk_edges = graph_neon_walk_edges,
    .walk_edges_far = graph_neon_walk_edges_far,
    .walk_codes = graph_neon_walk_codes,
    .distance = graph_neon_distance,
    .digitize = graph_neon_digitize,
    .tabulate = graph_neon_tabulate,
    .relate = graph_neon_relate,
};

#endif
