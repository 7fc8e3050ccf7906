/* backup_increment.c - a backup that holds what an earlier one lacks; backup_image.h has its form. */
#include <stddef.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "store/backup_inner.h"

/* Parts the image's blocks into those that the base lacks and the others, both ascending. */
static omendb_status increment_list(const struct backup_image *image,
                                    const struct backup_image *base, struct block_ref **out,
                                    uint32_t *held_count, omendb_error *err)
{
    struct block_ref *list = alloc_raw((size_t)image->held_count + 1, sizeof *list);
    uint32_t held = 0, others = 0;
    if (list == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of blocks");
    for (uint32_t i = 0; i < image->held_count; i++)
        if (!backup_image_has(base, image->held[i])) list[held++] = image->held[i];
    for (uint32_t i = 0; i < image->held_count; i++)
        if (backup_image_has(base, image->held[i])) list[held + others++] = image->held[i];
    *out = list;
    *held_count = held;
    return OMENDB_OK;
}

static omendb_status header_write(struct file *file, const struct backup_image *image,
                                  const struct backup_image *base, const struct block_ref *list,
                                  uint32_t held_count, void *scratch, omendb_error *err)
{
    const struct superblock_root *root = &image->superblock.root;
    struct increment_header header = {.format_major = FORMAT_MAJOR,
                                      .format_minor = FORMAT_MINOR,
                                      .generation = image->generation,
                                      .sequence = root->sequence,
                                      .base_generation = base->generation,
                                      .base_sequence = base->superblock.root.sequence,
                                      .time_ns = root->time_ns,
                                      .held_count = held_count,
                                      .others_count = image->held_count - held_count};
    memcpy(header.magic, INCREMENT_MAGIC, sizeof header.magic);
    memcpy(header.uuid, image->uuid, sizeof header.uuid);
    const struct checksum128 sum = checksum128(list, image->held_count * sizeof *list);
    header.list_checksum[0] = sum.low;
    header.list_checksum[1] = sum.high;
    const struct checksum128 own = checksum128(&header,
                                               offsetof(struct increment_header, header_checksum));
    header.header_checksum[0] = own.low;
    header.header_checksum[1] = own.high;
    memset(scratch, 0, BLOCK_SIZE);
    memcpy(scratch, &header, sizeof header);
    return file_write(file, 0, scratch, BLOCK_SIZE, err);
}

static omendb_status superblock_put_sealed(struct file *file, struct backup_image *image,
                                           void *scratch, omendb_error *err)
{
    struct superblock_root root;
    struct buffer payload = {0};
    omendb_status status = backup_seal(file->vfs, image, &root, &payload, err);
    root.generation++;
    if (status == OMENDB_OK)
        status = superblock_write(file, 1, &root, payload.data, payload.size, scratch, err);
    buffer_deinit(&payload);
    return status;
}

static omendb_status held_copy(struct backup_copy *copy, struct backup_image *image,
                               const struct block_ref *list, uint32_t held_count, uint64_t at,
                               struct file *file, omendb_error *err)
{
    for (uint32_t i = 0; i < held_count;) {
        const uint32_t from = backup_image_find(image, list[i]);
        const uint32_t rest = held_count - i;
        const uint32_t most = rest < BACKUP_RUN_BLOCKS ? rest : BACKUP_RUN_BLOCKS;
        uint32_t count = 1;
        while (count < most && list[i + count].block == list[i].block + count) count++;
        const size_t size = (size_t)count * BLOCK_SIZE;
        TRY(backup_image_read(image, from, count, copy->scratch, err));
        TRY(file_write(file, at + (uint64_t)i * BLOCK_SIZE, copy->scratch, size, err));
        TRY(backup_copy_step(copy, size, err));
        i += count;
    }
    return OMENDB_OK;
}

static omendb_status increment_write(struct backup_copy *copy, struct backup_image *image,
                                     const struct backup_image *base, const struct block_ref *list,
                                     uint32_t held_count, struct file *file, omendb_error *err)
{
    const uint64_t size = (uint64_t)image->held_count * sizeof *list;
    const uint64_t at = (BLOCK_FIRST + (size + BLOCK_SIZE - 1) / BLOCK_SIZE) * BLOCK_SIZE;
    copy->total = (uint64_t)held_count * BLOCK_SIZE;
    TRY(backup_copy_step(copy, 0, err));
    TRY(file_resize(file, at, err));
    TRY(header_write(file, image, base, list, held_count, copy->scratch, err));
    TRY(superblock_put_sealed(file, image, copy->scratch, err));
    TRY(file_write(file, (uint64_t)BLOCK_FIRST * BLOCK_SIZE, list, (size_t)size, err));
    return held_copy(copy, image, list, held_count, at, file, err);
}

omendb_status backup_increment_make(struct backup_copy *copy, struct backup_image *image,
                                    const struct backup_image *base, struct file *file,
                                    omendb_error *err)
{
    struct block_ref *list = NULL;
    uint32_t held_count = 0;
    TRY(increment_list(image, base, &list, &held_count, err));
    const omendb_status status = increment_write(copy, image, base, list, held_count, file, err);
    alloc_free(list);
    return status;
}
