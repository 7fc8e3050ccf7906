/* db.h - omendb_open() with the system beneath it chosen: for tests on disks that fail. Inner to
 * api/. Threads: as omendb_open(). */
#ifndef API_DB_H
#define API_DB_H

#include "omendb.h"
#include "store/store.h"

/* As omendb_open(), errors too. Of `base` vfs, hooks and wal_segment_size (0: the usual one) count;
 * the rest comes from `options`. */
omendb_status db_open(const struct store_options *base, const char *path,
                      const omendb_options *options, omendb **out, omendb_error *err);

#endif /* API_DB_H */
