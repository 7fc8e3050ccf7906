/* backup_restore.c - a database out of a backup and its increments. */
#include "base/alloc.h"
#include "store/backup_inner.h"

struct restore {
    struct backup_image *images; /* [count], oldest first */
    const char *const *paths;
    size_t count;
    struct block_ref *list; /* [list_count] every block of the last image, ascending */
    uint32_t list_count;
    struct backup_copy copy;
    struct backup_target target;
};

/* What is held and what isn't, merged. */
static omendb_status restore_list(struct restore *run, omendb_error *err)
{
    const struct backup_image *last = &run->images[run->count - 1];
    uint32_t held = 0, others = 0;
    run->list_count = last->held_count + last->others_count;
    run->list = alloc_raw((size_t)run->list_count + 1, sizeof *run->list);
    if (run->list == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of blocks");
    for (uint32_t i = 0; i < run->list_count; i++) {
        const bool from_held = others == last->others_count ||
                               (held < last->held_count &&
                                last->held[held].block < last->others[others].block);
        run->list[i] = from_held ? last->held[held++] : last->others[others++];
        if (i > 0 && run->list[i].block <= run->list[i - 1].block)
            return fail(err, OMENDB_ERR_CORRUPT, "%s: block %u is listed twice",
                        run->paths[run->count - 1], run->list[i].block);
    }
    return OMENDB_OK;
}

static omendb_status restore_open(struct restore *run, struct vfs *vfs, omendb_error *err)
{
    for (size_t i = 0; i < run->count; i++) {
        TRY(backup_image_open(vfs, run->paths[i], &run->images[i], err));
        if (memcmp(run->images[i].uuid, run->images[0].uuid, sizeof run->images[0].uuid) != 0)
            return fail(err, OMENDB_ERR_ARGUMENT, "%s: a backup of another database than %s",
                        run->paths[i], run->paths[0]);
    }
    return restore_list(run, err);
}

/* Copies blocks from list[at] on out of the newest file that holds that one; *count: how many. */
static omendb_status restore_some(struct restore *run, uint32_t at, uint32_t *count,
                                  omendb_error *err)
{
    const struct block_ref *list = run->list + at;
    for (size_t i = run->count; i-- > 0;) {
        struct backup_image *image = &run->images[i];
        const uint32_t found = backup_image_find(image, list[0]);
        if (found == UINT32_MAX) continue;
        const uint32_t rest = run->list_count - at;
        const uint32_t run_count = backup_image_run(
            image, found, rest < BACKUP_RUN_BLOCKS ? rest : BACKUP_RUN_BLOCKS);
        uint32_t same = 1;
        while (same < run_count &&
               memcmp(&list[same], &image->held[found + same], sizeof *list) == 0)
            same++;
        const omendb_status status = backup_image_read(image, found, same, run->copy.scratch, err);
        if (status != OMENDB_OK) return fail_within(err, status, "%s", run->paths[i]);
        *count = same;
        return file_write(run->target.file, (uint64_t)list[0].block * BLOCK_SIZE, run->copy.scratch,
                          (size_t)same * BLOCK_SIZE, err);
    }
    return fail(err, OMENDB_ERR_NOT_FOUND,
                "block %u, written by generation %u of the database, is in none of the files: a "
                "backup that %s builds on is missing",
                list[0].block, list[0].birth, run->paths[run->count - 1]);
}

static omendb_status restore_roots(struct restore *run, struct vfs *vfs, omendb_error *err)
{
    const struct backup_image *last = &run->images[run->count - 1];
    struct superblock_root root = last->superblock.root;
    TRY(vfs->ops->random(vfs, root.uuid, sizeof root.uuid, err));
    memcpy(root.origin_uuid, last->uuid, sizeof root.origin_uuid);
    root.origin_generation = last->generation;
    root.wal_segment = 1;
    root.wal_offset = root.wal_salt = root.wal_chain = 0;
    TRY(backup_roots_write(run->target.file, &root, &last->superblock.payload, err));
    return file_resize(run->target.file, (uint64_t)root.block_count * BLOCK_SIZE, err);
}

/* The result is opened as any backup is: its directories name exactly the blocks that were copied. */
static omendb_status restore_verify(struct restore *run, struct vfs *vfs, omendb_error *err)
{
    struct backup_image made;
    TRY(backup_image_open(vfs, backup_target_work_path(&run->target), &made, err));
    const bool same = made.held_count == run->list_count &&
                      (run->list_count == 0 ||
                       memcmp(made.held, run->list, run->list_count * sizeof *run->list) == 0);
    backup_image_close(&made);
    if (same) return OMENDB_OK;
    return fail(err, OMENDB_ERR_CORRUPT, "%s: its list isn't that of its image",
                run->paths[run->count - 1]);
}

static omendb_status restore_make(struct restore *run, struct vfs *vfs, omendb_error *err)
{
    run->copy.total = (uint64_t)run->list_count * BLOCK_SIZE;
    TRY(backup_copy_step(&run->copy, 0, err));
    for (uint32_t at = 0, count = 0; at < run->list_count; at += count) {
        TRY(restore_some(run, at, &count, err));
        TRY(backup_copy_step(&run->copy, (uint64_t)count * BLOCK_SIZE, err));
    }
    TRY(restore_roots(run, vfs, err));
    TRY(restore_verify(run, vfs, err));
    return backup_target_publish(&run->target, err);
}

omendb_status backup_restore(struct vfs *vfs, const char *const *paths, size_t count,
                             const char *path, const struct backup_options *options,
                             omendb_error *err)
{
    struct restore run = {.paths = paths, .count = count};
    run.images = alloc_zeroed(count, sizeof *run.images);
    if (run.images == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of backups");
    omendb_status status = backup_copy_begin(&run.copy, NULL, options, err);
    if (status == OMENDB_OK) status = restore_open(&run, vfs, err);
    if (status == OMENDB_OK)
        status = backup_target_open(vfs, path, options->replace, &run.target, err);
    if (status == OMENDB_OK) {
        status = restore_make(&run, vfs, err);
        backup_target_close(&run.target);
    }
    for (size_t i = 0; i < count; i++) backup_image_close(&run.images[i]);
    alloc_free(run.images);
    alloc_free(run.list);
    backup_copy_end(&run.copy);
    return status;
}
