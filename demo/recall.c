#include "recall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "screen.h"

enum { K = 10, STORED = 1000, ROUNDS = 3 };

struct query {
    const void *vector;
    omendb_type type;
    const char *own; /* Id of the package whose vector it is, or NULL. */
    size_t own_size;
};

/* Seconds and recall of a group of queries. */
struct group {
    double *graph, *exact; /* [count] */
    size_t count;
    uint64_t found, wanted;
};

static omendb_hits *ask(omendb_collection *collection, const struct query *query, uint32_t flags,
                        double *seconds)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    omendb_error err = {0};
    params.flags = flags;
    params.type = query->type;
    params.dim = READER_DIM;
    params.queries = query->vector;
    params.query_count = 1;
    params.k = query->own == NULL ? K : K + 1;
    const double start = screen_now();
    load_must(omendb_collection_search(collection, &params, &hits, &err), &err, "searching");
    const double passed = screen_now() - start;
    if (passed < *seconds)
        *seconds = passed; /* The best of the rounds: the others were disturbed. */
    return hits;
}

static bool is_own(const struct query *query, const omendb_id *id)
{
    return query->own != NULL && id->size == query->own_size &&
           memcmp(id->text_view, query->own, id->size) == 0;
}

static bool has(const omendb_hits *hits, const omendb_id *id)
{
    for (size_t i = 0; i < omendb_hits_count(hits, 0); i++) {
        omendb_hit hit;
        omendb_hits_entry(hits, 0, i, &hit);
        const omendb_id *other = &hit.document.id;
        if (other->size == id->size && memcmp(other->text_view, id->text_view, id->size) == 0)
            return true;
    }
    return false;
}

static void compare(const struct query *query, const omendb_hits *graph, const omendb_hits *exact,
                    struct group *group)
{
    uint64_t wanted = 0;
    for (size_t i = 0; i < omendb_hits_count(exact, 0) && wanted < K; i++) {
        omendb_hit hit;
        omendb_hits_entry(exact, 0, i, &hit);
        if (is_own(query, &hit.document.id)) continue;
        wanted++;
        group->found += has(graph, &hit.document.id);
    }
    group->wanted += wanted;
}

static void ask_both(omendb_collection *collection, const struct query *query, struct group *group)
{
    double graph_seconds = 1e9, exact_seconds = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        omendb_hits *graph = ask(collection, query, 0, &graph_seconds);
        omendb_hits *exact = ask(collection, query, OMENDB_EXACT, &exact_seconds);
        if (round == 0) compare(query, graph, exact, group);
        omendb_hits_destroy(graph);
        omendb_hits_destroy(exact);
    }
    group->graph[group->count] = graph_seconds;
    group->exact[group->count++] = exact_seconds;
}

static int compare_seconds(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_seconds);
    return values[count / 2];
}

static double percent(const struct group *group)
{
    return 100.0 * (double)group->found / (double)group->wanted;
}

static void show_explain(omendb_collection *collection, const struct query *query, const char *text)
{
    double ignored = 1e9;
    omendb_hits *hits = ask(collection, query, 0, &ignored);
    const char *json = omendb_hits_explain(hits), *plan = "", *recall = "";
    const size_t size = strlen(json);
    size_t plan_size = 0, recall_size = 0;
    (void)reader_member(json, size, "\"plan\":", &plan, &plan_size);
    (void)reader_member(json, size, "\"recall_expected\":", &recall, &recall_size);
    if (plan_size != 5 || memcmp(plan, "graph", 5) != 0) screen_die("no walk: %s", json);
    screen_fact("Explained", "\"%s\"", text);
    /* The JSON goes on behind the number, which ends it. */
    screen_fact("", "ef %s, for an expected recall of %.2f: %s steps from node",
                screen_count(reader_number(json, size, "\"ef\":")).text, strtod(recall, NULL),
                screen_count(reader_number(json, size, "\"hops\":")).text);
    screen_fact("", "to node, %s estimates and %s distances by codes, %s KB",
                screen_count(reader_number(json, size, "\"estimates\":")).text,
                screen_count(reader_number(json, size, "\"distances\":")).text,
                screen_count(reader_number(json, size, "\"bytes\":") / 1000).text);
    screen_fact("", "read, and %s vectors in full for the last word",
                screen_count(reader_number(json, size, "\"reranked\":")).text);
    omendb_hits_destroy(hits);
}

void recall_show(omendb *db, omendb_collection *collection, const struct reader_packages *packages,
                 const struct reader_queries *queries)
{
    const size_t total = queries->count + STORED;
    struct group groups[2] = {{.graph = NULL}, {.graph = NULL}};
    double *seconds = calloc(2 * total, sizeof *seconds);
    if (seconds == NULL) screen_die("out of memory");
    groups[0] = (struct group){.graph = seconds, .exact = seconds + total};
    for (size_t q = 0; q < queries->count; q++) {
        const struct query query = {queries->vectors + q * READER_DIM, OMENDB_F32, NULL, 0};
        ask_both(collection, &query, &groups[0]);
    }
    /* The times of both groups lie behind one another. */
    groups[1] = (struct group){.graph = seconds + queries->count,
                               .exact = seconds + total + queries->count};
    for (size_t i = 0; i < STORED; i++) {
        const size_t row = i * packages->count / STORED;
        const uint64_t *offsets = packages->id_offsets + row;
        const struct query query = {packages->vectors + row * READER_DIM, OMENDB_F16,
                                    packages->ids_text + offsets[0],
                                    (size_t)(offsets[1] - offsets[0])};
        ask_both(collection, &query, &groups[1]);
        screen_bar(i + 1, STORED);
    }
    screen_bar_clear();
    const double graph = median(seconds, total), exact = median(seconds + total, total);
    screen_fact("Recall@10", "%.1f %% over %zu questions, %.1f %% over %s packages' neighbours",
                percent(&groups[0]), queries->count, percent(&groups[1]),
                screen_count(STORED).text);
    screen_fact("Speed", "%s by the graph, %s exactly (medians): %.1f times faster",
                screen_seconds(graph).text, screen_seconds(exact).text, exact / graph);
    screen_fact("Memory", "%s bytes a vector: code %s, links %s, codes of links %s",
                screen_count(load_stat(db, "\"codes\":") + load_stat(db, "\"links\":") +
                             load_stat(db, "\"edges\":"))
                    .text,
                screen_count(load_stat(db, "\"codes\":")).text,
                screen_count(load_stat(db, "\"links\":")).text,
                screen_count(load_stat(db, "\"edges\":")).text);
    const struct query first = {queries->vectors, OMENDB_F32, NULL, 0};
    show_explain(collection, &first, queries->texts[0]);
    free(seconds);
}
