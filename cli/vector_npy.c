/* vector_npy.c - numpy's .npy files; format: numpy.lib.format, versions 1.0 to 3.0. */
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "vector.h"
#include "vector_file.h"

enum { NPY_HEADER_SIZE_MAX = 65536, NPY_AXES_MAX = 4 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are read as they lie in the file");

struct npy_header {
    struct span descr; /* Between its quotes. */
    bool fortran_order;
    uint64_t shape[NPY_AXES_MAX];
    size_t axes_count;
    unsigned seen; /* Bit per key. */
};

/* A cursor over the header's Python dict; `next` never passes `end`. */
struct npy_cursor {
    const char *next;
    const char *end;
};

static char peek_token(struct npy_cursor *cursor)
{
    while (cursor->next < cursor->end && (*cursor->next == ' ' || *cursor->next == '\n')) {
        cursor->next++;
    }
    return cursor->next < cursor->end ? *cursor->next : '\0';
}

static bool take_byte(struct npy_cursor *cursor, char byte)
{
    if (peek_token(cursor) != byte) return false;
    cursor->next++;
    return true;
}

static bool take_word(struct npy_cursor *cursor, const char *word)
{
    size_t size = strlen(word);
    (void)peek_token(cursor);
    if ((size_t)(cursor->end - cursor->next) < size) return false;
    if (memcmp(cursor->next, word, size) != 0) return false;
    cursor->next += size;
    return true;
}

static bool take_string(struct npy_cursor *cursor, struct span *out)
{
    char quote = peek_token(cursor);
    if (quote != '\'' && quote != '"') return false;
    const char *begin = cursor->next + 1;
    const char *close = memchr(begin, quote, (size_t)(cursor->end - begin));
    if (close == NULL) return false;
    *out = (struct span){begin, (size_t)(close - begin)};
    cursor->next = close + 1;
    return true;
}

static bool take_shape(struct npy_cursor *cursor, struct npy_header *header)
{
    if (!take_byte(cursor, '(')) return false;
    while (!take_byte(cursor, ')')) {
        const char *begin = cursor->next;
        while (cursor->next < cursor->end && *cursor->next >= '0' && *cursor->next <= '9') {
            cursor->next++;
        }
        if (header->axes_count == NPY_AXES_MAX) return false;
        if (!digits_parse(begin, (size_t)(cursor->next - begin),
                          &header->shape[header->axes_count++])) {
            return false;
        }
        if (!take_byte(cursor, ',') && peek_token(cursor) != ')') return false;
    }
    return true;
}

static bool take_dict(struct npy_cursor *cursor, struct npy_header *header)
{
    if (!take_byte(cursor, '{')) return false;
    while (!take_byte(cursor, '}')) {
        struct span key;
        if (!take_string(cursor, &key) || !take_byte(cursor, ':')) return false;
        if (span_is(key, "descr")) {
            if (peek_token(cursor) == '[') return false; /* A record type. */
            if (!take_string(cursor, &header->descr)) return false;
            header->seen |= 1u;
        } else if (span_is(key, "fortran_order")) {
            header->fortran_order = take_word(cursor, "True");
            if (!header->fortran_order && !take_word(cursor, "False")) return false;
            header->seen |= 2u;
        } else if (span_is(key, "shape")) {
            if ((header->seen & 4u) != 0 || !take_shape(cursor, header)) return false;
            header->seen |= 4u;
        } else {
            return false;
        }
        if (!take_byte(cursor, ',') && peek_token(cursor) != '}') return false;
    }
    return header->seen == 7u && peek_token(cursor) == '\0';
}

static omendb_status element_type(struct span descr, omendb_type *out, omendb_error *err)
{
    static const struct {
        const char *name;
        omendb_type type;
    } TYPES[] = {{"<f4", OMENDB_F32}, {"<f8", OMENDB_F64}, {"<f2", OMENDB_F16},
                 {"|i1", OMENDB_I8},  {"|u1", OMENDB_U8},  {"<i1", OMENDB_I8},
                 {"<u1", OMENDB_U8},  {"=f4", OMENDB_F32}, {"=f8", OMENDB_F64}};
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        if (!span_is(descr, TYPES[i].name)) continue;
        *out = TYPES[i].type;
        return OMENDB_OK;
    }
    return fault(err, OMENDB_ERR_UNSUPPORTED,
                 "elements of type '%.*s' can't be read; use little-endian f4, f8, f2, i1 or u1",
                 (int)(descr.size > 40 ? 40 : descr.size), descr.data);
}

static omendb_status use_header(struct vector_file *file, const struct npy_header *header,
                                omendb_error *err)
{
    TRY(element_type(header->descr, &file->type, err));
    if (header->fortran_order) {
        return fault(err, OMENDB_ERR_UNSUPPORTED,
                     "the array is in Fortran order; save numpy.ascontiguousarray(x)");
    }
    if (header->axes_count != 1 && header->axes_count != 2) {
        return fault(err, OMENDB_ERR_VALUE, "the array has %zu axes; wanted: [rows][components]",
                     header->axes_count);
    }
    /* One axis is a single vector. */
    uint64_t dim = header->shape[header->axes_count - 1];
    file->rows_known = true;
    file->rows_count = header->axes_count == 2 ? header->shape[0] : 1;
    if (dim == 0 || dim > OMENDB_DIM_MAX) {
        return fault(err, OMENDB_ERR_VALUE, "vectors of %llu components; possible: 1 to %u",
                     (unsigned long long)dim, OMENDB_DIM_MAX);
    }
    file->dim = (uint32_t)dim;
    file->row_size = vector_size(file->type, file->dim);
    uint64_t need;
    uint64_t have = file->input.size - file->input.consumed;
    if (__builtin_mul_overflow(file->rows_count, file->row_size, &need) ||
        (file->input.size != 0 && need > have)) {
        return fault(err, OMENDB_ERR_VALUE,
                     "truncated: the header promises %llu rows of %zu bytes, the file has %llu "
                     "bytes behind it",
                     (unsigned long long)file->rows_count, file->row_size,
                     (unsigned long long)have);
    }
    return OMENDB_OK;
}

omendb_status vector_npy_open(struct vector_file *file, omendb_error *err)
{
    unsigned char start[12];
    size_t got;
    TRY(input_read(&file->input, start, 10, &got, err));
    if (got < 10 || memcmp(start, "\x93NUMPY", 6) != 0) {
        return fault(err, OMENDB_ERR_VALUE, "not an .npy file");
    }
    if (start[6] < 1 || start[6] > 3) {
        return fault(err, OMENDB_ERR_UNSUPPORTED, "version %u of the .npy format", start[6]);
    }
    size_t size = start[8] | (size_t)start[9] << 8;
    if (start[6] >= 2) {
        TRY(input_read(&file->input, start + 10, 2, &got, err));
        if (got < 2) return fault(err, OMENDB_ERR_VALUE, "truncated in its header");
        size |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    }
    if (size > NPY_HEADER_SIZE_MAX) {
        return fault(err, OMENDB_ERR_VALUE, "a header of %zu bytes; the limit is %d", size,
                     NPY_HEADER_SIZE_MAX);
    }
    char *text = memory_create(size + 1, 1);
    struct npy_header header = {0};
    omendb_status status = input_read(&file->input, text, size, &got, err);
    if (status == OMENDB_OK && got < size) {
        status = fault(err, OMENDB_ERR_VALUE, "truncated in its header");
    }
    if (status == OMENDB_OK && !take_dict(&(struct npy_cursor){text, text + size}, &header)) {
        status = fault(err, OMENDB_ERR_VALUE, "the .npy header doesn't describe a plain array");
    }
    if (status == OMENDB_OK) status = use_header(file, &header, err);
    free(text);
    return status;
}

omendb_status vector_npy_next(struct vector_file *file, void *out, bool *more, omendb_error *err)
{
    size_t got;
    *more = file->next < file->rows_count;
    if (!*more) return OMENDB_OK;
    TRY(input_read(&file->input, out, file->row_size, &got, err));
    if (got == file->row_size) return OMENDB_OK;
    return fault(err, OMENDB_ERR_VALUE, "truncated: the header promises %llu rows",
                 (unsigned long long)file->rows_count);
}
