/* report.h - what the library says in JSON, for people: statistics, explanations.
 *
 *     {"a": 1, "b": {"c": 2}, "rows": [{"name": "x", "n": 3}]}
 *
 *     a    1
 *     b.c  2
 *
 *     rows
 *     name  n
 *     x     3
 *
 * Sizes in bytes get a unit, counts are grouped on terminals. Objects and tables inside a table come
 * behind it, under the name of their row.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <jansson.h>

#include "screen.h"

/* NULL after printing the text as it is. */
json_t *report_parse(const char *text);
void report_print(const json_t *object);

/* One value as a cell; `key` tells what it is. */
void report_cell(struct screen_table *table, const char *key, const json_t *value);
/* The same as text. */
void report_append(struct text *out, const char *key, const json_t *value);

#endif /* CLI_REPORT_H */
