/* Any bytes as a binary document: refused, or safe for every accessor. */
#include <stdlib.h>

#include "doc/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct value *value)
{
    struct value_iterator iterator;
    struct value item;
    struct value again;
    const char *key;
    size_t key_size;
    double number;
    (void)value_as_float(value, &number);
    value_iterate(value, &iterator);
    for (size_t i = 0; value_next(&iterator, &key, &key_size, &item); i++) {
        const bool found = value->kind == VALUE_OBJECT ? value_member(value, key, key_size, &again)
                                                       : value_item(value, i, &again);
        if (!found || !value_equal(&item, &again)) abort();
        walk(&item);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer text = {0};
    struct value root;
    if (document_validate(data, size, NULL) != OMENDB_OK) return 0;
    document_root(data, size, &root);
    walk(&root);
    if (document_to_json(data, size, &text, NULL) != OMENDB_OK) abort();
    buffer_deinit(&text);
    return 0;
}
