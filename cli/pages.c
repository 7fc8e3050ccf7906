#include "pages.h"

bool pages_next(struct pages *pages, const struct database *database, omendb_documents **out)
{
    omendb_error err = {0};
    omendb_document last;
    if (omendb_collection_find(database->collection, &pages->params, out, &err) != OMENDB_OK) {
        (void)database_failed(database, &err);
        return false;
    }
    const size_t count = omendb_documents_count(*out);
    if (count == 0) return true;
    omendb_documents_entry(*out, count - 1, &last);
    pages->after = last.id;
    if (last.id.text_view != NULL) {
        text_clear(&pages->after_text);
        text_append(&pages->after_text, last.id.text_view, last.id.size);
        pages->after.text_view = pages->after_text.data;
    }
    pages->params.after = &pages->after;
    return true;
}

void pages_deinit(struct pages *pages)
{
    text_deinit(&pages->after_text);
}
