#include "crash/picture.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "store/collection_inner.h"
#include "store/wal_inner.h"

static void must(bool good)
{
    if (!good) abort();
}

static void file_take(struct picture *picture, struct sim *sim, const char *path)
{
    struct picture_file *out = &picture->files[picture->files_count++];
    struct file *file = NULL;
    uint64_t size = 0;
    size_t got = 0;
    must(picture->files_count <= PICTURE_FILES);
    must(file_open(sim_vfs(sim), path, FILE_READ_ONLY, &file, NULL) == OMENDB_OK);
    must(file_size(file, &size, NULL) == OMENDB_OK);
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    out->size = (size_t)size;
    out->bytes = malloc(out->size);
    must(out->bytes != NULL);
    must(file_read(file, 0, out->bytes, out->size, &got, NULL) == OMENDB_OK && got == out->size);
    file_close(file);
}

struct taking {
    struct picture *picture;
    struct sim *sim;
    char prefix[PICTURE_PATH];
};

static void log_take(void *context, const char *suffix)
{
    struct taking *taking = context;
    char path[2 * PICTURE_PATH];
    (void)snprintf(path, sizeof path, "%s%s", taking->prefix, suffix);
    file_take(taking->picture, taking->sim, path);
}

struct block_taking {
    struct picture *picture;
    const struct array *array;
    uint32_t leaves, at;
};

static omendb_status block_take(void *context, struct block_ref ref, omendb_error *err)
{
    struct block_taking *taking = context;
    struct picture *picture = taking->picture;
    (void)err;
    must(picture->regions_count < PICTURE_REGIONS);
    picture->regions[picture->regions_count++] = (struct picture_region){
        .kind = taking->array->kind,
        .stride = taking->array->stride,
        .block = ref.block,
        .first = taking->at++ * taking->array->per_block};
    return OMENDB_OK;
}

static omendb_status array_take(void *context, struct array *array, omendb_error *err)
{
    struct block_taking taking = {.picture = context, .array = array};
    return array_each_block(array, block_take, &taking, err);
}

static omendb_status collection_take(void *context, struct collection *collection, const char *name,
                                     omendb_error *err)
{
    (void)name;
    return collection_each_array(collection, array_take, context, err);
}

void picture_take(struct picture *out, struct scene *scene)
{
    static const struct scene_line look = {.kind = SCENE_OPEN_READ_ONLY};
    struct taking taking = {.picture = out, .sim = scene->sim};
    *out = (struct picture){0};
    file_take(out, scene->sim, scene_path);
    (void)snprintf(taking.prefix, sizeof taking.prefix, "%s-wal-", scene_path);
    must(vfs_list(sim_vfs(scene->sim), taking.prefix, log_take, &taking, NULL) == OMENDB_OK);
    must(scene_play(scene, &look, NULL) == OMENDB_OK);
    must(store_collections(scene->store, collection_take, out, NULL) == OMENDB_OK);
    for (uint32_t i = 0; i < scene->store->live.catalog_refs; i++)
        out->regions[out->regions_count++] = (struct picture_region){
            .block = catalog_ref(&scene->store->live.payload, i).block};
    scene_kill(scene, SIM_PROCESS_KILL);
}

void picture_copy(struct picture *out, const struct picture *from)
{
    *out = *from;
    for (uint32_t i = 0; i < from->files_count; i++) {
        out->files[i].bytes = malloc(from->files[i].size);
        must(out->files[i].bytes != NULL);
        memcpy(out->files[i].bytes, from->files[i].bytes, from->files[i].size);
    }
}

void picture_deinit(struct picture *picture)
{
    for (uint32_t i = 0; i < picture->files_count; i++) free(picture->files[i].bytes);
    picture->files_count = 0;
}

void picture_put(const struct picture *picture, struct sim *sim)
{
    for (uint32_t i = 0; i < picture->files_count; i++) {
        const struct picture_file *from = &picture->files[i];
        struct file *file = NULL;
        must(file_open(sim_vfs(sim), from->path, FILE_CREATE, &file, NULL) == OMENDB_OK);
        must(file_write(file, 0, from->bytes, from->size, NULL) == OMENDB_OK);
        must(file_sync(file, NULL) == OMENDB_OK);
        file_close(file);
    }
    must(vfs_sync_directory(sim_vfs(sim), scene_path, NULL) == OMENDB_OK);
}

bool picture_uses(const struct picture *picture, uint32_t block)
{
    for (uint32_t i = 0; i < picture->regions_count; i++)
        if (picture->regions[i].block == block) return true;
    return block < BLOCK_FIRST;
}

/* ---- Checksums ---- */

struct superblock_root *picture_root(struct picture *picture, uint32_t slot)
{
    return (void *)(picture->files[0].bytes + (size_t)slot * BLOCK_SIZE);
}

uint64_t picture_block_checksum(const struct picture *picture, uint32_t block)
{
    return checksum64(picture->files[0].bytes + (size_t)block * BLOCK_SIZE, BLOCK_SIZE);
}

void picture_block_fix(struct picture *picture, uint32_t block, uint64_t before)
{
    struct picture_file *file = &picture->files[0];
    const uint64_t after = picture_block_checksum(picture, block);
    uint8_t wanted[12]; /* {block} birth {checksum}: the birth may be any. */
    if (after == before) return;
    memcpy(wanted, &before, 8);
    for (size_t at = 8; at + 8 <= file->size;) {
        uint8_t *hit = memmem(file->bytes + at, file->size - at, wanted, 8);
        if (hit == NULL) break;
        at = (size_t)(hit - file->bytes);
        const uint32_t holder = (uint32_t)(at / BLOCK_SIZE);
        if (memcmp(hit - 8, &block, 4) == 0) {
            const uint64_t old = picture_block_checksum(picture, holder);
            memcpy(hit, &after, 8);
            if (holder >= BLOCK_FIRST) picture_block_fix(picture, holder, old);
        }
        at += 8;
    }
}

void picture_roots_fix(struct picture *picture)
{
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct superblock_root *root = picture_root(picture, slot);
        const size_t size = root->payload_size <= SUPERBLOCK_PAYLOAD_MAX
                                ? (size_t)root->payload_size
                                : SUPERBLOCK_PAYLOAD_MAX;
        const struct checksum128 payload = checksum128(root + 1, size);
        root->payload_checksum[0] = payload.low;
        root->payload_checksum[1] = payload.high;
        const struct checksum128 own = checksum128(root,
                                                   offsetof(struct superblock_root, root_checksum));
        root->root_checksum[0] = own.low;
        root->root_checksum[1] = own.high;
    }
}

void picture_log_fix(struct picture_file *file)
{
    struct wal_segment_header header;
    memcpy(&header, file->bytes, sizeof header);
    header.checksum = checksum64(&header, offsetof(struct wal_segment_header, checksum));
    memcpy(file->bytes, &header, sizeof header);
    uint64_t chain = header.chain;
    for (size_t at = WAL_PAGE; at + WAL_PAGE <= file->size;) {
        struct wal_frame_header frame;
        memcpy(&frame, file->bytes + at, sizeof frame);
        if (frame.magic != WAL_FRAME_MAGIC || frame.payload_size > file->size - at - sizeof frame)
            return;
        frame.chain = chain;
        memcpy(file->bytes + at, &frame, sizeof frame);
        frame.checksum = wal_frame_checksum(file->bytes + at, frame.payload_size, frame.salt);
        memcpy(file->bytes + at, &frame, sizeof frame);
        chain = frame.checksum;
        at += (sizeof frame + (size_t)frame.payload_size + WAL_PAGE - 1) & ~(size_t)(WAL_PAGE - 1);
    }
}
