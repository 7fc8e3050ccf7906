/* screen.h - what the visitor reads: headings, facts, a bar, numbers in their usual dress.
 *
 *     1. Load                                        screen_heading
 *        Into the file ...                           screen_say
 *        Loaded       10,000 documents in 0.2 s      screen_fact
 *        [##########----------]  5,000 of 10,000     screen_bar
 *
 * Invariants
 *  1. Colours and the bar appear only on a terminal, colours never with NO_COLOR set
 *     (no-color.org) or TERM=dumb.
 *  2. No line that is cut to the screen is wider than screen_width(). The texts themselves fit
 *     into 80 columns.
 *  3. Output is ASCII, but for what stands in the data.
 *
 * Threads: one. All to stdout, messages of screen_die() to stderr.
 */
#ifndef DEMO_SCREEN_H
#define DEMO_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum screen_style { SCREEN_PLAIN, SCREEN_BOLD, SCREEN_DIM, SCREEN_GREEN };

/* COLUMNS if it is set, else the terminal's, else 80; from 40 to 100. */
size_t screen_width(void);
/* The escape sequence, or "" by invariant 1. */
const char *screen_style(enum screen_style style);

void screen_heading(const char *text);
void screen_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void screen_fact(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Draws the line again, if it is a terminal; screen_bar_clear() takes it away. */
void screen_bar(uint64_t done, uint64_t total);
void screen_bar_clear(void);

/* The bytes of `text` that fill at most `width` columns, "..." included, which the caller prints
 * behind them if *cut. A character is one column: the summaries hold no wide ones. */
size_t screen_cut(const char *text, size_t size, size_t width, bool *cut);

/* For use within one expression. */
struct screen_text {
    char text[32];
};
struct screen_text screen_count(uint64_t value); /* 12,345 */
struct screen_text screen_bytes(uint64_t value); /* 14.6 MB; decimal, as disks are sold */
struct screen_text screen_seconds(double value); /* 17 us, 0.42 ms, 17 ms, 1.3 s */

double screen_now(void); /* Seconds of a clock that never goes back. */

/* Says on stderr what is wrong and ends the program with exit status 1. */
_Noreturn void screen_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, with the reason of errno behind it. */
_Noreturn void screen_die_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* DEMO_SCREEN_H */
