#include "crash/outage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "crash/campaign.h"
#include "doc/schema.h"

enum {
    CALLS_MAX = 4096,
    FULL_STEPS = 4,
    AFTER_STEPS = 6,
    LATER_STEPS = 12,
    LATER_CALLS = 60,
    LATER_CRASHES = 2,
    LATER_MODES = 3
};

static const char *const fault_names[] = {"io",          "full",       "sync keeps", "sync reverts",
                                          "short write", "lost write", "misdirected"};

static bool fault_told(char *failure, uint64_t seed, uint64_t call, const char *kind,
                       const char *text)
{
    if (failure[0] == '\0')
        (void)snprintf(failure, 2 * RUN_TEXT, "workload %llu, %s at call %llu: %s",
                       (unsigned long long)seed, kind, (unsigned long long)call, text);
    return false;
}

static void *memory_for(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) abort();
    return memory;
}

/* ---- The kinds of the calls ---- */

struct kinds {
    uint8_t of[CALLS_MAX];
    uint64_t count;
};

static void kind_noted(void *context, struct sim *sim, const struct sim_call *call)
{
    struct kinds *kinds = context;
    (void)sim;
    if (call->number >= CALLS_MAX) return;
    kinds->of[call->number] = (uint8_t)call->kind;
    kinds->count = call->number;
}

static bool calls_learn(uint64_t seed, uint32_t steps, struct kinds *kinds, char *failure)
{
    struct sim *sim = sim_create(seed);
    struct run *run = memory_for(sizeof *run);
    omendb_status status = OMENDB_OK;
    run_init(run, sim, seed);
    sim_on_call(sim, kind_noted, kinds);
    bool good = run_open(run, false);
    for (uint32_t step = 0; good && step < steps; step++) good = run_step(run, &status);
    if (!good) (void)fault_told(failure, seed, 0, "nothing", run->failure);
    run_abandon(run);
    sim_destroy(sim);
    free(run);
    return good;
}

/* ---- After the failure ---- */

static bool comes_back_in(const struct run *run, enum sim_mode mode, bool killed, uint64_t call,
                          char text[RUN_TEXT])
{
    struct sim *sim = sim_clone(run->sim);
    struct run *next = memory_for(sizeof *next);
    omendb_status status = OMENDB_OK;
    sim_reboot(sim, mode, call);
    run_fork(next, run, sim, call + (uint64_t)mode);
    bool good = run_open(next, killed) && run_verify(next, next->world.acknowledged, true);
    if (good) { /* What has been shown is durable from now on. */
        struct sim *again = sim_clone(sim);
        uint64_t sequence = 0;
        sim_reboot(again, SIM_NONE, call);
        good = image_recovers(next, again, false, &sequence, text);
        sim_destroy(again);
    }
    for (uint32_t step = 0; good && step < AFTER_STEPS; step++) good = run_step(next, &status);
    if (good && next->store != NULL) good = run_close(next, &status);
    if (next->failure[0] != '\0') memcpy(text, next->failure, RUN_TEXT);
    run_abandon(next);
    sim_destroy(sim);
    free(next);
    return text[0] == '\0';
}

/* The next process believes a page cache that may hold what the disk doesn't; then the machine ends
 * at some call of it. */
static bool crashes_later(const struct run *run, bool killed, uint64_t call, uint32_t crash,
                          char text[RUN_TEXT])
{
    static const enum sim_mode modes[LATER_MODES] = {SIM_NONE, SIM_RANDOM_SUBSET, SIM_PREFIX_TORN};
    struct sim *sim = sim_clone(run->sim), *after = NULL;
    struct run *next = memory_for(sizeof *next);
    omendb_status status = OMENDB_OK;
    uint64_t sequence = 0;
    sim_reboot(sim, SIM_PROCESS_KILL, call);
    run_fork(next, run, sim, call + crash);
    sim_crash_at(sim, crash);
    bool good = run_open(next, killed);
    for (uint32_t step = 0; good && step < LATER_STEPS; step++) good = run_step(next, &status);
    run_abandon(next);
    good = next->failure[0] == '\0';
    for (size_t i = 0; good && i < COUNT_OF(modes); i++) {
        after = sim_clone(sim);
        sim_reboot(after, modes[i], crash);
        good = image_recovers(next, after, false, &sequence, text);
        sim_destroy(after);
    }
    if (next->failure[0] != '\0') memcpy(text, next->failure, RUN_TEXT);
    sim_destroy(sim);
    free(next);
    return good;
}

/* The process ends, and perhaps the machine; all must find what was acknowledged. `cache_lost`: the
 * page cache has forgotten what wasn't durable, so that a new process doesn't find it either. */
static bool comes_back(const struct run *run, uint64_t call, bool cache_lost,
                       struct outage_tally *tally, char text[RUN_TEXT])
{
    bool good = true;
    for (uint32_t mode = 0; good && mode <= SIM_PROCESS_KILL; mode++) {
        good = comes_back_in(run, (enum sim_mode)mode, mode == SIM_PROCESS_KILL && !cache_lost,
                             call, text);
        tally->recovered++;
    }
    uint64_t random = call;
    for (uint32_t i = 0; good && i < LATER_CRASHES; i++) {
        const uint32_t crash = 1 + (uint32_t)(random_next(&random) % LATER_CALLS);
        good = crashes_later(run, !cache_lost, call, crash, text);
        tally->recovered += LATER_MODES;
    }
    return good;
}

static void stays_fenced(struct run *run)
{
    omendb_error error = {0};
    omendb_schema none = OMENDB_SCHEMA_INIT;
    struct schema *schema = NULL;
    if (schema_create(&none, &schema, &error) != OMENDB_OK)
        (void)run_failed(run, "schema: %s", error.message);
    else if (store_collection_create(run->store, "late", schema, NULL, &error) == OMENDB_OK)
        (void)run_failed(run, "a fenced database was written to");
    else if (store_sync(run->store, &error) == OMENDB_OK)
        (void)run_failed(run, "a fenced database was synced");
    else if (store_checkpoint(run->store, &error) == OMENDB_OK)
        (void)run_failed(run, "a fenced database made a checkpoint");
}

/* Runs into the failure and on to the end, or to the fence. */
static void outage_met(struct run *run, uint32_t steps, struct outage_tally *tally)
{
    bool met = !run_open(run, false);
    for (uint32_t step = 0; step < steps && run->store != NULL && run->failure[0] == '\0'; step++) {
        omendb_status status = OMENDB_OK;
        if (run_step(run, &status)) continue;
        met = true;
        if (run->store == NULL || run->failure[0] != '\0') break;
        if (!run_verify(run, run->world.acknowledged, false)) break;
        if (!run_fenced(run)) continue;
        tally->fenced++;
        stays_fenced(run);
        (void)run_verify(run, run->world.acknowledged, false);
        break;
    }
    tally->met += met;
    if (sim_synced_after_failure(run->sim))
        (void)run_failed(run, "a file was synced again after its sync had failed");
}

static bool outage_at(uint64_t seed, uint32_t steps, uint64_t call, enum sim_fault fault,
                      struct outage_tally *tally, char *failure)
{
    struct sim *sim = sim_create(seed);
    struct run *run = memory_for(sizeof *run);
    char text[RUN_TEXT] = "";
    run_init(run, sim, seed);
    run->faults = true;
    sim_fail_at(sim, call, fault);
    tally->runs++;
    outage_met(run, steps, tally);
    memcpy(text, run->failure, RUN_TEXT);
    run->world.generation = 0; /* Which image is the live one may be open now. */
    if (text[0] == '\0') (void)comes_back(run, call, fault == SIM_FAULT_SYNC_REVERTS, tally, text);
    if (text[0] != '\0') (void)fault_told(failure, seed, call, fault_names[fault], text);
    run_abandon(run);
    sim_destroy(sim);
    free(run);
    return text[0] == '\0';
}

static bool outages(uint64_t seed, uint32_t steps, bool syncs_only, struct outage_tally *tally,
                    char *failure)
{
    static const enum sim_fault of_write[] = {SIM_FAULT_IO, SIM_FAULT_SHORT_WRITE};
    static const enum sim_fault of_sync[] = {SIM_FAULT_SYNC_KEEPS, SIM_FAULT_SYNC_REVERTS};
    static const enum sim_fault of_others[] = {SIM_FAULT_IO, SIM_FAULT_FULL};
    struct kinds *kinds = memory_for(sizeof *kinds);
    bool good = calls_learn(seed, steps, kinds, failure);
    for (uint64_t call = 1; good && call <= kinds->count; call++) {
        const enum sim_fault *faults = kinds->of[call] == SIM_WRITE  ? of_write
                                       : kinds->of[call] == SIM_SYNC ? of_sync
                                                                     : of_others;
        if (syncs_only && faults != of_sync) continue;
        for (uint32_t i = 0; good && i < 2; i++)
            good = outage_at(seed, steps, call, faults[i], tally, failure);
    }
    free(kinds);
    return good;
}

bool outages_of_syncs(uint64_t seed, uint32_t steps, struct outage_tally *tally,
                      char failure[2 * RUN_TEXT])
{
    return outages(seed, steps, true, tally, failure);
}

bool outages_of_calls(uint64_t seed, uint32_t steps, struct outage_tally *tally,
                      char failure[2 * RUN_TEXT])
{
    return outages(seed, steps, false, tally, failure);
}

/* ---- A full disk ---- */

static void disk_fills(void *context, struct sim *sim, const struct sim_call *call)
{
    const uint64_t *from = context;
    if (call->number == *from) sim_set_disk_limit(sim, 1); /* Nothing can be added. */
}

/* The machine ends, and the disk is still full: reading must be possible. */
static bool reads_when_full(struct run *run, uint64_t call, char text[RUN_TEXT])
{
    struct sim *sim = sim_clone(run->sim);
    uint64_t sequence = 0;
    uint32_t slot = 0, valid = 0;
    bool good = true;
    sim_reboot(sim, SIM_ALL, call);
    if (image_generation(sim, &slot, &valid) != 0)
        good = image_recovers(run, sim, false, &sequence, text);
    sim_destroy(sim);
    return good;
}

/* Until the full disk has refused a few steps; false: the database isn't open. */
static bool refuses_when_full(struct run *run, uint32_t steps, struct outage_tally *tally)
{
    uint32_t refused = 0;
    bool opened = run_open(run, false);
    for (uint32_t step = 0; step < steps && refused < FULL_STEPS && opened; step++) {
        omendb_status status = OMENDB_OK;
        if (run_step(run, &status)) continue;
        if (run->failure[0] != '\0') break;
        if (status != OMENDB_OK && status != OMENDB_ERR_FULL)
            (void)run_failed(run, "a full disk gave status %d", (int)status);
        refused++;
        opened = run->store != NULL;
        if (opened && run_fenced(run)) (void)run_failed(run, "a full disk has fenced the database");
        if (opened) (void)run_verify(run, run->world.acknowledged, false);
    }
    tally->met += refused != 0;
    return opened;
}

static bool full_at(uint64_t seed, uint32_t steps, uint64_t call, struct outage_tally *tally,
                    char *failure)
{
    struct sim *sim = sim_create(seed);
    struct run *run = memory_for(sizeof *run);
    char text[RUN_TEXT] = "";
    run_init(run, sim, seed);
    run->faults = true;
    sim_on_call(sim, disk_fills, &call);
    tally->runs++;
    const bool opened = refuses_when_full(run, steps, tally);
    run->world.generation = 0;
    bool good = run->failure[0] == '\0' && reads_when_full(run, call, text);
    sim_set_disk_limit(sim, 0);
    sim_on_call(sim, NULL, NULL);
    run->faults = false;
    if (good && !opened) good = run_open(run, true);
    for (uint32_t step = 0; good && step < AFTER_STEPS; step++) {
        omendb_status status = OMENDB_OK;
        good = run_step(run, &status);
        if (!good) (void)run_failed(run, "status %d after space came back", (int)status);
    }
    if (good) (void)run_verify(run, run->world.acknowledged, true);
    if (run->failure[0] != '\0') memcpy(text, run->failure, RUN_TEXT);
    if (text[0] == '\0') (void)comes_back(run, call, false, tally, text);
    if (text[0] != '\0') (void)fault_told(failure, seed, call, "disk full", text);
    run_abandon(run);
    sim_destroy(sim);
    free(run);
    return text[0] == '\0';
}

bool outages_of_space(uint64_t seed, uint32_t steps, uint32_t stride, struct outage_tally *tally,
                      char failure[2 * RUN_TEXT])
{
    struct kinds *kinds = memory_for(sizeof *kinds);
    bool good = calls_learn(seed, steps, kinds, failure);
    for (uint64_t call = 1 + seed % stride; good && call <= kinds->count; call += stride)
        good = full_at(seed, steps, call, tally, failure);
    free(kinds);
    return good;
}
