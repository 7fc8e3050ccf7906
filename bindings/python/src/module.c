/* The module omendb._omendb: its types, exceptions and functions. */
#include "binding.h"

#include <string.h>

struct module_state *py_module_state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

PyObject *py_module_new_object(PyTypeObject *type)
{
    if (type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "omendb is being unloaded");
        return NULL;
    }
    return PyType_GenericAlloc(type, 0);
}

void py_module_free_object(PyObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    union {
        void *slot;
        freefunc call;
    } release = {.slot = PyType_GetSlot(type, Py_tp_free)};
    release.call(self);
    Py_DECREF(type);
}

PyObject *py_module_refuse_pickle(PyObject *self, const char *instead)
{
    PyErr_Format(PyExc_TypeError, "%R cannot be pickled or copied: %s", Py_TYPE(self), instead);
    return NULL;
}

static const char *const module_names[NAME_COUNT] = {
    [NAME_ARRAY] = "__array__",
    [NAME_ARRAY_INTERFACE] = "__array_interface__",
    [NAME_COLLECTION_TEXT] = "collection_text",
    [NAME_DECODE] = "decode",
    [NAME_DECODE_BINARY] = "decode_binary",
    [NAME_DTYPE] = "dtype",
    [NAME_FORMAT] = "format",
    [NAME_IDS] = "ids",
    [NAME_ITEMS] = "items",
    [NAME_KEYS] = "keys",
    [NAME_KIND] = "kind",
    [NAME_SAME_SCHEMA] = "same_schema",
    [NAME_TOBYTES] = "tobytes",
    [NAME_TOLIST] = "tolist",
    [NAME_VECTOR_FIELDS] = "vector_fields",
};

static int module_intern_names(struct module_state *state)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        state->names[i] = PyUnicode_InternFromString(module_names[i]);
        if (state->names[i] == NULL) return -1;
    }
    return 0;
}

PyObject *py_module_attribute(const struct module_state *state, PyObject *object, enum name name)
{
    PyObject *const attribute = PyObject_GetAttr(object, state->names[name]);
    if (attribute == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
    return attribute;
}

PyObject *py_module_call_method(const struct module_state *state, PyObject *object, enum name name)
{
    PyObject *method = py_module_attribute(state, object, name);
    if (method == NULL) return NULL;
    PyObject *const result = PyObject_CallNoArgs(method);
    Py_DECREF(method);
    return result;
}

PyObject *py_module_call_helper(struct module_state *state, enum name name, PyObject *const *args,
                                size_t count)
{
    if (state->helpers == NULL) {
        PyObject *helpers = PyImport_ImportModule("omendb._helpers");
        if (helpers == NULL) return NULL;
        if (state->helpers == NULL) {
            state->helpers = helpers;
        } else {
            Py_DECREF(helpers); /* Another thread was faster. */
        }
    }
    PyObject *result = NULL;
    PyObject *function = PyObject_GetAttr(state->helpers, state->names[name]);
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        if (PyTuple_SetItem(tuple, (Py_ssize_t)i, Py_NewRef(args[i])) < 0) Py_CLEAR(tuple);
    }
    if (function != NULL && tuple != NULL) result = PyObject_CallObject(function, tuple);
    Py_XDECREF(function);
    Py_XDECREF(tuple);
    return result;
}

static PyStructSequence_Field module_hit_fields[] = {
    {"id", "An int or a str"},
    {"score", "Higher is better"},
    {"distance", "In the metric of the field"},
    {"document", "A dict; None with documents=False"},
    {NULL, NULL},
};

static PyStructSequence_Desc module_hit_description = {
    "omendb.Hit",
    "A document that a search found: a tuple with names.\n\n"
    "    >>> hit = docs.search([1, 0, 0])[0]\n"
    "    >>> hit.id, hit.score, hit.distance, hit.document\n"
    "    ('a', 1.0, 0.0, {'n': 1})",
    module_hit_fields, 4};

static PyStructSequence_Field module_document_fields[] = {
    {"id", "An int or a str"},
    {"document", "A dict; None with documents=False"},
    {NULL, NULL},
};

static PyStructSequence_Desc module_document_description = {
    "omendb.Document",
    "A document that find() found: a tuple with names.\n\n"
    "    >>> id, document = docs.find()[0]\n"
    "    >>> id, document\n"
    "    (7, {'n': 3})",
    module_document_fields, 2};

static int module_add_type(PyObject *module, PyType_Spec *spec, const char *name,
                           PyTypeObject **out)
{
    *out = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (*out == NULL) return -1;
    return PyModule_AddObjectRef(module, name, (PyObject *)*out);
}

static int module_add_sequence(PyObject *module, PyStructSequence_Desc *description,
                               const char *name, PyTypeObject **out)
{
    *out = PyStructSequence_NewType(description);
    if (*out == NULL) return -1;
    return PyModule_AddObjectRef(module, name, (PyObject *)*out);
}

static int module_exec(PyObject *module)
{
    struct module_state *const state = PyModule_GetState(module);
    if (module_intern_names(state) < 0 || py_errors_init(module, state) < 0 ||
        module_add_type(module, py_database_spec(), "Database", &state->database_type) < 0 ||
        module_add_type(module, py_collection_spec(), "Collection", &state->collection_type) < 0 ||
        module_add_type(module, py_batch_spec(), "Batch", &state->batch_type) < 0 ||
        module_add_type(module, py_view_snapshot_spec(), "Snapshot", &state->snapshot_type) < 0 ||
        module_add_type(module, py_view_transaction_spec(), "Transaction",
                        &state->transaction_type) < 0 ||
        module_add_type(module, py_result_spec(), "Result", &state->result_type) < 0 ||
        module_add_type(module, py_numbers_spec(), "Numbers", &state->numbers_type) < 0 ||
        module_add_sequence(module, &module_hit_description, "Hit", &state->hit_type) < 0 ||
        module_add_sequence(module, &module_document_description, "Document",
                            &state->document_type) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "__version__", omendb_version());
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *const state = PyModule_GetState(module);
    if (state == NULL) return 0;
    Py_VISIT(state->database_type);
    Py_VISIT(state->collection_type);
    Py_VISIT(state->batch_type);
    Py_VISIT(state->snapshot_type);
    Py_VISIT(state->transaction_type);
    Py_VISIT(state->result_type);
    Py_VISIT(state->numbers_type);
    Py_VISIT(state->hit_type);
    Py_VISIT(state->document_type);
    for (int i = 0; i < STATUS_COUNT; i++) Py_VISIT(state->errors[i]);
    Py_VISIT(state->helpers);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct module_state *const state = PyModule_GetState(module);
    if (state == NULL) return 0;
    Py_CLEAR(state->database_type);
    Py_CLEAR(state->collection_type);
    Py_CLEAR(state->batch_type);
    Py_CLEAR(state->snapshot_type);
    Py_CLEAR(state->transaction_type);
    Py_CLEAR(state->result_type);
    Py_CLEAR(state->numbers_type);
    Py_CLEAR(state->hit_type);
    Py_CLEAR(state->document_type);
    for (int i = 0; i < STATUS_COUNT; i++) Py_CLEAR(state->errors[i]);
    Py_CLEAR(state->helpers);
    for (int i = 0; i < NAME_COUNT; i++) Py_CLEAR(state->names[i]);
    return 0;
}

static void module_free(void *module)
{
    (void)module_clear(module);
}

static PyMethodDef module_functions[] = {
    {"open", METHOD(py_database_open), METHOD_FLAGS, py_database_open_doc},
    {"restore", METHOD(py_backup_restore), METHOD_FLAGS, py_backup_restore_doc},
    {"repair", METHOD(py_backup_repair), METHOD_FLAGS, py_backup_repair_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, SLOT(module_exec)},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "omendb._omendb",
    .m_doc = "The engine behind the package omendb.",
    .m_size = (Py_ssize_t)sizeof(struct module_state),
    .m_methods = module_functions,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__omendb(void);

PyMODINIT_FUNC PyInit__omendb(void)
{
    return PyModuleDef_Init(&module_definition);
}
