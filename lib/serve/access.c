/* access.c - see access.h. */
#include "serve/access.h"

#include "serve/director.h"

struct fields {
        struct epp_log_field v[20];
        size_t n;
};

static void
field(struct fields *f, struct epp_log_field v)
{
        if (v.kind == EPP_LOG_TEXT && v.text.n == 0)
                return;
        EPP_ASSERT(f->n < ARRAY_LEN(f->v));
        f->v[f->n++] = v;
}

static void
begin(struct fields *f, const struct epp_record *r, int http, const char *failure)
{
        field(f, LOG_S("id", r->id));
        field(f, LOG_S("model", r->model));
        field(f, LOG_S("target", r->target));
        field(f, LOG_S("ep", r->endpoint));
        field(f, LOG_S("addr", r->addr));
        if (http)
                field(f, LOG_N("http", http));
        field(f, LOG_T("failure", failure));
        field(f, LOG_N("in_bytes", r->request_bytes));
}

static void
decided(void *ctx, const struct epp_record *r)
{
        const struct epp_log *log = ctx;
        struct fields f = { .n = 0 };

        if (r->http == 0)
                return; /* it goes on */
        begin(&f, r, r->http, epp_failure_name(r->failure));
        field(&f, LOG_MILLI("total_ms", r->decided - r->begun));
        field(&f, LOG_T("end", "refused"));
        epp_log_write(log, EPP_LOG_INFO, "request", f.v, f.n);
}

static void
ended(void *ctx, const struct epp_record *r)
{
        const struct epp_outcome *o = r->outcome;
        const struct epp_log *log = ctx;
        struct fields f = { .n = 0 };
        bool bad = epp_status_is_bad(o->status);

        begin(&f, r, o->status, bad ? epp_failure_name(EPP_FAIL_MODEL_SERVER) : "");
        field(&f, LOG_N("out_bytes", o->bytes));
        if (o->usage.prompt)
                field(&f, LOG_N("prompt_tokens", o->usage.prompt));
        if (o->usage.completion)
                field(&f, LOG_N("completion_tokens", o->usage.completion));
        if (o->bytes)
                field(&f, LOG_MILLI("ttft_ms", o->first_us));
        field(&f, LOG_MILLI("total_ms", o->all_us));
        field(&f, LOG_T("streaming", o->streaming ? "true" : "false"));
        field(&f, LOG_T("end", o->complete ? "complete" : "aborted"));
        epp_log_write(log, EPP_LOG_INFO, "request", f.v, f.n);
}

struct epp_observer
epp_access_observer(const struct epp_log *log)
{
        return (struct epp_observer){ .ctx = (void *)(uintptr_t)log, .decided = decided,
                .ended = ended };
}
