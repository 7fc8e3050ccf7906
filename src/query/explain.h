/* explain.h - how a search was run, in JSON for people who wonder (docs/API.md, "Explain").
 *
 * Counts are those of all queries of the call together; "ef" and what goes with it are the last
 * walk's. Threads: any.
 */
#ifndef QUERY_EXPLAIN_H
#define QUERY_EXPLAIN_H

#include "base/buffer.h"
#include "index/vector/vector_search.h"

struct explain {
    uint64_t sequence; /* Of the snapshot. */
    size_t query_count;
    uint32_t k, offset, threads;
    const char *kernels;
    const struct vector_stats *stats;
};

/* Appends one JSON object. NOMEM. */
omendb_status explain_write(const struct explain *explain, struct buffer *out, omendb_error *err);

#endif /* QUERY_EXPLAIN_H */
