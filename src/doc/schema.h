/* schema.h - what a collection's documents look like: named vector fields and declared types.
 *
 * A schema is immutable once made and shared by reference; its encoded form lies in the catalog
 * and in the WAL (docs/FORMAT.md, "schema").
 *
 * Threads: any, it never changes.
 */
#ifndef DOC_SCHEMA_H
#define DOC_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

struct schema_vector {
    char name[OMENDB_NAME_SIZE_MAX + 1];
    omendb_type type;
    omendb_metric metric;
    omendb_index index; /* As it was made; may have been switched since (index/). */
    uint32_t dim;
    uint32_t size; /* Bytes of one stored vector: dim x element, (dim + 7) / 8 for bits. */
};

struct schema_field {
    char name[OMENDB_NAME_SIZE_MAX + 1];
    omendb_field_type type;
};

struct schema {
    uint32_t vectors_count;
    uint32_t fields_count;
    struct schema_vector *vectors; /* [vectors_count] */
    struct schema_field *fields;   /* [fields_count] */
};

enum { SCHEMA_FIELDS_MAX = 256 };

/* Checks and copies what the caller gave (NULL: no vectors, no declared fields).
 * Errors: ARGUMENT (names, duplicates, dim, type, metric, index, struct_size), UNSUPPORTED (members
 * of a later version are in use), NOMEM. */
omendb_status schema_create(const omendb_schema *from, struct schema **out, omendb_error *err);
void schema_destroy(struct schema *schema);

omendb_status schema_encode(const struct schema *schema, struct buffer *out, omendb_error *err);
/* Hostile bytes are CORRUPT, never out of bounds. *used: bytes taken. */
omendb_status schema_decode(const uint8_t *bytes, size_t size, size_t *used, struct schema **out,
                            omendb_error *err);

/* Appends "vectors":[...],"fields":[...] (no braces) as in omendb_collection_describe().
 * indexes: [vectors_count] what each field has now; NULL: as they were made. */
omendb_status schema_describe(const struct schema *schema, const omendb_index *indexes,
                              struct buffer *out, omendb_error *err);

/* Index of the vector field `name` (NULL: the only one), or ARGUMENT / NOT_FOUND. */
omendb_status schema_vector_index(const struct schema *schema, const char *name, uint32_t *out,
                                  omendb_error *err);

/* VALUE when a declared field of the binary document has another type. */
omendb_status schema_check_document(const struct schema *schema, const uint8_t *document,
                                    size_t size, omendb_error *err);

/* 1 to OMENDB_NAME_SIZE_MAX bytes of valid UTF-8 without control characters or '/': else
 * ARGUMENT, naming `what`. */
omendb_status schema_check_name(const char *what, const char *name, omendb_error *err);

size_t schema_vector_size(omendb_type type, uint32_t dim);
const char *schema_type_name(omendb_type type);       /* "f32" ... */
const char *schema_metric_name(omendb_metric metric); /* "l2" ... */
const char *schema_index_name(omendb_index index);    /* "fast" ... */
const char *schema_field_type_name(omendb_field_type type);

#endif /* DOC_SCHEMA_H */
