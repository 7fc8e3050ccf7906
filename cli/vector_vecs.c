/* vector_vecs.c - .fvecs, .bvecs and .ivecs files (corpus-texmex.irisa.fr). */
#include <string.h>

#include "vector.h"
#include "vector_file.h"

static size_t component_size(enum vector_format format)
{
    return format == VECTOR_BVECS ? 1 : 4;
}

/* Reads the i32 in front of a row; *more is false at the end of the file. */
static omendb_status read_dim(struct vector_file *file, uint32_t *dim, bool *more,
                              omendb_error *err)
{
    size_t got;
    TRY(input_read(&file->input, dim, sizeof(*dim), &got, err));
    *more = got != 0;
    if (got == 0) return OMENDB_OK;
    if (got < sizeof(*dim)) return fault(err, OMENDB_ERR_VALUE, "truncated before its components");
    if (*dim == 0 || *dim > OMENDB_DIM_MAX) {
        return fault(err, OMENDB_ERR_VALUE, "a vector of %d components; possible: 1 to %u",
                     (int32_t)*dim, OMENDB_DIM_MAX);
    }
    return OMENDB_OK;
}

omendb_status vector_vecs_open(struct vector_file *file, omendb_error *err)
{
    bool more;
    file->type = file->format == VECTOR_BVECS ? OMENDB_U8 : OMENDB_F32;
    file->rows_known = file->input.size != 0;
    TRY(read_dim(file, &file->dim, &more, err));
    if (!more) {
        file->dim = 0;
        file->rows_known = true;
        return OMENDB_OK;
    }
    file->row_size = vector_size(file->type, file->dim);
    uint64_t stride = sizeof(uint32_t) + component_size(file->format) * file->dim;
    if (file->rows_known && file->input.size % stride != 0) {
        return fault(err, OMENDB_ERR_VALUE,
                     "truncated, or rows of different sizes: %llu bytes are no multiple of %llu",
                     (unsigned long long)file->input.size, (unsigned long long)stride);
    }
    file->rows_count = file->input.size / stride;
    return OMENDB_OK;
}

static omendb_status floats_of_integers(void *row, uint32_t dim, omendb_error *err)
{
    char *bytes = row;
    for (uint32_t i = 0; i < dim; i++) {
        int32_t integer;
        memcpy(&integer, bytes + (size_t)i * 4, 4);
        if (integer > 1 << 24 || integer < -(1 << 24)) {
            return fault(err, OMENDB_ERR_VALUE, "component %u, %d, is not exact in f32", i,
                         integer);
        }
        float value = (float)integer;
        memcpy(bytes + (size_t)i * 4, &value, 4);
    }
    return OMENDB_OK;
}

omendb_status vector_vecs_next(struct vector_file *file, void *out, bool *more, omendb_error *err)
{
    uint32_t dim = file->dim;
    size_t got;
    *more = dim != 0;
    if (!*more) return OMENDB_OK;
    if (file->next != 0) { /* The first row's was read at opening. */
        TRY(read_dim(file, &dim, more, err));
        if (!*more) return OMENDB_OK;
    }
    if (dim != file->dim) {
        return fault(err, OMENDB_ERR_DIMENSION, "%u components; the rows before have %u", dim,
                     file->dim);
    }
    TRY(input_read(&file->input, out, file->row_size, &got, err));
    if (got < file->row_size) return fault(err, OMENDB_ERR_VALUE, "truncated");
    return file->format == VECTOR_IVECS ? floats_of_integers(out, dim, err) : OMENDB_OK;
}
