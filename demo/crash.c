#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"
#include "screen.h"

enum { ATTEMPTS = 5 };

/* ---- The child ----------------------------------------------------------------- */

_Noreturn void crash_load(const char *file, const char *collection_name, const char *data_folder,
                          int pipe_fd)
{
    struct reader_packages packages;
    const char acknowledged = 1;
    reader_packages_init(&packages, data_folder);
    omendb *db = load_open(file, OMENDB_OPEN_MUST_EXIST);
    omendb_collection *collection = load_create(db, collection_name);
    for (size_t begin = 0; begin < packages.count; begin += CRASH_BATCH_ROWS) {
        const size_t left = packages.count - begin;
        load_batch(collection, &packages, begin, left < CRASH_BATCH_ROWS ? left : CRASH_BATCH_ROWS);
        if (write(pipe_fd, &acknowledged, 1) != 1) screen_die_errno("acknowledging a batch");
    }
    omendb_collection_close(collection);
    load_close(db);
    exit(0);
}

static pid_t start_child(const char *file, const char *collection, const char *data_folder,
                         int *read_fd)
{
    int ends[2];
    char fd_text[16];
    if (pipe2(ends, O_CLOEXEC) != 0) screen_die_errno("pipe");
    const pid_t pid = fork();
    if (pid < 0) screen_die_errno("fork");
    if (pid == 0) {
        /* The copy lacks O_CLOEXEC, so that the child's new program has it. */
        const int kept = dup(ends[1]);
        (void)snprintf(fd_text, sizeof fd_text, "%d", kept);
        (void)execl("/proc/self/exe", "demo", "--load-until-killed", data_folder, file, collection,
                    fd_text, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    *read_fd = ends[0];
    return pid;
}

/* ---- The parent ---------------------------------------------------------------- */

static size_t read_acknowledgements(int fd, char *bytes, size_t size)
{
    for (;;) {
        const ssize_t got = read(fd, bytes, size);
        if (got >= 0) return (size_t)got;
        if (errno != EINTR) screen_die_errno("reading acknowledgements");
    }
}

/* Starts a child, kills it after a random number of batches, at a random moment of the next.
 * Returns the batches that it acknowledged; *killed is false if it was done before. */
static size_t load_and_kill(const char *file, const char *collection, const char *data_folder,
                            size_t batches_count, bool *killed)
{
    char bytes[64];
    int fd, status;
    const pid_t pid = start_child(file, collection, data_folder, &fd);
    const size_t wanted = batches_count / 3 + (size_t)rand() % (batches_count / 3 + 1);
    size_t acknowledged = 0, got;
    while (acknowledged < wanted && (got = read_acknowledgements(fd, bytes, 1)) != 0) {
        acknowledged += got;
        screen_bar(acknowledged * CRASH_BATCH_ROWS, batches_count * CRASH_BATCH_ROWS);
    }
    const struct timespec pause = {.tv_nsec = rand() % 3000000};
    (void)nanosleep(&pause, NULL);
    if (kill(pid, SIGKILL) != 0) screen_die_errno("kill");
    while ((got = read_acknowledgements(fd, bytes, sizeof bytes)) != 0) acknowledged += got;
    (void)close(fd);
    screen_bar_clear();
    if (waitpid(pid, &status, 0) != pid) screen_die_errno("waiting for the second process");
    *killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!*killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        screen_die("the second process failed to load the packages");
    }
    return acknowledged;
}

/* Rows [begin, begin + count) must be there, text and vector as they went in. */
static void compare_rows(omendb_collection *collection, const struct reader_packages *packages,
                         size_t begin, size_t count)
{
    omendb_id ids[CRASH_BATCH_ROWS] = {{0}};
    omendb_documents *documents = NULL;
    omendb_error err = {0};
    for (size_t i = 0; i < count; i++) {
        const uint64_t *offsets = packages->id_offsets + begin + i;
        ids[i] = (omendb_id){packages->ids_text + offsets[0], offsets[1] - offsets[0], 0};
    }
    load_must(omendb_collection_get(collection, ids, count,
                                    OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS, &documents, &err),
              &err, "reading after the kill");
    for (size_t i = 0; i < count; i++) {
        const size_t row = begin + i;
        const uint64_t *offsets = packages->json_offsets + row;
        const size_t size = offsets[1] - offsets[0];
        omendb_document document;
        omendb_documents_entry(documents, i, &document);
        const void *vector = omendb_documents_vector(documents, i, NULL, NULL, NULL);
        const char *problem = NULL;
        if (!document.found) {
            problem = "is lost";
        } else if (document.json_size != size ||
                   memcmp(document.json_view, packages->json + offsets[0], size) != 0) {
            problem = "came back with another text";
        } else if (vector == NULL || memcmp(vector, packages->vectors + row * READER_DIM,
                                            READER_DIM * sizeof packages->vectors[0]) != 0) {
            problem = "came back with another vector";
        }
        if (problem != NULL) {
            screen_die("row %zu, %.*s, %s", row, (int)ids[i].size, ids[i].text_view, problem);
        }
    }
    omendb_documents_destroy(documents);
}

static uint64_t count_of(omendb *db, const char *name)
{
    uint64_t count = 0;
    omendb_error err = {0};
    omendb_collection *collection = load_collection(db, name);
    load_must(omendb_collection_count(collection, NULL, 0, &count, &err), &err, name);
    omendb_collection_close(collection);
    return count;
}

/* Every block, document and vector of the file. */
static void check_deep(omendb *db)
{
    char *report = NULL;
    omendb_error err = {0};
    load_must(omendb_check(db, OMENDB_CHECK_DEEP, &report, &err), &err, "check");
    const size_t size = strlen(report);
    const char *ok = "";
    size_t ok_size = 0;
    (void)reader_member(report, size, "\"ok\":", &ok, &ok_size);
    if (ok_size != 4 || memcmp(ok, "true", 4) != 0) screen_die("check found: %s", report);
    screen_fact("Checked", "%s blocks, %s documents, every checksum: no problem",
                screen_count(reader_number(report, size, "\"blocks\":")).text,
                screen_count(reader_number(report, size, "\"documents\":")).text);
    omendb_text_destroy(report);
}

/* The second collection is taken away again, for another attempt. */
static void drop(const char *file, const char *collection)
{
    omendb_error err = {0};
    omendb *db = load_open(file, OMENDB_OPEN_MUST_EXIST);
    load_must(omendb_collection_drop(db, collection, &err), &err, collection);
    load_close(db);
}

void crash_show(const char *file, const char *name, const char *data_folder,
                const struct reader_packages *packages)
{
    const size_t batches_count = packages->count / CRASH_BATCH_ROWS;
    size_t batches = 0;
    bool killed = false;
    srand((unsigned)getpid() ^ (unsigned)time(NULL));
    for (int attempt = 0; attempt < ATTEMPTS && !killed; attempt++) {
        if (attempt != 0) drop(file, name);
        batches = load_and_kill(file, name, data_folder, batches_count, &killed);
    }
    if (!killed) screen_die("the second process was always done before the kill; try again");

    const size_t acknowledged = batches * CRASH_BATCH_ROWS;
    const double start = screen_now();
    omendb *db = load_open(file, OMENDB_OPEN_MUST_EXIST);
    const double opened = screen_now() - start;
    const uint64_t found = count_of(db, name), whole = count_of(db, "packages");
    if (found < acknowledged || whole != packages->count) {
        screen_die("%s documents of the %s acknowledged are left, and %s of the first load",
                   screen_count(found).text, screen_count(acknowledged).text,
                   screen_count(whole).text);
    }
    if (found % CRASH_BATCH_ROWS != 0 || found > acknowledged + CRASH_BATCH_ROWS) {
        screen_die("%s documents: no whole number of batches", screen_count(found).text);
    }
    screen_fact("Killed", "when %zu batches were acknowledged: %s documents", batches,
                screen_count(acknowledged).text);
    screen_fact("Reopened", "at once, in %s: the log brought it up to date",
                screen_seconds(opened).text);
    omendb_collection *collection = load_collection(db, name);
    for (size_t begin = 0; begin < found; begin += CRASH_BATCH_ROWS) {
        compare_rows(collection, packages, begin, CRASH_BATCH_ROWS);
    }
    omendb_collection_close(collection);
    screen_fact("All there", "%s of %s, texts and vectors byte for byte",
                screen_count(acknowledged).text, screen_count(acknowledged).text);
    if (found > acknowledged) {
        screen_fact("", "and the batch after them: whole, not yet acknowledged");
    }
    check_deep(db);
    load_close(db);
}
