/* Tests of doc/json.h: what is text, what isn't, and that it comes back. Numbers: number_test.c. */
#include "test.h"

#include "base/alloc.h"
#include "doc/json.h"

/* JSON text, and the text it is written back as; NULL: it must be refused. */
struct text_case {
    const char *text;
    size_t size;
    const char *written;
};
#define T(text) (text), sizeof(text) - 1

/* Values, tried as the member "a" of an object and as an item of an array. */
static const struct text_case values[] = {
    /* Literals. */
    {T("null"), "null"},
    {T("true"), "true"},
    {T("false"), "false"},
    {T("nul"), NULL},
    {T("nulll"), NULL},
    {T("Null"), NULL},
    {T("TRUE"), NULL},
    {T("True"), NULL},
    {T("tru"), NULL},
    {T("fals"), NULL},
    {T("undefined"), NULL},
    {T("NaN"), NULL},
    {T("-NaN"), NULL},
    {T("nan"), NULL},
    {T("Infinity"), NULL},
    {T("-Infinity"), NULL},
    {T("inf"), NULL},
    {T("None"), NULL},
    {T("a"), NULL},
    {T("*"), NULL},
    {T("'a'"), NULL},
    {T("`a`"), NULL},
    {T(""), NULL},
    {T(" "), NULL},
    {T("\xef\xbb\xbf"
       "1"),
     NULL},
    {T("\0"), NULL},
    /* Integers. */
    {T("0"), "0"},
    {T("-0"), "0"},
    {T("1"), "1"},
    {T("-1"), "-1"},
    {T("63"), "63"},
    {T("64"), "64"},
    {T("127"), "127"},
    {T("128"), "128"},
    {T("-128"), "-128"},
    {T("-129"), "-129"},
    {T("32767"), "32767"},
    {T("32768"), "32768"},
    {T("-32769"), "-32769"},
    {T("2147483647"), "2147483647"},
    {T("2147483648"), "2147483648"},
    {T("-2147483649"), "-2147483649"},
    {T("9007199254740993"), "9007199254740993"},
    {T("9223372036854775807"), "9223372036854775807"},
    {T("9223372036854775808"), "9223372036854775808"},
    {T("-9223372036854775808"), "-9223372036854775808"},
    {T("-9223372036854775809"), "-9223372036854775809"},
    {T("9999999999999999999"), "9999999999999999999"},
    {T("10000000000000000000"), "10000000000000000000"},
    {T("18446744073709551615"), "18446744073709551615"},
    {T("18446744073709551616"), "18446744073709551616"},
    {T("-18446744073709551616"), "-18446744073709551616"},
    {T("99999999999999999999999999999999999999999"), "99999999999999999999999999999999999999999"},
    {T("00"), NULL},
    {T("01"), NULL},
    {T("-01"), NULL},
    {T("-"), NULL},
    {T("--1"), NULL},
    {T("+1"), NULL},
    {T("++1"), NULL},
    {T("- 1"), NULL},
    {T("1 2"), NULL},
    {T("1-2"), NULL},
    {T("1+2"), NULL},
    {T("0x1"), NULL},
    {T("0x"), NULL},
    {T("1a"), NULL},
    {T("-a"), NULL},
    {T("1_000"), NULL},
    {T("1 000"), NULL},
    {T("\xef\xbc\x91"), NULL}, /* Full-width digit one. */
    {T("1\0"), NULL},
    /* Floats. */
    {T("0.0"), "0.0"},
    {T("-0.0"), "-0.0"},
    {T("-0e0"), "-0.0"},
    {T("0e1"), "0.0"},
    {T("0E+2"), "0.0"},
    {T("1.0"), "1.0"},
    {T("1.5"), "1.5"},
    {T("-1.5e0"), "-1.5"},
    {T("1e0"), "1.0"},
    {T("1E5"), "100000.0"},
    {T("1e+05"), "100000.0"},
    {T("1e-2"), "0.01"},
    {T("1e-5"), "1e-05"},
    {T("0.0001"), "0.0001"},
    {T("1e15"), "1000000000000000.0"},
    {T("1e16"), "1e+16"},
    {T("1e22"), "1e+22"},
    {T("1e23"), "1e+23"},
    {T("0.1"), "0.1"},
    {T("0.3"), "0.3"},
    {T("0.30000000000000004"), "0.30000000000000004"},
    {T("123.456e-7"), "1.23456e-05"},
    {T("5e-324"), "5e-324"},
    {T("2.4e-324"), "0.0"},
    {T("1e-400"), "0.0"},
    {T("-1e-400"), "-0.0"},
    {T("1e-99999999999999999999"), "0.0"},
    {T("0e99999999999999999999"), "0.0"},
    {T("1.7976931348623157e308"), "1.7976931348623157e+308"},
    {T("1.7976931348623158e308"), "1.7976931348623157e+308"},
    {T("1.797693134862315807e308"), "1.7976931348623157e+308"},
    {T("2.2250738585072011e-308"), "2.225073858507201e-308"},
    {T("2.2250738585072014e-308"), "2.2250738585072014e-308"},
    {T("1.7976931348623159e308"), NULL},
    {T("1e309"), NULL},
    {T("1e400"), NULL},
    {T("-1e400"), NULL},
    {T("1e99999999999999999999"), NULL},
    {T("1."), NULL},
    {T("0."), NULL},
    {T("-1."), NULL},
    {T(".5"), NULL},
    {T("-.5"), NULL},
    {T("."), NULL},
    {T("1.e1"), NULL},
    {T(".1e1"), NULL},
    {T("1e"), NULL},
    {T("1e+"), NULL},
    {T("1E-"), NULL},
    {T("1e1.5"), NULL},
    {T("1ee1"), NULL},
    {T("1e+-1"), NULL},
    {T("1.2.3"), NULL},
    {T("1.0e"), NULL},
    {T("0e"), NULL},
    {T("00.5"), NULL},
    {T("1,5"), NULL}, /* In an object; as items it is two: see below. */
    /* Strings. */
    {T("\"\""), "\"\""},
    {T("\"a\""), "\"a\""},
    {T("\"\\\"\""), "\"\\\"\""},
    {T("\"\\\\\""), "\"\\\\\""},
    {T("\"\\/\""), "\"/\""},
    {T("\"/\""), "\"/\""},
    {T("\"\\b\\f\\n\\r\\t\""), "\"\\b\\f\\n\\r\\t\""},
    {T("\"\\u0008\\u000C\\u000a\\u000d\\u0009\""), "\"\\b\\f\\n\\r\\t\""},
    {T("\"\\u0000\""), "\"\\u0000\""},
    {T("\"\\u001F\""), "\"\\u001f\""},
    {T("\"\x7f\""), "\"\x7f\""},
    {T("\"\\u007f\""), "\"\x7f\""},
    {T("\"\\u0041\\u00e9\\u20AC\""), "\"A\xc3\xa9\xe2\x82\xac\""},
    {T("\"\\uD834\\uDd1e\""), "\"\xf0\x9d\x84\x9e\""},
    {T("\"\\ud800\\udc00\""), "\"\xf0\x90\x80\x80\""},
    {T("\"\\uDBFF\\uDFFF\""), "\"\xf4\x8f\xbf\xbf\""},
    {T("\"\\ud7ff\\ue000\\uffff\\ufffe\""), "\"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xef\xbf\xbe\""},
    {T("\"\\u0022\\u005c\""), "\"\\\"\\\\\""},
    {T("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
     "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
    {T("\"\xe2\x80\xa8\xe2\x80\xa9\""), "\"\xe2\x80\xa8\xe2\x80\xa9\""},
    {T("\"0123456789abcde\\n0123456789abcdef0\""), "\"0123456789abcde\\n0123456789abcdef0\""},
    {T("\"0123456789abcdef\xc3\xa9\""), "\"0123456789abcdef\xc3\xa9\""},
    {T("\""
       "01234567890123456789012345678901234567890123456789012345678901234"
       "\""),
     "\""
     "01234567890123456789012345678901234567890123456789012345678901234"
     "\""},
    {T("\"a"), NULL},
    {T("\""), NULL},
    {T("a\""), NULL},
    {T("\"\\\""), NULL},
    {T("\"\\"), NULL},
    {T("\"\\a\""), NULL},
    {T("\"\\'\""), NULL},
    {T("\"\\x41\""), NULL},
    {T("\"\\0\""), NULL},
    {T("\"\\U0041\""), NULL},
    {T("\"\\ \""), NULL},
    {T("\"\\\0\""), NULL},
    {T("\"\\\n\""), NULL},
    {T("\"\\\xc3\xa9\""), NULL},
    {T("\"\\u\""), NULL},
    {T("\"\\u0\""), NULL},
    {T("\"\\u00\""), NULL},
    {T("\"\\u000\""), NULL},
    {T("\"\\u00g0\""), NULL},
    {T("\"\\u-001\""), NULL},
    {T("\"\\u 001\""), NULL},
    {T("\"\\u000"), NULL},
    {T("\"\\ud800\""), NULL},
    {T("\"\\udc00\""), NULL},
    {T("\"\\udc00\\ud800\""), NULL},
    {T("\"\\udc00\\udc00\""), NULL},
    {T("\"\\ud800\\ud800\""), NULL},
    {T("\"\\ud800a\""), NULL},
    {T("\"\\ud800\\n\""), NULL},
    {T("\"\\ud800\\u\""), NULL},
    {T("\"\\ud800\\u1\""), NULL},
    {T("\"\\ud800\\u0041\""), NULL},
    {T("\"\\ud800\\udc0\""), NULL},
    {T("\"\\ud800\"\\udc00\""), NULL},
    {T("\"\x01\""), NULL},
    {T("\"\x1f\""), NULL},
    {T("\"\0\""), NULL},
    {T("\"\n\""), NULL},
    {T("\"\t\""), NULL},
    {T("\"0123456789abcdef\n\""), NULL},
    {T("\"\x80\""), NULL},
    {T("\"\xbf\""), NULL},
    {T("\"\xc0\x80\""), NULL},
    {T("\"\xc1\xbf\""), NULL},
    {T("\"\xc3\""), NULL},
    {T("\"\xc3"), NULL},
    {T("\"\xc3(\""), NULL},
    {T("\"\xe0\x80\x80\""), NULL},
    {T("\"\xe0\x9f\xbf\""), NULL},
    {T("\"\xe2\x82\""), NULL},
    {T("\"\xe2\x82"), NULL},
    {T("\"\xed\xa0\x80\""), NULL},
    {T("\"\xed\xbf\xbf\""), NULL},
    {T("\"\xf0\x80\x80\x80\""), NULL},
    {T("\"\xf0\x8f\xbf\xbf\""), NULL},
    {T("\"\xf0\x9d\x84\""), NULL},
    {T("\"\xf4\x90\x80\x80\""), NULL},
    {T("\"\xf5\x80\x80\x80\""), NULL},
    {T("\"\xf8\x88\x80\x80\x80\""), NULL},
    {T("\"\xfe\""), NULL},
    {T("\"\xff\""), NULL},
    {T("\"a\"b"), NULL},
    {T("\"a\"\"b\""), NULL},
    /* Arrays. */
    {T("[]"), "[]"},
    {T("[ ]"), "[]"},
    {T("[[]]"), "[[]]"},
    {T("[1]"), "[1]"},
    {T(" [ 1 , 2 ] "), "[1,2]"},
    {T("[1,\"a\",null,true,1.5,{},[]]"), "[1,\"a\",null,true,1.5,{},[]]"},
    {T("\t\n\r [\t1\n,\r2 ]"), "[1,2]"},
    {T("["), NULL},
    {T("[1"), NULL},
    {T("[1,"), NULL},
    {T("[1,]"), NULL},
    {T("[,1]"), NULL},
    {T("[1,,2]"), NULL},
    {T("[,]"), NULL},
    {T("[1 2]"), NULL},
    {T("[1}"), NULL},
    {T("[1]]"), NULL},
    {T("[1:2]"), NULL},
    {T("[\f1]"), NULL},
    {T("[\v1]"), NULL},
    {T("[\xc2\xa0]"), NULL},
    {T("[// c\n1]"), NULL},
    {T("[/* c */1]"), NULL},
    {T("[#1]"), NULL},
    {T("[..."), NULL},
    {T("<1>"), NULL},
    {T("(1)"), NULL},
    {T("]"), NULL},
    /* Objects. */
    {T("{}"), "{}"},
    {T("{ }"), "{}"},
    {T("{\"a\":1}"), "{\"a\":1}"},
    {T("{\"b\":1,\"a\":2}"), "{\"b\":1,\"a\":2}"},
    {T("{ \"a\" : 1 , \"b\" : [ ] }"), "{\"a\":1,\"b\":[]}"},
    {T("{\"\":0}"), "{\"\":0}"},
    {T("{\"\\u0061\":1,\"A\":2}"), "{\"a\":1,\"A\":2}"},
    {T("{\"a\\u0000b\":1,\"a\":2}"), "{\"a\\u0000b\":1,\"a\":2}"},
    {T("{\"\":{\"\":{}}}"), "{\"\":{\"\":{}}}"},
    {T("{"), NULL},
    {T("{\"a\""), NULL},
    {T("{\"a\":"), NULL},
    {T("{\"a\":1"), NULL},
    {T("{\"a\":1,"), NULL},
    {T("{\"a\":1,}"), NULL},
    {T("{\"a\":1,,\"b\":2}"), NULL},
    {T("{,\"a\":1}"), NULL},
    {T("{\"a\" 1}"), NULL},
    {T("{\"a\",1}"), NULL},
    {T("{\"a\":}"), NULL},
    {T("{\"a\"::1}"), NULL},
    {T("{:1}"), NULL},
    {T("{1:1}"), NULL},
    {T("{a:1}"), NULL},
    {T("{'a':1}"), NULL},
    {T("{null:1}"), NULL},
    {T("{[]:1}"), NULL},
    {T("{\"a\":1 \"b\":2}"), NULL},
    {T("{\"a\":1]"), NULL},
    {T("{\"a\":1}}"), NULL},
    {T("{\"a\":1}#"), NULL},
    {T("{\"\x80\":1}"), NULL},
    {T("{\"\\ud800\":1}"), NULL},
    {T("{\"a\":1,\"a\":2}"), NULL},
    {T("{\"\":1,\"\":1}"), NULL},
    {T("{\"a\":1,\"\\u0061\":1}"), NULL},
    {T("{\"a\":1,\"b\":2,\"c\":3,\"b\":4}"), NULL},
    /* Byte strings, and what only looks like one. */
    {T("{\"$binary\":\"\"}"), "{\"$binary\":\"\"}"},
    {T("{\"$binary\":\"AA==\"}"), "{\"$binary\":\"AA==\"}"},
    {T("{ \"$binary\" : \"\\u0041AEC/+8=\" }"), "{\"$binary\":\"AAEC/+8=\"}"},
    {T("{\"$binary\":\"AB==\"}"), "{\"$binary\":\"AB==\"}"},
    {T("{\"$binary\":\"AAA\"}"), "{\"$binary\":\"AAA\"}"},
    {T("{\"$binary\":1}"), "{\"$binary\":1}"},
    {T("{\"$binary\":[]}"), "{\"$binary\":[]}"},
    {T("{\"$binary\":\"AAAA\",\"b\":1}"), "{\"$binary\":\"AAAA\",\"b\":1}"},
    {T("{\"b\":1,\"$binary\":\"AAAA\"}"), "{\"b\":1,\"$binary\":\"AAAA\"}"},
};

/* Whole texts. */
static const struct text_case roots[] = {
    {T("{}"), "{}"},
    {T(" \t\r\n{ } \n"), "{}"},
    {T("{\"$binary\":\"AAAA\"}"), "{\"$binary\":\"AAAA\"}"},
    {T(""), NULL},
    {T(" "), NULL},
    {T("[]"), NULL},
    {T("1"), NULL},
    {T("\"a\""), NULL},
    {T("null"), NULL},
    {T("}"), NULL},
    {T("{}{}"), NULL},
    {T("{},"), NULL},
    {T("{}x"), NULL},
    {T("{}\0"), NULL},
    {T("\0{}"), NULL},
    {T("{\0}"), NULL},
    {T("\xef\xbb\xbf{}"), NULL},
    {T("\xff\xfe{\0}\0"), NULL},
    {T("{}//"), NULL},
    {T("{}/**/"), NULL},
    {T("{}\f"), NULL},
    {T("{}\xc2\xa0"), NULL},
};

static void check_text(const char *text, size_t size, const char *written)
{
    /* An exact copy on the heap: reading past its end is seen by AddressSanitizer. */
    char *copy = malloc(size != 0 ? size : 1);
    struct buffer document = {0};
    struct buffer again = {0};
    omendb_error err;
    CHECK(copy != NULL);
    if (size != 0) memcpy(copy, text, size);
    CHECK(buffer_append_text(&document, "before", NULL) == OMENDB_OK);
    const omendb_status status = json_to_document(copy, size, &document, &err);
    free(copy);
    if (written == NULL) {
        if (status != OMENDB_ERR_VALUE) fprintf(stderr, "accepted: %.*s\n", (int)size, text);
        CHECK(status == OMENDB_ERR_VALUE && err.status == status);
        CHECK(strncmp(err.message, "json: byte ", 11) == 0);
        CHECK(document.size == 6);
    } else {
        if (status != OMENDB_OK) fprintf(stderr, "%.*s: %s\n", (int)size, text, err.message);
        CHECK(status == OMENDB_OK);
        CHECK(document_validate(document.data + 6, document.size - 6, &err) == OMENDB_OK);
        CHECK(document_to_json(document.data + 6, document.size - 6, &again, &err) == OMENDB_OK);
        if (again.size != strlen(written) || memcmp(again.data, written, again.size) != 0)
            fprintf(stderr, "%s: %.*s\n", written, (int)again.size, (const char *)again.data);
        CHECK(again.size == strlen(written) && memcmp(again.data, written, again.size) == 0);
    }
    CHECK(memcmp(document.data, "before", 6) == 0);
    buffer_deinit(&document);
    buffer_deinit(&again);
}

static void check_within(const char *head, const struct text_case *row, const char *tail)
{
    char text[512];
    char written[512];
    const size_t head_size = strlen(head);
    memcpy(text, head, head_size);
    memcpy(text + head_size, row->text, row->size);
    memcpy(text + head_size + row->size, tail, strlen(tail));
    (void)snprintf(written, sizeof written, "%s%s%s", head,
                   row->written != NULL ? row->written : "", tail);
    check_text(text, head_size + row->size + strlen(tail), row->written != NULL ? written : NULL);
}

static void accepts_and_refuses_as_rfc_8259_says(void)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        check_within("{\"a\":", &values[i], "}");
        if (strcmp(values[i].text, "1,5") == 0) continue;
        check_within("{\"a\":[0,", &values[i], "]}");
        check_within("{\"a\":[", &values[i], ",\"a\"],\"b\":-1.5}");
    }
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
        check_text(roots[i].text, roots[i].size, roots[i].written);
}

static void refuses_every_prefix_of_a_text(void)
{
    static const char text[] = "{\"a\":[1,2.5e3,-7,\"x\\ny\xc3\xa9\\ud834\\udd1e\",null,true,false,"
                               "{\"b\":{}}],\"0123456789012345678\":{\"$binary\":\"AAEC\"}}";
    for (size_t size = 0; size < sizeof text - 1; size++) check_text(text, size, NULL);
}

static void nests_to_the_limit_and_no_deeper(void)
{
    for (unsigned depth = OMENDB_DEPTH_MAX - 1; depth <= OMENDB_DEPTH_MAX + 1; depth++) {
        char text[512];
        size_t size = 0;
        omendb_error err;
        struct buffer document = {0};
        memcpy(text, "{\"a\":", 5);
        size = 5;
        for (unsigned i = 1; i < depth; i++) text[size++] = '[';
        for (unsigned i = 1; i < depth; i++) text[size++] = ']';
        text[size++] = '}';
        const omendb_status status = json_to_document(text, size, &document, &err);
        CHECK(status == (depth <= OMENDB_DEPTH_MAX ? OMENDB_OK : OMENDB_ERR_ARGUMENT));
        if (status == OMENDB_OK)
            CHECK(document_validate(document.data, document.size, &err) == OMENDB_OK);
        buffer_deinit(&document);
    }
    /* A long run of brackets ends at the limit, not on the stack. */
    char *text = malloc(1000000);
    struct buffer document = {0};
    CHECK(text != NULL);
    memset(text, '[', 1000000);
    memcpy(text, "{\"a\":", 5);
    CHECK(json_to_document(text, 1000000, &document, NULL) == OMENDB_ERR_ARGUMENT);
    free(text);
    buffer_deinit(&document);
}

static void refuses_texts_over_the_size_limit(void)
{
    char *text = malloc((size_t)OMENDB_DOCUMENT_SIZE_MAX + 1);
    struct buffer document = {0};
    size_t count;
    CHECK(text != NULL);
    memset(text, ' ', (size_t)OMENDB_DOCUMENT_SIZE_MAX + 1);
    text[0] = '{';
    text[1] = '}';
    CHECK(json_to_document(text, OMENDB_DOCUMENT_SIZE_MAX, &document, NULL) == OMENDB_OK);
    CHECK(json_to_document(text, (size_t)OMENDB_DOCUMENT_SIZE_MAX + 1, &document, NULL) ==
          OMENDB_ERR_ARGUMENT);
    CHECK(json_read_floats(text, (size_t)OMENDB_DOCUMENT_SIZE_MAX + 1, NULL, 0, &count, NULL) ==
          OMENDB_ERR_ARGUMENT);
    free(text);
    buffer_deinit(&document);
}

static void says_where_and_what_was_expected(void)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"", "json: byte 0 (line 1, column 1): expected '{': an object, found the end"},
        {"{\"a\":1\n  \"b\":2}",
         "json: byte 9 (line 2, column 3): expected ',' or '}', found '\"'"},
        {"{\"\xc3\xa9\":x}", "json: byte 6 (line 1, column 6): expected a value, found 'x'"},
        {"{\"a\":[1 2]}", "json: byte 8 (line 1, column 9): expected ',' or ']', found '2'"},
        {"{\"a\":1.}", "json: byte 7 (line 1, column 8): expected a digit, found '}'"},
        {"{\"a\":\"\\ud800\"}", "json: byte 6 (line 1, column 7): lone surrogate in \\u escape"},
        {"{\"a\":\"\xff\"}", "json: byte 6 (line 1, column 7): invalid UTF-8"},
        {"{\"a\":1e999}", "json: byte 5 (line 1, column 6): number beyond the largest double"},
        {"{}\x01", "json: byte 2 (line 1, column 3): expected the end of the text, found byte "
                   "0x01"},
        {"{\"a\":1,\"a\":2}",
         "json: byte 12 (line 1, column 13): key \"a\" comes twice in an object"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer document = {0};
        omendb_error err;
        CHECK(json_to_document(rows[i].text, strlen(rows[i].text), &document, &err) ==
              OMENDB_ERR_VALUE);
        if (strcmp(err.message, rows[i].message) != 0) fprintf(stderr, "%s\n", err.message);
        CHECK(strcmp(err.message, rows[i].message) == 0);
        buffer_deinit(&document);
    }
}

static void finds_a_key_that_comes_twice_among_many(void)
{
    for (unsigned count = 2; count <= 40; count++) {
        for (unsigned twin = 0; twin <= count; twin++) { /* twin == count: none. */
            struct buffer text = {0};
            struct buffer document = {0};
            omendb_error err;
            CHECK(buffer_append_text(&text, "{", NULL) == OMENDB_OK);
            for (unsigned i = 0; i < count; i++) {
                /* Keys that share their first 8 bytes, in a scattered order. */
                const unsigned n = i == count - 1 && twin < i ? twin : i;
                CHECK(buffer_append_format(&text, NULL, "%s\"prefix-%s%u\":%u", i != 0 ? "," : "",
                                           n % 3 != 0 ? "prefix" : "", n * 7 % 41, i) == OMENDB_OK);
            }
            CHECK(buffer_append_text(&text, "}", NULL) == OMENDB_OK);
            const bool has_twin = twin < count - 1;
            CHECK(json_to_document((const char *)text.data, text.size, &document, &err) ==
                  (has_twin ? OMENDB_ERR_VALUE : OMENDB_OK));
            if (!has_twin)
                CHECK(document_validate(document.data, document.size, NULL) == OMENDB_OK);
            buffer_deinit(&text);
            buffer_deinit(&document);
        }
    }
}

static void takes_bytes_out_of_binary_objects(void)
{
    static const char text[] = "{\"a\":{\"$binary\":\"AAEC/w==\"},\"b\":{\"$binary\":\"\"},"
                               "\"c\":{\"$binary\":\"A\"},\"d\":[{\"$binary\":\"//79\"}]}";
    struct buffer document = {0};
    struct value root;
    struct value value;
    struct value item;
    CHECK(json_to_document(text, sizeof text - 1, &document, NULL) == OMENDB_OK);
    document_root(document.data, document.size, &root);
    CHECK(value_member(&root, "a", 1, &value) && value.kind == VALUE_BYTES && value.size == 4);
    CHECK(memcmp(value.bytes, "\0\1\2\xff", 4) == 0);
    CHECK(value_member(&root, "b", 1, &value) && value.kind == VALUE_BYTES && value.size == 0);
    CHECK(value_member(&root, "c", 1, &value) && value.kind == VALUE_OBJECT);
    CHECK(value_member(&root, "d", 1, &value) && value_item(&value, 0, &item));
    CHECK(item.kind == VALUE_BYTES && item.size == 3 && memcmp(item.bytes, "\xff\xfe\xfd", 3) == 0);
    buffer_deinit(&document);
}

static void keeps_base64_of_every_length(void)
{
    for (unsigned size = 0; size < 400; size++) {
        struct buffer text = {0};
        struct buffer document = {0};
        struct buffer again = {0};
        static const char digits[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        CHECK(buffer_append_text(&text, "{\"k\":{\"$binary\":\"", NULL) == OMENDB_OK);
        for (unsigned i = 0; i < size / 3 * 4; i++)
            CHECK(buffer_append(&text, &digits[(i * 37 + size) % 64], 1, NULL) == OMENDB_OK);
        if (size % 3 == 1) CHECK(buffer_append_text(&text, "/w==", NULL) == OMENDB_OK);
        if (size % 3 == 2) CHECK(buffer_append_text(&text, "//8=", NULL) == OMENDB_OK);
        CHECK(buffer_append_text(&text, "\"}}", NULL) == OMENDB_OK);
        CHECK(json_to_document((const char *)text.data, text.size, &document, NULL) == OMENDB_OK);
        CHECK(document_validate(document.data, document.size, NULL) == OMENDB_OK);
        struct value root;
        struct value value;
        document_root(document.data, document.size, &root);
        CHECK(value_member(&root, "k", 1, &value) && value.kind == VALUE_BYTES);
        CHECK(value.size == size);
        CHECK(document_to_json(document.data, document.size, &again, NULL) == OMENDB_OK);
        CHECK(again.size == text.size && memcmp(again.data, text.data, text.size) == 0);
        buffer_deinit(&text);
        buffer_deinit(&document);
        buffer_deinit(&again);
    }
}

static void every_failed_allocation_leaves_the_buffer_as_it_was(void)
{
    struct buffer text = {0};
    CHECK(buffer_append_text(&text, "{\"a\":[0", NULL) == OMENDB_OK);
    for (unsigned i = 0; i < 600; i++)
        CHECK(buffer_append_format(&text, NULL, ",%u", i) == OMENDB_OK);
    CHECK(buffer_append_text(&text, "],\"esc\\n\":\"\\t\",\"o\":{\"k\":0", NULL) == OMENDB_OK);
    for (unsigned i = 0; i < 40; i++)
        CHECK(buffer_append_format(&text, NULL, ",\"k%u\":%u.5", i, i) == OMENDB_OK);
    CHECK(buffer_append_text(&text, "}}", NULL) == OMENDB_OK);
    long failures = 0;
    for (;; failures++) {
        struct buffer document = {0};
        omendb_error err;
        CHECK(buffer_append_text(&document, "x", NULL) == OMENDB_OK);
        alloc_fail_after(failures, 1);
        const omendb_status status = json_to_document((const char *)text.data, text.size, &document,
                                                      &err);
        alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || (status == OMENDB_ERR_NOMEM && document.size == 1));
        buffer_deinit(&document);
        if (status == OMENDB_OK) break;
    }
    CHECK(failures >= 5); /* The buffer several times, the open items twice, the sort. */
    struct buffer document = {0};
    CHECK(json_to_document((const char *)text.data, text.size, &document, NULL) == OMENDB_OK);
    for (failures = 0;; failures++) {
        struct buffer out = {0};
        alloc_fail_after(failures, 1);
        const omendb_status status = document_to_json(document.data, document.size, &out, NULL);
        alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || (status == OMENDB_ERR_NOMEM && out.size == 0));
        buffer_deinit(&out);
        if (status == OMENDB_OK) break;
    }
    CHECK(failures >= 3);
    buffer_deinit(&document);
    buffer_deinit(&text);
    CHECK(alloc_bytes() == 0);
}

static const struct test tests[] = {
    {"accepts_and_refuses_as_rfc_8259_says", accepts_and_refuses_as_rfc_8259_says},
    {"refuses_every_prefix_of_a_text", refuses_every_prefix_of_a_text},
    {"nests_to_the_limit_and_no_deeper", nests_to_the_limit_and_no_deeper},
    {"refuses_texts_over_the_size_limit", refuses_texts_over_the_size_limit},
    {"says_where_and_what_was_expected", says_where_and_what_was_expected},
    {"finds_a_key_that_comes_twice_among_many", finds_a_key_that_comes_twice_among_many},
    {"takes_bytes_out_of_binary_objects", takes_bytes_out_of_binary_objects},
    {"keeps_base64_of_every_length", keeps_base64_of_every_length},
    {"every_failed_allocation_leaves_the_buffer_as_it_was",
     every_failed_allocation_leaves_the_buffer_as_it_was},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
