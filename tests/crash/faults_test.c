/* Every call to the disk fails in turn, in every way that fits it. */
#include "crash/faults.h"

#include "base/compiler.h"
#include "test.h"

struct sweep {
    uint64_t lives, calls, failures, fenced, reported;
};

static void live(struct fault_life *life, struct sweep *sweep)
{
    if (!fault_life(life)) {
        fprintf(stderr, "seed %llu, steps %u, %s %llu, fault %d: %s\n",
                (unsigned long long)life->seed, life->steps, life->read ? "read" : "call",
                (unsigned long long)life->call, (int)life->fault, life->failure);
        CHECK(false);
    }
    sweep->lives++;
    sweep->failures += life->failures;
    sweep->fenced += life->fenced;
    sweep->reported += life->reported;
}

/* Seeds are chosen by what they do: together checkpoints, growth, drops, renames, clean closes,
 * a switch of segments, and a recycled one (workload.h: seed % 8 picks the profile). */
static void sweep_faults(const char *what, bool read, const enum sim_fault *faults, size_t count)
{
    static const uint64_t seeds[] = {8, 1, 2, 3, 4};
    struct sweep sweep = {0};
    for (size_t s = 0; s < COUNT_OF(seeds); s++) {
        struct fault_life whole = {.seed = seeds[s], .steps = 40};
        live(&whole, &sweep);
        const uint64_t last = read ? whole.reads : whole.calls;
        const uint64_t step = test_step(1 + last / 60);
        for (uint64_t call = 1 + s % step; call <= last; call += step) {
            for (size_t f = 0; f < count; f++) {
                struct fault_life life = {
                    .seed = seeds[s], .steps = 40, .read = read, .call = call, .fault = faults[f]};
                live(&life, &sweep);
            }
        }
        sweep.calls += last;
    }
    printf("%s: %llu lives over %llu calls: %llu failures, %llu fenced, %llu images reported\n",
           what, (unsigned long long)sweep.lives, (unsigned long long)sweep.calls,
           (unsigned long long)sweep.failures, (unsigned long long)sweep.fenced,
           (unsigned long long)sweep.reported);
}

static void failing_calls_lose_nothing(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO, SIM_FAULT_SYNC_REVERTS};
    sweep_faults("EIO", false, faults, COUNT_OF(faults));
}

static void full_disks_lose_nothing(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_FULL, SIM_FAULT_SHORT_WRITE};
    sweep_faults("ENOSPC", false, faults, COUNT_OF(faults));
}

static void lying_disks_are_noticed(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_LOST_WRITE, SIM_FAULT_MISDIRECTED};
    sweep_faults("lost and misdirected", false, faults, COUNT_OF(faults));
}

static void failing_reads_lose_nothing(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_IO};
    sweep_faults("failing reads", true, faults, COUNT_OF(faults));
}

static const struct test tests[] = {
    {"failing_calls_lose_nothing", failing_calls_lose_nothing},
    {"full_disks_lose_nothing", full_disks_lose_nothing},
    {"lying_disks_are_noticed", lying_disks_are_noticed},
    {"failing_reads_lose_nothing", failing_reads_lose_nothing},
    {0},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}
