#include "doc/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits a character means, or 64. */
static uint32_t bits_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z') return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0') + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : 64;
}

bool base64_decode(const uint8_t *text, size_t text_size, uint8_t *out, size_t *size)
{
    if (text_size % 4 != 0) return false;
    size_t left = text_size;
    size_t padding = 0;
    if (left != 0 && text[left - 1] == '=') padding = text[left - 2] == '=' ? 2 : 1;
    left -= padding;
    for (size_t i = 0; i < left; i++) {
        if (bits_of(text[i]) == 64) return false;
    }
    /* One '=' leaves 2 of the last 18 bits unused, two leave 4 of 12. */
    if (padding != 0 && (bits_of(text[left - 1]) & (padding == 1 ? 3 : 15)) != 0) return false;
    uint8_t *to = out;
    size_t at = 0;
    for (; left - at >= 4; at += 4) {
        const uint32_t bits = bits_of(text[at]) << 18 | bits_of(text[at + 1]) << 12 |
                              bits_of(text[at + 2]) << 6 | bits_of(text[at + 3]);
        *to++ = (uint8_t)(bits >> 16);
        *to++ = (uint8_t)(bits >> 8);
        *to++ = (uint8_t)bits;
    }
    if (padding != 0) {
        const uint32_t third = padding == 1 ? bits_of(text[at + 2]) : 0;
        const uint32_t bits = bits_of(text[at]) << 18 | bits_of(text[at + 1]) << 12 | third << 6;
        *to++ = (uint8_t)(bits >> 16);
        if (padding == 1) *to++ = (uint8_t)(bits >> 8);
    }
    *size = (size_t)(to - out);
    return true;
}

size_t base64_text_size(size_t size)
{
    return size / 3 * 4 + (size % 3 != 0 ? 4 : 0);
}

void base64_encode(const uint8_t *bytes, size_t size, char *out)
{
    for (; size >= 3; size -= 3, bytes += 3) {
        *out++ = alphabet[bytes[0] >> 2];
        *out++ = alphabet[(bytes[0] & 3) << 4 | bytes[1] >> 4];
        *out++ = alphabet[(bytes[1] & 15) << 2 | bytes[2] >> 6];
        *out++ = alphabet[bytes[2] & 63];
    }
    if (size == 0) return;
    const uint8_t second = size == 2 ? bytes[1] : 0;
    *out++ = alphabet[bytes[0] >> 2];
    *out++ = alphabet[(bytes[0] & 3) << 4 | second >> 4];
    *out++ = size == 2 ? alphabet[(second & 15) << 2] : '=';
    *out = '=';
}
