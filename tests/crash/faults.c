#include "crash/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "crash/campaign.h"

bool test_long(void)
{
    const char *value = getenv("OMENDB_TEST_LONG");
    return value != NULL && strcmp(value, "1") == 0;
}

uint64_t test_step(uint64_t usual)
{
    if (test_long()) return 1;
#if defined(__SANITIZE_ADDRESS__)
    return usual * 5;
#else
    return usual;
#endif
}

/* Does the disk itself lie about this fault? Then an image may be damaged. */
static bool lies(enum sim_fault fault)
{
    return fault == SIM_FAULT_LOST_WRITE || fault == SIM_FAULT_MISDIRECTED;
}

static bool explained(const struct fault_life *life, omendb_status status)
{
    /* MISUSE: the handle was fenced by the failure. */
    if (status == OMENDB_ERR_IO || status == OMENDB_ERR_MISUSE) return true;
    if (status == OMENDB_ERR_FULL)
        return !life->read &&
               (life->fault == SIM_FAULT_FULL || life->fault == SIM_FAULT_SHORT_WRITE);
    return status == OMENDB_ERR_CORRUPT && (life->read || lies(life->fault));
}

bool image_is_right_or_reported(const struct run *parent, struct sim *sim, uint64_t *reported,
                                char failure[RUN_TEXT])
{
    struct run run;
    run_fork(&run, parent, sim, 7);
    run.world.generation = 0; /* Redundancy is meant to help. */
    run.world.durable = run.world.covered;
    run.rotten = true;
    if (run_open(&run, false)) (void)run_verify(&run, run.world.acknowledged, false);
    const bool noticed = strncmp(run.failure, "reading:", 8) == 0;
    if (noticed) ++*reported;
    else if (run.failure[0] != '\0') memcpy(failure, run.failure, RUN_TEXT);
    run_abandon(&run);
    return noticed || run.failure[0] == '\0';
}

static bool machine_crashes(struct fault_life *life, struct run *run, enum sim_mode mode)
{
    struct sim *sim = sim_clone(run->sim);
    uint64_t sequence = 0;
    char text[RUN_TEXT] = "";
    sim_reboot(sim, mode, life->call);
    const bool good = lies(life->fault)
                          ? image_is_right_or_reported(run, sim, &life->reported, text)
                          : image_recovers(run, sim, false, &sequence, text);
    sim_destroy(sim);
    return good || run_failed(run, "crash mode %d: %.300s", (int)mode, text);
}

/* A failed call: its status, and what readers of this handle see now. */
static bool looks_around(struct fault_life *life, struct run *run, omendb_status status)
{
    life->failures++;
    if (!explained(life, status)) return run_failed(run, "status %d isn't explained", (int)status);
    if (run->store == NULL) return true;
    if (!run_verify(run, run->world.acknowledged, false)) {
        if (!lies(life->fault)) return false;
        if (strncmp(run->failure, "reading:", 8) != 0) return false;
        run->failure[0] = '\0';
        life->reported++;
    }
    return true;
}

/* Ends a fenced handle. The machine goes on: only a failed sync may have cost something. */
static bool ends(struct fault_life *life, struct run *run)
{
    omendb_status status = OMENDB_OK;
    life->fenced++;
    (void)run_close(run, &status);
    if (run->failure[0] == '\0' && status == OMENDB_OK)
        return run_failed(run, "a fenced handle was closed without a word");
    return run->failure[0] == '\0';
}

static bool begins(struct fault_life *life, struct run *run)
{
    const bool killed = life->call != 0 && life->fault != SIM_FAULT_SYNC_KEEPS &&
                        life->fault != SIM_FAULT_SYNC_REVERTS && !lies(life->fault);
    for (int tries = 0; tries < 2 && run->store == NULL; tries++) {
        if (run_open(run, killed)) break;
        if (run->failure[0] != '\0') return false;
    }
    return run->store != NULL || run_failed(run, "it can't be opened again");
}

static bool works(struct fault_life *life, struct run *run)
{
    uint32_t bad = 0;
    for (uint32_t step = 0; step < life->steps; step++) {
        omendb_status status = OMENDB_OK;
        if (run->store == NULL && !begins(life, run)) return false;
        if (run_step(run, &status)) continue;
        if (run->failure[0] != '\0') return false;
        if (status == OMENDB_OK) continue; /* Closed, and not opened: next time. */
        if (++bad > 4) return run_failed(run, "one fault, and still failing: %d", (int)status);
        if (!looks_around(life, run, status)) return false;
        if (run->store != NULL && run_fenced(run) && !ends(life, run)) return false;
    }
    return run->store != NULL || begins(life, run);
}

static bool lives(struct fault_life *life, struct run *run)
{
    omendb_status status = OMENDB_OK;
    if (!works(life, run)) return false;
    life->calls = sim_calls(run->sim);
    life->reads = sim_call_count(run->sim, SIM_READ);
    for (int mode = SIM_NONE; mode <= SIM_PREFIX_TORN; mode++)
        if (!machine_crashes(life, run, (enum sim_mode)mode)) return false;
    if (!run_verify(run, run->world.acknowledged, !lies(life->fault))) return false;
    if (!run_close(run, &status)) {
        if (run->failure[0] != '\0' || !explained(life, status)) return false;
    } else if (!machine_crashes(life, run, SIM_NONE)) {
        return false;
    }
    if (lies(life->fault)) return true;
    if (!begins(life, run) || !run_verify(run, run->world.acknowledged, true)) return false;
    run_abandon(run);
    return true;
}

bool fault_life(struct fault_life *life)
{
    struct sim *sim = sim_create(life->seed);
    struct run run;
    const uint64_t before = alloc_bytes();
    run_init(&run, sim, life->seed);
    run.faults = life->call != 0;
    if (life->read) sim_fail_read_at(sim, life->call);
    else if (life->call != 0) sim_fail_at(sim, life->call, life->fault);
    const bool good = lives(life, &run);
    if (!good) memcpy(life->failure, run.failure, RUN_TEXT);
    run_abandon(&run);
    if (good && alloc_bytes() != before)
        (void)snprintf(life->failure, RUN_TEXT, "%lld bytes were not given back",
                       (long long)(alloc_bytes() - before));
    sim_destroy(sim);
    return life->failure[0] == '\0';
}
