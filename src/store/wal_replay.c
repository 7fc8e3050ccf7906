/* wal_replay.c - reading the log back, and telling a torn end from rot. */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "base/mutant.h"
#include "store/batch.h"
#include "store/wal_inner.h"

enum {
    UNUSED_SEGMENTS_MAX = 8, /* Numbers that are looked at behind one without a header. */
    FOLLOWING_LOOK_MAX =
        64 << 10 /* Bytes of log looked at behind an invalid frame; see wal.following. */
};

struct replay {
    struct wal *wal;
    struct file *file;
    uint64_t number, size; /* Of the open segment. */
    uint64_t salt, chain;
    uint64_t sequence;         /* Of the last batch read. */
    uint64_t offset;           /* Of the next frame. */
    struct wal_position ended; /* Behind the last valid frame. */
    struct buffer frame;
    omendb_status (*each)(void *context, const struct wal_batch *batch, omendb_error *err);
    void *context;
};

static omendb_status read_exact(struct file *file, uint64_t offset, void *to, size_t size,
                                bool *whole, omendb_error *err)
{
    size_t got = 0;
    TRY(file_read(file, offset, to, size, &got, err));
    *whole = got == size;
    return OMENDB_OK;
}

/* Reads the frame at `offset` into replay->frame; *valid: its own checks hold (magic, size, salt,
 * checksum), whatever its place in the chain. */
static omendb_status frame_read(struct replay *replay, uint64_t offset, bool *valid,
                                struct wal_frame_header *header, omendb_error *err)
{
    bool whole = false;
    *valid = false;
    if (offset + WAL_PAGE > replay->size) return OMENDB_OK;
    TRY(read_exact(replay->file, offset, header, sizeof *header, &whole, err));
    if (!whole || header->magic != WAL_FRAME_MAGIC || header->salt != replay->salt ||
        header->payload_size > replay->size - offset - sizeof *header)
        return OMENDB_OK;
    const size_t size = sizeof *header + (size_t)header->payload_size;
    buffer_clear(&replay->frame);
    TRY(buffer_reserve(&replay->frame, size, err));
    TRY(read_exact(replay->file, offset, replay->frame.data, size, &whole, err));
    replay->frame.size = size;
    *valid = whole && wal_frame_checksum(replay->frame.data, header->payload_size, replay->salt) ==
                          header->checksum;
    return OMENDB_OK;
}

/* Hands the batches of the frame in replay->frame on. */
static omendb_status frame_deliver(struct replay *replay, const struct wal_frame_header *header,
                                   omendb_error *err)
{
    size_t at = sizeof *header;
    for (uint32_t i = 0; i < header->batch_count; i++) {
        struct batch_header batch;
        if (replay->frame.size - at < sizeof batch)
            return fail(err, OMENDB_ERR_CORRUPT, "log segment %llu: a frame is malformed",
                        (unsigned long long)replay->number);
        memcpy(&batch, replay->frame.data + at, sizeof batch);
        at += sizeof batch;
        if (batch.size > replay->frame.size - at || batch.size % 8 != 0 ||
            batch.sequence != replay->sequence + 1)
            return fail(err, OMENDB_ERR_CORRUPT, "log segment %llu: batch %llu is malformed",
                        (unsigned long long)replay->number, (unsigned long long)batch.sequence);
        const struct wal_batch out = {.bytes = replay->frame.data + at,
                                      .size = (size_t)batch.size,
                                      .operation_count = batch.operation_count,
                                      .sequence = batch.sequence};
        TRY(batch_validate(out.bytes, out.size, out.operation_count, err));
        TRY(replay->each(replay->context, &out, err));
        replay->sequence = batch.sequence;
        at += (size_t)batch.size;
    }
    if (at != replay->frame.size)
        return fail(err, OMENDB_ERR_CORRUPT, "log segment %llu: a frame holds more than batches",
                    (unsigned long long)replay->number);
    return OMENDB_OK;
}

/* After an invalid frame: does a later one say that it had been durable? */
static omendb_status rot_look(struct replay *replay, omendb_error *err)
{
    uint64_t end = replay->size;
    if (replay->wal->following && end > replay->offset + FOLLOWING_LOOK_MAX)
        end = replay->offset + FOLLOWING_LOOK_MAX;
    for (uint64_t at = replay->offset + WAL_PAGE; at + WAL_PAGE <= end; at += WAL_PAGE) {
        struct wal_frame_header header;
        bool valid = false;
        TRY(frame_read(replay, at, &valid, &header, err));
        if (!valid || header.durable_sequence <= replay->sequence) continue;
        return fail(err, OMENDB_ERR_CORRUPT,
                    "log segment %llu byte %llu: acknowledged batches %llu to %llu are damaged",
                    (unsigned long long)replay->number, (unsigned long long)replay->offset,
                    (unsigned long long)replay->sequence + 1,
                    (unsigned long long)header.durable_sequence);
    }
    return OMENDB_OK;
}

static omendb_status frames_read(struct replay *replay, omendb_error *err)
{
    for (;;) {
        struct wal_frame_header header;
        bool valid = false;
        TRY(frame_read(replay, replay->offset, &valid, &header, err));
        if (!valid || header.sequence != replay->sequence + 1 ||
            (header.chain != replay->chain && !MUTANT(constant_wal_salt)))
            return rot_look(replay, err);
        if (header.type == WAL_FRAME_BATCHES) TRY(frame_deliver(replay, &header, err));
        else if (header.type != WAL_FRAME_MARK)
            return fail(err, OMENDB_ERR_UNSUPPORTED, "log: frame type %u is not known",
                        header.type);
        replay->chain = header.checksum;
        replay->offset += (sizeof header + header.payload_size + WAL_PAGE - 1) &
                          ~(uint64_t)(WAL_PAGE - 1);
    }
}

static bool header_whole(const struct wal_segment_header *header)
{
    return header->checksum == checksum64(header, offsetof(struct wal_segment_header, checksum));
}

/* Opens segment `number`; *there: it exists and carries a header of its own. */
static omendb_status segment_open(struct replay *replay, uint64_t number, bool *there,
                                  struct wal_segment_header *header, omendb_error *err)
{
    struct wal *wal = replay->wal;
    char *path = NULL;
    bool whole = false;
    *there = false;
    file_close(replay->file);
    replay->file = NULL;
    TRY(wal_segment_path(wal, number, &path, err));
    omendb_status status = file_open(wal->vfs, path, FILE_READ_ONLY, &replay->file, err);
    alloc_free(path);
    if (status == OMENDB_ERR_NOT_FOUND) return OMENDB_OK;
    TRY(status);
    TRY(file_size(replay->file, &replay->size, err));
    TRY(read_exact(replay->file, 0, header, sizeof *header, &whole, err));
    if (!whole || header->magic != WAL_MAGIC || header->number != number ||
        memcmp(header->uuid, wal->uuid, sizeof wal->uuid) != 0 || !header_whole(header))
        return OMENDB_OK;
    if (header->format_major > FORMAT_MAJOR)
        return fail(err, OMENDB_ERR_UNSUPPORTED, "log format %u is newer than this library",
                    header->format_major);
    replay->number = number;
    replay->salt = header->salt;
    *there = true;
    return OMENDB_OK;
}

/* Segment `number` has no header. A header is one sector: it is there whole, or what was there
 * before (zeros, or the header of the segment that this file was). Anything else is rot, and so is
 * a segment that is missing before one that continues the log: a switch syncs what is left behind. */
static omendb_status absence_check(struct replay *replay, uint64_t number, omendb_error *err)
{
    static const struct wal_segment_header zeros;
    struct wal_frame_header frame = {0};
    struct wal_segment_header header = {0};
    bool whole = false, continued = false;
    if (replay->file != NULL) TRY(read_exact(replay->file, 0, &header, sizeof header, &whole, err));
    if (whole && memcmp(&header, &zeros, sizeof header) != 0 && !header_whole(&header)) {
        TRY(read_exact(replay->file, WAL_PAGE, &frame, sizeof frame, &whole, err));
        if (whole && frame.sequence == replay->sequence + 1 && frame.chain == replay->chain) {
            replay->salt = frame.salt;
            TRY(frame_read(replay, WAL_PAGE, &continued, &frame, err));
        }
    }
    if (!continued) {
        TRY(segment_open(replay, number + 1, &continued, &header, err));
        continued = continued && header.sequence > replay->sequence;
    }
    if (!continued) return OMENDB_OK;
    return fail(err, OMENDB_ERR_CORRUPT,
                "log segment %llu: its header is damaged; batches from %llu on can't be read",
                (unsigned long long)number, (unsigned long long)replay->sequence + 1);
}

static bool goes_on(const struct replay *replay, const struct wal_segment_header *header)
{
    return header->sequence == replay->sequence + 1 &&
           (header->chain == replay->chain || MUTANT(constant_wal_salt));
}

/* Opens the segment after `number`, its number in *next. One without a header may be left out: it
 * was made ahead, and a clean close took the number behind it before it was used. Then the header of
 * the next one names the last frame that was read, which proves that nothing lies between. */
static omendb_status segment_after(struct replay *replay, uint64_t number, uint64_t *next,
                                   bool *there, struct wal_segment_header *header,
                                   omendb_error *err)
{
    *next = number + 1;
    TRY(segment_open(replay, *next, there, header, err));
    for (uint64_t ahead = number + 2; !*there && ahead <= number + UNUSED_SEGMENTS_MAX; ahead++) {
        bool found = false;
        TRY(segment_open(replay, ahead, &found, header, err));
        *there = found && goes_on(replay, header);
        if (*there) *next = ahead;
        else if (found) break;
    }
    if (*there) return OMENDB_OK;
    return segment_open(replay, *next, there, header, err);
}

static omendb_status replay_all(struct replay *replay, struct wal_position position, bool *found,
                                omendb_error *err)
{
    struct wal_segment_header header;
    struct wal *wal = replay->wal;
    uint64_t number = position.segment;
    bool there = false;
    TRY(segment_open(replay, number, &there, &header, err));
    const bool absent = !there;
    if (there && position.offset != 0 && header.salt != position.salt) there = false;
    replay->chain = position.chain;
    replay->ended = position;
    if (there && position.offset == 0 && !goes_on(replay, &header)) there = false;
    *found = there;
    if (!there) {
        wal->next_number = position.segment;
        if (position.offset == 0) return absent ? absence_check(replay, number, err) : OMENDB_OK;
        /* A segment that the image points into must be there: the open reports it. */
        wal->next_number++;
        return OMENDB_OK;
    }
    replay->offset = position.offset != 0 ? position.offset : WAL_PAGE;
    for (uint64_t next = number;; number = next) {
        TRY(frames_read(replay, err));
        replay->ended = (struct wal_position){.segment = number,
                                              .offset = replay->offset,
                                              .salt = replay->salt,
                                              .chain = replay->chain};
        wal->next_number = number + 1;
        TRY(segment_after(replay, number, &next, &there, &header, err));
        if (!there) return absence_check(replay, next, err);
        if (!goes_on(replay, &header)) {
            /* A switch syncs the old segment first, so this header proves that more was there.
             * Unless it is older than what we read: a leftover that is about to be removed. */
            if (header.sequence > replay->sequence + 1)
                return fail(err, OMENDB_ERR_CORRUPT,
                            "log segment %llu: acknowledged batches %llu to %llu are damaged",
                            (unsigned long long)number, (unsigned long long)replay->sequence + 1,
                            (unsigned long long)header.sequence - 1);
            return OMENDB_OK;
        }
        replay->offset = WAL_PAGE;
    }
}

omendb_status wal_replay(struct wal *wal, struct wal_position position, uint64_t sequence,
                         omendb_status (*each)(void *context, const struct wal_batch *batch,
                                               omendb_error *err),
                         void *context, bool *found, omendb_error *err)
{
    struct replay replay = {.wal = wal,
                            .chain = position.chain,
                            .sequence = sequence,
                            .each = each,
                            .context = context};
    const omendb_status status = replay_all(&replay, position, found, err);
    file_close(replay.file);
    buffer_deinit(&replay.frame);
    TRY(status);
    wal->chain = replay.chain;
    wal->sequence = replay.sequence;
    wal->durable_sequence = replay.sequence;
    wal->replayed = replay.ended;
    return OMENDB_OK;
}

omendb_status wal_sync_replayed(struct wal *wal, omendb_error *err)
{
    struct file *file = NULL;
    char *path = NULL;
    TRY(wal_segment_path(wal, wal->next_number - 1, &path, err));
    omendb_status status = file_open(wal->vfs, path, 0, &file, err);
    if (status == OMENDB_OK) status = file_sync(file, err);
    file_close(file);
    alloc_free(path);
    return status;
}

/* ---- Leftovers ---- */

#ifdef OMENDB_MUTANTS
/* The seeded bug: recovery goes on in the segment that it read last, under the salt that all
 * segments share, over the torn end. A frame that lies behind it fits again. */
static omendb_status mutant_resume(struct wal *wal, struct wal_segment *segment, omendb_error *err)
{
    char *path = NULL;
    TRY(wal_segment_path(wal, segment->number, &path, err));
    omendb_status status = file_open(wal->vfs, path, 0, &segment->file, err);
    alloc_free(path);
    if (status == OMENDB_OK) status = file_size(segment->file, &segment->size, err);
    segment->reserved = wal->replayed.offset;
    wal->writing = wal->reserving = segment->number;
    wal->offset = wal->replayed.offset;
    wal->salt = 1;
    return status;
}
#endif

struct leftovers {
    struct wal *wal;
    uint64_t *numbers;
    size_t count, capacity;
    bool failed;
};

static void leftover_add(void *context, const char *suffix)
{
    struct leftovers *found = context;
    char *end = NULL;
    if (*suffix < '0' || *suffix > '9') return;
    const uint64_t number = strtoull(suffix, &end, 10);
    if (*end != '\0') return;
    if (!alloc_grow(&found->numbers, &found->capacity, found->count + 1, sizeof *found->numbers))
        found->failed = true;
    else found->numbers[found->count++] = number;
}

static omendb_status leftovers_list(struct wal *wal, struct leftovers *out, omendb_error *err)
{
    struct buffer prefix = {0};
    omendb_status status = buffer_append_format(&prefix, err, "%s-wal-", wal->path);
    if (status == OMENDB_OK)
        status = vfs_list(wal->vfs, (const char *)prefix.data, leftover_add, out, err);
    if (status == OMENDB_OK && out->failed)
        status = fail(err, OMENDB_ERR_NOMEM, "out of memory: list of log segments");
    buffer_deinit(&prefix);
    return status;
}

omendb_status wal_start(struct wal *wal, uint64_t keep_from, omendb_error *err)
{
    struct leftovers found = {.wal = wal};
    omendb_status status = leftovers_list(wal, &found, err);
    bool removed = false;
    for (size_t i = 0; status == OMENDB_OK && i < found.count; i++) {
        const uint64_t number = found.numbers[i];
        char *path = NULL;
        if (number >= keep_from && number < wal->next_number) {
            /* Replayed: it stays until a checkpoint has made it obsolete. */
            struct wal_segment segment = {.number = number};
            if (!alloc_grow(&wal->segments, &wal->segments_capacity, wal->segments_count + 1,
                            sizeof *wal->segments)) {
                status = fail(err, OMENDB_ERR_NOMEM, "out of memory: list of log segments");
                break;
            }
#ifdef OMENDB_MUTANTS
            if (MUTANT(constant_wal_salt) && number + 1 == wal->next_number &&
                wal->replayed.offset != 0)
                status = mutant_resume(wal, &segment, err);
#endif
            size_t at = wal->segments_count++;
            for (; at > 0 && wal->segments[at - 1].number > number; at--)
                wal->segments[at] = wal->segments[at - 1];
            wal->segments[at] = segment;
            continue;
        }
        status = wal_segment_path(wal, number, &path, err);
        if (status == OMENDB_OK) status = vfs_remove(wal->vfs, path, err);
        if (status == OMENDB_ERR_NOT_FOUND) status = OMENDB_OK;
        alloc_free(path);
        removed = true;
    }
    if (status == OMENDB_OK && removed) status = vfs_sync_directory(wal->vfs, wal->path, err);
    alloc_free(found.numbers);
    return status;
}
