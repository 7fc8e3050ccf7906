#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"

enum { INPUT_CHUNK = 65536 };

omendb_status input_open(struct input *input, const char *path, omendb_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct stat info;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        omendb_status status = errno == ENOENT ? OMENDB_ERR_NOT_FOUND : OMENDB_ERR_IO;
        return fault(err, status, "%s", strerror(errno));
    }
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        if (!is_stdin) (void)close(fd);
        return fault(err, OMENDB_ERR_IO, "%s", strerror(EISDIR));
    }
    *input = (struct input){.name = is_stdin ? "stdin" : path, .fd = fd};
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
        input->size = (uint64_t)info.st_size;
    }
    input->capacity = INPUT_CHUNK;
    input->buffer = memory_resize(NULL, input->capacity + 1, 1);
    return OMENDB_OK;
}

void input_close(struct input *input)
{
    if (input->buffer == NULL) return;
    if (input->fd != STDIN_FILENO) (void)close(input->fd);
    free(input->buffer);
    *input = (struct input){0};
}

/* One read into `out`; *got is 0 at the end only. */
static omendb_status read_some(struct input *input, void *out, size_t size, size_t *got,
                               omendb_error *err)
{
    for (;;) {
        struct pollfd waits[2] = {{input->fd, POLLIN, 0}, {interrupt_fd(), POLLIN, 0}};
        if (input->size == 0) (void)poll(waits, 2, -1); /* A negative fd is ignored. */
        if (interrupt_raised()) return fault(err, OMENDB_ERR_INTERRUPTED, "interrupted");
        ssize_t count = read(input->fd, out, size);
        if (count >= 0) {
            *got = (size_t)count;
            return OMENDB_OK;
        }
        if (errno != EINTR && errno != EAGAIN) {
            return fault(err, OMENDB_ERR_IO, "cannot read: %s", strerror(errno));
        }
    }
}

/* Brings more bytes behind buffer[end), growing the buffer when it is full. */
static omendb_status fill(struct input *input, omendb_error *err)
{
    size_t got;
    if (input->begin != 0) {
        memmove(input->buffer, input->buffer + input->begin, input->end - input->begin);
        input->end -= input->begin;
        input->begin = 0;
    }
    if (input->end == input->capacity) {
        input->capacity *= 2;
        input->buffer = memory_resize(input->buffer, input->capacity + 1, 1);
    }
    TRY(read_some(input, input->buffer + input->end, input->capacity - input->end, &got, err));
    input->end += got;
    if (got == 0) input->at_end = true;
    return OMENDB_OK;
}

int input_peek(struct input *input, omendb_error *err)
{
    if (input->begin == input->end && !input->at_end && fill(input, err) != OMENDB_OK) return -2;
    return input->begin == input->end ? -1 : (unsigned char)input->buffer[input->begin];
}

int input_byte(struct input *input, omendb_error *err)
{
    int byte = input_peek(input, err);
    if (byte >= 0) {
        input->begin++;
        input->consumed++;
    }
    return byte;
}

omendb_status input_read(struct input *input, void *out, size_t size, size_t *got,
                         omendb_error *err)
{
    char *target = out;
    size_t done = input->end - input->begin;
    if (done > size) done = size;
    memcpy(target, input->buffer + input->begin, done);
    input->begin += done;
    while (done < size && !input->at_end) {
        size_t part;
        if (size - done < INPUT_CHUNK) {
            TRY(fill(input, err));
            part = input->end - input->begin;
            if (part > size - done) part = size - done;
            memcpy(target + done, input->buffer + input->begin, part);
            input->begin += part;
        } else {
            TRY(read_some(input, target + done, size - done, &part, err));
            if (part == 0) input->at_end = true;
        }
        done += part;
    }
    input->consumed += done;
    *got = done;
    return OMENDB_OK;
}

omendb_status input_line(struct input *input, size_t limit, char **line, size_t *size,
                         omendb_error *err)
{
    size_t searched = 0; /* Of the bytes behind begin. */
    bool too_long = false;
    for (;;) {
        char *start = input->buffer + input->begin;
        size_t have = input->end - input->begin;
        char *newline = have > searched ? memchr(start + searched, '\n', have - searched) : NULL;
        if (newline == NULL && !input->at_end && have <= limit) {
            searched = have;
            TRY(fill(input, err));
            continue;
        }
        size_t length = newline == NULL ? have : (size_t)(newline - start);
        size_t taken = newline == NULL ? have : length + 1;
        too_long = too_long || length > limit;
        input->begin += taken;
        input->consumed += taken;
        if (newline == NULL && !input->at_end) { /* Drop the piece and look for the line's end. */
            searched = 0;
            TRY(fill(input, err));
            continue;
        }
        if (too_long) {
            return fault(err, OMENDB_ERR_ARGUMENT, "the line is longer than %zu bytes", limit);
        }
        if (taken == 0) {
            *line = NULL;
            *size = 0;
            return OMENDB_OK;
        }
        if (length > 0 && start[length - 1] == '\r') length--;
        start[length] = '\0'; /* The buffer has one byte more than its capacity. */
        *line = start;
        *size = length;
        return OMENDB_OK;
    }
}

omendb_status input_skip_mark(struct input *input, omendb_error *err)
{
    while (input->end - input->begin < 3 && !input->at_end) TRY(fill(input, err));
    if (input->end - input->begin >= 3 &&
        memcmp(input->buffer + input->begin, "\xef\xbb\xbf", 3) == 0) {
        input->begin += 3;
        input->consumed += 3;
    }
    return OMENDB_OK;
}
