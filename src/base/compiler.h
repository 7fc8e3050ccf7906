/* compiler.h - the only place for compiler extensions and build switches. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define CACHE_LINE 64
#define ALIGNED(bytes) __attribute__((aligned(bytes)))
#define NODISCARD __attribute__((warn_unused_result))
#define COLD __attribute__((cold, noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UINT128 __extension__ unsigned __int128 /* Of a variable; not on 32-bit machines. */
#define PRINTF_LIKE(format_index, args_index)                                                      \
    __attribute__((format(printf, format_index, args_index)))

/* A function whose plain reads may race with a writer by design: whoever uses it throws the
 * result away when a later atomic test says that the bytes weren't its own. */
#if defined(__SANITIZE_THREAD__)
#define RACY_READS __attribute__((no_sanitize("thread"), noinline))
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACY_READS __attribute__((no_sanitize("thread"), noinline))
#else
#define RACY_READS
#endif
#else
#define RACY_READS
#endif

/* Brings the cache line at `address` (any address, even an invalid one) nearer. An asm statement,
 * because gcc 12 silently deletes loops of __builtin_prefetch. */
static inline void prefetch(const void *address)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetcht0 (%0)" : : "r"(address));
#elif defined(__aarch64__)
    __asm__ volatile("prfm pldl1keep, [%0]" : : "r"(address));
#else
    (void)address;
#endif
}

/* Before a loop of exactly n rounds whose array should live in registers: gcc -O2 unrolls no such
 * loop by itself. */
#define COMPILER_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define UNROLL(n) COMPILER_PRAGMA(unroll n)
#else
#define UNROLL(n) COMPILER_PRAGMA(GCC unroll n)
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#endif /* BASE_COMPILER_H */
