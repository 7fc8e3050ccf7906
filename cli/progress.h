/* progress.h - one line on stderr that tells how far long work is.
 *
 *     import docs.jsonl  [##########----------]  52 %  41 600 rows  20 800 rows/s  ETA 0:02
 *
 * Only when stderr is a terminal; redrawn at most ten times a second; gone when the work ends or
 * a message is printed. Work that is one long call of the library shows its elapsed time
 * instead, drawn by a thread of its own (progress_wait_begin).
 *
 * Threads: one line at a time. The waiting thread and the main thread share it under a mutex.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdint.h>

double progress_now(void); /* Seconds of a clock that never goes back. */

/* `unit` is what is counted: "rows". */
void progress_begin(const char *what, const char *unit);
/* done of total (0: not known) decides the bar, units the rate. Cheap when it is too early. */
void progress_update(uint64_t done, uint64_t total, uint64_t units);
void progress_end(void);
void progress_clear(void); /* Removes the line; the next update draws it again. */

void progress_wait_begin(const char *what);
void progress_wait_end(void);

#endif /* CLI_PROGRESS_H */
