#include "crash/workload.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "crash/content.h"
#include "doc/schema.h"
#include "index/vector/vector_index.h"
#include "query/indexes.h"

const char run_path[] = "/db/x.omen";

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15); /* SplitMix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint32_t random_below(struct run *run, uint32_t limit)
{
    return (uint32_t)(random_next(&run->world.random) % limit);
}

bool run_failed(struct run *run, const char *format, ...)
{
    va_list args;
    if (run->failure[0] != '\0') return false; /* The first one counts. */
    va_start(args, format);
    (void)vsnprintf(run->failure, sizeof run->failure, format, args);
    va_end(args);
    return false;
}

static struct world_state *state_at(struct world *world, uint64_t sequence)
{
    return &world->history[sequence % WORLD_HISTORY];
}

/* The batch is published and in the log as it was asked for; only store_commit() hasn't returned. */
static void work_began(void *context)
{
    struct run *run = context;
    if (run->store == NULL) return;
    const uint64_t visible = atomic_load_acquire_u64(&run->store->space.epoch.visible_sequence);
    if (visible > run->world.acknowledged) run->world.acknowledged = visible;
}

static void toy_wire(struct run *run)
{
    if (!run->indexed) return;
    run->toy.began = work_began;
    run->toy.began_context = run;
    run->options.hooks = toy_hooks(&run->toy);
}

void run_init(struct run *run, struct sim *sim, uint64_t seed)
{
    static const uint64_t log_sizes[] = {64 << 10, 200 << 10, 400 << 10};
    static const enum world_profile profiles[] = {PROFILE_MIXED, PROFILE_CHURN, PROFILE_UNSYNCED,
                                                  PROFILE_MIXED, PROFILE_CHURN, PROFILE_UNSYNCED,
                                                  PROFILE_MIXED, PROFILE_BULK};
    *run = (struct run){.sim = sim};
    struct world *world = &run->world;
    world->random = seed;
    (void)random_next(&world->random);
    world->profile = profiles[seed % COUNT_OF(profiles)];
    world->group_size = world->profile == PROFILE_BULK ? 150 : 1;
    run->options = (struct store_options){
        .vfs = sim_vfs(sim),
        .path = run_path,
        .durability = OMENDB_DURABILITY_FULL,
        .interval_ms = 100,
        .wal_size_max = log_sizes[random_next(&world->random) % COUNT_OF(log_sizes)],
        .wal_segment_size = WAL_SEGMENT_MIN,
        .hooks = *indexes_hooks_all()};
    static const uint32_t checkpoints[] = {0, 2, 5};
    run->indexed = seed / COUNT_OF(profiles) % 2 == 0;
    run->toy = (struct toy){.piece = 1 + (uint32_t)seed % 5,
                            .checkpoint_each = checkpoints[seed % COUNT_OF(checkpoints)]};
    if (world->profile == PROFILE_BULK) run->toy.piece *= 100;
    toy_wire(run);
}

void run_fork(struct run *run, const struct run *from, struct sim *sim, uint64_t seed)
{
    *run = *from;
    run->sim = sim;
    run->store = NULL;
    run->options.vfs = sim_vfs(sim);
    toy_wire(run);
    run->world.random ^= random_next(&seed);
    run->faults = false;
}

bool run_fenced(const struct run *run)
{
    return atomic_load_acquire_u32(&run->store->fenced) != 0;
}

uint64_t image_generation(struct sim *sim, uint32_t *slot, uint32_t *valid)
{
    struct file *file = NULL;
    uint64_t newest = 0;
    *valid = 0;
    if (file_open(sim_vfs(sim), run_path, FILE_READ_ONLY, &file, NULL) != OMENDB_OK) return 0;
    for (uint32_t i = 0; i < 2; i++) {
        struct superblock superblock = {0};
        if (superblock_read(file, i, &superblock, NULL) == OMENDB_OK && superblock.valid) {
            (*valid)++;
            if (superblock.root.generation > newest) {
                newest = superblock.root.generation;
                *slot = i;
            }
        }
        superblock_deinit(&superblock);
    }
    file_close(file);
    return newest;
}

void run_claim(struct run *run, const struct store *store)
{
    if (store->settled && store->live.generation > run->world.generation)
        run->world.generation = store->live.generation;
}

/* ---- Opening and closing ---- */

static void everything_durable(struct world *world)
{
    world->covered = world->durable = world->acknowledged;
}

bool run_open(struct run *run, bool killed)
{
    struct world *world = &run->world;
    omendb_error error = {0};
    struct snapshot snapshot;
    const uint64_t least = killed ? world->acknowledged : world->durable;
    const omendb_status status = store_open(&run->options, &run->store, &error);
    if (status != OMENDB_OK) {
        run->store = NULL;
        if (sim_crashed(run->sim)) return false;
        if (run->rotten)
            return run_failed(run, "%s: %s",
                              status == OMENDB_ERR_CORRUPT ? "reading" : "not CORRUPT",
                              error.message);
        return run->faults ? false : run_failed(run, "open: %s", error.message);
    }
    if (store_enter(run->store, &snapshot, &error) != OMENDB_OK)
        return run_failed(run, "enter: %s", error.message);
    store_leave(&snapshot);
    if (snapshot.sequence < least)
        return run_failed(run, "lost: recovered to %llu, %s up to %llu",
                          (unsigned long long)snapshot.sequence,
                          killed ? "acknowledged" : "durable", (unsigned long long)least);
    if (snapshot.sequence > world->started)
        return run_failed(run, "invented: recovered to %llu, started up to %llu",
                          (unsigned long long)snapshot.sequence,
                          (unsigned long long)world->started);
    if (run->store->live.generation < world->generation)
        return run_failed(run, "the image of generation %llu was durable, recovery ends at %llu",
                          (unsigned long long)world->generation,
                          (unsigned long long)run->store->live.generation);
    world->started = world->acknowledged = snapshot.sequence;
    everything_durable(world);
    /* After the end of a process the newest superblock may be in the page cache only. */
    if (!killed) world->generation = run->store->live.generation;
    else run_claim(run, run->store);
    return true;
}

static void log_file_seen(void *context, const char *suffix)
{
    (void)suffix;
    ++*(uint32_t *)context;
}

bool run_close(struct run *run, omendb_status *status)
{
    omendb_error error = {0};
    uint32_t log_files = 0;
    struct store *store = run->store;
    run->closing = store;
    run->store = NULL;
    *status = store_close(store, &error);
    run->closing = NULL;
    if (sim_open_files(run->sim) != 0) return run_failed(run, "close left a file open");
    if (*status != OMENDB_OK) {
        if (sim_crashed(run->sim) || run->faults) return false;
        return run_failed(run, "close: %s", error.message);
    }
    everything_durable(&run->world);
    uint32_t slot = 0, valid = 0;
    run->world.generation = image_generation(run->sim, &slot, &valid);
    if (valid != 2) /* A read that was made to fail fails once. */
        run->world.generation = image_generation(run->sim, &slot, &valid);
    if (valid != 2) return run_failed(run, "%u valid superblocks after a clean close", valid);
    (void)vfs_list(sim_vfs(run->sim), run_path, log_file_seen, &log_files, NULL);
    if (log_files != 1) return run_failed(run, "%u files after a clean close, not 1", log_files);
    return true;
}

void run_abandon(struct run *run)
{
    if (run->store == NULL) return;
    sim_on_call(run->sim, NULL, NULL);
    sim_crash_at(run->sim, 1);
    (void)store_close(run->store, NULL);
    run->store = NULL;
}

/* ---- Steps ---- */

static omendb_status step_ended(struct run *run, omendb_status status, const omendb_error *error,
                                const char *what)
{
    if (status == OMENDB_OK) {
        run_claim(run, run->store);
        return status;
    }
    if (!sim_crashed(run->sim) && !run->faults)
        (void)run_failed(run, "%s: %s", what, error->message);
    return status;
}

/* What follows from the outcome of a logged change that was given the number `started`. */
static void change_ended(struct run *run, omendb_status status, bool full)
{
    struct world *world = &run->world;
    if (status == OMENDB_OK) {
        world->acknowledged = world->started;
        if (!full) return;
        world->covered = world->durable;
        world->durable = world->started;
    } else if (!sim_crashed(run->sim) && !run_fenced(run)) {
        world->started = world->acknowledged; /* Refused: nothing has happened. */
    }
}

static struct world_state *change_begin(struct run *run)
{
    struct world *world = &run->world;
    world->started = world->acknowledged + 1;
    struct world_state *next = state_at(world, world->started);
    *next = *state_at(world, world->acknowledged);
    return next;
}

static omendb_status commit(struct run *run, const struct batch *batch, bool refused)
{
    struct world *world = &run->world;
    omendb_error error = {0};
    uint64_t sequence = 0;
    const uint32_t draw = random_below(run, 100);
    const uint32_t unsynced = world->profile == PROFILE_UNSYNCED ? 75 : 30;
    omendb_durability durability = draw >= unsynced ? OMENDB_DURABILITY_FULL
                                   : draw % 2 == 0  ? OMENDB_DURABILITY_NONE
                                                    : OMENDB_DURABILITY_INTERVAL;
    if (world->started - world->durable + 4 > WORLD_HISTORY) durability = OMENDB_DURABILITY_FULL;
    const omendb_status status = store_commit(run->store, batch, durability, &sequence, &error);
    if (refused) {
        world->started = world->acknowledged;
        if (status == OMENDB_OK) (void)run_failed(run, "a batch for no collection was taken");
        return status == OMENDB_ERR_NOT_FOUND ? OMENDB_OK
                                              : step_ended(run, status, &error, "commit");
    }
    change_ended(run, status, durability == OMENDB_DURABILITY_FULL);
    if (status == OMENDB_OK && sequence != world->started)
        (void)run_failed(run, "batch %llu was acknowledged as %llu",
                         (unsigned long long)world->started, (unsigned long long)sequence);
    return step_ended(run, status, &error, "commit");
}

static omendb_status collection_id(struct run *run, const struct world_collection *collection,
                                   uint32_t index, uint32_t *out)
{
    char name[CONTENT_NAME];
    struct collection *handle = NULL;
    omendb_error error = {0};
    content_name(name, index, collection->name_number);
    const omendb_status status = store_collection_open(run->store, name, &handle, &error);
    if (status != OMENDB_OK) {
        (void)run_failed(run, "%s", error.message);
        return status;
    }
    *out = handle->id;
    collection_unpin(handle);
    return OMENDB_OK;
}

static uint32_t random_collection(struct run *run, const struct world_state *state)
{
    const uint32_t first = random_below(run, WORLD_COLLECTIONS);
    for (uint32_t i = 0; i < WORLD_COLLECTIONS; i++) {
        const uint32_t index = (first + i) % WORLD_COLLECTIONS;
        if (state->collections[index].exists) return index;
    }
    return WORLD_COLLECTIONS;
}

/* Changes of one batch: `count` keys of one or two collections. */
static omendb_status step_batch(struct run *run, uint32_t count, uint32_t deletes_of_100)
{
    struct world *world = &run->world;
    struct batch batch = {0};
    struct world_state *next = change_begin(run);
    omendb_status status = OMENDB_OK;
    const bool bulk = world->profile == PROFILE_BULK;
    const uint32_t first = random_collection(run, next);
    uint32_t index = first;
    const bool refused = random_below(run, 40) == 0;
    for (uint32_t i = 0; i < count && status == OMENDB_OK; i++) {
        uint32_t id = 0;
        if (i == count / 2 && random_below(run, 3) == 0) index = random_collection(run, next);
        if (bulk) index = first;
        struct world_collection *collection = &next->collections[index];
        const uint32_t key = (bulk ? world->counter : random_below(run, 1 << 20)) % WORLD_GROUPS;
        status = collection_id(run, collection, index, &id);
        if (status != OMENDB_OK) break;
        if (random_below(run, 100) < deletes_of_100) {
            collection->versions[key] = 0;
            status = content_delete(&batch, id, key, world->group_size);
        } else {
            collection->versions[key] = ++world->counter;
            status = content_upsert(&batch, id, world, collection, key);
        }
    }
    if (status == OMENDB_OK && refused)
        status = batch_add(&batch, OPERATION_DELETE, UINT32_MAX - 7, NULL, 0, 1, NULL, 0, NULL);
    if (status == OMENDB_OK) status = commit(run, &batch, refused);
    batch_deinit(&batch);
    return status;
}

static omendb_status step_create(struct run *run, uint32_t index)
{
    struct world_state *next = change_begin(run);
    struct world_collection *collection = &next->collections[index];
    struct schema *schema = NULL;
    char name[CONTENT_NAME];
    omendb_error error = {0};
    *collection = (struct world_collection){
        .exists = true, .kind = (uint8_t)random_below(run, 3), .incarnation = ++run->world.counter};
    if (run->world.profile == PROFILE_BULK) collection->kind = 1;
    content_name(name, index, 0);
    omendb_status status = content_schema(collection->kind, &schema, &error);
    if (status == OMENDB_OK)
        status = store_collection_create(run->store, name, schema, NULL, &error);
    change_ended(run, status, true);
    return step_ended(run, status, &error, "create");
}

static omendb_status step_drop(struct run *run, uint32_t index)
{
    struct world_state *next = change_begin(run);
    char name[CONTENT_NAME];
    omendb_error error = {0};
    content_name(name, index, next->collections[index].name_number);
    next->collections[index] = (struct world_collection){0};
    const omendb_status status = store_collection_drop(run->store, name, &error);
    change_ended(run, status, true);
    return step_ended(run, status, &error, "drop");
}

static omendb_status step_rename(struct run *run, uint32_t index)
{
    struct world_state *next = change_begin(run);
    char name[CONTENT_NAME], new_name[CONTENT_NAME];
    omendb_error error = {0};
    content_name(name, index, next->collections[index].name_number);
    next->collections[index].name_number = ++run->world.counter;
    content_name(new_name, index, next->collections[index].name_number);
    const omendb_status status = store_collection_rename(run->store, name, new_name, &error);
    change_ended(run, status, true);
    return step_ended(run, status, &error, "rename");
}

static omendb_status step_catalog(struct run *run)
{
    const uint32_t index = run->world.profile == PROFILE_BULK
                               ? 0
                               : random_below(run, WORLD_COLLECTIONS);
    if (!state_at(&run->world, run->world.acknowledged)->collections[index].exists)
        return step_create(run, index);
    return run->world.profile == PROFILE_BULK || random_below(run, 2) == 0 ? step_rename(run, index)
                                                                           : step_drop(run, index);
}

static omendb_status step_checkpoint(struct run *run)
{
    omendb_error error = {0};
    const omendb_status status = store_checkpoint(run->store, &error);
    if (status == OMENDB_OK) everything_durable(&run->world);
    return step_ended(run, status, &error, "checkpoint");
}

static omendb_status step_sync(struct run *run)
{
    omendb_error error = {0};
    const omendb_status status = store_sync(run->store, &error);
    if (status == OMENDB_OK) run->world.durable = run->world.acknowledged;
    return step_ended(run, status, &error, "sync");
}

/* What the upkeep thread does when nobody commits. */
static omendb_status step_idle(struct run *run)
{
    struct store *store = run->store;
    omendb_error error = {0};
    omendb_status status = store_writable(store, &error);
    if (status == OMENDB_OK && random_below(run, 2) == 0)
        status = wal_prepare_next(&store->wal, &error);
    if (status == OMENDB_OK) {
        txn_lead_begin(store);
        status = wal_mark(&store->wal, &error);
        if (status != OMENDB_OK) store_fence(store, &error);
        txn_lead_end(store);
    }
    return step_ended(run, status, &error, "mark");
}

static omendb_status step_reopen(struct run *run)
{
    omendb_status status = OMENDB_OK;
    if (run_close(run, &status)) (void)run_open(run, false);
    return status;
}

/* A piece of the index's work, without a commit. */
static omendb_status step_work(struct run *run)
{
    omendb_error error = {0};
    bool more = false;
    const omendb_status status = store_index_work(run->store, &more, &error);
    return step_ended(run, status, &error, "work");
}

static omendb_status step_random(struct run *run)
{
    const struct world_state *now = state_at(&run->world, run->world.acknowledged);
    const uint32_t draw = random_below(run, 100);
    if (random_collection(run, now) == WORLD_COLLECTIONS)
        return step_create(
            run, run->world.profile == PROFILE_BULK ? 0 : random_below(run, WORLD_COLLECTIONS));
    if (run->indexed && random_below(run, 4) == 0) return step_work(run);
    if (draw < 6) return step_catalog(run);
    if (draw < 10) return step_checkpoint(run);
    if (draw < 13) return step_sync(run);
    if (draw < (run->world.profile == PROFILE_CHURN ? 20 : 17)) return step_idle(run);
    if (draw < (run->world.profile == PROFILE_CHURN ? 23 : 20)) return step_reopen(run);
    switch (run->world.profile) {
    case PROFILE_UNSYNCED:
        return step_batch(run, 1 + random_below(run, 2), 20);
    case PROFILE_BULK:
        return step_batch(run, 4 + random_below(run, 4), draw < 25 ? 60 : 0);
    case PROFILE_CHURN:
        return step_batch(run, 1 + random_below(run, 10), draw < 35 ? 80 : 20);
    case PROFILE_MIXED:
        break;
    }
    return step_batch(run, 1 + random_below(run, 8), 25);
}

bool run_step(struct run *run, omendb_status *status)
{
    *status = step_random(run);
    return *status == OMENDB_OK && run->failure[0] == '\0' && run->store != NULL;
}

/* ---- Comparing ---- */

struct comparison {
    struct run *run;
    const struct world_state *state;
    uint64_t sequence;
    uint32_t found;
    struct content content;
};

static omendb_status compare_count(struct comparison *comparison, struct collection *collection,
                                   uint64_t expected)
{
    const uint32_t slots = atomic_load_acquire_u32(&collection->slot_count);
    uint64_t visible = 0;
    for (uint32_t slot = 0; slot < slots; slot++) {
        bool seen = false;
        TRY(collection_visible(collection, slot, comparison->sequence, &seen, NULL));
        visible += seen;
    }
    const uint64_t published = atomic_load_acquire_u64(&collection->published_count);
    if (visible != expected || published != expected)
        (void)run_failed(comparison->run, "%llu documents are visible, %llu counted, not %llu",
                         (unsigned long long)visible, (unsigned long long)published,
                         (unsigned long long)expected);
    return OMENDB_OK;
}

static omendb_status compare_collection(void *context, struct collection *collection,
                                        const char *name, omendb_error *err)
{
    struct comparison *comparison = context;
    struct run *run = comparison->run;
    const struct world_collection *expected = NULL;
    char wanted[CONTENT_NAME];
    uint64_t documents = 0;
    for (uint32_t i = 0; i < WORLD_COLLECTIONS && expected == NULL; i++) {
        content_name(wanted, i, comparison->state->collections[i].name_number);
        if (comparison->state->collections[i].exists && strcmp(wanted, name) == 0)
            expected = &comparison->state->collections[i];
    }
    if (expected == NULL) {
        (void)run_failed(run, "collection %s should not be there", name);
        return OMENDB_OK;
    }
    comparison->found++;
    if (collection->schema->vectors_count != expected->kind) {
        (void)run_failed(run, "collection %s has another schema", name);
        return OMENDB_OK;
    }
    for (uint32_t key = 0; key < WORLD_GROUPS && run->failure[0] == '\0'; key++) {
        const uint32_t size = run->world.group_size;
        if (expected->versions[key] != 0) documents += size;
        for (uint32_t member = 0; member < size && run->failure[0] == '\0'; member++) {
            const char *fault = NULL;
            TRY(content_compare(&comparison->content, &run->world, collection, expected,
                                key * size + member, comparison->sequence, &fault, err));
            if (fault != NULL)
                (void)run_failed(run, "collection %s, key %u, write %u: %s", name, key,
                                 expected->versions[key], fault);
        }
    }
    return compare_count(comparison, collection, documents);
}

static void problem_seen(void *context, const char *text)
{
    (void)run_failed(context, "codes: %s", text);
}

static omendb_status check_toy(void *context, struct collection *collection, const char *name,
                               omendb_error *err)
{
    const char *wrong = NULL;
    TRY(toy_verify(collection, &wrong, err));
    if (wrong != NULL) (void)run_failed(context, "collection %s: %s", name, wrong);
    return OMENDB_OK;
}

static omendb_status check_codes(void *context, struct collection *collection, const char *name,
                                 omendb_error *err)
{
    (void)name;
    for (uint32_t field = 0; field < collection->schema->vectors_count; field++)
        TRY(vector_index_verify(collection, field, problem_seen, context, err));
    return OMENDB_OK;
}

static omendb_status check_deep(struct run *run, omendb_error *err)
{
    static const char good[] = "{\"ok\":true";
    struct buffer text = {0};
    const omendb_status status = store_check(run->store, true, &text, err);
    if (status == OMENDB_OK && memcmp(text.data, good, sizeof good - 1) != 0)
        (void)run_failed(run, "check: %.*s", (int)text.size, (const char *)text.data);
    buffer_deinit(&text);
    TRY(status);
    return store_collections(run->store, run->indexed ? check_toy : check_codes, run, err);
}

bool run_verify(struct run *run, uint64_t sequence, bool deep)
{
    struct comparison comparison = {
        .run = run, .state = state_at(&run->world, sequence), .sequence = sequence};
    struct snapshot snapshot;
    omendb_error error = {0};
    uint32_t expected = 0;
    for (uint32_t i = 0; i < WORLD_COLLECTIONS; i++)
        expected += comparison.state->collections[i].exists;
    omendb_status status = store_enter(run->store, &snapshot, &error);
    if (status != OMENDB_OK) return run_failed(run, "enter: %s", error.message);
    if (snapshot.sequence != sequence)
        (void)run_failed(run, "readers see %llu, acknowledged is %llu",
                         (unsigned long long)snapshot.sequence, (unsigned long long)sequence);
    else status = store_collections(run->store, compare_collection, &comparison, &error);
    store_leave(&snapshot);
    content_deinit(&comparison.content);
    if (status == OMENDB_OK && run->failure[0] == '\0' && comparison.found != expected)
        (void)run_failed(run, "%u collections, not %u", comparison.found, expected);
    if (status == OMENDB_OK && deep && run->failure[0] == '\0') status = check_deep(run, &error);
    if (status != OMENDB_OK)
        (void)run_failed(run, "%s: %s", status == OMENDB_ERR_CORRUPT ? "reading" : "not CORRUPT",
                         error.message);
    return run->failure[0] == '\0';
}
