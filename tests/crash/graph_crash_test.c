/* A graph on a disk that crashes: during building, growth, deletion, checkpoints and opening. After
 * each crash everything acknowledged is found, by scans and by the graph, and the graph goes on. */
#include "graph_help.h"
#include "index/vector/graph_work_inner.h"
#include "sim/vfs_sim.h"
#include "store/store_inner.h"

enum { LIVES = 5, STEPS_MAX = 120, DOCS = 400, VECTORS = 500 };

static struct world w;

struct outcome {
    uint32_t crashes, lives, pending_there, pending_lost, linked_after;
};

/* Which of the two states that may have survived is it? */
static void recognise(struct outcome *outcome)
{
    struct snapshot snapshot;
    OK(store_enter(w.store, &snapshot, &err));
    CHECK(snapshot.sequence >= w.sequence);
    const bool there = snapshot.sequence > w.sequence &&
                       memcmp(w.docs, w.staged, sizeof w.docs) != 0;
    if (there) memcpy(w.docs, w.staged, sizeof w.docs);
    else memcpy(w.staged, w.docs, sizeof w.docs);
    w.sequence = snapshot.sequence;
    store_leave(&snapshot);
    outcome->pending_there += there;
    outcome->pending_lost += !there;
}

/* One more step; false: the machine has crashed. */
static bool step(struct sim *sim)
{
    omendb_error error = {0};
    omendb_status status = OMENDB_OK;
    bool more = false;
    switch (random_below(&w.random, 10)) {
    case 0:
        status = store_checkpoint(w.store, &error);
        break;
    case 1:
        status = store_index_work(w.store, &more, &error);
        break;
    case 2: /* A load. */
        for (uint32_t i = 0; i < 60; i++)
            world_put(&w, random_below(&w.random, DOCS), random_below(&w.random, VECTORS));
        status = world_try_commit(&w, &error);
        break;
    case 3: { /* A wave of deletions: the sweep has to come. */
        const uint32_t begin = random_below(&w.random, DOCS);
        for (uint32_t id = begin; id < begin + 60 && id < DOCS; id++) world_delete(&w, id);
        status = world_try_commit(&w, &error);
        break;
    }
    default:
        for (uint32_t i = 1 + random_below(&w.random, 8); i > 0; i--)
            world_change(&w, DOCS, VECTORS);
        status = world_try_commit(&w, &error);
        break;
    }
    if (status != OMENDB_OK && !sim_crashed(sim)) fprintf(stderr, "%s\n", error.message);
    CHECK(status == OMENDB_OK || sim_crashed(sim));
    return !sim_crashed(sim);
}

static void lead_lives(uint64_t seed, omendb_metric metric, struct outcome *outcome)
{
    struct sim *sim = sim_create(seed);
    world_init(&w, sim_vfs(sim), "/disk/graph.omen", metric, 8, 16);
    w.options.wal_size_max = 128 << 10;
    w.options.wal_segment_size = WAL_SEGMENT_MIN;
    w.random = seed;
    for (uint32_t life = 0; life < LIVES;) {
        omendb_error error = {0};
        /* The first crash of a life may come while it opens. */
        sim_crash_at(sim, 1 + random_below(&w.random, random_below(&w.random, 4) == 0 ? 30 : 900));
        bool alive = world_try_open(&w, &error) == OMENDB_OK;
        if (!alive && !sim_crashed(sim)) fprintf(stderr, "open: %s\n", error.message);
        CHECK(alive || sim_crashed(sim));
        if (alive && !sim_crashed(sim)) {
            recognise(outcome);
            for (uint32_t i = 0; i < 3; i++) world_look(&w);
            world_verify(&w);
            outcome->linked_after += world_linked(&w);
            for (uint32_t i = 0; i < STEPS_MAX && alive; i++) alive = step(sim);
            if (alive) world_look(&w);
            if (alive) world_verify(&w);
            life++;
        }
        const bool closed = world_try_close(&w, &error) == OMENDB_OK && !sim_crashed(sim);
        CHECK(closed || sim_crashed(sim));
        outcome->crashes += !closed;
        outcome->lives++;
        sim_reboot(sim, (enum sim_mode)random_below(&w.random, SIM_CRASH_MODES + 1),
                   random_next(&w.random));
    }
    batch_deinit(&w.batch);
    vector_workspace_deinit(&w.workspace);
    for (uint32_t i = 0; i < WORLD_VECTORS_MAX; i++) free(w.vectors[i]);
    sim_destroy(sim);
}

static void a_graph_survives_crashes_at_any_moment(void)
{
    static const omendb_metric metrics[] = {OMENDB_L2, OMENDB_COSINE, OMENDB_IP};
    struct outcome outcome = {0};
    for (uint64_t seed = 1; seed <= 16; seed++) {
        lead_lives(seed, metrics[seed % 3], &outcome);
        if (getenv("VERBOSE") != NULL) printf("seed %u\n", (unsigned)seed);
    }
    /* The test tests something. */
    CHECK(outcome.crashes > 25 && outcome.linked_after > 800);
    CHECK(outcome.pending_there > 0 && outcome.pending_lost > 5);
}

/* Who dies while a sweep is under way has a row that leads to those who leave at its end. */
static void numbers_come_back_when_no_row_leads_to_them(void)
{
    enum { ALL = 5600, LATE = 5000, FIRST_PIECE = 4096 };
    struct sim *sim = sim_create(1);
    bool more = true;
    world_init(&w, sim_vfs(sim), "/disk/sweep.omen", OMENDB_L2, 4, 64);
    world_open(&w);
    for (uint32_t id = 0; id < ALL; id++) world_put(&w, id, id);
    world_commit(&w);
    world_work(&w);
    CHECK(world_linked(&w) == ALL);
    for (uint32_t id = 0; id < LATE; id += 6) world_delete(&w, id);
    world_commit(&w);
    for (uint32_t id = LATE; id < ALL; id += 2) world_delete(&w, id);
    OK(store_checkpoint(w.store, &err)); /* Frees the first ones. */
    world_commit(&w);
    const struct graph_work *work = graph_index_of(w.collection, 0)->work;
    while (more && !(work->sweeping && work->sweep_at == FIRST_PIECE))
        OK(store_index_work(w.store, &more, &err));
    CHECK(more);
    OK(store_checkpoint(w.store, &err)); /* Frees the late ones. */
    CHECK(work->sweeping && work->sweep_at == FIRST_PIECE);
    while (work->sweeping) OK(store_index_work(w.store, &more, &err));
    world_verify(&w);
    world_work(&w);
    world_verify(&w);
    world_look(&w);
    world_end(&w);
    sim_destroy(sim);
}

/* Where there are no threads, who waits does the work. */
static void waiting_works_without_threads(void)
{
    enum { ALL = 300, WAITS_MAX = 1000 };
    struct sim *sim = sim_create(2);
    world_init(&w, sim_vfs(sim), "/disk/wait.omen", OMENDB_L2, 4, 64);
    world_open(&w);
    for (uint32_t id = 0; id < ALL; id++) world_put(&w, id, id);
    world_commit(&w);
    CHECK(!store_index_help(w.store, w.collection));
    for (uint32_t waits = 0; waits < WAITS_MAX; waits++) {
        omendb_error cause = {0};
        const uint32_t seen = store_index_seen(w.store);
        if (store_index_state(w.store, w.collection, &cause) == STORE_INDEX_IDLE) break;
        store_index_wait(w.store, seen, 1);
    }
    CHECK(world_linked(&w) == ALL);
    world_look(&w);
    world_end(&w);
    sim_destroy(sim);
}

/* ---- The second look at all nodes ------------------------------------------------- */

enum { PASS_DOCS = 2900, PASS_PIECE = 1024 };

/* A store whose pass over its nodes has begun and isn't at its end. */
static struct graph_index *pass_begin(struct sim *sim, omendb_metric metric, uint32_t dim)
{
    bool more = true;
    world_init(&w, sim_vfs(sim), "/disk/pass.omen", metric, dim, 64);
    world_open(&w);
    world_fill(&w, 0, PASS_DOCS, 500);
    OK(store_index_work(w.store, &more, &err));
    struct graph_index *graph = graph_index_of(w.collection, 0);
    while (more && graph->state.refining <= PASS_PIECE) OK(store_index_work(w.store, &more, &err));
    CHECK(more && graph->state.refining < graph->state.refine_end);
    CHECK(graph->state.refined == 0);
    return graph;
}

/* Works until a pass ends; returns the least node that it went on at, and how many pieces it had. */
static uint32_t pass_follow(struct graph_index *graph, uint32_t *pieces)
{
    const uint32_t before = graph->state.refined;
    uint32_t least = UINT32_MAX;
    bool more = true;
    *pieces = 0;
    while (more && graph->state.refined == before) {
        const uint32_t refining = graph->state.refining;
        if (refining != 0 && refining < least) least = refining;
        OK(store_index_work(w.store, &more, &err));
        *pieces += refining != graph->state.refining && graph->work->batch_count != 0;
    }
    CHECK(more && graph->state.refining == 0);
    return least;
}

static void pass_check(void)
{
    const struct graph_index *graph = graph_index_of(w.collection, 0);
    world_work(&w);
    CHECK(graph->state.refining == 0 && graph->state.refined != 0);
    CHECK(graph->state.finished != 0 && world_linked(&w) > PASS_DOCS / 2);
    CHECK(graph->state.linked - graph->state.linked / 3 <= graph->state.refined);
    world_verify(&w);
    for (uint32_t i = 0; i < 20; i++) world_look(&w);
    CHECK(w.hits * 10 >= w.wanted * 9);
}

/* With few dimensions, and with so many that rows have edges. */
static const struct {
    omendb_metric metric;
    uint32_t dim;
} PASS_KINDS[] = {{OMENDB_L2, 8}, {OMENDB_COSINE, 40}, {OMENDB_IP, 12}};

static void a_pass_goes_on_after_a_crash_where_it_was(void)
{
    for (size_t kind = 0; kind < COUNT_OF(PASS_KINDS); kind++) {
        struct sim *sim = sim_create(kind + 1);
        const struct graph_index *first = pass_begin(sim, PASS_KINDS[kind].metric,
                                                     PASS_KINDS[kind].dim);
        const uint32_t refining = first->state.refining, end = first->state.refine_end;
        omendb_error error = {0};
        bool more = true;
        OK(store_checkpoint(w.store, &err));
        /* What comes later is lost, or isn't. */
        OK(store_index_work(w.store, &more, &err));
        CHECK(first->state.refining > refining);
        sim_crash_at(sim, sim_calls(sim) + 1 + kind * 5);
        CHECK(store_checkpoint(w.store, &error) == OMENDB_OK || sim_crashed(sim));
        (void)world_try_close(&w, &error);
        sim_reboot(sim, SIM_NONE, kind);
        world_open(&w);
        struct graph_index *graph = graph_index_of(w.collection, 0);
        CHECK(graph->state.refining >= refining && graph->state.refine_end == end);
        for (uint32_t i = 0; i < 3; i++) world_look(&w);
        world_verify(&w);
        uint32_t pieces = 0;
        const uint32_t from = graph->state.refining;
        CHECK(pass_follow(graph, &pieces) == from);
        CHECK(pieces >= 1 && pieces <= (end - from) / PASS_PIECE + 1);
        pass_check();
        world_end(&w);
        sim_destroy(sim);
    }
}

static void a_load_ends_a_pass_and_another_follows(void)
{
    for (size_t kind = 0; kind < COUNT_OF(PASS_KINDS); kind++) {
        struct sim *sim = sim_create(kind + 11);
        struct graph_index *graph = pass_begin(sim, PASS_KINDS[kind].metric, PASS_KINDS[kind].dim);
        const uint32_t linked = graph->state.linked;
        bool more = true;
        world_fill(&w, PASS_DOCS, 2 * PASS_DOCS, 700);
        OK(store_index_work(w.store, &more, &err));
        CHECK(graph->state.refining == 0 && graph->state.refined == 0);
        while (graph->state.refining == 0) OK(store_index_work(w.store, &more, &err));
        CHECK(graph->state.linked > linked + PASS_DOCS / 2);
        CHECK(graph->state.refining == 1 || graph->state.refining > PASS_PIECE);
        CHECK(graph->state.refine_end > PASS_DOCS);
        uint32_t pieces = 0;
        (void)pass_follow(graph, &pieces);
        CHECK(pieces + 1 >= graph->state.refine_end / PASS_PIECE);
        pass_check();
        world_end(&w);
        sim_destroy(sim);
    }
}

/* Who dies during a pass isn't linked to any more, and their numbers come back. */
static void deletions_during_a_pass_are_noticed(void)
{
    for (size_t kind = 0; kind < COUNT_OF(PASS_KINDS); kind++) {
        struct sim *sim = sim_create(kind + 21);
        (void)pass_begin(sim, PASS_KINDS[kind].metric, PASS_KINDS[kind].dim);
        bool more = true;
        for (uint32_t round = 0; round < 8; round++) {
            for (uint32_t id = round; id < PASS_DOCS; id += 29) world_delete(&w, id);
            world_commit(&w);
            OK(store_checkpoint(w.store, &err));
            for (uint32_t i = 0; i <= round % 3 && more; i++)
                OK(store_index_work(w.store, &more, &err));
            world_verify(&w);
            world_look(&w);
        }
        pass_check();
        world_end(&w);
        sim_destroy(sim);
    }
}

/* Right checksums, and places that there aren't. */
static void a_wrong_place_of_a_pass_is_corrupt(void)
{
    for (uint32_t what = 0; what < 4; what++) {
        struct sim *sim = sim_create(31);
        struct graph_index *graph = pass_begin(sim, OMENDB_L2, 4);
        const uint32_t nodes = atomic_load_acquire_u32(&w.collection->vectors[0].node_count);
        struct graph_state *state = &graph->state;
        const struct graph_state before = *state;
        omendb_error error = {0};
        if (what == 0) state->refining = state->refine_end + 1;
        if (what == 1) state->refine_end = nodes + 1;
        if (what == 2) state->refining = state->refine_end = UINT32_MAX;
        if (what == 3) state->refining = state->refine_end = nodes; /* Right. */
        OK(graph_index_prepare_state(graph, &err));
        graph_index_store(graph);
        *state = before;
        OK(store_checkpoint(w.store, &err));
        sim_crash_at(sim, 1); /* A clean close would do a piece of work and write again. */
        (void)world_try_close(&w, &error);
        sim_reboot(sim, SIM_NONE, what);
        const omendb_status status = world_try_open(&w, &error);
        if (what == 3) {
            CHECK(status == OMENDB_OK);
            pass_check();
            world_close(&w);
        } else {
            CHECK(status == OMENDB_ERR_CORRUPT && error.status == status);
            CHECK(strstr(error.message, "graph: field 0: its state is wrong") != NULL);
        }
        batch_deinit(&w.batch);
        vector_workspace_deinit(&w.workspace);
        for (uint32_t i = 0; i < WORLD_VECTORS_MAX; i++) free(w.vectors[i]);
        sim_destroy(sim);
    }
}

/* ---- Many entries ----------------------------------------------------------------- */

static uint32_t entries_count(void)
{
    struct graph_index *graph = graph_index_of(w.collection, 0);
    const struct graph_entries *entries = atomic_load_acquire_pointer(&graph->graph.entries);
    return entries != NULL ? entries->count : 0;
}

/* Closes or crashes, and opens again: the entries must come back as they were. */
static void entries_come_back(struct sim *sim, bool crash, uint64_t seed)
{
    static struct graph_entries before;
    omendb_error error = {0};
    const struct graph_index *graph = graph_index_of(w.collection, 0);
    before = *(const struct graph_entries *)atomic_load_acquire_pointer(&graph->graph.entries);
    if (crash) sim_crash_at(sim, 1);
    CHECK((world_try_close(&w, &error) == OMENDB_OK) == !crash);
    if (crash) sim_reboot(sim, SIM_NONE, seed);
    world_open(&w);
    world_verify(&w);
    world_look(&w);
    const struct graph_entries *after = atomic_load_acquire_pointer(
        &graph_index_of(w.collection, 0)->graph.entries);
    CHECK(after != NULL && after->count == before.count);
    CHECK(memcmp(after->nodes, before.nodes, before.count * sizeof *before.nodes) == 0);
}

/* The state holds 512 of them, the elements behind it the rest; as nodes die it needs those no
 * longer. */
static void entries_beyond_the_state_come_back(void)
{
    enum { ALL = 4000, SHARE = 2 };
    struct sim *sim = sim_create(41);
    world_init(&w, sim_vfs(sim), "/disk/entries.omen", OMENDB_L2, 40, 64);
    w.graph_options.entry_share = SHARE;
    world_open(&w);
    for (uint32_t id = 0; id < ALL; id++) world_put(&w, id, id);
    world_commit(&w);
    world_work(&w);
    /* Nodes that came after the last choice don't count. */
    CHECK(world_linked(&w) == ALL);
    CHECK(entries_count() > ALL / SHARE * 3 / 4 && entries_count() <= ALL / SHARE);
    CHECK(graph_index_of(w.collection, 0)->state.version == 2);
    OK(store_checkpoint(w.store, &err));
    entries_come_back(sim, true, 1);
    entries_come_back(sim, false, 2);
    for (uint32_t id = 0; id < ALL; id++)
        if (id % 5 != 0) world_delete(&w, id);
    world_commit(&w);
    OK(store_checkpoint(w.store, &err));
    world_work(&w);
    CHECK(entries_count() > 0 && entries_count() <= ALL / 4 / SHARE);
    CHECK(graph_index_of(w.collection, 0)->state.version == 1);
    OK(store_checkpoint(w.store, &err));
    entries_come_back(sim, true, 3);
    world_end(&w);
    sim_destroy(sim);
}

static const struct test tests[] = {
    {"entries_beyond_the_state_come_back", entries_beyond_the_state_come_back},
    {"a_graph_survives_crashes_at_any_moment", a_graph_survives_crashes_at_any_moment},
    {"numbers_come_back_when_no_row_leads_to_them", numbers_come_back_when_no_row_leads_to_them},
    {"waiting_works_without_threads", waiting_works_without_threads},
    {"a_pass_goes_on_after_a_crash_where_it_was", a_pass_goes_on_after_a_crash_where_it_was},
    {"a_load_ends_a_pass_and_another_follows", a_load_ends_a_pass_and_another_follows},
    {"deletions_during_a_pass_are_noticed", deletions_during_a_pass_are_noticed},
    {"a_wrong_place_of_a_pass_is_corrupt", a_wrong_place_of_a_pass_is_corrupt},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
