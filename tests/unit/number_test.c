/* Tests of doc/json_number.h through json_read_floats() and documents: bit for bit what strtof()
 * and strtod() say, on every kind of number that is hard to round, and shortest on the way back. */
#include "test.h"

#include <fenv.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>

#include "doc/json.h"
#include "doc/json_number.h"

/* xorshift64*, replayed with the same seed. */
static uint64_t random_state = 0x9e3779b97f4a7c15u;
static uint64_t random_u64(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1du;
}

static uint32_t bits_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t bits_f64(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float f32_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double f64_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* `text` is NUL-terminated for strtof(); the reader isn't shown the NUL. */
static void check_number(const char *text)
{
    struct json_number number;
    const uint8_t *begin = (const uint8_t *)text;
    const size_t size = strlen(text);
    float f32 = 0;
    double f64 = 0;
    CHECK(json_number_scan(begin, begin + size, &number) && number.end == begin + size);
    const float want_f32 = strtof(text, NULL);
    const double want_f64 = strtod(text, NULL);
    const bool fits_f32 = json_number_f32(&number, &f32);
    const bool fits_f64 = json_number_f64(&number, &f64);
    const bool same_f32 = fits_f32 ? bits_f32(f32) == bits_f32(want_f32) : isinf(want_f32) != 0;
    const bool same_f64 = fits_f64 ? bits_f64(f64) == bits_f64(want_f64) : isinf(want_f64) != 0;
    if (!same_f32 || !same_f64)
        fprintf(stderr, "%s: f32 %a, strtof %a; f64 %a, strtod %a\n", text, (double)f32,
                (double)want_f32, f64, want_f64);
    CHECK(same_f32 && same_f64);
}

static void reads_random_decimals_as_strtof_and_strtod(void)
{
    for (int i = 0; i < 1500000; i++) {
        char text[64];
        size_t size = 0;
        const uint64_t r = random_u64();
        const unsigned whole = (unsigned)(r & 7) < 3 ? 1 : (unsigned)(r >> 3 & 15) + 1;
        const unsigned fraction = (unsigned)(r >> 8 & 31) % 23;
        if ((r >> 16 & 1) != 0) text[size++] = '-';
        for (unsigned n = 0; n < whole; n++)
            text[size++] = (char)((n == 0 && whole > 1 ? '1' : '0') + (int)(random_u64() % 9));
        if (fraction != 0) {
            const unsigned zeros = (r >> 17 & 3) == 0 ? fraction / 2 : 0;
            text[size++] = '.';
            for (unsigned n = 0; n < fraction; n++)
                text[size++] = n < zeros ? '0' : (char)('0' + (int)(random_u64() % 10));
        }
        if ((r >> 20 & 1) != 0) {
            const int range = (r >> 21 & 3) == 0 ? 700 : 100;
            size += (size_t)snprintf(text + size, sizeof text - size, "e%d",
                                     (int)((r >> 32) % (uint64_t)range) - range / 2);
        }
        text[size] = '\0';
        check_number(text);
    }
}

static void reads_what_printf_writes_of_random_bits(void)
{
    for (int i = 0; i < 400000; i++) {
        char text[64];
        const uint64_t r = random_u64();
        const float f32 = f32_of((uint32_t)r);
        const double f64 = f64_of(random_u64());
        if (isfinite(f32)) {
            (void)snprintf(text, sizeof text, "%.*g", 6 + (int)(r >> 60) % 6, (double)f32);
            check_number(text);
        }
        if (isfinite(f64)) {
            (void)snprintf(text, sizeof text, "%.*g", 14 + (int)(r >> 56 & 15) % 8, f64);
            check_number(text);
        }
    }
}

/* The exact decimal expansion of a value, as it is and with its last digit moved either way. */
static void check_around(long double value)
{
    static char text[1400];
    int size = snprintf(text, sizeof text, "%.1200Lg", value);
    CHECK(size > 0 && (size_t)size < sizeof text - 3);
    if (strchr(text, 'n') != NULL) return;
    check_number(text);
    char *exponent = strchr(text, 'e');
    char tail[16] = "";
    if (exponent != NULL) {
        (void)snprintf(tail, sizeof tail, "%s", exponent);
        *exponent = '\0';
    } else if (strchr(text, '.') == NULL) {
        (void)snprintf(text + size, sizeof text - (size_t)size, ".0");
    }
    char *last = text + strlen(text) - 1;
    const char digit = *last;
    if (*last != '.' && strchr(text, '.') != NULL) {
        (void)snprintf(last + 1, sizeof tail, "%s", tail);
        if (digit > '0') {
            *last = (char)(digit - 1);
            check_number(text);
        }
        if (digit < '9') {
            *last = (char)(digit + 1);
            check_number(text);
        }
        *last = digit;
        (void)snprintf(last + 1, 32, "0000000000000001%s", tail);
        check_number(text);
    }
}

/* binary80 holds the middle between two doubles, and between two floats, exactly. */
static void rounds_middles_to_even_and_their_neighbours_apart(void)
{
    for (int i = 0; i < 12000; i++) {
        const uint64_t r = random_u64();
        uint32_t low = (uint32_t)r & 0x7fffffff;
        if (i % 8 == 0) low = (uint32_t)(r & 0x7fffff); /* Subnormal. */
        if (i % 8 == 1) low |= 0x7fffff;                /* Carries into the exponent. */
        if (i % 8 == 2) low = (100 + (low >> 23) % 60) << 23 | (low & 0x7fffff);
        if (low < 0x7f7fffff)
            check_around(((long double)f32_of(low) + (long double)f32_of(low + 1)) / 2);
    }
    for (int i = 0; i < 3000; i++) {
        uint64_t low = random_u64() & INT64_MAX;
        if (i % 8 == 0) low &= 0xfffffffffffff;
        if (i % 8 == 1) low |= 0xfffffffffffff;
        if (i % 8 >= 4) low = (low & 0xfffffffffffff) | (uint64_t)(1023 - 40 + i % 80) << 52;
        if (low < 0x7fefffffffffffff)
            check_around(((long double)f64_of(low) + (long double)f64_of(low + 1)) / 2);
    }
}

static void reads_the_classic_hard_cases(void)
{
    static const char *const rows[] = {
        "0",
        "0.0",
        "-0.0",
        "1e-45",
        "7.006492321624085e-46",
        "7.006492321624086e-46",
        "7e-46",
        "1.4012984643248170709e-45",
        "1.17549435e-38",
        "1.1754943508222875e-38",
        "1.175494280757364e-38",
        "1.1754942807573643e-38",
        "3.4028234664e38",
        "3.4028235677e38",
        "3.40282356779733661637539395458142568447e38",
        "3.40282356779733661637539395458142568448e38",
        "3.4028235677973366e38",
        "340282356779733642748073463979561713663",
        "340282356779733642748073463979561713664",
        "16777217",
        "16777217.0000001",
        "16777219",
        "33554434",
        "33554438",
        "1.00000005960464477539062",
        "1.000000059604644775390625",
        "1.0000000596046447753906251",
        "1.00000017881393432617187",
        "1.000000178813934326171875",
        "1.00000017881393432617188",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993.00000000000000000000000000000000001",
        "9007199254740995",
        "4503599627370496.5",
        "4503599627370497.5",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.2250738585072014e-308",
        "4.9e-324",
        "5e-324",
        "2.4e-324",
        "2.5e-324",
        "2.4703282292062327208299439634110864e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.797693134862315807e308",
        "1.797693134862315808e308",
        "179769313486231580793e289",
        "8.41e21",
        "9.109e-31",
        "5.0e-20",
        "6.02214e23",
        "0.1",
        "0.2",
        "0.3",
        "123456789012345678",
        "1234567890123456789",
        "12345678901234567890",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000000000001e80",
        "1000000000000000000000000000000000000000000000000000000000000000000000000000000e-80",
        "1e1000000",
        "1e-1000000",
        "0e1000000",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "100000000000000016777215",
        "100000000000000016777216",
        "6631236846766476e-316",
        "3237883913302901289588352197e0",
        "8.533e68",
        "4.1006e-184",
        "9.998e307",
        "9.9538452227e-280",
        "6.47660115e-260",
        "7.4e47",
        "5.92e48",
        "7.35e66",
        "8.32116e55",
        "356645068918103229683e-42",
        "104110013277974872254e-225",
        "6.9294956446009195e15",
        "7.0420557077594588669468784357561207962098443483187940792729600000e59",
        "2.2222222222223e-322",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "0.5",
        "0.25",
        "1e22",
        "1e23",
        "1e10",
        "1e11",
        "5e-45",
        "1e-46",
        "0.00000000000000000000000000000000000000000000070064923216240853546",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char negative[256];
        check_number(rows[i]);
        if (rows[i][0] == '-') continue;
        (void)snprintf(negative, sizeof negative, "-%s", rows[i]);
        check_number(negative);
    }
}

static void reads_numbers_of_a_million_digits(void)
{
    enum { DIGITS = 1000000 };
    char *text = malloc(DIGITS + 64);
    CHECK(text != NULL);
    memset(text, '0', DIGITS + 64);
    text[1] = '.';
    memcpy(text + DIGITS - 4, "1234e1000000", 13);
    struct json_number number;
    double f64 = 0;
    const uint8_t *begin = (const uint8_t *)text;
    CHECK(json_number_scan(begin, begin + strlen(text), &number));
    CHECK(json_number_f64(&number, &f64) && f64 == strtod(text, NULL) && f64 > 12);
    /* A tie that only the last of a million digits breaks. */
    static const char tie[] = "1.00000005960464477539062500000000000000000";
    memset(text, '0', DIGITS);
    memcpy(text, tie, sizeof tie - 1);
    text[DIGITS] = '\0';
    check_number(text);
    text[DIGITS - 1] = '1';
    check_number(text);
    free(text);
}

/* Shortest: prints back equal, and no decimal with one digit fewer does. */
static void check_written(double value)
{
    char text[JSON_NUMBER_SIZE_MAX + 1];
    char shorter[64];
    const size_t size = json_number_write(value, text);
    CHECK(size <= JSON_NUMBER_SIZE_MAX);
    text[size] = '\0';
    const bool same = bits_f64(strtod(text, NULL)) == bits_f64(value);
    if (!same) fprintf(stderr, "%a: %s\n", value, text);
    CHECK(same && strpbrk(text, ".e") != NULL);
    int digits = 0;
    int zeros = 0;
    for (const char *at = text; *at != '\0' && *at != 'e'; at++) {
        if (*at < '0' || *at > '9') continue;
        if (*at == '0' && digits == 0) continue;
        digits++;
        zeros = *at == '0' ? zeros + 1 : 0;
    }
    digits -= zeros;
    CHECK(digits <= 17);
    if (digits > 1) {
        (void)snprintf(shorter, sizeof shorter, "%.*e", digits - 2, value);
        if (strtod(shorter, NULL) == value) fprintf(stderr, "%s: %s\n", text, shorter);
        CHECK(strtod(shorter, NULL) != value);
        /* Among decimals of that length the nearest, which is printf's. */
        (void)snprintf(shorter, sizeof shorter, "%.*e", digits - 1, value);
        CHECK(strtod(shorter, NULL) != value || fabs(strtod(text, NULL) - value) == 0);
    }
}

static void writes_the_shortest_decimal_that_reads_back(void)
{
    for (int i = 0; i < 100000; i++) {
        const uint64_t r = random_u64();
        double value = f64_of(r);
        if (i % 4 == 1) value = (double)f32_of((uint32_t)r);
        if (i % 4 == 2) value = (double)(int64_t)(r >> (r & 63)) / 1000;
        if (i % 4 == 3) value = f64_of(r & 0x800fffffffffffff);
        if (isfinite(value)) check_written(value);
    }
    for (int power = -1074; power < 1024; power++) {
        check_written(ldexp(1, power));
        check_written(nextafter(ldexp(1, power), 0));
        check_written(nextafter(ldexp(1, power), HUGE_VAL));
    }
    for (int power = -323; power <= 308; power++) {
        char text[16];
        (void)snprintf(text, sizeof text, "1e%d", power);
        check_written(strtod(text, NULL));
        check_written(-strtod(text, NULL));
        check_written(nextafter(strtod(text, NULL), 0));
    }
    check_written(DBL_MAX);
    check_written(0.0);
    check_written(-0.0);
}

static void neither_locale_nor_rounding_mode_matters(void)
{
    static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST};
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* Where the system has it. */
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        static const char text[] = "[0.1,16777217,3.4028235e38,-1e-45,123456789.123456789012345]";
        static const uint32_t want[] = {0x3dcccccd, 0x4b800000, 0x7f7fffff, 0x80000001, 0x4ceb79a3};
        float out[5];
        size_t count = 0;
        char written[JSON_NUMBER_SIZE_MAX];
        CHECK(fesetround(modes[i]) == 0);
        const omendb_status status = json_read_floats(text, sizeof text - 1, out, 5, &count, NULL);
        const size_t size = json_number_write(0.1, written);
        CHECK(fesetround(FE_TONEAREST) == 0);
        CHECK(status == OMENDB_OK && count == 5);
        for (size_t k = 0; k < count; k++) CHECK(bits_f32(out[k]) == want[k]);
        CHECK(size == 3 && memcmp(written, "0.1", 3) == 0);
    }
    (void)setlocale(LC_ALL, "C");
}

static void reads_arrays_of_floats(void)
{
    static const struct {
        const char *text;
        omendb_status status;
        size_t count;
    } rows[] = {
        {"[]", OMENDB_OK, 0},
        {" [ ] ", OMENDB_OK, 0},
        {"[1]", OMENDB_OK, 1},
        {"[1,2,3]", OMENDB_OK, 3},
        {"\n[ 1 ,\t2 ,\r\n3 , -4.5e-1 ] \n", OMENDB_OK, 4},
        {"[1,2,3,4]", OMENDB_OK, 4},
        {"[1,2,3,4,5]", OMENDB_ERR_DIMENSION, 0},
        {"", OMENDB_ERR_VALUE, 0},
        {"[", OMENDB_ERR_VALUE, 0},
        {"[1", OMENDB_ERR_VALUE, 0},
        {"[1,", OMENDB_ERR_VALUE, 0},
        {"[1,]", OMENDB_ERR_VALUE, 0},
        {"[,1]", OMENDB_ERR_VALUE, 0},
        {"[1,,2]", OMENDB_ERR_VALUE, 0},
        {"[1 2]", OMENDB_ERR_VALUE, 0},
        {"[1]]", OMENDB_ERR_VALUE, 0},
        {"[1]x", OMENDB_ERR_VALUE, 0},
        {"[[1]]", OMENDB_ERR_VALUE, 0},
        {"[null]", OMENDB_ERR_VALUE, 0},
        {"[\"1\"]", OMENDB_ERR_VALUE, 0},
        {"[NaN]", OMENDB_ERR_VALUE, 0},
        {"[01]", OMENDB_ERR_VALUE, 0},
        {"[00.5]", OMENDB_ERR_VALUE, 0},
        {"[1.]", OMENDB_ERR_VALUE, 0},
        {"[.5]", OMENDB_ERR_VALUE, 0},
        {"[+1]", OMENDB_ERR_VALUE, 0},
        {"[1e]", OMENDB_ERR_VALUE, 0},
        {"[1e39]", OMENDB_ERR_VALUE, 0},
        {"[3.4028236e38]", OMENDB_ERR_VALUE, 0},
        {"[1e-60]", OMENDB_OK, 1},
        {"{}", OMENDB_ERR_VALUE, 0},
        {"1", OMENDB_ERR_VALUE, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t size = strlen(rows[i].text);
        char *copy = malloc(size != 0 ? size : 1);
        float out[4];
        size_t count = 99;
        omendb_error err;
        CHECK(copy != NULL);
        if (size != 0) memcpy(copy, rows[i].text, size);
        const omendb_status status = json_read_floats(copy, size, out, 4, &count, &err);
        if (status != rows[i].status) fprintf(stderr, "%s\n", rows[i].text);
        CHECK(status == rows[i].status);
        CHECK(count == (status == OMENDB_OK ? rows[i].count : 99));
        free(copy);
    }
}

static const struct test tests[] = {
    {"reads_random_decimals_as_strtof_and_strtod", reads_random_decimals_as_strtof_and_strtod},
    {"reads_what_printf_writes_of_random_bits", reads_what_printf_writes_of_random_bits},
    {"rounds_middles_to_even_and_their_neighbours_apart",
     rounds_middles_to_even_and_their_neighbours_apart},
    {"reads_the_classic_hard_cases", reads_the_classic_hard_cases},
    {"reads_numbers_of_a_million_digits", reads_numbers_of_a_million_digits},
    {"writes_the_shortest_decimal_that_reads_back", writes_the_shortest_decimal_that_reads_back},
    {"neither_locale_nor_rounding_mode_matters", neither_locale_nor_rounding_mode_matters},
    {"reads_arrays_of_floats", reads_arrays_of_floats},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    /* A number: the seed, to look elsewhere than every run does. */
    if (argc > 1 && argv[1][0] >= '1' && argv[1][0] <= '9') {
        random_state = strtoull(argv[1], NULL, 10);
        argc = 1;
    }
    return test_main(tests, argc, argv);
}
