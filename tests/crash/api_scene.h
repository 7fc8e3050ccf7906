/* api_scene.h - a script that does through omendb.h what programs do, and the oracle that knows
 * what every call must answer after each line.
 *
 *     line      OPEN  CREATE  PUT  BOTH  DELETE_WHERE  INDEX  KILL  OPEN ... CLOSE
 *     oracle    per collection: the number that each id's document was written with, 0 = none
 *
 *     docs      number ids; one field of 8 floats, L2, with a graph from 16 vectors on
 *     notes     text ids; 4 floats (cosine) that every third document lacks, and 4 bytes (L2)
 *
 * Documents and vectors follow from (collection, id, number), and numbers are never used twice, so
 * nothing can pass for another. Components are small whole numbers: distances are exact.
 *
 * A line that fails changed nothing as long as its handle lives; after a new open it has happened
 * whole or not at all: api_scene_reopened() finds out which.
 *
 * Threads: one.
 */
#ifndef CRASH_API_SCENE_H
#define CRASH_API_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "api/db.h"
#include "index/vector/graph_index.h"
#include "omendb.h"

enum { API_DOCS, API_NOTES, API_COLLECTIONS, API_IDS = 160, API_TEXT = 600 };

enum api_kind {
    API_OPEN,
    API_CREATE,       /* collection */
    API_PUT,          /* collection, ids [from, to), documents of about `size` bytes */
    API_BOTH,         /* One batch: docs [from, to) written, notes [from, to) deleted. */
    API_DELETE,       /* collection, ids [from, to) */
    API_DELETE_WHERE, /* collection, the group `from` of five */
    API_INDEX,        /* docs: from = enum of omendb_index */
    API_INDEXED,      /* Waits until the graph has taken in everything. */
    API_RENAME,       /* notes, there and back */
    API_DROP,         /* collection */
    API_SYNC,
    API_READ, /* Everything, in every way. */
    API_STATS,
    API_CHECK, /* deep */
    API_KILL,  /* The process ends; what it wrote stays. */
    API_CLOSE
};

struct api_line {
    enum api_kind kind;
    uint32_t collection, from, to, size;
};

struct api_model {
    struct {
        bool exists, renamed;
        uint32_t numbers[API_IDS];
        uint32_t sizes[API_IDS];
    } collections[API_COLLECTIONS];
};

struct api_scene {
    struct store_options base; /* vfs, hooks. */
    struct graph_options graph;
    const char *path;
    omendb *db;
    omendb_collection *handles[API_COLLECTIONS];
    struct api_model model, next; /* Before and after the line being played. */
    uint32_t last_number, base_number;
    void (*kill)(struct api_scene *scene); /* What API_KILL does; scene->db is NULL afterwards. */
    void *context;
    char failure[API_TEXT]; /* Not empty: the database was wrong. */
};

extern const struct api_line api_script[];
extern const uint32_t api_script_size;

void api_scene_init(struct api_scene *scene, struct vfs *vfs, const char *path);

/* Numbers of the documents that the next line writes; call it once before the tries of a line. */
void api_scene_prepare(struct api_scene *scene, const struct api_line *line);

/* Plays a line; what it answers is compared, `failure` says what was wrong. */
omendb_status api_scene_play(struct api_scene *scene, const struct api_line *line,
                             omendb_error *err);

/* After a line failed and the database was opened again. *happened: the line had been done. A
 * status other than OK: it couldn't be read. */
omendb_status api_scene_reopened(struct api_scene *scene, bool *happened, omendb_error *err);

/* Everything, in every way, against the oracle. */
omendb_status api_scene_compare(struct api_scene *scene, omendb_error *err);
/* omendb_check(): *good: it found no problem. */
omendb_status api_scene_check(struct api_scene *scene, bool *good, omendb_error *err);

/* Ends the handles and the database; an error is the database's. */
omendb_status api_scene_close(struct api_scene *scene, omendb_error *err);

bool api_scene_failed(struct api_scene *scene, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Plays lines [0, count) where nothing may fail; aborts with a message if something does. */
void api_scene_play_all(struct api_scene *scene, uint32_t count);

#endif /* CRASH_API_SCENE_H */
