/* interrupt.h - Ctrl-C (and SIGTERM): end the work, keep what is durable, say how much that is.
 *
 * A handler could call almost nothing, so the signals are blocked in every thread and one thread
 * waits for them. On the first it raises the flag, makes interrupt_fd() readable (which wakes a
 * reader of stdin) and calls omendb_interrupt(); the command then ends in its own words. The
 * second ends the process at once: whatever hangs, the file is safe as after a kill.
 *
 * Threads: interrupt_begin first, in the only thread there is; the rest from any.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

#include "omendb.h"

void interrupt_begin(void);
bool interrupt_raised(void);
int interrupt_fd(void); /* For poll(); -1 before interrupt_begin. */
/* The database to be interrupted; NULL before it is closed. */
void interrupt_watch(omendb *db);

#endif /* CLI_INTERRUPT_H */
