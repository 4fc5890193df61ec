/* test_logs.c - eppd's log as its reader sees it: what was too much is told, libraries speak there. */
#include "daemon/logs.h"

#include <event2/event.h>
#include <fcntl.h>
#include <unistd.h>

#include "unit.h"

static struct epp_log log_;
static struct event_base *base;
static char text[1 << 20];

/* Stderr becomes a pipe; its other end is returned. */
static int
start(enum epp_log_level level)
{
        int p[2];

        ck_assert_int_eq(pipe(p), 0);
        ck_assert_int_eq(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
        close(p[1]);
        fcntl(p[0], F_SETFL, O_NONBLOCK);
        base = event_base_new();
        logs_init(&log_, level, false);
        ck_assert_int_eq(logs_run(base), 0);
        return p[0];
}

/* All that can be read, behind what was. */
static const char *
seen(int fd)
{
        size_t n = strlen(text);
        ssize_t r;

        while ((r = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
                n += (size_t)r;
        text[n] = 0;
        return text;
}

static unsigned
count(const char *word)
{
        unsigned n = 0;

        for (const char *p = text; (p = strstr(p, word)); p++)
                n++;
        return n;
}

static void
turn(unsigned ms)
{
        struct timeval after = { ms / 1000, (ms % 1000) * 1000 };

        event_base_loopexit(base, &after);
        event_base_dispatch(base);
}

START_TEST(swallowed)
{
        int fd = start(EPP_LOG_INFO);

        for (int i = 0; i < 100; i++)
                epp_log(&log_, EPP_LOG_WARN, "scrape", LOG_N("i", i));
        epp_log(&log_, EPP_LOG_INFO, "ready", LOG_N("endpoints", 1));
        seen(fd);
        ck_assert_uint_eq(count("warn ev=scrape"), 20);
        ck_assert_uint_eq(count("info ev=ready"), 1);
        ck_assert_uint_eq(count("swallowed"), 0);
        turn(1500);
        ck_assert_ptr_nonnull(strstr(seen(fd), "warn ev=swallowed of=scrape lines=80\n"));
        for (int i = 0; i < 100; i++)
                epp_log(&log_, EPP_LOG_WARN, "end", LOG_N("i", i));
        logs_fini();
        ck_assert_ptr_nonnull(strstr(seen(fd), "warn ev=swallowed of=end lines=80\n"));
        ck_assert_uint_eq(logs_stats().swallowed, 160);
        event_base_free(base);
}
END_TEST

/* Nobody reads, at debug: lines are dropped, and the first that fits says how many. */
START_TEST(lost)
{
        int fd = start(EPP_LOG_DEBUG);
        char want[80];
        uint64_t n;

        for (int i = 0; i < 3000; i++)
                epp_log(&log_, EPP_LOG_DEBUG, "pick", LOG_T("ep", "0123456789"), LOG_N("i", i));
        n = logs_stats().lost;
        ck_assert_uint_gt(n, 1000);
        ck_assert_uint_eq(logs_stats().swallowed, 0);
        seen(fd);
        epp_log(&log_, EPP_LOG_DEBUG, "pick", LOG_N("i", 3000));
        snprintf(want, sizeof(want), "warn ev=lines_lost lines=%d\n", (int)n);
        ck_assert_ptr_nonnull(strstr(seen(fd), want));
        ck_assert_uint_eq(count("\n"), 3000 - n + 2);
        logs_fini();
        event_base_free(base);
}
END_TEST

static void
again(evutil_socket_t fd, short what, void *ctx)
{
        (void)fd, (void)what, (void)ctx;
        event_base_loop(base, EVLOOP_NONBLOCK); /* from inside: libevent warns */
}

START_TEST(libevent)
{
        struct timeval now = { 0, 0 };
        int fd = start(EPP_LOG_WARN);

        event_base_once(base, -1, EV_TIMEOUT, again, NULL, &now);
        turn(50);
        ck_assert_ptr_nonnull(strstr(seen(fd), "warn ev=libevent text=\"event_base_loop: reentrant"));
        ck_assert_uint_eq(count("\n"), 1);
        logs_fini();
        event_base_free(base);
}
END_TEST

UNIT_MAIN("logs", swallowed, lost, libevent)
