/* The crash campaign over the engine: OMENDB_TEST_LONG=1 for five million images.
 *
 *     crash_test                        everything
 *     crash_test NAME                   one test
 *     OMENDB_CRASH_SEED=n crash_test    only workload n, in this process
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash/campaign.h"
#include "crash/outage.h"
#include "test.h"

enum { WORKERS = 2, STEPS = 40, OUTAGE_STEPS = 25 };

/* The whole campaign belongs to the optimised build that has the seeded bugs (preset sim); others
 * run a sample. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const uint64_t states_wanted = 2000;
static const uint64_t outage_seeds = 1;
#elif defined(OMENDB_MUTANTS)
static const uint64_t states_wanted = 100000;
static const uint64_t outage_seeds = 7;
#else
static const uint64_t states_wanted = 6000;
static const uint64_t outage_seeds = 1;
#endif
static const uint64_t states_wanted_long = 5000000;

static bool long_run(void)
{
    const char *text = getenv("OMENDB_TEST_LONG");
    return text != NULL && text[0] != '\0' && strcmp(text, "0") != 0;
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- Workers: processes, so that a crash of the engine itself is told with its seed ---- */

struct worker {
    struct tally tally;
    uint64_t seed; /* Under way. */
    char failure[sizeof((struct campaign *)0)->failure];
};

static void *shared(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void work(struct worker *worker, uint64_t first, uint64_t *hashes, uint64_t wanted)
{
    struct campaign *campaign = malloc(sizeof *campaign);
    bool good = campaign != NULL;
    if (!good) exit(2);
    campaign_init(campaign);
    campaign->hashes = hashes;
    campaign->hashes_max = wanted;
    campaign->states_max = wanted;
    for (uint64_t seed = first; good && campaign->tally.states < wanted; seed += WORKERS) {
        worker->seed = seed;
        good = campaign_workload(campaign, seed, STEPS);
        worker->tally = campaign->tally;
    }
    memcpy(worker->failure, campaign->failure, sizeof worker->failure);
    campaign_deinit(campaign);
    free(campaign);
    exit(good ? 0 : 1);
}

static int hash_compare(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static uint64_t distinct(uint64_t *hashes, size_t count)
{
    uint64_t found = count != 0;
    qsort(hashes, count, sizeof *hashes, hash_compare);
    for (size_t i = 1; i < count; i++) found += hashes[i] != hashes[i - 1];
    return found;
}

static void tally_add(struct tally *to, const struct tally *from)
{
    /* A structure of counters only. */
    uint64_t *sum = (uint64_t *)to;
    const uint64_t *part = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *sum; i++) sum[i] += part[i];
}

static unsigned long long wide(uint64_t number)
{
    return number;
}

static void tally_print(const struct tally *t, uint64_t states, double time)
{
    printf("# %llu distinct durable images in %.1f s, %.0f a second on %d processes\n",
           wide(states), time, (double)states / time, WORKERS);
    printf("#   by mode: none %llu, all %llu, subset %llu, prefix+torn %llu, zeroed %llu, "
           "size extended %llu\n",
           wide(t->by_mode[0]), wide(t->by_mode[1]), wide(t->by_mode[2]), wide(t->by_mode[3]),
           wide(t->by_mode[4]), wide(t->by_mode[5]));
    printf("#   by crashes behind them: one %llu, two %llu, three %llu, four %llu\n",
           wide(t->lives[1]), wide(t->lives[2]), wide(t->lives[3]), wide(t->lives[4]));
    printf("#   known images held against later promises %llu, process ends %llu, views of "
           "readers %llu, clean closes %llu\n",
           wide(t->repeated), wide(t->killed), wide(t->reader_views), wide(t->reopened));
    printf("#   flipped bits: right all the same %llu, reported %llu\n", wide(t->rot_right),
           wide(t->rot_reported));
    printf("#   %llu workloads: %llu calls, %llu batches, %llu checkpoints, %llu log segments "
           "(%llu recycled), %llu growths\n",
           wide(t->workloads), wide(t->calls), wide(t->batches), wide(t->checkpoints),
           wide(t->segments), wide(t->recycled), wide(t->grown));
}

static void campaign_alone(uint64_t seed)
{
    struct campaign *campaign = malloc(sizeof *campaign);
    CHECK(campaign != NULL);
    campaign_init(campaign);
    const double begin = seconds();
    const bool good = campaign_workload(campaign, seed, STEPS);
    tally_print(&campaign->tally, campaign->tally.states, seconds() - begin);
    if (!good) fprintf(stderr, "%s\n", campaign->failure);
    CHECK(good);
    campaign_deinit(campaign);
    free(campaign);
}

static void survives_a_crash_at_every_call(void)
{
    const char *alone = getenv("OMENDB_CRASH_SEED");
    if (alone != NULL) {
        campaign_alone(strtoull(alone, NULL, 10));
        return;
    }
    /* A little more: two workers may come upon the same image. */
    const uint64_t wanted = (long_run() ? states_wanted_long : states_wanted) / WORKERS * 101 / 100;
    struct worker *workers = shared(WORKERS * sizeof *workers);
    uint64_t *hashes = shared(WORKERS * wanted * sizeof *hashes);
    pid_t processes[WORKERS];
    struct tally sum = {0};
    bool good = true;
    size_t count = 0;
    const double begin = seconds();
    for (uint32_t i = 0; i < WORKERS; i++) {
        (void)fflush(NULL);
        processes[i] = fork();
        CHECK(processes[i] >= 0);
        if (processes[i] == 0) work(&workers[i], i, hashes + i * wanted, wanted);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        int status = 0;
        CHECK(waitpid(processes[i], &status, 0) == processes[i]);
        if (status != 0) {
            good = false;
            fprintf(stderr, "workload %llu: %s\n", wide(workers[i].seed),
                    WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : workers[i].failure);
        }
        tally_add(&sum, &workers[i].tally);
        const size_t mine = (size_t)(workers[i].tally.states < wanted ? workers[i].tally.states
                                                                      : wanted);
        memmove(hashes + count, hashes + i * wanted, mine * sizeof *hashes);
        count += mine;
    }
    tally_print(&sum, distinct(hashes, count), seconds() - begin);
    CHECK(good);
    /* The workload is what it is said to be. */
    CHECK(states_wanted < 100000 ||
          (sum.checkpoints >= 3 && sum.segments >= 2 && sum.recycled != 0 && sum.grown != 0));
    CHECK(sum.lives[3] != 0 && sum.rot_reported != 0 && sum.rot_right != 0);
    (void)munmap(workers, WORKERS * sizeof *workers);
    (void)munmap(hashes, WORKERS * wanted * sizeof *hashes);
}

/* ---- Outages ---- */

static void outage_print(const struct outage_tally *tally, double time)
{
    printf("# %llu runs, %llu met the fault, %llu were fenced, %llu recoveries, %.1f s\n",
           wide(tally->runs), wide(tally->met), wide(tally->fenced), wide(tally->recovered), time);
}

static void survives_a_failure_of_every_call(void)
{
    static char failure[2 * RUN_TEXT];
    struct outage_tally tally = {0};
    const double begin = seconds();
    for (uint64_t seed = 0; seed < outage_seeds * (long_run() ? 20 : 1); seed++) {
        if (seed % 8 == 7) continue; /* Thousands of documents: the campaign's. */
        const bool good = outages_of_calls(seed, OUTAGE_STEPS, &tally, failure);
        if (!good) fprintf(stderr, "%s\n", failure);
        CHECK(good);
    }
    outage_print(&tally, seconds() - begin);
    CHECK(tally.met != 0 && tally.fenced != 0);
}

static void survives_a_full_disk(void)
{
    static char failure[2 * RUN_TEXT];
    struct outage_tally tally = {0};
    const double begin = seconds();
    for (uint64_t seed = 0; seed < outage_seeds * (long_run() ? 20 : 1); seed++) {
        if (seed % 8 == 7) continue;
        const bool good = outages_of_space(seed, OUTAGE_STEPS, 1, &tally, failure);
        if (!good) fprintf(stderr, "%s\n", failure);
        CHECK(good);
    }
    outage_print(&tally, seconds() - begin);
    CHECK(tally.met != 0 && tally.fenced == 0);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"survives_a_crash_at_every_call", survives_a_crash_at_every_call},
        {"survives_a_failure_of_every_call", survives_a_failure_of_every_call},
        {"survives_a_full_disk", survives_a_full_disk},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}
