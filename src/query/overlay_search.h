/* overlay_search.h - the nearest among a transaction's own documents, merged with what an index found.
 *
 *     index:  k + hidden hits of the snapshot ─ without the hidden ones ─┐
 *     own:    exact distances of all, sorted ────────────────────────────┴─▶ k hits, contract 4's order
 *
 * A hit of the transaction's own has slot SLOT_NONE, and its entry's number as its node.
 *
 * Cost: for each query a distance to every own document that has such a vector and passes.
 * Threads: one at a time.
 */
#ifndef QUERY_OVERLAY_SEARCH_H
#define QUERY_OVERLAY_SEARCH_H

#include "index/vector/flat.h"
#include "query/run.h"

/* So many hidden documents are left out of what the index found; of more it is told beforehand, as of
 * a filter, and then it scans. */
enum { OVERLAY_SEARCH_HIDDEN_MAX = 256 };

struct overlay_candidate {
    const void *vector;
    uint32_t entry;
};

struct overlay_hit {
    struct flat_hit hit;
    struct id_view id;
};

struct overlay_search { /* Scratch memory; {0} to begin with. */
    struct overlay_candidate *candidates;
    float *norms; /* [count], of the candidates. */
    struct overlay_hit *hits;
    struct flat_hit *merged; /* [k] */
    size_t candidates_capacity, norms_capacity, hits_capacity, merged_capacity;
    size_t count;
};
void overlay_search_deinit(struct overlay_search *search);

/* Collects the own documents that count. The run has some (run->own). NOMEM. */
omendb_status overlay_search_begin(struct overlay_search *search, const struct run *run,
                                   uint32_t field, omendb_error *err);

/* The k best of `hits` [count] (best first; hidden ones are left out) and of the own documents, in
 * search->merged; *found: how many. vector: the query in the field's type. NOMEM, CORRUPT, IO. */
omendb_status overlay_search_merge(struct overlay_search *search, const struct run *run,
                                   uint32_t field, const void *vector, uint32_t k,
                                   const struct flat_hit *hits, uint32_t count, uint32_t *found,
                                   omendb_error *err);

#endif /* QUERY_OVERLAY_SEARCH_H */
