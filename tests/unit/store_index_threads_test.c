/* The index thread beside writers, readers, checkpoints, and collections that come and go; closing
 * in the middle of its work. For ThreadSanitizer too. */
#include "store/store_inner.h"
#include "toy_index.h" /* Before the tests' own `err`. */

#include "store_live.h"

enum { IDS = 400, WRITERS = 2, THREADS = 6 };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { STEPS = 60 };
#else
enum { STEPS = 200 };
#endif

static char name[256];
static struct toy toy;
static struct store *store;
static struct collection *collection;
static atomic_u32 writing; /* Writers that haven't ended. */

static void begin(bool memory)
{
    make_name(name, "store-index-threads");
    remove_store(name);
    struct store_options options = live_options(memory ? NULL : name, 0);
    toy = (struct toy){.piece = 20, .checkpoint_each = 7};
    options.hooks = toy_hooks(&toy);
    options.wal_size_max = 1 << 20;
    options.wal_segment_size = 256 << 10;
    OK(store_open(&options, &store, &err));
    collection = live_create(store, "c");
    atomic_store_release_u32(&writing, WRITERS);
}

static void writer(uint64_t seed)
{
    for (uint64_t step = 0; step < STEPS; step++) {
        struct batch batch = {0};
        omendb_error local = {0};
        for (uint32_t i = 0; i < 10; i++) {
            const uint64_t id = random_below(&seed, IDS) * WRITERS + seed % WRITERS;
            if (random_below(&seed, 3) == 0) live_add_delete(&batch, collection, id);
            else live_add(&batch, collection, id, random_below(&seed, 100000), 20);
        }
        CHECK(live_commit(store, &batch, &local) == OMENDB_OK);
    }
    (void)atomic_sub_u32(&writing, 1);
}

static void reader(uint64_t seed)
{
    struct buffer scratch = {0};
    while (atomic_load_acquire_u32(&writing) != 0) {
        struct snapshot snapshot;
        omendb_error local = {0};
        CHECK(store_enter(store, &snapshot, &local) == OMENDB_OK);
        for (uint32_t i = 0; i < 50; i++) {
            omendb_status status = OMENDB_OK;
            uint32_t flags = 0;
            (void)live_read(collection, random_below(&seed, IDS * WRITERS), snapshot.sequence,
                            &scratch, &status, &local);
            CHECK(status == OMENDB_OK);
            const uint32_t nodes = atomic_load_acquire_u32(&collection->vectors[0].node_count);
            if (nodes == 0) continue;
            CHECK(collection_node_flags(collection, 0, random_below(&seed, nodes), &flags,
                                        &local) == OMENDB_OK);
            CHECK((flags & ~NODE_FLAGS) == 0);
        }
        store_leave(&snapshot);
        thread_yield();
    }
    buffer_deinit(&scratch);
}

static void upkeeper(uint64_t seed)
{
    while (atomic_load_acquire_u32(&writing) != 0) {
        omendb_error local = {0};
        bool more = false;
        CHECK(store_checkpoint(store, &local) == OMENDB_OK);
        if (random_below(&seed, 5) == 0) atomic_store_release_u32(&toy.failures_wanted, 1);
        if (random_below(&seed, 2) == 0) {
            const omendb_status status = store_index_work(store, &more, &local);
            CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM); /* As it was told. */
        }
        thread_yield();
    }
}

static void cataloguer(uint64_t seed)
{
    while (atomic_load_acquire_u32(&writing) != 0) {
        struct collection *other = NULL;
        struct batch batch = {0};
        omendb_error local = {0};
        CHECK(store_collection_create(store, "other", live_schema(DIM), &other, &local) ==
              OMENDB_OK);
        for (uint64_t id = 0; id < 50; id++) live_add(&batch, other, id, id, 10);
        CHECK(live_commit(store, &batch, &local) == OMENDB_OK);
        for (uint32_t i = random_below(&seed, 2000); i > 0; i--) thread_yield();
        collection_unpin(other); /* The index may have the last pin. */
        CHECK(store_collection_drop(store, "other", &local) == OMENDB_OK);
    }
}

static void work(void *context, uint32_t index)
{
    const uint64_t seed = *(const uint64_t *)context + index;
    if (index < WRITERS) writer(seed);
    else if (index == WRITERS) upkeeper(seed);
    else if (index == WRITERS + 1) cataloguer(seed);
    else reader(seed);
}

static void toy_check(void)
{
    const char *wrong = NULL;
    mutex_lock(&store->writer);
    OK(toy_verify(collection, &wrong, &err));
    mutex_unlock(&store->writer);
    if (wrong != NULL) fprintf(stderr, "%s\n", wrong);
    CHECK(wrong == NULL);
}

static void everything_at_once(void)
{
    for (uint64_t memory = 0; memory < 2; memory++) {
        begin(memory != 0);
        thread_parallel(THREADS, THREADS, work, &memory);
        atomic_store_release_u32(&toy.failures_wanted, 0);
        for (bool more = true; more;) OK(store_index_work(store, &more, &err));
        CHECK(atomic_load_acquire_u32(&toy.pieces) != 0);
        toy_check();
        live_check(store);
        collection_unpin(collection);
        live_close(store);
    }
    remove_store(name);
}

/* Wherever the index is: what is there after the next opening is consistent. */
static void closing_at_any_time(void)
{
    begin(false);
    for (uint64_t round = 0; round < 20; round++) {
        struct batch batch = {0};
        for (uint64_t id = 0; id < 50; id++)
            live_add(&batch, collection, id + round * 20, id + round, 10);
        OK(live_commit(store, &batch, &err));
        for (uint64_t i = 0; i < round * 200; i++) thread_yield();
        collection_unpin(collection);
        live_close(store);
        struct store_options options = live_options(name, 0);
        options.hooks = toy_hooks(&toy);
        OK(store_open(&options, &store, &err));
        collection = live_collection(store, "c");
        toy_check();
        live_check(store);
    }
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

/* Waits by the store alone, for longer than the test may last: a lost wake-up would be noticed. */
static void wait_at_rest(bool helping)
{
    enum { FOREVER_MS = 600000 };
    const uint64_t end = store_clock_ns(store) + UINT64_C(60000000000);
    for (;;) {
        omendb_error cause = {0};
        const uint32_t seen = store_index_seen(store);
        const enum store_index_state state = store_index_state(store, collection, &cause);
        CHECK(state != STORE_INDEX_FAILED);
        if (state == STORE_INDEX_IDLE) break;
        if (helping && store_index_help(store, collection)) continue;
        store_index_wait(store, seen, FOREVER_MS);
    }
    CHECK(store_clock_ns(store) < end);
}

static void wait_and_write(void *context, uint32_t index)
{
    uint64_t seed = *(const uint64_t *)context + index;
    for (uint32_t step = 0; step < STEPS; step++) {
        struct batch batch = {0};
        omendb_error local = {0};
        live_add(&batch, collection, random_below(&seed, IDS), random_below(&seed, 100000), 20);
        CHECK(live_commit(store, &batch, &local) == OMENDB_OK);
        if (random_below(&seed, 4) == 0) CHECK(store_checkpoint(store, &local) == OMENDB_OK);
        wait_at_rest(index % 2 == 0);
    }
}

static void who_waits_is_woken_and_may_help(void)
{
    for (uint64_t seed = 0; seed < 2; seed++) {
        begin(seed != 0);
        thread_parallel(4, 4, wait_and_write, &seed);
        wait_at_rest(false);
        toy_check();
        live_check(store);
        collection_unpin(collection);
        live_close(store);
    }
    remove_store(name);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"everything_at_once", everything_at_once},
        {"closing_at_any_time", closing_at_any_time},
        {"who_waits_is_woken_and_may_help", who_waits_is_woken_and_may_help},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
