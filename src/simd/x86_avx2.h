/* x86_avx2.h - the AVX2 kernels that the AVX-512 tables take over as they are.
 *
 * Contracts: the members of the same names in kernels.h. Only for processors with AVX2, FMA and
 * F16C.
 */
#ifndef SIMD_X86_AVX2_H
#define SIMD_X86_AVX2_H

#include "simd/kernels.h"

#if defined(__x86_64__)

bool avx2_all_finite(const void *f32, size_t count);
bool avx2_f32_to_f32(const void *from, float *to, size_t count);
bool avx2_f16_to_f32(const void *from, float *to, size_t count);
bool avx2_bf16_to_f32(const void *from, float *to, size_t count);
bool avx2_i8_to_f32(const void *from, float *to, size_t count);
bool avx2_u8_to_f32(const void *from, float *to, size_t count);
bool avx2_f64_to_f32(const void *from_bytes, float *to, size_t count);
bool avx2_f32_from_f32(const float *from, void *to, size_t count);
bool avx2_f16_from_f32(const float *from, void *to_bytes, size_t count);
bool avx2_bf16_from_f32(const float *from, void *to_bytes, size_t count);
bool avx2_i8_from_f32(const float *from, void *to, size_t count);
bool avx2_u8_from_f32(const float *from, void *to, size_t count);

void avx2_u7_dot2(const int8_t *hi, const int8_t *lo, const uint8_t *codes, size_t stride,
                  size_t size, size_t count, int32_t *out);
void avx2_u7_dot2_gather(const int8_t *hi, const int8_t *lo, const uint8_t *const *codes,
                         size_t size, size_t count, int32_t *out);
int32_t avx2_u7_dot(const uint8_t *a, const uint8_t *b, size_t size);
void avx2_u7_dot_gather(const uint8_t *a, const uint8_t *const *codes, size_t size, size_t count,
                        int32_t *out);

void avx2_fht(float *x, size_t n);
void avx2_flip_signs(float *x, const uint64_t *sign_bits, size_t n);
float avx2_max_abs(const float *x, size_t n);
void avx2_min_max(const float *x, size_t n, float *min_out, float *max_out);
void avx2_quantize_u7(const float *x, size_t n, float multiplier, float bias, uint8_t *codes);
void avx2_quantize_planes(const float *x, size_t n, float multiplier, int8_t *hi, int8_t *lo);

#endif /* __x86_64__ */
#endif /* SIMD_X86_AVX2_H */
