#include "store/superblock.h"

#include <assert.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/checksum.h"

static const size_t root_checked = offsetof(struct superblock_root, root_checksum);

void superblock_deinit(struct superblock *superblock)
{
    buffer_deinit(&superblock->payload);
    superblock->valid = false;
}

static bool checksum_is(const uint64_t stored[2], const void *data, size_t size)
{
    const struct checksum128 sum = checksum128(data, size);
    return stored[0] == sum.low && stored[1] == sum.high;
}

static omendb_status root_supported(const struct superblock_root *root, omendb_error *err)
{
    if (root->format_major != FORMAT_MAJOR)
        return fail(err, OMENDB_ERR_UNSUPPORTED,
                    "the file has format %u.%u; this library reads format %u", root->format_major,
                    root->format_minor, FORMAT_MAJOR);
    if ((root->incompat & ~FORMAT_INCOMPAT_KNOWN) != 0)
        return fail(err, OMENDB_ERR_UNSUPPORTED,
                    "the file uses features (%#llx) that this library doesn't know",
                    (unsigned long long)(root->incompat & ~FORMAT_INCOMPAT_KNOWN));
    return OMENDB_OK;
}

static bool root_read(struct file *file, uint32_t slot, struct superblock_root *root)
{
    omendb_error ignored = {0};
    size_t got = 0;
    return file_read(file, (uint64_t)slot * BLOCK_SIZE, root, sizeof *root, &got, &ignored) ==
               OMENDB_OK &&
           got == sizeof *root && memcmp(root->magic, FORMAT_MAGIC, sizeof root->magic) == 0 &&
           checksum_is(root->root_checksum, root, root_checked);
}

bool superblock_look(struct file *file, struct superblock_root *out)
{
    struct superblock_root other;
    const bool first = root_read(file, 0, out), second = root_read(file, 1, &other);
    if (second && (!first || other.generation > out->generation)) *out = other;
    return first || second;
}

omendb_status superblock_read(struct file *file, uint32_t slot, struct superblock *out,
                              omendb_error *err)
{
    struct superblock_root *root = &out->root;
    const uint64_t at = (uint64_t)slot * BLOCK_SIZE;
    omendb_error local = {0};
    size_t got = 0;
    out->valid = false;
    if (!root_read(file, slot, root)) return OMENDB_OK;
    TRY(root_supported(root, err));
    if (root->block_size != BLOCK_SIZE || root->payload_size > SUPERBLOCK_PAYLOAD_MAX ||
        root->block_count < BLOCK_FIRST || root->state > SUPERBLOCK_CLEAN ||
        (root->catalog_refs == 0
             ? root->payload_size != root->catalog_size
             : root->payload_size != root->catalog_refs * sizeof(struct block_ref) ||
                   root->catalog_size > (uint64_t)root->catalog_refs * BLOCK_SIZE))
        return OMENDB_OK;
    const size_t size = (size_t)root->payload_size;
    buffer_clear(&out->payload);
    TRY(buffer_append_zeros(&out->payload, size, err));
    if (file_read(file, at + sizeof *root, out->payload.data, size, &got, &local) != OMENDB_OK)
        return OMENDB_OK;
    out->valid = got == size && checksum_is(root->payload_checksum, out->payload.data, size);
    return OMENDB_OK;
}

omendb_status superblock_write(struct file *file, uint32_t slot, struct superblock_root *root,
                               const void *payload, size_t payload_size, void *scratch,
                               omendb_error *err)
{
    uint8_t *block = scratch;
    memset(block, 0, BLOCK_SIZE);
    assert(slot < BLOCK_FIRST && payload_size <= SUPERBLOCK_PAYLOAD_MAX);
    memcpy(root->magic, FORMAT_MAGIC, sizeof root->magic);
    root->format_major = FORMAT_MAJOR;
    root->format_minor = FORMAT_MINOR;
    root->block_size = BLOCK_SIZE;
    root->payload_size = payload_size;
    const struct checksum128 sum = checksum128(payload, payload_size);
    root->payload_checksum[0] = sum.low;
    root->payload_checksum[1] = sum.high;
    const struct checksum128 own = checksum128(root, root_checked);
    root->root_checksum[0] = own.low;
    root->root_checksum[1] = own.high;
    memcpy(block, root, sizeof *root);
    if (payload_size != 0) memcpy(block + sizeof *root, payload, payload_size);
    /* The whole block, so that both slots always exist in full. */
    return file_write(file, (uint64_t)slot * BLOCK_SIZE, block, BLOCK_SIZE, err);
}

omendb_status catalog_store(struct space *space, const struct buffer *catalog,
                            struct superblock_root *root, struct buffer *payload, omendb_error *err)
{
    root->catalog_size = catalog->size;
    root->catalog_refs = 0;
    buffer_clear(payload);
    if (catalog->size <= SUPERBLOCK_PAYLOAD_MAX)
        return buffer_append(payload, catalog->data, catalog->size, err);
    const size_t refs = (catalog->size + BLOCK_SIZE - 1) / BLOCK_SIZE;
    if (refs * sizeof(struct block_ref) > SUPERBLOCK_PAYLOAD_MAX)
        return fail(err, OMENDB_ERR_FULL, "the catalog exceeds %zu bytes: drop collections",
                    SUPERBLOCK_PAYLOAD_MAX / sizeof(struct block_ref) * BLOCK_SIZE);
    uint8_t *block = alloc_raw(1, BLOCK_SIZE);
    omendb_status status = buffer_reserve(payload, refs * sizeof(struct block_ref), err);
    if (block == NULL) status = fail(err, OMENDB_ERR_NOMEM, "out of memory: catalog");
    for (size_t i = 0; status == OMENDB_OK && i < refs; i++) {
        struct block_ref ref;
        const size_t at = i * BLOCK_SIZE;
        const size_t here = catalog->size - at < BLOCK_SIZE ? catalog->size - at : BLOCK_SIZE;
        memset(block, 0, BLOCK_SIZE);
        memcpy(block, catalog->data + at, here);
        status = space_write_block(space, block, &ref, err);
        if (status == OMENDB_OK) status = buffer_append(payload, &ref, sizeof ref, err);
    }
    alloc_free(block);
    if (status != OMENDB_OK) {
        for (size_t i = 0; i < payload->size / sizeof(struct block_ref); i++)
            space_give_back(space, catalog_ref(payload, (uint32_t)i).block);
        buffer_clear(payload);
        return status;
    }
    root->catalog_refs = (uint32_t)refs;
    return OMENDB_OK;
}

omendb_status catalog_load(struct space *space, const struct superblock *superblock,
                           struct buffer *out, omendb_error *err)
{
    const struct superblock_root *root = &superblock->root;
    buffer_clear(out);
    if (root->catalog_refs == 0)
        return buffer_append(out, superblock->payload.data, superblock->payload.size, err);
    TRY(buffer_append_zeros(out, (size_t)root->catalog_refs * BLOCK_SIZE, err));
    for (uint32_t i = 0; i < root->catalog_refs; i++) {
        const omendb_status status = space_read_block(space, catalog_ref(&superblock->payload, i),
                                                      out->data + (size_t)i * BLOCK_SIZE, err);
        if (status != OMENDB_OK) return fail_within(err, status, "catalog");
    }
    out->size = (size_t)root->catalog_size;
    return OMENDB_OK;
}
