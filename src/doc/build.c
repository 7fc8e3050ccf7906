#include "doc/build.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"

enum { HEAD_SIZE_MAX = 5 }; /* Tag or size byte, and a 4-byte size. */

void build_init(struct build *build, struct buffer *out)
{
    build->out = out;
    build->base = out->size;
    build->starts = build->starts_inside;
    build->starts_count = 0;
    build->starts_capacity = COUNT_OF(build->starts_inside);
    build->depth = 0;
}

void build_deinit(struct build *build)
{
    if (build->starts != build->starts_inside) alloc_free(build->starts);
    build->starts = build->starts_inside;
    build->starts_count = 0;
    build->depth = 0;
}

static inline omendb_status need(struct build *build, size_t more, omendb_error *err)
{
    if (LIKELY(build->out->capacity - build->out->size >= more)) return OMENDB_OK;
    return buffer_reserve(build->out, more, err);
}

static COLD omendb_status grow_starts(struct build *build, omendb_error *err)
{
    uint32_t *grown = NULL;
    const size_t wanted = build->starts_capacity * 2;
    if (build->starts == build->starts_inside) {
        grown = alloc_raw(wanted, sizeof *grown);
        if (grown != NULL) memcpy(grown, build->starts, sizeof build->starts_inside);
    } else {
        grown = alloc_resize(build->starts, wanted, sizeof *grown);
    }
    if (grown == NULL) return fail(err, OMENDB_ERR_NOMEM, "document: out of memory");
    build->starts = grown;
    build->starts_capacity = wanted;
    return OMENDB_OK;
}

/* Notes that an item or a member begins here. */
static inline omendb_status mark_start(struct build *build, omendb_error *err)
{
    if (UNLIKELY(build->starts_count == build->starts_capacity)) TRY(grow_starts(build, err));
    build->starts[build->starts_count++] = (uint32_t)(build->out->size - build->base);
    return OMENDB_OK;
}

/* Makes room for a value of `size` bytes, and marks it if it is an item: a member was marked by
 * its key. */
static inline omendb_status begin_value(struct build *build, size_t size, omendb_error *err)
{
    TRY(need(build, size, err));
    if (build->depth != 0 && !build->frames[build->depth - 1].is_object)
        return mark_start(build, err);
    assert(build->depth != 0 || build->out->size == build->base);
    return OMENDB_OK;
}

static inline uint8_t *end_of(const struct build *build)
{
    return build->out->data + build->out->size;
}

static inline void store_wide(uint8_t *to, uint32_t value, unsigned width)
{
    if (width == 1) *to = (uint8_t)value;
    else if (width == 2) store_le16(to, (uint16_t)value);
    else store_le32(to, value);
}

/* Writes a tag and a size of the width that fits; returns the bytes taken. */
static inline size_t store_sized(uint8_t *to, uint8_t tag, uint32_t size)
{
    const uint8_t code = size <= UINT8_MAX ? 0 : size <= UINT16_MAX ? 1 : 2;
    to[0] = (uint8_t)(tag + code);
    store_wide(to + 1, size, 1u << code);
    return 1 + ((size_t)1 << code);
}

static inline size_t store_string_head(uint8_t *to, size_t size)
{
    if (size >= DOCUMENT_SMALL_COUNT) return store_sized(to, DOCUMENT_STRING, (uint32_t)size);
    to[0] = (uint8_t)(DOCUMENT_SMALL_STRING + size);
    return 1;
}

static inline size_t store_key_head(uint8_t *to, size_t size)
{
    to[0] = size < DOCUMENT_KEY_LONG ? (uint8_t)size : DOCUMENT_KEY_LONG;
    if (size < DOCUMENT_KEY_LONG) return 1;
    store_le32(to + 1, (uint32_t)size);
    return 5;
}

static omendb_status build_tag(struct build *build, uint8_t tag, omendb_error *err)
{
    TRY(begin_value(build, 1, err));
    build->out->data[build->out->size++] = tag;
    return OMENDB_OK;
}

omendb_status build_null(struct build *build, omendb_error *err)
{
    return build_tag(build, DOCUMENT_NULL, err);
}

omendb_status build_bool(struct build *build, bool value, omendb_error *err)
{
    return build_tag(build, value ? DOCUMENT_TRUE : DOCUMENT_FALSE, err);
}

omendb_status build_int(struct build *build, int64_t value, omendb_error *err)
{
    if (value >= 0 && value < DOCUMENT_SMALL_COUNT)
        return build_tag(build, (uint8_t)(DOCUMENT_SMALL_INT + value), err);
    TRY(begin_value(build, 9, err));
    uint8_t *to = end_of(build);
    if (value >= INT8_MIN && value <= INT8_MAX) {
        to[0] = DOCUMENT_I8;
        to[1] = (uint8_t)value;
        build->out->size += 2;
    } else if (value >= INT16_MIN && value <= INT16_MAX) {
        to[0] = DOCUMENT_I16;
        store_le16(to + 1, (uint16_t)value);
        build->out->size += 3;
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        to[0] = DOCUMENT_I32;
        store_le32(to + 1, (uint32_t)value);
        build->out->size += 5;
    } else {
        to[0] = DOCUMENT_I64;
        store_le64(to + 1, (uint64_t)value);
        build->out->size += 9;
    }
    return OMENDB_OK;
}

omendb_status build_uint(struct build *build, uint64_t value, omendb_error *err)
{
    if (value <= (uint64_t)INT64_MAX) return build_int(build, (int64_t)value, err);
    TRY(begin_value(build, 9, err));
    uint8_t *to = end_of(build);
    to[0] = DOCUMENT_U64;
    store_le64(to + 1, value);
    build->out->size += 9;
    return OMENDB_OK;
}

omendb_status build_float(struct build *build, double value, omendb_error *err)
{
    assert(isfinite(value));
    TRY(begin_value(build, 9, err));
    uint8_t *to = end_of(build);
    /* Subnormals stay binary64: a host that flushes them to zero must not change them. */
    const double size = fabs(value);
    const bool in_range = value == 0 || (size >= (double)FLT_MIN && size <= (double)FLT_MAX);
    if (in_range && (double)(float)value == value) {
        to[0] = DOCUMENT_F32;
        store_f32(to + 1, (float)value);
        build->out->size += 5;
    } else {
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        to[0] = DOCUMENT_F64;
        store_le64(to + 1, bits);
        build->out->size += 9;
    }
    return OMENDB_OK;
}

static COLD omendb_status too_large(size_t size, omendb_error *err)
{
    return fail(err, OMENDB_ERR_ARGUMENT, "document: %zu bytes are too many", size);
}

static inline void append(struct build *build, const void *bytes, size_t size)
{
    if (size != 0) memcpy(end_of(build), bytes, size);
    build->out->size += size;
}

static omendb_status build_sized(struct build *build, uint8_t tag, const void *bytes, size_t size,
                                 omendb_error *err)
{
    if (size >= UINT32_MAX - HEAD_SIZE_MAX) return too_large(size, err);
    TRY(begin_value(build, HEAD_SIZE_MAX + size, err));
    build->out->size += tag == DOCUMENT_STRING ? store_string_head(end_of(build), size)
                                               : store_sized(end_of(build), tag, (uint32_t)size);
    append(build, bytes, size);
    return OMENDB_OK;
}

omendb_status build_string(struct build *build, const void *text, size_t size, omendb_error *err)
{
    return build_sized(build, DOCUMENT_STRING, text, size, err);
}

omendb_status build_bytes(struct build *build, const void *bytes, size_t size, omendb_error *err)
{
    return build_sized(build, DOCUMENT_BYTES, bytes, size, err);
}

omendb_status build_decimal(struct build *build, const void *digits, size_t size, omendb_error *err)
{
    return build_sized(build, DOCUMENT_DECIMAL, digits, size, err);
}

omendb_status build_key(struct build *build, const void *key, size_t size, omendb_error *err)
{
    assert(build->depth != 0 && build->frames[build->depth - 1].is_object);
    if (size >= UINT32_MAX - HEAD_SIZE_MAX) return too_large(size, err);
    TRY(need(build, HEAD_SIZE_MAX + size, err));
    TRY(mark_start(build, err));
    build->out->size += store_key_head(end_of(build), size);
    append(build, key, size);
    return OMENDB_OK;
}

omendb_status build_room(struct build *build, bool is_key, size_t size_max, uint8_t **out,
                         omendb_error *err)
{
    if (size_max >= UINT32_MAX - HEAD_SIZE_MAX) return too_large(size_max, err);
    if (is_key) {
        TRY(need(build, HEAD_SIZE_MAX + size_max, err));
        TRY(mark_start(build, err));
    } else {
        TRY(begin_value(build, HEAD_SIZE_MAX + size_max, err));
    }
    *out = end_of(build) + HEAD_SIZE_MAX;
    return OMENDB_OK;
}

void build_key_done(struct build *build, size_t size)
{
    uint8_t *to = end_of(build);
    const size_t head = store_key_head(to, size);
    memmove(to + head, to + HEAD_SIZE_MAX, size);
    build->out->size += head + size;
}

void build_string_done(struct build *build, size_t size)
{
    uint8_t *to = end_of(build);
    const size_t head = store_string_head(to, size);
    memmove(to + head, to + HEAD_SIZE_MAX, size);
    build->out->size += head + size;
}

/* ---- Containers -------------------------------------------------------------------- */

omendb_status build_begin(struct build *build, enum value_kind kind, omendb_error *err)
{
    assert(kind == VALUE_ARRAY || kind == VALUE_OBJECT);
    assert(build->depth < OMENDB_DEPTH_MAX && (build->depth != 0 || kind == VALUE_OBJECT));
    TRY(begin_value(build, 0, err));
    build->frames[build->depth++] = (struct build_frame){
        .begin = build->out->size, .first = build->starts_count, .is_object = kind == VALUE_OBJECT};
    return OMENDB_OK;
}

size_t build_count(const struct build *build)
{
    return build->starts_count - build->frames[build->depth - 1].first;
}

/* The key of the member that begins at `at`, in bytes that build_key() wrote. */
static inline const uint8_t *key_at(const uint8_t *at, uint32_t *size)
{
    *size = at[0] != DOCUMENT_KEY_LONG ? at[0] : load_le32(at + 1);
    return at + (at[0] != DOCUMENT_KEY_LONG ? 1 : 5);
}

static COLD omendb_status key_twice(const uint8_t *key, uint32_t size, omendb_error *err)
{
    uint32_t shown = size < 64 ? size : 64;
    while (shown > 0 && shown < size && (key[shown] & 0xc0) == 0x80) shown--;
    return fail(err, OMENDB_ERR_VALUE, "key \"%.*s\"%s comes twice in an object", (int)shown,
                (const char *)key, shown < size ? "..." : "");
}

/* Up to 16 members, 120 pairs: most differ in the size byte or the first byte of the key. */
static omendb_status check_small(const struct build *build, const uint32_t *starts, size_t count,
                                 omendb_error *err)
{
    const uint8_t *base = build->out->data + build->base;
    for (size_t i = 1; i < count; i++) {
        uint32_t size;
        const uint8_t *member = base + starts[i];
        const uint8_t *key = key_at(member, &size);
        for (size_t j = 0; j < i; j++) {
            uint32_t other_size;
            const uint8_t *other = base + starts[j];
            /* A member is at least two bytes: an empty key is followed by a tag. */
            if (member[0] != other[0] || (size != 0 && member[1] != other[1])) continue;
            other = key_at(other, &other_size);
            if (size == other_size && memcmp(key, other, size) == 0)
                return key_twice(key, size, err);
        }
    }
    return OMENDB_OK;
}

/* What decides most comparisons of keys lies beside the member's number. */
struct sorted_key {
    uint64_t prefix; /* The key's first 8 bytes, big-endian, zeros behind its end. */
    uint32_t member;
    uint32_t start;
};

static int compare_keys(const uint8_t *base, const struct sorted_key *a, const struct sorted_key *b)
{
    if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
    uint32_t a_size;
    uint32_t b_size;
    const uint8_t *a_key = key_at(base + a->start, &a_size);
    const uint8_t *b_key = key_at(base + b->start, &b_size);
    const int order = memcmp(a_key, b_key, a_size < b_size ? a_size : b_size);
    if (order != 0) return order;
    return (a_size > b_size) - (a_size < b_size);
}

static uint64_t key_prefix(const uint8_t *key, uint32_t size)
{
    uint64_t prefix = 0;
    for (uint32_t i = 0; i < 8; i++) prefix = prefix << 8 | (i < size ? key[i] : 0);
    return prefix;
}

/* Bottom-up merge sort; runs that are in order already aren't merged. Returns where the result
 * lies: keys or spare, both [count]. */
static struct sorted_key *sort_keys(const uint8_t *base, struct sorted_key *keys,
                                    struct sorted_key *spare, size_t count)
{
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t left = 0; left < count; left += 2 * run) {
            const size_t middle = left + run < count ? left + run : count;
            const size_t right = middle + run < count ? middle + run : count;
            size_t i = left;
            size_t j = middle;
            size_t k = left;
            if (middle == right || compare_keys(base, &keys[middle - 1], &keys[middle]) <= 0) {
                memcpy(spare + left, keys + left, (right - left) * sizeof *keys);
                continue;
            }
            while (i < middle && j < right) {
                if (compare_keys(base, &keys[i], &keys[j]) <= 0) spare[k++] = keys[i++];
                else spare[k++] = keys[j++];
            }
            while (i < middle) spare[k++] = keys[i++];
            while (j < right) spare[k++] = keys[j++];
        }
        struct sorted_key *swapped = keys;
        keys = spare;
        spare = swapped;
    }
    return keys;
}

/* Sorts the members of a large object by key; *out [count] is to be freed with *memory. */
static omendb_status sort_large(const struct build *build, const uint32_t *starts, size_t count,
                                void **memory, const struct sorted_key **out, omendb_error *err)
{
    const uint8_t *base = build->out->data + build->base;
    struct sorted_key *keys = alloc_raw(count, 2 * sizeof *keys);
    if (keys == NULL) return fail(err, OMENDB_ERR_NOMEM, "document: out of memory");
    for (size_t i = 0; i < count; i++) {
        uint32_t size;
        const uint8_t *key = key_at(base + starts[i], &size);
        keys[i] = (struct sorted_key){
            .prefix = key_prefix(key, size), .member = (uint32_t)i, .start = starts[i]};
    }
    const struct sorted_key *sorted = sort_keys(base, keys, keys + count, count);
    for (size_t i = 1; i < count; i++) {
        if (compare_keys(base, &sorted[i - 1], &sorted[i]) == 0) {
            uint32_t size;
            const uint8_t *key = key_at(base + sorted[i].start, &size);
            const omendb_status status = key_twice(key, size, err);
            alloc_free(keys);
            return status;
        }
    }
    *memory = keys;
    *out = sorted;
    return OMENDB_OK;
}

/* The size that all items have, or 0: they differ, or it is above 255, or there are none. */
static uint32_t common_size(const struct build *build, const uint32_t *starts, size_t count)
{
    if (count == 0) return 0;
    const uint32_t end = (uint32_t)(build->out->size - build->base);
    const uint32_t size = end - starts[count - 1];
    if (size > UINT8_MAX) return 0;
    for (size_t i = 1; i < count; i++) {
        if (starts[i] - starts[i - 1] != size) return 0;
    }
    return size;
}

/* Where a container's parts will lie. */
struct container_layout {
    uint64_t size; /* Of the whole. */
    uint64_t head; /* Bytes in front of the first item. */
    uint8_t code;  /* Of the width. */
};

/* The narrowest layout that holds `count` items of body_size bytes in all. */
static struct container_layout layout_of(size_t count, size_t tables, bool is_object,
                                         size_t body_size)
{
    static const uint64_t size_max[] = {UINT8_MAX, UINT16_MAX, UINT64_MAX};
    struct container_layout layout = {0};
    for (uint8_t code = 0; code < 3; code++) {
        const uint64_t width = (uint64_t)1 << code;
        layout.code = code;
        layout.head = (is_object ? 1 : 2) + width * (2 + (uint64_t)tables * count);
        layout.size = layout.head + body_size;
        if (layout.size <= size_max[code]) break;
    }
    return layout;
}

omendb_status build_end(struct build *build, omendb_error *err)
{
    assert(build->depth != 0);
    const struct build_frame frame = build->frames[build->depth - 1];
    const uint32_t *starts = build->starts + frame.first;
    const size_t count = build->starts_count - frame.first;
    const size_t body_size = build->out->size - frame.begin;
    const bool has_order = frame.is_object && count > DOCUMENT_UNORDERED_MAX;
    const uint32_t stride = frame.is_object ? 0 : common_size(build, starts, count);
    const size_t tables = frame.is_object ? (has_order ? 2 : 1) : (stride != 0 ? 0 : 1);
    const struct container_layout layout = layout_of(count, tables, frame.is_object, body_size);
    if (layout.size > UINT32_MAX - (frame.begin - build->base)) return too_large(layout.size, err);

    void *memory = NULL;
    const struct sorted_key *sorted = NULL;
    TRY(need(build, layout.head, err));
    if (has_order) TRY(sort_large(build, starts, count, &memory, &sorted, err));
    else if (frame.is_object) TRY(check_small(build, starts, count, err));

    uint8_t *begin = build->out->data + frame.begin;
    memmove(begin + layout.head, begin, body_size);
    const unsigned width = 1u << layout.code;
    uint8_t *to = begin;
    *to++ = (uint8_t)((frame.is_object ? DOCUMENT_OBJECT : DOCUMENT_ARRAY) + layout.code);
    store_wide(to, (uint32_t)layout.size, width);
    store_wide(to + width, (uint32_t)count, width);
    to += 2 * width;
    if (!frame.is_object) *to++ = (uint8_t)stride;
    /* Starts count from the document; offsets from the container, its head included. */
    const uint32_t shift = (uint32_t)(layout.head - (frame.begin - build->base));
    for (size_t i = 0; tables != 0 && i < count; i++, to += width)
        store_wide(to, starts[i] + shift, width);
    for (size_t i = 0; sorted != NULL && i < count; i++, to += width)
        store_wide(to, sorted[i].member, width);
    assert(to == begin + layout.head);
    alloc_free(memory);
    build->out->size += layout.head;
    build->starts_count = frame.first;
    build->depth--;
    return OMENDB_OK;
}

void build_end_as_bytes(struct build *build, const uint8_t *from, size_t size)
{
    assert(build->depth > 1);
    const struct build_frame frame = build->frames[build->depth - 1];
    uint8_t *begin = build->out->data + frame.begin;
    assert(from >= begin + HEAD_SIZE_MAX && from + size <= end_of(build));
    const size_t head = store_sized(begin, DOCUMENT_BYTES, (uint32_t)size);
    memmove(begin + head, from, size);
    build->out->size = frame.begin + head + size;
    build->starts_count = frame.first;
    build->depth--;
}

omendb_status build_value(struct build *build, const struct value *value, omendb_error *err)
{
    switch (value->kind) {
    case VALUE_NULL:
        return build_null(build, err);
    case VALUE_FALSE:
        return build_bool(build, false, err);
    case VALUE_TRUE:
        return build_bool(build, true, err);
    case VALUE_INT:
        return build_int(build, value->int64, err);
    case VALUE_UINT:
        return build_uint(build, value->uint64, err);
    case VALUE_FLOAT:
        return build_float(build, value->float64, err);
    case VALUE_DECIMAL:
        return build_decimal(build, value->bytes, value->size, err);
    case VALUE_STRING:
        return build_string(build, value->bytes, value->size, err);
    case VALUE_BYTES:
        return build_bytes(build, value->bytes, value->size, err);
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        /* Containers hold no absolute places, so their bytes can be copied. */
        TRY(begin_value(build, value->size, err));
        append(build, value->bytes, value->size);
        return OMENDB_OK;
    }
    assert(false);
    return OMENDB_OK;
}
