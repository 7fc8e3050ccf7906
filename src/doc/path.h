/* path.h - dotted paths into documents, as in Mongo: "author.name", "tags.0", "items.price".
 *
 * A segment names a member of an object. On an array, a segment of digits ("0", "12", no leading
 * zeros) takes that item, and any segment also goes into each item that is an object: "items.price"
 * reaches the price of every item. So one path can reach many values, and path_resolve() calls
 * back for each. A value that is an array is reported itself first, then each of its items
 * (is_item): a filter {"tags": "red"} wants the items, {"tags": ["red"]} the array.
 *
 * Invariants: 1 to OMENDB_DEPTH_MAX segments, none empty; keys that contain a dot can't be named.
 * Threads: immutable once parsed.
 */
#ifndef DOC_PATH_H
#define DOC_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "doc/document.h"

#define PATH_NO_INDEX UINT32_MAX

struct path_segment {
    const char *name_view; /* Into the parsed text. */
    uint32_t size;
    uint32_t index; /* The number a segment of digits means, or PATH_NO_INDEX. */
};

struct path {
    uint32_t count;
    struct path_segment segments[OMENDB_DEPTH_MAX]; /* [count] */
};

/* `text` must outlive the path. ARGUMENT: empty, an empty segment, too many. */
omendb_status path_parse(const char *text, size_t size, struct path *out, omendb_error *err);

/* Calls `visit` with each value reached until it returns false; then false, else true. */
bool path_resolve(const struct path *path, const struct value *root,
                  bool (*visit)(void *context, const struct value *value, bool is_item),
                  void *context);

/* The first value reached (never an item of a reached array); false: none. */
bool path_first(const struct path *path, const struct value *root, struct value *out);

#endif /* DOC_PATH_H */
