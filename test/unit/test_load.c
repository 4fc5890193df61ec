/* test_load.c - captured pages become loads, whole and in every cut; the rules for odd values. */
#include "unit.h"
#include "model/metricspec.h"
#include "wire/promscan.h"

#include <math.h>

#ifdef EPP_DEBUG
#define CUT_STEP 211 /* sanitizers are slow: a prime, so that cuts fall everywhere in a line */
#else
#define CUT_STEP 1
#endif

struct rig {
        struct epp_load_fold f;
        struct epp_promscan p;
        struct epp_load l;
        epp_us now;
        epp_wall wall;
};

static void
rig_init(struct rig *r, const struct epp_load_spec *spec)
{
        memset(r, 0, sizeof(*r));
        r->now = 1000;
        epp_load_fold_init(&r->f, spec);
        ck_assert_int_eq(epp_promscan_init(&r->p, r->f.names, r->f.n_names, epp_load_fold_sample,
                &r->f), 0);
}

static void
rig_fini(struct rig *r)
{
        epp_promscan_fini(&r->p);
        epp_load_fold_fini(&r->f);
        epp_load_fini(&r->l);
}

/* Reads <page> cut at <cut>, or into pieces of one byte when <cut> is SIZE_MAX. */
static int
read_page(struct rig *r, struct epp_slice page, size_t cut)
{
        size_t at = 0;

        epp_promscan_begin(&r->p);
        epp_load_fold_begin(&r->f, r->now, r->wall);
        while (at < page.n) {
                size_t n = cut == SIZE_MAX ? 1 : at < cut ? EPP_MIN(cut, page.n) - at : page.n - at;

                ck_assert_int_eq(epp_promscan_feed(&r->p, epp_slice(page.p + at, n)), 0);
                at += n;
        }
        ck_assert_int_eq(epp_promscan_end(&r->p, true), 0);
        return epp_load_fold_end(&r->f, &r->l);
}

static int
read_text(struct rig *r, const char *text)
{
        return read_page(r, epp_slice_str(text), 0);
}

/* The whole file; p is NULL when it is not there (release tarballs leave two pages out). */
static struct epp_slice
file_load(const char *name)
{
        const char *dir = getenv("EPP_TEST_DATA");
        static char bytes[128 * 1024];
        char path[512];
        size_t n;
        FILE *fp;

        snprintf(path, sizeof(path), "%s/metrics/%s", dir ? dir : "test/data", name);
        fp = fopen(path, "rb");
        if (!fp)
                return (struct epp_slice){ NULL, 0 };
        n = fread(bytes, 1, sizeof(bytes), fp);
        fclose(fp);
        ck_assert_uint_lt(n, sizeof(bytes));
        return epp_slice(bytes, n);
}

/* The names of <s>, joined with commas. */
static const char *
names_of(const struct epp_loras *s)
{
        static char out[1024];
        size_t at = 0;

        out[0] = '\0';
        for (uint32_t i = 0; i < s->n; i++)
                at += (size_t)snprintf(out + at, sizeof(out) - at, "%s%.*s", i ? "," : "",
                        (int)s->v[i].len, s->text + s->v[i].off);
        return out;
}

/* The table of test/data/metrics/README.md. */
static const struct page {
        const char *file, *engine;
        bool optional;
        int64_t waiting, running;
        double kv;
        int64_t max_lora;
        const char *v03;
        int64_t max_v03, block_size, blocks;
        uint32_t found;
} pages[] = {
#define CORE (1u << EPP_LOAD_WAITING | 1u << EPP_LOAD_RUNNING)
#define KV (1u << EPP_LOAD_KV)
#define OLD (1u << EPP_LOAD_KV_OLD)
#define INFO (1u << EPP_LOAD_CACHE_INFO)
#define LORA (1u << EPP_LOAD_LORA)
#define BLOCKS (1u << EPP_LOAD_BLOCK_SIZE | 1u << EPP_LOAD_BLOCKS)
        { "vllm-0.30.0-lora.txt", "vllm", true, 0, 0, 0, 8, "a2,a6,a3,a7,a4,a5,a8", 8, 16, 5623,
                CORE | KV | INFO | LORA },
        { "vllm-v1-tinyllama.txt", "vllm", false, 0, 0, 0, 0, "", 0, 16, 6971, CORE | KV | INFO },
        { "vllm-v1-qwen-chat.txt", "vllm", false, 0, 0, 0, 0, "", 0, 16, 2452, CORE | KV | INFO },
        { "vllm-v1-qwen.txt", "vllm", false, 0, 0, 0, 0, "", 0, 16, 3260, CORE | KV | INFO },
        { "vllm-v0-datadog.txt", "vllm", false, 0, 0, 0, 0, "", 0, 16, 7281,
                CORE | KV | OLD | INFO },
        { "vllm-v0-load.txt", "vllm", true, 2, 3, 0, 0, "", 0, 16, 11560,
                CORE | OLD | INFO | LORA },
        { "sglang-load.txt", "sglang", false, 2826, 162, 0.28, 0, "", 0, 0, 0, CORE | KV },
        { "triton-trtllm.txt", "triton-tensorrt-llm", false, 1, 1, 0.4875, 0, "", 0, 64, 6239,
                CORE | KV | BLOCKS },
        { "triton-core.txt", "triton", false, 0, 0, 0, 0, "", 0, 0, 0, CORE },
};

/* Every value is spoilt first: what stands there afterwards came from the page. */
static void
check_page(struct rig *r, const struct page *e, struct epp_slice page, size_t cut)
{
        epp_load_fini(&r->l);
        if (e->found & LORA)
                r->l.max_lora = 99;
        r->l.waiting = r->l.running = 77;
        r->l.kv_ratio = e->found & (KV | OLD) ? 7 : e->kv;
        ck_assert_int_eq(read_page(r, page, cut), __builtin_popcount(e->found));
        ck_assert_msg(r->f.found == e->found && r->p.errors == 0 && r->f.rejected == 0 &&
                r->l.waiting == e->waiting && r->l.running == e->running &&
                fabs(r->l.kv_ratio - e->kv) < 1e-12 && r->l.max_lora == e->max_lora &&
                r->l.lora_running.n == 0 && r->l.lora_waiting.n == 0 &&
                strcmp(names_of(&r->l.lora_v03), e->v03) == 0 &&
                r->l.max_lora_v03 == e->max_v03 && r->l.block_size == e->block_size &&
                r->l.blocks == e->blocks && r->l.state == EPP_LOAD_FRESH && r->l.at == r->now,
                "%s cut at %zu", e->file, cut);
}

static void
check_every_cut(const struct page *e)
{
        struct epp_slice page = file_load(e->file);
        struct rig r;

        ck_assert(page.p || e->optional);
        if (!page.p)
                return;
        rig_init(&r, epp_load_spec_find(epp_slice_str(e->engine)));
        check_page(&r, e, page, 0);
        check_page(&r, e, page, SIZE_MAX);
        for (size_t cut = 1; cut < page.n; cut += CUT_STEP)
                check_page(&r, e, page, cut);
        rig_fini(&r);
}

START_TEST(captured)
{
        for (size_t i = 0; i < ARRAY_LEN(pages); i++)
                check_every_cut(&pages[i]);
}
END_TEST

#define W "vllm:num_requests_waiting"
#define LORA_ROW(run, wait, max, v) "vllm:lora_requests_info{running_lora_adapters=\"" run \
        "\",waiting_lora_adapters=\"" wait "\",max_lora=\"" max "\"} " v "\n"

START_TEST(values)
{
        static const struct {
                const char *text;
                int64_t waiting;
                uint32_t rejected;
        } row[] = {
                { W " 3\n", 3, 0 }, { W " 3.9\n", 3, 0 }, { W " NaN\n", 55, 1 },
                { W " +Inf\n", 55, 1 }, { W " -Inf\n", 55, 1 }, { W " -1\n", 55, 1 },
                { W " -0\n", 0, 0 }, { W " 1e400\n", 55, 1 }, { W " 1e-400\n", 0, 0 },
                { W " 18446744073709551616\n", 55, 1 }, { W " 2147483647\n", 2147483647, 0 },
                { W " 2147483648\n", 55, 1 },
                { W "{engine=\"0\"} 2\n" W "{engine=\"1\"} 9\n", 2, 0 },
                { W " 2\n" W " NaN\n", 2, 0 }, { W " NaN\n" W " 2\n", 55, 1 },
                { W " 1 5\n" W " 2 6\n" W " 3 6\n", 2, 0 }, { W " 1\n" W " 2 1\n", 2, 0 },
                { W " 1 -5\n", 1, 0 }, { W " 1 -5\n" W " 2\n", 2, 0 },
                { W " 1\n" W " 2 -5\n", 1, 0 }, { W "_by_reason 4\n", 55, 0 },
                { W "{x=\"1\" 4\n" W " 6\n", 6, 0 },
        };
        struct rig r;

        rig_init(&r, epp_load_spec_default());
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                r.l.waiting = 55;
                ck_assert_int_ge(read_text(&r, row[i].text), 0);
                ck_assert_msg(r.l.waiting == row[i].waiting && r.f.rejected == row[i].rejected,
                        "row %zu: %lld", i, (long long)r.l.waiting);
        }
        rig_fini(&r);
}
END_TEST

START_TEST(several_rows)
{
        static const double want[] = { [EPP_ROWS_FIRST] = 2, [EPP_ROWS_SUM] = 12,
                [EPP_ROWS_MAX] = 7, [EPP_ROWS_MEAN] = 4 };

        for (unsigned rows = EPP_ROWS_FIRST; rows <= EPP_ROWS_MEAN; rows++) {
                struct epp_load_spec spec = *epp_load_spec_default();
                struct rig r;

                spec.metric[EPP_LOAD_WAITING].rows = (enum epp_load_rows)rows;
                rig_init(&r, &spec);
                ck_assert_int_eq(read_text(&r, W " 2\n" W " 7\n" W " 3\n"), 1);
                ck_assert_int_eq(r.l.waiting, (int64_t)want[rows]);
                ck_assert_int_eq(read_text(&r, W " 4\n" W " NaN\n"), 1);
                ck_assert_int_eq(r.l.waiting, rows == EPP_ROWS_FIRST ? 4 : (int64_t)want[rows]);
                rig_fini(&r);
        }
}
END_TEST

START_TEST(kv)
{
        struct rig r;

        rig_init(&r, epp_load_spec_default());
        read_text(&r, "vllm:gpu_cache_usage_perc 0.5\n");
        ck_assert_double_eq(r.l.kv_ratio, 0.5);
        ck_assert(!(r.l.missing & (KV | OLD)));
        ck_assert(r.l.missing & CORE);
        read_text(&r, "vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\n");
        ck_assert_double_eq(r.l.kv_ratio, 0.25);
        read_text(&r, "vllm:kv_cache_usage_perc 1.5\n");
        ck_assert_double_eq(r.l.kv_ratio, 1.5);
        read_text(&r, "vllm:kv_cache_usage_perc 101\n");
        ck_assert_double_eq(r.l.kv_ratio, 1.5);
        read_text(&r, "vllm:kv_cache_usage_perc -0.1\n");
        ck_assert_double_eq(r.l.kv_ratio, 1.5);
        rig_fini(&r);
}
END_TEST

START_TEST(cache_info)
{
#define CI "vllm:cache_config_info"
        struct rig r;

        rig_init(&r, epp_load_spec_default());
        read_text(&r, CI "{block_size=\"16\",mamba_block_size=\"None\",num_gpu_blocks=\"70\","
                "num_gpu_blocks_override=\"5\"} 1.0\n");
        ck_assert_int_eq(r.l.block_size, 16);
        ck_assert_int_eq(r.l.blocks, 70);
        read_text(&r, CI "{block_size=\"32\",num_gpu_blocks=\"None\"} 1.0\n" W " 4\n");
        ck_assert_int_eq(r.l.block_size, 32);
        ck_assert_int_eq(r.l.blocks, 70);
        ck_assert_int_eq(r.l.waiting, 4);
        ck_assert_uint_eq(r.f.rejected, 1);
        read_text(&r, CI "{block_size=\"8\"} 1\n" CI "{block_size=\"9\",num_gpu_blocks=\"9\"} 1\n");
        ck_assert_int_eq(r.l.block_size, 8);
        ck_assert_int_eq(r.l.blocks, 70);
        read_text(&r, CI "{block_size=\"99999999999\",num_gpu_blocks=\"-1\"} 1\n");
        ck_assert_int_eq(r.l.block_size, 8);
        rig_fini(&r);
}
END_TEST

static void
loras_are(const struct rig *r, const char *run, const char *wait, const char *v03)
{
        ck_assert_str_eq(names_of(&r->l.lora_running), run);
        ck_assert_str_eq(names_of(&r->l.lora_waiting), wait);
        ck_assert_str_eq(names_of(&r->l.lora_v03), v03);
}

START_TEST(lora)
{
        struct rig r;

        rig_init(&r, epp_load_spec_default());
        read_text(&r, LORA_ROW("a, b", "c,,b ", "4", "10"));
        loras_are(&r, "a,b", "c,b", "a, b,c,,b ");
        ck_assert_int_eq(r.l.max_lora, 4);
        ck_assert(epp_loras_has(&r.l.lora_running, r.l.lora_running.v[1].hash));
        /* An idle row that is newest empties the sets, but not for v0.3.0. */
        read_text(&r, LORA_ROW("a", "", "4", "10") LORA_ROW("", "", "5", "11"));
        loras_are(&r, "", "", "a");
        ck_assert_int_eq(r.l.max_lora, 5);
        ck_assert_int_eq(r.l.max_lora_v03, 4);
        /* First on ties; the value 0 counts today, not in v0.3.0. */
        read_text(&r, LORA_ROW("x", "", "4", "7") LORA_ROW("y", "", "4", "7"));
        loras_are(&r, "x", "", "x");
        read_text(&r, LORA_ROW("z", "", "4", "0"));
        loras_are(&r, "z", "", "x");
        /* No eligible row: the sets stay. */
        read_text(&r, LORA_ROW("q", "", "4", "NaN") LORA_ROW("q", "", "4", "-1"));
        loras_are(&r, "z", "", "x");
        ck_assert_uint_eq(r.f.rejected, 2);
        read_text(&r, W " 1\n");
        loras_are(&r, "z", "", "x");
        /* A row without labels is an idle one. */
        epp_load_fold_fini(&r.f);
        epp_load_fold_init(&r.f, epp_load_spec_default());
        read_text(&r, "vllm:lora_requests_info 1\n");
        loras_are(&r, "", "", "x");
        /* max_lora: no number keeps the value today, is 0 in v0.3.0; empty keeps both. */
        read_text(&r, LORA_ROW("z", "", "junk", "1"));
        ck_assert_int_eq(r.l.max_lora, 4);
        ck_assert_int_eq(r.l.max_lora_v03, 0);
        read_text(&r, LORA_ROW("z", "", "6", "1"));
        read_text(&r, LORA_ROW("z", "", "", "1"));
        ck_assert_int_eq(r.l.max_lora, 6);
        ck_assert_int_eq(r.l.max_lora_v03, 6);
        rig_fini(&r);
}
END_TEST

/* A new process has loaded nothing; what it does not say is not kept from the old one. */
START_TEST(restart)
{
        struct rig r;

        rig_init(&r, epp_load_spec_default());
        read_text(&r, W " 5\n" LORA_ROW("a", "b", "4", "10")
                "vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"70\"} 1\n");
        loras_are(&r, "a", "b", "a,b");
        epp_load_restart(&r.l);
        loras_are(&r, "", "", "");
        ck_assert_int_eq(r.l.max_lora + r.l.max_lora_v03 + r.l.blocks + r.l.block_size, 0);
        ck_assert_int_eq(r.l.waiting, 5);
        read_text(&r, W " 1\n" LORA_ROW("c", "", "2", "11"));
        loras_are(&r, "c", "", "c");
        rig_fini(&r);
}
END_TEST

/* Three processes add their clocks up; the row they share is not the newest one. */
START_TEST(lora_summed)
{
        static const char text[] = LORA_ROW("old", "", "4", "5100000000")
                LORA_ROW("new", "", "4", "1700000200");
        struct rig r;

        rig_init(&r, epp_load_spec_default());
        read_text(&r, text);
        loras_are(&r, "old", "", "old");
        r.wall = 1700000200 * (epp_wall)1000000;
        read_text(&r, text);
        loras_are(&r, "new", "", "new");
        rig_fini(&r);
}
END_TEST

START_TEST(lora_labels)
{
        struct epp_load_spec spec = *epp_load_spec_default();
        struct rig r;

        spec.metric[EPP_LOAD_LORA].label[0] = (struct epp_load_label){ "max_lora", "4" };
        rig_init(&r, &spec);
        read_text(&r, LORA_ROW("a", "", "4", "10") LORA_ROW("b", "", "5", "11"));
        loras_are(&r, "a", "", "b");
        rig_fini(&r);
}
END_TEST

/* 10 000 rows, each newer: only the last is kept. */
START_TEST(lora_many)
{
        size_t n = 0, cap = 10000 * 160;
        char *text = malloc(cap);
        struct rig r;

        for (int i = 1; i <= 10000; i++)
                n += (size_t)snprintf(text + n, cap - n, LORA_ROW("a%d", "w%d", "4", "%d"), i, i,
                        i);
        rig_init(&r, epp_load_spec_default());
        ck_assert_int_eq(read_page(&r, epp_slice(text, n), 12345), 1);
        loras_are(&r, "a10000", "w10000", "a10000,w10000");
        ck_assert_uint_lt(r.f.lora.cap, 100);
        rig_fini(&r);
        free(text);
}
END_TEST

START_TEST(states)
{
        struct rig r;

        rig_init(&r, epp_load_spec_default());
        ck_assert_int_eq(r.l.state, EPP_LOAD_NEVER);
        ck_assert_int_eq(read_text(&r, "<html>\n</html>\n"), 0);
        ck_assert_int_eq(r.l.state, EPP_LOAD_MISSING);
        ck_assert_int_eq(r.l.at, 0);
        ck_assert_int_eq(read_text(&r, W " 1\n"), 1);
        ck_assert_int_eq(r.l.state, EPP_LOAD_FRESH);
        r.now += 50;
        ck_assert_int_eq(read_text(&r, ""), 0);
        ck_assert_int_eq(r.l.state, EPP_LOAD_FRESH);
        ck_assert_int_eq(r.l.at, 1000);
        epp_load_age(&r.l, 1100, 100);
        ck_assert_int_eq(r.l.state, EPP_LOAD_FRESH);
        epp_load_age(&r.l, 1101, 100);
        ck_assert_int_eq(r.l.state, EPP_LOAD_STALE);
        ck_assert_int_eq(read_text(&r, "{}"), 0);
        ck_assert_int_eq(r.l.state, EPP_LOAD_MISSING);
        ck_assert_int_eq(r.l.waiting, 1);
        rig_fini(&r);
}
END_TEST

START_TEST(engines)
{
        struct rig r;

        ck_assert_ptr_eq(epp_load_spec_find(EPP_SLICE("vllm")), epp_load_spec_default());
        ck_assert_ptr_null(epp_load_spec_find(EPP_SLICE("vll")));
        ck_assert_ptr_null(epp_load_spec_find(EPP_SLICE("")));
        rig_init(&r, epp_load_spec_find(EPP_SLICE("triton-tensorrt-llm")));
        ck_assert_uint_eq(r.f.n_names, 2);
        read_text(&r, "nv_trt_llm_request_metrics{model=\"m\",request_type=\"waiting\"} 4\n"
                "nv_trt_llm_request_metrics{request_type=\"scheduled\",model=\"m\"} 5\n"
                "nv_trt_llm_request_metrics{request_type=\"max\"} 6\n");
        ck_assert_int_eq(r.l.waiting, 4);
        ck_assert_int_eq(r.l.running, 5);
        rig_fini(&r);
        rig_init(&r, epp_load_spec_find(EPP_SLICE("trtllm-serve")));
        read_text(&r, "trtllm_kv_cache_max_blocks 90\ntrtllm_kv_cache_tokens_per_block 32\n"
                "trtllm_kv_cache_utilization 0.5\n");
        ck_assert_int_eq(r.l.blocks, 90);
        ck_assert_int_eq(r.l.block_size, 32);
        rig_fini(&r);
}
END_TEST

/* Every row of model-servers.md 1.7; out: family|name=value... */
static const struct {
        const char *text, *out; /* NULL: refused */
} specs[] = {
        { "", "-" },
        { "  ", "-" },
        { "m", "m" },
        { " m ", "m" },
        { "m{a=b}", "m|a=b" },
        { "m{a=\"b\"}", "m|a=b" },
        { "m{ a = b , c = d }", "m|a=b|c=d" },
        { "m { a = \"b\" , c = \"d\" } ", "m|a=b|c=d" },
        { "m{}", "m" },
        { "m{ }", "m" },
        { "m{a}", NULL },
        { "m{a=}", NULL },
        { "m{a=\"\"}", "m|a=" },
        { "m{a=b", NULL },
        { "m a=b}", NULL },
        { "m{a=b}x", NULL },
        { "{a=b}", NULL },
        { "m{a=~b}", "m|a=~b" },
        { "m{a=~\"b\"}", NULL },
        { "m{a!=b}", NULL },
        { "m{a!=\"b\"}", NULL },
        { "m{a=b,}", "m|a=b" },
        { "m{a=\"b,c\"}", "m|a=b,c" },
        { "m{a=\"b}", NULL },
        { "m{a=\"b\"c}", NULL },
        { "m{__a=b}", "m|__a=b" },
        { "vllm:num_x1", "vllm:num_x1" },
        { ":m", ":m" },
        { "m-n", NULL },
        { "m n", NULL },
        { "m.n", NULL },
        { "1m", NULL },
        { "m{1a=b}", NULL },
        { "m{,}", NULL },
        { "m{a=b,,c=d}", NULL },
        { "m{a=b c}", "m|a=b c" },
        { "m{", NULL },
        { "{}", NULL },
        { "}", NULL },
        { "m{a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8}", "m|a=1|b=2|c=3|d=4|e=5|f=6|g=7|h=8" },
        { "m{a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9}", NULL },
};

START_TEST(spec_syntax)
{
        for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
                struct epp_load_metric m = { .family = "before", .rows = EPP_ROWS_MAX };
                char text[128], out[128];
                size_t n;
                int r;

                snprintf(text, sizeof(text), "%s", specs[i].text);
                r = epp_metricspec_parse(text, &m);
                ck_assert_msg((r == 0) == (specs[i].out != NULL), "%s", specs[i].text);
                ck_assert_int_eq(m.rows, EPP_ROWS_MAX);
                if (r < 0) {
                        ck_assert_str_eq(m.family, "before");
                        continue;
                }
                n = (size_t)snprintf(out, sizeof(out), "%s", m.family ? m.family : "-");
                for (size_t k = 0; k < EPP_LOAD_LABELS && m.label[k].name; k++)
                        n += (size_t)snprintf(out + n, sizeof(out) - n, "|%s=%s", m.label[k].name,
                                m.label[k].value);
                ck_assert_str_eq(out, specs[i].out);
        }
}
END_TEST

/* Each wanted pair must be there with exactly that value; others may be there too. */
START_TEST(spec_matches)
{
        static const struct {
                const char *spec, *page;
                int64_t waiting; /* 55: none matched */
        } rows[] = {
                { "a", "a{x=\"1\"} 2\na{x=\"2\"} 3\n", 2 },
                { "a{x=2}", "a{x=\"1\"} 2\na{x=\"2\"} 3\n", 3 },
                { "a{x=2,y=1}", "a{x=\"2\"} 2\na{y=\"1\",z=\"\",x=\"2\"} 3\n", 3 },
                { "a{x=2,y=1}", "a{x=\"2\",y=\"2\"} 2\n", 55 },
                { "a{x=2}", "a{x=\"22\"} 2\na{X=\"2\"} 2\n", 55 },
                { "a{x=\"\"}", "a 2\na{x=\"\"} 3\n", 3 },
                { "a{x=\"1,2\"}", "a{x=\"1,2\"} 3\n", 3 },
                { "", "a 2\n", 55 },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_load_spec spec = *epp_load_spec_default();
                char text[64];
                struct rig r;

                snprintf(text, sizeof(text), "%s", rows[i].spec);
                ck_assert_int_eq(epp_metricspec_parse(text, &spec.metric[EPP_LOAD_WAITING]), 0);
                rig_init(&r, &spec);
                r.l.waiting = 55;
                ck_assert_int_ge(read_text(&r, rows[i].page), 0);
                ck_assert_msg(r.l.waiting == rows[i].waiting, "%zu: %d", i, (int)r.l.waiting);
                rig_fini(&r);
        }
}
END_TEST

UNIT_MAIN("load", spec_syntax, spec_matches, captured, values, several_rows, kv, cache_info, lora,
        lora_summed, lora_labels, lora_many, restart, states, engines)
