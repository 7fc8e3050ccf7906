/* What the walks of a graph are made of: every instruction set that this processor has against the
 * portable one bit by bit, and that one against oracles in wider arithmetic. Inputs end at a page
 * that can't be touched. The inner functions are static, so that this program holds its own copies
 * of the files. */
#include "index/vector/graph_portable.c"

#include "kernels_values.h"

struct inner {
    const struct graph_kernels *kernels;
    int32_t (*dot)(const uint8_t *code, const int8_t *digits, uint32_t size);
    void (*scan)(const uint8_t *edges, const uint8_t *table, uint32_t bits, uint16_t *sums);
    uint32_t (*below)(const struct graph_query *query, float distance, const uint16_t *factors,
                      const uint16_t *sums, float limit, float *estimates);
    uint32_t (*rank)(const float *distances, uint32_t count, float distance);
    uint32_t (*insert)(float *pool_distances, uint32_t *pool_nodes, uint32_t *pool_count,
                       uint32_t ef, float distance, uint32_t node);
    uint32_t (*merge)(float *pool_distances, uint32_t *pool_nodes, uint32_t *pool_count,
                      uint32_t ef, const float *distances, const uint32_t *nodes, uint32_t count);
};

/* Functions that can be pointed to, of an instruction set's inlined ones. */
#define INNER(set)                                                                                 \
    static LOOP_TARGET int32_t dot_##set(const uint8_t *code, const int8_t *digits, uint32_t size) \
    {                                                                                              \
        return graph_##set##_dot(code, digits, size);                                              \
    }                                                                                              \
    static LOOP_TARGET void scan_##set(const uint8_t *edges, const uint8_t *table, uint32_t bits,  \
                                       uint16_t *sums)                                             \
    {                                                                                              \
        graph_##set##_scan(edges, table, bits, sums);                                              \
    }                                                                                              \
    static LOOP_TARGET uint32_t below_##set(const struct graph_query *query, float distance,       \
                                            const uint16_t *factors, const uint16_t *sums,         \
                                            float limit, float *estimates)                         \
    {                                                                                              \
        return graph_##set##_below(query, distance, factors, sums, limit, estimates);              \
    }                                                                                              \
    static LOOP_TARGET uint32_t rank_##set(const float *distances, uint32_t count, float distance) \
    {                                                                                              \
        return graph_##set##_rank(distances, count, distance);                                     \
    }                                                                                              \
    static LOOP_TARGET uint32_t insert_##set(float *pool_distances, uint32_t *pool_nodes,          \
                                             uint32_t *pool_count, uint32_t ef, float distance,    \
                                             uint32_t node)                                        \
    {                                                                                              \
        return graph_##set##_pool_insert(pool_distances, pool_nodes, pool_count, ef, distance,     \
                                         node);                                                    \
    }                                                                                              \
    static LOOP_TARGET uint32_t merge_##set(                                                       \
        float *pool_distances, uint32_t *pool_nodes, uint32_t *pool_count, uint32_t ef,            \
        const float *distances, const uint32_t *nodes, uint32_t count)                             \
    {                                                                                              \
        return graph_##set##_merge(pool_distances, pool_nodes, pool_count, ef, distances, nodes,   \
                                   count);                                                         \
    }                                                                                              \
    static const struct inner inner_##set = {&graph_kernels_##set, dot_##set,  scan_##set,         \
                                             below_##set,          rank_##set, insert_##set,       \
                                             merge_##set};

INNER(portable)
#if defined(__x86_64__)
#undef LOOP_TARGET
#undef LOOP_NAME
#include "index/vector/graph_avx2.c"
INNER(avx2)
#undef LOOP_TARGET
#undef LOOP_NAME
#include "index/vector/graph_avx512.c"
INNER(avx512)
#elif defined(__aarch64__)
#undef LOOP_TARGET
#undef LOOP_NAME
#include "index/vector/graph_neon.c"
INNER(neon)
#endif

static const struct inner *const inners[] = {
    &inner_portable,
#if defined(__x86_64__)
    &inner_avx2,
    &inner_avx512,
#elif defined(__aarch64__)
    &inner_neon,
#endif
};
#define EACH_INNER(k)                                                                              \
    for (size_t set_ = 0; set_ < COUNT_OF(inners); set_++)                                         \
        for (const struct inner *k = inners[set_];                                                 \
             k != NULL && (k->kernels->features & ~cpu_features()) == 0; k = NULL)

static void every_table_of_this_processor_is_tested(void)
{
    const struct graph_kernels *list[KERNELS_LIST_MAX];
    const size_t count = graph_kernels_list(cpu_features(), list, KERNELS_LIST_MAX);
    size_t found = 0;
    CHECK(count >= 1 && list[0] == &graph_kernels_portable);
    EACH_INNER(k)
    {
        bool listed = false;
        for (size_t i = 0; i < count; i++) listed |= list[i] == k->kernels;
        CHECK(listed);
        printf("testing %s\n", k->kernels->name);
        found++;
    }
    CHECK(found == count && graph_kernels_for(cpu_features()) == list[count - 1]);
    CHECK(graph_kernels_for(0) == &graph_kernels_portable);
}

/* ---- Products and scans -------------------------------------------------------- */

static void products_of_codes_are_exact(void)
{
    for (uint32_t size = 64; size <= 1024 || size == 16384;
         size = size == 1024 ? 16384 : size + 64) {
        for (uint32_t round = 0; round < 4; round++) {
            uint8_t *code = place(0, size, round % PLACES);
            int8_t *digits = place(1, size, 0);
            int64_t expected = 0;
            for (uint32_t i = 0; i < size; i++) {
                code[i] = round == 3 ? 127 : (uint8_t)(random_bits() & 127);
                digits[i] = (int8_t)(round == 3 ? (size % 128 == 0 ? 127 : -127)
                                                : (int)(random_bits() % 255) - 127);
                expected += (int64_t)code[i] * digits[i];
            }
            EACH_INNER(k) CHECK(k->dot(code, digits, size) == expected);
        }
    }
}

static void scans_add_the_entry_of_every_group(void)
{
    for (uint32_t bits = GRAPH_BITS_MULTIPLE; bits <= GRAPH_BITS_MAX; bits += GRAPH_BITS_MULTIPLE) {
        const size_t size = (size_t)bits * 4;
        for (uint32_t round = 0; round < 8; round++) {
            uint8_t *edges = place(0, size, 0), *table = place(1, size, round % 2);
            uint32_t expected[GRAPH_SLOTS] = {0};
            for (size_t i = 0; i < size; i++) {
                edges[i] = (uint8_t)random_bits();
                table[i] = (uint8_t)(round < 6 ? random_bits() : round == 6 ? 255 : 128);
            }
            for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
                for (uint32_t group = 0; group < bits / 4; group++) {
                    const uint8_t pair = edges[group * 16 + slot % 16];
                    expected[slot] += table[group * 16 + (slot < 16 ? pair & 15 : pair >> 4)];
                }
                CHECK(round != 6 || expected[slot] == bits / 4 * 255);
            }
            EACH_INNER(k)
            {
                uint16_t sums[GRAPH_SLOTS] ALIGNED(64);
                memset(sums, 0xA5, sizeof sums);
                k->scan(edges, table, bits, sums);
                for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++)
                    CHECK(sums[slot] == expected[slot]);
            }
        }
    }
}

/* ---- Estimates and ranks ------------------------------------------------------- */

static double half_value(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) magnitude = (double)INFINITY;
    return half >> 15 != 0 ? -magnitude : magnitude;
}

static void estimates_follow_the_formula_in_every_table(void)
{
    for (uint32_t round = 0; round < 3000; round++) {
        uint16_t *factors = place(0, GRAPH_FACTORS_SIZE, 0);
        uint16_t sums[GRAPH_SLOTS] ALIGNED(64);
        struct graph_query query = {.table_step = fabsf(random_unit()) * 0.1f,
                                    .table_low = random_unit() * 1000};
        const float distance = fabsf(random_unit()) * 100;
        float limit = random_unit() * (round % 2 == 0 ? 300.0f : 20000.0f);
        if (round % 7 == 0) limit = INFINITY;
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
            factors[slot] = (uint16_t)(random_half(OMENDB_F16,
                                                   round % 5 == 0 ? ANY_BITS : ORDINARY) ^
                                       GRAPH_A_EMPTY);
            factors[GRAPH_SLOTS + slot] = random_half(OMENDB_F16,
                                                      round % 5 == 1 ? ANY_BITS : ORDINARY);
            if (random_bits() % 8 == 0) factors[slot] = 0;
            sums[slot] = (uint16_t)(random_bits() % 32641);
        }
        float expected[GRAPH_SLOTS] = {0};
        uint32_t expected_mask = 0;
        EACH_INNER(k)
        {
            float estimates[GRAPH_SLOTS] ALIGNED(64);
            const uint32_t mask = k->below(&query, distance, factors, sums, limit, estimates);
            if (k == &inner_portable) {
                memcpy(expected, estimates, sizeof expected);
                expected_mask = mask;
            }
            CHECK(memcmp(estimates, expected, sizeof expected) == 0 && mask == expected_mask);
        }
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
            CHECK((expected_mask >> slot & 1) == (expected[slot] < limit ? 1 : 0));
            if (factors[slot] == 0) { /* An empty slot is below no limit. */
                CHECK(isinf(expected[slot]) && (expected_mask >> slot & 1) == 0);
                continue;
            }
            const double a = half_value((uint16_t)(factors[slot] ^ GRAPH_A_EMPTY));
            const double f = half_value(factors[GRAPH_SLOTS + slot]);
            const double low = (double)query.table_low;
            const double step = (double)query.table_step * sums[slot];
            const double exact = (double)distance + a - f * (low + step);
            const double size = (double)distance + fabs(a) + fabs(f) * (fabs(low) + fabs(step));
            CHECK(fabs((double)expected[slot] - exact) <= 1e-6 * size);
        }
    }
}

static void ranks_count_what_is_not_farther(void)
{
    for (uint32_t count = 0; count <= 1000; count += count < 200 ? 1 : 67) {
        float *distances = place(0, sizeof(float) * (count + 64), 0);
        float value = -50;
        for (uint32_t i = 0; i < count + 64; i++) {
            if (random_bits() % 3 != 0) value += fabsf(random_unit());
            distances[i] = i < count ? value : -1e30f; /* What lies beyond isn't counted. */
        }
        for (uint32_t round = 0; round < 40; round++) {
            float distance = random_unit() * 100;
            if (round % 2 == 0 && count != 0) distance = distances[random_bits() % count];
            if (round == 1) distance = INFINITY;
            if (round == 3) distance = -INFINITY;
            uint32_t expected = 0;
            for (uint32_t i = 0; i < count; i++) expected += distances[i] <= distance;
            EACH_INNER(k) CHECK(k->rank(distances, count, distance) == expected);
        }
    }
}

enum { POOL_MAX = 300, POOL_SLACK = 64 };

/* The pool after candidates went into it one by one, each behind what isn't farther. */
static uint32_t pool_expect(struct graph_candidate *pool, uint32_t *count, uint32_t ef,
                            const float *distances, const uint32_t *nodes, uint32_t added)
{
    uint32_t lowest = ef;
    for (uint32_t i = 0; i < added; i++) {
        uint32_t at = 0;
        while (at < *count && pool[at].distance <= distances[i]) at++;
        if (at >= ef) continue;
        if (*count < ef) ++*count;
        memmove(pool + at + 1, pool + at, (*count - 1 - at) * sizeof *pool);
        pool[at] = (struct graph_candidate){.distance = distances[i], .node = nodes[i]};
        lowest = at < lowest ? at : lowest;
    }
    return lowest;
}

static void candidates_find_their_places_in_the_pool(void)
{
    static struct graph_candidate pool[POOL_MAX + 1];
    for (uint32_t round = 0; round < 3000; round++) {
        const uint32_t ef = 1 + (uint32_t)(random_bits() % (round % 3 == 0 ? 40 : POOL_MAX));
        const uint32_t before = round % 4 == 0 ? ef : (uint32_t)(random_bits() % (ef + 1));
        const uint32_t added = 1 + (uint32_t)(random_bits() % (round % 5 == 0 ? 1 : GRAPH_SLOTS));
        float distances[GRAPH_SLOTS] ALIGNED(64);
        uint32_t nodes[GRAPH_SLOTS] ALIGNED(64), count = before;
        float value = -10;
        for (uint32_t i = 0; i < before; i++) {
            if (random_bits() % 3 != 0) value += fabsf(random_unit());
            pool[i] = (struct graph_candidate){.distance = value, .node = i};
        }
        static struct graph_candidate begin[POOL_MAX];
        memcpy(begin, pool, before * sizeof *pool);
        for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
            distances[i] = -10 + fabsf(random_unit()) * (value + 12);
            if (before != 0 && random_bits() % 3 == 0)
                distances[i] = pool[random_bits() % before].distance;
            if (i != 0 && random_bits() % 4 == 0) distances[i] = distances[i - 1];
            if (round % 7 == 0) distances[i] += 1000; /* All behind the pool. */
            if (round % 7 == 1) distances[i] -= 1000;
            if (i >= added) distances[i] = INFINITY;
            nodes[i] = 1000 + i;
        }
        const uint32_t lowest = pool_expect(pool, &count, ef, distances, nodes, added);
        EACH_INNER(k)
        {
            for (uint32_t way = 0; way < 2; way++) {
                float *got = place(0, sizeof(float) * (ef + POOL_SLACK), 0);
                uint32_t *names = place(1, sizeof(uint32_t) * (ef + POOL_SLACK), 0);
                uint32_t got_count = before, got_lowest = ef;
                for (uint32_t i = 0; i < before; i++) {
                    got[i] = begin[i].distance;
                    names[i] = begin[i].node;
                }
                if (way == 0) {
                    got_lowest = k->merge(got, names, &got_count, ef, distances, nodes, added);
                } else {
                    for (uint32_t i = 0; i < added; i++) {
                        const uint32_t rank = k->insert(got, names, &got_count, ef, distances[i],
                                                        nodes[i]);
                        got_lowest = rank < got_lowest ? rank : got_lowest;
                    }
                }
                CHECK(got_count == count && got_lowest == lowest);
                for (uint32_t i = 0; i < count; i++)
                    CHECK(same(got[i], pool[i].distance) && names[i] == pool[i].node);
            }
        }
    }
}

/* ---- Queries ------------------------------------------------------------------- */

enum query_shape { QUERY_USUAL, QUERY_ZERO, QUERY_TINY, QUERY_HUGE, QUERY_SPIKE, QUERY_SHAPES };

static void query_fill(float *x, uint32_t dim, uint32_t size, enum query_shape shape)
{
    for (uint32_t i = 0; i < size; i++) {
        x[i] = i < dim ? random_unit() : 0;
        if (shape == QUERY_ZERO) x[i] = 0;
        if (shape == QUERY_TINY) x[i] *= 1e-35f;
        if (shape == QUERY_HUGE) x[i] *= 0x1p50f;
        if (shape == QUERY_SPIKE) x[i] *= i == dim / 2 ? 1000.0f : 0.001f;
    }
}

static void check_query(const struct graph_query *query, uint32_t size, uint32_t bits)
{
    const float *x = query->turned;
    double square = 0, sum = 0, range = 0;
    for (uint32_t i = 0; i < size; i++) {
        CHECK(query->digits[i] >= -127);
        const double digit = query->digits[i], step = (double)query->step;
        CHECK(fabs((double)x[i] - digit * step) <= 0.5001 * step);
        square += (double)x[i] * (double)x[i];
        sum += digit;
    }
    CHECK((double)query->sum == sum);
    CHECK(fabs((double)query->square - square) <= 1e-6 * square + size * 0x1p-149);
    x = query->spread;
    for (uint32_t i = 0; i < bits; i += 4) {
        double group = 0;
        for (uint32_t j = i; j < i + 4; j++) group += fabs((double)x[j]);
        range = group > range ? group : range;
    }
    /* The steps are the largest component and group in as many parts as there are. */
    CHECK(range < 1e-20 || fabs((double)query->table_step * 255 - range) <= 1e-6 * range);
    for (uint32_t i = 0; i < bits; i += 4) {
        for (uint32_t entry = 0; entry < 16; entry++) {
            double exact = 0;
            for (uint32_t j = 0; j < 4; j++) {
                const double value = (double)x[i + j];
                if ((entry >> j & 1) != 0) exact += value > 0 ? value : 0;
                else exact += value < 0 ? -value : 0;
            }
            CHECK(fabs(query->table[i * 4 + entry] - exact / (double)query->table_step) < 0.52);
        }
    }
    for (uint32_t round = 0; round < 4; round++) { /* <q, c> of random signs. */
        double product = 0, entries = 0;
        for (uint32_t i = 0; i < bits; i += 4) {
            const uint32_t entry = random_bits() & 15;
            for (uint32_t j = 0; j < 4; j++)
                product += (double)x[i + j] * ((entry >> j & 1) != 0 ? 0.5 : -0.5);
            entries += query->table[i * 4 + entry];
        }
        const double step = (double)query->table_step;
        CHECK(fabs((double)query->table_low + step * entries - product) <= 0.54 * step * bits / 4);
    }
}

static void queries_are_the_same_in_every_table(void)
{
    for (uint32_t dim = 1; dim <= 1600; dim += dim < 130 ? 1 : 61) {
        const uint32_t size = codes_stride(dim) - CODES_HEADER_SIZE, bits = graph_bits(dim);
        for (enum query_shape shape = QUERY_USUAL; shape < QUERY_SHAPES; shape++) {
            struct graph_query expected = {.turned = place(0, sizeof(float) * size, 0),
                                           .digits = place(1, size, 0),
                                           .table = place(2, (size_t)bits * 4, 0),
                                           .spread = place(3, sizeof(float) * bits, 0)};
            struct graph_query query = expected;
            static int8_t digits[2048] ALIGNED(64);
            static uint8_t table[GRAPH_BITS_MAX * 4] ALIGNED(64);
            query_fill(expected.turned, dim, size, shape);
            query_fill(expected.spread, dim < bits ? dim : bits, bits, shape);
            graph_kernels_portable.digitize(&expected, size);
            graph_kernels_portable.tabulate(&expected, bits);
            check_query(&expected, size, bits);
            memcpy(digits, expected.digits, size);
            memcpy(table, expected.table, (size_t)bits * 4);
            expected.digits = digits;
            expected.table = table;
            EACH_INNER(k)
            {
                memset(query.digits, 1, size);
                memset(query.table, 1, (size_t)bits * 4);
                query.square = query.sum = query.step = query.table_step = query.table_low = -1;
                k->kernels->digitize(&query, size);
                k->kernels->tabulate(&query, bits);
                CHECK(same(query.square, expected.square) && same(query.sum, expected.sum));
                CHECK(same(query.step, expected.step));
                CHECK(same(query.table_step, expected.table_step));
                CHECK(same(query.table_low, expected.table_low));
                CHECK(memcmp(query.digits, digits, size) == 0);
                CHECK(memcmp(query.table, table, (size_t)bits * 4) == 0);
            }
        }
    }
}

/* ---- Slots --------------------------------------------------------------------- */

static void check_relation(uint32_t dim, bool equal)
{
    const uint32_t size = (dim + 15) / 16 * 16, bits = graph_bits(dim);
    float *p = place(0, sizeof(float) * size, 0);
    float *o = place(1, sizeof(float) * size, dim % 2);
    double exact[3] = {0, 0, 0}, size_of_p = 0;
    for (uint32_t i = 0; i < size; i++) {
        o[i] = random_unit(); /* Beyond the end, too. */
        p[i] = i >= dim ? 0 : equal ? o[i] : random_unit();
    }
    uint64_t expected[GRAPH_BITS_MAX / 64], words[GRAPH_BITS_MAX / 64];
    float expected_sums[3], sums[3];
    graph_kernels_portable.relate(p, o, dim, bits, expected, expected_sums);
    EACH_INNER(k)
    {
        memset(words, 0xFF, sizeof words);
        k->kernels->relate(p, o, dim, bits, words, sums);
        CHECK(memcmp(words, expected, sizeof words) == 0);
        for (uint32_t i = 0; i < 3; i++) CHECK(same(sums[i], expected_sums[i]));
    }
    for (uint32_t i = 0; i < dim; i++) {
        const double rest = (double)o[i] - (double)p[i];
        exact[0] += rest * rest;
        if (i >= bits) continue;
        const bool positive = (expected[i / 64] >> (i % 64) & 1) != 0;
        CHECK(fabs(rest) < 1e-6 || positive == (rest > 0));
        exact[1] += fabs(rest) / 2;
        exact[2] += (positive ? (double)p[i] : -(double)p[i]) / 2;
        size_of_p += fabs((double)p[i]) / 2;
    }
    for (uint32_t i = dim; i < GRAPH_BITS_MAX; i++) CHECK((expected[i / 64] >> (i % 64) & 1) == 0);
    for (uint32_t i = bits; i < GRAPH_BITS_MAX; i++) CHECK((expected[i / 64] >> (i % 64) & 1) == 0);
    const double slack = 1e-6 * dim; /* Of the points' own rounding. */
    CHECK(fabs((double)expected_sums[0] - exact[0]) <= 1e-5 * exact[0] + slack);
    CHECK(fabs((double)expected_sums[1] - exact[1]) <= 1e-5 * exact[1] + slack);
    CHECK(fabs((double)expected_sums[2] - exact[2]) <= 1e-5 * size_of_p + slack);
    if (!equal) return;
    CHECK(expected_sums[0] == 0 && expected_sums[1] == 0);
}

static void relations_are_the_same_in_every_table(void)
{
    for (uint32_t dim = 1; dim <= 130; dim++) {
        for (uint32_t round = 0; round < 8; round++) check_relation(dim, round == 7);
    }
    static const uint32_t long_ones[] = {384, 400, 500, 512, 513, 768, 1536, 4096};
    for (size_t i = 0; i < COUNT_OF(long_ones); i++) {
        for (uint32_t round = 0; round < 8; round++) check_relation(long_ones[i], round == 7);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"every_table_of_this_processor_is_tested", every_table_of_this_processor_is_tested},
        {"products_of_codes_are_exact", products_of_codes_are_exact},
        {"scans_add_the_entry_of_every_group", scans_add_the_entry_of_every_group},
        {"estimates_follow_the_formula_in_every_table",
         estimates_follow_the_formula_in_every_table},
        {"ranks_count_what_is_not_farther", ranks_count_what_is_not_farther},
        {"candidates_find_their_places_in_the_pool", candidates_find_their_places_in_the_pool},
        {"queries_are_the_same_in_every_table", queries_are_the_same_in_every_table},
        {"relations_are_the_same_in_every_table", relations_are_the_same_in_every_table},
        {NULL, NULL}};
    prepare();
    return test_main(tests, argc, argv);
}
