/* Database: a file that is open, its collections and its end. */
#include "binding.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/* Calls of this thread between enter and leave: signal handlers and finalizers may run inside
 * them, and close() there would wait for itself. */
static _Thread_local unsigned database_depth;

int py_database_enter(struct module_state *state, struct database *database)
{
    if (database->handle == NULL || database->closing) {
        (void)py_errors_format(state, OMENDB_ERR_MISUSE, "the database is closed");
        return -1;
    }
    database->active++;
    database_depth++;
    return 0;
}

void py_database_leave(struct database *database)
{
    database->active--;
    database_depth--;
}

void py_database_add_child(struct database *database, struct child *child,
                           void (*detach)(struct child *child))
{
    child->detach = detach;
    child->previous = &database->children;
    child->next = database->children.next;
    child->next->previous = child;
    database->children.next = child;
}

void py_database_remove_child(struct child *child)
{
    if (child->next == NULL) return;
    child->previous->next = child->next;
    child->next->previous = child->previous;
    child->previous = child->next = NULL;
}

/* ---- Closing --------------------------------------------------------------------------- */

static void database_pause(void)
{
    const struct timespec pause = {0, 1000000}; /* 1 ms: only when calls are still running. */
    WITHOUT_GIL(nanosleep(&pause, NULL));
}

/* Calls that were running at fork() never end in the child: nothing is waited for there. */
static bool database_is_forked(const struct database *database)
{
    return database->process != (long)getpid();
}

static int database_close_handle(struct module_state *state, struct database *database)
{
    const bool forked = database_is_forked(database);
    while (database->closing && !forked) {
        database_pause();
        if (PyErr_CheckSignals() < 0) return -1;
    }
    if (database->handle == NULL) return 0;
    if (database->active > 0 && database_depth > 0 && !forked) {
        (void)py_errors_format(state, OMENDB_ERR_BUSY,
                               "close() from inside a call of the same thread");
        return -1;
    }
    database->closing = true;
    while (database->active > 0 && !forked) {
        database_pause();
        if (PyErr_CheckSignals() < 0) {
            database->closing = false;
            return -1;
        }
    }
    while (database->children.next != &database->children) {
        struct child *const child = database->children.next;
        py_database_remove_child(child);
        child->detach(child);
    }
    omendb *const handle = database->handle;
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    database->handle = NULL;
    WITHOUT_GIL(status = omendb_close(handle, &err));
    database->closing = false;
    if (status == OMENDB_OK) return 0;
    py_errors_raise(state, status, &err);
    return -1;
}

static PyObject *database_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || database_close_handle(state, (struct database *)self) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *database_leave_context(PyObject *self, PyObject *args)
{
    (void)args;
    return database_close(self, NULL);
}

static PyObject *database_enter_context(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || py_database_enter(state, (struct database *)self) < 0) return NULL;
    py_database_leave((struct database *)self);
    Py_INCREF(self);
    return self;
}

static void database_dealloc(PyObject *self)
{
    struct database *const database = (struct database *)self;
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    PyErr_Fetch(&type, &value, &traceback);
    /* Children hold references to their database: here there are none left. */
    if (database->handle != NULL && !database_is_forked(database)) {
        if (PyErr_WarnFormat(PyExc_ResourceWarning, 1, "unclosed OmenDB database %R",
                             database->path) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        omendb *const handle = database->handle;
        database->handle = NULL;
        WITHOUT_GIL((void)omendb_close(handle, NULL));
    }
    PyErr_Restore(type, value, traceback);
    Py_XDECREF(database->path);
    py_module_free_object(self);
}

/* ---- Opening --------------------------------------------------------------------------- */

const char py_database_open_doc[] =
    "open($module, /, path, *, read_only=False, create=True, durability='full',\n"
    "     interval_ms=None, wal_size_max=None, index_threads=None)\n--\n\n"
    "Open or make a database file; ':memory:' has no file and is gone at close.\n\n"
    "create=False: NotFoundError instead of making a new file. read_only: the state at\n"
    "opening. durability: what an acknowledged write survives: 'full' power loss,\n"
    "'interval' a kill of the process at once and power loss after interval_ms, 'none'\n"
    "only a clean close. index_threads: how many build graphs in the background; half of the\n"
    "processors by default. One handle writes a file at a time, others get BusyError; readers\n"
    "may be beside it.\n\n"
    "    >>> with omendb.open(':memory:', durability='none') as db:\n"
    "    ...     db\n"
    "    <omendb.Database ':memory:', collections []>";

PyObject *py_database_open(PyObject *module, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    enum { PATH, READ_ONLY, CREATE, DURABILITY, INTERVAL_MS, WAL_SIZE_MAX, INDEX_THREADS, COUNT };
    static const char *const names[] = {"path",          "read_only",   "create",
                                        "durability",    "interval_ms", "wal_size_max",
                                        "index_threads", NULL};
    static const struct signature signature = {"open", names, 1, 1};
    struct module_state *const state = PyModule_GetState(module);
    PyObject *values[COUNT];
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0) return NULL;
    omendb_options options = OMENDB_OPTIONS_INIT;
    bool read_only = false, create = true;
    if (py_convert_bool(values[READ_ONLY], &read_only) < 0 ||
        py_convert_bool(values[CREATE], &create) < 0 ||
        py_convert_choice(state, values[DURABILITY], "durability", py_convert_durability_names,
                          &options.durability) < 0 ||
        py_convert_u32(state, values[INTERVAL_MS], "interval_ms", &options.interval_ms) < 0 ||
        py_convert_u64(state, values[WAL_SIZE_MAX], "wal_size_max", &options.wal_size_max) < 0 ||
        py_convert_u32(state, values[INDEX_THREADS], "index_threads", &options.index_threads) < 0) {
        return NULL;
    }
    if (read_only) options.flags |= OMENDB_OPEN_READ_ONLY;
    if (read_only || !create) options.flags |= OMENDB_OPEN_MUST_EXIST;
    PyObject *encoded = NULL;
    if (!PyUnicode_FSConverter(values[PATH], &encoded)) return NULL;
    struct database *const database = (struct database *)py_module_new_object(state->database_type);
    if (database != NULL) {
        const char *const path = PyBytes_AsString(encoded);
        omendb *handle = NULL;
        omendb_error err = {OMENDB_OK, ""};
        omendb_status status = OMENDB_OK;
        database->children.next = database->children.previous = &database->children;
        database->process = (long)getpid();
        database->path = PyUnicode_DecodeFSDefault(path);
        if (database->path == NULL) {
            Py_DECREF(encoded);
            Py_DECREF((PyObject *)database);
            return NULL;
        }
        WITHOUT_GIL(status = omendb_open(path, &options, &handle, &err));
        database->handle = handle;
        if (status != OMENDB_OK) {
            if (status == OMENDB_ERR_BUSY) {
                py_errors_raise_hint(state, status, &err,
                                     read_only
                                         ? "try again"
                                         : "close the other handle (it may be one of this process),"
                                           " or open with read_only=True beside it");
            } else {
                py_errors_raise(state, status, &err);
            }
            Py_DECREF(encoded);
            Py_DECREF((PyObject *)database);
            return NULL;
        }
    }
    Py_DECREF(encoded);
    return (PyObject *)database;
}

/* ---- Collections ----------------------------------------------------------------------- */

/* Opens the collection `name`; inside py_database_enter(). */
static PyObject *database_open_collection(struct module_state *state, struct database *database,
                                          const char *name)
{
    omendb_collection *handle = NULL;
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    WITHOUT_GIL(status = omendb_collection_open(database->handle, name, &handle, &err));
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    return py_collection_create(state, database, handle);
}

/* A collection that was there already is as good as a new one if it is declared alike. */
static PyObject *database_open_same(struct module_state *state, struct database *database,
                                    const char *name, PyObject *vectors, PyObject *fields)
{
    PyObject *collection = database_open_collection(state, database, name);
    if (collection == NULL) return NULL;
    PyObject *described = py_collection_describe_object(state, (struct collection *)collection);
    PyObject *same = NULL;
    if (described != NULL) {
        PyObject *const args[] = {described, vectors != NULL ? vectors : Py_None,
                                  fields != NULL ? fields : Py_None};
        same = py_module_call_helper(state, NAME_SAME_SCHEMA, args, 3);
        Py_DECREF(described);
    }
    if (same != NULL && Py_IsTrue(same)) {
        Py_DECREF(same);
        return collection;
    }
    if (same != NULL) {
        (void)py_errors_format(state, OMENDB_ERR_EXISTS,
                               "collection '%s' exists with other vectors or fields", name);
    }
    Py_XDECREF(same);
    Py_DECREF(collection);
    return NULL;
}

static PyObject *database_create_collection(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                            PyObject *keywords)
{
    enum { NAME, VECTORS, FIELDS, EXIST_OK, COUNT };
    static const char *const names[] = {"name", "vectors", "fields", "exist_ok", NULL};
    static const struct signature signature = {"create_collection", names, 3, 1};
    struct database *const database = (struct database *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    const char *name = NULL;
    bool exist_ok = false;
    struct schema_columns columns;
    if (py_convert_name(state, values[NAME], "a collection's name", &name) < 0 ||
        py_convert_bool(values[EXIST_OK], &exist_ok) < 0 ||
        py_schema_columns_init(state, values[VECTORS], values[FIELDS], &columns) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (py_database_enter(state, database) == 0) {
        omendb_collection *handle = NULL;
        omendb_error err = {OMENDB_OK, ""};
        omendb_status status = OMENDB_OK;
        WITHOUT_GIL(status = omendb_collection_create(database->handle, name, &columns.schema,
                                                      &handle, &err));
        if (status == OMENDB_OK) {
            result = py_collection_create(state, database, handle);
        } else if (status == OMENDB_ERR_EXISTS && exist_ok) {
            result = database_open_same(state, database, name, values[VECTORS], values[FIELDS]);
        } else {
            py_errors_raise(state, status, &err);
        }
        py_database_leave(database);
    }
    py_schema_columns_deinit(&columns);
    return result;
}

static PyObject *database_subscript(PyObject *self, PyObject *argument)
{
    struct database *const database = (struct database *)self;
    struct module_state *const state = py_module_state_of(self);
    const char *name = NULL;
    if (state == NULL || py_convert_name(state, argument, "a collection's name", &name) < 0 ||
        py_database_enter(state, database) < 0) {
        return NULL;
    }
    PyObject *result = database_open_collection(state, database, name);
    py_database_leave(database);
    return result;
}

static PyObject *database_collection(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                     PyObject *keywords)
{
    static const char *const names[] = {"name", NULL};
    static const struct signature signature = {"collection", names, 1, 1};
    PyObject *values[1];
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0) return NULL;
    return database_subscript(self, values[0]);
}

static int database_contains(PyObject *self, PyObject *argument)
{
    struct module_state *const state = py_module_state_of(self);
    PyObject *collection = database_subscript(self, argument);
    if (collection == NULL) {
        if (state == NULL || !PyErr_ExceptionMatches(state->errors[-OMENDB_ERR_NOT_FOUND])) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(collection);
    return 1;
}

static PyObject *database_drop_collection(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                          PyObject *keywords)
{
    static const char *const names[] = {"name", NULL};
    static const struct signature signature = {"drop_collection", names, 1, 1};
    struct database *const database = (struct database *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[1];
    const char *name = NULL;
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_convert_name(state, values[0], "a collection's name", &name) < 0 ||
        py_database_enter(state, database) < 0) {
        return NULL;
    }
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    WITHOUT_GIL(status = omendb_collection_drop(database->handle, name, &err));
    py_database_leave(database);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    Py_RETURN_NONE;
}

static PyObject *database_rename_collection(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                            PyObject *keywords)
{
    enum { NAME, NEW_NAME, COUNT };
    static const char *const names[] = {"name", "new_name", NULL};
    static const struct signature signature = {"rename_collection", names, 2, 2};
    struct database *const database = (struct database *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    const char *name = NULL, *new_name = NULL;
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_convert_name(state, values[NAME], "a collection's name", &name) < 0 ||
        py_convert_name(state, values[NEW_NAME], "a collection's name", &new_name) < 0 ||
        py_database_enter(state, database) < 0) {
        return NULL;
    }
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    WITHOUT_GIL(status = omendb_collection_rename(database->handle, name, new_name, &err));
    py_database_leave(database);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    Py_RETURN_NONE;
}

/* ---- Reports --------------------------------------------------------------------------- */

struct report_call {
    omendb *handle;
    omendb_status (*run)(struct report_call *call);
    uint32_t flags;
    char *text;
    omendb_error err;
};

static omendb_status database_run_report(void *argument)
{
    struct report_call *const call = argument;
    return call->run(call);
}

static omendb_status database_run_stats(struct report_call *call)
{
    return omendb_stats(call->handle, &call->text, &call->err);
}

static omendb_status database_run_list(struct report_call *call)
{
    return omendb_collection_list(call->handle, &call->text, &call->err);
}

static omendb_status database_run_check(struct report_call *call)
{
    return omendb_check(call->handle, call->flags, &call->text, &call->err);
}

/* The JSON that an engine call gives, as Python objects. */
static PyObject *database_report(PyObject *self, omendb_status (*run)(struct report_call *),
                                 uint32_t flags, bool may_last)
{
    struct database *const database = (struct database *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || py_database_enter(state, database) < 0) return NULL;
    struct report_call call = {.handle = database->handle, .run = run, .flags = flags};
    omendb_status status = OMENDB_OK;
    const int called = py_call_run(database, may_last, database_run_report, &call, &status);
    py_database_leave(database);
    if (called < 0) {
        omendb_text_destroy(call.text);
        return NULL;
    }
    if (status != OMENDB_OK) return py_errors_raise(state, status, &call.err);
    return py_json_decode_owned(state, call.text);
}

static PyObject *database_stats(PyObject *self, PyObject *unused)
{
    (void)unused;
    return database_report(self, database_run_stats, 0, false);
}

static PyObject *database_collections(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *described = database_report(self, database_run_list, 0, false);
    if (described == NULL) return NULL;
    const Py_ssize_t count = PyList_Size(described);
    PyObject *result = count >= 0 ? PyList_New(count) : NULL;
    for (Py_ssize_t i = 0; result != NULL && i < count; i++) {
        PyObject *name = PyMapping_GetItemString(PyList_GetItem(described, i), "name");
        if (name == NULL || PyList_SetItem(result, i, name) < 0) Py_CLEAR(result);
    }
    Py_DECREF(described);
    return result;
}

static PyObject *database_check(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords)
{
    static const char *const names[] = {"deep", NULL};
    static const struct signature signature = {"check", names, 1, 0};
    PyObject *values[1];
    bool deep = false;
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_convert_bool(values[0], &deep) < 0) {
        return NULL;
    }
    return database_report(self, database_run_check, deep ? OMENDB_CHECK_DEEP : 0, true);
}

static PyObject *database_move(PyObject *self, omendb_status (*move)(omendb *, omendb_error *))
{
    struct database *const database = (struct database *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || py_database_enter(state, database) < 0) return NULL;
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    WITHOUT_GIL(status = move(database->handle, &err));
    py_database_leave(database);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    Py_RETURN_NONE;
}

static PyObject *database_sync(PyObject *self, PyObject *unused)
{
    (void)unused;
    return database_move(self, omendb_sync);
}

static PyObject *database_refresh(PyObject *self, PyObject *unused)
{
    (void)unused;
    return database_move(self, omendb_refresh);
}

static PyObject *database_interrupt(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct database *const database = (struct database *)self;
    /* Allowed while close() waits: that is what it is for. */
    if (database->handle != NULL) omendb_interrupt(database->handle);
    Py_RETURN_NONE;
}

/* What batch() and transaction() take: (*, durability=None). NULL with an exception. */
static struct module_state *database_take_durability(PyObject *self, const char *function,
                                                     PyObject *const *args, Py_ssize_t count,
                                                     PyObject *keywords, omendb_durability *out)
{
    static const char *const names[] = {"durability", NULL};
    const struct signature signature = {function, names, 0, 0};
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[1];
    *out = OMENDB_DURABILITY_DEFAULT;
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_convert_choice(state, values[0], "durability", py_convert_durability_names, out) < 0) {
        return NULL;
    }
    return state;
}

static PyObject *database_batch(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords)
{
    omendb_durability durability;
    struct module_state *const state = database_take_durability(self, "batch", args, count,
                                                                keywords, &durability);
    return state != NULL ? py_batch_create(state, (struct database *)self, durability) : NULL;
}

static PyObject *database_transaction(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                      PyObject *keywords)
{
    omendb_durability durability;
    struct module_state *const state = database_take_durability(self, "transaction", args, count,
                                                                keywords, &durability);
    return state != NULL ? py_view_create_transaction(state, (struct database *)self, durability)
                         : NULL;
}

static PyObject *database_snapshot(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct module_state *const state = py_module_state_of(self);
    return state != NULL ? py_view_create_snapshot(state, (struct database *)self) : NULL;
}

static PyObject *database_path(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *const path = ((struct database *)self)->path;
    Py_INCREF(path);
    return path;
}

static PyObject *database_closed(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((struct database *)self)->handle == NULL);
}

static PyObject *database_iterate(PyObject *self)
{
    PyObject *names = database_collections(self, NULL);
    PyObject *iterator = names != NULL ? PyObject_GetIter(names) : NULL;
    Py_XDECREF(names);
    return iterator;
}

static Py_ssize_t database_length(PyObject *self)
{
    PyObject *names = database_collections(self, NULL);
    const Py_ssize_t length = names != NULL ? PyList_Size(names) : -1;
    Py_XDECREF(names);
    return length;
}

/* An empty database is not a missing one: `if db:` holds. */
static int database_true(PyObject *self)
{
    (void)self;
    return 1;
}

static PyObject *database_repr(PyObject *self)
{
    const struct database *const database = (struct database *)self;
    if (database->handle == NULL) {
        return PyUnicode_FromFormat("<omendb.Database %R, closed>", database->path);
    }
    PyObject *names = database_collections(self, NULL);
    if (names == NULL) {
        PyErr_Clear();
        return PyUnicode_FromFormat("<omendb.Database %R, not usable here>", database->path);
    }
    PyObject *text = PyUnicode_FromFormat("<omendb.Database %R, collections %R>", database->path,
                                          names);
    Py_DECREF(names);
    return text;
}

static PyObject *database_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_module_refuse_pickle(
        self, "send its path and omendb.open(path, read_only=True) in the other process");
}

static PyMethodDef database_methods[] = {
    {"create_collection", METHOD(database_create_collection), METHOD_FLAGS,
     "create_collection($self, /, name, vectors=None, fields=None, *, exist_ok=False)\n--\n\n"
     "Make a collection. vectors: {name: Vector(...)}; fields: {name: Int() ...}, the types that\n"
     "documents must keep to. With exist_ok one that is there already and declared alike is\n"
     "opened.\n\n"
     "    >>> db.create_collection('books', vectors={'v': omendb.Vector(384, 'cosine')},\n"
     "    ...                      fields={'year': omendb.Int()})\n"
     "    <omendb.Collection 'books': 0 documents, v: Vector(384, 'cosine', type='f32'), "
     "year: Int()>"},
    {"collection", METHOD(database_collection), METHOD_FLAGS,
     "collection($self, /, name)\n--\n\n"
     "Open a collection that is there, else NotFoundError; db[name] does the same.\n\n"
     "    >>> db.collection('docs').count(), db['docs'].count()\n"
     "    (3, 3)"},
    {"collections", database_collections, METH_NOARGS,
     "collections($self, /)\n--\n\n"
     "The names of all collections, sorted.\n\n"
     "    >>> db.collections(), list(db), 'docs' in db, len(db)\n"
     "    (['docs'], ['docs'], True, 1)"},
    {"drop_collection", METHOD(database_drop_collection), METHOD_FLAGS,
     "drop_collection($self, /, name)\n--\n\n"
     "Remove a collection and all its documents.\n\n"
     "    >>> db.drop_collection('docs')\n"
     "    >>> db.collections()\n"
     "    []"},
    {"rename_collection", METHOD(database_rename_collection), METHOD_FLAGS,
     "rename_collection($self, /, name, new_name)\n--\n\n"
     "Give a collection another name; handles follow.\n\n"
     "    >>> db.rename_collection('docs', 'texts')\n"
     "    >>> docs.name\n"
     "    'texts'"},
    {"transaction", METHOD(database_transaction), METHOD_FLAGS,
     "transaction($self, /, *, durability=None)\n--\n\n"
     "Begin a Transaction: reads at one moment and writes that become one batch.\n\n"
     "    >>> with db.transaction() as t:\n"
     "    ...     t['docs'].upsert('a', documents={'n': 10})\n"
     "    ...     t['docs'].get('a'), docs.get('a')\n"
     "    ({'n': 10}, {'n': 1})\n"
     "    >>> docs.get('a')\n"
     "    {'n': 10}"},
    {"snapshot", database_snapshot, METH_NOARGS,
     "snapshot($self, /)\n--\n\n"
     "A Snapshot: all collections as they are now, until it is closed.\n\n"
     "    >>> with db.snapshot() as snapshot:\n"
     "    ...     docs.delete('a'), 'a' in snapshot['docs'], 'a' in docs\n"
     "    (1, True, False)"},
    {"batch", METHOD(database_batch), METHOD_FLAGS,
     "batch($self, /, *, durability=None)\n--\n\n"
     "A context manager that writes to several collections, all or nothing.\n\n"
     "    >>> with db.batch() as batch:\n"
     "    ...     batch.upsert(docs, ids=[8], vectors=[[1, 2, 3]])\n"
     "    ...     batch.delete(docs, ids=[7])\n"
     "    >>> 8 in docs, 7 in docs\n"
     "    (True, False)"},
    {"stats", database_stats, METH_NOARGS,
     "stats($self, /)\n--\n\n"
     "Sizes, counts and settings, a dict; see docs/API.md. 'unindexed': vectors that no graph\n"
     "holds (yet); they are found by a scan.\n\n"
     "    >>> db.stats()['collections'][0]['count']\n"
     "    3"},
    {"check", METHOD(database_check), METHOD_FLAGS,
     "check($self, /, deep=False)\n--\n\n"
     "Verify the file: {'ok': bool, 'problems': [...], ...}. deep reads all of it.\n\n"
     "    >>> db.check(deep=True)['ok']\n"
     "    True"},
    {"backup", METHOD(py_backup_run), METHOD_FLAGS,
     "backup($self, /, path, *, base=None, replace=False, progress=None)\n--\n\n"
     "Copy the database to the new file path, a database of its own, while others read and write:\n"
     "one moment, with everything acknowledged before. base: a backup or increment made before;\n"
     "only what it lacks is written, and omendb.restore() puts both together. progress(done,\n"
     "total) gets bytes; what it raises ends the backup, and there is no file then.\n\n"
     "    >>> db.backup('sunday.omen')\n"
     "    >>> with omendb.open('sunday.omen', read_only=True) as copy:\n"
     "    ...     copy['docs'].count()\n"
     "    3"},
    {"sync", database_sync, METH_NOARGS,
     "sync($self, /)\n--\n\n"
     "Make everything written so far durable, whatever its level.\n\n"
     "    >>> db.sync()"},
    {"refresh", database_refresh, METH_NOARGS,
     "refresh($self, /)\n--\n\n"
     "Move a read-only database on to the newest state that its writer has made.\n\n"
     "    >>> with omendb.open('x.omen') as db:\n"
     "    ...     with omendb.open('x.omen', read_only=True) as reader:\n"
     "    ...         docs = db.create_collection('docs')\n"
     "    ...         reader.refresh()\n"
     "    ...         list(reader)\n"
     "    ['docs']"},
    {"interrupt", database_interrupt, METH_NOARGS,
     "interrupt($self, /)\n--\n\n"
     "End the running queries with InterruptedError, from any thread.\n\n"
     "    >>> db.interrupt()"},
    {"close", database_close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "Write the final state and end. Waits for running calls; results stay readable.\n\n"
     "    >>> db.close()\n"
     "    >>> db.closed\n"
     "    True"},
    {"__enter__", database_enter_context, METH_NOARGS, NULL},
    {"__exit__", database_leave_context, METH_VARARGS, NULL},
    {"__reduce__", database_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef database_properties[] = {
    {"path", database_path, NULL, "The path as it was given", NULL},
    {"closed", database_closed, NULL, "Whether close() was called", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot database_slots[] = {
    {Py_tp_doc,
     TEXT("An open database; made by omendb.open(), which see. Closes at the end of `with`.\n\n"
          "    >>> with omendb.open(':memory:') as db:\n"
          "    ...     docs = db.create_collection('docs', vectors={'v': omendb.Vector(3)})\n"
          "    ...     docs.upsert('a', [1, 2, 3], {'n': 1})\n"
          "    ...     db['docs'].get('a')\n"
          "    {'n': 1}\n\n"
          "All of it may be used from any number of threads.")},
    {Py_tp_dealloc, SLOT(database_dealloc)},
    {Py_tp_repr, SLOT(database_repr)},
    {Py_tp_methods, database_methods},
    {Py_tp_getset, database_properties},
    {Py_tp_iter, SLOT(database_iterate)},
    {Py_nb_bool, SLOT(database_true)},
    {Py_sq_contains, SLOT(database_contains)},
    {Py_mp_length, SLOT(database_length)},
    {Py_mp_subscript, SLOT(database_subscript)},
    {0, NULL},
};

PyType_Spec *py_database_spec(void)
{
    static PyType_Spec spec = {
        .name = "omendb.Database",
        .basicsize = (int)sizeof(struct database),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = database_slots,
    };
    return &spec;
}
