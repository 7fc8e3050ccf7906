/* Bugs of the engine that the campaigns have found, each in its shortest form. */
#include <stdlib.h>

#include "crash/workload.h"
#include "doc/schema.h"
#include "store/batch.h"
#include "test.h"

struct place { /* One machine and what its database must have. */
    struct sim *sim;
    struct store *store;
    uint64_t durable;
};

static struct store_options options_for(struct sim *sim)
{
    return (struct store_options){.vfs = sim_vfs(sim),
                                  .path = run_path,
                                  .durability = OMENDB_DURABILITY_FULL,
                                  .wal_size_max = 4 << 20,
                                  .wal_segment_size = WAL_SEGMENT_MIN};
}

static omendb_status open_again(struct place *place, omendb_error *err)
{
    const struct store_options options = options_for(place->sim);
    place->store = NULL;
    return store_open(&options, &place->store, err);
}

static void opened_again(struct place *place)
{
    omendb_error error = {0};
    const omendb_status status = open_again(place, &error);
    if (status != OMENDB_OK) fprintf(stderr, "%s\n", error.message);
    CHECK(status == OMENDB_OK);
}

/* Ends the process without another write. */
static void ends(struct place *place)
{
    if (place->store == NULL) return;
    sim_crash_at(place->sim, 1);
    (void)store_close(place->store, NULL);
    place->store = NULL;
}

static omendb_status put(struct place *place, uint32_t size, omendb_durability durability)
{
    struct collection *collection = NULL;
    struct batch batch = {0};
    uint64_t sequence = 0;
    uint8_t *bytes = calloc(1, size);
    CHECK(bytes != NULL);
    CHECK(store_collection_open(place->store, "c", &collection, NULL) == OMENDB_OK);
    CHECK(batch_add(&batch, OPERATION_UPSERT, collection->id, NULL, 0, 7, bytes, size, NULL) ==
          OMENDB_OK);
    const omendb_status status = store_commit(place->store, &batch, durability, &sequence, NULL);
    if (status == OMENDB_OK && durability == OMENDB_DURABILITY_FULL) place->durable = sequence;
    collection_unpin(collection);
    batch_deinit(&batch);
    free(bytes);
    return status;
}

static struct place place_made(void)
{
    struct place place = {.sim = sim_create(1)};
    struct schema *schema = NULL;
    omendb_schema none = OMENDB_SCHEMA_INIT;
    CHECK(schema_create(&none, &schema, NULL) == OMENDB_OK);
    opened_again(&place);
    CHECK(store_collection_create(place.store, "c", schema, NULL, NULL) == OMENDB_OK);
    CHECK(put(&place, 100, OMENDB_DURABILITY_FULL) == OMENDB_OK);
    return place;
}

static void place_left(struct place *place)
{
    ends(place);
    sim_destroy(place->sim);
}

/* A copy of the machine that has crashed in this way, with the database open again. */
static struct place place_after(const struct place *from, enum sim_mode mode, uint64_t seed)
{
    struct place place = {.sim = sim_clone(from->sim), .durable = from->durable};
    sim_reboot(place.sim, mode, seed);
    opened_again(&place);
    CHECK(place.store->next_sequence - 1 >= place.durable);
    return place;
}

static void recovers_in_every_mode(const struct place *place)
{
    for (uint32_t mode = 0; mode < SIM_CRASH_MODES; mode++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct place after = place_after(place, (enum sim_mode)mode, seed);
            struct buffer text = {0};
            CHECK(store_check(after.store, false, &text, NULL) == OMENDB_OK);
            CHECK(memcmp(text.data, "{\"ok\":true", 10) == 0);
            buffer_deinit(&text);
            place_left(&after);
        }
    }
}

/* The image pointed behind frames, and into a segment, that nobody had synced. */
static void checkpoint_after_unsynced_batches(void)
{
    struct place place = place_made();
    for (int i = 0; i < 2; i++) /* The second one begins a segment. */
        CHECK(put(&place, 200000, OMENDB_DURABILITY_NONE) == OMENDB_OK);
    CHECK(place.store->wal.writing == 2);
    CHECK(store_checkpoint(place.store, NULL) == OMENDB_OK);
    place.durable = place.store->next_sequence - 1;
    recovers_in_every_mode(&place);
    place_left(&place);
}

/* The image of a recovery begins in a segment that doesn't exist yet: a superblock torn by the close
 * looked like rot, and a slot that a crash had damaged was not written again. */
static void close_after_a_recovery_crashes_anywhere(void)
{
    struct place place = place_made();
    for (uint64_t call = 1;; call++) {
        struct place after = place_after(&place, SIM_PROCESS_KILL, call);
        sim_crash_at(after.sim, sim_calls(after.sim) + call);
        (void)store_close(after.store, NULL);
        after.store = NULL;
        const bool crashed = sim_crashed(after.sim);
        recovers_in_every_mode(&after);
        place_left(&after);
        if (!crashed) break;
    }
    place_left(&place);
}

/* A segment made ahead was too small for a batch; recovery took it for the end of the log. */
static void large_batch_skips_a_segment(void)
{
    struct place place = place_made();
    while (place.store->wal.segments_count < 2) {
        CHECK(put(&place, 60000, OMENDB_DURABILITY_FULL) == OMENDB_OK);
        CHECK(wal_prepare_next(&place.store->wal, NULL) == OMENDB_OK);
    }
    CHECK(put(&place, 400000, OMENDB_DURABILITY_FULL) == OMENDB_OK);
    CHECK(put(&place, 100, OMENDB_DURABILITY_FULL) == OMENDB_OK);
    recovers_in_every_mode(&place);
    place_left(&place);
}

/* What a process saw in the page cache only (frames, the header of a segment, a superblock) it went
 * on from; then the machine lost it. */
static void process_ends_anywhere_then_the_machine(void)
{
    for (uint64_t call = 1;; call++) {
        struct place place = place_made();
        CHECK(put(&place, 200000, OMENDB_DURABILITY_FULL) == OMENDB_OK);
        CHECK(store_checkpoint(place.store, NULL) == OMENDB_OK); /* No batch to be replayed. */
        sim_crash_at(place.sim, sim_calls(place.sim) + call);
        (void)put(&place, 200000, OMENDB_DURABILITY_FULL);
        (void)put(&place, 100, OMENDB_DURABILITY_NONE);
        (void)store_checkpoint(place.store, NULL);
        (void)put(&place, 100, OMENDB_DURABILITY_FULL);
        const bool crashed = sim_crashed(place.sim);
        ends(&place);
        struct place next = place_after(&place, SIM_PROCESS_KILL, call);
        for (int i = 0; i < 3; i++) {
            CHECK(put(&next, 200000, OMENDB_DURABILITY_FULL) == OMENDB_OK);
            recovers_in_every_mode(&next);
        }
        place_left(&next);
        place_left(&place);
        if (!crashed) break;
    }
}

/* After a failed sync the page cache calls pages clean that the disk doesn't have: the next process
 * replaced the only superblock that the disk had. */
static void sync_of_the_superblock_fails_then_another_is_torn(void)
{
    for (uint64_t call = 1;; call++) {
        struct place place = place_made();
        for (int i = 0; i < 6; i++) { /* Until the log of older images is gone. */
            CHECK(put(&place, 100000, OMENDB_DURABILITY_FULL) == OMENDB_OK);
            if (i % 2 == 1) CHECK(store_checkpoint(place.store, NULL) == OMENDB_OK);
        }
        CHECK(put(&place, 100000, OMENDB_DURABILITY_FULL) == OMENDB_OK);
        sim_fail_at(place.sim, sim_calls(place.sim) + call, SIM_FAULT_SYNC_KEEPS);
        const omendb_status status = store_checkpoint(place.store, NULL);
        for (uint64_t crash = 1; crash < 40; crash++) {
            struct place next = place_after(&place, SIM_PROCESS_KILL, call);
            sim_crash_at(next.sim, sim_calls(next.sim) + crash);
            (void)put(&next, 100, OMENDB_DURABILITY_FULL);
            (void)store_checkpoint(next.store, NULL);
            const bool crashed = sim_crashed(next.sim);
            ends(&next);
            recovers_in_every_mode(&next);
            place_left(&next);
            if (!crashed) break;
        }
        place_left(&place);
        if (status == OMENDB_OK) break;
    }
}

/* A flipped bit in a segment's header made the log look as if it ended before. */
static void header_of_a_segment_rots(void)
{
    struct place place = place_made();
    CHECK(put(&place, 100, OMENDB_DURABILITY_FULL) == OMENDB_OK);
    for (uint64_t offset = 0; offset < sizeof(struct wal_segment_header); offset++) {
        struct place after = {.sim = sim_clone(place.sim)};
        omendb_error error = {0};
        sim_reboot(after.sim, SIM_NONE, 0);
        CHECK(sim_flip(after.sim, "/db/x.omen-wal-1", offset, 4));
        CHECK(open_again(&after, &error) == OMENDB_ERR_CORRUPT);
        place_left(&after);
    }
    place_left(&place);
}

/* A clean close takes a number behind the segment that was made ahead. It was cut short, the next
 * process wrote on; when its image rotted, the one before found a segment without a header. */
static void unused_segment_lies_between_images(void)
{
    for (uint64_t call = 1;; call++) {
        struct place place = place_made();
        uint32_t slot = 0, valid = 0;
        CHECK(put(&place, 60000, OMENDB_DURABILITY_FULL) == OMENDB_OK);
        CHECK(wal_prepare_next(&place.store->wal, NULL) == OMENDB_OK);
        CHECK(place.store->wal.segments_count == 2);
        sim_crash_at(place.sim, sim_calls(place.sim) + call);
        (void)store_close(place.store, NULL);
        place.store = NULL;
        const bool crashed = sim_crashed(place.sim);
        struct place next = place_after(&place, SIM_ALL, call);
        CHECK(put(&next, 100, OMENDB_DURABILITY_FULL) == OMENDB_OK);
        CHECK(put(&next, 100, OMENDB_DURABILITY_FULL) == OMENDB_OK);
        ends(&next);
        sim_reboot(next.sim, SIM_ALL, 0);
        CHECK(image_generation(next.sim, &slot, &valid) != 0 && valid == 2);
        CHECK(sim_flip(next.sim, run_path, (uint64_t)slot * BLOCK_SIZE + 100, 4));
        opened_again(&next);
        CHECK(next.store->next_sequence - 1 == next.durable);
        place_left(&next);
        place_left(&place);
        if (!crashed) break;
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"checkpoint_after_unsynced_batches", checkpoint_after_unsynced_batches},
        {"close_after_a_recovery_crashes_anywhere", close_after_a_recovery_crashes_anywhere},
        {"large_batch_skips_a_segment", large_batch_skips_a_segment},
        {"process_ends_anywhere_then_the_machine", process_ends_anywhere_then_the_machine},
        {"sync_of_the_superblock_fails_then_another_is_torn",
         sync_of_the_superblock_fails_then_another_is_torn},
        {"header_of_a_segment_rots", header_of_a_segment_rots},
        {"unused_segment_lies_between_images", unused_segment_lies_between_images},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
