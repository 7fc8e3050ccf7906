/* load.h - packages into a collection, batch by batch.
 *
 * A batch is acknowledged when omendb_collection_upsert() returns: at the durability that the
 * database is opened with by default (FULL), it is on the disk then.
 */
#ifndef DEMO_LOAD_H
#define DEMO_LOAD_H

#include "omendb.h"
#include "reader.h"

/* Ends the program with what the library says, unless `status` is OMENDB_OK. */
void load_must(omendb_status status, const omendb_error *err, const char *doing);

omendb *load_open(const char *path, uint32_t flags);
void load_close(omendb *db);

/* Makes a collection with the vector field "embedding": 384 f16, cosine. */
omendb_collection *load_create(omendb *db, const char *name);
omendb_collection *load_collection(omendb *db, const char *name);

/* Writes the rows [begin, begin + count) as one batch. */
void load_batch(omendb_collection *collection, const struct reader_packages *packages, size_t begin,
                size_t count);

/* Waits until the graph holds every vector, behind a bar. Searches don't need it to be right. */
void load_wait(omendb_collection *collection);

/* A number of omendb_stats(), by its key (with quotes and colon); the first one of that name. */
uint64_t load_stat(omendb *db, const char *key);

#endif /* DEMO_LOAD_H */
