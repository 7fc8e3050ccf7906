/* follow.c - a read-only store goes on behind its writer.
 *
 *     superblock ── the same image? ──yes──▶ log, from where it was left ──▶ the same image still?
 *                        │                                                        │no      │yes
 *                        └──no──▶ *newer ◀────────────────────────────────────────┘       done
 *
 * The log of an image is kept until a newer image is durable, so a log that was read while the image
 * stayed the same was read to its end. Once it isn't, segments may have been taken away or written
 * anew under us: whatever the log seemed to say then, CORRUPT included, counts for nothing. What was
 * applied is right all the same, because each frame continues the one before by its chain.
 *
 * The pin of the image that the store was opened with holds its blocks; what is applied lies in
 * memory, like the replay of an opening. So the store grows with the log, and is left for a newer one
 * when there is one.
 */
#include <string.h>

#include "doc/document.h"
#include "store/store_inner.h"

enum { FOLLOW_TRIES = 10 };

/* Opening doubts the documents of all slots (collection_doubt()); a slot that was believed since may be
 * given a new one here, by the log of somebody else: right checksums don't make it valid. */
static omendb_status documents_validate(const struct wal_batch *batch, omendb_error *err)
{
    for (size_t at = 0; at < batch->size;) {
        const struct operation *op = (const void *)(batch->bytes + at);
        at += (size_t)op->size;
        if (op->type != OPERATION_UPSERT) continue;
        if (document_validate(operation_document(op), op->document_size, err) != OMENDB_OK)
            return fail_within(err, OMENDB_ERR_CORRUPT, "log: batch %llu",
                               (unsigned long long)batch->sequence);
    }
    return OMENDB_OK;
}

/* A frame that lacked memory in its midst is read again: what was applied of it is passed over. */
static omendb_status follow_batch(void *context, const struct wal_batch *batch, omendb_error *err)
{
    struct store *store = context;
    if (batch->sequence < store->next_sequence) return OMENDB_OK;
    TRY(documents_validate(batch, err));
    return recover_batch(store, batch, err);
}

static omendb_status follow_log(struct store *store, omendb_error *err)
{
    struct wal *wal = &store->wal;
    const struct wal_position from = wal->replayed;
    bool found = false;
    wal->following = true;
    TRY(wal_replay(wal, from, wal->sequence, follow_batch, store, &found, err));
    if (found || from.offset == 0) return OMENDB_OK; /* A segment that nobody has begun yet. */
    return fail(err, OMENDB_ERR_CORRUPT, "%s: log segment %s-wal-%llu is missing or damaged",
                store->path, store->path, (unsigned long long)from.segment);
}

/* *newer: there is an image behind ours. */
static omendb_status follow_look(struct store *store, bool *newer, omendb_error *err)
{
    struct superblock_root root;
    *newer = false;
    if (!superblock_look(store->space.file, &root) ||
        memcmp(root.uuid, store->uuid, sizeof store->uuid) != 0 ||
        root.generation < store->live.generation)
        return fail(err, OMENDB_ERR_CORRUPT, "%s: its superblocks were damaged or overwritten",
                    store->path);
    *newer = root.generation > store->live.generation;
    return OMENDB_OK;
}

/* Once: CORRUPT may be a frame that is being written at this moment. */
static omendb_status follow_once(struct store *store, bool *newer, omendb_error *err)
{
    omendb_error reason = {0};
    TRY(follow_look(store, newer, err));
    if (*newer) return OMENDB_OK;
    const omendb_status status = follow_log(store, &reason);
    TRY(follow_look(store, newer, err));
    if (*newer && (status == OMENDB_ERR_CORRUPT || status == OMENDB_ERR_UNSUPPORTED))
        return OMENDB_OK;
    if (status != OMENDB_OK && err != NULL) *err = reason;
    return status;
}

omendb_status store_follow(struct store *store, bool *newer, omendb_error *err)
{
    bool there = false;
    *newer = false;
    TRY(store_usable(store, err));
    if (!store->read_only) return OMENDB_OK;
    TRY(space_file_is_at(store->space.file, store->path, &there, err));
    if (!there)
        return fail(err, OMENDB_ERR_IO, "%s: it was moved or replaced since it was opened",
                    store->path);
    mutex_lock(&store->writer);
    omendb_status status = follow_once(store, newer, err);
    for (int tries = 1; status == OMENDB_ERR_CORRUPT && tries < FOLLOW_TRIES; tries++)
        status = follow_once(store, newer, err);
    epoch_collect(&store->space.epoch);
    mutex_unlock(&store->writer);
    return status;
}

omendb_status store_open_newer(struct store *store, struct store **out, omendb_error *err)
{
    struct store_options options = store->options;
    struct store *opened = NULL;
    options.path = store->path;
    if (options.interrupts == &store->interrupts_own) options.interrupts = NULL;
    TRY(store_open(&options, &opened, err));
    const uint64_t before = atomic_load_acquire_u64(&store->space.epoch.visible_sequence);
    omendb_status status = OMENDB_OK;
    if (memcmp(opened->uuid, store->uuid, sizeof store->uuid) != 0)
        status = fail(err, OMENDB_ERR_IO, "%s: it was moved or replaced since it was opened",
                      store->path);
    else if (opened->next_sequence <= before)
        status = fail(err, OMENDB_ERR_CORRUPT, "%s: it has lost batches that were seen before",
                      store->path);
    if (status == OMENDB_OK) *out = opened;
    else (void)store_close(opened, NULL);
    return status;
}
