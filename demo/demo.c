/* demo.c - what OmenDB does, on real data: the story that `make demo` tells.
 *
 *     demo DATA FOLDER                                        tells it; makes FOLDER/packages.omen
 *     demo --load-until-killed DATA FILE COLLECTION PIPE      the second process of its last part
 *
 * DATA is data/packages. It uses include/omendb.h and nothing else of OmenDB. Exit status 0: all
 * that it says was so; 1: something wasn't, and stderr tells what; 2: wrong arguments.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "crash.h"
#include "load.h"
#include "omendb.h"
#include "reader.h"
#include "recall.h"
#include "screen.h"

enum { PATH_SIZE = 4096, BATCH_ROWS = 1000, SHOWN = 5, COMPARED = 10 };

static const struct ask_filter ALL = {NULL, ask_match_all};
static const struct ask_filter GAMES = {"{\"section\": \"games\"}", ask_match_games};
static const struct ask_filter SMALL = {"{\"installed_kb\": {\"$lt\": 500}}", ask_match_small};

/* What the process has in memory, from /proc/self/status; 0 where there is none. */
static uint64_t resident_bytes(void)
{
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) kilobytes = strtoull(line + 6, NULL, 10);
    }
    (void)fclose(file);
    return kilobytes * 1024;
}

static uint64_t engine_bytes(omendb *db)
{
    return load_stat(db, "\"array_bytes\":") + load_stat(db, "\"heap_bytes\":") +
           load_stat(db, "\"index_bytes\":");
}

static uint64_t file_bytes(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) screen_die_errno("%s", path);
    return (uint64_t)status.st_size;
}

/* The file of the last run and its log. */
static void remove_old(const char *path)
{
    char pattern[PATH_SIZE + 16];
    glob_t found;
    (void)snprintf(pattern, sizeof pattern, "%s-wal-*", path);
    if (unlink(path) != 0 && errno != ENOENT) screen_die_errno("%s", path);
    if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (unlink(found.gl_pathv[i]) != 0) screen_die_errno("%s", found.gl_pathv[i]);
    }
    globfree(&found);
}

static void show_load(const char *path, const struct reader_packages *packages)
{
    const uint64_t before = resident_bytes();
    screen_heading("1. Load: vectors and JSON into one file");
    screen_say("Into %s, in batches of %s,", path, screen_count(BATCH_ROWS).text);
    screen_say("each of them on disk before the next begins.");
    const double start = screen_now();
    omendb *db = load_open(path, OMENDB_OPEN_MUST_NOT_EXIST);
    omendb_collection *collection = load_create(db, "packages");
    for (size_t begin = 0; begin < packages->count; begin += BATCH_ROWS) {
        const size_t left = packages->count - begin;
        load_batch(collection, packages, begin, left < BATCH_ROWS ? left : BATCH_ROWS);
        screen_bar(packages->count < begin + BATCH_ROWS ? packages->count : begin + BATCH_ROWS,
                   packages->count);
    }
    const double seconds = screen_now() - start;
    screen_bar_clear();
    load_wait(collection);
    const double indexed = screen_now() - start - seconds;
    const uint64_t after = resident_bytes();
    const uint64_t engine = engine_bytes(db);
    omendb_collection_close(collection);
    load_close(db);

    const uint64_t vectors_size = packages->count * READER_DIM * sizeof packages->vectors[0];
    const uint64_t text_size = packages->json_offsets[packages->count] +
                               packages->id_offsets[packages->count];
    screen_fact("Loaded", "%s documents in %s: %s a second", screen_count(packages->count).text,
                screen_seconds(seconds).text,
                screen_count((uint64_t)((double)packages->count / seconds)).text);
    screen_fact("Indexed", "in the background, done %s later: a graph that leads from",
                screen_seconds(indexed).text);
    screen_fact("", "vector to nearer vector; until then scans find everything");
    screen_fact("On disk", "%s: %s of vectors, %s of ids and JSON;",
                screen_bytes(file_bytes(path)).text, screen_bytes(vectors_size).text,
                screen_bytes(text_size).text);
    screen_fact("", "the rest makes finding fast: short codes, a graph, a map of ids");
    screen_fact("In memory", "%s by the engine's count; the process grew by %s",
                screen_bytes(engine).text, screen_bytes(after > before ? after - before : 0).text);
}

static void show_questions(const char *path, const struct reader_packages *packages,
                           const struct reader_queries *queries)
{
    const struct ask_question questions[] = {
        {"play chess against the computer", ALL},
        {"recover deleted files from a disk", ALL},
        {"planetarium showing the night sky", ALL},
        {"games for small children", GAMES},
        {"manage passwords from the command line", SMALL},
    };
    const struct ask_filter filters[] = {ALL, GAMES, SMALL};
    const size_t filters_count = sizeof filters / sizeof filters[0];
    screen_heading("2. Ask, in plain words");
    screen_say("Found by meaning: question and summary need not share a word.");
    screen_say("The time is the median of repeated runs on one core.");
    omendb *db = load_open(path, OMENDB_OPEN_MUST_EXIST);
    omendb_collection *collection = load_collection(db, "packages");
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        ask_show(collection, queries, &questions[i], SHOWN);
    }
    (void)putchar('\n');
    const size_t compared = ask_verify(collection, packages, queries, filters, filters_count,
                                       COMPARED);
    screen_fact("Exact", "asked for exactly, %s hits of %zu questions, with and",
                screen_count(compared).text, queries->count);
    screen_fact("", "without filters, are those of a plain loop over every vector");
    omendb_collection_close(collection);
    load_close(db);
}

static void show_index(const char *path, const struct reader_packages *packages,
                       const struct reader_queries *queries)
{
    screen_heading("3. The index: nearly the same answers, sooner");
    screen_say("By default a search wants 95 %% of the true neighbours, and takes the graph");
    screen_say("where that keeps the promise and reads less. On one thread, against exact");
    screen_say("search:");
    omendb *db = load_open(path, OMENDB_OPEN_MUST_EXIST);
    omendb_collection *collection = load_collection(db, "packages");
    load_wait(collection);
    recall_show(db, collection, packages, queries);
    omendb_collection_close(collection);
    load_close(db);
}

static void show_reopening(const char *path, const struct reader_queries *queries)
{
    screen_heading("4. Close and open");
    const double start = screen_now();
    omendb *db = load_open(path, OMENDB_OPEN_MUST_EXIST);
    omendb_collection *collection = load_collection(db, "packages");
    const double opened = screen_now();
    ask_first(collection, queries);
    const double answered = screen_now();
    const uint64_t engine = engine_bytes(db);
    omendb_collection_close(collection);
    load_close(db);
    screen_fact("Opened", "in %s; first answer after %s", screen_seconds(opened - start).text,
                screen_seconds(answered - start).text);
    screen_fact("In memory", "%s by the engine's count: the vectors stay in the file",
                screen_bytes(engine).text);
}

static void show_crash(const char *path, const char *data_folder,
                       const struct reader_packages *packages)
{
    screen_heading("5. Kill it while it writes");
    screen_say("A second process loads all packages again, %d at a time, and says",
               (int)CRASH_BATCH_ROWS);
    screen_say("when each batch is acknowledged. It is killed on the way (SIGKILL).");
    crash_show(path, "interrupted", data_folder, packages);
}

static void show_next(const char *path, const char *data_folder)
{
    screen_heading("What to try next");
    screen_say("On this very file, with the shell:");
    screen_say("  export PATH=\"$PWD/build/release/cli:$PATH\"");
    screen_say("  omendb search %s packages --like gnome-chess -k 5", path);
    screen_say("  omendb search %s packages -k 5 \\", path);
    screen_say("      --vector-file %s/queries.f32.npy:20   # tune a guitar", data_folder);
    screen_say("  omendb find %s packages \\", path);
    screen_say("      --where '{\"section\": \"games\"}' --fields summary");
    screen_say("  omendb stats %s", path);
    screen_say("From Python, after pip install ./bindings/python:");
    screen_say("  import omendb");
    screen_say("  with omendb.open(\"%s\") as db:", path);
    screen_say("      docs = db.collection(\"packages\")");
    screen_say("      q = docs.vectors(\"embedding\", [\"gnome-chess\"])");
    screen_say("      for hit in docs.search(q, k=5)[0]: print(hit.id, hit.score)");
    screen_say("Read on: README.md, docs/API.md, docs/PYTHON.md; all tests: make test");
}

static void tell(const char *data_folder, const char *folder)
{
    struct reader_packages packages;
    struct reader_queries queries;
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/packages.omen", folder) >= (int)sizeof path) {
        screen_die("%s: the path is too long", folder);
    }
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) screen_die_errno("%s", folder);
    remove_old(path);
    reader_packages_init(&packages, data_folder);
    reader_queries_init(&queries, data_folder);
    (void)printf("%sOmenDB %s%s: %s Debian packages, searched by meaning.\n",
                 screen_style(SCREEN_BOLD), OMENDB_VERSION_STRING, screen_style(SCREEN_PLAIN),
                 screen_count(packages.count).text);
    (void)puts("Their summaries and the questions were turned into vectors beforehand,");
    (void)puts("by a small language model (all-MiniLM-L6-v2).");
    show_load(path, &packages);
    show_questions(path, &packages, &queries);
    show_index(path, &packages, &queries);
    show_reopening(path, &queries);
    show_crash(path, data_folder, &packages);
    show_next(path, data_folder);
    reader_queries_deinit(&queries);
    reader_packages_deinit(&packages);
}

int main(int count, char **words)
{
    if (count == 6 && strcmp(words[1], "--load-until-killed") == 0) {
        crash_load(words[3], words[4], words[2], (int)strtol(words[5], NULL, 10));
    }
    if (count != 3 || words[1][0] == '-') {
        (void)fprintf(stderr, "usage: demo DATA FOLDER\n");
        return 2;
    }
    tell(words[1], words[2]);
    if (fflush(stdout) != 0 || ferror(stdout)) screen_die_errno("writing to the screen");
    return 0;
}
