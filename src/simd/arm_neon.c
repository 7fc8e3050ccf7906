/* arm_neon.c - the kernels in Advanced SIMD, which every 64-bit ARM processor has, and the code
 * kernels of those with the dot product instructions (ARMv8.2 DotProd).
 *
 * Lane layout: lanes 4k .. 4k+3 in register k of 8; tails through a zeroed copy of 32 elements on
 * the stack. Bounds: kernels.h.
 *
 * Latency / throughput in cycles (Arm, Neoverse N1 guide): fmla 4 / 0.5, sdot 3 / 0.5, smull 4 /
 * 1, sadalp 4 / 1. Eight fma chains hide the latency of one pair.
 */
#include "simd/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <assert.h>
#include <math.h>
#include <string.h>

#define NEON_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define NEON_DOT __attribute__((target("dotprod")))
#else
#define NEON_DOT __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
enum neon_operation { NEON_L2, NEON_DOT_PRODUCT };

/* 4 elements as f32. Loads by bytes: rows may begin anywhere. */
static NEON_INLINE float32x4_t neon_load4(omendb_type type, const uint8_t *from)
{
    if (type == OMENDB_F32) return vreinterpretq_f32_u8(vld1q_u8(from));
    const uint16x4_t halves = vreinterpret_u16_u8(vld1_u8(from));
    if (type == OMENDB_F16) return vcvt_f32_f16(vreinterpret_f16_u16(halves));
    return vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
}

static NEON_INLINE float32x4_t neon_step(enum neon_operation operation, float32x4_t lanes,
                                         float32x4_t a, float32x4_t b)
{
    if (operation == NEON_DOT_PRODUCT) return vfmaq_f32(lanes, a, b);
    const float32x4_t difference = vsubq_f32(a, b);
    return vfmaq_f32(lanes, difference, difference);
}

static NEON_INLINE void neon_step32(enum neon_operation operation, omendb_type type,
                                    float32x4_t lanes[8], const uint8_t *a, const uint8_t *b)
{
    const size_t step = type == OMENDB_F32 ? 16 : 8;
    UNROLL(8)
    for (size_t k = 0; k < 8; k++)
        lanes[k] = neon_step(operation, lanes[k], neon_load4(type, a + k * step),
                             neon_load4(type, b + k * step));
}

static NEON_INLINE float neon_float_pair(enum neon_operation operation, omendb_type type,
                                         const void *a_bytes, const void *b_bytes, size_t dim)
{
    const size_t width = type == OMENDB_F32 ? 4 : 2;
    const uint8_t *a = a_bytes, *b = b_bytes;
    float32x4_t lanes[8];
    UNROLL(8)
    for (size_t k = 0; k < 8; k++) lanes[k] = vdupq_n_f32(0.0f);
    const size_t whole = dim / 32 * 32;
    for (size_t i = 0; i < whole; i += 32, a += 32 * width, b += 32 * width)
        neon_step32(operation, type, lanes, a, b);
    if (whole < dim) {
        uint8_t a_tail[128] = {0}, b_tail[128] = {0};
        memcpy(a_tail, a, (dim - whole) * width);
        memcpy(b_tail, b, (dim - whole) * width);
        neon_step32(operation, type, lanes, a_tail, b_tail);
    }
    UNROLL(4)
    for (size_t half = 4; half > 0; half /= 2) {
        UNROLL(4)
        for (size_t k = 0; k < half; k++) lanes[k] = vaddq_f32(lanes[k], lanes[k + half]);
    }
    const float32x2_t to2 = vadd_f32(vget_low_f32(lanes[0]), vget_high_f32(lanes[0]));
    return vget_lane_f32(to2, 0) + vget_lane_f32(to2, 1);
}

/* Adds 16 products of i8 or u8, or of their differences, whose size fits 8 bits. */
static NEON_INLINE int32x4_t neon_products16(enum neon_operation operation, omendb_type type,
                                             int32x4_t sums, const uint8_t *a, const uint8_t *b)
{
    const uint8x16_t x = vld1q_u8(a), y = vld1q_u8(b);
    if (operation == NEON_DOT_PRODUCT && type == OMENDB_I8) {
        const int8x16_t p = vreinterpretq_s8_u8(x), q = vreinterpretq_s8_u8(y);
        sums = vpadalq_s16(sums, vmull_s8(vget_low_s8(p), vget_low_s8(q)));
        return vpadalq_s16(sums, vmull_s8(vget_high_s8(p), vget_high_s8(q)));
    }
    uint8x16_t p = x, q = y;
    if (operation == NEON_L2) {
        p = type == OMENDB_U8
                ? vabdq_u8(x, y)
                : vreinterpretq_u8_s8(vabdq_s8(vreinterpretq_s8_u8(x), vreinterpretq_s8_u8(y)));
        q = p;
    }
    uint32x4_t total = vreinterpretq_u32_s32(sums);
    total = vpadalq_u16(total, vmull_u8(vget_low_u8(p), vget_low_u8(q)));
    total = vpadalq_u16(total, vmull_u8(vget_high_u8(p), vget_high_u8(q)));
    return vreinterpretq_s32_u32(total);
}

static NEON_INLINE float neon_integer_pair(enum neon_operation operation, omendb_type type,
                                           const void *a_bytes, const void *b_bytes, size_t dim)
{
    const uint8_t *a = a_bytes, *b = b_bytes;
    int32x4_t sums = vdupq_n_s32(0);
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) sums = neon_products16(operation, type, sums, a + i, b + i);
    if (i < dim) {
        uint8_t a_tail[16] = {0}, b_tail[16] = {0};
        memcpy(a_tail, a + i, dim - i);
        memcpy(b_tail, b + i, dim - i);
        sums = neon_products16(operation, type, sums, a_tail, b_tail);
    }
    return (float)vaddvq_s32(sums);
}

static NEON_INLINE float neon_hamming_pair(const void *a_bytes, const void *b_bytes, size_t dim)
{
    const uint8_t *a = a_bytes, *b = b_bytes;
    const size_t size = (dim + 7) / 8;
    uint32x4_t sums = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 16 <= size; i += 16) {
        const uint8x16_t counts = vcntq_u8(veorq_u8(vld1q_u8(a + i), vld1q_u8(b + i)));
        sums = vpadalq_u16(sums, vpaddlq_u8(counts));
    }
    if (i < size) {
        uint8_t a_tail[16] = {0}, b_tail[16] = {0};
        memcpy(a_tail, a + i, size - i);
        memcpy(b_tail, b + i, size - i);
        const uint8x16_t counts = vcntq_u8(veorq_u8(vld1q_u8(a_tail), vld1q_u8(b_tail)));
        sums = vpadalq_u16(sums, vpaddlq_u8(counts));
    }
    return (float)vaddvq_u32(sums);
}

static inline void neon_prefetch(const void *row, size_t size)
{
    const size_t wanted = size < 4096 ? size : 4096;
    for (size_t i = 0; i < wanted; i += CACHE_LINE) prefetch((const uint8_t *)row + i);
}

/* The three forms of a measure; `call` computes one pair (a, b, dim), `size` is a row's bytes. */
#define NEON_MEASURE(name, size, call)                                                             \
    static float neon_##name(const void *a, const void *b, size_t dim)                             \
    {                                                                                              \
        return call;                                                                               \
    }                                                                                              \
    static void neon_##name##_rows(const void *a, const void *rows, size_t stride, size_t count,   \
                                   size_t dim, float *out)                                         \
    {                                                                                              \
        const uint8_t *b = rows;                                                                   \
        for (size_t i = 0; i < count; i++, b += stride) out[i] = call;                             \
    }                                                                                              \
    static void neon_##name##_gather(const void *a, const void *const *rows, size_t count,         \
                                     size_t dim, float *out)                                       \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            const void *b = rows[i];                                                               \
            if (i + 1 < count) neon_prefetch(rows[i + 1], size);                                   \
            out[i] = call;                                                                         \
        }                                                                                          \
    }

NEON_MEASURE(l2_f32, 4 * dim, neon_float_pair(NEON_L2, OMENDB_F32, a, b, dim))
NEON_MEASURE(l2_f16, 2 * dim, neon_float_pair(NEON_L2, OMENDB_F16, a, b, dim))
NEON_MEASURE(l2_bf16, 2 * dim, neon_float_pair(NEON_L2, OMENDB_BF16, a, b, dim))
NEON_MEASURE(l2_i8, dim, neon_integer_pair(NEON_L2, OMENDB_I8, a, b, dim))
NEON_MEASURE(l2_u8, dim, neon_integer_pair(NEON_L2, OMENDB_U8, a, b, dim))
NEON_MEASURE(dot_f32, 4 * dim, neon_float_pair(NEON_DOT_PRODUCT, OMENDB_F32, a, b, dim))
NEON_MEASURE(dot_f16, 2 * dim, neon_float_pair(NEON_DOT_PRODUCT, OMENDB_F16, a, b, dim))
NEON_MEASURE(dot_bf16, 2 * dim, neon_float_pair(NEON_DOT_PRODUCT, OMENDB_BF16, a, b, dim))
NEON_MEASURE(dot_i8, dim, neon_integer_pair(NEON_DOT_PRODUCT, OMENDB_I8, a, b, dim))
NEON_MEASURE(dot_u8, dim, neon_integer_pair(NEON_DOT_PRODUCT, OMENDB_U8, a, b, dim))
NEON_MEASURE(hamming, dim / 8, neon_hamming_pair(a, b, dim))

/* ---- Conversions: whole registers here, the rest by the reference ----------------- */

/* Ones where the value is an infinity or NaN. */
static NEON_INLINE uint32x4_t neon_not_finite(float32x4_t values)
{
    const uint32x4_t exponent = vdupq_n_u32(0x7F800000u);
    return vceqq_u32(vandq_u32(vreinterpretq_u32_f32(values), exponent), exponent);
}

static bool neon_all_finite(const void *f32, size_t count)
{
    const uint8_t *from = f32;
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        uint32x4_t bad = vdupq_n_u32(0);
        UNROLL(4)
        for (size_t k = 0; k < 4; k++)
            bad = vorrq_u32(bad, neon_not_finite(neon_load4(OMENDB_F32, from + 4 * i + 16 * k)));
        if (vmaxvq_u32(bad) != 0) return false;
    }
    return kernels_scalar.all_finite(from + 4 * i, count - i);
}

static NEON_INLINE bool neon_widen(omendb_type type, const void *from, float *to, size_t count)
{
    const size_t width = type == OMENDB_F32 ? 4 : 2;
    uint32x4_t bad = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float32x4_t values = neon_load4(type, (const uint8_t *)from + i * width);
        vst1q_f32(to + i, values);
        bad = vorrq_u32(bad, neon_not_finite(values));
    }
    const bool rest = kernels_scalar.to_f32[type]((const uint8_t *)from + i * width, to + i,
                                                  count - i);
    return vmaxvq_u32(bad) == 0 && rest;
}

static bool neon_f32_to_f32(const void *from, float *to, size_t count)
{
    return neon_widen(OMENDB_F32, from, to, count);
}

static bool neon_f16_to_f32(const void *from, float *to, size_t count)
{
    return neon_widen(OMENDB_F16, from, to, count);
}

static bool neon_bf16_to_f32(const void *from, float *to, size_t count)
{
    return neon_widen(OMENDB_BF16, from, to, count);
}

static bool neon_i8_to_f32(const void *from, float *to, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const int16x8_t words = vmovl_s8(vreinterpret_s8_u8(vld1_u8((const uint8_t *)from + i)));
        vst1q_f32(to + i, vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))));
        vst1q_f32(to + i + 4, vcvtq_f32_s32(vmovl_s16(vget_high_s16(words))));
    }
    return kernels_scalar.to_f32[OMENDB_I8]((const uint8_t *)from + i, to + i, count - i);
}

static bool neon_u8_to_f32(const void *from, float *to, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const uint16x8_t words = vmovl_u8(vld1_u8((const uint8_t *)from + i));
        vst1q_f32(to + i, vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))));
        vst1q_f32(to + i + 4, vcvtq_f32_u32(vmovl_u16(vget_high_u16(words))));
    }
    return kernels_scalar.to_f32[OMENDB_U8]((const uint8_t *)from + i, to + i, count - i);
}

static bool neon_f64_to_f32(const void *from_bytes, float *to, size_t count)
{
    const uint8_t *from = from_bytes;
    uint32x4_t bad = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float64x2_t low = vreinterpretq_f64_u8(vld1q_u8(from + 8 * i));
        const float64x2_t high = vreinterpretq_f64_u8(vld1q_u8(from + 8 * i + 16));
        const float32x4_t values = vcvt_high_f32_f64(vcvt_f32_f64(low), high);
        vst1q_f32(to + i, values);
        bad = vorrq_u32(bad, neon_not_finite(values));
    }
    const bool rest = kernels_scalar.to_f32[OMENDB_F64](from + 8 * i, to + i, count - i);
    return vmaxvq_u32(bad) == 0 && rest;
}

static bool neon_f32_from_f32(const float *from, void *to, size_t count)
{
    memmove(to, from, count * sizeof *from);
    return neon_all_finite(to, count);
}

static bool neon_f16_from_f32(const float *from, void *to_bytes, size_t count)
{
    uint8_t *to = to_bytes;
    const uint16x4_t exponent = vdup_n_u16(0x7C00);
    uint16x4_t bad = vdup_n_u16(0);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint16x4_t halves = vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(from + i)));
        vst1_u8(to + 2 * i, vreinterpret_u8_u16(halves));
        bad = vorr_u16(bad, vceq_u16(vand_u16(halves, exponent), exponent));
    }
    const bool rest = kernels_scalar.from_f32[OMENDB_F16](from + i, to + 2 * i, count - i);
    return vmaxv_u16(bad) == 0 && rest;
}

static bool neon_bf16_from_f32(const float *from, void *to_bytes, size_t count)
{
    uint8_t *to = to_bytes;
    const uint32x4_t exponent = vdupq_n_u32(0x7F80);
    uint32x4_t bad = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float32x4_t values = vld1q_f32(from + i);
        const uint32x4_t bits = vreinterpretq_u32_f32(values);
        const uint32x4_t cut = vshrq_n_u32(bits, 16);
        const uint32x4_t odd = vandq_u32(cut, vdupq_n_u32(1));
        const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd),
                                               16);
        const uint32x4_t quiet = vorrq_u32(cut, vdupq_n_u32(0x40));
        const uint32x4_t result = vbslq_u32(vceqq_f32(values, values), rounded, quiet);
        vst1_u8(to + 2 * i, vreinterpret_u8_u16(vmovn_u32(result)));
        bad = vorrq_u32(bad, vceqq_u32(vandq_u32(result, exponent), exponent));
    }
    const bool rest = kernels_scalar.from_f32[OMENDB_BF16](from + i, to + 2 * i, count - i);
    return vmaxvq_u32(bad) == 0 && rest;
}

/* Values that are integers in [min, max] as bytes; `count` is a multiple of 8. */
static NEON_INLINE bool neon_narrow(const float *from, uint8_t *to, size_t count, float min,
                                    float max)
{
    for (size_t i = 0; i < count; i += 8) {
        int32x4_t integers[2];
        uint32x4_t good = vdupq_n_u32(~0u);
        UNROLL(2)
        for (size_t k = 0; k < 2; k++) {
            const float32x4_t values = vld1q_f32(from + i + 4 * k);
            integers[k] = vcvtq_s32_f32(values);
            good = vandq_u32(good, vceqq_f32(vcvtq_f32_s32(integers[k]), values));
            good = vandq_u32(good, vcgeq_f32(values, vdupq_n_f32(min)));
            good = vandq_u32(good, vcleq_f32(values, vdupq_n_f32(max)));
        }
        if (vminvq_u32(good) == 0) return false;
        const int16x8_t words = vcombine_s16(vmovn_s32(integers[0]), vmovn_s32(integers[1]));
        vst1_u8(to + i, vreinterpret_u8_s8(vmovn_s16(words)));
    }
    return true;
}

static bool neon_i8_from_f32(const float *from, void *to, size_t count)
{
    const size_t whole = count / 8 * 8;
    return neon_narrow(from, to, whole, -128.0f, 127.0f) &&
           kernels_scalar.from_f32[OMENDB_I8](from + whole, (uint8_t *)to + whole, count - whole);
}

static bool neon_u8_from_f32(const float *from, void *to, size_t count)
{
    const size_t whole = count / 8 * 8;
    return neon_narrow(from, to, whole, 0.0f, 255.0f) &&
           kernels_scalar.from_f32[OMENDB_U8](from + whole, (uint8_t *)to + whole, count - whole);
}

/* ---- 7-bit codes --------------------------------------------------------------- */

/* Adds 16 products. Without sdot: two products in 16 bits, which fit, then pairs in 32. */
static NEON_INLINE int32x4_t neon_u7_products(int32x4_t sums, const uint8_t *code, int8x16_t plane)
{
    const int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(code));
    int16x8_t products = vmull_s8(vget_low_s8(bytes), vget_low_s8(plane));
    products = vmlal_s8(products, vget_high_s8(bytes), vget_high_s8(plane));
    return vpadalq_s16(sums, products);
}

/* As an asm statement: gcc 12 inlines vdotq_s32() only into functions of another architecture
 * level, and clang 14 doesn't declare it without -march. Only for NEON_DOT functions. */
static NEON_INLINE int32x4_t neon_u7_products_dot(int32x4_t sums, const uint8_t *code,
                                                  int8x16_t plane)
{
    const uint8x16_t bytes = vld1q_u8(code);
    __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(sums) : "w"(bytes), "w"(plane));
    return sums;
}

enum { NEON_AHEAD = 2048 }; /* Bytes between a scan and its prefetches. */

/* The code kernels, once with each way to multiply. Scans take 4 rows at a time. */
#define NEON_CODES(target, ending)                                                                 \
    static target NEON_INLINE void neon_u7_block##ending(const int8_t *hi, const int8_t *lo,       \
                                                         const uint8_t *const *codes, size_t rows, \
                                                         size_t size, size_t ahead, int32_t *out)  \
    {                                                                                              \
        int32x4_t sums_hi[4], sums_lo[4];                                                          \
        UNROLL(4)                                                                                  \
        for (size_t r = 0; r < 4; r++) sums_hi[r] = sums_lo[r] = vdupq_n_s32(0);                   \
        for (size_t i = 0; i < size; i += 16) {                                                    \
            const int8x16_t plane_hi = vld1q_s8(hi + i), plane_lo = vld1q_s8(lo + i);              \
            UNROLL(4)                                                                              \
            for (size_t r = 0; r < rows; r++) {                                                    \
                const uint8_t *code = codes[r] + i;                                                \
                if (ahead != 0 && i % CACHE_LINE == 0) prefetch(code + ahead);                     \
                sums_hi[r] = neon_u7_products##ending(sums_hi[r], code, plane_hi);                 \
                sums_lo[r] = neon_u7_products##ending(sums_lo[r], code, plane_lo);                 \
            }                                                                                      \
        }                                                                                          \
        UNROLL(4)                                                                                  \
        for (size_t r = 0; r < rows; r++) {                                                        \
            out[2 * r] = vaddvq_s32(sums_hi[r]);                                                   \
            out[2 * r + 1] = vaddvq_s32(sums_lo[r]);                                               \
        }                                                                                          \
    }                                                                                              \
    static target void neon_u7_dot2##ending(const int8_t *hi, const int8_t *lo,                    \
                                            const uint8_t *codes, size_t stride, size_t size,      \
                                            size_t count, int32_t *out)                            \
    {                                                                                              \
        assert(size % KERNELS_CODE_MULTIPLE == 0);                                                 \
        size_t i = 0;                                                                              \
        for (; i + 4 <= count; i += 4, codes += 4 * stride) {                                      \
            const uint8_t *const rows[4] = {codes, codes + stride, codes + 2 * stride,             \
                                            codes + 3 * stride};                                   \
            neon_u7_block##ending(hi, lo, rows, 4, size, NEON_AHEAD, out + 2 * i);                 \
        }                                                                                          \
        for (; i < count; i++, codes += stride)                                                    \
            neon_u7_block##ending(hi, lo, &codes, 1, size, 0, out + 2 * i);                        \
    }                                                                                              \
    static target void neon_u7_dot2_gather##ending(const int8_t *hi, const int8_t *lo,             \
                                                   const uint8_t *const *codes, size_t size,       \
                                                   size_t count, int32_t *out)                     \
    {                                                                                              \
        assert(size % KERNELS_CODE_MULTIPLE == 0);                                                 \
        for (size_t i = 0; i < count; i++) {                                                       \
            if (i + 1 < count) neon_prefetch(codes[i + 1], size);                                  \
            neon_u7_block##ending(hi, lo, codes + i, 1, size, 0, out + 2 * i);                     \
        }                                                                                          \
    }                                                                                              \
    static target int32_t neon_u7_dot##ending(const uint8_t *a, const uint8_t *b, size_t size)     \
    {                                                                                              \
        assert(size % KERNELS_CODE_MULTIPLE == 0);                                                 \
        int32x4_t sums[4];                                                                         \
        UNROLL(4)                                                                                  \
        for (size_t k = 0; k < 4; k++) sums[k] = vdupq_n_s32(0);                                   \
        size_t i = 0;                                                                              \
        for (; i + 64 <= size; i += 64) {                                                          \
            UNROLL(4)                                                                              \
            for (size_t k = 0; k < 4; k++)                                                         \
                sums[k] = neon_u7_products##ending(sums[k], a + i + 16 * k,                        \
                                                   vreinterpretq_s8_u8(vld1q_u8(b + i + 16 * k))); \
        }                                                                                          \
        for (; i < size; i += 16)                                                                  \
            sums[0] = neon_u7_products##ending(sums[0], a + i,                                     \
                                               vreinterpretq_s8_u8(vld1q_u8(b + i)));              \
        return vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])));    \
    }                                                                                              \
    static target void neon_u7_dot_gather##ending(const uint8_t *a, const uint8_t *const *codes,   \
                                                  size_t size, size_t count, int32_t *out)         \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            if (i + 1 < count) neon_prefetch(codes[i + 1], size);                                  \
            out[i] = neon_u7_dot##ending(a, codes[i], size);                                       \
        }                                                                                          \
    }

NEON_CODES(, )
NEON_CODES(NEON_DOT, _dot)

/* ---- Rotation and encoding ------------------------------------------------------ */

/* Negates lane k where bit k of `lanes` is set. */
static NEON_INLINE float32x4_t neon_negate(float32x4_t x, uint32_t lanes)
{
    static const int32_t to_sign[4] = {31, 30, 29, 28};
    const uint32x4_t moved = vshlq_u32(vdupq_n_u32(lanes), vld1q_s32(to_sign));
    const uint32x4_t sign = vandq_u32(moved, vdupq_n_u32(0x80000000u));
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), sign));
}

/* Stages h = 1, 2 inside a register: partner + (+-self), which is a + b and a - b. */
static NEON_INLINE float32x4_t neon_butterflies1(float32x4_t x)
{
    x = vaddq_f32(vrev64q_f32(x), neon_negate(x, 0xA));
    return vaddq_f32(vextq_f32(x, x, 2), neon_negate(x, 0xC));
}

/* Stages h and 2h over four registers that stand h floats apart. */
static NEON_INLINE void neon_butterflies4(float32x4_t x[4])
{
    const float32x4_t a = vaddq_f32(x[0], x[1]), b = vsubq_f32(x[0], x[1]);
    const float32x4_t c = vaddq_f32(x[2], x[3]), d = vsubq_f32(x[2], x[3]);
    x[0] = vaddq_f32(a, c);
    x[1] = vaddq_f32(b, d);
    x[2] = vsubq_f32(a, c);
    x[3] = vsubq_f32(b, d);
}

static void neon_fht(float *x, size_t n)
{
    if (n < 16) {
        kernels_scalar.fht(x, n);
        return;
    }
    assert((n & (n - 1)) == 0);
    float32x4_t r[4];
    for (size_t i = 0; i < n; i += 16) {
        UNROLL(4)
        for (size_t k = 0; k < 4; k++) r[k] = neon_butterflies1(vld1q_f32(x + i + 4 * k));
        neon_butterflies4(r);
        UNROLL(4)
        for (size_t k = 0; k < 4; k++) vst1q_f32(x + i + 4 * k, r[k]);
    }
    size_t h = 16;
    for (; 2 * h < n; h *= 4) {
        for (size_t start = 0; start < n; start += 4 * h) {
            for (size_t i = start; i < start + h; i += 4) {
                UNROLL(4)
                for (size_t k = 0; k < 4; k++) r[k] = vld1q_f32(x + i + k * h);
                neon_butterflies4(r);
                UNROLL(4)
                for (size_t k = 0; k < 4; k++) vst1q_f32(x + i + k * h, r[k]);
            }
        }
    }
    if (h < n) {
        for (size_t i = 0; i < h; i += 4) {
            const float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + i + h);
            vst1q_f32(x + i, vaddq_f32(a, b));
            vst1q_f32(x + i + h, vsubq_f32(a, b));
        }
    }
    const float32x4_t scale = vdupq_n_f32((float)(1.0 / sqrt((double)n)));
    for (size_t i = 0; i < n; i += 4) vst1q_f32(x + i, vmulq_f32(vld1q_f32(x + i), scale));
}

static void neon_flip_signs(float *x, const uint64_t *sign_bits, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint32_t lanes = (uint32_t)(sign_bits[i / 64] >> (i % 64) & 15u);
        vst1q_f32(x + i, neon_negate(vld1q_f32(x + i), lanes));
    }
    for (; i < n; i++) {
        if ((sign_bits[i / 64] >> (i % 64) & 1) != 0) x[i] = -x[i];
    }
}

static float neon_max_abs(const float *x, size_t n)
{
    float32x4_t lanes = vdupq_n_f32(0.0f);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) lanes = vmaxq_f32(lanes, vabsq_f32(vld1q_f32(x + i)));
    const float rest = kernels_scalar.max_abs(x + i, n - i);
    const float max = vmaxvq_f32(lanes);
    return rest > max ? rest : max;
}

static void neon_min_max(const float *x, size_t n, float *min_out, float *max_out)
{
    if (n < 4) {
        kernels_scalar.min_max(x, n, min_out, max_out);
        return;
    }
    float32x4_t min = vld1q_f32(x), max = min;
    for (size_t i = 4; i < n; i += 4) {
        /* The last register overlaps the one before it: extremes don't mind. */
        const float32x4_t values = vld1q_f32(x + (i + 4 <= n ? i : n - 4));
        min = vminq_f32(min, values);
        max = vmaxq_f32(max, values);
    }
    *min_out = vminvq_f32(min) + 0.0f;
    *max_out = vmaxvq_f32(max) + 0.0f;
}

/* 8 integers' low bytes. */
static NEON_INLINE void neon_store_bytes(void *to, int32x4_t low, int32x4_t high)
{
    const int16x8_t words = vcombine_s16(vmovn_s32(low), vmovn_s32(high));
    vst1_u8(to, vreinterpret_u8_s8(vmovn_s16(words)));
}

static void neon_quantize_u7(const float *x, size_t n, float multiplier, float bias, uint8_t *codes)
{
    const float32x4_t zero = vdupq_n_f32(0.0f), max = vdupq_n_f32(127.0f);
    const float32x4_t m = vdupq_n_f32(multiplier), b = vdupq_n_f32(bias);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        int32x4_t integers[2];
        UNROLL(2)
        for (size_t k = 0; k < 2; k++) {
            const float32x4_t value = vfmaq_f32(b, vld1q_f32(x + i + 4 * k), m);
            integers[k] = vcvtnq_s32_f32(vminq_f32(vmaxq_f32(value, zero), max));
        }
        neon_store_bytes(codes + i, integers[0], integers[1]);
    }
    kernels_scalar.quantize_u7(x + i, n - i, multiplier, bias, codes + i);
}

static void neon_quantize_planes(const float *x, size_t n, float multiplier, int8_t *hi, int8_t *lo)
{
    const float32x4_t m = vdupq_n_f32(multiplier);
    const float32x4_t max = vdupq_n_f32((float)KERNELS_PLANE_MAX), min = vnegq_f32(max);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        int32x4_t high[2], low[2];
        UNROLL(2)
        for (size_t k = 0; k < 2; k++) {
            const float32x4_t value = vmulq_f32(vld1q_f32(x + i + 4 * k), m);
            const int32x4_t integer = vcvtnq_s32_f32(vminq_f32(vmaxq_f32(value, min), max));
            high[k] = vshrq_n_s32(vaddq_s32(integer, vdupq_n_s32(64)), 7);
            low[k] = vsubq_s32(integer, vshlq_n_s32(high[k], 7));
        }
        neon_store_bytes(hi + i, high[0], high[1]);
        neon_store_bytes(lo + i, low[0], low[1]);
    }
    kernels_scalar.quantize_planes(x + i, n - i, multiplier, hi + i, lo + i);
}

#define NEON_FORMS(measure)                                                                        \
    {                                                                                              \
        .pair = neon_##measure, .rows = neon_##measure##_rows, .gather = neon_##measure##_gather   \
    }

/* What both tables have; the code kernels are what differs. */
#define NEON_SHARED                                                                                \
    .l2 = {[OMENDB_F32] = NEON_FORMS(l2_f32),                                                      \
           [OMENDB_F16] = NEON_FORMS(l2_f16),                                                      \
           [OMENDB_BF16] = NEON_FORMS(l2_bf16),                                                    \
           [OMENDB_I8] = NEON_FORMS(l2_i8),                                                        \
           [OMENDB_U8] = NEON_FORMS(l2_u8)},                                                       \
    .dot = {[OMENDB_F32] = NEON_FORMS(dot_f32),                                                    \
            [OMENDB_F16] = NEON_FORMS(dot_f16),                                                    \
            [OMENDB_BF16] = NEON_FORMS(dot_bf16),                                                  \
            [OMENDB_I8] = NEON_FORMS(dot_i8),                                                      \
            [OMENDB_U8] = NEON_FORMS(dot_u8)},                                                     \
    .hamming = NEON_FORMS(hamming),                                                                \
    .to_f32 = {[OMENDB_F32] = neon_f32_to_f32,   [OMENDB_F16] = neon_f16_to_f32,                   \
               [OMENDB_BF16] = neon_bf16_to_f32, [OMENDB_I8] = neon_i8_to_f32,                     \
               [OMENDB_U8] = neon_u8_to_f32,     [OMENDB_F64] = neon_f64_to_f32},                  \
    .from_f32 = {[OMENDB_F32] = neon_f32_from_f32,                                                 \
                 [OMENDB_F16] = neon_f16_from_f32,                                                 \
                 [OMENDB_BF16] = neon_bf16_from_f32,                                               \
                 [OMENDB_I8] = neon_i8_from_f32,                                                   \
                 [OMENDB_U8] = neon_u8_from_f32},                                                  \
    .all_finite = neon_all_finite, .fht = neon_fht, .flip_signs = neon_flip_signs,                 \
    .max_abs = neon_max_abs, .min_max = neon_min_max, .quantize_u7 = neon_quantize_u7,             \
    .quantize_planes = neon_quantize_planes

const struct kernels kernels_neon = {
    .name = "neon",
    .features = KERNELS_NEON,
    .u7_dot2 = neon_u7_dot2,
    .u7_dot2_gather = neon_u7_dot2_gather,
    .u7_dot = neon_u7_dot,
    .u7_dot_gather = neon_u7_dot_gather,
    NEON_SHARED,
};

const struct kernels kernels_neon_dot = {
    .name = "neon-dot",
    .features = KERNELS_NEON | KERNELS_NEON_DOT,
    .u7_dot2 = neon_u7_dot2_dot,
    .u7_dot2_gather = neon_u7_dot2_gather_dot,
    .u7_dot = neon_u7_dot_dot,
    .u7_dot_gather = neon_u7_dot_gather_dot,
    NEON_SHARED,
};

#endif /* __aarch64__ */
