/* filter_test.c - filters against a table of Mongo's answers, refusals, limits, failing memory. */
#include "query/filter.h"

#include "base/alloc.h"
#include "doc/json.h"
#include "test.h"

static bool match_text(const char *filter_text, const char *document_text)
{
    struct filter filter;
    struct buffer document = {0};
    omendb_error err = {0};
    filter_init(&filter);
    if (filter_compile(&filter, filter_text, strlen(filter_text), &err) != OMENDB_OK) {
        fprintf(stderr, "%s: %s\n", filter_text, err.message);
        abort();
    }
    if (json_to_document(document_text, strlen(document_text), &document, &err) != OMENDB_OK) {
        fprintf(stderr, "%s: %s\n", document_text, err.message);
        abort();
    }
    const bool matches = filter_matches(&filter, document.data, document.size);
    buffer_deinit(&document);
    filter_deinit(&filter);
    return matches;
}

static const struct row {
    const char *filter, *document;
    bool matches;
} rows[] = {
    /* Everything. */
    {"{}", "{}", true},
    {"{}", "{\"a\":1}", true},
    {" { } ", "{\"a\":1}", true},
    /* Equality of scalars. */
    {"{\"a\":5}", "{\"a\":5}", true},
    {"{\"a\":5}", "{\"a\":6}", false},
    {"{\"a\":5}", "{\"a\":5.0}", true},
    {"{\"a\":5.0}", "{\"a\":5}", true},
    {"{\"a\":5}", "{\"a\":\"5\"}", false},
    {"{\"a\":5}", "{}", false},
    {"{\"a\":5}", "{\"b\":5}", false},
    {"{\"a\":0}", "{\"a\":-0.0}", true},
    {"{\"a\":0}", "{\"a\":false}", false},
    {"{\"a\":1}", "{\"a\":true}", false},
    {"{\"a\":true}", "{\"a\":true}", true},
    {"{\"a\":true}", "{\"a\":false}", false},
    {"{\"a\":\"x\"}", "{\"a\":\"x\"}", true},
    {"{\"a\":\"x\"}", "{\"a\":\"xy\"}", false},
    {"{\"a\":\"\"}", "{\"a\":\"\"}", true},
    {"{\"a\":\"\"}", "{\"a\":null}", false},
    {"{\"a\":{\"$eq\":5}}", "{\"a\":5}", true},
    {"{\"a\":9007199254740993}", "{\"a\":9007199254740992.0}", false},
    {"{\"a\":9007199254740992}", "{\"a\":9007199254740992.0}", true},
    {"{\"a\":18446744073709551615}", "{\"a\":18446744073709551615}", true},
    {"{\"a\":18446744073709551615}", "{\"a\":-1}", false},
    {"{\"a\":123456789012345678901234567890}", "{\"a\":123456789012345678901234567890}", true},
    {"{\"a\":{\"$binary\":\"AQI=\"}}", "{\"a\":{\"$binary\":\"AQI=\"}}", true},
    {"{\"a\":{\"$binary\":\"AQI=\"}}", "{\"a\":{\"$binary\":\"AQM=\"}}", false},
    {"{\"a\":{\"$binary\":\"eA==\"}}", "{\"a\":\"x\"}", false},
    {"{\"a\":{\"$gt\":{\"$binary\":\"AQI=\"}}}", "{\"a\":{\"$binary\":\"AQM=\"}}", true},
    /* Null and missing. */
    {"{\"a\":null}", "{\"a\":null}", true},
    {"{\"a\":null}", "{}", true},
    {"{\"a\":null}", "{\"a\":0}", false},
    {"{\"a\":null}", "{\"a\":[null]}", true},
    {"{\"a\":null}", "{\"a\":[]}", false},
    {"{\"a\":null}", "{\"a\":[1,[null]]}", false},
    {"{\"a.b\":null}", "{\"a\":4}", true},
    {"{\"a.b\":null}", "{\"a\":{}}", true},
    {"{\"a.b\":null}", "{\"a\":null}", true},
    {"{\"a.b\":null}", "{\"a\":{\"b\":1}}", false},
    {"{\"a.b\":null}", "{\"a\":[]}", false},
    {"{\"a.b\":null}", "{\"a\":[1,2]}", false},
    {"{\"a.b\":null}", "{\"a\":[{\"b\":1},{\"c\":2}]}", true},
    {"{\"a.b\":null}", "{\"a\":[{\"b\":1},{\"b\":2}]}", false},
    {"{\"a.b\":null}", "{\"a\":[{\"b\":1},{\"b\":null}]}", true},
    {"{\"a.0\":null}", "{\"a\":[null]}", true},
    {"{\"a.0\":null}", "{\"a\":[1]}", false},
    {"{\"a.5\":null}", "{\"a\":[1]}", false},
    {"{\"a.0.b\":null}", "{\"a\":[{}]}", true},
    {"{\"a\":{\"$eq\":null}}", "{}", true},
    {"{\"a\":{\"$ne\":null}}", "{}", false},
    {"{\"a\":{\"$ne\":null}}", "{\"a\":1}", true},
    {"{\"a\":{\"$gte\":null}}", "{\"a\":null}", true},
    {"{\"a\":{\"$lte\":null}}", "{}", true},
    {"{\"a\":{\"$lte\":null}}", "{\"a\":0}", false},
    {"{\"a\":{\"$gt\":null}}", "{\"a\":null}", false},
    {"{\"a\":{\"$lt\":null}}", "{}", false},
    /* Complements include what is missing. */
    {"{\"a\":{\"$ne\":5}}", "{}", true},
    {"{\"a\":{\"$ne\":5}}", "{\"a\":5}", false},
    {"{\"a\":{\"$ne\":5}}", "{\"a\":[1,5]}", false},
    {"{\"a\":{\"$ne\":5}}", "{\"a\":[1,2]}", true},
    {"{\"a\":{\"$ne\":5}}", "{\"a\":\"5\"}", true},
    {"{\"a\":{\"$nin\":[1,2]}}", "{}", true},
    {"{\"a\":{\"$nin\":[1,2]}}", "{\"a\":2}", false},
    {"{\"a\":{\"$nin\":[1,2]}}", "{\"a\":3}", true},
    {"{\"a\":{\"$nin\":[1,null]}}", "{}", false},
    {"{\"a\":{\"$nin\":[]}}", "{}", true},
    {"{\"a\":{\"$not\":{\"$gt\":5}}}", "{}", true},
    {"{\"a\":{\"$not\":{\"$gt\":5}}}", "{\"a\":6}", false},
    {"{\"a\":{\"$not\":{\"$gt\":5}}}", "{\"a\":\"z\"}", true},
    {"{\"a\":{\"$not\":{\"$gt\":1,\"$lt\":5}}}", "{\"a\":3}", false},
    {"{\"a\":{\"$not\":{\"$gt\":1,\"$lt\":5}}}", "{\"a\":7}", true},
    {"{\"a\":{\"$not\":{\"$not\":{\"$eq\":1}}}}", "{\"a\":1}", true},
    {"{\"a\":{\"$not\":{\"$exists\":true}}}", "{}", true},
    {"{\"$not\":{\"a\":1}}", "{\"a\":1}", false},
    {"{\"$not\":{\"a\":1}}", "{\"a\":2}", true},
    /* Order within a bracket. */
    {"{\"a\":{\"$gt\":5}}", "{\"a\":6}", true},
    {"{\"a\":{\"$gt\":5}}", "{\"a\":5}", false},
    {"{\"a\":{\"$gt\":5}}", "{\"a\":5.5}", true},
    {"{\"a\":{\"$gt\":5}}", "{\"a\":\"6\"}", false},
    {"{\"a\":{\"$gt\":5}}", "{\"a\":true}", false},
    {"{\"a\":{\"$gt\":5}}", "{\"a\":null}", false},
    {"{\"a\":{\"$gt\":5}}", "{}", false},
    {"{\"a\":{\"$gte\":5}}", "{\"a\":5}", true},
    {"{\"a\":{\"$lt\":5}}", "{\"a\":4}", true},
    {"{\"a\":{\"$lt\":5}}", "{\"a\":null}", false},
    {"{\"a\":{\"$lt\":5}}", "{}", false},
    {"{\"a\":{\"$lte\":5}}", "{\"a\":5.0}", true},
    {"{\"a\":{\"$lte\":5}}", "{\"a\":5.1}", false},
    {"{\"a\":{\"$gt\":\"b\"}}", "{\"a\":\"c\"}", true},
    {"{\"a\":{\"$gt\":\"b\"}}", "{\"a\":\"ab\"}", false},
    {"{\"a\":{\"$gt\":\"b\"}}", "{\"a\":9}", false},
    {"{\"a\":{\"$gt\":\"b\"}}", "{\"a\":\"ba\"}", true},
    {"{\"a\":{\"$gt\":false}}", "{\"a\":true}", true},
    {"{\"a\":{\"$gt\":false}}", "{\"a\":1}", false},
    {"{\"a\":{\"$gt\":9007199254740992.0}}", "{\"a\":9007199254740993}", true},
    {"{\"a\":{\"$gt\":1,\"$lt\":5}}", "{\"a\":3}", true},
    {"{\"a\":{\"$gt\":1,\"$lt\":5}}", "{\"a\":5}", false},
    {"{\"a\":{\"$gt\":1,\"$lt\":5}}", "{\"a\":[0,10]}", true},
    {"{\"a\":{\"$gte\":[1,2]}}", "{\"a\":[1,3]}", true},
    {"{\"a\":{\"$gte\":[1,2]}}", "{\"a\":[1]}", false},
    {"{\"a\":{\"$gt\":5}}", "{\"a\":[1,6]}", true},
    {"{\"a\":{\"$gt\":5}}", "{\"a\":[[6]]}", false},
    /* Arrays. */
    {"{\"a\":5}", "{\"a\":[1,5]}", true},
    {"{\"a\":5}", "{\"a\":[1,[5]]}", false},
    {"{\"a\":5}", "{\"a\":[]}", false},
    {"{\"a\":[1,5]}", "{\"a\":[1,5]}", true},
    {"{\"a\":[1,5]}", "{\"a\":[5,1]}", false},
    {"{\"a\":[1,5]}", "{\"a\":[[1,5],2]}", true},
    {"{\"a\":[]}", "{\"a\":[]}", true},
    {"{\"a\":[]}", "{\"a\":[1]}", false},
    {"{\"a\":[1]}", "{\"a\":1}", false},
    {"{\"a.0\":1}", "{\"a\":[1,2]}", true},
    {"{\"a.1\":1}", "{\"a\":[1,2]}", false},
    {"{\"a.00\":1}", "{\"a\":[1,2]}", false},
    {"{\"a.0\":1}", "{\"a\":[{\"0\":1}]}", true},
    {"{\"a.b\":2}", "{\"a\":[{\"b\":1},{\"b\":2}]}", true},
    {"{\"a.b\":3}", "{\"a\":[{\"b\":1},{\"b\":2}]}", false},
    {"{\"a.b\":2}", "{\"a\":[{\"b\":[1,2]}]}", true},
    {"{\"a.1.b\":2}", "{\"a\":[{\"b\":1},{\"b\":2}]}", true},
    {"{\"a.0.b\":2}", "{\"a\":[{\"b\":1},{\"b\":2}]}", false},
    {"{\"a.b\":1}", "{\"a\":[[{\"b\":1}]]}", false},
    /* Objects. */
    {"{\"a.b\":1}", "{\"a\":{\"b\":1}}", true},
    {"{\"a.b.c\":1}", "{\"a\":{\"b\":{\"c\":1}}}", true},
    {"{\"a.b.c\":1}", "{\"a\":{\"b\":1}}", false},
    {"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}", true},
    {"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1,\"c\":2}}", false},
    {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2,\"b\":1}}", true},
    {"{\"a\":{\"b\":1}}", "{\"a\":[{\"b\":1}]}", true},
    {"{\"a\":{}}", "{\"a\":{}}", true},
    {"{\"a\":{}}", "{\"a\":{\"b\":1}}", false},
    {"{\"a\":{\"$eq\":{\"$b\":1}}}", "{\"a\":{\"$b\":1}}", true},
    {"{\"a\":{\"$in\":[{\"b\":1}]}}", "{\"a\":{\"b\":1}}", true},
    /* $in. */
    {"{\"a\":{\"$in\":[]}}", "{\"a\":1}", false},
    {"{\"a\":{\"$in\":[]}}", "{}", false},
    {"{\"a\":{\"$in\":[3,1,2,2,1]}}", "{\"a\":2}", true},
    {"{\"a\":{\"$in\":[3,1,2]}}", "{\"a\":4}", false},
    {"{\"a\":{\"$in\":[3,\"x\",true]}}", "{\"a\":\"x\"}", true},
    {"{\"a\":{\"$in\":[3,\"x\",true]}}", "{\"a\":[9,3.0]}", true},
    {"{\"a\":{\"$in\":[null]}}", "{}", true},
    {"{\"a\":{\"$in\":[null]}}", "{\"a\":null}", true},
    {"{\"a\":{\"$in\":[null]}}", "{\"a\":1}", false},
    {"{\"a\":{\"$in\":[[1,2]]}}", "{\"a\":[1,2]}", true},
    {"{\"a\":{\"$in\":[[1,2]]}}", "{\"a\":1}", false},
    /* $exists. */
    {"{\"a\":{\"$exists\":true}}", "{\"a\":null}", true},
    {"{\"a\":{\"$exists\":true}}", "{}", false},
    {"{\"a\":{\"$exists\":false}}", "{}", true},
    {"{\"a\":{\"$exists\":false}}", "{\"a\":null}", false},
    {"{\"a\":{\"$exists\":true}}", "{\"a\":[]}", true},
    {"{\"a.b\":{\"$exists\":true}}", "{\"a\":[{\"c\":1},{\"b\":1}]}", true},
    {"{\"a.b\":{\"$exists\":false}}", "{\"a\":[{\"c\":1}]}", true},
    {"{\"a.0\":{\"$exists\":true}}", "{\"a\":[1]}", true},
    {"{\"a.1\":{\"$exists\":true}}", "{\"a\":[1]}", false},
    {"{\"a\":{\"$exists\":true,\"$ne\":3}}", "{\"a\":4}", true},
    /* Combined. */
    {"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", true},
    {"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}", false},
    {"{\"$and\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1,\"b\":2}", true},
    {"{\"$and\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1}", false},
    {"{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", true},
    {"{\"$or\":[{\"a\":1},{\"b\":2}]}", "{}", false},
    {"{\"$nor\":[{\"a\":1},{\"b\":2}]}", "{}", true},
    {"{\"$nor\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", false},
    {"{\"$or\":[{\"a\":1},{}]}", "{}", true},
    {"{\"$nor\":[{}]}", "{}", false},
    {"{\"$and\":[{}],\"a\":1}", "{\"a\":1}", true},
    {"{\"a\":1,\"$or\":[{\"b\":1},{\"c\":1}]}", "{\"a\":1,\"c\":1}", true},
    {"{\"a\":1,\"$or\":[{\"b\":1},{\"c\":1}]}", "{\"a\":2,\"c\":1}", false},
    {"{\"$or\":[{\"$and\":[{\"a\":1},{\"b\":1}]},{\"$nor\":[{\"c\":1}]}]}", "{\"c\":1}", false},
    {"{\"$or\":[{\"$and\":[{\"a\":1},{\"b\":1}]},{\"$nor\":[{\"c\":1}]}]}", "{\"c\":2}", true},
};

static void answers_as_mongo_does(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (match_text(rows[i].filter, rows[i].document) != rows[i].matches) {
            fprintf(stderr, "%s on %s: wanted %d\n", rows[i].filter, rows[i].document,
                    rows[i].matches);
            abort();
        }
    }
}

static const struct {
    const char *filter;
    const char *says; /* Part of the message. */
} refusals[] = {
    {"", "filter: "},
    {"   ", "filter: "},
    {"5", "filter: "},
    {"null", "filter: "},
    {"[]", "filter: "},
    {"\"a\"", "filter: "},
    {"{", "filter: json"},
    {"{\"a\":1", "filter: json"},
    {"{\"a\":1}}", "filter: json"},
    {"{\"a\":1,}", "filter: json"},
    {"{\"a\":1,\"a\":2}", "filter: json"},
    {"{\"a\":NaN}", "filter: json"},
    {"{\"a\":\"\xff\"}", "filter: json"},
    {"{\"$foo\":1}", "unknown operator $foo"},
    {"{\"a\":{\"$foo\":1}}", "at a: unknown operator $foo"},
    {"{\"a\":{\"$regex\":\"x\"}}", "at a: unknown operator $regex"},
    {"{\"$or\":[{\"x\":1},{\"a.b\":{\"$gtt\":1}}]}", "at $or[1].a.b: unknown operator $gtt"},
    {"{\"a\":{\"$\":1}}", "unknown operator $"},
    {"{\"a\":{\"$gt\":1,\"b\":2}}", "mixed"},
    {"{\"a\":{\"b\":2,\"$gt\":1}}", "mixed"},
    {"{\"a\":{\"$in\":5}}", "at a.$in: an array"},
    {"{\"a\":{\"$nin\":{\"b\":1}}}", "at a.$nin: an array"},
    {"{\"a\":{\"$exists\":1}}", "at a.$exists: "},
    {"{\"a\":{\"$exists\":null}}", "at a.$exists: "},
    {"{\"a\":{\"$not\":5}}", "at a.$not: "},
    {"{\"a\":{\"$not\":{}}}", "at a.$not: "},
    {"{\"a\":{\"$not\":{\"b\":1}}}", "at a.$not: "},
    {"{\"a\":{\"$not\":[{\"$gt\":1}]}}", "at a.$not: "},
    {"{\"$and\":{}}", "at $and: "},
    {"{\"$and\":[]}", "at $and: "},
    {"{\"$or\":[]}", "at $or: "},
    {"{\"$or\":1}", "at $or: "},
    {"{\"$nor\":[]}", "at $nor: "},
    {"{\"$or\":[1]}", "at $or[0]: an object"},
    {"{\"$or\":[{},null]}", "at $or[1]: an object"},
    {"{\"$not\":1}", "at $not: an object"},
    {"{\"$gt\":1}", "at $gt: "},
    {"{\"a\":{\"$binary\":5}}", "$binary"},
    {"{\"a\":{\"$binary\":\"A\"}}", "$binary"},
    {"{\"\":1}", "empty"},
    {"{\".a\":1}", "empty segment"},
    {"{\"a..b\":1}", "empty segment"},
    {"{\"a.\":1}", "empty segment"},
};

static void names_operator_and_position_of_what_it_refuses(void)
{
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct filter filter;
        omendb_error err = {0};
        filter_init(&filter);
        const char *text = refusals[i].filter;
        const omendb_status status = filter_compile(&filter, text, strlen(text), &err);
        if (status != OMENDB_ERR_ARGUMENT || err.status != status ||
            strstr(err.message, refusals[i].says) == NULL) {
            fprintf(stderr, "%s: %d %s\n", text, status, err.message);
            abort();
        }
        CHECK(filter_is_everything(&filter));
        CHECK(filter_compile(&filter, text, strlen(text), NULL) == OMENDB_ERR_ARGUMENT);
        filter_deinit(&filter);
    }
}

static void keeps_the_stated_limits(void)
{
    struct filter filter;
    struct buffer text = {0};
    omendb_error err = {0};
    filter_init(&filter);
    /* Too deep. */
    for (int i = 0; i < 100; i++) CHECK(buffer_append_text(&text, "{\"$and\":[", NULL) == 0);
    CHECK(buffer_append_text(&text, "{}", NULL) == 0);
    for (int i = 0; i < 100; i++) CHECK(buffer_append_text(&text, "]}", NULL) == 0);
    CHECK(filter_compile(&filter, (char *)text.data, text.size, &err) == OMENDB_ERR_ARGUMENT);
    /* As deep as it may be: 31 levels of {$and: [ and one object. */
    buffer_clear(&text);
    for (int i = 0; i < 31; i++) CHECK(buffer_append_text(&text, "{\"$and\":[", NULL) == 0);
    CHECK(buffer_append_text(&text, "{}", NULL) == 0);
    for (int i = 0; i < 31; i++) CHECK(buffer_append_text(&text, "]}", NULL) == 0);
    CHECK(filter_compile(&filter, (char *)text.data, text.size, &err) == OMENDB_OK);
    /* A path of 64 segments and one of 65. */
    for (int segments = 64; segments <= 65; segments++) {
        buffer_clear(&text);
        CHECK(buffer_append_text(&text, "{\"a", NULL) == 0);
        for (int i = 1; i < segments; i++) CHECK(buffer_append_text(&text, ".a", NULL) == 0);
        CHECK(buffer_append_text(&text, "\":1}", NULL) == 0);
        CHECK(filter_compile(&filter, (char *)text.data, text.size, &err) ==
              (segments == 64 ? OMENDB_OK : OMENDB_ERR_ARGUMENT));
    }
    /* Messages are cut, never overrun. */
    buffer_clear(&text);
    CHECK(buffer_append_text(&text, "{\"$or\":[{\"", NULL) == 0);
    for (int i = 0; i < 1000; i++) CHECK(buffer_append_text(&text, "long", NULL) == 0);
    CHECK(buffer_append_text(&text, "\":{\"$", NULL) == 0);
    for (int i = 0; i < 1000; i++) CHECK(buffer_append_text(&text, "wrong", NULL) == 0);
    CHECK(buffer_append_text(&text, "\":1}}]}", NULL) == 0);
    CHECK(filter_compile(&filter, (char *)text.data, text.size, &err) == OMENDB_ERR_ARGUMENT);
    CHECK(strlen(err.message) < sizeof err.message);
    /* A large $in is searched, not walked: 100,000 values, 10,000 documents. */
    buffer_clear(&text);
    CHECK(buffer_append_text(&text, "{\"a\":{\"$in\":[", NULL) == 0);
    for (int i = 0; i < 100000; i++)
        CHECK(buffer_append_format(&text, NULL, "%s%d", i ? "," : "", (i * 7919) % 100000 * 2) ==
              0);
    CHECK(buffer_append_text(&text, "]}}", NULL) == 0);
    CHECK(filter_compile(&filter, (char *)text.data, text.size, &err) == OMENDB_OK);
    for (int i = 0; i < 10000; i++) {
        struct buffer document = {0};
        char json[32];
        const int length = snprintf(json, sizeof json, "{\"a\":%d}", i * 19);
        CHECK(json_to_document(json, (size_t)length, &document, &err) == OMENDB_OK);
        CHECK(filter_matches(&filter, document.data, document.size) == (i * 19 % 2 == 0));
        buffer_deinit(&document);
    }
    filter_deinit(&filter);
    buffer_deinit(&text);
}

static void survives_every_failed_allocation(void)
{
    const char *text = "{\"a\":{\"$in\":[1,2,\"x\",null]},\"$or\":[{\"b.c\":{\"$gt\":1,\"$ne\":3}},"
                       "{\"d\":{\"$not\":{\"$lt\":2}}}],\"$nor\":[{\"e\":1}]}";
    for (long n = 0;; n++) {
        struct filter filter;
        omendb_error err = {0};
        filter_init(&filter);
        alloc_fail_after(n, 0);
        const omendb_status status = filter_compile(&filter, text, strlen(text), &err);
        alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
        CHECK((status == OMENDB_OK) == !filter_is_everything(&filter));
        /* It can be used again whatever happened. */
        CHECK(filter_compile(&filter, text, strlen(text), &err) == OMENDB_OK);
        filter_deinit(&filter);
        if (status == OMENDB_OK) {
            CHECK(n > 1);
            break;
        }
    }
}

static void compiles_again_without_allocating(void)
{
    const char *text = "{\"a\":{\"$in\":[1,2,3]},\"b\":{\"$gt\":5}}";
    struct filter filter;
    omendb_error err = {0};
    filter_init(&filter);
    for (int i = 0; i < 5; i++) {
        if (i > 2) alloc_fail_after(0, 0);
        CHECK(filter_compile(&filter, text, strlen(text), &err) == OMENDB_OK);
        alloc_fail_after(-1, 0);
    }
    filter_deinit(&filter);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"answers_as_mongo_does", answers_as_mongo_does},
        {"names_operator_and_position_of_what_it_refuses",
         names_operator_and_position_of_what_it_refuses},
        {"keeps_the_stated_limits", keeps_the_stated_limits},
        {"survives_every_failed_allocation", survives_every_failed_allocation},
        {"compiles_again_without_allocating", compiles_again_without_allocating},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
