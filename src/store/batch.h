/* batch.h - operations of one atomic batch, in the very bytes that go to the log.
 *
 * A batch is a buffer of `struct operation` records (format.h). Whoever builds it has validated
 * the content: documents by schema, vectors finite and converted to the field's type.
 * batch_validate() checks structure only, for bytes that come from a log.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "base/buffer.h"
#include "store/format.h"

struct batch {
    struct buffer bytes;
    uint32_t operation_count;
    uint32_t operation_at; /* Where the open operation begins. */
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

/* To undo a failed addition: remember and return to a length. */
struct batch_mark {
    size_t size;
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
static inline const void *operation_vector_bytes(const struct operation_vector *vector)
{
    return vector + 1;
}

#endif /* STORE_BATCH_H */
