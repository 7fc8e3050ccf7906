/* Exact search through a store: the answer is that of a naive model, for every type and metric. */
#include <math.h>
#include <unistd.h>

#include "base/alloc.h"
#include "index/vector/flat.h"
#include "index/vector/vector_index.h"
#include "os/cpu.h"
#include "os/thread.h"
#include "query/indexes.h"
#include "simd/distance.h"
#include "store/store.h"
#include "test.h"

enum { DOCS_MAX = 9000, DIM_MAX = 1536, POOL = 700 };

static uint64_t random_state = 88172645463325252u;

static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545F4914F6CDD1D);
}

static uint32_t random_below(uint32_t limit)
{
    return (uint32_t)(random_u64() % limit);
}

/* ---- A store with one collection, and a model of it ------------------------------------ */

struct model_document {
    bool exists, has_vector;
    uint64_t number; /* Of the id; below TEXT_IDS it is written as text. */
    uint8_t *vector; /* [size] */
};

struct harness {
    struct store *store;
    struct collection *collection;
    struct schema_vector schema;
    struct model_document documents[DOCS_MAX];
    uint32_t document_count;
    uint8_t *pool; /* [POOL][size]: vectors, so that many documents have equal ones. */
    struct batch batch;
};

static struct harness h;

/* Every third document has a text id; texts sort otherwise than their numbers. */
static bool id_is_text(uint64_t number)
{
    return number % 3 == 0;
}

static uint32_t id_text(uint64_t number, char text[32])
{
    return (uint32_t)snprintf(text, 32, "id-%llu", (unsigned long long)number);
}

static struct id_view id_of(uint64_t number, char text[32])
{
    struct id_view id = {.number = number};
    if (id_is_text(number)) {
        id.size = id_text(number, text);
        id.text_view = (const uint8_t *)text;
        id.number = 0;
    }
    return id;
}

static uint64_t number_of(const struct id_view *id)
{
    char text[32] = {0};
    if (id->text_view == NULL) return id->number;
    CHECK(id->size < sizeof text);
    memcpy(text, id->text_view, id->size);
    return strtoull(text + 3, NULL, 10);
}

/* Components are few small integers, so that distances tie; or wide ones. */
static void random_vector(uint8_t *out, bool wide)
{
    float x[DIM_MAX] = {0};
    const struct schema_vector *schema = &h.schema;
    if (schema->type == OMENDB_BIT) {
        for (uint32_t i = 0; i < schema->size; i++) out[i] = (uint8_t)(random_u64() & random_u64());
        if (schema->dim % 8 != 0) out[schema->size - 1] &= (uint8_t)((1u << schema->dim % 8) - 1u);
        return;
    }
    const uint32_t ones = random_below(schema->dim < 6 ? schema->dim : 6) + 1;
    for (uint32_t i = 0; i < schema->dim; i++) {
        if (wide && schema->type <= OMENDB_BF16)
            x[i] = (float)random_below(1000) * 0.003f + (float)(i % 7) - 3;
        else if (wide) x[i] = (float)random_below(120);
        else if (random_below(schema->dim) < ones) x[i] = (float)(random_below(3) + 1);
    }
    if (!wide) x[random_below(schema->dim)] = 1; /* Not zero, for COSINE. */
    if (wide && x[0] < 1 && x[0] > -1) x[0] = 1;
    const struct kernels *kernels = kernels_for(cpu_features());
    CHECK(kernels->from_f32[schema->type](x, out, schema->dim));
}

static void harness_open_store(const char *path)
{
    const struct store_options options = {.vfs = vfs_real(),
                                          .path = path,
                                          .durability = OMENDB_DURABILITY_NONE,
                                          .interval_ms = 100,
                                          .wal_size_max = 64 << 20,
                                          .wal_segment_size = 16 << 20,
                                          .hooks = *indexes_hooks_all()};
    CHECK(store_open(&options, &h.store, NULL) == OMENDB_OK);
}

static void harness_begin(const char *path, omendb_type type, omendb_metric metric, uint32_t dim)
{
    memset(&h, 0, sizeof h);
    harness_open_store(path);
    const omendb_vector_field field = {.struct_size = (uint32_t)sizeof field,
                                       .dim = dim,
                                       .name = "v",
                                       .type = type,
                                       .metric = metric};
    const omendb_schema from = {
        .struct_size = (uint32_t)sizeof from, .vectors_count = 1, .vectors = &field};
    struct schema *schema;
    CHECK(schema_create(&from, &schema, NULL) == OMENDB_OK);
    h.schema = schema->vectors[0];
    CHECK(store_collection_create(h.store, "c", schema, &h.collection, NULL) == OMENDB_OK);
    h.pool = calloc(POOL, h.schema.size);
    for (uint32_t i = 0; i < POOL; i++)
        random_vector(h.pool + (size_t)i * h.schema.size, i >= POOL / 2);
}

static void harness_end(void)
{
    collection_unpin(h.collection);
    CHECK(store_close(h.store, NULL) == OMENDB_OK);
    for (uint32_t i = 0; i < h.document_count; i++) free(h.documents[i].vector);
    free(h.pool);
    batch_deinit(&h.batch);
}

static omendb_status try_commit(omendb_error *err)
{
    const omendb_status status = h.batch.operation_count == 0
                                     ? OMENDB_OK
                                     : store_commit(h.store, &h.batch, OMENDB_DURABILITY_DEFAULT,
                                                    NULL, err);
    batch_clear(&h.batch);
    return status;
}

static void commit(void)
{
    omendb_error err = {0};
    const omendb_status status = try_commit(&err);
    if (status != OMENDB_OK) fprintf(stderr, "%s\n", err.message);
    CHECK(status == OMENDB_OK);
}

static void stage_upsert(uint64_t number, const uint8_t *vector)
{
    static const uint8_t empty[3] = {0x20, 3, 0};
    char text[32];
    const uint32_t size = id_text(number, text);
    CHECK(batch_add(&h.batch, OPERATION_UPSERT, h.collection->id, id_is_text(number) ? text : NULL,
                    id_is_text(number) ? size : 0, id_is_text(number) ? 0 : number, empty,
                    sizeof empty, NULL) == OMENDB_OK);
    if (vector != NULL) {
        void *bytes;
        CHECK(batch_add_vector(&h.batch, 0, h.schema.size, &bytes, NULL) == OMENDB_OK);
        memcpy(bytes, vector, h.schema.size);
    }
}

static void upsert(uint64_t number, const uint8_t *vector)
{
    CHECK(number < DOCS_MAX);
    stage_upsert(number, vector);
    if (number >= h.document_count) h.document_count = (uint32_t)number + 1;
    struct model_document *document = &h.documents[number];
    document->exists = true;
    document->number = number;
    document->has_vector = vector != NULL;
    if (vector == NULL) return;
    if (document->vector == NULL) document->vector = malloc(h.schema.size);
    memcpy(document->vector, vector, h.schema.size);
}

static void stage_delete(uint64_t number)
{
    char text[32];
    const uint32_t size = id_text(number, text);
    CHECK(batch_add(&h.batch, OPERATION_DELETE, h.collection->id, id_is_text(number) ? text : NULL,
                    id_is_text(number) ? size : 0, id_is_text(number) ? 0 : number, NULL, 0,
                    NULL) == OMENDB_OK);
}

static void erase(uint64_t number)
{
    stage_delete(number);
    h.documents[number].exists = false;
}

static const uint8_t *pool_vector(void)
{
    return h.pool + (size_t)random_below(POOL) * h.schema.size;
}

/* Documents [begin, end): most with a vector of the pool, some with one of their own, some none. */
static void fill(uint32_t begin, uint32_t end)
{
    static uint8_t own[DIM_MAX * 4];
    for (uint32_t number = begin; number < end; number++) {
        const uint32_t kind = random_below(10);
        if (kind > 5) random_vector(own, true);
        upsert(number, kind == 0 ? NULL : kind <= 5 ? pool_vector() : own);
        if (number % 97 == 0) commit();
    }
    commit();
}

static void churn(uint32_t operations)
{
    for (uint32_t i = 0; i < operations; i++) {
        const uint32_t number = random_below(h.document_count);
        if (random_below(3) == 0) erase(number);
        else upsert(number, random_below(8) == 0 ? NULL : pool_vector());
        if (random_below(20) == 0) commit();
    }
    commit();
}

/* ---- The oracle --------------------------------------------------------------------------- */

struct expected {
    uint64_t number;
    float distance;
    bool equal;
};

static struct expected expected[DOCS_MAX];

static int expected_order(const void *left, const void *right)
{
    const struct expected *a = left, *b = right;
    if (a->distance < b->distance || a->distance > b->distance)
        return a->distance < b->distance ? -1 : 1;
    if (a->equal != b->equal) return a->equal ? -1 : 1;
    char text_a[32], text_b[32];
    const struct id_view id_a = id_of(a->number, text_a), id_b = id_of(b->number, text_b);
    return id_view_compare(&id_a, &id_b);
}

/* Documents whose number is a multiple of `modulus` + `remainder`; modulus 0 = all. */
struct filter {
    uint64_t modulus, remainder;
    atomic_u64 asked;
};

static bool filter_passes(const struct filter *filter, uint64_t number)
{
    return filter->modulus == 0 || number % filter->modulus == filter->remainder;
}

static omendb_status passes(void *context, uint32_t slot, bool *out, omendb_error *err)
{
    struct filter *filter = context;
    struct id_view id;
    TRY(collection_slot_id(h.collection, slot, &id, err));
    *out = filter_passes(filter, number_of(&id));
    (void)atomic_add_u64(&filter->asked, 1);
    return OMENDB_OK;
}

static uint32_t expect(const uint8_t *query, const struct filter *filter)
{
    const struct kernels *kernels = kernels_for(cpu_features());
    const struct schema_vector *schema = &h.schema;
    const float norm = distance_norm(kernels, schema->type, schema->dim, query);
    uint32_t count = 0;
    for (uint32_t i = 0; i < h.document_count; i++) {
        const struct model_document *document = &h.documents[i];
        if (!document->exists || !document->has_vector || !filter_passes(filter, i)) continue;
        expected[count++] = (struct expected){
            .number = i,
            .distance = distance_exact(
                kernels, schema->metric, schema->type, schema->dim, query, norm, document->vector,
                distance_norm(kernels, schema->type, schema->dim, document->vector)),
            .equal = memcmp(query, document->vector, schema->size) == 0};
    }
    qsort(expected, count, sizeof *expected, expected_order);
    return count;
}

static struct flat_workspace workspaces[4];
static struct flat_hit hits[4 * DOCS_MAX];

static void check_hits(const struct flat_hit *got, uint32_t found, uint32_t count, uint32_t k)
{
    CHECK(found == (count < k ? count : k));
    for (uint32_t i = 0; i < found; i++) {
        struct id_view id;
        uint32_t node;
        CHECK(collection_slot_id(h.collection, got[i].slot, &id, NULL) == OMENDB_OK);
        CHECK(number_of(&id) == expected[i].number);
        CHECK(memcmp(&got[i].distance, &expected[i].distance, sizeof(float)) == 0);
        CHECK(got[i].equal == expected[i].equal);
        CHECK(collection_slot_node(h.collection, 0, got[i].slot, &node, NULL) == OMENDB_OK);
        CHECK(node == got[i].node);
    }
}

/* One query in every way there is. */
static void check_query(const uint8_t *vector, uint32_t k, uint64_t modulus, uint64_t remainder)
{
    struct snapshot snapshot;
    struct filter filter = {.modulus = modulus, .remainder = remainder};
    omendb_error err = {0};
    uint32_t found = 0;
    const uint32_t count = expect(vector, &filter);
    CHECK(store_enter(h.store, &snapshot, NULL) == OMENDB_OK);
    const struct flat_query query = {.collection = h.collection,
                                     .k = k,
                                     .vector = vector,
                                     .sequence = snapshot.sequence,
                                     .passes = modulus != 0 ? passes : NULL,
                                     .passes_context = &filter};
    struct flat_stats stats = {0};
    CHECK(flat_search(&query, &workspaces[0], hits, &found, &stats, &err) == OMENDB_OK);
    check_hits(hits, found, count, k);
    CHECK(flat_search_brute(&query, &workspaces[0], hits, &found, NULL, &err) == OMENDB_OK);
    check_hits(hits, found, count, k);
    CHECK(flat_search_batch(&query, 1, 3, workspaces, hits, &found, NULL, &err) == OMENDB_OK);
    check_hits(hits, found, count, k);
    store_leave(&snapshot);
}

static void check_queries(uint32_t count)
{
    static uint8_t query[DIM_MAX * 4];
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t ks[] = {1, 3, 10, 100, h.document_count + 5};
        if (random_below(2) == 0) memcpy(query, pool_vector(), h.schema.size);
        else random_vector(query, random_below(2) == 0);
        const uint32_t k = ks[i % COUNT_OF(ks)];
        check_query(query, k, 0, 0);
        check_query(query, k, 5, 2);
        check_query(query, k, 1000, 999);
        check_query(query, k, DOCS_MAX, DOCS_MAX - 1); /* Nothing passes. */
    }
}

/* ---- Tests ------------------------------------------------------------------------------------ */

static void test_answers_are_those_of_brute_force_for_all_types_and_metrics(void)
{
    static const struct {
        omendb_type type;
        omendb_metric metric;
        uint32_t dim, documents;
    } rows[] = {{OMENDB_F32, OMENDB_L2, 384, 1500},     {OMENDB_F32, OMENDB_COSINE, 384, 1500},
                {OMENDB_F32, OMENDB_IP, 384, 1500},     {OMENDB_F16, OMENDB_L2, 100, 1200},
                {OMENDB_F16, OMENDB_COSINE, 200, 1200}, {OMENDB_F16, OMENDB_IP, 128, 1200},
                {OMENDB_BF16, OMENDB_L2, 96, 1200},     {OMENDB_BF16, OMENDB_COSINE, 257, 1200},
                {OMENDB_BF16, OMENDB_IP, 784, 600},     {OMENDB_I8, OMENDB_L2, 64, 1200},
                {OMENDB_I8, OMENDB_COSINE, 100, 1200},  {OMENDB_I8, OMENDB_IP, 33, 1200},
                {OMENDB_U8, OMENDB_L2, 784, 600},       {OMENDB_U8, OMENDB_COSINE, 16, 1200},
                {OMENDB_U8, OMENDB_IP, 7, 1200},        {OMENDB_BIT, OMENDB_HAMMING, 256, 1200},
                {OMENDB_BIT, OMENDB_HAMMING, 13, 1200}, {OMENDB_F32, OMENDB_L2, 1, 800},
                {OMENDB_F32, OMENDB_COSINE, 2, 800},    {OMENDB_F32, OMENDB_IP, 3, 800},
                {OMENDB_F32, OMENDB_L2, 33, 1200},      {OMENDB_F32, OMENDB_COSINE, 64, 1200},
                {OMENDB_F32, OMENDB_IP, 100, 1200},     {OMENDB_F32, OMENDB_L2, 784, 700},
                {OMENDB_F32, OMENDB_COSINE, 1536, 400}, {OMENDB_F32, OMENDB_L2, 1536, 400}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        harness_begin(NULL, rows[i].type, rows[i].metric, rows[i].dim);
        fill(0, 100); /* Fewer than are worth codes. */
        check_queries(2);
        fill(100, rows[i].documents);
        check_queries(3);
        churn(rows[i].documents);
        check_queries(5);
        harness_end();
    }
}

static void test_all_documents_equal_come_in_the_order_of_ids(void)
{
    for (omendb_metric metric = OMENDB_L2; metric <= OMENDB_IP; metric++) {
        harness_begin(NULL, OMENDB_F32, metric, 64);
        for (uint32_t i = 0; i < 1000; i++) upsert(i, h.pool);
        commit();
        check_query(h.pool, 10, 0, 0);
        check_query(h.pool, 999, 0, 0);
        check_query(h.pool + h.schema.size, 7, 0, 0);
        churn(500);
        check_query(h.pool, 10, 7, 3);
        harness_end();
    }
}

static void test_a_snapshot_keeps_its_answer(void)
{
    static struct flat_hit before[100];
    harness_begin(NULL, OMENDB_F32, OMENDB_L2, 100);
    fill(0, 1500);
    struct snapshot snapshot;
    uint32_t found, found_again;
    CHECK(store_enter(h.store, &snapshot, NULL) == OMENDB_OK);
    const struct flat_query query = {
        .collection = h.collection, .k = 100, .vector = h.pool, .sequence = snapshot.sequence};
    CHECK(flat_search(&query, workspaces, before, &found, NULL, NULL) == OMENDB_OK && found == 100);
    churn(2000);
    fill(1500, 2500);
    CHECK(store_checkpoint(h.store, NULL) == OMENDB_OK);
    churn(2000);
    CHECK(flat_search(&query, workspaces, hits, &found_again, NULL, NULL) == OMENDB_OK);
    CHECK(found_again == found);
    for (uint32_t i = 0; i < found; i++)
        CHECK(before[i].slot == hits[i].slot && before[i].node == hits[i].node &&
              before[i].equal == hits[i].equal &&
              memcmp(&before[i].distance, &hits[i].distance, sizeof(float)) == 0);
    store_leave(&snapshot);
    check_queries(5);
    harness_end();
}

static void test_centres_appear_and_bounds_exclude_nearly_all(void)
{
    harness_begin(NULL, OMENDB_F32, OMENDB_L2, 128);
    float x[128];
    /* Fewer than begin a graph, whose work would make codes again meanwhile. */
    for (uint32_t i = 0; i < 4000; i++) {
        for (uint32_t j = 0; j < 128; j++) x[j] = 500.0f + (float)random_below(1000) * 0.01f;
        upsert(i, (const uint8_t *)x);
        if (i % 200 == 0) commit();
    }
    commit();
    const struct vector_index *index = vector_index_of(h.collection, 0);
    CHECK(index != NULL && index->state.states[0] == CENTRE_ADDED);
    CHECK(index->state.states[1] == CENTRE_SKIPPED);
    CHECK(atomic_load_relaxed_u32(&index->codes.centre_count) == 2);
    struct snapshot snapshot;
    struct flat_stats stats = {0};
    uint32_t found;
    CHECK(store_enter(h.store, &snapshot, NULL) == OMENDB_OK);
    const struct flat_query query = {
        .collection = h.collection, .k = 10, .vector = x, .sequence = snapshot.sequence};
    CHECK(flat_search(&query, workspaces, hits, &found, &stats, NULL) == OMENDB_OK);
    /* The first 256 nodes, coded about the origin, can't be excluded. */
    CHECK(stats.scanned == 4000 && stats.refined < 600);
    store_leave(&snapshot);
    check_query((const uint8_t *)x, 10, 0, 0);
    harness_end();
}

static void remember(void *context, const char *text)
{
    fprintf(stderr, "%s\n", text);
    ++*(uint32_t *)context;
}

static void check_verify(void)
{
    uint32_t problems = 0;
    CHECK(vector_index_verify(h.collection, 0, remember, &problems, NULL) == OMENDB_OK);
    CHECK(problems == 0);
}

static void test_codes_survive_a_reopening(void)
{
    char path[] = "/tmp/flat_test_XXXXXX";
    char file[64];
    CHECK(mkdtemp(path) != NULL);
    (void)snprintf(file, sizeof file, "%s/x.omen", path);
    harness_begin(file, OMENDB_F32, OMENDB_COSINE, 96);
    fill(0, 1300);
    for (uint32_t life = 0; life < 3; life++) {
        churn(300);
        if (life == 1) CHECK(store_checkpoint(h.store, NULL) == OMENDB_OK);
        fill(1300 + 500 * life, 1800 + 500 * life);
        check_queries(4);
        collection_unpin(h.collection);
        CHECK(store_close(h.store, NULL) == OMENDB_OK);
        harness_open_store(file);
        CHECK(store_collection_open(h.store, "c", &h.collection, NULL) == OMENDB_OK);
        CHECK(vector_index_of(h.collection, 0)->state.version == VECTOR_PARAMS_VERSION);
        check_verify();
        check_queries(4);
    }
    harness_end();
    CHECK(unlink(file) == 0 && rmdir(path) == 0);
}

static void test_failed_batches_and_searches_change_nothing(void)
{
    harness_begin(NULL, OMENDB_F32, OMENDB_L2, 64);
    fill(0, 250);
    uint32_t failures = 0;
    for (long n = 0; n < 60; n++) {
        /* Over the node that decides about a centre. */
        for (uint32_t i = 0; i < 10; i++) stage_upsert(1000 + i, pool_vector());
        alloc_fail_after(n, 0);
        const omendb_status status = try_commit(NULL);
        alloc_fail_after(-1, 0);
        if (status == OMENDB_OK) break;
        CHECK(status == OMENDB_ERR_NOMEM);
        failures++;
        check_query(h.pool, 300, 0, 0);
    }
    for (uint32_t i = 0; i < 10; i++) stage_delete(1000 + i);
    commit();
    fill(250, 700);
    check_verify();
    check_queries(3);

    struct snapshot snapshot;
    uint32_t found;
    CHECK(store_enter(h.store, &snapshot, NULL) == OMENDB_OK);
    const struct flat_query query = {
        .collection = h.collection, .k = 5, .vector = h.pool, .sequence = snapshot.sequence};
    for (long n = 0;; n++) {
        struct flat_workspace workspace = {0};
        const uint64_t bytes = alloc_bytes();
        alloc_fail_after(n, 1);
        const omendb_status status = flat_search(&query, &workspace, hits, &found, NULL, NULL);
        alloc_fail_after(-1, 0);
        flat_workspace_deinit(&workspace);
        CHECK(alloc_bytes() == bytes);
        if (status == OMENDB_OK) break;
        CHECK(status == OMENDB_ERR_NOMEM && n < 10);
        failures++;
    }
    CHECK(failures >= 4);
    store_leave(&snapshot);
    harness_end();
}

static omendb_status interrupt_now(void *context, omendb_error *err)
{
    ++*(uint32_t *)context;
    return fail(err, OMENDB_ERR_INTERRUPTED, "interrupted");
}

static omendb_status refuse(void *context, uint32_t slot, bool *out, omendb_error *err)
{
    (void)context, (void)slot, (void)out;
    return fail(err, OMENDB_ERR_IO, "refused");
}

static void test_callbacks_end_a_search(void)
{
    harness_begin(NULL, OMENDB_F32, OMENDB_L2, 64);
    fill(0, 700);
    struct snapshot snapshot;
    uint32_t found, asked = 0;
    omendb_error err = {0};
    CHECK(store_enter(h.store, &snapshot, NULL) == OMENDB_OK);
    struct flat_query query = {.collection = h.collection,
                               .k = 5,
                               .vector = h.pool,
                               .sequence = snapshot.sequence,
                               .interrupted = interrupt_now,
                               .interrupted_context = &asked};
    CHECK(flat_search(&query, workspaces, hits, &found, NULL, &err) == OMENDB_ERR_INTERRUPTED);
    CHECK(asked == 1 && strcmp(err.message, "interrupted") == 0);
    query.interrupted = NULL;
    query.passes = refuse;
    CHECK(flat_search(&query, workspaces, hits, &found, NULL, &err) == OMENDB_ERR_IO);
    CHECK(flat_search_batch(&query, 1, 4, workspaces, hits, &found, NULL, &err) == OMENDB_ERR_IO);
    query.passes = NULL;
    CHECK(flat_search(&query, workspaces, hits, &found, NULL, NULL) == OMENDB_OK && found == 5);
    store_leave(&snapshot);
    harness_end();
}

static void test_a_batch_of_queries_answers_each(void)
{
    enum { QUERIES = 23 };
    struct flat_query queries[QUERIES];
    uint32_t found[QUERIES];
    struct snapshot snapshot;
    harness_begin(NULL, OMENDB_F32, OMENDB_COSINE, 128);
    fill(0, 6000);
    CHECK(store_enter(h.store, &snapshot, NULL) == OMENDB_OK);
    for (uint32_t i = 0; i < QUERIES; i++)
        queries[i] = (struct flat_query){.collection = h.collection,
                                         .k = i % 2 == 0 ? 20 : 3,
                                         .vector = h.pool + (size_t)i * h.schema.size,
                                         .sequence = snapshot.sequence};
    const struct filter all = {0};
    CHECK(flat_search_batch(queries, QUERIES, 3, workspaces, hits, found, NULL, NULL) == OMENDB_OK);
    for (uint32_t i = 0; i < QUERIES; i++)
        check_hits(hits + (size_t)i * 20, found[i], expect(queries[i].vector, &all), queries[i].k);
    for (uint32_t i = 0; i < 4; i++) check_query(queries[i].vector, 10, 0, 0);
    queries[9].passes = refuse;
    omendb_error err = {0};
    CHECK(flat_search_batch(queries, QUERIES, 3, workspaces, hits, found, NULL, &err) ==
          OMENDB_ERR_IO);
    store_leave(&snapshot);
    harness_end();
}

/* Readers compare codes with brute force on snapshots of their own while the writer goes on. */
static atomic_u32 readers_stop;

static void read_on(void *context)
{
    struct flat_workspace workspace = {0};
    struct flat_hit fast[20], slow[20];
    uint32_t seed = *(const uint32_t *)context;
    for (uint32_t i = 0; atomic_load_relaxed_u32(&readers_stop) == 0 || i < 20; i++) {
        struct snapshot snapshot;
        uint32_t fast_found, slow_found;
        seed = seed * 1664525 + 1013904223;
        CHECK(store_enter(h.store, &snapshot, NULL) == OMENDB_OK);
        const struct flat_query query = {.collection = h.collection,
                                         .k = 20,
                                         .vector = h.pool +
                                                   (size_t)((seed >> 8) % POOL) * h.schema.size,
                                         .sequence = snapshot.sequence};
        CHECK(flat_search(&query, &workspace, fast, &fast_found, NULL, NULL) == OMENDB_OK);
        CHECK(flat_search_brute(&query, &workspace, slow, &slow_found, NULL, NULL) == OMENDB_OK);
        CHECK(fast_found == slow_found);
        for (uint32_t j = 0; j < fast_found; j++)
            /* Not the node: a vector may have moved to another one in between. */
            CHECK(fast[j].slot == slow[j].slot && fast[j].equal == slow[j].equal &&
                  !(fast[j].distance < slow[j].distance) && !(fast[j].distance > slow[j].distance));
        store_leave(&snapshot);
    }
    flat_workspace_deinit(&workspace);
}

static void test_readers_beside_a_writer_see_their_snapshots(void)
{
    struct thread threads[2] = {0};
    uint32_t seeds[2] = {1, 2};
    harness_begin(NULL, OMENDB_F32, OMENDB_L2, 64);
    fill(0, 700);
    atomic_store_relaxed_u32(&readers_stop, 0);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(thread_start(&threads[i], "reader", read_on, &seeds[i], NULL) == OMENDB_OK);
    for (uint32_t round = 0; round < 8; round++) {
        churn(600);
        if (round % 3 == 2) CHECK(store_checkpoint(h.store, NULL) == OMENDB_OK);
        if (round == 4) fill(700, 1200);
    }
    atomic_store_relaxed_u32(&readers_stop, 1);
    for (uint32_t i = 0; i < 2; i++) thread_join(&threads[i]);
    check_verify();
    check_queries(3);
    harness_end();
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"answers_are_those_of_brute_force_for_all_types_and_metrics",
         test_answers_are_those_of_brute_force_for_all_types_and_metrics},
        {"all_documents_equal_come_in_the_order_of_ids",
         test_all_documents_equal_come_in_the_order_of_ids},
        {"a_snapshot_keeps_its_answer", test_a_snapshot_keeps_its_answer},
        {"centres_appear_and_bounds_exclude_nearly_all",
         test_centres_appear_and_bounds_exclude_nearly_all},
        {"codes_survive_a_reopening", test_codes_survive_a_reopening},
        {"failed_batches_and_searches_change_nothing",
         test_failed_batches_and_searches_change_nothing},
        {"callbacks_end_a_search", test_callbacks_end_a_search},
        {"a_batch_of_queries_answers_each", test_a_batch_of_queries_answers_each},
        {"readers_beside_a_writer_see_their_snapshots",
         test_readers_beside_a_writer_see_their_snapshots},
        {NULL, NULL}};
    const int result = test_main(tests, argc, argv);
    for (size_t i = 0; i < COUNT_OF(workspaces); i++) flat_workspace_deinit(&workspaces[i]);
    return result;
}
