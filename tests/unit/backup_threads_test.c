/* Backups beside writers: each holds one moment, at or after what was acknowledged when it began. */
#include "os/thread.h"
#include "store/backup.h"
#include "store/store_inner.h"
#include "store_live.h"

enum { GROUP = 24, ROUNDS = 6, NAME = 300 };

static char name[256], copy_name[NAME], increment_name[NAME], back_name[NAME];
static struct store *store;
static struct collection *collection;
static atomic_u64 acknowledged;
static atomic_u32 stop;

/* All ids of the group say the same number, batch by batch. */
static void writer(void *context)
{
    (void)context;
    for (uint64_t n = 1; atomic_load_acquire_u32(&stop) == 0; n++) {
        struct batch batch = {0};
        omendb_error local = {0};
        for (uint64_t id = 0; id < GROUP; id++)
            live_add(&batch, collection, id, n, (uint32_t)(n * 37 % 5000));
        const omendb_status status = store_commit(store, &batch, OMENDB_DURABILITY_DEFAULT, NULL,
                                                  &local);
        if (status != OMENDB_OK) fprintf(stderr, "%s\n", local.message);
        CHECK(status == OMENDB_OK);
        batch_deinit(&batch);
        atomic_store_release_u64(&acknowledged, n); /* main */
    }
}

static void whole_since(const char *path, uint64_t least)
{
    struct store *copy = live_open(path, OMENDB_OPEN_READ_ONLY);
    struct collection *copied = live_collection(copy, "c");
    const int64_t first = live_get(copy, copied, 0);
    CHECK(first >= (int64_t)least);
    for (uint64_t id = 1; id < GROUP; id++) CHECK(live_get(copy, copied, id) == first);
    live_check(copy);
    collection_unpin(copied);
    live_close(copy);
}

static void a_backup_is_one_moment_while_others_write(void)
{
    struct thread thread;
    make_name(name, "backup-threads");
    snprintf(copy_name, sizeof copy_name, "%s-copy", name);
    snprintf(increment_name, sizeof increment_name, "%s-increment", name);
    snprintf(back_name, sizeof back_name, "%s-back", name);
    remove_store(name);
    struct store_options options = live_options(name, 0);
    options.wal_size_max = 1 << 20; /* Many checkpoints. */
    OK(store_open(&options, &store, &err));
    collection = live_create(store, "c");
    OK(thread_start(&thread, "writer", writer, NULL, &err));
    for (int round = 0; round < ROUNDS; round++) {
        const struct backup_options replace = {.replace = true};
        uint64_t least = atomic_load_acquire_u64(&acknowledged); /* writer() */
        OK(backup_run(store, copy_name, &replace, &err));
        if (least != 0) whole_since(copy_name, least);
        least = atomic_load_acquire_u64(&acknowledged); /* writer() */
        OK(backup_run(store, increment_name,
                      &(struct backup_options){.replace = true, .base = copy_name}, &err));
        const char *const paths[] = {copy_name, increment_name};
        OK(backup_restore(vfs_real(), paths, 2, back_name, &replace, &err));
        if (least != 0) whole_since(back_name, least);
        while (atomic_load_acquire_u64(&acknowledged) < least + 3) thread_yield();
    }
    atomic_store_release_u32(&stop, 1); /* writer() */
    thread_join(&thread);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
    remove_store(copy_name);
    remove_store(increment_name);
    remove_store(back_name);
}

/* Documents are copied out of a snapshot while others replace them. */
static void a_backup_of_memory_is_one_moment_too(void)
{
    struct thread thread;
    make_name(name, "backup-memory-threads");
    snprintf(copy_name, sizeof copy_name, "%s-copy", name);
    remove_store(copy_name);
    store = live_open(NULL, 0);
    collection = live_create(store, "c");
    atomic_store_release_u64(&acknowledged, 0); /* writer() */
    atomic_store_release_u32(&stop, 0);         /* writer() */
    OK(thread_start(&thread, "writer", writer, NULL, &err));
    while (atomic_load_acquire_u64(&acknowledged) < 3) thread_yield();
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t least = atomic_load_acquire_u64(&acknowledged); /* writer() */
        OK(backup_run(store, copy_name, &(struct backup_options){.replace = true}, &err));
        whole_since(copy_name, least);
    }
    atomic_store_release_u32(&stop, 1); /* writer() */
    thread_join(&thread);
    collection_unpin(collection);
    live_close(store);
    remove_store(copy_name);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_backup_is_one_moment_while_others_write", a_backup_is_one_moment_while_others_write},
        {"a_backup_of_memory_is_one_moment_too", a_backup_of_memory_is_one_moment_too},
        {NULL, NULL}};
    return test_main(tests, argc, argv);
}
