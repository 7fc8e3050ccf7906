/* build.h - writes a binary document front to back, without knowing sizes beforehand.
 *
 *     build_begin(object)  build_key("tags")  build_begin(array)  build_string("a") ...
 *                                  build_end()        build_end()
 *
 * Values are appended to the buffer as they come. When a container ends, its number of items and
 * their places are known: the narrowest header that fits is moved in before them. So a byte is
 * moved at most once per level.
 *
 * The caller keeps the grammar (keys exactly in objects, begin and end paired, depth at most
 * OMENDB_DEPTH_MAX, one object at the root): asserted. Keys and strings must be UTF-8, floats
 * finite. build_end() finds keys that come twice: VALUE. After an error throw the
 * bytes away. Memory: the buffer, 4 bytes per open item beyond 256, and while an object of more
 * than 16 members ends 32 bytes per member.
 *
 * Threads: one at a time.
 */
#ifndef DOC_BUILD_H
#define DOC_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "doc/document.h"

struct build_frame {
    size_t begin; /* Place of the container in the buffer. */
    size_t first; /* Its first item's place in `starts`. */
    bool is_object;
};

struct build {
    struct buffer *out;
    size_t base;      /* The document's place in the buffer. */
    uint32_t *starts; /* [starts_count] where open containers' items begin, from base. */
    size_t starts_count;
    size_t starts_capacity;
    uint32_t depth;
    struct build_frame frames[OMENDB_DEPTH_MAX]; /* [depth] */
    uint32_t starts_inside[256];                 /* `starts` of small documents. */
};

/* The document will be appended to `out`. Holds a pointer into itself: don't copy. */
void build_init(struct build *build, struct buffer *out);
void build_deinit(struct build *build); /* The buffer stays the caller's. */

/* All: NOMEM. kind is VALUE_ARRAY or VALUE_OBJECT. */
omendb_status build_begin(struct build *build, enum value_kind kind, omendb_error *err);
omendb_status build_end(struct build *build, omendb_error *err);
omendb_status build_key(struct build *build, const void *key, size_t size, omendb_error *err);
omendb_status build_null(struct build *build, omendb_error *err);
omendb_status build_bool(struct build *build, bool value, omendb_error *err);
omendb_status build_int(struct build *build, int64_t value, omendb_error *err);
omendb_status build_uint(struct build *build, uint64_t value, omendb_error *err);
omendb_status build_float(struct build *build, double value, omendb_error *err);
omendb_status build_string(struct build *build, const void *text, size_t size, omendb_error *err);
omendb_status build_bytes(struct build *build, const void *bytes, size_t size, omendb_error *err);
omendb_status build_decimal(struct build *build, const void *digits, size_t size,
                            omendb_error *err);

/* A copy of a value of another document, at any depth. */
omendb_status build_value(struct build *build, const struct value *value, omendb_error *err);

/* For contents whose size is known only once they are written: room for size_max bytes, which
 * the caller fills and ends with the matching _done (and without a call in between). */
omendb_status build_room(struct build *build, bool is_key, size_t size_max, uint8_t **out,
                         omendb_error *err);
void build_key_done(struct build *build, size_t size);
void build_string_done(struct build *build, size_t size);

/* Ends the innermost container as a byte string: the `size` bytes that lie in it at `from`, a
 * pointer into the buffer at least 5 bytes behind the container's begin. Not for the root. */
void build_end_as_bytes(struct build *build, const uint8_t *from, size_t size);

/* Members or items written so far in the innermost container. */
size_t build_count(const struct build *build);

#endif /* DOC_BUILD_H */
