/* store_live.h - a whole store in a test: opened on a file of its own, with collections of small
 * documents {"n": number} and one vector that can be told from the number. */
#ifndef STORE_LIVE_H
#define STORE_LIVE_H

#include "doc/build.h"
#include "doc/document.h"
#include "store/store.h"
#include "store_help.h"

enum { DIM = 8 };

static inline struct store_options live_options(const char *name, uint32_t flags)
{
    return (struct store_options){.vfs = vfs_real(),
                                  .path = name,
                                  .flags = flags,
                                  .durability = OMENDB_DURABILITY_NONE,
                                  .interval_ms = 100,
                                  .wal_size_max = 64 << 20};
}

static inline void remove_store(const char *name)
{
    char side[400];
    (void)unlink(name);
    for (int i = 0; i < 1000; i++) {
        snprintf(side, sizeof side, "%s-wal-%d", name, i);
        (void)unlink(side);
    }
}

static inline struct store *live_open(const char *name, uint32_t flags)
{
    const struct store_options options = live_options(name, flags);
    struct store *store = NULL;
    OK(store_open(&options, &store, &err));
    return store;
}

static inline void live_close(struct store *store)
{
    OK(store_close(store, &err));
}

static inline struct schema *live_schema(uint32_t dim)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema from = OMENDB_SCHEMA_INIT;
    struct schema *schema = NULL;
    field.name = "v";
    field.type = OMENDB_F32;
    field.metric = OMENDB_L2;
    field.dim = dim;
    from.vectors = &field;
    from.vectors_count = 1;
    OK(schema_create(&from, &schema, &err));
    return schema;
}

static inline struct collection *live_create(struct store *store, const char *name)
{
    struct collection *collection = NULL;
    OK(store_collection_create(store, name, live_schema(DIM), &collection, &err));
    return collection;
}

static inline struct collection *live_collection(struct store *store, const char *name)
{
    struct collection *collection = NULL;
    OK(store_collection_open(store, name, &collection, &err));
    return collection;
}

/* {"n": n, "s": "xxx..."} with `size` x. */
static inline void live_document(struct buffer *out, uint64_t n, uint32_t size)
{
    struct build build;
    char *text = malloc(size + 1u);
    memset(text, 'x', size);
    buffer_clear(out);
    build_init(&build, out);
    OK(build_begin(&build, VALUE_OBJECT, &err));
    OK(build_key(&build, "n", 1, &err));
    OK(build_uint(&build, n, &err));
    OK(build_key(&build, "s", 1, &err));
    OK(build_string(&build, text, size, &err));
    OK(build_end(&build, &err));
    build_deinit(&build);
    free(text);
}

static inline void live_vector(float to[DIM], uint64_t n)
{
    for (uint32_t i = 0; i < DIM; i++) to[i] = (float)(n % 1000000) + (float)i / 16;
}

/* Adds an upsert of `id` whose document and vector say `n`. Even ids are numbers, odd ones texts. */
static inline void live_add(struct batch *batch, struct collection *collection, uint64_t id,
                            uint64_t n, uint32_t size)
{
    struct buffer document = {0};
    char text[32];
    void *to = NULL;
    float vector[DIM];
    const int length = snprintf(text, sizeof text, "id-%llu", (unsigned long long)id);
    live_document(&document, n, size);
    OK(batch_add(batch, OPERATION_UPSERT, collection->id, id % 2 == 0 ? NULL : text,
                 id % 2 == 0 ? 0 : (uint32_t)length, id % 2 == 0 ? id : 0, document.data,
                 (uint32_t)document.size, &err));
    live_vector(vector, n);
    OK(batch_add_vector(batch, 0, sizeof vector, &to, &err));
    memcpy(to, vector, sizeof vector);
    buffer_deinit(&document);
}

static inline void live_add_delete(struct batch *batch, struct collection *collection, uint64_t id)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "id-%llu", (unsigned long long)id);
    OK(batch_add(batch, OPERATION_DELETE, collection->id, id % 2 == 0 ? NULL : text,
                 id % 2 == 0 ? 0 : (uint32_t)length, id % 2 == 0 ? id : 0, NULL, 0, &err));
}

static inline omendb_status live_commit(struct store *store, struct batch *batch,
                                        omendb_error *error)
{
    const omendb_status status = store_commit(store, batch, OMENDB_DURABILITY_DEFAULT, NULL, error);
    batch_deinit(batch);
    return status;
}

static inline void live_put(struct store *store, struct collection *collection, uint64_t id,
                            uint64_t n, uint32_t size)
{
    struct batch batch = {0};
    live_add(&batch, collection, id, n, size);
    OK(live_commit(store, &batch, &err));
}

static inline void live_delete(struct store *store, struct collection *collection, uint64_t id)
{
    struct batch batch = {0};
    live_add_delete(&batch, collection, id);
    OK(live_commit(store, &batch, &err));
}

enum { ABSENT = -1 };

/* The number that the document and the vector of `id` say at `sequence`, or ABSENT. *status: of the
 * first read that failed. */
static inline int64_t live_read(struct collection *collection, uint64_t id, uint64_t sequence,
                                struct buffer *scratch, omendb_status *status, omendb_error *error)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "id-%llu", (unsigned long long)id);
    struct id_view view = {.number = id};
    uint32_t slot = SLOT_NONE, node = SLOT_NONE, size = 0;
    const uint8_t *document = NULL;
    const void *vector = NULL;
    struct value root, member;
    uint64_t n = 0;
    if (id % 2 != 0)
        view = (struct id_view){.text_view = (const uint8_t *)text, .size = (uint32_t)length};
    *status = collection_find(collection, &view, sequence, &slot, error);
    if (*status != OMENDB_OK || slot == SLOT_NONE) return ABSENT;
    *status = collection_document(collection, slot, scratch, &document, &size, error);
    if (*status != OMENDB_OK) return ABSENT;
    *status = document_validate(document, size, error);
    if (*status != OMENDB_OK) return ABSENT;
    document_root(document, size, &root);
    CHECK(value_member(&root, "n", 1, &member) && member.kind == VALUE_INT);
    n = (uint64_t)member.int64;
    *status = collection_slot_node(collection, 0, slot, &node, error);
    if (*status != OMENDB_OK || node == SLOT_NONE) return ABSENT;
    *status = collection_vector(collection, 0, node, &vector, error);
    if (*status != OMENDB_OK) return ABSENT;
    float expected[DIM];
    live_vector(expected, n);
    CHECK(memcmp(vector, expected, sizeof expected) == 0);
    return (int64_t)n;
}

/* The same at the present, every failure being one of the test. */
static inline int64_t live_get(struct store *store, struct collection *collection, uint64_t id)
{
    struct snapshot snapshot;
    struct buffer scratch = {0};
    omendb_status status = OMENDB_OK;
    OK(store_enter(store, &snapshot, &err));
    const int64_t n = live_read(collection, id, snapshot.sequence, &scratch, &status, &err);
    OK(status);
    store_leave(&snapshot);
    buffer_deinit(&scratch);
    return n;
}

/* A number of store_stats(), the first with that name. */
static inline uint64_t live_stat(struct store *store, const char *name)
{
    struct buffer text = {0};
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    OK(store_stats(store, &text, &err));
    OK(buffer_append(&text, "", 1, &err));
    const char *at = strstr((const char *)text.data, wanted);
    CHECK(at != NULL);
    const uint64_t value = strtoull(at + strlen(wanted), NULL, 10);
    buffer_deinit(&text);
    return value;
}

/* The deep check finds nothing. */
static inline void live_check(struct store *store)
{
    struct buffer text = {0};
    OK(store_check(store, true, &text, &err));
    OK(buffer_append(&text, "", 1, &err));
    if (strstr((const char *)text.data, "\"ok\":true") == NULL)
        fprintf(stderr, "%s\n", (const char *)text.data);
    CHECK(strstr((const char *)text.data, "\"ok\":true") != NULL);
    buffer_deinit(&text);
}

#endif /* STORE_LIVE_H */
