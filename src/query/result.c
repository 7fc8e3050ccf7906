#include "query/result.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "doc/json.h"
#include "query/stored.h"
#include "store/batch.h"

omendb_status result_init(struct result *result, const struct schema *schema, uint32_t flags,
                          omendb_error *err)
{
    *result = (struct result){.flags = flags};
    if ((flags & OMENDB_WITH_VECTORS) == 0 || schema->vectors_count == 0) return OMENDB_OK;
    result->fields = alloc_zeroed(schema->vectors_count, sizeof *result->fields);
    if (result->fields == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: %u fields", schema->vectors_count);
    result->fields_count = schema->vectors_count;
    for (uint32_t i = 0; i < schema->vectors_count; i++) {
        memcpy(result->fields[i].name, schema->vectors[i].name, sizeof result->fields[i].name);
        result->fields[i].type = schema->vectors[i].type;
        result->fields[i].dim = schema->vectors[i].dim;
    }
    return OMENDB_OK;
}

void result_deinit(struct result *result)
{
    alloc_free(result->entries);
    alloc_free(result->fields);
    buffer_deinit(&result->text);
    buffer_deinit(&result->vectors);
    buffer_deinit(&result->places);
    *result = (struct result){0};
}

static omendb_status entry_add(struct result *result, const struct id_view *id, bool found,
                               omendb_error *err)
{
    struct result_entry entry = {.found = found};
    if (!alloc_grow(&result->entries, &result->capacity, result->count + 1,
                    sizeof *result->entries))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: %zu results", result->count + 1);
    if (id->text_view != NULL) {
        entry.id_offset = result->text.size;
        entry.id_size = id->size;
        TRY(buffer_append(&result->text, id->text_view, id->size, err));
    } else {
        entry.id_number = id->number;
    }
    result->entries[result->count++] = entry;
    return OMENDB_OK;
}

static omendb_status json_add(struct result *result, const uint8_t *document, uint32_t size,
                              omendb_error *err)
{
    struct result_entry *entry = &result->entries[result->count - 1];
    entry->json_offset = result->text.size;
    TRY(document_to_json(document, size, &result->text, err));
    entry->json_size = (uint32_t)(result->text.size - entry->json_offset);
    entry->has_json = true;
    return buffer_append_zeros(&result->text, 1, err);
}

/* vector: NULL = the document has none. */
static omendb_status vector_add(struct result *result, const void *vector, size_t size,
                                omendb_error *err)
{
    if (vector == NULL) return buffer_append_le64(&result->places, RESULT_NO_VECTOR, err);
    TRY(buffer_append_le64(&result->places, result->vectors.size, err));
    TRY(buffer_append(&result->vectors, vector, size, err));
    return buffer_append_zeros(
        &result->vectors, (RESULT_VECTOR_ALIGN - size % RESULT_VECTOR_ALIGN) % RESULT_VECTOR_ALIGN,
        err);
}

static omendb_status slot_vector_add(struct result *result, struct collection *collection,
                                     uint32_t field, uint32_t slot, omendb_error *err)
{
    uint32_t node = SLOT_NONE;
    const void *vector = NULL;
    TRY(collection_slot_node(collection, field, slot, &node, err));
    if (node != SLOT_NONE) TRY(collection_vector(collection, field, node, &vector, err));
    return vector_add(result, vector, collection->schema->vectors[field].size, err);
}

omendb_status result_add(struct result *result, struct collection *collection, uint32_t slot,
                         const struct id_view *id, struct buffer *scratch, omendb_error *err)
{
    TRY(entry_add(result, id, true, err));
    TRY(collection_slot_version(collection, slot, &result->entries[result->count - 1].version,
                                err));
    if ((result->flags & OMENDB_WITH_DOCUMENTS) != 0) {
        const uint8_t *document = NULL;
        uint32_t size = 0;
        TRY(stored_document(collection, slot, scratch, &document, &size, err));
        TRY(json_add(result, document, size, err));
    }
    for (uint32_t i = 0; i < result->fields_count; i++)
        TRY(slot_vector_add(result, collection, i, slot, err));
    return OMENDB_OK;
}

omendb_status result_add_own(struct result *result, const struct schema *schema,
                             const struct operation *own, omendb_error *err)
{
    const struct id_view id = operation_id(own);
    TRY(entry_add(result, &id, true, err));
    result->entries[result->count - 1].version = OMENDB_VERSION_OWN;
    if ((result->flags & OMENDB_WITH_DOCUMENTS) != 0)
        TRY(json_add(result, operation_document(own), own->document_size, err));
    for (uint32_t i = 0; i < result->fields_count; i++) {
        const struct operation_vector *vector = operation_vector_find(own, i);
        TRY(vector_add(result, vector != NULL ? operation_vector_bytes(vector) : NULL,
                       schema->vectors[i].size, err));
    }
    return OMENDB_OK;
}

omendb_status result_add_missing(struct result *result, const struct id_view *id, omendb_error *err)
{
    TRY(entry_add(result, id, false, err));
    for (uint32_t i = 0; i < result->fields_count; i++)
        TRY(buffer_append_le64(&result->places, RESULT_NO_VECTOR, err));
    return OMENDB_OK;
}

omendb_status result_create_documents(const struct schema *schema, uint32_t flags,
                                      omendb_documents **out, omendb_error *err)
{
    omendb_documents *documents = alloc_zeroed(1, sizeof *documents);
    if (documents == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: result");
    const omendb_status status = result_init(&documents->own, schema, flags, err);
    if (status != OMENDB_OK) {
        alloc_free(documents);
        return status;
    }
    documents->result = &documents->own;
    *out = documents;
    return OMENDB_OK;
}

void result_destroy_documents(omendb_documents *documents)
{
    if (documents == NULL || documents->result != &documents->own) return; /* A query's view. */
    result_deinit(&documents->own);
    alloc_free(documents);
}

omendb_status result_create_hits(const struct schema *schema, uint32_t flags, size_t query_count,
                                 uint32_t k, omendb_hits **out, omendb_error *err)
{
    omendb_hits *hits = alloc_zeroed(1, sizeof *hits);
    size_t cells = 0;
    omendb_status status = OMENDB_OK;
    if (hits == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: result");
    if (__builtin_mul_overflow(query_count, (size_t)k, &cells)) goto no_memory;
    hits->k = k;
    hits->query_count = query_count;
    hits->views = alloc_zeroed(query_count, sizeof *hits->views);
    hits->distances = alloc_raw(cells, sizeof *hits->distances);
    hits->scores = alloc_raw(cells, sizeof *hits->scores);
    if (hits->views == NULL || hits->distances == NULL || hits->scores == NULL) goto no_memory;
    status = result_init(&hits->result, schema, flags, err);
    if (status != OMENDB_OK) goto cleanup;
    for (size_t i = 0; i < cells; i++) hits->distances[i] = hits->scores[i] = NAN;
    for (size_t i = 0; i < query_count; i++) hits->views[i].result = &hits->result;
    *out = hits;
    return OMENDB_OK;
no_memory:
    status = fail(err, OMENDB_ERR_NOMEM, "out of memory: %zu queries", query_count);
cleanup:
    result_destroy_hits(hits);
    return status;
}

void result_destroy_hits(omendb_hits *hits)
{
    if (hits == NULL) return;
    result_deinit(&hits->result);
    alloc_free(hits->views);
    alloc_free(hits->distances);
    alloc_free(hits->scores);
    buffer_deinit(&hits->explain);
    alloc_free(hits);
}

const void *result_vector(const struct result *result, size_t entry, uint32_t field)
{
    uint64_t at = 0;
    assert(entry < result->count && field < result->fields_count);
    memcpy(&at, result->places.data + (entry * result->fields_count + field) * sizeof at,
           sizeof at);
    return at != RESULT_NO_VECTOR ? result->vectors.data + at : NULL;
}
