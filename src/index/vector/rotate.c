#include "index/vector/rotate.h"

#include "base/alloc.h"

/* Sebastiano Vigna's splitmix64: a full-period counter behind a mixing function. */
static uint64_t rotation_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

omendb_status rotation_init(struct rotation *rotation, uint32_t dim, uint64_t seed,
                            omendb_error *err)
{
    uint32_t block = 1;
    while (block <= dim / 2) block *= 2;
    const uint32_t words = (block + 63) / 64;
    const size_t count = (size_t)ROTATION_ROUNDS * 2 * words;
    uint64_t *signs = alloc_raw(count, sizeof *signs);
    if (signs == NULL) return fail(err, OMENDB_ERR_NOMEM, "rotation: %u dimensions", dim);
    uint64_t state = seed ^ dim;
    for (size_t i = 0; i < count; i++) signs[i] = rotation_random(&state);
    *rotation = (struct rotation){.dim = dim,
                                  .block = block,
                                  .second = dim - block,
                                  .sign_words = words,
                                  .seed = seed,
                                  .signs = signs};
    return OMENDB_OK;
}

void rotation_deinit(struct rotation *rotation)
{
    alloc_free(rotation->signs);
    *rotation = (struct rotation){0};
}

void rotation_apply(const struct rotation *rotation, const struct kernels *kernels, float *x)
{
    const uint64_t *signs = rotation->signs;
    for (uint32_t round = 0; round < ROTATION_ROUNDS; round++, signs += 2 * rotation->sign_words) {
        kernels->flip_signs(x, signs, rotation->block);
        kernels->fht(x, rotation->block);
        if (rotation->second == 0) continue;
        kernels->flip_signs(x + rotation->second, signs + rotation->sign_words, rotation->block);
        kernels->fht(x + rotation->second, rotation->block);
    }
}

double rotation_error(const struct rotation *rotation)
{
    /* A stage rounds each component once: at most u = 2^-24 of the norm, which the exact map keeps.
     * The factor 1/sqrt(n) is rounded, and so is the product with it: 2 more. Errors of one stage
     * pass through the others unchanged but for second-order terms, which the 1.01 covers
     * (4 * 16 * 2^-24 < 4e-6). */
    double stages = 0;
    for (uint32_t n = rotation->block; n > 1; n /= 2) stages += 1;
    const double halves = rotation->second != 0 ? 2.0 : 1.0;
    return 1.01 * 0x1p-24 * ROTATION_ROUNDS * halves * (stages + 2.0);
}
