/* kernels.h - the arithmetic of vectors, once per instruction set, the same bits on each.
 *
 * A `struct kernels` is a table of functions. dispatch.c picks the best table that a processor
 * can run; everything above calls through it and never asks what the processor is.
 *
 *     scalar.c        any                 the reference: plain C, fmaf()
 *     x86_avx2.c      CPU_AVX2_FMA        8 floats, maddubs
 *     x86_avx512.c    CPU_AVX512          16 floats, maddubs; with CPU_AVX512_VNNI: dpbusd
 *     arm_neon.c      CPU_NEON            4 floats, smull + sadalp; with CPU_NEON_DOT: sdot
 *
 * Lane layout of the float kernels (f32, f16, bf16; the latter two are widened exactly):
 *
 *     element     0  1  2 ... 31 | 32 33 ... 63 | 64 ... dim-1  +0 ... +0     padded to 32
 *     lane        0  1  2 ... 31 |  0  1 ... 31 |  0 ...                 31
 *
 *     dot   lane[j] = fma(a, b, lane[j])                               starting from +0
 *     l2    d = a - b (rounded to f32);  lane[j] = fma(d, d, lane[j])
 *     then  lane[j] += lane[j + 16] (j < 16), += lane[j + 8] (j < 8), + 4, + 2, + 1; lane[0].
 *
 * The padding is really added (fma(+0, +0, lane)): it changes no value, but turns a lane that
 * underflowed to -0 into +0.
 *
 * Invariants
 * 1. Every function gives the same bits in every table, NaNs' sign and payload excepted (a
 *    result is NaN in all tables or in none). Round to nearest even, no flush to zero: a host
 *    that sets FTZ or DAZ in the thread's control register gets other bits for subnormals.
 * 2. Integer kernels are exact: i8 and u8 sums stay below 2^31 for dim <= OMENDB_DIM_MAX
 *    (255 * 255 * 16384 = 1,065,369,600) and are rounded to f32 once, at the end.
 * 3. No function reads or writes a byte outside of what its arguments say. Vectors (void
 *    pointers) may begin at any address; float and code arrays at their natural alignment.
 * 4. Error of the float kernels against exact arithmetic, u = 2^-24, m = ceil(dim / 32) + 5
 *    roundings on the way of any product: |dot - exact| <= m u / (1 - m u) * sum |a b|,
 *    |l2 - exact| <= (m + 2) u / (1 - (m + 2) u) * exact, each + dim * 2^-149 for underflow, as
 *    long as nothing overflows. An overflow gives an infinity, or NaN when lanes of opposite
 *    sign meet: distance.h says what becomes of it.
 *
 * 7-bit codes ("u7"): bytes in [0, 127], `size` of them, a multiple of KERNELS_CODE_MULTIPLE and
 * at most OMENDB_DIM_MAX (the encoder pads with 0). A query is two planes of signed bytes with
 * value = 128 * hi + lo. Why 7 bits: maddubs adds two products u8 * i8 in 16 bits and saturates;
 * 127 * -128 * 2 = -32,512 and 127 * 127 * 2 = 32,258 fit, so that it is exact, and dpbusd, sdot
 * and smull give the same integers. Sums stay below 127 * 128 * 16384 < 2^28.
 *
 * Threads: tables are constant. On disk: nothing, but stored norms, codes and factors are made
 * here, so that changing any rounding is a change of format.
 */
#ifndef SIMD_KERNELS_H
#define SIMD_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "omendb.h"

enum {
    KERNELS_TYPES = 7,          /* Tables indexed by omendb_type. */
    KERNELS_LIST_MAX = 8,       /* More than the tables any machine can run. */
    KERNELS_CODE_MULTIPLE = 16, /* Code sizes are multiples of it. */
    KERNELS_CODE_MAX = 127,
    KERNELS_PLANE_MAX = 127 * 128 + 63 /* |128 * hi + lo| of quantize_planes(). */
};

/* The features that tables ask for: the same bits as os/cpu.h's enum cpu_feature, repeated
 * because simd/ stands beside os/ (tests/unit/kernels_test.c holds them together). */
enum kernels_feature {
    KERNELS_AVX2_FMA = 1,
    KERNELS_AVX512 = 2,
    KERNELS_AVX512_VNNI = 4,
    KERNELS_NEON = 8,
    KERNELS_NEON_DOT = 16
};

/* One measure of one element type. `dim` counts elements (bits for Hamming). */
struct kernels_measure {
    float (*pair)(const void *a, const void *b, size_t dim);
    /* Row i is at rows + i * stride bytes. out: [count] */
    void (*rows)(const void *query, const void *rows, size_t stride, size_t count, size_t dim,
                 float *out);
    /* rows: [count] pointers. Fetches ahead: meant for rows scattered over memory. */
    void (*gather)(const void *query, const void *const *rows, size_t count, size_t dim,
                   float *out);
};

struct kernels {
    const char *name;
    uint32_t features; /* Bits of enum kernels_feature that it needs. */

    /* By omendb_type; F32, F16, BF16, I8 and U8 are filled. l2 is the sum of squared
     * differences. */
    struct kernels_measure l2[KERNELS_TYPES];
    struct kernels_measure dot[KERNELS_TYPES];
    /* Differing bits of ceil(dim / 8) bytes. The bits past dim are zero in every stored vector
     * and query; they are counted if they aren't. */
    struct kernels_measure hamming;

    /* By omendb_type: `count` elements to f32, exactly (F64: to nearest even), and from f32.
     * False: some result is an infinity or NaN, or (I8, U8) some input is not an integer of the
     * type's range; the output is then unspecified for I8 and U8 and what IEEE says for the
     * others. from_f32: F32 (copies and checks), F16, BF16, I8, U8; to_f32: those and F64.
     * A NaN stays a NaN of the same sign, made quiet, its payload cut. -0 is an integer, and
     * becomes 0 in I8 and U8. */
    bool (*to_f32[KERNELS_TYPES])(const void *from, float *to, size_t count);
    bool (*from_f32[KERNELS_TYPES])(const float *from, void *to, size_t count);

    /* No infinity, no NaN. */
    bool (*all_finite)(const void *f32, size_t count);

    /* Row i is the code at codes + i * stride. out: [count][2], the sums of code * hi and of
     * code * lo. Reads the rows in order, with prefetches: runs at the speed of memory. */
    void (*u7_dot2)(const int8_t *hi, const int8_t *lo, const uint8_t *codes, size_t stride,
                    size_t size, size_t count, int32_t *out);
    /* The same for scattered codes. */
    void (*u7_dot2_gather)(const int8_t *hi, const int8_t *lo, const uint8_t *const *codes,
                           size_t size, size_t count, int32_t *out);
    /* Code against code. */
    int32_t (*u7_dot)(const uint8_t *a, const uint8_t *b, size_t size);
    void (*u7_dot_gather)(const uint8_t *a, const uint8_t *const *codes, size_t size, size_t count,
                          int32_t *out);

    /* In-place Walsh-Hadamard transform of n = 2^k floats, times the f32 nearest to 1/sqrt(n):
     * its own inverse but for rounding. Stages h = 1, 2, 4 ... n/2; (x[i], x[i+h]) becomes
     * (x[i] + x[i+h], x[i] - x[i+h]); one multiplication at the end. Fino and Algazi 1976. */
    void (*fht)(float *x, size_t n);
    /* Changes the sign of x[i] where bit i % 64 of sign_bits[i / 64] is set. */
    void (*flip_signs)(float *x, const uint64_t *sign_bits, size_t n);

    /* Of finite floats. Zeros come out as +0; n = 0 gives 0. */
    float (*max_abs)(const float *x, size_t n);
    void (*min_max)(const float *x, size_t n, float *min, float *max);

    /* codes[i] = fma(x[i], multiplier, bias), clamped to [0, 127], rounded to nearest even.
     * No argument may be NaN or infinite. */
    void (*quantize_u7)(const float *x, size_t n, float multiplier, float bias, uint8_t *codes);
    /* x[i] * multiplier, clamped to +-KERNELS_PLANE_MAX, rounded to nearest even, as
     * 128 * hi + lo with lo in [-64, 63]. Finite arguments only. */
    void (*quantize_planes)(const float *x, size_t n, float multiplier, int8_t *hi, int8_t *lo);
};

/* The fastest table that needs no feature outside `features` (os/cpu.h: cpu_features()). */
const struct kernels *kernels_for(uint32_t features);

/* Every table that `features` allow, scalar first, fastest last; returns how many there are and
 * writes at most `max`. */
size_t kernels_list(uint32_t features, const struct kernels **out, size_t max);

/* For dispatch.c and the tables themselves. */
extern const struct kernels kernels_scalar;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
extern const struct kernels kernels_avx512_vnni;
#elif defined(__aarch64__)
extern const struct kernels kernels_neon;
extern const struct kernels kernels_neon_dot;
#endif

#endif /* SIMD_KERNELS_H */
