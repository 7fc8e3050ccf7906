/* import.h - `omendb import`: rows out of files, into batches, into a collection.
 *
 *     source (jsonl, csv, npy, *vecs) --> import_row + column->row --> batch --> omendb_batch
 *     --vectors FIELD=FILE.npy      ---------------^
 *
 * A reader fills the one row; import_append copies it into the batch's columns; import_flush
 * writes the batch. A row that is refused, by us or by the library, is named by file and line.
 *
 * Invariants
 *  1. Rows reach the collection in the order of the sources; `imported` counts those committed.
 *  2. Without --skip-errors the first bad row ends the import and every row before it is in.
 *  3. A row read from a paired vector file belongs to the document row of the same number, skipped
 *     ones included.
 *
 * Statuses: VALUE, ARGUMENT and DIMENSION refuse one row; any other ends the import.
 */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "args.h"
#include "database.h"
#include "input.h"
#include "vector_file.h"

enum {
    IMPORT_LINE_SIZE_MAX = 33554432, /* Of JSONL, and of a CSV record: a document and vectors. */
    IMPORT_CELL_SIZE_MAX = 16777216, /* Of CSV; the limit of a whole document. */
    IMPORT_CELLS_MAX = 4096,         /* Columns of CSV. */
    IMPORT_BATCH_ROWS_MAX = 1000000, /* --batch */
    IMPORT_BATCH_SIZE_MAX = 67108864 /* Bytes that end a batch before --batch rows are there. */
};

struct import_column {
    char name[OMENDB_NAME_SIZE_MAX + 1]; /* The vector field. */
    const char *key;                     /* JSON key or CSV column it is taken from. */
    const char *paired_path;             /* --vectors */
    struct vector_file paired;
    struct vector_file *source; /* The source itself, while one of vectors is read. */
    bool stored_known;
    omendb_type stored; /* Type of the field. */
    omendb_type type;   /* Of the values handed to the library. */
    uint32_t dim;       /* 0: not known before the first vector. */
    struct text row;    /* The vector of the current row, if present. */
    bool present;
    struct text data;     /* [count][dim] of the batch. */
    struct text presents; /* [count] */
};

struct import_row {
    uint64_t place; /* Line of a text file, row of a vector file. */
    bool has_id;
    bool id_is_text;
    uint64_t id_number;
    struct text id_text;
    struct text json;
};

struct import {
    const struct args *args;
    struct database database;
    struct description description;
    const char *id_key;
    bool id_key_given;
    bool string_ids;
    bool skip_errors;
    bool create;
    bool created;
    omendb_durability durability;
    omendb_metric metric;
    bool has_metric;
    omendb_type new_type;
    bool has_new_type;
    omendb_index new_index;
    bool indexed; /* The graphs were waited for. */
    double index_seconds;
    uint64_t batch_rows;
    uint64_t limit; /* UINT64_MAX: none */

    struct import_column columns[OMENDB_VECTOR_FIELDS_MAX];
    size_t columns_count;
    const char *source_name;
    bool source_has_lines;
    struct import_row row;

    omendb_batch *batch;
    size_t count;         /* Rows waiting in the columns below. */
    omendb_id *ids;       /* [batch_rows] text_view is set when the batch is written. */
    bool *numbered;       /* [batch_rows] gets a running number. */
    uint64_t *id_offsets; /* [batch_rows + 1] into id_bytes */
    struct text id_bytes;
    uint64_t *json_offsets; /* [batch_rows + 1] into json */
    struct text json;
    uint64_t *places; /* [batch_rows] */

    uint64_t imported; /* Committed. */
    uint64_t skipped;
    uint64_t next_number; /* Of rows without an id. */
};

/* Whether `status` refuses one row only. */
bool import_refuses_row(omendb_status status);

/* The column of a vector field; made when there is none. NULL: too many. */
struct import_column *import_column(struct import *import, const char *name, size_t size);

/* Empties the row before a reader fills it. */
void import_row_clear(struct import *import);
/* Sets the row's id from text that is a number or a string. */
omendb_status import_row_id(struct import *import, const char *text, size_t size, bool is_string,
                            omendb_error *err);
/* Sets a column's vector of the row from JSON text. VALUE, DIMENSION. */
omendb_status import_row_vector(struct import_column *column, struct span value, omendb_error *err);

/* Copies the row into the batch and writes the batch when it is full. False: stop. */
bool import_append(struct import *import);
/* Writes the waiting rows. False after printing why it must stop. */
bool import_flush(struct import *import);
/* Reports a row. False: stop; then the rows before it were written. */
bool import_reject(struct import *import, uint64_t place, const omendb_error *err);
void import_batch_deinit(struct import *import);

/* Readers: fill import->row and the columns' rows; *more is false at the end. */
struct csv_reader;
omendb_status import_jsonl_next(struct import *import, struct input *input, bool *more,
                                omendb_error *err);
omendb_status import_csv_open(struct import *import, struct input *input, struct csv_reader **out,
                              omendb_error *err);
omendb_status import_csv_next(struct csv_reader *reader, bool *more, omendb_error *err);
void import_csv_close(struct csv_reader *reader);

#endif /* CLI_IMPORT_H */
