/* collection_verify.c - compares a collection's parts with one another.
 *
 * Counted: slots by state against live_count, free lists and the dead list; nodes against their
 * chains; with `deep` every id through the id map, every document through its decoder and every
 * vector's block. Writer lock held, or nobody writes.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "doc/document.h"
#include "store/collection_inner.h"
#include "store/space.h"

struct verify {
    struct collection *collection;
    uint64_t sequence;
    bool deep;
    void (*problem)(void *context, const char *text);
    void *context;
    struct buffer scratch;
};

static void report(struct verify *verify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void report(struct verify *verify, const char *format, ...)
{
    char text[256];
    va_list args;
    const int at = snprintf(text, sizeof text, "collection %s: ", verify->collection->name);
    va_start(args, format);
    (void)vsnprintf(text + at, sizeof text - (size_t)at, format, args);
    va_end(args);
    verify->problem(verify->context, text);
}

/* CORRUPT becomes a problem and the check goes on; everything else ends it. */
static bool failed(struct verify *verify, omendb_status status, const omendb_error *local,
                   omendb_status *out, omendb_error *err)
{
    if (status == OMENDB_OK) return false;
    if (status == OMENDB_ERR_CORRUPT) report(verify, "%s", local->message);
    else *out = fail(err, status, "%s", local->message);
    return true;
}

static omendb_status verify_id(struct verify *verify, uint32_t slot, const struct slot *record,
                               omendb_error *err)
{
    struct collection *c = verify->collection;
    struct id_view id;
    uint32_t at = SLOT_NONE, hops = 0;
    TRY(collection_slot_id(c, slot, &id, err));
    if (id_hash(&id) != record->hash) {
        report(verify, "slot %u: its id doesn't have the stored hash", slot);
        return OMENDB_OK;
    }
    TRY(newest_find(c, &id, record->hash, &at, err));
    while (at != SLOT_NONE && at != slot && hops++ <= atomic_load_relaxed_u32(&c->slot_count)) {
        const struct slot *newer = NULL;
        TRY(slot_read(c, at, &newer, err));
        at = newer->previous;
    }
    if (at != slot) report(verify, "slot %u isn't found by its id", slot);
    return OMENDB_OK;
}

static omendb_status verify_document(struct verify *verify, uint32_t slot, omendb_error *err)
{
    const uint8_t *document = NULL;
    uint32_t size = 0;
    TRY(collection_document(verify->collection, slot, &verify->scratch, &document, &size, err));
    omendb_error local = {0};
    if (document_validate(document, size, &local) != OMENDB_OK)
        report(verify, "slot %u: document: %s", slot, local.message);
    else if (schema_check_document(verify->collection->schema, document, size, &local) != OMENDB_OK)
        report(verify, "slot %u: document: %s", slot, local.message);
    return OMENDB_OK;
}

static omendb_status verify_chain(struct verify *verify, uint32_t field, uint32_t slot,
                                  omendb_error *err)
{
    struct collection *c = verify->collection;
    uint32_t node = SLOT_NONE, at = SLOT_NONE;
    const void *vector = NULL;
    TRY(collection_slot_node(c, field, slot, &node, err));
    if (node == SLOT_NONE) return OMENDB_OK;
    if (node >= atomic_load_relaxed_u32(&c->vectors[field].node_count)) {
        report(verify, "slot %u: node %u is out of range", slot, node);
        return OMENDB_OK;
    }
    TRY(collection_node_head(c, field, node, &at, err));
    for (uint32_t hops = 0; at != SLOT_NONE && at != slot; hops++) {
        TRY(collection_link_next(c, field, at, &at, err));
        if (hops > atomic_load_relaxed_u32(&c->slot_count)) at = SLOT_NONE;
    }
    if (at != slot) report(verify, "slot %u isn't in the chain of its node %u", slot, node);
    return verify->deep ? collection_vector(c, field, node, &vector, err) : OMENDB_OK;
}

static omendb_status verify_slots(struct verify *verify, omendb_error *err)
{
    struct collection *c = verify->collection;
    const uint32_t count = atomic_load_relaxed_u32(&c->slot_count);
    uint64_t live = 0, unused = 0, dead = 0;
    omendb_status status = OMENDB_OK;
    for (uint32_t slot = 0; status == OMENDB_OK && slot < count; slot++) {
        const struct slot *record = NULL;
        omendb_error local = {0};
        if (failed(verify, slot_read(c, slot, &record, &local), &local, &status, err)) continue;
        if ((record->flags & SLOT_FREE) != 0) {
            unused++;
            continue;
        }
        if (record->death == SEQUENCE_NEVER) live++;
        else dead++;
        if (record->birth > record->death) report(verify, "slot %u dies before it is born", slot);
        if (verify->deep && record->birth != record->death) {
            (void)failed(verify, verify_id(verify, slot, record, &local), &local, &status, err);
            (void)failed(verify, verify_document(verify, slot, &local), &local, &status, err);
        }
        for (uint32_t f = 0; verify->deep && f < c->schema->vectors_count; f++)
            (void)failed(verify, verify_chain(verify, f, slot, &local), &local, &status, err);
    }
    if (live != atomic_load_relaxed_u64(&c->live_count))
        report(verify, "%llu documents are alive, %llu are counted", (unsigned long long)live,
               (unsigned long long)atomic_load_relaxed_u64(&c->live_count));
    if (dead != c->dead_end - c->dead_begin)
        report(verify, "%llu versions are dead, %zu are listed", (unsigned long long)dead,
               c->dead_end - c->dead_begin);
    if (c->free_count > unused)
        report(verify, "%u slots are counted as free, %llu are", c->free_count,
               (unsigned long long)unused);
    return status;
}

static omendb_status verify_nodes(struct verify *verify, uint32_t field, omendb_error *err)
{
    struct collection *c = verify->collection;
    struct vector_store *store = &c->vectors[field];
    const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
    uint64_t live = 0;
    omendb_status status = OMENDB_OK;
    for (uint32_t node = 0; status == OMENDB_OK && node < count; node++) {
        const void *element = NULL;
        omendb_error local = {0};
        if (failed(verify, element_read(&store->nodes, node, &element, &local), &local, &status,
                   err))
            continue;
        if ((((const struct node *)element)->flags & NODE_FREE) == 0) live++;
    }
    if (live != atomic_load_relaxed_u32(&store->nodes_live))
        report(verify, "field %u: %llu vectors are there, %u are counted", field,
               (unsigned long long)live, atomic_load_relaxed_u32(&store->nodes_live));
    return status;
}

omendb_status collection_verify(struct collection *collection, uint64_t sequence, bool deep,
                                void (*problem)(void *context, const char *text), void *context,
                                omendb_error *err)
{
    struct verify verify = {.collection = collection,
                            .sequence = sequence,
                            .deep = deep,
                            .problem = problem,
                            .context = context};
    omendb_status status = deep ? verify_slots(&verify, err) : OMENDB_OK;
    for (uint32_t f = 0; deep && status == OMENDB_OK && f < collection->schema->vectors_count; f++)
        status = verify_nodes(&verify, f, err);
    buffer_deinit(&verify.scratch);
    return status;
}
