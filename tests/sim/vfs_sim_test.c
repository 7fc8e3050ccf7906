/* vfs_sim_test.c - the simulated disk: it keeps what it promises to keep, loses what it may lose,
 * and behaves like the real files while nothing crashes. */
#include "sim/sim_test.h"

#include <sys/stat.h>
#include <unistd.h>

static const uint64_t first_seed = 20260101;

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13; /* Xorshift64 (Marsaglia 2003): not the simulator's. */
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* ---- Against the real files ---- */

enum { PATHS = 3, HANDLES = 2, FILE_MAX = 40000, MAPPED = 65536 };

struct side {
    struct vfs *vfs;
    char paths[PATHS][96];
    struct file *files[PATHS][HANDLES];
    const uint8_t *maps[PATHS][HANDLES];
    uint64_t names; /* Sum of the hashes of listed names. */
};

static void sum_name(void *context, const char *suffix)
{
    struct side *side = context;
    uint64_t hash = 5381;
    for (; *suffix != '\0'; suffix++) hash = hash * 33 + (uint8_t)*suffix;
    side->names += hash;
}

static void side_close(struct side *side, size_t path, size_t handle)
{
    struct file **file = &side->files[path][handle];
    if (side->maps[path][handle] != NULL) file_unmap(*file, side->maps[path][handle], MAPPED);
    side->maps[path][handle] = NULL;
    file_close(*file);
    *file = NULL;
}

/* Runs one drawn operation; what it saw goes to `seen`. */
static uint64_t side_step(struct side *side, uint64_t drawn, uint8_t *seen, size_t *seen_size)
{
    const size_t path = drawn % PATHS, handle = drawn / 8 % HANDLES;
    const uint64_t offset = drawn / 16 % FILE_MAX, size = drawn / (16 * FILE_MAX) % 9000;
    struct file **file = &side->files[path][handle];
    const uint32_t operation = (uint32_t)(drawn >> 48) % 14;
    uint64_t number = 0;
    bool granted = false;
    omendb_status status = OMENDB_OK;
    *seen_size = 0;
    if (*file == NULL && operation > 3) {
        const uint32_t flags = (uint32_t)(drawn >> 40) & (FILE_CREATE | FILE_EXCLUSIVE);
        return (uint64_t)file_open(side->vfs, side->paths[path], flags, file, NULL);
    }
    switch (operation) {
    case 0:
        return (uint64_t)vfs_rename(side->vfs, side->paths[path], side->paths[size % PATHS], NULL);
    case 1:
        return (uint64_t)vfs_remove(side->vfs, side->paths[path], NULL);
    case 2:
        side->names = 0;
        status = vfs_list(side->vfs, side->paths[0], sum_name, side, NULL);
        return side->names ^ (uint64_t)status;
    case 3:
        return (uint64_t)vfs_sync_directory(side->vfs, side->paths[path], NULL);
    case 4:
        if (size % 4 == 0) side_close(side, path, handle);
        return 0;
    case 5:
    case 6:
    case 7:
        for (size_t i = 0; i < size; i++) seen[i] = (uint8_t)((drawn >> 32) + i / 100);
        return (uint64_t)file_write(*file, offset, seen, size, NULL);
    case 8:
        return (uint64_t)file_sync(*file, NULL);
    case 9:
        return (uint64_t)file_resize(*file, offset, NULL);
    case 10:
        status = file_size(*file, &number, NULL);
        return number ^ (uint64_t)status;
    case 11:
        status = file_lock(*file, offset % 8, 1 + size % 4, (enum file_lock)(drawn >> 40 & 3) % 3,
                           &granted, NULL);
        return (uint64_t)status * 2 + granted;
    case 12:
        if (side->maps[path][handle] == NULL) {
            const void *base = NULL;
            CHECK(file_map(*file, MAPPED, &base, NULL) == OMENDB_OK);
            side->maps[path][handle] = base;
        }
        status = file_populate(*file, side->maps[path][handle] + offset, size, NULL);
        if (status != OMENDB_OK) return (uint64_t)status;
        memcpy(seen, side->maps[path][handle] + offset, size);
        *seen_size = size;
        return 0;
    default:
        break;
    }
    status = file_read(*file, offset, seen, size, seen_size, NULL);
    return *seen_size ^ (uint64_t)status;
}

static void agrees_with_the_real_files(void)
{
    struct sim *sim = sim_create(1);
    struct side real = {.vfs = vfs_real()}, simulated = {.vfs = sim_vfs(sim)};
    char directory[64];
    static uint8_t seen[2][16384];
    size_t size[2];
    (void)snprintf(directory, sizeof directory, "/tmp/omendb-sim-test-%d", (int)getpid());
    CHECK(mkdir(directory, 0700) == 0);
    static const char *const names[PATHS] = {"f", "fx", "fxy"};
    for (size_t i = 0; i < PATHS; i++) {
        (void)snprintf(real.paths[i], sizeof real.paths[i], "%s/%s", directory, names[i]);
        memcpy(simulated.paths[i], real.paths[i], sizeof real.paths[i]);
    }
    random_state = first_seed;
    for (int step = 0; step < 20000; step++) {
        const uint64_t drawn = draw(UINT64_MAX);
        const uint64_t expected = side_step(&real, drawn, seen[0], &size[0]);
        CHECK(side_step(&simulated, drawn, seen[1], &size[1]) == expected);
        CHECK(size[0] == size[1] && memcmp(seen[0], seen[1], size[0]) == 0);
    }
    for (size_t i = 0; i < PATHS; i++) {
        for (size_t k = 0; k < HANDLES; k++) side_close(&real, i, k), side_close(&simulated, i, k);
        (void)unlink(real.paths[i]);
    }
    CHECK(rmdir(directory) == 0);
    sim_destroy(sim);
}

/* ---- Against a model of what may survive ---- */

enum { MODEL_SECTORS = 48, MODEL_SIZE = SECTOR * MODEL_SECTORS, VERSIONS = 64 };

/* One file: every version that a sector had, and every size, since the last sync. */
struct model {
    const char *path;
    uint8_t cache[MODEL_SIZE], durable[MODEL_SIZE];
    size_t size, durable_size;
    uint8_t versions[MODEL_SECTORS][VERSIONS][SECTOR];
    size_t version_count[MODEL_SECTORS];
    size_t sizes[VERSIONS], size_count;
    bool cut; /* Since the last sync: bytes of any version may be zero. */
};

static void model_note(struct model *model)
{
    for (size_t i = 0; i < MODEL_SECTORS; i++) {
        const size_t count = model->version_count[i];
        if (memcmp(model->versions[i][count - 1], model->cache + i * SECTOR, SECTOR) == 0) continue;
        CHECK(count < VERSIONS);
        memcpy(model->versions[i][count], model->cache + i * SECTOR, SECTOR);
        model->version_count[i]++;
    }
    if (model->sizes[model->size_count - 1] == model->size) return;
    CHECK(model->size_count < VERSIONS);
    model->sizes[model->size_count++] = model->size;
}

static void model_sync(struct model *model)
{
    memcpy(model->durable, model->cache, MODEL_SIZE);
    model->durable_size = model->size;
    for (size_t i = 0; i < MODEL_SECTORS; i++) {
        memcpy(model->versions[i][0], model->cache + i * SECTOR, SECTOR);
        model->version_count[i] = 1;
    }
    model->sizes[0] = model->size;
    model->size_count = 1;
    model->cut = false;
}

static bool model_allows(const struct model *model, size_t sector, const uint8_t *bytes,
                         size_t size)
{
    for (size_t v = 0; v < model->version_count[sector]; v++) {
        const uint8_t *version = model->versions[sector][v];
        if (memcmp(version, bytes, size) == 0) return true;
        if (!model->cut) continue;
        size_t i = 0;
        while (i < size && (bytes[i] == version[i] || bytes[i] == 0)) i++;
        if (i == size) return true;
    }
    return false;
}

static void model_check(const struct model *model, struct sim *clone, enum sim_mode mode)
{
    static uint8_t bytes[MODEL_SIZE + 1];
    static const uint8_t zeros[MODEL_SIZE];
    size_t size = 0;
    struct file *file = opened(sim_vfs(clone), model->path, FILE_READ_ONLY);
    CHECK(file_read(file, 0, bytes, sizeof bytes, &size, NULL) == OMENDB_OK);
    const void *base = NULL; /* A mapping shows the same. */
    CHECK(file_map(file, MODEL_SIZE, &base, NULL) == OMENDB_OK);
    CHECK(memcmp(base, bytes, size) == 0);
    file_unmap(file, base, MODEL_SIZE);
    file_close(file);

    bool known = false;
    for (size_t i = 0; i < model->size_count; i++) known = known || model->sizes[i] == size;
    CHECK(known);
    if (mode == SIM_NONE)
        CHECK(size == model->durable_size && memcmp(bytes, model->durable, size) == 0);
    if (mode == SIM_ALL || mode == SIM_PROCESS_KILL)
        CHECK(size == model->size && memcmp(bytes, model->cache, size) == 0);
    if (mode == SIM_SIZE_EXTENDED || mode == SIM_ZEROED) CHECK(size == model->size);
    if (mode == SIM_SIZE_EXTENDED && !model->cut) {
        const size_t old = model->durable_size;
        CHECK(memcmp(bytes, model->durable, old) == 0);
        CHECK(memcmp(bytes + old, zeros, size - old) == 0);
    }
    for (size_t i = 0; i * SECTOR < size; i++) {
        const size_t left = size - i * SECTOR;
        CHECK(model_allows(model, i, bytes + i * SECTOR, left < SECTOR ? left : SECTOR));
    }
    file = opened(sim_vfs(clone), model->path, 0); /* Nothing is hidden behind the end. */
    CHECK(file_resize(file, MODEL_SIZE, NULL) == OMENDB_OK);
    size_t got = 0;
    CHECK(file_read(file, size, bytes, sizeof bytes, &got, NULL) == OMENDB_OK);
    CHECK(got == MODEL_SIZE - size && memcmp(bytes, zeros, got) == 0);
    file_close(file);
}

struct models {
    struct model files[2];
    uint64_t states;
};

static void crash_in_every_mode(void *context, struct sim *sim, const struct sim_call *call)
{
    struct models *models = context;
    CHECK(call->number == sim_calls(sim) + 1);
    for (int mode = 0; mode <= SIM_PROCESS_KILL; mode++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct sim *clone = crashed_clone(sim, (enum sim_mode)mode, call->number * 8 + seed);
            for (size_t i = 0; i < 2; i++)
                model_check(&models->files[i], clone, (enum sim_mode)mode);
            sim_destroy(clone);
            models->states++;
        }
    }
}

static void a_crash_keeps_synced_sectors_and_mixes_the_rest(void)
{
    static struct models models;
    static uint8_t data[MODEL_SIZE];
    struct sim *sim = sim_create(7);
    struct file *files[2];
    memset(&models, 0, sizeof models);
    models.files[0].path = "/d/a";
    models.files[1].path = "/d/b";
    for (size_t i = 0; i < 2; i++) {
        files[i] = made(sim, models.files[i].path);
        model_sync(&models.files[i]);
    }
    sim_on_call(sim, crash_in_every_mode, &models);
    random_state = first_seed;
    for (int step = 0; step < 1500; step++) {
        const size_t which = draw(2), operation = draw(10);
        struct model *model = &models.files[which];
        if (operation == 0 || model->size_count > VERSIONS - 4) {
            CHECK(file_sync(files[which], NULL) == OMENDB_OK);
            model_sync(model);
        } else if (operation == 1) {
            const size_t size = draw(MODEL_SIZE);
            CHECK(file_resize(files[which], size, NULL) == OMENDB_OK);
            if (size < model->size) {
                memset(model->cache + size, 0, model->size - size);
                model->cut = true;
            }
            model->size = size;
            model_note(model);
        } else {
            const size_t offset = draw(4) == 0 ? model->size : draw(MODEL_SIZE);
            size_t size = 1 + draw(operation < 4 ? 9000 : 700);
            if (size > MODEL_SIZE - offset) size = MODEL_SIZE - offset;
            for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(1 + draw(255));
            CHECK(file_write(files[which], offset, data, size, NULL) == OMENDB_OK);
            memcpy(model->cache + offset, data, size);
            if (size != 0 && offset + size > model->size) model->size = offset + size;
            model_note(model);
        }
    }
    CHECK(models.states > 30000);
    for (size_t i = 0; i < 2; i++) file_close(files[i]);
    sim_destroy(sim);
}

/* ---- What each mode reaches ---- */

static void every_mixture_is_reached(void)
{
    bool old_seen = false, new_seen = false, torn_page = false, lost_size = false;
    bool zeroed_page = false, middle_size = false, last_size = false;
    struct sim *sim = sim_create(3);
    struct file *file = made(sim, "/f");
    written(file, 0, 'o', 8192);
    CHECK(file_sync(file, NULL) == OMENDB_OK);
    written(file, 0, 'n', 4096);
    written(file, 8192, 'g', 8192);
    CHECK(file_resize(file, 20000, NULL) == OMENDB_OK);
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim *clone = crashed_clone(sim, SIM_RANDOM_SUBSET, seed);
        const int first = byte_at(clone, "/f", 0), second = byte_at(clone, "/f", 512);
        CHECK((first == 'o' || first == 'n') && byte_at(clone, "/f", 511) == first);
        CHECK(byte_at(clone, "/f", 4096) == 'o' && byte_at(clone, "/f", 8191) == 'o');
        old_seen = old_seen || first == 'o';
        new_seen = new_seen || first == 'n';
        torn_page = torn_page || first != second;
        const bool grown_once = byte_at(clone, "/f", 16383) >= 0;
        const bool grown_twice = byte_at(clone, "/f", 19999) >= 0;
        CHECK(grown_once || !grown_twice);
        lost_size = lost_size || byte_at(clone, "/f", 8192) == -1;
        middle_size = middle_size || (grown_once && !grown_twice);
        last_size = last_size || grown_twice;
        sim_destroy(clone);
        clone = crashed_clone(sim, SIM_ZEROED, seed);
        const int grown = byte_at(clone, "/f", 8192);
        CHECK((grown == 0 || grown == 'g') && byte_at(clone, "/f", 8192 + 4095) == grown);
        zeroed_page = zeroed_page || (grown == 0 && byte_at(clone, "/f", 12288) == 'g');
        sim_destroy(clone);
    }
    CHECK(old_seen && new_seen && torn_page && lost_size && zeroed_page);
    CHECK(middle_size && last_size);
    file_close(file);
    sim_destroy(sim);
}

static void a_prefix_is_a_prefix_over_files_and_names(void)
{
    struct sim *sim = sim_create(4);
    struct file *one = made(sim, "/one"), *two = made(sim, "/two");
    bool reached[24] = {false};
    written(one, 0, '-', 5 * SECTOR);
    written(two, 0, '-', 5 * SECTOR);
    CHECK(file_sync(one, NULL) == OMENDB_OK && file_sync(two, NULL) == OMENDB_OK);
    /* Ten sectors by turns, a name, then one write of eight. */
    for (uint64_t i = 0; i < 10; i++) written(i % 2 == 0 ? one : two, i / 2 * SECTOR, 'x', SECTOR);
    file_close(opened(sim_vfs(sim), "/three", FILE_CREATE));
    CHECK(file_resize(one, 4096 + 4096, NULL) == OMENDB_OK);
    written(one, 4096, 'y', 4096);
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct sim *clone = crashed_clone(sim, SIM_PREFIX_TORN, seed);
        bool done[20];
        for (uint64_t i = 0; i < 10; i++)
            done[i] = byte_at(clone, i % 2 == 0 ? "/one" : "/two", i / 2 * SECTOR) == 'x';
        done[10] = there(clone, "/three");
        done[11] = byte_at(clone, "/one", 8191) >= 0;
        for (uint64_t i = 0; i < 8; i++)
            done[12 + i] = byte_at(clone, "/one", 4096 + i * SECTOR) == 'y';
        size_t count = 0;
        while (count < 20 && done[count]) count++;
        reached[count] = true;
        for (size_t i = count; i < 20; i++) CHECK(!done[i]);
        sim_destroy(clone);
    }
    for (size_t i = 0; i <= 20; i++) CHECK(reached[i]);
    file_close(one), file_close(two);
    sim_destroy(sim);
}

static void names_survive_only_by_sync_directory(void)
{
    struct sim *sim = sim_create(5);
    struct vfs *vfs = sim_vfs(sim);
    struct file *file = opened(vfs, "/d/a", FILE_CREATE);
    written(file, 0, 'a', 100);
    CHECK(file_sync(file, NULL) == OMENDB_OK);
    bool lost = false, kept = false;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim *clone = crashed_clone(sim, SIM_RANDOM_SUBSET, seed);
        const int byte = byte_at(clone, "/d/a", 99);
        CHECK(byte == -2 || byte == 'a'); /* Its data was synced. */
        if (byte == -2) lost = true;
        else kept = true;
        sim_destroy(clone);
    }
    CHECK(lost && kept);
    CHECK(vfs_sync_directory(vfs, "/other/x", NULL) == OMENDB_OK); /* Another directory. */
    struct sim *clone = crashed_clone(sim, SIM_NONE, 0);
    CHECK(!there(clone, "/d/a"));
    sim_destroy(clone);
    CHECK(vfs_sync_directory(vfs, "/d/x", NULL) == OMENDB_OK);
    clone = crashed_clone(sim, SIM_NONE, 0);
    CHECK(byte_at(clone, "/d/a", 99) == 'a');
    sim_destroy(clone);

    CHECK(vfs_remove(vfs, "/d/a", NULL) == OMENDB_OK && !there(sim, "/d/a"));
    clone = crashed_clone(sim, SIM_NONE, 0); /* A removal may be undone. */
    CHECK(byte_at(clone, "/d/a", 99) == 'a');
    sim_destroy(clone);
    clone = crashed_clone(sim, SIM_ALL, 0);
    CHECK(!there(clone, "/d/a"));
    sim_destroy(clone);
    written(file, 0, 'b', 100); /* An open file outlives its name. */
    uint8_t byte = 0;
    size_t got = 0;
    CHECK(file_read(file, 0, &byte, 1, &got, NULL) == OMENDB_OK && got == 1 && byte == 'b');
    file_close(file);
    sim_destroy(sim);
}

static void a_rename_is_atomic_and_loses_nothing(void)
{
    struct sim *sim = sim_create(6);
    struct vfs *vfs = sim_vfs(sim);
    struct file *a = made(sim, "/a"), *b = made(sim, "/b");
    written(a, 0, 'a', 10);
    written(b, 0, 'b', 10);
    CHECK(file_sync(a, NULL) == OMENDB_OK && file_sync(b, NULL) == OMENDB_OK);
    file_close(a), file_close(b);
    CHECK(vfs_rename(vfs, "/a", "/b", NULL) == OMENDB_OK);
    CHECK(!there(sim, "/a") && byte_at(sim, "/b", 0) == 'a');
    a = opened(vfs, "/a", FILE_CREATE);
    written(a, 0, 'c', 10);
    CHECK(file_sync(a, NULL) == OMENDB_OK);
    file_close(a);
    bool before = false, between = false, after = false;
    for (uint64_t seed = 0; seed < 300; seed++) {
        for (int mode = 0; mode < SIM_CRASH_MODES; mode++) {
            struct sim *clone = crashed_clone(sim, (enum sim_mode)mode, seed);
            const int at_a = byte_at(clone, "/a", 0), at_b = byte_at(clone, "/b", 0);
            const bool is_before = at_a == 'a' && at_b == 'b';
            const bool is_between = at_a == -2 && at_b == 'a';
            const bool is_after = at_a == 'c' && at_b == 'a';
            CHECK(is_before || is_between || is_after);
            before = before || is_before;
            between = between || is_between;
            after = after || is_after;
            sim_destroy(clone);
        }
    }
    CHECK(before && between && after);
    sim_destroy(sim);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"agrees_with_the_real_files", agrees_with_the_real_files},
        {"a_crash_keeps_synced_sectors_and_mixes_the_rest",
         a_crash_keeps_synced_sectors_and_mixes_the_rest},
        {"every_mixture_is_reached", every_mixture_is_reached},
        {"a_prefix_is_a_prefix_over_files_and_names", a_prefix_is_a_prefix_over_files_and_names},
        {"names_survive_only_by_sync_directory", names_survive_only_by_sync_directory},
        {"a_rename_is_atomic_and_loses_nothing", a_rename_is_atomic_and_loses_nothing},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
