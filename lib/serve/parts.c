/* parts.c - see parts.h. */
#include "serve/parts.h"

void
epp_parts_plain(struct epp_parts *p, const struct epp_rope *body)
{
        p->body = body;
        p->at = (struct epp_rope_at){ 0 };
        p->total = body->n;
        p->name = (struct epp_buf){ 0 };
        p->left = epp_slice(NULL, 0);
        p->n = p->next = 0;
}

int
epp_parts_renamed(struct epp_parts *p, const struct epp_rope *body, const struct epp_jscan *scan,
        struct epp_slice model)
{
        size_t at = 0;

        epp_parts_plain(p, body);
        if (epp_jscan_quote(&p->name, model) < 0)
                return EPP_ENOMEM;
        for (p->n = 0; p->n < scan->n_spans; p->n++) {
                const struct epp_jspan *span = &scan->spans[p->n];

                p->until[p->n] = span->at - at;
                p->span[p->n] = span->len;
                p->total += epp_buf_len(&p->name) - span->len;
                at = span->at + span->len;
        }
        return 0;
}

/* The next slice, of at most <n> bytes; an empty one where a value is replaced. */
static struct epp_slice
next(struct epp_parts *p, size_t n)
{
        size_t *until = p->next < p->n ? &p->until[p->next] : NULL;
        struct epp_slice s;

        if (p->left.n) {
                s = epp_slice(p->left.p, EPP_MIN(n, p->left.n));
                p->left = epp_slice(p->left.p + s.n, p->left.n - s.n);
                return s;
        }
        if (until && *until == 0) {
                epp_rope_skip(p->body, &p->at, p->span[p->next++]);
                p->left = epp_buf_slice(&p->name);
                return epp_slice(NULL, 0);
        }
        s = epp_rope_next(p->body, &p->at, until ? EPP_MIN(n, *until) : n);
        if (until)
                *until -= s.n;
        return s;
}

size_t
epp_parts_take(struct epp_parts *p, size_t *n, struct epp_slice *out)
{
        size_t k = 0, left = *n;

        EPP_ASSERT(left <= p->total);
        while (left && k < EPP_PARTS) {
                out[k] = next(p, left);
                left -= out[k].n;
                k += out[k].n != 0;
        }
        *n -= left;
        p->total -= *n;
        return k;
}

void
epp_parts_fini(struct epp_parts *p)
{
        epp_buf_fini(&p->name);
}
