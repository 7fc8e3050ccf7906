/* image.h - a database's files as plain bytes, to be damaged: with wrong checksums (rot), or with
 * right ones (a hostile file).
 *
 *     scene ──image_take──▶ files[0] the data file, files[1..] log segments ──image_put──▶ new disk
 *                           regions[]: which block holds which array's elements
 *
 * Threads: one.
 */
#ifndef CRASH_IMAGE_H
#define CRASH_IMAGE_H

#include "crash/scene.h"

enum { IMAGE_FILES = 16, IMAGE_REGIONS = 400, IMAGE_PATH = 64 };

struct image_file {
    char path[IMAGE_PATH];
    uint8_t *bytes;
    size_t size;
};

struct image_region { /* One stored block of an array. */
    uint32_t kind, stride, block, first;
};

struct image {
    struct image_file files[IMAGE_FILES];
    uint32_t files_count;
    struct image_region regions[IMAGE_REGIONS];
    uint32_t regions_count;
};

/* Of a scene that isn't open. */
void image_take(struct image *out, struct scene *scene);
void image_copy(struct image *out, const struct image *from);
void image_deinit(struct image *image);
void image_put(const struct image *image, struct sim *sim); /* An empty disk; synced. */

/* Blocks of the data file that an image of the database uses, superblocks included. */
bool image_uses(const struct image *image, uint32_t block);

struct superblock_root *image_root(struct image *image, uint32_t slot);

/* Before and after a change of a block: puts the new checksum into every reference to it, and so on
 * up to the superblocks. */
uint64_t image_block_checksum(const struct image *image, uint32_t block);
void image_block_fix(struct image *image, uint32_t block, uint64_t before);
void image_roots_fix(struct image *image);
/* Checksums of a log segment's header and frames; each frame is chained to the one before. */
void image_log_fix(struct image_file *file);

#endif /* CRASH_IMAGE_H */
