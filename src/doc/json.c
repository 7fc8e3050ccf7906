#include "doc/json.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "doc/base64.h"
#include "doc/build.h"
#include "doc/json_number.h"
#include "doc/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

struct reader {
    const uint8_t *at;
    const uint8_t *begin;
    const uint8_t *end;
    omendb_error *err;
    struct build build;
};

/* ---- Errors ------------------------------------------------------------------------ */

/* Line and column count from 1, columns in characters. */
static void locate(const uint8_t *begin, const uint8_t *at, size_t *line, size_t *column)
{
    *line = 1;
    *column = 1;
    for (; begin < at; begin++) {
        if (*begin == '\n') {
            ++*line;
            *column = 1;
        } else if ((*begin & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

/* "json: byte 17 (line 2, column 5): " */
static COLD omendb_status fail_at(const struct reader *in, const uint8_t *at, omendb_status status,
                                  const char *what)
{
    size_t line;
    size_t column;
    locate(in->begin, at, &line, &column);
    return fail(in->err, status, "json: byte %zu (line %zu, column %zu): %s",
                (size_t)(at - in->begin), line, column, what);
}

/* "... expected ',' or '}', found 'x'" */
static COLD omendb_status expected(const struct reader *in, const uint8_t *at, const char *what)
{
    char message[128];
    char found[24] = "the end";
    if (at < in->end) {
        const uint8_t byte = *at;
        const bool is_shown = byte > 0x20 && byte < 0x7f;
        found[0] = '\0';
        char *to = found;
        const char *prefix = is_shown ? "'" : "byte 0x";
        memcpy(to, prefix, strlen(prefix));
        to += strlen(prefix);
        if (is_shown) {
            *to++ = (char)byte;
            *to++ = '\'';
        } else {
            *to++ = "0123456789abcdef"[byte >> 4];
            *to++ = "0123456789abcdef"[byte & 15];
        }
        *to = '\0';
    }
    omendb_error inner;
    (void)fail(&inner, OMENDB_ERR_VALUE, "expected %s, found %s", what, found);
    memcpy(message, inner.message, sizeof message);
    message[sizeof message - 1] = '\0';
    return fail_at(in, at, OMENDB_ERR_VALUE, message);
}

/* ---- Small parts ------------------------------------------------------------------- */

static inline bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static ALWAYS_INLINE const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && is_space(*at)) at++;
    return at;
}

/* The first byte from `at` on that isn't plain inside a string: a quote, a backslash, a control
 * character, or part of a character beyond ASCII; or the end. */
static ALWAYS_INLINE const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');
    for (; end - at >= 16; at += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* As signed bytes, control characters and all beyond ASCII are below ' '. */
        const __m128i special = _mm_or_si128(
            _mm_cmplt_epi8(bytes, space),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        const int mask = _mm_movemask_epi8(special);
        if (mask != 0) return at + __builtin_ctz((unsigned)mask);
    }
#else
    for (; end - at >= 8; at += 8) {
        /* A zero byte below marks what is looked for: (x - 1) & ~x has its top bit there, and
         * perhaps in bytes above it, which only stops the loop early. */
        const uint64_t ones = 0x0101010101010101u;
        const uint64_t bytes = load_le64(at);
        const uint64_t quote = bytes ^ (ones * '"');
        const uint64_t backslash = bytes ^ (ones * '\\');
        const uint64_t special = (bytes - ones * ' ') | bytes | ((quote - ones) & ~quote) |
                                 ((backslash - ones) & ~backslash);
        if ((special & (ones << 7)) != 0) break;
    }
#endif
    while (at < end && *at >= ' ' && *at < 0x80 && *at != '"' && *at != '\\') at++;
    return at;
}

/* ---- Strings ----------------------------------------------------------------------- */

/* Four hex digits, or -1. */
static int32_t hex_four(const uint8_t *at, const uint8_t *end)
{
    int32_t value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const uint8_t lower = at[i] | 0x20;
        if (json_number_is_digit(at[i])) value = value * 16 + (at[i] - '0');
        else if (lower >= 'a' && lower <= 'f') value = value * 16 + (lower - 'a' + 10);
        else return -1;
    }
    return value;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t point)
{
    if (point < 0x80) {
        *to++ = (uint8_t)point;
    } else if (point < 0x800) {
        *to++ = (uint8_t)(0xc0 | point >> 6);
        *to++ = (uint8_t)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *to++ = (uint8_t)(0xe0 | point >> 12);
        *to++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (point & 0x3f));
    } else {
        *to++ = (uint8_t)(0xf0 | point >> 18);
        *to++ = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        *to++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (point & 0x3f));
    }
    return to;
}

/* Decodes the escape whose backslash is at in->at, and goes behind it. */
static omendb_status read_escape(struct reader *in, uint8_t **to)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const uint8_t *at = in->at + 1;
    const char *name = at < in->end && *at != '\0' ? strchr(names, *at) : NULL;
    if (name != NULL) {
        *(*to)++ = (uint8_t)meanings[name - names];
        in->at = at + 1;
        return OMENDB_OK;
    }
    if (at == in->end || *at != 'u') return expected(in, at, "an escape: one of \"\\/bfnrtu");
    const int32_t first = hex_four(at + 1, in->end);
    if (first < 0) return fail_at(in, at, OMENDB_ERR_VALUE, "expected four hex digits after \\u");
    uint32_t point = (uint32_t)first;
    at += 5;
    if (point >= 0xd800 && point <= 0xdfff) {
        const bool follows = in->end - at >= 2 && at[0] == '\\' && at[1] == 'u';
        const int32_t second = follows ? hex_four(at + 2, in->end) : -1;
        if (point >= 0xdc00 || second < 0xdc00 || second > 0xdfff)
            return fail_at(in, in->at, OMENDB_ERR_VALUE, "lone surrogate in \\u escape");
        point = 0x10000 + ((point - 0xd800) << 10) + ((uint32_t)second - 0xdc00);
        at += 6;
    }
    *to = put_utf8(*to, point);
    in->at = at;
    return OMENDB_OK;
}

/* Goes from inside a string to its closing quote, past escapes without decoding them. */
static omendb_status find_quote(struct reader *in, const uint8_t *at, const uint8_t **quote,
                                bool *has_escape)
{
    *has_escape = false;
    for (;;) {
        at = skip_plain(at, in->end);
        if (UNLIKELY(at == in->end)) return expected(in, at, "'\"' at the end of the string");
        if (*at == '"') {
            *quote = at;
            return OMENDB_OK;
        }
        if (*at == '\\') {
            *has_escape = true;
            at += at + 1 < in->end ? 2 : 1;
            /* What was skipped may be half of a character or a control character: read_escape()
             * says so. */
            continue;
        }
        if (*at < ' ')
            return fail_at(in, at, OMENDB_ERR_VALUE,
                           "control character in a string: must be escaped");
        const unsigned size = utf8_sequence_size(at, in->end);
        if (size == 0) return fail_at(in, at, OMENDB_ERR_VALUE, "invalid UTF-8");
        at += size;
    }
}

/* Decodes a string with escapes; its encoded size bounds the decoded one. */
static COLD omendb_status read_escaped(struct reader *in, const uint8_t *quote, bool is_key)
{
    uint8_t *room = NULL;
    TRY(build_room(&in->build, is_key, (size_t)(quote - in->at), &room, in->err));
    uint8_t *to = room;
    while (in->at < quote) {
        if (*in->at == '\\') {
            TRY(read_escape(in, &to));
            continue;
        }
        const uint8_t *plain = in->at;
        const uint8_t *next = memchr(plain, '\\', (size_t)(quote - plain));
        in->at = next != NULL ? next : quote;
        memcpy(to, plain, (size_t)(in->at - plain));
        to += in->at - plain;
    }
    assert(in->at == quote);
    if (is_key) build_key_done(&in->build, (size_t)(to - room));
    else build_string_done(&in->build, (size_t)(to - room));
    return OMENDB_OK;
}

/* Reads the string whose opening quote is at in->at. */
static inline omendb_status read_string(struct reader *in, bool is_key)
{
    const uint8_t *quote = NULL;
    bool has_escape = false;
    const uint8_t *text = ++in->at;
    TRY(find_quote(in, text, &quote, &has_escape));
    if (UNLIKELY(has_escape)) TRY(read_escaped(in, quote, is_key));
    else if (is_key) TRY(build_key(&in->build, text, (size_t)(quote - text), in->err));
    else TRY(build_string(&in->build, text, (size_t)(quote - text), in->err));
    in->at = quote + 1;
    return OMENDB_OK;
}

/* ---- Numbers ----------------------------------------------------------------------- */

/* The magnitude of a number written as an integer, if 64 bits hold it. */
static bool integer_fits(const struct json_number *number, uint64_t *out)
{
    *out = number->mantissa;
    if (number->exponent == 0 && !number->truncated) return true;
    uint64_t value = 0;
    for (const uint8_t *at = number->begin + number->negative; at < number->end; at++) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

static omendb_status read_number(struct reader *in)
{
    struct json_number number;
    const uint8_t *begin = in->at;
    if (!json_number_scan(begin, in->end, &number)) return expected(in, number.end, "a digit");
    in->at = number.end;
    if (!number.is_integer) {
        double value = 0;
        if (!json_number_f64(&number, &value))
            return fail_at(in, begin, OMENDB_ERR_VALUE, "number beyond the largest double");
        return build_float(&in->build, value, in->err);
    }
    uint64_t size;
    if (integer_fits(&number, &size)) {
        if (!number.negative) return build_uint(&in->build, size, in->err);
        if (size <= (uint64_t)INT64_MAX + 1)
            return build_int(&in->build, (int64_t)(0 - size), in->err);
    }
    return build_decimal(&in->build, begin, (size_t)(number.end - begin), in->err);
}

/* ---- Values ------------------------------------------------------------------------ */

static omendb_status read_value(struct reader *in);

static omendb_status read_literal(struct reader *in, const char *word, size_t size)
{
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, word, size) != 0)
        return expected(in, in->at, "a value");
    in->at += size;
    return OMENDB_OK;
}

static COLD omendb_status too_deep(const struct reader *in)
{
    return fail_at(in, in->at, OMENDB_ERR_ARGUMENT, "nested more than 64 levels deep");
}
_Static_assert(OMENDB_DEPTH_MAX == 64, "the message above says it");

static omendb_status read_array(struct reader *in)
{
    if (in->build.depth == OMENDB_DEPTH_MAX) return too_deep(in);
    TRY(build_begin(&in->build, VALUE_ARRAY, in->err));
    in->at = skip_space(in->at + 1, in->end);
    if (in->at < in->end && *in->at == ']') {
        in->at++;
        return build_end(&in->build, in->err);
    }
    for (;;) {
        TRY(read_value(in));
        in->at = skip_space(in->at, in->end);
        if (UNLIKELY(in->at == in->end)) return expected(in, in->at, "',' or ']'");
        const uint8_t byte = *in->at;
        if (byte == ']') break;
        if (byte != ',') return expected(in, in->at, "',' or ']'");
        in->at = skip_space(in->at + 1, in->end);
    }
    in->at++;
    return build_end(&in->build, in->err);
}

/* Ends an object; {"$binary": "<base64>"} becomes bytes. `member` is the place of its last
 * member in the buffer. */
static omendb_status end_object(struct reader *in, size_t member)
{
    static const char name[] = "\x07$binary";
    const size_t name_size = sizeof name - 1;
    const struct buffer *out = in->build.out;
    if (in->build.depth > 1 && build_count(&in->build) == 1 && out->size - member > name_size &&
        memcmp(out->data + member, name, name_size) == 0) {
        struct value text;
        size_t size = 0;
        (void)value_read(out->data + member + name_size, &text);
        if (text.kind == VALUE_STRING) {
            uint8_t *bytes = out->data + (text.bytes - out->data);
            if (base64_decode(bytes, text.size, bytes, &size)) {
                build_end_as_bytes(&in->build, bytes, size);
                return OMENDB_OK;
            }
        }
    }
    omendb_error inner;
    const omendb_status status = build_end(&in->build, &inner);
    if (status == OMENDB_ERR_VALUE) return fail_at(in, in->at - 1, status, inner.message);
    if (status != OMENDB_OK) return fail(in->err, status, "%s", inner.message);
    return OMENDB_OK;
}

static omendb_status read_object(struct reader *in)
{
    if (in->build.depth == OMENDB_DEPTH_MAX) return too_deep(in);
    TRY(build_begin(&in->build, VALUE_OBJECT, in->err));
    in->at = skip_space(in->at + 1, in->end);
    if (in->at < in->end && *in->at == '}') {
        in->at++;
        return build_end(&in->build, in->err);
    }
    size_t member;
    for (;;) {
        if (UNLIKELY(in->at == in->end || *in->at != '"'))
            return expected(in, in->at, "a key in quotes");
        member = in->build.out->size;
        TRY(read_string(in, true));
        in->at = skip_space(in->at, in->end);
        if (UNLIKELY(in->at == in->end || *in->at != ':')) return expected(in, in->at, "':'");
        in->at = skip_space(in->at + 1, in->end);
        TRY(read_value(in));
        in->at = skip_space(in->at, in->end);
        if (UNLIKELY(in->at == in->end)) return expected(in, in->at, "',' or '}'");
        const uint8_t byte = *in->at;
        if (byte == '}') break;
        if (byte != ',') return expected(in, in->at, "',' or '}'");
        in->at = skip_space(in->at + 1, in->end);
    }
    in->at++;
    return end_object(in, member);
}

/* Recursion ends: containers check the depth. */
static omendb_status read_value(struct reader *in)
{
    if (UNLIKELY(in->at == in->end)) return expected(in, in->at, "a value");
    switch (*in->at) {
    case '"':
        return read_string(in, false);
    case '{':
        return read_object(in);
    case '[':
        return read_array(in);
    case 'n':
        TRY(read_literal(in, "null", 4));
        return build_null(&in->build, in->err);
    case 't':
        TRY(read_literal(in, "true", 4));
        return build_bool(&in->build, true, in->err);
    case 'f':
        TRY(read_literal(in, "false", 5));
        return build_bool(&in->build, false, in->err);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(in);
    default:
        return expected(in, in->at, "a value");
    }
}

static omendb_status check_size(size_t size, omendb_error *err)
{
    if (size > OMENDB_DOCUMENT_SIZE_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "json: %zu bytes; at most %u are allowed", size,
                    OMENDB_DOCUMENT_SIZE_MAX);
    return OMENDB_OK;
}

static omendb_status read_root(struct reader *in)
{
    in->at = skip_space(in->at, in->end);
    if (in->at == in->end || *in->at != '{') return expected(in, in->at, "'{': an object");
    TRY(read_object(in));
    in->at = skip_space(in->at, in->end);
    if (in->at != in->end) return expected(in, in->at, "the end of the text");
    return OMENDB_OK;
}

omendb_status json_to_document(const char *text, size_t size, struct buffer *out, omendb_error *err)
{
    TRY(check_size(size, err));
    struct reader in;
    in.begin = in.at = (const uint8_t *)text;
    in.end = in.begin + size;
    in.err = err;
    const size_t size_before = out->size;
    build_init(&in.build, out);
    const omendb_status status = read_root(&in);
    build_deinit(&in.build);
    if (status != OMENDB_OK) out->size = size_before;
    return status;
}

/* ---- Arrays of floats --------------------------------------------------------------- */

static omendb_status read_floats(struct reader *in, float *out, size_t count_max, size_t *count)
{
    const uint8_t *const end = in->end;
    const uint8_t *at = skip_space(in->at, end);
    size_t read = 0;
    if (at == end || *at != '[') return expected(in, at, "'[': an array of numbers");
    at = skip_space(at + 1, end);
    const bool is_empty = at < end && *at == ']';
    while (!is_empty) {
        struct json_number number;
        if (UNLIKELY(!json_number_scan(at, end, &number)))
            return expected(in, number.end, number.end == at ? "a number" : "a digit");
        if (UNLIKELY(read == count_max))
            return fail(in->err, OMENDB_ERR_DIMENSION, "json: more than %zu numbers", count_max);
        if (UNLIKELY(!json_number_f32(&number, &out[read])))
            return fail_at(in, at, OMENDB_ERR_VALUE, "number beyond the largest f32");
        read++;
        at = number.end;
        if (LIKELY(end - at >= 2 && at[0] == ',' && at[1] > ' ')) {
            at++;
            continue;
        }
        at = skip_space(at, end);
        if (UNLIKELY(at == end)) return expected(in, at, "',' or ']'");
        if (*at == ']') break;
        if (*at != ',') return expected(in, at, "',' or ']'");
        at = skip_space(at + 1, end);
    }
    at = skip_space(at + 1, end);
    if (at != end) return expected(in, at, "the end of the text");
    *count = read;
    return OMENDB_OK;
}

omendb_status json_read_floats(const char *text, size_t size, float *out, size_t count_max,
                               size_t *count, omendb_error *err)
{
    TRY(check_size(size, err));
    struct reader in;
    in.begin = in.at = (const uint8_t *)text;
    in.end = in.begin + size;
    in.err = err;
    return read_floats(&in, out, count_max, count);
}
