/* rotate.h - a random-looking rotation of R^dim, for any dim, in O(dim log dim).
 *
 * Quantising every component with one step wastes bits where components differ much in size. An
 * orthogonal map that mixes all of them makes them alike (and near to normally distributed) and
 * changes no distance and no product. Ours is made of fast Hadamard transforms behind random signs
 * (Ailon and Chazelle 2006; three such rounds: Yu et al., "Orthogonal Random Features", 2016).
 * They want a power of two; another dim takes two transforms that overlap:
 *
 *     block = the largest power of two <= dim
 *
 *     0                 dim - block          block               dim
 *     |====== flip, transform ==================|                       first half of a round
 *                       |========= flip, transform ===============|     second half
 *
 * Each half is orthogonal on dim components (a transform beside an identity), so the whole is, and
 * no component is added: rotated vectors have dim components again. Nothing is stored but the seed.
 *
 * Invariants
 *   1. signs are a pure function of (seed, dim): the same on every machine, for ever.
 *   2. |rotate(x) - M x| <= rotation_error() * |x| + 2^-110 for finite x whose norm is below 2^60,
 *      M being the exact orthogonal map.
 *   3. The same bits with every kernels table.
 *
 * Threads: constant once made.
 */
#ifndef INDEX_VECTOR_ROTATE_H
#define INDEX_VECTOR_ROTATE_H

#include <stdint.h>

#include "base/status.h"
#include "simd/kernels.h"

enum { ROTATION_ROUNDS = 2 };

struct rotation {
    uint32_t dim;
    uint32_t block;      /* Of the transforms; a power of two. */
    uint32_t second;     /* dim - block: where the second half begins; 0 = there is none. */
    uint32_t sign_words; /* Words of signs of one transform. */
    uint64_t seed;
    uint64_t *signs; /* [ROTATION_ROUNDS][2][sign_words] */
};

/* dim >= 1. NOMEM. */
omendb_status rotation_init(struct rotation *rotation, uint32_t dim, uint64_t seed,
                            omendb_error *err);
void rotation_deinit(struct rotation *rotation); /* {0} is allowed. */

/* In place. x: [dim] */
void rotation_apply(const struct rotation *rotation, const struct kernels *kernels, float *x);

/* Relative error of rotation_apply(), see invariant 2. */
double rotation_error(const struct rotation *rotation);

#endif /* INDEX_VECTOR_ROTATE_H */
