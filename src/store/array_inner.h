/* array_inner.h - what array.c and array_checkpoint.c share and nobody else needs. */
#ifndef STORE_ARRAY_INNER_H
#define STORE_ARRAY_INNER_H

#include "store/array.h"

enum {
    ARRAY_INLINE_REFS = 256, /* Directories up to 4 KiB lie in the catalog. */
    ARRAY_RUN_BLOCKS = 16,   /* 1 MiB: what one read brings into a hot array. */
    ARRAY_LEAF_REFS = (int)(BLOCK_SIZE / sizeof(struct block_ref)) /* 4,096 blocks: 256 MiB */
};

/* Owned chunks and pre-images: BLOCK_SIZE zeroed bytes from the system, or NULL. */
void *chunk_take(void);
void chunk_give(void *chunk);

bool bit_get(const uint64_t *bits, uint32_t index);
void bit_set(uint64_t *bits, uint32_t index);
void bit_clear(uint64_t *bits, uint32_t index);

/* Sets the dirty bit, and counts it. Writer lock. */
void array_dirtied(struct array *array, uint32_t block);

/* refs[block], its leaf read first when need be. Under load_mutex. */
omendb_status array_ref_load(struct array *array, uint32_t block, struct block_ref *out,
                             omendb_error *err);

#endif /* STORE_ARRAY_INNER_H */
