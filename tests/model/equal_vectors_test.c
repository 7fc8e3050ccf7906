/* Documents with equal vectors: a store with few vectors and many documents against a plain table of
 * who has what, through updates, deletions, failed batches, checkpoints, compaction and reopening. */
#include "index/vector/flat.h"
#include "query/indexes.h"
#include "store_live.h"

#define NOBODY UINT32_MAX
enum { VECTORS = 40, DOCUMENTS = 600 };

enum { DIM_MAX = 48, BATCH_MAX = 60 };

static uint32_t vector_of[DOCUMENTS]; /* The model: NOBODY = no such document. */
static uint32_t dim = DIM;            /* 48: the field has codes. */

static size_t make_vector(float to[DIM_MAX], uint32_t vector)
{
    for (uint32_t i = 0; i < dim; i++) to[i] = (float)vector + (float)i / 16;
    return dim * sizeof *to;
}

/* The document says `id`; its vector is number `vector`. Ids are numbers. */
static void add(struct batch *batch, struct collection *collection, uint32_t id, uint32_t vector)
{
    struct buffer document = {0};
    float bytes[DIM_MAX];
    void *to = NULL;
    const size_t size = make_vector(bytes, vector);
    live_document(&document, id, 3);
    OK(batch_add(batch, OPERATION_UPSERT, collection->id, NULL, 0, id, document.data,
                 (uint32_t)document.size, &err));
    OK(batch_add_vector(batch, 0, (uint32_t)size, &to, &err));
    memcpy(to, bytes, size);
    buffer_deinit(&document);
}

static void add_delete(struct batch *batch, struct collection *collection, uint32_t id)
{
    OK(batch_add(batch, OPERATION_DELETE, collection->id, NULL, 0, id, NULL, 0, &err));
}

static uint32_t node_of(struct collection *collection, uint32_t vector)
{
    float bytes[DIM_MAX];
    uint32_t node = 0;
    (void)make_vector(bytes, vector);
    OK(collection_find_vector(collection, 0, bytes, &node, &err));
    return node;
}

/* Every vector leads to the documents that have it, and to no others. */
static void compare(struct store *store, struct collection *collection)
{
    struct snapshot snapshot;
    OK(store_enter(store, &snapshot, &err));
    for (uint32_t vector = 0; vector < VECTORS; vector++) {
        const uint32_t node = node_of(collection, vector);
        uint32_t wanted = 0, found = 0, slot = SLOT_NONE;
        for (uint32_t id = 0; id < DOCUMENTS; id++) wanted += vector_of[id] == vector;
        if (node != SLOT_NONE) OK(collection_node_head(collection, 0, node, &slot, &err));
        while (slot != SLOT_NONE) {
            struct id_view id;
            bool visible = false;
            OK(collection_visible(collection, slot, snapshot.sequence, &visible, &err));
            if (visible) {
                OK(collection_slot_id(collection, slot, &id, &err));
                CHECK(id.number < DOCUMENTS && vector_of[id.number] == vector);
                found++;
            }
            OK(collection_link_next(collection, 0, slot, &slot, &err));
        }
        CHECK(found == wanted);
    }
    store_leave(&snapshot);
}

/* Few vectors, so after the dead are gone there are no more nodes than vectors in use. */
static void few_nodes(struct store *store, struct collection *collection)
{
    uint32_t wanted = 0;
    for (int i = 0; i < 3; i++) {
        struct batch batch = {0};
        add(&batch, collection, 0, 0);
        vector_of[0] = 0;
        OK(live_commit(store, &batch, &err));
        OK(store_checkpoint(store, &err));
    }
    for (uint32_t vector = 0; vector < VECTORS; vector++) {
        uint32_t users = 0;
        for (uint32_t id = 0; id < DOCUMENTS; id++) users += vector_of[id] == vector;
        wanted += users != 0;
        CHECK((node_of(collection, vector) != SLOT_NONE) == (users != 0));
    }
    CHECK(atomic_load_relaxed_u32(&collection->vectors[0].nodes_live) == wanted);
}

static void one_batch(struct store *store, struct collection *collection, uint64_t *seed)
{
    struct batch batch = {0};
    uint32_t ids[BATCH_MAX], vectors[BATCH_MAX];
    const uint32_t count = 1 + random_below(seed, BATCH_MAX);
    const bool fails = random_below(seed, 6) == 0;
    const uint32_t used = random_below(seed, 2) == 0 ? VECTORS : 3;
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = random_below(seed, DOCUMENTS);
        vectors[i] = random_below(seed, 3) == 0 ? NOBODY : random_below(seed, used);
        if (vectors[i] == NOBODY) add_delete(&batch, collection, ids[i]);
        else add(&batch, collection, ids[i], vectors[i]);
    }
    if (fails) {
        /* The last operation names a collection that isn't there. Staging looks a few operations
         * ahead, but most batches are longer: what they staged is undone. */
        OK(batch_add(&batch, OPERATION_DELETE, collection->id + 7, NULL, 0, 1, NULL, 0, &err));
        CHECK(live_commit(store, &batch, NULL) == OMENDB_ERR_NOT_FOUND);
        return;
    }
    OK(live_commit(store, &batch, &err));
    for (uint32_t i = 0; i < count; i++) vector_of[ids[i]] = vectors[i];
}

static void lives(const char *name, uint64_t seed, uint32_t rounds)
{
    struct store *store = live_open(name, 0);
    struct collection *collection = live_create(store, "docs");
    for (uint32_t id = 0; id < DOCUMENTS; id++) vector_of[id] = NOBODY;
    for (uint32_t round = 0; round < rounds; round++) {
        one_batch(store, collection, &seed);
        if (random_below(&seed, 20) == 0) OK(store_checkpoint(store, &err));
        if (round % 25 == 0) compare(store, collection);
        if (round % 100 == 99) {
            live_check(store);
            if (name == NULL) continue;
            if (round % 300 == 299) few_nodes(store, collection);
            collection_unpin(collection);
            live_close(store);
            store = live_open(name, 0);
            collection = live_collection(store, "docs");
            compare(store, collection);
            live_check(store);
        }
    }
    collection_unpin(collection);
    live_close(store);
}

static void equal_vectors_share_a_node_and_are_found(void)
{
    char name[256];
    make_name(name, "equal-vectors");
    remove_store(name);
    lives(name, 1, 600);
    remove_store(name);
    lives(name, 2, 600);
    remove_store(name);
    lives(NULL, 3, 600);
}

/* Nodes move when most vectors are gone; the map follows. */
static void moved_vectors_are_found(void)
{
    enum { COUNT = 60000, STEP = 37 };
    char name[256];
    make_name(name, "moved-vectors");
    remove_store(name);
    struct store *store = live_open(name, 0);
    struct collection *collection = live_create(store, "docs");
    for (uint32_t from = 0; from < COUNT;) {
        struct batch batch = {0};
        for (uint32_t i = 0; i < 2000; i++, from++) add(&batch, collection, from, from / 2);
        OK(live_commit(store, &batch, &err));
    }
    CHECK(atomic_load_relaxed_u32(&collection->vectors[0].nodes_live) == COUNT / 2);
    for (uint32_t from = 0; from < COUNT;) {
        struct batch batch = {0};
        for (uint32_t i = 0; i < 2000; i++, from++)
            if (from / 2 % STEP != 0) add_delete(&batch, collection, from);
        OK(live_commit(store, &batch, &err));
    }
    const uint64_t before = collection_moves(&collection->vectors[0]);
    for (uint32_t i = 0; i < 8; i++) {
        struct batch batch = {0};
        add(&batch, collection, 0, 0);
        OK(live_commit(store, &batch, &err));
        OK(store_checkpoint(store, &err));
    }
    CHECK(collection_moves(&collection->vectors[0]) > before + 1);
    for (uint32_t vector = 0; vector < COUNT / 2; vector++)
        CHECK((node_of(collection, vector) != SLOT_NONE) == (vector % STEP == 0));
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

static void search(struct store *store, struct collection *collection, uint32_t k,
                   struct flat_hit *hits, uint32_t *found)
{
    struct flat_workspace workspace = {0};
    struct snapshot snapshot;
    float bytes[DIM_MAX];
    (void)make_vector(bytes, 1);
    OK(store_enter(store, &snapshot, &err));
    const struct flat_query query = {
        .collection = collection, .k = k, .vector = bytes, .sequence = snapshot.sequence};
    OK(flat_search(&query, &workspace, hits, found, NULL, &err));
    store_leave(&snapshot);
    flat_workspace_deinit(&workspace);
}

/* One chain of 100,000 slots, each unlinked in O(1), all counted by a search, in the order of ids
 * although the chain has another; other vectors are beside it. */
static void one_vector_many_documents(void)
{
    enum { COUNT = 100000, OTHERS = 300, K = 1000, GAP = 7 };
    static struct flat_hit hits[K];
    char name[256];
    make_name(name, "one-vector");
    remove_store(name);
    struct store_options options = live_options(name, 0);
    struct store *store = NULL;
    struct collection *collection = NULL;
    options.hooks = *indexes_hooks_all();
    OK(store_open(&options, &store, &err));
    OK(store_collection_create(store, "docs", live_schema(dim), &collection, &err));
    struct id_view id;
    uint32_t found = 0;
    for (uint32_t from = 0; from < COUNT;) {
        struct batch batch = {0};
        /* 7919 is a prime: every id once, in no order. */
        for (uint32_t i = 0; i < 2000; i++, from++)
            add(&batch, collection, (uint32_t)((uint64_t)from * 7919 % COUNT), 1);
        OK(live_commit(store, &batch, &err));
    }
    struct batch others = {0};
    for (uint32_t i = 0; i < OTHERS; i++) add(&others, collection, COUNT + i, 2 + i);
    OK(live_commit(store, &others, &err));
    CHECK(atomic_load_relaxed_u32(&collection->vectors[0].nodes_live) == 1 + OTHERS);
    search(store, collection, K, hits, &found);
    CHECK(found == K);
    for (uint32_t i = 0; i < K; i++) {
        OK(collection_slot_id(collection, hits[i].slot, &id, &err));
        CHECK(id.number == i && hits[i].equal && hits[i].distance == 0);
    }
    /* All but every seventh go: from the middle, and with the chain's head and end. */
    struct batch batch = {0};
    for (uint32_t i = 0; i < COUNT; i++)
        if (i % GAP != 3) add_delete(&batch, collection, i);
    OK(live_commit(store, &batch, &err));
    for (uint32_t round = 0; round < 2; round++) {
        search(store, collection, K, hits, &found);
        CHECK(found == K);
        for (uint32_t i = 0; i < K; i++) {
            OK(collection_slot_id(collection, hits[i].slot, &id, &err));
            CHECK(id.number == 3 + GAP * i && hits[i].equal && hits[i].distance == 0);
        }
        OK(store_checkpoint(store, &err));
        struct batch more = {0}; /* So that there is something to write. */
        add(&more, collection, 2 * COUNT, 5);
        OK(live_commit(store, &more, &err));
    }
    /* Most were unlinked. */
    CHECK(atomic_load_relaxed_u32(&collection->vectors[0].nodes_live) == 1 + OTHERS);
    CHECK(collection->dead_end - collection->dead_begin < COUNT / 10);
    live_check(store);
    collection_unpin(collection);
    live_close(store);
    remove_store(name);
}

static void a_hundred_thousand_documents_share_one_vector(void)
{
    one_vector_many_documents();
    dim = DIM_MAX;
    one_vector_many_documents();
    dim = DIM;
}

static const struct test tests[] = {
    {"equal_vectors_share_a_node_and_are_found", equal_vectors_share_a_node_and_are_found},
    {"moved_vectors_are_found", moved_vectors_are_found},
    {"a_hundred_thousand_documents_share_one_vector",
     a_hundred_thousand_documents_share_one_vector},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
