/* Readers, a writer, the index thread and checkpoints at once; for ThreadSanitizer as well. */
#include <unistd.h>

#include "graph_help.h"
#include "os/thread.h"

enum { READERS = 3, DOCS = 900, ALWAYS = 200, ROUNDS = 120, K = 12 };

static struct world w;
static atomic_u32 stop;

struct reader {
    struct thread thread;
    uint32_t number;
    uint64_t searches, walks;
};

/* Documents below ALWAYS are replaced but never deleted: there are always K. Each hit is visible,
 * there once, and as far away as it says. */
static void reader_look(struct vector_workspace *workspace, const float *query, uint32_t ef,
                        struct vector_stats *stats)
{
    struct flat_hit hits[K];
    struct snapshot snapshot;
    omendb_error error = {0};
    uint32_t found = 0;
    CHECK(store_enter(w.store, &snapshot, &error) == OMENDB_OK);
    const struct vector_query what = {.flat = {.collection = w.collection,
                                               .k = K,
                                               .vector = query,
                                               .sequence = snapshot.sequence},
                                      .ef = ef};
    if (vector_search(&what, workspace, hits, &found, stats, &error) != OMENDB_OK)
        fprintf(stderr, "%s\n", error.message);
    CHECK(error.status == OMENDB_OK && found == K);
    const float norm = distance_norm(w.kernels, OMENDB_F32, w.dim, query);
    for (uint32_t i = 0; i < K; i++) {
        bool visible = false;
        uint32_t node = SLOT_NONE;
        const void *vector = NULL;
        CHECK(collection_visible(w.collection, hits[i].slot, snapshot.sequence, &visible, NULL) ==
                  OMENDB_OK &&
              visible);
        CHECK(collection_slot_node(w.collection, 0, hits[i].slot, &node, NULL) == OMENDB_OK);
        CHECK(collection_vector(w.collection, 0, node, &vector, NULL) == OMENDB_OK);
        const float other = distance_norm(w.kernels, OMENDB_F32, w.dim, vector);
        const float distance = distance_exact(w.kernels, w.metric, OMENDB_F32, w.dim, query, norm,
                                              vector, other);
        CHECK(memcmp(&distance, &hits[i].distance, sizeof distance) == 0);
        CHECK(i == 0 || hits[i - 1].distance <= hits[i].distance);
        for (uint32_t j = 0; j < i; j++) CHECK(hits[j].slot != hits[i].slot);
    }
    store_leave(&snapshot);
}

static void reader_main(void *context)
{
    struct reader *reader = context;
    struct vector_workspace workspace = {0};
    struct vector_stats stats = {0};
    uint64_t random = 99 + reader->number;
    float query[WORLD_DIM_MAX];
    while (atomic_load_acquire_u32(&stop) == 0) {
        static const uint32_t efs[] = {0, 16, 48, 150};
        world_vector_make(&w, 1000000 + random_below(&random, 100000), query);
        reader_look(&workspace, query, efs[random_below(&random, 4)], &stats);
        reader->searches++;
    }
    reader->walks = stats.walks;
    vector_workspace_deinit(&workspace);
}

static void checkpoints_main(void *context)
{
    (void)context;
    while (atomic_load_acquire_u32(&stop) == 0) {
        omendb_error error = {0};
        CHECK(store_checkpoint(w.store, &error) == OMENDB_OK);
        for (uint32_t i = 0; i < 1000; i++) thread_yield();
    }
}

static void write_for_a_while(void)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < 25; i++) {
            const uint32_t id = random_below(&w.random, DOCS);
            if (id >= ALWAYS && random_below(&w.random, 2) == 0) world_delete(&w, id);
            else world_put(&w, id, random_below(&w.random, 3000));
        }
        world_commit(&w);
        if (round == ROUNDS / 2) {
            OK(vector_index_choose_profile(w.store, w.collection, 0, GRAPH_PROFILE_COMPACT, &err));
            OK(vector_index_choose_profile(w.store, w.collection, 0, GRAPH_PROFILE_FAST, &err));
        }
    }
}

static void readers_see_true_answers_while_the_graph_changes(void)
{
    struct reader readers[READERS] = {{.number = 0}};
    struct thread checkpoints = {.running = false};
    char path[256];
    make_name(path, "vector-threads");
    world_init(&w, vfs_real(), path, OMENDB_L2, 36, 64);
    w.options.durability = OMENDB_DURABILITY_NONE;
    world_open(&w);
    world_fill(&w, 0, DOCS, 100);
    world_work(&w); /* However slow the machine, there is a graph to begin with. */
    atomic_store_release_u32(&stop, 0);
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i].number = i;
        OK(thread_start(&readers[i].thread, "reader", reader_main, &readers[i], &err));
    }
    OK(thread_start(&checkpoints, "checkpoints", checkpoints_main, NULL, &err));
    write_for_a_while();
    atomic_store_release_u32(&stop, 1);
    thread_join(&checkpoints);
    uint64_t walks = 0;
    for (uint32_t i = 0; i < READERS; i++) {
        thread_join(&readers[i].thread);
        CHECK(readers[i].searches > 0);
        walks += readers[i].walks;
    }
    CHECK(walks > 0);
    world_work(&w);
    world_look(&w);
    world_verify(&w);
    /* What was built beside all that opens again. */
    world_close(&w);
    world_open(&w);
    world_look(&w);
    world_verify(&w);
    world_end(&w);
    unlink(path);
}

static const struct test tests[] = {
    {"readers_see_true_answers_while_the_graph_changes",
     readers_see_true_answers_while_the_graph_changes},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
