/* scene.h - a script that does everything a database can do, on the simulated disk, in a second of
 * its time; and the model that knows what must be there after each line.
 *
 *     line    OPEN  CREATE a  PUT a 0..300  CHECKPOINT  DELETE a ...  KILL  OPEN  CHECK ...  CLOSE
 *     model   per collection: the number that each id's document was written with, 0 = none
 *
 * A line that fails has done nothing, or the handle is fenced and the next open decides: then the
 * sequence that it finds tells whether the line happened. Documents, ids and vectors follow from
 * (collection, id, number), and numbers are never used twice, so nothing can pass for another.
 *
 * Batches are committed at FULL: nothing acknowledged is ever lost. Less strict levels are the
 * business of workload.h.
 *
 * Threads: one.
 */
#ifndef CRASH_SCENE_H
#define CRASH_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "sim/vfs_sim.h"
#include "store/store_inner.h"

enum { SCENE_IDS = 400, SCENE_COLLECTIONS = 5, SCENE_TEXT = 400, SCENE_DIM = 512 };

enum scene_kind {
    SCENE_OPEN,
    SCENE_OPEN_READ_ONLY,
    SCENE_CREATE, /* collection, vector fields: from */
    SCENE_RENAME,
    SCENE_DROP,
    SCENE_PUT,    /* ids [from, to), every step-th, documents of `size` bytes or a bit more */
    SCENE_SAME,   /* ... with the vector that they have already */
    SCENE_DELETE, /* ids [from, to), every step-th */
    SCENE_CHECKPOINT,
    SCENE_SYNC,
    SCENE_MARK, /* What the upkeep thread does when nobody writes. */
    SCENE_LOOK, /* A snapshot is entered, ... */
    SCENE_LEAVE,
    SCENE_READ, /* Everything by ids. */
    SCENE_STATS,
    SCENE_CHECK,   /* from: deep */
    SCENE_REFUSED, /* Calls that must be refused. */
    SCENE_KILL,    /* The process ends. */
    SCENE_POWER,   /* The machine loses its power. */
    SCENE_CLOSE
};

struct scene_line {
    enum scene_kind kind;
    uint32_t collection, from, to, step, size;
};

struct scene_model {
    struct {
        bool exists;
        uint32_t fields, renamed; /* Vector fields; how often it was renamed. */
        uint32_t numbers[SCENE_IDS];
        uint32_t vectors[SCENE_IDS]; /* Number that the vectors were made with. */
    } collections[SCENE_COLLECTIONS];
};

struct scene {
    struct sim *sim;
    struct store *store;
    struct store_options options;
    struct snapshot snapshot;
    bool looking;
    uint32_t counter;
    uint64_t sequence;             /* Acknowledged, */
    struct scene_model now, after; /* and what holds there; what will hold after the line. */
    bool pending;                  /* `after` may hold at sequence + 1. */
    struct batch batch;
    struct buffer expected, scratch, text;
    struct schema *schema;
    char failure[SCENE_TEXT]; /* Not empty: the engine was wrong. */
};

extern const char scene_path[];
extern const struct scene_line scene_script[]; /* From nothing to a clean close. */
extern const uint32_t scene_script_size;

void scene_init(struct scene *scene, struct sim *sim);
void scene_deinit(struct scene *scene); /* Ends an open handle as a kill does. */

/* Builds what the line needs, with memory of its own. */
void scene_prepare(struct scene *scene, const struct scene_line *line);
/* Plays the prepared line. OK: the model has moved on. May be repeated when it failed and the
 * store is still open and not fenced. */
omendb_status scene_play(struct scene *scene, const struct scene_line *line, omendb_error *err);
/* After a failure: opens again if need be; *happened: the line took effect after all. False: the
 * engine was wrong. */
bool scene_recover(struct scene *scene, bool *happened);

/* Compares everything with the model. A status other than OK: it couldn't be read. */
omendb_status scene_compare(struct scene *scene, omendb_error *err);
/* The same, where nothing may fail; deep: and the store's own check must be content. */
bool scene_verify(struct scene *scene, bool deep);
/* store_check(deep): *good: no problem was found. */
omendb_status scene_check(struct scene *scene, bool deep, bool *good, omendb_error *err);

bool scene_failed(struct scene *scene, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void scene_kill(struct scene *scene, enum sim_mode mode);

/* Plays lines [0, count) where nothing fails; aborts with a message if something does. */
void scene_play_all(struct scene *scene, uint32_t count);

#endif /* CRASH_SCENE_H */
