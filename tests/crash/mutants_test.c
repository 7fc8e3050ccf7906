/* Every seeded bug of base/mutant.h is caught, and nothing is "caught" without one. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mutant.h"
#include "crash/campaign.h"
#include "crash/outage.h"
#include "test.h"

#ifdef OMENDB_MUTANTS

enum { STEPS = 40, OUTAGE_STEPS = 25, SEEDS_CLEAN = 3 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const uint64_t states_max = 20000;
#else
static const uint64_t states_max = 200000;
#endif

struct hunt { /* Shared with the process that hunts. */
    uint64_t states, recoveries;
    char text[2 * RUN_TEXT + 100];
};

/* All layers in turn, one workload after the other, until something is found. */
static void hunt_on(struct hunt *hunt, enum mutant mutant, uint64_t seeds)
{
    static char failure[2 * RUN_TEXT];
    struct campaign *campaign = malloc(sizeof *campaign);
    struct outage_tally outages = {0};
    if (campaign == NULL) exit(2);
    mutant_active = mutant;
    campaign_init(campaign);
    campaign->states_max = states_max;
    for (uint64_t seed = 0; seed < seeds && campaign->tally.states < states_max; seed++) {
        if (seed % 8 == 7) continue; /* Thousands of documents: slow, and no better at this. */
        bool good = campaign_workload(campaign, seed, STEPS);
        hunt->states = campaign->tally.states;
        if (!good) memcpy(hunt->text, campaign->failure, sizeof campaign->failure);
        else {
            good = outages_of_syncs(seed, OUTAGE_STEPS, &outages, failure);
            hunt->recoveries = outages.recovered;
            if (!good) memcpy(hunt->text, failure, sizeof failure);
        }
        if (!good) exit(1);
    }
    exit(0);
}

/* True: something was found. An assertion of the engine counts. */
static bool hunted(struct hunt *hunt, enum mutant mutant, uint64_t seeds)
{
    int status = 0;
    (void)fflush(NULL);
    const pid_t process = fork();
    CHECK(process >= 0);
    if (process == 0) {
        const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (mutant != MUTANT_none && nowhere >= 0) (void)dup2(nowhere, STDERR_FILENO);
        hunt_on(hunt, mutant, seeds);
    }
    CHECK(waitpid(process, &status, 0) == process);
    if (WIFSIGNALED(status))
        (void)snprintf(hunt->text, sizeof hunt->text, "%s", strsignal(WTERMSIG(status)));
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) <= 1);
    return status != 0;
}

static struct hunt *hunt_shared(void)
{
    void *at = mmap(NULL, sizeof(struct hunt), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void nothing_is_found_without_a_bug(void)
{
    struct hunt *hunt = hunt_shared();
    const bool found = hunted(hunt, MUTANT_none, SEEDS_CLEAN);
    if (found) fprintf(stderr, "%s\n", hunt->text);
    CHECK(!found);
    printf("# %llu images and %llu recoveries after failed syncs\n",
           (unsigned long long)hunt->states, (unsigned long long)hunt->recoveries);
    (void)munmap(hunt, sizeof *hunt);
}

static void every_seeded_bug_is_found(void)
{
    uint32_t missed = 0;
    for (uint32_t mutant = MUTANT_none + 1; mutant < MUTANT_count; mutant++) {
        struct hunt *hunt = hunt_shared();
        const bool found = hunted(hunt, (enum mutant)mutant, UINT64_MAX);
        printf("# %-36s %s after %llu images, %llu recoveries: %.120s\n",
               mutant_name((enum mutant)mutant), found ? "found" : "NOT found",
               (unsigned long long)hunt->states, (unsigned long long)hunt->recoveries, hunt->text);
        missed += !found;
        (void)munmap(hunt, sizeof *hunt);
    }
    CHECK(missed == 0);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"nothing_is_found_without_a_bug", nothing_is_found_without_a_bug},
        {"every_seeded_bug_is_found", every_seeded_bug_is_found},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}

#else

int main(void)
{
    printf("skip every_seeded_bug_is_found (built without OMENDB_MUTANTS)\n");
    return 0;
}

#endif
