#include "store/space.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "base/mutant.h"

/* The largest file: 1 TiB of address space. ThreadSanitizer shadows mappings, so it gets less. */
#if defined(__SANITIZE_THREAD__)
static const size_t mapping_length_max = (size_t)1 << 33;
#else
static const size_t mapping_length_max = (size_t)1 << 40;
#endif
static const size_t mapping_length_min = (size_t)1 << 26;

omendb_status space_init(struct space *space, struct vfs *vfs, struct file *file, bool read_only,
                         omendb_error *err)
{
    *space = (struct space){.vfs = vfs, .file = file, .read_only = read_only};
    omendb_status status = epoch_init(&space->epoch, err);
    if (status == OMENDB_OK && file != NULL) {
        status = mutex_init(&space->size_mutex, err);
        space->size_mutex_made = status == OMENDB_OK;
    }
    if (status == OMENDB_OK && file != NULL) {
        size_t length = mapping_length_max;
        const void *mapping = NULL;
        do {
            status = file_map(file, length, &mapping, err);
            if (status == OMENDB_OK) break;
            length /= 2;
        } while (length >= mapping_length_min);
        space->mapping = mapping;
        space->mapping_length = status == OMENDB_OK ? length : 0;
    }
    if (status != OMENDB_OK) space_deinit(space);
    return status;
}

void space_deinit(struct space *space)
{
    epoch_deinit(&space->epoch);
    if (space->mapping != NULL) file_unmap(space->file, space->mapping, space->mapping_length);
    file_close(space->file);
    block_map_deinit(&space->map);
    alloc_free(space->released);
    alloc_free(space->releasing);
    if (space->size_mutex_made) mutex_deinit(&space->size_mutex);
    *space = (struct space){0};
}

omendb_status space_file_is_at(struct file *file, const char *path, bool *out, omendb_error *err)
{
    uint64_t ours[2] = {0}, theirs[2] = {0};
    struct file *other = NULL;
    omendb_status status = file_open(file->vfs, path, FILE_READ_ONLY, &other, err);
    *out = false;
    if (status == OMENDB_ERR_NOT_FOUND) return OMENDB_OK;
    const struct vfs_ops *ops = file->vfs->ops;
    if (status == OMENDB_OK) status = ops->identity(file, &ours[0], &ours[1], err);
    if (status == OMENDB_OK) status = ops->identity(other, &theirs[0], &theirs[1], err);
    file_close(other);
    *out = status == OMENDB_OK && ours[0] == theirs[0] && ours[1] == theirs[1];
    return status;
}

static omendb_status reference_check(const struct space *space, struct block_ref ref,
                                     omendb_error *err)
{
    if (ref.block < BLOCK_FIRST || ((uint64_t)ref.block + 1) * BLOCK_SIZE > space->mapping_length)
        return fail(err, OMENDB_ERR_CORRUPT, "block %u can't be one of this file", ref.block);
    return OMENDB_OK;
}

omendb_status space_map_block(struct space *space, struct block_ref ref, const uint8_t **out,
                              omendb_error *err)
{
    TRY(reference_check(space, ref, err));
    const uint8_t *address = space_address(space, ref.block);
    TRY(file_populate(space->file, address, BLOCK_SIZE, err));
    if (checksum64(address, BLOCK_SIZE) != ref.checksum)
        return fail(err, OMENDB_ERR_CORRUPT, "block %u of the file: checksum mismatch", ref.block);
    *out = address;
    return OMENDB_OK;
}

omendb_status space_read_blocks(struct space *space, const struct block_ref *refs, uint32_t count,
                                void *to, uint32_t *good, omendb_error *err)
{
    size_t got = 0;
    *good = 0;
    TRY(reference_check(space, refs[0], err));
    TRY(reference_check(space, refs[count - 1], err));
    TRY(file_read(space->file, (uint64_t)refs[0].block * BLOCK_SIZE, to, (size_t)count * BLOCK_SIZE,
                  &got, err));
    for (; *good < count; ++*good) {
        const size_t at = (size_t)*good * BLOCK_SIZE;
        const bool whole = got >= at + BLOCK_SIZE;
        assert(refs[*good].block == refs[0].block + *good);
        if (whole && checksum64((const uint8_t *)to + at, BLOCK_SIZE) == refs[*good].checksum)
            continue;
        return fail(err, OMENDB_ERR_CORRUPT, "block %u of the file: %s", refs[*good].block,
                    whole ? "checksum mismatch" : "the file ends before it");
    }
    return OMENDB_OK;
}

omendb_status space_read_block(struct space *space, struct block_ref ref, void *to,
                               omendb_error *err)
{
    uint32_t good = 0;
    return space_read_blocks(space, &ref, 1, to, &good, err);
}

omendb_status space_write_block(struct space *space, const void *data, struct block_ref *out,
                                omendb_error *err)
{
    uint32_t block = BLOCK_NONE;
    assert(!space->read_only);
    TRY(block_map_take(&space->map, &block, err));
    assert(block >= BLOCK_FIRST);
    omendb_status status = OMENDB_OK;
    if (((uint64_t)block + 1) * BLOCK_SIZE > space->mapping_length)
        status = fail(err, OMENDB_ERR_FULL, "the file has reached its largest size of %zu bytes",
                      space->mapping_length);
    if (status == OMENDB_OK) {
        const uint64_t end = ((uint64_t)block + 1) * BLOCK_SIZE;
        mutex_lock(&space->size_mutex); /* with space_yield() */
        if (space->written_end < end) space->written_end = end;
        mutex_unlock(&space->size_mutex);
        status = file_write(space->file, end - BLOCK_SIZE, data, BLOCK_SIZE, err);
    }
    if (status != OMENDB_OK) {
        block_map_give(&space->map, block);
        return status;
    }
    space_counted(space);
    space->blocks_written++;
    *out = (struct block_ref){.block = block,
                              .birth = (uint32_t)(space->generation + 1),
                              .checksum = checksum64(data, BLOCK_SIZE)};
    return OMENDB_OK;
}

void space_give_back(struct space *space, uint32_t block)
{
    block_map_give(&space->map, block);
    space_counted(space);
}

/* ---- The reserve ---- */

void space_counted(struct space *space)
{
    atomic_store_release_u32(&space->taken, space->map.taken_count); /* with blocks_promised() */
}

/* Blocks of disk space that the file needs: for what it has, the next checkpoint and the reserve. */
static uint64_t blocks_promised(struct space *space, uint64_t more)
{
    const uint64_t taken = atomic_load_acquire_u32(&space->taken);
    const uint64_t used = taken + atomic_load_relaxed_u32(&space->dirty) + more;
    return used + SPACE_RESERVE + used / 64;
}

/* From the beginning the first time: the file may have holes after a crash. */
static omendb_status blocks_allocate(struct space *space, uint64_t end, omendb_error *err)
{
    const uint64_t begin = atomic_load_relaxed_u32(&space->allocated);
    TRY(file_allocate(space->file, begin * BLOCK_SIZE, (end - begin) * BLOCK_SIZE, err));
    atomic_store_release_u32(&space->allocated, (uint32_t)end); /* with space_promise() */
    return OMENDB_OK;
}

omendb_status space_promise(struct space *space, uint64_t more, omendb_error *err)
{
    uint64_t end = blocks_promised(space, more);
    if (LIKELY(end <= atomic_load_acquire_u32(&space->allocated))) return OMENDB_OK;
    if (end * BLOCK_SIZE > space->mapping_length)
        return fail(err, OMENDB_ERR_FULL, "the file has reached its largest size of %zu bytes",
                    space->mapping_length);
    mutex_lock(&space->size_mutex);
    omendb_status status = OMENDB_OK;
    if (end > atomic_load_relaxed_u32(&space->allocated)) {
        uint64_t step = end / 16;
        if (step < SPACE_STEP_MIN) step = SPACE_STEP_MIN;
        if (step > SPACE_STEP_MAX) step = SPACE_STEP_MAX;
        status = blocks_allocate(space, end + step, err);
        space->overshot |= status != OMENDB_OK;
        if (status == OMENDB_ERR_FULL) status = blocks_allocate(space, end, err);
        /* What the file has already is known then, for space_spare(). */
        uint64_t size = 0;
        if (status == OMENDB_ERR_FULL && file_size(space->file, &size, NULL) == OMENDB_OK &&
            size / BLOCK_SIZE > atomic_load_relaxed_u32(&space->allocated))
            (void)blocks_allocate(space, size / BLOCK_SIZE, NULL);
    }
    mutex_unlock(&space->size_mutex);
    return status;
}

bool space_is_short(struct space *space)
{
    const uint64_t taken = atomic_load_acquire_u32(&space->taken);
    const uint64_t allocated = atomic_load_acquire_u32(&space->allocated);
    return allocated != 0 && allocated < blocks_promised(space, 0) &&
           taken + 2 * (uint64_t)atomic_load_relaxed_u32(&space->dirty) + SPACE_RESERVE / 4 >
               allocated;
}

uint64_t space_spare(struct space *space)
{
    const uint64_t used = (uint64_t)atomic_load_acquire_u32(&space->taken) +
                          atomic_load_relaxed_u32(&space->dirty) + SPACE_RESERVE / 4;
    const uint32_t allocated = atomic_load_acquire_u32(&space->allocated);
    return allocated > used ? allocated - used : 0;
}

bool space_yield(struct space *space)
{
    uint64_t size = 0;
    mutex_lock(&space->size_mutex);
    const uint64_t end = blocks_promised(space, 0) - SPACE_YIELD;
    bool good = file_size(space->file, &size, NULL) == OMENDB_OK;
    if (size < space->written_end) size = space->written_end;
    good = good && file_resize(space->file, size, NULL) == OMENDB_OK;
    const uint32_t left = (uint32_t)(size / BLOCK_SIZE);
    if (good && atomic_load_relaxed_u32(&space->allocated) > left)
        atomic_store_release_u32(&space->allocated, left);
    if (good && end > left) (void)blocks_allocate(space, end, NULL);
    mutex_unlock(&space->size_mutex);
    return good;
}

void space_trim(struct space *space, enum space_trim how)
{
    uint64_t end = block_map_trim(&space->map), size = 0;
    const uint64_t promised = blocks_promised(space, 0);
    if (how != SPACE_TRIM_ALL && end < promised) end = promised;
    const uint64_t slack = how == SPACE_TRIM_USUAL ? SPACE_SLACK * (uint64_t)BLOCK_SIZE : 1;
    mutex_lock(&space->size_mutex);
    const uint64_t allocated = atomic_load_relaxed_u32(&space->allocated);
    if (file_size(space->file, &size, NULL) == OMENDB_OK) {
        const bool longer = size >= end * BLOCK_SIZE + slack;
        const uint64_t cut = longer ? end * BLOCK_SIZE : size;
        if (space->written_end > cut) space->written_end = cut; /* Nobody else writes blocks. */
        if ((longer || (how != SPACE_TRIM_USUAL && (allocated > end || space->overshot))) &&
            file_resize(space->file, cut, NULL) == OMENDB_OK) {
            space->overshot = false;
            if (allocated > cut / BLOCK_SIZE)
                atomic_store_release_u32(&space->allocated, (uint32_t)(cut / BLOCK_SIZE));
            /* What lay past the end has gone with the rest; what is promised comes back at once. */
            if (how == SPACE_TRIM_TIGHT && end > cut / BLOCK_SIZE)
                (void)blocks_allocate(space, end, NULL);
        }
    }
    mutex_unlock(&space->size_mutex);
}

omendb_status space_release_reserve(struct space *space, size_t count, omendb_error *err)
{
    if (!alloc_grow(&space->released, &space->released_capacity, space->released_count + count,
                    sizeof *space->released) ||
        !alloc_grow(&space->releasing, &space->releasing_capacity, space->map.words,
                    sizeof *space->releasing))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of %zu released blocks", count);
    for (; space->releasing_words < space->map.words; space->releasing_words++)
        space->releasing[space->releasing_words] = 0;
    return OMENDB_OK;
}

void space_release(struct space *space, uint32_t block, uint64_t generation)
{
    const uint64_t bit = UINT64_C(1) << (block % 64);
    if (!block_map_is_taken(&space->map, block) || block / 64 >= space->releasing_words ||
        (space->releasing[block / 64] & bit) != 0)
        return;
    if (MUTANT(reuse_of_live_blocks)) return; /* It was given back when its copy was written. */
    assert(space->released_count < space->released_capacity);
    space->releasing[block / 64] |= bit;
    space->released[space->released_count++] = (struct released_block){
        .block = block, .generation = generation, .epoch = epoch_stamp(&space->epoch)};
}

bool space_pinned(struct space *space, uint64_t first, uint64_t last)
{
    bool granted = false;
    if (first > last) return false;
    if (last - first >= SPACE_PIN_COUNT - 1) first = last - (SPACE_PIN_COUNT - 2);
    const uint64_t from = first % SPACE_PIN_COUNT, to = last % SPACE_PIN_COUNT;
    /* One range, or two when the ring wraps. A pin is only ever asked about, never kept. */
    const uint64_t parts[2][2] = {{from, from <= to ? to - from + 1 : SPACE_PIN_COUNT - from},
                                  {0, from <= to ? 0 : to + 1}};
    for (int part = 0; part < 2; part++) {
        if (parts[part][1] == 0) continue;
        const uint64_t at = SPACE_PIN_BASE + parts[part][0];
        if (file_lock(space->file, at, parts[part][1], FILE_LOCK_EXCLUSIVE, &granted, NULL) !=
                OMENDB_OK ||
            !granted)
            return true;
        (void)file_lock(space->file, at, parts[part][1], FILE_UNLOCK, &granted, NULL);
    }
    return false;
}

void space_free(struct space *space, uint32_t block)
{
    space->releasing[block / 64] &= ~(UINT64_C(1) << (block % 64));
    block_map_give(&space->map, block);
    space_counted(space);
}

uint32_t space_live_end(const struct space *space)
{
    uint32_t end = space->map.end;
    for (; end > 0; end--) {
        const uint32_t block = end - 1;
        const bool releasing = block / 64 < space->releasing_words &&
                               (space->releasing[block / 64] >> (block % 64) & 1) != 0;
        if (block_map_is_taken(&space->map, block) && !releasing) break;
    }
    return end;
}

void space_advance(struct space *space, uint64_t generation)
{
    assert(generation > space->generation);
    space->generation = generation;
    /* MUTANT: the generation before this one may still be the one to fall back on. */
    const uint64_t free_up_to = generation - (MUTANT(reuse_of_previous_generation_blocks) ? 0 : 1);
    const uint64_t epoch = epoch_oldest_epoch(&space->epoch);
    uint64_t oldest = UINT64_MAX;
    size_t kept = 0;
    for (size_t i = 0; i < space->released_count; i++) {
        if (space->released[i].generation < oldest) oldest = space->released[i].generation;
    }
    /* Pins are asked for generations before the newest release that would be freed. */
    uint64_t safe = free_up_to;
    if (space->released_count != 0 && oldest <= free_up_to) {
        const uint64_t first = oldest > SPACE_PIN_COUNT / 2 ? oldest - SPACE_PIN_COUNT / 2 : 0;
        if (free_up_to > 0 && space_pinned(space, first, free_up_to - 1)) safe = 0;
    }
    for (size_t i = 0; i < space->released_count; i++) {
        const struct released_block released = space->released[i];
        if (released.generation <= safe && released.epoch < epoch)
            space_free(space, released.block);
        else space->released[kept++] = released;
    }
    space->released_count = kept;
}
