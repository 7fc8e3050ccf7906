#include "query/explain.h"

static omendb_status explain_number(struct buffer *out, const char *name, uint64_t value,
                                    omendb_error *err)
{
    return buffer_append_format(out, err, ",\"%s\":%llu", name, (unsigned long long)value);
}

/* A recall that was never measured is null. */
static omendb_status explain_recall(const struct vector_stats *stats, struct buffer *out,
                                    omendb_error *err)
{
    if (stats->walks == 0)
        return buffer_append_text(out, ",\"exact\":true,\"recall_expected\":1.0", err);
    TRY(buffer_append_text(out, ",\"exact\":false,\"recall_expected\":", err));
    if (!(stats->recall > 0)) return buffer_append_text(out, "null", err);
    return buffer_append_format(out, err, "%.4f", (double)stats->recall);
}

static omendb_status explain_walk(const struct vector_stats *stats, struct buffer *out,
                                  omendb_error *err)
{
    TRY(buffer_append_format(out, err, ",\"walk\":\"%s\",\"ef\":%u,\"stretch\":%.2f",
                             stats->edges ? "edges" : "codes", stats->ef, (double)stats->stretch));
    TRY(explain_number(out, "walks", stats->walks, err));
    TRY(explain_number(out, "widened", stats->widened, err));
    TRY(explain_number(out, "hops", stats->walk.hops, err));
    TRY(explain_number(out, "distances", stats->walk.distances, err));
    TRY(explain_number(out, "estimates", stats->walk.estimates, err));
    TRY(explain_number(out, "bytes", stats->walk.bytes, err));
    TRY(explain_number(out, "tail", stats->tail, err));
    return explain_number(out, "scans", stats->scans, err);
}

omendb_status explain_write(const struct explain *explain, struct buffer *out, omendb_error *err)
{
    const struct vector_stats *stats = explain->stats;
    TRY(buffer_append_format(out, err, "{\"plan\":\"%s\"", stats->walks != 0 ? "graph" : "exact"));
    if (stats->reason != NULL)
        TRY(buffer_append_format(out, err, ",\"why_exact\":\"%s\"", stats->reason));
    TRY(explain_recall(stats, out, err));
    TRY(explain_number(out, "queries", explain->query_count, err));
    TRY(explain_number(out, "k", explain->k, err));
    TRY(explain_number(out, "offset", explain->offset, err));
    if (stats->walks != 0) TRY(explain_walk(stats, out, err));
    TRY(explain_number(out, "nodes", stats->flat.scanned, err));
    TRY(explain_number(out, "candidates", stats->flat.candidates, err));
    TRY(explain_number(out, "reranked", stats->flat.refined, err));
    TRY(explain_number(out, "filtered_out", stats->flat.filtered, err));
    TRY(explain_number(out, "repeats", stats->repeated, err));
    TRY(explain_number(out, "snapshot", explain->sequence, err));
    TRY(explain_number(out, "threads", explain->threads, err));
    return buffer_append_format(out, err, ",\"kernels\":\"%s\"}", explain->kernels);
}
