/* pages.h - documents of a collection in the order of ids, a page at a time, so that the memory
 * doesn't grow with their number.
 */
#ifndef CLI_PAGES_H
#define CLI_PAGES_H

#include "database.h"

/* Initialise with {.params = OMENDB_FIND_PARAMS_INIT} and fill `params`; don't move it afterwards. */
struct pages {
    omendb_find_params params; /* `limit`: of the next page. */
    omendb_id after;           /* The last one of the page before, */
    struct text after_text;    /* and its text, which ends with the page. */
};

/* The page behind the one before; the caller destroys it. False after printing the reason. */
bool pages_next(struct pages *pages, const struct database *database, omendb_documents **out);
void pages_deinit(struct pages *pages);

#endif /* CLI_PAGES_H */
