#include "crash/content.h"

#include <stdio.h>
#include <string.h>

#include "doc/build.h"

void content_deinit(struct content *content)
{
    buffer_deinit(&content->document);
    buffer_deinit(&content->run);
}

void content_name(char out[CONTENT_NAME], uint32_t index, uint32_t number)
{
    (void)snprintf(out, CONTENT_NAME, "%c-%u", (int)('a' + index), number);
}

omendb_status content_schema(uint8_t kind, struct schema **out, omendb_error *err)
{
    omendb_vector_field fields[2] = {OMENDB_VECTOR_FIELD_INIT, OMENDB_VECTOR_FIELD_INIT};
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    fields[0].name = "v";
    fields[0].dim = CONTENT_DIM;
    fields[0].type = OMENDB_F32;
    fields[0].metric = OMENDB_L2;
    fields[1].name = "w";
    fields[1].dim = CONTENT_BITS;
    fields[1].type = OMENDB_BIT;
    fields[1].metric = OMENDB_HAMMING;
    schema.vectors = fields;
    schema.vectors_count = kind;
    return schema_create(&schema, out, err);
}

static uint64_t mixed(uint64_t a, uint64_t b)
{
    uint64_t state = a * UINT64_C(0x9E3779B97F4A7C15) + b;
    return random_next(&state);
}

/* ---- Parts ---- */

static uint32_t text_size(const struct world *world, uint32_t version)
{
    const uint64_t draw = mixed(version, 1);
    const uint32_t kind = (uint32_t)(draw % 100);
    const uint32_t more = (uint32_t)(draw >> 32);
    switch (world->profile) {
    case PROFILE_BULK:
        return 2 + more % 8;
    case PROFILE_UNSYNCED:
        return 10 + more % 40; /* Frames of one page, so that stale ones fit exactly. */
    case PROFILE_CHURN:
        if (kind < 2) return 260000 + more % 30000; /* More than a segment. */
        if (kind < 8) return 33000 + more % 60000;  /* A run of blocks. */
        return 1000 + more % 9000;
    case PROFILE_MIXED:
        break;
    }
    if (kind < 3) return 33000 + more % 40000;
    if (kind < 20) return 1000 + more % 3000;
    return 10 + more % 200;
}

static omendb_status document_make(struct buffer *out, const struct world *world,
                                   const struct world_collection *collection, uint32_t number,
                                   uint32_t version)
{
    static char text[300000];
    const uint32_t size = text_size(world, version);
    struct build build;
    buffer_clear(out);
    for (uint32_t at = 0; at < size; at += 8) { /* Up to 7 bytes beyond: there is room. */
        const uint64_t letters = (mixed(version, at) & UINT64_C(0x0F0F0F0F0F0F0F0F)) |
                                 UINT64_C(0x4040404040404040);
        memcpy(text + at, &letters, sizeof letters);
    }
    build_init(&build, out);
    omendb_status status = build_begin(&build, VALUE_OBJECT, NULL);
    if (status == OMENDB_OK) status = build_key(&build, "n", 1, NULL);
    if (status == OMENDB_OK)
        status = build_uint(&build, (uint64_t)collection->incarnation << 32 | number, NULL);
    if (status == OMENDB_OK) status = build_key(&build, "v", 1, NULL);
    if (status == OMENDB_OK) status = build_uint(&build, version, NULL);
    if (status == OMENDB_OK) status = build_key(&build, "t", 1, NULL);
    if (status == OMENDB_OK) status = build_string(&build, text, size, NULL);
    if (status == OMENDB_OK) status = build_end(&build, NULL);
    build_deinit(&build);
    return status;
}

struct content_id {
    char text[16];
    uint32_t size; /* 0: a number. */
    uint64_t number;
};

static struct content_id id_of(uint32_t number)
{
    struct content_id id = {.number = mixed(number, 3)};
    if (number % 2 == 0) return id;
    id.size = (uint32_t)snprintf(id.text, sizeof id.text, "id/%u", number);
    return id;
}

static bool has_vector(uint32_t number, uint32_t version, uint32_t field)
{
    return mixed(mixed(number, version), 10 + field) % 5 != 0;
}

/* [CONTENT_DIM] floats or CONTENT_BITS bits. */
static size_t vector_make(uint8_t out[CONTENT_DIM * sizeof(float)], uint32_t number,
                          uint32_t version, uint32_t field)
{
    uint64_t seed = mixed(number, mixed(version, 4) % 3 == 0 ? 0 : version);
    /* Every third one is one of four that other documents have too. */
    const uint64_t common = mixed(seed, 12);
    if (common % 3 == 0) seed = mixed(common / 3 % 4, 13);
    if (field == 1) {
        const uint64_t bits = mixed(seed, 5);
        memcpy(out, &bits, sizeof bits);
        return sizeof bits;
    }
    for (uint32_t i = 0; i < CONTENT_DIM; i++) {
        const float value = (float)(mixed(seed, 6 + i) % 1000) / 8.0f - 60.0f;
        memcpy(out + i * sizeof value, &value, sizeof value);
    }
    return CONTENT_DIM * sizeof(float);
}

/* ---- Batches ---- */

static omendb_status upsert_one(struct batch *batch, uint32_t collection_id,
                                const struct world *world,
                                const struct world_collection *collection, uint32_t number,
                                uint32_t version, struct buffer *document)
{
    const struct content_id id = id_of(number);
    TRY(document_make(document, world, collection, number, version));
    TRY(batch_add(batch, OPERATION_UPSERT, collection_id, id.size != 0 ? id.text : NULL, id.size,
                  id.size != 0 ? 0 : id.number, document->data, (uint32_t)document->size, NULL));
    for (uint32_t field = 0; field < collection->kind; field++) {
        uint8_t bytes[CONTENT_DIM * sizeof(float)];
        void *to = NULL;
        if (!has_vector(number, version, field)) continue;
        const size_t size = vector_make(bytes, number, version, field);
        TRY(batch_add_vector(batch, field, (uint32_t)size, &to, NULL));
        memcpy(to, bytes, size);
    }
    return OMENDB_OK;
}

omendb_status content_upsert(struct batch *batch, uint32_t collection_id, const struct world *world,
                             const struct world_collection *collection, uint32_t key)
{
    struct buffer document = {0};
    omendb_status status = OMENDB_OK;
    for (uint32_t i = 0; i < world->group_size && status == OMENDB_OK; i++)
        status = upsert_one(batch, collection_id, world, collection, key * world->group_size + i,
                            collection->versions[key], &document);
    buffer_deinit(&document);
    return status;
}

omendb_status content_delete(struct batch *batch, uint32_t collection_id, uint32_t key,
                             uint32_t group_size)
{
    for (uint32_t i = 0; i < group_size; i++) {
        const struct content_id id = id_of(key * group_size + i);
        TRY(batch_add(batch, OPERATION_DELETE, collection_id, id.size != 0 ? id.text : NULL,
                      id.size, id.size != 0 ? 0 : id.number, NULL, 0, NULL));
    }
    return OMENDB_OK;
}

/* ---- Comparing ---- */

static omendb_status compare_vectors(struct collection *collection, uint32_t slot, uint32_t number,
                                     uint32_t version, const char **fault, omendb_error *err)
{
    for (uint32_t field = 0; field < collection->schema->vectors_count; field++) {
        uint8_t expected[CONTENT_DIM * sizeof(float)];
        const void *vector = NULL;
        uint32_t node = SLOT_NONE;
        TRY(collection_slot_node(collection, field, slot, &node, err));
        if ((node != SLOT_NONE) != has_vector(number, version, field)) {
            *fault = node != SLOT_NONE ? "a vector too many" : "a vector is missing";
            return OMENDB_OK;
        }
        if (node == SLOT_NONE) continue;
        TRY(collection_vector(collection, field, node, &vector, err));
        const size_t size = vector_make(expected, number, version, field);
        if (memcmp(vector, expected, size) != 0) {
            *fault = "another vector";
            return OMENDB_OK;
        }
    }
    return OMENDB_OK;
}

omendb_status content_compare(struct content *content, const struct world *world,
                              struct collection *collection,
                              const struct world_collection *expected, uint32_t number,
                              uint64_t sequence, const char **fault, omendb_error *err)
{
    const uint32_t version = expected->versions[number / world->group_size];
    const struct content_id id = id_of(number);
    const struct id_view view = {.text_view = id.size != 0 ? (const uint8_t *)id.text : NULL,
                                 .size = id.size,
                                 .number = id.size != 0 ? 0 : id.number};
    const uint8_t *document = NULL;
    uint32_t slot = SLOT_NONE, size = 0;
    struct id_view stored;
    TRY(collection_find(collection, &view, sequence, &slot, err));
    if (version == 0 || slot == SLOT_NONE) {
        if (version != 0) *fault = "the document is missing";
        else if (slot != SLOT_NONE) *fault = "the document should not be there";
        return OMENDB_OK;
    }
    TRY(collection_slot_id(collection, slot, &stored, err));
    if (id_view_compare(&stored, &view) != 0) *fault = "another id";
    TRY(collection_document(collection, slot, &content->run, &document, &size, err));
    TRY(document_make(&content->document, world, expected, number, version));
    if (size != content->document.size || memcmp(document, content->document.data, size) != 0)
        *fault = "another document";
    return *fault != NULL ? OMENDB_OK
                          : compare_vectors(collection, slot, number, version, fault, err);
}
