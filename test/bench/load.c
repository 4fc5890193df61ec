/* load.c - ext_proc load in Envoy's frame shapes; see README. Options, the loop, the report. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "test/bench/load.h"

static const char usage[] =
        "load --target ADDR:PORT [options]: ext_proc streams as Envoy sends them\n"
        "  --tls                 TLS, any certificate\n"
        "  --connections N       (1)\n"
        "  --streams N           at once on each connection (32)\n"
        "  --requests N          in all (10000; with --duration: no limit)\n"
        "  --duration SECONDS    begin streams for so long\n"
        "  --rate R              begin R streams a second whatever comes back (0: closed loop)\n"
        "  --mode MODE           duplex lean buffered none (duplex)\n"
        "  --model NAME          in the request body (m)\n"
        "  --body BYTES          of the request, at least that of an empty chat; 0: a GET (700)\n"
        "  --request-chunk BYTES the body in messages of this size (0: one)\n"
        "  --chunks N            of the response, with --chunk-size BYTES each (8 of 200)\n"
        "  --spacing MS          one chunk every MS milliseconds (0: as fast as they are answered)\n"
        "  --lockstep            the next chunk only after the answer to the last\n"
        "  --end HOW             reset: END_STREAM, RST_STREAM; half-close: await the status\n"
        "  --abort WHERE         RST_STREAM behind headers, in the middle of body, or of response\n"
        "  --hold SECONDS        once every place has its pick, wait so long, then go on\n"
        "  --hold-at WHERE       ... behind the pick, or before the end of the request body (pick, end)\n"
        "  --drop                ... then reset the connections instead\n"
        "  --per-connection N    requests, then a new connection in its place (0: no limit)\n"
        "  --resume              ... with the TLS session of the last one\n"
        "  --subset LIST         only these may be picked: ADDR:PORT,... as Envoy's metadata\n"
        "  --spread              report picks of the least and of the most picked endpoint\n"
        "  --endpoints N         ... of so many: one that was never picked counts as 0\n"
        "  --stall N             so many streams of each connection never read their answers\n"
        "  --deaf                the connections never read at all; ends after --duration\n"
        "  --window BYTES        offered to each stream (16777216)\n"
        "  --pid PID             report CPU time and memory of this process\n"
        "  --timeout SECONDS     for the whole run (120)\n"
        "Prints lines of a name and a number. Exit 1: a request failed or the time was over.\n";

static const char *const mode_names[] = { "duplex", "lean", "buffered", "none", NULL };
static const char *const abort_names[] = { "no", "headers", "body", "response", NULL };
static const char *const hold_names[] = { "pick", "end", NULL };
static const char *const end_names[] = { "reset", "half-close", NULL };

int64_t
now_us(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void
fail(struct run *run, const char *fmt, ...)
{
        va_list ap;

        if (run->why[0])
                return;
        va_start(ap, fmt);
        vsnprintf(run->why, sizeof(run->why), fmt, ap);
        va_end(ap);
}

static double
number(const char *text, double max)
{
        char *end;
        double v = strtod(text, &end);

        if (*end || end == text || !(v >= 0 && v <= max))
                errx(2, "%s: not a number from 0 to %g", text, max);
        return v;
}

static unsigned
word(const char *text, const char *const *names)
{
        for (unsigned i = 0; names[i]; i++)
                if (strcmp(text, names[i]) == 0)
                        return i;
        errx(2, "%s: unknown", text);
}

static void
set_target(struct load_options *o, const char *text)
{
        static char address[64];
        const char *colon = strrchr(text, ':');

        if (!colon || (size_t)(colon - text) >= sizeof(address))
                errx(2, "%s: not ADDR:PORT", text);
        memcpy(address, text, (size_t)(colon - text));
        o->address = address;
        o->port = (uint16_t)number(colon + 1, 65535);
}

enum {
        O_TARGET = 256, O_TLS, O_CONNECTIONS, O_STREAMS, O_REQUESTS, O_DURATION, O_RATE, O_MODE,
        O_MODEL, O_BODY, O_RCHUNK, O_CHUNKS, O_CSIZE, O_LOCKSTEP, O_END, O_ABORT, O_HOLD, O_DROP,
        O_STALL, O_DEAF, O_WINDOW, O_PID, O_TIMEOUT, O_SUBSET, O_SPACING, O_PERCONN, O_RESUME,
        O_SPREAD, O_ENDPOINTS, O_HOLDAT, O_HELP
};
static const struct option long_options[] = {
        { "target", 1, NULL, O_TARGET }, { "tls", 0, NULL, O_TLS },
        { "connections", 1, NULL, O_CONNECTIONS }, { "streams", 1, NULL, O_STREAMS },
        { "requests", 1, NULL, O_REQUESTS }, { "duration", 1, NULL, O_DURATION },
        { "rate", 1, NULL, O_RATE }, { "mode", 1, NULL, O_MODE }, { "model", 1, NULL, O_MODEL },
        { "body", 1, NULL, O_BODY }, { "request-chunk", 1, NULL, O_RCHUNK },
        { "chunks", 1, NULL, O_CHUNKS }, { "chunk-size", 1, NULL, O_CSIZE },
        { "lockstep", 0, NULL, O_LOCKSTEP }, { "end", 1, NULL, O_END },
        { "abort", 1, NULL, O_ABORT }, { "hold", 1, NULL, O_HOLD }, { "drop", 0, NULL, O_DROP },
        { "stall", 1, NULL, O_STALL }, { "deaf", 0, NULL, O_DEAF },
        { "window", 1, NULL, O_WINDOW }, { "pid", 1, NULL, O_PID },
        { "timeout", 1, NULL, O_TIMEOUT }, { "subset", 1, NULL, O_SUBSET },
        { "spacing", 1, NULL, O_SPACING }, { "per-connection", 1, NULL, O_PERCONN },
        { "resume", 0, NULL, O_RESUME }, { "spread", 0, NULL, O_SPREAD },
        { "endpoints", 1, NULL, O_ENDPOINTS }, { "hold-at", 1, NULL, O_HOLDAT }, { "help", 0, NULL, O_HELP }, { NULL, 0, NULL, 0 }
};

static void
set_option(struct load_options *o, int c, const char *arg)
{
        switch (c) {
        case O_TARGET: set_target(o, arg); break;
        case O_TLS: o->tls = true; break;
        case O_CONNECTIONS: o->connections = (unsigned)number(arg, 10000); break;
        case O_STREAMS: o->streams = (unsigned)number(arg, 1e6); break;
        case O_REQUESTS: o->requests = (uint64_t)number(arg, 1e12); break;
        case O_DURATION: o->duration = number(arg, 1e6); break;
        case O_RATE: o->rate = number(arg, 1e7); break;
        case O_MODE: o->mode = word(arg, mode_names); break;
        case O_MODEL: o->model = arg; break;
        case O_BODY: o->body = (size_t)number(arg, 1 << 30); break;
        case O_RCHUNK: o->request_chunk = (size_t)number(arg, 1 << 30); break;
        case O_CHUNKS: o->chunks = (size_t)number(arg, 1e6); break;
        case O_CSIZE: o->chunk_size = (size_t)number(arg, 1 << 24); break;
        case O_LOCKSTEP: o->lockstep = true; break;
        case O_END: o->half_close = word(arg, end_names); break;
        case O_ABORT: o->abort = word(arg, abort_names); break;
        case O_HOLD: o->hold = number(arg, 3600); break;
        case O_DROP: o->drop = true; break;
        case O_STALL: o->stall = (unsigned)number(arg, 1e6); break;
        case O_DEAF: o->deaf = true; break;
        case O_WINDOW: o->window = (size_t)number(arg, 1 << 30); break;
        case O_PID: o->pid = (int)number(arg, 1 << 30); break;
        case O_TIMEOUT: o->timeout = number(arg, 1e6); break;
        case O_SUBSET: o->subset = arg; break;
        case O_SPACING: o->spacing = number(arg, 1e6); break;
        case O_PERCONN: o->per_connection = (unsigned)number(arg, 1e9); break;
        case O_RESUME: o->resume = true; break;
        case O_SPREAD: o->spread = true; break;
        case O_ENDPOINTS: o->endpoints = (unsigned)number(arg, 1e6); break;
        case O_HOLDAT: o->hold_at = word(arg, hold_names); break;
        case O_HELP: fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
}

static void
parse(struct load_options *o, int argc, char **argv)
{
        int c;

        while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
                set_option(o, c, optarg);
        if (!o->address || optind < argc)
                set_option(o, '?', NULL);
        if (!o->requests && o->duration == 0)
                o->requests = 10000;
        if (!o->connections || !o->streams)
                errx(2, "at least one connection and one stream");
        if (o->hold >= 0 || o->deaf)
                o->requests = (uint64_t)o->connections * o->streams;
        if (o->stall >= o->streams)
                errx(2, "--stall leaves no stream that reads");
        if (o->per_connection && (o->hold >= 0 || o->stall || o->deaf))
                errx(2, "--per-connection goes with none of --hold --stall --deaf");
        if (o->hold_at == HOLD_END && (o->hold < 0 || !o->body || o->mode >= MODE_BUFFERED))
                errx(2, "--hold-at end wants --hold and a body in the mode duplex or lean");
}

struct usage {
        uint64_t cpu_us, rss_kib, peak_kib;
};

/* The number behind <key> in /proc/PID/FILE. */
static uint64_t
proc_number(int pid, const char *file, const char *key)
{
        char path[64], line[256];
        uint64_t v = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (strncmp(line, key, strlen(key)) == 0) {
                        v = strtoull(line + strlen(key), NULL, 10);
                        break;
                }
        if (f)
                fclose(f);
        return v;
}

/* CPU time of all its threads, those included that are over. */
static uint64_t
cpu_us(int pid)
{
        struct timespec t = { 0, 0 };
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) == 0)
                clock_gettime(clock, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct usage
usage_of(int pid)
{
        struct usage u = { 0, 0, 0 };

        if (pid) {
                u.cpu_us = cpu_us(pid);
                u.rss_kib = proc_number(pid, "status", "VmRSS:");
                u.peak_kib = proc_number(pid, "status", "VmHWM:");
        }
        return u;
}

static bool
more(const struct run *run)
{
        const struct load_options *o = run->opt;

        return !run->stop && (!o->requests || run->begun < o->requests);
}

/* Begins what is due: all free places, or what the rate says. */
static void
begin(struct run *run, struct conn **conns, int64_t start, int64_t now)
{
        const struct load_options *o = run->opt;
        static unsigned next;
        unsigned full = 0;

        if (o->duration > 0 && now - start > (int64_t)(o->duration * 1e6))
                run->stop = true;
        while (more(run) && full < o->connections) {
                struct conn *c = conns[next++ % o->connections];
                int64_t due = now;

                if (o->rate > 0) {
                        due = start + (int64_t)((double)run->begun * 1e6 / o->rate);
                        if (due > now)
                                return;
                }
                if (!c || !conn_free_slot(c)) {
                        full++;
                        continue;
                }
                full = 0;
                conn_begin(c, due);
        }
}

/* There is more to begin and a place for it: do not sleep. */
static bool
can_begin(const struct run *run, struct conn **conns)
{
        const struct load_options *o = run->opt;

        if (!more(run) || o->rate > 0)
                return false;
        for (unsigned i = 0; i < o->connections; i++)
                if (conns[i] && conn_free_slot(conns[i]))
                        return true;
        return false;
}

static bool
hold_over(struct run *run, struct conn **conns, int64_t now)
{
        const struct load_options *o = run->opt;

        if (o->hold < 0 || run->released)
                return false;
        if (!run->release_at && run->held == (uint64_t)o->connections * o->streams) {
                run->release_at = now + (int64_t)(o->hold * 1e6);
                printf("held %" PRIu64 "\n", run->held);
                fflush(stdout);
        }
        if (!run->release_at || now < run->release_at)
                return false;
        run->released = true;
        if (o->drop)
                return true;
        for (unsigned i = 0; i < o->connections; i++)
                if (conns[i])
                        conn_release(conns[i]);
        return false;
}

static bool
finished(const struct run *run)
{
        if (more(run))
                return false;
        /* Streams that never read are not waited for. */
        return run->ended + (run->stalled - run->stalled_resets) >= run->begun;
}

/* Microseconds that nothing can be due in. */
static int64_t
idle_us(const struct run *run, struct conn **conns)
{
        const struct load_options *o = run->opt;
        int64_t now = now_us(), at = now + 20000, due;

        if (can_begin(run, conns))
                return 0;
        if (o->rate > 0) {
                due = run->first_us + (int64_t)((double)run->begun * 1e6 / o->rate);
                at = EPP_MIN(at, due > now ? due : now + 1000); /* late: all places are taken */
        }
        if (run->release_at && !run->released)
                at = EPP_MIN(at, run->release_at);
        for (unsigned i = 0; o->spacing > 0 && i < o->connections; i++)
                if (conns[i])
                        at = EPP_MIN(at, conn_wakes(conns[i]));
        return EPP_MAX(at - now, 0);
}

/* The same in microseconds that epoll_wait has in milliseconds: due times are kept to some 10. */
static int
wait_events(int ep, struct epoll_event *got, int n, int64_t us)
{
        struct timespec t = { us / 1000000, us % 1000000 * 1000 };

        return epoll_pwait2(ep, got, n, &t, NULL);
}

static void
open_into(struct run *run, struct conn **c, int ep, unsigned i)
{
        struct epoll_event ev = { .events = EPOLLIN, .data = { .u32 = i } };

        *c = conn_open(run);
        epoll_ctl(ep, EPOLL_CTL_ADD, conn_fd(*c), &ev);
}

/* One look at every connection. False: nothing is left to do. */
static bool
turn(struct run *run, struct conn **conns, int ep, int64_t start)
{
        struct epoll_event got[64];
        const struct load_options *o = run->opt;
        int64_t now = now_us();
        unsigned alive = 0;
        int n;

        begin(run, conns, start, now);
        if (hold_over(run, conns, now) || finished(run) || (o->deaf && run->stop))
                return false;
        if (now - start > (int64_t)(o->timeout * 1e6)) {
                fail(run, "timeout with %" PRIu64 " streams open", run->begun - run->ended);
                run->failed += run->begun - run->ended;
                return false;
        }
        for (unsigned i = 0; i < o->connections; i++) {
                struct epoll_event ev = { .data = { .u32 = i } };

                if (!conns[i])
                        continue;
                if (!conn_turn(conns[i], false)) {
                        conn_free(conns[i], false);
                        conns[i] = NULL;
                        continue;
                }
                if (more(run) && conn_spent(conns[i])) {
                        conn_free(conns[i], false);
                        open_into(run, &conns[i], ep, i);
                }
                alive++;
                ev.events = (conn_wants_read(conns[i]) ? EPOLLIN : 0u) |
                        (conn_wants_write(conns[i]) ? EPOLLOUT : 0u);
                epoll_ctl(ep, EPOLL_CTL_MOD, conn_fd(conns[i]), &ev);
        }
        if (!alive)
                return false; /* each was lost, and has said so */
        n = wait_events(ep, got, 64, idle_us(run, conns));
        for (int i = 0; i < n; i++) {
                struct conn **c = &conns[got[i].data.u32];

                if (*c && (got[i].events & ~(uint32_t)EPOLLOUT) &&
                        (conn_wants_read(*c) || (got[i].events & (EPOLLHUP | EPOLLERR))) &&
                        !conn_turn(*c, true)) {
                        conn_free(*c, false);
                        *c = NULL;
                }
        }
        return true;
}

static void
report(const struct run *run, const struct usage *before, const struct usage *after)
{
        const struct load_options *o = run->opt;
        double cpu = (double)(after->cpu_us - before->cpu_us);
        double seconds = (double)(run->last_us - run->first_us) / 1e6;
        uint64_t ok = run->ended - EPP_MIN(run->failed, run->ended);
        const struct hist *h = &run->pick_us;

        printf("requests %" PRIu64 "\nerrors %" PRIu64 "\nanswers %" PRIu64 "\nseconds %.3f\n"
               "requests_per_second %.0f\n", run->begun, run->failed, run->answers, seconds,
               seconds > 0 ? (double)ok / seconds : 0);
        printf("picks %" PRIu64 "\npick_us_p50 %" PRIu64 "\npick_us_p99 %" PRIu64
               "\npick_us_p99.9 %" PRIu64 "\npick_us_max %" PRIu64 "\n", h->n, hist_at(h, 0.5),
               hist_at(h, 0.99), hist_at(h, 0.999), h->max);
        printf("routed_us_p50 %" PRIu64 "\nrouted_us_p99 %" PRIu64 "\n", hist_at(&run->routed_us, 0.5),
                hist_at(&run->routed_us, 0.99));
        if (o->per_connection)
                printf("connections %" PRIu64 "\nresumed %" PRIu64 "\n", run->connections, run->resumed);
        if (o->spread)
                dests_print(&run->dests, o->endpoints);
        if (o->stall)
                printf("stalled_resets %" PRIu64 "\n", run->stalled_resets);
        if (o->pid)
                printf("target_cpu_us_per_request %.2f\ntarget_rss_kib_before %" PRIu64
                       "\ntarget_rss_kib_after %" PRIu64 "\ntarget_rss_kib_peak %" PRIu64 "\n",
                       run->ended ? cpu / (double)run->ended : 0, before->rss_kib,
                       after->rss_kib, after->peak_kib);
        if (run->why[0])
                printf("# %s\n", run->why);
}

int
main(int argc, char **argv)
{
        static struct run run;
        struct load_options o = { .model = "m", .connections = 1, .streams = 32, .hold = -1,
                .timeout = 120, .body = 700, .chunks = 8, .chunk_size = 200, .window = 16 << 20 };
        struct usage before, after;
        struct conn **conns;
        int ep = epoll_create1(EPOLL_CLOEXEC);

        parse(&o, argc, argv);
        signal(SIGPIPE, SIG_IGN);
        run.opt = &o;
        prctl(PR_SET_TIMERSLACK, 1000ul);
        plan_make(&run.plan, &o);
        if (o.subset)
                dests_allow(&run.dests, o.subset);
        conns = calloc(o.connections, sizeof(struct conn *));
        if (!conns || ep < 0)
                err(2, "cannot begin");
        before = usage_of(o.pid);
        for (unsigned i = 0; i < o.connections; i++)
                open_into(&run, &conns[i], ep, i);
        if (!o.per_connection)
                before = usage_of(o.pid); /* else handshakes count */
        run.first_us = run.last_us = now_us();
        while (turn(&run, conns, ep, run.first_us))
                ;
        after = usage_of(o.pid);
        for (unsigned i = 0; i < o.connections; i++)
                if (conns[i])
                        conn_free(conns[i], o.drop);
        plan_free(&run.plan);
        free(conns);
        close(ep);
        report(&run, &before, &after);
        return run.failed || run.goaways || run.why[0];
}
