/* backup_memory.c - a database in memory has no blocks in a file: its documents are written into a new one.
 *
 * The moment is a snapshot, taken with the list of collections under the writer lock; writers go on
 * behind it. Graphs and codes aren't copied: the new database builds them when it is opened. */
#include <string.h>

#include "base/alloc.h"
#include "store/backup_inner.h"
#include "store/store_inner.h"

enum { MEMORY_BATCH_BYTES = 4 << 20, MEMORY_STEP_SLOTS = 256 };

struct memory_part {
    struct collection *from; /* Pinned. */
    char name[OMENDB_NAME_SIZE_MAX + 1];
};

struct memory_copy {
    struct backup_copy *copy;
    struct store *from, *to;
    struct snapshot snapshot;
    struct memory_part *parts;
    size_t parts_count;
    struct batch batch;
    struct buffer scratch;
};

static omendb_status moment_take(struct memory_copy *run, omendb_error *err)
{
    struct store *from = run->from;
    mutex_lock(&from->writer);
    txn_drain(from);
    omendb_status status = store_enter(from, &run->snapshot, err);
    if (status == OMENDB_OK) {
        run->parts = alloc_zeroed(from->collections_count + 1, sizeof *run->parts);
        if (run->parts == NULL) {
            store_leave(&run->snapshot);
            status = fail(err, OMENDB_ERR_NOMEM, "out of memory: list of collections");
        }
    }
    for (size_t i = 0; status == OMENDB_OK && i < from->collections_count; i++) {
        struct memory_part *part = &run->parts[run->parts_count++];
        part->from = from->collections[i];
        collection_pin(part->from);
        memcpy(part->name, part->from->name, sizeof part->name);
        run->copy->total += atomic_load_acquire_u32(&part->from->slot_count);
    }
    mutex_unlock(&from->writer);
    return status;
}

static omendb_status batch_flush(struct memory_copy *run, omendb_error *err)
{
    if (run->batch.operation_count == 0) return OMENDB_OK;
    const omendb_status status = store_commit(run->to, &run->batch, OMENDB_DURABILITY_NONE, NULL,
                                              err);
    batch_clear(&run->batch);
    return status;
}

static omendb_status document_copy(struct memory_copy *run, struct collection *from,
                                   struct collection *to, uint32_t slot, omendb_error *err)
{
    const uint8_t *document = NULL;
    struct id_view id;
    uint32_t size = 0;
    TRY(collection_slot_id(from, slot, &id, err));
    TRY(collection_document(from, slot, &run->scratch, &document, &size, err));
    TRY(batch_add(&run->batch, OPERATION_UPSERT, to->id, id.text_view, id.size, id.number, document,
                  size, err));
    for (uint32_t f = 0; f < from->schema->vectors_count; f++) {
        const uint32_t vector_size = from->schema->vectors[f].size;
        const void *vector = NULL;
        uint32_t node = SLOT_NONE;
        void *place = NULL;
        TRY(collection_slot_node(from, f, slot, &node, err));
        if (node == SLOT_NONE) continue;
        TRY(collection_vector(from, f, node, &vector, err));
        TRY(batch_add_vector(&run->batch, f, vector_size, &place, err));
        memcpy(place, vector, vector_size);
    }
    return run->batch.bytes.size >= MEMORY_BATCH_BYTES ? batch_flush(run, err) : OMENDB_OK;
}

static omendb_status documents_copy(struct memory_copy *run, struct collection *from,
                                    struct collection *to, omendb_error *err)
{
    const uint32_t count = atomic_load_acquire_u32(&from->slot_count);
    for (uint32_t slot = 0; slot < count; slot++) {
        bool visible = false;
        if (slot % MEMORY_STEP_SLOTS == MEMORY_STEP_SLOTS - 1 &&
            run->copy->done + MEMORY_STEP_SLOTS <= run->copy->total)
            TRY(backup_copy_step(run->copy, MEMORY_STEP_SLOTS, err));
        TRY(collection_visible(from, slot, run->snapshot.sequence, &visible, err));
        if (visible) TRY(document_copy(run, from, to, slot, err));
    }
    return batch_flush(run, err);
}

static omendb_status part_copy(struct memory_copy *run, const struct memory_part *part,
                               omendb_error *err)
{
    struct collection *to = NULL;
    struct schema *schema = NULL;
    struct buffer bytes = {0};
    size_t used = 0;
    omendb_status status = schema_encode(part->from->schema, &bytes, err);
    if (status == OMENDB_OK) status = schema_decode(bytes.data, bytes.size, &used, &schema, err);
    buffer_deinit(&bytes);
    TRY(status);
    TRY(store_collection_create(run->to, part->name, schema, &to, err));
    status = documents_copy(run, part->from, to, err);
    collection_unpin(to);
    return status;
}

static omendb_status parts_copy(struct memory_copy *run, omendb_error *err)
{
    TRY(backup_copy_step(run->copy, 0, err));
    for (size_t i = 0; i < run->parts_count; i++) TRY(part_copy(run, &run->parts[i], err));
    return backup_copy_step(run->copy, run->copy->total - run->copy->done, err);
}

omendb_status backup_memory(struct store *store, struct backup_copy *copy,
                            struct backup_target *target, omendb_error *err)
{
    struct memory_copy run = {.copy = copy, .from = store};
    struct store_options options = store->options;
    omendb_error local = {0};
    options.path = backup_target_work_path(target);
    options.flags = 0;
    backup_target_lend(target);
    TRY(moment_take(&run, err));
    omendb_status status = store_open(&options, &run.to, err);
    if (status == OMENDB_OK) {
        status = parts_copy(&run, err);
        const omendb_status closed = store_close(run.to, &local);
        if (status == OMENDB_OK && closed != OMENDB_OK) {
            if (err != NULL) *err = local;
            status = closed;
        }
    }
    store_leave(&run.snapshot);
    for (size_t i = 0; i < run.parts_count; i++) collection_unpin(run.parts[i].from);
    alloc_free(run.parts);
    batch_deinit(&run.batch);
    buffer_deinit(&run.scratch);
    TRY(status);
    return backup_target_take(target, err);
}
