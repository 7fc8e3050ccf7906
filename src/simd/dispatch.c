#include "simd/kernels.h"

/* Slowest first: a table further down is taken where the processor can run it. Ends with NULL. */
static const struct kernels *const dispatch_tables[KERNELS_LIST_MAX + 1] = {
    &kernels_scalar,
#if defined(__x86_64__)
    &kernels_avx2,
    &kernels_avx512,
    &kernels_avx512_vnni,
#elif defined(__aarch64__)
    &kernels_neon,
    &kernels_neon_dot,
#endif
};

const struct kernels *kernels_for(uint32_t features)
{
    const struct kernels *best = &kernels_scalar;
    for (size_t i = 0; dispatch_tables[i] != NULL; i++) {
        if ((dispatch_tables[i]->features & ~features) == 0) best = dispatch_tables[i];
    }
    return best;
}

size_t kernels_list(uint32_t features, const struct kernels **out, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; dispatch_tables[i] != NULL; i++) {
        if ((dispatch_tables[i]->features & ~features) != 0) continue;
        if (count < max) out[count] = dispatch_tables[i];
        count++;
    }
    return count;
}
