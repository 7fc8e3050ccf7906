#include "query/params.h"

#include <string.h>

omendb_status params_read(void *to, size_t size, const void *from, const char *what,
                          omendb_error *err)
{
    uint32_t given = 0;
    memcpy(&given, from, sizeof given);
    if (given < 2 * sizeof given || given > PARAMS_SIZE_MAX)
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "%s: struct_size is %u; initialise the structure with its _INIT macro", what,
                    given);
    const uint8_t *bytes = from;
    for (size_t i = size; i < given; i++) {
        if (bytes[i] != 0)
            return fail(err, OMENDB_ERR_UNSUPPORTED,
                        "%s: byte %zu belongs to a member that version %s doesn't know", what, i,
                        OMENDB_VERSION_STRING);
    }
    const size_t common = given < size ? given : size;
    memcpy(to, from, common);
    memset((uint8_t *)to + common, 0, size - common);
    return OMENDB_OK;
}

omendb_status params_check_flags(uint32_t flags, uint32_t known, const char *what,
                                 omendb_error *err)
{
    if ((flags & ~known) == 0) return OMENDB_OK;
    return fail(err, OMENDB_ERR_ARGUMENT, "%s: unknown flags 0x%x", what, flags & ~known);
}
