/* x86_avx2.c - the kernels in AVX2, FMA and F16C.
 *
 * Lane layout: lanes 0-7, 8-15, 16-23, 24-31 in four registers. Tails: f32 by masked loads,
 * everything else through a zeroed copy of 32 elements on the stack. Bounds: kernels.h.
 *
 * Latency / throughput in cycles (Agner Fog, Zen 3 and Ice Lake): vfmaddps 4 / 0.5, vpmaddubsw
 * and vpmaddwd 3-5 / 0.5, loads 2 a cycle. Four independent fma chains eat 32 bytes of a row a
 * cycle, twice what comes from beyond the second-level cache.
 */
#include "simd/kernels.h"

#if defined(__x86_64__)

#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "simd/x86_avx2.h"

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX2_INLINE AVX2 inline __attribute__((always_inline))

enum avx2_operation { AVX2_L2, AVX2_DOT };

static AVX2_INLINE __m256i avx2_load_bytes(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static AVX2_INLINE __m128i avx2_load_half(const void *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

/* 8 elements as f32. */
static AVX2_INLINE __m256 avx2_load8(omendb_type type, const uint8_t *from)
{
    if (type == OMENDB_F16) return _mm256_cvtph_ps(avx2_load_half(from));
    if (type == OMENDB_BF16)
        return _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_cvtepu16_epi32(avx2_load_half(from)), 16));
    return _mm256_castsi256_ps(avx2_load_bytes(from));
}

/* The first `count` (0 to 8) floats at `from`, zeros behind them; reads no further. */
static AVX2_INLINE __m256 avx2_load_part(const void *from, size_t count)
{
    static const int32_t ones_and_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const __m256i mask = avx2_load_bytes(ones_and_zeros + 8 - count);
    return _mm256_maskload_ps((const float *)from, mask);
}

static AVX2_INLINE __m256 avx2_step(enum avx2_operation operation, __m256 lanes, __m256 a, __m256 b)
{
    if (operation == AVX2_DOT) return _mm256_fmadd_ps(a, b, lanes);
    const __m256 difference = _mm256_sub_ps(a, b);
    return _mm256_fmadd_ps(difference, difference, lanes);
}

static AVX2_INLINE float avx2_reduce(__m256 lanes0, __m256 lanes8, __m256 lanes16, __m256 lanes24)
{
    const __m256 to16a = _mm256_add_ps(lanes0, lanes16);
    const __m256 to16b = _mm256_add_ps(lanes8, lanes24);
    const __m256 to8 = _mm256_add_ps(to16a, to16b);
    const __m128 to4 = _mm_add_ps(_mm256_castps256_ps128(to8), _mm256_extractf128_ps(to8, 1));
    const __m128 to2 = _mm_add_ps(to4, _mm_movehl_ps(to4, to4));
    return _mm_cvtss_f32(_mm_add_ss(to2, _mm_movehdup_ps(to2)));
}

static AVX2_INLINE float avx2_float_pair(enum avx2_operation operation, omendb_type type,
                                         const void *a_bytes, const void *b_bytes, size_t dim)
{
    const size_t width = type == OMENDB_F32 ? 4 : 2;
    const uint8_t *a = a_bytes, *b = b_bytes;
    __m256 lane0 = _mm256_setzero_ps(), lane8 = lane0, lane16 = lane0, lane24 = lane0;
    const size_t whole = dim / 32 * 32;
    for (size_t i = 0; i < whole; i += 32, a += 32 * width, b += 32 * width) {
        lane0 = avx2_step(operation, lane0, avx2_load8(type, a), avx2_load8(type, b));
        lane8 = avx2_step(operation, lane8, avx2_load8(type, a + 8 * width),
                          avx2_load8(type, b + 8 * width));
        lane16 = avx2_step(operation, lane16, avx2_load8(type, a + 16 * width),
                           avx2_load8(type, b + 16 * width));
        lane24 = avx2_step(operation, lane24, avx2_load8(type, a + 24 * width),
                           avx2_load8(type, b + 24 * width));
    }
    const size_t rest = dim - whole;
    if (rest != 0) {
        __m256 x[4], y[4];
        uint8_t a_tail[128], b_tail[128];
        if (type != OMENDB_F32) {
            memset(a_tail, 0, sizeof a_tail);
            memset(b_tail, 0, sizeof b_tail);
            memcpy(a_tail, a, rest * width);
            memcpy(b_tail, b, rest * width);
        }
        UNROLL(4)
        for (size_t k = 0; k < 4; k++) {
            if (type != OMENDB_F32) {
                x[k] = avx2_load8(type, a_tail + 8 * k * width);
                y[k] = avx2_load8(type, b_tail + 8 * k * width);
            } else if (rest > 8 * k) {
                const size_t here = rest - 8 * k < 8 ? rest - 8 * k : 8;
                x[k] = avx2_load_part(a + 32 * k, here);
                y[k] = avx2_load_part(b + 32 * k, here);
            } else {
                x[k] = y[k] = _mm256_setzero_ps();
            }
        }
        lane0 = avx2_step(operation, lane0, x[0], y[0]);
        lane8 = avx2_step(operation, lane8, x[1], y[1]);
        lane16 = avx2_step(operation, lane16, x[2], y[2]);
        lane24 = avx2_step(operation, lane24, x[3], y[3]);
    }
    return avx2_reduce(lane0, lane8, lane16, lane24);
}

/* Eight sums of 32 bits to one. */
static AVX2_INLINE int32_t avx2_sum(__m256i sums)
{
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
    return _mm_cvtsi128_si32(sum);
}

/* 16 products of i8 or u8, or of their differences, as 8 sums of two: |x| <= 255 fits 16 bits. */
static AVX2_INLINE __m256i avx2_products16(enum avx2_operation operation, omendb_type type,
                                           const uint8_t *a, const uint8_t *b)
{
    const __m128i a16 = avx2_load_half(a), b16 = avx2_load_half(b);
    __m256i x = type == OMENDB_I8 ? _mm256_cvtepi8_epi16(a16) : _mm256_cvtepu8_epi16(a16);
    __m256i y = type == OMENDB_I8 ? _mm256_cvtepi8_epi16(b16) : _mm256_cvtepu8_epi16(b16);
    if (operation == AVX2_L2) x = y = _mm256_sub_epi16(x, y);
    return _mm256_madd_epi16(x, y);
}

static AVX2_INLINE float avx2_integer_pair(enum avx2_operation operation, omendb_type type,
                                           const void *a_bytes, const void *b_bytes, size_t dim)
{
    const uint8_t *a = a_bytes, *b = b_bytes;
    __m256i even = _mm256_setzero_si256(), odd = even;
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        even = _mm256_add_epi32(even, avx2_products16(operation, type, a + i, b + i));
        odd = _mm256_add_epi32(odd, avx2_products16(operation, type, a + i + 16, b + i + 16));
    }
    if (i < dim) {
        uint8_t a_tail[32] = {0}, b_tail[32] = {0};
        memcpy(a_tail, a + i, dim - i);
        memcpy(b_tail, b + i, dim - i);
        even = _mm256_add_epi32(even, avx2_products16(operation, type, a_tail, b_tail));
        odd = _mm256_add_epi32(odd, avx2_products16(operation, type, a_tail + 16, b_tail + 16));
    }
    return (float)avx2_sum(_mm256_add_epi32(even, odd));
}

/* Bits set in each 64-bit quarter of a ^ b: Mula, Kurz, Lemire 2018, section 3.1. */
static AVX2_INLINE __m256i avx2_differing_bits(const uint8_t *a, const uint8_t *b)
{
    const __m256i of_nibble = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1,
                                               1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i bits = _mm256_xor_si256(avx2_load_bytes(a), avx2_load_bytes(b));
    const __m256i low = _mm256_and_si256(bits, nibble);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bits, 4), nibble);
    const __m256i counts = _mm256_add_epi8(_mm256_shuffle_epi8(of_nibble, low),
                                           _mm256_shuffle_epi8(of_nibble, high));
    return _mm256_sad_epu8(counts, _mm256_setzero_si256());
}

static AVX2_INLINE float avx2_hamming_pair(const void *a_bytes, const void *b_bytes, size_t dim)
{
    const uint8_t *a = a_bytes, *b = b_bytes;
    const size_t size = (dim + 7) / 8;
    __m256i sums = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= size; i += 32)
        sums = _mm256_add_epi64(sums, avx2_differing_bits(a + i, b + i));
    if (i < size) {
        uint8_t a_tail[32] = {0}, b_tail[32] = {0};
        memcpy(a_tail, a + i, size - i);
        memcpy(b_tail, b + i, size - i);
        sums = _mm256_add_epi64(sums, avx2_differing_bits(a_tail, b_tail));
    }
    return (float)avx2_sum(sums); /* The upper halves are zero. */
}

/* Asks for the bytes of a scattered row. Long rows are left to the processor's own prefetcher
 * after their first lines. */
static inline void avx2_prefetch(const void *row, size_t size)
{
    const size_t wanted = size < 4096 ? size : 4096;
    for (size_t i = 0; i < wanted; i += CACHE_LINE) prefetch((const uint8_t *)row + i);
}

/* The three forms of a measure; `call` computes one pair (a, b, dim), `size` is a row's bytes. */
#define AVX2_MEASURE(name, size, call)                                                             \
    static AVX2 float avx2_##name(const void *a, const void *b, size_t dim)                        \
    {                                                                                              \
        return call;                                                                               \
    }                                                                                              \
    static AVX2 void avx2_##name##_rows(const void *a, const void *rows, size_t stride,            \
                                        size_t count, size_t dim, float *out)                      \
    {                                                                                              \
        const uint8_t *b = rows;                                                                   \
        for (size_t i = 0; i < count; i++, b += stride) out[i] = call;                             \
    }                                                                                              \
    static AVX2 void avx2_##name##_gather(const void *a, const void *const *rows, size_t count,    \
                                          size_t dim, float *out)                                  \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            const void *b = rows[i];                                                               \
            if (i + 1 < count) avx2_prefetch(rows[i + 1], size);                                   \
            out[i] = call;                                                                         \
        }                                                                                          \
    }

AVX2_MEASURE(l2_f32, 4 * dim, avx2_float_pair(AVX2_L2, OMENDB_F32, a, b, dim))
AVX2_MEASURE(l2_f16, 2 * dim, avx2_float_pair(AVX2_L2, OMENDB_F16, a, b, dim))
AVX2_MEASURE(l2_bf16, 2 * dim, avx2_float_pair(AVX2_L2, OMENDB_BF16, a, b, dim))
AVX2_MEASURE(l2_i8, dim, avx2_integer_pair(AVX2_L2, OMENDB_I8, a, b, dim))
AVX2_MEASURE(l2_u8, dim, avx2_integer_pair(AVX2_L2, OMENDB_U8, a, b, dim))
AVX2_MEASURE(dot_f32, 4 * dim, avx2_float_pair(AVX2_DOT, OMENDB_F32, a, b, dim))
AVX2_MEASURE(dot_f16, 2 * dim, avx2_float_pair(AVX2_DOT, OMENDB_F16, a, b, dim))
AVX2_MEASURE(dot_bf16, 2 * dim, avx2_float_pair(AVX2_DOT, OMENDB_BF16, a, b, dim))
AVX2_MEASURE(dot_i8, dim, avx2_integer_pair(AVX2_DOT, OMENDB_I8, a, b, dim))
AVX2_MEASURE(dot_u8, dim, avx2_integer_pair(AVX2_DOT, OMENDB_U8, a, b, dim))
AVX2_MEASURE(hamming, dim / 8, avx2_hamming_pair(a, b, dim))

/* ---- Conversions: whole registers here, the rest by the reference ----------------- */

/* Ones where the value is an infinity or NaN. */
static AVX2_INLINE __m256i avx2_not_finite(__m256 values)
{
    const __m256i exponent = _mm256_set1_epi32(0x7F800000);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(values), exponent), exponent);
}

AVX2 bool avx2_all_finite(const void *f32, size_t count)
{
    const uint8_t *from = f32;
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i bad = _mm256_setzero_si256();
        UNROLL(4)
        for (size_t k = 0; k < 4; k++) {
            const __m256 values = avx2_load8(OMENDB_F32, from + 4 * (i + 8 * k));
            bad = _mm256_or_si256(bad, avx2_not_finite(values));
        }
        if (!_mm256_testz_si256(bad, bad)) return false;
    }
    return kernels_scalar.all_finite(from + 4 * i, count - i);
}

static AVX2_INLINE bool avx2_widen(omendb_type type, const void *from, float *to, size_t count)
{
    const size_t width = type == OMENDB_F32 ? 4 : 2;
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256 values = avx2_load8(type, (const uint8_t *)from + i * width);
        _mm256_storeu_ps(to + i, values);
        bad = _mm256_or_si256(bad, avx2_not_finite(values));
    }
    const bool rest = kernels_scalar.to_f32[type]((const uint8_t *)from + i * width, to + i,
                                                  count - i);
    return _mm256_testz_si256(bad, bad) && rest;
}

AVX2 bool avx2_f32_to_f32(const void *from, float *to, size_t count)
{
    return avx2_widen(OMENDB_F32, from, to, count);
}

AVX2 bool avx2_f16_to_f32(const void *from, float *to, size_t count)
{
    return avx2_widen(OMENDB_F16, from, to, count);
}

AVX2 bool avx2_bf16_to_f32(const void *from, float *to, size_t count)
{
    return avx2_widen(OMENDB_BF16, from, to, count);
}

AVX2 bool avx2_i8_to_f32(const void *from, float *to, size_t count)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m128i bytes = avx2_load_half((const uint8_t *)from + i);
        const __m256i low = _mm256_cvtepi8_epi32(bytes);
        const __m256i high = _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8));
        _mm256_storeu_ps(to + i, _mm256_cvtepi32_ps(low));
        _mm256_storeu_ps(to + i + 8, _mm256_cvtepi32_ps(high));
    }
    return kernels_scalar.to_f32[OMENDB_I8]((const uint8_t *)from + i, to + i, count - i);
}

AVX2 bool avx2_u8_to_f32(const void *from, float *to, size_t count)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m128i bytes = avx2_load_half((const uint8_t *)from + i);
        const __m256i low = _mm256_cvtepu8_epi32(bytes);
        const __m256i high = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
        _mm256_storeu_ps(to + i, _mm256_cvtepi32_ps(low));
        _mm256_storeu_ps(to + i + 8, _mm256_cvtepi32_ps(high));
    }
    return kernels_scalar.to_f32[OMENDB_U8]((const uint8_t *)from + i, to + i, count - i);
}

AVX2 bool avx2_f64_to_f32(const void *from_bytes, float *to, size_t count)
{
    const uint8_t *from = from_bytes;
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256d low = _mm256_castsi256_pd(avx2_load_bytes(from + 8 * i));
        const __m256d high = _mm256_castsi256_pd(avx2_load_bytes(from + 8 * i + 32));
        const __m256 values = _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
        _mm256_storeu_ps(to + i, values);
        bad = _mm256_or_si256(bad, avx2_not_finite(values));
    }
    const bool rest = kernels_scalar.to_f32[OMENDB_F64](from + 8 * i, to + i, count - i);
    return _mm256_testz_si256(bad, bad) && rest;
}

AVX2 bool avx2_f32_from_f32(const float *from, void *to, size_t count)
{
    memmove(to, from, count * sizeof *from);
    return avx2_all_finite(to, count);
}

AVX2 bool avx2_f16_from_f32(const float *from, void *to_bytes, size_t count)
{
    uint8_t *to = to_bytes;
    const __m128i exponent = _mm_set1_epi16(0x7C00);
    __m128i bad = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from + i),
                                               _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)(void *)(to + 2 * i), halves);
        bad = _mm_or_si128(bad, _mm_cmpeq_epi16(_mm_and_si128(halves, exponent), exponent));
    }
    const bool rest = kernels_scalar.from_f32[OMENDB_F16](from + i, to + 2 * i, count - i);
    return _mm_testz_si128(bad, bad) && rest;
}

AVX2 bool avx2_bf16_from_f32(const float *from, void *to_bytes, size_t count)
{
    uint8_t *to = to_bytes;
    const __m256i exponent = _mm256_set1_epi32(0x7F80);
    const __m256i one = _mm256_set1_epi32(1), half = _mm256_set1_epi32(0x7FFF);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256 values = _mm256_loadu_ps(from + i);
        const __m256i bits = _mm256_castps_si256(values);
        const __m256i cut = _mm256_srli_epi32(bits, 16);
        const __m256i odd = _mm256_and_si256(cut, one);
        const __m256i rounded = _mm256_srli_epi32(
            _mm256_add_epi32(_mm256_add_epi32(bits, half), odd), 16);
        const __m256i quiet = _mm256_or_si256(cut, _mm256_set1_epi32(0x40));
        const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
        const __m256i result = _mm256_blendv_epi8(rounded, quiet, nan);
        const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(result),
                                                _mm256_extracti128_si256(result, 1));
        _mm_storeu_si128((__m128i *)(void *)(to + 2 * i), packed);
        const __m256i infinite = _mm256_cmpeq_epi32(_mm256_and_si256(result, exponent), exponent);
        bad = _mm256_or_si256(bad, infinite);
    }
    const bool rest = kernels_scalar.from_f32[OMENDB_BF16](from + i, to + 2 * i, count - i);
    return _mm256_testz_si256(bad, bad) && rest;
}

/* Values that are integers in [min, max], as 8 bytes each in the low byte of 32 bits. */
static AVX2_INLINE bool avx2_narrow(const float *from, uint8_t *to, size_t count, float min,
                                    float max)
{
    const __m256i low_bytes = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                               -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1,
                                               -1, -1, -1, -1);
    for (size_t i = 0; i + 8 <= count; i += 8) {
        const __m256 values = _mm256_loadu_ps(from + i);
        const __m256i integers = _mm256_cvttps_epi32(values);
        __m256 good = _mm256_cmp_ps(_mm256_cvtepi32_ps(integers), values, _CMP_EQ_OQ);
        good = _mm256_and_ps(good, _mm256_cmp_ps(values, _mm256_set1_ps(min), _CMP_GE_OQ));
        good = _mm256_and_ps(good, _mm256_cmp_ps(values, _mm256_set1_ps(max), _CMP_LE_OQ));
        if (_mm256_movemask_ps(good) != 0xFF) return false;
        const __m256i bytes = _mm256_shuffle_epi8(integers, low_bytes);
        const __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes),
                                                _mm256_extracti128_si256(bytes, 1));
        _mm_storel_epi64((__m128i *)(void *)(to + i), both);
    }
    return true;
}

AVX2 bool avx2_i8_from_f32(const float *from, void *to, size_t count)
{
    const size_t whole = count / 8 * 8;
    return avx2_narrow(from, to, whole, -128.0f, 127.0f) &&
           kernels_scalar.from_f32[OMENDB_I8](from + whole, (uint8_t *)to + whole, count - whole);
}

AVX2 bool avx2_u8_from_f32(const float *from, void *to, size_t count)
{
    const size_t whole = count / 8 * 8;
    return avx2_narrow(from, to, whole, 0.0f, 255.0f) &&
           kernels_scalar.from_f32[OMENDB_U8](from + whole, (uint8_t *)to + whole, count - whole);
}

/* ---- 7-bit codes --------------------------------------------------------------- */

/* 32 products, as 8 sums of four. Both steps are exact: kernels.h, "Why 7 bits". */
static AVX2_INLINE __m256i avx2_u7_products(__m256i code, __m256i plane)
{
    return _mm256_madd_epi16(_mm256_maddubs_epi16(code, plane), _mm256_set1_epi16(1));
}

/* The sums of four registers, in order. */
static AVX2_INLINE __m128i avx2_sum4(const __m256i sums[4])
{
    const __m256i s01 = _mm256_hadd_epi32(sums[0], sums[1]);
    const __m256i s23 = _mm256_hadd_epi32(sums[2], sums[3]);
    const __m256i s = _mm256_hadd_epi32(s01, s23);
    return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

/* The last 16 bytes, zeros after them. */
static AVX2_INLINE __m256i avx2_load_last(const void *bytes)
{
    return _mm256_zextsi128_si256(_mm_loadu_si128(bytes));
}

/* `rows` (1 or 4) codes against both planes; asks for the bytes `ahead` of each (0: none). */
static AVX2_INLINE void avx2_u7_block(const int8_t *hi, const int8_t *lo,
                                      const uint8_t *const *codes, size_t rows, size_t size,
                                      size_t ahead, int32_t *out)
{
    __m256i sums_hi[4], sums_lo[4];
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) sums_hi[r] = sums_lo[r] = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= size; i += 32) {
        const __m256i plane_hi = avx2_load_bytes(hi + i), plane_lo = avx2_load_bytes(lo + i);
        UNROLL(4)
        for (size_t r = 0; r < rows; r++) {
            if (ahead != 0 && i % CACHE_LINE == 0) prefetch(codes[r] + i + ahead);
            const __m256i code = avx2_load_bytes(codes[r] + i);
            sums_hi[r] = _mm256_add_epi32(sums_hi[r], avx2_u7_products(code, plane_hi));
            sums_lo[r] = _mm256_add_epi32(sums_lo[r], avx2_u7_products(code, plane_lo));
        }
    }
    if (i < size) {
        const __m256i plane_hi = avx2_load_last(hi + i), plane_lo = avx2_load_last(lo + i);
        UNROLL(4)
        for (size_t r = 0; r < rows; r++) {
            const __m256i code = avx2_load_last(codes[r] + i);
            sums_hi[r] = _mm256_add_epi32(sums_hi[r], avx2_u7_products(code, plane_hi));
            sums_lo[r] = _mm256_add_epi32(sums_lo[r], avx2_u7_products(code, plane_lo));
        }
    }
    const __m128i his = avx2_sum4(sums_hi), los = avx2_sum4(sums_lo);
    const __m128i first = _mm_unpacklo_epi32(his, los);
    if (rows == 1) {
        _mm_storel_epi64((__m128i *)(void *)out, first);
    } else {
        _mm_storeu_si128((__m128i *)(void *)out, first);
        _mm_storeu_si128((__m128i *)(void *)(out + 4), _mm_unpackhi_epi32(his, los));
    }
}

/* Bytes between a scan and its prefetches. From DRAM, 400-byte rows, Sapphire Rapids: 11.3 GB/s with
 * them and 8.8 without; 1,024 to 16,384 make no difference. */
enum { AVX2_AHEAD = 4096 };

AVX2 void avx2_u7_dot2(const int8_t *hi, const int8_t *lo, const uint8_t *codes, size_t stride,
                       size_t size, size_t count, int32_t *out)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    size_t i = 0;
    for (; i + 4 <= count; i += 4, codes += 4 * stride) {
        const uint8_t *const rows[4] = {codes, codes + stride, codes + 2 * stride,
                                        codes + 3 * stride};
        avx2_u7_block(hi, lo, rows, 4, size, AVX2_AHEAD, out + 2 * i);
    }
    for (; i < count; i++, codes += stride) avx2_u7_block(hi, lo, &codes, 1, size, 0, out + 2 * i);
}

AVX2 void avx2_u7_dot2_gather(const int8_t *hi, const int8_t *lo, const uint8_t *const *codes,
                              size_t size, size_t count, int32_t *out)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count) avx2_prefetch(codes[i + 1], size);
        avx2_u7_block(hi, lo, codes + i, 1, size, 0, out + 2 * i);
    }
}

static AVX2_INLINE int32_t avx2_u7_pair(const uint8_t *a, const uint8_t *b, size_t size)
{
    __m256i even = _mm256_setzero_si256(), odd = even;
    size_t i = 0;
    for (; i + 64 <= size; i += 64) {
        even = _mm256_add_epi32(even,
                                avx2_u7_products(avx2_load_bytes(a + i), avx2_load_bytes(b + i)));
        odd = _mm256_add_epi32(
            odd, avx2_u7_products(avx2_load_bytes(a + i + 32), avx2_load_bytes(b + i + 32)));
    }
    if (i + 32 <= size) {
        even = _mm256_add_epi32(even,
                                avx2_u7_products(avx2_load_bytes(a + i), avx2_load_bytes(b + i)));
        i += 32;
    }
    if (i < size)
        odd = _mm256_add_epi32(odd, avx2_u7_products(avx2_load_last(a + i), avx2_load_last(b + i)));
    return avx2_sum(_mm256_add_epi32(even, odd));
}

AVX2 int32_t avx2_u7_dot(const uint8_t *a, const uint8_t *b, size_t size)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    return avx2_u7_pair(a, b, size);
}

AVX2 void avx2_u7_dot_gather(const uint8_t *a, const uint8_t *const *codes, size_t size,
                             size_t count, int32_t *out)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count) avx2_prefetch(codes[i + 1], size);
        out[i] = avx2_u7_pair(a, codes[i], size);
    }
}

/* ---- Rotation and encoding ------------------------------------------------------ */

static AVX2_INLINE __m256 avx2_negate(__m256 values, int lanes)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i chosen = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes), bit), bit);
    return _mm256_xor_ps(values, _mm256_castsi256_ps(_mm256_slli_epi32(chosen, 31)));
}

/* Stages h = 1, 2, 4 inside a register: partner + (+-self), which is a + b and a - b. */
static AVX2_INLINE __m256 avx2_butterflies8(__m256 x)
{
    x = _mm256_add_ps(_mm256_permute_ps(x, 0xB1), avx2_negate(x, 0xAA));
    x = _mm256_add_ps(_mm256_permute_ps(x, 0x4E), avx2_negate(x, 0xCC));
    return _mm256_add_ps(_mm256_permute2f128_ps(x, x, 1), avx2_negate(x, 0xF0));
}

/* Stages h and 2h over four registers that stand h floats apart. */
static AVX2_INLINE void avx2_butterflies4(__m256 x[4])
{
    const __m256 a = _mm256_add_ps(x[0], x[1]), b = _mm256_sub_ps(x[0], x[1]);
    const __m256 c = _mm256_add_ps(x[2], x[3]), d = _mm256_sub_ps(x[2], x[3]);
    x[0] = _mm256_add_ps(a, c);
    x[1] = _mm256_add_ps(b, d);
    x[2] = _mm256_sub_ps(a, c);
    x[3] = _mm256_sub_ps(b, d);
}

AVX2 void avx2_fht(float *x, size_t n)
{
    if (n < 32) {
        kernels_scalar.fht(x, n);
        return;
    }
    assert((n & (n - 1)) == 0);
    __m256 r[4];
    for (size_t i = 0; i < n; i += 32) {
        UNROLL(4)
        for (size_t k = 0; k < 4; k++) r[k] = avx2_butterflies8(_mm256_loadu_ps(x + i + 8 * k));
        avx2_butterflies4(r);
        UNROLL(4)
        for (size_t k = 0; k < 4; k++) _mm256_storeu_ps(x + i + 8 * k, r[k]);
    }
    size_t h = 32;
    for (; 2 * h < n; h *= 4) {
        for (size_t start = 0; start < n; start += 4 * h) {
            for (size_t i = start; i < start + h; i += 8) {
                UNROLL(4)
                for (size_t k = 0; k < 4; k++) r[k] = _mm256_loadu_ps(x + i + k * h);
                avx2_butterflies4(r);
                UNROLL(4)
                for (size_t k = 0; k < 4; k++) _mm256_storeu_ps(x + i + k * h, r[k]);
            }
        }
    }
    if (h < n) {
        for (size_t i = 0; i < h; i += 8) {
            const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + h);
            _mm256_storeu_ps(x + i, _mm256_add_ps(a, b));
            _mm256_storeu_ps(x + i + h, _mm256_sub_ps(a, b));
        }
    }
    const __m256 scale = _mm256_set1_ps((float)(1.0 / sqrt((double)n)));
    for (size_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), scale));
}

AVX2 void avx2_flip_signs(float *x, const uint64_t *sign_bits, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const int lanes = (int)(sign_bits[i / 64] >> (i % 64) & 0xFF);
        _mm256_storeu_ps(x + i, avx2_negate(_mm256_loadu_ps(x + i), lanes));
    }
    for (; i < n; i++) {
        if ((sign_bits[i / 64] >> (i % 64) & 1) != 0) x[i] = -x[i];
    }
}

/* The largest of eight. */
static AVX2_INLINE float avx2_max(__m256 lanes)
{
    __m128 max = _mm_max_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    max = _mm_max_ps(max, _mm_movehl_ps(max, max));
    return _mm_cvtss_f32(_mm_max_ss(max, _mm_movehdup_ps(max)));
}

AVX2 float avx2_max_abs(const float *x, size_t n)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    __m256 lanes = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        lanes = _mm256_max_ps(lanes, _mm256_and_ps(_mm256_loadu_ps(x + i), magnitude));
    if (i < n) lanes = _mm256_max_ps(lanes, _mm256_and_ps(avx2_load_part(x + i, n - i), magnitude));
    return avx2_max(lanes);
}

AVX2 void avx2_min_max(const float *x, size_t n, float *min_out, float *max_out)
{
    if (n < 8) {
        kernels_scalar.min_max(x, n, min_out, max_out);
        return;
    }
    __m256 min = _mm256_loadu_ps(x), max = min;
    for (size_t i = 8; i < n; i += 8) {
        /* The last register overlaps the one before it: extremes don't mind. */
        const __m256 values = _mm256_loadu_ps(x + (i + 8 <= n ? i : n - 8));
        min = _mm256_min_ps(min, values);
        max = _mm256_max_ps(max, values);
    }
    *min_out = 0.0f - avx2_max(_mm256_sub_ps(_mm256_setzero_ps(), min));
    *max_out = avx2_max(max) + 0.0f;
}

/* 8 integers of 32 bits in [0, 255] or [-128, 127] as 8 bytes. */
static AVX2_INLINE void avx2_store_bytes(void *to, __m256i integers)
{
    const __m256i low = _mm256_and_si256(integers, _mm256_set1_epi32(255));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low),
                                           _mm256_extracti128_si256(low, 1));
    _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(words, words));
}

AVX2 void avx2_quantize_u7(const float *x, size_t n, float multiplier, float bias, uint8_t *codes)
{
    const __m256 m = _mm256_set1_ps(multiplier), b = _mm256_set1_ps(bias);
    const __m256 max = _mm256_set1_ps(127.0f);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 value = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), m, b);
        const __m256 clamped = _mm256_min_ps(_mm256_max_ps(value, _mm256_setzero_ps()), max);
        avx2_store_bytes(codes + i, _mm256_cvtps_epi32(clamped));
    }
    kernels_scalar.quantize_u7(x + i, n - i, multiplier, bias, codes + i);
}

AVX2 void avx2_quantize_planes(const float *x, size_t n, float multiplier, int8_t *hi, int8_t *lo)
{
    const __m256 m = _mm256_set1_ps(multiplier);
    const __m256 max = _mm256_set1_ps((float)KERNELS_PLANE_MAX);
    const __m256 min = _mm256_set1_ps(-(float)KERNELS_PLANE_MAX);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 value = _mm256_mul_ps(_mm256_loadu_ps(x + i), m);
        const __m256i integer = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(value, min), max));
        const __m256i high = _mm256_srai_epi32(_mm256_add_epi32(integer, _mm256_set1_epi32(64)), 7);
        avx2_store_bytes(hi + i, high);
        avx2_store_bytes(lo + i, _mm256_sub_epi32(integer, _mm256_slli_epi32(high, 7)));
    }
    kernels_scalar.quantize_planes(x + i, n - i, multiplier, hi + i, lo + i);
}

#define AVX2_FORMS(name)                                                                           \
    {                                                                                              \
        .pair = avx2_##name, .rows = avx2_##name##_rows, .gather = avx2_##name##_gather            \
    }

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .features = KERNELS_AVX2_FMA,
    .l2 = {[OMENDB_F32] = AVX2_FORMS(l2_f32),
           [OMENDB_F16] = AVX2_FORMS(l2_f16),
           [OMENDB_BF16] = AVX2_FORMS(l2_bf16),
           [OMENDB_I8] = AVX2_FORMS(l2_i8),
           [OMENDB_U8] = AVX2_FORMS(l2_u8)},
    .dot = {[OMENDB_F32] = AVX2_FORMS(dot_f32),
            [OMENDB_F16] = AVX2_FORMS(dot_f16),
            [OMENDB_BF16] = AVX2_FORMS(dot_bf16),
            [OMENDB_I8] = AVX2_FORMS(dot_i8),
            [OMENDB_U8] = AVX2_FORMS(dot_u8)},
    .hamming = AVX2_FORMS(hamming),
    .to_f32 = {[OMENDB_F32] = avx2_f32_to_f32,
               [OMENDB_F16] = avx2_f16_to_f32,
               [OMENDB_BF16] = avx2_bf16_to_f32,
               [OMENDB_I8] = avx2_i8_to_f32,
               [OMENDB_U8] = avx2_u8_to_f32,
               [OMENDB_F64] = avx2_f64_to_f32},
    .from_f32 = {[OMENDB_F32] = avx2_f32_from_f32,
                 [OMENDB_F16] = avx2_f16_from_f32,
                 [OMENDB_BF16] = avx2_bf16_from_f32,
                 [OMENDB_I8] = avx2_i8_from_f32,
                 [OMENDB_U8] = avx2_u8_from_f32},
    .all_finite = avx2_all_finite,
    .u7_dot2 = avx2_u7_dot2,
    .u7_dot2_gather = avx2_u7_dot2_gather,
    .u7_dot = avx2_u7_dot,
    .u7_dot_gather = avx2_u7_dot_gather,
    .fht = avx2_fht,
    .flip_signs = avx2_flip_signs,
    .max_abs = avx2_max_abs,
    .min_max = avx2_min_max,
    .quantize_u7 = avx2_quantize_u7,
    .quantize_planes = avx2_quantize_planes,
};

#endif /* __x86_64__ */
