/* atomics.h - C11 atomics with the memory order in the name.
 *
 * Every store_release in the tree names the load_acquire that it pairs with. The plain
 * `_Atomic` operators (which are seq_cst and look like nothing) are not used.
 */
#ifndef BASE_ATOMICS_H
#define BASE_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic(uint32_t) atomic_u32;
typedef _Atomic(uint64_t) atomic_u64;
typedef _Atomic(uint8_t) atomic_u8;
typedef _Atomic(void *) atomic_pointer;

#define ATOMICS_FOR(suffix, object, value)                                                         \
    static inline value atomic_load_acquire_##suffix(const object *from)                           \
    {                                                                                              \
        return atomic_load_explicit(from, memory_order_acquire);                                   \
    }                                                                                              \
    static inline value atomic_load_relaxed_##suffix(const object *from)                           \
    {                                                                                              \
        return atomic_load_explicit(from, memory_order_relaxed);                                   \
    }                                                                                              \
    static inline value atomic_load_ordered_##suffix(const object *from)                           \
    {                                                                                              \
        return atomic_load_explicit(from, memory_order_seq_cst);                                   \
    }                                                                                              \
    static inline void atomic_store_release_##suffix(object *to, value v)                          \
    {                                                                                              \
        atomic_store_explicit(to, v, memory_order_release);                                        \
    }                                                                                              \
    static inline void atomic_store_relaxed_##suffix(object *to, value v)                          \
    {                                                                                              \
        atomic_store_explicit(to, v, memory_order_relaxed);                                        \
    }                                                                                              \
    static inline void atomic_store_ordered_##suffix(object *to, value v)                          \
    {                                                                                              \
        atomic_store_explicit(to, v, memory_order_seq_cst);                                        \
    }                                                                                              \
    static inline bool atomic_swap_if_##suffix(object *at, value *expected, value desired)         \
    {                                                                                              \
        return atomic_compare_exchange_strong_explicit(                                            \
            at, expected, desired, memory_order_acq_rel, memory_order_acquire);                    \
    }

ATOMICS_FOR(u8, atomic_u8, uint8_t)
ATOMICS_FOR(u32, atomic_u32, uint32_t)
ATOMICS_FOR(u64, atomic_u64, uint64_t)
ATOMICS_FOR(pointer, atomic_pointer, void *)

static inline uint32_t atomic_add_u32(atomic_u32 *at, uint32_t value) /* Returns the old value. */
{
    return atomic_fetch_add_explicit(at, value, memory_order_acq_rel);
}

static inline uint32_t atomic_swap_u32(atomic_u32 *at, uint32_t value) /* Returns the old value. */
{
    return atomic_exchange_explicit(at, value, memory_order_acq_rel);
}

static inline uint32_t atomic_sub_u32(atomic_u32 *at, uint32_t value) /* Returns the old value. */
{
    return atomic_fetch_sub_explicit(at, value, memory_order_acq_rel);
}

static inline uint64_t atomic_add_u64(atomic_u64 *at, uint64_t value) /* Returns the old value. */
{
    return atomic_fetch_add_explicit(at, value, memory_order_acq_rel);
}

static inline uint64_t atomic_or_u64(atomic_u64 *at, uint64_t bits) /* Returns the old value. */
{
    return atomic_fetch_or_explicit(at, bits, memory_order_acq_rel);
}

static inline uint64_t atomic_and_u64(atomic_u64 *at, uint64_t bits) /* Returns the old value. */
{
    return atomic_fetch_and_explicit(at, bits, memory_order_acq_rel);
}

#endif /* BASE_ATOMICS_H */
