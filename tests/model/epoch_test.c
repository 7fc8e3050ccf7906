/* Epochs by one thread: what is retired, what may be freed, what the oldest snapshot is. */
#include "store/epoch.h"

#include "store_help.h"

enum { ITEMS = 4000, READERS = 200 };

static bool released[ITEMS];

static void release(void *pointer)
{
    bool *item = pointer;
    CHECK(!*item); /* Never twice. */
    *item = true;
}

/* Every reader knows what was retired while it was inside: none of it may be released. */
static void nothing_is_freed_that_a_reader_may_hold(void)
{
    static struct {
        struct snapshot snapshot;
        bool inside;
        uint32_t first; /* Item that was retired first after it entered. */
    } readers[READERS];
    struct epoch epoch;
    uint64_t seed = 3;
    uint32_t items = 0, inside = 0;
    OK(epoch_init(&epoch, &err));
    memset(released, 0, sizeof released);
    while (items < ITEMS) {
        const uint32_t at = random_below(&seed, READERS);
        switch (random_below(&seed, 5)) {
        case 0:
        case 1:
            OK(epoch_promise(&epoch, &err));
            epoch_retire(&epoch, &released[items++], release);
            break;
        case 2:
            epoch_collect(&epoch);
            break;
        default:
            if (readers[at].inside) {
                epoch_leave(&readers[at].snapshot);
                inside--;
            } else {
                OK(epoch_enter(&epoch, &readers[at].snapshot, &err));
                readers[at].first = items;
                inside++;
            }
            readers[at].inside = !readers[at].inside;
        }
        CHECK(epoch_readers(&epoch) == inside);
        uint32_t oldest = items;
        for (uint32_t i = 0; i < READERS; i++)
            if (readers[i].inside && readers[i].first < oldest) oldest = readers[i].first;
        for (uint32_t i = oldest; i < items; i++) CHECK(!released[i]);
    }
    for (uint32_t i = 0; i < READERS; i++)
        if (readers[i].inside) epoch_leave(&readers[i].snapshot);
    epoch_collect(&epoch);
    for (uint32_t i = 0; i < ITEMS; i++) CHECK(released[i]);
    epoch_deinit(&epoch);
}

static void the_oldest_snapshot_is_the_smallest_inside(void)
{
    struct epoch epoch;
    struct snapshot snapshots[READERS] = {0};
    uint64_t seed = 4;
    OK(epoch_init(&epoch, &err));
    for (uint64_t sequence = 1; sequence < 3000; sequence++) {
        atomic_store_release_u64(&epoch.visible_sequence, sequence);
        const uint32_t at = random_below(&seed, READERS);
        if (snapshots[at].reader != NULL) epoch_leave(&snapshots[at]);
        else OK(epoch_enter(&epoch, &snapshots[at], &err));
        CHECK(snapshots[at].reader == NULL || snapshots[at].sequence == sequence);
        uint64_t smallest = sequence;
        for (uint32_t i = 0; i < READERS; i++)
            if (snapshots[i].reader != NULL && snapshots[i].sequence < smallest)
                smallest = snapshots[i].sequence;
        CHECK(epoch_oldest(&epoch) == smallest);
    }
    for (uint32_t i = 0; i < READERS; i++)
        if (snapshots[i].reader != NULL) epoch_leave(&snapshots[i]);
    CHECK(epoch_oldest(&epoch) == 2999);
    CHECK(epoch_oldest_epoch(&epoch) == UINT64_MAX);
    epoch_deinit(&epoch);
}

/* Beside readers; pins end in any order. */
static void pins_hold_the_oldest_sequence(void)
{
    enum { PINS = 20 };
    struct epoch epoch;
    struct epoch_pin pins[PINS] = {{0}}, none, oldest = {0};
    bool held[PINS] = {false};
    struct snapshot reader;
    uint64_t seed = 5;
    OK(epoch_init(&epoch, &err));
    CHECK(epoch_pins(&epoch, &oldest) == 0);
    for (uint64_t sequence = 1; sequence < 3000; sequence++) {
        atomic_store_release_u64(&epoch.visible_sequence, sequence);
        const uint32_t at = random_below(&seed, PINS);
        if (held[at]) epoch_pin_remove(&epoch, &pins[at]);
        else OK(epoch_pin_add(&epoch, 1000 + sequence, PINS, &pins[at], &err));
        held[at] = !held[at];
        CHECK(!held[at] || pins[at].sequence == sequence);
        uint64_t smallest = sequence;
        uint32_t count = 0;
        for (uint32_t i = 0; i < PINS; i++) {
            if (!held[i]) continue;
            count++;
            if (pins[i].sequence < smallest) smallest = pins[i].sequence;
        }
        OK(epoch_enter(&epoch, &reader, &err));
        CHECK(reader.sequence == sequence && epoch_oldest(&epoch) == smallest);
        epoch_leave(&reader);
        CHECK(epoch_oldest(&epoch) == smallest);
        CHECK(epoch_oldest_epoch(&epoch) == UINT64_MAX); /* Memory doesn't wait. */
        CHECK(epoch_pins(&epoch, &oldest) == count);
        CHECK(count == 0 ||
              (oldest.sequence == smallest && oldest.since_ns == 1000 + oldest.sequence));
    }
    for (uint32_t i = 0; i < PINS; i++)
        if (!held[i]) OK(epoch_pin_add(&epoch, 1, PINS, &pins[i], &err));
    FAILS(OMENDB_ERR_BUSY, epoch_pin_add(&epoch, 1, PINS, &none, &err));
    for (uint32_t i = 0; i < PINS; i++) epoch_pin_remove(&epoch, &pins[i]);
    CHECK(epoch_pins(&epoch, &oldest) == 0 && epoch_oldest(&epoch) == 2999);
    epoch_deinit(&epoch);
}

static void a_stamp_is_safe_once_its_readers_left(void)
{
    struct epoch epoch;
    struct snapshot before, after;
    OK(epoch_init(&epoch, &err));
    OK(epoch_enter(&epoch, &before, &err));
    const uint64_t stamp = epoch_stamp(&epoch);
    OK(epoch_enter(&epoch, &after, &err));
    CHECK(epoch_oldest_epoch(&epoch) <= stamp);
    epoch_leave(&before);
    CHECK(epoch_oldest_epoch(&epoch) > stamp);
    epoch_leave(&after);
    epoch_deinit(&epoch);
}

static void missing_memory_is_found_before_anything_is_retired(void)
{
    static struct snapshot snapshots[EPOCH_PAGE_READERS + 1];
    struct epoch epoch;
    OK(epoch_init(&epoch, &err));
    memset(released, 0, sizeof released);
    OK(epoch_promise(&epoch, &err));
    while (epoch.promised < epoch.retired_capacity) OK(epoch_promise(&epoch, &err));
    alloc_fail_after(0, 0);
    for (uint32_t i = 0; i < EPOCH_PAGE_READERS; i++) OK(epoch_enter(&epoch, &snapshots[i], &err));
    FAILS(OMENDB_ERR_NOMEM, epoch_enter(&epoch, &snapshots[EPOCH_PAGE_READERS], &err));
    FAILS(OMENDB_ERR_NOMEM, epoch_promise(&epoch, &err));
    const size_t promised = epoch.promised;
    for (uint32_t i = 0; i < promised; i++) epoch_retire(&epoch, &released[i], release);
    epoch_collect(&epoch);
    CHECK(!released[0] && epoch.promised == 0);
    for (uint32_t i = 0; i < EPOCH_PAGE_READERS; i++) epoch_leave(&snapshots[i]);
    epoch_collect(&epoch);
    for (uint32_t i = 0; i < promised; i++) CHECK(released[i]);
    OK(epoch_promise(&epoch, &err)); /* The list has room again. */
    epoch_forgo(&epoch, 1);
    alloc_fail_after(-1, 0);
    epoch_deinit(&epoch);
}

static void the_end_frees_what_is_left(void)
{
    struct epoch epoch;
    OK(epoch_init(&epoch, &err));
    memset(released, 0, sizeof released);
    for (uint32_t i = 0; i < 10; i++) {
        OK(epoch_promise(&epoch, &err));
        epoch_retire(&epoch, &released[i], release);
    }
    epoch_deinit(&epoch);
    for (uint32_t i = 0; i < 10; i++) CHECK(released[i]);
}

static const struct test tests[] = {
    {"nothing_is_freed_that_a_reader_may_hold", nothing_is_freed_that_a_reader_may_hold},
    {"the_oldest_snapshot_is_the_smallest_inside", the_oldest_snapshot_is_the_smallest_inside},
    {"pins_hold_the_oldest_sequence", pins_hold_the_oldest_sequence},
    {"a_stamp_is_safe_once_its_readers_left", a_stamp_is_safe_once_its_readers_left},
    {"missing_memory_is_found_before_anything_is_retired",
     missing_memory_is_found_before_anything_is_retired},
    {"the_end_frees_what_is_left", the_end_frees_what_is_left},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
