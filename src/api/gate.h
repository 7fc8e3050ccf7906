/* gate.h - commits side by side, or one alone.
 *
 * Batches commit in parallel (the log groups them). A delete that must know what it deletes reads
 * a snapshot first: nothing may be committed between that snapshot and its own batch. So it passes
 * the gate alone.
 *
 *     shared    many at once, unless somebody is alone or waits to be
 *     alone     waits until all shared ones have left; later ones wait for it
 *
 * Lock order: the gate is taken before every lock of the store. Waiting ends with INTERRUPTED when
 * omendb_interrupt() was called.
 */
#ifndef API_GATE_H
#define API_GATE_H

#include <stdbool.h>

#include "os/thread.h"
#include "store/store.h"

struct gate {
    struct mutex mutex;
    struct condition changed;
    uint32_t shared;  /* Inside. */
    uint32_t waiting; /* To be alone. */
    bool alone;
};

omendb_status gate_init(struct gate *gate, omendb_error *err);
void gate_deinit(struct gate *gate);

/* `store`: whose interrupts end the waiting. INTERRUPTED: it wasn't entered. */
omendb_status gate_enter(struct gate *gate, struct store *store, bool alone, omendb_error *err);
void gate_leave(struct gate *gate, bool alone);

#endif /* API_GATE_H */
