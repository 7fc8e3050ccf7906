#include "sim/vfs_sim.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "sim/sim_disk.h"

enum { SIM_FAULTS = 16, SIM_CLOCK_STEP_NS = 1000, SIM_PROCESS = 4242 };
static const uint64_t sim_wall_start_ns = UINT64_C(1767225600) * 1000000000; /* 2026-01-01. */
static const uint64_t sim_file_size_max = UINT64_C(1) << 40;

struct sim {
    struct vfs vfs; /* First: the address of one is that of the other. */
    struct disk disk;
    uint64_t device; /* Clones of a disk are different disks to whoever compares identities. */
    uint64_t random, clock_ns, process;
    uint64_t life; /* Boots so far; open files of an earlier life are dead. */
    uint64_t calls, counts[SIM_CALL_KINDS];
    uint64_t crash_at, fail_read_at;
    struct {
        uint64_t number;
        enum sim_fault fault;
    } faults[SIM_FAULTS];
    size_t fault_count;
    void (*hook)(void *context, struct sim *sim, const struct sim_call *call);
    void *hook_context;
    uint64_t disk_limit;
    uint32_t open_files;
    bool running; /* False in a fresh clone. */
    bool crashed, read_only, synced_after_failure;
};

struct sim_file {
    struct file file;
    struct inode *inode;
    char *path;
    uint64_t life;
    uint32_t mappings;
    bool read_only, sync_failed;
};

static struct sim *sim_of(struct vfs *vfs)
{
    return (struct sim *)vfs;
}

static struct sim_file *sim_file_of(struct file *file)
{
    return (struct sim_file *)file;
}

/* ---- Calls, crashes, faults ---- */

static omendb_status sim_fail_crashed(omendb_error *err)
{
    return fail(err, OMENDB_ERR_IO, "simulated crash");
}

static bool sim_dead(const struct sim *sim, const struct sim_file *file)
{
    return sim->crashed || !sim->running || (file != NULL && file->life != sim->life);
}

/* What one numbered call shall do. */
struct sim_turn {
    bool crash; /* Do what a started call leaves pending, then fail. */
    bool fault; /* Else do it whole. */
    enum sim_fault kind;
};

static omendb_status sim_begin(struct sim *sim, const struct sim_file *file, struct sim_call call,
                               struct sim_turn *turn, omendb_error *err)
{
    if (sim_dead(sim, file)) return sim_fail_crashed(err);
    call.number = sim->calls + 1;
    if (sim->hook != NULL) sim->hook(sim->hook_context, sim, &call);
    sim->calls++;
    sim->counts[call.kind]++;
    sim->clock_ns += SIM_CLOCK_STEP_NS;
    *turn = (struct sim_turn){0};
    if (sim->crash_at != 0 && sim->calls >= sim->crash_at) {
        sim->crashed = true;
        turn->crash = true;
    }
    for (size_t i = 0; i < sim->fault_count && !turn->crash; i++) {
        if (sim->faults[i].number != sim->calls) continue;
        turn->fault = true;
        turn->kind = sim->faults[i].fault;
        sim->faults[i] = sim->faults[--sim->fault_count];
    }
    return OMENDB_OK;
}

/* The fault of a call that either happens or doesn't. */
static omendb_status sim_plain_fault(const struct sim_turn *turn, const char *call,
                                     const char *path, omendb_error *err)
{
    if (!turn->fault) return OMENDB_OK;
    if (turn->kind == SIM_FAULT_FULL)
        return fail(err, OMENDB_ERR_FULL, "%s %.150s: simulated full disk", call, path);
    return fail(err, OMENDB_ERR_IO, "%s %.150s: simulated failure", call, path);
}

static omendb_status sim_end(const struct sim_turn *turn, omendb_error *err)
{
    return turn->crash ? sim_fail_crashed(err) : OMENDB_OK;
}

static omendb_status sim_not_found(const char *call, const char *path, omendb_error *err)
{
    return fail(err, OMENDB_ERR_NOT_FOUND, "%s %.150s: no such file", call, path);
}

static omendb_status sim_check_writable(const struct sim *sim, const char *call, const char *path,
                                        omendb_error *err)
{
    if (!sim->read_only) return OMENDB_OK;
    return fail(err, OMENDB_ERR_READ_ONLY, "%s %.150s: simulated read-only disk", call, path);
}

/* ---- Files ---- */

static omendb_status sim_open(struct vfs *vfs, const char *path, uint32_t flags, struct file **out,
                              omendb_error *err)
{
    struct sim *sim = sim_of(vfs);
    const bool read_only = (flags & FILE_READ_ONLY) != 0;
    if (sim_dead(sim, NULL)) return sim_fail_crashed(err);
    if (alloc_must_fail() != 0) return fail(err, OMENDB_ERR_NOMEM, "open %.150s: no memory", path);
    struct inode *inode = disk_find(&sim->disk, path);
    if (inode == NULL && (flags & FILE_CREATE) == 0) return sim_not_found("open", path, err);
    if (inode != NULL && (flags & FILE_CREATE) != 0 && (flags & FILE_EXCLUSIVE) != 0)
        return fail(err, OMENDB_ERR_EXISTS, "open %.150s: it exists", path);
    if (!read_only || inode == NULL) TRY(sim_check_writable(sim, "open", path, err));
    if (inode == NULL) {
        struct sim_turn turn;
        TRY(sim_begin(sim, NULL, (struct sim_call){.kind = SIM_CREATE, .path = path}, &turn, err));
        TRY(sim_plain_fault(&turn, "open", path, err));
        inode = disk_make(&sim->disk, path);
        TRY(sim_end(&turn, err));
    }
    struct sim_file *file = sim_memory(NULL, 1, sizeof *file);
    *file = (struct sim_file){
        .file.vfs = vfs, .inode = inode, .life = sim->life, .read_only = read_only};
    inode->references++;
    const size_t path_size = strlen(path) + 1;
    file->path = sim_memory(NULL, path_size, 1);
    memcpy(file->path, path, path_size);
    sim->open_files++;
    *out = &file->file;
    return OMENDB_OK;
}

static void sim_unlock_all(struct inode *inode, const struct sim_file *owner)
{
    size_t kept = 0;
    for (size_t i = 0; i < inode->lock_count; i++)
        if (inode->locks[i].owner != owner) inode->locks[kept++] = inode->locks[i];
    inode->lock_count = kept;
}

static void sim_close(struct file *base)
{
    struct sim_file *file = sim_file_of(base);
    struct sim *sim = sim_of(base->vfs);
    SIM_REQUIRE(file->mappings == 0); /* A mapping outlives its file. */
    sim_unlock_all(file->inode, file);
    inode_release(file->inode);
    sim->open_files--;
    free(file->path);
    free(file);
}

/* Counts a read; IO when it is the one to fail. */
static omendb_status sim_begin_read(struct sim *sim, const struct sim_file *file, const char *call,
                                    omendb_error *err)
{
    if (sim_dead(sim, file)) return sim_fail_crashed(err);
    sim->clock_ns += SIM_CLOCK_STEP_NS;
    if (++sim->counts[SIM_READ] != sim->fail_read_at) return OMENDB_OK;
    return fail(err, OMENDB_ERR_IO, "%s %.150s: simulated failure", call, file->path);
}

static omendb_status sim_read(struct file *base, uint64_t offset, void *buffer, size_t size,
                              size_t *got, omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    TRY(sim_begin_read(sim_of(base->vfs), file, "read", err));
    const uint64_t end = file->inode->cache.size;
    const uint64_t left = offset < end ? end - offset : 0;
    *got = size < left ? size : (size_t)left;
    inode_read(file->inode, offset, buffer, *got);
    return OMENDB_OK;
}

static omendb_status sim_refuse_write(const struct sim *sim, const struct sim_file *file,
                                      uint64_t offset, size_t size, const char *call,
                                      omendb_error *err)
{
    if (file->read_only)
        return fail(err, OMENDB_ERR_IO, "%s %.150s: opened for reading", call, file->path);
    if (offset > sim_file_size_max || size > sim_file_size_max - offset)
        return fail(err, OMENDB_ERR_FULL, "%s %.150s: file too large", call, file->path);
    if (sim->disk_limit == 0) return OMENDB_OK;
    const uint64_t added = inode_pages_added(file->inode, offset, size) * DISK_PAGE;
    if (added != 0 && disk_used(&sim->disk) + added > sim->disk_limit)
        return fail(err, OMENDB_ERR_FULL, "%s %.150s: simulated full disk", call, file->path);
    return OMENDB_OK;
}

static omendb_status sim_write(struct file *base, uint64_t offset, const void *data, size_t size,
                               omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    struct sim *sim = sim_of(base->vfs);
    struct sim_turn turn;
    if (sim_dead(sim, file)) return sim_fail_crashed(err);
    TRY(sim_refuse_write(sim, file, offset, size, "write", err));
    TRY(sim_begin(
        sim, file,
        (struct sim_call){.kind = SIM_WRITE, .path = file->path, .offset = offset, .size = size},
        &turn, err));
    enum disk_write how = DISK_WRITE;
    if (turn.fault && turn.kind == SIM_FAULT_LOST_WRITE) how = DISK_WRITE_LOST;
    else if (turn.fault && turn.kind == SIM_FAULT_MISDIRECTED) how = DISK_WRITE_ELSEWHERE;
    else if (turn.fault && turn.kind != SIM_FAULT_SHORT_WRITE)
        return sim_plain_fault(&turn, "write", file->path, err);
    if (turn.fault && turn.kind == SIM_FAULT_SHORT_WRITE)
        size = size == 0 ? 0 : (size_t)(sim_mix(&sim->random) % size);
    const size_t elsewhere = how == DISK_WRITE_ELSEWHERE ? 1 + sim_mix(&sim->random) % 64 : 0;
    inode_write(&sim->disk, file->inode, offset, data, size, how, elsewhere);
    if (turn.fault && turn.kind == SIM_FAULT_SHORT_WRITE)
        return fail(err, OMENDB_ERR_FULL, "write %.150s: simulated short write", file->path);
    return sim_end(&turn, err);
}

static omendb_status sim_sync(struct file *base, omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    struct sim *sim = sim_of(base->vfs);
    struct sim_turn turn;
    TRY(sim_begin(sim, file, (struct sim_call){.kind = SIM_SYNC, .path = file->path}, &turn, err));
    if (file->sync_failed) sim->synced_after_failure = true;
    if (turn.fault) {
        file->sync_failed = true;
        if (turn.kind == SIM_FAULT_SYNC_KEEPS || turn.kind == SIM_FAULT_SYNC_REVERTS)
            inode_sync_failed(file->inode, turn.kind == SIM_FAULT_SYNC_REVERTS);
        return sim_plain_fault(&turn, "fdatasync", file->path, err);
    }
    if (!turn.crash) inode_sync(file->inode);
    return sim_end(&turn, err);
}

static omendb_status sim_size(struct file *base, uint64_t *out, omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    if (sim_dead(sim_of(base->vfs), file)) return sim_fail_crashed(err);
    *out = file->inode->cache.size;
    return OMENDB_OK;
}

static omendb_status sim_resize(struct file *base, uint64_t size, omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    struct sim *sim = sim_of(base->vfs);
    struct sim_turn turn;
    if (sim_dead(sim, file)) return sim_fail_crashed(err);
    TRY(sim_refuse_write(sim, file, size, 0, "ftruncate", err));
    TRY(sim_begin(sim, file,
                  (struct sim_call){.kind = SIM_RESIZE, .path = file->path, .offset = size}, &turn,
                  err));
    TRY(sim_plain_fault(&turn, "ftruncate", file->path, err));
    inode_resize(&sim->disk, file->inode, size);
    const size_t pages = (size_t)((size + DISK_PAGE - 1) / DISK_PAGE);
    if (file->inode->allocated > pages) file->inode->allocated = pages;
    return sim_end(&turn, err);
}

/* Space is all or nothing here; it is lost with the power, which is less than a disk may keep. */
static omendb_status sim_allocate(struct file *base, uint64_t offset, uint64_t size,
                                  omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    struct sim *sim = sim_of(base->vfs);
    struct sim_turn turn;
    if (sim_dead(sim, file)) return sim_fail_crashed(err);
    const uint64_t end = (offset + size + DISK_PAGE - 1) / DISK_PAGE;
    TRY(sim_refuse_write(sim, file, offset, size, "fallocate", err));
    TRY(sim_begin(sim, file,
                  (struct sim_call){.kind = SIM_RESIZE, .path = file->path, .offset = offset},
                  &turn, err));
    TRY(sim_plain_fault(&turn, "fallocate", file->path, err));
    if (offset <= file->inode->allocated * DISK_PAGE && end > file->inode->allocated)
        file->inode->allocated = (size_t)end;
    return sim_end(&turn, err);
}

static omendb_status sim_map(struct file *base, size_t length, const void **out, omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    if (sim_dead(sim_of(base->vfs), file)) return sim_fail_crashed(err);
    if (length == 0) return fail(err, OMENDB_ERR_IO, "mmap %.150s: no length", file->path);
    const bool refused = alloc_must_fail() != 0 || length > sim_file_size_max;
    const struct view *view = refused ? NULL : view_take(file->inode, length);
    if (view == NULL) return fail(err, OMENDB_ERR_NOMEM, "mmap %.150s: no memory", file->path);
    file->mappings++;
    *out = view->base;
    return OMENDB_OK;
}

static void sim_unmap(struct file *base, const void *address, size_t length)
{
    struct sim_file *file = sim_file_of(base);
    (void)length;
    SIM_REQUIRE(file->mappings != 0); /* Unmapped twice. */
    view_release(file->inode, address);
    file->mappings--;
}

static omendb_status sim_populate(struct file *base, const void *address, size_t size,
                                  omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    TRY(sim_begin_read(sim_of(base->vfs), file, "populate", err));
    const struct view *view = view_find(file->inode, address);
    if (view == NULL) return fail(err, OMENDB_ERR_IO, "populate %.150s: not mapped", file->path);
    const size_t offset = (size_t)((const uint8_t *)address - view->base);
    if (size != 0 && (offset > view->accessible || size > view->accessible - offset))
        return fail(err, OMENDB_ERR_CORRUPT, "populate: %zu bytes at %zu lie past the end", size,
                    offset);
    return OMENDB_OK;
}

static omendb_status sim_identity(struct file *base, uint64_t *device, uint64_t *inode,
                                  omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    if (sim_dead(sim_of(base->vfs), file)) return sim_fail_crashed(err);
    *device = sim_of(base->vfs)->device;
    *inode = file->inode->number;
    return OMENDB_OK;
}

/* ---- Locks ---- */

static void sim_add_lock(struct inode *inode, struct lock lock)
{
    if (inode->lock_count == inode->lock_capacity) {
        inode->lock_capacity = 2 * inode->lock_capacity + 4;
        inode->locks = sim_memory(inode->locks, inode->lock_capacity, sizeof *inode->locks);
    }
    inode->locks[inode->lock_count++] = lock;
}

/* Takes [first, last] out of what `owner` holds; a lock around it becomes two. */
static void sim_cut_locks(struct inode *inode, const void *owner, uint64_t first, uint64_t last)
{
    const size_t count = inode->lock_count;
    struct lock *old = inode->locks;
    inode->locks = NULL;
    inode->lock_count = inode->lock_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        const struct lock lock = old[i];
        if (lock.owner != owner || lock.last < first || lock.first > last) {
            sim_add_lock(inode, lock);
            continue;
        }
        struct lock part = lock;
        part.last = first - 1;
        if (lock.first < first) sim_add_lock(inode, part);
        part = lock;
        part.first = last + 1;
        if (lock.last > last) sim_add_lock(inode, part);
    }
    free(old);
}

static omendb_status sim_lock(struct file *base, uint64_t byte, uint64_t count, enum file_lock kind,
                              bool *granted, omendb_error *err)
{
    struct sim_file *file = sim_file_of(base);
    struct inode *inode = file->inode;
    SIM_REQUIRE(count != 0);
    if (sim_dead(sim_of(base->vfs), file)) return sim_fail_crashed(err);
    if (byte > INT64_MAX || count > INT64_MAX - byte)
        return fail(err, OMENDB_ERR_FULL, "lock %.150s: range too large", file->path);
    if (kind == FILE_LOCK_EXCLUSIVE && file->read_only)
        return fail(err, OMENDB_ERR_IO, "lock %.150s: opened for reading", file->path);
    const uint64_t last = byte + count - 1;
    for (size_t i = 0; i < inode->lock_count && kind != FILE_UNLOCK; i++) {
        const struct lock *lock = &inode->locks[i];
        if (lock->owner == file || lock->last < byte || lock->first > last) continue;
        if (!lock->exclusive && kind == FILE_LOCK_SHARED) continue;
        *granted = false;
        return OMENDB_OK;
    }
    sim_cut_locks(inode, file, byte, last);
    if (kind != FILE_UNLOCK)
        sim_add_lock(inode, (struct lock){.owner = file,
                                          .first = byte,
                                          .last = last,
                                          .exclusive = kind == FILE_LOCK_EXCLUSIVE});
    *granted = true;
    return OMENDB_OK;
}

/* ---- Names ---- */

static omendb_status sim_rename(struct vfs *vfs, const char *from, const char *to,
                                omendb_error *err)
{
    struct sim *sim = sim_of(vfs);
    struct sim_turn turn;
    if (sim_dead(sim, NULL)) return sim_fail_crashed(err);
    TRY(sim_check_writable(sim, "rename", from, err));
    if (disk_find(&sim->disk, from) == NULL) return sim_not_found("rename", from, err);
    TRY(sim_begin(sim, NULL, (struct sim_call){.kind = SIM_RENAME, .path = from}, &turn, err));
    TRY(sim_plain_fault(&turn, "rename", from, err));
    disk_rename(&sim->disk, from, to);
    return sim_end(&turn, err);
}

static omendb_status sim_remove(struct vfs *vfs, const char *path, omendb_error *err)
{
    struct sim *sim = sim_of(vfs);
    struct sim_turn turn;
    if (sim_dead(sim, NULL)) return sim_fail_crashed(err);
    TRY(sim_check_writable(sim, "unlink", path, err));
    if (disk_find(&sim->disk, path) == NULL) return sim_not_found("unlink", path, err);
    TRY(sim_begin(sim, NULL, (struct sim_call){.kind = SIM_REMOVE, .path = path}, &turn, err));
    TRY(sim_plain_fault(&turn, "unlink", path, err));
    disk_remove(&sim->disk, path);
    return sim_end(&turn, err);
}

static omendb_status sim_sync_directory(struct vfs *vfs, const char *path, omendb_error *err)
{
    struct sim *sim = sim_of(vfs);
    struct sim_turn turn;
    TRY(sim_begin(sim, NULL, (struct sim_call){.kind = SIM_SYNC_DIRECTORY, .path = path}, &turn,
                  err));
    TRY(sim_plain_fault(&turn, "fsync", path, err));
    if (!turn.crash) disk_sync_names(&sim->disk, path);
    return sim_end(&turn, err);
}

static omendb_status sim_list(struct vfs *vfs, const char *path_prefix,
                              void (*each)(void *context, const char *suffix), void *context,
                              omendb_error *err)
{
    struct sim *sim = sim_of(vfs);
    if (sim_dead(sim, NULL)) return sim_fail_crashed(err);
    const size_t length = strlen(path_prefix);
    /* From the last: `each` may remove the file that it is told. */
    for (size_t i = sim->disk.current.count; i-- > 0;) {
        const char *path = sim->disk.current.names[i].path;
        if (strncmp(path, path_prefix, length) != 0 || strchr(path + length, '/') != NULL) continue;
        const size_t suffix_size = strlen(path + length) + 1;
        char *suffix = sim_memory(NULL, suffix_size, 1);
        memcpy(suffix, path + length, suffix_size);
        each(context, suffix);
        free(suffix);
    }
    return OMENDB_OK;
}

/* ---- Clock, randomness, process ---- */

static uint64_t sim_clock_monotonic_ns(struct vfs *vfs)
{
    struct sim *sim = sim_of(vfs);
    return sim->clock_ns += SIM_CLOCK_STEP_NS;
}

static uint64_t sim_clock_wall_ns(struct vfs *vfs)
{
    return sim_wall_start_ns + sim_clock_monotonic_ns(vfs);
}

static omendb_status sim_random(struct vfs *vfs, void *out, size_t size, omendb_error *err)
{
    struct sim *sim = sim_of(vfs);
    uint8_t *to = out;
    (void)err;
    while (size != 0) {
        const uint64_t drawn = sim_mix(&sim->random);
        const size_t part = size < sizeof drawn ? size : sizeof drawn;
        memcpy(to, &drawn, part);
        to += part;
        size -= part;
    }
    return OMENDB_OK;
}

static uint64_t sim_process_id(struct vfs *vfs)
{
    return sim_of(vfs)->process;
}

/* ---- Simulators ---- */

static struct sim *sim_make(void)
{
    static const struct vfs_ops ops = {
        .open = sim_open,
        .close = sim_close,
        .read = sim_read,
        .write = sim_write,
        .sync = sim_sync,
        .size = sim_size,
        .resize = sim_resize,
        .allocate = sim_allocate,
        .map = sim_map,
        .unmap = sim_unmap,
        .populate = sim_populate,
        .lock = sim_lock,
        .identity = sim_identity,
        .rename = sim_rename,
        .remove = sim_remove,
        .sync_directory = sim_sync_directory,
        .list = sim_list,
        .clock_monotonic_ns = sim_clock_monotonic_ns,
        .clock_wall_ns = sim_clock_wall_ns,
        .random = sim_random,
        .process_id = sim_process_id,
    };
    static atomic_ullong devices;
    struct sim *sim = sim_memory(NULL, 1, sizeof *sim);
    *sim = (struct sim){.vfs = {.ops = &ops, .single_threaded = true},
                        .device = UINT64_C(0x51D000000) + atomic_fetch_add(&devices, 1),
                        .process = SIM_PROCESS};
    return sim;
}

struct sim *sim_create(uint64_t seed)
{
    struct sim *sim = sim_make();
    sim->random = seed;
    sim->running = true;
    return sim;
}

void sim_destroy(struct sim *sim)
{
    if (sim == NULL) return;
    SIM_REQUIRE(sim->open_files == 0); /* The engine left a file open. */
    disk_deinit(&sim->disk);
    free(sim);
}

struct sim *sim_clone(struct sim *sim)
{
    struct sim *clone = sim_make();
    disk_clone(&clone->disk, &sim->disk);
    clone->random = sim->random;
    clone->clock_ns = sim->clock_ns;
    clone->disk_limit = sim->disk_limit;
    return clone;
}

struct vfs *sim_vfs(struct sim *sim)
{
    return &sim->vfs;
}

void sim_crash_at(struct sim *sim, uint64_t number)
{
    sim->crash_at = number;
}

bool sim_crashed(const struct sim *sim)
{
    return sim->crashed;
}

void sim_reboot(struct sim *sim, enum sim_mode mode, uint64_t seed)
{
    if (mode != SIM_PROCESS_KILL) disk_crash(&sim->disk, mode, seed);
    for (size_t i = 0; i < sim->disk.current.count; i++)
        sim->disk.current.names[i].inode->lock_count = 0; /* Their owners are dead. */
    /* Mixed, so that a life never repeats the random numbers (salts!) of an earlier one. */
    sim->random = sim_mix(&sim->random) ^ sim_mix(&seed);
    sim->life++;
    sim->calls = sim->crash_at = sim->fail_read_at = 0;
    memset(sim->counts, 0, sizeof sim->counts);
    sim->fault_count = 0;
    sim->hook = NULL;
    sim->crashed = sim->synced_after_failure = false;
    sim->running = true;
}

uint64_t sim_hash(struct sim *sim)
{
    return disk_hash(&sim->disk);
}

uint64_t sim_calls(const struct sim *sim)
{
    return sim->calls;
}

uint64_t sim_call_count(const struct sim *sim, enum sim_call_kind kind)
{
    return sim->counts[kind];
}

void sim_on_call(struct sim *sim,
                 void (*hook)(void *context, struct sim *sim, const struct sim_call *call),
                 void *context)
{
    sim->hook = hook;
    sim->hook_context = context;
}

void sim_fail_at(struct sim *sim, uint64_t number, enum sim_fault fault)
{
    SIM_REQUIRE(sim->fault_count < SIM_FAULTS);
    sim->faults[sim->fault_count].number = number;
    sim->faults[sim->fault_count++].fault = fault;
}

void sim_fail_read_at(struct sim *sim, uint64_t number)
{
    sim->fail_read_at = number;
}

void sim_set_disk_limit(struct sim *sim, uint64_t bytes)
{
    sim->disk_limit = bytes;
}

void sim_set_read_only(struct sim *sim, bool read_only)
{
    sim->read_only = read_only;
}

bool sim_flip(struct sim *sim, const char *path, uint64_t offset, uint8_t bits)
{
    struct inode *inode = disk_find(&sim->disk, path);
    return inode != NULL && inode_flip(inode, offset, bits);
}

bool sim_synced_after_failure(const struct sim *sim)
{
    return sim->synced_after_failure;
}

uint32_t sim_open_files(const struct sim *sim)
{
    return sim->open_files;
}

void sim_advance_clock(struct sim *sim, uint64_t ns)
{
    sim->clock_ns += ns;
}

void sim_set_process_id(struct sim *sim, uint64_t id)
{
    sim->process = id;
}
