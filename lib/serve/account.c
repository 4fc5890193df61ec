/* account.c - see account.h. */
#include "serve/account.h"

#include "base/slice.h"

#define DEFAULT_FLOW EPP_SLICE("default-flow") /* of requests that do not say whose they are */

/* The gauge of the Go pickers knows no requests without a model's name. */
static uint64_t
counts_as_running(const struct epp_cell *c)
{
        return c->labels.model.n > 0;
}

static void
count_attempt(struct epp_series *s, const struct epp_record *r)
{
        const char *colon = r->addr.n ? memrchr(r->addr.p, ':', r->addr.n) : NULL;
        struct epp_slice port = { NULL, 0 };

        if (colon)
                port = epp_slice(colon + 1, (size_t)(r->addr.p + r->addr.n - colon - 1));
        epp_series_attempt(s, r->target, r->endpoint, port);
}

void
epp_account_decided(struct epp_series *s, struct epp_record *r)
{
        struct epp_labels l = { r->model, r->target, r->fairness.n ? r->fairness : DEFAULT_FLOW,
                r->priority, r->named, r->target_named };

        r->cell = epp_series_cell(s, &l); /* first: it knows which names are the operator's */
        if (r->rewrite.n)
                epp_series_rewrite(s, r->rewrite, r->model, r->target);
        if (r->scheduled)
                count_attempt(s, r);
        if (r->http) {
                r->cell->failures[r->failure]++;
                return;
        }
        r->cell->requests++;
        r->cell->running += counts_as_running(r->cell);
        epp_hist_add(&r->cell->request_bytes, (double)r->request_bytes);
}

static void
count_tokens(struct epp_cell *c, const struct epp_outcome *o, double all)
{
        const struct epp_usage *u = &o->usage;

        if (u->prompt)
                epp_hist_add(&c->input_tokens, (double)u->prompt);
        if (u->completion) {
                epp_hist_add(&c->output_tokens, (double)u->completion);
                epp_hist_add(&c->ntpot, all / (double)u->completion);
        }
        if (u->details)
                epp_hist_add(&c->cached_tokens, (double)u->cached);
}

/* A whole response: latencies are those of requests that were answered. Gateways that show none say
 * nothing of how long it took. */
static void
count_response(struct epp_cell *c, const struct epp_outcome *o)
{
        double all = (double)o->all_us / 1e6, first = (double)o->first_us / 1e6;

        if (!o->begun)
                return;
        epp_hist_add(&c->duration, all);
        epp_hist_add(&c->response_bytes, (double)o->bytes);
        count_tokens(c, o, all);
        if (o->bytes)
                epp_hist_add(o->streaming ? &c->ttft_streaming : &c->ttft, first);
        if (o->bytes && o->streaming && o->usage.completion > 1)
                epp_hist_add(&c->tpot, (all - first) / (double)(o->usage.completion - 1));
}

static void
count_end(struct epp_cell *c, const struct epp_outcome *o, bool compat)
{
        if (o->complete)
                count_response(c, o);
        if (compat ? o->said && o->said != 200 : epp_status_is_bad(o->status) ||
                        epp_status_is_bad(o->said))
                c->failures[EPP_FAIL_MODEL_SERVER]++;
}

void
epp_account_ended(const struct epp_record *r, bool compat)
{
        r->cell->running -= counts_as_running(r->cell);
        count_end(r->cell, r->outcome, compat);
}

void
epp_account_stray(struct epp_series *s, const struct epp_outcome *o, bool compat)
{
        count_end(epp_series_cell(s, &(struct epp_labels){ .fairness = DEFAULT_FLOW }), o, compat);
}
