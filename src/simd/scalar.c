/* scalar.c - the reference: every kernel in plain C. The other tables must give its bits.
 *
 * fmaf() is the C library's: one instruction where the processor has it, correct but slow (some
 * 50 times) where it hasn't.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "simd/kernels.h"

enum { LANES = 32 };

static inline float scalar_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t scalar_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline bool scalar_finite(float value)
{
    return (scalar_bits(value) & 0x7F800000u) != 0x7F800000u;
}

/* ---- One element --------------------------------------------------------------- */

static float scalar_f16_value(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 31u;
    const uint32_t fraction = half & 1023u;
    if (exponent == 31u) {
        const uint32_t quiet = fraction != 0 ? 0x400000u : 0u;
        return scalar_from_bits(sign | 0x7F800000u | quiet | fraction << 13);
    }
    if (exponent != 0) return scalar_from_bits(sign | (exponent + 112u) << 23 | fraction << 13);
    const float magnitude = (float)fraction * 0x1p-24f; /* Exact: 10 bits. */
    return scalar_from_bits(sign | scalar_bits(magnitude));
}

static uint16_t scalar_f16_nearest(float value)
{
    const uint32_t bits = scalar_bits(value);
    const uint32_t sign = bits >> 16 & 0x8000u;
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu)); /* NaN */
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u);    /* 65520 and more. */
    if (magnitude >= 0x38800000u) { /* Normal: rebias by 127 - 15 and round away 13 bits. */
        const uint32_t odd = magnitude >> 13 & 1u;
        return (uint16_t)(sign | (magnitude - 0x38000000u + 0xFFFu + odd) >> 13);
    }
    /* Subnormal: value * 2^24 is below 1024; adding 2^23 lets the hardware round it. */
    const float shifted = scalar_from_bits(magnitude) * 0x1p24f + 0x1p23f;
    return (uint16_t)(sign | (scalar_bits(shifted) & 0x7FFu));
}

static uint16_t scalar_bf16_nearest(float value)
{
    const uint32_t bits = scalar_bits(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40u); /* NaN */
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

/* Element i of a vector of floats of any width, as f32. */
static inline float scalar_element(omendb_type type, const void *vector, size_t i)
{
    uint16_t half;
    float value;
    if (type == OMENDB_F32) {
        memcpy(&value, (const uint8_t *)vector + 4 * i, sizeof value);
        return value;
    }
    memcpy(&half, (const uint8_t *)vector + 2 * i, sizeof half);
    return type == OMENDB_F16 ? scalar_f16_value(half) : scalar_from_bits((uint32_t)half << 16);
}

/* ---- Pairs --------------------------------------------------------------------- */

enum scalar_operation { SCALAR_L2, SCALAR_DOT };

static inline float scalar_float_pair(enum scalar_operation operation, omendb_type type,
                                      const void *a, const void *b, size_t dim)
{
    float lane[LANES] = {0};
    for (size_t start = 0; start < dim; start += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const size_t i = start + j;
            float x = i < dim ? scalar_element(type, a, i) : 0.0f;
            float y = i < dim ? scalar_element(type, b, i) : 0.0f;
            if (operation == SCALAR_L2) x = y = x - y;
            lane[j] = fmaf(x, y, lane[j]);
        }
    }
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        for (size_t j = 0; j < half; j++) lane[j] += lane[j + half];
    }
    return lane[0];
}

static inline float scalar_integer_pair(enum scalar_operation operation, omendb_type type,
                                        const void *a, const void *b, size_t dim)
{
    int32_t sum = 0;
    for (size_t i = 0; i < dim; i++) {
        const int32_t x = type == OMENDB_I8 ? ((const int8_t *)a)[i] : ((const uint8_t *)a)[i];
        const int32_t y = type == OMENDB_I8 ? ((const int8_t *)b)[i] : ((const uint8_t *)b)[i];
        sum += operation == SCALAR_L2 ? (x - y) * (x - y) : x * y;
    }
    return (float)sum;
}

static inline float scalar_hamming_pair(const void *a, const void *b, size_t dim)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < (dim + 7) / 8; i++) {
        uint32_t bits = (uint32_t)(((const uint8_t *)a)[i] ^ ((const uint8_t *)b)[i]);
        for (; bits != 0; bits &= bits - 1) sum++;
    }
    return (float)sum;
}

/* The three forms of a measure; `call` computes one pair (a, b, dim). */
#define SCALAR_MEASURE(name, call)                                                                 \
    static float scalar_##name(const void *a, const void *b, size_t dim)                           \
    {                                                                                              \
        return call;                                                                               \
    }                                                                                              \
    static void scalar_##name##_rows(const void *a, const void *rows, size_t stride, size_t count, \
                                     size_t dim, float *out)                                       \
    {                                                                                              \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = scalar_##name(a, (const uint8_t *)rows + i * stride, dim);                    \
    }                                                                                              \
    static void scalar_##name##_gather(const void *a, const void *const *rows, size_t count,       \
                                       size_t dim, float *out)                                     \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) out[i] = scalar_##name(a, rows[i], dim);                \
    }

SCALAR_MEASURE(l2_f32, scalar_float_pair(SCALAR_L2, OMENDB_F32, a, b, dim))
SCALAR_MEASURE(l2_f16, scalar_float_pair(SCALAR_L2, OMENDB_F16, a, b, dim))
SCALAR_MEASURE(l2_bf16, scalar_float_pair(SCALAR_L2, OMENDB_BF16, a, b, dim))
SCALAR_MEASURE(l2_i8, scalar_integer_pair(SCALAR_L2, OMENDB_I8, a, b, dim))
SCALAR_MEASURE(l2_u8, scalar_integer_pair(SCALAR_L2, OMENDB_U8, a, b, dim))
SCALAR_MEASURE(dot_f32, scalar_float_pair(SCALAR_DOT, OMENDB_F32, a, b, dim))
SCALAR_MEASURE(dot_f16, scalar_float_pair(SCALAR_DOT, OMENDB_F16, a, b, dim))
SCALAR_MEASURE(dot_bf16, scalar_float_pair(SCALAR_DOT, OMENDB_BF16, a, b, dim))
SCALAR_MEASURE(dot_i8, scalar_integer_pair(SCALAR_DOT, OMENDB_I8, a, b, dim))
SCALAR_MEASURE(dot_u8, scalar_integer_pair(SCALAR_DOT, OMENDB_U8, a, b, dim))
SCALAR_MEASURE(hamming, scalar_hamming_pair(a, b, dim))

/* ---- Conversions --------------------------------------------------------------- */

static bool scalar_f32_to_f32(const void *from, float *to, size_t count)
{
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        const float value = scalar_element(OMENDB_F32, from, i);
        memcpy(to + i, &value, sizeof value);
        finite &= scalar_finite(value);
    }
    return finite;
}

static bool scalar_f16_to_f32(const void *from, float *to, size_t count)
{
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        to[i] = scalar_element(OMENDB_F16, from, i);
        finite &= scalar_finite(to[i]);
    }
    return finite;
}

static bool scalar_bf16_to_f32(const void *from, float *to, size_t count)
{
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        to[i] = scalar_element(OMENDB_BF16, from, i);
        finite &= scalar_finite(to[i]);
    }
    return finite;
}

static bool scalar_i8_to_f32(const void *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) to[i] = (float)((const int8_t *)from)[i];
    return true;
}

static bool scalar_u8_to_f32(const void *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) to[i] = (float)((const uint8_t *)from)[i];
    return true;
}

static bool scalar_f64_to_f32(const void *from, float *to, size_t count)
{
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (const uint8_t *)from + 8 * i, sizeof value);
        to[i] = (float)value;
        finite &= scalar_finite(to[i]);
    }
    return finite;
}

static bool scalar_f32_from_f32(const float *from, void *to, size_t count)
{
    memmove(to, from, count * sizeof *from);
    bool finite = true;
    for (size_t i = 0; i < count; i++) finite &= scalar_finite(from[i]);
    return finite;
}

static bool scalar_f16_from_f32(const float *from, void *to, size_t count)
{
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        const uint16_t half = scalar_f16_nearest(from[i]);
        memcpy((uint8_t *)to + 2 * i, &half, sizeof half);
        finite &= (half & 0x7C00u) != 0x7C00u;
    }
    return finite;
}

static bool scalar_bf16_from_f32(const float *from, void *to, size_t count)
{
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        const uint16_t half = scalar_bf16_nearest(from[i]);
        memcpy((uint8_t *)to + 2 * i, &half, sizeof half);
        finite &= (half & 0x7F80u) != 0x7F80u;
    }
    return finite;
}

static bool scalar_i8_from_f32(const float *from, void *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(from[i] >= -128.0f && from[i] <= 127.0f)) return false; /* NaN as well. */
        const int8_t integer = (int8_t)from[i];
        if ((float)integer != from[i]) return false;
        ((int8_t *)to)[i] = integer;
    }
    return true;
}

static bool scalar_u8_from_f32(const float *from, void *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(from[i] >= 0.0f && from[i] <= 255.0f)) return false;
        const uint8_t integer = (uint8_t)from[i];
        if ((float)integer != from[i]) return false;
        ((uint8_t *)to)[i] = integer;
    }
    return true;
}

static bool scalar_all_finite(const void *f32, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!scalar_finite(scalar_element(OMENDB_F32, f32, i))) return false;
    }
    return true;
}

/* ---- 7-bit codes --------------------------------------------------------------- */

static inline void scalar_u7_dot2_row(const int8_t *hi, const int8_t *lo, const uint8_t *code,
                                      size_t size, int32_t *out)
{
    int32_t sum_hi = 0, sum_lo = 0;
    for (size_t i = 0; i < size; i++) {
        sum_hi += hi[i] * code[i];
        sum_lo += lo[i] * code[i];
    }
    out[0] = sum_hi;
    out[1] = sum_lo;
}

static void scalar_u7_dot2(const int8_t *hi, const int8_t *lo, const uint8_t *codes, size_t stride,
                           size_t size, size_t count, int32_t *out)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    for (size_t i = 0; i < count; i++)
        scalar_u7_dot2_row(hi, lo, codes + i * stride, size, out + 2 * i);
}

static void scalar_u7_dot2_gather(const int8_t *hi, const int8_t *lo, const uint8_t *const *codes,
                                  size_t size, size_t count, int32_t *out)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    for (size_t i = 0; i < count; i++) scalar_u7_dot2_row(hi, lo, codes[i], size, out + 2 * i);
}

static int32_t scalar_u7_dot(const uint8_t *a, const uint8_t *b, size_t size)
{
    assert(size % KERNELS_CODE_MULTIPLE == 0);
    int32_t sum = 0;
    for (size_t i = 0; i < size; i++) sum += a[i] * b[i];
    return sum;
}

static void scalar_u7_dot_gather(const uint8_t *a, const uint8_t *const *codes, size_t size,
                                 size_t count, int32_t *out)
{
    for (size_t i = 0; i < count; i++) out[i] = scalar_u7_dot(a, codes[i], size);
}

/* ---- Rotation and encoding ------------------------------------------------------ */

static void scalar_fht(float *x, size_t n)
{
    assert(n != 0 && (n & (n - 1)) == 0);
    for (size_t h = 1; h < n; h *= 2) {
        for (size_t start = 0; start < n; start += 2 * h) {
            for (size_t i = start; i < start + h; i++) {
                const float a = x[i], b = x[i + h];
                x[i] = a + b;
                x[i + h] = a - b;
            }
        }
    }
    const float scale = (float)(1.0 / sqrt((double)n));
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}

static void scalar_flip_signs(float *x, const uint64_t *sign_bits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t sign = (uint32_t)(sign_bits[i / 64] >> (i % 64) & 1u) << 31;
        x[i] = scalar_from_bits(scalar_bits(x[i]) ^ sign);
    }
}

static float scalar_max_abs(const float *x, size_t n)
{
    float max = 0.0f;
    for (size_t i = 0; i < n; i++) {
        const float magnitude = fabsf(x[i]);
        max = magnitude > max ? magnitude : max;
    }
    return max;
}

static void scalar_min_max(const float *x, size_t n, float *min_out, float *max_out)
{
    float min = n != 0 ? x[0] : 0.0f, max = min;
    for (size_t i = 1; i < n; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
    }
    *min_out = min + 0.0f; /* -0 becomes +0: which zero came first must not show. */
    *max_out = max + 0.0f;
}

static void scalar_quantize_u7(const float *x, size_t n, float multiplier, float bias,
                               uint8_t *codes)
{
    for (size_t i = 0; i < n; i++) {
        const float value = fmaf(x[i], multiplier, bias);
        const float clamped = value < 0.0f ? 0.0f : value > 127.0f ? 127.0f : value;
        codes[i] = (uint8_t)rintf(clamped);
    }
}

static void scalar_quantize_planes(const float *x, size_t n, float multiplier, int8_t *hi,
                                   int8_t *lo)
{
    const float max = (float)KERNELS_PLANE_MAX;
    for (size_t i = 0; i < n; i++) {
        const float value = x[i] * multiplier;
        const float clamped = value < -max ? -max : value > max ? max : value;
        /* 16,384 makes it positive, so that the division rounds down. */
        const int32_t shifted = (int32_t)rintf(clamped) + 64 + 16384;
        hi[i] = (int8_t)(shifted / 128 - 128);
        lo[i] = (int8_t)(shifted % 128 - 64);
    }
}

#define SCALAR_FORMS(name)                                                                         \
    {                                                                                              \
        .pair = scalar_##name, .rows = scalar_##name##_rows, .gather = scalar_##name##_gather      \
    }

const struct kernels kernels_scalar = {
    .name = "scalar",
    .features = 0,
    .l2 = {[OMENDB_F32] = SCALAR_FORMS(l2_f32),
           [OMENDB_F16] = SCALAR_FORMS(l2_f16),
           [OMENDB_BF16] = SCALAR_FORMS(l2_bf16),
           [OMENDB_I8] = SCALAR_FORMS(l2_i8),
           [OMENDB_U8] = SCALAR_FORMS(l2_u8)},
    .dot = {[OMENDB_F32] = SCALAR_FORMS(dot_f32),
            [OMENDB_F16] = SCALAR_FORMS(dot_f16),
            [OMENDB_BF16] = SCALAR_FORMS(dot_bf16),
            [OMENDB_I8] = SCALAR_FORMS(dot_i8),
            [OMENDB_U8] = SCALAR_FORMS(dot_u8)},
    .hamming = SCALAR_FORMS(hamming),
    .to_f32 = {[OMENDB_F32] = scalar_f32_to_f32,
               [OMENDB_F16] = scalar_f16_to_f32,
               [OMENDB_BF16] = scalar_bf16_to_f32,
               [OMENDB_I8] = scalar_i8_to_f32,
               [OMENDB_U8] = scalar_u8_to_f32,
               [OMENDB_F64] = scalar_f64_to_f32},
    .from_f32 = {[OMENDB_F32] = scalar_f32_from_f32,
                 [OMENDB_F16] = scalar_f16_from_f32,
                 [OMENDB_BF16] = scalar_bf16_from_f32,
                 [OMENDB_I8] = scalar_i8_from_f32,
                 [OMENDB_U8] = scalar_u8_from_f32},
    .all_finite = scalar_all_finite,
    .u7_dot2 = scalar_u7_dot2,
    .u7_dot2_gather = scalar_u7_dot2_gather,
    .u7_dot = scalar_u7_dot,
    .u7_dot_gather = scalar_u7_dot_gather,
    .fht = scalar_fht,
    .flip_signs = scalar_flip_signs,
    .max_abs = scalar_max_abs,
    .min_max = scalar_min_max,
    .quantize_u7 = scalar_quantize_u7,
    .quantize_planes = scalar_quantize_planes,
};
