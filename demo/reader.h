/* reader.h - the shipped data (data/packages), read whole into memory.
 *
 * packages.jsonl is as tools/make_demo_data.py writes it: compact JSON, "id" first, ids without
 * escapes. A line {"id":"x","section":...} becomes the id x and the document {"section":...}.
 *
 *     ids_text  0ad-data389-ds389-ds-base...      id r       = [id_offsets[r], id_offsets[r + 1])
 *     json      {"section":...}{"section":...}    document r = [json_offsets[r], json_offsets[r + 1])
 *     vectors   [count][DIM] f16                  row r
 *
 * These are just the columns that omendb_rows takes: loading copies nothing.
 *
 * Anything that doesn't fit ends the program with a message (screen_die).
 */
#ifndef DEMO_READER_H
#define DEMO_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READER_DIM = 384 };

struct reader_packages {
    size_t count;
    char *ids_text;
    uint64_t *id_offsets; /* [count + 1] */
    char *json;
    uint64_t *json_offsets; /* [count + 1] */
    uint16_t *vectors;      /* [count][READER_DIM] */
};

struct reader_queries {
    size_t count;
    char **texts;   /* [count] */
    float *vectors; /* [count][READER_DIM] */
};

/* `folder` holds the four files of data/packages. */
void reader_packages_init(struct reader_packages *packages, const char *folder);
void reader_packages_deinit(struct reader_packages *packages);
void reader_queries_init(struct reader_queries *queries, const char *folder);
void reader_queries_deinit(struct reader_queries *queries);

/* The value of a top-level member in compact JSON, between its quotes if it is a string; escapes
 * stay as they are. False: there is none. `key` is written as in the text: "\"summary\":". */
bool reader_member(const char *json, size_t size, const char *key, const char **value,
                   size_t *value_size);

/* The same for a number of JSON; 0 if there is none. */
uint64_t reader_number(const char *json, size_t size, const char *key);

#endif /* DEMO_READER_H */
