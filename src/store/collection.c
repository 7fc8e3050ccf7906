#include "store/collection.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "store/batch.h"
#include "store/collection_inner.h"
#include "store/space.h"

/* Contract 6: capacity begins at 5,000 slots and grows by half, by at least 1,000, at 80 %. */
enum { CAPACITY_FIRST = 5000, CAPACITY_STEP_MIN = 1000 };

/* ---- Making and freeing ---- */

void collection_free(struct collection *collection)
{
    if (collection == NULL) return;
    if (collection->hooks != NULL && collection->hooks->detach != NULL)
        collection->hooks->detach(collection->hooks->context, collection);
    const uint32_t fields = collection->schema != NULL ? collection->schema->vectors_count : 0;
    for (uint32_t f = 0; collection->vectors != NULL && f < fields; f++) {
        struct vector_store *vectors = &collection->vectors[f];
        array_deinit(&vectors->vectors);
        array_deinit(&vectors->nodes);
        array_deinit(&vectors->links);
        vector_map_deinit(&vectors->map);
        for (uint32_t i = 0; i < vectors->derived_count; i++) {
            array_deinit(vectors->derived[i]);
            alloc_free(vectors->derived[i]);
        }
    }
    for (uint32_t i = 0; i < collection->derived_count; i++) {
        array_deinit(collection->derived[i]);
        alloc_free(collection->derived[i]);
    }
    alloc_free(collection->believed);
    array_deinit(&collection->slots);
    id_map_deinit(&collection->ids);
    heap_deinit(&collection->documents);
    heap_deinit(&collection->id_texts);
    alloc_free(collection->vectors);
    alloc_free(collection->dead);
    buffer_deinit(&collection->frozen_head);
    schema_destroy(collection->schema);
    alloc_free(collection);
}

/* Everything but the arrays. */
omendb_status collection_make(struct space *space, const struct index_hooks *hooks, uint32_t id,
                              const char *name, uint64_t born, struct collection **out,
                              omendb_error *err)
{
    struct collection *collection = alloc_zeroed(1, sizeof *collection);
    if (collection == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a collection");
    collection->id = id;
    collection->space = space;
    collection->hooks = hooks;
    collection->born = born;
    atomic_store_relaxed_u32(&collection->work_wanted, 1);
    collection->free_head = collection->retired_head = collection->retiring_head = SLOT_NONE;
    atomic_store_relaxed_u32(&collection->references, 1);
    const size_t size = strlen(name);
    assert(size <= OMENDB_NAME_SIZE_MAX);
    memcpy(collection->name, name, size + 1);
    *out = collection;
    return OMENDB_OK;
}

static omendb_status vectors_init(struct collection *collection, uint32_t field, omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    struct space *space = collection->space;
    const uint32_t size = collection->schema->vectors[field].size;
    store->free_head = store->retired_head = store->retiring_head = SLOT_NONE;
    store->released_head = SLOT_NONE;
    TRY(array_init(&store->vectors, space, ARRAY_VECTORS, field, size, false, err));
    TRY(array_init(&store->nodes, space, ARRAY_NODES, field, sizeof(struct node), true, err));
    TRY(array_init(&store->links, space, ARRAY_LINKS, field, sizeof(struct slot_link), true, err));
    return vector_map_init(&store->map, space, field, err);
}

static omendb_status arrays_init(struct collection *collection, omendb_error *err)
{
    struct space *space = collection->space;
    const uint32_t fields = collection->schema->vectors_count;
    collection->vectors = alloc_zeroed(fields, sizeof *collection->vectors);
    if (collection->vectors == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: %u vector fields", fields);
    TRY(array_init(&collection->slots, space, ARRAY_SLOTS, 0, sizeof(struct slot), true, err));
    TRY(id_map_init(&collection->ids, space, err));
    TRY(heap_init(&collection->documents, space, ARRAY_DOC_CHUNKS, ARRAY_DOC_META, err));
    TRY(heap_init(&collection->id_texts, space, ARRAY_ID_CHUNKS, ARRAY_ID_META, err));
    for (uint32_t field = 0; field < fields; field++) TRY(vectors_init(collection, field, err));
    return OMENDB_OK;
}

omendb_status collection_create(struct space *space, const struct index_hooks *hooks, uint32_t id,
                                const char *name, struct schema *schema, uint64_t born,
                                struct collection **out, omendb_error *err)
{
    struct collection *collection = NULL;
    const omendb_status made = collection_make(space, NULL, id, name, born, &collection, err);
    if (made != OMENDB_OK) {
        schema_destroy(schema);
        return made;
    }
    collection->schema = schema;
    omendb_status status = arrays_init(collection, err);
    if (status == OMENDB_OK && hooks != NULL && hooks->attach != NULL)
        status = hooks->attach(hooks->context, collection, err);
    if (status != OMENDB_OK) {
        collection_free(collection);
        return status;
    }
    collection->hooks = hooks;
    *out = collection;
    return OMENDB_OK;
}

void collection_pin(struct collection *collection)
{
    (void)atomic_add_u32(&collection->references, 1);
}

void collection_unpin(struct collection *collection)
{
    if (collection != NULL && atomic_sub_u32(&collection->references, 1) == 1)
        collection_free(collection);
}

omendb_status collection_add_derived(struct collection *collection, uint32_t field, uint32_t kind,
                                     uint32_t stride, bool hot, struct array **out,
                                     omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    assert(kind >= ARRAY_CODES && collection_derived(collection, field, kind) == NULL);
    if (store->derived_count == COLLECTION_DERIVED_MAX)
        return fail(err, OMENDB_ERR_INTERNAL, "too many derived arrays of field %u", field);
    struct array *array = alloc_zeroed(1, sizeof *array);
    if (array == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a derived array");
    const omendb_status status = array_init(array, collection->space, kind, field, stride, hot,
                                            err);
    if (status != OMENDB_OK) {
        alloc_free(array);
        return status;
    }
    store->derived[store->derived_count++] = array;
    *out = array;
    return OMENDB_OK;
}

struct array *collection_derived(struct collection *collection, uint32_t field, uint32_t kind)
{
    struct vector_store *store = &collection->vectors[field];
    for (uint32_t i = 0; i < store->derived_count; i++)
        if (store->derived[i]->kind == kind) return store->derived[i];
    return NULL;
}

/* ---- Readers ---- */

static omendb_status no_memory_or(const omendb_error *local, omendb_error *err)
{
    if (local->status == OMENDB_OK)
        return fail(err, OMENDB_ERR_CORRUPT, "an element lies in a hole of its array");
    if (err != NULL) *err = *local;
    return local->status;
}

/* An element of an array that must be there. */
omendb_status element_read(struct array *array, uint64_t index, const void **out, omendb_error *err)
{
    omendb_error local = {0};
    if (index >= array_capacity(array))
        return fail(err, OMENDB_ERR_CORRUPT, "array %u has no element %llu", array->kind,
                    (unsigned long long)index);
    *out = array_read(array, index, &local);
    return *out != NULL ? OMENDB_OK : no_memory_or(&local, err);
}

omendb_status slot_read(struct collection *collection, uint32_t slot, const struct slot **out,
                        omendb_error *err)
{
    const void *element = NULL;
    TRY(element_read(&collection->slots, slot, &element, err));
    *out = element;
    return OMENDB_OK;
}

omendb_status collection_visible(struct collection *collection, uint32_t slot, uint64_t sequence,
                                 bool *out, omendb_error *err)
{
    const struct slot *record = NULL;
    TRY(slot_read(collection, slot, &record, err));
    *out = slot_visible(record, sequence);
    return OMENDB_OK;
}

static uint64_t slot_load(const uint64_t *member)
{
    return atomic_load_acquire_u64((const atomic_u64 *)(const void *)member);
}

static uint32_t slot_load32(const uint32_t *member)
{
    return atomic_load_acquire_u32((const atomic_u32 *)(const void *)member);
}

omendb_status collection_slot_id(struct collection *collection, uint32_t slot, struct id_view *out,
                                 omendb_error *err)
{
    const struct slot *record = NULL;
    struct buffer unused = {0};
    TRY(slot_read(collection, slot, &record, err));
    for (;;) {
        const uint64_t id = slot_load(&record->id);
        if ((slot_load32(&record->flags) & SLOT_ID_TEXT) == 0) {
            *out = (struct id_view){.number = id};
            return OMENDB_OK;
        }
        *out = (struct id_view){0};
        const omendb_status status = heap_read(&collection->id_texts, id, &unused, &out->text_view,
                                               &out->size, err);
        assert(unused.data == NULL); /* Ids are too short for a run. */
        if (slot_load(&record->id) == id) return status;
        /* The text moved while it was looked up (reclaim): look again. */
    }
}

omendb_status collection_slot_version(struct collection *collection, uint32_t slot, uint64_t *out,
                                      omendb_error *err)
{
    const struct slot *record = NULL;
    TRY(slot_read(collection, slot, &record, err));
    *out = slot_load(&record->birth);
    return OMENDB_OK;
}

int id_view_compare(const struct id_view *a, const struct id_view *b)
{
    if ((a->text_view == NULL) != (b->text_view == NULL)) return a->text_view == NULL ? -1 : 1;
    if (a->text_view == NULL) return a->number < b->number ? -1 : a->number > b->number;
    const uint32_t shorter = a->size < b->size ? a->size : b->size;
    const int order = memcmp(a->text_view, b->text_view, shorter);
    if (order != 0) return order;
    return a->size < b->size ? -1 : a->size > b->size;
}

struct lookup {
    struct collection *collection;
    const struct id_view *id;
};

static omendb_status lookup_same(void *context, uint32_t slot, bool *same, omendb_error *err)
{
    struct lookup *lookup = context;
    struct id_view id;
    TRY(collection_slot_id(lookup->collection, slot, &id, err));
    *same = id_view_compare(&id, lookup->id) == 0;
    return OMENDB_OK;
}

uint32_t id_hash(const struct id_view *id)
{
    const uint64_t hash = id->text_view != NULL ? checksum64(id->text_view, id->size)
                                                : checksum64_seeded(&id->number, 8, 1);
    return (uint32_t)(hash ^ hash >> 32);
}

omendb_status newest_find(struct collection *collection, const struct id_view *id, uint32_t hash,
                          uint32_t *out, omendb_error *err)
{
    struct lookup lookup = {.collection = collection, .id = id};
    const struct id_match match = {.context = &lookup, .same = lookup_same};
    return id_map_find(&collection->ids, hash, &match, out, err);
}

omendb_status collection_find(struct collection *collection, const struct id_view *id,
                              uint64_t sequence, uint32_t *out, omendb_error *err)
{
    uint32_t slot = SLOT_NONE, seen = 0;
    TRY(newest_find(collection, id, id_hash(id), &slot, err));
    while (slot != SLOT_NONE) {
        const struct slot *record = NULL;
        TRY(slot_read(collection, slot, &record, err));
        if (slot_visible(record, sequence)) break;
        slot = slot_load32(&record->previous);
        if (++seen > atomic_load_acquire_u32(&collection->slot_count))
            return fail(err, OMENDB_ERR_CORRUPT, "the versions of an id form a loop");
    }
    *out = slot;
    return OMENDB_OK;
}

omendb_status collection_doubt(struct collection *collection, omendb_error *err)
{
    const uint32_t count = atomic_load_relaxed_u32(&collection->slot_count);
    if (count == 0) return OMENDB_OK;
    collection->believed = alloc_zeroed((count + 63) / 64, sizeof *collection->believed);
    if (collection->believed == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: %u documents", count);
    collection->doubted_count = count;
    return OMENDB_OK;
}

omendb_status collection_document(struct collection *collection, uint32_t slot,
                                  struct buffer *scratch, const uint8_t **view, uint32_t *size,
                                  omendb_error *err)
{
    const struct slot *record = NULL;
    omendb_status status = OMENDB_OK;
    uint64_t location = 0;
    TRY(slot_read(collection, slot, &record, err));
    do { /* Again when the document moved while it was looked up (reclaim). */
        location = slot_load(&record->document);
        status = heap_read(&collection->documents, location, scratch, view, size, err);
    } while (slot_load(&record->document) != location);
    if (status != OMENDB_ERR_CORRUPT) return status;
    struct id_view id;
    if (collection_slot_id(collection, slot, &id, NULL) != OMENDB_OK) return status;
    if (id.text_view == NULL)
        return fail_within(err, status, "collection %s, document %llu", collection->name,
                           (unsigned long long)id.number);
    return fail_within(err, status, "collection %s, document \"%.*s\"", collection->name,
                       id.size < 80 ? (int)id.size : 80, (const char *)id.text_view);
}

omendb_status collection_slot_node(struct collection *collection, uint32_t field, uint32_t slot,
                                   uint32_t *out, omendb_error *err)
{
    const void *element = NULL;
    TRY(element_read(&collection->vectors[field].links, slot, &element, err));
    *out = slot_load32(&((const struct slot_link *)element)->node);
    return OMENDB_OK;
}

omendb_status collection_link_next(struct collection *collection, uint32_t field, uint32_t slot,
                                   uint32_t *out, omendb_error *err)
{
    const void *element = NULL;
    TRY(element_read(&collection->vectors[field].links, slot, &element, err));
    *out = slot_load32(&((const struct slot_link *)element)->next);
    return OMENDB_OK;
}

omendb_status collection_node_head(struct collection *collection, uint32_t field, uint32_t node,
                                   uint32_t *out, omendb_error *err)
{
    const void *element = NULL;
    TRY(element_read(&collection->vectors[field].nodes, node, &element, err));
    const struct node *record = element;
    /* flags first: a node is linked before its flag is cleared (node_take), and flagged free
     * before its head becomes a list link (reclaim). Then a head read after is a slot. */
    const uint32_t flags = slot_load32(&record->flags);
    const uint32_t head = slot_load32(&record->head);
    atomic_thread_fence(memory_order_acquire);
    *out = (flags & NODE_FREE) != 0 || (slot_load32(&record->flags) & NODE_FREE) != 0 ? SLOT_NONE
                                                                                      : head;
    return OMENDB_OK;
}

omendb_status collection_vector(struct collection *collection, uint32_t field, uint32_t node,
                                const void **out, omendb_error *err)
{
    return element_read(&collection->vectors[field].vectors, node, out, err);
}

struct vector_lookup {
    struct collection *collection;
    uint32_t field;
    const void *vector;
};

static omendb_status vector_lookup_same(void *context, uint32_t node, bool *same, omendb_error *err)
{
    const struct vector_lookup *lookup = context;
    struct vector_store *store = &lookup->collection->vectors[lookup->field];
    const void *bytes = NULL;
    TRY(collection_vector(lookup->collection, lookup->field, node, &bytes, err));
    *same = memcmp(bytes, lookup->vector, store->vectors.stride) == 0;
    return OMENDB_OK;
}

static omendb_status vector_find(struct collection *collection, uint32_t field, const void *vector,
                                 uint32_t hash, uint32_t *out, omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    struct vector_lookup lookup = {.collection = collection, .field = field, .vector = vector};
    const struct vector_match match = {.context = &lookup, .same = vector_lookup_same};
    return vector_map_find(&store->map, &store->nodes, hash, &match, out, err);
}

omendb_status collection_find_vector(struct collection *collection, uint32_t field,
                                     const void *vector, uint32_t *node, omendb_error *err)
{
    const uint32_t hash = vector_map_hash(vector, collection->vectors[field].vectors.stride);
    return vector_find(collection, field, vector, hash, node, err);
}

/* ---- Staging ---- */

omendb_status alive_find(struct collection *collection, uint32_t newest, uint32_t *out,
                         omendb_error *err)
{
    uint32_t slot = newest, seen = 0;
    while (slot != SLOT_NONE) {
        const struct slot *record = NULL;
        TRY(slot_read(collection, slot, &record, err));
        if (record->death == SEQUENCE_NEVER) break;
        /* Before one that lived and died nothing is alive; an undone one says nothing. */
        slot = record->birth != record->death ? SLOT_NONE : record->previous;
        if (++seen > atomic_load_relaxed_u32(&collection->slot_count))
            return fail(err, OMENDB_ERR_CORRUPT, "the versions of an id form a loop");
    }
    *out = slot;
    return OMENDB_OK;
}

static omendb_status capacity_grow(struct collection *collection, omendb_error *err)
{
    const uint32_t count = atomic_load_relaxed_u32(&collection->slot_count);
    const uint32_t capacity = atomic_load_relaxed_u32(&collection->slot_capacity);
    const uint32_t used = count + 1 - collection->free_count;
    const bool must_extend = collection->free_head == SLOT_NONE;
    uint64_t wanted = capacity;
    if (capacity == 0) wanted = CAPACITY_FIRST;
    else if ((uint64_t)used * 5 > (uint64_t)capacity * 4 || (must_extend && count >= capacity))
        wanted += capacity / 2 > CAPACITY_STEP_MIN ? capacity / 2 : CAPACITY_STEP_MIN;
    if (wanted >= SLOT_NONE) wanted = SLOT_NONE - 1;
    if (must_extend && count >= wanted)
        return fail(err, OMENDB_ERR_FULL, "collection %s holds 2^32 versions", collection->name);
    if (wanted == capacity) return OMENDB_OK;
    TRY(array_grow(&collection->slots, wanted, err));
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++)
        TRY(array_grow(&collection->vectors[f].links, wanted, err));
    atomic_store_release_u32(&collection->slot_capacity, (uint32_t)wanted); /* stats */
    if (capacity != 0) collection->growth_count++;
    return OMENDB_OK;
}

/* The slot that the next slot_take() will give. */
static omendb_status slot_reserve(struct collection *collection, uint32_t *out, omendb_error *err)
{
    TRY(capacity_grow(collection, err));
    const uint32_t slot = collection->free_head != SLOT_NONE
                              ? collection->free_head
                              : atomic_load_relaxed_u32(&collection->slot_count);
    if (slot >= atomic_load_relaxed_u32(&collection->slot_capacity))
        return fail(err, OMENDB_ERR_CORRUPT, "the list of free slots is wrong");
    TRY(array_prepare(&collection->slots, slot, err));
    if (slot == collection->free_head && (slot_writable(collection, slot)->flags & SLOT_FREE) == 0)
        return fail(err, OMENDB_ERR_CORRUPT, "slot %u is free and in use", slot);
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++)
        TRY(array_prepare(&collection->vectors[f].links, slot, err));
    *out = slot;
    return OMENDB_OK;
}

static void slot_take(struct collection *collection, uint32_t slot)
{
    if (collection->free_head == slot) {
        collection->free_head = slot_writable(collection, slot)->next;
        collection->free_count--;
    } else {
        assert(slot == atomic_load_relaxed_u32(&collection->slot_count));
        atomic_store_release_u32(&collection->slot_count, slot + 1); /* with readers' scans */
    }
}

static omendb_status node_reserve(struct collection *collection, uint32_t field, uint32_t *out,
                                  omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    const uint32_t node = store->free_head != SLOT_NONE
                              ? store->free_head
                              : atomic_load_relaxed_u32(&store->node_count);
    if (node == SLOT_NONE - 1)
        return fail(err, OMENDB_ERR_FULL, "collection %s holds 2^32 vectors", collection->name);
    if (node > atomic_load_relaxed_u32(&store->node_count))
        return fail(err, OMENDB_ERR_CORRUPT, "the list of free nodes is wrong");
    TRY(array_grow(&store->vectors, (uint64_t)node + 1, err));
    TRY(array_grow(&store->nodes, (uint64_t)node + 1, err));
    TRY(array_prepare(&store->vectors, node, err));
    TRY(array_prepare(&store->nodes, node, err));
    if (node == store->free_head &&
        ((const struct node *)array_at_writable(&store->nodes, node))->flags != NODE_FREE)
        return fail(err, OMENDB_ERR_CORRUPT, "node %u is free and in use", node);
    if (collection->hooks != NULL && collection->hooks->node_reserve != NULL)
        TRY(collection->hooks->node_reserve(collection->hooks->context, collection, field, node,
                                            err));
    *out = node;
    return OMENDB_OK;
}

/* One vector of the version being staged. */
struct vector_placement {
    uint32_t node, hash;
    bool shared; /* The node exists already and holds the same bytes. */
    bool present;
    const void *bytes;
};

struct id_view operation_id(const struct operation *op)
{
    if (op->id_is_text != 0)
        return (struct id_view){.text_view = operation_id_text(op), .size = op->id_size};
    return (struct id_view){.number = op->id_number};
}

/* A log may name more vectors than a schema has fields: vectors_reserve() refuses the second one of a
 * field, so at most so many are asked for. */
static uint32_t vectors_hashed(const struct operation *op)
{
    return op->vector_count < STAGE_HASHES ? op->vector_count : STAGE_HASHES - 1;
}

void collection_stage_ahead(struct stage_next *next)
{
    struct collection *collection = next->collection;
    const struct id_view id = operation_id(next->op);
    const struct operation_vector *vector = operation_vector_first(next->op);
    next->hashes[0] = id_hash(&id);
    id_map_ahead(&collection->ids, next->hashes[0]);
    for (uint32_t i = 1; i <= vectors_hashed(next->op); i++) {
        next->hashes[i] = vector_map_hash(operation_vector_bytes(vector), vector->size);
        if (vector->field < collection->schema->vectors_count) {
            const struct vector_store *store = &collection->vectors[vector->field];
            vector_map_ahead(&store->map, &store->nodes, next->hashes[i], 0, 0);
        }
        vector = operation_vector_next(vector);
    }
}

void collection_stage_nearer(const struct stage_next *next, uint32_t order, uint32_t depth)
{
    const struct collection *collection = next->collection;
    const struct operation_vector *vector = operation_vector_first(next->op);
    for (uint32_t i = 1; i <= vectors_hashed(next->op); i++) {
        if (vector->field < collection->schema->vectors_count) {
            const struct vector_store *store = &collection->vectors[vector->field];
            vector_map_ahead(&store->map, &store->nodes, next->hashes[i], order, depth);
        }
        vector = operation_vector_next(vector);
    }
}

/* Whoever has that vector now, the document itself or any other: its node is shared. */
static omendb_status vector_reserve(struct collection *collection, uint32_t field,
                                    const struct operation_vector *vector, uint32_t hash,
                                    struct vector_placement *plan, omendb_error *err)
{
    struct vector_store *store = &collection->vectors[field];
    plan->present = true;
    plan->bytes = operation_vector_bytes(vector);
    plan->hash = hash;
    TRY(vector_find(collection, field, plan->bytes, plan->hash, &plan->node, err));
    if (plan->node == SLOT_NONE) {
        TRY(node_reserve(collection, field, &plan->node, err));
        return vector_map_reserve(&store->map, &store->nodes, plan->hash, err);
    }
    plan->shared = true;
    TRY(array_prepare(&store->nodes, plan->node, err));
    const struct node *record = array_at_writable(&store->nodes, plan->node);
    if ((record->flags & NODE_FREE) != 0 ||
        plan->node >= atomic_load_relaxed_u32(&store->node_count))
        return fail(err, OMENDB_ERR_CORRUPT, "node %u is free, and in the vector map", plan->node);
    return array_prepare(&store->links, record->head, err);
}

static void vector_write(struct collection *collection, uint32_t field, uint32_t slot,
                         const struct vector_placement *plan)
{
    struct vector_store *store = &collection->vectors[field];
    struct slot_link *link = array_at_writable(&store->links, slot);
    link->previous = SLOT_NONE;
    if (!plan->present) {
        publish32(&link->node, SLOT_NONE);
        publish32(&link->next, SLOT_NONE);
        return;
    }
    struct node *node = array_at_writable(&store->nodes, plan->node);
    if (plan->shared) {
        ((struct slot_link *)array_at_writable(&store->links, node->head))->previous = slot;
        publish32(&link->next, node->head);
        publish32(&link->node, plan->node);
        publish32(&node->head, slot);
        return;
    }
    if (store->free_head == plan->node) {
        store->free_head = node->head;
        store->free_count--;
    }
    memcpy(array_at_writable(&store->vectors, plan->node), plan->bytes, store->vectors.stride);
    if (collection->hooks != NULL && collection->hooks->node_write != NULL)
        collection->hooks->node_write(collection->hooks->context, collection, field, plan->node,
                                      plan->bytes);
    publish32(&link->next, SLOT_NONE);
    publish32(&link->node, plan->node);
    publish32(&node->head, slot);
    publish32(&node->flags, 0); /* with collection_node_head() */
    vector_map_put(&store->map, &store->nodes, plan->hash, plan->node);
    (void)atomic_add_u32(&store->nodes_live, 1);
    if (plan->node == atomic_load_relaxed_u32(&store->node_count))
        atomic_store_release_u32(&store->node_count, plan->node + 1); /* with readers' scans */
}

static omendb_status bookkeeping_reserve(struct collection *collection, struct stage *stage,
                                         omendb_error *err)
{
    if (collection->dead_begin > 1024 && collection->dead_begin > collection->dead_end / 2) {
        memmove(collection->dead, collection->dead + collection->dead_begin,
                (collection->dead_end - collection->dead_begin) * sizeof *collection->dead);
        collection->dead_end -= collection->dead_begin;
        collection->dead_begin = 0;
    }
    /* Two: the replaced version, and the new one should the batch be undone. */
    if (!alloc_grow(&collection->dead, &collection->dead_capacity,
                    collection->dead_end + 2 * (stage->count + 1), sizeof *collection->dead) ||
        !alloc_grow(&stage->items, &stage->capacity, stage->count + 1, sizeof *stage->items))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: staging a batch");
    return OMENDB_OK;
}

static void version_end(struct collection *collection, uint32_t slot, uint64_t sequence)
{
    publish64(&slot_writable(collection, slot)->death, sequence); /* with slot_visible() */
    collection->dead[collection->dead_end++] = slot;
    (void)atomic_fetch_sub(&collection->live_count, 1);
}

static omendb_status vectors_reserve(struct collection *collection, const struct operation *op,
                                     const uint32_t *hashes, struct vector_placement *plans,
                                     omendb_error *err)
{
    const struct operation_vector *vector = operation_vector_first(op);
    for (uint32_t i = 0; i < op->vector_count; i++) {
        if (vector->field >= collection->schema->vectors_count ||
            vector->size != collection->schema->vectors[vector->field].size ||
            plans[vector->field].present)
            return fail(err, OMENDB_ERR_CORRUPT, "an operation's vector fits no field of %s",
                        collection->name);
        TRY(vector_reserve(collection, vector->field, vector, hashes[i], &plans[vector->field],
                           err));
        vector = operation_vector_next(vector);
    }
    return OMENDB_OK;
}

omendb_status collection_stage_upsert(const struct stage_next *next, struct stage *stage,
                                      omendb_error *err)
{
    struct collection *collection = next->collection;
    const struct operation *op = next->op;
    struct vector_placement plans[OMENDB_VECTOR_FIELDS_MAX] = {0};
    const struct id_view id = operation_id(op);
    const uint32_t hash = next->hashes[0];
    uint32_t newest = SLOT_NONE, old = SLOT_NONE, slot = SLOT_NONE;

    /* All that can fail. Each reserve makes sure that the matching write below succeeds. */
    TRY(newest_find(collection, &id, hash, &newest, err));
    TRY(alive_find(collection, newest, &old, err));
    TRY(bookkeeping_reserve(collection, stage, err));
    TRY(slot_reserve(collection, &slot, err));
    if (newest != SLOT_NONE) TRY(array_prepare(&collection->slots, newest, err));
    if (old != SLOT_NONE) TRY(array_prepare(&collection->slots, old, err));
    TRY(id_map_reserve(&collection->ids, hash, err));
    TRY(heap_reserve(&collection->documents, op->document_size, err));
    if (newest == SLOT_NONE && op->id_is_text != 0)
        TRY(heap_reserve(&collection->id_texts, op->id_size, err));
    TRY(vectors_reserve(collection, op, next->hashes + 1, plans, err));

    /* From here on nothing fails. */
    slot_take(collection, slot);
    struct slot *record = slot_writable(collection, slot);
    uint64_t id_word = op->id_number;
    if (newest != SLOT_NONE) id_word = slot_writable(collection, newest)->id;
    else if (op->id_is_text != 0)
        id_word = heap_append(&collection->id_texts, operation_id_text(op), op->id_size, hash);
    const uint64_t document = heap_append(&collection->documents, operation_document(op),
                                          op->document_size, slot);
    /* birth before death: who sees the new death sees a birth that is beyond its snapshot. */
    publish64(&record->birth, stage->sequence);
    publish64(&record->document, document);
    publish64(&record->id, id_word);
    record->hash = hash;
    publish32(&record->previous, newest);
    record->next = SLOT_NONE;
    publish32(&record->flags, op->id_is_text != 0 ? SLOT_ID_TEXT : 0);
    publish64(&record->death, SEQUENCE_NEVER); /* with slot_visible() */
    for (uint32_t f = 0; f < collection->schema->vectors_count; f++)
        vector_write(collection, f, slot, &plans[f]);
    if (old != SLOT_NONE) version_end(collection, old, stage->sequence);
    if (newest == SLOT_NONE) id_map_put(&collection->ids, hash, slot);
    else id_map_replace(&collection->ids, hash, newest, slot);
    (void)atomic_add_u64(&collection->live_count, 1);
    stage->items[stage->count++] = (struct staged){
        .collection = collection, .slot = slot, .old = old};
    return OMENDB_OK;
}

omendb_status collection_stage_delete(const struct stage_next *next, struct stage *stage,
                                      omendb_error *err)
{
    struct collection *collection = next->collection;
    const struct id_view id = operation_id(next->op);
    uint32_t newest = SLOT_NONE, old = SLOT_NONE;
    TRY(newest_find(collection, &id, next->hashes[0], &newest, err));
    TRY(alive_find(collection, newest, &old, err));
    if (old == SLOT_NONE) return OMENDB_OK;
    TRY(bookkeeping_reserve(collection, stage, err));
    TRY(array_prepare(&collection->slots, old, err));
    version_end(collection, old, stage->sequence);
    stage->items[stage->count++] = (struct staged){
        .collection = collection, .slot = SLOT_NONE, .old = old};
    return OMENDB_OK;
}

void stage_undo(struct stage *stage)
{
    /* First the versions that were ended, newest first, so that the dead lists shrink from their
     * ends; then the new versions become ones that nobody ever sees (death = birth). */
    for (size_t i = stage->count; i-- > 0;) {
        const struct staged item = stage->items[i];
        struct collection *collection = item.collection;
        if (item.old == SLOT_NONE) continue;
        assert(collection->dead[collection->dead_end - 1] == item.old);
        collection->dead_end--;
        publish64(&slot_writable(collection, item.old)->death, SEQUENCE_NEVER);
        (void)atomic_add_u64(&collection->live_count, 1);
    }
    for (size_t i = 0; i < stage->count; i++) {
        if (stage->items[i].slot == SLOT_NONE) continue;
        version_end(stage->items[i].collection, stage->items[i].slot, stage->sequence);
    }
    stage->count = 0;
}
