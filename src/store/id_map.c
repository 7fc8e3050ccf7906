#include "store/id_map.h"

#include <assert.h>

#include "base/compiler.h"
#include "os/thread.h"

static const uint64_t empty_entry = UINT64_MAX;
enum { LOAD_ENTRIES = 5, BUCKETS_MIN = 64, SPINS = 100 };

static uint64_t entry_of(uint32_t hash, uint32_t slot)
{
    return (uint64_t)hash << 32 | slot;
}

static atomic_u64 *entry_at(const struct id_bucket *bucket, uint32_t i)
{
    return (atomic_u64 *)(uintptr_t)&bucket->entries[i];
}

static atomic_u32 *overflow_of(const struct id_bucket *bucket)
{
    return (atomic_u32 *)(uintptr_t)&bucket->overflow;
}

omendb_status id_map_init(struct id_map *map, struct space *space, omendb_error *err)
{
    *map = (struct id_map){.overflow_free = SLOT_NONE};
    TRY(array_init(&map->buckets, space, ARRAY_ID_BUCKETS, 0, sizeof(struct id_bucket), true, err));
    return array_init(&map->overflow, space, ARRAY_ID_OVERFLOW, 0, sizeof(struct id_bucket), true,
                      err);
}

void id_map_deinit(struct id_map *map)
{
    array_deinit(&map->buckets);
    array_deinit(&map->overflow);
    *map = (struct id_map){0};
}

/* With n buckets, 2^l <= n < 2^(l + 1): those below n - 2^l are split already. */
static uint32_t bucket_of(uint32_t hash, uint32_t bucket_count)
{
    const uint32_t level = 31 - (uint32_t)__builtin_clz(bucket_count);
    const uint32_t wide = hash & (uint32_t)((UINT64_C(2) << level) - 1);
    return wide < bucket_count ? wide : hash & ((UINT32_C(1) << level) - 1);
}

void id_map_ahead(const struct id_map *map, uint32_t hash)
{
    const uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    if (count != 0) prefetch(array_peek(&map->buckets, bucket_of(hash, count)));
}

static omendb_status bucket_read(struct array *array, uint32_t index, const struct id_bucket **out,
                                 omendb_error *err)
{
    omendb_error local = {0};
    if (index >= array_capacity(array))
        return fail(err, OMENDB_ERR_CORRUPT, "id map: there is no bucket %u", index);
    *out = array_read(array, index, &local);
    if (*out != NULL) return OMENDB_OK;
    if (err != NULL) *err = local;
    return local.status != OMENDB_OK ? local.status : OMENDB_ERR_CORRUPT;
}

static omendb_status find_once(struct id_map *map, uint32_t hash, const struct id_match *match,
                               uint32_t *out, omendb_error *err)
{
    const uint32_t count = atomic_load_acquire_u32(&map->bucket_count);
    const struct id_bucket *bucket = NULL;
    *out = SLOT_NONE;
    if (count == 0) return OMENDB_OK;
    TRY(bucket_read(&map->buckets, bucket_of(hash, count), &bucket, err));
    for (uint32_t hops = 0;; hops++) {
        for (uint32_t i = 0; i < ID_BUCKET_ENTRIES; i++) {
            const uint64_t entry = atomic_load_acquire_u64(entry_at(bucket, i));
            if (entry == empty_entry || (uint32_t)(entry >> 32) != hash) continue;
            bool same = false;
            TRY(match->same(match->context, (uint32_t)entry, &same, err));
            if (!same) continue;
            *out = (uint32_t)entry;
            return OMENDB_OK;
        }
        const uint32_t next = atomic_load_acquire_u32(overflow_of(bucket));
        if (next == SLOT_NONE) return OMENDB_OK;
        if (hops > array_capacity(&map->overflow))
            return fail(err, OMENDB_ERR_CORRUPT, "id map: a chain of buckets has a loop");
        TRY(bucket_read(&map->overflow, next, &bucket, err));
    }
}

omendb_status id_map_find(struct id_map *map, uint32_t hash, const struct id_match *match,
                          uint32_t *out, omendb_error *err)
{
    for (uint32_t tries = 0;; tries++) {
        const uint32_t version = atomic_load_acquire_u32(&map->version);
        if ((version & 1) == 0) {
            const omendb_status status = find_once(map, hash, match, out, err);
            atomic_thread_fence(memory_order_acquire);
            /* What was found while nothing moved is right, errors included. */
            if (atomic_load_relaxed_u32(&map->version) == version) return status;
        }
        if (tries >= SPINS) thread_yield();
    }
}

static void bucket_clear(struct id_bucket *bucket)
{
    for (uint32_t i = 0; i < ID_BUCKET_ENTRIES; i++)
        atomic_store_relaxed_u64(entry_at(bucket, i), empty_entry);
    atomic_store_relaxed_u32(overflow_of(bucket), SLOT_NONE);
    bucket->reserved = 0;
}

static omendb_status chain_prepare(struct id_map *map, uint32_t index, omendb_error *err)
{
    TRY(array_prepare(&map->buckets, index, err));
    uint32_t next = ((struct id_bucket *)array_at_writable(&map->buckets, index))->overflow;
    for (uint32_t hops = 0; next != SLOT_NONE; hops++) {
        if (next >= map->overflow_count || hops > map->overflow_count)
            return fail(err, OMENDB_ERR_CORRUPT, "id map: an overflow link is wrong");
        TRY(array_prepare(&map->overflow, next, err));
        next = ((struct id_bucket *)array_at_writable(&map->overflow, next))->overflow;
    }
    return OMENDB_OK;
}

/* Room for `more` overflow buckets on top of the free ones. */
static omendb_status overflow_prepare(struct id_map *map, uint32_t more, omendb_error *err)
{
    uint32_t next = map->overflow_free, have = 0;
    for (; next != SLOT_NONE && have < more; have++) {
        if (next >= map->overflow_count)
            return fail(err, OMENDB_ERR_CORRUPT, "id map: the free list is wrong");
        TRY(array_prepare(&map->overflow, next, err));
        next = ((struct id_bucket *)array_at_writable(&map->overflow, next))->overflow;
    }
    if (have == more) return OMENDB_OK;
    const uint64_t wanted = (uint64_t)map->overflow_count + more - have;
    TRY(array_grow(&map->overflow, wanted, err));
    for (uint64_t i = map->overflow_count; i < wanted; i++)
        TRY(array_prepare(&map->overflow, i, err));
    return OMENDB_OK;
}

static uint32_t overflow_take(struct id_map *map)
{
    uint32_t index = map->overflow_free;
    if (index != SLOT_NONE)
        map->overflow_free =
            ((struct id_bucket *)array_at_writable(&map->overflow, index))->overflow;
    else index = map->overflow_count++;
    bucket_clear(array_at_writable(&map->overflow, index));
    return index;
}

/* The bucket that the next split divides. */
static uint32_t split_source(uint32_t bucket_count)
{
    return bucket_count - (UINT32_C(1) << (31 - (uint32_t)__builtin_clz(bucket_count)));
}

omendb_status id_map_reserve(struct id_map *map, uint32_t hash, omendb_error *err)
{
    const uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    if (count == 0) {
        TRY(array_grow(&map->buckets, BUCKETS_MIN, err));
        for (uint32_t i = 0; i < BUCKETS_MIN; i++) {
            TRY(array_prepare(&map->buckets, i, err));
            bucket_clear(array_at_writable(&map->buckets, i));
        }
        atomic_store_release_u32(&map->bucket_count, BUCKETS_MIN); /* with find_once() */
        return overflow_prepare(map, 1, err);
    }
    TRY(chain_prepare(map, bucket_of(hash, count), err));
    uint32_t spare = 1;
    if (map->entry_count + 1 > (uint64_t)count * LOAD_ENTRIES) {
        TRY(array_grow(&map->buckets, (uint64_t)count + 1, err));
        TRY(array_prepare(&map->buckets, count, err));
        TRY(chain_prepare(map, split_source(count), err));
        /* The new chain is never longer than the one that is divided. */
        const struct id_bucket *bucket = array_at_writable(&map->buckets, split_source(count));
        for (uint32_t next = bucket->overflow; next != SLOT_NONE; spare++)
            next = ((struct id_bucket *)array_at_writable(&map->overflow, next))->overflow;
    }
    return overflow_prepare(map, spare, err);
}

static void chain_insert(struct id_map *map, uint32_t index, uint64_t entry)
{
    struct id_bucket *bucket = array_at_writable(&map->buckets, index);
    for (;;) {
        for (uint32_t i = 0; i < ID_BUCKET_ENTRIES; i++) {
            if (bucket->entries[i] != empty_entry) continue;
            atomic_store_release_u64(entry_at(bucket, i), entry); /* with find_once() */
            return;
        }
        if (bucket->overflow == SLOT_NONE) {
            const uint32_t added = overflow_take(map);
            atomic_store_release_u32(overflow_of(bucket), added); /* with find_once() */
        }
        bucket = array_at_writable(&map->overflow, bucket->overflow);
    }
}

static void version_odd(struct id_map *map)
{
    (void)atomic_fetch_add_explicit(&map->version, 1, memory_order_acq_rel);
    atomic_thread_fence(memory_order_release);
}

static void version_even(struct id_map *map)
{
    (void)atomic_fetch_add_explicit(&map->version, 1, memory_order_release); /* id_map_find() */
}

/* Adds bucket `count` and moves the entries that belong there from its source. */
static void split(struct id_map *map)
{
    const uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    const uint32_t source = split_source(count);
    struct id_bucket *bucket = array_at_writable(&map->buckets, source);
    version_odd(map);
    bucket_clear(array_at_writable(&map->buckets, count));
    atomic_store_release_u32(&map->bucket_count, count + 1);
    while (bucket != NULL) {
        for (uint32_t i = 0; i < ID_BUCKET_ENTRIES; i++) {
            const uint64_t entry = bucket->entries[i];
            if (entry == empty_entry || bucket_of((uint32_t)(entry >> 32), count + 1) == source)
                continue;
            chain_insert(map, count, entry);
            atomic_store_relaxed_u64(entry_at(bucket, i), empty_entry);
        }
        bucket = bucket->overflow != SLOT_NONE ? array_at_writable(&map->overflow, bucket->overflow)
                                               : NULL;
    }
    version_even(map);
}

void id_map_put(struct id_map *map, uint32_t hash, uint32_t slot)
{
    const uint32_t count = atomic_load_relaxed_u32(&map->bucket_count);
    if (map->entry_count + 1 > (uint64_t)count * LOAD_ENTRIES &&
        array_capacity(&map->buckets) > count)
        split(map);
    chain_insert(map, bucket_of(hash, atomic_load_relaxed_u32(&map->bucket_count)),
                 entry_of(hash, slot));
    map->entry_count++;
}

static struct id_bucket *chain_locate(struct id_map *map, uint32_t hash, uint32_t slot,
                                      uint32_t *position)
{
    const uint32_t index = bucket_of(hash, atomic_load_relaxed_u32(&map->bucket_count));
    struct id_bucket *bucket = array_at_writable(&map->buckets, index);
    for (;;) {
        for (uint32_t i = 0; i < ID_BUCKET_ENTRIES; i++) {
            if (bucket->entries[i] != entry_of(hash, slot)) continue;
            *position = i;
            return bucket;
        }
        if (bucket->overflow == SLOT_NONE) return NULL;
        bucket = array_at_writable(&map->overflow, bucket->overflow);
    }
}

void id_map_replace(struct id_map *map, uint32_t hash, uint32_t old_slot, uint32_t slot)
{
    uint32_t position = 0;
    struct id_bucket *bucket = chain_locate(map, hash, old_slot, &position);
    assert(bucket != NULL);
    if (bucket == NULL) return;
    atomic_store_release_u64(entry_at(bucket, position), entry_of(hash, slot)); /* find_once() */
}

void id_map_remove(struct id_map *map, uint32_t hash, uint32_t slot)
{
    uint32_t position = 0;
    struct id_bucket *bucket = chain_locate(map, hash, slot, &position);
    assert(bucket != NULL);
    if (bucket == NULL) return;
    version_odd(map);
    atomic_store_relaxed_u64(entry_at(bucket, position), empty_entry);
    map->entry_count--;
    /* Empty overflow buckets leave the chain, so that churn doesn't lengthen it. */
    bucket = array_at_writable(&map->buckets,
                               bucket_of(hash, atomic_load_relaxed_u32(&map->bucket_count)));
    while (bucket->overflow != SLOT_NONE) {
        const uint32_t index = bucket->overflow;
        struct id_bucket *next = array_at_writable(&map->overflow, index);
        bool empty = true;
        for (uint32_t i = 0; i < ID_BUCKET_ENTRIES; i++)
            if (next->entries[i] != empty_entry) empty = false;
        if (!empty) {
            bucket = next;
            continue;
        }
        atomic_store_relaxed_u32(overflow_of(bucket), next->overflow);
        atomic_store_relaxed_u32(overflow_of(next), map->overflow_free);
        map->overflow_free = index;
    }
    version_even(map);
}
