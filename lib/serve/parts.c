/* parts.c - see parts.h. */
#include "serve/parts.h"

static void
add(struct epp_parts *p, struct epp_slice s)
{
        if (s.n)
                p->v[p->n++] = s;
        p->total += s.n;
}

void
epp_parts_plain(struct epp_parts *p, struct epp_slice body)
{
        p->n = p->first = p->total = 0;
        p->name = (struct epp_buf){ 0 };
        add(p, body);
}

int
epp_parts_renamed(struct epp_parts *p, struct epp_slice body, const struct epp_jscan *scan,
        struct epp_slice model)
{
        size_t at = 0;

        epp_parts_plain(p, epp_slice(NULL, 0));
        if (epp_jscan_quote(&p->name, model) < 0)
                return EPP_ENOMEM;
        for (size_t i = 0; i < scan->n_spans; i++) {
                add(p, epp_slice(body.p + at, scan->spans[i].at - at));
                add(p, epp_buf_slice(&p->name));
                at = scan->spans[i].at + scan->spans[i].len;
        }
        add(p, epp_slice(body.p + at, body.n - at));
        return 0;
}

size_t
epp_parts_take(struct epp_parts *p, size_t n, struct epp_slice *out)
{
        size_t k = 0;

        p->total -= n;
        while (n) {
                struct epp_slice *v = &p->v[p->first];
                size_t part = EPP_MIN(n, v->n);

                out[k++] = epp_slice(v->p, part);
                v->p += part, v->n -= part, n -= part;
                p->first += v->n == 0;
        }
        return k;
}

int
epp_parts_join(struct epp_parts *p, struct epp_buf *out)
{
        int r = 0;

        for (size_t i = p->first; r == 0 && i < p->n; i++)
                r = epp_buf_append(out, p->v[i]);
        return r;
}

void
epp_parts_fini(struct epp_parts *p)
{
        epp_buf_fini(&p->name);
}
