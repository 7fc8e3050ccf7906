/* query_test.c - random scripts through the public API against a naive oracle.
 *
 * The oracle keeps documents in a plain array, finds by walking it, and computes every distance with
 * the scalar kernels. Components are small integers and halves, so that ties and equal vectors are
 * common. Scripts run in memory and on a file, with reopening in between. */
#include <math.h>
#include <stdint.h>
#include <unistd.h>

#include "base/compiler.h"
#include "omendb.h"
#include "simd/distance.h"
#include "test.h"

enum { DOCUMENTS_MAX = 1200, COLLECTIONS = 3, FIELDS_MAX = 2, DIM_MAX = 70, VECTOR_SIZE_MAX = 280 };

struct model_vector {
    bool present;
    uint8_t bytes[VECTOR_SIZE_MAX];
};

struct model_document {
    bool is_text;
    uint64_t number;
    char text[24];
    char json[64];
    int n;   /* INT32_MIN: no such member. */
    int tag; /* -1: no such member. */
    struct model_vector vectors[FIELDS_MAX];
};

struct model_collection {
    char name[16];
    omendb_collection *handle;
    uint32_t fields_count;
    char field_names[FIELDS_MAX][8];
    omendb_vector_field fields[FIELDS_MAX];
    size_t count;
    struct model_document documents[DOCUMENTS_MAX];
};

static struct model_collection models[COLLECTIONS];
static omendb *db;
static char path[64]; /* Empty: in memory. */
static uint64_t state, script_seed;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 16) % below);
}

static void must(omendb_status status, const omendb_error *err, const char *what)
{
    if (status == OMENDB_OK) return;
    fprintf(stderr, "TEST_SEED=%llu %s: %s: %s\n", (unsigned long long)script_seed, what,
            omendb_status_name(status), err->message);
    abort();
}

#define AGREE(c)                                                                                   \
    ((c) ? (void)0                                                                                 \
         : (fprintf(stderr, "TEST_SEED=%llu %s:%d: %s\n", (unsigned long long)script_seed,         \
                    __FILE__, __LINE__, #c),                                                       \
            abort()))

/* ---- Vectors ---- */

static uint32_t vector_size(const omendb_vector_field *field)
{
    return (uint32_t)distance_vector_size(field->type, field->dim);
}

static void random_vector(const omendb_vector_field *field, uint8_t *out)
{
    float values[DIM_MAX];
    const uint32_t style = draw(3);
    memset(out, 0, VECTOR_SIZE_MAX);
    if (field->type == OMENDB_BIT) {
        for (uint32_t i = 0; i < field->dim; i++)
            if (draw(2)) out[i / 8] = (uint8_t)(out[i / 8] | 1u << i % 8);
        return;
    }
    for (uint32_t i = 0; i < field->dim; i++) {
        values[i] = (float)draw(3);
        if (style > 0 && field->type != OMENDB_U8) values[i] -= 1.0f;
        if (style == 2 && field->type <= OMENDB_BF16) values[i] += (float)draw(64) / 64.0f;
    }
    values[draw(field->dim)] = 2.0f; /* Never zero. */
    CHECK(kernels_scalar.from_f32[field->type](values, out, field->dim));
}

/* ---- Ids and order ---- */

static void document_id(const struct model_document *document, omendb_id *out)
{
    *out = (omendb_id){.text_view = document->is_text ? document->text : NULL,
                       .size = document->is_text ? strlen(document->text) : 0,
                       .number = document->is_text ? 0 : document->number};
}

static int id_compare(const struct model_document *a, const struct model_document *b)
{
    if (a->is_text != b->is_text) return a->is_text ? 1 : -1;
    if (a->is_text) return strcmp(a->text, b->text);
    return (a->number > b->number) - (a->number < b->number);
}

static bool is_id(const struct model_document *document, const omendb_id *id)
{
    if (document->is_text != (id->text_view != NULL)) return false;
    if (!document->is_text) return document->number == id->number;
    return strlen(document->text) == id->size &&
           memcmp(document->text, id->text_view, id->size) == 0;
}

static void random_id(struct model_document *out)
{
    out->is_text = draw(3) == 0;
    out->number = draw(8) == 0 ? UINT64_MAX - draw(3) : draw(150);
    if (out->is_text) snprintf(out->text, sizeof out->text, "%s%u", draw(2) ? "k" : "", draw(100));
}

static void model_put(struct model_collection *model, const struct model_document *document)
{
    for (size_t i = 0; i < model->count; i++) {
        if (id_compare(&model->documents[i], document) == 0) {
            model->documents[i] = *document;
            return;
        }
    }
    CHECK(model->count < DOCUMENTS_MAX);
    model->documents[model->count++] = *document;
}

static bool model_remove(struct model_collection *model, const struct model_document *document)
{
    for (size_t i = 0; i < model->count; i++) {
        if (id_compare(&model->documents[i], document) == 0) {
            model->documents[i] = model->documents[--model->count];
            return true;
        }
    }
    return false;
}

/* ---- Filters ---- */

struct wish {
    int kind;
    int a, b;
    char text[128];
};

static void random_wish(struct wish *wish)
{
    wish->kind = (int)draw(9);
    wish->a = (int)draw(10);
    wish->b = (int)draw(4);
    const char *const formats[] = {
        "",
        "{\"n\":{\"$gte\":%d}}",
        "{\"n\":%d}",
        "{\"n\":{\"$in\":[%d,3,7]}}",
        "{\"tag\":null,\"n\":{\"$lt\":%d}}",
        "{\"$or\":[{\"n\":%d},{\"tag\":\"t%d\"}]}",
        "{\"n\":{\"$not\":{\"$gt\":%d}}}",
        "{\"tag\":{\"$exists\":true},\"n\":{\"$ne\":%d}}",
        "{}",
    };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(wish->text, sizeof wish->text, formats[wish->kind], wish->a, wish->b);
#pragma GCC diagnostic pop
}

static bool wish_holds(const struct wish *wish, const struct model_document *document)
{
    const bool has_n = document->n != INT32_MIN;
    const int n = document->n;
    switch (wish->kind) {
    case 1:
        return has_n && n >= wish->a;
    case 2:
        return has_n && n == wish->a;
    case 3:
        return has_n && (n == wish->a || n == 3 || n == 7);
    case 4:
        return document->tag < 0 && has_n && n < wish->a;
    case 5:
        return (has_n && n == wish->a) || document->tag == wish->b;
    case 6:
        return !(has_n && n > wish->a);
    case 7:
        return document->tag >= 0 && !(has_n && n == wish->a);
    default:
        return true;
    }
}

static const char *wish_text(const struct wish *wish)
{
    return wish->kind == 0 ? NULL : wish->text;
}

/* ---- Database ---- */

static void open_database(void)
{
    omendb_error err;
    must(omendb_open(path[0] ? path : ":memory:", NULL, &db, &err), &err, "open");
}

static const struct {
    omendb_type type;
    omendb_metric metric;
} kinds[] = {
    {OMENDB_F32, OMENDB_L2},      {OMENDB_F32, OMENDB_COSINE},  {OMENDB_F32, OMENDB_IP},
    {OMENDB_F16, OMENDB_L2},      {OMENDB_F16, OMENDB_COSINE},  {OMENDB_F16, OMENDB_IP},
    {OMENDB_BF16, OMENDB_L2},     {OMENDB_BF16, OMENDB_COSINE}, {OMENDB_BF16, OMENDB_IP},
    {OMENDB_I8, OMENDB_L2},       {OMENDB_I8, OMENDB_COSINE},   {OMENDB_I8, OMENDB_IP},
    {OMENDB_U8, OMENDB_L2},       {OMENDB_U8, OMENDB_COSINE},   {OMENDB_U8, OMENDB_IP},
    {OMENDB_BIT, OMENDB_HAMMING},
};

static void add_field(struct model_collection *model, uint32_t kind, uint32_t dim)
{
    const uint32_t i = model->fields_count++;
    snprintf(model->field_names[i], sizeof model->field_names[i], "v%u", i);
    model->fields[i] = (omendb_vector_field)OMENDB_VECTOR_FIELD_INIT;
    model->fields[i].name = model->field_names[i];
    model->fields[i].type = kinds[kind].type;
    model->fields[i].metric = kinds[kind].metric;
    model->fields[i].dim = dim;
}

static void create_with_fields(struct model_collection *model)
{
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_error err;
    schema.vectors = model->fields;
    schema.vectors_count = model->fields_count;
    model->count = 0;
    must(omendb_collection_create(db, model->name, &schema, &model->handle, &err), &err, "create");
}

static void create_collection(struct model_collection *model)
{
    model->fields_count = 0;
    for (uint32_t n = draw(8) == 0 ? 0 : 1 + draw(FIELDS_MAX); n > 0; n--)
        add_field(model, draw(COUNT_OF(kinds)), draw(3) == 0 ? 1 + draw(3) : 1 + draw(DIM_MAX));
    create_with_fields(model);
}

static void close_all(void)
{
    omendb_error err;
    for (int i = 0; i < COLLECTIONS; i++) omendb_collection_close(models[i].handle);
    must(omendb_close(db, &err), &err, "close");
}

static void reopen(void)
{
    omendb_error err;
    if (path[0] == '\0') return;
    close_all();
    open_database();
    for (int i = 0; i < COLLECTIONS; i++)
        must(omendb_collection_open(db, models[i].name, &models[i].handle, &err), &err, "reopen");
}

/* ---- Writing ---- */

struct rows_memory {
    omendb_id ids[40];
    uint64_t offsets[41];
    char json[40 * 64];
    uint8_t data[FIELDS_MAX][40 * VECTOR_SIZE_MAX];
    uint8_t present[FIELDS_MAX][40];
    omendb_vectors vectors[FIELDS_MAX];
    omendb_rows rows;
    struct model_document documents[40];
};

static void random_document(const struct model_collection *model, struct model_document *out)
{
    memset(out, 0, sizeof *out);
    random_id(out);
    out->n = draw(6) == 0 ? INT32_MIN : (int)draw(10);
    out->tag = (int)draw(5) - 1;
    size_t used = (size_t)snprintf(out->json, sizeof out->json, "{");
    if (out->n != INT32_MIN)
        used += (size_t)snprintf(out->json + used, sizeof out->json - used, "\"n\":%d", out->n);
    if (out->tag >= 0)
        used += (size_t)snprintf(out->json + used, sizeof out->json - used, "%s\"tag\":\"t%d\"",
                                 used > 1 ? "," : "", out->tag);
    snprintf(out->json + used, sizeof out->json - used, "}");
    for (uint32_t f = 0; f < model->fields_count; f++) {
        out->vectors[f].present = draw(5) != 0;
        random_vector(&model->fields[f], out->vectors[f].bytes);
        /* Often one that is there already. */
        if (model->count > 0 && draw(4) == 0) {
            const struct model_document *other = &model->documents[draw((uint32_t)model->count)];
            if (other->vectors[f].present) out->vectors[f] = other->vectors[f];
        }
    }
}

static void random_rows(const struct model_collection *model, struct rows_memory *to)
{
    size_t used = 0;
    to->rows = (omendb_rows)OMENDB_ROWS_INIT;
    to->rows.count = 1 + draw(draw(4) == 0 ? 40 : 4);
    for (size_t r = 0; r < to->rows.count; r++) {
        struct model_document *document = &to->documents[r];
        random_document(model, document);
        document_id(document, &to->ids[r]);
        to->offsets[r] = used;
        memcpy(to->json + used, document->json, strlen(document->json));
        used += strlen(document->json);
        for (uint32_t f = 0; f < model->fields_count; f++) {
            memcpy(to->data[f] + r * VECTOR_SIZE_MAX, document->vectors[f].bytes, VECTOR_SIZE_MAX);
            to->present[f][r] = document->vectors[f].present;
        }
    }
    to->offsets[to->rows.count] = used;
    for (uint32_t f = 0; f < model->fields_count; f++) {
        to->vectors[f] = (omendb_vectors)OMENDB_VECTORS_INIT;
        to->vectors[f].type = model->fields[f].type;
        to->vectors[f].dim = model->fields[f].dim;
        to->vectors[f].field = model->field_names[f];
        to->vectors[f].data = to->data[f];
        to->vectors[f].row_stride = VECTOR_SIZE_MAX;
        to->vectors[f].present = to->present[f];
    }
    to->rows.ids = to->ids;
    to->rows.json = to->json;
    to->rows.json_offsets = to->offsets;
    to->rows.vectors = to->vectors;
    to->rows.vectors_count = model->fields_count;
}

static struct rows_memory memory;

static void do_upsert(struct model_collection *model)
{
    omendb_error err;
    random_rows(model, &memory);
    must(omendb_collection_upsert(model->handle, &memory.rows, &err), &err, "upsert");
    for (size_t r = 0; r < memory.rows.count; r++) model_put(model, &memory.documents[r]);
}

static void do_delete(struct model_collection *model)
{
    omendb_error err;
    struct model_document documents[20];
    omendb_id ids[20];
    uint64_t deleted = 99, wanted = 0;
    const size_t count = draw(20);
    for (size_t i = 0; i < count; i++) {
        random_id(&documents[i]);
        document_id(&documents[i], &ids[i]);
        wanted += model_remove(model, &documents[i]);
    }
    must(omendb_collection_delete(model->handle, ids, count, draw(2) ? &deleted : NULL, &err), &err,
         "delete");
    AGREE(deleted == 99 || deleted == wanted);
}

static void do_delete_where(struct model_collection *model)
{
    omendb_error err;
    struct wish wish;
    uint64_t deleted = 0, wanted = 0;
    random_wish(&wish);
    if (wish.kind == 0 || wish.kind == 8) return;
    must(
        omendb_collection_delete_where(model->handle, wish.text, strlen(wish.text), &deleted, &err),
        &err, "delete_where");
    for (size_t i = 0; i < model->count;) {
        if (wish_holds(&wish, &model->documents[i])) {
            model->documents[i] = model->documents[--model->count];
            wanted++;
        } else {
            i++;
        }
    }
    AGREE(deleted == wanted);
}

static void do_batch(void)
{
    omendb_error err;
    omendb_batch *batch = NULL;
    uint64_t sequence = 0;
    must(omendb_batch_create(db, &batch, &err), &err, "batch");
    for (uint32_t round = 0; round < 2; round++) {
        const bool keep = draw(4) != 0; /* Or throw it away with the handle. */
        for (uint32_t n = 1 + draw(4); n > 0; n--) {
            struct model_collection *model = &models[draw(COLLECTIONS)];
            if (draw(3) == 0) {
                struct model_document document;
                omendb_id id;
                random_id(&document);
                document_id(&document, &id);
                must(omendb_batch_delete(batch, model->handle, &id, 1, &err), &err, "batch_delete");
                if (keep) (void)model_remove(model, &document);
            } else {
                random_rows(model, &memory);
                must(omendb_batch_upsert(batch, model->handle, &memory.rows, &err), &err,
                     "batch_upsert");
                if (keep)
                    for (size_t r = 0; r < memory.rows.count; r++)
                        model_put(model, &memory.documents[r]);
            }
        }
        if (!keep) break;
        const uint64_t before = sequence;
        must(omendb_batch_commit(batch, (omendb_durability)draw(4), &sequence, &err), &err,
             "commit");
        AGREE(sequence > before);
    }
    omendb_batch_destroy(batch);
}

/* ---- Reading ---- */

static void check_document(const struct model_collection *model, const omendb_documents *documents,
                           size_t index, const struct model_document *wanted, uint32_t flags)
{
    omendb_document document;
    omendb_documents_entry(documents, index, &document);
    AGREE(document.found == 1);
    AGREE(is_id(wanted, &document.id));
    if ((flags & OMENDB_WITH_DOCUMENTS) != 0) {
        AGREE(document.json_size == strlen(wanted->json));
        AGREE(memcmp(document.json_view, wanted->json, document.json_size + 1) == 0);
    } else {
        AGREE(document.json_view == NULL && document.json_size == 0);
    }
    for (uint32_t f = 0; f < model->fields_count; f++) {
        omendb_type type = 99;
        uint32_t dim = 0;
        const void *vector = omendb_documents_vector(documents, index, model->field_names[f], &type,
                                                     &dim);
        const bool there = (flags & OMENDB_WITH_VECTORS) != 0 && wanted->vectors[f].present;
        AGREE((vector != NULL) == there);
        if (!there) continue;
        AGREE(type == model->fields[f].type && dim == model->fields[f].dim);
        AGREE((uintptr_t)vector % 16 == 0);
        AGREE(memcmp(vector, wanted->vectors[f].bytes, vector_size(&model->fields[f])) == 0);
    }
}

static const struct model_document *model_find(const struct model_collection *model,
                                               const struct model_document *id)
{
    for (size_t i = 0; i < model->count; i++)
        if (id_compare(&model->documents[i], id) == 0) return &model->documents[i];
    return NULL;
}

static void do_get(const struct model_collection *model)
{
    omendb_error err;
    struct model_document documents[10];
    omendb_id ids[10];
    omendb_documents *found = NULL;
    const uint32_t flags = draw(4);
    const size_t count = draw(10);
    for (size_t i = 0; i < count; i++) {
        random_id(&documents[i]);
        document_id(&documents[i], &ids[i]);
    }
    must(omendb_collection_get(model->handle, ids, count, flags, &found, &err), &err, "get");
    AGREE(omendb_documents_count(found) == count);
    for (size_t i = 0; i < count; i++) {
        const struct model_document *wanted = model_find(model, &documents[i]);
        omendb_document document;
        omendb_documents_entry(found, i, &document);
        if (wanted != NULL) check_document(model, found, i, wanted, flags);
        else
            AGREE(document.found == 0 && is_id(&documents[i], &document.id) &&
                  document.json_view == NULL);
    }
    omendb_documents_destroy(found);
}

static const struct model_document *sorted[DOCUMENTS_MAX];

static int sorted_compare(const void *a, const void *b)
{
    return id_compare(*(const struct model_document *const *)a,
                      *(const struct model_document *const *)b);
}

static void do_find(const struct model_collection *model)
{
    omendb_error err;
    struct wish wish;
    size_t count = 0, at = 0;
    omendb_find_params params = OMENDB_FIND_PARAMS_INIT;
    random_wish(&wish);
    for (size_t i = 0; i < model->count; i++)
        if (wish_holds(&wish, &model->documents[i])) sorted[count++] = &model->documents[i];
    if (count > 0) qsort(sorted, count, sizeof sorted[0], sorted_compare);
    uint64_t counted = 0;
    const char *const text = wish_text(&wish);
    must(omendb_collection_count(model->handle, text, text != NULL ? strlen(text) : 0, &counted,
                                 &err),
         &err, "count");
    AGREE(counted == count);
    params.filter = text;
    params.filter_size = text != NULL ? strlen(text) : 0;
    params.flags = draw(4);
    params.limit = draw(3) == 0 ? 1000 : 1 + draw(40);
    omendb_id after;
    for (;;) { /* Page by page. */
        omendb_documents *page = NULL;
        must(omendb_collection_find(model->handle, &params, &page, &err), &err, "find");
        const size_t got = omendb_documents_count(page);
        AGREE(got == (count - at < params.limit ? count - at : params.limit));
        for (size_t i = 0; i < got; i++)
            check_document(model, page, i, sorted[at + i], params.flags);
        at += got;
        omendb_documents_destroy(page);
        if (got < params.limit) break;
        document_id(sorted[at - 1], &after);
        params.after = &after;
    }
    AGREE(at == count);
}

struct ranked {
    const struct model_document *document;
    float distance;
    bool equal;
};

static int ranked_compare(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    if (left->distance < right->distance) return -1;
    if (left->distance > right->distance) return 1;
    if (left->equal != right->equal) return left->equal ? -1 : 1;
    return id_compare(left->document, right->document);
}

static size_t model_search(const struct model_collection *model, uint32_t f, const uint8_t *query,
                           const struct wish *wish, struct ranked *out)
{
    const omendb_vector_field *field = &model->fields[f];
    const struct kernels *kernels = &kernels_scalar;
    const float norm = distance_norm(kernels, field->type, field->dim, query);
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_document *document = &model->documents[i];
        const uint8_t *vector = document->vectors[f].bytes;
        if (!document->vectors[f].present || !wish_holds(wish, document)) continue;
        out[count].document = document;
        out[count].distance = distance_exact(
            kernels, field->metric, field->type, field->dim, query, norm, vector,
            distance_norm(kernels, field->type, field->dim, vector));
        out[count].equal = memcmp(query, vector, vector_size(field)) == 0;
        count++;
    }
    if (count > 0) qsort(out, count, sizeof *out, ranked_compare);
    return count;
}

static void check_fast_path(const struct model_collection *model,
                            const omendb_search_params *params, const omendb_hits *hits)
{
    omendb_error err;
    uint64_t ids[8 * 64];
    float scores[8 * 64];
    uint32_t found[8];
    bool has_text = false;
    if (params->k > 64) return;
    for (size_t q = 0; q < params->query_count; q++) {
        for (size_t i = 0; i < omendb_hits_count(hits, q); i++) {
            omendb_hit hit;
            omendb_hits_entry(hits, q, i, &hit);
            has_text |= hit.document.id.text_view != NULL;
        }
    }
    const omendb_status status = omendb_search_vectors(model->handle, params, ids, scores, found,
                                                       &err);
    if (has_text) {
        AGREE(status == OMENDB_ERR_ARGUMENT);
        return;
    }
    must(status, &err, "search_vectors");
    for (size_t q = 0; q < params->query_count; q++) {
        AGREE(found[q] == omendb_hits_count(hits, q));
        for (size_t i = 0; i < found[q]; i++) {
            omendb_hit hit;
            omendb_hits_entry(hits, q, i, &hit);
            AGREE(hit.document.id.number == ids[q * params->k + i]);
            AGREE(hit.score == scores[q * params->k + i]);
        }
    }
}

static void do_search(const struct model_collection *model)
{
    static struct ranked ranked[DOCUMENTS_MAX];
    static uint8_t queries[8 * VECTOR_SIZE_MAX];
    omendb_error err;
    struct wish wish;
    omendb_hits *hits = NULL;
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    if (model->fields_count == 0) return;
    const uint32_t f = draw(model->fields_count);
    const omendb_vector_field *field = &model->fields[f];
    random_wish(&wish);
    params.field = model->fields_count == 1 && draw(2) ? NULL : model->field_names[f];
    params.type = field->type;
    params.dim = field->dim;
    params.queries = queries;
    params.query_count = draw(2) ? 1 : 1 + draw(8);
    params.row_stride = VECTOR_SIZE_MAX;
    params.k = draw(3) == 0 ? 1 + draw(500) : 1 + draw(12);
    params.offset = draw(3) == 0 ? draw(10) : 0;
    params.filter = wish_text(&wish);
    params.filter_size = params.filter != NULL ? strlen(params.filter) : 0;
    params.threads = draw(3) == 0 ? 2 : 0;
    params.flags = draw(8);
    for (size_t q = 0; q < params.query_count; q++) {
        random_vector(field, queries + q * VECTOR_SIZE_MAX);
        if (model->count > 0 && draw(2) == 0) {
            const struct model_document *of = &model->documents[draw((uint32_t)model->count)];
            if (of->vectors[f].present)
                memcpy(queries + q * VECTOR_SIZE_MAX, of->vectors[f].bytes, VECTOR_SIZE_MAX);
        }
    }
    must(omendb_collection_search(model->handle, &params, &hits, &err), &err, "search");
    AGREE(omendb_hits_query_count(hits) == params.query_count && omendb_hits_k(hits) == params.k);
    for (size_t q = 0; q < params.query_count; q++) {
        const size_t all = model_search(model, f, queries + q * VECTOR_SIZE_MAX, &wish, ranked);
        const size_t left = all > params.offset ? all - params.offset : 0;
        const size_t wanted = left < params.k ? left : params.k;
        const omendb_documents *documents = omendb_hits_documents(hits, q);
        AGREE(omendb_hits_count(hits, q) == wanted && omendb_documents_count(documents) == wanted);
        for (size_t i = 0; i < params.k; i++) {
            const float distance = omendb_hits_distances(hits)[q * params.k + i];
            const float score = omendb_hits_scores(hits)[q * params.k + i];
            if (i >= wanted) {
                AGREE(isnan(distance) && isnan(score));
                continue;
            }
            const struct ranked *want = &ranked[params.offset + i];
            check_document(model, documents, i, want->document, params.flags);
            AGREE(distance == distance_report(field->metric, want->distance));
            AGREE(score == distance_score(field->metric, field->dim, want->distance));
            /* An equal vector comes first, but under IP. */
            if (want->equal && params.offset == 0 && field->metric != OMENDB_IP)
                AGREE(ranked[0].equal);
        }
    }
    AGREE(strstr(omendb_hits_explain(hits), "\"exact\":true") != NULL);
    check_fast_path(model, &params, hits);
    omendb_hits_destroy(hits);
}

static void do_recreate(struct model_collection *model)
{
    omendb_error err;
    omendb_documents *documents = NULL;
    omendb_collection *dropped = model->handle;
    must(omendb_collection_drop(db, model->name, &err), &err, "drop");
    CHECK(omendb_collection_get(dropped, NULL, 0, 0, &documents, &err) == OMENDB_ERR_NOT_FOUND);
    omendb_collection_close(dropped);
    create_collection(model);
}

static void do_rename(struct model_collection *model)
{
    omendb_error err;
    static uint32_t renames;
    char name[sizeof model->name];
    snprintf(name, sizeof name, "c-%u", renames++);
    must(omendb_collection_rename(db, model->name, name, &err), &err, "rename");
    memcpy(model->name, name, sizeof name);
}

static void check_report(void)
{
    omendb_error err;
    char *text = NULL;
    must(omendb_check(db, OMENDB_CHECK_DEEP, &text, &err), &err, "check");
    if (strstr(text, "\"ok\":true") == NULL) {
        fprintf(stderr, "TEST_SEED=%llu %s\n", (unsigned long long)script_seed, text);
        abort();
    }
    omendb_text_destroy(text);
}

static void remove_files(void)
{
    char name[128];
    (void)unlink(path);
    for (int i = 0; i < 200 && path[0] != '\0'; i++) {
        snprintf(name, sizeof name, "%s-wal-%d", path, i);
        (void)unlink(name);
    }
}

static void run_script(uint64_t seed, bool on_file, uint32_t steps)
{
    script_seed = seed;
    state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    path[0] = '\0';
    if (on_file) snprintf(path, sizeof path, "/tmp/omendb-query-test-%d.omen", (int)getpid());
    remove_files();
    open_database();
    for (int i = 0; i < COLLECTIONS; i++) {
        snprintf(models[i].name, sizeof models[i].name, "c%d", i);
        create_collection(&models[i]);
    }
    for (uint32_t step = 0; step < steps; step++) {
        struct model_collection *model = &models[draw(COLLECTIONS)];
        const uint32_t choice = draw(100);
        if (choice < 35) do_upsert(model);
        else if (choice < 42) do_delete(model);
        else if (choice < 44) do_delete_where(model);
        else if (choice < 50) do_batch();
        else if (choice < 60) do_get(model);
        else if (choice < 70) do_find(model);
        else if (choice < 96) do_search(model);
        else if (choice < 97) do_recreate(model);
        else if (choice < 98) do_rename(model);
        else reopen();
    }
    check_report();
    close_all();
    remove_files();
}

static void run_scripts(bool on_file, uint64_t count, uint32_t steps)
{
    const char *given = getenv("TEST_SEED");
    if (given != NULL) {
        run_script(strtoull(given, NULL, 10), on_file, steps);
        return;
    }
    for (uint64_t seed = 1; seed <= count; seed++) run_script(seed, on_file, steps);
}

static void scripts_in_memory_agree_with_the_oracle(void)
{
    run_scripts(false, 60, 300);
}

static void scripts_on_a_file_agree_with_the_oracle(void)
{
    run_scripts(true, 12, 200);
}

/* Enough vectors that codes, centres and bounds are at work. */
static void larger_collections_agree_with_the_oracle(void)
{
    static const uint32_t coded[] = {0, 1, 2, 4};
    struct model_collection *model = &models[0];
    for (uint32_t i = 0; i < COUNT_OF(coded); i++) {
        omendb_error err;
        script_seed = state = 77 + i;
        path[0] = '\0';
        open_database();
        strcpy(model->name, "large");
        model->fields_count = 0;
        add_field(model, coded[i], 64);
        create_with_fields(model);
        for (uint32_t n = 0; n < DOCUMENTS_MAX; n++) {
            random_rows(model, &memory);
            memory.rows.count = 1;
            memory.documents[0].is_text = false;
            memory.documents[0].number = n;
            document_id(&memory.documents[0], &memory.ids[0]);
            must(omendb_collection_upsert(model->handle, &memory.rows, &err), &err, "upsert");
            model_put(model, &memory.documents[0]);
        }
        for (int n = 0; n < 40; n++) do_search(model);
        omendb_collection_close(model->handle);
        must(omendb_close(db, &err), &err, "close");
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"scripts_in_memory_agree_with_the_oracle", scripts_in_memory_agree_with_the_oracle},
        {"scripts_on_a_file_agree_with_the_oracle", scripts_on_a_file_agree_with_the_oracle},
        {"larger_collections_agree_with_the_oracle", larger_collections_agree_with_the_oracle},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
