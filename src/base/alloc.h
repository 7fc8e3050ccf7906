/* alloc.h - the only door to the heap. Tests make the n-th request fail.
 *
 * Threads: any. Sizes are checked for overflow; a request of zero bytes gives a pointer
 * that alloc_free() takes. Nothing here prints or aborts.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* `count` zeroed items of `size` bytes, or NULL. */
void *alloc_zeroed(size_t count, size_t size) NODISCARD;

/* `count` items of `size` bytes, not initialised, or NULL. */
void *alloc_raw(size_t count, size_t size) NODISCARD;

/* `size` bytes at a multiple of `alignment` (a power of two), or NULL. */
void *alloc_aligned(size_t alignment, size_t size) NODISCARD;

/* Resizes to `count` items of `size` bytes (NULL pointer: a new one); NULL leaves the old
 * block as it was. Not for alloc_aligned(). */
void *alloc_resize(void *pointer, size_t count, size_t size) NODISCARD;

void alloc_free(void *pointer); /* NULL is allowed; takes every kind above. */

/* Grows *array so that it holds at least `wanted` items, doubling *capacity; false = no
 * memory, nothing changed. `array` is the address of a pointer to items of `size` bytes. */
int alloc_grow(void *array, size_t *capacity, size_t wanted, size_t size) NODISCARD;

/* Bytes now taken from the heap through this file (usable size). */
uint64_t alloc_bytes(void);

/* Test hook, this process: requests after the next `n` fail; -1 = never (the default).
 * once != 0: only that one request fails. Returns what was left of the `n` before: below 0 =
 * nothing was to fail, or the one request has failed. */
long alloc_fail_after(long n, int once);

/* Counts one request and tells whether it is the one to fail: for memory and handles that come
 * from elsewhere than the heap (os/memory.c, os/thread.c). */
int alloc_must_fail(void) NODISCARD;

#endif /* BASE_ALLOC_H */
