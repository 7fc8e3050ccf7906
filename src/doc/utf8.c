#include "doc/utf8.h"

#include <string.h>

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Table 3-7 of the Unicode Standard: the second byte's range depends on the first. */
unsigned utf8_sequence_size(const uint8_t *at, const uint8_t *end)
{
    const uint8_t first = at[0];
    const size_t left = (size_t)(end - at);
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0; /* A tail byte, or an overlong form of ASCII. */
    if (first < 0xe0) return left >= 2 && is_tail(at[1]) ? 2 : 0;
    if (first < 0xf0) {
        if (left < 3 || !is_tail(at[1]) || !is_tail(at[2])) return 0;
        if (first == 0xe0 && at[1] < 0xa0) return 0; /* Overlong. */
        if (first == 0xed && at[1] > 0x9f) return 0; /* Surrogates. */
        return 3;
    }
    if (first > 0xf4) return 0;
    if (left < 4 || !is_tail(at[1]) || !is_tail(at[2]) || !is_tail(at[3])) return 0;
    if (first == 0xf0 && at[1] < 0x90) return 0; /* Overlong. */
    if (first == 0xf4 && at[1] > 0x8f) return 0; /* Above U+10FFFF. */
    return 4;
}

bool utf8_valid(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    const uint8_t *end = at + size;
    while (at < end) {
        while (end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, sizeof word);
            if ((word & 0x8080808080808080u) != 0) break;
            at += 8;
        }
        if (at == end) break;
        const unsigned step = utf8_sequence_size(at, end);
        if (step == 0) return false;
        at += step;
    }
    return true;
}
