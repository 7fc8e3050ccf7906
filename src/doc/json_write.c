/* json_write.c - the second half of json.h: documents to text. */
#include <assert.h>
#include <string.h>

#include "doc/base64.h"
#include "doc/json.h"
#include "doc/json_number.h"

static inline omendb_status put_byte(struct buffer *out, char byte, omendb_error *err)
{
    if (UNLIKELY(out->size == out->capacity)) TRY(buffer_reserve(out, 1, err));
    out->data[out->size++] = (uint8_t)byte;
    return OMENDB_OK;
}

/* Bytes that a byte of a string takes between quotes: 1, 2 ("\n") or 6 ("\u0001"). */
static inline size_t escaped_size(uint8_t byte)
{
    if (byte == '"' || byte == '\\') return 2;
    if (byte >= ' ') return 1;
    return byte == '\b' || byte == '\f' || byte == '\n' || byte == '\r' || byte == '\t' ? 2 : 6;
}

static uint8_t *put_escaped(uint8_t *to, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    *to++ = '\\';
    switch (byte) {
    case '\b':
        *to++ = 'b';
        break;
    case '\f':
        *to++ = 'f';
        break;
    case '\n':
        *to++ = 'n';
        break;
    case '\r':
        *to++ = 'r';
        break;
    case '\t':
        *to++ = 't';
        break;
    case '"':
    case '\\':
        *to++ = byte;
        break;
    default:
        memcpy(to, "u00", 3);
        to[3] = (uint8_t)digits[byte >> 4];
        to[4] = (uint8_t)digits[byte & 15];
        to += 5;
    }
    return to;
}

omendb_status json_append_string(struct buffer *out, const char *text, size_t size,
                                 omendb_error *err)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t written = 2;
    for (size_t i = 0; i < size; i++) written += escaped_size(bytes[i]);
    TRY(buffer_reserve(out, written, err));
    uint8_t *to = out->data + out->size;
    *to++ = '"';
    if (written == size + 2) {
        if (size != 0) memcpy(to, bytes, size);
        to += size;
    } else {
        for (size_t i = 0; i < size; i++) {
            if (escaped_size(bytes[i]) == 1) *to++ = bytes[i];
            else to = put_escaped(to, bytes[i]);
        }
    }
    *to++ = '"';
    out->size += written;
    assert(to == out->data + out->size);
    return OMENDB_OK;
}

static omendb_status append_uint(struct buffer *out, uint64_t value, bool negative,
                                 omendb_error *err)
{
    char digits[21];
    size_t count = 0;
    do {
        digits[sizeof digits - ++count] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    if (negative) digits[sizeof digits - ++count] = '-';
    return buffer_append(out, digits + sizeof digits - count, count, err);
}

static omendb_status append_bytes(struct buffer *out, const struct value *value, omendb_error *err)
{
    const size_t size = base64_text_size(value->size);
    TRY(buffer_append_text(out, "{\"$binary\":\"", err));
    TRY(buffer_reserve(out, size, err));
    base64_encode(value->bytes, value->size, (char *)out->data + out->size);
    out->size += size;
    return buffer_append_text(out, "\"}", err);
}

static omendb_status append_container(struct buffer *out, const struct value *value,
                                      omendb_error *err)
{
    const bool is_object = value->kind == VALUE_OBJECT;
    struct value_iterator items;
    struct value item;
    const char *key;
    size_t key_size;
    TRY(put_byte(out, is_object ? '{' : '[', err));
    value_iterate(value, &items);
    for (bool first = true; value_next(&items, &key, &key_size, &item); first = false) {
        if (!first) TRY(put_byte(out, ',', err));
        if (is_object) {
            TRY(json_append_string(out, key, key_size, err));
            TRY(put_byte(out, ':', err));
        }
        TRY(json_append_value(out, &item, err));
    }
    return put_byte(out, is_object ? '}' : ']', err);
}

/* Recursion ends: documents nest at most OMENDB_DEPTH_MAX deep. */
omendb_status json_append_value(struct buffer *out, const struct value *value, omendb_error *err)
{
    switch (value->kind) {
    case VALUE_NULL:
        return buffer_append(out, "null", 4, err);
    case VALUE_FALSE:
        return buffer_append(out, "false", 5, err);
    case VALUE_TRUE:
        return buffer_append(out, "true", 4, err);
    case VALUE_INT: {
        const uint64_t bits = (uint64_t)value->int64;
        return append_uint(out, value->int64 < 0 ? 0 - bits : bits, value->int64 < 0, err);
    }
    case VALUE_UINT:
        return append_uint(out, value->uint64, false, err);
    case VALUE_FLOAT:
        TRY(buffer_reserve(out, JSON_NUMBER_SIZE_MAX, err));
        out->size += json_number_write(value->float64, (char *)out->data + out->size);
        return OMENDB_OK;
    case VALUE_DECIMAL:
        return buffer_append(out, value->bytes, value->size, err);
    case VALUE_STRING:
        return json_append_string(out, (const char *)value->bytes, value->size, err);
    case VALUE_BYTES:
        return append_bytes(out, value, err);
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        return append_container(out, value, err);
    }
    assert(false);
    return OMENDB_OK;
}

omendb_status document_to_json(const uint8_t *bytes, size_t size, struct buffer *out,
                               omendb_error *err)
{
    const size_t size_before = out->size;
    struct value root;
    document_root(bytes, size, &root);
    const omendb_status status = json_append_value(out, &root, err);
    if (status != OMENDB_OK) out->size = size_before;
    return status;
}
