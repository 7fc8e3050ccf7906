/* member.h - the members of a JSON object or array, as pieces of its text.
 *
 * The command takes ids and vectors out of rows and hands the rest to the library byte for byte:
 * numbers of any size keep their digits. So it needs positions, not a tree. A cursor walks one
 * level; nested values are skipped by their brackets and strings. It accepts a superset of JSON
 * inside values (the library judges them strictly); what it hands out never leaves the text.
 *
 *     { "id" : 7 , "v" : [1, 2] }
 *       ^^^^   ^ value
 *       key (with its quotes)
 *
 * Errors: VALUE, with the byte column where the text stops being JSON.
 */
#ifndef CLI_MEMBER_H
#define CLI_MEMBER_H

#include "text.h"

struct span {
    const char *data;
    size_t size;
};

struct member {
    struct span key;   /* With quotes; empty in an array. */
    struct span value; /* Without white space around it. */
};

struct member_cursor {
    const char *begin;
    const char *position;
    const char *end;
    char close; /* '}' or ']' */
    bool first;
};

/* `text` must hold one object or array (`open` is '{' or '[') and white space. */
omendb_status member_begin(struct member_cursor *cursor, struct span text, char open,
                           omendb_error *err);
/* *more is false behind the last member; then the rest of the text was checked to be blank. */
omendb_status member_next(struct member_cursor *cursor, struct member *out, bool *more,
                          omendb_error *err);

/* Whether a quoted JSON string means `name`. */
bool member_is(struct span quoted, const char *name);
/* Appends the meaning of a quoted JSON string. VALUE: not a valid JSON string. */
omendb_status member_decode(struct span quoted, struct text *out, omendb_error *err);

/* Bytes of the JSON number that `text` begins with; 0 when it begins with none. */
size_t member_number_size(struct span text);

/* The value of `name` in an object the library wrote; empty when it isn't there. */
struct span member_find(struct span object, const char *name);

struct span span_of(const char *string);
bool span_is(struct span span, const char *string);

#endif /* CLI_MEMBER_H */
