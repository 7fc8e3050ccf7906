#include "store/backup.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "store/backup_inner.h"
#include "store/store_inner.h"
#include "store/wal_inner.h"

enum { LOG_TRIES = 10 };

struct backup {
    struct store *store;
    const struct backup_options *options;
    struct backup_target target;
    struct backup_image image, base;
    struct backup_copy copy;
    bool with_log; /* The image alone isn't all that was acknowledged. */
    /* Where the log of the image begins and ends, as far as it was read. */
    struct wal_position log_begin;
    uint64_t log_last, log_end, log_sequence;
};

/* ---- Copying ---- */

omendb_status backup_copy_begin(struct backup_copy *copy, struct store *store,
                                const struct backup_options *options, omendb_error *err)
{
    *copy = (struct backup_copy){.options = options, .store = store};
    if (store != NULL) copy->interrupts = store_interrupts(store);
    copy->scratch = alloc_raw(BACKUP_RUN_BLOCKS, BLOCK_SIZE);
    if (copy->scratch == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: blocks to copy");
    return OMENDB_OK;
}

void backup_copy_end(struct backup_copy *copy)
{
    alloc_free(copy->scratch);
    copy->scratch = NULL;
}

omendb_status backup_copy_step(struct backup_copy *copy, uint64_t size, omendb_error *err)
{
    copy->done += size;
    const bool interrupted = copy->store != NULL &&
                             store_interrupts(copy->store) != copy->interrupts;
    if (!interrupted &&
        (copy->options->progress == NULL ||
         copy->options->progress(copy->options->context, copy->done, copy->total) == 0))
        return OMENDB_OK;
    return fail(err, OMENDB_ERR_INTERRUPTED, "interrupted after %llu of %llu bytes",
                (unsigned long long)copy->done, (unsigned long long)copy->total);
}

static omendb_status copy_blocks(struct backup *run, omendb_error *err)
{
    struct backup_image *image = &run->image;
    struct backup_copy *copy = &run->copy;
    for (uint32_t i = 0; i < image->held_count;) {
        const uint32_t count = backup_image_run(image, i, BACKUP_RUN_BLOCKS);
        const size_t size = (size_t)count * BLOCK_SIZE;
        TRY(backup_image_read(image, i, count, copy->scratch, err));
        TRY(file_write(run->target.file, (uint64_t)image->held[i].block * BLOCK_SIZE, copy->scratch,
                       size, err));
        TRY(backup_copy_step(copy, size, err));
        i += count;
    }
    return OMENDB_OK;
}

/* ---- The roots of a copy ---- */

static omendb_status blocks_mark(const struct block_ref *refs, uint32_t count,
                                 struct block_map *map, omendb_error *err)
{
    for (uint32_t i = 0; i < count;) {
        uint32_t run = 1;
        while (run < count - i && refs[i + run].block == refs[i].block + run) run++;
        TRY(block_map_mark(map, refs[i].block, run, err));
        i += run;
    }
    return OMENDB_OK;
}

/* The catalog as the copy has it: with its free extents where it fits beside the root. */
static omendb_status catalog_seal(struct backup_image *image, struct block_map *map,
                                  struct superblock_root *root, struct buffer *payload,
                                  omendb_error *err)
{
    struct buffer catalog = {0}, records = {0};
    struct catalog_view view;
    omendb_status status = catalog_load(&image->space, &image->superblock, &catalog, err);
    if (status == OMENDB_OK) status = catalog_parse(&catalog, &view, err);
    if (status == OMENDB_OK)
        status = buffer_append(&records, view.records, (size_t)view.records_size, err);
    if (status == OMENDB_OK)
        status = catalog_assemble(payload, view.collection_count, view.next_collection_id, &records,
                                  map, err);
    if (status == OMENDB_OK && payload->size > SUPERBLOCK_PAYLOAD_MAX) {
        buffer_clear(payload);
        status = catalog_assemble(payload, view.collection_count, view.next_collection_id, &records,
                                  NULL, err);
    }
    root->catalog_size = payload->size;
    buffer_deinit(&catalog);
    buffer_deinit(&records);
    return status;
}

omendb_status backup_seal(struct vfs *vfs, struct backup_image *image, struct superblock_root *root,
                          struct buffer *payload, omendb_error *err)
{
    const struct superblock_root *from = &image->superblock.root;
    struct block_map map = {0};
    *root = (struct superblock_root){.compat = from->compat,
                                     .ro_compat = from->ro_compat,
                                     .incompat = from->incompat,
                                     .generation = from->generation,
                                     .sequence = from->sequence,
                                     .time_ns = from->time_ns,
                                     .state = SUPERBLOCK_CLEAN,
                                     .wal_segment = 1,
                                     .catalog_refs = from->catalog_refs,
                                     .catalog_size = from->catalog_size,
                                     .origin_generation = image->generation};
    memcpy(root->origin_uuid, image->uuid, sizeof root->origin_uuid);
    TRY(vfs->ops->random(vfs, root->uuid, sizeof root->uuid, err));
    omendb_status status = block_map_mark(&map, 0, BLOCK_FIRST, err);
    if (status == OMENDB_OK) status = blocks_mark(image->held, image->held_count, &map, err);
    if (status == OMENDB_OK) status = blocks_mark(image->others, image->others_count, &map, err);
    root->block_count = map.end;
    if (status == OMENDB_OK && root->catalog_refs == 0)
        status = catalog_seal(image, &map, root, payload, err);
    else if (status == OMENDB_OK)
        status = buffer_append(payload, image->superblock.payload.data,
                               image->superblock.payload.size, err);
    block_map_deinit(&map);
    return status;
}

omendb_status backup_roots_write(struct file *file, const struct superblock_root *root,
                                 const struct buffer *payload, omendb_error *err)
{
    void *scratch = alloc_raw(1, BLOCK_SIZE);
    omendb_status status = OMENDB_OK;
    if (scratch == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a superblock");
    for (uint32_t slot = 0; status == OMENDB_OK && slot < BLOCK_FIRST; slot++) {
        struct superblock_root copy = *root;
        copy.generation += slot;
        status = superblock_write(file, slot, &copy, payload->data, payload->size, scratch, err);
    }
    alloc_free(scratch);
    return status;
}

static omendb_status roots_seal(struct backup *run, struct backup_image *image, omendb_error *err)
{
    struct superblock_root root;
    struct buffer payload = {0};
    omendb_status status = backup_seal(run->store->vfs, image, &root, &payload, err);
    if (status == OMENDB_OK) status = backup_roots_write(run->target.file, &root, &payload, err);
    /* The blocks behind the last gap, or none: the file never ends before its image. */
    if (status == OMENDB_OK)
        status = file_resize(run->target.file, (uint64_t)root.block_count * BLOCK_SIZE, err);
    buffer_deinit(&payload);
    return status;
}

/* ---- What is to be copied ---- */

static omendb_status batch_passed(void *context, const struct wal_batch *batch, omendb_error *err)
{
    (void)context, (void)batch, (void)err;
    return OMENDB_OK;
}

/* Reads the log behind an image, to know where it ends. What lies before that is never written
 * again. */
static omendb_status log_measure(struct backup *run, const struct superblock_root *root,
                                 omendb_error *err)
{
    struct store *store = run->store;
    struct wal wal = {0};
    bool found = false;
    run->log_begin = (struct wal_position){.segment = root->wal_segment,
                                           .offset = root->wal_offset,
                                           .salt = root->wal_salt,
                                           .chain = root->wal_chain};
    omendb_status status = wal_init(&wal, store->vfs, store->path, root->uuid,
                                    store->options.wal_segment_size, err);
    if (status == OMENDB_OK)
        status = wal_replay(&wal, run->log_begin, root->sequence, batch_passed, NULL, &found, err);
    if (status == OMENDB_OK && !found && root->wal_offset != 0)
        status = fail(err, OMENDB_ERR_CORRUPT, "%s: log segment %llu is missing or damaged",
                      store->path, (unsigned long long)root->wal_segment);
    if (status == OMENDB_OK) {
        run->with_log = found && wal.sequence > root->sequence;
        run->log_last = wal.next_number - 1;
        run->log_end = wal.replayed.offset;
        run->log_sequence = found ? wal.sequence : root->sequence;
    }
    wal_deinit(&wal);
    return status;
}

static omendb_status segment_copy(struct backup *run, uint64_t number, omendb_error *err)
{
    struct buffer from_path = {0}, to_path = {0};
    struct file *from = NULL, *to = NULL;
    struct vfs *vfs = run->store->vfs;
    uint64_t size = 0, at = 0;
    size_t got = 0;
    omendb_status status = buffer_append_format(&from_path, err, "%s-wal-%llu", run->store->path,
                                                (unsigned long long)number);
    if (status == OMENDB_OK)
        status = buffer_append_format(&to_path, err, "%s-wal-%llu",
                                      backup_target_work_path(&run->target),
                                      (unsigned long long)number);
    if (status == OMENDB_OK)
        status = file_open(vfs, (const char *)from_path.data, FILE_READ_ONLY, &from, err);
    if (status == OMENDB_ERR_NOT_FOUND) { /* Made ahead and left out; else the sequence tells. */
        buffer_deinit(&from_path);
        buffer_deinit(&to_path);
        return OMENDB_OK;
    }
    if (status == OMENDB_OK) status = file_size(from, &size, err);
    if (status == OMENDB_OK)
        status = file_open(vfs, (const char *)to_path.data, FILE_CREATE, &to, err);
    if (status == OMENDB_OK) status = file_resize(to, size, err);
    const uint64_t end = number == run->log_last && run->log_end < size ? run->log_end : size;
    while (status == OMENDB_OK && at < end) {
        const uint64_t rest = end - at, most = (uint64_t)BACKUP_RUN_BLOCKS * BLOCK_SIZE;
        status = file_read(from, at, run->copy.scratch, (size_t)(rest < most ? rest : most), &got,
                           err);
        if (status != OMENDB_OK || got == 0) break;
        status = file_write(to, at, run->copy.scratch, got, err);
        at += got;
    }
    file_close(from);
    file_close(to);
    buffer_deinit(&from_path);
    buffer_deinit(&to_path);
    return status;
}

static omendb_status log_copy(struct backup *run, omendb_error *err)
{
    for (uint64_t n = run->log_begin.segment; n <= run->log_last; n++)
        TRY(segment_copy(run, n, err));
    return OMENDB_OK;
}

/* Pins the newest image and, if its log counts, copies that at once: the pin keeps blocks for good, but
 * segments only as long as it takes to open. */
static omendb_status image_pin(struct backup *run, bool log_counts, omendb_error *err)
{
    struct store *store = run->store;
    struct superblock slots[2] = {0};
    struct file *file = NULL;
    bool same = false;
    omendb_status status = file_open(store->vfs, store->path, FILE_READ_ONLY, &file, err);
    if (status == OMENDB_OK) status = space_file_is_at(store->space.file, store->path, &same, err);
    if (status == OMENDB_OK && !same)
        status = fail(err, OMENDB_ERR_IO, "%s: it was moved or replaced since it was opened",
                      store->path);
    if (status == OMENDB_OK) status = store_pin_newest(file, store->path, slots, err);
    const uint32_t newest = !slots[0].valid ||
                            (slots[1].valid && slots[1].root.generation > slots[0].root.generation);
    if (status == OMENDB_OK && !slots[newest].valid)
        status = fail(err, OMENDB_ERR_CORRUPT, "%s: both superblocks are damaged", store->path);
    if (status == OMENDB_OK && log_counts) status = log_measure(run, &slots[newest].root, err);
    if (status == OMENDB_OK && run->with_log && run->options->base == NULL)
        status = log_copy(run, err);
    if (status == OMENDB_OK) {
        status = backup_image_load(store->vfs, file, &slots[newest], &run->image, err);
        file = NULL;
    }
    file_close(file);
    superblock_deinit(&slots[0]);
    superblock_deinit(&slots[1]);
    return status;
}

/* Everything acknowledged before the call is in what is copied. */
static omendb_status image_choose(struct backup *run, omendb_error *err)
{
    struct store *store = run->store;
    omendb_error ignored = {0};
    const bool fresh = !store->read_only &&
                       checkpoint_run(store, CHECKPOINT_NORMAL, &ignored) == OMENDB_OK;
    omendb_status status = image_pin(run, !fresh, err);
    /* Its writer may be in the midst of a frame, or have taken segments away: look again. */
    for (int tries = 0; status == OMENDB_ERR_CORRUPT && !fresh && tries < LOG_TRIES; tries++) {
        backup_image_close(&run->image);
        run->with_log = false;
        status = image_pin(run, true, err);
    }
    return status;
}

/* ---- A whole one ---- */

/* The copy is as its source after a crash: it recovers from its log and is closed. */
static omendb_status log_apply(struct backup *run, omendb_error *err)
{
    struct store *store = NULL;
    struct store_options options = run->store->options;
    uint64_t sequence = 0;
    options.path = backup_target_work_path(&run->target);
    options.flags = OMENDB_OPEN_MUST_EXIST;
    backup_target_lend(&run->target);
    omendb_status status = store_open(&options, &store, err);
    if (status == OMENDB_OK) {
        sequence = store->next_sequence - 1;
        status = store_close(store, err);
    }
    if (status == OMENDB_OK) status = backup_target_take(&run->target, err);
    if (status == OMENDB_OK && sequence != run->log_sequence)
        status = fail(err, OMENDB_ERR_BUSY,
                      "%s: its writer took the log away while it was copied: try again",
                      run->store->path);
    return status;
}

/* Gives the recovered copy its own identity. */
static omendb_status recovered_seal(struct backup *run, omendb_error *err)
{
    struct backup_image image = {0};
    TRY(backup_image_open(run->store->vfs, backup_target_work_path(&run->target), &image, err));
    memcpy(image.uuid, run->image.uuid, sizeof image.uuid);
    image.generation = run->image.generation;
    const omendb_status status = roots_seal(run, &image, err);
    backup_image_close(&image);
    return status;
}

static omendb_status whole_make(struct backup *run, omendb_error *err)
{
    struct backup_image *image = &run->image;
    run->copy.total = (uint64_t)image->held_count * BLOCK_SIZE;
    TRY(backup_copy_step(&run->copy, 0, err));
    TRY(copy_blocks(run, err));
    if (!run->with_log) return roots_seal(run, image, err);
    struct superblock_root root = image->superblock.root;
    void *scratch = run->copy.scratch;
    for (uint32_t slot = 0; slot < BLOCK_FIRST; slot++)
        TRY(superblock_write(run->target.file, slot, &root, image->superblock.payload.data,
                             image->superblock.payload.size, scratch, err));
    TRY(file_resize(run->target.file, (uint64_t)root.block_count * BLOCK_SIZE, err));
    TRY(log_apply(run, err));
    return recovered_seal(run, err);
}

/* ---- What a base lacks ---- */

static omendb_status increment_make(struct backup *run, omendb_error *err)
{
    struct backup_image *image = &run->image;
    if (run->with_log)
        return fail(
            err, OMENDB_ERR_UNSUPPORTED,
            "%s: its log holds what no image has yet: an increment is made by a handle that "
            "may write, or of a closed database",
            run->store->path);
    TRY(backup_image_open(run->store->vfs, run->options->base, &run->base, err));
    if (memcmp(run->base.uuid, image->uuid, sizeof image->uuid) != 0)
        return fail(err, OMENDB_ERR_ARGUMENT, "%s: not a backup of this database",
                    run->options->base);
    return backup_increment_make(&run->copy, image, &run->base, run->target.file, err);
}

static omendb_status copy_make(struct backup *run, omendb_error *err)
{
    if (run->store->path == NULL) return backup_memory(run->store, &run->copy, &run->target, err);
    TRY(image_choose(run, err));
    return run->options->base != NULL ? increment_make(run, err) : whole_make(run, err);
}

omendb_status backup_run(struct store *store, const char *path,
                         const struct backup_options *options, omendb_error *err)
{
    struct backup run = {.store = store, .options = options};
    bool same = false;
    if (store->path == NULL && options->base != NULL)
        return fail(err, OMENDB_ERR_UNSUPPORTED, "a database in memory has no blocks to compare");
    if (store->path != NULL) TRY(space_file_is_at(store->space.file, path, &same, err));
    if (same) return fail(err, OMENDB_ERR_ARGUMENT, "%s: a database can't be its own backup", path);
    TRY(backup_copy_begin(&run.copy, store, options, err));
    omendb_status status = backup_target_open(store->vfs, path, options->replace, &run.target, err);
    if (status == OMENDB_OK) {
        status = copy_make(&run, err);
        if (status == OMENDB_OK) status = backup_target_publish(&run.target, err);
        backup_target_close(&run.target);
    }
    backup_image_close(&run.image);
    backup_image_close(&run.base);
    backup_copy_end(&run.copy);
    return status;
}
