/* base64.h - RFC 4648 base64: standard alphabet, padded, canonical (unused bits are zero), so that
 * every byte string has one text and every accepted text comes back the same.
 *
 * Threads: any.
 */
#ifndef DOC_BASE64_H
#define DOC_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes `text` into out (at least text_size / 4 * 3 bytes); out may be `text` itself: each byte
 * is written after the four it comes from were read. False: not canonical base64; then
 * out is as it was. */
bool base64_decode(const uint8_t *text, size_t text_size, uint8_t *out, size_t *size);

/* Bytes of text for `size` bytes, and the text itself, without NUL. */
size_t base64_text_size(size_t size);
void base64_encode(const uint8_t *bytes, size_t size, char *out);

#endif /* DOC_BASE64_H */
