/* repair.h - what can be read of a damaged database, in a new one.
 *
 *     newest readable image ─▶ every visible slot: id, document, vectors ─▶ new database
 *     its log, up to the first damage ─────────────────────────────────▶     ″
 *
 * Only slots, links, vectors, ids and documents are read; id map, vector map, graphs and codes come
 * anew with the documents. A slot's vector is found through its link, or from the node's side
 * where the block of links is damaged. The original is never written.
 *
 * Invariants
 *   1. what comes out was read from blocks with the right checksum, and is an upsert like any other:
 *      a document never gets another's id or vector.
 *   2. a document whose text can't be read is left out; one that lacks a vector is kept without it.
 *      Both are reported, by id where the id can be read.
 */
#ifndef STORE_REPAIR_H
#define STORE_REPAIR_H

#include "store/store.h"

struct repair_options {
    bool replace;
    int (*progress)(void *context, uint64_t done, uint64_t total); /* Slots; not 0: stop. */
    void *context;
};

/* `like`: vfs, hooks and index threads of the new database. *report gets JSON (docs/API.md) also when
 * much was lost. CORRUPT: neither image can be read at all; no file is made then. */
omendb_status repair_run(const struct store_options *like, const char *path, const char *out_path,
                         const struct repair_options *options, struct buffer *report,
                         omendb_error *err);

#endif /* STORE_REPAIR_H */
