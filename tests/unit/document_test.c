/* Tests of doc/document.h and doc/build.h against a naive tree, and of bytes that lie. Order: value_test.c. */
#include "test.h"

#include <math.h>
#include <stdint.h>

#include "base/alloc.h"
#include "doc/build.h"
#include "doc/document.h"
#include "doc/json.h"

static uint64_t random_state = 0x2545f4914f6cdd1du;
static uint64_t random_u64(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1du;
}

static uint32_t random_below(uint32_t bound)
{
    return (uint32_t)((random_u64() >> 32) * bound >> 32);
}

/* ---- The model: a tree of nodes that own their texts ----------------------------------- */

struct node {
    enum value_kind kind;
    int64_t int64;
    uint64_t uint64;
    double float64;
    char *text; /* String, bytes, decimal. */
    uint32_t size;
    uint32_t count;
    struct node *items; /* [count] */
    char **keys;        /* [count] of an object */
    uint32_t *key_sizes;
};

static void node_end(struct node *node)
{
    for (uint32_t i = 0; i < node->count; i++) {
        node_end(&node->items[i]);
        if (node->kind == VALUE_OBJECT) free(node->keys[i]);
    }
    free(node->items);
    free(node->keys);
    free(node->key_sizes);
    free(node->text);
}

static void *taken(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    CHECK(memory != NULL);
    return memory;
}

static char *random_text(uint32_t size_max, uint32_t *size)
{
    static const char *const parts[] = {
        "a", "b", "\"", "\\", "\n", "\x01", "\xc3\xa9", "/", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "0", " ", "$",  "."};
    char *text = taken(size_max + 4, 1);
    const uint32_t wanted = random_below(size_max + 1);
    *size = 0;
    while (*size < wanted) {
        const char *part = parts[random_below(sizeof parts / sizeof *parts)];
        memcpy(text + *size, part, strlen(part));
        *size += (uint32_t)strlen(part);
    }
    return text;
}

static struct node random_node(unsigned depth, uint32_t items_max)
{
    struct node node = {.kind = (enum value_kind)random_below(depth > 4 ? 9 : 11)};
    if (depth == 0) node.kind = VALUE_OBJECT;
    switch (node.kind) {
    case VALUE_INT:
        node.int64 = (int64_t)(random_u64() >> random_below(64));
        break;
    case VALUE_UINT:
        node.uint64 = random_u64() | (uint64_t)1 << 63;
        break;
    case VALUE_FLOAT:
        node.float64 = random_below(2) != 0 ? (double)random_below(1000) / 8
                                            : ldexp((double)random_u64(), -(int)random_below(1000));
        if (random_below(4) == 0) node.float64 = -node.float64;
        break;
    case VALUE_DECIMAL:
        node.text = taken(64, 1);
        node.size = (uint32_t)snprintf(node.text, 64, "%s1%020llu%u",
                                       random_below(2) != 0 ? "-" : "",
                                       (unsigned long long)random_u64(), random_below(1000));
        break;
    case VALUE_STRING:
        node.text = random_text(random_below(8) == 0 ? 400 : 20, &node.size);
        break;
    case VALUE_BYTES:
        node.size = random_below(40);
        node.text = taken(node.size, 1);
        for (uint32_t i = 0; i < node.size; i++) node.text[i] = (char)random_u64();
        break;
    case VALUE_ARRAY:
    case VALUE_OBJECT: {
        const uint32_t count = random_below(items_max + 1);
        node.items = taken(count, sizeof *node.items);
        node.keys = taken(count, sizeof *node.keys);
        node.key_sizes = taken(count, sizeof *node.key_sizes);
        for (uint32_t i = 0; i < count; i++) {
            node.items[i] = random_node(depth + 1, items_max > 50 ? 6 : items_max / 2);
            if (node.kind == VALUE_OBJECT) { /* Unique by the number at its end. */
                node.keys[i] = random_text(random_below(20) == 0 ? 300 : 10, &node.key_sizes[i]);
                node.keys[i] = realloc(node.keys[i], node.key_sizes[i] + 16);
                node.key_sizes[i] += (uint32_t)snprintf(node.keys[i] + node.key_sizes[i], 16, "%u",
                                                        i);
            }
            node.count++;
        }
        /* A number at the end is unique only behind what doesn't end in a digit. */
        for (uint32_t i = 0; node.kind == VALUE_OBJECT && i < node.count; i++) {
            for (uint32_t j = 0; j < i; j++) {
                if (node.key_sizes[i] == node.key_sizes[j] &&
                    memcmp(node.keys[i], node.keys[j], node.key_sizes[i]) == 0)
                    node.keys[i][node.key_sizes[i]++] = '#', j = UINT32_MAX;
            }
        }
        break;
    }
    case VALUE_NULL:
    case VALUE_FALSE:
    case VALUE_TRUE:
        break;
    }
    return node;
}

static void build_node(struct build *build, const struct node *node)
{
    omendb_status status = OMENDB_OK;
    switch (node->kind) {
    case VALUE_NULL:
        status = build_null(build, NULL);
        break;
    case VALUE_FALSE:
        status = build_bool(build, false, NULL);
        break;
    case VALUE_TRUE:
        status = build_bool(build, true, NULL);
        break;
    case VALUE_INT:
        status = build_int(build, node->int64, NULL);
        break;
    case VALUE_UINT:
        status = build_uint(build, node->uint64, NULL);
        break;
    case VALUE_FLOAT:
        status = build_float(build, node->float64, NULL);
        break;
    case VALUE_DECIMAL:
        status = build_decimal(build, node->text, node->size, NULL);
        break;
    case VALUE_STRING:
        status = build_string(build, node->text, node->size, NULL);
        break;
    case VALUE_BYTES:
        status = build_bytes(build, node->text, node->size, NULL);
        break;
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        CHECK(build_begin(build, node->kind, NULL) == OMENDB_OK);
        for (uint32_t i = 0; i < node->count; i++) {
            if (node->kind == VALUE_OBJECT)
                CHECK(build_key(build, node->keys[i], node->key_sizes[i], NULL) == OMENDB_OK);
            build_node(build, &node->items[i]);
        }
        status = build_end(build, NULL);
        break;
    }
    CHECK(status == OMENDB_OK);
}

static struct buffer document_of(const struct node *root)
{
    struct buffer out = {0};
    struct build build;
    build_init(&build, &out);
    build_node(&build, root);
    build_deinit(&build);
    return out;
}

static void check_same(const struct node *node, const struct value *value)
{
    CHECK(node->kind == value->kind);
    switch (node->kind) {
    case VALUE_INT:
        CHECK(node->int64 == value->int64);
        break;
    case VALUE_UINT:
        CHECK(node->uint64 == value->uint64);
        break;
    case VALUE_FLOAT:
        CHECK(node->float64 == value->float64);
        CHECK(signbit(node->float64) == signbit(value->float64));
        break;
    case VALUE_DECIMAL:
    case VALUE_STRING:
    case VALUE_BYTES:
        CHECK(node->size == value->size && memcmp(node->text, value->bytes, node->size) == 0);
        break;
    case VALUE_ARRAY:
    case VALUE_OBJECT: {
        struct value_iterator iterator;
        struct value item;
        struct value again;
        const char *key;
        size_t key_size;
        CHECK(node->count == value->count);
        value_iterate(value, &iterator);
        for (uint32_t i = 0; i < node->count; i++) {
            CHECK(value_next(&iterator, &key, &key_size, &item));
            check_same(&node->items[i], &item);
            if (node->kind == VALUE_OBJECT) {
                CHECK(key_size == node->key_sizes[i] && memcmp(key, node->keys[i], key_size) == 0);
                CHECK(value_member(value, node->keys[i], node->key_sizes[i], &again));
                CHECK(!value_item(value, i, &again));
            } else {
                CHECK(value_item(value, i, &again) && key == NULL && key_size == 0);
            }
            CHECK(memcmp(&again, &item, sizeof item) == 0 || value_equal(&again, &item));
        }
        CHECK(!value_next(&iterator, &key, &key_size, &item));
        CHECK(!value_item(value, node->count, &item));
        CHECK(!value_member(value, "no such key", 11, &item));
        CHECK(!value_member(value, "", 0, &item));
        break;
    }
    case VALUE_NULL:
    case VALUE_FALSE:
    case VALUE_TRUE:
        break;
    }
}

static void holds_what_a_naive_tree_holds(void)
{
    for (int i = 0; i < 1500; i++) {
        struct node tree = random_node(0, 1 + random_below(i % 50 == 0 ? 600 : 24));
        struct buffer document = document_of(&tree);
        struct buffer text = {0};
        struct buffer again = {0};
        struct value root;
        omendb_error err;
        CHECK(document_validate(document.data, document.size, &err) == OMENDB_OK);
        document_root(document.data, document.size, &root);
        check_same(&tree, &root);
        /* Through JSON every byte comes back. */
        CHECK(document_to_json(document.data, document.size, &text, &err) == OMENDB_OK);
        const omendb_status read = json_to_document((const char *)text.data, text.size, &again,
                                                    &err);
        if (read != OMENDB_OK) fprintf(stderr, "%s\n", err.message);
        CHECK(read == OMENDB_OK);
        CHECK(again.size == document.size && memcmp(again.data, document.data, again.size) == 0);
        node_end(&tree);
        buffer_deinit(&document);
        buffer_deinit(&text);
        buffer_deinit(&again);
    }
}

/* Around every change of width, in bytes and in members. */
static void widths_change_at_their_bounds(void)
{
    static const uint32_t sizes[] = {0,     62,    63,    64,    240,   245,   250,
                                     254,   255,   256,   257,   65500, 65515, 65520,
                                     65525, 65530, 65534, 65535, 65536, 65540, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (uint32_t wanted = sizes[i]; wanted < sizes[i] + 9; wanted++) {
            char *text = taken(wanted, 1);
            struct buffer out = {0};
            struct build build;
            struct value root;
            struct value value;
            memset(text, 'x', wanted);
            build_init(&build, &out);
            CHECK(build_begin(&build, VALUE_OBJECT, NULL) == OMENDB_OK);
            CHECK(build_key(&build, "s", 1, NULL) == OMENDB_OK);
            CHECK(build_string(&build, text, wanted, NULL) == OMENDB_OK);
            CHECK(build_key(&build, text, wanted, NULL) == OMENDB_OK);
            CHECK(build_begin(&build, VALUE_ARRAY, NULL) == OMENDB_OK);
            CHECK(build_bytes(&build, text, wanted, NULL) == OMENDB_OK);
            CHECK(build_null(&build, NULL) == OMENDB_OK);
            CHECK(build_end(&build, NULL) == OMENDB_OK);
            CHECK(build_end(&build, NULL) == OMENDB_OK);
            build_deinit(&build);
            CHECK(document_validate(out.data, out.size, NULL) == OMENDB_OK);
            document_root(out.data, out.size, &root);
            CHECK(value_member(&root, "s", 1, &value) && value.size == wanted);
            CHECK(value_member(&root, text, wanted, &value) && value.count == 2);
            CHECK(value_item(&value, 0, &value) && value.size == wanted);
            buffer_deinit(&out);
            free(text);
        }
    }
    for (uint32_t count = 0; count < 70000; count = count < 40 ? count + 1 : count * 3) {
        struct buffer out = {0};
        struct build build;
        struct value root;
        struct value value;
        char key[16];
        build_init(&build, &out);
        CHECK(build_begin(&build, VALUE_OBJECT, NULL) == OMENDB_OK);
        for (uint32_t i = 0; i < count; i++) { /* 7919: a prime, so keys come in no order. */
            const int size = snprintf(key, sizeof key, "%u", i * 7919 % 1000003);
            CHECK(build_key(&build, key, (size_t)size, NULL) == OMENDB_OK);
            CHECK(build_int(&build, i, NULL) == OMENDB_OK);
        }
        CHECK(build_end(&build, NULL) == OMENDB_OK);
        build_deinit(&build);
        CHECK(document_validate(out.data, out.size, NULL) == OMENDB_OK);
        document_root(out.data, out.size, &root);
        for (uint32_t i = 0; i < count; i++) {
            const int size = snprintf(key, sizeof key, "%u", i * 7919 % 1000003);
            CHECK(value_member(&root, key, (size_t)size, &value) && value.int64 == i);
        }
        CHECK(!value_member(&root, "-1", 2, &value) && !value_member(&root, "x", 1, &value));
        buffer_deinit(&out);
    }
}

static void integers_and_floats_take_the_narrowest_form(void)
{
    static const struct {
        const char *text;
        size_t size; /* Of the value; {"":v} adds 3 + 1 + 1. */
    } rows[] = {{"0", 1},
                {"63", 1},
                {"64", 2},
                {"-1", 2},
                {"-128", 2},
                {"128", 3},
                {"-32768", 3},
                {"32768", 5},
                {"-2147483648", 5},
                {"2147483648", 9},
                {"18446744073709551615", 9},
                {"0.0", 5},
                {"0.5", 5},
                {"0.1", 9},
                {"1e-40", 9},
                {"1e300", 9},
                {"\"\"", 1},
                {"\"a\"", 2},
                {"null", 1},
                {"[]", 4},
                {"{}", 3},
                {"[1,2,3]", 7},
                {"[\"ab\",\"cd\"]", 10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        struct buffer out = {0};
        const int size = snprintf(text, sizeof text, "{\"\":%s}", rows[i].text);
        CHECK(json_to_document(text, (size_t)size, &out, NULL) == OMENDB_OK);
        CHECK(out.size == rows[i].size + 5);
        buffer_deinit(&out);
    }
}

static void a_row_takes_no_more_bytes_than_its_text(void)
{
    static const char *const rows[] = {
        "{\"section\":\"games\",\"arch\":\"all\",\"installed_kb\":3218736,\"summary\":\"Real-time "
        "strategy game of ancient warfare (data files)\"}",
        "{\"section\":\"net\",\"arch\":\"all\",\"installed_kb\":42,\"summary\":\"389 Directory "
        "Server suite - metapackage\"}",
        "{\"year\":1999,\"ok\":true,\"tags\":[\"red\",\"fox\"],\"title\":\"The quick brown fox\"}",
        "{\"a\":{\"b\":{\"c\":{\"d\":\"deep\"}}},\"body\":\"text text text text text text text\"}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer out = {0};
        CHECK(json_to_document(rows[i], strlen(rows[i]), &out, NULL) == OMENDB_OK);
        CHECK(out.size <= strlen(rows[i]));
        buffer_deinit(&out);
    }
}

/* ---- Hostile bytes --------------------------------------------------------------------- */

/* Touches every byte that the accessors can reach. */
static uint64_t walk(const struct value *value)
{
    uint64_t sum = (uint64_t)value->kind;
    double number = 0;
    struct value_iterator iterator;
    struct value item;
    struct value again;
    const char *key;
    size_t key_size;
    if (value_as_float(value, &number)) sum += number > 0;
    if (value->kind == VALUE_STRING || value->kind == VALUE_BYTES || value->kind == VALUE_DECIMAL) {
        for (uint32_t i = 0; i < value->size; i++) sum += value->bytes[i];
    }
    value_iterate(value, &iterator);
    for (uint32_t i = 0; value_next(&iterator, &key, &key_size, &item); i++) {
        for (size_t k = 0; k < key_size; k++) sum += (uint8_t)key[k];
        if (value->kind == VALUE_OBJECT) CHECK(value_member(value, key, key_size, &again));
        else CHECK(value_item(value, i, &again));
        CHECK(value_equal(&item, &again));
        sum += walk(&item);
    }
    (void)value_member(value, "key0", 4, &again);
    CHECK(value_compare(value, value) == 0);
    return sum;
}

/* Valid bytes must be safe and come back from JSON; others must be CORRUPT. */
static bool check_bytes(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1);
    omendb_error err;
    CHECK(copy != NULL);
    if (size != 0) memcpy(copy, bytes, size);
    const omendb_status status = document_validate(copy, size, &err);
    if (status == OMENDB_OK) {
        struct buffer text = {0};
        struct buffer again = {0};
        struct value root;
        struct value other;
        document_root(copy, size, &root);
        (void)walk(&root);
        CHECK(document_to_json(copy, size, &text, &err) == OMENDB_OK);
        const omendb_status read = json_to_document((const char *)text.data, text.size, &again,
                                                    &err);
        /* Bytes at the deepest level become an object one level deeper. */
        CHECK(read == OMENDB_OK || read == OMENDB_ERR_ARGUMENT);
        if (read == OMENDB_OK) {
            CHECK(document_validate(again.data, again.size, &err) == OMENDB_OK);
            document_root(again.data, again.size, &other);
            CHECK(value_compare(&root, &other) == 0 ||
                  memmem(text.data, text.size, "$binary", 7) != NULL);
        }
        buffer_deinit(&text);
        buffer_deinit(&again);
    } else {
        CHECK(status == OMENDB_ERR_CORRUPT && strncmp(err.message, "document: ", 10) == 0);
    }
    free(copy);
    return status == OMENDB_OK;
}

static void mutated_documents_are_corrupt_or_harmless(void)
{
    unsigned valid = 0;
    unsigned corrupt = 0;
    for (int i = 0; i < 400; i++) {
        struct node tree = random_node(0, 1 + random_below(i % 5 == 0 ? 40 : 8));
        struct buffer document = document_of(&tree);
        for (int k = 0; k < 150; k++) {
            uint8_t bytes[4096];
            size_t size = document.size < sizeof bytes - 16 ? document.size : 0;
            if (size == 0) break;
            memcpy(bytes, document.data, size);
            const uint32_t mutations = 1 + random_below(3);
            for (uint32_t m = 0; m < mutations && size != 0; m++) {
                const uint32_t at = random_below((uint32_t)size);
                switch (random_below(6)) {
                case 0:
                    bytes[at] = (uint8_t)random_u64();
                    break;
                case 1:
                    bytes[at] ^= (uint8_t)(1u << random_below(8));
                    break;
                case 2:
                    bytes[at] = (uint8_t)(bytes[at] + 1 - 2 * random_below(2));
                    break;
                case 3:
                    size = random_below(4) == 0 ? at : size;
                    break;
                case 4:
                    bytes[at] = (uint8_t)(random_below(2) * 255);
                    break;
                default: {
                    const uint32_t from = random_below((uint32_t)size);
                    const size_t most = size - (at > from ? at : from);
                    memmove(bytes + at, bytes + from, most < 8 ? most : 8);
                }
                }
            }
            if (check_bytes(bytes, size)) valid++;
            else corrupt++;
        }
        node_end(&tree);
        buffer_deinit(&document);
    }
    CHECK(valid > 1000 && corrupt > 1000); /* Both sides were seen. */
}

static void random_bytes_are_corrupt_or_harmless(void)
{
    for (int i = 0; i < 300000; i++) {
        static const uint8_t tags[] = {0x20, 0x21, 0x1c, 0x1d, 0x40, 0x81, 0x00, 0x03, 0x10, 0x18};
        uint8_t bytes[32];
        const size_t size = random_below(sizeof bytes);
        for (size_t k = 0; k < size; k++)
            bytes[k] = random_below(2) != 0 ? tags[random_below(sizeof tags)]
                                            : (uint8_t)random_below(32);
        if (size > 2) {
            bytes[0] = 0x20;
            bytes[1] = (uint8_t)size;
        }
        (void)check_bytes(bytes, size);
    }
}

static void every_prefix_and_every_extension_is_corrupt(void)
{
    for (int i = 0; i < 60; i++) {
        struct node tree = random_node(0, 20);
        struct buffer document = document_of(&tree);
        const size_t size = document.size;
        const size_t step = 1 + size / 400;
        for (size_t cut = 0; cut < size; cut += step) CHECK(!check_bytes(document.data, cut));
        CHECK(buffer_append_zeros(&document, 1, NULL) == OMENDB_OK);
        CHECK(!check_bytes(document.data, size + 1));
        node_end(&tree);
        buffer_deinit(&document);
    }
}

/* Documents that break one rule each. */
static void each_invariant_is_checked(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool is_valid;
    } rows[] = {
#define B(text) text, sizeof(text) - 1
        {B("\x20\x03\x00"), true},
        {B("\x1c\x04\x00\x00"), false},         /* Root is an array. */
        {B("\x20\x06\x01\x04\x00\x00"), true},  /* {"":null} */
        {B("\x20\x06\x01\x05\x00\x00"), false}, /* Offset. */
        {B("\x20\x06\x00\x04\x00\x00"), false}, /* Count below. */
        {B("\x20\x06\x02\x04\x00\x00"), false}, /* Count above. */
        {B("\x20\x06\xff\x04\x00\x00"), false}, /* Count far above. */
        {B("\x20\x06\x01\x04\x00\x0a"), false}, /* Reserved tags. */
        {B("\x20\x06\x01\x04\x00\x13"), false},
        {B("\x20\x06\x01\x04\x00\x23"), false},
        {B("\x20\x06\x01\x04\x00\x3f"), false},
        {B("\x20\x06\x01\x04\x00\xc0"), false},
        {B("\x20\x06\x01\x04\x00\xff"), false},
        {B("\x20\x07\x01\x04\x01\xff\x00"), false},            /* Key isn't UTF-8. */
        {B("\x20\x07\x01\x04\x00\x81\xff"), false},            /* String isn't. */
        {B("\x20\x08\x01\x04\x00\x14\x01\xff"), true},         /* Bytes needn't be. */
        {B("\x20\x0a\x02\x05\x07\x00\x00\x01\x61\x00"), true}, /* {"":null,"a":null} */
        {B("\x20\x09\x02\x05\x07\x00\x00\x00\x00"), false},    /* "" twice. */
        {B("\x20\x0e\x01\x04\x00\x07\xff\xff\xff\xff\xff\xff\xff\x7f"), false}, /* Not above. */
        {B("\x20\x0e\x01\x04\x00\x07\x00\x00\x00\x00\x00\x00\x00\x80"), true},
        {B("\x20\x0a\x01\x04\x00\x08\x00\x00\x80\x7f"), false}, /* Infinity. */
        {B("\x20\x0a\x01\x04\x00\x08\x00\x00\xc0\xff"), false}, /* NaN. */
        {B("\x20\x0a\x01\x04\x00\x08\xff\xff\x7f\x7f"), true},
        {B("\x20\x0e\x01\x04\x00\x09\x00\x00\x00\x00\x00\x00\xf0\x7f"), false},
        {B("\x20\x0a\x01\x04\x00\x18\x03"
           "123"),
         false}, /* In 64 bits. */
        {B("\x20\x1b\x01\x04\x00\x18\x14"
           "18446744073709551615"),
         false},
        {B("\x20\x1b\x01\x04\x00\x18\x14"
           "18446744073709551616"),
         true},
        {B("\x20\x1b\x01\x04\x00\x18\x14"
           "-9223372036854775808"),
         false},
        {B("\x20\x1b\x01\x04\x00\x18\x14"
           "-9223372036854775809"),
         true},
        {B("\x20\x1c\x01\x04\x00\x18\x15"
           "018446744073709551616"),
         false},
        {B("\x20\x1b\x01\x04\x00\x18\x14"
           "1844674407370955161x"),
         false},
        {B("\x20\x07\x01\x04\x00\x18\x00"), false},
        {B("\x20\x0b\x01\x04\x00\x1c\x06\x02\x01\x40\x41"), true},         /* [0,1], stride 1. */
        {B("\x20\x0b\x01\x04\x00\x1c\x06\x02\x02\x40\x41"), false},        /* Stride 2. */
        {B("\x20\x0b\x01\x04\x00\x1c\x06\x01\x01\x40\x41"), false},        /* An item too many. */
        {B("\x20\x0d\x01\x04\x00\x1c\x08\x02\x00\x06\x07\x40\x41"), true}, /* With offsets. */
        {B("\x20\x0d\x01\x04\x00\x1c\x08\x02\x00\x06\x06\x40\x41"), false},
        {B("\x20\x0d\x01\x04\x00\x1c\x09\x02\x00\x06\x07\x40\x41"), false}, /* Over its end. */
        {B("\x20\x0a\x01\x04\xff\x00\x00\x00\x00\x00"), true},              /* A long form of "". */
        {B("\x20\x0a\x01\x04\xff\xff\xff\xff\xff\x00"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const bool valid = check_bytes((const uint8_t *)rows[i].bytes, rows[i].size);
        if (valid != rows[i].is_valid) fprintf(stderr, "row %zu\n", i);
        CHECK(valid == rows[i].is_valid);
    }
}

static void order_tables_are_checked(void)
{
    struct buffer out = {0};
    struct build build;
    build_init(&build, &out);
    CHECK(build_begin(&build, VALUE_OBJECT, NULL) == OMENDB_OK);
    for (int i = 0; i < 17; i++) {
        const char key = (char)('a' + i * 5 % 17);
        CHECK(build_key(&build, &key, 1, NULL) == OMENDB_OK);
        CHECK(build_null(&build, NULL) == OMENDB_OK);
    }
    CHECK(build_end(&build, NULL) == OMENDB_OK);
    build_deinit(&build);
    CHECK(check_bytes(out.data, out.size));
    for (size_t at = 3 + 17; at < 3 + 34; at++) { /* Every other entry in every place. */
        const uint8_t before = out.data[at];
        for (unsigned entry = 0; entry < 256; entry++) {
            out.data[at] = (uint8_t)entry;
            CHECK(check_bytes(out.data, out.size) == (entry == before));
        }
        out.data[at] = before;
    }
    buffer_deinit(&out);
}

static void nesting_is_bounded(void)
{
    for (unsigned depth = OMENDB_DEPTH_MAX - 1; depth <= OMENDB_DEPTH_MAX + 2; depth++) {
        /* {"":[[[...]]]} by hand, inside out, with 4-byte widths. */
        uint8_t bytes[4096];
        size_t at = sizeof bytes;
        for (unsigned level = depth; level-- > 1;) {
            const uint32_t inner = (uint32_t)(sizeof bytes - at);
            at -= 10;
            const uint32_t size = inner + 10;
            const uint32_t stride = inner <= 255 ? inner : 0;
            if (stride == 0 && inner != 0) {
                at -= 4;
                const uint32_t with_table = size + 4;
                const uint32_t head[] = {with_table, 1};
                bytes[at] = 0x1e;
                memcpy(bytes + at + 1, head, 8);
                bytes[at + 9] = 0;
                memcpy(bytes + at + 10, &(uint32_t){14}, 4);
                continue;
            }
            const uint32_t head[] = {size, inner != 0};
            bytes[at] = 0x1e;
            memcpy(bytes + at + 1, head, 8);
            bytes[at + 9] = (uint8_t)stride;
        }
        const uint32_t inner = (uint32_t)(sizeof bytes - at);
        at -= 14;
        const uint32_t head[] = {inner + 14, 1, 13};
        bytes[at] = 0x22;
        memcpy(bytes + at + 1, head, 12);
        bytes[at + 13] = 0;
        CHECK(check_bytes(bytes + at, sizeof bytes - at) == (depth <= OMENDB_DEPTH_MAX));
    }
}

static void a_copied_value_is_the_same_anywhere(void)
{
    for (int i = 0; i < 200; i++) {
        struct node tree = random_node(0, 30);
        struct buffer document = document_of(&tree);
        struct buffer outer = {0};
        struct build build;
        struct value root;
        struct value copy;
        document_root(document.data, document.size, &root);
        build_init(&build, &outer);
        CHECK(build_begin(&build, VALUE_OBJECT, NULL) == OMENDB_OK);
        CHECK(build_key(&build, "inner", 5, NULL) == OMENDB_OK);
        CHECK(build_value(&build, &root, NULL) == OMENDB_OK);
        CHECK(build_end(&build, NULL) == OMENDB_OK);
        build_deinit(&build);
        CHECK(document_validate(outer.data, outer.size, NULL) == OMENDB_OK);
        document_root(outer.data, outer.size, &root);
        CHECK(value_member(&root, "inner", 5, &copy));
        check_same(&tree, &copy);
        node_end(&tree);
        buffer_deinit(&document);
        buffer_deinit(&outer);
    }
    CHECK(alloc_bytes() == 0);
}

static const struct test tests[] = {
    {"holds_what_a_naive_tree_holds", holds_what_a_naive_tree_holds},
    {"widths_change_at_their_bounds", widths_change_at_their_bounds},
    {"integers_and_floats_take_the_narrowest_form", integers_and_floats_take_the_narrowest_form},
    {"a_row_takes_no_more_bytes_than_its_text", a_row_takes_no_more_bytes_than_its_text},
    {"mutated_documents_are_corrupt_or_harmless", mutated_documents_are_corrupt_or_harmless},
    {"random_bytes_are_corrupt_or_harmless", random_bytes_are_corrupt_or_harmless},
    {"every_prefix_and_every_extension_is_corrupt", every_prefix_and_every_extension_is_corrupt},
    {"each_invariant_is_checked", each_invariant_is_checked},
    {"order_tables_are_checked", order_tables_are_checked},
    {"nesting_is_bounded", nesting_is_bounded},
    {"a_copied_value_is_the_same_anywhere", a_copied_value_is_the_same_anywhere},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    /* A number: the seed, to look elsewhere than every run does. */
    if (argc > 1 && argv[1][0] >= '1' && argv[1][0] <= '9') {
        random_state = strtoull(argv[1], NULL, 10);
        argc = 1;
    }
    return test_main(tests, argc, argv);
}
