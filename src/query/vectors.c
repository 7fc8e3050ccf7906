#include "query/vectors.h"

#include <string.h>

#include "simd/distance.h"

omendb_status vectors_check_shape(const struct schema_vector *field, omendb_type type, uint32_t dim,
                                  omendb_error *err)
{
    if (type > OMENDB_F64)
        return fail(err, OMENDB_ERR_ARGUMENT, "field \"%s\": unknown vector type %u", field->name,
                    type);
    if ((type == OMENDB_BIT) != (field->type == OMENDB_BIT))
        return fail(err, OMENDB_ERR_ARGUMENT, "field \"%s\": %s can't be converted to %s",
                    field->name, schema_type_name(type), schema_type_name(field->type));
    if (dim != field->dim)
        return fail(err, OMENDB_ERR_DIMENSION, "field \"%s\": dimension %u, must be %u",
                    field->name, dim, field->dim);
    return OMENDB_OK;
}

/* Says which component it was. Only for vectors that are known to be bad. */
static omendb_status refuse_component(const struct kernels *kernels,
                                      const struct schema_vector *field, omendb_type type,
                                      const void *from, omendb_error *err)
{
    const size_t size = schema_vector_size(type, 1);
    float value = 0.0f;
    uint64_t stored = 0;
    for (uint32_t i = 0; i < field->dim; i++) {
        const uint8_t *component = (const uint8_t *)from + i * size;
        if (!distance_finite(kernels, type, 1, component))
            return fail(err, OMENDB_ERR_VALUE, "field \"%s\": component %u is NaN or infinite",
                        field->name, i);
        if (!kernels->to_f32[type](component, &value, 1) ||
            !kernels->from_f32[field->type](&value, &stored, 1))
            return fail(err, OMENDB_ERR_VALUE, "field \"%s\": component %u is no value of %s",
                        field->name, i, schema_type_name(field->type));
    }
    return fail(err, OMENDB_ERR_VALUE, "field \"%s\": not finite", field->name);
}

static omendb_status convert_bits(const struct schema_vector *field, const void *from, void *to,
                                  omendb_error *err)
{
    const uint32_t used = field->dim % 8; /* Bits of the last byte; 0 = all. */
    memcpy(to, from, field->size);
    if (used != 0 && ((const uint8_t *)to)[field->size - 1] >> used != 0)
        return fail(err, OMENDB_ERR_VALUE, "field \"%s\": bits past dimension %u are set",
                    field->name, field->dim);
    return OMENDB_OK;
}

omendb_status vectors_convert(const struct kernels *kernels, const struct schema_vector *field,
                              omendb_type type, const void *from, void *to, float *scratch,
                              omendb_error *err)
{
    if (type == OMENDB_BIT) return convert_bits(field, from, to, err);
    bool good = false;
    if (type == field->type) {
        memcpy(to, from, field->size);
        good = distance_finite(kernels, type, field->dim, to);
    } else {
        good = kernels->to_f32[type](from, scratch, field->dim) &&
               kernels->from_f32[field->type](scratch, to, field->dim);
    }
    if (!good) return refuse_component(kernels, field, type, from, err);
    if (field->metric == OMENDB_COSINE &&
        distance_norm(kernels, field->type, field->dim, to) == 0.0f)
        return fail(err, OMENDB_ERR_VALUE, "field \"%s\": a zero vector has no cosine",
                    field->name);
    return OMENDB_OK;
}
