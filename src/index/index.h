/* index.h - what every index keeps to.
 *
 * The log is the truth; an index is a view of a collection that can be thrown away and made again.
 * The store knows nothing of any index. It calls hooks (store/collection.h, struct index_hooks)
 * under the writer lock, in the order of the log, during replay as well:
 *
 *     attach        a collection was made or loaded: find or add derived arrays, set
 *                   vectors[field].index. May read what it needs at once (a few blocks), no more:
 *                   opening takes milliseconds whatever the size.
 *     node_reserve  all that may fail for one vector: growth, loading blocks, memory.
 *     node_write    the vector itself. Can't fail.
 *     node_freed    a node that the index holds has lost its last document. Can't fail.
 *     work          what is done outside batches, piece by piece; without the lock (store/host.h).
 *     detach        memory only.
 *
 * Rules
 *   1. Everything an index keeps lies in arrays of the collection (collection_add_derived), so that
 *      one checkpoint holds storage and index of the same moment. What it keeps in memory beside
 *      them follows from the arrays alone.
 *   2. Replay from an older image must work: a hook may be called again for a node that it has
 *      seen, or after a batch that was undone. What a hook writes is a function of its arguments
 *      and of the arrays.
 *   3. Readers run at any time. A node's entry is complete before a reader can reach the node by a
 *      visible slot; entries of other nodes may be read half written, and nothing may follow from
 *      them. Who answers tests each slot by collection_visible() on the query's snapshot.
 *   4. An index never decides what is in the answer but by ids, vectors and fields: order and ties
 *      are those of contract 4 (distance, byte-equal, id) everywhere.
 *   5. Unreadable blocks are CORRUPT errors that name what was hit, never silently fewer hits.
 *
 * What each kind gives the query layer
 *     search       hits on a snapshot, allocating nothing in the steady state (a workspace)
 *     estimate     what a search will cost, before it runs
 *     verify       compares the index with the truth; reports, never repairs
 *     checkpoint   nothing: rule 1
 *
 * There is vector/ so far: vector_index.h (hooks, codes in arrays, verify), vector_search.h (which
 * way), flat.h (exact search and its estimate), graph_index.h (the graph).
 *
 * Include order: this folder stands on store/ and below; the kinds of index never include each
 * other.
 */
#ifndef INDEX_INDEX_H
#define INDEX_INDEX_H

#include "store/collection.h"

#endif /* INDEX_INDEX_H */
