/* stored.h - documents as queries read them: safe for every accessor of doc/, whoever made the file.
 *
 * A checksum tells damage, not malice: a hostile file has right checksums over any bytes. What this
 * process wrote was validated then; a document that came with the file is validated by the first
 * query that reads it, which marks its slot (store/collection.h, believed).
 *
 * Threads: any.
 */
#ifndef QUERY_STORED_H
#define QUERY_STORED_H

#include "store/collection.h"

/* As collection_document(); CORRUPT when the document isn't a valid one. */
omendb_status stored_document(struct collection *collection, uint32_t slot, struct buffer *scratch,
                              const uint8_t **view, uint32_t *size, omendb_error *err);

#endif /* QUERY_STORED_H */
