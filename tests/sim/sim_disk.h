/* sim_disk.h - what is on the simulated disk: pages, images, pending changes, names.
 *
 *     inode --- cache    [page|page|hole|page]   size      what reads see
 *           \-- durable  [page|page|hole]        size      what a crash keeps
 *           \-- pending  sectors of a page / size, in order
 *           \-- views    flat copies of the cache for mappings
 *     disk  --- current / durable names, pending changes of names, in order
 *
 * Invariants
 *   1. A page never changes once made; a write makes a new one. Images, pending sectors, views
 *      and clones share pages by counting references, so a clone costs no copying.
 *   2. NULL is a page of zeros. Bytes of the last page past the size are zero.
 *   3. cache = durable + pending, except where a failed sync or a lost write broke it (`diverged`).
 *   4. `order` of pending changes grows over all files and names of the disk.
 */
#ifndef SIM_SIM_DISK_H
#define SIM_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "sim/vfs_sim.h"

enum { DISK_SECTOR = 512, DISK_PAGE = 4096 };

struct page {
    uint32_t references;
    bool hashed;
    uint64_t hash;
    uint8_t bytes[DISK_PAGE];
};

struct image {
    struct page **pages; /* [page_count], page_count = ceil(size / DISK_PAGE). */
    size_t page_count, capacity;
    uint64_t size;
};

struct pending {
    uint64_t order;
    struct page *page; /* NULL: a change of size. Else the cache's page just after the write. */
    size_t page_index;
    uint64_t size;
    uint8_t sectors; /* Bit i: sector i of the page was written. */
};

/* A flat copy of a cache for mappings, at an address that never moves while mapped. */
struct view {
    struct view *next;
    uint8_t *base;
    size_t length;
    size_t accessible;   /* Bytes that may be touched: the size in whole pages. */
    struct page **shown; /* [shown_count]: the page whose bytes are there now. */
    size_t shown_count, shown_capacity;
    uint32_t mappings;
    uint64_t inode_number; /* Whose content it last had: a crash image differs little. */
};

struct lock {
    const void *owner;
    uint64_t first, last; /* Bytes, both included. */
    bool exclusive;
};

struct inode {
    uint32_t references; /* Names, pending names, open files. */
    uint64_t number;
    struct image cache, durable;
    struct pending *pending;
    size_t pending_count, pending_capacity;
    size_t
        allocated; /* Pages [0, allocated) have their space, written or not; a crash forgets it. */
    bool diverged;
    struct view *views;
    struct lock *locks;
    size_t lock_count, lock_capacity;
};

struct name {
    char *path;
    struct inode *inode;
};

struct directory {
    struct name *names;
    size_t count, capacity;
};

struct name_change {
    uint64_t order;
    struct inode *inode; /* NULL: a removal. */
    char *path;          /* That is made, renamed to, or removed. */
    char *from;          /* rename; else NULL. */
};

struct disk {
    struct directory current, durable;
    struct name_change *changes;
    size_t change_count, change_capacity;
    uint64_t order, next_inode;
};

/* Unlike assert() also in builds with NDEBUG: the harness runs in those too. */
#define SIM_REQUIRE(condition) ((condition) ? (void)0 : abort())

enum disk_write { DISK_WRITE, DISK_WRITE_LOST, DISK_WRITE_ELSEWHERE };

/* Memory of the simulator: aborts when there is none. */
void *sim_memory(void *old, size_t count, size_t size);

void disk_clone(struct disk *to, const struct disk *from); /* `to`: not initialised. */
void disk_deinit(struct disk *disk);

/* Lets pending changes survive and makes what survived both durable and current. */
void disk_crash(struct disk *disk, enum sim_mode mode, uint64_t seed);

uint64_t disk_hash(const struct disk *disk);
uint64_t disk_used(const struct disk *disk); /* Bytes in pages of current files. */

/* The inode of a current name, borrowed, or NULL. */
struct inode *disk_find(const struct disk *disk, const char *path);
struct inode *disk_make(struct disk *disk, const char *path);
void disk_rename(struct disk *disk, const char *from, const char *to);
void disk_remove(struct disk *disk, const char *path);
void disk_sync_names(struct disk *disk, const char *path);

void inode_release(struct inode *inode);
void inode_read(const struct inode *inode, uint64_t offset, uint8_t *to, size_t size);
/* `elsewhere`: pages to add to the place that DISK_WRITE_ELSEWHERE writes to. */
void inode_write(struct disk *disk, struct inode *inode, uint64_t offset, const uint8_t *from,
                 size_t size, enum disk_write how, size_t elsewhere);
void inode_resize(struct disk *disk, struct inode *inode, uint64_t size);
void inode_sync(struct inode *inode);
void inode_sync_failed(struct inode *inode, bool revert);
bool inode_flip(struct inode *inode, uint64_t offset, uint8_t bits);
/* Pages that a write would add to the disk. */
size_t inode_pages_added(const struct inode *inode, uint64_t offset, size_t size);

/* A view of at least `length` bytes, one more mapping of it; NULL: no address space. */
struct view *view_take(struct inode *inode, size_t length);
void view_release(struct inode *inode, const void *base);
struct view *view_find(const struct inode *inode, const void *address);
void view_page(struct inode *inode, size_t page_index); /* The cache's page has changed. */
void view_resize(struct inode *inode);                  /* The cache's size has changed. */
void view_deinit(struct view *view);                    /* Gives it back to be used again. */

void page_retain(struct page *page);
void page_release(struct page *page);
uint64_t sim_mix(uint64_t *state); /* SplitMix64 (Steele, Lea, Flood 2014). */

#endif /* SIM_SIM_DISK_H */
