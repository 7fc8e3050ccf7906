/* collection.h - one collection: versions of documents, their ids, vectors and bytes.
 *
 *     id ──id_map──▶ slot ──▶ {birth, death, previous ──▶ older slot ...}
 *                     │  └──▶ document and id bytes (heap.h)
 *                     └─links[field]──▶ node ──▶ vector (and whatever indexes derive)
 *                                        ▲└─head─▶ slot ─next─▶ slot ... that share it
 *
 * A slot holds one immutable version; it is visible at sequence S iff birth <= S < death. A node
 * holds one vector; slots with an equal vector share it, whatever their documents: each field's
 * vector map (vector_map.h) leads from bytes to nodes. Slots and nodes are numbered by u32 and
 * reused after their removal is durable.
 *
 * Writers stage versions of a batch with a birth that isn't published yet: readers don't see
 * them. Publishing is one store of the visible sequence (txn.h); undoing a failed batch is setting
 * death = birth ("never visible").
 *
 * Invariants
 *   1. the id map's entry of an id is its newest slot; `previous` links have falling births.
 *   2. a slot that isn't free is in the id chain of its id and, for each field where it has a
 *      vector, in the chain of its node.
 *   3. a node is free iff its chain is empty; it is on one of the lists of free nodes (in memory:
 *      released, too) unless it is HELD. See collection_node.c.
 *   4. live_count(S) = slots with birth <= S < death.
 *   5. a field's vector map holds exactly the nodes that aren't free; no two hold equal bytes.
 *
 * Threads: functions under "Readers" any number, inside a snapshot (epoch.h); the rest under the
 * writer lock.
 */
#ifndef STORE_COLLECTION_H
#define STORE_COLLECTION_H

#include "base/atomics.h"
#include "doc/schema.h"
#include "store/array.h"
#include "store/epoch.h"
#include "store/heap.h"
#include "store/id_map.h"
#include "store/vector_map.h"

struct collection;
struct batch_condition; /* store/batch.h */
struct index_host;      /* store/host.h */

/* A document's id as bytes: text_view NULL = number. */
struct id_view {
    const uint8_t *text_view;
    uint32_t size;
    uint64_t number;
};

struct index_totals {   /* Of one field, for statistics. */
    uint64_t unindexed; /* Live vectors that the index doesn't hold. */
    uint64_t bytes;     /* Of memory that is neither in arrays nor in the heap. */
};

/* What an index keeps beside a vector. Called by the store; see index/index.h for the rules. */
struct index_hooks {
    void *context;
    /* A collection was made or loaded: attach what belongs to it. On failure it has cleaned up
     * after itself (derived arrays stay the collection's); detach isn't called then. */
    omendb_status (*attach)(void *context, struct collection *collection, omendb_error *err);
    void (*detach)(void *context, struct collection *collection);
    /* Prepare for node_write() of this node: all that can fail. */
    omendb_status (*node_reserve)(void *context, struct collection *collection, uint32_t field,
                                  uint32_t node, omendb_error *err);
    /* The vector of a new (or reused) node, before any reader can reach it. */
    void (*node_write)(void *context, struct collection *collection, uint32_t field, uint32_t node,
                       const void *vector);
    /* A node that is HELD has lost its last slot. Writer lock. Its vector and its derived elements
     * stay as they are until collection_node_release(). Optional, like work. */
    void (*node_freed)(void *context, struct collection *collection, uint32_t field, uint32_t node);
    /* A bounded piece of what the index does outside batches; *more: there is more to do now. No
     * lock held, one call at a time per database; see store/host.h. An error is noted and the call
     * repeated after a pause. */
    omendb_status (*work)(void *context, struct collection *collection, struct index_host *host,
                          bool *more, omendb_error *err);
    /* Appends what the index has to say of a field: members of a JSON object, a comma after each.
     * *totals comes with all live vectors unindexed. Writer lock. Optional. */
    omendb_status (*stats)(void *context, const struct collection *collection, uint32_t field,
                           struct buffer *out, struct index_totals *totals, omendb_error *err);
    /* Compares the index with what it is about; problem() for each fault. Writer lock. Optional. */
    omendb_status (*verify)(void *context, struct collection *collection, bool deep,
                            void (*problem)(void *context, const char *text), void *problem_context,
                            omendb_error *err);
};

enum { COLLECTION_DERIVED_MAX = 16, COLLECTION_ARRAYS_MAX = 64 };

struct vector_store {
    struct array vectors;  /* cold, by node */
    struct array nodes;    /* hot, struct node */
    struct array links;    /* hot, struct slot_link, by slot */
    struct vector_map map; /* From a vector's bytes to its node. */
    atomic_u32 node_count; /* Nodes ever used; readers scan [0, node_count). */
    atomic_u32 nodes_live; /* Nodes that aren't free. */
    uint32_t free_head, retired_head, retiring_head; /* Lists through node.head; see reclaim. */
    uint32_t free_count;
    uint32_t released_head, released_last; /* Put before `retiring` at the next checkpoint. */
    atomic_u32 held_free;                  /* Nodes that are free but on no list: HELD. */
    atomic_u64 moves; /* Odd while vectors change their node (reclaim); see collection_moves(). */
    struct array *derived[COLLECTION_DERIVED_MAX]; /* Arrays of indexes (kinds from 32 on). */
    uint32_t derived_count;
    void *index; /* Set by the index's attach. */
};

struct collection {
    uint32_t id;
    struct space *space;
    struct schema *schema;
    const struct index_hooks *hooks;
    atomic_u32 references;  /* The catalog's and one for each handle. */
    atomic_u32 dropped;     /* 1: handles answer NOT_FOUND. */
    atomic_u32 work_wanted; /* 1: hooks->work may have something to do; 2: it failed. */
    atomic_u32 work_runs;   /* 1: hooks->work is being called. Set under the catalog lock. */
    uint64_t born;          /* Sequence that created it. */
    char name[OMENDB_NAME_SIZE_MAX + 1]; /* Under the catalog lock. */

    struct array slots; /* hot, struct slot */
    struct id_map ids;
    struct heap documents;
    struct heap id_texts;
    struct vector_store *vectors; /* [schema->vectors_count] */
    /* Arrays of indexes over the whole collection (text, fields). Kinds that this version doesn't
     * know are carried along: their covers_sequence tells how far they go. */
    struct array *derived[COLLECTION_ARRAYS_MAX];
    uint32_t derived_count;

    atomic_u32 slot_count;      /* Slots ever used; readers scan [0, slot_count). */
    atomic_u32 slot_capacity;   /* Announced capacity: 5,000, then x 1.5 at 80 %. */
    atomic_u64 live_count;      /* Documents after the last staged batch. */
    atomic_u64 published_count; /* Documents at the visible sequence. */
    uint32_t growth_count;
    uint32_t free_head, retired_head, retiring_head; /* Slot lists through slot.next. */
    uint32_t free_count;
    uint64_t rotated_generation;            /* The lists were last rotated when this was durable. */
    uint64_t retired_epoch, retiring_epoch; /* Readers up to it may still look at those. */
    uint32_t *dead; /* Slots whose death is set, in the order of death; not yet reclaimed. */
    size_t dead_begin, dead_end, dead_capacity;
    /* Documents of slots below doubted_count came from the file, which may be hostile: right checksums
     * over any bytes. Bit set = somebody found the slot's one valid since (query/stored.h). */
    atomic_u64 *believed;
    uint32_t doubted_count;
    struct buffer frozen_head; /* The catalog record's counters at the freeze. */
};

/* ---- Readers ---- */

static inline bool slot_visible(const struct slot *slot, uint64_t sequence)
{
    /* death first: a reused slot gets its birth before its death (collection.c, slot_write). */
    const uint64_t death = atomic_load_acquire_u64((const atomic_u64 *)(const void *)&slot->death);
    const uint64_t birth = atomic_load_acquire_u64((const atomic_u64 *)(const void *)&slot->birth);
    return birth <= sequence && sequence < death;
}

/* Is the slot's version visible? Errors: CORRUPT, IO, NOMEM (its block can't be loaded). */
omendb_status collection_visible(struct collection *collection, uint32_t slot, uint64_t sequence,
                                 bool *out, omendb_error *err);

/* The visible version of an id: *out = SLOT_NONE when there is none. */
omendb_status collection_find(struct collection *collection, const struct id_view *id,
                              uint64_t sequence, uint32_t *out, omendb_error *err);

/* The id of a slot; the view lives as long as the snapshot. */
omendb_status collection_slot_id(struct collection *collection, uint32_t slot, struct id_view *out,
                                 omendb_error *err);

/* The sequence that made a slot's version. */
omendb_status collection_slot_version(struct collection *collection, uint32_t slot, uint64_t *out,
                                      omendb_error *err);

/* At the end of opening, before any reader: doubts the documents of all slots there are. NOMEM. */
omendb_status collection_doubt(struct collection *collection, omendb_error *err);

static inline bool collection_doubted(const struct collection *collection, uint32_t slot)
{
    return slot < collection->doubted_count &&
           (atomic_load_relaxed_u64(&collection->believed[slot / 64]) >> (slot % 64) & 1) == 0;
}

/* The slot's document is valid, and so is whatever this process writes there. */
static inline void collection_believe(struct collection *collection, uint32_t slot)
{
    (void)atomic_or_u64(&collection->believed[slot / 64], UINT64_C(1) << (slot % 64));
}

/* The binary document of a slot: a view into the store, or a copy in `scratch` when it spans
 * blocks; *view lives as long as the snapshot and the scratch. */
omendb_status collection_document(struct collection *collection, uint32_t slot,
                                  struct buffer *scratch, const uint8_t **view, uint32_t *size,
                                  omendb_error *err);

/* Node of a slot (SLOT_NONE = no such vector), and a node's vector bytes. */
omendb_status collection_slot_node(struct collection *collection, uint32_t field, uint32_t slot,
                                   uint32_t *out, omendb_error *err);
omendb_status collection_vector(struct collection *collection, uint32_t field, uint32_t node,
                                const void **out, omendb_error *err);

/* The node that holds these bytes, or SLOT_NONE: then no document of the snapshot has that vector.
 * Cost: one bucket, and a vector where 32 bits of hashes agree. The node is emptied should its vector
 * move meanwhile: see collection_moves(). */
omendb_status collection_find_vector(struct collection *collection, uint32_t field,
                                     const void *vector, uint32_t *node, omendb_error *err);

/* The visible slots of a node's chain: begin with collection_node_head(), go on with
 * collection_link_next() until SLOT_NONE; test each with collection_visible(). */
omendb_status collection_node_head(struct collection *collection, uint32_t field, uint32_t node,
                                   uint32_t *out, omendb_error *err);
omendb_status collection_link_next(struct collection *collection, uint32_t field, uint32_t slot,
                                   uint32_t *out, omendb_error *err);

/* A scan over nodes may miss or repeat a vector that changes its node meanwhile. It notes the
 * count before, and is repeated unless the count is even and the same after it. Rare: only while
 * a checkpoint closes the gaps that many deletions left. */
static inline uint64_t collection_moves(const struct vector_store *vectors)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_acquire_u64(&vectors->moves);
}

/* Contract 4's order of ids: numbers first, then strings bytewise. */
int id_view_compare(const struct id_view *a, const struct id_view *b);
uint32_t id_hash(const struct id_view *id);

/* ---- Writer: staging (txn.c) ---- */

/* What one batch has staged so far, so that it can be undone and counted. */
struct staged {
    struct collection *collection;
    uint32_t slot; /* New version, or SLOT_NONE for a deletion. */
    uint32_t old;  /* Version whose death was set, or SLOT_NONE. */
};
enum { STAGE_AHEAD = 16, STAGE_HASHES = 1 + OMENDB_VECTOR_FIELDS_MAX };
struct stage_next { /* An operation that is staged soon. */
    const struct operation *op;
    struct collection *collection;
    uint32_t hashes[STAGE_HASHES]; /* Of the id, then of each vector. */
};
struct stage {
    /* Of the batch, not yet come to: their operations see what those before them staged. */
    const struct batch_condition *conditions, *conditions_end;
    struct staged *items;
    size_t count, capacity;
    uint64_t sequence;
    struct stage_next next[STAGE_AHEAD]; /* Operation i of the batch lies at i % STAGE_AHEAD. */
};

omendb_status collection_create(struct space *space, const struct index_hooks *hooks, uint32_t id,
                                const char *name, struct schema *schema /* taken in any case */,
                                uint64_t born, struct collection **out, omendb_error *err);
void collection_pin(struct collection *collection);
void collection_unpin(struct collection *collection); /* The last one frees the memory. */

/* Staging waits for memory more than for anything else, so what an operation will look up is brought
 * nearer while those before it are staged: first its hashes are made and the buckets fetched, then,
 * `order` operations before its turn, with depth 1 and 2 what these lead to (vector_map_ahead()). */
void collection_stage_ahead(struct stage_next *next);
void collection_stage_nearer(const struct stage_next *next, uint32_t order, uint32_t depth);

/* Stages one operation at stage->sequence, after collection_stage_ahead(). On failure nothing of it
 * remains. */
omendb_status collection_stage_upsert(const struct stage_next *next, struct stage *stage,
                                      omendb_error *err);
omendb_status collection_stage_delete(const struct stage_next *next, struct stage *stage,
                                      omendb_error *err);
/* collection_condition.c: what a batch may ask of the documents that it is about, as they are staged,
 * published or not. EXISTS: a document with version_wanted VERSION_MISSING is there. CONFLICT: it has
 * another version than the one wanted, or none; it was written or deleted after `since`. */
omendb_status collection_condition_version(struct collection *collection,
                                           const struct operation *op, uint64_t version_wanted,
                                           omendb_error *err);
omendb_status collection_condition_unchanged(struct collection *collection,
                                             const struct operation *op, uint64_t since,
                                             omendb_error *err);
/* Says which document it is: `status`, with a message. version: 0 for none. */
omendb_status collection_condition_failed(const struct operation *op, uint64_t version,
                                          uint64_t version_wanted, omendb_error *err);
struct id_view operation_id(const struct operation *op);

/* Undoes everything in `stage`, which was never published, and empties it. */
void stage_undo(struct stage *stage);

/* Adds an array that an index keeps for `field`; it is checkpointed and reopened with the rest. */
omendb_status collection_add_derived(struct collection *collection, uint32_t field, uint32_t kind,
                                     uint32_t stride, bool hot, struct array **out,
                                     omendb_error *err);
/* The derived array of that kind, or NULL. */
struct array *collection_derived(struct collection *collection, uint32_t field, uint32_t kind);

/* ---- Nodes that an index refers to (writer lock, see host_lock()) ---- */

/* Bits of struct node.flags as they are now. CORRUPT, IO, NOMEM. Readers may ask too. */
omendb_status collection_node_flags(struct collection *collection, uint32_t field, uint32_t node,
                                    uint32_t *out, omendb_error *err);

/* Sets and clears NODE_HELD and NODE_LINKED. Who sets HELD keeps the number from being reused, and
 * is told by node_freed() when the node loses its last slot. NOT_FOUND: the node is free and not
 * held, so it is too late. A free node is given up by collection_node_release() only. */
omendb_status collection_node_mark(struct collection *collection, uint32_t field, uint32_t node,
                                   uint32_t set_bits, uint32_t clear_bits, omendb_error *err);

/* Clears HELD and LINKED. A free node may be reused then: after two checkpoints, and when the
 * readers of now have left. */
omendb_status collection_node_release(struct collection *collection, uint32_t field, uint32_t node,
                                      omendb_error *err);

/* ---- Checkpoint ---- */

struct reclaim_limits {
    uint64_t moved_bytes;  /* Of documents, and of vectors: what sparse chunks are moved. */
    uint64_t dirty_blocks; /* Unlinking ends soon after so many more are to be written. */
};

/* Unlinks versions that no snapshot >= `oldest` sees, makes what earlier checkpoints unlinked
 * free for reuse, empties sparse chunks; within limits. Writer lock, before the freeze. A failure
 * leaves the rest for the next time. */
omendb_status collection_reclaim(struct collection *collection, uint64_t oldest,
                                 struct reclaim_limits limits, omendb_error *err);

/* Is there a dead version that no snapshot >= `oldest` sees? Writer lock. */
bool collection_reclaimable(struct collection *collection, uint64_t oldest);

/* Would further checkpoints give space back (such versions, gaps among the vectors)? Writer lock. */
bool collection_wants_compaction(struct collection *collection, uint64_t oldest);

/* Freezes counters and arrays (writer lock); encode then describes the frozen state. */
omendb_status collection_freeze(struct collection *collection, uint64_t sequence,
                                omendb_error *err);
omendb_status collection_encode(struct collection *collection, struct buffer *out,
                                omendb_error *err);
omendb_status collection_decode(struct space *space, const struct index_hooks *hooks,
                                const uint8_t *bytes, size_t size, size_t *used,
                                struct collection **out, omendb_error *err);
/* Calls each(context, array) for every array of the collection, in the order of the catalog. */
omendb_status collection_each_array(struct collection *collection,
                                    omendb_status (*each)(void *context, struct array *array,
                                                          omendb_error *err),
                                    void *context, omendb_error *err);

/* Compares counters, lists, chains and documents with one another; problem() for each fault. */
omendb_status collection_verify(struct collection *collection, uint64_t sequence, bool deep,
                                void (*problem)(void *context, const char *text), void *context,
                                omendb_error *err);

#endif /* STORE_COLLECTION_H */
