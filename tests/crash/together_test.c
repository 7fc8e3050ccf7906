/* Writers, readers and the upkeep thread at once, on the simulated disk. First in one thread, the
 * others taking their turn before each block that a checkpoint writes, so that every run is the
 * same; then with real threads. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "crash/faults.h"
#include "crash/interpose.h"
#include "crash/scene.h"
#include "test.h"

static void play(struct scene *scene, struct scene_line what)
{
    omendb_error error = {0};
    scene_prepare(scene, &what);
    const omendb_status status = scene_play(scene, &what, &error);
    if (status != OMENDB_OK || scene->failure[0] != '\0')
        fprintf(stderr, "kind %d: %s %s\n", (int)what.kind, error.message, scene->failure);
    CHECK(status == OMENDB_OK && scene->failure[0] == '\0');
}

static void verified(struct scene *scene)
{
    if (!scene_verify(scene, true)) fprintf(stderr, "%s\n", scene->failure);
    CHECK(scene->failure[0] == '\0');
}

static void begin(struct scene *scene, bool threads)
{
    struct sim *sim = sim_create(1);
    interpose_begin(sim, threads);
    scene_init(scene, sim);
    scene->options.wal_size_max = 64 << 20; /* A commit within a checkpoint can't start another. */
    play(scene, (struct scene_line){SCENE_OPEN, 0, 0, 0, 0, 0});
    play(scene, (struct scene_line){SCENE_CREATE, 0, 2, 0, 0, 0});
    play(scene, (struct scene_line){SCENE_CREATE, 1, 1, 0, 0, 0});
    play(scene, (struct scene_line){SCENE_CREATE, 2, 0, 0, 0, 0});
    play(scene, (struct scene_line){SCENE_PUT, 0, 0, 150, 1, 400});
    play(scene, (struct scene_line){SCENE_PUT, 1, 0, 100, 1, 3000});
    play(scene, (struct scene_line){SCENE_PUT, 2, 0, 400, 1, 60});
}

static void end(struct scene *scene)
{
    struct sim *sim = scene->sim;
    scene_deinit(scene);
    interpose_end(sim);
    sim_destroy(sim);
}

/* ---- Taking turns ---- */

struct turns {
    struct scene *scene;
    uint32_t taken;
    long starve; /* Request that fails in each commit; below 0: none. */
    bool starved;
    bool faulty, fenced; /* A call may fail; it was that of a commit. */
};

/* Changes what the checkpoint is about to write, and looks at all there is. */
static void turn(void *context)
{
    struct turns *turns = context;
    if (turns->fenced) return;
    const uint32_t t = turns->taken++;
    const struct scene_line lines[] = {
        {SCENE_PUT, t % 3, t % 50, t % 50 + 5, 2, t % 4 == 0 ? 40000 : 200},
        {SCENE_DELETE, (t + 1) % 3, t % 70, t % 70 + 9, 3, 0},
        {SCENE_SAME, 0, 10 + t % 20, 40, 7, 90},
        {SCENE_PUT, 2, t % 300, t % 300 + 60, 1, 1500},
    };
    const struct scene_line line = lines[t % COUNT_OF(lines)];
    omendb_error error = {0};
    scene_prepare(turns->scene, &line);
    if (turns->starve >= 0) (void)alloc_fail_after(turns->starve, 1);
    const omendb_status status = scene_play(turns->scene, &line, &error);
    if (turns->starve >= 0 && alloc_fail_after(-1, 0) < 0) turns->starved = true;
    turns->fenced = atomic_load_acquire_u32(&turns->scene->store->fenced) != 0;
    CHECK(status == OMENDB_OK || (status == OMENDB_ERR_NOMEM && turns->starve >= 0) ||
          (status == OMENDB_ERR_FULL && turns->faulty));
    CHECK(!turns->fenced || turns->faulty);
    if (turns->fenced) return;
    turns->scene->pending = false;
    if (t % 3 == 0) CHECK(scene_compare(turns->scene, NULL) == OMENDB_OK);
    if (turns->scene->failure[0] != '\0') fprintf(stderr, "%s\n", turns->scene->failure);
    CHECK(turns->scene->failure[0] == '\0');
}

static void take_turns(long starve, enum sim_fault fault, uint64_t at, bool *starved)
{
    struct scene scene;
    struct turns turns = {.scene = &scene, .starve = starve, .faulty = fault == SIM_FAULT_FULL};
    omendb_error error = {0};
    begin(&scene, false);
    for (uint32_t round = 0; round < 6; round++) {
        interpose_before_write(turn, &turns);
        if (fault == SIM_FAULT_FULL && round % 2 == 1)
            sim_fail_at(scene.sim, sim_calls(scene.sim) + at + round, fault);
        const omendb_status status = store_checkpoint(scene.store, &error);
        interpose_before_write(NULL, NULL);
        CHECK(status == OMENDB_OK ||
              (turns.faulty && (status == OMENDB_ERR_FULL || status == OMENDB_ERR_MISUSE)));
        if (atomic_load_acquire_u32(&scene.store->fenced) != 0) break;
        verified(&scene);
        play(&scene, (struct scene_line){SCENE_PUT, 1, 0, 20, 3, 100});
    }
    CHECK(turns.taken > 20 || turns.fenced);
    const struct scene_line open = {.kind = SCENE_OPEN};
    scene_kill(&scene, SIM_NONE);
    CHECK(scene_play(&scene, &open, NULL) == OMENDB_OK); /* Decides about a pending commit. */
    verified(&scene);
    play(&scene, (struct scene_line){SCENE_CLOSE, 0, 0, 0, 0, 0});
    end(&scene);
    if (starved != NULL) *starved = turns.starved;
}

static void writers_go_on_while_a_checkpoint_writes(void)
{
    take_turns(-1, SIM_FAULT_IO, 0, NULL);
}

static void writers_without_memory_go_on_while_a_checkpoint_writes(void)
{
    bool starved = true;
    for (long n = 0; starved && n < 60; n += (long)test_step(3))
        take_turns(n, SIM_FAULT_IO, 0, &starved);
}

static void an_abandoned_checkpoint_leaves_what_writers_did(void)
{
    for (uint64_t at = 1; at < 100; at += test_step(5)) take_turns(-1, SIM_FAULT_FULL, at, NULL);
}

/* Documents for a chunk whose records have all gone: it is dropped, and still written. */
static void refill(void *context)
{
    struct turns *turns = context;
    if (turns->taken++ != 0) return;
    play(turns->scene, (struct scene_line){SCENE_PUT, 3, 0, 6, 1, 25000});
}

static void an_emptied_chunk_goes_while_a_checkpoint_writes(void)
{
    struct scene scene;
    begin(&scene, false);
    play(&scene, (struct scene_line){SCENE_CREATE, 3, 0, 0, 0, 0});
    for (uint32_t round = 0; round < 8; round++) {
        struct turns turns = {.scene = &scene};
        play(&scene, (struct scene_line){SCENE_PUT, 3, 10, 20, 1, 50});
        if (round % 2 == 0) play(&scene, (struct scene_line){SCENE_CHECKPOINT, 0, 0, 0, 0, 0});
        play(&scene, (struct scene_line){SCENE_DELETE, 3, 0, 20, 1, 0});
        interpose_before_write(refill, &turns);
        CHECK(store_checkpoint(scene.store, NULL) == OMENDB_OK);
        interpose_before_write(NULL, NULL);
        verified(&scene);
    }
    scene_kill(&scene, SIM_NONE);
    play(&scene, (struct scene_line){SCENE_OPEN, 0, 0, 0, 0, 0});
    verified(&scene);
    end(&scene);
}

/* ---- Threads ---- */

enum { WRITERS = 3, COMMITS = 60 };

struct writer {
    struct store *store;
    struct batch batches[COMMITS];
    uint32_t acknowledged;
    omendb_status status; /* Of the first that failed. */
};

static void *writer_main(void *context)
{
    struct writer *writer = context;
    for (uint32_t i = 0; i < COMMITS && writer->status == OMENDB_OK; i++) {
        writer->status = store_commit(
            writer->store, &writer->batches[i],
            i % 3 == 0 ? OMENDB_DURABILITY_INTERVAL : OMENDB_DURABILITY_FULL, NULL, NULL);
        writer->acknowledged += writer->status == OMENDB_OK;
    }
    return NULL;
}

struct looker {
    struct store *store;
    atomic_u32 stop;
};

static omendb_status look(void *context, struct collection *collection, const char *name,
                          omendb_error *err)
{
    const uint64_t sequence = *(const uint64_t *)context;
    const uint32_t slots = atomic_load_acquire_u32(&collection->slot_count);
    struct buffer scratch = {0};
    omendb_status status = OMENDB_OK;
    (void)name;
    for (uint32_t slot = 0; slot < slots && status == OMENDB_OK; slot++) {
        const uint8_t *document = NULL;
        uint32_t size = 0;
        bool seen = false;
        status = collection_visible(collection, slot, sequence, &seen, err);
        if (status == OMENDB_OK && seen)
            status = collection_document(collection, slot, &scratch, &document, &size, err);
    }
    buffer_deinit(&scratch);
    return status;
}

static void *looker_main(void *context)
{
    struct looker *looker = context;
    while (atomic_load_acquire_u32(&looker->stop) == 0) {
        struct snapshot snapshot;
        omendb_error error = {0};
        CHECK(store_enter(looker->store, &snapshot, NULL) == OMENDB_OK);
        const omendb_status status = store_collections(looker->store, look, &snapshot.sequence,
                                                       &error);
        if (status != OMENDB_OK) fprintf(stderr, "reading: %s\n", error.message);
        CHECK(status == OMENDB_OK);
        store_leave(&snapshot);
        (void)sched_yield();
    }
    return NULL;
}

static void wait_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&time, NULL);
}

/* Each writer has a collection of its own; all batches are made before. */
static void work_together(uint64_t fault_at, enum sim_fault fault, omendb_durability durability)
{
    struct scene scene;
    struct writer writers[WRITERS] = {0};
    struct looker looker = {0};
    pthread_t threads[WRITERS + 1];
    begin(&scene, true);
    play(&scene, (struct scene_line){SCENE_CLOSE, 0, 0, 0, 0, 0});
    scene.options.wal_size_max = 300 << 10;
    scene.options.durability = durability;
    play(&scene, (struct scene_line){SCENE_OPEN, 0, 0, 0, 0, 0});
    looker.store = scene.store;
    for (uint32_t i = 0; i < COMMITS; i++) {
        for (uint32_t w = 0; w < WRITERS; w++) {
            const uint32_t from = i * 3 % 100;
            const struct scene_line line = {i % 5 == 4 ? SCENE_DELETE : SCENE_PUT,
                                            w,
                                            from,
                                            from + 10,
                                            2,
                                            i % 16 == 7 ? 50000 : 1000};
            scene_prepare(&scene, &line);
            writers[w].store = scene.store;
            writers[w].batches[i] = scene.batch;
            scene.batch = (struct batch){0};
            scene.now = scene.after;
        }
    }
    if (fault_at != 0) sim_fail_at(scene.sim, sim_calls(scene.sim) + fault_at, fault);
    CHECK(pthread_create(&threads[WRITERS], NULL, looker_main, &looker) == 0);
    for (uint32_t w = 0; w < WRITERS; w++)
        CHECK(pthread_create(&threads[w], NULL, writer_main, &writers[w]) == 0);
    bool failed = false;
    for (uint32_t w = 0; w < WRITERS; w++) {
        CHECK(pthread_join(threads[w], NULL) == 0);
        failed = failed || writers[w].status != OMENDB_OK;
        CHECK(writers[w].status == OMENDB_OK || fault_at != 0);
    }
    sim_advance_clock(scene.sim, UINT64_C(5000000000)); /* Nobody writes: upkeep has its time. */
    for (int i = 0; i < (fault_at == 0 ? 60 : 1); i++) {
        wait_ms(10);
        sim_advance_clock(scene.sim, UINT64_C(1000000000));
    }
    atomic_store_release_u32(&looker.stop, 1);
    CHECK(pthread_join(threads[WRITERS], NULL) == 0);
    for (uint32_t w = 0; w < WRITERS; w++)
        for (uint32_t i = 0; i < COMMITS; i++) batch_deinit(&writers[w].batches[i]);
    omendb_status closed = OMENDB_OK;
    if (!failed && fault_at == 0) {
        scene.sequence += WRITERS * COMMITS;
        verified(&scene);
        scene_kill(&scene, SIM_NONE); /* They ended with FULL commits. */
        play(&scene, (struct scene_line){SCENE_OPEN, 0, 0, 0, 0, 0});
        verified(&scene);
    }
    struct store *store = scene.store;
    scene.store = NULL;
    closed = store_close(store, NULL);
    CHECK(closed == OMENDB_OK || fault_at != 0);
    CHECK(sim_open_files(scene.sim) == 0);
    if (closed != OMENDB_OK || fault_at != 0) { /* What is left is whole. */
        omendb_error error = {0};
        bool good = false;
        scene.store = NULL;
        const omendb_status opened = store_open(&scene.options, &scene.store, &error);
        if (opened != OMENDB_OK) fprintf(stderr, "opening again: %s\n", error.message);
        CHECK(opened == OMENDB_OK);
        CHECK(scene_check(&scene, true, &good, NULL) == OMENDB_OK);
        if (!good) fprintf(stderr, "%.*s\n", (int)scene.text.size, (const char *)scene.text.data);
        CHECK(good);
        uint64_t acknowledged = scene.sequence;
        for (uint32_t w = 0; w < WRITERS; w++) acknowledged += writers[w].acknowledged;
        CHECK(atomic_load_acquire_u64(&scene.store->space.epoch.visible_sequence) >= acknowledged ||
              fault == SIM_FAULT_SYNC_REVERTS);
    }
    end(&scene);
}

static void threads_work_together(void)
{
    work_together(0, SIM_FAULT_IO, OMENDB_DURABILITY_FULL);
    work_together(0, SIM_FAULT_IO, OMENDB_DURABILITY_INTERVAL);
    work_together(0, SIM_FAULT_IO, OMENDB_DURABILITY_NONE);
}

static void threads_meet_faults_together(void)
{
    const uint64_t step = test_step(41);
    for (uint64_t at = 3; at < 400; at += step) {
        work_together(at, SIM_FAULT_IO, OMENDB_DURABILITY_FULL);
        work_together(at + 7, SIM_FAULT_FULL, OMENDB_DURABILITY_INTERVAL);
        work_together(at + 14, SIM_FAULT_SYNC_REVERTS, OMENDB_DURABILITY_INTERVAL);
    }
}

static const struct test tests[] = {
    {"writers_go_on_while_a_checkpoint_writes", writers_go_on_while_a_checkpoint_writes},
    {"writers_without_memory_go_on_while_a_checkpoint_writes",
     writers_without_memory_go_on_while_a_checkpoint_writes},
    {"an_abandoned_checkpoint_leaves_what_writers_did",
     an_abandoned_checkpoint_leaves_what_writers_did},
    {"an_emptied_chunk_goes_while_a_checkpoint_writes",
     an_emptied_chunk_goes_while_a_checkpoint_writes},
    {"threads_work_together", threads_work_together},
    {"threads_meet_faults_together", threads_meet_faults_together},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
