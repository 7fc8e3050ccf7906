#include "os/vfs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

/* Linux 5.14; older C libraries don't name it. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum {
    REAL_MODE = 0644,
    REAL_LOW_DESCRIPTORS = 3, /* 0-2: a stray printf of the host must not hit a database. */
    REAL_TRANSFER = 1 << 30,  /* Linux moves at most 0x7ffff000 bytes a call. */
    REAL_SHOWN_PATH = 150     /* Bytes of a path that a message shows: the last ones. */
};

struct real_mapping {
    const uint8_t *base;
    size_t length;
};

struct real_file {
    struct file file;
    int descriptor;
    bool writable;
    pthread_mutex_t mutex; /* Guards the mappings; only map, unmap and failed populates take it. */
    struct real_mapping *mappings;
    size_t mapping_count, mapping_capacity;
    char path[];
};

static struct real_file *real_of(struct file *file)
{
    return (struct real_file *)file;
}

static omendb_status real_fail(omendb_error *err, const char *call, const char *path, int code,
                               omendb_status status)
{
    char space[128];
    const char *text = strerror_r(code, space, sizeof space);
    const size_t length = strlen(path);
    const char *shown = length > REAL_SHOWN_PATH ? path + length - REAL_SHOWN_PATH : path;
    while (((unsigned char)*shown & 0xC0u) == 0x80u) shown++; /* Not into a UTF-8 sequence. */
    return fail(err, status, "%s %s%s: %s", call, shown != path ? "..." : "", shown, text);
}

static omendb_status real_status(int code)
{
    switch (code) {
    case ENOENT:
        return OMENDB_ERR_NOT_FOUND;
    case EEXIST:
        return OMENDB_ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return OMENDB_ERR_FULL;
    case EROFS:
        return OMENDB_ERR_READ_ONLY;
    case ENOMEM:
        return OMENDB_ERR_NOMEM;
    default:
        return OMENDB_ERR_IO;
    }
}

static omendb_status real_fail_errno(omendb_error *err, const char *call, const char *path)
{
    const int code = errno;
    return real_fail(err, call, path, code, real_status(code));
}

static omendb_status real_open(struct vfs *vfs, const char *path, uint32_t flags, struct file **out,
                               omendb_error *err)
{
    const bool writable = (flags & FILE_READ_ONLY) == 0;
    /* O_NONBLOCK: opening a pipe by mistake must not wait; a regular file doesn't care. */
    int mode = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    if ((flags & FILE_CREATE) != 0) mode |= O_CREAT;
    if ((flags & FILE_CREATE) != 0 && (flags & FILE_EXCLUSIVE) != 0) mode |= O_EXCL;

    const size_t path_size = strlen(path) + 1;
    struct real_file *file = alloc_zeroed(1, sizeof *file + path_size);
    if (file == NULL) return fail(err, OMENDB_ERR_NOMEM, "open %s", path);
    memcpy(file->path, path, path_size);
    file->file.vfs = vfs;
    file->writable = writable;

    int descriptor = -1;
    do descriptor = open(path, mode, REAL_MODE);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor >= 0 && descriptor < REAL_LOW_DESCRIPTORS) {
        const int low = descriptor;
        descriptor = fcntl(low, F_DUPFD_CLOEXEC, REAL_LOW_DESCRIPTORS);
        const int code = errno;
        (void)close(low);
        errno = code;
    }
    if (descriptor < 0) {
        const int code = errno;
        alloc_free(file);
        if (writable && (code == EACCES || code == EPERM))
            return real_fail(err, "open", path, code, OMENDB_ERR_READ_ONLY);
        return real_fail(err, "open", path, code, real_status(code));
    }
    struct stat about;
    if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
        (void)close(descriptor);
        alloc_free(file);
        return fail(err, OMENDB_ERR_IO, "open %.*s: not a regular file", REAL_SHOWN_PATH, path);
    }
    file->descriptor = descriptor;
    (void)pthread_mutex_init(&file->mutex, NULL);
    *out = &file->file;
    return OMENDB_OK;
}

static void real_close(struct file *base)
{
    struct real_file *file = real_of(base);
    assert(file->mapping_count == 0);
    (void)close(file->descriptor); /* The locks of this open file end with it. */
    (void)pthread_mutex_destroy(&file->mutex);
    alloc_free(file->mappings);
    alloc_free(file);
}

static omendb_status real_check_range(struct real_file *file, const char *call, uint64_t offset,
                                      uint64_t size, omendb_error *err)
{
    uint64_t end = 0;
    if (__builtin_add_overflow(offset, size, &end) || end > INT64_MAX)
        return real_fail(err, call, file->path, EFBIG, OMENDB_ERR_FULL);
    return OMENDB_OK;
}

static omendb_status real_read(struct file *base, uint64_t offset, void *buffer, size_t size,
                               size_t *got, omendb_error *err)
{
    struct real_file *file = real_of(base);
    uint8_t *to = buffer;
    size_t done = 0;
    TRY(real_check_range(file, "read", offset, size, err));
    while (done < size) {
        const size_t left = size - done;
        const ssize_t moved = pread(file->descriptor, to + done,
                                    left < REAL_TRANSFER ? left : REAL_TRANSFER,
                                    (off_t)(offset + done));
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) return real_fail_errno(err, "read", file->path);
        if (moved == 0) break; /* The end of the file. */
        done += (size_t)moved;
    }
    *got = done;
    return OMENDB_OK;
}

static omendb_status real_write(struct file *base, uint64_t offset, const void *data, size_t size,
                                omendb_error *err)
{
    struct real_file *file = real_of(base);
    const uint8_t *from = data;
    size_t done = 0;
    TRY(real_check_range(file, "write", offset, size, err));
    while (done < size) {
        const size_t left = size - done;
        const ssize_t moved = pwrite(file->descriptor, from + done,
                                     left < REAL_TRANSFER ? left : REAL_TRANSFER,
                                     (off_t)(offset + done));
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) return real_fail_errno(err, "write", file->path);
        if (moved == 0) return real_fail(err, "write", file->path, EIO, OMENDB_ERR_IO);
        done += (size_t)moved;
    }
    return OMENDB_OK;
}

static omendb_status real_sync(struct file *base, omendb_error *err)
{
    struct real_file *file = real_of(base);
    /* EINTR says that nothing was decided yet; any other failure must not be asked again. */
    while (fdatasync(file->descriptor) != 0) {
        if (errno != EINTR) return real_fail_errno(err, "fdatasync", file->path);
    }
    return OMENDB_OK;
}

static omendb_status real_size(struct file *base, uint64_t *out, omendb_error *err)
{
    struct real_file *file = real_of(base);
    struct stat about;
    if (fstat(file->descriptor, &about) != 0) return real_fail_errno(err, "fstat", file->path);
    *out = (uint64_t)about.st_size;
    return OMENDB_OK;
}

static omendb_status real_resize(struct file *base, uint64_t size, omendb_error *err)
{
    struct real_file *file = real_of(base);
    TRY(real_check_range(file, "ftruncate", size, 0, err));
    while (ftruncate(file->descriptor, (off_t)size) != 0) {
        if (errno != EINTR) return real_fail_errno(err, "ftruncate", file->path);
    }
    return OMENDB_OK;
}

static omendb_status real_allocate(struct file *base, uint64_t offset, uint64_t size,
                                   omendb_error *err)
{
    struct real_file *file = real_of(base);
    TRY(real_check_range(file, "fallocate", offset, size, err));
    while (fallocate(file->descriptor, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) != 0) {
        if (errno == EINTR) continue;
        if (errno == EOPNOTSUPP || errno == ENOSYS) return OMENDB_OK; /* NFS 3, FAT. */
        return real_fail_errno(err, "fallocate", file->path);
    }
    return OMENDB_OK;
}

static omendb_status real_map(struct file *base, size_t length, const void **out, omendb_error *err)
{
    struct real_file *file = real_of(base);
    omendb_status status = OMENDB_OK;
    (void)pthread_mutex_lock(&file->mutex);
    if (!alloc_grow(&file->mappings, &file->mapping_capacity, file->mapping_count + 1,
                    sizeof *file->mappings)) {
        status = real_fail(err, "mmap", file->path, ENOMEM, OMENDB_ERR_NOMEM);
    } else {
        void *address = mmap(NULL, length, PROT_READ, MAP_SHARED | MAP_NORESERVE, file->descriptor,
                             0);
        if (address == MAP_FAILED) {
            status = real_fail_errno(err, "mmap", file->path);
        } else {
            file->mappings[file->mapping_count++] = (struct real_mapping){.base = address,
                                                                          .length = length};
            *out = address;
        }
    }
    (void)pthread_mutex_unlock(&file->mutex);
    return status;
}

static void real_unmap(struct file *base, const void *address, size_t length)
{
    struct real_file *file = real_of(base);
    (void)pthread_mutex_lock(&file->mutex);
    size_t at = 0;
    while (at < file->mapping_count && file->mappings[at].base != address) at++;
    assert(at < file->mapping_count && file->mappings[at].length == length);
    file->mappings[at] = file->mappings[--file->mapping_count];
    (void)pthread_mutex_unlock(&file->mutex);
    void *mutable_address = NULL; /* munmap() takes it without const. */
    memcpy(&mutable_address, &address, sizeof address);
    (void)munmap(mutable_address, length);
}

/* Tells where `address` of a mapping lies in the file. */
static bool real_offset_of(struct real_file *file, const uint8_t *address, uint64_t *out)
{
    bool found = false;
    (void)pthread_mutex_lock(&file->mutex);
    for (size_t i = 0; i < file->mapping_count && !found; i++) {
        const struct real_mapping *mapping = &file->mappings[i];
        found = address >= mapping->base && address < mapping->base + mapping->length;
        if (found) *out = (uint64_t)(address - mapping->base);
    }
    (void)pthread_mutex_unlock(&file->mutex);
    return found;
}

static omendb_status real_populate(struct file *base, const void *address, size_t size,
                                   omendb_error *err)
{
    struct real_file *file = real_of(base);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uint8_t *first = (const uint8_t *)address - ((uintptr_t)address & (page - 1));
    const size_t length = size + (size_t)((const uint8_t *)address - first);
    void *from = NULL;
    memcpy(&from, &first, sizeof first);
    if (size == 0) return OMENDB_OK;
    int result = 0;
    do result = madvise(from, length, MADV_POPULATE_READ);
    while (result != 0 && (errno == EINTR || errno == EAGAIN));
    if (result == 0) return OMENDB_OK;

    /* EFAULT: a touch would have raised SIGBUS, because the file ends before it or because the
     * disk can't read it. EINVAL: a kernel before 5.14; a touch is safe when the file is long
     * enough, as far as anybody can know. The size of the file tells each pair apart. */
    const int code = errno;
    uint64_t offset = 0, end = 0;
    if (!real_offset_of(file, address, &offset))
        return real_fail(err, "populate", file->path, EINVAL, OMENDB_ERR_IO);
    TRY(real_size(base, &end, err));
    end += page - 1 - ((end + page - 1) & (page - 1)); /* The last page reads to its end. */
    if (offset + size > end)
        return fail(err, OMENDB_ERR_CORRUPT, "populate: %zu bytes at %llu lie past the end", size,
                    (unsigned long long)offset);
    if (code == EINVAL) return OMENDB_OK;
    return real_fail(err, "populate", file->path, code == EFAULT ? EIO : code,
                     code == ENOMEM ? OMENDB_ERR_NOMEM : OMENDB_ERR_IO);
}

static omendb_status real_lock(struct file *base, uint64_t byte, uint64_t count,
                               enum file_lock kind, bool *granted, omendb_error *err)
{
    struct real_file *file = real_of(base);
    struct flock range = {.l_whence = SEEK_SET};
    assert(count != 0); /* To the kernel 0 means "to infinity". */
    TRY(real_check_range(file, "lock", byte, count, err));
    range.l_start = (off_t)byte;
    range.l_len = (off_t)count;
    switch (kind) {
    case FILE_UNLOCK:
        range.l_type = F_UNLCK;
        break;
    case FILE_LOCK_SHARED:
        range.l_type = F_RDLCK;
        break;
    case FILE_LOCK_EXCLUSIVE:
        range.l_type = F_WRLCK;
        break;
    }
    while (fcntl(file->descriptor, F_OFD_SETLK, &range) != 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EACCES) return real_fail_errno(err, "lock", file->path);
        *granted = false;
        return OMENDB_OK;
    }
    *granted = true;
    return OMENDB_OK;
}

static omendb_status real_identity(struct file *base, uint64_t *device, uint64_t *inode,
                                   omendb_error *err)
{
    struct real_file *file = real_of(base);
    struct stat about;
    if (fstat(file->descriptor, &about) != 0) return real_fail_errno(err, "fstat", file->path);
    *device = (uint64_t)about.st_dev;
    *inode = (uint64_t)about.st_ino;
    return OMENDB_OK;
}

static omendb_status real_rename(struct vfs *vfs, const char *from, const char *to,
                                 omendb_error *err)
{
    (void)vfs;
    if (rename(from, to) != 0) return real_fail_errno(err, "rename", from);
    return OMENDB_OK;
}

static omendb_status real_remove(struct vfs *vfs, const char *path, omendb_error *err)
{
    (void)vfs;
    if (unlink(path) != 0) return real_fail_errno(err, "unlink", path);
    return OMENDB_OK;
}

/* Writes the directory that holds `path` to `out` and tells where the name begins. */
static omendb_status real_directory_of(const char *path, char out[PATH_MAX], const char **name,
                                       omendb_error *err)
{
    const char *slash = strrchr(path, '/');
    out[0] = '\0';
    if (slash == NULL) {
        memcpy(out, ".", sizeof ".");
        *name = path;
        return OMENDB_OK;
    }
    const size_t length = slash == path ? 1 : (size_t)(slash - path); /* "/x" lies in "/". */
    if (length >= PATH_MAX) return real_fail(err, "open", path, ENAMETOOLONG, OMENDB_ERR_IO);
    memcpy(out, path, length);
    out[length] = '\0';
    *name = slash + 1;
    return OMENDB_OK;
}

static omendb_status real_sync_directory(struct vfs *vfs, const char *path, omendb_error *err)
{
    char directory[PATH_MAX];
    const char *name = NULL;
    (void)vfs;
    TRY(real_directory_of(path, directory, &name, err));
    int descriptor = -1;
    do descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) return real_fail_errno(err, "open", directory);
    int result = 0;
    do result = fsync(descriptor);
    while (result != 0 && errno == EINTR);
    omendb_status status = OMENDB_OK;
    if (result != 0) status = real_fail_errno(err, "fsync", directory);
    (void)close(descriptor);
    return status;
}

static omendb_status real_list(struct vfs *vfs, const char *path_prefix,
                               void (*each)(void *context, const char *suffix), void *context,
                               omendb_error *err)
{
    char directory[PATH_MAX];
    const char *name = path_prefix;
    (void)vfs;
    TRY(real_directory_of(path_prefix, directory, &name, err));
    const size_t length = strlen(name);
    DIR *stream = opendir(directory); /* Sets close-on-exec. */
    if (stream == NULL) return real_fail_errno(err, "opendir", directory);
    for (;;) {
        errno = 0;
        /* The stream is ours alone: no race. NOLINTNEXTLINE(concurrency-mt-unsafe) */
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (strncmp(entry->d_name, name, length) == 0) each(context, entry->d_name + length);
    }
    omendb_status status = OMENDB_OK;
    if (errno != 0) status = real_fail_errno(err, "readdir", directory);
    (void)closedir(stream);
    return status;
}

static uint64_t real_clock(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* Can't fail for these two clocks. */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t real_clock_monotonic_ns(struct vfs *vfs)
{
    (void)vfs;
    return real_clock(CLOCK_MONOTONIC);
}

static uint64_t real_clock_wall_ns(struct vfs *vfs)
{
    (void)vfs;
    return real_clock(CLOCK_REALTIME);
}

static omendb_status real_random(struct vfs *vfs, void *out, size_t size, omendb_error *err)
{
    uint8_t *to = out;
    (void)vfs;
    for (size_t done = 0; done < size;) {
        const ssize_t got = getrandom(to + done, size - done, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return real_fail_errno(err, "getrandom", "");
        done += (size_t)got;
    }
    return OMENDB_OK;
}

static uint64_t real_process_id(struct vfs *vfs)
{
    (void)vfs;
    return (uint64_t)getpid();
}

struct vfs *vfs_real(void)
{
    static const struct vfs_ops ops = {
        .open = real_open,
        .close = real_close,
        .read = real_read,
        .write = real_write,
        .sync = real_sync,
        .size = real_size,
        .resize = real_resize,
        .allocate = real_allocate,
        .map = real_map,
        .unmap = real_unmap,
        .populate = real_populate,
        .lock = real_lock,
        .identity = real_identity,
        .rename = real_rename,
        .remove = real_remove,
        .sync_directory = real_sync_directory,
        .list = real_list,
        .clock_monotonic_ns = real_clock_monotonic_ns,
        .clock_wall_ns = real_clock_wall_ns,
        .random = real_random,
        .process_id = real_process_id,
    };
    static struct vfs vfs = {.ops = &ops, .single_threaded = false};
    return &vfs;
}
