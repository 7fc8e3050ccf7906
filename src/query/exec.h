/* exec.h - running queries: each on one snapshot, with a workspace of its own.
 *
 *     begin: workspace from the pool, filter compiled ─▶ snapshot entered
 *            ─▶ slots visited or index asked ─▶ hits copied into a result ─▶ snapshot left
 *
 * What holds
 *   1. Everything a query sees is the state at one sequence: the newest, or a view's; with a
 *      transaction's own documents in front of it (overlay.h).
 *   2. A filter is asked of documents, never of an index alone: no hit fails it, no page is short.
 *   3. Long loops look every EXEC_STRIDE steps whether omendb_interrupt() was called (INTERRUPTED)
 *      or timeout_ms passed (TIMEOUT).
 *
 * Workspaces wait in a small lock-free pool at the collection's handle; in the steady state a query
 * takes no memory but for the result it gives away, and omendb_search_vectors() none.
 *
 * Threads: any number of queries at once.
 */
#ifndef QUERY_EXEC_H
#define QUERY_EXEC_H

#include "base/atomics.h"
#include "query/overlay.h"
#include "query/result.h"
#include "simd/kernels.h"
#include "store/store.h"

enum {
    EXEC_POOL_SIZE = 16, /* Workspaces kept; more queries at once make and free their own. */
    EXEC_STRIDE = 256
};

struct exec_pool {
    atomic_pointer workspaces[EXEC_POOL_SIZE]; /* struct workspace, or NULL */
};

/* Another state than the newest. */
struct exec_view {
    uint64_t sequence;             /* Pinned: store_pin(). */
    atomic_u64 *counted;           /* Documents visible at it, or EXEC_NOT_COUNTED yet. */
    const struct overlay *overlay; /* What stands in front of it, or NULL. */
};
#define EXEC_NOT_COUNTED UINT64_MAX

/* Who asks. */
struct exec {
    struct store *store;
    struct collection *collection;
    const struct kernels *kernels;
    struct exec_pool *pool;
    const struct exec_view *view; /* NULL: the newest state. */
};

void exec_pool_deinit(struct exec_pool *pool); /* {0} is an empty one. */

/* ids: [count]. Entry i of *out belongs to ids[i]. */
omendb_status exec_get(const struct exec *exec, const omendb_id *ids, size_t count, uint32_t flags,
                       omendb_documents **out, omendb_error *err);

/* Cost: a visit of every slot; documents are read only where the filter must be asked. */
omendb_status exec_find(const struct exec *exec, const omendb_find_params *params,
                        omendb_documents **out, omendb_error *err);
omendb_status exec_count(const struct exec *exec, const char *filter, size_t filter_size,
                         uint64_t *out, omendb_error *err);

/* Adds a delete to `batch` for every document that matches, and counts them. */
omendb_status exec_delete_where(const struct exec *exec, const char *filter, size_t filter_size,
                                struct batch *batch, uint64_t *count, omendb_error *err);
/* How many different documents have one of these ids. ids: [count], checked. */
omendb_status exec_count_ids(const struct exec *exec, const omendb_id *ids, size_t count,
                             uint64_t *out, omendb_error *err);

omendb_status exec_search(const struct exec *exec, const omendb_search_params *params,
                          omendb_hits **out, omendb_error *err);

/* The search without a result: ids, distances, scores [query_count][k], found [query_count].
 * distances or scores may be NULL. ARGUMENT when a hit has a string id. */
omendb_status exec_search_numbers(const struct exec *exec, const omendb_search_params *params,
                                  uint64_t *ids, float *distances, float *scores, uint32_t *found,
                                  omendb_error *err);

#endif /* QUERY_EXEC_H */
