/* json_tool - JSON texts in, verdicts out, for tools/json_differential.py.
 *
 * Reads from stdin u32 size (little-endian), text; and so on until the end. Answers each on stdout
 * with one byte, '+' or '-', u32 size, and that many bytes: the text written back from the binary
 * document, or the error message. With the argument "floats" texts are arrays of numbers, and the
 * answer is the f32 values, 4 bytes each.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "doc/json.h"

enum { FLOATS_MAX = 65536 };

static bool answer(char verdict, const void *bytes, size_t size)
{
    uint8_t head[5] = {(uint8_t)verdict};
    store_le32(head + 1, (uint32_t)size);
    return fwrite(head, 1, sizeof head, stdout) == sizeof head &&
           fwrite(bytes, 1, size, stdout) == size;
}

static bool answer_document(const char *text, size_t size)
{
    struct buffer document = {0};
    struct buffer again = {0};
    omendb_error err;
    bool ok;
    if (json_to_document(text, size, &document, &err) != OMENDB_OK) {
        ok = answer('-', err.message, strlen(err.message));
    } else if (document_validate(document.data, document.size, &err) != OMENDB_OK ||
               document_to_json(document.data, document.size, &again, &err) != OMENDB_OK) {
        fprintf(stderr, "json_tool: %s\n", err.message);
        ok = false;
    } else {
        ok = answer('+', again.data, again.size);
    }
    buffer_deinit(&document);
    buffer_deinit(&again);
    return ok;
}

static bool answer_floats(const char *text, size_t size)
{
    static float values[FLOATS_MAX];
    static uint8_t bytes[FLOATS_MAX * 4];
    size_t count = 0;
    omendb_error err;
    if (json_read_floats(text, size, values, FLOATS_MAX, &count, &err) != OMENDB_OK)
        return answer('-', err.message, strlen(err.message));
    for (size_t i = 0; i < count; i++) store_f32(bytes + 4 * i, values[i]);
    return answer('+', bytes, 4 * count);
}

int main(int argc, char **argv)
{
    const bool floats = argc > 1 && strcmp(argv[1], "floats") == 0;
    uint8_t head[4];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const size_t size = load_le32(head);
        char *text = malloc(size != 0 ? size : 1); /* Exact: a sanitizer sees reads past it. */
        if (text == NULL || fread(text, 1, size, stdin) != size) {
            free(text);
            return 2;
        }
        const bool ok = floats ? answer_floats(text, size) : answer_document(text, size);
        free(text);
        if (!ok) return 1;
    }
    return 0;
}
