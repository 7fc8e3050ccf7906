/* Snapshot and Transaction: collections as they were at one moment, and what was written since.
 *
 * Both hand out ordinary Collections that are seen through them. The engine counts who refers to what,
 * so these objects may go in any order; calls on a transaction take turns in the engine. */
#include "binding.h"

struct view {
    PyObject base;
    struct child child;
    struct database *database; /* Strong. */
    omendb_snapshot *snapshot; /* One of the two; both NULL: closed. */
    omendb_transaction *transaction;
    omendb_durability durability; /* Of a transaction's commit. */
    PyObject *sequence;           /* What a snapshot shows; of the commit, or None. */
    bool ended;                   /* A transaction was committed or rolled back. */
};

static void view_destroy(struct view *view)
{
    omendb_snapshot_destroy(view->snapshot);
    omendb_transaction_destroy(view->transaction);
    view->snapshot = NULL;
    view->transaction = NULL;
}

static void view_detach(struct child *child)
{
    view_destroy((struct view *)(void *)((char *)child - offsetof(struct view, child)));
}

static void view_dealloc(PyObject *self)
{
    struct view *const view = (struct view *)self;
    py_database_remove_child(&view->child);
    view_destroy(view);
    Py_XDECREF(view->sequence);
    Py_XDECREF((PyObject *)view->database);
    py_module_free_object(self);
}

/* An object that is a child of the database; the engine's handle is still to be made. */
static struct view *view_new(PyTypeObject *type, struct database *database)
{
    struct view *const view = (struct view *)py_module_new_object(type);
    if (view == NULL) return NULL;
    Py_INCREF((PyObject *)database);
    view->database = database;
    view->sequence = Py_NewRef(Py_None);
    return view;
}

PyObject *py_view_create_snapshot(struct module_state *state, struct database *database)
{
    omendb_error err = {OMENDB_OK, ""};
    struct view *const view = view_new(state->snapshot_type, database);
    if (view == NULL) return NULL;
    if (py_database_enter(state, database) == 0) {
        const omendb_status status = omendb_snapshot_create(database->handle, &view->snapshot,
                                                            &err);
        if (status == OMENDB_OK) py_database_add_child(database, &view->child, view_detach);
        else py_errors_raise(state, status, &err);
        py_database_leave(database);
    }
    PyObject *sequence = view->snapshot == NULL ? NULL
                                                : PyLong_FromUnsignedLongLong(
                                                      omendb_snapshot_sequence(view->snapshot));
    if (sequence == NULL) {
        Py_DECREF((PyObject *)view);
        return NULL;
    }
    Py_DECREF(view->sequence);
    view->sequence = sequence;
    return (PyObject *)view;
}

PyObject *py_view_create_transaction(struct module_state *state, struct database *database,
                                     omendb_durability durability)
{
    omendb_error err = {OMENDB_OK, ""};
    struct view *const view = view_new(state->transaction_type, database);
    if (view == NULL) return NULL;
    view->durability = durability;
    if (py_database_enter(state, database) == 0) {
        const omendb_status status = omendb_transaction_begin(database->handle, &view->transaction,
                                                              &err);
        if (status == OMENDB_OK) py_database_add_child(database, &view->child, view_detach);
        else py_errors_raise(state, status, &err);
        py_database_leave(database);
    }
    if (view->transaction == NULL) {
        Py_DECREF((PyObject *)view);
        return NULL;
    }
    return (PyObject *)view;
}

static int view_enter(struct module_state *state, struct view *view)
{
    if (py_database_enter(state, view->database) < 0) return -1;
    if (!view->ended && (view->snapshot != NULL || view->transaction != NULL)) return 0;
    py_database_leave(view->database);
    (void)py_errors_format(state, OMENDB_ERR_MISUSE, "the %s has ended",
                           Py_TYPE((PyObject *)view) == state->snapshot_type ? "snapshot"
                                                                             : "transaction");
    return -1;
}

/* ---- Collections ----------------------------------------------------------------------- */

/* The collection of that name as the view sees it; entered. */
static PyObject *view_open(struct module_state *state, struct view *view, const char *name)
{
    omendb_error err = {OMENDB_OK, ""};
    omendb_collection *newest = NULL, *seen = NULL;
    omendb_status status = OMENDB_OK;
    WITHOUT_GIL(status = omendb_collection_open(view->database->handle, name, &newest, &err));
    if (status == OMENDB_OK) {
        status = view->snapshot != NULL
                     ? omendb_snapshot_collection(view->snapshot, newest, &seen, &err)
                     : omendb_transaction_collection(view->transaction, newest, &seen, &err);
        omendb_collection_close(newest);
    }
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    return py_collection_create(state, view->database, seen);
}

/* The same of a collection that is there already, which may have been renamed since. */
static PyObject *view_see(struct module_state *state, struct view *view, PyObject *value)
{
    struct collection *const collection = (struct collection *)value;
    omendb_error err = {OMENDB_OK, ""};
    omendb_collection *seen = NULL;
    if (collection->database != view->database) {
        return py_errors_format(state, OMENDB_ERR_ARGUMENT,
                                "the collection is of another database");
    }
    const omendb_status status =
        view->snapshot != NULL
            ? omendb_snapshot_collection(view->snapshot, collection->handle, &seen, &err)
            : omendb_transaction_collection(view->transaction, collection->handle, &seen, &err);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    return py_collection_create(state, view->database, seen);
}

static PyObject *view_subscript(PyObject *self, PyObject *value)
{
    struct view *const view = (struct view *)self;
    struct module_state *const state = py_module_state_of(self);
    const char *name = NULL;
    if (state == NULL) return NULL;
    const bool is_collection = Py_TYPE(value) == state->collection_type;
    if (!is_collection && py_convert_name(state, value, "a collection's name", &name) < 0) {
        return NULL;
    }
    if (view_enter(state, view) < 0) return NULL;
    PyObject *const result = is_collection ? view_see(state, view, value)
                                           : view_open(state, view, name);
    py_database_leave(view->database);
    return result;
}

static PyObject *view_collection(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                 PyObject *keywords)
{
    static const char *const names[] = {"collection", NULL};
    static const struct signature signature = {"collection", names, 1, 1};
    PyObject *values[1];
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0) return NULL;
    return view_subscript(self, values[0]);
}

/* ---- The end --------------------------------------------------------------------------- */

static PyObject *view_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct view *const view = (struct view *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL) return NULL;
    if (view->snapshot == NULL || py_database_enter(state, view->database) < 0) {
        PyErr_Clear(); /* Closed already, or the database is. */
        Py_RETURN_NONE;
    }
    py_database_remove_child(&view->child);
    view_destroy(view);
    py_database_leave(view->database);
    Py_RETURN_NONE;
}

static PyObject *view_commit(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct view *const view = (struct view *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || view_enter(state, view) < 0) return NULL;
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    uint64_t sequence = 0;
    WITHOUT_GIL(
        status = omendb_transaction_commit(view->transaction, view->durability, &sequence, &err));
    py_database_leave(view->database);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    view->ended = true;
    PyObject *const number = PyLong_FromUnsignedLongLong(sequence);
    if (number == NULL) return NULL;
    PyObject *const before = view->sequence;
    view->sequence = number;
    Py_DECREF(before);
    return Py_NewRef(number);
}

static PyObject *view_rollback(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct view *const view = (struct view *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL) return NULL;
    if (view->transaction == NULL || py_database_enter(state, view->database) < 0) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    WITHOUT_GIL(omendb_transaction_rollback(view->transaction));
    view->ended = true;
    py_database_leave(view->database);
    Py_RETURN_NONE;
}

static PyObject *view_enter_context(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct view *const view = (struct view *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || view_enter(state, view) < 0) return NULL;
    py_database_leave(view->database);
    return Py_NewRef(self);
}

static PyObject *view_leave_snapshot(PyObject *self, PyObject *args)
{
    (void)args;
    return view_close(self, NULL);
}

/* Commits, unless an exception leaves the block or it has ended by itself. */
static PyObject *view_leave_transaction(PyObject *self, PyObject *args)
{
    struct view *const view = (struct view *)self;
    PyObject *const raised = PyTuple_Size(args) > 0 ? PyTuple_GetItem(args, 0) : Py_None;
    if (raised == NULL) return NULL;
    if (view->ended) Py_RETURN_NONE;
    if (!Py_IsNone(raised)) return view_rollback(self, NULL);
    PyObject *result = view_commit(self, NULL);
    if (result == NULL) {
        PyObject *type = NULL, *value = NULL, *traceback = NULL;
        PyErr_Fetch(&type, &value, &traceback);
        PyObject *const rolled_back = view_rollback(self, NULL);
        Py_XDECREF(rolled_back);
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    Py_DECREF(result);
    Py_RETURN_NONE;
}

/* ---- What Python sees ------------------------------------------------------------------ */

static PyObject *view_sequence(PyObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(((struct view *)self)->sequence);
}

static PyObject *view_repr_snapshot(PyObject *self)
{
    const struct view *const view = (struct view *)self;
    return PyUnicode_FromFormat("<omendb.Snapshot of %R, %s, sequence %R>", view->database->path,
                                view->snapshot != NULL ? "open" : "closed", view->sequence);
}

static PyObject *view_repr_transaction(PyObject *self)
{
    const struct view *const view = (struct view *)self;
    if (view->ended || view->transaction == NULL) {
        return PyUnicode_FromFormat("<omendb.Transaction of %R, ended, sequence %R>",
                                    view->database->path, view->sequence);
    }
    return PyUnicode_FromFormat("<omendb.Transaction of %R, open>", view->database->path);
}

static PyObject *view_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_module_refuse_pickle(self, "it belongs to this process");
}

#define VIEW_COLLECTION_DOC                                                                        \
    "collection($self, /, collection)\n--\n\n"                                                     \
    "The Collection of that name, or a Collection, as seen through this; the same as "             \
    "self[...].\n\n"

static PyMethodDef view_snapshot_methods[] = {
    {"collection", METHOD(view_collection), METHOD_FLAGS,
     VIEW_COLLECTION_DOC "    >>> snapshot = db.snapshot()\n"
                         "    >>> len(snapshot.collection('docs')), len(snapshot[docs])\n"
                         "    (3, 3)\n"
                         "    >>> snapshot.close()"},
    {"close", view_close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "Let go of what it held; closing twice is fine.\n\n"
     "    >>> snapshot = db.snapshot()\n"
     "    >>> snapshot.close()\n"
     "    >>> snapshot['docs']  # doctest: +IGNORE_EXCEPTION_DETAIL\n"
     "    Traceback (most recent call last):\n"
     "    omendb.MisuseError"},
    {"__reduce__", view_reduce, METH_NOARGS, NULL},
    {"__enter__", view_enter_context, METH_NOARGS, NULL},
    {"__exit__", view_leave_snapshot, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef view_transaction_methods[] = {
    {"collection", METHOD(view_collection), METHOD_FLAGS,
     VIEW_COLLECTION_DOC "    >>> with db.transaction() as t:\n"
                         "    ...     t.collection('docs').delete('a'), len(t[docs]), len(docs)\n"
                         "    (1, 2, 3)"},
    {"commit", view_commit, METH_NOARGS,
     "commit($self, /)\n--\n\n"
     "Write everything and end; the place in the order of all batches. ConflictError: a document\n"
     "that was written here was changed by somebody else; nothing was written, roll back.\n\n"
     "    >>> t = db.transaction()\n"
     "    >>> t['docs'].delete('a')\n"
     "    1\n"
     "    >>> t.commit() > 0, 'a' in docs\n"
     "    (True, False)"},
    {"rollback", view_rollback, METH_NOARGS,
     "rollback($self, /)\n--\n\n"
     "Forget what was written and end; nothing happens to one that has ended.\n\n"
     "    >>> t = db.transaction()\n"
     "    >>> t['docs'].delete('a')\n"
     "    1\n"
     "    >>> t.rollback()\n"
     "    >>> 'a' in docs\n"
     "    True"},
    {"__reduce__", view_reduce, METH_NOARGS, NULL},
    {"__enter__", view_enter_context, METH_NOARGS, NULL},
    {"__exit__", view_leave_transaction, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef view_snapshot_properties[] = {
    {"sequence", view_sequence, NULL, "The newest batch that it shows", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef view_transaction_properties[] = {
    {"sequence", view_sequence, NULL, "Its place in the order of all batches; None until then",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot view_snapshot_slots[] = {
    {Py_tp_doc,
     TEXT("All collections as they were at one moment, until it is closed: `with db.snapshot()`.\n"
          "Writers go on; what they replace or delete takes space until then.\n\n"
          "    >>> with db.snapshot() as snapshot:\n"
          "    ...     before = snapshot['docs']\n"
          "    ...     docs.delete(['a', 'b'])\n"
          "    ...     len(before), before['a'], before.search([1, 0, 0], k=1).ids, len(docs)\n"
          "    2\n"
          "    (3, {'n': 1}, ['a'], 1)")},
    {Py_tp_dealloc, SLOT(view_dealloc)},
    {Py_tp_repr, SLOT(view_repr_snapshot)},
    {Py_tp_methods, view_snapshot_methods},
    {Py_tp_getset, view_snapshot_properties},
    {Py_mp_subscript, SLOT(view_subscript)},
    {0, NULL},
};

static PyType_Slot view_transaction_slots[] = {
    {Py_tp_doc,
     TEXT(
         "Reads and writes of any collections that become one batch: `with db.transaction()`\n"
         "commits at its end and rolls back when an exception leaves it. Its collections see what\n"
         "it has written, in front of the moment when it began; `docs` itself does not.\n\n"
         "    >>> with db.transaction() as t:\n"
         "    ...     inner = t['docs']\n"
         "    ...     inner.upsert('new', [1, 0, 0], {'n': inner['a']['n'] + 1})\n"
         "    ...     inner['new'], 'new' in docs\n"
         "    ({'n': 2}, False)\n"
         "    >>> docs['new']\n"
         "    {'n': 2}")},
    {Py_tp_dealloc, SLOT(view_dealloc)},
    {Py_tp_repr, SLOT(view_repr_transaction)},
    {Py_tp_methods, view_transaction_methods},
    {Py_tp_getset, view_transaction_properties},
    {Py_mp_subscript, SLOT(view_subscript)},
    {0, NULL},
};

PyType_Spec *py_view_snapshot_spec(void)
{
    static PyType_Spec spec = {
        .name = "omendb.Snapshot",
        .basicsize = (int)sizeof(struct view),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = view_snapshot_slots,
    };
    return &spec;
}

PyType_Spec *py_view_transaction_spec(void)
{
    static PyType_Spec spec = {
        .name = "omendb.Transaction",
        .basicsize = (int)sizeof(struct view),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = view_transaction_slots,
    };
    return &spec;
}
