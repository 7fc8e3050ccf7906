/* wal_inner.h - what wal.c and wal_replay.c share and nobody else needs. */
#ifndef STORE_WAL_INNER_H
#define STORE_WAL_INNER_H

#include "store/wal.h"

omendb_status wal_segment_path(const struct wal *wal, uint64_t number, char **out,
                               omendb_error *err);

/* Of a frame [header + payload] in memory. */
uint64_t wal_frame_checksum(const uint8_t *frame, uint64_t payload_size, uint64_t salt);

#endif /* STORE_WAL_INNER_H */
