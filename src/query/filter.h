/* filter.h - Mongo-style filters: JSON text to a tree, and the test of a document against it.
 *
 *     {"year": {"$gte": 2020}, "$or": [{"tag": "red"}, {"tag": null}]}
 *
 *     ALL ─ GREATER_OR_EQUAL year 2020
 *         └ ANY ─ EQUAL tag "red"
 *               └ NULL tag
 *
 *     condition   {"path": value}              as $eq; an object whose keys begin with '$' is a
 *                 {"path": {"$op": x, ...}}    list of operators, all of which must hold
 *     operators   $eq $ne $gt $gte $lt $lte    any value       $in $nin    an array
 *                 $exists                      a boolean       $not        an object of operators
 *     combined    $and $or $nor                a non-empty array of filters
 *                 $not                         a filter
 *
 * What holds
 *   1. A path reaches values as path.h says. A condition holds if it holds for one of them, an array
 *      itself or one of its items: {"a": 5} finds {"a": [1, 5]}. Two operators of one condition may
 *      be met by two different items.
 *   2. $ne, $nin, $not, $nor are complements of $eq, $in, of what they hold and of $or: what lacks
 *      the field is found by them.
 *   3. null as a value of $eq or $in finds null and what is missing: no member of that name in some
 *      object that the path leads to, or a scalar where an object would have to be. Items of an array
 *      that are no objects don't count as lacking members, nor does an index past its end.
 *   4. Order compares within one bracket of value_bracket() only: numbers by value whatever their
 *      type, strings and byte strings bytewise, false before true, arrays item by item. $gte and
 *      $lte null find what null finds; $gt and $lt null nothing.
 *   5. Equal arrays have equal items in the same order, equal objects the same members in any.
 *
 * Errors: ARGUMENT that names the position ("filter: at $or[1].tag: ...") and the operator.
 * Limits: those of json.h (16 MiB, 64 levels); a path has at most 64 segments.
 * Memory: the binary form of the text, and an arena for the tree: at most about 150 bytes for each
 * 10 bytes of text. Both are kept when the filter is compiled again.
 * Threads: immutable once compiled.
 */
#ifndef QUERY_FILTER_H
#define QUERY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/status.h"
#include "doc/document.h"
#include "doc/path.h"

enum filter_kind {
    FILTER_ALL,  /* Every child holds; none: always. */
    FILTER_ANY,  /* Some child holds. */
    FILTER_NONE, /* No child holds. */
    FILTER_EQUAL,
    FILTER_NULL, /* Null or missing. */
    FILTER_IN,
    FILTER_GREATER,
    FILTER_GREATER_OR_EQUAL,
    FILTER_LESS,
    FILTER_LESS_OR_EQUAL,
    FILTER_EXISTS,
    FILTER_NEVER
};

struct filter_node {
    enum filter_kind kind;
    bool has_null;                   /* IN: null is among the values. */
    uint32_t values_count;           /* IN */
    const struct path *path;         /* Conditions; its text lies in the filter's document. */
    struct value value;              /* EQUAL and the four orders. */
    const struct value *values;      /* IN: [values_count], ascending, no two equal. */
    const struct filter_node *first; /* ALL, ANY, NONE: children. */
    const struct filter_node *next;  /* Sibling. */
};

struct filter {
    struct buffer document; /* The binary form of the text; values and paths point into it. */
    struct arena arena;     /* Nodes, paths, value lists. */
    const struct filter_node *root; /* NULL: nothing compiled, matches everything. */
};

/* In place; takes no memory yet, and matches everything. */
void filter_init(struct filter *filter);
void filter_deinit(struct filter *filter);

/* Compiles `text`, in place of what was compiled before. After an error the filter matches
 * everything. ARGUMENT (text, operators, limits), NOMEM. Cost: O(size), lists of $in sorted. */
omendb_status filter_compile(struct filter *filter, const char *text, size_t size,
                             omendb_error *err);

/* True if every document matches, whatever it holds: no need to read any. */
bool filter_is_everything(const struct filter *filter);

/* Does the valid binary document match? Takes no memory. */
bool filter_matches(const struct filter *filter, const uint8_t *document, size_t size);

#endif /* QUERY_FILTER_H */
