/* explain.c - see explain.h. */
#include "serve/explain.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

struct line {
        char *p;
        size_t n;
        bool full;
};

/* Appends one word, whole or not at all; behind one that did not fit nothing comes. */
static void EPP_PRINTF(2, 3)
word(struct line *l, const char *fmt, ...)
{
        size_t room = EPP_EXPLAIN_MAX - l->n;
        va_list ap;
        int n;

        if (l->full)
                return;
        va_start(ap, fmt);
        n = vsnprintf(l->p + l->n, room, fmt, ap);
        va_end(ap);
        l->full = n < 0 || (size_t)n >= room;
        if (l->full)
                l->p[l->n] = 0;
        else
                l->n += (size_t)n;
}

static void
put_cycle(struct line *l, const struct epp_trace *t)
{
        word(l, " candidates=%" PRIu32, t->candidates);
        for (unsigned i = 0; i < t->n_steps; i++)
                word(l, " %s=%" PRIu32 ">%" PRIu32, t->step[i].plugin, t->step[i].in,
                        t->step[i].out);
}

static void
put_load(struct line *l, const struct epp_seen *s)
{
        word(l, " waiting=%" PRId64 " running=%" PRId64 " kv_cache=%.3f in_flight=%" PRIu32,
                s->waiting, s->running, s->kv_ratio, s->inflight);
        if (s->age < 0)
                word(l, " age_ms=never");
        else
                word(l, " age_ms=%" PRId64, s->age / 1000);
        if (!isnan(s->score))
                word(l, " score=%.3f", s->score);
}

/* A header's value: names are the operator's and may hold anything. */
static void
make_printable(char *p)
{
        for (; *p; p++)
                if (*p < 0x20 || *p > 0x7e)
                        *p = '?';
}

char *
epp_explain(const struct epp_record *r)
{
        struct line l = { malloc(EPP_EXPLAIN_MAX), 0, false };

        if (!l.p)
                return NULL;
        if (r->http)
                word(&l, "refused=%d", r->http);
        else
                word(&l, "endpoint=" SLICE_FMT " name=" SLICE_FMT, SLICE_ARG(r->addr),
                        SLICE_ARG(r->endpoint));
        if (r->trace)
                put_cycle(&l, r->trace);
        if (r->trace && r->http == 0)
                put_load(&l, &r->trace->seen[0].as);
        make_printable(l.p);
        return l.p;
}
