/* vector_stats.h - what the index of a vector field says about itself, and how far it is.
 *
 * Linked nodes that were freed stay in the graph until a sweep has gone through it; they count as
 * `dead` here, never as indexed.
 *
 * Threads: vector_stats_progress() any; vector_stats_write() under the writer lock.
 */
#ifndef INDEX_VECTOR_VECTOR_STATS_H
#define INDEX_VECTOR_VECTOR_STATS_H

#include "index/vector/vector_index.h"

/* Vectors of the field that its graph holds, and those that it is to hold; 0 of 0 when there is none
 * and will be none for now. Equal vectors count once. */
void vector_stats_progress(const struct collection *collection, uint32_t field, uint64_t *indexed,
                           uint64_t *total);

/* The hook `stats`: "index":{...}, as docs/API.md describes it. NOMEM. */
omendb_status vector_stats_write(void *context, const struct collection *collection, uint32_t field,
                                 struct buffer *out, struct index_totals *totals,
                                 omendb_error *err);

#endif /* INDEX_VECTOR_VECTOR_STATS_H */
