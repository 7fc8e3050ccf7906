/* vector_file.h - files that hold nothing but vectors, read row by row.
 *
 *     .npy    numpy: "\x93NUMPY", major, minor, header size (u16, from version 2 on u32), a Python
 *             dict {'descr', 'fortran_order', 'shape'}, then the rows. f4 f8 f2 i1 u1, C order.
 *     .fvecs  each row: i32 dim, dim x f32
 *     .bvecs  each row: i32 dim, dim x u8
 *     .ivecs  each row: i32 dim, dim x i32, read as f32 where that is exact
 *
 * Everything a header promises is checked against the file's real size before the first row is
 * handed out, and against limits: 64 KiB of npy header, OMENDB_DIM_MAX components.
 *
 * Errors: VALUE (the file is not what it says), UNSUPPORTED (element type, Fortran order), those of
 * input.h.
 */
#ifndef CLI_VECTOR_FILE_H
#define CLI_VECTOR_FILE_H

#include "input.h"
#include "text.h"

enum vector_format { VECTOR_NPY, VECTOR_FVECS, VECTOR_BVECS, VECTOR_IVECS };

struct vector_file {
    struct input input;
    enum vector_format format;
    omendb_type type; /* Of the rows handed out. */
    uint32_t dim;     /* 0: an empty file. */
    size_t row_size;  /* Bytes of a row handed out. */
    bool rows_known;
    uint64_t rows_count; /* If known. */
    uint64_t next;       /* Index of the row that comes next. */
};

bool vector_format_of(const char *extension, enum vector_format *out);

omendb_status vector_file_open(struct vector_file *file, const char *path,
                               enum vector_format format, omendb_error *err);
void vector_file_close(struct vector_file *file); /* Also of {0}. */

/* Reads the next row to out[row_size]; *more is false at the end. */
omendb_status vector_file_next(struct vector_file *file, void *out, bool *more, omendb_error *err);

/* The two formats' own parts, called by the three above. */
omendb_status vector_npy_open(struct vector_file *file, omendb_error *err);
omendb_status vector_npy_next(struct vector_file *file, void *out, bool *more, omendb_error *err);
omendb_status vector_vecs_open(struct vector_file *file, omendb_error *err);
omendb_status vector_vecs_next(struct vector_file *file, void *out, bool *more, omendb_error *err);

#endif /* CLI_VECTOR_FILE_H */
