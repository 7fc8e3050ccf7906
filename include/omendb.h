/* omendb.h - the public interface of libomendb.
 *
 * OmenDB is an embedded database for documents that hold vectors, text and
 * structured fields. Everything a program needs is in this one header. It is
 * valid C99 and C++11 and includes nothing but <stddef.h> and <stdint.h>.
 *
 *     omendb -> omendb_collection -> documents { id, JSON, vectors }
 *       `-----> omendb_snapshot, omendb_transaction -> omendb_collection: the same, seen so
 *
 * Errors     Every call that can fail returns omendb_status: OMENDB_OK (0) or a
 *            negative code. Calls that take `omendb_error *err` last also write a
 *            message there that a user can act on; `err` may be NULL and belongs
 *            to the caller. `*out` parameters are written only on success.
 * Ownership  _open/_create/_search/_get give you a handle that you end with the
 *            matching _close/_destroy (NULL is allowed there). Pointers named
 *            *_view are borrowed: each says how long they stay valid. Texts that
 *            a call gives you (char **out) end with omendb_text_destroy().
 * Threads    An `omendb` and an `omendb_collection` may be used from any number of
 *            threads at once, and so may an `omendb_snapshot` and what is seen through it; all
 *            other handles belong to one thread at a time.
 *            Closing a handle while another thread uses it is a bug of the caller.
 * fork       A child process may not use handles of its parent: MISUSE.
 * Options    Structures that begin with `struct_size` are extended at their end in
 *            later versions; initialise them with their _INIT macro, which leaves
 *            every other member zero: zero always means the default.
 * Strings    UTF-8. Names are NUL-terminated; ids and JSON carry their length.
 */
#ifndef OMENDB_H
#define OMENDB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OMENDB_API __attribute__((visibility("default")))
#define OMENDB_NODISCARD __attribute__((warn_unused_result))
#else
#define OMENDB_API
#define OMENDB_NODISCARD
#endif

#define OMENDB_VERSION_MAJOR 0
#define OMENDB_VERSION_MINOR 1
#define OMENDB_VERSION_PATCH 0
#define OMENDB_VERSION_STRING "0.1.0"

/* Limits, all checked: going over one is ARGUMENT (or FULL where it says so). */
#define OMENDB_DIM_MAX 16384u              /* Components of a vector; bits for OMENDB_BIT. */
#define OMENDB_ID_SIZE_MAX 1024u           /* Bytes of a string id. */
#define OMENDB_DOCUMENT_SIZE_MAX 16777216u /* Bytes of a document's JSON text (16 MiB). */
#define OMENDB_DEPTH_MAX 64u               /* Nesting of JSON. */
#define OMENDB_NAME_SIZE_MAX 128u          /* Bytes of a collection or field name. */
#define OMENDB_VECTOR_FIELDS_MAX 16u       /* Vector fields of a collection. */
#define OMENDB_COLLECTIONS_MAX 1024u       /* Collections of a database: FULL. */
#define OMENDB_BATCH_SIZE_MAX 268435456u   /* Encoded bytes of one batch (256 MiB). */
#define OMENDB_K_MAX 10000u                /* Hits of one query, offset included. */
#define OMENDB_EF_MAX 8192u                /* Beam width of a search. */
#define OMENDB_INDEX_THREADS_MAX 64u
#define OMENDB_SNAPSHOTS_MAX 1024u /* Snapshots and open transactions of a database: BUSY. */

typedef struct omendb omendb;
typedef struct omendb_collection omendb_collection;
typedef struct omendb_batch omendb_batch;
typedef struct omendb_snapshot omendb_snapshot;
typedef struct omendb_transaction omendb_transaction;
typedef struct omendb_hits omendb_hits;
typedef struct omendb_documents omendb_documents;

/* Status codes are part of the ABI: values are never reused or renumbered. */
typedef int32_t omendb_status;
enum {
    OMENDB_OK = 0,
    OMENDB_ERR_NOMEM = -1,        /* Out of memory; nothing was changed. */
    OMENDB_ERR_IO = -2,           /* The operating system refused; see the message. */
    OMENDB_ERR_CORRUPT = -3,      /* A checksum or an invariant on disk failed. */
    OMENDB_ERR_ARGUMENT = -4,     /* The call was wrong; nothing was changed. */
    OMENDB_ERR_BUSY = -5,         /* Another process or a limit holds it; try again. */
    OMENDB_ERR_FULL = -6,         /* The disk or a stated limit is reached; nothing was changed. */
    OMENDB_ERR_INTERNAL = -7,     /* A bug of ours: the handle is fenced, the file is safe. */
    OMENDB_ERR_NOT_FOUND = -8,    /* No such file, collection, field or document. */
    OMENDB_ERR_EXISTS = -9,       /* It is there already. */
    OMENDB_ERR_DIMENSION = -10,   /* A vector's dimension isn't the field's; nothing was changed. */
    OMENDB_ERR_VALUE = -11,       /* NaN, infinity, zero vector under cosine, bad JSON or UTF-8. */
    OMENDB_ERR_READ_ONLY = -12,   /* The handle or the medium is read-only. */
    OMENDB_ERR_MISUSE = -13,      /* Used after fork, after its snapshot or transaction ended, or
                                     after an earlier failure fenced it. */
    OMENDB_ERR_UNSUPPORTED = -14, /* A file of a newer format, or a feature this build lacks. */
    OMENDB_ERR_INTERRUPTED = -15, /* omendb_interrupt() was called. */
    OMENDB_ERR_TIMEOUT = -16,     /* The call's own timeout_ms passed. */
    OMENDB_ERR_CONFLICT = -17     /* Somebody else changed it first; nothing was changed. */
};

typedef struct omendb_error {
    omendb_status status;
    char message[252]; /* NUL-terminated UTF-8, cut to fit. */
} omendb_error;

/* The name of a status: "OK", "CORRUPT", ... ; never NULL; static storage. */
OMENDB_API const char *omendb_status_name(omendb_status status);

/* Element types of vectors. Queries and inserts may come in another type than the
 * field's where every value converts (f32 to f16 rounds to nearest even). */
typedef uint32_t omendb_type;
enum {
    OMENDB_F32 = 0, /* IEEE binary32 */
    OMENDB_F16 = 1, /* IEEE binary16 */
    OMENDB_BF16 = 2,
    OMENDB_I8 = 3,
    OMENDB_U8 = 4,
    OMENDB_BIT = 5, /* Packed bits, bit i in byte i / 8 at position i % 8; dim = bits. */
    OMENDB_F64 = 6  /* Input only: converted to the field's type. */
};

/* Metrics. Reported distance: L2 the squared distance; COSINE 1 - cos; IP the inner
 * product; HAMMING the number of differing bits. Scores are higher-is-better:
 * L2 1 / (1 + distance), COSINE cos, IP the product, HAMMING 1 - distance / dim.
 * Order of results: better distance, then vectors byte-equal to the query, then
 * id (numbers before strings, strings bytewise). */
typedef uint32_t omendb_metric;
enum { OMENDB_L2 = 0, OMENDB_COSINE = 1, OMENDB_IP = 2, OMENDB_HAMMING = 3 };

/* What "acknowledged" means. FULL survives power loss, INTERVAL a kill of the process
 * at once and power loss after interval_ms, NONE only a clean close. */
typedef uint32_t omendb_durability;
enum {
    OMENDB_DURABILITY_DEFAULT = 0, /* The database's own setting; FULL at open. */
    OMENDB_DURABILITY_FULL = 1,
    OMENDB_DURABILITY_INTERVAL = 2,
    OMENDB_DURABILITY_NONE = 3
};

/* ---- Database ------------------------------------------------------------------ */

enum {
    OMENDB_OPEN_MUST_EXIST = 1u,     /* NOT_FOUND instead of making a new file. */
    OMENDB_OPEN_MUST_NOT_EXIST = 2u, /* EXISTS instead of opening an old one. */
    OMENDB_OPEN_READ_ONLY = 4u /* The state at opening, or of the last refresh; writes nothing. */
};

typedef struct omendb_options {
    uint32_t struct_size;
    uint32_t flags;               /* OMENDB_OPEN_* */
    omendb_durability durability; /* Of batches that don't say. */
    uint32_t interval_ms;         /* For INTERVAL; default 100, at most 60,000. */
    uint64_t wal_size_max;        /* Log bytes that start a checkpoint; default 64 MiB. */
    uint32_t index_threads;       /* That build graphs in the background; 0 = half of the
                                     processors, at most OMENDB_INDEX_THREADS_MAX. */
} omendb_options;
#define OMENDB_OPTIONS_INIT                                                                        \
    {                                                                                              \
        (uint32_t)sizeof(omendb_options), 0, 0, 0, 0, 0                                            \
    }

/* Opens or makes the database file `path` (":memory:": no file, gone at close). The log
 * lies beside it as `path-wal-<n>` and vanishes at a clean close. `options` may be NULL.
 * Errors: NOT_FOUND, EXISTS, BUSY (another process writes it), CORRUPT, UNSUPPORTED, IO. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_open(const char *path,
                                                      const omendb_options *options, omendb **out,
                                                      omendb_error *err);

/* Writes the final state, removes the log and ends the handle, whatever the status
 * says; close its collections, batches, snapshots and transactions before. Hits and documents stay valid. On an error everything that
 * was acknowledged is in file and log and comes back at the next open. */
OMENDB_API omendb_status omendb_close(omendb *db, omendb_error *err);

/* Makes everything acknowledged so far durable, whatever the level of its batch. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_sync(omendb *db, omendb_error *err);

/* Read-only: moves on to the newest state of the database, by whole batches, never back: everything that
 * was acknowledged before the call at FULL or INTERVAL, by whichever process, is seen by calls that begin
 * after it. Calls under way go on with the state that they began with, and snapshots keep theirs;
 * neither waits. Collection handles lead on: renamed, to the same collection; dropped, NOT_FOUND. A
 * handle that writes, or ":memory:", is at its newest state always: OK. Cost: some 40 system calls
 * when nothing is new; the writer's work on each batch since; after a checkpoint of the writer as much
 * as an opening, during which the file is mapped twice. Errors leave the state as it was or a few
 * batches on: BUSY (the writer makes one checkpoint after the other: try again), IO (the file was moved
 * or replaced), CORRUPT, NOMEM. Threads: any; refreshes take turns. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_refresh(omendb *db, omendb_error *err);

/* Ends the running queries, backups and waiting writers of `db` with INTERRUPTED, from any
 * thread. A commit that is already being written finishes. */
OMENDB_API void omendb_interrupt(omendb *db);

/* One JSON object: sequence numbers, durability, file, log and memory bytes, snapshots,
 * checkpoints, per collection counts, capacity and its growth, free slots. See docs/API.md. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_stats(omendb *db, char **out, omendb_error *err);

enum { OMENDB_CHECK_DEEP = 1u };
/* Verifies the file: quick = superblocks, directories, free map, counters; deep = every
 * block, document, vector and index entry as well. *out is a JSON report {"ok": bool,
 * "problems": [...], ...}, also when problems were found (status stays OK).
 * Writers and readers may go on. Cost: reads the whole file when deep. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_check(omendb *db, uint32_t flags, char **out,
                                                       omendb_error *err);

OMENDB_API void omendb_text_destroy(char *text);

/* ---- Backup -------------------------------------------------------------------- */

enum {
    OMENDB_BACKUP_REPLACE = 1u /* A file of that name that is there, not in use, without a log. */
};

/* How far it is, in bytes of blocks (of ":memory:" in documents). Nonzero stops it: INTERRUPTED, and no file is left. */
typedef int (*omendb_backup_progress)(void *context, uint64_t done, uint64_t total);

typedef struct omendb_backup_options {
    uint32_t struct_size;
    uint32_t flags; /* OMENDB_BACKUP_* */
    /* omendb_backup: a backup or an increment of this database, made before: only blocks that it
     * lacks are written, as an increment. NULL: all of them, as a database. */
    const char *base;
    omendb_backup_progress progress; /* On the caller's thread, once a MiB; may be NULL. */
    void *context;
} omendb_backup_options;
#define OMENDB_BACKUP_OPTIONS_INIT                                                                 \
    {                                                                                              \
        (uint32_t)sizeof(omendb_backup_options), 0, 0, 0, 0                                        \
    }

/* Copies the database to the new file `path` while readers and writers go on: a closed database of its
 * own, one moment of this one, with every batch that was acknowledged before the call. Blocks are
 * verified on the way. `path` appears at the end, whole and synced, or not at all; only an error of
 * making its name durable comes when it is there. `options` may be NULL. From a read-only handle it
 * holds the newest batches that are in file and log.
 * Errors: EXISTS, BUSY (`path` is in use), CORRUPT (a block; the message says of what), ARGUMENT
 * (base is of another database), FULL, IO, INTERRUPTED; UNSUPPORTED: an increment of ":memory:", or
 * beside another process's writer. Cost: reads and writes all blocks, or those that base lacks; 16
 * bytes of memory for each block of 64 KiB. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_backup(omendb *db, const char *path,
                                                        const omendb_backup_options *options,
                                                        omendb_error *err);

/* Makes the database `path` of a backup and the increments behind it, `paths` [count], in the order in
 * which they were made: as the last of them is. All blocks are verified. A single backup is copied.
 * Errors: as above; NOT_FOUND: a block is in none of the files, so one between them is missing. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_restore(const char *const *paths, size_t count,
                                                         const char *path,
                                                         const omendb_backup_options *options,
                                                         omendb_error *err);

typedef struct omendb_repair_options {
    uint32_t struct_size;
    uint32_t flags;                  /* OMENDB_BACKUP_REPLACE */
    omendb_backup_progress progress; /* Documents instead of bytes. */
    void *context;
} omendb_repair_options;
#define OMENDB_REPAIR_OPTIONS_INIT                                                                 \
    {                                                                                              \
        (uint32_t)sizeof(omendb_repair_options), 0, 0, 0                                           \
    }

/* Reads what can be read of the damaged database `path`, which is never written, and makes the new
 * database `out_path` of it: the newest readable image and its log up to the first damage. Id maps,
 * graphs and codes are built anew. A document whose text or id lies in a damaged block is left out,
 * one whose vector does is kept without it. *report (may not be NULL) is JSON: "complete" tells whether
 * everything is there, "collections" lists lost and incomplete ids; see docs/API.md. The status is OK
 * also when much was lost. Errors: CORRUPT: nothing leads to any document, no file is made; EXISTS,
 * BUSY, FULL, IO, NOMEM, INTERRUPTED, UNSUPPORTED. Cost: reads the file about twice, writes a new one. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_repair(const char *path, const char *out_path,
                                                        const omendb_repair_options *options,
                                                        char **report, omendb_error *err);

/* ---- Collections --------------------------------------------------------------- */

/* What makes nearest neighbours of many vectors fast: a graph, which the database builds by
 * itself, in the background, from some thousand vectors on. F32, F16 and BF16 fields of at least
 * 4 dimensions can have one. Until a vector is in it, a scan finds it: answers are complete at
 * every moment. Memory of 1,000,000 vectors of 128 dimensions: FAST 910 MB, COMPACT 270 MB. */
typedef uint32_t omendb_index;
enum {
    OMENDB_INDEX_DEFAULT = 0, /* FAST where the field can have a graph, else EXACT. */
    OMENDB_INDEX_FAST = 1,    /* A graph, and codes of the neighbours beside each of its rows. */
    OMENDB_INDEX_COMPACT = 2, /* A graph alone: a third of the memory, half of the speed. */
    OMENDB_INDEX_EXACT = 3    /* Every search is a scan, every answer brute force's. */
};

typedef struct omendb_vector_field {
    uint32_t struct_size;
    uint32_t dim; /* 1 .. OMENDB_DIM_MAX */
    const char *name;
    omendb_type type;     /* Stored type. */
    omendb_metric metric; /* BIT goes with HAMMING, and with it only. */
    omendb_index index;   /* FAST or COMPACT for a field that can't have a graph: ARGUMENT. */
    uint32_t reserved;
} omendb_vector_field;
#define OMENDB_VECTOR_FIELD_INIT                                                                   \
    {                                                                                              \
        (uint32_t)sizeof(omendb_vector_field), 0, 0, 0, 0, 0, 0                                    \
    }

/* Optional types of JSON fields: a document whose field has another type is refused
 * (null and a missing field are always allowed). Undeclared fields are free-form. */
typedef uint32_t omendb_field_type;
enum {
    OMENDB_FIELD_ANY = 0,
    OMENDB_FIELD_BOOL = 1,
    OMENDB_FIELD_INT = 2,
    OMENDB_FIELD_FLOAT = 3, /* Takes integers too. */
    OMENDB_FIELD_STRING = 4,
    OMENDB_FIELD_TEXT = 5, /* A string to be searched by words (a later version). */
    OMENDB_FIELD_BYTES = 6,
    OMENDB_FIELD_ARRAY = 7,
    OMENDB_FIELD_OBJECT = 8
};

typedef struct omendb_field {
    uint32_t struct_size;
    omendb_field_type type;
    const char *name; /* A top-level key. */
} omendb_field;

typedef struct omendb_schema {
    uint32_t struct_size;
    uint32_t vectors_count;
    const omendb_vector_field *vectors; /* [vectors_count] */
    const omendb_field *fields;         /* [fields_count] may be NULL */
    uint32_t fields_count;              /* At most 256. */
} omendb_schema;
#define OMENDB_SCHEMA_INIT                                                                         \
    {                                                                                              \
        (uint32_t)sizeof(omendb_schema), 0, 0, 0, 0                                                \
    }

/* Collection calls that change something are durable when they return. Names: 1 to
 * OMENDB_NAME_SIZE_MAX bytes of UTF-8 without control characters or '/'.
 * create: EXISTS. `out` may be NULL. open: NOT_FOUND. drop and rename: NOT_FOUND, EXISTS;
 * handles of a dropped collection answer NOT_FOUND. close ends the handle, not the data. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_create(omendb *db, const char *name,
                                                                   const omendb_schema *schema,
                                                                   omendb_collection **out,
                                                                   omendb_error *err);
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_open(omendb *db, const char *name,
                                                                 omendb_collection **out,
                                                                 omendb_error *err);
OMENDB_API void omendb_collection_close(omendb_collection *collection);
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_drop(omendb *db, const char *name,
                                                                 omendb_error *err);
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_rename(omendb *db, const char *name,
                                                                   const char *new_name,
                                                                   omendb_error *err);
/* JSON array of objects {"name", "count", "vectors": [{"name","dim","type","metric","index"}],
 * "fields": [{"name","type"}]}, sorted by name. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_list(omendb *db, char **out,
                                                                 omendb_error *err);
/* The same object for one collection. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_describe(omendb_collection *collection,
                                                                     char **out, omendb_error *err);

/* Searches the vector field `field` (NULL: the only one) in another way from now on; durable when
 * it returns. Searches go on meanwhile. EXACT leaves a graph that is there at rest: switching back
 * goes on where it was. Errors: ARGUMENT (unknown, or the field can't have a graph), NOT_FOUND. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_set_index(omendb_collection *collection,
                                                                      const char *field,
                                                                      omendb_index index,
                                                                      omendb_error *err);

/* How far the background work is: `indexed` of `total` vectors (of all fields that have a graph;
 * equal ones count once). Nonzero stops the waiting. */
typedef int (*omendb_index_progress)(void *context, uint64_t indexed, uint64_t total);

/* Waits until there is nothing left for graphs to take in, as other writers leave it. Never needed
 * for right answers: it tells when searches have become as fast as they will. `progress` (may be
 * NULL) is called on this thread, at the beginning, at least every 100 ms, and at the end.
 * Errors: TIMEOUT (timeout_ms; 0 = none), INTERRUPTED (omendb_interrupt(), or `progress` said so),
 * READ_ONLY (nobody works on the graph), and what the work itself failed with; it is tried again. */
OMENDB_API OMENDB_NODISCARD omendb_status
omendb_collection_wait_indexed(omendb_collection *collection, uint32_t timeout_ms,
                               omendb_index_progress progress, void *context, omendb_error *err);

/* ---- Writing ------------------------------------------------------------------- */

/* A document's id: a number, or a string of 1 .. OMENDB_ID_SIZE_MAX bytes of UTF-8.
 * The number 7 and the string "7" are different ids. */
typedef struct omendb_id {
    const char *text_view; /* NULL: the id is `number`. Not NUL-terminated. */
    size_t size;           /* Bytes of text_view. */
    uint64_t number;
} omendb_id;

/* One column of vectors: row r begins at data + r * row_stride. */
typedef struct omendb_vectors {
    uint32_t struct_size;
    omendb_type type;
    const char *field; /* NULL: the collection's only vector field. */
    const void *data;  /* [count][dim] */
    size_t row_stride; /* Bytes; 0 = packed. */
    uint32_t dim;
    uint32_t reserved;
    const uint8_t *present; /* [count] 0 = this row has no such vector; NULL = all have. */
} omendb_vectors;
#define OMENDB_VECTORS_INIT                                                                        \
    {                                                                                              \
        (uint32_t)sizeof(omendb_vectors), 0, 0, 0, 0, 0, 0, 0                                      \
    }

/* A document's version is the sequence of the batch that wrote it: it grows with each change of a
 * document, also by way of a deletion. omendb_documents_version() tells it. */
#define OMENDB_VERSION_ANY UINT64_MAX       /* As a condition: none. */
#define OMENDB_VERSION_OWN (UINT64_MAX - 1) /* Written by the transaction that reads it. */

enum { OMENDB_ROWS_IF_ABSENT = 1u /* Insert only: EXISTS when there is such a document. */ };

/* Rows to be written, as borrowed columns. Exactly one of `ids`, `id_numbers`, `id_text`
 * is given. JSON texts are objects; NULL means {} for all. In JSON, {"$binary": "<base64>"}
 * is a byte string; it comes back the same. Conditions are judged when the batch takes its place
 * in the order of all batches, those of a transaction at the call: either all rows are written, or
 * none. A row sees those before it. What a call was refused for is visible when it returns. */
typedef struct omendb_rows {
    uint32_t struct_size;
    uint32_t vectors_count;
    size_t count;
    const omendb_id *ids;          /* [count] */
    const uint64_t *id_numbers;    /* [count] */
    const char *id_text;           /* Id r is id_text[id_offsets[r] .. id_offsets[r + 1]). */
    const uint64_t *id_offsets;    /* [count + 1] */
    const omendb_vectors *vectors; /* [vectors_count] */
    const char *json;              /* Text r is json[json_offsets[r] .. json_offsets[r + 1]). */
    const uint64_t *json_offsets;  /* [count + 1] */
    const uint64_t *if_versions; /* [count] The version that the row's document must have: CONFLICT;
                                      0: there must be none (EXISTS). NULL: no conditions. */
    uint32_t flags;              /* OMENDB_ROWS_IF_ABSENT; not with if_versions. */
    uint32_t reserved;
} omendb_rows;
#define OMENDB_ROWS_INIT                                                                           \
    {                                                                                              \
        (uint32_t)sizeof(omendb_rows), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                          \
    }

/* Inserts or replaces documents, all or none of them, and waits until they are durable
 * at the database's level. The same id twice in one batch: the later row wins.
 * Errors: DIMENSION, VALUE (both name row and field), ARGUMENT, FULL, NOMEM, EXISTS and CONFLICT
 * (a condition of a row): nothing was changed. IO, MISUSE: the handle is fenced for writing, reads go on; reopen to go on. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_upsert(omendb_collection *collection,
                                                                   const omendb_rows *rows,
                                                                   omendb_error *err);

/* Deletes by id, all in one batch; ids that don't exist are skipped. `deleted` (may be
 * NULL) tells how many there were. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_delete(omendb_collection *collection,
                                                                   const omendb_id *ids,
                                                                   size_t count, uint64_t *deleted,
                                                                   omendb_error *err);
/* Deletes documents that still have the versions given, all or none. ids, versions: [count].
 * CONFLICT: one has another version, or is gone. */
OMENDB_API OMENDB_NODISCARD omendb_status
omendb_collection_delete_if_version(omendb_collection *collection, const omendb_id *ids,
                                    const uint64_t *versions, size_t count, omendb_error *err);
/* Deletes every document that matches the filter, in one batch. */
OMENDB_API OMENDB_NODISCARD omendb_status
omendb_collection_delete_where(omendb_collection *collection, const char *filter,
                               size_t filter_size, uint64_t *deleted, omendb_error *err);

/* A batch over several collections, visible whole or not at all. Rows are copied when
 * added and checked then; a failed add leaves the batch as it was. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_batch_create(omendb *db, omendb_batch **out,
                                                              omendb_error *err);
OMENDB_API OMENDB_NODISCARD omendb_status omendb_batch_upsert(omendb_batch *batch,
                                                              omendb_collection *collection,
                                                              const omendb_rows *rows,
                                                              omendb_error *err);
OMENDB_API OMENDB_NODISCARD omendb_status omendb_batch_delete(omendb_batch *batch,
                                                              omendb_collection *collection,
                                                              const omendb_id *ids, size_t count,
                                                              omendb_error *err);
/* Writes the batch at the given level and empties it, so that it can be filled again.
 * `sequence` (may be NULL) is the batch's place in the order of all batches. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_batch_commit(omendb_batch *batch,
                                                              omendb_durability durability,
                                                              uint64_t *sequence,
                                                              omendb_error *err);
OMENDB_API void omendb_batch_destroy(omendb_batch *batch);

/* ---- Snapshots ----------------------------------------------------------------- */

/* The documents of all collections as they were at one moment, for as long as it is kept. Writers go
 * on; what they replace or delete stays in memory and file until no snapshot sees it. At most
 * OMENDB_SNAPSHOTS_MAX, open transactions included: BUSY. Closing the database ends none: destroy
 * them before. omendb_stats() tells how many there are and how old the oldest is. Cost: O(1).
 * Threads: any number; create and destroy from any. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_snapshot_create(omendb *db, omendb_snapshot **out,
                                                                 omendb_error *err);
/* The newest batch that it shows, in the order of all batches. */
OMENDB_API uint64_t omendb_snapshot_sequence(const omendb_snapshot *snapshot);
/* The collection as the snapshot sees it: a handle for everything that reads documents (get, find,
 * count, search), to be ended by omendb_collection_close(). Writing through it is READ_ONLY; describe
 * and all that is about indexes speak of now. One made after the snapshot is empty, a dropped one
 * NOT_FOUND. The first count without a filter visits every document, later ones are O(1). */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_snapshot_collection(omendb_snapshot *snapshot,
                                                                     omendb_collection *collection,
                                                                     omendb_collection **out,
                                                                     omendb_error *err);
/* Lets go of what it held; a read that is under way finishes before. Collections seen through it
 * answer MISUSE from then on. */
OMENDB_API void omendb_snapshot_destroy(omendb_snapshot *snapshot);

/* ---- Transactions -------------------------------------------------------------- */

/* Reads and writes of any collections that become visible and durable as one batch, or not at all.
 *
 *     begin ─ collections seen through it: read, write ─ commit, or rollback
 *
 * Isolation is snapshot isolation. Reads (get, find, count, search) see the moment of the beginning
 * and, in front of it, what the transaction itself has written; nobody else sees that before the
 * commit. The commit fails with CONFLICT, and changes nothing, if any document that the transaction
 * wrote or deleted was changed by somebody else since the beginning: of two that write the same
 * document the first to commit wins. What was only read isn't compared: two transactions that each
 * read what the other writes may both commit (write skew); who depends on a document that he only
 * read writes it too.
 *
 * Nothing is locked meanwhile: readers and other writers go on, and a transaction that is left open
 * costs what a snapshot does. At most OMENDB_SNAPSHOTS_MAX, snapshots included: BUSY. What it has
 * written takes memory, at most OMENDB_BATCH_SIZE_MAX encoded bytes (FULL; rows written again count
 * again). Searches scan its own vectors. Threads: a transaction and what is seen through it may be
 * used from any thread; calls take turns. Errors of begin: READ_ONLY, BUSY, NOMEM. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_transaction_begin(omendb *db,
                                                                   omendb_transaction **out,
                                                                   omendb_error *err);
/* The newest batch of others that it sees. */
OMENDB_API uint64_t omendb_transaction_sequence(const omendb_transaction *transaction);
/* The collection as the transaction sees it: a handle for everything that reads documents and for
 * upsert, delete, delete_if_version and delete_where, to be ended by omendb_collection_close(). Writes
 * return at once: their conditions are judged by what the transaction sees, a failed one writes
 * nothing and leaves the transaction as it was. It can't go into an omendb_batch (ARGUMENT).
 * Documents that it has written have the version OMENDB_VERSION_OWN. */
OMENDB_API OMENDB_NODISCARD omendb_status
omendb_transaction_collection(omendb_transaction *transaction, omendb_collection *collection,
                              omendb_collection **out, omendb_error *err);
/* Commits at the given level and ends the transaction; `sequence` (may be NULL) is the place in the
 * order of all batches, of one without writes the moment that it saw. After an error it is open still:
 * to be rolled back after CONFLICT and NOT_FOUND (a collection was dropped), or tried again. IO, MISUSE:
 * the handle is fenced for writing; whether the batch was written, the next open tells. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_transaction_commit(omendb_transaction *transaction,
                                                                    omendb_durability durability,
                                                                    uint64_t *sequence,
                                                                    omendb_error *err);
/* Forgets all that it has written and ends it; nothing happens to one that has ended. */
OMENDB_API void omendb_transaction_rollback(omendb_transaction *transaction);
/* Rolls back what hasn't ended. Collections seen through it answer MISUSE after any end. */
OMENDB_API void omendb_transaction_destroy(omendb_transaction *transaction);

/* ---- Reading ------------------------------------------------------------------- */

enum {
    OMENDB_WITH_DOCUMENTS = 1u, /* Fill omendb_document.json_view. */
    OMENDB_WITH_VECTORS = 2u,   /* Allow omendb_documents_vector() on the result. */
    OMENDB_EXACT = 4u           /* Brute force's answer, whatever index there is. */
};

/* A document of a result. Views live as long as the result. */
typedef struct omendb_document {
    omendb_id id;
    const char *json_view; /* NULL without WITH_DOCUMENTS, or when not found. */
    size_t json_size;
    int32_t found; /* get: 0 = no such document. */
} omendb_document;

/* Documents by id: entry i of the result belongs to ids[i]. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_get(omendb_collection *collection,
                                                                const omendb_id *ids, size_t count,
                                                                uint32_t flags,
                                                                omendb_documents **out,
                                                                omendb_error *err);

typedef struct omendb_find_params {
    uint32_t struct_size;
    uint32_t flags;         /* OMENDB_WITH_* */
    const char *filter;     /* NULL = every document. */
    size_t filter_size;     /* Bytes. */
    const omendb_id *after; /* Begin after this id (the last of the page before); may be NULL. */
    size_t limit;           /* At most this many documents; 0 = 100. */
    uint32_t timeout_ms;    /* 0 = none. */
    uint32_t reserved;
} omendb_find_params;
#define OMENDB_FIND_PARAMS_INIT                                                                    \
    {                                                                                              \
        (uint32_t)sizeof(omendb_find_params), 0, 0, 0, 0, 0, 0, 0                                  \
    }

/* Documents that match a filter, in the order of ids. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_find(omendb_collection *collection,
                                                                 const omendb_find_params *params,
                                                                 omendb_documents **out,
                                                                 omendb_error *err);
/* How many documents match (filter NULL: how many there are, in constant time). */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_collection_count(omendb_collection *collection,
                                                                  const char *filter,
                                                                  size_t filter_size, uint64_t *out,
                                                                  omendb_error *err);

OMENDB_API size_t omendb_documents_count(const omendb_documents *documents);
OMENDB_API void omendb_documents_entry(const omendb_documents *documents, size_t index,
                                       omendb_document *out);
/* The vector `field` (NULL: the only one) of entry `index` in the field's own type, byte for
 * byte as it went in; NULL when the document has none or flags lacked WITH_VECTORS.
 * `type` and `dim` may be NULL. */
OMENDB_API const void *omendb_documents_vector(const omendb_documents *documents, size_t index,
                                               const char *field, omendb_type *type, uint32_t *dim);
/* The document's version, for conditions; 0 when there is no such document. */
OMENDB_API uint64_t omendb_documents_version(const omendb_documents *documents, size_t index);
OMENDB_API void omendb_documents_destroy(omendb_documents *documents);

typedef struct omendb_search_params {
    uint32_t struct_size;
    uint32_t flags;      /* OMENDB_WITH_*, OMENDB_EXACT */
    const char *field;   /* NULL: the only vector field. */
    omendb_type type;    /* Of the queries. */
    uint32_t dim;        /* Must be the field's: DIMENSION. */
    const void *queries; /* [query_count][dim] */
    size_t query_count;  /* At least 1. */
    size_t row_stride;   /* Bytes between queries; 0 = packed. */
    uint32_t k;          /* Hits wanted a query, 1 .. OMENDB_K_MAX; 0 = 10. */
    uint32_t offset;     /* Leave out that many of the best: paging. k + offset <= K_MAX. */
    const char *filter;  /* Mongo-style JSON, or NULL. */
    size_t filter_size;
    float recall;     /* Wanted part of the true hits, (0, 1]; 0 = the default .95. The effort
                            comes from what was measured on the stored vectors; where none suffices,
                            and for 1, the answer is exact. */
    uint32_t ef;      /* Beam width of the graph, k + offset .. OMENDB_EF_MAX; 0 = from recall. */
    uint32_t threads; /* For several queries or a large scan; 0 = 1. */
    uint32_t timeout_ms; /* 0 = none. */
} omendb_search_params;
#define OMENDB_SEARCH_PARAMS_INIT                                                                  \
    {                                                                                              \
        (uint32_t)sizeof(omendb_search_params), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0f, 0, 0, 0     \
    }

/* The k nearest documents of each query among those that match the filter; always
 * min(k, matching documents that have such a vector) hits.
 * Errors: ARGUMENT (k, filter, parameters), DIMENSION, VALUE (NaN ...), NOT_FOUND (field). */
OMENDB_API OMENDB_NODISCARD omendb_status
omendb_collection_search(omendb_collection *collection, const omendb_search_params *params,
                         omendb_hits **out, omendb_error *err);

typedef struct omendb_hit {
    omendb_document document;
    float distance; /* See omendb_metric. */
    float score;    /* Higher is better. */
} omendb_hit;

OMENDB_API size_t omendb_hits_query_count(const omendb_hits *hits);
OMENDB_API size_t omendb_hits_count(const omendb_hits *hits, size_t query);
OMENDB_API void omendb_hits_entry(const omendb_hits *hits, size_t query, size_t index,
                                  omendb_hit *out);
/* Columns for bindings, [query_count][k]; entries past a query's count are NaN. */
OMENDB_API const float *omendb_hits_distances(const omendb_hits *hits);
OMENDB_API const float *omendb_hits_scores(const omendb_hits *hits);
OMENDB_API uint32_t omendb_hits_k(const omendb_hits *hits);
/* The found documents of one query, to be read with omendb_documents_*; lives as long as
 * `hits`; never destroy it. */
OMENDB_API const omendb_documents *omendb_hits_documents(const omendb_hits *hits, size_t query);
/* How the search was run: JSON, lives as long as `hits`. See docs/API.md. */
OMENDB_API const char *omendb_hits_explain(const omendb_hits *hits);
OMENDB_API void omendb_hits_destroy(omendb_hits *hits);

/* The fast path for collections whose ids are numbers: no result handle.
 * ids, scores: [query_count][k]; found: [query_count]. A hit with a string id is
 * ARGUMENT. flags WITH_* are ignored. Steady state allocates nothing. */
OMENDB_API OMENDB_NODISCARD omendb_status omendb_search_vectors(omendb_collection *collection,
                                                                const omendb_search_params *params,
                                                                uint64_t *ids, float *scores,
                                                                uint32_t *found, omendb_error *err);

/* ---- The six seed functions ------------------------------------------------------
 * One collection per process, in memory, behind a mutex; squared L2. They return 0 or a
 * count, negative on error. Result ids are insertion ordinals; adding an id again
 * replaces its vector and keeps its ordinal. result_ids, result_distances: [k]. */
OMENDB_API int omendb_init(int dimension);
OMENDB_API int omendb_add(const char *id_ptr, int id_len, const float *vector_ptr, int dimension);
OMENDB_API int omendb_search(const float *query_ptr, int k, int *result_ids,
                             float *result_distances);
OMENDB_API int omendb_clear(void);
OMENDB_API int omendb_count(void);
OMENDB_API const char *omendb_version(void);

#ifdef __cplusplus
}
#endif
#endif /* OMENDB_H */
