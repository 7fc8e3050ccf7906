/* transaction_test.c - snapshots and transactions against a naive model: scripts of writes, conditions,
 * open snapshots and transactions, commits and checkpoints; after each step some view is read by
 * every way there is and compared with a plain array.
 *
 * Vectors are small whole numbers, so that distances are exact, many are equal, and several documents
 * share one: order is then decided by ids. */
#include <stdint.h>

#include "api/handles.h"
#include "api_help.h"

enum { COLLECTIONS = 2, IDS = 24, VIEWS = 6, DIM = 3, ROWS_MAX = 5, STEPS = 700, SEEDS = 16 };

struct document {
    bool there, has_vector;
    int value;
    float vector[DIM];
    uint64_t version, changed; /* changed: the last batch that wrote or deleted it. */
};

struct state {
    struct document documents[COLLECTIONS][IDS];
};

struct view { /* A snapshot or a transaction. */
    omendb_snapshot *snapshot;
    omendb_transaction *transaction;
    omendb_collection *seen[COLLECTIONS];
    struct state state; /* What it shows. */
    bool written[COLLECTIONS][IDS];
    uint64_t sequence;
};

static omendb *db;
static omendb_collection *collections[COLLECTIONS];
static struct state now;
static struct view views[VIEWS];
static uint64_t random_state, sequence_last;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % below;
}

/* Ids in contract 4's order: numbers, then strings. */
static char id_texts[IDS][16];

static omendb_id id_of(uint32_t id)
{
    if (id < IDS / 2) return (omendb_id){.number = id};
    snprintf(id_texts[id], sizeof id_texts[id], "s%02u", id);
    return (omendb_id){.text_view = id_texts[id], .size = strlen(id_texts[id])};
}

static uint32_t number_of(const omendb_id *id)
{
    if (id->text_view == NULL) return (uint32_t)id->number;
    CHECK(id->size == 3 && id->text_view[0] == 's');
    return (uint32_t)(id->text_view[1] - '0') * 10 + (uint32_t)(id->text_view[2] - '0');
}

/* ---- Comparing ---- */

static bool passes(const struct document *document, int least)
{
    return document->there && document->value >= least;
}

static size_t filter_make(char *out, size_t size, int least)
{
    return (size_t)snprintf(out, size, "{\"n\":{\"$gte\":%d}}", least);
}

static void check_document(const struct document *wanted, const omendb_documents *documents,
                           size_t at)
{
    char json[24];
    omendb_document document;
    omendb_documents_entry(documents, at, &document);
    CHECK((document.found != 0) == wanted->there);
    CHECK(omendb_documents_version(documents, at) == (wanted->there ? wanted->version : 0));
    const void *vector = omendb_documents_vector(documents, at, NULL, NULL, NULL);
    CHECK((vector != NULL) == (wanted->there && wanted->has_vector));
    if (vector != NULL) CHECK(memcmp(vector, wanted->vector, sizeof wanted->vector) == 0);
    if (!wanted->there) return;
    snprintf(json, sizeof json, "{\"n\":%d}", wanted->value);
    CHECK(strcmp(json, document.json_view) == 0);
}

static void check_get(omendb_collection *seen, const struct document *documents)
{
    omendb_id ids[IDS];
    omendb_documents *found = NULL;
    for (uint32_t i = 0; i < IDS; i++) ids[i] = id_of(i);
    OK(omendb_collection_get(seen, ids, IDS, OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS, &found,
                             &err));
    for (uint32_t i = 0; i < IDS; i++) check_document(&documents[i], found, i);
    omendb_documents_destroy(found);
}

static void check_find(omendb_collection *seen, const struct document *documents)
{
    char filter[40];
    omendb_documents *found = NULL;
    omendb_find_params find = OMENDB_FIND_PARAMS_INIT;
    const int least = (int)draw(8) - 1;
    const uint32_t first = draw(IDS);
    const omendb_id after = id_of(first);
    const bool has_after = draw(3) == 0;
    find.limit = 1 + draw(IDS);
    find.flags = OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS;
    if (has_after) find.after = &after;
    if (least >= 0) {
        find.filter_size = filter_make(filter, sizeof filter, least);
        find.filter = filter;
    }
    OK(omendb_collection_find(seen, &find, &found, &err));
    size_t at = 0;
    for (uint32_t i = has_after ? first + 1 : 0; i < IDS && at < find.limit; i++)
        if (passes(&documents[i], least)) check_document(&documents[i], found, at++);
    CHECK(at == omendb_documents_count(found));
    omendb_documents_destroy(found);
    uint64_t count = 0, wanted = 0;
    OK(omendb_collection_count(seen, find.filter, find.filter_size, &count, &err));
    for (uint32_t i = 0; i < IDS; i++) wanted += passes(&documents[i], least);
    CHECK(count == wanted);
}

static float distance(const float *a, const float *b)
{
    float sum = 0;
    for (uint32_t i = 0; i < DIM; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static void check_search(omendb_collection *seen, const struct document *documents)
{
    char filter[40];
    float query[DIM];
    bool taken[IDS] = {false};
    omendb_hits *hits = NULL;
    omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
    const int least = (int)draw(8) - 1;
    for (uint32_t i = 0; i < DIM; i++) query[i] = (float)draw(4);
    search.queries = query;
    search.query_count = 1;
    search.dim = DIM;
    search.k = 1 + draw(IDS);
    search.offset = draw(4) == 0 ? draw(3) : 0;
    search.flags = OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS;
    if (least >= 0) {
        search.filter_size = filter_make(filter, sizeof filter, least);
        search.filter = filter;
    }
    OK(omendb_collection_search(seen, &search, &hits, &err));
    const size_t count = omendb_hits_count(hits, 0);
    for (uint32_t rank = 0; rank < search.offset + search.k; rank++) {
        uint32_t best = IDS; /* Ids ascend: the first of equals is the one. */
        for (uint32_t i = 0; i < IDS; i++) {
            if (taken[i] || !passes(&documents[i], least) || !documents[i].has_vector) continue;
            if (best == IDS ||
                distance(documents[i].vector, query) < distance(documents[best].vector, query))
                best = i;
        }
        if (best == IDS) {
            CHECK(count == (rank > search.offset ? rank - search.offset : 0));
            break;
        }
        taken[best] = true;
        if (rank < search.offset) continue;
        omendb_hit hit;
        const size_t at = rank - search.offset;
        CHECK(at < count);
        omendb_hits_entry(hits, 0, at, &hit);
        CHECK(number_of(&hit.document.id) == best);
        check_document(&documents[best], omendb_hits_documents(hits, 0), at);
        const float wanted = distance(documents[best].vector, query);
        CHECK(hit.distance >= wanted && hit.distance <= wanted);
    }
    omendb_hits_destroy(hits);
}

static void check_view(omendb_collection *const *seen, const struct state *state)
{
    for (uint32_t c = 0; c < COLLECTIONS; c++) {
        check_get(seen[c], state->documents[c]);
        check_find(seen[c], state->documents[c]);
        check_search(seen[c], state->documents[c]);
    }
}

/* ---- Writing ---- */

struct write { /* An upsert of several rows, or a deletion. */
    uint32_t count;
    bool deletes, conditions, if_absent;
    uint32_t ids[ROWS_MAX];
    uint64_t versions[ROWS_MAX];
    struct document documents[ROWS_MAX];
};

static void write_draw(struct write *write, const struct document *documents)
{
    *write = (struct write){.count = 1 + draw(ROWS_MAX), .deletes = draw(3) == 0};
    write->conditions = draw(3) == 0;
    write->if_absent = !write->deletes && !write->conditions && draw(3) == 0;
    for (uint32_t i = 0; i < write->count; i++) {
        struct document *document = &write->documents[i];
        write->ids[i] = draw(IDS);
        const struct document *old = &documents[write->ids[i]];
        write->versions[i] = draw(4) == 0     ? OMENDB_VERSION_ANY
                             : draw(8) == 0   ? 1 + draw(9)
                             : old->there     ? old->version
                             : write->deletes ? OMENDB_VERSION_ANY
                                              : 0;
        document->there = true;
        document->value = (int)draw(7);
        document->has_vector = draw(5) != 0;
        for (uint32_t j = 0; j < DIM; j++) document->vector[j] = (float)draw(4);
    }
}

/* What becomes of the state; returns what the call must return. `version`: of what is written.
 * changed[id]: whether the document was written, or deleted. */
static omendb_status write_model(const struct write *write, struct document *documents,
                                 uint64_t version)
{
    struct document after[IDS];
    memcpy(after, documents, sizeof after);
    for (uint32_t i = 0; i < write->count; i++) {
        struct document *document = &after[write->ids[i]];
        const uint64_t wanted = write->if_absent    ? 0
                                : write->conditions ? write->versions[i]
                                                    : OMENDB_VERSION_ANY;
        const uint64_t is = document->there ? document->version : 0;
        if (wanted == 0 && is != 0) return OMENDB_ERR_EXISTS;
        if (wanted != OMENDB_VERSION_ANY && wanted != is) return OMENDB_ERR_CONFLICT;
        if (write->deletes) {
            if (document->there) *document = (struct document){.changed = version};
            continue;
        }
        *document = write->documents[i];
        document->version = document->changed = version;
    }
    memcpy(documents, after, sizeof after);
    return OMENDB_OK;
}

/* Into a collection, whoever sees it, or into a batch. */
static omendb_status write_do(const struct write *write, omendb_collection *collection,
                              omendb_batch *batch)
{
    omendb_id ids[ROWS_MAX];
    for (uint32_t i = 0; i < write->count; i++) ids[i] = id_of(write->ids[i]);
    if (write->deletes && batch != NULL)
        return omendb_batch_delete(batch, collection, ids, write->count, &err);
    if (write->deletes && write->conditions)
        return omendb_collection_delete_if_version(collection, ids, write->versions, write->count,
                                                   &err);
    if (write->deletes) return omendb_collection_delete(collection, ids, write->count, NULL, &err);
    float vectors[ROWS_MAX][DIM];
    uint8_t present[ROWS_MAX];
    uint64_t offsets[ROWS_MAX + 1] = {0};
    char json[ROWS_MAX * 24];
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    for (uint32_t i = 0; i < write->count; i++) {
        const struct document *document = &write->documents[i];
        memcpy(vectors[i], document->vector, sizeof vectors[i]);
        present[i] = document->has_vector;
        offsets[i + 1] = offsets[i] +
                         (uint64_t)snprintf(json + offsets[i], 24, "{\"n\":%d}", document->value);
    }
    column.data = vectors;
    column.dim = DIM;
    column.present = present;
    rows.count = write->count;
    rows.ids = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = offsets;
    if (write->if_absent) rows.flags = OMENDB_ROWS_IF_ABSENT;
    if (write->conditions) rows.if_versions = write->versions;
    if (batch != NULL) return omendb_batch_upsert(batch, collection, &rows, &err);
    return omendb_collection_upsert(collection, &rows, &err);
}

/* Where several conditions fail, rows of one batch about the same document among them, it isn't said
 * which of them is named. */
static void expect(omendb_status status, omendb_status wanted)
{
    if (wanted == OMENDB_ERR_EXISTS && status == OMENDB_ERR_CONFLICT) return;
    if (wanted == OMENDB_ERR_CONFLICT && status == OMENDB_ERR_EXISTS) return;
    if (status != wanted)
        fprintf(stderr, "%s instead of %s: %s\n", omendb_status_name(status),
                omendb_status_name(wanted), err.message);
    CHECK(status == wanted);
}

static void step_write(void)
{
    struct write write;
    const uint32_t c = draw(COLLECTIONS);
    write_draw(&write, now.documents[c]);
    const omendb_status wanted = write_model(&write, now.documents[c], sequence_last + 1);
    expect(write_do(&write, collections[c], NULL), wanted);
    if (wanted == OMENDB_OK) sequence_last++;
}

/* Both collections in one batch, conditions on either. */
static void step_batch(void)
{
    struct write writes[COLLECTIONS];
    struct state after = now;
    omendb_batch *batch = NULL;
    omendb_status wanted = OMENDB_OK;
    uint64_t sequence = 0;
    OK(omendb_batch_create(db, &batch, &err));
    for (uint32_t c = 0; c < COLLECTIONS; c++) {
        write_draw(&writes[c], now.documents[c]);
        if (writes[c].deletes) writes[c].conditions = false; /* A batch's deletes have none. */
        OK(write_do(&writes[c], collections[c], batch));
        if (wanted == OMENDB_OK)
            wanted = write_model(&writes[c], after.documents[c], sequence_last + 1);
    }
    expect(omendb_batch_commit(batch, OMENDB_DURABILITY_DEFAULT, &sequence, &err), wanted);
    omendb_batch_destroy(batch);
    if (wanted != OMENDB_OK) return;
    CHECK(sequence == ++sequence_last);
    now = after;
}

/* ---- Views ---- */

static void view_open(struct view *view)
{
    view->state = now;
    memset(view->written, 0, sizeof view->written);
    if (draw(3) == 0) {
        OK(omendb_snapshot_create(db, &view->snapshot, &err));
        view->sequence = omendb_snapshot_sequence(view->snapshot);
    } else {
        OK(omendb_transaction_begin(db, &view->transaction, &err));
        view->sequence = omendb_transaction_sequence(view->transaction);
    }
    CHECK(view->sequence == sequence_last);
    for (uint32_t c = 0; c < COLLECTIONS; c++) {
        if (view->snapshot != NULL)
            OK(omendb_snapshot_collection(view->snapshot, collections[c], &view->seen[c], &err));
        else
            OK(omendb_transaction_collection(view->transaction, collections[c], &view->seen[c],
                                             &err));
    }
}

static void view_close(struct view *view)
{
    const bool handle_first = draw(2) == 0;
    for (uint32_t c = 0; c < COLLECTIONS && handle_first; c++)
        omendb_collection_close(view->seen[c]);
    if (draw(2) == 0) omendb_transaction_rollback(view->transaction);
    omendb_transaction_destroy(view->transaction);
    omendb_snapshot_destroy(view->snapshot);
    for (uint32_t c = 0; c < COLLECTIONS && !handle_first; c++)
        omendb_collection_close(view->seen[c]);
    *view = (struct view){.snapshot = NULL};
}

static void view_write(struct view *view)
{
    struct write write;
    const uint32_t c = draw(COLLECTIONS);
    struct document *documents = view->state.documents[c];
    if (draw(12) == 0) {
        char filter[40];
        uint64_t deleted = 0, wanted = 0;
        const int least = (int)draw(7);
        const size_t size = filter_make(filter, sizeof filter, least);
        OK(omendb_collection_delete_where(view->seen[c], filter, size, &deleted, &err));
        for (uint32_t i = 0; i < IDS; i++) {
            if (!passes(&documents[i], least)) continue;
            wanted++;
            view->written[c][i] = true;
            documents[i] = (struct document){.there = false};
        }
        CHECK(deleted == wanted);
        return;
    }
    write_draw(&write, documents);
    const omendb_status wanted = write_model(&write, documents, OMENDB_VERSION_OWN);
    expect(write_do(&write, view->seen[c], NULL), wanted);
    for (uint32_t i = 0; i < write.count && wanted == OMENDB_OK; i++)
        view->written[c][write.ids[i]] = true;
}

static void view_commit(struct view *view)
{
    struct state after = now;
    omendb_status wanted = OMENDB_OK;
    uint64_t sequence = 0, writes = 0;
    for (uint32_t c = 0; c < COLLECTIONS; c++) {
        for (uint32_t i = 0; i < IDS; i++) {
            if (!view->written[c][i]) continue;
            struct document *document = &after.documents[c][i];
            writes++;
            if (document->changed > view->sequence) wanted = OMENDB_ERR_CONFLICT;
            const bool was_there = document->there;
            *document = view->state.documents[c][i];
            if (document->there) document->version = sequence_last + 1;
            document->changed = document->there || was_there ? sequence_last + 1
                                                             : now.documents[c][i].changed;
        }
    }
    expect(omendb_transaction_commit(view->transaction, OMENDB_DURABILITY_DEFAULT, &sequence, &err),
           wanted);
    if (wanted != OMENDB_OK) return;
    FAILS(OMENDB_ERR_MISUSE,
          omendb_transaction_commit(view->transaction, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    if (writes == 0) {
        CHECK(sequence == view->sequence);
    } else {
        CHECK(sequence == ++sequence_last);
        now = after;
    }
    view_close(view);
}

static void step_view(void)
{
    struct view *view = &views[draw(VIEWS)];
    if (view->snapshot == NULL && view->transaction == NULL) {
        view_open(view);
    } else if (view->transaction != NULL && draw(8) != 0) {
        if (draw(6) == 0) view_commit(view);
        else view_write(view);
    } else if (draw(4) == 0) {
        view_close(view);
    }
    if (view->snapshot != NULL || view->transaction != NULL) check_view(view->seen, &view->state);
}

/* ---- Scripts ---- */

/* Every other script runs in memory, where commits reclaim; it is longer, until they do. */
static bool in_memory;

static void open_db(void)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    options.durability = OMENDB_DURABILITY_NONE;
    OK(omendb_open(in_memory ? ":memory:" : path, &options, &db, &err));
}

static void reopen(void)
{
    for (uint32_t i = 0; i < VIEWS; i++) view_close(&views[i]);
    for (uint32_t c = 0; c < COLLECTIONS; c++) omendb_collection_close(collections[c]);
    OK(omendb_close(db, &err));
    open_db();
    OK(omendb_collection_open(db, "c0", &collections[0], &err));
    OK(omendb_collection_open(db, "c1", &collections[1], &err));
    check_view(collections, &now);
}

static void agrees_with_the_model(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        random_state = seed * UINT64_C(0x9E3779B97F4A7C15);
        in_memory = seed % 2 == 0;
        remove_files();
        open_db();
        now = (struct state){0};
        collections[0] = make(db, "c0", OMENDB_F32, OMENDB_L2, DIM);
        collections[1] = make(db, "c1", OMENDB_F32, OMENDB_L2, DIM);
        omendb_snapshot *first = NULL;
        OK(omendb_snapshot_create(db, &first, &err));
        sequence_last = omendb_snapshot_sequence(first);
        omendb_snapshot_destroy(first);
        for (uint32_t step = 0; step < (in_memory ? 5 * STEPS : STEPS); step++) {
            const uint32_t kind = draw(20);
            if (kind < 4) step_write();
            else if (kind < 6) step_batch();
            else if (kind < 7 && draw(4) == 0) OK(store_checkpoint(db->store, &err));
            else if (kind < 8 && draw(10) == 0 && !in_memory) reopen();
            else step_view();
            if (step % 16 == 0) check_view(collections, &now);
        }
        for (uint32_t i = 0; i < VIEWS; i++) view_close(&views[i]);
        check_view(collections, &now);
        char *report = NULL;
        OK(omendb_check(db, OMENDB_CHECK_DEEP, &report, &err));
        CHECK(strstr(report, "\"ok\":true") != NULL);
        omendb_text_destroy(report);
        for (uint32_t c = 0; c < COLLECTIONS; c++) omendb_collection_close(collections[c]);
        OK(omendb_close(db, &err));
    }
    remove_files();
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"agrees_with_the_model", agrees_with_the_model},
        {NULL, NULL},
    };
    make_path("transaction-model");
    return test_main(tests, argc, argv);
}
