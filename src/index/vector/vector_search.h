/* vector_search.h - nearest neighbours of a field: by its graph where that keeps what was asked for,
 * else by a scan.
 *
 *     which way? ──▶ scan (flat.h): no graph, a filter, exact or recall 1, nothing measured that
 *         │                         reaches the recall, or a walk would cost as much
 *         ▼
 *     note the tail ─▶ walk ─▶ candidates ┐
 *     node with just these bytes ─────────┼─▶ exact distances, visible documents ─▶ k hits
 *     noted nodes, by their codes ────────┘        fewer than k? twice the effort, then a scan
 *
 * What comes out are visible documents with their exact distances in the order of contract 4,
 * min(k, all there are) of them; only whether they are *the* nearest is a matter of recall, and
 * that was measured (graph_calibrate.h, graph_choose.h).
 *
 * Threads: any number of searches, each with its own workspace; the snapshot is the caller's.
 */
#ifndef INDEX_VECTOR_VECTOR_SEARCH_H
#define INDEX_VECTOR_VECTOR_SEARCH_H

#include "index/vector/flat.h"
#include "index/vector/graph_index.h"

struct vector_query {
    struct flat_query flat; /* node_begin, node_end: 0. */
    float recall;           /* (0, 1]; 0 = VECTOR_RECALL_DEFAULT. */
    uint32_t ef;            /* In place of recall: k .. GRAPH_EFFORT_MAX; 0 = from recall. */
    bool exact;
};

#define VECTOR_RECALL_DEFAULT 0.95f

struct vector_stats {       /* Added to, but for what says "of the last". */
    struct flat_stats flat; /* Of scans, tails and re-ranking. */
    struct graph_counts walk;
    uint64_t walks;     /* Walks, those with more effort among them. */
    uint64_t scans;     /* Queries answered by a scan of everything. */
    uint64_t widened;   /* Walks because k documents hadn't come out. */
    uint64_t repeated;  /* Because vectors had moved meanwhile. */
    uint64_t tail;      /* Nodes that weren't in the graph yet. */
    uint64_t reranked;  /* Candidates of walks that were read in full. */
    uint32_t ef;        /* Of the last walk. */
    float stretch;      /* Of the last walk. */
    float recall;       /* Expected, of the last query: 1 = exact; 0 = was never measured. */
    bool edges;         /* The last walk went by edge codes. */
    const char *reason; /* Why the last scan was one; a constant, NULL when there was none. */
};

/* Scratch memory; {0} to begin with. Grows to what the largest search needed. */
struct vector_workspace {
    struct flat_workspace flat;
    struct graph_query query;
    struct graph_scratch scratch;
    float *widened;
    size_t widened_capacity;
    uint32_t *near, *tail;
    size_t near_capacity, tail_capacity;
};
void vector_workspace_deinit(struct vector_workspace *workspace);

/* How a query will be answered. */
struct vector_plan {
    struct graph_index *graph; /* NULL: by a scan. */
    struct graph_effort effort;
    float recall;       /* Expected. */
    uint64_t bytes;     /* That it will read, about. */
    const char *reason; /* Why by a scan; a constant. */
};

/* Makes what the way needs resident, if that is little. CORRUPT, IO, NOMEM. */
omendb_status vector_search_plan(const struct vector_query *query, struct vector_plan *out,
                                 omendb_error *err);

/* hits: [k], best first; *found: how many. stats may be NULL. NOMEM, CORRUPT, IO; what `passes` and
 * `interrupted` say. */
omendb_status vector_search(const struct vector_query *query, struct vector_workspace *workspace,
                            struct flat_hit *hits, uint32_t *found, struct vector_stats *stats,
                            omendb_error *err);

/* As flat_search_batch(): several queries on up to `threads` threads, one query each; a single one
 * that is answered by a scan is shared out. workspaces: [threads] */
omendb_status vector_search_batch(const struct vector_query *queries, uint32_t count,
                                  uint32_t threads, struct vector_workspace *workspaces,
                                  struct flat_hit *hits, uint32_t *found,
                                  struct vector_stats *stats, omendb_error *err);

/* The graph's part alone: a walk and its re-ranking, without tail and exact match, `skip` (or
 * SLOT_NONE) left out. For measuring. The graph is searchable. */
omendb_status vector_search_walk(struct graph_index *graph, const struct flat_query *query,
                                 const struct graph_effort *effort, uint32_t skip,
                                 struct vector_workspace *workspace, struct flat_hit *hits,
                                 uint32_t *found, struct vector_stats *stats, omendb_error *err);

/* Candidates that are read in full for k hits; at most ef. */
uint32_t vector_search_keep(uint32_t k, uint32_t ef);

#endif /* INDEX_VECTOR_VECTOR_SEARCH_H */
