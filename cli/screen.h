/* screen.h - what people read: aligned tables, colours, grouped numbers.
 *
 * Invariants
 *  1. Colours appear only on a terminal, never with NO_COLOR set (no-color.org) or TERM=dumb.
 *  2. Nothing that came from a file reaches a terminal as a control character.
 *  3. On a terminal tables are cut to its width and numbers grouped by thin spaces; elsewhere
 *     nothing is cut and numbers are plain digits, so that other programs can read them.
 */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum screen_style { SCREEN_RESET, SCREEN_BOLD, SCREEN_DIM, SCREEN_RED, SCREEN_GREEN };

bool screen_is_terminal(int fd);
size_t screen_width(int fd); /* Columns; SIZE_MAX where it is no terminal. */
/* The escape sequence, or "" by invariant 1. */
const char *screen_colour(int fd, enum screen_style style);

/* Valid UTF-8 without control characters: each bad byte or control becomes U+FFFD. */
void screen_append_printable(struct text *out, const char *bytes, size_t size);
/* Columns that printable UTF-8 takes. */
size_t screen_text_width(const char *bytes, size_t size);

/* For one use within an expression: each returns its own small buffer. */
struct screen_number {
    char text[64];
};
struct screen_number screen_count(int fd, uint64_t value); /* 12 345 */
struct screen_number screen_bytes(uint64_t value);         /* 1.2 MiB */
struct screen_number screen_seconds(double value);         /* 1.23 ms, 4.5 s, 2:03 */
struct screen_number screen_real(double value);            /* Shortest that reads back as f32. */

/* A table is filled cell by cell, row by row, then printed to stdout. */
struct screen_table {
    size_t columns_count;
    const char **titles; /* [columns_count] borrowed */
    bool *right;         /* [columns_count] aligned right */
    char **cells;        /* [cells_count] owned, printable */
    size_t cells_count;
    size_t cells_capacity;
};

void screen_table_init(struct screen_table *table, size_t columns_count);
void screen_table_deinit(struct screen_table *table);
void screen_table_title(struct screen_table *table, size_t column, const char *title, bool right);
void screen_table_cell(struct screen_table *table, const char *bytes, size_t size);
/* Prints and empties the rows. */
void screen_table_print(struct screen_table *table, bool with_titles);

#endif /* CLI_SCREEN_H */
