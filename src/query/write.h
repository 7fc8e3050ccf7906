/* write.h - from the caller's rows to a batch: everything is checked here, before the log.
 *
 * A function that fails leaves the batch as it was. Messages name row and field:
 *     rows: row 12: field "v": component 3 is NaN or infinite
 *
 * Threads: one at a time for a batch.
 */
#ifndef QUERY_WRITE_H
#define QUERY_WRITE_H

#include "base/status.h"
#include "simd/kernels.h"
#include "store/batch.h"
#include "store/collection.h"

/* The id as a view of the caller's bytes. ARGUMENT (size), VALUE (UTF-8). */
omendb_status write_check_id(const omendb_id *id, struct id_view *out, omendb_error *err);

/* Adds an upsert for each row. ARGUMENT, VALUE, DIMENSION, NOT_FOUND (field), FULL, NOMEM. */
omendb_status write_rows(struct batch *batch, const struct kernels *kernels,
                         const struct collection *collection, const omendb_rows *rows,
                         omendb_error *err);

/* Adds a delete for each id. ids, versions: [count]; versions: conditions, may be NULL. */
omendb_status write_deletes(struct batch *batch, const struct collection *collection,
                            const omendb_id *ids, const uint64_t *versions, size_t count,
                            omendb_error *err);

#endif /* QUERY_WRITE_H */
