/* refresh_faults_test.c - a reader that follows, on the simulated disk: every read of a refresh fails in
 * turn, and frames are half written. Whatever happens, the reader shows a batch as a whole, never an
 * older one, and catches up. */
#include "api/db.h"
#include "api/handles.h"
#include "query/indexes.h"
#include "sim/vfs_sim.h"
#include "store/store_inner.h"
#include "test.h"

enum { DIM = 4, BODY = 5, BATCHES = 40 };

static const char data_path[] = "/disk/refresh.omen";
static omendb_error err;

#define OK(call)                                                                                   \
    do {                                                                                           \
        const omendb_status status_ = (call);                                                      \
        if (status_ != OMENDB_OK) fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, err.message); \
        CHECK(status_ == OMENDB_OK);                                                               \
    } while (0)

struct pair {
    struct sim *sim;
    omendb *db, *reader;
    omendb_collection *docs, *seen;
    uint32_t written; /* The newest batch that was acknowledged, */
    uint32_t shown;   /* and the newest that the reader has shown. */
};

static omendb_status open_on(struct sim *sim, uint32_t flags, omendb **out)
{
    const struct store_options base = {.vfs = sim_vfs(sim), .hooks = *indexes_hooks_all()};
    omendb_options options = OMENDB_OPTIONS_INIT;
    options.flags = flags;
    options.durability = OMENDB_DURABILITY_FULL;
    return db_open(&base, data_path, &options, out, &err);
}

/* Batch n writes n into all documents. */
static omendb_status write_number(omendb_collection *docs, uint32_t n)
{
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    uint64_t ids[BODY];
    float vectors[BODY][DIM] = {{0}};
    for (uint32_t i = 0; i < BODY; i++) {
        ids[i] = i + 1;
        vectors[i][0] = (float)n;
    }
    column.dim = DIM;
    column.data = vectors;
    rows.count = BODY;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    return omendb_collection_upsert(docs, &rows, &err);
}

static uint32_t number_shown(omendb_collection *docs)
{
    omendb_id ids[BODY];
    omendb_documents *documents = NULL;
    for (uint64_t i = 0; i < BODY; i++) ids[i] = (omendb_id){.number = i + 1};
    OK(omendb_collection_get(docs, ids, BODY, OMENDB_WITH_VECTORS, &documents, &err));
    const float *first = omendb_documents_vector(documents, 0, NULL, NULL, NULL);
    CHECK(first != NULL);
    const float number = first[0];
    for (size_t i = 1; i < BODY; i++) {
        const float *vector = omendb_documents_vector(documents, i, NULL, NULL, NULL);
        CHECK(vector != NULL && vector[0] == number);
    }
    omendb_documents_destroy(documents);
    return (uint32_t)number;
}

static void write_next(struct pair *pair)
{
    OK(write_number(pair->docs, pair->written + 1));
    pair->written++;
}

static void pair_begin(struct pair *pair)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    *pair = (struct pair){.sim = sim_create(7)};
    OK(open_on(pair->sim, 0, &pair->db));
    field.name = "v";
    field.dim = DIM;
    schema.vectors = &field;
    schema.vectors_count = 1;
    OK(omendb_collection_create(pair->db, "docs", &schema, &pair->docs, &err));
    write_next(pair);
    OK(open_on(pair->sim, OMENDB_OPEN_READ_ONLY, &pair->reader));
    OK(omendb_collection_open(pair->reader, "docs", &pair->seen, &err));
    pair->shown = 1;
}

static void pair_end(struct pair *pair)
{
    omendb_collection_close(pair->seen);
    omendb_collection_close(pair->docs);
    OK(omendb_close(pair->reader, &err));
    OK(omendb_close(pair->db, &err));
    CHECK(sim_open_files(pair->sim) == 0);
    sim_destroy(pair->sim);
}

/* Whatever the refresh said, the reader shows one batch, and none before the last it showed. */
static void looks(struct pair *pair)
{
    const uint32_t n = number_shown(pair->seen);
    CHECK(n >= pair->shown && n <= pair->written);
    pair->shown = n;
}

static void catches_up(struct pair *pair)
{
    OK(omendb_refresh(pair->reader, &err));
    looks(pair);
    CHECK(pair->shown == pair->written);
}

/* `anew`: behind a checkpoint, so that the newer image is opened. */
static void reads_fail_in_turn(bool anew)
{
    struct pair pair;
    uint32_t failed = 0;
    bool all = false;
    pair_begin(&pair);
    for (uint64_t n = 1; !all; n++) {
        write_next(&pair);
        if (anew) OK(store_checkpoint(pair.db->store, &err));
        else write_next(&pair);
        const uint64_t before = sim_call_count(pair.sim, SIM_READ);
        sim_fail_read_at(pair.sim, before + n);
        const omendb_status status = omendb_refresh(pair.reader, &err);
        all = sim_call_count(pair.sim, SIM_READ) < before + n;
        sim_fail_read_at(pair.sim, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_IO || status == OMENDB_ERR_CORRUPT);
        failed += status != OMENDB_OK;
        looks(&pair);
        if (status == OMENDB_OK) CHECK(pair.shown == pair.written);
        catches_up(&pair);
        CHECK(n < 1000);
    }
    CHECK(failed > 0);
    pair_end(&pair);
}

static void a_read_that_fails_leaves_a_whole_batch(void)
{
    reads_fail_in_turn(false);
    reads_fail_in_turn(true);
}

/* The frame of the newest batch isn't there as a whole yet: nothing is missed, nothing is torn. */
static void a_frame_that_is_half_written_waits(void)
{
    struct pair pair;
    char name[64];
    pair_begin(&pair);
    for (uint32_t i = 0; i < BATCHES; i++) {
        write_next(&pair);
        const struct wal *wal = &pair.db->store->wal;
        snprintf(name, sizeof name, "%s-wal-%llu", data_path, (unsigned long long)wal->writing);
        const uint64_t at = wal->offset - 4096 + 8 * (i + 1);
        CHECK(sim_flip(pair.sim, name, at, 1));
        OK(omendb_refresh(pair.reader, &err));
        looks(&pair);
        CHECK(pair.shown == pair.written - 1);
        CHECK(sim_flip(pair.sim, name, at, 1));
        catches_up(&pair);
    }
    pair_end(&pair);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_read_that_fails_leaves_a_whole_batch", a_read_that_fails_leaves_a_whole_batch},
        {"a_frame_that_is_half_written_waits", a_frame_that_is_half_written_waits},
        {0},
    };
    return test_main(tests, argc, argv);
}
