/* exec.c - queries that visit slots: by id, by filter, in the order of ids. */
#include "query/exec.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "query/params.h"
#include "query/run.h"
#include "query/write.h"

enum { FIND_LIMIT_DEFAULT = 100 };

/* ---- Every visible slot ---- */

/* Calls each() for every slot visible in the snapshot, in no order. */
static omendb_status visit_slots(const struct run *run,
                                 omendb_status (*each)(void *context, uint32_t slot,
                                                       omendb_error *err),
                                 void *context, omendb_error *err)
{
    struct collection *collection = run->exec->collection;
    /* Loaded after the snapshot was entered: what the snapshot sees lies below it. */
    const uint32_t slot_count = atomic_load_acquire_u32(&collection->slot_count);
    for (uint32_t slot = 0; slot < slot_count; slot++) {
        bool visible = false;
        if (slot % EXEC_STRIDE == 0) TRY(run_check(run, err));
        TRY(collection_visible(collection, slot, run->snapshot.sequence, &visible, err));
        if (visible) TRY(each(context, slot, err));
    }
    return OMENDB_OK;
}

/* And for every document that the run sees: those slots that aren't hidden (own NULL), then the
 * transaction's own documents (slot SLOT_NONE). */
struct visiting {
    const struct run *run;
    omendb_status (*each)(void *context, uint32_t slot, const struct operation *own,
                          omendb_error *err);
    void *context;
};

static omendb_status visit_unhidden(void *context, uint32_t slot, omendb_error *err)
{
    const struct visiting *visiting = context;
    if (run_hides(visiting->run, slot)) return OMENDB_OK;
    return visiting->each(visiting->context, slot, NULL, err);
}

static omendb_status visit_documents(const struct run *run,
                                     omendb_status (*each)(void *context, uint32_t slot,
                                                           const struct operation *own,
                                                           omendb_error *err),
                                     void *context, omendb_error *err)
{
    struct visiting visiting = {.run = run, .each = each, .context = context};
    TRY(visit_slots(run, visit_unhidden, &visiting, err));
    for (size_t i = 0; run->own != NULL && i < run->own->count; i++) {
        const struct operation *own = run_own(run, i);
        if (i % EXEC_STRIDE == 0) TRY(run_check(run, err));
        if (own != NULL) TRY(each(context, SLOT_NONE, own, err));
    }
    return OMENDB_OK;
}

static omendb_status document_id(const struct run *run, uint32_t slot, const struct operation *own,
                                 struct id_view *out, omendb_error *err)
{
    if (own == NULL) return collection_slot_id(run->exec->collection, slot, out, err);
    *out = operation_id(own);
    return OMENDB_OK;
}

static omendb_status document_passes(const struct run *run, uint32_t slot,
                                     const struct operation *own, bool *out, omendb_error *err)
{
    if (own == NULL) return run_passes(run, &run->workspace->scratch, slot, out, err);
    *out = run_passes_own(run, own);
    return OMENDB_OK;
}

/* ---- By id ---- */

static omendb_status get_one(const struct run *run, const omendb_id *id, struct result *result,
                             omendb_error *err)
{
    struct id_view view;
    uint32_t slot = SLOT_NONE;
    TRY(write_check_id(id, &view, err));
    const struct operation *own = run->own != NULL
                                      ? overlay_find(run->exec->view->overlay, run->own, &view)
                                      : NULL;
    if (own != NULL && own->type == OPERATION_UPSERT)
        return result_add_own(result, run->exec->collection->schema, own, err);
    if (own == NULL)
        TRY(collection_find(run->exec->collection, &view, run->snapshot.sequence, &slot, err));
    if (slot == SLOT_NONE) return result_add_missing(result, &view, err);
    return result_add(result, run->exec->collection, slot, &view, &run->workspace->scratch, err);
}

omendb_status exec_get(const struct exec *exec, const omendb_id *ids, size_t count, uint32_t flags,
                       omendb_documents **out, omendb_error *err)
{
    struct run run;
    omendb_documents *documents = NULL;
    TRY(params_check_flags(flags, OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS, "get", err));
    if (count != 0 && ids == NULL) return fail(err, OMENDB_ERR_ARGUMENT, "get: ids is NULL");
    omendb_status status = run_begin(&run, exec, NULL, 0, 0, err);
    if (status == OMENDB_OK)
        status = result_create_documents(exec->collection->schema, flags, &documents, err);
    for (size_t i = 0; status == OMENDB_OK && i < count; i++) {
        status = i % EXEC_STRIDE == 0 ? run_check(&run, err) : OMENDB_OK;
        if (status == OMENDB_OK) status = get_one(&run, &ids[i], &documents->own, err);
        if (status != OMENDB_OK) (void)fail_within(err, status, "get: id %zu", i);
    }
    run_end(&run);
    if (status != OMENDB_OK) {
        result_destroy_documents(documents);
        return status;
    }
    documents->count = documents->own.count;
    *out = documents;
    return OMENDB_OK;
}

static int slots_compare(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

omendb_status exec_count_ids(const struct exec *exec, const omendb_id *ids, size_t count,
                             uint64_t *out, omendb_error *err)
{
    struct run run;
    uint64_t existing = 0;
    size_t slots_count = 0;
    uint32_t *slots = alloc_raw(count, sizeof *slots);
    if (slots == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: %zu ids", count);
    omendb_status status = run_begin(&run, exec, NULL, 0, 0, err);
    for (size_t i = 0; status == OMENDB_OK && i < count; i++) {
        struct id_view view;
        uint32_t slot = SLOT_NONE;
        status = write_check_id(&ids[i], &view, err);
        if (status == OMENDB_OK)
            status = collection_find(exec->collection, &view, run.snapshot.sequence, &slot, err);
        if (slot != SLOT_NONE) slots[slots_count++] = slot;
    }
    run_end(&run);
    if (slots_count > 1) qsort(slots, slots_count, sizeof *slots, slots_compare);
    for (size_t i = 0; i < slots_count; i++) existing += i == 0 || slots[i] != slots[i - 1];
    alloc_free(slots);
    if (status == OMENDB_OK) *out = existing;
    return status;
}

/* ---- In the order of ids ---- */

/* The `limit` smallest ids that pass: a heap with the largest on top. The filter is asked last,
 * only of documents whose id would get in. */
struct finding {
    const struct run *run;
    struct workspace *workspace;
    const struct id_view *after; /* NULL: from the first. */
    size_t limit, count;
};

static void sift_down(struct found_document *heap, size_t count, size_t at)
{
    for (;;) {
        size_t larger = 2 * at + 1;
        if (larger >= count) return;
        if (larger + 1 < count && id_view_compare(&heap[larger + 1].id, &heap[larger].id) > 0)
            larger++;
        if (id_view_compare(&heap[at].id, &heap[larger].id) >= 0) return;
        const struct found_document moved = heap[at];
        heap[at] = heap[larger];
        heap[larger] = moved;
        at = larger;
    }
}

static omendb_status find_visit(void *context, uint32_t slot, const struct operation *own,
                                omendb_error *err)
{
    struct finding *finding = context;
    struct workspace *workspace = finding->workspace;
    struct found_document document = {.slot = slot, .own = own};
    bool passes = false;
    TRY(document_id(finding->run, slot, own, &document.id, err));
    if (finding->after != NULL && id_view_compare(&document.id, finding->after) <= 0)
        return OMENDB_OK;
    const bool full = finding->count == finding->limit;
    if (full && id_view_compare(&document.id, &workspace->documents[0].id) > 0) return OMENDB_OK;
    TRY(document_passes(finding->run, slot, own, &passes, err));
    if (!passes) return OMENDB_OK;
    if (full) {
        workspace->documents[0] = document;
        sift_down(workspace->documents, finding->count, 0);
        return OMENDB_OK;
    }
    if (!alloc_grow(&workspace->documents, &workspace->documents_capacity, finding->count + 1,
                    sizeof *workspace->documents))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: %zu results", finding->count + 1);
    workspace->documents[finding->count++] = document;
    if (finding->count == finding->limit)
        for (size_t i = finding->count / 2; i-- > 0;)
            sift_down(workspace->documents, finding->count, i);
    return OMENDB_OK;
}

static int documents_compare(const void *a, const void *b)
{
    return id_view_compare(&((const struct found_document *)a)->id,
                           &((const struct found_document *)b)->id);
}

static omendb_status find_run(struct finding *finding, struct result *result, omendb_error *err)
{
    struct found_document **documents = &finding->workspace->documents;
    const struct exec *exec = finding->run->exec;
    TRY(visit_documents(finding->run, find_visit, finding, err));
    if (finding->count > 1)
        qsort(*documents, finding->count, sizeof **documents, documents_compare);
    for (size_t i = 0; i < finding->count; i++) {
        if (i % EXEC_STRIDE == 0) TRY(run_check(finding->run, err));
        const struct found_document *document = &(*documents)[i];
        if (document->own != NULL)
            TRY(result_add_own(result, exec->collection->schema, document->own, err));
        else
            TRY(result_add(result, exec->collection, document->slot, &document->id,
                           &finding->workspace->scratch, err));
    }
    return OMENDB_OK;
}

omendb_status exec_find(const struct exec *exec, const omendb_find_params *params,
                        omendb_documents **out, omendb_error *err)
{
    struct run run;
    struct id_view after;
    omendb_find_params known;
    omendb_documents *documents = NULL;
    TRY(params_read(&known, sizeof known, params, "find", err));
    TRY(params_check_flags(known.flags, OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS, "find", err));
    if (known.reserved != 0) return fail(err, OMENDB_ERR_ARGUMENT, "find: reserved must be 0");
    if (known.after != NULL) TRY(write_check_id(known.after, &after, err));
    omendb_status status = run_begin(&run, exec, known.filter, known.filter_size, known.timeout_ms,
                                     err);
    if (status == OMENDB_OK)
        status = result_create_documents(exec->collection->schema, known.flags, &documents, err);
    if (status == OMENDB_OK) {
        struct finding finding = {.run = &run,
                                  .workspace = run.workspace,
                                  .after = known.after != NULL ? &after : NULL,
                                  .limit = known.limit != 0 ? known.limit : FIND_LIMIT_DEFAULT};
        status = find_run(&finding, &documents->own, err);
    }
    run_end(&run);
    if (status != OMENDB_OK) {
        result_destroy_documents(documents);
        return status;
    }
    documents->count = documents->own.count;
    *out = documents;
    return OMENDB_OK;
}

/* ---- Counting and deleting ---- */

struct counting {
    const struct run *run;
    struct batch *batch; /* NULL: only count. */
    uint64_t count;
};

static omendb_status count_visit(void *context, uint32_t slot, const struct operation *own,
                                 omendb_error *err)
{
    struct counting *counting = context;
    struct collection *collection = counting->run->exec->collection;
    struct id_view id;
    bool passes = false;
    TRY(document_passes(counting->run, slot, own, &passes, err));
    if (!passes) return OMENDB_OK;
    counting->count++;
    if (counting->batch == NULL) return OMENDB_OK;
    TRY(document_id(counting->run, slot, own, &id, err));
    return batch_add(counting->batch, OPERATION_DELETE, collection->id, id.text_view, id.size,
                     id.number, NULL, 0, err);
}

static omendb_status count_slot(void *context, uint32_t slot, omendb_error *err)
{
    (void)slot, (void)err;
    ++*(uint64_t *)context;
    return OMENDB_OK;
}

/* Of a view: its snapshot is counted by a visit, once. Whoever does it, counts the same. */
static omendb_status count_view(const struct run *run, uint64_t *out, omendb_error *err)
{
    const struct exec_view *view = run->exec->view;
    uint64_t count = atomic_load_relaxed_u64(view->counted);
    if (count == EXEC_NOT_COUNTED) {
        count = 0;
        TRY(visit_slots(run, count_slot, &count, err));
        atomic_store_relaxed_u64(view->counted, count);
    }
    *out = run->own != NULL ? count - run->own->hidden + run->own->own : count;
    return OMENDB_OK;
}

static omendb_status count_all(const struct exec *exec, const char *filter, size_t filter_size,
                               struct batch *batch, uint64_t *out, omendb_error *err)
{
    struct run run;
    struct counting counting = {.run = &run, .batch = batch};
    omendb_status status = run_begin(&run, exec, filter, filter_size, 0, err);
    if (status == OMENDB_OK && batch == NULL && !run.filtered && exec->view != NULL)
        status = count_view(&run, &counting.count, err);
    else if (status == OMENDB_OK && batch == NULL && !run.filtered)
        counting.count = atomic_load_acquire_u64(&exec->collection->published_count);
    else if (status == OMENDB_OK) status = visit_documents(&run, count_visit, &counting, err);
    run_end(&run);
    if (status == OMENDB_OK) *out = counting.count;
    return status;
}

omendb_status exec_count(const struct exec *exec, const char *filter, size_t filter_size,
                         uint64_t *out, omendb_error *err)
{
    return count_all(exec, filter, filter_size, NULL, out, err);
}

omendb_status exec_delete_where(const struct exec *exec, const char *filter, size_t filter_size,
                                struct batch *batch, uint64_t *count, omendb_error *err)
{
    const struct batch_mark mark = batch_mark(batch);
    const omendb_status status = count_all(exec, filter, filter_size, batch, count, err);
    if (status != OMENDB_OK) batch_return(batch, mark);
    return status;
}
