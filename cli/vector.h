/* vector.h - vectors as text, and the names of types and metrics.
 *
 * Text form: a JSON array of numbers. Numbers go straight to f32 (strtof, correctly rounded); for
 * fields of bits the array holds 0 and 1 and is packed, bit i in byte i / 8 at position i % 8.
 * What is printed reads back to the same f32.
 */
#ifndef CLI_VECTOR_H
#define CLI_VECTOR_H

#include "member.h"
#include "text.h"

bool vector_type_of(struct span name, omendb_type *out);     /* "f32" ... */
bool vector_metric_of(struct span name, omendb_metric *out); /* "l2" ... */
const char *vector_type_name(omendb_type type);

/* Bytes of one vector. */
size_t vector_size(omendb_type type, uint32_t dim);

/* Parses an array into `out` (cleared first): f32 values, or packed bits for OMENDB_BIT. *dim is
 * the number of components. `text` must be followed by a byte that ends a number (NUL, ']').
 * VALUE: not an array of numbers; ARGUMENT: more than OMENDB_DIM_MAX. */
omendb_status vector_parse(struct span text, omendb_type type, struct text *out, uint32_t *dim,
                           omendb_error *err);

/* Appends a JSON array; at most `shown` components, then "...". */
void vector_append(struct text *out, const void *vector, omendb_type type, uint32_t dim,
                   uint32_t shown);

#endif /* CLI_VECTOR_H */
