/* result.c - looking at results. Nothing here can fail: what isn't there is empty. */
#include "query/result.h"

#include <math.h>
#include <string.h>

size_t omendb_documents_count(const omendb_documents *documents)
{
    return documents != NULL ? documents->count : 0;
}

void omendb_documents_entry(const omendb_documents *documents, size_t index, omendb_document *out)
{
    if (out == NULL) return;
    *out = (omendb_document){.json_view = NULL};
    if (documents == NULL || index >= documents->count) return;
    const struct result *result = documents->result;
    const struct result_entry *entry = &result->entries[documents->first + index];
    const char *text = (const char *)result->text.data;
    if (entry->id_size != 0) {
        out->id.text_view = text + entry->id_offset;
        out->id.size = entry->id_size;
    } else {
        out->id.number = entry->id_number;
    }
    if (entry->has_json) {
        out->json_view = text + entry->json_offset;
        out->json_size = entry->json_size;
    }
    out->found = entry->found;
}

const void *omendb_documents_vector(const omendb_documents *documents, size_t index,
                                    const char *field, omendb_type *type, uint32_t *dim)
{
    if (documents == NULL || index >= documents->count) return NULL;
    const struct result *result = documents->result;
    if (field == NULL && result->fields_count != 1) return NULL;
    for (uint32_t i = 0; i < result->fields_count; i++) {
        if (field != NULL && strcmp(field, result->fields[i].name) != 0) continue;
        const void *vector = result_vector(result, documents->first + index, i);
        if (vector != NULL && type != NULL) *type = result->fields[i].type;
        if (vector != NULL && dim != NULL) *dim = result->fields[i].dim;
        return vector;
    }
    return NULL;
}

uint64_t omendb_documents_version(const omendb_documents *documents, size_t index)
{
    if (documents == NULL || index >= documents->count) return 0;
    return documents->result->entries[documents->first + index].version;
}

void omendb_documents_destroy(omendb_documents *documents)
{
    result_destroy_documents(documents);
}

size_t omendb_hits_query_count(const omendb_hits *hits)
{
    return hits != NULL ? hits->query_count : 0;
}

size_t omendb_hits_count(const omendb_hits *hits, size_t query)
{
    return hits != NULL && query < hits->query_count ? hits->views[query].count : 0;
}

void omendb_hits_entry(const omendb_hits *hits, size_t query, size_t index, omendb_hit *out)
{
    if (out == NULL) return;
    *out = (omendb_hit){.distance = NAN, .score = NAN};
    if (index >= omendb_hits_count(hits, query)) return;
    omendb_documents_entry(&hits->views[query], index, &out->document);
    out->distance = hits->distances[query * hits->k + index];
    out->score = hits->scores[query * hits->k + index];
}

const float *omendb_hits_distances(const omendb_hits *hits)
{
    return hits != NULL ? hits->distances : NULL;
}

const float *omendb_hits_scores(const omendb_hits *hits)
{
    return hits != NULL ? hits->scores : NULL;
}

uint32_t omendb_hits_k(const omendb_hits *hits)
{
    return hits != NULL ? hits->k : 0;
}

const omendb_documents *omendb_hits_documents(const omendb_hits *hits, size_t query)
{
    return hits != NULL && query < hits->query_count ? &hits->views[query] : NULL;
}

const char *omendb_hits_explain(const omendb_hits *hits)
{
    return hits != NULL ? (const char *)hits->explain.data : NULL;
}

void omendb_hits_destroy(omendb_hits *hits)
{
    result_destroy_hits(hits);
}
