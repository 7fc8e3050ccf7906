#include "base/mutant.h"

#include <stddef.h>

#ifdef OMENDB_MUTANTS
enum mutant mutant_active;
#endif

const char *mutant_name(enum mutant mutant)
{
    static const char *const names[] = {"none",
#define MUTANT_NAME(name) #name,
                                        MUTANT_LIST(MUTANT_NAME)
#undef MUTANT_NAME
    };
    return mutant < MUTANT_count ? names[mutant] : "?";
}
