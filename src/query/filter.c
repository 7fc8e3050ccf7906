#include "query/filter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc/json.h"

/* Where in the filter we are, for messages: a chain on the stack, innermost first. */
struct position {
    const struct position *outer;
    const char *key; /* NULL: item `index` of an array. */
    size_t key_size;
    uint32_t index;
};

struct compiler {
    struct filter *filter;
    omendb_error *err;
};

/* Children of a node in the order of the text. */
struct children {
    struct filter_node *node;
    struct filter_node *last;
};

void filter_init(struct filter *filter)
{
    filter->document = (struct buffer){0};
    arena_init(&filter->arena, 0);
    filter->root = NULL;
}

void filter_deinit(struct filter *filter)
{
    buffer_deinit(&filter->document);
    arena_deinit(&filter->arena);
    filter->root = NULL;
}

bool filter_is_everything(const struct filter *filter)
{
    return filter->root == NULL ||
           (filter->root->kind == FILTER_ALL && filter->root->first == NULL);
}

/* ---- Messages ---- */

/* Recursion here and below is bounded by the depth of JSON. NOLINTBEGIN(misc-no-recursion) */
static size_t position_print(const struct position *at, char *out, size_t size)
{
    size_t used = 0;
    if (at == NULL) return 0;
    if (at->outer != NULL) used = position_print(at->outer, out, size);
    if (used >= size) return used;
    const int key_shown = at->key_size > 48 ? 48 : (int)at->key_size;
    const int length = at->key == NULL ? snprintf(out + used, size - used, "[%u]", at->index)
                                       : snprintf(out + used, size - used, "%s%.*s",
                                                  used != 0 ? "." : "", key_shown, at->key);
    return length > 0 ? used + (size_t)length : used;
}

static omendb_status refuse(const struct compiler *compiler, const struct position *at,
                            const char *text)
{
    char where[160];
    where[0] = '\0';
    (void)position_print(at, where, sizeof where);
    if (where[0] == '\0') return fail(compiler->err, OMENDB_ERR_ARGUMENT, "filter: %s", text);
    return fail(compiler->err, OMENDB_ERR_ARGUMENT, "filter: at %s: %s", where, text);
}

static omendb_status refuse_operator(const struct compiler *compiler, const struct position *at)
{
    char text[96];
    const int shown = at->key_size > 48 ? 48 : (int)at->key_size;
    if (at->key_size == 7 && memcmp(at->key, "$binary", 7) == 0)
        return refuse(compiler, at, "$binary stands alone and takes padded base64");
    (void)snprintf(text, sizeof text, "unknown operator %.*s", shown, at->key);
    return refuse(compiler, at->outer, text);
}

static omendb_status filter_no_memory(const struct compiler *compiler)
{
    return fail(compiler->err, OMENDB_ERR_NOMEM, "out of memory: filter");
}

/* ---- Tree ---- */

static struct filter_node *node_add(struct compiler *compiler, struct children *to,
                                    enum filter_kind kind, const struct path *path)
{
    struct filter_node *node = arena_alloc(&compiler->filter->arena, sizeof *node,
                                           _Alignof(struct filter_node));
    if (node == NULL) return NULL;
    *node = (struct filter_node){.kind = kind, .path = path};
    if (to != NULL) {
        if (to->last != NULL) to->last->next = node;
        else to->node->first = node;
        to->last = node;
    }
    return node;
}

enum operand { OPERAND_VALUE, OPERAND_LIST, OPERAND_BOOL, OPERAND_OPERATORS };

static const struct operator_row {
    const char *name;
    enum filter_kind kind;
    enum operand operand;
    bool complement;
} operators[] = {
    {"$eq", FILTER_EQUAL, OPERAND_VALUE, false},
    {"$ne", FILTER_EQUAL, OPERAND_VALUE, true},
    {"$gt", FILTER_GREATER, OPERAND_VALUE, false},
    {"$gte", FILTER_GREATER_OR_EQUAL, OPERAND_VALUE, false},
    {"$lt", FILTER_LESS, OPERAND_VALUE, false},
    {"$lte", FILTER_LESS_OR_EQUAL, OPERAND_VALUE, false},
    {"$in", FILTER_IN, OPERAND_LIST, false},
    {"$nin", FILTER_IN, OPERAND_LIST, true},
    {"$exists", FILTER_EXISTS, OPERAND_BOOL, false},
    {"$not", FILTER_ALL, OPERAND_OPERATORS, true},
};

static const struct operator_row *operator_find(const char *key, size_t size)
{
    for (size_t i = 0; i < COUNT_OF(operators); i++) {
        if (strlen(operators[i].name) == size && memcmp(operators[i].name, key, size) == 0)
            return &operators[i];
    }
    return NULL;
}

/* Null has no order: >= and <= mean equal, which includes what is missing. */
static enum filter_kind kind_for_null(enum filter_kind kind)
{
    return kind == FILTER_GREATER || kind == FILTER_LESS ? FILTER_NEVER : FILTER_NULL;
}

static int values_compare(const void *a, const void *b)
{
    return value_compare(a, b);
}

static omendb_status compile_list(struct compiler *compiler, const struct value *list,
                                  struct filter_node *node)
{
    struct value_iterator items;
    struct value item;
    struct value *values = arena_alloc_array(&compiler->filter->arena, list->count, sizeof *values,
                                             _Alignof(struct value));
    if (values == NULL) return filter_no_memory(compiler);
    uint32_t count = 0;
    value_iterate(list, &items);
    while (value_next(&items, NULL, NULL, &item)) {
        if (item.kind == VALUE_NULL) node->has_null = true;
        else values[count++] = item;
    }
    uint32_t kept = 0;
    if (count > 1) qsort(values, count, sizeof *values, values_compare);
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || value_compare(&values[kept - 1], &values[i]) != 0)
            values[kept++] = values[i];
    }
    node->values = values;
    node->values_count = kept;
    return OMENDB_OK;
}

static omendb_status compile_operators(struct compiler *compiler, const struct path *path,
                                       const struct value *object, const struct position *at,
                                       struct children *to);

static omendb_status compile_operator(struct compiler *compiler, const struct path *path,
                                      const struct operator_row *row, const struct value *operand,
                                      const struct position *at, struct children *to)
{
    struct children list = *to;
    bool complement = row->complement;
    if (row->operand == OPERAND_BOOL) {
        if (operand->kind != VALUE_TRUE && operand->kind != VALUE_FALSE)
            return refuse(compiler, at, "$exists takes true or false");
        complement = operand->kind == VALUE_FALSE;
    }
    if (complement) {
        struct filter_node *none = node_add(compiler, to, FILTER_NONE, NULL);
        if (none == NULL) return filter_no_memory(compiler);
        list = (struct children){.node = none};
    }
    struct filter_node *node = node_add(compiler, &list, row->kind, path);
    if (node == NULL) return filter_no_memory(compiler);
    if (!complement) to->last = list.last;
    switch (row->operand) {
    case OPERAND_VALUE:
        node->value = *operand;
        if (operand->kind == VALUE_NULL) node->kind = kind_for_null(row->kind);
        return OMENDB_OK;
    case OPERAND_LIST:
        if (operand->kind == VALUE_ARRAY) return compile_list(compiler, operand, node);
        return refuse(compiler, at, "an array is needed here");
    case OPERAND_BOOL:
        return OMENDB_OK;
    case OPERAND_OPERATORS:
        if (operand->kind == VALUE_OBJECT && operand->count != 0) {
            struct children inner = {.node = node};
            return compile_operators(compiler, path, operand, at, &inner);
        }
        return refuse(compiler, at, "$not takes an object of operators here");
    }
    return OMENDB_OK;
}

/* {"$gte": 1, "$lt": 5}: every key must be an operator. */
static omendb_status compile_operators(struct compiler *compiler, const struct path *path,
                                       const struct value *object, const struct position *at,
                                       struct children *to)
{
    struct value_iterator members;
    struct value operand;
    struct position here = {.outer = at};
    value_iterate(object, &members);
    while (value_next(&members, &here.key, &here.key_size, &operand)) {
        if (here.key_size == 0 || here.key[0] != '$')
            return refuse(compiler, at, "operators and fields can't be mixed in one object");
        const struct operator_row *row = operator_find(here.key, here.key_size);
        if (row == NULL) return refuse_operator(compiler, &here);
        TRY(compile_operator(compiler, path, row, &operand, &here, to));
    }
    return OMENDB_OK;
}

static bool has_operators(const struct value *value)
{
    struct value_iterator members;
    struct value inner;
    const char *key = NULL;
    size_t key_size = 0;
    if (value->kind != VALUE_OBJECT) return false;
    value_iterate(value, &members);
    while (value_next(&members, &key, &key_size, &inner)) {
        if (key_size != 0 && key[0] == '$') return true;
    }
    return false;
}

/* A path with only as many segments as it has: a whole struct path takes a kilobyte, and a filter
 * of a megabyte may hold a hundred thousand. */
static omendb_status compile_path(struct compiler *compiler, const struct position *at,
                                  const struct path **out)
{
    struct path path;
    omendb_error err;
    if (path_parse(at->key, at->key_size, &path, &err) != OMENDB_OK)
        return refuse(compiler, at, err.message);
    const size_t size = offsetof(struct path, segments) + path.count * sizeof path.segments[0];
    void *copy = arena_alloc(&compiler->filter->arena, size, _Alignof(struct path));
    if (copy == NULL) return filter_no_memory(compiler);
    memcpy(copy, &path, size);
    *out = copy;
    return OMENDB_OK;
}

static omendb_status compile_condition(struct compiler *compiler, const struct value *value,
                                       const struct position *at, struct children *to)
{
    const struct path *path = NULL;
    TRY(compile_path(compiler, at, &path));
    if (has_operators(value)) return compile_operators(compiler, path, value, at, to);
    struct filter_node *node = node_add(
        compiler, to, value->kind == VALUE_NULL ? FILTER_NULL : FILTER_EQUAL, path);
    if (node == NULL) return filter_no_memory(compiler);
    node->value = *value;
    return OMENDB_OK;
}

static omendb_status compile_filter(struct compiler *compiler, const struct value *object,
                                    const struct position *at, struct children *to);

static omendb_status compile_combined(struct compiler *compiler, enum filter_kind kind,
                                      const struct value *list, const struct position *at,
                                      struct children *to)
{
    struct value_iterator items;
    struct value item;
    struct position here = {.outer = at};
    if (list->kind != VALUE_ARRAY || list->count == 0)
        return refuse(compiler, at, "a non-empty array of filters is needed here");
    struct filter_node *node = node_add(compiler, to, kind, NULL);
    if (node == NULL) return filter_no_memory(compiler);
    struct children inner = {.node = node};
    value_iterate(list, &items);
    for (; value_next(&items, NULL, NULL, &item); here.index++)
        TRY(compile_filter(compiler, &item, &here, &inner));
    return OMENDB_OK;
}

static omendb_status compile_logical(struct compiler *compiler, const struct value *value,
                                     const struct position *at, struct children *to)
{
    static const struct {
        const char *name;
        enum filter_kind kind;
    } rows[] = {{"$and", FILTER_ALL}, {"$or", FILTER_ANY}, {"$nor", FILTER_NONE}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strlen(rows[i].name) == at->key_size &&
            memcmp(rows[i].name, at->key, at->key_size) == 0)
            return compile_combined(compiler, rows[i].kind, value, at, to);
    }
    const struct operator_row *row = operator_find(at->key, at->key_size);
    if (row == NULL) return refuse_operator(compiler, at);
    if (row->operand != OPERAND_OPERATORS)
        return refuse(compiler, at, "this operator belongs inside a field's object");
    struct filter_node *none = node_add(compiler, to, FILTER_NONE, NULL);
    if (none == NULL) return filter_no_memory(compiler);
    struct children inner = {.node = none};
    return compile_filter(compiler, value, at, &inner);
}

/* Adds one ALL node for the whole object. */
static omendb_status compile_filter(struct compiler *compiler, const struct value *object,
                                    const struct position *at, struct children *to)
{
    struct value_iterator members;
    struct value value;
    struct position here = {.outer = at};
    if (object->kind != VALUE_OBJECT) return refuse(compiler, at, "an object is needed here");
    struct filter_node *node = node_add(compiler, to, FILTER_ALL, NULL);
    if (node == NULL) return filter_no_memory(compiler);
    struct children inner = {.node = node};
    if (to == NULL) compiler->filter->root = node;
    value_iterate(object, &members);
    while (value_next(&members, &here.key, &here.key_size, &value)) {
        if (here.key_size != 0 && here.key[0] == '$')
            TRY(compile_logical(compiler, &value, &here, &inner));
        else TRY(compile_condition(compiler, &value, &here, &inner));
    }
    return OMENDB_OK;
}

/* NOLINTEND(misc-no-recursion) */

omendb_status filter_compile(struct filter *filter, const char *text, size_t size,
                             omendb_error *err)
{
    struct compiler compiler = {.filter = filter, .err = err};
    omendb_error inner = {0};
    struct value root;
    filter->root = NULL;
    buffer_clear(&filter->document);
    arena_reset(&filter->arena);
    omendb_status status = json_to_document(text, size, &filter->document, &inner);
    if (status != OMENDB_OK) {
        /* What is bad JSON in a document is a bad argument here. */
        if (status == OMENDB_ERR_VALUE) status = OMENDB_ERR_ARGUMENT;
        return fail(err, status, "filter: %s", inner.message);
    }
    document_root(filter->document.data, filter->document.size, &root);
    status = compile_filter(&compiler, &root, NULL, NULL);
    if (status != OMENDB_OK) filter->root = NULL;
    return status;
}
