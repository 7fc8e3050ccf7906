/* random.h - the same numbers in each run of a test. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>

static uint64_t random_state = 88172645463325252u; /* Not 0. */

static inline uint64_t random_bits(void) /* xorshift64*, Vigna 2016. */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717u;
}

#endif /* TESTS_RANDOM_H */
