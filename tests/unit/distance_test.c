/* Ranking distances, reports and scores: the same bits in every table and form, and the promises
 * of distance.h at the edges. */
#include "kernels_values.h"

static void distances_agree_in_all_forms_and_tables(void)
{
    for (size_t i = 1; i <= 130; i += 3) {
        const uint32_t dim = (uint32_t)i;
        for (omendb_type type = OMENDB_F32; type <= OMENDB_BIT; type++) {
            const size_t size = distance_vector_size(type, dim);
            for (omendb_metric metric = OMENDB_L2; metric <= OMENDB_HAMMING; metric++) {
                if (!distance_supported(metric, type)) continue;
                for (enum pattern pattern = ORDINARY; pattern < PATTERNS; pattern++) {
                    uint8_t *query = place(0, size, 2), *rows = place(1, ROWS * size, 2);
                    const void *pointers[ROWS];
                    const omendb_type filled = type == OMENDB_BIT ? OMENDB_U8 : type;
                    float norms[ROWS], out[ROWS], expected[ROWS];
                    fill(filled, pattern, query, type == OMENDB_BIT ? size : dim, false);
                    const float norm = distance_norm(&kernels_scalar, type, dim, query);
                    for (size_t r = 0; r < ROWS; r++) {
                        pointers[r] = rows + r * size;
                        fill(filled, pattern, rows + r * size, type == OMENDB_BIT ? size : dim,
                             true);
                        if (r == 2) memcpy(rows + r * size, query, size);
                        norms[r] = distance_norm(&kernels_scalar, type, dim, pointers[r]);
                        expected[r] = distance_exact(&kernels_scalar, metric, type, dim, query,
                                                     norm, pointers[r], norms[r]);
                        CHECK(!isnan(expected[r]) && bits_of(expected[r]) != 0x80000000u);
                        CHECK(
                            same(expected[r], distance_exact(&kernels_scalar, metric, type, dim,
                                                             pointers[r], norms[r], query, norm)));
                        if (metric == OMENDB_COSINE) CHECK(expected[r] >= 0 && expected[r] <= 2);
                    }
                    if (metric != OMENDB_IP) CHECK(expected[2] == 0);
                    EACH_TABLE(k)
                    {
                        CHECK(same(distance_norm(k, type, dim, query), norm));
                        distance_exact_rows(k, metric, type, dim, query, norm, rows, size, norms,
                                            ROWS, out);
                        for (size_t r = 0; r < ROWS; r++) CHECK(same(out[r], expected[r]));
                        distance_exact_gather(k, metric, type, dim, query, norm, pointers, norms,
                                              ROWS, out);
                        for (size_t r = 0; r < ROWS; r++) CHECK(same(out[r], expected[r]));
                    }
                }
            }
        }
    }
}

static float cosine_of(const float *a, const float *b, uint32_t dim)
{
    const struct kernels *k = tables[table_count - 1];
    return distance_exact(k, OMENDB_COSINE, OMENDB_F32, dim, a,
                          distance_norm(k, OMENDB_F32, dim, a), b,
                          distance_norm(k, OMENDB_F32, dim, b));
}

static void cosine_holds_at_any_length_of_vector(void)
{
    static const float scales[] = {1e-44f, 1e-38f, 1e-30f, 1e-15f, 1.0f, 1e15f, 1e25f, 1e38f};
    float a[100], b[100], c[100];
    for (size_t s = 0; s < COUNT_OF(scales); s++) {
        for (size_t t = 0; t < COUNT_OF(scales); t++) {
            double ab = 0, aa = 0, bb = 0;
            for (size_t i = 0; i < 100; i++) {
                a[i] = random_unit() * 3 * scales[s];
                b[i] = random_unit() * 3 * scales[t];
                c[i] = -a[i];
                ab += (double)a[i] * (double)b[i];
                aa += (double)a[i] * (double)a[i];
                bb += (double)b[i] * (double)b[i];
            }
            const double expected = 1 - ab / (sqrt(aa) * sqrt(bb));
            CHECK(fabs((double)cosine_of(a, b, 100) - expected) < 1e-6);
            CHECK(cosine_of(a, a, 100) == 0.0f);
            CHECK(cosine_of(a, c, 100) > 1.999999f);
        }
    }
    const float zero[3] = {0, 0, 0}, minus[3] = {-0.0f, 0, 0}, one[3] = {0, 1, 0};
    const float tiny[3] = {0, 1e-45f, 0};
    const struct kernels *k = tables[0];
    CHECK(distance_norm(k, OMENDB_F32, 3, zero) == 0 &&
          distance_norm(k, OMENDB_F32, 3, minus) == 0);
    CHECK(distance_norm(k, OMENDB_F32, 3, tiny) == 1e-45f);
    CHECK(cosine_of(zero, one, 3) == 1.0f && cosine_of(one, zero, 3) == 1.0f);
    CHECK(cosine_of(zero, zero, 3) == 0.0f && cosine_of(zero, minus, 3) == 1.0f);
}

static void overflows_and_zeros_rank_as_stated(void)
{
    const float huge[2] = {3e38f, 3e38f}, mixed[2] = {3e38f, -3e38f}, zero[2] = {0, 0};
    const float minus_zero[2] = {0, -0.0f};
    EACH_TABLE(k)
    {
#define RANK(metric, a, b) distance_exact(k, metric, OMENDB_F32, 2, a, 0, b, 0)
        CHECK(RANK(OMENDB_IP, huge, huge) == -INFINITY);
        CHECK(RANK(OMENDB_IP, huge, mixed) == INFINITY); /* inf - inf */
        CHECK(RANK(OMENDB_L2, huge, mixed) == INFINITY && RANK(OMENDB_L2, huge, huge) == 0);
        CHECK(bits_of(RANK(OMENDB_IP, zero, minus_zero)) == 0);
        CHECK(RANK(OMENDB_L2, zero, minus_zero) == 0);
#undef RANK
    }
    CHECK(!distance_byte_equal(OMENDB_F32, 2, zero, minus_zero));
    CHECK(distance_byte_equal(OMENDB_BIT, 9, "ab", "abc") &&
          !distance_byte_equal(3, 2, "ab", "aa"));
    CHECK(distance_report(OMENDB_IP, -2.5f) == 2.5f && distance_report(OMENDB_L2, 2.5f) == 2.5f);
    CHECK(bits_of(distance_report(OMENDB_IP, 0.0f)) == 0);
    CHECK(distance_score(OMENDB_L2, 3, 3.0f) == 0.25f &&
          distance_score(OMENDB_L2, 3, INFINITY) == 0);
    CHECK(distance_score(OMENDB_COSINE, 3, 0.25f) == 0.75f);
    CHECK(distance_score(OMENDB_IP, 3, -7.0f) == 7.0f);
    CHECK(distance_score(OMENDB_HAMMING, 8, 2.0f) == 0.75f);
    CHECK(distance_supported(OMENDB_HAMMING, OMENDB_BIT) &&
          !distance_supported(OMENDB_L2, OMENDB_BIT));
    CHECK(!distance_supported(OMENDB_HAMMING, OMENDB_U8) &&
          !distance_supported(OMENDB_IP, OMENDB_F64));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"distances_agree_in_all_forms_and_tables", distances_agree_in_all_forms_and_tables},
        {"cosine_holds_at_any_length_of_vector", cosine_holds_at_any_length_of_vector},
        {"overflows_and_zeros_rank_as_stated", overflows_and_zeros_rank_as_stated},
        {NULL, NULL}};
    prepare();
    return test_main(tests, argc, argv);
}
