/* heap_top.h - the k smallest of many floats: a binary heap with the largest of them on top.
 *
 *     values   [0] >= [1], [2];   [i] >= [2i + 1], [2i + 2]
 *
 * The caller owns `values` ([limit]). No NaN goes in. Threads: one at a time.
 */
#ifndef BASE_HEAP_TOP_H
#define BASE_HEAP_TOP_H

#include <math.h>
#include <stdint.h>

struct heap_top {
    float *values;
    uint32_t count, limit;
};

/* What a value must not exceed to be among the k smallest so far. */
static inline float heap_top_limit(const struct heap_top *heap)
{
    return heap->count < heap->limit ? INFINITY : heap->values[0];
}

static inline void heap_top_add(struct heap_top *heap, float value)
{
    float *values = heap->values;
    if (heap->count < heap->limit) {
        uint32_t at = heap->count++;
        for (; at > 0 && values[(at - 1) / 2] < value; at = (at - 1) / 2)
            values[at] = values[(at - 1) / 2];
        values[at] = value;
        return;
    }
    if (heap->limit == 0 || !(value < values[0])) return;
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && values[child + 1] > values[child]) child++;
        if (values[child] <= value) break;
        values[at] = values[child];
        at = child;
    }
    values[at] = value;
}

#endif /* BASE_HEAP_TOP_H */
