/* pages.c - see pages.h. The metrics page is stat.def, row by row; values are read when the page is
 * asked for. */
#include "daemon/pages.h"

#include <math.h>
#include <stdarg.h>

static int
render_health(void *ctx, struct epp_buf *out)
{
        (void)ctx;
        return epp_buf_append(out, EPP_SLICE("ok\n")) < 0 ? 500 : 200;
}

static int
render_ready(void *ctx, struct epp_buf *out)
{
        const struct pages *p = ctx;
        bool ready = epp_health_ready(p->health);

        if (epp_buf_append(out, ready ? EPP_SLICE("ready\n") : EPP_SLICE("not ready: ")) < 0 ||
                (!ready && (epp_buf_append(out, epp_slice_str(*p->why)) < 0 ||
                                   epp_buf_append(out, EPP_SLICE("\n")) < 0)))
                return 500;
        return ready ? 200 : 503;
}

static size_t
in_state(const struct epp_pool *pool, size_t state)
{
        struct epp_endpoint *const *list;
        size_t n, count = 0;

        list = epp_pool_list(pool, &n);
        for (size_t i = 0; i < n; i++)
                count += list[i]->load.state == state;
        return count;
}

static const char *
state_name(size_t i)
{
        static const char *const names[] = { "never", "fresh", "stale", "missing" };

        return names[i];
}

static const char *
error_code_name(size_t i)
{
        return epp_refusal_name((enum epp_refusal)i);
}

static const char *
result_name(size_t i)
{
        return fetch_result_name((enum fetch_result)i);
}

/* The labels of stat.def: one sample per value. Those of endpoint are the pool's. */
static const struct label {
        const char *name;
        size_t n;
        const char *(*value)(size_t i);
} label_none = { NULL, 1, NULL },
  label_endpoint = { "endpoint", 0, NULL },
  label_state = { "state", EPP_LOAD_MISSING + 1, state_name },
  label_error_code = { "error_code", EPP_REF_COUNT, error_code_name },
  label_result = { "result", FETCH_RESULTS, result_name };

/* A function per row that reads its value. */
#define STAT(name, type, label, value, help) \
        static double value_of_##name(const struct pages *p, const struct epp_endpoint *e, \
                size_t i) \
        { \
                (void)p, (void)e, (void)i; \
                return (double)(value); \
        }
#include "daemon/stat.def"
#undef STAT

static const struct stat_row {
        const char *name, *type, *help;
        const struct label *label;
        double (*value)(const struct pages *p, const struct epp_endpoint *e, size_t i);
} rows[] = {
#define STAT(name, type, label, value, help) \
        { #name, #type, help, &label_##label, value_of_##name },
#include "daemon/stat.def"
#undef STAT
};

/* The page as it grows; one failure spoils it. */
struct text {
        struct epp_buf *out;
        bool failed;
};

static void
put(struct text *t, struct epp_slice s)
{
        t->failed |= epp_buf_append(t->out, s) < 0;
}

/* For what is short by nature: names of our own, numbers. */
static void EPP_PRINTF(2, 3)
putf(struct text *t, const char *fmt, ...)
{
        char line[512];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        t->failed |= n < 0 || (size_t)n >= sizeof(line);
        if (!t->failed)
                put(t, epp_slice(line, (size_t)n));
}

/* The value of a label: backslash, quote and newline are escaped, as names come from files. */
static void
put_escaped(struct text *t, struct epp_slice s)
{
        size_t from = 0;

        for (size_t i = 0; i < s.n; i++) {
                char c = s.p[i];

                if (c != '\\' && c != '"' && c != '\n')
                        continue;
                put(t, epp_slice(s.p + from, i - from));
                putf(t, "\\%c", c == '\n' ? 'n' : c);
                from = i + 1;
        }
        put(t, epp_slice(s.p + from, s.n - from));
}

static void
put_sample(struct text *t, const struct stat_row *r, struct epp_slice label, double v)
{
        bool whole = v == floor(v) && fabs(v) < 1e15;

        putf(t, "%s", r->name);
        if (r->label->name) {
                putf(t, "{%s=\"", r->label->name);
                put_escaped(t, label);
                putf(t, "\"}");
        }
        putf(t, whole ? " %.0f\n" : " %.9g\n", v);
}

static void
put_family(struct text *t, const struct stat_row *r, const struct pages *p)
{
        struct epp_endpoint *const *list;
        size_t n;

        putf(t, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->help, r->name, r->type);
        for (size_t i = 0; i < r->label->n; i++)
                put_sample(t, r, epp_slice_str(r->label->value ? r->label->value(i) : NULL),
                        r->value(p, NULL, i));
        if (r->label != &label_endpoint)
                return;
        list = epp_pool_list(p->pool, &n);
        for (size_t i = 0; i < n; i++)
                put_sample(t, r, list[i]->name, r->value(p, list[i], i));
}

static int
render_metrics(void *ctx, struct epp_buf *out)
{
        struct text t = { out, false };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                put_family(&t, &rows[i], ctx);
        return t.failed ? 500 : 200;
}

const struct admin_page pages_table[PAGES] = {
        { "/healthz", "text/plain; charset=utf-8", render_health },
        { "/readyz", "text/plain; charset=utf-8", render_ready },
        { "/metrics", "text/plain; version=0.0.4; charset=utf-8", render_metrics },
};
