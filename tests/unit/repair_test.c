/* Repair: whatever block is damaged, everything outside of it comes out, and nothing wrong does. */
#include "store/repair.h"

#include "store/backup_image.h"
#include "store/store_inner.h"
#include "store_live.h"

enum { IDS = 500, NAME = 300, GONE = 7, PLACES = 3 };

static char name[256], out_name[NAME];
static const struct repair_options plain = {0};

/* Number of id `id` in the database below: every GONE-th was deleted, some were written twice. */
static int64_t number_of(uint64_t id)
{
    if (id % GONE == 0) return ABSENT;
    return id % 5 == 0 ? (int64_t)id + 10000 : (int64_t)(id / 3);
}

static uint32_t size_of_document(uint64_t id)
{
    return id % 100 == 1 ? 90000 : id % 10 == 1 ? 4000 : 50;
}

static void filled(struct store *store, struct collection *collection)
{
    for (uint64_t id = 0; id < IDS; id += 10) {
        struct batch batch = {0};
        for (uint64_t i = id; i < id + 10; i++)
            live_add(&batch, collection, i, i / 3, size_of_document(i));
        OK(live_commit(store, &batch, &err));
    }
    OK(store_checkpoint(store, &err));
    for (uint64_t id = 0; id < IDS; id++) {
        if (id % GONE == 0) live_delete(store, collection, id);
        else if (id % 5 == 0) live_put(store, collection, id, id + 10000, size_of_document(id));
    }
}

static void named(const char *what)
{
    make_name(name, what);
    snprintf(out_name, sizeof out_name, "%s-out", name);
    remove_store(name);
    remove_store(out_name);
}

static void made(const char *what)
{
    named(what);
    struct store *store = live_open(name, 0);
    struct collection *collection = live_create(store, "c");
    filled(store, collection);
    collection_unpin(collection);
    live_close(store);
}

static void clean_up(void)
{
    remove_store(name);
    remove_store(out_name);
}

static void flip(const char *path, uint64_t at)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL && fseek(file, (long)at, SEEK_SET) == 0);
    const int byte = fgetc(file);
    CHECK(byte != EOF && fseek(file, (long)at, SEEK_SET) == 0);
    CHECK(fputc(byte ^ 0x04, file) != EOF && fclose(file) == 0);
}

static uint64_t file_bytes(const char *path)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    fclose(file);
    return (uint64_t)size;
}

/* ---- What came out ---- */

struct outcome {
    char *report; /* JSON */
    uint32_t whole, lost, incomplete, nameless;
};

static uint32_t report_number(const struct outcome *outcome, const char *member)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"%s\":", member);
    const char *at = strstr(outcome->report, wanted);
    CHECK(at != NULL);
    return (uint32_t)strtoul(at + strlen(wanted), NULL, 10);
}

static bool listed(const struct outcome *outcome, const char *list, uint64_t id)
{
    char wanted[64], text[64];
    snprintf(wanted, sizeof wanted, "\"%s\":[", list);
    const char *at = strstr(outcome->report, wanted);
    CHECK(at != NULL);
    at += strlen(wanted);
    const size_t length = (size_t)(strchr(at, ']') - at);
    if (id % 2 != 0) snprintf(text, sizeof text, "\"id-%llu\"", (unsigned long long)id);
    else snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    for (const char *end = at + length; at < end; at += strcspn(at, ",]") + 1)
        if (strcspn(at, ",]") == strlen(text) && memcmp(at, text, strlen(text)) == 0) return true;
    return false;
}

static bool has_vector(struct store *store, struct collection *collection, uint64_t id)
{
    struct snapshot snapshot;
    char text[32];
    struct id_view view = {.number = id};
    uint32_t slot = SLOT_NONE, node = SLOT_NONE;
    const int length = snprintf(text, sizeof text, "id-%llu", (unsigned long long)id);
    if (id % 2 != 0)
        view = (struct id_view){.text_view = (const uint8_t *)text, .size = (uint32_t)length};
    OK(store_enter(store, &snapshot, &err));
    OK(collection_find(collection, &view, snapshot.sequence, &slot, &err));
    if (slot != SLOT_NONE) OK(collection_slot_node(collection, 0, slot, &node, &err));
    store_leave(&snapshot);
    return slot != SLOT_NONE && node != SLOT_NONE;
}

static bool there(struct store *store, struct collection *collection, uint64_t id)
{
    struct snapshot snapshot;
    char text[32];
    struct id_view view = {.number = id};
    uint32_t slot = SLOT_NONE;
    const int length = snprintf(text, sizeof text, "id-%llu", (unsigned long long)id);
    if (id % 2 != 0)
        view = (struct id_view){.text_view = (const uint8_t *)text, .size = (uint32_t)length};
    OK(store_enter(store, &snapshot, &err));
    OK(collection_find(collection, &view, snapshot.sequence, &slot, &err));
    store_leave(&snapshot);
    return slot != SLOT_NONE;
}

/* Every document is right, or its loss is reported. */
static void outcome_judge(struct outcome *outcome)
{
    struct store *store = live_open(out_name, OMENDB_OPEN_READ_ONLY);
    struct collection *collection = live_collection(store, "c");
    uint32_t missing = 0;
    outcome->whole = outcome->lost = outcome->incomplete = 0;
    for (uint64_t id = 0; id < IDS; id++) {
        const int64_t n = number_of(id);
        if (n == ABSENT) {
            CHECK(!there(store, collection, id));
            continue;
        }
        if (!there(store, collection, id)) {
            missing++;
            if (listed(outcome, "lost_ids", id)) outcome->lost++;
            continue;
        }
        if (has_vector(store, collection, id)) {
            CHECK(live_get(store, collection, id) == n);
            outcome->whole++;
            CHECK(!listed(outcome, "lost_ids", id));
            continue;
        }
        CHECK(listed(outcome, "incomplete_ids", id));
        outcome->incomplete++;
    }
    outcome->nameless = report_number(outcome, "lost_without_id");
    CHECK(outcome->nameless == missing - outcome->lost);
    CHECK(outcome->lost == report_number(outcome, "lost"));
    CHECK(outcome->incomplete <= report_number(outcome, "incomplete"));
    live_check(store);
    collection_unpin(collection);
    live_close(store);
}

static struct outcome repaired(void)
{
    const struct store_options like = live_options(NULL, 0);
    struct outcome outcome = {0};
    struct buffer report = {0};
    remove_store(out_name);
    OK(repair_run(&like, name, out_name, &plain, &report, &err));
    OK(buffer_append(&report, "", 1, &err));
    outcome.report = (char *)report.data;
    outcome_judge(&outcome);
    return outcome;
}

static void outcome_free(struct outcome *outcome)
{
    alloc_free(outcome->report);
}

static uint32_t documents_made(void)
{
    uint32_t count = 0;
    for (uint64_t id = 0; id < IDS; id++) count += number_of(id) != ABSENT;
    return count;
}

/* ---- Tests ---- */

static void a_sound_database_comes_out_complete(void)
{
    made("repair-sound");
    struct outcome outcome = repaired();
    CHECK(strncmp(outcome.report, "{\"complete\":true,", 17) == 0);
    CHECK(outcome.whole == documents_made() && report_number(&outcome, "damaged_blocks") == 0);
    outcome_free(&outcome);
    clean_up();
}

/* What the block holds that was hit, as the report names it. */
static bool part_is(const struct outcome *outcome, const char *part)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"part\":\"%s\"", part);
    return strstr(outcome->report, wanted) != NULL;
}

static void any_one_damaged_block_costs_only_what_it_holds(void)
{
    made("repair-blocks");
    const uint64_t blocks = file_bytes(name) / BLOCK_SIZE;
    const uint32_t all = documents_made();
    uint32_t hit[6] = {0};
    for (uint64_t block = BLOCK_FIRST; block < blocks; block++) {
        const uint64_t at = block * BLOCK_SIZE + block * 7919 % BLOCK_SIZE;
        flip(name, at);
        struct outcome outcome = repaired();
        flip(name, at);
        const uint32_t damaged = report_number(&outcome, "damaged_blocks");
        CHECK(damaged <= 1);
        if (part_is(&outcome, "documents") && outcome.lost != 0) {
            hit[0]++;
            CHECK(outcome.incomplete == 0 && outcome.nameless == 0);
        } else if (part_is(&outcome, "vectors")) {
            hit[1]++;
            CHECK(outcome.lost == 0 && outcome.nameless == 0 && outcome.incomplete != 0);
        } else if (part_is(&outcome, "ids") && outcome.nameless != 0) {
            hit[2]++;
            CHECK(outcome.lost == 0 && outcome.incomplete == 0);
        } else if (part_is(&outcome, "slots")) {
            hit[3]++;
            /* The strings among the ids are found by the id map. */
            CHECK(outcome.lost != 0 && outcome.nameless != 0 && outcome.incomplete == 0);
            for (uint64_t id = 0; id < IDS; id += 2) CHECK(!listed(&outcome, "lost_ids", id));
        } else if (part_is(&outcome, "vector links")) {
            /* Nodes lead to the first slot of each chain; documents further on shared its vector. */
            hit[4]++;
            CHECK(outcome.lost == 0 && outcome.nameless == 0);
            CHECK(outcome.whole > all / 3 && outcome.whole + outcome.incomplete == all);
        } else { /* Nodes, maps, counters: not needed, built anew. */
            hit[5] += damaged;
            CHECK(outcome.whole == all);
        }
        outcome_free(&outcome);
    }
    for (int i = 0; i < 6; i++) CHECK(hit[i] != 0);
    clean_up();
}

/* A damaged leaf hides all blocks of its array; the others are still there. */
static void a_damaged_leaf_costs_its_array(void)
{
    enum { LARGE = 600 };
    named("repair-leaf");
    struct store *store = live_open(name, 0);
    struct collection *collection = live_create(store, "c");
    for (uint64_t id = 0; id < LARGE; id += 20) {
        struct batch batch = {0};
        for (uint64_t i = id; i < id + 20; i++) live_add(&batch, collection, i, i, 31000);
        OK(live_commit(store, &batch, &err));
    }
    OK(store_checkpoint(store, &err));
    CHECK(collection->documents.chunks.leaf_count == 1);
    collection_unpin(collection);
    live_close(store);
    store = live_open(name, OMENDB_OPEN_READ_ONLY);
    collection = live_collection(store, "c");
    const uint64_t leaf = collection->documents.chunks.leaves[0].block;
    collection_unpin(collection);
    live_close(store);
    flip(name, leaf * BLOCK_SIZE + 40);
    const struct store_options like = live_options(NULL, 0);
    struct buffer report = {0};
    OK(repair_run(&like, name, out_name, &plain, &report, &err));
    OK(buffer_append(&report, "", 1, &err));
    const struct outcome outcome = {.report = (char *)report.data};
    CHECK(report_number(&outcome, "lost") == LARGE && report_number(&outcome, "documents") == 0);
    for (uint64_t id = 0; id < LARGE; id += 17) CHECK(listed(&outcome, "lost_ids", id));
    buffer_deinit(&report);
    clean_up();
}

/* Blocks, superblocks, several at once. */
static void any_damage_lets_nothing_wrong_out(void)
{
    made("repair-random");
    const uint64_t size = file_bytes(name);
    const struct store_options like = live_options(NULL, 0);
    uint64_t random = 11;
    uint32_t failed = 0;
    for (int round = 0; round < 40; round++) {
        uint64_t places[PLACES];
        for (int i = 0; i < PLACES; i++) {
            places[i] = random_next(&random) % size;
            if (round % 4 == 0) places[i] %= 2 * BLOCK_SIZE;
            if (round % 4 == 0 && i == 0) places[i] = places[i] % 600;
            if (round % 4 == 0 && i == 1) places[i] = BLOCK_SIZE + places[i] % 600;
            flip(name, places[i]);
        }
        struct buffer report = {0};
        remove_store(out_name);
        const omendb_status status = repair_run(&like, name, out_name, &plain, &report, &err);
        if (status == OMENDB_OK) {
            OK(buffer_append(&report, "", 1, &err));
            struct outcome outcome = {.report = (char *)report.data};
            outcome_judge(&outcome);
        } else {
            CHECK(status == OMENDB_ERR_CORRUPT && access(out_name, F_OK) != 0);
            failed++;
        }
        buffer_deinit(&report);
        for (int i = PLACES - 1; i >= 0; i--) flip(name, places[i]);
    }
    CHECK(failed > 0 && failed <= 10);
    clean_up();
}

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    static char bytes[1 << 16];
    CHECK(in != NULL && out != NULL);
    for (size_t got = 0; (got = fread(bytes, 1, sizeof bytes, in)) != 0;)
        CHECK(fwrite(bytes, 1, got, out) == got);
    fclose(in);
    CHECK(fclose(out) == 0);
}

/* The log is applied, up to where it is damaged: what it rewrote isn't lost. */
static void the_log_counts_up_to_its_damage(void)
{
    char live_name[NAME], from[NAME + 16], to[NAME + 16];
    named("repair-log");
    snprintf(live_name, sizeof live_name, "%s-live", name);
    remove_store(live_name);
    struct store_options options = live_options(live_name, 0);
    options.wal_size_max = 64 << 20;
    struct store *store = NULL;
    OK(store_open(&options, &store, &err));
    struct collection *collection = live_create(store, "c");
    filled(store, collection);
    /* As a crash leaves them. */
    copy_file(live_name, name);
    for (int i = 0; i < 20; i++) {
        snprintf(from, sizeof from, "%s-wal-%d", live_name, i);
        snprintf(to, sizeof to, "%s-wal-%d", name, i);
        if (access(from, F_OK) == 0) copy_file(from, to);
    }
    collection_unpin(collection);
    live_close(store);
    remove_store(live_name);
    struct outcome outcome = repaired();
    CHECK(strncmp(outcome.report, "{\"complete\":true,", 17) == 0);
    const uint32_t batches = report_number(&outcome, "log_batches");
    CHECK(batches > 100 && outcome.whole == documents_made());
    outcome_free(&outcome);
    /* Damage in the log: no more than its end is missing. */
    const struct store_options like = live_options(NULL, 0);
    uint32_t reported = 0;
    for (int i = 0; i < 20; i++) {
        snprintf(to, sizeof to, "%s-wal-%d", name, i);
        if (access(to, F_OK) != 0) continue;
        for (uint64_t at = 30; at < file_bytes(to) && at < 400000; at += 40961) {
            struct buffer report = {0};
            remove_store(out_name);
            flip(to, at);
            OK(repair_run(&like, name, out_name, &plain, &report, &err));
            flip(to, at);
            OK(buffer_append(&report, "", 1, &err));
            struct outcome damaged = {.report = (char *)report.data};
            CHECK(report_number(&damaged, "log_batches") <= batches);
            reported += strncmp(damaged.report, "{\"complete\":false,", 18) == 0;
            struct store *out = live_open(out_name, 0);
            live_check(out);
            live_close(out);
            buffer_deinit(&report);
        }
    }
    CHECK(reported > 0);
    clean_up();
}

static void never_writes_the_original(void)
{
    made("repair-original");
    const struct store_options like = live_options(NULL, 0);
    struct buffer report = {0};
    FAILS(OMENDB_ERR_ARGUMENT,
          repair_run(&like, name, name, &(struct repair_options){.replace = true}, &report, &err));
    copy_file(name, out_name);
    FAILS(OMENDB_ERR_EXISTS, repair_run(&like, name, out_name, &plain, &report, &err));
    OK(repair_run(&like, name, out_name, &(struct repair_options){.replace = true}, &report, &err));
    buffer_deinit(&report);
    remove_store(out_name);
    FAILS(OMENDB_ERR_NOT_FOUND, repair_run(&like, out_name, name, &plain, &report, &err));
    clean_up();
}

static void survives_failing_allocations(void)
{
    made("repair-memory");
    const struct store_options like = live_options(NULL, 0);
    struct buffer report = {0};
    const long many = 1000000;
    (void)alloc_fail_after(many, 1);
    OK(repair_run(&like, name, out_name, &plain, &report, &err));
    const long requests = many - alloc_fail_after(-1, 0);
    buffer_deinit(&report);
    for (long n = 0; n < requests; n += 1 + requests / 80) {
        remove_store(out_name);
        (void)alloc_fail_after(n, 1);
        const omendb_status status = repair_run(&like, name, out_name, &plain, &report, &err);
        (void)alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
        if (status == OMENDB_OK) {
            OK(buffer_append(&report, "", 1, &err));
            struct outcome outcome = {.report = (char *)report.data};
            outcome_judge(&outcome);
            CHECK(outcome.whole == documents_made());
        } else {
            CHECK(access(out_name, F_OK) != 0);
        }
        buffer_deinit(&report);
    }
    clean_up();
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_sound_database_comes_out_complete", a_sound_database_comes_out_complete},
        {"any_one_damaged_block_costs_only_what_it_holds",
         any_one_damaged_block_costs_only_what_it_holds},
        {"a_damaged_leaf_costs_its_array", a_damaged_leaf_costs_its_array},
        {"any_damage_lets_nothing_wrong_out", any_damage_lets_nothing_wrong_out},
        {"the_log_counts_up_to_its_damage", the_log_counts_up_to_its_damage},
        {"never_writes_the_original", never_writes_the_original},
        {"survives_failing_allocations", survives_failing_allocations},
        {NULL, NULL}};
    return test_main(tests, argc, argv);
}
