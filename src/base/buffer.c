#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"

void buffer_deinit(struct buffer *buffer)
{
    alloc_free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

omendb_status buffer_reserve(struct buffer *buffer, size_t more, omendb_error *err)
{
    size_t wanted = 0;
    if (__builtin_add_overflow(buffer->size, more, &wanted) ||
        !alloc_grow(&buffer->data, &buffer->capacity, wanted, 1))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: a buffer of %zu bytes more", more);
    return OMENDB_OK;
}

omendb_status buffer_append(struct buffer *buffer, const void *bytes, size_t size,
                            omendb_error *err)
{
    TRY(buffer_reserve(buffer, size, err));
    if (size != 0) memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    return OMENDB_OK;
}

omendb_status buffer_append_zeros(struct buffer *buffer, size_t size, omendb_error *err)
{
    TRY(buffer_reserve(buffer, size, err));
    if (size != 0) memset(buffer->data + buffer->size, 0, size);
    buffer->size += size;
    return OMENDB_OK;
}

omendb_status buffer_append_le16(struct buffer *buffer, uint16_t value, omendb_error *err)
{
    uint8_t bytes[2];
    store_le16(bytes, value);
    return buffer_append(buffer, bytes, sizeof bytes, err);
}

omendb_status buffer_append_le32(struct buffer *buffer, uint32_t value, omendb_error *err)
{
    uint8_t bytes[4];
    store_le32(bytes, value);
    return buffer_append(buffer, bytes, sizeof bytes, err);
}

omendb_status buffer_append_le64(struct buffer *buffer, uint64_t value, omendb_error *err)
{
    uint8_t bytes[8];
    store_le64(bytes, value);
    return buffer_append(buffer, bytes, sizeof bytes, err);
}

omendb_status buffer_append_text(struct buffer *buffer, const char *text, omendb_error *err)
{
    return buffer_append(buffer, text, strlen(text), err);
}

omendb_status buffer_append_format(struct buffer *buffer, omendb_error *err, const char *format,
                                   ...)
{
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) return fail(err, OMENDB_ERR_INTERNAL, "buffer: format");
    TRY(buffer_reserve(buffer, (size_t)length + 1, err));
    va_start(args, format);
    (void)vsnprintf((char *)buffer->data + buffer->size, (size_t)length + 1, format, args);
    va_end(args);
    buffer->size += (size_t)length;
    return OMENDB_OK;
}
