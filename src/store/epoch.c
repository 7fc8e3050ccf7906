#include "store/epoch.h"

#include <assert.h>

#include "base/alloc.h"

enum { STATE_FREE = 0, STATE_TAKEN = 1, STATE_EPOCH = 2 };

omendb_status epoch_init(struct epoch *epoch, omendb_error *err)
{
    *epoch = (struct epoch){0};
    TRY(mutex_init(&epoch->mutex, err));
    const omendb_status status = mutex_init(&epoch->pin_mutex, err);
    if (status != OMENDB_OK) mutex_deinit(&epoch->mutex);
    return status;
}

void epoch_deinit(struct epoch *epoch)
{
    struct epoch_page *page = atomic_load_acquire_pointer(&epoch->first.next);
    for (size_t i = 0; i < epoch->retired_count; i++)
        epoch->retired[i].release(epoch->retired[i].pointer);
    alloc_free(epoch->retired);
    while (page != NULL) {
        struct epoch_page *next = atomic_load_acquire_pointer(&page->next);
        alloc_free(page);
        page = next;
    }
    mutex_deinit(&epoch->pin_mutex);
    mutex_deinit(&epoch->mutex);
}

static struct epoch_reader *reader_take(struct epoch *epoch, omendb_error *err)
{
    const uint64_t start = thread_self();
    for (struct epoch_page *page = &epoch->first;;) {
        for (uint32_t i = 0; i < EPOCH_PAGE_READERS; i++) {
            struct epoch_reader *reader = &page->readers[(start + i) % EPOCH_PAGE_READERS];
            uint64_t expected = STATE_FREE;
            if (atomic_load_relaxed_u64(&reader->state) == STATE_FREE &&
                atomic_swap_if_u64(&reader->state, &expected, STATE_TAKEN))
                return reader;
        }
        struct epoch_page *next = atomic_load_acquire_pointer(&page->next);
        if (next == NULL) {
            void *expected = NULL;
            next = alloc_aligned(CACHE_LINE, sizeof *next);
            if (next == NULL) {
                (void)fail(err, OMENDB_ERR_NOMEM, "out of memory: one more reader");
                return NULL;
            }
            *next = (struct epoch_page){0};
            if (!atomic_swap_if_pointer(&page->next, &expected, next)) {
                alloc_free(next);
                next = expected;
            }
        }
        page = next;
    }
}

omendb_status epoch_enter(struct epoch *epoch, struct snapshot *out, omendb_error *err)
{
    struct epoch_reader *reader = reader_take(epoch, err);
    if (reader == NULL) return OMENDB_ERR_NOMEM;
    for (;;) {
        const uint64_t now = atomic_load_ordered_u64(&epoch->now);
        const uint64_t sequence = atomic_load_acquire_u64(&epoch->visible_sequence);
        atomic_store_ordered_u64(&reader->sequence, sequence);
        atomic_store_ordered_u64(&reader->state, now + STATE_EPOCH);
        /* Either epoch_oldest() sees our line, or we see the floor that it raised. */
        if (atomic_load_ordered_u64(&epoch->floor) <= sequence &&
            atomic_load_ordered_u64(&epoch->now) == now) {
            *out = (struct snapshot){.reader = reader, .sequence = sequence};
            return OMENDB_OK;
        }
    }
}

void epoch_leave(struct snapshot *snapshot)
{
    atomic_store_release_u64(&snapshot->reader->state, STATE_FREE); /* with epoch_oldest() */
    snapshot->reader = NULL;
}

omendb_status epoch_pin_add(struct epoch *epoch, uint64_t now_ns, uint32_t limit,
                            struct epoch_pin *out, omendb_error *err)
{
    mutex_lock(&epoch->pin_mutex);
    const bool room = epoch->pin_count < limit;
    if (room) {
        *out = (struct epoch_pin){.sequence = atomic_load_acquire_u64(&epoch->visible_sequence),
                                  .since_ns = now_ns,
                                  .older = epoch->newest_pin};
        if (out->older != NULL) out->older->newer = out;
        else epoch->oldest_pin = out;
        epoch->newest_pin = out;
        epoch->pin_count++;
    }
    mutex_unlock(&epoch->pin_mutex);
    if (!room)
        return fail(err, OMENDB_ERR_BUSY, "%u snapshots and transactions are open already", limit);
    return OMENDB_OK;
}

void epoch_pin_remove(struct epoch *epoch, struct epoch_pin *pin)
{
    mutex_lock(&epoch->pin_mutex);
    if (pin->older != NULL) pin->older->newer = pin->newer;
    else epoch->oldest_pin = pin->newer;
    if (pin->newer != NULL) pin->newer->older = pin->older;
    else epoch->newest_pin = pin->older;
    epoch->pin_count--;
    mutex_unlock(&epoch->pin_mutex);
    *pin = (struct epoch_pin){0};
}

uint32_t epoch_pins(struct epoch *epoch, struct epoch_pin *oldest)
{
    mutex_lock(&epoch->pin_mutex);
    const uint32_t count = epoch->pin_count;
    if (count != 0) *oldest = *epoch->oldest_pin;
    mutex_unlock(&epoch->pin_mutex);
    return count;
}

/* Folds over the readers inside. */
static void readers_inside(struct epoch *epoch, uint64_t *sequence, uint64_t *oldest,
                           uint32_t *count)
{
    for (struct epoch_page *page = &epoch->first; page != NULL;
         page = atomic_load_acquire_pointer(&page->next)) {
        for (uint32_t i = 0; i < EPOCH_PAGE_READERS; i++) {
            struct epoch_reader *reader = &page->readers[i];
            const uint64_t state = atomic_load_ordered_u64(&reader->state);
            if (state < STATE_EPOCH) continue;
            const uint64_t seen = atomic_load_ordered_u64(&reader->sequence);
            if (seen < *sequence) *sequence = seen;
            if (state - STATE_EPOCH < *oldest) *oldest = state - STATE_EPOCH;
            (*count)++;
        }
    }
}

uint64_t epoch_oldest(struct epoch *epoch)
{
    uint64_t sequence = atomic_load_acquire_u64(&epoch->visible_sequence);
    uint64_t oldest = UINT64_MAX;
    uint32_t count = 0;
    atomic_store_ordered_u64(&epoch->floor, sequence);
    readers_inside(epoch, &sequence, &oldest, &count);
    mutex_lock(&epoch->pin_mutex);
    const struct epoch_pin *pin = epoch->oldest_pin;
    if (pin != NULL && pin->sequence < sequence) sequence = pin->sequence;
    mutex_unlock(&epoch->pin_mutex);
    return sequence;
}

uint64_t epoch_oldest_epoch(struct epoch *epoch)
{
    uint64_t sequence = UINT64_MAX, oldest = UINT64_MAX;
    uint32_t count = 0;
    readers_inside(epoch, &sequence, &oldest, &count);
    return oldest;
}

uint64_t epoch_stamp(struct epoch *epoch)
{
    return atomic_fetch_add_explicit(&epoch->now, 1, memory_order_seq_cst);
}

omendb_status epoch_promise(struct epoch *epoch, omendb_error *err)
{
    mutex_lock(&epoch->mutex);
    const bool room = alloc_grow(&epoch->retired, &epoch->retired_capacity,
                                 epoch->retired_count + epoch->promised + 1,
                                 sizeof *epoch->retired);
    if (room) epoch->promised++;
    mutex_unlock(&epoch->mutex);
    if (!room) return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of what readers may hold");
    return OMENDB_OK;
}

void epoch_forgo(struct epoch *epoch, size_t count)
{
    mutex_lock(&epoch->mutex);
    assert(epoch->promised >= count);
    epoch->promised -= count;
    mutex_unlock(&epoch->mutex);
}

void epoch_retire(struct epoch *epoch, void *pointer, void (*release)(void *pointer))
{
    const uint64_t stamp = epoch_stamp(epoch);
    mutex_lock(&epoch->mutex);
    assert(epoch->promised > 0 && epoch->retired_count < epoch->retired_capacity);
    epoch->promised--;
    epoch->retired[epoch->retired_count++] = (struct retired){
        .pointer = pointer, .release = release, .epoch = stamp};
    mutex_unlock(&epoch->mutex);
}

void epoch_collect(struct epoch *epoch)
{
    size_t kept = 0;
    mutex_lock(&epoch->mutex);
    const uint64_t oldest = epoch_oldest_epoch(epoch);
    for (size_t i = 0; i < epoch->retired_count; i++) {
        const struct retired item = epoch->retired[i];
        if (item.epoch < oldest) item.release(item.pointer);
        else epoch->retired[kept++] = item;
    }
    epoch->retired_count = kept;
    mutex_unlock(&epoch->mutex);
}

uint32_t epoch_readers(struct epoch *epoch)
{
    uint64_t sequence = UINT64_MAX, oldest = UINT64_MAX;
    uint32_t count = 0;
    readers_inside(epoch, &sequence, &oldest, &count);
    return count;
}
