/* The script of api_scene.h on the real kernel, where a call of the system is interrupted (EINTR) or
 * does a part of its work (a short read or write), each in turn: nobody above may notice. The linker
 * leads the system's calls here (--wrap). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "crash/api_scene.h"
#include "crash/faults.h"
#include "test.h"

static struct {
    uint64_t calls, target; /* Call `target` meets it; 0: none does. */
    bool part;              /* A part of its work; else EINTR. */
    uint64_t met;
    bool dead; /* The process has been killed, as far as the disk can tell. */
} kernel;

static bool is_met(void)
{
    if (++kernel.calls != kernel.target) return false;
    kernel.met++;
    return true;
}

static bool fails(void)
{
    if (kernel.dead) errno = EIO;
    else if (!is_met() || kernel.part) return false;
    else errno = EINTR;
    return true;
}

ssize_t __real_pread(int file, void *to, size_t size, off_t offset);
ssize_t __wrap_pread(int file, void *to, size_t size, off_t offset);
ssize_t __wrap_pread(int file, void *to, size_t size, off_t offset)
{
    if (fails()) return -1;
    if (kernel.calls == kernel.target && size > 1) size = size / 3 + 1;
    return __real_pread(file, to, size, offset);
}

ssize_t __real_pwrite(int file, const void *from, size_t size, off_t offset);
ssize_t __wrap_pwrite(int file, const void *from, size_t size, off_t offset);
ssize_t __wrap_pwrite(int file, const void *from, size_t size, off_t offset)
{
    if (fails()) return -1;
    if (kernel.calls == kernel.target && size > 1) size = size / 3 + 1;
    return __real_pwrite(file, from, size, offset);
}

int __wrap_fdatasync(int file);
int __wrap_fdatasync(int file)
{
    (void)file;
    return fails() ? -1 : 0; /* What the disk does is no business of this test. */
}

int __wrap_fsync(int file);
int __wrap_fsync(int file)
{
    (void)file;
    return fails() ? -1 : 0;
}

int __real_ftruncate(int file, off_t size);
int __wrap_ftruncate(int file, off_t size);
int __wrap_ftruncate(int file, off_t size)
{
    return fails() ? -1 : __real_ftruncate(file, size);
}

int __real_fallocate(int file, int mode, off_t offset, off_t size);
int __wrap_fallocate(int file, int mode, off_t offset, off_t size);
int __wrap_fallocate(int file, int mode, off_t offset, off_t size)
{
    return fails() ? -1 : __real_fallocate(file, mode, offset, size);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(rest, int) : 0;
    va_end(rest);
    return fails() ? -1 : __real_open(path, flags, mode);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    if (kernel.dead) errno = EIO;
    return kernel.dead ? -1 : __real_unlink(path);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    if (kernel.dead) errno = EIO;
    return kernel.dead ? -1 : __real_rename(from, to);
}

static void calls_kill(struct api_scene *scene)
{
    kernel.dead = true;
    (void)api_scene_close(scene, NULL);
    kernel.dead = false;
}

static uint64_t calls_play(const char *path, bool part, uint64_t target)
{
    static struct api_scene scene;
    struct vfs vfs = *vfs_real();
    vfs.single_threaded = true; /* The same calls in the same order each time. */
    CHECK(setenv("FILE_PATH", path, 1) == 0);
    CHECK(system("rm -f \"$FILE_PATH\" \"$FILE_PATH\"-wal-*") == 0);
    api_scene_init(&scene, &vfs, path);
    scene.kill = calls_kill;
    kernel.calls = 0;
    kernel.target = target;
    kernel.part = part;
    api_scene_play_all(&scene, api_script_size);
    kernel.target = 0;
    return kernel.calls;
}

static void calls_sweep(const char *what, bool part)
{
    char path[300];
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/omendb-calls-%d.omen", folder != NULL ? folder : "/tmp",
                   (int)getpid());
    const uint64_t calls = calls_play(path, false, 0);
    uint64_t lives = 0;
    kernel.met = 0;
    for (uint64_t target = 1; target <= calls; target += test_step(11)) {
        (void)calls_play(path, part, target);
        lives++;
    }
    CHECK(kernel.met == lives && calls > 200);
    CHECK(system("rm -f \"$FILE_PATH\" \"$FILE_PATH\"-wal-*") == 0);
    printf("%s: %llu of %llu calls\n", what, (unsigned long long)lives, (unsigned long long)calls);
}

static void interrupted_calls_are_repeated(void)
{
    calls_sweep("interrupted", false);
}

static void short_calls_are_continued(void)
{
    calls_sweep("short", true);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"interrupted_calls_are_repeated", interrupted_calls_are_repeated},
        {"short_calls_are_continued", short_calls_are_continued},
        {0},
    };
    return test_main(tests, argc, argv);
}
