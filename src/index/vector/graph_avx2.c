/* graph_avx2.c - the walks with AVX2, FMA and F16C.
 *
 * A step of the scan takes 32 bytes, two groups of four dimensions, one in each half of a register.
 * maddubs is exact for the products: 2 * 127 * 127 = 32,258.
 */
#include "index/vector/graph_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define LOOP_TARGET __attribute__((target("avx2,fma,f16c,popcnt")))
#define LOOP_NAME(name) graph_avx2_##name

static LOOP_TARGET ALWAYS_INLINE __m256i graph_avx2_load(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static LOOP_TARGET ALWAYS_INLINE int32_t graph_avx2_sum(__m256i lanes)
{
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}

/* Of 16 lanes, in the order of graph_kernels.h. */
static LOOP_TARGET ALWAYS_INLINE float graph_avx2_sum_floats(__m256 low, __m256 high)
{
    const __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

static LOOP_TARGET ALWAYS_INLINE float graph_avx2_largest(__m256 eight)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static LOOP_TARGET ALWAYS_INLINE __m256 graph_avx2_abs(__m256 values)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), values);
}

static LOOP_TARGET ALWAYS_INLINE int32_t graph_avx2_dot(const uint8_t *code, const int8_t *digits,
                                                        uint32_t size)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i even = _mm256_setzero_si256(), odd = even;
    uint32_t i = 0;
    for (; i + 64 <= size; i += 64) {
        const __m256i first = _mm256_maddubs_epi16(graph_avx2_load(code + i),
                                                   graph_avx2_load(digits + i));
        const __m256i second = _mm256_maddubs_epi16(graph_avx2_load(code + i + 32),
                                                    graph_avx2_load(digits + i + 32));
        even = _mm256_add_epi32(even, _mm256_madd_epi16(first, ones));
        odd = _mm256_add_epi32(odd, _mm256_madd_epi16(second, ones));
    }
    for (; i < size; i += 16) {
        const __m256i words = _mm256_mullo_epi16(
            _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(code + i))),
            _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(digits + i))));
        even = _mm256_add_epi32(even, _mm256_madd_epi16(words, ones));
    }
    return graph_avx2_sum(_mm256_add_epi32(even, odd));
}

/* 16-bit sums as in graph_avx512.c: of whole words, and of their odd bytes apart. */
static LOOP_TARGET ALWAYS_INLINE void graph_avx2_scan(const uint8_t *edges, const uint8_t *table,
                                                      uint32_t bits, uint16_t *sums)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i low = _mm256_setzero_si256(), low_odd = low, high = low, high_odd = low;
    for (uint32_t at = 0; at < bits * 4; at += 32) {
        const __m256i codes = graph_avx2_load(edges + at);
        const __m256i entries = graph_avx2_load(table + at);
        const __m256i lows = _mm256_shuffle_epi8(entries, _mm256_and_si256(codes, nibble));
        const __m256i highs = _mm256_shuffle_epi8(
            entries, _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble));
        low = _mm256_add_epi16(low, lows);
        low_odd = _mm256_add_epi16(low_odd, _mm256_srli_epi16(lows, 8));
        high = _mm256_add_epi16(high, highs);
        high_odd = _mm256_add_epi16(high_odd, _mm256_srli_epi16(highs, 8));
    }
    low = _mm256_sub_epi16(low, _mm256_slli_epi16(low_odd, 8));
    high = _mm256_sub_epi16(high, _mm256_slli_epi16(high_odd, 8));
    /* Words of `low` are slots 0, 2 .. 14, those of `low_odd` 1, 3 .. 15, of two groups. */
    const __m256i first = _mm256_unpacklo_epi16(low, low_odd);
    const __m256i second = _mm256_unpackhi_epi16(low, low_odd);
    const __m256i third = _mm256_unpacklo_epi16(high, high_odd);
    const __m256i fourth = _mm256_unpackhi_epi16(high, high_odd);
    __m256i *out = (__m256i *)(void *)sums;
    _mm256_storeu_si256(out, _mm256_add_epi16(_mm256_permute2x128_si256(first, second, 0x20),
                                              _mm256_permute2x128_si256(first, second, 0x31)));
    _mm256_storeu_si256(out + 1, _mm256_add_epi16(_mm256_permute2x128_si256(third, fourth, 0x20),
                                                  _mm256_permute2x128_si256(third, fourth, 0x31)));
}

static LOOP_TARGET ALWAYS_INLINE uint32_t graph_avx2_below(const struct graph_query *query,
                                                           float distance, const uint16_t *factors,
                                                           const uint16_t *sums, float limit,
                                                           float *estimates)
{
    const __m128i empty = _mm_set1_epi16(GRAPH_A_EMPTY);
    const __m256 base = _mm256_set1_ps(distance), limits = _mm256_set1_ps(limit);
    const __m256 table_low = _mm256_set1_ps(query->table_low);
    const __m256 table_step = _mm256_set1_ps(query->table_step);
    uint32_t mask = 0;
    UNROLL(4)
    for (uint32_t i = 0; i < GRAPH_SLOTS; i += 8) {
        const __m256 sum = _mm256_cvtepi32_ps(
            _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(sums + i))));
        const __m256 a = _mm256_cvtph_ps(
            _mm_xor_si128(empty, _mm_loadu_si128((const __m128i *)(const void *)(factors + i))));
        const __m256 f = _mm256_cvtph_ps(
            _mm_loadu_si128((const __m128i *)(const void *)(factors + GRAPH_SLOTS + i)));
        const __m256 product = _mm256_fmadd_ps(table_step, sum, table_low);
        const __m256 estimate = _mm256_fnmadd_ps(f, product, _mm256_add_ps(base, a));
        _mm256_storeu_ps(estimates + i, estimate);
        mask |= (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(estimate, limits, _CMP_LT_OQ)) << i;
    }
    return mask;
}

/* Without a branch that depends on where the value belongs, as in graph_avx512.c: bisection of a
 * long pool, then a count. */
static LOOP_TARGET ALWAYS_INLINE uint32_t graph_avx2_rank(const float *distances, uint32_t count,
                                                          float distance)
{
    const __m256 wanted = _mm256_set1_ps(distance);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const float *at = distances;
    uint32_t left = count;
    while (left > 128) {
        const uint32_t half = left / 2;
        at += at[half - 1] <= distance ? half : 0;
        left -= half;
    }
    const uint32_t rank = (uint32_t)(at - distances);
    __m256i below = _mm256_setzero_si256();
    for (; left >= 8; left -= 8, at += 8)
        below = _mm256_sub_epi32(
            below, _mm256_castps_si256(_mm256_cmp_ps(_mm256_loadu_ps(at), wanted, _CMP_LE_OQ)));
    const __m256i within = _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)left), lanes);
    const __m256i last = _mm256_castps_si256(
        _mm256_cmp_ps(_mm256_loadu_ps(at), wanted, _CMP_LE_OQ));
    below = _mm256_sub_epi32(below, _mm256_and_si256(within, last));
    return rank + (uint32_t)graph_avx2_sum(below);
}

/* All candidates of a hop at once, as in graph_avx512.c: a place is the number of pool members not
 * above a candidate plus that of candidates below it; blocks of 8 are put together from the last one
 * down. A lane of a block takes the pool member that lies `before` places further down, `before`
 * counting the candidates placed below it. */
#define LOOP_HAS_MERGE
static LOOP_TARGET ALWAYS_INLINE uint32_t graph_avx2_merge(float *pool_distances,
                                                           uint32_t *pool_nodes,
                                                           uint32_t *pool_count, uint32_t ef,
                                                           const float *distances,
                                                           const uint32_t *nodes, uint32_t count)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    float sorted_distances[GRAPH_SLOTS];
    uint32_t sorted_nodes[GRAPH_SLOTS], places[GRAPH_SLOTS];
    places[0] = ef; /* There is a nearest one, which the compiler can't know. */
    for (uint32_t i = 0; i < count; i++) {
        const __m256 wanted = _mm256_set1_ps(distances[i]);
        uint32_t below = 0, equal = 0;
        for (uint32_t at = 0; at < count; at += 8) { /* +inf from `count` on. */
            const __m256 others = _mm256_loadu_ps(distances + at);
            below |= (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(others, wanted, _CMP_LT_OQ)) << at;
            equal |= (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(others, wanted, _CMP_EQ_OQ)) << at;
        }
        const uint32_t rank = (uint32_t)__builtin_popcount(below | (equal & ((1u << i) - 1)));
        sorted_distances[rank] = distances[i];
        sorted_nodes[rank] = nodes[i];
        places[rank] = graph_avx2_rank(pool_distances, *pool_count, distances[i]) + rank;
    }
    const uint32_t lowest = places[0];
    if (lowest >= ef) return ef;
    const uint32_t grown = *pool_count + count < ef ? *pool_count + count : ef;
    uint32_t before = count;
    for (uint32_t begin = (grown - 1) / 8 * 8;; begin -= 8) {
        while (before > 0 && places[before - 1] >= begin + 8) before--;
        __m256i from = lanes, mine = _mm256_setzero_si256(), names = mine;
        __m256 block = _mm256_setzero_ps();
        for (; before > 0 && places[before - 1] >= begin; before--) {
            const __m256i place = _mm256_set1_epi32((int32_t)(places[before - 1] - begin));
            const __m256i here = _mm256_cmpeq_epi32(lanes, place);
            from = _mm256_add_epi32(from, _mm256_cmpgt_epi32(lanes, place));
            mine = _mm256_or_si256(mine, here);
            block = _mm256_blendv_ps(block, _mm256_set1_ps(sorted_distances[before - 1]),
                                     _mm256_castsi256_ps(here));
            names = _mm256_blendv_epi8(names, _mm256_set1_epi32((int32_t)sorted_nodes[before - 1]),
                                       here);
        }
        const __m256 members = _mm256_permutevar8x32_ps(
            _mm256_loadu_ps(pool_distances + (begin - before)), from);
        const __m256i members_names = _mm256_permutevar8x32_epi32(
            graph_avx2_load(pool_nodes + (begin - before)), from);
        block = _mm256_blendv_ps(members, block, _mm256_castsi256_ps(mine));
        names = _mm256_blendv_epi8(members_names, names, mine);
        _mm256_storeu_ps(pool_distances + begin, block);
        _mm256_storeu_si256((__m256i *)(void *)(pool_nodes + begin), names);
        if (before == 0) break;
    }
    *pool_count = grown;
    return lowest;
}

static LOOP_TARGET ALWAYS_INLINE __m256i graph_avx2_smaller(__m256i a, __m256i b)
{
    return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b));
}

static LOOP_TARGET ALWAYS_INLINE __m256i graph_avx2_larger(__m256i a, __m256i b)
{
    return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b));
}

/* As in graph_avx512.c; eight registers of four keys. */
#define LOOP_HAS_QUEUE_ADD
static LOOP_TARGET ALWAYS_INLINE uint32_t graph_avx2_queue_add(int64_t *near, int64_t *bound,
                                                               const int64_t *keys, uint32_t count,
                                                               int64_t *out)
{
    enum { REGISTERS = GRAPH_QUEUE_NEAR / 4 };
    __m256i sorted[REGISTERS];
    int64_t least = *bound;
    uint32_t passed = 0;
    UNROLL(8)
    for (int i = 0; i < REGISTERS; i++) sorted[i] = graph_avx2_load(near + 4 * i);
    for (uint32_t i = 0; i < count; i++) {
        const bool below = keys[i] < least;
        const __m256i key = _mm256_set1_epi64x(below ? keys[i] : GRAPH_QUEUE_NONE);
        const int64_t last = _mm256_extract_epi64(sorted[REGISTERS - 1], 3);
        UNROLL(8)
        for (int j = REGISTERS - 1; j >= 0; j--) {
            const __m256i lower = j > 0 ? sorted[j - 1] : _mm256_set1_epi64x(INT64_MIN);
            const __m256i middle = _mm256_permute2x128_si256(lower, sorted[j], 0x21);
            const __m256i before = _mm256_alignr_epi8(sorted[j], middle, 8);
            sorted[j] = graph_avx2_smaller(sorted[j], graph_avx2_larger(before, key));
        }
        const int64_t passing = below && keys[i] < last ? last : keys[i];
        out[passed] = passing;
        passed += passing != GRAPH_QUEUE_NONE;
        least = passing < least ? passing : least;
    }
    UNROLL(8)
    for (int i = 0; i < REGISTERS; i++)
        _mm256_store_si256((__m256i *)(void *)(near + 4 * i), sorted[i]);
    *bound = least;
    return passed;
}

/* Whole registers: a load across two fresh stores would wait for them. */
#define LOOP_HAS_QUEUE_DROP
static LOOP_TARGET ALWAYS_INLINE void graph_avx2_queue_drop(int64_t *near)
{
    __m256i low = graph_avx2_load(near);
    UNROLL(8)
    for (int i = 0; i < GRAPH_QUEUE_NEAR; i += 4) {
        const __m256i high = i + 4 < GRAPH_QUEUE_NEAR ? graph_avx2_load(near + i + 4)
                                                      : _mm256_set1_epi64x(GRAPH_QUEUE_NONE);
        const __m256i middle = _mm256_permute2x128_si256(low, high, 0x21);
        _mm256_store_si256((__m256i *)(void *)(near + i), _mm256_alignr_epi8(middle, low, 8));
        low = high;
    }
}

#include "index/vector/graph_loop.h"

/* 8 floats times `multiplier`, rounded. */
static LOOP_TARGET ALWAYS_INLINE __m256i graph_avx2_round(const float *x, __m256 multiplier)
{
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), multiplier));
}

/* 16 of them as 16-bit words, in order. */
static LOOP_TARGET ALWAYS_INLINE __m256i graph_avx2_round_words(const float *x, __m256 multiplier)
{
    const __m256i words = _mm256_packs_epi32(graph_avx2_round(x, multiplier),
                                             graph_avx2_round(x + 8, multiplier));
    return _mm256_permute4x64_epi64(words, 0xD8);
}

/* For _mm256_shuffle_epi8: the bytes of `picked` in each group of four words, the upper group of a
 * half 8 bytes further; 0x80 gives zero. */
static LOOP_TARGET ALWAYS_INLINE __m256i graph_avx2_pick(__m256i groups, int64_t picked)
{
    const __m256i further = _mm256_set_epi64x(0x0808080808080808, 0, 0x0808080808080808, 0);
    return _mm256_shuffle_epi8(groups, _mm256_or_si256(_mm256_set1_epi64x(picked), further));
}

/* Of two groups, one in each half, twice: entries 0 to 7 and 8 to 15. */
static LOOP_TARGET ALWAYS_INLINE void graph_avx2_entries_write(__m256i pair, __m256i other,
                                                               __m256i spread, __m256i spread_high,
                                                               uint8_t *table)
{
    const __m256i low = _mm256_add_epi16(pair, _mm256_shuffle_epi8(other, spread));
    const __m256i high = _mm256_add_epi16(pair, _mm256_shuffle_epi8(other, spread_high));
    _mm256_storeu_si256((__m256i *)(void *)table,
                        _mm256_packus_epi16(_mm256_srli_epi16(low, GRAPH_TABLE_SHIFT),
                                            _mm256_srli_epi16(high, GRAPH_TABLE_SHIFT)));
}

/* The 16 entries of each of four groups, as graph_kernels.h defines them: entry e is
 * pairs[e & 3] + others[e >> 2], the sums of the first and of the second two dimensions. */
static LOOP_TARGET ALWAYS_INLINE void graph_avx2_entries(__m256i fine, uint8_t *table)
{
    const __m256i below = _mm256_max_epi16(_mm256_sub_epi16(_mm256_setzero_si256(), fine),
                                           _mm256_setzero_si256());
    __m256i base = _mm256_add_epi16(below, graph_avx2_pick(below, 0x0504070601000302));
    base = _mm256_add_epi16(base, graph_avx2_pick(base, 0x0302010007060504));
    base = _mm256_add_epi16(base, _mm256_set1_epi16(GRAPH_TABLE_FINE / 2));
    const __m256i pairs = _mm256_add_epi16(
        base, _mm256_add_epi16(graph_avx2_pick(fine, 0x0100808001008080),
                               graph_avx2_pick(fine, 0x0302030280808080)));
    const __m256i others = _mm256_add_epi16(graph_avx2_pick(fine, 0x0504808005048080),
                                            graph_avx2_pick(fine, 0x0706070680808080));
    const __m256i spread = _mm256_broadcastsi128_si256(
        _mm_set_epi64x(0x0302030203020302, 0x0100010001000100));
    const __m256i spread_high = _mm256_broadcastsi128_si256(
        _mm_set_epi64x(0x0706070607060706, 0x0504050405040504));
    graph_avx2_entries_write(_mm256_permute4x64_epi64(pairs, 0x50),
                             _mm256_permute4x64_epi64(others, 0x50), spread, spread_high, table);
    graph_avx2_entries_write(_mm256_permute4x64_epi64(pairs, 0xFA),
                             _mm256_permute4x64_epi64(others, 0xFA), spread, spread_high,
                             table + 32);
}

static LOOP_TARGET void graph_avx2_digitize(struct graph_query *query, uint32_t size)
{
    const float *x = query->turned;
    __m256 largest = _mm256_setzero_ps(), squares = largest, squares_high = largest;
    for (uint32_t i = 0; i < size; i += 16) {
        const __m256 low = _mm256_loadu_ps(x + i), high = _mm256_loadu_ps(x + i + 8);
        squares = _mm256_fmadd_ps(low, low, squares);
        squares_high = _mm256_fmadd_ps(high, high, squares_high);
        largest = _mm256_max_ps(largest, _mm256_max_ps(graph_avx2_abs(low), graph_avx2_abs(high)));
    }
    query->square = graph_avx2_sum_floats(squares, squares_high);
    query->step = graph_step(graph_avx2_largest(largest), 127);
    const __m256 inverse = _mm256_set1_ps(1 / query->step);
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();
    for (uint32_t i = 0; i < size; i += 16) {
        const __m256i words = graph_avx2_round_words(x + i, inverse);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(words, ones));
        _mm_storeu_si128(
            (__m128i *)(void *)(query->digits + i),
            _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }
    query->sum = (float)graph_avx2_sum(sum);
}

static LOOP_TARGET void graph_avx2_tabulate(struct graph_query *query, uint32_t bits)
{
    const float *x = query->spread;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 ranges = _mm256_setzero_ps();
    for (uint32_t i = 0; i < bits; i += 16) {
        /* hadd adds what lies side by side: (x0 + x1) + (x2 + x3) of each group. */
        const __m256 pairs = _mm256_hadd_ps(graph_avx2_abs(_mm256_loadu_ps(x + i)),
                                            graph_avx2_abs(_mm256_loadu_ps(x + i + 8)));
        ranges = _mm256_max_ps(ranges, _mm256_hadd_ps(pairs, pairs));
    }
    query->table_step = graph_step(graph_avx2_largest(ranges), 255);
    const __m256 multiplier = _mm256_set1_ps(GRAPH_TABLE_FINE / query->table_step);
    __m256i total = _mm256_setzero_si256();
    for (uint32_t i = 0; i < bits; i += 16) {
        const __m256i fine = graph_avx2_round_words(x + i, multiplier);
        total = _mm256_add_epi32(total, _mm256_madd_epi16(_mm256_abs_epi16(fine), ones));
        graph_avx2_entries(fine, query->table + (size_t)i * 4);
    }
    query->table_low = graph_table_low(graph_avx2_sum(total), query->table_step);
}

static LOOP_TARGET void graph_avx2_relate(const float *p, const float *o, uint32_t dim,
                                          uint32_t bits, uint64_t *words, float sums[3])
{
    const __m256 minus = _mm256_set1_ps(-0.0f);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256 square[2], size[2], turned[2];
    for (uint32_t half = 0; half < 2; half++)
        square[half] = size[half] = turned[half] = _mm256_setzero_ps();
    memset(words, 0, GRAPH_BITS_MAX / 8);
    for (uint32_t i = 0; i < dim; i += 16) {
        UNROLL(2)
        for (uint32_t half = 0; half < 2; half++) {
            const uint32_t at = i + 8 * half;
            const __m256 within = _mm256_castsi256_ps(_mm256_cmpgt_epi32(
                _mm256_set1_epi32((int32_t)(dim - i) - 8 * (int32_t)half), lanes));
            const __m256 point = _mm256_loadu_ps(p + at);
            const __m256 rest = _mm256_and_ps(within,
                                              _mm256_sub_ps(_mm256_loadu_ps(o + at), point));
            square[half] = _mm256_fmadd_ps(rest, rest, square[half]);
            if (i >= bits) continue;
            const __m256 positive = _mm256_cmp_ps(rest, _mm256_setzero_ps(), _CMP_GT_OQ);
            words[at / 64] |= (uint64_t)(uint32_t)_mm256_movemask_ps(positive) << (at % 64);
            size[half] = _mm256_add_ps(size[half], graph_avx2_abs(rest));
            turned[half] = _mm256_add_ps(turned[half],
                                         _mm256_xor_ps(point, _mm256_andnot_ps(positive, minus)));
        }
    }
    sums[0] = graph_avx2_sum_floats(square[0], square[1]);
    sums[1] = graph_avx2_sum_floats(size[0], size[1]) / 2;
    sums[2] = graph_avx2_sum_floats(turned[0], turned[1]) / 2;
}

const struct graph_kernels graph_kernels_avx2 = {
    .name = "avx2",
    .features = KERNELS_AVX2_FMA,
    .walk_edges = graph_avx2_walk_edges,
    .walk_edges_far = graph_avx2_walk_edges_far,
    .walk_codes = graph_avx2_walk_codes,
    .distance = graph_avx2_distance,
    .digitize = graph_avx2_digitize,
    .tabulate = graph_avx2_tabulate,
    .relate = graph_avx2_relate,
};

#endif
