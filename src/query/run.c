#include "query/run.h"

#include "base/alloc.h"
#include "query/stored.h"

static void workspace_destroy(struct workspace *workspace)
{
    if (workspace == NULL) return;
    filter_deinit(&workspace->filter);
    buffer_deinit(&workspace->scratch);
    alloc_free(workspace->documents);
    if (workspace->search != NULL) workspace->search_destroy(workspace->search);
    alloc_free(workspace);
}

/* Taking swaps NULL in, giving back swaps the workspace in: acq_rel both, so that what one query
 * wrote into its workspace is seen by the next. */
static omendb_status workspace_take(struct exec_pool *pool, struct workspace **out,
                                    omendb_error *err)
{
    for (uint32_t i = 0; i < EXEC_POOL_SIZE; i++) {
        void *workspace = atomic_load_relaxed_pointer(&pool->workspaces[i]);
        if (workspace != NULL && atomic_swap_if_pointer(&pool->workspaces[i], &workspace, NULL)) {
            *out = workspace;
            return OMENDB_OK;
        }
    }
    struct workspace *made = alloc_zeroed(1, sizeof *made);
    if (made == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: query");
    filter_init(&made->filter);
    *out = made;
    return OMENDB_OK;
}

static void workspace_give(struct exec_pool *pool, struct workspace *workspace)
{
    for (uint32_t i = 0; i < EXEC_POOL_SIZE; i++) {
        void *expected = NULL;
        if (atomic_load_relaxed_pointer(&pool->workspaces[i]) == NULL &&
            atomic_swap_if_pointer(&pool->workspaces[i], &expected, workspace))
            return;
    }
    workspace_destroy(workspace);
}

void exec_pool_deinit(struct exec_pool *pool)
{
    for (uint32_t i = 0; i < EXEC_POOL_SIZE; i++) {
        workspace_destroy(atomic_load_acquire_pointer(&pool->workspaces[i]));
        atomic_store_relaxed_pointer(&pool->workspaces[i], NULL);
    }
}

omendb_status run_begin(struct run *run, const struct exec *exec, const char *filter,
                        size_t filter_size, uint32_t timeout_ms, omendb_error *err)
{
    *run = (struct run){.exec = exec, .interrupts = store_interrupts(exec->store)};
    if (timeout_ms != 0)
        run->deadline_ns = store_clock_ns(exec->store) + (uint64_t)timeout_ms * 1000000u;
    TRY(workspace_take(exec->pool, &run->workspace, err));
    if (filter != NULL) {
        TRY(filter_compile(&run->workspace->filter, filter, filter_size, err));
        run->filtered = !filter_is_everything(&run->workspace->filter);
    }
    TRY(store_enter(exec->store, &run->snapshot, err));
    run->inside = true;
    /* Inside, memory stays; that the versions of that moment do is the pin's doing. */
    if (exec->view != NULL) run->snapshot.sequence = exec->view->sequence;
    if (exec->view != NULL && exec->view->overlay != NULL)
        run->own = overlay_part_of(exec->view->overlay, exec->collection->id);
    return OMENDB_OK;
}

void run_end(struct run *run)
{
    if (run->inside) store_leave(&run->snapshot);
    if (run->workspace != NULL) workspace_give(run->exec->pool, run->workspace);
    run->inside = false;
    run->workspace = NULL;
}

omendb_status run_check(const struct run *run, omendb_error *err)
{
    if (store_interrupts(run->exec->store) != run->interrupts)
        return fail(err, OMENDB_ERR_INTERRUPTED, "interrupted");
    if (run->deadline_ns != 0 && store_clock_ns(run->exec->store) >= run->deadline_ns)
        return fail(err, OMENDB_ERR_TIMEOUT, "timeout_ms passed");
    return OMENDB_OK;
}

const struct operation *run_own(const struct run *run, size_t entry)
{
    const struct operation *own = overlay_operation(run->exec->view->overlay, run->own, entry);
    return own->type == OPERATION_UPSERT ? own : NULL;
}

bool run_passes_own(const struct run *run, const struct operation *own)
{
    return !run->filtered ||
           filter_matches(&run->workspace->filter, operation_document(own), own->document_size);
}

omendb_status run_passes(const struct run *run, struct buffer *scratch, uint32_t slot, bool *out,
                         omendb_error *err)
{
    const uint8_t *document = NULL;
    uint32_t size = 0;
    if (!run->filtered) {
        *out = true;
        return OMENDB_OK;
    }
    TRY(stored_document(run->exec->collection, slot, scratch, &document, &size, err));
    *out = filter_matches(&run->workspace->filter, document, size);
    return OMENDB_OK;
}
