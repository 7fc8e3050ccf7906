#include "query/indexes.h"

#include "index/vector/vector_index.h"

static const struct index_hooks indexes_list = {
    .attach = vector_index_attach,
    .detach = vector_index_detach,
    .node_reserve = vector_index_node_reserve,
    .node_write = vector_index_node_write,
};

const struct index_hooks *indexes_hooks_all(void)
{
    return &indexes_list;
}
