#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

omendb_status fail(omendb_error *err, omendb_status status, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->status = status;
        (void)vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

omendb_status fail_within(omendb_error *err, omendb_status status, const char *format, ...)
{
    if (err != NULL) {
        char inner[sizeof err->message];
        memcpy(inner, err->message, sizeof inner);
        inner[sizeof inner - 1] = '\0';
        va_list args;
        va_start(args, format);
        const int length = vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        err->status = status;
        if (length > 0 && (size_t)length + 2 < sizeof err->message) {
            const size_t at = (size_t)length;
            const int room = (int)(sizeof err->message - at) - 3; /* ": " and the NUL. */
            (void)snprintf(err->message + at, sizeof err->message - at, ": %.*s", room, inner);
        }
    }
    return status;
}
