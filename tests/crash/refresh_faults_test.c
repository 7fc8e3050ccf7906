/* refresh_faults_test.c - a reader that follows, on the simulated disk: every read of a refresh fails in
 * turn, frames are half written, the writer goes on at any read of a refresh, and a refresh comes at any
 * call of the writer. Whatever happens, the reader shows a batch as a whole, never an older one, and
 * everything that was acknowledged before. */
#include "api/db.h"
#include "api/handles.h"
#include "query/indexes.h"
#include "sim/vfs_sim.h"
#include "store/store_inner.h"
#include "test.h"

enum { DIM = 4096, BODY = 5, BATCHES = 40 }; /* Three batches fill a segment of the log. */

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
    uint32_t started; /* The newest batch that the writer has begun, */
    uint32_t written; /* that was acknowledged, */
    uint32_t shown;   /* and that the reader has shown. */
};

static omendb_status open_on(struct sim *sim, uint32_t flags, omendb **out)
{
    const struct store_options base = {
        .vfs = sim_vfs(sim), .hooks = *indexes_hooks_all(), .wal_segment_size = 256 << 10};
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
    static float vectors[BODY][DIM];
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
    pair->started++;
    OK(write_number(pair->docs, pair->started));
    pair->written = pair->started;
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
    CHECK(n >= pair->shown && n <= pair->started);
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

/* ---- The other one's turn in the midst of a call ---- */

static struct {
    const struct vfs_ops *beneath;
    struct vfs_ops over;
    void (*at_read)(void *context, struct file *file);
    void (*at_change)(void *context);
    void *context;
    bool within;
} between;

static omendb_status between_read(struct file *file, uint64_t offset, void *buffer, size_t size,
                                  size_t *got, omendb_error *error)
{
    if (between.at_read != NULL && !between.within) {
        between.within = true;
        between.at_read(between.context, file);
        between.within = false;
    }
    return between.beneath->read(file, offset, buffer, size, got, error);
}

static void between_change(void)
{
    if (between.at_change == NULL || between.within) return;
    between.within = true;
    between.at_change(between.context);
    between.within = false;
}

static omendb_status between_write(struct file *file, uint64_t offset, const void *data,
                                   size_t size, omendb_error *error)
{
    between_change();
    return between.beneath->write(file, offset, data, size, error);
}

static omendb_status between_sync(struct file *file, omendb_error *error)
{
    between_change();
    return between.beneath->sync(file, error);
}

static omendb_status between_rename(struct vfs *vfs, const char *from, const char *to,
                                    omendb_error *error)
{
    between_change();
    return between.beneath->rename(vfs, from, to, error);
}

static omendb_status between_remove(struct vfs *vfs, const char *path, omendb_error *error)
{
    between_change();
    return between.beneath->remove(vfs, path, error);
}

static void between_begin(struct pair *pair)
{
    struct vfs *vfs = sim_vfs(pair->sim);
    between.beneath = vfs->ops;
    between.over = *vfs->ops;
    between.over.read = between_read;
    between.over.write = between_write;
    between.over.sync = between_sync;
    between.over.rename = between_rename;
    between.over.remove = between_remove;
    between.context = pair;
    vfs->ops = &between.over;
}

static void between_end(struct pair *pair)
{
    sim_vfs(pair->sim)->ops = between.beneath;
    between.at_read = NULL;
    between.at_change = NULL;
}

static uint64_t reads_until; /* The writer's turn; 0: it has had it. */
static uint32_t
    turn_images; /* What it does then: so many batches, each with a checkpoint behind it. */

static void writer_goes_on(void *context, struct file *file)
{
    (void)file;
    if (reads_until == 0 || --reads_until != 0) return;
    for (uint32_t i = 0; i < turn_images; i++) {
        const struct pair *pair = context;
        write_next(context);
        OK(store_checkpoint(pair->db->store, &err));
    }
    write_next(context);
}

static void a_writer_that_goes_on_meanwhile_is_followed(void)
{
    /* Up to the segments of the log being used for the third time. */
    for (turn_images = 0; turn_images <= 32; turn_images = 2 * turn_images + 1) {
        struct pair pair;
        bool all = false;
        pair_begin(&pair);
        between_begin(&pair);
        for (uint64_t n = 1; !all; n++) {
            write_next(&pair);
            if (n % 3 == 0) OK(store_checkpoint(pair.db->store, &err));
            const uint32_t before = pair.written;
            reads_until = n;
            between.at_read = writer_goes_on;
            OK(omendb_refresh(pair.reader, &err));
            between.at_read = NULL;
            all = reads_until != 0 && n % 3 == 0;
            looks(&pair);
            CHECK(pair.shown >= before);
            catches_up(&pair);
            CHECK(n < 1000);
        }
        between_end(&pair);
        pair_end(&pair);
    }
}

static void reader_refreshes(void *context)
{
    struct pair *pair = context;
    const uint32_t before = pair->written;
    OK(omendb_refresh(pair->reader, &err));
    looks(pair);
    CHECK(pair->shown >= before);
}

/* Commits, checkpoints, a clean close and an opening, with a refresh before each of their calls. */
static void a_refresh_may_come_at_any_call_of_the_writer(void)
{
    struct pair pair;
    pair_begin(&pair);
    between_begin(&pair);
    between.at_change = reader_refreshes;
    for (uint32_t i = 0; i < BATCHES; i++) {
        write_next(&pair);
        if (i % 4 == 3) OK(store_checkpoint(pair.db->store, &err));
        if (i % 10 != 9) continue;
        omendb_collection_close(pair.docs);
        OK(omendb_close(pair.db, &err));
        OK(open_on(pair.sim, 0, &pair.db));
        OK(omendb_collection_open(pair.db, "docs", &pair.docs, &err));
    }
    between.at_change = NULL;
    catches_up(&pair);
    between_end(&pair);
    pair_end(&pair);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_read_that_fails_leaves_a_whole_batch", a_read_that_fails_leaves_a_whole_batch},
        {"a_frame_that_is_half_written_waits", a_frame_that_is_half_written_waits},
        {"a_writer_that_goes_on_meanwhile_is_followed",
         a_writer_that_goes_on_meanwhile_is_followed},
        {"a_refresh_may_come_at_any_call_of_the_writer",
         a_refresh_may_come_at_any_call_of_the_writer},
        {0},
    };
    return test_main(tests, argc, argv);
}
