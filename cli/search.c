/* search.c - `omendb search` */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "database.h"
#include "progress.h"
#include "report.h"
#include "screen.h"
#include "show.h"
#include "vector.h"
#include "vector_file.h"

static int run_search(struct args *args);

static const struct option SEARCH_OPTIONS[] = {
    {"vector", 0, false, "JSON", "The query: '[0.1, 0.2, ...]', or - to read it from stdin."},
    {"vector-file", 0, false, "FILE[:ROW]",
     "Queries from a .npy, .fvecs, .bvecs or .ivecs file: all of its\n"
     "rows, or one (the first is 0)."},
    {"like", 0, false, "ID", "What is near this document, without itself."},
    {"k", 'k', false, "N", "Hits wanted; default 10."},
    {"offset", 0, false, "N", "Leave out so many of the best."},
    {"where", 0, false, "JSON", "Only documents that match this filter."},
    {"field", 0, false, "NAME", "The vector field, when there are several."},
    {"exact", 0, false, NULL, "Brute force's answer, whatever index there is."},
    {"recall", 0, false, "R", "Part of the true hits wanted, up to 1; default 0.95."},
    {"ef", 0, false, "N", "Beam width of the graph, instead of --recall: k to 8192."},
    {"threads", 0, false, "N", "Threads for many queries or a large scan; default 1."},
    {"timeout", 0, false, "MS", "Give up after so many milliseconds."},
    {"fields", 0, false, "A,B", "Show only these top-level fields."},
    {"with-vectors", 0, false, NULL, "Show the vectors of the hits as well."},
    {"explain", 0, false, NULL, "Show how the search was run."},
    {"string-ids", 0, false, NULL, "The id of --like is a string."},
    {NULL, 0, false, NULL, NULL},
};

const struct command SEARCH_COMMAND = {
    .name = "search",
    .synopsis = "FILE COLLECTION (--vector JSON | --vector-file FILE[:ROW] | --like ID)",
    .summary = "Find the documents nearest to a vector.",
    .details = HELP_WHERE
    "\n" HELP_IDS "\nScores: higher is better. Exit status 1: there were no hits.\n"
    "With --json one object a query: {\"query\", \"took_ms\", \"hits\": [{\"id\",\n"
    "\"score\", \"distance\", \"document\"}]}.\n",
    .options = SEARCH_OPTIONS,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = run_search,
};

/* One search and what it is shown with. */
struct search {
    const struct args *args;
    struct database database;
    struct description description;
    struct show show;
    omendb_search_params params;
    struct text queries;
    omendb_hits *hits;
    bool has_like;
    omendb_id like;     /* Left out of the hits. */
    uint32_t like_skip; /* Hits to leave out besides: the offset. */
    uint32_t like_k;
    double took;
};

static bool search_from_text(struct search *search, const char *value, omendb_type type)
{
    omendb_error err = {0};
    struct input input = {0};
    struct text text = {0};
    bool parsed = false;
    if (strcmp(value, "-") == 0) {
        char *line;
        size_t size;
        enum { VECTOR_TEXT_MAX = 1 << 20 };
        if (input_open(&input, "-", &err) != OMENDB_OK ||
            input_line(&input, VECTOR_TEXT_MAX, &line, &size, &err) != OMENDB_OK) {
            message("stdin: %s", err.message);
            input_close(&input);
            return false;
        }
        text_append(&text, line == NULL ? "" : line, size);
        input_close(&input);
    } else {
        text_append_string(&text, value);
    }
    if (vector_parse((struct span){text.data, text.size}, type, &search->queries,
                     &search->params.dim, &err) == OMENDB_OK) {
        search->params.type = type == OMENDB_BIT ? OMENDB_BIT : OMENDB_F32;
        search->params.query_count = 1;
        parsed = true;
    } else {
        message("--vector: %s", err.message);
    }
    text_deinit(&text);
    return parsed;
}

/* Splits FILE[:ROW]; *row is UINT64_MAX without one. The result is freed by the caller. */
static char *split_row(const char *value, uint64_t *row)
{
    const char *colon = strrchr(value, ':');
    size_t size = strlen(value);
    *row = UINT64_MAX;
    if (colon != NULL && digits_parse(colon + 1, strlen(colon + 1), row)) {
        size = (size_t)(colon - value);
    }
    char *path = memory_create(size + 1, 1);
    memcpy(path, value, size);
    return path;
}

static omendb_status read_queries(struct search *search, struct vector_file *file, uint64_t row,
                                  omendb_error *err)
{
    enum { QUERIES_MAX = 100000 };
    bool more = true;
    for (;;) {
        text_reserve(&search->queries, file->row_size);
        TRY(vector_file_next(file, search->queries.data + search->queries.size, &more, err));
        if (!more) break;
        if (row != UINT64_MAX && file->next - 1 < row) continue;
        search->queries.size += file->row_size;
        search->params.query_count++;
        if (row != UINT64_MAX) return OMENDB_OK;
        if (search->params.query_count > QUERIES_MAX) {
            return fault(err, OMENDB_ERR_ARGUMENT, "more than %d queries", QUERIES_MAX);
        }
    }
    if (row != UINT64_MAX || file->next == 0) {
        return fault(err, OMENDB_ERR_ARGUMENT, "there is no such row; the file has %llu",
                     (unsigned long long)file->next);
    }
    return OMENDB_OK;
}

static bool search_from_file(struct search *search, const char *value, omendb_type type)
{
    struct vector_file file = {0};
    omendb_error err = {0};
    enum vector_format format;
    uint64_t row;
    char *path = split_row(value, &row);
    bool done = false;
    if (!vector_format_of(path_extension(path), &format)) {
        message("--vector-file: '%s' is none of .npy, .fvecs, .bvecs, .ivecs", path);
        free(path);
        return false;
    }
    if (vector_file_open(&file, path, format, &err) == OMENDB_OK &&
        read_queries(search, &file, row, &err) == OMENDB_OK) {
        bool bits = type == OMENDB_BIT && file.type == OMENDB_U8; /* Packed, as in the field. */
        search->params.type = bits ? OMENDB_BIT : file.type;
        search->params.dim = bits ? file.dim * 8 : file.dim;
        done = true;
    } else {
        message("%s: row %llu: %s", path, (unsigned long long)(row == UINT64_MAX ? file.next : row),
                err.message);
    }
    vector_file_close(&file);
    free(path);
    return done;
}

/* The query is the stored vector; one hit more is asked for, since the document finds itself.
 * Returns CLI_OK, or the exit status after printing. */
static int search_from_document(struct search *search, const char *field)
{
    omendb_documents *documents = NULL;
    omendb_document document;
    omendb_error err = {0};
    omendb_type type;
    uint32_t dim;
    if (omendb_collection_get(search->database.collection, &search->like, 1, OMENDB_WITH_VECTORS,
                              &documents, &err) != OMENDB_OK) {
        return database_failed(&search->database, &err);
    }
    omendb_documents_entry(documents, 0, &document);
    const void *vector = document.found ? omendb_documents_vector(documents, 0, field, &type, &dim)
                                        : NULL;
    if (vector == NULL) {
        const char *id = args_text(search->args, "like");
        if (document.found) {
            message("document %s has no vector '%s'", id, field);
        } else {
            message("no document %s", id);
        }
        omendb_documents_destroy(documents);
        return CLI_NEGATIVE;
    }
    text_append(&search->queries, vector, vector_size(type, dim));
    search->params.type = type;
    search->params.dim = dim;
    search->params.query_count = 1;
    search->like_k = search->params.k;
    search->like_skip = search->params.offset;
    search->params.k += search->params.offset + 1;
    if (search->params.k > OMENDB_K_MAX) search->params.k = OMENDB_K_MAX;
    if (search->params.ef != 0 && search->params.ef < search->params.k)
        search->params.ef = search->params.k;
    search->params.offset = 0;
    omendb_documents_destroy(documents);
    return CLI_OK;
}

/* Whether hit `index` is shown; *passed counts those that aren't the document of --like. */
static bool is_shown(const struct search *search, const omendb_hit *hit, uint32_t *passed)
{
    if (!search->has_like) return true;
    if (id_is(&hit->document.id, &search->like)) return false;
    uint32_t rank = (*passed)++;
    return rank >= search->like_skip && rank < search->like_skip + search->like_k;
}

static size_t print_json(const struct search *search, size_t query)
{
    struct text line = {0};
    uint32_t passed = 0;
    size_t shown = 0;
    const omendb_documents *documents = omendb_hits_documents(search->hits, query);
    text_append_format(&line, "{\"query\":%zu,\"took_ms\":%.3f,\"hits\":[", query,
                       search->took * 1e3);
    for (size_t i = 0; i < omendb_hits_count(search->hits, query); i++) {
        omendb_hit hit;
        omendb_hits_entry(search->hits, query, i, &hit);
        if (!is_shown(search, &hit, &passed)) continue;
        text_append_format(&line, "%s{\"score\":%s,\"distance\":%s,", shown == 0 ? "" : ",",
                           screen_real((double)hit.score).text,
                           screen_real((double)hit.distance).text);
        show_append_json(&search->show, &line, documents, i);
        text_append_byte(&line, '}');
        shown++;
    }
    text_append_byte(&line, ']');
    if (args_flag(search->args, "explain")) {
        text_append_format(&line, ",\"explain\":%s", omendb_hits_explain(search->hits));
    }
    (void)printf("%s}\n", line.data);
    text_deinit(&line);
    return shown;
}

static void number_cell(struct screen_table *table, const char *format, double value)
{
    char cell[64];
    (void)snprintf(cell, sizeof(cell), format[0] == 'd' ? "%.0f" : "%.4f", value);
    screen_table_cell(table, cell, strlen(cell));
}

static size_t print_table(const struct search *search, size_t query)
{
    struct screen_table table;
    uint32_t passed = 0;
    size_t shown = 0;
    const omendb_documents *documents = omendb_hits_documents(search->hits, query);
    screen_table_init(&table, 3 + show_columns(&search->show));
    screen_table_title(&table, 0, "#", true);
    screen_table_title(&table, 1, "score", true);
    screen_table_title(&table, 2, "distance", true);
    show_titles(&search->show, &table, 3);
    for (size_t i = 0; i < omendb_hits_count(search->hits, query); i++) {
        omendb_hit hit;
        omendb_hits_entry(search->hits, query, i, &hit);
        if (!is_shown(search, &hit, &passed)) continue;
        shown++;
        number_cell(&table, "d", (double)(shown + search->params.offset + search->like_skip));
        number_cell(&table, "f", (double)hit.score);
        number_cell(&table, "f", (double)hit.distance);
        show_cells(&search->show, &table, documents, i);
    }
    if (search->params.query_count > 1) (void)printf("query %zu\n", query);
    if (shown != 0) screen_table_print(&table, true);
    screen_table_deinit(&table);
    return shown;
}

static int print_result(const struct search *search)
{
    size_t shown = 0;
    for (size_t query = 0; query < omendb_hits_query_count(search->hits); query++) {
        shown += search->args->json ? print_json(search, query) : print_table(search, query);
    }
    if (!search->args->json) {
        (void)printf("%s%zu hit%s in %s%s\n", screen_colour(STDOUT_FILENO, SCREEN_DIM), shown,
                     shown == 1 ? "" : "s", screen_seconds(search->took).text,
                     screen_colour(STDOUT_FILENO, SCREEN_RESET));
        if (args_flag(search->args, "explain")) {
            json_t *explain = report_parse(omendb_hits_explain(search->hits));
            (void)putchar('\n');
            if (explain != NULL) report_print(explain);
            json_decref(explain);
        }
    }
    return shown == 0 ? CLI_NEGATIVE : CLI_OK;
}

/* Numbers and flags of the command line; the usage is right when it returns true. */
static bool take_options(struct search *search)
{
    const struct args *args = search->args;
    omendb_error err = {0};
    uint64_t k = 10;
    uint64_t offset = 0;
    uint64_t ef = 0;
    uint64_t threads = 0;
    uint64_t timeout = 0;
    double recall = 0.0;
    if (args_flag(args, "ef") + args_flag(args, "recall") + args_flag(args, "exact") > 1) {
        (void)args_wrong(args, "only one of --exact, --recall and --ef");
        return false;
    }
    int sources = args_flag(args, "vector") + args_flag(args, "vector-file") +
                  args_flag(args, "like");
    if (sources != 1) {
        (void)args_wrong(args, "one of --vector, --vector-file and --like says what to search");
        return false;
    }
    if (!args_number(args, "k", 1, OMENDB_K_MAX, &k) ||
        !args_number(args, "offset", 0, OMENDB_K_MAX - k, &offset) ||
        !args_number(args, "ef", k + offset, OMENDB_EF_MAX, &ef) ||
        !args_number(args, "threads", 1, 1024, &threads) ||
        !args_number(args, "timeout", 1, UINT32_MAX, &timeout) ||
        !args_real(args, "recall", 1e-6, 1.0, &recall)) {
        return false;
    }
    search->has_like = args_flag(args, "like");
    if (search->has_like && id_parse(args_text(args, "like"), args_flag(args, "string-ids"),
                                     &search->like, &err) != OMENDB_OK) {
        (void)args_wrong(args, "%s", err.message);
        return false;
    }
    search->params = (omendb_search_params)OMENDB_SEARCH_PARAMS_INIT;
    search->params.k = (uint32_t)k;
    search->params.offset = (uint32_t)offset;
    search->params.ef = (uint32_t)ef;
    search->params.threads = (uint32_t)threads;
    search->params.timeout_ms = (uint32_t)timeout;
    search->params.recall = (float)recall;
    search->params.filter = args_text(args, "where");
    search->params.filter_size = search->params.filter == NULL ? 0 : strlen(search->params.filter);
    return true;
}

static int prepare_query(struct search *search)
{
    const char *text = args_text(search->args, "vector");
    const char *file = args_text(search->args, "vector-file");
    const struct description_vector *field = description_vector(&search->description,
                                                                args_text(search->args, "field"));
    if (field == NULL) return CLI_FAILURE;
    search->params.field = field->name;
    if (search->has_like) return search_from_document(search, field->name);
    bool done = text != NULL ? search_from_text(search, text, field->type)
                             : search_from_file(search, file, field->type);
    if (done && search->params.dim != field->dim) {
        message("the query has %u components, the field '%s' has %u", search->params.dim,
                field->name, field->dim);
        done = false;
    }
    return done ? CLI_OK : CLI_FAILURE;
}

static int search_run(struct search *search)
{
    omendb_error err = {0};
    int code = prepare_query(search);
    if (code != CLI_OK) return code;
    show_init(&search->show, search->args, &search->description);
    search->params.queries = search->queries.data;
    search->params.flags = show_flags(&search->show) |
                           (args_flag(search->args, "exact") ? OMENDB_EXACT : 0u);
    double began = progress_now();
    omendb_status status = omendb_collection_search(search->database.collection, &search->params,
                                                    &search->hits, &err);
    search->took = progress_now() - began;
    if (status != OMENDB_OK) return database_failed(&search->database, &err);
    return print_result(search);
}

static int run_search(struct args *args)
{
    struct search search = {.args = args};
    int code = CLI_FAILURE;
    if (!take_options(&search)) return CLI_USAGE;
    if (database_open_collection(&search.database, args,
                                 OMENDB_OPEN_MUST_EXIST | OMENDB_OPEN_READ_ONLY) &&
        description_read(&search.description, &search.database)) {
        code = search_run(&search);
    }
    omendb_hits_destroy(search.hits);
    text_deinit(&search.queries);
    show_deinit(&search.show);
    description_deinit(&search.description);
    if (!database_close(&search.database)) code = CLI_FAILURE;
    return code;
}
