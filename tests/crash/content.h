/* content.h - the documents of the workload: bytes, ids and vectors as functions of numbers.
 *
 * Odd members have text ids, even ones numbers. The number of the write decides size (some
 * documents need a run of blocks, some a log segment of their own), which vectors there are, and
 * whether a vector is the one that the key always has (then versions share a node).
 */
#ifndef CRASH_CONTENT_H
#define CRASH_CONTENT_H

#include "base/buffer.h"
#include "crash/workload.h"
#include "doc/schema.h"
#include "store/batch.h"

enum { CONTENT_NAME = 32, CONTENT_DIM = 16, CONTENT_BITS = 64 };

struct content {            /* Scratch of comparisons. */
    struct buffer document; /* As it should be. */
    struct buffer run;
};
void content_deinit(struct content *content);

void content_name(char out[CONTENT_NAME], uint32_t index, uint32_t number);
omendb_status content_schema(uint8_t kind, struct schema **out, omendb_error *err);

/* All documents of a group, as the collection's table says. */
omendb_status content_upsert(struct batch *batch, uint32_t collection_id, const struct world *world,
                             const struct world_collection *collection, uint32_t key);
omendb_status content_delete(struct batch *batch, uint32_t collection_id, uint32_t key,
                             uint32_t group_size);

/* Looks one document (key * group_size + member) up and compares it; *fault says what differs. */
omendb_status content_compare(struct content *content, const struct world *world,
                              struct collection *collection,
                              const struct world_collection *expected, uint32_t number,
                              uint64_t sequence, const char **fault, omendb_error *err);

#endif /* CRASH_CONTENT_H */
