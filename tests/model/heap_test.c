/* The heap against a table of byte strings: records of every size up to 16 MiB, released, compacted,
 * settled, through checkpoints and reopening. */
#include "store/heap.h"

#include "store_help.h"

enum { RECORDS_MAX = 4000 };

struct record {
    uint64_t location; /* HEAP_NOWHERE: none. */
    uint32_t size;
    uint64_t seed;
};

struct bench {
    char name[256];
    struct space space;
    struct heap heap;
    struct record records[RECORDS_MAX];
    struct buffer scratch;
    uint64_t seed;
    uint64_t live_bytes; /* Content only. */
};

static struct bench bench;

static void bench_open(uint64_t seed)
{
    memset(&bench, 0, sizeof bench);
    bench.seed = seed;
    for (uint32_t i = 0; i < RECORDS_MAX; i++) bench.records[i].location = HEAP_NOWHERE;
    make_name(bench.name, "heap");
    open_space(&bench.space, bench.name);
    OK(heap_init(&bench.heap, &bench.space, ARRAY_DOC_CHUNKS, ARRAY_DOC_META, &err));
}

static void bench_close(void)
{
    heap_deinit(&bench.heap);
    space_deinit(&bench.space);
    buffer_deinit(&bench.scratch);
    CHECK(unlink(bench.name) == 0);
}

static uint32_t some_size(void)
{
    static const uint32_t edges[] = {0,     1,     7,     8,      9,     32760, 32767,
                                     32768, 32769, 32775, 32776,  40001, 65520, 65527,
                                     65528, 65529, 70001, 131064, 131065};
    const uint32_t dice = random_below(&bench.seed, 100);
    if (dice < 8) return edges[random_below(&bench.seed, COUNT_OF(edges))];
    if (dice < 10) return random_below(&bench.seed, 300000);
    return random_below(&bench.seed, dice < 50 ? 200 : 5000);
}

static void append(uint32_t at, uint32_t size)
{
    struct record *record = &bench.records[at];
    CHECK(record->location == HEAP_NOWHERE);
    *record = (struct record){.size = size, .seed = random_next(&bench.seed)};
    uint8_t *bytes = malloc(size + 1u);
    random_fill(bytes, size, record->seed);
    OK(heap_reserve(&bench.heap, size, &err));
    record->location = heap_append(&bench.heap, bytes, size, at);
    bench.live_bytes += size;
    free(bytes);
}

static void release(uint32_t at)
{
    struct record *record = &bench.records[at];
    OK(heap_release_reserve(&bench.heap, record->location, &err));
    heap_release(&bench.heap, record->location);
    record->location = HEAP_NOWHERE;
    bench.live_bytes -= record->size;
}

static void read_one(uint32_t at)
{
    const struct record *record = &bench.records[at];
    const uint8_t *view = NULL;
    uint32_t size = 0;
    OK(heap_read(&bench.heap, record->location, &bench.scratch, &view, &size, &err));
    CHECK(size == record->size);
    uint8_t *expected = malloc(size + 1u);
    random_fill(expected, size, record->seed);
    CHECK(memcmp(view, expected, size) == 0);
    free(expected);
}

/* The counters are what the metadata adds up to. */
static void counters_agree(void)
{
    uint64_t used = 0, live = 0;
    OK(array_load_all(&bench.heap.meta, &err));
    for (uint32_t chunk = 0; chunk < bench.heap.chunk_count; chunk++) {
        const struct heap_chunk *meta = array_at(&bench.heap.meta, chunk);
        CHECK(meta->live <= meta->used && meta->used <= BLOCK_SIZE);
        used += meta->used;
        live += meta->live;
    }
    CHECK(used == bench.heap.used_bytes && live == bench.heap.live_bytes);
    CHECK(live >= bench.live_bytes);
}

static void compare(void)
{
    for (uint32_t at = 0; at < RECORDS_MAX; at++)
        if (bench.records[at].location != HEAP_NOWHERE) read_one(at);
    counters_agree();
}

static omendb_status moved(void *context, uint32_t owner, uint64_t from, uint64_t to, bool *wanted,
                           omendb_error *error)
{
    (void)context, (void)error;
    CHECK(owner < RECORDS_MAX);
    *wanted = bench.records[owner].location == from;
    if (*wanted && to != HEAP_NOWHERE) bench.records[owner].location = to;
    return OMENDB_OK;
}

static omendb_status image(struct array *array, struct buffer *out)
{
    OK(array_freeze(array, &err));
    OK(array_write_frozen(array, &err));
    return array_encode(array, out, &err);
}

/* Writes both arrays and goes on with what the file holds. */
static void checkpoint_and_reopen(bool reopen)
{
    struct buffer chunks = {0}, meta = {0};
    size_t used = 0;
    struct heap *heap = &bench.heap;
    OK(image(&heap->chunks, &chunks));
    OK(image(&heap->meta, &meta));
    OK(space_release_reserve(&bench.space,
                             array_releases(&heap->chunks) + array_releases(&heap->meta), &err));
    array_thaw(&heap->chunks, true);
    array_thaw(&heap->meta, true);
    space_advance(&bench.space, bench.space.generation + 1);
    epoch_collect(&bench.space.epoch);
    if (reopen) {
        const struct heap before = *heap;
        heap_deinit(heap);
        *heap = (struct heap){.chunk_count = before.chunk_count,
                              .current = before.current,
                              .current_used = before.current_used,
                              .live_bytes = before.live_bytes,
                              .used_bytes = before.used_bytes};
        OK(array_decode(&heap->chunks, &bench.space, false, chunks.data, chunks.size, &used, &err));
        OK(array_decode(&heap->meta, &bench.space, true, meta.data, meta.size, &used, &err));
    }
    buffer_deinit(&chunks);
    buffer_deinit(&meta);
}

static void holds_what_was_appended_through_everything(void)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        bench_open(seed);
        for (uint32_t step = 0; step < 12000; step++) {
            const uint32_t at = random_below(&bench.seed, RECORDS_MAX);
            const uint32_t dice = random_below(&bench.seed, 1000);
            const bool there = bench.records[at].location != HEAP_NOWHERE;
            if (!there) append(at, some_size());
            else if (dice < 700) release(at);
            else if (dice < 980) read_one(at);
            else if (dice < 990) heap_settle(&bench.heap);
            else if (dice < 995)
                OK(heap_compact(&bench.heap, dice % 2 == 0 ? UINT64_MAX : 100000, moved, NULL,
                                &err));
            else checkpoint_and_reopen(dice < 997);
            if (step % 3000 == 0) compare();
        }
        compare();
        for (uint32_t at = 0; at < RECORDS_MAX; at++)
            if (bench.records[at].location != HEAP_NOWHERE) release(at);
        CHECK(bench.heap.live_bytes == 0);
        counters_agree();
        bench_close();
    }
}

/* One chunk's worth and just above, where a run has one chunk only. */
static void releases_every_size_completely(void)
{
    bench_open(4);
    for (uint32_t size = 32750; size < 32790; size++) append(size - 32750, size);
    for (uint32_t size = 65500; size < 65560; size++) append(size - 65500 + 40, size);
    compare();
    append(200, 10);
    for (uint32_t at = 0; at < 100; at++) release(at);
    CHECK(bench.heap.live_bytes == 24); /* 8 + 10 padded to 8 */
    /* Only the current chunk still counts bytes. */
    for (uint32_t chunk = 0; chunk < bench.heap.chunk_count; chunk++) {
        const struct heap_chunk *meta = array_at(&bench.heap.meta, chunk);
        CHECK(meta->used == 0 || chunk == bench.heap.current);
    }
    bench_close();
}

static void holds_records_of_sixteen_mebibytes(void)
{
    bench_open(5);
    append(0, 16u << 20);
    append(1, 5);
    append(2, (16u << 20) + 12345);
    compare();
    checkpoint_and_reopen(true);
    compare();
    release(0);
    checkpoint_and_reopen(true);
    compare();
    bench_close();
}

/* Large records take neighbours among the free chunks, so churn doesn't use up chunk numbers. */
static void runs_reuse_chunk_numbers(void)
{
    bench_open(8);
    for (uint32_t at = 0; at < 10; at++) append(at, 100000 + 50000 * (at % 3));
    const uint32_t few = bench.heap.chunk_count;
    for (uint32_t round = 0; round < 60; round++) {
        const uint32_t at = random_below(&bench.seed, 10);
        release(at);
        heap_settle(&bench.heap);
        append(at, 60000 + random_below(&bench.seed, 200000));
        if (round % 10 == 9) checkpoint_and_reopen(round % 20 == 19);
        compare();
    }
    CHECK(bench.heap.chunk_count < 4 * few);
    bench_close();
}

static void compaction_leaves_at_most_a_tenth_dead(void)
{
    bench_open(6);
    for (uint32_t at = 0; at < RECORDS_MAX; at++) append(at, 500 + random_below(&bench.seed, 800));
    for (uint32_t at = 0; at < RECORDS_MAX; at++)
        if (at % 10 != 3) release(at);
    OK(heap_compact(&bench.heap, UINT64_MAX, moved, NULL, &err));
    compare();
    CHECK(bench.heap.used_bytes - bench.heap.live_bytes <= bench.heap.used_bytes / 10 + BLOCK_SIZE);
    checkpoint_and_reopen(false);
    checkpoint_and_reopen(false);
    checkpoint_and_reopen(true);
    compare();
    CHECK(block_map_trim(&bench.space.map) > 0);
    CHECK(bench.space.map.taken_count < 2 + 16); /* 400 records of about 900 bytes: 6 chunks. */
    bench_close();
}

/* An emptied chunk is taken again only after the readers of that time have left. */
static void a_chunk_is_not_reused_under_a_reader(void)
{
    struct snapshot snapshot;
    const uint8_t *view = NULL;
    uint32_t size = 0;
    bench_open(7);
    for (uint32_t at = 0; at < 300; at++) append(at, 1000);
    OK(epoch_enter(&bench.space.epoch, &snapshot, &err));
    const uint64_t location = bench.records[0].location;
    OK(heap_read(&bench.heap, location, &bench.scratch, &view, &size, &err));
    uint8_t copy[1000];
    memcpy(copy, view, 1000);
    for (uint32_t at = 0; at < 200; at++) release(at);
    for (uint32_t at = 300; at < 1500; at++) {
        append(at, 1000);
        heap_settle(&bench.heap);
        epoch_collect(&bench.space.epoch);
        CHECK(bench.records[at].location >> 16 != location >> 16);
    }
    CHECK(memcmp(copy, view, 1000) == 0);
    epoch_leave(&snapshot);
    heap_settle(&bench.heap);
    const uint32_t chunks = bench.heap.chunk_count;
    for (uint32_t at = 1500; at < 1600; at++) append(at, 1000);
    CHECK(bench.heap.chunk_count == chunks); /* Now they are. */
    compare();
    bench_close();
}

static void hostile_locations_are_corrupt(void)
{
    const uint8_t *view = NULL;
    uint32_t size = 0;
    bench_open(8);
    for (uint32_t at = 0; at < 200; at++) append(at, 3000);
    append(300, 100000);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t location = random_next(&bench.seed);
        if (i % 2 == 0) location %= (uint64_t)20 << 16;
        const omendb_status status = heap_read(&bench.heap, location, &bench.scratch, &view, &size,
                                               &err);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_CORRUPT);
        if (status == OMENDB_OK && size != 0) CHECK(view[0] + view[size - 1] >= 0);
        CHECK(heap_release_reserve(&bench.heap, location, &err) ==
                  (status == OMENDB_OK ? OMENDB_OK : OMENDB_ERR_CORRUPT) ||
              err.status == OMENDB_ERR_CORRUPT);
    }
    FAILS(OMENDB_ERR_CORRUPT,
          heap_read(&bench.heap, HEAP_NOWHERE, &bench.scratch, &view, &size, &err));
    compare();
    bench_close();
}

static void a_failed_allocation_changes_nothing(void)
{
    for (int once = 0; once < 2; once++) {
        bench_open(9);
        for (long n = 0; n < 400; n++) {
            const uint32_t at = random_below(&bench.seed, 300);
            struct record *record = &bench.records[at];
            const uint32_t wanted = n % 17 == 0 ? 70000 : random_below(&bench.seed, 20000);
            alloc_fail_after(n % 7, once);
            omendb_status status = OMENDB_OK;
            if (record->location == HEAP_NOWHERE) status = heap_reserve(&bench.heap, wanted, &err);
            else status = heap_release_reserve(&bench.heap, record->location, &err);
            if (n % 50 == 49) (void)heap_compact(&bench.heap, UINT64_MAX, moved, NULL, &err);
            alloc_fail_after(-1, 0);
            CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
            counters_agree();
            if (record->location == HEAP_NOWHERE) append(at, wanted);
            else release(at);
            if (n % 60 == 59) compare();
        }
        compare();
        bench_close();
    }
}

static const struct test tests[] = {
    {"holds_what_was_appended_through_everything", holds_what_was_appended_through_everything},
    {"releases_every_size_completely", releases_every_size_completely},
    {"holds_records_of_sixteen_mebibytes", holds_records_of_sixteen_mebibytes},
    {"runs_reuse_chunk_numbers", runs_reuse_chunk_numbers},
    {"compaction_leaves_at_most_a_tenth_dead", compaction_leaves_at_most_a_tenth_dead},
    {"a_chunk_is_not_reused_under_a_reader", a_chunk_is_not_reused_under_a_reader},
    {"hostile_locations_are_corrupt", hostile_locations_are_corrupt},
    {"a_failed_allocation_changes_nothing", a_failed_allocation_changes_nothing},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
