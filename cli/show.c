#include "show.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vector.h"

enum { SHOWN_COMPONENTS = 6 }; /* Of a vector, for people. */

void show_init(struct show *show, const struct args *args, const struct description *description)
{
    *show = (struct show){.description = description,
                          .with_vectors = args_flag(args, "with-vectors")};
    const char *list = args_text(args, "fields");
    if (list == NULL) return;
    size_t size = strlen(list);
    show->fields_text = memory_create(size + 1, 1);
    memcpy(show->fields_text, list, size);
    show->fields = memory_create(size + 1, sizeof(show->fields[0]));
    char *rest = show->fields_text;
    for (char *name = strsep(&rest, ","); name != NULL; name = strsep(&rest, ",")) {
        if (name[0] != '\0') show->fields[show->fields_count++] = name;
    }
}

void show_deinit(struct show *show)
{
    free(show->fields_text);
    free(show->fields);
    *show = (struct show){0};
}

uint32_t show_flags(const struct show *show)
{
    return OMENDB_WITH_DOCUMENTS | (show->with_vectors ? OMENDB_WITH_VECTORS : 0u);
}

static struct span document_text(const omendb_document *document)
{
    if (document->json_view == NULL) return (struct span){"{}", 2};
    return (struct span){document->json_view, document->json_size};
}

/* Appends JSON on one line: a raw line end can only be white space between tokens. */
static void append_one_line(struct text *out, struct span json)
{
    size_t begin = out->size;
    text_append(out, json.data, json.size);
    for (size_t i = begin; i < out->size; i++) {
        if (out->data[i] == '\n' || out->data[i] == '\r') out->data[i] = ' ';
    }
}

static void append_fields(const struct show *show, struct text *out, struct span document)
{
    bool first = true;
    text_append_byte(out, '{');
    for (size_t f = 0; f < show->fields_count; f++) {
        struct span value = member_find(document, show->fields[f]);
        if (value.size == 0) continue;
        if (!first) text_append_byte(out, ',');
        first = false;
        text_append_json(out, show->fields[f], strlen(show->fields[f]));
        text_append_byte(out, ':');
        append_one_line(out, value);
    }
    text_append_byte(out, '}');
}

static void append_vectors(const struct show *show, struct text *out,
                           const omendb_documents *documents, size_t index)
{
    bool first = true;
    text_append_string(out, ",\"vectors\":{");
    for (size_t v = 0; v < show->description->vectors_count; v++) {
        const char *name = show->description->vectors[v].name;
        omendb_type type;
        uint32_t dim;
        const void *vector = omendb_documents_vector(documents, index, name, &type, &dim);
        if (vector == NULL) continue;
        if (!first) text_append_byte(out, ',');
        first = false;
        text_append_json(out, name, strlen(name));
        text_append_byte(out, ':');
        vector_append(out, vector, type, dim, UINT32_MAX);
    }
    text_append_byte(out, '}');
}

void show_append_json(const struct show *show, struct text *out, const omendb_documents *documents,
                      size_t index)
{
    omendb_document document;
    omendb_documents_entry(documents, index, &document);
    text_append_string(out, "\"id\":");
    id_append_json(out, &document.id);
    text_append_string(out, ",\"document\":");
    if (show->fields_count != 0) {
        append_fields(show, out, document_text(&document));
    } else {
        append_one_line(out, document_text(&document));
    }
    if (show->with_vectors) append_vectors(show, out, documents, index);
}

/* A JSON value for people: strings without quotes, the rest as it is. */
static void append_plain(struct text *out, struct span value)
{
    size_t size = out->size;
    if (value.size != 0 && value.data[0] == '"' && member_decode(value, out, NULL) == OMENDB_OK) {
        return;
    }
    out->size = size;
    text_append(out, value.data, value.size);
}

size_t show_columns(const struct show *show)
{
    size_t vectors = show->with_vectors ? show->description->vectors_count : 0;
    return 1 + vectors + (show->fields_count == 0 ? 1 : show->fields_count);
}

void show_titles(const struct show *show, struct screen_table *table, size_t before)
{
    screen_table_title(table, before++, "id", false);
    for (size_t v = 0; show->with_vectors && v < show->description->vectors_count; v++) {
        screen_table_title(table, before++, show->description->vectors[v].name, false);
    }
    if (show->fields_count == 0) screen_table_title(table, before, "document", false);
    for (size_t f = 0; f < show->fields_count; f++) {
        screen_table_title(table, before++, show->fields[f], false);
    }
}

static void append_short_vector(struct text *out, const omendb_documents *documents, size_t index,
                                const char *name)
{
    omendb_type type;
    uint32_t dim;
    const void *vector = omendb_documents_vector(documents, index, name, &type, &dim);
    if (vector == NULL) {
        text_append_string(out, "-");
    } else {
        vector_append(out, vector, type, dim, SHOWN_COMPONENTS);
    }
}

void show_cells(const struct show *show, struct screen_table *table,
                const omendb_documents *documents, size_t index)
{
    omendb_document document;
    struct text cell = {0};
    omendb_documents_entry(documents, index, &document);
    struct span json = document_text(&document);
    id_append(&cell, &document.id);
    screen_table_cell(table, cell.data, cell.size);
    for (size_t v = 0; show->with_vectors && v < show->description->vectors_count; v++) {
        text_clear(&cell);
        append_short_vector(&cell, documents, index, show->description->vectors[v].name);
        screen_table_cell(table, cell.data, cell.size);
    }
    if (show->fields_count == 0) {
        text_clear(&cell);
        append_one_line(&cell, json);
        screen_table_cell(table, cell.data, cell.size);
    }
    for (size_t f = 0; f < show->fields_count; f++) {
        text_clear(&cell);
        append_plain(&cell, member_find(json, show->fields[f]));
        screen_table_cell(table, cell.data, cell.size);
    }
    text_deinit(&cell);
}

static void block_line(struct screen_table *table, struct span name, struct span value)
{
    struct text cell = {0};
    append_plain(&cell, name);
    screen_table_cell(table, cell.data, cell.size);
    text_clear(&cell);
    append_plain(&cell, value);
    screen_table_cell(table, cell.data, cell.size);
    text_deinit(&cell);
}

static void block_vectors(const struct show *show, struct screen_table *table,
                          const omendb_documents *documents, size_t index)
{
    struct text cell = {0};
    for (size_t v = 0; show->with_vectors && v < show->description->vectors_count; v++) {
        const struct description_vector *vector = &show->description->vectors[v];
        screen_table_cell(table, vector->name, strlen(vector->name));
        text_clear(&cell);
        append_short_vector(&cell, documents, index, vector->name);
        text_append_format(&cell, "  (%u x %s)", vector->dim, vector_type_name(vector->type));
        screen_table_cell(table, cell.data, cell.size);
    }
    text_deinit(&cell);
}

void show_block(const struct show *show, const omendb_documents *documents, size_t index)
{
    omendb_document document;
    struct screen_table table;
    struct text cell = {0};
    struct member_cursor cursor;
    struct member member;
    bool more = false;
    omendb_documents_entry(documents, index, &document);
    struct span json = document_text(&document);
    screen_table_init(&table, 2);
    screen_table_cell(&table, "id", 2);
    id_append(&cell, &document.id);
    screen_table_cell(&table, cell.data, cell.size);
    for (size_t f = 0; f < show->fields_count; f++) {
        block_line(&table, span_of(show->fields[f]), member_find(json, show->fields[f]));
    }
    if (show->fields_count == 0 && member_begin(&cursor, json, '{', NULL) == OMENDB_OK) {
        while (member_next(&cursor, &member, &more, NULL) == OMENDB_OK && more) {
            block_line(&table, member.key, member.value);
        }
    }
    block_vectors(show, &table, documents, index);
    screen_table_print(&table, false);
    screen_table_deinit(&table);
    text_deinit(&cell);
}

int show_end(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) return code;
    message("cannot write the output: %s", strerror(errno));
    return CLI_FAILURE;
}
