#include "crash/scene.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "doc/build.h"
#include "query/indexes.h"

const char scene_path[] = "/db/scene.omen";

enum { NAME = OMENDB_NAME_SIZE_MAX + 1, TEXT_ID = 64, BITS = 64 };

const struct scene_line scene_script[] = {
    {SCENE_OPEN, 0, 0, 0, 0, 0},
    {SCENE_CREATE, 0, 1, 0, 0, 0},
    {SCENE_CREATE, 1, 2, 0, 0, 0},
    {SCENE_CREATE, 2, 0, 0, 0, 0},
    {SCENE_REFUSED, 0, 0, 0, 0, 0},
    {SCENE_PUT, 0, 0, 120, 1, 200},
    {SCENE_PUT, 1, 0, 30, 1, 3000},
    {SCENE_PUT, 2, 0, 400, 1, 20},
    {SCENE_CHECKPOINT, 0, 0, 0, 0, 0},
    {SCENE_SAME, 0, 0, 40, 2, 300},
    {SCENE_PUT, 2, 40, 44, 1, 70000}, /* Runs of blocks. */
    {SCENE_SYNC, 0, 0, 0, 0, 0},
    {SCENE_RENAME, 1, 0, 0, 0, 0},
    {SCENE_READ, 0, 0, 0, 0, 0},
    {SCENE_STATS, 0, 0, 0, 0, 0},
    {SCENE_KILL, 0, 0, 0, 0, 0},
    {SCENE_OPEN_READ_ONLY, 0, 0, 0, 0, 0},
    {SCENE_READ, 0, 0, 0, 0, 0},
    {SCENE_CHECK, 0, 1, 0, 0, 0},
    {SCENE_KILL, 0, 0, 0, 0, 0},
    {SCENE_OPEN, 0, 0, 0, 0, 0},
    {SCENE_CREATE, 3, 1, 0, 0, 0},
    {SCENE_PUT, 3, 0, 20, 1, 9000},
    {SCENE_LOOK, 0, 0, 0, 0, 0},
    {SCENE_DELETE, 0, 2, 120, 1, 0}, /* Most of its vectors: compaction. */
    {SCENE_PUT, 1, 0, 30, 3, 2000},
    {SCENE_CHECKPOINT, 0, 0, 0, 0, 0}, /* With dead versions that the snapshot holds. */
    {SCENE_MARK, 0, 0, 0, 0, 0},
    {SCENE_POWER, 0, 0, 0, 0, 0},
    {SCENE_OPEN, 0, 0, 0, 0, 0},
    {SCENE_DELETE, 2, 20, 380, 1, 0},
    {SCENE_CHECKPOINT, 0, 0, 0, 0, 0},
    {SCENE_DELETE, 1, 0, 8, 1, 0},
    {SCENE_CHECKPOINT, 0, 0, 0, 0, 0},
    {SCENE_DROP, 3, 0, 0, 0, 0},
    {SCENE_PUT, 0, 0, 3, 1, 10},
    {SCENE_CHECKPOINT, 0, 0, 0, 0, 0},
    {SCENE_PUT, 0, 200, 201, 1, 10},
    {SCENE_CHECKPOINT, 0, 0, 0, 0, 0},
    {SCENE_PUT, 0, 100, 110, 1, 100},
    {SCENE_CHECKPOINT, 0, 0, 0, 0, 0},
    {SCENE_PUT, 2, 300, 303, 1, 300000}, /* A log segment of its own. */
    {SCENE_PUT, 2, 300, 320, 2, 9000},
    {SCENE_CHECK, 0, 1, 0, 0, 0},
    {SCENE_DELETE, 2, 300, 303, 1, 0},
    {SCENE_CHECKPOINT, 0, 0, 0, 0, 0},
    {SCENE_CLOSE, 0, 0, 0, 0, 0},
    {SCENE_OPEN, 0, 0, 0, 0, 0},
    {SCENE_READ, 0, 0, 0, 0, 0},
    {SCENE_CREATE, 4, 1, 0, 0, 0},
    {SCENE_PUT, 4, 0, 50, 1, 100},
    {SCENE_PUT, 1, 0, 40, 1, 1000},
    {SCENE_MARK, 0, 0, 0, 0, 0},
    {SCENE_CLOSE, 0, 0, 0, 0, 0},
    {SCENE_OPEN_READ_ONLY, 0, 0, 0, 0, 0},
    {SCENE_READ, 0, 0, 0, 0, 0},
    {SCENE_STATS, 0, 0, 0, 0, 0},
    {SCENE_CLOSE, 0, 0, 0, 0, 0},
};
const uint32_t scene_script_size = COUNT_OF(scene_script);

bool scene_failed(struct scene *scene, const char *format, ...)
{
    va_list args;
    if (scene->failure[0] != '\0') return false; /* The first one counts. */
    va_start(args, format);
    (void)vsnprintf(scene->failure, sizeof scene->failure, format, args);
    va_end(args);
    return false;
}

void scene_init(struct scene *scene, struct sim *sim)
{
    *scene = (struct scene){.sim = sim};
    scene->options = (struct store_options){.vfs = sim_vfs(sim),
                                            .path = scene_path,
                                            .durability = OMENDB_DURABILITY_FULL,
                                            .interval_ms = 100,
                                            .wal_size_max = 600 << 10,
                                            .wal_segment_size = WAL_SEGMENT_MIN,
                                            .hooks = *indexes_hooks_all()};
}

void scene_kill(struct scene *scene, enum sim_mode mode)
{
    if (scene->looking) store_leave(&scene->snapshot);
    scene->looking = false;
    sim_crash_at(scene->sim, 1);
    if (scene->store != NULL) (void)store_close(scene->store, NULL);
    scene->store = NULL;
    sim_reboot(scene->sim, mode, 1);
}

void scene_deinit(struct scene *scene)
{
    if (scene->store != NULL) scene_kill(scene, SIM_PROCESS_KILL);
    batch_deinit(&scene->batch);
    buffer_deinit(&scene->expected);
    buffer_deinit(&scene->scratch);
    buffer_deinit(&scene->text);
    schema_destroy(scene->schema);
    scene->schema = NULL;
}

/* ---- Content ---- */

static void must(omendb_status status) /* Of the test's own preparations. */
{
    if (status != OMENDB_OK) abort();
}

static void name_make(char out[NAME], uint32_t collection, uint32_t renamed)
{
    (void)snprintf(out, NAME, "%c%u", (int)('a' + collection), renamed);
}

static struct schema *schema_make(uint32_t fields)
{
    omendb_vector_field field[2] = {OMENDB_VECTOR_FIELD_INIT, OMENDB_VECTOR_FIELD_INIT};
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    struct schema *out = NULL;
    field[0].name = "v";
    field[0].dim = SCENE_DIM; /* 2 KiB: 32 a block, so that few make many blocks. */
    field[0].type = OMENDB_F32;
    field[0].metric = OMENDB_L2;
    field[1].name = "w";
    field[1].dim = BITS;
    field[1].type = OMENDB_BIT;
    field[1].metric = OMENDB_HAMMING;
    schema.vectors = field;
    schema.vectors_count = fields;
    must(schema_create(&schema, &out, NULL));
    return out;
}

static struct id_view id_make(char text[TEXT_ID], uint32_t id)
{
    struct id_view view = {.number = id};
    if (id % 2 == 0) return view;
    view.size = (uint32_t)snprintf(text, TEXT_ID, "document/%u/%0*u", id, (int)(id % 40), 7u);
    view.text_view = (const uint8_t *)text;
    view.number = 0;
    return view;
}

static uint32_t mix(uint32_t a, uint32_t b)
{
    uint64_t x = ((uint64_t)a << 32 | b) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
    return (uint32_t)(x >> 32);
}

/* {"id", "n", "s"}: the number's low 20 bits count, the others say the size. */
static uint32_t number_make(struct scene *scene, uint32_t size)
{
    uint32_t steps = 0; /* Sizes are 8 * 1.5^steps. */
    for (uint32_t at = 8; at < size; at += at / 2) steps++;
    return steps << 20 | ++scene->counter;
}

static omendb_status document_make(struct buffer *out, uint32_t collection, uint32_t id,
                                   uint32_t number, omendb_error *err)
{
    static char text[1 << 20];
    uint32_t size = 8;
    for (uint32_t steps = number >> 20; steps > 0; steps--) size += size / 2;
    size += mix(number, id) % 8;
    for (uint32_t i = 0; i < size; i++) text[i] = (char)('a' + (mix(number, i / 16) + i) % 26);
    struct build build;
    buffer_clear(out);
    build_init(&build, out);
    omendb_status status = build_begin(&build, VALUE_OBJECT, err);
    if (status == OMENDB_OK) status = build_key(&build, "id", 2, err);
    if (status == OMENDB_OK) status = build_uint(&build, (uint64_t)collection << 32 | id, err);
    if (status == OMENDB_OK) status = build_key(&build, "n", 1, err);
    if (status == OMENDB_OK) status = build_uint(&build, number, err);
    if (status == OMENDB_OK) status = build_key(&build, "s", 1, err);
    if (status == OMENDB_OK) status = build_string(&build, text, size, err);
    if (status == OMENDB_OK) status = build_end(&build, err);
    build_deinit(&build);
    return status;
}

/* Some documents lack a vector. */
static uint32_t vector_size(uint32_t id, uint32_t field)
{
    if ((id + field) % 7 == 3) return 0;
    return field == 0 ? SCENE_DIM * 4 : BITS / 8;
}

static void vector_make(uint8_t *out, uint32_t collection, uint32_t id, uint32_t number,
                        uint32_t field)
{
    if (field == 1) {
        const uint32_t bits[2] = {mix(number, id), mix(id + 1000, collection)};
        memcpy(out, bits, sizeof bits);
        return;
    }
    for (uint32_t i = 0; i < SCENE_DIM; i++) {
        const float value = (float)(mix(number + i, id * 8 + collection) % 4000) / 16.0f - 100.0f;
        memcpy(out + (size_t)i * 4, &value, 4);
    }
}

/* ---- Preparing ---- */

static uint32_t collection_id(struct scene *scene, uint32_t collection)
{
    char name[NAME];
    struct collection *handle = NULL;
    name_make(name, collection, scene->now.collections[collection].renamed);
    must(store_collection_open(scene->store, name, &handle, NULL));
    const uint32_t id = handle->id;
    collection_unpin(handle);
    return id;
}

static void batch_prepare(struct scene *scene, const struct scene_line *line)
{
    const uint32_t handle = collection_id(scene, line->collection);
    uint32_t *numbers = scene->after.collections[line->collection].numbers;
    uint32_t *vectors = scene->after.collections[line->collection].vectors;
    const uint32_t fields = scene->now.collections[line->collection].fields;
    batch_clear(&scene->batch);
    for (uint32_t i = line->from; i < line->to; i += line->step) {
        char text[TEXT_ID];
        const struct id_view id = id_make(text, i);
        if (line->kind == SCENE_DELETE) {
            must(batch_add(&scene->batch, OPERATION_DELETE, handle, id.text_view, id.size,
                           id.number, NULL, 0, NULL));
            numbers[i] = vectors[i] = 0;
            continue;
        }
        numbers[i] = number_make(scene, line->size);
        if (line->kind == SCENE_PUT || vectors[i] == 0) vectors[i] = numbers[i];
        must(document_make(&scene->expected, line->collection, i, numbers[i], NULL));
        must(batch_add(&scene->batch, OPERATION_UPSERT, handle, id.text_view, id.size, id.number,
                       scene->expected.data, (uint32_t)scene->expected.size, NULL));
        for (uint32_t f = 0; f < fields; f++) {
            void *to = NULL;
            if (vector_size(i, f) == 0) continue;
            must(batch_add_vector(&scene->batch, f, vector_size(i, f), &to, NULL));
            vector_make(to, line->collection, i, vectors[i], f);
        }
    }
}

void scene_prepare(struct scene *scene, const struct scene_line *line)
{
    scene->after = scene->now;
    scene->pending = false;
    switch (line->kind) {
    case SCENE_PUT:
    case SCENE_SAME:
    case SCENE_DELETE:
        batch_prepare(scene, line);
        break;
    case SCENE_CREATE:
        memset(&scene->after.collections[line->collection], 0,
               sizeof scene->after.collections[line->collection]);
        scene->after.collections[line->collection].exists = true;
        scene->after.collections[line->collection].fields = line->from;
        if (scene->schema == NULL) scene->schema = schema_make(line->from);
        break;
    case SCENE_RENAME:
        scene->after.collections[line->collection].renamed++;
        break;
    case SCENE_DROP:
        scene->after.collections[line->collection].exists = false;
        break;
    case SCENE_OPEN:
    case SCENE_OPEN_READ_ONLY:
    case SCENE_CHECKPOINT:
    case SCENE_SYNC:
    case SCENE_MARK:
    case SCENE_LOOK:
    case SCENE_LEAVE:
    case SCENE_READ:
    case SCENE_STATS:
    case SCENE_CHECK:
    case SCENE_REFUSED:
    case SCENE_KILL:
    case SCENE_POWER:
    case SCENE_CLOSE:
        break;
    }
}

/* ---- Playing ---- */

static omendb_status changed(struct scene *scene, omendb_status status)
{
    if (status == OMENDB_OK) {
        scene->now = scene->after;
        scene->sequence++;
        scene->pending = false;
    } else {
        scene->pending = true;
    }
    return status;
}

/* The sequence that the store is at says which state must be there. */
static omendb_status opened(struct scene *scene)
{
    const uint64_t found = atomic_load_acquire_u64(&scene->store->space.epoch.visible_sequence);
    if (scene->pending && found == scene->sequence + 1) (void)changed(scene, OMENDB_OK);
    if (found != scene->sequence)
        (void)scene_failed(scene, "opened at %llu, acknowledged is %llu", (unsigned long long)found,
                           (unsigned long long)scene->sequence);
    scene->pending = false;
    return OMENDB_OK;
}

static omendb_status play_open(struct scene *scene, uint32_t flags, omendb_error *err)
{
    scene->options.flags = flags;
    const omendb_status status = store_open(&scene->options, &scene->store, err);
    if (status != OMENDB_OK) {
        scene->store = NULL;
        if (sim_open_files(scene->sim) != 0) (void)scene_failed(scene, "a file was left open");
        return status;
    }
    return opened(scene);
}

static omendb_status play_close(struct scene *scene, omendb_error *err)
{
    struct store *store = scene->store;
    if (scene->looking) store_leave(&scene->snapshot);
    scene->looking = false;
    scene->store = NULL;
    const omendb_status status = store_close(store, err);
    if (sim_open_files(scene->sim) != 0) (void)scene_failed(scene, "a file was left open");
    return status;
}

static omendb_status play_mark(struct scene *scene, omendb_error *err)
{
    struct store *store = scene->store;
    omendb_error error = {0};
    TRY(store_writable_settled(store, err));
    omendb_status status = wal_prepare_next(&store->wal, err);
    if (status != OMENDB_OK) return status;
    txn_lead_begin(store);
    status = wal_mark(&store->wal, &error);
    if (status != OMENDB_OK) store_fence(store, &error);
    txn_lead_end(store);
    if (status != OMENDB_OK && err != NULL) *err = error;
    return status;
}

static void refused(struct scene *scene, omendb_status wanted, omendb_status status,
                    const char *what)
{
    if (status != wanted && status != OMENDB_ERR_NOMEM && status != OMENDB_ERR_IO)
        (void)scene_failed(scene, "%s: %d, not %d", what, (int)status, (int)wanted);
}

static omendb_status play_refused(struct scene *scene, omendb_error *err)
{
    struct store *store = scene->store;
    struct store *second = NULL;
    struct collection *none = NULL;
    struct store_options options = scene->options;
    (void)err;
    refused(scene, OMENDB_ERR_BUSY, store_open(&options, &second, NULL), "a second writer");
    options.flags = OMENDB_OPEN_MUST_NOT_EXIST;
    refused(scene, OMENDB_ERR_EXISTS, store_open(&options, &second, NULL), "a new file");
    options.path = "/db/none.omen";
    options.flags = OMENDB_OPEN_MUST_EXIST;
    refused(scene, OMENDB_ERR_NOT_FOUND, store_open(&options, &second, NULL), "no file");
    options.flags = OMENDB_OPEN_READ_ONLY;
    refused(scene, OMENDB_ERR_NOT_FOUND, store_open(&options, &second, NULL), "no file to read");
    refused(scene, OMENDB_ERR_NOT_FOUND, store_collection_open(store, "x", &none, NULL), "open");
    refused(scene, OMENDB_ERR_NOT_FOUND, store_collection_drop(store, "x", NULL), "drop");
    refused(scene, OMENDB_ERR_NOT_FOUND, store_collection_rename(store, "x", "y", NULL), "rename");
    refused(scene, OMENDB_ERR_EXISTS, store_collection_rename(store, "a0", "b0", NULL),
            "rename to");
    return OMENDB_OK;
}

omendb_status scene_check(struct scene *scene, bool deep, bool *good, omendb_error *err)
{
    static const char fine[] = "{\"ok\":true";
    buffer_clear(&scene->text);
    TRY(store_check(scene->store, deep, &scene->text, err));
    *good = memcmp(scene->text.data, fine, sizeof fine - 1) == 0;
    return OMENDB_OK;
}

static omendb_status play_check(struct scene *scene, bool deep, omendb_error *err)
{
    bool good = false;
    TRY(scene_check(scene, deep, &good, err));
    if (!good)
        (void)scene_failed(scene, "check: %.*s", (int)scene->text.size,
                           (const char *)scene->text.data);
    return OMENDB_OK;
}

omendb_status scene_play(struct scene *scene, const struct scene_line *line, omendb_error *err)
{
    struct store *store = scene->store;
    struct schema *schema = NULL;
    char name[NAME], new_name[NAME];
    name_make(name, line->collection, scene->now.collections[line->collection].renamed);
    switch (line->kind) {
    case SCENE_OPEN:
        return play_open(scene, 0, err);
    case SCENE_OPEN_READ_ONLY:
        return play_open(scene, OMENDB_OPEN_READ_ONLY, err);
    case SCENE_CREATE:
        name_make(name, line->collection, 0);
        schema = scene->schema; /* Taken in any case. */
        scene->schema = NULL;
        if (schema == NULL) schema = schema_make(line->from);
        return changed(scene, store_collection_create(store, name, schema, NULL, err));
    case SCENE_RENAME:
        name_make(new_name, line->collection, scene->after.collections[line->collection].renamed);
        return changed(scene, store_collection_rename(store, name, new_name, err));
    case SCENE_DROP:
        return changed(scene, store_collection_drop(store, name, err));
    case SCENE_PUT:
    case SCENE_SAME:
    case SCENE_DELETE:
        return changed(scene,
                       store_commit(store, &scene->batch, OMENDB_DURABILITY_DEFAULT, NULL, err));
    case SCENE_CHECKPOINT:
        return store_checkpoint(store, err);
    case SCENE_SYNC:
        return store_sync(store, err);
    case SCENE_MARK:
        return play_mark(scene, err);
    case SCENE_LOOK:
        if (scene->looking) return OMENDB_OK;
        TRY(store_enter(store, &scene->snapshot, err));
        scene->looking = true;
        return OMENDB_OK;
    case SCENE_LEAVE:
        if (scene->looking) store_leave(&scene->snapshot);
        scene->looking = false;
        return OMENDB_OK;
    case SCENE_READ:
        return scene_compare(scene, err);
    case SCENE_STATS:
        buffer_clear(&scene->text);
        return store_stats(store, &scene->text, err);
    case SCENE_CHECK:
        return play_check(scene, line->from != 0, err);
    case SCENE_REFUSED:
        return play_refused(scene, err);
    case SCENE_KILL:
        scene_kill(scene, SIM_PROCESS_KILL);
        return OMENDB_OK;
    case SCENE_POWER:
        scene_kill(scene, SIM_NONE);
        return OMENDB_OK;
    case SCENE_CLOSE:
        return play_close(scene, err);
    }
    return OMENDB_ERR_INTERNAL;
}

bool scene_recover(struct scene *scene, bool *happened)
{
    omendb_error error = {0};
    *happened = false;
    if (scene->failure[0] != '\0') return false;
    if (scene->store != NULL) {
        if (atomic_load_acquire_u32(&scene->store->fenced) == 0) return true;
        if (play_close(scene, &error) == OMENDB_OK)
            return scene_failed(scene, "a fenced handle was closed without a word");
    }
    const uint64_t before = scene->sequence;
    if (play_open(scene, 0, &error) != OMENDB_OK)
        return scene_failed(scene, "opening again: %s", error.message);
    *happened = scene->sequence != before;
    return scene->failure[0] == '\0';
}

/* ---- Comparing ---- */

static omendb_status compare_one(struct scene *scene, struct collection *handle,
                                 uint32_t collection, uint32_t id, uint64_t sequence,
                                 const char **fault, omendb_error *err)
{
    const uint32_t number = scene->now.collections[collection].numbers[id];
    char text[TEXT_ID];
    const struct id_view view = id_make(text, id);
    const uint8_t *document = NULL;
    uint32_t slot = SLOT_NONE, size = 0;
    struct id_view stored;
    TRY(collection_find(handle, &view, sequence, &slot, err));
    if ((slot == SLOT_NONE) != (number == 0))
        *fault = number == 0 ? "it is there" : "it is missing";
    if (number == 0 || slot == SLOT_NONE) return OMENDB_OK;
    TRY(collection_slot_id(handle, slot, &stored, err));
    if (id_view_compare(&stored, &view) != 0) *fault = "another id";
    TRY(collection_document(handle, slot, &scene->scratch, &document, &size, err));
    TRY(document_make(&scene->expected, collection, id, number, err));
    if (size != scene->expected.size || memcmp(document, scene->expected.data, size) != 0)
        *fault = "another document";
    for (uint32_t f = 0; f < handle->schema->vectors_count && *fault == NULL; f++) {
        uint8_t expected[SCENE_DIM * 4];
        const void *vector = NULL;
        uint32_t node = SLOT_NONE, head = SLOT_NONE;
        TRY(collection_slot_node(handle, f, slot, &node, err));
        if ((node == SLOT_NONE) != (vector_size(id, f) == 0)) *fault = "a vector too few or many";
        if (node == SLOT_NONE || *fault != NULL) continue;
        TRY(collection_vector(handle, f, node, &vector, err));
        vector_make(expected, collection, id, scene->now.collections[collection].vectors[id], f);
        if (memcmp(vector, expected, vector_size(id, f)) != 0) *fault = "another vector";
        TRY(collection_node_head(handle, f, node, &head, err));
        if (head == SLOT_NONE) *fault = "its vector is free";
        else TRY(collection_link_next(handle, f, head, &head, err));
    }
    return OMENDB_OK;
}

struct comparison {
    struct scene *scene;
    uint64_t sequence;
    uint32_t found;
};

static omendb_status compare_collection(void *context, struct collection *handle, const char *name,
                                        omendb_error *err)
{
    struct comparison *comparison = context;
    struct scene *scene = comparison->scene;
    char expected[NAME];
    uint32_t at = 0;
    uint64_t count = 0, visible = 0;
    for (; at < SCENE_COLLECTIONS; at++) {
        name_make(expected, at, scene->now.collections[at].renamed);
        if (scene->now.collections[at].exists && strcmp(expected, name) == 0) break;
    }
    if (at == SCENE_COLLECTIONS ||
        handle->schema->vectors_count != scene->now.collections[at].fields) {
        (void)scene_failed(scene, "collection %s is none, or another", name);
        return OMENDB_OK;
    }
    comparison->found++;
    for (uint32_t id = 0; id < SCENE_IDS && scene->failure[0] == '\0'; id++) {
        const char *fault = NULL;
        count += scene->now.collections[at].numbers[id] != 0;
        TRY(compare_one(scene, handle, at, id, comparison->sequence, &fault, err));
        if (fault != NULL) (void)scene_failed(scene, "collection %s, id %u: %s", name, id, fault);
    }
    const uint32_t slots = atomic_load_acquire_u32(&handle->slot_count);
    for (uint32_t slot = 0; slot < slots; slot++) {
        bool seen = false;
        TRY(collection_visible(handle, slot, comparison->sequence, &seen, err));
        visible += seen;
    }
    if (visible != count || atomic_load_acquire_u64(&handle->published_count) != count)
        (void)scene_failed(scene, "collection %s: %llu visible, %llu counted, not %llu", name,
                           (unsigned long long)visible,
                           (unsigned long long)atomic_load_acquire_u64(&handle->published_count),
                           (unsigned long long)count);
    return OMENDB_OK;
}

omendb_status scene_compare(struct scene *scene, omendb_error *err)
{
    struct comparison comparison = {.scene = scene};
    struct snapshot snapshot;
    uint32_t expected = 0;
    for (uint32_t i = 0; i < SCENE_COLLECTIONS; i++) expected += scene->now.collections[i].exists;
    TRY(store_enter(scene->store, &snapshot, err));
    comparison.sequence = snapshot.sequence;
    if (snapshot.sequence != scene->sequence)
        (void)scene_failed(scene, "readers see %llu, acknowledged is %llu",
                           (unsigned long long)snapshot.sequence,
                           (unsigned long long)scene->sequence);
    const omendb_status status = store_collections(scene->store, compare_collection, &comparison,
                                                   err);
    store_leave(&snapshot);
    if (status == OMENDB_OK && comparison.found != expected)
        (void)scene_failed(scene, "%u collections, not %u", comparison.found, expected);
    return status;
}

bool scene_verify(struct scene *scene, bool deep)
{
    omendb_error error = {0};
    omendb_status status = scene_compare(scene, &error);
    if (status == OMENDB_OK && deep) status = play_check(scene, true, &error);
    if (status != OMENDB_OK) (void)scene_failed(scene, "reading: %s", error.message);
    return scene->failure[0] == '\0';
}

void scene_play_all(struct scene *scene, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        omendb_error error = {0};
        scene_prepare(scene, &scene_script[i]);
        const omendb_status status = scene_play(scene, &scene_script[i], &error);
        if (status == OMENDB_OK && scene->failure[0] == '\0') continue;
        fprintf(stderr, "line %u: %d %s %s\n", i, (int)status, error.message, scene->failure);
        abort();
    }
}
