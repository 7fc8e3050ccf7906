/* db.c - opening and closing a database, and what concerns all of it. */
#include "api/db.h"

#include <string.h>

#include "api/handles.h"
#include "base/alloc.h"
#include "os/cpu.h"
#include "query/indexes.h"
#include "query/params.h"

enum {
    DB_INTERVAL_MS = 100,
    DB_INTERVAL_MS_MAX = 60000,
    DB_WAL_SIZE_MAX = 64 << 20,
    DB_WAL_SEGMENT_SIZE = 16 << 20
};

static omendb_status read_options(const omendb_options *from, struct store_options *out,
                                  omendb_error *err)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    if (from != NULL) TRY(params_read(&options, sizeof options, from, "options", err));
    TRY(params_check_flags(
        options.flags, OMENDB_OPEN_MUST_EXIST | OMENDB_OPEN_MUST_NOT_EXIST | OMENDB_OPEN_READ_ONLY,
        "options", err));
    if ((options.flags & OMENDB_OPEN_MUST_NOT_EXIST) != 0 &&
        (options.flags & (OMENDB_OPEN_MUST_EXIST | OMENDB_OPEN_READ_ONLY)) != 0)
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "options: MUST_NOT_EXIST contradicts MUST_EXIST and READ_ONLY");
    if (options.durability > OMENDB_DURABILITY_NONE)
        return fail(err, OMENDB_ERR_ARGUMENT, "options: unknown durability %u", options.durability);
    if (options.interval_ms > DB_INTERVAL_MS_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "options: interval_ms %u, at most %d",
                    options.interval_ms, DB_INTERVAL_MS_MAX);
    if (options.index_threads > OMENDB_INDEX_THREADS_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT, "options: index_threads %u, at most %u",
                    options.index_threads, OMENDB_INDEX_THREADS_MAX);
    out->flags = options.flags;
    out->durability = options.durability != OMENDB_DURABILITY_DEFAULT ? options.durability
                                                                      : OMENDB_DURABILITY_FULL;
    out->interval_ms = options.interval_ms != 0 ? options.interval_ms : DB_INTERVAL_MS;
    out->wal_size_max = options.wal_size_max != 0 ? options.wal_size_max : DB_WAL_SIZE_MAX;
    if (out->wal_segment_size == 0) out->wal_segment_size = DB_WAL_SEGMENT_SIZE;
    out->index_threads = options.index_threads;
    return OMENDB_OK;
}

omendb_status omendb_open(const char *path, const omendb_options *options, omendb **out,
                          omendb_error *err)
{
    const struct store_options base = {.vfs = vfs_real(), .hooks = *indexes_hooks_all()};
    return db_open(&base, path, options, out, err);
}

static omendb_status opened_create(struct opened **out, omendb_error *err)
{
    struct opened *opened = alloc_zeroed(1, sizeof *opened);
    if (opened == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: database handle");
    atomic_store_relaxed_u32(&opened->references, 1);
    *out = opened;
    return OMENDB_OK;
}

static omendb_status db_init(omendb *db, struct store_options *options, omendb_error *err)
{
    struct mutex *const mutexes[] = {&db->refreshing, &db->mutex};
    size_t made = 0;
    bool gated = false;
    omendb_status status = OMENDB_OK;
    db->kernels = kernels_for(cpu_features());
    db->read_only = (options->flags & OMENDB_OPEN_READ_ONLY) != 0;
    db->vfs = options->vfs;
    db->process = db->vfs->ops->process_id(db->vfs);
    options->interrupts = &db->interrupts;
    for (; status == OMENDB_OK && made < COUNT_OF(mutexes); made += status == OMENDB_OK)
        status = mutex_init(mutexes[made], err);
    if (status == OMENDB_OK) {
        status = gate_init(&db->gate, err);
        gated = status == OMENDB_OK;
    }
    if (status == OMENDB_OK) status = opened_create(&db->opened, err);
    if (status == OMENDB_OK) status = store_open(options, &db->opened->store, err);
    if (status == OMENDB_OK) {
        db->store = db->opened->store;
        return OMENDB_OK;
    }
    alloc_free(db->opened);
    if (gated) gate_deinit(&db->gate);
    while (made > 0) mutex_deinit(mutexes[--made]);
    return status;
}

omendb_status db_open(const struct store_options *base, const char *path,
                      const omendb_options *options, omendb **out, omendb_error *err)
{
    struct store_options store_options = {
        .vfs = base->vfs, .hooks = base->hooks, .wal_segment_size = base->wal_segment_size};
    TRY(handles_check_pointer(path, "path", err));
    TRY(handles_check_pointer(out, "out", err));
    if (path[0] == '\0') return fail(err, OMENDB_ERR_ARGUMENT, "path is empty");
    TRY(read_options(options, &store_options, err));
    const bool in_memory = strcmp(path, ":memory:") == 0;
    store_options.path = in_memory ? NULL : path;
    if (in_memory && (store_options.flags & OMENDB_OPEN_MUST_EXIST) != 0)
        return fail(err, OMENDB_ERR_NOT_FOUND, ":memory: never exists before it is opened");
    if (in_memory && (store_options.flags & OMENDB_OPEN_READ_ONLY) != 0)
        return fail(err, OMENDB_ERR_ARGUMENT, ":memory: can't be read-only: it would stay empty");
    omendb *db = alloc_zeroed(1, sizeof *db);
    if (db == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: database handle");
    const omendb_status status = db_init(db, &store_options, err);
    if (status == OMENDB_OK) *out = db;
    else alloc_free(db);
    return status;
}

omendb_status omendb_close(omendb *db, omendb_error *err)
{
    if (db == NULL) return OMENDB_OK;
    /* A forked child keeps the memory: what lies behind the handle is its parent's. */
    TRY(handles_usable(db, err));
    const omendb_status status = store_close(db->store, err);
    alloc_free(db->opened);
    gate_deinit(&db->gate);
    mutex_deinit(&db->mutex);
    mutex_deinit(&db->refreshing);
    alloc_free(db);
    return status;
}

static omendb_status db_advance(omendb *db, omendb_error *err)
{
    struct opened *newer = NULL;
    TRY(opened_create(&newer, err));
    const omendb_status status = store_open_newer(db->store, &newer->store, err);
    if (status == OMENDB_OK) handles_replace(db, newer);
    else alloc_free(newer);
    return status;
}

omendb_status omendb_refresh(omendb *db, omendb_error *err)
{
    bool newer = false;
    TRY(handles_check_db(db, err));
    if (!db->read_only) return OMENDB_OK;
    mutex_lock(&db->refreshing); /* db->store is ours to replace: it stays open meanwhile. */
    omendb_status status = store_follow(db->store, &newer, err);
    if (status == OMENDB_OK && newer) status = db_advance(db, err);
    mutex_unlock(&db->refreshing);
    return status;
}

omendb_status omendb_sync(omendb *db, omendb_error *err)
{
    TRY(handles_check_db(db, err));
    TRY(handles_check_writable(db, err));
    return store_sync(db->store, err);
}

void omendb_interrupt(omendb *db)
{
    /* A forked child's copy of the lock may be locked for ever. */
    if (db == NULL || handles_usable(db, NULL) != OMENDB_OK) return;
    struct opened *opened = handles_hold(db);
    store_interrupt(opened->store); /* What runs on an older store counts the same interrupts. */
    handles_release_opened(opened);
}

omendb_status omendb_stats(omendb *db, char **out, omendb_error *err)
{
    struct buffer text = {0};
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(out, "out", err));
    struct opened *opened = handles_hold(db);
    const omendb_status status = store_stats(opened->store, &text, err);
    handles_release_opened(opened);
    return handles_give_text(&text, status, out, err);
}

omendb_status omendb_check(omendb *db, uint32_t flags, char **out, omendb_error *err)
{
    struct buffer text = {0};
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(out, "out", err));
    TRY(params_check_flags(flags, OMENDB_CHECK_DEEP, "check", err));
    const bool deep = (flags & OMENDB_CHECK_DEEP) != 0;
    struct opened *opened = handles_hold(db);
    const omendb_status status = store_check(opened->store, deep, &text, err);
    handles_release_opened(opened);
    return handles_give_text(&text, status, out, err);
}

void omendb_text_destroy(char *text)
{
    alloc_free(text);
}
