/* main.c - the `omendb` command: finds the command and runs it.
 *
 * Everything under cli/ lives on omendb.h alone, as any program of a user does.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "interrupt.h"
#include "screen.h"
#include "show.h"

static int run_help(struct args *args);
static int run_version(struct args *args);

static const struct option NO_OPTIONS[] = {{NULL, 0, false, NULL, NULL}};

static const struct command HELP_COMMAND = {
    .name = "help",
    .synopsis = "[COMMAND]",
    .summary = "Show how a command is used.",
    .options = NO_OPTIONS,
    .positionals_max = 1,
    .run = run_help,
};

static const struct command VERSION_COMMAND = {
    .name = "version",
    .synopsis = "",
    .summary = "Show the version of the library.",
    .options = NO_OPTIONS,
    .run = run_version,
};

static const struct command *const COMMANDS[] = {
    &CREATE_COMMAND,  &IMPORT_COMMAND, &SEARCH_COMMAND,  &GET_COMMAND,    &FIND_COMMAND,
    &COUNT_COMMAND,   &DELETE_COMMAND, &LIST_COMMAND,    &DROP_COMMAND,   &RENAME_COMMAND,
    &INDEX_COMMAND,   &STATS_COMMAND,  &CHECK_COMMAND,   &EXPORT_COMMAND, &BACKUP_COMMAND,
    &RESTORE_COMMAND, &REPAIR_COMMAND, &VERSION_COMMAND, &HELP_COMMAND,
};
enum { COMMANDS_COUNT = sizeof(COMMANDS) / sizeof(COMMANDS[0]) };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (strcmp(COMMANDS[i]->name, name) == 0) return COMMANDS[i];
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[COMMANDS_COUNT + 1];
    for (size_t i = 0; i < COMMANDS_COUNT; i++) names[i] = COMMANDS[i]->name;
    names[COMMANDS_COUNT] = NULL;
    const char *near = nearest_name(name, names);
    if (near != NULL) {
        message("unknown command '%s'; did you mean '%s'?", name, near);
    } else {
        message("unknown command '%s' (see 'omendb help')", name);
    }
    return CLI_USAGE;
}

static void print_overview(FILE *out)
{
    (void)fputs("omendb: documents with vectors and fields in one file, searched by nearness.\n\n"
                "Usage: omendb COMMAND FILE [COLLECTION] [OPTION]...\n\nCommands:\n",
                out);
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        (void)fprintf(out, "  %-9s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
    }
    (void)fputs(
        "\nExample:\n"
        "  omendb import notes.omen notes notes.jsonl --create --vector v --metric cosine\n"
        "  omendb search notes.omen notes --vector '[0.1, 0.7]' -k 3\n\n"
        "'omendb help COMMAND' tells more. Every command takes --json.\n"
        "Exit status: 0 done, 1 nothing found or problems found, 2 wrong usage, 3 failure.\n",
        out);
}

static void print_json_overview(void)
{
    struct text out = {0};
    text_append_string(&out, "{\"commands\":[");
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (i != 0) text_append_byte(&out, ',');
        text_append_string(&out, "{\"name\":");
        text_append_json(&out, COMMANDS[i]->name, strlen(COMMANDS[i]->name));
        text_append_string(&out, ",\"synopsis\":");
        text_append_json(&out, COMMANDS[i]->synopsis, strlen(COMMANDS[i]->synopsis));
        text_append_string(&out, ",\"summary\":");
        text_append_json(&out, COMMANDS[i]->summary, strlen(COMMANDS[i]->summary));
        text_append_byte(&out, '}');
    }
    (void)printf("%s]}\n", out.data);
    text_deinit(&out);
}

static int run_help(struct args *args)
{
    if (args->json) {
        print_json_overview();
        return CLI_OK;
    }
    if (args->positionals_count == 0) {
        print_overview(stdout);
        return CLI_OK;
    }
    const struct command *command = find_command(args->positionals[0]);
    if (command == NULL) return unknown_command(args->positionals[0]);
    args_print_help(command);
    return CLI_OK;
}

static int run_version(struct args *args)
{
    if (args->json) {
        (void)printf("{\"version\":\"%s\"}\n", omendb_version());
    } else {
        (void)printf("omendb %s\n", omendb_version());
    }
    return CLI_OK;
}

int main(int argc, char **argv)
{
    struct args args;
    (void)setlocale(LC_CTYPE, ""); /* Widths of characters; numbers stay as in C. */
    if (argc < 2) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) name = "version";
    const struct command *command = find_command(name);
    if (command == NULL) return unknown_command(name);
    int code = CLI_USAGE;
    if (args_parse(&args, command, argc - 2, argv + 2)) {
        if (args.help) {
            args_print_help(command);
            code = CLI_OK;
        } else {
            interrupt_begin();
            code = command->run(&args);
        }
        code = show_end(code);
    }
    args_deinit(&args);
    return code;
}
