/* Tests of doc/path.h: what a dotted path reaches, in order. */
#include "test.h"

#include "doc/json.h"
#include "doc/path.h"

struct reached {
    struct buffer text; /* The values' JSON, ' ' before each, '+' before items. */
    unsigned stop_after;
};

static bool note(void *context, const struct value *value, bool is_item)
{
    struct reached *reached = context;
    CHECK(buffer_append_text(&reached->text, is_item ? " +" : " ", NULL) == OMENDB_OK);
    CHECK(json_append_value(&reached->text, value, NULL) == OMENDB_OK);
    return --reached->stop_after != 0;
}

static void paths_reach_every_value_they_name(void)
{
    static const struct {
        const char *document;
        const char *path;
        const char *reached;
    } rows[] = {
        {"{\"a\":1}", "a", " 1"},
        {"{\"a\":1}", "b", ""},
        {"{\"a\":1}", "a.b", ""},
        {"{\"a\":1}", "a.0", ""},
        {"{\"a\":null}", "a", " null"},
        {"{\"a\":{\"b\":{\"c\":2}}}", "a.b.c", " 2"},
        {"{\"a\":{\"b\":{\"c\":2}}}", "a.b", " {\"c\":2}"},
        {"{\"a\":{\"0\":2}}", "a.0", " 2"},
        {"{\"a\":[1,2]}", "a", " [1,2] +1 +2"},
        {"{\"a\":[]}", "a", " []"},
        {"{\"a\":[[1],[2]]}", "a", " [[1],[2]] +[1] +[2]"},
        {"{\"a\":[5,6,7]}", "a.1", " 6"},
        {"{\"a\":[5,6,7]}", "a.3", ""},
        {"{\"a\":[5,6,7]}", "a.01", ""},
        {"{\"a\":[5,6,7]}", "a.-1", ""},
        {"{\"a\":[5,6,7]}", "a.99999999999999999999", ""},
        {"{\"a\":[[1,2],[3]]}", "a.0", " [1,2] +1 +2"},
        {"{\"a\":[[1,2],[3]]}", "a.0.1", " 2"},
        {"{\"a\":[{\"b\":1},{\"c\":9},{\"b\":2},7]}", "a.b", " 1 2"},
        {"{\"a\":[{\"b\":[1,2]},{\"b\":3}]}", "a.b", " [1,2] +1 +2 3"},
        {"{\"a\":[{\"b\":[{\"c\":1},{\"c\":2}]},{\"b\":{\"c\":3}}]}", "a.b.c", " 1 2 3"},
        {"{\"a\":[[{\"b\":1}]]}", "a.b", ""}, /* Not through two arrays at once. */
        {"{\"a\":[[{\"b\":1}]]}", "a.0.b", " 1"},
        {"{\"a\":[{\"0\":8},9]}", "a.0", " {\"0\":8} 8"},
        {"{\"a b\":{\"$c\":1}}", "a b.$c", " 1"},
        {"{\"\xc3\xa9\":1}", "\xc3\xa9", " 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer document = {0};
        struct reached reached = {.stop_after = 100};
        struct path path;
        struct value root;
        struct value first;
        CHECK(json_to_document(rows[i].document, strlen(rows[i].document), &document, NULL) ==
              OMENDB_OK);
        document_root(document.data, document.size, &root);
        CHECK(path_parse(rows[i].path, strlen(rows[i].path), &path, NULL) == OMENDB_OK);
        CHECK(path_resolve(&path, &root, note, &reached));
        const size_t size = strlen(rows[i].reached);
        if (reached.text.size != size ||
            (size != 0 && memcmp(reached.text.data, rows[i].reached, size) != 0))
            fprintf(stderr, "%s in %s:%.*s\n", rows[i].path, rows[i].document,
                    (int)reached.text.size, (const char *)reached.text.data);
        CHECK(reached.text.size == size);
        CHECK(size == 0 || memcmp(reached.text.data, rows[i].reached, size) == 0);
        CHECK(path_first(&path, &root, &first) == (size != 0));
        buffer_deinit(&document);
        buffer_deinit(&reached.text);
    }
}

static void a_visitor_ends_the_search(void)
{
    static const char text[] = "{\"a\":[{\"b\":[1,2]},{\"b\":3}]}";
    static const char *const want[] = {"", " [1,2]", " [1,2] +1", " [1,2] +1 +2"};
    struct buffer document = {0};
    struct path path;
    struct value root;
    CHECK(json_to_document(text, sizeof text - 1, &document, NULL) == OMENDB_OK);
    document_root(document.data, document.size, &root);
    CHECK(path_parse("a.b", 3, &path, NULL) == OMENDB_OK);
    for (unsigned stop = 1; stop <= 3; stop++) {
        struct reached reached = {.stop_after = stop};
        CHECK(!path_resolve(&path, &root, note, &reached));
        CHECK(reached.text.size == strlen(want[stop]));
        CHECK(memcmp(reached.text.data, want[stop], reached.text.size) == 0);
        buffer_deinit(&reached.text);
    }
    buffer_deinit(&document);
}

static void bad_paths_are_refused(void)
{
    static const char *const rows[] = {"", ".", "a.", ".a", "a..b", "..", "a.b."};
    char deep[2 * OMENDB_DEPTH_MAX + 2];
    struct path path;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(path_parse(rows[i], strlen(rows[i]), &path, NULL) == OMENDB_ERR_ARGUMENT);
    for (size_t i = 0; i < sizeof deep; i += 2) memcpy(deep + i, "a.", 2);
    CHECK(path_parse(deep, 2 * OMENDB_DEPTH_MAX - 1, &path, NULL) == OMENDB_OK);
    CHECK(path.count == OMENDB_DEPTH_MAX);
    CHECK(path_parse(deep, 2 * OMENDB_DEPTH_MAX + 1, &path, NULL) == OMENDB_ERR_ARGUMENT);
}

static const struct test tests[] = {
    {"paths_reach_every_value_they_name", paths_reach_every_value_they_name},
    {"a_visitor_ends_the_search", a_visitor_ends_the_search},
    {"bad_paths_are_refused", bad_paths_are_refused},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
