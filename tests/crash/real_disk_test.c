/* The real process on the real kernel: SIGKILL at any moment, a file system without room, and the
 * power cut of a file system that is told to forget what it hasn't written (ext4 on a loop device).
 * What needs a mount is skipped, with a message, where none is allowed.
 *
 *     parent ── fork ──▶ child: batch n = 8 documents, the counter n, now and then a deletion
 *       ▲                  │ "n is acknowledged"
 *       └──── pipe ────────┘      after the end: counter = n or n + 1, and everything follows from it
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/db.h"
#include "crash/faults.h"
#include "index/vector/graph_index.h"
#include "query/indexes.h"
#include "test.h"

enum { EACH = 8, LATER = 60, DIM = 8, SKIPPED = 77, RECORDS_MAX = 4000 };

/* FS_IOC_SHUTDOWN of ext4 and xfs: what isn't on the disk yet, the journal too, is lost. */
#define SHUTDOWN _IOR('X', 125, uint32_t)
static const uint32_t shutdown_without_log = 2;

static char folder[200];

struct real_user {
    struct graph_options graph;
    omendb *db;
    omendb_collection *docs, *counter;
    omendb_error error;
};

static void real_must(struct real_user *user, omendb_status status, const char *what)
{
    if (status != OMENDB_OK) fprintf(stderr, "%s: %d %s\n", what, (int)status, user->error.message);
    CHECK(status == OMENDB_OK);
}

static omendb_status real_open(struct real_user *user, const char *path)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT, plain = OMENDB_SCHEMA_INIT;
    omendb_options options = OMENDB_OPTIONS_INIT;
    struct store_options base = {.vfs = vfs_real(), .hooks = *indexes_hooks_all()};
    memset(user, 0, sizeof *user);
    user->graph.begin = 100;
    base.hooks.context = &user->graph;
    options.wal_size_max = 256 << 10;
    field.name = "v";
    field.dim = DIM;
    schema.vectors = &field;
    schema.vectors_count = 1;
    TRY(db_open(&base, path, &options, &user->db, &user->error));
    omendb_status status = omendb_collection_open(user->db, "docs", &user->docs, &user->error);
    if (status == OMENDB_ERR_NOT_FOUND)
        status = omendb_collection_create(user->db, "docs", &schema, &user->docs, &user->error);
    if (status == OMENDB_OK)
        status = omendb_collection_open(user->db, "counter", &user->counter, &user->error);
    if (status == OMENDB_ERR_NOT_FOUND)
        status = omendb_collection_create(user->db, "counter", &plain, &user->counter,
                                          &user->error);
    return status;
}

static omendb_status real_close(struct real_user *user)
{
    omendb_collection_close(user->docs);
    omendb_collection_close(user->counter);
    return omendb_close(user->db, &user->error);
}

static void record_vector(uint64_t id, float out[DIM])
{
    for (uint64_t i = 0; i < DIM; i++) out[i] = (float)((id * 37 + i * i * 11 + id * i) % 61);
}

static size_t record_text(uint64_t id, char out[320])
{
    size_t at = (size_t)sprintf(out, "{\"id\":%llu,\"pad\":\"", (unsigned long long)id);
    for (uint64_t i = 0; i < 40 + id % 200; i++) out[at++] = (char)('a' + (id + i * 5) % 26);
    return at + (size_t)sprintf(out + at, "\"}");
}

/* Documents of batch `made` after batch `last`: every second batch deletes one that lies back. */
static bool record_there(uint64_t made, uint64_t last)
{
    return made <= last && !((made + LATER) % 2 == 0 && made + LATER <= last);
}

static omendb_status batch_write(struct real_user *user, uint64_t number,
                                 omendb_durability durability)
{
    float vectors[EACH][DIM];
    uint64_t ids[EACH], offsets[EACH + 1] = {0}, counter_id = 0, counter_offsets[2] = {0};
    char json[EACH * 320], counter[40];
    omendb_vectors column = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT, count = OMENDB_ROWS_INIT;
    omendb_id gone[EACH] = {0};
    omendb_batch *batch = NULL;
    for (uint32_t row = 0; row < EACH; row++) {
        ids[row] = number * EACH + row;
        record_vector(ids[row], vectors[row]);
        offsets[row + 1] = offsets[row] + record_text(ids[row], json + offsets[row]);
        if (number >= LATER) gone[row].number = (number - LATER) * EACH + row;
    }
    column.data = vectors;
    column.dim = DIM;
    rows.count = EACH;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = offsets;
    counter_offsets[1] = (uint64_t)snprintf(counter, sizeof counter, "{\"n\":%llu}",
                                            (unsigned long long)number);
    count.count = 1;
    count.id_numbers = &counter_id;
    count.json = counter;
    count.json_offsets = counter_offsets;
    omendb_status status = omendb_batch_create(user->db, &batch, &user->error);
    if (status == OMENDB_OK) status = omendb_batch_upsert(batch, user->docs, &rows, &user->error);
    if (status == OMENDB_OK && number >= LATER && number % 2 == 0)
        status = omendb_batch_delete(batch, user->docs, gone, EACH, &user->error);
    if (status == OMENDB_OK)
        status = omendb_batch_upsert(batch, user->counter, &count, &user->error);
    if (status == OMENDB_OK) status = omendb_batch_commit(batch, durability, NULL, &user->error);
    omendb_batch_destroy(batch);
    return status;
}

/* The last batch there is; 0: none. */
static uint64_t counter_read(struct real_user *user)
{
    omendb_documents *documents = NULL;
    omendb_document document;
    unsigned long long number = 0;
    real_must(user,
              omendb_collection_get(user->counter, &(omendb_id){.number = 0}, 1,
                                    OMENDB_WITH_DOCUMENTS, &documents, &user->error),
              "get");
    omendb_documents_entry(documents, 0, &document);
    if (document.found != 0) CHECK(sscanf(document.json_view, "{\"n\":%llu}", &number) == 1);
    omendb_documents_destroy(documents);
    return number;
}

/* Everything follows from the counter. */
static void records_verify(struct real_user *user, uint64_t last)
{
    uint64_t wanted = 0, count = 0;
    char *text = NULL;
    for (uint64_t made = 1; made <= last; made++) {
        omendb_id ids[EACH] = {0};
        omendb_documents *documents = NULL;
        for (uint32_t row = 0; row < EACH; row++) ids[row].number = made * EACH + row;
        real_must(user,
                  omendb_collection_get(user->docs, ids, EACH,
                                        OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS, &documents,
                                        &user->error),
                  "get");
        for (uint32_t row = 0; row < EACH; row++) {
            omendb_document document;
            char json[320];
            float vector[DIM];
            const bool there = record_there(made, last);
            omendb_documents_entry(documents, row, &document);
            wanted += there;
            if ((document.found != 0) != there)
                fprintf(stderr, "batch %llu of %llu\n", (unsigned long long)made,
                        (unsigned long long)last);
            CHECK((document.found != 0) == there);
            if (!there) continue;
            record_vector(ids[row].number, vector);
            CHECK(document.json_size == record_text(ids[row].number, json));
            CHECK(memcmp(document.json_view, json, document.json_size) == 0);
            CHECK(memcmp(omendb_documents_vector(documents, row, NULL, NULL, NULL), vector,
                         sizeof vector) == 0);
        }
        omendb_documents_destroy(documents);
    }
    real_must(user, omendb_collection_count(user->docs, NULL, 0, &count, &user->error), "count");
    CHECK(count == wanted);
    real_must(user, omendb_check(user->db, OMENDB_CHECK_DEEP, &text, &user->error), "check");
    if (strncmp(text, "{\"ok\":true", 10) != 0) fprintf(stderr, "%s\n", text);
    CHECK(strncmp(text, "{\"ok\":true", 10) == 0);
    omendb_text_destroy(text);
}

/* ---- The child ---- */

static void child_writes(const char *path, int pipe_end)
{
    static struct real_user user;
    if (real_open(&user, path) != OMENDB_OK) _exit(1);
    for (uint64_t number = counter_read(&user) + 1;; number++) {
        const omendb_durability durability = number % 5 == 0 ? OMENDB_DURABILITY_INTERVAL
                                                             : OMENDB_DURABILITY_FULL;
        if (batch_write(&user, number, durability) != OMENDB_OK) _exit(2);
        /* Only what survives a loss of power counts as acknowledged here. */
        if (durability == OMENDB_DURABILITY_FULL &&
            write(pipe_end, &number, sizeof number) != (ssize_t)sizeof number)
            _exit(3);
    }
}

/* Starts a child and reads `count` acknowledgements. *last: the newest, none: as before. */
static pid_t child_begin(const char *path, uint32_t count, int *pipe_end, uint64_t *last)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    (void)fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        child_writes(path, ends[1]);
    }
    (void)close(ends[1]);
    *pipe_end = ends[0];
    uint64_t number = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (read(ends[0], &number, sizeof number) != (ssize_t)sizeof number) break;
        *last = number;
    }
    return child;
}

static void child_end(pid_t child, int pipe_end, uint64_t *last)
{
    uint64_t number = 0;
    int status = 0;
    (void)kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child);
    while (read(pipe_end, &number, sizeof number) == (ssize_t)sizeof number) *last = number;
    (void)close(pipe_end);
}

/* At most the batches after the last acknowledged one may be there as well: one that wasn't answered
 * yet, and one before it that was committed at a lower level. */
static void survivors_verify(const char *path, uint64_t acknowledged)
{
    static struct real_user user;
    real_must(&user, real_open(&user, path), "open");
    const uint64_t last = counter_read(&user);
    if (last < acknowledged || last > acknowledged + 2)
        fprintf(stderr, "batch %llu, acknowledged %llu\n", (unsigned long long)last,
                (unsigned long long)acknowledged);
    CHECK(last >= acknowledged && last <= acknowledged + 2);
    records_verify(&user, last);
    real_must(&user, real_close(&user), "close");
}

static uint32_t drawn(uint64_t *state, uint32_t limit)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % limit;
}

static void files_remove(const char *path)
{
    CHECK(setenv("FILE_PATH", path, 1) == 0);
    CHECK(system("rm -f \"$FILE_PATH\" \"$FILE_PATH\"-wal-*") == 0);
}

static void a_killed_process_loses_nothing(void)
{
    char path[300];
    uint64_t acknowledged = 0, random = 1;
    const uint32_t rounds = test_long() ? 300 : 12;
    (void)snprintf(path, sizeof path, "%s/omendb-killed-%d.omen", folder, (int)getpid());
    files_remove(path);
    for (uint32_t round = 0; round < rounds; round++) {
        int pipe_end = -1;
        const pid_t child = child_begin(path, drawn(&random, 60), &pipe_end, &acknowledged);
        for (volatile uint32_t spin = drawn(&random, 300000); spin > 0; spin--) continue;
        child_end(child, pipe_end, &acknowledged);
        survivors_verify(path, acknowledged);
        if (acknowledged * EACH > RECORDS_MAX) {
            files_remove(path);
            acknowledged = 0;
        }
    }
    files_remove(path);
}

/* ---- Mounts ---- */

/* Runs `test` in a process with mounts of its own. false: no such mount is allowed here. */
static bool with_mount(const char *how, void (*test)(const char *at))
{
    char at[300];
    int status = 0;
    (void)fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)snprintf(at, sizeof at, "%s/omendb-mount-%d", folder, (int)getpid());
        (void)setenv("AT", at, 1);
        (void)setenv("HOW", how, 1);
        const bool mounted = unshare(CLONE_NEWNS) == 0 &&
                             system("mount --make-rprivate / 2>/dev/null") == 0 &&
                             system("mkdir -p \"$AT\" && { eval \"$HOW\"; } >/dev/null 2>&1") == 0;
        if (mounted) test(at);
        const int removed = system("umount \"$AT\" 2>/dev/null; rm -f \"$AT.img\"; rmdir \"$AT\"");
        _exit(!mounted ? SKIPPED : removed == 0 ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) return false;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return true;
}

static const char ext4_mount[] = "truncate -s 48M \"$AT.img\" && mkfs.ext4 -q -F \"$AT.img\" && "
                                 "mount -o loop \"$AT.img\" \"$AT\"";
static const char ext4_again[] = "umount \"$AT\" && mount -o loop \"$AT.img\" \"$AT\"";
static const char small_mount[] = "mount -t tmpfs -o size=14m tmpfs \"$AT\"";
static const char small_ext4_mount[] =
    "truncate -s 16M \"$AT.img\" && mkfs.ext4 -q -F -m 0 \"$AT.img\" && "
    "mount -o loop \"$AT.img\" \"$AT\"";

static void power_is_cut(const char *at)
{
    char path[400];
    uint64_t acknowledged = 0, random = 7;
    (void)snprintf(path, sizeof path, "%s/cut.omen", at);
    for (uint32_t round = 0; round < (test_long() ? 40 : 5); round++) {
        int pipe_end = -1;
        const pid_t child = child_begin(path, 5 + drawn(&random, 50), &pipe_end, &acknowledged);
        const int directory = open(at, O_RDONLY | O_DIRECTORY);
        CHECK(directory >= 0);
        CHECK(ioctl(directory, SHUTDOWN, &shutdown_without_log) == 0);
        (void)close(directory);
        child_end(child, pipe_end, &acknowledged);
        CHECK(system(ext4_again) == 0);
        survivors_verify(path, acknowledged);
    }
}

static void a_power_cut_loses_nothing_acknowledged(void)
{
    if (!with_mount(ext4_mount, power_is_cut))
        printf("skip a_power_cut_loses_nothing_acknowledged: no ext4 may be mounted here\n");
}

static uint64_t disk_filled(struct real_user *user, uint64_t from)
{
    uint64_t number = from;
    omendb_status status = OMENDB_OK;
    for (uint32_t refused = 0; refused < 3; refused += status != OMENDB_OK) {
        status = batch_write(user, number, OMENDB_DURABILITY_NONE);
        number += status == OMENDB_OK;
        if (status == OMENDB_OK) continue;
        if (status != OMENDB_ERR_FULL) fprintf(stderr, "%s\n", user->error.message);
        CHECK(status == OMENDB_ERR_FULL && strstr(user->error.message, "full.omen") != NULL);
    }
    return number - 1;
}

static void records_delete(struct real_user *user, uint64_t from, uint64_t to)
{
    omendb_id ids[100] = {0};
    for (uint64_t at = from; at < to; at += 100) {
        const uint64_t count = to - at < 100 ? to - at : 100;
        for (uint64_t i = 0; i < count; i++) ids[i].number = at + i;
        real_must(user,
                  omendb_collection_delete(user->docs, ids, (size_t)count, NULL, &user->error),
                  "delete");
    }
}

/* Fills the disk, is killed, opens, deletes, and fills what became free. */
static void disk_is_full(const char *at)
{
    static struct real_user user;
    char path[400];
    uint64_t count = 0;
    (void)snprintf(path, sizeof path, "%s/full.omen", at);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        real_must(&user, real_open(&user, path), "open");
        const uint64_t last = disk_filled(&user, 1);
        records_verify(&user, last);
        (void)kill(getpid(), SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
          WTERMSIG(status) == SIGKILL);
    real_must(&user, real_open(&user, path), "open when it is full");
    const uint64_t last = counter_read(&user);
    CHECK(last > 1000 / EACH);
    records_verify(&user, last);
    for (uint64_t i = 0; i < 20; i++)
        records_delete(&user, (last - i) * EACH, (last - i) * EACH + 1);
    records_delete(&user, 0, last * EACH);
    for (uint64_t number = last + 1; number < last + last / 8; number++)
        real_must(&user, batch_write(&user, number, OMENDB_DURABILITY_FULL), "write again");
    real_must(&user, omendb_collection_count(user.docs, NULL, 0, &count, &user.error), "count");
    CHECK(count >= EACH * (last / 16)); /* Half of the new ones are deleted by later ones. */
    real_must(&user, real_close(&user), "close");
    real_must(&user, real_open(&user, path), "open at last");
    real_must(&user, real_close(&user), "close at last");
}

static void a_full_disk_takes_deletes_and_recovers(void)
{
    if (!with_mount(small_mount, disk_is_full))
        printf("skip a_full_disk_takes_deletes_and_recovers: no tmpfs may be mounted here\n");
    if (!with_mount(small_ext4_mount, disk_is_full))
        printf("skip a_full_ext4_takes_deletes_and_recovers: no ext4 may be mounted here\n");
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_killed_process_loses_nothing", a_killed_process_loses_nothing},
        {"a_power_cut_loses_nothing_acknowledged", a_power_cut_loses_nothing_acknowledged},
        {"a_full_disk_takes_deletes_and_recovers", a_full_disk_takes_deletes_and_recovers},
        {0},
    };
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s", temporary != NULL ? temporary : "/tmp");
    return test_main(tests, argc, argv);
}
