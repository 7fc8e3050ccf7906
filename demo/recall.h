/* recall.h - the index against exact search: how much of the answer, and how much sooner.
 *
 * Queries are the shipped questions, which the database has never seen, and stored vectors, whose
 * own package doesn't count. Both ways are asked in turn, on one thread, so that a busy machine
 * slows both.
 */
#ifndef DEMO_RECALL_H
#define DEMO_RECALL_H

#include "omendb.h"
#include "reader.h"

/* Prints recall@10, the speed-up, memory per vector, and how one question was answered. */
void recall_show(omendb *db, omendb_collection *collection, const struct reader_packages *packages,
                 const struct reader_queries *queries);

#endif /* DEMO_RECALL_H */
