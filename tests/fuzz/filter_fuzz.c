/* A filter and a document, both any text: {filter} NUL {document}. What compiles matches without
 * memory, and $nor is its complement. */
#include <stdlib.h>
#include <string.h>

#include "doc/json.h"
#include "query/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* {"$nor":[text]} against the document, the other way round. */
static void complement(const char *text, size_t size, const struct buffer *document, bool matched)
{
    struct buffer around = {0};
    struct filter filter;
    filter_init(&filter);
    if (buffer_append(&around, "{\"$nor\":[", 9, NULL) != OMENDB_OK ||
        buffer_append(&around, text, size, NULL) != OMENDB_OK ||
        buffer_append(&around, "]}", 2, NULL) != OMENDB_OK)
        abort();
    /* One level deeper it may exceed a limit. */
    if (filter_compile(&filter, (const char *)around.data, around.size, NULL) == OMENDB_OK &&
        filter_matches(&filter, document->data, document->size) == matched)
        abort();
    filter_deinit(&filter);
    buffer_deinit(&around);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    const size_t filter_size = end != NULL ? (size_t)(end - data) : size;
    struct buffer document = {0};
    struct filter filter;
    omendb_error error = {0};
    filter_init(&filter);
    const omendb_status status = filter_compile(&filter, (const char *)data, filter_size, &error);
    if (status != OMENDB_OK && (status != OMENDB_ERR_ARGUMENT || error.message[0] == '\0')) abort();
    const char *json = end != NULL ? (const char *)end + 1 : "{}";
    const size_t json_size = end != NULL ? size - filter_size - 1 : 2;
    if (json_to_document(json, json_size, &document, NULL) == OMENDB_OK) {
        const bool matched = filter_matches(&filter, document.data, document.size);
        if (filter_is_everything(&filter) && !matched) abort();
        if (status == OMENDB_OK) complement((const char *)data, filter_size, &document, matched);
    }
    buffer_deinit(&document);
    filter_deinit(&filter);
    return 0;
}
