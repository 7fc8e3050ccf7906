/* read.c - `omendb get`, `find` and `count` */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "database.h"
#include "interrupt.h"
#include "pages.h"
#include "screen.h"
#include "show.h"

static int run_get(struct args *args);
static int run_find(struct args *args);
static int run_count(struct args *args);

static const struct option GET_OPTIONS[] = {
    {"fields", 0, false, "A,B", "Only these top-level fields."},
    {"with-vectors", 0, false, NULL, "Show the vectors as well."},
    {"string-ids", 0, false, NULL, "Every id is a string."},
    {NULL, 0, false, NULL, NULL},
};

const struct command GET_COMMAND = {
    .name = "get",
    .synopsis = "FILE COLLECTION ID...",
    .summary = "Show documents by id.",
    .details = HELP_IDS "\nExit status 1: an id has no document (the others are shown).\n"
                        "With --json one object a line: {\"id\", \"found\", \"document\"}.\n",
    .options = GET_OPTIONS,
    .positionals_min = 3,
    .positionals_max = SIZE_MAX,
    .run = run_get,
};

static const struct option FIND_OPTIONS[] = {
    {"where", 0, false, "JSON", "Only documents that match this filter."},
    {"limit", 'n', false, "N", "At most so many; 0: all. Default 100."},
    {"after", 0, false, "ID", "Begin behind this id: the last one of the page before."},
    {"fields", 0, false, "A,B", "Only these top-level fields."},
    {"with-vectors", 0, false, NULL, "Show the vectors as well."},
    {"string-ids", 0, false, NULL, "The id of --after is a string."},
    {NULL, 0, false, NULL, NULL},
};

const struct command FIND_COMMAND = {
    .name = "find",
    .synopsis = "FILE COLLECTION [--where JSON] [--limit N] [--after ID]",
    .summary = "Show documents that match a filter, in the order of ids.",
    .details = HELP_WHERE "\n" HELP_IDS "\nExit status 1: nothing was found.\n"
                          "With --json one object a line: {\"id\", \"document\"}.\n",
    .options = FIND_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_find,
};

static const struct option COUNT_OPTIONS[] = {
    {"where", 0, false, "JSON", "Only documents that match this filter."},
    {NULL, 0, false, NULL, NULL},
};

const struct command COUNT_COMMAND = {
    .name = "count",
    .synopsis = "FILE COLLECTION [--where JSON]",
    .summary = "Count documents.",
    .details = HELP_WHERE,
    .options = COUNT_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_count,
};

enum { READ_FLAGS = OMENDB_OPEN_MUST_EXIST | OMENDB_OPEN_READ_ONLY };

static void print_get(const struct args *args, const struct show *show,
                      const omendb_documents *documents, size_t index)
{
    omendb_document document;
    struct text line = {0};
    omendb_documents_entry(documents, index, &document);
    if (document.found && !args->json) {
        if (index != 0) (void)putchar('\n');
        show_block(show, documents, index);
    } else if (document.found) {
        text_append_string(&line, "{\"found\":true,");
        show_append_json(show, &line, documents, index);
    } else if (args->json) {
        text_append_string(&line, "{\"found\":false,\"id\":");
        id_append_json(&line, &document.id);
    } else {
        id_append(&line, &document.id);
        message("no document %s", line.data);
    }
    if (args->json) (void)printf("%s}\n", line.data);
    text_deinit(&line);
}

static int run_get(struct args *args)
{
    struct database database = {0};
    struct description description = {0};
    struct show show = {0};
    omendb_documents *documents = NULL;
    omendb_error err = {0};
    int code = CLI_FAILURE;
    size_t count = args->positionals_count - 2;
    omendb_id *ids = memory_create(count, sizeof(ids[0]));
    for (size_t i = 0; i < count; i++) {
        if (id_parse(args->positionals[2 + i], args_flag(args, "string-ids"), &ids[i], &err) !=
            OMENDB_OK) {
            free(ids);
            return args_wrong(args, "%s", err.message);
        }
    }
    if (!database_open_collection(&database, args, READ_FLAGS)) goto cleanup;
    if (!description_read(&description, &database)) goto cleanup;
    show_init(&show, args, &description);
    if (omendb_collection_get(database.collection, ids, count, show_flags(&show), &documents,
                              &err) != OMENDB_OK) {
        (void)database_failed(&database, &err);
        goto cleanup;
    }
    code = CLI_OK;
    for (size_t i = 0; i < count; i++) {
        omendb_document document;
        omendb_documents_entry(documents, i, &document);
        if (!document.found) code = CLI_NEGATIVE;
        print_get(args, &show, documents, i);
    }
cleanup:
    omendb_documents_destroy(documents);
    show_deinit(&show);
    description_deinit(&description);
    free(ids);
    if (!database_close(&database)) code = CLI_FAILURE;
    return code;
}

static void print_page(const struct args *args, const struct show *show,
                       const omendb_documents *documents, bool first)
{
    size_t count = omendb_documents_count(documents);
    struct text line = {0};
    if (args->json) {
        for (size_t i = 0; i < count; i++) {
            text_clear(&line);
            show_append_json(show, &line, documents, i);
            (void)printf("{%s}\n", line.data);
        }
        text_deinit(&line);
        return;
    }
    struct screen_table table;
    screen_table_init(&table, show_columns(show));
    show_titles(show, &table, 0);
    for (size_t i = 0; i < count; i++) show_cells(show, &table, documents, i);
    if (count != 0) screen_table_print(&table, first);
    screen_table_deinit(&table);
}

static int find_pages(const struct args *args, struct database *database, const struct show *show,
                      struct pages *pages, uint64_t limit)
{
    enum { PAGE = 1000 };
    uint64_t total = 0;
    size_t got;
    do {
        omendb_documents *documents = NULL;
        uint64_t left = limit == 0 ? PAGE : limit - total;
        pages->params.limit = left < PAGE ? (size_t)left : PAGE;
        if (!pages_next(pages, database, &documents)) return CLI_FAILURE;
        got = omendb_documents_count(documents);
        print_page(args, show, documents, total == 0);
        total += got;
        omendb_documents_destroy(documents);
    } while (got == pages->params.limit && (limit == 0 || total < limit) && !interrupt_raised() &&
             ferror(stdout) == 0);
    if (!args->json && total != 0 && total == limit) {
        struct text id = {0};
        id_append(&id, pages->params.after);
        (void)printf("%s%s document%s; more: --after ", screen_colour(STDOUT_FILENO, SCREEN_DIM),
                     screen_count(STDOUT_FILENO, total).text, total == 1 ? "" : "s");
        struct text clean = {0};
        screen_append_printable(&clean, id.data, id.size);
        (void)printf("%s%s\n", clean.data, screen_colour(STDOUT_FILENO, SCREEN_RESET));
        text_deinit(&clean);
        text_deinit(&id);
    }
    if (interrupt_raised()) {
        message("interrupted after %llu documents", (unsigned long long)total);
        return CLI_FAILURE;
    }
    return total == 0 ? CLI_NEGATIVE : CLI_OK;
}

static int run_find(struct args *args)
{
    struct database database = {0};
    struct description description = {0};
    struct show show = {0};
    struct pages pages = {.params = OMENDB_FIND_PARAMS_INIT};
    omendb_error err = {0};
    omendb_id after;
    uint64_t limit = 100;
    int code = CLI_FAILURE;
    if (!args_number(args, "limit", 0, UINT64_MAX / 2, &limit)) return CLI_USAGE;
    if (args_flag(args, "after")) {
        if (id_parse(args_text(args, "after"), args_flag(args, "string-ids"), &after, &err) !=
            OMENDB_OK) {
            return args_wrong(args, "%s", err.message);
        }
        pages.params.after = &after;
    }
    pages.params.filter = args_text(args, "where");
    pages.params.filter_size = pages.params.filter == NULL ? 0 : strlen(pages.params.filter);
    if (database_open_collection(&database, args, READ_FLAGS) &&
        description_read(&description, &database)) {
        show_init(&show, args, &description);
        pages.params.flags = show_flags(&show);
        code = find_pages(args, &database, &show, &pages, limit);
    }
    pages_deinit(&pages);
    show_deinit(&show);
    description_deinit(&description);
    if (!database_close(&database)) code = CLI_FAILURE;
    return code;
}

static int run_count(struct args *args)
{
    struct database database = {0};
    omendb_error err = {0};
    const char *where = args_text(args, "where");
    uint64_t count = 0;
    int code = CLI_FAILURE;
    if (database_open_collection(&database, args, READ_FLAGS)) {
        omendb_status status = omendb_collection_count(
            database.collection, where, where == NULL ? 0 : strlen(where), &count, &err);
        code = status == OMENDB_OK ? CLI_OK : database_failed(&database, &err);
    }
    if (!database_close(&database)) code = CLI_FAILURE;
    if (code != CLI_OK) return code;
    if (args->json) {
        (void)printf("{\"count\":%llu}\n", (unsigned long long)count);
    } else {
        (void)printf("%s\n", screen_count(STDOUT_FILENO, count).text);
    }
    return CLI_OK;
}
