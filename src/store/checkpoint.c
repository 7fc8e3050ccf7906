/* checkpoint.c - from the log into the file.
 *
 *     freeze (writer lock) ─▶ write blocks ─▶ sync ─▶ superblock ─▶ sync ─▶ thaw (writer lock)
 *                             writers and readers go on                     old log released
 *
 * The catalog is
 *     {collections u32, next_collection_id u32, records_size u64, free_extents u32, reserved u32,
 *      reserved u64}, the collections' records, {first u32, count u32} per free extent
 * Free extents are stored by a clean close only; any other open derives them from the directories.
 *
 * After a failed sync of the file nothing is known about its cache: the store is fenced. Any other
 * failure (a full disk) leaves everything as it was, to be tried again.
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/mutant.h"
#include "store/catalog.h"
#include "store/store_inner.h"

struct checkpoint {
    struct store *store;
    enum checkpoint_kind kind;
    struct collection **collections; /* Pinned. */
    size_t count, frozen;
    struct collection **dropped; /* Pinned by the store's list. */
    size_t dropped_count;
    uint64_t sequence, catalog_changes, index_changes;
    uint32_t next_collection_id;
    struct wal_position wal;
    struct buffer catalog, records, payload;
    struct superblock_root root;
    void *superblock; /* [BLOCK_SIZE] scratch */
    size_t releases;
};

static omendb_status array_releases_counted(void *context, struct array *array, omendb_error *err)
{
    (void)err;
    *(size_t *)context += array_releases(array);
    return OMENDB_OK;
}

static omendb_status array_published(void *context, struct array *array, omendb_error *err)
{
    (void)context, (void)err;
    array_thaw(array, true);
    return OMENDB_OK;
}

static omendb_status array_abandoned(void *context, struct array *array, omendb_error *err)
{
    (void)context, (void)err;
    array_thaw(array, false);
    return OMENDB_OK;
}

static omendb_status array_written(void *context, struct array *array, omendb_error *err)
{
    (void)context;
    return array_write_frozen(array, err);
}

struct relocation {
    uint32_t limit, budget;
};

static omendb_status array_relocated(void *context, struct array *array, omendb_error *err)
{
    struct relocation *relocation = context;
    return array_relocate(array, relocation->limit, &relocation->budget, err);
}

static omendb_status array_released(void *context, struct array *array, omendb_error *err)
{
    (void)context;
    return array_release_blocks(array, err);
}

static bool nothing_to_do(const struct store *store)
{
    return store->live.generation != 0 && store->live.catalog_changes == store->catalog_changes &&
           store->live.index_changes == store->index_changes &&
           store->live.sequence + 1 == store->next_sequence;
}

/* Blocks that the newest image refers to. */
static uint32_t blocks_used(const struct space *space)
{
    return space->map.taken_count - (uint32_t)space->released_count;
}

/* Blocks from the file's end should move into gaps before it: much of the file is free, or it is to
 * lie at rest with more than 1/512 in gaps. A close frees what only the image before it needs, so
 * nothing behind the last block of the newest image counts there. */
static bool wants_shrinking(const struct space *space, enum checkpoint_kind kind)
{
    const uint32_t used = blocks_used(space);
    const uint32_t end = kind == CHECKPOINT_CLOSE ? space_live_end(space) : space->map.end;
    if (kind == CHECKPOINT_TIGHT) return end - used > used / 16;
    return end >= SHRINK_BLOCKS_MIN &&
           end - used > (kind == CHECKPOINT_CLOSE ? used / 512 : end / 2);
}

/* Did the last checkpoint move blocks, or make gaps that the next one can fill? It doesn't for ever:
 * each move leaves one block less behind the limit; nor while a reader process pins an image. */
static bool shrinks_further(struct store *store)
{
    const uint32_t taken = store->space.map.taken_count;
    const bool further = store->idle_checkpoints == 0 || store->shrink_moved != 0 ||
                         taken < store->shrink_taken;
    store->shrink_taken = taken;
    return further;
}

/* Space that another checkpoint would give back although nothing was written since the last. */
static bool wants_compaction(struct store *store, enum checkpoint_kind kind)
{
    /* A close doesn't wait for readers, the upkeep thread comes again. */
    if (wants_shrinking(&store->space, kind) &&
        (kind != CHECKPOINT_CLOSE || shrinks_further(store)))
        return true;
    /* What a snapshot holds back isn't waited for: the upkeep thread looks again when it is idle. */
    const uint64_t oldest = epoch_oldest(&store->space.epoch);
    for (size_t i = 0; i < store->collections_count; i++)
        if (collection_wants_compaction(store->collections[i], oldest)) return true;
    return false;
}

static omendb_status collections_pin(struct checkpoint *run, omendb_error *err)
{
    struct store *store = run->store;
    run->collections = alloc_raw(store->collections_count, sizeof *run->collections);
    if (run->collections == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of collections");
    for (size_t i = 0; i < store->collections_count; i++) {
        run->collections[i] = store->collections[i];
        collection_pin(run->collections[i]);
    }
    run->count = store->collections_count;
    return OMENDB_OK;
}

/* What may be changed for the next image's sake. Reclaiming and moving take blocks before they give
 * any back: on a full disk only those that nobody else needs, and first the image before this one
 * gives back what it has. */
static struct reclaim_limits reclaim_limits(const struct checkpoint *run)
{
    struct space *space = &run->store->space;
    if (run->kind != CHECKPOINT_TIGHT && space_promise(space, SPACE_STEP_MIN, NULL) == OMENDB_OK)
        return (struct reclaim_limits){
            .moved_bytes = run->kind == CHECKPOINT_CLOSE ? UINT64_MAX : COMPACT_BUDGET,
            .dirty_blocks = UINT64_MAX};
    const uint64_t spare = space_spare(space);
    if (space->released_count > spare) return (struct reclaim_limits){0};
    return (struct reclaim_limits){.moved_bytes = spare / 4 * BLOCK_SIZE,
                                   .dirty_blocks = spare / 2};
}

/* Writer lock held, queue drained: everything that the image is to hold is fixed here. */
static omendb_status freeze(struct checkpoint *run, omendb_error *err)
{
    struct store *store = run->store;
    const uint64_t oldest = epoch_oldest(&store->space.epoch);
    TRY(collections_pin(run, err));
    for (size_t i = 0; i < run->count; i++) {
        /* What can't be reclaimed now (no memory, an unreadable block) stays for later. */
        omendb_error local = {0};
        if (collection_reclaim(run->collections[i], oldest, reclaim_limits(run), &local) !=
            OMENDB_OK)
            upkeep_note(store, &local);
    }
    run->sequence = atomic_load_acquire_u64(&store->space.epoch.visible_sequence);
    run->catalog_changes = store->catalog_changes;
    run->index_changes = store->index_changes;
    run->next_collection_id = store->next_collection_id;
    run->dropped_count = store->dropped_count;
    /* The queue is empty, but the upkeep thread may be writing a mark. */
    txn_lead_begin(store);
    run->wal = wal_end(&store->wal);
    txn_lead_end(store);
    for (; run->frozen < run->count; run->frozen++) {
        const omendb_status status = collection_freeze(run->collections[run->frozen], run->sequence,
                                                       err);
        if (status == OMENDB_OK) continue;
        run->frozen++; /* Some of its arrays may be frozen. */
        return status;
    }
    return OMENDB_OK;
}

static omendb_status catalog_build(struct checkpoint *run, omendb_error *err)
{
    for (size_t i = 0; i < run->count; i++)
        TRY(collection_encode(run->collections[i], &run->records, err));
    return catalog_assemble(&run->catalog, (uint32_t)run->count, run->next_collection_id,
                            &run->records, NULL, err);
}

/* The blocks that directories and the catalog take when references change. */
static omendb_status array_leaves_counted(void *context, struct array *array, omendb_error *err)
{
    (void)err;
    *(uint32_t *)context += array->leaf_count;
    return OMENDB_OK;
}

/* Moves blocks from the end of the file into holes before it, when there are many. */
static omendb_status shrink(struct checkpoint *run, omendb_error *err)
{
    struct space *space = &run->store->space;
    (void)block_map_trim(&space->map);
    const bool closing = run->kind == CHECKPOINT_CLOSE;
    const uint32_t used = blocks_used(space);
    run->store->shrink_moved = 0;
    struct relocation relocation = {.budget = run->kind == CHECKPOINT_NORMAL ? 64 : 4096};
    if (!wants_shrinking(space, run->kind)) return OMENDB_OK;
    /* On a full disk moving comes last: what waits to be freed is what it would need. */
    if (run->kind == CHECKPOINT_TIGHT && space->released_count != 0) return OMENDB_OK;
    uint32_t kept = run->store->live.catalog_refs;
    for (size_t i = 0; i < run->count; i++)
        TRY(collection_each_array(run->collections[i], array_leaves_counted, &kept, err));
    /* Only as far as free blocks below the limit reach. At rest nothing is to lie behind it. */
    relocation.limit = used + (closing ? used / 512 + kept : used / 16 + BLOCK_FIRST);
    const uint32_t free_below = block_map_free_below(&space->map, relocation.limit);
    const uint32_t room = free_below > kept ? free_below - kept : 0;
    if (room < relocation.budget) relocation.budget = room;
    const uint32_t budget = relocation.budget;
    for (size_t i = 0; i < run->count && relocation.budget > 0; i++)
        TRY(collection_each_array(run->collections[i], array_relocated, &relocation, err));
    run->store->shrink_moved = budget - relocation.budget;
    return OMENDB_OK;
}

static omendb_status superblock_put(struct store *store, struct checkpoint *run,
                                    uint64_t generation, uint32_t slot, enum superblock_state state,
                                    omendb_error *err)
{
    struct superblock_root *root = &run->root;
    memcpy(root->uuid, store->uuid, sizeof root->uuid);
    root->generation = generation;
    root->sequence = run->sequence;
    root->time_ns = store->vfs->ops->clock_wall_ns(store->vfs);
    root->state = state;
    root->wal_segment = run->wal.segment;
    root->wal_offset = run->wal.offset;
    root->wal_salt = run->wal.salt;
    root->wal_chain = run->wal.chain;
    if (root->block_count == 0) root->block_count = store->space.map.end;
    if (MUTANT(slot_by_generation_parity)) slot = (uint32_t)(generation & 1);
    return superblock_write(store->space.file, slot, root, run->payload.data, run->payload.size,
                            run->superblock, err);
}

static omendb_status superblock_reserve(struct checkpoint *run, omendb_error *err)
{
    run->superblock = alloc_raw(1, BLOCK_SIZE);
    if (run->superblock == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a superblock");
    return OMENDB_OK;
}

static omendb_status sync_file(struct store *store, omendb_error *err)
{
    omendb_status status = file_sync(store->space.file, err);
    if (status != OMENDB_OK && MUTANT(retried_fsync)) status = file_sync(store->space.file, err);
    if (status == OMENDB_OK) return status;
    omendb_error reason = {0};
    if (err != NULL) reason = *err;
    store_fence(store, &reason);
    return status;
}

/* Before a superblock replaces the one of the image before: should the live one be damaged then or
 * the new one torn, the log must show what they lacked. So the segment where the live image's log
 * begins has to exist, and what the new image holds has to be durable in the log too. */
static omendb_status log_secure(struct store *store, omendb_error *err)
{
    omendb_error reason = {0};
    omendb_status status = OMENDB_OK;
    txn_lead_begin(store);
    if (!store->live.clean && !store->live.proved) {
        status = wal_begin(&store->wal, &reason);
        if (status == OMENDB_ERR_FULL && space_yield(&store->space))
            status = wal_begin(&store->wal, &reason);
    }
    if (status == OMENDB_OK) status = wal_sync(&store->wal, &reason);
    if (status != OMENDB_OK && status != OMENDB_ERR_FULL && status != OMENDB_ERR_NOMEM)
        store_fence(store, &reason);
    txn_lead_end(store);
    if (status != OMENDB_OK && err != NULL) *err = reason;
    return status;
}

/* Writes the frozen state. No lock held. */
static omendb_status write_image(struct checkpoint *run, omendb_error *err)
{
    struct store *store = run->store;
    for (size_t i = 0; i < run->count; i++)
        TRY(collection_each_array(run->collections[i], array_written, NULL, err));
    TRY(shrink(run, err));
    TRY(catalog_build(run, err));
    TRY(catalog_store(&store->space, &run->catalog, &run->root, &run->payload, err));
    run->releases = store->live.catalog_refs;
    for (size_t i = 0; i < run->count; i++)
        TRY(collection_each_array(run->collections[i], array_releases_counted, &run->releases,
                                  err));
    TRY(space_release_reserve(&store->space, run->releases, err));
    TRY(superblock_reserve(run, err));
    if (!MUTANT(no_sync_before_superblock)) TRY(sync_file(store, err));
    if (MUTANT(early_wal_recycle)) (void)wal_release(&store->wal, run->wal.segment, NULL);
    TRY(log_secure(store, err));
    /* From the first byte of the superblock on, a failure leaves open which image is the live one:
     * the store is fenced and the next open decides. */
    omendb_error local = {0};
    omendb_status status = superblock_put(store, run, store->space.generation + 1,
                                          1 - store->live.slot, SUPERBLOCK_OPEN, &local);
    if (status != OMENDB_OK) store_fence(store, &local);
    if (status == OMENDB_OK && !MUTANT(no_sync_after_superblock)) status = sync_file(store, &local);
    if (status != OMENDB_OK && err != NULL) *err = local;
    return status;
}

/* The image is durable: it becomes the live one. Writer lock held. */
static void publish_image(struct checkpoint *run)
{
    struct store *store = run->store;
    struct image *live = &store->live;
    struct space *space = &store->space;
    const uint64_t generation = space->generation + 1;
    for (size_t i = 0; i < run->count; i++)
        (void)collection_each_array(run->collections[i], array_published, NULL, NULL);
    for (uint32_t i = 0; i < live->catalog_refs; i++)
        space_release(space, catalog_ref(&live->payload, i).block, generation);
    for (size_t i = 0; i < run->dropped_count; i++) {
        (void)collection_each_array(store->dropped[i], array_released, NULL, NULL);
        collection_unpin(store->dropped[i]);
    }
    for (size_t i = run->dropped_count; i < store->dropped_count; i++)
        store->dropped[i - run->dropped_count] = store->dropped[i];
    store->dropped_count -= run->dropped_count;
    space_advance(space, generation);
    store->previous_wal = live->wal.segment;
    live->slot = 1 - live->slot;
    live->generation = generation;
    live->sequence = run->sequence;
    live->wal = run->wal;
    live->catalog_refs = run->root.catalog_refs;
    live->catalog_changes = run->catalog_changes;
    live->index_changes = run->index_changes;
    atomic_store_release_u64(&store->image_sequence, run->sequence); /* checkpoint_due() */
    atomic_store_release_u64(&store->image_index_changes, run->index_changes);
    atomic_store_release_u64(&store->image_ns, store_clock_ns(store));
    live->clean = false;
    live->proved = run->wal.offset != 0;
    atomic_store_release_u32(&store->replay_unwritten, 0); /* with store_writable_settled() */
    buffer_deinit(&live->payload);
    live->payload = run->payload;
    run->payload = (struct buffer){0};
    buffer_deinit(&store->last_catalog);
    store->last_catalog = run->records;
    store->last_collections = (uint32_t)run->count;
    run->records = (struct buffer){0};
    store->checkpoints++;
    store->file_blocks = space->map.end;
}

static void abandon_image(struct checkpoint *run)
{
    struct store *store = run->store;
    const bool undecided = atomic_load_acquire_u32(&store->fenced) != 0;
    for (uint32_t i = 0; i < run->root.catalog_refs && !undecided; i++)
        space_give_back(&store->space, catalog_ref(&run->payload, i).block);
    for (size_t i = 0; i < run->frozen; i++)
        (void)collection_each_array(run->collections[i], array_abandoned, NULL, NULL);
}

static void checkpoint_deinit(struct checkpoint *run)
{
    for (size_t i = 0; i < run->count; i++) collection_unpin(run->collections[i]);
    alloc_free(run->collections);
    buffer_deinit(&run->catalog);
    buffer_deinit(&run->records);
    buffer_deinit(&run->payload);
    alloc_free(run->superblock);
}

static omendb_status run_locked(struct store *store, struct checkpoint *run, omendb_error *err)
{
    mutex_lock(&store->writer);
    txn_drain(store);
    omendb_status status = store_writable(store, err);
    if (status == OMENDB_OK && run->kind != CHECKPOINT_TIGHT && nothing_to_do(store)) {
        /* Giving space back takes a few checkpoints; without progress it isn't tried for ever. */
        if (store->idle_checkpoints >= IDLE_CHECKPOINTS_MAX ||
            !wants_compaction(store, run->kind)) {
            mutex_unlock(&store->writer);
            return OMENDB_OK;
        }
        store->idle_checkpoints++;
    } else {
        store->idle_checkpoints = 0;
    }
    if (status == OMENDB_OK) status = recover_settle(store, err);
    if (status == OMENDB_OK) status = freeze(run, err);
    if (status != OMENDB_OK) {
        abandon_image(run);
        mutex_unlock(&store->writer);
        return status;
    }
    mutex_unlock(&store->writer);
    status = write_image(run, err);
    mutex_lock(&store->writer);
    if (status == OMENDB_OK) publish_image(run);
    else abandon_image(run);
    mutex_unlock(&store->writer);
    TRY(status);
    space_trim(&store->space, store->live.clean               ? SPACE_TRIM_ALL
                              : run->kind == CHECKPOINT_TIGHT ? SPACE_TRIM_TIGHT
                                                              : SPACE_TRIM_USUAL);
    /* A reader process that opens now may still need the segments of the image before. */
    if (!space_pinned(&store->space, store->live.generation >= 2 ? store->live.generation - 2 : 0,
                      store->live.generation - 1)) {
        mutex_lock(&store->writer);
        status = wal_release(
            &store->wal, MUTANT(early_wal_recycle) ? run->wal.segment : store->previous_wal, err);
        mutex_unlock(&store->writer);
    }
    return status;
}

omendb_status checkpoint_run(struct store *store, enum checkpoint_kind kind, omendb_error *err)
{
    struct checkpoint run = {.store = store, .kind = kind};
    const uint64_t begin = store_clock_ns(store);
    if (store->path == NULL || store->read_only) return OMENDB_OK;
    if (kind == CHECKPOINT_TIGHT && store->vfs->single_threaded) {
        /* Without threads it is this one that makes a checkpoint already, further up. */
        if (!mutex_try_lock(&store->checkpoint_mutex))
            return fail(err, OMENDB_ERR_BUSY, "a checkpoint is being made");
    } else {
        mutex_lock(&store->checkpoint_mutex);
    }
    const omendb_status status = run_locked(store, &run, err);
    checkpoint_deinit(&run);
    epoch_collect(&store->space.epoch);
    mutex_unlock(&store->checkpoint_mutex);
    mutex_lock(&store->log);
    store->checkpoint_ns_last = store_clock_ns(store) - begin;
    if (status == OMENDB_OK) store->checkpoint_wanted = false;
    condition_wake_all(&store->log_changed);
    mutex_unlock(&store->log);
    host_wake_wanted(store); /* Nodes may have been freed. */
    return status;
}

omendb_status store_checkpoint(struct store *store, omendb_error *err)
{
    TRY(store_writable(store, err));
    if (store->path == NULL) return OMENDB_OK;
    return checkpoint_run(store, CHECKPOINT_NORMAL, err);
}

/* ---- Clean close ---- */

/* Everything that the live image doesn't refer to is free once both slots hold it. */
static void release_all(struct store *store)
{
    struct space *space = &store->space;
    if (space_pinned(space, 0, space->generation)) return; /* A reader process: left to it. */
    for (size_t i = 0; i < space->released_count; i++) space_free(space, space->released[i].block);
    space->released_count = 0;
}

omendb_status checkpoint_final(struct store *store, omendb_error *err)
{
    struct checkpoint run = {.store = store};
    struct image *live = &store->live;
    for (uint64_t before = 0; before != store->live.generation;) {
        before = store->live.generation;
        TRY(checkpoint_run(store, CHECKPOINT_CLOSE, err));
    }
    /* A clean close that was cut short leaves log segments; both slots are written again then. */
    if (live->clean && store->wal.segments_count == 0) return OMENDB_OK;
    TRY(store_writable(store, err));
    TRY(recover_settle(store, err));
    TRY(log_secure(store, err));
    /* The collection records stay as they are; with the free extents they make a new catalog. */
    const bool external = live->catalog_refs != 0;
    run.sequence = live->sequence;
    run.wal = wal_end(&store->wal);
    run.wal = (struct wal_position){.segment = store->wal.next_number, .chain = run.wal.chain};
    omendb_status status = superblock_reserve(&run, err);
    if (status == OMENDB_OK && !external) {
        release_all(store);
        run.root.block_count = block_map_trim(&store->space.map);
        /* Blocks that wait for a reader process are neither used nor free: derived at the next open. */
        status = catalog_assemble(&run.catalog, store->last_collections, store->next_collection_id,
                                  &store->last_catalog,
                                  store->space.released_count == 0 ? &store->space.map : NULL, err);
        if (status == OMENDB_OK && run.catalog.size > SUPERBLOCK_PAYLOAD_MAX) {
            buffer_clear(&run.catalog);
            status = catalog_assemble(&run.catalog, store->last_collections,
                                      store->next_collection_id, &store->last_catalog, NULL, err);
        }
        if (status == OMENDB_OK)
            status = catalog_store(&store->space, &run.catalog, &run.root, &run.payload, err);
    } else if (
        status ==
        OMENDB_OK) { /* Its blocks are what they were; a later open derives the free blocks. */
        run.root.catalog_refs = live->catalog_refs;
        run.root.catalog_size = (uint64_t)store->last_catalog.size + CATALOG_HEAD_SIZE;
        status = buffer_append(&run.payload, live->payload.data, live->payload.size, err);
        release_all(store);
        run.root.block_count = block_map_trim(&store->space.map);
    }
    for (int copy = 0; status == OMENDB_OK && copy < 2; copy++) {
        status = superblock_put(store, &run, store->space.generation + 1, 1 - live->slot,
                                SUPERBLOCK_CLEAN, err);
        if (status == OMENDB_OK && copy == 0 && MUTANT(wal_unlink_before_both_superblocks))
            status = wal_remove_all(&store->wal, err);
        if (status == OMENDB_OK) status = sync_file(store, err);
        if (status != OMENDB_OK) break;
        store->space.generation++;
        live->generation = store->space.generation;
        live->slot = 1 - live->slot;
    }
    if (status == OMENDB_OK) {
        live->clean = true;
        space_trim(&store->space, SPACE_TRIM_ALL);
        status = wal_remove_all(&store->wal, err);
    }
    checkpoint_deinit(&run);
    return status;
}

/* ---- The background thread ---- */

static uint64_t ms_since(struct store *store, const atomic_u64 *then_ns)
{
    const uint64_t then = atomic_load_acquire_u64(then_ns), now = store_clock_ns(store);
    return now > then ? (now - then) / 1000000 : 0;
}

static uint64_t idle_ms(struct store *store)
{
    return ms_since(store, &store->last_commit_ns);
}

/* Is it time to write what changed although nobody asked? While an index goes on working without
 * commits, each image would be out of date when it is durable: those are made rarely. */
static bool checkpoint_due(struct store *store)
{
    if (idle_ms(store) < IDLE_CHECKPOINT_MS) return false;
    const uint64_t visible = atomic_load_acquire_u64(&store->space.epoch.visible_sequence);
    const bool only_index = atomic_load_acquire_u64(&store->image_sequence) == visible &&
                            atomic_load_acquire_u64(&store->image_index_changes) !=
                                atomic_load_acquire_u64(&store->index_changes_seen);
    return !only_index || ms_since(store, &store->last_index_ns) >= IDLE_CHECKPOINT_MS ||
           ms_since(store, &store->image_ns) >= INDEX_CHECKPOINT_MS;
}

static void upkeep_log(struct store *store)
{
    omendb_error error = {0};
    omendb_status status = OMENDB_OK;
    txn_lead_begin(store);
    if (atomic_load_acquire_u32(&store->fenced) == 0) {
        if (store->options.durability != OMENDB_DURABILITY_NONE)
            status = wal_sync(&store->wal, &error);
        if (status == OMENDB_OK && idle_ms(store) >= IDLE_MARK_MS)
            status = wal_mark(&store->wal, &error);
        if (status != OMENDB_OK) store_fence(store, &error);
    }
    txn_lead_end(store);
}

void upkeep_note(struct store *store, const omendb_error *error)
{
    mutex_lock(&store->log);
    store->upkeep_error = *error;
    store->upkeep_failures++;
    mutex_unlock(&store->log);
}

static void checkpoint_unwanted(struct store *store)
{
    mutex_lock(&store->log);
    store->checkpoint_wanted = false; /* Asked for again by the next commit. */
    mutex_unlock(&store->log);
}

void upkeep_main(void *context)
{
    struct store *store = context;
    const uint32_t period = store->options.durability == OMENDB_DURABILITY_INTERVAL
                                ? store->options.interval_ms
                                : IDLE_MARK_MS;
    mutex_lock(&store->log);
    while (!store->upkeep_stop) {
        if (!store->checkpoint_wanted)
            (void)condition_wait_for(&store->upkeep_wanted, &store->log, period);
        if (store->upkeep_stop) break;
        const bool wanted = store->checkpoint_wanted;
        mutex_unlock(&store->log);
        omendb_error error = {0};
        omendb_status status = OMENDB_OK;
        if (wanted || checkpoint_due(store))
            status = checkpoint_run(store, CHECKPOINT_NORMAL, &error);
        if (status == OMENDB_OK) status = wal_prepare_next(&store->wal, &error);
        if (status != OMENDB_OK) {
            upkeep_note(store, &error);
            checkpoint_unwanted(store);
        }
        upkeep_log(store);
        epoch_collect(&store->space.epoch);
        mutex_lock(&store->log);
    }
    mutex_unlock(&store->log);
}
