/* access.c - see access.h. The timer runs only while bytes wait. */
#include "daemon/access.h"

#include <event2/event.h>

#include "daemon/loop.h"
#include "daemon/sink.h"
#include "daemon/span.h"
#include "serve/access.h"

#define WAIT_MAX (64 << 10)
#define WRITE_AT (32 << 10)
#define PERIOD_US 100000

struct access {
        const char *path;
        const struct epp_log *log;
        struct access_stats *stats;
        struct epp_log lines; /* what the observer writes to */
        struct sink sink;
        struct event *timer;
        bool armed, slow;     /* slow: not all was taken last time; only the timer tries again */
        bool midway;          /* of the first line that waits a part has been written */
        uint64_t untold;      /* lost lines that the log has not heard of */
        size_t n;
        char wait[WAIT_MAX];
};

static void
arm(struct access *a)
{
        struct timeval tv = { 0, PERIOD_US };

        if (!a->armed && a->n)
                a->armed = evtimer_add(a->timer, &tv) == 0;
}

static void
flush(struct access *a)
{
        size_t taken = sink_write(&a->sink, epp_slice(a->wait, a->n));

        if (taken)
                a->midway = a->wait[taken - 1] != '\n';
        a->n -= taken;
        memmove(a->wait, a->wait + taken, a->n);
        a->slow = a->n != 0;
        if (a->slow || !a->untold)
                return;
        epp_log(a->log, EPP_LOG_WARN, "access_lines_lost", LOG_T("file", a->path),
                LOG_N("lines", a->untold));
        a->untold = 0;
}

static void
on_timer(evutil_socket_t fd, short what, void *user)
{
        struct span span = span_begin(SPAN_ACCESS);
        struct access *a = user;

        (void)fd, (void)what;
        a->armed = false;
        flush(a);
        arm(a);
        span_end(SPAN_ACCESS, span);
}

static void
on_line(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        struct access *a = ctx;

        (void)level;
        if (a->n + line.n > WAIT_MAX) {
                if (a->untold++ == 0)
                        epp_log(a->log, EPP_LOG_WARN, "access_log_full", LOG_T("file", a->path),
                                LOG_T("why", "nobody reads it, or the disk is slow: lines are "
                                             "dropped and counted"));
                a->stats->lost++;
                return;
        }
        memcpy(a->wait + a->n, line.p, line.n);
        a->n += line.n;
        a->stats->lines++;
        if (a->n >= WRITE_AT && !a->slow)
                flush(a);
        arm(a);
}

static epp_wall
wall(void *ctx)
{
        (void)ctx;
        return loop_wall();
}

int
access_new(struct event_base *base, const char *path, bool json, const struct epp_log *log,
        struct access_stats *stats, struct access **ret, int *ret_errno)
{
        struct access *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return EPP_ENOMEM;
        *a = (struct access){ .path = path, .log = log, .stats = stats, .sink.fd = -1 };
        a->lines = (struct epp_log){ .level = EPP_LOG_INFO, .json = json, .sink = on_line,
                .ctx = a, .wall = wall };
        a->timer = evtimer_new(base, on_timer, a);
        r = a->timer ? sink_open(&a->sink, path) : 0;
        if (!a->timer || r < 0) {
                *ret_errno = -r;
                access_free(a);
                return r < 0 ? EPP_EINVAL : EPP_ENOMEM;
        }
        *ret = a;
        return 0;
}

struct epp_observer
access_observer(struct access *a)
{
        return epp_access_observer(&a->lines);
}

/* The first line began in another file: it is lost. */
static void
drop_first(struct access *a)
{
        size_t n = (size_t)((char *)memchr(a->wait, '\n', a->n) - a->wait) + 1;

        a->n -= n;
        memmove(a->wait, a->wait + n, a->n);
        a->midway = false;
        a->stats->lost++;
        a->untold++;
}

void
access_reopen(struct access *a)
{
        struct sink new;
        int r;

        if (strcmp(a->path, "-") == 0)
                return;
        r = sink_open(&new, a->path);
        if (r < 0) {
                epp_log(a->log, EPP_LOG_ERROR, "access_log", LOG_T("file", a->path),
                        LOG_T("error", strerror(-r)), LOG_T("lines", "go to the old one"));
                return;
        }
        flush(a);
        if (a->midway)
                drop_first(a);
        sink_close(&a->sink);
        a->sink = new;
        a->slow = false;
}

void
access_free(struct access *a)
{
        if (!a)
                return;
        flush(a);
        sink_close(&a->sink);
        if (a->timer)
                event_free(a->timer);
        free(a);
}
