/* Tests of doc/schema.h. */
#include "test.h"

#include <stdint.h>

#include "base/alloc.h"
#include "doc/json.h"
#include "doc/schema.h"

static uint64_t random_state = 88172645463325252u;
static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static omendb_vector_field vector_field(const char *name, uint32_t dim, omendb_type type,
                                        omendb_metric metric)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    field.name = name;
    field.dim = dim;
    field.type = type;
    field.metric = metric;
    return field;
}

static omendb_field field(const char *name, omendb_field_type type)
{
    return (omendb_field){sizeof(omendb_field), type, name};
}

static omendb_schema schema_of(const omendb_vector_field *vectors, uint32_t vectors_count,
                               const omendb_field *fields, uint32_t fields_count)
{
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    schema.vectors = vectors;
    schema.vectors_count = vectors_count;
    schema.fields = fields;
    schema.fields_count = fields_count;
    return schema;
}

static struct schema *sample(void)
{
    omendb_vector_field vectors[] = {
        vector_field("embedding", 384, OMENDB_F16, OMENDB_COSINE),
        vector_field("\xc3\xa9", OMENDB_DIM_MAX, OMENDB_F32, OMENDB_L2),
        vector_field("bits", 13, OMENDB_BIT, OMENDB_HAMMING),
    };
    const omendb_field fields[] = {
        field("any", OMENDB_FIELD_ANY),       field("ok", OMENDB_FIELD_BOOL),
        field("year", OMENDB_FIELD_INT),      field("price", OMENDB_FIELD_FLOAT),
        field("title", OMENDB_FIELD_STRING),  field("body", OMENDB_FIELD_TEXT),
        field("blob", OMENDB_FIELD_BYTES),    field("tags", OMENDB_FIELD_ARRAY),
        field("author", OMENDB_FIELD_OBJECT),
    };
    vectors[0].index = OMENDB_INDEX_COMPACT;
    vectors[2].index = OMENDB_INDEX_EXACT;
    const omendb_schema from = schema_of(vectors, 3, fields, 9);
    struct schema *schema = NULL;
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_OK);
    return schema;
}

static void check_same(const struct schema *a, const struct schema *b)
{
    CHECK(a->vectors_count == b->vectors_count && a->fields_count == b->fields_count);
    for (uint32_t i = 0; i < a->vectors_count; i++) {
        CHECK(strcmp(a->vectors[i].name, b->vectors[i].name) == 0);
        CHECK(a->vectors[i].type == b->vectors[i].type);
        CHECK(a->vectors[i].metric == b->vectors[i].metric);
        CHECK(a->vectors[i].index == b->vectors[i].index);
        CHECK(a->vectors[i].dim == b->vectors[i].dim && a->vectors[i].size == b->vectors[i].size);
    }
    for (uint32_t i = 0; i < a->fields_count; i++) {
        CHECK(strcmp(a->fields[i].name, b->fields[i].name) == 0);
        CHECK(a->fields[i].type == b->fields[i].type);
    }
}

static void keeps_what_the_caller_gave(void)
{
    struct schema *schema = sample();
    CHECK(schema->vectors_count == 3 && schema->fields_count == 9);
    CHECK(strcmp(schema->vectors[0].name, "embedding") == 0 && schema->vectors[0].size == 768);
    CHECK(schema->vectors[1].size == 65536 && schema->vectors[2].size == 2);
    CHECK(strcmp(schema->fields[8].name, "author") == 0);
    schema_destroy(schema);
    CHECK(schema_create(NULL, &schema, NULL) == OMENDB_OK);
    CHECK(schema->vectors_count == 0 && schema->fields_count == 0);
    schema_destroy(schema);
    schema_destroy(NULL);
    CHECK(alloc_bytes() == 0);
}

static void refuses_vectors_that_make_no_sense(void)
{
    const struct {
        omendb_vector_field field;
        omendb_status status;
    } rows[] = {
        {vector_field("v", 1, OMENDB_F32, OMENDB_L2), OMENDB_OK},
        {vector_field("v", OMENDB_DIM_MAX, OMENDB_U8, OMENDB_IP), OMENDB_OK},
        {vector_field("v", 8, OMENDB_BIT, OMENDB_HAMMING), OMENDB_OK},
        {vector_field("v", 0, OMENDB_F32, OMENDB_L2), OMENDB_ERR_ARGUMENT},
        {vector_field("v", OMENDB_DIM_MAX + 1, OMENDB_F32, OMENDB_L2), OMENDB_ERR_ARGUMENT},
        {vector_field("v", 8, OMENDB_F64, OMENDB_L2), OMENDB_ERR_ARGUMENT},
        {vector_field("v", 8, 7, OMENDB_L2), OMENDB_ERR_ARGUMENT},
        {vector_field("v", 8, OMENDB_F32, 4), OMENDB_ERR_ARGUMENT},
        {vector_field("v", 8, OMENDB_BIT, OMENDB_L2), OMENDB_ERR_ARGUMENT},
        {vector_field("v", 8, OMENDB_F32, OMENDB_HAMMING), OMENDB_ERR_ARGUMENT},
        {vector_field(NULL, 8, OMENDB_F32, OMENDB_L2), OMENDB_ERR_ARGUMENT},
        {vector_field("", 8, OMENDB_F32, OMENDB_L2), OMENDB_ERR_ARGUMENT},
        {{sizeof(omendb_vector_field), 8, "v", OMENDB_F32, OMENDB_L2, 4, 0}, OMENDB_ERR_ARGUMENT},
        {{sizeof(omendb_vector_field), 8, "v", OMENDB_F32, OMENDB_L2, 3, 1}, OMENDB_ERR_ARGUMENT},
        {{0, 8, "v", OMENDB_F32, OMENDB_L2, 0, 0}, OMENDB_ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const omendb_schema from = schema_of(&rows[i].field, 1, NULL, 0);
        struct schema *schema = NULL;
        CHECK(schema_create(&from, &schema, NULL) == rows[i].status);
        CHECK((schema != NULL) == (rows[i].status == OMENDB_OK));
        schema_destroy(schema);
    }
}

static void refuses_schemas_that_make_no_sense(void)
{
    static omendb_vector_field vectors[OMENDB_VECTOR_FIELDS_MAX + 1];
    static omendb_field fields[SCHEMA_FIELDS_MAX + 1];
    static char names[SCHEMA_FIELDS_MAX + 1][8];
    struct schema *schema = NULL;
    for (unsigned i = 0; i <= SCHEMA_FIELDS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%u", i);
        fields[i] = field(names[i], OMENDB_FIELD_ANY);
    }
    for (unsigned i = 0; i <= OMENDB_VECTOR_FIELDS_MAX; i++)
        vectors[i] = vector_field(names[i], 4, OMENDB_F32, OMENDB_L2);
    omendb_schema from = schema_of(vectors, OMENDB_VECTOR_FIELDS_MAX, NULL, 0);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_OK);
    schema_destroy(schema);
    from = schema_of(NULL, 0, fields, SCHEMA_FIELDS_MAX);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_OK);
    schema_destroy(schema);
    from = schema_of(vectors, OMENDB_VECTOR_FIELDS_MAX + 1, NULL, 0);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_ERR_ARGUMENT);
    from = schema_of(NULL, 0, fields, SCHEMA_FIELDS_MAX + 1);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_ERR_ARGUMENT);
    from = schema_of(NULL, 1, NULL, 0);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_ERR_ARGUMENT);
    from = schema_of(NULL, 0, NULL, 1);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_ERR_ARGUMENT);
    from = schema_of(vectors, 1, fields, 1); /* The same name in both. */
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_ERR_ARGUMENT);
    fields[1].name = "n0";
    from = schema_of(NULL, 0, fields, 2);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_ERR_ARGUMENT);
    fields[0].type = 9;
    from = schema_of(NULL, 0, fields, 1);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_ERR_ARGUMENT);
    from = schema_of(NULL, 0, NULL, 0);
    from.struct_size = 0;
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_ERR_ARGUMENT);
}

static void names_are_utf8_without_control_characters(void)
{
    char longest[OMENDB_NAME_SIZE_MAX + 2];
    static const char *const bad[] = {"",         "a/b",      "/",     "a\nb",         "\x7f",
                                      "\x1f",     "\xff",     "a\xc3", "\xed\xa0\x80", "\xc0\x80",
                                      "\xc2\x85", "a\xc2\x9f"};
    static const char *const good[] = {"a", " ", "a.b", "$x", "\xc2\xa0", "\xf0\x9f\x98\x80", "~"};
    omendb_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(schema_check_name("collection", bad[i], &err) == OMENDB_ERR_ARGUMENT);
        CHECK(strncmp(err.message, "collection: name ", 17) == 0);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(schema_check_name("collection", good[i], NULL) == OMENDB_OK);
    CHECK(schema_check_name("collection", NULL, NULL) == OMENDB_ERR_ARGUMENT);
    memset(longest, 'x', sizeof longest);
    longest[OMENDB_NAME_SIZE_MAX + 1] = '\0';
    CHECK(schema_check_name("collection", longest, NULL) == OMENDB_ERR_ARGUMENT);
    longest[OMENDB_NAME_SIZE_MAX] = '\0';
    CHECK(schema_check_name("collection", longest, NULL) == OMENDB_OK);
}

static void comes_back_from_its_encoded_form(void)
{
    struct schema *schema = sample();
    struct schema *again = NULL;
    struct buffer out = {0};
    size_t used = 0;
    CHECK(buffer_append_text(&out, "x", NULL) == OMENDB_OK);
    CHECK(schema_encode(schema, &out, NULL) == OMENDB_OK);
    const size_t size = out.size - 1;
    CHECK(buffer_append_text(&out, "and more", NULL) == OMENDB_OK);
    CHECK(schema_decode(out.data + 1, out.size - 1, &used, &again, NULL) == OMENDB_OK);
    CHECK(used == size);
    check_same(schema, again);
    schema_destroy(again);
    /* The form is fixed: this is what docs/FORMAT.md says. */
    const omendb_vector_field vector = vector_field("v", 770, OMENDB_BF16, OMENDB_IP);
    const omendb_field year = field("year", OMENDB_FIELD_INT);
    const omendb_schema from = schema_of(&vector, 1, &year, 1);
    struct schema *fixed = NULL;
    CHECK(schema_create(&from, &fixed, NULL) == OMENDB_OK);
    buffer_clear(&out);
    CHECK(schema_encode(fixed, &out, NULL) == OMENDB_OK);
    static const char bytes[] =
        "\x01\x01\x01\x00\x02\x02\x01\x00\x02\x03\x00\x00v\x02\x04\x00\x00year";
    CHECK(out.size == sizeof bytes - 1 && memcmp(out.data, bytes, out.size) == 0);
    schema_destroy(fixed);
    omendb_vector_field compact = vector;
    compact.index = OMENDB_INDEX_COMPACT;
    const omendb_schema indexed = schema_of(&compact, 1, &year, 1);
    CHECK(schema_create(&indexed, &fixed, NULL) == OMENDB_OK);
    buffer_clear(&out);
    CHECK(schema_encode(fixed, &out, NULL) == OMENDB_OK);
    static const char with_index[] =
        "\x01\x01\x01\x00\x02\x02\x01\x01\x02\x03\x00\x00v\x02\x02\x04\x00\x00year";
    CHECK(out.size == sizeof with_index - 1 && memcmp(out.data, with_index, out.size) == 0);
    schema_destroy(fixed);
    schema_destroy(schema);
    buffer_deinit(&out);
}

static void hostile_bytes_are_corrupt_or_a_sound_schema(void)
{
    struct schema *schema = sample();
    struct buffer out = {0};
    unsigned sound = 0;
    unsigned corrupt = 0;
    CHECK(schema_encode(schema, &out, NULL) == OMENDB_OK);
    for (size_t round = 0; round < 60000 + out.size; round++) {
        size_t size = out.size;
        struct schema *again = NULL;
        size_t used = 0;
        if (round < out.size) size = round; /* Every prefix. */
        uint8_t *copy = malloc(size + 1);
        CHECK(copy != NULL);
        memcpy(copy, out.data, size);
        for (unsigned i = 0; round >= out.size && i < 1 + round % 3; i++)
            copy[random_u64() % size] = (uint8_t)(random_u64() % 3 == 0 ? random_u64() % 4
                                                                        : random_u64());
        uint8_t *exact = realloc(copy, size != 0 ? size : 1);
        CHECK(exact != NULL);
        const omendb_status status = schema_decode(exact, size, &used, &again, NULL);
        if (status == OMENDB_OK) {
            struct buffer encoded = {0};
            CHECK(round >= out.size && used <= size);
            CHECK(schema_encode(again, &encoded, NULL) == OMENDB_OK);
            CHECK(encoded.size == used && memcmp(encoded.data, exact, used) == 0);
            buffer_deinit(&encoded);
            sound++;
        } else {
            CHECK(status == OMENDB_ERR_CORRUPT || status == OMENDB_ERR_UNSUPPORTED);
            CHECK(again == NULL);
            corrupt++;
        }
        schema_destroy(again);
        free(exact);
    }
    CHECK(sound > 100 && corrupt > 100);
    schema_destroy(schema);
    buffer_deinit(&out);
    CHECK(alloc_bytes() == 0);
}

static void describes_itself_as_json(void)
{
    static const char want[] =
        "\"vectors\":[{\"name\":\"embedding\",\"dim\":384,\"type\":\"f16\",\"metric\":\"cosine\","
        "\"index\":\"compact\"},"
        "{\"name\":\"\xc3\xa9\",\"dim\":16384,\"type\":\"f32\",\"metric\":\"l2\",\"index\":"
        "\"default\"},"
        "{\"name\":\"bits\",\"dim\":13,\"type\":\"bit\",\"metric\":\"hamming\",\"index\":\"exact\"}"
        "],"
        "\"fields\":[{\"name\":\"any\",\"type\":\"any\"},{\"name\":\"ok\",\"type\":\"bool\"},"
        "{\"name\":\"year\",\"type\":\"int\"},{\"name\":\"price\",\"type\":\"float\"},"
        "{\"name\":\"title\",\"type\":\"string\"},{\"name\":\"body\",\"type\":\"text\"},"
        "{\"name\":\"blob\",\"type\":\"bytes\"},{\"name\":\"tags\",\"type\":\"array\"},"
        "{\"name\":\"author\",\"type\":\"object\"}]";
    struct schema *schema = sample();
    struct buffer out = {0};
    CHECK(schema_describe(schema, NULL, &out, NULL) == OMENDB_OK);
    CHECK(out.size == sizeof want - 1 && memcmp(out.data, want, out.size) == 0);
    schema_destroy(schema);
    CHECK(schema_create(NULL, &schema, NULL) == OMENDB_OK);
    buffer_clear(&out);
    CHECK(schema_describe(schema, NULL, &out, NULL) == OMENDB_OK);
    CHECK(out.size == 24 && memcmp(out.data, "\"vectors\":[],\"fields\":[]", 24) == 0);
    schema_destroy(schema);
    buffer_deinit(&out);
}

static void finds_vector_fields_by_name(void)
{
    struct schema *schema = sample();
    uint32_t index = 9;
    CHECK(schema_vector_index(schema, "bits", &index, NULL) == OMENDB_OK && index == 2);
    CHECK(schema_vector_index(schema, "embedding", &index, NULL) == OMENDB_OK && index == 0);
    CHECK(schema_vector_index(schema, "year", &index, NULL) == OMENDB_ERR_NOT_FOUND);
    CHECK(schema_vector_index(schema, NULL, &index, NULL) == OMENDB_ERR_ARGUMENT);
    schema_destroy(schema);
    const omendb_vector_field only = vector_field("only", 4, OMENDB_F32, OMENDB_L2);
    const omendb_schema from = schema_of(&only, 1, NULL, 0);
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_OK);
    CHECK(schema_vector_index(schema, NULL, &index, NULL) == OMENDB_OK && index == 0);
    CHECK(schema_vector_index(schema, "onl", &index, NULL) == OMENDB_ERR_NOT_FOUND);
    schema_destroy(schema);
    CHECK(schema_create(NULL, &schema, NULL) == OMENDB_OK);
    CHECK(schema_vector_index(schema, NULL, &index, NULL) == OMENDB_ERR_NOT_FOUND);
    schema_destroy(schema);
}

static void declared_fields_take_their_type_null_or_nothing(void)
{
    static const char *const samples[] = {"null",
                                          "true",
                                          "false",
                                          "1",
                                          "18446744073709551615",
                                          "1.5",
                                          "18446744073709551616",
                                          "\"s\"",
                                          "[]",
                                          "{}",
                                          "{\"$binary\":\"AA==\"}"};
    static const struct {
        const char *name;
        const char *takes; /* One of "01" per sample. */
    } rows[] = {
        {"any", "11111111111"},        {"ok", "11100000000"},    {"year", "10011000000"},
        {"price", "10011110000"},      {"title", "10000001000"}, {"body", "10000001000"},
        {"blob", "10000000001"},       {"tags", "10000000100"},  {"author", "10000000010"},
        {"undeclared", "11111111111"},
    };
    struct schema *schema = sample();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t k = 0; k < sizeof samples / sizeof *samples; k++) {
            char text[128];
            struct buffer document = {0};
            omendb_error err;
            const int size = snprintf(text, sizeof text, "{\"x\":0,\"%s\":%s}", rows[i].name,
                                      samples[k]);
            CHECK(json_to_document(text, (size_t)size, &document, NULL) == OMENDB_OK);
            const omendb_status status = schema_check_document(schema, document.data, document.size,
                                                               &err);
            CHECK(status == (rows[i].takes[k] == '1' ? OMENDB_OK : OMENDB_ERR_VALUE));
            if (status != OMENDB_OK) CHECK(strstr(err.message, rows[i].name) != NULL);
            buffer_deinit(&document);
        }
    }
    struct buffer empty = {0};
    CHECK(json_to_document("{}", 2, &empty, NULL) == OMENDB_OK);
    CHECK(schema_check_document(schema, empty.data, empty.size, NULL) == OMENDB_OK);
    buffer_deinit(&empty);
    schema_destroy(schema);
}

static void every_failed_allocation_is_reported(void)
{
    struct schema *schema = sample();
    struct buffer out = {0};
    alloc_fail_after(0, 1);
    CHECK(schema_encode(schema, &out, NULL) == OMENDB_ERR_NOMEM && out.size == 0);
    CHECK(schema_encode(schema, &out, NULL) == OMENDB_OK);
    struct schema *again = NULL;
    size_t used = 0;
    alloc_fail_after(0, 1);
    CHECK(schema_decode(out.data, out.size, &used, &again, NULL) == OMENDB_ERR_NOMEM);
    alloc_fail_after(0, 1);
    CHECK(schema_create(NULL, &again, NULL) == OMENDB_ERR_NOMEM);
    for (long n = 0;; n++) {
        struct buffer text = {0};
        alloc_fail_after(n, 1);
        const omendb_status status = schema_describe(schema, NULL, &text, NULL);
        alloc_fail_after(-1, 0);
        buffer_deinit(&text);
        if (status == OMENDB_OK) break;
        CHECK(status == OMENDB_ERR_NOMEM);
    }
    CHECK(again == NULL);
    schema_destroy(schema);
    buffer_deinit(&out);
    CHECK(alloc_bytes() == 0);
}

static const struct test tests[] = {
    {"keeps_what_the_caller_gave", keeps_what_the_caller_gave},
    {"refuses_vectors_that_make_no_sense", refuses_vectors_that_make_no_sense},
    {"refuses_schemas_that_make_no_sense", refuses_schemas_that_make_no_sense},
    {"names_are_utf8_without_control_characters", names_are_utf8_without_control_characters},
    {"comes_back_from_its_encoded_form", comes_back_from_its_encoded_form},
    {"hostile_bytes_are_corrupt_or_a_sound_schema", hostile_bytes_are_corrupt_or_a_sound_schema},
    {"describes_itself_as_json", describes_itself_as_json},
    {"finds_vector_fields_by_name", finds_vector_fields_by_name},
    {"declared_fields_take_their_type_null_or_nothing",
     declared_fields_take_their_type_null_or_nothing},
    {"every_failed_allocation_is_reported", every_failed_allocation_is_reported},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
