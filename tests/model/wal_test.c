/* The log on real files: what was written is replayed, from every position; a torn end is cut, rot in
 * what was acknowledged is reported, and memory or room that is missing is found while reserving. */
#include "store/wal.h"

#include "store/batch.h"
#include "store_help.h"

enum { BATCHES_MAX = 3000 };

static const uint8_t uuid[16] = {1, 2, 3, 4};

struct bench {
    char name[256];
    struct wal wal;
    struct batch batches[BATCHES_MAX]; /* [count] by sequence - 1 */
    uint64_t count;
    struct wal_position positions[BATCHES_MAX + 1]; /* After batch i; only where a group ended. */
    bool at_group_end[BATCHES_MAX + 1];
    uint64_t seed;
};

static struct bench bench;

static void segment_name(uint64_t number, char out[300])
{
    snprintf(out, 300, "%s-wal-%llu", bench.name, (unsigned long long)number);
}

static bool segment_there(uint64_t number)
{
    char name[300];
    segment_name(number, name);
    return access(name, F_OK) == 0;
}

static void remove_segments(void)
{
    for (uint64_t number = 0; number < 400; number++) {
        char name[300];
        segment_name(number, name);
        (void)unlink(name);
    }
}

static void make_batch(struct batch *batch, uint32_t size)
{
    uint8_t *bytes = malloc(size + 1u);
    random_fill(bytes, size, random_next(&bench.seed));
    OK(batch_add(batch, OPERATION_UPSERT, 1, NULL, 0, random_next(&bench.seed), bytes, size, &err));
    while (random_below(&bench.seed, 3) == 0)
        OK(batch_add(batch, OPERATION_DELETE, 2, "an id", 5, 0, NULL, 0, &err));
    free(bytes);
}

struct replayed {
    uint64_t first, count;
};

static omendb_status expect_batch(void *context, const struct wal_batch *batch, omendb_error *error)
{
    struct replayed *replayed = context;
    (void)error;
    if (replayed->count == 0) replayed->first = batch->sequence;
    CHECK(batch->sequence == replayed->first + replayed->count);
    CHECK(batch->sequence >= 1 && batch->sequence <= bench.count);
    const struct batch *expected = &bench.batches[batch->sequence - 1];
    CHECK(batch->size == expected->bytes.size);
    CHECK(batch->operation_count == expected->operation_count);
    CHECK(memcmp(batch->bytes, expected->bytes.data, batch->size) == 0);
    replayed->count++;
    return OMENDB_OK;
}

/* Replays what the files hold, from after batch `from`; *last: the last batch it gave. */
static omendb_status replay(uint64_t from, uint64_t *last)
{
    struct wal wal;
    struct replayed replayed = {0};
    bool found = false;
    OK(wal_init(&wal, vfs_real(), bench.name, uuid, 1 << 20, &err));
    err = (omendb_error){0};
    const omendb_status status = wal_replay(&wal, bench.positions[from], from, expect_batch,
                                            &replayed, &found, &err);
    if (replayed.count != 0) CHECK(replayed.first == from + 1);
    *last = from + replayed.count;
    wal_deinit(&wal);
    return status;
}

static void bench_open(uint64_t seed, uint64_t segment_max)
{
    bool found = true;
    struct replayed none = {0};
    memset(&bench, 0, sizeof bench);
    bench.seed = seed;
    make_name(bench.name, "wal");
    remove_segments();
    OK(wal_init(&bench.wal, vfs_real(), bench.name, uuid, segment_max, &err));
    bench.positions[0] = (struct wal_position){.segment = 1};
    bench.at_group_end[0] = true;
    OK(wal_replay(&bench.wal, bench.positions[0], 0, expect_batch, &none, &found, &err));
    CHECK(!found);
    OK(wal_start(&bench.wal, 1, &err));
}

static void bench_close(void)
{
    wal_deinit(&bench.wal);
    for (uint64_t i = 0; i < bench.count; i++) batch_deinit(&bench.batches[i]);
    remove_segments();
}

/* One group commit of `group` batches. */
static void write_group(uint32_t group, uint32_t size_max, bool sync)
{
    struct wal_batch batches[16];
    CHECK(group <= 16);
    for (uint32_t i = 0; i < group; i++) {
        struct batch *batch = &bench.batches[bench.count];
        make_batch(batch, random_below(&bench.seed, size_max));
        batches[i] = (struct wal_batch){.bytes = batch->bytes.data,
                                        .size = batch->bytes.size,
                                        .operation_count = batch->operation_count,
                                        .sequence = ++bench.count};
        OK(wal_reserve(&bench.wal, batch->bytes.size, 0, &batches[i].segment, &err));
    }
    alloc_fail_after(0, 0); /* What was promised needs no memory. */
    const omendb_status status = wal_write(&bench.wal, batches, group, sync, &err);
    alloc_fail_after(-1, 0);
    OK(status);
    bench.positions[bench.count] = wal_end(&bench.wal);
    bench.at_group_end[bench.count] = true;
}

static void every_position_replays_the_rest(void)
{
    bench_open(1, WAL_SEGMENT_MIN);
    for (uint32_t i = 0; i < 300; i++) {
        write_group(1 + random_below(&bench.seed, 8), i % 40 == 0 ? 600000 : 6000, i % 3 != 0);
        if (i % 25 == 0) OK(wal_prepare_next(&bench.wal, &err));
        if (i % 31 == 0) OK(wal_mark(&bench.wal, &err));
    }
    OK(wal_sync(&bench.wal, &err));
    CHECK(bench.wal.segments_count > 8);
    for (uint64_t from = 0; from <= bench.count; from++) {
        uint64_t last = 0;
        if (!bench.at_group_end[from]) continue;
        OK(replay(from, &last));
        CHECK(last == bench.count);
    }
    bench_close();
}

/* The file of segment `number` as bytes, and back. */
static uint8_t *load(uint64_t number, size_t *size)
{
    char name[300];
    segment_name(number, name);
    FILE *file = fopen(name, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    *size = (size_t)ftell(file);
    uint8_t *bytes = malloc(*size);
    CHECK(fseek(file, 0, SEEK_SET) == 0 && fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

static void store_at(uint64_t number, size_t offset, const void *bytes, size_t size)
{
    char name[300];
    segment_name(number, name);
    FILE *file = fopen(name, "rb+");
    CHECK(file != NULL && fseek(file, (long)offset, SEEK_SET) == 0);
    CHECK(fwrite(bytes, 1, size, file) == size);
    CHECK(fclose(file) == 0);
}

/* The last frame, which nothing after it proves, may be cut anywhere. */
static void a_torn_last_frame_is_cut_at_every_byte(void)
{
    static uint8_t zeros[16384];
    bench_open(2, WAL_SEGMENT_MIN);
    for (uint32_t i = 0; i < 5; i++) write_group(2, 900, true);
    const uint64_t before = bench.count;
    const struct wal_position start = wal_end(&bench.wal);
    write_group(3, 3000, true);
    size_t size = 0;
    uint8_t *bytes = load(start.segment, &size);
    const size_t end = (size_t)bench.positions[bench.count].offset;
    size_t used = end;
    while (bytes[used - 1] == 0) used--; /* Padding is not needed. */
    for (size_t cut = (size_t)start.offset; cut < end; cut++) {
        uint64_t last = 0;
        store_at(start.segment, cut, zeros, end - cut);
        OK(replay(0, &last));
        CHECK(last == (cut < used ? before : bench.count));
        store_at(start.segment, cut, bytes + cut, end - cut);
    }
    /* A garbled sector in it, too. */
    for (size_t at = (size_t)start.offset; at < used; at += 7) {
        uint64_t last = 0;
        const uint8_t flipped = (uint8_t)(bytes[at] ^ 0x40);
        store_at(start.segment, at, &flipped, 1);
        OK(replay(0, &last));
        CHECK(last == before);
        store_at(start.segment, at, &bytes[at], 1);
    }
    free(bytes);
    bench_close();
}

/* A flipped bit in any frame that a later one proves, or that a mark covers, is CORRUPT, and what lies
 * before it is still delivered. */
static void rot_in_acknowledged_frames_is_reported(void)
{
    bench_open(3, WAL_SEGMENT_MIN);
    for (uint32_t i = 0; i < 12; i++) write_group(1 + i % 3, 5000, true);
    OK(wal_mark(&bench.wal, &err));
    size_t size = 0;
    const uint64_t segment = bench.positions[bench.count].segment;
    uint8_t *bytes = load(segment, &size);
    for (uint64_t from = 0; from < bench.count;) {
        uint64_t next = from + 1;
        while (!bench.at_group_end[next]) next++;
        const size_t begin = from == 0 ? WAL_PAGE : (size_t)bench.positions[from].offset;
        size_t end = (size_t)bench.positions[next].offset;
        while (bytes[end - 1] == 0) end--;
        for (uint32_t i = 0; i < 40; i++) {
            const size_t at = begin + random_below(&bench.seed, (uint32_t)(end - begin));
            const uint8_t flipped = (uint8_t)(bytes[at] ^ (1u << random_below(&bench.seed, 8)));
            uint64_t last = 0;
            store_at(segment, at, &flipped, 1);
            CHECK(replay(0, &last) == OMENDB_ERR_CORRUPT);
            CHECK(last == from && strstr(err.message, "damaged") != NULL);
            store_at(segment, at, &bytes[at], 1);
        }
        from = next;
    }
    free(bytes);
    bench_close();
}

static void damage_between_segments_is_reported(void)
{
    bench_open(4, WAL_SEGMENT_MIN);
    while (bench.wal.segments_count < 5) write_group(4, 20000, true);
    for (uint32_t i = 0; i < 3; i++) write_group(1, 200, true);
    const uint64_t first = bench.wal.segments[0].number;
    for (uint64_t number = first; number < first + 4; number++) {
        char name[300], aside[310];
        uint64_t last = 0;
        size_t size = 0;
        uint8_t *bytes = load(number, &size);
        uint8_t flipped = (uint8_t)(bytes[40] ^ 1);
        store_at(number, 40, &flipped, 1); /* The header's salt. */
        CHECK(replay(0, &last) == OMENDB_ERR_CORRUPT);
        store_at(number, 40, &bytes[40], 1);
        free(bytes);
        segment_name(number, name);
        snprintf(aside, sizeof aside, "%s.aside", name);
        CHECK(rename(name, aside) == 0);
        CHECK(replay(0, &last) == OMENDB_ERR_CORRUPT);
        CHECK(rename(aside, name) == 0);
    }
    uint64_t last = 0;
    OK(replay(0, &last));
    CHECK(last == bench.count);
    bench_close();
}

/* Segments that a checkpoint made obsolete come back under a new name; their old frames never do. */
static void recycled_segments_never_replay_old_frames(void)
{
    bench_open(5, WAL_SEGMENT_MIN);
    for (uint32_t round = 0; round < 30; round++) {
        const uint64_t begin = bench.wal.writing;
        while (bench.wal.writing < begin + 2) write_group(4, 15000, true);
        const uint64_t checkpoint = bench.count;
        OK(wal_release(&bench.wal, bench.positions[checkpoint].segment, &err));
        uint64_t last = 0;
        OK(replay(checkpoint, &last));
        CHECK(last == bench.count);
        write_group(1, 300, true);
        OK(replay(checkpoint, &last));
        CHECK(last == bench.count);
        CHECK(bench.wal.segments_count <= 5);
        uint32_t files = 0;
        for (uint64_t number = 0; number < 400; number++) files += segment_there(number);
        CHECK(files == bench.wal.segments_count);
    }
    CHECK(bench.wal.recycled > 5);
    bench_close();
}

/* Cut, go on, cut again: the next life begins behind what was read, whatever lies there. */
static void many_lives_continue_one_sequence(void)
{
    static uint8_t zeros[65536];
    bench_open(6, WAL_SEGMENT_MIN);
    for (uint32_t life = 0; life < 40; life++) {
        for (uint32_t i = 0; i < 6; i++) write_group(1 + random_below(&bench.seed, 4), 9000, true);
        const struct wal_position end = wal_end(&bench.wal);
        const uint64_t kept = bench.count;
        if (life % 2 == 0) { /* Unsynced frames, torn: they were never acknowledged. */
            write_group(1, 9000, false);
            write_group(2, 9000, false);
            const uint64_t torn = end.segment == bench.wal.writing ? end.offset : WAL_PAGE;
            store_at(bench.wal.writing, (size_t)torn + random_below(&bench.seed, 40), zeros, 100);
            while (bench.count > kept) {
                bench.at_group_end[bench.count] = false;
                batch_deinit(&bench.batches[--bench.count]);
            }
        }
        struct replayed replayed = {0};
        bool found = false;
        wal_deinit(&bench.wal);
        OK(wal_init(&bench.wal, vfs_real(), bench.name, uuid, WAL_SEGMENT_MIN, &err));
        OK(wal_replay(&bench.wal, bench.positions[0], 0, expect_batch, &replayed, &found, &err));
        CHECK(found && replayed.count == kept);
        OK(wal_start(&bench.wal, 1, &err));
    }
    bench_close();
}

static void promises_cost_no_room_when_taken_back(void)
{
    bench_open(7, WAL_SEGMENT_MIN);
    uint64_t segment = 0;
    write_group(1, 100, true);
    OK(wal_reserve(&bench.wal, 3 << 20, 0, &segment, &err));
    wal_return(&bench.wal, 3 << 20, segment);
    const size_t count = bench.wal.segments_count;
    const uint64_t bytes = bench.wal.bytes_total;
    for (uint32_t i = 0; i < 50; i++) {
        OK(wal_reserve(&bench.wal, 3 << 20, 0, &segment, &err));
        wal_return(&bench.wal, 3 << 20, segment);
    }
    CHECK(bench.wal.segments_count == count && bench.wal.bytes_total == bytes);
    write_group(2, 100, true);
    uint64_t last = 0;
    OK(replay(0, &last));
    CHECK(last == bench.count);
    bench_close();
}

static void missing_memory_is_found_while_reserving(void)
{
    bench_open(8, WAL_SEGMENT_MIN);
    uint32_t failed = 0;
    for (long n = 0; n < 200; n++) {
        const size_t size = random_below(&bench.seed, 60000);
        uint64_t segment = 0;
        const uint64_t promised = bench.wal.promised;
        alloc_fail_after(n % 6, n % 2 == 0);
        const omendb_status status = wal_reserve(&bench.wal, size, 0, &segment, &err);
        alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
        failed += status != OMENDB_OK;
        if (status == OMENDB_OK) wal_return(&bench.wal, size, segment);
        CHECK(bench.wal.promised == promised);
        write_group(1 + (uint32_t)n % 4, 20000, true);
    }
    CHECK(failed > 3);
    uint64_t last = 0;
    OK(replay(0, &last));
    CHECK(last == bench.count);
    bench_close();
}

static void other_files_and_other_logs_are_left_alone(void)
{
    char stranger[320];
    bench_open(9, WAL_SEGMENT_MIN);
    write_group(2, 100, true);
    snprintf(stranger, sizeof stranger, "%s-wal-3x", bench.name);
    FILE *file = fopen(stranger, "wb");
    CHECK(file != NULL && fclose(file) == 0);
    /* A segment of another database under the next name ends the log, and goes. */
    size_t size = 0;
    uint8_t *bytes = load(bench.wal.writing, &size);
    char next[300];
    segment_name(bench.wal.writing + 1, next);
    file = fopen(next, "wb");
    bytes[24] ^= 1; /* uuid */
    CHECK(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    free(bytes);
    struct replayed replayed = {0};
    bool found = false;
    wal_deinit(&bench.wal);
    OK(wal_init(&bench.wal, vfs_real(), bench.name, uuid, WAL_SEGMENT_MIN, &err));
    const omendb_status status = wal_replay(&bench.wal, bench.positions[0], 0, expect_batch,
                                            &replayed, &found, &err);
    CHECK(status == OMENDB_OK || status == OMENDB_ERR_CORRUPT); /* Its checksum is wrong: rot. */
    CHECK(replayed.count == bench.count);
    if (status == OMENDB_OK) {
        OK(wal_start(&bench.wal, 1, &err));
        CHECK(access(next, F_OK) != 0);
    }
    CHECK(access(stranger, F_OK) == 0 && unlink(stranger) == 0);
    bench_close();
}

static const struct test tests[] = {
    {"every_position_replays_the_rest", every_position_replays_the_rest},
    {"a_torn_last_frame_is_cut_at_every_byte", a_torn_last_frame_is_cut_at_every_byte},
    {"rot_in_acknowledged_frames_is_reported", rot_in_acknowledged_frames_is_reported},
    {"damage_between_segments_is_reported", damage_between_segments_is_reported},
    {"recycled_segments_never_replay_old_frames", recycled_segments_never_replay_old_frames},
    {"many_lives_continue_one_sequence", many_lives_continue_one_sequence},
    {"promises_cost_no_room_when_taken_back", promises_cost_no_room_when_taken_back},
    {"missing_memory_is_found_while_reserving", missing_memory_is_found_while_reserving},
    {"other_files_and_other_logs_are_left_alone", other_files_and_other_logs_are_left_alone},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
