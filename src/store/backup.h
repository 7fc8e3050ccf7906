/* backup.h - copies of a database: whole, or what an earlier one lacks; and their way back.
 *
 *     backup   pin the newest image ─▶ copy its blocks, each to its own place, each verified
 *              ─▶ two CLEAN superblocks with a uuid of their own ─▶ sync ─▶ rename
 *     restore  the last file's image; each of its blocks from whichever file holds it
 *
 * A writer makes a checkpoint first, so that the image holds everything acknowledged. Where that can't
 * be (a read-only handle, a fenced one, a full disk) the log behind the image is copied too, and the
 * copy recovers from it as after a crash before it gets its name. Writers and readers go on: the image
 * is pinned as by a reader process (space.h), so its blocks are not reused.
 *
 * Threads: any; each call stands for itself.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/store.h"

struct backup_options {
    bool replace;     /* A file that is there already. */
    const char *base; /* Increment: a backup or increment made before; NULL: a whole one. */
    int (*progress)(void *context, uint64_t done, uint64_t total); /* Bytes; not 0: stop. */
    void *context;
};

/* Errors: EXISTS, BUSY (the target), CORRUPT with what it hit, FULL, IO, INTERRUPTED (progress said
 * so, or store_interrupt()), ARGUMENT (the base is of another database), UNSUPPORTED (an increment
 * of a database in memory, or of one whose log is being written by another process). */
omendb_status backup_run(struct store *store, const char *path,
                         const struct backup_options *options, omendb_error *err);

/* Makes a database of a backup and the increments behind it, oldest first. options->base is unused.
 * NOT_FOUND: a block is in none of them, so one is missing. */
omendb_status backup_restore(struct vfs *vfs, const char *const *paths /* [count] */, size_t count,
                             const char *path, const struct backup_options *options,
                             omendb_error *err);

#endif /* STORE_BACKUP_H */
