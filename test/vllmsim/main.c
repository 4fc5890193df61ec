/* main.c - N simulated vLLM servers in one process, one event loop. */
#include "test/vllmsim/sim.h"

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

void *
xcalloc(size_t n, size_t size)
{
        void *p = calloc(n ? n : 1, size ? size : 1);

        if (!p)
                err(1, "calloc");
        return p;
}

char *
xstrdup(const char *s)
{
        char *p = strdup(s);

        if (!p)
                err(1, "strdup");
        return p;
}

static double
clock_s(clockid_t id)
{
        struct timespec ts;

        clock_gettime(id, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double
sim_now(void)
{
        return clock_s(CLOCK_MONOTONIC);
}

double
sim_wall(void)
{
        return clock_s(CLOCK_REALTIME);
}

/* splitmix64 */
uint64_t
sim_random(uint64_t *state)
{
        uint64_t z = *state += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

static const char usage[] =
        "usage: vllmsim [options]\n"
        "  --servers N        servers, on consecutive addresses (1)\n"
        "  --base ADDR        first address (127.0.1.1)\n"
        "  --port P           port of all of them; 0 = any free one each (8000)\n"
        "  --ports N          servers on one address, on consecutive ports from P (1)\n"
        "  --seed S           makes runs repeatable (1)\n"
        "  --model NAME       base model (meta-llama/Llama-3.1-8B-Instruct)\n"
        "  --strict           unknown models are 404; otherwise they are the base model\n"
        "  --max-batch N      requests running at once (32)\n"
        "  --prefill-tps X    prompt tokens per second, shared by the batch (8000)\n"
        "  --decode-tps X     tokens per second of one sequence in an empty batch (50)\n"
        "  --kv-blocks N      KV blocks of 16 tokens (5623)\n"
        "  --lora A,B,C       adapters the server can load\n"
        "  --max-lora N       adapters loaded at once (4)\n"
        "  --lora-load-ms N   time to load one (200)\n"
        "  --ballast-bytes N  least size of the metrics page (60000)\n"
        "  --gpu-kv-name      vllm:gpu_cache_usage_perc in place of vllm:kv_cache_usage_perc\n"
        "  --tick-ms N        step of the engine (5)\n"
        "Prints `listen IP:PORT` for each server, then `ready`. POST /sim sets faults (README).\n";

enum {
        O_SERVERS = 256, O_BASE, O_PORT, O_PORTS, O_SEED, O_MODEL, O_STRICT, O_BATCH, O_PREFILL,
        O_DECODE, O_KV, O_LORA, O_MAXLORA, O_LOAD, O_BALLAST, O_OLDKV, O_TICK, O_HELP
};

static const struct option options[] = {
        { "servers", 1, NULL, O_SERVERS }, { "base", 1, NULL, O_BASE },
        { "port", 1, NULL, O_PORT }, { "ports", 1, NULL, O_PORTS },
        { "seed", 1, NULL, O_SEED },
        { "model", 1, NULL, O_MODEL }, { "strict", 0, NULL, O_STRICT },
        { "max-batch", 1, NULL, O_BATCH }, { "prefill-tps", 1, NULL, O_PREFILL },
        { "decode-tps", 1, NULL, O_DECODE }, { "kv-blocks", 1, NULL, O_KV },
        { "lora", 1, NULL, O_LORA }, { "max-lora", 1, NULL, O_MAXLORA },
        { "lora-load-ms", 1, NULL, O_LOAD }, { "ballast-bytes", 1, NULL, O_BALLAST },
        { "gpu-kv-name", 0, NULL, O_OLDKV }, { "tick-ms", 1, NULL, O_TICK },
        { "help", 0, NULL, O_HELP }, { NULL, 0, NULL, 0 }
};

static double
number(const char *text, double min, double max)
{
        char *end;
        double v = strtod(text, &end);

        if (end == text || *end || !(v >= min && v <= max))
                errx(2, "%s: not a number from %g to %g", text, min, max);
        return v;
}

static void
set_lora(struct sim_opt *o, const char *list)
{
        char *copy = xstrdup(list), *rest = copy, *name;

        while ((name = strsep(&rest, ",")) && o->nlora < SIM_LORA_MAX) {
                if (*name)
                        o->lora[o->nlora++] = xstrdup(name);
        }
        free(copy);
}

static void
parse(struct sim_opt *o, int argc, char **argv)
{
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
                switch (c) {
                case O_SERVERS: o->servers = (int)number(optarg, 1, 4096); break;
                case O_BASE: o->base = optarg; break;
                case O_PORT: o->port = (int)number(optarg, 0, 65535); break;
                case O_PORTS: o->ports = (int)number(optarg, 1, 4096); break;
                case O_SEED: o->seed = strtoull(optarg, NULL, 0); break;
                case O_MODEL: o->model = optarg; break;
                case O_STRICT: o->strict = true; break;
                case O_BATCH: o->max_batch = (int)number(optarg, 1, 1e6); break;
                case O_PREFILL: o->prefill_tps = number(optarg, 1e-3, 1e12); break;
                case O_DECODE: o->decode_tps = number(optarg, 1e-3, 1e12); break;
                case O_KV: o->kv_blocks = (int)number(optarg, 1, 1e7); break;
                case O_LORA: set_lora(o, optarg); break;
                case O_MAXLORA: o->max_lora = (int)number(optarg, 1, SIM_LORA_MAX); break;
                case O_LOAD: o->lora_load_ms = (int)number(optarg, 0, 1e6); break;
                case O_BALLAST: o->ballast_bytes = (size_t)number(optarg, 0, 1e8); break;
                case O_OLDKV: o->old_kv_name = true; break;
                case O_TICK: o->tick_ms = (int)number(optarg, 1, 900); break;
                case 'h':
                case O_HELP: fputs(usage, stdout); exit(0);
                default: fputs(usage, stderr); exit(2);
                }
        }
}

/* Also after a restart, when the port is known and must be the same one. */
bool
server_listen(struct server *sv)
{
        struct evhttp_bound_socket *bound;
        struct sockaddr_in sin;
        socklen_t len = sizeof(sin);

        sv->http = evhttp_new(sv->evbase);
        if (!sv->http)
                return false;
        bound = evhttp_bind_socket_with_handle(sv->http, sv->ip, sv->port);
        if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (void *)&sin, &len) < 0) {
                evhttp_free(sv->http);
                sv->http = NULL;
                return false;
        }
        sv->port = ntohs(sin.sin_port);
        evhttp_set_timeout(sv->http, 3600);
        evhttp_set_allowed_methods(sv->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD
                | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
        evhttp_set_gencb(sv->http, api_request, sv);
        snprintf(sv->addr, sizeof(sv->addr), "%s:%u", sv->ip, sv->port);
        return true;
}

static void
server_start(struct sim *sim, int i)
{
        struct server *sv = &sim->servers[i];
        struct in_addr in;

        if (inet_pton(AF_INET, sim->opt.base, &in) != 1)
                errx(2, "%s: not an IPv4 address", sim->opt.base);
        in.s_addr = htonl(ntohl(in.s_addr) + (uint32_t)(i / sim->opt.ports));
        inet_ntop(AF_INET, &in, sv->ip, sizeof(sv->ip));
        sv->opt = &sim->opt;
        sv->sim = sim;
        sv->evbase = sim->evbase;
        sv->index = i;
        sv->port = (uint16_t)(sim->opt.port ? sim->opt.port + i % sim->opt.ports : 0);
        fault_reset(sv);
        engine_init(sv);
        if (!server_listen(sv))
                err(1, "%s:%u", sv->ip, sv->port);
        printf("listen %s\n", sv->addr);
}

static void
server_stop(struct server *sv)
{
        if (sv->http)
                evhttp_free(sv->http); /* closes every connection, which ends every job */
        engine_fini(sv);
        fault_fini(sv);
}

static void
on_signal(evutil_socket_t fd, short what, void *arg)
{
        (void)fd, (void)what;
        event_base_loopbreak(arg);
}

int
main(int argc, char **argv)
{
        struct sim sim = { .opt = { .servers = 1, .port = 8000, .ports = 1, .base = "127.0.1.1",
                .model = "meta-llama/Llama-3.1-8B-Instruct", .seed = 1, .max_batch = 32,
                .kv_blocks = 5623, .max_lora = 4, .tick_ms = 5, .lora_load_ms = 200,
                .prefill_tps = 8000, .decode_tps = 50, .ballast_bytes = 60000 } };
        struct event *sigterm, *sigint;

        parse(&sim.opt, argc, argv);
        signal(SIGPIPE, SIG_IGN);
        sim.evbase = event_base_new();
        if (!sim.evbase)
                errx(1, "no event base");
        sim.servers = xcalloc((size_t)sim.opt.servers, sizeof(*sim.servers));
        for (int i = 0; i < sim.opt.servers; i++)
                server_start(&sim, i);
        sigterm = evsignal_new(sim.evbase, SIGTERM, on_signal, sim.evbase);
        sigint = evsignal_new(sim.evbase, SIGINT, on_signal, sim.evbase);
        event_add(sigterm, NULL);
        event_add(sigint, NULL);
        puts("ready");
        fflush(stdout);
        event_base_dispatch(sim.evbase);
        for (int i = 0; i < sim.opt.servers; i++)
                server_stop(&sim.servers[i]);
        for (int i = 0; i < sim.opt.nlora; i++)
                free(sim.opt.lora[i]);
        free(sim.servers);
        event_free(sigterm);
        event_free(sigint);
        event_base_free(sim.evbase);
        return 0;
}
