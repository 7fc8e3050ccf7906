/* kernels_values.h - what the tests of kernels and distances share: the tables this processor can
 * run, guarded memory, a generator, and values of every awkward sort. One program, one copy. */
#ifndef TESTS_KERNELS_VALUES_H
#define TESTS_KERNELS_VALUES_H

#include <math.h>
#include <sys/mman.h>

#include "os/cpu.h"
#include "random.h"
#include "simd/distance.h"
#include "simd/kernels.h"
#include "test.h"

enum { PAGE = 65536, AREA_SIZE = 6 * PAGE, LENGTHS = 131 + 4, ROWS = 5 };

/* ---- Tools --------------------------------------------------------------------- */

static inline float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline bool same(float a, float b)
{
    return bits_of(a) == bits_of(b) || (isnan(a) && isnan(b));
}

static inline float random_unit(void) /* [-1, 1) */
{
    return (float)(int32_t)(random_bits() >> 32) * 0x1p-31f;
}

static inline size_t length_at(size_t i)
{
    static const size_t long_ones[4] = {384, 784, 1536, 16384};
    return i <= 130 ? i : long_ones[i - 131];
}

/* The tables beside scalar; [0] is scalar. */
static const struct kernels *tables[KERNELS_LIST_MAX];
static size_t table_count;
#define EACH_TABLE(k)                                                                              \
    for (size_t table_ = 0; table_ < table_count; table_++)                                        \
        for (const struct kernels *k = tables[table_]; k != NULL; k = NULL)

/* AREA_SIZE bytes between two pages that can't be touched. */
static inline uint8_t *area_create(void)
{
    uint8_t *all = mmap(NULL, AREA_SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    CHECK(mprotect(all + PAGE, AREA_SIZE, PROT_READ | PROT_WRITE) == 0);
    return all + PAGE;
}

static uint8_t *areas[4];

/* Place 0: the last byte is the area's last. 1: the first is its first. 2: one byte before
 * the end, so that nothing is aligned. */
enum { PLACES = 3 };
static inline void *place(size_t area, size_t size, size_t where)
{
    CHECK(size + 1 <= AREA_SIZE);
    return where == 1 ? areas[area] : areas[area] + AREA_SIZE - size - (where == 2);
}

/* ---- Values -------------------------------------------------------------------- */

enum pattern { ORDINARY, TINY, HUGE_VALUES, ANY_BITS, ZEROS, OPPOSED, PATTERNS };

static inline uint16_t random_half(omendb_type type, enum pattern pattern)
{
    const unsigned exponent = type == OMENDB_F16 ? 0x7C00u : 0x7F80u;
    const unsigned smallest = type == OMENDB_F16 ? 0x0400u : 0x0080u;
    unsigned bits = (unsigned)random_bits() & 0xFFFFu;
    if ((bits & exponent) == exponent) bits &= ~smallest; /* Finite. */
    if (pattern == ORDINARY) bits = (bits & ~exponent) | (type == OMENDB_F16 ? 0x3800u : 0x3F00u);
    if (pattern == TINY) bits &= ~exponent | smallest;
    if (pattern == HUGE_VALUES) bits = (bits & ~exponent) | (exponent - smallest);
    if (pattern == ZEROS) bits &= 0x8000u;
    return (uint16_t)bits;
}

static inline float random_float(enum pattern pattern, size_t i)
{
    uint32_t bits = (uint32_t)random_bits();
    switch (pattern) {
    case TINY:
        return from_bits(bits & 0x80FFFFFFu);
    case HUGE_VALUES:
        return from_bits((bits & 0x80FFFFFFu) | 0x7E000000u);
    case ANY_BITS:
        if ((bits & 0x7F800000u) == 0x7F800000u) bits &= 0xBFFFFFFFu;
        return from_bits(bits);
    case ZEROS:
        return from_bits(bits & 0x80000000u);
    case OPPOSED:
        return i % 2 == 0 ? 1e-30f : -1e-30f;
    case ORDINARY:
    case PATTERNS:
        break;
    }
    return random_unit();
}

/* `second` vectors of OPPOSED are the negation: each product underflows to -0. */
static inline void fill(omendb_type type, enum pattern pattern, void *to, size_t dim, bool second)
{
    for (size_t i = 0; i < dim; i++) {
        float value = random_float(pattern, i);
        if (pattern == OPPOSED && second) value = -value;
        const uint16_t half = random_half(type, pattern);
        uint8_t byte = (uint8_t)random_bits();
        if (pattern == HUGE_VALUES) byte = type == OMENDB_I8 ? (uint8_t)(127 + (byte & 1)) : 255;
        if (pattern == OPPOSED) byte = second ? 128 : type == OMENDB_I8 ? 127 : 0;
        if (pattern == ZEROS) byte = 0;
        if (type == OMENDB_F32) memcpy((uint8_t *)to + 4 * i, &value, 4);
        else if (type == OMENDB_F16 || type == OMENDB_BF16) memcpy((uint8_t *)to + 2 * i, &half, 2);
        else ((uint8_t *)to)[i] = byte;
    }
}

static inline void fill_finite_floats(float *to, size_t n, enum pattern pattern)
{
    for (size_t i = 0; i < n; i++) to[i] = random_float(pattern, i);
}

/* Must come first. Says which tables this run can't judge. */
static inline void prepare(void)
{
    table_count = kernels_list(cpu_features(), tables, KERNELS_LIST_MAX);
    for (size_t i = 0; i < COUNT_OF(areas); i++) areas[i] = area_create();
    static const struct {
        const char *name;
        uint32_t features;
    } all[] = {{"avx2", KERNELS_AVX2_FMA},
               {"avx512", KERNELS_AVX512},
               {"avx512-vnni", KERNELS_AVX512_VNNI},
               {"neon", KERNELS_NEON},
               {"neon-dot", KERNELS_NEON_DOT}};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        printf("%s %s\n", (cpu_features() & all[i].features) != 0 ? "testing" : "skipped",
               all[i].name);
}

#endif /* TESTS_KERNELS_VALUES_H */
