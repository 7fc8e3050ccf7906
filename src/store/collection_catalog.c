/* collection_catalog.c - a collection's record in the catalog, and back.
 *
 *     {size u32, id u32, born u64, name_size u32, name}         head, as frozen
 *     {schema_size u32, schema}
 *     counters (COUNTERS x u64), then per vector field FIELD_COUNTERS x u64 and derived_count u32,
 *     then derived_count u32 of the collection itself
 *     arrays in the order of collection_each_array()
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "store/collection_inner.h"
#include "store/space.h"

enum { COUNTERS = 23, FIELD_COUNTERS = 9 };

enum { HEAP_COUNTERS = 5 };

static void heap_counters(const struct heap *heap, uint64_t out[HEAP_COUNTERS])
{
    out[0] = heap->chunk_count;
    out[1] = heap->current;
    out[2] = heap->current_used;
    out[3] = heap->used_bytes;
    out[4] = heap->live_bytes;
}

static omendb_status counters_append(const struct collection *c, struct buffer *out,
                                     omendb_error *err)
{
    const uint32_t dead_head = c->dead_begin < c->dead_end ? c->dead[c->dead_begin] : SLOT_NONE;
    uint64_t counters[] = {
        atomic_load_relaxed_u32(&c->slot_count),
        atomic_load_relaxed_u32(&c->slot_capacity),
        atomic_load_relaxed_u64(&c->live_count),
        c->growth_count,
        c->free_head,
        c->free_count,
        c->retired_head,
        c->retiring_head,
        dead_head,
        c->dead_end - c->dead_begin,
        atomic_load_relaxed_u32(&c->ids.bucket_count),
        c->ids.overflow_count | (uint64_t)c->ids.overflow_free << 32,
        [12 + 2 * HEAP_COUNTERS] = c->ids.entry_count,
    };
    _Static_assert(sizeof counters / sizeof *counters == COUNTERS, "counters");
    heap_counters(&c->documents, counters + 12);
    heap_counters(&c->id_texts, counters + 12 + HEAP_COUNTERS);
    for (size_t i = 0; i < COUNTERS; i++) TRY(buffer_append_le64(out, counters[i], err));
    return OMENDB_OK;
}

static omendb_status fields_append(const struct collection *c, struct buffer *out,
                                   omendb_error *err)
{
    for (uint32_t f = 0; f < c->schema->vectors_count; f++) {
        const struct vector_store *store = &c->vectors[f];
        const uint64_t counters[] = {atomic_load_relaxed_u32(&store->node_count),
                                     atomic_load_relaxed_u32(&store->nodes_live),
                                     store->free_head,
                                     store->retired_head,
                                     store->retiring_head,
                                     store->free_count,
                                     atomic_load_relaxed_u32(&store->held_free),
                                     atomic_load_relaxed_u32(&store->map.bucket_count),
                                     store->map.entry_count};
        _Static_assert(sizeof counters / sizeof *counters == FIELD_COUNTERS, "field counters");
        for (size_t i = 0; i < FIELD_COUNTERS; i++) TRY(buffer_append_le64(out, counters[i], err));
        TRY(buffer_append_le32(out, store->derived_count, err));
    }
    return buffer_append_le32(out, c->derived_count, err);
}

omendb_status collection_each_array(struct collection *collection,
                                    omendb_status (*each)(void *context, struct array *array,
                                                          omendb_error *err),
                                    void *context, omendb_error *err)
{
    TRY(each(context, &collection->slots, err));
    TRY(each(context, &collection->ids.buckets, err));
    TRY(each(context, &collection->ids.overflow, err));
    TRY(each(context, &collection->documents.chunks, err));
    TRY(each(context, &collection->documents.meta, err));
    TRY(each(context, &collection->id_texts.chunks, err));
    TRY(each(context, &collection->id_texts.meta, err));
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++) {
        struct vector_store *store = &collection->vectors[f];
        TRY(each(context, &store->vectors, err));
        TRY(each(context, &store->nodes, err));
        TRY(each(context, &store->links, err));
        TRY(each(context, &store->map.heads, err));
        for (uint32_t i = 0; i < store->derived_count; i++)
            TRY(each(context, store->derived[i], err));
    }
    for (uint32_t i = 0; i < collection->derived_count; i++)
        TRY(each(context, collection->derived[i], err));
    return OMENDB_OK;
}

/* Derived arrays that staging and the index's work maintain are as new as the image; others stay where they were. */
static omendb_status freeze_one(void *context, struct array *array, omendb_error *err)
{
    if (array->kind >= ARRAY_CODES && array->kind <= ARRAY_GRAPH_STATE)
        array->covers_sequence = *(const uint64_t *)context;
    return array_freeze(array, err);
}

omendb_status collection_freeze(struct collection *collection, uint64_t sequence, omendb_error *err)
{
    struct buffer *out = &collection->frozen_head;
    const uint32_t name_size = (uint32_t)strlen(collection->name);
    struct buffer schema = {0};
    /* Whatever became of collection_reclaim(): */
    TRY(collection_list_dead(collection, err));
    TRY(collection_nodes_released(collection, err));
    buffer_clear(out);
    uint8_t head[20] = {0}; /* First the size, filled in by encode. */
    store_le32(head + 4, collection->id);
    store_le64(head + 8, collection->born);
    store_le32(head + 16, name_size);
    TRY(buffer_append(out, head, sizeof head, err));
    TRY(buffer_append(out, collection->name, name_size, err));
    omendb_status status = schema_encode(collection->schema, &schema, err);
    if (status == OMENDB_OK) status = buffer_append_le32(out, (uint32_t)schema.size, err);
    if (status == OMENDB_OK) status = buffer_append(out, schema.data, schema.size, err);
    buffer_deinit(&schema);
    TRY(status);
    TRY(counters_append(collection, out, err));
    TRY(fields_append(collection, out, err));
    return collection_each_array(collection, freeze_one, &sequence, err);
}

static omendb_status encode_one(void *context, struct array *array, omendb_error *err)
{
    return array_encode(array, context, err);
}

omendb_status collection_encode(struct collection *collection, struct buffer *out,
                                omendb_error *err)
{
    const size_t begin = out->size;
    TRY(buffer_append(out, collection->frozen_head.data, collection->frozen_head.size, err));
    TRY(collection_each_array(collection, encode_one, out, err));
    store_le32(out->data + begin, (uint32_t)(out->size - begin));
    return OMENDB_OK;
}

/* ---- Decoding ---- */

struct record_reader {
    const uint8_t *bytes;
    size_t size, at;
    bool failed;
};

static uint64_t read_integer(struct record_reader *reader, size_t size)
{
    if (reader->failed || reader->size - reader->at < size) {
        reader->failed = true;
        return 0;
    }
    const uint8_t *from = reader->bytes + reader->at;
    reader->at += size;
    return size == 4 ? load_le32(from) : load_le64(from);
}

static uint32_t read_u32(struct record_reader *reader)
{
    return (uint32_t)read_integer(reader, 4);
}

/* A counter that must fit 32 bits. */
static uint32_t read_count(struct record_reader *reader)
{
    const uint64_t value = read_integer(reader, 8);
    if (value > UINT32_MAX) reader->failed = true;
    return (uint32_t)value;
}

static const uint8_t *read_bytes(struct record_reader *reader, size_t size)
{
    if (reader->failed || reader->size - reader->at < size) {
        reader->failed = true;
        return NULL;
    }
    reader->at += size;
    return reader->bytes + reader->at - size;
}

static void heap_counters_read(struct heap *heap, struct record_reader *reader)
{
    heap->chunk_count = read_count(reader);
    heap->current = read_count(reader);
    heap->current_used = read_count(reader);
    heap->used_bytes = read_integer(reader, 8);
    heap->live_bytes = read_integer(reader, 8);
    heap->free_known = false;
}

static omendb_status array_read_record(struct record_reader *reader, struct space *space,
                                       struct array *array, uint32_t kind, uint32_t field,
                                       uint32_t stride, bool hot, omendb_error *err)
{
    size_t used = 0;
    if (reader->failed) return fail(err, OMENDB_ERR_CORRUPT, "catalog: cut short");
    TRY(array_decode(array, space, hot, reader->bytes + reader->at, reader->size - reader->at,
                     &used, err));
    reader->at += used;
    if (array->kind != kind || array->field != field || array->stride != stride)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: array %u where %u should be", array->kind,
                    kind);
    return OMENDB_OK;
}

/* Arrays that searches walk from node to node, and that readers of the mapping would miss their
 * cache for. Others of an index, known to this version or not, are read where they lie. */
static bool derived_is_hot(uint32_t kind)
{
    return kind == ARRAY_CODES || kind == ARRAY_GRAPH_LINKS;
}

/* One more array of an index, put at list[*count]. */
static omendb_status derived_read(struct collection *c, uint32_t field, struct array **list,
                                  uint32_t *count, struct record_reader *reader, omendb_error *err)
{
    size_t used = 0;
    struct array *array = alloc_zeroed(1, sizeof *array);
    if (array == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a derived array");
    list[(*count)++] = array;
    const uint8_t *record = reader->bytes + reader->at;
    const bool hot = reader->size - reader->at >= 4 && derived_is_hot(load_le32(record));
    TRY(array_decode(array, c->space, hot, record, reader->size - reader->at, &used, err));
    reader->at += used;
    if (array->kind < ARRAY_CODES || array->field != field)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: array %u isn't a derived one", array->kind);
    return OMENDB_OK;
}

static omendb_status arrays_read(struct collection *c, struct record_reader *reader,
                                 const uint32_t *derived_counts, uint32_t derived_count,
                                 omendb_error *err)
{
    struct space *space = c->space;
    const uint32_t bucket = sizeof(struct id_bucket), meta = sizeof(struct heap_chunk);
    TRY(array_read_record(reader, space, &c->slots, ARRAY_SLOTS, 0, sizeof(struct slot), true,
                          err));
    TRY(array_read_record(reader, space, &c->ids.buckets, ARRAY_ID_BUCKETS, 0, bucket, true, err));
    TRY(array_read_record(reader, space, &c->ids.overflow, ARRAY_ID_OVERFLOW, 0, bucket, true,
                          err));
    TRY(array_read_record(reader, space, &c->documents.chunks, ARRAY_DOC_CHUNKS, 0, BLOCK_SIZE,
                          false, err));
    TRY(array_read_record(reader, space, &c->documents.meta, ARRAY_DOC_META, 0, meta, true, err));
    TRY(array_read_record(reader, space, &c->id_texts.chunks, ARRAY_ID_CHUNKS, 0, BLOCK_SIZE, false,
                          err));
    TRY(array_read_record(reader, space, &c->id_texts.meta, ARRAY_ID_META, 0, meta, true, err));
    for (uint32_t f = 0; f < c->schema->vectors_count; f++) {
        struct vector_store *store = &c->vectors[f];
        TRY(array_read_record(reader, space, &store->vectors, ARRAY_VECTORS, f,
                              c->schema->vectors[f].size, false, err));
        TRY(array_read_record(reader, space, &store->nodes, ARRAY_NODES, f, sizeof(struct node),
                              true, err));
        TRY(array_read_record(reader, space, &store->links, ARRAY_LINKS, f,
                              sizeof(struct slot_link), true, err));
        TRY(array_read_record(reader, space, &store->map.heads, ARRAY_VECTOR_HEADS, f,
                              sizeof(uint32_t), true, err));
        for (uint32_t i = 0; i < derived_counts[f]; i++)
            TRY(derived_read(c, f, store->derived, &store->derived_count, reader, err));
    }
    for (uint32_t i = 0; i < derived_count; i++)
        TRY(derived_read(c, 0, c->derived, &c->derived_count, reader, err));
    return OMENDB_OK;
}

static omendb_status heap_plausible(const struct heap *heap, omendb_error *err)
{
    if (heap->chunk_count > array_capacity(&heap->chunks) ||
        heap->chunk_count > array_capacity(&heap->meta) ||
        (heap->current != UINT32_MAX && heap->current >= heap->chunk_count) ||
        heap->current_used > BLOCK_SIZE || heap->live_bytes > heap->used_bytes)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: heap counters are impossible");
    return OMENDB_OK;
}

/* Counters that would lead a reader out of an array are refused here, once. */
static omendb_status plausible(const struct collection *c, omendb_error *err)
{
    const uint32_t slots = atomic_load_relaxed_u32(&c->slot_count);
    const uint32_t buckets = atomic_load_relaxed_u32(&c->ids.bucket_count);
    TRY(heap_plausible(&c->documents, err));
    TRY(heap_plausible(&c->id_texts, err));
    const uint32_t capacity = atomic_load_relaxed_u32(&c->slot_capacity);
    bool good = slots <= capacity && capacity <= array_capacity(&c->slots) &&
                c->free_count <= slots && buckets <= array_capacity(&c->ids.buckets) &&
                c->ids.overflow_count <= array_capacity(&c->ids.overflow) &&
                atomic_load_relaxed_u64(&c->live_count) <= slots;
    for (uint32_t f = 0; f < c->schema->vectors_count; f++) {
        const struct vector_store *store = &c->vectors[f];
        const uint32_t nodes = atomic_load_relaxed_u32(&store->node_count);
        good = good && nodes <= array_capacity(&store->nodes) &&
               nodes <= array_capacity(&store->vectors) &&
               capacity <= array_capacity(&store->links) && store->free_count <= nodes &&
               atomic_load_relaxed_u32(&store->map.bucket_count) <=
                   array_capacity(&store->map.heads) &&
               (uint64_t)atomic_load_relaxed_u32(&store->nodes_live) +
                       atomic_load_relaxed_u32(&store->held_free) <=
                   nodes;
    }
    if (!good) return fail(err, OMENDB_ERR_CORRUPT, "catalog: counters exceed their arrays");
    return OMENDB_OK;
}

/* The list of dead slots that a snapshot held back when the image was made. */
static omendb_status dead_read(struct collection *c, uint32_t head, uint32_t count,
                               omendb_error *err)
{
    if (count > atomic_load_relaxed_u32(&c->slot_count))
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: more dead slots than slots");
    if (!alloc_grow(&c->dead, &c->dead_capacity, count, sizeof *c->dead))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of dead slots");
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *record = NULL;
        TRY(slot_read(c, head, &record, err));
        c->dead[c->dead_end++] = head;
        head = record->next;
    }
    return OMENDB_OK;
}

static omendb_status head_read(struct space *space, struct record_reader *reader,
                               struct collection **out, omendb_error *err)
{
    char name[OMENDB_NAME_SIZE_MAX + 1] = {0};
    const uint32_t id = read_u32(reader);
    const uint64_t born = read_integer(reader, 8);
    const uint32_t name_size = read_u32(reader);
    const uint8_t *name_bytes = name_size <= OMENDB_NAME_SIZE_MAX ? read_bytes(reader, name_size)
                                                                  : NULL;
    if (name_bytes == NULL || memchr(name_bytes, 0, name_size) != NULL)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: a collection's name is malformed");
    memcpy(name, name_bytes, name_size);
    return collection_make(space, NULL, id, name, born, out, err);
}

static omendb_status body_read(struct collection *c, struct record_reader *reader,
                               omendb_error *err)
{
    uint32_t derived_counts[OMENDB_VECTOR_FIELDS_MAX] = {0};
    const uint32_t schema_size = read_u32(reader);
    const uint8_t *schema = read_bytes(reader, schema_size);
    size_t used = 0;
    if (schema == NULL) return fail(err, OMENDB_ERR_CORRUPT, "catalog: cut short");
    TRY(schema_decode(schema, schema_size, &used, &c->schema, err));
    const uint32_t fields = c->schema->vectors_count;
    if (used != schema_size || fields > OMENDB_VECTOR_FIELDS_MAX)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: a schema is malformed");
    c->vectors = alloc_zeroed(fields, sizeof *c->vectors);
    if (c->vectors == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: vector fields");

    atomic_store_relaxed_u32(&c->slot_count, read_count(reader));
    atomic_store_relaxed_u32(&c->slot_capacity, read_count(reader));
    atomic_store_relaxed_u64(&c->live_count, read_integer(reader, 8));
    atomic_store_relaxed_u64(&c->published_count, atomic_load_relaxed_u64(&c->live_count));
    c->growth_count = read_count(reader);
    c->free_head = read_count(reader);
    c->free_count = read_count(reader);
    c->retired_head = read_count(reader);
    c->retiring_head = read_count(reader);
    const uint32_t dead_head = read_count(reader);
    const uint32_t dead_count = read_count(reader);
    atomic_store_relaxed_u32(&c->ids.bucket_count, read_count(reader));
    const uint64_t overflow = read_integer(reader, 8);
    c->ids.overflow_count = (uint32_t)overflow;
    c->ids.overflow_free = (uint32_t)(overflow >> 32);
    heap_counters_read(&c->documents, reader);
    heap_counters_read(&c->id_texts, reader);
    c->ids.entry_count = read_integer(reader, 8);
    for (uint32_t f = 0; f < fields; f++) {
        struct vector_store *store = &c->vectors[f];
        atomic_store_relaxed_u32(&store->node_count, read_count(reader));
        atomic_store_relaxed_u32(&store->nodes_live, read_count(reader));
        store->free_head = read_count(reader);
        store->retired_head = read_count(reader);
        store->retiring_head = read_count(reader);
        store->free_count = read_count(reader);
        atomic_store_relaxed_u32(&store->held_free, read_count(reader));
        atomic_store_relaxed_u32(&store->map.bucket_count, read_count(reader));
        store->map.entry_count = read_count(reader);
        store->released_head = SLOT_NONE;
        derived_counts[f] = read_u32(reader);
        if (derived_counts[f] > COLLECTION_DERIVED_MAX) reader->failed = true;
    }
    const uint32_t derived_count = read_u32(reader);
    if (derived_count > COLLECTION_ARRAYS_MAX) reader->failed = true;
    if (reader->failed) return fail(err, OMENDB_ERR_CORRUPT, "catalog: counters are malformed");
    TRY(arrays_read(c, reader, derived_counts, derived_count, err));
    TRY(plausible(c, err));
    return c->space->lists_unread ? OMENDB_OK : dead_read(c, dead_head, dead_count, err);
}

omendb_status collection_decode(struct space *space, const struct index_hooks *hooks,
                                const uint8_t *bytes, size_t size, size_t *used,
                                struct collection **out, omendb_error *err)
{
    struct collection *collection = NULL;
    if (size < 4 || load_le32(bytes) < 4 || load_le32(bytes) > size)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: a collection is cut short");
    struct record_reader reader = {.bytes = bytes, .size = load_le32(bytes), .at = 4};
    TRY(head_read(space, &reader, &collection, err));
    omendb_status status = body_read(collection, &reader, err);
    if (status == OMENDB_OK && reader.at != reader.size)
        status = fail(err, OMENDB_ERR_CORRUPT, "catalog: a collection has a wrong size");
    if (status == OMENDB_OK) {
        collection->rotated_generation = space->generation;
        if (hooks != NULL && hooks->attach != NULL)
            status = hooks->attach(hooks->context, collection, err);
        if (status == OMENDB_OK) collection->hooks = hooks;
    }
    if (status != OMENDB_OK) {
        status = fail_within(err, status, "collection %s", collection->name);
        collection_free(collection);
        return status;
    }
    *used = reader.size;
    *out = collection;
    return OMENDB_OK;
}
