/* Files that nobody wrote: structures with wrong content and right checksums. They may be refused
 * at the open, answered with CORRUPT, or served as what they say; but nothing crashes, loops, reads
 * out of bounds or leaks, whether they are read or written on. */
#include <stddef.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "crash/faults.h"
#include "crash/picture.h"
#include "store/catalog.h"
#include "test.h"

enum { SECONDS_MAX = 60 };

struct hostile {
    struct picture good, bad;
    struct scene_model model;
    uint64_t sequence, random;
    uint64_t tried, refused, served, problems;
    char what[160];
};

/* ---- Using a file that may say anything ---- */

static bool answered(omendb_status status)
{
    return status == OMENDB_OK || status == OMENDB_ERR_CORRUPT ||
           status == OMENDB_ERR_UNSUPPORTED || status == OMENDB_ERR_FULL ||
           status == OMENDB_ERR_NOMEM || status == OMENDB_ERR_NOT_FOUND ||
           status == OMENDB_ERR_EXISTS || status == OMENDB_ERR_MISUSE ||
           status == OMENDB_ERR_INTERNAL || status == OMENDB_ERR_READ_ONLY ||
           status == OMENDB_ERR_BUSY;
}

static void answer(struct hostile *hostile, omendb_status status, const char *call)
{
    if (answered(status)) return;
    fprintf(stderr, "%s: %s answers %d\n", hostile->what, call, (int)status);
    CHECK(false);
}

/* Differences from the model are none of our business here. */
static void read_all(struct hostile *hostile, struct scene *scene)
{
    answer(hostile, scene_compare(scene, NULL), "reading");
    scene->failure[0] = '\0';
}

static omendb_status collection_wanted(void *context, struct collection *collection,
                                       const char *name, omendb_error *err)
{
    uint32_t *ids = context;
    (void)name, (void)err;
    if (ids[0] < 8) ids[++ids[0]] = collection->id;
    return OMENDB_OK;
}

/* Writes to whatever collections there are: new documents, updates, deletions. */
static void write_all(struct hostile *hostile, struct scene *scene, uint32_t round)
{
    static const uint8_t empty_object[] = {0};
    uint32_t ids[9] = {0};
    answer(hostile, store_collections(scene->store, collection_wanted, ids, NULL), "listing");
    for (uint32_t c = 1; c <= ids[0]; c++) {
        for (uint32_t i = 0; i < 12; i++) {
            struct batch batch = {0};
            const uint32_t id = (i * 7 + round * 50) % 400;
            char text[64];
            const int size = snprintf(text, sizeof text, "document/%u/%0*u", id, (int)(id % 40),
                                      7u);
            const bool is_text = id % 2 == 1;
            static char body[70000];
            const uint32_t body_size = i == 5 ? (uint32_t)sizeof body : 40 + i;
            CHECK(batch_add(&batch, i % 3 == 0 ? OPERATION_DELETE : OPERATION_UPSERT, ids[c],
                            is_text ? text : NULL, is_text ? (uint32_t)size : 0, is_text ? 0 : id,
                            i % 3 == 0 ? (const void *)empty_object : body,
                            i % 3 == 0 ? 0 : body_size, NULL) == OMENDB_OK);
            answer(hostile, store_commit(scene->store, &batch, OMENDB_DURABILITY_NONE, NULL, NULL),
                   "committing");
            batch_deinit(&batch);
        }
    }
}

static void use(struct hostile *hostile, uint32_t flags)
{
    struct sim *sim = sim_create(hostile->tried);
    struct scene scene;
    bool good = true;
    const struct scene_line open = {.kind = flags != 0 ? SCENE_OPEN_READ_ONLY : SCENE_OPEN};
    const uint64_t before = alloc_bytes();
    alarm(SECONDS_MAX); /* A loop is a failure. */
    hostile->tried++;
    scene_init(&scene, sim);
    scene.options.wal_size_max = 16 << 20;
    scene.now = hostile->model;
    scene.sequence = hostile->sequence;
    picture_put(&hostile->bad, sim);
    const omendb_status status = scene_play(&scene, &open, NULL);
    answer(hostile, status, "open");
    scene.failure[0] = '\0';
    if (status != OMENDB_OK) {
        hostile->refused++;
    } else {
        hostile->served++;
        read_all(hostile, &scene);
        answer(hostile, scene_check(&scene, true, &good, NULL), "check");
        if (!good) hostile->problems++;
        if (flags == 0) {
            for (uint32_t round = 0; round < 4; round++) {
                write_all(hostile, &scene, round);
                answer(hostile, store_checkpoint(scene.store, NULL), "checkpoint");
            }
            read_all(hostile, &scene);
            if (hostile->tried % 4 == 0)
                answer(hostile, store_collection_drop(scene.store, "a0", NULL), "drop");
            answer(hostile, scene_check(&scene, false, &good, NULL), "check");
            answer(hostile, store_checkpoint(scene.store, NULL), "checkpoint");
        }
        buffer_clear(&scene.text);
        answer(hostile, store_stats(scene.store, &scene.text, NULL), "stats");
        struct store *store = scene.store;
        scene.store = NULL;
        answer(hostile, store_close(store, NULL), "close");
        if (sim_open_files(sim) != 0) fprintf(stderr, "%s: open files\n", hostile->what);
        CHECK(sim_open_files(sim) == 0);
    }
    scene_deinit(&scene);
    if (alloc_bytes() != before) fprintf(stderr, "%s: leaks\n", hostile->what);
    CHECK(alloc_bytes() == before);
    sim_destroy(sim);
    alarm(0);
}

/* ---- Preparing ---- */

static void begin(struct hostile *hostile, uint32_t lines)
{
    struct sim *sim = sim_create(lines);
    struct scene scene;
    *hostile = (struct hostile){.random = lines};
    scene_init(&scene, sim);
    scene_play_all(&scene, lines);
    if (scene.store != NULL) scene_kill(&scene, SIM_PROCESS_KILL);
    hostile->model = scene.now;
    hostile->sequence = scene.sequence;
    picture_take(&hostile->good, &scene);
    scene_deinit(&scene);
    sim_destroy(sim);
}

static void end(struct hostile *hostile, const char *name)
{
    printf("%s: %llu files: %llu refused, %llu served, %llu with problems found\n", name,
           (unsigned long long)hostile->tried, (unsigned long long)hostile->refused,
           (unsigned long long)hostile->served, (unsigned long long)hostile->problems);
    picture_deinit(&hostile->good);
}

static uint32_t line_after(enum scene_kind kind, uint32_t nth)
{
    for (uint32_t i = 0; i < scene_script_size; i++)
        if (scene_script[i].kind == kind && nth-- == 0) return i + 1;
    abort();
}

static uint32_t below(struct hostile *hostile, uint32_t limit)
{
    return (uint32_t)(random_next(&hostile->random) % limit);
}

/* A value that programs trip over, or one near the old, or one like others here. */
static void value_put(struct hostile *hostile, uint8_t *at, size_t width)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     7,
                                     0xFFFF,
                                     0x10000,
                                     0x7FFFFFFF,
                                     0x80000000,
                                     0xFFFFFFFE,
                                     0xFFFFFFFF,
                                     UINT64_MAX,
                                     UINT64_MAX - 1,
                                     UINT64_C(1) << 63};
    uint64_t value = 0;
    memcpy(&value, at, width);
    switch (below(hostile, 4)) {
    case 0:
        value = edges[below(hostile, sizeof edges / sizeof *edges)];
        break;
    case 1:
        value = below(hostile, 420);
        break;
    case 2:
        value += below(hostile, 5) - UINT64_C(2);
        break;
    default:
        value ^= UINT64_C(1) << below(hostile, (uint32_t)width * 8);
        break;
    }
    memcpy(at, &value, width);
}

/* ---- What is changed ---- */

/* A member of a root, in both slots. */
static void roots_change(struct hostile *hostile)
{
    const uint32_t at = 16 + 4 * below(hostile, (176 - 16) / 4);
    const uint64_t start = hostile->random;
    (void)snprintf(hostile->what, sizeof hostile->what, "root byte %u, random %llu", at,
                   (unsigned long long)start);
    for (uint32_t slot = 0; slot < 2; slot++) {
        hostile->random = start;
        value_put(hostile, (uint8_t *)picture_root(&hostile->bad, slot) + at,
                  below(hostile, 2) == 0 && at % 8 == 0 ? 8 : 4);
    }
}

/* Something in the catalog: `at` counts its bytes. The other slot is damaged. */
static void catalog_change(struct hostile *hostile, uint32_t at)
{
    const uint64_t start = hostile->random;
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct superblock_root *root = picture_root(&hostile->bad, slot);
        hostile->random = start;
        if (root->payload_size < 8) continue;
        const uint32_t from = at % (uint32_t)(root->payload_size - 7);
        (void)snprintf(hostile->what, sizeof hostile->what, "catalog byte %u, random %llu", from,
                       (unsigned long long)start);
        value_put(hostile, (uint8_t *)(root + 1) + from, (size_t)1 << below(hostile, 4));
    }
}

/* One member of an element that is likely to be in use. */
static void element_change(struct hostile *hostile, const struct picture_region *region)
{
    uint8_t *block = hostile->bad.files[0].bytes + (size_t)region->block * BLOCK_SIZE;
    const uint32_t stride = region->stride >= 4 && region->stride <= 512 ? region->stride : 512;
    const uint32_t count = BLOCK_SIZE / stride;
    const uint32_t at = below(hostile, count < 130 ? count : 130) * stride +
                        4 * below(hostile, stride / 4);
    value_put(hostile, block + at, at % 8 == 0 && below(hostile, 2) == 0 ? 8 : 4);
}

static void region_change(struct hostile *hostile, uint32_t index)
{
    const struct picture_region *region = &hostile->bad.regions[index];
    const uint64_t before = picture_block_checksum(&hostile->bad, region->block);
    (void)snprintf(hostile->what, sizeof hostile->what, "array %u block %u, random %llu",
                   region->kind, region->block, (unsigned long long)hostile->random);
    for (uint32_t i = 1 + below(hostile, 12); i > 0; i--) element_change(hostile, region);
    picture_block_fix(&hostile->bad, region->block, before);
}

/* A member of the segment's header, of a frame's, of a batch's or of an operation. */
static void log_change(struct hostile *hostile, struct picture_file *log, bool fix)
{
    size_t frames[64], count = 0, at = WAL_PAGE;
    for (; at + WAL_PAGE <= log->size && count < 64;) {
        struct wal_frame_header frame;
        memcpy(&frame, log->bytes + at, sizeof frame);
        if (frame.magic != WAL_FRAME_MAGIC) break;
        frames[count++] = at;
        at += (sizeof frame + (size_t)frame.payload_size + WAL_PAGE - 1) & ~(size_t)(WAL_PAGE - 1);
    }
    (void)snprintf(hostile->what, sizeof hostile->what, "%s, random %llu", log->path,
                   (unsigned long long)hostile->random);
    const uint32_t place = below(hostile, 8);
    size_t from = 4 * below(hostile, 20);
    if (place != 0 && count != 0) from += frames[below(hostile, (uint32_t)count)];
    if (place >= 3) from += sizeof(struct wal_frame_header);
    if (place >= 6) from += below(hostile, 600) & ~3u;
    if (place == 5) from -= from % 8; /* The batch and its first operation. */
    value_put(hostile, log->bytes + from, from % 8 == 0 && below(hostile, 2) == 0 ? 8 : 4);
    if (fix) picture_log_fix(log);
}

static void attack(struct hostile *hostile, uint32_t round,
                   void (*change)(struct hostile *, uint32_t))
{
    picture_copy(&hostile->bad, &hostile->good);
    hostile->random = ((uint64_t)round + 1) * UINT64_C(0x9E3779B97F4A7C15);
    change(hostile, round);
    picture_roots_fix(&hostile->bad);
    use(hostile, round % 8 == 5 ? OMENDB_OPEN_READ_ONLY : 0);
    picture_deinit(&hostile->bad);
}

static void change_roots(struct hostile *hostile, uint32_t round)
{
    (void)round;
    roots_change(hostile);
}

static void change_catalog(struct hostile *hostile, uint32_t round)
{
    catalog_change(hostile, round * (test_long() ? 1 : 3));
}

/* A counter of a collection's record (collection_catalog.c), or what follows the counters. */
static void change_counters(struct hostile *hostile, uint32_t round)
{
    enum { WORDS = 56 };
    for (uint32_t slot = 0; slot < 2; slot++) {
        const struct superblock_root *root = picture_root(&hostile->bad, slot);
        uint8_t *at = (uint8_t *)picture_root(&hostile->bad, slot) + sizeof *root;
        const uint8_t *end = at + root->payload_size;
        const uint32_t count = load_le32(at);
        if (count == 0) continue;
        at += CATALOG_HEAD_SIZE;
        for (uint32_t skip = round % count; skip > 0; skip--) at += load_le32(at);
        at += 20 + load_le32(at + 16); /* Head and name. */
        at += 4 + load_le32(at);       /* Schema. */
        at += (size_t)8 * (round / count % WORDS);
        if (at + 8 > end) continue;
        const uint64_t old = load_le64(at);
        const uint64_t values[] = {UINT32_MAX, UINT64_C(1) << 32, UINT32_MAX - 1, old + 100000, 0,
                                   old + 1};
        store_le64(at, values[round / count / WORDS % COUNT_OF(values)]);
        (void)snprintf(hostile->what, sizeof hostile->what, "counters %u", round);
    }
}

static void change_region(struct hostile *hostile, uint32_t round)
{
    region_change(hostile, round % hostile->bad.regions_count);
}

/* All slots and chains at once, so that lists and loops of every kind come up. */
static void change_regions(struct hostile *hostile, uint32_t round)
{
    (void)round;
    for (uint32_t i = 0; i < hostile->bad.regions_count; i++)
        if (below(hostile, 4) == 0) region_change(hostile, i);
}

/* Chains that end nowhere: members that name another element name the element itself, or any. */
static void change_loops(struct hostile *hostile, uint32_t round)
{
    static const struct {
        uint32_t kind, member;
    } members[] = {{ARRAY_SLOTS, offsetof(struct slot, previous)},
                   {ARRAY_SLOTS, offsetof(struct slot, next)},
                   {ARRAY_LINKS, offsetof(struct slot_link, next)},
                   {ARRAY_LINKS, offsetof(struct slot_link, node)},
                   {ARRAY_LINKS, offsetof(struct slot_link, previous)},
                   {ARRAY_NODES, offsetof(struct node, head)},
                   {ARRAY_NODES, offsetof(struct node, hash_next)},
                   {ARRAY_VECTOR_HEADS, 0},
                   {ARRAY_ID_BUCKETS, offsetof(struct id_bucket, overflow)},
                   {ARRAY_ID_OVERFLOW, offsetof(struct id_bucket, overflow)}};
    const uint32_t m = round % COUNT_OF(members);
    (void)snprintf(hostile->what, sizeof hostile->what, "loops %u", round);
    for (uint32_t r = 0; r < hostile->bad.regions_count; r++) {
        const struct picture_region *region = &hostile->bad.regions[r];
        uint8_t *block = hostile->bad.files[0].bytes + (size_t)region->block * BLOCK_SIZE;
        const uint64_t before = picture_block_checksum(&hostile->bad, region->block);
        if (region->kind != members[m].kind) continue;
        for (uint32_t i = 0; i < BLOCK_SIZE / region->stride && i < 450; i++) {
            const uint32_t to = round % 3 == 0 ? i : round % 3 == 1 ? i ^ 1 : below(hostile, 60);
            if (below(hostile, 4) < round % 4) continue;
            memcpy(block + i * region->stride + members[m].member, &to, sizeof to);
            if (m != 0 || round % 2 == 0) continue;
            memcpy(block + i * region->stride + offsetof(struct slot, death),
                   block + i * region->stride, 8); /* As undone: seen by nobody. */
        }
        picture_block_fix(&hostile->bad, region->block, before);
    }
}

static void change_log(struct hostile *hostile, uint32_t round)
{
    const uint32_t logs = hostile->bad.files_count - 1;
    CHECK(logs != 0);
    log_change(hostile, &hostile->bad.files[1 + below(hostile, logs)], round % 16 != 0);
}

/* Each line is a state that the database was left in. */
static void attack_states(const char *name, uint32_t rounds,
                          void (*change)(struct hostile *, uint32_t), bool with_log)
{
    const uint32_t states[] = {line_after(SCENE_STATS, 0), line_after(SCENE_MARK, 0),
                               line_after(SCENE_CHECKPOINT, 4), scene_script_size};
    const char *only = getenv("ROUND");
    const uint32_t count = with_log ? 2 : 4;
    if (test_long()) rounds *= 20;
#if defined(__SANITIZE_ADDRESS__)
    else rounds /= 5;
#endif
    for (uint32_t state = 0; state < count; state++) {
        struct hostile hostile;
        begin(&hostile, states[state]);
        for (uint32_t round = 0; round < rounds / count; round++)
            if (only == NULL || strtoul(only, NULL, 10) == round) attack(&hostile, round, change);
        end(&hostile, name);
    }
}

static void hostile_roots_are_refused_or_served(void)
{
    attack_states("roots", 400, change_roots, false);
}

static void hostile_catalogs_are_refused_or_served(void)
{
    attack_states("catalogs", 1200, change_catalog, false);
    attack_states("counters", 4 * 3 * 56 * 3, change_counters, false);
}

static void hostile_blocks_are_reported_or_served(void)
{
    attack_states("blocks", 1600, change_region, false);
    attack_states("many blocks", 400, change_regions, false);
    attack_states("loops", 336, change_loops, false);
}

static void hostile_logs_are_refused_or_served(void)
{
    attack_states("logs", 1200, change_log, true);
}

static const struct test tests[] = {
    {"hostile_roots_are_refused_or_served", hostile_roots_are_refused_or_served},
    {"hostile_catalogs_are_refused_or_served", hostile_catalogs_are_refused_or_served},
    {"hostile_blocks_are_reported_or_served", hostile_blocks_are_reported_or_served},
    {"hostile_logs_are_refused_or_served", hostile_logs_are_refused_or_served},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
