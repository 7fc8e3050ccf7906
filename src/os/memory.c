#include "os/memory.h"

#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"

static void *memory_map(size_t length)
{
    void *at = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Maps one step more than asked for and cuts the ends off, so that the base is aligned. */
static void *memory_map_aligned(size_t length)
{
    uint8_t *raw = memory_map(length + MEMORY_STEP);
    if (raw == NULL) return NULL;
    const size_t past = (uintptr_t)raw & (MEMORY_STEP - 1);
    const size_t head = past == 0 ? 0 : MEMORY_STEP - past;
    const size_t tail = MEMORY_STEP - head;
    if (head != 0) (void)munmap(raw, head);
    if (tail != 0) (void)munmap(raw + head + length, tail);
    return raw + head;
}

omendb_status memory_reserve(size_t *length, size_t length_min, void **out, omendb_error *err)
{
    const size_t step = MEMORY_STEP;
    size_t wanted = *length, least = length_min;
    if (wanted < step) wanted = step;
    if (least < step) least = step;
    if (wanted > SIZE_MAX - 2 * step) wanted = SIZE_MAX - 2 * step;
    if (least > SIZE_MAX - 2 * step) return fail(err, OMENDB_ERR_NOMEM, "reserve: too long");
    wanted = (wanted + step - 1) & ~(step - 1);
    least = (least + step - 1) & ~(step - 1);
    void *base = NULL;
    if (alloc_must_fail() == 0) {
        while ((base = memory_map_aligned(wanted)) == NULL && wanted > least) {
            wanted = (wanted / 2 + step - 1) & ~(step - 1);
            if (wanted < least) wanted = least;
        }
    }
    if (base == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "reserve: no address space for %zu bytes", least);
    *length = wanted;
    *out = base;
    return OMENDB_OK;
}

omendb_status memory_commit(void *base, size_t offset, size_t size, omendb_error *err)
{
    assert(offset % MEMORY_STEP == 0 && size % MEMORY_STEP == 0);
    uint8_t *at = (uint8_t *)base + offset;
    if (size == 0) return OMENDB_OK;
    if (alloc_must_fail() != 0 || mprotect(at, size, PROT_READ | PROT_WRITE) != 0)
        return fail(err, OMENDB_ERR_NOMEM, "commit: no memory for %zu bytes", size);
    /* Fresh pages are zero already; this makes a range that was in use zero too. */
    (void)madvise(at, size, MADV_DONTNEED);
    return OMENDB_OK;
}

void memory_prefer_huge(void *base, size_t offset, size_t size)
{
    (void)madvise((uint8_t *)base + offset, size, MADV_HUGEPAGE); /* The kernel may have none. */
}

void *memory_block_take(size_t size)
{
    if (alloc_must_fail() != 0) return NULL;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

void memory_block_give(void *block, size_t size)
{
    if (block != NULL) (void)munmap(block, size);
}

void memory_decommit(void *base, size_t offset, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t first = (offset + page - 1) & ~(page - 1);
    const size_t end = (offset + size) & ~(page - 1);
    if (first < end) (void)madvise((uint8_t *)base + first, end - first, MADV_DONTNEED);
}

void memory_release(void *base, size_t length)
{
    if (base != NULL) (void)munmap(base, length);
}
