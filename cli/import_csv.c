/* import_csv.c - CSV after RFC 4180, with a header row
 *
 * Cells between quotes may hold commas, line ends and doubled quotes. Strictly: a quote inside an
 * unquoted cell, text behind a closing quote, a quote that never closes and a record with another
 * number of cells than the header are errors; all name the line where the record began.
 *
 * Types: a cell that is a JSON number is a number (so 007 stays a string), true/false is a bool,
 * an empty cell without quotes is left out, anything else a string. Fields that the collection
 * declares as strings, and those of --string-fields, are always strings; declared arrays and
 * objects hold JSON.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "member.h"

enum csv_role { CSV_GUESS, CSV_STRING, CSV_JSON, CSV_ID, CSV_VECTOR };

struct csv_column {
    struct text name;
    enum csv_role role;
    struct import_column *vector;
};

struct csv_cell {
    size_t offset; /* In cells; NUL-terminated. */
    size_t size;
    bool quoted;
};

struct csv_reader {
    struct import *import;
    struct input *input;
    struct csv_column *columns;
    size_t columns_count;
    struct text cells;
    struct csv_cell *list; /* [list_capacity] */
    size_t list_count;
    size_t list_capacity;
    uint64_t line;   /* Of the next byte. */
    uint64_t record; /* Line where the record began. */
};

static omendb_status csv_fault(struct csv_reader *reader, int byte, const char *what,
                               omendb_error *err)
{
    /* Go on at the next line, for --skip-errors. */
    while (byte >= 0 && byte != '\n') byte = input_byte(reader->input, NULL);
    reader->line++;
    return fault(err, OMENDB_ERR_VALUE, "not valid CSV: %s in cell %zu", what, reader->list_count);
}

static omendb_status begin_cell(struct csv_reader *reader, omendb_error *err)
{
    if (reader->list_count == IMPORT_CELLS_MAX) {
        return fault(err, OMENDB_ERR_UNSUPPORTED, "more than %d cells", IMPORT_CELLS_MAX);
    }
    if (reader->list_count == reader->list_capacity) {
        reader->list_capacity = reader->list_capacity == 0 ? 16 : reader->list_capacity * 2;
        reader->list = memory_resize(reader->list, reader->list_capacity, sizeof(reader->list[0]));
    }
    reader->list[reader->list_count++] = (struct csv_cell){reader->cells.size, 0, false};
    return OMENDB_OK;
}

static omendb_status end_cell(struct csv_reader *reader)
{
    struct csv_cell *cell = &reader->list[reader->list_count - 1];
    cell->size = reader->cells.size - cell->offset;
    text_append_byte(&reader->cells, '\0');
    return OMENDB_OK;
}

static omendb_status add_byte(struct csv_reader *reader, int byte, omendb_error *err)
{
    const struct csv_cell *cell = &reader->list[reader->list_count - 1];
    if (reader->cells.size - cell->offset == IMPORT_CELL_SIZE_MAX) {
        return fault(err, OMENDB_ERR_UNSUPPORTED, "cell %zu is larger than %d bytes",
                     reader->list_count, IMPORT_CELL_SIZE_MAX);
    }
    if (reader->cells.size == IMPORT_LINE_SIZE_MAX) {
        return fault(err, OMENDB_ERR_UNSUPPORTED, "the record is larger than %d bytes",
                     IMPORT_LINE_SIZE_MAX);
    }
    text_append_byte(&reader->cells, (char)byte);
    return OMENDB_OK;
}

/* The part between quotes; afterwards *byte is what stands behind the closing quote. */
static omendb_status read_quoted(struct csv_reader *reader, int *byte, omendb_error *err)
{
    reader->list[reader->list_count - 1].quoted = true;
    for (;;) {
        int c = input_byte(reader->input, err);
        if (c == -2) return err->status;
        if (c == -1) return csv_fault(reader, c, "the quote is never closed", err);
        if (c == '\n') reader->line++;
        if (c == '"') {
            int after = input_peek(reader->input, err);
            if (after == -2) return err->status;
            if (after != '"') break;
            (void)input_byte(reader->input, err);
        }
        TRY(add_byte(reader, c, err));
    }
    *byte = input_byte(reader->input, err);
    return *byte == -2 ? err->status : OMENDB_OK;
}

/* Reads one cell; *byte becomes ',' or '\n' or -1, what ended it. */
static omendb_status read_cell(struct csv_reader *reader, int *byte, omendb_error *err)
{
    TRY(begin_cell(reader, err));
    int c = input_byte(reader->input, err);
    if (c == '"') {
        TRY(read_quoted(reader, &c, err));
        if (c != ',' && c != '\n' && c != '\r' && c != -1) {
            return csv_fault(reader, c, "text behind the closing quote", err);
        }
    }
    while (c != ',' && c != '\n' && c != '\r' && c >= 0) {
        if (c == '"') return csv_fault(reader, c, "a quote inside an unquoted cell", err);
        TRY(add_byte(reader, c, err));
        c = input_byte(reader->input, err);
    }
    if (c == '\r') {
        c = input_byte(reader->input, err);
        if (c != '\n' && c >= 0) return csv_fault(reader, c, "a lone carriage return", err);
    }
    if (c == -2) return err->status;
    *byte = c;
    return end_cell(reader);
}

/* Reads the next record that isn't an empty line. */
static omendb_status read_record(struct csv_reader *reader, bool *more, omendb_error *err)
{
    int byte = -1;
    do {
        text_clear(&reader->cells);
        reader->list_count = 0;
        reader->record = reader->line;
        *more = true;
        int first = input_peek(reader->input, err);
        if (first == -2) return err->status;
        if (first == -1) {
            *more = false;
            return OMENDB_OK;
        }
        do {
            TRY(read_cell(reader, &byte, err));
        } while (byte == ',');
        if (byte == '\n') reader->line++;
    } while (reader->list_count == 1 && reader->list[0].size == 0 && !reader->list[0].quoted);
    return OMENDB_OK;
}

/* Whether the comma-separated `list` names `name`. */
static bool list_names(const char *list, const char *name)
{
    size_t size = strlen(name);
    while (list != NULL) {
        const char *comma = strchr(list, ',');
        size_t part = comma == NULL ? strlen(list) : (size_t)(comma - list);
        if (part == size && memcmp(list, name, size) == 0) return true;
        list = comma == NULL ? NULL : comma + 1;
    }
    return false;
}

static void choose_role(const struct csv_reader *reader, struct csv_column *column)
{
    struct import *import = reader->import;
    const char *name = column->name.data;
    for (size_t f = 0; f < import->description.fields_count; f++) {
        const struct description_field *field = &import->description.fields[f];
        if (strcmp(field->name, name) != 0) continue;
        if (field->type == OMENDB_FIELD_STRING || field->type == OMENDB_FIELD_TEXT) {
            column->role = CSV_STRING;
        }
        if (field->type == OMENDB_FIELD_ARRAY || field->type == OMENDB_FIELD_OBJECT) {
            column->role = CSV_JSON;
        }
    }
    if (list_names(args_text(import->args, "string-fields"), name)) column->role = CSV_STRING;
    if (strcmp(name, import->id_key) == 0) column->role = CSV_ID;
    for (size_t c = 0; c < import->columns_count; c++) {
        struct import_column *vector = &import->columns[c];
        if (vector->key == NULL || vector->paired_path != NULL) continue;
        if (strcmp(vector->key, name) != 0) continue;
        column->role = CSV_VECTOR;
        column->vector = vector;
    }
}

static omendb_status take_header(struct csv_reader *reader, omendb_error *err)
{
    bool has_id = false;
    reader->columns = memory_create(reader->list_count, sizeof(reader->columns[0]));
    reader->columns_count = reader->list_count;
    for (size_t i = 0; i < reader->columns_count; i++) {
        struct csv_column *column = &reader->columns[i];
        const struct csv_cell *cell = &reader->list[i];
        text_append(&column->name, reader->cells.data + cell->offset, cell->size);
        if (cell->size == 0 || memchr(column->name.data, '\0', cell->size) != NULL) {
            return fault(err, OMENDB_ERR_UNSUPPORTED, "column %zu of the header has no name",
                         i + 1);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(reader->columns[j].name.data, column->name.data) != 0) continue;
            return fault(err, OMENDB_ERR_UNSUPPORTED, "the header names the column '%.100s' twice",
                         column->name.data);
        }
        choose_role(reader, column);
        has_id = has_id || column->role == CSV_ID;
    }
    if (reader->import->id_key_given && !has_id) {
        return fault(err, OMENDB_ERR_UNSUPPORTED, "the header has no column '%.100s'",
                     reader->import->id_key);
    }
    return OMENDB_OK;
}

omendb_status import_csv_open(struct import *import, struct input *input, struct csv_reader **out,
                              omendb_error *err)
{
    bool more = false;
    struct csv_reader *reader = memory_create(1, sizeof(*reader));
    *reader = (struct csv_reader){.import = import, .input = input, .line = 1};
    omendb_status status = input_skip_mark(input, err);
    if (status == OMENDB_OK) status = read_record(reader, &more, err);
    if (status == OMENDB_OK && !more) {
        status = fault(err, OMENDB_ERR_UNSUPPORTED, "there is no header row");
    }
    import->row.place = reader->record;
    if (status == OMENDB_OK) status = take_header(reader, err);
    if (status != OMENDB_OK) {
        import_csv_close(reader);
        return status;
    }
    *out = reader;
    return OMENDB_OK;
}

void import_csv_close(struct csv_reader *reader)
{
    if (reader == NULL) return;
    for (size_t i = 0; i < reader->columns_count; i++) text_deinit(&reader->columns[i].name);
    free(reader->columns);
    free(reader->list);
    text_deinit(&reader->cells);
    free(reader);
}

/* Whether the cell goes into JSON as it stands: a number JSON and the library can hold. */
static bool is_number(const char *cell, size_t size)
{
    if (size == 0 || member_number_size((struct span){cell, size}) != size) return false;
    if (strpbrk(cell, ".eE") != NULL) return isfinite(strtod(cell, NULL));
    errno = 0;
    (void)strtoll(cell, NULL, 10);
    return errno == 0;
}

static const char *bool_of(const char *cell)
{
    static const char *const TRUE_WORDS[] = {"true", "True", "TRUE"};
    static const char *const FALSE_WORDS[] = {"false", "False", "FALSE"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(cell, TRUE_WORDS[i]) == 0) return "true";
        if (strcmp(cell, FALSE_WORDS[i]) == 0) return "false";
    }
    return NULL;
}

/* Checks that the cell is one array or object, so that it can't reach into the document. */
static omendb_status check_nested(struct span cell, omendb_error *err)
{
    struct member_cursor cursor;
    struct member member;
    bool more = true;
    char open = cell.size != 0 && cell.data[0] == '[' ? '[' : '{';
    TRY(member_begin(&cursor, cell, open, err));
    while (more) TRY(member_next(&cursor, &member, &more, err));
    return OMENDB_OK;
}

static omendb_status take_field(struct csv_reader *reader, const struct csv_column *column,
                                const char *cell, const struct csv_cell *shape, omendb_error *err)
{
    struct text *json = &reader->import->row.json;
    if (shape->size == 0 && !shape->quoted) return OMENDB_OK;
    if (json->size != 1) text_append_byte(json, ',');
    text_append_json(json, column->name.data, column->name.size);
    text_append_byte(json, ':');
    const char *word = bool_of(cell);
    if (column->role == CSV_JSON) {
        omendb_error reason = {0};
        if (check_nested((struct span){cell, shape->size}, &reason) != OMENDB_OK) {
            return fault(err, OMENDB_ERR_VALUE, "column '%.60s': %.150s", column->name.data,
                         reason.message);
        }
        text_append(json, cell, shape->size);
    } else if (column->role == CSV_GUESS && is_number(cell, shape->size)) {
        text_append(json, cell, shape->size);
    } else if (column->role == CSV_GUESS && word != NULL && strlen(cell) == shape->size) {
        text_append_string(json, word);
    } else {
        text_append_json(json, cell, shape->size);
    }
    return OMENDB_OK;
}

static omendb_status take_cell(struct csv_reader *reader, const struct csv_column *column,
                               const struct csv_cell *shape, omendb_error *err)
{
    const char *cell = reader->cells.data + shape->offset;
    if (column->role == CSV_ID) {
        if (shape->size == 0) return OMENDB_OK; /* Gets a running number. */
        bool is_string = !id_looks_like_number(cell, shape->size);
        return import_row_id(reader->import, cell, shape->size, is_string, err);
    }
    if (column->role == CSV_VECTOR) {
        if (shape->size == 0) return OMENDB_OK;
        return import_row_vector(column->vector, (struct span){cell, shape->size}, err);
    }
    return take_field(reader, column, cell, shape, err);
}

omendb_status import_csv_next(struct csv_reader *reader, bool *more, omendb_error *err)
{
    omendb_status status = read_record(reader, more, err);
    reader->import->row.place = reader->record;
    if (status != OMENDB_OK) *more = true;
    if (status != OMENDB_OK || !*more) return status;
    if (reader->list_count != reader->columns_count) {
        return fault(err, OMENDB_ERR_VALUE, "%zu cells, the header has %zu", reader->list_count,
                     reader->columns_count);
    }
    text_append_byte(&reader->import->row.json, '{');
    for (size_t i = 0; i < reader->list_count; i++) {
        TRY(take_cell(reader, &reader->columns[i], &reader->list[i], err));
    }
    text_append_byte(&reader->import->row.json, '}');
    return OMENDB_OK;
}
