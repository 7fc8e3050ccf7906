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
    db->kernels = kernels_for(cpu_features());
    db->read_only = (store_options.flags & OMENDB_OPEN_READ_ONLY) != 0;
    omendb_status status = gate_init(&db->gate, err);
    if (status == OMENDB_OK) {
        status = store_open(&store_options, &db->store, err);
        if (status != OMENDB_OK) gate_deinit(&db->gate);
    }
    if (status != OMENDB_OK) {
        alloc_free(db);
        return status;
    }
    *out = db;
    return OMENDB_OK;
}

omendb_status omendb_close(omendb *db, omendb_error *err)
{
    if (db == NULL) return OMENDB_OK;
    /* A forked child keeps the memory: what lies behind the handle is its parent's. */
    TRY(store_usable(db->store, err));
    const omendb_status status = store_close(db->store, err);
    gate_deinit(&db->gate);
    alloc_free(db);
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
    if (db != NULL) store_interrupt(db->store);
}

omendb_status omendb_stats(omendb *db, char **out, omendb_error *err)
{
    struct buffer text = {0};
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(out, "out", err));
    return handles_give_text(&text, store_stats(db->store, &text, err), out, err);
}

omendb_status omendb_check(omendb *db, uint32_t flags, char **out, omendb_error *err)
{
    struct buffer text = {0};
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(out, "out", err));
    TRY(params_check_flags(flags, OMENDB_CHECK_DEEP, "check", err));
    const bool deep = (flags & OMENDB_CHECK_DEEP) != 0;
    return handles_give_text(&text, store_check(db->store, deep, &text, err), out, err);
}

void omendb_text_destroy(char *text)
{
    alloc_free(text);
}
