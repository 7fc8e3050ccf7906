/* buffer.h - a byte string that grows; one allocation, doubled when full.
 *
 * Initialise with {0}. After a failed append the buffer is as it was. Not thread-safe.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void buffer_deinit(struct buffer *buffer); /* Leaves {0}. */
void buffer_clear(struct buffer *buffer);  /* Size 0, memory kept. */

/* Makes room for `more` bytes behind the content. NOMEM. */
omendb_status buffer_reserve(struct buffer *buffer, size_t more, omendb_error *err);

omendb_status buffer_append(struct buffer *buffer, const void *bytes, size_t size,
                            omendb_error *err);
omendb_status buffer_append_zeros(struct buffer *buffer, size_t size, omendb_error *err);
omendb_status buffer_append_le16(struct buffer *buffer, uint16_t value, omendb_error *err);
omendb_status buffer_append_le32(struct buffer *buffer, uint32_t value, omendb_error *err);
omendb_status buffer_append_le64(struct buffer *buffer, uint64_t value, omendb_error *err);
omendb_status buffer_append_text(struct buffer *buffer, const char *text, omendb_error *err);
omendb_status buffer_append_format(struct buffer *buffer, omendb_error *err, const char *format,
                                   ...) PRINTF_LIKE(3, 4);

#endif /* BASE_BUFFER_H */
