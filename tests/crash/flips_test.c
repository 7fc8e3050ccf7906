/* One bit of a small database flips, anywhere: everything that comes out is right, or the damage
 * is reported. The deep check finds it when it lies in what the database uses. */
#include "crash/faults.h"
#include "crash/picture.h"
#include "test.h"

struct flips {
    struct scene scene;
    struct picture picture;
    uint64_t flipped, right, reported, checked;
};

static bool log_is_covered(const struct flips *flips)
{
    return flips->picture.files_count > 1;
}

/* Plays the script up to a line of that kind, so that what was written then is there. */
static void begin(struct flips *flips, uint32_t lines)
{
    scene_init(&flips->scene, sim_create(lines));
    scene_play_all(&flips->scene, lines);
    if (flips->scene.store != NULL) { /* Killed; its last frame is covered by a mark. */
        static const struct scene_line mark = {.kind = SCENE_MARK};
        CHECK(scene_play(&flips->scene, &mark, NULL) == OMENDB_OK);
        scene_kill(&flips->scene, SIM_PROCESS_KILL);
    }
    picture_take(&flips->picture, &flips->scene);
}

static void end(struct flips *flips, const char *what)
{
    printf("%s: %llu flips: %llu right, %llu reported, %llu found by the check\n", what,
           (unsigned long long)flips->flipped, (unsigned long long)flips->right,
           (unsigned long long)flips->reported, (unsigned long long)flips->checked);
    struct sim *sim = flips->scene.sim;
    picture_deinit(&flips->picture);
    scene_deinit(&flips->scene);
    sim_destroy(sim);
}

/* Reads the whole database while the bit is wrong. */
static omendb_status look(struct flips *flips, uint32_t flags, bool used)
{
    struct scene *scene = &flips->scene;
    const struct scene_line open = {.kind = flags != 0 ? SCENE_OPEN_READ_ONLY : SCENE_OPEN};
    omendb_error error = {0};
    bool good = true;
    omendb_status status = scene_play(scene, &open, &error);
    if (status == OMENDB_OK && scene->failure[0] == '\0') status = scene_compare(scene, &error);
    if (status == OMENDB_OK) flips->right++;
    if (used && scene->store != NULL) {
        const omendb_status checked = scene_check(scene, true, &good, NULL);
        CHECK(checked == OMENDB_OK || checked == OMENDB_ERR_CORRUPT);
        flips->checked++;
        if (checked == OMENDB_OK && good) (void)scene_failed(scene, "the deep check is content");
    }
    if (scene->store != NULL) {
        static const struct scene_line close = {.kind = SCENE_CLOSE};
        const omendb_status closed = scene_play(scene, &close, NULL);
        CHECK(closed == OMENDB_OK || closed == OMENDB_ERR_CORRUPT);
    }
    return status;
}

static void flip(struct flips *flips, const struct picture_file *file, uint64_t offset,
                 uint8_t bits, bool check)
{
    struct scene *scene = &flips->scene;
    flips->flipped++;
    CHECK(sim_flip(scene->sim, file->path, offset, bits));
    const omendb_status status = look(flips, OMENDB_OPEN_READ_ONLY, check);
    if (status == OMENDB_ERR_CORRUPT || status == OMENDB_ERR_UNSUPPORTED) flips->reported++;
    else if (status != OMENDB_OK) (void)scene_failed(scene, "status %d", (int)status);
    if (scene->failure[0] != '\0')
        fprintf(stderr, "%s byte %llu bits %x: %s\n", file->path, (unsigned long long)offset, bits,
                scene->failure);
    CHECK(scene->failure[0] == '\0');
    CHECK(sim_flip(scene->sim, file->path, offset, bits));
}

/* The writer, on a copy: it repairs a superblock, or refuses. */
static void flip_and_write(struct flips *flips, const struct picture_file *file, uint64_t offset,
                           uint8_t bits)
{
    struct flips copy = *flips;
    struct sim *sim = sim_clone(flips->scene.sim);
    sim_reboot(sim, SIM_ALL, 1);
    copy.scene.sim = sim;
    copy.scene.options.vfs = sim_vfs(sim);
    copy.scene.expected = copy.scene.scratch = copy.scene.text = (struct buffer){0};
    copy.scene.batch = (struct batch){0};
    CHECK(sim_flip(sim, file->path, offset, bits));
    const omendb_status status = look(&copy, 0, false);
    CHECK(status == OMENDB_OK || status == OMENDB_ERR_CORRUPT || status == OMENDB_ERR_UNSUPPORTED);
    if (status == OMENDB_OK) (void)look(&copy, OMENDB_OPEN_READ_ONLY, false);
    if (copy.scene.failure[0] != '\0')
        fprintf(stderr, "%s byte %llu bits %x, writing: %s\n", file->path,
                (unsigned long long)offset, bits, copy.scene.failure);
    CHECK(copy.scene.failure[0] == '\0');
    scene_deinit(&copy.scene);
    sim_destroy(sim);
}

/* Roots and catalogs; log headers and frames; a sample of the blocks. */
static void flip_all(struct flips *flips)
{
    const bool all = test_long();
    const struct picture_file *data = &flips->picture.files[0];
    for (uint32_t slot = 0; slot < 2; slot++) {
        const struct superblock_root *root = picture_root(&flips->picture, slot);
        const uint64_t size = sizeof *root + root->payload_size;
        for (uint64_t bit = slot; bit < size * 8; bit += test_step(29)) {
            const uint64_t offset = slot * (uint64_t)BLOCK_SIZE + bit / 8;
            flip(flips, data, offset, (uint8_t)(1u << bit % 8), bit % 16 == 0);
            if (bit % 13 == 0) flip_and_write(flips, data, offset, (uint8_t)(1u << bit % 8));
        }
    }
    for (uint32_t i = 1; i < flips->picture.files_count; i++) {
        const struct picture_file *log = &flips->picture.files[i];
        for (uint64_t at = 0; at < log->size; at += test_step(at % WAL_PAGE < 160 ? 23 : 509)) {
            if (!all && log->bytes[at] == 0 && at % WAL_PAGE > 200 && at % 1021 > 300) continue;
            flip(flips, log, at, (uint8_t)(1u << at % 8), false);
            if (at % 11 == 0) flip_and_write(flips, log, at, (uint8_t)(1u << at % 8));
        }
    }
    for (uint64_t at = BLOCK_FIRST * (uint64_t)BLOCK_SIZE; at < data->size;
         at += all ? 61 : test_step(15877)) {
        const bool used = picture_uses(&flips->picture, (uint32_t)(at / BLOCK_SIZE));
        flip(flips, data, at, (uint8_t)(1u << at % 8), used);
        if (at % 5 == 0) flip_and_write(flips, data, at, (uint8_t)(1u << at % 8));
    }
}

static void flips_in_a_clean_database_are_harmless_or_reported(void)
{
    struct flips flips = {0};
    begin(&flips, scene_script_size);
    CHECK(!log_is_covered(&flips));
    flip_all(&flips);
    end(&flips, "clean");
}

static uint32_t line_after(enum scene_kind kind, uint32_t nth)
{
    for (uint32_t i = 0; i < scene_script_size; i++)
        if (scene_script[i].kind == kind && nth-- == 0) return i + 1;
    abort();
}

static void flips_in_a_killed_database_are_harmless_or_reported(void)
{
    struct flips flips = {0};
    begin(&flips, line_after(SCENE_STATS, 0));
    CHECK(log_is_covered(&flips));
    flip_all(&flips);
    end(&flips, "killed");
    flips = (struct flips){0};
    begin(&flips, line_after(SCENE_MARK, 0));
    flip_all(&flips);
    end(&flips, "killed with dead versions");
}

static const struct test tests[] = {
    {"flips_in_a_clean_database_are_harmless_or_reported",
     flips_in_a_clean_database_are_harmless_or_reported},
    {"flips_in_a_killed_database_are_harmless_or_reported",
     flips_in_a_killed_database_are_harmless_or_reported},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
