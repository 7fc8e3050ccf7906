/* verify.c - what the store says about itself: statistics, and the check of the file. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "store/store_inner.h"

/* ---- JSON pieces ---- */

static omendb_status append_quoted(struct buffer *out, const char *text, omendb_error *err)
{
    TRY(buffer_append_text(out, "\"", err));
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') TRY(buffer_append_format(out, err, "\\%c", *at));
        else if (*at < 0x20) TRY(buffer_append_format(out, err, "\\u%04x", *at));
        else TRY(buffer_append(out, at, 1, err));
    }
    return buffer_append_text(out, "\"", err);
}

static omendb_status append_number(struct buffer *out, const char *name, uint64_t value,
                                   omendb_error *err)
{
    return buffer_append_format(out, err, "\"%s\":%llu,", name, (unsigned long long)value);
}

/* ---- Statistics ---- */

struct stats {
    struct store *store;
    struct buffer *out;
    uint64_t memory, unindexed, index;
    bool first;
};

struct array_bytes {
    uint64_t memory, stored, derived;
};

static omendb_status add_bytes(void *context, struct array *array, omendb_error *err)
{
    struct array_bytes *bytes = context;
    (void)err;
    bytes->memory += array_memory_bytes(array);
    *(array->kind >= ARRAY_CODES ? &bytes->derived : &bytes->stored) += array_stored_bytes(array);
    return OMENDB_OK;
}

static omendb_status vectors_stats(struct stats *stats, struct collection *c, omendb_error *err)
{
    struct buffer *out = stats->out;
    TRY(buffer_append_text(out, "\"vectors\":[", err));
    for (uint32_t f = 0; f < c->schema->vectors_count; f++) {
        const struct vector_store *store = &c->vectors[f];
        /* Vectors of versions that died lately keep their nodes until a checkpoint. */
        const uint64_t documents = atomic_load_acquire_u64(&c->published_count);
        const uint32_t used = atomic_load_acquire_u32(&store->nodes_live);
        const uint32_t live = used < documents ? used : (uint32_t)documents;
        if (f != 0) TRY(buffer_append_text(out, ",", err));
        TRY(buffer_append_text(out, "{\"name\":", err));
        TRY(append_quoted(out, c->schema->vectors[f].name, err));
        TRY(buffer_append_text(out, ",", err));
        TRY(append_number(out, "count", live, err));
        TRY(append_number(out, "nodes", atomic_load_acquire_u32(&store->node_count), err));
        TRY(append_number(out, "free_nodes", store->free_count, err));
        TRY(append_number(out, "held_nodes", atomic_load_acquire_u32(&store->held_free), err));
        TRY(append_number(out, "bytes_per_vector", c->schema->vectors[f].size, err));
        struct index_totals totals = {.unindexed = live};
        if (c->hooks != NULL && c->hooks->stats != NULL)
            TRY(c->hooks->stats(c->hooks->context, c, f, out, &totals, err));
        TRY(buffer_append_format(out, err, "\"unindexed\":%llu}",
                                 (unsigned long long)totals.unindexed));
        stats->unindexed += totals.unindexed;
        stats->index += totals.bytes;
    }
    return buffer_append_text(out, "]", err);
}

static omendb_status collection_stats(void *context, struct collection *c, const char *name,
                                      omendb_error *err)
{
    struct stats *stats = context;
    struct buffer *out = stats->out;
    struct array_bytes bytes = {0};
    TRY(collection_each_array(c, add_bytes, &bytes, err));
    stats->memory += bytes.memory;
    if (!stats->first) TRY(buffer_append_text(out, ",", err));
    stats->first = false;
    TRY(buffer_append_text(out, "{\"name\":", err));
    TRY(append_quoted(out, name, err));
    TRY(buffer_append_text(out, ",", err));
    TRY(append_number(out, "count", atomic_load_acquire_u64(&c->published_count), err));
    TRY(append_number(out, "capacity", atomic_load_acquire_u32(&c->slot_capacity), err));
    TRY(append_number(out, "growths", c->growth_count, err));
    TRY(append_number(out, "slots", atomic_load_acquire_u32(&c->slot_count), err));
    TRY(append_number(out, "free_slots", c->free_count, err));
    TRY(append_number(out, "dead_slots", c->dead_end - c->dead_begin, err));
    TRY(append_number(out, "document_bytes", c->documents.live_bytes, err));
    TRY(append_number(out, "document_bytes_dead", c->documents.used_bytes - c->documents.live_bytes,
                      err));
    TRY(append_number(out, "memory_bytes", bytes.memory, err));
    TRY(append_number(out, "stored_bytes", bytes.stored, err));
    TRY(append_number(out, "stored_bytes_derived", bytes.derived, err));
    TRY(vectors_stats(stats, c, err));
    return buffer_append_text(out, "}", err);
}

static const char *durability_name(omendb_durability durability)
{
    switch (durability) {
    case OMENDB_DURABILITY_FULL:
        return "full";
    case OMENDB_DURABILITY_INTERVAL:
        return "interval";
    case OMENDB_DURABILITY_NONE:
        return "none";
    default:
        return "default";
    }
}

static omendb_status log_stats(struct store *store, struct buffer *out, omendb_error *err)
{
    uint64_t file_bytes = 0;
    if (store->path != NULL) TRY(file_size(store->space.file, &file_bytes, err));
    TRY(append_number(out, "file_bytes", file_bytes, err));
    if (store->path != NULL) {
        mutex_lock(&store->wal.mutex);
        const uint64_t wal_bytes = store->wal.bytes_total;
        mutex_unlock(&store->wal.mutex);
        TRY(append_number(out, "wal_bytes", wal_bytes, err));
        TRY(append_number(out, "wal_bytes_to_replay", wal_bytes_since(&store->wal, store->live.wal),
                          err));
    }
    TRY(append_number(out, "generation", store->live.generation, err));
    TRY(append_number(out, "checkpoint_sequence", store->live.sequence, err));
    TRY(append_number(out, "checkpoints", store->checkpoints, err));
    return append_number(out, "replayed_batches", store->replayed_batches, err);
}

/* Counters that the log leader and the upkeep thread change. */
static omendb_status upkeep_stats(struct store *store, struct buffer *out, omendb_error *err)
{
    mutex_lock(&store->log);
    const uint64_t duration = store->checkpoint_ns_last, failures = store->upkeep_failures;
    const uint64_t groups = store->groups;
    const omendb_error error = store->upkeep_error;
    mutex_unlock(&store->log);
    TRY(append_number(out, "commit_groups", groups, err));
    TRY(buffer_append_format(out, err, "\"checkpoint_ms_last\":%.3f,", (double)duration / 1e6));
    TRY(append_number(out, "upkeep_failures", failures, err));
    if (failures == 0) return OMENDB_OK;
    TRY(buffer_append_text(out, "\"upkeep_error\":", err));
    TRY(append_quoted(out, error.message, err));
    return buffer_append_text(out, ",", err);
}

/* What is pinned, and since when. */
static omendb_status pin_stats(struct store *store, struct buffer *out, omendb_error *err)
{
    struct epoch_pin oldest = {0};
    TRY(append_number(out, "readers", epoch_readers(&store->space.epoch), err));
    const uint32_t count = epoch_pins(&store->space.epoch, &oldest);
    TRY(append_number(out, "snapshots", count, err));
    TRY(append_number(out, "snapshots_max", OMENDB_SNAPSHOTS_MAX, err));
    if (count == 0)
        return buffer_append_text(
            out, "\"snapshot_oldest_sequence\":null,\"snapshot_oldest_ms\":null,", err);
    const uint64_t now_ns = store_clock_ns(store);
    TRY(append_number(out, "snapshot_oldest_sequence", oldest.sequence, err));
    return append_number(out, "snapshot_oldest_ms",
                         now_ns > oldest.since_ns ? (now_ns - oldest.since_ns) / 1000000 : 0, err);
}

static omendb_status stats_write(struct store *store, struct buffer *out, omendb_error *err)
{
    struct stats stats = {.store = store, .out = out, .first = true};
    TRY(buffer_append_text(out, "{\"path\":", err));
    TRY(append_quoted(out, store->path != NULL ? store->path : ":memory:", err));
    TRY(buffer_append_format(out, err, ",\"durability\":\"%s\",\"read_only\":%s,\"fenced\":%s,",
                             durability_name(store->options.durability),
                             store->read_only ? "true" : "false",
                             atomic_load_acquire_u32(&store->fenced) != 0 ? "true" : "false"));
    TRY(append_number(out, "sequence",
                      atomic_load_acquire_u64(&store->space.epoch.visible_sequence), err));
    TRY(log_stats(store, out, err));
    TRY(upkeep_stats(store, out, err));
    TRY(append_number(out, "commits", store->commits, err));
    TRY(pin_stats(store, out, err));
    TRY(buffer_append_text(out, "\"collections\":[", err));
    for (size_t i = 0; i < store->collections_count; i++)
        TRY(collection_stats(&stats, store->collections[i], store->collections[i]->name, err));
    TRY(buffer_append_text(out, "],", err));
    TRY(append_number(out, "unindexed", stats.unindexed, err));
    TRY(append_number(out, "index_bytes", stats.index, err));
    return buffer_append_format(out, err, "\"array_bytes\":%llu,\"heap_bytes\":%llu}",
                                (unsigned long long)stats.memory,
                                (unsigned long long)alloc_bytes());
}

omendb_status store_stats(struct store *store, struct buffer *out, omendb_error *err)
{
    TRY(store_usable(store, err));
    /* The writer's counters are read under its lock: statistics are a moment's truth. */
    mutex_lock(&store->writer);
    const omendb_status status = stats_write(store, out, err);
    mutex_unlock(&store->writer);
    return status;
}

/* ---- The check ---- */

enum { PROBLEMS_MAX = 1000 };

struct check {
    struct store *store;
    bool deep;
    struct buffer problems;
    uint64_t problem_count, blocks, collections, documents;
    struct block_map seen;
};

static void problem(void *context, const char *text)
{
    struct check *check = context;
    if (check->problem_count++ >= PROBLEMS_MAX) return;
    if (check->problems.size != 0) (void)buffer_append_text(&check->problems, ",", NULL);
    (void)append_quoted(&check->problems, text, NULL);
}

static omendb_status see_block(void *context, struct block_ref ref, omendb_error *err)
{
    struct check *check = context;
    char text[128];
    (void)err;
    check->blocks++;
    if (ref.block < BLOCK_FIRST ||
        ((uint64_t)ref.block + 1) * BLOCK_SIZE > check->store->space.mapping_length)
        (void)snprintf(text, sizeof text, "block %u can't be one of this file", ref.block);
    else if (!check->store->read_only && !block_map_is_taken(&check->store->space.map, ref.block))
        (void)snprintf(text, sizeof text, "block %u is used but counted as free", ref.block);
    else if (block_map_is_taken(&check->seen, ref.block))
        (void)snprintf(text, sizeof text, "block %u is used twice", ref.block);
    else return block_map_mark(&check->seen, ref.block, 1, err);
    problem(check, text);
    return OMENDB_OK;
}

static omendb_status check_directory(void *context, struct array *array, omendb_error *err)
{
    omendb_error local = {0};
    (void)err;
    const omendb_status status = array_each_block(array, see_block, context, &local);
    if (status == OMENDB_ERR_CORRUPT) problem(context, local.message);
    else if (status != OMENDB_OK) return fail(err, status, "%s", local.message);
    return OMENDB_OK;
}

static omendb_status check_content(void *context, struct array *array, omendb_error *err)
{
    return array_verify(array, problem, context, err);
}

static omendb_status check_collection(void *context, struct collection *collection,
                                      const char *name, omendb_error *err)
{
    struct check *check = context;
    struct snapshot snapshot;
    (void)name;
    check->collections++;
    check->documents += atomic_load_acquire_u64(&collection->published_count);
    if (check->store->path != NULL) {
        TRY(collection_each_array(collection, check_directory, check, err));
        if (check->deep) TRY(collection_each_array(collection, check_content, check, err));
    }
    TRY(store_enter(check->store, &snapshot, err));
    const omendb_status status = collection_verify(collection, snapshot.sequence, check->deep,
                                                   problem, check, err);
    store_leave(&snapshot);
    const struct index_hooks *hooks = collection->hooks;
    if (status != OMENDB_OK || hooks == NULL || hooks->verify == NULL) return status;
    return hooks->verify(hooks->context, collection, check->deep, problem, check, err);
}

static omendb_status check_superblocks(struct check *check, omendb_error *err)
{
    struct superblock slots[2] = {0};
    omendb_status status = OMENDB_OK;
    for (uint32_t i = 0; status == OMENDB_OK && i < 2; i++)
        status = superblock_read(check->store->space.file, i, &slots[i], err);
    if (status == OMENDB_OK) {
        const uint32_t live = check->store->live.slot;
        if (!slots[0].valid) problem(check, "superblock 0 is damaged");
        if (!slots[1].valid) problem(check, "superblock 1 is damaged");
        if (!check->store->read_only && slots[live].valid &&
            slots[live].root.generation != check->store->live.generation)
            problem(check, "the live superblock isn't the one that was written last");
        if (check->store->live.catalog_refs != 0) {
            for (uint32_t i = 0; i < check->store->live.catalog_refs; i++)
                (void)see_block(check, catalog_ref(&check->store->live.payload, i), err);
        }
    }
    superblock_deinit(&slots[0]);
    superblock_deinit(&slots[1]);
    return status;
}

/* Every taken block is used, or waits to be free. */
static void check_leaks(struct check *check)
{
    struct space *space = &check->store->space;
    uint64_t lost = 0;
    char text[128];
    for (uint32_t block = BLOCK_FIRST; block < space->map.end; block++)
        if (block_map_is_taken(&space->map, block) && !block_map_is_taken(&check->seen, block))
            lost++;
    if (lost <= space->released_count) return;
    (void)snprintf(text, sizeof text, "%llu blocks are counted as used but nothing refers to them",
                   (unsigned long long)(lost - space->released_count));
    problem(check, text);
}

static omendb_status check_write(struct check *check, struct buffer *out, omendb_error *err)
{
    TRY(buffer_append_format(
        out, err,
        "{\"ok\":%s,\"deep\":%s,\"collections\":%llu,\"documents\":%llu,\"blocks\":%llu,"
        "\"problem_count\":%llu,\"problems\":[",
        check->problem_count == 0 ? "true" : "false", check->deep ? "true" : "false",
        (unsigned long long)check->collections, (unsigned long long)check->documents,
        (unsigned long long)check->blocks, (unsigned long long)check->problem_count));
    TRY(buffer_append(out, check->problems.data, check->problems.size, err));
    return buffer_append_text(out, "]}", err);
}

/* A checkpoint would move blocks under the check, so it waits; writers wait only while the
 * counters of a collection are compared. */
omendb_status store_check(struct store *store, bool deep, struct buffer *out, omendb_error *err)
{
    struct check check = {.store = store, .deep = deep};
    TRY(store_usable(store, err));
    mutex_lock(&store->checkpoint_mutex);
    omendb_status status = OMENDB_OK;
    if (store->path != NULL) status = check_superblocks(&check, err);
    mutex_lock(&store->writer);
    for (size_t i = 0; status == OMENDB_OK && i < store->collections_count; i++)
        status = check_collection(&check, store->collections[i], store->collections[i]->name, err);
    mutex_unlock(&store->writer);
    if (status == OMENDB_OK && store->path != NULL && !store->read_only &&
        store->dropped_count == 0)
        check_leaks(&check);
    mutex_unlock(&store->checkpoint_mutex);
    if (status == OMENDB_OK) status = check_write(&check, out, err);
    buffer_deinit(&check.problems);
    block_map_deinit(&check.seen);
    return status;
}
