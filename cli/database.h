/* database.h - opening, closing and describing what a command works on; ids on the command line.
 *
 * Functions that return bool have printed the reason when they return false. An opened database
 * is the one that Ctrl-C interrupts.
 *
 * Ids: digits without a leading zero are a number, anything else a string (007 is one); "s:" in
 * front makes the rest a string, and --string-ids makes every id one, as it stands. Printed ids
 * read back the same.
 */
#ifndef CLI_DATABASE_H
#define CLI_DATABASE_H

#include "args.h"
#include "member.h"
#include "text.h"

struct database {
    const char *path;
    omendb *db;
    omendb_collection *collection; /* NULL until database_collection. */
};

bool database_open(struct database *database, const char *path, uint32_t flags,
                   omendb_durability durability);
bool database_collection(struct database *database, const char *name);
/* Both, for positionals 0 and 1 of a command that reads. */
bool database_open_collection(struct database *database, const struct args *args, uint32_t flags);
/* Closes what is open; also after a failed open. */
bool database_close(struct database *database);

/* Prints "path: reason" of a failed call; returns CLI_FAILURE. */
int database_failed(const struct database *database, const omendb_error *err);

struct description_vector {
    char name[OMENDB_NAME_SIZE_MAX + 1];
    uint32_t dim;
    omendb_type type;
};

struct description_field {
    char name[OMENDB_NAME_SIZE_MAX + 1];
    omendb_field_type type;
};

/* What omendb_collection_describe() says. Initialise with {0}. */
struct description {
    struct description_vector vectors[OMENDB_VECTOR_FIELDS_MAX];
    size_t vectors_count;
    struct description_field *fields;
    size_t fields_count;
};

bool description_read(struct description *description, const struct database *database);
void description_deinit(struct description *description);
/* The vector field `name` (NULL: the only one), or NULL after printing. */
const struct description_vector *description_vector(const struct description *description,
                                                    const char *name);
bool description_field_type(struct span name, omendb_field_type *out);

omendb_status id_parse(const char *word, bool string_ids, omendb_id *out, omendb_error *err);
bool id_looks_like_number(const char *text, size_t size);
bool id_is(const omendb_id *a, const omendb_id *b);
void id_append(struct text *out, const omendb_id *id);      /* As typed. */
void id_append_json(struct text *out, const omendb_id *id); /* 7 or "7" */

#endif /* CLI_DATABASE_H */
