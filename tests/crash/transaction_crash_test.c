/* transaction_crash_test.c - transactions over two collections, with a snapshot held through
 * checkpoints, and the power gone at every call in every way: each transaction is there whole or not at
 * all, those acknowledged are there, and one that was refused has left nothing.
 *
 *     transaction t    moves one from a[t mod N] to b[t mod N], and brings document 100 + t to both
 *     state after k    follows from k alone
 */
#include <stdint.h>

#include "api/db.h"
#include "api/handles.h"
#include "query/indexes.h"
#include "sim/vfs_sim.h"
#include "test.h"

enum { DOCUMENTS = 6, TRANSACTIONS = 9, START = 50, EXTRA = 100 };

struct life {
    struct sim *sim;
    omendb *db; /* On the simulated disk, which omendb_open() doesn't know. */
    omendb_collection *collections[2];
    omendb_snapshot *snapshot;
    omendb_collection *before;
    uint32_t acknowledged, started; /* Transactions. */
    bool filled, fill_started;
};

static bool life_open(struct life *life)
{
    const struct store_options base = {
        .vfs = sim_vfs(life->sim), .wal_segment_size = 256 << 10, .hooks = *indexes_hooks_all()};
    omendb_options options = OMENDB_OPTIONS_INIT;
    options.wal_size_max = 1 << 20;
    return db_open(&base, "transactions.omen", &options, &life->db, NULL) == OMENDB_OK;
}

static bool life_close(struct life *life)
{
    for (uint32_t i = 0; i < 2; i++) omendb_collection_close(life->collections[i]);
    omendb_collection_close(life->before);
    omendb_snapshot_destroy(life->snapshot);
    life->collections[0] = life->collections[1] = life->before = NULL;
    life->snapshot = NULL;
    return omendb_close(life->db, NULL) == OMENDB_OK;
}

static bool put_value(omendb_collection *collection, uint64_t id, int value)
{
    char json[24];
    omendb_rows rows = OMENDB_ROWS_INIT;
    const uint64_t offsets[2] = {0, (uint64_t)snprintf(json, sizeof json, "{\"n\":%d}", value)};
    rows.count = 1;
    rows.id_numbers = &id;
    rows.json = json;
    rows.json_offsets = offsets;
    return omendb_collection_upsert(collection, &rows, NULL) == OMENDB_OK;
}

/* -1: there is none. */
static int get_value(omendb_collection *collection, uint64_t number)
{
    omendb_documents *documents = NULL;
    omendb_document document;
    const omendb_id id = {.number = number};
    CHECK(omendb_collection_get(collection, &id, 1, OMENDB_WITH_DOCUMENTS, &documents, NULL) ==
          OMENDB_OK);
    omendb_documents_entry(documents, 0, &document);
    const int value = document.found ? (int)strtol(document.json_view + 5, NULL, 10) : -1;
    omendb_documents_destroy(documents);
    return value;
}

static bool transact(struct life *life, uint32_t t, bool refused)
{
    omendb_transaction *transaction = NULL;
    omendb_collection *inner[2] = {NULL};
    const uint64_t id = t % DOCUMENTS;
    CHECK(omendb_transaction_begin(life->db, &transaction, NULL) == OMENDB_OK);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(omendb_transaction_collection(transaction, life->collections[i], &inner[i], NULL) ==
              OMENDB_OK);
    CHECK(put_value(inner[0], id, get_value(inner[0], id) - 1));
    CHECK(put_value(inner[1], id, get_value(inner[1], id) + 1));
    CHECK(put_value(inner[0], EXTRA + t, (int)t) && put_value(inner[1], EXTRA + t, (int)t));
    bool good = true;
    if (refused) good = transact(life, t, false); /* Another one comes first. */
    else life->started = t + 1;
    omendb_status status = OMENDB_OK;
    if (good) {
        status = omendb_transaction_commit(transaction, OMENDB_DURABILITY_DEFAULT, NULL, NULL);
        if (refused) CHECK(status == OMENDB_ERR_CONFLICT || sim_crashed(life->sim));
        else if (status == OMENDB_OK) life->acknowledged = t + 1;
        good = refused ? status == OMENDB_ERR_CONFLICT : status == OMENDB_OK;
    }
    for (uint32_t i = 0; i < 2; i++) omendb_collection_close(inner[i]);
    omendb_transaction_destroy(transaction);
    return good;
}

static void check_start(omendb_collection *collection)
{
    for (uint64_t id = 0; id < DOCUMENTS; id++) CHECK(get_value(collection, id) == START);
}

/* false: the power is gone. */
static bool live(struct life *life)
{
    static const char *const names[2] = {"a", "b"};
    for (uint32_t i = 0; i < 2; i++) {
        if (omendb_collection_create(life->db, names[i], NULL, &life->collections[i], NULL) !=
            OMENDB_OK)
            return false;
    }
    omendb_transaction *fill = NULL;
    CHECK(omendb_transaction_begin(life->db, &fill, NULL) == OMENDB_OK);
    for (uint32_t i = 0; i < 2; i++) {
        omendb_collection *inner = NULL;
        CHECK(omendb_transaction_collection(fill, life->collections[i], &inner, NULL) == OMENDB_OK);
        for (uint64_t id = 0; id < DOCUMENTS; id++) CHECK(put_value(inner, id, START));
        omendb_collection_close(inner);
    }
    life->fill_started = true;
    life->filled = omendb_transaction_commit(fill, OMENDB_DURABILITY_FULL, NULL, NULL) == OMENDB_OK;
    omendb_transaction_destroy(fill);
    if (!life->filled) return false;
    CHECK(omendb_snapshot_create(life->db, &life->snapshot, NULL) == OMENDB_OK);
    CHECK(omendb_snapshot_collection(life->snapshot, life->collections[0], &life->before, NULL) ==
          OMENDB_OK);
    for (uint32_t t = 0; t < TRANSACTIONS; t++) {
        if (!transact(life, t, t % 3 == 1)) return false;
        /* The images list versions that only the snapshot sees. */
        if (t % 2 == 1 && store_checkpoint(life->db->store, NULL) != OMENDB_OK) return false;
        if (t == 6) {
            omendb_snapshot_destroy(life->snapshot);
            life->snapshot = NULL;
        }
        if (t < 6) check_start(life->before);
    }
    return true;
}

/* What is there is the state after k transactions: k. UINT32_MAX: before the first documents. */
static uint32_t check_state(struct life *life)
{
    static const char *const names[2] = {"a", "b"};
    uint32_t k = 0, made = 0;
    for (uint32_t i = 0; i < 2; i++)
        made += omendb_collection_open(life->db, names[i], &life->collections[i], NULL) ==
                OMENDB_OK;
    if (made < 2 || get_value(life->collections[0], 0) < 0) {
        CHECK(!life->filled);
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t count = 0;
            if (life->collections[i] == NULL) continue;
            CHECK(omendb_collection_count(life->collections[i], NULL, 0, &count, NULL) ==
                  OMENDB_OK);
            CHECK(count == 0);
        }
        return UINT32_MAX;
    }
    CHECK(life->fill_started);
    while (get_value(life->collections[0], EXTRA + k) >= 0) k++;
    CHECK(k >= life->acknowledged && k <= life->started);
    for (uint32_t i = 0; i < 2; i++) {
        int values[DOCUMENTS];
        uint64_t count = 0;
        for (uint32_t id = 0; id < DOCUMENTS; id++) values[id] = START;
        for (uint32_t t = 0; t < k; t++) {
            values[t % DOCUMENTS] += i == 0 ? -1 : 1;
            CHECK(get_value(life->collections[i], EXTRA + t) == (int)t);
        }
        for (uint32_t id = 0; id < DOCUMENTS; id++)
            CHECK(get_value(life->collections[i], id) == values[id]);
        CHECK(omendb_collection_count(life->collections[i], NULL, 0, &count, NULL) == OMENDB_OK);
        CHECK(count == DOCUMENTS + k);
    }
    return k;
}

/* Recovers, compares, goes on; nothing is held back by a snapshot of the life before. */
static void check_recovered(struct life *life)
{
    char *report = NULL;
    CHECK(life_open(life));
    const uint32_t k = check_state(life);
    CHECK(omendb_check(life->db, OMENDB_CHECK_DEEP, &report, NULL) == OMENDB_OK);
    CHECK(strncmp(report, "{\"ok\":true", 10) == 0);
    omendb_text_destroy(report);
    if (k != UINT32_MAX) {
        CHECK(transact(life, k, true));
        CHECK(store_checkpoint(life->db->store, NULL) == OMENDB_OK);
        CHECK(store_checkpoint(life->db->store, NULL) == OMENDB_OK);
        struct collection *collection = life->collections[0]->collection;
        CHECK(collection->dead_begin == collection->dead_end);
    }
    CHECK(life_close(life));
    CHECK(life_open(life));
    const uint32_t again = check_state(life);
    CHECK(k == UINT32_MAX ? again == k : again == k + 1);
    CHECK(life_close(life));
}

static void are_there_whole_or_not_at_all(void)
{
    uint64_t calls = 0;
    for (uint64_t at = 0; at <= calls; at++) { /* 0: no crash; it counts the calls. */
        for (int mode = 0; mode < SIM_CRASH_MODES; mode++) {
            struct life life = {.sim = sim_create(7)};
            if (at != 0) sim_crash_at(life.sim, at);
            if (life_open(&life)) {
                const bool whole = live(&life), closed = life_close(&life);
                CHECK((whole && closed) || sim_crashed(life.sim));
            }
            if (at == 0) calls = sim_calls(life.sim);
            sim_reboot(life.sim, (enum sim_mode)mode, at * 31 + (uint64_t)mode);
            check_recovered(&life);
            sim_destroy(life.sim);
        }
    }
    CHECK(calls > 60);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"are_there_whole_or_not_at_all", are_there_whole_or_not_at_all},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
