/* arena.h - memory for one piece of work: many small requests, one end.
 *
 *     arena -> block -> block -> NULL       a block: {next, size}, then its bytes
 *              ^^^^^ requests are cut from the newest block, front to back
 *
 * A block doubles the one before it (4 KiB up to 1 MiB); a request that doesn't fit gets a block
 * that does. Nothing is freed one by one: arena_reset() forgets everything and keeps the largest
 * block, so that work that repeats allocates nothing in its steady state.
 *
 * Invariants
 *   1. size_taken, the sum of the blocks with their headers, never exceeds size_max (0 = no limit).
 *   2. A failed request changes nothing.
 *   3. Under AddressSanitizer every request is followed by at least one poisoned byte, and bytes
 *      that no request owns are poisoned.
 *
 * Threads: one at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* Newest first. */
    uint8_t *at;                /* The next free byte of the newest block ... */
    uint8_t *end;               /* ... and its end. */
    size_t size_taken;          /* Bytes of all blocks. */
    size_t size_max;
};

/* Takes no memory yet. size_max bounds the blocks' bytes; 0 = unbounded. */
void arena_init(struct arena *arena, size_t size_max);
void arena_deinit(struct arena *arena); /* Leaves an empty arena with the same limit. */
void arena_reset(struct arena *arena);  /* Ends every request, keeps the largest block. */

/* `size` bytes (not initialised) at a multiple of `align`, a power of two up to 4096.
 * NULL = no memory or over the limit. Zero bytes give a pointer that must not be read. */
void *arena_alloc(struct arena *arena, size_t size, size_t align) NODISCARD;

/* `count` items of `size` bytes, the product checked; NULL as above. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size, size_t align) NODISCARD;

#endif /* BASE_ARENA_H */
