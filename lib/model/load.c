/* load.c - see load.h. */
#include "model/load.h"

#include <math.h>
#include <xxhash.h>

#include "base/status.h"

#define COUNT_MAX 2147483647.0 /* more requests or blocks than that are an error of the page */
#define KV_MAX 100.0           /* slightly above 1 happens; far above it is no fraction */

static const struct epp_load_spec specs[] = {
        { .engine = "vllm",
          .metric = {
                  [EPP_LOAD_WAITING] = { .family = "vllm:num_requests_waiting" },
                  [EPP_LOAD_RUNNING] = { .family = "vllm:num_requests_running" },
                  [EPP_LOAD_KV] = { .family = "vllm:kv_cache_usage_perc" },
                  [EPP_LOAD_KV_OLD] = { .family = "vllm:gpu_cache_usage_perc" },
                  [EPP_LOAD_LORA] = { .family = "vllm:lora_requests_info" },
                  [EPP_LOAD_CACHE_INFO] = { .family = "vllm:cache_config_info" },
          },
          .block_size_label = "block_size", .blocks_label = "num_gpu_blocks" },
        { .engine = "sglang",
          .metric = {
                  [EPP_LOAD_WAITING] = { .family = "sglang:num_queue_reqs" },
                  [EPP_LOAD_RUNNING] = { .family = "sglang:num_running_reqs" },
                  [EPP_LOAD_KV] = { .family = "sglang:token_usage" },
                  [EPP_LOAD_CACHE_INFO] = { .family = "sglang:cache_config_info" },
          },
          .block_size_label = "page_size", .blocks_label = "num_pages" },
        { .engine = "trtllm-serve",
          .metric = {
                  [EPP_LOAD_WAITING] = { .family = "trtllm_num_requests_waiting" },
                  [EPP_LOAD_RUNNING] = { .family = "trtllm_num_requests_running" },
                  [EPP_LOAD_KV] = { .family = "trtllm_kv_cache_utilization" },
                  [EPP_LOAD_BLOCK_SIZE] = { .family = "trtllm_kv_cache_tokens_per_block" },
                  [EPP_LOAD_BLOCKS] = { .family = "trtllm_kv_cache_max_blocks" },
          } },
#define REQUESTS "nv_trt_llm_request_metrics"
#define KV_BLOCK "kv_cache_block_type"
#define KV_BLOCKS "nv_trt_llm_kv_cache_block_metrics"
#define ONE(name, value) { { name, value } }
        { .engine = "triton-tensorrt-llm",
          .metric = {
                [EPP_LOAD_WAITING] = { REQUESTS, ONE("request_type", "waiting"), EPP_ROWS_FIRST },
                [EPP_LOAD_RUNNING] = { REQUESTS, ONE("request_type", "scheduled"), EPP_ROWS_FIRST },
                [EPP_LOAD_KV] = { KV_BLOCKS, ONE(KV_BLOCK, "fraction"), EPP_ROWS_FIRST },
                [EPP_LOAD_BLOCK_SIZE] = { KV_BLOCKS, ONE(KV_BLOCK, "tokens_per"), EPP_ROWS_FIRST },
                [EPP_LOAD_BLOCKS] = { KV_BLOCKS, ONE(KV_BLOCK, "max"), EPP_ROWS_FIRST },
          } },
        /* Its "running" is a counter and grows for ever; the reference reads it all the same. */
        { .engine = "triton",
          .metric = {
                  [EPP_LOAD_WAITING] = { .family = "nv_inference_pending_request_count" },
                  [EPP_LOAD_RUNNING] = { .family = "nv_inference_exec_count" },
          } },
};

const struct epp_load_spec *
epp_load_spec_find(struct epp_slice engine)
{
        for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
                if (epp_slice_eq(engine, epp_slice_str(specs[i].engine)))
                        return &specs[i];
        }
        return NULL;
}

const struct epp_load_spec *
epp_load_spec_default(void)
{
        return &specs[0];
}

static void
loras_fini(struct epp_loras *s)
{
        free(s->v);
        free(s->text);
}

void
epp_load_fini(struct epp_load *l)
{
        loras_fini(&l->lora_running);
        loras_fini(&l->lora_waiting);
        loras_fini(&l->lora_v03);
        *l = (struct epp_load){ 0 };
}

int
epp_loras_add(struct epp_loras *s, struct epp_slice name)
{
        uint64_t hash = XXH3_64bits(name.p, name.n);

        if (epp_loras_has(s, hash))
                return 0;
        if (s->n == s->cap) {
                uint32_t cap = s->cap ? s->cap * 2 : 4;
                struct epp_lora *v = realloc(s->v, cap * sizeof(*v));

                if (!v)
                        return EPP_ENOMEM;
                s->v = v;
                s->cap = cap;
        }
        if (s->text_cap - s->text_n < name.n) {
                size_t cap = s->text_cap * 2 + name.n;
                char *text = realloc(s->text, cap);

                if (!text)
                        return EPP_ENOMEM;
                s->text = text;
                s->text_cap = cap;
        }
        if (name.n)
                memcpy(s->text + s->text_n, name.p, name.n);
        s->v[s->n++] = (struct epp_lora){ hash, (uint32_t)s->text_n, (uint32_t)name.n };
        s->text_n += name.n;
        return 1;
}

void
epp_load_restart(struct epp_load *l)
{
        struct epp_loras *sets[] = { &l->lora_running, &l->lora_waiting, &l->lora_v03 };

        for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
                sets[i]->n = 0;
                sets[i]->text_n = 0;
        }
        l->max_lora = l->max_lora_v03 = l->block_size = l->blocks = 0;
}

const char *
epp_load_state_name(enum epp_load_state s)
{
        static const char *const names[] = { "never", "fresh", "stale", "missing" };

        return names[s];
}

void
epp_load_age(struct epp_load *l, epp_us now, epp_us limit)
{
        if (l->state == EPP_LOAD_FRESH && now - l->at > limit)
                l->state = EPP_LOAD_STALE;
}

void
epp_load_fold_init(struct epp_load_fold *f, const struct epp_load_spec *spec)
{
        *f = (struct epp_load_fold){ .spec = spec };
        for (unsigned i = 0; i < EPP_LOAD_SIGNALS; i++) {
                struct epp_slice name = epp_slice_str(spec->metric[i].family);
                unsigned k = 0;

                f->family[i] = EPP_LOAD_SIGNALS; /* no family has this number */
                if (name.n == 0)
                        continue;
                while (k < f->n_names && !epp_slice_eq(f->names[k], name))
                        k++;
                f->names[k] = name;
                f->family[i] = k;
                f->n_names = EPP_MAX(f->n_names, k + 1);
        }
        epp_load_fold_begin(f, 0, 0);
}

void
epp_load_fold_fini(struct epp_load_fold *f)
{
        for (size_t i = 0; i < ARRAY_LEN(f->spare); i++)
                loras_fini(&f->spare[i]);
        free(f->lora.text);
        free(f->lora_v03.text);
        *f = (struct epp_load_fold){ 0 };
}

void
epp_load_fold_begin(struct epp_load_fold *f, epp_us now, epp_wall wall)
{
        memset(f->acc, 0, sizeof(f->acc));
        f->now = now;
        f->wall = wall;
        f->block_size = f->blocks = -1;
        f->lora.seen = f->lora_v03.seen = false;
        f->found = f->rejected = 0;
        f->nomem = false;
}

static bool
label_of(const struct epp_slice *labels, size_t n, const char *name, struct epp_slice *ret)
{
        for (size_t i = 0; name && i < n; i++) {
                if (epp_slice_eq(labels[2 * i], epp_slice_str(name))) {
                        *ret = labels[2 * i + 1];
                        return true;
                }
        }
        return false;
}

static bool
row_matches(const struct epp_load_metric *m, const struct epp_slice *labels, size_t n)
{
        struct epp_slice v;

        for (size_t i = 0; i < EPP_LOAD_LABELS && m->label[i].name; i++)
                if (!label_of(labels, n, m->label[i].name, &v) ||
                        !epp_slice_eq(v, epp_slice_str(m->label[i].value)))
                        return false;
        return true;
}

/* Decimal text without sign, as label values have it; "None" and the like are refused. */
static bool
count_text(struct epp_slice s, int64_t *ret)
{
        uint64_t v;

        if (!epp_slice_digits(s, &v) || (double)v > COUNT_MAX)
                return false;
        *ret = (int64_t)v;
        return true;
}

static void
add_acc(struct epp_load_acc *a, double value, int64_t ts)
{
        /* Strictly greater, as the reference: without timestamps the first row counts. */
        if (a->n == 0 || ts > a->ts) {
                a->ts = ts;
                a->first = value;
        }
        a->max = a->n == 0 || value > a->max ? value : a->max;
        a->sum += value;
        a->n++;
}

static void
add_cache_label(struct epp_load_fold *f, const char *name, const struct epp_slice *labels, size_t n,
        int64_t *ret)
{
        struct epp_slice v;

        if (!label_of(labels, n, name, &v) || v.n == 0)
                return;
        if (!count_text(v, ret))
                f->rejected++;
}

static bool
row_store(struct epp_load_lora_row *r, double value, const struct epp_slice part[3])
{
        size_t need = part[0].n + part[1].n + part[2].n, at = 0;

        if (need >= r->cap) { /* a row without any text has a place too */
                char *text = realloc(r->text, need * 2 + 1);

                if (!text)
                        return false;
                r->text = text;
                r->cap = need * 2 + 1;
        }
        for (int i = 0; i < 3; i++) {
                if (part[i].n)
                        memcpy(r->text + at, part[i].p, part[i].n);
                at += part[i].n;
        }
        r->n_running = part[0].n;
        r->n_waiting = part[1].n;
        r->n_max = part[2].n;
        r->value = value;
        r->seen = true;
        return true;
}

/* The value of a row is when it was last true. Several API-server processes add their clocks up:
 * about k times now is k processes, and their mean is the time meant. */
static double
lora_time(const struct epp_load_fold *f, double value)
{
        double k = f->wall > 0 ? round(value / ((double)f->wall / 1e6)) : 1;

        return k >= 2 ? value / k : value;
}

/* Newest row wins, first on ties; only the winner is kept, a page may have thousands. Two winners:
 * v0.3.0 does not see idle rows, the value 0, nor wanted labels. */
static void
add_lora(struct epp_load_fold *f, bool matches, const struct epp_slice *labels, size_t n,
        double value)
{
        struct epp_slice part[3] = { { NULL, 0 } };

        if (!isfinite(value) || value < 0) {
                f->rejected++;
                return;
        }
        value = lora_time(f, value);
        label_of(labels, n, "running_lora_adapters", &part[0]);
        label_of(labels, n, "waiting_lora_adapters", &part[1]);
        label_of(labels, n, "max_lora", &part[2]);
        if (matches && (!f->lora.seen || value > f->lora.value))
                f->nomem |= !row_store(&f->lora, value, part);
        if (part[0].n + part[1].n && value > 0 &&
                (!f->lora_v03.seen || value > f->lora_v03.value))
                f->nomem |= !row_store(&f->lora_v03, value, part);
}

void
epp_load_fold_sample(void *fold, unsigned family, const struct epp_slice *labels, size_t n,
        double value, int64_t ts_ms)
{
        struct epp_load_fold *f = fold;
        const struct epp_load_spec *spec = f->spec;

        for (unsigned i = 0; i < EPP_LOAD_SIGNALS; i++) {
                bool matches;

                if (f->family[i] != family)
                        continue;
                matches = row_matches(&spec->metric[i], labels, n);
                if (i == EPP_LOAD_LORA)
                        add_lora(f, matches, labels, n, value);
                if (!matches)
                        continue;
                /* The first row, by the same rule as for values; its value itself says nothing. */
                if (i == EPP_LOAD_CACHE_INFO && (f->acc[i].n == 0 || ts_ms > f->acc[i].ts)) {
                        f->block_size = f->blocks = -1;
                        add_cache_label(f, spec->block_size_label, labels, n, &f->block_size);
                        add_cache_label(f, spec->blocks_label, labels, n, &f->blocks);
                }
                f->found |= 1u << i;
                add_acc(&f->acc[i], value, ts_ms);
        }
}

/* The value the rows of <sig> stand for; false when there is none, or none to believe. */
static bool
acc_value(struct epp_load_fold *f, enum epp_load_signal sig, double limit, double *ret)
{
        const struct epp_load_acc *a = &f->acc[sig];
        double v = a->first;

        if (a->n == 0)
                return false;
        switch (f->spec->metric[sig].rows) {
        case EPP_ROWS_FIRST:
                break;
        case EPP_ROWS_SUM:
                v = a->sum;
                break;
        case EPP_ROWS_MAX:
                v = a->max;
                break;
        case EPP_ROWS_MEAN:
                v = a->sum / a->n;
                break;
        }
        /* A row that is no number spoils what is made of all rows; max would pass it over. */
        if (!isfinite(v) || v < 0 || v > limit ||
                (f->spec->metric[sig].rows != EPP_ROWS_FIRST && !isfinite(a->sum))) {
                f->rejected++;
                return false;
        }
        *ret = v;
        return true;
}

static void
put_count(struct epp_load_fold *f, enum epp_load_signal sig, int64_t *out)
{
        double v;

        if (acc_value(f, sig, COUNT_MAX, &v))
                *out = (int64_t)v;
}

/* Adds the names of a list. The reference of today trims and drops empty names, v0.3.0 did not. */
static bool
add_names(struct epp_loras *s, struct epp_slice list, bool trim)
{
        if (list.n == 0)
                return true;
        while (list.p) {
                struct epp_slice name = epp_slice_cut(&list, ',');

                if (trim)
                        name = epp_slice_trim(name);
                if ((name.n || !trim) && epp_loras_add(s, name) < 0)
                        return false;
        }
        return true;
}

static bool
build_sets(struct epp_load_fold *f)
{
        const struct epp_load_lora_row *h = &f->lora, *o = &f->lora_v03;

        for (size_t i = 0; i < ARRAY_LEN(f->spare); i++) {
                f->spare[i].n = 0;
                f->spare[i].text_n = 0;
        }
        if (h->seen && !(add_names(&f->spare[0], epp_slice(h->text, h->n_running), true) &&
                add_names(&f->spare[1], epp_slice(h->text + h->n_running, h->n_waiting), true)))
                return false;
        return !o->seen || (add_names(&f->spare[2], epp_slice(o->text, o->n_running), false) &&
                add_names(&f->spare[2], epp_slice(o->text + o->n_running, o->n_waiting), false));
}

static void
exchange(struct epp_loras *a, struct epp_loras *b)
{
        struct epp_loras t = *a;

        *a = *b;
        *b = t;
}

static struct epp_slice
row_max(const struct epp_load_lora_row *r)
{
        return epp_slice(r->text + r->n_running + r->n_waiting, r->n_max);
}

static void
put_lora(struct epp_load_fold *f, struct epp_load *l)
{
        if (f->lora.seen) {
                exchange(&l->lora_running, &f->spare[0]);
                exchange(&l->lora_waiting, &f->spare[1]);
                if (f->lora.n_max && !count_text(row_max(&f->lora), &l->max_lora))
                        f->rejected++;
        }
        if (f->lora_v03.seen) {
                exchange(&l->lora_v03, &f->spare[2]);
                /* What is no number was 0 there. */
                if (f->lora_v03.n_max && !count_text(row_max(&f->lora_v03), &l->max_lora_v03))
                        l->max_lora_v03 = 0;
        }
}

static uint32_t
missing(const struct epp_load_fold *f)
{
        uint32_t asked = 0, found = f->found;

        for (unsigned i = 0; i < EPP_LOAD_SIGNALS; i++) {
                if (f->family[i] < f->n_names)
                        asked |= 1u << i;
        }
        if (found & (1u << EPP_LOAD_KV | 1u << EPP_LOAD_KV_OLD)) /* either name will do */
                found |= 1u << EPP_LOAD_KV | 1u << EPP_LOAD_KV_OLD;
        return asked & ~found;
}

int
epp_load_fold_end(struct epp_load_fold *f, struct epp_load *l)
{
        if (f->nomem || !build_sets(f))
                return EPP_ENOMEM;
        l->missing = missing(f);
        if (f->found == 0) {
                /* One odd page (a proxy's, an empty one) is no news while the last is fresh. */
                if (l->state != EPP_LOAD_FRESH)
                        l->state = EPP_LOAD_MISSING;
                return 0;
        }
        l->state = EPP_LOAD_FRESH;
        l->at = f->now;
        put_count(f, EPP_LOAD_WAITING, &l->waiting);
        put_count(f, EPP_LOAD_RUNNING, &l->running);
        acc_value(f, f->acc[EPP_LOAD_KV].n ? EPP_LOAD_KV : EPP_LOAD_KV_OLD, KV_MAX, &l->kv_ratio);
        if (f->block_size >= 0)
                l->block_size = f->block_size;
        if (f->blocks >= 0)
                l->blocks = f->blocks;
        put_count(f, EPP_LOAD_BLOCK_SIZE, &l->block_size);
        put_count(f, EPP_LOAD_BLOCKS, &l->blocks);
        put_lora(f, l);
        return __builtin_popcount(f->found);
}
