/* refresh_test.c - a read-only handle that follows its writer, against a model of what was written:
 * through batches, checkpoints, closes, renames, drops; with snapshots that stay behind, without
 * memory, and with files that are moved or damaged. Real processes: processes_test.c. */
#include <sys/stat.h>

#include "api_help.h"
#include "base/alloc.h"

enum {
    DIM = 32,
    IDS = 48,
    COLLECTIONS = 3,
    PADDING = 2500,
    STEPS = 1500,
    BATCH_MAX = 6,
    SNAPSHOTS = 4
};

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint32_t random_below(uint64_t *state, uint32_t limit)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((z ^ (z >> 31)) % limit);
}

/* What one collection holds; value 0: no such document. */
struct content {
    bool exists;
    uint32_t name; /* Of "c0", "c1", ...: grows with every creation and rename. */
    uint32_t values[IDS];
};

struct model {
    struct content collections[COLLECTIONS];
};

struct world {
    omendb *db, *reader;
    struct model now;                        /* The writer's. */
    omendb_collection *written[COLLECTIONS]; /* Its handles, */
    omendb_collection *read[COLLECTIONS];    /* and the reader's, opened when first seen. */
    struct model seen;                       /* What the reader must show. */
    uint32_t names, values;
    uint64_t random;
};

static omendb *open_as(uint32_t flags)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb *db = NULL;
    options.flags = flags;
    options.durability = OMENDB_DURABILITY_INTERVAL;
    options.wal_size_max = 256 << 10;
    OK(omendb_open(path, &options, &db, &err));
    return db;
}

static void add(omendb_batch *batch, omendb_collection *collection, uint64_t id, uint32_t value)
{
    static char json[PADDING + 64];
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    float vector[DIM] = {(float)value};
    const int size = snprintf(json, sizeof json, "{\"n\":%u,\"padding\":\"%0*u\"}", value,
                              (int)(value % PADDING), value);
    const uint64_t offsets[2] = {0, (uint64_t)size};
    column.dim = DIM;
    column.data = vector;
    rows.count = 1;
    rows.id_numbers = &id;
    rows.vectors = &column;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = offsets;
    OK(omendb_batch_upsert(batch, collection, &rows, &err));
}

/* One batch over all collections that there are. */
static void write_some(struct world *world)
{
    omendb_batch *batch = NULL;
    OK(omendb_batch_create(world->db, &batch, &err));
    const uint32_t count = 1 + random_below(&world->random, BATCH_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = random_below(&world->random, COLLECTIONS);
        const uint32_t id = random_below(&world->random, IDS);
        struct content *content = &world->now.collections[at];
        if (!content->exists) continue;
        if (random_below(&world->random, 3) == 0) {
            OK(omendb_batch_delete(batch, world->written[at], &(omendb_id){.number = id + 1}, 1,
                                   &err));
            content->values[id] = 0;
        } else {
            content->values[id] = ++world->values;
            add(batch, world->written[at], id + 1, world->values);
        }
    }
    OK(omendb_batch_commit(batch, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    omendb_batch_destroy(batch);
}

static void name_of(char out[32], uint32_t name)
{
    snprintf(out, 32, "c%u", name);
}

static void change_catalog(struct world *world)
{
    char name[32], other[32];
    const uint32_t at = random_below(&world->random, COLLECTIONS);
    struct content *content = &world->now.collections[at];
    name_of(name, content->name);
    if (!content->exists) {
        *content = (struct content){.exists = true, .name = ++world->names};
        name_of(name, content->name);
        world->written[at] = make(world->db, name, OMENDB_F32, OMENDB_L2, DIM);
    } else if (random_below(&world->random, 2) == 0) {
        name_of(other, ++world->names);
        OK(omendb_collection_rename(world->db, name, other, &err));
        content->name = world->names;
    } else {
        omendb_collection_close(world->written[at]);
        OK(omendb_collection_drop(world->db, name, &err));
        content->exists = false;
    }
}

static void reopen_writer(struct world *world)
{
    char name[32];
    for (uint32_t i = 0; i < COLLECTIONS; i++)
        if (world->now.collections[i].exists) omendb_collection_close(world->written[i]);
    OK(omendb_close(world->db, &err));
    world->db = open_as(0);
    for (uint32_t i = 0; i < COLLECTIONS; i++) {
        name_of(name, world->now.collections[i].name);
        if (world->now.collections[i].exists)
            OK(omendb_collection_open(world->db, name, &world->written[i], &err));
    }
}

static void shows(omendb_collection *collection, const struct content *content)
{
    omendb_id ids[IDS];
    omendb_documents *documents = NULL;
    uint64_t count = 0;
    uint32_t newest = 0;
    for (uint64_t i = 0; i < IDS; i++) ids[i] = (omendb_id){.number = i + 1};
    OK(omendb_collection_get(collection, ids, IDS, OMENDB_WITH_VECTORS, &documents, &err));
    for (size_t i = 0; i < IDS; i++) {
        const float *vector = omendb_documents_vector(documents, i, NULL, NULL, NULL);
        CHECK((vector != NULL) == (content->values[i] != 0));
        if (vector != NULL) CHECK((uint32_t)vector[0] == content->values[i]);
        count += vector != NULL;
        if (content->values[i] > content->values[newest]) newest = (uint32_t)i;
    }
    omendb_documents_destroy(documents);
    CHECK(count_of(collection) == count);
    if (count == 0) return;
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    const float query[DIM] = {(float)content->values[newest]};
    float score = 0;
    uint64_t id = 0;
    uint32_t found = 0;
    params.queries = query;
    params.query_count = 1;
    params.dim = DIM;
    params.k = 1;
    OK(omendb_search_vectors(collection, &params, &id, &score, &found, &err));
    CHECK(found == 1 && id == newest + 1);
}

static void reader_shows(struct world *world, const struct model *model)
{
    char name[32], *text = NULL;
    omendb_collection *collection = NULL;
    for (uint32_t i = 0; i < COLLECTIONS; i++) {
        const struct content *content = &model->collections[i];
        if (!content->exists) continue;
        shows(world->read[i], content);
        name_of(name, content->name);
        OK(omendb_collection_describe(world->read[i], &text, &err));
        CHECK(strstr(text, name) != NULL);
        omendb_text_destroy(text);
        OK(omendb_collection_open(world->reader, name, &collection, &err));
        omendb_collection_close(collection);
    }
}

/* The reader has refreshed: what it held of collections that are gone says so; new ones are opened. */
static void reader_moves(struct world *world, const struct model *before)
{
    char name[32];
    uint64_t count = 0;
    for (uint32_t i = 0; i < COLLECTIONS; i++) {
        const struct content *content = &world->now.collections[i];
        bool same = before->collections[i].exists && content->exists;
        if (same)
            same = omendb_collection_count(world->read[i], NULL, 0, &count, &err) == OMENDB_OK;
        if (before->collections[i].exists && !same) {
            FAILS(OMENDB_ERR_NOT_FOUND,
                  omendb_collection_count(world->read[i], NULL, 0, &count, &err));
            omendb_collection_close(world->read[i]);
        }
        name_of(name, content->name);
        if (content->exists && !same)
            OK(omendb_collection_open(world->reader, name, &world->read[i], &err));
    }
    world->seen = world->now;
}

static void world_begin(struct world *world, uint64_t seed)
{
    remove_files();
    *world = (struct world){.random = seed};
    world->db = open_as(0);
    for (uint32_t i = 0; i < COLLECTIONS * 2; i++) change_catalog(world);
    world->reader = open_as(OMENDB_OPEN_READ_ONLY);
    const struct model nothing = {0};
    reader_moves(world, &nothing);
}

static void world_end(struct world *world)
{
    for (uint32_t i = 0; i < COLLECTIONS; i++) {
        if (world->now.collections[i].exists) omendb_collection_close(world->written[i]);
        if (world->seen.collections[i].exists) omendb_collection_close(world->read[i]);
    }
    OK(omendb_close(world->reader, &err));
    OK(omendb_close(world->db, &err));
    remove_files();
}

struct kept { /* A snapshot, and what it must show as long as it is kept. */
    omendb_snapshot *snapshot;
    omendb_collection *seen[COLLECTIONS];
    struct model model;
};

static void keep(struct world *world, struct kept *kept)
{
    *kept = (struct kept){.model = world->seen};
    OK(omendb_snapshot_create(world->reader, &kept->snapshot, &err));
    for (uint32_t i = 0; i < COLLECTIONS; i++)
        if (world->seen.collections[i].exists)
            OK(omendb_snapshot_collection(kept->snapshot, world->read[i], &kept->seen[i], &err));
}

static void give(struct kept *kept)
{
    uint64_t count = 0;
    for (uint32_t i = 0; kept->snapshot != NULL && i < COLLECTIONS; i++) {
        if (kept->seen[i] == NULL) continue;
        /* Of a collection that was dropped since, it may know no more. */
        if (omendb_collection_count(kept->seen[i], NULL, 0, &count, &err) == OMENDB_OK)
            shows(kept->seen[i], &kept->model.collections[i]);
        else CHECK(err.status == OMENDB_ERR_NOT_FOUND);
        omendb_collection_close(kept->seen[i]);
    }
    omendb_snapshot_destroy(kept->snapshot);
    kept->snapshot = NULL;
}

static void a_reader_follows_the_writer_through_everything(void)
{
    struct world world;
    struct kept kept[SNAPSHOTS] = {0};
    world_begin(&world, 1);
    for (uint32_t step = 0; step < STEPS; step++) {
        const uint32_t choice = random_below(&world.random, 100);
        if (choice < 3) change_catalog(&world);
        else if (choice == 3) reopen_writer(&world);
        else write_some(&world);
        if (random_below(&world.random, 4) != 0) continue;
        if (step % 8 == 0) reader_shows(&world, &world.seen); /* Nothing happens by itself. */
        const struct model before = world.seen;
        OK(omendb_refresh(world.reader, &err));
        reader_moves(&world, &before);
        reader_shows(&world, &world.now);
        struct kept *one = &kept[random_below(&world.random, SNAPSHOTS)];
        give(one);
        if (random_below(&world.random, 2) == 0) keep(&world, one);
    }
    char *report = NULL;
    OK(omendb_check(world.reader, OMENDB_CHECK_DEEP, &report, &err));
    CHECK(strstr(report, "\"problems\":[]") != NULL);
    omendb_text_destroy(report);
    for (uint32_t i = 0; i < SNAPSHOTS; i++) give(&kept[i]);
    world_end(&world);
}

static void a_handle_that_writes_is_at_its_newest_state(void)
{
    omendb *db = open_memory();
    OK(omendb_refresh(db, &err));
    OK(omendb_close(db, &err));
    remove_files();
    db = open_as(0);
    OK(omendb_refresh(db, &err));
    OK(omendb_close(db, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_refresh(NULL, &err));
    remove_files();
}

static void a_refresh_without_news_keeps_no_memory(void)
{
    struct world world;
    world_begin(&world, 2);
    for (int i = 0; i < 20; i++) write_some(&world);
    const struct model before = world.seen;
    OK(omendb_refresh(world.reader, &err));
    reader_moves(&world, &before);
    /* The writer's own threads may take some meanwhile, but not each time. */
    bool same = false;
    for (int tries = 0; tries < 20 && !same; tries++) {
        const uint64_t bytes = alloc_bytes();
        for (int i = 0; i < 100; i++) OK(omendb_refresh(world.reader, &err));
        same = alloc_bytes() == bytes;
    }
    CHECK(same);
    world_end(&world);
}

/* Every request for memory of a refresh fails in turn. What is shown is then the state before, or a
 * part of the batches since; and the refresh after it catches up. `anew`: behind a checkpoint. */
static void refresh_without_memory(bool anew, bool once)
{
    struct world world;
    char *text = NULL;
    world_begin(&world, 3);
    for (int i = 0; i < 10; i++) write_some(&world);
    const struct model begin = world.seen;
    OK(omendb_refresh(world.reader, &err));
    reader_moves(&world, &begin);
    bool all = false;
    for (long n = 0; !all; n++) {
        const struct model before = world.seen;
        if (random_below(&world.random, 10) == 0) change_catalog(&world);
        write_some(&world);
        if (anew) {
            omendb_backup_options options = OMENDB_BACKUP_OPTIONS_INIT;
            char name[300];
            snprintf(name, sizeof name, "%s-copy", path);
            OK(omendb_backup(world.db, name, &options, &err)); /* Makes a checkpoint. */
            CHECK(unlink(name) == 0);
        } else {
            write_some(&world);
        }
        alloc_fail_after(n, once);
        const omendb_status status = omendb_refresh(world.reader, &err);
        const long left = alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
        all = status == OMENDB_OK && left > 0;
        /* It goes on answering; of what is half on the way, only that it is there is known. */
        OK(omendb_collection_list(world.reader, &text, &err));
        omendb_text_destroy(text);
        if (status != OMENDB_OK && anew) reader_shows(&world, &before);
        OK(omendb_refresh(world.reader, &err));
        reader_moves(&world, &before);
        reader_shows(&world, &world.now);
        CHECK(n < 5000);
    }
    world_end(&world);
}

static void without_memory_a_refresh_changes_nothing_or_less(void)
{
    refresh_without_memory(false, false);
    refresh_without_memory(false, true);
    refresh_without_memory(true, false);
    refresh_without_memory(true, true);
}

static void a_file_that_was_moved_or_replaced_is_not_followed(void)
{
    struct world world;
    char aside[300], another[300];
    world_begin(&world, 4);
    write_some(&world);
    const struct model before = world.seen;
    OK(omendb_refresh(world.reader, &err));
    reader_moves(&world, &before);
    snprintf(aside, sizeof aside, "%s-aside", path);
    CHECK(rename(path, aside) == 0);
    FAILS(OMENDB_ERR_IO, omendb_refresh(world.reader, &err));
    snprintf(another, sizeof another, "%s-other", path);
    omendb *other = NULL;
    OK(omendb_open(another, NULL, &other, &err));
    OK(omendb_close(other, &err));
    CHECK(rename(another, path) == 0);
    FAILS(OMENDB_ERR_IO, omendb_refresh(world.reader, &err));
    reader_shows(&world, &world.seen);
    CHECK(rename(aside, path) == 0);
    OK(omendb_refresh(world.reader, &err));
    world_end(&world);
}

static void xor_bytes(const char *name, off_t at, size_t count)
{
    unsigned char bytes[512] = {0};
    FILE *file = fopen(name, "r+b");
    CHECK(file != NULL && count <= sizeof bytes && fseeko(file, at, SEEK_SET) == 0);
    CHECK(fread(bytes, 1, count, file) == count);
    for (size_t i = 0; i < count; i++) bytes[i] ^= 0x5a;
    CHECK(fseeko(file, at, SEEK_SET) == 0 && fwrite(bytes, 1, count, file) == count);
    CHECK(fclose(file) == 0);
}

/* Damage in the log behind what was read, with a later frame that proves it; then it is mended. */
static void damage_is_reported_and_what_was_seen_stays(void)
{
    struct stat about;
    omendb_collection *docs = NULL;
    char name[300];
    float vector[DIM] = {0};
    remove_files();
    omendb *db = open_as(0);
    docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    OK(put(docs, 1, OMENDB_F32, DIM, vector, "{}"));
    OK(omendb_sync(db, &err));
    omendb *reader = open_as(OMENDB_OPEN_READ_ONLY);
    omendb_collection *read = NULL;
    OK(omendb_collection_open(reader, "docs", &read, &err));
    CHECK(count_of(read) == 1);
    for (uint64_t id = 2; id <= 3; id++) {
        OK(put(docs, id, OMENDB_F32, DIM, vector, "{}"));
        OK(omendb_sync(db, &err));
    }
    /* Header, collection, the first document: the second one's frame is the page behind, and the
     * third one's says that it was durable. The idle mark may come at any time, but not before. */
    snprintf(name, sizeof name, "%s-wal-1", path);
    CHECK(stat(name, &about) == 0);
    xor_bytes(name, 3 * 4096 + 100, 200);
    FAILS(OMENDB_ERR_CORRUPT, omendb_refresh(reader, &err));
    FAILS(OMENDB_ERR_CORRUPT, omendb_refresh(reader, &err));
    CHECK(count_of(read) == 1);
    xor_bytes(name, 3 * 4096 + 100, 200);
    OK(omendb_refresh(reader, &err));
    CHECK(count_of(read) == 3);
    /* Both superblocks. */
    xor_bytes(path, 100, 200);
    xor_bytes(path, 65536 + 100, 200);
    FAILS(OMENDB_ERR_CORRUPT, omendb_refresh(reader, &err));
    CHECK(count_of(read) == 3);
    xor_bytes(path, 100, 200);
    xor_bytes(path, 65536 + 100, 200);
    OK(omendb_refresh(reader, &err));
    omendb_collection_close(read);
    omendb_collection_close(docs);
    OK(omendb_close(reader, &err));
    OK(omendb_close(db, &err));
    remove_files();
}

static void two_states_of_many_collections_find_room(void)
{
    enum { MANY = 40 };
    omendb_collection *read[MANY];
    const float vector[DIM] = {1};
    char name[32];
    remove_files();
    omendb *db = open_as(0);
    for (uint32_t i = 0; i < MANY; i++) {
        name_of(name, i);
        omendb_collection *collection = make(db, name, OMENDB_F32, OMENDB_L2, DIM);
        OK(put(collection, 1, OMENDB_F32, DIM, vector, "{}"));
        omendb_collection_close(collection);
    }
    OK(omendb_close(db, &err));
    omendb *reader = open_as(OMENDB_OPEN_READ_ONLY);
    for (uint32_t i = 0; i < MANY; i++) {
        name_of(name, i);
        OK(omendb_collection_open(reader, name, &read[i], &err));
    }
    db = open_as(0);
    for (uint32_t i = 0; i < MANY; i++) {
        omendb_collection *collection = NULL;
        name_of(name, i);
        OK(omendb_collection_open(db, name, &collection, &err));
        OK(put(collection, 2, OMENDB_F32, DIM, vector, "{}"));
        omendb_collection_close(collection);
    }
    OK(omendb_close(db, &err));
    OK(omendb_refresh(reader, &err));
    for (uint32_t i = 0; i < MANY; i++) {
        CHECK(count_of(read[i]) == 2);
        omendb_collection_close(read[i]);
    }
    OK(omendb_close(reader, &err));
    remove_files();
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_reader_follows_the_writer_through_everything",
         a_reader_follows_the_writer_through_everything},
        {"a_handle_that_writes_is_at_its_newest_state",
         a_handle_that_writes_is_at_its_newest_state},
        {"a_refresh_without_news_keeps_no_memory", a_refresh_without_news_keeps_no_memory},
        {"without_memory_a_refresh_changes_nothing_or_less",
         without_memory_a_refresh_changes_nothing_or_less},
        {"a_file_that_was_moved_or_replaced_is_not_followed",
         a_file_that_was_moved_or_replaced_is_not_followed},
        {"damage_is_reported_and_what_was_seen_stays", damage_is_reported_and_what_was_seen_stays},
        {"two_states_of_many_collections_find_room", two_states_of_many_collections_find_room},
        {0},
    };
    make_path("refresh");
    return test_main(tests, argc, argv);
}
