/* repair_collection.c - the documents of one collection, around what is damaged. */
#include <string.h>

#include "base/alloc.h"
#include "doc/document.h"
#include "doc/json.h"
#include "store/backup_image.h"
#include "store/collection_inner.h"
#include "store/repair_inner.h"

enum { PROGRESS_SLOTS = 256 };

/* What an unreadable block of links would have told: from the side of nodes and neighbours. */
struct repair_links {
    bool built;
    uint32_t *node; /* [slot_count] of slots whose link can't be read; SLOT_NONE: not known */
};

struct salvage {
    struct repair *run;
    struct repair_part *part;
    struct collection *from;
    uint64_t sequence;          /* The image's. */
    uint64_t seen;              /* Versions that are visible in it. */
    struct repair_links *links; /* [vectors_count] */
};

/* OK, or a status other than CORRUPT and IO, which are what is salvaged around. */
static omendb_status hard(omendb_status status, const omendb_error *local, omendb_error *err)
{
    if (status == OMENDB_ERR_CORRUPT || status == OMENDB_ERR_IO) return OMENDB_OK;
    if (err != NULL) *err = *local;
    return status;
}

/* ---- Which blocks are damaged ---- */

struct damage_context {
    struct repair *run;
    const char *collection, *array;
    omendb_status status;
    omendb_error error;
};

static omendb_status damage_append(struct repair *run, const char *collection, const char *array,
                                   const char *text, omendb_error *err)
{
    struct buffer *out = &run->damage;
    if (run->damage_count++ >= REPAIR_DAMAGE_MAX) return OMENDB_OK;
    if (out->size != 0) TRY(buffer_append_text(out, ",", err));
    TRY(buffer_append_text(out, "{\"collection\":", err));
    TRY(json_append_string(out, collection, strlen(collection), err));
    TRY(buffer_append_format(out, err, ",\"part\":\"%s\",\"problem\":", array));
    TRY(json_append_string(out, text, strlen(text), err));
    return buffer_append_text(out, "}", err);
}

static void damage_noted(void *context, const char *text)
{
    struct damage_context *damage = context;
    if (damage->status == OMENDB_OK)
        damage->status = damage_append(damage->run, damage->collection, damage->array, text,
                                       &damage->error);
}

static omendb_status damage_of_array(void *context, struct array *array, omendb_error *err)
{
    struct damage_context *damage = context;
    damage->array = backup_image_array_name(array->kind);
    TRY(array_verify(array, damage_noted, damage, err));
    if (damage->status != OMENDB_OK && err != NULL) *err = damage->error;
    return damage->status;
}

/* ---- Links from the other side ---- */

static bool link_readable(struct array *links, uint64_t slot, const struct slot_link **out)
{
    const void *element = NULL;
    if (element_read(links, slot, &element, NULL) != OMENDB_OK) return false;
    *out = element;
    return true;
}

static void links_from_nodes(struct salvage *salvage, uint32_t field, const uint64_t *bad,
                             uint32_t count)
{
    struct vector_store *vectors = &salvage->from->vectors[field];
    struct repair_links *links = &salvage->links[field];
    const uint32_t nodes = atomic_load_relaxed_u32(&vectors->node_count);
    for (uint32_t n = 0; n < nodes; n++) {
        const void *element = NULL;
        if (element_read(&vectors->nodes, n, &element, NULL) != OMENDB_OK) {
            n = (array_block(&vectors->nodes, n) + 1) * vectors->nodes.per_block - 1;
            continue;
        }
        const struct node *node = element;
        if ((node->flags & NODE_FREE) != 0 || node->head >= count) continue;
        if (array_is_set(bad, array_block(&vectors->links, node->head)))
            links->node[node->head] = n;
    }
}

static void links_from_neighbours(struct salvage *salvage, uint32_t field, const uint64_t *bad,
                                  uint32_t count)
{
    struct vector_store *vectors = &salvage->from->vectors[field];
    struct repair_links *links = &salvage->links[field];
    const uint32_t nodes = atomic_load_relaxed_u32(&vectors->node_count);
    for (uint32_t s = 0; s < count; s++) {
        const struct slot_link *link = NULL;
        const struct slot *slot = NULL;
        if (array_is_set(bad, array_block(&vectors->links, s)) ||
            slot_read(salvage->from, s, &slot, NULL) != OMENDB_OK ||
            (slot->flags & SLOT_FREE) != 0 || !link_readable(&vectors->links, s, &link) ||
            link->node >= nodes)
            continue;
        const uint32_t sides[2] = {link->next, link->previous};
        for (int i = 0; i < 2; i++)
            if (sides[i] < count && array_is_set(bad, array_block(&vectors->links, sides[i])))
                links->node[sides[i]] = link->node;
    }
}

/* Builds it when the first link can't be read. */
static omendb_status links_build(struct salvage *salvage, uint32_t field, omendb_error *err)
{
    struct vector_store *vectors = &salvage->from->vectors[field];
    struct repair_links *links = &salvage->links[field];
    const uint32_t count = atomic_load_relaxed_u32(&salvage->from->slot_count);
    const uint32_t blocks = atomic_load_relaxed_u32(&vectors->links.block_count);
    if (links->built) return OMENDB_OK;
    uint64_t *bad = alloc_zeroed(blocks / 64 + 1, sizeof *bad);
    links->node = alloc_raw((size_t)count + 1, sizeof *links->node);
    if (bad == NULL || links->node == NULL) {
        alloc_free(bad);
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: links of damaged blocks");
    }
    for (uint32_t s = 0; s < count; s++) links->node[s] = SLOT_NONE;
    for (uint32_t block = 0; block < blocks; block++) {
        const struct slot_link *link = NULL;
        if (!link_readable(&vectors->links, (uint64_t)block * vectors->links.per_block, &link))
            bad[block / 64] |= UINT64_C(1) << (block % 64);
    }
    links_from_nodes(salvage, field, bad, count);
    links_from_neighbours(salvage, field, bad, count);
    links->built = true;
    alloc_free(bad);
    return OMENDB_OK;
}

/* ---- One document ---- */

omendb_status repair_loss_add(struct repair *run, const struct repair_part *part,
                              const struct id_view *id, uint32_t fields, omendb_error *err)
{
    if (!alloc_grow(&run->losses, &run->losses_capacity, run->losses_count + 1,
                    sizeof *run->losses))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of lost ids");
    struct repair_loss *loss = &run->losses[run->losses_count];
    *loss = (struct repair_loss){.collection = part->id, .hash = id_hash(id), .fields = fields};
    loss->id.number = id->number;
    loss->id.text_offset = UINT64_MAX;
    loss->id.size = id->size;
    if (id->text_view != NULL) {
        loss->id.text_offset = run->loss_texts.size;
        TRY(buffer_append(&run->loss_texts, id->text_view, id->size, err));
    }
    run->losses_count++;
    return OMENDB_OK;
}

/* The id of a slot. *found: it could be read. */
static omendb_status id_salvage(struct salvage *salvage, const struct slot *slot,
                                struct id_view *out, bool *found, omendb_error *err)
{
    omendb_error local = {0};
    *out = (struct id_view){.number = slot->id};
    *found = true;
    if ((slot->flags & SLOT_ID_TEXT) == 0) return OMENDB_OK;
    const omendb_status status = heap_read(&salvage->from->id_texts, slot->id,
                                           &salvage->run->scratch, &out->text_view, &out->size,
                                           &local);
    out->number = 0;
    *found = status == OMENDB_OK && out->size != 0 && out->size <= OMENDB_ID_SIZE_MAX &&
             id_hash(out) == slot->hash;
    return status == OMENDB_OK ? status : hard(status, &local, err);
}

/* The bytes of one vector: NULL with *missing = false: the document has none. */
static omendb_status vector_salvage(struct salvage *salvage, uint32_t field, uint32_t slot,
                                    const void **out, bool *missing, omendb_error *err)
{
    struct vector_store *vectors = &salvage->from->vectors[field];
    omendb_error local = {0};
    const void *element = NULL;
    uint32_t node = SLOT_NONE;
    *out = NULL;
    *missing = false;
    omendb_status status = element_read(&vectors->links, slot, &element, &local);
    if (status == OMENDB_OK) {
        node = ((const struct slot_link *)element)->node;
        if (node == SLOT_NONE) return OMENDB_OK;
    } else {
        TRY(hard(status, &local, err));
        TRY(links_build(salvage, field, err));
        node = salvage->links[field].node[slot];
    }
    *missing = true;
    if (node == SLOT_NONE) return OMENDB_OK;
    status = element_read(&vectors->vectors, node, &element, &local);
    if (status != OMENDB_OK) return hard(status, &local, err);
    *out = element;
    *missing = false;
    return OMENDB_OK;
}

static omendb_status vectors_salvage(struct salvage *salvage, uint32_t slot, uint32_t *fields,
                                     omendb_error *err)
{
    const struct schema *schema = salvage->from->schema;
    *fields = 0;
    for (uint32_t f = 0; f < schema->vectors_count; f++) {
        const void *vector = NULL;
        void *to = NULL;
        bool missing = false;
        TRY(vector_salvage(salvage, f, slot, &vector, &missing, err));
        if (missing) *fields |= UINT32_C(1) << f;
        if (vector == NULL) continue;
        TRY(batch_add_vector(&salvage->run->batch, f, schema->vectors[f].size, &to, err));
        memcpy(to, vector, schema->vectors[f].size);
    }
    return OMENDB_OK;
}

static omendb_status document_salvage(struct salvage *salvage, uint32_t slot,
                                      const struct slot *record, omendb_error *err)
{
    struct repair *run = salvage->run;
    struct repair_part *part = salvage->part;
    struct buffer scratch = {0};
    struct id_view id;
    omendb_error local = {0};
    const uint8_t *document = NULL;
    uint32_t size = 0, fields = 0;
    bool known = false;
    TRY(id_salvage(salvage, record, &id, &known, err));
    if (!known) {
        part->nameless++;
        return OMENDB_OK;
    }
    omendb_status status = heap_read(&salvage->from->documents, record->document, &scratch,
                                     &document, &size, &local);
    if (status == OMENDB_OK) status = document_validate(document, size, &local);
    if (status != OMENDB_OK) {
        buffer_deinit(&scratch);
        TRY(hard(status, &local, err));
        return repair_loss_add(run, part, &id, 0, err);
    }
    status = batch_add(&run->batch, OPERATION_UPSERT, part->to->id, id.text_view, id.size,
                       id.number, document, size, err);
    buffer_deinit(&scratch);
    TRY(status);
    TRY(vectors_salvage(salvage, slot, &fields, err));
    part->salvaged++;
    if (fields != 0) TRY(repair_loss_add(run, part, &id, fields, err));
    return run->batch.bytes.size >= REPAIR_BATCH_BYTES ? repair_flush(run, err) : OMENDB_OK;
}

static omendb_status slots_salvage(struct salvage *salvage, omendb_error *err)
{
    struct repair *run = salvage->run;
    const uint32_t count = atomic_load_relaxed_u32(&salvage->from->slot_count);
    for (uint32_t slot = 0; slot < count; slot++, run->done++) {
        const struct slot *record = NULL;
        omendb_error local = {0};
        if (slot % PROGRESS_SLOTS == 0 && run->options->progress != NULL &&
            run->options->progress(run->options->context, run->done, run->total) != 0)
            return fail(err, OMENDB_ERR_INTERRUPTED, "interrupted after %llu of %llu documents",
                        (unsigned long long)run->done, (unsigned long long)run->total);
        const omendb_status status = slot_read(salvage->from, slot, &record, &local);
        if (status != OMENDB_OK) TRY(hard(status, &local, err));
        if (status != OMENDB_OK || (record->flags & SLOT_FREE) != 0 ||
            !slot_visible(record, salvage->sequence))
            continue;
        salvage->seen++;
        TRY(document_salvage(salvage, slot, record, err));
    }
    return repair_flush(run, err);
}

omendb_status repair_collection(struct repair *run, struct repair_part *part, omendb_error *err)
{
    struct collection *from = part->from;
    struct salvage salvage = {
        .run = run, .part = part, .from = from, .sequence = run->slots[run->slot].root.sequence};
    struct damage_context damage = {.run = run, .collection = from->name};
    const uint64_t live = atomic_load_relaxed_u64(&from->live_count);
    TRY(collection_each_array(from, damage_of_array, &damage, err));
    salvage.links = alloc_zeroed(from->schema->vectors_count, sizeof *salvage.links);
    if (salvage.links == NULL && from->schema->vectors_count != 0)
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: vector fields");
    const omendb_status status = slots_salvage(&salvage, err);
    for (uint32_t f = 0; f < from->schema->vectors_count; f++) alloc_free(salvage.links[f].node);
    alloc_free(salvage.links);
    if (status != OMENDB_OK || live <= salvage.seen) return status;
    part->nameless += live - salvage.seen; /* Their slots are lost. */
    return repair_lost_ids(run, part, err);
}
