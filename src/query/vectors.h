/* vectors.h - vectors from callers: checked, and converted to the type of their field.
 *
 * The type's values are kept (integers to floats, f32 to f16 rounds to nearest even); f64 goes
 * through f32. What the field's type can't hold is VALUE: a number that overflows, a fraction in
 * an integer field. Bits and numbers don't convert into each other: ARGUMENT. A vector in the
 * field's own type is copied byte for byte.
 *
 * Threads: pure functions.
 */
#ifndef QUERY_VECTORS_H
#define QUERY_VECTORS_H

#include "base/status.h"
#include "doc/schema.h"
#include "simd/kernels.h"

/* Type and dimension before any vector is looked at. ARGUMENT, DIMENSION. */
omendb_status vectors_check_shape(const struct schema_vector *field, omendb_type type, uint32_t dim,
                                  omendb_error *err);

/* One vector of a checked shape. `from` has any alignment; to: [field->size], at a multiple of 8;
 * scratch: [dim], used unless the types are equal. VALUE: NaN, infinity, overflow, zero under
 * cosine, bits set past dim; the message names the component. */
omendb_status vectors_convert(const struct kernels *kernels, const struct schema_vector *field,
                              omendb_type type, const void *from, void *to, float *scratch,
                              omendb_error *err);

#endif /* QUERY_VECTORS_H */
