/* collection_verify.c - compares a collection's parts with one another.
 *
 * Quick: counters with one another. Deep: slots by state against live_count, free lists and the dead
 * list; every id through the id map, every document through its decoder; nodes against their chains,
 * the vector map, and their vectors. Writer lock held, or nobody writes.
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
    uint64_t linked[OMENDB_VECTOR_FIELDS_MAX]; /* Slots that have a node. */
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

static omendb_status link_read(struct vector_store *store, uint32_t slot,
                               const struct slot_link **out, omendb_error *err)
{
    const void *element = NULL;
    TRY(element_read(&store->links, slot, &element, err));
    *out = element;
    return OMENDB_OK;
}

static omendb_status node_read(struct vector_store *store, uint32_t node, const struct node **out,
                               omendb_error *err)
{
    const void *element = NULL;
    TRY(element_read(&store->nodes, node, &element, err));
    *out = element;
    return OMENDB_OK;
}

/* Do both neighbours in its chain lead to the slot? That the chain is its node's: verify_nodes(). */
static omendb_status verify_link(struct verify *verify, uint32_t field, uint32_t slot,
                                 omendb_error *err)
{
    struct vector_store *store = &verify->collection->vectors[field];
    const struct slot_link *link = NULL, *other = NULL;
    const struct node *node = NULL;
    uint32_t before = SLOT_NONE, after = slot;
    TRY(link_read(store, slot, &link, err));
    if (link->node == SLOT_NONE) return OMENDB_OK;
    verify->linked[field]++;
    if (link->node >= atomic_load_relaxed_u32(&store->node_count)) {
        report(verify, "slot %u: node %u is out of range", slot, link->node);
        return OMENDB_OK;
    }
    if (link->previous == SLOT_NONE) {
        TRY(node_read(store, link->node, &node, err));
        before = node->head;
    } else {
        TRY(link_read(store, link->previous, &other, err));
        before = other->next;
    }
    if (link->next != SLOT_NONE) {
        TRY(link_read(store, link->next, &other, err));
        after = other->previous;
    }
    if (before != slot || after != slot)
        report(verify, "slot %u isn't in the chain of its node %u", slot, link->node);
    return OMENDB_OK;
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
            (void)failed(verify, verify_link(verify, f, slot, &local), &local, &status, err);
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

/* Members of a list of free nodes: each is free, held by nobody, and on one list only. */
static omendb_status verify_node_list(struct verify *verify, uint32_t field, uint32_t head,
                                      uint64_t *listed, omendb_error *err)
{
    struct vector_store *store = &verify->collection->vectors[field];
    const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
    for (uint32_t node = head; node != SLOT_NONE;) {
        const void *element = NULL;
        if (node >= count || *listed >= count) {
            report(verify, "field %u: a list of free nodes has a loop", field);
            return OMENDB_OK;
        }
        TRY(element_read(&store->nodes, node, &element, err));
        const struct node *record = element;
        if (record->flags != NODE_FREE)
            report(verify, "field %u: node %u is on a list with flags %u", field, node,
                   record->flags);
        ++*listed;
        node = record->head;
    }
    return OMENDB_OK;
}

static omendb_status verify_node_lists(struct verify *verify, uint32_t field, uint64_t unused,
                                       omendb_error *err)
{
    const struct vector_store *store = &verify->collection->vectors[field];
    const uint32_t heads[] = {store->free_head, store->retired_head, store->retiring_head,
                              store->released_head};
    uint64_t listed = 0;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const uint64_t before = listed;
        TRY(verify_node_list(verify, field, heads[i], &listed, err));
        if (i == 0 && listed - before != store->free_count)
            report(verify, "field %u: %llu nodes are on the free list, %u are counted", field,
                   (unsigned long long)(listed - before), store->free_count);
    }
    if (listed != unused)
        report(verify, "field %u: %llu nodes are free and not held, %llu are listed", field,
               (unsigned long long)unused, (unsigned long long)listed);
    return OMENDB_OK;
}

/* A node in use: its slots, of which there are *linked in all, and its vector by the vector map. */
static omendb_status verify_used_node(struct verify *verify, uint32_t field, uint32_t node,
                                      uint64_t *linked, omendb_error *err)
{
    struct collection *c = verify->collection;
    struct vector_store *store = &c->vectors[field];
    const struct node *record = NULL;
    const void *vector = NULL;
    uint32_t found = SLOT_NONE;
    TRY(node_read(store, node, &record, err));
    for (uint32_t slot = record->head; slot != SLOT_NONE;) {
        const struct slot_link *link = NULL;
        TRY(link_read(store, slot, &link, err));
        if (link->node != node)
            report(verify, "field %u: node %u has slot %u of node %u", field, node, slot,
                   link->node);
        if (++*linked > atomic_load_relaxed_u32(&c->slot_count))
            return fail(err, OMENDB_ERR_CORRUPT, "field %u: the slots of node %u form a loop",
                        field, node);
        slot = link->next;
    }
    TRY(collection_vector(c, field, node, &vector, err));
    if (vector_map_hash(vector, store->vectors.stride) != record->hash)
        report(verify, "field %u: node %u doesn't have its vector's hash", field, node);
    TRY(collection_find_vector(c, field, vector, &found, err));
    if (found != node)
        report(verify, "field %u: the vector of node %u leads to node %u", field, node, found);
    return OMENDB_OK;
}

static omendb_status verify_map(struct verify *verify, uint32_t field, omendb_error *err)
{
    struct vector_store *store = &verify->collection->vectors[field];
    uint64_t entries = 0;
    TRY(vector_map_verify(&store->map, &store->nodes, verify->problem, verify->context, &entries,
                          err));
    if (entries != store->map.entry_count)
        report(verify, "field %u: %llu vectors are in the map, %u are counted", field,
               (unsigned long long)entries, store->map.entry_count);
    return OMENDB_OK;
}

static void verify_counters(struct verify *verify, uint32_t field)
{
    const struct vector_store *store = &verify->collection->vectors[field];
    if (store->map.entry_count != atomic_load_relaxed_u32(&store->nodes_live))
        report(verify, "field %u: the map counts %u vectors, %u are there", field,
               store->map.entry_count, atomic_load_relaxed_u32(&store->nodes_live));
}

static omendb_status verify_nodes(struct verify *verify, uint32_t field, omendb_error *err)
{
    struct collection *c = verify->collection;
    struct vector_store *store = &c->vectors[field];
    const uint32_t count = atomic_load_relaxed_u32(&store->node_count);
    uint64_t live = 0, held = 0, unused = 0, linked = 0;
    omendb_status status = OMENDB_OK;
    for (uint32_t node = 0; status == OMENDB_OK && node < count; node++) {
        const void *element = NULL;
        omendb_error local = {0};
        if (failed(verify, element_read(&store->nodes, node, &element, &local), &local, &status,
                   err))
            continue;
        const struct node *record = element;
        const uint32_t flags = record->flags;
        if ((flags & NODE_FREE) == 0) {
            live++;
            (void)failed(verify, verify_used_node(verify, field, node, &linked, &local), &local,
                         &status, err);
        } else if ((flags & NODE_HELD) != 0) {
            held++;
        } else {
            unused++;
        }
        if ((flags & ~NODE_FLAGS) != 0 || (flags & (NODE_HELD | NODE_LINKED)) == NODE_LINKED ||
            ((flags & NODE_FREE) != 0 && (flags & NODE_HELD) != 0 && record->head != SLOT_NONE))
            report(verify, "field %u: node %u has impossible flags %u", field, node, flags);
    }
    if (live != atomic_load_relaxed_u32(&store->nodes_live))
        report(verify, "field %u: %llu vectors are there, %u are counted", field,
               (unsigned long long)live, atomic_load_relaxed_u32(&store->nodes_live));
    if (held != atomic_load_relaxed_u32(&store->held_free))
        report(verify, "field %u: %llu free nodes are held, %u are counted", field,
               (unsigned long long)held, atomic_load_relaxed_u32(&store->held_free));
    if (linked != verify->linked[field])
        report(verify, "field %u: %llu documents have a vector, nodes have %llu", field,
               (unsigned long long)verify->linked[field], (unsigned long long)linked);
    omendb_error local = {0};
    if (status == OMENDB_OK)
        (void)failed(verify, verify_map(verify, field, &local), &local, &status, err);
    if (status == OMENDB_OK)
        (void)failed(verify, verify_node_lists(verify, field, unused, &local), &local, &status,
                     err);
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
    for (uint32_t f = 0; status == OMENDB_OK && f < collection->schema->vectors_count; f++) {
        verify_counters(&verify, f);
        if (deep) status = verify_nodes(&verify, f, err);
    }
    buffer_deinit(&verify.scratch);
    return status;
}
