/* result.h - what a query gives back: copies of ids, JSON texts and vectors.
 *
 *     omendb_documents ── first, count ──┐
 *     omendb_hits ─ views[query] ────────┤
 *                                        ▼
 *     result   entries  [ {id, json, found} | ... ]     one for each document
 *              text     ids and JSON texts, back to back, each JSON text NUL-terminated
 *              vectors  bytes at multiples of RESULT_VECTOR_ALIGN; places[entry][field] says where
 *
 * All is copied while the snapshot is open, so that a result outlives it, and the collection. While
 * it is built, buffers move: entries hold offsets.
 *
 * Threads: one builds; once built it never changes.
 */
#ifndef QUERY_RESULT_H
#define QUERY_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "store/collection.h"

enum { RESULT_VECTOR_ALIGN = 16 };
#define RESULT_NO_VECTOR UINT64_MAX

struct result_entry {
    uint64_t id_number;
    uint64_t id_offset; /* Into text. */
    uint64_t json_offset;
    uint64_t version; /* 0: not found. */
    uint32_t id_size; /* 0: the id is id_number. */
    uint32_t json_size;
    bool found;
    bool has_json;
};

struct result_field { /* A copy: a result outlives its collection. */
    char name[OMENDB_NAME_SIZE_MAX + 1];
    omendb_type type;
    uint32_t dim;
};

struct result {
    uint32_t flags;               /* OMENDB_WITH_* */
    struct result_entry *entries; /* [count] */
    size_t count, capacity;
    struct buffer text;
    struct buffer vectors;
    struct buffer places; /* uint64_t [count][fields_count], offsets or RESULT_NO_VECTOR */
    struct result_field *fields;
    uint32_t fields_count; /* 0 without WITH_VECTORS. */
};

/* The public handles. */
struct omendb_documents {
    struct result own; /* Of a get or find; empty for the view of a query. */
    const struct result *result;
    size_t first, count;
};

struct omendb_hits {
    struct result result;
    uint32_t k; /* Columns of distances and scores. */
    size_t query_count;
    omendb_documents *views; /* [query_count] */
    float *distances;        /* [query_count][k], NaN past a query's count */
    float *scores;
    struct buffer explain; /* NUL-terminated JSON. */
};

/* In place. NOMEM. */
omendb_status result_init(struct result *result, const struct schema *schema, uint32_t flags,
                          omendb_error *err);
void result_deinit(struct result *result); /* {0} is allowed. */

/* Adds the document of a visible slot, whose id is `id`. The snapshot must be open; `scratch` is
 * for documents that span blocks. NOMEM, CORRUPT, IO; the result is then good for deinit only. */
omendb_status result_add(struct result *result, struct collection *collection, uint32_t slot,
                         const struct id_view *id, struct buffer *scratch, omendb_error *err);

/* Adds a document that a transaction has written, as its version OMENDB_VERSION_OWN. NOMEM. */
omendb_status result_add_own(struct result *result, const struct schema *schema,
                             const struct operation *own, omendb_error *err);

/* Adds the answer "there is no such document". */
omendb_status result_add_missing(struct result *result, const struct id_view *id,
                                 omendb_error *err);

/* Makes the handle of a get or find, empty but for the schema's fields. */
omendb_status result_create_documents(const struct schema *schema, uint32_t flags,
                                      omendb_documents **out, omendb_error *err);
void result_destroy_documents(omendb_documents *documents);

/* Makes the handle of a search with room for query_count x k hits. */
omendb_status result_create_hits(const struct schema *schema, uint32_t flags, size_t query_count,
                                 uint32_t k, omendb_hits **out, omendb_error *err);
void result_destroy_hits(omendb_hits *hits);

/* The vector of an entry, or NULL. field: index into result->fields. */
const void *result_vector(const struct result *result, size_t entry, uint32_t field);

#endif /* QUERY_RESULT_H */
