#include "base/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long fail_countdown = -1;
static atomic_int fail_once;
static _Atomic(uint64_t) bytes_taken;

int alloc_must_fail(void)
{
    if (LIKELY(atomic_load_explicit(&fail_countdown, memory_order_relaxed) < 0)) return 0;
    const long before = atomic_fetch_sub(&fail_countdown, 1);
    if (before > 0) return 0;
    if (atomic_load(&fail_once) != 0) atomic_store(&fail_countdown, -1);
    else atomic_store(&fail_countdown, 0);
    return 1;
}

static void *count_in(void *pointer)
{
    if (pointer != NULL)
        atomic_fetch_add_explicit(&bytes_taken, malloc_usable_size(pointer), memory_order_relaxed);
    return pointer;
}

static void count_out(void *pointer)
{
    if (pointer != NULL)
        atomic_fetch_sub_explicit(&bytes_taken, malloc_usable_size(pointer), memory_order_relaxed);
}

void *alloc_zeroed(size_t count, size_t size)
{
    if (alloc_must_fail()) return NULL;
    return count_in(calloc(count != 0 ? count : 1, size != 0 ? size : 1));
}

void *alloc_raw(size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total) || alloc_must_fail()) return NULL;
    return count_in(malloc(total != 0 ? total : 1));
}

void *alloc_aligned(size_t alignment, size_t size)
{
    void *pointer = NULL;
    if (alloc_must_fail()) return NULL;
    if (posix_memalign(&pointer, alignment < sizeof(void *) ? sizeof(void *) : alignment,
                       size != 0 ? size : 1) != 0)
        return NULL;
    return count_in(pointer);
}

void *alloc_resize(void *pointer, size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total) || alloc_must_fail()) return NULL;
    const size_t before = pointer != NULL ? malloc_usable_size(pointer) : 0;
    void *moved = realloc(pointer, total != 0 ? total : 1);
    if (moved == NULL) return NULL;
    atomic_fetch_sub_explicit(&bytes_taken, before, memory_order_relaxed);
    return count_in(moved);
}

void alloc_free(void *pointer)
{
    count_out(pointer);
    free(pointer);
}

int alloc_grow(void *array, size_t *capacity, size_t wanted, size_t size)
{
    void *items = NULL;
    if (wanted <= *capacity) return 1;
    size_t larger = *capacity < 8 ? 8 : *capacity;
    while (larger < wanted) {
        if (__builtin_mul_overflow(larger, (size_t)2, &larger)) return 0;
    }
    memcpy(&items, array, sizeof items);
    items = alloc_resize(items, larger, size);
    if (items == NULL) return 0;
    memcpy(array, &items, sizeof items);
    *capacity = larger;
    return 1;
}

uint64_t alloc_bytes(void)
{
    return atomic_load_explicit(&bytes_taken, memory_order_relaxed);
}

long alloc_fail_after(long n, int once)
{
    atomic_store(&fail_once, once);
    return atomic_exchange(&fail_countdown, n);
}
