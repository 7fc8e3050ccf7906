#include "crash/api_scene.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handles.h"
#include "base/compiler.h"
#include "query/indexes.h"

enum { DIM = 8, NOTE_DIM = 4, GROUPS = 5, K = 7, TEXT_MAX = 70000, GRAPH_FROM = 16 };

/* Sizes: small logs, so that checkpoints come by themselves; one document that takes blocks of its
 * own; enough vectors for a graph, deletions that it must repair, and both switches of it. */
const struct api_line api_script[] = {
    {API_OPEN, 0, 0, 0, 0},
    {API_CREATE, API_DOCS, 0, 0, 0},
    {API_PUT, API_DOCS, 0, 40, 30},
    {API_CREATE, API_NOTES, 0, 0, 0},
    {API_PUT, API_NOTES, 0, 30, 200},
    {API_READ, 0, 0, 0, 0},
    {API_BOTH, 0, 25, 60, 60},
    {API_INDEXED, 0, 0, 0, 0},
    {API_PUT, API_DOCS, 60, 62, 40000},
    {API_DELETE_WHERE, API_DOCS, 1, 0, 0},
    {API_STATS, 0, 0, 0, 0},
    {API_KILL, 0, 0, 0, 0},
    {API_OPEN, 0, 0, 0, 0},
    {API_READ, 0, 0, 0, 0},
    {API_PUT, API_DOCS, 20, 130, 500},
    {API_INDEX, API_DOCS, OMENDB_INDEX_COMPACT, 0, 0},
    {API_DELETE, API_DOCS, 30, 90, 0},
    {API_RENAME, API_NOTES, 0, 0, 0},
    {API_INDEXED, 0, 0, 0, 0},
    {API_SYNC, 0, 0, 0, 0},
    {API_CHECK, 0, 0, 0, 0},
    {API_CLOSE, 0, 0, 0, 0},
    {API_OPEN, 0, 0, 0, 0},
    {API_READ, 0, 0, 0, 0},
    {API_DROP, API_NOTES, 0, 0, 0},
    {API_PUT, API_DOCS, 0, 60, 100},
    {API_INDEX, API_DOCS, OMENDB_INDEX_EXACT, 0, 0},
    {API_CREATE, API_NOTES, 0, 0, 0},
    {API_PUT, API_NOTES, 10, 20, 100},
    {API_KILL, 0, 0, 0, 0},
    {API_OPEN, 0, 0, 0, 0},
    {API_INDEX, API_DOCS, OMENDB_INDEX_FAST, 0, 0},
    {API_DELETE, API_DOCS, 0, 20, 0},
    {API_INDEXED, 0, 0, 0, 0},
    {API_CHECK, 0, 0, 0, 0},
    {API_CLOSE, 0, 0, 0, 0},
    {API_OPEN, 0, 0, 0, 0},
    {API_READ, 0, 0, 0, 0},
    {API_CHECK, 0, 0, 0, 0},
    {API_CLOSE, 0, 0, 0, 0},
};
const uint32_t api_script_size = COUNT_OF(api_script);

bool api_scene_failed(struct api_scene *scene, const char *format, ...)
{
    va_list arguments;
    if (scene->failure[0] != '\0') return false;
    va_start(arguments, format);
    (void)vsnprintf(scene->failure, API_TEXT, format, arguments);
    va_end(arguments);
    return false;
}

void api_scene_init(struct api_scene *scene, struct vfs *vfs, const char *path)
{
    memset(scene, 0, sizeof *scene);
    scene->graph.begin = GRAPH_FROM;
    scene->base = (struct store_options){
        .vfs = vfs, .hooks = *indexes_hooks_all(), .wal_segment_size = 64 << 10};
    scene->base.hooks.context = &scene->graph;
    scene->path = path;
}

/* ---- What a document is ---- */

static uint32_t mixed(uint32_t a, uint32_t b)
{
    uint32_t z = a * 0x9E3779B1u ^ b * 0x85EBCA77u;
    z = (z ^ z >> 15) * 0x2C1B3C6Du;
    return z ^ z >> 12;
}

/* Every seventh document has one of two vectors, the others their own. Never all zero. */
static void doc_vector(uint32_t id, uint32_t number, float out[DIM])
{
    const uint32_t own = id % 7 == 0 ? id % 2 : 16 + id * 1009 + number * 7919;
    for (uint32_t i = 0; i < DIM; i++) out[i] = (float)(mixed(own, i) % 16) - 5.0f;
    out[0] += 20.0f;
}

static void note_vectors(uint32_t id, uint32_t number, float a[NOTE_DIM], uint8_t b[NOTE_DIM])
{
    for (uint32_t i = 0; i < NOTE_DIM; i++) {
        a[i] = 1.0f + (float)(mixed(id + 7777, number * 31 + i) % 64);
        b[i] = (uint8_t)mixed(id, number * 17 + i);
    }
}

static size_t document_text(uint32_t id, uint32_t number, uint32_t size, char *out)
{
    size_t at = (size_t)sprintf(out, "{\"g\":%u,\"n\":%u,\"pad\":\"", id % GROUPS, number);
    for (uint32_t i = 0; i < size; i++) out[at++] = (char)('a' + (mixed(number, i) & 15));
    out[at++] = '"';
    out[at++] = '}';
    out[at] = '\0';
    return at;
}

static omendb_id id_of(uint32_t collection, uint32_t id, char text[24])
{
    if (collection == API_DOCS) return (omendb_id){.number = id};
    const int size = snprintf(text, 24, "note-%03u", id);
    return (omendb_id){.text_view = text, .size = (size_t)size};
}

static const char *name_of(const struct api_model *model, uint32_t collection)
{
    if (collection == API_DOCS) return "docs";
    return model->collections[API_NOTES].renamed ? "notices" : "notes";
}

/* ---- Lines that write ---- */

static void number_range(struct api_model *model, uint32_t collection, const struct api_line *line,
                         uint32_t first)
{
    for (uint32_t id = line->from; id < line->to; id++) {
        model->collections[collection].numbers[id] = first + id - line->from;
        model->collections[collection].sizes[id] = id % 3 == 0 ? line->size : line->size / 2;
    }
}

static void forget_range(struct api_model *model, uint32_t collection, uint32_t from, uint32_t to)
{
    for (uint32_t id = from; id < to; id++) model->collections[collection].numbers[id] = 0;
}

void api_scene_prepare(struct api_scene *scene, const struct api_line *line)
{
    struct api_model *next = &scene->next;
    const uint32_t first = scene->last_number + 1;
    *next = scene->model;
    scene->base_number = first;
    switch (line->kind) {
    case API_CREATE:
        next->collections[line->collection].exists = true;
        break;
    case API_PUT:
        number_range(next, line->collection, line, first);
        break;
    case API_BOTH:
        number_range(next, API_DOCS, line, first);
        forget_range(next, API_NOTES, line->from, line->to);
        break;
    case API_DELETE:
        forget_range(next, line->collection, line->from, line->to);
        break;
    case API_DELETE_WHERE:
        for (uint32_t id = line->from; id < API_IDS; id += GROUPS)
            next->collections[line->collection].numbers[id] = 0;
        break;
    case API_RENAME:
        next->collections[API_NOTES].renamed = !next->collections[API_NOTES].renamed;
        break;
    case API_DROP:
        memset(&next->collections[line->collection], 0, sizeof next->collections[0]);
        break;
    case API_OPEN:
    case API_INDEX:
    case API_INDEXED:
    case API_SYNC:
    case API_READ:
    case API_STATS:
    case API_CHECK:
    case API_KILL:
    case API_CLOSE:
        break;
    }
    scene->last_number += line->kind == API_PUT || line->kind == API_BOTH ? line->to - line->from
                                                                          : 0;
}

static omendb_status create(struct api_scene *scene, uint32_t collection, omendb_error *err)
{
    omendb_vector_field fields[2] = {OMENDB_VECTOR_FIELD_INIT, OMENDB_VECTOR_FIELD_INIT};
    const omendb_field number = {sizeof number, OMENDB_FIELD_INT, "n"};
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    schema.vectors = fields;
    schema.fields = &number;
    schema.fields_count = 1;
    schema.vectors_count = collection == API_DOCS ? 1 : 2;
    fields[0].name = collection == API_DOCS ? "v" : "a";
    fields[0].dim = collection == API_DOCS ? DIM : NOTE_DIM;
    fields[0].metric = collection == API_DOCS ? OMENDB_L2 : OMENDB_COSINE;
    fields[1].name = "b";
    fields[1].dim = NOTE_DIM;
    fields[1].type = OMENDB_U8;
    return omendb_collection_create(scene->db, name_of(&scene->model, collection), &schema,
                                    &scene->handles[collection], err);
}

/* Rows [from, to) of the next model, in columns of their own. */
struct columns {
    omendb_id ids[API_IDS];
    char id_texts[API_IDS][24];
    float floats[API_IDS * DIM];
    uint8_t bytes[API_IDS * NOTE_DIM], present[API_IDS];
    uint64_t offsets[API_IDS + 1];
    omendb_vectors vectors[2];
    omendb_rows rows;
    char *json;
};

static void columns_fill(struct columns *columns, const struct api_model *model,
                         uint32_t collection, uint32_t from, uint32_t to)
{
    const uint32_t dim = collection == API_DOCS ? DIM : NOTE_DIM;
    memset(columns, 0, sizeof *columns);
    size_t json_size = 1;
    for (uint32_t id = from; id < to; id++)
        json_size += model->collections[collection].sizes[id] + 64;
    columns->json = malloc(json_size);
    if (columns->json == NULL) abort();
    for (uint32_t id = from; id < to; id++) {
        const uint32_t row = id - from, number = model->collections[collection].numbers[id];
        columns->ids[row] = id_of(collection, id, columns->id_texts[row]);
        columns->present[row] = id % 3 != 0;
        if (collection == API_DOCS) doc_vector(id, number, columns->floats + row * dim);
        else note_vectors(id, number, columns->floats + row * dim, columns->bytes + row * NOTE_DIM);
        columns->offsets[row + 1] = columns->offsets[row] +
                                    document_text(id, number,
                                                  model->collections[collection].sizes[id],
                                                  columns->json + columns->offsets[row]);
    }
    columns->vectors[0] = columns->vectors[1] = (omendb_vectors)OMENDB_VECTORS_INIT;
    columns->vectors[0].field = collection == API_DOCS ? "v" : "a";
    columns->vectors[0].data = columns->floats;
    columns->vectors[0].dim = dim;
    columns->vectors[0].present = collection == API_DOCS ? NULL : columns->present;
    columns->vectors[1].field = "b";
    columns->vectors[1].type = OMENDB_U8;
    columns->vectors[1].data = columns->bytes;
    columns->vectors[1].dim = NOTE_DIM;
    columns->rows = (omendb_rows)OMENDB_ROWS_INIT;
    columns->rows.count = to - from;
    columns->rows.ids = columns->ids;
    columns->rows.vectors = columns->vectors;
    columns->rows.vectors_count = collection == API_DOCS ? 1 : 2;
    columns->rows.json = columns->json;
    columns->rows.json_offsets = columns->offsets;
}

static omendb_status put_range(struct api_scene *scene, const struct api_line *line,
                               omendb_error *err)
{
    static struct columns columns;
    columns_fill(&columns, &scene->next, line->collection, line->from, line->to);
    const omendb_status status = omendb_collection_upsert(scene->handles[line->collection],
                                                          &columns.rows, err);
    free(columns.json);
    return status;
}

static omendb_status put_both(struct api_scene *scene, const struct api_line *line,
                              omendb_error *err)
{
    static struct columns columns;
    omendb_id ids[API_IDS];
    char texts[API_IDS][24];
    omendb_batch *batch = NULL;
    uint64_t sequence = 0;
    for (uint32_t id = line->from; id < line->to; id++)
        ids[id - line->from] = id_of(API_NOTES, id, texts[id - line->from]);
    columns_fill(&columns, &scene->next, API_DOCS, line->from, line->to);
    omendb_status status = omendb_batch_create(scene->db, &batch, err);
    if (status == OMENDB_OK)
        status = omendb_batch_upsert(batch, scene->handles[API_DOCS], &columns.rows, err);
    if (status == OMENDB_OK)
        status = omendb_batch_delete(batch, scene->handles[API_NOTES], ids, line->to - line->from,
                                     err);
    if (status == OMENDB_OK)
        status = omendb_batch_commit(batch, OMENDB_DURABILITY_FULL, &sequence, err);
    omendb_batch_destroy(batch);
    free(columns.json);
    return status;
}

static uint32_t counted(const struct api_model *model, uint32_t collection, uint32_t from,
                        uint32_t to, uint32_t step)
{
    uint32_t count = 0;
    for (uint32_t id = from; id < to; id += step)
        count += model->collections[collection].numbers[id] != 0;
    return count;
}

static omendb_status delete_some(struct api_scene *scene, const struct api_line *line,
                                 omendb_error *err)
{
    omendb_id ids[API_IDS];
    char texts[API_IDS][24], filter[32];
    uint64_t deleted = UINT64_MAX;
    omendb_status status;
    uint32_t wanted;
    if (line->kind == API_DELETE_WHERE) {
        const int size = snprintf(filter, sizeof filter, "{\"g\":%u}", line->from);
        wanted = counted(&scene->model, line->collection, line->from, API_IDS, GROUPS);
        status = omendb_collection_delete_where(scene->handles[line->collection], filter,
                                                (size_t)size, &deleted, err);
    } else {
        for (uint32_t id = line->from; id < line->to; id++)
            ids[id - line->from] = id_of(line->collection, id, texts[id - line->from]);
        wanted = counted(&scene->model, line->collection, line->from, line->to, 1);
        status = omendb_collection_delete(scene->handles[line->collection], ids,
                                          line->to - line->from, &deleted, err);
    }
    if (status == OMENDB_OK && deleted != wanted)
        (void)api_scene_failed(scene, "%llu deleted, not %u", (unsigned long long)deleted, wanted);
    return status;
}

static omendb_status open_all(struct api_scene *scene, omendb_error *err)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    options.wal_size_max = 96 << 10;
    TRY(db_open(&scene->base, scene->path, &options, &scene->db, err));
    /* The name of a collection whose renaming failed is open as well. */
    for (uint32_t c = 0; c < API_COLLECTIONS; c++) {
        omendb_status status = omendb_collection_open(scene->db, name_of(&scene->model, c),
                                                      &scene->handles[c], err);
        if (status == OMENDB_ERR_NOT_FOUND)
            status = omendb_collection_open(scene->db, name_of(&scene->next, c), &scene->handles[c],
                                            err);
        if (status != OMENDB_OK && status != OMENDB_ERR_NOT_FOUND) {
            (void)api_scene_close(scene, NULL);
            return status;
        }
    }
    return OMENDB_OK;
}

omendb_status api_scene_close(struct api_scene *scene, omendb_error *err)
{
    omendb *db = scene->db;
    for (uint32_t c = 0; c < API_COLLECTIONS; c++) {
        omendb_collection_close(scene->handles[c]);
        scene->handles[c] = NULL;
    }
    scene->db = NULL;
    return omendb_close(db, err);
}

static omendb_status rename_notes(struct api_scene *scene, omendb_error *err)
{
    return omendb_collection_rename(scene->db, name_of(&scene->model, API_NOTES),
                                    name_of(&scene->next, API_NOTES), err);
}

static omendb_status drop(struct api_scene *scene, uint32_t collection, omendb_error *err)
{
    TRY(omendb_collection_drop(scene->db, name_of(&scene->model, collection), err));
    omendb_collection_close(scene->handles[collection]);
    scene->handles[collection] = NULL;
    return OMENDB_OK;
}

static omendb_status take_stats(struct api_scene *scene, omendb_error *err)
{
    char *text = NULL;
    TRY(omendb_stats(scene->db, &text, err));
    if (text[0] != '{' || strstr(text, "\"sequence\"") == NULL)
        (void)api_scene_failed(scene, "stats: %.200s", text);
    omendb_text_destroy(text);
    TRY(omendb_collection_list(scene->db, &text, err));
    omendb_text_destroy(text);
    return OMENDB_OK;
}

omendb_status api_scene_check(struct api_scene *scene, bool *good, omendb_error *err)
{
    char *text = NULL;
    TRY(omendb_check(scene->db, OMENDB_CHECK_DEEP, &text, err));
    *good = strncmp(text, "{\"ok\":true", 10) == 0;
    if (!*good && strstr(text, "\"problems\":[\"") == NULL)
        (void)api_scene_failed(scene, "check tells of no problem: %.300s", text);
    omendb_text_destroy(text);
    return OMENDB_OK;
}

/* ---- Comparing ---- */

static bool document_right(struct api_scene *scene, const struct api_model *model,
                           uint32_t collection, uint32_t id, const omendb_documents *documents,
                           size_t entry)
{
    static char text[TEXT_MAX];
    float a[DIM];
    uint8_t b[NOTE_DIM];
    omendb_document document;
    const uint32_t number = model->collections[collection].numbers[id];
    omendb_documents_entry(documents, entry, &document);
    if ((document.found != 0) != (number != 0))
        return api_scene_failed(scene, "collection %u, id %u: %s", collection, id,
                                number != 0 ? "it is missing" : "it is there again");
    if (number == 0) return true;
    const size_t size = document_text(id, number, model->collections[collection].sizes[id], text);
    if (document.json_size != size || memcmp(document.json_view, text, size) != 0)
        return api_scene_failed(scene, "collection %u, id %u: %.60s, not %.60s", collection, id,
                                document.json_view, text);
    const void *first = omendb_documents_vector(documents, entry,
                                                collection == API_DOCS ? "v" : "a", NULL, NULL);
    if (collection == API_DOCS) {
        doc_vector(id, number, a);
        if (first != NULL && memcmp(first, a, sizeof a) == 0) return true;
    } else {
        note_vectors(id, number, a, b);
        const void *second = omendb_documents_vector(documents, entry, "b", NULL, NULL);
        const bool has = id % 3 != 0;
        if ((first != NULL) == has && (!has || memcmp(first, a, NOTE_DIM * sizeof *a) == 0) &&
            second != NULL && memcmp(second, b, sizeof b) == 0)
            return true;
    }
    return api_scene_failed(scene, "collection %u, id %u: another vector", collection, id);
}

static omendb_status compare_by_id(struct api_scene *scene, const struct api_model *model,
                                   uint32_t collection, omendb_error *err)
{
    omendb_id ids[API_IDS];
    char texts[API_IDS][24];
    omendb_documents *documents = NULL;
    for (uint32_t id = 0; id < API_IDS; id++) ids[id] = id_of(collection, id, texts[id]);
    TRY(omendb_collection_get(scene->handles[collection], ids, API_IDS,
                              OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS, &documents, err));
    for (uint32_t id = 0; id < API_IDS && scene->failure[0] == '\0'; id++)
        (void)document_right(scene, model, collection, id, documents, id);
    omendb_documents_destroy(documents);
    return OMENDB_OK;
}

/* Those of one group by a filter, in order, and counts. */
static omendb_status compare_by_filter(struct api_scene *scene, const struct api_model *model,
                                       uint32_t collection, omendb_error *err)
{
    static const char filter[] = "{\"g\":{\"$in\":[2]}}";
    omendb_find_params params = OMENDB_FIND_PARAMS_INIT;
    omendb_documents *documents = NULL;
    uint64_t count = 0, matching = 0;
    params.filter = filter;
    params.filter_size = sizeof filter - 1;
    params.limit = API_IDS;
    params.flags = OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS;
    TRY(omendb_collection_count(scene->handles[collection], NULL, 0, &count, err));
    TRY(omendb_collection_count(scene->handles[collection], filter, sizeof filter - 1, &matching,
                                err));
    TRY(omendb_collection_find(scene->handles[collection], &params, &documents, err));
    size_t entry = 0;
    for (uint32_t id = 2; id < API_IDS && scene->failure[0] == '\0'; id += GROUPS) {
        if (model->collections[collection].numbers[id] == 0) continue;
        if (entry == omendb_documents_count(documents))
            (void)api_scene_failed(scene, "collection %u: id %u isn't found", collection, id);
        else (void)document_right(scene, model, collection, id, documents, entry++);
    }
    if (entry != omendb_documents_count(documents) || entry != matching ||
        count != counted(model, collection, 0, API_IDS, 1))
        (void)api_scene_failed(scene, "collection %u: %zu found, %llu match, %llu in all",
                               collection, omendb_documents_count(documents),
                               (unsigned long long)matching, (unsigned long long)count);
    omendb_documents_destroy(documents);
    return OMENDB_OK;
}

static float distance_of(const float a[DIM], const float b[DIM])
{
    float sum = 0;
    for (uint32_t i = 0; i < DIM; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

struct nearest {
    float distance;
    uint32_t id;
};

/* The K nearest by brute force, in the order that omendb.h promises. */
static size_t nearest_of(const struct api_model *model, const float query[DIM], uint32_t group,
                         struct nearest out[K])
{
    size_t count = 0;
    for (uint32_t id = 0; id < API_IDS; id++) {
        float vector[DIM];
        const uint32_t number = model->collections[API_DOCS].numbers[id];
        if (number == 0 || (group < GROUPS && id % GROUPS != group)) continue;
        doc_vector(id, number, vector);
        const float distance = distance_of(query, vector);
        size_t at = count < K ? count++ : K;
        for (; at > 0 && out[at - 1].distance > distance; at--)
            if (at < K) out[at] = out[at - 1];
        if (at < K) out[at] = (struct nearest){distance, id};
    }
    return count;
}

static omendb_status compare_search(struct api_scene *scene, const struct api_model *model,
                                    uint32_t asked, omendb_error *err)
{
    static const uint32_t flags[] = {OMENDB_EXACT, 0};
    static const char filter[] = "{\"g\":3}";
    float query[DIM];
    struct nearest nearest[K];
    doc_vector(asked, asked, query);
    const uint32_t group = asked % 4 == 3 ? 3 : GROUPS;
    const size_t wanted = nearest_of(model, query, group, nearest);
    for (uint32_t way = 0; way < 2 && scene->failure[0] == '\0'; way++) {
        omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
        omendb_hits *hits = NULL;
        float before = -1;
        params.flags = flags[way];
        params.dim = DIM;
        params.queries = query;
        params.query_count = 1;
        params.k = K;
        params.filter = group < GROUPS ? filter : NULL;
        params.filter_size = group < GROUPS ? sizeof filter - 1 : 0;
        TRY(omendb_collection_search(scene->handles[API_DOCS], &params, &hits, err));
        if (omendb_hits_count(hits, 0) != wanted)
            (void)api_scene_failed(scene, "search %u: %zu hits, not %zu", asked,
                                   omendb_hits_count(hits, 0), wanted);
        for (size_t i = 0; i < wanted && scene->failure[0] == '\0'; i++) {
            omendb_hit hit;
            float vector[DIM];
            omendb_hits_entry(hits, 0, i, &hit);
            const uint32_t id = (uint32_t)hit.document.id.number;
            const uint32_t number = id < API_IDS ? model->collections[API_DOCS].numbers[id] : 0;
            doc_vector(id, number, vector);
            if (number == 0 || hit.distance != distance_of(query, vector) ||
                hit.distance < before || (flags[way] != 0 && id != nearest[i].id))
                (void)api_scene_failed(scene, "search %u, way %u, hit %zu: id %u at %g", asked, way,
                                       i, id, (double)hit.distance);
            before = hit.distance;
        }
        omendb_hits_destroy(hits);
    }
    return OMENDB_OK;
}

static omendb_status compare_with(struct api_scene *scene, const struct api_model *model,
                                  omendb_error *err)
{
    for (uint32_t c = 0; c < API_COLLECTIONS && scene->failure[0] == '\0'; c++) {
        const bool exists = model->collections[c].exists;
        omendb_collection *named = NULL;
        const omendb_status status = omendb_collection_open(scene->db, name_of(model, c), &named,
                                                            err);
        omendb_collection_close(named);
        if (status != OMENDB_OK && status != OMENDB_ERR_NOT_FOUND) return status;
        if ((status == OMENDB_OK) != exists)
            (void)api_scene_failed(scene, "collection %u: %s", c,
                                   exists ? "it is missing" : "it is there again");
        if (!exists || scene->failure[0] != '\0') continue;
        TRY(compare_by_id(scene, model, c, err));
        TRY(compare_by_filter(scene, model, c, err));
        for (uint32_t asked = 0; c == API_DOCS && asked < 4; asked++)
            TRY(compare_search(scene, model, asked, err));
    }
    return OMENDB_OK;
}

omendb_status api_scene_compare(struct api_scene *scene, omendb_error *err)
{
    return compare_with(scene, &scene->model, err);
}

omendb_status api_scene_reopened(struct api_scene *scene, bool *happened, omendb_error *err)
{
    char before[API_TEXT];
    *happened = false;
    TRY(compare_with(scene, &scene->model, err));
    if (scene->failure[0] == '\0') return OMENDB_OK;
    memcpy(before, scene->failure, sizeof before);
    scene->failure[0] = '\0';
    TRY(compare_with(scene, &scene->next, err));
    if (scene->failure[0] == '\0') {
        scene->model = scene->next;
        *happened = true;
    } else {
        memcpy(scene->failure, before, sizeof before);
    }
    return OMENDB_OK;
}

/* ---- Playing ---- */

static omendb_status play_one(struct api_scene *scene, const struct api_line *line,
                              omendb_error *err)
{
    bool good = true, more = false;
    omendb_status status = OMENDB_OK;
    switch (line->kind) {
    case API_OPEN:
        return open_all(scene, err);
    case API_CREATE:
        return create(scene, line->collection, err);
    case API_PUT:
        return put_range(scene, line, err);
    case API_BOTH:
        return put_both(scene, line, err);
    case API_DELETE:
    case API_DELETE_WHERE:
        return delete_some(scene, line, err);
    case API_INDEX:
        return omendb_collection_set_index(scene->handles[API_DOCS], "v", line->from, err);
    case API_INDEXED: /* Without threads nobody else tries again what has failed. */
        TRY(store_index_work(scene->db->store, &more, err));
        return omendb_collection_wait_indexed(scene->handles[API_DOCS], 0, NULL, NULL, err);
    case API_RENAME:
        return rename_notes(scene, err);
    case API_DROP:
        return drop(scene, line->collection, err);
    case API_SYNC:
        return omendb_sync(scene->db, err);
    case API_READ:
        return api_scene_compare(scene, err);
    case API_STATS:
        return take_stats(scene, err);
    case API_CHECK:
        status = api_scene_check(scene, &good, err);
        if (status == OMENDB_OK && !good) (void)api_scene_failed(scene, "check: problems");
        return status;
    case API_KILL:
        scene->kill(scene);
        return OMENDB_OK;
    case API_CLOSE:
        return api_scene_close(scene, err);
    }
    return OMENDB_ERR_INTERNAL;
}

omendb_status api_scene_play(struct api_scene *scene, const struct api_line *line,
                             omendb_error *err)
{
    const omendb_status status = play_one(scene, line, err);
    if (status == OMENDB_OK && line->kind != API_OPEN) scene->model = scene->next;
    return status;
}

void api_scene_play_all(struct api_scene *scene, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        omendb_error error = {0};
        api_scene_prepare(scene, &api_script[i]);
        const omendb_status status = api_scene_play(scene, &api_script[i], &error);
        if (status == OMENDB_OK && scene->failure[0] == '\0') continue;
        fprintf(stderr, "line %u: %s %s\n", i, error.message, scene->failure);
        abort();
    }
}
