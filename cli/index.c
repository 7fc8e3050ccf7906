/* index.c - `omendb index`: how vector fields are indexed; waiting for that work */
#include "index.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "interrupt.h"
#include "progress.h"
#include "report.h"

static int run_index(struct args *args);

static const struct option INDEX_OPTIONS[] = {
    {"profile", 0, false, "PROFILE",
     "fast: a graph with codes of the neighbours beside its rows;\n"
     "compact: a graph alone, a third of the memory, half of the speed;\n"
     "exact: no graph, every search reads all vectors' codes."},
    {"field", 0, false, "NAME", "The vector field of --profile, when there are several."},
    {"no-wait", 0, false, NULL, "Leave the work to whoever opens the file for writing next."},
    {"timeout", 0, false, "MS", "Wait so many milliseconds at most."},
    {NULL, 0, false, NULL, NULL},
};

const struct command INDEX_COMMAND = {
    .name = "index",
    .synopsis = "FILE COLLECTION [--profile PROFILE] [--field NAME] [--no-wait]",
    .summary = "Finish the graphs of a collection, or choose how a field is indexed.",
    .details =
        "Graphs are built in the background while a file is open for writing; searches find\n"
        "everything at every moment. This command stays until they hold all vectors, then\n"
        "shows what 'stats' tells about them.\n",
    .options = INDEX_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_index,
};

bool index_of(const char *name, omendb_index *out)
{
    static const char *const NAMES[] = {"fast", "compact", "exact"};
    for (omendb_index index = OMENDB_INDEX_FAST; index <= OMENDB_INDEX_EXACT; index++) {
        if (strcmp(name, NAMES[index - OMENDB_INDEX_FAST]) != 0) continue;
        *out = index;
        return true;
    }
    return false;
}

bool index_option(const struct args *args, const char *option, omendb_index *out)
{
    const char *name = args_text(args, option);
    if (name == NULL || index_of(name, out)) return true;
    (void)args_wrong(args, "'--%s' is fast, compact or exact, not '%s'", option, name);
    return false;
}

/* ---- Waiting ------------------------------------------------------------------- */

static int show_indexed(void *context, uint64_t indexed, uint64_t total)
{
    (void)context;
    progress_update(indexed, total, indexed);
    return interrupt_raised();
}

static omendb_status wait_for_index(const struct database *database, uint32_t timeout_ms,
                                    omendb_error *err)
{
    progress_begin("indexing", "vectors");
    const omendb_status status = omendb_collection_wait_indexed(database->collection, timeout_ms,
                                                                show_indexed, NULL, err);
    progress_end();
    return status;
}

static int wait_failed(const struct database *database, const omendb_error *err)
{
    if (err->status == OMENDB_ERR_INTERRUPTED || err->status == OMENDB_ERR_TIMEOUT) {
        message("%s: the index isn't finished; the next that opens the file for writing goes on",
                database->path);
        return CLI_FAILURE;
    }
    return database_failed(database, err);
}

bool index_wait(struct database *database)
{
    omendb_error err = {0};
    if (wait_for_index(database, 0, &err) == OMENDB_OK) return true;
    (void)wait_failed(database, &err);
    return false;
}

/* ---- The command ---------------------------------------------------------------- */

/* The collection's part of the statistics. */
static json_t *collection_stats(const json_t *stats, const char *name)
{
    size_t at;
    json_t *entry;
    json_array_foreach(json_object_get(stats, "collections"), at, entry)
    {
        const char *found = json_string_value(json_object_get(entry, "name"));
        if (found != NULL && strcmp(found, name) == 0) return json_object_get(entry, "vectors");
    }
    return NULL;
}

static void print_fields(const char *text, const char *name, bool as_json)
{
    json_t *stats = report_parse(text);
    json_t *fields = collection_stats(stats, name);
    json_t *shown = json_object();
    size_t at;
    json_t *field;
    json_array_foreach(fields, at, field)
    {
        const char *field_name = json_string_value(json_object_get(field, "name"));
        if (field_name != NULL)
            (void)json_object_set(shown, field_name, json_object_get(field, "index"));
    }
    if (as_json) {
        char *line = json_dumps(shown, JSON_COMPACT | JSON_REAL_PRECISION(6));
        (void)printf("{\"fields\":%s}\n", line == NULL ? "{}" : line);
        free(line);
    } else {
        report_print(shown);
    }
    json_decref(shown);
    json_decref(stats);
}

static int index_run(struct database *database, const struct args *args, omendb_index profile,
                     uint32_t timeout_ms)
{
    omendb_error err = {0};
    char *text = NULL;
    if (profile != OMENDB_INDEX_DEFAULT &&
        omendb_collection_set_index(database->collection, args_text(args, "field"), profile,
                                    &err) != OMENDB_OK) {
        return database_failed(database, &err);
    }
    if (!args_flag(args, "no-wait") && wait_for_index(database, timeout_ms, &err) != OMENDB_OK) {
        return wait_failed(database, &err);
    }
    if (omendb_stats(database->db, &text, &err) != OMENDB_OK) {
        return database_failed(database, &err);
    }
    print_fields(text, args->positionals[1], args->json);
    omendb_text_destroy(text);
    return CLI_OK;
}

static int run_index(struct args *args)
{
    struct database database = {0};
    omendb_index profile = OMENDB_INDEX_DEFAULT;
    uint64_t timeout = 0;
    int code = CLI_FAILURE;
    if (!index_option(args, "profile", &profile) ||
        !args_number(args, "timeout", 1, UINT32_MAX, &timeout)) {
        return CLI_USAGE;
    }
    if (profile == OMENDB_INDEX_DEFAULT && args_flag(args, "field")) {
        return args_wrong(args, "'--field' goes with --profile");
    }
    if (database_open_collection(&database, args, OMENDB_OPEN_MUST_EXIST)) {
        code = index_run(&database, args, profile, (uint32_t)timeout);
    }
    if (!database_close(&database)) code = CLI_FAILURE;
    return code;
}
