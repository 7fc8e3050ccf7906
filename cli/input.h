/* input.h - a file or stdin, read once from front to back.
 *
 * Reads of stdin wait for data and for Ctrl-C at once. Lengths that come out of the input never
 * decide how much memory is taken: lines have a limit, and exact reads go to the caller's buffer.
 *
 * Errors: NOT_FOUND or IO with the reason of the operating system, INTERRUPTED.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "text.h"

struct input {
    const char *name; /* For messages: the path, or "stdin". Borrowed. */
    int fd;
    uint64_t size;     /* Of a regular file; 0 elsewhere. */
    uint64_t consumed; /* Bytes handed out. */
    char *buffer;
    size_t begin; /* buffer[begin .. end) is still to be handed out. */
    size_t end;
    size_t capacity;
    bool at_end; /* The file has nothing behind buffer[end). */
};

/* "-" is stdin. On an error nothing is held. */
omendb_status input_open(struct input *input, const char *path, omendb_error *err);
void input_close(struct input *input); /* Also of {0}. */

/* The next byte, -1 at the end, -2 on an error. */
int input_byte(struct input *input, omendb_error *err);
int input_peek(struct input *input, omendb_error *err);

/* Reads up to `size` bytes; *got is less only at the end. */
omendb_status input_read(struct input *input, void *out, size_t size, size_t *got,
                         omendb_error *err);

/* The next line without its line end (LF or CR LF), NUL-terminated, borrowed until the next call;
 * *line is NULL at the end. A longer line than `limit` is skipped whole: ARGUMENT. */
omendb_status input_line(struct input *input, size_t limit, char **line, size_t *size,
                         omendb_error *err);

/* Skips a UTF-8 byte order mark. */
omendb_status input_skip_mark(struct input *input, omendb_error *err);

#endif /* CLI_INPUT_H */
