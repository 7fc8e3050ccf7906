/* args.h - the command line: commands and their options as tables.
 *
 * Each command is one `struct command` in its own file; help, the parser and the checks all read
 * that table, so an option can't exist without its line of help.
 *
 *     omendb COMMAND [positional | --name VALUE | --name=VALUE | -n VALUE | --flag]... [-- positional...]
 *
 * Options and positionals mix freely; "-" is a positional (stdin); names aren't abbreviated. An
 * option given twice is a mistake unless its table entry says it repeats.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

struct option {
    const char *name; /* Without "--"; NULL ends a table. */
    char letter;      /* Of the short form, or 0. */
    bool repeats;
    const char *value; /* What help calls the value; NULL: a flag. */
    const char *help;
};

struct args;

struct command {
    const char *name;
    const char *synopsis; /* What follows the name. */
    const char *summary;  /* One line, for the list of commands. */
    const char *details;  /* Paragraphs for `omendb help NAME`; may be NULL. */
    const struct option *options;
    size_t positionals_min;
    size_t positionals_max; /* 0 with min 0: none. SIZE_MAX: any number. */
    int (*run)(struct args *args);
};

struct given {
    const struct option *option;
    const char *value;
};

struct args {
    const struct command *command;
    const char **positionals;
    size_t positionals_count;
    struct given *given;
    size_t given_count;
    bool json; /* --json */
    bool help; /* --help */
};

/* `argv` begins behind the command's name. Returns false after printing what is wrong. */
bool args_parse(struct args *args, const struct command *command, int argc, char **argv);
void args_deinit(struct args *args);

bool args_flag(const struct args *args, const char *name);
const char *args_text(const struct args *args, const char *name); /* NULL: not given. */
/* The value of the index-th use of a repeating option; NULL past the last. */
const char *args_each(const struct args *args, const char *name, size_t index);

/* These print a usage error and return false when the value isn't in the range; an option that
 * wasn't given leaves *out as it is. */
bool args_number(const struct args *args, const char *name, uint64_t min, uint64_t max,
                 uint64_t *out);
bool args_real(const struct args *args, const char *name, double min, double max, double *out);

/* Prints the message and where help is; returns CLI_USAGE. */
int args_wrong(const struct args *args, const char *format, ...) CLI_PRINTF(2, 3);

/* A run of digits within u64 and nothing else. */
bool digits_parse(const char *digits, size_t size, uint64_t *out);

/* The string of `names` (closed by NULL) that is at most two edits from `wrong`, or NULL. */
const char *nearest_name(const char *wrong, const char *const *names);

void args_print_help(const struct command *command);

#endif /* CLI_ARGS_H */
