#include "index/vector/codes.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"

/* Longer vectors get no code: below, no square or product here or in the kernels overflows. */
#define CODES_NORM_MAX 0x1p50

/* Added to every error: far above what underflow can cost (16384 components, 64 roundings of
 * 2^-149 each: below 2^-128), even where a host flushes subnormal floats to zero. */
#define CODES_ERROR_MIN 0x1p-100

/* Double arithmetic over at most 16384 terms loses less than 16384 * 2^-53 < 2e-12 of the sum of
 * magnitudes; every such sum below is a sum of squares, or is widened by its terms' norms. */
#define CODES_SUM_ERROR 4e-12

#define CODES_F32_UNIT 0x1p-24

/* Rows between two kernel calls: while bounds are computed memory works on what the kernel has
 * prefetched (4 KiB), so little at a time (16 against 64 rows: 255 against 284 us for 17,000 rows
 * of 384). */
enum { CODES_RUN_MAX = 16 };

bool codes_possible(omendb_type type, uint32_t dim)
{
    return (type == OMENDB_F32 || type == OMENDB_F16 || type == OMENDB_BF16) &&
           dim >= CODES_DIM_MIN;
}

bool codes_useful(omendb_type type, uint32_t dim)
{
    const uint32_t element = type == OMENDB_F32                          ? 4u
                             : type == OMENDB_F16 || type == OMENDB_BF16 ? 2u
                                                                         : 0u;
    return 2u * element * dim >= 3u * codes_stride(dim);
}

uint32_t codes_stride(uint32_t dim)
{
    return CODES_HEADER_SIZE +
           (dim + KERNELS_CODE_MULTIPLE - 1) / KERNELS_CODE_MULTIPLE * KERNELS_CODE_MULTIPLE;
}

bool codes_stride_possible(uint32_t dim, uint32_t stride)
{
    return stride % KERNELS_CODE_MULTIPLE == 0 && stride >= codes_stride(dim) &&
           stride <= CODES_HEADER_SIZE + (dim + 63) / 64 * 64;
}

omendb_status codes_init(struct codes *codes, const struct kernels *kernels, omendb_type type,
                         omendb_metric metric, uint32_t dim, uint64_t seed, omendb_error *err)
{
    assert(type == OMENDB_F32 || type == OMENDB_F16 || type == OMENDB_BF16);
    assert(metric == OMENDB_L2 || metric == OMENDB_COSINE || metric == OMENDB_IP);
    struct codes made = {.kernels = kernels,
                         .type = type,
                         .metric = metric,
                         .dim = dim,
                         .size = codes_stride(dim) - CODES_HEADER_SIZE,
                         .stride = codes_stride(dim)};
    TRY(rotation_init(&made.rotation, dim, seed, err));
    made.scratch = alloc_raw(dim, sizeof *made.scratch);
    if (made.scratch == NULL) {
        rotation_deinit(&made.rotation);
        return fail(err, OMENDB_ERR_NOMEM, "codes: %u dimensions", dim);
    }
    /* x - c is rounded once. */
    made.turn_error = rotation_error(&made.rotation) + 1.01 * CODES_F32_UNIT;
    *codes = made;
    atomic_store_release_u32(&codes->centre_count, 1); /* Read in codes_query_begin(). */
    return OMENDB_OK;
}

void codes_set_stride(struct codes *codes, uint32_t stride)
{
    assert(codes_stride_possible(codes->dim, stride));
    codes->stride = stride;
    codes->size = stride - CODES_HEADER_SIZE;
}

void codes_deinit(struct codes *codes)
{
    rotation_deinit(&codes->rotation);
    alloc_free(codes->scratch);
    for (uint32_t i = 0; i < CODES_CENTRES; i++) alloc_free(codes->centres[i]);
    *codes = (struct codes){0};
}

omendb_status codes_add_centre(struct codes *codes, const float *centre, omendb_error *err)
{
    const uint32_t count = atomic_load_relaxed_u32(&codes->centre_count);
    if (count == CODES_CENTRES)
        return fail(err, OMENDB_ERR_FULL, "codes: %d centres", CODES_CENTRES);
    float *copy = alloc_raw(codes->dim, sizeof *copy);
    if (copy == NULL) return fail(err, OMENDB_ERR_NOMEM, "codes: a centre");
    memcpy(copy, centre, codes->dim * sizeof *copy);
    codes->centres[count] = copy;
    atomic_store_release_u32(&codes->centre_count, count + 1); /* As above. */
    return OMENDB_OK;
}

/* Of at most OMENDB_DIM_MAX floats; four sums, for speed. */
static double codes_square(const float *x, uint32_t dim)
{
    double sum[4] = {0};
    uint32_t i = 0;
    for (; i + 4 <= dim; i += 4) {
        for (uint32_t j = 0; j < 4; j++) sum[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (; i < dim; i++) sum[0] += (double)x[i] * (double)x[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

bool codes_widen(const struct codes *codes, const void *vector, float *out)
{
    if (!codes->kernels->to_f32[codes->type](vector, out, codes->dim)) return false;
    /* Most vectors are so far below the limit that their largest component tells: dim <= 2^14. */
    if (codes->metric != OMENDB_COSINE &&
        (double)codes->kernels->max_abs(out, codes->dim) <= CODES_NORM_MAX / 128)
        return true;
    const double norm = sqrt(codes_square(out, codes->dim));
    if (codes->metric != OMENDB_COSINE) return norm <= CODES_NORM_MAX;
    if (!(norm > 0)) return false;
    /* One rounding to f32 a component: 1.01 * 2^-24 of a norm of 1, in all. */
    const double inverse = 1 / norm;
    for (uint32_t i = 0; i < codes->dim; i++) out[i] = (float)((double)out[i] * inverse);
    return true;
}

/* x: [dim] becomes M (x - c). Returns a bound on the error of the result (a NaN when x - c is too
 * large). */
static double codes_turn(const struct codes *codes, const float *centre, float *x)
{
    if (centre != NULL) {
        for (uint32_t i = 0; i < codes->dim; i++) x[i] -= centre[i];
    }
    rotation_apply(&codes->rotation, codes->kernels, x);
    const double norm = sqrt(codes_square(x, codes->dim));
    /* turn_error is relative to the exact norm, at most 1.001 of this one. */
    double error = norm * 1.001 * codes->turn_error + CODES_ERROR_MIN;
    if (codes->metric == OMENDB_COSINE) error += 1.02 * CODES_F32_UNIT;
    return norm <= 4 * CODES_NORM_MAX ? error : (double)NAN;
}

/* The largest bf16 bits at or above a positive value; 0 when there are none. */
static uint16_t codes_error_bits(double error)
{
    if (!(error > 0 && error < 0x1p100)) return 0;
    const float nearest = (float)(error * (1 + 0x1p-23)); /* At or above. */
    uint32_t bits;
    memcpy(&bits, &nearest, sizeof bits);
    return (uint16_t)((bits + 0xFFFFu) >> 16);
}

static inline double codes_error_value(uint16_t error)
{
    const uint32_t bits = (uint32_t)error << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* |o - o^|^2 and |o^|^2 of a code; rounding is covered by CODES_SUM_ERROR. */
static void codes_measure(const float *turned, const uint8_t *code, uint32_t dim, float scale,
                          float low, double *error_square, double *square)
{
    double error_sum[2] = {0}, sum[2] = {0};
    for (uint32_t i = 0; i < dim; i++) {
        const double point = (double)low + (double)scale * (double)code[i];
        const double error = (double)turned[i] - point;
        error_sum[i % 2] += error * error;
        sum[i % 2] += point * point;
    }
    *error_square = error_sum[0] + error_sum[1];
    *square = sum[0] + sum[1];
}

void codes_encode(struct codes *codes, const void *vector, uint32_t centre, uint8_t *row)
{
    assert(centre < atomic_load_relaxed_u32(&codes->centre_count));
    const uint32_t dim = codes->dim;
    float *x = codes->scratch;
    memset(row, 0, codes->stride);
    if (!codes_widen(codes, vector, x)) return;
    const double turn_error = codes_turn(codes, codes->centres[centre], x);
    if (!(turn_error < CODES_NORM_MAX)) return; /* A NaN as well. */

    struct code_header header = {.centre = (uint16_t)centre};
    uint8_t *code = row + CODES_HEADER_SIZE;
    float min, max;
    codes->kernels->min_max(x, dim, &min, &max);
    const float scale = (max - min) / (float)KERNELS_CODE_MAX;
    header.low = min;
    if (scale > 0x1p-100f) { /* Else all components are the lowest one, within the error. */
        const float multiplier = 1.0f / scale;
        header.scale = scale;
        codes->kernels->quantize_u7(x, dim, multiplier, -min * multiplier, code);
    }
    double error_square, square;
    codes_measure(x, code, dim, header.scale, header.low, &error_square, &square);
    const double error = sqrt(error_square) * (1 + 1e-9) + sqrt(square) * 1e-12 + turn_error;
    header.length = (float)sqrt(square);
    header.error = codes_error_bits(error);
    memcpy(row, &header, sizeof header);
}

bool codes_verify_row(const struct codes *codes, const void *vector, const uint8_t *row,
                      float *scratch)
{
    struct code_header header;
    memcpy(&header, row, sizeof header);
    if (header.error == 0) return true; /* Claims nothing. */
    const uint8_t *code = row + CODES_HEADER_SIZE;
    if (header.centre >= atomic_load_acquire_u32(&codes->centre_count)) return false;
    for (uint32_t i = 0; i < codes->size; i++) {
        if (code[i] > (i < codes->dim ? KERNELS_CODE_MAX : 0)) return false;
    }
    if (!codes_widen(codes, vector, scratch)) return false;
    (void)codes_turn(codes, codes->centres[header.centre], scratch);
    double error_square, square;
    codes_measure(scratch, code, codes->dim, header.scale, header.low, &error_square, &square);
    const double length = sqrt(square);
    return sqrt(error_square) <= codes_error_value(header.error) &&
           fabs(length - (double)header.length) <= length * 1e-7 + 0x1p-140;
}

/* ---- Queries ------------------------------------------------------------------- */

/* Error of distance_exact() against exact arithmetic: simd/kernels.h invariant 4, distance.h. */
static double codes_distance_error(omendb_metric metric, uint32_t dim)
{
    const double roundings = (double)((dim + 31) / 32 + 5);
    /* The product, two norms (half of it each, and one rounding each), the result in f32 (<= 2). */
    if (metric == OMENDB_COSINE) return 1.01 * CODES_F32_UNIT * (2 * roundings + 6);
    return 1.01 * CODES_F32_UNIT * (roundings + 2);
}

/* Carves `size` bytes, aligned to a cache line. */
static void *codes_carve(uint8_t **at, size_t size)
{
    uint8_t *begin = *at;
    *at += (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    return begin;
}

omendb_status codes_query_begin(struct codes_query *query, const struct codes *codes,
                                const void *vector, bool *usable, omendb_error *err)
{
    const uint32_t centre_count = atomic_load_acquire_u32(&codes->centre_count);
    const size_t floats = (codes->dim * sizeof(float) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    const size_t digits = (size_t)CODES_CENTRES * 2 * codes->size;
    const size_t size = 2 * floats + digits + CODES_CHUNK * 2 * sizeof(int32_t);
    if (size > query->memory_size) {
        uint8_t *memory = alloc_aligned(CACHE_LINE, size);
        if (memory == NULL) return fail(err, OMENDB_ERR_NOMEM, "codes: a query");
        alloc_free(query->memory);
        query->memory = memory;
        query->memory_size = size;
    }
    uint8_t *at = query->memory;
    query->vector = codes_carve(&at, codes->dim * sizeof(float));
    query->turned = codes_carve(&at, codes->dim * sizeof(float));
    query->digits = codes_carve(&at, digits);
    query->sums = codes_carve(&at, CODES_CHUNK * 2 * sizeof(int32_t));
    query->codes = codes;
    query->centre_count = centre_count;
    for (uint32_t i = 0; i < CODES_CENTRES; i++) query->planes[i].ready = false;
    *usable = codes_widen(codes, vector, query->vector);
    query->norm = sqrt(codes_square(query->vector, codes->dim)) * (1 + 1e-9);
    query->distance_error = codes_distance_error(codes->metric, codes->dim);
    return OMENDB_OK;
}

void codes_query_deinit(struct codes_query *query)
{
    alloc_free(query->memory);
    *query = (struct codes_query){0};
}

static const int8_t *codes_digits(const struct codes_query *query, uint32_t centre)
{
    return query->digits + (size_t)centre * 2 * query->codes->size;
}

/* Turns the query about a centre and writes it in two digits to base 128. */
static void codes_plane_prepare(struct codes_query *query, uint32_t centre)
{
    const struct codes *codes = query->codes;
    const uint32_t dim = codes->dim;
    struct code_plane *plane = &query->planes[centre];
    int8_t *hi = query->digits + (size_t)centre * 2 * codes->size;
    int8_t *lo = hi + codes->size;
    float *x = query->turned;
    const bool product = codes->metric == OMENDB_IP;
    *plane = (struct code_plane){.ready = true};
    memset(hi, 0, (size_t)2 * codes->size);
    memcpy(x, query->vector, dim * sizeof *x);
    const double turn_error = codes_turn(codes, product ? NULL : codes->centres[centre], x);
    const float max = codes->kernels->max_abs(x, dim);
    if (max > 0x1p-100f) {
        plane->unit = (double)max / KERNELS_PLANE_MAX;
        codes->kernels->quantize_planes(x, dim, (float)(1 / plane->unit), hi, lo);
    }
    double error = 0;
    int64_t sum = 0, square = 0; /* At most 16384 * 16319^2 < 2^42.1: exact. */
    for (uint32_t i = 0; i < dim; i++) {
        const int32_t digits = 128 * hi[i] + lo[i];
        const double difference = (double)x[i] - plane->unit * digits;
        error += difference * difference;
        sum += digits;
        square += (int64_t)digits * digits;
    }
    plane->sum = plane->unit * (double)sum;
    plane->square = plane->unit * plane->unit * (double)square;
    plane->error = sqrt(error) * (1 + 1e-9) + sqrt(plane->square) * 1e-12 + turn_error;
    if (product) {
        const float *c = codes->centres[centre];
        double centre_square = 0;
        for (uint32_t i = 0; c != NULL && i < dim; i++) {
            plane->product += (double)c[i] * (double)query->vector[i];
            centre_square += (double)c[i] * (double)c[i];
        }
        plane->slack = sqrt(centre_square) * query->norm *
                           (query->distance_error + CODES_SUM_ERROR) +
                       CODES_ERROR_MIN * (1 + query->norm);
    }
    if (!isfinite(plane->error) || !isfinite(plane->slack)) plane->error = (double)INFINITY;
}

/* The f32 at or below a value, and at or above; what overflows becomes the largest one or an
 * infinity. */
static float codes_round_down(double value)
{
    if (value < -(double)3.4e38f) return -INFINITY;
    if (value > (double)3.4e38f) return 3.4e38f;
    const float nearest = (float)value;
    if ((double)nearest <= value) return nearest;
    /* nextafterf() towards -infinity, of a finite value: a call saved for each candidate. */
    uint32_t bits;
    memcpy(&bits, &nearest, sizeof bits);
    bits = nearest > 0 ? bits - 1 : nearest < 0 ? bits + 1 : UINT32_C(0x80000001);
    float below;
    memcpy(&below, &bits, sizeof below);
    return below;
}

static float codes_round_up(double value)
{
    return -codes_round_down(-value);
}

/* sums: [count][2] of rows that all have this centre. Appends to out; index counts from `first`. */
/* The largest |x - q| whose ranking distance may be within the limit. */
static double codes_reach(const struct codes_query *query, float limit)
{
    const bool cosine = query->codes->metric == OMENDB_COSINE;
    if (!(limit < INFINITY)) return (double)INFINITY;
    const double square = cosine ? 2 * ((double)limit + query->distance_error)
                                 : ((double)limit + 0x1p-130) / (1 - query->distance_error);
    return square > 0 ? sqrt(square) * (1 + 1e-12) : 0;
}

RACY_READS static uint32_t codes_bounds_distance(const struct codes_query *query,
                                                 const struct code_plane *plane,
                                                 const uint8_t *rows, const int32_t *sums,
                                                 uint32_t first, uint32_t count, float limit,
                                                 double reach_exact, struct code_bound *out)
{
    const bool cosine = query->codes->metric == OMENDB_COSINE;
    const double relative = cosine ? 0 : query->distance_error;
    const double absolute = cosine ? query->distance_error : 0x1p-130;
    const double half = cosine ? 0.5 : 1.0; /* ranking = half |x - q|^2, within those errors. */
    const double reach = reach_exact + plane->error; /* Left out: least > (reach + error)^2. */
    const size_t stride = query->codes->stride;
    /* `length` was rounded to f32: 2 * 2^-24 of its square; the rest is double. Both slacks are
     * taken off at once, so that the common case is short. */
    const double by_square = 1.25e-7 + CODES_SUM_ERROR,
                 fixed_slack = CODES_SUM_ERROR * plane->square;
    const double least_square = plane->square - fixed_slack;
    const double twice_unit = 2 * plane->unit, twice_sum = 2 * plane->sum;
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct code_header header;
        memcpy(&header, rows + i * stride, sizeof header);
        const double square = (double)header.length * (double)header.length;
        const double error = codes_error_value(header.error);
        const int64_t digits = 128 * (int64_t)sums[2 * i] + sums[2 * i + 1];
        const double twice_dot = (double)header.scale * twice_unit * (double)digits +
                                 (double)header.low * twice_sum;
        const double least = square * (1 - by_square) + least_square - twice_dot;
        const double far = reach + error;
        if (least > far * far && header.error != 0) continue;

        const double most = square * (1 + by_square) + plane->square + fixed_slack - twice_dot;
        struct code_bound bound = {first + i, -INFINITY, INFINITY};
        if (header.error != 0 && plane->error < (double)INFINITY) {
            const double e = error + plane->error;
            const double nearest = least > 0 ? sqrt(least) * (1 - 1e-12) - e : 0;
            const double low = nearest > 0 ? nearest : 0;
            const double high = (most > 0 ? sqrt(most) * (1 + 1e-12) : 0) + e;
            bound.lower = codes_round_down(half * low * low * (1 - relative) - absolute);
            bound.upper = codes_round_up(half * high * high * (1 + relative) + absolute);
        }
        if (bound.lower <= limit) out[found++] = bound;
    }
    return found;
}

RACY_READS static uint32_t codes_bounds_product(const struct codes_query *query,
                                                const struct code_plane *plane, const uint8_t *rows,
                                                const int32_t *sums, uint32_t first, uint32_t count,
                                                float limit, struct code_bound *out)
{
    /* slack = error |q| + length |M q - q^| + rounding of the product, in proportion to |x| |q|,
     * where |x| <= |c| + length + error. */
    const double by_error = query->norm * (1 + query->distance_error + 1e-9);
    const double by_length = plane->error * (1 + 1e-6) +
                             query->norm * (query->distance_error + CODES_SUM_ERROR) * (1 + 1e-6);
    const size_t stride = query->codes->stride;
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct code_header header;
        memcpy(&header, rows + i * stride, sizeof header);
        const int64_t digits = 128 * (int64_t)sums[2 * i] + sums[2 * i + 1];
        const double estimate = (double)header.scale * plane->unit * (double)digits +
                                (double)header.low * plane->sum + plane->product;
        const double slack = codes_error_value(header.error) * by_error +
                             (double)header.length * by_length + plane->slack;
        if (estimate + slack < -(double)limit && header.error != 0) continue;

        struct code_bound bound = {first + i, -INFINITY, INFINITY};
        if (header.error != 0 && plane->error < (double)INFINITY) {
            bound.lower = codes_round_down(-estimate - slack);
            bound.upper = codes_round_up(-estimate + slack);
        }
        if (bound.lower <= limit) out[found++] = bound;
    }
    return found;
}

RACY_READS static uint16_t codes_row_centre(const uint8_t *row)
{
    uint16_t centre;
    memcpy(&centre, row + offsetof(struct code_header, centre), sizeof centre);
    return centre;
}

uint32_t codes_bounds(struct codes_query *query, const uint8_t *rows, uint32_t count, float limit,
                      struct code_bound *out)
{
    assert(count <= CODES_CHUNK);
    const struct codes *codes = query->codes;
    const size_t stride = codes->stride;
    const double reach = codes_reach(query, limit);
    uint32_t found = 0, run_max = CODES_RUN_MAX;
    for (uint32_t begin = 0, end = 0; begin < count; begin = end) {
        const uint8_t *run = rows + begin * stride;
        const uint16_t centre = codes_row_centre(run);
        const uint32_t end_max = count - begin < run_max ? count : begin + run_max;
        const bool known = centre < query->centre_count;
        struct code_plane *plane = known ? &query->planes[centre] : NULL;
        if (known) {
            if (!plane->ready) codes_plane_prepare(query, centre);
            const int8_t *hi = codes_digits(query, centre);
            codes->kernels->u7_dot2(hi, hi + codes->size, run + CODES_HEADER_SIZE, stride,
                                    codes->size, end_max - begin, query->sums);
        }
        /* Only now, when the kernel has brought the rows in: are they all of this centre? Else the
         * sums of the others are thrown away, and the next run is kept short. */
        for (end = begin + 1; end < end_max && codes_row_centre(rows + end * stride) == centre;)
            end++;
        run_max = end == end_max && run_max < CODES_RUN_MAX ? 2 * run_max
                  : end < end_max                           ? end - begin
                                                            : run_max;
        if (!known) { /* Newer than the query, so not visible to it. */
            for (uint32_t i = begin; i < end; i++)
                out[found++] = (struct code_bound){i, -INFINITY, INFINITY};
        } else if (codes->metric == OMENDB_IP) {
            found += codes_bounds_product(query, plane, run, query->sums, begin, end - begin, limit,
                                          out + found);
        } else {
            found += codes_bounds_distance(query, plane, run, query->sums, begin, end - begin,
                                           limit, reach, out + found);
        }
    }
    return found;
}
