/* indexes.h - the one place that knows every index there is. Static storage, any thread. */
#ifndef QUERY_INDEXES_H
#define QUERY_INDEXES_H

#include "store/store.h"

/* The hooks of all indexes, for struct store_options. */
const struct index_hooks *indexes_hooks_all(void);

/* ARGUMENT when a vector field is to have an index that such a field can't have. */
omendb_status indexes_check(const struct schema *schema, omendb_error *err);

/* What the field has now: never DEFAULT. */
omendb_index indexes_get(const struct collection *collection, uint32_t field);

/* As omendb_collection_set_index(). */
omendb_status indexes_set(struct store *store, struct collection *collection, const char *name,
                          omendb_index index, omendb_error *err);

/* Vectors that graphs of the collection hold, and those that they are to hold. */
void indexes_progress(const struct collection *collection, uint64_t *indexed, uint64_t *total);

#endif /* QUERY_INDEXES_H */
