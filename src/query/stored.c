#include "query/stored.h"

#include "base/compiler.h"
#include "doc/document.h"

omendb_status stored_document(struct collection *collection, uint32_t slot, struct buffer *scratch,
                              const uint8_t **view, uint32_t *size, omendb_error *err)
{
    TRY(collection_document(collection, slot, scratch, view, size, err));
    if (LIKELY(!collection_doubted(collection, slot))) return OMENDB_OK;
    const omendb_status status = document_validate(*view, *size, err);
    if (status != OMENDB_OK)
        return fail_within(err, OMENDB_ERR_CORRUPT, "slot %u: the stored document", slot);
    collection_believe(collection, slot);
    return OMENDB_OK;
}
