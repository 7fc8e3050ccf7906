/* c99_program.c - a whole little program in strict C99 that knows omendb.h alone.
 *
 * usage: c99_program FILE   (a path that it may make, fill and remove)
 */
#include <omendb.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *path;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: CHECK(%s): %s\n", __FILE__, __LINE__, #condition,              \
                    error.message);                                                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static omendb_error error;

static const float points[4][3] = {{0, 0, 0}, {1, 0, 0}, {0, 2, 0}, {3, 3, 3}};
static const char id_text[] = "zeroonetwomany";
static const uint64_t id_offsets[5] = {0, 4, 7, 10, 14};
static const char json[] = "{\"n\":0}{\"n\":1}{\"n\":2,\"tag\":\"t\"}{\"n\":3}";
static const uint64_t json_offsets[5] = {0, 7, 14, 31, 38};

static omendb_id text_id(const char *text)
{
    omendb_id id = {NULL, 0, 0};

    id.text_view = text;
    id.size = strlen(text);
    return id;
}

static omendb_collection *create_places(omendb *db)
{
    omendb_vector_field vector = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *places = NULL;

    vector.name = "position";
    vector.dim = 3;
    schema.vectors = &vector;
    schema.vectors_count = 1;
    CHECK(omendb_collection_create(db, "places", &schema, &places, &error) == OMENDB_OK);
    CHECK(omendb_collection_create(db, "places", &schema, NULL, &error) == OMENDB_ERR_EXISTS);
    return places;
}

static void upsert_places(omendb_collection *places)
{
    omendb_vectors vectors = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT;

    vectors.data = points;
    vectors.dim = 3;
    rows.count = 4;
    rows.id_text = id_text;
    rows.id_offsets = id_offsets;
    rows.vectors = &vectors;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = json_offsets;
    CHECK(omendb_collection_upsert(places, &rows, &error) == OMENDB_OK);

    vectors.dim = 2;
    CHECK(omendb_collection_upsert(places, &rows, &error) == OMENDB_ERR_DIMENSION);
    CHECK(error.status == OMENDB_ERR_DIMENSION && error.message[0] != '\0');
}

static uint64_t count_places(omendb_collection *places, const char *filter)
{
    uint64_t count = 99;

    CHECK(omendb_collection_count(places, filter, filter == NULL ? 0 : strlen(filter), &count,
                                  &error) == OMENDB_OK);
    return count;
}

static void search_places(omendb_collection *places)
{
    static const float query[3] = {0.9f, 0.1f, 0};
    static const char filter[] = "{\"n\": {\"$gte\": 2}}";
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    omendb_hit hit;

    params.queries = query;
    params.query_count = 1;
    params.dim = 3;
    params.k = 2;
    params.flags = OMENDB_WITH_DOCUMENTS;
    CHECK(omendb_collection_search(places, &params, &hits, &error) == OMENDB_OK);
    CHECK(omendb_hits_query_count(hits) == 1 && omendb_hits_count(hits, 0) == 2);
    omendb_hits_entry(hits, 0, 0, &hit);
    CHECK(hit.document.id.size == 3 && memcmp(hit.document.id.text_view, "one", 3) == 0);
    CHECK(hit.distance > 0.0199f && hit.distance < 0.0201f);
    CHECK(hit.document.json_size == 7 && memcmp(hit.document.json_view, "{\"n\":1}", 7) == 0);
    omendb_hits_entry(hits, 0, 1, &hit);
    CHECK(hit.document.id.size == 4 && memcmp(hit.document.id.text_view, "zero", 4) == 0);
    CHECK(omendb_hits_explain(hits)[0] == '{');
    omendb_hits_destroy(hits);

    params.filter = filter;
    params.filter_size = strlen(filter);
    params.k = 10;
    CHECK(omendb_collection_search(places, &params, &hits, &error) == OMENDB_OK);
    CHECK(omendb_hits_count(hits, 0) == 2);
    omendb_hits_entry(hits, 0, 0, &hit);
    CHECK(hit.document.id.size == 3 && memcmp(hit.document.id.text_view, "two", 3) == 0);
    omendb_hits_destroy(hits);
}

static void get_places(omendb_collection *places)
{
    omendb_documents *documents = NULL;
    omendb_document document;
    omendb_id ids[2];
    const float *vector;
    omendb_type type = 99;
    uint32_t dim = 0;

    ids[0] = text_id("two");
    ids[1] = text_id("nowhere");
    CHECK(omendb_collection_get(places, ids, 2, OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS,
                                &documents, &error) == OMENDB_OK);
    CHECK(omendb_documents_count(documents) == 2);
    omendb_documents_entry(documents, 0, &document);
    CHECK(document.found && document.json_size == 17);
    vector = (const float *)omendb_documents_vector(documents, 0, "position", &type, &dim);
    CHECK(vector != NULL && type == OMENDB_F32 && dim == 3);
    CHECK(memcmp(vector, points[2], sizeof points[2]) == 0);
    omendb_documents_entry(documents, 1, &document);
    CHECK(!document.found && document.json_view == NULL);
    omendb_documents_destroy(documents);
}

static int note_progress(void *context, uint64_t indexed, uint64_t total)
{
    *(int *)context += indexed <= total;
    return 0;
}

static void index_lines(void)
{
    omendb_vector_field vector = OMENDB_VECTOR_FIELD_INIT;
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *lines = NULL;
    omendb *db = NULL;
    int calls = 0;

    options.index_threads = 1;
    CHECK(omendb_open(":memory:", &options, &db, &error) == OMENDB_OK);
    vector.name = "line";
    vector.dim = 16;
    vector.index = OMENDB_INDEX_COMPACT;
    schema.vectors = &vector;
    schema.vectors_count = 1;
    CHECK(omendb_collection_create(db, "lines", &schema, &lines, &error) == OMENDB_OK);
    CHECK(omendb_collection_set_index(lines, "line", OMENDB_INDEX_FAST, &error) == OMENDB_OK);
    CHECK(omendb_collection_wait_indexed(lines, 10000, note_progress, &calls, &error) == OMENDB_OK);
    CHECK(calls >= 2);
    omendb_collection_close(lines);
    CHECK(omendb_close(db, &error) == OMENDB_OK);
    printf("ok an_index_is_chosen_and_waited_for\n");
}

static void run_file_database(void)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb_collection *places;
    omendb *db = NULL;
    omendb_id gone[2];
    uint64_t deleted = 0;
    char *report = NULL;

    remove(path);
    options.flags = OMENDB_OPEN_MUST_EXIST;
    CHECK(omendb_open(path, &options, &db, &error) == OMENDB_ERR_NOT_FOUND);
    CHECK(omendb_open(path, NULL, &db, &error) == OMENDB_OK);
    places = create_places(db);
    upsert_places(places);
    CHECK(count_places(places, NULL) == 4);
    search_places(places);
    get_places(places);
    printf("ok a_program_upserts_searches_and_gets\n");

    gone[0] = text_id("many");
    gone[1] = text_id("nowhere");
    CHECK(omendb_collection_delete(places, gone, 2, &deleted, &error) == OMENDB_OK);
    CHECK(deleted == 1);
    omendb_collection_close(places);
    CHECK(omendb_close(db, &error) == OMENDB_OK);
    printf("ok a_program_deletes_and_closes\n");

    CHECK(omendb_open(path, &options, &db, &error) == OMENDB_OK);
    CHECK(omendb_collection_open(db, "places", &places, &error) == OMENDB_OK);
    CHECK(count_places(places, NULL) == 3);
    CHECK(count_places(places, "{\"tag\": \"t\"}") == 1);
    CHECK(omendb_check(db, OMENDB_CHECK_DEEP, &report, &error) == OMENDB_OK);
    CHECK(report != NULL && report[0] == '{');
    omendb_text_destroy(report);
    omendb_collection_close(places);
    CHECK(omendb_close(db, &error) == OMENDB_OK);
    CHECK(remove(path) == 0);
    printf("ok what_was_written_is_there_after_reopening\n");
}

/* One row, {"n": n}, under conditions. */
static omendb_status put_number(omendb_collection *numbers, const char *id, int n, uint32_t flags,
                                const uint64_t *version)
{
    omendb_rows rows = OMENDB_ROWS_INIT;
    uint64_t offsets[2] = {0, 0};
    omendb_id ids[1];
    char text[32];

    sprintf(text, "{\"n\":%d}", n);
    offsets[1] = strlen(text);
    ids[0] = text_id(id);
    rows.count = 1;
    rows.ids = ids;
    rows.json = text;
    rows.json_offsets = offsets;
    rows.flags = flags;
    rows.if_versions = version;
    return omendb_collection_upsert(numbers, &rows, &error);
}

static uint64_t get_number(omendb_collection *numbers, const char *id)
{
    omendb_documents *documents = NULL;
    omendb_id ids[1];
    uint64_t version;

    ids[0] = text_id(id);
    CHECK(omendb_collection_get(numbers, ids, 1, 0, &documents, &error) == OMENDB_OK);
    version = omendb_documents_version(documents, 0);
    omendb_documents_destroy(documents);
    return version;
}

static void transact(void)
{
    omendb_collection *numbers = NULL, *inner = NULL, *before = NULL;
    omendb_transaction *transaction = NULL;
    omendb_snapshot *snapshot = NULL;
    omendb *db = NULL;
    omendb_id ids[1];
    uint64_t version, sequence = 0;

    CHECK(omendb_open(":memory:", NULL, &db, &error) == OMENDB_OK);
    CHECK(omendb_collection_create(db, "numbers", NULL, &numbers, &error) == OMENDB_OK);
    CHECK(put_number(numbers, "a", 1, OMENDB_ROWS_IF_ABSENT, NULL) == OMENDB_OK);
    CHECK(put_number(numbers, "a", 1, OMENDB_ROWS_IF_ABSENT, NULL) == OMENDB_ERR_EXISTS);
    version = get_number(numbers, "a");
    CHECK(put_number(numbers, "a", 2, 0, &version) == OMENDB_OK);
    CHECK(put_number(numbers, "a", 3, 0, &version) == OMENDB_ERR_CONFLICT);
    ids[0] = text_id("a");
    CHECK(omendb_collection_delete_if_version(numbers, ids, &version, 1, &error) ==
          OMENDB_ERR_CONFLICT);
    printf("ok writes_have_conditions\n");

    CHECK(omendb_snapshot_create(db, &snapshot, &error) == OMENDB_OK);
    CHECK(omendb_snapshot_collection(snapshot, numbers, &before, &error) == OMENDB_OK);
    CHECK(omendb_transaction_begin(db, &transaction, &error) == OMENDB_OK);
    CHECK(omendb_transaction_sequence(transaction) == omendb_snapshot_sequence(snapshot));
    CHECK(omendb_transaction_collection(transaction, numbers, &inner, &error) == OMENDB_OK);
    CHECK(put_number(inner, "b", 4, 0, NULL) == OMENDB_OK);
    CHECK(get_number(inner, "b") == OMENDB_VERSION_OWN);
    CHECK(count_places(inner, NULL) == 2 && count_places(numbers, NULL) == 1);
    CHECK(omendb_transaction_commit(transaction, OMENDB_DURABILITY_DEFAULT, &sequence, &error) ==
          OMENDB_OK);
    CHECK(count_places(numbers, NULL) == 2 && get_number(numbers, "b") == sequence);
    CHECK(count_places(before, NULL) == 1 && get_number(before, "b") == 0);
    omendb_transaction_rollback(transaction);
    omendb_transaction_destroy(transaction);
    omendb_snapshot_destroy(snapshot);
    omendb_collection_close(inner);
    omendb_collection_close(before);
    omendb_collection_close(numbers);
    CHECK(omendb_close(db, &error) == OMENDB_OK);
    printf("ok a_transaction_commits_and_a_snapshot_stays\n");
}

static int backup_seen(void *context, uint64_t done, uint64_t total)
{
    if (done <= total) ++*(uint64_t *)context;
    return 0;
}

static void run_backups(void)
{
    static const char *const names[] = {"sunday", "monday", "back", "repaired"};
    char files[4][600];
    const char *sources[2];
    omendb_backup_options options = OMENDB_BACKUP_OPTIONS_INIT;
    omendb_repair_options repair = OMENDB_REPAIR_OPTIONS_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb *db = NULL;
    char *report = NULL;
    uint64_t calls = 0;
    int i;

    for (i = 0; i < 4; i++) {
        snprintf(files[i], sizeof files[i], "%s-%s", path, names[i]);
        (void)remove(files[i]);
    }
    CHECK(omendb_open(path, NULL, &db, &error) == OMENDB_OK);
    CHECK(omendb_collection_create(db, "c", &schema, NULL, &error) == OMENDB_OK);
    options.progress = backup_seen;
    options.context = &calls;
    CHECK(omendb_backup(db, files[0], &options, &error) == OMENDB_OK && calls > 0);
    CHECK(omendb_backup(db, files[0], NULL, &error) == OMENDB_ERR_EXISTS);
    CHECK(omendb_collection_create(db, "d", &schema, NULL, &error) == OMENDB_OK);
    options.base = files[0];
    CHECK(omendb_backup(db, files[1], &options, &error) == OMENDB_OK);
    CHECK(omendb_close(db, &error) == OMENDB_OK);
    sources[0] = files[0];
    sources[1] = files[1];
    CHECK(omendb_restore(sources, 2, files[2], NULL, &error) == OMENDB_OK);
    CHECK(omendb_restore(sources, 0, files[2], NULL, &error) == OMENDB_ERR_ARGUMENT);
    repair.flags = OMENDB_BACKUP_REPLACE;
    CHECK(omendb_repair(files[2], files[3], &repair, &report, &error) == OMENDB_OK);
    CHECK(strncmp(report, "{\"complete\":true,", 17) == 0);
    omendb_text_destroy(report);
    for (i = 0; i < 4; i++) CHECK(remove(files[i]) == 0);
    CHECK(remove(path) == 0);
    printf("ok backups_come_back\n");
}

static void run_seed_functions(void)
{
    static const float rows[3][2] = {{0, 0}, {1, 0}, {4, 4}};
    static const float query[2] = {0.9f, 0};
    int ids[5];
    float distances[5];

    CHECK(omendb_init(2) == 0);
    CHECK(omendb_add("a", 1, rows[0], 2) == 0);
    CHECK(omendb_add("b", 1, rows[1], 2) == 0);
    CHECK(omendb_add("c", 1, rows[2], 2) == 0);
    CHECK(omendb_add("d", 1, rows[2], 3) < 0);
    CHECK(omendb_count() == 3);
    CHECK(omendb_search(query, 5, ids, distances) == 3);
    CHECK(ids[0] == 1 && ids[1] == 0 && ids[2] == 2);
    CHECK(distances[1] > 0.809f && distances[1] < 0.811f);
    CHECK(omendb_clear() == 0);
    CHECK(omendb_count() == 0);
    printf("ok the_six_seed_functions_work\n");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: c99_program FILE\n");
        return 2;
    }
    path = argv[1];
    CHECK(strcmp(omendb_version(), OMENDB_VERSION_STRING) == 0);
    CHECK(strcmp(omendb_status_name(OMENDB_ERR_CORRUPT), "CORRUPT") == 0);
    printf("ok library_and_header_have_one_version\n");
    run_file_database();
    index_lines();
    transact();
    run_backups();
    run_seed_functions();
    return 0;
}
