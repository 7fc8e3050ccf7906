#include "store/catalog.h"

#include "base/bytes.h"

omendb_status catalog_assemble(struct buffer *out, uint32_t collection_count,
                               uint32_t next_collection_id, const struct buffer *records,
                               const struct block_map *map, omendb_error *err)
{
    uint8_t head[CATALOG_HEAD_SIZE] = {0};
    uint32_t extents = 0;
    store_le32(head, collection_count);
    store_le32(head + 4, next_collection_id);
    store_le64(head + 8, records->size);
    store_le32(head + 20, map != NULL ? 1 : 0);
    TRY(buffer_append(out, head, sizeof head, err));
    TRY(buffer_append(out, records->data, records->size, err));
    for (uint32_t block = 0; map != NULL && block < map->end;) {
        if (block_map_is_taken(map, block)) {
            block++;
            continue;
        }
        const uint32_t first = block;
        uint8_t extent[8];
        while (block < map->end && !block_map_is_taken(map, block)) block++;
        store_le32(extent, first);
        store_le32(extent + 4, block - first);
        TRY(buffer_append(out, extent, sizeof extent, err));
        extents++;
    }
    store_le32(out->data + 16, extents);
    return OMENDB_OK;
}

omendb_status catalog_parse(const struct buffer *catalog, struct catalog_view *out,
                            omendb_error *err)
{
    const uint8_t *bytes = catalog->data;
    if (catalog->size < CATALOG_HEAD_SIZE)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: cut short");
    *out = (struct catalog_view){.collection_count = load_le32(bytes),
                                 .next_collection_id = load_le32(bytes + 4),
                                 .records_size = load_le64(bytes + 8),
                                 .extent_count = load_le32(bytes + 16),
                                 .extents_known = load_le32(bytes + 20) == 1,
                                 .records = bytes + CATALOG_HEAD_SIZE};
    const size_t left = catalog->size - CATALOG_HEAD_SIZE;
    if (out->records_size > left || (left - out->records_size) / 8 < out->extent_count ||
        out->collection_count > OMENDB_COLLECTIONS_MAX)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: malformed head");
    out->extents = out->records + out->records_size;
    return OMENDB_OK;
}
