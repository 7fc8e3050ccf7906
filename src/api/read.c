/* read.c - the reading calls; query/ does the work. */
#include "api/handles.h"

omendb_status omendb_collection_get(omendb_collection *collection, const omendb_id *ids,
                                    size_t count, uint32_t flags, omendb_documents **out,
                                    omendb_error *err)
{
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(out, "out", err));
    struct entered in;
    TRY(handles_enter(collection, &in, err));
    const omendb_status status = exec_get(&in.exec, ids, count, flags, out, err);
    handles_leave(collection, &in);
    return status;
}

omendb_status omendb_collection_find(omendb_collection *collection,
                                     const omendb_find_params *params, omendb_documents **out,
                                     omendb_error *err)
{
    const omendb_find_params defaults = OMENDB_FIND_PARAMS_INIT;
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(out, "out", err));
    struct entered in;
    TRY(handles_enter(collection, &in, err));
    const omendb_status status = exec_find(&in.exec, params != NULL ? params : &defaults, out, err);
    handles_leave(collection, &in);
    return status;
}

omendb_status omendb_collection_count(omendb_collection *collection, const char *filter,
                                      size_t filter_size, uint64_t *out, omendb_error *err)
{
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(out, "out", err));
    struct entered in;
    TRY(handles_enter(collection, &in, err));
    const omendb_status status = exec_count(&in.exec, filter, filter_size, out, err);
    handles_leave(collection, &in);
    return status;
}

omendb_status omendb_collection_search(omendb_collection *collection,
                                       const omendb_search_params *params, omendb_hits **out,
                                       omendb_error *err)
{
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(params, "params", err));
    TRY(handles_check_pointer(out, "out", err));
    struct entered in;
    TRY(handles_enter(collection, &in, err));
    const omendb_status status = exec_search(&in.exec, params, out, err);
    handles_leave(collection, &in);
    return status;
}

omendb_status omendb_search_vectors(omendb_collection *collection,
                                    const omendb_search_params *params, uint64_t *ids,
                                    float *scores, uint32_t *found, omendb_error *err)
{
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(params, "params", err));
    TRY(handles_check_pointer(ids, "ids", err));
    TRY(handles_check_pointer(scores, "scores", err));
    TRY(handles_check_pointer(found, "found", err));
    struct entered in;
    TRY(handles_enter(collection, &in, err));
    const omendb_status status = exec_search_numbers(&in.exec, params, ids, NULL, scores, found,
                                                     err);
    handles_leave(collection, &in);
    return status;
}
