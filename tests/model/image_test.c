/* Images that nobody wrote: roots, catalogs, blocks and log frames with wrong bytes and right
 * checksums. Opening, reading, writing, checking and closing them may fail, but nothing crashes, loops
 * or reads out of bounds.
 *
 * In the environment: SEED gives another run, VERBOSE tells the rounds, ROUND runs one of them. */
#include <sys/stat.h>

#include "base/checksum.h"
#include "store/superblock.h"
#include "store/wal_inner.h"
#include "store_live.h"

static char name[256];
/* Two good files: one after a clean close; one in the midst of life, with lists of every kind, made
 * to say that it needs no log. */
static uint8_t *images[2], *image;
static size_t image_sizes[2], image_size;

static uint8_t *file_load(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    *size = (size_t)ftell(file);
    uint8_t *bytes = malloc(*size);
    CHECK(fseek(file, 0, SEEK_SET) == 0 && fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

static void file_store(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static void commit_ids(struct store *store, struct collection *collection, uint64_t from,
                       uint64_t to, uint64_t n, uint32_t size)
{
    struct batch batch = {0};
    for (uint64_t id = from; id < to; id++) live_add(&batch, collection, id, n + id, size);
    OK(live_commit(store, &batch, &err));
}

static struct superblock_root *root_of(uint8_t *file, uint32_t slot)
{
    return (void *)(file + (size_t)slot * BLOCK_SIZE);
}

/* Everything that an image can hold: two collections, text ids, long documents, overflow buckets,
 * dead versions that a snapshot held, free, retired and retiring slots. */
static void make_image(void)
{
    make_name(name, "image");
    remove_store(name);
    struct store *store = live_open(name, 0);
    struct collection *a = live_create(store, "a"), *b = live_create(store, "b");
    struct snapshot snapshot;
    commit_ids(store, a, 0, 600, 0, 300);
    commit_ids(store, b, 0, 20, 0, 90000);
    OK(store_checkpoint(store, &err));
    for (uint64_t id = 0; id < 200; id++) live_delete(store, a, id);
    OK(store_checkpoint(store, &err));
    commit_ids(store, a, 200, 300, 7, 300);
    OK(store_checkpoint(store, &err));
    OK(store_enter(store, &snapshot, &err));
    commit_ids(store, a, 300, 340, 9, 300);
    for (uint64_t id = 400; id < 420; id++) live_delete(store, a, id);
    OK(store_checkpoint(store, &err));
    collection_unpin(a);
    collection_unpin(b);
    images[1] = file_load(name, &image_sizes[1]);
    store_leave(&snapshot);
    live_close(store);
    images[0] = file_load(name, &image_sizes[0]);
    for (uint32_t slot = 0; slot < 2; slot++) {
        root_of(images[1], slot)->state = SUPERBLOCK_CLEAN;
        root_of(images[1], slot)->wal_offset = 0;
    }
}

static void checksums_fix(uint8_t *file)
{
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct superblock_root *root = root_of(file, slot);
        const size_t size = root->payload_size <= SUPERBLOCK_PAYLOAD_MAX
                                ? (size_t)root->payload_size
                                : SUPERBLOCK_PAYLOAD_MAX;
        const struct checksum128 payload = checksum128(root + 1, size);
        root->payload_checksum[0] = payload.low;
        root->payload_checksum[1] = payload.high;
        const struct checksum128 own = checksum128(root,
                                                   offsetof(struct superblock_root, root_checksum));
        root->root_checksum[0] = own.low;
        root->root_checksum[1] = own.high;
    }
}

/* Puts the new checksum of a block into every reference that had the old one. */
static void references_fix(uint8_t *file, uint32_t block, uint64_t before)
{
    const uint64_t after = checksum64(file + (size_t)block * BLOCK_SIZE, BLOCK_SIZE);
    for (uint32_t slot = 0; slot < 2; slot++) {
        uint8_t *payload = (uint8_t *)(root_of(file, slot) + 1);
        for (size_t at = 0; at + 8 <= root_of(file, slot)->payload_size; at++)
            if (memcmp(payload + at, &before, 8) == 0) memcpy(payload + at, &after, 8);
    }
}

static void mutate(uint8_t *bytes, size_t size, uint64_t *seed)
{
    static const uint64_t edges[] = {
        0,          1,       2,      0x7FFFFFFF, 0x80000000,    0xFFFFFFFE,
        0xFFFFFFFF, 0x10000, 0xFFFF, UINT64_MAX, UINT64_MAX - 1};
    const size_t width = (size_t)1 << random_below(seed, 4);
    size_t at = random_below(seed, (uint32_t)(size - width));
    if (random_below(seed, 4) != 0) at &= ~(width - 1);
    uint64_t value = random_next(seed);
    const uint32_t dice = random_below(seed, 4);
    if (dice == 0) value = edges[random_below(seed, COUNT_OF(edges))];
    if (dice == 1) value = random_below(seed, 1000);
    if (dice == 2) { /* A little more or less. */
        memcpy(&value, bytes + at, width);
        value += random_below(seed, 5) - 2u;
    }
    memcpy(bytes + at, &value, width);
}

static uint32_t opened, refused;

static bool answer(omendb_status status)
{
    return status == OMENDB_OK || status == OMENDB_ERR_CORRUPT || status == OMENDB_ERR_FULL ||
           status == OMENDB_ERR_NOMEM || status == OMENDB_ERR_UNSUPPORTED ||
           status == OMENDB_ERR_INTERNAL || status == OMENDB_ERR_NOT_FOUND ||
           status == OMENDB_ERR_MISUSE || status == OMENDB_ERR_READ_ONLY ||
           status == OMENDB_ERR_EXISTS || status == OMENDB_ERR_IO;
}

/* Reads ids without trusting what they say. */
static void read_all(struct store *store, struct collection *collection, uint64_t count)
{
    struct snapshot snapshot;
    struct buffer scratch = {0};
    OK(store_enter(store, &snapshot, &err));
    for (uint64_t id = 0; id < count; id++) {
        char text[32];
        const int length = snprintf(text, sizeof text, "id-%llu", (unsigned long long)id);
        struct id_view view = {.number = id};
        uint32_t slot = SLOT_NONE, node = SLOT_NONE, size = 0;
        const uint8_t *document = NULL;
        const void *vector = NULL;
        if (id % 2 != 0)
            view = (struct id_view){.text_view = (const uint8_t *)text, .size = (uint32_t)length};
        if (collection_find(collection, &view, snapshot.sequence, &slot, &err) != OMENDB_OK ||
            slot == SLOT_NONE)
            continue;
        if (collection_document(collection, slot, &scratch, &document, &size, &err) == OMENDB_OK)
            (void)document_validate(document, size, &err);
        if (collection->schema->vectors_count == 0 ||
            collection_slot_node(collection, 0, slot, &node, &err) != OMENDB_OK ||
            node == SLOT_NONE || collection_vector(collection, 0, node, &vector, &err) != OMENDB_OK)
            continue;
        uint8_t sum = 0;
        for (uint32_t i = 0; i < collection->schema->vectors[0].size; i++)
            sum = (uint8_t)(sum + ((const uint8_t *)vector)[i]);
        CHECK(sum != 0 || node != SLOT_NONE);
    }
    store_leave(&snapshot);
    buffer_deinit(&scratch);
}

static omendb_status use_one(void *context, struct collection *collection, const char *its_name,
                             omendb_error *error)
{
    struct store *store = context;
    (void)its_name, (void)error;
    read_all(store, collection, 620);
    const bool ours = collection->schema->vectors_count == 1 &&
                      collection->schema->vectors[0].size == DIM * 4;
    for (uint64_t id = 0; id < 60 && ours; id++) {
        struct batch batch = {0};
        if (id % 3 == 0) live_add_delete(&batch, collection, id * 7);
        else live_add(&batch, collection, id * 7, id, id == 20 ? 70000 : 50);
        CHECK(answer(live_commit(store, &batch, &err)));
    }
    return OMENDB_OK;
}

static void use(uint32_t flags)
{
    const struct store_options options = live_options(name, flags);
    struct store *store = NULL;
    const omendb_status status = store_open(&options, &store, &err);
    CHECK(answer(status));
    if (status != OMENDB_OK) {
        refused++;
        return;
    }
    opened++;
    struct buffer text = {0};
    CHECK(answer(store_collections(store, use_one, store, &err)));
    const omendb_status checked = store_check(store, true, &text, &err);
    if (!answer(checked)) fprintf(stderr, "check: %d %s\n", (int)checked, err.message);
    CHECK(answer(checked));
    for (int i = 0; i < 3; i++) CHECK(answer(store_checkpoint(store, &err)) || i < 3);
    CHECK(answer(store_collections(store, use_one, store, &err)));
    buffer_clear(&text);
    CHECK(answer(store_stats(store, &text, &err)));
    buffer_deinit(&text);
    if (opened % 3 == 0) (void)store_collection_drop(store, "a", &err);
    CHECK(answer(store_close(store, &err)));
}

enum part { ROOT, CATALOG, BLOCKS };

static void hostile(enum part part, uint32_t rounds, uint64_t seed)
{
    uint8_t *file = malloc(image_sizes[0] + image_sizes[1]);
    if (getenv("SEED") != NULL) seed += strtoul(getenv("SEED"), NULL, 10) * 10;
    const uint64_t before = alloc_bytes();
    opened = refused = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        const char *only = getenv("ROUND");
        uint64_t state = seed * 1000003 + round;
        if (only != NULL && strtoul(only, NULL, 10) != round) continue;
        alarm(60); /* A loop is a failure. */
        image = images[round % 2];
        image_size = image_sizes[round % 2];
        memcpy(file, image, image_size);
        for (uint32_t i = random_below(&state, 3) + 1; i > 0; i--) {
            if (part == ROOT) {
                const uint64_t start = state;
                for (uint32_t slot = 0; slot < 2; slot++) {
                    state = start;
                    mutate(file + (size_t)slot * BLOCK_SIZE + 16, 150, &state);
                }
            } else if (part == CATALOG) {
                const uint64_t start = state;
                for (uint32_t slot = 0; slot < 2; slot++) {
                    struct superblock_root *root = root_of(file, slot);
                    state = start;
                    mutate((uint8_t *)(root + 1), (size_t)root->payload_size, &state);
                }
            } else {
                const uint32_t block = 2 + random_below(&state,
                                                        (uint32_t)(image_size / BLOCK_SIZE) - 2);
                uint8_t *bytes = file + (size_t)block * BLOCK_SIZE;
                const uint64_t old = checksum64(bytes, BLOCK_SIZE);
                for (uint32_t k = random_below(&state, 30) + 1; k > 0; k--)
                    mutate(bytes, random_below(&state, 2) == 0 ? 8192 : BLOCK_SIZE, &state);
                references_fix(file, block, old);
            }
        }
        checksums_fix(file);
        remove_store(name);
        file_store(name, file, image_size);
        if (getenv("VERBOSE") != NULL) fprintf(stderr, "part %d round %u\n", (int)part, round);
        use(round % 8 < 2 ? (uint32_t)OMENDB_OPEN_READ_ONLY : 0);
        CHECK(alloc_bytes() == before);
    }
    alarm(0);
    free(file);
    remove_store(name);
}

static void hostile_roots_are_refused_or_served(void)
{
    hostile(ROOT, 200, 1);
    CHECK(getenv("ROUND") != NULL || refused > 20);
}

static void hostile_catalogs_are_refused_or_served(void)
{
    hostile(CATALOG, 800, 2);
    CHECK(getenv("ROUND") != NULL || (refused > 50 && opened > 50));
}

static void hostile_blocks_are_reported_or_served(void)
{
    hostile(BLOCKS, 500, 3);
    CHECK(getenv("ROUND") != NULL || opened > 50);
}

/* Batches that no writer wrote, in frames that are whole. */
static void hostile_frames_are_refused_or_applied(void)
{
    char segment[300];
    size_t size = 0, log_size = 0;
    uint64_t seed = 4;
    if (getenv("SEED") != NULL) seed += strtoul(getenv("SEED"), NULL, 10) * 10;
    remove_store(name);
    snprintf(segment, sizeof segment, "%s-wal-1", name);
    struct store *store = live_open(name, 0);
    struct collection *a = live_create(store, "a");
    for (uint64_t i = 0; i < 12; i++) commit_ids(store, a, i * 3, i * 3 + 6, i, 40);
    OK(store_collection_rename(store, "a", "b", &err));
    live_delete(store, a, 5);
    collection_unpin(a);
    uint8_t *file = file_load(name, &size), *log = file_load(segment, &log_size);
    live_close(store);
    uint8_t *copy = malloc(log_size);
    const uint64_t before = alloc_bytes();
    opened = refused = 0;
    for (uint32_t round = 0; round < 600; round++) {
        struct wal_frame_header frame = {0};
        size_t end = WAL_PAGE;
        alarm(60);
        memcpy(copy, log, log_size);
        for (;; end += (sizeof frame + (size_t)frame.payload_size + WAL_PAGE - 1) / WAL_PAGE *
                       WAL_PAGE) {
            memcpy(&frame, log + end, sizeof frame);
            if (frame.magic != WAL_FRAME_MAGIC) break;
        }
        for (uint32_t i = random_below(&seed, 3) + 1; i > 0; i--) {
            /* Anywhere in a frame but in what finds it: magic and payload_size stay. */
            size_t at = WAL_PAGE;
            for (uint32_t skip = random_below(&seed, 14); skip > 0; skip--) {
                memcpy(&frame, log + at, sizeof frame);
                const size_t next = at +
                                    (sizeof frame + (size_t)frame.payload_size + WAL_PAGE - 1) /
                                        WAL_PAGE * WAL_PAGE;
                if (next >= end) break;
                at = next;
            }
            memcpy(&frame, log + at, sizeof frame);
            mutate(copy + at + 24, sizeof frame - 24 + (size_t)frame.payload_size, &seed);
        }
        uint64_t chain = 0;
        for (size_t at = WAL_PAGE; at < end;) {
            memcpy(&frame, copy + at, sizeof frame);
            if (at != WAL_PAGE) frame.chain = chain;
            memcpy(copy + at, &frame, sizeof frame);
            chain = wal_frame_checksum(copy + at, frame.payload_size, frame.salt);
            memcpy(copy + at, &chain, sizeof chain);
            at += (sizeof frame + (size_t)frame.payload_size + WAL_PAGE - 1) / WAL_PAGE * WAL_PAGE;
        }
        remove_store(name);
        file_store(name, file, size);
        file_store(segment, copy, log_size);
        if (getenv("VERBOSE") != NULL) fprintf(stderr, "frames round %u\n", round);
        use(round % 3 == 0 ? (uint32_t)OMENDB_OPEN_READ_ONLY : 0);
        CHECK(alloc_bytes() == before);
    }
    alarm(0);
    CHECK(refused > 50 && opened > 50);
    free(file);
    free(log);
    free(copy);
    remove_store(name);
}

static const struct test tests[] = {
    {"hostile_roots_are_refused_or_served", hostile_roots_are_refused_or_served},
    {"hostile_catalogs_are_refused_or_served", hostile_catalogs_are_refused_or_served},
    {"hostile_blocks_are_reported_or_served", hostile_blocks_are_reported_or_served},
    {"hostile_frames_are_refused_or_applied", hostile_frames_are_refused_or_applied},
    {0},
};

int main(int argc, char **argv)
{
    make_image();
    const int status = test_main(tests, argc, argv);
    free(images[0]);
    free(images[1]);
    return status;
}
