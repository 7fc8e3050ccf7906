/* json_number.h - decimal text to f32 and f64 and back, exactly.
 *
 *     "-12.5e3"  ->  scan  ->  -125 x 10^2  ->  json_number_f32 / _f64  ->  the nearest float
 *
 * Reading: Eisel-Lemire (Lemire, "Number parsing at a gigabyte per second", 2021; that it needs no
 * fallback: Mushtak and Lemire, 2023) for up to 19 digits, directly to the format asked for, so a
 * value is never rounded twice. Longer numbers are bracketed by their first 19 digits; where
 * the two bounds round apart, big integers decide. Writing: Schubfach (Giulietti, 2020), the shortest
 * digits that read back equal, the nearest among them, laid out as Python's repr() does.
 * Only integer arithmetic: neither locale nor rounding mode matters.
 *
 * Threads: any; no state. Cost, measured: 14 to 18 ns a number with its scan, 120 ns beyond 19
 * digits, 0.6 us where only big integers decide; 33 ns to write one.
 */
#ifndef DOC_JSON_NUMBER_H
#define DOC_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"

/* A number as it was written: (negative ? -1 : 1) x mantissa x 10^exponent. */
struct json_number {
    const uint8_t *begin; /* Its text; end: behind it, or where it stopped being a number. */
    const uint8_t *end;
    uint64_t mantissa; /* The first 19 significant digits at most. */
    int64_t exponent;
    bool negative;
    bool is_integer; /* Neither '.' nor exponent. */
    bool truncated;  /* More digits followed: mantissa is rounded towards zero. */
};

/* Sets mantissa, exponent and truncated of a number with more than 19 digits. */
void json_number_rescan(struct json_number *number);

/* The nearest value, ties to even; false: beyond the format's largest finite value. */
bool json_number_f32(const struct json_number *number, float *out);
bool json_number_f64(const struct json_number *number, double *out);

/* Writes a finite double into out, without NUL; returns the size. */
enum { JSON_NUMBER_SIZE_MAX = 32 };
size_t json_number_write(double value, char out[JSON_NUMBER_SIZE_MAX]);

static inline bool json_number_is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') < 10;
}

/* Are all eight bytes of `word` digits? */
static inline bool json_number_all_digits(uint64_t word)
{
    return ((word & 0xf0f0f0f0f0f0f0f0u) |
            (((word + 0x0606060606060606u) & 0xf0f0f0f0f0f0f0f0u) >> 4)) == 0x3333333333333333u;
}

/* The number that eight digits mean, the first in the lowest byte: pairs, fours, eight. */
static inline uint64_t json_number_eight(uint64_t word)
{
    word -= 0x3030303030303030u;
    word = (word * 10) + (word >> 8);
    return (((word & 0x000000ff000000ffu) * 0x000f424000000064u) +
            (((word >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u)) >>
           32;
}

/* Scans -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? at `at`. False: `out->end` is where a
 * digit was missing. What may follow a number is the caller's business. */
static ALWAYS_INLINE bool json_number_scan(const uint8_t *at, const uint8_t *end,
                                           struct json_number *out)
{
    uint64_t mantissa = 0; /* Wraps around beyond 19 digits; rescanned then. */
    int64_t exponent = 0;
    out->begin = at;
    out->truncated = false;
    out->is_integer = true;
    out->negative = at < end && *at == '-';
    at += out->negative;
    const uint8_t *digits = at;
    while (at < end && json_number_is_digit(*at))
        mantissa = mantissa * 10 + (uint64_t)(*at++ - '0');
    out->end = at;
    int64_t count = at - digits;
    if (UNLIKELY(count == 0)) return false;
    if (UNLIKELY(*digits == '0' && count > 1)) {
        out->end = digits + 1; /* A leading zero: the number ends, and a digit follows it. */
        out->mantissa = 0;
        out->exponent = 0;
        return true;
    }
    if (at < end && *at == '.') {
        out->is_integer = false;
        const uint8_t *fraction = ++at;
        while (end - at >= 8) {
            const uint64_t word = load_le64(at);
            if (!json_number_all_digits(word)) break;
            mantissa = mantissa * 100000000 + json_number_eight(word);
            at += 8;
        }
        while (at < end && json_number_is_digit(*at))
            mantissa = mantissa * 10 + (uint64_t)(*at++ - '0');
        exponent = fraction - at;
        count -= exponent;
        out->end = at;
        if (UNLIKELY(at == fraction)) return false;
    }
    if (at < end && (*at | 0x20) == 'e') {
        int64_t written = 0;
        out->is_integer = false;
        at++;
        const bool minus = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+')) at++;
        const uint8_t *first = at;
        for (; at < end && json_number_is_digit(*at); at++) {
            /* 10^12 is beyond what the digits of any text can make up for. */
            if (written < 1000000000000) written = written * 10 + (*at - '0');
        }
        out->end = at;
        if (UNLIKELY(at == first)) return false;
        exponent += minus ? -written : written;
    }
    out->end = at;
    out->mantissa = mantissa;
    out->exponent = exponent;
    if (UNLIKELY(count > 19)) {
        /* Zeros in front of the first significant digit took no room in the mantissa. */
        for (; *digits == '0' || *digits == '.'; digits++) {
            if (digits + 1 == at) break;
            count -= *digits == '0';
        }
        if (count > 19) json_number_rescan(out);
    }
    return true;
}

#endif /* DOC_JSON_NUMBER_H */
