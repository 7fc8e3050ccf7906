/* vector_index.h - the codes (codes.h) of a collection's vector fields, kept in derived arrays.
 *
 *     ARRAY_CODES        hot, element = node:   struct code_header, code bytes
 *     ARRAY_CODE_PARAMS  cold, element size 4 * dim:
 *         element 0      struct vector_params   zeros: nothing was ever coded
 *         element 1 + i  centre i + 1, f32 [dim], where states[i] = CENTRE_ADDED
 *
 * Centres: when node 256 * 4^i is reserved for the first time, the mean of (a sample of) the
 * vectors stored by then becomes a centre if it lies far enough from the one before to pay; else
 * the state says that it was skipped. New rows take the newest centre; nothing is coded again. A
 * node number that comes again (reuse, undo, replay) finds the state set and changes nothing.
 * Once a graph has begun no centre is decided about: all rows are coded with its frame, those that
 * weren't are coded again (graph_index.h, which also tells of the arrays ARRAY_GRAPH_*).
 *
 * Fields that no graph can be built over (integers, bits, fewer than 4 dimensions) have no arrays
 * and no struct vector_index: codes_possible().
 *
 * Threads: readers use `codes`, `rows`, `graph`; the rest is the writer's, `work` the index thread's.
 */
#ifndef INDEX_VECTOR_VECTOR_INDEX_H
#define INDEX_VECTOR_VECTOR_INDEX_H

#include "index/vector/codes.h"
#include "index/vector/graph_index.h"
#include "store/collection.h"

struct store;

enum vector_centre_state { CENTRE_UNDECIDED = 0, CENTRE_ADDED = 1, CENTRE_SKIPPED = 2 };

struct vector_params { /* 32 bytes */
    uint64_t seed;     /* Of the rotation. */
    uint32_t version;  /* VECTOR_PARAMS_VERSION; 0 = not written yet. */
    uint32_t reserved;
    uint8_t states[CODES_CENTRES]; /* struct store;

enum vector_centre_state; entry 15 is unused. */
};
_Static_assert(sizeof(struct vector_params) == 32, "vector_params");

#define VECTOR_PARAMS_VERSION 1u

struct vector_index { /* vector_store.index of a field that has codes */
    struct codes codes;
    struct array *rows;
    struct array *params;
    struct vector_params state;        /* As in the array. */
    struct array *links, *graph_state; /* Of the graph; empty before there is one. */
    atomic_pointer graph;              /* struct graph_index, or NULL: none was begun. */
    atomic_u32 profile; /* enum graph_profile, as stored; before that, as the schema says. */
};

/* The field's index, or NULL. */
static inline struct vector_index *vector_index_of(const struct collection *collection,
                                                   uint32_t field)
{
    return collection->vectors[field].index;
}

/* How the field is searched: GRAPH_PROFILE_EXACT also where no graph is possible. */
static inline enum graph_profile vector_index_profile(const struct collection *collection,
                                                      uint32_t field)
{
    const struct vector_index *index = vector_index_of(collection, field);
    return index != NULL ? (enum graph_profile)atomic_load_acquire_u32(&index->profile)
                         : GRAPH_PROFILE_EXACT;
}

/* Hooks; see index/index.h. attach: NOMEM, CORRUPT, IO, UNSUPPORTED (made by a newer version). */
omendb_status vector_index_attach(void *context, struct collection *collection, omendb_error *err);
void vector_index_detach(void *context, struct collection *collection);
omendb_status vector_index_node_reserve(void *context, struct collection *collection,
                                        uint32_t field, uint32_t node, omendb_error *err);
void vector_index_node_write(void *context, struct collection *collection, uint32_t field,
                             uint32_t node, const void *vector);

void vector_index_node_freed(void *context, struct collection *collection, uint32_t field,
                             uint32_t node);
omendb_status vector_index_work(void *context, struct collection *collection,
                                struct index_host *host, bool *more, omendb_error *err);

/* How the field is searched from now on; durable when it returns. Any thread, no lock held. ARGUMENT:
 * the field can have no graph. READ_ONLY; NOMEM, IO, CORRUPT, FULL. */
omendb_status vector_index_choose_profile(struct store *store, struct collection *collection,
                                          uint32_t field, enum graph_profile profile,
                                          omendb_error *err);

/* Compares graphs with their nodes, deep: codes with their vectors as well, and reach. Hook. */
omendb_status vector_index_check(void *context, struct collection *collection, bool deep,
                                 void (*problem)(void *context, const char *text),
                                 void *problem_context, omendb_error *err);

/* Compares the code of every node that has slots with its vector; calls problem() for each that
 * claims too much. Writer lock. Damaged blocks are problems. NOMEM, IO. */
omendb_status vector_index_verify(struct collection *collection, uint32_t field,
                                  void (*problem)(void *context, const char *text), void *context,
                                  omendb_error *err);

#endif /* INDEX_VECTOR_VECTOR_INDEX_H */
