#include "member.h"

#include <jansson.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

struct span span_of(const char *string)
{
    return (struct span){string, strlen(string)};
}

bool span_is(struct span span, const char *string)
{
    return span.size == strlen(string) && memcmp(span.data, string, span.size) == 0;
}

static void skip_space(struct member_cursor *cursor)
{
    while (cursor->position < cursor->end && is_space(*cursor->position)) cursor->position++;
}

static omendb_status wrong_json(const struct member_cursor *cursor, const char *expected,
                                omendb_error *err)
{
    size_t column = (size_t)(cursor->position - cursor->begin) + 1;
    if (cursor->position == cursor->end) {
        return fault(err, OMENDB_ERR_VALUE, "not valid JSON: expected %s, the text ends", expected);
    }
    return fault(err, OMENDB_ERR_VALUE, "not valid JSON: expected %s at column %zu", expected,
                 column);
}

omendb_status member_begin(struct member_cursor *cursor, struct span text, char open,
                           omendb_error *err)
{
    *cursor = (struct member_cursor){text.data, text.data, text.data + text.size,
                                     open == '{' ? '}' : ']', true};
    skip_space(cursor);
    if (cursor->position == cursor->end || *cursor->position != open) {
        return wrong_json(cursor, open == '{' ? "an object '{'" : "an array '['", err);
    }
    cursor->position++;
    return OMENDB_OK;
}

static omendb_status skip_string(struct member_cursor *cursor, omendb_error *err)
{
    const char *p = cursor->position + 1;
    while (p < cursor->end && *p != '"') p += *p == '\\' && p + 1 < cursor->end ? 2 : 1;
    if (p >= cursor->end) {
        return fault(err, OMENDB_ERR_VALUE,
                     "not valid JSON: the string at column %zu has no closing quote",
                     (size_t)(cursor->position - cursor->begin) + 1);
    }
    cursor->position = p + 1;
    return OMENDB_OK;
}

/* Skips nested brackets; bit d of `kinds` says whether level d is an object. */
static omendb_status skip_nested(struct member_cursor *cursor, omendb_error *err)
{
    uint64_t kinds = 0;
    unsigned depth = 0;
    do {
        if (cursor->position == cursor->end) return wrong_json(cursor, "a closing bracket", err);
        char c = *cursor->position;
        if (c == '"') {
            TRY(skip_string(cursor, err));
            continue;
        }
        if (c == '{' || c == '[') {
            if (depth == OMENDB_DEPTH_MAX) {
                return fault(err, OMENDB_ERR_VALUE, "nested deeper than %u levels",
                             OMENDB_DEPTH_MAX);
            }
            kinds = c == '{' ? kinds | UINT64_C(1) << depth : kinds & ~(UINT64_C(1) << depth);
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
            if ((kinds >> depth & 1) != (c == '}' ? 1u : 0u)) {
                return wrong_json(cursor, c == '}' ? "']'" : "'}'", err);
            }
        }
        cursor->position++;
    } while (depth != 0);
    return OMENDB_OK;
}

static omendb_status skip_value(struct member_cursor *cursor, struct span *out, omendb_error *err)
{
    const char *begin = cursor->position;
    if (begin == cursor->end) return wrong_json(cursor, "a value", err);
    if (*begin == '"') {
        TRY(skip_string(cursor, err));
    } else if (*begin == '{' || *begin == '[') {
        TRY(skip_nested(cursor, err));
    } else {
        while (cursor->position < cursor->end && strchr(",]}:\"[{", *cursor->position) == NULL &&
               !is_space(*cursor->position)) {
            cursor->position++;
        }
        if (cursor->position == begin) return wrong_json(cursor, "a value", err);
    }
    *out = (struct span){begin, (size_t)(cursor->position - begin)};
    return OMENDB_OK;
}

omendb_status member_next(struct member_cursor *cursor, struct member *out, bool *more,
                          omendb_error *err)
{
    skip_space(cursor);
    if (cursor->position < cursor->end && *cursor->position == cursor->close) {
        cursor->position++;
        skip_space(cursor);
        if (cursor->position != cursor->end) return wrong_json(cursor, "nothing more", err);
        *more = false;
        return OMENDB_OK;
    }
    if (!cursor->first) {
        if (cursor->position == cursor->end || *cursor->position != ',') {
            return wrong_json(cursor, cursor->close == '}' ? "',' or '}'" : "',' or ']'", err);
        }
        cursor->position++;
        skip_space(cursor);
    }
    cursor->first = false;
    *out = (struct member){{cursor->position, 0}, {NULL, 0}};
    if (cursor->close == '}') {
        if (cursor->position == cursor->end || *cursor->position != '"') {
            return wrong_json(cursor, "a key in quotes", err);
        }
        TRY(skip_string(cursor, err));
        out->key.size = (size_t)(cursor->position - out->key.data);
        skip_space(cursor);
        if (cursor->position == cursor->end || *cursor->position != ':') {
            return wrong_json(cursor, "':'", err);
        }
        cursor->position++;
        skip_space(cursor);
    }
    *more = true;
    return skip_value(cursor, &out->value, err);
}

omendb_status member_decode(struct span quoted, struct text *out, omendb_error *err)
{
    json_error_t reason;
    if (quoted.size >= 2 && quoted.data[0] == '"' &&
        memchr(quoted.data, '\\', quoted.size) == NULL) {
        text_append(out, quoted.data + 1, quoted.size - 2); /* It means itself. */
        return OMENDB_OK;
    }
    json_t *string = json_loadb(quoted.data, quoted.size, JSON_DECODE_ANY | JSON_ALLOW_NUL,
                                &reason);
    if (string == NULL || !json_is_string(string)) {
        json_decref(string);
        return fault(err, OMENDB_ERR_VALUE, "not a valid JSON string");
    }
    text_append(out, json_string_value(string), json_string_length(string));
    json_decref(string);
    return OMENDB_OK;
}

bool member_is(struct span quoted, const char *name)
{
    size_t size = strlen(name);
    if (quoted.size < 2) return false;
    if (memchr(quoted.data, '\\', quoted.size) == NULL) {
        return quoted.size - 2 == size && memcmp(quoted.data + 1, name, size) == 0;
    }
    struct text meaning = {0};
    bool same = member_decode(quoted, &meaning, NULL) == OMENDB_OK && meaning.size == size &&
                memcmp(meaning.data, name, size) == 0;
    text_deinit(&meaning);
    return same;
}

size_t member_number_size(struct span text)
{
    const char *p = text.data;
    const char *end = text.data + text.size;
    if (p < end && *p == '-') p++;
    if (p == end || !is_digit(*p)) return 0;
    if (*p == '0') {
        p++;
    } else {
        while (p < end && is_digit(*p)) p++;
    }
    if (p < end && *p == '.') {
        if (p + 1 == end || !is_digit(p[1])) return 0;
        p++;
        while (p < end && is_digit(*p)) p++;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        if (p == end || !is_digit(*p)) return 0;
        while (p < end && is_digit(*p)) p++;
    }
    return (size_t)(p - text.data);
}

struct span member_find(struct span object, const char *name)
{
    struct member_cursor cursor;
    struct member member;
    bool more = false;
    if (member_begin(&cursor, object, '{', NULL) != OMENDB_OK) return (struct span){"", 0};
    while (member_next(&cursor, &member, &more, NULL) == OMENDB_OK && more) {
        if (member_is(member.key, name)) return member.value;
    }
    return (struct span){"", 0};
}
