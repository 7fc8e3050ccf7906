/* Backups: Database.backup(), omendb.restore() and omendb.repair(). */
#include "binding.h"

static uint32_t backup_flags(bool replace)
{
    return replace ? (uint32_t)OMENDB_BACKUP_REPLACE : 0u;
}

PyObject *py_backup_run(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    enum { PATH, BASE, REPLACE, PROGRESS, COUNT };
    static const char *const names[] = {"path", "base", "replace", "progress", NULL};
    static const struct signature signature = {"backup", names, 1, 1};
    struct database *const database = (struct database *)self;
    struct module_state *const state = py_module_state_of(self);
    PyObject *values[COUNT], *path = NULL, *base = NULL;
    struct progress progress = {NULL, NULL, false};
    bool replace = false;
    if (state == NULL || py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_convert_bool(values[REPLACE], &replace) < 0 ||
        py_progress_take(values[PROGRESS], &progress) < 0 ||
        !PyUnicode_FSConverter(values[PATH], &path)) {
        return NULL;
    }
    omendb_backup_options options = OMENDB_BACKUP_OPTIONS_INIT;
    if (values[BASE] != NULL && !Py_IsNone(values[BASE])) {
        if (!PyUnicode_FSConverter(values[BASE], &base)) {
            Py_DECREF(path);
            return NULL;
        }
        options.base = PyBytes_AsString(base);
    }
    options.flags = backup_flags(replace);
    options.progress = py_progress_report;
    options.context = &progress;
    omendb_error err = {OMENDB_OK, ""};
    omendb_status status = OMENDB_OK;
    const bool entered = py_database_enter(state, database) == 0;
    if (entered) {
        const char *const name = PyBytes_AsString(path);
        progress.thread = PyEval_SaveThread();
        status = omendb_backup(database->handle, name, &options, &err);
        PyEval_RestoreThread(progress.thread);
        py_database_leave(database);
    }
    Py_DECREF(path);
    Py_XDECREF(base);
    if (!entered || progress.raised) return NULL;
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    Py_RETURN_NONE;
}

const char py_backup_restore_doc[] =
    "restore($module, /, path, sources, *, replace=False, progress=None)\n--\n\n"
    "Make the database file path of a backup and the increments behind it: a path, or a list\n"
    "of them in the order in which they were made. Every block is verified; NotFoundError: one\n"
    "between them is missing. progress(done, total) gets bytes; what it raises ends the call,\n"
    "and there is no file then.\n\n"
    "    >>> with omendb.open('week.omen') as week:\n"
    "    ...     days = week.create_collection('days')\n"
    "    ...     week.backup('sunday.omen')\n"
    "    ...     days.upsert('monday')\n"
    "    ...     week.backup('monday', base='sunday.omen')  # only what changed\n"
    "    >>> omendb.restore('new.omen', ['sunday.omen', 'monday'])\n"
    "    >>> with omendb.open('new.omen') as new:\n"
    "    ...     list(new['days'])\n"
    "    ['monday']";

/* A list of encoded paths: of one, or of a sequence of them. */
static PyObject *backup_paths(PyObject *value)
{
    PyObject *const list = PyList_New(0);
    if (list == NULL) return NULL;
    const bool single = !PyList_Check(value) && !PyTuple_Check(value);
    const Py_ssize_t count = single ? 1 : PySequence_Size(value);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = single ? Py_NewRef(value) : PySequence_GetItem(value, i), *encoded = NULL;
        const bool good = item != NULL && PyUnicode_FSConverter(item, &encoded) &&
                          PyList_Append(list, encoded) == 0;
        Py_XDECREF(item);
        Py_XDECREF(encoded);
        if (good) continue;
        Py_DECREF(list);
        return NULL;
    }
    return list;
}

PyObject *py_backup_restore(PyObject *module, PyObject *const *args, Py_ssize_t count,
                            PyObject *keywords)
{
    enum { PATH, SOURCES, REPLACE, PROGRESS, COUNT };
    static const char *const names[] = {"path", "sources", "replace", "progress", NULL};
    static const struct signature signature = {"restore", names, 2, 2};
    struct module_state *const state = PyModule_GetState(module);
    PyObject *values[COUNT], *path = NULL;
    struct progress progress = {NULL, NULL, false};
    bool replace = false;
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_convert_bool(values[REPLACE], &replace) < 0 ||
        py_progress_take(values[PROGRESS], &progress) < 0 ||
        !PyUnicode_FSConverter(values[PATH], &path)) {
        return NULL;
    }
    PyObject *const list = backup_paths(values[SOURCES]);
    const size_t sources_count = list == NULL ? 0 : (size_t)PyList_Size(list);
    const char **const sources = PyMem_Malloc((sources_count + 1) * sizeof *sources);
    if (list == NULL || sources == NULL) {
        if (list != NULL) PyErr_NoMemory();
        PyMem_Free(sources);
        Py_XDECREF(list);
        Py_DECREF(path);
        return NULL;
    }
    for (size_t i = 0; i < sources_count; i++)
        sources[i] = PyBytes_AsString(PyList_GetItem(list, (Py_ssize_t)i));
    omendb_backup_options options = OMENDB_BACKUP_OPTIONS_INIT;
    options.flags = backup_flags(replace);
    options.progress = py_progress_report;
    options.context = &progress;
    omendb_error err = {OMENDB_OK, ""};
    const char *const name = PyBytes_AsString(path);
    progress.thread = PyEval_SaveThread();
    const omendb_status status = omendb_restore(sources, sources_count, name, &options, &err);
    PyEval_RestoreThread(progress.thread);
    PyMem_Free(sources);
    Py_DECREF(list);
    Py_DECREF(path);
    if (progress.raised) return NULL;
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    Py_RETURN_NONE;
}

const char py_backup_repair_doc[] =
    "repair($module, /, path, out_path, *, replace=False, progress=None)\n--\n\n"
    "Save what can be read of the damaged database path, which is never written, into the new\n"
    "database out_path; indexes are built anew. Returns a report: 'complete', and for each\n"
    "collection the ids that are lost or lack a vector; see docs/API.md. progress(done, total)\n"
    "gets documents.\n\n"
    "    >>> db.backup('old.omen')\n"
    "    >>> omendb.repair('old.omen', 'new.omen')['complete']\n"
    "    True";

PyObject *py_backup_repair(PyObject *module, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    enum { PATH, OUT_PATH, REPLACE, PROGRESS, COUNT };
    static const char *const names[] = {"path", "out_path", "replace", "progress", NULL};
    static const struct signature signature = {"repair", names, 2, 2};
    struct module_state *const state = PyModule_GetState(module);
    PyObject *values[COUNT], *path = NULL, *out_path = NULL;
    struct progress progress = {NULL, NULL, false};
    bool replace = false;
    if (py_convert_arguments(&signature, args, count, keywords, values) < 0 ||
        py_convert_bool(values[REPLACE], &replace) < 0 ||
        py_progress_take(values[PROGRESS], &progress) < 0 ||
        !PyUnicode_FSConverter(values[PATH], &path)) {
        return NULL;
    }
    if (!PyUnicode_FSConverter(values[OUT_PATH], &out_path)) {
        Py_DECREF(path);
        return NULL;
    }
    omendb_repair_options options = OMENDB_REPAIR_OPTIONS_INIT;
    options.flags = backup_flags(replace);
    options.progress = py_progress_report;
    options.context = &progress;
    omendb_error err = {OMENDB_OK, ""};
    char *report = NULL;
    const char *const name = PyBytes_AsString(path), *const out_name = PyBytes_AsString(out_path);
    progress.thread = PyEval_SaveThread();
    const omendb_status status = omendb_repair(name, out_name, &options, &report, &err);
    PyEval_RestoreThread(progress.thread);
    Py_DECREF(path);
    Py_DECREF(out_path);
    if (progress.raised) {
        omendb_text_destroy(report);
        return NULL;
    }
    if (status != OMENDB_OK) return py_errors_raise(state, status, &err);
    return py_json_decode_owned(state, report);
}
