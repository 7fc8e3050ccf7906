#include "ask.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "screen.h"

enum { RUNS_MAX = 200 };

/* The database sums 384 products of unit vectors in f32, the plain loop in f64; the sums differ by
 * far less than this. */
static const double ROUNDING = 1e-6;

/* ---- Filters ------------------------------------------------------------------- */

bool ask_match_all(const char *json, size_t size)
{
    (void)json;
    (void)size;
    return true;
}

bool ask_match_games(const char *json, size_t size)
{
    const char *value;
    size_t value_size;
    return reader_member(json, size, "\"section\":", &value, &value_size) && value_size == 5 &&
           memcmp(value, "games", 5) == 0;
}

bool ask_match_small(const char *json, size_t size)
{
    const char *value;
    size_t value_size;
    return reader_member(json, size, "\"installed_kb\":", &value, &value_size) &&
           reader_number(json, size, "\"installed_kb\":") < 500;
}

/* ---- Asking -------------------------------------------------------------------- */

static omendb_hits *search(omendb_collection *collection, const float *query, const char *filter,
                           uint32_t k, uint32_t flags)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    omendb_error err = {0};
    params.flags = OMENDB_WITH_DOCUMENTS | flags;
    params.dim = READER_DIM;
    params.queries = query;
    params.query_count = 1;
    params.k = k;
    params.filter = filter;
    params.filter_size = filter == NULL ? 0 : strlen(filter);
    load_must(omendb_collection_search(collection, &params, &hits, &err), &err, "searching");
    return hits;
}

static const float *vector_of(const struct reader_queries *queries, const char *text)
{
    for (size_t q = 0; q < queries->count; q++) {
        if (strcmp(queries->texts[q], text) == 0) return queries->vectors + q * READER_DIM;
    }
    screen_die("the shipped data has no query \"%s\"", text);
}

void ask_first(omendb_collection *collection, const struct reader_queries *queries)
{
    omendb_hits_destroy(search(collection, queries->vectors, NULL, 10, 0));
}

static int compare_doubles(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* Seconds of one search, document texts included: the median of up to RUNS_MAX runs. */
static double median_seconds(omendb_collection *collection, const float *query, const char *filter,
                             uint32_t k)
{
    double seconds[RUNS_MAX];
    size_t runs = 0;
    const double begin = screen_now();
    while (runs < RUNS_MAX && (runs < 5 || screen_now() - begin < 0.5)) {
        const double start = screen_now();
        omendb_hits_destroy(search(collection, query, filter, k, 0));
        seconds[runs++] = screen_now() - start;
    }
    qsort(seconds, runs, sizeof seconds[0], compare_doubles);
    return seconds[runs / 2];
}

/* Prints a JSON string's inside, escapes undone where they are a quote or a backslash. */
static void print_summary(const char *text, size_t size, size_t width)
{
    char plain[256];
    size_t used = 0;
    bool cut;
    for (size_t i = 0; i < size && used < sizeof plain; i++) {
        if (text[i] == '\\' && i + 1 < size) i++;
        plain[used++] = text[i];
    }
    const size_t shown = screen_cut(plain, used, width, &cut);
    (void)printf("%.*s%s\n", (int)shown, plain, cut ? "..." : "");
}

static void print_hits(const omendb_hits *hits)
{
    enum { RANK_AND_SCORE = 14 }; /* "   1  0.700  ": indentation, rank, score, gaps */
    const size_t count = omendb_hits_count(hits, 0), width = screen_width();
    size_t widest = 0;
    omendb_hit hit;
    for (size_t i = 0; i < count; i++) {
        omendb_hits_entry(hits, 0, i, &hit);
        if (hit.document.id.size > widest) widest = hit.document.id.size;
    }
    if (widest > width / 3) widest = width / 3;
    for (size_t i = 0; i < count; i++) {
        const char *summary = "";
        size_t summary_size = 0;
        bool cut;
        omendb_hits_entry(hits, 0, i, &hit);
        const omendb_document *document = &hit.document;
        const size_t id_shown = screen_cut(document->id.text_view, document->id.size, widest, &cut);
        (void)reader_member(document->json_view, document->json_size, "\"summary\":", &summary,
                            &summary_size);
        (void)printf("   %2zu  %.3f  %.*s%s%*s  ", i + 1, (double)hit.score, (int)id_shown,
                     document->id.text_view, cut ? "..." : "",
                     cut ? 0 : (int)(widest - document->id.size), "");
        print_summary(summary, summary_size, width - RANK_AND_SCORE - widest - 2);
    }
}

void ask_show(omendb_collection *collection, const struct reader_queries *queries,
              const struct ask_question *question, uint32_t k)
{
    const float *query = vector_of(queries, question->text);
    const char *filter = question->filter.json;
    const double seconds = median_seconds(collection, query, filter, k);
    omendb_hits *hits = search(collection, query, filter, k, 0);
    (void)printf("\n   %s\"%s\"%s  %s%s%s\n", screen_style(SCREEN_BOLD), question->text,
                 screen_style(SCREEN_PLAIN), screen_style(SCREEN_DIM), screen_seconds(seconds).text,
                 screen_style(SCREEN_PLAIN));
    if (filter != NULL) screen_say("only %s", filter);
    print_hits(hits);
    (void)fflush(stdout);
    omendb_hits_destroy(hits);
}

/* ---- The plain loop ------------------------------------------------------------ */

struct neighbour {
    double distance;
    size_t row;
};

/* IEEE binary16 to double: every half is a double. */
static double from_half(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double sign = half >> 15 ? -1.0 : 1.0;
    if (exponent == 0) return sign * ldexp(fraction, -24);
    if (exponent == 31) return fraction == 0 ? sign * (double)INFINITY : (double)NAN;
    return sign * ldexp(1024 + fraction, exponent - 25);
}

/* The nearest half of a number, ties to even: queries are converted to the type of the field
 * (omendb.h). A half has 11 bits of fraction, and no exponent below -14. */
static double round_to_half(double value)
{
    const int exponent = value == 0 ? -14 : ilogb(value);
    const double step = ldexp(1, (exponent < -14 ? -14 : exponent) - 10);
    return nearbyint(value / step) * step;
}

static double cosine_distance(const double *query, const double *row)
{
    double dot = 0, query_square = 0, row_square = 0;
    for (size_t i = 0; i < READER_DIM; i++) {
        dot += query[i] * row[i];
        query_square += query[i] * query[i];
        row_square += row[i] * row[i];
    }
    return 1 - dot / sqrt(query_square * row_square);
}

static int compare_neighbours(const void *a, const void *b)
{
    const struct neighbour *left = a, *right = b;
    if (left->distance != right->distance) return left->distance < right->distance ? -1 : 1;
    return left->row < right->row ? -1 : left->row > right->row;
}

/* Hit i must be package nearest[i], at the loop's distance. */
static void compare_hits(const omendb_hits *hits, const struct reader_packages *packages,
                         const struct neighbour *nearest, size_t count, const char *text)
{
    if (omendb_hits_count(hits, 0) != count) {
        screen_die("\"%s\": %zu hits, but there are %zu", text, omendb_hits_count(hits, 0), count);
    }
    for (size_t i = 0; i < count; i++) {
        omendb_hit hit;
        omendb_hits_entry(hits, 0, i, &hit);
        const omendb_id *id = &hit.document.id;
        const uint64_t *offsets = packages->id_offsets + nearest[i].row;
        const char *name = packages->ids_text + offsets[0];
        const size_t size = (size_t)(offsets[1] - offsets[0]);
        if (id->size != size || memcmp(id->text_view, name, size) != 0 ||
            fabs((double)hit.distance - nearest[i].distance) > ROUNDING) {
            screen_die("\"%s\": hit %zu is %.*s, but the plain loop finds %.*s", text, i + 1,
                       (int)id->size, id->text_view, (int)size, name);
        }
    }
}

size_t ask_verify(omendb_collection *collection, const struct reader_packages *packages,
                  const struct reader_queries *queries, const struct ask_filter *filters,
                  size_t filters_count, uint32_t k)
{
    double *rows = calloc(packages->count * READER_DIM, sizeof *rows);
    double *distances = calloc(packages->count, sizeof *distances);
    struct neighbour *nearest = calloc(packages->count, sizeof *nearest);
    size_t compared = 0;
    if (rows == NULL || distances == NULL || nearest == NULL) screen_die("out of memory");
    for (size_t i = 0; i < packages->count * READER_DIM; i++) {
        rows[i] = from_half(packages->vectors[i]);
    }
    for (size_t q = 0; q < queries->count; q++) {
        const float *query = queries->vectors + q * READER_DIM;
        double rounded[READER_DIM];
        for (size_t i = 0; i < READER_DIM; i++) rounded[i] = round_to_half((double)query[i]);
        for (size_t r = 0; r < packages->count; r++) {
            distances[r] = cosine_distance(rounded, rows + r * READER_DIM);
        }
        for (size_t f = 0; f < filters_count; f++) {
            size_t count = 0;
            for (size_t r = 0; r < packages->count; r++) {
                const uint64_t *offsets = packages->json_offsets + r;
                if (!filters[f].match(packages->json + offsets[0], offsets[1] - offsets[0])) {
                    continue;
                }
                nearest[count++] = (struct neighbour){distances[r], r};
            }
            qsort(nearest, count, sizeof *nearest, compare_neighbours);
            omendb_hits *hits = search(collection, query, filters[f].json, k, OMENDB_EXACT);
            const size_t wanted = count < k ? count : k;
            compare_hits(hits, packages, nearest, wanted, queries->texts[q]);
            compared += wanted;
            omendb_hits_destroy(hits);
        }
        screen_bar(q + 1, queries->count);
    }
    screen_bar_clear();
    free(rows);
    free(distances);
    free(nearest);
    return compared;
}
