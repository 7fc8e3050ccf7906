/* txn.c - how a batch becomes visible: stage, queue, group commit, publish. */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/mutant.h"
#include "store/store_inner.h"

omendb_status store_writable(struct store *store, omendb_error *err)
{
    TRY(store_usable(store, err));
    if (store->read_only)
        return fail(err, OMENDB_ERR_READ_ONLY, "the database was opened read-only");
    if (atomic_load_acquire_u32(&store->fenced) == 0) return OMENDB_OK;
    mutex_lock(&store->log);
    const omendb_error reason = store->fence_error;
    mutex_unlock(&store->log);
    (void)fail(err, OMENDB_ERR_MISUSE, "%s", reason.message);
    return fail_within(err, OMENDB_ERR_MISUSE,
                       "writing stopped after an earlier failure; reopen the database");
}

omendb_status store_writable_settled(struct store *store, omendb_error *err)
{
    TRY(store_writable(store, err));
    if (atomic_load_acquire_u32(&store->replay_unwritten) == 0) return OMENDB_OK;
    return checkpoint_run(store, CHECKPOINT_NORMAL, err);
}

/* Under `log`. After a failed write or sync nobody knows what the disk holds: no more writing. */
static void fence_locked(struct store *store, const omendb_error *reason)
{
    if (atomic_load_relaxed_u32(&store->fenced) != 0) return;
    store->fence_error = *reason;
    atomic_store_release_u32(&store->fenced, 1); /* with store_writable() */
}

void store_fence(struct store *store, const omendb_error *reason)
{
    mutex_lock(&store->log);
    fence_locked(store, reason);
    mutex_unlock(&store->log);
}

void txn_publish(struct store *store, uint64_t sequence)
{
    /* with epoch_enter(): who sees this sequence sees everything that was staged for it. */
    atomic_store_release_u64(&store->space.epoch.visible_sequence, sequence);
}

/* The batch's next operation, as struct stage_next. */
static omendb_status stage_take(struct store *store, const uint8_t *bytes, size_t *at,
                                struct stage_next *next, omendb_error *err)
{
    const struct operation *op = (const void *)(bytes + *at);
    *at += (size_t)op->size;
    if (op->type != OPERATION_UPSERT && op->type != OPERATION_DELETE)
        return fail(err, OMENDB_ERR_INTERNAL, "a catalog operation within a batch");
    next->op = op;
    next->collection = store_collection_by_id(store, op->collection);
    if (next->collection == NULL)
        return fail(err, OMENDB_ERR_NOT_FOUND, "the collection was dropped meanwhile");
    collection_stage_ahead(next);
    return OMENDB_OK;
}

/* What operation i was asked for holds still: one before it may have been about the same document. */
static omendb_status stage_condition(struct stage *stage, const struct stage_next *now, uint32_t i,
                                     omendb_error *err)
{
    const struct batch_condition *condition = stage->conditions;
    if (condition == stage->conditions_end || condition->operation != i) return OMENDB_OK;
    stage->conditions++;
    return collection_condition_version(now->collection, now->op, condition->version, err);
}

/* Writer lock: would the batch be refused? Nothing of it is staged yet. */
static omendb_status conditions_hold(struct store *store, const struct batch *batch,
                                     omendb_error *err)
{
    const struct batch_condition *condition = batch->conditions;
    const struct batch_condition *end = batch_conditions_end(batch);
    size_t at = 0;
    store->stage.count = 0; /* store_collection_by_id() would begin with the batch before. */
    for (uint32_t i = 0; at < batch->bytes.size && (batch->exclusive || condition != end); i++) {
        const struct operation *op = (const void *)(batch->bytes.data + at);
        const bool asked = condition != end && condition->operation == i;
        at += (size_t)op->size;
        if (!asked && !batch->exclusive) continue;
        struct collection *collection = store_collection_by_id(store, op->collection);
        if (collection == NULL)
            return fail(err, OMENDB_ERR_NOT_FOUND, "the collection was dropped meanwhile");
        if (batch->exclusive)
            TRY(collection_condition_unchanged(collection, op, batch->since, err));
        if (asked) TRY(collection_condition_version(collection, op, (condition++)->version, err));
    }
    return OMENDB_OK;
}

/* Operation i is staged when i + 16 is seen, so that its memory has come: collection_stage_ahead(). */
static omendb_status stage_operations(struct store *store, const uint8_t *bytes, size_t size,
                                      omendb_error *err)
{
    enum { NODES_AHEAD = 10, CHAINS_AHEAD = 5 };
    struct stage *stage = &store->stage;
    struct stage_next *next = stage->next;
    uint32_t seen = 0;
    size_t at = 0;
    for (uint32_t i = 0; at < size || i < seen; i++) {
        for (; seen < i + STAGE_AHEAD && at < size; seen++)
            TRY(stage_take(store, bytes, &at, &next[seen % STAGE_AHEAD], err));
        if (i + NODES_AHEAD < seen)
            collection_stage_nearer(&next[(i + NODES_AHEAD) % STAGE_AHEAD], NODES_AHEAD, 1);
        if (i + CHAINS_AHEAD < seen)
            collection_stage_nearer(&next[(i + CHAINS_AHEAD) % STAGE_AHEAD], CHAINS_AHEAD, 2);
        const struct stage_next *now = &next[i % STAGE_AHEAD];
        TRY(stage_condition(stage, now, i, err));
        TRY(now->op->type == OPERATION_UPSERT ? collection_stage_upsert(now, stage, err)
                                              : collection_stage_delete(now, stage, err));
    }
    return OMENDB_OK;
}

omendb_status txn_stage(struct store *store, const uint8_t *bytes, size_t size,
                        uint32_t operation_count, uint64_t sequence, omendb_error *err)
{
    struct stage *stage = &store->stage;
    stage->sequence = sequence;
    stage->count = 0;
    const omendb_status status = stage_operations(store, bytes, size, err);
    (void)operation_count;
    if (status != OMENDB_OK) {
        stage_undo(stage);
        store->undone_batches++;
    }
    return status;
}

/* Remembers what each touched collection counts once the batch is visible. */
static omendb_status counts_keep(struct store *store, struct commit *commit, omendb_error *err)
{
    const struct stage *stage = &store->stage;
    commit->counts = commit->counts_inline;
    size_t capacity = COMMIT_COLLECTIONS;
    for (size_t i = 0; i < stage->count; i++) {
        struct collection *collection = stage->items[i].collection;
        uint32_t at = 0;
        while (at < commit->counts_size && commit->counts[at].collection != collection) at++;
        if (at < commit->counts_size) continue;
        if (at == capacity) {
            struct commit_count *larger = alloc_raw(capacity * 4, sizeof *larger);
            if (larger == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a batch");
            memcpy(larger, commit->counts, at * sizeof *larger);
            if (commit->counts != commit->counts_inline) alloc_free(commit->counts);
            commit->counts = larger;
            capacity *= 4;
        }
        commit->counts[at] = (struct commit_count){
            .collection = collection, .live = atomic_load_relaxed_u64(&collection->live_count)};
        commit->counts_size++;
    }
    return OMENDB_OK;
}

static void counts_publish(const struct commit *commit)
{
    for (uint32_t i = 0; i < commit->counts_size; i++) {
        struct collection *collection = commit->counts[i].collection;
        atomic_store_release_u64(&collection->published_count, commit->counts[i].live);
        atomic_store_release_u32(&collection->work_wanted, 1); /* with wanted_next() */
    }
}

static void counts_free(struct commit *commit)
{
    if (commit->counts != commit->counts_inline) alloc_free(commit->counts);
}

/* ---- The log's leader ---- */

/* Writes the frames of a taken queue; `log` isn't held. */
static omendb_status group_write(struct store *store, struct commit *first, size_t count,
                                 omendb_error *err)
{
    bool sync = false;
    size_t at = 0;
    const bool grouped = alloc_grow(&store->group, &store->group_capacity, count,
                                    sizeof *store->group);
    omendb_status status = OMENDB_OK;
    for (struct commit *commit = first; commit != NULL; commit = commit->next) {
        if (commit->sync && !MUTANT(ack_before_sync)) sync = true;
        if (grouped) store->group[at++] = commit->batch;
        else if (status == OMENDB_OK)
            status = wal_write(&store->wal, &commit->batch, 1, false, err);
    }
    if (grouped) return wal_write(&store->wal, store->group, count, sync, err);
    return status == OMENDB_OK && sync ? wal_sync(&store->wal, err) : status;
}

/* Threads that the last group woke are about to commit again: waiting for them a fraction of what
 * a sync costs lets one sync serve them all. Alone, nobody waits. */
static void gather(struct store *store)
{
    const uint32_t wanted = store->last_group;
    if (wanted < 2 || store->queue_count >= wanted) return;
    const uint64_t until = store_clock_ns(store) + store->last_write_ns / 4;
    do {
        mutex_unlock(&store->log);
        thread_yield();
        mutex_lock(&store->log);
    } while (store->queue_count < wanted && store_clock_ns(store) < until);
}

/* Under `log`, which is given up while the frames are written: logs the whole queue. */
static void lead(struct store *store)
{
    omendb_error error = {0};
    assert(store->queue != NULL && atomic_load_relaxed_u32(&store->leading) == 0);
    atomic_store_relaxed_u32(&store->leading, 1);
    if (!store->vfs->single_threaded) gather(store);
    struct commit *first = store->queue;
    const uint32_t count = store->queue_count;
    store->queue = NULL;
    store->queue_end = &store->queue;
    store->queue_count = 0;
    mutex_unlock(&store->log);
    const uint64_t begin = store_clock_ns(store);
    const omendb_status status = atomic_load_acquire_u32(&store->fenced) != 0
                                     ? fail(&error, OMENDB_ERR_MISUSE, "an earlier write failed")
                                     : group_write(store, first, count, &error);
    const uint64_t end = store_clock_ns(store);
    mutex_lock(&store->log);
    store->last_group = count;
    store->last_write_ns = end - begin;
    store->groups++;
    if (status != OMENDB_OK) fence_locked(store, &error);
    for (struct commit *commit = first, *next = NULL; commit != NULL; commit = next) {
        next = commit->next;
        commit->status = status;
        commit->error = error;
        if (status == OMENDB_OK) {
            counts_publish(commit);
            txn_publish(store, commit->batch.sequence);
        }
        atomic_store_release_u32(&commit->done, 1); /* wait_logged(): its owner may return. */
    }
    atomic_store_release_u32(&store->leading, 0); /* wait_logged() */
    condition_wake_all(&store->log_changed);
    event_announce(&store->logged);
}

void txn_lead_begin(struct store *store)
{
    mutex_lock(&store->log);
    while (atomic_load_relaxed_u32(&store->leading) != 0)
        condition_wait(&store->log_changed, &store->log);
    atomic_store_relaxed_u32(&store->leading, 1);
    mutex_unlock(&store->log);
}

void txn_lead_end(struct store *store)
{
    mutex_lock(&store->log);
    atomic_store_release_u32(&store->leading, 0); /* wait_logged() */
    condition_wake_all(&store->log_changed);
    mutex_unlock(&store->log);
    event_announce(&store->logged);
}

void txn_drain(struct store *store)
{
    mutex_lock(&store->log);
    while (store->queue != NULL || atomic_load_relaxed_u32(&store->leading) != 0) {
        if (atomic_load_relaxed_u32(&store->leading) == 0) lead(store);
        else condition_wait(&store->log_changed, &store->log);
    }
    mutex_unlock(&store->log);
}

static void enqueue(struct store *store, struct commit *commit)
{
    mutex_lock(&store->log);
    *store->queue_end = commit;
    store->queue_end = &commit->next;
    store->queue_count++;
    mutex_unlock(&store->log);
}

static omendb_status wait_logged(struct store *store, struct commit *commit, omendb_error *err)
{
    while (atomic_load_acquire_u32(&commit->done) == 0) {
        const uint32_t seen = event_now(&store->logged);
        bool led = false;
        if (atomic_load_acquire_u32(&store->leading) == 0) {
            mutex_lock(&store->log);
            led = atomic_load_relaxed_u32(&store->leading) == 0 &&
                  atomic_load_relaxed_u32(&commit->done) == 0;
            if (led) lead(store);
            mutex_unlock(&store->log);
        }
        /* Whoever leads now announces its end, which comes after `seen`. */
        if (!led && atomic_load_acquire_u32(&commit->done) == 0) event_wait(&store->logged, seen);
    }
    if (commit->status != OMENDB_OK && err != NULL) *err = commit->error;
    return commit->status;
}

/* Waits until everything up to `sequence`, which is staged, is published or the store is fenced. Whoever
 * committed it leads or waits himself, and announces the end of each group. */
static void wait_published(struct store *store, uint64_t sequence)
{
    for (;;) {
        const uint32_t seen = event_now(&store->logged);
        if (atomic_load_acquire_u64(&store->space.epoch.visible_sequence) >= sequence ||
            atomic_load_acquire_u32(&store->fenced) != 0)
            return;
        event_wait(&store->logged, seen);
    }
}

/* ---- Committing ---- */

/* Writer lock held: keeps the log within its limit. May give the lock up for a while. */
static omendb_status log_room(struct store *store, size_t size, omendb_error *err)
{
    const uint64_t bytes = wal_bytes_since(&store->wal, store->live.wal) + size;
    if (store->vfs->single_threaded) {
        if (bytes < store->options.wal_size_max) return OMENDB_OK;
        mutex_unlock(&store->writer);
        const omendb_status status = checkpoint_run(store, CHECKPOINT_NORMAL, err);
        mutex_lock(&store->writer);
        /* Without a checkpoint the log may grow up to its limit. */
        return status == OMENDB_OK || bytes < WAL_SIZE_LIMIT ? OMENDB_OK : status;
    }
    if (bytes >= store->options.wal_size_max) {
        mutex_lock(&store->log);
        store->checkpoint_wanted = true;
        condition_wake_one(&store->upkeep_wanted);
        mutex_unlock(&store->log);
    }
    if (bytes < WAL_SIZE_LIMIT) return OMENDB_OK;
    mutex_unlock(&store->writer);
    const omendb_status status = checkpoint_run(store, CHECKPOINT_NORMAL, err);
    mutex_lock(&store->writer);
    return status == OMENDB_OK
               ? OMENDB_OK
               : fail_within(err, status == OMENDB_ERR_IO ? OMENDB_ERR_IO : OMENDB_ERR_FULL,
                             "the log has reached its limit and can't be checkpointed");
}

/* Without a file: nothing to log, but versions still pile up. */
static void memory_upkeep(struct store *store)
{
    for (size_t i = 0; i < store->collections_count; i++) {
        struct collection *collection = store->collections[i];
        const uint64_t dead = collection->dead_end - collection->dead_begin;
        if (dead < 1024 || dead < atomic_load_relaxed_u64(&collection->live_count) / 8) continue;
        const uint64_t oldest = epoch_oldest(&store->space.epoch);
        if (!collection_reclaimable(collection, oldest)) continue; /* A snapshot holds them all. */
        store->space.generation++;
        const struct reclaim_limits limits = {.moved_bytes = COMPACT_BUDGET,
                                              .dirty_blocks = UINT64_MAX};
        (void)collection_reclaim(collection, oldest, limits, NULL);
    }
    epoch_collect(&store->space.epoch);
}

/* Only batches that give space back may use the last of it. */
static bool batch_gives_back(const struct batch *batch)
{
    for (size_t at = 0; at < batch->bytes.size;) {
        const struct operation *op = (const void *)(batch->bytes.data + at);
        if (op->type != OPERATION_DELETE && op->type != OPERATION_DROP_COLLECTION) return false;
        at += (size_t)op->size;
    }
    return true;
}

/* Room in the log for the batch and, when it adds something, in the file for the checkpoint after
 * it: its documents and vectors, and as much again for what leads to them. */
static omendb_status room_reserve(struct store *store, const struct batch *batch, uint64_t *segment,
                                  omendb_error *err)
{
    const bool gives_back = batch_gives_back(batch);
    if (!gives_back)
        TRY(space_promise(&store->space, 4 + 2 * (batch->bytes.size / BLOCK_SIZE), err));
    omendb_status status = wal_reserve(&store->wal, batch->bytes.size, gives_back ? 0 : WAL_SPARE,
                                       segment, err);
    if (status == OMENDB_ERR_FULL && gives_back && space_yield(&store->space))
        status = wal_reserve(&store->wal, batch->bytes.size, 0, segment, err);
    return status;
}

/* Versions that wait to be unlinked. Writer lock. */
static uint64_t dead_versions(const struct store *store)
{
    uint64_t count = 0;
    for (size_t i = 0; i < store->collections_count; i++)
        count += store->collections[i]->dead_end - store->collections[i]->dead_begin;
    return count;
}

/* The disk is full. What was deleted gives its blocks back when checkpoints are durable, the log its
 * segments when one more is: they are made until IDLE in a row (unlink, two rotations, a move, two
 * more) have brought nothing. true: trying again may help. */
static bool room_made(struct store *store)
{
    enum { CHECKPOINTS = 100, IDLE = 6 };
    uint64_t least = UINT64_MAX;
    int made = 0;
    mutex_lock(&store->writer);
    const bool tried = store->path == NULL || store->room_sequence == store->next_sequence;
    store->room_sequence = store->next_sequence;
    mutex_unlock(&store->writer);
    for (int idle = 0; !tried && made < CHECKPOINTS && idle < IDLE; made++) {
        if (checkpoint_run(store, CHECKPOINT_TIGHT, NULL) != OMENDB_OK) break;
        mutex_lock(&store->writer);
        const uint64_t left = dead_versions(store) + atomic_load_acquire_u32(&store->space.taken);
        mutex_unlock(&store->writer);
        idle = left < least ? 0 : idle + 1;
        if (left < least) least = left;
    }
    return made != 0;
}

static omendb_status stage_and_queue(struct store *store, const struct batch *batch,
                                     struct commit *commit, omendb_error *err)
{
    const bool logged = store->path != NULL;
    commit->batch = (struct wal_batch){.bytes = batch->bytes.data,
                                       .size = batch->bytes.size,
                                       .operation_count = batch->operation_count,
                                       .sequence = store->next_sequence};
    if (logged) TRY(log_room(store, batch->bytes.size, err));
    commit->batch.sequence = store->next_sequence; /* log_room() may have let others by. */
    TRY(store_writable(store, err));
    TRY(conditions_hold(store, batch, err));
    if (logged) TRY(recover_settle(store, err));
    if (logged) TRY(room_reserve(store, batch, &commit->batch.segment, err));
    if (MUTANT(publish_before_apply)) txn_publish(store, store->next_sequence);
    store->stage.conditions = batch->conditions;
    store->stage.conditions_end = batch_conditions_end(batch);
    omendb_status status = txn_stage(store, batch->bytes.data, batch->bytes.size,
                                     batch->operation_count, store->next_sequence, err);
    store->stage.conditions = store->stage.conditions_end = NULL;
    if (status == OMENDB_OK) {
        status = counts_keep(store, commit, err);
        if (status != OMENDB_OK) stage_undo(&store->stage);
    }
    if (status != OMENDB_OK) {
        if (logged) wal_return(&store->wal, batch->bytes.size, commit->batch.segment);
        return status;
    }
    store->next_sequence++;
    store->commits++;
    if (logged) {
        enqueue(store, commit);
    } else {
        counts_publish(commit);
        txn_publish(store, commit->batch.sequence);
        memory_upkeep(store);
    }
    return OMENDB_OK;
}

/* Deletes on a full disk live on the reserve: images are made before what they change has used it
 * up; the third one has what the first released. */
static void reserve_settle(struct store *store)
{
    for (int i = 0; i < 3; i++)
        if (checkpoint_run(store, CHECKPOINT_TIGHT, NULL) != OMENDB_OK) break;
}

static omendb_status commit_staged(struct store *store, const struct batch *batch,
                                   struct commit *commit, omendb_error *err)
{
    /* The index thread steps back: it would take the lock again before we have woken up. */
    (void)atomic_add_u32(&store->commits_waiting, 1);
    mutex_lock(&store->writer);
    (void)atomic_sub_u32(&store->commits_waiting, 1);
    const omendb_status status = stage_and_queue(store, batch, commit, err);
    const uint64_t staged = store->next_sequence - 1;
    mutex_unlock(&store->writer);
    /* What it was refused for may be in the queue still: who reads again is to find it. */
    if (status == OMENDB_ERR_CONFLICT || status == OMENDB_ERR_EXISTS) wait_published(store, staged);
    return status;
}

omendb_status store_commit(struct store *store, const struct batch *batch,
                           omendb_durability durability, uint64_t *sequence, omendb_error *err)
{
    struct commit commit = {0};
    TRY(store_writable_settled(store, err));
    if (durability == OMENDB_DURABILITY_DEFAULT) durability = store->options.durability;
    commit.sync = durability == OMENDB_DURABILITY_FULL;
    commit.counts = commit.counts_inline;
    if (batch->operation_count == 0) {
        if (sequence != NULL)
            *sequence = atomic_load_acquire_u64(&store->space.epoch.visible_sequence);
        return OMENDB_OK;
    }
    if (store->path != NULL && space_is_short(&store->space) && batch_gives_back(batch))
        reserve_settle(store);
    omendb_status status = commit_staged(store, batch, &commit, err);
    if (status == OMENDB_ERR_FULL && room_made(store))
        status = commit_staged(store, batch, &commit, err);
    if (status == OMENDB_OK && store->path != NULL) status = wait_logged(store, &commit, err);
    counts_free(&commit);
    if (status != OMENDB_OK) return status;
    if (store->path != NULL)
        atomic_store_release_u64(&store->last_commit_ns, store_clock_ns(store)); /* idle_ms() */
    host_wake(store);
    host_work_inline(store);
    if (sequence != NULL) *sequence = commit.batch.sequence;
    return OMENDB_OK;
}

omendb_status txn_log_alone(struct store *store, const struct batch *batch, omendb_error *err)
{
    struct commit commit = {.sync = true,
                            .batch = {.bytes = batch->bytes.data,
                                      .size = batch->bytes.size,
                                      .operation_count = batch->operation_count}};
    commit.counts = commit.counts_inline;
    if (store->path == NULL) {
        txn_publish(store, store->next_sequence++);
        return OMENDB_OK;
    }
    TRY(store_writable(store, err));
    TRY(recover_settle(store, err));
    TRY(room_reserve(store, batch, &commit.batch.segment, err));
    commit.batch.sequence = store->next_sequence++;
    enqueue(store, &commit);
    return wait_logged(store, &commit, err);
}

omendb_status store_sync(struct store *store, omendb_error *err)
{
    omendb_error error = {0};
    TRY(store_usable(store, err));
    if (store->path == NULL || store->read_only) return OMENDB_OK;
    TRY(store_writable(store, err));
    txn_lead_begin(store);
    const omendb_status status = wal_sync(&store->wal, &error);
    if (status != OMENDB_OK) store_fence(store, &error);
    txn_lead_end(store);
    if (status != OMENDB_OK && err != NULL) *err = error;
    return status;
}
