/* What the candidates of long walks are cut back to: graph_queue_shorten(). The queue itself is held
 * against a sorted pool in graph_walk_test.c. */
#include "index/vector/graph_search.h"
#include "random.h"
#include "test.h"

static int compare_keys(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void a_shortened_pile_keeps_the_nearest(void)
{
    enum { COUNT_MAX = 1000 };
    static int64_t pile[COUNT_MAX], sorted[COUNT_MAX];
    for (uint32_t round = 0; round < 3000; round++) {
        /* From all equal to all over the place, of both signs. */
        const uint32_t count = 1 + (uint32_t)(random_bits() % COUNT_MAX), bits = round % 64;
        const uint32_t keep = 1 + (uint32_t)(random_bits() % count);
        struct graph_queue queue = {.pile = pile, .pile_count = count};
        for (uint32_t i = 0; i < count; i++)
            pile[i] = sorted[i] = (int64_t)(random_bits() << (63 - bits)) >> (63 - bits);
        qsort(sorted, count, sizeof *sorted, compare_keys);
        const int64_t floor = round % 3 == 0 ? sorted[random_bits() % count] : INT64_MIN;
        const int64_t limit = graph_queue_shorten(&queue, keep, floor);
        const uint32_t left = queue.pile_count;
        CHECK(left >= keep && left <= count);
        qsort(pile, left, sizeof *pile, compare_keys);
        CHECK(memcmp(pile, sorted, left * sizeof *pile) == 0);
        /* What was left out is above the limit, or equal to it and not wanted. */
        CHECK(left == count || sorted[left] >= limit);
        CHECK(left == count || limit >= floor);
        CHECK(left <= keep + keep / 8 || sorted[left - 1] <= floor);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_shortened_pile_keeps_the_nearest", a_shortened_pile_keeps_the_nearest},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
