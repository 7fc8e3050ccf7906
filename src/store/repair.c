#include "store/repair.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "doc/json.h"
#include "store/collection_inner.h"
#include "store/repair_inner.h"

/* ---- Pieces ---- */

omendb_status repair_problem(struct repair *run, const char *text, omendb_error *err)
{
    run->problems_count++;
    if (run->problems.size != 0) TRY(buffer_append_text(&run->problems, ",", err));
    return json_append_string(&run->problems, text, strlen(text), err);
}

void repair_id_of(const struct repair *run, const struct repair_loss *loss, struct id_view *out)
{
    *out = (struct id_view){.number = loss->id.number};
    if (loss->id.text_offset == UINT64_MAX) return;
    *out = (struct id_view){.text_view = run->loss_texts.data + loss->id.text_offset,
                            .size = loss->id.size};
}

omendb_status repair_flush(struct repair *run, omendb_error *err)
{
    if (run->batch.operation_count == 0) return OMENDB_OK;
    const omendb_status status = store_commit(run->out, &run->batch, OMENDB_DURABILITY_NONE, NULL,
                                              err);
    batch_clear(&run->batch);
    return status;
}

static struct repair_part *part_of(struct repair *run, uint32_t id)
{
    for (size_t i = 0; i < run->parts_count; i++)
        if (run->parts[i].id == id && !run->parts[i].dropped) return &run->parts[i];
    return NULL;
}

static omendb_status part_add(struct repair *run, uint32_t id, struct collection *from,
                              omendb_error *err)
{
    if (!alloc_grow(&run->parts, &run->parts_capacity, run->parts_count + 1, sizeof *run->parts))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of collections");
    run->parts[run->parts_count++] = (struct repair_part){.id = id, .from = from};
    return OMENDB_OK;
}

/* ---- The image ---- */

static omendb_status keep_part(void *context, struct collection *collection, omendb_error *err)
{
    struct repair *run = context;
    const omendb_status status = part_add(run, collection->id, collection, err);
    if (status != OMENDB_OK) collection_unpin(collection);
    return status;
}

static void parts_forget(struct repair *run)
{
    for (size_t i = 0; i < run->parts_count; i++) {
        if (run->parts[i].from != NULL) collection_unpin(run->parts[i].from);
        if (run->parts[i].to != NULL) collection_unpin(run->parts[i].to);
    }
    run->parts_count = 0;
}

/* The newest image whose catalog can be read. */
static omendb_status image_find(struct repair *run, omendb_error *err)
{
    const struct superblock *slots = run->slots;
    const uint32_t newest = !slots[0].valid ||
                            (slots[1].valid && slots[1].root.generation > slots[0].root.generation);
    omendb_status status = OMENDB_ERR_CORRUPT;
    if (!slots[newest].valid)
        return fail(err, OMENDB_ERR_CORRUPT,
                    "%s: not an OmenDB database, or both superblocks are damaged: nothing leads to "
                    "its documents",
                    run->path);
    for (uint32_t i = 0; i < 2 && status == OMENDB_ERR_CORRUPT; i++) {
        struct catalog_view view;
        omendb_error local = {0};
        run->slot = i == 0 ? newest : 1 - newest;
        if (!slots[run->slot].valid) continue;
        status = image_each_collection(&run->space, &slots[run->slot], NULL, keep_part, run,
                                       &run->catalog, &view, &local);
        if (status == OMENDB_OK) break;
        parts_forget(run);
        if (err != NULL) *err = local;
        TRY(repair_problem(run, local.message, err));
    }
    if (status != OMENDB_OK) return fail_within(err, status, "%s", run->path);
    if (!slots[1 - run->slot].valid) TRY(repair_problem(run, "one superblock is damaged", err));
    run->sequence = slots[run->slot].root.sequence;
    return OMENDB_OK;
}

static omendb_status image_salvage(struct repair *run, omendb_error *err)
{
    const size_t count = run->parts_count;
    for (size_t i = 0; i < count; i++)
        run->total += atomic_load_relaxed_u32(&run->parts[i].from->slot_count);
    for (size_t i = 0; i < count; i++) {
        struct repair_part *part = &run->parts[i];
        struct schema *schema = NULL;
        struct buffer bytes = {0};
        size_t used = 0;
        omendb_status status = schema_encode(part->from->schema, &bytes, err);
        if (status == OMENDB_OK)
            status = schema_decode(bytes.data, bytes.size, &used, &schema, err);
        buffer_deinit(&bytes);
        TRY(status);
        TRY(store_collection_create(run->out, part->from->name, schema, &part->to, err));
        TRY(repair_collection(run, part, err));
    }
    return OMENDB_OK;
}

/* ---- The log ---- */

static int losses_order(const void *a, const void *b)
{
    const struct repair_loss *left = a, *right = b;
    if (left->collection != right->collection) return left->collection < right->collection ? -1 : 1;
    return left->hash < right->hash ? -1 : left->hash > right->hash;
}

/* The log says what became of the document: it isn't lost. */
static void loss_resolve(struct repair *run, uint32_t collection, const struct id_view *id)
{
    const struct repair_loss key = {.collection = collection, .hash = id_hash(id)};
    size_t low = 0, high = run->losses_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (losses_order(&run->losses[middle], &key) < 0) low = middle + 1;
        else high = middle;
    }
    for (; low < run->losses_count && losses_order(&run->losses[low], &key) == 0; low++) {
        struct id_view other;
        repair_id_of(run, &run->losses[low], &other);
        if (id_view_compare(&other, id) == 0) run->losses[low].resolved = true;
    }
}

static omendb_status catalog_operation(struct repair *run, const struct operation *op,
                                       omendb_error *err)
{
    struct repair_part *part = part_of(run, op->collection);
    char name[OMENDB_NAME_SIZE_MAX + 1] = {0}, old[OMENDB_NAME_SIZE_MAX + 1] = {0};
    if (op->id_size <= OMENDB_NAME_SIZE_MAX) memcpy(name, operation_id_text(op), op->id_size);
    if (op->type == OPERATION_CREATE_COLLECTION) {
        struct schema *schema = NULL;
        size_t used = 0;
        TRY(schema_decode(operation_document(op), op->document_size, &used, &schema, err));
        struct collection *made = NULL;
        TRY(store_collection_create(run->out, name, schema, &made, err));
        const omendb_status status = part_add(run, op->collection, NULL, err);
        if (status == OMENDB_OK) run->parts[run->parts_count - 1].to = made;
        else collection_unpin(made);
        return status;
    }
    if (part == NULL) return OMENDB_OK;
    store_collection_name(run->out, part->to, old);
    if (op->type == OPERATION_RENAME_COLLECTION)
        return store_collection_rename(run->out, old, name, err);
    part->dropped = true;
    return store_collection_drop(run->out, old, err);
}

static omendb_status document_operation(struct repair *run, const struct operation *op,
                                        omendb_error *err)
{
    struct repair_part *part = part_of(run, op->collection);
    const struct id_view id = {.text_view = op->id_is_text != 0 ? operation_id_text(op) : NULL,
                               .size = op->id_size,
                               .number = op->id_number};
    if (part == NULL) return OMENDB_OK;
    loss_resolve(run, op->collection, &id);
    TRY(batch_add(&run->batch, (enum operation_type)op->type, part->to->id, id.text_view, id.size,
                  id.number, operation_document(op), op->document_size, err));
    const struct operation_vector *vector = operation_vector_first(op);
    for (uint32_t i = 0; i < op->vector_count; i++, vector = operation_vector_next(vector)) {
        void *to = NULL;
        TRY(batch_add_vector(&run->batch, vector->field, vector->size, &to, err));
        memcpy(to, operation_vector_bytes(vector), vector->size);
    }
    return OMENDB_OK;
}

static omendb_status log_batch(void *context, const struct wal_batch *batch, omendb_error *err)
{
    struct repair *run = context;
    size_t at = 0;
    for (uint32_t i = 0; i < batch->operation_count; i++) {
        const struct operation *op = (const void *)(batch->bytes + at);
        if (op->type >= OPERATION_CREATE_COLLECTION) TRY(catalog_operation(run, op, err));
        else TRY(document_operation(run, op, err));
        at += (size_t)op->size;
    }
    TRY(repair_flush(run, err)); /* A batch stays one. */
    run->sequence = batch->sequence;
    run->replayed++;
    return OMENDB_OK;
}

/* The log behind the image, up to the first damage. */
static omendb_status log_salvage(struct repair *run, omendb_error *err)
{
    const struct superblock_root *root = &run->slots[run->slot].root;
    const struct superblock *other = &run->slots[1 - run->slot];
    const struct wal_position begin = {.segment = root->wal_segment,
                                       .offset = root->wal_offset,
                                       .salt = root->wal_salt,
                                       .chain = root->wal_chain};
    struct wal wal = {0};
    omendb_error local = {0};
    bool found = false;
    if (run->losses_count > 1)
        qsort(run->losses, run->losses_count, sizeof *run->losses, losses_order);
    omendb_status status = wal_init(&wal, run->like->vfs, run->path, root->uuid,
                                    WAL_SEGMENT_DEFAULT, err);
    if (status == OMENDB_OK)
        status = wal_replay(&wal, begin, root->sequence, log_batch, run, &found, &local);
    wal_deinit(&wal);
    if (status == OMENDB_ERR_CORRUPT) {
        batch_clear(&run->batch);
        TRY(repair_problem(run, local.message, err));
    } else if (status != OMENDB_OK) {
        if (err != NULL && local.status != OMENDB_OK) *err = local;
        return status;
    } else if (!found &&
               (root->wal_offset != 0 || (!other->valid && root->state != SUPERBLOCK_CLEAN))) {
        TRY(repair_problem(run, "the log is missing: what it held is lost", err));
    }
    if (other->valid && other->root.sequence > run->sequence)
        TRY(repair_problem(run,
                           "only an older image could be read, and its log doesn't reach as far "
                           "as the newer one did",
                           err));
    return OMENDB_OK;
}

/* ---- The report ---- */

static omendb_status ids_append(const struct repair *run, const struct repair_part *part,
                                bool incomplete, struct buffer *out, uint64_t *count,
                                omendb_error *err)
{
    *count = 0;
    TRY(buffer_append_format(out, err, ",\"%s\":[", incomplete ? "incomplete_ids" : "lost_ids"));
    for (size_t i = 0; i < run->losses_count; i++) {
        const struct repair_loss *loss = &run->losses[i];
        struct id_view id;
        if (loss->collection != part->id || loss->resolved || (loss->fields != 0) != incomplete)
            continue;
        if (++*count > REPAIR_IDS_MAX) continue;
        if (*count != 1) TRY(buffer_append_text(out, ",", err));
        repair_id_of(run, loss, &id);
        if (id.text_view == NULL)
            TRY(buffer_append_format(out, err, "%llu", (unsigned long long)id.number));
        else TRY(json_append_string(out, (const char *)id.text_view, id.size, err));
    }
    return buffer_append_text(out, "]", err);
}

static omendb_status report_part(struct repair *run, const struct repair_part *part,
                                 struct buffer *out, bool *complete, omendb_error *err)
{
    char name[OMENDB_NAME_SIZE_MAX + 1];
    uint64_t lost = 0, incomplete = 0;
    store_collection_name(run->out, part->to, name);
    TRY(buffer_append_text(out, "{\"name\":", err));
    TRY(json_append_string(out, name, strlen(name), err));
    TRY(buffer_append_format(
        out, err, ",\"documents\":%llu",
        (unsigned long long)atomic_load_relaxed_u64(&part->to->published_count)));
    TRY(ids_append(run, part, false, out, &lost, err));
    TRY(ids_append(run, part, true, out, &incomplete, err));
    if (lost + incomplete + part->nameless != 0) *complete = false;
    return buffer_append_format(out, err,
                                ",\"lost\":%llu,\"incomplete\":%llu,\"lost_without_id\":%llu}",
                                (unsigned long long)lost, (unsigned long long)incomplete,
                                (unsigned long long)part->nameless);
}

static omendb_status report_make(struct repair *run, struct buffer *out, omendb_error *err)
{
    bool complete = run->problems_count == 0, first = true;
    struct buffer parts = {0};
    omendb_status status = OMENDB_OK;
    for (size_t i = 0; status == OMENDB_OK && i < run->parts_count; i++) {
        if (run->parts[i].dropped) continue;
        if (!first) status = buffer_append_text(&parts, ",", err);
        first = false;
        if (status == OMENDB_OK) status = report_part(run, &run->parts[i], &parts, &complete, err);
    }
    if (status == OMENDB_OK)
        status = buffer_append_format(
            out, err,
            "{\"complete\":%s,\"sequence\":%llu,\"log_batches\":%llu,\"damaged_blocks\":%llu,"
            "\"damage\":[",
            complete ? "true" : "false", (unsigned long long)run->sequence,
            (unsigned long long)run->replayed, (unsigned long long)run->damage_count);
    if (status == OMENDB_OK) status = buffer_append(out, run->damage.data, run->damage.size, err);
    if (status == OMENDB_OK) status = buffer_append_text(out, "],\"problems\":[", err);
    if (status == OMENDB_OK)
        status = buffer_append(out, run->problems.data, run->problems.size, err);
    if (status == OMENDB_OK) status = buffer_append_text(out, "],\"collections\":[", err);
    if (status == OMENDB_OK) status = buffer_append(out, parts.data, parts.size, err);
    if (status == OMENDB_OK) status = buffer_append_text(out, "]}", err);
    buffer_deinit(&parts);
    return status;
}

/* ---- All of it ---- */

static omendb_status source_open(struct repair *run, omendb_error *err)
{
    struct file *file = NULL;
    TRY(file_open(run->like->vfs, run->path, FILE_READ_ONLY, &file, err));
    const omendb_status status = store_pin_newest(file, run->path, run->slots, err);
    if (status != OMENDB_OK) {
        file_close(file);
        return status;
    }
    TRY(space_init(&run->space, run->like->vfs, file, true, err));
    run->space.lists_unread = true;
    return image_find(run, err);
}

/* Graphs are whole when the new database is closed. */
static omendb_status index_finish(struct repair *run, omendb_error *err)
{
    bool more = run->like->hooks.work != NULL;
    while (more) TRY(store_index_work(run->out, &more, err));
    return OMENDB_OK;
}

static omendb_status salvage_into(struct repair *run, struct buffer *report, omendb_error *err)
{
    struct store_options options = *run->like;
    options.path = backup_target_work_path(&run->target);
    options.flags = 0;
    backup_target_lend(&run->target);
    TRY(store_open(&options, &run->out, err));
    omendb_status status = image_salvage(run, err);
    if (status == OMENDB_OK) status = log_salvage(run, err);
    if (status == OMENDB_OK) status = index_finish(run, err);
    if (status == OMENDB_OK) status = report_make(run, report, err);
    parts_forget(run);
    omendb_error local = {0};
    const omendb_status closed = store_close(run->out, &local);
    run->out = NULL;
    if (status == OMENDB_OK && closed != OMENDB_OK) {
        if (err != NULL) *err = local;
        status = closed;
    }
    TRY(status);
    TRY(backup_target_take(&run->target, err));
    return backup_target_publish(&run->target, err);
}

omendb_status repair_run(const struct store_options *like, const char *path, const char *out_path,
                         const struct repair_options *options, struct buffer *report,
                         omendb_error *err)
{
    struct repair run = {.like = like, .options = options, .path = path};
    bool same = false;
    omendb_status status = source_open(&run, err);
    if (status == OMENDB_OK) status = space_file_is_at(run.space.file, out_path, &same, err);
    if (status == OMENDB_OK && same)
        status = fail(err, OMENDB_ERR_ARGUMENT, "%s: the original is never written", out_path);
    if (status == OMENDB_OK)
        status = backup_target_open(like->vfs, out_path, options->replace, &run.target, err);
    if (status == OMENDB_OK) {
        status = salvage_into(&run, report, err);
        backup_target_close(&run.target);
    }
    parts_forget(&run);
    if (run.space.file != NULL) space_deinit(&run.space);
    superblock_deinit(&run.slots[0]);
    superblock_deinit(&run.slots[1]);
    buffer_deinit(&run.catalog);
    buffer_deinit(&run.loss_texts);
    buffer_deinit(&run.scratch);
    buffer_deinit(&run.damage);
    buffer_deinit(&run.problems);
    batch_deinit(&run.batch);
    alloc_free(run.parts);
    alloc_free(run.losses);
    return status;
}
