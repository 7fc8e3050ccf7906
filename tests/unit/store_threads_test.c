/* The store under threads: readers beside a writer while it updates, deletes, grows, reclaims and
 * checkpoints. Every batch gives a group of documents one number: a snapshot that sees two numbers in a
 * group saw half a batch. Run under ThreadSanitizer too. */
#include "os/thread.h"
#include "store_live.h"

enum {
    GROUPS = 40,
    GROUP = 25, /* Documents of a group. */
    READERS = 3,
    COMMITTERS = 16,
    RUN_MS = 2500
};

static struct store *store;
static struct collection *collection;
static atomic_u32 stop, reads, commits;
/* The newest number of a group that was acknowledged: no later snapshot may see an older one. */
static atomic_u64 acknowledged[GROUPS];
static uint64_t deadline;
static char name[256];

static bool running(void)
{
    return atomic_load_acquire_u32(&stop) == 0;
}

static uint64_t group_id(uint32_t group, uint32_t member)
{
    return (uint64_t)group * GROUP + member;
}

/* Numbers whose rest by three is 0 mean: the group is deleted. */
static void write_group(uint32_t group, uint64_t n, uint32_t size)
{
    struct batch batch = {0};
    omendb_error local = {0};
    for (uint32_t i = 0; i < GROUP; i++) {
        if (n % 3 == 0) live_add_delete(&batch, collection, group_id(group, i));
        else live_add(&batch, collection, group_id(group, i), n, size);
    }
    const omendb_status status = store_commit(store, &batch, OMENDB_DURABILITY_DEFAULT, NULL,
                                              &local);
    if (status != OMENDB_OK) fprintf(stderr, "%s\n", local.message);
    CHECK(status == OMENDB_OK);
    batch_deinit(&batch);
    atomic_store_release_u64(&acknowledged[group], n);
    (void)atomic_add_u32(&commits, 1);
}

static void writer(void *context)
{
    uint64_t seed = 1, n = 1;
    (void)context;
    while (running()) {
        const uint32_t group = random_below(&seed, GROUPS);
        n++;
        write_group(group, n, random_below(&seed, n % 50 == 0 ? 50000 : 600));
        if (store_clock_ns(store) > deadline) atomic_store_release_u32(&stop, 1);
    }
}

static void reader(void *context)
{
    uint64_t seed = (uint64_t)(uintptr_t)context;
    struct buffer scratch = {0};
    while (running()) {
        const uint32_t group = random_below(&seed, GROUPS);
        const uint64_t least = atomic_load_acquire_u64(&acknowledged[group]);
        struct snapshot snapshot;
        omendb_error local = {0};
        omendb_status status = OMENDB_OK;
        CHECK(store_enter(store, &snapshot, &local) == OMENDB_OK);
        const int64_t first = live_read(collection, group_id(group, 0), snapshot.sequence, &scratch,
                                        &status, &local);
        if (status != OMENDB_OK) fprintf(stderr, "%s\n", local.message);
        CHECK(status == OMENDB_OK);
        CHECK(first == ABSENT || (uint64_t)first >= least);
        for (uint32_t pass = 0; pass < 2; pass++) {
            for (uint32_t i = 1; i < GROUP; i++) {
                const int64_t n = live_read(collection, group_id(group, i), snapshot.sequence,
                                            &scratch, &status, &local);
                if (status != OMENDB_OK) fprintf(stderr, "%s\n", local.message);
                CHECK(status == OMENDB_OK && n == first);
            }
        }
        store_leave(&snapshot);
        (void)atomic_add_u32(&reads, 1);
    }
    buffer_deinit(&scratch);
}

/* Like a search: every node, its chain, its vector; then every slot. What is visible must hang
 * together, and each group must be whole. */
static void scanner(void *context)
{
    struct buffer scratch = {0};
    (void)context;
    while (running()) {
        static uint8_t seen[GROUPS]; /* One scanner only. */
        struct snapshot snapshot;
        omendb_error local = {0};
        memset(seen, 0, sizeof seen);
        CHECK(store_enter(store, &snapshot, &local) == OMENDB_OK);
        struct vector_store *vectors = &collection->vectors[0];
        const uint64_t moves = collection_moves(vectors);
        const uint32_t count = atomic_load_acquire_u32(&vectors->node_count);
        for (uint32_t node = 0; node < count; node++) {
            uint32_t slot = SLOT_NONE;
            CHECK(collection_node_head(collection, 0, node, &slot, &local) == OMENDB_OK);
            for (; slot != SLOT_NONE;
                 CHECK(collection_link_next(collection, 0, slot, &slot, &local) == OMENDB_OK)) {
                bool visible = false;
                const void *vector = NULL;
                const uint8_t *document = NULL;
                struct id_view id;
                struct value root, member;
                uint32_t size = 0;
                CHECK(collection_visible(collection, slot, snapshot.sequence, &visible, &local) ==
                      OMENDB_OK);
                if (!visible) continue;
                CHECK(collection_vector(collection, 0, node, &vector, &local) == OMENDB_OK);
                CHECK(collection_slot_id(collection, slot, &id, &local) == OMENDB_OK);
                CHECK(collection_document(collection, slot, &scratch, &document, &size, &local) ==
                      OMENDB_OK);
                document_root(document, size, &root);
                CHECK(value_member(&root, "n", 1, &member));
                float expected[DIM];
                live_vector(expected, (uint64_t)member.int64);
                CHECK(memcmp(vector, expected, sizeof expected) == 0);
                const uint64_t number = id.text_view == NULL
                                            ? id.number
                                            : strtoull((const char *)id.text_view + 3, NULL, 10);
                CHECK(number < GROUPS * GROUP);
                seen[number / GROUP]++;
            }
        }
        if (moves % 2 == 0 && collection_moves(vectors) == moves)
            for (uint32_t i = 0; i < GROUPS; i++) CHECK(seen[i] == 0 || seen[i] == GROUP);
        store_leave(&snapshot);
        (void)atomic_add_u32(&reads, 1);
    }
    buffer_deinit(&scratch);
}

/* Holds a snapshot for long, so that reclaiming is held back and then let go. */
static void sleeper(void *context)
{
    struct buffer scratch = {0};
    (void)context;
    while (running()) {
        struct snapshot snapshot;
        omendb_status status = OMENDB_OK;
        omendb_error local = {0};
        CHECK(store_enter(store, &snapshot, &local) == OMENDB_OK);
        int64_t values[GROUPS];
        for (uint32_t i = 0; i < GROUPS; i++)
            values[i] = live_read(collection, group_id(i, 3), snapshot.sequence, &scratch, &status,
                                  &local);
        const uint32_t until = atomic_load_acquire_u32(&commits) + 60;
        while (running() && atomic_load_acquire_u32(&commits) < until) thread_yield();
        for (uint32_t i = 0; i < GROUPS; i++) {
            CHECK(live_read(collection, group_id(i, 3), snapshot.sequence, &scratch, &status,
                            &local) == values[i]);
            CHECK(status == OMENDB_OK);
        }
        store_leave(&snapshot);
    }
    buffer_deinit(&scratch);
}

static void upkeeper(void *context)
{
    (void)context;
    while (running()) {
        omendb_error local = {0};
        struct buffer text = {0};
        CHECK(store_checkpoint(store, &local) == OMENDB_OK);
        CHECK(store_stats(store, &text, &local) == OMENDB_OK);
        CHECK(store_sync(store, &local) == OMENDB_OK);
        buffer_deinit(&text);
        thread_yield();
    }
}

/* Other collections come, go and are listed meanwhile. */
static omendb_status count_collection(void *context, struct collection *c, const char *its_name,
                                      omendb_error *error)
{
    (void)error;
    CHECK(c->schema != NULL && its_name[0] != '\0');
    (*(uint32_t *)context)++;
    return OMENDB_OK;
}

static void cataloguer(void *context)
{
    (void)context;
    for (uint64_t i = 0; running(); i++) {
        omendb_error local = {0};
        struct collection *other = NULL;
        struct batch batch = {0};
        uint32_t count = 0;
        CHECK(store_collection_create(store, "other", live_schema(DIM), &other, &local) ==
              OMENDB_OK);
        live_add(&batch, other, i, i, 100);
        CHECK(store_commit(store, &batch, OMENDB_DURABILITY_DEFAULT, NULL, &local) == OMENDB_OK);
        batch_deinit(&batch);
        CHECK(store_collections(store, count_collection, &count, &local) == OMENDB_OK);
        CHECK(count == 2);
        CHECK(store_collection_rename(store, "other", "renamed", &local) == OMENDB_OK);
        CHECK(store_collection_drop(store, "renamed", &local) == OMENDB_OK);
        CHECK(live_get(store, other, i) == (int64_t)i);
        collection_unpin(other);
    }
}

static void begin(bool memory)
{
    make_name(name, "store-threads");
    remove_store(name);
    struct store_options options = live_options(memory ? NULL : name, 0);
    options.wal_size_max = 1 << 20;
    options.wal_segment_size = 256 << 10;
    OK(store_open(&options, &store, &err));
    collection = live_create(store, "c");
    atomic_store_release_u32(&stop, 0);
    atomic_store_release_u32(&reads, 0);
    atomic_store_release_u32(&commits, 0);
    for (uint32_t i = 0; i < GROUPS; i++) atomic_store_release_u64(&acknowledged[i], 0);
    deadline = store_clock_ns(store) + RUN_MS * UINT64_C(1000000);
}

static void end(void)
{
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

static void run_with_readers(bool memory)
{
    struct thread threads[READERS + 5] = {0};
    uint32_t count = 0;
    begin(memory);
    for (uintptr_t i = 0; i < READERS; i++)
        OK(thread_start(&threads[count++], "reader", reader, (void *)(i + 7), &err));
    OK(thread_start(&threads[count++], "scanner", scanner, NULL, &err));
    OK(thread_start(&threads[count++], "sleeper", sleeper, NULL, &err));
    OK(thread_start(&threads[count++], "upkeeper", upkeeper, NULL, &err));
    OK(thread_start(&threads[count++], "cataloguer", cataloguer, NULL, &err));
    OK(thread_start(&threads[count++], "writer", writer, NULL, &err));
    for (uint32_t i = 0; i < count; i++) thread_join(&threads[i]);
    CHECK(atomic_load_acquire_u32(&reads) > 10 && atomic_load_acquire_u32(&commits) > 10);
    end();
}

static void batches_are_whole_beside_checkpoints_and_reclaiming(void)
{
    run_with_readers(false);
}

static void batches_are_whole_in_memory(void)
{
    run_with_readers(true);
}

/* Growth past several capacities while readers go on. */
static void grower(void *context)
{
    (void)context;
    for (uint64_t i = 0; i < 6000; i += 50) {
        struct batch batch = {0};
        omendb_error local = {0};
        for (uint64_t k = i; k < i + 50; k++)
            live_add(&batch, collection, GROUPS * GROUP + k, k, 20);
        CHECK(store_commit(store, &batch, OMENDB_DURABILITY_DEFAULT, NULL, &local) == OMENDB_OK);
        batch_deinit(&batch);
        write_group((uint32_t)(i / 50) % GROUPS, 3 * i + 1, 100);
    }
    atomic_store_release_u32(&stop, 1);
}

static void capacity_grows_under_readers(void)
{
    struct thread threads[4] = {0};
    begin(false);
    for (uintptr_t i = 0; i < 2; i++)
        OK(thread_start(&threads[i], "reader", reader, (void *)(i + 7), &err));
    OK(thread_start(&threads[2], "upkeeper", upkeeper, NULL, &err));
    OK(thread_start(&threads[3], "grower", grower, NULL, &err));
    for (uint32_t i = 0; i < 4; i++) thread_join(&threads[i]);
    CHECK(live_stat(store, "growths") >= 1);
    end();
}

static void committer(void *context)
{
    const uint32_t me = (uint32_t)(uintptr_t)context;
    uint64_t last = 0;
    for (uint64_t n = 1; n <= 40; n++) {
        struct batch batch = {0};
        omendb_error local = {0};
        uint64_t sequence = 0;
        for (uint32_t i = 0; i < 3; i++) live_add(&batch, collection, me * 10 + i, n, 50);
        const omendb_durability level = n % 5 == 0 ? OMENDB_DURABILITY_NONE
                                                   : OMENDB_DURABILITY_FULL;
        CHECK(store_commit(store, &batch, level, &sequence, &local) == OMENDB_OK);
        batch_deinit(&batch);
        CHECK(sequence > last);
        last = sequence;
        /* What is acknowledged is seen. */
        for (uint32_t i = 0; i < 3; i++)
            CHECK(live_get(store, collection, me * 10 + i) == (int64_t)n);
    }
}

static void sixteen_threads_commit_in_groups(void)
{
    struct thread threads[COMMITTERS] = {0};
    begin(false);
    for (uintptr_t i = 0; i < COMMITTERS; i++)
        OK(thread_start(&threads[i], "committer", committer, (void *)i, &err));
    for (uint32_t i = 0; i < COMMITTERS; i++) thread_join(&threads[i]);
    CHECK(live_stat(store, "count") == COMMITTERS * 3);
    CHECK(live_stat(store, "commits") == COMMITTERS * 40);
    collection_unpin(collection);
    live_close(store);
    store = live_open(name, 0);
    collection = live_collection(store, "c");
    for (uint32_t me = 0; me < COMMITTERS; me++)
        for (uint32_t i = 0; i < 3; i++) CHECK(live_get(store, collection, me * 10 + i) == 40);
    end();
}

static const struct test tests[] = {
    {"batches_are_whole_beside_checkpoints_and_reclaiming",
     batches_are_whole_beside_checkpoints_and_reclaiming},
    {"batches_are_whole_in_memory", batches_are_whole_in_memory},
    {"capacity_grows_under_readers", capacity_grows_under_readers},
    {"sixteen_threads_commit_in_groups", sixteen_threads_commit_in_groups},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
