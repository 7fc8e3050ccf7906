/* batch.h - operations of one atomic batch, in the very bytes that go to the log.
 *
 * A batch is a buffer of `struct operation` records (format.h). Whoever builds it has validated
 * the content: documents by schema, vectors finite and converted to the field's type.
 * batch_validate() checks structure only, for bytes that come from a log.
 *
 * Conditions stand beside the bytes: they decide whether a batch is committed, under the writer lock,
 * and then are of no more interest. The log never sees them.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include <stdbool.h>

#include "base/buffer.h"
#include "store/format.h"

/* The document that an operation is about must have this version before it; VERSION_MISSING: there
 * must be none. */
struct batch_condition {
    uint32_t operation; /* Its number in the batch; ascending. */
    uint64_t version;
};
#define VERSION_MISSING UINT64_C(0)

struct batch {
    struct buffer bytes;
    uint32_t operation_count;
    uint32_t operation_at; /* Where the open operation begins. */
    struct batch_condition *conditions;
    size_t condition_count, condition_capacity;
    /* With `exclusive`: no document of the batch may have changed after `since`. */
    bool exclusive;
    uint64_t since;
};

/* Appends an operation; vectors follow by batch_add_vector(). A batch larger than
 * OMENDB_BATCH_SIZE_MAX is FULL. On failure the batch is as it was. */
omendb_status batch_add(struct batch *batch, enum operation_type type, uint32_t collection,
                        const void *id_text /* NULL: number */, uint32_t id_size,
                        uint64_t id_number, const void *document, uint32_t document_size,
                        omendb_error *err);

/* Appends a vector of the last operation and gives the address of its `size` bytes, to be filled
 * before the next call. */
omendb_status batch_add_vector(struct batch *batch, uint32_t field, uint32_t size, void **out,
                               omendb_error *err);

/* Puts a condition on the last operation. NOMEM. */
omendb_status batch_add_condition(struct batch *batch, uint64_t version, omendb_error *err);

/* Behind the last one; NULL when there are none, as is the first then. */
static inline const struct batch_condition *batch_conditions_end(const struct batch *batch)
{
    return batch->condition_count != 0 ? batch->conditions + batch->condition_count
                                       : batch->conditions;
}

/* Appends the operations of another batch, without its conditions. FULL, NOMEM: nothing of it. */
omendb_status batch_append(struct batch *batch, const struct batch *more, omendb_error *err);

/* To undo a failed addition: remember and return to a length. */
struct batch_mark {
    size_t size, condition_count;
    uint32_t operation_count, operation_at;
};
struct batch_mark batch_mark(const struct batch *batch);
void batch_return(struct batch *batch, struct batch_mark mark);

void batch_clear(struct batch *batch);
void batch_deinit(struct batch *batch);

/* CORRUPT unless the bytes are well-formed operations. */
omendb_status batch_validate(const uint8_t *bytes, size_t size, uint32_t operation_count,
                             omendb_error *err);

/* Parts of a well-formed operation. */
const uint8_t *operation_id_text(const struct operation *op);
const uint8_t *operation_document(const struct operation *op);
/* First vector (NULL: none) and the one after. */
const struct operation_vector *operation_vector_first(const struct operation *op);
const struct operation_vector *operation_vector_next(const struct operation_vector *vector);
/* The vector of a field; NULL: none. */
const struct operation_vector *operation_vector_find(const struct operation *op, uint32_t field);
static inline const void *operation_vector_bytes(const struct operation_vector *vector)
{
    return vector + 1;
}

#endif /* STORE_BATCH_H */
