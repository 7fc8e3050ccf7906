#include "reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "screen.h"

enum { PATH_SIZE = 4096, NPY_PREFIX_SIZE = 10 };

static void *reserve(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL) screen_die("out of memory");
    return memory;
}

/* The whole file and one NUL behind it. */
static char *read_file(const char *folder, const char *name, char path[PATH_SIZE], size_t *size)
{
    if (snprintf(path, PATH_SIZE, "%s/%s", folder, name) >= PATH_SIZE) {
        screen_die("%s: the path is too long", folder);
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) screen_die_errno("%s", path);
    long end = ftell(file);
    if (end < 0 || fseek(file, 0, SEEK_SET) != 0) screen_die_errno("%s", path);
    char *content = reserve((size_t)end + 1, 1);
    if (fread(content, 1, (size_t)end, file) != (size_t)end) screen_die_errno("%s", path);
    (void)fclose(file);
    *size = (size_t)end;
    return content;
}

/* The rows of a .npy file of version 1.0 with READER_DIM columns of `descr`; see
 * numpy.lib.format. *count is the number of rows. */
static void *read_npy(const char *folder, const char *name, const char *descr, size_t element_size,
                      size_t *count)
{
    char path[PATH_SIZE], wanted[128];
    size_t size;
    char *content = read_file(folder, name, path, &size);
    if (size < NPY_PREFIX_SIZE || memcmp(content, "\x93NUMPY\x01\x00", 8) != 0) {
        screen_die("%s: not a .npy file of version 1.0", path);
    }
    size_t header_size = (size_t)(unsigned char)content[8] | (size_t)(unsigned char)content[9] << 8;
    if (header_size > size - NPY_PREFIX_SIZE) screen_die("%s: cut short", path);
    char *rows = content + NPY_PREFIX_SIZE + header_size;
    size_t rows_size = size - NPY_PREFIX_SIZE - header_size;
    size_t row_size = READER_DIM * element_size;
    *count = rows_size / row_size;
    (void)snprintf(wanted, sizeof wanted,
                   "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %d), }", descr, *count,
                   (int)READER_DIM);
    if (header_size < strlen(wanted) || rows_size % row_size != 0 ||
        memcmp(content + NPY_PREFIX_SIZE, wanted, strlen(wanted)) != 0) {
        screen_die("%s: not rows of %d numbers of type %s", path, (int)READER_DIM, descr);
    }
    memmove(content, rows, rows_size); /* Aligned as the allocation is. */
    return content;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) count += text[i] == '\n';
    return count;
}

void reader_packages_init(struct reader_packages *packages, const char *folder)
{
    static const char BEGIN[] = "{\"id\":\"";
    const size_t begin_size = sizeof BEGIN - 1;
    char path[PATH_SIZE];
    size_t size, vectors_count;
    char *text = read_file(folder, "packages.jsonl", path, &size);
    const size_t count = count_lines(text, size);
    packages->count = count;
    packages->ids_text = reserve(size, 1);
    packages->json = reserve(size, 1);
    packages->id_offsets = reserve(count + 1, sizeof packages->id_offsets[0]);
    packages->json_offsets = reserve(count + 1, sizeof packages->json_offsets[0]);
    const char *line = text;
    for (size_t r = 0; r < count; r++) {
        const char *end = strchr(line, '\n');
        if (end == NULL || (size_t)(end - line) < begin_size ||
            memcmp(line, BEGIN, begin_size) != 0) {
            screen_die("%s: line %zu doesn't begin with an id", path, r + 1);
        }
        const char *id = line + begin_size;
        const char *id_end = memchr(id, '"', (size_t)(end - id));
        if (id_end == NULL || end - id_end < 3 || id_end[1] != ',') {
            screen_die("%s: line %zu has no members behind its id", path, r + 1);
        }
        const char *members = id_end + 2;
        char *json = packages->json + packages->json_offsets[r];
        const size_t id_size = (size_t)(id_end - id), members_size = (size_t)(end - members);
        memcpy(packages->ids_text + packages->id_offsets[r], id, id_size);
        json[0] = '{';
        memcpy(json + 1, members, members_size);
        packages->id_offsets[r + 1] = packages->id_offsets[r] + id_size;
        packages->json_offsets[r + 1] = packages->json_offsets[r] + members_size + 1;
        line = end + 1;
    }
    free(text);
    packages->vectors = read_npy(folder, "packages.f16.npy", "<f2", sizeof packages->vectors[0],
                                 &vectors_count);
    if (vectors_count != count || count == 0) {
        screen_die("%s: %zu packages, but %zu vectors", path, count, vectors_count);
    }
}

void reader_packages_deinit(struct reader_packages *packages)
{
    free(packages->ids_text);
    free(packages->id_offsets);
    free(packages->json);
    free(packages->json_offsets);
    free(packages->vectors);
    *packages = (struct reader_packages){0};
}

void reader_queries_init(struct reader_queries *queries, const char *folder)
{
    char path[PATH_SIZE];
    size_t size, vectors_count;
    char *text = read_file(folder, "queries.jsonl", path, &size);
    const size_t count = count_lines(text, size);
    queries->count = count;
    queries->texts = reserve(count, sizeof queries->texts[0]);
    const char *line = text;
    for (size_t q = 0; q < count; q++) {
        const char *value, *end = strchr(line, '\n');
        size_t value_size;
        /* "query" is the first member, and texts hold no escapes. */
        if (strncmp(line, "{\"query\": \"", 11) != 0) {
            screen_die("%s: line %zu doesn't begin with a query", path, q + 1);
        }
        value = line + 11;
        value_size = strcspn(value, "\"\n");
        queries->texts[q] = reserve(value_size + 1, 1);
        memcpy(queries->texts[q], value, value_size);
        line = end + 1;
    }
    free(text);
    queries->vectors = read_npy(folder, "queries.f32.npy", "<f4", sizeof queries->vectors[0],
                                &vectors_count);
    if (vectors_count != count || count == 0) {
        screen_die("%s: %zu queries, but %zu vectors", path, count, vectors_count);
    }
}

void reader_queries_deinit(struct reader_queries *queries)
{
    for (size_t q = 0; q < queries->count; q++) free(queries->texts[q]);
    free(queries->texts);
    free(queries->vectors);
    *queries = (struct reader_queries){0};
}

bool reader_member(const char *json, size_t size, const char *key, const char **value,
                   size_t *value_size)
{
    const char *found = memmem(json, size, key, strlen(key));
    if (found == NULL) return false;
    const char *begin = found + strlen(key), *end = json + size, *next;
    if (begin < end && *begin == '"') {
        begin++;
        for (next = begin; next < end && *next != '"'; next++) {
            if (*next == '\\' && next + 1 < end) next++;
        }
    } else {
        for (next = begin; next < end && *next != ',' && *next != '}'; next++) {
        }
    }
    *value = begin;
    *value_size = (size_t)(next - begin);
    return true;
}

uint64_t reader_number(const char *json, size_t size, const char *key)
{
    const char *value;
    size_t value_size;
    uint64_t number = 0;
    if (!reader_member(json, size, key, &value, &value_size)) return 0;
    for (size_t i = 0; i < value_size && value[i] >= '0' && value[i] <= '9'; i++) {
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    return number;
}
