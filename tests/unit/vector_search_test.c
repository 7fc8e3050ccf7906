/* Searches by a graph, whatever it is doing: against a model of all documents. */
#include <unistd.h>

#include "graph_help.h"
#include "index/vector/vector_stats.h"
#include "store/host.h"

static struct world w;
static uint64_t hits_all, wanted_all; /* Of searches by the default recall, in all scripts. */

static void churn(uint32_t steps, uint32_t docs, uint32_t vectors)
{
    for (uint32_t i = 0; i < steps; i++) {
        const uint32_t changes = 1 + random_below(&w.random, 12);
        for (uint32_t j = 0; j < changes; j++) world_change(&w, docs, vectors);
        world_commit(&w);
        if (random_below(&w.random, 3) == 0) world_work(&w);
        if (random_below(&w.random, 4) == 0) OK(store_checkpoint(w.store, &err));
        world_look(&w);
    }
}

static void script(omendb_metric metric, uint32_t dim, const char *path)
{
    world_init(&w, vfs_real(), path, metric, dim, 16);
    world_open(&w);
    world_fill(&w, 0, 15, 5);
    world_look(&w);
    CHECK(graph_index_of(w.collection, 0) == NULL);
    world_fill(&w, 15, 700, 30);
    churn(10, 700, 500);
    world_work(&w);
    CHECK(world_linked(&w) > 16);
    churn(60, 700, 900);
    world_fill(&w, 700, 1500, 100);
    churn(20, 1500, 900);
    if (path != NULL) {
        for (uint32_t i = 0; i < 4; i++) {
            world_close(&w);
            world_open(&w);
            world_look(&w);
            churn(8, 1500, 1500);
        }
    }
    world_work(&w);
    for (uint32_t i = 0; i < 150; i++) world_look(&w);
    hits_all += w.hits;
    wanted_all += w.wanted;
    /* One script alone may have been measured a little wrong. */
    CHECK((double)w.hits >= 0.93 * (double)w.wanted);
    world_end(&w);
}

static void answers_are_visible_true_and_near_enough(void)
{
    script(OMENDB_L2, 24, NULL);
    script(OMENDB_COSINE, 32, NULL);
    script(OMENDB_IP, 16, NULL);
    script(OMENDB_L2, 4, NULL);
    CHECK((double)hits_all >= 0.95 * (double)wanted_all);
}

static void answers_on_a_file_survive_closing(void)
{
    char path[256];
    make_name(path, "vector-search");
    script(OMENDB_L2, 20, path);
    unlink(path);
    script(OMENDB_COSINE, 48, path);
    unlink(path);
}

/* Everything that was put is deleted, and put again: numbers and rows come back. */
static void an_emptied_graph_begins_again(void)
{
    char path[256];
    make_name(path, "vector-emptied");
    world_init(&w, vfs_real(), path, OMENDB_L2, 16, 16);
    world_open(&w);
    for (uint32_t round = 0; round < 3; round++) {
        world_fill(&w, 0, 400, 400);
        world_work(&w);
        CHECK(world_linked(&w) > 300);
        world_verify(&w);
        for (uint32_t id = 0; id < 400; id++) world_delete(&w, id);
        world_commit(&w);
        world_look(&w);
        OK(store_checkpoint(w.store, &err)); /* Unlinks what nobody sees. */
        world_work(&w);
        CHECK(world_linked(&w) == 0);
        CHECK(atomic_load_acquire_u32(&w.collection->vectors[0].held_free) == 0);
        world_verify(&w);
        world_look(&w);
        for (uint32_t i = 0; i < 3; i++) OK(store_checkpoint(w.store, &err));
    }
    world_end(&w);
    unlink(path);
}

/* ---- The same graph, whoever builds it -------------------------------------------------- */

struct picture {
    uint32_t nodes;
    uint32_t *links;
    uint8_t *edges;
    size_t edges_size;
    struct graph_state state;
};

static struct picture picture_take(void)
{
    const struct graph_index *graph = graph_index_of(w.collection, 0);
    struct picture picture = {
        .nodes = atomic_load_acquire_u32(&w.collection->vectors[0].node_count),
        .state = graph->state};
    picture.links = malloc((size_t)picture.nodes * GRAPH_LINKS_SIZE);
    picture.edges_size = (size_t)picture.nodes * graph->graph.edge_size;
    picture.edges = calloc(1, picture.edges_size);
    CHECK(atomic_load_acquire_u32(&graph->graph.edges_ready) == 1);
    for (uint32_t node = 0; node < picture.nodes; node++) {
        memcpy(picture.links + (size_t)node * GRAPH_SLOTS, graph_links(&graph->graph, node),
               GRAPH_LINKS_SIZE);
        if (!graph_range_bit(&graph->held, node)) continue;
        memcpy(picture.edges + (size_t)node * graph->graph.edge_size,
               graph_edges(&graph->graph, node), graph->graph.edge_size);
    }
    return picture;
}

static void picture_free(struct picture *picture)
{
    free(picture->links);
    free(picture->edges);
}

static void picture_same(const struct picture *a, const struct picture *b)
{
    CHECK(a->nodes == b->nodes);
    CHECK(memcmp(a->links, b->links, (size_t)a->nodes * GRAPH_LINKS_SIZE) == 0);
    CHECK(memcmp(&a->state, &b->state, sizeof a->state) == 0);
    CHECK(memcmp(a->edges, b->edges, a->edges_size) == 0);
}

static struct picture build(omendb_metric metric, uint32_t threads)
{
    world_init(&w, vfs_real(), NULL, metric, 40, 16);
    w.options.index_threads = threads;
    world_open(&w);
    world_fill(&w, 0, 2000, 2000); /* One batch: the work sees all of it or nothing. */
    world_work(&w);
    /* Entry codes and dates aside, all follows from the links. */
    const struct picture picture = picture_take();
    world_verify(&w);
    world_end(&w);
    return picture;
}

static void graphs_are_the_same_for_any_number_of_threads(void)
{
    static const omendb_metric metrics[] = {OMENDB_L2, OMENDB_COSINE, OMENDB_IP};
    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        struct picture one = build(metrics[i], 1), two = build(metrics[i], 2),
                       five = build(metrics[i], 5);
        picture_same(&one, &two);
        picture_same(&one, &five);
        picture_free(&one);
        picture_free(&two);
        picture_free(&five);
    }
}

static void a_reopened_graph_is_the_same(void)
{
    char path[256];
    make_name(path, "vector-reopen");
    world_init(&w, vfs_real(), path, OMENDB_IP, 40, 16);
    world_open(&w);
    world_fill(&w, 0, 1200, 1200);
    world_work(&w);
    struct picture before = picture_take();
    world_close(&w);
    world_open(&w);
    for (uint32_t i = 0; i < 10; i++) world_look(&w);
    world_work(&w);
    struct picture after = picture_take();
    picture_same(&before, &after);
    picture_free(&before);
    picture_free(&after);
    world_verify(&w);
    world_end(&w);
    unlink(path);
}

/* ---- Trouble ------------------------------------------------------------------------------ */

static void failed_allocations_leave_a_graph_that_goes_on(void)
{
    uint32_t failures = 0;
    world_init(&w, vfs_real(), NULL, OMENDB_IP, 36, 16);
    w.options.index_threads = 1;
    for (long n = 0; n < 400; n += 1 + n / 8) {
        world_open(&w);
        memset(w.docs, 0, sizeof w.docs);
        memset(w.staged, 0, sizeof w.staged);
        world_fill(&w, 0, 60, 60);
        (void)alloc_fail_after(n, 1);
        for (bool more = true; more;) {
            omendb_error error = {0};
            const omendb_status status = store_index_work(w.store, &more, &error);
            CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
            failures += status != OMENDB_OK;
            if (status != OMENDB_OK) more = true;
        }
        (void)alloc_fail_after(-1, 0);
        world_look(&w);
        for (uint32_t id = 0; id < 60; id += 2) world_delete(&w, id);
        world_fill(&w, 60, 120, 60);
        OK(store_checkpoint(w.store, &err));
        world_work(&w);
        world_verify(&w);
        for (uint32_t i = 0; i < 3; i++) world_look(&w);
        world_close(&w);
    }
    CHECK(failures > 10);
    world_end(&w);
}

static void searches_that_find_no_memory_say_so(void)
{
    float query[WORLD_DIM_MAX];
    static struct flat_hit hits[10];
    uint32_t found = 0, failures = 0;
    struct snapshot snapshot;
    world_init(&w, vfs_real(), NULL, OMENDB_L2, 16, 16);
    world_open(&w);
    world_fill(&w, 0, 300, 300);
    world_work(&w);
    world_query(&w, query);
    OK(store_enter(w.store, &snapshot, &err));
    for (long n = 0;; n++) {
        struct vector_workspace workspace = {0};
        const struct vector_query what = {.flat = {.collection = w.collection,
                                                   .k = 10,
                                                   .vector = query,
                                                   .sequence = snapshot.sequence},
                                          .ef = 64};
        (void)alloc_fail_after(n, 1);
        const omendb_status status = vector_search(&what, &workspace, hits, &found, NULL, &err);
        const bool failed = alloc_fail_after(-1, 0) < 0;
        CHECK(status == (failed ? OMENDB_ERR_NOMEM : OMENDB_OK));
        vector_workspace_deinit(&workspace);
        if (!failed) break;
        failures++;
    }
    CHECK(failures > 5);
    store_leave(&snapshot);
    world_end(&w);
}

/* In the steady state nothing is allocated. */
static void searches_reuse_their_workspace(void)
{
    float query[WORLD_DIM_MAX];
    struct vector_stats stats = {0};
    world_init(&w, vfs_real(), NULL, OMENDB_COSINE, 32, 16);
    world_open(&w);
    world_fill(&w, 0, 500, 500);
    world_work(&w);
    const struct vector_query what = {.flat.k = 10, .ef = 64};
    world_query(&w, query);
    (void)world_ask(&w, query, what, &stats);
    (void)alloc_fail_after(0, 0);
    for (uint32_t i = 0; i < 20; i++) (void)world_ask(&w, query, what, &stats);
    (void)alloc_fail_after(-1, 0);
    CHECK(stats.walks >= 21 && stats.scans == 0);
    world_end(&w);
}

/* ---- Tail, profiles, calibration ------------------------------------------------------- */

static void vectors_without_code_stay_in_the_tail(void)
{
    static const uint8_t empty[3] = {0x20, 3, 0};
    world_init(&w, vfs_real(), NULL, OMENDB_L2, 8, 16);
    world_open(&w);
    world_fill(&w, 0, 100, 100);
    float huge[8];
    for (uint32_t i = 0; i < 8; i++) huge[i] = 1e17f;
    for (uint32_t id = 5000; id < 5003; id++) {
        void *bytes = NULL;
        OK(batch_add(&w.batch, OPERATION_UPSERT, w.collection->id, NULL, 0, id, empty, sizeof empty,
                     &err));
        OK(batch_add_vector(&w.batch, 0, sizeof huge, &bytes, &err));
        huge[0] *= 2;
        memcpy(bytes, huge, sizeof huge);
    }
    OK(store_commit(w.store, &w.batch, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    batch_clear(&w.batch);
    world_fill(&w, 100, 300, 50);
    world_work(&w);
    world_verify(&w);
    const uint32_t live = atomic_load_acquire_u32(&w.collection->vectors[0].nodes_live);
    CHECK(world_linked(&w) == live - 3);
    struct snapshot snapshot;
    struct vector_stats stats = {0};
    struct flat_hit hits[1];
    uint32_t found = 0;
    OK(store_enter(w.store, &snapshot, &err));
    const struct vector_query what = {
        .flat = {.collection = w.collection, .k = 1, .vector = huge, .sequence = snapshot.sequence},
        .ef = 64};
    OK(vector_search(&what, &w.workspace, hits, &found, &stats, &err));
    CHECK(found == 1 && hits[0].equal);
    store_leave(&snapshot);
    world_end(&w);
}

/* The nodes of documents [begin, end). */
static void nodes_of(uint32_t begin, uint32_t end, uint32_t *nodes)
{
    for (uint32_t id = begin; id < end; id++) {
        const float *vector = world_vector_view(&w, w.docs[id] - 1);
        OK(collection_find_vector(w.collection, 0, vector, &nodes[id - begin], &err));
        CHECK(nodes[id - begin] != SLOT_NONE);
    }
}

/* As an end in the middle of a batch leaves them: HELD, not LINKED. */
static void nodes_that_die_before_they_are_linked_leave_none_waiting(void)
{
    enum { FEW = 5 };
    uint32_t nodes[FEW];
    uint64_t indexed = 0, total = 0;
    char path[256];
    make_name(path, "vector-held");
    world_init(&w, vfs_real(), path, OMENDB_L2, 16, 16);
    world_open(&w);
    world_fill(&w, 0, 300, 300);
    world_work(&w);
    OK(vector_index_choose_profile(w.store, w.collection, 0, GRAPH_PROFILE_EXACT, &err));
    for (uint32_t id = 300; id < 300 + FEW; id++) world_put(&w, id, 1000 + id);
    world_commit(&w);
    nodes_of(300, 300 + FEW, nodes);
    struct index_host host = {.store = w.store, .collection = w.collection};
    host_lock(&host);
    for (uint32_t i = 0; i < FEW; i++)
        OK(collection_node_mark(w.collection, 0, nodes[i], NODE_HELD, 0, &err));
    host_changed(&host);
    host_unlock(&host);
    world_close(&w);
    world_open(&w);
    for (uint32_t id = 300; id < 300 + FEW; id++) world_delete(&w, id);
    world_commit(&w);
    OK(store_checkpoint(w.store, &err));
    CHECK(atomic_load_acquire_u32(&w.collection->vectors[0].held_free) == FEW);
    OK(vector_index_choose_profile(w.store, w.collection, 0, GRAPH_PROFILE_FAST, &err));
    world_work(&w);
    vector_stats_progress(w.collection, 0, &indexed, &total);
    CHECK(indexed == total && total > 200);
    world_verify(&w);
    world_end(&w);
    unlink(path);
}

/* Who stays in the tail for ever comes first: what is behind is taken. */
static void the_tail_keeps_the_order_that_it_is_given(void)
{
    uint32_t nodes[2];
    world_init(&w, vfs_real(), NULL, OMENDB_L2, 16, 16);
    world_open(&w);
    world_fill(&w, 0, 100, 100);
    world_work(&w);
    OK(vector_index_choose_profile(w.store, w.collection, 0, GRAPH_PROFILE_EXACT, &err));
    world_put(&w, 100, 1001);
    world_put(&w, 101, 1002);
    world_commit(&w);
    nodes_of(100, 102, nodes);
    struct graph_index *graph = graph_index_of(w.collection, 0);
    const uint32_t turned[2] = {nodes[1], nodes[0]};
    struct index_host host = {.store = w.store, .collection = w.collection};
    host_lock(&host);
    OK(graph_tail_advance(graph, 2, turned, 2, &err));
    const struct graph_tail *tail = atomic_load_acquire_pointer(&graph->tail);
    const uint32_t begin = atomic_load_acquire_u32(&tail->begin);
    CHECK(atomic_load_acquire_u32(&tail->end) - begin == 2);
    CHECK(memcmp(tail->nodes + begin, turned, sizeof turned) == 0);
    host_unlock(&host);
    world_verify(&w);
    world_look(&w);
    world_end(&w);
}

static void profiles_are_switched_while_searches_go_on(void)
{
    static const enum graph_profile profiles[] = {GRAPH_PROFILE_COMPACT, GRAPH_PROFILE_FAST,
                                                  GRAPH_PROFILE_EXACT, GRAPH_PROFILE_FAST};
    float query[WORLD_DIM_MAX];
    char path[256];
    make_name(path, "vector-profile");
    world_init(&w, vfs_real(), path, OMENDB_L2, 40, 16);
    world_open(&w);
    world_fill(&w, 0, 800, 200);
    world_work(&w);
    for (size_t i = 0; i < COUNT_OF(profiles); i++) {
        struct vector_stats stats = {0};
        OK(vector_index_choose_profile(w.store, w.collection, 0, profiles[i], &err));
        world_fill(&w, 800 + (uint32_t)i * 50, 850 + (uint32_t)i * 50, 50);
        world_work(&w);
        world_close(&w);
        world_open(&w);
        world_work(&w);
        world_query(&w, query);
        (void)world_ask(&w, query, (struct vector_query){.flat.k = 5, .ef = 50}, &stats);
        CHECK((stats.walks == 0) == (profiles[i] == GRAPH_PROFILE_EXACT));
        if (stats.walks != 0) CHECK(stats.edges == (profiles[i] == GRAPH_PROFILE_FAST));
        world_look(&w);
        world_verify(&w);
    }
    world_end(&w);
    unlink(path);
}

static void count_problem(void *context, const char *text)
{
    (void)text;
    (*(uint32_t *)context)++;
}

static void a_wrong_graph_is_noticed(void)
{
    world_init(&w, vfs_real(), NULL, OMENDB_L2, 8, 16);
    world_open(&w);
    world_fill(&w, 0, 200, 200);
    world_work(&w);
    struct graph_index *graph = graph_index_of(w.collection, 0);
    uint32_t problems = 0;
    uint32_t *row = array_at_writable(graph->links, 3);
    uint32_t saved[GRAPH_SLOTS];
    memcpy(saved, row, sizeof saved);
    row[0] = graph_slot(3); /* Itself. */
    row[1] = row[2];        /* Twice. */
    row[4] = graph_slot(100000);
    OK(vector_index_verify(w.collection, 0, count_problem, &problems, &err));
    CHECK(problems >= 3);
    memcpy(row, saved, sizeof saved);
    problems = 0;
    graph->state.linked++;
    OK(vector_index_verify(w.collection, 0, count_problem, &problems, &err));
    CHECK(problems == 1);
    graph->state.linked--;
    world_verify(&w);
    world_end(&w);
}

static const struct test tests[] = {
    {"answers_are_visible_true_and_near_enough", answers_are_visible_true_and_near_enough},
    {"answers_on_a_file_survive_closing", answers_on_a_file_survive_closing},
    {"an_emptied_graph_begins_again", an_emptied_graph_begins_again},
    {"graphs_are_the_same_for_any_number_of_threads",
     graphs_are_the_same_for_any_number_of_threads},
    {"a_reopened_graph_is_the_same", a_reopened_graph_is_the_same},
    {"failed_allocations_leave_a_graph_that_goes_on",
     failed_allocations_leave_a_graph_that_goes_on},
    {"searches_that_find_no_memory_say_so", searches_that_find_no_memory_say_so},
    {"searches_reuse_their_workspace", searches_reuse_their_workspace},
    {"vectors_without_code_stay_in_the_tail", vectors_without_code_stay_in_the_tail},
    {"nodes_that_die_before_they_are_linked_leave_none_waiting",
     nodes_that_die_before_they_are_linked_leave_none_waiting},
    {"the_tail_keeps_the_order_that_it_is_given", the_tail_keeps_the_order_that_it_is_given},
    {"profiles_are_switched_while_searches_go_on", profiles_are_switched_while_searches_go_on},
    {"a_wrong_graph_is_noticed", a_wrong_graph_is_noticed},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
