/* recover.c - making a database, and opening one whatever its last writer left behind.
 *
 *     newest valid superblock ─▶ catalog ─▶ replay the log ─▶ checkpoint ─▶ writes may begin
 *
 * The checkpoint after a replay comes before any write: after a failed sync the page cache may show
 * frames that the disk doesn't have.
 *
 * One slot may be invalid (a checkpoint was torn, or it rotted). Then the other and the log that
 * begins there hold everything; without that log it would be a silently older state: CORRUPT. A
 * slot that says CLEAN needs no log.
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "store/catalog.h"
#include "store/store_inner.h"

/* ---- A new file ---- */

static omendb_status empty_image_write(struct store *store, struct file *file, omendb_error *err)
{
    struct buffer catalog = {0}, none = {0};
    TRY(store->vfs->ops->random(store->vfs, store->uuid, sizeof store->uuid, err));
    void *scratch = alloc_raw(1, BLOCK_SIZE);
    if (scratch == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a superblock");
    omendb_status status = catalog_assemble(&catalog, 0, 1, &none, NULL, err);
    for (uint32_t slot = 0; status == OMENDB_OK && slot < BLOCK_FIRST; slot++) {
        struct superblock_root root = {.generation = slot + 1,
                                       .state = SUPERBLOCK_CLEAN,
                                       .block_count = BLOCK_FIRST,
                                       .wal_segment = 1,
                                       .catalog_size = catalog.size,
                                       .time_ns = store->vfs->ops->clock_wall_ns(store->vfs)};
        memcpy(root.uuid, store->uuid, sizeof root.uuid);
        status = superblock_write(file, slot, &root, catalog.data, catalog.size, scratch, err);
    }
    alloc_free(scratch);
    buffer_deinit(&catalog);
    return status;
}

static omendb_status database_exists(struct store *store, bool *out, omendb_error *err)
{
    struct file *file = NULL;
    uint64_t size = 0;
    omendb_status status = file_open(store->vfs, store->path, FILE_READ_ONLY, &file, err);
    *out = false;
    if (status == OMENDB_ERR_NOT_FOUND) return OMENDB_OK;
    if (status == OMENDB_OK) status = file_size(file, &size, err);
    file_close(file);
    *out = size != 0;
    return status;
}

/* Two processes may come at once. The one that makes the database is the one that holds the lock of
 * the file that still has the first name while the real name is free. Between our opening of that
 * file and our lock another may have renamed it: then it is a living database. */
static omendb_status create_claim(struct store *store, const char *path, struct file *file,
                                  omendb_error *err)
{
    bool granted = false, still = false, exists = false;
    TRY(file_lock(file, SPACE_WRITER_BYTE, 1, FILE_LOCK_EXCLUSIVE, &granted, err));
    if (granted) TRY(space_file_is_at(file, path, &still, err));
    if (!still) return fail(err, OMENDB_ERR_BUSY, "%s: another process is making it", store->path);
    TRY(database_exists(store, &exists, err));
    if (!exists) return OMENDB_OK;
    TRY(vfs_remove(store->vfs, path, err));
    return fail(err, OMENDB_ERR_BUSY, "%s: another process has just made it", store->path);
}

/* Under another name first, so that a file of the real name is always whole. */
omendb_status recover_create(struct store *store, omendb_error *err)
{
    struct buffer name = {0};
    struct file *file = NULL;
    omendb_status status = buffer_append_format(&name, err, "%s-new", store->path);
    const char *path = (const char *)name.data;
    if (status == OMENDB_OK) status = file_open(store->vfs, path, FILE_CREATE, &file, err);
    if (status == OMENDB_OK) status = create_claim(store, path, file, err);
    if (status == OMENDB_OK) status = file_resize(file, 0, err);
    if (status == OMENDB_OK) status = empty_image_write(store, file, err);
    if (status == OMENDB_OK) status = file_sync(file, err);
    if (status == OMENDB_OK) status = vfs_rename(store->vfs, path, store->path, err);
    if (status == OMENDB_OK) status = vfs_sync_directory(store->vfs, store->path, err);
    file_close(file);
    buffer_deinit(&name);
    return status;
}

/* ---- Replay ---- */

omendb_status recover_batch(void *context, const struct wal_batch *batch, omendb_error *err)
{
    struct store *store = context;
    const struct operation *op = (const void *)batch->bytes;
    if (batch->operation_count == 1 && op->type >= OPERATION_CREATE_COLLECTION)
        TRY(store_catalog_apply(store, op, batch->sequence, err));
    else
        TRY(txn_stage(store, batch->bytes, batch->size, batch->operation_count, batch->sequence,
                      err));
    for (size_t i = 0; i < store->stage.count; i++) {
        struct collection *collection = store->stage.items[i].collection;
        atomic_store_release_u64(&collection->published_count, /* Readers may look on: follow.c */
                                 atomic_load_relaxed_u64(&collection->live_count));
    }
    store->stage.count = 0;
    store->next_sequence = batch->sequence + 1;
    txn_publish(store, batch->sequence);
    store->replayed_batches++;
    return OMENDB_OK;
}

omendb_status image_each_collection(
    struct space *space, const struct superblock *superblock, const struct index_hooks *hooks,
    omendb_status (*each)(void *context, struct collection *collection, omendb_error *err),
    void *context, struct buffer *catalog, struct catalog_view *view, omendb_error *err)
{
    TRY(catalog_load(space, superblock, catalog, err));
    TRY(catalog_parse(catalog, view, err));
    size_t at = 0;
    for (uint32_t i = 0; i < view->collection_count; i++) {
        struct collection *collection = NULL;
        size_t used = 0;
        TRY(collection_decode(space, hooks, view->records + at, (size_t)view->records_size - at,
                              &used, &collection, err));
        at += used;
        TRY(each(context, collection, err));
    }
    if (at != view->records_size)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: records of a wrong size");
    return OMENDB_OK;
}

/* ---- Which blocks are used ---- */

struct block_walk {
    omendb_status (*each)(void *context, struct block_ref ref, omendb_error *err);
    void *context;
};

static omendb_status walk_array(void *context, struct array *array, omendb_error *err)
{
    const struct block_walk *walk = context;
    return array_each_block(array, walk->each, walk->context, err);
}

static omendb_status walk_collection(void *context, struct collection *collection,
                                     omendb_error *err)
{
    const omendb_status status = collection_each_array(collection, walk_array, context, err);
    collection_unpin(collection);
    return status;
}

omendb_status image_each_block(struct space *space, const struct superblock *superblock,
                               omendb_status (*each)(void *context, struct block_ref ref,
                                                     omendb_error *err),
                               void *context, omendb_error *err)
{
    struct block_walk walk = {.each = each, .context = context};
    struct buffer catalog = {0};
    struct catalog_view view;
    omendb_status status = OMENDB_OK;
    for (uint32_t i = 0; status == OMENDB_OK && i < superblock->root.catalog_refs; i++)
        status = each(context, catalog_ref(&superblock->payload, i), err);
    if (status == OMENDB_OK)
        status = image_each_collection(space, superblock, NULL, walk_collection, &walk, &catalog,
                                       &view, err);
    buffer_deinit(&catalog);
    return status;
}

static omendb_status mark_block(void *context, struct block_ref ref, omendb_error *err)
{
    struct space *space = context;
    if (ref.block < BLOCK_FIRST || block_map_is_taken(&space->map, ref.block))
        return fail(err, OMENDB_ERR_CORRUPT, "block %u is used twice", ref.block);
    if (((uint64_t)ref.block + 1) * BLOCK_SIZE > space->mapping_length)
        return fail(err, OMENDB_ERR_CORRUPT, "block %u can't be one of this file", ref.block);
    return block_map_mark(&space->map, ref.block, 1, err);
}

static omendb_status release_block(void *context, struct block_ref ref, omendb_error *err)
{
    struct space *space = context;
    if (block_map_is_taken(&space->map, ref.block)) return OMENDB_OK; /* Both images share it. */
    TRY(mark_block(space, ref, err));
    const omendb_status status = space_release_reserve(space, 1, err);
    if (status != OMENDB_OK) {
        block_map_give(&space->map, ref.block);
        return status;
    }
    space_release(space, ref.block, space->generation);
    return OMENDB_OK;
}

static omendb_status map_from_extents(struct store *store, const struct catalog_view *view,
                                      uint32_t block_count, omendb_error *err)
{
    struct block_map *map = &store->space.map;
    uint64_t size = 0;
    TRY(file_size(store->space.file, &size, err));
    if (block_count > size / BLOCK_SIZE)
        return fail(err, OMENDB_ERR_CORRUPT, "the file has %llu bytes: its end is missing",
                    (unsigned long long)size);
    TRY(block_map_mark(map, 0, block_count, err));
    for (uint32_t i = 0; i < view->extent_count; i++) {
        const uint32_t first = load_le32(view->extents + i * 8);
        const uint32_t count = load_le32(view->extents + i * 8 + 4);
        if (first < BLOCK_FIRST || first > block_count || count > block_count - first)
            return fail(err, OMENDB_ERR_CORRUPT, "catalog: a free extent is out of range");
        for (uint32_t block = first; block < first + count; block++) {
            if (!block_map_is_taken(map, block))
                return fail(err, OMENDB_ERR_CORRUPT, "catalog: free extents overlap");
            block_map_give(map, block);
        }
    }
    return OMENDB_OK;
}

/* A reader process that pins an image older than both may still look at blocks that only it knows,
 * so none is taken before it has left. */
static omendb_status pinned_blocks_keep(struct store *store, omendb_error *err)
{
    struct space *space = &store->space;
    uint64_t size = 0;
    if (space->generation == 0 || !space_pinned(space, 0, space->generation - 1)) return OMENDB_OK;
    TRY(file_size(space->file, &size, err));
    for (uint64_t block = BLOCK_FIRST; block < size / BLOCK_SIZE && block < UINT32_MAX; block++)
        TRY(release_block(space, (struct block_ref){.block = (uint32_t)block}, err));
    return OMENDB_OK;
}

static omendb_status block_map_build(struct store *store, const struct superblock *live,
                                     const struct superblock *other,
                                     const struct catalog_view *view, omendb_error *err)
{
    if (store->read_only) return OMENDB_OK;
    if (live->root.state == SUPERBLOCK_CLEAN && view->extents_known)
        return map_from_extents(store, view, live->root.block_count, err);
    TRY(block_map_mark(&store->space.map, 0, BLOCK_FIRST, err));
    TRY(image_each_block(&store->space, live, mark_block, &store->space, err));
    /* The image before stays recoverable until the next one is durable. */
    omendb_error ignored = {0};
    if (other->valid)
        (void)image_each_block(&store->space, other, release_block, &store->space, &ignored);
    return pinned_blocks_keep(store, err);
}

/* ---- Opening ---- */

static omendb_status keep_collection(void *context, struct collection *collection,
                                     omendb_error *err)
{
    const omendb_status status = store_collection_insert(context, collection, err);
    if (status != OMENDB_OK) collection_unpin(collection);
    return status;
}

static void image_from(struct image *image, const struct superblock *from, uint32_t slot)
{
    const struct superblock_root *root = &from->root;
    *image = (struct image){.slot = slot,
                            .generation = root->generation,
                            .sequence = root->sequence,
                            .catalog_refs = root->catalog_refs,
                            .clean = root->state == SUPERBLOCK_CLEAN,
                            .wal = {.segment = root->wal_segment,
                                    .offset = root->wal_offset,
                                    .salt = root->wal_salt,
                                    .chain = root->wal_chain}};
}

static omendb_status log_replay(struct store *store, const struct superblock *live, bool alone,
                                omendb_error *err)
{
    bool found = false;
    TRY(wal_init(&store->wal, store->vfs, store->path, store->uuid, store->options.wal_segment_size,
                 err));
    TRY(wal_replay(&store->wal, store->live.wal, live->root.sequence, recover_batch, store, &found,
                   err));
    store->live.proved = found;
    if (found) return OMENDB_OK;
    if (store->live.wal.offset != 0)
        return fail(err, OMENDB_ERR_CORRUPT,
                    "%s: log segment %s-wal-%llu is missing or damaged; without it acknowledged "
                    "batches would be lost",
                    store->path, store->path, (unsigned long long)store->live.wal.segment);
    if (alone && live->root.state != SUPERBLOCK_CLEAN)
        return fail(err, OMENDB_ERR_CORRUPT,
                    "%s: one superblock is damaged and there is no log to prove that the other "
                    "is the newest",
                    store->path);
    return OMENDB_OK;
}

static omendb_status open_images(struct store *store, const struct superblock *live,
                                 const struct superblock *other, struct buffer *catalog,
                                 omendb_error *err)
{
    struct catalog_view view;
    store->next_sequence = live->root.sequence + 1;
    store->space.generation = live->root.generation;
    memcpy(store->uuid, live->root.uuid, sizeof store->uuid);
    txn_publish(store, live->root.sequence);
    TRY(image_each_collection(&store->space, live, &store->options.hooks, keep_collection, store,
                              catalog, &view, err));
    store->next_collection_id = view.next_collection_id;
    TRY(buffer_append(&store->live.payload, live->payload.data, live->payload.size, err));
    TRY(buffer_append(&store->last_catalog, view.records, (size_t)view.records_size, err));
    store->last_collections = view.collection_count;
    store->file_blocks = live->root.block_count;
    TRY(block_map_build(store, live, other, &view, err));
    space_counted(&store->space);
    store->previous_wal = other->valid && other->root.wal_segment < store->live.wal.segment
                              ? other->root.wal_segment
                              : store->live.wal.segment;
    return log_replay(store, live, !other->valid, err);
}

omendb_status recover_open(struct store *store, omendb_error *err)
{
    struct superblock slots[2] = {0};
    struct buffer catalog = {0};
    bool alone = false;
    omendb_status status = OMENDB_OK;
    for (uint32_t i = 0; status == OMENDB_OK && i < 2; i++)
        status = superblock_read(store->space.file, i, &slots[i], err);
    if (status == OMENDB_OK && !slots[0].valid && !slots[1].valid)
        status = fail(err, OMENDB_ERR_CORRUPT,
                      "%s: not an OmenDB database, or both superblocks are damaged", store->path);
    if (status == OMENDB_OK) {
        const uint32_t live = !slots[1].valid || (slots[0].valid && slots[0].root.generation >
                                                                        slots[1].root.generation)
                                  ? 0
                                  : 1;
        image_from(&store->live, &slots[live], live);
        alone = !slots[1 - live].valid;
        if ((slots[live].root.ro_compat & ~FORMAT_RO_COMPAT_KNOWN) != 0 && !store->read_only)
            status = fail(err, OMENDB_ERR_UNSUPPORTED,
                          "%s: features of a newer version allow reading only", store->path);
        if (status == OMENDB_OK)
            status = open_images(store, &slots[live], &slots[1 - live], &catalog, err);
    }
    superblock_deinit(&slots[0]);
    superblock_deinit(&slots[1]);
    buffer_deinit(&catalog);
    TRY(status);
    if (store->read_only) return OMENDB_OK;
    /* After a clean close too: it may have been cut short between superblock and log. */
    TRY(wal_start(&store->wal, store->previous_wal, err));
    /* The log goes on in a new segment, so what was read must be there at the next recovery: not
     * only batches, but also the header of a segment that no batch had reached, and a mark: the next
     * segment names the frame before it. */
    const uint64_t segments_known = store->live.wal.segment + (store->live.wal.offset != 0);
    const bool went_on = store->wal.next_number > segments_known ||
                         store->wal.chain != store->live.wal.chain || store->replayed_batches != 0;
    if (!went_on && !alone) return OMENDB_OK;
    if (store->live.proved) TRY(wal_sync_replayed(&store->wal, err));
    store->live.catalog_changes = UINT64_MAX; /* Forces it; a damaged slot is whole again then. */
    atomic_store_release_u32(&store->replay_unwritten, 1); /* with store_writable_settled() */
    status = checkpoint_run(store, CHECKPOINT_NORMAL, err);
    /* A full disk must not lock the user out: the log still holds everything. Writing has to wait
     * for that checkpoint (store_writable_settled). */
    return status == OMENDB_ERR_FULL ? OMENDB_OK : status;
}

/* The process before may have ended between writing the superblock and syncing it; after a failed
 * sync the cache may even show pages as clean that the disk doesn't have. The blocks that the
 * superblock refers to were synced before it was written, so it is enough to write the superblock
 * itself again, to its own slot: torn, it is what the disk had, and the other slot is whole. */
omendb_status recover_settle(struct store *store, omendb_error *err)
{
    struct file *file = store->space.file;
    const uint64_t at = (uint64_t)store->live.slot * BLOCK_SIZE;
    omendb_error reason = {0};
    size_t got = 0;
    if (store->settled) return OMENDB_OK;
    void *block = alloc_raw(1, BLOCK_SIZE);
    if (block == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a superblock");
    omendb_status status = file_read(file, at, block, BLOCK_SIZE, &got, &reason);
    if (status == OMENDB_OK) {
        status = file_write(file, at, block, got, &reason);
        if (status == OMENDB_OK) status = file_sync(file, &reason);
        if (status != OMENDB_OK) store_fence(store, &reason);
    }
    alloc_free(block);
    if (status != OMENDB_OK && err != NULL) *err = reason;
    store->settled = status == OMENDB_OK;
    return status;
}
