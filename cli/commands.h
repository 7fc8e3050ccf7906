/* commands.h - every command of `omendb`, one table each, in the file that runs it. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "args.h"

extern const struct command CREATE_COMMAND; /* create.c */
extern const struct command IMPORT_COMMAND; /* import.c */
extern const struct command SEARCH_COMMAND; /* search.c */
extern const struct command GET_COMMAND;    /* read.c */
extern const struct command FIND_COMMAND;
extern const struct command COUNT_COMMAND;
extern const struct command DELETE_COMMAND; /* change.c */
extern const struct command DROP_COMMAND;
extern const struct command RENAME_COMMAND;
extern const struct command INDEX_COMMAND; /* index.c */
extern const struct command LIST_COMMAND;  /* inspect.c */
extern const struct command STATS_COMMAND;
extern const struct command CHECK_COMMAND;
extern const struct command EXPORT_COMMAND; /* export.c */
extern const struct command BACKUP_COMMAND; /* backup.c */
extern const struct command RESTORE_COMMAND;
extern const struct command REPAIR_COMMAND;

/* Paragraph on ids, for the commands that take some. */
#define HELP_IDS                                                                                   \
    "Ids: digits are a number (7), anything else is a string (left-pad, 007). A string of\n"       \
    "digits is written s:7, one that begins with s: as s:s:...; with --string-ids every id\n"      \
    "is a string as it stands.\n"
#define HELP_WHERE                                                                                 \
    "Filters are JSON in Mongo's manner: '{\"section\": \"games\", \"size\": {\"$lt\": 100}}'\n"   \
    "with $eq $ne $gt $gte $lt $lte $in $nin $exists $and $or $not.\n"

#endif /* CLI_COMMANDS_H */
