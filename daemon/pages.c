/* pages.c - see pages.h. The metrics page is stat.def, row by row; values are read when the page is
 * asked for. */
#include "daemon/pages.h"

#include "daemon/debug.h"
#include "daemon/loop.h"
#include "daemon/text.h"

static void
render_health(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        struct text t = { &r->body, false };

        (void)ctx, (void)q;
        text_putf(&t, "ok\n");
        r->code = t.failed ? 500 : 200;
}

static void
render_ready(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        const struct pages *p = ctx;
        bool ready = epp_health_ready(p->health);
        struct text t = { &r->body, false };

        (void)q;
        text_putf(&t, ready ? "ready\n" : "not ready: %s\n", *p->why);
        r->code = t.failed ? 500 : ready ? 200 : 503;
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

/* ---- the API server's side ---- */

static const struct epp_reflector *
reflector(const struct pages *p, size_t i)
{
        size_t n;

        return epp_cluster_reflectors(watch_cluster(p->watch), &n)[i];
}

static const struct epp_reflect_stats *
reflect(const struct pages *p, size_t i)
{
        return epp_reflector_stats(reflector(p, i));
}

static const struct epp_cluster_kind *
kind(const struct pages *p, size_t i)
{
        return epp_cluster_kind(watch_cluster(p->watch), i);
}

/* Seconds from <at> until now, or -1 for never. */
static double
age(epp_us at)
{
        return at ? (double)(loop_now(NULL) - at) / 1e6 : -1;
}

static double
wait_of(const struct epp_reflector *r)
{
        epp_us until = epp_reflector_until(r);

        return until ? EPP_MAX(0, -age(until)) : 0;
}

/* ---- labels ---- */

static const char *
state_name(const struct pages *p, size_t i)
{
        (void)p;
        return epp_load_state_name((enum epp_load_state)i);
}

static const char *
error_code_name(const struct pages *p, size_t i)
{
        (void)p;
        return epp_failure_name((enum epp_failure)i);
}

static const char *
result_name(const struct pages *p, size_t i)
{
        (void)p;
        return fetch_result_name((enum fetch_result)i);
}

static const char *
callback_name(const struct pages *p, size_t i)
{
        (void)p;
        return span_name(i);
}

static const char *
auth_name(const struct pages *p, size_t i)
{
        (void)p;
        return auth_result_name(i);
}

static size_t
count_kinds(const struct pages *p)
{
        size_t n = 0;

        if (p->watch)
                (void)epp_cluster_reflectors(watch_cluster(p->watch), &n);
        return n;
}

static const char *
kind_name(const struct pages *p, size_t i)
{
        return epp_reflector_name(reflector(p, i));
}

static const char *
event_name(const struct pages *p, size_t i)
{
        static const char *const names[EPP_REFLECT_EVENTS] = { "added", "modified", "deleted",
                "bookmark" };

        (void)p;
        return names[i];
}

static const char *
cause_name(const struct pages *p, size_t i)
{
        static const char *const names[EPP_REFLECT_ERRORS] = { "transport", "auth", "forbidden",
                "expired", "busy", "server", "format", "other" };

        (void)p;
        return names[i];
}

static const char *
step_name(const struct pages *p, size_t i)
{
        (void)p;
        return epp_reflector_state_name((enum epp_reflect_state)i);
}

static size_t
count_answers(const struct pages *p)
{
        return p->watch ? api_stats(watch_api(p->watch))->n_counts : 0;
}

static const struct api_count *
answer(const struct pages *p, size_t i)
{
        return &api_stats(watch_api(p->watch))->counts[i];
}

static const char *
code_name(const struct pages *p, size_t i)
{
        static char text[16]; /* until the next call */

        snprintf(text, sizeof(text), answer(p, i)->code ? "%d" : "<error>", answer(p, i)->code);
        return text;
}

static const char *
method_name(const struct pages *p, size_t i)
{
        return answer(p, i)->method;
}

static const char *
host_name(const struct pages *p, size_t i)
{
        const char *url = api_server(watch_api(p->watch)), *host = strstr(url, "://");

        (void)i;
        return host ? host + 3 : url;
}

static size_t
count_leases(const struct pages *p)
{
        return p->lease != NULL;
}

static const char *
lock_name(const struct pages *p, size_t i)
{
        (void)i;
        return lease_name(p->lease);
}

/* The labels of stat.def: one sample per value. Those of endpoint are the pool's. With <second>
 * there is one per pair, numbered value * n2 + value of the second; with <also> the value names
 * several labels at once. */
typedef const char *name_fn(const struct pages *p, size_t i);
static const struct label {
        const char *name;
        size_t n;
        name_fn *value;
        size_t (*count)(const struct pages *p); /* in place of n */
        const char *second;
        size_t n2;
        name_fn *value2;
        const struct label *also;
} label_none = { NULL, 1, NULL, NULL, NULL, 0, NULL, NULL },
  label_endpoint = { "endpoint", 0, NULL, NULL, NULL, 0, NULL, NULL },
  label_state = { .name = "state", .n = EPP_LOAD_MISSING + 1, .value = state_name },
  label_error_code = { .name = "error_code", .n = EPP_FAIL_COUNT, .value = error_code_name },
  label_name = { .name = "name", .count = count_leases, .value = lock_name },
  label_result = { .name = "result", .n = FETCH_RESULTS, .value = result_name },
  label_auth = { .name = "result", .n = EPP_REVIEW_RESULTS, .value = auth_name },
  label_callback = { .name = "callback", .n = SPAN_KINDS, .value = callback_name },
  label_kind = { .name = "kind", .count = count_kinds, .value = kind_name },
  label_kind_type = { .name = "kind", .count = count_kinds, .value = kind_name,
          .second = "type", .n2 = EPP_REFLECT_EVENTS, .value2 = event_name },
  label_kind_cause = { .name = "kind", .count = count_kinds, .value = kind_name,
          .second = "cause", .n2 = EPP_REFLECT_ERRORS, .value2 = cause_name },
  label_kind_state = { .name = "kind", .count = count_kinds, .value = kind_name,
          .second = "state", .n2 = EPP_REFLECT_STATES, .value2 = step_name },
  label_host = { .name = "host", .value = host_name },
  label_method_host = { .name = "method", .value = method_name, .also = &label_host },
  label_code_method_host = { .name = "code", .count = count_answers, .value = code_name,
          .also = &label_method_host };

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

static void
put_label(struct text *t, const char *open, const char *name, struct epp_slice value)
{
        text_putf(t, "%s%s=\"", open, name);
        text_label(t, value);
        text_putf(t, "\"");
}

static void
put_value(struct text *t, double v)
{
        text_putf(t, " ");
        text_number(t, v);
        text_putf(t, "\n");
}

/* Sample <i> of a family whose label is not endpoint. */
static void
put_sample(struct text *t, const struct stat_row *r, const struct pages *p, size_t i)
{
        const struct label *l = r->label;
        size_t first = l->second ? i / l->n2 : i;

        text_putf(t, "%s", r->name);
        if (l->name)
                put_label(t, "{", l->name, epp_slice_str(l->value(p, first)));
        for (const struct label *also = l->also; also; also = also->also)
                put_label(t, ",", also->name, epp_slice_str(also->value(p, i)));
        if (l->second)
                put_label(t, ",", l->second, epp_slice_str(l->value2(p, i % l->n2)));
        if (l->name)
                text_putf(t, "}");
        put_value(t, r->value(p, NULL, i));
}

static void
put_family(struct text *t, const struct stat_row *r, const struct pages *p)
{
        const struct label *l = r->label;
        size_t n = (l->count ? l->count(p) : l->n) * (l->second ? l->n2 : 1);
        struct epp_endpoint *const *list;

        text_putf(t, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->help, r->name, r->type);
        for (size_t i = 0; i < n; i++)
                put_sample(t, r, p, i);
        if (l != &label_endpoint)
                return;
        list = epp_pool_list(p->pool, &n);
        for (size_t i = 0; i < n; i++) {
                text_putf(t, "%s", r->name);
                put_label(t, "{", l->name, list[i]->name);
                text_putf(t, "}");
                put_value(t, r->value(p, list[i], i));
        }
}

static void
render_metrics(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        struct text t = { &r->body, false };

        (void)q;
        r->type = "text/plain; version=0.0.4; charset=utf-8";
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                put_family(&t, &rows[i], ctx);
        r->code = t.failed ? 500 : 200;
}

const struct admin_page pages_table[PAGES] = {
        { "/healthz", ADMIN_HEALTH, render_health },
        { "/readyz", ADMIN_HEALTH, render_ready },
        { "/metrics", ADMIN_METRICS, render_metrics },
        { "/debug/", ADMIN_DEBUG, debug_index },
        { "/debug/config", ADMIN_DEBUG, debug_config },
        { "/debug/decisions", ADMIN_DEBUG, debug_decisions },
        { "/debug/memory", ADMIN_DEBUG, debug_memory },
};
