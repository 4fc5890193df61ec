/* apicat.c - requests of daemon/api from the command line, as cat would print them:
 *     apicat [--NAME=VALUE]... PATH
 * What is not body begins with "# ": status, end, rotated, lag_ms (the longest the loop was held)
 * and what api_new says. Options are in the table below; the log goes to stderr. */
#include <event2/event.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "daemon/api.h"
#include "daemon/loop.h"

#define TICK_US 5000

static struct {
        const char *kubeconfig, *context, *account, *resolv_conf, *method, *body;
        const char *token_ms, *ca_ms, *exec_ms, *timeout_ms;
        const char *watch;    /* 1: a stream */
        const char *repeat;   /* requests, one after the other */
        const char *pause_ms; /* between them, 0 */
        const char *parallel; /* at once */
        const char *drop_ms;  /* then the call is dropped */
        const char *stop_at;  /* a letter: data says no when it comes */
        const char *retry;    /* 1: after a rotation ask once more */
        const char *quiet;    /* 1: no body */
} opt;

static const struct {
        const char *name, **value;
} options[] = {
        {"kubeconfig", &opt.kubeconfig},
        {"context", &opt.context},
        {"account", &opt.account},
        {"resolv-conf", &opt.resolv_conf},
        {"method", &opt.method},
        {"body", &opt.body},
        {"token-ms", &opt.token_ms},
        {"ca-ms", &opt.ca_ms},
        {"exec-ms", &opt.exec_ms},
        {"timeout-ms", &opt.timeout_ms},
        {"watch", &opt.watch},
        {"repeat", &opt.repeat},
        {"pause-ms", &opt.pause_ms},
        {"parallel", &opt.parallel},
        {"drop-ms", &opt.drop_ms},
        {"stop-at", &opt.stop_at},
        {"retry", &opt.retry},
        {"quiet", &opt.quiet},
};
static const char *path;
static struct event_base *base;
static struct api *api;
static struct api_call *calls[64];
static long left, running;
static bool retry, column; /* column: the line is not ended */
static struct event *next_timer, *drop_timer, *tick_timer;
static epp_us ticked, lag;

static long
number(const char *text, long otherwise)
{
        return text ? strtol(text, NULL, 10) : otherwise;
}

static void
arm(struct event *ev, long ms)
{
        struct timeval tv = {ms / 1000, ms % 1000 * 1000};

        evtimer_add(ev, &tv);
}

static void
on_status(void *ctx, int http, long retry_after_s)
{
        (void)ctx;
        printf("# status %d %ld\n", http, retry_after_s);
}

static bool
on_data(void *ctx, struct epp_slice piece)
{
        (void)ctx;
        EPP_ASSERT(piece.n <= 65536);
        if (!opt.quiet) {
                printf(SLICE_FMT, SLICE_ARG(piece));
                column = piece.p[piece.n - 1] != '\n';
        }
        return !opt.stop_at || !memchr(piece.p, *opt.stop_at, piece.n);
}

static void
on_end(void *ctx, bool ok)
{
        calls[(size_t)(uintptr_t)ctx] = NULL;
        printf("%s# end %s\n", column ? "\n" : "", ok ? "ok" : "failed");
        column = false;
        if (--running == 0 && --left > 0)
                arm(next_timer, number(opt.pause_ms, 0));
        else if (running == 0 && !retry)
                event_base_loopbreak(base);
}

static void
begin(evutil_socket_t fd, short what, void *user)
{
        static const struct api_ops ops = {on_status, on_data, on_end};
        struct api_request q = {.method = opt.method ? opt.method : "GET",
                .path = path,
                .body = epp_slice_str(opt.body),
                .timeout_ms = (unsigned)number(opt.timeout_ms, 60000),
                .stream = opt.watch != NULL};

        (void)fd, (void)what, (void)user;
        for (size_t i = 0; i < (size_t)number(opt.parallel, 1); i++) {
                running++;
                if (api_begin(api, &q, &ops, (void *)(uintptr_t)i, &calls[i]) < 0)
                        exit(3);
        }
        if (opt.drop_ms)
                arm(drop_timer, number(opt.drop_ms, 0));
}

static void
on_drop(evutil_socket_t fd, short what, void *user)
{
        (void)fd, (void)what, (void)user;
        for (size_t i = 0; i < ARRAY_LEN(calls); i++)
                api_drop(calls[i]);
        printf("# dropped\n");
        event_base_loopbreak(base);
}

static void
on_rotated(void *ctx)
{
        (void)ctx;
        printf("# rotated\n");
        if (!retry)
                return;
        retry = false;
        begin(-1, 0, NULL);
}

static void
on_tick(evutil_socket_t fd, short what, void *user)
{
        epp_us now = loop_now(base);

        (void)fd, (void)what, (void)user;
        if (ticked)
                lag = EPP_MAX(lag, now - ticked - TICK_US);
        ticked = now;
}

static void
write_line(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        (void)ctx, (void)level;
        fprintf(stderr, SLICE_FMT, SLICE_ARG(line));
}

static epp_wall
wall_now(void *ctx)
{
        (void)ctx;
        return (epp_wall)time(NULL) * 1000000;
}

static void
read_options(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                bool known = strncmp(argv[i], "--", 2) != 0;

                if (known)
                        path = argv[i];
                for (size_t j = 0; j < ARRAY_LEN(options) && !known; j++) {
                        size_t n = strlen(options[j].name);

                        known = strncmp(argv[i] + 2, options[j].name, n) == 0 &&
                                argv[i][2 + n] == '=';
                        if (known)
                                *options[j].value = argv[i] + 3 + n;
                }
                if (!known) {
                        fprintf(stderr, "apicat: %s is not known\n", argv[i]);
                        exit(2);
                }
        }
}

static void
run(void)
{
        struct timeval tick = {0, TICK_US};

        api_on_rotation(api, on_rotated, NULL);
        left = number(opt.repeat, 1);
        retry = opt.retry != NULL;
        next_timer = evtimer_new(base, begin, NULL);
        drop_timer = evtimer_new(base, on_drop, NULL);
        tick_timer = event_new(base, -1, EV_PERSIST, on_tick, NULL);
        event_add(tick_timer, &tick);
        begin(-1, 0, NULL);
        event_base_dispatch(base);
        printf("# lag_ms %ld\n", (long)(lag / 1000));
        event_free(next_timer);
        event_free(drop_timer);
        event_free(tick_timer);
}

int
main(int argc, char **argv)
{
        struct epp_log log = {.level = EPP_LOG_DEBUG, .sink = write_line, .wall = wall_now};
        struct api_config cfg;
        char err[1024];
        int r;

        setvbuf(stdout, NULL, _IOLBF, 0);
        signal(SIGPIPE, SIG_IGN);
        read_options(argc, argv);
        cfg = (struct api_config){.from = {opt.kubeconfig, opt.context, getenv, opt.account},
                .resolv_conf = opt.resolv_conf,
                .token_us = number(opt.token_ms, 0) * 1000,
                .ca_us = number(opt.ca_ms, 0) * 1000,
                .exec_ms = (unsigned)number(opt.exec_ms, 0)};
        base = event_base_new();
        r = api_new(base, &cfg, &log, &api, err, sizeof(err));
        if (r < 0)
                printf("# error %s\n", err);
        else if (path)
                run();
        if (r == 0 && !path)
                printf("# server %s namespace %s\n", api_server(api), api_namespace(api));
        api_free(r == 0 ? api : NULL);
        event_base_loop(base, EVLOOP_NONBLOCK); /* what libevent put off */
        event_base_free(base);
        return r == 0 ? 0 : 1;
}
