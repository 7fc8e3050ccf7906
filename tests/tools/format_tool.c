/* format_tool.c - makes databases for tests/format and says what the library reads in them.
 *
 *     write FILE SEED BATCHES LOG_SIZE close|kill    random changes to the file; the same seed
 *                                                    makes the same changes
 *     catalog FILE COUNT close|kill                  so many empty collections
 *     list FILE                                      omendb_collection_list()
 *     dump FILE COLLECTION FIELD...                  one JSON object a line, as omen_dump.py --raw
 *     check FILE                                     omendb_check(), deep; exit status 1: problems
 *     checksums                                      lengths and what base/checksum.h makes of them
 *
 * `kill` ends the process by SIGKILL after its last commit, so that the log stays.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "omendb.h"

enum { BATCH_ROWS = 12, DIM_MAX = 128, TEXT_MAX = 1500000, ID_MAX = 40 };

static omendb_error error;

static void must(omendb_status status)
{
    if (status == OMENDB_OK) return;
    fprintf(stderr, "format_tool: %s: %s\n", omendb_status_name(status), error.message);
    exit(3);
}

/* Sebastiano Vigna's splitmix64. */
static uint64_t random_state;

static uint64_t random_next(void)
{
    uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(random_next() % limit);
}

static void finish(omendb *db, const char *end)
{
    if (strcmp(end, "kill") == 0) (void)raise(SIGKILL);
    must(omendb_close(db, &error));
}

/* ---- Documents ---- */

struct text {
    char bytes[TEXT_MAX];
    size_t size;
};

static void put(struct text *text, const char *more)
{
    const size_t size = strlen(more);
    if (text->size + size >= sizeof text->bytes) exit(3);
    memcpy(text->bytes + text->size, more, size);
    text->size += size;
}

static void put_characters(struct text *text, uint32_t count)
{
    static const char *const characters[] = {"a", "Z", " ", "\\n", "\xc3\xa9", "\xf0\x9f\xa6\x8a"};
    for (uint32_t i = 0; i < count; i++) put(text, characters[below(6)]);
}

static void put_value(struct text *text, uint32_t depth);

static void put_members(struct text *text, uint32_t count, uint32_t depth)
{
    char key[64];
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "%s\"%c%u%s\":", i == 0 ? "" : ",", 'a' + (char)below(26),
                       i, below(8) == 0 ? "\xc3\xbc" : "");
        put(text, key);
        put_value(text, depth);
    }
}

static void put_items(struct text *text, uint32_t depth)
{
    const uint32_t count = below(below(8) == 0 ? 300 : 6);
    const bool alike = below(2) == 0; /* One size: the stride form. */
    put(text, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i != 0) put(text, ",");
        if (alike) put(text, below(2) == 0 ? "1" : "63");
        else put_value(text, depth);
    }
    put(text, "]");
}

static void put_number(struct text *text)
{
    static const char *const numbers[] = {"0",
                                          "-1",
                                          "63",
                                          "64",
                                          "-128",
                                          "32767",
                                          "-2e9",
                                          "1.5",
                                          "0.1",
                                          "-0.0",
                                          "1e-310",
                                          "9223372036854775807",
                                          "1e300",
                                          "3.25",
                                          "-32769",
                                          "2147483648",
                                          "16777217.0",
                                          "18446744073709551615",
                                          "5e-45",
                                          "65504",
                                          "127",
                                          "-2147483649",
                                          "1.1754944e-38",
                                          "-9223372036854775808",
                                          "18446744073709551616",
                                          "-123456789012345678901234567890"};
    put(text, numbers[below(sizeof numbers / sizeof *numbers)]);
}

static void put_value(struct text *text, uint32_t depth)
{
    const uint32_t kind = below(depth == 0 ? 6 : 9);
    if (kind <= 1) {
        put_number(text);
    } else if (kind <= 3) {
        put(text, "\"");
        put_characters(text, below(below(10) == 0 ? 400 : 30));
        put(text, "\"");
    } else if (kind == 4) {
        put(text, below(3) == 0 ? "null" : below(2) == 0 ? "true" : "false");
    } else if (kind == 5) {
        put(text, "{\"$binary\":\"AAECAw==\"}");
    } else if (kind == 6) {
        put_items(text, depth - 1);
    } else {
        put(text, "{");
        put_members(text, below(below(4) == 0 ? 40 : 5), depth - 1);
        put(text, "}");
    }
}

/* An object; now and then one that needs a run of chunks. */
static void put_document(struct text *text)
{
    put(text, "{");
    if (below(24) == 0) { /* Of one piece again and again: golden files must stay small. */
        const uint32_t pieces = 200 + below(700);
        put(text, "\"long\":\"");
        const size_t piece = text->size;
        put_characters(text, 50 + below(20));
        const size_t size = text->size - piece;
        for (uint32_t i = 1; i < pieces; i++) {
            if (text->size + size >= sizeof text->bytes) exit(3);
            memcpy(text->bytes + text->size, text->bytes + piece, size);
            text->size += size;
        }
        put(text, "\",");
    }
    put(text, "\"n\":");
    put_number(text);
    if (below(2) == 0) put(text, ",");
    else {
        put(text, "}");
        return;
    }
    put_members(text, 1 + below(20), 3);
    put(text, "}");
}

/* ---- Collections ---- */

static const struct {
    const char *name;
    uint32_t dim;
    omendb_type type;
    omendb_metric metric;
} fields[] = {{"f32", 5, OMENDB_F32, OMENDB_L2},       {"f16", 7, OMENDB_F16, OMENDB_COSINE},
              {"bf16", 3, OMENDB_BF16, OMENDB_IP},     {"i8", 9, OMENDB_I8, OMENDB_L2},
              {"u8", 4, OMENDB_U8, OMENDB_IP},         {"bit", 13, OMENDB_BIT, OMENDB_HAMMING},
              {"long", 128, OMENDB_F32, OMENDB_COSINE}};
enum { FIELDS = 7 };

/* Which fields each collection has, and whether its ids are numbers, strings or both. */
static const struct {
    const char *name;
    uint32_t first, count;
    bool numbers, strings;
} kinds[] = {{"types", 0, 6, false, true},
             {"codes", 6, 1, true, false},
             {"plain \xc3\xa9", 0, 0, true, true}};
enum { KINDS = 3 };

static void schema_make(uint32_t kind, omendb_schema *schema, omendb_vector_field *vectors,
                        omendb_field *declared)
{
    *schema = (omendb_schema)OMENDB_SCHEMA_INIT;
    for (uint32_t i = 0; i < kinds[kind].count; i++) {
        vectors[i] = (omendb_vector_field)OMENDB_VECTOR_FIELD_INIT;
        vectors[i].name = fields[kinds[kind].first + i].name;
        vectors[i].dim = fields[kinds[kind].first + i].dim;
        vectors[i].type = fields[kinds[kind].first + i].type;
        vectors[i].metric = fields[kinds[kind].first + i].metric;
        /* Both forms of an encoded field. */
        vectors[i].index = i == 0 && kind == 0 ? OMENDB_INDEX_EXACT : OMENDB_INDEX_DEFAULT;
    }
    schema->vectors = vectors;
    schema->vectors_count = kinds[kind].count;
    *declared = (omendb_field){
        .struct_size = sizeof *declared, .type = OMENDB_FIELD_FLOAT, .name = "n"};
    schema->fields = declared;
    schema->fields_count = 1;
}

static omendb_collection *collection_take(omendb *db, uint32_t kind)
{
    omendb_schema schema;
    omendb_vector_field vectors[FIELDS];
    omendb_field declared;
    omendb_collection *collection = NULL;
    if (omendb_collection_open(db, kinds[kind].name, &collection, &error) == OMENDB_OK)
        return collection;
    schema_make(kind, &schema, vectors, &declared);
    must(omendb_collection_create(db, kinds[kind].name, &schema, &collection, &error));
    return collection;
}

/* Creates, renames and drops something beside the three. */
static void catalog_change(omendb *db, uint64_t seed)
{
    char name[64], other[64];
    (void)snprintf(name, sizeof name, "made by %" PRIu64, seed);
    (void)snprintf(other, sizeof other, "renamed by %" PRIu64, seed);
    must(omendb_collection_create(db, name, NULL, NULL, &error));
    if (below(2) == 0) must(omendb_collection_rename(db, name, other, &error));
    else if (below(2) == 0) must(omendb_collection_drop(db, name, &error));
}

/* ---- Writing ---- */

struct rows {
    char id_bytes[BATCH_ROWS][ID_MAX];
    omendb_id ids[BATCH_ROWS];
    uint64_t offsets[BATCH_ROWS + 1];
    uint8_t present[FIELDS][BATCH_ROWS];
    uint8_t data[FIELDS][BATCH_ROWS * DIM_MAX * 4];
    struct text json;
};

static void id_make(uint32_t kind, char *bytes, omendb_id *out)
{
    const uint32_t number = below(60);
    *out = (omendb_id){.number = number * UINT64_C(0x0123456789ABCDE) >> below(2)};
    if (!kinds[kind].strings || (kinds[kind].numbers && below(2) == 0)) return;
    const int size = snprintf(bytes, ID_MAX, "id \xc3\xa4 %u%s", number,
                              number % 7 == 0 ? " and some more of it" : "");
    *out = (omendb_id){.text_view = bytes, .size = (size_t)size};
}

/* Components that every element type holds. */
static void vector_make(const omendb_type type, uint32_t dim, uint8_t *out)
{
    for (uint32_t i = 0; i < dim; i++) {
        const float value = (float)(1 + (int)below(63)) * (below(2) == 0 ? 0.5f : 1.0f);
        if (type == OMENDB_F32 || type == OMENDB_F16 || type == OMENDB_BF16)
            memcpy(out + 4 * i, &value, sizeof value);
        else if (type == OMENDB_BIT) out[i / 8] |= (uint8_t)(below(2) << i % 8);
        else out[i] = (uint8_t)(1 + below(127));
    }
}

static void rows_fill(struct rows *rows, uint32_t kind, uint32_t count, omendb_vectors *columns)
{
    memset(rows, 0, offsetof(struct rows, json));
    rows->json.size = 0;
    for (uint32_t i = 0; i < count; i++) {
        id_make(kind, rows->id_bytes[i], &rows->ids[i]);
        put_document(&rows->json);
        rows->offsets[i + 1] = rows->json.size;
    }
    for (uint32_t f = 0; f < kinds[kind].count; f++) {
        const omendb_type type = fields[kinds[kind].first + f].type;
        const uint32_t dim = fields[kinds[kind].first + f].dim;
        columns[f] = (omendb_vectors)OMENDB_VECTORS_INIT;
        columns[f].field = fields[kinds[kind].first + f].name;
        columns[f].type = type == OMENDB_F16 || type == OMENDB_BF16 ? OMENDB_F32 : type;
        columns[f].dim = dim;
        columns[f].data = rows->data[f];
        columns[f].row_stride = (size_t)DIM_MAX * 4;
        columns[f].present = rows->present[f];
        for (uint32_t i = 0; i < count; i++) {
            rows->present[f][i] = below(6) != 0;
            if (i != 0 && below(4) == 0) /* A vector that comes again. */
                memcpy(rows->data[f] + i * DIM_MAX * 4, rows->data[f], (size_t)DIM_MAX * 4);
            else vector_make(type, dim, rows->data[f] + i * DIM_MAX * 4);
        }
    }
}

static void batch_fill(omendb_batch *batch, omendb_collection *const *collections,
                       struct rows *rows)
{
    const uint32_t parts = 1 + below(3);
    for (uint32_t part = 0; part < parts; part++) {
        const uint32_t kind = below(KINDS), count = 1 + below(BATCH_ROWS);
        omendb_vectors columns[FIELDS];
        rows_fill(rows, kind, count, columns);
        if (below(3) == 0) {
            must(omendb_batch_delete(batch, collections[kind], rows->ids, count, &error));
            continue;
        }
        omendb_rows given = OMENDB_ROWS_INIT;
        given.count = count;
        given.ids = rows->ids;
        given.vectors = columns;
        given.vectors_count = kinds[kind].count;
        given.json = rows->json.bytes;
        given.json_offsets = rows->offsets;
        must(omendb_batch_upsert(batch, collections[kind], &given, &error));
    }
}

static int command_write(const char *path, uint64_t seed, uint32_t batches, uint64_t log_size,
                         const char *end)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb *db = NULL;
    omendb_batch *batch = NULL;
    omendb_collection *collections[KINDS];
    struct rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL) return 3;
    random_state = seed;
    options.wal_size_max = log_size;
    must(omendb_open(path, &options, &db, &error));
    for (uint32_t kind = 0; kind < KINDS; kind++) collections[kind] = collection_take(db, kind);
    must(omendb_batch_create(db, &batch, &error));
    for (uint32_t i = 0; i < batches; i++) {
        batch_fill(batch, collections, rows);
        /* Some frames are synced and some aren't: the log then has a part that may be torn. */
        must(omendb_batch_commit(batch,
                                 i > batches / 2 && below(3) != 0 ? OMENDB_DURABILITY_NONE
                                                                  : OMENDB_DURABILITY_FULL,
                                 NULL, &error));
        if (i == batches / 2) catalog_change(db, seed);
    }
    omendb_batch_destroy(batch);
    for (uint32_t kind = 0; kind < KINDS; kind++) omendb_collection_close(collections[kind]);
    free(rows);
    finish(db, end);
    return 0;
}

static int command_catalog(const char *path, uint32_t count, const char *end)
{
    omendb *db = NULL;
    omendb_schema schema;
    omendb_vector_field vectors[FIELDS];
    omendb_field declared;
    must(omendb_open(path, NULL, &db, &error));
    for (uint32_t i = 0; i < count; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "collection %04u", i);
        schema_make(i % KINDS, &schema, vectors, &declared);
        must(omendb_collection_create(db, name, &schema, NULL, &error));
    }
    finish(db, end);
    return 0;
}

/* ---- Reading ---- */

static omendb *open_to_read(const char *path)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb *db = NULL;
    options.flags = OMENDB_OPEN_READ_ONLY;
    must(omendb_open(path, &options, &db, &error));
    return db;
}

static void print_quoted(const char *text, size_t size)
{
    (void)putchar('"');
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\') printf("\\%c", byte);
        else if (byte < 0x20) printf("\\u%04x", byte);
        else (void)putchar(byte);
    }
    (void)putchar('"');
}

static void print_entry(const omendb_documents *found, size_t index, const char *collection,
                        char *const *names, int names_count)
{
    omendb_document document;
    bool first = true;
    omendb_documents_entry(found, index, &document);
    printf("{\"collection\":");
    print_quoted(collection, strlen(collection));
    printf(",\"id\":");
    if (document.id.text_view != NULL) print_quoted(document.id.text_view, document.id.size);
    else printf("%" PRIu64, document.id.number);
    printf(",\"document\":%.*s,\"vectors\":{", (int)document.json_size, document.json_view);
    for (int i = 0; i < names_count; i++) {
        omendb_type type = 0;
        uint32_t dim = 0;
        const uint8_t *vector = omendb_documents_vector(found, index, names[i], &type, &dim);
        if (vector == NULL) continue;
        const size_t size = type == OMENDB_BIT ? (dim + 7) / 8
                                               : dim * (size_t[]){4, 2, 2, 1, 1}[type];
        if (!first) (void)putchar(',');
        first = false;
        print_quoted(names[i], strlen(names[i]));
        printf(":\"");
        for (size_t byte = 0; byte < size; byte++) printf("%02x", vector[byte]);
        (void)putchar('"');
    }
    printf("}}\n");
}

static int command_dump(const char *path, const char *name, char *const *names, int names_count)
{
    omendb *db = open_to_read(path);
    omendb_collection *collection = NULL;
    omendb_documents *found = NULL;
    omendb_find_params params = OMENDB_FIND_PARAMS_INIT;
    must(omendb_collection_open(db, name, &collection, &error));
    params.flags = OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS;
    params.limit = 1000000;
    must(omendb_collection_find(collection, &params, &found, &error));
    for (size_t i = 0; i < omendb_documents_count(found); i++)
        print_entry(found, i, name, names, names_count);
    omendb_documents_destroy(found);
    omendb_collection_close(collection);
    must(omendb_close(db, &error));
    return 0;
}

static int command_text(const char *path, bool check)
{
    omendb *db = open_to_read(path);
    char *text = NULL;
    if (check) must(omendb_check(db, OMENDB_CHECK_DEEP, &text, &error));
    else must(omendb_collection_list(db, &text, &error));
    printf("%s\n", text);
    const int status = check && strstr(text, "\"ok\":true") == NULL ? 1 : 0;
    omendb_text_destroy(text);
    must(omendb_close(db, &error));
    return status;
}

static int command_checksums(void)
{
    uint8_t bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i + i / 7 + 3);
    for (size_t size = 0; size <= sizeof bytes; size += size < 600 ? 1 : 97) {
        const struct checksum128 sum = checksum128(bytes, size);
        printf("%zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", size,
               checksum64(bytes, size),
               checksum64_seeded(bytes, size, UINT64_C(0xFEDCBA9876543210)), sum.low, sum.high);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "write") == 0 && argc == 7)
        return command_write(argv[2], strtoull(argv[3], NULL, 10),
                             (uint32_t)strtoul(argv[4], NULL, 10), strtoull(argv[5], NULL, 10),
                             argv[6]);
    if (strcmp(command, "catalog") == 0 && argc == 5)
        return command_catalog(argv[2], (uint32_t)strtoul(argv[3], NULL, 10), argv[4]);
    if (strcmp(command, "list") == 0 && argc == 3) return command_text(argv[2], false);
    if (strcmp(command, "check") == 0 && argc == 3) return command_text(argv[2], true);
    if (strcmp(command, "dump") == 0 && argc >= 4)
        return command_dump(argv[2], argv[3], argv + 4, argc - 4);
    if (strcmp(command, "checksums") == 0 && argc == 2) return command_checksums();
    fprintf(stderr, "format_tool: see the head of its source\n");
    return 2;
}
