/* show.h - documents on stdout: as JSON, as rows of a table, as a block of fields.
 *
 * JSON of a document: {"id": 7, "document": {...}, "vectors": {"v": [...]}}, with further members
 * of the command in front. The document's text is the library's, byte for byte, so numbers of any
 * size survive; with --fields only these members.
 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "args.h"
#include "database.h"
#include "screen.h"

/* Which parts of documents to show. */
struct show {
    const struct description *description;
    bool with_vectors;
    char *fields_text; /* Owned; fields point into it. */
    const char **fields;
    size_t fields_count; /* 0: all */
};

/* From --fields and --with-vectors. */
void show_init(struct show *show, const struct args *args, const struct description *description);
void show_deinit(struct show *show);
uint32_t show_flags(const struct show *show); /* OMENDB_WITH_* */

/* Appends the members id, document, vectors, without braces. */
void show_append_json(const struct show *show, struct text *out, const omendb_documents *documents,
                      size_t index);

/* Columns after `before` columns of the command's own. */
size_t show_columns(const struct show *show);
void show_titles(const struct show *show, struct screen_table *table, size_t before);
void show_cells(const struct show *show, struct screen_table *table,
                const omendb_documents *documents, size_t index);

/* One document as "name  value" lines. */
void show_block(const struct show *show, const omendb_documents *documents, size_t index);

/* Flushes stdout; a message and CLI_FAILURE when something could not be written, else `code`. */
int show_end(int code);

#endif /* CLI_SHOW_H */
