/* repair_inner.h - what repair.c and repair_collection.c share. */
#ifndef STORE_REPAIR_INNER_H
#define STORE_REPAIR_INNER_H

#include "store/backup_target.h"
#include "store/repair.h"
#include "store/store_inner.h"

enum {
    REPAIR_BATCH_BYTES = 4 << 20,
    REPAIR_DAMAGE_MAX = 1000, /* Listed; all are counted. */
    REPAIR_IDS_MAX = 65536    /* Listed of a collection; all are counted. */
};

struct repair_part {         /* A collection. */
    uint32_t id;             /* In the damaged database. */
    bool dropped;            /* By the log. */
    struct collection *from; /* NULL: made by the log. */
    struct collection *to;   /* Pinned. */
    uint64_t salvaged;       /* Documents of the image. */
    uint64_t nameless;       /* Documents whose id or slot is lost. */
};

/* A document of the image that is lost, or lacks vectors, and whose id is known. */
struct repair_loss {
    uint32_t collection, hash;
    struct {
        uint64_t number, text_offset; /* In loss_texts; UINT64_MAX: a number. */
        uint32_t size;
    } id;
    uint32_t fields; /* Bit f: vector field f is missing; 0: the document is. */
    bool resolved;   /* The log wrote or deleted it later. */
};

struct repair {
    const struct store_options *like;
    const struct repair_options *options;
    const char *path;
    struct space space;
    struct superblock slots[2];
    uint32_t slot; /* Whose image is read. */
    struct buffer catalog;
    struct backup_target target;
    struct store *out;
    struct repair_part *parts;
    size_t parts_count, parts_capacity;
    struct repair_loss *losses;
    size_t losses_count, losses_capacity;
    struct buffer loss_texts;
    struct batch batch;
    struct buffer scratch;
    struct buffer damage, problems; /* JSON, comma-separated. */
    uint64_t damage_count, problems_count;
    uint64_t sequence, replayed; /* Of the damaged database: what is in; batches of the log. */
    uint64_t done, total;        /* Slots. */
};

/* Every document of the image's collection goes to part->to. */
omendb_status repair_collection(struct repair *run, struct repair_part *part, omendb_error *err);
/* The ids that can be found of documents whose slots can't: out of part->nameless into the losses. */
omendb_status repair_lost_ids(struct repair *run, struct repair_part *part, omendb_error *err);
omendb_status repair_loss_add(struct repair *run, const struct repair_part *part,
                              const struct id_view *id, uint32_t fields, omendb_error *err);
/* Commits what run->batch holds. */
omendb_status repair_flush(struct repair *run, omendb_error *err);
omendb_status repair_problem(struct repair *run, const char *text, omendb_error *err);
void repair_id_of(const struct repair *run, const struct repair_loss *loss, struct id_view *out);

#endif /* STORE_REPAIR_INNER_H */
