/* The store as a whole: capacity, snapshots, reuse, shrinking, several openers, the catalog, large
 * batches, and memory that fails at every request. */
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/thread.h"
#include "store/store_inner.h"
#include "store_live.h"

static char name[256];

static struct store *fresh(void)
{
    make_name(name, "store");
    remove_store(name);
    return live_open(name, 0);
}

static uint64_t file_bytes(void)
{
    struct stat status;
    CHECK(stat(name, &status) == 0);
    return (uint64_t)status.st_size;
}

/* ---- Capacity ---- */

static void capacity_grows_by_half_at_four_fifths(void)
{
    static const uint64_t steps[] = {5000, 7500, 11250, 16875};
    for (int memory = 0; memory < 2; memory++) {
        struct store *store = memory != 0 ? live_open(NULL, 0) : fresh();
        struct collection *collection = live_create(store, "c");
        uint64_t expected = 0;
        for (uint64_t id = 0; id < 10000; id += 100) {
            struct batch batch = {0};
            for (uint64_t i = id; i < id + 100; i++) live_add(&batch, collection, i, i, 3);
            OK(live_commit(store, &batch, &err));
            while ((id + 100) * 5 > steps[expected] * 4) expected++;
            CHECK(live_stat(store, "capacity") == steps[expected]);
            CHECK(live_stat(store, "growths") == expected);
            CHECK(live_stat(store, "count") == id + 100);
        }
        CHECK(expected == 3);
        collection_unpin(collection);
        live_close(store);
        if (memory != 0) continue;
        store = live_open(name, 0);
        CHECK(live_stat(store, "capacity") == 16875 && live_stat(store, "growths") == 3);
        live_close(store);
        remove_store(name);
    }
}

/* ---- Snapshots ---- */

enum { IDS = 300, KEPT = 12 };

struct view {
    struct snapshot snapshot;
    int64_t values[IDS];
};

static void view_compare(struct collection *collection, const struct view *view)
{
    struct buffer scratch = {0};
    for (uint64_t id = 0; id < IDS; id++) {
        omendb_status status = OMENDB_OK;
        const int64_t n = live_read(collection, id, view->snapshot.sequence, &scratch, &status,
                                    &err);
        OK(status);
        CHECK(n == view->values[id]);
    }
    buffer_deinit(&scratch);
}

/* Snapshots see their moment exactly while everything changes under them, checkpoints included. */
static void snapshots_see_their_moment(void)
{
    static struct view views[KEPT];
    static int64_t now[IDS];
    uint64_t seed = 5;
    for (int memory = 0; memory < 2; memory++) {
        struct store *store = memory != 0 ? live_open(NULL, 0) : fresh();
        struct collection *collection = live_create(store, "c");
        for (uint64_t id = 0; id < IDS; id++) now[id] = ABSENT;
        for (uint32_t i = 0; i < KEPT; i++) {
            OK(store_enter(store, &views[i].snapshot, &err));
            memcpy(views[i].values, now, sizeof now);
        }
        for (uint32_t round = 0; round < 400; round++) {
            struct batch batch = {0};
            for (uint32_t i = random_below(&seed, 12) + 1; i > 0; i--) {
                const uint64_t id = random_below(&seed, IDS);
                if (random_below(&seed, 4) == 0) {
                    live_add_delete(&batch, collection, id);
                    now[id] = ABSENT;
                } else { /* Sometimes the vector stays: its node is shared. */
                    const bool same = random_below(&seed, 3) == 0 && now[id] != ABSENT;
                    const uint64_t n = same ? (uint64_t)now[id] : random_below(&seed, 900000);
                    live_add(&batch, collection, id, n, random_below(&seed, 3000));
                    now[id] = (int64_t)n;
                }
            }
            OK(live_commit(store, &batch, &err));
            if (round % 9 == 0) OK(store_checkpoint(store, &err));
            const uint32_t at = random_below(&seed, KEPT);
            if (round % 3 == 0) {
                view_compare(collection, &views[at]);
                store_leave(&views[at].snapshot);
                OK(store_enter(store, &views[at].snapshot, &err));
                memcpy(views[at].values, now, sizeof now);
            }
            if (round % 50 == 0)
                for (uint32_t i = 0; i < KEPT; i++) view_compare(collection, &views[i]);
        }
        for (uint32_t i = 0; i < KEPT; i++) {
            view_compare(collection, &views[i]);
            store_leave(&views[i].snapshot);
        }
        for (uint64_t id = 0; id < IDS; id++) CHECK(live_get(store, collection, id) == now[id]);
        live_check(store);
        collection_unpin(collection);
        live_close(store);
        if (memory != 0) continue;
        store = live_open(name, 0);
        collection = live_collection(store, "c");
        for (uint64_t id = 0; id < IDS; id++) CHECK(live_get(store, collection, id) == now[id]);
        live_check(store);
        collection_unpin(collection);
        live_close(store);
        remove_store(name);
    }
}

/* ---- Reuse and shrinking ---- */

static void updates_reuse_slots_and_nodes(void)
{
    struct store *store = fresh();
    struct collection *collection = live_create(store, "c");
    for (uint32_t round = 0; round < 40; round++) {
        struct batch batch = {0};
        for (uint64_t id = 0; id < 500; id++) live_add(&batch, collection, id, id + round, 20);
        OK(live_commit(store, &batch, &err));
        OK(store_checkpoint(store, &err));
    }
    /* Of a version: alive, dead, retiring, retired. */
    CHECK(live_stat(store, "slots") <= 500 * 5);
    CHECK(live_stat(store, "nodes") <= 500 * 5);
    CHECK(live_stat(store, "capacity") == 5000);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

/* A hot document, updated very often between two checkpoints, must not cost its square. */
static void many_versions_of_one_document_are_reclaimed_quickly(void)
{
    for (int shared = 0; shared < 2; shared++) {
        struct store *store = fresh();
        struct collection *collection = live_create(store, "c");
        for (uint32_t round = 0; round < 400; round++) {
            struct batch batch = {0};
            for (uint32_t i = 0; i < 100; i++)
                live_add(&batch, collection, 7, shared != 0 ? 1 : round * 100 + i, 5);
            OK(live_commit(store, &batch, &err));
        }
        const uint64_t begin = store_clock_ns(store);
        OK(store_checkpoint(store, &err));
        CHECK(store_clock_ns(store) - begin < UINT64_C(20000000000));
        CHECK(live_stat(store, "dead_slots") == 0 && live_stat(store, "count") == 1);
        live_check(store);
        collection_unpin(collection);
        live_close(store);
        remove_store(name);
    }
}

/* Blocks that checkpoints in the midst of a load left behind are filled, and the end is cut off. */
static void a_file_at_rest_has_no_gaps(void)
{
    for (uint32_t rows = 500; rows <= 4000; rows *= 2) {
        struct store *store = fresh();
        struct collection *collection = live_create(store, "c");
        for (uint64_t id = 0; id < rows; id++) {
            live_put(store, collection, id, id, 3000);
            live_put(store, collection, id / 2, id + rows, 3000);
            if (id % (rows / 5) == 7) OK(store_checkpoint(store, &err));
        }
        collection_unpin(collection);
        live_close(store);
        const uint64_t bytes = file_bytes();
        store = live_open(name, 0);
        const struct block_map *map = &store->space.map;
        CHECK(map->end >= 32);
        /* Beyond 256 chunks a directory leaf may have needed the last gap. */
        CHECK(map->end - map->taken_count <= map->taken_count / 512 + (rows == 4000));
        CHECK(bytes == (uint64_t)map->end * BLOCK_SIZE);
        live_check(store);
        /* And once more costs nothing. */
        const uint64_t written = store->space.blocks_written;
        OK(checkpoint_run(store, CHECKPOINT_CLOSE, &err));
        CHECK(store->space.blocks_written == written);
        live_close(store);
        remove_store(name);
    }
}

static void deleted_documents_give_their_space_back(void)
{
    struct store *store = fresh();
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < 8000;) {
        struct batch batch = {0};
        for (uint32_t i = 0; i < 500; i++, id++) live_add(&batch, collection, id, id, 1500);
        OK(live_commit(store, &batch, &err));
    }
    collection_unpin(collection);
    live_close(store);
    const uint64_t full = file_bytes();
    CHECK(full > 8000 * 1500);
    store = live_open(name, 0);
    collection = live_collection(store, "c");
    for (uint64_t id = 0; id < 8000; id++)
        if (id % 10 != 4) live_delete(store, collection, id);
    collection_unpin(collection);
    live_close(store);
    CHECK(file_bytes() < full / 4);
    /* And what is written afterwards takes the free blocks, not new ones. */
    store = live_open(name, 0);
    collection = live_collection(store, "c");
    live_check(store);
    for (uint64_t id = 0; id < 8000; id++)
        CHECK(live_get(store, collection, id) == (id % 10 == 4 ? (int64_t)id : ABSENT));
    for (uint32_t round = 0; round < 20; round++) {
        struct batch batch = {0};
        for (uint64_t id = 0; id < 400; id++) live_add(&batch, collection, id * 10 + 4, id, 1500);
        OK(live_commit(store, &batch, &err));
        OK(store_checkpoint(store, &err));
    }
    CHECK(live_stat(store, "file_bytes") < full / 2);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    CHECK(file_bytes() < full / 4);
    remove_store(name);
}

/* A block that can't be read must not stop checkpoints, and what can't be reclaimed because of it
 * must not spoil the image. */
static void a_damaged_block_leaves_the_rest_usable(void)
{
    struct store *store = fresh();
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < 2000; id++) live_put(store, collection, id, id, 1000);
    collection_unpin(collection);
    live_close(store);
    /* Every tenth block, superblocks excepted: documents mostly. */
    struct file *file = NULL;
    OK(file_open(vfs_real(), name, 0, &file, &err));
    const uint64_t blocks = file_bytes() / BLOCK_SIZE;
    for (uint64_t block = 3; block < blocks; block += 10)
        OK(file_write(file, block * BLOCK_SIZE + 30000, "rot", 3, &err));
    file_close(file);
    struct store *opened = NULL;
    const struct store_options options = live_options(name, 0);
    OK(store_open(&options, &opened, &err));
    collection = live_collection(opened, "c");
    uint32_t deleted = 0;
    static bool gone[2000];
    for (uint64_t id = 0; id < 2000; id += 2) {
        struct batch batch = {0};
        live_add_delete(&batch, collection, id);
        const omendb_status status = live_commit(opened, &batch, &err);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_CORRUPT);
        gone[id] = status == OMENDB_OK;
        deleted += gone[id];
        if (id % 500 == 0) OK(store_checkpoint(opened, &err));
    }
    CHECK(deleted > 0);
    collection_unpin(collection);
    OK(store_close(opened, &err));
    OK(store_open(&options, &opened, &err));
    collection = live_collection(opened, "c");
    struct snapshot snapshot;
    struct buffer scratch = {0};
    uint32_t damaged = 0, whole = 0;
    OK(store_enter(opened, &snapshot, &err));
    for (uint64_t id = 0; id < 2000; id++) {
        omendb_status status = OMENDB_OK;
        const int64_t n = live_read(collection, id, snapshot.sequence, &scratch, &status, &err);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_CORRUPT);
        damaged += status != OMENDB_OK;
        if (status != OMENDB_OK) continue;
        CHECK(n == (gone[id] ? ABSENT : (int64_t)id));
        whole++;
    }
    CHECK(whole > 0 && damaged > 0);
    store_leave(&snapshot);
    buffer_deinit(&scratch);
    collection_unpin(collection);
    OK(store_close(opened, &err));
    remove_store(name);
}

/* ---- Several openers ---- */

static void a_second_writer_is_busy(void)
{
    struct store *store = fresh(), *second = NULL;
    const struct store_options options = live_options(name, 0);
    FAILS(OMENDB_ERR_BUSY, store_open(&options, &second, &err));
    const pid_t child = fork();
    if (child == 0) {
        omendb_error local = {0};
        struct store *other = NULL;
        _exit(store_open(&options, &other, &local) == OMENDB_ERR_BUSY ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    live_close(store);
    store = live_open(name, OMENDB_OPEN_MUST_EXIST);
    live_close(store);
    remove_store(name);
}

struct writing {
    struct store *store;
    atomic_u32 stop;
};

/* Batch n sets all of a hundred documents to n: a reader that sees two numbers saw half a batch. */
static void write_on(void *context)
{
    struct writing *writing = context;
    struct collection *collection = live_collection(writing->store, "c");
    for (uint64_t n = 2; atomic_load_acquire_u32(&writing->stop) == 0; n++) {
        struct batch batch = {0};
        for (uint64_t id = 0; id < 100; id++) live_add(&batch, collection, id, n, 300);
        omendb_error local = {0};
        CHECK(store_commit(writing->store, &batch, OMENDB_DURABILITY_FULL, NULL, &local) ==
              OMENDB_OK);
        batch_deinit(&batch);
        if (n % 7 == 0) CHECK(store_checkpoint(writing->store, &local) == OMENDB_OK);
    }
    collection_unpin(collection);
}

static void read_only_opens_see_one_moment_beside_a_writer(void)
{
    struct writing writing = {.store = fresh()};
    struct thread thread = {0};
    struct collection *collection = live_create(writing.store, "c");
    struct batch first = {0};
    for (uint64_t id = 0; id < 100; id++) live_add(&first, collection, id, 1, 300);
    OK(live_commit(writing.store, &first, &err));
    collection_unpin(collection);
    OK(thread_start(&thread, "writer", write_on, &writing, &err));
    struct store *kept[4] = {0};
    int64_t kept_values[4] = {0};
    int64_t newest = 0;
    for (uint32_t round = 0; round < 60; round++) {
        struct store *reader = live_open(name, OMENDB_OPEN_READ_ONLY);
        struct collection *seen = live_collection(reader, "c");
        const int64_t n = live_get(reader, seen, 0);
        CHECK(n >= newest); /* Time doesn't run backwards. */
        newest = n;
        for (uint64_t id = 0; id < 100; id++) CHECK(live_get(reader, seen, id) == n);
        struct batch batch = {0};
        live_add(&batch, seen, 5, 5, 5);
        FAILS(OMENDB_ERR_READ_ONLY, live_commit(reader, &batch, &err));
        collection_unpin(seen);
        /* Some stay open for long: their blocks must stay. */
        if (round % 15 == 0) {
            kept[round / 15] = reader;
            kept_values[round / 15] = n;
        } else {
            live_close(reader);
        }
    }
    for (uint32_t i = 0; i < 4; i++) {
        struct collection *seen = live_collection(kept[i], "c");
        for (uint64_t id = 0; id < 100; id++) CHECK(live_get(kept[i], seen, id) == kept_values[i]);
        collection_unpin(seen);
        live_check(kept[i]);
        live_close(kept[i]);
    }
    atomic_store_release_u32(&writing.stop, 1);
    thread_join(&thread);
    live_check(writing.store);
    live_close(writing.store);
    remove_store(name);
}

/* A reader stays right when the writer closes, reopens and shrinks the file. */
static void a_reader_outlives_its_writer(void)
{
    struct store *store = fresh();
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < 3000; id++) live_put(store, collection, id, id, 1000);
    collection_unpin(collection);
    live_close(store);
    struct store *reader = live_open(name, OMENDB_OPEN_READ_ONLY);
    struct collection *seen = live_collection(reader, "c");
    for (uint32_t life = 0; life < 3; life++) {
        store = live_open(name, 0);
        collection = live_collection(store, "c");
        for (uint64_t id = life * 1000; id < life * 1000 + 990; id++)
            live_delete(store, collection, id);
        for (uint64_t id = 2990; id < 3000; id++) live_put(store, collection, id, id + life, 5000);
        collection_unpin(collection);
        live_close(store);
    }
    for (uint64_t id = 0; id < 3000; id++) CHECK(live_get(reader, seen, id) == (int64_t)id);
    live_check(reader);
    collection_unpin(seen);
    live_close(reader);
    store = live_open(name, 0);
    live_check(store);
    live_close(store);
    remove_store(name);
}

/* A rival opens, writes and (mostly) closes at the n-th call that an opener makes. */
static struct {
    struct vfs vfs;
    struct vfs_ops ops;
    uint32_t calls, at;
    bool stays, wrote, inside;
    struct store *store;
} rival;

static void rival_comes(void)
{
    if (rival.inside || rival.calls++ != rival.at) return;
    omendb_error local = {0};
    const struct store_options options = live_options(name, 0);
    rival.inside = true;
    if (store_open(&options, &rival.store, &local) != OMENDB_OK) return;
    struct collection *collection = live_create(rival.store, "c");
    live_put(rival.store, collection, 1, 42, 10);
    collection_unpin(collection);
    rival.wrote = true;
    if (rival.stays) return;
    live_close(rival.store);
    rival.store = NULL;
}

static omendb_status rival_open(struct vfs *vfs, const char *path, uint32_t flags,
                                struct file **out, omendb_error *error)
{
    rival_comes();
    return vfs_real()->ops->open(vfs, path, flags, out, error);
}

static omendb_status rival_lock(struct file *file, uint64_t byte, uint64_t count,
                                enum file_lock kind, bool *granted, omendb_error *error)
{
    rival_comes();
    return vfs_real()->ops->lock(file, byte, count, kind, granted, error);
}

static omendb_status rival_resize(struct file *file, uint64_t size, omendb_error *error)
{
    rival_comes();
    return vfs_real()->ops->resize(file, size, error);
}

static omendb_status rival_rename(struct vfs *vfs, const char *from, const char *to,
                                  omendb_error *error)
{
    rival_comes();
    return vfs_real()->ops->rename(vfs, from, to, error);
}

static void two_that_make_the_database_at_once_lose_nothing(void)
{
    uint32_t wrote = 0;
    make_name(name, "store");
    for (uint32_t at = 0; at < 40; at++) {
        struct store_options options = live_options(name, 0);
        struct store *store = NULL;
        remove_store(name);
        memset(&rival, 0, sizeof rival);
        rival.ops = *vfs_real()->ops;
        rival.ops.open = rival_open;
        rival.ops.lock = rival_lock;
        rival.ops.resize = rival_resize;
        rival.ops.rename = rival_rename;
        rival.vfs = (struct vfs){.ops = &rival.ops};
        rival.at = at / 2;
        rival.stays = at % 2 != 0;
        options.vfs = &rival.vfs;
        const omendb_status status = store_open(&options, &store, &err);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_BUSY);
        if (rival.store != NULL) CHECK(status != OMENDB_OK);
        if (status == OMENDB_OK) live_close(store);
        if (rival.store != NULL) live_close(rival.store);
        wrote += rival.wrote;
        store = live_open(name, 0);
        if (rival.wrote) {
            struct collection *collection = live_collection(store, "c");
            CHECK(live_get(store, collection, 1) == 42);
            collection_unpin(collection);
        }
        live_check(store);
        live_close(store);
    }
    CHECK(wrote >= 4);
    remove_store(name);
}

/* ---- The catalog ---- */

static void dropped_and_renamed_collections_stay_so(void)
{
    struct store *store = fresh();
    struct collection *a = live_create(store, "a"), *b = live_create(store, "b");
    for (uint64_t id = 0; id < 2000; id++) live_put(store, a, id, id, 500);
    live_put(store, b, 1, 11, 5);
    OK(store_checkpoint(store, &err));
    OK(store_checkpoint(store, &err));
    const uint64_t full = live_stat(store, "file_bytes");
    FAILS(OMENDB_ERR_EXISTS, store_collection_create(store, "a", live_schema(DIM), NULL, &err));
    FAILS(OMENDB_ERR_EXISTS, store_collection_rename(store, "b", "a", &err));
    FAILS(OMENDB_ERR_NOT_FOUND, store_collection_rename(store, "x", "y", &err));
    OK(store_collection_drop(store, "a", &err));
    FAILS(OMENDB_ERR_NOT_FOUND, store_collection_drop(store, "a", &err));
    OK(store_collection_rename(store, "b", "a", &err));
    struct batch batch = {0};
    live_add(&batch, a, 1, 1, 1);
    FAILS(OMENDB_ERR_NOT_FOUND, live_commit(store, &batch, &err));
    CHECK(live_get(store, a, 7) == 7); /* Handles may still read. */
    live_put(store, b, 3, 33, 5);
    collection_unpin(a);
    collection_unpin(b);
    for (int i = 0; i < 2; i++) {
        struct collection *found = live_collection(store, "a");
        CHECK(live_get(store, found, 1) == 11 && live_get(store, found, 3) == 33);
        FAILS(OMENDB_ERR_NOT_FOUND, store_collection_open(store, "b", &b, &err));
        collection_unpin(found);
        live_check(store);
        live_close(store);
        if (i == 0) store = live_open(name, 0);
    }
    CHECK(file_bytes() < full / 2);
    remove_store(name);
}

/* The id of a dropped collection isn't given again, whatever was closed and reopened between. */
static void collection_ids_are_never_reused(void)
{
    uint32_t last = 0;
    struct store *store = fresh();
    for (uint32_t i = 0; i < 30; i++) {
        struct collection *c = live_create(store, "c");
        CHECK(c->id > last);
        last = c->id;
        collection_unpin(c);
        OK(store_collection_drop(store, "c", &err));
        if (i % 3 != 0) continue;
        live_close(store);
        store = live_open(name, 0);
    }
    live_close(store);
    remove_store(name);
}

/* ---- Large and many ---- */

static void a_large_batch_is_one_batch(void)
{
    struct store *store = fresh();
    struct collection *collection = live_create(store, "c");
    struct batch batch = {0};
    for (uint64_t id = 0; id < 30; id++) live_add(&batch, collection, id, id, 1 << 20);
    OK(live_commit(store, &batch, &err));
    for (uint64_t id = 0; id < 30; id++) CHECK(live_get(store, collection, id) == (int64_t)id);
    live_put(store, collection, 31, 31, 10);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    store = live_open(name, 0);
    collection = live_collection(store, "c");
    for (uint64_t id = 0; id < 30; id++) CHECK(live_get(store, collection, id) == (int64_t)id);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

static void the_log_stays_within_its_limit(void)
{
    make_name(name, "store");
    remove_store(name);
    struct store_options options = live_options(name, 0);
    struct store *store = NULL;
    options.wal_size_max = 1 << 20;
    options.wal_segment_size = 256 << 10;
    OK(store_open(&options, &store, &err));
    struct collection *collection = live_create(store, "c");
    uint64_t most = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        live_put(store, collection, i % 50, i, 4000);
        if (i % 50 != 0) continue;
        const uint64_t bytes = live_stat(store, "wal_bytes");
        if (bytes > most) most = bytes;
    }
    CHECK(live_stat(store, "checkpoints") >= 3);
    CHECK(most < 24 << 20); /* 3,000 batches of 8 KiB are 24 MiB. */
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

/* ---- Memory ---- */

enum { BATCHES = 24 };

/* A small life: what it did must be all there or not at all, batch by batch. */
static bool life(long fail_at, int once, bool memory)
{
    struct store *store = NULL;
    struct snapshot snapshot = {0};
    int64_t expected[12];
    bool failed = false;
    const struct store_options options = live_options(memory ? NULL : name, 0);
    for (uint32_t i = 0; i < 12; i++) expected[i] = ABSENT;
    remove_store(name);
    const uint64_t before = alloc_bytes();
    /* Everything that a batch needs is made beforehand: only the store's requests fail. */
    struct batch batches[BATCHES] = {0};
    struct collection stand_in = {.id = 1};
    for (uint64_t i = 0; i < BATCHES; i++) {
        live_add(&batches[i], &stand_in, i % 12, i, i % 7 == 0 ? 70000 : 200);
        if (i % 3 == 0) live_add_delete(&batches[i], &stand_in, (i + 5) % 12);
    }
    struct schema *schema = live_schema(DIM);
    alloc_fail_after(fail_at, once);
    omendb_status status = store_open(&options, &store, &err);
    if (status != OMENDB_OK) {
        CHECK(status == OMENDB_ERR_NOMEM);
        failed = true;
        alloc_fail_after(-1, 0);
        OK(store_open(&options, &store, &err));
        alloc_fail_after(fail_at, once);
    }
    status = store_collection_create(store, "c", schema, NULL, &err);
    if (status != OMENDB_OK) {
        CHECK(status == OMENDB_ERR_NOMEM);
        failed = true;
        alloc_fail_after(-1, 0);
        OK(store_collection_create(store, "c", live_schema(DIM), NULL, &err));
        alloc_fail_after(fail_at, once);
    }
    struct collection *collection = NULL;
    OK(store_collection_open(store, "c", &collection, &err));
    /* With a reader inside nothing may wait for readers: it is this very thread. */
    if (fail_at % 2 == 0) OK(store_enter(store, &snapshot, &err));
    for (uint64_t i = 0; i < BATCHES; i++) {
        for (int tries = 0;; tries++) {
            status = store_commit(store, &batches[i], OMENDB_DURABILITY_DEFAULT, NULL, &err);
            if (status == OMENDB_OK) break;
            CHECK(status == OMENDB_ERR_NOMEM && tries == 0);
            failed = true;
            alloc_fail_after(-1, 0);
            for (uint64_t id = 0; id < 12; id++)
                CHECK(live_get(store, collection, id) == expected[id]);
        }
        expected[i % 12] = (int64_t)i;
        if (i % 3 == 0) expected[(i + 5) % 12] = ABSENT;
        if (i % 8 != 7) continue;
        status = store_checkpoint(store, &err);
        if (status == OMENDB_OK) continue;
        CHECK(status == OMENDB_ERR_NOMEM);
        failed = true;
        alloc_fail_after(-1, 0);
        OK(store_checkpoint(store, &err));
    }
    if (memory) alloc_fail_after(-1, 0);
    for (uint64_t id = 0; id < 12 && memory; id++)
        CHECK(live_get(store, collection, id) == expected[id]);
    if (fail_at % 2 == 0) store_leave(&snapshot);
    collection_unpin(collection);
    status = store_close(store, &err); /* The handle ends in any case. */
    CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
    failed = failed || status != OMENDB_OK;
    alloc_fail_after(-1, 0);
    for (uint64_t i = 0; i < BATCHES; i++) batch_deinit(&batches[i]);
    CHECK(alloc_bytes() == before);
    if (memory) return failed;

    store = live_open(name, 0);
    collection = live_collection(store, "c");
    for (uint64_t id = 0; id < 12; id++) CHECK(live_get(store, collection, id) == expected[id]);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    CHECK(alloc_bytes() == before);
    return failed;
}

static void every_failed_allocation_leaves_all_or_nothing(void)
{
    make_name(name, "store");
    for (int kind = 0; kind < 4; kind++) {
        uint32_t quiet = 0;
        for (long n = 0; quiet < 15 && n < 2000; n++)
            quiet = life(n, kind % 2, kind >= 2) ? 0 : quiet + 1;
    }
    remove_store(name);
}

/* An opening, with a log to replay, under the same treatment. */
static void every_failed_allocation_of_an_opening_can_be_repeated(void)
{
    struct store *store = fresh();
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < 50; id++) live_put(store, collection, id, id, 500);
    OK(store_checkpoint(store, &err));
    for (uint64_t id = 25; id < 75; id++) live_put(store, collection, id, id + 1, 500);
    OK(store_sync(store, &err));
    /* As a kill leaves it. */
    char copy[300], command[900];
    snprintf(copy, sizeof copy, "%s.copy", name);
    snprintf(command, sizeof command,
             "for f in %s*; do case $f in *.copy*) ;; *) cp $f %s${f#%s};; esac; done", name, copy,
             name);
    CHECK(system(command) == 0);
    collection_unpin(collection);
    live_close(store);
    const uint64_t before = alloc_bytes();
    for (int read_only = 1; read_only >= 0; read_only--) {
        const struct store_options options = live_options(
            copy, read_only != 0 ? (uint32_t)OMENDB_OPEN_READ_ONLY : 0);
        for (long n = 0;; n++) {
            CHECK(n < 5000);
            alloc_fail_after(n, 1);
            const omendb_status status = store_open(&options, &store, &err);
            alloc_fail_after(-1, 0);
            if (status == OMENDB_OK) break;
            CHECK(status == OMENDB_ERR_NOMEM);
            CHECK(alloc_bytes() == before);
        }
        collection = live_collection(store, "c");
        for (uint64_t id = 0; id < 75; id++)
            CHECK(live_get(store, collection, id) == (int64_t)(id < 25 ? id : id + 1));
        if (read_only == 0) live_check(store);
        collection_unpin(collection);
        live_close(store);
        CHECK(alloc_bytes() == before);
    }
    remove_store(copy);
    remove_store(name);
}

static const struct test tests[] = {
    {"capacity_grows_by_half_at_four_fifths", capacity_grows_by_half_at_four_fifths},
    {"snapshots_see_their_moment", snapshots_see_their_moment},
    {"updates_reuse_slots_and_nodes", updates_reuse_slots_and_nodes},
    {"many_versions_of_one_document_are_reclaimed_quickly",
     many_versions_of_one_document_are_reclaimed_quickly},
    {"a_file_at_rest_has_no_gaps", a_file_at_rest_has_no_gaps},
    {"deleted_documents_give_their_space_back", deleted_documents_give_their_space_back},
    {"a_damaged_block_leaves_the_rest_usable", a_damaged_block_leaves_the_rest_usable},
    {"a_second_writer_is_busy", a_second_writer_is_busy},
    {"read_only_opens_see_one_moment_beside_a_writer",
     read_only_opens_see_one_moment_beside_a_writer},
    {"a_reader_outlives_its_writer", a_reader_outlives_its_writer},
    {"two_that_make_the_database_at_once_lose_nothing",
     two_that_make_the_database_at_once_lose_nothing},
    {"dropped_and_renamed_collections_stay_so", dropped_and_renamed_collections_stay_so},
    {"collection_ids_are_never_reused", collection_ids_are_never_reused},
    {"a_large_batch_is_one_batch", a_large_batch_is_one_batch},
    {"the_log_stays_within_its_limit", the_log_stays_within_its_limit},
    {"every_failed_allocation_leaves_all_or_nothing",
     every_failed_allocation_leaves_all_or_nothing},
    {"every_failed_allocation_of_an_opening_can_be_repeated",
     every_failed_allocation_of_an_opening_can_be_repeated},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
