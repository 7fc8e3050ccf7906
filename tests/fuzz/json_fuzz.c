/* Any bytes as JSON text: what is accepted is a valid document, and its text is a fixed point. */
#include <stdlib.h>
#include <string.h>

#include "doc/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float values[1024];
    struct buffer document = {0};
    struct buffer text = {0};
    struct buffer again = {0};
    size_t count;
    (void)json_read_floats((const char *)data, size, values, 1024, &count, NULL);
    if (json_to_document((const char *)data, size, &document, NULL) == OMENDB_OK) {
        if (document_validate(document.data, document.size, NULL) != OMENDB_OK) abort();
        if (document_to_json(document.data, document.size, &text, NULL) != OMENDB_OK) abort();
        if (json_to_document((const char *)text.data, text.size, &again, NULL) != OMENDB_OK)
            abort();
        if (again.size != document.size || memcmp(again.data, document.data, again.size) != 0)
            abort();
    }
    buffer_deinit(&document);
    buffer_deinit(&text);
    buffer_deinit(&again);
    return 0;
}
