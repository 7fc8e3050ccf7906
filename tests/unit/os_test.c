/* os_test.c - the real operating system behind src/os: files, memory, threads, processor. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "os/cpu.h"
#include "os/memory.h"
#include "os/vfs.h"

static char directory[64];

static const char *path_of(const char *name)
{
    static char paths[4][256]; /* Up to four in one expression. */
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static struct file *opened(const char *name, uint32_t flags)
{
    struct file *file = NULL;
    CHECK(file_open(vfs_real(), path_of(name), flags, &file, NULL) == OMENDB_OK);
    return file;
}

static void reads_back_what_was_written(void)
{
    struct file *file = opened("plain", FILE_CREATE);
    uint8_t data[5000], back[6000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    CHECK(file_write(file, 1000, data, sizeof data, NULL) == OMENDB_OK);
    CHECK(file_sync(file, NULL) == OMENDB_OK);
    size_t got = 0;
    CHECK(file_read(file, 1000, back, sizeof data, &got, NULL) == OMENDB_OK);
    CHECK(got == sizeof data && memcmp(data, back, got) == 0);
    CHECK(file_read(file, 5900, back, sizeof back, &got, NULL) == OMENDB_OK && got == 100);
    CHECK(file_read(file, 6000, back, sizeof back, &got, NULL) == OMENDB_OK && got == 0);
    uint64_t size = 0;
    CHECK(file_size(file, &size, NULL) == OMENDB_OK && size == 6000);
    CHECK(file_resize(file, 1500, NULL) == OMENDB_OK);
    CHECK(file_resize(file, 3000, NULL) == OMENDB_OK);
    CHECK(file_read(file, 1499, back, 2, &got, NULL) == OMENDB_OK && got == 2);
    CHECK(back[0] == data[499] && back[1] == 0);
    file_close(file);
    file_close(NULL);
}

static void errors_name_call_path_and_cause(void)
{
    struct vfs *vfs = vfs_real();
    omendb_error err = {0};
    struct file *file = NULL;
    CHECK(file_open(vfs, path_of("none"), 0, &file, &err) == OMENDB_ERR_NOT_FOUND && file == NULL);
    CHECK(err.status == OMENDB_ERR_NOT_FOUND && strstr(err.message, "open ") == err.message);
    CHECK(strstr(err.message, path_of("none")) && strstr(err.message, "No such file"));
    file = opened("some", FILE_CREATE | FILE_EXCLUSIVE);
    struct file *second = NULL;
    CHECK(file_open(vfs, path_of("some"), FILE_CREATE | FILE_EXCLUSIVE, &second, &err) ==
          OMENDB_ERR_EXISTS);
    CHECK(file_open(vfs, path_of("some/x"), FILE_CREATE, &second, &err) == OMENDB_ERR_IO);
    CHECK(file_open(vfs, directory, FILE_READ_ONLY, &second, &err) == OMENDB_ERR_IO);
    CHECK(strstr(err.message, "not a regular file") != NULL);
    CHECK(mkfifo(path_of("pipe"), 0600) == 0); /* Must fail, not wait for a writer. */
    CHECK(file_open(vfs, path_of("pipe"), FILE_READ_ONLY, &second, &err) == OMENDB_ERR_IO);
    CHECK(unlink(path_of("pipe")) == 0);

    CHECK(file_write(file, INT64_MAX, "x", 1, &err) == OMENDB_ERR_FULL);
    CHECK(file_write(file, UINT64_MAX, "xy", 2, &err) == OMENDB_ERR_FULL);
    CHECK(file_resize(file, UINT64_MAX, &err) == OMENDB_ERR_FULL);
    size_t got = 77;
    uint8_t byte = 0;
    CHECK(file_read(file, UINT64_MAX, &byte, 1, &got, &err) == OMENDB_ERR_FULL && got == 77);
    const void *base = NULL;
    CHECK(file_map(file, 0, &base, &err) == OMENDB_ERR_IO && base == NULL);
    CHECK(file_map(file, (size_t)1 << 60, &base, &err) == OMENDB_ERR_NOMEM && base == NULL);
    file_close(file);

    file = opened("some", FILE_READ_ONLY);
    CHECK(file_write(file, 0, "x", 1, &err) == OMENDB_ERR_IO);
    CHECK(strstr(err.message, "write ") == err.message);
    bool granted = false;
    CHECK(file_lock(file, 0, 1, FILE_LOCK_EXCLUSIVE, &granted, &err) == OMENDB_ERR_IO);
    file_close(file);

    CHECK(vfs_rename(vfs, path_of("none"), path_of("other"), &err) == OMENDB_ERR_NOT_FOUND);
    CHECK(vfs_remove(vfs, path_of("none"), &err) == OMENDB_ERR_NOT_FOUND);
    CHECK(vfs_sync_directory(vfs, path_of("none/x"), &err) == OMENDB_ERR_NOT_FOUND);
    CHECK(vfs_list(vfs, path_of("none/x"), NULL, NULL, &err) == OMENDB_ERR_NOT_FOUND);
    CHECK(vfs_sync_directory(vfs, path_of("some"), &err) == OMENDB_OK);
    CHECK(vfs_sync_directory(vfs, "/x", &err) == OMENDB_OK || err.status != OMENDB_OK);

    char longest[4200];
    memset(longest, 'd', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    CHECK(file_open(vfs, longest, 0, &file, &err) == OMENDB_ERR_IO);
    CHECK(strstr(err.message, "...ddd") && strstr(err.message, "too long"));
    longest[4150] = '/';
    CHECK(vfs_sync_directory(vfs, longest, &err) == OMENDB_ERR_IO);
    CHECK(vfs_list(vfs, longest, NULL, NULL, &err) == OMENDB_ERR_IO);
}

static void a_full_disk_says_full(void)
{
    struct file *file = opened("limited", FILE_CREATE);
    struct rlimit before, small;
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = 8192;
    (void)signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    uint8_t data[4096] = {1};
    omendb_error err = {0};
    /* The kernel first writes short, then refuses: both are met. */
    const omendb_status status = file_write(file, 6144, data, sizeof data, &err);
    const omendb_status grown = file_resize(file, 100000, NULL);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(status == OMENDB_ERR_FULL && grown == OMENDB_ERR_FULL);
    CHECK(strstr(err.message, "File too large") != NULL);
    uint64_t size = 0;
    CHECK(file_size(file, &size, NULL) == OMENDB_OK && size == 8192);
    file_close(file);
}

/* As root every file can be opened: a child gives the right up. */
static void a_file_without_write_permission_is_read_only(void)
{
    file_close(opened("locked", FILE_CREATE));
    CHECK(chmod(path_of("locked"), 0444) == 0);
    CHECK(chmod(directory, 0755) == 0);
    (void)fflush(stdout); /* The child must not print it again. */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct file *file = NULL;
        if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
        if (file_open(vfs_real(), path_of("locked"), 0, &file, NULL) != OMENDB_ERR_READ_ONLY)
            _exit(3);
        if (file_open(vfs_real(), path_of("locked"), FILE_READ_ONLY, &file, NULL) != OMENDB_OK)
            _exit(4);
        file_close(file);
        _exit(0);
    }
    int outcome = 0;
    CHECK(waitpid(child, &outcome, 0) == child);
    CHECK(WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0);
}

static void a_mapping_sees_writes_and_outgrows_the_file(void)
{
    struct file *file = opened("mapped", FILE_CREATE);
    const uint8_t *base = NULL;
    const void *mapped = NULL;
    const size_t length = 64u << 20;
    CHECK(file_write(file, 0, "first", 5, NULL) == OMENDB_OK);
    CHECK(file_map(file, length, &mapped, NULL) == OMENDB_OK);
    base = mapped;
    CHECK(memcmp(base, "first", 5) == 0);
    CHECK(file_write(file, 1, "IRS", 3, NULL) == OMENDB_OK);
    CHECK(memcmp(base, "fIRSt", 5) == 0);
    CHECK(file_write(file, 1 << 20, "far", 3, NULL) == OMENDB_OK);
    CHECK(file_populate(file, base + (1 << 20), 3, NULL) == OMENDB_OK);
    CHECK(memcmp(base + (1 << 20), "far", 3) == 0);
    CHECK(file_populate(file, base, 0, NULL) == OMENDB_OK);
    omendb_error err = {0};
    CHECK(file_populate(file, base + (1 << 20), 8192, &err) == OMENDB_ERR_CORRUPT);
    CHECK(strstr(err.message, "past the end") != NULL);
    CHECK(file_populate(file, base + length - 1, 1, NULL) == OMENDB_ERR_CORRUPT);
    CHECK(file_resize(file, 4096, NULL) == OMENDB_OK);
    CHECK(file_populate(file, base + 4096, 1, NULL) == OMENDB_ERR_CORRUPT);
    CHECK(file_populate(file, base + 1, 4095, NULL) == OMENDB_OK);
    file_unmap(file, base, length);
    file_close(file);
}

static void locks_of_two_opens_conflict(void)
{
    struct file *one = opened("locks", FILE_CREATE), *two = opened("locks", 0);
    bool granted = false;
    const uint64_t far = (uint64_t)1 << 40; /* Past the end of the file. */
#define LOCKS(file, byte, count, kind)                                                             \
    (file_lock(file, byte, count, kind, &granted, NULL) == OMENDB_OK && granted)
    CHECK(LOCKS(one, far, 4, FILE_LOCK_SHARED));
    CHECK(LOCKS(two, far, 4, FILE_LOCK_SHARED));
    CHECK(!LOCKS(two, far + 2, 1, FILE_LOCK_EXCLUSIVE));
    CHECK(LOCKS(two, far + 4, 1, FILE_LOCK_EXCLUSIVE));
    CHECK(!LOCKS(one, far + 4, 1, FILE_LOCK_SHARED));
    CHECK(LOCKS(one, far + 1, 2, FILE_UNLOCK)); /* Leaves the first and the last byte. */
    CHECK(LOCKS(two, far + 1, 2, FILE_LOCK_EXCLUSIVE));
    CHECK(!LOCKS(two, far, 1, FILE_LOCK_EXCLUSIVE) && !LOCKS(two, far + 3, 1, FILE_LOCK_EXCLUSIVE));
    file_close(one);
    CHECK(LOCKS(two, far, 4, FILE_LOCK_EXCLUSIVE));
    one = opened("locks", 0);
    CHECK(!LOCKS(one, far, 1, FILE_LOCK_SHARED));
    file_close(two);
    CHECK(LOCKS(one, far, 1, FILE_LOCK_SHARED));
    CHECK(file_lock(one, UINT64_MAX, 1, FILE_LOCK_SHARED, &granted, NULL) != OMENDB_OK);
    file_close(one);
#undef LOCKS
}

struct names {
    int count;
    char found[8][32];
};

static void collect_name(void *context, const char *suffix)
{
    struct names *names = context;
    CHECK(names->count < 8);
    (void)snprintf(names->found[names->count++], 32, "%s", suffix);
}

static bool has_name(const struct names *names, const char *name)
{
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->found[i], name) == 0) return true;
    return false;
}

static void list_rename_and_remove_agree(void)
{
    struct vfs *vfs = vfs_real();
    file_close(opened("l.omen", FILE_CREATE));
    file_close(opened("l.omen-wal-1", FILE_CREATE));
    file_close(opened("l.omen-wal-22", FILE_CREATE));
    struct names names = {0};
    CHECK(vfs_list(vfs, path_of("l.omen-wal-"), collect_name, &names, NULL) == OMENDB_OK);
    CHECK(names.count == 2 && has_name(&names, "1") && has_name(&names, "22"));
    CHECK(vfs_rename(vfs, path_of("l.omen-wal-1"), path_of("l.omen-wal-22"), NULL) == OMENDB_OK);
    CHECK(vfs_remove(vfs, path_of("l.omen"), NULL) == OMENDB_OK);
    names.count = 0;
    CHECK(vfs_list(vfs, path_of("l.omen"), collect_name, &names, NULL) == OMENDB_OK);
    CHECK(names.count == 1 && has_name(&names, "-wal-22"));
    CHECK(vfs_sync_directory(vfs, path_of("l.omen"), NULL) == OMENDB_OK);

    char before[4096];
    CHECK(getcwd(before, sizeof before) != NULL && chdir(directory) == 0);
    names.count = 0; /* A path without a slash lies in the working directory. */
    CHECK(vfs_list(vfs, "l.omen-wal", collect_name, &names, NULL) == OMENDB_OK);
    CHECK(names.count == 1 && has_name(&names, "-22"));
    CHECK(vfs_sync_directory(vfs, "l.omen", NULL) == OMENDB_OK);
    CHECK(chdir(before) == 0);
}

static void identity_is_of_the_file_not_of_the_open(void)
{
    struct file *one = opened("same", FILE_CREATE), *two = opened("same", FILE_READ_ONLY);
    struct file *other = opened("differs", FILE_CREATE);
    uint64_t device[3], inode[3];
    CHECK(one->vfs->ops->identity(one, &device[0], &inode[0], NULL) == OMENDB_OK);
    CHECK(two->vfs->ops->identity(two, &device[1], &inode[1], NULL) == OMENDB_OK);
    CHECK(other->vfs->ops->identity(other, &device[2], &inode[2], NULL) == OMENDB_OK);
    CHECK(device[0] == device[1] && inode[0] == inode[1] && inode[0] != inode[2]);
    file_close(one), file_close(two), file_close(other);
}

static void descriptors_are_private_and_never_standard(void)
{
    const int saved = dup(0);
    CHECK(saved >= 0 && close(0) == 0);
    struct file *file = opened("descriptor", FILE_CREATE);
    CHECK(fcntl(0, F_GETFD) == -1); /* Descriptor 0 stayed free. */
    CHECK(dup2(saved, 0) == 0 && close(saved) == 0);
    int private = 0;
    for (int i = 3; i < 64; i++) {
        const int flags = fcntl(i, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) != 0) private++;
    }
    CHECK(private >= 1);
    file_close(file);
}

static void clock_random_and_process_id_are_the_systems(void)
{
    struct vfs *vfs = vfs_real();
    const uint64_t first = vfs->ops->clock_monotonic_ns(vfs);
    const uint64_t second = vfs->ops->clock_monotonic_ns(vfs);
    CHECK(first != 0 && second >= first);
    CHECK(vfs->ops->clock_wall_ns(vfs) > UINT64_C(1700000000000000000));
    CHECK(vfs->ops->process_id(vfs) == (uint64_t)getpid());
    uint8_t one[1000] = {0}, two[1000] = {0};
    CHECK(vfs->ops->random(vfs, one, sizeof one, NULL) == OMENDB_OK);
    CHECK(vfs->ops->random(vfs, two, sizeof two, NULL) == OMENDB_OK);
    CHECK(memcmp(one, two, sizeof one) != 0);
    CHECK(!vfs->single_threaded);
}

static void failed_allocations_leave_nothing_behind(void)
{
    struct file *file = NULL;
    const uint64_t before = alloc_bytes();
    alloc_fail_after(0, 1);
    CHECK(file_open(vfs_real(), path_of("oom"), FILE_CREATE, &file, NULL) == OMENDB_ERR_NOMEM);
    CHECK(access(path_of("oom"), F_OK) != 0 && alloc_bytes() == before);
    file = opened("oom", FILE_CREATE);
    const void *base = NULL;
    alloc_fail_after(0, 1);
    CHECK(file_map(file, 4096, &base, NULL) == OMENDB_ERR_NOMEM && base == NULL);
    file_close(file);
    CHECK(alloc_bytes() == before);
}

static void reserved_memory_is_zero_where_committed(void)
{
    size_t length = ((size_t)1 << 30) + 1;
    void *base = NULL;
    CHECK(memory_reserve(&length, MEMORY_STEP, &base, NULL) == OMENDB_OK);
    CHECK(length == ((size_t)1 << 30) + MEMORY_STEP && (uintptr_t)base % MEMORY_STEP == 0);
    uint8_t *bytes = base;
    CHECK(memory_commit(base, 0, MEMORY_STEP, NULL) == OMENDB_OK);
    CHECK(memory_commit(base, length - MEMORY_STEP, MEMORY_STEP, NULL) == OMENDB_OK);
    CHECK(bytes[0] == 0 && bytes[MEMORY_STEP - 1] == 0 && bytes[length - 1] == 0);
    memset(bytes, 0xAA, MEMORY_STEP);
    memory_decommit(base, 4095, 8193); /* Whole pages inside: [4096, 12288). */
    CHECK(bytes[4095] == 0xAA && bytes[4096] == 0 && bytes[12287] == 0 && bytes[12288] == 0xAA);
    CHECK(memory_commit(base, 0, MEMORY_STEP, NULL) == OMENDB_OK && bytes[0] == 0);
    CHECK(memory_commit(base, MEMORY_STEP, 0, NULL) == OMENDB_OK);
    alloc_fail_after(0, 1);
    CHECK(memory_commit(base, MEMORY_STEP, MEMORY_STEP, NULL) == OMENDB_ERR_NOMEM);
    memory_release(base, length);
    memory_release(NULL, 0);

    length = MEMORY_STEP;
    alloc_fail_after(0, 1);
    CHECK(memory_reserve(&length, 0, &base, NULL) == OMENDB_ERR_NOMEM);
    length = (size_t)1 << 55; /* More than any processor has: halved until it fits. */
    CHECK(memory_reserve(&length, (size_t)1 << 20, &base, NULL) == OMENDB_OK);
    CHECK(length < (size_t)1 << 48 && length % MEMORY_STEP == 0);
    memory_release(base, length);
    length = SIZE_MAX;
    CHECK(memory_reserve(&length, (size_t)1 << 60, &base, NULL) == OMENDB_ERR_NOMEM);
    CHECK(memory_reserve(&length, SIZE_MAX, &base, NULL) == OMENDB_ERR_NOMEM);
    CHECK(length == SIZE_MAX);
}

static void untouched_reservation_faults(void)
{
    (void)fflush(stdout); /* The child must not print it again. */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        size_t length = 2 * (size_t)MEMORY_STEP;
        void *base = NULL;
        (void)signal(SIGSEGV, SIG_DFL);
        (void)close(2); /* A sanitizer's report isn't wanted here. */
        if (memory_reserve(&length, length, &base, NULL) != OMENDB_OK) _exit(0);
        if (memory_commit(base, 0, MEMORY_STEP, NULL) != OMENDB_OK) _exit(0);
        *((volatile uint8_t *)base + MEMORY_STEP) = 1;
        _exit(0);
    }
    int outcome = 0;
    CHECK(waitpid(child, &outcome, 0) == child);
    CHECK(WIFSIGNALED(outcome) || WEXITSTATUS(outcome) != 0);
}

static void cpu_features_match_the_kernels_list(void)
{
    CHECK(cpu_count() >= 1 && cpu_count() <= 8192);
    const uint32_t found = cpu_features();
#if defined(__x86_64__)
    static char text[1 << 16];
    FILE *list = fopen("/proc/cpuinfo", "r");
    if (list == NULL) return;
    const size_t size = fread(text, 1, sizeof text - 1, list);
    (void)fclose(list);
    text[size] = '\0';
    char *flags = strstr(text, "flags");
    if (flags == NULL) return;
    char *end = strchr(flags, '\n');
    CHECK(end != NULL);
    *end = ' ';
    end[1] = '\0';
    const bool avx2 = strstr(flags, " avx2 ") && strstr(flags, " fma ") &&
                      strstr(flags, " f16c ") && strstr(flags, " popcnt ");
    const bool avx512 = avx2 && strstr(flags, " avx512f ") && strstr(flags, " avx512bw ") &&
                        strstr(flags, " avx512vl ") && strstr(flags, " avx512dq ");
    CHECK(((found & CPU_AVX2_FMA) != 0) == avx2);
    CHECK(((found & CPU_AVX512) != 0) == avx512);
    CHECK(((found & CPU_AVX512_VNNI) != 0) == (avx512 && strstr(flags, " avx512_vnni ")));
    CHECK((found & (CPU_NEON | CPU_NEON_DOT)) == 0);
#elif defined(__aarch64__)
    CHECK((found & CPU_NEON) != 0);
#else
    CHECK(found == 0);
#endif
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"reads_back_what_was_written", reads_back_what_was_written},
        {"errors_name_call_path_and_cause", errors_name_call_path_and_cause},
        {"a_full_disk_says_full", a_full_disk_says_full},
        {"a_file_without_write_permission_is_read_only",
         a_file_without_write_permission_is_read_only},
        {"a_mapping_sees_writes_and_outgrows_the_file",
         a_mapping_sees_writes_and_outgrows_the_file},
        {"locks_of_two_opens_conflict", locks_of_two_opens_conflict},
        {"list_rename_and_remove_agree", list_rename_and_remove_agree},
        {"identity_is_of_the_file_not_of_the_open", identity_is_of_the_file_not_of_the_open},
        {"descriptors_are_private_and_never_standard", descriptors_are_private_and_never_standard},
        {"clock_random_and_process_id_are_the_systems",
         clock_random_and_process_id_are_the_systems},
        {"failed_allocations_leave_nothing_behind", failed_allocations_leave_nothing_behind},
        {"reserved_memory_is_zero_where_committed", reserved_memory_is_zero_where_committed},
        {"untouched_reservation_faults", untouched_reservation_faults},
        {"cpu_features_match_the_kernels_list", cpu_features_match_the_kernels_list},
        {NULL, NULL},
    };
    (void)snprintf(directory, sizeof directory, "/tmp/omendb-os-test-%d", (int)getpid());
    CHECK(mkdir(directory, 0700) == 0);
    const int result = test_main(tests, argc, argv);
    static const char *const left[] = {"plain",      "some",  "limited",      "locked",
                                       "mapped",     "locks", "same",         "differs",
                                       "descriptor", "oom",   "l.omen-wal-22"};
    for (size_t i = 0; i < COUNT_OF(left); i++) (void)unlink(path_of(left[i]));
    CHECK(rmdir(directory) == 0);
    return result;
}
