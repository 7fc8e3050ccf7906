/* What the store does for an index that works in the background: held nodes, the index thread,
 * checkpoints of its changes. With the toy of toy_index.h. */
#include <sys/stat.h>

#include "store/store_inner.h"
#include "toy_index.h" /* Before the tests' own `err`. */

#include "store_live.h"

static char name[256];
static struct toy toy;

enum { WAIT_MS = 20000 };

static struct store *toy_open(bool memory, bool fresh)
{
    make_name(name, "store-index");
    if (fresh) remove_store(name);
    struct store_options options = live_options(memory ? NULL : name, 0);
    struct store *store = NULL;
    options.hooks = toy_hooks(&toy);
    OK(store_open(&options, &store, &err));
    return store;
}

static void toy_begin(uint32_t piece)
{
    toy = (struct toy){.piece = piece};
}

static void put_range(struct store *store, struct collection *collection, uint64_t from,
                      uint64_t to, uint64_t n)
{
    struct batch batch = {0};
    for (uint64_t id = from; id < to; id++) live_add(&batch, collection, id, n + id, 20);
    OK(live_commit(store, &batch, &err));
}

static void delete_range(struct store *store, struct collection *collection, uint64_t from,
                         uint64_t to)
{
    struct batch batch = {0};
    for (uint64_t id = from; id < to; id++) live_add_delete(&batch, collection, id);
    OK(live_commit(store, &batch, &err));
}

/* Nodes of field 0 with all of `set` and none of `unset`. */
static uint32_t nodes_with(struct store *store, struct collection *collection, uint32_t set,
                           uint32_t unset)
{
    uint32_t found = 0;
    mutex_lock(&store->writer);
    const uint32_t count = atomic_load_acquire_u32(&collection->vectors[0].node_count);
    for (uint32_t node = 0; node < count; node++) {
        uint32_t flags = 0;
        OK(collection_node_flags(collection, 0, node, &flags, &err));
        found += (flags & set) == set && (flags & unset) == 0;
    }
    mutex_unlock(&store->writer);
    return found;
}

static void toy_check(struct store *store, struct collection *collection)
{
    const char *wrong = NULL;
    mutex_lock(&store->writer);
    OK(toy_verify(collection, &wrong, &err));
    mutex_unlock(&store->writer);
    if (wrong != NULL) fprintf(stderr, "%s\n", wrong);
    CHECK(wrong == NULL);
}

static void work_all(struct store *store)
{
    bool more = true;
    while (more) OK(store_index_work(store, &more, &err));
}

static bool wait_until(struct store *store,
                       bool (*done)(struct store *store, struct collection *collection),
                       struct collection *collection)
{
    const uint64_t end = store_clock_ns(store) + WAIT_MS * UINT64_C(1000000);
    while (!done(store, collection)) {
        if (store_clock_ns(store) > end) return false;
        thread_yield();
    }
    return true;
}

static bool all_held(struct store *store, struct collection *collection)
{
    return nodes_with(store, collection, 0, NODE_HELD | NODE_FREE) == 0 &&
           nodes_with(store, collection, NODE_HELD | NODE_FREE, 0) == 0;
}

/* Stops the index thread's turns: what the test calls is all that happens. */
static void hold_thread(struct store *store)
{
    host_stop(store);
}

/* ---- Nodes ---- */

static void held_nodes_are_reused_two_checkpoints_after_their_release(void)
{
    enum { COUNT = 100 };
    toy_begin(COUNT);
    struct store *store = toy_open(false, true);
    hold_thread(store);
    struct collection *collection = live_create(store, "c");
    struct vector_store *vectors = &collection->vectors[0];
    put_range(store, collection, 0, COUNT, 0);
    work_all(store);
    CHECK(nodes_with(store, collection, NODE_HELD | NODE_LINKED, NODE_FREE) == COUNT);
    delete_range(store, collection, 0, COUNT);
    for (uint64_t round = 1; round <= 4; round++) { /* Held: whatever time passes. */
        OK(store_checkpoint(store, &err));
        CHECK(atomic_load_acquire_u32(&toy.freed) == COUNT);
        CHECK(nodes_with(store, collection, NODE_HELD | NODE_LINKED | NODE_FREE, 0) == COUNT);
        CHECK(live_stat(store, "held_nodes") == COUNT && live_stat(store, "free_nodes") == 0);
        put_range(store, collection, 1000 + round, 1001 + round, round);
        CHECK(atomic_load_acquire_u32(&vectors->node_count) == COUNT + round);
        toy_check(store, collection);
        live_check(store);
    }
    work_all(store);
    CHECK(nodes_with(store, collection, NODE_FREE, NODE_HELD | NODE_LINKED) == COUNT);
    CHECK(live_stat(store, "held_nodes") == 0);
    for (uint64_t round = 5; round <= 7; round++) { /* Two images must record the release. */
        live_check(store);
        put_range(store, collection, 1000 + round, 1001 + round, round);
        CHECK(atomic_load_acquire_u32(&vectors->node_count) == COUNT + round);
        CHECK(live_stat(store, "free_nodes") == 0);
        OK(store_checkpoint(store, &err));
    }
    CHECK(live_stat(store, "free_nodes") == COUNT);
    put_range(store, collection, 2000, 2050, 0);
    CHECK(atomic_load_acquire_u32(&vectors->node_count) == COUNT + 7);
    CHECK(nodes_with(store, collection, 0, NODE_HELD | NODE_FREE) == 53); /* None but new ones. */
    toy_check(store, collection);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

static void a_reader_holds_back_what_was_released(void)
{
    struct snapshot snapshot;
    toy_begin(100);
    struct store *store = toy_open(false, true);
    hold_thread(store);
    struct collection *collection = live_create(store, "c");
    put_range(store, collection, 0, 10, 0);
    work_all(store);
    delete_range(store, collection, 0, 10);
    OK(store_checkpoint(store, &err));
    OK(store_enter(store, &snapshot, &err)); /* It may know the numbers from rows. */
    work_all(store);
    for (uint64_t round = 0; round < 6; round++) {
        put_range(store, collection, 100 + round, 101 + round, round);
        OK(store_checkpoint(store, &err));
        CHECK(live_stat(store, "free_nodes") == 0);
    }
    store_leave(&snapshot);
    for (uint64_t round = 0; round < 3; round++) {
        put_range(store, collection, 200 + round, 201 + round, round);
        OK(store_checkpoint(store, &err));
    }
    CHECK(live_stat(store, "free_nodes") != 0);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

static void marks_are_kept_apart(void)
{
    enum { HELD = NODE_HELD, LINKED = NODE_LINKED };
    uint32_t flags = 0;
    toy_begin(100);
    struct store *store = toy_open(false, true);
    hold_thread(store);
    struct collection *collection = live_create(store, "c");
    put_range(store, collection, 0, 2, 0);
    mutex_lock(&store->writer);
    FAILS(OMENDB_ERR_INTERNAL, collection_node_mark(collection, 0, 0, LINKED, 0, &err));
    FAILS(OMENDB_ERR_CORRUPT, collection_node_mark(collection, 0, 1u << 30, HELD, 0, &err));
    OK(collection_node_mark(collection, 0, 0, HELD, 0, &err));
    OK(collection_node_mark(collection, 0, 0, LINKED, 0, &err));
    OK(collection_node_mark(collection, 0, 0, 0, LINKED, &err));
    OK(collection_node_flags(collection, 0, 0, &flags, &err));
    CHECK(flags == HELD);
    OK(collection_node_release(collection, 0, 0, &err)); /* In use: it stays that. */
    OK(collection_node_flags(collection, 0, 0, &flags, &err));
    CHECK(flags == 0);
    OK(collection_node_mark(collection, 0, 0, HELD | LINKED, 0, &err));
    mutex_unlock(&store->writer);
    delete_range(store, collection, 0, 2);
    OK(store_checkpoint(store, &err));
    mutex_lock(&store->writer);
    FAILS(OMENDB_ERR_NOT_FOUND, collection_node_mark(collection, 0, 1, HELD, 0, &err));
    FAILS(OMENDB_ERR_INTERNAL, collection_node_mark(collection, 0, 0, 0, HELD | LINKED, &err));
    OK(collection_node_mark(collection, 0, 0, 0, LINKED, &err)); /* Dead, still referred to. */
    OK(collection_node_flags(collection, 0, 0, &flags, &err));
    CHECK(flags == (HELD | NODE_FREE));
    OK(collection_node_release(collection, 0, 0, &err));
    OK(collection_node_release(collection, 0, 0, &err)); /* Twice is once. */
    OK(collection_node_release(collection, 0, 1, &err));
    mutex_unlock(&store->writer);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

static void held_nodes_survive_closing_and_opening(void)
{
    enum { COUNT = 300 };
    toy_begin(7);
    struct store *store = toy_open(false, true);
    hold_thread(store);
    struct collection *collection = live_create(store, "c");
    put_range(store, collection, 0, COUNT, 0);
    work_all(store);
    delete_range(store, collection, 50, 150);
    collection_unpin(collection);
    live_close(store); /* Its checkpoints reclaim. */
    CHECK(atomic_load_acquire_u32(&toy.freed) == 100);
    for (uint32_t round = 0; round < 3; round++) {
        atomic_store_release_u32(&toy.failures_wanted, 1000000); /* It does nothing. */
        store = toy_open(false, false);
        hold_thread(store);
        atomic_store_release_u32(&toy.failures_wanted, 0);
        collection = live_collection(store, "c");
        CHECK(nodes_with(store, collection, NODE_HELD | NODE_FREE, 0) == 100);
        CHECK(live_stat(store, "held_nodes") == 100);
        put_range(store, collection, 1000 + round * 50, 1050 + round * 50, round);
        CHECK(atomic_load_acquire_u32(&collection->vectors[0].node_count) ==
              COUNT + 50 + round * 50);
        toy_check(store, collection);
        live_check(store);
        collection_unpin(collection);
        live_close(store);
    }
    store = toy_open(false, false);
    hold_thread(store);
    collection = live_collection(store, "c");
    work_all(store);
    CHECK(all_held(store, collection));
    toy_check(store, collection);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

/* Moved vectors leave held nodes behind; when they are released the file shrinks. */
static void compaction_tells_of_vectors_that_moved(void)
{
    enum { COUNT = 40000, APART = 1000, HELD = COUNT / APART / 2 };
    struct batch batch = {0};
    toy_begin(COUNT);
    struct store *store = toy_open(false, true);
    hold_thread(store);
    struct collection *collection = live_create(store, "c");
    put_range(store, collection, 0, COUNT, 0);
    OK(store_checkpoint(store, &err));
    const uint64_t before = live_stat(store, "stored_bytes");
    /* One in each block stays; the upper half of those is held. */
    for (uint64_t id = 0; id < COUNT; id++)
        if (id % APART != 0) live_add_delete(&batch, collection, id);
    OK(live_commit(store, &batch, &err));
    mutex_lock(&store->writer);
    for (uint32_t i = HELD; i < 2 * HELD; i++)
        OK(collection_node_mark(collection, 0, i * APART, NODE_HELD, 0, &err));
    mutex_unlock(&store->writer);
    for (uint64_t round = 0; round < 6; round++) {
        OK(store_checkpoint(store, &err));
        put_range(store, collection, COUNT + round, COUNT + 1 + round, round);
    }
    CHECK(atomic_load_acquire_u32(&toy.freed) == HELD);
    CHECK(nodes_with(store, collection, NODE_HELD | NODE_FREE, 0) == HELD);
    for (uint64_t id = 0; id < COUNT; id += APART)
        CHECK(live_get(store, collection, id) == (int64_t)id);
    live_check(store);
    const uint64_t with_held = live_stat(store, "stored_bytes");
    mutex_lock(&store->writer);
    for (uint32_t i = HELD; i < 2 * HELD; i++)
        OK(collection_node_release(collection, 0, i * APART, &err));
    mutex_unlock(&store->writer);
    for (uint64_t round = 10; round < 16; round++) {
        OK(store_checkpoint(store, &err));
        put_range(store, collection, COUNT + round, COUNT + 1 + round, round);
    }
    CHECK(live_stat(store, "stored_bytes") < with_held && with_held < before);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

/* Blocks of a hot array, whose nodes nobody uses or holds, become holes. */
static void rows_of_released_nodes_give_their_blocks_back(void)
{
    enum { COUNT = 8192, LEFT = 100, BLOCKS = COUNT / (BLOCK_SIZE / sizeof(struct toy_row)) };
    toy_begin(COUNT);
    struct store *store = toy_open(false, true);
    hold_thread(store);
    struct collection *collection = live_create(store, "c");
    put_range(store, collection, 0, COUNT, 0);
    work_all(store);
    OK(store_checkpoint(store, &err));
    const uint64_t memory = live_stat(store, "memory_bytes");
    CHECK(live_stat(store, "stored_bytes_derived") == BLOCKS * BLOCK_SIZE);
    delete_range(store, collection, LEFT, COUNT);
    for (uint64_t round = 0; round < 8; round++) {
        if (round == 4) {
            CHECK(live_stat(store, "stored_bytes_derived") == BLOCKS * BLOCK_SIZE); /* Held. */
            work_all(store);
        }
        OK(store_checkpoint(store, &err));
        put_range(store, collection, COUNT + round, COUNT + 1 + round, round);
    }
    CHECK(live_stat(store, "stored_bytes_derived") <= 2 * BLOCK_SIZE);
    CHECK(live_stat(store, "memory_bytes") + BLOCKS / 2 * BLOCK_SIZE <= memory);
    toy_check(store, collection);
    live_check(store);
    put_range(store, collection, 2 * COUNT, 3 * COUNT, 0); /* They are used again. */
    work_all(store);
    toy_check(store, collection);
    collection_unpin(collection);
    live_close(store);
    store = toy_open(false, false);
    collection = live_collection(store, "c");
    toy_check(store, collection);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

/* ---- The thread ---- */

static void work_follows_commits_and_openings(void)
{
    for (int memory = 0; memory < 2; memory++) {
        toy_begin(16);
        struct store *store = toy_open(memory != 0, true);
        struct collection *collection = live_create(store, "c");
        for (uint64_t round = 0; round < 20; round++)
            put_range(store, collection, round * 20, round * 20 + 20, round);
        CHECK(wait_until(store, all_held, collection));
        delete_range(store, collection, 0, 100);
        if (memory == 0) {
            OK(store_checkpoint(store, &err));
            CHECK(atomic_load_acquire_u32(&toy.freed) == 100);
            CHECK(wait_until(store, all_held, collection)); /* Released, without a commit. */
        }
        toy_check(store, collection);
        live_check(store);
        atomic_store_release_u32(&toy.failures_wanted, 1000000);
        put_range(store, collection, 1000, 1100, 0);
        collection_unpin(collection);
        live_close(store);
        if (memory != 0) continue;
        atomic_store_release_u32(&toy.failures_wanted, 0);
        store = toy_open(false, false); /* Nobody commits. */
        collection = live_collection(store, "c");
        CHECK(wait_until(store, all_held, collection));
        toy_check(store, collection);
        collection_unpin(collection);
        live_close(store);
    }
    remove_store(name);
}

static bool it_lingers(struct store *store, struct collection *collection)
{
    (void)store, (void)collection;
    return atomic_load_acquire_u32(&toy.calls) != 0;
}

static void closing_calls_work_back(void)
{
    toy_begin(16);
    atomic_store_release_u32(&toy.linger, 1);
    struct store *store = toy_open(false, true);
    struct collection *collection = live_create(store, "c");
    put_range(store, collection, 0, 10, 0);
    CHECK(wait_until(store, it_lingers, collection));
    collection_unpin(collection);
    live_close(store);
    CHECK(atomic_load_acquire_u32(&toy.lingered) == 1);
    remove_store(name);
}

static bool it_lingered(struct store *store, struct collection *collection)
{
    (void)store, (void)collection;
    return atomic_load_acquire_u32(&toy.lingered) != 0;
}

static void dropping_calls_work_back(void)
{
    for (int memory = 0; memory < 2; memory++) {
        toy_begin(16);
        atomic_store_release_u32(&toy.linger, 1);
        struct store *store = toy_open(memory != 0, true);
        struct collection *collection = live_create(store, "c");
        put_range(store, collection, 0, 10, 0);
        CHECK(wait_until(store, it_lingers, collection));
        collection_unpin(collection); /* The work's pin is the last one. */
        OK(store_collection_drop(store, "c", &err));
        CHECK(wait_until(store, it_lingered, NULL));
        atomic_store_release_u32(&toy.linger, 0);
        collection = live_create(store, "c"); /* Others go on. */
        put_range(store, collection, 0, 10, 0);
        CHECK(wait_until(store, all_held, collection));
        collection_unpin(collection);
        live_close(store);
    }
    remove_store(name);
}

static void a_failure_of_work_is_noted_and_repeated(void)
{
    toy_begin(16);
    atomic_store_release_u32(&toy.failures_wanted, 1);
    struct store *store = toy_open(false, true);
    struct collection *collection = live_create(store, "c");
    put_range(store, collection, 0, 10, 0);
    CHECK(wait_until(store, all_held, collection)); /* Nobody has asked again. */
    CHECK(live_stat(store, "upkeep_failures") == 1);
    hold_thread(store);
    atomic_store_release_u32(&toy.failures_wanted, 1);
    bool more = false;
    put_range(store, collection, 10, 20, 0);
    FAILS(OMENDB_ERR_NOMEM, store_index_work(store, &more, &err));
    work_all(store);
    CHECK(all_held(store, collection));
    toy_check(store, collection);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

/* ---- Checkpoints ---- */

static bool it_is_written(struct store *store, struct collection *collection)
{
    (void)collection;
    mutex_lock(&store->writer);
    const bool written = store->live.index_changes == store->index_changes;
    mutex_unlock(&store->writer);
    return written;
}

static void changes_of_an_index_alone_are_written(void)
{
    toy_begin(100);
    struct store *store = toy_open(false, true);
    hold_thread(store);
    struct collection *collection = live_create(store, "c");
    put_range(store, collection, 0, 100, 0);
    OK(store_checkpoint(store, &err));
    const uint64_t generation = live_stat(store, "generation");
    OK(store_checkpoint(store, &err));
    CHECK(live_stat(store, "generation") == generation); /* Nothing to do. */
    work_all(store);
    OK(store_checkpoint(store, &err));
    CHECK(live_stat(store, "generation") == generation + 1);
    OK(store_checkpoint(store, &err));
    CHECK(live_stat(store, "generation") == generation + 1);

    put_range(store, collection, 100, 200, 0);
    OK(store_checkpoint(store, &err));
    toy.checkpoint_each = 1; /* The index asks; the upkeep thread does it. */
    work_all(store);
    CHECK(wait_until(store, it_is_written, collection));
    toy.checkpoint_each = 0;

    put_range(store, collection, 200, 300, 0);
    OK(store_checkpoint(store, &err));
    work_all(store);
    CHECK(!it_is_written(store, collection));
    CHECK(wait_until(store, it_is_written, collection)); /* Idle. */
    toy_check(store, collection);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"held_nodes_are_reused_two_checkpoints_after_their_release",
         held_nodes_are_reused_two_checkpoints_after_their_release},
        {"a_reader_holds_back_what_was_released", a_reader_holds_back_what_was_released},
        {"marks_are_kept_apart", marks_are_kept_apart},
        {"held_nodes_survive_closing_and_opening", held_nodes_survive_closing_and_opening},
        {"compaction_tells_of_vectors_that_moved", compaction_tells_of_vectors_that_moved},
        {"rows_of_released_nodes_give_their_blocks_back",
         rows_of_released_nodes_give_their_blocks_back},
        {"work_follows_commits_and_openings", work_follows_commits_and_openings},
        {"closing_calls_work_back", closing_calls_work_back},
        {"dropping_calls_work_back", dropping_calls_work_back},
        {"a_failure_of_work_is_noted_and_repeated", a_failure_of_work_is_noted_and_repeated},
        {"changes_of_an_index_alone_are_written", changes_of_an_index_alone_are_written},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
