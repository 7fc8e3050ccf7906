/* distance.h - the one definition of how near two vectors are.
 *
 * Everything that ranks, reports or scores goes through here, so that exact scan, re-ranking
 * and a test's oracle give the same bits, on every instruction set (kernels.h, invariant 1).
 *
 * A *ranking distance* is an f32, smaller is better, never NaN and never -0 (so its bits and its
 * value compare alike). The arithmetic, for dot and l2 of kernels.h:
 *
 *     L2       l2(a, b); NaN cannot arise, an overflow is +inf
 *     IP       0 - dot(a, b); NaN (infinite lanes of both signs met) becomes +inf, the worst
 *     HAMMING  the number of differing bits
 *     COSINE   (f32)(1 - (f64)dot(a, b) / ((f64)norm(a) * (f64)norm(b))), in f64 up to the last
 *              step, clamped to [0, 2]. If a norm is outside of [2^-40, 2^40] all three sums are
 *              taken again in f64, element after element, so that nothing over- or underflows.
 *              With a zero vector (the API refuses it): 1. If a and b are byte-equal: exactly 0.
 *
 *     norm     sqrt(dot(a, a)) in f32; if dot(a, a) is outside of [2^-80, 2^80], the f64 sum
 *              taken element after element, its root rounded to f32. So it is 0 for a zero
 *              vector only; it may be +inf for f32 vectors longer than 3.4e38.
 *
 * -0 and +0 are equal values but different bytes: a stored vector that differs from the query in
 * the sign of a zero has L2 distance 0 and, rounding apart, cosine distance 0, but is not
 * byte-equal, and so comes after one that is (contract 4: distance, then byte-equal, then id).
 *
 * Vectors may begin at any address. Their components are finite. Threads: pure functions.
 */
#ifndef SIMD_DISTANCE_H
#define SIMD_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "omendb.h"
#include "simd/kernels.h"

/* Bytes of one vector: (dim + 7) / 8 for BIT. */
size_t distance_vector_size(omendb_type type, uint32_t dim);

/* BIT goes with HAMMING, and with it only; F64 is no stored type. */
bool distance_supported(omendb_metric metric, omendb_type type);

/* The norm, as above; 0 for BIT, whose metric takes none. */
float distance_norm(const struct kernels *kernels, omendb_type type, uint32_t dim,
                    const void *vector);

/* The ranking distance. The norms are those of distance_norm() and used by COSINE only. */
float distance_exact(const struct kernels *kernels, omendb_metric metric, omendb_type type,
                     uint32_t dim, const void *a, float norm_a, const void *b, float norm_b);

/* The same for `count` rows: row i is at rows + i * stride, its norm norms[i] (norms may be NULL
 * but for COSINE). out: [count]. Bit by bit what distance_exact() gives. */
void distance_exact_rows(const struct kernels *kernels, omendb_metric metric, omendb_type type,
                         uint32_t dim, const void *query, float norm_query, const void *rows,
                         size_t stride, const float *norms, size_t count, float *out);

/* And for scattered rows. rows, norms, out: [count] */
void distance_exact_gather(const struct kernels *kernels, omendb_metric metric, omendb_type type,
                           uint32_t dim, const void *query, float norm_query,
                           const void *const *rows, const float *norms, size_t count, float *out);

/* What the user is told: the ranking distance, but IP as the product (0 - ranking). */
float distance_report(omendb_metric metric, float ranking);

/* Higher is better, in f32: L2 1 / (1 + d), COSINE 1 - d, IP the product, HAMMING 1 - d / dim. */
float distance_score(omendb_metric metric, uint32_t dim, float ranking);

bool distance_byte_equal(omendb_type type, uint32_t dim, const void *a, const void *b);

/* No component is an infinity or NaN; true for integers and bits. Any type, F64 too. */
bool distance_finite(const struct kernels *kernels, omendb_type type, uint32_t dim,
                     const void *vector);

#endif /* SIMD_DISTANCE_H */
