#include "screen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

bool screen_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

size_t screen_width(int fd)
{
    struct winsize size;
    if (!screen_is_terminal(fd)) return SIZE_MAX;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
    return size.ws_col;
}

const char *screen_colour(int fd, enum screen_style style)
{
    static const char *const SEQUENCES[] = {
        [SCREEN_RESET] = "\033[0m", [SCREEN_BOLD] = "\033[1m",   [SCREEN_DIM] = "\033[2m",
        [SCREEN_RED] = "\033[31m",  [SCREEN_GREEN] = "\033[32m",
    };
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (no_color != NULL && no_color[0] != '\0') return "";
    if (term != NULL && strcmp(term, "dumb") == 0) return "";
    return screen_is_terminal(fd) ? SEQUENCES[style] : "";
}

/* Decodes one character; returns its bytes, 0 when they aren't valid UTF-8. */
static size_t decode_utf8(const unsigned char *bytes, size_t size, uint32_t *out)
{
    static const uint32_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = bytes[0];
    size_t length = first < 0x80 ? 1 : (first & 0xe0) == 0xc0 ? 2 : (first & 0xf0) == 0xe0 ? 3 : 4;
    if (length == 1) {
        *out = first;
        return 1;
    }
    if ((length == 4 && (first & 0xf8) != 0xf0) || length > size) return 0;
    uint32_t value = first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (bytes[i] & 0x3fu);
    }
    if (value < LEAST[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
    *out = value;
    return length;
}

void screen_append_printable(struct text *out, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint32_t character = 0;
        size_t length = decode_utf8((const unsigned char *)bytes + i, size - i, &character);
        bool control = character < 0x20 || (character >= 0x7f && character < 0xa0) ||
                       (character >= 0x202a && character <= 0x202e) || /* Direction overrides. */
                       (character >= 0x2066 && character <= 0x2069);
        if (length == 0 || control) {
            text_append_string(out, "\xef\xbf\xbd");
        } else {
            text_append(out, bytes + i, length);
        }
        i += length == 0 ? 1 : length;
    }
}

/* The columns of the character at `bytes`, its byte count in *length. */
static size_t character_width(const char *bytes, size_t size, size_t *length)
{
    uint32_t character = 0;
    *length = decode_utf8((const unsigned char *)bytes, size, &character);
    if (*length == 0) {
        *length = 1;
        return 1;
    }
    int width = wcwidth((wchar_t)character);
    return width < 0 ? 1 : (size_t)width; /* -1: a locale without this character. */
}

size_t screen_text_width(const char *bytes, size_t size)
{
    size_t width = 0;
    size_t length;
    for (size_t i = 0; i < size; i += length)
        width += character_width(bytes + i, size - i, &length);
    return width;
}

struct screen_number screen_count(int fd, uint64_t value)
{
    struct screen_number out;
    char digits[32];
    int count = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    const char *separator = "";
    if (screen_is_terminal(fd)) {
        /* U+202F is narrow and doesn't break; a terminal without UTF-8 gets a comma. */
        separator = MB_CUR_MAX > 1 ? "\xe2\x80\xaf" : ",";
    }
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (i != 0 && (count - i) % 3 == 0) {
            size_t size = strlen(separator);
            memcpy(out.text + used, separator, size);
            used += size;
        }
        out.text[used++] = digits[i];
    }
    out.text[used] = '\0';
    return out;
}

struct screen_number screen_bytes(uint64_t value)
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct screen_number out;
    double scaled = (double)value;
    size_t unit = 0;
    while (scaled >= 1023.5 && unit + 1 < sizeof(UNITS) / sizeof(UNITS[0])) {
        scaled /= 1024.0;
        unit++;
    }
    int digits = unit == 0 || scaled >= 99.95 ? 0 : 1;
    (void)snprintf(out.text, sizeof(out.text), "%.*f %s", digits, scaled, UNITS[unit]);
    return out;
}

struct screen_number screen_seconds(double value)
{
    struct screen_number out;
    if (value < 0.001) {
        (void)snprintf(out.text, sizeof(out.text), "%.0f us", value * 1e6);
    } else if (value < 1.0) {
        (void)snprintf(out.text, sizeof(out.text), "%.2f ms", value * 1e3);
    } else if (value < 60.0) {
        (void)snprintf(out.text, sizeof(out.text), "%.2f s", value);
    } else {
        uint64_t whole = (uint64_t)value;
        (void)snprintf(out.text, sizeof(out.text), "%llu:%02llu", (unsigned long long)(whole / 60),
                       (unsigned long long)(whole % 60));
    }
    return out;
}

struct screen_number screen_real(double value)
{
    struct screen_number out;
    for (int precision = 6; precision <= 9; precision++) {
        (void)snprintf(out.text, sizeof(out.text), "%.*g", precision, value);
        if (strtof(out.text, NULL) == (float)value) break;
    }
    return out;
}

void screen_table_init(struct screen_table *table, size_t columns_count)
{
    *table = (struct screen_table){.columns_count = columns_count};
    table->titles = memory_create(columns_count, sizeof(table->titles[0]));
    table->right = memory_create(columns_count, sizeof(table->right[0]));
}

static void clear_cells(struct screen_table *table)
{
    for (size_t i = 0; i < table->cells_count; i++) free(table->cells[i]);
    table->cells_count = 0;
}

void screen_table_deinit(struct screen_table *table)
{
    clear_cells(table);
    free(table->titles);
    free(table->right);
    free(table->cells);
    *table = (struct screen_table){0};
}

void screen_table_title(struct screen_table *table, size_t column, const char *title, bool right)
{
    table->titles[column] = title;
    table->right[column] = right;
}

void screen_table_cell(struct screen_table *table, const char *bytes, size_t size)
{
    if (table->cells_count == table->cells_capacity) {
        table->cells_capacity = table->cells_capacity == 0 ? 64 : table->cells_capacity * 2;
        table->cells = memory_resize(table->cells, table->cells_capacity, sizeof(table->cells[0]));
    }
    struct text clean = {0};
    text_reserve(&clean, size);
    clean.data[0] = '\0';
    screen_append_printable(&clean, bytes, size);
    table->cells[table->cells_count++] = clean.data;
}

/* Prints a cell padded to `width` columns; `cut` ends a longer one with an ellipsis. */
static void print_cell(const char *cell, size_t width, bool cut, bool right, bool last)
{
    size_t size = strlen(cell);
    size_t columns = screen_text_width(cell, size);
    size_t used = 0;
    if (columns > width && cut) {
        size_t length;
        for (size_t i = 0; i < size; i += length) {
            size_t next = character_width(cell + i, size - i, &length);
            if (used + next + 1 > width) {
                size = i;
                break;
            }
            used += next;
        }
        columns = used + 1;
    }
    size_t padding = columns > width ? 0 : width - columns;
    if (right) (void)printf("%*s", (int)padding, "");
    (void)fwrite(cell, 1, size, stdout);
    if (size != strlen(cell)) (void)fputs("\xe2\x80\xa6", stdout);
    if (!right && !last) (void)printf("%*s", (int)padding, "");
}

/* Narrows the widest columns until a row fits the terminal; no column under 8. */
static void fit_widths(size_t *widths, size_t count, size_t room)
{
    enum { NARROWEST = 8 };
    size_t total = count == 0 ? 0 : 2 * (count - 1);
    for (size_t c = 0; c < count; c++) total += widths[c];
    while (total > room) {
        size_t widest = 0;
        for (size_t c = 1; c < count; c++) {
            if (widths[c] > widths[widest]) widest = c;
        }
        if (widths[widest] <= NARROWEST) return;
        widths[widest]--;
        total--;
    }
}

void screen_table_print(struct screen_table *table, bool with_titles)
{
    size_t count = table->columns_count;
    size_t *widths = memory_create(count, sizeof(widths[0]));
    for (size_t c = 0; with_titles && c < count; c++) {
        widths[c] = screen_text_width(table->titles[c], strlen(table->titles[c]));
    }
    for (size_t i = 0; i < table->cells_count; i++) {
        size_t width = screen_text_width(table->cells[i], strlen(table->cells[i]));
        if (width > widths[i % count]) widths[i % count] = width;
    }
    enum { WIDEST_PADDED = 60 }; /* Elsewhere a huge cell sticks out and costs no padding. */
    size_t room = screen_width(STDOUT_FILENO);
    bool cut = room != SIZE_MAX;
    if (cut) fit_widths(widths, count, room);
    for (size_t c = 0; !cut && c < count; c++) {
        if (widths[c] > WIDEST_PADDED) widths[c] = WIDEST_PADDED;
    }
    for (size_t c = 0; with_titles && c < count; c++) {
        (void)fputs(screen_colour(STDOUT_FILENO, SCREEN_BOLD), stdout);
        print_cell(table->titles[c], widths[c], cut, table->right[c], c + 1 == count);
        (void)fputs(screen_colour(STDOUT_FILENO, SCREEN_RESET), stdout);
        (void)fputs(c + 1 == count ? "\n" : "  ", stdout);
    }
    for (size_t i = 0; i < table->cells_count; i++) {
        size_t c = i % count;
        print_cell(table->cells[i], widths[c], cut, table->right[c], c + 1 == count);
        (void)fputs(c + 1 == count ? "\n" : "  ", stdout);
    }
    free(widths);
    clear_cells(table);
}
