/* graph_avx512.c - the walks with AVX-512 F, BW, VL, DQ and VNNI.
 *
 * A step of the scan takes 64 bytes, four groups of four dimensions: 2 loads, 2 shuffles (port 5,
 * one a cycle), 9 simple operations. 384 dimensions are 24 steps, about 60 ns; a distance of 384
 * bytes is 6 dpbusd. Latencies: uops.info, Ice Lake and Sapphire Rapids.
 */
#include "index/vector/graph_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "simd/x86_avx512.h"

#define LOOP_TARGET                                                                                \
    __attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512dq,"      \
                          "avx512vnni")))
#define LOOP_NAME(name) graph_avx512_##name

static LOOP_TARGET ALWAYS_INLINE int32_t graph_avx512_dot(const uint8_t *code, const int8_t *digits,
                                                          uint32_t size)
{
    __m512i even = _mm512_setzero_si512(), odd = even;
    uint32_t i = 0;
    for (; i + 128 <= size; i += 128) {
        even = _mm512_dpbusd_epi32(even, _mm512_loadu_si512(code + i),
                                   _mm512_load_si512(digits + i));
        odd = _mm512_dpbusd_epi32(odd, _mm512_loadu_si512(code + i + 64),
                                  _mm512_load_si512(digits + i + 64));
    }
    if (i + 64 <= size) {
        even = _mm512_dpbusd_epi32(even, _mm512_loadu_si512(code + i),
                                   _mm512_load_si512(digits + i));
        i += 64;
    }
    if (i < size) {
        const struct avx512_rest rest = avx512_rest(i, size);
        odd = _mm512_dpbusd_epi32(odd, avx512_load_rest(rest, code),
                                  avx512_load_rest(rest, digits));
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd));
}

#define LOOP_HAS_DOT_FOUR
static LOOP_TARGET ALWAYS_INLINE void graph_avx512_dot_four(const uint8_t *const *rows,
                                                            const int8_t *digits, uint32_t size,
                                                            int32_t dots[4])
{
    __m512i sums[4];
    UNROLL(4)
    for (uint32_t j = 0; j < 4; j++) sums[j] = _mm512_setzero_si512();
    uint32_t i = 0;
    for (; i + 64 <= size; i += 64) {
        const __m512i digit = _mm512_load_si512(digits + i);
        UNROLL(4)
        for (uint32_t j = 0; j < 4; j++)
            sums[j] = _mm512_dpbusd_epi32(
                sums[j], _mm512_loadu_si512(rows[j] + CODES_HEADER_SIZE + i), digit);
    }
    if (i < size) {
        const struct avx512_rest rest = avx512_rest(i, size);
        const __m512i digit = avx512_load_rest(rest, digits);
        UNROLL(4)
        for (uint32_t j = 0; j < 4; j++)
            sums[j] = _mm512_dpbusd_epi32(
                sums[j], avx512_load_rest(rest, rows[j] + CODES_HEADER_SIZE), digit);
    }
    _mm_storeu_si128((__m128i *)(void *)dots, avx512_sum4(sums));
}

/* 16-bit sums of bytes: whole words summed as they are hold even + 256 * odd, modulo 2^16; the odd
 * bytes are summed apart and taken off again. Sums stay below 2^16: 128 groups * 255. */
static LOOP_TARGET ALWAYS_INLINE void graph_avx512_scan(const uint8_t *edges, const uint8_t *table,
                                                        uint32_t bits, uint16_t *sums)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i low = _mm512_setzero_si512(), low_odd = low, high = low, high_odd = low;
    for (uint32_t at = 0; at < bits * 4; at += 64) {
        const __m512i codes = _mm512_load_si512(edges + at);
        const __m512i entries = _mm512_load_si512(table + at);
        const __m512i lows = _mm512_shuffle_epi8(entries, _mm512_and_si512(codes, nibble));
        const __m512i highs = _mm512_shuffle_epi8(
            entries, _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble));
        low = _mm512_add_epi16(low, lows);
        low_odd = _mm512_add_epi16(low_odd, _mm512_srli_epi16(lows, 8));
        high = _mm512_add_epi16(high, highs);
        high_odd = _mm512_add_epi16(high_odd, _mm512_srli_epi16(highs, 8));
    }
    low = _mm512_sub_epi16(low, _mm512_slli_epi16(low_odd, 8));
    high = _mm512_sub_epi16(high, _mm512_slli_epi16(high_odd, 8));
    /* Four lanes hold four groups' sums of the same slots. Words of `low` are slots 0, 2 .. 14. */
    const __m256i even = _mm256_add_epi16(_mm512_castsi512_si256(low),
                                          _mm512_extracti64x4_epi64(low, 1));
    const __m256i odd = _mm256_add_epi16(_mm512_castsi512_si256(low_odd),
                                         _mm512_extracti64x4_epi64(low_odd, 1));
    const __m256i even16 = _mm256_add_epi16(_mm512_castsi512_si256(high),
                                            _mm512_extracti64x4_epi64(high, 1));
    const __m256i odd16 = _mm256_add_epi16(_mm512_castsi512_si256(high_odd),
                                           _mm512_extracti64x4_epi64(high_odd, 1));
    const __m128i e = _mm_add_epi16(_mm256_castsi256_si128(even),
                                    _mm256_extracti128_si256(even, 1));
    const __m128i o = _mm_add_epi16(_mm256_castsi256_si128(odd), _mm256_extracti128_si256(odd, 1));
    const __m128i e16 = _mm_add_epi16(_mm256_castsi256_si128(even16),
                                      _mm256_extracti128_si256(even16, 1));
    const __m128i o16 = _mm_add_epi16(_mm256_castsi256_si128(odd16),
                                      _mm256_extracti128_si256(odd16, 1));
    _mm_store_si128((__m128i *)(void *)sums, _mm_unpacklo_epi16(e, o));
    _mm_store_si128((__m128i *)(void *)(sums + 8), _mm_unpackhi_epi16(e, o));
    _mm_store_si128((__m128i *)(void *)(sums + 16), _mm_unpacklo_epi16(e16, o16));
    _mm_store_si128((__m128i *)(void *)(sums + 24), _mm_unpackhi_epi16(e16, o16));
}

static LOOP_TARGET ALWAYS_INLINE uint32_t graph_avx512_below(const struct graph_query *query,
                                                             float distance,
                                                             const uint16_t *factors,
                                                             const uint16_t *sums, float limit,
                                                             float *estimates)
{
    const __m256i empty = _mm256_set1_epi16(GRAPH_A_EMPTY);
    const __m512 base = _mm512_set1_ps(distance), limits = _mm512_set1_ps(limit);
    const __m512 table_low = _mm512_set1_ps(query->table_low);
    const __m512 table_step = _mm512_set1_ps(query->table_step);
    uint32_t mask = 0;
    UNROLL(2)
    for (uint32_t i = 0; i < GRAPH_SLOTS; i += 16) {
        const __m512 sum = _mm512_cvtepi32_ps(
            _mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)(const void *)(sums + i))));
        const __m512 a = _mm512_cvtph_ps(_mm256_xor_si256(
            empty, _mm256_load_si256((const __m256i *)(const void *)(factors + i))));
        const __m512 f = _mm512_cvtph_ps(
            _mm256_load_si256((const __m256i *)(const void *)(factors + GRAPH_SLOTS + i)));
        const __m512 product = _mm512_fmadd_ps(table_step, sum, table_low);
        const __m512 estimate = _mm512_fnmadd_ps(f, product, _mm512_add_ps(base, a));
        _mm512_store_ps(estimates + i, estimate);
        mask |= (uint32_t)_mm512_cmp_ps_mask(estimate, limits, _CMP_LT_OQ) << i;
    }
    return mask;
}

/* Without a branch that depends on where the value belongs: it is hard to predict, and a pool is
 * short. Of a long one, first the block of 16 by bisection. */
static LOOP_TARGET ALWAYS_INLINE uint32_t graph_avx512_rank(const float *distances, uint32_t count,
                                                            float distance)
{
    const __m512 wanted = _mm512_set1_ps(distance);
    uint32_t rank = 0, blocks = count / 16;
    while (blocks > 16) {
        const uint32_t half = blocks / 2;
        rank += distances[rank + half * 16 - 1] <= distance ? half * 16 : 0;
        blocks -= half;
    }
    uint32_t below = 0;
    const float *at = distances + rank;
    for (uint32_t i = 0; i < blocks; i++, at += 16)
        below += (uint32_t)__builtin_popcount(
            _mm512_cmp_ps_mask(_mm512_loadu_ps(at), wanted, _CMP_LE_OQ));
    const __mmask16 rest = (__mmask16)((1u << (count & 15)) - 1u);
    const uint32_t last = rank + blocks * 16 + 16 > count ? count / 16 * 16 : 0;
    below += (uint32_t)__builtin_popcount(_mm512_mask_cmp_ps_mask(
        last != 0 || count < 16 ? rest : 0, _mm512_loadu_ps(distances + last), wanted, _CMP_LE_OQ));
    return rank + below;
}

/* Moves the members [rank, count) of the pool one place up. */
#define LOOP_HAS_SHIFT
static LOOP_TARGET ALWAYS_INLINE void graph_avx512_shift(float *distances, uint32_t *nodes,
                                                         uint32_t rank, uint32_t count)
{
    uint32_t at = count;
    for (; at - rank >= 16; at -= 16) {
        const __m512i first = _mm512_loadu_si512(distances + at - 16);
        const __m512i second = _mm512_loadu_si512(nodes + at - 16);
        _mm512_storeu_si512(distances + at - 15, first);
        _mm512_storeu_si512(nodes + at - 15, second);
    }
    const __mmask16 rest = (__mmask16)((1u << (at - rank)) - 1u);
    const __m512i first = _mm512_loadu_si512(distances + rank);
    const __m512i second = _mm512_loadu_si512(nodes + rank);
    _mm512_mask_storeu_epi32(distances + rank + 1, rest, first);
    _mm512_mask_storeu_epi32(nodes + rank + 1, rest, second);
}

/* All candidates of a hop at once: storing what the next load overlaps, as insertion by insertion
 * does, waits for the store each time. A candidate's place is the number of pool members not above
 * it plus that of candidates below it; blocks of 16 are then put together from the last one down.
 * distances: [32], +inf from `count` on. */
#define LOOP_HAS_MERGE
static LOOP_TARGET ALWAYS_INLINE uint32_t graph_avx512_merge(float *pool_distances,
                                                             uint32_t *pool_nodes,
                                                             uint32_t *pool_count, uint32_t ef,
                                                             const float *distances,
                                                             const uint32_t *nodes, uint32_t count)
{
    const __m512 first16 = _mm512_load_ps(distances), last16 = _mm512_load_ps(distances + 16);
    float sorted_distances[GRAPH_SLOTS + 16] ALIGNED(64);
    uint32_t sorted_nodes[GRAPH_SLOTS + 16] ALIGNED(64);
    uint32_t places[GRAPH_SLOTS];
    places[0] = ef; /* There is a nearest one, which the compiler can't know. */
    for (uint32_t i = 0; i < count; i++) {
        const __m512 wanted = _mm512_set1_ps(distances[i]);
        const uint32_t below = (uint32_t)_mm512_cmp_ps_mask(first16, wanted, _CMP_LT_OQ) |
                               (uint32_t)_mm512_cmp_ps_mask(last16, wanted, _CMP_LT_OQ) << 16;
        const uint32_t equal = (uint32_t)_mm512_cmp_ps_mask(first16, wanted, _CMP_EQ_OQ) |
                               (uint32_t)_mm512_cmp_ps_mask(last16, wanted, _CMP_EQ_OQ) << 16;
        const uint32_t rank = (uint32_t)__builtin_popcount(below | (equal & ((1u << i) - 1)));
        sorted_distances[rank] = distances[i];
        sorted_nodes[rank] = nodes[i];
        places[rank] = graph_avx512_rank(pool_distances, *pool_count, distances[i]) + rank;
    }
    const uint32_t lowest = places[0];
    if (lowest >= ef) return ef;
    const uint32_t grown = *pool_count + count < ef ? *pool_count + count : ef;
    uint32_t before = count;
    for (uint32_t begin = (grown - 1) / 16 * 16;; begin -= 16) {
        uint32_t mask = 0;
        while (before > 0 && places[before - 1] >= begin + 16) before--;
        for (; before > 0 && places[before - 1] >= begin; before--)
            mask |= 1u << (places[before - 1] - begin);
        const __mmask16 mine = (__mmask16)mask, theirs = (__mmask16)~mask;
        const float *from = pool_distances + (begin - before);
        __m512 block = _mm512_maskz_expandloadu_ps(theirs, from);
        block = _mm512_mask_expandloadu_ps(block, mine, sorted_distances + before);
        __m512i names = _mm512_maskz_expandloadu_epi32(theirs, pool_nodes + (begin - before));
        names = _mm512_mask_expandloadu_epi32(names, mine, sorted_nodes + before);
        _mm512_storeu_ps(pool_distances + begin, block);
        _mm512_storeu_si512(pool_nodes + begin, names);
        if (before == 0) break;
    }
    *pool_count = grown;
    return lowest;
}

/* Sorted, the k-th smallest after a key came is min(a[k], max(a[k - 1], key)). */
#define LOOP_HAS_QUEUE_ADD
static LOOP_TARGET ALWAYS_INLINE uint32_t graph_avx512_queue_add(int64_t *near, int64_t *bound,
                                                                 const int64_t *keys,
                                                                 uint32_t count, int64_t *out)
{
    __m512i a = _mm512_load_si512(near), b = _mm512_load_si512(near + 8);
    __m512i c = _mm512_load_si512(near + 16), d = _mm512_load_si512(near + 24);
    const __m512i none = _mm512_set1_epi64(INT64_MIN);
    int64_t least = *bound;
    uint32_t passed = 0;
    for (uint32_t i = 0; i < count; i++) {
        const bool below = keys[i] < least;
        const __m512i key = _mm512_set1_epi64(below ? keys[i] : GRAPH_QUEUE_NONE);
        const int64_t last = _mm_extract_epi64(_mm512_extracti64x2_epi64(d, 3), 1);
        d = _mm512_min_epi64(d, _mm512_max_epi64(_mm512_alignr_epi64(d, c, 7), key));
        c = _mm512_min_epi64(c, _mm512_max_epi64(_mm512_alignr_epi64(c, b, 7), key));
        b = _mm512_min_epi64(b, _mm512_max_epi64(_mm512_alignr_epi64(b, a, 7), key));
        a = _mm512_min_epi64(a, _mm512_max_epi64(_mm512_alignr_epi64(a, none, 7), key));
        const int64_t passing = below && keys[i] < last ? last : keys[i];
        out[passed] = passing;
        passed += passing != GRAPH_QUEUE_NONE;
        least = passing < least ? passing : least;
    }
    _mm512_store_si512(near, a);
    _mm512_store_si512(near + 8, b);
    _mm512_store_si512(near + 16, c);
    _mm512_store_si512(near + 24, d);
    *bound = least;
    return passed;
}

#define LOOP_HAS_QUEUE_SPLIT
static LOOP_TARGET ALWAYS_INLINE void graph_avx512_queue_split(const int64_t *from, int64_t pivot,
                                                               int64_t *keys, uint32_t *found,
                                                               int64_t *others, uint32_t *left)
{
    const __m512i eight = _mm512_loadu_si512(from);
    const __mmask8 below = _mm512_cmple_epi64_mask(eight, _mm512_set1_epi64(pivot));
    _mm512_storeu_si512(keys + *found, _mm512_maskz_compress_epi64(below, eight));
    _mm512_storeu_si512(others + *left, _mm512_maskz_compress_epi64((__mmask8)~below, eight));
    const uint32_t count = (uint32_t)__builtin_popcount(below);
    *found += count;
    *left += 8 - count;
}

#define LOOP_HAS_QUEUE_DROP
static LOOP_TARGET ALWAYS_INLINE void graph_avx512_queue_drop(int64_t *near)
{
    const __m512i a = _mm512_load_si512(near), b = _mm512_load_si512(near + 8);
    const __m512i c = _mm512_load_si512(near + 16), d = _mm512_load_si512(near + 24);
    _mm512_store_si512(near, _mm512_alignr_epi64(b, a, 1));
    _mm512_store_si512(near + 8, _mm512_alignr_epi64(c, b, 1));
    _mm512_store_si512(near + 16, _mm512_alignr_epi64(d, c, 1));
    _mm512_store_si512(near + 24, _mm512_alignr_epi64(_mm512_set1_epi64(GRAPH_QUEUE_NONE), d, 1));
}

#include "index/vector/graph_loop.h"

/* Of 16 lanes, in the order of graph_kernels.h: the compilers' own reduction promises none. */
static LOOP_TARGET ALWAYS_INLINE float graph_avx512_sum_floats(__m512 lanes)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes),
                                       _mm512_extractf32x8_ps(lanes, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

/* For _mm512_shuffle_epi8: the bytes of `picked` in each group of four words, the upper group of a
 * quarter 8 bytes further; 0x80 gives zero. */
static LOOP_TARGET ALWAYS_INLINE __m512i graph_avx512_pick(__m512i groups, int64_t picked)
{
    const __m512i further = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0808080808080808, 0));
    return _mm512_shuffle_epi8(groups, _mm512_or_si512(_mm512_set1_epi64(picked), further));
}

/* One group in each quarter, twice, as `twice` says: entries 0 to 7 and 8 to 15. */
static LOOP_TARGET ALWAYS_INLINE void graph_avx512_entries_write(__m512i pairs, __m512i others,
                                                                 __m512i twice, uint8_t *table)
{
    const __m512i spread = _mm512_broadcast_i32x4(
        _mm_set_epi64x(0x0302030203020302, 0x0100010001000100));
    const __m512i spread_high = _mm512_broadcast_i32x4(
        _mm_set_epi64x(0x0706070607060706, 0x0504050405040504));
    const __m512i pair = _mm512_permutexvar_epi64(twice, pairs);
    const __m512i other = _mm512_permutexvar_epi64(twice, others);
    const __m512i low = _mm512_add_epi16(pair, _mm512_shuffle_epi8(other, spread));
    const __m512i high = _mm512_add_epi16(pair, _mm512_shuffle_epi8(other, spread_high));
    _mm512_store_si512(table, _mm512_packus_epi16(_mm512_srli_epi16(low, GRAPH_TABLE_SHIFT),
                                                  _mm512_srli_epi16(high, GRAPH_TABLE_SHIFT)));
}

/* The 16 entries of each of eight groups (of four when `half`), as graph_kernels.h defines them:
 * entry e is pairs[e & 3] + others[e >> 2], the sums of the first and of the second two dimensions.
 * Groups lie in the order 0 4 1 5 2 6 3 7. */
static LOOP_TARGET ALWAYS_INLINE void graph_avx512_entries(__m512i fine, bool half, uint8_t *table)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i below = _mm512_max_epi16(_mm512_sub_epi16(zero, fine), zero);
    __m512i base = _mm512_add_epi16(below, graph_avx512_pick(below, 0x0504070601000302));
    base = _mm512_add_epi16(base, graph_avx512_pick(base, 0x0302010007060504));
    base = _mm512_add_epi16(base, _mm512_set1_epi16(GRAPH_TABLE_FINE / 2));
    const __m512i pairs = _mm512_add_epi16(
        base, _mm512_add_epi16(graph_avx512_pick(fine, 0x0100808001008080),
                               graph_avx512_pick(fine, 0x0302030280808080)));
    const __m512i others = _mm512_add_epi16(graph_avx512_pick(fine, 0x0504808005048080),
                                            graph_avx512_pick(fine, 0x0706070680808080));
    graph_avx512_entries_write(pairs, others, _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6), table);
    if (half) return;
    graph_avx512_entries_write(pairs, others, _mm512_setr_epi64(1, 1, 3, 3, 5, 5, 7, 7),
                               table + 64);
}

static LOOP_TARGET void graph_avx512_digitize(struct graph_query *query, uint32_t size)
{
    const float *x = query->turned;
    __m512 largest = _mm512_setzero_ps(), squares = largest;
    for (uint32_t i = 0; i < size; i += 16) {
        const __m512 values = _mm512_load_ps(x + i);
        squares = _mm512_fmadd_ps(values, values, squares);
        largest = _mm512_max_ps(largest, _mm512_abs_ps(values));
    }
    query->square = graph_avx512_sum_floats(squares);
    query->step = graph_step(_mm512_reduce_max_ps(largest), 127);
    const __m512 inverse = _mm512_set1_ps(1 / query->step);
    __m512i sum = _mm512_setzero_si512();
    for (uint32_t i = 0; i < size; i += 16) {
        const __m512i digits = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(x + i), inverse));
        sum = _mm512_add_epi32(sum, digits);
        _mm_store_si128((__m128i *)(void *)(query->digits + i), _mm512_cvtsepi32_epi8(digits));
    }
    query->sum = (float)_mm512_reduce_add_epi32(sum);
}

static LOOP_TARGET void graph_avx512_tabulate(struct graph_query *query, uint32_t bits)
{
    const float *x = query->spread;
    __m512 ranges = _mm512_setzero_ps();
    for (uint32_t i = 0; i < bits; i += 16) {
        __m512 group = _mm512_abs_ps(
            _mm512_load_ps(x + i)); /* (x0 + x1) + (x2 + x3) of each four. */
        group = _mm512_add_ps(group, _mm512_permute_ps(group, 0xB1));
        ranges = _mm512_max_ps(ranges, _mm512_add_ps(group, _mm512_permute_ps(group, 0x4E)));
    }
    query->table_step = graph_step(_mm512_reduce_max_ps(ranges), 255);
    const __m512 multiplier = _mm512_set1_ps(GRAPH_TABLE_FINE / query->table_step);
    __m512i total = _mm512_setzero_si512();
    for (uint32_t i = 0; i < bits; i += 32) {
        const bool half = i + 16 == bits;
        const __m512i first = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(x + i), multiplier));
        __m512i second = _mm512_setzero_si512();
        if (!half)
            second = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(x + i + 16), multiplier));
        total = _mm512_add_epi32(
            total, _mm512_add_epi32(_mm512_abs_epi32(first), _mm512_abs_epi32(second)));
        graph_avx512_entries(_mm512_packs_epi32(first, second), half, query->table + (size_t)i * 4);
    }
    query->table_low = graph_table_low(_mm512_reduce_add_epi32(total), query->table_step);
}

static LOOP_TARGET void graph_avx512_relate(const float *p, const float *o, uint32_t dim,
                                            uint32_t bits, uint64_t *words, float sums[3])
{
    __m512 square = _mm512_setzero_ps(), size = square, turned = square;
    memset(words, 0, GRAPH_BITS_MAX / 8);
    for (uint32_t i = 0; i < dim; i += 16) {
        const __mmask16 within = (__mmask16)(dim - i >= 16 ? 0xFFFFu : (1u << (dim - i)) - 1);
        const __m512 point = _mm512_loadu_ps(p + i);
        const __m512 rest = _mm512_maskz_sub_ps(within, _mm512_loadu_ps(o + i), point);
        square = _mm512_fmadd_ps(rest, rest, square);
        if (i >= bits) continue;
        const __mmask16 positive = _mm512_cmp_ps_mask(rest, _mm512_setzero_ps(), _CMP_GT_OQ);
        words[i / 64] |= (uint64_t)positive << (i % 64);
        size = _mm512_add_ps(size, _mm512_abs_ps(rest));
        turned = _mm512_mask_add_ps(turned, positive, turned, point);
        turned = _mm512_mask_sub_ps(turned, (__mmask16)~positive, turned, point);
    }
    sums[0] = graph_avx512_sum_floats(square);
    sums[1] = graph_avx512_sum_floats(size) / 2;
    sums[2] = graph_avx512_sum_floats(turned) / 2;
}

const struct graph_kernels graph_kernels_avx512 = {
    .name = "avx512-vnni",
    .features = KERNELS_AVX2_FMA | KERNELS_AVX512 | KERNELS_AVX512_VNNI,
    .walk_edges = graph_avx512_walk_edges,
    .walk_edges_far = graph_avx512_walk_edges_far,
    .walk_codes = graph_avx512_walk_codes,
    .distance = graph_avx512_distance,
    .digitize = graph_avx512_digitize,
    .tabulate = graph_avx512_tabulate,
    .relate = graph_avx512_relate,
};

#endif
