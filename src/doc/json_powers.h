/* json_powers.h - powers of ten as 128-bit significands; 10.7 KB that reader and writer share.
 *
 * json_powers[q - JSON_POWERS_MIN] = {high, low} of 10^q / 2^(floor(log2 10^q) - 127), exact for
 * 0 <= q <= 55, rounded up for -27 <= q < 0 and towards zero elsewhere. tools/json_powers.py
 * writes the table.
 */
#ifndef DOC_JSON_POWERS_H
#define DOC_JSON_POWERS_H

#include <stdint.h>

/* Reading needs -342 .. 308 (Eisel-Lemire), writing -292 .. 324 (Schubfach). */
enum { JSON_POWERS_MIN = -342, JSON_POWERS_MAX = 324 };

extern const uint64_t json_powers[JSON_POWERS_MAX - JSON_POWERS_MIN + 1][2];

#endif /* DOC_JSON_POWERS_H */
