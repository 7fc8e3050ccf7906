/* status.h - how functions in OmenDB say that they failed.
 *
 * A fallible function returns omendb_status and takes `omendb_error *err` last. fail() fills
 * it and returns the code, so that an error is one line:
 *
 *     if (got != want) return fail(err, OMENDB_ERR_CORRUPT, "wal: frame %u", n);
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "base/compiler.h"
#include "omendb.h"

omendb_status fail(omendb_error *err, omendb_status status, const char *format, ...)
    PRINTF_LIKE(3, 4) __attribute__((cold));

/* Puts "prefix: " before the message that a callee left, and returns its status. */
omendb_status fail_within(omendb_error *err, omendb_status status, const char *format, ...)
    PRINTF_LIKE(3, 4) __attribute__((cold));

/* Returns early with the callee's status; only where nothing needs releasing. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const omendb_status try_status_ = (call);                                                  \
        if (try_status_ != OMENDB_OK) return try_status_;                                          \
    } while (0)

#endif /* BASE_STATUS_H */
