/* graph_queue.h - the candidates of a walk by edges, nearest first; included by graph_loop.h.
 *
 * Of all candidates ever met a walk expands the nearest one that is left, as long as fewer than ef
 * are nearer. A sorted pool of ef answers both questions, and most of the time goes into keeping it
 * sorted: three candidates a hop shift half of it. Here only what comes next is sorted:
 *
 *     near    [32]            the nearest that are left, sorted; padded with GRAPH_QUEUE_NONE
 *     pile    [pile_count]    the others that are left, all >= bound, in no order
 *     taken   [taken_count]   the nearest that were taken, sorted, at most ef
 *
 *     key     distance, its bits in the order of integers << 32 | node
 *
 * A new candidate below `bound` goes through `near` and pushes the farthest one out to the pile.
 * When `near` is empty, what is below a pivot comes back from the pile: some twenty of them, the
 * pivot being the least of a sample. Candidates that at least ef are nearer than are never taken:
 * the pile is cut back when it holds half as many again as can be, and `limit` keeps their kind out.
 * What is taken, and when, follows from the keys alone.
 *
 * Before it come, defined by whoever includes graph_loop.h:
 *
 *     loop_queue_add(near, bound, keys, count, out)   each key in turn: key < *bound ? it is sorted
 *                              in and the last one falls out : it passes. What falls out or passes,
 *                              unless it is GRAPH_QUEUE_NONE, is appended to out, and *bound is at
 *                              most that. Returns how many; out has room for one more than these.
 *                              Optional (LOOP_HAS_QUEUE_ADD)
 *     loop_queue_drop(near)    takes the first one out, GRAPH_QUEUE_NONE follows; optional
 *                              (LOOP_HAS_QUEUE_DROP)
 *     loop_queue_split(from, pivot, keys, &found, others, &left)   eight keys: those <= pivot are
 *                              appended to keys, the others to `others`, which may be `from`;
 *                              optional (LOOP_HAS_QUEUE_SPLIT)
 */
#if defined(LOOP_NAME)

#ifndef LOOP_HAS_QUEUE_ADD
LOOP_INLINE uint32_t LOOP_NAME(queue_add)(int64_t *near, int64_t *bound, const int64_t *keys,
                                          uint32_t count, int64_t *out)
{
    uint32_t passed = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t key = keys[i];
        if (key < *bound) {
            int64_t last = near[GRAPH_QUEUE_NEAR - 1];
            uint32_t at = GRAPH_QUEUE_NEAR - 1;
            for (; at > 0 && near[at - 1] > key; at--) near[at] = near[at - 1];
            if (near[at] > key) near[at] = key;
            else last = key; /* Not below the last one. */
            key = last;
        }
        out[passed] = key;
        passed += key != GRAPH_QUEUE_NONE;
        if (key < *bound) *bound = key;
    }
    return passed;
}
#endif

LOOP_INLINE void LOOP_NAME(queue_put)(struct graph_queue *queue, const int64_t *keys,
                                      uint32_t count)
{
    queue->pile_count += LOOP_NAME(queue_add)(queue->near, &queue->bound, keys, count,
                                              queue->pile + queue->pile_count);
}

/* With what a walk begins with: the first `count` of the pool. */
LOOP_INLINE void LOOP_NAME(queue_begin)(struct graph_queue *queue, uint32_t ef, uint32_t count,
                                        const struct graph_scratch *scratch)
{
    queue->taken = scratch->keys;
    queue->pile = scratch->keys + ef + 1;
    queue->bound = queue->limit = GRAPH_QUEUE_NONE;
    queue->pile_count = queue->taken_count = queue->last = 0;
    for (uint32_t i = 0; i < GRAPH_QUEUE_NEAR; i++) queue->near[i] = GRAPH_QUEUE_NONE;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t key = graph_queue_key(scratch->distances[i], scratch->nodes[i]);
        LOOP_NAME(queue_put)(queue, &key, 1);
    }
}

/* Some of the nearest of the pile become `near`, which is empty. */
LOOP_INLINE void LOOP_NAME(queue_refill)(struct graph_queue *queue)
{
    const uint32_t count = queue->pile_count, samples = count / GRAPH_QUEUE_REFILL;
    int64_t *pile = queue->pile, pivot = GRAPH_QUEUE_NONE, keys[GRAPH_SLOTS + 8];
    uint32_t found = 0, left = 0;
    for (uint32_t i = 0; i < samples && count > GRAPH_QUEUE_NEAR; i++) {
        const int64_t key = pile[i * GRAPH_QUEUE_REFILL];
        pivot = key < pivot ? key : pivot;
    }
    queue->bound = GRAPH_QUEUE_NONE;
    uint32_t i = 0;
#ifdef LOOP_HAS_QUEUE_SPLIT
    for (; i + 8 <= count; i += 8) {
        LOOP_NAME(queue_split)(pile + i, pivot, keys, &found, pile, &left);
        if (found + 8 < GRAPH_SLOTS) continue;
        left += LOOP_NAME(queue_add)(queue->near, &queue->bound, keys, found, pile + left);
        found = 0;
    }
#endif
    for (; i < count; i++) {
        const int64_t key = pile[i];
        const bool below = key <= pivot;
        keys[found] = key;
        pile[left] = key;
        found += below;
        left += !below;
        if (found < GRAPH_SLOTS) continue;
        /* No more fall out than were taken from the pile before. */
        left += LOOP_NAME(queue_add)(queue->near, &queue->bound, keys, found, pile + left);
        found = 0;
    }
    left += LOOP_NAME(queue_add)(queue->near, &queue->bound, keys, found, pile + left);
    /* Those that stayed are above the pivot. */
    if (left != 0 && queue->bound > pivot) queue->bound = pivot + 1;
    queue->pile_count = left;
}

/* How many of those that were taken are nearer. */
LOOP_INLINE uint32_t LOOP_NAME(queue_rank)(const struct graph_queue *queue, int64_t key)
{
    uint32_t rank = queue->taken_count; /* Mostly it is among the last ones. */
    while (rank >= 8 && queue->taken[rank - 8] > key) rank -= 8;
    while (rank > 0 && queue->taken[rank - 1] > key) rank--;
    return rank;
}

#ifndef LOOP_HAS_QUEUE_DROP
LOOP_INLINE void LOOP_NAME(queue_drop)(int64_t *near)
{
    memmove(near, near + 1, (GRAPH_QUEUE_NEAR - 1) * sizeof *near);
    near[GRAPH_QUEUE_NEAR - 1] = GRAPH_QUEUE_NONE;
}
#endif

/* The nearest that is left and wasn't visited, which then is; GRAPH_QUEUE_NONE when ef are nearer,
 * or it is beyond the limit. */
LOOP_INLINE int64_t LOOP_NAME(queue_take)(struct graph_queue *queue, uint32_t ef, float limit,
                                          struct graph_scratch *scratch)
{
    for (;;) {
        int64_t *taken = queue->taken;
        if (queue->near[0] == GRAPH_QUEUE_NONE && queue->pile_count != 0)
            LOOP_NAME(queue_refill)(queue);
        const int64_t key = queue->near[0];
        if (key == GRAPH_QUEUE_NONE || graph_queue_distance(key) > limit) return GRAPH_QUEUE_NONE;
        const uint32_t rank = LOOP_NAME(queue_rank)(queue, key);
        if (rank >= ef) return GRAPH_QUEUE_NONE;
        if (rank != queue->taken_count)
            memmove(taken + rank + 1, taken + rank, (queue->taken_count - rank) * sizeof *taken);
        taken[rank] = key;
        if (queue->taken_count < ef) queue->taken_count++;
        queue->last = rank;
        LOOP_NAME(queue_drop)(queue->near);
        if (LOOP_NAME(visit)(scratch, graph_queue_node(key))) return key;
    }
}

/* graph_queue_shorten() by a sample, and by that itself where the sample says too little. */
LOOP_INLINE int64_t LOOP_NAME(queue_shorten)(struct graph_queue *queue, uint32_t keep,
                                             int64_t floor)
{
    int64_t sample[GRAPH_QUEUE_NEAR] ALIGNED(64), picked[GRAPH_QUEUE_NEAR], out[1];
    int64_t *pile = queue->pile, bound = GRAPH_QUEUE_NONE;
    const uint32_t count = queue->pile_count, step = count / GRAPH_QUEUE_NEAR;
    const uint32_t at = GRAPH_QUEUE_NEAR * keep / count + 4;
    uint32_t kept = 0, left = 0;
    if (at >= GRAPH_QUEUE_NEAR) return graph_queue_shorten(queue, keep, floor);
    for (uint32_t i = 0; i < GRAPH_QUEUE_NEAR; i++) {
        sample[i] = GRAPH_QUEUE_NONE;
        picked[i] = pile[i * step];
    }
    (void)LOOP_NAME(queue_add)(sample, &bound, picked, GRAPH_QUEUE_NEAR, out);
    const int64_t limit = sample[at] > floor ? sample[at] : floor;
    for (uint32_t i = 0; i < count; i++) kept += pile[i] <= limit;
    if (kept < keep) return graph_queue_shorten(queue, keep, floor);
    for (uint32_t i = 0; i < count; i++) {
        const int64_t key = pile[i];
        pile[left] = key;
        left += key <= limit;
    }
    queue->pile_count = left;
    return limit;
}

/* Leaves out what can't be taken any more, and lowers the limit. */
LOOP_INLINE void LOOP_NAME(queue_cut)(struct graph_queue *queue, uint32_t ef)
{
    const uint32_t most = ef + ef / 2 + GRAPH_QUEUE_SLACK;
    if (queue->taken_count == 0) return;
    /* Nearer than what is above both: those up to the one taken last, and as many of what is left
     * as ef lacks. */
    const int64_t last = queue->taken[queue->last];
    const uint32_t missing = ef - queue->last - 1;
    int64_t limit = queue->limit;
    if (missing == 0) {
        limit = last;
    } else if (missing <= GRAPH_QUEUE_NEAR && queue->near[missing - 1] != GRAPH_QUEUE_NONE) {
        limit = last;
        if (queue->near[missing - 1] > last) {
            limit = queue->near[missing - 1];
            queue->pile_count = 0;
            queue->bound = GRAPH_QUEUE_NONE;
        }
    } else if (queue->pile_count > missing + missing / 2 + GRAPH_QUEUE_SLACK) {
        limit = LOOP_NAME(queue_shorten)(queue, missing, last);
    }
    if (limit < queue->limit) queue->limit = limit;
    if (queue->pile_count > most) (void)graph_queue_shorten(queue, ef, INT64_MIN);
}

#endif
