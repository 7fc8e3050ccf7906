/* One thing goes wrong in the script of scene.h, at every place in turn: a call to the disk, a
 * read, a request for memory. The line that fails is tried again, by the same handle or, when that
 * was fenced, by a new one. */
#include "base/alloc.h"
#include "base/compiler.h"
#include "crash/faults.h"
#include "crash/interpose.h"
#include "crash/scene.h"
#include "test.h"

enum { TRIES = 6 };

struct life {
    struct scene scene;
    bool read, lies, minor;  /* minor: the call is one of interpose.h's. */
    uint64_t target, passed; /* Number of the call that fails, over all boots; of those before. */
    enum sim_fault fault;
    uint64_t failures, reported;
    uint32_t line;
};

static uint64_t calls_of(const struct life *life)
{
    if (life->minor) return interpose_minor_calls() - life->passed;
    return life->read ? sim_call_count(life->scene.sim, SIM_READ) : sim_calls(life->scene.sim);
}

static void arm(struct life *life)
{
    if (life->target <= life->passed || life->minor) return;
    if (life->read) sim_fail_read_at(life->scene.sim, life->target - life->passed);
    else sim_fail_at(life->scene.sim, life->target - life->passed, life->fault);
}

static bool explained(const struct life *life, omendb_status status)
{
    if (status == OMENDB_ERR_IO || status == OMENDB_ERR_MISUSE) return true;
    if (status == OMENDB_ERR_FULL)
        return !life->read &&
               (life->fault == SIM_FAULT_FULL || life->fault == SIM_FAULT_SHORT_WRITE);
    return status == OMENDB_ERR_CORRUPT && (life->read || life->lies);
}

/* One line until it has happened. False: the life ends here, rightly when failure is empty. */
static bool play(struct life *life, const struct scene_line *line)
{
    struct scene *scene = &life->scene;
    scene_prepare(scene, line);
    for (int tries = 0; tries < TRIES; tries++) {
        omendb_error error = {0};
        const bool boots = line->kind == SCENE_KILL || line->kind == SCENE_POWER;
        if (boots) life->passed += calls_of(life);
        const omendb_status status = scene_play(scene, line, &error);
        if (boots) arm(life);
        if (life->lies &&
            (status == OMENDB_ERR_CORRUPT || strncmp(scene->failure, "check:", 6) == 0)) {
            life->reported++;
            scene->failure[0] = '\0';
            return false;
        }
        if (life->read && strstr(scene->failure, " is damaged\"]") != NULL) {
            scene->failure[0] = '\0'; /* An unreadable superblock is reported as that. */
            continue;
        }
        if (scene->failure[0] != '\0') return false;
        if (status == OMENDB_OK) return true;
        life->failures++;
        if (!explained(life, status) || error.status != status || error.message[0] == '\0')
            return scene_failed(scene, "status %d (%s) isn't explained", (int)status,
                                error.message);
        if (line->kind == SCENE_OPEN || line->kind == SCENE_OPEN_READ_ONLY) continue;
        bool happened = false;
        if (!scene_recover(scene, &happened)) return false;
        if (happened) return true;
    }
    return scene_failed(scene, "one fault, and it fails for ever");
}

static void life_end(struct life *life)
{
    struct scene *scene = &life->scene;
    scene_kill(scene, SIM_NONE);
    static const struct scene_line open = {.kind = SCENE_OPEN};
    omendb_error error = {0};
    const omendb_status status = scene_play(scene, &open, &error);
    if (status != OMENDB_OK) (void)scene_failed(scene, "at the end: %s", error.message);
    else (void)scene_verify(scene, true);
}

/* Plays the script with one fault; returns how many calls there were. */
static uint64_t life_play(struct life *life)
{
    struct sim *sim = sim_create(life->target);
    const uint64_t before = alloc_bytes();
    bool good = true;
    scene_init(&life->scene, sim);
    if (life->minor) interpose_begin(sim, false);
    if (life->minor) interpose_fail_minor_at(life->target);
    arm(life);
    for (uint32_t i = 0; good && i < scene_script_size; i++) {
        life->line = i;
        good = play(life, &scene_script[i]);
    }
    const uint64_t calls = life->passed + calls_of(life);
    if (good && !life->lies) life_end(life);
    scene_deinit(&life->scene);
    if (life->minor) interpose_end(sim);
    if (life->scene.failure[0] == '\0' && alloc_bytes() != before)
        (void)scene_failed(&life->scene, "%lld bytes were not given back",
                           (long long)(alloc_bytes() - before));
    sim_destroy(sim);
    if (life->scene.failure[0] != '\0')
        fprintf(stderr, "%s %llu, fault %d, line %u: %s\n", life->read ? "read" : "call",
                (unsigned long long)life->target, (int)life->fault, life->line,
                life->scene.failure);
    CHECK(life->scene.failure[0] == '\0');
    return calls;
}

static void sweep(const char *what, bool read, bool minor, const enum sim_fault *faults,
                  size_t count)
{
    struct life whole = {.read = read, .minor = minor};
    uint64_t lives = 0, failures = 0, reported = 0;
    const uint64_t calls = life_play(&whole);
    const uint64_t step = test_step(minor ? 1 : read ? 3 : 4);
    for (uint64_t target = 1; target <= calls; target += step) {
        for (size_t f = 0; f < count; f++) {
            struct life life = {.read = read, .minor = minor, .target = target, .fault = faults[f]};
            life.lies = !read &&
                        (faults[f] == SIM_FAULT_LOST_WRITE || faults[f] == SIM_FAULT_MISDIRECTED);
            (void)life_play(&life);
            lives++;
            failures += life.failures;
            reported += life.reported;
        }
    }
    printf("%s: %llu lives over %llu calls: %llu failures, %llu reported\n", what,
           (unsigned long long)lives, (unsigned long long)calls, (unsigned long long)failures,
           (unsigned long long)reported);
}

static void a_failing_call_costs_one_line(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO, SIM_FAULT_FULL, SIM_FAULT_SYNC_REVERTS,
                                            SIM_FAULT_SHORT_WRITE};
    sweep("failing calls", false, false, faults, COUNT_OF(faults));
}

static void a_lying_disk_is_noticed(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_LOST_WRITE, SIM_FAULT_MISDIRECTED};
    sweep("lying disks", false, false, faults, COUNT_OF(faults));
}

static void a_failing_read_costs_one_line(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO};
    sweep("failing reads", true, false, faults, COUNT_OF(faults));
}

static void a_failing_minor_call_costs_one_line(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO};
    sweep("failing minor calls", false, true, faults, COUNT_OF(faults));
}

/* ---- A disk without room ---- */

static void a_full_disk_can_be_used_again(void)
{
    const uint64_t step = 16 * test_step(4);
    uint64_t refused = 0, limit = 0;
    for (bool whole = false; !whole; limit += step) {
        struct sim *sim = sim_create(limit);
        struct scene scene;
        whole = true;
        scene_init(&scene, sim);
        for (uint32_t i = 0; i < scene_script_size; i++) {
            const struct scene_line *line = &scene_script[i];
            omendb_error error = {0};
            scene_prepare(&scene, line);
            sim_set_disk_limit(sim, limit != 0 ? limit * 4096 : 4096);
            omendb_status status = scene_play(&scene, line, &error);
            sim_set_disk_limit(sim, 0);
            if (status != OMENDB_OK) {
                whole = false;
                refused++;
                CHECK(status == OMENDB_ERR_FULL);
                if (scene.store != NULL) CHECK(scene_verify(&scene, false));
                else if (line->kind == SCENE_CLOSE)
                    CHECK(scene_play(&scene, &scene_script[0], &error) == OMENDB_OK);
                status = scene_play(&scene, line, &error);
            }
            if (status != OMENDB_OK || scene.failure[0] != '\0')
                fprintf(stderr, "limit %llu, line %u: %s %s\n", (unsigned long long)limit, i,
                        error.message, scene.failure);
            CHECK(status == OMENDB_OK && scene.failure[0] == '\0');
        }
        scene_deinit(&scene);
        sim_destroy(sim);
    }
    printf("full disks up to %llu pages: %llu lines refused\n", (unsigned long long)limit,
           (unsigned long long)refused);
}

/* ---- No memory ---- */

/* What the line has done is undone, where it can be done again. */
static bool again(struct scene *scene, const struct scene_line *line)
{
    switch (line->kind) {
    case SCENE_OPEN:
    case SCENE_OPEN_READ_ONLY:
        scene_kill(scene, SIM_PROCESS_KILL);
        return true;
    case SCENE_PUT:
    case SCENE_SAME:
        scene_prepare(scene, line);
        return true;
    case SCENE_LOOK:
        store_leave(&scene->snapshot);
        scene->looking = false;
        return true;
    case SCENE_READ:
    case SCENE_STATS:
    case SCENE_CHECK:
    case SCENE_REFUSED:
        return true;
    case SCENE_CREATE:
    case SCENE_RENAME:
    case SCENE_DROP:
    case SCENE_DELETE:
    case SCENE_CHECKPOINT:
    case SCENE_SYNC:
    case SCENE_MARK:
    case SCENE_LEAVE:
    case SCENE_KILL:
    case SCENE_POWER:
    case SCENE_CLOSE:
        break;
    }
    return false;
}

/* Plays a line with request `n` failing; *fired: it came so far. */
static omendb_status play_starved(struct scene *scene, const struct scene_line *line, long n,
                                  bool once, bool *fired)
{
    omendb_error error = {0};
    if (line->kind == SCENE_CREATE) scene_prepare(scene, line); /* The schema was taken. */
    (void)alloc_fail_after(n, once);
    const omendb_status status = scene_play(scene, line, &error);
    *fired = alloc_fail_after(-1, 0) < (once ? 0 : 1);
    if (status == OMENDB_OK) return status;
    if (!*fired || (status != OMENDB_ERR_NOMEM && status != OMENDB_ERR_MISUSE) ||
        error.status != status)
        (void)scene_failed(scene, "request %ld: status %d, %s", n, (int)status, error.message);
    return status;
}

/* Makes each request of the line fail in turn (or every `step`-th, and all after it). */
static uint64_t line_starved(struct scene *scene, uint32_t i, bool once, long step)
{
    const struct scene_line *line = &scene_script[i];
    uint64_t failed = 0;
    long n = 0;
    scene_prepare(scene, line);
    for (bool done = false; !done; n += step) {
        bool fired = false, happened = false;
        const omendb_status status = play_starved(scene, line, n, once, &fired);
        if (scene->failure[0] == '\0' && status != OMENDB_OK) {
            failed++;
            if (line->kind != SCENE_OPEN && line->kind != SCENE_OPEN_READ_ONLY) {
                CHECK(scene->store == NULL || atomic_load_acquire_u32(&scene->store->fenced) == 0);
                if (scene_recover(scene, &happened) && (step > 1 || n % 16 == 0))
                    (void)scene_verify(scene, false);
            }
        } else if (scene->failure[0] == '\0') {
            done = !fired || !again(scene, line);
        }
        if (scene->failure[0] != '\0')
            fprintf(stderr, "line %u, request %ld: %s\n", i, n, scene->failure);
        CHECK(scene->failure[0] == '\0' && !happened);
    }
    return failed;
}

static void starve(bool once, long step)
{
    struct sim *sim = sim_create(1);
    struct scene scene;
    const uint64_t before = alloc_bytes();
    uint64_t failed = 0;
    scene_init(&scene, sim);
    for (uint32_t i = 0; i < scene_script_size; i++) failed += line_starved(&scene, i, once, step);
    scene_deinit(&scene);
    sim_destroy(sim);
    CHECK(alloc_bytes() == before);
    printf("%s: %llu lines failed for want of memory\n", once ? "once" : "from then on",
           (unsigned long long)failed);
}

static void every_request_for_memory_may_fail(void)
{
    starve(true, 1); /* All, under sanitizers too: leaks. */
}

static void memory_may_be_short_for_good(void)
{
    starve(false, (long)test_step(3));
}

/* Lines that can't be repeated once they happened, such as a close that did without: each request
 * in a script of its own. */
static void starved_lines_may_succeed(void)
{
    for (uint32_t at = 0; at < scene_script_size; at++) {
        const struct scene_line *line = &scene_script[at];
        if (line->kind != SCENE_CLOSE && line->kind != SCENE_CHECKPOINT &&
            line->kind != SCENE_DELETE)
            continue;
        bool fired = true;
        for (long n = 0; fired; n += (long)test_step(7)) {
            struct sim *sim = sim_create(1);
            struct scene scene;
            scene_init(&scene, sim);
            scene_play_all(&scene, at);
            scene_prepare(&scene, line);
            bool happened = false;
            if (play_starved(&scene, line, n, true, &fired) != OMENDB_OK)
                (void)scene_recover(&scene, &happened);
            else if (scene.store == NULL) (void)scene_play(&scene, &scene_script[0], NULL);
            if (scene.failure[0] == '\0') (void)scene_verify(&scene, true);
            if (scene.failure[0] != '\0')
                fprintf(stderr, "line %u, request %ld: %s\n", at, n, scene.failure);
            CHECK(scene.failure[0] == '\0');
            scene_deinit(&scene);
            sim_destroy(sim);
        }
    }
}

static const struct test tests[] = {
    {"a_failing_call_costs_one_line", a_failing_call_costs_one_line},
    {"a_failing_read_costs_one_line", a_failing_read_costs_one_line},
    {"a_failing_minor_call_costs_one_line", a_failing_minor_call_costs_one_line},
    {"a_lying_disk_is_noticed", a_lying_disk_is_noticed},
    {"a_full_disk_can_be_used_again", a_full_disk_can_be_used_again},
    {"every_request_for_memory_may_fail", every_request_for_memory_may_fail},
    {"memory_may_be_short_for_good", memory_may_be_short_for_good},
    {"starved_lines_may_succeed", starved_lines_may_succeed},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
