/* mutant.h - seeded bugs that the crash simulator must catch.
 *
 * In test builds (OMENDB_MUTANTS) MUTANT(name) is true while the harness has switched that one
 * bug on; in every other build it is the constant false and the branch vanishes.
 */
#ifndef BASE_MUTANT_H
#define BASE_MUTANT_H

#define MUTANT_LIST(X)                                                                             \
    X(ack_before_sync)                                                                             \
    X(no_sync_before_superblock)                                                                   \
    X(no_sync_after_superblock)                                                                    \
    X(slot_by_generation_parity)                                                                   \
    X(early_wal_recycle)                                                                           \
    X(reuse_of_live_blocks)                                                                        \
    X(reuse_of_previous_generation_blocks)                                                         \
    X(rewrite_of_last_acknowledged_sector)                                                         \
    X(retried_fsync)                                                                               \
    X(constant_wal_salt)                                                                           \
    X(wal_unlink_before_both_superblocks)                                                          \
    X(publish_before_apply)

enum mutant {
    MUTANT_none,
#define MUTANT_ENUM(name) MUTANT_##name,
    MUTANT_LIST(MUTANT_ENUM)
#undef MUTANT_ENUM
        MUTANT_count
};

#ifdef OMENDB_MUTANTS
extern enum mutant mutant_active;
#define MUTANT(name) (mutant_active == MUTANT_##name)
#else
#define MUTANT(name) 0
#endif

const char *mutant_name(enum mutant mutant);

#endif /* BASE_MUTANT_H */
