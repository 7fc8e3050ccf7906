/* filter_match.c - the test of one document against a compiled filter.
 *
 * Recursion follows the tree of the filter, which is no deeper than the JSON it came from. A
 * condition's path is resolved anew for each operator: two operators on one path are rare, and a
 * member is found in some 20 ns.
 *
 * NOLINTBEGIN(misc-no-recursion) */
#include <assert.h>

#include "query/filter.h"

struct filter_condition {
    const struct filter_node *node;
    bool holds;
};

static bool list_holds(const struct filter_node *node, const struct value *value)
{
    uint32_t low = 0, high = node->values_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = value_compare(&node->values[middle], value);
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

static bool value_holds(const struct filter_node *node, const struct value *value)
{
    if (node->kind == FILTER_EXISTS) return true;
    if (node->kind == FILTER_IN) return list_holds(node, value);
    if (value_bracket(value) != value_bracket(&node->value)) return false;
    const int order = value_compare(value, &node->value);
    switch (node->kind) {
    case FILTER_EQUAL:
        return order == 0;
    case FILTER_GREATER:
        return order > 0;
    case FILTER_GREATER_OR_EQUAL:
        return order >= 0;
    case FILTER_LESS:
        return order < 0;
    case FILTER_LESS_OR_EQUAL:
        return order <= 0;
    case FILTER_ALL:
    case FILTER_ANY:
    case FILTER_NONE:
    case FILTER_NULL:
    case FILTER_IN:
    case FILTER_EXISTS:
    case FILTER_NEVER:
        break;
    }
    assert(node->kind == FILTER_EQUAL); /* No other kind comes here. */
    return false;
}

static bool visit_value(void *context, const struct value *value, bool is_item)
{
    struct filter_condition *condition = context;
    (void)is_item; /* An array and its items are asked alike. */
    condition->holds = value_holds(condition->node, value);
    return !condition->holds;
}

static bool reached_null(const struct value *value)
{
    struct value_iterator items;
    struct value item;
    if (value->kind == VALUE_NULL) return true;
    if (value->kind != VALUE_ARRAY) return false;
    value_iterate(value, &items);
    while (value_next(&items, NULL, NULL, &item)) {
        if (item.kind == VALUE_NULL) return true;
    }
    return false;
}

/* Does the path reach null, or is it cut off on the way (what holds, 3)? path_resolve() can't tell
 * an object without the member from one that the path doesn't lead to. */
static bool null_or_missing(const struct path *path, uint32_t depth, const struct value *value)
{
    struct value inner;
    if (depth == path->count) return reached_null(value);
    const struct path_segment *segment = &path->segments[depth];
    if (value->kind == VALUE_OBJECT) {
        if (!value_member(value, segment->name_view, segment->size, &inner)) return true;
        return null_or_missing(path, depth + 1, &inner);
    }
    if (value->kind != VALUE_ARRAY) return true;
    if (segment->index != PATH_NO_INDEX && value_item(value, segment->index, &inner)) {
        const bool can_go_on = depth + 1 == path->count || inner.kind == VALUE_OBJECT ||
                               inner.kind == VALUE_ARRAY;
        if (can_go_on && null_or_missing(path, depth + 1, &inner)) return true;
    }
    struct value_iterator items;
    struct value item;
    value_iterate(value, &items);
    while (value_next(&items, NULL, NULL, &item)) {
        if (item.kind == VALUE_OBJECT && null_or_missing(path, depth, &item)) return true;
    }
    return false;
}

static bool node_holds(const struct filter_node *node, const struct value *root)
{
    struct filter_condition condition = {.node = node, .holds = false};
    switch (node->kind) {
    case FILTER_ALL:
        for (const struct filter_node *child = node->first; child != NULL; child = child->next)
            if (!node_holds(child, root)) return false;
        return true;
    case FILTER_ANY:
    case FILTER_NONE:
        for (const struct filter_node *child = node->first; child != NULL; child = child->next)
            if (node_holds(child, root)) return node->kind == FILTER_ANY;
        return node->kind == FILTER_NONE;
    case FILTER_NULL:
        return null_or_missing(node->path, 0, root);
    case FILTER_NEVER:
        return false;
    case FILTER_IN:
        if (node->has_null && null_or_missing(node->path, 0, root)) return true;
        break;
    case FILTER_EQUAL:
    case FILTER_GREATER:
    case FILTER_GREATER_OR_EQUAL:
    case FILTER_LESS:
    case FILTER_LESS_OR_EQUAL:
    case FILTER_EXISTS:
        break;
    }
    (void)path_resolve(node->path, root, visit_value, &condition);
    return condition.holds;
}

bool filter_matches(const struct filter *filter, const uint8_t *document, size_t size)
{
    struct value root;
    if (filter_is_everything(filter)) return true;
    document_root(document, size, &root);
    return node_holds(filter->root, &root);
}
/* NOLINTEND(misc-no-recursion) */
