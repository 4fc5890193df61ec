/* loop.c - see loop.h. */
#include "daemon/loop.h"

#include <time.h>

epp_us
loop_now(struct event_base *base)
{
        struct timespec t;

        (void)base;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (epp_us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

epp_wall
loop_wall(void)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (epp_wall)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
