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

static const struct test tests[] = {
    {"a_graph_survives_crashes_at_any_moment", a_graph_survives_crashes_at_any_moment},
    {"numbers_come_back_when_no_row_leads_to_them", numbers_come_back_when_no_row_leads_to_them},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
