/* inspect.c - `omendb list`, `stats` and `check`: reports the library writes as JSON, for people */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "database.h"
#include "progress.h"
#include "report.h"
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
    .summary = "Show sizes, counts, capacity, durability and indexes.",
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
        const char *profile = json_string_value(json_object_get(vector, "index"));
        text_append_format(&cell, "%s%s:%lld:%s:%s:%s", index == 0 ? "" : " ",
                           name == NULL ? "?" : name,
                           (long long)json_integer_value(json_object_get(vector, "dim")),
                           type == NULL ? "?" : type, metric == NULL ? "?" : metric,
                           profile == NULL ? "?" : profile);
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
    json_t *root = report_parse(text);
    if (root == NULL) return;
    if (json_array_size(root) == 0) (void)printf("no collections in %s\n", path);
    screen_table_init(&table, 4);
    screen_table_title(&table, 0, "collection", false);
    screen_table_title(&table, 1, "documents", true);
    screen_table_title(&table, 2, "vectors", false);
    screen_table_title(&table, 3, "fields", false);
    json_array_foreach(root, index, entry)
    {
        report_cell(&table, "name", json_object_get(entry, "name"));
        report_cell(&table, "count", json_object_get(entry, "count"));
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
        json_t *root = report_parse(text);
        if (root != NULL) report_print(root);
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
        report_append(&line, "", problem);
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
