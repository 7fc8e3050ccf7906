/* bytes.h - integers on disk are little-endian and unaligned, whatever the machine is. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BYTES_SWAP(bits, value) __builtin_bswap##bits(value)
#else
#define BYTES_SWAP(bits, value) (value)
#endif

#define BYTES_ACCESS(bits)                                                                         \
    static inline uint##bits##_t load_le##bits(const void *from)                                   \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        memcpy(&value, from, sizeof value);                                                        \
        return BYTES_SWAP(bits, value);                                                            \
    }                                                                                              \
    static inline void store_le##bits(void *to, uint##bits##_t value)                              \
    {                                                                                              \
        const uint##bits##_t stored = BYTES_SWAP(bits, value);                                     \
        memcpy(to, &stored, sizeof stored);                                                        \
    }

BYTES_ACCESS(16)
BYTES_ACCESS(32)
BYTES_ACCESS(64)

static inline float load_f32(const void *from)
{
    const uint32_t bits = load_le32(from);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void store_f32(void *to, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    store_le32(to, bits);
}

#endif /* BASE_BYTES_H */
