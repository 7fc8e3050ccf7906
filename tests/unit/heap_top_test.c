/* heap_top.h against sorting. */
#include "base/heap_top.h"
#include "test.h"

static int float_order(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void test_keeps_the_smallest(void)
{
    static float all[3000], sorted[3000], values[3000];
    uint32_t seed = 12345;
    for (uint32_t limit = 1; limit <= 3000; limit += limit < 20 ? 1 : 379) {
        struct heap_top heap = {.values = values, .limit = limit};
        for (uint32_t n = 0; n < 3000; n++) {
            seed = seed * 1664525 + 1013904223;
            /* Few different ones, and infinities of both signs. */
            all[n] = seed >> 28 == 0 ? INFINITY : seed >> 28 == 1 ? -INFINITY : (float)(seed >> 20);
            heap_top_add(&heap, all[n]);
            CHECK(heap.count == (n + 1 < limit ? n + 1 : limit));
            if (n % 499 != 0 && n != 2999) continue;
            memcpy(sorted, all, (n + 1) * sizeof *all);
            qsort(sorted, n + 1, sizeof *sorted, float_order);
            const float expected = n + 1 < limit ? INFINITY : sorted[limit - 1];
            CHECK(heap_top_limit(&heap) <= expected && heap_top_limit(&heap) >= expected);
        }
        qsort(values, limit, sizeof *values, float_order);
        CHECK(memcmp(values, sorted, limit * sizeof *values) == 0);
    }
}

static void test_of_no_size_takes_nothing(void)
{
    struct heap_top heap = {0};
    float one = 1;
    heap.values = &one;
    heap_top_add(&heap, -5);
    CHECK(heap.count == 0 && one > 0.5f);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {{"keeps_the_smallest", test_keeps_the_smallest},
                                        {"of_no_size_takes_nothing", test_of_no_size_takes_nothing},
                                        {NULL, NULL}};
    return test_main(tests, argc, argv);
}
