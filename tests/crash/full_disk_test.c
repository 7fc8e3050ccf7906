/* A disk without room, through omendb.h: what adds something is FULL and changes nothing, what was
 * acknowledged stays, deletes go on, and what they free can be written again; after a kill too. The
 * real kernel's disks are the business of real_disk_test.c. */
#include "api/db.h"
#include "base/compiler.h"
#include "index/vector/graph_index.h"
#include "query/indexes.h"
#include "sim/vfs_sim.h"
#include "test.h"

enum { DOCS = 6000, ROWS = 20, DIM = 32, PAD = 3000 };

struct disk_user {
    struct store_options base;
    struct graph_options graph;
    const char *path;
    omendb *db;
    omendb_collection *docs;
    bool there[DOCS];
    uint32_t next; /* Id that comes next. */
    omendb_error error;
};

static void user_must(struct disk_user *user, omendb_status status, const char *what)
{
    if (status != OMENDB_OK) fprintf(stderr, "%s: %d %s\n", what, (int)status, user->error.message);
    CHECK(status == OMENDB_OK);
}

static void user_vector(uint32_t id, float out[DIM])
{
    for (uint32_t i = 0; i < DIM; i++) out[i] = (float)((id * 37 + i * i * 11) % 97);
}

static void user_open(struct disk_user *user)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_options options = OMENDB_OPTIONS_INIT;
    options.wal_size_max = 1 << 20;
    field.name = "v";
    field.dim = DIM;
    schema.vectors = &field;
    schema.vectors_count = 1;
    user_must(user, db_open(&user->base, user->path, &options, &user->db, &user->error), "open");
    if (omendb_collection_open(user->db, "docs", &user->docs, &user->error) != OMENDB_OK)
        user_must(user,
                  omendb_collection_create(user->db, "docs", &schema, &user->docs, &user->error),
                  "create");
}

static void user_init(struct disk_user *user, struct vfs *vfs, const char *path)
{
    memset(user, 0, sizeof *user);
    user->graph.begin = 200;
    user->base = (struct store_options){
        .vfs = vfs, .hooks = *indexes_hooks_all(), .wal_segment_size = 1 << 20};
    user->base.hooks.context = &user->graph;
    user->path = path;
    user_open(user);
}

static void user_close(struct disk_user *user)
{
    omendb_collection_close(user->docs);
    user_must(user, omendb_close(user->db, &user->error), "close");
}

static omendb_status user_put(struct disk_user *user)
{
    static char json[ROWS * (PAD + 64)];
    static float vectors[ROWS][DIM];
    uint64_t ids[ROWS], offsets[ROWS + 1] = {0};
    omendb_vectors column = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT;
    for (uint32_t row = 0; row < ROWS; row++) {
        ids[row] = user->next + row;
        user_vector(user->next + row, vectors[row]);
        char *text = json + offsets[row];
        size_t at = (size_t)sprintf(text, "{\"n\":%u,\"pad\":\"", user->next + row);
        for (uint32_t i = 0; i < PAD; i++) text[at++] = (char)('a' + (i * 7 + ids[row]) % 26);
        at += (size_t)sprintf(text + at, "\"}");
        offsets[row + 1] = offsets[row] + at;
    }
    column.data = vectors;
    column.dim = DIM;
    rows.count = ROWS;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = offsets;
    CHECK(user->next + ROWS <= DOCS);
    const omendb_status status = omendb_collection_upsert(user->docs, &rows, &user->error);
    for (uint32_t row = 0; row < ROWS && status == OMENDB_OK; row++)
        user->there[user->next++] = true;
    return status;
}

static void user_delete(struct disk_user *user, uint32_t from, uint32_t to)
{
    static omendb_id ids[DOCS];
    uint64_t deleted = 0, wanted = 0;
    for (uint32_t id = from; id < to; id++) {
        ids[id - from] = (omendb_id){.number = id};
        wanted += user->there[id];
        user->there[id] = false;
    }
    user_must(user, omendb_collection_delete(user->docs, ids, to - from, &deleted, &user->error),
              "delete");
    CHECK(deleted == wanted);
}

static void user_verify(struct disk_user *user, bool deep)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_documents *documents = NULL;
    omendb_hits *hits = NULL;
    uint64_t count = 0, wanted = 0;
    float vector[DIM];
    char *text = NULL;
    for (uint32_t id = 0; id < DOCS; id++) {
        wanted += user->there[id];
        if (id % 7 != 0) continue;
        user_must(user,
                  omendb_collection_get(user->docs, &(omendb_id){.number = id}, 1,
                                        OMENDB_WITH_DOCUMENTS, &documents, &user->error),
                  "get");
        omendb_document document;
        omendb_documents_entry(documents, 0, &document);
        CHECK((document.found != 0) == user->there[id]);
        omendb_documents_destroy(documents);
    }
    user_must(user, omendb_collection_count(user->docs, NULL, 0, &count, &user->error), "count");
    CHECK(count == wanted);
    user_vector(3, vector);
    params.dim = DIM;
    params.queries = vector;
    params.query_count = 1;
    user_must(user, omendb_collection_search(user->docs, &params, &hits, &user->error), "search");
    CHECK(omendb_hits_count(hits, 0) == (wanted < 10 ? wanted : 10));
    omendb_hits_destroy(hits);
    user_must(user, omendb_check(user->db, deep ? OMENDB_CHECK_DEEP : 0, &text, &user->error),
              "check");
    if (strncmp(text, "{\"ok\":true", 10) != 0) fprintf(stderr, "%s\n", text);
    CHECK(strncmp(text, "{\"ok\":true", 10) == 0);
    omendb_text_destroy(text);
}

/* Until nothing goes in any more: FULL, with the file's name, and nothing changed. */
static void user_fill(struct disk_user *user)
{
    omendb_status status = OMENDB_OK;
    for (uint32_t refused = 0; refused < 3; refused += status != OMENDB_OK) {
        status = user_put(user);
        if (status == OMENDB_OK) continue;
        if (status != OMENDB_ERR_FULL) fprintf(stderr, "%s\n", user->error.message);
        CHECK(status == OMENDB_ERR_FULL && strstr(user->error.message, user->path) != NULL);
    }
}

static void user_goes_on(struct disk_user *user)
{
    const uint32_t end = user->next;
    for (uint32_t id = 0; id < 24; id++) user_delete(user, id * 3, id * 3 + 1);
    user_verify(user, false);
    for (uint32_t from = 0; from < end / 4 * 3; from += 50) user_delete(user, from, from + 50);
    user_verify(user, true);
    for (uint32_t i = 0; i < end / 8 / ROWS; i++) user_must(user, user_put(user), "put again");
    user_verify(user, true);
}

/* ---- The simulated disk ---- */

static void deletes_go_on_when_the_disk_is_full(void)
{
    static struct disk_user user;
    for (uint64_t mib = 6; mib <= 12; mib++) {
        struct sim *sim = sim_create(mib);
        user_init(&user, sim_vfs(sim), "/disk/full.omen");
        sim_set_disk_limit(sim, mib << 20);
        user_fill(&user);
        CHECK(user.next >= 4 * ROWS);
        user_verify(&user, true);
        user_goes_on(&user);
        user_fill(&user);
        user_close(&user);
        user_open(&user); /* At a close the reserve is given back, and the log leaves as much. */
        user_verify(&user, true);
        user_delete(&user, 0, user.next);
        user_verify(&user, true);
        for (uint32_t i = 0; i < 4; i++) user_must(&user, user_put(&user), "put at last");
        user_close(&user);
        sim_destroy(sim);
    }
}

static void a_full_disk_is_recovered_and_freed_again(void)
{
    static struct disk_user user;
    for (uint64_t mib = 6; mib <= 12; mib++) {
        struct sim *sim = sim_create(mib);
        user_init(&user, sim_vfs(sim), "/disk/full.omen");
        sim_set_disk_limit(sim, mib << 20);
        user_fill(&user);
        for (int lives = 0; lives < 3; lives++) {
            sim_crash_at(sim, 1);
            omendb_collection_close(user.docs);
            (void)omendb_close(user.db, NULL);
            sim_reboot(sim, SIM_PROCESS_KILL, mib);
            sim_set_disk_limit(sim, mib << 20);
            user_open(&user);
            user_verify(&user, true);
            user_delete(&user, 0, (uint32_t)lives * 2);
        }
        user_goes_on(&user);
        user_close(&user);
        sim_destroy(sim);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"deletes_go_on_when_the_disk_is_full", deletes_go_on_when_the_disk_is_full},
        {"a_full_disk_is_recovered_and_freed_again", a_full_disk_is_recovered_and_freed_again},
        {0},
    };
    return test_main(tests, argc, argv);
}
