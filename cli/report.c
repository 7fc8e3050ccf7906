#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void report_append(struct text *out, const char *key, const json_t *value)
{
    bool is_size = strstr(key, "bytes") != NULL;
    if (json_is_string(value)) {
        text_append(out, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value) && json_integer_value(value) >= 0) {
        uint64_t number = (uint64_t)json_integer_value(value);
        text_append_string(out, is_size ? screen_bytes(number).text
                                        : screen_count(STDOUT_FILENO, number).text);
    } else if (json_is_boolean(value)) {
        text_append_string(out, json_is_true(value) ? "yes" : "no");
    } else if (json_is_null(value)) {
        text_append_byte(out, '-');
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        text_append_string(out, text == NULL ? "?" : text);
        free(text);
    }
}

void report_cell(struct screen_table *table, const char *key, const json_t *value)
{
    struct text cell = {0};
    report_append(&cell, key, value);
    screen_table_cell(table, cell.data == NULL ? "" : cell.data, cell.size);
    text_deinit(&cell);
}

static bool is_table(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) != 0 &&
           json_is_object(json_array_get(value, 0));
}

static bool is_cell(const json_t *value)
{
    return !is_table(value) && !json_is_object(value);
}

/* Nested objects become names with dots; arrays of objects come later, as tables. */
static void add_lines(struct screen_table *table, const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct text name = {0};
        text_append_format(&name, "%s%s", prefix, key);
        if (json_is_object(value)) {
            text_append_byte(&name, '.');
            add_lines(table, name.data, value);
        } else if (is_cell(value)) {
            screen_table_cell(table, name.data, name.size);
            report_cell(table, name.data, value);
        }
        text_deinit(&name);
    }
}

static void print_array(const char *title, const json_t *array);

/* The tables inside, however deep, titled like lines. */
static void print_tables(const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct text name = {0};
        text_append_format(&name, "%s%s", prefix, key);
        if (is_table(value)) {
            print_array(name.data, value);
        } else if (json_is_object(value)) {
            text_append_byte(&name, '.');
            print_tables(name.data, value);
        }
        text_deinit(&name);
    }
}

/* What a row has beside its cells, titled "key of name". */
static void print_inside(const char *title, const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        struct text inner = {0};
        if (is_cell(value)) continue;
        text_append_format(&inner, "%s of ", key);
        screen_append_printable(&inner, name == NULL ? title : name,
                                strlen(name == NULL ? title : name));
        if (is_table(value)) {
            print_array(inner.data, value);
        } else {
            (void)printf("\n%s\n", inner.data);
            report_print(value);
        }
        text_deinit(&inner);
    }
}

/* The columns are the members of the first object. */
static void print_array(const char *title, const json_t *array)
{
    struct screen_table table;
    json_t *first = json_array_get(array, 0);
    const char *key;
    json_t *value;
    size_t columns = 0;
    json_object_foreach(first, key, value) columns += is_cell(value) ? 1 : 0;
    screen_table_init(&table, columns);
    columns = 0;
    json_object_foreach(first, key, value)
    {
        if (is_cell(value)) screen_table_title(&table, columns++, key, json_is_number(value));
    }
    for (size_t row = 0; row < json_array_size(array); row++) {
        json_object_foreach(first, key, value)
        {
            const json_t *cell = json_object_get(json_array_get(array, row), key);
            if (is_cell(value)) report_cell(&table, key, cell == NULL ? json_null() : cell);
        }
    }
    (void)printf("\n%s\n", title);
    if (columns != 0) screen_table_print(&table, true);
    screen_table_deinit(&table);
    for (size_t row = 0; row < json_array_size(array); row++)
        print_inside(title, json_array_get(array, row));
}

void report_print(const json_t *object)
{
    struct screen_table table;
    screen_table_init(&table, 2);
    add_lines(&table, "", object);
    if (table.cells_count != 0) screen_table_print(&table, false);
    screen_table_deinit(&table);
    print_tables("", object);
}

json_t *report_parse(const char *text)
{
    json_t *root = json_loads(text, JSON_DECODE_ANY, NULL);
    if (root == NULL) (void)printf("%s\n", text);
    return root;
}
