/* document.h - the binary form of a JSON object: what is stored, filtered and compared.
 *
 * A document is one value, an object, with everything inside it; it holds no pointers, has no
 * alignment and starts anywhere. All integers are little-endian. A value is a tag byte and what
 * the tag asks for:
 *
 *     tag          value        behind the tag
 *     0x00         null         -
 *     0x01, 0x02   false, true  -
 *     0x03 .. 06   integer      1, 2, 4 or 8 bytes, signed
 *     0x07         integer      8 bytes, unsigned, above INT64_MAX
 *     0x08, 0x09   float        IEEE binary32 or binary64, finite
 *     0x10 + w     string       size (W bytes), UTF-8
 *     0x14 + w     bytes        size (W bytes), any bytes
 *     0x18 + w     decimal      size (W bytes), the digits of an integer beyond 64 bits: -?[1-9][0-9]*
 *     0x1c + w     array        see below
 *     0x20 + w     object       see below
 *     0x40 .. 7f   integer      -, it is tag - 0x40: 0 .. 63
 *     0x80 .. bf   string       tag - 0x80 bytes of UTF-8: 0 .. 63
 *
 * where w = 0, 1, 2 stands for W = 1, 2, 4 bytes. All other tags are reserved.
 *
 *     array   +0       tag                     object  +0       tag
 *             +1       size of the whole (W)           +1       size of the whole (W)
 *             +1+W     count (W)                       +1+W     count (W)
 *             +1+2W    stride (1 byte)                 +1+2W    offset[count] (W each)
 *             +2+2W    offset[count] (W each)          then     order[count] (W each),
 *                      only where stride is 0                   only where count > 16
 *             then     the items, back to back         then     the members, back to back
 *
 * A stride other than 0 is the size of every item, so item i needs no offset. Offsets count from
 * the container's tag. A member is its key's size (1 byte below 255; else 255 and 4 bytes), the
 * key, the value. Members stand in the order in which they were written; `order` lists them in
 * ascending bytewise order of their keys for binary search. 16 members or fewer are searched in
 * turn: reading their sizes is quicker than a search and costs no bytes.
 *
 * Invariants (document_validate() proves them, everything else relies on them)
 *   1. Items and members tile their container: each begins where the one before ended, the last
 *      one ends with the container, and the root ends with the document.
 *   2. Keys and strings are UTF-8; no two keys of an object are equal.
 *   3. Containers nest at most OMENDB_DEPTH_MAX deep, the root counted.
 *   4. Floats are finite; 0x07 is above INT64_MAX; a decimal is outside [INT64_MIN, UINT64_MAX].
 *
 * Cost: the 16,997 rows of the package collection take 9 % fewer bytes than their compact JSON.
 * Threads: any number of readers; nothing here writes or allocates.
 * On disk: document blocks and batch frames (docs/FORMAT.md, "document").
 */
#ifndef DOC_DOCUMENT_H
#define DOC_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum value_kind {
    VALUE_NULL,
    VALUE_FALSE,
    VALUE_TRUE,
    VALUE_INT,     /* int64 */
    VALUE_UINT,    /* uint64, always above INT64_MAX */
    VALUE_FLOAT,   /* float64 */
    VALUE_DECIMAL, /* bytes, size: the digits of an integer beyond 64 bits, as they were written */
    VALUE_STRING,  /* bytes, size: UTF-8 */
    VALUE_BYTES,   /* bytes, size */
    VALUE_ARRAY,   /* count */
    VALUE_OBJECT   /* count */
};

/* A view of one value; lives as long as the document's bytes. Scalars may also be made by hand
 * (kind and the fields named above) to be compared with. */
struct value {
    enum value_kind kind;
    uint32_t size;  /* Bytes of `bytes`. */
    uint32_t count; /* Items or members. */
    union {
        int64_t int64;
        uint64_t uint64;
        double float64;
    };
    const uint8_t *bytes; /* Contents; of an array or object its tag and all that follows. */
};

struct value_iterator {
    const uint8_t *at;
    uint32_t left;
    bool has_keys;
};

/* Checks every invariant of `bytes`; only then may the functions below see them. The size is at
 * most UINT32_MAX. CORRUPT with the offset. Cost: O(size). */
omendb_status document_validate(const uint8_t *bytes, size_t size, omendb_error *err);

/* The root object of a valid document. */
void document_root(const uint8_t *bytes, size_t size, struct value *out);

/* The member `key` of an object. False (and *out as it was): no such member, or no object.
 * Cost: 11 to 22 ns among 10 members; O(log count) comparisons of keys beyond 16. */
bool value_member(const struct value *object, const char *key, size_t key_size, struct value *out);

/* Item `index` of an array, O(1). False: past the end, or no array. */
bool value_item(const struct value *array, size_t index, struct value *out);

/* Goes through the items of an array or the members of an object in their own order; a scalar
 * has none. `key` and `key_size` may be NULL; for items they become NULL and 0.
 *     value_iterate(&object, &it); while (value_next(&it, &key, &key_size, &item)) ... */
void value_iterate(const struct value *container, struct value_iterator *out);
bool value_next(struct value_iterator *iterator, const char **key, size_t *key_size,
                struct value *out);

/* What compares with what: values of different brackets are never equal, and range operators
 * don't cross them. The order of all values is the order of the brackets. */
enum value_bracket {
    VALUE_BRACKET_NULL,
    VALUE_BRACKET_BOOL,
    VALUE_BRACKET_NUMBER,
    VALUE_BRACKET_STRING,
    VALUE_BRACKET_BYTES,
    VALUE_BRACKET_ARRAY,
    VALUE_BRACKET_OBJECT
};
enum value_bracket value_bracket(const struct value *value);

/* A total order, < 0, 0 or > 0: brackets; false before true; numbers by exact value whatever
 * their kind (2^53 + 1 is above 2^53 as a float, -0.0 equals 0); strings and bytes bytewise, a
 * prefix first; arrays item by item, a prefix first; objects as lists of (key, value) sorted by
 * key, so the order of members doesn't count. */
int value_compare(const struct value *a, const struct value *b);
bool value_equal(const struct value *a, const struct value *b); /* value_compare() == 0 */

/* The nearest double (infinite beyond the largest), for statistics and scores; false where the
 * value is no number. */
bool value_as_float(const struct value *value, double *out);

/* Reads the value that begins at `at` in a valid document; returns where it ends. */
const uint8_t *value_read(const uint8_t *at, struct value *out);

/* Where the layout is needed outside document.c (build.c): see the tables above. */
enum document_tag {
    DOCUMENT_NULL = 0x00,
    DOCUMENT_FALSE = 0x01,
    DOCUMENT_TRUE = 0x02,
    DOCUMENT_I8 = 0x03,
    DOCUMENT_I16 = 0x04,
    DOCUMENT_I32 = 0x05,
    DOCUMENT_I64 = 0x06,
    DOCUMENT_U64 = 0x07,
    DOCUMENT_F32 = 0x08,
    DOCUMENT_F64 = 0x09,
    DOCUMENT_STRING = 0x10,
    DOCUMENT_BYTES = 0x14,
    DOCUMENT_DECIMAL = 0x18,
    DOCUMENT_ARRAY = 0x1c,
    DOCUMENT_OBJECT = 0x20,
    DOCUMENT_SMALL_INT = 0x40,
    DOCUMENT_SMALL_STRING = 0x80
};
enum {
    DOCUMENT_SMALL_COUNT = 64,   /* Small integers and the sizes of small strings are below. */
    DOCUMENT_UNORDERED_MAX = 16, /* Objects of more members have an order table. */
    DOCUMENT_KEY_LONG = 255      /* Size byte of a key whose size follows in 4 bytes. */
};

#endif /* DOC_DOCUMENT_H */
