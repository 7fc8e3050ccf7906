/* x86_avx512.c - the kernels in AVX-512 F, BW, VL and DQ, and those with VNNI.
 *
 * Lane layout: lanes 0-15 and 16-31 in two registers; tails by masked loads, which never
 * fault on what they mask. Bounds: kernels.h. What gains nothing from 64 bytes (conversions at load time)
 * is shared with AVX2, as are the code kernels of processors without VNNI: Skylake's 512-bit
 * multiplications cost clock frequency and win nothing on rows that come from memory.
 *
 * Latency / throughput in cycles (uops.info, Ice Lake and Sapphire Rapids): vfmaddps zmm 4 / 0.5
 * to 1, vpdpbusd zmm 5 / 0.5 to 1, 64-byte loads 2 a cycle, 1 when they cross a line. Four rows
 * against two planes keep eight dpbusd chains going.
 */
#include "simd/kernels.h"

#if defined(__x86_64__)

#include <assert.h>
#include <immintrin.h>
#include <math.h>

#include "simd/x86_avx2.h"
#include "simd/x86_avx512.h"

#define AVX512_VNNI                                                                                \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define AVX512_VNNI_INLINE AVX512_VNNI inline __attribute__((always_inline))

enum avx512_operation { AVX512_L2, AVX512_DOT };

/* The first `count` elements of 16 at `from` as f32, zeros behind them; reads no further. */
static AVX512_INLINE __m512 avx512_load16(omendb_type type, const uint8_t *from, size_t count)
{
    const __mmask16 mask = (__mmask16)((1u << count) - 1u);
    if (type == OMENDB_F32) return _mm512_maskz_loadu_ps(mask, from);
    const __m256i halves = _mm256_maskz_loadu_epi16(mask, from);
    if (type == OMENDB_F16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

static AVX512_INLINE __m512 avx512_step(enum avx512_operation operation, __m512 lanes, __m512 a,
                                        __m512 b)
{
    if (operation == AVX512_DOT) return _mm512_fmadd_ps(a, b, lanes);
    const __m512 difference = _mm512_sub_ps(a, b);
    return _mm512_fmadd_ps(difference, difference, lanes);
}

static AVX512_INLINE float avx512_reduce(__m512 lanes0, __m512 lanes16)
{
    const __m512 to16 = _mm512_add_ps(lanes0, lanes16);
    const __m256 to8 = _mm256_add_ps(_mm512_castps512_ps256(to16), _mm512_extractf32x8_ps(to16, 1));
    const __m128 to4 = _mm_add_ps(_mm256_castps256_ps128(to8), _mm256_extractf128_ps(to8, 1));
    const __m128 to2 = _mm_add_ps(to4, _mm_movehl_ps(to4, to4));
    return _mm_cvtss_f32(_mm_add_ss(to2, _mm_movehdup_ps(to2)));
}

static AVX512_INLINE float avx512_float_pair(enum avx512_operation operation, omendb_type type,
                                             const void *a_bytes, const void *b_bytes, size_t dim)
{
    const size_t width = type == OMENDB_F32 ? 4 : 2;
    const uint8_t *a = a_bytes, *b = b_bytes;
    __m512 lane0 = _mm512_setzero_ps(), lane16 = lane0;
    const size_t whole = dim / 32 * 32;
    for (size_t i = 0; i < whole; i += 32, a += 32 * width, b += 32 * width) {
        lane0 = avx512_step(operation, lane0, avx512_load16(type, a, 16),
                            avx512_load16(type, b, 16));
        lane16 = avx512_step(operation, lane16, avx512_load16(type, a + 16 * width, 16),
                             avx512_load16(type, b + 16 * width, 16));
    }
    const size_t rest = dim - whole;
    if (rest != 0) {
        const size_t low = rest < 16 ? rest : 16, high = rest - low;
        lane0 = avx512_step(operation, lane0, avx512_load16(type, a, low),
                            avx512_load16(type, b, low));
        lane16 = avx512_step(operation, lane16, avx512_load16(type, a + low * width, high),
                             avx512_load16(type, b + low * width, high));
    }
    return avx512_reduce(lane0, lane16);
}

/* 32 products of i8 or u8, or of their differences, as 16 sums of two. */
static AVX512_INLINE __m512i avx512_products32(enum avx512_operation operation, omendb_type type,
                                               const uint8_t *a, const uint8_t *b, __mmask32 mask)
{
    const __m256i a32 = _mm256_maskz_loadu_epi8(mask, a), b32 = _mm256_maskz_loadu_epi8(mask, b);
    __m512i x = type == OMENDB_I8 ? _mm512_cvtepi8_epi16(a32) : _mm512_cvtepu8_epi16(a32);
    __m512i y = type == OMENDB_I8 ? _mm512_cvtepi8_epi16(b32) : _mm512_cvtepu8_epi16(b32);
    if (operation == AVX512_L2) x = y = _mm512_sub_epi16(x, y);
    return _mm512_madd_epi16(x, y);
}

static AVX512_INLINE float avx512_integer_pair(enum avx512_operation operation, omendb_type type,
                                               const void *a_bytes, const void *b_bytes, size_t dim)
{
    const uint8_t *a = a_bytes, *b = b_bytes;
    __m512i sums = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 32 <= dim; i += 32)
        sums = _mm512_add_epi32(sums,
                                avx512_products32(operation, type, a + i, b + i, 0xFFFFFFFFu));
    if (i < dim) {
        const __mmask32 mask = (__mmask32)((1u << (dim - i)) - 1u);
        sums = _mm512_add_epi32(sums, avx512_products32(operation, type, a + i, b + i, mask));
    }
    return (float)_mm512_reduce_add_epi32(sums);
}

/* Bits set in each 64-bit part of a ^ b, as in x86_avx2.c. */
static AVX512_INLINE __m512i avx512_differing_bits(__m512i a, __m512i b)
{
    const __m512i of_nibble = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i bits = _mm512_xor_si512(a, b);
    const __m512i low = _mm512_and_si512(bits, nibble);
    const __m512i high = _mm512_and_si512(_mm512_srli_epi16(bits, 4), nibble);
    const __m512i counts = _mm512_add_epi8(_mm512_shuffle_epi8(of_nibble, low),
                                           _mm512_shuffle_epi8(of_nibble, high));
    return _mm512_sad_epu8(counts, _mm512_setzero_si512());
}

static AVX512_INLINE float avx512_hamming_pair(const void *a_bytes, const void *b_bytes, size_t dim)
{
    const uint8_t *a = a_bytes, *b = b_bytes;
    const size_t size = (dim + 7) / 8;
    __m512i sums = _mm512_setzero_si512();
    for (size_t i = 0; i < size; i += 64) {
        const size_t rest = size - i < 64 ? size - i : 64;
        const __mmask64 mask = ~UINT64_C(0) >> (64 - rest);
        const __m512i x = _mm512_maskz_loadu_epi8(mask, a + i);
        const __m512i y = _mm512_maskz_loadu_epi8(mask, b + i);
        sums = _mm512_add_epi64(sums, avx512_differing_bits(x, y));
    }
    return (float)_mm512_reduce_add_epi32(sums); /* The upper halves are zero. */
}

static inline void avx512_prefetch(const void *row, size_t size)
{
    const size_t wanted = size < 4096 ? size : 4096;
    for (size_t i = 0; i < wanted; i += CACHE_LINE) prefetch((const uint8_t *)row + i);
}

/* The three forms of a measure; `call` computes one pair (a, b, dim), `size` is a row's bytes. */
#define AVX512_MEASURE(name, size, call)                                                           \
    static AVX512 float avx512_##name(const void *a, const void *b, size_t dim)                    \
    {                                                                                              \
        return call;                                                                               \
    }                                                                                              \
    static AVX512 void avx512_##name##_rows(const void *a, const void *rows, size_t stride,        \
                                            size_t count, size_t dim, float *out)                  \
    {                                                                                              \
        const uint8_t *b = rows;                                                                   \
        for (size_t i = 0; i < count; i++, b += stride) out[i] = call;                             \
    }                                                                                              \
    static AVX512 void avx512_##name##_gather(const void *a, const void *const *rows,              \
                                              size_t count, size_t dim, float *out)                \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            const void *b = rows[i];                                                               \
            if (i + 1 < count) avx512_prefetch(rows[i + 1], size);                                 \
            out[i] = call;                                                                         \
        }                                                                                          \
    }

AVX512_MEASURE(l2_f32, 4 * dim, avx512_float_pair(AVX512_L2, OMENDB_F32, a, b, dim))
AVX512_MEASURE(l2_f16, 2 * dim, avx512_float_pair(AVX512_L2, OMENDB_F16, a, b, dim))
AVX512_MEASURE(l2_bf16, 2 * dim, avx512_float_pair(AVX512_L2, OMENDB_BF16, a, b, dim))
AVX512_MEASURE(l2_i8, dim, avx512_integer_pair(AVX512_L2, OMENDB_I8, a, b, dim))
AVX512_MEASURE(l2_u8, dim, avx512_integer_pair(AVX512_L2, OMENDB_U8, a, b, dim))
AVX512_MEASURE(dot_f32, 4 * dim, avx512_float_pair(AVX512_DOT, OMENDB_F32, a, b, dim))
AVX512_MEASURE(dot_f16, 2 * dim, avx512_float_pair(AVX512_DOT, OMENDB_F16, a, b, dim))
AVX512_MEASURE(dot_bf16, 2 * dim, avx512_float_pair(AVX512_DOT, OMENDB_BF16, a, b, dim))
AVX512_MEASURE(dot_i8, dim, avx512_integer_pair(AVX512_DOT, OMENDB_I8, a, b, dim))
AVX512_MEASURE(dot_u8, dim, avx512_integer_pair(AVX512_DOT, OMENDB_U8, a, b, dim))
AVX512_MEASURE(hamming, dim / 8, avx512_hamming_pair(a, b, dim))

/* ---- 7-bit codes, VNNI ----------------------------------------------------------- */

/* `rows` (1 or 4) codes against both planes; asks for the bytes `ahead` of each (0: none). */
static AVX512_VNNI_INLINE void avx512_u7_block(const int8_t *hi, const int8_t *lo,
                                               const uint8_t *const *codes, size_t rows,
                                               size_t size, size_t ahead, int32_t *out)
{
    __m512i sums_hi[4], sums_lo[4];
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) sums_hi[r] = sums_lo[r] = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 64 <= size; i += 64) {
        const __m512i plane_hi = _mm512_loadu_si512(hi + i), plane_lo = _mm512_loadu_si512(lo + i);
        UNROLL(4)
        for (size_t r = 0; r < rows; r++) {
            if (ahead != 0) prefetch(codes[r] + i + ahead);
            const __m512i code = _mm512_loadu_si512(codes[r] + i);
            sums_hi[r] = _mm512_dpbusd_epi32(sums_hi[r], code, plane_hi);
            sums_lo[r] = _mm512_dpbusd_epi32(sums_lo[r], code, plane_lo);
        }
    }
    if (i < size) {
        const struct avx512_rest rest = avx512_rest(i, size);
        const __m512i plane_hi = avx512_load_rest(rest, hi);
        const __m512i plane_lo = avx512_load_rest(rest, lo);
        UNROLL(4)
        for (size_t r = 0; r < rows; r++) {
            if (ahead != 0) prefetch(codes[r] + i + ahead);
            const __m512i code = avx512_load_rest(rest, codes[r]);
            sums_hi[r] = _mm512_dpbusd_epi32(sums_hi[r], code, plane_hi);
            sums_lo[r] = _mm512_dpbusd_epi32(sums_lo[r], code, plane_lo);
        }
    }
    const __m128i his = avx512_sum4(sums_hi), los = avx512_sum4(sums_lo);
    const __m128i first = _mm_unpacklo_epi32(his, los);
    if (rows == 1) {
        _mm_storel_epi64((__m128i *)(void *)out, first);
    } else {
        _mm_storeu_si128((__m128i *)(void *)out, first);
        _mm_storeu_si128((__m128i *)(void *)(out + 4), _mm_unpackhi_epi32(his, los));
    }
}

enum { AVX512_AHEAD = 4096 }; /* Bytes between a scan and its prefetches: x86_avx2.c. */

static AVX512_VNNI void avx512_u7_dot2(const int8_t *hi, const int8_t *lo, const uint8_t *codes,
                                       size_t stride, size_t size, size_t count, int32_t *out)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    size_t i = 0;
    for (; i + 4 <= count; i += 4, codes += 4 * stride) {
        const uint8_t *const rows[4] = {codes, codes + stride, codes + 2 * stride,
                                        codes + 3 * stride};
        avx512_u7_block(hi, lo, rows, 4, size, AVX512_AHEAD, out + 2 * i);
    }
    for (; i < count; i++, codes += stride)
        avx512_u7_block(hi, lo, &codes, 1, size, 0, out + 2 * i);
}

static AVX512_VNNI void avx512_u7_dot2_gather(const int8_t *hi, const int8_t *lo,
                                              const uint8_t *const *codes, size_t size,
                                              size_t count, int32_t *out)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count) avx512_prefetch(codes[i + 1], size);
        avx512_u7_block(hi, lo, codes + i, 1, size, 0, out + 2 * i);
    }
}

static AVX512_VNNI_INLINE int32_t avx512_u7_pair(const uint8_t *a, const uint8_t *b, size_t size)
{
    __m512i sums = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 64 <= size; i += 64)
        sums = _mm512_dpbusd_epi32(sums, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
    if (i < size) {
        const struct avx512_rest rest = avx512_rest(i, size);
        sums = _mm512_dpbusd_epi32(sums, avx512_load_rest(rest, a), avx512_load_rest(rest, b));
    }
    return _mm512_reduce_add_epi32(sums);
}

static AVX512_VNNI int32_t avx512_u7_dot(const uint8_t *a, const uint8_t *b, size_t size)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    return avx512_u7_pair(a, b, size);
}

static AVX512_VNNI void avx512_u7_dot_gather(const uint8_t *a, const uint8_t *const *codes,
                                             size_t size, size_t count, int32_t *out)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    size_t at = 0;
    for (; at + 4 <= count; at += 4) {
        __m512i sums[4];
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) sums[r] = _mm512_setzero_si512();
        size_t i = 0;
        for (; i + 64 <= size; i += 64) {
            const __m512i digits = _mm512_loadu_si512(a + i);
            UNROLL(4)
            for (size_t r = 0; r < 4; r++)
                sums[r] = _mm512_dpbusd_epi32(sums[r], digits,
                                              _mm512_loadu_si512(codes[at + r] + i));
        }
        if (i < size) {
            const struct avx512_rest rest = avx512_rest(i, size);
            const __m512i digits = avx512_load_rest(rest, a);
            UNROLL(4)
            for (size_t r = 0; r < 4; r++)
                sums[r] = _mm512_dpbusd_epi32(sums[r], digits,
                                              avx512_load_rest(rest, codes[at + r]));
        }
        _mm_storeu_si128((__m128i *)(void *)(out + at), avx512_sum4(sums));
    }
    for (; at < count; at++) out[at] = avx512_u7_pair(a, codes[at], size);
}

/* ---- Rotation ------------------------------------------------------------------- */

/* The lanes of `mask` negated. */
static AVX512_INLINE __m512 avx512_negate(__m512 x, __mmask16 mask)
{
    const __m512 sign = _mm512_castsi512_ps(_mm512_set1_epi32((int)0x80000000u));
    return _mm512_mask_xor_ps(x, mask, x, sign);
}

/* Stages h = 1, 2, 4, 8 inside a register: partner + (+-self), which is a + b and a - b. */
static AVX512_INLINE __m512 avx512_butterflies16(__m512 x)
{
    x = _mm512_add_ps(_mm512_permute_ps(x, 0xB1), avx512_negate(x, 0xAAAA));
    x = _mm512_add_ps(_mm512_permute_ps(x, 0x4E), avx512_negate(x, 0xCCCC));
    x = _mm512_add_ps(_mm512_shuffle_f32x4(x, x, 0xB1), avx512_negate(x, 0xF0F0));
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, x, 0x4E), avx512_negate(x, 0xFF00));
}

/* Stages h and 2h over four registers that stand h floats apart. */
static AVX512_INLINE void avx512_butterflies4(__m512 x[4])
{
    const __m512 a = _mm512_add_ps(x[0], x[1]), b = _mm512_sub_ps(x[0], x[1]);
    const __m512 c = _mm512_add_ps(x[2], x[3]), d = _mm512_sub_ps(x[2], x[3]);
    x[0] = _mm512_add_ps(a, c);
    x[1] = _mm512_add_ps(b, d);
    x[2] = _mm512_sub_ps(a, c);
    x[3] = _mm512_sub_ps(b, d);
}

static AVX512 void avx512_fht(float *x, size_t n)
{
    if (n < 64) {
        avx2_fht(x, n);
        return;
    }
    assert((n & (n - 1)) == 0);
    __m512 r[4];
    for (size_t i = 0; i < n; i += 64) {
        UNROLL(4)
        for (size_t k = 0; k < 4; k++) r[k] = avx512_butterflies16(_mm512_loadu_ps(x + i + 16 * k));
        avx512_butterflies4(r);
        UNROLL(4)
        for (size_t k = 0; k < 4; k++) _mm512_storeu_ps(x + i + 16 * k, r[k]);
    }
    size_t h = 64;
    for (; 2 * h < n; h *= 4) {
        for (size_t start = 0; start < n; start += 4 * h) {
            for (size_t i = start; i < start + h; i += 16) {
                UNROLL(4)
                for (size_t k = 0; k < 4; k++) r[k] = _mm512_loadu_ps(x + i + k * h);
                avx512_butterflies4(r);
                UNROLL(4)
                for (size_t k = 0; k < 4; k++) _mm512_storeu_ps(x + i + k * h, r[k]);
            }
        }
    }
    if (h < n) {
        for (size_t i = 0; i < h; i += 16) {
            const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + h);
            _mm512_storeu_ps(x + i, _mm512_add_ps(a, b));
            _mm512_storeu_ps(x + i + h, _mm512_sub_ps(a, b));
        }
    }
    const __m512 scale = _mm512_set1_ps((float)(1.0 / sqrt((double)n)));
    for (size_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(x + i, _mm512_mul_ps(_mm512_loadu_ps(x + i), scale));
}

#define AVX512_FORMS(measure)                                                                      \
    {                                                                                              \
        .pair = avx512_##measure, .rows = avx512_##measure##_rows,                                 \
        .gather = avx512_##measure##_gather                                                        \
    }

/* What both tables have; the code kernels are what differs. */
#define AVX512_SHARED                                                                              \
    .l2 = {[OMENDB_F32] = AVX512_FORMS(l2_f32),                                                    \
           [OMENDB_F16] = AVX512_FORMS(l2_f16),                                                    \
           [OMENDB_BF16] = AVX512_FORMS(l2_bf16),                                                  \
           [OMENDB_I8] = AVX512_FORMS(l2_i8),                                                      \
           [OMENDB_U8] = AVX512_FORMS(l2_u8)},                                                     \
    .dot = {[OMENDB_F32] = AVX512_FORMS(dot_f32),                                                  \
            [OMENDB_F16] = AVX512_FORMS(dot_f16),                                                  \
            [OMENDB_BF16] = AVX512_FORMS(dot_bf16),                                                \
            [OMENDB_I8] = AVX512_FORMS(dot_i8),                                                    \
            [OMENDB_U8] = AVX512_FORMS(dot_u8)},                                                   \
    .hamming = AVX512_FORMS(hamming),                                                              \
    .to_f32 = {[OMENDB_F32] = avx2_f32_to_f32,   [OMENDB_F16] = avx2_f16_to_f32,                   \
               [OMENDB_BF16] = avx2_bf16_to_f32, [OMENDB_I8] = avx2_i8_to_f32,                     \
               [OMENDB_U8] = avx2_u8_to_f32,     [OMENDB_F64] = avx2_f64_to_f32},                  \
    .from_f32 = {[OMENDB_F32] = avx2_f32_from_f32,                                                 \
                 [OMENDB_F16] = avx2_f16_from_f32,                                                 \
                 [OMENDB_BF16] = avx2_bf16_from_f32,                                               \
                 [OMENDB_I8] = avx2_i8_from_f32,                                                   \
                 [OMENDB_U8] = avx2_u8_from_f32},                                                  \
    .all_finite = avx2_all_finite, .fht = avx512_fht, .flip_signs = avx2_flip_signs,               \
    .max_abs = avx2_max_abs, .min_max = avx2_min_max, .quantize_u7 = avx2_quantize_u7,             \
    .quantize_planes = avx2_quantize_planes

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .features = KERNELS_AVX2_FMA | KERNELS_AVX512,
    .u7_dot2 = avx2_u7_dot2,
    .u7_dot2_gather = avx2_u7_dot2_gather,
    .u7_dot = avx2_u7_dot,
    .u7_dot_gather = avx2_u7_dot_gather,
    AVX512_SHARED,
};

const struct kernels kernels_avx512_vnni = {
    .name = "avx512-vnni",
    .features = KERNELS_AVX2_FMA | KERNELS_AVX512 | KERNELS_AVX512_VNNI,
    .u7_dot2 = avx512_u7_dot2,
    .u7_dot2_gather = avx512_u7_dot2_gather,
    .u7_dot = avx512_u7_dot,
    .u7_dot_gather = avx512_u7_dot_gather,
    AVX512_SHARED,
};

#endif /* __x86_64__ */
