/* store_help.h - what the tests of the storage layer share: checks that show the message, random
 * numbers that repeat, and a space on a file of its own. */
#ifndef STORE_HELP_H
#define STORE_HELP_H

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "store/space.h"
#include "test.h"

static omendb_error err;

#define OK(call)                                                                                   \
    do {                                                                                           \
        const omendb_status status_ = (call);                                                      \
        if (status_ != OMENDB_OK)                                                                  \
            fprintf(stderr, "%s:%d: %d: %s\n", __FILE__, __LINE__, (int)status_, err.message);     \
        CHECK(status_ == OMENDB_OK);                                                               \
    } while (0)

#define FAILS(code, call)                                                                          \
    do {                                                                                           \
        err = (omendb_error){0};                                                                   \
        const omendb_status status_ = (call);                                                      \
        if (status_ != (code))                                                                     \
            fprintf(stderr, "%s:%d: %d: %s\n", __FILE__, __LINE__, (int)status_, err.message);     \
        CHECK(status_ == (code) && err.status == (code) && err.message[0] != '\0');                \
    } while (0)

/* splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(random_next(state) % limit);
}

/* Bytes that tell which seed they came from. */
static inline void random_fill(void *to, size_t size, uint64_t seed)
{
    uint8_t *bytes = to;
    for (size_t i = 0; i < size; i += 8) {
        const uint64_t word = random_next(&seed);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

static inline void make_name(char out[256], const char *name)
{
    const char *folder = getenv("TMPDIR");
    snprintf(out, 256, "%s/omendb-%s-%d.omen", folder != NULL ? folder : "/tmp", name,
             (int)getpid());
}

/* An empty data file: blocks 0 and 1 taken, generation 1. */
static inline void open_space(struct space *space, const char *name)
{
    struct file *file = NULL;
    OK(file_open(vfs_real(), name, FILE_CREATE, &file, &err));
    OK(file_resize(file, BLOCK_FIRST * (uint64_t)BLOCK_SIZE, &err));
    OK(space_init(space, vfs_real(), file, false, &err));
    OK(block_map_mark(&space->map, 0, BLOCK_FIRST, &err));
    space->generation = 1;
}

#endif /* STORE_HELP_H */
