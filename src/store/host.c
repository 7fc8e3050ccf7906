/* host.c - calls the work of indexes: by a thread of its own, or inline where there are none.
 *
 *     commit, checkpoint, open ──host_wake()──▶ pending ──5 ms──▶ pieces, one collection after the
 *                                                                 other, until none wants more
 *
 * A collection is marked (work_wanted) before the wake; the thread takes `pending` back before it
 * looks for marks. Both change `pending` by exchanges, so one of the two sees the other.
 */
#include "store/host.h"

#include "os/cpu.h"
#include "store/store_inner.h"

enum { HOST_YIELDS_MAX = 200 };

void host_lock(struct index_host *host)
{
    struct store *store = host->store;
    /* Commits first: a thread that unlocks and locks at once would keep them out for long. Not for
     * ever, or a storm of commits would keep the index out. */
    for (uint32_t i = 0; i < HOST_YIELDS_MAX; i++) {
        if (atomic_load_acquire_u32(&store->commits_waiting) == 0) break;
        thread_yield();
    }
    mutex_lock(&store->writer);
}

void host_unlock(struct index_host *host)
{
    mutex_unlock(&host->store->writer);
}

bool host_stopping(const struct index_host *host)
{
    return atomic_load_acquire_u32(&host->store->index_stopped) != 0 ||
           atomic_load_acquire_u32(&host->collection->dropped) != 0 ||
           atomic_load_acquire_u32(&host->store->fenced) != 0;
}

void host_changed(struct index_host *host)
{
    struct store *store = host->store;
    store->index_changes++;
    atomic_store_release_u64(&store->index_changes_seen, store->index_changes);
    atomic_store_release_u64(&store->last_index_ns, store_clock_ns(store)); /* checkpoint_due() */
}

void host_want_checkpoint(struct index_host *host)
{
    struct store *store = host->store;
    if (store->path == NULL) return;
    mutex_lock(&store->log);
    store->checkpoint_wanted = true;
    condition_wake_one(&store->upkeep_wanted);
    mutex_unlock(&store->log);
}

/* ---- Pieces ---- */

static bool host_has_work(const struct store *store)
{
    return store->options.hooks.work != NULL && !store->read_only;
}

static bool host_stopped(struct store *store)
{
    return atomic_load_acquire_u32(&store->index_stopped) != 0;
}

/* Values of collection.work_wanted. */
enum { WORK_NONE, WORK_WANTED, WORK_FAILED };

/* The next collection, by id and round the ring, that is marked: pinned, its mark taken. `only`: no
 * other than this one; NULL: any. */
static struct collection *wanted_next(struct store *store, const struct collection *only)
{
    struct collection *next = NULL, *first = NULL;
    mutex_lock(&store->catalog);
    for (size_t i = 0; i < store->collections_count; i++) {
        struct collection *collection = store->collections[i];
        if (atomic_load_acquire_u32(&collection->work_wanted) != WORK_WANTED) continue;
        if (only != NULL && collection != only) continue;
        if (first == NULL || collection->id < first->id) first = collection;
        if (collection->id > store->index_cursor && (next == NULL || collection->id < next->id))
            next = collection;
    }
    if (next == NULL) next = first;
    if (next != NULL) {
        collection_pin(next);
        atomic_store_release_u32(&next->work_runs, 1); /* with store_index_state() */
        /* Before it is looked at: what comes later marks it again. */
        (void)atomic_swap_u32(&next->work_wanted, WORK_NONE);
    }
    mutex_unlock(&store->catalog);
    return next;
}

static bool wanted_any(struct store *store)
{
    bool any = false;
    mutex_lock(&store->catalog);
    for (size_t i = 0; i < store->collections_count && !any; i++)
        any = atomic_load_acquire_u32(&store->collections[i]->work_wanted) == WORK_WANTED;
    mutex_unlock(&store->catalog);
    return any;
}

/* What failed is tried again. */
static void failed_wanted(struct store *store)
{
    mutex_lock(&store->catalog);
    for (size_t i = 0; i < store->collections_count; i++) {
        uint32_t failed = WORK_FAILED;
        (void)atomic_swap_if_u32(&store->collections[i]->work_wanted, &failed, WORK_WANTED);
    }
    mutex_unlock(&store->catalog);
}

static uint32_t host_threads(const struct store *store)
{
    if (store->vfs->single_threaded) return 1;
    if (store->options.index_threads != 0) return store->options.index_threads;
    const uint32_t half = cpu_count() / 2;
    return half != 0 ? half : 1;
}

/* A piece of work for `host`, whose collection has been taken by wanted_next(). `failed`: its mark
 * after a failure. `indexing` held. *more: some collection is still marked. */
static omendb_status piece_call(struct index_host *host, uint32_t failed, bool *more,
                                omendb_error *err)
{
    struct store *store = host->store;
    struct collection *collection = host->collection;
    const struct index_hooks *hooks = &store->options.hooks;
    omendb_error local = {0};
    bool again = false;
    omendb_status status = hooks->work(hooks->context, collection, host, &again, &local);
    if (again || host->refused || status != OMENDB_OK)
        atomic_store_release_u32(&collection->work_wanted,
                                 status == OMENDB_OK ? WORK_WANTED : failed); /* wanted_next() */
    atomic_store_release_u32(&collection->work_runs, 0); /* with store_index_state() */
    /* The blocks of a dropped collection may mean something else by now. */
    if (atomic_load_acquire_u32(&collection->dropped) != 0) status = OMENDB_OK;
    collection_unpin(collection);
    *more = wanted_any(store);
    if (!again || status != OMENDB_OK) event_announce(&store->indexed); /* store_index_wait() */
    if (status != OMENDB_OK && err != NULL) *err = local;
    return status;
}

/* `indexing` held: a piece for the collection whose turn it is. */
static omendb_status piece_run(struct store *store, bool *more, omendb_error *err)
{
    struct index_host host = {
        .store = store, .collection = wanted_next(store, NULL), .threads = host_threads(store)};
    *more = false;
    if (host.collection == NULL) return OMENDB_OK;
    store->index_cursor = host.collection->id;
    /* A failure waits, so that other collections have their turns. */
    return piece_call(&host, WORK_FAILED, more, err);
}

bool store_index_help(struct store *store, struct collection *collection)
{
    struct index_host host = {.store = store, .threads = 1, .brief = true};
    bool more = false, helped = false;
    if (!host_has_work(store) || store->vfs->single_threaded || host_stopped(store) ||
        atomic_load_acquire_u32(&store->fenced) != 0 || !mutex_try_lock(&store->indexing))
        return false;
    host.collection = wanted_next(store, collection);
    /* What fails is left to the store's thread, which notes it and tries again. */
    if (host.collection != NULL)
        helped = piece_call(&host, WORK_WANTED, &more, NULL) == OMENDB_OK && !host.refused;
    mutex_unlock(&store->indexing);
    if (more) host_wake(store);
    return helped;
}

omendb_status store_index_work(struct store *store, bool *more, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    *more = false;
    TRY(store_writable(store, err));
    if (!host_has_work(store)) return OMENDB_OK;
    failed_wanted(store);
    mutex_lock(&store->indexing);
    status = piece_run(store, more, err);
    mutex_unlock(&store->indexing);
    return status;
}

void host_work_inline(struct store *store)
{
    omendb_error error = {0};
    bool more = false;
    if (!store->vfs->single_threaded || !host_has_work(store)) return;
    store->index_inline = true;
    omendb_status status = store_index_work(store, &more, &error);
    if (status == OMENDB_OK && store->checkpoint_wanted) {
        store->checkpoint_wanted = false;
        status = checkpoint_run(store, CHECKPOINT_NORMAL, &error);
    }
    store->index_inline = false;
    if (status != OMENDB_OK) upkeep_note(store, &error);
}

enum store_index_state store_index_state(struct store *store, struct collection *collection,
                                         omendb_error *cause)
{
    /* A piece begins under the lock: `work_runs` is set, then the mark taken. At its end the mark is
     * set if need be, then `work_runs` cleared; so looked at in this order one of them shows. */
    mutex_lock(&store->catalog);
    const bool runs = atomic_load_acquire_u32(&collection->work_runs) != 0;
    const uint32_t wanted = atomic_load_acquire_u32(&collection->work_wanted);
    mutex_unlock(&store->catalog);
    if (!host_has_work(store)) return STORE_INDEX_IDLE;
    if (!runs && wanted == WORK_FAILED) {
        mutex_lock(&store->log);
        *cause = store->upkeep_error;
        mutex_unlock(&store->log);
        /* The failure may not have been noted yet. */
        return cause->status != OMENDB_OK ? STORE_INDEX_FAILED : STORE_INDEX_BUSY;
    }
    if (!runs && wanted == WORK_NONE) return STORE_INDEX_IDLE;
    return store_writable(store, cause) == OMENDB_OK ? STORE_INDEX_BUSY : STORE_INDEX_FAILED;
}

uint32_t store_index_seen(const struct store *store)
{
    return event_now(&store->indexed);
}

void store_index_wait(struct store *store, uint32_t seen, uint32_t timeout_ms)
{
    if (store->vfs->single_threaded) { /* Nobody else would. */
        host_work_inline(store);
        return;
    }
    (void)atomic_add_u32(&store->index_waiters, 1);
    /* The thread may be gathering: it looks at the count under the lock. */
    mutex_lock(&store->index);
    condition_wake_one(&store->index_wanted);
    mutex_unlock(&store->index);
    event_wait_for(&store->indexed, seen, timeout_ms);
    (void)atomic_sub_u32(&store->index_waiters, 1);
}

void store_index_wake(struct store *store)
{
    host_wake_wanted(store);
}

/* ---- The thread ---- */

/* `index` held; false: the thread is to end. */
static bool host_sleep(struct store *store, bool failed)
{
    /* A failure is tried again after a pause, whether anybody wakes us or not. */
    if (failed && !host_stopped(store))
        (void)condition_wait_for(&store->index_wanted, &store->index, INDEX_RETRY_MS);
    while (!failed && !host_stopped(store) && atomic_load_acquire_u32(&store->index_pending) == 0)
        condition_wait(&store->index_wanted, &store->index);
    /* Commits come in swarms: one look for all of them, unless somebody waits for it. */
    if (!host_stopped(store) && atomic_load_acquire_u32(&store->index_waiters) == 0)
        (void)condition_wait_for(&store->index_wanted, &store->index, INDEX_GATHER_MS);
    return !host_stopped(store);
}

static void host_main(void *context)
{
    struct store *store = context;
    bool failed = false;
    mutex_lock(&store->index);
    while (host_sleep(store, failed)) {
        mutex_unlock(&store->index);
        (void)atomic_swap_u32(&store->index_pending, 0); /* with host_wake() */
        if (failed) failed_wanted(store);
        failed = false;
        /* A fenced store goes on for readers, but nothing will be written any more. */
        for (bool more = true;
             more && !host_stopped(store) && atomic_load_acquire_u32(&store->fenced) == 0;) {
            omendb_error error = {0};
            mutex_lock(&store->indexing);
            const omendb_status status = piece_run(store, &more, &error);
            mutex_unlock(&store->indexing);
            if (status == OMENDB_OK) continue;
            upkeep_note(store, &error);
            event_announce(&store->indexed); /* The cause is known now: store_index_state(). */
            failed = true;
        }
        mutex_lock(&store->index);
    }
    mutex_unlock(&store->index);
}

void host_wake(struct store *store)
{
    omendb_error error = {0};
    omendb_status status = OMENDB_OK;
    if (!host_has_work(store) || store->vfs->single_threaded || host_stopped(store)) return;
    if (atomic_swap_u32(&store->index_pending, 1) != 0) return; /* with host_main() */
    mutex_lock(&store->index);
    if (!host_stopped(store)) {
        if (!store->index_thread.running)
            status = thread_start(&store->index_thread, "omendb-index", host_main, store, &error);
        if (status != OMENDB_OK) (void)atomic_swap_u32(&store->index_pending, 0);
        condition_wake_one(&store->index_wanted);
    }
    mutex_unlock(&store->index);
    if (status != OMENDB_OK) upkeep_note(store, &error); /* The next commit tries again. */
}

void host_wake_wanted(struct store *store)
{
    if (host_has_work(store) && !host_stopped(store) && wanted_any(store)) host_wake(store);
}

void host_begin(struct store *store)
{
    atomic_store_release_u32(&store->index_stopped, 0); /* with host_stopped() */
    host_wake_wanted(store);
}

void host_stop(struct store *store)
{
    const bool ours = store->process == store->vfs->ops->process_id(store->vfs);
    if (!ours) return; /* In a forked child that thread isn't there. */
    if (store->vfs->single_threaded && atomic_load_acquire_u32(&store->fenced) == 0)
        host_work_inline(store);
    mutex_lock(&store->index);
    atomic_store_release_u32(&store->index_stopped, 1); /* with host_stopped() */
    condition_wake_all(&store->index_wanted);
    mutex_unlock(&store->index);
    thread_join(&store->index_thread);
}
