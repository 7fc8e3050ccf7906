/* export.c - `omendb export`: a collection as JSON lines that `omendb import` reads without loss */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "database.h"
#include "interrupt.h"
#include "pages.h"
#include "progress.h"
#include "vector.h"

static int run_export(struct args *args);

static const struct option EXPORT_OPTIONS[] = {
    {"output", 'o', false, "FILE", "Write here instead of stdout."},
    {"id", 0, false, "KEY", "Key of the ids; default id."},
    {"vector", 0, true, "FIELD=KEY", "Key of this vector field; default its name."},
    {"where", 0, false, "JSON", "Only documents that match this filter."},
    {"no-vectors", 0, false, NULL, "Leave the vectors out."},
    {NULL, 0, false, NULL, NULL},
};

const struct command EXPORT_COMMAND = {
    .name = "export",
    .synopsis = "FILE COLLECTION [--output FILE]",
    .summary = "Write a collection as JSON lines, vectors included.",
    .details =
        "One line a document, in the order of ids: {\"id\": ..., \"FIELD\": [vector], "
        "members...}.\n"
        "'omendb import' into a collection of the same fields brings back the same ids,\n"
        "documents and vectors, byte for byte. A document that has a member of the id's or a\n"
        "vector's name ends the export: choose other keys by --id and --vector, here and there.\n"
        "\n"
        "Example:\n"
        "  omendb export x.omen docs -o docs.jsonl\n",
    .options = EXPORT_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_export,
};

enum { EXPORT_PAGE = 1000, EXPORT_FLAGS = OMENDB_OPEN_MUST_EXIST | OMENDB_OPEN_READ_ONLY };

struct export
{
    const struct args *args;
    struct database database;
    struct description description;
    const char *id_key;
    const char *keys[OMENDB_VECTOR_FIELDS_MAX]; /* Of the vector fields. */
    FILE *out;
    struct text line;
    uint64_t written, total;
};

/* False after printing; *code is what the command answers then. */
static bool take_keys(struct export *export, int *code)
{
    const struct description *description = &export->description;
    const char *value;
    export->id_key = args_text(export->args, "id");
    if (export->id_key == NULL) export->id_key = "id";
    for (size_t v = 0; v < description->vectors_count; v++)
        export->keys[v] = description->vectors[v].name;
    for (size_t i = 0; (value = args_each(export->args, "vector", i)) != NULL; i++) {
        const char *equals = strchr(value, '=');
        size_t v = 0;
        if (equals == NULL || equals[1] == '\0') {
            *code = args_wrong(export->args, "'--vector' wants FIELD=KEY, not '%s'", value);
            return false;
        }
        const size_t size = (size_t)(equals - value);
        while (v < description->vectors_count &&
               !(strlen(description->vectors[v].name) == size &&
                 memcmp(description->vectors[v].name, value, size) == 0))
            v++;
        if (v == description->vectors_count) {
            message("there is no vector field %.*s", (int)size, value);
            return false;
        }
        export->keys[v] = equals + 1;
    }
    for (size_t v = 0; v < description->vectors_count; v++) {
        bool same = strcmp(export->keys[v], export->id_key) == 0;
        for (size_t w = 0; w < v; w++) same = same || strcmp(export->keys[v], export->keys[w]) == 0;
        if (!same) continue;
        message("the key '%s' stands for two things: use --id or --vector", export->keys[v]);
        return false;
    }
    return true;
}

static bool is_taken(const struct export *export, struct span key)
{
    if (member_is(key, export->id_key)) return true;
    for (size_t v = 0; v < export->description.vectors_count; v++)
        if (member_is(key, export->keys[v])) return true;
    return false;
}

/* The document's members, byte for byte. False: one has a name that is taken. */
static bool append_members(struct export *export, const omendb_document *document,
                           omendb_error *err)
{
    struct member_cursor cursor;
    struct member member;
    bool more = false;
    const struct span json = {document->json_view, document->json_size};
    omendb_status status = member_begin(&cursor, json, '{', err);
    while (status == OMENDB_OK) {
        status = member_next(&cursor, &member, &more, err);
        if (status != OMENDB_OK || !more) break;
        if (is_taken(export, member.key)) {
            struct text id = {0};
            id_append(&id, &document->id);
            message("document %s has a member %.*s of its own: choose another key by --id or "
                    "--vector",
                    id.data, (int)member.key.size, member.key.data);
            text_deinit(&id);
            return false;
        }
        text_append_byte(&export->line, ',');
        text_append(&export->line, member.key.data, member.key.size);
        text_append_byte(&export->line, ':');
        text_append(&export->line, member.value.data, member.value.size);
    }
    if (status != OMENDB_OK) (void)database_failed(&export->database, err);
    return status == OMENDB_OK;
}

static void append_key(struct text *line, const char *key)
{
    text_append_json(line, key, strlen(key));
    text_append_byte(line, ':');
}

static bool export_one(struct export *export, const omendb_documents *documents, size_t index,
                       omendb_error *err)
{
    omendb_document document;
    struct text *line = &export->line;
    omendb_documents_entry(documents, index, &document);
    text_clear(line);
    text_append_byte(line, '{');
    append_key(line, export->id_key);
    id_append_json(line, &document.id);
    for (size_t v = 0;
         v < export->description.vectors_count && !args_flag(export->args, "no-vectors"); v++) {
        omendb_type type;
        uint32_t dim;
        const void *vector = omendb_documents_vector(
            documents, index, export->description.vectors[v].name, &type, &dim);
        if (vector == NULL) continue;
        text_append_byte(line, ',');
        append_key(line, export->keys[v]);
        vector_append(line, vector, type, dim, UINT32_MAX);
    }
    if (!append_members(export, &document, err)) return false;
    text_append_string(line, "}\n");
    return fwrite(line->data, 1, line->size, export->out) == line->size;
}

/* Pages of one snapshot: a read-only handle shows the state at its opening. */
static int export_pages(struct export *export)
{
    struct pages pages = {.params = OMENDB_FIND_PARAMS_INIT};
    omendb_documents *documents = NULL;
    omendb_error err = {0};
    bool good = true;
    size_t got = EXPORT_PAGE;
    pages.params.flags = OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS;
    pages.params.limit = EXPORT_PAGE;
    pages.params.filter = args_text(export->args, "where");
    pages.params.filter_size = pages.params.filter == NULL ? 0 : strlen(pages.params.filter);
    while (good && got == EXPORT_PAGE && !interrupt_raised()) {
        good = pages_next(&pages, &export->database, &documents);
        got = omendb_documents_count(documents);
        for (size_t i = 0; good && i < got; i++) good = export_one(export, documents, i, &err);
        export->written += got;
        omendb_documents_destroy(documents);
        documents = NULL;
        if (export->out != stdout) progress_update(export->written, export->total, export->written);
    }
    pages_deinit(&pages);
    if (interrupt_raised()) message("interrupted: the export isn't complete");
    return good && !interrupt_raised() ? CLI_OK : CLI_FAILURE;
}

static int export_to(struct export *export)
{
    const char *path = args_text(export->args, "output");
    const char *filter = args_text(export->args, "where");
    omendb_error err = {0};
    if (omendb_collection_count(export->database.collection, filter,
                                filter == NULL ? 0 : strlen(filter), &export->total,
                                &err) != OMENDB_OK) {
        return database_failed(&export->database, &err);
    }
    export->out = path == NULL ? stdout : fopen(path, "wx");
    if (export->out == NULL) {
        message("%s: it can't be made, or is there already", path);
        return CLI_FAILURE;
    }
    if (path != NULL) progress_begin("export", "documents");
    int code = export_pages(export);
    progress_end();
    if (path == NULL) return code;
    const bool failed = ferror(export->out) != 0;
    if (fclose(export->out) != 0 || failed) {
        message("%s: it could not be written", path);
        code = CLI_FAILURE;
    }
    if (code == CLI_OK && export->args->json) {
        (void)printf("{\"exported\":%llu}\n", (unsigned long long)export->written);
    } else if (code == CLI_OK) {
        (void)printf("exported %llu documents\n", (unsigned long long)export->written);
    }
    return code;
}

static int run_export(struct args *args)
{
    struct export export = {.args = args};
    int code = CLI_FAILURE;
    if (database_open_collection(&export.database, args, EXPORT_FLAGS) &&
        description_read(&export.description, &export.database) && take_keys(&export, &code)) {
        code = export_to(&export);
    }
    text_deinit(&export.line);
    description_deinit(&export.description);
    if (!database_close(&export.database)) code = CLI_FAILURE;
    return code;
}
