#include "store/backup_target.h"

#include <stdlib.h>

#include "store/space.h"

enum { SEGMENTS_REMOVED_AT_ONCE = 64 };

struct segment_names {
    uint64_t numbers[SEGMENTS_REMOVED_AT_ONCE];
    uint32_t count;
};

static void segment_noted(void *context, const char *suffix)
{
    struct segment_names *names = context;
    char *end = NULL;
    if (*suffix < '0' || *suffix > '9' || names->count == SEGMENTS_REMOVED_AT_ONCE) return;
    const uint64_t number = strtoull(suffix, &end, 10);
    if (*end == '\0') names->numbers[names->count++] = number;
}

/* Some of the log segments of the database `path`. */
static omendb_status segments_of(struct vfs *vfs, const char *path, struct segment_names *out,
                                 omendb_error *err)
{
    struct buffer prefix = {0};
    out->count = 0;
    omendb_status status = buffer_append_format(&prefix, err, "%s-wal-", path);
    if (status == OMENDB_OK)
        status = vfs_list(vfs, (const char *)prefix.data, segment_noted, out, err);
    buffer_deinit(&prefix);
    return status;
}

static omendb_status segments_remove(struct vfs *vfs, const char *path, omendb_error *err)
{
    struct segment_names names;
    do {
        TRY(segments_of(vfs, path, &names, err));
        for (uint32_t i = 0; i < names.count; i++) {
            struct buffer name = {0};
            omendb_status status = buffer_append_format(&name, err, "%s-wal-%llu", path,
                                                        (unsigned long long)names.numbers[i]);
            if (status == OMENDB_OK) status = vfs_remove(vfs, (const char *)name.data, err);
            buffer_deinit(&name);
            if (status != OMENDB_OK && status != OMENDB_ERR_NOT_FOUND) return status;
        }
    } while (names.count != 0);
    return OMENDB_OK;
}

/* May `path` get the new file? */
static omendb_status name_check(const struct backup_target *target, omendb_error *err)
{
    struct segment_names names;
    struct file *file = NULL;
    bool granted = true;
    TRY(segments_of(target->vfs, target->path, &names, err));
    if (names.count != 0)
        return fail(err, OMENDB_ERR_EXISTS,
                    "%s: a log lies beside it (%s-wal-%llu): open and close that database, or move "
                    "its files away",
                    target->path, target->path, (unsigned long long)names.numbers[0]);
    omendb_status status = file_open(target->vfs, target->path,
                                     target->replace ? 0 : FILE_READ_ONLY, &file, err);
    if (status == OMENDB_ERR_NOT_FOUND) return OMENDB_OK;
    if (status == OMENDB_OK && !target->replace)
        status = fail(err, OMENDB_ERR_EXISTS, "%s: it exists already", target->path);
    if (status == OMENDB_OK)
        status = file_lock(file, SPACE_WRITER_BYTE, 1, FILE_LOCK_EXCLUSIVE, &granted, err);
    file_close(file);
    if (status == OMENDB_OK && !granted)
        return fail(err, OMENDB_ERR_BUSY, "%s: a process has it open for writing", target->path);
    return status;
}

omendb_status backup_target_take(struct backup_target *target, omendb_error *err)
{
    bool granted = false, still = false;
    const char *path = backup_target_work_path(target);
    TRY(file_open(target->vfs, path, FILE_CREATE, &target->file, err));
    TRY(file_lock(target->file, SPACE_WRITER_BYTE, 1, FILE_LOCK_EXCLUSIVE, &granted, err));
    /* Between the two another process may have given the file its name. */
    if (granted) TRY(space_file_is_at(target->file, path, &still, err));
    if (still) return OMENDB_OK;
    file_close(target->file); /* It isn't ours to be removed. */
    target->file = NULL;
    return fail(err, OMENDB_ERR_BUSY, "%s: another process is making it", target->path);
}

void backup_target_lend(struct backup_target *target)
{
    file_close(target->file);
    target->file = NULL;
}

omendb_status backup_target_open(struct vfs *vfs, const char *path, bool replace,
                                 struct backup_target *out, omendb_error *err)
{
    *out = (struct backup_target){.vfs = vfs, .path = path, .replace = replace};
    omendb_status status = name_check(out, err);
    if (status == OMENDB_OK) status = buffer_append_format(&out->work_path, err, "%s-new", path);
    if (status == OMENDB_OK) status = backup_target_take(out, err);
    /* Whoever was interrupted here left both. */
    out->made = status == OMENDB_OK;
    if (status == OMENDB_OK) status = file_resize(out->file, 0, err);
    if (status == OMENDB_OK) status = segments_remove(vfs, backup_target_work_path(out), err);
    if (status != OMENDB_OK) backup_target_close(out);
    return status;
}

omendb_status backup_target_publish(struct backup_target *target, omendb_error *err)
{
    TRY(file_sync(target->file, err));
    TRY(name_check(target, err));
    TRY(vfs_rename(target->vfs, backup_target_work_path(target), target->path, err));
    target->made = false;
    backup_target_lend(target);
    return vfs_sync_directory(target->vfs, target->path, err);
}

void backup_target_close(struct backup_target *target)
{
    if (target->made && target->file == NULL) (void)backup_target_take(target, NULL);
    if (target->made && target->file != NULL) {
        (void)segments_remove(target->vfs, backup_target_work_path(target), NULL);
        (void)vfs_remove(target->vfs, backup_target_work_path(target), NULL);
    }
    file_close(target->file);
    buffer_deinit(&target->work_path);
    *target = (struct backup_target){0};
}
