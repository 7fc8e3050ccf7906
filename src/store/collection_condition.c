/* collection_condition.c - what a batch may ask of the documents that it changes.
 *
 * Asked under the writer lock before anything of the batch is staged, so that a batch that is refused
 * leaves nothing behind; and again of operations with a condition when their turn comes, since one
 * before them in the same batch may have changed the document. What is staged but not published yet
 * counts: it comes before this batch, or the log has failed and nothing is published any more.
 */
#include <stdio.h>

#include "store/batch.h"
#include "store/collection_inner.h"

enum { CONDITION_ID_SHOWN = 80, CONDITION_NAME_MAX = CONDITION_ID_SHOWN + 40 };

static void condition_name(const struct operation *op, char out[CONDITION_NAME_MAX])
{
    const int shown = op->id_size < CONDITION_ID_SHOWN ? (int)op->id_size : CONDITION_ID_SHOWN;
    if (op->id_is_text == 0)
        (void)snprintf(out, CONDITION_NAME_MAX, "document %llu", (unsigned long long)op->id_number);
    else
        (void)snprintf(out, CONDITION_NAME_MAX, "document \"%.*s\"", shown,
                       (const char *)operation_id_text(op));
}

omendb_status collection_condition_failed(const struct operation *op, uint64_t version,
                                          uint64_t version_wanted, omendb_error *err)
{
    char name[CONDITION_NAME_MAX];
    condition_name(op, name);
    if (version_wanted == VERSION_MISSING)
        return fail(err, OMENDB_ERR_EXISTS, "%s exists already", name);
    if (version == VERSION_MISSING)
        return fail(err, OMENDB_ERR_CONFLICT, "%s doesn't exist, version %llu was wanted", name,
                    (unsigned long long)version_wanted);
    return fail(err, OMENDB_ERR_CONFLICT, "%s has version %llu, not %llu", name,
                (unsigned long long)version, (unsigned long long)version_wanted);
}

omendb_status collection_condition_version(struct collection *collection,
                                           const struct operation *op, uint64_t version_wanted,
                                           omendb_error *err)
{
    const struct id_view id = operation_id(op);
    const struct slot *record = NULL;
    uint64_t version = VERSION_MISSING;
    uint32_t newest = SLOT_NONE, alive = SLOT_NONE;
    TRY(newest_find(collection, &id, id_hash(&id), &newest, err));
    TRY(alive_find(collection, newest, &alive, err));
    if (alive != SLOT_NONE) {
        TRY(slot_read(collection, alive, &record, err));
        version = record->birth;
    }
    if (version == version_wanted) return OMENDB_OK;
    return collection_condition_failed(op, version, version_wanted, err);
}

omendb_status collection_condition_unchanged(struct collection *collection,
                                             const struct operation *op, uint64_t since,
                                             omendb_error *err)
{
    const struct id_view id = operation_id(op);
    uint32_t slot = SLOT_NONE, seen = 0;
    TRY(newest_find(collection, &id, id_hash(&id), &slot, err));
    while (slot != SLOT_NONE) {
        const struct slot *record = NULL;
        TRY(slot_read(collection, slot, &record, err));
        const bool undone = record->birth == record->death; /* Never visible: it says nothing. */
        const bool ended = record->death != SEQUENCE_NEVER && record->death > since;
        if (!undone && (record->birth > since || ended)) {
            const uint64_t version = record->death == SEQUENCE_NEVER ? record->birth
                                                                     : record->death;
            char name[CONDITION_NAME_MAX];
            condition_name(op, name);
            return fail(err, OMENDB_ERR_CONFLICT,
                        "%s was changed by batch %llu; the transaction began at %llu", name,
                        (unsigned long long)version, (unsigned long long)since);
        }
        if (!undone) break; /* Older versions ended when this one was born. */
        slot = record->previous;
        if (++seen > atomic_load_relaxed_u32(&collection->slot_count))
            return fail(err, OMENDB_ERR_CORRUPT, "the versions of an id form a loop");
    }
    return OMENDB_OK;
}
