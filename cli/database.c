#include "database.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "vector.h"

int database_failed(const struct database *database, const omendb_error *err)
{
    const char *text = err->message[0] == '\0' ? omendb_status_name(err->status) : err->message;
    if (strstr(text, database->path) != NULL) {
        message("%s", text);
    } else {
        message("%s: %s", database->path, text);
    }
    return CLI_FAILURE;
}

bool database_open(struct database *database, const char *path, uint32_t flags,
                   omendb_durability durability)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb_error err = {0};
    options.flags = flags;
    options.durability = durability;
    *database = (struct database){.path = path};
    if (omendb_open(path, &options, &database->db, &err) != OMENDB_OK) {
        (void)database_failed(database, &err);
        return false;
    }
    interrupt_watch(database->db);
    return true;
}

bool database_collection(struct database *database, const char *name)
{
    omendb_error err = {0};
    omendb_status status = omendb_collection_open(database->db, name, &database->collection, &err);
    if (status == OMENDB_OK) return true;
    if (status == OMENDB_ERR_NOT_FOUND) {
        message("%s: no collection '%s' (see 'omendb list %s')", database->path, name,
                database->path);
    } else {
        (void)database_failed(database, &err);
    }
    return false;
}

bool database_open_collection(struct database *database, const struct args *args, uint32_t flags)
{
    return database_open(database, args->positionals[0], flags, OMENDB_DURABILITY_DEFAULT) &&
           database_collection(database, args->positionals[1]);
}

bool database_close(struct database *database)
{
    omendb_error err = {0};
    if (database->db == NULL) return true;
    interrupt_watch(NULL);
    omendb_collection_close(database->collection);
    bool closed = omendb_close(database->db, &err) == OMENDB_OK;
    if (!closed) (void)database_failed(database, &err);
    database->db = NULL;
    database->collection = NULL;
    return closed;
}

bool description_field_type(struct span name, omendb_field_type *out)
{
    static const char *const NAMES[] = {"any",  "bool",  "int",   "float", "string",
                                        "text", "bytes", "array", "object"};
    for (omendb_field_type type = OMENDB_FIELD_ANY; type <= OMENDB_FIELD_OBJECT; type++) {
        if (!span_is(name, NAMES[type])) continue;
        *out = type;
        return true;
    }
    return false;
}

static struct span string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return span_of(text == NULL ? "" : text);
}

static void copy_name(char *out, struct span name)
{
    (void)snprintf(out, OMENDB_NAME_SIZE_MAX + 1, "%.*s", (int)name.size, name.data);
}

static bool take_description(struct description *description, const json_t *root)
{
    size_t index;
    const json_t *entry;
    json_array_foreach(json_object_get(root, "vectors"), index, entry)
    {
        if (description->vectors_count == OMENDB_VECTOR_FIELDS_MAX) return false;
        struct description_vector *vector = &description->vectors[description->vectors_count++];
        copy_name(vector->name, string_of(entry, "name"));
        vector->dim = (uint32_t)json_integer_value(json_object_get(entry, "dim"));
        if (!vector_type_of(string_of(entry, "type"), &vector->type)) return false;
    }
    const json_t *fields = json_object_get(root, "fields");
    description->fields = memory_create(json_array_size(fields), sizeof(description->fields[0]));
    json_array_foreach(fields, index, entry)
    {
        struct description_field *field = &description->fields[description->fields_count++];
        copy_name(field->name, string_of(entry, "name"));
        if (!description_field_type(string_of(entry, "type"), &field->type)) return false;
    }
    return true;
}

bool description_read(struct description *description, const struct database *database)
{
    omendb_error err = {0};
    char *text = NULL;
    *description = (struct description){0};
    if (omendb_collection_describe(database->collection, &text, &err) != OMENDB_OK) {
        (void)database_failed(database, &err);
        return false;
    }
    json_t *root = json_loads(text, 0, NULL);
    bool taken = root != NULL && take_description(description, root);
    json_decref(root);
    if (!taken)
        message("%s: the library describes the collection unclearly: %s", database->path, text);
    omendb_text_destroy(text);
    return taken;
}

void description_deinit(struct description *description)
{
    free(description->fields);
    *description = (struct description){0};
}

const struct description_vector *description_vector(const struct description *description,
                                                    const char *name)
{
    if (name == NULL && description->vectors_count == 1) return &description->vectors[0];
    struct text names = {0};
    text_append_string(&names, "");
    for (size_t i = 0; i < description->vectors_count; i++) {
        if (name != NULL && strcmp(description->vectors[i].name, name) == 0) {
            text_deinit(&names);
            return &description->vectors[i];
        }
        text_append_format(&names, "%s%s", i == 0 ? "" : ", ", description->vectors[i].name);
    }
    if (description->vectors_count == 0) {
        message("the collection has no vector fields");
    } else if (name == NULL) {
        message("the collection has several vector fields, say which: --field %s", names.data);
    } else {
        message("no vector field '%s'; there is: %s", name, names.data);
    }
    text_deinit(&names);
    return NULL;
}

bool id_looks_like_number(const char *text, size_t size)
{
    size_t digits = 0;
    while (digits < size && text[digits] >= '0' && text[digits] <= '9') digits++;
    return size != 0 && digits == size && (size == 1 || text[0] != '0');
}

omendb_status id_parse(const char *word, bool string_ids, omendb_id *out, omendb_error *err)
{
    size_t size = strlen(word);
    *out = (omendb_id){NULL, 0, 0};
    if (!string_ids && id_looks_like_number(word, size)) {
        if (digits_parse(word, size, &out->number)) return OMENDB_OK;
        return fault(err, OMENDB_ERR_ARGUMENT,
                     "the id %s is too large for a number; if it is a string, write s:%s", word,
                     word);
    }
    if (!string_ids && strncmp(word, "s:", 2) == 0) word += 2;
    size = strlen(word);
    if (size == 0 || size > OMENDB_ID_SIZE_MAX) {
        return fault(err, OMENDB_ERR_ARGUMENT, "a string id has 1 to %u bytes, this one %zu",
                     OMENDB_ID_SIZE_MAX, size);
    }
    *out = (omendb_id){word, size, 0};
    return OMENDB_OK;
}

bool id_is(const omendb_id *a, const omendb_id *b)
{
    if (a->text_view == NULL || b->text_view == NULL) {
        return a->text_view == NULL && b->text_view == NULL && a->number == b->number;
    }
    return a->size == b->size && memcmp(a->text_view, b->text_view, a->size) == 0;
}

void id_append(struct text *out, const omendb_id *id)
{
    if (id->text_view == NULL) {
        text_append_format(out, "%llu", (unsigned long long)id->number);
        return;
    }
    bool marked = id->size >= 2 && memcmp(id->text_view, "s:", 2) == 0;
    if (marked || id_looks_like_number(id->text_view, id->size)) text_append_string(out, "s:");
    text_append(out, id->text_view, id->size);
}

void id_append_json(struct text *out, const omendb_id *id)
{
    if (id->text_view == NULL) {
        text_append_format(out, "%llu", (unsigned long long)id->number);
    } else {
        text_append_json(out, id->text_view, id->size);
    }
}
