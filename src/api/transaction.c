/* transaction.c - reads and writes of several collections that become one batch. */
#include "api/handles.h"
#include "base/alloc.h"

omendb_status omendb_transaction_begin(omendb *db, omendb_transaction **out, omendb_error *err)
{
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(out, "out", err));
    TRY(handles_check_writable(db, err));
    omendb_transaction *transaction = alloc_zeroed(1, sizeof *transaction);
    if (transaction == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: transaction");
    transaction->db = db;
    atomic_store_relaxed_u32(&transaction->references, 1);
    omendb_status status = mutex_init(&transaction->mutex, err);
    if (status == OMENDB_OK) {
        status = store_pin(db->store, &transaction->pin, err);
        if (status != OMENDB_OK) mutex_deinit(&transaction->mutex);
    }
    if (status != OMENDB_OK) {
        alloc_free(transaction);
        return status;
    }
    transaction->sequence = transaction->pin.sequence;
    *out = transaction;
    return OMENDB_OK;
}

uint64_t omendb_transaction_sequence(const omendb_transaction *transaction)
{
    return transaction != NULL ? transaction->sequence : 0;
}

omendb_status omendb_transaction_collection(omendb_transaction *transaction,
                                            omendb_collection *collection, omendb_collection **out,
                                            omendb_error *err)
{
    omendb_collection *seen = NULL;
    TRY(handles_check_pointer(transaction, "transaction", err));
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(out, "out", err));
    if (transaction->db != collection->db)
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "transaction and collection belong to different databases");
    collection_pin(collection->collection);
    TRY(handles_collection(transaction->db, collection->collection, &seen, err));
    (void)atomic_add_u32(&transaction->references, 1);
    seen->transaction = transaction;
    seen->view = (struct exec_view){.sequence = transaction->sequence,
                                    .counted = &seen->counted,
                                    .overlay = &transaction->overlay};
    atomic_store_relaxed_u64(&seen->counted, EXEC_NOT_COUNTED);
    *out = seen;
    return OMENDB_OK;
}

/* Its mutex is held. */
static void transaction_end(omendb_transaction *transaction)
{
    if (transaction->ended) return;
    transaction->ended = true;
    overlay_deinit(&transaction->overlay);
    store_unpin(transaction->db->store, &transaction->pin);
}

static omendb_status transaction_write(omendb_transaction *transaction,
                                       omendb_durability durability, uint64_t *sequence,
                                       omendb_error *err)
{
    struct batch *batch = &transaction->overlay.batch;
    if (batch->operation_count != 0) {
        batch->exclusive = true;
        batch->since = transaction->sequence;
        return handles_commit(transaction->db, batch, durability, sequence, err);
    }
    if (sequence != NULL) *sequence = transaction->sequence;
    return OMENDB_OK;
}

omendb_status omendb_transaction_commit(omendb_transaction *transaction,
                                        omendb_durability durability, uint64_t *sequence,
                                        omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    TRY(handles_check_pointer(transaction, "transaction", err));
    TRY(handles_check_db(transaction->db, err));
    if (durability > OMENDB_DURABILITY_NONE)
        return fail(err, OMENDB_ERR_ARGUMENT, "transaction: unknown durability %u", durability);
    mutex_lock(&transaction->mutex);
    if (transaction->ended) status = fail(err, OMENDB_ERR_MISUSE, "the transaction has ended");
    else status = transaction_write(transaction, durability, sequence, err);
    if (status == OMENDB_OK) transaction_end(transaction);
    mutex_unlock(&transaction->mutex);
    return status;
}

void omendb_transaction_rollback(omendb_transaction *transaction)
{
    /* A forked child's copy refers to what is its parent's. */
    if (transaction == NULL || store_usable(transaction->db->store, NULL) != OMENDB_OK) return;
    mutex_lock(&transaction->mutex);
    transaction_end(transaction);
    mutex_unlock(&transaction->mutex);
}

void omendb_transaction_destroy(omendb_transaction *transaction)
{
    if (transaction == NULL || store_usable(transaction->db->store, NULL) != OMENDB_OK) return;
    omendb_transaction_rollback(transaction);
    handles_release_transaction(transaction);
}
