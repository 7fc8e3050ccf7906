/* x86_avx512.h - what AVX-512 loops over codes have in common, wherever they are compiled.
 *
 * Inline only: for functions whose target holds at least AVX512's features.
 */
#ifndef SIMD_X86_AVX512_H
#define SIMD_X86_AVX512_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX512 __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX512_INLINE AVX512 inline __attribute__((always_inline))

/* The sums of four registers, in order: transposes 32-bit and 64-bit parts, then adds lanes. */
static AVX512_INLINE __m128i avx512_sum4(const __m512i s[4])
{
    const __m512i s01 = _mm512_add_epi32(_mm512_unpacklo_epi32(s[0], s[1]),
                                         _mm512_unpackhi_epi32(s[0], s[1]));
    const __m512i s23 = _mm512_add_epi32(_mm512_unpacklo_epi32(s[2], s[3]),
                                         _mm512_unpackhi_epi32(s[2], s[3]));
    const __m512i lanes = _mm512_add_epi32(_mm512_unpacklo_epi64(s01, s23),
                                           _mm512_unpackhi_epi64(s01, s23));
    const __m256i two = _mm256_add_epi32(_mm512_castsi512_si256(lanes),
                                         _mm512_extracti64x4_epi64(lanes, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

/* What a loop in steps of 64 left of `size`: the bytes of `mask` from `at` on, which is such that
 * no load reaches into the next cache line, to wait for it. */
struct avx512_rest {
    size_t at;
    __mmask64 mask;
};

static AVX512_INLINE struct avx512_rest avx512_rest(size_t done, size_t size)
{
    const size_t at = size < 64 ? 0 : size - 64;
    return (struct avx512_rest){at, ((UINT64_C(1) << (size - done)) - 1) << (done - at)};
}

static AVX512_INLINE __m512i avx512_load_rest(struct avx512_rest rest, const void *bytes)
{
    return _mm512_maskz_loadu_epi8(rest.mask, (const uint8_t *)bytes + rest.at);
}

#endif /* __x86_64__ */
#endif /* SIMD_X86_AVX512_H */
