#include "crash/campaign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

/* How often: one in so many. */
enum {
    VIEW_FULLY = 16,  /* calls: readers compare everything, not only the sequence. */
    LIVE_ON = 24,     /* images: lives follow. */
    ROT = 32,         /* images: bits flip. */
    BULK = 10,        /* calls of the workload with many documents. */
    CLOSE_AGAIN = 16, /* images: a clean close and another open. */
    LIFE_CALLS = 60,  /* A life ends within so many calls ... */
    LIFE_STEPS = 40   /* ... or steps. */
};

static const char *const mode_names[] = {"none",   "all",      "subset", "prefix",
                                         "zeroed", "extended", "kill"};
/* Seeds that each mode is tried with at a call: none and all know no chance. */
static const uint32_t mode_seeds[SIM_CRASH_MODES] = {1, 1, 3, 3, 2, 2};

void campaign_init(struct campaign *campaign)
{
    *campaign = (struct campaign){.seen_capacity = 1 << 12, .states_max = UINT64_MAX};
    campaign->seen = calloc(campaign->seen_capacity, sizeof *campaign->seen);
    if (campaign->seen == NULL) abort();
}

void campaign_deinit(struct campaign *campaign)
{
    free(campaign->seen);
}

static uint32_t chance(struct campaign *campaign, uint32_t limit)
{
    return (uint32_t)(random_next(&campaign->random) % limit);
}

/* ---- Known images ---- */

static struct seen *seen_at(struct campaign *campaign, uint64_t hash)
{
    size_t at = (size_t)hash & (campaign->seen_capacity - 1);
    while (campaign->seen[at].hash != 0 && campaign->seen[at].hash != hash)
        at = (at + 1) & (campaign->seen_capacity - 1);
    return &campaign->seen[at];
}

static void seen_grow(struct campaign *campaign)
{
    struct seen *old = campaign->seen;
    const size_t count = campaign->seen_capacity;
    campaign->seen_capacity *= 2;
    campaign->seen = calloc(campaign->seen_capacity, sizeof *campaign->seen);
    if (campaign->seen == NULL) abort();
    for (size_t i = 0; i < count; i++)
        if (old[i].hash != 0) *seen_at(campaign, old[i].hash) = old[i];
    free(old);
}

static void seen_add(struct campaign *campaign, uint64_t hash, uint64_t sequence)
{
    struct tally *tally = &campaign->tally;
    if (2 * ++campaign->seen_count > campaign->seen_capacity) seen_grow(campaign);
    *seen_at(campaign, hash) = (struct seen){.hash = hash, .sequence = sequence};
    if (campaign->hashes != NULL && tally->states < campaign->hashes_max)
        campaign->hashes[tally->states] = hash;
    tally->states++;
}

/* ---- One image ---- */

struct moment { /* Where an image comes from, for messages. */
    uint64_t call;
    enum sim_mode mode;
    uint64_t seed;
    uint32_t life;
};

static bool found(struct campaign *campaign, const struct moment *moment, const char *text)
{
    if (campaign->failure[0] != '\0') return false;
    (void)snprintf(campaign->failure, sizeof campaign->failure,
                   "workload %llu, life %u, call %llu, mode %s, seed %llx, state %llu: %s",
                   (unsigned long long)campaign->seed, moment->life,
                   (unsigned long long)moment->call, mode_names[moment->mode],
                   (unsigned long long)moment->seed, (unsigned long long)campaign->tally.states,
                   text);
    return false;
}

static bool lives_on(struct campaign *campaign, struct run *run, uint32_t life);

static bool generation_is_kept(struct run *run)
{
    uint32_t slot = 0, valid = 0;
    const uint64_t generation = image_generation(run->sim, &slot, &valid);
    if (generation >= run->world.generation) return true;
    return run_failed(run, "the newest superblock is of generation %llu, %llu was called durable",
                      (unsigned long long)generation, (unsigned long long)run->world.generation);
}

static bool closes_again(struct campaign *campaign, struct run *run)
{
    omendb_status status = OMENDB_OK;
    campaign->tally.reopened++;
    return run_close(run, &status) && run_open(run, false) &&
           run_verify(run, run->world.acknowledged, true);
}

bool image_recovers(struct run *parent, struct sim *sim, bool killed, uint64_t *sequence,
                    char failure[RUN_TEXT])
{
    struct run run;
    run_fork(&run, parent, sim, 1);
    const bool good = generation_is_kept(&run) && run_open(&run, killed) &&
                      run_verify(&run, run.world.acknowledged, true);
    if (good) *sequence = run.world.acknowledged;
    else memcpy(failure, run.failure, RUN_TEXT);
    run_abandon(&run);
    return good;
}

/* ---- Rot ---- */

/* Flips one bit in a copy of the image. Everything that comes out must be right, and not older
 * than what is known to have been durable; or it is reported. */
static bool rots(struct campaign *campaign, const struct run *parent, struct sim *image,
                 const char *path, uint64_t offset, bool must_recover, const struct moment *moment)
{
    struct sim *sim = sim_clone(image);
    struct run run;
    bool good = true;
    sim_reboot(sim, SIM_NONE, 0);
    if (!sim_flip(sim, path, offset, (uint8_t)(1u << chance(campaign, 8)))) {
        sim_destroy(sim);
        return true;
    }
    run_fork(&run, parent, sim, offset);
    run.world.generation = 0; /* Here redundancy is meant to help. */
    if (!must_recover) run.world.durable = run.world.covered;
    run.rotten = true;
    if (run_open(&run, false)) (void)run_verify(&run, run.world.acknowledged, false);
    /* Readers may be told that something is corrupt; anything else is wrong. */
    const bool reported = strncmp(run.failure, "reading:", 8) == 0;
    if (run.failure[0] == '\0') campaign->tally.rot_right++;
    else if (reported && !must_recover) campaign->tally.rot_reported++;
    else {
        char text[RUN_TEXT + 100];
        (void)snprintf(text, sizeof text, "rot in %s at %llu: %s", path, (unsigned long long)offset,
                       run.failure);
        good = found(campaign, moment, text);
    }
    run_abandon(&run);
    sim_destroy(sim);
    return good;
}

struct log_pick {
    uint64_t number, count, wanted;
};

static void log_seen(void *context, const char *suffix)
{
    struct log_pick *pick = context;
    if (pick->count++ == pick->wanted) pick->number = strtoull(suffix, NULL, 10);
}

static bool image_rots(struct campaign *campaign, const struct run *parent, struct sim *image,
                       const struct moment *moment)
{
    uint32_t slot = 0, valid = 0;
    struct log_pick pick = {.wanted = UINT64_MAX};
    const uint64_t generation = image_generation(image, &slot, &valid);
    if (generation == 0) return true;
    /* Both superblocks are whole: without the newest the other and the log hold everything. */
    if (!rots(campaign, parent, image, run_path,
              (uint64_t)slot * BLOCK_SIZE + chance(campaign, 512), valid == 2, moment))
        return false;
    if (!rots(campaign, parent, image, run_path, chance(campaign, 40 * BLOCK_SIZE), false, moment))
        return false;
    char prefix[64], path[96];
    (void)snprintf(prefix, sizeof prefix, "%s-wal-", run_path);
    (void)vfs_list(sim_vfs(image), prefix, log_seen, &pick, NULL);
    if (pick.count == 0) return true;
    pick = (struct log_pick){.wanted = chance(campaign, (uint32_t)pick.count)};
    (void)vfs_list(sim_vfs(image), prefix, log_seen, &pick, NULL);
    (void)snprintf(path, sizeof path, "%s%llu", prefix, (unsigned long long)pick.number);
    return rots(campaign, parent, image, path, chance(campaign, 8) * 4096u + chance(campaign, 256),
                false, moment);
}

/* ---- Recovering, and going on ---- */

/* Takes the rebooted disk. `life`: crashes that lie behind it. */
static bool image_lives(struct campaign *campaign, const struct run *parent, struct sim *sim,
                        const struct moment *moment, bool go_on, uint64_t *sequence)
{
    struct run run;
    bool good = true;
    const bool killed = moment->mode == SIM_PROCESS_KILL;
    if (!killed && chance(campaign, ROT) == 0) good = image_rots(campaign, parent, sim, moment);
    run_fork(&run, parent, sim, moment->seed + moment->call);
    campaign->tally.lives[moment->life]++;
    if (good) {
        good = generation_is_kept(&run) && run_open(&run, killed) &&
               run_verify(&run, run.world.acknowledged, true);
        *sequence = run.world.acknowledged;
        if (good && chance(campaign, CLOSE_AGAIN) == 0) good = closes_again(campaign, &run);
        if (good && go_on && moment->life < LIVES_MAX)
            good = lives_on(campaign, &run, moment->life);
        if (!good) (void)found(campaign, moment, run.failure);
    }
    run_abandon(&run);
    sim_destroy(sim);
    return good;
}

/* What `run`'s disk may be after a crash now. */
static bool image_taken(struct campaign *campaign, const struct run *run,
                        const struct moment *moment, bool go_on)
{
    struct sim *sim = sim_clone(run->sim);
    uint64_t sequence = 0;
    sim_reboot(sim, moment->mode, moment->seed);
    if (moment->mode == SIM_PROCESS_KILL) {
        campaign->tally.killed++;
        return image_lives(campaign, run, sim, moment, go_on, &sequence);
    }
    const uint64_t hash = sim_hash(sim) | 1;
    const struct seen *seen = seen_at(campaign, hash);
    if (seen->hash != hash) {
        if (!image_lives(campaign, run, sim, moment, go_on, &sequence)) return false;
        seen_add(campaign, hash, sequence);
        campaign->tally.by_mode[moment->mode]++;
        return true;
    }
    char text[RUN_TEXT] = "";
    uint32_t slot = 0, valid = 0;
    campaign->tally.repeated++;
    if (seen->sequence < run->world.durable || seen->sequence > run->world.started)
        (void)snprintf(text, sizeof text, "recovers to %llu, durable is %llu, started %llu",
                       (unsigned long long)seen->sequence, (unsigned long long)run->world.durable,
                       (unsigned long long)run->world.started);
    else if (image_generation(sim, &slot, &valid) < run->world.generation)
        (void)snprintf(text, sizeof text, "generation %llu was called durable, the newest is older",
                       (unsigned long long)run->world.generation);
    sim_destroy(sim);
    return text[0] == '\0' || found(campaign, moment, text);
}

/* All modes at this moment; one of the images may live on. */
static bool images_taken(struct campaign *campaign, struct run *run, uint64_t call, uint32_t life,
                         uint32_t live_on)
{
    for (uint32_t mode = 0; mode < SIM_CRASH_MODES; mode++) {
        for (uint32_t i = 0; i < mode_seeds[mode]; i++) {
            const struct moment moment = {.call = call,
                                          .mode = (enum sim_mode)mode,
                                          .seed = random_next(&campaign->random),
                                          .life = life};
            if (!image_taken(campaign, run, &moment, chance(campaign, live_on) == 0)) return false;
        }
    }
    if (chance(campaign, 4) != 0) return true;
    const struct moment moment = {.call = call, .mode = SIM_PROCESS_KILL, .life = life};
    return image_taken(campaign, run, &moment, chance(campaign, live_on) == 0);
}

/* ---- Later lives ---- */

static void run_until_crash(struct run *run)
{
    omendb_status status = OMENDB_OK;
    for (uint32_t step = 0; step < LIFE_STEPS && !sim_crashed(run->sim); step++)
        if (!run_step(run, &status)) break;
}

/* Goes on with a recovered database until it crashes; sometimes the recovery after that crashes. */
static bool lives_on(struct campaign *campaign, struct run *run, uint32_t life)
{
    sim_crash_at(run->sim, sim_calls(run->sim) + 1 + chance(campaign, LIFE_CALLS));
    run_until_crash(run);
    if (run->failure[0] != '\0') return false;
    if (!sim_crashed(run->sim)) return true;
    const uint64_t call = sim_calls(run->sim);
    run_abandon(run);
    /* On a copy: an image that recovers must be found again by the next crash. */
    return images_taken(campaign, run, call, life + 1, life + 1 < LIVES_MAX ? 6 : UINT32_MAX);
}

/* ---- The first life ---- */

static void before_call(void *context, struct sim *sim, const struct sim_call *call)
{
    struct campaign *campaign = context;
    struct run *run = &campaign->run;
    (void)sim;
    if (campaign->failure[0] != '\0' || campaign->tally.states >= campaign->states_max) return;
    struct store *store = run->store != NULL ? run->store : run->closing;
    if (store != NULL) run_claim(run, store);
    if (run->store != NULL) {
        struct run reader = *run; /* Failures of readers aren't the workload's. */
        campaign->tally.reader_views++;
        const uint64_t visible = atomic_load_acquire_u64(&run->store->space.epoch.visible_sequence);
        /* A batch that is logged and visible, whose commit works on an index before it returns. */
        const bool returning = run->store->index_inline && visible == run->world.acknowledged + 1;
        if (returning) {
            /* Nothing to compare with until it is acknowledged. */
        } else if (chance(campaign, VIEW_FULLY) == 0) {
            (void)run_verify(&reader, run->world.acknowledged, false);
        } else if (visible != run->world.acknowledged) {
            (void)run_failed(&reader, "readers see a batch that isn't acknowledged");
        }
        if (reader.failure[0] != '\0') {
            const struct moment moment = {.call = call->number, .mode = SIM_PROCESS_KILL};
            (void)found(campaign, &moment, reader.failure);
            return;
        }
    }
    /* Recovering thousands of documents takes its time: not at every call. */
    if (run->world.profile == PROFILE_BULK && chance(campaign, BULK) != 0) return;
    (void)images_taken(campaign, run, call->number, 1, LIVE_ON);
}

static void tally_store(struct campaign *campaign)
{
    const struct store *store = campaign->run.store;
    if (store == NULL) return;
    campaign->tally.checkpoints += store->checkpoints;
    campaign->tally.batches += store->commits;
    campaign->tally.recycled += store->wal.recycled;
    campaign->tally.segments += store->wal.writing; /* Numbers are given once. */
    for (size_t i = 0; i < store->collections_count; i++)
        campaign->tally.grown += store->collections[i]->growth_count;
}

bool campaign_workload(struct campaign *campaign, uint64_t seed, uint32_t steps)
{
    struct run *run = &campaign->run;
    struct sim *sim = sim_create(seed);
    omendb_status status = OMENDB_OK;
    campaign->seed = seed;
    campaign->random = seed ^ UINT64_C(0x6372617368);
    run_init(run, sim, seed);
    sim_on_call(sim, before_call, campaign);
    bool good = run_open(run, false);
    for (uint32_t step = 0; good && step < steps; step++) {
        good = run_step(run, &status) && campaign->failure[0] == '\0';
        if (campaign->tally.states >= campaign->states_max) break;
    }
    tally_store(campaign);
    if (good && run->store != NULL) good = run_verify(run, run->world.acknowledged, true);
    if (good && run->store != NULL) good = run_close(run, &status);
    if (good && campaign->failure[0] == '\0' && campaign->tally.states < campaign->states_max) {
        good = run_open(run, false) && run_verify(run, run->world.acknowledged, true);
    }
    campaign->tally.workloads++;
    campaign->tally.calls += sim_calls(sim);
    if (!good && run->failure[0] != '\0') {
        const struct moment moment = {.call = sim_calls(sim), .mode = SIM_PROCESS_KILL};
        (void)found(campaign, &moment, run->failure);
    }
    run_abandon(run);
    sim_destroy(sim);
    return campaign->failure[0] == '\0';
}
