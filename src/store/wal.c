#include "store/wal.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "base/mutant.h"
#include "store/wal_inner.h"

enum { ZERO_CHUNK = 1 << 20, FRAME_BUFFER_KEPT = 16 << 20 };

static uint64_t page_up(uint64_t size)
{
    return (size + WAL_PAGE - 1) & ~(uint64_t)(WAL_PAGE - 1);
}

static uint64_t frame_size(uint64_t payload)
{
    return page_up(sizeof(struct wal_frame_header) + payload);
}

omendb_status wal_init(struct wal *wal, struct vfs *vfs, const char *path, const uint8_t uuid[16],
                       uint64_t segment_max, omendb_error *err)
{
    *wal = (struct wal){.vfs = vfs,
                        .segment_max = segment_max < WAL_SEGMENT_MIN ? WAL_SEGMENT_MIN
                                                                     : page_up(segment_max),
                        .next_size = WAL_SEGMENT_MIN,
                        .next_number = 1};
    memcpy(wal->uuid, uuid, sizeof wal->uuid);
    TRY(mutex_init(&wal->mutex, err));
    const omendb_status status = mutex_init(&wal->create_mutex, err);
    if (status != OMENDB_OK) mutex_deinit(&wal->mutex);
    TRY(status);
    wal->mutex_made = true;
    wal->path = alloc_raw(strlen(path) + 1, 1);
    if (wal->path == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: log");
    memcpy(wal->path, path, strlen(path) + 1);
    return OMENDB_OK;
}

void wal_deinit(struct wal *wal)
{
    for (size_t i = 0; i < wal->segments_count; i++) file_close(wal->segments[i].file);
    alloc_free(wal->segments);
    alloc_free(wal->path);
    buffer_deinit(&wal->frame);
    buffer_deinit(&wal->spare);
#ifdef OMENDB_MUTANTS
    buffer_deinit(&wal->last_payload);
#endif
    if (wal->mutex_made) {
        mutex_deinit(&wal->mutex);
        mutex_deinit(&wal->create_mutex);
    }
    *wal = (struct wal){0};
}

omendb_status wal_segment_path(const struct wal *wal, uint64_t number, char **out,
                               omendb_error *err)
{
    const size_t size = strlen(wal->path) + 32;
    char *path = alloc_raw(size, 1);
    if (path == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a path");
    (void)snprintf(path, size, "%s-wal-%llu", wal->path, (unsigned long long)number);
    *out = path;
    return OMENDB_OK;
}

/* ---- Segments ---- */

static omendb_status zero_fill(struct file *file, uint64_t size, omendb_error *err)
{
    const size_t chunk = size < ZERO_CHUNK ? (size_t)size : ZERO_CHUNK;
    void *zeros = alloc_zeroed(1, chunk);
    omendb_status status = OMENDB_OK;
    if (zeros == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: a log segment");
    for (uint64_t at = 0; status == OMENDB_OK && at < size; at += chunk)
        status = file_write(file, at, zeros, size - at < chunk ? (size_t)(size - at) : chunk, err);
    alloc_free(zeros);
    return status;
}

/* Makes a segment file whose blocks exist on disk, so that a commit only overwrites. */
static omendb_status segment_create(struct wal *wal, uint64_t size, struct wal_segment *out,
                                    omendb_error *err)
{
    char *path = NULL;
    struct file *file = NULL;
    TRY(wal_segment_path(wal, wal->next_number, &path, err));
    omendb_status status = file_open(wal->vfs, path, FILE_CREATE | FILE_EXCLUSIVE, &file, err);
    if (status == OMENDB_ERR_EXISTS) { /* A failed attempt that couldn't be cleaned up. */
        status = vfs_remove(wal->vfs, path, err);
        if (status == OMENDB_OK)
            status = file_open(wal->vfs, path, FILE_CREATE | FILE_EXCLUSIVE, &file, err);
    }
    if (status == OMENDB_OK) {
        status = zero_fill(file, size, err);
        if (status == OMENDB_OK) status = file_sync(file, err);
        if (status == OMENDB_OK) status = vfs_sync_directory(wal->vfs, path, err);
        if (status != OMENDB_OK) {
            file_close(file);
            (void)vfs_remove(wal->vfs, path, NULL);
        }
    }
    alloc_free(path);
    TRY(status);
    *out = (struct wal_segment){
        .number = wal->next_number, .size = size, .reserved = WAL_PAGE, .file = file};
    return OMENDB_OK;
}

static omendb_status segment_add(struct wal *wal, uint64_t frame, omendb_error *err)
{
    struct wal_segment segment;
    uint64_t size = wal->next_size;
    if (frame + WAL_PAGE > size) size = frame + WAL_PAGE; /* A segment of its own. */
    if (wal->segments_count >= WAL_SEGMENTS_MAX)
        return fail(err, OMENDB_ERR_FULL, "the log has %u segments: a checkpoint must come first",
                    WAL_SEGMENTS_MAX);
    mutex_lock(&wal->mutex);
    const bool room = alloc_grow(&wal->segments, &wal->segments_capacity, wal->segments_count + 1,
                                 sizeof *wal->segments);
    mutex_unlock(&wal->mutex);
    if (!room) return fail(err, OMENDB_ERR_NOMEM, "out of memory: list of log segments");
    omendb_status status = segment_create(wal, size, &segment, err);
    const uint64_t least = frame + WAL_PAGE > WAL_SEGMENT_MIN ? frame + WAL_PAGE : WAL_SEGMENT_MIN;
    if (status == OMENDB_ERR_FULL && least < size) { /* The disk may have room for a small one. */
        size = least;
        status = segment_create(wal, size, &segment, err);
    }
    TRY(status);
    mutex_lock(&wal->mutex);
    wal->segments[wal->segments_count++] = segment;
    wal->bytes_total += size;
    wal->next_number++; /* Changed under both mutexes. */
    mutex_unlock(&wal->mutex);
    if (wal->next_size < wal->segment_max) wal->next_size *= 2;
    if (wal->next_size > wal->segment_max) wal->next_size = wal->segment_max;
    return OMENDB_OK;
}

/* Promises go to the newest segments: the first that has room, so that one kept from an earlier
 * checkpoint is used up before a new one is made. */
static bool reserve_existing(struct wal *wal, uint64_t frame, uint64_t spare, uint64_t *segment)
{
    struct wal_segment *found = NULL;
    uint64_t left = 0;
    mutex_lock(&wal->mutex);
    for (size_t i = 0; i < wal->segments_count; i++) {
        struct wal_segment *candidate = &wal->segments[i];
        if (candidate->file == NULL || candidate->number < wal->writing ||
            candidate->number < wal->reserving)
            continue;
        const uint64_t room = candidate->size - candidate->reserved;
        if (found != NULL) left += room;
        else if (room >= frame) {
            found = candidate;
            left = room - frame;
        }
    }
    if (left < spare) found = NULL;
    if (found != NULL) {
        found->reserved += frame;
        wal->reserving = found->number;
        *segment = found->number;
    }
    mutex_unlock(&wal->mutex);
    return found != NULL;
}

static uint64_t batch_frame_size(size_t size)
{
    return frame_size(sizeof(struct batch_header) + size);
}

static struct wal_segment *segment_find(struct wal *wal, uint64_t number)
{
    for (size_t i = 0; i < wal->segments_count; i++)
        if (wal->segments[i].number == number) return &wal->segments[i];
    return NULL;
}

/* Memory for the frames of all promises, and for a mark. */
static omendb_status frame_promise(struct wal *wal, uint64_t frame, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    mutex_lock(&wal->mutex);
    const uint64_t wanted = wal->promised + frame + WAL_PAGE;
    if (wal->frame.capacity < wanted) status = buffer_reserve(&wal->spare, (size_t)wanted, err);
    if (status == OMENDB_OK) wal->promised += frame;
    mutex_unlock(&wal->mutex);
    return status;
}

/* The leader begins with frames of `size` promised bytes. */
static void frame_take(struct wal *wal, uint64_t size)
{
    mutex_lock(&wal->mutex);
    if (wal->spare.capacity > wal->frame.capacity) {
        const struct buffer larger = wal->spare;
        wal->spare = wal->frame;
        wal->frame = larger;
        buffer_clear(&wal->spare);
    }
    assert(wal->promised >= size);
    wal->promised -= size;
    mutex_unlock(&wal->mutex);
}

/* A buffer that one huge batch needed isn't kept. */
static void frame_done(struct wal *wal)
{
    if (wal->frame.capacity <= FRAME_BUFFER_KEPT) return;
    mutex_lock(&wal->mutex);
    if (wal->spare.capacity >= wal->promised + WAL_PAGE) buffer_deinit(&wal->frame);
    mutex_unlock(&wal->mutex);
}

void wal_return(struct wal *wal, size_t size, uint64_t segment)
{
    const uint64_t frame = batch_frame_size(size);
    mutex_lock(&wal->mutex);
    struct wal_segment *promised = segment_find(wal, segment);
    if (promised != NULL) promised->reserved -= frame;
    wal->promised -= frame;
    mutex_unlock(&wal->mutex);
}

static omendb_status segment_reserve(struct wal *wal, uint64_t frame, uint64_t spare,
                                     uint64_t *segment, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    if (reserve_existing(wal, frame, spare, segment)) return OMENDB_OK;
    mutex_lock(&wal->create_mutex);
    if (!reserve_existing(wal, frame, spare, segment)) {
        status = segment_add(wal, frame + spare, err);
        if (status == OMENDB_OK && !reserve_existing(wal, frame, spare, segment))
            status = fail(err, OMENDB_ERR_INTERNAL, "log: a new segment has no room");
    }
    mutex_unlock(&wal->create_mutex);
    return status;
}

omendb_status wal_reserve(struct wal *wal, size_t size, uint64_t spare, uint64_t *segment,
                          omendb_error *err)
{
    const uint64_t frame = batch_frame_size(size);
    TRY(frame_promise(wal, frame, err));
    const omendb_status status = segment_reserve(wal, frame, spare, segment, err);
    if (status == OMENDB_OK) return OMENDB_OK;
    mutex_lock(&wal->mutex);
    wal->promised -= frame;
    mutex_unlock(&wal->mutex);
    return status;
}

omendb_status wal_prepare_next(struct wal *wal, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    mutex_lock(&wal->create_mutex);
    mutex_lock(&wal->mutex);
    const struct wal_segment *last = wal->segments_count != 0
                                         ? &wal->segments[wal->segments_count - 1]
                                         : NULL;
    const bool wanted = last != NULL && last->reserved > last->size / 4;
    mutex_unlock(&wal->mutex);
    if (wanted) status = segment_add(wal, 0, err);
    mutex_unlock(&wal->create_mutex);
    return status;
}

static omendb_status writing_file(struct wal *wal, struct file **out, omendb_error *err)
{
    mutex_lock(&wal->mutex);
    const struct wal_segment *segment = segment_find(wal, wal->writing);
    *out = segment != NULL ? segment->file : NULL;
    mutex_unlock(&wal->mutex);
    if (*out == NULL) return fail(err, OMENDB_ERR_INTERNAL, "log: segment is missing");
    return OMENDB_OK;
}

omendb_status wal_sync(struct wal *wal, omendb_error *err)
{
    struct file *file = NULL;
    if (!wal->unsynced) return OMENDB_OK;
    TRY(writing_file(wal, &file, err));
    omendb_status status = file_sync(file, err);
    if (status != OMENDB_OK && MUTANT(retried_fsync)) status = file_sync(file, err);
    TRY(status);
    wal->syncs++;
    wal->unsynced = false;
    wal->durable_sequence = wal->sequence;
    return OMENDB_OK;
}

/* Goes on in the next segment: what lies in the old one is synced first, so that the new header
 * proves that the old frames were whole. */
static omendb_status segment_switch(struct wal *wal, uint64_t number, uint64_t sequence,
                                    omendb_error *err)
{
    uint8_t page[WAL_PAGE] = {0};
    struct wal_segment_header header = {.magic = WAL_MAGIC,
                                        .format_major = FORMAT_MAJOR,
                                        .format_minor = FORMAT_MINOR,
                                        .number = number,
                                        .chain = wal->chain,
                                        .sequence = sequence};
    struct file *file = NULL;
    TRY(wal_sync(wal, err));
    TRY(wal->vfs->ops->random(wal->vfs, &header.salt, sizeof header.salt, err));
    if (MUTANT(constant_wal_salt)) header.salt = 1;
    memcpy(header.uuid, wal->uuid, sizeof header.uuid);
    mutex_lock(&wal->mutex);
    wal->writing = number;
    wal->offset = WAL_PAGE;
    mutex_unlock(&wal->mutex);
    TRY(writing_file(wal, &file, err));
    TRY(file_size(file, &header.size, err));
    header.checksum = checksum64(&header, offsetof(struct wal_segment_header, checksum));
    memcpy(page, &header, sizeof header);
    TRY(file_write(file, 0, page, sizeof page, err));
    wal->salt = header.salt;
    wal->unsynced = true;
    return OMENDB_OK;
}

/* Moves on to segment `number`. Those between that were too small for a batch get a header as well:
 * recovery reads segments in order and takes one without a header for the end. */
static omendb_status segments_enter(struct wal *wal, uint64_t number, uint64_t sequence,
                                    omendb_error *err)
{
    while (wal->writing != number) {
        uint64_t next = number;
        mutex_lock(&wal->mutex);
        for (size_t i = wal->segments_count; i-- > 0;) {
            const struct wal_segment *segment = &wal->segments[i];
            if (segment->file != NULL && segment->number > wal->writing && segment->number < next)
                next = segment->number;
        }
        mutex_unlock(&wal->mutex);
        TRY(segment_switch(wal, next, sequence, err));
    }
    return OMENDB_OK;
}

omendb_status wal_begin(struct wal *wal, omendb_error *err)
{
    uint64_t segment = 0;
    omendb_status status = OMENDB_OK;
    if (wal->writing != 0) return OMENDB_OK;
    mutex_lock(&wal->create_mutex);
    if (!reserve_existing(wal, 0, 0, &segment)) {
        status = segment_add(wal, 0, err);
        if (status == OMENDB_OK && !reserve_existing(wal, 0, 0, &segment))
            status = fail(err, OMENDB_ERR_INTERNAL, "log: a new segment isn't there");
    }
    mutex_unlock(&wal->create_mutex);
    TRY(status);
    TRY(segments_enter(wal, segment, wal->sequence + 1, err));
    return wal_sync(wal, err);
}

/* ---- Frames ---- */

uint64_t wal_frame_checksum(const uint8_t *frame, uint64_t payload_size, uint64_t salt)
{
    return checksum64_seeded(
        frame + sizeof(uint64_t),
        sizeof(struct wal_frame_header) - sizeof(uint64_t) + (size_t)payload_size, salt);
}

static omendb_status frame_write(struct wal *wal, enum wal_frame_type type, uint64_t sequence,
                                 uint32_t batch_count, omendb_error *err)
{
    struct buffer *frame = &wal->frame;
    struct file *file = NULL;
    const size_t payload = frame->size - sizeof(struct wal_frame_header);
    const size_t padding = (size_t)frame_size(payload) - frame->size;
    TRY(buffer_append_zeros(frame, padding, err));
    struct wal_frame_header header = {.magic = WAL_FRAME_MAGIC,
                                      .type = type,
                                      .payload_size = payload,
                                      .sequence = sequence,
                                      .batch_count = batch_count,
                                      .salt = wal->salt,
                                      .chain = wal->chain,
                                      .durable_sequence = wal->durable_sequence,
                                      .time_ns = wal->vfs->ops->clock_wall_ns(wal->vfs)};
    memcpy(frame->data, &header, sizeof header);
    header.checksum = wal_frame_checksum(frame->data, payload, wal->salt);
    memcpy(frame->data, &header.checksum, sizeof header.checksum);
    TRY(writing_file(wal, &file, err));
    TRY(file_write(file, wal->offset, frame->data, frame->size, err));
    mutex_lock(&wal->mutex);
    wal->offset += frame->size;
    mutex_unlock(&wal->mutex);
    wal->chain = header.checksum;
    wal->unsynced = true;
    wal->marked = type == WAL_FRAME_MARK;
    wal->frames++;
    return OMENDB_OK;
}

#ifdef OMENDB_MUTANTS
/* The seeded bug: small commits are packed into the frame before, which was acknowledged. */
static omendb_status mutant_reopen_frame(struct wal *wal, uint64_t *sequence, uint32_t *count,
                                         omendb_error *err)
{
    if (wal->last_offset == 0) return OMENDB_OK;
    wal->offset = wal->last_offset;
    wal->chain = wal->last_chain;
    *sequence = wal->last_sequence;
    *count += wal->last_count;
    return buffer_append(&wal->frame, wal->last_payload.data, wal->last_payload.size, err);
}

static omendb_status mutant_keep_frame(struct wal *wal, uint64_t sequence, uint32_t count,
                                       omendb_error *err)
{
    wal->last_offset = wal->offset;
    wal->last_chain = wal->chain;
    wal->last_sequence = sequence;
    wal->last_count = count;
    buffer_clear(&wal->last_payload);
    return buffer_append(&wal->last_payload, wal->frame.data + sizeof(struct wal_frame_header),
                         wal->frame.size - sizeof(struct wal_frame_header), err);
}
#endif

static omendb_status frame_append_batch(struct wal *wal, const struct wal_batch *batch,
                                        omendb_error *err)
{
    const struct batch_header header = {.sequence = batch->sequence,
                                        .size = batch->size,
                                        .operation_count = batch->operation_count};
    TRY(buffer_append(&wal->frame, &header, sizeof header, err));
    return buffer_append(&wal->frame, batch->bytes, batch->size, err);
}

static omendb_status frames_write(struct wal *wal, const struct wal_batch *batches, size_t count,
                                  omendb_error *err)
{
    for (size_t i = 0; i < count;) {
        const uint64_t segment = batches[i].segment;
        uint64_t sequence = batches[i].sequence;
        uint32_t in_frame = 0;
        assert(segment >= wal->writing);
        TRY(segments_enter(wal, segment, sequence, err));
        buffer_clear(&wal->frame);
        TRY(buffer_append_zeros(&wal->frame, sizeof(struct wal_frame_header), err));
#ifdef OMENDB_MUTANTS
        if (wal->offset == WAL_PAGE) wal->last_offset = 0;
        if (MUTANT(rewrite_of_last_acknowledged_sector))
            TRY(mutant_reopen_frame(wal, &sequence, &in_frame, err));
#endif
        for (; i < count && batches[i].segment == segment; i++, in_frame++)
            TRY(frame_append_batch(wal, &batches[i], err));
#ifdef OMENDB_MUTANTS
        if (MUTANT(rewrite_of_last_acknowledged_sector))
            TRY(mutant_keep_frame(wal, sequence, in_frame, err));
#endif
        TRY(frame_write(wal, WAL_FRAME_BATCHES, sequence, in_frame, err));
        wal->sequence = batches[i - 1].sequence;
    }
    return OMENDB_OK;
}

omendb_status wal_write(struct wal *wal, const struct wal_batch *batches, size_t count, bool sync,
                        omendb_error *err)
{
    uint64_t promised = 0;
    for (size_t i = 0; i < count; i++) promised += batch_frame_size(batches[i].size);
    frame_take(wal, promised);
    const omendb_status status = frames_write(wal, batches, count, err);
    frame_done(wal);
    TRY(status);
    return sync ? wal_sync(wal, err) : OMENDB_OK;
}

omendb_status wal_mark(struct wal *wal, omendb_error *err)
{
    if (wal->writing == 0 || wal->marked) return OMENDB_OK;
    mutex_lock(&wal->mutex);
    struct wal_segment *segment = segment_find(wal, wal->writing);
    const bool room = segment != NULL && wal->reserving == wal->writing &&
                      segment->size - segment->reserved >= WAL_PAGE;
    if (room) segment->reserved += WAL_PAGE;
    mutex_unlock(&wal->mutex);
    if (!room) return OMENDB_OK; /* The next segment's header will cover the frame. */
    TRY(wal_sync(wal, err));
    frame_take(wal, 0);
    buffer_clear(&wal->frame);
    TRY(buffer_append_zeros(&wal->frame, sizeof(struct wal_frame_header), err));
#ifdef OMENDB_MUTANTS
    wal->last_offset = 0;
#endif
    TRY(frame_write(wal, WAL_FRAME_MARK, wal->sequence + 1, 0, err));
    return wal_sync(wal, err);
}

/* ---- Checkpoints ---- */

struct wal_position wal_end(struct wal *wal)
{
    struct wal_position end = {.chain = wal->chain};
    mutex_lock(&wal->mutex);
    if (wal->writing != 0) {
        end.segment = wal->writing;
        end.offset = wal->offset;
        end.salt = wal->salt;
    } else {
        /* The first frame will go to the oldest segment that was made for it. */
        end.segment = wal->next_number;
        for (size_t i = wal->segments_count; i-- > 0;)
            if (wal->segments[i].file != NULL) end.segment = wal->segments[i].number;
    }
    mutex_unlock(&wal->mutex);
    return end;
}

uint64_t wal_bytes_since(struct wal *wal, struct wal_position position)
{
    uint64_t bytes = 0;
    mutex_lock(&wal->mutex);
    for (size_t i = 0; i < wal->segments_count; i++) {
        const struct wal_segment *segment = &wal->segments[i];
        if (segment->number < position.segment || segment->number > wal->writing) continue;
        bytes += segment->number == wal->writing ? wal->offset : segment->size;
        if (segment->number == position.segment)
            bytes -= position.offset < bytes ? position.offset : bytes;
    }
    mutex_unlock(&wal->mutex);
    return bytes;
}

/* Renames an old segment so that it becomes the next one: its blocks are on disk already. Its
 * old frames carry the old salt. */
static omendb_status segment_recycle(struct wal *wal, struct wal_segment *segment,
                                     omendb_error *err)
{
    char *from = NULL, *to = NULL;
    omendb_status status = wal_segment_path(wal, segment->number, &from, err);
    if (status == OMENDB_OK) status = wal_segment_path(wal, wal->next_number, &to, err);
    if (status == OMENDB_OK) status = vfs_rename(wal->vfs, from, to, err);
    if (status == OMENDB_OK) {
        status = vfs_sync_directory(wal->vfs, to, err);
        if (status != OMENDB_OK) (void)vfs_rename(wal->vfs, to, from, NULL);
    }
    alloc_free(from);
    alloc_free(to);
    return status;
}

static omendb_status segment_remove(struct wal *wal, uint64_t number, omendb_error *err)
{
    char *path = NULL;
    TRY(wal_segment_path(wal, number, &path, err));
    omendb_status status = vfs_remove(wal->vfs, path, err);
    if (status == OMENDB_ERR_NOT_FOUND) status = OMENDB_OK;
    alloc_free(path);
    return status;
}

/* What couldn't be removed or renamed stays listed, without a file, so that the next release or the
 * close tries again. There is room: it has just left. */
static omendb_status segment_kept(struct wal *wal, struct wal_segment segment, omendb_status status)
{
    file_close(segment.file);
    segment.file = NULL;
    mutex_lock(&wal->mutex);
    memmove(wal->segments + 1, wal->segments, wal->segments_count * sizeof *wal->segments);
    wal->segments[0] = segment;
    wal->segments_count++;
    mutex_unlock(&wal->mutex);
    return status;
}

static omendb_status release_locked(struct wal *wal, uint64_t segment, omendb_error *err)
{
    for (;;) {
        mutex_lock(&wal->mutex);
        const bool any = wal->segments_count != 0 && wal->segments[0].number < segment &&
                         wal->segments[0].number < wal->writing;
        struct wal_segment oldest = {0};
        if (any) {
            oldest = wal->segments[0];
            memmove(wal->segments, wal->segments + 1,
                    (wal->segments_count - 1) * sizeof *wal->segments);
            wal->segments_count--;
        }
        const bool spare = wal->segments_count != 0 &&
                           wal->segments[wal->segments_count - 1].number > wal->writing;
        mutex_unlock(&wal->mutex);
        if (!any) return OMENDB_OK;
        if (!spare && oldest.file != NULL && oldest.size == wal->segment_max) {
            const omendb_status status = segment_recycle(wal, &oldest, err);
            if (status != OMENDB_OK) return segment_kept(wal, oldest, status);
            oldest.reserved = WAL_PAGE;
            mutex_lock(&wal->mutex);
            oldest.number = wal->next_number++;
            wal->segments[wal->segments_count++] = oldest; /* There is room: one just left. */
            mutex_unlock(&wal->mutex);
            wal->recycled++;
            continue;
        }
        const omendb_status status = segment_remove(wal, oldest.number, err);
        if (status != OMENDB_OK) return segment_kept(wal, oldest, status);
        file_close(oldest.file);
        mutex_lock(&wal->mutex);
        wal->bytes_total -= oldest.size;
        mutex_unlock(&wal->mutex);
    }
}

omendb_status wal_release(struct wal *wal, uint64_t segment, omendb_error *err)
{
    mutex_lock(&wal->create_mutex);
    const omendb_status status = release_locked(wal, segment, err);
    mutex_unlock(&wal->create_mutex);
    return status;
}

omendb_status wal_remove_all(struct wal *wal, omendb_error *err)
{
    mutex_lock(&wal->mutex);
    const size_t count = wal->segments_count;
    mutex_unlock(&wal->mutex);
    for (size_t i = 0; i < count; i++) {
        file_close(wal->segments[i].file);
        wal->segments[i].file = NULL;
        TRY(segment_remove(wal, wal->segments[i].number, err));
    }
    mutex_lock(&wal->mutex);
    wal->segments_count = 0;
    wal->bytes_total = 0;
    wal->writing = 0;
    mutex_unlock(&wal->mutex);
    return count != 0 ? vfs_sync_directory(wal->vfs, wal->path, err) : OMENDB_OK;
}
