/* ring.c - see ring.h. A decision is written over the oldest, in place: about 300 bytes of text and
 * 64 for each endpoint, no allocation. */
#include "serve/ring.h"

#include "base/status.h"

struct epp_ring {
        size_t n;
        uint64_t last;
        struct epp_decision of[]; /* number i is at i % n; pages are touched as it fills */
};

int
epp_ring_new(size_t n, struct epp_ring **ret)
{
        struct epp_ring *r;

        if (n > (SIZE_MAX - sizeof(*r)) / sizeof(r->of[0]))
                return EPP_ENOMEM;
        r = calloc(1, sizeof(*r) + n * sizeof(r->of[0]));
        if (!r)
                return EPP_ENOMEM;
        r->n = n;
        *ret = r;
        return 0;
}

void
epp_ring_free(struct epp_ring *r)
{
        free(r);
}

uint64_t
epp_ring_last(const struct epp_ring *r)
{
        return r->last;
}

const struct epp_decision *
epp_ring_get(const struct epp_ring *r, uint64_t number)
{
        const struct epp_decision *d = &r->of[number % r->n];

        return number && d->number == number ? d : NULL;
}

size_t
epp_ring_size(const struct epp_ring *r)
{
        return r->n;
}

size_t
epp_ring_bytes(const struct epp_ring *r)
{
        return sizeof(*r) + r->n * sizeof(r->of[0]);
}

struct epp_slice
epp_ring_cut(struct epp_slice name)
{
        size_t n = EPP_RING_NAME;

        if (name.n <= n)
                return name;
        while (n && ((unsigned char)name.p[n] & 0xc0) == 0x80)
                n--;
        return epp_slice(name.p, n);
}

/* A copy in the decision's text; there is room for it. */
static struct epp_slice
copy(struct epp_decision *d, struct epp_slice s)
{
        char *p = d->text + d->n_text;

        if (s.n)
                memcpy(p, s.p, s.n);
        d->n_text += s.n;
        return epp_slice(p, s.n);
}

static void
note_cycle(struct epp_decision *d, const struct epp_trace *t)
{
        d->candidates = t->candidates;
        d->n_steps = t->n_steps;
        memcpy(d->step, t->step, t->n_steps * sizeof(t->step[0]));
        for (unsigned i = 0; i < t->n_seen; i++) {
                struct epp_slice name = t->seen[i].endpoint->name;

                if (name.n > EPP_RING_TEXT - d->n_text)
                        continue;
                d->seen[d->n_seen].name = copy(d, name);
                d->seen[d->n_seen++].as = t->seen[i].as;
        }
}

static void
decided(void *ctx, const struct epp_record *record)
{
        struct epp_ring *r = ctx;
        struct epp_decision *d = &r->of[++r->last % r->n];

        d->number = r->last;
        d->at = record->decided;
        d->http = record->http;
        d->failure = record->failure;
        d->priority = record->priority;
        d->critical = record->critical;
        d->candidates = 0;
        d->n_steps = d->n_seen = 0;
        d->n_text = 0;
        d->id = copy(d, epp_ring_cut(record->id));
        d->model = copy(d, epp_ring_cut(record->model));
        d->target = copy(d, epp_ring_cut(record->target));
        d->why = copy(d, epp_ring_cut(epp_slice_str(record->http ? record->text : NULL)));
        if (record->trace)
                note_cycle(d, record->trace);
}

struct epp_observer
epp_ring_observer(struct epp_ring *r)
{
        return (struct epp_observer){ .ctx = r, .decided = decided, .traces = true };
}
