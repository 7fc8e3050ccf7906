/* crash.h - kill a load in its middle, open the file again, count.
 *
 *     parent                                  child (this program again, --load-until-killed)
 *       |--- fork, exec ----------------------> opens the file
 *       |                                       upserts a batch; returned = acknowledged
 *       | <-------------- pipe: one byte ------ ... another, another ...
 *       |--- SIGKILL -------------------------> gone, wherever it was
 *       |    reads what is left in the pipe
 *       v    opens the file, compares
 *
 * The batch being written at that moment may be there or not, but only whole: it may have become
 * durable before the child could say so. Every batch that was acknowledged must be there.
 * A kill tests the engine against the death of its process, not against loss of power.
 */
#ifndef DEMO_CRASH_H
#define DEMO_CRASH_H

#include "omendb.h"
#include "reader.h"

enum { CRASH_BATCH_ROWS = 100 };

/* What the child does: never returns. `pipe_fd` takes a byte for each acknowledged batch. */
_Noreturn void crash_load(const char *file, const char *collection, const char *data_folder,
                          int pipe_fd);

/* The parent's part, with its report. No handle of `file` may be open. */
void crash_show(const char *file, const char *collection, const char *data_folder,
                const struct reader_packages *packages);

#endif /* DEMO_CRASH_H */
