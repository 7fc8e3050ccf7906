#include "store/store.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "store/store_inner.h"

enum { OPEN_TRIES = 10, DROPPED_MAX = 16 };

/* ---- Making and ending ---- */

static omendb_status locks_init(struct store *store, omendb_error *err)
{
    struct mutex *const mutexes[] = {&store->checkpoint_mutex, &store->writer,   &store->log,
                                     &store->catalog,          &store->indexing, &store->index};
    struct condition *const conditions[] = {&store->log_changed, &store->upkeep_wanted,
                                            &store->index_wanted};
    for (; store->locks_made < COUNT_OF(mutexes); store->locks_made++)
        TRY(mutex_init(mutexes[store->locks_made], err));
    for (; store->conditions_made < COUNT_OF(conditions); store->conditions_made++)
        TRY(condition_init(conditions[store->conditions_made], err));
    return OMENDB_OK;
}

static void locks_deinit(struct store *store)
{
    struct mutex *const mutexes[] = {&store->checkpoint_mutex, &store->writer,   &store->log,
                                     &store->catalog,          &store->indexing, &store->index};
    struct condition *const conditions[] = {&store->log_changed, &store->upkeep_wanted,
                                            &store->index_wanted};
    while (store->conditions_made > 0) condition_deinit(conditions[--store->conditions_made]);
    while (store->locks_made > 0) mutex_deinit(mutexes[--store->locks_made]);
}

/* What an attempt to open has built. */
static void contents_free(struct store *store)
{
    for (size_t i = 0; i < store->collections_count; i++) collection_unpin(store->collections[i]);
    for (size_t i = 0; i < store->dropped_count; i++) collection_unpin(store->dropped[i]);
    store->collections_count = store->dropped_count = 0;
    wal_deinit(&store->wal);
    buffer_deinit(&store->live.payload);
    buffer_deinit(&store->last_catalog);
    space_deinit(&store->space);
}

static void store_free(struct store *store)
{
    if (store == NULL) return;
    contents_free(store);
    alloc_free(store->collections);
    alloc_free(store->dropped);
    alloc_free(store->stage.items);
    alloc_free(store->group);
    alloc_free(store->path);
    locks_deinit(store);
    alloc_free(store);
}

static omendb_status file_prepare(struct store *store, struct file **out, omendb_error *err)
{
    const uint32_t flags = store->options.flags;
    uint64_t size = 0;
    omendb_status status = file_open(store->vfs, store->path, store->read_only ? FILE_READ_ONLY : 0,
                                     out, err);
    if (status == OMENDB_OK) status = file_size(*out, &size, err);
    const bool missing = status == OMENDB_ERR_NOT_FOUND || (status == OMENDB_OK && size == 0);
    if (status == OMENDB_OK && !missing && (flags & OMENDB_OPEN_MUST_NOT_EXIST) != 0)
        return fail(err, OMENDB_ERR_EXISTS, "%s: it exists already", store->path);
    if (!missing) return status;
    if (store->read_only || (flags & OMENDB_OPEN_MUST_EXIST) != 0)
        return fail(err, OMENDB_ERR_NOT_FOUND, "%s: there is no such database", store->path);
    file_close(*out);
    *out = NULL;
    TRY(recover_create(store, err));
    return file_open(store->vfs, store->path, 0, out, err);
}

static uint64_t newest_generation(const struct superblock slots[2])
{
    uint64_t newest = 0;
    for (uint32_t i = 0; i < 2; i++)
        if (slots[i].valid && slots[i].root.generation > newest) newest = slots[i].root.generation;
    return newest;
}

omendb_status store_pin_newest(struct file *file, const char *path, struct superblock slots[2],
                               omendb_error *err)
{
    bool granted = false;
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        for (uint32_t i = 0; i < 2; i++) TRY(superblock_read(file, i, &slots[i], err));
        const uint64_t before = newest_generation(slots);
        const uint64_t byte = SPACE_PIN_BASE + before % SPACE_PIN_COUNT;
        if (file_lock(file, byte, 1, FILE_LOCK_SHARED, &granted, NULL) != OMENDB_OK)
            granted = true; /* A medium without locks: nobody can write it either. */
        for (uint32_t i = 0; i < 2; i++) TRY(superblock_read(file, i, &slots[i], err));
        /* Not granted: the writer is asking for that pin at this moment. */
        if (granted && newest_generation(slots) == before) return OMENDB_OK;
        if (granted) (void)file_lock(file, byte, 1, FILE_UNLOCK, &granted, NULL);
    }
    return fail(err, OMENDB_ERR_BUSY, "%s: its writer makes one image after the other", path);
}

/* A writer excludes writers; a reader pins the image that it will read. */
static omendb_status file_claim(struct store *store, struct file *file, omendb_error *err)
{
    bool granted = false;
    if (!store->read_only) {
        TRY(file_lock(file, SPACE_WRITER_BYTE, 1, FILE_LOCK_EXCLUSIVE, &granted, err));
        if (granted) return OMENDB_OK;
        return fail(
            err, OMENDB_ERR_BUSY,
            "%s: another process has it open for writing: close it there, or open read-only",
            store->path);
    }
    struct superblock slots[2] = {0};
    const omendb_status status = store_pin_newest(file, store->path, slots, err);
    superblock_deinit(&slots[0]);
    superblock_deinit(&slots[1]);
    return status;
}

static omendb_status open_once(struct store *store, omendb_error *err)
{
    struct file *file = NULL;
    omendb_status status = file_prepare(store, &file, err);
    if (status == OMENDB_OK) status = file_claim(store, file, err);
    if (status != OMENDB_OK) {
        file_close(file);
        return status;
    }
    TRY(space_init(&store->space, store->vfs, file, store->read_only, err));
    return recover_open(store, err);
}

static omendb_status open_contents(struct store *store, omendb_error *err)
{
    store->next_sequence = 1;
    store->next_collection_id = 1;
    if (store->path == NULL) return space_init(&store->space, store->vfs, NULL, false, err);
    omendb_status status = open_once(store, err);
    /* A writer may have gone on while a reader looked: look again. */
    for (int tries = 0; status == OMENDB_ERR_CORRUPT && store->read_only && tries < OPEN_TRIES;
         tries++) {
        const uint64_t generation = store->live.generation, sequence = store->next_sequence;
        omendb_error again = {0};
        contents_free(store);
        store->live = (struct image){0};
        store->replayed_batches = 0;
        store->next_sequence = 1;
        status = open_once(store, &again);
        if (status != OMENDB_OK && err != NULL) *err = again;
        /* It saw neither a newer image nor more of the log: nobody was writing. */
        if (store->live.generation == generation && store->next_sequence == sequence) break;
    }
    return status;
}

omendb_status store_open(const struct store_options *options, struct store **out, omendb_error *err)
{
    struct store *store = alloc_zeroed(1, sizeof *store);
    if (store == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a database handle");
    store->options = *options;
    store->options.path = NULL;
    if (store->options.wal_segment_size == 0) store->options.wal_segment_size = WAL_SEGMENT_DEFAULT;
    if (store->options.interrupts == NULL) store->options.interrupts = &store->interrupts_own;
    store->vfs = options->vfs;
    store->read_only = (options->flags & OMENDB_OPEN_READ_ONLY) != 0;
    store->queue_end = &store->queue;
    store->process = store->vfs->ops->process_id(store->vfs);
    atomic_store_relaxed_u32(&store->index_stopped, 1);
    omendb_status status = locks_init(store, err);
    if (status == OMENDB_OK && options->path != NULL) {
        const size_t size = strlen(options->path) + 1;
        store->path = alloc_raw(size, 1);
        if (store->path == NULL) status = fail(err, OMENDB_ERR_NOMEM, "out of memory: a path");
        else memcpy(store->path, options->path, size);
    }
    if (status == OMENDB_OK) status = open_contents(store, err);
    for (size_t i = 0; status == OMENDB_OK && i < store->collections_count; i++)
        status = collection_doubt(store->collections[i], err);
    /* Images of the time before: an idle checkpoint waits until something changes. */
    atomic_store_release_u64(&store->image_sequence, store->live.sequence); /* checkpoint_due() */
    atomic_store_release_u64(&store->image_ns, store_clock_ns(store));
    if (status == OMENDB_OK && store->path != NULL && !store->read_only &&
        !store->vfs->single_threaded) {
        status = thread_start(&store->upkeep, "omendb-upkeep", upkeep_main, store, err);
        store->upkeep_running = status == OMENDB_OK;
    }
    if (status != OMENDB_OK) {
        store_free(store);
        return status;
    }
    host_begin(store);
    *out = store;
    return OMENDB_OK;
}

omendb_status store_close(struct store *store, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    host_stop(store);
    if (store->upkeep_running && store->process == store->vfs->ops->process_id(store->vfs)) {
        mutex_lock(&store->log);
        store->upkeep_stop = true;
        condition_wake_all(&store->upkeep_wanted);
        mutex_unlock(&store->log);
        thread_join(&store->upkeep);
    }
    status = store_usable(store, err);
    /* In a forked child only memory is given back; the file is the parent's. */
    if (status == OMENDB_OK && store->path != NULL && !store->read_only) {
        if (atomic_load_acquire_u32(&store->fenced) != 0) status = store_writable(store, err);
        else status = checkpoint_final(store, err);
    }
    store_free(store);
    return status;
}

omendb_status store_usable(struct store *store, omendb_error *err)
{
    if (store->process == store->vfs->ops->process_id(store->vfs)) return OMENDB_OK;
    return fail(err, OMENDB_ERR_MISUSE,
                "the database was opened by the parent process: open it again in the child");
}

omendb_status store_enter(struct store *store, struct snapshot *out, omendb_error *err)
{
    return epoch_enter(&store->space.epoch, out, err);
}

void store_leave(struct snapshot *snapshot)
{
    epoch_leave(snapshot);
}

omendb_status store_pin(struct store *store, struct epoch_pin *out, omendb_error *err)
{
    return epoch_pin_add(&store->space.epoch, store_clock_ns(store), OMENDB_SNAPSHOTS_MAX, out,
                         err);
}

void store_unpin(struct store *store, struct epoch_pin *pin)
{
    epoch_pin_remove(&store->space.epoch, pin);
}

uint32_t store_interrupts(struct store *store)
{
    return atomic_load_acquire_u32(store->options.interrupts);
}

void store_interrupt(struct store *store)
{
    (void)atomic_add_u32(store->options.interrupts, 1);
    event_announce(&store->indexed); /* with store_index_wait() */
}

uint64_t store_clock_ns(struct store *store)
{
    return store->vfs->ops->clock_monotonic_ns(store->vfs);
}

/* ---- The catalog ---- */

struct collection *store_collection_by_id(struct store *store, uint32_t id)
{
    if (store->stage.count != 0) {
        struct collection *last = store->stage.items[store->stage.count - 1].collection;
        if (last->id == id) return last;
    }
    for (size_t i = 0; i < store->collections_count; i++)
        if (store->collections[i]->id == id) return store->collections[i];
    return NULL;
}

/* Position of the first collection whose name isn't before `name`. */
static size_t name_position(const struct store *store, const char *name, bool *found)
{
    size_t low = 0, high = store->collections_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(store->collections[middle]->name, name) < 0) low = middle + 1;
        else high = middle;
    }
    *found = low < store->collections_count && strcmp(store->collections[low]->name, name) == 0;
    return low;
}

static omendb_status insert_reserve(struct store *store, omendb_error *err)
{
    if (store->collections_count >= OMENDB_COLLECTIONS_MAX)
        return fail(err, OMENDB_ERR_FULL, "a database holds at most %u collections",
                    OMENDB_COLLECTIONS_MAX);
    mutex_lock(&store->catalog);
    const bool room = alloc_grow(&store->collections, &store->collections_capacity,
                                 store->collections_count + 1, sizeof *store->collections);
    mutex_unlock(&store->catalog);
    if (!room) return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of collections");
    return OMENDB_OK;
}

static void insert_at(struct store *store, size_t at, struct collection *collection)
{
    memmove(store->collections + at + 1, store->collections + at,
            (store->collections_count - at) * sizeof *store->collections);
    store->collections[at] = collection;
    store->collections_count++;
}

static void remove_at(struct store *store, size_t at)
{
    store->collections_count--;
    memmove(store->collections + at, store->collections + at + 1,
            (store->collections_count - at) * sizeof *store->collections);
}

omendb_status store_collection_insert(struct store *store, struct collection *collection,
                                      omendb_error *err)
{
    bool found = false;
    TRY(insert_reserve(store, err));
    mutex_lock(&store->catalog);
    const size_t at = name_position(store, collection->name, &found);
    if (!found) insert_at(store, at, collection);
    mutex_unlock(&store->catalog);
    if (found)
        return fail(err, OMENDB_ERR_CORRUPT, "two collections have the name %s", collection->name);
    if (collection->id >= store->next_collection_id) store->next_collection_id = collection->id + 1;
    return OMENDB_OK;
}

/* Takes the collection out; its handles answer NOT_FOUND from now on. Room in `dropped` is
 * reserved before. */
static void drop_at(struct store *store, size_t at)
{
    struct collection *collection = store->collections[at];
    mutex_lock(&store->catalog);
    remove_at(store, at);
    mutex_unlock(&store->catalog);
    atomic_store_release_u32(&collection->dropped, 1); /* with the API's handle check */
    store->dropped[store->dropped_count++] = collection;
    store->catalog_changes++;
}

static omendb_status drop_reserve(struct store *store, omendb_error *err)
{
    if (!alloc_grow(&store->dropped, &store->dropped_capacity, store->dropped_count + 1,
                    sizeof *store->dropped))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of dropped collections");
    return OMENDB_OK;
}

static void rename_at(struct store *store, size_t at, const char *new_name)
{
    bool found = false;
    struct collection *collection = store->collections[at];
    mutex_lock(&store->catalog);
    remove_at(store, at);
    memcpy(collection->name, new_name, strlen(new_name) + 1);
    insert_at(store, name_position(store, new_name, &found), collection);
    mutex_unlock(&store->catalog);
    store->catalog_changes++;
}

omendb_status store_catalog_apply(struct store *store, const struct operation *op,
                                  uint64_t sequence, omendb_error *err)
{
    char name[OMENDB_NAME_SIZE_MAX + 1] = {0};
    struct collection *collection = NULL;
    if (op->id_size > OMENDB_NAME_SIZE_MAX)
        return fail(err, OMENDB_ERR_CORRUPT, "log: a collection's name is too long");
    memcpy(name, operation_id_text(op), op->id_size);
    if (op->type == OPERATION_CREATE_COLLECTION) {
        struct schema *schema = NULL;
        size_t used = 0;
        TRY(schema_decode(operation_document(op), op->document_size, &used, &schema, err));
        TRY(collection_create(&store->space, &store->options.hooks, op->collection, name, schema,
                              sequence, &collection, err));
        const omendb_status status = store_collection_insert(store, collection, err);
        if (status != OMENDB_OK) collection_unpin(collection);
        else store->catalog_changes++;
        return status;
    }
    size_t at = 0;
    while (at < store->collections_count && store->collections[at]->id != op->collection) at++;
    if (at == store->collections_count)
        return fail(err, OMENDB_ERR_CORRUPT, "log: collection %u is unknown", op->collection);
    if (op->type == OPERATION_RENAME_COLLECTION) {
        rename_at(store, at, name);
        return OMENDB_OK;
    }
    TRY(drop_reserve(store, err));
    drop_at(store, at);
    return OMENDB_OK;
}

/* Begins a change of the catalog: writer lock, nothing queued. */
static omendb_status catalog_begin(struct store *store, omendb_error *err)
{
    TRY(store_writable_settled(store, err));
    mutex_lock(&store->writer);
    txn_drain(store);
    const omendb_status status = store_writable(store, err);
    if (status != OMENDB_OK) mutex_unlock(&store->writer);
    return status;
}

static omendb_status create_logged(struct store *store, const char *name, struct schema *schema,
                                   struct collection **out, omendb_error *err)
{
    struct batch batch = {0};
    struct buffer encoded = {0};
    const uint32_t id = store->next_collection_id;
    omendb_status status = schema_encode(schema, &encoded, err);
    if (status == OMENDB_OK)
        status = batch_add(&batch, OPERATION_CREATE_COLLECTION, id, name, (uint32_t)strlen(name), 0,
                           encoded.data, (uint32_t)encoded.size, err);
    buffer_deinit(&encoded);
    if (status != OMENDB_OK) schema_destroy(schema);
    else
        status = collection_create(&store->space, &store->options.hooks, id, name, schema,
                                   store->next_sequence, out, err);
    if (status == OMENDB_OK) {
        status = txn_log_alone(store, &batch, err);
        if (status != OMENDB_OK) collection_unpin(*out);
    }
    batch_deinit(&batch);
    return status;
}

/* A dropped collection keeps its address space (seven hot arrays of 256 GiB, of 128 TiB there are)
 * until a checkpoint has released its blocks: who makes and drops many waits for one now and then. */
static void dropped_settle(struct store *store)
{
    mutex_lock(&store->writer);
    const bool many = store->path != NULL && store->dropped_count >= DROPPED_MAX;
    mutex_unlock(&store->writer);
    if (many)
        (void)checkpoint_run(store, CHECKPOINT_NORMAL, NULL); /* Creating may still succeed. */
}

omendb_status store_collection_create(struct store *store, const char *name, struct schema *schema,
                                      struct collection **out, omendb_error *err)
{
    bool found = false;
    struct collection *collection = NULL;
    omendb_status status = store_usable(store, err);
    if (status == OMENDB_OK) {
        dropped_settle(store);
        status = catalog_begin(store, err);
    }
    if (status != OMENDB_OK) {
        schema_destroy(schema);
        return status;
    }
    const size_t at = name_position(store, name, &found);
    if (found) status = fail(err, OMENDB_ERR_EXISTS, "collection %s exists already", name);
    if (status == OMENDB_OK) status = insert_reserve(store, err);
    if (status != OMENDB_OK) schema_destroy(schema);
    else status = create_logged(store, name, schema, &collection, err);
    if (status == OMENDB_OK) {
        mutex_lock(&store->catalog);
        insert_at(store, at, collection);
        if (out != NULL) collection_pin(collection);
        mutex_unlock(&store->catalog);
        store->next_collection_id++;
        store->catalog_changes++;
        if (out != NULL) *out = collection;
    }
    mutex_unlock(&store->writer);
    return status;
}

omendb_status store_collection_open(struct store *store, const char *name, struct collection **out,
                                    omendb_error *err)
{
    bool found = false;
    TRY(store_usable(store, err));
    mutex_lock(&store->catalog);
    const size_t at = name_position(store, name, &found);
    if (found) {
        *out = store->collections[at];
        collection_pin(*out);
    }
    mutex_unlock(&store->catalog);
    return found ? OMENDB_OK : fail(err, OMENDB_ERR_NOT_FOUND, "there is no collection %s", name);
}

struct collection *store_collection_find(struct store *store, uint32_t id)
{
    struct collection *found = NULL;
    mutex_lock(&store->catalog);
    for (size_t i = 0; i < store->collections_count && found == NULL; i++)
        if (store->collections[i]->id == id) found = store->collections[i];
    if (found != NULL) collection_pin(found);
    mutex_unlock(&store->catalog);
    return found;
}

omendb_status store_collection_drop(struct store *store, const char *name, omendb_error *err)
{
    bool found = false;
    struct batch batch = {0};
    TRY(catalog_begin(store, err));
    const size_t at = name_position(store, name, &found);
    omendb_status status = found
                               ? OMENDB_OK
                               : fail(err, OMENDB_ERR_NOT_FOUND, "there is no collection %s", name);
    if (status == OMENDB_OK) status = drop_reserve(store, err);
    if (status == OMENDB_OK)
        status = batch_add(&batch, OPERATION_DROP_COLLECTION, store->collections[at]->id, NULL, 0,
                           0, NULL, 0, err);
    if (status == OMENDB_OK) status = txn_log_alone(store, &batch, err);
    if (status == OMENDB_OK) drop_at(store, at);
    if (status == OMENDB_OK && store->path == NULL) {
        struct collection *dropped = store->dropped[--store->dropped_count];
        collection_unpin(dropped);
    }
    mutex_unlock(&store->writer);
    batch_deinit(&batch);
    return status;
}

omendb_status store_collection_rename(struct store *store, const char *name, const char *new_name,
                                      omendb_error *err)
{
    bool found = false, taken = false;
    struct batch batch = {0};
    TRY(catalog_begin(store, err));
    const size_t at = name_position(store, name, &found);
    (void)name_position(store, new_name, &taken);
    omendb_status status = OMENDB_OK;
    if (!found) status = fail(err, OMENDB_ERR_NOT_FOUND, "there is no collection %s", name);
    else if (taken) status = fail(err, OMENDB_ERR_EXISTS, "collection %s exists already", new_name);
    if (status == OMENDB_OK)
        status = batch_add(&batch, OPERATION_RENAME_COLLECTION, store->collections[at]->id,
                           new_name, (uint32_t)strlen(new_name), 0, NULL, 0, err);
    if (status == OMENDB_OK) status = txn_log_alone(store, &batch, err);
    if (status == OMENDB_OK) rename_at(store, at, new_name);
    mutex_unlock(&store->writer);
    batch_deinit(&batch);
    return status;
}

omendb_status store_collections(struct store *store,
                                omendb_status (*each)(void *context, struct collection *collection,
                                                      const char *name, omendb_error *err),
                                void *context, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    TRY(store_usable(store, err));
    mutex_lock(&store->catalog);
    const size_t count = store->collections_count;
    struct collection **pinned = alloc_raw(count, sizeof *pinned);
    char(*names)[OMENDB_NAME_SIZE_MAX + 1] = alloc_raw(count, sizeof *names);
    if (pinned == NULL || names == NULL)
        status = fail(err, OMENDB_ERR_NOMEM, "out of memory: list of collections");
    for (size_t i = 0; status == OMENDB_OK && i < count; i++) {
        pinned[i] = store->collections[i];
        memcpy(names[i], pinned[i]->name, sizeof *names);
        collection_pin(pinned[i]);
    }
    mutex_unlock(&store->catalog);
    const bool listed = status == OMENDB_OK;
    for (size_t i = 0; listed && i < count; i++) {
        if (status == OMENDB_OK) status = each(context, pinned[i], names[i], err);
        collection_unpin(pinned[i]);
    }
    alloc_free(names);
    alloc_free(pinned);
    return status;
}

void store_collection_name(struct store *store, struct collection *collection,
                           char out[OMENDB_NAME_SIZE_MAX + 1])
{
    mutex_lock(&store->catalog);
    memcpy(out, collection->name, sizeof collection->name);
    mutex_unlock(&store->catalog);
}
