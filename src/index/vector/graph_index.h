/* graph_index.h - the graph of one vector field: where it lies, which nodes are in it, which aren't
 * yet.
 *
 *     ARRAY_CODES        hot, by node   codes, all with the frame as centre (codes.h)
 *     ARRAY_GRAPH_LINKS  hot, by node   u32 [32]; a hole or zeros: no row
 *     ARRAY_GRAPH_STATE  cold           element 0: struct graph_state
 *     struct node.flags  (store)        HELD: stands in rows, or will; LINKED: is in the graph
 *     memory only                       edges, tail, bits by node; all follow from the above
 *
 *     node_write ──▶ tail ──work: plan, apply──▶ LINKED ──node_freed──▶ dead ──sweep──▶ released
 *                     │ scanned exactly            │ found by walks       │ routes only
 *
 * Frame: when the graph begins, the newest centre becomes the frame of all codes, those of others
 * are made again, and no centre is added any more: distances of nodes follow from their codes.
 *
 * Tail: the nodes that aren't LINKED. A search notes the tail, then walks the graph, then looks at
 * what it noted: a node that leaves the tail meanwhile has been noted, one that left before is in
 * the graph. Nodes without a code (too long for one) stay in it for ever.
 *
 * Invariants
 *   1. a node in a row or in the entry table is HELD, has a code in the frame and a row.
 *   2. state.linked = nodes with LINKED, in every image.
 *   3. each live node is LINKED or in the tail, once; the tail may also hold nodes that were freed.
 *   4. a dead node (FREE and HELD) is released, its number free for reuse, only when a whole sweep
 *      has left no row and no entry that leads to it.
 *
 * Threads: functions under "Readers" any number, inside a snapshot; "Writer" under the writer lock.
 * What the work keeps to itself is in graph_work.c.
 */
#ifndef INDEX_VECTOR_GRAPH_INDEX_H
#define INDEX_VECTOR_GRAPH_INDEX_H

#include "index/vector/graph_change.h"
#include "os/thread.h"
#include "store/collection.h"

struct vector_index;
struct graph_work; /* graph_work.c */

enum {
    GRAPH_BEGIN = 4096, /* Live nodes; fewer are scanned as fast as a graph is searched. */
    GRAPH_RUNGS = 16,
    GRAPH_STRETCHES = 5,
    GRAPH_WALKS = 2,        /* enum graph_walk */
    GRAPH_CALIBRATED_KS = 2 /* k = 10, and 100 in large graphs. */
};

/* As stored; switched online. */
enum graph_profile {
    GRAPH_PROFILE_FAST = 0,    /* Edge codes beside the rows. */
    GRAPH_PROFILE_COMPACT = 1, /* Codes alone. */
    GRAPH_PROFILE_EXACT = 2    /* No graph is begun; one that is there rests. */
};

struct graph_table { /* 1,932 bytes: what walks were measured to find; graph_calibrate.h */
    uint32_t linked; /* Nodes of the graph at that time; 0 = not measured. */
    uint16_t queries[GRAPH_CALIBRATED_KS];
    uint8_t held_out; /* Bit by walk: the queries weren't in the graph. */
    uint8_t whole;    /* 1: all that was there was linked; 0: in the midst of a load, roughly. */
    uint16_t unused;
    /* By k, walk, stretch, rung. recall: of 65535; 0 = unknown. */
    uint16_t recall[GRAPH_CALIBRATED_KS][GRAPH_WALKS][GRAPH_STRETCHES][GRAPH_RUNGS];
    uint16_t hops[GRAPH_CALIBRATED_KS][GRAPH_WALKS][GRAPH_STRETCHES][GRAPH_RUNGS];
    uint16_t distances[GRAPH_CALIBRATED_KS][GRAPH_STRETCHES][GRAPH_RUNGS]; /* Walks by codes. */
    /* How much more recall varies from query to query than that of independent hits; of 16. */
    uint8_t spread[GRAPH_CALIBRATED_KS][GRAPH_WALKS][GRAPH_STRETCHES][GRAPH_RUNGS];
};
_Static_assert(sizeof(struct graph_table) == 1932, "graph_table");

enum { GRAPH_STATE_ENTRIES = 512, GRAPH_STATE_MORE = 1024 };

struct graph_state {   /* 4096 bytes */
    uint32_t version;  /* 1, or 2 with GRAPH_STATE_MORE; 0 = nothing was written yet. */
    uint32_t profile;  /* enum graph_profile */
    uint32_t frame;    /* Centre of all codes (codes.h). */
    uint32_t recoded;  /* Nodes below it have codes in the frame; UINT32_MAX: all. */
    float unit;        /* graph.h */
    uint32_t refined;  /* `linked` when every node was looked at a second time. */
    uint32_t linked;   /* Nodes with LINKED. */
    uint32_t finished; /* `linked` when entries were chosen and reach was proved; 0 = due. */
    uint32_t entries_count;
    uint32_t begun;      /* 1: there is a frame. */
    uint32_t refining;   /* Nodes below it - 1 had their second look; 0 = no pass is under way. */
    uint32_t refine_end; /* Of the pass: nodes from here on came later. */
    uint32_t reserved[4];
    struct graph_table table;
    uint32_t entries[GRAPH_STATE_ENTRIES]; /* Nodes where searches begin, the first of them. */
    uint8_t unused[52];
};
_Static_assert(sizeof(struct graph_state) == 4096, "graph_state");

/* Elements of the array from 1 on hold the entries that the state has no room for. They lie in the
 * state's block, so what is prepared for it is prepared for them. */
struct graph_state_more {
    uint32_t entries[GRAPH_STATE_MORE];
};
_Static_assert(sizeof(struct graph_state_more) == sizeof(struct graph_state), "graph_state_more");
#define GRAPH_STATE_VERSION_MAX 2u
_Static_assert((GRAPH_ENTRIES_MAX - GRAPH_STATE_ENTRIES) % GRAPH_STATE_MORE == 0, "entries");

/* What a test may want otherwise: the context of the hooks, or NULL. */
struct graph_options {
    uint32_t begin;       /* In place of GRAPH_BEGIN; 0 = that. */
    uint32_t entry_share; /* As in struct graph; 0 = the usual one. */
};

/* Memory by node that grows in place. */
struct graph_range {
    uint8_t *base;
    size_t length, committed;
};

struct graph_tail {        /* Replaced as a whole when full; the old one retired by epoch. */
    atomic_u32 begin, end; /* Entries [begin, end) of nodes. Written under the writer lock. */
    uint32_t capacity;
    uint32_t nodes[];
};

struct graph_index {
    struct collection *collection;
    uint32_t field;
    struct vector_index *index;
    struct array *links, *state_array;
    struct graph graph;
    struct graph_state state; /* As in the array. Writer. */

    /* Readers. */
    atomic_u32 searchable;   /* 1: codes and links are resident, entries are there. */
    atomic_u32 linked;       /* state.linked */
    atomic_pointer tail;     /* struct graph_tail */
    atomic_pointer table;    /* struct graph_table of this memory, or NULL. */
    struct mutex load_mutex; /* graph_index_load() */
    bool mutex_made;
    uint32_t *opened;        /* [opened_count] entries as they were stored at the opening. */
    atomic_u32 opened_count; /* 0: they were made, or others are. */

    /* Writer. Bits by node. */
    struct graph_range dead;   /* Freed and not released. Walks read it. */
    struct graph_range freed;  /* Dead, and nothing was done about it yet. */
    struct graph_range held;   /* HELD: has a row, or will. Worker. */
    struct graph_range queued; /* In the tail. */
    struct graph_range edges;
    atomic_u32 freed_count;
    atomic_u32 dead_count;
    atomic_u32 dead_linked; /* Dead and LINKED. Others died while a batch was half done. */

    struct graph_work *work; /* Of the index thread. */

    /* For stats: relaxed. */
    atomic_u32 unreachable_found; /* By all proofs of reach so far. */
    atomic_u32 sweeps;
};

static inline bool graph_range_bit(const struct graph_range *range, uint32_t node)
{
    const atomic_u64 *words = (const void *)range->base;
    return (atomic_load_relaxed_u64(&words[node / 64]) >> (node % 64) & 1) != 0;
}
static inline void graph_range_set(struct graph_range *range, uint32_t node)
{
    atomic_u64 *words = (void *)range->base;
    (void)atomic_or_u64(&words[node / 64], UINT64_C(1) << (node % 64));
}
static inline void graph_range_clear(struct graph_range *range, uint32_t node)
{
    atomic_u64 *words = (void *)range->base;
    (void)atomic_and_u64(&words[node / 64], ~(UINT64_C(1) << (node % 64)));
}

/* Backs the first `size` bytes with (zero) memory. NOMEM. */
omendb_status graph_range_commit(struct graph_range *range, size_t size, omendb_error *err);

/* ---- Attach (writer; nobody else knows the field yet) ---- */

/* The state as stored: zeros when there is none. CORRUPT, UNSUPPORTED, IO. */
omendb_status graph_index_read_state(struct array *array, struct graph_state *out,
                                     omendb_error *err);

/* The entries as stored, in order. out: [state.entries_count]. CORRUPT, IO, NOMEM. */
omendb_status graph_index_read_entries(const struct graph_index *graph, uint32_t *out,
                                       omendb_error *err);

/* The graph that the state tells of, or NULL when none was begun. Reads one block, and the node
 * flags unless every live node is linked. CORRUPT, UNSUPPORTED, IO, NOMEM. */
omendb_status graph_index_open(struct collection *collection, uint32_t field,
                               struct vector_index *index, const struct graph_state *state,
                               struct graph_index **out, omendb_error *err);
void graph_index_destroy(struct graph_index *graph); /* NULL is allowed. */

/* ---- Writer ---- */

/* Begins a graph: chooses the frame, puts every live node into the tail. NOMEM, IO, CORRUPT. */
omendb_status graph_index_begin(struct collection *collection, uint32_t field,
                                struct vector_index *index, enum graph_profile profile,
                                struct graph_index **out, omendb_error *err);

/* All that can fail when a node's code is written, then what can't. */
omendb_status graph_index_node_reserve(struct graph_index *graph, uint32_t node, omendb_error *err);
void graph_index_node_write(struct graph_index *graph, uint32_t node);
void graph_index_node_freed(struct graph_index *graph, uint32_t node);

/* Makes the state's block writable; graph_index_store() then can't fail. */
omendb_status graph_index_prepare_state(struct graph_index *graph, omendb_error *err);
void graph_index_store(struct graph_index *graph);        /* All of it. */
void graph_index_store_entries(struct graph_index *graph, /* NULL = none; and all of the state. */
                               const struct graph_entries *entries);
void graph_index_store_linked(struct graph_index *graph); /* state.linked alone. */

/* Takes the first `count` entries out of the tail, but for the `kept` ones [kept_count] of them,
 * which become its first. NOMEM, then nothing has changed. */
omendb_status graph_tail_advance(struct graph_index *graph, uint32_t count, const uint32_t *kept,
                                 uint32_t kept_count, omendb_error *err);

/* Publishes another entry table (taken) or calibration (copied). NOMEM: nothing has changed. */
omendb_status graph_index_publish_entries(struct graph_index *graph, struct graph_entries *entries,
                                          omendb_error *err);
omendb_status graph_index_publish_table(struct graph_index *graph, const struct graph_table *table,
                                        omendb_error *err);

/* Does the node have a code in the frame? */
bool graph_index_coded(const struct graph_index *graph, uint32_t node);

/* ---- Readers ---- */

/* The field's graph, or NULL. */
struct graph_index *graph_index_of(const struct collection *collection, uint32_t field);

/* Brings codes, links and entries into memory, at most `size_max` bytes of them; false with OK: it
 * would be more, or there is nothing to search yet. CORRUPT, IO, NOMEM. */
omendb_status graph_index_load(struct graph_index *graph, uint64_t size_max, bool *searchable,
                               omendb_error *err);

/* Bytes of memory that searches by the graph use: codes, links, edges and bits. */
uint64_t graph_index_hot_bytes(const struct graph_index *graph);

/* Compares rows, flags and codes; deep: reach as well, when it was proved for just these nodes.
 * Writer lock. NOMEM; what can't be read is a problem. */
omendb_status graph_index_verify(struct graph_index *graph, bool deep,
                                 void (*problem)(void *context, const char *text), void *context,
                                 omendb_error *err);

#endif /* INDEX_VECTOR_GRAPH_INDEX_H */
