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
    bool inside;          /* The snapshot is open. */
    bool filtered;        /* workspace->filter must be asked. */
    uint32_t interrupts;  /* store_interrupts() at the beginning. */
    uint64_t deadline_ns; /* 0 = none. */
};

/* Takes a workspace, compiles the filter (NULL: none), enters. ARGUMENT, NOMEM. To be ended with
 * run_end() whatever it returned. */
omendb_status run_begin(struct run *run, const struct exec *exec, const char *filter,
                        size_t filter_size, uint32_t timeout_ms, omendb_error *err);
void run_end(struct run *run);

/* INTERRUPTED or TIMEOUT. Any thread. */
omendb_status run_check(const struct run *run, omendb_error *err);

/* Does the slot's document pass the filter? Any thread with a `scratch` of its own. */
omendb_status run_passes(const struct run *run, struct buffer *scratch, uint32_t slot, bool *out,
                         omendb_error *err);

#endif /* QUERY_RUN_H */
