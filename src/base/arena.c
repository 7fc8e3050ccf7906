#include "base/arena.h"

#include <assert.h>
#include <stdbool.h>

#include "base/alloc.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif

#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
enum { RED_ZONE = 8 };
#else
#define ASAN_POISON_MEMORY_REGION(from, size) ((void)(from), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(from, size) ((void)(from), (void)(size))
enum { RED_ZONE = 0 };
#endif

enum { BLOCK_SIZE_MIN = 4096, BLOCK_SIZE_DOUBLED_MAX = 1 << 20, ALIGN_MAX = 4096 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* With this header. */
};

void arena_init(struct arena *arena, size_t size_max)
{
    *arena = (struct arena){.size_max = size_max};
}

void arena_deinit(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        ASAN_UNPOISON_MEMORY_REGION(block, block->size);
        alloc_free(block);
        block = next;
    }
    arena_init(arena, arena->size_max);
}

static void enter_block(struct arena *arena, struct arena_block *block)
{
    arena->at = (uint8_t *)(block + 1);
    arena->end = (uint8_t *)block + block->size;
    ASAN_POISON_MEMORY_REGION(arena->at, (size_t)(arena->end - arena->at));
}

void arena_reset(struct arena *arena)
{
    struct arena_block *largest = arena->blocks;
    if (largest == NULL) return;
    for (struct arena_block *block = largest->next; block != NULL; block = block->next) {
        if (block->size > largest->size) largest = block;
    }
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        if (block != largest) {
            ASAN_UNPOISON_MEMORY_REGION(block, block->size);
            alloc_free(block);
        }
        block = next;
    }
    largest->next = NULL;
    arena->blocks = largest;
    arena->size_taken = largest->size;
    enter_block(arena, largest);
}

/* Adds a block that holds `size` bytes at any address that is a multiple of `align`. */
static bool add_block(struct arena *arena, size_t size, size_t align)
{
    size_t least = 0;
    if (__builtin_add_overflow(size, sizeof(struct arena_block) + align + RED_ZONE, &least))
        return false;
    size_t wanted = arena->blocks != NULL ? arena->blocks->size : BLOCK_SIZE_MIN / 2;
    wanted = wanted >= BLOCK_SIZE_DOUBLED_MAX / 2 ? BLOCK_SIZE_DOUBLED_MAX : wanted * 2;
    if (wanted < least) wanted = least;
    if (arena->size_max != 0) {
        const size_t left = arena->size_max - arena->size_taken;
        if (least > left) return false;
        if (wanted > left) wanted = left;
    }
    struct arena_block *block = alloc_raw(1, wanted);
    if (block == NULL) return false;
    *block = (struct arena_block){.next = arena->blocks, .size = wanted};
    arena->blocks = block;
    arena->size_taken += wanted;
    assert(arena->size_max == 0 || arena->size_taken <= arena->size_max);
    enter_block(arena, block);
    return true;
}

/* Bytes to skip so that the next request is aligned. */
static size_t padding_at(const uint8_t *at, size_t align)
{
    return (size_t)(-(uintptr_t)at & (align - 1));
}

void *arena_alloc(struct arena *arena, size_t size, size_t align)
{
    assert(align != 0 && (align & (align - 1)) == 0 && align <= ALIGN_MAX);
    size_t needed = 0;
    if (__builtin_add_overflow(size, padding_at(arena->at, align) + RED_ZONE, &needed)) return NULL;
    if (arena->at == NULL || needed > (size_t)(arena->end - arena->at)) {
        if (!add_block(arena, size, align)) return NULL;
    }
    uint8_t *out = arena->at + padding_at(arena->at, align);
    arena->at = out + size + RED_ZONE;
    assert(arena->at <= arena->end);
    ASAN_UNPOISON_MEMORY_REGION(out, size);
    return out;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size, size_t align)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total)) return NULL;
    return arena_alloc(arena, total, align);
}
