/* params.h - reading structures that begin with struct_size, from callers older or newer than us.
 *
 *     caller's   |struct_size|known to both|............|   shorter: the rest counts as zero
 *     ours       |struct_size|known to both|new members |   longer:  the rest must be zero
 */
#ifndef QUERY_PARAMS_H
#define QUERY_PARAMS_H

#include <stddef.h>

#include "base/status.h"

/* No structure of ours will ever be larger: a size above it is memory nobody initialised. */
enum { PARAMS_SIZE_MAX = 1024 };

/* Fills to [size] from the caller's structure. ARGUMENT: struct_size is zero or absurd.
 * UNSUPPORTED: members that this version doesn't know are in use. `what` names it in messages. */
omendb_status params_read(void *to, size_t size, const void *from, const char *what,
                          omendb_error *err);

/* ARGUMENT unless `flags` has no bit outside of `known`. */
omendb_status params_check_flags(uint32_t flags, uint32_t known, const char *what,
                                 omendb_error *err);

#endif /* QUERY_PARAMS_H */
