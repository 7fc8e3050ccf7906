/* Batch: rows for several collections that become visible together.
 *
 * A batch of the engine belongs to one thread at a time; `busy` makes a second one fail instead
 * of racing. The collections are held until the batch has ended, for it refers to them. */
#include "binding.h"

struct batch {
    PyObject base;
    struct child child;
    struct database *database; /* Strong. */
    omendb_batch *handle;      /* NULL: committed through `with`, discarded, or closed. */
    omendb_durability durability;
    PyObject *collections; /* A list. */
    PyObject *sequence;    /* Of the last commit, or None. */
    bool busy;
};

static void batch_detach(struct child *child)
{
    struct batch *const batch = (struct batch *)(void *)((char *)child -
                                                         offsetof(struct batch, child));
    omendb_batch_destroy(batch->handle);
    batch->handle = NULL;
}

PyObject *py_batch_create(struct module_state *state, struct database *database,
                          omendb_durability durability)
{
    struct batch *const batch = (struct batch *)py_module_new_object(state->batch_type);
    if (batch == NULL) return NULL;
    Py_INCREF((PyObject *)database);
    batch->database = database;
    batch->durability = durability;
    batch->sequence = Py_NewRef(Py_None);
    batch->collections = PyList_New(0);
    if (batch->collections == NULL || py_database_enter(state, database) < 0) goto fail;
    omendb_error err = {OMENDB_OK, ""};
    const omendb_status status = omendb_batch_create(database->handle, &batch->handle, &err);
    if (status == OMENDB_OK) py_database_add_child(database, &batch->child, batch_detach);
    py_database_leave(database);
    if (status == OMENDB_OK) return (PyObject *)batch;
    py_errors_raise(state, status, &err);
fail:
    Py_DECREF((PyObject *)batch);
    return NULL;
}

/* Ends the engine's batch; what wasn't committed is discarded. */
static void batch_end(struct batch *batch)
{
    py_database_remove_child(&batch->child);
    omendb_batch_destroy(batch->handle);
    batch->handle = NULL;
    if (batch->collections != NULL) {
        (void)PyList_SetSlice(batch->collections, 0, PyList_Size(batch->collections), NULL);
    }
}

static void batch_dealloc(PyObject *self)
{
    struct batch *const batch = (struct batch *)self;
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    PyErr_Fetch(&type, &value, &traceback);
    batch_end(batch);
    PyErr_Restore(type, value, traceback);
    Py_XDECREF(batch->collections);
    Py_XDECREF(batch->sequence);
    Py_XDECREF((PyObject *)batch->database);
    py_module_free_object(self);
}

static int batch_enter(struct module_state *state, struct batch *batch)
{
    if (py_database_enter(state, batch->database) < 0) return -1;
    const char *problem = NULL;
    if (batch->handle == NULL) problem = "the batch has ended";
    if (batch->busy) problem = "another thread is using the batch";
    if (problem == NULL) {
        batch->busy = true;
        return 0;
    }
    py_database_leave(batch->database);
    (void)py_errors_format(state, OMENDB_ERR_MISUSE, "%s", problem);
    return -1;
}

static void batch_leave(struct batch *batch)
{
    batch->busy = false;
    py_database_leave(batch->database);
}

/* A collection of the same database, kept until the batch has ended. */
static struct collection *batch_collection(struct module_state *state, struct batch *batch,
                                           PyObject *value)
{
    if (Py_TYPE(value) != state->collection_type) {
        PyErr_Format(PyExc_TypeError, "collection must be an omendb.Collection, not %R",
                     Py_TYPE(value));
        return NULL;
    }
    struct collection *const collection = (struct collection *)value;
    if (collection->database != batch->database) {
        return py_errors_format(state, OMENDB_ERR_ARGUMENT,
                                "the collection is of another database");
    }
    const int known = PySequence_Contains(batch->collections, value);
    if (known < 0 || (known == 0 && PyList_Append(batch->collections, value) < 0)) return NULL;
    return collection;
}

static PyObject *batch_upsert(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords)
{
    enum { COLLECTION, IDS, VECTORS, DOCUMENTS, IF_ABSENT, IF_VERSION, COUNT };
    static const char *const names[] = {"collection", "ids",        "vectors", "documents",
                                        "if_absent",  "if_version", NULL};
    static const struct signature signature = {"upsert", names, 4, 2};
    struct batch *const batch = (struct batch *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    struct collection *const collection = batch_collection(state, batch, values[COLLECTION]);
    struct row_columns columns;
    if (collection == NULL || py_row_columns_init(state, collection, values[IDS], values[VECTORS],
                                                  values[DOCUMENTS], &columns) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (py_row_columns_set_conditions(state, values[IF_ABSENT], values[IF_VERSION], &columns) ==
            0 &&
        batch_enter(state, batch) == 0) {
        omendb_error err = {OMENDB_OK, ""};
        omendb_status status = OMENDB_OK;
        if (columns.rows.count != 0) {
            WITHOUT_GIL(status = omendb_batch_upsert(batch->handle, collection->handle,
                                                     &columns.rows, &err));
        }
        batch_leave(batch);
        result = status == OMENDB_OK ? Py_NewRef(Py_None) : py_errors_raise(state, status, &err);
    }
    py_row_columns_deinit(&columns);
    return result;
}

static PyObject *batch_delete(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords)
{
    enum { COLLECTION, IDS, COUNT };
    static const char *const names[] = {"collection", "ids", NULL};
    static const struct signature signature = {"delete", names, 2, 2};
    struct batch *const batch = (struct batch *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT];
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    struct collection *const collection = batch_collection(state, batch, values[COLLECTION]);
    struct id_column ids;
    if (collection == NULL || py_id_column_init(state, values[IDS], true, &ids) < 0) return NULL;
    PyObject *result = NULL;
    if (batch_enter(state, batch) == 0) {
        omendb_error err = {OMENDB_OK, ""};
        omendb_status status = OMENDB_OK;
        if (ids.count != 0) {
            WITHOUT_GIL(status = omendb_batch_delete(batch->handle, collection->handle, ids.ids,
                                                     ids.count, &err));
        }
        batch_leave(batch);
        result = status == OMENDB_OK ? Py_NewRef(Py_None) : py_errors_raise(state, status, &err);
    }
    py_id_column_deinit(&ids);
    return result;
}

static PyObject *batch_commit(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct batch *const batch = (struct batch *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || batch_enter(state, batch) < 0) return NULL;
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    uint64_t sequence = 0;
    WITHOUT_GIL(status = omendb_batch_commit(batch->handle, batch->durability, &sequence, &err));
    batch_leave(batch);
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    PyObject *number = PyLong_FromUnsignedLongLong(sequence);
    if (number == NULL) return NULL;
    PyObject *const before = batch->sequence;
    batch->sequence = number;
    Py_DECREF(before);
    return Py_NewRef(number);
}

static PyObject *batch_enter_context(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct batch *const batch = (struct batch *)self;
    struct module_state *const state = py_module_state_of(self);
    if (state == NULL || batch_enter(state, batch) < 0) return NULL;
    batch_leave(batch);
    return Py_NewRef(self);
}

static PyObject *batch_leave_context(PyObject *self, PyObject *args)
{
    struct batch *const batch = (struct batch *)self;
    PyObject *const raised = PyTuple_Size(args) > 0 ? PyTuple_GetItem(args, 0) : Py_None;
    PyObject *result = Py_NewRef(Py_None);
    if (Py_IsNone(raised)) {
        Py_DECREF(result);
        result = batch_commit(self, NULL);
        if (result != NULL) {
            Py_DECREF(result);
            result = Py_NewRef(Py_None);
        }
    }
    if (!batch->busy) {
        PyObject *type = NULL, *value = NULL, *traceback = NULL;
        PyErr_Fetch(&type, &value, &traceback);
        batch_end(batch);
        PyErr_Restore(type, value, traceback);
    }
    return result;
}

static PyObject *batch_sequence(PyObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(((struct batch *)self)->sequence);
}

static PyObject *batch_repr(PyObject *self)
{
    const struct batch *const batch = (struct batch *)self;
    if (batch->handle == NULL) {
        return PyUnicode_FromFormat("<omendb.Batch of %R, ended, sequence %R>",
                                    batch->database->path, batch->sequence);
    }
    return PyUnicode_FromFormat("<omendb.Batch of %R, open>", batch->database->path);
}

static PyObject *batch_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_module_refuse_pickle(self, "it belongs to this process; send the rows instead");
}

static PyMethodDef batch_methods[] = {
    {"upsert", METHOD(batch_upsert), METHOD_FLAGS,
     "upsert($self, /, collection, ids, vectors=None, documents=None, *, if_absent=False,\n"
     "       if_version=None)\n--\n\n"
     "Add rows as Collection.upsert() takes them. They are checked and copied now; their\n"
     "conditions are judged when the batch is committed.\n\n"
     "    >>> with db.batch() as batch:\n"
     "    ...     batch.upsert(docs, ids=['c'], vectors=[[0, 1, 1]], documents=[{'n': 4}])\n"
     "    >>> docs.get('c')\n"
     "    {'n': 4}"},
    {"delete", METHOD(batch_delete), METHOD_FLAGS,
     "delete($self, /, collection, ids)\n--\n\n"
     "Add deletions.\n\n"
     "    >>> with db.batch() as batch:\n"
     "    ...     batch.delete(docs, ['a', 'b'])\n"
     "    >>> len(docs)\n"
     "    1"},
    {"commit", batch_commit, METH_NOARGS,
     "commit($self, /)\n--\n\n"
     "Write what was added and begin anew; the batch's place in the order of all batches.\n\n"
     "    >>> batch = db.batch()\n"
     "    >>> batch.delete(docs, 'a')\n"
     "    >>> batch.commit() > 0\n"
     "    True"},
    {"__reduce__", batch_reduce, METH_NOARGS, NULL},
    {"__enter__", batch_enter_context, METH_NOARGS, NULL},
    {"__exit__", batch_leave_context, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef batch_properties[] = {
    {"sequence", batch_sequence, NULL, "The place of the last commit in the order of all", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot batch_slots[] = {
    {Py_tp_doc,
     TEXT("Writes to several collections, visible whole or not at all: `with db.batch()`\n"
          "commits at its end and discards everything when an exception leaves it.\n\n"
          "    >>> with db.batch() as batch:\n"
          "    ...     batch.upsert(docs, 'new', [1, 1, 1])\n"
          "    ...     batch.delete(docs, ['a'])\n"
          "    >>> 'new' in docs, 'a' in docs\n"
          "    (True, False)")},
    {Py_tp_dealloc, SLOT(batch_dealloc)},
    {Py_tp_repr, SLOT(batch_repr)},
    {Py_tp_methods, batch_methods},
    {Py_tp_getset, batch_properties},
    {0, NULL},
};

PyType_Spec *py_batch_spec(void)
{
    static PyType_Spec spec = {
        .name = "omendb.Batch",
        .basicsize = (int)sizeof(struct batch),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = batch_slots,
    };
    return &spec;
}
