/* sim_test.h - what the tests of the simulated disk share. */
#ifndef SIM_SIM_TEST_H
#define SIM_SIM_TEST_H

#include "test.h"

#include "sim/vfs_sim.h"

enum { SECTOR = 512 };

static inline struct file *opened(struct vfs *vfs, const char *path, uint32_t flags)
{
    struct file *file = NULL;
    CHECK(file_open(vfs, path, flags, &file, NULL) == OMENDB_OK);
    return file;
}

static inline void written(struct file *file, uint64_t offset, int byte, size_t size)
{
    static uint8_t data[1 << 20];
    memset(data, byte, size);
    CHECK(file_write(file, offset, data, size, NULL) == OMENDB_OK);
}

/* A file with a durable name. */
static inline struct file *made(struct sim *sim, const char *path)
{
    struct file *file = opened(sim_vfs(sim), path, FILE_CREATE);
    CHECK(vfs_sync_directory(sim_vfs(sim), path, NULL) == OMENDB_OK);
    return file;
}

static inline bool there(struct sim *sim, const char *path)
{
    struct file *file = NULL;
    if (file_open(sim_vfs(sim), path, FILE_READ_ONLY, &file, NULL) != OMENDB_OK) return false;
    file_close(file);
    return true;
}

/* The byte at `offset`, or -1 past the end, or -2 without a file. */
static inline int byte_at(struct sim *sim, const char *path, uint64_t offset)
{
    struct file *file = NULL;
    uint8_t byte = 0;
    size_t got = 0;
    if (file_open(sim_vfs(sim), path, FILE_READ_ONLY, &file, NULL) != OMENDB_OK) return -2;
    CHECK(file_read(file, offset, &byte, 1, &got, NULL) == OMENDB_OK);
    file_close(file);
    return got == 1 ? byte : -1;
}

static inline struct sim *crashed_clone(struct sim *sim, enum sim_mode mode, uint64_t seed)
{
    struct sim *clone = sim_clone(sim);
    sim_reboot(clone, mode, seed);
    return clone;
}

#endif /* SIM_SIM_TEST_H */
