/* logs.c - see logs.h. */
#include "daemon/logs.h"

#include <event2/event.h>
#include <unistd.h>

#include "base/status.h"
#include "daemon/loop.h"
#include "daemon/sink.h"

/* Static, as libevent calls back without a context. */
static struct {
        struct epp_log *log;
        struct epp_log_limit limit;
        struct sink out;
        uint64_t told; /* of out.lost */
        struct event *tick;
} logs;

static void
write_line(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        uint64_t lost = logs.out.lost - logs.told, before;

        (void)ctx, (void)level;
        if (!sink_put(&logs.out, line) || !lost)
                return;
        before = logs.out.lost;
        logs.told += lost; /* first: the line comes here, too */
        epp_log(logs.log, EPP_LOG_WARN, "lines_lost", LOG_N("lines", lost));
        if (logs.out.lost > before)
                logs.told -= lost; /* it was lost itself */
}

static epp_wall
wall_now(void *ctx)
{
        (void)ctx;
        return loop_wall();
}

/* Its own debug lines are off unless asked for by event_enable_debug_logging. */
static void
on_libevent(int severity, const char *text)
{
        static const enum epp_log_level levels[] = { [EVENT_LOG_DEBUG] = EPP_LOG_DEBUG,
                [EVENT_LOG_MSG] = EPP_LOG_INFO, [EVENT_LOG_WARN] = EPP_LOG_WARN,
                [EVENT_LOG_ERR] = EPP_LOG_ERROR };
        enum epp_log_level level = (unsigned)severity < ARRAY_LEN(levels) ? levels[severity]
                                                                          : EPP_LOG_WARN;

        epp_log(logs.log, level, "libevent", LOG_T("text", text));
}

void
logs_init(struct epp_log *log, enum epp_log_level level, bool json)
{
        sink_on(&logs.out, STDERR_FILENO);
        *log = (struct epp_log){ .level = level, .json = json, .sink = write_line,
                .wall = wall_now, .limit = &logs.limit };
        logs.log = log;
        event_set_log_callback(on_libevent);
}

static void
on_tick(evutil_socket_t fd, short what, void *ctx)
{
        (void)fd, (void)what, (void)ctx;
        sink_flush(&logs.out);
        epp_log_tell(logs.log);
}

int
logs_run(struct event_base *base)
{
        struct timeval second = { 1, 0 };

        logs.tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
        return logs.tick && event_add(logs.tick, &second) == 0 ? 0 : EPP_ENOMEM;
}

struct logs_stats
logs_stats(void)
{
        return (struct logs_stats){ logs.out.lost, logs.limit.swallowed };
}

void
logs_fini(void)
{
        epp_log_tell(logs.log);
        sink_flush(&logs.out);
        if (logs.tick)
                event_free(logs.tick);
        logs.tick = NULL;
}
