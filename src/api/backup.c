/* backup.c - copies of a database, and their way back. */
#include "store/backup.h"

#include <string.h>

#include "api/handles.h"
#include "query/indexes.h"
#include "query/params.h"
#include "store/repair.h"

enum {
    BACKUP_PATHS_MAX = 1024,
    BACKUP_INTERVAL_MS = 100, /* Of the database that a repair fills; it is closed at the end. */
    BACKUP_WAL_SIZE_MAX = 64 << 20
};

static omendb_status backup_options_read(const omendb_backup_options *from,
                                         struct backup_options *out, omendb_error *err)
{
    omendb_backup_options options = OMENDB_BACKUP_OPTIONS_INIT;
    if (from != NULL) TRY(params_read(&options, sizeof options, from, "options", err));
    TRY(params_check_flags(options.flags, OMENDB_BACKUP_REPLACE, "options", err));
    *out = (struct backup_options){.replace = (options.flags & OMENDB_BACKUP_REPLACE) != 0,
                                   .base = options.base,
                                   .progress = options.progress,
                                   .context = options.context};
    return OMENDB_OK;
}

static omendb_status backup_path_check(const char *path, omendb_error *err)
{
    TRY(handles_check_pointer(path, "path", err));
    if (path[0] == '\0') return fail(err, OMENDB_ERR_ARGUMENT, "path is empty");
    if (strcmp(path, ":memory:") == 0) return fail(err, OMENDB_ERR_ARGUMENT, ":memory: is no file");
    return OMENDB_OK;
}

omendb_status omendb_backup(omendb *db, const char *path, const omendb_backup_options *options,
                            omendb_error *err)
{
    struct backup_options read;
    TRY(handles_check_db(db, err));
    TRY(backup_path_check(path, err));
    TRY(backup_options_read(options, &read, err));
    struct opened *opened = handles_hold(db);
    const omendb_status status = backup_run(opened->store, path, &read, err);
    handles_release_opened(opened);
    return status;
}

omendb_status omendb_restore(const char *const *paths, size_t count, const char *path,
                             const omendb_backup_options *options, omendb_error *err)
{
    struct backup_options read;
    TRY(handles_check_pointer(paths, "paths", err));
    if (count == 0 || count > BACKUP_PATHS_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "%zu files to restore from: 1 to %d", count,
                    BACKUP_PATHS_MAX);
    for (size_t i = 0; i < count; i++) TRY(backup_path_check(paths[i], err));
    TRY(backup_path_check(path, err));
    TRY(backup_options_read(options, &read, err));
    if (read.base != NULL)
        return fail(err, OMENDB_ERR_ARGUMENT, "options: base goes with omendb_backup()");
    return backup_restore(vfs_real(), paths, count, path, &read, err);
}

omendb_status omendb_repair(const char *path, const char *out_path,
                            const omendb_repair_options *options, char **report, omendb_error *err)
{
    omendb_repair_options read = OMENDB_REPAIR_OPTIONS_INIT;
    struct buffer text = {0};
    TRY(backup_path_check(path, err));
    TRY(backup_path_check(out_path, err));
    TRY(handles_check_pointer(report, "report", err));
    if (options != NULL) TRY(params_read(&read, sizeof read, options, "options", err));
    TRY(params_check_flags(read.flags, OMENDB_BACKUP_REPLACE, "options", err));
    const struct repair_options repair = {.replace = (read.flags & OMENDB_BACKUP_REPLACE) != 0,
                                          .progress = read.progress,
                                          .context = read.context};
    const struct store_options like = {.vfs = vfs_real(),
                                       .hooks = *indexes_hooks_all(),
                                       .durability = OMENDB_DURABILITY_NONE,
                                       .interval_ms = BACKUP_INTERVAL_MS,
                                       .wal_size_max = BACKUP_WAL_SIZE_MAX};
    return handles_give_text(&text, repair_run(&like, path, out_path, &repair, &text, err), report,
                             err);
}
