#include "store/batch.h"

#include <string.h>

#include "base/alloc.h"

enum { OPERATION_ALIGN = 8 };

static size_t padded(size_t size)
{
    return (size + OPERATION_ALIGN - 1) & ~(size_t)(OPERATION_ALIGN - 1);
}

struct batch_mark batch_mark(const struct batch *batch)
{
    return (struct batch_mark){.size = batch->bytes.size,
                               .condition_count = batch->condition_count,
                               .operation_count = batch->operation_count,
                               .operation_at = batch->operation_at};
}

void batch_return(struct batch *batch, struct batch_mark mark)
{
    batch->bytes.size = mark.size;
    batch->operation_count = mark.operation_count;
    batch->operation_at = mark.operation_at;
    batch->condition_count = mark.condition_count;
}

void batch_clear(struct batch *batch)
{
    batch_return(batch, (struct batch_mark){0});
}

void batch_deinit(struct batch *batch)
{
    buffer_deinit(&batch->bytes);
    alloc_free(batch->conditions);
    *batch = (struct batch){0};
}

static omendb_status room_for(struct batch *batch, size_t more, omendb_error *err)
{
    if (batch->bytes.size + more > OMENDB_BATCH_SIZE_MAX)
        return fail(err, OMENDB_ERR_FULL, "the batch would exceed %u bytes: commit it in parts",
                    OMENDB_BATCH_SIZE_MAX);
    return buffer_reserve(&batch->bytes, more, err);
}

static void append_padded(struct buffer *bytes, const void *from, size_t size)
{
    if (size != 0) memcpy(bytes->data + bytes->size, from, size);
    memset(bytes->data + bytes->size + size, 0, padded(size) - size);
    bytes->size += padded(size);
}

omendb_status batch_add(struct batch *batch, enum operation_type type, uint32_t collection,
                        const void *id_text, uint32_t id_size, uint64_t id_number,
                        const void *document, uint32_t document_size, omendb_error *err)
{
    const struct operation op = {
        .size = sizeof op + padded(id_size) + padded(document_size),
        .type = (uint8_t)type,
        .id_is_text = id_text != NULL,
        .collection = collection,
        .id_size = id_size,
        .document_size = document_size,
        .id_number = id_number,
    };
    TRY(room_for(batch, op.size, err));
    batch->operation_at = (uint32_t)batch->bytes.size;
    batch->operation_count++;
    append_padded(&batch->bytes, &op, sizeof op);
    append_padded(&batch->bytes, id_text, id_size);
    append_padded(&batch->bytes, document, document_size);
    return OMENDB_OK;
}

omendb_status batch_add_vector(struct batch *batch, uint32_t field, uint32_t size, void **out,
                               omendb_error *err)
{
    const struct operation_vector head = {.field = field, .size = size};
    const size_t more = sizeof head + padded(size);
    struct operation op;
    TRY(room_for(batch, more, err));
    append_padded(&batch->bytes, &head, sizeof head);
    *out = batch->bytes.data + batch->bytes.size;
    if (size % OPERATION_ALIGN != 0)
        memset(batch->bytes.data + batch->bytes.size + size, 0, padded(size) - size);
    batch->bytes.size += padded(size);
    memcpy(&op, batch->bytes.data + batch->operation_at, sizeof op);
    op.size += more;
    op.vector_count++;
    memcpy(batch->bytes.data + batch->operation_at, &op, sizeof op);
    return OMENDB_OK;
}

omendb_status batch_add_condition(struct batch *batch, uint64_t version, omendb_error *err)
{
    if (!alloc_grow(&batch->conditions, &batch->condition_capacity, batch->condition_count + 1,
                    sizeof *batch->conditions))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: conditions of a batch");
    batch->conditions[batch->condition_count++] = (struct batch_condition){
        .operation = batch->operation_count - 1, .version = version};
    return OMENDB_OK;
}

omendb_status batch_append(struct batch *batch, const struct batch *more, omendb_error *err)
{
    const size_t begin = batch->bytes.size;
    TRY(room_for(batch, more->bytes.size, err));
    TRY(buffer_append(&batch->bytes, more->bytes.data, more->bytes.size, err));
    batch->operation_count += more->operation_count;
    batch->operation_at = (uint32_t)begin + more->operation_at;
    return OMENDB_OK;
}

const uint8_t *operation_id_text(const struct operation *op)
{
    return (const uint8_t *)(op + 1);
}

const uint8_t *operation_document(const struct operation *op)
{
    return (const uint8_t *)(op + 1) + padded(op->id_size);
}

const struct operation_vector *operation_vector_first(const struct operation *op)
{
    if (op->vector_count == 0) return NULL;
    return (const void *)(operation_document(op) + padded(op->document_size));
}

const struct operation_vector *operation_vector_next(const struct operation_vector *vector)
{
    return (const void *)((const uint8_t *)(vector + 1) + padded(vector->size));
}

const struct operation_vector *operation_vector_find(const struct operation *op, uint32_t field)
{
    const struct operation_vector *vector = operation_vector_first(op);
    for (uint32_t i = 0; i < op->vector_count; i++) {
        if (vector->field == field) return vector;
        vector = operation_vector_next(vector);
    }
    return NULL;
}

static omendb_status operation_validate(const uint8_t *bytes, size_t size, omendb_error *err)
{
    const struct operation *op = (const void *)bytes;
    if (size < sizeof *op || op->size < sizeof *op || op->size > size || op->size % 8 != 0)
        return fail(err, OMENDB_ERR_CORRUPT, "an operation of the log has no valid size");
    uint64_t used = sizeof *op + padded(op->id_size);
    used += padded(op->document_size);
    if (op->type > OPERATION_RENAME_COLLECTION)
        return fail(err, OMENDB_ERR_UNSUPPORTED, "log: operation type %u is not known", op->type);
    if (used > op->size || op->id_is_text > 1 || op->type < OPERATION_UPSERT ||
        op->id_size > OMENDB_ID_SIZE_MAX)
        return fail(err, OMENDB_ERR_CORRUPT, "an operation of the log is malformed");
    for (uint32_t i = 0; i < op->vector_count; i++) {
        const struct operation_vector *vector = (const void *)(bytes + used);
        if (op->size - used < sizeof *vector ||
            op->size - used - sizeof *vector < padded(vector->size))
            return fail(err, OMENDB_ERR_CORRUPT, "a vector of the log exceeds its operation");
        used += sizeof *vector + padded(vector->size);
    }
    if (used != op->size)
        return fail(err, OMENDB_ERR_CORRUPT, "an operation of the log has a wrong size");
    return OMENDB_OK;
}

omendb_status batch_validate(const uint8_t *bytes, size_t size, uint32_t operation_count,
                             omendb_error *err)
{
    size_t at = 0;
    for (uint32_t i = 0; i < operation_count; i++) {
        TRY(operation_validate(bytes + at, size - at, err));
        at += (size_t)((const struct operation *)(const void *)(bytes + at))->size;
    }
    if (at != size) return fail(err, OMENDB_ERR_CORRUPT, "a batch of the log has a wrong size");
    return OMENDB_OK;
}
