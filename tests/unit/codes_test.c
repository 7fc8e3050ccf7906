/* Rotation and 7-bit codes: what rotate.h and codes.h promise, on plain memory. */
#include <math.h>

#include "base/alloc.h"
#include "index/vector/codes.h"
#include "os/cpu.h"
#include "simd/distance.h"
#include "test.h"

enum { DIM_MAX = 1536 };

static uint64_t random_state = 1;

static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545F4914F6CDD1D);
}

static double random_unit(void) /* [0, 1) */
{
    return (double)(random_u64() >> 11) * 0x1p-53;
}

static float random_normal(void)
{
    const double radius = sqrt(-2 * log(random_unit() + 1e-300));
    return (float)(radius * cos(6.283185307179586 * random_unit()));
}

/* ---- Rotation ------------------------------------------------------------------ */

/* The same map in f64, by the definition. */
static void naive_rotate(const struct rotation *rotation, double *x)
{
    static double y[DIM_MAX];
    for (uint32_t half = 0; half < 2 * ROTATION_ROUNDS; half++) {
        const uint64_t *signs = rotation->signs + (size_t)half * rotation->sign_words;
        double *part = x + (half % 2 == 1 ? rotation->second : 0);
        if (half % 2 == 1 && rotation->second == 0) continue;
        const uint32_t n = rotation->block;
        for (uint32_t i = 0; i < n; i++)
            y[i] = (signs[i / 64] >> (i % 64) & 1) ? -part[i] : part[i];
        for (uint32_t h = 1; h < n; h *= 2) {
            for (uint32_t i = 0; i < n; i++) {
                if ((i & h) != 0) continue;
                const double a = y[i], b = y[i + h];
                y[i] = a + b;
                y[i + h] = a - b;
            }
        }
        for (uint32_t i = 0; i < n; i++) part[i] = y[i] / sqrt((double)n);
    }
}

static void test_rotation_is_orthogonal(void)
{
    static double matrix[200][200];
    const uint32_t dims[] = {1, 2, 3, 5, 8, 31, 64, 65, 100, 127, 200};
    for (size_t d = 0; d < COUNT_OF(dims); d++) {
        const uint32_t dim = dims[d];
        struct rotation rotation;
        CHECK(rotation_init(&rotation, dim, 7, NULL) == OMENDB_OK);
        for (uint32_t i = 0; i < dim; i++) {
            for (uint32_t j = 0; j < dim; j++) matrix[i][j] = i == j;
            naive_rotate(&rotation, matrix[i]);
        }
        for (uint32_t i = 0; i < dim; i++) {
            for (uint32_t j = 0; j <= i; j++) {
                double dot = 0;
                for (uint32_t l = 0; l < dim; l++) dot += matrix[i][l] * matrix[j][l];
                CHECK(fabs(dot - (i == j)) < 1e-12);
            }
        }
        rotation_deinit(&rotation);
    }
}

static void test_rotation_errs_less_than_it_says(void)
{
    const struct kernels *kernels = kernels_for(cpu_features());
    const uint32_t dims[] = {1, 2, 7, 33, 64, 96, 100, 384, 512, 768, 784, 1023, 1536};
    static float x[DIM_MAX];
    static double exact[DIM_MAX];
    for (size_t d = 0; d < COUNT_OF(dims); d++) {
        struct rotation rotation;
        CHECK(rotation_init(&rotation, dims[d], d, NULL) == OMENDB_OK);
        for (uint32_t kind = 0; kind < 12; kind++) {
            double norm = 0, error = 0;
            const float scale = kind < 4 ? 1.0f : kind < 8 ? 0x1p50f : 0x1p-90f;
            for (uint32_t i = 0; i < dims[d]; i++) {
                x[i] = scale * (kind % 4 == 0   ? random_normal()
                                : kind % 4 == 1 ? 1.0f + 0.01f * random_normal()
                                : kind % 4 == 2 ? (float)(i == dims[d] / 2)
                                                : ldexpf(random_normal(), (int)(i % 40) - 20));
                exact[i] = (double)x[i];
                norm += exact[i] * exact[i];
            }
            naive_rotate(&rotation, exact);
            rotation_apply(&rotation, kernels, x);
            for (uint32_t i = 0; i < dims[d]; i++)
                error += ((double)x[i] - exact[i]) * ((double)x[i] - exact[i]);
            CHECK(sqrt(error) <= rotation_error(&rotation) * sqrt(norm) + 0x1p-110);
        }
        rotation_deinit(&rotation);
    }
}

static void test_rotation_spreads_one_component_over_all(void)
{
    const struct kernels *kernels = kernels_for(cpu_features());
    const uint32_t dims[] = {384, 784, 1000};
    static float x[DIM_MAX];
    for (size_t d = 0; d < COUNT_OF(dims); d++) {
        struct rotation rotation;
        CHECK(rotation_init(&rotation, dims[d], 3, NULL) == OMENDB_OK);
        const uint32_t at[] = {0, dims[d] / 2, dims[d] - 1};
        for (size_t a = 0; a < 3; a++) {
            memset(x, 0, sizeof x);
            x[at[a]] = 1;
            rotation_apply(&rotation, kernels, x);
            CHECK(kernels->max_abs(x, dims[d]) < 0.35f);
        }
        rotation_deinit(&rotation);
    }
}

/* ---- Vectors of all kinds --------------------------------------------------------- */

enum vector_kind {
    KIND_NORMAL,
    KIND_CLUSTERED,
    KIND_CONSTANT,
    KIND_ONE_HOT,
    KIND_OFFSET,
    KIND_INTEGERS,
    KIND_EXPONENTS,
    KIND_HUGE,
    KIND_LARGEST,
    KIND_TINY,
    KIND_DENORMAL,
    KIND_NEAR_QUERY,
    KIND_QUERY,
    KIND_OPPOSITE,
    KIND_ZERO,
    KIND_COUNT
};

static void make_vector(uint32_t kind, const float *query, float *x, uint32_t dim)
{
    const double factor = random_unit();
    for (uint32_t i = 0; i < dim; i++) {
        const float normal = random_normal();
        switch (kind) {
        case KIND_NORMAL:
            x[i] = normal;
            break;
        case KIND_CLUSTERED:
            x[i] = (float)sin(i * 0.37) * 3 + 0.05f * normal;
            break;
        case KIND_CONSTANT:
            x[i] = (float)factor;
            break;
        case KIND_ONE_HOT:
            x[i] = i == (uint32_t)(factor * dim) ? 5.0f : 0.0f;
            break;
        case KIND_OFFSET:
            x[i] = 1000.0f + normal;
            break;
        case KIND_INTEGERS:
            x[i] = floorf(fabsf(normal) * 60);
            break;
        case KIND_EXPONENTS:
            x[i] = ldexpf(normal, (int)(random_u64() % 30) - 20);
            break;
        case KIND_HUGE:
            x[i] = normal * 1e13f;
            break;
        case KIND_LARGEST:
            x[i] = copysignf(3.3e38f, normal);
            break;
        case KIND_TINY:
            x[i] = normal * 1e-19f;
            break;
        case KIND_DENORMAL:
            x[i] = normal * 1e-41f;
            break;
        case KIND_NEAR_QUERY:
            x[i] = query[i] * (1 + 1e-6f * normal);
            break;
        case KIND_QUERY:
            x[i] = query[i];
            break;
        case KIND_OPPOSITE:
            x[i] = -query[i];
            break;
        default:
            x[i] = 0;
            break;
        }
    }
}

struct bounds_case {
    struct codes codes;
    struct codes_query query;
    uint64_t pairs, finite;
};

static uint8_t case_rows[CODES_CHUNK * 1600];
static float case_vectors[CODES_CHUNK][DIM_MAX];
static uint8_t case_stored[CODES_CHUNK][DIM_MAX * 4];

static bool convert(const struct codes *codes, const float *x, uint8_t *out)
{
    return codes->kernels->from_f32[codes->type](x, out, codes->dim);
}

/* One query against a chunk of rows of all kinds and centres: bounds hold, limits lose nothing. */
static void check_bounds(struct bounds_case *c, uint32_t query_kind)
{
    const struct codes *codes = &c->codes;
    static float query[DIM_MAX];
    static uint8_t stored_query[DIM_MAX * 4];
    float exact[CODES_CHUNK];
    make_vector(query_kind, query, query, codes->dim);
    if (!convert(codes, query, stored_query)) return;
    CHECK(codes->kernels->to_f32[codes->type](stored_query, query, codes->dim));
    const float query_norm = distance_norm(codes->kernels, codes->type, codes->dim, stored_query);
    if (codes->metric == OMENDB_COSINE && query_norm == 0) return;

    const uint32_t centres = atomic_load_relaxed_u32(&codes->centre_count);
    uint32_t count = 0;
    while (count < CODES_CHUNK) {
        make_vector((uint32_t)(random_u64() % KIND_COUNT), query, case_vectors[count], codes->dim);
        if (!convert(codes, case_vectors[count], case_stored[count])) continue;
        const float norm = distance_norm(codes->kernels, codes->type, codes->dim,
                                         case_stored[count]);
        if (codes->metric == OMENDB_COSINE && norm == 0) continue;
        uint8_t *row = case_rows + (size_t)count * codes->stride;
        codes_encode(&c->codes, case_stored[count], (uint32_t)(random_u64() % centres), row);
        static float scratch[DIM_MAX];
        CHECK(codes_verify_row(codes, case_stored[count], row, scratch));
        exact[count] = distance_exact(codes->kernels, codes->metric, codes->type, codes->dim,
                                      stored_query, query_norm, case_stored[count], norm);
        count++;
    }
    bool usable;
    CHECK(codes_query_begin(&c->query, codes, stored_query, &usable, NULL) == OMENDB_OK);
    if (!usable) {
        CHECK(query_kind == KIND_LARGEST || query_kind == KIND_HUGE);
        return;
    }
    struct code_bound bounds[CODES_CHUNK];
    CHECK(codes_bounds(&c->query, case_rows, count, INFINITY, bounds) == count);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(bounds[i].index == i);
        CHECK(bounds[i].lower <= exact[i] && exact[i] <= bounds[i].upper);
        c->pairs++;
        c->finite += bounds[i].upper < INFINITY;
    }
    /* Every distance that occurs as a limit, and its neighbours. */
    for (uint32_t l = 0; l < count; l += 5) {
        struct code_bound within[CODES_CHUNK];
        const float limits[] = {exact[l], nextafterf(exact[l], -INFINITY), bounds[l].upper};
        for (uint32_t j = 0; j < 3; j++) {
            const uint32_t found = codes_bounds(&c->query, case_rows, count, limits[j], within);
            for (uint32_t i = 0, at = 0; i < count; i++) {
                const bool in = at < found && within[at].index == i;
                if (in) {
                    CHECK(memcmp(&within[at], &bounds[i], sizeof bounds[i]) == 0);
                    CHECK(within[at].lower <= limits[j]);
                    at++;
                } else {
                    CHECK(exact[i] > limits[j]);
                }
            }
        }
    }
}

static void test_bounds_hold(void)
{
    static const struct {
        omendb_type type;
        uint32_t dim;
    } shapes[] = {{OMENDB_F32, 30},  {OMENDB_F32, 64},   {OMENDB_F32, 65},   {OMENDB_F32, 100},
                  {OMENDB_F32, 384}, {OMENDB_F32, 784},  {OMENDB_F32, 1536}, {OMENDB_F16, 128},
                  {OMENDB_F16, 384}, {OMENDB_BF16, 128}, {OMENDB_BF16, 768}, {OMENDB_F32, 1},
                  {OMENDB_F32, 3}};
    uint64_t pairs = 0, finite = 0;
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        for (omendb_metric metric = OMENDB_L2; metric <= OMENDB_IP; metric++) {
            struct bounds_case c = {0};
            CHECK(codes_init(&c.codes, kernels_for(cpu_features()), shapes[s].type, metric,
                             shapes[s].dim, s, NULL) == OMENDB_OK);
            for (uint32_t i = 0; i < 3; i++) {
                static float centre[DIM_MAX];
                make_vector(i == 0   ? KIND_CLUSTERED
                            : i == 1 ? KIND_OFFSET
                                     : KIND_TINY,
                            NULL, centre, shapes[s].dim);
                CHECK(codes_add_centre(&c.codes, centre, NULL) == OMENDB_OK);
            }
            for (uint32_t round = 0; round < 6; round++) {
                for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
                    if (kind != KIND_NEAR_QUERY && kind != KIND_QUERY && kind != KIND_OPPOSITE)
                        check_bounds(&c, kind);
                }
            }
            pairs += c.pairs;
            finite += c.finite;
            codes_query_deinit(&c.query);
            codes_deinit(&c.codes);
        }
    }
    CHECK(pairs > 100000 && finite > pairs / 2);
}

static void test_bounds_are_tight_on_ordinary_data(void)
{
    const uint32_t dims[] = {100, 384, 784, 1536};
    for (size_t d = 0; d < COUNT_OF(dims); d++) {
        for (uint32_t offset = 0; offset < 2; offset++) { /* The centre takes it away again. */
            struct codes codes;
            struct codes_query query = {0};
            static float x[DIM_MAX], centre[DIM_MAX];
            const uint32_t dim = dims[d];
            CHECK(codes_init(&codes, kernels_for(cpu_features()), OMENDB_F32, OMENDB_L2, dim, 1,
                             NULL) == OMENDB_OK);
            for (uint32_t i = 0; i < dim; i++) centre[i] = 1000.0f * (float)offset;
            CHECK(codes_add_centre(&codes, centre, NULL) == OMENDB_OK);
            for (uint32_t r = 0; r < CODES_CHUNK; r++) {
                for (uint32_t i = 0; i < dim; i++) x[i] = centre[i] + random_normal();
                codes_encode(&codes, x, 1, case_rows + (size_t)r * codes.stride);
            }
            for (uint32_t i = 0; i < dim; i++) x[i] = centre[i] + random_normal();
            bool usable;
            struct code_bound bounds[CODES_CHUNK];
            CHECK(codes_query_begin(&query, &codes, x, &usable, NULL) == OMENDB_OK && usable);
            CHECK(codes_bounds(&query, case_rows, CODES_CHUNK, INFINITY, bounds) == CODES_CHUNK);
            for (uint32_t r = 0; r < CODES_CHUNK; r++)
                CHECK(bounds[r].upper - bounds[r].lower < 0.06f * bounds[r].upper);
            codes_query_deinit(&query);
            codes_deinit(&codes);
        }
    }
}

static void test_rows_and_bounds_are_the_same_on_every_instruction_set(void)
{
    const struct kernels *tables[KERNELS_LIST_MAX];
    const size_t count = kernels_list(cpu_features(), tables, KERNELS_LIST_MAX);
    const uint32_t dims[] = {1, 33, 100, 384, 784};
    for (size_t d = 0; d < COUNT_OF(dims); d++) {
        for (omendb_metric metric = OMENDB_L2; metric <= OMENDB_IP; metric++) {
            static uint8_t expected[CODES_CHUNK * 1600];
            static float vectors[CODES_CHUNK][DIM_MAX], query[DIM_MAX], centre[DIM_MAX];
            struct code_bound expected_bounds[CODES_CHUNK], bounds[CODES_CHUNK];
            make_vector(KIND_NORMAL, NULL, query, dims[d]);
            make_vector(KIND_CLUSTERED, NULL, centre, dims[d]);
            for (uint32_t i = 0; i < CODES_CHUNK; i++)
                make_vector(i % KIND_ZERO, query, vectors[i], dims[d]);
            for (size_t t = 0; t < count; t++) {
                struct codes codes;
                struct codes_query prepared = {0};
                CHECK(codes_init(&codes, tables[t], OMENDB_F32, metric, dims[d], 5, NULL) ==
                      OMENDB_OK);
                CHECK(codes_add_centre(&codes, centre, NULL) == OMENDB_OK);
                for (uint32_t i = 0; i < CODES_CHUNK; i++)
                    codes_encode(&codes, vectors[i], i % 3 == 0, case_rows + i * codes.stride);
                bool usable;
                CHECK(codes_query_begin(&prepared, &codes, query, &usable, NULL) == OMENDB_OK);
                CHECK(usable);
                CHECK(codes_bounds(&prepared, case_rows, CODES_CHUNK, INFINITY, bounds) ==
                      CODES_CHUNK);
                if (t == 0) {
                    memcpy(expected, case_rows, (size_t)CODES_CHUNK * codes.stride);
                    memcpy(expected_bounds, bounds, sizeof bounds);
                }
                CHECK(memcmp(expected, case_rows, (size_t)CODES_CHUNK * codes.stride) == 0);
                CHECK(memcmp(expected_bounds, bounds, sizeof bounds) == 0);
                codes_query_deinit(&prepared);
                codes_deinit(&codes);
            }
        }
    }
}

static void test_rows_without_code_and_of_unknown_centres_are_never_excluded(void)
{
    struct codes codes;
    struct codes_query query = {0};
    float x[64];
    make_vector(KIND_NORMAL, NULL, x, 64);
    for (omendb_metric metric = OMENDB_L2; metric <= OMENDB_IP; metric++) {
        CHECK(codes_init(&codes, kernels_for(cpu_features()), OMENDB_F32, metric, 64, 5, NULL) ==
              OMENDB_OK);
        memset(case_rows, 0, 4 * (size_t)codes.stride);
        codes_encode(&codes, x, 0, case_rows + codes.stride);
        codes_encode(&codes, x, 0, case_rows + 2 * codes.stride);
        const uint16_t unknown = metric == OMENDB_L2 ? 9 : UINT16_MAX;
        memcpy(case_rows + 2 * codes.stride + offsetof(struct code_header, centre), &unknown, 2);
        bool usable;
        struct code_bound bounds[4];
        CHECK(codes_query_begin(&query, &codes, x, &usable, NULL) == OMENDB_OK && usable);
        CHECK(codes_bounds(&query, case_rows, 4, -1e30f, bounds) == 3);
        CHECK(bounds[0].index == 0 && bounds[1].index == 2 && bounds[2].index == 3);
        for (int i = 0; i < 3; i++)
            CHECK(bounds[i].lower == -INFINITY && bounds[i].upper == INFINITY);
        codes_deinit(&codes);
    }
    codes_query_deinit(&query);
}

static void test_verify_sees_a_row_that_claims_too_much(void)
{
    struct codes codes;
    float x[100], scratch[100];
    make_vector(KIND_NORMAL, NULL, x, 100);
    CHECK(codes_init(&codes, kernels_for(cpu_features()), OMENDB_F32, OMENDB_L2, 100, 5, NULL) ==
          OMENDB_OK);
    uint8_t *row = case_rows;
    codes_encode(&codes, x, 0, row);
    CHECK(codes_verify_row(&codes, x, row, scratch));
    /* Any byte of the code or its padding, the centre, and high bits of scale, low and length. */
    for (uint32_t byte = 0; byte < codes.stride; byte++) {
        if (byte < CODES_HEADER_SIZE && byte != 2 && byte != 6 && byte != 10 && byte < 14) continue;
        row[byte] ^= 0x40;
        CHECK(!codes_verify_row(&codes, x, row, scratch));
        row[byte] ^= 0x40;
    }
    struct code_header header;
    memcpy(&header, row, sizeof header);
    header.error--;
    header.error--;
    memcpy(row, &header, sizeof header);
    CHECK(!codes_verify_row(&codes, x, row, scratch));
    codes_deinit(&codes);
}

static void test_codes_are_used_where_they_are_smaller(void)
{
    CHECK(codes_useful(OMENDB_F32, 384) && codes_useful(OMENDB_F32, OMENDB_DIM_MAX));
    CHECK(codes_useful(OMENDB_F16, 384) && codes_useful(OMENDB_BF16, 128));
    CHECK(!codes_useful(OMENDB_F32, 11) && codes_useful(OMENDB_F32, 12));
    CHECK(!codes_useful(OMENDB_I8, 1536) && !codes_useful(OMENDB_U8, 1536));
    CHECK(!codes_useful(OMENDB_BIT, 4096));
    CHECK(codes_stride(384) == 400 && codes_stride(100) == 128 && codes_stride(1) == 32);
    CHECK(codes_stride_possible(100, 128) && codes_stride_possible(100, 144));
    CHECK(!codes_stride_possible(100, 112) && !codes_stride_possible(100, 136));
    CHECK(!codes_stride_possible(100, 160) && !codes_stride_possible(384, 416));
}

static void test_failed_allocations_leave_nothing(void)
{
    const uint64_t before = alloc_bytes();
    float x[128] = {1};
    for (long n = 0; n < 8; n++) {
        struct codes codes = {0};
        struct codes_query query = {0};
        bool usable;
        alloc_fail_after(n, 0);
        omendb_status status = codes_init(&codes, kernels_for(cpu_features()), OMENDB_F32,
                                          OMENDB_L2, 128, 5, NULL);
        if (status == OMENDB_OK) status = codes_add_centre(&codes, x, NULL);
        if (status == OMENDB_OK) status = codes_query_begin(&query, &codes, x, &usable, NULL);
        alloc_fail_after(-1, 0);
        CHECK(status == (n < 4 ? OMENDB_ERR_NOMEM : OMENDB_OK));
        codes_query_deinit(&query);
        codes_deinit(&codes);
        CHECK(alloc_bytes() == before);
    }
    struct codes codes;
    CHECK(codes_init(&codes, kernels_for(0), OMENDB_F32, OMENDB_L2, 128, 5, NULL) == OMENDB_OK);
    for (uint32_t i = 1; i < CODES_CENTRES; i++)
        CHECK(codes_add_centre(&codes, x, NULL) == OMENDB_OK);
    CHECK(codes_add_centre(&codes, x, NULL) == OMENDB_ERR_FULL);
    codes_deinit(&codes);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"rotation_is_orthogonal", test_rotation_is_orthogonal},
        {"rotation_errs_less_than_it_says", test_rotation_errs_less_than_it_says},
        {"rotation_spreads_one_component_over_all", test_rotation_spreads_one_component_over_all},
        {"bounds_hold", test_bounds_hold},
        {"bounds_are_tight_on_ordinary_data", test_bounds_are_tight_on_ordinary_data},
        {"rows_and_bounds_are_the_same_on_every_instruction_set",
         test_rows_and_bounds_are_the_same_on_every_instruction_set},
        {"rows_without_code_and_of_unknown_centres_are_never_excluded",
         test_rows_without_code_and_of_unknown_centres_are_never_excluded},
        {"verify_sees_a_row_that_claims_too_much", test_verify_sees_a_row_that_claims_too_much},
        {"codes_are_used_where_they_are_smaller", test_codes_are_used_where_they_are_smaller},
        {"failed_allocations_leave_nothing", test_failed_allocations_leave_nothing},
        {NULL, NULL}};
    return test_main(tests, argc, argv);
}
