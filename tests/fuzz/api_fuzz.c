/* A script for omendb.h, one byte string: each byte chooses a call or one of its parameters. Every
 * answer is compared with a plain table of what must be there. The disk is the simulated one: among
 * the calls are kills of the process, losses of power, full disks and calls that fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/db.h"
#include "base/alloc.h"
#include "index/vector/graph_index.h"
#include "query/indexes.h"
#include "sim/vfs_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SCRIPT_IDS = 64, SCRIPT_DIM = 4, SCRIPT_ROWS = 16, SCRIPT_OPS = 200, SCRIPT_FAULTS = 16 };

static const char script_path[] = "/disk/script.omen";

struct script {
    const uint8_t *data;
    size_t size, at;
    struct sim *sim;
    struct graph_options graph;
    struct store_options base;
    omendb *db;
    omendb_collection *docs;
    uint32_t there[SCRIPT_IDS], next[SCRIPT_IDS]; /* Number it was written with, 0 = none. */
    /* A batch that was never acknowledged, but shown by an open on a full disk, may be lost again with
     * the power until something was written: what was before it. */
    uint32_t before[SCRIPT_IDS];
    bool shown;
    uint32_t number;
    uint32_t armed; /* Faults since the machine started. */
    bool faulty;    /* A fault is armed: calls may fail. */
};

static uint8_t script_byte(struct script *script)
{
    return script->at < script->size ? script->data[script->at++] : 0;
}

static void script_must(bool good, const char *what, int64_t value)
{
    if (good) return;
    fprintf(stderr, "%s: %lld\n", what, (long long)value);
    abort();
}

static void script_vector(uint32_t id, uint32_t number, float out[SCRIPT_DIM])
{
    for (uint32_t i = 0; i < SCRIPT_DIM; i++)
        out[i] = (float)((id % 5 == 0 ? i : id * 7 + number * 13 + i * i * 3) % 31) - 9.0f;
}

static int script_text(uint32_t id, uint32_t number, char out[48])
{
    return snprintf(out, 48, "{\"g\":%u,\"n\":%u}", id % 4, number);
}

/* Whether everything is as `table` says. */
static bool script_holds(struct script *script, const uint32_t table[SCRIPT_IDS])
{
    omendb_documents *documents = NULL;
    omendb_id ids[SCRIPT_IDS] = {0};
    uint64_t count = 0, wanted = 0;
    bool same = true;
    omendb_error error = {0};
    for (uint32_t id = 0; id < SCRIPT_IDS; id++) ids[id].number = id;
    script_must(omendb_collection_get(script->docs, ids, SCRIPT_IDS,
                                      OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS, &documents,
                                      &error) == OMENDB_OK,
                error.message, error.status);
    for (uint32_t id = 0; id < SCRIPT_IDS && same; id++) {
        omendb_document document;
        float vector[SCRIPT_DIM];
        char text[48];
        wanted += table[id] != 0;
        omendb_documents_entry(documents, id, &document);
        same = (document.found != 0) == (table[id] != 0);
        if (!same || table[id] == 0) continue;
        const size_t size = (size_t)script_text(id, table[id], text);
        script_vector(id, table[id], vector);
        const void *stored = omendb_documents_vector(documents, id, NULL, NULL, NULL);
        same = document.json_size == size && memcmp(document.json_view, text, size) == 0 &&
               stored != NULL && memcmp(stored, vector, sizeof vector) == 0;
    }
    omendb_documents_destroy(documents);
    script_must(omendb_collection_count(script->docs, NULL, 0, &count, NULL) == OMENDB_OK, "count",
                0);
    return same && count == wanted;
}

static void script_search(struct script *script, uint32_t asked, uint32_t flags)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    float query[SCRIPT_DIM], before = -1;
    uint32_t wanted = 0;
    for (uint32_t id = 0; id < SCRIPT_IDS; id++) wanted += script->there[id] != 0;
    script_vector(asked, asked, query);
    params.flags = flags & OMENDB_EXACT;
    params.dim = SCRIPT_DIM;
    params.queries = query;
    params.query_count = 1;
    params.k = 1 + asked % 12;
    script_must(omendb_collection_search(script->docs, &params, &hits, NULL) == OMENDB_OK, "search",
                asked);
    const size_t count = omendb_hits_count(hits, 0);
    script_must(count == (wanted < params.k ? wanted : params.k), "hits", (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        omendb_hit hit;
        float vector[SCRIPT_DIM], sum = 0;
        omendb_hits_entry(hits, 0, i, &hit);
        const uint64_t id = hit.document.id.number;
        script_must(id < SCRIPT_IDS && script->there[id] != 0, "a hit that isn't there",
                    (int64_t)id);
        script_vector((uint32_t)id, script->there[id], vector);
        for (uint32_t d = 0; d < SCRIPT_DIM; d++)
            sum += (query[d] - vector[d]) * (query[d] - vector[d]);
        script_must(hit.distance == sum && sum >= before, "a hit's distance", (int64_t)id);
        before = sum;
    }
    omendb_hits_destroy(hits);
}

static omendb_status script_put(struct script *script, uint32_t from, uint32_t count)
{
    float vectors[SCRIPT_ROWS][SCRIPT_DIM];
    uint64_t ids[SCRIPT_ROWS], offsets[SCRIPT_ROWS + 1] = {0};
    char json[SCRIPT_ROWS * 48];
    omendb_vectors column = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT;
    for (uint32_t row = 0; row < count; row++) {
        const uint32_t id = (from + row) % SCRIPT_IDS;
        ids[row] = id;
        script->next[id] = ++script->number;
        script_vector(id, script->number, vectors[row]);
        offsets[row + 1] = offsets[row] +
                           (uint64_t)script_text(id, script->number, json + offsets[row]);
    }
    column.data = vectors;
    column.dim = SCRIPT_DIM;
    rows.count = count;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = offsets;
    return omendb_collection_upsert(script->docs, &rows, NULL);
}

static omendb_status script_delete(struct script *script, uint32_t from, uint32_t count)
{
    omendb_id ids[SCRIPT_ROWS] = {0};
    for (uint32_t row = 0; row < count; row++) {
        ids[row].number = (from + row) % SCRIPT_IDS;
        script->next[ids[row].number] = 0;
    }
    return omendb_collection_delete(script->docs, ids, count, NULL, NULL);
}

static omendb_status script_delete_where(struct script *script, uint32_t group)
{
    char filter[32];
    const int size = snprintf(filter, sizeof filter, "{\"g\":{\"$eq\":%u}}", group % 4);
    for (uint32_t id = group % 4; id < SCRIPT_IDS; id += 4) script->next[id] = 0;
    return omendb_collection_delete_where(script->docs, filter, (size_t)size, NULL, NULL);
}

/* Opens; after a line that failed the batch is there whole or not at all. */
static void script_open(struct script *script)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb_status status = OMENDB_ERR_IO;
    options.wal_size_max = 48 << 10;
    field.name = "v";
    field.dim = SCRIPT_DIM;
    schema.vectors = &field;
    schema.vectors_count = 1;
    for (int tries = 0; tries < SCRIPT_FAULTS + 4 && status != OMENDB_OK; tries++) {
        status = db_open(&script->base, script_path, &options, &script->db, NULL);
        script_must(status == OMENDB_OK || script->faulty, "open", status);
        if (status != OMENDB_OK) continue;
        status = omendb_collection_open(script->db, "docs", &script->docs, NULL);
        if (status == OMENDB_ERR_NOT_FOUND)
            status = omendb_collection_create(script->db, "docs", &schema, &script->docs, NULL);
        script_must(status == OMENDB_OK || script->faulty, "collection", status);
        if (status == OMENDB_OK) continue;
        (void)omendb_close(script->db, NULL);
        sim_set_disk_limit(script->sim, 0);
    }
    script_must(status == OMENDB_OK, "it can't be opened", status);
    if (script_holds(script, script->there)) {
        memcpy(script->next, script->there, sizeof script->next);
    } else if (script_holds(script, script->next)) {
        memcpy(script->before, script->there, sizeof script->before);
        memcpy(script->there, script->next, sizeof script->there);
        script->shown = true;
    } else if (script->shown && script_holds(script, script->before)) {
        memcpy(script->there, script->before, sizeof script->there);
        memcpy(script->next, script->before, sizeof script->next);
    } else {
        script_must(false, "neither what was nor what should be", 0);
    }
}

static void script_end(struct script *script, enum sim_mode mode, uint32_t seed)
{
    sim_crash_at(script->sim, 1);
    omendb_collection_close(script->docs);
    (void)omendb_close(script->db, NULL);
    sim_reboot(script->sim, mode, seed);
    sim_set_disk_limit(script->sim, 0);
    script->faulty = false;
    script->armed = 0;
}

static void script_written(struct script *script, omendb_status status)
{
    if (status == OMENDB_OK) {
        memcpy(script->there, script->next, sizeof script->there);
        script->shown = false;
        return;
    }
    script_must(script->faulty, "a write failed", status);
    script_must(status == OMENDB_ERR_IO || status == OMENDB_ERR_FULL || status == OMENDB_ERR_MISUSE,
                "why a write failed", status);
    script_must(script_holds(script, script->there), "a write that failed is seen", status);
    if (omendb_sync(script->db, NULL) == OMENDB_OK) { /* Not fenced: it hasn't happened. */
        memcpy(script->next, script->there, sizeof script->next);
        return;
    }
    omendb_collection_close(script->docs);
    (void)omendb_close(script->db, NULL);
    script_open(script);
}

static void script_check(struct script *script)
{
    char *text = NULL;
    const omendb_status status = omendb_check(script->db, OMENDB_CHECK_DEEP, &text, NULL);
    script_must(status == OMENDB_OK || script->faulty, "check", status);
    if (status == OMENDB_OK && strncmp(text, "{\"ok\":true", 10) != 0) script_must(false, text, 0);
    omendb_text_destroy(text);
}

static void script_step(struct script *script)
{
    const uint8_t what = script_byte(script), a = script_byte(script), b = script_byte(script);
    switch (what % 16) {
    case 0:
        omendb_collection_close(script->docs);
        script_must(omendb_close(script->db, NULL) == OMENDB_OK || script->faulty, "close", 0);
        script_open(script);
        break;
    case 1:
        script_end(script, (enum sim_mode)(a % (SIM_CRASH_MODES + 1)), b);
        script_open(script);
        break;
    case 2:
        sim_set_disk_limit(script->sim, a % 2 == 0 ? 0 : (uint64_t)(64 + b * 8) * 4096);
        script->faulty |= a % 2 != 0;
        break;
    case 3: {
        static const enum sim_fault faults[] = {SIM_FAULT_IO, SIM_FAULT_FULL,
                                                SIM_FAULT_SYNC_REVERTS, SIM_FAULT_SHORT_WRITE,
                                                SIM_FAULT_SYNC_KEEPS};
        if (script->armed++ < SCRIPT_FAULTS)
            sim_fail_at(script->sim, sim_calls(script->sim) + 1 + a % 32, faults[b % 5]);
        script->faulty = true;
        break;
    }
    case 4:
        script_written(script, script_delete_where(script, a));
        break;
    case 5:
    case 6:
        script_written(script, script_delete(script, a, 1 + b % SCRIPT_ROWS));
        break;
    case 7: {
        const omendb_status status = omendb_collection_set_index(script->docs, NULL, 1 + a % 3,
                                                                 NULL);
        script_must(status == OMENDB_OK || script->faulty, "set_index", status);
        break;
    }
    case 8:
    case 9:
        script_search(script, a, b);
        break;
    case 10:
        script_check(script);
        break;
    case 11:
        script_must(script_holds(script, script->there), "something else is there", 0);
        break;
    default:
        script_written(script, script_put(script, a, 1 + b % SCRIPT_ROWS));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct script script;
    const uint64_t before = alloc_bytes();
    memset(&script, 0, sizeof script);
    script.data = data;
    script.size = size;
    script.sim = sim_create(1);
    script.graph.begin = 16;
    script.base = (struct store_options){
        .vfs = sim_vfs(script.sim), .hooks = *indexes_hooks_all(), .wal_segment_size = 64 << 10};
    script.base.hooks.context = &script.graph;
    script_open(&script);
    for (uint32_t op = 0; op < SCRIPT_OPS && script.at < size; op++) script_step(&script);
    script_end(&script, SIM_PROCESS_KILL, 0);
    script_open(&script);
    script_check(&script);
    omendb_collection_close(script.docs);
    script_must(omendb_close(script.db, NULL) == OMENDB_OK, "the last close", 0);
    script_must(sim_open_files(script.sim) == 0, "files left open", 0);
    sim_destroy(script.sim);
    script_must(alloc_bytes() == before, "memory left", 0);
    return 0;
}
