#include "args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options of every command, behind its own in help. */
static const struct option COMMON_OPTIONS[] = {
    {"json", 0, false, NULL, "Write JSON: one object, or one object a line."},
    {"help", 'h', false, NULL, "Show this help."},
    {NULL, 0, false, NULL, NULL},
};

static const struct option *find_option_in(const struct option *options, const char *name,
                                           size_t name_size, char letter)
{
    for (; options->name != NULL; options++) {
        if (letter != 0 && options->letter == letter) return options;
        if (letter == 0 && strlen(options->name) == name_size &&
            memcmp(options->name, name, name_size) == 0) {
            return options;
        }
    }
    return NULL;
}

static const struct option *find_option(const struct command *command, const char *name,
                                        size_t name_size, char letter)
{
    const struct option *option = find_option_in(command->options, name, name_size, letter);
    return option != NULL ? option : find_option_in(COMMON_OPTIONS, name, name_size, letter);
}

/* Levenshtein distance, given up (99) for names longer than any of ours. */
static unsigned edit_distance(const char *a, const char *b)
{
    enum { NAME_MAX_SIZE = 32 };
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    if (a_size > NAME_MAX_SIZE || b_size > NAME_MAX_SIZE) return 99;
    unsigned row[NAME_MAX_SIZE + 1];
    for (unsigned j = 0; j <= b_size; j++) row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned replace = diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u);
            unsigned insert = row[j - 1] + 1;
            unsigned erase = row[j] + 1;
            diagonal = row[j];
            row[j] = replace < insert ? replace : insert;
            if (erase < row[j]) row[j] = erase;
        }
    }
    return row[b_size];
}

const char *nearest_name(const char *wrong, const char *const *names)
{
    const char *best = NULL;
    unsigned best_distance = strlen(wrong) < 4 ? 2 : 3; /* Short names must be closer. */
    for (; *names != NULL; names++) {
        unsigned distance = edit_distance(wrong, *names);
        if (distance < best_distance) {
            best_distance = distance;
            best = *names;
        }
    }
    return best;
}

static int wrong_option(const struct args *args, const char *name)
{
    const char *names[64];
    size_t count = 0;
    const struct option *tables[] = {args->command->options, COMMON_OPTIONS};
    for (size_t t = 0; t < 2; t++) {
        for (const struct option *o = tables[t]; o->name != NULL && count < 63; o++) {
            names[count++] = o->name;
        }
    }
    names[count] = NULL;
    const char *near = nearest_name(name, names);
    if (near == NULL) return args_wrong(args, "unknown option '--%s'", name);
    return args_wrong(args, "unknown option '--%s'; did you mean '--%s'?", name, near);
}

static bool add_given(struct args *args, const struct option *option, const char *value)
{
    if (!option->repeats && args_text(args, option->name) != NULL) {
        (void)args_wrong(args, "'--%s' was given twice", option->name);
        return false;
    }
    args->given = memory_resize(args->given, args->given_count + 1, sizeof(args->given[0]));
    args->given[args->given_count++] = (struct given){option, option->value == NULL ? "" : value};
    if (strcmp(option->name, "json") == 0) args->json = true;
    if (strcmp(option->name, "help") == 0) args->help = true;
    return true;
}

/* One word that begins with '-'; *index moves on when the next word is its value. */
static bool parse_option(struct args *args, int argc, char **argv, int *index)
{
    const char *word = argv[*index];
    bool is_long = word[1] == '-';
    const char *name = is_long ? word + 2 : word + 1;
    size_t name_size = is_long ? strcspn(name, "=") : 1;
    const struct option *option = find_option(args->command, name, name_size,
                                              is_long ? '\0' : word[1]);
    if (option == NULL && !is_long) {
        (void)args_wrong(args, "unknown option '-%c'", word[1]);
        return false;
    }
    if (option == NULL) {
        struct text copy = {0};
        text_append(&copy, name, name_size);
        (void)wrong_option(args, copy.data);
        text_deinit(&copy);
        return false;
    }
    const char *inside = name[name_size] == '\0' ? NULL : name + name_size + (is_long ? 1 : 0);
    if (option->value == NULL) {
        if (inside == NULL) return add_given(args, option, NULL);
        (void)args_wrong(args, "'--%s' takes no value", option->name);
        return false;
    }
    if (inside != NULL) return add_given(args, option, inside);
    if (*index + 1 >= argc) {
        (void)args_wrong(args, "'--%s' needs a value: %s", option->name, option->value);
        return false;
    }
    *index += 1;
    return add_given(args, option, argv[*index]);
}

bool args_parse(struct args *args, const struct command *command, int argc, char **argv)
{
    *args = (struct args){.command = command};
    args->positionals = memory_create((size_t)argc + 1, sizeof(args->positionals[0]));
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (!options_end && strcmp(word, "--") == 0) {
            options_end = true;
        } else if (!options_end && word[0] == '-' && word[1] != '\0') {
            if (!parse_option(args, argc, argv, &i)) return false;
        } else {
            args->positionals[args->positionals_count++] = word;
        }
    }
    if (args->help) return true;
    if (args->positionals_count < command->positionals_min) {
        (void)args_wrong(args, "too few arguments: %s %s", command->name, command->synopsis);
        return false;
    }
    if (args->positionals_count > command->positionals_max) {
        (void)args_wrong(args, "unexpected argument '%s'",
                         args->positionals[command->positionals_max]);
        return false;
    }
    return true;
}

void args_deinit(struct args *args)
{
    free(args->positionals);
    free(args->given);
    *args = (struct args){0};
}

const char *args_each(const struct args *args, const char *name, size_t index)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].option->name, name) != 0) continue;
        if (index-- == 0) return args->given[i].value;
    }
    return NULL;
}

const char *args_text(const struct args *args, const char *name)
{
    return args_each(args, name, 0);
}

bool args_flag(const struct args *args, const char *name)
{
    return args_each(args, name, 0) != NULL;
}

bool digits_parse(const char *digits, size_t size, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(digits[i] - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    return size != 0;
}

bool args_number(const struct args *args, const char *name, uint64_t min, uint64_t max,
                 uint64_t *out)
{
    const char *value = args_text(args, name);
    uint64_t number;
    if (value == NULL) return true;
    if (!digits_parse(value, strlen(value), &number) || number < min || number > max) {
        (void)args_wrong(args, "'--%s' wants a number from %llu to %llu, not '%s'", name,
                         (unsigned long long)min, (unsigned long long)max, value);
        return false;
    }
    *out = number;
    return true;
}

bool args_real(const struct args *args, const char *name, double min, double max, double *out)
{
    const char *value = args_text(args, name);
    if (value == NULL) return true;
    char *end = NULL;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || !(number >= min && number <= max)) {
        (void)args_wrong(args, "'--%s' wants a number from %g to %g, not '%s'", name, min, max,
                         value);
        return false;
    }
    *out = number;
    return true;
}

int args_wrong(const struct args *args, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    message("%s: %s (see 'omendb help %s')", args->command->name, line, args->command->name);
    return CLI_USAGE;
}

static void print_options(const struct option *options)
{
    enum { HELP_COLUMN = 30 };
    for (; options->name != NULL; options++) {
        char left[128];
        char letter[8] = "";
        if (options->letter != 0) (void)snprintf(letter, sizeof(letter), "-%c, ", options->letter);
        (void)snprintf(left, sizeof(left), "  %s--%s%s%s", letter, options->name,
                       options->value == NULL ? "" : " ",
                       options->value == NULL ? "" : options->value);
        (void)printf("%-*s", HELP_COLUMN - 1, left);
        if (strlen(left) >= HELP_COLUMN - 1) (void)printf("\n%-*s", HELP_COLUMN - 1, "");
        for (const char *c = options->help; *c != '\0'; c++) {
            if (c == options->help) (void)putchar(' ');
            (void)putchar(*c);
            if (*c == '\n') (void)printf("%-*s", HELP_COLUMN, "");
        }
        (void)putchar('\n');
    }
}

void args_print_help(const struct command *command)
{
    (void)printf("Usage: omendb %s %s\n\n%s\n", command->name, command->synopsis, command->summary);
    if (command->details != NULL) (void)printf("\n%s", command->details);
    (void)printf("\nOptions:\n");
    print_options(command->options);
    print_options(COMMON_OPTIONS);
}
