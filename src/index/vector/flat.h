/* flat.h - exact nearest neighbours by a scan: brute force's answer, at a fraction of its bytes.
 *
 *     codes of all nodes ──bounds──▶ candidates ──best lower bound first──▶ full vectors ─▶ k hits
 *        (a quarter of f32)    │                                               │
 *                    limit = k-th smallest upper bound          stop: lower bound > k-th distance
 *
 * Scan: a node is a candidate unless its lower bound exceeds the limit; only then its documents are
 * looked at (visible in the snapshot? does the filter pass?), so that a filter is asked about few.
 * Finish: candidates in the order of their lower bounds get their exact distance, until no bound
 * can reach the k-th. Since every bound is proven (codes.h), the result is the same, bit for bit
 * and tie for tie, as that of computing all distances; flat_search_brute() does just that and is
 * the oracle of tests. Fields without codes, and small collections, are always scanned that way.
 *
 * Order of hits (contract 4): ranking distance, then vectors byte-equal to the query, then id.
 *
 * Invariants
 *   1. exactly min(k, visible documents that pass and have such a vector) hits.
 *   2. every document of a shared vector counts for itself.
 *   3. `passes` is only asked about slots that are visible in the snapshot.
 *
 * Threads: any number of searches, each with its own workspace. The snapshot stays open for their
 * duration. Codes and vectors of nodes that a writer is filling may be read; no visible slot leads
 * to them, so nothing follows.
 */
#ifndef INDEX_VECTOR_FLAT_H
#define INDEX_VECTOR_FLAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap_top.h"
#include "index/vector/codes.h"
#include "store/collection.h"

struct flat_query {
    struct collection *collection;
    uint32_t field;
    uint32_t k;         /* 1 .. OMENDB_K_MAX */
    const void *vector; /* In the field's type, finite; not zero under COSINE. */
    uint64_t sequence;  /* Of the snapshot. */
    /* Which documents count; NULL = all. Called from as many threads as the search has. */
    omendb_status (*passes)(void *context, uint32_t slot, bool *out, omendb_error *err);
    void *passes_context;
    /* Asked every few thousand vectors; what isn't OK ends the search. NULL = never. */
    omendb_status (*interrupted)(void *context, omendb_error *err);
    void *interrupted_context;
    uint32_t node_begin, node_end; /* Nodes to look at; node_end = 0: all there are. */
};

struct flat_hit {
    uint32_t slot;
    uint32_t node;
    float distance; /* Ranking distance: smaller is better, IP is negated. */
    bool equal;     /* The stored vector is byte-equal to the query. */
};

struct flat_stats {      /* Added to, never reset. */
    uint64_t scanned;    /* Nodes whose code or vector was looked at. */
    uint64_t candidates; /* Nodes that a bound couldn't exclude. */
    uint64_t refined;    /* Exact distances. */
    uint64_t filtered;   /* Visible documents that the filter refused. */
};

struct flat_candidate {
    float lower;
    uint32_t node, slot;
};

struct flat_result {
    struct flat_hit hit;
    bool id_known;
    struct id_view id;
};

/* Scratch memory of searches; {0} to begin with. Grows to what the largest search needed. */
struct flat_workspace {
    const struct kernels
        *kernels; /* Kept: asking the processor costs 30 us in a virtual machine. */
    struct codes_query codes;
    struct heap_top uppers; /* Upper bounds of accepted documents. */
    size_t uppers_capacity;
    struct flat_candidate *candidates;
    size_t candidate_count, candidates_capacity;
    struct flat_result *results; /* Heap of the best, the worst on top. */
    size_t result_count, results_capacity;
};
void flat_workspace_deinit(struct flat_workspace *workspace);

/* The nearest documents, best first. hits: [k]; *found: how many. stats may be NULL.
 * CORRUPT, IO (a block that is needed can't be read), NOMEM; what `passes` and `interrupted` say. */
omendb_status flat_search(const struct flat_query *query, struct flat_workspace *workspace,
                          struct flat_hit *hits, uint32_t *found, struct flat_stats *stats,
                          omendb_error *err);

/* The same answer without codes. */
omendb_status flat_search_brute(const struct flat_query *query, struct flat_workspace *workspace,
                                struct flat_hit *hits, uint32_t *found, struct flat_stats *stats,
                                omendb_error *err);

/* Several queries on up to `threads` threads, one query each; a single one is shared out by ranges
 * of nodes. hits of query q begin at hits + q * k_max, where k_max is the largest k. found: [count].
 * workspaces: [threads]. The first query (by number) that fails gives the error. */
omendb_status flat_search_batch(const struct flat_query *queries, uint32_t count, uint32_t threads,
                                struct flat_workspace *workspaces, struct flat_hit *hits,
                                uint32_t *found, struct flat_stats *stats, omendb_error *err);

/* The nearest documents of these nodes alone: `near` [near_count] are read in full at once, so that
 * they limit what has to be read of `others` [other_count], which go through their codes. No node
 * may be there twice. For who got them in another way than by a scan of all (vector_search.h), and
 * compares collection_moves() itself. */
omendb_status flat_search_nodes(const struct flat_query *query, const uint32_t *near,
                                uint32_t near_count, const uint32_t *others, uint32_t other_count,
                                struct flat_workspace *workspace, struct flat_hit *hits,
                                uint32_t *found, struct flat_stats *stats, omendb_error *err);

/* Did vectors change their nodes since collection_moves() gave `before`? Then a scan of that time
 * may have missed one. */
bool flat_moved(const struct vector_store *vectors, uint64_t before);

/* Bytes that a scan of the field reads: what it costs, before it runs. */
uint64_t flat_estimate_bytes(const struct collection *collection, uint32_t field);

#endif /* INDEX_VECTOR_FLAT_H */
