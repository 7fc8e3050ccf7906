/* Backups: what is in them, what they refuse, increments and the way back. */
#include "store/backup.h"

#include "store/store_inner.h"
#include "store_live.h"

enum { IDS = 400, NAME = 300 };

static char name[256], copy_name[NAME], back_name[NAME];
static const struct backup_options plain = {0};

static struct store *fresh(const char *what)
{
    make_name(name, what);
    snprintf(copy_name, sizeof copy_name, "%s-copy", name);
    snprintf(back_name, sizeof back_name, "%s-back", name);
    remove_store(name);
    remove_store(copy_name);
    remove_store(back_name);
    return live_open(name, 0);
}

static bool there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void nothing_left(const char *path)
{
    char work[NAME + 8];
    snprintf(work, sizeof work, "%s-new", path);
    CHECK(!there(path) && !there(work));
    snprintf(work, sizeof work, "%s-new-wal-1", path);
    CHECK(!there(work));
}

static void clean_up(void)
{
    remove_store(name);
    remove_store(copy_name);
    remove_store(back_name);
}

static void flip(const char *path, uint64_t at)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL && fseek(file, (long)at, SEEK_SET) == 0);
    const int byte = fgetc(file);
    CHECK(byte != EOF && fseek(file, (long)at, SEEK_SET) == 0);
    CHECK(fputc(byte ^ 0x40, file) != EOF && fclose(file) == 0);
}

static uint64_t size_of(const char *path)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    fclose(file);
    return (uint64_t)size;
}

/* ---- A model: what each id says ---- */

struct model {
    int64_t values[IDS];
};

static void model_init(struct model *model)
{
    for (int i = 0; i < IDS; i++) model->values[i] = ABSENT;
}

static void model_change(struct model *model, struct store *store, struct collection *collection,
                         uint64_t *random, int changes)
{
    struct batch batch = {0};
    for (int i = 0; i < changes; i++) {
        const uint32_t id = random_below(random, IDS);
        if (random_below(random, 4) == 0) {
            live_add_delete(&batch, collection, id);
            model->values[id] = ABSENT;
        } else {
            model->values[id] = random_below(random, 100000);
            live_add(&batch, collection, id, (uint64_t)model->values[id],
                     random_below(random, 3000));
        }
    }
    OK(live_commit(store, &batch, &err));
}

static void model_compare(const struct model *model, const char *path)
{
    struct store *store = live_open(path, OMENDB_OPEN_READ_ONLY);
    CHECK(store->live.clean && store->replayed_batches == 0);
    struct collection *collection = live_collection(store, "c");
    for (uint64_t id = 0; id < IDS; id++)
        CHECK(live_get(store, collection, id) == model->values[id]);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
}

/* It is a database like any other: it can be written and closed. */
static void writable_compare(struct model *model, const char *path)
{
    struct store *store = live_open(path, 0);
    struct collection *collection = live_collection(store, "c");
    uint64_t random = 99;
    model_change(model, store, collection, &random, 50);
    collection_unpin(collection);
    live_close(store);
    model_compare(model, path);
}

/* ---- Whole backups ---- */

static void holds_everything_acknowledged_and_opens_clean(void)
{
    struct store *store = fresh("backup-whole");
    struct collection *collection = live_create(store, "c");
    struct model model;
    uint64_t random = 1;
    model_init(&model);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 5; i++) model_change(&model, store, collection, &random, 40);
        OK(backup_run(store, copy_name, &(struct backup_options){.replace = true}, &err));
        model_compare(&model, copy_name);
    }
    struct model other = model;
    writable_compare(&other, copy_name);
    collection_unpin(collection);
    live_close(store);
    model_compare(&model, name);
    clean_up();
}

static void has_an_identity_of_its_own(void)
{
    struct store *store = fresh("backup-identity");
    struct collection *collection = live_create(store, "c");
    live_put(store, collection, 1, 7, 10);
    OK(backup_run(store, copy_name, &plain, &err));
    struct store *copy = live_open(copy_name, OMENDB_OPEN_READ_ONLY);
    CHECK(memcmp(copy->uuid, store->uuid, sizeof copy->uuid) != 0);
    CHECK(copy->live.sequence == store->next_sequence - 1);
    live_close(copy);
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

/* A reader that opened early, beside a writer whose log holds most of what there is. */
static void a_readers_backup_has_the_log_too(void)
{
    struct store *store = fresh("backup-reader");
    struct collection *collection = live_create(store, "c");
    struct store *reader = live_open(name, OMENDB_OPEN_READ_ONLY);
    struct model model;
    uint64_t random = 2;
    model_init(&model);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++) model_change(&model, store, collection, &random, 20);
        OK(backup_run(reader, copy_name, &(struct backup_options){.replace = true}, &err));
        model_compare(&model, copy_name);
    }
    nothing_left(back_name);
    collection_unpin(collection);
    live_close(store);
    OK(backup_run(reader, copy_name, &(struct backup_options){.replace = true}, &err));
    model_compare(&model, copy_name);
    live_close(reader);
    clean_up();
}

static void an_empty_database_has_a_backup(void)
{
    struct store *store = fresh("backup-empty");
    OK(backup_run(store, copy_name, &plain, &err));
    live_close(store);
    store = live_open(copy_name, 0);
    struct collection *collection = live_create(store, "c");
    live_put(store, collection, 3, 4, 5);
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

/* One vector and 20 fields with long names: about 2.5 KiB. */
static struct schema *wordy_schema(void)
{
    static char names[20][OMENDB_NAME_SIZE_MAX + 1];
    omendb_field fields[20] = {{0}};
    omendb_vector_field vector = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema from = OMENDB_SCHEMA_INIT;
    struct schema *schema = NULL;
    vector.name = "v";
    vector.dim = DIM;
    from.vectors = &vector;
    from.vectors_count = 1;
    for (int i = 0; i < 20; i++) {
        memset(names[i], 'a' + i, OMENDB_NAME_SIZE_MAX);
        fields[i].struct_size = sizeof fields[i];
        fields[i].name = names[i];
    }
    from.fields = fields;
    from.fields_count = 20;
    OK(schema_create(&from, &schema, &err));
    return schema;
}

/* More collections than a superblock holds: the catalog has blocks of its own. */
static void a_large_catalog_is_copied(void)
{
    struct store *store = fresh("backup-catalog");
    for (int i = 0; i < 40; i++) {
        char text[32];
        snprintf(text, sizeof text, "c%d", i);
        struct collection *collection = NULL;
        OK(store_collection_create(store, text, wordy_schema(), &collection, &err));
        live_put(store, collection, 3, 4, 10);
        collection_unpin(collection);
    }
    OK(store_checkpoint(store, &err));
    CHECK(store->live.catalog_refs != 0);
    OK(backup_run(store, copy_name, &plain, &err));
    struct collection *extra = live_create(store, "extra");
    collection_unpin(extra);
    const struct backup_options increment = {.base = copy_name};
    char increment_name[NAME + 8];
    snprintf(increment_name, sizeof increment_name, "%s-inc", name);
    (void)unlink(increment_name);
    OK(backup_run(store, increment_name, &increment, &err));
    live_close(store);
    const char *const paths[] = {copy_name, increment_name};
    OK(backup_restore(vfs_real(), paths, 2, back_name, &plain, &err));
    (void)unlink(increment_name);
    store = live_open(back_name, 0);
    live_check(store);
    collection_unpin(live_collection(store, "extra"));
    struct collection *collection = live_collection(store, "c39");
    CHECK(live_get(store, collection, 3) == 4);
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

/* More than 256 blocks of documents: their references lie in a leaf. */
static void directories_with_leaves_are_copied(void)
{
    enum { LARGE = 600 };
    struct store *store = fresh("backup-leaves");
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < LARGE; id += 20) {
        struct batch batch = {0};
        for (uint64_t i = id; i < id + 20; i++) live_add(&batch, collection, i, i, 31000);
        OK(live_commit(store, &batch, &err));
    }
    OK(backup_run(store, copy_name, &plain, &err));
    CHECK(collection->documents.chunks.leaf_count == 1);
    live_put(store, collection, 5, 1005, 10);
    char increment[NAME + 8];
    snprintf(increment, sizeof increment, "%s-inc", name);
    (void)unlink(increment);
    OK(backup_run(store, increment, &(struct backup_options){.base = copy_name}, &err));
    CHECK(size_of(increment) < size_of(copy_name) / 4);
    const uint64_t leaf = collection->documents.chunks.leaves[0].block;
    collection_unpin(collection);
    live_close(store);
    const char *const paths[] = {copy_name, increment};
    OK(backup_restore(vfs_real(), paths, 2, back_name, &plain, &err));
    store = live_open(back_name, OMENDB_OPEN_READ_ONLY);
    collection = live_collection(store, "c");
    for (uint64_t id = 0; id < LARGE; id++)
        CHECK(live_get(store, collection, id) == (int64_t)(id == 5 ? 1005 : id));
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    /* A restore has the blocks where its source had them. */
    remove_store(copy_name);
    OK(backup_restore(vfs_real(), (const char *const[]){back_name}, 1, copy_name, &plain, &err));
    flip(copy_name, leaf * BLOCK_SIZE + 40);
    remove_store(back_name);
    FAILS(OMENDB_ERR_CORRUPT,
          backup_restore(vfs_real(), (const char *const[]){copy_name}, 1, back_name, &plain, &err));
    CHECK(strstr(err.message, "documents") != NULL);
    nothing_left(back_name);
    (void)unlink(increment);
    clean_up();
}

/* ---- What it refuses ---- */

static void never_overwrites_unless_asked(void)
{
    struct store *store = fresh("backup-refuse");
    struct collection *collection = live_create(store, "c");
    live_put(store, collection, 1, 1, 10);
    OK(backup_run(store, copy_name, &plain, &err));
    FAILS(OMENDB_ERR_EXISTS, backup_run(store, copy_name, &plain, &err));
    const struct backup_options replace = {.replace = true};
    FAILS(OMENDB_ERR_ARGUMENT, backup_run(store, name, &replace, &err));
    /* Its writer is there. */
    struct store *other = live_open(copy_name, 0);
    FAILS(OMENDB_ERR_BUSY, backup_run(store, copy_name, &replace, &err));
    live_close(other);
    /* Acknowledged batches may lie in a log beside it. */
    char log[NAME + 16];
    snprintf(log, sizeof log, "%s-wal-3", copy_name);
    FILE *file = fopen(log, "w");
    CHECK(file != NULL);
    fclose(file);
    FAILS(OMENDB_ERR_EXISTS, backup_run(store, copy_name, &replace, &err));
    CHECK(unlink(log) == 0);
    OK(backup_run(store, copy_name, &replace, &err));
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

struct watch {
    uint64_t done, total, calls, stop_at;
};

static int watched(void *context, uint64_t done, uint64_t total)
{
    struct watch *watch = context;
    CHECK(done >= watch->done && done <= total && (watch->calls == 0 || total == watch->total));
    watch->done = done;
    watch->total = total;
    return ++watch->calls == watch->stop_at;
}

static void progress_counts_up_and_can_stop(void)
{
    struct store *store = fresh("backup-progress");
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < 200; id++) live_put(store, collection, id, id, 30000);
    struct watch watch = {0};
    struct backup_options options = {.progress = watched, .context = &watch};
    OK(backup_run(store, copy_name, &options, &err));
    CHECK(watch.calls > 3 && watch.done == watch.total && watch.total > 200 * 30000);
    for (uint64_t stop = 1; stop <= watch.calls; stop++) {
        struct watch stopping = {.stop_at = stop};
        options.context = &stopping;
        FAILS(OMENDB_ERR_INTERRUPTED, backup_run(store, back_name, &options, &err));
        nothing_left(back_name);
    }
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

static void a_corrupt_block_is_reported_not_copied(void)
{
    struct store *store = fresh("backup-corrupt");
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < 100; id++) live_put(store, collection, id, id, 2000);
    collection_unpin(collection);
    live_close(store);
    const uint64_t blocks = size_of(name) / BLOCK_SIZE;
    uint32_t reported = 0;
    for (uint64_t block = BLOCK_FIRST; block < blocks; block++) {
        flip(name, block * BLOCK_SIZE + 77);
        store = live_open(name, OMENDB_OPEN_READ_ONLY);
        err = (omendb_error){0};
        const omendb_status status = backup_run(store, copy_name, &plain, &err);
        live_close(store);
        flip(name, block * BLOCK_SIZE + 77);
        if (status == OMENDB_OK) { /* A free block. */
            remove_store(copy_name);
            continue;
        }
        CHECK(status == OMENDB_ERR_CORRUPT && strstr(err.message, "collection c: ") != NULL);
        nothing_left(copy_name);
        reported++;
    }
    CHECK(reported > 5);
    clean_up();
}

/* ---- Increments ---- */

enum { LINKS = 5 };

static void increments_restore_every_moment(void)
{
    struct store *store = fresh("backup-chain");
    struct collection *collection = live_create(store, "c");
    struct model models[LINKS];
    char names[LINKS][NAME + 8];
    const char *paths[LINKS];
    uint64_t random = 5;
    struct model model;
    model_init(&model);
    for (int link = 0; link < LINKS; link++) {
        snprintf(names[link], sizeof names[link], "%s-%d", name, link);
        (void)unlink(names[link]);
        paths[link] = names[link];
        for (int i = 0; i < 4; i++)
            model_change(&model, store, collection, &random, link == 0 ? 100 : 3);
        models[link] = model;
        const struct backup_options options = {.base = link > 0 ? paths[link - 1] : NULL};
        OK(backup_run(store, paths[link], &options, &err));
        if (link > 0) CHECK(size_of(paths[link]) < size_of(paths[0]));
    }
    for (size_t count = 1; count <= LINKS; count++) {
        OK(backup_restore(vfs_real(), paths, count, back_name,
                          &(struct backup_options){.replace = true}, &err));
        model_compare(&models[count - 1], back_name);
    }
    struct model written = models[LINKS - 1];
    writable_compare(&written, back_name);
    remove_store(back_name);
    /* One is missing: refused, unless the later ones have all that it held. */
    const char *const gap[] = {paths[0], paths[1], paths[3], paths[4]};
    const omendb_status status = backup_restore(vfs_real(), gap, 4, back_name, &plain, &err);
    CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOT_FOUND);
    if (status == OMENDB_OK) model_compare(&models[LINKS - 1], back_name);
    remove_store(back_name);
    FAILS(OMENDB_ERR_NOT_FOUND,
          backup_restore(vfs_real(), paths + 1, LINKS - 1, back_name, &plain, &err));
    nothing_left(back_name);
    for (int link = 0; link < LINKS; link++) (void)unlink(paths[link]);
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

/* Whatever is damaged in an increment: no database comes out, or the right one. */
static void a_damaged_increment_restores_nothing_wrong(void)
{
    struct store *store = fresh("backup-damage");
    struct collection *collection = live_create(store, "c");
    struct model model;
    uint64_t random = 6;
    model_init(&model);
    model_change(&model, store, collection, &random, 300);
    OK(backup_run(store, copy_name, &plain, &err));
    model_change(&model, store, collection, &random, 3);
    char increment[NAME + 8];
    snprintf(increment, sizeof increment, "%s-inc", name);
    (void)unlink(increment);
    OK(backup_run(store, increment, &(struct backup_options){.base = copy_name}, &err));
    const char *const paths[] = {copy_name, increment};
    const uint64_t size = size_of(increment);
    uint32_t refused = 0;
    for (uint64_t at = 3; at < size; at += 9973) {
        flip(increment, at);
        const omendb_status status = backup_restore(vfs_real(), paths, 2, back_name, &plain, &err);
        flip(increment, at);
        if (status == OMENDB_OK) { /* Nobody reads what fills up a block. */
            model_compare(&model, back_name);
            remove_store(back_name);
            continue;
        }
        nothing_left(back_name);
        refused++;
    }
    CHECK(refused > 10);
    CHECK(truncate(increment, (long)size - 1) == 0);
    FAILS(OMENDB_ERR_CORRUPT, backup_restore(vfs_real(), paths, 2, back_name, &plain, &err));
    (void)unlink(increment);
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

static void an_increment_needs_a_base_of_its_database(void)
{
    struct store *store = fresh("backup-base");
    struct collection *collection = live_create(store, "c");
    live_put(store, collection, 1, 1, 10);
    char other_name[NAME];
    snprintf(other_name, sizeof other_name, "%s-other", name);
    remove_store(other_name);
    struct store *other = live_open(other_name, 0);
    OK(backup_run(other, copy_name, &plain, &err));
    const struct backup_options increment = {.base = copy_name};
    FAILS(OMENDB_ERR_ARGUMENT, backup_run(store, back_name, &increment, &err));
    nothing_left(back_name);
    /* A backup that was written since is a database of its own. */
    OK(backup_run(store, copy_name, &(struct backup_options){.replace = true}, &err));
    OK(backup_run(store, back_name, &increment, &err));
    CHECK(unlink(back_name) == 0);
    struct store *copy = live_open(copy_name, 0);
    struct collection *copied = live_collection(copy, "c");
    live_put(copy, copied, 2, 2, 10);
    collection_unpin(copied);
    live_close(copy);
    FAILS(OMENDB_ERR_ARGUMENT, backup_run(store, back_name, &increment, &err));
    FAILS(OMENDB_ERR_NOT_FOUND,
          backup_run(store, back_name, &(struct backup_options){.base = back_name}, &err));
    live_close(other);
    remove_store(other_name);
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

/* ---- Memory ---- */

static void a_database_in_memory_has_a_backup(void)
{
    live_close(fresh("backup-memory-db"));
    struct store *store = live_open(NULL, 0);
    struct collection *collection = live_create(store, "c");
    struct model model;
    uint64_t random = 8;
    model_init(&model);
    for (int i = 0; i < 10; i++) model_change(&model, store, collection, &random, 60);
    struct watch watch = {0};
    const struct backup_options options = {.progress = watched, .context = &watch};
    OK(backup_run(store, copy_name, &options, &err));
    CHECK(watch.done == watch.total && watch.calls >= 2);
    model_compare(&model, copy_name);
    FAILS(OMENDB_ERR_EXISTS, backup_run(store, copy_name, &plain, &err));
    FAILS(OMENDB_ERR_UNSUPPORTED,
          backup_run(store, back_name, &(struct backup_options){.base = copy_name}, &err));
    struct watch stopping = {.stop_at = 2};
    FAILS(OMENDB_ERR_INTERRUPTED,
          backup_run(store, back_name,
                     &(struct backup_options){.progress = watched, .context = &stopping}, &err));
    nothing_left(back_name);
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

static void survives_failing_allocations(void)
{
    struct store *store = fresh("backup-memory");
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < 20; id++) live_put(store, collection, id, id, 100);
    bool failed = true;
    for (long n = 0; failed; n++) {
        (void)alloc_fail_after(n, 1);
        const omendb_status status = backup_run(store, copy_name, &plain, &err);
        const long left = alloc_fail_after(-1, 0);
        failed = left < 0;
        if (status == OMENDB_OK) { /* A failure that it could do without. */
            struct store *copy = live_open(copy_name, OMENDB_OPEN_READ_ONLY);
            live_check(copy);
            live_close(copy);
            remove_store(copy_name);
        } else {
            CHECK(status == OMENDB_ERR_NOMEM && n < 2000);
        }
    }
    collection_unpin(collection);
    live_close(store);
    clean_up();
}

static void restoring_survives_failing_allocations(void)
{
    struct store *store = fresh("restore-memory");
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < 20; id++) live_put(store, collection, id, id, 100);
    OK(backup_run(store, copy_name, &plain, &err));
    collection_unpin(collection);
    live_close(store);
    const char *const paths[] = {copy_name, copy_name};
    bool failed = true;
    for (long n = 0; failed; n++) {
        (void)alloc_fail_after(n, 1);
        const omendb_status status = backup_restore(vfs_real(), paths, 2, back_name, &plain, &err);
        failed = alloc_fail_after(-1, 0) < 0;
        CHECK(status == OMENDB_OK || (failed && status == OMENDB_ERR_NOMEM));
        if (there(
                back_name)) { /* The directory was not synced, or a smaller mapping did as well. */
            struct store *back = live_open(back_name, OMENDB_OPEN_READ_ONLY);
            live_check(back);
            live_close(back);
        } else {
            CHECK(status == OMENDB_ERR_NOMEM);
        }
        remove_store(back_name);
    }
    clean_up();
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"holds_everything_acknowledged_and_opens_clean",
         holds_everything_acknowledged_and_opens_clean},
        {"has_an_identity_of_its_own", has_an_identity_of_its_own},
        {"a_readers_backup_has_the_log_too", a_readers_backup_has_the_log_too},
        {"an_empty_database_has_a_backup", an_empty_database_has_a_backup},
        {"a_large_catalog_is_copied", a_large_catalog_is_copied},
        {"directories_with_leaves_are_copied", directories_with_leaves_are_copied},
        {"never_overwrites_unless_asked", never_overwrites_unless_asked},
        {"progress_counts_up_and_can_stop", progress_counts_up_and_can_stop},
        {"a_corrupt_block_is_reported_not_copied", a_corrupt_block_is_reported_not_copied},
        {"increments_restore_every_moment", increments_restore_every_moment},
        {"a_damaged_increment_restores_nothing_wrong", a_damaged_increment_restores_nothing_wrong},
        {"an_increment_needs_a_base_of_its_database", an_increment_needs_a_base_of_its_database},
        {"a_database_in_memory_has_a_backup", a_database_in_memory_has_a_backup},
        {"survives_failing_allocations", survives_failing_allocations},
        {"restoring_survives_failing_allocations", restoring_survives_failing_allocations},
        {NULL, NULL}};
    return test_main(tests, argc, argv);
}
