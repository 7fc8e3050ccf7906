#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "screen.h"

_Noreturn static void out_of_memory(void)
{
    (void)fputs("omendb: out of memory\n", stderr);
    _exit(CLI_FAILURE);
}

void *memory_resize(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory();
    void *out = realloc(memory, bytes == 0 ? 1 : bytes);
    if (out == NULL) out_of_memory();
    return out;
}

void *memory_create(size_t count, size_t size)
{
    void *out = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (out == NULL) out_of_memory();
    return out;
}

void text_deinit(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->size = 0;
    if (text->data != NULL) text->data[0] = '\0';
}

void text_reserve(struct text *text, size_t more)
{
    size_t need;
    if (__builtin_add_overflow(text->size, more, &need) || need > SIZE_MAX / 2) out_of_memory();
    if (need < text->capacity) return;
    size_t capacity = text->capacity < 64 ? 64 : text->capacity;
    while (capacity <= need) capacity *= 2;
    text->data = memory_resize(text->data, capacity, 1);
    text->capacity = capacity;
}

void text_append(struct text *text, const void *bytes, size_t size)
{
    text_reserve(text, size);
    if (size != 0) memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void text_append_string(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_append_byte(struct text *text, char byte)
{
    text_append(text, &byte, 1);
}

CLI_PRINTF(2, 0)
static void text_append_arguments(struct text *text, const char *format, va_list arguments)
{
    va_list copy;
    enum { FORMATTED_USUAL = 256 }; /* Most fit at once; the rest is formatted twice. */
    if (format == NULL) return;     /* Never; gcc's sanitizer build wants to see it. */
    va_copy(copy, arguments);
    text_reserve(text, FORMATTED_USUAL);
    int size = vsnprintf(text->data + text->size, FORMATTED_USUAL, format, arguments);
    if (size >= FORMATTED_USUAL) {
        text_reserve(text, (size_t)size + 1);
        size = vsnprintf(text->data + text->size, (size_t)size + 1, format, copy);
    }
    va_end(copy);
    if (size > 0) text->size += (size_t)size;
    text->data[text->size] = '\0';
}

void text_append_format(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_append_arguments(text, format, arguments);
    va_end(arguments);
}

void text_append_json(struct text *text, const char *bytes, size_t size)
{
    text_append_byte(text, '"');
    size_t plain = 0; /* Where the run of bytes that need no escape began. */
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        text_append(text, bytes + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\') {
            text_append_format(text, "\\%c", c);
        } else if (c == '\n') {
            text_append_string(text, "\\n");
        } else if (c == '\t') {
            text_append_string(text, "\\t");
        } else {
            text_append_format(text, "\\u%04x", c);
        }
    }
    text_append(text, bytes + plain, size - plain);
    text_append_byte(text, '"');
}

omendb_status fault(omendb_error *err, omendb_status status, const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        va_start(arguments, format);
        err->status = status;
        (void)vsnprintf(err->message, sizeof(err->message), format, arguments);
        va_end(arguments);
    }
    return status;
}

void message(const char *format, ...)
{
    struct text raw = {0};
    struct text clean = {0};
    va_list arguments;
    va_start(arguments, format);
    text_append_arguments(&raw, format, arguments);
    va_end(arguments);
    screen_append_printable(&clean, raw.data == NULL ? "" : raw.data, raw.size);
    progress_clear();
    (void)fflush(stdout);
    const char *red = screen_colour(STDERR_FILENO, SCREEN_RED);
    const char *reset = screen_colour(STDERR_FILENO, SCREEN_RESET);
    (void)fprintf(stderr, "%somendb:%s %s\n", red, reset, clean.data == NULL ? "" : clean.data);
    text_deinit(&raw);
    text_deinit(&clean);
}

const char *path_extension(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    return dot == NULL ? "" : dot + 1;
}
