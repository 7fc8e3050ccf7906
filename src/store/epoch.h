/* epoch.h - which readers are inside, and when what they may still see can go.
 *
 * A reader enters with a snapshot: the newest published sequence. While it is inside, no memory
 * that it can reach is freed, no slot that it can reach is reused, no file block that it can reach
 * is overwritten. Readers never wait; they take one cache line of a table:
 *
 *     readers   [seq|epoch] [  free  ] [seq|epoch] ...     64 lines a page; pages are added
 *                                                          when all are taken, never removed
 *
 * Entering is Dekker's handshake with epoch_oldest(): the reader publishes its sequence, then
 * looks whether the reclaimer has passed it (floor); the reclaimer raises the floor, then looks at
 * the table. One of the two sees the other.
 *
 * A pin holds versions for long without a reader inside: what is visible at its sequence isn't
 * unlinked, while memory and blocks come and go as ever. Who reads at it enters first, and then uses
 * the pin's sequence in place of its own:
 *
 *     pins  oldest ◀─▶ ... ◀─▶ newest    a list in the caller's memory, sequences ascending
 *
 * Pinning needs no handshake: the sequence is read under pin_mutex, which epoch_oldest() takes after
 * it raised the floor. Either it sees the pin, or the pin's sequence is no less than the floor.
 *
 * retire() puts a piece of memory on a list stamped with the current epoch and advances the epoch;
 * epoch_collect() frees what no reader entered before can hold.
 *
 * Threads: enter/leave any. retire, collect, oldest, pin, unpin: any, they take a mutex.
 */
#ifndef STORE_EPOCH_H
#define STORE_EPOCH_H

#include <stdint.h>

#include "base/atomics.h"
#include "base/compiler.h"
#include "base/status.h"
#include "os/thread.h"

enum { EPOCH_PAGE_READERS = 64 };

struct epoch_reader {
    ALIGNED(CACHE_LINE) atomic_u64 state; /* 0 = free, 1 = taken, else epoch + 2 */
    atomic_u64 sequence;                  /* Snapshot; valid while state >= 2. */
};

struct epoch_page {
    struct epoch_reader readers[EPOCH_PAGE_READERS];
    atomic_pointer next; /* struct epoch_page */
};

struct epoch_pin {
    uint64_t sequence; /* Versions visible at it stay. */
    uint64_t since_ns; /* The clock when it was made. */
    struct epoch_pin *older, *newer;
};

struct retired {
    void *pointer;
    void (*release)(void *pointer);
    uint64_t epoch;
};

struct epoch {
    struct epoch_page first;
    atomic_u64 now;              /* Counts retirements. */
    atomic_u64 visible_sequence; /* The newest published batch. Written by the log leader. */
    atomic_u64 floor;            /* Snapshots below it may already be reclaimed. */
    struct mutex mutex;          /* retired */
    struct mutex pin_mutex;      /* The list of pins; taken inside no other one of the epoch. */
    struct epoch_pin *oldest_pin, *newest_pin;
    uint32_t pin_count;
    struct retired *retired;
    size_t retired_count, retired_capacity;
    size_t
        promised; /* Places on the list that are spoken for; retired_capacity has room for them. */
};

struct snapshot {
    struct epoch_reader *reader;
    uint64_t sequence; /* Sees births <= sequence < deaths. */
};

omendb_status epoch_init(struct epoch *epoch, omendb_error *err);
void epoch_deinit(struct epoch *epoch); /* No reader may be inside; frees what is retired. */

/* Enters; NOMEM only when more readers are inside than ever before. */
omendb_status epoch_enter(struct epoch *epoch, struct snapshot *out, omendb_error *err);
void epoch_leave(struct snapshot *snapshot);

/* Pins the newest published sequence. BUSY: there are `limit` pins. The pin is the caller's memory
 * and doesn't move. */
omendb_status epoch_pin_add(struct epoch *epoch, uint64_t now_ns, uint32_t limit,
                            struct epoch_pin *out, omendb_error *err);
void epoch_pin_remove(struct epoch *epoch, struct epoch_pin *pin);
/* How many there are; *oldest: a copy of the oldest, when there is one. */
uint32_t epoch_pins(struct epoch *epoch, struct epoch_pin *oldest);

/* The smallest sequence that a reader inside or a pin may use; raises the floor to the published one. */
uint64_t epoch_oldest(struct epoch *epoch);

/* Oldest epoch of a reader inside; stamps below it are safe. UINT64_MAX: nobody is inside. */
uint64_t epoch_oldest_epoch(struct epoch *epoch);

/* A stamp for something that becomes unreachable now: safe once epoch_oldest_epoch() exceeds it. */
uint64_t epoch_stamp(struct epoch *epoch);

/* Makes sure that one epoch_retire() later on can't fail: NOMEM now, while nothing has changed.
 * forgo: so many won't come. */
omendb_status epoch_promise(struct epoch *epoch, omendb_error *err);
void epoch_forgo(struct epoch *epoch, size_t count);

/* Frees `pointer` by release() when nobody can hold it any more. Promised before. */
void epoch_retire(struct epoch *epoch, void *pointer, void (*release)(void *pointer));
void epoch_collect(struct epoch *epoch);

uint32_t epoch_readers(struct epoch *epoch); /* How many are inside, for stats. */

#endif /* STORE_EPOCH_H */
