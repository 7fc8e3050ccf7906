#include "query/write.h"

#include <string.h>

#include "base/alloc.h"
#include "doc/json.h"
#include "doc/utf8.h"
#include "query/params.h"
#include "query/vectors.h"

/* A column of vectors, checked. */
struct column {
    const uint8_t *data;
    size_t stride;
    const uint8_t *present; /* NULL: all. */
    omendb_type type;
    uint32_t field;
};

struct rows_writer {
    struct batch *batch;
    const struct kernels *kernels;
    const struct collection *collection;
    omendb_rows rows;
    struct column columns[OMENDB_VECTOR_FIELDS_MAX];
    uint32_t columns_count;
    struct buffer document; /* Of the row at hand, or of {} for all rows. */
    float *scratch;         /* [largest dim] */
};

omendb_status write_check_id(const omendb_id *id, struct id_view *out, omendb_error *err)
{
    if (id->text_view == NULL) {
        *out = (struct id_view){.text_view = NULL, .size = 0, .number = id->number};
        return OMENDB_OK;
    }
    if (id->size == 0 || id->size > OMENDB_ID_SIZE_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "id: %zu bytes, 1 to %u are allowed", id->size,
                    OMENDB_ID_SIZE_MAX);
    if (!utf8_valid(id->text_view, id->size)) return fail(err, OMENDB_ERR_VALUE, "id: not UTF-8");
    *out = (struct id_view){
        .text_view = (const uint8_t *)id->text_view, .size = (uint32_t)id->size, .number = 0};
    return OMENDB_OK;
}

static omendb_status rows_id(const omendb_rows *rows, size_t row, struct id_view *out,
                             omendb_error *err)
{
    omendb_id id = {0};
    if (rows->ids != NULL) return write_check_id(&rows->ids[row], out, err);
    if (rows->id_numbers != NULL) {
        id.number = rows->id_numbers[row];
        return write_check_id(&id, out, err);
    }
    const uint64_t begin = rows->id_offsets[row], end = rows->id_offsets[row + 1];
    if (begin > end) return fail(err, OMENDB_ERR_ARGUMENT, "id_offsets decrease");
    id.text_view = rows->id_text + begin;
    id.size = (size_t)(end - begin);
    return write_check_id(&id, out, err);
}

static omendb_status rows_check(const omendb_rows *rows, omendb_error *err)
{
    const int forms = (rows->ids != NULL) + (rows->id_numbers != NULL) + (rows->id_text != NULL);
    if (forms != 1)
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "rows: exactly one of ids, id_numbers and id_text must be given, not %d",
                    forms);
    if ((rows->id_text != NULL) != (rows->id_offsets != NULL))
        return fail(err, OMENDB_ERR_ARGUMENT, "rows: id_text and id_offsets go together");
    if ((rows->json != NULL) != (rows->json_offsets != NULL))
        return fail(err, OMENDB_ERR_ARGUMENT, "rows: json and json_offsets go together");
    if (rows->vectors_count != 0 && rows->vectors == NULL)
        return fail(err, OMENDB_ERR_ARGUMENT, "rows: vectors is NULL, vectors_count is %u",
                    rows->vectors_count);
    TRY(params_check_flags(rows->flags, OMENDB_ROWS_IF_ABSENT, "rows", err));
    if (rows->reserved != 0) return fail(err, OMENDB_ERR_ARGUMENT, "rows: reserved must be 0");
    if (rows->flags != 0 && rows->if_versions != NULL)
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "rows: IF_ABSENT and if_versions contradict each other");
    if (rows->vectors_count > OMENDB_VECTOR_FIELDS_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "rows: more than %u vector columns",
                    OMENDB_VECTOR_FIELDS_MAX);
    return OMENDB_OK;
}

static omendb_status column_check(struct rows_writer *writer, const omendb_vectors *from,
                                  struct column *out, omendb_error *err)
{
    omendb_vectors vectors;
    uint32_t field = 0;
    TRY(params_read(&vectors, sizeof vectors, from, "vectors", err));
    const struct schema *schema = writer->collection->schema;
    TRY(schema_vector_index(schema, vectors.field, &field, err));
    for (uint32_t i = 0; i < writer->columns_count; i++) {
        if (writer->columns[i].field == field)
            return fail(err, OMENDB_ERR_ARGUMENT, "field \"%s\": given twice",
                        schema->vectors[field].name);
    }
    TRY(vectors_check_shape(&schema->vectors[field], vectors.type, vectors.dim, err));
    const size_t size = schema_vector_size(vectors.type, vectors.dim);
    if (vectors.data == NULL)
        return fail(err, OMENDB_ERR_ARGUMENT, "field \"%s\": data is NULL",
                    schema->vectors[field].name);
    if (vectors.row_stride != 0 && vectors.row_stride < size)
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "field \"%s\": row_stride %zu, a vector has %zu bytes",
                    schema->vectors[field].name, vectors.row_stride, size);
    if (vectors.reserved != 0)
        return fail(err, OMENDB_ERR_ARGUMENT, "field \"%s\": reserved must be 0",
                    schema->vectors[field].name);
    *out = (struct column){.data = vectors.data,
                           .stride = vectors.row_stride != 0 ? vectors.row_stride : size,
                           .present = vectors.present,
                           .type = vectors.type,
                           .field = field};
    return OMENDB_OK;
}

static omendb_status columns_check(struct rows_writer *writer, omendb_error *err)
{
    const uint8_t *at = (const uint8_t *)writer->rows.vectors;
    uint32_t dim_max = 0;
    for (uint32_t i = 0; i < writer->rows.vectors_count; i++) {
        const omendb_vectors *vectors = (const omendb_vectors *)(const void *)at;
        const omendb_status status = column_check(writer, vectors, &writer->columns[i], err);
        if (status != OMENDB_OK) return fail_within(err, status, "rows: vectors %u", i);
        writer->columns_count = i + 1;
        const struct schema_vector *field =
            &writer->collection->schema->vectors[writer->columns[i].field];
        if (field->type != OMENDB_BIT && field->dim > dim_max) dim_max = field->dim;
        at += vectors->struct_size; /* The caller's own idea of the structure's size. */
    }
    writer->scratch = alloc_raw(dim_max, sizeof(float));
    if (writer->scratch == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: %u components", dim_max);
    return OMENDB_OK;
}

static omendb_status row_document(struct rows_writer *writer, size_t row, omendb_error *err)
{
    const omendb_rows *rows = &writer->rows;
    if (rows->json == NULL) return OMENDB_OK; /* {} is there already. */
    const uint64_t begin = rows->json_offsets[row], end = rows->json_offsets[row + 1];
    if (begin > end) return fail(err, OMENDB_ERR_ARGUMENT, "json_offsets decrease");
    buffer_clear(&writer->document);
    TRY(json_to_document(rows->json + begin, (size_t)(end - begin), &writer->document, err));
    return schema_check_document(writer->collection->schema, writer->document.data,
                                 writer->document.size, err);
}

static omendb_status row_add(struct rows_writer *writer, size_t row, omendb_error *err)
{
    struct id_view id = {0};
    TRY(rows_id(&writer->rows, row, &id, err));
    TRY(row_document(writer, row, err));
    TRY(batch_add(writer->batch, OPERATION_UPSERT, writer->collection->id, id.text_view, id.size,
                  id.number, writer->document.data, (uint32_t)writer->document.size, err));
    if ((writer->rows.flags & OMENDB_ROWS_IF_ABSENT) != 0)
        TRY(batch_add_condition(writer->batch, VERSION_MISSING, err));
    if (writer->rows.if_versions != NULL && writer->rows.if_versions[row] != OMENDB_VERSION_ANY)
        TRY(batch_add_condition(writer->batch, writer->rows.if_versions[row], err));
    for (uint32_t i = 0; i < writer->columns_count; i++) {
        const struct column *column = &writer->columns[i];
        const struct schema_vector *field = &writer->collection->schema->vectors[column->field];
        void *to = NULL;
        if (column->present != NULL && column->present[row] == 0) continue;
        TRY(batch_add_vector(writer->batch, column->field, field->size, &to, err));
        TRY(vectors_convert(writer->kernels, field, column->type,
                            column->data + row * column->stride, to, writer->scratch, err));
    }
    return OMENDB_OK;
}

omendb_status write_rows(struct batch *batch, const struct kernels *kernels,
                         const struct collection *collection, const omendb_rows *rows,
                         omendb_error *err)
{
    struct rows_writer writer = {.batch = batch, .kernels = kernels, .collection = collection};
    const struct batch_mark mark = batch_mark(batch);
    TRY(params_read(&writer.rows, sizeof writer.rows, rows, "rows", err));
    if (writer.rows.count == 0) return OMENDB_OK;
    TRY(rows_check(&writer.rows, err));
    omendb_status status = columns_check(&writer, err);
    if (status == OMENDB_OK && writer.rows.json == NULL)
        status = json_to_document("{}", 2, &writer.document, err);
    for (size_t row = 0; status == OMENDB_OK && row < writer.rows.count; row++) {
        status = row_add(&writer, row, err);
        if (status != OMENDB_OK) (void)fail_within(err, status, "rows: row %zu", row);
    }
    if (status != OMENDB_OK) batch_return(batch, mark);
    buffer_deinit(&writer.document);
    alloc_free(writer.scratch);
    return status;
}

omendb_status write_deletes(struct batch *batch, const struct collection *collection,
                            const omendb_id *ids, const uint64_t *versions, size_t count,
                            omendb_error *err)
{
    const struct batch_mark mark = batch_mark(batch);
    omendb_status status = OMENDB_OK;
    if (count != 0 && ids == NULL) return fail(err, OMENDB_ERR_ARGUMENT, "delete: ids is NULL");
    for (size_t i = 0; status == OMENDB_OK && i < count; i++) {
        struct id_view id = {0};
        status = write_check_id(&ids[i], &id, err);
        if (status == OMENDB_OK)
            status = batch_add(batch, OPERATION_DELETE, collection->id, id.text_view, id.size,
                               id.number, NULL, 0, err);
        if (status == OMENDB_OK && versions != NULL && versions[i] != OMENDB_VERSION_ANY)
            status = batch_add_condition(batch, versions[i], err);
        if (status != OMENDB_OK) (void)fail_within(err, status, "delete: id %zu", i);
    }
    if (status != OMENDB_OK) batch_return(batch, mark);
    return status;
}
