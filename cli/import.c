/* import.c - `omendb import`: options, sources, the loop and its report */
#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "index.h"
#include "interrupt.h"
#include "progress.h"
#include "screen.h"
#include "vector.h"

static int run_import(struct args *args);

static const struct option IMPORT_OPTIONS[] = {
    {"format", 0, false, "FORMAT",
     "jsonl, csv, npy, fvecs, bvecs or ivecs, where the name of the source\n"
     "doesn't tell; stdin (-) is jsonl by default."},
    {"id", 0, false, "FIELD",
     "Key or column of the ids; default id. Rows without one get running\n"
     "numbers, from the count of documents on."},
    {"string-ids", 0, false, NULL, "Ids are strings, even those of digits."},
    {"vector", 0, true, "FIELD[=KEY]",
     "Take the vector FIELD from this key or column (an array of numbers).\n"
     "For a file of vectors: the field they go to. Keys named like a\n"
     "vector field are taken without this option."},
    {"vectors", 0, true, "FIELD=FILE",
     "Take the vector FIELD from the rows of a .npy, .fvecs, .bvecs or\n"
     ".ivecs file: row N goes with document N."},
    {"string-fields", 0, false, "A,B", "CSV columns that are strings, whatever they look like."},
    {"create", 0, false, NULL,
     "Make file and collection where there are none; the dimension is that\n"
     "of the first vector."},
    {"metric", 0, false, "METRIC", "With --create: l2 (default), cosine, ip, hamming."},
    {"type", 0, false, "TYPE",
     "With --create: f32, f16, bf16, i8, u8, bit. Default: the file's own,\n"
     "f32 for numbers in text."},
    {"index", 0, false, "PROFILE",
     "With --create: fast (default), compact, exact; see 'omendb help index'."},
    {"no-wait", 0, false, NULL,
     "Don't wait for the index: whoever opens the file for writing next\n"
     "goes on with it. Searches find everything meanwhile."},
    {"batch", 0, false, "N", "Rows written at once, all or none; default 1000."},
    {"durability", 0, false, "LEVEL",
     "full (default), interval or none: what a written row survives."},
    {"limit", 'n', false, "N", "Import at most so many rows."},
    {"skip-errors", 0, false, NULL, "Report bad rows and go on."},
    {NULL, 0, false, NULL, NULL},
};

const struct command IMPORT_COMMAND = {
    .name = "import",
    .synopsis = "FILE COLLECTION SOURCE... [--create] [OPTION]...",
    .summary = "Bring rows in from JSON lines, CSV, .npy, .fvecs, .bvecs, .ivecs.",
    .details =
        "A row whose id exists replaces that document. Id and vectors are taken out of the\n"
        "row; the rest is the document. The first bad row ends the import; the rows before it\n"
        "are in. Ctrl-C ends it as well and tells how many rows are durable.\n"
        "At the end the graphs of the vector fields are finished; Ctrl-C skips that.\n"
        "\n"
        "Examples:\n"
        "  omendb import x.omen docs docs.jsonl --create --vector v=embedding --metric cosine\n"
        "  omendb import x.omen docs docs.csv --vectors v=embeddings.npy\n"
        "  omendb import x.omen docs embeddings.npy --create --vector v\n",
    .options = IMPORT_OPTIONS,
    .positionals_min = 3,
    .positionals_max = SIZE_MAX,
    .run = run_import,
};

enum source_format { SOURCE_JSONL, SOURCE_CSV, SOURCE_VECTORS };

/* ---- Options ------------------------------------------------------------------- */

static bool take_column_option(struct import *import, const char *option, const char *value)
{
    bool is_file = strcmp(option, "vectors") == 0;
    const char *equals = strchr(value, '=');
    size_t size = equals == NULL ? strlen(value) : (size_t)(equals - value);
    if (size == 0 || (equals == NULL ? is_file : equals[1] == '\0')) {
        (void)args_wrong(import->args, "'--%s' wants FIELD%s, not '%s'", option,
                         is_file ? "=FILE" : "[=KEY]", value);
        return false;
    }
    size_t before = import->columns_count;
    struct import_column *column = import_column(import, value, size);
    if (column == NULL || import->columns_count == before) {
        (void)args_wrong(import->args, "'--%s %s': too many vector fields, or this one twice",
                         option, value);
        return false;
    }
    if (is_file) {
        column->paired_path = equals + 1;
    } else {
        column->key = equals == NULL ? column->name : equals + 1;
    }
    return true;
}

static bool take_durability(struct import *import)
{
    const char *level = args_text(import->args, "durability");
    if (level == NULL) return true;
    if (strcmp(level, "full") == 0) {
        import->durability = OMENDB_DURABILITY_FULL;
    } else if (strcmp(level, "interval") == 0) {
        import->durability = OMENDB_DURABILITY_INTERVAL;
    } else if (strcmp(level, "none") == 0) {
        import->durability = OMENDB_DURABILITY_NONE;
    } else {
        (void)args_wrong(import->args, "'--durability' is full, interval or none, not '%s'", level);
        return false;
    }
    return true;
}

static bool take_new_schema(struct import *import)
{
    const char *metric = args_text(import->args, "metric");
    const char *type = args_text(import->args, "type");
    import->create = args_flag(import->args, "create");
    import->has_metric = metric != NULL;
    import->has_new_type = type != NULL;
    if ((metric != NULL || type != NULL || args_flag(import->args, "index")) && !import->create) {
        (void)args_wrong(import->args, "--metric, --type and --index go with --create");
        return false;
    }
    if (metric != NULL && !vector_metric_of(span_of(metric), &import->metric)) {
        (void)args_wrong(import->args, "'--metric' is l2, cosine, ip or hamming, not '%s'", metric);
        return false;
    }
    if (!index_option(import->args, "index", &import->new_index)) return false;
    if (type != NULL && !vector_type_of(span_of(type), &import->new_type)) {
        (void)args_wrong(import->args, "'--type' is f32, f16, bf16, i8, u8 or bit, not '%s'", type);
        return false;
    }
    return true;
}

/* The format of a source; false after printing. */
static bool source_format(const struct args *args, const char *path, enum source_format *out,
                          enum vector_format *vectors)
{
    const char *name = args_text(args, "format");
    if (name == NULL) name = strcmp(path, "-") == 0 ? "jsonl" : path_extension(path);
    if (strcmp(name, "jsonl") == 0 || strcmp(name, "ndjson") == 0) {
        *out = SOURCE_JSONL;
    } else if (strcmp(name, "csv") == 0) {
        *out = SOURCE_CSV;
    } else if (vector_format_of(name, vectors)) {
        *out = SOURCE_VECTORS;
    } else {
        (void)args_wrong(args,
                         "'%s': the format is not known; --format jsonl, csv, npy, fvecs, bvecs "
                         "or ivecs",
                         path);
        return false;
    }
    return true;
}

static bool take_options(struct import *import)
{
    const struct args *args = import->args;
    const char *value;
    import->batch_rows = 1000;
    import->limit = UINT64_MAX;
    import->id_key_given = args_flag(args, "id");
    import->id_key = import->id_key_given ? args_text(args, "id") : "id";
    import->string_ids = args_flag(args, "string-ids");
    import->skip_errors = args_flag(args, "skip-errors");
    if (!args_number(args, "batch", 1, IMPORT_BATCH_ROWS_MAX, &import->batch_rows)) return false;
    if (!args_number(args, "limit", 1, UINT64_MAX - 1, &import->limit)) return false;
    if (!take_durability(import) || !take_new_schema(import)) return false;
    for (size_t i = 0; (value = args_each(args, "vector", i)) != NULL; i++) {
        if (!take_column_option(import, "vector", value)) return false;
    }
    for (size_t i = 0; (value = args_each(args, "vectors", i)) != NULL; i++) {
        if (!take_column_option(import, "vectors", value)) return false;
    }
    for (size_t i = 2; i < args->positionals_count; i++) {
        enum source_format format;
        enum vector_format vectors;
        if (!source_format(args, args->positionals[i], &format, &vectors)) return false;
    }
    return true;
}

/* ---- Opening ------------------------------------------------------------------- */

/* Checks a file of vectors against the field it goes to; the column takes its type. */
static bool match_file(struct import *import, struct import_column *column,
                       const struct vector_file *file, const char *path)
{
    if (file->dim == 0) return true; /* An empty file. */
    if (!column->stored_known) {
        bool keeps = file->type != OMENDB_F64;
        column->stored = import->has_new_type ? import->new_type
                         : keeps              ? file->type
                                              : (omendb_type)OMENDB_F32;
    }
    /* Bytes for a field of bits are packed bits. */
    bool packed = column->stored == OMENDB_BIT && file->type == OMENDB_U8;
    uint32_t dim = packed ? file->dim * 8 : file->dim;
    if (column->dim != 0 && column->dim != dim) {
        message("%s: vectors of %u components; the field '%s' has %u", path, dim, column->name,
                column->dim);
        return false;
    }
    column->type = packed ? OMENDB_BIT : file->type;
    column->dim = dim;
    return true;
}

static bool open_paired(struct import *import, struct import_column *column)
{
    enum vector_format format;
    omendb_error err = {0};
    const char *path = column->paired_path;
    if (!vector_format_of(path_extension(path), &format)) {
        message("%s: is none of .npy, .fvecs, .bvecs, .ivecs", path);
        return false;
    }
    if (vector_file_open(&column->paired, path, format, &err) != OMENDB_OK) {
        message("%s: %s", path, err.message);
        return false;
    }
    return match_file(import, column, &column->paired, path);
}

/* The columns of an existing collection: the given ones must be its fields, and keys named like
 * the others are taken. */
static bool match_columns(struct import *import)
{
    for (size_t c = 0; c < import->columns_count; c++) {
        if (description_vector(&import->description, import->columns[c].name) == NULL) return false;
    }
    for (size_t v = 0; v < import->description.vectors_count; v++) {
        const struct description_vector *vector = &import->description.vectors[v];
        size_t before = import->columns_count;
        struct import_column *column = import_column(import, vector->name, strlen(vector->name));
        if (column == NULL) return false; /* As many as fields: can't be. */
        if (import->columns_count != before) column->key = column->name;
        column->stored = vector->type;
        column->stored_known = true;
        column->dim = vector->dim;
        column->type = vector->type == OMENDB_BIT ? OMENDB_BIT : OMENDB_F32;
    }
    return true;
}

static bool open_target(struct import *import)
{
    const char *const *positionals = import->args->positionals;
    omendb_error err = {0};
    if (!database_open(&import->database, positionals[0],
                       import->create ? 0u : OMENDB_OPEN_MUST_EXIST, import->durability)) {
        return false;
    }
    if (import->create) {
        omendb_status status = omendb_collection_open(import->database.db, positionals[1],
                                                      &import->database.collection, &err);
        if (status != OMENDB_OK && status != OMENDB_ERR_NOT_FOUND) {
            (void)database_failed(&import->database, &err);
            return false;
        }
    } else if (!database_collection(&import->database, positionals[1])) {
        return false;
    }
    if (import->database.collection != NULL) {
        omendb_status status = omendb_collection_count(import->database.collection, NULL, 0,
                                                       &import->next_number, &err);
        if (status != OMENDB_OK) {
            (void)database_failed(&import->database, &err);
            return false;
        }
        if (!description_read(&import->description, &import->database) || !match_columns(import)) {
            return false;
        }
    }
    for (size_t c = 0; c < import->columns_count; c++) {
        struct import_column *column = &import->columns[c];
        if (!column->stored_known && import->has_new_type) column->stored = import->new_type;
        if (column->paired_path != NULL && !open_paired(import, column)) return false;
    }
    return true;
}

static void create_batch(struct import *import)
{
    size_t rows = (size_t)import->batch_rows;
    import->ids = memory_create(rows, sizeof(import->ids[0]));
    import->numbered = memory_create(rows, sizeof(import->numbered[0]));
    import->id_offsets = memory_create(rows + 1, sizeof(import->id_offsets[0]));
    import->json_offsets = memory_create(rows + 1, sizeof(import->json_offsets[0]));
    import->places = memory_create(rows, sizeof(import->places[0]));
}

/* ---- One source ---------------------------------------------------------------- */

struct source {
    enum source_format format;
    struct input input;         /* Of text. */
    struct vector_file vectors; /* Of vectors. */
    struct csv_reader *csv;
};

/* The field that a source of vectors fills: the one of --vector, or the only one. */
static struct import_column *source_column(struct import *import)
{
    struct import_column *column = NULL;
    for (size_t c = 0; c < import->columns_count; c++) {
        if (import->columns[c].paired_path != NULL) continue;
        if (args_flag(import->args, "vector") && import->columns[c].key == NULL) continue;
        if (column != NULL && !args_flag(import->args, "vector")) {
            message("the collection has several vector fields, say which: --vector %s",
                    column->name);
            return NULL;
        }
        if (column == NULL) column = &import->columns[c];
    }
    if (column == NULL && import->database.collection != NULL) {
        message("the collection has no vector field for %s", import->source_name);
        return NULL;
    }
    return column != NULL ? column : import_column(import, "vector", strlen("vector"));
}

static bool open_source(struct import *import, struct source *source, const char *path)
{
    enum vector_format vectors = VECTOR_NPY;
    omendb_error err = {0};
    if (!source_format(import->args, path, &source->format, &vectors)) return false;
    import->source_has_lines = source->format != SOURCE_VECTORS;
    import->row.place = 0;
    if (source->format == SOURCE_VECTORS) {
        struct import_column *column = source_column(import);
        if (column == NULL) return false;
        if (vector_file_open(&source->vectors, path, vectors, &err) != OMENDB_OK) {
            message("%s: %s", import->source_name, err.message);
            return false;
        }
        column->source = &source->vectors;
        return match_file(import, column, &source->vectors, import->source_name);
    }
    if (input_open(&source->input, path, &err) != OMENDB_OK) {
        message("%s: %s", import->source_name, err.message);
        return false;
    }
    if (source->format == SOURCE_CSV &&
        import_csv_open(import, &source->input, &source->csv, &err) != OMENDB_OK) {
        if (!interrupt_raised()) {
            message("%s:%llu: %s", import->source_name, (unsigned long long)import->row.place,
                    err.message);
        }
        return false;
    }
    return true;
}

static void close_source(struct import *import, struct source *source)
{
    for (size_t c = 0; c < import->columns_count; c++) import->columns[c].source = NULL;
    import_csv_close(source->csv);
    vector_file_close(&source->vectors);
    input_close(&source->input);
}

/* The next row of a file into the column's row. */
static omendb_status read_vector(struct import_column *column, struct vector_file *file, bool *more,
                                 omendb_error *err)
{
    text_clear(&column->row);
    text_reserve(&column->row, file->row_size);
    TRY(vector_file_next(file, column->row.data, more, err));
    column->row.size = *more ? file->row_size : 0;
    column->present = *more;
    return OMENDB_OK;
}

static omendb_status read_row(struct import *import, struct source *source, bool *more,
                              omendb_error *err)
{
    import_row_clear(import);
    if (source->format == SOURCE_JSONL) {
        return import_jsonl_next(import, &source->input, more, err);
    }
    if (source->format == SOURCE_CSV) return import_csv_next(source->csv, more, err);
    text_append_string(&import->row.json, "{}");
    import->row.place = source->vectors.next;
    for (size_t c = 0; c < import->columns_count; c++) {
        struct import_column *column = &import->columns[c];
        if (column->source == NULL) continue;
        if (read_vector(column, column->source, more, err) != OMENDB_OK) {
            return OMENDB_ERR_IO; /* Rows of vectors can't be skipped: the rest has no frame. */
        }
    }
    return OMENDB_OK;
}

/* Reads the rows that go with this one. False after printing. */
static bool read_paired(struct import *import)
{
    for (size_t c = 0; c < import->columns_count; c++) {
        struct import_column *column = &import->columns[c];
        omendb_error err = {0};
        bool more = false;
        if (column->paired_path == NULL) continue;
        uint64_t row = column->paired.next;
        if (read_vector(column, &column->paired, &more, &err) != OMENDB_OK) {
            message("%s: row %llu: %s", column->paired_path, (unsigned long long)row, err.message);
            return false;
        }
        if (!more) {
            message("%s: has %llu rows, none for %s:%llu", column->paired_path,
                    (unsigned long long)row, import->source_name,
                    (unsigned long long)import->row.place);
            return false;
        }
    }
    return true;
}

static void show_progress(const struct import *import, const struct source *source)
{
    const struct input *input = source->format == SOURCE_VECTORS ? &source->vectors.input
                                                                 : &source->input;
    progress_update(input->consumed, input->size, import->imported + import->count);
}

/* Imports the rows of an open source. False: stop. */
static bool import_rows(struct import *import, struct source *source)
{
    while (import->imported + import->count < import->limit) {
        omendb_error err = {0};
        bool more = true;
        omendb_status status = read_row(import, source, &more, &err);
        if (interrupt_raised()) return false;
        if (status == OMENDB_OK && !more) break;
        if (status != OMENDB_OK && !import_refuses_row(status)) {
            if (import_flush(import)) {
                message("%s:%s%llu: %s", import->source_name,
                        import->source_has_lines ? "" : " row ",
                        (unsigned long long)import->row.place, err.message);
            }
            return false;
        }
        /* A refused row has a vector row too, which must go with it. */
        if (!read_paired(import)) {
            (void)import_flush(import);
            return false;
        }
        bool go_on = status == OMENDB_OK ? import_append(import)
                                         : import_reject(import, import->row.place, &err);
        if (!go_on) return false;
        show_progress(import, source);
    }
    return import_flush(import);
}

static bool import_source(struct import *import, const char *path)
{
    struct source source = {0};
    struct text what = {0};
    import->source_name = strcmp(path, "-") == 0 ? "stdin" : path;
    bool done = open_source(import, &source, path);
    if (done) {
        const char *slash = strrchr(import->source_name, '/');
        text_append_format(&what, "import %s", slash == NULL ? import->source_name : slash + 1);
        progress_begin(what.data, "rows");
        done = import_rows(import, &source);
        progress_end();
    }
    close_source(import, &source);
    text_deinit(&what);
    return done;
}

/* ---- The whole ----------------------------------------------------------------- */

/* After the last source: paired files must be used up too. */
static bool check_paired_ends(const struct import *import)
{
    bool ended = true;
    for (size_t c = 0; c < import->columns_count; c++) {
        const struct import_column *column = &import->columns[c];
        const struct vector_file *file = &column->paired;
        if (column->paired_path == NULL || !file->rows_known) continue;
        if (file->next == file->rows_count || import->imported >= import->limit) continue;
        message("%s: has %llu rows, the documents were only %llu", column->paired_path,
                (unsigned long long)file->rows_count, (unsigned long long)file->next);
        ended = false;
    }
    return ended;
}

static void report(const struct import *import, bool complete, double took)
{
    unsigned long long imported = import->imported;
    double rate = took > 0.0 ? (double)imported / took : 0.0;
    bool interrupted = !complete && interrupt_raised(); /* Not when it came behind the end. */
    if (import->args->json) {
        (void)printf("{\"imported\":%llu,\"skipped\":%llu,\"created\":%s,\"complete\":%s,"
                     "\"interrupted\":%s,\"seconds\":%.3f,\"indexed\":%s,\"index_seconds\":%.3f}\n",
                     imported, (unsigned long long)import->skipped,
                     import->created ? "true" : "false", complete ? "true" : "false",
                     interrupted ? "true" : "false", took, import->indexed ? "true" : "false",
                     import->index_seconds);
    }
    if (interrupted) {
        message("interrupted: %s row%s durable", screen_count(STDERR_FILENO, imported).text,
                imported == 1 ? " is" : "s are");
    } else if (!complete) {
        message("stopped: %s row%s durable", screen_count(STDERR_FILENO, imported).text,
                imported == 1 ? " is" : "s are");
    } else if (!import->args->json) {
        (void)printf("imported %s row%s into %s in %s (%s rows/s)\n",
                     screen_count(STDOUT_FILENO, imported).text, imported == 1 ? "" : "s",
                     import->args->positionals[1], screen_seconds(took).text,
                     screen_count(STDOUT_FILENO, (uint64_t)rate).text);
        if (import->indexed)
            (void)printf("indexed in %s\n", screen_seconds(import->index_seconds).text);
    }
    if (import->skipped != 0) {
        message("skipped %s row%s", screen_count(STDERR_FILENO, import->skipped).text,
                import->skipped == 1 ? "" : "s");
    }
}

/* The rows are in; false after printing why the index isn't finished. */
static bool wait_indexed(struct import *import)
{
    double began = progress_now();
    import->indexed = index_wait(&import->database);
    import->index_seconds = progress_now() - began;
    return import->indexed;
}

static int run_import(struct args *args)
{
    struct import *import = memory_create(1, sizeof(*import));
    import->args = args;
    if (!take_options(import)) {
        free(import);
        return CLI_USAGE;
    }
    double began = progress_now();
    create_batch(import);
    bool opened = open_target(import);
    bool complete = opened;
    for (size_t i = 2; complete && i < args->positionals_count; i++) {
        complete = import_source(import, args->positionals[i]);
    }
    if (complete) complete = check_paired_ends(import);
    if (complete && import->database.collection == NULL) {
        message("no rows, so no collection was made");
        complete = false;
    }
    import_batch_deinit(import); /* Before the database that the batch belongs to. */
    double took = progress_now() - began;
    bool waited = !complete || args_flag(args, "no-wait") || wait_indexed(import);
    bool closed = database_close(&import->database);
    description_deinit(&import->description);
    if (opened && closed) report(import, complete, took);
    free(import);
    return complete && closed && waited ? CLI_OK : CLI_FAILURE;
}
