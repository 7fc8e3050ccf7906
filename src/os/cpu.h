/* cpu.h - what the processor can do and how many of it we may use. */
#ifndef OS_CPU_H
#define OS_CPU_H

#include <stdint.h>

enum cpu_feature {
    CPU_AVX2_FMA = 1, /* AVX2 + FMA + F16C + POPCNT, and the OS saves the registers. */
    CPU_AVX512 = 2,   /* AVX-512 F, BW, VL, DQ as well. */
    CPU_AVX512_VNNI = 4,
    CPU_NEON = 8,
    CPU_NEON_DOT = 16
};

uint32_t cpu_features(void); /* Bits of enum cpu_feature. */
uint32_t cpu_count(void);    /* Processors this process may run on; at least 1. */

#endif /* OS_CPU_H */
