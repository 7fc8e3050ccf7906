/* vfs_sim_calls_test.c - the simulator's own interface: crashing calls, seeds, clones, faults. */
#include "sim/sim_test.h"

#include <time.h>

#include "base/alloc.h"

/* ---- Crashing calls ---- */

/* A workload of ten numbered calls; returns how many succeeded. */
static int ten_calls(struct sim *sim)
{
    struct vfs *vfs = sim_vfs(sim);
    struct file *file = NULL;
    uint8_t data[SECTOR];
    int done = 0;
    memset(data, 'x', sizeof data);
    if (file_open(vfs, "/a", FILE_CREATE, &file, NULL) != OMENDB_OK) return 0;
    done += 1;
    done += vfs_sync_directory(vfs, "/a", NULL) == OMENDB_OK;
    done += file_write(file, 0, data, sizeof data, NULL) == OMENDB_OK;
    done += file_sync(file, NULL) == OMENDB_OK;
    done += file_write(file, SECTOR, data, sizeof data, NULL) == OMENDB_OK;
    done += file_resize(file, 100 * SECTOR, NULL) == OMENDB_OK;
    done += file_sync(file, NULL) == OMENDB_OK;
    done += vfs_rename(vfs, "/a", "/b", NULL) == OMENDB_OK;
    done += vfs_sync_directory(vfs, "/a", NULL) == OMENDB_OK;
    done += vfs_remove(vfs, "/b", NULL) == OMENDB_OK;
    file_close(file);
    return done;
}

static void after_a_crash_every_call_fails(void)
{
    struct sim *whole = sim_create(8);
    CHECK(ten_calls(whole) == 10 && sim_calls(whole) == 10 && !sim_crashed(whole));
    CHECK(sim_call_count(whole, SIM_CREATE) == 1 && sim_call_count(whole, SIM_WRITE) == 2);
    CHECK(sim_call_count(whole, SIM_SYNC) == 2 && sim_call_count(whole, SIM_RESIZE) == 1);
    CHECK(sim_call_count(whole, SIM_RENAME) == 1 && sim_call_count(whole, SIM_REMOVE) == 1);
    CHECK(sim_call_count(whole, SIM_SYNC_DIRECTORY) == 2);
    sim_destroy(whole);
    for (uint64_t n = 1; n <= 10; n++) {
        struct sim *sim = sim_create(8);
        struct file *file = NULL;
        struct file *other = opened(sim_vfs(sim), "/other", FILE_CREATE);
        const void *base = NULL;
        written(other, 0, 'o', 10);
        CHECK(file_map(other, 4096, &base, NULL) == OMENDB_OK);
        sim_crash_at(sim, 2 + n);
        CHECK(ten_calls(sim) == (int)n - 1 && sim_crashed(sim) && sim_calls(sim) == 2 + n);
        omendb_error err = {0};
        uint64_t size = 0, inode = 0;
        size_t got = 0;
        uint8_t byte = 0;
        bool granted = false;
        CHECK(file_open(sim_vfs(sim), "/other", 0, &file, &err) == OMENDB_ERR_IO);
        CHECK(strcmp(err.message, "simulated crash") == 0 && err.status == OMENDB_ERR_IO);
        CHECK(file_size(other, &size, NULL) == OMENDB_ERR_IO);
        CHECK(file_read(other, 0, &byte, 1, &got, NULL) == OMENDB_ERR_IO);
        CHECK(file_write(other, 0, &byte, 1, NULL) == OMENDB_ERR_IO);
        CHECK(file_resize(other, 1, NULL) == OMENDB_ERR_IO);
        CHECK(file_sync(other, NULL) == OMENDB_ERR_IO);
        CHECK(file_populate(other, base, 1, NULL) == OMENDB_ERR_IO);
        CHECK(file_lock(other, 0, 1, FILE_LOCK_SHARED, &granted, NULL) == OMENDB_ERR_IO);
        CHECK(other->vfs->ops->identity(other, &size, &inode, NULL) == OMENDB_ERR_IO);
        CHECK(vfs_remove(sim_vfs(sim), "/other", NULL) == OMENDB_ERR_IO);
        CHECK(vfs_list(sim_vfs(sim), "/", NULL, NULL, NULL) == OMENDB_ERR_IO);
        sim_reboot(sim, SIM_ALL, 0);
        CHECK(!sim_crashed(sim) && sim_calls(sim) == 0);
        CHECK(file_size(other, &size, NULL) == OMENDB_ERR_IO); /* Of an earlier life. */
        CHECK(*(const uint8_t *)base == 'o');                  /* Its mapping lasts. */
        file_unmap(other, base, 4096);
        CHECK(sim_open_files(sim) == 1);
        file_close(other);
        CHECK(sim_open_files(sim) == 0);
        /* The crashing call was started: at best it has happened. */
        if (n == 1) CHECK(byte_at(sim, "/a", 0) == -1);
        if (n == 3) CHECK(byte_at(sim, "/a", SECTOR - 1) == 'x');
        if (n == 6) CHECK(byte_at(sim, "/a", 100 * SECTOR - 1) == 0);
        if (n == 8) CHECK(byte_at(sim, "/b", 0) == 'x' && !there(sim, "/a"));
        if (n == 10) CHECK(!there(sim, "/b"));
        sim_destroy(sim);
    }
}

static void a_sync_that_crashes_has_made_nothing_durable(void)
{
    struct sim *sim = sim_create(9);
    sim_crash_at(sim, 4);
    CHECK(ten_calls(sim) == 3);
    sim_reboot(sim, SIM_NONE, 0);
    CHECK(byte_at(sim, "/a", 0) == -1);
    sim_destroy(sim);
    sim = sim_create(9);
    sim_crash_at(sim, 2);
    CHECK(ten_calls(sim) == 1);
    sim_reboot(sim, SIM_NONE, 0);
    CHECK(!there(sim, "/a"));
    sim_destroy(sim);
}

/* ---- Determinism and clones ---- */

static uint64_t random_of(struct sim *sim)
{
    uint64_t value = 0;
    CHECK(sim_vfs(sim)->ops->random(sim_vfs(sim), &value, sizeof value, NULL) == OMENDB_OK);
    return value;
}

static void the_same_seeds_give_the_same_life(void)
{
    uint64_t hashes[2][SIM_CRASH_MODES], randoms[2], clocks[2];
    for (int run = 0; run < 2; run++) {
        struct sim *sim = sim_create(11);
        struct vfs *vfs = sim_vfs(sim);
        struct file *file = made(sim, "/f");
        for (uint64_t i = 0; i < 20; i++) written(file, i * 300, (int)(random_of(sim) % 255), 900);
        file_close(opened(vfs, "/g", FILE_CREATE));
        for (int mode = 0; mode < SIM_CRASH_MODES; mode++) {
            struct sim *clone = crashed_clone(sim, (enum sim_mode)mode, 5);
            hashes[run][mode] = sim_hash(clone);
            if (mode == 0) {
                randoms[run] = random_of(clone);
                clocks[run] = vfs->ops->clock_wall_ns(vfs);
                CHECK(vfs->ops->clock_monotonic_ns(vfs) > 0);
                sim_advance_clock(sim, 1000000000);
                CHECK(vfs->ops->clock_wall_ns(vfs) > clocks[run] + 1000000000);
                CHECK(random_of(sim) != randoms[run]);
            }
            sim_destroy(clone);
        }
        CHECK(vfs->single_threaded);
        file_close(file);
        sim_destroy(sim);
    }
    CHECK(memcmp(hashes[0], hashes[1], sizeof hashes[0]) == 0);
    CHECK(randoms[0] == randoms[1] && clocks[0] == clocks[1]);
    CHECK(hashes[0][SIM_NONE] != hashes[0][SIM_ALL]);
}

static void hash_sees_names_sizes_and_bytes(void)
{
    struct sim *sim = sim_create(12);
    struct file *file = made(sim, "/f");
    uint64_t seen[5];
    seen[0] = sim_hash(sim);
    CHECK(file_resize(file, 10, NULL) == OMENDB_OK);
    CHECK(sim_hash(sim) == seen[0]); /* Not durable yet. */
    CHECK(file_sync(file, NULL) == OMENDB_OK);
    seen[1] = sim_hash(sim);
    written(file, 3, 1, 1);
    CHECK(file_sync(file, NULL) == OMENDB_OK);
    seen[2] = sim_hash(sim);
    written(file, 3, 0, 1); /* Zeros written are zeros never written. */
    CHECK(file_sync(file, NULL) == OMENDB_OK && sim_hash(sim) == seen[1]);
    file_close(made(sim, "/g"));
    seen[3] = sim_hash(sim);
    CHECK(vfs_rename(sim_vfs(sim), "/g", "/h", NULL) == OMENDB_OK);
    CHECK(vfs_sync_directory(sim_vfs(sim), "/h", NULL) == OMENDB_OK);
    seen[4] = sim_hash(sim);
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < i; k++) CHECK(seen[i] != seen[k]);
    file_close(file);
    sim_destroy(sim);
}

static void a_clone_lives_its_own_life(void)
{
    struct sim *sim = sim_create(13);
    struct file *file = made(sim, "/f");
    const void *base = NULL;
    written(file, 0, 'a', 10000);
    CHECK(file_map(file, 16384, &base, NULL) == OMENDB_OK);
    struct sim *clone = sim_clone(sim);
    struct file *copy = NULL;
    CHECK(file_open(sim_vfs(clone), "/f", 0, &copy, NULL) == OMENDB_ERR_IO); /* Not booted. */
    sim_reboot(clone, SIM_PROCESS_KILL, 0);
    copy = opened(sim_vfs(clone), "/f", 0);
    const void *copy_base = NULL;
    CHECK(file_map(copy, 16384, &copy_base, NULL) == OMENDB_OK);
    uint64_t device[2], inode[2];
    CHECK(file->vfs->ops->identity(file, &device[0], &inode[0], NULL) == OMENDB_OK);
    CHECK(copy->vfs->ops->identity(copy, &device[1], &inode[1], NULL) == OMENDB_OK);
    CHECK(device[0] != device[1] && inode[0] == inode[1]);
    bool granted = false; /* Locks aren't shared either. */
    CHECK(file_lock(file, 0, 1, FILE_LOCK_EXCLUSIVE, &granted, NULL) == OMENDB_OK && granted);
    CHECK(file_lock(copy, 0, 1, FILE_LOCK_EXCLUSIVE, &granted, NULL) == OMENDB_OK && granted);
    struct file *later = NULL; /* A killed process leaves no lock. */
    struct sim *killed = sim_create(1);
    struct file *held = made(killed, "/f");
    CHECK(file_lock(held, 0, 1, FILE_LOCK_EXCLUSIVE, &granted, NULL) == OMENDB_OK && granted);
    later = opened(sim_vfs(killed), "/f", 0);
    CHECK(file_lock(later, 0, 1, FILE_LOCK_SHARED, &granted, NULL) == OMENDB_OK && !granted);
    sim_reboot(killed, SIM_PROCESS_KILL, 0);
    file_close(later);
    later = opened(sim_vfs(killed), "/f", 0);
    CHECK(file_lock(later, 0, 1, FILE_LOCK_SHARED, &granted, NULL) == OMENDB_OK && granted);
    file_close(held), file_close(later);
    sim_destroy(killed);

    written(copy, 0, 'b', 5000);
    written(file, 5000, 'c', 5000);
    CHECK(vfs_remove(sim_vfs(sim), "/f", NULL) == OMENDB_OK && there(clone, "/f"));
    const uint8_t *one = base, *two = copy_base;
    CHECK(one[0] == 'a' && one[4999] == 'a' && one[5000] == 'c' && one[9999] == 'c');
    CHECK(two[0] == 'b' && two[4999] == 'b' && two[5000] == 'a' && two[9999] == 'a');
    file_unmap(file, base, 16384);
    file_close(file);
    sim_destroy(sim); /* The clone outlives its origin; its pages too. */
    CHECK(two[9999] == 'a' && byte_at(clone, "/f", 9999) == 'a');
    file_unmap(copy, copy_base, 16384);
    file_close(copy);
    sim_reboot(clone, SIM_NONE, 0);
    CHECK(byte_at(clone, "/f", 0) == -1);
    sim_destroy(clone);
}

/* ---- Faults ---- */

static void a_fault_hits_one_call_once(void)
{
    for (uint64_t n = 1; n <= 10; n++) {
        for (int fault = SIM_FAULT_IO; fault <= SIM_FAULT_FULL; fault++) {
            struct sim *sim = sim_create(14);
            sim_fail_at(sim, n, (enum sim_fault)fault);
            /* A failed create ends the workload; nothing renamed means nothing to remove. */
            const int expected = n == 1 ? 0 : n == 8 ? 8 : 9;
            CHECK(ten_calls(sim) == expected && !sim_crashed(sim));
            sim_destroy(sim);
        }
    }
    struct sim *sim = sim_create(14);
    struct file *file = made(sim, "/f");
    omendb_error err = {0};
    sim_fail_at(sim, 3, SIM_FAULT_FULL);
    CHECK(file_write(file, 0, "abc", 3, &err) == OMENDB_ERR_FULL && strstr(err.message, "/f"));
    CHECK(byte_at(sim, "/f", 0) == -1);
    sim_fail_at(sim, 4, SIM_FAULT_SHORT_WRITE);
    uint8_t data[1000];
    memset(data, 's', sizeof data);
    CHECK(file_write(file, 0, data, sizeof data, &err) == OMENDB_ERR_FULL);
    CHECK(byte_at(sim, "/f", 999) == -1);
    sim_fail_read_at(sim, sim_call_count(sim, SIM_READ) + 2);
    CHECK(byte_at(sim, "/f", 0) != -2);
    size_t got = 0;
    CHECK(file_read(file, 0, data, 1, &got, &err) == OMENDB_ERR_IO);
    CHECK(file_read(file, 0, data, 1, &got, &err) == OMENDB_OK);
    file_close(file);
    sim_destroy(sim);
}

static void a_failed_sync_leaves_the_disk_behind_the_cache(void)
{
    for (int revert = 0; revert < 2; revert++) {
        struct sim *sim = sim_create(15);
        struct file *file = made(sim, "/f");
        const void *base = NULL;
        written(file, 0, 'o', 8192);
        CHECK(file_sync(file, NULL) == OMENDB_OK);
        CHECK(file_map(file, 16384, &base, NULL) == OMENDB_OK);
        written(file, 0, 'n', 600);
        sim_fail_at(sim, sim_calls(sim) + 1,
                    revert != 0 ? SIM_FAULT_SYNC_REVERTS : SIM_FAULT_SYNC_KEEPS);
        CHECK(file_sync(file, NULL) == OMENDB_ERR_IO);
        const int shown = revert != 0 ? 'o' : 'n';
        CHECK(byte_at(sim, "/f", 0) == shown && *(const uint8_t *)base == shown);
        CHECK(!sim_synced_after_failure(sim));
        written(file, 4096, 'p', 512);
        CHECK(file_sync(file, NULL) == OMENDB_OK); /* It lies about the first write. */
        CHECK(sim_synced_after_failure(sim));
        file_unmap(file, base, 16384);
        file_close(file);
        sim_reboot(sim, SIM_ALL, 0);
        CHECK(byte_at(sim, "/f", 0) == 'o' && byte_at(sim, "/f", 4096) == 'p');
        CHECK(!sim_synced_after_failure(sim));

        file = opened(sim_vfs(sim), "/f", 0); /* A plain failure leaves the pages dirty. */
        written(file, 0, 'q', 512);
        sim_fail_at(sim, 2, SIM_FAULT_IO);
        CHECK(file_sync(file, NULL) == OMENDB_ERR_IO);
        file_close(file);
        file = opened(sim_vfs(sim), "/f", 0); /* Another open file may sync. */
        CHECK(file_sync(file, NULL) == OMENDB_OK && !sim_synced_after_failure(sim));
        file_close(file);
        sim_reboot(sim, SIM_NONE, 0);
        CHECK(byte_at(sim, "/f", 0) == 'q');
        sim_destroy(sim);
    }
}

static void lost_and_misdirected_writes_show_after_the_reboot(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_LOST_WRITE, SIM_FAULT_MISDIRECTED};
    for (size_t i = 0; i < 2; i++) {
        struct sim *sim = sim_create(16);
        struct file *file = made(sim, "/f");
        written(file, 0, 'o', 100 * 4096);
        CHECK(file_sync(file, NULL) == OMENDB_OK);
        sim_fail_at(sim, sim_calls(sim) + 1, faults[i]);
        written(file, 4096, 'n', 4096);
        written(file, 8192, 'm', 4096);
        written(file, 4096, 'k', SECTOR); /* Its page isn't lost, but only this sector is new. */
        CHECK(byte_at(sim, "/f", 4096 + SECTOR) == 'n');
        CHECK(file_sync(file, NULL) == OMENDB_OK);
        CHECK(byte_at(sim, "/f", 4096) == 'k' && byte_at(sim, "/f", 8191) == 'n');
        file_close(file);
        sim_reboot(sim, SIM_ALL, 0);
        CHECK(byte_at(sim, "/f", 4096) == 'k' && byte_at(sim, "/f", 8191) == 'o');
        CHECK(byte_at(sim, "/f", 4096 + SECTOR) == 'o' && byte_at(sim, "/f", 8192) == 'm');
        int elsewhere = 0;
        for (uint64_t page = 0; page < 100; page++)
            elsewhere += byte_at(sim, "/f", page * 4096 + 4095) == 'n';
        CHECK(elsewhere == (faults[i] == SIM_FAULT_MISDIRECTED ? 1 : 0));
        sim_destroy(sim);
    }
}

static void a_full_or_read_only_disk_refuses(void)
{
    struct sim *sim = sim_create(17);
    struct file *file = made(sim, "/f");
    omendb_error err = {0};
    sim_set_disk_limit(sim, 8192);
    written(file, 4096, 'a', 8192);
    CHECK(file_write(file, 0, "x", 1, &err) == OMENDB_ERR_FULL); /* A hole takes a page. */
    written(file, 5000, 'b', 3000);                              /* Overwriting takes none. */
    CHECK(file_resize(file, 100000, NULL) == OMENDB_OK);
    CHECK(file_resize(file, 8192, NULL) == OMENDB_OK);
    written(file, 0, 'c', 1);
    CHECK(file_write(file, UINT64_MAX - 1, "x", 1, &err) == OMENDB_ERR_FULL);
    sim_set_read_only(sim, true);
    struct file *other = NULL;
    CHECK(file_open(sim_vfs(sim), "/f", 0, &other, &err) == OMENDB_ERR_READ_ONLY);
    CHECK(file_open(sim_vfs(sim), "/n", FILE_CREATE, &other, &err) == OMENDB_ERR_READ_ONLY);
    CHECK(vfs_remove(sim_vfs(sim), "/f", &err) == OMENDB_ERR_READ_ONLY);
    CHECK(vfs_rename(sim_vfs(sim), "/f", "/g", &err) == OMENDB_ERR_READ_ONLY);
    other = opened(sim_vfs(sim), "/f", FILE_READ_ONLY);
    CHECK(file_write(other, 0, "x", 1, &err) == OMENDB_ERR_IO);
    bool granted = false;
    CHECK(file_lock(other, 0, 1, FILE_LOCK_EXCLUSIVE, &granted, &err) == OMENDB_ERR_IO);
    file_close(other);
    file_close(file);
    sim_destroy(sim);
}

static void rot_is_on_the_disk_and_in_the_cache(void)
{
    struct sim *sim = sim_create(18);
    struct file *file = made(sim, "/f");
    const void *base = NULL;
    written(file, 0, 'o', 5000);
    CHECK(file_sync(file, NULL) == OMENDB_OK);
    CHECK(file_map(file, 8192, &base, NULL) == OMENDB_OK);
    CHECK(sim_flip(sim, "/f", 4500, 1) && byte_at(sim, "/f", 4500) == ('o' ^ 1));
    CHECK(((const uint8_t *)base)[4500] == ('o' ^ 1));
    CHECK(!sim_flip(sim, "/f", 5000, 1) && !sim_flip(sim, "/g", 0, 1));
    file_unmap(file, base, 8192);
    file_close(file);
    sim_reboot(sim, SIM_NONE, 0);
    CHECK(byte_at(sim, "/f", 4500) == ('o' ^ 1) && byte_at(sim, "/f", 4499) == 'o');
    sim_destroy(sim);
}

static void failed_allocations_are_the_engines_only(void)
{
    struct sim *sim = sim_create(19);
    struct file *file = made(sim, "/f"), *other = NULL;
    const void *base = NULL;
    alloc_fail_after(0, 0);
    CHECK(file_open(sim_vfs(sim), "/f", 0, &other, NULL) == OMENDB_ERR_NOMEM);
    CHECK(file_map(file, 4096, &base, NULL) == OMENDB_ERR_NOMEM);
    written(file, 0, 'x', 100000);
    struct sim *clone = crashed_clone(sim, SIM_ALL, 0);
    alloc_fail_after(-1, 0);
    CHECK(byte_at(clone, "/f", 99999) == 'x');
    sim_destroy(clone);
    CHECK(sim_vfs(sim)->ops->process_id(sim_vfs(sim)) != 1);
    sim_set_process_id(sim, 1);
    CHECK(sim_vfs(sim)->ops->process_id(sim_vfs(sim)) == 1);
    file_close(file);
    sim_destroy(sim);
}

/* `vfs_sim_calls_test speed`: crash images a second, of a 1 MiB database with 40 pending pages. */
static void measure_speed(void)
{
    struct sim *sim = sim_create(20);
    struct file *file = made(sim, "/db"), *log = made(sim, "/db-wal-1");
    static uint8_t bytes[1 << 20];
    for (uint64_t i = 0; i < 16; i++) written(file, i << 16, (int)i + 1, 65536);
    written(log, 0, 'w', 262144);
    CHECK(file_sync(file, NULL) == OMENDB_OK && file_sync(log, NULL) == OMENDB_OK);
    for (uint64_t i = 0; i < 24; i++) written(file, i * 40960, 'p', 4096);
    for (uint64_t i = 0; i < 16; i++) written(log, i * 4096, 'q', 4096);
    for (int reading = 0; reading < 2; reading++) {
        const clock_t start = clock();
        uint64_t sum = 0;
        const unsigned images = 20000;
        for (unsigned i = 0; i < images; i++) {
            struct sim *clone = crashed_clone(sim, (enum sim_mode)(i % SIM_CRASH_MODES), i);
            sum += sim_hash(clone);
            if (reading != 0) { /* As an engine opens it: all mapped and read. */
                struct file *opened_file = opened(sim_vfs(clone), "/db", 0);
                const void *base = NULL;
                CHECK(file_map(opened_file, sizeof bytes, &base, NULL) == OMENDB_OK);
                sum += *(const uint8_t *)base;
                file_unmap(opened_file, base, sizeof bytes);
                file_close(opened_file);
            }
            sim_destroy(clone);
        }
        const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        printf("%s: %.0f crash images/s (%llx)\n", reading != 0 ? "mapped" : "hashed",
               images / seconds, (unsigned long long)sum);
    }
    file_close(file), file_close(log);
    sim_destroy(sim);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"after_a_crash_every_call_fails", after_a_crash_every_call_fails},
        {"a_sync_that_crashes_has_made_nothing_durable",
         a_sync_that_crashes_has_made_nothing_durable},
        {"the_same_seeds_give_the_same_life", the_same_seeds_give_the_same_life},
        {"hash_sees_names_sizes_and_bytes", hash_sees_names_sizes_and_bytes},
        {"a_clone_lives_its_own_life", a_clone_lives_its_own_life},
        {"a_fault_hits_one_call_once", a_fault_hits_one_call_once},
        {"a_failed_sync_leaves_the_disk_behind_the_cache",
         a_failed_sync_leaves_the_disk_behind_the_cache},
        {"lost_and_misdirected_writes_show_after_the_reboot",
         lost_and_misdirected_writes_show_after_the_reboot},
        {"a_full_or_read_only_disk_refuses", a_full_or_read_only_disk_refuses},
        {"rot_is_on_the_disk_and_in_the_cache", rot_is_on_the_disk_and_in_the_cache},
        {"failed_allocations_are_the_engines_only", failed_allocations_are_the_engines_only},
        {NULL, NULL},
    };
    if (argc > 1 && strcmp(argv[1], "speed") == 0) {
        measure_speed();
        return 0;
    }
    return test_main(tests, argc, argv);
}
