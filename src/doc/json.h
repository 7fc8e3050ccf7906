/* json.h - JSON text to binary documents and back, and straight into vectors of f32.
 *
 * The reader is strict RFC 8259: UTF-8 without overlong forms or surrogates, no trailing commas,
 * comments or NaN, nothing behind the value, every key once per object. What it accepts it keeps:
 *   - key order, and whether a number was written as an integer (no '.', no exponent) or as a float;
 *   - integers of any size (beyond 64 bits as VALUE_DECIMAL), -0.0; "-0" is the integer 0;
 *   - floats as the nearest double, ties to even, whatever the process's locale and rounding mode;
 *     beyond the largest double is VALUE, never infinity;
 *   - {"$binary": "<base64>"} with exactly that key and canonical padded base64 as VALUE_BYTES
 *     (below the root; anything else stays an ordinary object).
 *
 * Errors name the byte, line and column, and what was expected:
 *     json: byte 17 (line 2, column 5): expected ',' or '}'
 *
 * Limits: OMENDB_DOCUMENT_SIZE_MAX bytes of text, OMENDB_DEPTH_MAX levels: ARGUMENT.
 * Threads: any; no state. Memory: `out`, and scratch only for more than 256 open items.
 */
#ifndef DOC_JSON_H
#define DOC_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "doc/document.h"

/* Appends the document of the JSON object `text` (no NUL needed) to `out`. On an error `out` has
 * its old size. VALUE (text), ARGUMENT (limits), NOMEM. */
omendb_status json_to_document(const char *text, size_t size, struct buffer *out,
                               omendb_error *err);

/* Reads a JSON array of numbers into out [count_max], each rounded once, to the nearest f32,
 * as strtof() does. VALUE (text, a number beyond f32), DIMENSION (more than count_max), ARGUMENT
 * (limits). out may be partly written on an error; *count is not. */
omendb_status json_read_floats(const char *text, size_t size, float *out, size_t count_max,
                               size_t *count, omendb_error *err);

/* Appends the JSON text of a valid document: no white space, shortest floats that read back
 * equal, escapes only where RFC 8259 demands them. NOMEM. */
omendb_status document_to_json(const uint8_t *bytes, size_t size, struct buffer *out,
                               omendb_error *err);

/* The same for one value; and a string literal with its quotes (text must be UTF-8). */
omendb_status json_append_value(struct buffer *out, const struct value *value, omendb_error *err);
omendb_status json_append_string(struct buffer *out, const char *text, size_t size,
                                 omendb_error *err);

#endif /* DOC_JSON_H */
