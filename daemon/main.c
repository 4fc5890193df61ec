/* main.c - start order and exit codes on one screen; what the parts have in common. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/admin.h"
#include "daemon/conn.h"
#include "daemon/lease.h"
#include "daemon/loop.h"
#include "daemon/opt.h"
#include "daemon/pages.h"
#include "daemon/scrape.h"
#include "daemon/sources.h"
#include "daemon/span.h"
#include "daemon/thresholds.h"
#include "daemon/tls.h"
#include "daemon/watch.h"
#include "plugin/plugins.h"
#include "serve/director.h"
#include "serve/health.h"

#define DRAIN_STEP_US 100000
/* Gateways hear of the end late: new streams are served until none has run for this long. */
#define DRAIN_QUIET_US 1000000

struct eppd {
        struct opt opt;
        struct epp_log log;
        uint64_t lines_lost; /* of the log, since the last that was written */
        struct event_base *base;
        struct epp_pool *pool;
        struct epp_sched *sched;
        struct epp_director director; /* holds the models */
        struct sources *sources; /* endpoints and objects from flags and files, or ... */
        struct watch *watch;     /* ... from an API server */
        struct lease *lease;     /* NULL: no election */
        struct sources_stats source_stats;
        struct scrapes *scrapes;
        struct scrape_stats scrape_stats;
        struct epp_health *health;
        struct epp_stream_stats stream_stats;
        struct epp_stream_config stream;
        struct epp_stream_spare spare;
        struct epp_rpc_handler handlers[1 + EPP_HEALTH_HANDLERS];
        struct epp_h2_stats h2_stats;
        SSL_CTX *tls;
        struct listener *grpc, *grpc_health;
        struct pages pages;
        struct admin *admin;
        const char *why;         /* not ready */
        struct event *term, *interrupt, *hup, *drain;
        epp_us drain_until; /* 0: not draining */
        epp_us quiet_since; /* when draining: no stream since */
};

/* Whoever reads the log may be slow: a line that does not fit is dropped, never waited for. The
 * descriptor stays as it is, as others may write to it; a pipe that is ready takes PIPE_BUF bytes,
 * more than a line has. How many were lost is said when there is room again. */
static void
write_line(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
        struct eppd *d = ctx;
        uint64_t lost = d->lines_lost;
        ssize_t r;

        (void)level;
        if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)) {
                d->lines_lost++;
                return;
        }
        d->lines_lost = 0;
        r = write(STDERR_FILENO, line.p, line.n);
        (void)r;
        if (lost)
                epp_log(&d->log, EPP_LOG_WARN, "lines_lost", LOG_N("lines", lost));
}

/* Closed ones are opened: else the first socket gets number 2, and the log for its peer. */
static bool
hold_stdio(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd < 0)
                return false;
        close(fd);
        return true;
}

static epp_wall
wall_now(void *ctx)
{
        (void)ctx;
        return loop_wall();
}

static void
warn_line(const char *line)
{
        fprintf(stderr, "eppd: %s\n", line);
}

/* One line on why eppd cannot start; always false. */
static bool EPP_PRINTF(1, 2)
no_start(const char *fmt, ...)
{
        va_list ap;

        fprintf(stderr, "eppd: ");
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fprintf(stderr, "\n");
        return false;
}

static void
start_log(struct eppd *d)
{
        d->log = (struct epp_log){ .level = (enum epp_log_level)d->opt.log_level,
                .json = d->opt.log_format == 1 || strcmp(d->opt.zap_encoder, "json") == 0,
                .sink = write_line, .wall = wall_now, .ctx = d };
        if (d->opt.verbosity >= 4)
                d->log.level = EPP_LOG_DEBUG;
}

static void
raise_limits(void)
{
        struct rlimit r;

        if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
                r.rlim_cur = r.rlim_max; /* one descriptor per endpoint */
                setrlimit(RLIMIT_NOFILE, &r);
        }
        signal(SIGPIPE, SIG_IGN);
        /* Bodies come and go all the time: given back to the kernel each time, their pages cost a
         * tenth of a long request (measured). */
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
        mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

/* Follows the source: whether the pool can be served, on all ports and in words. */
static void
update_ready(void *ctx)
{
        struct eppd *d = ctx;
        bool ready = !d->watch || watch_ready(d->watch, &d->why);
        size_t n;

        d->director.ready = ready;
        if (d->drain_until) {
                ready = false;
                d->why = "draining";
        } else if (ready && d->lease && !lease_leading(d->lease)) {
                ready = false; /* and what comes all the same is routed */
                d->why = lease_why(d->lease);
        }
        if (epp_health_ready(d->health) == ready)
                return;
        epp_health_set(d->health, ready);
        (void)epp_pool_list(d->pool, &n);
        if (ready)
                epp_log(&d->log, EPP_LOG_INFO, "ready", LOG_N("endpoints", n),
                        LOG_N("models", epp_models_count(d->director.models)));
        else
                epp_log(&d->log, EPP_LOG_WARN, "not_ready", LOG_T("why", d->why));
}

/* Endpoints from flags or files, or from an API server (decisions 24). */
static bool
start_source(struct eppd *d, uint64_t key)
{
        const struct opt *o = &d->opt;
        bool local = o->endpoint.n || *o->endpoints_file;

        d->why = "starting";
        if (local && o->ha_election)
                return no_start("--ha-enable-leader-election needs an API server, which is not "
                                "spoken to with --endpoint or --endpoints-file");
        if (local)
                return sources_new(d->base, o, &d->director, key, &d->log, &d->source_stats,
                               &d->sources) == 0;
        return watch_new(d->base, o, &d->director, key, &d->log, update_ready, d, &d->watch) == 0 &&
               (!o->ha_election || lease_new(d->base, o, watch_api(d->watch),
                                           watch_namespace(d->watch), key, &d->log, update_ready, d,
                                           &d->lease) == 0);
}

static bool
start_model(struct eppd *d)
{
        uint64_t seed = d->opt.seed, key = 0;
        enum epp_builtin config = (enum epp_builtin)d->opt.scheduler;
        struct epp_thresholds thresholds;
        struct epp_models *models;
        char err[256];

        if (!thresholds_read(config, getenv, &thresholds, err, sizeof(err)))
                return no_start("%s", err);
        if (getrandom(&key, sizeof(key), 0) != sizeof(key))
                return no_start("no random bytes from the system");
        if (epp_pool_new(key, &d->pool) < 0 || epp_models_new(key, &models) < 0)
                return no_start("out of memory");
        if (epp_sched_new(config, &thresholds, epp_plugins, seed ? seed : key, &d->sched) < 0)
                return no_start("the scheduler's configuration names an unknown plugin");
        d->director = (struct epp_director){ .pool = d->pool, .models = models, .sched = d->sched,
                .match = (enum epp_model_match)d->opt.model_match, .log = &d->log };
        if (epp_series_new(d->opt.metrics_values, key, &d->director.series) < 0)
                return no_start("out of memory");
        epp_rng_init(&d->director.ids, key); /* not from --seed: ids differ between runs */
        if (scrapes_new(d->base, &d->opt, d->pool, &d->log, &d->scrape_stats, &d->scrapes) < 0)
                return no_start("out of memory");
        return start_source(d, key);
}

static const char *
why_not(int r)
{
        return r == -EINVAL ? "the address is not an IP address" : strerror(-r);
}

static bool
listen_on(struct eppd *d, unsigned port, SSL_CTX *tls, const struct epp_rpc_handler *handlers,
        size_t n, struct listener **ret)
{
        struct listener_config cfg = { d->opt.bind_address, port, tls, handlers, n, &d->h2_stats,
                &d->log };
        int r = listener_new(d->base, &cfg, ret);

        return r == 0 || no_start("cannot listen on %s port %u: %s", cfg.address, port,
                why_not(r));
}

static bool
start_listeners(struct eppd *d)
{
        struct opt *o = &d->opt;
        size_t max = o->max_message ? o->max_message
                : o->max_body ? o->max_body + (64 << 10) : UINT32_MAX;
        char err[256];
        int r;

        if (o->secure_serving) {
                d->tls = tls_context_new(*o->cert_path ? o->cert_path : NULL, err, sizeof(err));
                if (!d->tls)
                        return no_start("--cert-path: %s", err);
        }
        d->stream = (struct epp_stream_config){ .decider = epp_director_decider(&d->director),
                .hint_key = epp_slice_str(o->hint_key),
                .hint_ns = epp_slice_str(o->hint_namespace),
                .max_body = o->max_body,
                .max_held = o->max_held,
                .upload_timeout = o->upload_timeout,
                .default_mode = (enum epp_body_mode)o->default_body_mode,
                .response_marker = o->response_marker,
                .strip_control = o->strip_control,
                .stats = &d->stream_stats,
                .spare = &d->spare };
        d->handlers[0] = epp_stream_handler(&d->stream, max);
        epp_health_handlers(d->health, d->handlers + 1);
        if (!listen_on(d, o->grpc_port, d->tls, d->handlers, ARRAY_LEN(d->handlers), &d->grpc) ||
                !listen_on(d, o->grpc_health_port, NULL, d->handlers + 1, EPP_HEALTH_HANDLERS,
                        &d->grpc_health))
                return false;
        d->pages = (struct pages){ d->pool, &d->director, d->health, &d->h2_stats,
                &d->stream_stats, &d->source_stats, &d->scrape_stats, d->scrapes, d->watch,
                &d->why, d->lease };
        r = admin_new(d->base, o->bind_address, o->metrics_port, pages_table, PAGES, &d->pages,
                &d->log, &d->admin);
        return r == 0 || no_start("cannot listen on %s port %u: %s", o->bind_address,
                o->metrics_port, why_not(r));
}

/* Runs every DRAIN_STEP_US while draining: leaves when no stream has run for a while and the lease
 * is given up. */
static void
on_drain(evutil_socket_t fd, short what, void *user)
{
        struct eppd *d = user;
        struct timeval step = { 0, DRAIN_STEP_US };
        epp_us now = loop_now(d->base);
        bool done;

        (void)fd, (void)what;
        if (listener_calls(d->grpc))
                d->quiet_since = now;
        done = now - d->quiet_since >= DRAIN_QUIET_US && (!d->lease || lease_released(d->lease));
        if (done || now >= d->drain_until) {
                listener_shutdown(d->grpc, true);
                event_base_loopbreak(d->base);
        } else {
                evtimer_add(d->drain, &step);
        }
}

/* The first signal drains, the second ends at once. */
static void
on_signal(evutil_socket_t sig, short what, void *user)
{
        struct eppd *d = user;
        struct timeval soon = { 0, DRAIN_STEP_US };

        (void)what;
        if (d->drain_until) {
                event_base_loopbreak(d->base);
                return;
        }
        epp_log(&d->log, EPP_LOG_INFO, "drain", LOG_N("signal", sig),
                LOG_N("streams", listener_calls(d->grpc)));
        d->quiet_since = loop_now(d->base);
        d->drain_until = d->quiet_since + d->opt.drain_timeout;
        update_ready(d);
        if (d->lease)
                lease_release(d->lease);
        listener_shutdown(d->grpc, false);
        evtimer_add(d->drain, &soon);
}

static void
on_hup(evutil_socket_t sig, short what, void *user)
{
        struct eppd *d = user;

        (void)sig, (void)what;
        if (d->sources)
                sources_reload(d->sources);
}

static bool
start_signals(struct eppd *d)
{
        d->term = evsignal_new(d->base, SIGTERM, on_signal, d);
        d->interrupt = evsignal_new(d->base, SIGINT, on_signal, d);
        d->hup = evsignal_new(d->base, SIGHUP, on_hup, d);
        d->drain = evtimer_new(d->base, on_drain, d);
        return (d->term && d->interrupt && d->hup && d->drain && event_add(d->hup, NULL) == 0 &&
                       event_add(d->term, NULL) == 0 &&
                       event_add(d->interrupt, NULL) == 0) ||
               no_start("out of memory");
}

static void
say_listening(struct eppd *d)
{
        epp_log(&d->log, EPP_LOG_INFO, "listening", LOG_N("grpc_port", listener_port(d->grpc)),
                LOG_N("health_port", listener_port(d->grpc_health)),
                LOG_N("metrics_port", admin_port(d->admin)), LOG_T("tls", d->tls ? "on" : "off"));
        update_ready(d);
}

static void
finish(struct eppd *d)
{
        struct event *events[] = { d->term, d->interrupt, d->hup, d->drain };

        listener_free(d->grpc);
        listener_free(d->grpc_health);
        epp_slab_fini(&d->spare.streams);
        epp_slab_fini(&d->spare.scans);
        admin_free(d->admin);
        for (size_t i = 0; i < ARRAY_LEN(events); i++)
                if (events[i])
                        event_free(events[i]);
        lease_free(d->lease);
        watch_free(d->watch);
        scrapes_free(d->scrapes);
        sources_free(d->sources);
        epp_health_free(d->health);
        epp_sched_free(d->sched);
        epp_models_free(d->director.models);
        epp_series_free(d->director.series);
        epp_pool_free(d->pool);
        SSL_CTX_free(d->tls);
        if (d->base)
                event_base_free(d->base);
        opt_fini(&d->opt);
}

int
main(int argc, char **argv)
{
        static struct eppd d;
        char err[256];
        bool ok;

        if (!hold_stdio())
                return 1;
        switch (opt_parse(&d.opt, argc, argv, err, sizeof(err), warn_line)) {
        case OPT_DONE:
                opt_fini(&d.opt);
                return 0;
        case OPT_BAD:
                opt_fini(&d.opt);
                no_start("%s", err);
                return 1;
        case OPT_RUN:
                break;
        }
        start_log(&d);
        span_init(&d.log);
        raise_limits();
        d.base = event_base_new();
        ok = d.base && epp_health_new(&d.health) == 0 && start_model(&d) && start_listeners(&d) &&
             start_signals(&d);
        if (ok) {
                say_listening(&d);
                event_base_dispatch(d.base);
                epp_log(&d.log, EPP_LOG_INFO, "end", LOG_N("requests", d.director.stats.requests));
        }
        finish(&d);
        return ok ? 0 : 1;
}
