#include "omendb.h"

const char *omendb_status_name(omendb_status status)
{
    switch (status) {
    case OMENDB_OK:
        return "OK";
    case OMENDB_ERR_NOMEM:
        return "NOMEM";
    case OMENDB_ERR_IO:
        return "IO";
    case OMENDB_ERR_CORRUPT:
        return "CORRUPT";
    case OMENDB_ERR_ARGUMENT:
        return "ARGUMENT";
    case OMENDB_ERR_BUSY:
        return "BUSY";
    case OMENDB_ERR_FULL:
        return "FULL";
    case OMENDB_ERR_INTERNAL:
        return "INTERNAL";
    case OMENDB_ERR_NOT_FOUND:
        return "NOT_FOUND";
    case OMENDB_ERR_EXISTS:
        return "EXISTS";
    case OMENDB_ERR_DIMENSION:
        return "DIMENSION";
    case OMENDB_ERR_VALUE:
        return "VALUE";
    case OMENDB_ERR_READ_ONLY:
        return "READ_ONLY";
    case OMENDB_ERR_MISUSE:
        return "MISUSE";
    case OMENDB_ERR_UNSUPPORTED:
        return "UNSUPPORTED";
    case OMENDB_ERR_INTERRUPTED:
        return "INTERRUPTED";
    case OMENDB_ERR_TIMEOUT:
        return "TIMEOUT";
    case OMENDB_ERR_CONFLICT:
        return "CONFLICT";
    default:
        return "UNKNOWN";
    }
}
