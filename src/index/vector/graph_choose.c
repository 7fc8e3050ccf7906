#include "index/vector/graph_choose.h"

#include <math.h>

enum { CHOOSE_K_LARGE_INDEX = 1 };

#define CHOOSE_SCALE 65535.0
#define CHOOSE_SPREAD_SCALE 16.0
#define CHOOSE_ENOUGH 0.999       /* Beyond it a margin can't be measured. */
#define CHOOSE_MARGIN 0.002       /* Vectors that come later lie a little otherwise. */
#define CHOOSE_MARGIN_LINKED 0.01 /* What knowing the queries flatters by, at least. */
#define CHOOSE_SURE 1.64          /* Standard errors: 19 of 20 calibrations keep the promise. */

static const uint16_t choose_rungs[GRAPH_RUNGS] = {14,  16,  24,  32,  48,  64,   96,   128,
                                                   192, 256, 384, 512, 768, 1024, 1536, 2048};
static const float choose_stretches[GRAPH_STRETCHES] = {0, 1.05f, 1.1f, 1.2f, 1.35f};

uint32_t graph_rung_ef(uint32_t rung)
{
    return choose_rungs[rung];
}

float graph_rung_stretch(uint32_t stretch)
{
    return choose_stretches[stretch];
}

/* ---- Costs ----------------------------------------------------------------------- */

/* The pool holds no more than ef, nor more than what was put into it: by edges a few of each hop. */
enum { COST_POOL_HOP = 4 };

double graph_walk_cost(const struct graph *graph, enum graph_walk walk, double ef, double hops,
                       double distances)
{
    const double line = CACHE_LINE, code = graph->codes.stride / line;
    if (walk == GRAPH_WALK_EDGES) {
        const double lines = code + (graph->edge_size + GRAPH_LINKS_SIZE) / line;
        const double pool = fmin(ef, COST_POOL_HOP * hops);
        const double kept = ef < GRAPH_QUEUE_EF ? 0.132 * pool : 10 + 0.024 * pool;
        return hops * (47.5 + 8.4 * lines + kept);
    }
    return hops * 40 + distances * (6.5 + 3.8 * code + 0.005 * fmin(ef, distances));
}

uint64_t graph_walk_bytes(const struct graph *graph, enum graph_walk walk, uint32_t hops,
                          uint32_t distances)
{
    const uint64_t code = graph->codes.stride;
    if (walk == GRAPH_WALK_EDGES)
        return (uint64_t)hops * (code + graph->edge_size + GRAPH_LINKS_SIZE);
    return (uint64_t)hops * GRAPH_LINKS_SIZE + (uint64_t)distances * code;
}

/* ---- Ladders --------------------------------------------------------------------- */

/* A place on a ladder: on a rung, or between two. */
struct choose_place {
    double ef, recall, hops, distances;
};

struct choose_ladder {
    const struct graph_table *table;
    uint32_t k_index, walk, stretch;
};

static bool choose_rung(const struct choose_ladder *ladder, uint32_t rung, struct choose_place *out)
{
    const struct graph_table *table = ladder->table;
    const uint32_t k = ladder->k_index, walk = ladder->walk, stretch = ladder->stretch;
    const uint16_t recall = table->recall[k][walk][stretch][rung];
    if (recall == 0) return false;
    out->ef = choose_rungs[rung];
    out->recall = recall / CHOOSE_SCALE;
    out->hops = table->hops[k][walk][stretch][rung];
    out->distances = walk == GRAPH_WALK_CODES ? table->distances[k][stretch][rung] : 0;
    return true;
}

/* What must be measured there for a recall to hold: the measurement's own error first of all. */
static double choose_wanted(const struct choose_ladder *ladder, uint32_t rung, double recall)
{
    const struct graph_table *table = ladder->table;
    const uint32_t k_index = ladder->k_index;
    const uint16_t queries = table->queries[k_index];
    const double hits = (double)(queries != 0 ? queries : 1) *
                        (k_index == CHOOSE_K_LARGE_INDEX ? GRAPH_K_LARGE : GRAPH_K_SMALL);
    const double missed = recall < 1 ? 1 - recall : 0;
    const double spread = table->spread[k_index][ladder->walk][ladder->stretch][rung] /
                          CHOOSE_SPREAD_SCALE;
    double wanted = recall + CHOOSE_MARGIN + CHOOSE_SURE * sqrt(recall * missed * spread / hits);
    if ((table->held_out >> ladder->walk & 1) == 0) wanted += CHOOSE_MARGIN_LINKED;
    if (wanted <= CHOOSE_ENOUGH) return wanted;
    /* What was found without one fault has to do. */
    return recall > CHOOSE_ENOUGH ? 1 : CHOOSE_ENOUGH;
}

static struct choose_place choose_between(const struct choose_place *low,
                                          const struct choose_place *high, double part)
{
    return (struct choose_place){.ef = low->ef + (high->ef - low->ef) * part,
                                 .recall = low->recall + (high->recall - low->recall) * part,
                                 .hops = low->hops + (high->hops - low->hops) * part,
                                 .distances = low->distances +
                                              (high->distances - low->distances) * part};
}

/* The lowest place of a ladder that reaches the recall. */
static bool choose_climb(const struct choose_ladder *ladder, double recall,
                         struct choose_place *out)
{
    struct choose_place before = {0};
    double short_before = 0; /* Of what is wanted there; 0 = there is no rung below. */
    for (uint32_t rung = 0; rung < GRAPH_RUNGS; rung++) {
        struct choose_place place;
        if (!choose_rung(ladder, rung, &place)) continue;
        const double missing = choose_wanted(ladder, rung, recall) - place.recall;
        if (missing > 0) {
            before = place;
            short_before = missing;
            continue;
        }
        *out = place;
        if (short_before > 0)
            *out = choose_between(&before, &place, short_before / (short_before - missing));
        return true;
    }
    return false;
}

/* What a ladder finds at any ef: that of the last rung below it, a floor. Below the first one recall
 * is less than in proportion smaller. */
static bool choose_look_up(const struct choose_ladder *ladder, double ef, struct choose_place *out)
{
    bool found = false;
    for (uint32_t rung = 0; rung < GRAPH_RUNGS; rung++) {
        struct choose_place place;
        if (!choose_rung(ladder, rung, &place)) continue;
        if (choose_rungs[rung] <= ef) {
            *out = place;
            found = true;
            continue;
        }
        if (!found) {
            *out = choose_between(&(struct choose_place){0}, &place, ef / place.ef);
            found = true;
        }
        break;
    }
    return found;
}

/* ---- Choosing -------------------------------------------------------------------- */

static uint32_t choose_integer(double value)
{
    return value < (double)UINT32_MAX ? (uint32_t)ceil(value) : UINT32_MAX;
}

static void choose_scale(struct choose_place *place, double factor)
{
    place->ef *= factor;
    place->hops *= factor;
    place->distances *= factor;
}

static bool choose_large_measured(const struct graph_table *table)
{
    for (uint32_t walk = 0; walk < GRAPH_WALKS; walk++) {
        for (uint32_t rung = 0; rung < GRAPH_RUNGS; rung++) {
            if (table->recall[CHOOSE_K_LARGE_INDEX][walk][0][rung] != 0) return true;
        }
    }
    return false;
}

/* The lowest place by one walk and stretch for any k. */
static bool choose_place(const struct graph_table *table, uint32_t walk, uint32_t stretch,
                         uint32_t k, double recall, struct choose_place *out)
{
    const struct choose_ladder small = {table, 0, walk, stretch};
    const struct choose_ladder large = {table, CHOOSE_K_LARGE_INDEX, walk, stretch};
    struct choose_place low, high;
    if (k <= GRAPH_K_SMALL) return choose_climb(&small, recall, out);
    if (!choose_large_measured(table)) {
        /* A stretch says nothing about farther hits than it was measured with. */
        if (stretch != 0 || !choose_climb(&small, recall, out)) return false;
        choose_scale(out, (double)k / GRAPH_K_SMALL);
        return true;
    }
    if (!choose_climb(&large, recall, &high)) return false;
    if (k >= GRAPH_K_LARGE) {
        *out = high;
        choose_scale(out, (double)k / GRAPH_K_LARGE);
        return true;
    }
    if (!choose_climb(&small, recall, &low)) return false;
    *out = choose_between(
        &low, &high, log((double)k / GRAPH_K_SMALL) / log((double)GRAPH_K_LARGE / GRAPH_K_SMALL));
    return true;
}

bool graph_choose(const struct graph_table *table, const struct graph *graph, uint32_t k,
                  float recall, struct graph_choice *out)
{
    const bool edges = atomic_load_acquire_u32(&graph->edges_ready) != 0;
    bool found = false;
    double least = 0;
    if (table == NULL || table->linked == 0) return false;
    for (uint32_t walk = 0; walk < GRAPH_WALKS; walk++) {
        if (walk == GRAPH_WALK_EDGES && !edges) continue;
        for (uint32_t stretch = 0; stretch < GRAPH_STRETCHES; stretch++) {
            struct choose_place place;
            if (!choose_place(table, walk, stretch, k, (double)recall, &place)) continue;
            const double cost = graph_walk_cost(graph, (enum graph_walk)walk, place.ef, place.hops,
                                                place.distances);
            if (found && cost >= least) continue;
            found = true;
            least = cost;
            *out = (struct graph_choice){.walk = (enum graph_walk)walk,
                                         .ef = choose_integer(place.ef),
                                         .stretch = choose_stretches[stretch],
                                         .recall = (float)place.recall,
                                         .hops = choose_integer(place.hops),
                                         .distances = choose_integer(place.distances)};
        }
    }
    return found;
}

void graph_choose_ef(const struct graph_table *table, const struct graph *graph, uint32_t k,
                     uint32_t ef, struct graph_choice *out)
{
    const bool edges = atomic_load_acquire_u32(&graph->edges_ready) != 0;
    *out = (struct graph_choice){.walk = edges ? GRAPH_WALK_EDGES : GRAPH_WALK_CODES, .ef = ef};
    if (table == NULL || table->linked == 0) return;
    /* Of fewer hits a greater part is found. Both are floors: the higher one holds. */
    for (uint32_t i = 0; i < GRAPH_CALIBRATED_KS; i++) {
        const struct choose_ladder ladder = {table, i, out->walk, 0};
        const double measured = i == CHOOSE_K_LARGE_INDEX ? GRAPH_K_LARGE : GRAPH_K_SMALL;
        const double part = (double)k > measured ? measured / (double)k : 1;
        struct choose_place place;
        if (!choose_look_up(&ladder, ef * part, &place)) continue;
        if ((float)place.recall <= out->recall) continue;
        choose_scale(&place, (double)ef / place.ef);
        out->recall = (float)place.recall;
        out->hops = choose_integer(place.hops);
        out->distances = choose_integer(place.distances);
    }
}
