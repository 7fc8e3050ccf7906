/* api_snapshot_test.c - snapshots through the public API: what they show stays, whatever writers,
 * checkpoints and graphs do meanwhile, and goes when they do. */
#include <stdint.h>

#include "api/handles.h"
#include "api_help.h"

enum { DIM = 4, DOCUMENTS = 600 };

/* Power isn't lost here: no commit waits for the disk. */
static omendb *open_file(void)
{
    omendb *db = NULL;
    omendb_options options = OMENDB_OPTIONS_INIT;
    options.durability = OMENDB_DURABILITY_NONE;
    remove_files();
    OK(omendb_open(path, &options, &db, &err));
    return db;
}

static void vector_of(uint64_t number, float *out)
{
    for (uint32_t i = 0; i < DIM; i++)
        out[i] = (float)((number * 2654435761u + i * 40503u) % 1009) / 16.0f;
}

/* Document `id` of a generation: {"g": generation}, its vector told from both. */
static void put_one(omendb_collection *docs, uint64_t id, uint64_t generation)
{
    float vector[DIM];
    char json[40];
    vector_of(id * 31 + generation, vector);
    snprintf(json, sizeof json, "{\"g\":%llu}", (unsigned long long)generation);
    OK(put(docs, id, OMENDB_F32, DIM, vector, json));
}

static omendb_collection *see(omendb_snapshot *snapshot, omendb_collection *docs)
{
    omendb_collection *seen = NULL;
    OK(omendb_snapshot_collection(snapshot, docs, &seen, &err));
    return seen;
}

/* All documents are there, of that generation, by every way to read them. */
static void check_generation(omendb_collection *seen, uint64_t generation, uint64_t sequence_max)
{
    char json[40];
    omendb_documents *documents = NULL;
    omendb_find_params find = OMENDB_FIND_PARAMS_INIT;
    omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    float vector[DIM];
    uint64_t count = 0;
    snprintf(json, sizeof json, "{\"g\":%llu}", (unsigned long long)generation);
    CHECK(count_of(seen) == DOCUMENTS && count_of(seen) == DOCUMENTS);
    OK(omendb_collection_count(seen, json, strlen(json), &count, &err));
    CHECK(count == DOCUMENTS);
    find.flags = OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS;
    find.limit = DOCUMENTS + 1;
    OK(omendb_collection_find(seen, &find, &documents, &err));
    CHECK(omendb_documents_count(documents) == DOCUMENTS);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        omendb_document document;
        omendb_documents_entry(documents, i, &document);
        CHECK(document.id.number == i && strcmp(document.json_view, json) == 0);
        vector_of(i * 31 + generation, vector);
        CHECK(memcmp(omendb_documents_vector(documents, i, NULL, NULL, NULL), vector,
                     sizeof vector) == 0);
        const uint64_t version = omendb_documents_version(documents, i);
        CHECK(version != 0 && version <= sequence_max);
    }
    omendb_documents_destroy(documents);
    const omendb_id id = {.number = 17};
    OK(omendb_collection_get(seen, &id, 1, OMENDB_WITH_DOCUMENTS, &documents, &err));
    omendb_document document;
    omendb_documents_entry(documents, 0, &document);
    CHECK(document.found && strcmp(document.json_view, json) == 0);
    omendb_documents_destroy(documents);
    for (uint64_t wanted = 0; wanted < DOCUMENTS; wanted += 97) {
        vector_of(wanted * 31 + generation, vector);
        search.queries = vector;
        search.query_count = 1;
        search.dim = DIM;
        search.k = 5;
        search.flags = OMENDB_WITH_DOCUMENTS;
        OK(omendb_collection_search(seen, &search, &hits, &err));
        CHECK(omendb_hits_count(hits, 0) == 5);
        for (size_t i = 0; i < 5; i++) {
            omendb_hit hit;
            omendb_hits_entry(hits, 0, i, &hit);
            CHECK(strcmp(hit.document.json_view, json) == 0);
            CHECK(i != 0 || (hit.distance >= 0 && hit.distance <= 0));
        }
        omendb_hits_destroy(hits);
    }
}

static void shows_one_moment_whatever_is_written(void)
{
    enum { SNAPSHOTS = 3 };
    omendb *db = open_file();
    omendb_snapshot *snapshots[SNAPSHOTS] = {NULL};
    omendb_collection *seen[SNAPSHOTS] = {NULL}, *late = NULL, *late_seen = NULL;
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    for (uint64_t g = 0; g < SNAPSHOTS; g++) {
        for (uint64_t id = 0; id < DOCUMENTS; id++) put_one(docs, id, g);
        OK(omendb_snapshot_create(db, &snapshots[g], &err));
        seen[g] = see(snapshots[g], docs);
        OK(store_checkpoint(db->store, &err));
    }
    late = make(db, "late", OMENDB_F32, OMENDB_L2, DIM);
    put_one(late, 1, 1);
    late_seen = see(snapshots[0], late);
    CHECK(count_of(late_seen) == 0 && count_of(late) == 1);
    uint64_t deleted = 0;
    OK(omendb_collection_delete_where(docs, "{}", 2, &deleted, &err));
    CHECK(deleted == DOCUMENTS && count_of(docs) == 0);
    /* Numbers that go round: were anything reused too early, it would be overwritten now. */
    for (int round = 0; round < 4; round++) {
        for (uint64_t id = 0; id < DOCUMENTS; id++) put_one(docs, 1000 + id, 7);
        OK(omendb_collection_delete_where(docs, "{}", 2, &deleted, &err));
        for (int i = 0; i < 3; i++) OK(store_checkpoint(db->store, &err));
        for (uint64_t g = 0; g < SNAPSHOTS; g++)
            check_generation(seen[g], g, omendb_snapshot_sequence(snapshots[g]));
    }
    omendb_collection_close(seen[1]);
    omendb_snapshot_destroy(snapshots[1]); /* One in the middle goes. */
    check_generation(seen[0], 0, omendb_snapshot_sequence(snapshots[0]));
    check_generation(seen[2], 2, omendb_snapshot_sequence(snapshots[2]));
    omendb_snapshot_destroy(snapshots[0]);
    for (int i = 0; i < 3; i++) OK(store_checkpoint(db->store, &err));
    check_generation(seen[2], 2, omendb_snapshot_sequence(snapshots[2]));
    uint64_t count = 0;
    FAILS(OMENDB_ERR_MISUSE, omendb_collection_count(seen[0], NULL, 0, &count, &err));
    OK(omendb_collection_drop(db, "docs", &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_count(seen[2], NULL, 0, &count, &err));
    omendb_snapshot_destroy(snapshots[2]);
    omendb_collection_close(seen[0]);
    omendb_collection_close(seen[2]);
    omendb_collection_close(late_seen);
    omendb_collection_close(late);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    remove_files();
}

static uint64_t stat_of(omendb *db, const char *name)
{
    char *text = NULL, key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    OK(omendb_stats(db, &text, &err));
    const char *at = strstr(text, key);
    CHECK(at != NULL);
    at += strlen(key);
    const uint64_t value = strncmp(at, "null", 4) == 0 ? UINT64_MAX : strtoull(at, NULL, 10);
    omendb_text_destroy(text);
    return value;
}

static void space_waits_for_the_oldest_alone(void)
{
    omendb *db = open_file();
    omendb_snapshot *old = NULL, *young = NULL;
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    for (uint64_t id = 0; id < DOCUMENTS; id++) put_one(docs, id, 0);
    CHECK(stat_of(db, "snapshots") == 0);
    CHECK(stat_of(db, "snapshot_oldest_sequence") == UINT64_MAX);
    CHECK(stat_of(db, "snapshot_oldest_ms") == UINT64_MAX);
    OK(omendb_snapshot_create(db, &old, &err));
    for (uint64_t id = 0; id < DOCUMENTS; id++) put_one(docs, id, 1);
    OK(omendb_snapshot_create(db, &young, &err));
    for (uint64_t id = 0; id < DOCUMENTS; id++) put_one(docs, id, 2);
    CHECK(stat_of(db, "snapshots") == 2);
    CHECK(stat_of(db, "snapshot_oldest_sequence") == omendb_snapshot_sequence(old));
    CHECK(stat_of(db, "snapshot_oldest_ms") < 600000);
    OK(store_checkpoint(db->store, &err));
    CHECK(stat_of(db, "dead_slots") == 2 * DOCUMENTS);
    omendb_snapshot_destroy(old);
    CHECK(stat_of(db, "snapshot_oldest_sequence") == omendb_snapshot_sequence(young));
    /* Nothing was written since: it goes although, at the next look. */
    OK(store_checkpoint(db->store, &err));
    CHECK(stat_of(db, "dead_slots") == DOCUMENTS);
    omendb_snapshot_destroy(young);
    OK(store_checkpoint(db->store, &err));
    CHECK(stat_of(db, "dead_slots") == 0);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    remove_files();
}

/* In memory nothing checkpoints: commits reclaim. */
static void memory_waits_too(void)
{
    omendb *db = open_memory();
    omendb_snapshot *snapshot = NULL;
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    for (uint64_t id = 0; id < DOCUMENTS; id++) put_one(docs, id, 0);
    OK(omendb_snapshot_create(db, &snapshot, &err));
    omendb_collection *seen = see(snapshot, docs);
    for (uint64_t g = 1; g <= 6; g++)
        for (uint64_t id = 0; id < DOCUMENTS; id++) put_one(docs, id, g);
    CHECK(stat_of(db, "dead_slots") == 6 * DOCUMENTS);
    check_generation(seen, 0, omendb_snapshot_sequence(snapshot));
    omendb_collection_close(seen);
    omendb_snapshot_destroy(snapshot);
    for (uint64_t id = 0; id < DOCUMENTS; id++) put_one(docs, id, 7);
    CHECK(stat_of(db, "dead_slots") < 2 * DOCUMENTS);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void an_old_moment_is_searched_by_the_graph(void)
{
    enum { MANY = 6000, QUERIES = 40, K = 10 };
    omendb *db = open_memory();
    omendb_snapshot *snapshot = NULL;
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    omendb_batch *batch = NULL;
    static float vectors[MANY][DIM];
    static uint64_t ids[MANY];
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    for (uint64_t i = 0; i < MANY; i++) {
        ids[i] = i;
        for (uint32_t j = 0; j < DIM; j++)
            vectors[i][j] = (float)((i + 1) * (2654435761u + j * 97) % 65521) / 4096.0f;
    }
    column.data = vectors;
    column.dim = DIM;
    rows.count = MANY;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    OK(omendb_batch_create(db, &batch, &err));
    OK(omendb_batch_upsert(batch, docs, &rows, &err));
    OK(omendb_batch_commit(batch, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    OK(omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
    OK(omendb_snapshot_create(db, &snapshot, &err));
    omendb_collection *seen = see(snapshot, docs);
    /* Two thirds go; what comes is as many, under other ids, near the same places. */
    omendb_id gone[MANY];
    for (size_t i = 0; i < MANY; i++) gone[i] = (omendb_id){.number = i};
    OK(omendb_batch_delete(batch, docs, gone, MANY * 2 / 3, &err));
    for (uint64_t i = 0; i < MANY; i++) {
        ids[i] = MANY + i;
        vectors[i][0] += 0.001f;
    }
    OK(omendb_batch_upsert(batch, docs, &rows, &err));
    OK(omendb_batch_commit(batch, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    OK(omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
    CHECK(count_of(seen) == MANY && count_of(docs) == MANY + MANY - MANY * 2 / 3);
    size_t same = 0, walks = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
        omendb_hits *found = NULL, *exact = NULL;
        search.queries = vectors[q * 149];
        search.query_count = 1;
        search.dim = DIM;
        search.k = K;
        search.ef = 64;
        OK(omendb_collection_search(seen, &search, &found, &err));
        walks += strstr(omendb_hits_explain(found), "\"plan\":\"graph\"") != NULL;
        search.ef = 0;
        search.flags = OMENDB_EXACT;
        OK(omendb_collection_search(seen, &search, &exact, &err));
        CHECK(omendb_hits_count(found, 0) == K && omendb_hits_count(exact, 0) == K);
        for (size_t i = 0; i < K; i++) {
            omendb_hit a, b;
            omendb_hits_entry(exact, 0, i, &a);
            CHECK(a.document.id.number < MANY);
            for (size_t j = 0; j < K; j++) {
                omendb_hits_entry(found, 0, j, &b);
                CHECK(b.document.id.number < MANY);
                same += a.document.id.number == b.document.id.number;
            }
        }
        omendb_hits_destroy(found);
        omendb_hits_destroy(exact);
    }
    CHECK(walks > QUERIES / 2 && same > QUERIES * K * 9 / 10);
    omendb_collection_close(seen);
    omendb_snapshot_destroy(snapshot);
    omendb_batch_destroy(batch);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void refuses_what_it_cannot_do(void)
{
    static omendb_snapshot *many[OMENDB_SNAPSHOTS_MAX];
    omendb *db = open_memory(), *other = open_memory();
    omendb_snapshot *snapshot = NULL, *one_more = NULL;
    omendb_batch *batch = NULL;
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM), *none = NULL;
    omendb_collection *foreign = make(other, "docs", OMENDB_F32, OMENDB_L2, DIM);
    FAILS(OMENDB_ERR_ARGUMENT, omendb_snapshot_create(NULL, &snapshot, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_snapshot_create(db, NULL, &err));
    OK(omendb_snapshot_create(db, &snapshot, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_snapshot_collection(NULL, docs, &none, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_snapshot_collection(snapshot, NULL, &none, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_snapshot_collection(snapshot, docs, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_snapshot_collection(snapshot, foreign, &none, &err));
    omendb_collection *seen = see(snapshot, docs);
    float vector[DIM] = {1};
    FAILS(OMENDB_ERR_READ_ONLY, put(seen, 1, OMENDB_F32, DIM, vector, NULL));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_delete(seen, NULL, 0, NULL, &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_delete_where(seen, "{}", 2, NULL, &err));
    OK(omendb_batch_create(db, &batch, &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_batch_delete(batch, seen, NULL, 0, &err));
    omendb_batch_destroy(batch);
    for (size_t i = 1; i < OMENDB_SNAPSHOTS_MAX; i++)
        OK(omendb_snapshot_create(db, &many[i], &err));
    FAILS(OMENDB_ERR_BUSY, omendb_snapshot_create(db, &one_more, &err));
    CHECK(stat_of(db, "snapshots") == OMENDB_SNAPSHOTS_MAX);
    omendb_snapshot_destroy(many[5]);
    OK(omendb_snapshot_create(db, &many[5], &err));
    for (size_t i = 1; i < OMENDB_SNAPSHOTS_MAX; i++) omendb_snapshot_destroy(many[i]);
    omendb_snapshot_destroy(snapshot);
    omendb_snapshot_destroy(NULL);
    CHECK(omendb_snapshot_sequence(NULL) == 0 && omendb_documents_version(NULL, 0) == 0);
    uint64_t count = 0;
    FAILS(OMENDB_ERR_MISUSE, omendb_collection_count(seen, NULL, 0, &count, &err));
    omendb_collection_close(seen);
    omendb_collection_close(docs);
    omendb_collection_close(foreign);
    OK(omendb_close(db, &err));
    OK(omendb_close(other, &err));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"shows_one_moment_whatever_is_written", shows_one_moment_whatever_is_written},
        {"space_waits_for_the_oldest_alone", space_waits_for_the_oldest_alone},
        {"memory_waits_too", memory_waits_too},
        {"an_old_moment_is_searched_by_the_graph", an_old_moment_is_searched_by_the_graph},
        {"refuses_what_it_cannot_do", refuses_what_it_cannot_do},
        {NULL, NULL},
    };
    make_path("snapshot");
    return test_main(tests, argc, argv);
}
