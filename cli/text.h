/* text.h - growable byte strings of the command, and checked memory.
 *
 * A command line tool that is out of memory has one thing left to do: say so and end. So these
 * functions never fail; they print the reason and exit with CLI_FAILURE. That is safe with a
 * database open: what was acknowledged is in its file and log, as after a kill.
 *
 *     struct text { data, size, capacity }    data[size] is always NUL once data isn't NULL
 *
 * Threads: a text belongs to one thread.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "omendb.h"

#define CLI_PRINTF(string, first) __attribute__((format(printf, string, first)))

/* Exit statuses of every command. */
enum {
    CLI_OK = 0,
    CLI_NEGATIVE = 1, /* The answer is no: nothing found, nothing deleted, check found problems. */
    CLI_USAGE = 2,    /* The command line is wrong; nothing was done. */
    CLI_FAILURE = 3   /* The work could not be done, or not all of it. */
};

/* Initialise with {0}. */
struct text {
    char *data;
    size_t size;
    size_t capacity;
};

void text_deinit(struct text *text);
void text_clear(struct text *text);
/* Makes room for `more` bytes behind the content and the NUL. */
void text_reserve(struct text *text, size_t more);
void text_append(struct text *text, const void *bytes, size_t size);
void text_append_string(struct text *text, const char *string);
void text_append_byte(struct text *text, char byte);
void text_append_format(struct text *text, const char *format, ...) CLI_PRINTF(2, 3);
/* Appends a JSON string with its quotes; bytes from 0x20 on are passed through as they are. */
void text_append_json(struct text *text, const char *bytes, size_t size);

/* Memory for count x size bytes, zeroed; memory_resize keeps what fits and doesn't zero. */
void *memory_create(size_t count, size_t size);
void *memory_resize(void *memory, size_t count, size_t size);

/* Sets `err` and returns `status`: `return fault(err, OMENDB_ERR_VALUE, "...", ...)`. */
omendb_status fault(omendb_error *err, omendb_status status, const char *format, ...)
    CLI_PRINTF(3, 4);

/* Prints "omendb: message" and a line end to stderr; control characters, which could come from a
 * hostile file and would reach a terminal, are replaced. Ends a progress line first. */
void message(const char *format, ...) CLI_PRINTF(1, 2);

/* The part of a path behind its last '.', or "". */
const char *path_extension(const char *path);

#define TRY(call)                                                                                  \
    do {                                                                                           \
        omendb_status status_of_try = (call);                                                      \
        if (status_of_try != OMENDB_OK) return status_of_try;                                      \
    } while (0)

#endif /* CLI_TEXT_H */
