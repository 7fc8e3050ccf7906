/* Arrays, hot and cold, on a real file against plain memory: checkpoints with writes at every stage,
 * failed ones, moved blocks, holes, directories with leaves, and damaged blocks.
 *
 * The model is the content as bytes, once as it is and once as it was at the freeze. After every
 * durable checkpoint the image and the one before it are decoded anew and must be whole. */
#include "store/array.h"

#include "base/bytes.h"
#include "store_help.h"

enum { BLOCKS_MAX = 700 };

struct bench {
    char name[256];
    struct space space;
    struct array array;
    uint32_t stride, per_block;
    bool hot;
    uint64_t count; /* Elements. */
    uint8_t *now, *frozen;
    bool hole
        [BLOCKS_MAX]; /* Dropped, no durable image says so yet: a late reader maps the old bytes. */
    bool frozen_hole[BLOCKS_MAX];
    uint64_t frozen_count;
    struct buffer record, record_before;
    uint8_t *content_before; /* Of record_before. */
    uint64_t count_before;
    uint64_t seed;
};

static struct bench bench;

static void bench_open(uint32_t stride, bool hot, uint64_t seed)
{
    memset(&bench, 0, sizeof bench);
    make_name(bench.name, "array");
    bench.stride = stride;
    bench.per_block = BLOCK_SIZE / stride;
    bench.hot = hot;
    bench.seed = seed;
    open_space(&bench.space, bench.name);
    const size_t size = (size_t)BLOCKS_MAX * BLOCK_SIZE;
    bench.now = calloc(1, size);
    bench.frozen = calloc(1, size);
    bench.content_before = calloc(1, size);
    OK(array_init(&bench.array, &bench.space, 7, 3, stride, hot, &err));
}

static void bench_close(void)
{
    array_deinit(&bench.array);
    space_deinit(&bench.space);
    buffer_deinit(&bench.record);
    buffer_deinit(&bench.record_before);
    free(bench.now);
    free(bench.frozen);
    free(bench.content_before);
    CHECK(unlink(bench.name) == 0);
}

static size_t place(uint64_t index)
{
    return (size_t)(index / bench.per_block) * BLOCK_SIZE +
           (size_t)(index % bench.per_block) * bench.stride;
}

static uint32_t blocks_of(uint64_t count)
{
    return (uint32_t)((count + bench.per_block - 1) / bench.per_block);
}

static void write_one(uint64_t index)
{
    OK(array_prepare(&bench.array, index, &err));
    uint8_t *to = array_at_writable(&bench.array, index);
    /* What a block holds when it is written again after it was dropped is zeros. */
    CHECK(memcmp(to, bench.now + place(index), bench.stride) == 0);
    random_fill(to, bench.stride, random_next(&bench.seed));
    memcpy(bench.now + place(index), to, bench.stride);
    bench.hole[index / bench.per_block] = false;
}

static void write_some(uint32_t times)
{
    for (uint32_t i = 0; i < times && bench.count != 0; i++)
        write_one(random_below(&bench.seed, (uint32_t)bench.count));
}

static void grow_to(uint64_t count)
{
    OK(array_grow(&bench.array, count, &err));
    bench.count = count;
    CHECK(array_capacity(&bench.array) == (uint64_t)blocks_of(count) * bench.per_block);
}

static void drop_one(uint32_t block)
{
    if (!array_block_present(&bench.array, block)) return;
    OK(array_prepare(&bench.array, (uint64_t)block * bench.per_block, &err));
    array_drop_block(&bench.array, block);
    memset(bench.now + (size_t)block * BLOCK_SIZE, 0, BLOCK_SIZE);
    bench.hole[block] = !bench.hot; /* A hot one reads as zeros at once. */
    CHECK(!array_block_present(&bench.array, block));
}

/* Every element of `array` is what `content` says; a hole is NULL or zeros. */
static void compare(struct array *array, const uint8_t *content, uint64_t count)
{
    for (uint64_t index = 0; index < count; index++) {
        omendb_error local = {0};
        if (array == &bench.array && bench.hole[index / bench.per_block]) continue;
        const uint8_t *element = array_read(array, index, &local);
        CHECK(local.status == OMENDB_OK);
        const uint8_t *expected = content + place(index);
        for (uint32_t i = 0; element == NULL && i < bench.stride; i++) CHECK(expected[i] == 0);
        CHECK(element == NULL || memcmp(element, expected, bench.stride) == 0);
    }
}

static uint32_t problems;

static void count_problem(void *context, const char *text)
{
    (void)context;
    CHECK(strstr(text, "array 7 field 3") != NULL && strstr(text, "checksum") != NULL);
    problems++;
}

static void image_is_whole(const struct buffer *record, const uint8_t *content, uint64_t count)
{
    struct array other = {0};
    size_t used = 0;
    OK(array_decode(&other, &bench.space, bench.hot, record->data, record->size, &used, &err));
    CHECK(used == record->size && other.kind == 7 && other.field == 3);
    problems = 0;
    OK(array_verify(&other, count_problem, NULL, &err));
    CHECK(problems == 0);
    compare(&other, content, count);
    array_deinit(&other);
}

static void freeze(void)
{
    OK(array_freeze(&bench.array, &err));
    memcpy(bench.frozen, bench.now, (size_t)blocks_of(bench.count) * BLOCK_SIZE);
    memcpy(bench.frozen_hole, bench.hole, sizeof bench.hole);
    bench.frozen_count = bench.count;
}

static void thaw(struct buffer *record, bool durable)
{
    const size_t releases = array_releases(&bench.array);
    OK(space_release_reserve(&bench.space, releases, &err));
    const size_t before = bench.space.released_count;
    array_thaw(&bench.array, durable);
    CHECK(bench.space.released_count - before <= (durable ? releases : 0));
    if (durable) {
        space_advance(&bench.space, bench.space.generation + 1);
        buffer_deinit(&bench.record_before);
        bench.record_before = bench.record;
        bench.record = *record;
        *record = (struct buffer){0};
        for (uint32_t block = 0; block < BLOCKS_MAX; block++)
            if (bench.frozen_hole[block]) bench.hole[block] = false;
    }
    buffer_deinit(record);
    epoch_collect(&bench.space.epoch);
}

/* One checkpoint with writes wherever a writer may come. */
static void checkpoint(bool durable, uint32_t relocate_from)
{
    struct buffer record = {0};
    uint8_t *content = bench.frozen;
    freeze();
    write_some(random_below(&bench.seed, 20));
    OK(array_write_frozen(&bench.array, &err));
    write_some(random_below(&bench.seed, 20));
    if (relocate_from != 0) {
        uint32_t budget = 50;
        OK(array_relocate(&bench.array, relocate_from, &budget, &err));
    }
    write_some(random_below(&bench.seed, 5));
    if (random_below(&bench.seed, 3) == 0 && blocks_of(bench.count) < BLOCKS_MAX - 30)
        grow_to(bench.count + random_below(&bench.seed, 20) * bench.per_block);
    OK(array_encode(&bench.array, &record, &err));
    write_some(random_below(&bench.seed, 5));
    const uint32_t taken_before = bench.space.map.taken_count;
    thaw(&record, durable);
    compare(&bench.array, bench.now, bench.count);
    if (!durable) {
        CHECK(bench.space.map.taken_count <= taken_before);
        return;
    }
    image_is_whole(&bench.record, content, bench.frozen_count);
    if (bench.record_before.size != 0)
        image_is_whole(&bench.record_before, bench.content_before, bench.count_before);
    memcpy(bench.content_before, content, (size_t)blocks_of(bench.frozen_count) * BLOCK_SIZE);
    bench.count_before = bench.frozen_count;
}

/* Without a writer. */
static void quiet_checkpoint(uint32_t relocate_from)
{
    struct buffer record = {0};
    uint32_t budget = 50;
    freeze();
    OK(array_write_frozen(&bench.array, &err));
    if (relocate_from != 0) OK(array_relocate(&bench.array, relocate_from, &budget, &err));
    OK(array_encode(&bench.array, &record, &err));
    thaw(&record, true);
    image_is_whole(&bench.record, bench.frozen, bench.frozen_count);
    memcpy(bench.content_before, bench.frozen, (size_t)blocks_of(bench.count) * BLOCK_SIZE);
    bench.count_before = bench.frozen_count;
}

/* What was written since the last durable image is lost, as after a kill without a log. */
static void reopen(void)
{
    size_t used = 0;
    array_deinit(&bench.array);
    OK(array_decode(&bench.array, &bench.space, bench.hot, bench.record.data, bench.record.size,
                    &used, &err));
    bench.count = bench.count_before;
    memset(bench.now, 0, (size_t)BLOCKS_MAX * BLOCK_SIZE);
    memcpy(bench.now, bench.content_before, (size_t)blocks_of(bench.count) * BLOCK_SIZE);
    memset(bench.hole, 0, sizeof bench.hole);
}

static void live(uint32_t stride, bool hot, uint32_t rounds, uint32_t blocks, uint64_t seed)
{
    bench_open(stride, hot, seed);
    grow_to((uint64_t)blocks * bench.per_block - 1);
    for (uint32_t round = 0; round < rounds; round++) {
        write_some(1 + random_below(&bench.seed, 40));
        for (uint32_t i = 0; i < 3; i++)
            drop_one(random_below(&bench.seed, blocks_of(bench.count)));
        const uint32_t dice = random_below(&bench.seed, 10);
        checkpoint(dice < 7, dice % 2 == 0 ? bench.space.map.end / 2 : 0);
        if (bench.record.size != 0 && random_below(&bench.seed, 6) == 0) reopen();
    }
    bench_close();
}

static void a_hot_array_is_its_model_through_checkpoints(void)
{
    live(48, true, 60, 20, 11);
    live(65536, true, 40, 20, 12);
    live(8, true, 40, 6, 13);
}

static void a_cold_array_is_its_model_through_checkpoints(void)
{
    live(3072, false, 60, 20, 21);
    live(65536, false, 60, 20, 22);
    live(5, false, 20, 3, 23);
}

static void directories_of_more_than_256_blocks_have_leaves(void)
{
    for (int hot = 0; hot < 2; hot++) {
        live(32768, hot == 1, 12, 250, 31);
        live(16384, hot == 1, 12, 400, 32);
    }
}

/* A block that was moved by a checkpoint that failed wasn't changed: the next one must not take it
 * for dropped. */
static void moved_blocks_survive_a_failed_checkpoint(void)
{
    for (int hot = 0; hot < 2; hot++) {
        bench_open(4096, hot == 1, 41);
        grow_to(40 * (uint64_t)bench.per_block);
        for (uint64_t i = 0; i < bench.count; i++) write_one(i);
        checkpoint(true, 0);
        checkpoint(true, 0);
        reopen();
        struct buffer record = {0};
        uint32_t budget = 100;
        freeze();
        OK(array_write_frozen(&bench.array, &err));
        OK(array_relocate(&bench.array, 2, &budget, &err));
        CHECK(budget < 100);
        OK(array_encode(&bench.array, &record, &err));
        thaw(&record, false);
        checkpoint(true, 0);
        compare(&bench.array, bench.now, bench.count);
        reopen();
        compare(&bench.array, bench.now, bench.count);
        bench_close();
    }
}

/* Relocation brings the end of the file down. */
static void moving_blocks_shortens_the_file(void)
{
    bench_open(65536, false, 51);
    grow_to(200);
    for (uint64_t i = 0; i < 200; i++) write_one(i);
    quiet_checkpoint(0);
    for (uint32_t block = 0; block < 150; block++) drop_one(block);
    for (int i = 0; i < 3; i++) quiet_checkpoint(0);
    const uint32_t end = block_map_trim(&bench.space.map);
    for (int i = 0; i < 8; i++) quiet_checkpoint(54);
    CHECK(end > 180);
    CHECK(block_map_trim(&bench.space.map) <= 2 + 50 + 4);
    reopen();
    compare(&bench.array, bench.now, bench.count);
    bench_close();
}

/* Who holds a pointer may go on reading what nobody changed, whatever checkpoints do. */
static void pointers_stay_good_while_their_snapshot_is_open(void)
{
    enum { KEPT = 64 };
    const uint8_t *held[KEPT];
    uint8_t copies[KEPT][1024];
    struct snapshot snapshot;
    for (int pass = 0; pass < 2; pass++) {
        bench_open(1024, false, 61);
        grow_to(KEPT * 64);
        for (uint64_t i = 0; i < bench.count; i++) write_one(i);
        if (pass == 1) checkpoint(true, 0), checkpoint(true, 0);
        OK(epoch_enter(&bench.space.epoch, &snapshot, &err));
        for (uint32_t i = 0; i < KEPT; i++) {
            held[i] = array_read(&bench.array, i * 64, &err);
            memcpy(copies[i], held[i], 1024);
        }
        for (int i = 0; i < 12; i++) {
            for (uint32_t k = 0; k < KEPT; k++)
                write_one(k * 64 + 1 + random_below(&bench.seed, 63));
            /* No random writes here: they could hit what is held. */
            struct buffer record = {0};
            freeze();
            for (uint32_t k = 0; k < KEPT; k += 3) write_one(k * 64 + 7);
            OK(array_write_frozen(&bench.array, &err));
            for (uint32_t k = 1; k < KEPT; k += 3) write_one(k * 64 + 7);
            uint32_t budget = 30;
            OK(array_relocate(&bench.array, 2, &budget, &err));
            OK(array_encode(&bench.array, &record, &err));
            thaw(&record, i % 3 != 0);
        }
        for (uint32_t k = 0; k < KEPT / 2; k++) drop_one(k);
        struct buffer record = {0};
        freeze();
        OK(array_write_frozen(&bench.array, &err));
        OK(array_encode(&bench.array, &record, &err));
        thaw(&record, true);
        for (uint32_t i = 0; i < KEPT; i++) CHECK(memcmp(held[i], copies[i], 1024) == 0);
        epoch_leave(&snapshot);
        bench_close();
    }
}

/* A reader that comes late maps what a dropped block was; that must not bring it back. */
static void a_late_reader_does_not_revive_a_dropped_block(void)
{
    bench_open(65536, false, 71);
    grow_to(10);
    for (uint64_t i = 0; i < 10; i++) write_one(i);
    checkpoint(true, 0);
    checkpoint(true, 0);
    drop_one(4);
    drop_one(5);
    omendb_error local = {0};
    (void)array_read(&bench.array, 4, &local); /* The old bytes or nothing: never an error. */
    (void)array_read(&bench.array, 5, &local);
    CHECK(local.status == OMENDB_OK);
    CHECK(!array_block_present(&bench.array, 4));
    struct buffer record = {0};
    freeze();
    write_one(5); /* During the checkpoint: its content must not get into the image. */
    OK(array_write_frozen(&bench.array, &err));
    OK(array_encode(&bench.array, &record, &err));
    thaw(&record, true);
    image_is_whole(&bench.record, bench.frozen, bench.frozen_count);
    compare(&bench.array, bench.now, bench.count);
    CHECK(!array_block_present(&bench.array, 4) && array_block_present(&bench.array, 5));
    CHECK(array_memory_bytes(&bench.array) == BLOCK_SIZE); /* Only block 5 is owned. */
    bench_close();
}

/* One flipped bit in any block, leaves included, is CORRUPT where it matters and nowhere else. */
static void a_flipped_bit_in_any_block_is_found(void)
{
    for (int hot = 0; hot < 2; hot++) {
        bench_open(65536, hot == 1, 81);
        grow_to(300);
        for (uint64_t i = 0; i < 300; i += 3) write_one(i);
        struct buffer record = {0};
        freeze();
        OK(array_write_frozen(&bench.array, &err));
        OK(array_encode(&bench.array, &record, &err));
        thaw(&record, true);
        uint32_t damaged = 0;
        for (uint32_t block = BLOCK_FIRST; block < bench.space.map.end; block++) {
            const uint64_t at = (uint64_t)block * BLOCK_SIZE +
                                random_below(&bench.seed, BLOCK_SIZE);
            uint8_t byte = 0;
            size_t got = 0, used = 0;
            OK(file_read(bench.space.file, at, &byte, 1, &got, &err));
            const uint8_t whole = byte;
            byte ^= (uint8_t)(1u << random_below(&bench.seed, 8));
            OK(file_write(bench.space.file, at, &byte, 1, &err));
            struct array other = {0};
            OK(array_decode(&other, &bench.space, bench.hot, bench.record.data, bench.record.size,
                            &used, &err));
            uint32_t bad = 0;
            for (uint64_t i = 0; i < 300; i++) {
                omendb_error local = {0};
                const void *element = array_read(&other, i, &local);
                if (local.status == OMENDB_OK) {
                    CHECK(element == NULL ? i % 3 != 0
                                          : memcmp(element, bench.frozen + place(i), 65536) == 0);
                    continue;
                }
                CHECK(local.status == OMENDB_ERR_CORRUPT && element == NULL);
                CHECK(strstr(local.message, "array 7 field 3 elements") != NULL);
                FAILS(OMENDB_ERR_CORRUPT, array_prepare(&other, i, &err));
                bad++;
            }
            problems = 0;
            OK(array_verify(&other, count_problem, NULL, &err));
            CHECK(problems == bad);
            CHECK(bad == 1 || bad == 300); /* The leaf takes all with it. */
            damaged += bad == 300;
            array_deinit(&other);
            OK(file_write(bench.space.file, at, &whole, 1, &err));
        }
        CHECK(damaged == 1); /* 300 blocks: one leaf. */
        bench_close();
    }
}

/* Blocks that are dropped while a checkpoint is under way: it writes what they were. */
static void a_dropped_hot_block_gives_its_memory_and_its_place_back(void)
{
    bench_open(128, true, 91);
    grow_to(20 * (uint64_t)bench.per_block);
    for (uint64_t i = 0; i < bench.count; i += 7) write_one(i);
    quiet_checkpoint(0);
    for (uint64_t i = 0; i < bench.count; i += 70) write_one(i);
    for (int durable = 0; durable < 2; durable++) {
        struct buffer record = {0};
        const uint64_t memory = array_memory_bytes(&bench.array);
        freeze();
        drop_one(3 + 4 * (uint32_t)durable);
        OK(array_write_frozen(&bench.array, &err));
        drop_one(4 + 4 * (uint32_t)durable);
        OK(array_encode(&bench.array, &record, &err));
        thaw(&record, durable != 0);
        if (durable != 0) image_is_whole(&bench.record, bench.frozen, bench.frozen_count);
        CHECK(array_memory_bytes(&bench.array) == memory - 2 * BLOCK_SIZE);
        compare(&bench.array, bench.now, bench.count);
        memcpy(bench.content_before, bench.frozen, 20 * (size_t)BLOCK_SIZE);
        bench.count_before = bench.frozen_count;
    }
    quiet_checkpoint(0);
    CHECK(array_stored_bytes(&bench.array) == 16 * (uint64_t)BLOCK_SIZE);
    write_one(3 * (uint64_t)bench.per_block + 1); /* Used again. */
    quiet_checkpoint(0);
    CHECK(array_stored_bytes(&bench.array) == 17 * (uint64_t)BLOCK_SIZE);
    CHECK(array_memory_bytes(&bench.array) == 17 * (uint64_t)BLOCK_SIZE);
    reopen();
    compare(&bench.array, bench.now, bench.count);
    bench_close();
}

/* Reads of long runs bring in what single ones do: holes, blocks that lie elsewhere in the file,
 * leaves; and a damaged block costs only itself. */
static void hot_blocks_are_loaded_in_runs(void)
{
    enum { COUNT = 300 };
    bench_open(65536, true, 101);
    grow_to(COUNT);
    for (uint64_t i = 0; i < COUNT; i++)
        if (i % 40 < 30) write_one(i);
    quiet_checkpoint(0);
    for (uint64_t i = 50; i < COUNT; i += 9) write_one(i); /* Out of order in the file. */
    quiet_checkpoint(0);
    for (uint32_t round = 0; round < 30; round++) {
        reopen();
        for (uint32_t i = 0; i < round % 4; i++) write_some(10);
        for (uint32_t i = 0; i < round % 7; i++)
            OK(array_load_range(&bench.array, random_below(&bench.seed, COUNT + 20),
                                random_below(&bench.seed, 60), &err));
        if (round % 3 == 0) OK(array_load_all(&bench.array, &err));
        compare(&bench.array, bench.now, bench.count);
    }
    reopen();
    OK(array_load_range(&bench.array, 0, 10, &err));
    struct block_ref ref = bench.array.refs[20];
    uint8_t byte = 0;
    size_t got = 0;
    OK(file_read(bench.space.file, (uint64_t)ref.block * BLOCK_SIZE + 5, &byte, 1, &got, &err));
    byte ^= 16;
    OK(file_write(bench.space.file, (uint64_t)ref.block * BLOCK_SIZE + 5, &byte, 1, &err));
    FAILS(OMENDB_ERR_CORRUPT, array_load_range(&bench.array, 0, COUNT, &err));
    CHECK(strstr(err.message, "elements 20 to 20") != NULL);
    FAILS(OMENDB_ERR_CORRUPT, array_load_all(&bench.array, &err));
    for (uint64_t i = 0; i < COUNT; i++) {
        omendb_error local = {0};
        const void *element = array_read(&bench.array, i, &local);
        CHECK((local.status == OMENDB_ERR_CORRUPT) == (i == 20));
        CHECK(element == NULL ? i == 20 : memcmp(element, bench.now + place(i), 65536) == 0);
    }
    byte ^= 16;
    OK(file_write(bench.space.file, (uint64_t)ref.block * BLOCK_SIZE + 5, &byte, 1, &err));
    OK(array_load_all(&bench.array, &err));
    compare(&bench.array, bench.now, bench.count);
    bench_close();
}

/* Blocks are found without a division: the same ones, up to the last element there can be. */
static void elements_lie_where_a_division_says(void)
{
    uint64_t seed = 5;
    for (uint32_t stride = 4; stride <= BLOCK_SIZE; stride += stride < 4096 ? 4 : 1020) {
        struct array array;
        OK(array_init(&array, NULL, ARRAY_VECTORS, 0, stride, true, &err));
        for (uint32_t i = 0; i < 200; i++) {
            const uint64_t block = i < 8 ? i : random_next(&seed) % (UINT64_C(1) << 24);
            const uint64_t first = block * array.per_block;
            const uint64_t indexes[] = {first, first + 1, first + array.per_block - 1,
                                        first + random_below(&seed, array.per_block)};
            for (size_t at = 0; at < COUNT_OF(indexes); at++) {
                const uint32_t found = array_block(&array, indexes[at]);
                CHECK(found == indexes[at] / array.per_block);
                CHECK(array_offset(&array, indexes[at], found) ==
                      indexes[at] % array.per_block * stride);
            }
        }
        array_deinit(&array);
    }
}

static const struct test tests[] = {
    {"elements_lie_where_a_division_says", elements_lie_where_a_division_says},
    {"a_hot_array_is_its_model_through_checkpoints", a_hot_array_is_its_model_through_checkpoints},
    {"a_cold_array_is_its_model_through_checkpoints",
     a_cold_array_is_its_model_through_checkpoints},
    {"directories_of_more_than_256_blocks_have_leaves",
     directories_of_more_than_256_blocks_have_leaves},
    {"moved_blocks_survive_a_failed_checkpoint", moved_blocks_survive_a_failed_checkpoint},
    {"moving_blocks_shortens_the_file", moving_blocks_shortens_the_file},
    {"pointers_stay_good_while_their_snapshot_is_open",
     pointers_stay_good_while_their_snapshot_is_open},
    {"a_late_reader_does_not_revive_a_dropped_block",
     a_late_reader_does_not_revive_a_dropped_block},
    {"a_flipped_bit_in_any_block_is_found", a_flipped_bit_in_any_block_is_found},
    {"a_dropped_hot_block_gives_its_memory_and_its_place_back",
     a_dropped_hot_block_gives_its_memory_and_its_place_back},
    {"hot_blocks_are_loaded_in_runs", hot_blocks_are_loaded_in_runs},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
