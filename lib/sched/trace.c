/* trace.c - see trace.h. What a step costs does not grow with the pool: only the first
 * EPP_TRACE_FRONT of the endpoints still in are followed, and only where some were dropped. */
#include "sched/trace.h"

#include <math.h>

#include "base/base.h"

/* Room that finalists leave to those that went earlier: what went wrong is seen there. */
#define SPARED (EPP_TRACE_SHOWN / 2)

unsigned
epp_trace_passed(const struct epp_trace_step *step, unsigned n, unsigned dropped_at)
{
        unsigned passed = 0;

        for (unsigned i = 0; i < n && i < dropped_at; i++)
                passed += step[i].out > 0;
        return passed;
}

const char *
epp_trace_dropped_by(const struct epp_trace_step *step, unsigned n, unsigned dropped_at)
{
        return dropped_at < n ? step[dropped_at].plugin : NULL;
}

static void
follow(struct epp_trace *t, struct epp_endpoint *const *v, size_t n)
{
        t->n_front = (unsigned)EPP_MIN(n, (size_t)EPP_TRACE_FRONT);
        for (unsigned i = 0; i < t->n_front; i++)
                t->front[i] = v[i];
}

void
epp_trace_begin(struct epp_trace *t, struct epp_endpoint *const *v, size_t n)
{
        t->candidates = (uint32_t)n;
        t->n_steps = t->n_seen = t->n_lost = t->n_ran = 0;
        t->scored = false;
        follow(t, v, n);
}

/* Filters keep the order: whoever is not next in <v> was dropped. */
static void
lose(struct epp_trace *t, struct epp_endpoint *const *v, size_t n, unsigned at)
{
        size_t kept = 0;

        for (unsigned i = 0; i < t->n_front; i++) {
                unsigned slot = t->n_lost % EPP_TRACE_SHOWN;

                if (kept < n && t->front[i] == v[kept]) {
                        kept++;
                        continue;
                }
                t->lost[slot].endpoint = t->front[i];
                t->lost[slot].at = at;
                t->n_lost++;
        }
        follow(t, v, n);
}

void
epp_trace_ran(struct epp_trace *t, const char *plugin, struct epp_endpoint *const *v, size_t in,
        size_t out)
{
        unsigned at = t->n_ran++;

        if (at < EPP_TRACE_STEPS)
                t->step[t->n_steps++] =
                        (struct epp_trace_step){ plugin, (uint32_t)in, (uint32_t)out };
        if (v && out && out < in)
                lose(t, v, out, at);
}

void
epp_trace_scored(struct epp_trace *t, const double *total, size_t at)
{
        t->scored = true;
        t->chosen = total[at];
        memcpy(t->score, total, t->n_front * sizeof(*total));
}

static void
show(struct epp_trace *t, const struct epp_endpoint *e, unsigned dropped_at, double score,
        epp_us now)
{
        const struct epp_load *l = &e->load;
        struct epp_seen *s = &t->seen[t->n_seen].as;

        t->seen[t->n_seen++].endpoint = e;
        s->dropped_at = dropped_at;
        s->inflight = e->inflight;
        s->waiting = l->waiting;
        s->running = l->running;
        s->kv_ratio = l->kv_ratio;
        s->age = l->at ? now - l->at : -1;
        s->score = score;
}

void
epp_trace_end(struct epp_trace *t, const struct epp_endpoint *chosen, epp_us now)
{
        unsigned spared = EPP_MIN(t->n_lost, (unsigned)SPARED), at = t->n_ran ? t->n_ran - 1 : 0;

        if (chosen)
                show(t, chosen, EPP_TRACE_NEVER, t->scored ? t->chosen : NAN, now);
        for (unsigned i = 0; i < t->n_front && t->n_seen < EPP_TRACE_SHOWN - spared; i++)
                if (t->front[i] != chosen)
                        show(t, t->front[i], at, t->scored ? t->score[i] : NAN, now);
        for (unsigned i = t->n_lost; i && t->n_lost - i < EPP_TRACE_SHOWN &&
                t->n_seen < EPP_TRACE_SHOWN; i--) {
                unsigned slot = (i - 1) % EPP_TRACE_SHOWN;

                show(t, t->lost[slot].endpoint, t->lost[slot].at, NAN, now);
        }
}
