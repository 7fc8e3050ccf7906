/* create.c - `omendb create` */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "database.h"
#include "index.h"
#include "vector.h"

static int run_create(struct args *args);

enum { CREATE_FIELDS_MAX = 256 };

/* A schema and all it points to. */
struct create_request {
    omendb_schema schema;
    omendb_vector_field vectors[OMENDB_VECTOR_FIELDS_MAX];
    omendb_field fields[CREATE_FIELDS_MAX];
    char names[OMENDB_VECTOR_FIELDS_MAX + CREATE_FIELDS_MAX + 1][OMENDB_NAME_SIZE_MAX + 1];
    size_t names_count;
};

static const struct option CREATE_OPTIONS[] = {
    {"vector", 0, true, "NAME:DIM[:TYPE[:METRIC]]",
     "A vector field. TYPE: f32 (default), f16, bf16, i8, u8, bit.\n"
     "METRIC: l2 (default), cosine, ip, hamming (default of bit)."},
    {"index", 0, false, "PROFILE",
     "How vectors are indexed: fast (default), compact, exact; see\n"
     "'omendb help index'."},
    {"field", 0, true, "NAME:TYPE",
     "A field whose type is checked. TYPE: any, bool, int, float,\n"
     "string, text, bytes, array, object."},
    {NULL, 0, false, NULL, NULL},
};

const struct command CREATE_COMMAND = {
    .name = "create",
    .synopsis = "FILE COLLECTION [--vector NAME:DIM[:TYPE[:METRIC]]]... [OPTION]...",
    .summary = "Make a collection, and the file where there is none.",
    .details = "Fields need not be declared: documents are free-form JSON.\n",
    .options = CREATE_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_create,
};

/* Cuts the text before the next ':' off `rest`; an empty span when there is no more. */
static struct span next_part(const char **rest)
{
    const char *begin = *rest;
    if (begin == NULL) return (struct span){"", 0};
    const char *colon = strchr(begin, ':');
    *rest = colon == NULL ? NULL : colon + 1;
    return (struct span){begin, colon == NULL ? strlen(begin) : (size_t)(colon - begin)};
}

static bool copy_part(char *out, struct span part)
{
    if (part.size == 0 || part.size > OMENDB_NAME_SIZE_MAX) return false;
    memcpy(out, part.data, part.size);
    out[part.size] = '\0';
    return true;
}

static bool parse_vector(const struct args *args, const char *value, struct create_request *out)
{
    omendb_vector_field *field = &out->vectors[out->schema.vectors_count];
    char *name = out->names[out->names_count];
    const char *rest = value;
    uint64_t dim;
    if (out->schema.vectors_count == OMENDB_VECTOR_FIELDS_MAX) {
        (void)args_wrong(args, "more than %u vector fields", OMENDB_VECTOR_FIELDS_MAX);
        return false;
    }
    *field = (omendb_vector_field)OMENDB_VECTOR_FIELD_INIT;
    struct span name_part = next_part(&rest);
    struct span dim_part = next_part(&rest);
    struct span type_part = next_part(&rest);
    struct span metric_part = next_part(&rest);
    if (!copy_part(name, name_part) || rest != NULL) {
        (void)args_wrong(args, "'--vector' wants NAME:DIM[:TYPE[:METRIC]], not '%s'", value);
        return false;
    }
    if (!digits_parse(dim_part.data, dim_part.size, &dim) || dim == 0 || dim > OMENDB_DIM_MAX) {
        (void)args_wrong(args, "the dimension in '--vector %s' must be 1 to %u", value,
                         OMENDB_DIM_MAX);
        return false;
    }
    if (type_part.size != 0 && !vector_type_of(type_part, &field->type)) {
        (void)args_wrong(args, "unknown type in '--vector %s': f32, f16, bf16, i8, u8, bit", value);
        return false;
    }
    if (field->type == OMENDB_BIT) field->metric = OMENDB_HAMMING;
    if (metric_part.size != 0 && !vector_metric_of(metric_part, &field->metric)) {
        (void)args_wrong(args, "unknown metric in '--vector %s': l2, cosine, ip, hamming", value);
        return false;
    }
    field->name = name;
    field->dim = (uint32_t)dim;
    out->names_count++;
    out->schema.vectors_count++;
    return true;
}

static bool parse_field(const struct args *args, const char *value, struct create_request *out)
{
    omendb_field *field = &out->fields[out->schema.fields_count];
    char *name = out->names[out->names_count];
    const char *rest = value;
    if (out->schema.fields_count == CREATE_FIELDS_MAX) {
        (void)args_wrong(args, "more than %d fields", CREATE_FIELDS_MAX);
        return false;
    }
    *field = (omendb_field){.struct_size = (uint32_t)sizeof(*field), .name = name};
    struct span name_part = next_part(&rest);
    struct span type_part = next_part(&rest);
    if (!copy_part(name, name_part) || !description_field_type(type_part, &field->type) ||
        rest != NULL) {
        (void)args_wrong(args,
                         "'--field' wants NAME:TYPE (any, bool, int, float, string, text, bytes, "
                         "array, object), not '%s'",
                         value);
        return false;
    }
    out->names_count++;
    out->schema.fields_count++;
    return true;
}

static bool parse_request(const struct args *args, struct create_request *out)
{
    const char *value;
    omendb_index index = OMENDB_INDEX_DEFAULT;
    out->names_count = 0;
    out->schema = (omendb_schema)OMENDB_SCHEMA_INIT;
    out->schema.vectors = out->vectors;
    out->schema.fields = out->fields;
    if (!index_option(args, "index", &index)) return false;
    for (size_t i = 0; (value = args_each(args, "vector", i)) != NULL; i++) {
        if (!parse_vector(args, value, out)) return false;
        out->vectors[i].index = index;
    }
    for (size_t i = 0; (value = args_each(args, "field", i)) != NULL; i++) {
        if (!parse_field(args, value, out)) return false;
    }
    return true;
}

static int run_create(struct args *args)
{
    struct database database = {0};
    omendb_error err = {0};
    int code = CLI_FAILURE;
    struct create_request *request = memory_create(1, sizeof(*request));
    const char *name = args->positionals[1];
    if (!parse_request(args, request)) {
        free(request);
        return CLI_USAGE;
    }
    if (database_open(&database, args->positionals[0], 0, OMENDB_DURABILITY_DEFAULT)) {
        if (omendb_collection_create(database.db, name, &request->schema, NULL, &err) ==
            OMENDB_OK) {
            code = CLI_OK;
        } else {
            (void)database_failed(&database, &err);
        }
    }
    if (!database_close(&database)) code = CLI_FAILURE;
    if (code == CLI_OK && args->json) {
        struct text line = {0};
        text_append_string(&line, "{\"created\":");
        text_append_json(&line, name, strlen(name));
        (void)printf("%s}\n", line.data);
        text_deinit(&line);
    } else if (code == CLI_OK) {
        (void)printf("created collection %s in %s\n", name, args->positionals[0]);
    }
    free(request);
    return code;
}
