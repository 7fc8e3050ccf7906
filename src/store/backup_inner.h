/* backup_inner.h - what backup.c and restore.c share. */
#ifndef STORE_BACKUP_INNER_H
#define STORE_BACKUP_INNER_H

#include "store/backup.h"
#include "store/backup_image.h"
#include "store/backup_target.h"

enum { BACKUP_RUN_BLOCKS = 16 }; /* 1 MiB: a read, a write, a call of progress. */

struct backup_copy {
    const struct backup_options *options;
    struct store *store; /* Whose interrupt ends it, or NULL. */
    uint32_t interrupts; /* What it had counted at the beginning. */
    uint64_t done, total;
    uint8_t *scratch; /* [BACKUP_RUN_BLOCKS * BLOCK_SIZE] */
};

omendb_status backup_copy_begin(struct backup_copy *copy, struct store *store,
                                const struct backup_options *options, omendb_error *err);
void backup_copy_end(struct backup_copy *copy);
/* Counts `size` bytes and tells progress. INTERRUPTED. */
omendb_status backup_copy_step(struct backup_copy *copy, uint64_t size, omendb_error *err);

/* Root and payload of a closed database with that image and an identity of its own: what a copy gets.
 * Nothing is written. */
omendb_status backup_seal(struct vfs *vfs, struct backup_image *image, struct superblock_root *root,
                          struct buffer *payload, omendb_error *err);
/* Writes both slots, generation and generation + 1. */
omendb_status backup_roots_write(struct file *file, const struct superblock_root *root,
                                 const struct buffer *payload, omendb_error *err);

/* backup_increment.c. Fills `file` with an increment: the image's blocks that `base` lacks. */
omendb_status backup_increment_make(struct backup_copy *copy, struct backup_image *image,
                                    const struct backup_image *base, struct file *file,
                                    omendb_error *err);

/* backup_memory.c. Fills the target's file with what a database in memory holds. */
omendb_status backup_memory(struct store *store, struct backup_copy *copy,
                            struct backup_target *target, omendb_error *err);

#endif /* STORE_BACKUP_INNER_H */
