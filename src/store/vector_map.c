#include "store/vector_map.h"

#include <assert.h>
#include <stdio.h>

#include "base/checksum.h"
#include "base/compiler.h"
#include "os/thread.h"

enum { VECTOR_BUCKETS_MIN = 64, VECTOR_BUCKETS_MAX = 1 << 30, VECTOR_FIND_SPINS = 100 };

omendb_status vector_map_init(struct vector_map *map, struct space *space, uint32_t field,
                              omendb_error *err)
{
    *map = (struct vector_map){0};
    return array_init(&map->heads, space, ARRAY_VECTOR_HEADS, field, sizeof(uint32_t), true, err);
}

void vector_map_deinit(struct vector_map *map)
{
    array_deinit(&map->heads);
    *map = (struct vector_map){0};
}

uint32_t vector_map_hash(const void *vector, size_t size)
{
    const uint64_t hash = checksum64(vector, size);
    return (uint32_t)(hash ^ hash >> 32);
}

/* With n buckets, 2^l <= n < 2^(l + 1): those below n - 2^l are split already. */
static uint32_t vector_bucket_of(uint32_t hash, uint32_t bucket_count)
{
    const uint32_t level = 31 - (uint32_t)__builtin_clz(bucket_count);
    const uint32_t wide = hash & (uint32_t)((UINT64_C(2) << level) - 1);
    return wide < bucket_count ? wide : hash & ((UINT32_C(1) << level) - 1);
}

/* The bucket that the next split divides. */
static uint32_t vector_split_source(uint32_t bucket_count)
{
    return bucket_count - (UINT32_C(1) << (31 - (uint32_t)__builtin_clz(bucket_count)));
}

/* ---- Reading: an element of a file that may be damaged ---- */

/* Both strides divide a block, so that elements lie back to back in the hot arrays. NULL: not there,
 * or not in memory yet. */
static inline const void *vector_map_at(const struct array *array, uint32_t index, uint32_t stride)
{
    const uint32_t block = index / (BLOCK_SIZE / stride);
    if (UNLIKELY(block >= atomic_load_acquire_u32(&array->block_count)) ||
        (UNLIKELY(atomic_load_acquire_u32(&array->all_resident) == 0) &&
         (atomic_load_acquire_u64(&array->resident[block / 64]) >> (block % 64) & 1) == 0))
        return NULL;
    return array->base + (size_t)index * stride;
}

_Static_assert(BLOCK_SIZE % sizeof(struct node) == 0, "vector_map_at()");

static inline const struct node *vector_node_peek(const struct array *nodes, uint32_t node)
{
    return vector_map_at(nodes, node, sizeof(struct node));
}

static inline const uint32_t *vector_head_peek(const struct vector_map *map, uint32_t bucket)
{
    return vector_map_at(&map->heads, bucket, sizeof(uint32_t));
}

static COLD const void *vector_map_bring(struct array *array, uint32_t index, omendb_error *err)
{
    omendb_error local = {0};
    if (index >= array_capacity(array)) {
        (void)fail(err, OMENDB_ERR_CORRUPT, "vector map: array %u has no element %u", array->kind,
                   index);
        return NULL;
    }
    const void *element = array_read(array, index, &local);
    if (element == NULL && err != NULL) *err = local;
    return element;
}

static uint32_t vector_map_load(const uint32_t *member)
{
    return atomic_load_acquire_u32((const atomic_u32 *)(const void *)member);
}

static void vector_map_publish(uint32_t *member, uint32_t value)
{
    atomic_store_release_u32((atomic_u32 *)(void *)member, value); /* with vector_map_load() */
}

/* A walk along one chain, which is over when node is SLOT_NONE. */
struct vector_walk {
    struct array *nodes;
    uint32_t node, before; /* before: the node that leads to it, or SLOT_NONE = the head does. */
    const struct node *record;
    uint32_t hash, next; /* Of `node`, as is the record. */
    uint64_t hops;
};

static inline omendb_status vector_walk_at(struct vector_walk *walk, uint32_t node,
                                           omendb_error *err)
{
    walk->before = walk->node;
    walk->node = node;
    if (node == SLOT_NONE) return OMENDB_OK;
    if (walk->hops++ > array_capacity(walk->nodes))
        return fail(err, OMENDB_ERR_CORRUPT, "vector map: a chain has a loop");
    const struct node *record = vector_node_peek(walk->nodes, node);
    if (UNLIKELY(record == NULL)) {
        omendb_error local = {0};
        record = vector_map_bring(walk->nodes, node, &local);
        if (record == NULL) return fail(err, local.status, "%s", local.message);
    }
    walk->record = record;
    walk->hash = vector_map_load(&record->hash);
    walk->next = vector_map_load(&record->hash_next);
    return OMENDB_OK;
}

static inline omendb_status vector_walk_begin(struct vector_walk *walk, struct vector_map *map,
                                              struct array *nodes, uint32_t bucket,
                                              omendb_error *err)
{
    *walk = (struct vector_walk){.nodes = nodes, .node = SLOT_NONE};
    const uint32_t *head = vector_head_peek(map, bucket);
    if (UNLIKELY(head == NULL)) {
        omendb_error local = {0};
        head = vector_map_bring(&map->heads, bucket, &local);
        if (head == NULL) return fail(err, local.status, "%s", local.message);
    }
    return vector_walk_at(walk, vector_map_load(head), err);
}

static omendb_status vector_find_once(struct vector_map *map, struct array *nodes, uint32_t hash,
                                      const struct vector_match *match, uint32_t *out,
                                      omendb_error *err)
{
    const uint32_t count = atomic_load_acquire_u32(&map->bucket_count);
    struct vector_walk walk;
    *out = SLOT_NONE;
    if (count == 0) return OMENDB_OK;
    TRY(vector_walk_begin(&walk, map, nodes, vector_bucket_of(hash, count), err));
    while (walk.node != SLOT_NONE) {
        bool same = false;
        if (walk.hash == hash) TRY(match->same(match->context, walk.node, &same, err));
        if (same) {
            *out = walk.node;
            break;
        }
        TRY(vector_walk_at(&walk, walk.next, err));
    }
    return OMENDB_OK;
}

omendb_status vector_map_find(struct vector_map *map, struct array *nodes, uint32_t hash,
                              const struct vector_match *match, uint32_t *out, omendb_error *err)
{
    for (uint32_t tries = 0;; tries++) {
        const uint32_t version = atomic_load_acquire_u32(&map->version);
        if ((version & 1) == 0) {
            const omendb_status status = vector_find_once(map, nodes, hash, match, out, err);
            atomic_thread_fence(memory_order_acquire);
            /* What was found while no chain was divided is right, errors included. */
            if (atomic_load_relaxed_u32(&map->version) == version) return status;
        }
        if (tries >= VECTOR_FIND_SPINS) thread_yield();
    }
}

/* ---- Ahead: a put waits for three lines of memory, each found by the one before ---- */

static void vector_chain_ahead(const struct vector_map *map, const struct array *nodes,
                               uint32_t bucket, uint32_t depth)
{
    const uint32_t *link = vector_head_peek(map, bucket);
    for (; depth > 1 && link != NULL && *link != SLOT_NONE; depth--) {
        const struct node *node = vector_node_peek(nodes, *link);
        link = node != NULL ? &node->hash_next : NULL;
    }
    if (link != NULL && *link != SLOT_NONE) prefetch(vector_node_peek(nodes, *link));
}

void vector_map_ahead(const struct vector_map *map, const struct array *nodes, uint32_t hash,
                      uint32_t order, uint32_t depth)
{
    const uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    if (count == 0) return;
    if (depth == 0) {
        prefetch(vector_head_peek(map, vector_bucket_of(hash, count)));
        return; /* Heads to be divided come in a row. */
    }
    vector_chain_ahead(map, nodes, vector_bucket_of(hash, count), depth);
    vector_chain_ahead(map, nodes, vector_split_source(count + order), depth);
}

/* ---- Changing ---- */

static uint32_t *vector_head_at(struct vector_map *map, uint32_t bucket)
{
    return array_at_writable(&map->heads, bucket);
}

static struct node *vector_node_at(struct array *nodes, uint32_t node)
{
    return array_at_writable(nodes, node);
}

/* Makes the chain of `source` two, for it and for the new bucket `count`, or, unless `apply`,
 * prepares the nodes whose links that will change: few, and none where all go to one side. The order
 * within a chain stays. *changed: there are such nodes. */
static omendb_status vector_chain_divide(struct vector_map *map, struct array *nodes,
                                         uint32_t source, uint32_t count, bool apply,
                                         uint32_t heads[2], bool *changed, omendb_error *err)
{
    uint32_t lasts[2] = {SLOT_NONE, SLOT_NONE};
    struct vector_walk walk;
    heads[0] = heads[1] = SLOT_NONE;
    TRY(vector_walk_begin(&walk, map, nodes, source, err));
    for (;;) {
        /* At the end both sides end. */
        const bool end = walk.node == SLOT_NONE;
        for (uint32_t side = 0; side < 2; side++) {
            if (!end && (vector_bucket_of(walk.hash, count + 1) == source ? 0 : 1) != side)
                continue;
            if (lasts[side] == SLOT_NONE) {
                heads[side] = walk.node;
            } else if (lasts[side] != walk.before) {
                *changed = true;
                if (!apply) TRY(array_prepare(nodes, lasts[side], err));
                else vector_map_publish(&vector_node_at(nodes, lasts[side])->hash_next, walk.node);
            }
            lasts[side] = walk.node;
        }
        if (end) return OMENDB_OK;
        TRY(vector_walk_at(&walk, walk.next, err));
    }
}

/* One more bucket. */
static omendb_status vector_split(struct vector_map *map, struct array *nodes, uint32_t count,
                                  omendb_error *err)
{
    const uint32_t source = vector_split_source(count);
    uint32_t heads[2];
    bool changed = false;
    TRY(array_grow(&map->heads, (uint64_t)count + 1, err));
    TRY(array_prepare(&map->heads, count, err));
    TRY(array_prepare(&map->heads, source, err));
    TRY(vector_chain_divide(map, nodes, source, count, false, heads, &changed, err));
    (void)atomic_fetch_add_explicit(&map->version, 1, memory_order_acq_rel);
    atomic_thread_fence(memory_order_release);
    if (changed) {
        const omendb_status divided = vector_chain_divide(map, nodes, source, count, true, heads,
                                                          &changed, NULL);
        assert(divided == OMENDB_OK); /* The same walk as before. */
        (void)divided;
    }
    vector_map_publish(vector_head_at(map, source), heads[0]);
    vector_map_publish(vector_head_at(map, count), heads[1]);
    atomic_store_release_u32(&map->bucket_count, count + 1);
    (void)atomic_fetch_add_explicit(&map->version, 1, memory_order_release); /* vector_map_find() */
    return OMENDB_OK;
}

omendb_status vector_map_reserve(struct vector_map *map, struct array *nodes, uint32_t hash,
                                 omendb_error *err)
{
    uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    if (count == 0) {
        TRY(array_grow(&map->heads, VECTOR_BUCKETS_MIN, err));
        TRY(array_prepare(&map->heads, 0, err));
        for (uint32_t i = 0; i < VECTOR_BUCKETS_MIN; i++)
            vector_map_publish(vector_head_at(map, i), SLOT_NONE);
        count = VECTOR_BUCKETS_MIN;
        atomic_store_release_u32(&map->bucket_count, count); /* vector_find_once() */
    } else if (map->entry_count >= count && count < VECTOR_BUCKETS_MAX) {
        TRY(vector_split(map, nodes, count++, err));
    }
    return array_prepare(&map->heads, vector_bucket_of(hash, count), err);
}

void vector_map_put(struct vector_map *map, struct array *nodes, uint32_t hash, uint32_t node)
{
    const uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    uint32_t *head = vector_head_at(map, vector_bucket_of(hash, count));
    struct node *record = vector_node_at(nodes, node);
    vector_map_publish(&record->hash, hash);
    vector_map_publish(&record->hash_next, *head);
    vector_map_publish(head, node);
    map->entry_count++;
}

/* Where the chain leads to `node`: the writer's view of what change_reserve() found. */
static omendb_status vector_locate(struct vector_map *map, struct array *nodes, uint32_t node,
                                   uint32_t *bucket, uint32_t *before, omendb_error *err)
{
    const uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    struct vector_walk walk = {.nodes = nodes, .node = SLOT_NONE};
    TRY(vector_walk_at(&walk, node, err));
    walk.node = SLOT_NONE;
    if (count != 0) {
        *bucket = vector_bucket_of(walk.hash, count);
        TRY(vector_walk_begin(&walk, map, nodes, *bucket, err));
    }
    while (walk.node != node) {
        if (walk.node == SLOT_NONE)
            return fail(err, OMENDB_ERR_CORRUPT, "node %u is missing in the vector map", node);
        TRY(vector_walk_at(&walk, walk.next, err));
    }
    *before = walk.before;
    return OMENDB_OK;
}

omendb_status vector_map_change_reserve(struct vector_map *map, struct array *nodes, uint32_t node,
                                        omendb_error *err)
{
    uint32_t bucket = 0, before = SLOT_NONE;
    TRY(vector_locate(map, nodes, node, &bucket, &before, err));
    return before != SLOT_NONE ? array_prepare(nodes, before, err)
                               : array_prepare(&map->heads, bucket, err);
}

/* What leads to `from` leads to `to`. A reader that stands on `from` goes on from there. */
static void vector_redirect(struct vector_map *map, struct array *nodes, uint32_t from, uint32_t to)
{
    uint32_t bucket = 0, before = SLOT_NONE;
    const omendb_status located = vector_locate(map, nodes, from, &bucket, &before, NULL);
    assert(located == OMENDB_OK); /* vector_map_change_reserve() found it. */
    if (located != OMENDB_OK) return;
    if (before != SLOT_NONE) vector_map_publish(&vector_node_at(nodes, before)->hash_next, to);
    else vector_map_publish(vector_head_at(map, bucket), to);
}

void vector_map_remove(struct vector_map *map, struct array *nodes, uint32_t node)
{
    vector_redirect(map, nodes, node, vector_node_at(nodes, node)->hash_next);
    map->entry_count--;
}

void vector_map_replace(struct vector_map *map, struct array *nodes, uint32_t from, uint32_t to)
{
    const struct node *old = vector_node_at(nodes, from);
    struct node *record = vector_node_at(nodes, to);
    vector_map_publish(&record->hash, old->hash);
    vector_map_publish(&record->hash_next, old->hash_next);
    vector_redirect(map, nodes, from, to);
}

/* ---- Verifying ---- */

omendb_status vector_map_verify(struct vector_map *map, struct array *nodes,
                                void (*problem)(void *context, const char *text), void *context,
                                uint64_t *entries, omendb_error *err)
{
    const uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    char text[160];
    *entries = 0;
    for (uint32_t bucket = 0; bucket < count; bucket++) {
        struct vector_walk walk;
        TRY(vector_walk_begin(&walk, map, nodes, bucket, err));
        while (walk.node != SLOT_NONE) {
            const bool unused = (walk.record->flags & NODE_FREE) != 0;
            const bool misplaced = vector_bucket_of(walk.hash, count) != bucket;
            if (unused || misplaced) {
                (void)snprintf(text, sizeof text, "vector map: node %u %s", walk.node,
                               unused ? "is free" : "lies in a wrong bucket");
                problem(context, text);
            }
            if (++*entries > array_capacity(nodes))
                return fail(err, OMENDB_ERR_CORRUPT, "vector map: chains meet");
            TRY(vector_walk_at(&walk, walk.next, err));
        }
    }
    return OMENDB_OK;
}
