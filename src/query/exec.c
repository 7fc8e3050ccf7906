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

/* ---- By id ---- */

static omendb_status get_one(const struct run *run, const omendb_id *id, struct result *result,
                             omendb_error *err)
{
    struct id_view view;
    uint32_t slot = SLOT_NONE;
    TRY(write_check_id(id, &view, err));
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

static omendb_status find_visit(void *context, uint32_t slot, omendb_error *err)
{
    struct finding *finding = context;
    struct workspace *workspace = finding->workspace;
    struct found_document document = {.slot = slot};
    bool passes = false;
    TRY(collection_slot_id(finding->run->exec->collection, slot, &document.id, err));
    if (finding->after != NULL && id_view_compare(&document.id, finding->after) <= 0)
        return OMENDB_OK;
    const bool full = finding->count == finding->limit;
    if (full && id_view_compare(&document.id, &workspace->documents[0].id) > 0) return OMENDB_OK;
    TRY(run_passes(finding->run, &workspace->scratch, slot, &passes, err));
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
    TRY(visit_slots(finding->run, find_visit, finding, err));
    if (finding->count > 1)
        qsort(*documents, finding->count, sizeof **documents, documents_compare);
    for (size_t i = 0; i < finding->count; i++) {
        if (i % EXEC_STRIDE == 0) TRY(run_check(finding->run, err));
        TRY(result_add(result, finding->run->exec->collection, (*documents)[i].slot,
                       &(*documents)[i].id, &finding->workspace->scratch, err));
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

static omendb_status count_visit(void *context, uint32_t slot, omendb_error *err)
{
    struct counting *counting = context;
    struct collection *collection = counting->run->exec->collection;
    struct id_view id;
    bool passes = false;
    TRY(run_passes(counting->run, &counting->run->workspace->scratch, slot, &passes, err));
    if (!passes) return OMENDB_OK;
    counting->count++;
    if (counting->batch == NULL) return OMENDB_OK;
    TRY(collection_slot_id(collection, slot, &id, err));
    return batch_add(counting->batch, OPERATION_DELETE, collection->id, id.text_view, id.size,
                     id.number, NULL, 0, err);
}

/* Of a view: counted by a visit, once. */
static omendb_status count_view(struct run *run, uint64_t *out, omendb_error *err)
{
    const struct exec_view *view = run->exec->view;
    struct counting counting = {.run = run};
    *out = atomic_load_relaxed_u64(view->counted);
    if (*out != EXEC_NOT_COUNTED) return OMENDB_OK;
    TRY(visit_slots(run, count_visit, &counting, err));
    atomic_store_relaxed_u64(view->counted, counting.count); /* Whoever counts, counts the same. */
    *out = counting.count;
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
    else if (status == OMENDB_OK) status = visit_slots(&run, count_visit, &counting, err);
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
