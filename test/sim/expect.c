/* expect.c - the verb "expect": a table of what can be looked at. */
#include "sim/verbs.h"

/* What a row reads from; the one of the two that it asks for is there. */
struct subject {
        const struct world *w;
        const struct epp_endpoint *e;
        const struct server *s;
};

#define ROW(name) \
        static double name(const struct subject *x)

ROW(inflight) { return x->e->inflight; }
ROW(picks) { return (double)x->e->picks; }
ROW(waiting) { return (double)x->e->load.waiting; }
ROW(running) { return (double)x->e->load.running; }
ROW(kv) { return x->e->load.kv_ratio; }
ROW(max_lora) { return (double)x->e->load.max_lora; }
ROW(adapters) { return x->e->load.lora_running.n + x->e->load.lora_waiting.n; }
ROW(adapters_v03) { return x->e->load.lora_v03.n; }
ROW(age) { return (double)(x->w->now - x->e->load.at); }
ROW(ttft) { return x->e->ttft_us; }
ROW(slot) { return x->e->ref.slot; }
ROW(generation) { return x->e->ref.gen; }
ROW(asked) { return (double)x->s->asked; }
ROW(failed) { return (double)x->s->failed; }
ROW(gap) { return (double)x->s->gap; }
ROW(skipped) { return (double)x->w->plan.skipped; }
ROW(complete) { return (double)x->w->director.stats.complete; }
ROW(aborted) { return (double)x->w->director.stats.aborted; }
ROW(unchecked) { return (double)x->w->director.stats.unchecked; }
ROW(tokens) { return (double)x->w->director.stats.completion_tokens; }
ROW(disconnected) { return (double)x->w->stats.disconnected; }
ROW(total) { return (double)world_inflight(x->w); }
ROW(connected) { return x->w->envoy.h2 != NULL; }
ROW(models) { return x->w->models ? (double)epp_models_count(x->w->models) : 0; }

static double
endpoints(const struct subject *x)
{
        size_t n;

        (void)epp_pool_list(x->w->pool, &n);
        return (double)n;
}

static double
period(const struct subject *x)
{
        return (double)epp_scraper_period(&x->w->plan, (size_t)endpoints(x));
}

static const struct {
        const char *name;
        enum { OF_WORLD, OF_ENDPOINT, OF_SERVER } of;
        double (*fn)(const struct subject *x);
} rows[] = {
        { "inflight", OF_ENDPOINT, inflight }, { "picks", OF_ENDPOINT, picks },
        { "waiting", OF_ENDPOINT, waiting }, { "running", OF_ENDPOINT, running },
        { "kv", OF_ENDPOINT, kv }, { "max_lora", OF_ENDPOINT, max_lora },
        { "adapters", OF_ENDPOINT, adapters }, { "adapters_v03", OF_ENDPOINT, adapters_v03 },
        { "age", OF_ENDPOINT, age }, { "ttft", OF_ENDPOINT, ttft }, { "slot", OF_ENDPOINT, slot },
        { "generation", OF_ENDPOINT, generation }, { "asked", OF_SERVER, asked },
        { "failed", OF_SERVER, failed }, { "gap", OF_SERVER, gap },
        { "skipped", OF_WORLD, skipped },
        { "complete", OF_WORLD, complete }, { "aborted", OF_WORLD, aborted },
        { "unchecked", OF_WORLD, unchecked }, { "tokens", OF_WORLD, tokens },
        { "disconnected", OF_WORLD, disconnected }, { "total", OF_WORLD, total },
        { "connected", OF_WORLD, connected }, { "models", OF_WORLD, models },
        { "endpoints", OF_WORLD, endpoints }, { "period", OF_WORLD, period },
};

static bool
expect_word(struct play *p, const char *what, const char *got)
{
        return strcmp(p->word[2], got) == 0 ||
               play_fail(p, "%s of %s is %s, expected %s", what, p->word[1], got, p->word[2]);
}

static bool
expect_state(struct play *p)
{
        static const char *const names[] = { "never", "fresh", "stale", "missing" };
        const struct epp_endpoint *e = world_endpoint(&p->w, p->word[1]);

        return e ? expect_word(p, "state", names[e->load.state])
                 : play_fail(p, "%s is not in the pool", p->word[1]);
}

/* expect call ID open|closed, expect answers ID DIGITS, expect grpc ID N */
static bool
expect_call(struct play *p)
{
        const struct call *c = play_call(p, p->word[1]);
        char text[16];

        if (!c)
                return false;
        if (strcmp(p->word[0], "call") == 0)
                return expect_word(p, "call", c->closed ? "closed" : "open");
        if (strcmp(p->word[0], "answers") == 0)
                return expect_word(p, "answers", c->answers);
        snprintf(text, sizeof(text), "%d", c->grpc);
        return expect_word(p, "grpc", text);
}

static bool
expect_row(struct play *p, size_t row)
{
        struct subject x = { .w = &p->w };
        const char *value = p->word[p->n - 1];
        double low, high, got;

        if (p->n != (rows[row].of == OF_WORLD ? 2u : 3u))
                return play_fail(p, "expect %s%s VALUE", rows[row].name,
                        rows[row].of == OF_WORLD ? "" : " NAME");
        if (rows[row].of == OF_ENDPOINT && !(x.e = world_endpoint(&p->w, p->word[1])))
                return play_fail(p, "%s is not in the pool", p->word[1]);
        if (rows[row].of == OF_SERVER && !(x.s = world_server(&p->w, p->word[1])))
                return play_fail(p, "no such server: %s", p->word[1]);
        if (!play_range(p, value, &low, &high))
                return false;
        got = rows[row].fn(&x);
        return (got >= low && got <= high) ||
               play_fail(p, "%s %s is %g, expected %s", rows[row].name,
                       p->n == 3 ? p->word[1] : "", got, value);
}

bool
verb_expect(struct play *p)
{
        const char *what = p->word[0];

        if (p->lenient)
                return true;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                if (strcmp(what, rows[i].name) == 0)
                        return expect_row(p, i);
        if (p->n != 3)
                return play_fail(p, "no such thing to expect: %s", what);
        if (strcmp(what, "state") == 0)
                return expect_state(p);
        if (strcmp(what, "call") == 0 || strcmp(what, "answers") == 0 || strcmp(what, "grpc") == 0)
                return expect_call(p);
        return play_fail(p, "no such thing to expect: %s", what);
}
