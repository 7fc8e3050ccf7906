/* binding.h - what the files of the Python extension share.
 *
 *     module.c      the module, its types and constants        (includes everything below)
 *     database.c    Database: open, collections, close
 *     collection.c  Collection: its description, writing documents
 *     reading.c     Collection: documents and vectors by id and by filter
 *     searching.c   Collection: the nearest documents
 *     batch.c       Batch: several collections at once
 *     view.c        Snapshot, Transaction: collections at one moment, and writes in front of it
 *     result.c      Result: the hits of a search, lists of documents
 *     numbers.c     Numbers: numbers handed to Python (buffer protocol, __array_interface__)
 *     vectors.c     numbers taken from Python, without a copy where their layout allows it
 *     rows.c        the three columns of an upsert
 *     schema.c      the declarations of a new collection
 *     json.c        Python values to JSON text
 *     convert.c     arguments, ids, options
 *     call.c        calls that may last: GIL released, Ctrl-C heard
 *     errors.c      omendb_status to exceptions
 *
 * The extension keeps to the limited API of CPython 3.11 and to omendb.h. Functions that its files
 * share begin with py_: the engine linked into the same object has a collection_create() too.
 *
 * Ownership   Collection, Batch, Snapshot and Transaction -> Database by a strong reference. The other way round a
 *             Database knows its children through an intrusive list without references, so
 *             that close() can end their handles first:
 *
 *                 Database.children <-> child <-> child        newest first
 *
 *             close() takes each child off the list and calls its `detach`; a Collection or
 *             Batch answers MisuseError from there on. A Result owns its hits, which nothing
 *             in the engine refers to: it outlives the database.
 * Threads     Every field of every object is guarded by the GIL. Engine calls run without
 *             it, between py_database_enter() and py_database_leave(); close() waits until no
 *             thread is in between. A child's handle may be used only inside such a pair.
 * Memory      What the engine works on while the GIL is released is owned by the call:
 *             tuples instead of lists, buffers held by their exporter.
 */
#ifndef BINDING_H
#define BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "omendb.h"

#if !defined(Py_LIMITED_API)
#error "the extension is built against the limited API; see CMakeLists.txt"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "OmenDB needs a little-endian machine"
#endif

/* Slots of types are void pointers; ISO C has no cast from a function to that. */
#define SLOT(function) (__extension__(void *)(function))
/* A docstring for a slot, which has no room for const. */
#define TEXT(literal) ((char[]){literal})
#define METHOD(function) ((PyCFunction)(void (*)(void))(function))
#define METHOD_FLAGS (METH_FASTCALL | METH_KEYWORDS)

enum { STATUS_COUNT = 18 }; /* Codes 0 .. -17 of omendb.h; entry 0 is the base class. */
_Static_assert(STATUS_COUNT == 1 - OMENDB_ERR_CONFLICT, "every status has its exception");

/* Names of attributes, interned once: CPython keeps each new string that it looks one up by. */
enum name {
    NAME_ARRAY,
    NAME_ARRAY_INTERFACE,
    NAME_COLLECTION_TEXT,
    NAME_DECODE,
    NAME_DECODE_BINARY,
    NAME_DTYPE,
    NAME_FORMAT,
    NAME_IDS,
    NAME_ITEMS,
    NAME_KEYS,
    NAME_KIND,
    NAME_SAME_SCHEMA,
    NAME_TOBYTES,
    NAME_TOLIST,
    NAME_VECTOR_FIELDS,
    NAME_COUNT
};

struct module_state {
    PyTypeObject *database_type;
    PyTypeObject *collection_type;
    PyTypeObject *batch_type;
    PyTypeObject *snapshot_type;
    PyTypeObject *transaction_type;
    PyTypeObject *result_type;
    PyTypeObject *numbers_type;
    PyTypeObject *hit_type;
    PyTypeObject *document_type;
    PyObject *errors[STATUS_COUNT]; /* errors[-status] */
    PyObject *helpers;              /* omendb._helpers once it was needed. */
    PyObject *names[NAME_COUNT];
};

/* The state of the module that made `self`'s type; NULL with an exception at shutdown. */
struct module_state *py_module_state_of(PyObject *self);

/* A zeroed instance of a type of ours, or NULL with an exception. */
PyObject *py_module_new_object(PyTypeObject *type);
/* The last act of a tp_dealloc. */
void py_module_free_object(PyObject *self);

/* For __reduce__: TypeError that says what to do instead; always NULL. */
PyObject *py_module_refuse_pickle(PyObject *self, const char *instead);

/* An attribute; NULL without an exception: there is none. NULL with one: it failed otherwise. */
PyObject *py_module_attribute(const struct module_state *state, PyObject *object, enum name name);
/* Calls a method without arguments; NULL as above. */
PyObject *py_module_call_method(const struct module_state *state, PyObject *object, enum name name);

/* Calls omendb._helpers.<name>(...) with `count` borrowed arguments: a new reference. */
PyObject *py_module_call_helper(struct module_state *state, enum name name, PyObject *const *args,
                                size_t count);

/* ---- errors.c -------------------------------------------------------------------------- */

int py_errors_init(PyObject *module, struct module_state *state);

/* Raises what `status` stands for with the engine's message; always NULL. */
void *py_errors_raise(struct module_state *state, omendb_status status, const omendb_error *err);
/* The same with a message of ours; always NULL. */
void *py_errors_format(struct module_state *state, omendb_status status, const char *format, ...);
/* The engine's message and then a hint what to do; always NULL. */
void *py_errors_raise_hint(struct module_state *state, omendb_status status,
                           const omendb_error *err, const char *hint);
/* Turns a pending UnicodeEncodeError (lone surrogates) into InvalidValueError. */
void py_errors_translate_unicode(struct module_state *state, const char *what);

/* ---- convert.c ------------------------------------------------------------------------- */

/* The signature of a function: `names` ends with NULL; the first `positional` may be given by
 * position; the first `required` must be given. */
struct signature {
    const char *function;
    const char *const *names;
    Py_ssize_t positional;
    Py_ssize_t required;
};

/* Sorts the arguments of a METH_FASTCALL | METH_KEYWORDS call into values[]: borrowed, NULL
 * where not given. -1 with TypeError. */
int py_convert_arguments(const struct signature *signature, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords, PyObject **values);

/* Each leaves *out alone where the value is NULL or None; -1 with an exception. */
int py_convert_u32(struct module_state *state, PyObject *value, const char *what, uint32_t *out);
int py_convert_u64(struct module_state *state, PyObject *value, const char *what, uint64_t *out);
int py_convert_bool(PyObject *value, bool *out);
int py_convert_seconds(struct module_state *state, PyObject *value, const char *what,
                       uint32_t *milliseconds);
/* `names` ends with NULL; *out becomes the index. */
int py_convert_choice(struct module_state *state, PyObject *value, const char *what,
                      const char *const *names, uint32_t *out);
/* A borrowed NUL-terminated view of a str. */
int py_convert_name(struct module_state *state, PyObject *value, const char *what,
                    const char **out);
/* A borrowed UTF-8 view of a str that lives as long as the str. */
int py_convert_text(struct module_state *state, PyObject *value, const char *what, const char **out,
                    size_t *size);

extern const char *const py_convert_type_names[];   /* By omendb_type. */
extern const char *const py_convert_metric_names[]; /* By omendb_metric. */
extern const char *const py_convert_index_names[];
extern const char *const py_convert_durability_names[]; /* By omendb_durability. */
extern const char *const py_convert_field_type_names[]; /* By omendb_field_type. */

/* A column of ids. Either `numbers` or `ids` is set (both NULL when count is 0). */
struct id_column {
    size_t count;
    bool single;             /* Given as one id and not as a sequence. */
    const uint64_t *numbers; /* [count] */
    omendb_id *ids;          /* [count] */
    PyObject *owner;         /* Keeps the strings. */
    void *block;
    Py_buffer buffer;
    bool buffer_held;
};

/* Takes an id or an iterable of them; with `as_ids` always as omendb_id. */
int py_id_column_init(struct module_state *state, PyObject *value, bool as_ids,
                      struct id_column *column);
void py_id_column_deinit(struct id_column *column);
PyObject *py_convert_id_to_python(const omendb_id *id);

/* ---- json.c ---------------------------------------------------------------------------- */

struct text {
    char *data;
    size_t size;
    size_t capacity;
};

void py_text_deinit(struct text *text);
/* A filter or document: a dict or another mapping is encoded, a str is taken as JSON. None and
 * NULL append `missing`. What is refused is named by its place: what[row]['key'][index] (row < 0:
 * there is just one). -1 with an exception; the text is then of no use. */
int py_json_append_object(struct module_state *state, struct text *text, PyObject *value,
                          const char *missing, const char *what, Py_ssize_t row);
/* Whether a value is a dict or something like it: 1, 0, or -1 with an exception. */
int py_json_is_mapping(const struct module_state *state, PyObject *value);
/* JSON text from the engine as Python objects: a new reference. */
PyObject *py_json_decode(struct module_state *state, const char *data, size_t size);
/* The same for a text that omendb.h handed over; ends it with omendb_text_destroy(). */
PyObject *py_json_decode_owned(struct module_state *state, char *text);

/* ---- numbers.c ------------------------------------------------------------------------- */

PyType_Spec *py_numbers_spec(void);
/* A read-only Numbers of `type` with rows x columns elements (columns < 0: one dimension), its
 * bytes undefined; *data is where they go. For OMENDB_BIT columns count bytes. */
PyObject *py_numbers_create(struct module_state *state, omendb_type type, Py_ssize_t rows,
                            Py_ssize_t columns, void **data);
/* Read-only numbers that lie in memory of `owner`, which is kept. */
PyObject *py_numbers_view(struct module_state *state, PyObject *owner, omendb_type type,
                          const void *data, Py_ssize_t rows, Py_ssize_t columns);
/* Puts the ids of the rows beside the numbers; takes the list. */
void py_numbers_set_ids(PyObject *numbers, PyObject *ids);

/* ---- database.c ------------------------------------------------------------------------ */

struct child {
    struct child *previous;
    struct child *next; /* NULL in both: not on the list. */
    void (*detach)(struct child *child);
};

struct database {
    PyObject_HEAD omendb *handle; /* NULL: closed. */
    PyObject *path;
    long process;          /* Whose handle it is: not a forked child's. */
    Py_ssize_t active;     /* Calls between enter and leave. */
    bool closing;          /* A thread is in close(). */
    struct child children; /* Head of a ring. */
};

PyType_Spec *py_database_spec(void);
PyObject *py_database_open(PyObject *module, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords);
extern const char py_database_open_doc[];

/* -1 with MisuseError when the database is closed. */
int py_database_enter(struct module_state *state, struct database *database);
void py_database_leave(struct database *database);
void py_database_add_child(struct database *database, struct child *child,
                           void (*detach)(struct child *child));
void py_database_remove_child(struct child *child);

/* ---- call.c ---------------------------------------------------------------------------- */

/* Runs run(argument) without the GIL. With `may_last`, on the main thread, signal handlers run
 * meanwhile; if one raises (Ctrl-C), the engine is interrupted and -1 returned with that
 * exception once the call has ended: *status is set in every case. */
int py_call_run(struct database *database, bool may_last, omendb_status (*run)(void *argument),
                void *argument, omendb_status *status);

/* Evaluates an expression without the GIL. */
#define WITHOUT_GIL(expression)                                                                    \
    do {                                                                                           \
        PyThreadState *const saved_ = PyEval_SaveThread();                                         \
        expression;                                                                                \
        PyEval_RestoreThread(saved_);                                                              \
    } while (0)

/* ---- collection.c ---------------------------------------------------------------------- */

struct collection {
    PyObject base;
    struct child child;
    struct database *database; /* Strong. */
    omendb_collection *handle; /* NULL: the database is closed. */
    PyObject *fields;          /* Vector fields: {name: (type, dim)}, or NULL. */
};

PyType_Spec *py_collection_spec(void);
/* Takes `handle`, also when it fails. */
PyObject *py_collection_create(struct module_state *state, struct database *database,
                               omendb_collection *handle);
int py_collection_enter(struct module_state *state, struct collection *collection);
void py_collection_leave(struct collection *collection);

/* Type and dimension of a vector field (NULL: the only one). 1 found, 0 no such field (the
 * engine will say so better), -1 with an exception. */
int py_collection_vector_field(struct module_state *state, struct collection *collection,
                               PyObject *name, omendb_type *type, uint32_t *dim);
PyObject *py_collection_describe_object(struct module_state *state, struct collection *collection);
/* Documents there are now; 0 when that can't be said. Inside py_collection_enter(). */
uint64_t py_collection_size(struct collection *collection);

/* Work of one call above which it may last long enough for a user to press Ctrl-C: documents
 * looked at, or written. Below, the hop to another thread could show (see call.c). */
enum { SCAN_LASTS = 1 << 18, WRITE_LASTS = 4096 };

/* ---- progress.c ------------------------------------------------------------------------ */

/* Of one call that reports; {0} to begin with. Around the library's call:
 * progress.thread = PyEval_SaveThread(), then PyEval_RestoreThread(progress.thread). */
struct progress {
    PyThreadState *thread; /* Of the caller, who has left the GIL. */
    PyObject *callback;    /* Borrowed; NULL: nobody wants to know. */
    bool raised;           /* An exception of the callback, or of a signal handler, is set. */
};

/* None or a callable; -1 with TypeError. */
int py_progress_take(PyObject *value, struct progress *progress);
/* The library's callback, `context` a struct progress, on the thread of the call. */
int py_progress_report(void *context, uint64_t done, uint64_t total);

/* ---- reading.c, searching.c, indexing.c: methods and slots of Collection --------------------------- */

#define METHOD_PROTOTYPE(function)                                                                 \
    PyObject *function(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)

METHOD_PROTOTYPE(py_reading_get);
METHOD_PROTOTYPE(py_reading_get_many);
METHOD_PROTOTYPE(py_reading_get_with_version);
METHOD_PROTOTYPE(py_reading_find);
METHOD_PROTOTYPE(py_reading_items);
METHOD_PROTOTYPE(py_reading_ids);
METHOD_PROTOTYPE(py_reading_count);
METHOD_PROTOTYPE(py_reading_vectors);
METHOD_PROTOTYPE(py_searching_search);
METHOD_PROTOTYPE(py_indexing_set);
METHOD_PROTOTYPE(py_indexing_wait);
METHOD_PROTOTYPE(py_backup_run);
METHOD_PROTOTYPE(py_backup_restore);
METHOD_PROTOTYPE(py_backup_repair);
extern const char py_backup_restore_doc[];
extern const char py_backup_repair_doc[];
PyObject *py_reading_subscript(PyObject *self, PyObject *id);
PyObject *py_reading_iterate(PyObject *self);
Py_ssize_t py_reading_length(PyObject *self);
int py_reading_contains(PyObject *self, PyObject *id);

/* ---- vectors.c ------------------------------------------------------------------------- */

/* Vectors from Python: a view of the exporter's memory, or a block of our own. */
struct vector_rows {
    omendb_type type;
    const void *data;
    size_t row_stride;
    uint32_t dim;
    size_t count;
    bool single;            /* Given as (dim,). */
    const uint8_t *present; /* [count] or NULL */
    bool empty;             /* No row is present: there is no dimension. */
    PyObject *owner;
    PyObject *interface;
    void *block;
    uint8_t *present_block;
    Py_buffer buffer;
    bool buffer_held;
};

/* `field` NULL: the only one. With none_allowed a list may hold None for a missing vector. */
int py_vector_rows_init(struct module_state *state, struct collection *collection, PyObject *field,
                        PyObject *value, bool none_allowed, struct vector_rows *rows);
void py_vector_rows_deinit(struct vector_rows *rows);

/* ---- rows.c ---------------------------------------------------------------------------- */

/* The three columns of an upsert, as Python gave them. */
struct row_columns {
    omendb_rows rows;
    struct id_column ids;
    struct vector_rows vectors[OMENDB_VECTOR_FIELDS_MAX];
    omendb_vectors views[OMENDB_VECTOR_FIELDS_MAX];
    size_t vectors_count;
    PyObject *names; /* Keeps the field names. */
    struct text json;
    uint64_t *json_offsets;
    uint64_t *if_versions;
};

int py_row_columns_init(struct module_state *state, struct collection *collection, PyObject *ids,
                        PyObject *vectors, PyObject *documents, struct row_columns *columns);
/* if_absent and if_version as Python gave them, each may be NULL; after py_row_columns_init(). */
int py_row_columns_set_conditions(struct module_state *state, PyObject *if_absent,
                                  PyObject *if_version, struct row_columns *columns);
/* The versions of `count` documents, of one if `single`: *out is PyMem_Free()d, NULL for None. */
int py_row_versions(struct module_state *state, PyObject *value, size_t count, bool single,
                    uint64_t **out);
void py_row_columns_deinit(struct row_columns *columns);

/* ---- schema.c -------------------------------------------------------------------------- */

/* The declarations of a new collection, in the form of omendb_schema. */
struct schema_columns {
    omendb_schema schema;
    omendb_vector_field *vectors;
    omendb_field *fields;
    PyObject *vector_items; /* Keep the names. */
    PyObject *field_items;
};

int py_schema_columns_init(struct module_state *state, PyObject *vectors, PyObject *fields,
                           struct schema_columns *columns);
void py_schema_columns_deinit(struct schema_columns *columns);

/* ---- result.c -------------------------------------------------------------------------- */

PyType_Spec *py_result_spec(void);
/* Takes `hits`, also when it fails. `single`: one query, given as (dim,). type, dim: of `field`,
 * with OMENDB_WITH_VECTORS only. */
PyObject *py_result_create(struct module_state *state, omendb_hits *hits, bool single,
                           uint32_t flags, PyObject *field, omendb_type type, uint32_t dim);
/* The vectors of all entries as one Numbers (rows, dim) with their ids. An entry without one is
 * left out with `skip`, else NotFoundError. Takes `documents`, also when it fails: where its
 * vectors lie one after the other, they are looked at there. */
PyObject *py_result_take_vectors(struct module_state *state, omendb_documents *documents, bool skip,
                                 PyObject *field, omendb_type type, uint32_t dim);

/* ---- batch.c --------------------------------------------------------------------------- */

PyType_Spec *py_batch_spec(void);
PyObject *py_batch_create(struct module_state *state, struct database *database,
                          omendb_durability durability);

/* ---- view.c ---------------------------------------------------------------------------- */

PyType_Spec *py_view_snapshot_spec(void);
PyType_Spec *py_view_transaction_spec(void);
PyObject *py_view_create_snapshot(struct module_state *state, struct database *database);
PyObject *py_view_create_transaction(struct module_state *state, struct database *database,
                                     omendb_durability durability);

#endif /* BINDING_H */
