#include "crash/interpose.h"

#include <pthread.h>
#include <string.h>

#include "store/format.h"

static pthread_mutex_t disk_lock; /* Recursive: a hook of the simulator may call back. */
static const struct vfs_ops *beneath;
static uint64_t minor_calls, minor_target;
static void (*before_write)(void *context);
static void *before_write_context;
static bool within_before_write;

static void lock_take(void)
{
    (void)pthread_mutex_lock(&disk_lock);
}

static omendb_status lock_give(omendb_status status)
{
    (void)pthread_mutex_unlock(&disk_lock);
    return status;
}

static bool minor_fails(void)
{
    return ++minor_calls == minor_target;
}

static omendb_status minor_failure(const char *call, omendb_error *err)
{
    return fail(err, OMENDB_ERR_IO, "%s: simulated failure", call);
}

static omendb_status over_open(struct vfs *vfs, const char *path, uint32_t flags, struct file **out,
                               omendb_error *err)
{
    lock_take();
    if ((flags & FILE_CREATE) == 0 && minor_fails()) return lock_give(minor_failure("open", err));
    return lock_give(beneath->open(vfs, path, flags, out, err));
}

static void over_close(struct file *file)
{
    lock_take();
    beneath->close(file);
    (void)lock_give(OMENDB_OK);
}

static omendb_status over_read(struct file *file, uint64_t offset, void *buffer, size_t size,
                               size_t *got, omendb_error *err)
{
    lock_take();
    return lock_give(beneath->read(file, offset, buffer, size, got, err));
}

static omendb_status over_write(struct file *file, uint64_t offset, const void *data, size_t size,
                                omendb_error *err)
{
    if (before_write != NULL && !within_before_write && size == BLOCK_SIZE &&
        offset >= BLOCK_FIRST * (uint64_t)BLOCK_SIZE) {
        within_before_write = true;
        before_write(before_write_context);
        within_before_write = false;
    }
    lock_take();
    return lock_give(beneath->write(file, offset, data, size, err));
}

static omendb_status over_sync(struct file *file, omendb_error *err)
{
    lock_take();
    return lock_give(beneath->sync(file, err));
}

static omendb_status over_size(struct file *file, uint64_t *out, omendb_error *err)
{
    lock_take();
    if (minor_fails()) return lock_give(minor_failure("size", err));
    return lock_give(beneath->size(file, out, err));
}

static omendb_status over_resize(struct file *file, uint64_t size, omendb_error *err)
{
    lock_take();
    return lock_give(beneath->resize(file, size, err));
}

static omendb_status over_map(struct file *file, size_t length, const void **out, omendb_error *err)
{
    lock_take();
    if (minor_fails()) return lock_give(minor_failure("map", err));
    return lock_give(beneath->map(file, length, out, err));
}

static void over_unmap(struct file *file, const void *base, size_t length)
{
    lock_take();
    beneath->unmap(file, base, length);
    (void)lock_give(OMENDB_OK);
}

static omendb_status over_populate(struct file *file, const void *address, size_t size,
                                   omendb_error *err)
{
    lock_take();
    return lock_give(beneath->populate(file, address, size, err));
}

static omendb_status over_lock(struct file *file, uint64_t byte, uint64_t count,
                               enum file_lock kind, bool *granted, omendb_error *err)
{
    lock_take();
    if (kind != FILE_UNLOCK && minor_fails()) return lock_give(minor_failure("lock", err));
    return lock_give(beneath->lock(file, byte, count, kind, granted, err));
}

static omendb_status over_identity(struct file *file, uint64_t *device, uint64_t *inode,
                                   omendb_error *err)
{
    lock_take();
    if (minor_fails()) return lock_give(minor_failure("identity", err));
    return lock_give(beneath->identity(file, device, inode, err));
}

static omendb_status over_rename(struct vfs *vfs, const char *from, const char *to,
                                 omendb_error *err)
{
    lock_take();
    return lock_give(beneath->rename(vfs, from, to, err));
}

static omendb_status over_remove(struct vfs *vfs, const char *path, omendb_error *err)
{
    lock_take();
    return lock_give(beneath->remove(vfs, path, err));
}

static omendb_status over_sync_directory(struct vfs *vfs, const char *path, omendb_error *err)
{
    lock_take();
    return lock_give(beneath->sync_directory(vfs, path, err));
}

static omendb_status over_list(struct vfs *vfs, const char *path_prefix,
                               void (*each)(void *context, const char *suffix), void *context,
                               omendb_error *err)
{
    lock_take();
    if (minor_fails()) return lock_give(minor_failure("list", err));
    return lock_give(beneath->list(vfs, path_prefix, each, context, err));
}

static uint64_t over_clock_monotonic_ns(struct vfs *vfs)
{
    lock_take();
    const uint64_t now = beneath->clock_monotonic_ns(vfs);
    (void)lock_give(OMENDB_OK);
    return now;
}

static uint64_t over_clock_wall_ns(struct vfs *vfs)
{
    lock_take();
    const uint64_t now = beneath->clock_wall_ns(vfs);
    (void)lock_give(OMENDB_OK);
    return now;
}

static omendb_status over_random(struct vfs *vfs, void *out, size_t size, omendb_error *err)
{
    lock_take();
    if (minor_fails()) return lock_give(minor_failure("random", err));
    return lock_give(beneath->random(vfs, out, size, err));
}

void interpose_begin(struct sim *sim, bool threads)
{
    static struct vfs_ops over;
    pthread_mutexattr_t recursive;
    struct vfs *vfs = sim_vfs(sim);
    (void)pthread_mutexattr_init(&recursive);
    (void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&disk_lock, &recursive);
    (void)pthread_mutexattr_destroy(&recursive);
    beneath = vfs->ops;
    over = *beneath; /* What isn't listed stays. */
    over.open = over_open;
    over.close = over_close;
    over.read = over_read;
    over.write = over_write;
    over.sync = over_sync;
    over.size = over_size;
    over.resize = over_resize;
    over.map = over_map;
    over.unmap = over_unmap;
    over.populate = over_populate;
    over.lock = over_lock;
    over.identity = over_identity;
    over.rename = over_rename;
    over.remove = over_remove;
    over.sync_directory = over_sync_directory;
    over.list = over_list;
    over.clock_monotonic_ns = over_clock_monotonic_ns;
    over.clock_wall_ns = over_clock_wall_ns;
    over.random = over_random;
    vfs->ops = &over;
    vfs->single_threaded = !threads;
    before_write = NULL;
    interpose_fail_minor_at(0);
}

void interpose_end(struct sim *sim)
{
    sim_vfs(sim)->ops = beneath;
    sim_vfs(sim)->single_threaded = true;
    (void)pthread_mutex_destroy(&disk_lock);
}

void interpose_fail_minor_at(uint64_t number)
{
    minor_calls = 0;
    minor_target = number;
}

uint64_t interpose_minor_calls(void)
{
    return minor_calls;
}

void interpose_before_write(void (*before)(void *context), void *context)
{
    before_write = before;
    before_write_context = context;
}
