#include "load.h"

#include <string.h>

#include "screen.h"

void load_must(omendb_status status, const omendb_error *err, const char *doing)
{
    if (status == OMENDB_OK) return;
    screen_die("%s: %s: %s", doing, omendb_status_name(status), err->message);
}

omendb *load_open(const char *path, uint32_t flags)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb_error err = {0};
    omendb *db = NULL;
    options.flags = flags;
    load_must(omendb_open(path, &options, &db, &err), &err, path);
    return db;
}

void load_close(omendb *db)
{
    omendb_error err = {0};
    load_must(omendb_close(db, &err), &err, "closing");
}

omendb_collection *load_create(omendb *db, const char *name)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *collection = NULL;
    omendb_error err = {0};
    field.name = "embedding";
    field.dim = READER_DIM;
    field.type = OMENDB_F16;
    field.metric = OMENDB_COSINE;
    schema.vectors = &field;
    schema.vectors_count = 1;
    load_must(omendb_collection_create(db, name, &schema, &collection, &err), &err, name);
    return collection;
}

omendb_collection *load_collection(omendb *db, const char *name)
{
    omendb_collection *collection = NULL;
    omendb_error err = {0};
    load_must(omendb_collection_open(db, name, &collection, &err), &err, name);
    return collection;
}

void load_batch(omendb_collection *collection, const struct reader_packages *packages, size_t begin,
                size_t count)
{
    omendb_vectors column = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_error err = {0};
    column.type = OMENDB_F16;
    column.data = packages->vectors + begin * READER_DIM;
    column.dim = READER_DIM;
    rows.count = count;
    rows.id_text = packages->ids_text;
    rows.id_offsets = packages->id_offsets + begin;
    rows.json = packages->json;
    rows.json_offsets = packages->json_offsets + begin;
    rows.vectors = &column;
    rows.vectors_count = 1;
    load_must(omendb_collection_upsert(collection, &rows, &err), &err, "writing a batch");
}

static int show_indexed(void *context, uint64_t indexed, uint64_t total)
{
    (void)context;
    if (total != 0) screen_bar(indexed, total);
    return 0;
}

void load_wait(omendb_collection *collection)
{
    omendb_error err = {0};
    load_must(omendb_collection_wait_indexed(collection, 0, show_indexed, NULL, &err), &err,
              "indexing");
    screen_bar_clear();
}

uint64_t load_stat(omendb *db, const char *key)
{
    omendb_error err = {0};
    char *text = NULL;
    load_must(omendb_stats(db, &text, &err), &err, "stats");
    const uint64_t value = reader_number(text, strlen(text), key);
    omendb_text_destroy(text);
    return value;
}
