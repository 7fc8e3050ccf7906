#include "crash/api_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sim/vfs_sim.h"

static const char image_path[] = "/disk/image.omen";

struct image_listing {
    struct picture *picture;
    struct vfs *vfs;
};

static void image_must(bool good, const char *what, omendb_status status)
{
    if (good) return;
    fprintf(stderr, "%s: %d\n", what, (int)status);
    abort();
}

static void image_file(void *context, const char *suffix)
{
    struct image_listing *listing = context;
    struct picture_file *out = &listing->picture->files[listing->picture->files_count++];
    struct file *file = NULL;
    uint64_t size = 0;
    size_t got = 0;
    image_must(listing->picture->files_count <= PICTURE_FILES, "too many files", OMENDB_OK);
    (void)snprintf(out->path, sizeof out->path, "%s%s", image_path, suffix);
    image_must(file_open(listing->vfs, out->path, FILE_READ_ONLY, &file, NULL) == OMENDB_OK &&
                   file_size(file, &size, NULL) == OMENDB_OK,
               out->path, OMENDB_OK);
    out->size = (size_t)size;
    out->bytes = malloc(out->size);
    image_must(out->bytes != NULL &&
                   file_read(file, 0, out->bytes, out->size, &got, NULL) == OMENDB_OK,
               out->path, OMENDB_OK);
    file_close(file);
}

static void image_kill(struct api_scene *scene)
{
    struct sim *sim = scene->context;
    sim_crash_at(sim, 1);
    if (scene->db != NULL) (void)api_scene_close(scene, NULL);
    sim_reboot(sim, SIM_PROCESS_KILL, 1);
}

void api_image_make(struct picture *out, struct api_model *model, uint32_t lines, bool closed)
{
    static struct api_scene scene;
    struct sim *sim = sim_create(lines);
    struct image_listing listing = {out, sim_vfs(sim)};
    *out = (struct picture){0};
    api_scene_init(&scene, sim_vfs(sim), image_path);
    scene.kill = image_kill;
    scene.context = sim;
    api_scene_play_all(&scene, lines);
    if (closed) image_must(api_scene_close(&scene, NULL) == OMENDB_OK, "close", OMENDB_OK);
    else image_kill(&scene);
    /* The data file comes first, whatever the order of the listing is. */
    image_file(&listing, "");
    for (uint32_t number = 1; number < 100; number++) {
        char suffix[16], path[PICTURE_PATH];
        struct file *file = NULL;
        (void)snprintf(suffix, sizeof suffix, "-wal-%u", number);
        (void)snprintf(path, sizeof path, "%s%s", image_path, suffix);
        if (file_open(listing.vfs, path, FILE_READ_ONLY, &file, NULL) != OMENDB_OK) continue;
        file_close(file);
        image_file(&listing, suffix);
    }
    *model = scene.model;
    sim_destroy(sim);
}

/* Anything but a wrong call or a bug may be a file's fault. */
static void image_answered(omendb_status status, const char *call)
{
    image_must(status <= OMENDB_OK && status >= OMENDB_ERR_TIMEOUT &&
                   status != OMENDB_ERR_INTERRUPTED && status != OMENDB_ERR_TIMEOUT &&
                   status != OMENDB_ERR_READ_ONLY && status != OMENDB_ERR_BUSY,
               call, status);
}

static void image_put(struct picture_file const *from, struct sim *sim)
{
    struct file *file = NULL;
    image_must(file_open(sim_vfs(sim), from->path, FILE_CREATE, &file, NULL) == OMENDB_OK &&
                   file_write(file, 0, from->bytes, from->size, NULL) == OMENDB_OK &&
                   file_sync(file, NULL) == OMENDB_OK,
               from->path, OMENDB_OK);
    file_close(file);
}

/* Differences from the oracle are none of our business here. */
static void image_read(struct api_scene *scene)
{
    bool good = true;
    image_answered(api_scene_compare(scene, NULL), "reading");
    scene->failure[0] = '\0';
    image_answered(api_scene_check(scene, &good, NULL), "check");
    scene->failure[0] = '\0';
}

static void image_write(struct api_scene *scene)
{
    static const struct api_line lines[] = {
        {API_PUT, API_DOCS, 5, 45, 100},
        {API_PUT, API_NOTES, 0, 12, 10},
        {API_BOTH, 0, 20, 30, 40000},
        {API_DELETE, API_DOCS, 0, 15, 0},
        {API_INDEX, API_DOCS, OMENDB_INDEX_COMPACT, 0, 0},
        {API_DELETE_WHERE, API_DOCS, 3, 0, 0},
        {API_PUT, API_DOCS, 40, 80, 900},
        {API_STATS, 0, 0, 0, 0},
        {API_SYNC, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const uint32_t c = lines[i].collection;
        if (scene->handles[c] == NULL ||
            (lines[i].kind == API_BOTH && scene->handles[API_NOTES] == NULL))
            continue;
        api_scene_prepare(scene, &lines[i]);
        image_answered(api_scene_play(scene, &lines[i], NULL), "writing");
        scene->failure[0] = '\0';
    }
}

void api_image_use(const struct picture *picture, const struct api_model *model)
{
    static struct api_scene scene;
    static const struct api_line open = {.kind = API_OPEN};
    struct sim *sim = sim_create(1);
    const uint64_t before = alloc_bytes();
    api_scene_init(&scene, sim_vfs(sim), image_path);
    scene.model = *model;
    scene.last_number = 10000;
    for (uint32_t i = 0; i < picture->files_count; i++) image_put(&picture->files[i], sim);
    api_scene_prepare(&scene, &open);
    const omendb_status status = api_scene_play(&scene, &open, NULL);
    image_answered(status, "open");
    if (status == OMENDB_OK) {
        for (uint32_t c = 0; c < API_COLLECTIONS; c++)
            if (scene.handles[c] == NULL) scene.model.collections[c].exists = false;
        image_read(&scene);
        image_write(&scene);
        image_read(&scene);
        image_answered(api_scene_close(&scene, NULL), "close");
    }
    image_must(sim_open_files(sim) == 0, "files left open", status);
    image_must(alloc_bytes() == before, "memory left", status);
    sim_destroy(sim);
}
