/* interpose.h - a layer between engine and simulated disk, for what the simulator leaves alone.
 *
 *     engine ──▶ one lock ──▶ [minor call n fails] ──▶ [before a write: the test's turn] ──▶ sim
 *
 * The lock makes the simulator usable from several threads (upkeep, committers, readers), so that
 * the engine starts its upkeep thread. A minor call is one that the simulator doesn't number: open
 * of a file that exists, size, map, lock, list, random. Mapped bytes are read outside the lock,
 * which is why only blocks that are not being written may be looked at; the engine promises that.
 *
 * Threads: any, once it is installed. One at a time in a process.
 */
#ifndef CRASH_INTERPOSE_H
#define CRASH_INTERPOSE_H

#include "sim/vfs_sim.h"

/* Until interpose_end(); outlives reboots. `threads`: the engine starts threads. */
void interpose_begin(struct sim *sim, bool threads);
void interpose_end(struct sim *sim);

/* Minor call `number` (from now on, from 1) fails with IO; 0: none. */
void interpose_fail_minor_at(uint64_t number);
uint64_t interpose_minor_calls(void); /* Since the last interpose_fail_minor_at(). */

/* `before` runs before every write of the data file's blocks, without the lock: it may use the
 * store. Not called from within itself. NULL: none. */
void interpose_before_write(void (*before)(void *context), void *context);

#endif /* CRASH_INTERPOSE_H */
