/* catalog.h - the catalog's frame: a head, the collections' records, the free extents.
 *
 *     0  collection_count u32     8  records_size u64       24  reserved u64
 *     4  next_collection_id u32  16  extent_count u32       32  records ... extents ...
 *                                20  extents_known u32
 *
 * Extents {first u32, count u32} list the free blocks of an image that both slots hold, so that a
 * clean open needn't read the directories. extents_known = 0: derive them.
 */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include "base/buffer.h"
#include "store/block_map.h"

enum { CATALOG_HEAD_SIZE = 32 };

struct catalog_view {
    uint32_t collection_count, next_collection_id;
    const uint8_t *records;
    uint64_t records_size;
    const uint8_t *extents; /* [extent_count] of 8 bytes */
    uint32_t extent_count;
    bool extents_known;
};

/* `map`: the free blocks below its end are listed; NULL: extents_known = 0. */
omendb_status catalog_assemble(struct buffer *out, uint32_t collection_count,
                               uint32_t next_collection_id, const struct buffer *records,
                               const struct block_map *map, omendb_error *err);
omendb_status catalog_parse(const struct buffer *catalog, struct catalog_view *out,
                            omendb_error *err);

#endif /* STORE_CATALOG_H */
