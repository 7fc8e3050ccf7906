/* vfs.h - the one seam to the operating system: files, mapping, locks, clock, randomness.
 *
 * Everything above os/ sees files only through a `struct vfs`, a table of functions with two
 * implementations: vfs_real() (vfs_real.c: Linux system calls) and the simulator (vfs_sim.h:
 * a disk in memory that can crash at every call). Nothing above may notice which one it has.
 *
 * Semantics that both keep:
 *   - write() changes the page cache; a crash of the process keeps it, a crash of the machine
 *     keeps what sync() covered and any part of the rest.
 *   - create, rename and remove survive a machine crash only after sync_directory().
 *   - map() shows the page cache: a write() is seen through the mapping at once. The mapping
 *     may be longer than the file; bytes past its end must not be touched.
 *   - short reads and writes and EINTR are dealt with inside; read() is short only at the end
 *     of the file.
 *
 * Errors: NOT_FOUND (ENOENT), EXISTS (EEXIST), FULL (ENOSPC, EDQUOT, EFBIG), READ_ONLY (EROFS,
 * EACCES and EPERM on opening for writing), NOMEM, IO for the rest; the message names the call,
 * the path and the system's own text.
 *
 * Threads: a `struct vfs` any; a `struct file` any for read/write/sync at disjoint ranges.
 */
#ifndef OS_VFS_H
#define OS_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct vfs;
struct file; /* Each implementation begins its own with `struct vfs *vfs`. */

enum {
    FILE_READ_ONLY = 1,
    FILE_CREATE = 2,   /* Make it when it isn't there. */
    FILE_EXCLUSIVE = 4 /* With FILE_CREATE: EXISTS when it is there. */
};

enum file_lock { FILE_UNLOCK, FILE_LOCK_SHARED, FILE_LOCK_EXCLUSIVE };

struct vfs_ops {
    omendb_status (*open)(struct vfs *vfs, const char *path, uint32_t flags, struct file **out,
                          omendb_error *err);
    void (*close)(struct file *file);
    omendb_status (*read)(struct file *file, uint64_t offset, void *buffer, size_t size,
                          size_t *got, omendb_error *err);
    omendb_status (*write)(struct file *file, uint64_t offset, const void *data, size_t size,
                           omendb_error *err);
    omendb_status (*sync)(struct file *file, omendb_error *err);
    omendb_status (*size)(struct file *file, uint64_t *out, omendb_error *err);
    omendb_status (*resize)(struct file *file, uint64_t size, omendb_error *err);
    omendb_status (*allocate)(struct file *file, uint64_t offset, uint64_t size, omendb_error *err);
    omendb_status (*map)(struct file *file, size_t length, const void **out, omendb_error *err);
    void (*unmap)(struct file *file, const void *base, size_t length);
    omendb_status (*populate)(struct file *file, const void *address, size_t size,
                              omendb_error *err);
    omendb_status (*lock)(struct file *file, uint64_t byte, uint64_t count, enum file_lock kind,
                          bool *granted, omendb_error *err);
    omendb_status (*identity)(struct file *file, uint64_t *device, uint64_t *inode,
                              omendb_error *err);
    omendb_status (*rename)(struct vfs *vfs, const char *from, const char *to, omendb_error *err);
    omendb_status (*remove)(struct vfs *vfs, const char *path, omendb_error *err);
    omendb_status (*sync_directory)(struct vfs *vfs, const char *path, omendb_error *err);
    omendb_status (*list)(struct vfs *vfs, const char *path_prefix,
                          void (*each)(void *context, const char *suffix), void *context,
                          omendb_error *err);
    uint64_t (*clock_monotonic_ns)(struct vfs *vfs);
    uint64_t (*clock_wall_ns)(struct vfs *vfs); /* Since 1970-01-01 UTC. */
    omendb_status (*random)(struct vfs *vfs, void *out, size_t size, omendb_error *err);
    uint64_t (*process_id)(struct vfs *vfs); /* To detect fork(). */
};

struct vfs {
    const struct vfs_ops *ops;
    bool single_threaded; /* true: the engine starts no thread and does its upkeep inline. */
};

struct file {
    struct vfs *vfs;
};

/* The operating system's files. Static storage. */
struct vfs *vfs_real(void);

/* Thin callers, so that the code above reads as functions. */
static inline omendb_status file_open(struct vfs *vfs, const char *path, uint32_t flags,
                                      struct file **out, omendb_error *err)
{
    return vfs->ops->open(vfs, path, flags, out, err);
}

static inline void file_close(struct file *file) /* NULL is allowed. */
{
    if (file != NULL) file->vfs->ops->close(file);
}

/* Reads up to `size` bytes at `offset`; *got < size only at the end of the file. */
static inline omendb_status file_read(struct file *file, uint64_t offset, void *buffer, size_t size,
                                      size_t *got, omendb_error *err)
{
    return file->vfs->ops->read(file, offset, buffer, size, got, err);
}

/* Writes all of it, or fails (then any part of it may have been written). */
static inline omendb_status file_write(struct file *file, uint64_t offset, const void *data,
                                       size_t size, omendb_error *err)
{
    return file->vfs->ops->write(file, offset, data, size, err);
}

/* fdatasync: data and the size that is needed to read it. Never call it again after a failure. */
static inline omendb_status file_sync(struct file *file, omendb_error *err)
{
    return file->vfs->ops->sync(file, err);
}

static inline omendb_status file_size(struct file *file, uint64_t *out, omendb_error *err)
{
    return file->vfs->ops->size(file, out, err);
}

static inline omendb_status file_resize(struct file *file, uint64_t size, omendb_error *err)
{
    return file->vfs->ops->resize(file, size, err);
}

/* Takes the disk space for [offset, offset + size), which may lie past the end of the file: writing
 * there can't be FULL any more. Content and size stay. A file system that knows no such thing says
 * OK and promises nothing. A resize gives back what lies past the new end, the same size included. */
static inline omendb_status file_allocate(struct file *file, uint64_t offset, uint64_t size,
                                          omendb_error *err)
{
    return file->vfs->ops->allocate(file, offset, size, err);
}

/* Maps [0, length) read-only and shared; `length` may exceed the file's size. */
static inline omendb_status file_map(struct file *file, size_t length, const void **out,
                                     omendb_error *err)
{
    return file->vfs->ops->map(file, length, out, err);
}

static inline void file_unmap(struct file *file, const void *base, size_t length)
{
    file->vfs->ops->unmap(file, base, length);
}

/* Brings mapped bytes into memory; IO or CORRUPT (past the end) instead of SIGBUS. */
static inline omendb_status file_populate(struct file *file, const void *address, size_t size,
                                          omendb_error *err)
{
    return file->vfs->ops->populate(file, address, size, err);
}

/* Open-file-description lock on [byte, byte + count), never waits: *granted says. The same
 * process's other open files conflict too. Bytes may lie past the end of the file. */
static inline omendb_status file_lock(struct file *file, uint64_t byte, uint64_t count,
                                      enum file_lock kind, bool *granted, omendb_error *err)
{
    return file->vfs->ops->lock(file, byte, count, kind, granted, err);
}

static inline omendb_status vfs_rename(struct vfs *vfs, const char *from, const char *to,
                                       omendb_error *err)
{
    return vfs->ops->rename(vfs, from, to, err);
}

static inline omendb_status vfs_remove(struct vfs *vfs, const char *path, omendb_error *err)
{
    return vfs->ops->remove(vfs, path, err);
}

/* Makes creations, renames and removals in the directory that holds `path` durable. */
static inline omendb_status vfs_sync_directory(struct vfs *vfs, const char *path, omendb_error *err)
{
    return vfs->ops->sync_directory(vfs, path, err);
}

/* Calls `each` with what follows `path_prefix` in the name of every file whose path begins
 * with it (same directory only), in no order. */
static inline omendb_status vfs_list(struct vfs *vfs, const char *path_prefix,
                                     void (*each)(void *context, const char *suffix), void *context,
                                     omendb_error *err)
{
    return vfs->ops->list(vfs, path_prefix, each, context, err);
}

#endif /* OS_VFS_H */
