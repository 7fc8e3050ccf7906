#include "sim/sim_disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/compiler.h"

static const uint8_t disk_zeros[DISK_PAGE];

void *sim_memory(void *old, size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total)) abort();
    void *memory = realloc(old, total != 0 ? total : 1);
    if (memory == NULL) abort();
    return memory;
}

/* Room for one more item. */
#define DISK_GROW(array, count, capacity)                                                          \
    do {                                                                                           \
        if ((count) == (capacity)) {                                                               \
            (capacity) = (capacity) == 0 ? 8 : 2 * (capacity);                                     \
            (array) = sim_memory((array), (capacity), sizeof *(array));                            \
        }                                                                                          \
    } while (0)

uint64_t sim_mix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* ---- Pages ---- */

static const uint8_t *page_bytes(const struct page *page)
{
    return page != NULL ? page->bytes : disk_zeros;
}

static struct page *page_copy(const struct page *from)
{
    struct page *page = sim_memory(NULL, 1, sizeof *page);
    page->references = 1;
    page->hashed = false;
    memcpy(page->bytes, page_bytes(from), DISK_PAGE);
    return page;
}

void page_retain(struct page *page)
{
    if (page != NULL) page->references++;
}

void page_release(struct page *page)
{
    if (page != NULL && --page->references == 0) free(page);
}

static uint64_t page_hash(struct page *page)
{
    static uint64_t zeros_hash;
    if (page == NULL) {
        if (zeros_hash == 0) zeros_hash = checksum64(disk_zeros, DISK_PAGE);
        return zeros_hash;
    }
    if (!page->hashed) {
        page->hash = checksum64(page->bytes, DISK_PAGE);
        page->hashed = true;
    }
    return page->hash;
}

/* `under` with the sectors of `over` that `sectors` names. */
static struct page *page_merge(struct page *under, struct page *over, uint8_t sectors)
{
    if (sectors == 0xFF) {
        page_retain(over);
        return over;
    }
    struct page *merged = page_copy(under);
    for (size_t i = 0; i < DISK_PAGE / DISK_SECTOR; i++) {
        if ((sectors >> i & 1) != 0)
            memcpy(merged->bytes + i * DISK_SECTOR, page_bytes(over) + i * DISK_SECTOR,
                   DISK_SECTOR);
    }
    return merged;
}

/* ---- Images ---- */

static void image_deinit(struct image *image)
{
    for (size_t i = 0; i < image->page_count; i++) page_release(image->pages[i]);
    free(image->pages);
    *image = (struct image){0};
}

static struct image image_copy(const struct image *from)
{
    struct image to = *from;
    to.capacity = from->page_count;
    to.pages = sim_memory(NULL, to.capacity, sizeof(struct page *));
    if (from->page_count != 0)
        memcpy(to.pages, from->pages, from->page_count * sizeof(struct page *));
    for (size_t i = 0; i < to.page_count; i++) page_retain(to.pages[i]);
    return to;
}

static void image_set(struct image *image, size_t index, struct page *owned)
{
    SIM_REQUIRE(index < image->page_count);
    page_release(image->pages[index]);
    image->pages[index] = owned;
}

static struct page *image_page(const struct image *image, size_t index)
{
    return index < image->page_count ? image->pages[index] : NULL;
}

/* Keeps bytes past the size zero. */
static void image_clean_tail(struct image *image)
{
    const size_t used = image->size % DISK_PAGE;
    if (used == 0) return;
    const size_t last = image->page_count - 1;
    struct page *page = image->pages[last];
    if (page == NULL || memcmp(page->bytes + used, disk_zeros, DISK_PAGE - used) == 0) return;
    struct page *clean = page_copy(page);
    memset(clean->bytes + used, 0, DISK_PAGE - used);
    image_set(image, last, clean);
}

static void image_resize(struct image *image, uint64_t size)
{
    const size_t count = (size_t)((size + DISK_PAGE - 1) / DISK_PAGE);
    while (image->page_count > count) page_release(image->pages[--image->page_count]);
    if (count > image->capacity) {
        image->capacity = count > 2 * image->capacity ? count : 2 * image->capacity;
        image->pages = sim_memory(image->pages, image->capacity, sizeof(struct page *));
    }
    while (image->page_count < count) image->pages[image->page_count++] = NULL;
    const bool shrunk = size < image->size;
    image->size = size;
    if (shrunk) image_clean_tail(image);
}

static uint64_t image_hash(const struct image *image)
{
    uint64_t hashes[64], hash = image->size;
    for (size_t i = 0; i < image->page_count;) {
        size_t filled = 0;
        while (filled < COUNT_OF(hashes) && i < image->page_count)
            hashes[filled++] = page_hash(image->pages[i++]);
        hash = checksum64_seeded(hashes, filled * sizeof *hashes, hash);
    }
    return hash;
}

/* ---- Inodes ---- */

static void inode_forget_pending(struct inode *inode)
{
    for (size_t i = 0; i < inode->pending_count; i++) page_release(inode->pending[i].page);
    inode->pending_count = 0;
}

void inode_release(struct inode *inode)
{
    if (inode == NULL || --inode->references != 0) return;
    SIM_REQUIRE(inode->views == NULL); /* A mapping outlived its file. */
    inode_forget_pending(inode);
    image_deinit(&inode->cache);
    image_deinit(&inode->durable);
    free(inode->pending);
    free(inode->locks);
    free(inode);
}

static struct inode *inode_create(uint64_t number)
{
    struct inode *inode = sim_memory(NULL, 1, sizeof *inode);
    *inode = (struct inode){.references = 1, .number = number};
    return inode;
}

static struct inode *inode_retain(struct inode *inode)
{
    if (inode != NULL) inode->references++;
    return inode;
}

void inode_read(const struct inode *inode, uint64_t offset, uint8_t *to, size_t size)
{
    while (size != 0) {
        const size_t within = offset % DISK_PAGE;
        const size_t part = size < DISK_PAGE - within ? size : DISK_PAGE - within;
        const struct page *page = image_page(&inode->cache, (size_t)(offset / DISK_PAGE));
        memcpy(to, page_bytes(page) + within, part);
        to += part;
        offset += part;
        size -= part;
    }
}

static void inode_add_pending(struct inode *inode, struct pending pending)
{
    DISK_GROW(inode->pending, inode->pending_count, inode->pending_capacity);
    inode->pending[inode->pending_count++] = pending;
}

void inode_resize(struct disk *disk, struct inode *inode, uint64_t size)
{
    if (size == inode->cache.size) return;
    inode_add_pending(inode, (struct pending){.order = disk->order++, .size = size});
    image_resize(&inode->cache, size);
    view_resize(inode);
}

void inode_write(struct disk *disk, struct inode *inode, uint64_t offset, const uint8_t *from,
                 size_t size, enum disk_write how, size_t elsewhere)
{
    if (size != 0 && offset + size > inode->cache.size) inode_resize(disk, inode, offset + size);
    while (size != 0) {
        const size_t within = offset % DISK_PAGE, index = (size_t)(offset / DISK_PAGE);
        const size_t part = size < DISK_PAGE - within ? size : DISK_PAGE - within;
        const size_t first = within / DISK_SECTOR, last = (within + part - 1) / DISK_SECTOR;
        const uint8_t sectors = (uint8_t)((0xFFu << first) & (0xFFu >> (7 - last)));
        struct page *page = page_copy(inode->cache.pages[index]);
        memcpy(page->bytes + within, from, part);
        image_set(&inode->cache, index, page);
        view_page(inode, index);

        size_t target = index;
        if (how == DISK_WRITE_ELSEWHERE) target = (index + elsewhere) % inode->cache.page_count;
        if (how != DISK_WRITE) inode->diverged = true;
        if (how == DISK_WRITE || target != index) {
            page_retain(page);
            inode_add_pending(inode, (struct pending){.order = disk->order++,
                                                      .page = page,
                                                      .page_index = target,
                                                      .sectors = sectors});
        }
        from += part;
        offset += part;
        size -= part;
    }
}

size_t inode_pages_added(const struct inode *inode, uint64_t offset, size_t size)
{
    size_t added = 0;
    if (size == 0) return 0;
    const uint64_t last = (offset + size - 1) / DISK_PAGE;
    for (uint64_t i = offset / DISK_PAGE; i <= last; i++)
        if (i >= inode->allocated && image_page(&inode->cache, (size_t)i) == NULL) added++;
    return added;
}

/* Puts the sectors of one pending write into the durable image. */
static void inode_apply(struct image *durable, const struct pending *pending, uint8_t sectors)
{
    const size_t index = pending->page_index;
    if (sectors == 0 || index >= durable->page_count) return;
    image_set(durable, index, page_merge(durable->pages[index], pending->page, sectors));
}

void inode_sync(struct inode *inode)
{
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct pending *pending = &inode->pending[i];
        if (pending->page == NULL) image_resize(&inode->durable, pending->size);
        else if (inode->diverged) inode_apply(&inode->durable, pending, pending->sectors);
    }
    /* All else is what the cache shows: share its pages, in whatever order they were written. */
    for (size_t i = 0; i < inode->pending_count && !inode->diverged; i++) {
        const size_t index = inode->pending[i].page_index;
        if (inode->pending[i].page == NULL || index >= inode->cache.page_count) continue;
        page_retain(inode->cache.pages[index]);
        image_set(&inode->durable, index, inode->cache.pages[index]);
    }
    image_clean_tail(&inode->durable);
    inode_forget_pending(inode);
}

void inode_sync_failed(struct inode *inode, bool revert)
{
    size_t kept = 0;
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct pending pending = inode->pending[i];
        if (pending.page == NULL) { /* Sizes are metadata: they stay dirty. */
            inode->pending[kept++] = pending;
            continue;
        }
        if (revert && pending.page_index < inode->cache.page_count) {
            struct page *old = image_page(&inode->durable, pending.page_index);
            page_retain(old);
            image_set(&inode->cache, pending.page_index, old);
            if (pending.page_index + 1 == inode->cache.page_count) image_clean_tail(&inode->cache);
            view_page(inode, pending.page_index);
        }
        inode->diverged = true;
        page_release(pending.page);
    }
    inode->pending_count = kept;
}

bool inode_flip(struct inode *inode, uint64_t offset, uint8_t bits)
{
    struct image *const images[] = {&inode->cache, &inode->durable};
    const size_t index = (size_t)(offset / DISK_PAGE);
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(images); i++) {
        if (offset >= images[i]->size) continue;
        struct page *page = page_copy(images[i]->pages[index]);
        page->bytes[offset % DISK_PAGE] ^= bits;
        image_set(images[i], index, page);
        found = true;
    }
    if (offset < inode->cache.size) view_page(inode, index);
    return found;
}

/* ---- Names ---- */

static char *name_copy(const char *text)
{
    if (text == NULL) return NULL;
    const size_t size = strlen(text) + 1;
    char *copy = sim_memory(NULL, size, 1);
    memcpy(copy, text, size);
    return copy;
}

static size_t directory_index(const struct directory *directory, const char *path)
{
    size_t i = 0;
    while (i < directory->count && strcmp(directory->names[i].path, path) != 0) i++;
    return i;
}

static void directory_drop(struct directory *directory, size_t index)
{
    free(directory->names[index].path);
    inode_release(directory->names[index].inode);
    directory->names[index] = directory->names[--directory->count];
}

static void directory_deinit(struct directory *directory)
{
    while (directory->count != 0) directory_drop(directory, directory->count - 1);
    free(directory->names);
    *directory = (struct directory){0};
}

static void directory_remove(struct directory *directory, const char *path)
{
    const size_t index = directory_index(directory, path);
    if (index < directory->count) directory_drop(directory, index);
}

/* `path` is now the only name of `inode`. */
static void directory_set(struct directory *directory, const char *path, struct inode *inode)
{
    (void)inode_retain(inode);
    directory_remove(directory, path);
    for (size_t i = directory->count; i-- > 0;)
        if (directory->names[i].inode == inode) directory_drop(directory, i);
    DISK_GROW(directory->names, directory->count, directory->capacity);
    directory->names[directory->count++] = (struct name){.path = name_copy(path), .inode = inode};
}

static void directory_apply(struct directory *directory, const struct name_change *change)
{
    if (change->inode == NULL) directory_remove(directory, change->path);
    else directory_set(directory, change->path, change->inode);
}

static void change_deinit(struct name_change *change)
{
    free(change->path);
    free(change->from);
    inode_release(change->inode);
}

static void disk_add_change(struct disk *disk, struct inode *inode, const char *from,
                            const char *path)
{
    DISK_GROW(disk->changes, disk->change_count, disk->change_capacity);
    disk->changes[disk->change_count++] = (struct name_change){.order = disk->order++,
                                                               .inode = inode_retain(inode),
                                                               .path = name_copy(path),
                                                               .from = name_copy(from)};
    directory_apply(&disk->current, &disk->changes[disk->change_count - 1]);
}

struct inode *disk_find(const struct disk *disk, const char *path)
{
    const size_t index = directory_index(&disk->current, path);
    return index < disk->current.count ? disk->current.names[index].inode : NULL;
}

struct inode *disk_make(struct disk *disk, const char *path)
{
    struct inode *inode = inode_create(++disk->next_inode);
    disk_add_change(disk, inode, NULL, path);
    inode_release(inode); /* The names hold it now. */
    return inode;
}

void disk_rename(struct disk *disk, const char *from, const char *to)
{
    if (strcmp(from, to) != 0) disk_add_change(disk, disk_find(disk, from), from, to);
}

void disk_remove(struct disk *disk, const char *path)
{
    disk_add_change(disk, NULL, NULL, path);
}

static bool name_same_directory(const char *left, const char *right)
{
    const char *const a = strrchr(left, '/'), *const b = strrchr(right, '/');
    const size_t a_size = a != NULL ? (size_t)(a - left) + 1 : 0;
    const size_t b_size = b != NULL ? (size_t)(b - right) + 1 : 0;
    return a_size == b_size && memcmp(left, right, a_size) == 0;
}

void disk_sync_names(struct disk *disk, const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk->change_count; i++) {
        struct name_change *change = &disk->changes[i];
        if (name_same_directory(change->path, path)) {
            directory_apply(&disk->durable, change);
            change_deinit(change);
        } else disk->changes[kept++] = *change;
    }
    disk->change_count = kept;
}

/* ---- Crash ---- */

struct survival {
    enum sim_mode mode;
    uint64_t random;
    uint32_t data_chance, name_chance; /* Of 256. */
    uint64_t cut;                      /* SIM_PREFIX_TORN: the first order that isn't whole. */
};

static bool survival_draw(struct survival *survival, uint32_t chance)
{
    return (sim_mix(&survival->random) & 0xFF) < chance;
}

static bool survival_name(struct survival *survival, uint64_t order)
{
    switch (survival->mode) {
    case SIM_NONE:
        return false;
    case SIM_ALL:
        return true;
    case SIM_PREFIX_TORN:
        return order < survival->cut;
    case SIM_RANDOM_SUBSET:
    case SIM_ZEROED:
    case SIM_SIZE_EXTENDED:
    case SIM_PROCESS_KILL:
        break;
    }
    return survival_draw(survival, survival->name_chance);
}

/* How many of `count` sizes survive; those of a prefix. `orders` ascend. */
static size_t survival_sizes(struct survival *survival, const struct inode *inode, size_t count)
{
    size_t before = 0;
    switch (survival->mode) {
    case SIM_NONE:
        return 0;
    case SIM_PREFIX_TORN:
        for (size_t i = 0; i < inode->pending_count; i++) {
            const struct pending *pending = &inode->pending[i];
            if (pending->page == NULL && pending->order < survival->cut) before++;
        }
        return before;
    case SIM_RANDOM_SUBSET: /* Half of the time all: lost sizes hide what happened to data. */
        if (survival_draw(survival, 128)) return count;
        return (size_t)(sim_mix(&survival->random) % (count + 1));
    case SIM_ALL:
    case SIM_ZEROED:
    case SIM_SIZE_EXTENDED:
    case SIM_PROCESS_KILL:
        break;
    }
    return count;
}

static uint8_t survival_subset(struct survival *survival, uint8_t sectors)
{
    uint8_t chosen = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((sectors >> i & 1) != 0 && survival_draw(survival, survival->data_chance))
            chosen = (uint8_t)(chosen | 1u << i);
    return chosen;
}

/* The first sectors of a write that was under way. */
static uint8_t survival_torn(struct survival *survival, uint8_t sectors)
{
    const unsigned first = (unsigned)__builtin_ctz(sectors);
    const unsigned count = (unsigned)__builtin_popcount(sectors);
    const unsigned whole = (unsigned)(sim_mix(&survival->random) % (count + 1));
    return (uint8_t)(sectors & ~(0xFFu << (first + whole)));
}

static uint8_t survival_sectors(struct survival *survival, const struct pending *pending,
                                uint64_t old_size)
{
    const bool grown = (uint64_t)pending->page_index * DISK_PAGE >= old_size;
    switch (survival->mode) {
    case SIM_NONE:
    case SIM_SIZE_EXTENDED:
        return 0;
    case SIM_RANDOM_SUBSET:
        return survival_subset(survival, pending->sectors);
    case SIM_PREFIX_TORN:
        if (pending->order < survival->cut) return pending->sectors;
        if (pending->order > survival->cut) return 0;
        return survival_torn(survival, pending->sectors);
    case SIM_ZEROED:
        if (!grown) return survival_subset(survival, pending->sectors);
        return survival_draw(survival, survival->data_chance) ? pending->sectors : 0;
    case SIM_ALL:
    case SIM_PROCESS_KILL:
        break;
    }
    return pending->sectors;
}

/* The file as it is after the crash; takes the durable image out of `old`. */
static struct inode *inode_survive(struct inode *old, struct survival *survival)
{
    struct inode *inode = inode_create(old->number);
    const uint64_t old_size = old->durable.size;
    size_t sizes = 0;
    for (size_t i = 0; i < old->pending_count; i++) sizes += old->pending[i].page == NULL;
    sizes = survival_sizes(survival, old, sizes);
    inode->durable = old->durable;
    old->durable = (struct image){0};
    for (size_t i = 0; i < old->pending_count; i++) {
        const struct pending *pending = &old->pending[i];
        if (pending->page != NULL)
            inode_apply(&inode->durable, pending, survival_sectors(survival, pending, old_size));
        else if (sizes != 0) {
            image_resize(&inode->durable, pending->size);
            sizes--;
        }
    }
    image_clean_tail(&inode->durable); /* A sector may have reached over the size that survived. */
    inode->cache = image_copy(&inode->durable);
    return inode;
}

static void survival_range(uint64_t order, uint64_t *low, uint64_t *high)
{
    if (order < *low) *low = order;
    if (order + 1 > *high) *high = order + 1;
}

/* The moment that a prefix ends: between the first pending change and past the last. */
static uint64_t survival_cut(const struct disk *disk, uint64_t *random)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < disk->change_count; i++)
        survival_range(disk->changes[i].order, &low, &high);
    const struct directory *const both[] = {&disk->current, &disk->durable};
    for (size_t b = 0; b < COUNT_OF(both); b++) {
        for (size_t i = 0; i < both[b]->count; i++) {
            const struct inode *inode = both[b]->names[i].inode;
            if (inode->pending_count == 0) continue;
            survival_range(inode->pending[0].order, &low, &high);
            survival_range(inode->pending[inode->pending_count - 1].order, &low, &high);
        }
    }
    return high == 0 ? 0 : low + sim_mix(random) % (high - low + 1);
}

static bool name_touches(const struct name_change *change, const char *path)
{
    if (path == NULL) return false;
    return strcmp(change->path, path) == 0 ||
           (change->from != NULL && strcmp(change->from, path) == 0);
}

/* A change that survives takes along the earlier ones of the same names: file systems order
 * these, and without it "rename a b, create a" could lose the file that a was. */
static void survive_names(struct disk *disk, struct survival *survival)
{
    const size_t count = disk->change_count;
    bool *chosen = sim_memory(NULL, count, sizeof *chosen);
    for (size_t i = 0; i < count; i++) chosen[i] = survival_name(survival, disk->changes[i].order);
    for (size_t i = count; i-- > 0;) {
        const struct name_change *later = &disk->changes[i];
        for (size_t k = 0; k < i && chosen[i]; k++)
            if (name_touches(&disk->changes[k], later->path) ||
                name_touches(&disk->changes[k], later->from))
                chosen[k] = true;
    }
    for (size_t i = 0; i < count; i++)
        if (chosen[i]) directory_apply(&disk->durable, &disk->changes[i]);
    free(chosen);
}

void disk_crash(struct disk *disk, enum sim_mode mode, uint64_t seed)
{
    static const uint32_t chances[] = {26, 64, 128, 192, 230}; /* 10 to 90 %. */
    struct survival survival = {.mode = mode, .random = seed};
    const uint64_t drawn = sim_mix(&survival.random);
    survival.data_chance = chances[drawn % COUNT_OF(chances)];
    survival.name_chance = chances[drawn / 256 % COUNT_OF(chances)];
    if (mode == SIM_PREFIX_TORN) survival.cut = survival_cut(disk, &survival.random);

    survive_names(disk, &survival);
    for (size_t i = 0; i < disk->durable.count; i++) {
        struct name *name = &disk->durable.names[i];
        struct inode *inode = inode_survive(name->inode, &survival);
        inode_release(name->inode);
        name->inode = inode;
    }
    directory_deinit(&disk->current);
    for (size_t i = 0; i < disk->durable.count; i++)
        directory_set(&disk->current, disk->durable.names[i].path, disk->durable.names[i].inode);
    while (disk->change_count != 0) change_deinit(&disk->changes[--disk->change_count]);
}

/* ---- Disks ---- */

struct clone_map {
    struct {
        const struct inode *from;
        struct inode *to;
    } * pairs;
    size_t count, capacity;
};

static struct inode *clone_inode(struct clone_map *map, const struct inode *from)
{
    for (size_t i = 0; i < map->count; i++)
        if (map->pairs[i].from == from) return inode_retain(map->pairs[i].to);
    struct inode *to = inode_create(from->number);
    to->cache = image_copy(&from->cache);
    to->allocated = from->allocated;
    to->durable = image_copy(&from->durable);
    to->diverged = from->diverged;
    to->pending_count = to->pending_capacity = from->pending_count;
    to->pending = sim_memory(NULL, from->pending_count, sizeof *to->pending);
    for (size_t i = 0; i < from->pending_count; i++) {
        to->pending[i] = from->pending[i];
        page_retain(to->pending[i].page);
    }
    DISK_GROW(map->pairs, map->count, map->capacity);
    map->pairs[map->count].from = from;
    map->pairs[map->count++].to = to;
    return to;
}

static void clone_directory(struct clone_map *map, struct directory *to,
                            const struct directory *from)
{
    to->count = to->capacity = from->count;
    to->names = sim_memory(NULL, from->count, sizeof *to->names);
    for (size_t i = 0; i < from->count; i++)
        to->names[i] = (struct name){.path = name_copy(from->names[i].path),
                                     .inode = clone_inode(map, from->names[i].inode)};
}

void disk_clone(struct disk *to, const struct disk *from)
{
    struct clone_map map = {0};
    *to = (struct disk){.order = from->order, .next_inode = from->next_inode};
    clone_directory(&map, &to->current, &from->current);
    clone_directory(&map, &to->durable, &from->durable);
    to->change_count = to->change_capacity = from->change_count;
    to->changes = sim_memory(NULL, from->change_count, sizeof *to->changes);
    for (size_t i = 0; i < from->change_count; i++) {
        const struct name_change *change = &from->changes[i];
        to->changes[i] = (struct name_change){
            .order = change->order,
            .inode = change->inode != NULL ? clone_inode(&map, change->inode) : NULL,
            .path = name_copy(change->path),
            .from = name_copy(change->from)};
    }
    free(map.pairs);
}

void disk_deinit(struct disk *disk)
{
    directory_deinit(&disk->current);
    directory_deinit(&disk->durable);
    while (disk->change_count != 0) change_deinit(&disk->changes[--disk->change_count]);
    free(disk->changes);
}

uint64_t disk_hash(const struct disk *disk)
{
    uint64_t sum = disk->durable.count; /* A sum: the order of names means nothing. */
    for (size_t i = 0; i < disk->durable.count; i++) {
        const struct name *name = &disk->durable.names[i];
        sum += checksum64_seeded(name->path, strlen(name->path), image_hash(&name->inode->durable));
    }
    return sum;
}

uint64_t disk_used(const struct disk *disk)
{
    uint64_t pages = 0;
    for (size_t i = 0; i < disk->current.count; i++) {
        const struct inode *inode = disk->current.names[i].inode;
        const struct image *cache = &inode->cache;
        pages += inode->allocated;
        for (size_t k = inode->allocated; k < cache->page_count; k++)
            pages += cache->pages[k] != NULL;
    }
    return pages * DISK_PAGE;
}
