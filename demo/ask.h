/* ask.h - questions in plain words, answered by the database and checked by a plain loop.
 *
 * The check (ask_verify) knows nothing of OmenDB's kernels, codes or filters: it computes every
 * distance in f64 from the shipped rows, sorts, and wants the same packages in the same order.
 * (Two packages nearer to each other than f32's rounding could change places; the shipped data
 * holds none among the best of its queries, and the database's answer is the same everywhere.)
 * A difference ends the program.
 */
#ifndef DEMO_ASK_H
#define DEMO_ASK_H

#include "omendb.h"
#include "reader.h"

/* A filter as the database gets it, and as a plain function. */
struct ask_filter {
    const char *json; /* NULL: all packages. */
    bool (*match)(const char *json, size_t size);
};
bool ask_match_all(const char *json, size_t size);
bool ask_match_games(const char *json, size_t size); /* {"section": "games"} */
bool ask_match_small(const char *json, size_t size); /* {"installed_kb": {"$lt": 500}} */

struct ask_question {
    const char *text; /* One of the shipped queries. */
    struct ask_filter filter;
};

/* Asks the first query once and keeps nothing: for the time that it takes. */
void ask_first(omendb_collection *collection, const struct reader_queries *queries);

/* Prints the question, the median time of its runs, and a table of the `k` best. */
void ask_show(omendb_collection *collection, const struct reader_queries *queries,
              const struct ask_question *question, uint32_t k);

/* Compares the `k` best of every query under every filter, asked for exactly, with the plain
 * loop's; returns how many hits were compared. */
size_t ask_verify(omendb_collection *collection, const struct reader_packages *packages,
                  const struct reader_queries *queries, const struct ask_filter *filters,
                  size_t filters_count, uint32_t k);

#endif /* DEMO_ASK_H */
