/* run.h - one query while it runs: workspace, filter, snapshot, limits. Inner to query/.
 *
 * Threads: one at a time, but run_passes() and run_check() as they say.
 */
#ifndef QUERY_RUN_H
#define QUERY_RUN_H

#include "query/exec.h"
#include "query/filter.h"

struct found_document { /* Of a find: a candidate in the heap. */
    struct id_view id;
    uint32_t slot;
    const struct operation *own; /* A transaction's; NULL: it is the slot's. */
};

/* Memory that a query uses and leaves behind for the next one. */
struct workspace {
    struct filter filter;
    struct buffer scratch; /* Documents that span blocks. */
    struct found_document *documents;
    size_t documents_capacity;
    struct search_space *search; /* Of searches; see search.c. */
    void (*search_destroy)(struct search_space *search);
};

struct run {
    const struct exec *exec;
    struct workspace *workspace;
    struct snapshot snapshot;
    bool inside;                    /* The snapshot is open. */
    bool filtered;                  /* workspace->filter must be asked. */
    const struct overlay_part *own; /* What a transaction has written of the collection, or NULL. */
    uint32_t interrupts;            /* store_interrupts() at the beginning. */
    uint64_t deadline_ns;           /* 0 = none. */
};

/* Takes a workspace, compiles the filter (NULL: none), enters. ARGUMENT, NOMEM. To be ended with
 * run_end() whatever it returned. */
omendb_status run_begin(struct run *run, const struct exec *exec, const char *filter,
                        size_t filter_size, uint32_t timeout_ms, omendb_error *err);
void run_end(struct run *run);

/* INTERRUPTED or TIMEOUT. Any thread. */
omendb_status run_check(const struct run *run, omendb_error *err);

/* Is the slot's version, which is visible, replaced or deleted by the transaction that asks? */
static inline bool run_hides(const struct run *run, uint32_t slot)
{
    return run->own != NULL && overlay_hides(run->own, slot);
}
/* A document of the transaction's own: NULL for an entry that stands for a deletion. */
const struct operation *run_own(const struct run *run, size_t entry);
bool run_passes_own(const struct run *run, const struct operation *own);

/* Does the slot's document pass the filter? Any thread with a `scratch` of its own. */
omendb_status run_passes(const struct run *run, struct buffer *scratch, uint32_t slot, bool *out,
                         omendb_error *err);

#endif /* QUERY_RUN_H */
