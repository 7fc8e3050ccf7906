/* indexes.h - the one place that knows every index there is. Static storage, any thread. */
#ifndef QUERY_INDEXES_H
#define QUERY_INDEXES_H

#include "store/collection.h"

/* The hooks of all indexes, for struct store_options. */
const struct index_hooks *indexes_hooks_all(void);

#endif /* QUERY_INDEXES_H */
