/* Every table of kernels that this processor can run, against the scalar one bit by bit, and the
 * scalar one against oracles in wider arithmetic. Inputs and outputs end at, or begin behind, a
 * page that can't be touched. */
#include "kernels_values.h"

_Static_assert((int)KERNELS_AVX2_FMA == (int)CPU_AVX2_FMA, "same bits as os/cpu.h");
_Static_assert((int)KERNELS_AVX512 == (int)CPU_AVX512, "same bits as os/cpu.h");
_Static_assert((int)KERNELS_AVX512_VNNI == (int)CPU_AVX512_VNNI, "same bits as os/cpu.h");
_Static_assert((int)KERNELS_NEON == (int)CPU_NEON, "same bits as os/cpu.h");
_Static_assert((int)KERNELS_NEON_DOT == (int)CPU_NEON_DOT, "same bits as os/cpu.h");

/* ---- Measures ------------------------------------------------------------------ */

static const struct kernels_measure *measure_of(const struct kernels *k, bool l2, omendb_type type)
{
    if (type == OMENDB_BIT) return &k->hamming;
    return l2 ? &k->l2[type] : &k->dot[type];
}

static void check_measure(bool l2, omendb_type type, size_t dim, enum pattern pattern, size_t where)
{
    const size_t size = distance_vector_size(type, (uint32_t)dim);
    const size_t rows = dim > 2000 ? 2 : ROWS;
    void *query = place(0, size, where);
    uint8_t *base = place(1, size * rows, where);
    const size_t units = type == OMENDB_BIT ? size : dim;
    fill(type == OMENDB_BIT ? OMENDB_U8 : type, pattern, query, units, false);
    const void *pointers[ROWS] = {0};
    float expected[ROWS];
    for (size_t r = 0; r < rows; r++) {
        pointers[r] = base + r * size;
        fill(type == OMENDB_BIT ? OMENDB_U8 : type, pattern, base + r * size, units, true);
        expected[r] = measure_of(&kernels_scalar, l2, type)->pair(query, pointers[r], dim);
    }
    EACH_TABLE(k)
    {
        const struct kernels_measure *measure = measure_of(k, l2, type);
        float *out = place(2, sizeof(float) * rows, 0);
        for (size_t r = 0; r < rows; r++)
            CHECK(same(measure->pair(query, pointers[r], dim), expected[r]));
        measure->rows(query, base, size, rows, dim, out);
        for (size_t r = 0; r < rows; r++) CHECK(same(out[r], expected[r]));
        memset(out, 0, sizeof(float) * rows);
        measure->gather(query, pointers, rows, dim, out);
        for (size_t r = 0; r < rows; r++) CHECK(same(out[r], expected[r]));
    }
}

static void measures_give_the_same_bits_in_every_table(void)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        for (omendb_type type = OMENDB_F32; type <= OMENDB_BIT; type++) {
            for (size_t step = 0; step < 2 * PATTERNS; step++) {
                const enum pattern pattern = (enum pattern)(step / 2);
                check_measure(step % 2 == 0, type, length_at(i), pattern, (i + step) % PLACES);
                if (i <= 130)
                    check_measure(step % 2 == 0, type, length_at(i), pattern,
                                  (i + step + 1) % PLACES);
            }
        }
    }
}

static void padding_turns_underflowed_lanes_into_positive_zero(void)
{
    float a[64], b[64];
    for (size_t i = 0; i < 64; i++) a[i] = 1e-30f, b[i] = -1e-30f;
    EACH_TABLE(k)
    {
        CHECK(bits_of(k->dot[OMENDB_F32].pair(a, b, 64)) == 0x80000000u);
        CHECK(bits_of(k->dot[OMENDB_F32].pair(a, b, 63)) == 0);
        CHECK(bits_of(k->dot[OMENDB_F32].pair(a, b, 0)) == 0);
    }
}

/* Element i exactly, by other means than the kernels'. */
static double element(omendb_type type, const void *vector, size_t i)
{
    float value;
    uint16_t half;
    switch (type) {
    case OMENDB_F32:
        memcpy(&value, (const uint8_t *)vector + 4 * i, 4);
        return (double)value;
    case OMENDB_F16: {
        memcpy(&half, (const uint8_t *)vector + 2 * i, 2);
        const int exponent = half >> 10 & 31, fraction = half & 1023;
        const double magnitude = exponent == 0 ? ldexp(fraction, -24)
                                               : ldexp(1024 + fraction, exponent - 25);
        return half >> 15 != 0 ? -magnitude : magnitude;
    }
    case OMENDB_BF16:
        memcpy(&half, (const uint8_t *)vector + 2 * i, 2);
        return (double)from_bits((uint32_t)half << 16);
    case OMENDB_I8:
        return ((const int8_t *)vector)[i];
    default:
        return ((const uint8_t *)vector)[i];
    }
}

static void scalar_measures_keep_the_stated_error(void)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        const size_t dim = length_at(i);
        for (omendb_type type = OMENDB_F32; type <= OMENDB_U8; type++) {
            void *a = place(0, distance_vector_size(type, (uint32_t)dim), 2);
            void *b = place(1, distance_vector_size(type, (uint32_t)dim), 2);
            const enum pattern pattern = i % 2 == 0 ? ORDINARY : TINY;
            fill(type, pattern, a, dim, false);
            fill(type, pattern, b, dim, true);
            double dot = 0, dot_size = 0, l2 = 0;
            for (size_t j = 0; j < dim; j++) {
                const double x = element(type, a, j), y = element(type, b, j);
                dot += x * y;
                dot_size += fabs(x * y);
                l2 += (x - y) * (x - y);
            }
            const double u = 0x1p-24, m = (double)((dim + 31) / 32 + 5);
            /* The oracle's own error is 2^-53 a step. */
            const double slack = (double)dim * 0x1p-52, floor = (double)dim * 0x1p-149;
            const double got_dot = (double)kernels_scalar.dot[type].pair(a, b, dim);
            const double got_l2 = (double)kernels_scalar.l2[type].pair(a, b, dim);
            if (type >= OMENDB_I8) {
                CHECK(got_dot == (double)(float)dot && got_l2 == (double)(float)l2);
                continue;
            }
            const double dot_share = m * u / (1 - m * u),
                         l2_share = (m + 2) * u / (1 - (m + 2) * u);
            CHECK(fabs(got_dot - dot) <= (dot_share + slack) * dot_size + floor);
            CHECK(fabs(got_l2 - l2) <= (l2_share + slack) * l2 + floor);
        }
    }
}

static void hamming_counts_bits(void)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        const size_t dim = length_at(i), size = (dim + 7) / 8;
        uint8_t *a = place(0, size, 0), *b = place(1, size, 0);
        memset(a, 0, size);
        memset(b, 0, size);
        size_t differ = 0;
        for (size_t bit = 0; bit < dim; bit++) {
            const unsigned x = random_bits() & 1, y = random_bits() & 1;
            a[bit / 8] = (uint8_t)(a[bit / 8] | x << bit % 8);
            b[bit / 8] = (uint8_t)(b[bit / 8] | y << bit % 8);
            differ += x != y;
        }
        EACH_TABLE(k) CHECK(k->hamming.pair(a, b, dim) == (float)differ);
    }
}

/* ---- Conversions --------------------------------------------------------------- */

static bool is_nan_half(omendb_type type, uint16_t half)
{
    return (half & 0x7FFF) > (type == OMENDB_F16 ? 0x7C00 : 0x7F80);
}

static void halves_widen_exactly_and_come_back(void)
{
    enum { COUNT = 65536 };
    static uint16_t halves[COUNT], back[COUNT];
    static float wide[COUNT];
    for (size_t i = 0; i < COUNT; i++) halves[i] = (uint16_t)i;
    for (omendb_type type = OMENDB_F16; type <= OMENDB_BF16; type++) {
        const unsigned exponent = type == OMENDB_F16 ? 0x7C00u : 0x7F80u;
        const unsigned quiet = type == OMENDB_F16 ? 0x0200u : 0x0040u;
        EACH_TABLE(k)
        {
            CHECK(!k->to_f32[type](halves, wide, COUNT)); /* There are infinities among them. */
            for (size_t i = 0; i < COUNT; i++) {
                if (is_nan_half(type, halves[i])) CHECK(isnan(wide[i]));
                else if ((i & exponent) == exponent) CHECK(isinf(wide[i]));
                else CHECK((double)wide[i] == element(type, halves + i, 0));
                CHECK((signbit(wide[i]) != 0) == (i >= 32768) || isnan(wide[i]));
                float alone;
                const bool finite = k->to_f32[type](halves + i, &alone, 1);
                CHECK(finite == ((i & exponent) != exponent));
                CHECK(bits_of(alone) == bits_of(wide[i]));
            }
            CHECK(!k->from_f32[type](wide, back, COUNT));
            for (size_t i = 0; i < COUNT; i++)
                CHECK(back[i] == (is_nan_half(type, halves[i]) ? (halves[i] | quiet) : halves[i]));
        }
    }
}

/* The nearest half, ties to even: the candidates are two adjacent patterns. */
static uint16_t nearest_half(omendb_type type, float value)
{
    const uint16_t infinity = type == OMENDB_F16 ? 0x7C00 : 0x7F80;
    const double beyond = type == OMENDB_F16 ? 65536.0 : 0x1p128; /* The infinity's place. */
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    const double magnitude = fabs((double)value);
    uint16_t low = 0, high = infinity; /* value(low) <= magnitude < value(high) */
    if (magnitude >= beyond) return (uint16_t)(sign | infinity);
    while (high - low > 1) {
        const uint16_t middle = (uint16_t)((low + high) / 2);
        if (element(type, &middle, 0) <= magnitude) low = middle;
        else high = middle;
    }
    const double below = magnitude - element(type, &low, 0);
    const double above = (high == infinity ? beyond : element(type, &high, 0)) - magnitude;
    const bool up = above < below || (above == below && high % 2 == 0);
    return (uint16_t)(sign | (up ? high : low));
}

static void check_rounding(const float *values, size_t count)
{
    static uint16_t got[256];
    for (omendb_type type = OMENDB_F16; type <= OMENDB_BF16; type++) {
        EACH_TABLE(k)
        {
            const bool finite = k->from_f32[type](values, got, count);
            bool expected = true;
            for (size_t i = 0; i < count; i++) {
                const uint16_t half = nearest_half(type, values[i]);
                CHECK(got[i] == half);
                expected &= (half & 0x7FFF) != (type == OMENDB_F16 ? 0x7C00 : 0x7F80);
            }
            CHECK(finite == expected);
        }
    }
}

static void floats_round_to_the_nearest_half(void)
{
    float values[256];
    size_t used = 0;
    for (omendb_type type = OMENDB_F16; type <= OMENDB_BF16; type++) {
        const unsigned infinity = type == OMENDB_F16 ? 0x7C00 : 0x7F80;
        for (unsigned bits = 0; bits < infinity; bits++) { /* Midpoints and their neighbours. */
            const uint16_t low = (uint16_t)bits, next = (uint16_t)(bits + 1);
            const double above = bits + 1 == infinity ? (type == OMENDB_F16 ? 65536.0 : 0x1p128)
                                                      : element(type, &next, 0);
            const float middle = (float)((element(type, &low, 0) + above) / 2);
            const float sign = bits % 2 == 0 ? 1.0f : -1.0f;
            values[used++] = sign * middle;
            values[used++] = sign * nextafterf(middle, 0.0f);
            values[used++] = sign * nextafterf(middle, INFINITY);
            if (used + 3 > 255) check_rounding(values, used), used = 0;
        }
    }
    check_rounding(values, used);
    for (size_t round = 0; round < 400; round++) {
        const size_t count = round % 256;
        for (size_t i = 0; i < count; i++) {
            values[i] = random_float(round % 2 == 0 ? ANY_BITS : ORDINARY, i);
            if (round % 4 == 3) values[i] *= 0x1p-14f; /* Subnormal halves. */
        }
        check_rounding(values, count);
    }
}

static void doubles_become_the_nearest_float(void)
{
    double values[67];
    float got[67];
    for (size_t round = 0; round < 2000; round++) {
        const size_t count = round % 67;
        bool finite = true;
        for (size_t i = 0; i < count; i++) {
            const double part = (double)(int64_t)random_bits();
            values[i] = ldexp(part, round % 3 == 0 ? -200 : (int)(random_bits() % 60) - 90);
            if (round % 5 == 0 && i == count / 2) values[i] = 1e300;
            if (round % 7 == 0 && i == count / 2) values[i] = (double)NAN;
            finite &= isfinite((float)values[i]) != 0;
        }
        uint8_t *from = place(0, count * sizeof(double), round % PLACES);
        memcpy(from, values, count * sizeof(double));
        EACH_TABLE(k)
        {
            CHECK(k->to_f32[OMENDB_F64](from, got, count) == finite);
            for (size_t i = 0; i < count; i++) CHECK(same(got[i], (float)values[i]));
        }
    }
}

static void only_integers_in_range_become_bytes(void)
{
    static const float bad[] = {0.5f,    -0.25f, 127.5f,    NAN,   INFINITY,
                                -1e-40f, 3e9f,   -INFINITY, -3e9f, 256.0f};
    float values[40];
    uint8_t *got = place(2, 40, 0);
    for (size_t count = 0; count <= 40; count++) {
        got = place(2, count, 0);
        for (omendb_type type = OMENDB_I8; type <= OMENDB_U8; type++) {
            for (size_t i = 0; i < count; i++) {
                const uint8_t byte = (uint8_t)random_bits();
                values[i] = type == OMENDB_I8 ? (float)(int8_t)byte : (float)byte;
                if (byte == 0) values[i] = -0.0f;
            }
            EACH_TABLE(k)
            {
                CHECK(k->from_f32[type](values, got, count));
                float back[40];
                CHECK(k->to_f32[type](got, back, count));
                for (size_t i = 0; i < count; i++) CHECK(back[i] == values[i]);
                for (size_t i = 0; i < count; i++) {
                    const float good = values[i];
                    for (size_t b = 0; b < COUNT_OF(bad); b++) {
                        values[i] = bad[b];
                        CHECK(!k->from_f32[type](values, got, count));
                    }
                    values[i] = type == OMENDB_I8 ? 128.0f : -1.0f;
                    CHECK(!k->from_f32[type](values, got, count));
                    values[i] = good;
                }
            }
        }
    }
}

static void every_infinity_and_nan_is_found(void)
{
    static const uint32_t bad[] = {0x7F800000u, 0xFF800000u, 0x7FC00000u, 0x7F800001u, 0xFFFFFFFFu};
    for (size_t count = 0; count <= 130; count++) {
        uint8_t *from = place(0, 4 * count, count % PLACES);
        float *to = place(2, 4 * count, 0);
        fill(OMENDB_F32, HUGE_VALUES, from, count, false);
        EACH_TABLE(k)
        {
            CHECK(k->all_finite(from, count) && k->to_f32[OMENDB_F32](from, to, count));
            CHECK(memcmp(from, to, 4 * count) == 0 && k->from_f32[OMENDB_F32](to, to, count));
            for (size_t i = 0; i < count; i++) {
                uint8_t good[4];
                memcpy(good, from + 4 * i, 4);
                memcpy(from + 4 * i, &bad[i % COUNT_OF(bad)], 4);
                CHECK(!k->all_finite(from, count) && !k->to_f32[OMENDB_F32](from, to, count));
                CHECK(!distance_finite(k, OMENDB_F32, (uint32_t)count, from));
                memcpy(from + 4 * i, good, 4);
            }
        }
    }
    const uint16_t f16[3] = {0x7BFF, 0xFBFF, 0x7C00}, bf16[3] = {0x7F7F, 0xFF7F, 0xFFC0};
    const double f64[3] = {1e308, -1e308, -(double)INFINITY};
    for (uint32_t dim = 0; dim <= 3; dim++) {
        CHECK(distance_finite(tables[0], OMENDB_F16, dim, f16) == (dim < 3));
        CHECK(distance_finite(tables[0], OMENDB_BF16, dim, bf16) == (dim < 3));
        CHECK(distance_finite(tables[0], OMENDB_F64, dim, f64) == (dim < 3));
    }
}

/* ---- 7-bit codes --------------------------------------------------------------- */

static void check_codes(size_t size, size_t count, size_t gap, size_t where, bool extreme)
{
    int8_t *hi = place(0, size, where), *lo;
    static int8_t low_plane[16384];
    lo = low_plane;
    const size_t stride = size + gap;
    const size_t total = count == 0 ? 0 : stride * (count - 1) + size;
    uint8_t *codes = place(1, total, where);
    const int sign = random_bits() % 2 == 0 ? 127 : -128;
    for (size_t i = 0; i < size; i++) {
        hi[i] = (int8_t)(extreme ? sign : (int8_t)random_bits());
        lo[i] = (int8_t)(extreme ? -1 - sign : (int8_t)random_bits());
    }
    for (size_t i = 0; i < total; i++) codes[i] = extreme ? 127 : (uint8_t)(random_bits() & 127);
    const uint8_t *pointers[16] = {0};
    int32_t expected[16][2], expected_first[16];
    for (size_t r = 0; r < count; r++) {
        pointers[r] = codes + r * stride;
        int64_t sums[3] = {0, 0, 0};
        for (size_t i = 0; i < size; i++) {
            sums[0] += hi[i] * pointers[r][i];
            sums[1] += lo[i] * pointers[r][i];
            sums[2] += pointers[0][i] * pointers[r][i];
        }
        expected[r][0] = (int32_t)sums[0];
        expected[r][1] = (int32_t)sums[1];
        expected_first[r] = (int32_t)sums[2];
    }
    EACH_TABLE(k)
    {
        int32_t *out = place(2, count * 8, 0);
        k->u7_dot2(hi, lo, codes, stride, size, count, out);
        CHECK(memcmp(out, expected, count * 8) == 0);
        memset(out, 1, count * 8);
        k->u7_dot2_gather(hi, lo, pointers, size, count, out);
        CHECK(memcmp(out, expected, count * 8) == 0);
        out = place(2, count * 4, 0);
        k->u7_dot_gather(codes, pointers, size, count, out);
        CHECK(memcmp(out, expected_first, count * 4) == 0);
        for (size_t r = 0; r < count; r++)
            CHECK(k->u7_dot(codes, pointers[r], size) == expected_first[r]);
    }
}

static void code_products_are_exact_integers(void)
{
    static const size_t sizes[] = {0,   16,  32,  48,  64,  80,  96,  112, 128,
                                   144, 160, 176, 192, 208, 384, 784, 832, 1536};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        for (size_t count = 0; count <= 13; count++) {
            for (size_t where = 0; where < PLACES; where++) {
                check_codes(sizes[s], count, 0, where, count % 3 == 0);
                check_codes(sizes[s], count, 16 + count, where, count % 3 == 1);
            }
        }
    }
    for (size_t i = 0; i < 6; i++) check_codes(16384, 1 + i, 16, i % PLACES, true);
}

/* ---- Rotation and encoding ------------------------------------------------------ */

static void transform_is_walsh_hadamard_and_the_same_everywhere(void)
{
    static float input[16384], expected[16384];
    for (size_t n = 1; n <= 16384; n *= 2) {
        for (enum pattern pattern = ORDINARY; pattern <= TINY; pattern++) {
            fill_finite_floats(input, n, pattern);
            memcpy(expected, input, n * sizeof(float));
            kernels_scalar.fht(expected, n);
            EACH_TABLE(k)
            {
                for (size_t where = 0; where < 2; where++) {
                    float *x = place(0, n * sizeof(float), where);
                    memcpy(x, input, n * sizeof(float));
                    k->fht(x, n);
                    CHECK(memcmp(x, expected, n * sizeof(float)) == 0);
                }
            }
            for (size_t row = 0; row < n && n <= 256 && pattern == ORDINARY; row++) {
                double sum = 0;
                for (size_t i = 0; i < n; i++) {
                    const bool odd = __builtin_popcountll(row & i) % 2 != 0;
                    sum += odd ? -(double)input[i] : (double)input[i];
                }
                CHECK(fabs((double)expected[row] - sum / sqrt((double)n)) < 1e-5);
            }
            kernels_scalar.fht(expected, n); /* Its own inverse. */
            for (size_t i = 0; i < n && pattern == ORDINARY; i++)
                CHECK(fabsf(expected[i] - input[i]) < 1e-4f);
        }
    }
}

static void signs_flip_where_bits_are_set(void)
{
    static uint64_t bits[256];
    for (size_t i = 0; i < COUNT_OF(bits); i++) bits[i] = random_bits();
    for (size_t i = 0; i < LENGTHS; i++) {
        const size_t n = length_at(i);
        float *x = place(0, n * sizeof(float), 0), *original = place(1, n * sizeof(float), 0);
        fill_finite_floats(original, n, i % 2 == 0 ? ORDINARY : ZEROS);
        EACH_TABLE(k)
        {
            memcpy(x, original, n * sizeof(float));
            k->flip_signs(x, bits, n);
            for (size_t j = 0; j < n; j++) {
                const bool flip = (bits[j / 64] >> (j % 64) & 1) != 0;
                CHECK(bits_of(x[j]) == bits_of(flip ? -original[j] : original[j]));
            }
        }
    }
}

static void extremes_are_found(void)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        const size_t n = length_at(i);
        for (enum pattern pattern = ORDINARY; pattern < PATTERNS; pattern++) {
            float *x = place(0, n * sizeof(float), 0);
            fill_finite_floats(x, n, pattern);
            float min = n != 0 ? x[0] : 0, max = min, largest = 0;
            for (size_t j = 0; j < n; j++) {
                min = x[j] < min ? x[j] : min;
                max = x[j] > max ? x[j] : max;
                largest = fabsf(x[j]) > largest ? fabsf(x[j]) : largest;
            }
            EACH_TABLE(k)
            {
                float got_min, got_max;
                k->min_max(x, n, &got_min, &got_max);
                CHECK(got_min == min && got_max == max && k->max_abs(x, n) == largest);
                CHECK(bits_of(got_min) != 0x80000000u && bits_of(got_max) != 0x80000000u);
                CHECK(!signbit(k->max_abs(x, n)));
            }
        }
    }
}

static void quantizers_round_to_nearest_even_and_clamp(void)
{
    static uint8_t expected[16384];
    for (size_t i = 0; i < LENGTHS; i++) {
        const size_t n = length_at(i);
        for (size_t round = 0; round < 4; round++) {
            static const float multipliers[] = {63.0f, 0.5f, 1e30f, 20000.0f};
            const float multiplier = multipliers[round], bias = round == 1 ? 3.0f : 63.5f;
            float *x = place(0, n * sizeof(float), 0);
            for (size_t j = 0; j < n; j++) /* Round 1: halves, the ties. */
                x[j] = round == 1 ? (float)(int)(random_bits() % 300 - 20) : random_unit();
            for (size_t j = 0; j < n; j++) {
                const long double value = (long double)x[j] * (long double)multiplier +
                                          (long double)bias;
                const float rounded = rintf((float)value);
                expected[j] = (uint8_t)(rounded < 0 ? 0 : rounded > 127 ? 127 : rounded);
            }
            EACH_TABLE(k)
            {
                uint8_t *codes = place(1, n, 0);
                memset(codes, 255, n);
                k->quantize_u7(x, n, multiplier, bias, codes);
                CHECK(memcmp(codes, expected, n) == 0);
                int8_t *hi = place(1, n, 0), *lo = place(2, n, 0);
                k->quantize_planes(x, n, multiplier, hi, lo);
                for (size_t j = 0; j < n; j++) {
                    const float limit = (float)KERNELS_PLANE_MAX;
                    const float value = fminf(fmaxf(rintf(x[j] * multiplier), -limit), limit);
                    CHECK(128 * hi[j] + lo[j] == (int)value);
                    CHECK(hi[j] >= -127 && lo[j] >= -64 && lo[j] <= 63);
                }
            }
        }
    }
}

/* ---- Across machines ------------------------------------------------------------ */

static void mix(uint64_t *hash, const void *bytes, size_t size) /* FNV-1a. */
{
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001B3);
}

/* Tables of one machine are compared with each other above; this compares machines. Changing
 * the recorded number is changing the format of what is stored. */
static void results_are_those_of_every_other_machine(void)
{
    EACH_TABLE(k)
    {
        static float x[1024];
        static uint8_t bytes[3][1024 * 4];
        uint64_t hash = UINT64_C(0xCBF29CE484222325);
        random_state = 1;
        for (size_t dim = 1; dim <= 1024; dim += 31) {
            for (omendb_type type = OMENDB_F32; type <= OMENDB_U8; type++) {
                for (enum pattern pattern = ORDINARY; pattern <= TINY; pattern++) {
                    fill(type, pattern, bytes[0], dim, false);
                    fill(type, pattern, bytes[1], dim, true);
                    const float results[] = {k->l2[type].pair(bytes[0], bytes[1], dim),
                                             k->dot[type].pair(bytes[0], bytes[1], dim),
                                             distance_norm(k, type, (uint32_t)dim, bytes[0])};
                    mix(&hash, results, sizeof results);
                }
            }
        }
        fill_finite_floats(x, 1024, ORDINARY);
        k->fht(x, 1024);
        mix(&hash, x, sizeof x);
        CHECK(k->from_f32[OMENDB_F16](x, bytes[0], 1024) &&
              k->from_f32[OMENDB_BF16](x, bytes[1], 1024));
        mix(&hash, bytes[0], 2048);
        mix(&hash, bytes[1], 2048);
        k->quantize_u7(x, 1024, 63.0f / k->max_abs(x, 1024), 63.5f, bytes[0]);
        k->quantize_planes(x, 1024, 16000.0f / k->max_abs(x, 1024), (int8_t *)bytes[1],
                           (int8_t *)bytes[2]);
        for (size_t i = 0; i < 3; i++) mix(&hash, bytes[i], 1024);
        if (hash != UINT64_C(0xFEE80056662C3A12))
            fprintf(stderr, "%s: %#llx\n", k->name, (unsigned long long)hash);
        CHECK(hash == UINT64_C(0xFEE80056662C3A12));
    }
}

static void picks_the_best_table_that_features_allow(void)
{
    CHECK(kernels_for(0) == &kernels_scalar);
    CHECK(kernels_for(cpu_features()) == tables[table_count - 1]);
    for (uint32_t features = 0; features < 32; features++) {
        const struct kernels *list[KERNELS_LIST_MAX];
        const size_t count = kernels_list(features, list, KERNELS_LIST_MAX);
        CHECK(count >= 1 && count <= KERNELS_LIST_MAX && list[0] == &kernels_scalar);
        CHECK(kernels_for(features) == list[count - 1]);
        for (size_t i = 0; i < count; i++) CHECK((list[i]->features & ~features) == 0);
        CHECK(kernels_list(features, list, 0) == count);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"picks_the_best_table_that_features_allow", picks_the_best_table_that_features_allow},
        {"measures_give_the_same_bits_in_every_table", measures_give_the_same_bits_in_every_table},
        {"padding_turns_underflowed_lanes_into_positive_zero",
         padding_turns_underflowed_lanes_into_positive_zero},
        {"scalar_measures_keep_the_stated_error", scalar_measures_keep_the_stated_error},
        {"hamming_counts_bits", hamming_counts_bits},
        {"halves_widen_exactly_and_come_back", halves_widen_exactly_and_come_back},
        {"floats_round_to_the_nearest_half", floats_round_to_the_nearest_half},
        {"doubles_become_the_nearest_float", doubles_become_the_nearest_float},
        {"only_integers_in_range_become_bytes", only_integers_in_range_become_bytes},
        {"every_infinity_and_nan_is_found", every_infinity_and_nan_is_found},
        {"code_products_are_exact_integers", code_products_are_exact_integers},
        {"transform_is_walsh_hadamard_and_the_same_everywhere",
         transform_is_walsh_hadamard_and_the_same_everywhere},
        {"signs_flip_where_bits_are_set", signs_flip_where_bits_are_set},
        {"extremes_are_found", extremes_are_found},
        {"quantizers_round_to_nearest_even_and_clamp", quantizers_round_to_nearest_even_and_clamp},
        {"results_are_those_of_every_other_machine", results_are_those_of_every_other_machine},
        {NULL, NULL}};
    prepare();
    return test_main(tests, argc, argv);
}
