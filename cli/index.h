/* index.h - waiting for the graphs of a collection, with a progress line; names of profiles. */
#ifndef CLI_INDEX_H
#define CLI_INDEX_H

#include "database.h"

bool index_of(const char *name, omendb_index *out); /* "fast" ... */

/* Reads --`option`; false after printing that it is none. Not given: *out stays. */
bool index_option(const struct args *args, const char *option, omendb_index *out);

/* Waits until the collection's graphs hold all vectors; an interrupt ends that. False after
 * printing why they don't. */
bool index_wait(struct database *database);

#endif /* CLI_INDEX_H */
