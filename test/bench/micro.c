/* micro.c - what single parts cost: nanoseconds per call, the least of several rounds, as the others
 * were disturbed. Prints lines of a name, a number and its unit.
 *   micro PAGE        a metrics page of some 60 KB */
#include <err.h>
#include <time.h>

#include "base/hist.h"
#include "model/load.h"
#include "model/pool.h"
#include "model/series.h"
#include "plugin/plugins.h"
#include "sched/sched.h"
#include "wire/extanswer.h"
#include "wire/jscan.h"
#include "wire/promscan.h"
#include "wire/sse.h"

#define ROUNDS 15
#define ROUND_NS 10000000

static int64_t
now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Nanoseconds per call of <fn>; as many calls between two looks at the clock as take a while. */
static double
measure(void (*fn)(void *), void *arg)
{
        double best = 1e18;
        uint64_t batch = 1;

        for (int round = 0; round < ROUNDS;) {
                int64_t begin = now_ns(), took;

                for (uint64_t i = 0; i < batch; i++)
                        fn(arg);
                took = now_ns() - begin;
                if (took < ROUND_NS) {
                        batch *= 2;
                        continue;
                }
                best = EPP_MIN(best, (double)took / (double)batch);
                round++;
        }
        return best;
}

/* ---- scanners ---- */

static void
scan_json(void *arg)
{
        static struct epp_jscan j;

        epp_jscan_init(&j);
        epp_jscan_feed(&j, *(struct epp_slice *)arg);
        epp_jscan_end(&j);
        EPP_ASSERT(!j.error);
}

/* A chat of about <n> bytes: one long message, or many short values. */
static struct epp_slice
chat(size_t n, bool dense)
{
        char *p = malloc(n + 256);
        size_t at = 0;

        EPP_ASSERT(p);
        at += (size_t)snprintf(p, 128, "{\"model\":\"m\",\"messages\":[");
        if (!dense)
                at += (size_t)snprintf(p + at, 64, "{\"role\":\"user\",\"content\":\"");
        while (at < n)
                at += (size_t)snprintf(p + at, 64, dense ? "{\"a\":[1,2.5,-3],\"b\":true,\"c\":null},"
                                                         : "some words of a prompt and ");
        if (dense)
                at--;
        at += (size_t)snprintf(p + at, 64, dense ? "]}" : "\"}]}");
        return epp_slice(p, at);
}

struct page {
        struct epp_slice text;
        struct epp_load_fold fold;
        struct epp_promscan scan;
        struct epp_load load;
};

static void
scan_page(void *arg)
{
        struct page *p = arg;
        int r;

        epp_promscan_begin(&p->scan);
        epp_load_fold_begin(&p->fold, 1, 0);
        for (size_t at = 0; at < p->text.n; at += 16384) /* as libcurl gives it */
                if (epp_promscan_feed(&p->scan, epp_slice(p->text.p + at,
                            EPP_MIN(p->text.n - at, (size_t)16384))) < 0)
                        errx(1, "no memory");
        r = epp_promscan_end(&p->scan, true);
        EPP_ASSERT(r == 0 && epp_load_fold_end(&p->fold, &p->load) > 0);
}

static void
scan_event(void *arg)
{
        static const char event[] = "data: {\"id\":\"chatcmpl-7b9d8e76\",\"object\":"
                "\"chat.completion.chunk\",\"created\":1732000000,\"model\":\"llama\",\"choices\":[{"
                "\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null"
                "}],\"usage\":null}\n\n";

        epp_sse_feed(arg, epp_slice(event, sizeof(event) - 1));
}

/* ---- tables ---- */

static void
add_value(void *arg)
{
        static double v;

        v = v > 100 ? 0.001 : v * 1.1 + 0.0001;
        epp_hist_add(arg, v);
}

static void
find_cell(void *arg)
{
        static const struct epp_labels l = { EPP_SLICE("meta-llama/Llama-3.1-8B-Instruct"),
                EPP_SLICE("sql-lora-v1"), EPP_SLICE("default-flow"), 0, true, true };

        EPP_ASSERT(epp_series_cell(arg, &l));
}

static void
write_answer(void *arg)
{
        struct epp_ext_pair set[] = { { EPP_SLICE("x-gateway-destination-endpoint"),
                EPP_SLICE("10.0.0.1:8000") } };
        struct epp_ext_out o = { .set = set, .n_set = 1, .clear_route_cache = true,
                .ns = EPP_SLICE("envoy.lb"), .key = EPP_SLICE("x-gateway-destination-endpoint"),
                .endpoint = EPP_SLICE("10.0.0.1:8000") };
        struct epp_buf *b = arg;

        epp_buf_drain(b, epp_buf_len(b));
        EPP_ASSERT(epp_ext_put(b, EPP_EXT_REQUEST_HEADERS, &o) == 0);
}

/* ---- the scheduler ---- */

struct picks {
        struct epp_pool *pool;
        struct epp_sched *sched;
        struct epp_request req;
        size_t n;
};

static void
pick(void *arg)
{
        struct picks *p = arg;
        struct epp_endpoint **room = epp_sched_candidates(p->sched, p->n), *chosen;
        size_t n;

        memcpy(room, epp_pool_list(p->pool, &n), p->n * sizeof(struct epp_endpoint *));
        if (epp_sched_run(p->sched, &p->req, p->n, &chosen) < 0)
                errx(1, "no pick");
}

static double
measure_picks(size_t n)
{
        struct picks p = { .n = n, .req = { EPP_SLICE("m"), EPP_SLICE("m"), 1, true, 2 } };
        double ns;

        if (epp_pool_new(1, &p.pool) < 0 || epp_sched_new(EPP_TREE_V03, &epp_thresholds_default,
                                                    epp_plugins, 7, &p.sched) < 0)
                errx(1, "no memory");
        for (size_t i = 0; i < n; i++) {
                struct epp_ref ref;
                char name[32], addr[32];

                snprintf(name, sizeof(name), "pod-%zu", i);
                snprintf(addr, sizeof(addr), "10.0.%zu.%zu:8000", i / 250, i % 250);
                if (epp_pool_put(p.pool, epp_slice_str(name), epp_slice_str(addr), &ref) < 0)
                        errx(1, "no memory");
                epp_pool_get(p.pool, ref)->load = (struct epp_load){ .at = 1,
                        .state = EPP_LOAD_FRESH, .waiting = (int64_t)(i % 7),
                        .kv_ratio = (double)(i % 10) / 20 };
        }
        ns = measure(pick, &p);
        epp_sched_free(p.sched);
        epp_pool_free(p.pool);
        return ns;
}

static void
read_page(struct page *p, const char *path)
{
        FILE *f = fopen(path, "re");
        char *text = malloc(1 << 20);

        if (!f || !text)
                err(1, "%s", path);
        p->text = epp_slice(text, fread(text, 1, 1 << 20, f));
        fclose(f);
        epp_load_fold_init(&p->fold, epp_load_spec_default());
        if (epp_promscan_init(&p->scan, p->fold.names, p->fold.n_names, epp_load_fold_sample,
                    &p->fold) < 0)
                errx(1, "promscan");
}

int
main(int argc, char **argv)
{
        struct epp_slice strings = chat(600000, false), dense = chat(600000, true);
        static const size_t sizes[] = { 5, 100, 1000 };
        struct epp_cell cell = { .requests = 0 };
        struct epp_buf answer = { 0 };
        struct epp_series *series;
        static struct page page;
        struct epp_sse sse;

        if (argc != 2)
                errx(2, "usage: micro PAGE");
        read_page(&page, argv[1]);
        epp_sse_init(&sse);
        EPP_HIST_INIT(&cell, duration, GEN);
        if (epp_series_new(1000, 1, &series) < 0)
                errx(1, "no memory");
        printf("jscan_strings %.2f GB/s\n", (double)strings.n / measure(scan_json, &strings));
        printf("jscan_dense %.2f GB/s\n", (double)dense.n / measure(scan_json, &dense));
        printf("promscan_page %.2f us\n", measure(scan_page, &page) / 1e3);
        printf("sse_event %.3f us\n", measure(scan_event, &sse) / 1e3);
        printf("answer_headers %.3f us\n", measure(write_answer, &answer) / 1e3);
        printf("hist_add %.1f ns\n", measure(add_value, &cell.duration));
        printf("series_cell %.1f ns\n", measure(find_cell, series));
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
                printf("sched_%zu %.3f us\n", sizes[i], measure_picks(sizes[i]) / 1e3);
        return 0;
}
