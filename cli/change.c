/* change.c - `omendb delete`, `drop` and `rename` */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "database.h"
#include "progress.h"
#include "screen.h"

static int run_delete(struct args *args);
static int run_drop(struct args *args);
static int run_rename(struct args *args);

static const struct option DELETE_OPTIONS[] = {
    {"where", 0, false, "JSON", "Every document that matches this filter, instead of ids."},
    {"string-ids", 0, false, NULL, "Every id is a string."},
    {NULL, 0, false, NULL, NULL},
};

const struct command DELETE_COMMAND = {
    .name = "delete",
    .synopsis = "FILE COLLECTION (ID... | --where JSON)",
    .summary = "Delete documents by id or by filter, all at once or none.",
    .details = HELP_IDS "\n" HELP_WHERE "\nExit status 1: there was nothing to delete.\n",
    .options = DELETE_OPTIONS,
    .positionals_min = 2,
    .positionals_max = SIZE_MAX,
    .run = run_delete,
};

static const struct option CHANGE_NO_OPTIONS[] = {{NULL, 0, false, NULL, NULL}};

const struct command DROP_COMMAND = {
    .name = "drop",
    .synopsis = "FILE COLLECTION",
    .summary = "Delete a collection with all its documents.",
    .options = CHANGE_NO_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_drop,
};

const struct command RENAME_COMMAND = {
    .name = "rename",
    .synopsis = "FILE COLLECTION NEW_NAME",
    .summary = "Rename a collection.",
    .options = CHANGE_NO_OPTIONS,
    .positionals_min = 3,
    .positionals_max = 3,
    .run = run_rename,
};

static int run_delete(struct args *args)
{
    struct database database = {0};
    omendb_error err = {0};
    const char *where = args_text(args, "where");
    size_t count = args->positionals_count - 2;
    uint64_t deleted = 0;
    int code = CLI_FAILURE;
    if ((where == NULL) == (count == 0)) {
        return args_wrong(args, "either ids or --where says what to delete");
    }
    omendb_id *ids = memory_create(count, sizeof(ids[0]));
    for (size_t i = 0; i < count; i++) {
        if (id_parse(args->positionals[2 + i], args_flag(args, "string-ids"), &ids[i], &err) !=
            OMENDB_OK) {
            free(ids);
            return args_wrong(args, "%s", err.message);
        }
    }
    if (database_open_collection(&database, args, OMENDB_OPEN_MUST_EXIST)) {
        progress_wait_begin("deleting");
        omendb_status status = where == NULL
                                   ? omendb_collection_delete(database.collection, ids, count,
                                                              &deleted, &err)
                                   : omendb_collection_delete_where(database.collection, where,
                                                                    strlen(where), &deleted, &err);
        progress_wait_end();
        code = status == OMENDB_OK ? CLI_OK : database_failed(&database, &err);
    }
    if (!database_close(&database)) code = CLI_FAILURE;
    free(ids);
    if (code != CLI_OK) return code;
    if (args->json) {
        (void)printf("{\"deleted\":%llu}\n", (unsigned long long)deleted);
    } else {
        (void)printf("deleted %s document%s\n", screen_count(STDOUT_FILENO, deleted).text,
                     deleted == 1 ? "" : "s");
    }
    return deleted == 0 ? CLI_NEGATIVE : CLI_OK;
}

/* Prints {"verb": "name"} or "verb name"; `name` and `tail` come from the command line. */
static void print_done(const struct args *args, const char *verb, const char *name,
                       const char *tail)
{
    if (!args->json) {
        (void)printf("%s collection %s%s%s\n", verb, name, tail == NULL ? "" : " to ",
                     tail == NULL ? "" : tail);
        return;
    }
    struct text line = {0};
    text_append_format(&line, "{\"%s\":", verb);
    text_append_json(&line, name, strlen(name));
    if (tail != NULL) {
        text_append_string(&line, ",\"to\":");
        text_append_json(&line, tail, strlen(tail));
    }
    (void)printf("%s}\n", line.data);
    text_deinit(&line);
}

static int run_drop(struct args *args)
{
    struct database database = {0};
    omendb_error err = {0};
    const char *name = args->positionals[1];
    int code = CLI_FAILURE;
    if (database_open(&database, args->positionals[0], OMENDB_OPEN_MUST_EXIST,
                      OMENDB_DURABILITY_DEFAULT)) {
        omendb_status status = omendb_collection_drop(database.db, name, &err);
        code = status == OMENDB_OK ? CLI_OK : database_failed(&database, &err);
    }
    if (!database_close(&database)) code = CLI_FAILURE;
    if (code == CLI_OK) print_done(args, "dropped", name, NULL);
    return code;
}

static int run_rename(struct args *args)
{
    struct database database = {0};
    omendb_error err = {0};
    const char *name = args->positionals[1];
    const char *new_name = args->positionals[2];
    int code = CLI_FAILURE;
    if (database_open(&database, args->positionals[0], OMENDB_OPEN_MUST_EXIST,
                      OMENDB_DURABILITY_DEFAULT)) {
        omendb_status status = omendb_collection_rename(database.db, name, new_name, &err);
        code = status == OMENDB_OK ? CLI_OK : database_failed(&database, &err);
    }
    if (!database_close(&database)) code = CLI_FAILURE;
    if (code == CLI_OK) print_done(args, "renamed", name, new_name);
    return code;
}
