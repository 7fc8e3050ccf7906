/* Any bytes as the catalog behind both roots (collections, schemas, directories of blocks, free
 * extents), under right checksums, used through omendb.h. Input: {from u16}: the catalog's own bytes
 * stay up to there; then what follows them. */
#include <string.h>

#include "crash/api_image.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct picture image;
static struct api_model model;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    api_image_make(&image, &model, 21, true);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct picture picture;
    uint16_t from = 0;
    if (size < 3) return 0;
    memcpy(&from, data, sizeof from);
    picture_copy(&picture, &image);
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct superblock_root *root = picture_root(&picture, slot);
        const size_t keep = root->payload_size != 0 ? from % ((size_t)root->payload_size + 1) : 0;
        const size_t room = SUPERBLOCK_PAYLOAD_MAX - keep;
        const size_t more = size - 2 < room ? size - 2 : room;
        memcpy((uint8_t *)(root + 1) + keep, data + 2, more);
        if (from % 2 == 0 || keep + more > root->payload_size) {
            root->payload_size = keep + more;
            root->catalog_size = keep + more;
        }
    }
    picture_roots_fix(&picture);
    api_image_use(&picture, &model);
    picture_deinit(&picture);
    return 0;
}
