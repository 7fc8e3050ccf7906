/* inspect.c - `omendb list`, `stats` and `check`: reports the library writes as JSON, for people */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "database.h"
#include "progress.h"
#include "screen.h"

static int run_list(struct args *args);
static int run_stats(struct args *args);
static int run_check(struct args *args);

static const struct option INSPECT_NO_OPTIONS[] = {{NULL, 0, false, NULL, NULL}};

const struct command LIST_COMMAND = {
    .name = "list",
    .synopsis = "FILE",
    .summary = "List the collections.",
    .options = INSPECT_NO_OPTIONS,
    .positionals_min = 1,
    .positionals_max = 1,
    .run = run_list,
};

const struct command STATS_COMMAND = {
    .name = "stats",
    .synopsis = "FILE",
    .summary = "Show sizes, counts, capacity and durability.",
    .options = INSPECT_NO_OPTIONS,
    .positionals_min = 1,
    .positionals_max = 1,
    .run = run_stats,
};

static const struct option CHECK_OPTIONS[] = {
    {"deep", 0, false, NULL, "Verify every block, document, vector and index entry as well."},
    {NULL, 0, false, NULL, NULL},
};

const struct command CHECK_COMMAND = {
    .name = "check",
    .synopsis = "FILE [--deep]",
    .summary = "Verify the file.",
    .details = "Exit status 1: problems were found.\n",
    .options = CHECK_OPTIONS,
    .positionals_min = 1,
    .positionals_max = 1,
    .run = run_check,
};

enum { INSPECT_FLAGS = OMENDB_OPEN_MUST_EXIST | OMENDB_OPEN_READ_ONLY };

/* A value for people: sizes in bytes get a unit, counts are grouped, texts have no quotes. */
static void append_value(struct text *out, const char *key, const json_t *value)
{
    bool is_size = strstr(key, "bytes") != NULL;
    if (json_is_string(value)) {
        text_append(out, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value) && json_integer_value(value) >= 0) {
        uint64_t number = (uint64_t)json_integer_value(value);
        text_append_string(out, is_size ? screen_bytes(number).text
                                        : screen_count(STDOUT_FILENO, number).text);
    } else if (json_is_boolean(value)) {
        text_append_string(out, json_is_true(value) ? "yes" : "no");
    } else if (json_is_null(value)) {
        text_append_byte(out, '-');
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        text_append_string(out, text == NULL ? "?" : text);
        free(text);
    }
}

static bool is_table(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) != 0 &&
           json_is_object(json_array_get(value, 0));
}

static void add_cell(struct screen_table *table, const char *key, const json_t *value)
{
    struct text cell = {0};
    append_value(&cell, key, value);
    screen_table_cell(table, cell.data == NULL ? "" : cell.data, cell.size);
    text_deinit(&cell);
}

/* Nested objects become names with dots; arrays of objects come later, as tables. */
static void add_lines(struct screen_table *table, const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct text name = {0};
        text_append_format(&name, "%s%s", prefix, key);
        if (json_is_object(value)) {
            text_append_byte(&name, '.');
            add_lines(table, name.data, value);
        } else if (!is_table(value)) {
            screen_table_cell(table, name.data, name.size);
            add_cell(table, key, value);
        }
        text_deinit(&name);
    }
}

/* The columns are the members of the first object; tables inside it come behind this one, under
 * the name of their row. */
static void print_array(const char *title, const json_t *array)
{
    struct screen_table table;
    json_t *first = json_array_get(array, 0);
    const char *key;
    json_t *value;
    size_t columns = 0;
    json_object_foreach(first, key, value) columns += is_table(value) ? 0 : 1;
    screen_table_init(&table, columns);
    columns = 0;
    json_object_foreach(first, key, value)
    {
        if (!is_table(value)) screen_table_title(&table, columns++, key, json_is_number(value));
    }
    for (size_t row = 0; row < json_array_size(array); row++) {
        json_object_foreach(first, key, value)
        {
            const json_t *cell = json_object_get(json_array_get(array, row), key);
            if (!is_table(value)) add_cell(&table, key, cell == NULL ? json_null() : cell);
        }
    }
    (void)printf("\n%s\n", title);
    if (columns != 0) screen_table_print(&table, true);
    screen_table_deinit(&table);
    for (size_t row = 0; row < json_array_size(array); row++) {
        const char *name = json_string_value(json_object_get(json_array_get(array, row), "name"));
        json_object_foreach(json_array_get(array, row), key, value)
        {
            struct text inner = {0};
            if (!is_table(value)) continue;
            text_append_format(&inner, "%s of ", key);
            screen_append_printable(&inner, name == NULL ? title : name,
                                    strlen(name == NULL ? title : name));
            print_array(inner.data, value);
            text_deinit(&inner);
        }
    }
}

static void print_object(const json_t *object)
{
    struct screen_table table;
    const char *key;
    json_t *value;
    screen_table_init(&table, 2);
    add_lines(&table, "", object);
    if (table.cells_count != 0) screen_table_print(&table, false);
    screen_table_deinit(&table);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (is_table(value)) print_array(key, value);
    }
}

/* Parses a report of the library; NULL after printing the text as it is. */
static json_t *parse_report(const char *text)
{
    json_t *root = json_loads(text, JSON_DECODE_ANY, NULL);
    if (root == NULL) (void)printf("%s\n", text);
    return root;
}

static void add_vectors(struct screen_table *table, const json_t *vectors)
{
    struct text cell = {0};
    size_t index;
    const json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        const char *name = json_string_value(json_object_get(vector, "name"));
        const char *type = json_string_value(json_object_get(vector, "type"));
        const char *metric = json_string_value(json_object_get(vector, "metric"));
        text_append_format(&cell, "%s%s:%lld:%s:%s", index == 0 ? "" : " ",
                           name == NULL ? "?" : name,
                           (long long)json_integer_value(json_object_get(vector, "dim")),
                           type == NULL ? "?" : type, metric == NULL ? "?" : metric);
    }
    screen_table_cell(table, cell.data == NULL ? "-" : cell.data,
                      cell.data == NULL ? 1 : cell.size);
    text_deinit(&cell);
}

static void add_fields(struct screen_table *table, const json_t *fields)
{
    struct text cell = {0};
    size_t index;
    const json_t *field;
    json_array_foreach(fields, index, field)
    {
        const char *name = json_string_value(json_object_get(field, "name"));
        const char *type = json_string_value(json_object_get(field, "type"));
        text_append_format(&cell, "%s%s:%s", index == 0 ? "" : " ", name == NULL ? "?" : name,
                           type == NULL ? "?" : type);
    }
    screen_table_cell(table, cell.data == NULL ? "-" : cell.data,
                      cell.data == NULL ? 1 : cell.size);
    text_deinit(&cell);
}

static void print_list(const char *path, const char *text)
{
    struct screen_table table;
    size_t index;
    const json_t *entry;
    json_t *root = parse_report(text);
    if (root == NULL) return;
    if (json_array_size(root) == 0) (void)printf("no collections in %s\n", path);
    screen_table_init(&table, 4);
    screen_table_title(&table, 0, "collection", false);
    screen_table_title(&table, 1, "documents", true);
    screen_table_title(&table, 2, "vectors", false);
    screen_table_title(&table, 3, "fields", false);
    json_array_foreach(root, index, entry)
    {
        add_cell(&table, "name", json_object_get(entry, "name"));
        add_cell(&table, "count", json_object_get(entry, "count"));
        add_vectors(&table, json_object_get(entry, "vectors"));
        add_fields(&table, json_object_get(entry, "fields"));
    }
    if (json_array_size(root) != 0) screen_table_print(&table, true);
    screen_table_deinit(&table);
    json_decref(root);
}

static int run_list(struct args *args)
{
    struct database database = {0};
    omendb_error err = {0};
    char *text = NULL;
    int code = CLI_FAILURE;
    if (database_open(&database, args->positionals[0], INSPECT_FLAGS, OMENDB_DURABILITY_DEFAULT)) {
        omendb_status status = omendb_collection_list(database.db, &text, &err);
        code = status == OMENDB_OK ? CLI_OK : database_failed(&database, &err);
    }
    if (!database_close(&database)) code = CLI_FAILURE;
    if (code == CLI_OK && args->json) (void)printf("{\"collections\":%s}\n", text);
    if (code == CLI_OK && !args->json) print_list(args->positionals[0], text);
    omendb_text_destroy(text);
    return code;
}

static int run_stats(struct args *args)
{
    struct database database = {0};
    omendb_error err = {0};
    char *text = NULL;
    int code = CLI_FAILURE;
    if (database_open(&database, args->positionals[0], INSPECT_FLAGS, OMENDB_DURABILITY_DEFAULT)) {
        omendb_status status = omendb_stats(database.db, &text, &err);
        code = status == OMENDB_OK ? CLI_OK : database_failed(&database, &err);
    }
    if (!database_close(&database)) code = CLI_FAILURE;
    if (code == CLI_OK && args->json) (void)printf("%s\n", text);
    if (code == CLI_OK && !args->json) {
        json_t *root = parse_report(text);
        if (root != NULL) print_object(root);
        json_decref(root);
    }
    omendb_text_destroy(text);
    return code;
}

static void print_problems(const char *path, const json_t *problems, const char *how, double took)
{
    size_t index;
    const json_t *problem;
    const char *colour = screen_colour(STDOUT_FILENO,
                                       json_array_size(problems) == 0 ? SCREEN_GREEN : SCREEN_RED);
    const char *reset = screen_colour(STDOUT_FILENO, SCREEN_RESET);
    if (json_array_size(problems) == 0) {
        (void)printf("%s: %sok%s (%s check, %s)\n", path, colour, reset, how,
                     screen_seconds(took).text);
        return;
    }
    (void)printf("%s: %s%zu problem%s%s (%s check, %s)\n", path, colour, json_array_size(problems),
                 json_array_size(problems) == 1 ? "" : "s", reset, how, screen_seconds(took).text);
    json_array_foreach(problems, index, problem)
    {
        struct text line = {0};
        struct text clean = {0};
        append_value(&line, "", problem);
        screen_append_printable(&clean, line.data, line.size);
        (void)printf("  %s\n", clean.data);
        text_deinit(&line);
        text_deinit(&clean);
    }
}

static int run_check(struct args *args)
{
    struct database database = {0};
    omendb_error err = {0};
    char *text = NULL;
    bool deep = args_flag(args, "deep");
    int code = CLI_FAILURE;
    double began = progress_now();
    if (database_open(&database, args->positionals[0], INSPECT_FLAGS, OMENDB_DURABILITY_DEFAULT)) {
        progress_wait_begin("checking");
        omendb_status status = omendb_check(database.db, deep ? OMENDB_CHECK_DEEP : 0u, &text,
                                            &err);
        progress_wait_end();
        code = status == OMENDB_OK ? CLI_OK : database_failed(&database, &err);
    }
    double took = progress_now() - began;
    if (!database_close(&database)) code = CLI_FAILURE;
    if (code == CLI_OK) {
        json_t *root = json_loads(text, 0, NULL);
        const json_t *problems = json_object_get(root, "problems");
        bool ok = json_is_true(json_object_get(root, "ok"));
        if (!ok) code = CLI_NEGATIVE;
        if (args->json) {
            (void)printf("%s\n", text);
        } else {
            print_problems(args->positionals[0], problems, deep ? "deep" : "quick", took);
        }
        json_decref(root);
    }
    omendb_text_destroy(text);
    return code;
}
