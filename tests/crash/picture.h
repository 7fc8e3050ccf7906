/* picture.h - a database's files as plain bytes, to be damaged: with wrong checksums (rot), or with
 * right ones (a hostile file).
 *
 *     scene ──picture_take──▶ files[0] the data file, files[1..] log segments ──picture_put──▶ new disk
 *                           regions[]: which block holds which array's elements
 *
 * Threads: one.
 */
#ifndef CRASH_PICTURE_H
#define CRASH_PICTURE_H

#include "crash/scene.h"

enum { PICTURE_FILES = 16, PICTURE_REGIONS = 400, PICTURE_PATH = 64 };

struct picture_file {
    char path[PICTURE_PATH];
    uint8_t *bytes;
    size_t size;
};

struct picture_region { /* One stored block of an array. */
    uint32_t kind, stride, block, first;
};

struct picture {
    struct picture_file files[PICTURE_FILES];
    uint32_t files_count;
    struct picture_region regions[PICTURE_REGIONS];
    uint32_t regions_count;
};

/* Of a scene that isn't open. */
void picture_take(struct picture *out, struct scene *scene);
void picture_copy(struct picture *out, const struct picture *from);
void picture_deinit(struct picture *picture);
void picture_put(const struct picture *picture, struct sim *sim); /* An empty disk; synced. */

/* Blocks of the data file that an image of the database uses, superblocks included. */
bool picture_uses(const struct picture *picture, uint32_t block);

struct superblock_root *picture_root(struct picture *picture, uint32_t slot);

/* Before and after a change of a block: puts the new checksum into every reference to it, and so on
 * up to the superblocks. */
uint64_t picture_block_checksum(const struct picture *picture, uint32_t block);
void picture_block_fix(struct picture *picture, uint32_t block, uint64_t before);
void picture_roots_fix(struct picture *picture);
/* Checksums of a log segment's header and frames; each frame is chained to the one before. */
void picture_log_fix(struct picture_file *file);

#endif /* CRASH_PICTURE_H */
