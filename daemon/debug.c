/* debug.c - see debug.h. */
#include "daemon/debug.h"

#include <inttypes.h>
#include <malloc.h>

#include "daemon/decisions.h"
#include "daemon/loop.h"
#include "daemon/opt.h"
#include "daemon/pages.h"
#include "daemon/process.h"

#define PIECE (32 << 10)  /* half a millisecond of work */
#define LOOKED 1024 /* decisions that one piece may pass over, likewise when memory is cold */
#define LAST 100    /* decisions that are shown to those who do not say how many */
#define JSON "application/json"

static void
refuse(struct admin_reply *r, int code, const char *text)
{
        struct text t = { &r->body, false };

        text_put(&t, epp_slice_str(text));
        r->code = t.failed ? 500 : code;
}

/* ---- decisions ---- */

enum { MODEL, ENDPOINT, ID, LAST_COUNT, SINCE, PARAMS };
static const char *const params[PARAMS] = { "model", "endpoint", "id", "last", "since" };

/* One reader of decisions. */
struct browse {
        const struct epp_ring *ring;
        bool wanted[PARAMS];
        char value[PARAMS][512]; /* longer than any name that is kept */
        uint64_t next, newest;   /* next: the number to look at, downwards to since */
        uint64_t since, left;
        bool begun;
};

static bool
is_name(const struct browse *b, int param, struct epp_slice name)
{
        return epp_slice_eq(name, epp_ring_cut(epp_slice_str(b->value[param])));
}

/* Pods are "namespace/name". */
static bool
is_endpoint(const char *wanted, struct epp_slice name)
{
        const char *slash = name.n ? memchr(name.p, '/', name.n) : NULL;
        struct epp_slice bare = name;

        if (slash)
                bare = epp_slice(slash + 1, (size_t)(name.p + name.n - slash - 1));
        return epp_slice_eq(name, epp_slice_str(wanted)) ||
               epp_slice_eq(bare, epp_slice_str(wanted));
}

static bool
matches(const struct browse *b, const struct epp_decision *d)
{
        bool found = !b->wanted[ENDPOINT];

        if (b->wanted[MODEL] && !is_name(b, MODEL, d->model))
                return false;
        if (b->wanted[ID] && !is_name(b, ID, d->id))
                return false;
        for (unsigned i = 0; i < d->n_seen && !found; i++)
                found = is_endpoint(b->value[ENDPOINT], d->seen[i].name);
        return found;
}

static int
more_decisions(void *state, struct epp_buf *out)
{
        struct browse *b = state;
        struct text t = { out, false };
        epp_us now = loop_now(NULL);
        epp_wall wall = loop_wall();

        for (int looked = 0; looked < LOOKED && epp_buf_len(out) < PIECE; looked++) {
                const struct epp_decision *d = NULL;

                if (b->left && b->next > b->since)
                        d = epp_ring_get(b->ring, b->next);
                if (!d) { /* or newer ones have taken its place meanwhile */
                        text_putf(&t, "],\"newest\":%" PRIu64 "}\n", b->newest);
                        return t.failed ? -1 : 0;
                }
                b->next--;
                if (!matches(b, d))
                        continue;
                text_putf(&t, b->begun ? ",\n" : "\n");
                decision_put(&t, d, now, wall);
                b->begun = true;
                b->left--;
        }
        return t.failed ? -1 : 1;
}

static bool
known(struct epp_slice query)
{
        while (query.n) {
                struct epp_slice one = epp_slice_cut(&query, '&'), name = epp_slice_cut(&one, '=');
                int i = 0;

                while (i < PARAMS && !epp_slice_eq(name, epp_slice_str(params[i])))
                        i++;
                if (i == PARAMS)
                        return false;
        }
        return true;
}

static bool
count(const char *text, uint64_t *ret)
{
        size_t n = strlen(text);

        if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
                return false;
        *ret = strtoull(text, NULL, 10);
        return true;
}

/* What is wanted; an error for people, or NULL. */
static const char *
read_query(struct browse *b, struct epp_slice query)
{
        if (!known(query))
                return "the parameters are model=NAME, endpoint=NAME, id=ID, last=COUNT, "
                       "since=NUMBER\n";
        for (int i = 0; i < PARAMS; i++)
                b->wanted[i] = admin_param(query, params[i], b->value[i], sizeof(b->value[i]));
        if (b->wanted[LAST_COUNT] && (!count(b->value[LAST_COUNT], &b->left) || !b->left))
                return "last is how many decisions are shown at most: a whole number from 1 on\n";
        if (b->wanted[SINCE] && !count(b->value[SINCE], &b->since))
                return "since is the number of a decision, later ones are shown: a whole number\n";
        return NULL;
}

void
debug_decisions(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        const struct pages *p = ctx;
        struct text t = { &r->body, false };
        struct browse *b;
        const char *wrong;

        if (!p->ring) {
                refuse(r, 404, "no decision is remembered: eppd runs with --decision-ring=0\n");
                return;
        }
        b = calloc(1, sizeof(*b));
        if (!b) {
                refuse(r, 503, "out of memory\n");
                return;
        }
        b->ring = p->ring;
        b->next = b->newest = epp_ring_last(p->ring);
        b->left = LAST;
        wrong = read_query(b, q->query);
        if (wrong) {
                refuse(r, 400, wrong);
                free(b);
                return;
        }
        r->type = JSON;
        r->more = more_decisions;
        r->done = free;
        r->state = b;
        text_putf(&t, "{\"decisions\":[");
        r->code = t.failed ? 500 : 200;
}

/* ---- configuration ---- */

static void
put_flag(void *ctx, const struct opt_value *v)
{
        static const char *const from[] = { [OPT_BY_DEFAULT] = "default",
                [OPT_BY_ENV] = "environment", [OPT_BY_FLAG] = "flag" };
        struct text *t = ctx;

        text_putf(t, "%s\n \"%s\":{\"value\":", v->number ? "," : "", v->name);
        if (v->list)
                text_putf(t, "[");
        for (size_t i = 0; i < v->n; i++) {
                text_putf(t, i ? "," : "");
                text_json(t, epp_slice_str(v->text[i]));
        }
        text_putf(t, "%s,\"source\":\"%s\"}", v->list ? "]" : "", from[v->from]);
}

void
debug_config(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        const struct pages *p = ctx;
        struct text t = { &r->body, false };

        (void)q;
        r->type = JSON;
        text_putf(&t, "{\"version\":\"%s\",\"flags\":{", EPPD_VERSION);
        t.failed |= !opt_each(p->opt, put_flag, &t);
        text_putf(&t, "}}\n");
        r->code = t.failed ? 500 : 200;
}

/* ---- memory ---- */

static void
put_heap(struct text *t)
{
        struct mallinfo2 m = mallinfo2();

        text_putf(t, "\"heap\":{\"used_bytes\":%zu,\"free_bytes\":%zu,\"trimmable_bytes\":%zu,"
                "\"mapped_bytes\":%zu},\n", m.uordblks, m.fordblks, m.keepcost, m.hblkhd);
}

static void
put_ring(struct text *t, const struct epp_ring *ring)
{
        uint64_t made = ring ? epp_ring_last(ring) : 0, size = ring ? epp_ring_size(ring) : 0;

        text_putf(t, "\"decision_ring\":{\"size\":%" PRIu64 ",\"held\":%" PRIu64
                ",\"bytes\":%zu},\n", size, EPP_MIN(made, size), ring ? epp_ring_bytes(ring) : 0);
}

void
debug_memory(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        const struct pages *p = ctx;
        const struct epp_series *series = p->director->series;
        struct text t = { &r->body, false };
        size_t endpoints, cells = 0, attempts = 0;

        (void)q;
        (void)epp_pool_list(p->pool, &endpoints);
        if (series) {
                (void)epp_series_list(series, &cells);
                (void)epp_series_attempts(series, &attempts);
        }
        r->type = JSON;
        text_putf(&t, "{\"resident_bytes\":%" PRIu64 ",\n", process_resident());
        put_heap(&t);
        put_ring(&t, p->ring);
        text_putf(&t, "\"streams\":{\"open\":%" PRIu64 ",\"held_body_bytes\":%" PRIu64 "},\n",
                p->streams->begun - p->streams->ended, p->streams->held_bytes);
        text_putf(&t, "\"pool\":{\"endpoints\":%zu},\n", endpoints);
        text_putf(&t, "\"series\":{\"cells\":%zu,\"bytes\":%zu,\"attempts\":%zu}}\n", cells,
                cells * sizeof(struct epp_cell), attempts);
        r->code = t.failed ? 500 : 200;
}

/* ---- the list ---- */

void
debug_index(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        struct text t = { &r->body, false };

        (void)ctx, (void)q;
        for (size_t i = 0; i < PAGES; i++)
                if (epp_slice_has_prefix(
                            epp_slice_str(pages_table[i].path), EPP_SLICE("/debug/")))
                        text_putf(&t, "%s\n", pages_table[i].path);
        r->code = t.failed ? 500 : 200;
}
