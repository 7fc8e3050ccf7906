#include "store/backup_image.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "store/store_inner.h"

static const size_t header_checked = offsetof(struct increment_header, header_checksum);

static int refs_ascending(const void *a, const void *b)
{
    const uint32_t left = ((const struct block_ref *)a)->block;
    const uint32_t right = ((const struct block_ref *)b)->block;
    return left < right ? -1 : left > right;
}

/* Each block once, within [BLOCK_FIRST, end). */
static omendb_status refs_check(const struct block_ref *refs, uint32_t count, uint32_t end,
                                omendb_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && refs[i].block <= refs[i - 1].block)
            return fail(err, OMENDB_ERR_CORRUPT, "block %u is used twice", refs[i].block);
        if (refs[i].block < BLOCK_FIRST || refs[i].block >= end)
            return fail(err, OMENDB_ERR_CORRUPT, "block %u lies outside of the image",
                        refs[i].block);
    }
    return OMENDB_OK;
}

static omendb_status held_add(void *context, struct block_ref ref, omendb_error *err)
{
    struct backup_image *image = context;
    if (!alloc_grow(&image->held, &image->held_capacity, (size_t)image->held_count + 1,
                    sizeof *image->held))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of blocks");
    image->held[image->held_count++] = ref;
    return OMENDB_OK;
}

/* ---- Whose block is it? ---- */

struct blame {
    uint32_t block;
    bool seen;           /* In the array that is walked. */
    struct array *array; /* The one that has it. */
    char text[200];
};

const char *backup_image_array_name(uint32_t kind)
{
    static const char *const names[] = {[ARRAY_SLOTS] = "slots",
                                        [ARRAY_ID_BUCKETS] = "id map",
                                        [ARRAY_ID_OVERFLOW] = "id map",
                                        [ARRAY_DOC_CHUNKS] = "documents",
                                        [ARRAY_DOC_META] = "documents",
                                        [ARRAY_ID_CHUNKS] = "ids",
                                        [ARRAY_ID_META] = "ids",
                                        [ARRAY_VECTORS] = "vectors",
                                        [ARRAY_NODES] = "vector nodes",
                                        [ARRAY_LINKS] = "vector links",
                                        [ARRAY_VECTOR_HEADS] = "vector map"};
    if (kind >= 32) return "index";
    return kind < COUNT_OF(names) && names[kind] != NULL ? names[kind] : "unknown";
}

static omendb_status blame_block(void *context, struct block_ref ref, omendb_error *err)
{
    struct blame *blame = context;
    (void)err;
    if (ref.block == blame->block) blame->seen = true;
    return OMENDB_OK;
}

static omendb_status blame_array(void *context, struct array *array, omendb_error *err)
{
    struct blame *blame = context;
    (void)err;
    blame->seen = false;
    /* An unreadable directory ends the walk of this array: another one may have the block. */
    (void)array_each_block(array, blame_block, blame, NULL);
    if (blame->seen && blame->array == NULL) blame->array = array;
    return OMENDB_OK;
}

static omendb_status blame_collection(void *context, struct collection *collection,
                                      omendb_error *err)
{
    struct blame *blame = context;
    const omendb_status status = collection_each_array(collection, blame_array, blame, err);
    if (blame->array != NULL) {
        (void)snprintf(blame->text, sizeof blame->text, "collection %s: %s", collection->name,
                       backup_image_array_name(blame->array->kind));
        blame->array = NULL;
    }
    collection_unpin(collection);
    return status;
}

/* Puts before the message what a block of a database belongs to. */
static omendb_status blame_put(struct backup_image *image, uint32_t block, omendb_error *err)
{
    struct blame blame = {.block = block};
    struct buffer catalog = {0};
    struct catalog_view view;
    (void)image_each_collection(&image->space, &image->superblock, NULL, blame_collection, &blame,
                                &catalog, &view, NULL);
    buffer_deinit(&catalog);
    if (blame.text[0] == '\0') return OMENDB_ERR_CORRUPT;
    return fail_within(err, OMENDB_ERR_CORRUPT, "%s", blame.text);
}

/* ---- Opening ---- */

struct image_walk {
    struct backup_image *image;
    const char *name; /* Of the collection. */
};

static omendb_status walk_held(void *context, struct array *array, omendb_error *err)
{
    struct image_walk *walk = context;
    const omendb_status status = array_each_block(array, held_add, walk->image, err);
    if (status != OMENDB_ERR_CORRUPT) return status;
    return fail_within(err, status, "collection %s: directory of its %s", walk->name,
                       backup_image_array_name(array->kind));
}

static omendb_status walk_held_collection(void *context, struct collection *collection,
                                          omendb_error *err)
{
    struct image_walk *walk = context;
    walk->name = collection->name;
    const omendb_status status = collection_each_array(collection, walk_held, walk, err);
    collection_unpin(collection);
    return status;
}

omendb_status backup_image_load(struct vfs *vfs, struct file *file, struct superblock *superblock,
                                struct backup_image *out, omendb_error *err)
{
    const struct superblock_root *root = &superblock->root;
    struct image_walk walk = {.image = out};
    struct buffer catalog = {0};
    struct catalog_view view;
    const uint8_t none[16] = {0};
    *out = (struct backup_image){.superblock = *superblock};
    superblock->payload = (struct buffer){0};
    const bool origin = memcmp(root->origin_uuid, none, sizeof none) != 0;
    memcpy(out->uuid, origin ? root->origin_uuid : root->uuid, sizeof out->uuid);
    out->generation = origin ? root->origin_generation : root->generation;
    omendb_status status = space_init(&out->space, vfs, file, true, err);
    out->space.lists_unread = true;
    for (uint32_t i = 0; status == OMENDB_OK && i < root->catalog_refs; i++)
        status = held_add(out, catalog_ref(&out->superblock.payload, i), err);
    if (status == OMENDB_OK)
        status = image_each_collection(&out->space, &out->superblock, NULL, walk_held_collection,
                                       &walk, &catalog, &view, err);
    buffer_deinit(&catalog);
    if (status == OMENDB_OK) {
        if (out->held_count > 1)
            qsort(out->held, out->held_count, sizeof *out->held, refs_ascending);
        status = refs_check(out->held, out->held_count, root->block_count, err);
    }
    if (status != OMENDB_OK) backup_image_close(out);
    return status;
}

static void segment_seen(void *context, const char *suffix)
{
    bool *seen = context;
    if (*suffix >= '0' && *suffix <= '9') *seen = true;
}

static omendb_status database_open(struct vfs *vfs, const char *path, struct file *file,
                                   struct backup_image *out, omendb_error *err)
{
    struct superblock slots[2] = {0};
    struct buffer prefix = {0};
    bool log = false;
    omendb_status status = store_pin_newest(file, path, slots, err);
    if (status == OMENDB_OK) status = buffer_append_format(&prefix, err, "%s-wal-", path);
    if (status == OMENDB_OK)
        status = vfs_list(vfs, (const char *)prefix.data, segment_seen, &log, err);
    buffer_deinit(&prefix);
    const uint32_t newest = !slots[0].valid ||
                            (slots[1].valid && slots[1].root.generation > slots[0].root.generation);
    if (status == OMENDB_OK && !slots[newest].valid)
        status = fail(err, OMENDB_ERR_CORRUPT,
                      "%s: neither a backup nor an increment, or it is damaged", path);
    if (status == OMENDB_OK && (log || slots[newest].root.state != SUPERBLOCK_CLEAN))
        status = fail(err, OMENDB_ERR_BUSY, "%s: it is open, or was not closed: open and close it",
                      path);
    if (status == OMENDB_OK) status = backup_image_load(vfs, file, &slots[newest], out, err);
    else file_close(file);
    superblock_deinit(&slots[0]);
    superblock_deinit(&slots[1]);
    return status;
}

static omendb_status list_read(struct backup_image *image, const struct increment_header *header,
                               omendb_error *err)
{
    const uint64_t count = (uint64_t)header->held_count + header->others_count;
    const uint64_t size = count * sizeof(struct block_ref);
    const uint32_t end = image->superblock.root.block_count;
    uint64_t file_bytes = 0;
    size_t got = 0;
    TRY(file_size(image->space.file, &file_bytes, err));
    image->held_offset = (BLOCK_FIRST + (size + BLOCK_SIZE - 1) / BLOCK_SIZE) * BLOCK_SIZE;
    if (count > end || file_bytes < image->held_offset ||
        (file_bytes - image->held_offset) / BLOCK_SIZE < header->held_count)
        return fail(err, OMENDB_ERR_CORRUPT, "the increment is cut short");
    image->held = alloc_raw((size_t)count + 1, sizeof *image->held);
    if (image->held == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of blocks");
    TRY(file_read(image->space.file, (uint64_t)BLOCK_FIRST * BLOCK_SIZE, image->held, (size_t)size,
                  &got, err));
    const struct checksum128 sum = checksum128(image->held, got);
    if (got != size || sum.low != header->list_checksum[0] || sum.high != header->list_checksum[1])
        return fail(err, OMENDB_ERR_CORRUPT, "the increment's list of blocks is damaged");
    image->held_count = header->held_count;
    image->others = image->held + header->held_count;
    image->others_count = header->others_count;
    TRY(refs_check(image->held, image->held_count, end, err));
    return refs_check(image->others, image->others_count, end, err);
}

static omendb_status increment_open(struct vfs *vfs, const char *path, struct file *file,
                                    const struct increment_header *header, struct backup_image *out,
                                    omendb_error *err)
{
    const struct checksum128 sum = checksum128(header, header_checked);
    *out = (struct backup_image){.generation = header->generation};
    memcpy(out->uuid, header->uuid, sizeof out->uuid);
    omendb_status status = space_init(&out->space, vfs, file, true, err);
    if (status == OMENDB_OK &&
        (sum.low != header->header_checksum[0] || sum.high != header->header_checksum[1]))
        status = fail(err, OMENDB_ERR_CORRUPT, "its header is damaged");
    if (status == OMENDB_OK && header->format_major != FORMAT_MAJOR)
        status = fail(err, OMENDB_ERR_UNSUPPORTED, "an increment of format %u",
                      header->format_major);
    if (status == OMENDB_OK) status = superblock_read(file, 1, &out->superblock, err);
    if (status == OMENDB_OK && !out->superblock.valid)
        status = fail(err, OMENDB_ERR_CORRUPT, "its superblock is damaged");
    if (status == OMENDB_OK) status = list_read(out, header, err);
    if (status == OMENDB_OK) return status;
    backup_image_close(out);
    return fail_within(err, status, "%s", path);
}

omendb_status backup_image_open(struct vfs *vfs, const char *path, struct backup_image *out,
                                omendb_error *err)
{
    struct increment_header header = {0};
    struct file *file = NULL;
    size_t got = 0;
    *out = (struct backup_image){0};
    TRY(file_open(vfs, path, FILE_READ_ONLY, &file, err));
    const omendb_status status = file_read(file, 0, &header, sizeof header, &got, err);
    if (status != OMENDB_OK) {
        file_close(file);
        return status;
    }
    if (got == sizeof header && memcmp(header.magic, INCREMENT_MAGIC, sizeof header.magic) == 0)
        return increment_open(vfs, path, file, &header, out, err);
    return database_open(vfs, path, file, out, err);
}

void backup_image_close(struct backup_image *image)
{
    if (image->space.file != NULL) space_deinit(&image->space);
    superblock_deinit(&image->superblock);
    alloc_free(image->held); /* The others of an increment lie behind them. */
    *image = (struct backup_image){0};
}

/* ---- Looking up, reading ---- */

static uint32_t refs_find(const struct block_ref *refs, uint32_t count, struct block_ref ref)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (refs[middle].block < ref.block) low = middle + 1;
        else high = middle;
    }
    return low < count && memcmp(&refs[low], &ref, sizeof ref) == 0 ? low : UINT32_MAX;
}

uint32_t backup_image_find(const struct backup_image *image, struct block_ref ref)
{
    return refs_find(image->held, image->held_count, ref);
}

bool backup_image_has(const struct backup_image *image, struct block_ref ref)
{
    return backup_image_find(image, ref) != UINT32_MAX ||
           refs_find(image->others, image->others_count, ref) != UINT32_MAX;
}

uint32_t backup_image_run(const struct backup_image *image, uint32_t index, uint32_t limit)
{
    uint32_t run = 1;
    while (run < limit && run < image->held_count - index &&
           image->held[index + run].block == image->held[index].block + run)
        run++;
    return run;
}

omendb_status backup_image_read(struct backup_image *image, uint32_t index, uint32_t count,
                                void *to, omendb_error *err)
{
    const struct block_ref *refs = image->held + index;
    const uint64_t at = image->held_offset != 0 ? image->held_offset + (uint64_t)index * BLOCK_SIZE
                                                : (uint64_t)refs->block * BLOCK_SIZE;
    size_t got = 0;
    TRY(file_read(image->space.file, at, to, (size_t)count * BLOCK_SIZE, &got, err));
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *block = (const uint8_t *)to + (size_t)i * BLOCK_SIZE;
        const bool whole = got >= ((size_t)i + 1) * BLOCK_SIZE;
        if (whole && checksum64(block, BLOCK_SIZE) == refs[i].checksum) continue;
        (void)fail(err, OMENDB_ERR_CORRUPT, "block %u of the file: %s", refs[i].block,
                   whole ? "checksum mismatch" : "the file ends before it");
        return image->held_offset == 0 ? blame_put(image, refs[i].block, err) : OMENDB_ERR_CORRUPT;
    }
    return OMENDB_OK;
}
