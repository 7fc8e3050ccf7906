/* backup_target.h - a file that is made whole under another name before it gets its own.
 *
 *     out.omen-new ──write, sync──▶ rename ──▶ out.omen
 *
 * Invariants
 *   1. `path` never names a file that isn't whole: a crash leaves it as it was.
 *   2. a file that is there is replaced only when asked to be, when nobody writes it, and when no
 *      log lies beside it: acknowledged batches are never thrown away.
 *   3. while the target is open, the writer's byte of `path-new` is locked, as when a database is
 *      made: two who want the same name don't meet.
 *
 * Threads: one.
 */
#ifndef STORE_BACKUP_TARGET_H
#define STORE_BACKUP_TARGET_H

#include "base/buffer.h"
#include "os/vfs.h"

struct backup_target {
    struct vfs *vfs;
    const char *path;        /* Borrowed. */
    struct buffer work_path; /* "path-new", NUL-terminated. */
    struct file *file;       /* Of work_path; empty when opened. */
    bool replace;
    bool made; /* There is a work file of ours that has no name of its own yet. */
};

/* EXISTS: the name is taken, or a log lies beside it. BUSY: another process makes or writes it. */
omendb_status backup_target_open(struct vfs *vfs, const char *path, bool replace,
                                 struct backup_target *out, omendb_error *err);
/* Lets go of the file, so that a store can be opened on it; and takes it again. */
void backup_target_lend(struct backup_target *target);
omendb_status backup_target_take(struct backup_target *target, omendb_error *err);
/* Syncs the file and gives it its name. If only making that durable fails, the file is there. */
omendb_status backup_target_publish(struct backup_target *target, omendb_error *err);
/* Ends it; what was not published is removed. */
void backup_target_close(struct backup_target *target);

static inline const char *backup_target_work_path(const struct backup_target *target)
{
    return (const char *)target->work_path.data;
}

#endif /* STORE_BACKUP_TARGET_H */
