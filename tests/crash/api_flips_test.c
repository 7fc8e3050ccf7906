/* Through omendb.h: one bit of a small database is wrong, anywhere in its files. Every open, check
 * and answer is right, or reports the damage. In `make test` a sample. In test-long every bit of the
 * roots, the logs and the beginnings of blocks as far as they aren't zero, one bit of every other
 * byte that isn't, and a sample of those that are: unused ends of blocks, which nothing but the
 * block's checksum looks at. With OMENDB_FLIPS=part/parts every parts-th bit there is, from `part`
 * on: OMENDB_FLIPS=0/1 is all of them, half an hour for each MiB. */
#include "api/handles.h"
#include "crash/api_scene.h"
#include "crash/faults.h"
#include "store/store_inner.h"
#include "test.h"

enum { FLIP_FILES = 8 };

static const char flips_path[] = "/disk/scene.omen";

struct flipped_file {
    char path[64];
    uint64_t size;
    uint8_t *bytes;
};

struct api_flips {
    struct api_scene scene;
    struct sim *sim;
    struct flipped_file files[FLIP_FILES];
    uint32_t file_count;
    uint64_t bits, flipped, right, reported, noticed;
};

static void flips_kill(struct api_scene *scene)
{
    struct api_flips *flips = scene->context;
    sim_crash_at(flips->sim, 1);
    if (scene->db != NULL) (void)api_scene_close(scene, NULL);
    sim_reboot(flips->sim, SIM_PROCESS_KILL, 1);
}

static void file_listed(void *context, const char *suffix)
{
    struct api_flips *flips = context;
    CHECK(flips->file_count < FLIP_FILES);
    struct flipped_file *file = &flips->files[flips->file_count++];
    (void)snprintf(file->path, sizeof file->path, "%s%s", flips_path, suffix);
}

/* Plays `lines` of the script, and one more. A database that is still open then is killed, and its last frame is
 * covered by a mark, as the upkeep thread writes it: damage of the very end of a log can't be told
 * from a commit that was cut off. */
static void flips_begin(struct api_flips *flips, uint32_t lines, const struct api_line *last)
{
    struct api_scene *scene = &flips->scene;
    struct vfs *vfs = NULL;
    memset(flips, 0, sizeof *flips);
    flips->sim = sim_create(1);
    vfs = sim_vfs(flips->sim);
    api_scene_init(scene, vfs, flips_path);
    scene->kill = flips_kill;
    scene->context = flips;
    api_scene_play_all(scene, lines);
    if (last != NULL) {
        api_scene_prepare(scene, last);
        CHECK(api_scene_play(scene, last, NULL) == OMENDB_OK);
    }
    if (scene->db != NULL) {
        struct store *store = scene->db->store;
        txn_lead_begin(store);
        CHECK(wal_mark(&store->wal, NULL) == OMENDB_OK);
        txn_lead_end(store);
        flips_kill(scene);
    }
    CHECK(vfs_list(vfs, flips_path, file_listed, flips, NULL) == OMENDB_OK);
    for (uint32_t i = 0; i < flips->file_count; i++) {
        struct flipped_file *at = &flips->files[i];
        struct file *file = NULL;
        size_t got = 0;
        CHECK(file_open(vfs, at->path, FILE_READ_ONLY, &file, NULL) == OMENDB_OK);
        CHECK(file_size(file, &at->size, NULL) == OMENDB_OK);
        at->bytes = malloc((size_t)at->size);
        CHECK(at->bytes != NULL);
        CHECK(file_read(file, 0, at->bytes, (size_t)at->size, &got, NULL) == OMENDB_OK);
        CHECK(got == at->size);
        file_close(file);
        flips->bits += at->size * 8;
    }
}

static void flips_end(struct api_flips *flips, const char *what)
{
    printf("%s: %llu of %llu bits: %llu right, %llu reported, %llu more by the check\n", what,
           (unsigned long long)flips->flipped, (unsigned long long)flips->bits,
           (unsigned long long)flips->right, (unsigned long long)flips->reported,
           (unsigned long long)flips->noticed);
    for (uint32_t i = 0; i < flips->file_count; i++) free(flips->files[i].bytes);
    CHECK(sim_open_files(flips->sim) == 0);
    sim_destroy(flips->sim);
}

static bool is_damage(omendb_status status)
{
    return status == OMENDB_ERR_CORRUPT || status == OMENDB_ERR_UNSUPPORTED;
}

/* Everything that can be read while the bit is wrong. */
static void flip_one(struct api_flips *flips, const struct flipped_file *file, uint64_t offset,
                     uint8_t bit)
{
    struct api_scene *scene = &flips->scene;
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb_error error = {0};
    bool good = true;
    options.flags = OMENDB_OPEN_READ_ONLY;
    flips->flipped++;
    CHECK(sim_flip(flips->sim, file->path, offset, (uint8_t)(1u << bit)));
    omendb_status status = db_open(&scene->base, flips_path, &options, &scene->db, &error);
    for (uint32_t c = 0; status == OMENDB_OK && c < API_COLLECTIONS; c++) {
        if (!scene->model.collections[c].exists) continue;
        status = omendb_collection_open(scene->db,
                                        scene->model.collections[c].renamed ? "notices"
                                        : c                                 ? "notes"
                                                                            : "docs",
                                        &scene->handles[c], &error);
    }
    if (status == OMENDB_OK) status = api_scene_compare(scene, &error);
    if (is_damage(status) && (error.status != status || strlen(error.message) < 10))
        (void)api_scene_failed(scene, "damage without a message: %s", error.message);
    flips->reported += is_damage(status);
    flips->right += status == OMENDB_OK;
    if (status != OMENDB_OK && !is_damage(status))
        (void)api_scene_failed(scene, "status %d: %s", (int)status, error.message);
    if (scene->db != NULL && scene->failure[0] == '\0') {
        const omendb_status checked = api_scene_check(scene, &good, &error);
        flips->noticed += status == OMENDB_OK && (checked != OMENDB_OK || !good);
        if (checked != OMENDB_OK && !is_damage(checked))
            (void)api_scene_failed(scene, "check: %d: %s", (int)checked, error.message);
        /* What a reader stumbles over, the deep check finds. */
        if (is_damage(status) && checked == OMENDB_OK && good)
            (void)api_scene_failed(scene, "the deep check is content, reading said %s",
                                   error.message);
    }
    if (scene->db != NULL) (void)api_scene_close(scene, NULL);
    if (scene->failure[0] != '\0')
        fprintf(stderr, "%s, byte %llu, bit %u: %s\n", file->path, (unsigned long long)offset,
                (unsigned)bit, scene->failure);
    CHECK(scene->failure[0] == '\0');
    CHECK(sim_flip(flips->sim, file->path, offset, (uint8_t)(1u << bit)));
}

/* OMENDB_FLIPS=part/parts; *parts is 0 without. */
static void flips_part(uint64_t *part, uint64_t *parts)
{
    const char *value = getenv("OMENDB_FLIPS");
    unsigned long long first = 0, second = 0;
    if (value != NULL) CHECK(sscanf(value, "%llu/%llu", &first, &second) == 2 && first < second);
    *part = first;
    *parts = second;
}

static void flip_every(struct api_flips *flips, uint64_t part, uint64_t parts)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < flips->file_count; i++)
        for (uint64_t bit = 0; bit < flips->files[i].size * 8; bit++)
            if (number++ % parts == part)
                flip_one(flips, &flips->files[i], bit / 8, (uint8_t)(bit % 8));
}

/* Bytes that say something are tried more often than zeros; roots, logs and the beginnings of blocks
 * more often than what fills them. */
static void flip_files(struct api_flips *flips)
{
    uint64_t part = 0, parts = 0;
    flips_part(&part, &parts);
    if (parts != 0) {
        flip_every(flips, part, parts);
        return;
    }
    for (uint32_t i = 0; i < flips->file_count; i++) {
        const struct flipped_file *file = &flips->files[i];
        uint64_t skipped[3] = {0};
        for (uint64_t at = 0; at < file->size; at++) {
            static const uint64_t usual[] = {26003, 3203, 211}, wanted[] = {61, 1, 1};
            const bool head = at % BLOCK_SIZE < 4096 || i != 0;
            const int class = file->bytes[at] == 0 ? 0 : head ? 2 : 1;
            for (uint8_t bit = 0; bit < 8; bit++) {
                if (class != 2 && bit != at % 8) continue;
                if (++skipped[class] < (test_long() ? wanted[class] : test_step(usual[class])))
                    continue;
                skipped[class] = 0;
                flip_one(flips, file, at, bit);
            }
        }
    }
}

static uint32_t lines_before(enum api_kind kind, uint32_t nth)
{
    for (uint32_t i = 0; i < api_script_size; i++)
        if (api_script[i].kind == kind && nth-- == 0) return i;
    abort();
}

static void a_small_database_is_right_or_says_so(void)
{
    static struct api_flips flips;
    static const struct api_line close = {.kind = API_CLOSE};
    flips_begin(&flips, lines_before(API_READ, 0), &close);
    CHECK(flips.file_count == 1);
    flip_files(&flips);
    flips_end(&flips, "small");
}

static void a_closed_database_is_right_or_says_so(void)
{
    static struct api_flips flips;
    flips_begin(&flips, lines_before(API_CLOSE, 0) + 1, NULL);
    CHECK(flips.file_count == 1);
    flip_files(&flips);
    flips_end(&flips, "closed, with a graph");
}

static void a_killed_database_is_right_or_says_so(void)
{
    static struct api_flips flips;
    flips_begin(&flips, lines_before(API_KILL, 0), NULL);
    CHECK(flips.file_count > 1);
    flip_files(&flips);
    flips_end(&flips, "killed");
    flips_begin(&flips, lines_before(API_KILL, 1), NULL);
    CHECK(flips.file_count > 1);
    flip_files(&flips);
    flips_end(&flips, "killed, after a drop");
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_small_database_is_right_or_says_so", a_small_database_is_right_or_says_so},
        {"a_closed_database_is_right_or_says_so", a_closed_database_is_right_or_says_so},
        {"a_killed_database_is_right_or_says_so", a_killed_database_is_right_or_says_so},
        {0},
    };
    return test_main(tests, argc, argv);
}
