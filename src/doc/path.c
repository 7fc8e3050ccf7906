#include "doc/path.h"

#include <string.h>

/* The number that a segment of digits means; PATH_NO_INDEX for anything else. */
static uint32_t segment_index(const char *name, size_t size)
{
    uint32_t index = 0;
    if (size == 0 || size > 9 || (name[0] == '0' && size > 1)) return PATH_NO_INDEX;
    for (size_t i = 0; i < size; i++) {
        if (name[i] < '0' || name[i] > '9') return PATH_NO_INDEX;
        index = index * 10 + (uint32_t)(name[i] - '0');
    }
    return index;
}

omendb_status path_parse(const char *text, size_t size, struct path *out, omendb_error *err)
{
    struct path path;
    path.count = 0;
    if (size == 0) return fail(err, OMENDB_ERR_ARGUMENT, "path: empty");
    if (size > OMENDB_DOCUMENT_SIZE_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "path: longer than %u bytes",
                    OMENDB_DOCUMENT_SIZE_MAX);
    for (size_t at = 0; at <= size;) {
        const char *dot = size > at ? memchr(text + at, '.', size - at) : NULL;
        const size_t end = dot != NULL ? (size_t)(dot - text) : size;
        if (end == at) return fail(err, OMENDB_ERR_ARGUMENT, "path: empty segment at %zu", at);
        if (path.count == OMENDB_DEPTH_MAX)
            return fail(err, OMENDB_ERR_ARGUMENT, "path: more than %u segments", OMENDB_DEPTH_MAX);
        path.segments[path.count++] = (struct path_segment){
            .name_view = text + at,
            .size = (uint32_t)(end - at),
            .index = segment_index(text + at, end - at)};
        at = end + 1;
    }
    out->count = path.count;
    memcpy(out->segments, path.segments, path.count * sizeof path.segments[0]);
    return OMENDB_OK;
}

struct resolution {
    const struct path *path;
    bool (*visit)(void *context, const struct value *value, bool is_item);
    void *context;
};

static bool visit_reached(const struct resolution *of, const struct value *value)
{
    if (!of->visit(of->context, value, false)) return false;
    if (value->kind != VALUE_ARRAY) return true;
    struct value_iterator items;
    struct value item;
    value_iterate(value, &items);
    while (value_next(&items, NULL, NULL, &item)) {
        if (!of->visit(of->context, &item, true)) return false;
    }
    return true;
}

/* Recursion ends: each call takes one segment, of at most OMENDB_DEPTH_MAX. */
static bool resolve_from(const struct resolution *of, uint32_t depth, const struct value *value)
{
    struct value inner;
    if (depth == of->path->count) return visit_reached(of, value);
    const struct path_segment *segment = &of->path->segments[depth];
    if (value->kind == VALUE_OBJECT) {
        if (!value_member(value, segment->name_view, segment->size, &inner)) return true;
        return resolve_from(of, depth + 1, &inner);
    }
    if (value->kind != VALUE_ARRAY) return true;
    if (segment->index != PATH_NO_INDEX && value_item(value, segment->index, &inner) &&
        !resolve_from(of, depth + 1, &inner))
        return false;
    struct value_iterator items;
    struct value item;
    value_iterate(value, &items);
    while (value_next(&items, NULL, NULL, &item)) {
        if (item.kind == VALUE_OBJECT &&
            value_member(&item, segment->name_view, segment->size, &inner) &&
            !resolve_from(of, depth + 1, &inner))
            return false;
    }
    return true;
}

bool path_resolve(const struct path *path, const struct value *root,
                  bool (*visit)(void *context, const struct value *value, bool is_item),
                  void *context)
{
    const struct resolution of = {.path = path, .visit = visit, .context = context};
    return resolve_from(&of, 0, root);
}

static bool keep_first(void *context, const struct value *value, bool is_item)
{
    (void)is_item;
    *(struct value *)context = *value;
    return false;
}

bool path_first(const struct path *path, const struct value *root, struct value *out)
{
    return !path_resolve(path, root, keep_first, out);
}
