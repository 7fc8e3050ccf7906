/* backup.c - `omendb backup`, `restore` and `repair`: copies of a database, and their way back */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "database.h"
#include "interrupt.h"
#include "progress.h"
#include "report.h"
#include "screen.h"

static int run_backup(struct args *args);
static int run_restore(struct args *args);
static int run_repair(struct args *args);

static const struct option BACKUP_OPTIONS[] = {
    {"base", 0, false, "FILE",
     "Write only what this backup or increment, made before, lacks: an\n"
     "increment, which 'omendb restore' puts together with its base."},
    {"replace", 0, false, NULL, "Replace OUT if it is there."},
    {NULL, 0, false, NULL, NULL},
};

const struct command BACKUP_COMMAND = {
    .name = "backup",
    .synopsis = "FILE OUT [--base FILE] [--replace]",
    .summary = "Copy a database while it is used; or what changed since a backup.",
    .details =
        "OUT is a database that opens at once: one moment of FILE, with everything that was\n"
        "acknowledged before, also by a process that goes on writing. Every block is verified\n"
        "on the way. OUT appears when it is whole. An increment of a database that another\n"
        "process writes has to be made by that process.\n"
        "\n"
        "Examples:\n"
        "  omendb backup x.omen sunday.omen\n"
        "  omendb backup x.omen monday.increment --base sunday.omen\n"
        "  omendb backup x.omen tuesday.increment --base monday.increment\n"
        "  omendb restore y.omen sunday.omen monday.increment tuesday.increment\n",
    .options = BACKUP_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_backup,
};

static const struct option RESTORE_OPTIONS[] = {
    {"replace", 0, false, NULL, "Replace FILE if it is there."},
    {NULL, 0, false, NULL, NULL},
};

const struct command RESTORE_COMMAND = {
    .name = "restore",
    .synopsis = "FILE BACKUP [INCREMENT]... [--replace]",
    .summary = "Make a database of a backup and its increments.",
    .details =
        "Increments come in the order in which they were made; FILE is what the last one was\n"
        "made of. Every block is verified. A missing increment is noticed.\n",
    .options = RESTORE_OPTIONS,
    .positionals_min = 2,
    .positionals_max = SIZE_MAX,
    .run = run_restore,
};

static const struct option REPAIR_OPTIONS[] = {
    {"replace", 0, false, NULL, "Replace OUT if it is there."},
    {NULL, 0, false, NULL, NULL},
};

const struct command REPAIR_COMMAND = {
    .name = "repair",
    .synopsis = "FILE OUT [--replace]",
    .summary = "Save what can be read of a damaged database into a new one.",
    .details =
        "FILE is never written. Documents around damaged blocks are copied, indexes built anew;\n"
        "ids of documents that are lost, or lack a vector, are listed (all of them by --json).\n"
        "\n"
        "Exit status 1: something is lost. Status 3: nothing could be saved.\n",
    .options = REPAIR_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_repair,
};

static uint32_t replace_flag(const struct args *args)
{
    return args_flag(args, "replace") ? (uint32_t)OMENDB_BACKUP_REPLACE : 0u;
}

/* `context`: where the bytes written go. */
static int show_bytes(void *context, uint64_t done, uint64_t total)
{
    uint64_t *bytes = context;
    *bytes = done;
    progress_update(done, total, done >> 20);
    return interrupt_raised();
}

static int show_documents(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    progress_update(done, total, done);
    return interrupt_raised();
}

static int copy_failed(const char *path, const omendb_error *err)
{
    if (err->status == OMENDB_ERR_INTERRUPTED) {
        message("interrupted: there is no %s", path);
    } else {
        message("%s", err->message);
    }
    return CLI_FAILURE;
}

static void print_copied(const struct args *args, const char *what, const char *path,
                         uint64_t bytes, double took)
{
    struct text line = {0};
    if (args->json) {
        text_append_string(&line, "{\"path\":");
        text_append_json(&line, path, strlen(path));
        (void)printf("%s,\"kind\":\"%s\",\"bytes\":%llu,\"seconds\":%.3f}\n", line.data, what,
                     (unsigned long long)bytes, took);
        text_deinit(&line);
        return;
    }
    (void)printf("%s: %s of %s (%s)\n", path, what, screen_bytes(bytes).text,
                 screen_seconds(took).text);
}

/* One try with a handle of these flags. */
static omendb_status backup_once(const struct args *args, uint32_t flags, uint64_t *bytes,
                                 bool *opened, omendb_error *err)
{
    struct database database = {0};
    omendb_backup_options options = OMENDB_BACKUP_OPTIONS_INIT;
    omendb_status status = OMENDB_ERR_IO;
    options.flags = replace_flag(args);
    options.base = args_text(args, "base");
    options.progress = show_bytes;
    options.context = bytes;
    *opened = database_open(&database, args->positionals[0], OMENDB_OPEN_MUST_EXIST | flags,
                            OMENDB_DURABILITY_DEFAULT);
    if (*opened) {
        progress_begin("backup", "MiB");
        status = omendb_backup(database.db, args->positionals[1], &options, err);
        progress_end();
    }
    if (!database_close(&database)) *opened = false;
    return status;
}

static int run_backup(struct args *args)
{
    omendb_error err = {0};
    uint64_t bytes = 0;
    bool opened = false;
    const double began = progress_now();
    omendb_status status = backup_once(args, OMENDB_OPEN_READ_ONLY, &bytes, &opened, &err);
    /* An increment wants an image of everything, which a writer makes. */
    if (opened && status == OMENDB_ERR_UNSUPPORTED && args_flag(args, "base")) {
        status = backup_once(args, 0, &bytes, &opened, &err);
    }
    if (!opened) return CLI_FAILURE;
    if (status != OMENDB_OK) return copy_failed(args->positionals[1], &err);
    print_copied(args, args_flag(args, "base") ? "increment" : "backup", args->positionals[1],
                 bytes, progress_now() - began);
    return CLI_OK;
}

static int run_restore(struct args *args)
{
    omendb_backup_options options = OMENDB_BACKUP_OPTIONS_INIT;
    omendb_error err = {0};
    uint64_t bytes = 0;
    const double began = progress_now();
    options.flags = replace_flag(args);
    options.progress = show_bytes;
    options.context = &bytes;
    progress_begin("restore", "MiB");
    const omendb_status status = omendb_restore(args->positionals + 1, args->positionals_count - 1,
                                                args->positionals[0], &options, &err);
    progress_end();
    if (status != OMENDB_OK) return copy_failed(args->positionals[0], &err);
    print_copied(args, "database", args->positionals[0], bytes, progress_now() - began);
    return CLI_OK;
}

/* ---- Repair -------------------------------------------------------------------- */

enum { SHOWN_IDS = 20 };

static void print_ids(const char *what, const json_t *ids, uint64_t count)
{
    struct text line = {0}, clean = {0};
    size_t index;
    const json_t *id;
    if (count == 0) return;
    json_array_foreach(ids, index, id)
    {
        if (index == SHOWN_IDS) break;
        if (index != 0) text_append_byte(&line, ' ');
        report_append(&line, "", id);
    }
    screen_append_printable(&clean, line.data == NULL ? "" : line.data, line.size);
    (void)printf("  %llu %s: %s%s\n", (unsigned long long)count, what,
                 clean.data == NULL ? "" : clean.data, count > SHOWN_IDS ? " ..." : "");
    text_deinit(&line);
    text_deinit(&clean);
}

static uint64_t number_in(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

static void print_lines(const char *before, const json_t *list, const char *member)
{
    size_t index;
    const json_t *entry;
    json_array_foreach(list, index, entry)
    {
        struct text clean = {0};
        const char *where = json_string_value(json_object_get(entry, "part"));
        const json_t *text = member == NULL ? entry : json_object_get(entry, member);
        screen_append_printable(&clean, json_string_value(text), json_string_length(text));
        (void)printf("  %s%s%s%s\n", before, where == NULL ? "" : where, where == NULL ? "" : ": ",
                     clean.data == NULL ? "" : clean.data);
        text_deinit(&clean);
    }
}

static void print_repaired(const char *path, const json_t *root, double took)
{
    size_t index;
    const json_t *part;
    (void)printf("%s: %s (%s)\n", path,
                 json_is_true(json_object_get(root, "complete")) ? "complete"
                                                                 : "made, something is lost",
                 screen_seconds(took).text);
    print_lines("", json_object_get(root, "problems"), NULL);
    print_lines("damaged: ", json_object_get(root, "damage"), "problem");
    json_array_foreach(json_object_get(root, "collections"), index, part)
    {
        struct text clean = {0};
        const json_t *name = json_object_get(part, "name");
        screen_append_printable(&clean, json_string_value(name), json_string_length(name));
        (void)printf("%s: %llu documents\n", clean.data == NULL ? "" : clean.data,
                     (unsigned long long)number_in(part, "documents"));
        text_deinit(&clean);
        print_ids("lost", json_object_get(part, "lost_ids"), number_in(part, "lost"));
        print_ids("without a vector", json_object_get(part, "incomplete_ids"),
                  number_in(part, "incomplete"));
        if (number_in(part, "lost_without_id") != 0) {
            (void)printf("  %llu lost with their ids\n",
                         (unsigned long long)number_in(part, "lost_without_id"));
        }
    }
}

static int run_repair(struct args *args)
{
    omendb_repair_options options = OMENDB_REPAIR_OPTIONS_INIT;
    omendb_error err = {0};
    char *text = NULL;
    const double began = progress_now();
    options.flags = replace_flag(args);
    options.progress = show_documents;
    progress_begin("repair", "documents");
    const omendb_status status = omendb_repair(args->positionals[0], args->positionals[1], &options,
                                               &text, &err);
    progress_end();
    if (status != OMENDB_OK) return copy_failed(args->positionals[1], &err);
    json_t *root = report_parse(text);
    const bool complete = json_is_true(json_object_get(root, "complete"));
    if (args->json) {
        (void)printf("%s\n", text);
    } else if (root != NULL) {
        print_repaired(args->positionals[1], root, progress_now() - began);
    }
    json_decref(root);
    omendb_text_destroy(text);
    return complete ? CLI_OK : CLI_NEGATIVE;
}
