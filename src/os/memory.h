/* memory.h - address space that is reserved first and backed by memory step by step.
 *
 * Hot arrays live here: their addresses never move, nothing is copied on growth, and readers
 * need no lock. Reserving costs no memory.
 *
 *     base                 committed              length
 *      |#####################|.......................|
 *       readable, writable     PROT_NONE
 */
#ifndef OS_MEMORY_H
#define OS_MEMORY_H

#include <stddef.h>

#include "base/status.h"

enum { MEMORY_STEP = 2 << 20 }; /* Commit sizes are multiples of it: one huge page. */

/* Reserves `*length` bytes (rounded up to MEMORY_STEP) at a multiple of MEMORY_STEP. When the
 * address space is too small for that, halves the length, down to `length_min`, and tells it.
 * NOMEM: not even that. Counts as an allocation for alloc_fail_after(). */
omendb_status memory_reserve(size_t *length, size_t length_min, void **out, omendb_error *err);

/* Makes [offset, offset + size) of a reservation readable, writable and zero; multiples of
 * MEMORY_STEP. NOMEM. Counts as an allocation for alloc_fail_after(). */
omendb_status memory_commit(void *base, size_t offset, size_t size, omendb_error *err);

/* Asks for huge pages in a committed range: fewer TLB misses, but 2 MiB at the first touch, so
 * only for what is large anyway. */
void memory_prefer_huge(void *base, size_t offset, size_t size);

/* `size` zeroed bytes, whole pages, that go back to the system when given back (a heap keeps
 * them). NULL: no memory. Counts as an allocation. */
void *memory_block_take(size_t size) __attribute__((warn_unused_result));
void memory_block_give(void *block, size_t size); /* NULL is allowed. */

/* Gives the memory of whole pages inside [offset, offset + size) back; they read as zero. */
void memory_decommit(void *base, size_t offset, size_t size);

void memory_release(void *base, size_t length); /* NULL is allowed. */

#endif /* OS_MEMORY_H */
