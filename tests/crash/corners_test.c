/* Places that neither a random workload nor the script of scene.h comes to: stores without a file,
 * without indexes, with a catalog of many blocks, with more readers than a page, beside reader
 * processes, in a forked child, after a failure. */
#include "base/alloc.h"
#include "base/compiler.h"
#include "crash/faults.h"
#include "crash/interpose.h"
#include "crash/scene.h"
#include "doc/build.h"
#include "test.h"

static void line(struct scene *scene, struct scene_line what)
{
    omendb_error error = {0};
    scene_prepare(scene, &what);
    const omendb_status status = scene_play(scene, &what, &error);
    if (status != OMENDB_OK || scene->failure[0] != '\0')
        fprintf(stderr, "kind %d: %s %s\n", (int)what.kind, error.message, scene->failure);
    CHECK(status == OMENDB_OK && scene->failure[0] == '\0');
}

static void put(struct scene *scene, uint32_t collection, uint32_t from, uint32_t to, uint32_t size)
{
    line(scene, (struct scene_line){SCENE_PUT, collection, from, to, 1, size});
}

static void make(struct scene *scene, uint32_t collection, uint32_t fields)
{
    line(scene, (struct scene_line){SCENE_CREATE, collection, fields, 0, 0, 0});
}

static void plain(struct scene *scene, enum scene_kind kind)
{
    line(scene, (struct scene_line){kind, 0, 1, 0, 0, 0});
}

static void verified(struct scene *scene)
{
    if (!scene_verify(scene, true)) fprintf(stderr, "%s\n", scene->failure);
    CHECK(scene->failure[0] == '\0');
}

static void begin(struct scene *scene, uint64_t seed)
{
    scene_init(scene, sim_create(seed));
}

static void end(struct scene *scene)
{
    struct sim *sim = scene->sim;
    scene_deinit(scene);
    sim_destroy(sim);
}

/* ---- Without a file, without indexes ---- */

static void memory_alone_holds_everything(void)
{
    struct scene scene;
    const uint64_t before = alloc_bytes();
    begin(&scene, 1);
    scene.options.path = NULL;
    plain(&scene, SCENE_OPEN);
    make(&scene, 0, 1);
    make(&scene, 1, 2);
    make(&scene, 2, 0);
    for (uint32_t round = 0; round < 8; round++) {
        put(&scene, 0, 0, 200, 50);
        put(&scene, 2, 0, 400, round == 3 ? 20000 : 100);
        line(&scene, (struct scene_line){SCENE_DELETE, 0, round, 200, 3, 0});
        if (round % 3 == 0) plain(&scene, SCENE_LOOK);
        else plain(&scene, SCENE_LEAVE);
        verified(&scene);
    }
    plain(&scene, SCENE_CHECKPOINT);
    plain(&scene, SCENE_SYNC);
    plain(&scene, SCENE_STATS);
    line(&scene, (struct scene_line){SCENE_RENAME, 1, 0, 0, 0, 0});
    line(&scene, (struct scene_line){SCENE_DROP, 0, 0, 0, 0, 0});
    verified(&scene);
    plain(&scene, SCENE_LEAVE);
    plain(&scene, SCENE_CLOSE);
    end(&scene);
    CHECK(alloc_bytes() == before);
}

static void indexes_are_optional(void)
{
    struct scene scene;
    begin(&scene, 2);
    scene.options.hooks = (struct index_hooks){0};
    scene.options.wal_segment_size = 0; /* The default. */
    scene_play_all(&scene, scene_script_size);
    end(&scene);
}

/* ---- Many collections: a catalog of many blocks ---- */

static void name_make(char out[16], uint32_t i)
{
    (void)snprintf(out, 16, "c%04u", i);
}

static struct schema *schema_make(void)
{
    omendb_vector_field fields[2] = {OMENDB_VECTOR_FIELD_INIT, OMENDB_VECTOR_FIELD_INIT};
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    struct schema *out = NULL;
    for (int f = 0; f < 2; f++) {
        fields[f].name = f == 0 ? "v" : "w";
        fields[f].dim = 8;
    }
    schema.vectors = fields;
    schema.vectors_count = 2;
    CHECK(schema_create(&schema, &out, NULL) == OMENDB_OK);
    return out;
}

static void many_make(struct store *store, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        char name[16];
        name_make(name, i);
        CHECK(store_collection_create(store, name, schema_make(), NULL, NULL) == OMENDB_OK);
    }
}

static omendb_status one_counted(void *context, struct collection *collection, const char *name,
                                 omendb_error *err)
{
    (void)collection, (void)name, (void)err;
    ++*(uint32_t *)context;
    return OMENDB_OK;
}

static uint32_t many_count(struct store *store)
{
    uint32_t count = 0;
    CHECK(store_collections(store, one_counted, &count, NULL) == OMENDB_OK);
    return count;
}

static struct store *many_open(struct scene *scene, uint32_t flags)
{
    struct store *store = NULL;
    omendb_error error = {0};
    scene->options.flags = flags;
    const omendb_status status = store_open(&scene->options, &store, &error);
    if (status != OMENDB_OK) fprintf(stderr, "%s\n", error.message);
    CHECK(status == OMENDB_OK);
    return store;
}

static void checked(struct scene *scene, struct store *store)
{
    bool good = false;
    scene->store = store;
    CHECK(scene_check(scene, true, &good, NULL) == OMENDB_OK);
    if (!good) fprintf(stderr, "%.*s\n", (int)scene->text.size, (const char *)scene->text.data);
    CHECK(good);
    scene->store = NULL;
}

/* The binary form of {}. */
static omendb_status document_empty(struct buffer *out)
{
    struct build build;
    build_init(&build, out);
    omendb_status status = build_begin(&build, VALUE_OBJECT, NULL);
    if (status == OMENDB_OK) status = build_end(&build, NULL);
    build_deinit(&build);
    return status;
}

static void small_commit(struct store *store, const char *name, uint64_t id)
{
    struct batch batch = {0};
    struct collection *collection = NULL;
    struct buffer document = {0};
    CHECK(store_collection_open(store, name, &collection, NULL) == OMENDB_OK);
    CHECK(document_empty(&document) == OMENDB_OK);
    CHECK(batch_add(&batch, OPERATION_UPSERT, collection->id, NULL, 0, id, document.data,
                    (uint32_t)document.size, NULL) == OMENDB_OK);
    CHECK(store_commit(store, &batch, OMENDB_DURABILITY_NONE, NULL, NULL) == OMENDB_OK);
    collection_unpin(collection);
    batch_deinit(&batch);
    buffer_deinit(&document);
}

static void a_catalog_may_need_blocks(void)
{
    struct scene scene;
    begin(&scene, 3);
    scene.options.wal_size_max = 64 << 20;
    struct store *store = many_open(&scene, 0);
    many_make(store, 0, 200);
    small_commit(store, "c0007", 1);
    /* Every request of memory and every call of a checkpoint and a close with such a catalog. */
    for (long n = 0;; n += 7) {
        omendb_error error = {0};
        small_commit(store, "c0007", (uint64_t)n);
        (void)alloc_fail_after(n, 1);
        const omendb_status status = store_checkpoint(store, &error);
        if (alloc_fail_after(-1, 0) >= 0) break;
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
    }
    checked(&scene, store);
    for (uint64_t n = 1; n < 40; n++) {
        small_commit(store, "c0007", n);
        const uint64_t before = sim_calls(scene.sim);
        sim_fail_at(scene.sim, before + n, SIM_FAULT_FULL);
        const omendb_status status = store_checkpoint(store, NULL);
        const uint64_t calls = sim_calls(scene.sim) - before;
        if (status == OMENDB_OK && calls < n) break;
        if (status == OMENDB_OK || atomic_load_acquire_u32(&store->fenced) == 0) continue;
        CHECK(store_close(store, NULL) != OMENDB_OK);
        store = many_open(&scene, 0);
        CHECK(many_count(store) == 200);
    }
    (void)store_close(store, NULL); /* The last fault may still wait for its call. */
    store = many_open(&scene, 0);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    store = many_open(&scene, OMENDB_OPEN_READ_ONLY);
    CHECK(many_count(store) == 200);
    checked(&scene, store);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    for (long n = 0;; n += 5) { /* The open reads it. */
        (void)alloc_fail_after(n, 1);
        const omendb_status status = store_open(&scene.options, &store, NULL);
        const bool fired = alloc_fail_after(-1, 0) < 0;
        if (status == OMENDB_OK) CHECK(store_close(store, NULL) == OMENDB_OK);
        if (!fired) break;
    }
    for (uint64_t n = 1; n < 8; n++) {
        sim_fail_read_at(scene.sim, sim_call_count(scene.sim, SIM_READ) + n);
        if (store_open(&scene.options, &store, NULL) == OMENDB_OK)
            CHECK(store_close(store, NULL) == OMENDB_OK);
    }
    store = many_open(&scene, 0);
    checked(&scene, store);
    for (uint32_t i = 20; i < 200; i++) {
        char name[16];
        name_make(name, i);
        CHECK(store_collection_drop(store, name, NULL) == OMENDB_OK);
    }
    CHECK(store_checkpoint(store, NULL) == OMENDB_OK);
    checked(&scene, store);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    store = many_open(&scene, 0);
    CHECK(many_count(store) == 20);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    end(&scene);
}

static void collections_have_a_limit(void)
{
    struct scene scene;
    begin(&scene, 4);
    scene.options.path = NULL;
    struct store *store = many_open(&scene, 0);
    many_make(store, 0, OMENDB_COLLECTIONS_MAX);
    CHECK(store_collection_create(store, "more", schema_make(), NULL, NULL) == OMENDB_ERR_FULL);
    CHECK(many_count(store) == OMENDB_COLLECTIONS_MAX);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    end(&scene);
}

/* ---- Readers ---- */

static void readers_may_be_many(void)
{
    enum { READERS = 3 * EPOCH_PAGE_READERS };
    static struct snapshot snapshots[READERS];
    struct scene scene;
    begin(&scene, 5);
    plain(&scene, SCENE_OPEN);
    make(&scene, 0, 1);
    for (uint32_t i = 0; i < READERS; i++) {
        if (i % 16 == 0) put(&scene, 0, i, i + 3, 2000);
        if (i % 40 == 0) plain(&scene, SCENE_CHECKPOINT);
        (void)alloc_fail_after(0, 1);
        omendb_status status = store_enter(scene.store, &snapshots[i], NULL);
        (void)alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
        if (status != OMENDB_OK) status = store_enter(scene.store, &snapshots[i], NULL);
        CHECK(status == OMENDB_OK && snapshots[i].sequence == scene.sequence);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        store_leave(&snapshots[(i * 7) % READERS]);
        if (i % 50 == 0) put(&scene, 0, 0, 40, 300);
        if (i % 50 == 25) plain(&scene, SCENE_CHECKPOINT);
    }
    verified(&scene);
    end(&scene);
}

static omendb_status any_commit(struct scene *scene)
{
    struct batch batch = {0};
    CHECK(batch_add(&batch, OPERATION_DELETE, 1, NULL, 0, 3, NULL, 0, NULL) == OMENDB_OK);
    const omendb_status status = store_commit(scene->store, &batch, OMENDB_DURABILITY_DEFAULT, NULL,
                                              NULL);
    batch_deinit(&batch);
    return status;
}

/* Another process reads an image while the writer makes many, closes and opens again. */
static void reader_processes_keep_what_they_opened(void)
{
    struct scene scene, reader;
    begin(&scene, 6);
    plain(&scene, SCENE_OPEN);
    make(&scene, 0, 1);
    make(&scene, 1, 2);
    put(&scene, 0, 0, 100, 500);
    put(&scene, 1, 0, 30, 5000);
    plain(&scene, SCENE_CHECKPOINT);
    put(&scene, 0, 50, 60, 100);
    for (uint32_t round = 0; round < 3; round++) {
        scene_init(&reader, scene.sim);
        reader.now = scene.now;
        reader.sequence = scene.sequence;
        plain(&reader, SCENE_OPEN_READ_ONLY);
        for (uint32_t i = 0; i < 6; i++) {
            put(&scene, 0, i * 10, i * 10 + 60, 400);
            line(&scene, (struct scene_line){SCENE_DELETE, 1, i, 30, 4, 0});
            plain(&scene, SCENE_CHECKPOINT);
            verified(&scene);
            CHECK(scene_verify(&reader, false));
            if (i == 2 || round == 1) {
                if (round == 2) { /* It ends in the midst of things. */
                    sim_fail_at(scene.sim, sim_calls(scene.sim) + 1, SIM_FAULT_IO);
                    CHECK(any_commit(&scene) != OMENDB_OK);
                }
                CHECK((store_close(scene.store, NULL) == OMENDB_OK) == (round != 2));
                scene.store = NULL;
                CHECK(scene_verify(&reader, false));
                plain(&scene, SCENE_OPEN);
            }
        }
        CHECK(scene_verify(&reader, false));
        CHECK(store_close(reader.store, NULL) == OMENDB_OK);
        reader.store = NULL;
        scene_deinit(&reader);
    }
    verified(&scene);
    plain(&scene, SCENE_CLOSE);
    end(&scene);
}

/* ---- Calls that must be refused ---- */

static void changes_are_refused(struct scene *scene, omendb_status wanted)
{
    struct collection *collection = NULL;
    CHECK(any_commit(scene) == wanted);
    CHECK(store_collection_create(scene->store, "n", schema_make(), &collection, NULL) == wanted);
    CHECK(store_collection_drop(scene->store, "a0", NULL) == wanted);
    CHECK(store_collection_rename(scene->store, "a0", "n", NULL) == wanted);
    CHECK(store_checkpoint(scene->store, NULL) == wanted);
}

static void read_only_handles_change_nothing(void)
{
    struct scene scene;
    begin(&scene, 7);
    scene_play_all(&scene, scene_script_size);
    plain(&scene, SCENE_OPEN_READ_ONLY);
    changes_are_refused(&scene, OMENDB_ERR_READ_ONLY);
    plain(&scene, SCENE_SYNC);
    verified(&scene);
    plain(&scene, SCENE_CLOSE);
    end(&scene);
}

static void forked_children_are_refused(void)
{
    struct scene scene;
    struct collection *collection = NULL;
    struct buffer text = {0};
    uint32_t count = 0;
    begin(&scene, 8);
    plain(&scene, SCENE_OPEN);
    make(&scene, 0, 1);
    put(&scene, 0, 0, 20, 500);
    sim_set_process_id(scene.sim, 77);
    changes_are_refused(&scene, OMENDB_ERR_MISUSE);
    CHECK(store_sync(scene.store, NULL) == OMENDB_ERR_MISUSE);
    CHECK(store_stats(scene.store, &text, NULL) == OMENDB_ERR_MISUSE);
    CHECK(store_check(scene.store, true, &text, NULL) == OMENDB_ERR_MISUSE);
    CHECK(store_collection_open(scene.store, "a0", &collection, NULL) == OMENDB_ERR_MISUSE);
    CHECK(store_collections(scene.store, one_counted, &count, NULL) == OMENDB_ERR_MISUSE);
    CHECK(store_close(scene.store, NULL) == OMENDB_ERR_MISUSE);
    scene.store = NULL;
    sim_set_process_id(scene.sim, 4242);
    plain(&scene, SCENE_OPEN); /* The child has changed nothing. */
    verified(&scene);
    end(&scene);
}

static void a_failed_sync_ends_all_writing(void)
{
    for (uint32_t kind = 0; kind < 2; kind++) {
        struct scene scene;
        begin(&scene, 9);
        plain(&scene, SCENE_OPEN);
        make(&scene, 0, 1);
        put(&scene, 0, 0, 20, 500);
        const uint64_t next = sim_calls(scene.sim) + 1;
        const struct scene_line some = {SCENE_PUT, 0, 3, 9, 1, 30};
        scene_prepare(&scene, &some);
        if (kind == 0) { /* The frame is written, its sync fails. */
            sim_fail_at(scene.sim, next + 1, SIM_FAULT_SYNC_REVERTS);
            CHECK(scene_play(&scene, &some, NULL) == OMENDB_ERR_IO);
        } else {
            CHECK(store_commit(scene.store, &scene.batch, OMENDB_DURABILITY_NONE, NULL, NULL) ==
                  OMENDB_OK);
            sim_fail_at(scene.sim, next + 1, SIM_FAULT_IO);
            CHECK(store_sync(scene.store, NULL) == OMENDB_ERR_IO);
            scene.pending = true;
        }
        changes_are_refused(&scene, OMENDB_ERR_MISUSE);
        CHECK(store_sync(scene.store, NULL) == OMENDB_ERR_MISUSE);
        bool happened = false;
        buffer_clear(&scene.text);
        CHECK(store_stats(scene.store, &scene.text, NULL) == OMENDB_OK);
        const bool recovered = scene_recover(&scene, &happened);
        if (!recovered || happened != (kind != 0))
            fprintf(stderr, "kind %u: %d %s\n", kind, happened, scene.failure);
        CHECK(recovered && happened == (kind != 0));
        verified(&scene);
        end(&scene);
    }
}

/* ---- Batches ---- */

static void batches_may_touch_many_collections(void)
{
    enum { COLLECTIONS = 40 };
    struct scene scene;
    begin(&scene, 10);
    struct store *store = many_open(&scene, 0);
    struct batch batch = {0};
    struct buffer document = {0};
    CHECK(document_empty(&document) == OMENDB_OK);
    many_make(store, 0, COLLECTIONS);
    for (uint32_t i = 0; i < COLLECTIONS; i++)
        CHECK(batch_add(&batch, OPERATION_UPSERT, 1 + i, NULL, 0, i, document.data,
                        (uint32_t)document.size, NULL) == OMENDB_OK);
    for (long n = 0; n >= 0; n++) {
        (void)alloc_fail_after(n, 1);
        const omendb_status status = store_commit(store, &batch, OMENDB_DURABILITY_FULL, NULL,
                                                  NULL);
        if (alloc_fail_after(-1, 0) >= 0) n = -2;
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
    }
    checked(&scene, store);
    for (uint32_t i = 0; i < COLLECTIONS; i++) {
        char name[16];
        struct collection *collection = NULL;
        name_make(name, i);
        CHECK(store_collection_open(store, name, &collection, NULL) == OMENDB_OK);
        CHECK(atomic_load_acquire_u64(&collection->published_count) == 1);
        collection_unpin(collection);
    }
    batch_clear(&batch);
    uint64_t sequence = 0;
    CHECK(store_commit(store, &batch, OMENDB_DURABILITY_FULL, &sequence, NULL) == OMENDB_OK);
    CHECK(sequence != 0);
    CHECK(store_commit(store, &batch, OMENDB_DURABILITY_FULL, NULL, NULL) == OMENDB_OK);
    batch_deinit(&batch);
    buffer_deinit(&document);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    end(&scene);
}

/* Whoever builds batches checks them; the store still doesn't trust them. */
static void batches_that_fit_nothing_are_refused(void)
{
    static const struct {
        uint32_t field, size, twice;
    } vectors[] = {{2, 32, 0}, {0, 24, 0}, {1, 32, 1}};
    struct scene scene;
    begin(&scene, 11);
    struct store *store = many_open(&scene, 0);
    struct buffer document = {0};
    CHECK(document_empty(&document) == OMENDB_OK);
    many_make(store, 0, 1);
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct batch batch = {0};
        void *to = NULL;
        CHECK(batch_add(&batch, OPERATION_UPSERT, 1, "id", 2, 0, document.data,
                        (uint32_t)document.size, NULL) == OMENDB_OK);
        for (uint32_t k = 0; k <= vectors[i].twice; k++) {
            CHECK(batch_add_vector(&batch, vectors[i].field, vectors[i].size, &to, NULL) ==
                  OMENDB_OK);
            memset(to, 1, vectors[i].size);
        }
        CHECK(store_commit(store, &batch, OMENDB_DURABILITY_FULL, NULL, NULL) != OMENDB_OK);
        batch_deinit(&batch);
    }
    struct batch batch = {0};
    CHECK(batch_add(&batch, OPERATION_DELETE, 1, NULL, 0, 5, NULL, 0, NULL) == OMENDB_OK);
    CHECK(batch_add(&batch, OPERATION_DROP_COLLECTION, 1, NULL, 0, 0, NULL, 0, NULL) == OMENDB_OK);
    CHECK(store_commit(store, &batch, OMENDB_DURABILITY_FULL, NULL, NULL) != OMENDB_OK);
    batch_deinit(&batch);
    buffer_deinit(&document);
    checked(&scene, store);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    end(&scene);
}

/* ---- Leftovers, and files in the way ---- */

static void file_make(struct sim *sim, const char *path, struct file **out)
{
    struct file *file = NULL;
    CHECK(file_open(sim_vfs(sim), path, FILE_CREATE, &file, NULL) == OMENDB_OK);
    CHECK(file_write(file, 0, path, strlen(path), NULL) == OMENDB_OK);
    if (out != NULL) *out = file;
    else file_close(file);
}

static void files_in_the_way_are_replaced_or_respected(void)
{
    struct scene scene;
    struct file *held = NULL;
    bool granted = false;
    begin(&scene, 13);
    file_make(scene.sim, "/db/scene.omen-new", &held); /* Somebody else is making the database. */
    CHECK(file_lock(held, SPACE_WRITER_BYTE, 1, FILE_LOCK_EXCLUSIVE, &granted, NULL) == OMENDB_OK);
    CHECK(granted);
    CHECK(store_open(&scene.options, &scene.store, NULL) == OMENDB_ERR_BUSY);
    scene.store = NULL;
    file_close(held); /* And has died. */
    file_make(scene.sim, "/db/scene.omen-wal-7", NULL);
    file_make(scene.sim, "/db/scene.omen-wal-x", NULL);
    file_make(scene.sim, "/db/scene.omen-wal-7x", NULL);
    plain(&scene, SCENE_OPEN);
    for (uint32_t i = 2; i < 7; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/db/scene.omen-wal-%u", i);
        file_make(scene.sim, path, NULL); /* Where the log wants to go on. */
    }
    make(&scene, 0, 1);
    for (uint32_t i = 0; i < 12; i++) put(&scene, 0, 0, 20, 5000);
    verified(&scene);
    scene_kill(&scene, SIM_NONE);
    plain(&scene, SCENE_OPEN);
    verified(&scene);
    plain(&scene, SCENE_CLOSE);
    end(&scene);
}

/* ---- Long ids ---- */

enum { LONG_IDS = 600, LONG_ID_SIZE = 900 };

static void long_id_add(struct batch *batch, enum operation_type type, uint32_t i)
{
    struct buffer document = {0};
    char id[LONG_ID_SIZE];
    memset(id, 'x', sizeof id);
    (void)snprintf(id, 16, "%u", i);
    CHECK(document_empty(&document) == OMENDB_OK);
    CHECK(batch_add(batch, type, 1, id, sizeof id, 0, document.data,
                    type == OPERATION_UPSERT ? (uint32_t)document.size : 0, NULL) == OMENDB_OK);
    buffer_deinit(&document);
}

/* Long text ids that are deleted give their chunks back: what is left of them moves together. Any
 * request for memory may fail meanwhile. */
static void texts_of_ids_move_together(void)
{
    struct scene scene;
    struct batch batch = {0};
    begin(&scene, 14);
    scene.options.wal_size_max = 64 << 20;
    struct store *store = many_open(&scene, 0);
    many_make(store, 0, 1);
    for (uint32_t i = 0; i < LONG_IDS; i++) long_id_add(&batch, OPERATION_UPSERT, i);
    CHECK(store_commit(store, &batch, OMENDB_DURABILITY_FULL, NULL, NULL) == OMENDB_OK);
    batch_clear(&batch);
    for (uint32_t i = 0; i < LONG_IDS; i += 5) /* A second version: both name the text. */
        long_id_add(&batch, OPERATION_UPSERT, i);
    CHECK(store_commit(store, &batch, OMENDB_DURABILITY_FULL, NULL, NULL) == OMENDB_OK);
    CHECK(store_checkpoint(store, NULL) == OMENDB_OK);
    batch_clear(&batch);
    for (uint32_t i = 0; i < LONG_IDS; i++)
        if (i % 5 != 0) long_id_add(&batch, OPERATION_DELETE, i);
    CHECK(store_commit(store, &batch, OMENDB_DURABILITY_FULL, NULL, NULL) == OMENDB_OK);
    for (long n = 0; n < 400; n += 3) {
        batch_clear(&batch);
        long_id_add(&batch, OPERATION_UPSERT, (uint32_t)n % 100 * 5);
        CHECK(store_commit(store, &batch, OMENDB_DURABILITY_NONE, NULL, NULL) == OMENDB_OK);
        (void)alloc_fail_after(n, 1);
        const omendb_status status = store_checkpoint(store, NULL);
        (void)alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
    }
    checked(&scene, store);
    struct collection *collection = NULL;
    CHECK(store_collection_open(store, "c0000", &collection, NULL) == OMENDB_OK);
    CHECK(atomic_load_acquire_u64(&collection->published_count) == LONG_IDS / 5);
    CHECK(collection->id_texts.used_bytes < 2 * (LONG_IDS / 5) * LONG_ID_SIZE);
    collection_unpin(collection);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    store = many_open(&scene, OMENDB_OPEN_READ_ONLY);
    checked(&scene, store);
    CHECK(store_close(store, NULL) == OMENDB_OK);
    batch_deinit(&batch);
    end(&scene);
}

/* ---- Closing without gaps ---- */

static uint32_t crashes_met;

static void gapless(struct scene *scene)
{
    const struct space *space = &scene->store->space;
    CHECK(space->map.end >= 32 && space->released_count == 0);
    CHECK(space->map.end - space->map.taken_count <= space->map.taken_count / 512);
}

/* Before each call of the close: what a crash here leaves is whole, and closes without gaps. */
static void close_crashes(void *context, struct sim *sim, const struct sim_call *call)
{
    const struct scene *closing = context;
    struct sim *disk = sim_clone(sim);
    struct scene scene;
    sim_reboot(disk, (enum sim_mode)(call->number % (SIM_CRASH_MODES + 1)), call->number);
    scene_init(&scene, disk);
    scene.now = scene.after = closing->now;
    scene.sequence = closing->sequence;
    plain(&scene, SCENE_OPEN);
    verified(&scene);
    if (crashes_met++ % 8 == 0) {
        plain(&scene, SCENE_CLOSE);
        plain(&scene, SCENE_OPEN);
        gapless(&scene);
        verified(&scene);
    }
    end(&scene);
}

/* The file's end is cut off only when neither superblock needs what lies there. */
static void a_close_that_shortens_the_file_survives_crashes(void)
{
    struct scene scene;
    begin(&scene, 13);
    plain(&scene, SCENE_OPEN);
    make(&scene, 0, 1);
    make(&scene, 1, 0);
    for (uint32_t round = 0; round < 4; round++) { /* Every block lies in a place of its own. */
        put(&scene, 0, 0, SCENE_IDS, 300);
        put(&scene, 1, round * 100, round * 100 + 100, 24000);
        plain(&scene, SCENE_CHECKPOINT);
    }
    put(&scene, 0, 0, SCENE_IDS, 300);
    const struct space *space = &scene.store->space;
    const uint32_t end_before = space->map.end;
    CHECK(end_before - space->map.taken_count + space->released_count > 8);
    crashes_met = 0;
    sim_on_call(scene.sim, close_crashes, &scene);
    plain(&scene, SCENE_CLOSE);
    sim_on_call(scene.sim, NULL, NULL);
    CHECK(crashes_met > 60);
    plain(&scene, SCENE_OPEN);
    gapless(&scene);
    CHECK(scene.store->space.map.end < end_before);
    verified(&scene);
    end(&scene);
}

/* ---- Texts ---- */

/* Whichever append needs memory, statistics fail as a whole. */
static void statistics_fail_as_a_whole(void)
{
    struct scene scene;
    begin(&scene, 12);
    scene.options.path = "/db/a \"quoted\" \\ name\x01.omen";
    scene.options.durability = OMENDB_DURABILITY_INTERVAL;
    plain(&scene, SCENE_OPEN);
    make(&scene, 0, 2);
    make(&scene, 1, 1);
    put(&scene, 0, 0, 5, 100);
    scene.store->upkeep_failures = 1; /* As after a failed background checkpoint. */
    scene.store->upkeep_error.message[0] = 'x';
    for (size_t capacity = 0;; capacity++) {
        struct buffer text = {.data = alloc_raw(capacity, 1), .capacity = capacity};
        (void)alloc_fail_after(0, 0);
        const omendb_status status = store_stats(scene.store, &text, NULL);
        (void)alloc_fail_after(-1, 0);
        buffer_deinit(&text);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
        if (status == OMENDB_OK) break;
    }
    static const omendb_durability levels[] = {OMENDB_DURABILITY_NONE, OMENDB_DURABILITY_FULL,
                                               OMENDB_DURABILITY_DEFAULT};
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        scene.store->options.durability = levels[i];
        plain(&scene, SCENE_STATS);
    }
    end(&scene);
}

static const struct test tests[] = {
    {"memory_alone_holds_everything", memory_alone_holds_everything},
    {"indexes_are_optional", indexes_are_optional},
    {"a_catalog_may_need_blocks", a_catalog_may_need_blocks},
    {"collections_have_a_limit", collections_have_a_limit},
    {"readers_may_be_many", readers_may_be_many},
    {"reader_processes_keep_what_they_opened", reader_processes_keep_what_they_opened},
    {"read_only_handles_change_nothing", read_only_handles_change_nothing},
    {"forked_children_are_refused", forked_children_are_refused},
    {"a_failed_sync_ends_all_writing", a_failed_sync_ends_all_writing},
    {"batches_may_touch_many_collections", batches_may_touch_many_collections},
    {"batches_that_fit_nothing_are_refused", batches_that_fit_nothing_are_refused},
    {"files_in_the_way_are_replaced_or_respected", files_in_the_way_are_replaced_or_respected},
    {"texts_of_ids_move_together", texts_of_ids_move_together},
    {"a_close_that_shortens_the_file_survives_crashes",
     a_close_that_shortens_the_file_survives_crashes},
    {"statistics_fail_as_a_whole", statistics_fail_as_a_whole},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
