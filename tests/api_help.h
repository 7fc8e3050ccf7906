/* api_help.h - what the tests of the public API share: checks that show the message, a path for a
 * file, collections and rows in one line. */
#ifndef API_HELP_H
#define API_HELP_H

#include <stdlib.h>
#include <unistd.h>

#include "base/compiler.h"
#include "omendb.h"
#include "test.h"

static omendb_error err;
static char path[256];

#define OK(call)                                                                                   \
    do {                                                                                           \
        const omendb_status status_ = (call);                                                      \
        if (status_ != OMENDB_OK)                                                                  \
            fprintf(stderr, "%s: %s\n", omendb_status_name(status_), err.message);                 \
        CHECK(status_ == OMENDB_OK);                                                               \
    } while (0)

/* The call fails with this code, and says something. */
#define FAILS(code, call)                                                                          \
    do {                                                                                           \
        err = (omendb_error){0};                                                                   \
        const omendb_status status_ = (call);                                                      \
        if (status_ != (code))                                                                     \
            fprintf(stderr, "%s: %s\n", omendb_status_name(status_), err.message);                 \
        CHECK(status_ == (code) && err.status == (code) && err.message[0] != '\0');                \
    } while (0)

static inline void make_path(const char *name)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/omendb-%s-%d.omen", folder != NULL ? folder : "/tmp", name,
             (int)getpid());
}

static inline void remove_files(void)
{
    char name[300];
    (void)unlink(path);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%s-wal-%d", path, i);
        (void)unlink(name);
    }
}

static inline omendb *open_memory(void)
{
    omendb *db = NULL;
    OK(omendb_open(":memory:", NULL, &db, &err));
    return db;
}

static inline omendb_collection *make(omendb *db, const char *name, omendb_type type,
                                      omendb_metric metric, uint32_t dim)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *collection = NULL;
    field.name = "v";
    field.type = type;
    field.metric = metric;
    field.dim = dim;
    schema.vectors = &field;
    schema.vectors_count = 1;
    OK(omendb_collection_create(db, name, &schema, &collection, &err));
    return collection;
}

static inline uint64_t count_of(omendb_collection *collection)
{
    uint64_t count = 99;
    OK(omendb_collection_count(collection, NULL, 0, &count, &err));
    return count;
}

/* One row with a number id. */
static inline omendb_status put(omendb_collection *collection, uint64_t id, omendb_type type,
                                uint32_t dim, const void *vector, const char *json)
{
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    const uint64_t offsets[2] = {0, json != NULL ? strlen(json) : 0};
    rows.count = 1;
    rows.id_numbers = &id;
    if (vector != NULL) {
        column.type = type;
        column.dim = dim;
        column.data = vector;
        rows.vectors = &column;
        rows.vectors_count = 1;
    }
    if (json != NULL) {
        rows.json = json;
        rows.json_offsets = offsets;
    }
    return omendb_collection_upsert(collection, &rows, &err);
}

#endif /* API_HELP_H */
