/* Readers beside a writer that exchanges the vectors of documents: in every snapshot each vector leads
 * to as many documents as at the beginning, through updates, unlinking, reuse and compaction. */
#include "os/thread.h"
#include "store_live.h"

enum { VECTORS = 6, EACH = 10, DOCUMENTS = VECTORS * EACH, READERS = 3, BATCHES = 1500 };

static struct store *store;
static struct collection *collection;
static atomic_u32 stop, rounds;

/* One try; false: a vector changed its node meanwhile, so the answer says nothing. */
static bool count_once(uint32_t vector, struct buffer *scratch, uint32_t *count)
{
    struct snapshot snapshot;
    float bytes[DIM];
    uint32_t node = SLOT_NONE, slot = SLOT_NONE;
    *count = 0;
    live_vector(bytes, vector);
    CHECK(store_enter(store, &snapshot, NULL) == OMENDB_OK);
    const uint64_t moves = collection_moves(&collection->vectors[0]);
    CHECK(collection_find_vector(collection, 0, bytes, &node, NULL) == OMENDB_OK);
    if (node != SLOT_NONE)
        CHECK(collection_node_head(collection, 0, node, &slot, NULL) == OMENDB_OK);
    while (slot != SLOT_NONE) {
        bool visible = false;
        CHECK(collection_visible(collection, slot, snapshot.sequence, &visible, NULL) == OMENDB_OK);
        if (visible) {
            const uint8_t *document = NULL;
            uint32_t size = 0;
            struct value root, member;
            CHECK(collection_document(collection, slot, scratch, &document, &size, NULL) ==
                  OMENDB_OK);
            document_root(document, size, &root);
            CHECK(value_member(&root, "n", 1, &member) && member.int64 == (int64_t)vector);
            ++*count;
        }
        CHECK(collection_link_next(collection, 0, slot, &slot, NULL) == OMENDB_OK);
    }
    const bool moved = moves % 2 != 0 || collection_moves(&collection->vectors[0]) != moves;
    store_leave(&snapshot);
    return !moved;
}

static void reader(void *context)
{
    uint64_t seed = (uint64_t)(uintptr_t)context;
    struct buffer scratch = {0};
    while (atomic_load_acquire_u32(&stop) == 0) {
        const uint32_t vector = random_below(&seed, VECTORS);
        uint32_t count = 0;
        while (!count_once(vector, &scratch, &count)) thread_yield();
        CHECK(count == EACH);
        (void)atomic_add_u32(&rounds, 1);
    }
    buffer_deinit(&scratch);
}

static void readers_count_the_same_in_every_snapshot(void)
{
    struct thread threads[READERS] = {0};
    uint32_t vector_of[DOCUMENTS];
    struct batch batch = {0};
    char name[256];
    uint64_t seed = 5;
    make_name(name, "equal-vectors-threads");
    remove_store(name);
    store = live_open(name, 0);
    collection = live_create(store, "docs");
    for (uint32_t id = 0; id < DOCUMENTS; id++) {
        vector_of[id] = id % VECTORS;
        live_add(&batch, collection, id, vector_of[id], 3);
    }
    OK(live_commit(store, &batch, &err));
    for (uintptr_t i = 0; i < READERS; i++)
        OK(thread_start(&threads[i], "reader", reader, (void *)(i + 1), &err));
    for (uint32_t n = 0; n < BATCHES || atomic_load_acquire_u32(&rounds) < 1000; n++) {
        const uint32_t a = random_below(&seed, DOCUMENTS), b = random_below(&seed, DOCUMENTS);
        const uint32_t kept = vector_of[a];
        vector_of[a] = vector_of[b];
        vector_of[b] = kept;
        live_add(&batch, collection, a, vector_of[a], 3);
        live_add(&batch, collection, b, vector_of[b], 3);
        /* A vector of its own comes and goes, so that nodes are freed and used again. */
        if (n % 2 == 0) live_add(&batch, collection, 1000, 1000 + n, 3);
        else live_add_delete(&batch, collection, 1000);
        OK(live_commit(store, &batch, &err));
        if (n % 40 == 0) OK(store_checkpoint(store, &err));
    }
    atomic_store_release_u32(&stop, 1);
    for (uint32_t i = 0; i < READERS; i++) thread_join(&threads[i]);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

static const struct test tests[] = {
    {"readers_count_the_same_in_every_snapshot", readers_count_the_same_in_every_snapshot},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
