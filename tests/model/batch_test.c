/* Batches: what is built is well-formed and reads back; mutated bytes are refused or stay in bounds. */
#include "store/batch.h"

#include "store_help.h"

struct expected {
    enum operation_type type;
    uint32_t collection, id_size, document_size, vectors;
    uint64_t number, seed;
    uint32_t vector_sizes[4];
};

enum { OPERATIONS = 60 };

static struct expected expected[OPERATIONS];

static void build(struct batch *batch, uint64_t *seed)
{
    uint8_t bytes[3000];
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        struct expected *e = &expected[i];
        *e = (struct expected){.type = (enum operation_type)(1 + random_below(seed, 2)),
                               .collection = random_below(seed, 5),
                               .id_size = random_below(seed, 3) == 0 ? 0 : random_below(seed, 100),
                               .document_size = random_below(seed, 2000),
                               .vectors = random_below(seed, 4),
                               .number = random_next(seed),
                               .seed = random_next(seed)};
        random_fill(bytes, sizeof bytes, e->seed);
        OK(batch_add(batch, e->type, e->collection, e->id_size != 0 ? bytes : NULL, e->id_size,
                     e->number, bytes, e->document_size, &err));
        for (uint32_t v = 0; v < e->vectors; v++) {
            void *to = NULL;
            e->vector_sizes[v] = random_below(seed, 70);
            OK(batch_add_vector(batch, v, e->vector_sizes[v], &to, &err));
            memcpy(to, bytes + v, e->vector_sizes[v]);
        }
    }
}

static void reads_back_what_was_added(void)
{
    uint64_t seed = 1;
    for (uint32_t round = 0; round < 20; round++) {
        struct batch batch = {0};
        build(&batch, &seed);
        CHECK(batch.operation_count == OPERATIONS && batch.bytes.size % 8 == 0);
        OK(batch_validate(batch.bytes.data, batch.bytes.size, OPERATIONS, &err));
        size_t at = 0;
        for (uint32_t i = 0; i < OPERATIONS; i++) {
            const struct expected *e = &expected[i];
            const struct operation *op = (const void *)(batch.bytes.data + at);
            uint8_t bytes[3000];
            random_fill(bytes, sizeof bytes, e->seed);
            CHECK(op->type == e->type && op->collection == e->collection);
            CHECK(op->id_is_text == (e->id_size != 0) && op->id_size == e->id_size);
            CHECK(op->id_number == e->number && op->document_size == e->document_size);
            CHECK(memcmp(operation_id_text(op), bytes, e->id_size) == 0);
            CHECK(memcmp(operation_document(op), bytes, e->document_size) == 0);
            const struct operation_vector *vector = operation_vector_first(op);
            CHECK((vector == NULL) == (e->vectors == 0));
            for (uint32_t v = 0; v < e->vectors; v++) {
                CHECK(vector->field == v && vector->size == e->vector_sizes[v]);
                CHECK(memcmp(operation_vector_bytes(vector), bytes + v, vector->size) == 0);
                if (v + 1 < e->vectors) vector = operation_vector_next(vector);
            }
            at += (size_t)op->size;
        }
        CHECK(at == batch.bytes.size);
        batch_deinit(&batch);
    }
}

static void returning_to_a_mark_forgets_what_followed(void)
{
    uint64_t seed = 2;
    struct batch batch = {0}, same = {0};
    void *to = NULL;
    build(&batch, &seed);
    const struct batch_mark mark = batch_mark(&batch);
    seed = 2;
    build(&same, &seed);
    OK(batch_add(&batch, OPERATION_UPSERT, 1, "x", 1, 0, "y", 1, &err));
    OK(batch_add_vector(&batch, 0, 9, &to, &err));
    memset(to, 1, 9);
    batch_return(&batch, mark);
    CHECK(batch.bytes.size == same.bytes.size && batch.operation_count == same.operation_count);
    CHECK(memcmp(batch.bytes.data, same.bytes.data, same.bytes.size) == 0);
    OK(batch_validate(batch.bytes.data, batch.bytes.size, batch.operation_count, &err));
    batch_deinit(&batch);
    batch_deinit(&same);
}

static void a_batch_beyond_its_limit_is_full_and_unchanged(void)
{
    struct batch batch = {0};
    void *to = NULL;
    static uint8_t document[1000];
    OK(batch_add(&batch, OPERATION_UPSERT, 1, NULL, 0, 1, document, sizeof document, &err));
    batch.bytes.size = OMENDB_BATCH_SIZE_MAX - 500; /* As if it were that long. */
    const struct batch_mark mark = batch_mark(&batch);
    FAILS(OMENDB_ERR_FULL,
          batch_add(&batch, OPERATION_UPSERT, 1, NULL, 0, 1, document, sizeof document, &err));
    FAILS(OMENDB_ERR_FULL, batch_add_vector(&batch, 0, 501, &to, &err));
    FAILS(OMENDB_ERR_FULL, batch_add_vector(&batch, 0, UINT32_MAX, &to, &err));
    CHECK(batch.bytes.size == mark.size && batch.operation_count == mark.operation_count);
    batch_deinit(&batch);
}

static void a_failed_allocation_leaves_the_batch_as_it_was(void)
{
    struct batch batch = {0};
    uint8_t bytes[500] = {0};
    for (uint32_t i = 0; i < 100; i++) {
        const struct batch_mark mark = batch_mark(&batch);
        void *to = NULL;
        alloc_fail_after(0, 0);
        omendb_status status = batch_add(&batch, OPERATION_UPSERT, 1, bytes, i, 1, bytes, i, &err);
        if (status == OMENDB_OK) status = batch_add_vector(&batch, 0, i, &to, &err);
        alloc_fail_after(-1, 0);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
        if (status != OMENDB_OK) batch_return(&batch, mark);
        OK(batch_validate(batch.bytes.data, batch.bytes.size, batch.operation_count, &err));
        OK(batch_add(&batch, OPERATION_UPSERT, 1, bytes, i, 1, bytes, i, &err));
    }
    batch_deinit(&batch);
}

static void conditions_go_with_their_operations(void)
{
    struct batch batch = {0}, more = {0};
    CHECK(batch_conditions_end(&batch) == batch.conditions);
    for (uint32_t i = 0; i < 50; i++) {
        OK(batch_add(&batch, OPERATION_DELETE, 1, NULL, 0, i, NULL, 0, &err));
        const struct batch_mark mark = batch_mark(&batch);
        OK(batch_add(&batch, OPERATION_DELETE, 1, NULL, 0, 1000 + i, NULL, 0, &err));
        OK(batch_add_condition(&batch, 7, &err));
        batch_return(&batch, mark); /* The failed one's condition goes too. */
        if (i % 3 == 0) OK(batch_add_condition(&batch, 100 + i, &err));
    }
    const struct batch_condition *condition = batch.conditions;
    for (uint32_t i = 0; i < 50; i += 3, condition++)
        CHECK(condition->operation == i && condition->version == 100 + i);
    CHECK(condition == batch_conditions_end(&batch));
    OK(batch_append(&more, &batch, &err)); /* Operations alone. */
    OK(batch_append(&more, &batch, &err));
    CHECK(more.operation_count == 100 && more.condition_count == 0);
    CHECK(more.bytes.size == 2 * batch.bytes.size);
    OK(batch_validate(more.bytes.data, more.bytes.size, more.operation_count, &err));
    batch_deinit(&batch);
    batch_deinit(&more);
}

/* Whatever passes validation lies within its bytes, to the last vector. */
static void walk(const uint8_t *bytes, size_t size, uint32_t count)
{
    size_t at = 0, sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct operation *op = (const void *)(bytes + at);
        for (uint32_t k = 0; k < op->id_size; k++) sum += operation_id_text(op)[k];
        for (uint32_t k = 0; k < op->document_size; k++) sum += operation_document(op)[k];
        const struct operation_vector *vector = operation_vector_first(op);
        for (uint32_t v = 0; v < op->vector_count; v++) {
            const uint8_t *content = operation_vector_bytes(vector);
            for (uint32_t k = 0; k < vector->size; k++) sum += content[k];
            vector = operation_vector_next(vector);
        }
        at += (size_t)op->size;
    }
    CHECK(at == size && sum != 1);
}

static void mutated_bytes_are_refused_or_stay_in_bounds(void)
{
    uint64_t seed = 3;
    uint32_t refused = 0, accepted = 0;
    for (uint32_t round = 0; round < 30000; round++) {
        static struct batch batch;
        if (round % 500 == 0) {
            batch_deinit(&batch);
            build(&batch, &seed);
        }
        /* A copy of its own size, so that the sanitizer sees every byte too many. */
        const size_t size = batch.bytes.size - (random_below(&seed, 10) == 0 ? 8u : 0u);
        uint8_t *copy = malloc(size);
        memcpy(copy, batch.bytes.data, size);
        for (uint32_t i = random_below(&seed, 4) + 1; i > 0; i--) {
            const size_t at = random_below(&seed, 3) == 0 ? random_below(&seed, 32)
                                                          : random_below(&seed, (uint32_t)size);
            static const uint8_t edges[] = {0, 1, 7, 8, 0x7F, 0x80, 0xFF};
            copy[at] = random_below(&seed, 2) == 0 ? edges[random_below(&seed, COUNT_OF(edges))]
                                                   : (uint8_t)random_next(&seed);
        }
        const uint32_t count = OPERATIONS + (random_below(&seed, 20) == 0 ? 1u : 0u);
        const omendb_status status = batch_validate(copy, size, count, &err);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_CORRUPT ||
              status == OMENDB_ERR_UNSUPPORTED);
        if (status == OMENDB_OK) walk(copy, size, count);
        if (status == OMENDB_OK) accepted++;
        else refused++;
        free(copy);
        if (round == 29999) batch_deinit(&batch);
    }
    CHECK(refused > 1000 && accepted > 1000);
}

static void sizes_that_overflow_are_refused(void)
{
    struct operation op = {.size = 64, .type = OPERATION_UPSERT, .vector_count = 1};
    uint8_t bytes[64] = {0};
    const uint32_t sizes[] = {33, 0x7FFFFFFF, 0x80000000u, 0xFFFFFFF8u, 0xFFFFFFFFu};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct operation bad = op;
        struct operation_vector vector = {.size = sizes[i]};
        memcpy(bytes + sizeof op, &vector, sizeof vector);
        memcpy(bytes, &bad, sizeof bad);
        FAILS(OMENDB_ERR_CORRUPT, batch_validate(bytes, sizeof bytes, 1, &err));
        bad.vector_count = 0;
        bad.document_size = sizes[i];
        memcpy(bytes, &bad, sizeof bad);
        FAILS(OMENDB_ERR_CORRUPT, batch_validate(bytes, sizeof bytes, 1, &err));
        bad.document_size = 0;
        bad.id_size = sizes[i];
        memcpy(bytes, &bad, sizeof bad);
        FAILS(OMENDB_ERR_CORRUPT, batch_validate(bytes, sizeof bytes, 1, &err));
        bad.id_size = 0;
        bad.size = UINT64_MAX - 7 - i * 8;
        memcpy(bytes, &bad, sizeof bad);
        FAILS(OMENDB_ERR_CORRUPT, batch_validate(bytes, sizeof bytes, 1, &err));
    }
    FAILS(OMENDB_ERR_CORRUPT, batch_validate(bytes, 0, 1, &err));
    FAILS(OMENDB_ERR_CORRUPT, batch_validate(bytes, 8, 0, &err));
    OK(batch_validate(bytes, 0, 0, &err));
}

static const struct test tests[] = {
    {"reads_back_what_was_added", reads_back_what_was_added},
    {"returning_to_a_mark_forgets_what_followed", returning_to_a_mark_forgets_what_followed},
    {"a_batch_beyond_its_limit_is_full_and_unchanged",
     a_batch_beyond_its_limit_is_full_and_unchanged},
    {"conditions_go_with_their_operations", conditions_go_with_their_operations},
    {"a_failed_allocation_leaves_the_batch_as_it_was",
     a_failed_allocation_leaves_the_batch_as_it_was},
    {"mutated_bytes_are_refused_or_stay_in_bounds", mutated_bytes_are_refused_or_stay_in_bounds},
    {"sizes_that_overflow_are_refused", sizes_that_overflow_are_refused},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
