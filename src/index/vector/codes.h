/* codes.h - 7-bit codes of vectors, and bounds on distances that follow from them with proof.
 *
 * A vector x becomes o = M (x - c): moved by a centre c, turned by M (rotate.h). Its code is the
 * nearest point o^ of a grid of its own, one byte a component:
 *
 *     row    0       4     8        12      14       16                  stride
 *            | scale | low | length | error | centre | code[size]        |
 *            o^[i] = low + scale * code[i], code[i] in [0, 127]; zero bytes from dim to size
 *            length = |o^|;  error >= |o - o^| (upper half of an f32, rounded up; 0 = no code)
 *
 * Under COSINE, x stands for x / |x|.
 *
 * The query q is turned the same way and written in 15 bits, q^ = unit * (128 hi + lo), so that one
 * pass over integers gives <o^, q^> exactly. With e = error + |M (q - c) - q^|:
 *
 *     L2      | |x - q| - |o^ - q^| | <= e                              (triangle inequality)
 *     COSINE  1 - cos = |x - q|^2 / 2 of unit vectors, and so on
 *     IP      q is not moved: | <x, q> - <c, q> - <o^, q^> | <= error |q| + length |M q - q^|
 *
 * What the ranking distance (simd/distance.h) itself loses to rounding is added, as are the errors
 * of turning and of these formulas; a row or query of which nothing finite can be said is bounded
 * by infinities. Every lower <= distance_exact() <= upper, bit for bit.
 *
 * Centres: the error is in proportion to |x - c|, so a common offset of all vectors would make
 * bounds useless. Centre 0 is the origin; others are means of what was stored when they were made
 * (vector_index.h). A row is coded with the newest and says which; it is a pure function of
 * (vector, centre). A graph needs codes of one centre: when it begins, the others are coded again
 * (graph_index.h).
 *
 * Invariants
 *   1. the same row for the same vector and centre with every kernels table.
 *   2. a row of zeros (a hole) means "no code", never a wrong bound.
 *   3. centres are added, never changed; a query sees those that were there when it began.
 *
 * Threads: codes_bounds() and codes_query_begin() any number, each with its own query; the rest one
 * writer. A reader may meet a row that a writer is filling: its bounds are then arbitrary, but
 * reading it is safe; the caller's test of visibility throws it away.
 * On disk: rows in ARRAY_CODES, centres in ARRAY_CODE_PARAMS.
 */
#ifndef INDEX_VECTOR_CODES_H
#define INDEX_VECTOR_CODES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"
#include "index/vector/rotate.h"

enum {
    CODES_CENTRES = 16,     /* Centres of a field, the origin among them. */
    CODES_HEADER_SIZE = 16, /* Bytes before a row's code. */
    CODES_CHUNK = 64        /* Rows a codes_bounds() call takes at most. */
};

struct code_header { /* 16 bytes */
    float scale, low, length;
    uint16_t error; /* Upper 16 bits of an f32; 0 = no code. */
    uint16_t centre;
};
_Static_assert(sizeof(struct code_header) == CODES_HEADER_SIZE, "code_header");

struct codes {
    const struct kernels *kernels;
    omendb_type type;
    omendb_metric metric;
    uint32_t dim;
    uint32_t size;   /* Bytes of a code: dim rounded up to KERNELS_CODE_MULTIPLE, or more. */
    uint32_t stride; /* Bytes of a row. */
    struct rotation rotation;
    double turn_error;             /* |computed M (x - c) - exact one| / |x - c| */
    float *centres[CODES_CENTRES]; /* [dim]; entry 0 is NULL, the origin. */
    atomic_u32 centre_count;       /* Entries that readers may use; at least 1. */
    float *scratch;                /* [dim], of the writer. */
};

enum { CODES_DIM_MIN = 4 }; /* Fewer dimensions are scanned; a graph of them gains nothing. */

/* Do fields of such vectors have codes? Those that a graph may be built over (graph.h). */
bool codes_possible(omendb_type type, uint32_t dim);

/* Do codes make a scan of such vectors faster? Where a row is no smaller than two thirds of the
 * vector itself (integers, bits, few dimensions), the vectors are scanned instead. */
bool codes_useful(omendb_type type, uint32_t dim);

/* Bytes of a row, as short as it can be. */
uint32_t codes_stride(uint32_t dim);

/* May rows be of that size? Those of older files are: there the code is rounded up to 64 bytes. */
bool codes_stride_possible(uint32_t dim, uint32_t stride);

/* For F32, F16, BF16 with L2, COSINE, IP. NOMEM. */
omendb_status codes_init(struct codes *codes, const struct kernels *kernels, omendb_type type,
                         omendb_metric metric, uint32_t dim, uint64_t seed, omendb_error *err);
/* Before the first row or query: rows of another possible size. */
void codes_set_stride(struct codes *codes, uint32_t stride);
void codes_deinit(struct codes *codes); /* {0} is allowed. */

/* Adds a centre (copied). centre: [dim], finite. NOMEM; FULL when there are CODES_CENTRES. */
omendb_status codes_add_centre(struct codes *codes, const float *centre, omendb_error *err);

/* What x stands for above, as f32: [dim]. False: too long for codes (norm above 2^50). */
bool codes_widen(const struct codes *codes, const void *vector, float *out);

/* Writes the row of a vector for the given centre (below centre_count). Never fails: what can't be
 * coded gets a row without code. row: [stride] */
void codes_encode(struct codes *codes, const void *vector, uint32_t centre, uint8_t *row);

/* A row's code is what it claims for this vector: its error isn't below the true one. `scratch`:
 * [dim]. */
bool codes_verify_row(const struct codes *codes, const void *vector, const uint8_t *row,
                      float *scratch);

/* ---- Queries ---- */

struct code_plane { /* The query seen from one centre. */
    bool ready;
    double unit;    /* Of 128 hi + lo. */
    double sum;     /* of q^ */
    double square;  /* |q^|^2 */
    double error;   /* >= |M (q - c) - q^| */
    double product; /* IP: <c, q> */
    double slack;   /* IP: what doesn't depend on the row. */
};

struct codes_query { /* {0} to begin with; may be used for one field after another. */
    const struct codes *codes;
    double norm;           /* |q|, rounded up. */
    double distance_error; /* Relative (L2, IP) or absolute (COSINE) error of distance_exact(). */
    uint32_t centre_count;
    struct code_plane planes[CODES_CENTRES];
    float *vector;   /* [dim] */
    float *turned;   /* [dim] */
    int8_t *digits;  /* [centre_count][2][size]: hi, lo */
    int32_t *sums;   /* [CODES_CHUNK][2] */
    uint8_t *memory; /* All of these. */
    size_t memory_size;
};

/* Takes a query in the field's type. *usable = false: no bound can be given (a query longer than
 * 2^50), scan exactly. Allocates when it needs more than ever before. NOMEM. */
omendb_status codes_query_begin(struct codes_query *query, const struct codes *codes,
                                const void *vector, bool *usable, omendb_error *err);
void codes_query_deinit(struct codes_query *query);

struct code_bound {
    uint32_t index;     /* Of the row. */
    float lower, upper; /* lower <= distance_exact() <= upper */
};

/* Bounds of those of `count` (at most CODES_CHUNK) rows whose lower one is <= limit, in order.
 * Returns how many. out: [count] */
uint32_t codes_bounds(struct codes_query *query, const uint8_t *rows, uint32_t count, float limit,
                      struct code_bound *out);

#endif /* INDEX_VECTOR_CODES_H */
