#include "doc/schema.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "doc/document.h"
#include "doc/json.h"
#include "doc/utf8.h"

/* The encoded form:
 *
 *     +0  u8    1, the form's version
 *     +1  u8    vectors_count, 0 .. 16
 *     +2  u16   fields_count, 0 .. 256
 *     +4        the vectors:  u8 type, u8 metric, u8 name size, u8 options size, u32 dim, name
 *               the fields:   u8 type, u8 name size, u16 options size, name
 *
 * Options follow the name; the u8 of a vector and the u16 of a field is their size. A vector's are
 * absent or one byte, its omendb_index, not 0. More, and a field's, are for later versions:
 * analyzers, uniqueness. This one writes none of them and refuses others.
 */
enum { ENCODED_VERSION = 1, HEAD_SIZE = 4, VECTOR_HEAD_SIZE = 8, FIELD_HEAD_SIZE = 4 };

/* What omendb_vector_field began with; it has grown since. */
enum { VECTOR_FIELD_SIZE_FIRST = offsetof(omendb_vector_field, index) };

_Static_assert(OMENDB_NAME_SIZE_MAX <= UINT8_MAX, "a name's size is one byte");
_Static_assert(OMENDB_VECTOR_FIELDS_MAX <= UINT8_MAX, "vectors_count is one byte");
_Static_assert(SCHEMA_FIELDS_MAX <= UINT16_MAX, "fields_count is two bytes");

/* ---- Names ------------------------------------------------------------------------- */

static const char *const type_names[] = {"f32", "f16", "bf16", "i8", "u8", "bit", "f64"};
static const char *const metric_names[] = {"l2", "cosine", "ip", "hamming"};
static const char *const index_names[] = {"default", "fast", "compact", "exact"};
static const char *const field_type_names[] = {"any",  "bool",  "int",   "float", "string",
                                               "text", "bytes", "array", "object"};

const char *schema_type_name(omendb_type type)
{
    return type < COUNT_OF(type_names) ? type_names[type] : "unknown";
}

const char *schema_metric_name(omendb_metric metric)
{
    return metric < COUNT_OF(metric_names) ? metric_names[metric] : "unknown";
}

const char *schema_index_name(omendb_index index)
{
    return index < COUNT_OF(index_names) ? index_names[index] : "unknown";
}

const char *schema_field_type_name(omendb_field_type type)
{
    return type < COUNT_OF(field_type_names) ? field_type_names[type] : "unknown";
}

size_t schema_vector_size(omendb_type type, uint32_t dim)
{
    switch (type) {
    case OMENDB_F64:
        return (size_t)dim * 8;
    case OMENDB_F32:
        return (size_t)dim * 4;
    case OMENDB_F16:
    case OMENDB_BF16:
        return (size_t)dim * 2;
    case OMENDB_BIT:
        return ((size_t)dim + 7) / 8;
    default:
        return dim;
    }
}

/* Why `name` isn't one, or NULL. */
static const char *name_problem(const char *name, size_t size)
{
    if (size == 0) return "is empty";
    if (size > OMENDB_NAME_SIZE_MAX) return "is longer than 128 bytes";
    if (!utf8_valid(name, size)) return "isn't UTF-8";
    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = (uint8_t)name[i];
        if (byte < 0x20 || byte == 0x7f) return "has a control character";
        if (byte == 0xc2 && (uint8_t)name[i + 1] < 0xa0) return "has a control character";
        if (byte == '/') return "has a '/'";
    }
    return NULL;
}
_Static_assert(OMENDB_NAME_SIZE_MAX == 128, "the message above says it");

omendb_status schema_check_name(const char *what, const char *name, omendb_error *err)
{
    if (name == NULL) return fail(err, OMENDB_ERR_ARGUMENT, "%s: no name", what);
    const char *problem = name_problem(name, strnlen(name, OMENDB_NAME_SIZE_MAX + 1));
    if (problem != NULL) return fail(err, OMENDB_ERR_ARGUMENT, "%s: name %s", what, problem);
    return OMENDB_OK;
}

/* ---- Making ------------------------------------------------------------------------ */

/* One block: the schema, its vectors, its fields. */
static struct schema *schema_alloc(uint32_t vectors_count, uint32_t fields_count)
{
    _Static_assert(_Alignof(struct schema_vector) <= _Alignof(struct schema), "they follow it");
    _Static_assert(_Alignof(struct schema_field) <= _Alignof(struct schema_vector),
                   "they follow the vectors");
    const size_t vectors_size = vectors_count * sizeof(struct schema_vector);
    const size_t fields_size = fields_count * sizeof(struct schema_field);
    struct schema *schema = alloc_zeroed(1, sizeof *schema + vectors_size + fields_size);
    if (schema == NULL) return NULL;
    schema->vectors_count = vectors_count;
    schema->fields_count = fields_count;
    schema->vectors = (struct schema_vector *)(void *)(schema + 1);
    schema->fields = (struct schema_field *)(void *)(schema->vectors + vectors_count);
    return schema;
}

void schema_destroy(struct schema *schema)
{
    alloc_free(schema);
}

static omendb_status check_vector(const struct schema_vector *vector, omendb_error *err)
{
    if (vector->dim == 0 || vector->dim > OMENDB_DIM_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "vector field \"%s\": dim %u isn't 1 .. %u",
                    vector->name, vector->dim, OMENDB_DIM_MAX);
    if (vector->type > OMENDB_BIT)
        return fail(err, OMENDB_ERR_ARGUMENT, "vector field \"%s\": type %s can't be stored",
                    vector->name, schema_type_name(vector->type));
    if (vector->metric > OMENDB_HAMMING)
        return fail(err, OMENDB_ERR_ARGUMENT, "vector field \"%s\": unknown metric %u",
                    vector->name, vector->metric);
    if ((vector->type == OMENDB_BIT) != (vector->metric == OMENDB_HAMMING))
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "vector field \"%s\": type %s doesn't go with metric %s", vector->name,
                    schema_type_name(vector->type), schema_metric_name(vector->metric));
    if (vector->index > OMENDB_INDEX_EXACT)
        return fail(err, OMENDB_ERR_ARGUMENT, "vector field \"%s\": unknown index %u", vector->name,
                    vector->index);
    return OMENDB_OK;
}

/* Vectors and fields share one name space, so that a name never means two things. At most 272
 * names: comparing all pairs takes less than a millisecond. */
static omendb_status check_distinct(const struct schema *schema, omendb_error *err)
{
    const uint32_t count = schema->vectors_count + schema->fields_count;
    for (uint32_t i = 0; i < count; i++) {
        const char *name = i < schema->vectors_count
                               ? schema->vectors[i].name
                               : schema->fields[i - schema->vectors_count].name;
        for (uint32_t j = 0; j < i; j++) {
            const char *other = j < schema->vectors_count
                                    ? schema->vectors[j].name
                                    : schema->fields[j - schema->vectors_count].name;
            if (strcmp(name, other) == 0)
                return fail(err, OMENDB_ERR_ARGUMENT, "schema: the name \"%s\" comes twice", name);
        }
    }
    return OMENDB_OK;
}

/* Everything but the names' own form, which must be sound already: it is printed here. */
static omendb_status schema_check(const struct schema *schema, omendb_error *err)
{
    for (uint32_t i = 0; i < schema->vectors_count; i++)
        TRY(check_vector(&schema->vectors[i], err));
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        if (schema->fields[i].type > OMENDB_FIELD_OBJECT)
            return fail(err, OMENDB_ERR_ARGUMENT, "field \"%s\": unknown type %u",
                        schema->fields[i].name, schema->fields[i].type);
    }
    return check_distinct(schema, err);
}

static omendb_status check_struct_size(const char *what, uint32_t size, size_t wanted,
                                       omendb_error *err)
{
    if (size == wanted) return OMENDB_OK;
    return fail(err, OMENDB_ERR_ARGUMENT, "%s: struct_size is %u, not %zu; use its _INIT macro",
                what, size, wanted);
}

/* Element i of the caller's array, whose elements are as long as its header says. */
static omendb_status read_vector_field(const omendb_schema *from, uint32_t i,
                                       omendb_vector_field *out, omendb_error *err)
{
    const uint32_t stride = from->vectors[0].struct_size;
    if (stride < VECTOR_FIELD_SIZE_FIRST || stride > 1024 || stride % 8 != 0)
        return check_struct_size("vector field", stride, sizeof *out, err);
    const uint8_t *given = (const uint8_t *)from->vectors + (size_t)i * stride;
    uint32_t size;
    memcpy(&size, given, sizeof size);
    TRY(check_struct_size("vector field", size, stride, err));
    for (size_t at = sizeof *out; at < stride; at++) {
        if (given[at] != 0)
            return fail(err, OMENDB_ERR_UNSUPPORTED,
                        "vector field: byte %zu belongs to a member that version %s doesn't know",
                        at, OMENDB_VERSION_STRING);
    }
    *out = (omendb_vector_field){.struct_size = stride};
    memcpy(out, given, stride < sizeof *out ? stride : sizeof *out);
    if (out->reserved != 0)
        return fail(err, OMENDB_ERR_ARGUMENT, "vector field: reserved must be 0");
    return OMENDB_OK;
}

/* Copies what the caller gave; the names are sound afterwards. */
static omendb_status copy_in(struct schema *schema, const omendb_schema *from, omendb_error *err)
{
    for (uint32_t i = 0; i < schema->vectors_count; i++) {
        omendb_vector_field given;
        struct schema_vector *vector = &schema->vectors[i];
        TRY(read_vector_field(from, i, &given, err));
        TRY(schema_check_name("vector field", given.name, err));
        memcpy(vector->name, given.name, strlen(given.name) + 1);
        vector->type = given.type;
        vector->metric = given.metric;
        vector->index = given.index;
        vector->dim = given.dim;
    }
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        const omendb_field *given = &from->fields[i];
        TRY(check_struct_size("field", given->struct_size, sizeof *given, err));
        TRY(schema_check_name("field", given->name, err));
        memcpy(schema->fields[i].name, given->name, strlen(given->name) + 1);
        schema->fields[i].type = given->type;
    }
    return OMENDB_OK;
}

static omendb_status check_counts(const omendb_schema *from, omendb_error *err)
{
    TRY(check_struct_size("schema", from->struct_size, sizeof *from, err));
    if (from->vectors_count > OMENDB_VECTOR_FIELDS_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "schema: %u vector fields; at most %u are allowed",
                    from->vectors_count, OMENDB_VECTOR_FIELDS_MAX);
    if (from->fields_count > SCHEMA_FIELDS_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "schema: %u fields; at most %d are allowed",
                    from->fields_count, SCHEMA_FIELDS_MAX);
    if ((from->vectors_count != 0 && from->vectors == NULL) ||
        (from->fields_count != 0 && from->fields == NULL))
        return fail(err, OMENDB_ERR_ARGUMENT, "schema: a count without its array");
    return OMENDB_OK;
}

static void compute_sizes(struct schema *schema)
{
    for (uint32_t i = 0; i < schema->vectors_count; i++) {
        struct schema_vector *vector = &schema->vectors[i];
        vector->size = (uint32_t)schema_vector_size(vector->type, vector->dim);
    }
}

omendb_status schema_create(const omendb_schema *from, struct schema **out, omendb_error *err)
{
    const omendb_schema nothing = OMENDB_SCHEMA_INIT;
    if (from == NULL) from = &nothing;
    TRY(check_counts(from, err));
    struct schema *schema = schema_alloc(from->vectors_count, from->fields_count);
    if (schema == NULL) return fail(err, OMENDB_ERR_NOMEM, "schema: out of memory");
    omendb_status status = copy_in(schema, from, err);
    if (status == OMENDB_OK) status = schema_check(schema, err);
    if (status != OMENDB_OK) {
        schema_destroy(schema);
        return status;
    }
    compute_sizes(schema);
    *out = schema;
    return OMENDB_OK;
}

/* ---- Encoding ---------------------------------------------------------------------- */

omendb_status schema_encode(const struct schema *schema, struct buffer *out, omendb_error *err)
{
    size_t size = HEAD_SIZE;
    for (uint32_t i = 0; i < schema->vectors_count; i++)
        size += VECTOR_HEAD_SIZE + strlen(schema->vectors[i].name) +
                (schema->vectors[i].index != OMENDB_INDEX_DEFAULT);
    for (uint32_t i = 0; i < schema->fields_count; i++)
        size += FIELD_HEAD_SIZE + strlen(schema->fields[i].name);
    TRY(buffer_reserve(out, size, err));
    uint8_t *to = out->data + out->size;
    to[0] = ENCODED_VERSION;
    to[1] = (uint8_t)schema->vectors_count;
    store_le16(to + 2, (uint16_t)schema->fields_count);
    to += HEAD_SIZE;
    for (uint32_t i = 0; i < schema->vectors_count; i++) {
        const struct schema_vector *vector = &schema->vectors[i];
        const size_t name_size = strlen(vector->name);
        to[0] = (uint8_t)vector->type;
        to[1] = (uint8_t)vector->metric;
        to[2] = (uint8_t)name_size;
        to[3] = vector->index != OMENDB_INDEX_DEFAULT;
        store_le32(to + 4, vector->dim);
        memcpy(to + VECTOR_HEAD_SIZE, vector->name, name_size);
        to += VECTOR_HEAD_SIZE + name_size;
        if (vector->index != OMENDB_INDEX_DEFAULT) *to++ = (uint8_t)vector->index;
    }
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        const size_t name_size = strlen(field->name);
        to[0] = (uint8_t)field->type;
        to[1] = (uint8_t)name_size;
        store_le16(to + 2, 0);
        memcpy(to + FIELD_HEAD_SIZE, field->name, name_size);
        to += FIELD_HEAD_SIZE + name_size;
    }
    out->size += size;
    assert(to == out->data + out->size);
    return OMENDB_OK;
}

static omendb_status cut_off(omendb_error *err)
{
    return fail(err, OMENDB_ERR_CORRUPT, "schema: encoded form is cut off");
}

static omendb_status newer_version(omendb_error *err)
{
    return fail(err, OMENDB_ERR_UNSUPPORTED, "schema: made by a newer version of OmenDB");
}

/* Takes a name of `size` bytes; name[] is zeroed and has room for the largest. */
static omendb_status decode_name(const uint8_t **at, const uint8_t *end, size_t size, char *name,
                                 omendb_error *err)
{
    if ((size_t)(end - *at) < size) return cut_off(err);
    const char *problem = name_problem((const char *)*at, size);
    if (problem != NULL) return fail(err, OMENDB_ERR_CORRUPT, "schema: a name %s", problem);
    memcpy(name, *at, size);
    *at += size;
    return OMENDB_OK;
}

static omendb_status decode_body(struct schema *schema, const uint8_t **at, const uint8_t *end,
                                 omendb_error *err)
{
    for (uint32_t i = 0; i < schema->vectors_count; i++) {
        struct schema_vector *vector = &schema->vectors[i];
        const uint8_t *head = *at;
        if (end - head < VECTOR_HEAD_SIZE) return cut_off(err);
        if (head[3] > 1) return newer_version(err);
        vector->type = head[0];
        vector->metric = head[1];
        vector->dim = load_le32(head + 4);
        *at += VECTOR_HEAD_SIZE;
        TRY(decode_name(at, end, head[2], vector->name, err));
        if (head[3] == 0) continue;
        if (*at == end) return cut_off(err);
        vector->index = *(*at)++;
        if (vector->index == OMENDB_INDEX_DEFAULT || vector->index > OMENDB_INDEX_EXACT)
            return newer_version(err);
    }
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        const uint8_t *head = *at;
        if (end - head < FIELD_HEAD_SIZE) return cut_off(err);
        if (load_le16(head + 2) != 0) return newer_version(err);
        schema->fields[i].type = head[0];
        *at += FIELD_HEAD_SIZE;
        TRY(decode_name(at, end, head[1], schema->fields[i].name, err));
    }
    omendb_error inner;
    if (schema_check(schema, &inner) != OMENDB_OK)
        return fail(err, OMENDB_ERR_CORRUPT, "%s", inner.message);
    return OMENDB_OK;
}

omendb_status schema_decode(const uint8_t *bytes, size_t size, size_t *used, struct schema **out,
                            omendb_error *err)
{
    if (size < HEAD_SIZE) return cut_off(err);
    const uint32_t vectors_count = bytes[1];
    const uint32_t fields_count = load_le16(bytes + 2);
    if (bytes[0] != ENCODED_VERSION) return newer_version(err);
    if (vectors_count > OMENDB_VECTOR_FIELDS_MAX || fields_count > SCHEMA_FIELDS_MAX)
        return fail(err, OMENDB_ERR_CORRUPT, "schema: %u vector fields, %u fields", vectors_count,
                    fields_count);
    struct schema *schema = schema_alloc(vectors_count, fields_count);
    if (schema == NULL) return fail(err, OMENDB_ERR_NOMEM, "schema: out of memory");
    const uint8_t *at = bytes + HEAD_SIZE;
    const omendb_status status = decode_body(schema, &at, bytes + size, err);
    if (status != OMENDB_OK) {
        schema_destroy(schema);
        return status;
    }
    compute_sizes(schema);
    *used = (size_t)(at - bytes);
    *out = schema;
    return OMENDB_OK;
}

/* ---- Using ------------------------------------------------------------------------- */

static omendb_status describe_name(struct buffer *out, bool first, const char *name,
                                   omendb_error *err)
{
    TRY(buffer_append_text(out, first ? "{\"name\":" : ",{\"name\":", err));
    return json_append_string(out, name, strlen(name), err);
}

omendb_status schema_describe(const struct schema *schema, const omendb_index *indexes,
                              struct buffer *out, omendb_error *err)
{
    TRY(buffer_append_text(out, "\"vectors\":[", err));
    for (uint32_t i = 0; i < schema->vectors_count; i++) {
        const struct schema_vector *vector = &schema->vectors[i];
        TRY(describe_name(out, i == 0, vector->name, err));
        TRY(buffer_append_format(
            out, err, ",\"dim\":%u,\"type\":\"%s\",\"metric\":\"%s\",\"index\":\"%s\"}",
            vector->dim, schema_type_name(vector->type), schema_metric_name(vector->metric),
            schema_index_name(indexes != NULL ? indexes[i] : vector->index)));
    }
    TRY(buffer_append_text(out, "],\"fields\":[", err));
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        TRY(describe_name(out, i == 0, field->name, err));
        TRY(buffer_append_format(out, err, ",\"type\":\"%s\"}",
                                 schema_field_type_name(field->type)));
    }
    return buffer_append_text(out, "]", err);
}

omendb_status schema_vector_index(const struct schema *schema, const char *name, uint32_t *out,
                                  omendb_error *err)
{
    if (schema->vectors_count == 0)
        return fail(err, OMENDB_ERR_NOT_FOUND, "the collection has no vector field");
    if (name == NULL && schema->vectors_count > 1)
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "the collection has %u vector fields: name one of them", schema->vectors_count);
    for (uint32_t i = 0; i < schema->vectors_count; i++) {
        if (name == NULL || strcmp(schema->vectors[i].name, name) == 0) {
            *out = i;
            return OMENDB_OK;
        }
    }
    return fail(err, OMENDB_ERR_NOT_FOUND, "no vector field \"%.*s\"", (int)OMENDB_NAME_SIZE_MAX,
                name);
}

/* Does a field declared as `type` take such a value? Every field takes null. */
static bool type_takes(omendb_field_type type, enum value_kind kind)
{
    if (kind == VALUE_NULL) return true;
    switch (type) {
    case OMENDB_FIELD_ANY:
        return true;
    case OMENDB_FIELD_BOOL:
        return kind == VALUE_FALSE || kind == VALUE_TRUE;
    case OMENDB_FIELD_INT:
        return kind == VALUE_INT || kind == VALUE_UINT;
    case OMENDB_FIELD_FLOAT:
        return kind == VALUE_FLOAT || kind == VALUE_INT || kind == VALUE_UINT ||
               kind == VALUE_DECIMAL;
    case OMENDB_FIELD_STRING:
    case OMENDB_FIELD_TEXT:
        return kind == VALUE_STRING;
    case OMENDB_FIELD_BYTES:
        return kind == VALUE_BYTES;
    case OMENDB_FIELD_ARRAY:
        return kind == VALUE_ARRAY;
    case OMENDB_FIELD_OBJECT:
        return kind == VALUE_OBJECT;
    default:
        assert(false);
        return false;
    }
}

static const char *kind_name(enum value_kind kind)
{
    switch (kind) {
    case VALUE_NULL:
        return "null";
    case VALUE_FALSE:
    case VALUE_TRUE:
        return "bool";
    case VALUE_INT:
    case VALUE_UINT:
        return "int";
    case VALUE_FLOAT:
        return "float";
    case VALUE_DECIMAL:
        return "an integer beyond 64 bits";
    case VALUE_STRING:
        return "string";
    case VALUE_BYTES:
        return "bytes";
    case VALUE_ARRAY:
        return "array";
    case VALUE_OBJECT:
        return "object";
    }
    return "unknown";
}

omendb_status schema_check_document(const struct schema *schema, const uint8_t *document,
                                    size_t size, omendb_error *err)
{
    struct value root;
    struct value value;
    if (schema->fields_count == 0) return OMENDB_OK;
    document_root(document, size, &root);
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        if (!value_member(&root, field->name, strlen(field->name), &value)) continue;
        if (!type_takes(field->type, value.kind))
            return fail(err, OMENDB_ERR_VALUE, "field \"%s\": declared as %s, found %s",
                        field->name, schema_field_type_name(field->type), kind_name(value.kind));
    }
    return OMENDB_OK;
}
