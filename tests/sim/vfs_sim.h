/* vfs_sim.h - a disk in memory that can crash at every call, behind the table of os/vfs.h.
 *
 *     engine --write--> page cache --sync--> durable image
 *                          |                      |
 *                       seen by read           what a crash starts from; any part of the
 *                       and by mappings        pending sectors and names comes on top of it
 *
 * A simulator holds one disk and the one "machine" that uses it. Every call that changes the
 * disk (creating open, write, sync, resize, rename, remove, sync_directory) has a number, from
 * 1; one that is refused at once (no such file, full disk, read-only) has none. A harness lets
 * a workload run and makes call n crash (sim_crash_at), then boots again (sim_reboot); or, much
 * cheaper, takes a sim_clone() of the disk before every call (sim_on_call) and boots the clone in
 * several modes while the workload goes on.
 *
 * What a crash may do
 *   1. Synced sectors keep their bytes. A sector is 512 bytes and is old or new, never mixed.
 *   2. Each write since the last sync of its file is pending, sector by sector.
 *   3. The sizes a file took since its last sync survive as a prefix; a write past the size
 *      that survived is lost; bytes that a surviving size uncovers are zero.
 *   4. Creations, renames and removals are pending until sync_directory(); a file without
 *      a durable name is gone, whatever was synced. A rename is atomic.
 *   5. The call that crashes has been started: its own changes are pending. A sync or
 *      sync_directory that crashes has made nothing durable.
 *
 * Deterministic: the same calls and seeds give the same bytes; the clock advances by a fixed
 * step per call, random() comes from the seed. Paths are compared as text; every directory
 * exists. Allocates with malloc, so that alloc_fail_after() counts only the engine's requests;
 * open and map still count one each, as the real ones do.
 *
 * Threads: a simulator and all its clones belong to one thread. Breaking the contract of vfs.h
 * (using a closed file, touching a mapping past the end of the file) faults or aborts.
 */
#ifndef SIM_VFS_SIM_H
#define SIM_VFS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/vfs.h"

struct sim;

enum sim_call_kind {
    SIM_CREATE, /* An open that makes the file. Other opens aren't numbered. */
    SIM_WRITE,
    SIM_SYNC,
    SIM_RESIZE,
    SIM_RENAME,
    SIM_REMOVE,
    SIM_SYNC_DIRECTORY,
    SIM_READ, /* read and populate: counted, with numbers of their own. */
    SIM_CALL_KINDS
};

/* What survives of the changes that nobody synced. */
enum sim_mode {
    SIM_NONE,          /* Nothing. */
    SIM_ALL,           /* Everything. */
    SIM_RANDOM_SUBSET, /* Each sector and each name by itself, with a chance that varies. */
    SIM_PREFIX_TORN,   /* Those before one moment, of all files; the write there is torn. */
    SIM_ZEROED,        /* All sizes; sectors by chance, whole pages of grown space read zero. */
    SIM_SIZE_EXTENDED, /* All sizes but no data: grown space is zero. Names by chance. */
    SIM_CRASH_MODES,
    SIM_PROCESS_KILL = SIM_CRASH_MODES /* The machine goes on: the page cache stays, pending. */
};

enum sim_fault {
    SIM_FAULT_IO,           /* Fails with IO, nothing done. */
    SIM_FAULT_FULL,         /* Fails with FULL, nothing done. */
    SIM_FAULT_SYNC_KEEPS,   /* sync: IO; dirty pages count as clean, the cache shows them on. */
    SIM_FAULT_SYNC_REVERTS, /* sync: IO; the cache shows the durable bytes again. */
    SIM_FAULT_SHORT_WRITE,  /* write: FULL after a part of it. */
    SIM_FAULT_LOST_WRITE,   /* write: OK, in the cache, but never reaches the disk. */
    SIM_FAULT_MISDIRECTED   /* write: OK, in the cache, but reaches other pages of the disk. */
};

struct sim_call {
    uint64_t number; /* That it will have. */
    enum sim_call_kind kind;
    const char *path;
    uint64_t offset; /* write: where; resize: the new size. */
    size_t size;     /* write. */
};

/* An empty disk, running. */
struct sim *sim_create(uint64_t seed);

/* No file may be open; sim_open_files() tells. NULL is allowed. */
void sim_destroy(struct sim *sim);

/* A copy of the disk with everything pending, random state and clock, but no open file, lock,
 * fault or hook. It must be booted by sim_reboot() before use. Costs one counter per page. */
struct sim *sim_clone(struct sim *sim);

/* Valid for the simulator's lifetime; reboots keep the address. */
struct vfs *sim_vfs(struct sim *sim);

/* From call `number` on, and in that call, everything fails with IO "simulated crash" and changes
 * nothing; close, unmap and the clock still work. 0: never. */
void sim_crash_at(struct sim *sim, uint64_t number);
bool sim_crashed(const struct sim *sim);

/* Takes the power away (crashed or not), lets pending changes survive according to `mode` and
 * `seed`, and starts again: no locks, numbers from 1, no faults, no crash point, no hook. Files
 * still open are dead: they can only be unmapped and closed. */
void sim_reboot(struct sim *sim, enum sim_mode mode, uint64_t seed);

/* Of the names, sizes and bytes that are durable; equal for equal states. */
uint64_t sim_hash(struct sim *sim);

/* Calls since the last boot: the last number given, and by kind. */
uint64_t sim_calls(const struct sim *sim);
uint64_t sim_call_count(const struct sim *sim, enum sim_call_kind kind);

/* `hook` runs before every numbered call, also before one that will fail or crash. It may
 * clone; it may not use this simulator's files. NULL: none. */
void sim_on_call(struct sim *sim,
                 void (*hook)(void *context, struct sim *sim, const struct sim_call *call),
                 void *context);

/* Call `number` (of this boot) meets the fault, once; up to 16 at a time. A fault that doesn't fit
 * the kind of the call, such as SYNC_KEEPS on a write, is an IO fault. */
void sim_fail_at(struct sim *sim, uint64_t number, enum sim_fault fault);
void sim_fail_read_at(struct sim *sim, uint64_t number); /* Among the SIM_READ calls; IO. */

/* Most bytes (whole 4 KiB pages) that all files may take; beyond it FULL. 0: no limit. */
void sim_set_disk_limit(struct sim *sim, uint64_t bytes);

/* From now on opens for writing, renames and removals fail with READ_ONLY. */
void sim_set_read_only(struct sim *sim, bool read_only);

/* Flips bits of one byte, in the cache and on the disk: rot. False: there is no such byte. */
bool sim_flip(struct sim *sim, const char *path, uint64_t offset, uint8_t bits);

/* Whether sync() was called on an open file whose sync() had failed (since the last boot). */
bool sim_synced_after_failure(const struct sim *sim);

uint32_t sim_open_files(const struct sim *sim);
void sim_advance_clock(struct sim *sim, uint64_t ns);
void sim_set_process_id(struct sim *sim, uint64_t id); /* As if the process had forked. */

#endif /* SIM_VFS_SIM_H */
