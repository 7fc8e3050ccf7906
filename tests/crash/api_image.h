/* api_image.h - a database's files as bytes that somebody changed, used through omendb.h: whatever
 * they say, every call answers, and nothing crashes, loops, reads out of bounds or leaks.
 *
 *     script of api_scene.h ──api_image_make──▶ picture ──changes, right checksums──▶ api_image_use
 *
 * Threads: one.
 */
#ifndef CRASH_API_IMAGE_H
#define CRASH_API_IMAGE_H

#include "crash/api_scene.h"
#include "crash/picture.h"

/* Plays `lines` of the script; ends it by a clean close, or by a kill that leaves the log. */
void api_image_make(struct picture *out, struct api_model *model, uint32_t lines, bool closed);

/* Opens the image, reads, checks, writes and closes it. Aborts with a message when a call gives a
 * status that a file can't cause, or memory or files are left behind. */
void api_image_use(const struct picture *picture, const struct api_model *model);

#endif /* CRASH_API_IMAGE_H */
