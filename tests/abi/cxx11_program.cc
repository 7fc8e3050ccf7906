// cxx11_program.cc - a whole little program in strict C++11 that knows omendb.h alone.
//
// usage: cxx11_program FILE   (a path that it may make, fill and remove)
#include <omendb.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

#define CHECK(condition)                                                                           \
    ((condition) ? static_cast<void>(0)                                                            \
                 : throw std::runtime_error(std::string("line ") + std::to_string(__LINE__) +      \
                                            ": CHECK(" #condition ")"))

// Throws what the library said. The call is written first and fills `error`.
struct Outcome {
    omendb_error error;
    void must(omendb_status status) const
    {
        if (status != OMENDB_OK) {
            throw std::runtime_error(std::string(omendb_status_name(status)) + ": " +
                                     error.message);
        }
    }
};

struct CollectionClose {
    void operator()(omendb_collection *collection) const
    {
        omendb_collection_close(collection);
    }
};
struct HitsDestroy {
    void operator()(omendb_hits *hits) const
    {
        omendb_hits_destroy(hits);
    }
};
struct DocumentsDestroy {
    void operator()(omendb_documents *documents) const
    {
        omendb_documents_destroy(documents);
    }
};
struct BatchDestroy {
    void operator()(omendb_batch *batch) const
    {
        omendb_batch_destroy(batch);
    }
};
using Collection = std::unique_ptr<omendb_collection, CollectionClose>;
using Hits = std::unique_ptr<omendb_hits, HitsDestroy>;
using Documents = std::unique_ptr<omendb_documents, DocumentsDestroy>;
using Batch = std::unique_ptr<omendb_batch, BatchDestroy>;

omendb_id number_id(uint64_t number)
{
    omendb_id id = {nullptr, 0, number};
    return id;
}

Collection create(omendb *db, const char *name, Outcome *outcome)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *made = nullptr;

    field.name = "v";
    field.dim = 4;
    field.metric = OMENDB_COSINE;
    schema.vectors = &field;
    schema.vectors_count = 1;
    outcome->must(omendb_collection_create(db, name, &schema, &made, &outcome->error));
    return Collection(made);
}

void fill(omendb *db, omendb_collection *left, omendb_collection *right, Outcome *outcome)
{
    const std::vector<float> data = {1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0};
    const std::vector<uint64_t> ids = {1, 2, 3};
    omendb_vectors vectors = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_batch *made = nullptr;
    uint64_t sequence = 0;

    vectors.data = data.data();
    vectors.dim = 4;
    rows.count = ids.size();
    rows.id_numbers = ids.data();
    rows.vectors = &vectors;
    rows.vectors_count = 1;
    outcome->must(omendb_batch_create(db, &made, &outcome->error));
    const Batch batch(made);
    outcome->must(omendb_batch_upsert(batch.get(), left, &rows, &outcome->error));
    outcome->must(omendb_batch_upsert(batch.get(), right, &rows, &outcome->error));
    outcome->must(
        omendb_batch_commit(batch.get(), OMENDB_DURABILITY_FULL, &sequence, &outcome->error));
    CHECK(sequence > 0);
    std::puts("ok one_batch_fills_two_collections");
}

void search(omendb_collection *collection, Outcome *outcome)
{
    const float queries[2][4] = {{2, 0, 0, 0}, {0, 3, 0, 0}};
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *made = nullptr;
    omendb_hit hit;
    uint64_t ids[4] = {0, 0, 0, 0};
    float scores[4] = {0, 0, 0, 0};
    uint32_t found[2] = {0, 0};

    params.queries = queries;
    params.query_count = 2;
    params.dim = 4;
    params.k = 2;
    outcome->must(omendb_collection_search(collection, &params, &made, &outcome->error));
    const Hits hits(made);
    for (size_t query = 0; query < 2; query++) {
        CHECK(omendb_hits_count(hits.get(), query) == 2);
        omendb_hits_entry(hits.get(), query, 0, &hit);
        CHECK(hit.document.id.text_view == nullptr && hit.document.id.number == query + 1);
        CHECK(hit.score > 0.9999f && hit.distance < 0.0001f);
    }
    outcome->must(omendb_search_vectors(collection, &params, ids, scores, found, &outcome->error));
    CHECK(found[0] == 2 && found[1] == 2);
    CHECK(ids[0] == 1 && ids[1] == 3 && ids[2] == 2 && ids[3] == 3);
    CHECK(scores[0] == omendb_hits_scores(hits.get())[0]);
    std::puts("ok both_ways_to_search_agree");
}

void get_and_delete(omendb_collection *collection, Outcome *outcome)
{
    const omendb_id ids[2] = {number_id(3), number_id(4)};
    omendb_documents *made = nullptr;
    omendb_document document;
    uint64_t count = 0;

    outcome->must(
        omendb_collection_get(collection, ids, 2, OMENDB_WITH_VECTORS, &made, &outcome->error));
    const Documents documents(made);
    omendb_documents_entry(documents.get(), 0, &document);
    CHECK(document.found != 0);
    const float *vector = static_cast<const float *>(
        omendb_documents_vector(documents.get(), 0, nullptr, nullptr, nullptr));
    CHECK(vector != nullptr && vector[0] == 1.0f && vector[1] == 1.0f && vector[2] == 0.0f);
    omendb_documents_entry(documents.get(), 1, &document);
    CHECK(document.found == 0);

    outcome->must(omendb_collection_delete(collection, ids, 2, &count, &outcome->error));
    CHECK(count == 1);
    outcome->must(omendb_collection_count(collection, nullptr, 0, &count, &outcome->error));
    CHECK(count == 2);
    std::puts("ok a_document_is_got_and_deleted");
}

void run(const char *path)
{
    Outcome outcome;
    omendb *db = nullptr;

    std::remove(path);
    outcome.must(omendb_open(path, nullptr, &db, &outcome.error));
    {
        const Collection left = create(db, "left", &outcome);
        const Collection right = create(db, "right", &outcome);
        fill(db, left.get(), right.get(), &outcome);
        search(right.get(), &outcome);
        get_and_delete(left.get(), &outcome);
    }
    outcome.must(omendb_close(db, &outcome.error));
    std::remove(path);

    outcome.must(omendb_open(":memory:", nullptr, &db, &outcome.error));
    {
        const Collection only = create(db, "only", &outcome);
        omendb_collection *none = nullptr;
        CHECK(omendb_collection_open(db, "none", &none, nullptr) == OMENDB_ERR_NOT_FOUND);
        CHECK(none == nullptr);
        uint64_t last = 1;
        const omendb_index_progress note = [](void *context, uint64_t, uint64_t total) {
            *static_cast<uint64_t *>(context) = total;
            return 0;
        };
        outcome.must(
            omendb_collection_set_index(only.get(), nullptr, OMENDB_INDEX_EXACT, &outcome.error));
        outcome.must(omendb_collection_wait_indexed(only.get(), 0, note, &last, &outcome.error));
        CHECK(last == 0);
        omendb_snapshot *snapshot = nullptr;
        omendb_transaction *transaction = nullptr;
        omendb_collection *inner = nullptr;
        omendb_rows rows = OMENDB_ROWS_INIT;
        const uint64_t ids[2] = {1, 2};
        const uint64_t versions[2] = {0, OMENDB_VERSION_ANY};
        uint64_t count = 9;
        outcome.must(omendb_snapshot_create(db, &snapshot, &outcome.error));
        outcome.must(omendb_transaction_begin(db, &transaction, &outcome.error));
        outcome.must(
            omendb_transaction_collection(transaction, only.get(), &inner, &outcome.error));
        rows.count = 2;
        rows.id_numbers = ids;
        rows.if_versions = versions;
        outcome.must(omendb_collection_upsert(inner, &rows, &outcome.error));
        CHECK(omendb_collection_upsert(inner, &rows, nullptr) == OMENDB_ERR_EXISTS);
        outcome.must(omendb_collection_count(inner, nullptr, 0, &count, &outcome.error));
        CHECK(count == 2);
        omendb_transaction_rollback(transaction);
        CHECK(omendb_collection_count(inner, nullptr, 0, &count, nullptr) == OMENDB_ERR_MISUSE);
        outcome.must(omendb_collection_count(only.get(), nullptr, 0, &count, &outcome.error));
        CHECK(count == 0);
        omendb_collection_close(inner);
        omendb_transaction_destroy(transaction);
        omendb_snapshot_destroy(snapshot);
    }
    const std::string copy = std::string(path) + "-copy", again = copy + "-again";
    std::remove(copy.c_str());
    std::remove(again.c_str());
    outcome.must(omendb_backup(db, copy.c_str(), nullptr, &outcome.error));
    const char *const sources[] = {copy.c_str()};
    omendb_backup_options options = OMENDB_BACKUP_OPTIONS_INIT;
    options.progress = [](void *, uint64_t, uint64_t) { return 0; };
    outcome.must(omendb_restore(sources, 1, again.c_str(), &options, &outcome.error));
    char *report = nullptr;
    omendb_repair_options repair = OMENDB_REPAIR_OPTIONS_INIT;
    repair.flags = OMENDB_BACKUP_REPLACE;
    outcome.must(omendb_repair(copy.c_str(), again.c_str(), &repair, &report, &outcome.error));
    omendb_text_destroy(report);
    std::remove(copy.c_str());
    std::remove(again.c_str());
    outcome.must(omendb_close(db, &outcome.error));
    std::puts("ok a_database_lives_in_memory");

    const float row[2] = {1, 2};
    int id = -1;
    float distance = -1;
    CHECK(omendb_init(2) == 0 && omendb_add("x", 1, row, 2) == 0);
    CHECK(omendb_search(row, 1, &id, &distance) == 1 && id == 0 && distance == 0.0f);
    CHECK(omendb_clear() == 0 && omendb_count() == 0);
    CHECK(std::strcmp(omendb_version(), OMENDB_VERSION_STRING) == 0);
    std::puts("ok the_six_seed_functions_work");
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: cxx11_program FILE\n");
        return 2;
    }
    try {
        run(argv[1]);
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "cxx11_program: %s\n", problem.what());
        return 1;
    }
    return 0;
}
