/* graph_help.h - a store with one vector field whose graph begins early, and a model that knows all
 * its documents: what every search must hold, whatever the graph is doing.
 *
 *     world_put, world_delete ─▶ world_commit ─▶ store, and the model
 *     world_search: exact = the model's answer; by the graph = visible documents, true distances,
 *                   in order, as many as there are; returns how many are among the nearest
 *
 * Vectors are named by numbers, so that many documents can have equal ones. Threads: one.
 */
#ifndef GRAPH_HELP_H
#define GRAPH_HELP_H

#include <math.h>

#include "index/vector/graph_index.h"
#include "index/vector/vector_index.h"
#include "index/vector/vector_search.h"
#include "os/cpu.h"
#include "query/indexes.h"
#include "simd/distance.h"
#include "store/store.h"
#include "store_help.h"

enum {
    WORLD_DOCS_MAX = 6000,
    WORLD_DIM_MAX = 64,
    WORLD_K_MAX = 200,
    WORLD_CLUSTERS = 24,
    WORLD_VECTORS_MAX = 8000
};

struct world {
    struct store_options options;
    struct graph_options graph_options;
    struct store *store;
    struct collection *collection;
    omendb_metric metric;
    uint32_t dim;
    uint64_t random;
    uint32_t docs[WORLD_DOCS_MAX];   /* Number of the vector + 1; 0 = there is no such document. */
    uint32_t staged[WORLD_DOCS_MAX]; /* The same after the batch being made. */
    uint32_t doc_end;                /* Above every document ever made. */
    uint64_t sequence;               /* Acknowledged. */
    struct batch batch;
    const struct kernels *kernels;     /* Asking the processor is slow in a virtual machine. */
    float *vectors[WORLD_VECTORS_MAX]; /* Those below it that were asked for already. */
    struct vector_workspace workspace;
    uint64_t hits, wanted; /* Of searches by recall. */
};

static inline float world_gauss(uint64_t *state)
{
    float sum = -6; /* Irwin and Hall. */
    for (uint32_t i = 0; i < 12; i++) sum += (float)(random_next(state) >> 40) * 0x1p-24f;
    return sum;
}

static inline void world_vector_make(const struct world *w, uint32_t number, float *out)
{
    uint64_t cluster = number % WORLD_CLUSTERS + 1000, own = number + 77777;
    for (uint32_t i = 0; i < w->dim; i++)
        out[i] = 2 * world_gauss(&cluster) + world_gauss(&own) + 1.5f;
}

static inline const float *world_vector_view(struct world *w, uint32_t number)
{
    CHECK(number < WORLD_VECTORS_MAX);
    if (w->vectors[number] == NULL) {
        w->vectors[number] = malloc(w->dim * sizeof(float));
        world_vector_make(w, number, w->vectors[number]);
    }
    return w->vectors[number];
}

static inline void world_init(struct world *w, struct vfs *vfs, const char *path,
                              omendb_metric metric, uint32_t dim, uint32_t begin)
{
    memset(w, 0, sizeof *w);
    w->metric = metric;
    w->kernels = kernels_for(cpu_features());
    w->dim = dim;
    w->random = dim * 31 + (uint64_t)metric;
    w->graph_options.begin = begin;
    w->options = (struct store_options){.vfs = vfs,
                                        .path = path,
                                        .durability = path != NULL ? OMENDB_DURABILITY_FULL
                                                                   : OMENDB_DURABILITY_NONE,
                                        .interval_ms = 100,
                                        .wal_size_max = 64 << 20,
                                        .wal_segment_size = 1 << 20,
                                        .hooks = *indexes_hooks_all(),
                                        .index_threads = 2};
    w->options.hooks.context = &w->graph_options;
}

static inline omendb_status world_try_open(struct world *w, omendb_error *error)
{
    TRY(store_open(&w->options, &w->store, error));
    omendb_status status = store_collection_open(w->store, "c", &w->collection, error);
    if (status == OMENDB_ERR_NOT_FOUND) {
        struct schema *schema = NULL;
        const omendb_vector_field field = {.struct_size = (uint32_t)sizeof field,
                                           .dim = w->dim,
                                           .name = "v",
                                           .type = OMENDB_F32,
                                           .metric = w->metric};
        const omendb_schema from = {
            .struct_size = (uint32_t)sizeof from, .vectors_count = 1, .vectors = &field};
        status = schema_create(&from, &schema, error);
        if (status == OMENDB_OK)
            status = store_collection_create(w->store, "c", schema, &w->collection, error);
    }
    if (status != OMENDB_OK) {
        (void)store_close(w->store, NULL);
        w->store = NULL;
    }
    return status;
}

static inline void world_open(struct world *w)
{
    OK(world_try_open(w, &err));
}

static inline omendb_status world_try_close(struct world *w, omendb_error *error)
{
    if (w->store == NULL) return OMENDB_OK;
    collection_unpin(w->collection);
    struct store *store = w->store;
    w->store = NULL;
    w->collection = NULL;
    return store_close(store, error);
}

static inline void world_close(struct world *w)
{
    OK(world_try_close(w, &err));
}

static inline void world_end(struct world *w)
{
    world_close(w);
    batch_deinit(&w->batch);
    vector_workspace_deinit(&w->workspace);
    for (uint32_t i = 0; i < WORLD_VECTORS_MAX; i++) free(w->vectors[i]);
}

/* ---- Changing ---- */

static inline void world_put(struct world *w, uint32_t id, uint32_t vector)
{
    static const uint8_t empty[3] = {0x20, 3, 0};
    void *bytes = NULL;
    CHECK(id < WORLD_DOCS_MAX);
    OK(batch_add(&w->batch, OPERATION_UPSERT, w->collection->id, NULL, 0, id, empty, sizeof empty,
                 &err));
    OK(batch_add_vector(&w->batch, 0, w->dim * 4, &bytes, &err));
    memcpy(bytes, world_vector_view(w, vector), w->dim * 4);
    w->staged[id] = vector + 1;
    if (id >= w->doc_end) w->doc_end = id + 1;
}

static inline void world_delete(struct world *w, uint32_t id)
{
    OK(batch_add(&w->batch, OPERATION_DELETE, w->collection->id, NULL, 0, id, NULL, 0, &err));
    w->staged[id] = 0;
}

static inline omendb_status world_try_commit(struct world *w, omendb_error *error)
{
    omendb_status status = OMENDB_OK;
    if (w->batch.operation_count != 0)
        status = store_commit(w->store, &w->batch, OMENDB_DURABILITY_DEFAULT, &w->sequence, error);
    batch_clear(&w->batch);
    if (status == OMENDB_OK) memcpy(w->docs, w->staged, sizeof w->docs);
    return status;
}

static inline void world_commit(struct world *w)
{
    OK(world_try_commit(w, &err));
}

/* Documents [begin, end), a vector each of their own but for some. */
static inline void world_fill(struct world *w, uint32_t begin, uint32_t end, uint32_t per_commit)
{
    for (uint32_t id = begin; id < end; id++) {
        world_put(w, id,
                  random_below(&w->random, 8) == 0 ? random_below(&w->random, 40) : 100 + id);
        if ((id + 1) % per_commit == 0) world_commit(w);
    }
    world_commit(w);
}

/* One random operation; vectors: numbers that new ones are taken from. */
static inline void world_change(struct world *w, uint32_t docs, uint32_t vectors)
{
    const uint32_t id = random_below(&w->random, docs);
    if (random_below(&w->random, 5) < 2) world_delete(w, id);
    else world_put(w, id, random_below(&w->random, vectors));
}

static inline void world_work(struct world *w)
{
    for (bool more = true; more;) OK(store_index_work(w->store, &more, &err));
}

/* ---- Asking ---- */

struct world_hit {
    float distance;
    bool equal;
    uint32_t id;
};

static inline int world_hit_order(const void *left, const void *right)
{
    const struct world_hit *a = left, *b = right;
    if (a->distance < b->distance || a->distance > b->distance)
        return a->distance < b->distance ? -1 : 1;
    if (a->equal != b->equal) return a->equal ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static inline struct world_hit world_truth(struct world *w, const float *query, uint32_t id)
{
    const struct kernels *kernels = w->kernels;
    const float *vector = world_vector_view(w, w->docs[id] - 1);
    const float norm_a = distance_norm(kernels, OMENDB_F32, w->dim, query);
    const float norm_b = distance_norm(kernels, OMENDB_F32, w->dim, vector);
    return (struct world_hit){.distance = distance_exact(kernels, w->metric, OMENDB_F32, w->dim,
                                                         query, norm_a, vector, norm_b),
                              .equal = memcmp(query, vector, w->dim * 4) == 0,
                              .id = id};
}

static inline uint32_t world_all(struct world *w, const float *query, struct world_hit *all)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < w->doc_end; id++) {
        if (w->docs[id] != 0) all[count++] = world_truth(w, query, id);
    }
    qsort(all, count, sizeof *all, world_hit_order);
    return count;
}

/* Asks and checks; what: its k, recall, ef and exact count. Returns the hits among the nearest. */
static inline uint32_t world_ask(struct world *w, const float *query, struct vector_query what,
                                 struct vector_stats *stats)
{
    static struct world_hit all[WORLD_DOCS_MAX];
    static struct flat_hit hits[WORLD_K_MAX];
    struct snapshot snapshot;
    uint32_t found = 0, among = 0;
    const uint32_t k = what.flat.k, count = world_all(w, query, all);
    const uint32_t wanted = count < k ? count : k;
    OK(store_enter(w->store, &snapshot, &err));
    what.flat.collection = w->collection;
    what.flat.vector = query;
    what.flat.sequence = snapshot.sequence;
    OK(vector_search(&what, &w->workspace, hits, &found, stats, &err));
    CHECK(found == wanted);
    struct world_hit before = {.distance = -INFINITY};
    for (uint32_t i = 0; i < found; i++) {
        struct id_view id;
        OK(collection_slot_id(w->collection, hits[i].slot, &id, &err));
        CHECK(id.text_view == NULL && id.number < w->doc_end && w->docs[id.number] != 0);
        const struct world_hit truth = world_truth(w, query, (uint32_t)id.number);
        CHECK(memcmp(&truth.distance, &hits[i].distance, 4) == 0 && truth.equal == hits[i].equal);
        CHECK(i == 0 || world_hit_order(&before, &truth) < 0);
        if (what.exact) CHECK(truth.id == all[i].id);
        before = truth;
        among += world_hit_order(&truth, &all[wanted - 1]) <= 0;
    }
    /* Whatever the effort: a vector that is stored is found by itself, first where it must be. */
    if (wanted != 0 && all[0].equal) CHECK(hits[0].equal);
    store_leave(&snapshot);
    return among;
}

static inline void world_query(struct world *w, float *out)
{
    world_vector_make(w, 1000000 + random_below(&w->random, 100000), out);
    if (random_below(&w->random, 4) != 0) return;
    const uint32_t id = random_below(&w->random, w->doc_end != 0 ? w->doc_end : 1);
    if (w->docs[id] != 0) memcpy(out, world_vector_view(w, w->docs[id] - 1), w->dim * 4);
}

/* A handful of searches of every kind. */
static inline void world_look(struct world *w)
{
    static const uint32_t efs[] = {100, 128, 200, 300};
    float query[WORLD_DIM_MAX];
    struct vector_stats stats = {0};
    world_query(w, query);
    const uint32_t k = 1 + random_below(&w->random, 30);
    (void)world_ask(w, query, (struct vector_query){.flat.k = k, .exact = true}, &stats);
    (void)world_ask(w, query, (struct vector_query){.flat.k = k, .recall = 1}, &stats);
    (void)world_ask(w, query,
                    (struct vector_query){.flat.k = k, .ef = efs[random_below(&w->random, 4)]},
                    &stats);
    (void)world_ask(w, query, (struct vector_query){.flat.k = k, .ef = k}, &stats);
    const uint32_t among = world_ask(w, query, (struct vector_query){.flat.k = 10}, &stats);
    w->hits += among;
    for (uint32_t id = 0, live = 0; id < w->doc_end && live < 10; id++) {
        live += w->docs[id] != 0;
        w->wanted += w->docs[id] != 0;
    }
}

/* ---- Looking inside ---- */

static inline void world_problem(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
    CHECK(false);
}

/* Nothing else may be writing. */
static inline void world_verify(struct world *w)
{
    static const char good[] = "{\"ok\":true";
    struct buffer text = {0};
    OK(vector_index_verify(w->collection, 0, world_problem, NULL, &err));
    OK(store_check(w->store, true, &text, &err));
    if (memcmp(text.data, good, sizeof good - 1) != 0)
        fprintf(stderr, "%.*s\n", (int)text.size, (const char *)text.data);
    CHECK(memcmp(text.data, good, sizeof good - 1) == 0);
    buffer_deinit(&text);
}

static inline uint32_t world_linked(const struct world *w)
{
    const struct graph_index *graph = graph_index_of(w->collection, 0);
    return graph != NULL ? atomic_load_acquire_u32(&graph->linked) : 0;
}

#endif /* GRAPH_HELP_H */
