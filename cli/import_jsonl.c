/* import_jsonl.c - JSON lines: one object a line, blank lines skipped */
#include <string.h>

#include "import.h"
#include "member.h"

static omendb_status take_id(struct import *import, struct span value, omendb_error *err)
{
    if (import->row.has_id) {
        return fault(err, OMENDB_ERR_VALUE, "the key '%s' is there twice", import->id_key);
    }
    if (value.data[0] != '"') return import_row_id(import, value.data, value.size, false, err);
    struct text meaning = {0};
    omendb_status status = member_decode(value, &meaning, err);
    if (status == OMENDB_OK) status = import_row_id(import, meaning.data, meaning.size, true, err);
    text_deinit(&meaning);
    return status;
}

static struct import_column *column_of_key(struct import *import, struct span key)
{
    for (size_t c = 0; c < import->columns_count; c++) {
        struct import_column *column = &import->columns[c];
        if (column->key != NULL && column->paired_path == NULL && member_is(key, column->key)) {
            return column;
        }
    }
    return NULL;
}

/* What isn't id or vector goes on as it is written. */
static omendb_status take_member(struct import *import, const struct member *member,
                                 omendb_error *err)
{
    struct text *json = &import->row.json;
    if (member_is(member->key, import->id_key)) return take_id(import, member->value, err);
    struct import_column *column = column_of_key(import, member->key);
    if (column != NULL) {
        if (column->present) {
            return fault(err, OMENDB_ERR_VALUE, "the key '%s' is there twice", column->key);
        }
        if (span_is(member->value, "null")) return OMENDB_OK;
        return import_row_vector(column, member->value, err);
    }
    if (json->size != 1) text_append_byte(json, ',');
    text_append(json, member->key.data, member->key.size);
    text_append_byte(json, ':');
    text_append(json, member->value.data, member->value.size);
    return OMENDB_OK;
}

static bool is_blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (line[i] != ' ' && line[i] != '\t') return false;
    }
    return true;
}

omendb_status import_jsonl_next(struct import *import, struct input *input, bool *more,
                                omendb_error *err)
{
    struct member_cursor cursor;
    struct member member;
    char *line;
    size_t size;
    if (import->row.place == 0) TRY(input_skip_mark(input, err));
    do {
        import->row.place++;
        *more = true;
        TRY(input_line(input, IMPORT_LINE_SIZE_MAX, &line, &size, err));
        if (line == NULL) {
            *more = false;
            return OMENDB_OK;
        }
    } while (is_blank(line, size));
    text_append_byte(&import->row.json, '{');
    TRY(member_begin(&cursor, (struct span){line, size}, '{', err));
    for (;;) {
        bool another;
        TRY(member_next(&cursor, &member, &another, err));
        if (!another) break;
        TRY(take_member(import, &member, err));
    }
    text_append_byte(&import->row.json, '}');
    return OMENDB_OK;
}
