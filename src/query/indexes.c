#include "query/indexes.h"

#include "index/vector/vector_stats.h"

static const struct index_hooks indexes_list = {
    .attach = vector_index_attach,
    .detach = vector_index_detach,
    .node_reserve = vector_index_node_reserve,
    .node_write = vector_index_node_write,
    .node_freed = vector_index_node_freed,
    .work = vector_index_work,
    .stats = vector_stats_write,
    .verify = vector_index_check,
};

const struct index_hooks *indexes_hooks_all(void)
{
    return &indexes_list;
}

static omendb_status indexes_check_field(const struct schema_vector *field, omendb_index index,
                                         omendb_error *err)
{
    if (index > OMENDB_INDEX_EXACT)
        return fail(err, OMENDB_ERR_ARGUMENT, "vector field \"%s\": unknown index %u", field->name,
                    index);
    if (index == OMENDB_INDEX_DEFAULT || index == OMENDB_INDEX_EXACT ||
        codes_possible(field->type, field->dim))
        return OMENDB_OK;
    return fail(err, OMENDB_ERR_ARGUMENT,
                "vector field \"%s\": index %s is for f32, f16 and bf16 of at least %d dimensions",
                field->name, schema_index_name(index), CODES_DIM_MIN);
}

omendb_status indexes_check(const struct schema *schema, omendb_error *err)
{
    for (uint32_t i = 0; i < schema->vectors_count; i++)
        TRY(indexes_check_field(&schema->vectors[i], schema->vectors[i].index, err));
    return OMENDB_OK;
}

omendb_index indexes_get(const struct collection *collection, uint32_t field)
{
    switch (vector_index_profile(collection, field)) {
    case GRAPH_PROFILE_FAST:
        return OMENDB_INDEX_FAST;
    case GRAPH_PROFILE_COMPACT:
        return OMENDB_INDEX_COMPACT;
    case GRAPH_PROFILE_EXACT:
        break;
    }
    return OMENDB_INDEX_EXACT;
}

omendb_status indexes_set(struct store *store, struct collection *collection, const char *name,
                          omendb_index index, omendb_error *err)
{
    uint32_t field;
    TRY(schema_vector_index(collection->schema, name, &field, err));
    TRY(indexes_check_field(&collection->schema->vectors[field], index, err));
    const enum graph_profile profile = index <= OMENDB_INDEX_FAST      ? GRAPH_PROFILE_FAST
                                       : index == OMENDB_INDEX_COMPACT ? GRAPH_PROFILE_COMPACT
                                                                       : GRAPH_PROFILE_EXACT;
    /* A field that can have no graph passed the check: what it has is what was asked for. */
    if (vector_index_of(collection, field) == NULL ||
        profile == vector_index_profile(collection, field))
        return OMENDB_OK;
    TRY(vector_index_choose_profile(store, collection, field, profile, err));
    store_index_wake(store);
    return OMENDB_OK;
}

void indexes_progress(const struct collection *collection, uint64_t *indexed, uint64_t *total)
{
    *indexed = *total = 0;
    for (uint32_t i = 0; i < collection->schema->vectors_count; i++) {
        uint64_t field_indexed, field_total;
        vector_stats_progress(collection, i, &field_indexed, &field_total);
        *indexed += field_indexed;
        *total += field_total;
    }
}
