/* array_checkpoint.c - how an array gets into the file: freeze, write, relocate, encode, thaw. */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/mutant.h"
#include "os/memory.h"
#include "store/array_inner.h"
#include "store/space.h"

/* The record in the catalog: 40 bytes, then block_refs (of blocks when leaf_count = 0, else of
 * leaves). */
enum { ARRAY_RECORD_SIZE = 40 };

static omendb_status change_add(struct array *array, uint32_t index, struct block_ref ref,
                                omendb_error *err)
{
    if (!alloc_grow(&array->changes, &array->changes_capacity, array->changes_count + 1,
                    sizeof *array->changes))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: changes of array %u", array->kind);
    array->changes[array->changes_count++] = (struct array_change){.index = index, .ref = ref};
    return OMENDB_OK;
}

omendb_status array_freeze(struct array *array, omendb_error *err)
{
    assert(!array->freezing && array->changes_count == 0);
    const uint32_t count = atomic_load_relaxed_u32(&array->block_count);
    if (count == 0) return OMENDB_OK;
    uint64_t *frozen = alloc_zeroed(array->words, sizeof *frozen);
    void **preimages = alloc_zeroed(count, sizeof *preimages);
    omendb_status status = OMENDB_OK;
    if (frozen == NULL || preimages == NULL)
        status = fail(err, OMENDB_ERR_NOMEM, "out of memory: freezing %u blocks", count);
    for (uint32_t block = 0; status == OMENDB_OK && block < count; block++) {
        if (array->dirty[block / 64] == 0) {
            block |= 63;
            continue;
        }
        if (!bit_get(array->dirty, block)) continue;
        if (array->hot ? bit_get(array->dropped, block) : !bit_get(array->owned, block))
            status = change_add(array, block, (struct block_ref){0}, err); /* A hole. */
        else bit_set(frozen, block);
    }
    if (status != OMENDB_OK) {
        alloc_free(frozen);
        alloc_free(preimages);
        array->changes_count = 0;
        return status;
    }
    memset(array->dirty, 0, array->words * sizeof *array->dirty);
    array->unwritten_count = array->dirty_count;
    array->dirty_count = 0;
    mutex_lock(&array->freeze_mutex);
    array->frozen = frozen;
    array->preimages = preimages;
    array->frozen_count = count;
    mutex_unlock(&array->freeze_mutex);
    array->freezing = true;
    return OMENDB_OK;
}

/* The content of a frozen block as it was at the freeze. */
static const void *frozen_content(struct array *array, uint32_t block, void *scratch)
{
    mutex_lock(&array->freeze_mutex);
    const void *content = array->preimages[block];
    if (content == NULL && array->hot) {
        memcpy(scratch, array->base + (size_t)block * BLOCK_SIZE, BLOCK_SIZE);
        bit_clear(array->frozen, block); /* The writer may go ahead. */
        content = scratch;
    } else if (content == NULL) {
        content = atomic_load_acquire_pointer(&array->chunks[block]);
    }
    mutex_unlock(&array->freeze_mutex);
    return content;
}

omendb_status array_write_frozen(struct array *array, omendb_error *err)
{
    if (!array->freezing) return OMENDB_OK;
    void *scratch = alloc_aligned(CACHE_LINE, BLOCK_SIZE);
    omendb_status status = OMENDB_OK;
    if (scratch == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a block");
    for (uint32_t block = 0; status == OMENDB_OK && block < array->frozen_count; block++) {
        mutex_lock(&array->freeze_mutex);
        const bool wanted = bit_get(array->frozen, block);
        mutex_unlock(&array->freeze_mutex);
        if (!wanted) continue;
        /* The change is listed first: should the write fail, thaw makes the block dirty again. */
        status = change_add(array, block, (struct block_ref){0}, err);
        if (status != OMENDB_OK) break;
        const void *content = frozen_content(array, block, scratch);
        struct block_ref ref = {0};
        status = space_write_block(array->space, content, &ref, err);
        array->changes[array->changes_count - 1].ref = ref;
        if (status == OMENDB_OK) {
            array->unwritten_count--;
            space_cleaned(array->space, 1);
        }
#ifdef OMENDB_MUTANTS
        /* The seeded bug: the live image still refers to the block that has been replaced. */
        if (MUTANT(reuse_of_live_blocks) && status == OMENDB_OK) {
            TRY(array_ref_load(array, block, &ref, err));
            if (ref.block != BLOCK_NONE) space_give_back(array->space, ref.block);
        }
#endif
    }
    alloc_free(scratch);
    return status;
}

static int change_compare(const struct array_change *a, const struct array_change *b)
{
    return a->index < b->index ? -1 : a->index > b->index;
}

/* Changes sorted by index: heap sort, since they may be many and must not allocate. */
static void changes_sort(struct array_change *items, size_t count)
{
    for (size_t end = count, start = count / 2; end > 1;) {
        size_t root = 0;
        if (start > 0) {
            root = --start;
        } else {
            end--;
            const struct array_change last = items[end];
            items[end] = items[0];
            items[0] = last;
        }
        for (size_t child = 2 * root + 1; child < end; child = 2 * root + 1) {
            if (child + 1 < end && change_compare(&items[child], &items[child + 1]) < 0) child++;
            if (change_compare(&items[root], &items[child]) >= 0) break;
            const struct array_change moved = items[root];
            items[root] = items[child];
            items[child] = moved;
            root = child;
        }
    }
}

static bool is_changed(const struct array *array, size_t sorted, uint32_t index)
{
    size_t low = 0, high = sorted;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (array->changes[middle].index < index) low = middle + 1;
        else high = middle;
    }
    return low < sorted && array->changes[low].index == index;
}

omendb_status array_relocate(struct array *array, uint32_t limit, uint32_t *budget,
                             omendb_error *err)
{
    const uint32_t count = array->freezing ? array->frozen_count : 0;
    const size_t sorted = array->changes_count;
    omendb_status status = OMENDB_OK;
    void *scratch = NULL;
    changes_sort(array->changes, sorted);
    for (uint32_t block = 0; status == OMENDB_OK && block<count && * budget> 0; block++) {
        struct block_ref ref = {0}, moved = {0};
        mutex_lock(&array->load_mutex);
        status = array_ref_load(array, block, &ref, err);
        mutex_unlock(&array->load_mutex);
        if (status != OMENDB_OK || ref.block < limit || is_changed(array, sorted, block)) continue;
        if (scratch == NULL) scratch = alloc_aligned(CACHE_LINE, BLOCK_SIZE);
        /* Moving can wait, and a damaged block stays where it is: its readers report it. */
        if (scratch == NULL) break;
        if (space_read_block(array->space, ref, scratch, NULL) != OMENDB_OK) continue;
        status = space_write_block(array->space, scratch, &moved, err);
        if (status != OMENDB_OK) break;
        status = change_add(array, block, moved, err);
        if (status != OMENDB_OK) space_give_back(array->space, moved.block);
        else array->changes[array->changes_count - 1].moved = true;
        (*budget)--;
    }
    alloc_free(scratch);
    for (uint32_t leaf = 0; leaf<array->leaf_count && * budget> 0; leaf++) {
        if (array->leaves[leaf].block < limit) continue;
        array->leaf_limit = limit;
        (*budget)--;
    }
    return status;
}

static omendb_status record_append(const struct array *array, uint32_t block_count,
                                   uint32_t leaf_count, struct buffer *out, omendb_error *err)
{
    uint8_t record[ARRAY_RECORD_SIZE] = {0}; /* 12: flags, 32: reserved */
    store_le32(record, array->kind);
    store_le32(record + 4, array->field);
    store_le32(record + 8, array->stride);
    store_le32(record + 16, block_count);
    store_le32(record + 20, leaf_count);
    store_le64(record + 24, array->covers_sequence);
    return buffer_append(out, record, sizeof record, err);
}

/* Writes the leaves that have a change and lists all of them in new_leaves. */
static omendb_status leaves_write(struct array *array, const struct block_ref *overlay,
                                  uint32_t first_leaf_changed_from, omendb_error *err)
{
    const uint32_t count = array->frozen_count;
    void *scratch = alloc_zeroed(1, BLOCK_SIZE);
    omendb_status status = OMENDB_OK;
    size_t at = 0;
    if (scratch == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a directory leaf");
    for (uint32_t leaf = 0; status == OMENDB_OK && leaf < array->new_leaf_count; leaf++) {
        const uint32_t first = leaf * ARRAY_LEAF_REFS;
        const uint32_t rest = count - first;
        const uint32_t here = rest < ARRAY_LEAF_REFS ? rest : ARRAY_LEAF_REFS;
        bool changed = leaf >= array->leaf_count || leaf >= first_leaf_changed_from ||
                       (array->leaf_limit != 0 && array->leaves[leaf].block >= array->leaf_limit);
        for (; at < array->changes_count && array->changes[at].index < first + here; at++)
            changed = true;
        if (!changed) {
            array->new_leaves[leaf] = array->leaves[leaf];
            continue;
        }
        memset(scratch, 0, BLOCK_SIZE);
        memcpy(scratch, overlay + first, here * sizeof *overlay);
        status = space_write_block(array->space, scratch, &array->new_leaves[leaf], err);
    }
    alloc_free(scratch);
    return status;
}

omendb_status array_encode(struct array *array, struct buffer *out, omendb_error *err)
{
    const uint32_t count = array->freezing ? array->frozen_count : 0;
    omendb_status status = OMENDB_OK;
    if (count == 0) return record_append(array, 0, 0, out, err);
    changes_sort(array->changes, array->changes_count);

    /* The directory as it will be: every ref, with the changes laid over. */
    struct block_ref *overlay = alloc_raw(count, sizeof *overlay);
    if (overlay == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a directory");
    mutex_lock(&array->load_mutex);
    for (uint32_t block = 0; status == OMENDB_OK && block < count; block++)
        status = array_ref_load(array, block, &overlay[block], err);
    mutex_unlock(&array->load_mutex);
    for (size_t i = 0; i < array->changes_count; i++)
        overlay[array->changes[i].index] = array->changes[i].ref;

    if (status == OMENDB_OK && count <= ARRAY_INLINE_REFS) {
        array->new_leaf_count = 0;
        status = record_append(array, count, 0, out, err);
        for (uint32_t block = 0; status == OMENDB_OK && block < count; block++)
            status = buffer_append(out, &overlay[block], sizeof *overlay, err);
    } else if (status == OMENDB_OK) {
        const uint32_t leaves = (count + ARRAY_LEAF_REFS - 1) / ARRAY_LEAF_REFS;
        array->new_leaves = alloc_zeroed(leaves, sizeof *array->new_leaves);
        array->new_leaf_count = array->new_leaves != NULL ? leaves : 0;
        if (array->new_leaves == NULL)
            status = fail(err, OMENDB_ERR_NOMEM, "out of memory: a directory");
        /* A leaf that has grown must be written even without a change (new blocks are holes). */
        const uint32_t grown_from = count != array->stored_count
                                        ? array->stored_count / ARRAY_LEAF_REFS
                                        : UINT32_MAX;
        if (status == OMENDB_OK) status = leaves_write(array, overlay, grown_from, err);
        if (status == OMENDB_OK) status = record_append(array, count, leaves, out, err);
        for (uint32_t leaf = 0; status == OMENDB_OK && leaf < leaves; leaf++)
            status = buffer_append(out, &array->new_leaves[leaf], sizeof *array->leaves, err);
    }
    alloc_free(overlay);
    return status;
}

static void preimages_free(struct array *array)
{
    for (uint32_t block = 0; block < array->frozen_count; block++) {
        void *preimage = array->preimages[block];
        if (preimage == NULL) continue;
        if (array->hot) {
            chunk_give(preimage);
        } else { /* Readers saw it until the writer replaced it. */
            epoch_retire(&array->space->epoch, preimage, chunk_give);
            (void)atomic_fetch_sub(&array->owned_bytes, BLOCK_SIZE);
        }
    }
}

/* A stored chunk that nobody has changed since moves from its buffer to the mapping. */
static void chunk_to_mapping(struct array *array, const struct array_change *change,
                             struct block_ref before)
{
    union {
        const uint8_t *read;
        void *pointer;
    } view;
    const uint32_t block = change->index;
    if (change->ref.block == BLOCK_NONE && bit_get(array->dropped, block)) {
        bit_clear(array->dropped, block);
        atomic_store_release_pointer(&array->chunks[block], NULL); /* A late reader's mapping. */
        return;
    }
    if (change->ref.block == BLOCK_NONE || bit_get(array->dirty, block)) return;
    void *chunk = atomic_load_relaxed_pointer(&array->chunks[block]);
    view.read = space_address(array->space, change->ref.block);
    if (bit_get(array->owned, block)) {
        if (array->preimages[block] != NULL) return;
        atomic_store_release_pointer(&array->chunks[block], view.pointer); /* array_read() */
        bit_clear(array->owned, block);
        (void)atomic_fetch_sub(&array->owned_bytes, BLOCK_SIZE);
        epoch_retire(&array->space->epoch, chunk, chunk_give);
    } else if (chunk != NULL && before.block != BLOCK_NONE &&
               chunk == (const void *)space_address(array->space, before.block)) {
        atomic_store_release_pointer(&array->chunks[block], view.pointer); /* array_read() */
    }
}

static void thaw_durable(struct array *array)
{
    struct space *space = array->space;
    const uint64_t generation = space->generation + 1;
    mutex_lock(&array->load_mutex);
    for (size_t i = 0; i < array->changes_count; i++) {
        const struct array_change *change = &array->changes[i];
        const struct block_ref before = array->refs[change->index];
        array->refs[change->index] = change->ref;
        if (!array->hot) chunk_to_mapping(array, change, before);
        if (before.block != BLOCK_NONE) space_release(space, before.block, generation);
    }
    for (uint32_t leaf = 0; leaf < array->leaf_count; leaf++) {
        if (leaf < array->new_leaf_count &&
            array->leaves[leaf].block == array->new_leaves[leaf].block)
            continue;
        space_release(space, array->leaves[leaf].block, generation);
    }
    mutex_unlock(&array->load_mutex);
}

static void thaw_failed(struct array *array)
{
    for (size_t i = 0; i < array->changes_count; i++) {
        /* A block that was only moved is still as its old place has it. */
        if (!array->changes[i].moved) array_dirtied(array, array->changes[i].index);
        if (array->changes[i].ref.block != BLOCK_NONE)
            space_give_back(array->space, array->changes[i].ref.block);
    }
    for (uint32_t block = 0; block < array->frozen_count; block++)
        if (bit_get(array->frozen, block)) array_dirtied(array, block);
    for (uint32_t leaf = 0; leaf < array->new_leaf_count; leaf++) {
        const uint32_t block = array->new_leaves[leaf].block;
        if (block == BLOCK_NONE) continue;
        if (leaf < array->leaf_count && array->leaves[leaf].block == block) continue;
        space_give_back(array->space, block);
    }
}

size_t array_releases(const struct array *array)
{
    return array->changes_count + array->leaf_count;
}

void array_thaw(struct array *array, bool durable)
{
    if (!array->freezing) return;
    space_cleaned(array->space, array->unwritten_count); /* Holes, or counted again below. */
    array->unwritten_count = 0;
    if (durable) thaw_durable(array);
    else thaw_failed(array);
    preimages_free(array);
    mutex_lock(&array->load_mutex);
    if (durable) {
        alloc_free(array->leaves);
        array->leaves = array->new_leaves;
        array->leaf_count = array->new_leaf_count;
        array->stored_count = array->frozen_count;
        array->leaves_known = true; /* array_encode() loaded every leaf. */
    } else {
        alloc_free(array->new_leaves);
    }
    mutex_unlock(&array->load_mutex);
    mutex_lock(&array->freeze_mutex);
    alloc_free(array->frozen);
    alloc_free(array->preimages);
    array->frozen = NULL;
    array->preimages = NULL;
    array->frozen_count = 0;
    mutex_unlock(&array->freeze_mutex);
    array->new_leaves = NULL;
    array->new_leaf_count = 0;
    array->leaf_limit = 0;
    array->changes_count = 0;
    array->freezing = false;
}

static omendb_status decode_refs(struct array *array, const uint8_t *bytes, uint32_t count,
                                 uint32_t leaves, omendb_error *err)
{
    if (leaves == 0) {
        if (count != 0) memcpy(array->refs, bytes, count * sizeof *array->refs);
        array->leaves_known = true;
        return OMENDB_OK;
    }
    array->leaves = alloc_raw(leaves, sizeof *array->leaves);
    array->leaf_loaded = alloc_zeroed((leaves + 63) / 64, sizeof *array->leaf_loaded);
    if (array->leaves == NULL || array->leaf_loaded == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: a directory");
    memcpy(array->leaves, bytes, leaves * sizeof *array->leaves);
    array->leaf_count = leaves;
    return OMENDB_OK;
}

omendb_status array_decode(struct array *array, struct space *space, bool hot, const uint8_t *bytes,
                           size_t size, size_t *used, omendb_error *err)
{
    if (size < ARRAY_RECORD_SIZE) return fail(err, OMENDB_ERR_CORRUPT, "catalog: array cut short");
    const uint32_t kind = load_le32(bytes), field = load_le32(bytes + 4);
    const uint32_t stride = load_le32(bytes + 8);
    const uint32_t count = load_le32(bytes + 16), leaves = load_le32(bytes + 20);
    const uint32_t refs = leaves != 0 ? leaves : count;
    if (stride == 0 || stride > BLOCK_SIZE || (hot && stride % 4 != 0) ||
        (leaves == 0 && count > ARRAY_INLINE_REFS) ||
        (leaves != 0 && leaves != ((uint64_t)count + ARRAY_LEAF_REFS - 1) / ARRAY_LEAF_REFS) ||
        (size - ARRAY_RECORD_SIZE) / sizeof(struct block_ref) < refs)
        return fail(err, OMENDB_ERR_CORRUPT, "catalog: array %u is malformed", kind);
    TRY(array_init(array, space, kind, field, stride, hot, err));
    array->covers_sequence = load_le64(bytes + 24);
    TRY(array_grow(array, (uint64_t)count * array->per_block, err));
    array->stored_count = count;
    TRY(decode_refs(array, bytes + ARRAY_RECORD_SIZE, count, leaves, err));
    /* Nothing is in memory yet; a hot block without a ref is one that was never changed: zeros. */
    for (uint32_t word = 0; array->hot && word < array->words; word++)
        atomic_store_relaxed_u64(&array->resident[word], 0);
    if (count != 0) atomic_store_release_u32(&array->all_resident, 0); /* array_read() */
    *used = ARRAY_RECORD_SIZE + refs * sizeof(struct block_ref);
    return OMENDB_OK;
}

omendb_status array_each_block(struct array *array,
                               omendb_status (*each)(void *context, struct block_ref ref,
                                                     omendb_error *err),
                               void *context, omendb_error *err)
{
    const uint32_t count = array->stored_count;
    for (uint32_t leaf = 0; leaf < array->leaf_count; leaf++)
        TRY(each(context, array->leaves[leaf], err));
    for (uint32_t block = 0; block < count; block++) {
        struct block_ref ref = {0};
        mutex_lock(&array->load_mutex);
        const omendb_status status = array_ref_load(array, block, &ref, err);
        mutex_unlock(&array->load_mutex);
        if (status != OMENDB_OK) return status;
        if (ref.block != BLOCK_NONE) TRY(each(context, ref, err));
    }
    return OMENDB_OK;
}

static omendb_status release_one(void *context, struct block_ref ref, omendb_error *err)
{
    struct space *space = context;
    TRY(space_release_reserve(space, 1, err));
    space_release(space, ref.block, space->generation + 1);
    return OMENDB_OK;
}

omendb_status array_release_blocks(struct array *array, omendb_error *err)
{
    TRY(array_each_block(array, release_one, array->space, err));
    array->stored_count = 0;
    array->leaf_count = 0;
    return OMENDB_OK;
}

omendb_status array_verify(struct array *array, void (*problem)(void *context, const char *text),
                           void *context, omendb_error *err)
{
    void *scratch = alloc_aligned(CACHE_LINE, BLOCK_SIZE);
    omendb_status status = OMENDB_OK;
    if (scratch == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a block");
    for (uint32_t block = 0; status == OMENDB_OK && block < array->stored_count; block++) {
        struct block_ref ref = {0};
        omendb_error local = {0};
        mutex_lock(&array->load_mutex);
        omendb_status got = block < array->stored_count ? array_ref_load(array, block, &ref, &local)
                                                        : OMENDB_OK;
        mutex_unlock(&array->load_mutex);
        if (got == OMENDB_OK && ref.block != BLOCK_NONE)
            got = space_read_block(array->space, ref, scratch, &local);
        if (got == OMENDB_OK) continue;
        if (got == OMENDB_ERR_CORRUPT) {
            omendb_error text = local;
            (void)fail_within(&text, got, "array %u field %u elements %llu to %llu", array->kind,
                              array->field, (unsigned long long)block * array->per_block,
                              ((unsigned long long)block + 1) * array->per_block - 1);
            problem(context, text.message);
        } else {
            if (err != NULL) *err = local;
            status = got;
        }
    }
    alloc_free(scratch);
    return status;
}
