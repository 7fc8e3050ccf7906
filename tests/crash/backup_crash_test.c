/* A backup on the simulated disk, beside writers: wherever the machine crashes and whatever call fails,
 * there is no backup afterwards or a good one, and the database itself has lost nothing. */
#include "base/alloc.h"
#include "base/compiler.h"
#include "crash/faults.h"
#include "crash/interpose.h"
#include "crash/scene.h"
#include "store/backup.h"
#include "store/repair.h"
#include "test.h"

enum { LINES = 11 }; /* Of the script: collections, documents, an image, and batches behind it. */

static const char copy_path[] = "copy.omen";

struct trial {
    struct scene scene;
    bool reader;                /* The handle is read-only, and the log holds a part. */
    struct scene_model model;   /* What the backup must hold, */
    uint64_t sequence;          /* and up to which batch. */
    uint64_t images, good_ones; /* Crashes looked at; those after which there is a backup. */
    uint64_t step;
    bool minor;       /* interpose.h stands between. */
    bool stopped;     /* One of them failed. */
    uint32_t written; /* Batches committed while it was made. */
};

static void trial_begin(struct trial *trial, bool reader, bool minor, uint64_t seed)
{
    static const struct scene_line kill = {.kind = SCENE_KILL};
    static const struct scene_line look = {.kind = SCENE_OPEN_READ_ONLY};
    omendb_error error = {0};
    *trial = (struct trial){.reader = reader, .step = 1, .minor = minor};
    scene_init(&trial->scene, sim_create(seed));
    if (minor) interpose_begin(trial->scene.sim, false);
    scene_play_all(&trial->scene, LINES);
    if (reader) {
        scene_prepare(&trial->scene, &kill);
        (void)scene_play(&trial->scene, &kill, &error);
        scene_prepare(&trial->scene, &look);
        CHECK(scene_play(&trial->scene, &look, &error) == OMENDB_OK);
    }
    trial->model = trial->scene.now;
    trial->sequence = trial->scene.sequence;
}

static void trial_end(struct trial *trial)
{
    struct sim *sim = trial->scene.sim;
    if (trial->scene.failure[0] != '\0') fprintf(stderr, "%s\n", trial->scene.failure);
    CHECK(trial->scene.failure[0] == '\0');
    scene_deinit(&trial->scene);
    if (trial->minor) interpose_end(sim);
    CHECK(sim_open_files(sim) == 0);
    sim_destroy(sim);
}

/* A writer between two pieces of the copy. */
static int written_beside(void *context, uint64_t done, uint64_t total)
{
    struct trial *trial = context;
    static const struct scene_line lines[] = {
        {SCENE_PUT, 0, 0, 60, 1, 900},     {SCENE_DELETE, 2, 0, 200, 3, 0},
        {SCENE_CHECKPOINT, 0, 0, 0, 0, 0}, {SCENE_PUT, 2, 0, 40, 1, 300},
        {SCENE_CHECKPOINT, 0, 0, 0, 0, 0}, {SCENE_CHECKPOINT, 0, 0, 0, 0, 0}};
    (void)done, (void)total;
    for (size_t i = 0; !trial->reader && !trial->stopped && i < COUNT_OF(lines); i++) {
        omendb_error error = {0};
        scene_prepare(&trial->scene, &lines[i]);
        trial->stopped = scene_play(&trial->scene, &lines[i], &error) != OMENDB_OK;
        if (trial->stopped) break;
        trial->written++;
    }
    return 0;
}

/* Opens what lies at `path` on a machine that has booted and compares it with the model. */
static void compared(struct sim *sim, const char *path, const struct scene_model *model,
                     uint64_t sequence, uint32_t flags)
{
    struct scene scene;
    omendb_error error = {0};
    const struct scene_line line = {
        .kind = (flags & OMENDB_OPEN_READ_ONLY) != 0 ? SCENE_OPEN_READ_ONLY : SCENE_OPEN};
    scene_init(&scene, sim);
    scene.options.path = path;
    scene.now = scene.after = *model;
    scene.sequence = sequence;
    const omendb_status status = scene_play(&scene, &line, &error);
    if (status != OMENDB_OK) fprintf(stderr, "%s: %s\n", path, error.message);
    CHECK(status == OMENDB_OK);
    if (!scene_verify(&scene, true)) fprintf(stderr, "%s: %s\n", path, scene.failure);
    CHECK(scene.failure[0] == '\0');
    scene_deinit(&scene);
}

static bool copy_is_there(struct sim *sim)
{
    struct file *file = NULL;
    const bool there = file_open(sim_vfs(sim), copy_path, FILE_READ_ONLY, &file, NULL) == OMENDB_OK;
    file_close(file);
    return there;
}

/* No backup, or a good one; then one can be made. */
static void judged(struct trial *trial, struct sim *sim, bool again)
{
    static const struct backup_options replace = {.replace = true};
    trial->images++;
    if (copy_is_there(sim)) {
        trial->good_ones++;
        compared(sim, copy_path, &trial->model, trial->sequence, OMENDB_OPEN_READ_ONLY);
    }
    if (!again) return;
    struct scene scene;
    omendb_error error = {0};
    static const struct scene_line open = {.kind = SCENE_OPEN};
    scene_init(&scene, sim);
    scene.now = scene.after = trial->scene.now;
    scene.sequence = trial->scene.sequence;
    scene.pending = trial->scene.pending;
    scene.after = trial->scene.after;
    scene.counter = trial->scene.counter;
    CHECK(scene_play(&scene, &open, &error) == OMENDB_OK);
    CHECK(scene_verify(&scene, false));
    const omendb_status status = backup_run(scene.store, copy_path, &replace, &error);
    if (status != OMENDB_OK) fprintf(stderr, "again: %s\n", error.message);
    CHECK(status == OMENDB_OK && scene.failure[0] == '\0');
    const struct scene_model model = scene.now;
    const uint64_t sequence = scene.sequence;
    scene_deinit(&scene);
    compared(sim, copy_path, &model, sequence, 0);
}

/* Boots a copy of the machine in one mode after the other. */
static void crashed_here(void *context, struct sim *sim, const struct sim_call *call)
{
    struct trial *trial = context;
    if (call->number % trial->step != 0) return;
    const enum sim_mode mode = (enum sim_mode)(call->number / trial->step % SIM_CRASH_MODES);
    struct sim *clone = sim_clone(sim);
    sim_reboot(clone, mode, call->number);
    /* A batch under way may be there or not: the model of the database isn't sure then. */
    judged(trial, clone, false);
    CHECK(sim_open_files(clone) == 0);
    sim_destroy(clone);
}

static void crashes_leave_no_backup_or_a_good_one(void)
{
    for (int reader = 0; reader < 2; reader++) {
        struct trial trial;
        trial_begin(&trial, reader != 0, false, 7);
        struct backup_options options = {.progress = written_beside, .context = &trial};
        omendb_error error = {0};
        trial.step = test_step(1);
        sim_on_call(trial.scene.sim, crashed_here, &trial);
        const omendb_status status = backup_run(trial.scene.store, copy_path, &options, &error);
        sim_on_call(trial.scene.sim, NULL, NULL);
        if (status != OMENDB_OK) fprintf(stderr, "%s\n", error.message);
        CHECK(status == OMENDB_OK && (reader != 0 || trial.written > 10));
        struct sim *clone = sim_clone(trial.scene.sim);
        sim_reboot(clone, SIM_NONE, 1);
        CHECK(copy_is_there(clone));
        judged(&trial, clone, true);
        sim_destroy(clone);
        CHECK(scene_verify(&trial.scene, true));
        printf("# %s: %llu crashes, a backup after %llu of them\n",
               reader != 0 ? "reader" : "writer", (unsigned long long)trial.images,
               (unsigned long long)trial.good_ones);
        trial_end(&trial);
    }
}

enum failing { FAILING_CALL, FAILING_READ, FAILING_MINOR };

static uint64_t calls_so_far(struct sim *sim, enum failing what)
{
    if (what == FAILING_MINOR) return interpose_minor_calls();
    return what == FAILING_READ ? sim_call_count(sim, SIM_READ) : sim_calls(sim);
}

/* One call of the backup fails; returns false when there is no such call. */
static bool failed_once(bool reader, uint64_t call, enum failing what, enum sim_fault fault)
{
    struct trial trial;
    const uint64_t memory = alloc_bytes();
    trial_begin(&trial, reader, what == FAILING_MINOR, call);
    struct sim *sim = trial.scene.sim;
    struct backup_options options = {.progress = written_beside, .context = &trial};
    omendb_error error = {0};
    uint64_t before = 0;
    if (what == FAILING_MINOR) interpose_fail_minor_at(call);
    else before = calls_so_far(sim, what);
    if (what == FAILING_READ) sim_fail_read_at(sim, before + call);
    if (what == FAILING_CALL) sim_fail_at(sim, before + call, fault);
    const omendb_status status = backup_run(trial.scene.store, copy_path, &options, &error);
    const uint64_t after = calls_so_far(sim, what);
    if (what == FAILING_MINOR) interpose_fail_minor_at(0);
    CHECK(status == OMENDB_OK || (error.status == status && error.message[0] != '\0'));
    if (status == OMENDB_OK) CHECK(copy_is_there(sim));
    if (before + call > after) { /* It waits for a call that the backup doesn't make. */
        trial_end(&trial);
        return false;
    }
    bool happened = false;
    if (!reader) CHECK(scene_recover(&trial.scene, &happened));
    if (!scene_verify(&trial.scene, false))
        fprintf(stderr, "%d, call %llu: %s\n", (int)status, (unsigned long long)call,
                trial.scene.failure);
    CHECK(trial.scene.failure[0] == '\0');
    scene_kill(&trial.scene, SIM_NONE);
    judged(&trial, sim, true);
    trial_end(&trial);
    CHECK(alloc_bytes() == memory);
    return true;
}

static void failing_calls_leave_no_backup_or_a_good_one(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO, SIM_FAULT_FULL, SIM_FAULT_SHORT_WRITE,
                                            SIM_FAULT_SYNC_REVERTS};
    for (int reader = 0; reader < 2; reader++) {
        const uint64_t step = test_step(2);
        for (uint64_t call = 1;; call += step)
            if (!failed_once(reader != 0, call, FAILING_CALL,
                             faults[call / step % COUNT_OF(faults)]))
                break;
        for (uint64_t call = 1;; call += step)
            if (!failed_once(reader != 0, call, FAILING_READ, SIM_FAULT_IO)) break;
        for (uint64_t call = 1;; call += step)
            if (!failed_once(reader != 0, call, FAILING_MINOR, SIM_FAULT_IO)) break;
    }
}

/* ---- The way back ---- */

static const char increment_path[] = "copy.increment", back_path[] = "back.omen";

static bool back_is_there(struct sim *sim)
{
    struct file *file = NULL;
    const bool there = file_open(sim_vfs(sim), back_path, FILE_READ_ONLY, &file, NULL) == OMENDB_OK;
    file_close(file);
    return there;
}

static omendb_status brought_back(struct trial *trial, bool repair, omendb_error *err)
{
    static const struct backup_options plain = {0};
    static const struct repair_options careful = {0};
    static const char *const paths[] = {copy_path, increment_path};
    struct sim *sim = trial->scene.sim;
    struct buffer report = {0};
    if (!repair) return backup_restore(sim_vfs(sim), paths, 2, back_path, &plain, err);
    const omendb_status status = repair_run(&trial->scene.options, scene_path, back_path, &careful,
                                            &report, err);
    if (status == OMENDB_OK) CHECK(memcmp(report.data, "{\"complete\":true,", 17) == 0);
    buffer_deinit(&report);
    return status;
}

/* A machine with a database that was killed, a backup of it and an increment. */
static void trial_for_return(struct trial *trial, uint64_t seed)
{
    static const struct scene_line lines[] = {{SCENE_PUT, 0, 0, 60, 1, 900},
                                              {SCENE_KILL, 0, 0, 0, 0, 0}};
    static const struct backup_options plain = {0}, increment = {.base = copy_path};
    omendb_error error = {0};
    trial_begin(trial, false, false, seed);
    CHECK(backup_run(trial->scene.store, copy_path, &plain, &error) == OMENDB_OK);
    scene_prepare(&trial->scene, &lines[0]);
    CHECK(scene_play(&trial->scene, &lines[0], &error) == OMENDB_OK);
    CHECK(backup_run(trial->scene.store, increment_path, &increment, &error) == OMENDB_OK);
    trial->model = trial->scene.now;
    trial->sequence = trial->scene.sequence;
    scene_prepare(&trial->scene, &lines[1]);
    CHECK(scene_play(&trial->scene, &lines[1], &error) == OMENDB_OK);
}

/* Where nothing fails there is a complete one; else none, or a complete one. A repair counts its own
 * batches, so only its documents are compared. */
static void return_judged(struct trial *trial, struct sim *sim, bool repair)
{
    if (!back_is_there(sim)) return;
    trial->good_ones++;
    uint64_t sequence = trial->sequence;
    if (repair) {
        struct store *store = NULL;
        struct store_options options = trial->scene.options;
        options.vfs = sim_vfs(sim);
        options.path = back_path;
        options.flags = OMENDB_OPEN_READ_ONLY;
        CHECK(store_open(&options, &store, NULL) == OMENDB_OK);
        sequence = store->next_sequence - 1;
        CHECK(store_close(store, NULL) == OMENDB_OK);
    }
    compared(sim, back_path, &trial->model, sequence, OMENDB_OPEN_READ_ONLY);
}

static bool return_failed_once(bool repair, uint64_t call, bool read, enum sim_fault fault)
{
    struct trial trial;
    omendb_error error = {0};
    const uint64_t memory = alloc_bytes();
    trial_for_return(&trial, call);
    struct sim *sim = trial.scene.sim;
    const uint64_t before = read ? sim_call_count(sim, SIM_READ) : sim_calls(sim);
    if (read) sim_fail_read_at(sim, before + call);
    else sim_fail_at(sim, before + call, fault);
    const omendb_status status = brought_back(&trial, repair, &error);
    const uint64_t after = read ? sim_call_count(sim, SIM_READ) : sim_calls(sim);
    const bool met = before + call <= after;
    CHECK(status == OMENDB_OK || (error.status == status && error.message[0] != '\0'));
    sim_reboot(sim, SIM_ALL, 1);
    if (status == OMENDB_OK) CHECK(back_is_there(sim));
    return_judged(&trial, sim, repair);
    trial_end(&trial);
    CHECK(alloc_bytes() == memory);
    return met;
}

static void failing_calls_leave_no_restored_file_or_a_good_one(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO, SIM_FAULT_FULL, SIM_FAULT_SHORT_WRITE,
                                            SIM_FAULT_SYNC_REVERTS};
    for (int repair = 0; repair < 2; repair++) {
        const uint64_t step = test_step(4);
        for (uint64_t call = 1;; call += step)
            if (!return_failed_once(repair != 0, call, false,
                                    faults[call / step % COUNT_OF(faults)]))
                break;
        /* A repair takes an unreadable block for a damaged one: nothing to compare. */
        for (uint64_t call = 1; repair == 0; call += step)
            if (!return_failed_once(false, call, true, SIM_FAULT_IO)) break;
    }
}

static void crashed_on_the_way_back(void *context, struct sim *sim, const struct sim_call *call)
{
    struct trial *trial = context;
    const enum sim_mode mode = (enum sim_mode)(call->number % SIM_CRASH_MODES);
    struct sim *clone = sim_clone(sim);
    sim_reboot(clone, mode, call->number);
    trial->images++;
    return_judged(trial, clone, trial->reader);
    CHECK(sim_open_files(clone) == 0);
    sim_destroy(clone);
}

static void crashes_leave_no_restored_file_or_a_good_one(void)
{
    for (int repair = 0; repair < 2; repair++) {
        struct trial trial;
        omendb_error error = {0};
        trial_for_return(&trial, 3);
        trial.reader = repair != 0; /* Here: which of the two is under way. */
        sim_on_call(trial.scene.sim, crashed_on_the_way_back, &trial);
        const omendb_status status = brought_back(&trial, repair != 0, &error);
        sim_on_call(trial.scene.sim, NULL, NULL);
        if (status != OMENDB_OK) fprintf(stderr, "%s\n", error.message);
        CHECK(status == OMENDB_OK);
        sim_reboot(trial.scene.sim, SIM_NONE, 1);
        CHECK(back_is_there(trial.scene.sim));
        return_judged(&trial, trial.scene.sim, repair != 0);
        printf("# %s: %llu crashes\n", repair != 0 ? "repair" : "restore",
               (unsigned long long)trial.images);
        CHECK(trial.good_ones >= 1 && trial.images > 10);
        trial_end(&trial);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"crashes_leave_no_backup_or_a_good_one", crashes_leave_no_backup_or_a_good_one},
        {"failing_calls_leave_no_backup_or_a_good_one",
         failing_calls_leave_no_backup_or_a_good_one},
        {"failing_calls_leave_no_restored_file_or_a_good_one",
         failing_calls_leave_no_restored_file_or_a_good_one},
        {"crashes_leave_no_restored_file_or_a_good_one",
         crashes_leave_no_restored_file_or_a_good_one},
        {NULL, NULL}};
    return test_main(tests, argc, argv);
}
