#include "os/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

#if defined(__x86_64__)

#include <cpuid.h>

/* Bits of CPUID and XCR0: Intel SDM volume 2, CPUID; volume 1, section 13.3. */
enum {
    CPU_1C_FMA = 1 << 12,
    CPU_1C_POPCNT = 1 << 23,
    CPU_1C_OSXSAVE = 1 << 27,
    CPU_1C_AVX = 1 << 28,
    CPU_1C_F16C = 1 << 29,
    CPU_7B_AVX2 = 1 << 5,
    CPU_7B_AVX512F = 1 << 16,
    CPU_7B_AVX512DQ = 1 << 17,
    CPU_7B_AVX512BW = 1 << 30,
    CPU_7C_AVX512VNNI = 1 << 11,
    XCR0_SSE_AVX = 0x06,
    XCR0_AVX512 = 0xE6 /* Opmask and both halves of ZMM as well. */
};
static const uint32_t CPU_7B_AVX512VL = 1u << 31; /* Too large for an enum. */

static bool cpu_has(uint32_t word, uint32_t bits)
{
    return (word & bits) == bits;
}

uint32_t cpu_features(void)
{
    uint32_t a = 0, b = 0, c = 0, d = 0, c1 = 0, found = 0;
    if (__get_cpuid(1, &a, &b, &c1, &d) == 0) return 0;
    if (!cpu_has(c1, CPU_1C_OSXSAVE | CPU_1C_AVX)) return 0;
    uint32_t saved = 0, saved_high = 0; /* Which registers the system saves on a switch. */
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(saved_high) : "c"(0));
    (void)saved_high;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return 0;
    if (cpu_has(saved, XCR0_SSE_AVX) && cpu_has(b, CPU_7B_AVX2) &&
        cpu_has(c1, CPU_1C_FMA | CPU_1C_F16C | CPU_1C_POPCNT))
        found |= CPU_AVX2_FMA;
    if (found != 0 && cpu_has(saved, XCR0_AVX512) &&
        cpu_has(b, CPU_7B_AVX512F | CPU_7B_AVX512DQ | CPU_7B_AVX512BW | CPU_7B_AVX512VL)) {
        found |= CPU_AVX512;
        if (cpu_has(c, CPU_7C_AVX512VNNI)) found |= CPU_AVX512_VNNI;
    }
    return found;
}

#elif defined(__aarch64__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

uint32_t cpu_features(void)
{
    const unsigned long has = getauxval(AT_HWCAP);
    uint32_t found = 0;
    if ((has & HWCAP_ASIMD) != 0) found |= CPU_NEON;
    if ((has & HWCAP_ASIMD) != 0 && (has & HWCAP_ASIMDDP) != 0) found |= CPU_NEON_DOT;
    return found;
}

#else

uint32_t cpu_features(void)
{
    return 0;
}

#endif

uint32_t cpu_count(void)
{
    cpu_set_t sets[8]; /* 8 x 1024 processors; the kernel refuses a set too small for it. */
    if (sched_getaffinity(0, sizeof sets, sets) == 0) {
        const int allowed = CPU_COUNT_S(sizeof sets, sets);
        if (allowed > 0) return (uint32_t)allowed;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}
