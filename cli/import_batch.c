/* import_batch.c - rows into columns, columns into omendb_batch */
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "interrupt.h"
#include "vector.h"

bool import_refuses_row(omendb_status status)
{
    return status == OMENDB_ERR_VALUE || status == OMENDB_ERR_ARGUMENT ||
           status == OMENDB_ERR_DIMENSION;
}

struct import_column *import_column(struct import *import, const char *name, size_t size)
{
    for (size_t c = 0; c < import->columns_count; c++) {
        if (span_is((struct span){name, size}, import->columns[c].name)) return &import->columns[c];
    }
    if (import->columns_count == OMENDB_VECTOR_FIELDS_MAX || size > OMENDB_NAME_SIZE_MAX) {
        return NULL;
    }
    struct import_column *column = &import->columns[import->columns_count++];
    *column = (struct import_column){0};
    memcpy(column->name, name, size);
    return column;
}

void import_row_clear(struct import *import)
{
    import->row.has_id = false;
    text_clear(&import->row.id_text);
    text_clear(&import->row.json);
    for (size_t c = 0; c < import->columns_count; c++) import->columns[c].present = false;
}

omendb_status import_row_id(struct import *import, const char *text, size_t size, bool is_string,
                            omendb_error *err)
{
    struct import_row *row = &import->row;
    row->id_is_text = is_string || import->string_ids;
    if (!row->id_is_text && !digits_parse(text, size, &row->id_number)) {
        return fault(err, OMENDB_ERR_VALUE,
                     "the id %.*s is neither a string nor a number from 0 "
                     "to 18446744073709551615",
                     (int)(size > 40 ? 40 : size), text);
    }
    if (row->id_is_text && (size == 0 || size > OMENDB_ID_SIZE_MAX)) {
        return fault(err, OMENDB_ERR_ARGUMENT, "a string id has 1 to %u bytes, this one %zu",
                     OMENDB_ID_SIZE_MAX, size);
    }
    text_clear(&row->id_text);
    if (row->id_is_text) text_append(&row->id_text, text, size);
    row->has_id = true;
    return OMENDB_OK;
}

omendb_status import_row_vector(struct import_column *column, struct span value, omendb_error *err)
{
    omendb_error reason = {0};
    uint32_t dim = 0;
    omendb_type type = column->stored == OMENDB_BIT ? OMENDB_BIT : OMENDB_F32;
    omendb_status status = vector_parse(value, type, &column->row, &dim, &reason);
    if (status != OMENDB_OK) {
        return fault(err, status, "vector '%s': %.200s", column->key, reason.message);
    }
    if (column->dim != 0 && dim != column->dim) {
        return fault(err, OMENDB_ERR_DIMENSION, "vector '%s' has %u components, the field has %u",
                     column->key, dim, column->dim);
    }
    column->type = type;
    column->dim = dim;
    column->present = true;
    return OMENDB_OK;
}

/* Makes the collection as the first row shows it to be. */
static omendb_status create_collection(struct import *import, omendb_error *err)
{
    omendb_vector_field fields[OMENDB_VECTOR_FIELDS_MAX];
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    schema.vectors = fields;
    for (size_t c = 0; c < import->columns_count; c++) {
        const struct import_column *column = &import->columns[c];
        omendb_vector_field *field = &fields[schema.vectors_count];
        if (column->dim == 0) {
            return fault(err, OMENDB_ERR_NOT_FOUND,
                         "no vector '%s' that would tell its dimension; make the collection with "
                         "'omendb create'",
                         column->name);
        }
        *field = (omendb_vector_field)OMENDB_VECTOR_FIELD_INIT;
        field->name = column->name;
        field->dim = column->dim;
        field->type = column->stored;
        field->metric = import->has_metric             ? import->metric
                        : column->stored == OMENDB_BIT ? (omendb_metric)OMENDB_HAMMING
                                                       : (omendb_metric)OMENDB_L2;
        field->index = import->new_index;
        schema.vectors_count++;
    }
    TRY(omendb_collection_create(import->database.db, import->args->positionals[1], &schema,
                                 &import->database.collection, err));
    import->created = true;
    return OMENDB_OK;
}

static size_t batch_size(const struct import *import)
{
    size_t size = import->json.size + import->id_bytes.size;
    for (size_t c = 0; c < import->columns_count; c++) size += import->columns[c].data.size;
    return size;
}

static void append_column(struct import_column *column)
{
    size_t size = vector_size(column->type, column->dim);
    if (column->present) {
        text_append(&column->data, column->row.data, size);
    } else {
        text_reserve(&column->data, size);
        if (size != 0) memset(column->data.data + column->data.size, 0, size);
        column->data.size += size;
    }
    text_append_byte(&column->presents, column->present ? 1 : 0);
}

bool import_append(struct import *import)
{
    const struct import_row *row = &import->row;
    omendb_error err = {0};
    if (import->database.collection == NULL) {
        omendb_status status = create_collection(import, &err);
        if (status == OMENDB_ERR_NOT_FOUND) {
            message("%s:%llu: %s", import->source_name, (unsigned long long)row->place,
                    err.message);
            return false;
        }
        if (status != OMENDB_OK) {
            (void)database_failed(&import->database, &err);
            return false;
        }
    }
    size_t r = import->count++;
    import->places[r] = row->place;
    import->numbered[r] = !row->has_id;
    import->ids[r] = (omendb_id){NULL, 0, row->id_number};
    if (row->has_id && row->id_is_text) {
        text_append(&import->id_bytes, row->id_text.data, row->id_text.size);
        import->ids[r].size = row->id_text.size;
    } else if (row->has_id && row->id_number >= import->next_number &&
               row->id_number < UINT64_MAX) {
        import->next_number = row->id_number + 1; /* Running numbers stay clear of given ones. */
    }
    import->id_offsets[r + 1] = import->id_bytes.size;
    text_append(&import->json, row->json.data, row->json.size);
    import->json_offsets[r + 1] = import->json.size;
    for (size_t c = 0; c < import->columns_count; c++) append_column(&import->columns[c]);
    if (import->count < import->batch_rows && batch_size(import) < IMPORT_BATCH_SIZE_MAX) {
        return true;
    }
    return import_flush(import);
}

/* Gives rows without an id numbers that no document has. */
static omendb_status number_rows(struct import *import, omendb_error *err)
{
    size_t count = 0;
    omendb_id *wanted = memory_create(import->count, sizeof(wanted[0]));
    omendb_status status = OMENDB_OK;
    for (size_t r = 0; r < import->count; r++) count += import->numbered[r] ? 1 : 0;
    for (bool taken = count != 0; taken && status == OMENDB_OK && !interrupt_raised();) {
        omendb_documents *found = NULL;
        uint64_t first = import->next_number;
        taken = false;
        for (size_t i = 0; i < count; i++) wanted[i] = (omendb_id){NULL, 0, first + i};
        status = omendb_collection_get(import->database.collection, wanted, count, 0, &found, err);
        for (size_t i = 0; status == OMENDB_OK && i < count; i++) {
            omendb_document document;
            omendb_documents_entry(found, i, &document);
            if (!document.found) continue;
            taken = true;
            import->next_number = first + i + 1;
        }
        omendb_documents_destroy(found);
    }
    for (size_t r = 0; status == OMENDB_OK && r < import->count; r++) {
        if (import->numbered[r]) import->ids[r].number = import->next_number++;
    }
    free(wanted);
    return status;
}

/* The rows from `first` on, `count` of them, as the library wants them. */
static omendb_status upsert_rows(struct import *import, size_t first, size_t count,
                                 omendb_error *err)
{
    omendb_vectors vectors[OMENDB_VECTOR_FIELDS_MAX];
    omendb_rows rows = OMENDB_ROWS_INIT;
    rows.count = count;
    rows.ids = import->ids + first;
    rows.vectors = vectors;
    rows.json = import->json.data;
    rows.json_offsets = import->json_offsets + first;
    for (size_t c = 0; c < import->columns_count; c++) {
        const struct import_column *column = &import->columns[c];
        const char *present = column->presents.data + first;
        if (column->dim == 0 || memchr(present, 1, count) == NULL) continue;
        omendb_vectors *out = &vectors[rows.vectors_count++];
        *out = (omendb_vectors)OMENDB_VECTORS_INIT;
        out->type = column->type;
        out->field = column->name;
        out->dim = column->dim;
        out->data = column->data.data + first * vector_size(column->type, column->dim);
        out->present = (const uint8_t *)present;
    }
    return omendb_batch_upsert(import->batch, import->database.collection, &rows, err);
}

static void report_row(struct import *import, uint64_t place, const omendb_error *err)
{
    enum { REPORTED_MAX = 20 };
    /* The library counts within its call, which held this row alone: the place says more. */
    static const char WITHIN_CALL[] = "rows: row 0: ";
    const char *reason = err->message;
    if (strncmp(reason, WITHIN_CALL, sizeof(WITHIN_CALL) - 1) == 0) {
        reason += sizeof(WITHIN_CALL) - 1;
    }
    if (import->skip_errors) import->skipped++;
    if (import->skip_errors && import->skipped > REPORTED_MAX) {
        if (import->skipped == REPORTED_MAX + 1) message("more rows are skipped without a word");
        return;
    }
    message("%s:%s%llu: %s", import->source_name, import->source_has_lines ? "" : " row ",
            (unsigned long long)place, reason);
}

/* Adds row by row what was refused as a whole. *added: rows taken; false: stop behind them. */
static bool upsert_singly(struct import *import, uint64_t *added)
{
    for (size_t r = 0; r < import->count; r++) {
        omendb_error err = {0};
        omendb_status status = upsert_rows(import, r, 1, &err);
        if (status == OMENDB_OK) {
            *added += 1;
            continue;
        }
        if (!import_refuses_row(status)) {
            (void)database_failed(&import->database, &err);
            return false;
        }
        report_row(import, import->places[r], &err);
        if (!import->skip_errors) return false;
    }
    return true;
}

static void clear_rows(struct import *import)
{
    import->count = 0;
    text_clear(&import->id_bytes);
    text_clear(&import->json);
    for (size_t c = 0; c < import->columns_count; c++) {
        text_clear(&import->columns[c].data);
        text_clear(&import->columns[c].presents);
    }
}

bool import_flush(struct import *import)
{
    omendb_error err = {0};
    omendb_status status = OMENDB_OK;
    uint64_t added = import->count;
    bool go_on = true;
    if (import->count == 0 || interrupt_raised()) return !interrupt_raised();
    for (size_t r = 0; r < import->count; r++) {
        if (import->ids[r].size != 0) {
            import->ids[r].text_view = import->id_bytes.data + import->id_offsets[r];
        }
    }
    if (import->batch == NULL)
        status = omendb_batch_create(import->database.db, &import->batch, &err);
    if (status == OMENDB_OK) status = number_rows(import, &err);
    if (status == OMENDB_OK) status = upsert_rows(import, 0, import->count, &err);
    if (import_refuses_row(status)) {
        status = OMENDB_OK;
        added = 0;
        go_on = upsert_singly(import, &added);
    }
    if (status == OMENDB_OK && added != 0) {
        status = omendb_batch_commit(import->batch, import->durability, NULL, &err);
        if (status == OMENDB_OK) import->imported += added;
    }
    if (status != OMENDB_OK) {
        if (!interrupt_raised()) (void)database_failed(&import->database, &err);
        go_on = false;
    }
    clear_rows(import);
    return go_on;
}

bool import_reject(struct import *import, uint64_t place, const omendb_error *err)
{
    if (import->skip_errors) {
        report_row(import, place, err);
        return true;
    }
    /* An earlier row may be refused now; then that one is the first bad one. */
    if (import_flush(import)) report_row(import, place, err);
    return false;
}

void import_batch_deinit(struct import *import)
{
    omendb_batch_destroy(import->batch);
    free(import->ids);
    free(import->numbered);
    free(import->id_offsets);
    free(import->json_offsets);
    free(import->places);
    text_deinit(&import->id_bytes);
    text_deinit(&import->json);
    text_deinit(&import->row.id_text);
    text_deinit(&import->row.json);
    for (size_t c = 0; c < import->columns_count; c++) {
        vector_file_close(&import->columns[c].paired);
        text_deinit(&import->columns[c].row);
        text_deinit(&import->columns[c].data);
        text_deinit(&import->columns[c].presents);
    }
}
