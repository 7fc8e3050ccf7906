#include "progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "screen.h"

static const double REDRAW_SECONDS = 0.1;

/* The one line there is. `waiting`, `what` and `drawn` are guarded by `lock`. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t waiter;
    bool active;
    bool waiting;
    bool drawn;
    double began;
    double last;
    const char *what, *unit;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

double progress_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Cuts to the terminal's width (a wrapped line can't be taken back) and replaces the old line. */
static void draw(const struct text *content)
{
    size_t room = screen_width(STDERR_FILENO) - 1;
    size_t size = content->size;
    while (size > 0 && screen_text_width(content->data, size) > room) {
        do {
            size--;
        } while (size > 0 && ((unsigned char)content->data[size] & 0xc0) == 0x80);
    }
    (void)fprintf(stderr, "\r%.*s\033[K", (int)size, content->data);
    (void)fflush(stderr);
    line.drawn = true;
}

static void clear_drawn(void)
{
    if (line.drawn) (void)fputs("\r\033[K", stderr);
    line.drawn = false;
}

void progress_begin(const char *what, const char *unit)
{
    line.active = screen_is_terminal(STDERR_FILENO);
    line.began = progress_now();
    line.last = line.began;
    line.what = what;
    line.unit = unit;
}

static void append_bar(struct text *out, uint64_t done, uint64_t total)
{
    enum { BAR_CELLS = 20 };
    char bar[BAR_CELLS + 1];
    double part = (double)done / (double)total;
    size_t full = (size_t)(part * BAR_CELLS);
    memset(bar, '-', BAR_CELLS);
    memset(bar, '#', full > BAR_CELLS ? BAR_CELLS : full);
    bar[BAR_CELLS] = '\0';
    text_append_format(out, "  [%s]  %3.0f %%", bar, part * 100.0);
}

void progress_update(uint64_t done, uint64_t total, uint64_t units)
{
    if (!line.active) return;
    double now = progress_now();
    if (now - line.last < REDRAW_SECONDS) return;
    line.last = now;
    double elapsed = now - line.began;
    struct text content = {0};
    screen_append_printable(&content, line.what, strlen(line.what));
    if (done > total) done = total;
    if (total != 0) append_bar(&content, done, total);
    text_append_format(
        &content, "  %s %s  %s %s/s", screen_count(STDERR_FILENO, units).text, line.unit,
        screen_count(STDERR_FILENO, (uint64_t)((double)units / elapsed)).text, line.unit);
    if (total != 0 && done != 0) {
        uint64_t left = (uint64_t)(elapsed * (double)(total - done) / (double)done + 0.5);
        text_append_format(&content, "  ETA %llu:%02llu", (unsigned long long)(left / 60),
                           (unsigned long long)(left % 60));
    }
    (void)pthread_mutex_lock(&line.lock);
    draw(&content);
    (void)pthread_mutex_unlock(&line.lock);
    text_deinit(&content);
}

void progress_clear(void)
{
    (void)pthread_mutex_lock(&line.lock);
    clear_drawn();
    (void)pthread_mutex_unlock(&line.lock);
}

void progress_end(void)
{
    progress_clear();
    line.active = false;
}

static void *wait_main(void *argument)
{
    (void)argument;
    (void)pthread_mutex_lock(&line.lock);
    while (line.waiting) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000; /* REDRAW_SECONDS */
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        (void)pthread_cond_timedwait(&line.wake, &line.lock, &until);
        if (!line.waiting) break;
        struct text content = {0};
        screen_append_printable(&content, line.what, strlen(line.what));
        text_append_format(&content, "  %.1f s", progress_now() - line.began);
        draw(&content);
        text_deinit(&content);
    }
    (void)pthread_mutex_unlock(&line.lock);
    return NULL;
}

void progress_wait_begin(const char *what)
{
    if (!screen_is_terminal(STDERR_FILENO)) return;
    line.began = progress_now();
    line.what = what;
    line.waiting = true;
    if (pthread_create(&line.waiter, NULL, wait_main, NULL) != 0) line.waiting = false;
}

void progress_wait_end(void)
{
    (void)pthread_mutex_lock(&line.lock);
    bool was_waiting = line.waiting;
    line.waiting = false;
    (void)pthread_cond_signal(&line.wake);
    (void)pthread_mutex_unlock(&line.lock);
    if (was_waiting) (void)pthread_join(line.waiter, NULL);
    progress_clear();
}
