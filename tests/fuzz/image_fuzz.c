/* A database whose roots, catalog, directories, blocks and log say something else, under right
 * checksums, used through omendb.h. Input: which of three databases, then changes of 8 bytes each:
 *
 *     {place u8, width u8, offset u16, value u32}
 *
 * place 0-31 a root, 32-63 what follows it (the catalog), 64-95 a log, from 96 on a block. */
#include <string.h>

#include "crash/api_image.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IMAGES = 3, CHANGES_MAX = 24 };

static struct picture images[IMAGES];
static struct api_model models[IMAGES];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    api_image_make(&images[0], &models[0], 5, true);
    api_image_make(&images[1], &models[1], 11, false);
    api_image_make(&images[2], &models[2], 21, true);
    return 0;
}

static void value_put(uint8_t *bytes, size_t size, size_t at, uint32_t width, uint32_t value)
{
    const uint64_t wide = width == 8 ? (uint64_t)(int64_t)(int32_t)value : value;
    if (size < 8) return;
    memcpy(bytes + at % (size - 7), &wide, width);
}

static void change(struct picture *picture, const uint8_t *data)
{
    uint16_t offset = 0;
    uint32_t value = 0;
    struct picture_file *file = &picture->files[0];
    const uint32_t width = 1u << data[1] % 4;
    memcpy(&offset, data + 2, sizeof offset);
    memcpy(&value, data + 4, sizeof value);
    if (data[0] < 64) { /* Both roots, so that no other is left to fall back on. */
        for (uint32_t slot = 0; slot < 2; slot++) {
            struct superblock_root *root = picture_root(picture, slot);
            if (data[0] < 32) value_put((uint8_t *)root + 8, 168, offset, width, value);
            else
                value_put((uint8_t *)(root + 1), (size_t)root->payload_size % BLOCK_SIZE, offset,
                          width, value);
        }
    } else if (data[0] < 96 && picture->files_count > 1) {
        struct picture_file *log = &picture->files[1 + data[0] % (picture->files_count - 1)];
        value_put(log->bytes, log->size, offset + 4096u * (data[1] / 4 % 16), width, value);
    } else {
        const uint32_t blocks = (uint32_t)(file->size / BLOCK_SIZE);
        if (blocks <= BLOCK_FIRST) return;
        const uint32_t block = BLOCK_FIRST + data[0] % (blocks - BLOCK_FIRST);
        const uint64_t before = picture_block_checksum(picture, block);
        value_put(file->bytes + (size_t)block * BLOCK_SIZE, BLOCK_SIZE, offset, width, value);
        picture_block_fix(picture, block, before);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct picture picture;
    if (size < 9) return 0;
    const uint32_t image = data[0] % IMAGES;
    picture_copy(&picture, &images[image]);
    for (size_t at = 1, count = 0; at + 8 <= size && count < CHANGES_MAX; at += 8, count++)
        change(&picture, data + at);
    picture_roots_fix(&picture);
    for (uint32_t i = 1; i < picture.files_count; i++) picture_log_fix(&picture.files[i]);
    api_image_use(&picture, &models[image]);
    picture_deinit(&picture);
    return 0;
}
