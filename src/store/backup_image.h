/* backup_image.h - one image to copy blocks from: in a database file, or in an increment.
 *
 * A database file holds every block of its image, at the block's own place. An increment lists every
 * block of its image and holds those that an earlier backup lacked:
 *
 *     block 0   header (512 bytes, struct increment_header), zeros
 *     block 1   the superblock that a restored database gets, as its slot 1
 *     block 2 . the list: references, 4,096 a block; first those held, then the others
 *     ...       the held blocks, in the order of the list
 *
 * Invariants
 *   1. held [held_count] and others [others_count] ascend by block, and have no block in common.
 *   2. a block is what a reference says only if all 16 bytes agree: place, birth, checksum. So
 *      which backup belongs to which is never a matter of names or times.
 *
 * Memory: 16 bytes a block, 1/4096 of the database. Threads: one.
 */
#ifndef STORE_BACKUP_IMAGE_H
#define STORE_BACKUP_IMAGE_H

#include "store/superblock.h"

#define INCREMENT_MAGIC "OmenINC\r\n\x1a\n\0\0\0\0\0"

struct increment_header { /* 512 bytes */
    char magic[16];
    uint32_t format_major, format_minor;
    uint8_t uuid[16];                        /* Of the database that it is a backup of. */
    uint64_t generation;                     /* Of its image there. */
    uint64_t sequence;                       /* Every batch up to it is in. */
    uint64_t base_generation, base_sequence; /* Of the backup that it builds on. */
    uint64_t time_ns;
    uint32_t held_count, others_count;
    uint64_t list_checksum[2]; /* xxh3_128 of the references, without what fills up the block. */
    uint8_t reserved[392];
    uint64_t header_checksum[2]; /* xxh3_128 of the 496 bytes before. */
};
FORMAT_SIZE(increment_header, 512);

struct backup_image {
    struct space space;           /* Takes the file; its blocks aren't taken or freed. */
    struct superblock superblock; /* Of the image. */
    struct block_ref *held, *others;
    uint32_t held_count, others_count;
    size_t held_capacity;
    uint64_t held_offset; /* Increment: where the first held block lies; 0: a database file. */
    uint8_t uuid[16];     /* Of the database that it is a backup of (itself, when it is none), */
    uint64_t generation;  /* and of its image there. */
};

/* Opens a file that nobody changes: a closed database or an increment. CORRUPT; BUSY: a log lies
 * beside it, so it isn't closed. */
omendb_status backup_image_open(struct vfs *vfs, const char *path, struct backup_image *out,
                                omendb_error *err);
/* The image of `superblock` (its payload is taken) in a database file whose generation is pinned. */
omendb_status backup_image_load(struct vfs *vfs, struct file *file /* taken */,
                                struct superblock *superblock, struct backup_image *out,
                                omendb_error *err);
void backup_image_close(struct backup_image *image); /* {0} is allowed. */

/* The index of that block among the held ones, or UINT32_MAX. */
uint32_t backup_image_find(const struct backup_image *image, struct block_ref ref);
/* Is it a block of the image, held or not? */
bool backup_image_has(const struct backup_image *image, struct block_ref ref);

/* How many of the `limit` held blocks from `index` on lie one behind the other here and in a database. */
uint32_t backup_image_run(const struct backup_image *image, uint32_t index, uint32_t limit);
/* Reads and verifies `count` held blocks, a run, into `to`. CORRUPT names what the bad one belongs to. */
omendb_status backup_image_read(struct backup_image *image, uint32_t index, uint32_t count,
                                void *to, omendb_error *err);

/* What an array of that kind holds, for people: "documents". */
const char *backup_image_array_name(uint32_t kind);

#endif /* STORE_BACKUP_IMAGE_H */
