/* Through omendb.h: one thing goes wrong in the script of api_scene.h, at every place in turn: a
 * call to the disk, a read, a request for memory. The line that fails is tried again, by the same
 * handle or, when that was fenced, by a new one; whatever was acknowledged is always there. */
#include "base/alloc.h"
#include "base/compiler.h"
#include "crash/api_scene.h"
#include "crash/faults.h"
#include "test.h"

enum { API_TRIES = 6, API_MODES = SIM_CRASH_MODES };

static const char api_path[] = "/disk/scene.omen";

struct api_life {
    struct api_scene scene;
    struct sim *sim;
    bool read, lies;
    uint64_t target, passed; /* The call that fails, over all boots; calls of the boots before. */
    enum sim_fault fault;
    uint64_t failures, reported;
    uint32_t line;
};

static uint64_t calls_of(const struct api_life *life)
{
    return life->read ? sim_call_count(life->sim, SIM_READ) : sim_calls(life->sim);
}

static void arm(struct api_life *life)
{
    if (life->target <= life->passed) return;
    if (life->read) sim_fail_read_at(life->sim, life->target - life->passed);
    else sim_fail_at(life->sim, life->target - life->passed, life->fault);
}

static void end_process(struct api_scene *scene, enum sim_mode mode)
{
    struct api_life *life = scene->context;
    life->passed += calls_of(life);
    sim_crash_at(life->sim, 1);
    if (scene->db != NULL) (void)api_scene_close(scene, NULL);
    sim_reboot(life->sim, mode, 1);
    arm(life);
}

static void kill_process(struct api_scene *scene)
{
    end_process(scene, SIM_PROCESS_KILL);
}

/* Is the status one that the fault explains, with a message that names what refused? */
static bool explained(struct api_life *life, omendb_status status, const omendb_error *error)
{
    bool known = status == OMENDB_ERR_IO || status == OMENDB_ERR_MISUSE;
    if (status == OMENDB_ERR_FULL)
        known = !life->read &&
                (life->fault == SIM_FAULT_FULL || life->fault == SIM_FAULT_SHORT_WRITE);
    if (status == OMENDB_ERR_CORRUPT) known = life->read || life->lies;
    if (known && error->status == status && strlen(error->message) > 10 &&
        (status == OMENDB_ERR_CORRUPT || strstr(error->message, "scene.omen") != NULL))
        return true;
    return api_scene_failed(&life->scene, "status %d (\"%s\") isn't explained", (int)status,
                            error->message);
}

/* Reading a disk that lied may find the damage: that ends the life, rightly. */
static bool reported(struct api_life *life, omendb_status status)
{
    if (!life->lies) return false;
    if (status != OMENDB_ERR_CORRUPT && strncmp(life->scene.failure, "check:", 6) != 0)
        return false;
    life->scene.failure[0] = '\0';
    life->reported++;
    return true;
}

/* The handle that a line failed on: readers go on; a fenced one is closed and opened again. False:
 * the life ends here. */
static bool recovers(struct api_life *life, const struct api_line *line, bool *happened)
{
    struct api_scene *scene = &life->scene;
    omendb_error error = {0};
    omendb_status status = OMENDB_OK;
    *happened = false;
    if (scene->db != NULL) {
        status = api_scene_compare(scene, &error); /* Nothing has changed. */
        if (reported(life, status)) return false;
        if (status != OMENDB_OK)
            return api_scene_failed(scene, "reading after the failure: %s", error.message);
        if (scene->failure[0] != '\0') return false;
        if (omendb_sync(scene->db, &error) == OMENDB_OK) return true;
        if (!explained(life, error.status, &error)) return false;
        (void)api_scene_close(scene, NULL);
    }
    for (int tries = 0; tries < 3 && scene->db == NULL; tries++) {
        static const struct api_line open = {.kind = API_OPEN};
        status = api_scene_play(scene, &open, &error);
        if (reported(life, status)) return false;
        if (status != OMENDB_OK && !explained(life, status, &error)) return false;
    }
    if (scene->db == NULL) return api_scene_failed(scene, "it can't be opened: %s", error.message);
    for (int tries = 0; tries < 2; tries++) {
        status = api_scene_reopened(scene, happened, &error);
        if (status == OMENDB_OK) break;
        if (reported(life, status)) return false;
        if (!explained(life, status, &error)) return false;
    }
    if (line->kind == API_CLOSE && scene->failure[0] == '\0') *happened = false;
    return scene->failure[0] == '\0';
}

/* One line until it has happened. False: the life ends here, rightly when failure is empty. */
static bool play(struct api_life *life, const struct api_line *line)
{
    struct api_scene *scene = &life->scene;
    api_scene_prepare(scene, line);
    for (int tries = 0; tries < API_TRIES; tries++) {
        omendb_error error = {0};
        const struct api_model next = scene->next;
        if (line->kind == API_OPEN && scene->db != NULL) return true; /* recovers() did it. */
        const omendb_status status = api_scene_play(scene, line, &error);
        if (reported(life, status)) return false;
        /* The check may have met a read that fails, or a superblock that couldn't be read. */
        if (life->read && strncmp(scene->failure, "check:", 6) == 0) {
            scene->failure[0] = '\0';
            continue;
        }
        if (scene->failure[0] != '\0') return false;
        if (status == OMENDB_OK) return true;
        life->failures++;
        scene->next = next;
        if (!explained(life, status, &error)) return false;
        bool happened = false;
        if (!recovers(life, line, &happened)) return false;
        if (happened) return true;
        scene->next = next;
    }
    return api_scene_failed(scene, "one fault, and it fails for ever");
}

/* The machine ends, in every mode: the clean end of the script is what all of them find. */
static void life_end(struct api_life *life)
{
    struct sim *sim = life->sim;
    struct api_scene *scene = &life->scene;
    const struct store_options base = scene->base;
    for (int mode = 0; mode < API_MODES && scene->failure[0] == '\0'; mode++) {
        static const struct api_line open = {.kind = API_OPEN};
        omendb_error error = {0};
        bool good = true;
        struct sim *clone = sim_clone(sim);
        sim_reboot(clone, (enum sim_mode)mode, life->target);
        scene->base.vfs = sim_vfs(clone);
        api_scene_prepare(scene, &open);
        omendb_status status = api_scene_play(scene, &open, &error);
        if (status == OMENDB_OK) status = api_scene_compare(scene, &error);
        if (status == OMENDB_OK && scene->failure[0] == '\0')
            status = api_scene_check(scene, &good, &error);
        if (status == OMENDB_OK && !good) (void)api_scene_failed(scene, "check: mode %d", mode);
        if (!reported(life, status) && status != OMENDB_OK)
            (void)api_scene_failed(scene, "at the end, mode %d: %s", mode, error.message);
        if (scene->db != NULL) (void)api_scene_close(scene, NULL);
        scene->base = base;
        sim_destroy(clone);
    }
}

/* Plays the script with one fault; returns how many calls there were. */
static uint64_t life_play(struct api_life *life)
{
    struct api_scene *scene = &life->scene;
    const uint64_t before = alloc_bytes();
    bool good = true;
    life->sim = sim_create(life->target);
    api_scene_init(scene, sim_vfs(life->sim), api_path);
    scene->kill = kill_process;
    scene->context = life;
    arm(life);
    for (uint32_t i = 0; good && i < api_script_size; i++) {
        life->line = i;
        good = play(life, &api_script[i]);
    }
    const uint64_t calls = life->passed + calls_of(life);
    if (good) life_end(life);
    if (scene->db != NULL) end_process(scene, SIM_PROCESS_KILL);
    if (scene->failure[0] == '\0' && alloc_bytes() != before)
        (void)api_scene_failed(scene, "%lld bytes were not given back",
                               (long long)(alloc_bytes() - before));
    if (scene->failure[0] == '\0' && sim_open_files(life->sim) != 0)
        (void)api_scene_failed(scene, "files are left open");
    if (scene->failure[0] != '\0')
        fprintf(stderr, "%s %llu, fault %d, line %u: %s\n", life->read ? "read" : "call",
                (unsigned long long)life->target, (int)life->fault, life->line, scene->failure);
    CHECK(scene->failure[0] == '\0');
    sim_destroy(life->sim);
    return calls;
}

static void sweep(const char *what, bool read, const enum sim_fault *faults, size_t count,
                  uint64_t usual)
{
    struct api_life whole = {.read = read};
    uint64_t lives = 0, failures = 0, reports = 0;
    const uint64_t calls = life_play(&whole);
    for (uint64_t target = 1; target <= calls; target += test_step(usual)) {
        for (size_t f = 0; f < count; f++) {
            struct api_life life = {.read = read, .target = target, .fault = faults[f]};
            life.lies = !read &&
                        (faults[f] == SIM_FAULT_LOST_WRITE || faults[f] == SIM_FAULT_MISDIRECTED);
            (void)life_play(&life);
            lives++;
            failures += life.failures;
            reports += life.reported;
        }
    }
    printf("%s: %llu lives over %llu calls: %llu failures, %llu reported\n", what,
           (unsigned long long)lives, (unsigned long long)calls, (unsigned long long)failures,
           (unsigned long long)reports);
    CHECK(failures + reports != 0);
}

static void a_failing_call_loses_nothing(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO, SIM_FAULT_SYNC_KEEPS,
                                            SIM_FAULT_SYNC_REVERTS};
    sweep("failing calls", false, faults, COUNT_OF(faults), 5);
}

static void a_full_disk_changes_nothing(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_FULL, SIM_FAULT_SHORT_WRITE};
    sweep("full disks", false, faults, COUNT_OF(faults), 5);
}

static void a_lying_disk_is_never_believed(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_LOST_WRITE, SIM_FAULT_MISDIRECTED};
    sweep("lying disks", false, faults, COUNT_OF(faults), 5);
}

static void a_failing_read_loses_nothing(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO};
    sweep("failing reads", true, faults, COUNT_OF(faults), 5);
}

/* ---- No memory ---- */

struct hunger {
    struct api_life life;
    uint64_t failed, survived;
};

/* Can the line be played once more although it has happened? */
static bool repeatable(const struct api_line *line)
{
    return line->kind == API_PUT || line->kind == API_READ || line->kind == API_STATS ||
           line->kind == API_CHECK || line->kind == API_SYNC || line->kind == API_INDEXED;
}

/* Plays the line with request `n` failing, or all from it on. False: that many weren't needed. */
static bool play_starved(struct hunger *hunger, const struct api_line *line, long n, bool once,
                         bool *done)
{
    struct api_scene *scene = &hunger->life.scene;
    omendb_error error = {0};
    const struct api_model next = scene->next;
    (void)alloc_fail_after(n, once);
    const omendb_status status = api_scene_play(scene, line, &error);
    const bool fired = alloc_fail_after(-1, 0) < (once ? 0 : 1);
    *done = status == OMENDB_OK;
    if (!*done) {
        hunger->failed++;
        scene->next = next;
        if (!fired || status != OMENDB_ERR_NOMEM || error.status != status ||
            strlen(error.message) < 5)
            (void)api_scene_failed(scene, "request %ld: status %d, %s", n, (int)status,
                                   error.message);
        if (scene->failure[0] == '\0' && scene->db != NULL && (n % 8 == 0 || !once) &&
            api_scene_compare(scene, &error) != OMENDB_OK)
            (void)api_scene_failed(scene, "request %ld: reading: %s", n, error.message);
    }
    if (strncmp(scene->failure, "check:", 6) == 0 && fired)
        (void)api_scene_failed(scene, "request %ld: check without memory", n);
    return fired;
}

static void line_starved(struct hunger *hunger, const struct api_line *line, bool once, long step)
{
    struct api_scene *scene = &hunger->life.scene;
    static const struct api_line open = {.kind = API_OPEN};
    bool fired = true, done = false;
    api_scene_prepare(scene, line);
    for (long n = 0; fired && scene->failure[0] == '\0'; n += step) {
        fired = play_starved(hunger, line, n, once, &done);
        CHECK(fired || done || scene->failure[0] != '\0');
        if (line->kind == API_CLOSE) { /* The handle has ended: nothing may be lost by that. */
            bool happened = false;
            omendb_error error = {0};
            if (api_scene_play(scene, &open, &error) != OMENDB_OK ||
                api_scene_reopened(scene, &happened, &error) != OMENDB_OK)
                (void)api_scene_failed(scene, "request %ld: reopening: %s", n, error.message);
            if (!fired) (void)api_scene_close(scene, NULL);
        } else if (done) {
            hunger->survived += fired;
            if (fired && line->kind == API_OPEN) kill_process(scene);
            else if (!repeatable(line)) break;
            if (!fired) break;
        }
    }
}

static void starve(const char *what, bool once, long step)
{
    struct hunger hunger = {0};
    struct api_life *life = &hunger.life;
    const uint64_t before = alloc_bytes();
    life->sim = sim_create(1);
    api_scene_init(&life->scene, sim_vfs(life->sim), api_path);
    life->scene.kill = kill_process;
    life->scene.context = life;
    for (uint32_t i = 0; i < api_script_size; i++) {
        const struct api_line *line = &api_script[i];
        if (line->kind == API_KILL) {
            kill_process(&life->scene);
            continue;
        }
        line_starved(&hunger, line, once, step);
        if (life->scene.failure[0] != '\0')
            fprintf(stderr, "%s, line %u: %s\n", what, i, life->scene.failure);
        CHECK(life->scene.failure[0] == '\0');
    }
    CHECK(life->scene.db == NULL && alloc_bytes() == before);
    sim_destroy(life->sim);
    printf("%s: %llu lines failed, %llu did without\n", what, (unsigned long long)hunger.failed,
           (unsigned long long)hunger.survived);
}

static void every_request_for_memory_may_fail(void)
{
    starve("once", true, 1);
}

static void memory_may_be_short_for_good(void)
{
    starve("from then on", false, (long)test_step(3));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_failing_call_loses_nothing", a_failing_call_loses_nothing},
        {"a_full_disk_changes_nothing", a_full_disk_changes_nothing},
        {"a_lying_disk_is_never_believed", a_lying_disk_is_never_believed},
        {"a_failing_read_loses_nothing", a_failing_read_loses_nothing},
        {"every_request_for_memory_may_fail", every_request_for_memory_may_fail},
        {"memory_may_be_short_for_good", memory_may_be_short_for_good},
        {0},
    };
    return test_main(tests, argc, argv);
}
