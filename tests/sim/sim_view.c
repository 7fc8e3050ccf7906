/* sim_view.c - mappings: flat copies of a file's page cache, kept up to date by every write.
 *
 * A view that nobody maps any more goes to a pool with its content and the list of the pages that
 * it shows. The next file with nearly the same pages (another crash image of the same disk) then
 * copies only those that differ.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/sim_disk.h"

enum { VIEW_POOL = 16 };
static const size_t view_length_min = (size_t)1 << 30; /* Address space only. */

static _Thread_local struct view *view_pool;
static _Thread_local size_t view_pool_count;

static struct view *view_create(size_t length)
{
    if (length < view_length_min) length = view_length_min;
    length = (length + DISK_PAGE - 1) & ~(size_t)(DISK_PAGE - 1);
    void *base = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return NULL;
    struct view *view = sim_memory(NULL, 1, sizeof *view);
    *view = (struct view){.base = base, .length = length};
    return view;
}

/* From the pool: one that had this file, else any that is long enough, else a new one. */
static struct view *view_obtain(uint64_t inode_number, size_t length)
{
    struct view **best = NULL;
    for (struct view **at = &view_pool; *at != NULL; at = &(*at)->next) {
        if ((*at)->length < length) continue;
        if (best == NULL || (*at)->inode_number == inode_number) best = at;
        if ((*best)->inode_number == inode_number) break;
    }
    if (best == NULL) return view_create(length);
    struct view *view = *best;
    *best = view->next;
    view_pool_count--;
    return view;
}

void view_deinit(struct view *view)
{
    if (view_pool_count < VIEW_POOL) {
        view->next = view_pool;
        view_pool = view;
        view_pool_count++;
        return;
    }
    (void)munmap(view->base, view->length);
    for (size_t i = 0; i < view->shown_count; i++) page_release(view->shown[i]);
    free(view->shown);
    free(view);
}

/* NULL in `shown` is zeros, which fresh address space is too. */
static void view_show(struct view *view, size_t index, struct page *page)
{
    if ((index + 1) * DISK_PAGE > view->accessible) return; /* Past a short mapping. */
    if (index >= view->shown_count) {
        if (index >= view->shown_capacity) {
            view->shown_capacity = 2 * index + 16;
            view->shown = sim_memory(view->shown, view->shown_capacity, sizeof(struct page *));
        }
        while (view->shown_count <= index) view->shown[view->shown_count++] = NULL;
    }
    if (view->shown[index] == page) return;
    page_retain(page);
    page_release(view->shown[index]);
    view->shown[index] = page;
    uint8_t *at = view->base + index * DISK_PAGE;
    if (page != NULL) memcpy(at, page->bytes, DISK_PAGE);
    else memset(at, 0, DISK_PAGE);
}

static void view_allow(struct view *view, size_t bytes)
{
    if (bytes > view->length) bytes = view->length;
    if (bytes == view->accessible) return;
    const size_t low = bytes < view->accessible ? bytes : view->accessible;
    const size_t high = bytes < view->accessible ? view->accessible : bytes;
    const int protection = bytes < view->accessible ? PROT_NONE : PROT_READ | PROT_WRITE;
    if (mprotect(view->base + low, high - low, protection) != 0) abort();
    view->accessible = bytes;
}

void view_page(struct inode *inode, size_t page_index)
{
    for (struct view *view = inode->views; view != NULL; view = view->next)
        view_show(view, page_index, inode->cache.pages[page_index]);
}

void view_resize(struct inode *inode)
{
    for (struct view *view = inode->views; view != NULL; view = view->next) {
        const size_t before = view->accessible / DISK_PAGE;
        view_allow(view, inode->cache.page_count * DISK_PAGE);
        for (size_t i = before; i < inode->cache.page_count; i++)
            view_show(view, i, inode->cache.pages[i]);
    }
    /* A cut through a page has made zeros of its rest. */
    if (inode->cache.page_count != 0) view_page(inode, inode->cache.page_count - 1);
}

struct view *view_take(struct inode *inode, size_t length)
{
    struct view *view = inode->views;
    while (view != NULL && view->length < length) view = view->next;
    if (view == NULL) {
        view = view_obtain(inode->number, length);
        if (view == NULL) return NULL;
        view->inode_number = inode->number;
        view->mappings = 0;
        view_allow(view, inode->cache.page_count * DISK_PAGE);
        for (size_t i = 0; i < inode->cache.page_count; i++)
            view_show(view, i, inode->cache.pages[i]);
        view->next = inode->views;
        inode->views = view;
    }
    view->mappings++;
    return view;
}

void view_release(struct inode *inode, const void *base)
{
    struct view **at = &inode->views;
    while (*at != NULL && (*at)->base != base) at = &(*at)->next;
    SIM_REQUIRE(*at != NULL); /* Never mapped, or unmapped twice. */
    struct view *view = *at;
    if (--view->mappings != 0) return;
    *at = view->next;
    view_deinit(view);
}

struct view *view_find(const struct inode *inode, const void *address)
{
    const uint8_t *const byte = address;
    struct view *view = inode->views;
    while (view != NULL && !(byte >= view->base && byte < view->base + view->length))
        view = view->next;
    return view;
}
