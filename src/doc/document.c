#include "doc/document.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "doc/json_number.h"
#include "doc/utf8.h"

/* The bytes W that a tag's two low bits stand for. */
static inline unsigned width_of(uint8_t tag)
{
    return 1u << (tag & 3);
}

static inline uint32_t load_wide(const uint8_t *at, unsigned width)
{
    if (LIKELY(width == 1)) return at[0];
    return width == 2 ? load_le16(at) : load_le32(at);
}

/* Is `tag` one of the three tags of the kind that begins at `base`? */
static inline bool is_tag(uint8_t tag, uint8_t base)
{
    return (uint8_t)(tag - base) < 3;
}

/* ---- Reading valid documents ------------------------------------------------------- */

const uint8_t *value_read(const uint8_t *at, struct value *out)
{
    const uint8_t tag = at[0];
    struct value value = {.kind = VALUE_NULL};
    if (tag >= DOCUMENT_SMALL_STRING) {
        assert(tag < DOCUMENT_SMALL_STRING + DOCUMENT_SMALL_COUNT);
        value.kind = VALUE_STRING;
        value.size = (uint32_t)(tag - DOCUMENT_SMALL_STRING);
        value.bytes = at + 1;
        *out = value;
        return at + 1 + value.size;
    }
    if (tag >= DOCUMENT_SMALL_INT) {
        value.kind = VALUE_INT;
        value.int64 = tag - DOCUMENT_SMALL_INT;
        *out = value;
        return at + 1;
    }
    const uint8_t *end = at + 1;
    const unsigned width = width_of(tag);
    switch (tag) {
    case DOCUMENT_NULL:
        break;
    case DOCUMENT_FALSE:
        value.kind = VALUE_FALSE;
        break;
    case DOCUMENT_TRUE:
        value.kind = VALUE_TRUE;
        break;
    case DOCUMENT_I8:
        value.kind = VALUE_INT;
        value.int64 = (int8_t)at[1];
        end = at + 2;
        break;
    case DOCUMENT_I16:
        value.kind = VALUE_INT;
        value.int64 = (int16_t)load_le16(at + 1);
        end = at + 3;
        break;
    case DOCUMENT_I32:
        value.kind = VALUE_INT;
        value.int64 = (int32_t)load_le32(at + 1);
        end = at + 5;
        break;
    case DOCUMENT_I64:
        value.kind = VALUE_INT;
        value.int64 = (int64_t)load_le64(at + 1);
        end = at + 9;
        break;
    case DOCUMENT_U64:
        value.kind = VALUE_UINT;
        value.uint64 = load_le64(at + 1);
        end = at + 9;
        break;
    case DOCUMENT_F32:
        value.kind = VALUE_FLOAT;
        value.float64 = (double)load_f32(at + 1);
        end = at + 5;
        break;
    case DOCUMENT_F64: {
        const uint64_t bits = load_le64(at + 1);
        value.kind = VALUE_FLOAT;
        memcpy(&value.float64, &bits, sizeof bits);
        end = at + 9;
        break;
    }
    default:
        if (is_tag(tag, DOCUMENT_ARRAY) || is_tag(tag, DOCUMENT_OBJECT)) {
            value.kind = is_tag(tag, DOCUMENT_ARRAY) ? VALUE_ARRAY : VALUE_OBJECT;
            value.bytes = at;
            value.size = load_wide(at + 1, width);
            value.count = load_wide(at + 1 + width, width);
            end = at + value.size;
        } else {
            assert(is_tag(tag, DOCUMENT_STRING) || is_tag(tag, DOCUMENT_BYTES) ||
                   is_tag(tag, DOCUMENT_DECIMAL));
            value.kind = is_tag(tag, DOCUMENT_STRING)  ? VALUE_STRING
                         : is_tag(tag, DOCUMENT_BYTES) ? VALUE_BYTES
                                                       : VALUE_DECIMAL;
            value.size = load_wide(at + 1, width);
            value.bytes = at + 1 + width;
            end = value.bytes + value.size;
        }
    }
    *out = value;
    return end;
}

/* Reads the key at `at` and returns its end, where the member's value begins. */
static inline const uint8_t *decode_key(const uint8_t *at, const uint8_t **key, size_t *size)
{
    if (LIKELY(at[0] != DOCUMENT_KEY_LONG)) {
        *size = at[0];
        *key = at + 1;
    } else {
        *size = load_le32(at + 1);
        *key = at + 5;
    }
    return *key + *size;
}

void document_root(const uint8_t *bytes, size_t size, struct value *out)
{
    const uint8_t *end = value_read(bytes, out);
    assert(out->kind == VALUE_OBJECT && end == bytes + size);
    (void)end;
    (void)size;
}

/* The member at place `index` of the object's own order. */
static const uint8_t *member_at(const struct value *object, uint32_t index)
{
    const unsigned width = width_of(object->bytes[0]);
    const uint8_t *offsets = object->bytes + 1 + 2 * width;
    return object->bytes + load_wide(offsets + (size_t)index * width, width);
}

/* The place of the `rank`-th smallest key; only in objects that have an order table. */
static uint32_t ordered_at(const struct value *object, uint32_t rank)
{
    const unsigned width = width_of(object->bytes[0]);
    const uint8_t *order = object->bytes + 1 + 2 * width + (size_t)object->count * width;
    return load_wide(order + (size_t)rank * width, width);
}

static int bytes_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    const size_t common = a_size < b_size ? a_size : b_size;
    const int order = common != 0 ? memcmp(a, b, common) : 0;
    if (order != 0) return order;
    return (a_size > b_size) - (a_size < b_size);
}

bool value_member(const struct value *object, const char *key, size_t key_size, struct value *out)
{
    if (object->kind != VALUE_OBJECT) return false;
    const uint8_t *name;
    size_t size;
    if (object->count <= DOCUMENT_UNORDERED_MAX) {
        for (uint32_t i = 0; i < object->count; i++) {
            const uint8_t *at = member_at(object, i);
            if (at[0] != key_size && at[0] != DOCUMENT_KEY_LONG) continue;
            at = decode_key(at, &name, &size);
            if (size != key_size || (size != 0 && memcmp(name, key, size) != 0)) continue;
            (void)value_read(at, out);
            return true;
        }
        return false;
    }
    uint32_t low = 0;
    uint32_t high = object->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint8_t *at = member_at(object, ordered_at(object, middle));
        at = decode_key(at, &name, &size);
        const int order = bytes_compare(name, size, (const uint8_t *)key, key_size);
        if (order == 0) {
            (void)value_read(at, out);
            return true;
        }
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

/* Where an array's offset table would begin: behind tag, size, count and stride. */
static inline const uint8_t *array_table(const uint8_t *array)
{
    return array + 2 + 2 * width_of(array[0]);
}

static inline uint32_t array_stride(const uint8_t *array)
{
    return array_table(array)[-1];
}

bool value_item(const struct value *array, size_t index, struct value *out)
{
    if (array->kind != VALUE_ARRAY || index >= array->count) return false;
    const unsigned width = width_of(array->bytes[0]);
    const uint8_t *table = array_table(array->bytes);
    const uint32_t stride = array_stride(array->bytes);
    const uint8_t *at = stride != 0 ? table + index * stride
                                    : array->bytes + load_wide(table + index * width, width);
    (void)value_read(at, out);
    return true;
}

void value_iterate(const struct value *container, struct value_iterator *out)
{
    *out = (struct value_iterator){.at = NULL, .left = 0};
    if (container->kind != VALUE_ARRAY && container->kind != VALUE_OBJECT) return;
    const uint8_t *bytes = container->bytes;
    const size_t width = width_of(bytes[0]);
    out->left = container->count;
    out->has_keys = container->kind == VALUE_OBJECT;
    if (out->has_keys) {
        const size_t tables = container->count > DOCUMENT_UNORDERED_MAX ? 2 : 1;
        out->at = bytes + 1 + 2 * width + tables * container->count * width;
    } else {
        const size_t table = array_stride(bytes) != 0 ? 0 : container->count * width;
        out->at = array_table(bytes) + table;
    }
}

bool value_next(struct value_iterator *iterator, const char **key, size_t *key_size,
                struct value *out)
{
    if (iterator->left == 0) return false;
    const uint8_t *name = NULL;
    size_t size = 0;
    const uint8_t *at = iterator->at;
    if (iterator->has_keys) at = decode_key(at, &name, &size);
    iterator->at = value_read(at, out);
    iterator->left--;
    if (key != NULL) *key = (const char *)name;
    if (key_size != NULL) *key_size = size;
    return true;
}

/* ---- Comparing --------------------------------------------------------------------- */

enum value_bracket value_bracket(const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL:
        return VALUE_BRACKET_NULL;
    case VALUE_FALSE:
    case VALUE_TRUE:
        return VALUE_BRACKET_BOOL;
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_FLOAT:
    case VALUE_DECIMAL:
        return VALUE_BRACKET_NUMBER;
    case VALUE_STRING:
        return VALUE_BRACKET_STRING;
    case VALUE_BYTES:
        return VALUE_BRACKET_BYTES;
    case VALUE_ARRAY:
        return VALUE_BRACKET_ARRAY;
    case VALUE_OBJECT:
        return VALUE_BRACKET_OBJECT;
    }
    assert(false);
    return VALUE_BRACKET_NULL;
}

static int sign_of_double(double value)
{
    return (value > 0) - (value < 0);
}

static int compare_int_float(int64_t a, double b)
{
    if (b >= 0x1p63) return -1;
    if (b < -0x1p63) return 1;
    const int64_t whole = (int64_t)b; /* Towards zero, and exact as a double again. */
    if (a != whole) return a < whole ? -1 : 1;
    return -sign_of_double(b - (double)whole);
}

static int compare_uint_float(uint64_t a, double b)
{
    if (b >= 0x1p64) return -1;
    if (b < 0) return 1;
    const uint64_t whole = (uint64_t)b;
    if (a != whole) return a < whole ? -1 : 1;
    return -sign_of_double(b - (double)whole);
}

/* Digits without sign or leading zeros. */
static int compare_digits(const char *a, size_t a_size, const char *b, size_t b_size)
{
    if (a_size != b_size) return a_size < b_size ? -1 : 1;
    const int order = memcmp(a, b, a_size);
    return (order > 0) - (order < 0);
}

static bool is_negative(const struct value *decimal)
{
    return decimal->bytes[0] == '-';
}

static int compare_decimals(const struct value *a, const struct value *b)
{
    const bool negative = is_negative(a);
    if (negative != is_negative(b)) return negative ? -1 : 1;
    const int order = compare_digits((const char *)a->bytes + negative, a->size - negative,
                                     (const char *)b->bytes + negative, b->size - negative);
    return negative ? -order : order;
}

/* Only a float that is itself beyond 2^63 comes near, and such a float is an integer. */
static int compare_decimal_float(const struct value *a, double b)
{
    const bool negative = is_negative(a);
    if ((b < 0) != negative || fabs(b) < 0x1p63) return negative ? -1 : 1;
    if (isinf(b)) return negative ? 1 : -1;
    char digits[512]; /* The largest double has 309. */
    const int size = snprintf(digits, sizeof digits, "%.0f", fabs(b));
    assert(size > 0 && (size_t)size < sizeof digits);
    const int order = compare_digits((const char *)a->bytes + negative, a->size - negative, digits,
                                     (size_t)size);
    return negative ? -order : order;
}

static int compare_numbers(const struct value *a, const struct value *b)
{
    if (a->kind > b->kind) return -compare_numbers(b, a);
    /* Now a's kind is b's or one before it: INT, UINT, FLOAT, DECIMAL. */
    if (a->kind == VALUE_INT && b->kind == VALUE_INT)
        return (a->int64 > b->int64) - (a->int64 < b->int64);
    if (a->kind == VALUE_INT && b->kind == VALUE_UINT) return -1;
    if (a->kind == VALUE_INT && b->kind == VALUE_FLOAT)
        return compare_int_float(a->int64, b->float64);
    if (a->kind == VALUE_UINT && b->kind == VALUE_UINT)
        return (a->uint64 > b->uint64) - (a->uint64 < b->uint64);
    if (a->kind == VALUE_UINT && b->kind == VALUE_FLOAT)
        return compare_uint_float(a->uint64, b->float64);
    if (a->kind == VALUE_FLOAT && b->kind == VALUE_FLOAT)
        return (a->float64 > b->float64) - (a->float64 < b->float64);
    assert(b->kind == VALUE_DECIMAL);
    if (a->kind == VALUE_FLOAT) return -compare_decimal_float(b, a->float64);
    if (a->kind == VALUE_DECIMAL) return compare_decimals(a, b);
    return is_negative(b) ? 1 : -1;
}

static int compare_arrays(const struct value *a, const struct value *b)
{
    struct value_iterator a_items;
    struct value_iterator b_items;
    struct value a_item;
    struct value b_item;
    value_iterate(a, &a_items);
    value_iterate(b, &b_items);
    while (value_next(&a_items, NULL, NULL, &a_item) && value_next(&b_items, NULL, NULL, &b_item)) {
        const int order = value_compare(&a_item, &b_item);
        if (order != 0) return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

/* Fills places[count] with the members of a small object in the order of their keys. */
static void sort_small(const struct value *object, uint8_t *places)
{
    assert(object->count <= DOCUMENT_UNORDERED_MAX);
    for (uint32_t i = 0; i < object->count; i++) {
        const uint8_t *key;
        const uint8_t *other;
        size_t size;
        size_t other_size;
        (void)decode_key(member_at(object, i), &key, &size);
        uint32_t j = i;
        for (; j > 0; j--) {
            (void)decode_key(member_at(object, places[j - 1]), &other, &other_size);
            if (bytes_compare(other, other_size, key, size) <= 0) break;
            places[j] = places[j - 1];
        }
        places[j] = (uint8_t)i;
    }
}

static int compare_objects(const struct value *a, const struct value *b)
{
    uint8_t a_places[DOCUMENT_UNORDERED_MAX];
    uint8_t b_places[DOCUMENT_UNORDERED_MAX];
    const bool a_small = a->count <= DOCUMENT_UNORDERED_MAX;
    const bool b_small = b->count <= DOCUMENT_UNORDERED_MAX;
    if (a_small) sort_small(a, a_places);
    if (b_small) sort_small(b, b_places);
    for (uint32_t rank = 0; rank < a->count && rank < b->count; rank++) {
        const uint8_t *a_key;
        const uint8_t *b_key;
        size_t a_size;
        size_t b_size;
        struct value a_value;
        struct value b_value;
        const uint8_t *a_at = member_at(a, a_small ? a_places[rank] : ordered_at(a, rank));
        const uint8_t *b_at = member_at(b, b_small ? b_places[rank] : ordered_at(b, rank));
        a_at = decode_key(a_at, &a_key, &a_size);
        b_at = decode_key(b_at, &b_key, &b_size);
        int order = bytes_compare(a_key, a_size, b_key, b_size);
        if (order != 0) return order;
        (void)value_read(a_at, &a_value);
        (void)value_read(b_at, &b_value);
        order = value_compare(&a_value, &b_value);
        if (order != 0) return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

int value_compare(const struct value *a, const struct value *b)
{
    const enum value_bracket bracket = value_bracket(a);
    const enum value_bracket other = value_bracket(b);
    if (bracket != other) return bracket < other ? -1 : 1;
    switch (bracket) {
    case VALUE_BRACKET_NULL:
        return 0;
    case VALUE_BRACKET_BOOL:
        return (int)a->kind - (int)b->kind;
    case VALUE_BRACKET_NUMBER:
        return compare_numbers(a, b);
    case VALUE_BRACKET_STRING:
    case VALUE_BRACKET_BYTES:
        return bytes_compare(a->bytes, a->size, b->bytes, b->size);
    case VALUE_BRACKET_ARRAY:
        return compare_arrays(a, b);
    case VALUE_BRACKET_OBJECT:
        return compare_objects(a, b);
    }
    assert(false);
    return 0;
}

bool value_equal(const struct value *a, const struct value *b)
{
    const bool has_size = a->kind == VALUE_STRING || a->kind == VALUE_BYTES;
    if (has_size && (a->kind != b->kind || a->size != b->size)) return false;
    if (a->kind == VALUE_ARRAY || a->kind == VALUE_OBJECT) {
        if (a->kind != b->kind || a->count != b->count) return false;
    }
    return value_compare(a, b) == 0;
}

bool value_as_float(const struct value *value, double *out)
{
    struct json_number number;
    switch (value->kind) {
    case VALUE_INT:
        *out = (double)value->int64;
        return true;
    case VALUE_UINT:
        *out = (double)value->uint64;
        return true;
    case VALUE_FLOAT:
        *out = value->float64;
        return true;
    case VALUE_DECIMAL:
        if (!json_number_scan(value->bytes, value->bytes + value->size, &number)) return false;
        if (!json_number_f64(&number, out)) *out = is_negative(value) ? -HUGE_VAL : HUGE_VAL;
        return true;
    case VALUE_NULL:
    case VALUE_FALSE:
    case VALUE_TRUE:
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        return false;
    }
    return false;
}

/* ---- Validation -------------------------------------------------------------------- */

struct validation {
    const uint8_t *begin;
    omendb_error *err;
};

static COLD omendb_status broken(const struct validation *in, const uint8_t *at, const char *what)
{
    return fail(in->err, OMENDB_ERR_CORRUPT, "document: byte %zu: %s", (size_t)(at - in->begin),
                what);
}

static omendb_status validate(const struct validation *in, const uint8_t *at, const uint8_t *end,
                              uint32_t depth, const uint8_t **next);

/* Checks a decimal: an integer without leading zeros outside [INT64_MIN, UINT64_MAX]. */
static bool is_decimal(const uint8_t *at, size_t size)
{
    const bool negative = size != 0 && at[0] == '-';
    const char *digits = (const char *)at + negative;
    const size_t count = size - negative;
    const char *limit = negative ? "9223372036854775808" : "18446744073709551615";
    for (size_t i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
    }
    return count != 0 && digits[0] != '0' &&
           compare_digits(digits, count, limit, strlen(limit)) > 0;
}

static omendb_status validate_sized(const struct validation *in, const uint8_t *at,
                                    const uint8_t *end, const uint8_t **next)
{
    const uint8_t tag = at[0];
    const uint8_t *body;
    size_t size;
    if (tag >= DOCUMENT_SMALL_STRING) {
        size = (size_t)(tag - DOCUMENT_SMALL_STRING);
        body = at + 1;
    } else {
        const unsigned width = width_of(tag);
        if ((size_t)(end - at) < 1 + width) return broken(in, at, "size cut off");
        size = load_wide(at + 1, width);
        body = at + 1 + width;
    }
    if (size > (size_t)(end - body)) return broken(in, at, "contents cut off");
    if (is_tag(tag, DOCUMENT_DECIMAL)) {
        if (!is_decimal(body, size)) return broken(in, at, "no integer beyond 64 bits");
    } else if (!is_tag(tag, DOCUMENT_BYTES)) {
        if (!utf8_valid(body, size)) return broken(in, at, "string isn't UTF-8");
    }
    *next = body + size;
    return OMENDB_OK;
}

static omendb_status validate_key(const struct validation *in, const uint8_t *at,
                                  const uint8_t *end, const uint8_t **next)
{
    if (at == end) return broken(in, at, "key cut off");
    if (at[0] == DOCUMENT_KEY_LONG && end - at < 5) return broken(in, at, "key size cut off");
    const size_t head = at[0] == DOCUMENT_KEY_LONG ? 5 : 1;
    const size_t size = head == 5 ? load_le32(at + 1) : at[0];
    if (size > (size_t)(end - at) - head) return broken(in, at, "key cut off");
    if (!utf8_valid(at + head, size)) return broken(in, at, "key isn't UTF-8");
    *next = at + head + size;
    return OMENDB_OK;
}

/* The members' bytes are sound by now: proves that no key comes twice. With an order table:
 * strictly ascending keys are distinct, so the table is also a permutation. */
static omendb_status validate_keys(const struct validation *in, const struct value *object)
{
    uint8_t places[DOCUMENT_UNORDERED_MAX];
    const bool small = object->count <= DOCUMENT_UNORDERED_MAX;
    if (small) sort_small(object, places);
    const uint8_t *before = NULL;
    size_t before_size = 0;
    for (uint32_t rank = 0; rank < object->count; rank++) {
        const uint8_t *key;
        size_t size;
        const uint32_t place = small ? places[rank] : ordered_at(object, rank);
        if (place >= object->count) return broken(in, object->bytes, "order out of range");
        (void)decode_key(member_at(object, place), &key, &size);
        if (rank != 0 && bytes_compare(before, before_size, key, size) >= 0)
            return broken(in, object->bytes, "keys twice or out of order");
        before = key;
        before_size = size;
    }
    return OMENDB_OK;
}

static omendb_status validate_container(const struct validation *in, const uint8_t *at,
                                        const uint8_t *limit, uint32_t depth, const uint8_t **next)
{
    const uint8_t tag = at[0];
    const bool is_object = is_tag(tag, DOCUMENT_OBJECT);
    const size_t width = width_of(tag);
    const size_t head = is_object ? 1 + 2 * width : 2 + 2 * width;
    if (depth > OMENDB_DEPTH_MAX) return broken(in, at, "nested too deep");
    if ((size_t)(limit - at) < head) return broken(in, at, "container cut off");
    const size_t size = load_wide(at + 1, (unsigned)width);
    const size_t count = load_wide(at + 1 + width, (unsigned)width);
    if (size < head || size > (size_t)(limit - at)) return broken(in, at, "container size");
    const uint8_t *end = at + size;
    const uint32_t stride = is_object ? 0 : array_stride(at);
    const size_t tables = is_object ? (count > DOCUMENT_UNORDERED_MAX ? 2 : 1) : stride == 0;
    /* No overflow: count < 2^32, tables <= 2, width <= 4. */
    if (tables * count * width > size - head) return broken(in, at, "container count");
    const uint8_t *table = at + head;
    const uint8_t *item = table + tables * count * width;
    for (size_t i = 0; i < count; i++) {
        if (tables != 0 && load_wide(table + i * width, (unsigned)width) != (size_t)(item - at))
            return broken(in, at, "offset");
        const uint8_t *value = item;
        if (is_object) TRY(validate_key(in, item, end, &value));
        const uint8_t *item_end = value;
        TRY(validate(in, value, end, depth + 1, &item_end));
        if (stride != 0 && (size_t)(item_end - item) != stride)
            return broken(in, item, "item of another size");
        item = item_end;
    }
    if (item != end) return broken(in, item, "bytes behind the last item");
    if (is_object) {
        const struct value object = {.kind = VALUE_OBJECT, .count = (uint32_t)count, .bytes = at};
        TRY(validate_keys(in, &object));
    }
    *next = end;
    return OMENDB_OK;
}

static omendb_status validate_fixed(const struct validation *in, const uint8_t *at,
                                    const uint8_t *end, const uint8_t **next)
{
    static const uint8_t sizes[] = {1, 1, 1, 2, 3, 5, 9, 9, 5, 9};
    const uint8_t tag = at[0];
    if (tag >= sizeof sizes) return broken(in, at, "unknown tag");
    if ((size_t)(end - at) < sizes[tag]) return broken(in, at, "number cut off");
    if (tag == DOCUMENT_U64 && load_le64(at + 1) <= (uint64_t)INT64_MAX)
        return broken(in, at, "unsigned integer that is in signed range");
    struct value value;
    *next = value_read(at, &value);
    if (value.kind == VALUE_FLOAT && !isfinite(value.float64))
        return broken(in, at, "float isn't finite");
    return OMENDB_OK;
}

static omendb_status validate(const struct validation *in, const uint8_t *at, const uint8_t *end,
                              uint32_t depth, const uint8_t **next)
{
    if (at == end) return broken(in, at, "value cut off");
    const uint8_t tag = at[0];
    if (is_tag(tag, DOCUMENT_ARRAY) || is_tag(tag, DOCUMENT_OBJECT))
        return validate_container(in, at, end, depth, next);
    const bool small_string = tag >= DOCUMENT_SMALL_STRING &&
                              tag < DOCUMENT_SMALL_STRING + DOCUMENT_SMALL_COUNT;
    if (small_string || is_tag(tag, DOCUMENT_STRING) || is_tag(tag, DOCUMENT_BYTES) ||
        is_tag(tag, DOCUMENT_DECIMAL))
        return validate_sized(in, at, end, next);
    if (tag >= DOCUMENT_SMALL_INT && tag < DOCUMENT_SMALL_STRING) {
        *next = at + 1;
        return OMENDB_OK;
    }
    return validate_fixed(in, at, end, next);
}

omendb_status document_validate(const uint8_t *bytes, size_t size, omendb_error *err)
{
    const struct validation in = {.begin = bytes, .err = err};
    if (size > UINT32_MAX)
        return fail(err, OMENDB_ERR_CORRUPT, "document: %zu bytes are too many", size);
    if (size == 0 || !is_tag(bytes[0], DOCUMENT_OBJECT))
        return fail(err, OMENDB_ERR_CORRUPT, "document: doesn't begin with an object");
    const uint8_t *end = NULL;
    TRY(validate(&in, bytes, bytes + size, 1, &end));
    if (end != bytes + size) return broken(&in, end, "bytes behind the object");
    return OMENDB_OK;
}
