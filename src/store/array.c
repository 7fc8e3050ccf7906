#include "store/array.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "os/memory.h"
#include "store/array_inner.h"
#include "store/space.h"

/* Reserved address space of one array: 256 GiB of content for a hot one, 2^24 pointers (1 TiB of
 * content) for a cold one; halved while the machine refuses. */
#if defined(__SANITIZE_THREAD__)
static const size_t hot_length_wanted = (size_t)1 << 32;
#else
static const size_t hot_length_wanted = (size_t)1 << 38;
#endif
static const size_t hot_length_min = (size_t)1 << 26;
/* A reader's array grows by what the log holds, at most 256 MiB between two images: of it a vector of 4
 * floats and its operation, some 64 bytes, grow no array by more than 500. */
static const size_t hot_growth_read_only = (size_t)1 << 33;
static const size_t cold_length_wanted = sizeof(atomic_pointer) << 24;
static const size_t cold_length_min = sizeof(atomic_pointer) << 18;

/* Small arrays keep small pages: a database of a few thousand documents has a dozen of them. */
static const size_t huge_from = (size_t)2 << 20;

void *chunk_take(void)
{
    return memory_block_take(BLOCK_SIZE);
}

void chunk_give(void *chunk)
{
    memory_block_give(chunk, BLOCK_SIZE);
}

bool bit_get(const uint64_t *bits, uint32_t index)
{
    return (bits[index / 64] >> (index % 64) & 1) != 0;
}

void bit_set(uint64_t *bits, uint32_t index)
{
    bits[index / 64] |= UINT64_C(1) << (index % 64);
}

void bit_clear(uint64_t *bits, uint32_t index)
{
    bits[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

void array_dirtied(struct array *array, uint32_t block)
{
    if (bit_get(array->dirty, block)) return;
    bit_set(array->dirty, block);
    array->dirty_count++;
    space_dirtied(array->space);
}

static omendb_status out_of_memory(const struct array *array, omendb_error *err)
{
    return fail(err, OMENDB_ERR_NOMEM, "out of memory: array %u of %u blocks", array->kind,
                atomic_load_relaxed_u32(&array->block_count));
}

/* A buffer that readers of a cold array will see, and the promise that it can be retired. */
static void *chunk_take_promised(struct array *array)
{
    if (epoch_promise(&array->space->epoch, NULL) != OMENDB_OK) return NULL;
    void *chunk = chunk_take();
    if (chunk == NULL) epoch_forgo(&array->space->epoch, 1);
    return chunk;
}

omendb_status array_init(struct array *array, struct space *space, uint32_t kind, uint32_t field,
                         uint32_t stride, bool hot, omendb_error *err)
{
    assert(stride >= 1 && stride <= BLOCK_SIZE);
    assert(!hot || stride % 4 == 0);
    *array = (struct array){.space = space,
                            .kind = kind,
                            .field = field,
                            .stride = stride,
                            .per_block = BLOCK_SIZE / stride,
                            .per_block_inverse = (UINT64_C(1) << 63) / (BLOCK_SIZE / stride) + 1,
                            .hot = hot};
    atomic_store_relaxed_u32(&array->all_resident, 1);
    TRY(mutex_init(&array->load_mutex, err));
    omendb_status status = mutex_init(&array->freeze_mutex, err);
    if (status == OMENDB_OK) {
        status = condition_init(&array->loaded, err);
        array->locks_made = status == OMENDB_OK;
        if (!array->locks_made) mutex_deinit(&array->freeze_mutex);
    }
    if (!array->locks_made) mutex_deinit(&array->load_mutex);
    return status;
}

void array_deinit(struct array *array)
{
    size_t promises = 0;
    if (array->chunks != NULL) {
        const uint32_t count = atomic_load_relaxed_u32(&array->block_count);
        for (uint32_t block = 0; block < count; block++) {
            if (!bit_get(array->owned, block)) continue;
            chunk_give(atomic_load_relaxed_pointer(&array->chunks[block]));
            promises++;
        }
        memory_release(array->chunks, array->reserved_length);
    }
    if (array->base != NULL) memory_release(array->base, array->reserved_length);
    for (uint32_t block = 0; array->preimages != NULL && block < array->frozen_count; block++) {
        promises += !array->hot && array->preimages[block] != NULL;
        chunk_give(array->preimages[block]);
    }
    if (array->space != NULL)
        space_cleaned(array->space, array->dirty_count + array->unwritten_count);
    if (promises != 0) epoch_forgo(&array->space->epoch, promises);
    alloc_free(array->preimages);
    alloc_free(array->frozen);
    alloc_free(array->changes);
    alloc_free(array->new_leaves);
    alloc_free(array->refs);
    alloc_free(array->owned);
    alloc_free(array->dirty);
    alloc_free(array->dropped);
    alloc_free(array->leaves);
    alloc_free(array->leaf_loaded);
    alloc_free(array->loading);
    if (array->locks_made) {
        condition_deinit(&array->loaded);
        mutex_deinit(&array->load_mutex);
        mutex_deinit(&array->freeze_mutex);
    }
    *array = (struct array){0};
}

/* The reservation is made with the first block, so that an empty array costs no address space; by a reader,
 * which has to hold two states of many collections for a moment, as much as may be needed for `blocks`. */
static omendb_status reserve_address_space(struct array *array, uint64_t blocks, omendb_error *err)
{
    void *base = NULL;
    if (array->base != NULL || array->chunks != NULL) return OMENDB_OK;
    if (!array->hot) {
        size_t length = cold_length_wanted;
        TRY(memory_reserve(&length, cold_length_min, &base, err));
        array->chunks = base;
        array->reserved_length = length;
        array->blocks_max = (uint32_t)(length / sizeof *array->chunks);
        return OMENDB_OK;
    }
    /* Content, and behind it one bit a block: 2 MiB of bits serve 2^24 blocks. */
    size_t length = hot_length_wanted;
    if (array->space->read_only && blocks < length / BLOCK_SIZE / 2) {
        const size_t enough = 2 * (size_t)blocks * BLOCK_SIZE + hot_growth_read_only;
        if (enough < length) length = enough;
    }
    TRY(memory_reserve(&length, hot_length_min, &base, err));
    const size_t content = length - MEMORY_STEP;
    const omendb_status status = memory_commit(base, content, MEMORY_STEP, err);
    if (status != OMENDB_OK) {
        memory_release(base, length);
        return status;
    }
    array->base = base;
    array->resident = (atomic_u64 *)(void *)(array->base + content);
    array->reserved_length = length;
    array->blocks_max = (uint32_t)(content / BLOCK_SIZE);
    return OMENDB_OK;
}

static omendb_status commit_to(struct array *array, uint32_t blocks, omendb_error *err)
{
    const size_t wanted = (size_t)blocks *
                          (array->hot ? (size_t)BLOCK_SIZE : sizeof *array->chunks);
    if (wanted <= array->committed) return OMENDB_OK;
    const size_t size = (wanted - array->committed + MEMORY_STEP - 1) & ~(size_t)(MEMORY_STEP - 1);
    void *base = array->hot ? (void *)array->base : (void *)array->chunks;
    TRY(memory_commit(base, array->committed, size, err));
    if (array->hot && array->committed + size > huge_from)
        memory_prefer_huge(base, array->committed, size);
    array->committed += size;
    return OMENDB_OK;
}

omendb_status array_grow(struct array *array, uint64_t count, omendb_error *err)
{
    const uint64_t wanted = (count + array->per_block - 1) / array->per_block;
    const uint32_t before = atomic_load_relaxed_u32(&array->block_count);
    if (wanted <= before) return OMENDB_OK;
    TRY(reserve_address_space(array, wanted, err));
    if (wanted > array->blocks_max)
        return fail(err, OMENDB_ERR_FULL, "array %u has reached its limit of %u blocks",
                    array->kind, array->blocks_max);
    const uint32_t blocks = (uint32_t)wanted;
    const uint32_t words = (blocks + 63) / 64;
    TRY(commit_to(array, blocks, err));
    mutex_lock(&array->load_mutex);
    const bool grown =
        alloc_grow(&array->refs, &array->refs_capacity, blocks, sizeof *array->refs) &&
        alloc_grow(&array->loading, &array->loading_capacity, words, sizeof *array->loading);
    if (grown) memset(array->refs + before, 0, (blocks - before) * sizeof *array->refs);
    for (uint32_t word = array->words; grown && word < words; word++) array->loading[word] = 0;
    mutex_unlock(&array->load_mutex);
    if (!grown || !alloc_grow(&array->dirty, &array->dirty_capacity, words, 8) ||
        !alloc_grow(&array->owned, &array->owned_capacity, words, 8) ||
        !alloc_grow(&array->dropped, &array->dropped_capacity, words, 8))
        return out_of_memory(array, err);
    for (; array->words < words; array->words++)
        array->dirty[array->words] = array->owned[array->words] = array->dropped[array->words] = 0;
    for (uint32_t block = before; array->hot && block < blocks; block++)
        (void)atomic_or_u64(&array->resident[block / 64], UINT64_C(1) << (block % 64));
    atomic_store_release_u32(&array->block_count, blocks); /* with array_capacity() */
    return OMENDB_OK;
}

/* Under load_mutex: makes refs[block] known. */
static omendb_status leaf_load(struct array *array, uint32_t leaf, omendb_error *err)
{
    if (bit_get(array->leaf_loaded, leaf)) return OMENDB_OK;
    const uint8_t *bytes = NULL;
    TRY(space_map_block(array->space, array->leaves[leaf], &bytes, err));
    const uint32_t first = leaf * ARRAY_LEAF_REFS;
    const uint32_t rest = array->stored_count - first;
    memcpy(array->refs + first, bytes,
           (rest < ARRAY_LEAF_REFS ? rest : ARRAY_LEAF_REFS) * sizeof *array->refs);
    bit_set(array->leaf_loaded, leaf);
    return OMENDB_OK;
}

omendb_status array_ref_load(struct array *array, uint32_t block, struct block_ref *out,
                             omendb_error *err)
{
    const uint32_t leaf = block / ARRAY_LEAF_REFS;
    if (!array->leaves_known && block < array->stored_count && leaf < array->leaf_count)
        TRY(leaf_load(array, leaf, err));
    *out = array->refs[block];
    return OMENDB_OK;
}

static omendb_status named(const struct array *array, uint32_t block, omendb_status status,
                           omendb_error *err)
{
    return fail_within(err, status, "array %u field %u elements %llu to %llu", array->kind,
                       array->field, (unsigned long long)block * array->per_block,
                       ((unsigned long long)block + 1) * array->per_block - 1);
}

/* Under load_mutex: the refs of the absent blocks from `block` on that one read can bring in: they
 * lie one behind the other in the file, or are all holes. At least one, at most `max`. */
static omendb_status adjacent_find(struct array *array, uint32_t block, uint32_t max,
                                   struct block_ref *refs, uint32_t *count, omendb_error *err)
{
    const uint32_t end = atomic_load_acquire_u32(&array->block_count);
    uint32_t found = 1;
    TRY(array_ref_load(array, block, &refs[0], err));
    for (; found < max && block + found < end; found++) {
        const uint32_t next = block + found;
        const uint64_t resident = atomic_load_acquire_u64(&array->resident[next / 64]);
        const uint32_t wanted = refs[0].block != BLOCK_NONE ? refs[0].block + found : BLOCK_NONE;
        if ((resident >> (next % 64) & 1) != 0 || bit_get(array->loading, next)) break;
        /* An unreadable leaf is the business of who wants that block. */
        if (array_ref_load(array, next, &refs[found], NULL) != OMENDB_OK) break;
        if (refs[found].block != wanted) break;
    }
    *count = found;
    return OMENDB_OK;
}

/* Makes a block of a hot array resident, and up to max - 1 behind it in the same read. Who wants a
 * block that another thread is reading waits for it: read twice, the second could undo a change. */
static omendb_status run_load(struct array *array, uint32_t block, uint32_t max, omendb_error *err)
{
    struct block_ref refs[ARRAY_RUN_BLOCKS];
    uint32_t count = 0, good = 0;
    const uint64_t bit = UINT64_C(1) << (block % 64);
    assert(max >= 1 && max <= ARRAY_RUN_BLOCKS);
    mutex_lock(&array->load_mutex);
    while (bit_get(array->loading, block)) condition_wait(&array->loaded, &array->load_mutex);
    if ((atomic_load_acquire_u64(&array->resident[block / 64]) & bit) != 0) {
        mutex_unlock(&array->load_mutex);
        return OMENDB_OK;
    }
    omendb_status status = adjacent_find(array, block, max, refs, &count, err);
    for (uint32_t i = 0; i < count; i++) bit_set(array->loading, block + i);
    mutex_unlock(&array->load_mutex);
    if (status != OMENDB_OK) return named(array, block, status, err);
    if (refs[0].block == BLOCK_NONE) good = count; /* Never written: zeros. */
    else
        status = space_read_blocks(array->space, refs, count,
                                   array->base + (size_t)block * BLOCK_SIZE, &good, err);
    mutex_lock(&array->load_mutex);
    for (uint32_t i = 0; i < count; i++) bit_clear(array->loading, block + i);
    for (uint32_t i = block; i < block + good; i++) /* with array_read() */
        (void)atomic_or_u64(&array->resident[i / 64], UINT64_C(1) << (i % 64));
    condition_wake_all(&array->loaded);
    mutex_unlock(&array->load_mutex);
    /* Only the first one was asked for. */
    return good != 0 ? OMENDB_OK : named(array, block, status, err);
}

/* How many blocks to read at once when `block` is absent: as many as lie before it in memory, so
 * that a scan soon reads in long runs and a look-up here and there doesn't. */
static uint32_t run_wanted(const struct array *array, uint32_t block)
{
    uint32_t before = 0;
    while (before < ARRAY_RUN_BLOCKS && before < block) {
        const uint32_t at = block - 1 - before;
        if ((atomic_load_relaxed_u64(&array->resident[at / 64]) >> (at % 64) & 1) == 0) break;
        before++;
    }
    return before != 0 ? before : 1;
}

static const void *read_hot(struct array *array, uint32_t block, omendb_error *err)
{
    if (run_load(array, block, run_wanted(array, block), err) != OMENDB_OK) return NULL;
    return array->base + (size_t)block * BLOCK_SIZE;
}

static const void *read_cold(struct array *array, uint32_t block, omendb_error *err)
{
    struct block_ref ref = {0};
    omendb_status status = OMENDB_OK;
    mutex_lock(&array->load_mutex);
    const void *memory = atomic_load_acquire_pointer(&array->chunks[block]);
    if (memory == NULL) {
        const uint8_t *mapped = NULL;
        status = array_ref_load(array, block, &ref, err);
        if (status == OMENDB_OK && ref.block != BLOCK_NONE) {
            void *expected = NULL;
            union {
                const uint8_t *read;
                void *pointer;
            } view;
            status = space_map_block(array->space, ref, &mapped, err);
            view.read = mapped;
            if (status == OMENDB_OK) {
                /* The writer may have put an owned copy there meanwhile: then use that. */
                if (atomic_swap_if_pointer(&array->chunks[block], &expected, view.pointer))
                    memory = mapped;
                else memory = expected;
            }
        } else if (status == OMENDB_OK) {
            (void)fail(err, OMENDB_OK, "a hole");
        }
    }
    mutex_unlock(&array->load_mutex);
    if (status != OMENDB_OK) (void)named(array, block, status, err);
    return memory;
}

const void *array_read_slow(struct array *array, uint32_t block, omendb_error *err)
{
    if (block >= atomic_load_acquire_u32(&array->block_count)) {
        (void)fail(err, OMENDB_ERR_CORRUPT, "array %u has no block %u", array->kind, block);
        return NULL;
    }
    return array->hot ? read_hot(array, block, err) : read_cold(array, block, err);
}

/* Keeps the content that the checkpoint is to write, before the writer changes the block. */
static omendb_status preimage_keep(struct array *array, uint32_t block, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    mutex_lock(&array->freeze_mutex);
    if (block < array->frozen_count && bit_get(array->frozen, block) &&
        array->preimages[block] == NULL) {
        void *copy = array->hot ? chunk_take() : chunk_take_promised(array);
        if (copy == NULL) {
            status = out_of_memory(array, err);
        } else if (array->hot) {
            memcpy(copy, array->base + (size_t)block * BLOCK_SIZE, BLOCK_SIZE);
            array->preimages[block] = copy;
        } else {
            /* The frozen buffer becomes the pre-image, the copy is written from now on. */
            void *frozen = atomic_load_relaxed_pointer(&array->chunks[block]);
            if (frozen != NULL) {
                memcpy(copy, frozen, BLOCK_SIZE);
                array->preimages[block] = frozen;
                atomic_store_release_pointer(&array->chunks[block], copy); /* array_read() */
                (void)atomic_add_u64(&array->owned_bytes, BLOCK_SIZE);
            } else {
                chunk_give(copy);
                epoch_forgo(&array->space->epoch, 1);
            }
        }
    }
    mutex_unlock(&array->freeze_mutex);
    return status;
}

/* Replaces a mapped (or absent) chunk by a buffer of ours with the same content. */
static omendb_status chunk_own(struct array *array, uint32_t block, omendb_error *err)
{
    const bool dropped = bit_get(array->dropped, block);
    const void *mapped = dropped ? NULL : atomic_load_acquire_pointer(&array->chunks[block]);
    if (mapped == NULL && !dropped) {
        struct block_ref ref = {0};
        mutex_lock(&array->load_mutex);
        const omendb_status status = array_ref_load(array, block, &ref, err);
        mutex_unlock(&array->load_mutex);
        if (status != OMENDB_OK) return status;
        if (ref.block != BLOCK_NONE && (mapped = array_read_slow(array, block, err)) == NULL)
            return err != NULL && err->status != OMENDB_OK ? err->status : OMENDB_ERR_CORRUPT;
    }
    void *copy = chunk_take_promised(array);
    if (copy == NULL) return out_of_memory(array, err);
    if (mapped != NULL) memcpy(copy, mapped, BLOCK_SIZE);
    atomic_store_release_pointer(&array->chunks[block], copy); /* with array_read() */
    (void)atomic_add_u64(&array->owned_bytes, BLOCK_SIZE);
    bit_set(array->owned, block);
    bit_clear(array->dropped, block);
    return OMENDB_OK;
}

omendb_status array_prepare_slow(struct array *array, uint64_t index, omendb_error *err)
{
    const uint32_t block = array_block(array, index);
    if (index >= array_capacity(array)) /* A number from a damaged file. */
        return fail(err, OMENDB_ERR_CORRUPT, "array %u has no element %llu", array->kind,
                    (unsigned long long)index);
    if (array->hot) {
        omendb_error local = {0};
        if (array_read(array, index, &local) == NULL) {
            if (err != NULL) *err = local;
            return local.status != OMENDB_OK ? local.status : OMENDB_ERR_CORRUPT;
        }
        if (array->freezing) TRY(preimage_keep(array, block, err));
        if (bit_get(array->dropped, block)) { /* It reads as zeros, and is one more block again. */
            bit_clear(array->dropped, block);
            (void)atomic_sub_u32(&array->dropped_count, 1);
        }
    } else {
        if (!bit_get(array->owned, block)) TRY(chunk_own(array, block, err));
        else if (array->freezing) TRY(preimage_keep(array, block, err));
    }
    array_dirtied(array, block);
    return OMENDB_OK;
}

omendb_status array_load_range(struct array *array, uint32_t first, uint32_t count,
                               omendb_error *err)
{
    const uint32_t all = atomic_load_acquire_u32(&array->block_count);
    assert(array->hot);
    if (atomic_load_acquire_u32(&array->all_resident) != 0 || first >= all) return OMENDB_OK;
    const uint32_t end = count < all - first ? first + count : all;
    for (uint32_t block = first; block < end; block++) {
        const uint64_t word = atomic_load_acquire_u64(&array->resident[block / 64]);
        const uint32_t left = end - block;
        if (word == UINT64_MAX) block |= 63;
        else if ((word >> (block % 64) & 1) == 0)
            TRY(run_load(array, block, left < ARRAY_RUN_BLOCKS ? left : ARRAY_RUN_BLOCKS, err));
    }
    return OMENDB_OK;
}

omendb_status array_load_all(struct array *array, omendb_error *err)
{
    TRY(array_load_range(array, 0, UINT32_MAX, err));
    atomic_store_release_u32(&array->all_resident, 1); /* with array_read() */
    return OMENDB_OK;
}

bool array_block_present(struct array *array, uint32_t block)
{
    struct block_ref ref = {0};
    if (bit_get(array->dropped, block)) return false;
    if (array->hot && bit_get(array->dirty, block)) return true;
    if (!array->hot && (bit_get(array->owned, block) ||
                        atomic_load_acquire_pointer(&array->chunks[block]) != NULL))
        return true;
    mutex_lock(&array->load_mutex);
    const omendb_status status = array_ref_load(array, block, &ref, NULL);
    mutex_unlock(&array->load_mutex);
    return status == OMENDB_OK && ref.block != BLOCK_NONE;
}

/* The block is prepared, so a checkpoint that is being written has its copy. */
static void drop_hot(struct array *array, uint32_t block)
{
    memory_decommit(array->base, (size_t)block * BLOCK_SIZE, BLOCK_SIZE);
    bit_set(array->dropped, block);
    (void)atomic_add_u32(&array->dropped_count, 1);
}

void array_drop_block(struct array *array, uint32_t block)
{
    assert(bit_get(array->dirty, block) && !bit_get(array->dropped, block));
    if (array->hot) {
        drop_hot(array, block);
        return;
    }
    void *chunk = atomic_load_relaxed_pointer(&array->chunks[block]);
    const bool owned = bit_get(array->owned, block);
    mutex_lock(&array->freeze_mutex);
    const bool frozen = array->freezing && block < array->frozen_count &&
                        bit_get(array->frozen, block) && array->preimages[block] == NULL;
    if (frozen && owned) array->preimages[block] = chunk;      /* The checkpoint still writes it. */
    atomic_store_release_pointer(&array->chunks[block], NULL); /* with array_read() */
    mutex_unlock(&array->freeze_mutex);
    bit_clear(array->owned, block);
    bit_set(array->dropped, block);
    if (owned && !frozen) (void)atomic_fetch_sub(&array->owned_bytes, BLOCK_SIZE);
    if (owned && !frozen) epoch_retire(&array->space->epoch, chunk, chunk_give);
}

uint64_t array_stored_bytes(struct array *array)
{
    mutex_lock(&array->load_mutex);
    uint64_t blocks = array->leaf_count;
    for (uint32_t block = 0; block < array->stored_count; block++) {
        struct block_ref ref = {0};
        if (array_ref_load(array, block, &ref, NULL) == OMENDB_OK && ref.block != BLOCK_NONE)
            blocks++;
    }
    mutex_unlock(&array->load_mutex);
    return blocks * BLOCK_SIZE;
}

uint64_t array_memory_bytes(const struct array *array)
{
    const uint64_t count = atomic_load_acquire_u32(&array->block_count);
    if (!array->hot) return atomic_load_acquire_u64(&array->owned_bytes);
    return (count - atomic_load_acquire_u32(&array->dropped_count)) * BLOCK_SIZE;
}
