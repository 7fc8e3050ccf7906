/* filter_model_test.c - filters against a naive evaluator that shares no code with the engine: its own
 * trees, its own JSON writer, its own path walk. */
#include "doc/json.h"
#include "query/filter.h"
#include "test.h"

enum kind { NUL, BOOL, INT, FLOAT, STRING, ARRAY, OBJECT };

struct tree {
    enum kind kind;
    long long integer; /* BOOL too */
    double real;
    char text[8]; /* STRING */
    int count;
    struct tree *items[8];
    char keys[8][4]; /* OBJECT */
};

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 16) % below);
}

static struct tree *tree_new(enum kind kind)
{
    struct tree *tree = calloc(1, sizeof *tree);
    CHECK(tree != NULL);
    tree->kind = kind;
    return tree;
}

static void tree_free(struct tree *tree)
{
    for (int i = 0; i < tree->count; i++) tree_free(tree->items[i]);
    free(tree);
}

static const char *const key_names[] = {"a", "b", "c", "0", "1"};

static void tree_put(struct tree *object, const char *key, struct tree *value)
{
    for (int i = 0; i < object->count; i++) {
        if (strcmp(object->keys[i], key) == 0) {
            tree_free(value);
            return;
        }
    }
    strcpy(object->keys[object->count], key);
    object->items[object->count++] = value;
}

static struct tree *tree_random(int depth)
{
    static const char *const texts[] = {"", "x", "y", "xy", "\xc3\xa9"};
    static const long long larges[] = {9007199254740992, 9007199254740993, -9007199254740993};
    const uint32_t choice = draw(depth > 0 ? 12 : 8);
    struct tree *tree = NULL;
    if (choice == 0) return tree_new(NUL);
    if (choice == 1) {
        tree = tree_new(BOOL);
        tree->integer = draw(2);
    } else if (choice < 5) {
        tree = tree_new(INT);
        tree->integer = draw(12) == 0 ? larges[draw(3)] : (long long)draw(4) - 1;
    } else if (choice == 5) {
        tree = tree_new(FLOAT);
        tree->real = draw(12) == 0 ? 9007199254740992.0 : ((double)draw(8) - 2.0) / 2.0;
    } else if (choice < 8) {
        tree = tree_new(STRING);
        strcpy(tree->text, texts[draw(5)]);
    } else if (choice < 10) {
        tree = tree_new(ARRAY);
        for (uint32_t n = draw(4); n > 0; n--) tree->items[tree->count++] = tree_random(depth - 1);
    } else {
        tree = tree_new(OBJECT);
        for (uint32_t n = draw(4); n > 0; n--)
            tree_put(tree, key_names[draw(5)], tree_random(depth - 1));
    }
    return tree;
}

static void tree_print(const struct tree *tree, struct buffer *out)
{
    switch (tree->kind) {
    case NUL:
        CHECK(buffer_append_text(out, "null", NULL) == 0);
        break;
    case BOOL:
        CHECK(buffer_append_text(out, tree->integer ? "true" : "false", NULL) == 0);
        break;
    case INT:
        CHECK(buffer_append_format(out, NULL, "%lld", tree->integer) == 0);
        break;
    case FLOAT:
        CHECK(buffer_append_format(out, NULL, "%.1f", tree->real) == 0);
        break;
    case STRING:
        CHECK(buffer_append_format(out, NULL, "\"%s\"", tree->text) == 0);
        break;
    case ARRAY:
    case OBJECT:
        CHECK(buffer_append_text(out, tree->kind == ARRAY ? "[" : "{", NULL) == 0);
        for (int i = 0; i < tree->count; i++) {
            if (i > 0) CHECK(buffer_append_text(out, ",", NULL) == 0);
            if (tree->kind == OBJECT)
                CHECK(buffer_append_format(out, NULL, "\"%s\":", tree->keys[i]) == 0);
            tree_print(tree->items[i], out);
        }
        CHECK(buffer_append_text(out, tree->kind == ARRAY ? "]" : "}", NULL) == 0);
        break;
    }
}

static int bracket(const struct tree *tree)
{
    return tree->kind == FLOAT ? INT : (int)tree->kind;
}

static long double number(const struct tree *tree) /* 64 bits of mantissa hold both exactly. */
{
    return tree->kind == INT ? (long double)tree->integer : (long double)tree->real;
}

/* Least key above `floor` (NULL: least of all), or -1. */
static int next_key(const struct tree *tree, const char *floor)
{
    int best = -1;
    for (int i = 0; i < tree->count; i++) {
        if (floor != NULL && strcmp(tree->keys[i], floor) <= 0) continue;
        if (best < 0 || strcmp(tree->keys[i], tree->keys[best]) < 0) best = i;
    }
    return best;
}

static int tree_compare(const struct tree *a, const struct tree *b)
{
    if (bracket(a) != bracket(b)) return bracket(a) < bracket(b) ? -1 : 1;
    if (a->kind == NUL) return 0;
    if (a->kind == BOOL) return (int)(a->integer - b->integer);
    if (bracket(a) == INT) return number(a) < number(b) ? -1 : number(a) > number(b);
    if (a->kind == STRING) return strcmp(a->text, b->text);
    if (a->kind == ARRAY) {
        for (int i = 0; i < a->count && i < b->count; i++) {
            const int order = tree_compare(a->items[i], b->items[i]);
            if (order != 0) return order;
        }
        return a->count - b->count;
    }
    const char *floor_a = NULL, *floor_b = NULL;
    for (;;) {
        const int i = next_key(a, floor_a), j = next_key(b, floor_b);
        if (i < 0 || j < 0) return (i >= 0) - (j >= 0);
        int order = strcmp(a->keys[i], b->keys[j]);
        if (order == 0) order = tree_compare(a->items[i], b->items[j]);
        if (order != 0) return order;
        floor_a = a->keys[i];
        floor_b = b->keys[j];
    }
}

/* A filter as a tree of its own. */
enum operation { AND, OR, NOR, EQ, NE, GT, GTE, LT, LTE, IN, NIN, EXISTS, NOT };

struct wish {
    enum operation op;
    char path[3][4];
    int path_count;
    int count;
    struct wish *inner[4];
    struct tree *operand; /* IN, NIN: an ARRAY; EXISTS: a BOOL */
};

static void wish_free(struct wish *wish)
{
    for (int i = 0; i < wish->count; i++) wish_free(wish->inner[i]);
    if (wish->operand != NULL) tree_free(wish->operand);
    free(wish);
}

static struct wish *wish_random(int depth, const struct wish *under /* NOT: its path */)
{
    struct wish *wish = calloc(1, sizeof *wish);
    CHECK(wish != NULL);
    if (under == NULL && depth > 0 && draw(3) == 0) {
        wish->op = (enum operation)draw(3);
        for (uint32_t n = 1 + draw(3); n > 0; n--)
            wish->inner[wish->count++] = wish_random(depth - 1, NULL);
        return wish;
    }
    if (under == NULL) {
        wish->path_count = 1 + (int)draw(3);
        for (int i = 0; i < wish->path_count; i++) strcpy(wish->path[i], key_names[draw(5)]);
    } else {
        memcpy(wish->path, under->path, sizeof wish->path);
        wish->path_count = under->path_count;
    }
    wish->op = (enum operation)(EQ + draw(depth > 0 ? 10 : 9));
    if (wish->op == NOT) {
        wish->inner[wish->count++] = wish_random(0, wish);
    } else if (wish->op == IN || wish->op == NIN) {
        wish->operand = tree_new(ARRAY);
        for (uint32_t n = draw(6); n > 0; n--)
            wish->operand->items[wish->operand->count++] = tree_random(2);
    } else if (wish->op == EXISTS) {
        wish->operand = tree_new(BOOL);
        wish->operand->integer = draw(2);
    } else {
        wish->operand = tree_random(2);
    }
    return wish;
}

static const char *const names[] = {"$and", "$or",  "$nor", "$eq",  "$ne",     "$gt", "$gte",
                                    "$lt",  "$lte", "$in",  "$nin", "$exists", "$not"};

static void wish_print(const struct wish *wish, struct buffer *out);

static void wish_print_operator(const struct wish *wish, struct buffer *out)
{
    CHECK(buffer_append_format(out, NULL, "{\"%s\":", names[wish->op]) == 0);
    if (wish->op == NOT) wish_print_operator(wish->inner[0], out);
    else tree_print(wish->operand, out);
    CHECK(buffer_append_text(out, "}", NULL) == 0);
}

static void wish_print(const struct wish *wish, struct buffer *out)
{
    if (wish->op <= NOR) {
        CHECK(buffer_append_format(out, NULL, "{\"%s\":[", names[wish->op]) == 0);
        for (int i = 0; i < wish->count; i++) {
            if (i > 0) CHECK(buffer_append_text(out, ",", NULL) == 0);
            wish_print(wish->inner[i], out);
        }
        CHECK(buffer_append_text(out, "]}", NULL) == 0);
        return;
    }
    CHECK(buffer_append_text(out, "{\"", NULL) == 0);
    for (int i = 0; i < wish->path_count; i++)
        CHECK(buffer_append_format(out, NULL, "%s%s", i > 0 ? "." : "", wish->path[i]) == 0);
    CHECK(buffer_append_text(out, "\":", NULL) == 0);
    wish_print_operator(wish, out);
    CHECK(buffer_append_text(out, "}", NULL) == 0);
}

/* All values of a path, the items of a reached array among them, and whether something lacked the
 * member on the way. */
struct reached {
    const struct tree *values[512];
    int count;
    bool missing;
};

static void reach(const struct wish *wish, int depth, const struct tree *tree, bool from_index,
                  struct reached *out)
{
    if (depth == wish->path_count) {
        CHECK(out->count + 1 + tree->count <= 512);
        out->values[out->count++] = tree;
        if (tree->kind == ARRAY)
            for (int i = 0; i < tree->count; i++) out->values[out->count++] = tree->items[i];
        return;
    }
    const char *key = wish->path[depth];
    if (tree->kind == OBJECT) {
        for (int i = 0; i < tree->count; i++) {
            if (strcmp(tree->keys[i], key) == 0) {
                reach(wish, depth + 1, tree->items[i], false, out);
                return;
            }
        }
        out->missing = true;
    } else if (tree->kind == ARRAY) {
        if (key[0] >= '0' && key[0] <= '9' && key[0] - '0' < tree->count)
            reach(wish, depth + 1, tree->items[key[0] - '0'], true, out);
        for (int i = 0; i < tree->count; i++)
            if (tree->items[i]->kind == OBJECT) reach(wish, depth, tree->items[i], false, out);
    } else if (!from_index) {
        out->missing = true;
    }
}

static bool any_equal(const struct reached *values, const struct tree *operand)
{
    if (operand->kind == NUL && values->missing) return true;
    for (int i = 0; i < values->count; i++)
        if (tree_compare(values->values[i], operand) == 0) return true;
    return false;
}

static bool wish_holds(const struct wish *wish, const struct tree *root)
{
    int held = 0;
    if (wish->op <= NOR) {
        for (int i = 0; i < wish->count; i++) held += wish_holds(wish->inner[i], root);
        return wish->op == AND ? held == wish->count : (held > 0) == (wish->op == OR);
    }
    if (wish->op == NOT) return !wish_holds(wish->inner[0], root);
    struct reached values = {.count = 0};
    reach(wish, 0, root, false, &values);
    const struct tree *operand = wish->operand;
    if (wish->op == EXISTS) return (values.count > 0) == (operand->integer != 0);
    if (wish->op == EQ || wish->op == NE) return any_equal(&values, operand) == (wish->op == EQ);
    if (wish->op == IN || wish->op == NIN) {
        for (int i = 0; i < operand->count; i++) held += any_equal(&values, operand->items[i]);
        return (held > 0) == (wish->op == IN);
    }
    if (operand->kind == NUL)
        return (wish->op == GTE || wish->op == LTE) && any_equal(&values, operand);
    for (int i = 0; i < values.count; i++) {
        if (bracket(values.values[i]) != bracket(operand)) continue;
        const int order = tree_compare(values.values[i], operand);
        if (wish->op == GT && order > 0) return true;
        if (wish->op == GTE && order >= 0) return true;
        if (wish->op == LT && order < 0) return true;
        if (wish->op == LTE && order <= 0) return true;
    }
    return false;
}

static void agrees_with_the_naive_evaluator(void)
{
    struct filter filter;
    struct buffer filter_text = {0}, json = {0}, document = {0};
    omendb_error err = {0};
    const char *given = getenv("TEST_SEED");
    const uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1;
    uint64_t matched = 0, asked = 0;
    filter_init(&filter);
    for (uint64_t round = first; round < first + 4000; round++) {
        seed = round * UINT64_C(0x9E3779B97F4A7C15);
        struct wish *wish = wish_random(3, NULL);
        buffer_clear(&filter_text);
        wish_print(wish, &filter_text);
        CHECK(buffer_append_zeros(&filter_text, 1, &err) == OMENDB_OK);
        if (filter_compile(&filter, (char *)filter_text.data, filter_text.size - 1, &err) !=
            OMENDB_OK) {
            fprintf(stderr, "TEST_SEED=%llu %s: %s\n", (unsigned long long)round,
                    (char *)filter_text.data, err.message);
            abort();
        }
        for (int i = 0; i < 20; i++) {
            struct tree *root = tree_new(OBJECT);
            for (int n = 0; n < 5; n++) tree_put(root, key_names[draw(5)], tree_random(3));
            buffer_clear(&json);
            buffer_clear(&document);
            tree_print(root, &json);
            CHECK(buffer_append_zeros(&json, 1, &err) == OMENDB_OK);
            CHECK(json_to_document((char *)json.data, json.size - 1, &document, &err) == OMENDB_OK);
            const bool wanted = wish_holds(wish, root);
            if (filter_matches(&filter, document.data, document.size) != wanted) {
                fprintf(stderr, "TEST_SEED=%llu: %s on %s: wanted %d\n", (unsigned long long)round,
                        (char *)filter_text.data, (char *)json.data, wanted);
                abort();
            }
            matched += wanted;
            asked++;
            tree_free(root);
        }
        wish_free(wish);
    }
    CHECK(matched > asked / 5 && matched < asked * 4 / 5); /* The test is about something. */
    filter_deinit(&filter);
    buffer_deinit(&filter_text);
    buffer_deinit(&json);
    buffer_deinit(&document);
}

static void takes_any_mutated_text(void)
{
    static const char *const texts[] = {
        "{\"a\":{\"$in\":[1,2,\"x\",null]},\"$or\":[{\"b.c\":{\"$gt\":1}},{\"d\":{\"$not\":{"
        "\"$lt\":2}}}]}",
        "{\"$nor\":[{\"a.0.b\":{\"$exists\":true}},{\"t\":{\"$binary\":\"AAAA\"}}],\"x\":[1,{}]}"};
    struct filter filter;
    struct buffer document = {0};
    omendb_error err = {0};
    const char *json = "{\"a\":[{\"b\":1},2],\"b\":{\"c\":3},\"d\":null,\"t\":\"x\",\"x\":[1,{}]}";
    CHECK(json_to_document(json, strlen(json), &document, &err) == OMENDB_OK);
    filter_init(&filter);
    for (uint64_t round = 1; round < 20000; round++) {
        char text[160];
        seed = round * UINT64_C(0x9E3779B97F4A7C15);
        const char *from = texts[draw(2)];
        size_t size = strlen(from);
        memcpy(text, from, size);
        for (uint32_t n = 1 + draw(4); n > 0; n--) {
            const uint32_t at = draw((uint32_t)size);
            if (draw(2) == 0) {
                text[at] = "{}[]\",:$.0ax\\\x80"[draw(15)];
            } else {
                memmove(text + at, text + at + 1, size - at - 1);
                size--;
            }
        }
        const omendb_status status = filter_compile(&filter, text, size, &err);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_ARGUMENT);
        if (status == OMENDB_OK) (void)filter_matches(&filter, document.data, document.size);
    }
    filter_deinit(&filter);
    buffer_deinit(&document);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"agrees_with_the_naive_evaluator", agrees_with_the_naive_evaluator},
        {"takes_any_mutated_text", takes_any_mutated_text},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
