/* Tests of the order of values, doc/document.h. */
#include "test.h"

#include <float.h>
#include <stdint.h>

#include "doc/build.h"
#include "doc/document.h"
#include "doc/json.h"

static uint64_t random_state = 0x2545f4914f6cdd1du;
static uint64_t random_u64(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1du;
}

static uint32_t random_below(uint32_t bound)
{
    return (uint32_t)((random_u64() >> 32) * bound >> 32);
}

/* Ascending; rows of the same rank are equal. */
static const struct {
    int rank;
    const char *text;
} ordered[] = {
    {0, "null"},
    {1, "false"},
    {2, "true"},
    {3, "-999999999999999999999999999999999999999999"},
    {4, "-1e30"},
    {5, "-18446744073709551617"},
    {6, "-18446744073709551616"},
    {6, "-18446744073709551616.0"},
    {7, "-9223372036854775809"},
    {8, "-9223372036854775808"},
    {8, "-9223372036854775808.0"},
    {9, "-9223372036854775807"},
    {10, "-9007199254740993"},
    {11, "-9007199254740992.0"},
    {12, "-1.5"},
    {13, "-1"},
    {13, "-1.0"},
    {14, "-0.5"},
    {15, "-5e-324"},
    {16, "0"},
    {16, "-0.0"},
    {16, "0.0"},
    {17, "5e-324"},
    {18, "0.1"},
    {19, "1"},
    {19, "1.0"},
    {20, "1.0000000000000002"},
    {21, "2"},
    {22, "9007199254740992"},
    {22, "9007199254740992.0"},
    {23, "9007199254740993"},
    {24, "9007199254740994"},
    {24, "9007199254740994.0"},
    {25, "9223372036854774784.0"},
    {26, "9223372036854775807"},
    {27, "9223372036854775808"},
    {27, "9223372036854775808.0"},
    {28, "9223372036854775809"},
    {29, "18446744073709549568.0"},
    {30, "18446744073709551615"},
    {31, "18446744073709551616"},
    {31, "18446744073709551616.0"},
    {32, "18446744073709551617"},
    {33, "99999999999999991611392"},
    {33, "1e23"},
    {34, "99999999999999991611393"},
    {35, "1.7976931348623157e308"},
    {36, "\"\""},
    {37, "\"\\u0000\""},
    {38, "\"A\""},
    {39, "\"a\""},
    {40, "\"a\\u0000\""},
    {41, "\"aa\""},
    {42, "\"\xc3\xa9\""},
    {43, "\"\xf0\x9f\x98\x80\""},
    {44, "{\"$binary\":\"\"}"},
    {45, "{\"$binary\":\"AA==\"}"},
    {46, "{\"$binary\":\"/w==\"}"},
    {47, "[]"},
    {48, "[null]"},
    {49, "[1]"},
    {49, "[1.0]"},
    {50, "[1,0]"},
    {51, "[1,[2]]"},
    {52, "[2]"},
    {53, "{}"},
    {54, "{\"a\":1}"},
    {54, "{\"a\":1.0}"},
    {55, "{\"a\":1,\"b\":2}"},
    {55, "{\"b\":2,\"a\":1.0}"},
    {56, "{\"a\":2}"},
    {57, "{\"b\":0}"},
};

static void values_are_ordered_by_exact_value(void)
{
    enum { COUNT = sizeof ordered / sizeof *ordered };
    static struct buffer documents[COUNT];
    static struct value values[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        char text[128];
        struct value root;
        const int size = snprintf(text, sizeof text, "{\"v\":%s}", ordered[i].text);
        CHECK(json_to_document(text, (size_t)size, &documents[i], NULL) == OMENDB_OK);
        document_root(documents[i].data, documents[i].size, &root);
        CHECK(value_member(&root, "v", 1, &values[i]));
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < COUNT; j++) {
            const int order = value_compare(&values[i], &values[j]);
            const int want = ordered[i].rank - ordered[j].rank;
            const bool same = (order > 0) - (order < 0) == (want > 0) - (want < 0);
            if (!same) fprintf(stderr, "%s and %s\n", ordered[i].text, ordered[j].text);
            CHECK(same);
            CHECK(value_equal(&values[i], &values[j]) == (want == 0));
        }
    }
    for (size_t i = 0; i < COUNT; i++) buffer_deinit(&documents[i]);
}

static void numbers_compare_as_long_doubles_do(void)
{
    if (LDBL_MANT_DIG < 64) return; /* binary80 holds every 64-bit integer and double. */
    for (int i = 0; i < 400000; i++) {
        struct value pair[2];
        long double exact[2];
        const uint64_t near = random_u64() >> random_below(64);
        for (int k = 0; k < 2; k++) {
            const uint64_t bits = near + random_below(3) - 1;
            const unsigned kind = random_below(3);
            pair[k] = (struct value){.kind = VALUE_INT, .int64 = (int64_t)(bits & INT64_MAX)};
            if (random_below(2) != 0) pair[k].int64 = -pair[k].int64;
            exact[k] = (long double)pair[k].int64;
            if (kind == 1) {
                pair[k] = (struct value){.kind = VALUE_UINT, .uint64 = bits | (uint64_t)1 << 63};
                exact[k] = (long double)pair[k].uint64;
            } else if (kind == 2) {
                const double value = (double)pair[k].int64 + (double)random_below(3) / 2;
                pair[k] = (struct value){.kind = VALUE_FLOAT, .float64 = value};
                exact[k] = (long double)value;
            }
        }
        const int order = value_compare(&pair[0], &pair[1]);
        CHECK((order > 0) - (order < 0) == (exact[0] > exact[1]) - (exact[0] < exact[1]));
    }
}

static void objects_are_equal_in_any_order_of_members(void)
{
    for (uint32_t count = 0; count < 60; count++) {
        struct buffer forward = {0};
        struct buffer backward = {0};
        for (int pass = 0; pass < 2; pass++) {
            struct build build;
            build_init(&build, pass == 0 ? &forward : &backward);
            CHECK(build_begin(&build, VALUE_OBJECT, NULL) == OMENDB_OK);
            for (uint32_t i = 0; i < count; i++) {
                char key[16];
                const uint32_t n = pass == 0 ? i : count - 1 - i;
                const int size = snprintf(key, sizeof key, "key%u", n);
                CHECK(build_key(&build, key, (size_t)size, NULL) == OMENDB_OK);
                CHECK(build_int(&build, n, NULL) == OMENDB_OK);
            }
            CHECK(build_end(&build, NULL) == OMENDB_OK);
            build_deinit(&build);
        }
        struct value a;
        struct value b;
        document_root(forward.data, forward.size, &a);
        document_root(backward.data, backward.size, &b);
        CHECK(value_equal(&a, &b) && value_compare(&a, &b) == 0);
        buffer_deinit(&forward);
        buffer_deinit(&backward);
    }
}

static void every_number_has_a_nearest_float(void)
{
    static const char text[] = "{\"a\":[1,18446744073709551615,-0.5,123456789012345678901234567890,"
                               "-99999999999999999999],\"b\":\"1\"}";
    static const double want[] = {1, 0x1p64, -0.5, 123456789012345678901234567890.0, -1e20};
    struct buffer document = {0};
    struct value root;
    struct value value;
    struct value item;
    double number = 0;
    CHECK(json_to_document(text, sizeof text - 1, &document, NULL) == OMENDB_OK);
    document_root(document.data, document.size, &root);
    CHECK(value_member(&root, "b", 1, &value) && !value_as_float(&value, &number));
    CHECK(value_member(&root, "a", 1, &value) && !value_as_float(&value, &number));
    for (size_t i = 0; i < 5; i++) {
        CHECK(value_item(&value, i, &item) && value_as_float(&item, &number));
        CHECK(number == want[i]);
    }
    buffer_deinit(&document);
}

static const struct test tests[] = {
    {"values_are_ordered_by_exact_value", values_are_ordered_by_exact_value},
    {"numbers_compare_as_long_doubles_do", numbers_compare_as_long_doubles_do},
    {"objects_are_equal_in_any_order_of_members", objects_are_equal_in_any_order_of_members},
    {"every_number_has_a_nearest_float", every_number_has_a_nearest_float},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
