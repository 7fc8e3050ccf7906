#include "api/gate.h"

#include <assert.h>

enum { GATE_LOOK_MS = 20 }; /* How often a waiting one looks for an interrupt. */

omendb_status gate_init(struct gate *gate, omendb_error *err)
{
    *gate = (struct gate){.shared = 0};
    TRY(mutex_init(&gate->mutex, err));
    const omendb_status status = condition_init(&gate->changed, err);
    if (status != OMENDB_OK) mutex_deinit(&gate->mutex);
    return status;
}

void gate_deinit(struct gate *gate)
{
    assert(gate->shared == 0 && !gate->alone);
    condition_deinit(&gate->changed);
    mutex_deinit(&gate->mutex);
}

/* Those who want to be alone go before new shared ones, or they would wait for ever. */
static bool gate_is_open(const struct gate *gate, bool alone)
{
    return !gate->alone && (alone ? gate->shared == 0 : gate->waiting == 0);
}

omendb_status gate_enter(struct gate *gate, struct store *store, bool alone, omendb_error *err)
{
    const uint32_t interrupts = store_interrupts(store);
    omendb_status status = OMENDB_OK;
    mutex_lock(&gate->mutex);
    gate->waiting += alone;
    while (status == OMENDB_OK && !gate_is_open(gate, alone)) {
        (void)condition_wait_for(&gate->changed, &gate->mutex, GATE_LOOK_MS);
        if (store_interrupts(store) != interrupts)
            status = fail(err, OMENDB_ERR_INTERRUPTED, "interrupted while waiting to write");
    }
    gate->waiting -= alone;
    if (status == OMENDB_OK && alone) gate->alone = true;
    if (status == OMENDB_OK && !alone) gate->shared++;
    if (status != OMENDB_OK) condition_wake_all(&gate->changed);
    mutex_unlock(&gate->mutex);
    return status;
}

void gate_leave(struct gate *gate, bool alone)
{
    mutex_lock(&gate->mutex);
    if (alone) gate->alone = false;
    else gate->shared--;
    if (alone || gate->shared == 0) condition_wake_all(&gate->changed);
    mutex_unlock(&gate->mutex);
}
