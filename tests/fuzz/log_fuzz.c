/* Any bytes as the batches of a log frame, under right checksums: replayed by an open, then used
 * through omendb.h. Input: {batch count u8}, then the frame's payload. */
#include <string.h>

#include "crash/api_image.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct picture image;
static struct api_model model;
static size_t frame_at; /* Of the last frame of the last log. */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    api_image_make(&image, &model, 5, false);
    const struct picture_file *log = &image.files[image.files_count - 1];
    for (size_t at = WAL_PAGE; at + WAL_PAGE <= log->size;) {
        struct wal_frame_header frame;
        memcpy(&frame, log->bytes + at, sizeof frame);
        if (frame.magic != WAL_FRAME_MAGIC) break;
        frame_at = at;
        at += (sizeof frame + (size_t)frame.payload_size + WAL_PAGE - 1) & ~(size_t)(WAL_PAGE - 1);
    }
    return frame_at == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct picture picture;
    struct wal_frame_header frame;
    if (size < 2) return 0;
    picture_copy(&picture, &image);
    struct picture_file *log = &picture.files[picture.files_count - 1];
    const size_t room = log->size - frame_at - sizeof frame;
    const size_t payload = size - 1 < room ? size - 1 : room;
    memcpy(&frame, log->bytes + frame_at, sizeof frame);
    frame.batch_count = data[0];
    frame.payload_size = payload;
    memset(log->bytes + frame_at, 0, log->size - frame_at);
    memcpy(log->bytes + frame_at, &frame, sizeof frame);
    memcpy(log->bytes + frame_at + sizeof frame, data + 1, payload);
    /* The first batch's sequence is what the frame says, or the rest is never looked at. */
    if (payload >= sizeof frame.sequence && data[0] % 2 == 1)
        memcpy(log->bytes + frame_at + sizeof frame, &frame.sequence, sizeof frame.sequence);
    picture_log_fix(log);
    api_image_use(&picture, &model);
    picture_deinit(&picture);
    return 0;
}
