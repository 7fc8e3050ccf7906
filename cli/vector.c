#include "vector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "screen.h"

static const char *const TYPE_NAMES[] = {"f32", "f16", "bf16", "i8", "u8", "bit", "f64"};
static const char *const METRIC_NAMES[] = {"l2", "cosine", "ip", "hamming"};

bool vector_type_of(struct span name, omendb_type *out)
{
    for (omendb_type type = OMENDB_F32; type <= OMENDB_BIT; type++) { /* f64 is input only. */
        if (!span_is(name, TYPE_NAMES[type])) continue;
        *out = type;
        return true;
    }
    return false;
}

bool vector_metric_of(struct span name, omendb_metric *out)
{
    for (omendb_metric metric = OMENDB_L2; metric <= OMENDB_HAMMING; metric++) {
        if (!span_is(name, METRIC_NAMES[metric])) continue;
        *out = metric;
        return true;
    }
    return false;
}

const char *vector_type_name(omendb_type type)
{
    return type <= OMENDB_F64 ? TYPE_NAMES[type] : "?";
}

size_t vector_size(omendb_type type, uint32_t dim)
{
    static const size_t SIZES[] = {4, 2, 2, 1, 1, 0, 8};
    return type == OMENDB_BIT ? ((size_t)dim + 7) / 8 : SIZES[type] * dim;
}

static omendb_status parse_component(struct span text, uint32_t index, omendb_type type,
                                     struct text *out, omendb_error *err)
{
    if (member_number_size(text) != text.size) {
        return fault(err, OMENDB_ERR_VALUE, "component %u is not a number: %.*s", index,
                     (int)(text.size > 20 ? 20 : text.size), text.data);
    }
    float value = strtof(text.data, NULL);
    if (!isfinite(value)) {
        return fault(err, OMENDB_ERR_VALUE, "component %u is out of the range of f32", index);
    }
    if (type != OMENDB_BIT) {
        text_append(out, &value, sizeof(value));
        return OMENDB_OK;
    }
    bool one = value > 0.5f;
    if (value != (one ? 1.0f : 0.0f)) {
        return fault(err, OMENDB_ERR_VALUE, "component %u of a bit vector is not 0 or 1", index);
    }
    if (index % 8 == 0) text_append_byte(out, '\0');
    unsigned byte = (unsigned char)out->data[out->size - 1];
    out->data[out->size - 1] = (char)(byte | (one ? 1u << index % 8 : 0u));
    return OMENDB_OK;
}

omendb_status vector_parse(struct span text, omendb_type type, struct text *out, uint32_t *dim,
                           omendb_error *err)
{
    struct member_cursor cursor;
    struct member member;
    bool more;
    uint32_t count = 0;
    text_clear(out);
    if (text.size == 0 || text.data[0] != '[') {
        return fault(err, OMENDB_ERR_VALUE, "not an array of numbers");
    }
    TRY(member_begin(&cursor, text, '[', err));
    for (;;) {
        TRY(member_next(&cursor, &member, &more, err));
        if (!more) break;
        if (count == OMENDB_DIM_MAX) {
            return fault(err, OMENDB_ERR_ARGUMENT, "more than %u components", OMENDB_DIM_MAX);
        }
        TRY(parse_component(member.value, count, type, out, err));
        count++;
    }
    if (count == 0) return fault(err, OMENDB_ERR_VALUE, "the array is empty");
    *dim = count;
    return OMENDB_OK;
}

static float float_of_half(uint16_t half)
{
    int exponent = half >> 10 & 31;
    float mantissa = (float)(half & 1023);
    float magnitude = exponent == 0    ? ldexpf(mantissa, -24)
                      : exponent == 31 ? (mantissa == 0.0f ? INFINITY : NAN)
                                       : ldexpf(mantissa + 1024.0f, exponent - 25);
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

static double component_of(const void *vector, omendb_type type, uint32_t index)
{
    const unsigned char *bytes = vector;
    float f32;
    double f64;
    uint16_t u16;
    uint32_t u32;
    switch (type) {
    case OMENDB_F32:
        memcpy(&f32, bytes + (size_t)index * 4, 4);
        return (double)f32;
    case OMENDB_F16:
        memcpy(&u16, bytes + (size_t)index * 2, 2);
        return (double)float_of_half(u16);
    case OMENDB_BF16:
        memcpy(&u16, bytes + (size_t)index * 2, 2);
        u32 = (uint32_t)u16 << 16;
        memcpy(&f32, &u32, 4);
        return (double)f32;
    case OMENDB_I8:
        return (double)(int8_t)bytes[index];
    case OMENDB_U8:
        return (double)bytes[index];
    case OMENDB_BIT:
        return (double)(bytes[index / 8] >> index % 8 & 1);
    default:
        memcpy(&f64, bytes + (size_t)index * 8, 8);
        return f64;
    }
}

void vector_append(struct text *out, const void *vector, omendb_type type, uint32_t dim,
                   uint32_t shown)
{
    text_append_byte(out, '[');
    for (uint32_t i = 0; i < dim; i++) {
        if (i == shown) {
            text_append_string(out, ", ...");
            break;
        }
        if (i != 0) text_append_string(out, shown < dim ? ", " : ",");
        text_append_string(out, screen_real(component_of(vector, type, i)).text);
    }
    text_append_byte(out, ']');
}
