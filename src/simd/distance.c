#include "simd/distance.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* dot(a, a) in this range is as precise as f32 gets: products that underflow are below 2^-126,
 * that is 2^-46 of the sum, and nothing comes near to 2^128. */
#define DISTANCE_NORM_MIN 0x1p-40f
#define DISTANCE_NORM_MAX 0x1p40f
#define DISTANCE_SQUARE_MIN 0x1p-80f
#define DISTANCE_SQUARE_MAX 0x1p80f

/* A cosine distance of byte-equal vectors is below dim-independent 2^-20 before it is set to 0:
 * both norms are the root of the very sum that dot(a, b) is, wrong by 2^-24 each. */
#define DISTANCE_COSINE_NEAR 0x1p-20f

size_t distance_vector_size(omendb_type type, uint32_t dim)
{
    static const uint8_t width[KERNELS_TYPES] = {
        [OMENDB_F32] = 4, [OMENDB_F16] = 2, [OMENDB_BF16] = 2,
        [OMENDB_I8] = 1,  [OMENDB_U8] = 1,  [OMENDB_F64] = 8,
    };
    assert(type < KERNELS_TYPES);
    if (type == OMENDB_BIT) return ((size_t)dim + 7) / 8;
    return (size_t)dim * width[type];
}

bool distance_supported(omendb_metric metric, omendb_type type)
{
    if (metric == OMENDB_HAMMING) return type == OMENDB_BIT;
    return metric < OMENDB_HAMMING && type < OMENDB_BIT;
}

bool distance_byte_equal(omendb_type type, uint32_t dim, const void *a, const void *b)
{
    return memcmp(a, b, distance_vector_size(type, dim)) == 0;
}

/* The sum of a[i] * b[i] in f64, in the order of i. Products of two f32 are exact in f64. */
static double distance_wide_dot(const struct kernels *kernels, omendb_type type, uint32_t dim,
                                const void *a, const void *b)
{
    enum { PART = 64 };
    float x[PART], y[PART];
    double sum = 0.0;
    for (uint32_t i = 0; i < dim; i += PART) {
        const uint32_t count = dim - i < PART ? dim - i : PART;
        const size_t offset = distance_vector_size(type, i);
        (void)kernels->to_f32[type]((const uint8_t *)a + offset, x, count);
        (void)kernels->to_f32[type]((const uint8_t *)b + offset, y, count);
        for (uint32_t j = 0; j < count; j++) sum += (double)x[j] * (double)y[j];
    }
    return sum;
}

float distance_norm(const struct kernels *kernels, omendb_type type, uint32_t dim,
                    const void *vector)
{
    if (type == OMENDB_BIT) return 0.0f;
    const float square = kernels->dot[type].pair(vector, vector, dim);
    if (square >= DISTANCE_SQUARE_MIN && square <= DISTANCE_SQUARE_MAX) return sqrtf(square);
    return (float)sqrt(distance_wide_dot(kernels, type, dim, vector, vector));
}

static bool distance_norm_is_tame(float norm)
{
    return norm >= DISTANCE_NORM_MIN && norm <= DISTANCE_NORM_MAX;
}

static float distance_cosine(const struct kernels *kernels, omendb_type type, uint32_t dim,
                             float dot, const void *a, float norm_a, const void *b, float norm_b)
{
    double cosine;
    if (LIKELY(distance_norm_is_tame(norm_a) && distance_norm_is_tame(norm_b))) {
        cosine = (double)dot / ((double)norm_a * (double)norm_b);
    } else {
        const double aa = distance_wide_dot(kernels, type, dim, a, a);
        const double bb = distance_wide_dot(kernels, type, dim, b, b);
        cosine = 0.0; /* Of a zero vector. */
        if (aa > 0.0 && bb > 0.0)
            cosine = distance_wide_dot(kernels, type, dim, a, b) / (sqrt(aa) * sqrt(bb));
    }
    const float distance = (float)(1.0 - cosine);
    const bool zero_vector = norm_a == 0.0f;
    if (UNLIKELY(distance < DISTANCE_COSINE_NEAR || zero_vector)) {
        if (distance_byte_equal(type, dim, a, b)) return 0.0f;
    }
    return distance < 0.0f ? 0.0f : distance > 2.0f ? 2.0f : distance + 0.0f;
}

/* From what the kernel gave to the ranking distance. */
static float distance_finish(const struct kernels *kernels, omendb_metric metric, omendb_type type,
                             uint32_t dim, float raw, const void *a, float norm_a, const void *b,
                             float norm_b)
{
    if (metric == OMENDB_COSINE)
        return distance_cosine(kernels, type, dim, raw, a, norm_a, b, norm_b);
    if (UNLIKELY(raw != raw)) return INFINITY;
    return metric == OMENDB_IP ? 0.0f - raw : raw + 0.0f;
}

static const struct kernels_measure *distance_measure(const struct kernels *kernels,
                                                      omendb_metric metric, omendb_type type)
{
    assert(distance_supported(metric, type));
    if (metric == OMENDB_HAMMING) return &kernels->hamming;
    return metric == OMENDB_L2 ? &kernels->l2[type] : &kernels->dot[type];
}

float distance_exact(const struct kernels *kernels, omendb_metric metric, omendb_type type,
                     uint32_t dim, const void *a, float norm_a, const void *b, float norm_b)
{
    const float raw = distance_measure(kernels, metric, type)->pair(a, b, dim);
    return distance_finish(kernels, metric, type, dim, raw, a, norm_a, b, norm_b);
}

void distance_exact_rows(const struct kernels *kernels, omendb_metric metric, omendb_type type,
                         uint32_t dim, const void *query, float norm_query, const void *rows,
                         size_t stride, const float *norms, size_t count, float *out)
{
    distance_measure(kernels, metric, type)->rows(query, rows, stride, count, dim, out);
    for (size_t i = 0; i < count; i++) {
        const void *row = (const uint8_t *)rows + i * stride;
        out[i] = distance_finish(kernels, metric, type, dim, out[i], query, norm_query, row,
                                 norms != NULL ? norms[i] : 0.0f);
    }
}

void distance_exact_gather(const struct kernels *kernels, omendb_metric metric, omendb_type type,
                           uint32_t dim, const void *query, float norm_query,
                           const void *const *rows, const float *norms, size_t count, float *out)
{
    distance_measure(kernels, metric, type)->gather(query, rows, count, dim, out);
    for (size_t i = 0; i < count; i++) {
        out[i] = distance_finish(kernels, metric, type, dim, out[i], query, norm_query, rows[i],
                                 norms != NULL ? norms[i] : 0.0f);
    }
}

float distance_report(omendb_metric metric, float ranking)
{
    return metric == OMENDB_IP ? 0.0f - ranking : ranking;
}

float distance_score(omendb_metric metric, uint32_t dim, float ranking)
{
    switch (metric) {
    case OMENDB_L2:
        return 1.0f / (1.0f + ranking);
    case OMENDB_COSINE:
        return 1.0f - ranking;
    case OMENDB_HAMMING:
        return 1.0f - ranking / (float)dim;
    default:
        return 0.0f - ranking; /* IP */
    }
}

bool distance_finite(const struct kernels *kernels, omendb_type type, uint32_t dim,
                     const void *vector)
{
    if (type == OMENDB_F32) return kernels->all_finite(vector, dim);
    const uint8_t *bytes = vector;
    bool finite = true;
    if (type == OMENDB_F16 || type == OMENDB_BF16) {
        const unsigned exponent = type == OMENDB_F16 ? 0x7C00u : 0x7F80u;
        for (size_t i = 0; i < dim; i++) {
            uint16_t half;
            memcpy(&half, bytes + 2 * i, sizeof half);
            finite &= (half & exponent) != exponent;
        }
    } else if (type == OMENDB_F64) {
        const uint64_t exponent = UINT64_C(0x7FF0000000000000);
        for (size_t i = 0; i < dim; i++) {
            uint64_t bits;
            memcpy(&bits, bytes + 8 * i, sizeof bits);
            finite &= (bits & exponent) != exponent;
        }
    }
    return finite;
}
