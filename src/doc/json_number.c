#include "doc/json_number.h"

#include <assert.h>
#include <string.h>

#include "doc/json_powers.h"

enum { MANTISSA_DIGITS = 19 }; /* 10^19 - 1 < 2^64 */

/* ---- Digits to mantissa and exponent ------------------------------------------------ */

/* Visits the significant digits of a number: skips leading zeros and the point. */
struct digits {
    const uint8_t *at;
    const uint8_t *end; /* The exponent's 'e', or the number's end. */
    int64_t exponent;   /* Of the digit last returned, the written exponent not counted. */
};

static struct digits digits_begin(const struct json_number *number)
{
    struct digits digits = {.at = number->begin + number->negative, .end = number->end};
    const uint8_t *at = digits.at;
    while (at < number->end && json_number_is_digit(*at)) at++;
    digits.exponent = at - digits.at;
    if (at < number->end && *at == '.') {
        at++;
        while (at < number->end && json_number_is_digit(*at)) at++;
    }
    digits.end = at;
    return digits;
}

/* The next digit, or -1 at the end. */
static int digits_next(struct digits *digits)
{
    if (digits->at < digits->end && *digits->at == '.') digits->at++;
    if (digits->at == digits->end) return -1;
    digits->exponent--;
    return *digits->at++ - '0';
}

/* The exponent that the text gives after 'e'. */
static int64_t written_exponent(const struct json_number *number)
{
    const struct digits digits = digits_begin(number);
    const uint8_t *at = digits.end;
    int64_t written = 0;
    if (at == number->end) return 0;
    at++;
    const bool minus = *at == '-';
    if (*at == '-' || *at == '+') at++;
    for (; at < number->end; at++) {
        if (written < 1000000000000) written = written * 10 + (*at - '0');
    }
    return minus ? -written : written;
}

COLD void json_number_rescan(struct json_number *number)
{
    struct digits digits = digits_begin(number);
    uint64_t mantissa = 0;
    int64_t exponent = 0;
    unsigned count = 0;
    int digit;
    number->truncated = false;
    while ((digit = digits_next(&digits)) >= 0) {
        if (count == 0 && digit == 0) continue;
        if (count == MANTISSA_DIGITS) {
            number->truncated = number->truncated || digit != 0;
            continue;
        }
        mantissa = mantissa * 10 + (uint64_t)digit;
        exponent = digits.exponent;
        count++;
    }
    number->mantissa = mantissa;
    number->exponent = mantissa != 0 ? exponent + written_exponent(number) : 0;
}

/* ---- Eisel-Lemire ------------------------------------------------------------------- */

/* What IEEE formats differ in. A float is mantissa x 2^(power - bias - mantissa_bits). */
struct format {
    int mantissa_bits; /* Stored ones. */
    int bias;
    int infinite_power; /* The biased exponent of infinity. */
    int exponent_min;   /* Below: 2^64 x 10^exponent rounds to zero. */
    int exponent_max;   /* Above: 10^exponent is infinite. */
    int even_min;       /* Only with exponents in this range can 64 bits */
    int even_max;       /* of mantissa lie exactly between two floats. */
};

static const struct format format_f32 = {23, 127, 0xff, -64, 38, -17, 10};
static const struct format format_f64 = {52, 1023, 0x7ff, -342, 308, -4, 23};

/* A non-negative float as biased exponent and stored mantissa; as an integer, its bits. */
struct rounded {
    uint64_t mantissa;
    int power;
};

static inline uint64_t multiply(uint64_t a, uint64_t b, uint64_t *high)
{
    UINT128 product = a;
    product *= b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
}

/* mantissa x 10^exponent rounded to nearest, ties to even. */
static ALWAYS_INLINE struct rounded round_decimal(struct format format, uint64_t mantissa,
                                                  int64_t exponent)
{
    const struct rounded zero = {0, 0};
    const struct rounded infinity = {0, format.infinite_power};
    if (mantissa == 0 || exponent < format.exponent_min) return zero;
    if (exponent > format.exponent_max) return infinity;
    const int q = (int)exponent;
    const int zeros = __builtin_clzll(mantissa);
    const uint64_t w = mantissa << zeros;

    /* The product's upper bits, refined by the power's lower half where a carry could reach the
     * bits that count: those of the mantissa, a rounding bit and two that tell ties. */
    const uint64_t *power = json_powers[q - JSON_POWERS_MIN];
    const uint64_t precision_mask = ~(uint64_t)0 >> (format.mantissa_bits + 3);
    uint64_t high;
    uint64_t low = multiply(w, power[0], &high);
    if ((high & precision_mask) == precision_mask) {
        uint64_t carry_high;
        (void)multiply(w, power[1], &carry_high);
        low += carry_high;
        if (carry_high > low) high++;
    }

    const int upper_bit = (int)(high >> 63);
    const int shift = upper_bit + 64 - format.mantissa_bits - 3;
    struct rounded out = {.mantissa = high >> shift};
    /* floor(log2(10^q)) = 217706 q / 2^16, exact for |q| <= 350. */
    out.power = ((217706 * q) >> 16) + 63 + upper_bit - zeros + format.bias;
    if (out.power <= 0) { /* Subnormal, or the smallest normal by rounding up. */
        if (-out.power + 1 >= 64) return zero;
        out.mantissa >>= -out.power + 1;
        out.mantissa += out.mantissa & 1;
        out.mantissa >>= 1;
        out.power = out.mantissa < (uint64_t)1 << format.mantissa_bits ? 0 : 1;
    } else {
        if (low <= 1 && q >= format.even_min && q <= format.even_max && (out.mantissa & 3) == 1 &&
            out.mantissa << shift == high)
            out.mantissa &= ~(uint64_t)1; /* A tie with an even lower neighbour. */
        out.mantissa += out.mantissa & 1;
        out.mantissa >>= 1;
        if (out.mantissa >= (uint64_t)2 << format.mantissa_bits) {
            out.mantissa = (uint64_t)1 << format.mantissa_bits;
            out.power++;
        }
        if (out.power >= format.infinite_power) return infinity;
    }
    out.mantissa &= ~((uint64_t)1 << format.mantissa_bits);
    return out;
}

/* ---- Big integers, for numbers of more than 19 digits near a tie ---------------------- */

/* No tie between doubles has more than 767 significant digits; whatever follows these
 * only says "a little more". */
enum { TIE_DIGITS_MAX = 768, BIG_LIMBS = 128 };

/* 4096 bits. Needed: 769 digits x 3.33 = 2555 bits, and on the other side 5^(324 + 770) = 2541
 * bits times a mantissa of 54; the powers of two only bring both to the same size. */
struct big {
    uint32_t count;
    uint32_t limb[BIG_LIMBS]; /* Lowest first; the highest isn't 0. */
};

static void big_multiply(struct big *big, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (uint32_t i = 0; i < big->count; i++) {
        carry += (uint64_t)big->limb[i] * factor;
        big->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0) {
        assert(big->count < BIG_LIMBS);
        big->limb[big->count++] = (uint32_t)carry;
    }
}

static void big_multiply_five(struct big *big, int64_t power)
{
    for (; power >= 13; power -= 13) big_multiply(big, 1220703125u, 0); /* 5^13 < 2^32 */
    for (; power > 0; power--) big_multiply(big, 5, 0);
}

static void big_shift(struct big *big, int64_t bits)
{
    const uint32_t limbs = (uint32_t)(bits / 32);
    if (big->count == 0) return;
    assert(big->count + limbs < BIG_LIMBS);
    memmove(big->limb + limbs, big->limb, big->count * sizeof big->limb[0]);
    memset(big->limb, 0, limbs * sizeof big->limb[0]);
    big->count += limbs;
    if (bits % 32 != 0) big_multiply(big, 1u << (bits % 32), 0);
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->count != b->count) return a->count < b->count ? -1 : 1;
    for (uint32_t i = a->count; i-- > 0;) {
        if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i] ? -1 : 1;
    }
    return 0;
}

/* The number's digits as an integer; its last digit counts 10^*exponent. */
static void big_of_number(const struct json_number *number, struct big *out, int64_t *exponent)
{
    struct digits digits = digits_begin(number);
    unsigned count = 0;
    int digit;
    bool more = false;
    out->count = 0;
    *exponent = 0;
    while ((digit = digits_next(&digits)) >= 0) {
        if (count == 0 && digit == 0) continue;
        if (count == TIE_DIGITS_MAX) {
            more = more || digit != 0;
            continue;
        }
        big_multiply(out, 10, (uint32_t)digit);
        *exponent = digits.exponent;
        count++;
    }
    if (more) {
        big_multiply(out, 10, 1);
        (*exponent)--;
    }
    *exponent += written_exponent(number);
}

/* `low` is the number's float or the one below: compares the number with the middle between `low`
 * and the next float, and rounds. */
static COLD struct rounded round_by_tie(struct format format, const struct json_number *number,
                                        struct rounded low)
{
    struct big digits;
    struct big middle = {0};
    int64_t exponent;
    big_of_number(number, &digits, &exponent);
    const uint64_t hidden = low.power != 0 ? (uint64_t)1 << format.mantissa_bits : 0;
    const uint64_t twice = 2 * (low.mantissa | hidden) + 1;
    const int64_t two = (low.power != 0 ? low.power : 1) - format.bias - format.mantissa_bits - 1;
    middle.limb[0] = (uint32_t)twice;
    middle.limb[1] = (uint32_t)(twice >> 32);
    middle.count = middle.limb[1] != 0 ? 2 : 1;
    if (exponent >= 0) big_multiply_five(&digits, exponent);
    else big_multiply_five(&middle, -exponent);
    if (exponent >= two) big_shift(&digits, exponent - two);
    else big_shift(&middle, two - exponent);
    const int order = big_compare(&digits, &middle);
    if (order < 0 || (order == 0 && (low.mantissa & 1) == 0)) return low;
    low.mantissa++;
    if (low.mantissa == (uint64_t)1 << format.mantissa_bits) {
        low.mantissa = 0;
        low.power++;
    }
    return low;
}

static ALWAYS_INLINE struct rounded round_number(struct format format,
                                                 const struct json_number *number)
{
    const struct rounded low = round_decimal(format, number->mantissa, number->exponent);
    if (LIKELY(!number->truncated)) return low;
    const struct rounded high = round_decimal(format, number->mantissa + 1, number->exponent);
    if (low.mantissa == high.mantissa && low.power == high.power) return low;
    return round_by_tie(format, number, low);
}

bool json_number_f32(const struct json_number *number, float *out)
{
    const struct rounded rounded = round_number(format_f32, number);
    const uint32_t bits = (uint32_t)number->negative << 31 | (uint32_t)rounded.power << 23 |
                          (uint32_t)rounded.mantissa;
    if (UNLIKELY(rounded.power == format_f32.infinite_power)) return false;
    memcpy(out, &bits, sizeof bits);
    return true;
}

bool json_number_f64(const struct json_number *number, double *out)
{
    const struct rounded rounded = round_number(format_f64, number);
    const uint64_t bits = (uint64_t)number->negative << 63 | (uint64_t)rounded.power << 52 |
                          rounded.mantissa;
    if (UNLIKELY(rounded.power == format_f64.infinite_power)) return false;
    memcpy(out, &bits, sizeof bits);
    return true;
}

/* ---- Schubfach ---------------------------------------------------------------------- */

/* digits x 10^exponent */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* floor(g x c / 2^128), the lowest bit set where the division leaves something. */
static uint64_t round_to_odd(uint64_t g_high, uint64_t g_low, uint64_t c)
{
    uint64_t low_high;
    uint64_t high;
    (void)multiply(g_low, c, &low_high);
    uint64_t low = multiply(g_high, c, &high);
    low += low_high;
    high += low < low_high;
    return high | (low > 1);
}

/* 10^q rounded up: the table rounds down outside -27 .. 55. */
static void power_rounded_up(int q, uint64_t *high, uint64_t *low)
{
    const uint64_t *power = json_powers[q - JSON_POWERS_MIN];
    const bool is_below = q < -27 || q > 55;
    *low = power[1] + is_below;
    *high = power[0] + (is_below && *low == 0);
}

/* The shortest decimal in the rounding interval of c x 2^q, the nearest of these. Giulietti, "The
 * Schubfach way to render doubles", 2020, with the names of its section 9. */
static struct decimal shortest(uint64_t c, int q, bool lower_is_closer)
{
    const uint64_t odd = c & 1;
    /* floor(log10(2^q)), or of 3/4 2^q; h lies in 1 .. 4. */
    const int k = (q * 1262611 - (lower_is_closer ? 524031 : 0)) >> 22;
    const int h = q + ((-k * 1741647) >> 19) + 1;
    uint64_t g_high;
    uint64_t g_low;
    power_rounded_up(-k, &g_high, &g_low);
    const uint64_t vb_left = round_to_odd(g_high, g_low, (4 * c - 2 + lower_is_closer) << h);
    const uint64_t vb = round_to_odd(g_high, g_low, (4 * c) << h);
    const uint64_t vb_right = round_to_odd(g_high, g_low, (4 * c + 2) << h);
    const uint64_t lower = vb_left + odd; /* The interval's ends round to even. */
    const uint64_t upper = vb_right - odd;
    const uint64_t s = vb / 4;
    if (s >= 10) { /* One digit fewer? */
        const uint64_t s_short = s / 10;
        const bool down_inside = lower <= 40 * s_short;
        const bool up_inside = 40 * s_short + 40 <= upper;
        if (down_inside != up_inside) return (struct decimal){s_short + up_inside, k + 1};
    }
    const bool down_inside = lower <= 4 * s;
    const bool up_inside = 4 * s + 4 <= upper;
    if (down_inside != up_inside) return (struct decimal){s + up_inside, k};
    const uint64_t middle = 4 * s + 2;
    return (struct decimal){s + (vb > middle || (vb == middle && (s & 1) != 0)), k};
}

static struct decimal shortest_of_bits(uint64_t bits)
{
    const uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    const int power = (int)(bits >> 52 & 0x7ff);
    if (power == 0) return shortest(fraction, 1 - 1075, false);
    const uint64_t c = (uint64_t)1 << 52 | fraction;
    const int q = power - 1075;
    /* Integers below 2^53 are their own shortest digits. */
    if (q <= 0 && q > -53 && (c & (((uint64_t)1 << -q) - 1)) == 0)
        return (struct decimal){c >> -q, 0};
    return shortest(c, q, fraction == 0 && power > 1);
}

/* Writes the exponent "e-05": a sign and at least two digits. */
static char *write_exponent(char *at, int exponent)
{
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    const unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (size >= 100) *at++ = (char)('0' + size / 100);
    *at++ = (char)('0' + size / 10 % 10);
    *at++ = (char)('0' + size % 10);
    return at;
}

size_t json_number_write(double value, char out[JSON_NUMBER_SIZE_MAX])
{
    uint64_t bits;
    char *at = out;
    memcpy(&bits, &value, sizeof bits);
    assert((bits >> 52 & 0x7ff) != 0x7ff);
    if (bits >> 63 != 0) *at++ = '-';
    bits &= ~((uint64_t)1 << 63);
    if (bits == 0) {
        memcpy(at, "0.0", 3);
        return (size_t)(at + 3 - out);
    }
    struct decimal decimal = shortest_of_bits(bits);
    while (decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    char digits[20];
    int count = 0;
    for (uint64_t left = decimal.digits; left != 0; left /= 10)
        digits[sizeof digits - 1 - (size_t)count++] = (char)('0' + left % 10);
    const char *first = digits + sizeof digits - count;
    const int point = count + decimal.exponent; /* Digits before the point. */
    const size_t size = (size_t)count;
    if (point > 16 || point < -3) {
        *at++ = first[0];
        if (size > 1) {
            *at++ = '.';
            memcpy(at, first + 1, size - 1);
            at += size - 1;
        }
        at = write_exponent(at, point - 1);
    } else if (point <= 0) {
        memcpy(at, "0.000", 5);
        at += 2 - point;
        memcpy(at, first, size);
        at += size;
    } else if (count <= point) {
        memcpy(at, first, size);
        memset(at + size, '0', (size_t)point - size);
        at += point;
        memcpy(at, ".0", 2);
        at += 2;
    } else {
        memcpy(at, first, (size_t)point);
        at[point] = '.';
        memcpy(at + point + 1, first + point, size - (size_t)point);
        at += size + 1;
    }
    assert(at - out <= JSON_NUMBER_SIZE_MAX);
    return (size_t)(at - out);
}
