#include "query/overlay_search.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "simd/distance.h"

enum { OVERLAY_SEARCH_CHUNK = 64 /* Distances at a time. */ };

void overlay_search_deinit(struct overlay_search *search)
{
    alloc_free(search->candidates);
    alloc_free(search->norms);
    alloc_free(search->hits);
    alloc_free(search->merged);
    *search = (struct overlay_search){0};
}

omendb_status overlay_search_begin(struct overlay_search *search, const struct run *run,
                                   uint32_t field, omendb_error *err)
{
    const struct schema_vector *schema = &run->exec->collection->schema->vectors[field];
    const size_t own = run->own->count;
    search->count = 0;
    if (!alloc_grow(&search->candidates, &search->candidates_capacity, own,
                    sizeof *search->candidates) ||
        !alloc_grow(&search->norms, &search->norms_capacity, own, sizeof *search->norms) ||
        !alloc_grow(&search->hits, &search->hits_capacity, own, sizeof *search->hits))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: search");
    for (size_t i = 0; i < own; i++) {
        const struct operation *op = run_own(run, i);
        const struct operation_vector *vector = op != NULL ? operation_vector_find(op, field)
                                                           : NULL;
        if (vector == NULL || !run_passes_own(run, op)) continue;
        const void *bytes = operation_vector_bytes(vector);
        search->candidates[search->count] = (struct overlay_candidate){.vector = bytes,
                                                                       .entry = (uint32_t)i};
        search->norms[search->count] = schema->metric == OMENDB_COSINE
                                           ? distance_norm(run->exec->kernels, schema->type,
                                                           schema->dim, bytes)
                                           : 0.0f;
        search->count++;
    }
    return OMENDB_OK;
}

/* Contract 4; ids of own documents differ from one another. */
static int overlay_hits_compare(const void *a, const void *b)
{
    const struct overlay_hit *left = a, *right = b;
    if (left->hit.distance < right->hit.distance) return -1;
    if (right->hit.distance < left->hit.distance) return 1;
    if (left->hit.equal != right->hit.equal) return left->hit.equal ? -1 : 1;
    return id_view_compare(&left->id, &right->id);
}

/* Exact distances of all candidates, best first. */
static void overlay_search_rank(struct overlay_search *search, const struct run *run,
                                const struct schema_vector *schema, const void *vector)
{
    const struct kernels *kernels = run->exec->kernels;
    const bool cosine = schema->metric == OMENDB_COSINE;
    const float norm = cosine ? distance_norm(kernels, schema->type, schema->dim, vector) : 0.0f;
    for (size_t begin = 0; begin < search->count; begin += OVERLAY_SEARCH_CHUNK) {
        const size_t left = search->count - begin;
        const size_t count = left < OVERLAY_SEARCH_CHUNK ? left : OVERLAY_SEARCH_CHUNK;
        const void *rows[OVERLAY_SEARCH_CHUNK];
        float distances[OVERLAY_SEARCH_CHUNK];
        for (size_t i = 0; i < count; i++) rows[i] = search->candidates[begin + i].vector;
        distance_exact_gather(kernels, schema->metric, schema->type, schema->dim, vector, norm,
                              rows, cosine ? search->norms + begin : NULL, count, distances);
        for (size_t i = 0; i < count; i++) {
            const uint32_t entry = search->candidates[begin + i].entry;
            search->hits[begin + i] = (struct overlay_hit){
                .hit = {.slot = SLOT_NONE,
                        .node = entry,
                        .distance = distances[i],
                        .equal = distance_byte_equal(schema->type, schema->dim, vector, rows[i])},
                .id = operation_id(run_own(run, entry))};
        }
    }
    if (search->count > 1)
        qsort(search->hits, search->count, sizeof *search->hits, overlay_hits_compare);
}

omendb_status overlay_search_merge(struct overlay_search *search, const struct run *run,
                                   uint32_t field, const void *vector, uint32_t k,
                                   const struct flat_hit *hits, uint32_t count, uint32_t *found,
                                   omendb_error *err)
{
    struct collection *collection = run->exec->collection;
    uint32_t at = 0, merged = 0;
    size_t own = 0;
    if (!alloc_grow(&search->merged, &search->merged_capacity, k, sizeof *search->merged))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: search");
    overlay_search_rank(search, run, &collection->schema->vectors[field], vector);
    while (merged < k) {
        while (at < count && run_hides(run, hits[at].slot)) at++;
        if (at == count && own == search->count) break;
        bool take_own = at == count;
        if (at < count && own < search->count) {
            struct overlay_hit stored = {.hit = hits[at]};
            TRY(collection_slot_id(collection, hits[at].slot, &stored.id, err));
            take_own = overlay_hits_compare(&search->hits[own], &stored) < 0;
        }
        search->merged[merged++] = take_own ? search->hits[own++].hit : hits[at++];
    }
    *found = merged;
    return OMENDB_OK;
}
