/* span.c - see span.h. */
#include "daemon/span.h"

#include <time.h>

#define SLOW_US 5000

#ifdef EPP_DEBUG
#define DEBUG true
#else
#define DEBUG false
#endif

static struct span_stats stats[SPAN_KINDS];
static const struct epp_log *sink;
static epp_us turn_begun, turn_over; /* 0: no span since span_turn */

static const struct {
        const char *name;
        bool cpu;
} kinds[] = {
#define X(id, name, cpu) { name, cpu },
        SPANS(X)
#undef X
};

const char *
span_name(size_t kind)
{
        return kinds[kind].name;
}

static epp_us
read_clock(clockid_t which)
{
        struct timespec t;

        clock_gettime(which, &t);
        return (epp_us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void
span_init(const struct epp_log *log)
{
        sink = log;
        memset(stats, 0, sizeof(stats));
}

struct span
span_begin(enum span_kind kind)
{
        struct span s = { read_clock(CLOCK_MONOTONIC),
                DEBUG || kinds[kind].cpu ? read_clock(CLOCK_THREAD_CPUTIME_ID) : 0 };

        if (!turn_begun)
                turn_begun = s.wall;
        return s;
}

epp_us
span_end(enum span_kind kind, struct span begin)
{
        epp_us over = read_clock(CLOCK_MONOTONIC), wall = over - begin.wall, cpu = 0;
        struct span_stats *s = &stats[kind];

        turn_over = over;
        if (DEBUG || kinds[kind].cpu)
                cpu = read_clock(CLOCK_THREAD_CPUTIME_ID) - begin.cpu;
        s->longest = EPP_MAX(s->longest, wall);
        s->longest_cpu = EPP_MAX(s->longest_cpu, cpu);
        if (wall <= SLOW_US)
                return wall;
        s->slow++;
        if (sink)
                epp_log(sink, DEBUG ? EPP_LOG_WARN : EPP_LOG_DEBUG, "slow_callback",
                        LOG_T("callback", kinds[kind].name), LOG_N("us", wall),
                        LOG_N("cpu_us", cpu));
        return wall;
}

epp_us
span_turn(void)
{
        epp_us us = turn_begun ? turn_over - turn_begun : -1;

        turn_begun = 0;
        return us;
}

const struct span_stats *
span_stats(size_t kind)
{
        return &stats[kind];
}
