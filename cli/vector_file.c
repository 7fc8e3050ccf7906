#include "vector_file.h"

#include <string.h>

bool vector_format_of(const char *extension, enum vector_format *out)
{
    static const char *const EXTENSIONS[] = {
        [VECTOR_NPY] = "npy",
        [VECTOR_FVECS] = "fvecs",
        [VECTOR_BVECS] = "bvecs",
        [VECTOR_IVECS] = "ivecs",
    };
    for (size_t i = 0; i < sizeof(EXTENSIONS) / sizeof(EXTENSIONS[0]); i++) {
        if (strcmp(extension, EXTENSIONS[i]) != 0) continue;
        *out = (enum vector_format)i;
        return true;
    }
    return false;
}

omendb_status vector_file_open(struct vector_file *file, const char *path,
                               enum vector_format format, omendb_error *err)
{
    struct vector_file opened = {.format = format};
    TRY(input_open(&opened.input, path, err));
    omendb_status status = format == VECTOR_NPY ? vector_npy_open(&opened, err)
                                                : vector_vecs_open(&opened, err);
    if (status != OMENDB_OK) {
        input_close(&opened.input);
        return status;
    }
    *file = opened;
    return OMENDB_OK;
}

void vector_file_close(struct vector_file *file)
{
    input_close(&file->input);
    *file = (struct vector_file){0};
}

omendb_status vector_file_next(struct vector_file *file, void *out, bool *more, omendb_error *err)
{
    TRY(file->format == VECTOR_NPY ? vector_npy_next(file, out, more, err)
                                   : vector_vecs_next(file, out, more, err));
    if (*more) file->next++;
    return OMENDB_OK;
}
