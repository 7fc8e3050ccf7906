/* checksum.h - XXH3 (Yann Collet's xxHash, from libxxhash): 64 bits for frames and blocks,
 * 128 for what nothing else vouches for. Detects accidents, not forgery. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

struct checksum128 {
    uint64_t low, high;
};

uint64_t checksum64(const void *data, size_t size);
uint64_t checksum64_seeded(const void *data, size_t size, uint64_t seed);
struct checksum128 checksum128(const void *data, size_t size);

#endif /* BASE_CHECKSUM_H */
