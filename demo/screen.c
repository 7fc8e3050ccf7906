#include "screen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH_MIN = 40, WIDTH_MAX = 100, WIDTH_DEFAULT = 80 };

static bool on_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

size_t screen_width(void)
{
    const char *columns = getenv("COLUMNS");
    long width = columns == NULL ? 0 : strtol(columns, NULL, 10);
    struct winsize size;
    if (width <= 0 && on_terminal() && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        width = size.ws_col;
    }
    if (width <= 0) width = WIDTH_DEFAULT;
    return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : (size_t)width;
}

const char *screen_style(enum screen_style style)
{
    static const char *const SEQUENCES[] = {
        [SCREEN_PLAIN] = "\033[0m",
        [SCREEN_BOLD] = "\033[1m",
        [SCREEN_DIM] = "\033[2m",
        [SCREEN_GREEN] = "\033[32m",
    };
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!on_terminal() || (no_color != NULL && no_color[0] != '\0')) return "";
    if (term == NULL || strcmp(term, "dumb") == 0) return "";
    return SEQUENCES[style];
}

void screen_heading(const char *text)
{
    (void)printf("\n%s%s%s\n", screen_style(SCREEN_BOLD), text, screen_style(SCREEN_PLAIN));
    (void)fflush(stdout);
}

void screen_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("   ", stdout);
    (void)vprintf(format, arguments);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    va_end(arguments);
}

void screen_fact(const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)printf("   %s%-13s%s", screen_style(SCREEN_GREEN), name, screen_style(SCREEN_PLAIN));
    (void)vprintf(format, arguments);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    va_end(arguments);
}

void screen_bar(uint64_t done, uint64_t total)
{
    enum { CELLS = 24 };
    char bar[CELLS + 1];
    if (!on_terminal() || total == 0) return;
    size_t filled = (size_t)(done * CELLS / total);
    for (size_t i = 0; i < CELLS; i++) bar[i] = i < filled ? '#' : '-';
    bar[CELLS] = '\0';
    (void)printf("\r   [%s] %7s", bar, screen_count(done).text);
    (void)fflush(stdout);
}

void screen_bar_clear(void)
{
    if (!on_terminal()) return;
    (void)printf("\r%*s\r", WIDTH_MIN - 1, "");
    (void)fflush(stdout);
}

/* Bytes of the first `columns` characters. */
static size_t bytes_of(const char *text, size_t size, size_t columns)
{
    size_t i = 0;
    while (i < size) {
        if (((unsigned char)text[i] & 0xc0) != 0x80 && columns-- == 0) break;
        i++;
    }
    return i;
}

size_t screen_cut(const char *text, size_t size, size_t width, bool *cut)
{
    *cut = bytes_of(text, size, width) != size;
    if (!*cut) return size;
    return bytes_of(text, size, width < 3 ? 0 : width - 3);
}

struct screen_text screen_count(uint64_t value)
{
    struct screen_text out;
    char digits[24];
    size_t count = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i != 0 && (count - i) % 3 == 0) out.text[used++] = ',';
        out.text[used++] = digits[i];
    }
    out.text[used] = '\0';
    return out;
}

struct screen_text screen_bytes(uint64_t value)
{
    struct screen_text out;
    (void)snprintf(out.text, sizeof out.text, "%.1f MB", (double)value / 1e6);
    return out;
}

struct screen_text screen_seconds(double value)
{
    struct screen_text out;
    if (value < 0.0000995) {
        (void)snprintf(out.text, sizeof out.text, "%.0f us", value * 1e6);
    } else if (value < 0.00995) {
        (void)snprintf(out.text, sizeof out.text, "%.2f ms", value * 1e3);
    } else if (value < 0.9995) {
        (void)snprintf(out.text, sizeof out.text, "%.0f ms", value * 1e3);
    } else {
        (void)snprintf(out.text, sizeof out.text, "%.1f s", value);
    }
    return out;
}

double screen_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

__attribute__((format(printf, 1, 0))) static void complain(const char *format, va_list arguments,
                                                           const char *reason)
{
    screen_bar_clear();
    (void)fflush(stdout);
    (void)fputs("demo: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "%s%s\n", reason == NULL ? "" : ": ", reason == NULL ? "" : reason);
}

_Noreturn void screen_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments, NULL);
    va_end(arguments);
    exit(1);
}

_Noreturn void screen_die_errno(const char *format, ...)
{
    const char *reason = strerror(errno);
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments, reason);
    va_end(arguments);
    exit(1);
}
