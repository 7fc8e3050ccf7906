/* overlay.h - what a transaction has written and nobody else sees: its own documents in front of its
 * snapshot.
 *
 *     batch   [op][op][op] ...                what the commit writes, in order
 *               ▲    ▲
 *     part      │    └ entry {id} ─────────▶ slot that it hides     one part for each collection,
 *               └───── entry {id}            (SLOT_NONE: none)      one entry for each id
 *
 * An entry stands for the last operation on its id: an upsert is a document of its own, a deletion
 * says that there is none. Either hides the version that the snapshot sees: that slot stays what it is
 * as long as the snapshot is pinned, so it is looked up once, when the id is written first.
 *
 * Invariants
 *   1. own = entries whose last operation is an upsert; hidden = entries with a slot. So the collection
 *      counts snapshot - hidden + own documents.
 *   2. no two entries have the same id, nor the same slot.
 *   3. the batch grows only: the same document written again counts again towards its limit.
 *
 * Cost: reads look at each slot that they visit (one probe of a table) and at each own document. Memory:
 * the batch, and about 50 bytes for each id. Threads: one at a time; while a search runs on several
 * they only read.
 */
#ifndef QUERY_OVERLAY_H
#define QUERY_OVERLAY_H

#include "store/batch.h"
#include "store/store.h"

struct overlay_entry {
    uint32_t operation; /* The last one on its id: its place in the batch, bytes. */
    uint32_t slot;      /* That it hides, or SLOT_NONE. */
    uint32_t hash;      /* Of the id. */
};

struct overlay_table { /* Entry numbers + 1, open addressing; a power of two of them. */
    uint32_t *places;
    size_t size;
};

struct overlay_part {
    uint32_t collection; /* Its id. */
    struct overlay_entry *entries;
    size_t count, capacity;
    struct overlay_table by_id, by_slot;
    uint64_t own, hidden;
};

struct overlay {
    struct batch batch;
    struct overlay_part *parts;
    size_t part_count, part_capacity;
    struct overlay_undo *undo; /* Of the call under way. */
    size_t undo_capacity;
};

void overlay_deinit(struct overlay *overlay); /* {0} is an empty one. */

/* What was written of the collection; NULL: nothing. Good until the next write. */
const struct overlay_part *overlay_part_of(const struct overlay *overlay, uint32_t collection);

/* The last operation on an id; NULL: it wasn't written. */
const struct operation *overlay_find(const struct overlay *overlay, const struct overlay_part *part,
                                     const struct id_view *id);
/* The entry's last operation. */
const struct operation *overlay_operation(const struct overlay *overlay,
                                          const struct overlay_part *part, size_t entry);

/* Is the slot's version replaced or deleted? */
bool overlay_hides(const struct overlay_part *part, uint32_t slot);

/* Writes all operations of `batch`, which are about this collection, in front of the snapshot: each
 * sees those before it, and so do the conditions, which are judged here. The snapshot is open, at the
 * transaction's sequence. *deleted (may be NULL): documents that were there and are no more.
 * EXISTS, CONFLICT: a condition; FULL: the limits of a batch; NOMEM. Then nothing of it is written. */
omendb_status overlay_write(struct overlay *overlay, struct collection *collection,
                            const struct snapshot *snapshot, const struct batch *batch,
                            uint64_t *deleted, omendb_error *err);

#endif /* QUERY_OVERLAY_H */
