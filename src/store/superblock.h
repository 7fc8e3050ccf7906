/* superblock.h - the two roots of the file, blocks 0 and 1.
 *
 *     block 0 or 1   [root 512 B][payload: the catalog, or references to its blocks]
 *
 * A new image is always written to the slot that isn't live (not to `generation & 1`: after a
 * recovery the live one may be either, and overwriting it would lose the database at the next
 * crash). An image is live once its slot is synced. A clean close writes the final state to one
 * slot, syncs, writes it again as generation + 1 to the other, syncs, and only then removes the log.
 *
 * Threads: the opener, then the checkpoint.
 */
#ifndef STORE_SUPERBLOCK_H
#define STORE_SUPERBLOCK_H

#include <string.h>

#include "base/buffer.h"
#include "store/space.h"

struct superblock {
    struct superblock_root root;
    struct buffer payload; /* payload_size bytes */
    bool valid;
};

/* Reads slot 0 or 1; an unreadable or damaged one is not valid, without an error. UNSUPPORTED: a
 * well-formed root of a newer format or with unknown incompat features. */
omendb_status superblock_read(struct file *file, uint32_t slot, struct superblock *out,
                              omendb_error *err);
void superblock_deinit(struct superblock *superblock);

/* The newer of the two roots that are whole, without what they refer to. false: neither is. Two reads,
 * no memory. */
bool superblock_look(struct file *file, struct superblock_root *out);

/* Fills in magic, sizes and checksums and writes the slot; doesn't sync. */
/* `scratch` [BLOCK_SIZE] is the caller's, so that nothing but the disk can fail once it begins. */
omendb_status superblock_write(struct file *file, uint32_t slot, struct superblock_root *root,
                               const void *payload, size_t payload_size, void *scratch,
                               omendb_error *err);

/* Writes a catalog as blocks when it doesn't fit: `payload` then holds their references. */
omendb_status catalog_store(struct space *space, const struct buffer *catalog,
                            struct superblock_root *root, struct buffer *payload,
                            omendb_error *err);
/* The catalog of an image. CORRUPT. */
omendb_status catalog_load(struct space *space, const struct superblock *superblock,
                           struct buffer *out, omendb_error *err);

/* References in the payload (catalog_refs of them). */
static inline struct block_ref catalog_ref(const struct buffer *payload, uint32_t i)
{
    struct block_ref ref;
    memcpy(&ref, payload->data + i * sizeof ref, sizeof ref);
    return ref;
}

#endif /* STORE_SUPERBLOCK_H */
