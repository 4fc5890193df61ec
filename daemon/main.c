/* main.c - start order and exit codes on one screen; what the parts have in common. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/access.h"
#include "daemon/admin.h"
#include "daemon/auth.h"
#include "daemon/certs.h"
#include "daemon/conn.h"
#include "daemon/dump.h"
#include "daemon/lease.h"
#include "daemon/logs.h"
#include "daemon/loop.h"
#include "daemon/metrics.h"
#include "daemon/opt.h"
#include "daemon/pages.h"
#include "daemon/scrape.h"
#include "daemon/sink.h"
#include "daemon/sources.h"
#include "daemon/span.h"
#include "daemon/systemd.h"
#include "daemon/thresholds.h"
#include "daemon/watch.h"
#include "plugin/plugins.h"
#include "serve/director.h"
#include "serve/health.h"
#include "serve/ring.h"

#define DRAIN_STEP_US 100000
/* Gateways hear of the end late: new streams are served until none has run for this long. */
#define DRAIN_QUIET_US 1000000
#define LEASE_END_US 10000000 /* after which lease_released is true in any case */
#define END_US 1000000 /* for the last bytes to those who read */

struct eppd {
        struct opt opt;
        struct epp_log log;
        struct event_base *base;
        struct epp_pool *pool;
        struct epp_sched *sched;
        struct epp_director director; /* holds the models */
        struct access *access;        /* NULL: no access log */
        struct access_stats access_stats;
        struct epp_ring *ring;        /* NULL: decisions are not remembered */
        struct sources *sources; /* endpoints and objects from flags and files, or ... */
        struct watch *watch;     /* ... from an API server */
        struct lease *lease;     /* NULL: no election */
        struct sources_stats source_stats;
        struct scrapes *scrapes;
        struct scrape_stats scrape_stats;
        struct epp_health *health;
        struct epp_stream_stats stream_stats;
        struct epp_stream_timing stream_timing;
        struct epp_stream_config stream;
        struct epp_stream_spare spare;
        struct epp_rpc_handler handlers[1 + EPP_HEALTH_HANDLERS];
        struct epp_h2_stats h2_stats;
        struct certs *grpc_certs, *metrics_certs; /* NULL: clear */
        struct certs_stats certs_stats;
        struct dump *dump;
        struct listener *grpc, *grpc_health;
        struct metrics *metrics;
        struct pages pages;
        struct auth *auth;
        struct admin *admin;
        const char *why;         /* not ready */
        struct event *term, *interrupt, *hup, *usr1, *drain, *reap;
        epp_us drain_until; /* 0: not draining */
        epp_us end_until;   /* 0: streams may still run */
        epp_us quiet_since; /* when draining: no stream since */
        uint64_t drain_begun; /* streams begun, at the last look */
};

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
raise_limits(void)
{
        struct rlimit r;

        if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
                r.rlim_cur = r.rlim_max; /* one descriptor per endpoint */
                setrlimit(RLIMIT_NOFILE, &r);
        }
        /* Bodies come and go all the time: given back to the kernel each time, their pages cost a
         * tenth of a long request (measured). Larger blocks are mapped one by one: in the heap they
         * would go back together, 64 MB in one free(), which takes 5 ms. */
        mallopt(M_MMAP_THRESHOLD, 2 << 20);
        mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

static void
say_status(struct eppd *d, bool ready)
{
        char text[256] = "ready";

        if (!ready)
                snprintf(text, sizeof(text), "not ready: %s", d->why);
        systemd_status(text);
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
        say_status(d, ready);
        if (epp_health_ready(d->health) == ready)
                return;
        epp_health_set(d->health, ready);
        if (d->grpc)
                listener_flush(d->grpc);
        if (d->grpc_health)
                listener_flush(d->grpc_health);
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

/* Passed sockets decide on ports, and later children must not find their descriptions. */
static bool
start_systemd(struct eppd *d)
{
        struct systemd_port ports[] = { { "grpc", &d->opt.grpc_port },
                { "grpc-health", &d->opt.grpc_health_port }, { "metrics", &d->opt.metrics_port } };
        char err[256];

        return systemd_start(d->base, ports, ARRAY_LEN(ports), &d->log, err, sizeof(err)) == 0 ||
               no_start("%s", err);
}

/* The last decisions, for /debug/decisions. */
static bool
start_ring(struct eppd *d)
{
        if (d->opt.decision_ring == 0)
                return true;
        if (epp_ring_new(d->opt.decision_ring, &d->ring) < 0)
                return no_start("--decision-ring: there is no memory for so many decisions");
        d->director.observer[d->director.n_observers++] = epp_ring_observer(d->ring);
        return true;
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
        if (!d->opt.metrics_fairness)
                epp_series_hide_fairness(d->director.series);
        d->director.compat_errors = d->opt.compat_errors;
        epp_sched_clock(d->sched, loop_ns);
        epp_rng_init(&d->director.ids, key); /* not from --seed: ids differ between runs */
        if (scrapes_new(d->base, &d->opt, d->pool, &d->log, &d->scrape_stats, &d->scrapes) < 0)
                return no_start("out of memory");
        return start_ring(d) && start_source(d, key);
}

static bool
start_access(struct eppd *d)
{
        struct epp_director *r = &d->director;
        const char *path = d->opt.access_log;
        int error = 0;

        if (!*path)
                return true;
        if (access_new(d->base, path, d->log.json, &d->log, &d->access_stats, &d->access,
                    &error) < 0)
                return no_start("--access-log: cannot open %s: %s", path,
                        error ? strerror(error) : "out of memory");
        r->observer[r->n_observers++] = access_observer(d->access);
        return true;
}

/* <r> of listening on <port>, which <flag> sets: true when it went well. */
static bool
listens(struct eppd *d, const char *flag, unsigned port, int r)
{
        const char *why = strerror(-r), *what = "";
        bool address = r == -EADDRNOTAVAIL;

        if (r == 0)
                return true;
        if (address)
                why = "no interface has the address";
        else if (r == -EADDRINUSE)
                what = ", by another process or another of our ports";
        else if (r == -EACCES)
                what = ", ports below 1024 need CAP_NET_BIND_SERVICE";
        return no_start("cannot listen on %s port %u: %s%s; see --%s", d->opt.bind_address, port,
                why, what, address ? "bind-address" : flag);
}

static bool
listen_on(struct eppd *d, const char *flag, struct listener_config *cfg, struct listener **ret)
{
        cfg->address = d->opt.bind_address;
        cfg->stats = &d->h2_stats;
        cfg->log = &d->log;
        return listens(d, flag, cfg->port, listener_new(d->base, cfg, ret));
}

static void
use_grpc_tls(void *ctx, SSL_CTX *tls)
{
        struct eppd *d = ctx;

        listener_set_tls(d->grpc, tls);
}

static void
use_metrics_tls(void *ctx, SSL_CTX *tls)
{
        struct eppd *d = ctx;

        admin_set_tls(d->admin, tls);
}

static bool
start_certs(struct eppd *d, struct certs_config *cfg, struct certs **ret)
{
        char err[512];

        cfg->watch = d->opt.cert_reload;
        cfg->ctx = d;
        cfg->log = &d->log;
        cfg->stats = &d->certs_stats;
        return certs_new(d->base, cfg, ret, err, sizeof(err)) == 0 ||
               no_start("%s: %s", cfg->flag, err);
}

/* Who may read the HTTP port, and with which certificate it is served. */
static bool
start_guards(struct eppd *d)
{
        struct opt *o = &d->opt;
        struct auth_config cfg = { (enum auth_mode)o->metrics_auth,
                d->watch ? watch_api(d->watch) : NULL, &d->log };
        struct certs_config tls = { .flag = "--metrics-cert-dir", .use = use_metrics_tls,
                .tls = { o->metrics_cert_dir, *o->metrics_client_ca ? o->metrics_client_ca : NULL,
                        "http/1.1" } };

        if (cfg.mode == AUTH_TRUE && !cfg.api)
                return no_start("--metrics-endpoint-auth=true needs an API server, which is not "
                                "spoken to with --endpoint or --endpoints-file: give auto or "
                                "false");
        if (*o->metrics_client_ca && !*o->metrics_cert_dir)
                return no_start("--metrics-client-ca-file needs --metrics-cert-dir, as only TLS "
                                "has client certificates");
        if (*o->metrics_cert_dir && !start_certs(d, &tls, &d->metrics_certs))
                return false;
        return auth_new(d->base, &cfg, &d->auth) == 0 || no_start("out of memory");
}

static bool
start_admin(struct eppd *d)
{
        struct admin_config cfg = { .address = d->opt.bind_address, .port = d->opt.metrics_port,
                .pages = pages_table, .n_pages = PAGES, .ctx = &d->pages, .auth = d->auth,
                .tls = d->metrics_certs ? certs_tls(d->metrics_certs) : NULL, .log = &d->log };

        return listens(d, "metrics-port", cfg.port, admin_new(d->base, &cfg, &d->admin));
}

/* Flags whose values are only looked at here; before anything is started. */
static bool
start_metrics(struct eppd *d)
{
        char err[256];

        switch (metrics_new(d->opt.metrics_generations, err, sizeof(err), &d->metrics)) {
        case 0:
                return true;
        case EPP_EINVAL:
                return no_start("--metrics-generations: %s", err);
        default:
                return no_start("out of memory");
        }
}

static bool
start_listeners(struct eppd *d)
{
        struct opt *o = &d->opt;
        size_t max = o->max_message ? o->max_message
                : o->max_body ? o->max_body + (64 << 10) : UINT32_MAX;
        struct certs_config tls = { .flag = "--cert-path", .use = use_grpc_tls,
                .tls = { *o->cert_path ? o->cert_path : NULL, NULL, "h2" } };
        struct listener_config grpc = { .port = o->grpc_port, .handlers = d->handlers,
                .n_handlers = ARRAY_LEN(d->handlers), .age = o->connection_age };
        struct listener_config probes = { .port = o->grpc_health_port, .handlers = d->handlers + 1,
                .n_handlers = EPP_HEALTH_HANDLERS };

        if (o->secure_serving && !start_certs(d, &tls, &d->grpc_certs))
                return false;
        grpc.tls = d->grpc_certs ? certs_tls(d->grpc_certs) : NULL;
        epp_stream_timing_init(&d->stream_timing, loop_ns);
        d->stream = (struct epp_stream_config){ .decider = epp_director_decider(&d->director),
                .hint_key = epp_slice_str(o->hint_key),
                .hint_ns = epp_slice_str(o->hint_namespace),
                .max_body = o->max_body,
                .max_held = o->max_held,
                .upload_timeout = o->upload_timeout,
                .default_mode = (enum epp_body_mode)o->default_body_mode,
                .response_marker = o->response_marker,
                .strip_control = o->strip_control,
                .allow_explain = o->allow_explain,
                .stats = &d->stream_stats,
                .timing = &d->stream_timing,
                .spare = &d->spare };
        d->handlers[0] = epp_stream_handler(&d->stream, max);
        epp_health_handlers(d->health, d->handlers + 1);
        if (o->ha_election)
                epp_health_elects(d->health);
        if (!listen_on(d, "grpc-port", &grpc, &d->grpc) ||
                !listen_on(d, "grpc-health-port", &probes, &d->grpc_health) || !start_guards(d))
                return false;
        d->pages = (struct pages){ .pool = d->pool, .director = &d->director, .health = d->health,
                .h2 = &d->h2_stats, .streams = &d->stream_stats, .timing = &d->stream_timing,
                .access = &d->access_stats, .sources = &d->source_stats,
                .scrape = &d->scrape_stats, .scrapes = d->scrapes, .watch = d->watch,
                .why = &d->why, .lease = d->lease, .auth = auth_stats(d->auth),
                .certs = &d->certs_stats, .ring = d->ring, .opt = o, .files = d->sources,
                .metrics = d->metrics, .begun = loop_now(d->base) };
        return start_admin(d);
}

/* Runs every DRAIN_STEP_US while draining. When no stream has run for a while, or the time is over,
 * what still runs is reset; eppd ends when the peers have read that and the lease is given up. */
static void
on_drain(evutil_socket_t fd, short what, void *user)
{
        struct eppd *d = user;
        struct timeval step = { 0, DRAIN_STEP_US };
        epp_us now = loop_now(d->base);
        uint64_t streams = d->stream_stats.begun - d->stream_stats.ended;

        (void)fd, (void)what;
        if (streams || d->stream_stats.begun != d->drain_begun) /* short ones, too */
                d->quiet_since = now;
        d->drain_begun = d->stream_stats.begun;
        if (!d->end_until &&
                (now - d->quiet_since >= DRAIN_QUIET_US || now >= d->drain_until)) {
                if (streams)
                        epp_log(&d->log, EPP_LOG_WARN, "drain_timeout", LOG_N("reset", streams));
                listener_shutdown(d->grpc, true);
                d->end_until = now + END_US;
        }
        if (d->end_until && (!listener_connections(d->grpc) || now >= d->end_until) &&
                (!d->lease || lease_released(d->lease)))
                event_base_loopbreak(d->base);
        else
                evtimer_add(d->drain, &step);
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
                LOG_N("streams", d->stream_stats.begun - d->stream_stats.ended));
        systemd_stopping(d->opt.drain_timeout + END_US + LEASE_END_US);
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
        systemd_reloading(loop_now(d->base));
        if (d->sources)
                sources_reload(d->sources);
        certs_reload(d->grpc_certs);
        certs_reload(d->metrics_certs);
        if (d->access)
                access_reopen(d->access);
        systemd_ready();
}

static void
on_usr1(evutil_socket_t sig, short what, void *user)
{
        struct eppd *d = user;

        (void)sig, (void)what;
        dump_start(d->dump);
}

#define REAPED 8 /* blocks of 2 MiB, mostly: half a millisecond */

/* Long bodies are dead: they are freed some at a time, with a look at the sockets between. */
static void
on_died(void *ctx)
{
        struct timeval soon = { 0, 1000 };
        struct eppd *d = ctx;

        evtimer_add(d->reap, &soon);
}

static void
on_reap(evutil_socket_t fd, short what, void *user)
{
        struct span span = span_begin(SPAN_GRPC_TICK);
        struct eppd *d = user;

        (void)fd, (void)what;
        if (epp_grave_reap(&d->spare.dead, REAPED))
                on_died(d);
        span_end(SPAN_GRPC_TICK, span);
}

static bool
start_signals(struct eppd *d)
{
        const struct {
                int number;
                void (*fn)(evutil_socket_t sig, short what, void *user);
                struct event **event;
        } table[] = { { SIGTERM, on_signal, &d->term }, { SIGINT, on_signal, &d->interrupt },
                { SIGHUP, on_hup, &d->hup }, { SIGUSR1, on_usr1, &d->usr1 } };
        bool ok = dump_new(d->base, &d->pages, &d->log, &d->dump) == 0;

        d->drain = evtimer_new(d->base, on_drain, d);
        d->reap = evtimer_new(d->base, on_reap, d);
        d->spare.dead.opened = on_died;
        d->spare.dead.ctx = d;
        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                *table[i].event = evsignal_new(d->base, table[i].number, table[i].fn, d);
                ok = ok && *table[i].event && event_add(*table[i].event, NULL) == 0;
        }
        return (ok && d->drain && d->reap) || no_start("out of memory");
}

static void
say_listening(struct eppd *d)
{
        epp_log(&d->log, EPP_LOG_INFO, "listening", LOG_N("grpc_port", listener_port(d->grpc)),
                LOG_N("health_port", listener_port(d->grpc_health)),
                LOG_N("metrics_port", admin_port(d->admin)),
                LOG_T("tls", d->grpc_certs ? "on" : "off"));
        update_ready(d);
        systemd_ready();
}

static void
finish(struct eppd *d)
{
        struct event *events[] = { d->term, d->interrupt, d->hup, d->usr1, d->drain,
                d->reap };

        listener_free(d->grpc);
        listener_free(d->grpc_health);
        epp_stream_spare_fini(&d->spare);
        admin_free(d->admin);
        auth_free(d->auth);
        dump_free(d->dump);
        metrics_free(d->metrics);
        access_free(d->access); /* the ends of streams have been told */
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
        epp_ring_free(d->ring);
        epp_pool_free(d->pool);
        certs_free(d->grpc_certs);
        certs_free(d->metrics_certs);
        systemd_end();
        logs_fini();
        if (d->base)
                event_base_free(d->base);
        opt_fini(&d->opt);
}

/* What --help and the like print is out; a reader that left early has what it wanted. */
static bool
told(void)
{
        return fflush(stdout) == 0 || errno == EPIPE || no_start("stdout: %s", strerror(errno));
}

int
main(int argc, char **argv)
{
        static struct eppd d;
        bool ok;

        if (!hold_stdio())
                return 1;
        signal(SIGPIPE, SIG_IGN);
        switch (opt_parse(&d.opt, argc, argv, environ, warn_line)) {
        case OPT_DONE:
                opt_fini(&d.opt);
                return told() ? 0 : 1;
        case OPT_BAD:
                opt_fini(&d.opt);
                return 1;
        case OPT_RUN:
                break;
        }
        logs_init(&d.log, (enum epp_log_level)d.opt.log_level, d.opt.log_format == 1);
        span_init(&d.log);
        raise_limits();
        d.base = event_base_new();
        ok = d.base && logs_run(d.base) == 0 && epp_health_new(&d.health) == 0 &&
             start_systemd(&d) && start_metrics(&d) && start_model(&d) && start_access(&d) &&
             start_listeners(&d) && start_signals(&d);
        if (ok) {
                say_listening(&d);
                loop_run(d.base);
                epp_log(&d.log, EPP_LOG_INFO, "end", LOG_N("requests", d.director.stats.requests));
        }
        finish(&d);
        return ok ? 0 : 1;
}
