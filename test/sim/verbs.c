/* verbs.c - the table of verbs, and those that build the world: pool, models, pages, plan. */
#include "sim/verbs.h"

#include <stdarg.h>

#include "fail/alloc.h"

static void EPP_PRINTF(2, 3)
put(struct epp_buf *b, const char *fmt, ...)
{
        char text[1024];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        EPP_ASSERT(n >= 0 && (size_t)n < sizeof(text) &&
                epp_buf_append(b, epp_slice(text, (size_t)n)) == 0);
}

static bool
verb_scheduler(struct play *p)
{
        static const char *const names[] = { "tree-v0.3", "tree-v0.5",
                "active-request" };
        struct epp_thresholds t = epp_thresholds_default;
        double seed = play_number_option(p, "seed", 1);

        t.kv = play_number_option(p, "kv", t.kv);
        t.queue_critical = play_number_option(p, "queue", t.queue_critical);
        t.queuing_lora = play_number_option(p, "low", t.queuing_lora);
        t.lora_affinity = play_number_option(p, "affinity", t.lora_affinity);
        t.staleness_us = play_number_option(p, "stale", t.staleness_us);
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (strcmp(p->word[0], names[i]) == 0)
                        return play_result(p, world_scheduler(&p->w, (enum epp_builtin)i, &t,
                                                      (uint64_t)seed));
        return play_fail(p, "no such scheduler: %s", p->word[0]);
}

static bool
verb_match(struct play *p)
{
        static const char *const names[] = { "auto", "required", "passthrough" };

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                if (strcmp(p->word[0], names[i]) == 0) {
                        p->w.director.match = (enum epp_model_match)i;
                        return true;
                }
        }
        return play_fail(p, "match is auto, required or passthrough");
}

static bool
verb_ready(struct play *p)
{
        p->w.director.ready = strcmp(p->word[0], "yes") == 0;
        return p->w.director.ready || strcmp(p->word[0], "no") == 0 ||
               play_fail(p, "ready is yes or no");
}

static bool
add_one(struct play *p, const char *word)
{
        const char *addr = strchr(word, '=');
        char name[64];

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
        return play_result(p, world_add(&p->w, name, addr ? addr + 1 : NULL));
}

static bool
remove_one(struct play *p, const char *name)
{
        if (ARMED(epp_pool_remove(p->w.pool, epp_slice_str(name))) || p->lenient)
                return true;
        return play_fail(p, "%s is not in the pool", name);
}

static bool
verb_pool(struct play *p)
{
        bool add = strcmp(p->word[0], "add") == 0;

        if (!add && strcmp(p->word[0], "remove") != 0)
                return play_fail(p, "pool add NAME[=ADDR]..., or pool remove NAME...");
        for (size_t i = 1; i < p->n; i++)
                if (!play_each(p, p->word[i], add ? add_one : remove_one))
                        return false;
        return true;
}

static void
say_mistake(void *ctx, const char *line)
{
        if (!((struct play *)ctx)->lenient)
                play_fail(ctx, "%s", line);
}

static bool
add_objects(struct play *p, struct epp_buf *text)
{
        int r;

        EPP_ASSERT(epp_buf_append(text, epp_slice("", 1)) == 0);
        r = world_objects(&p->w, epp_buf_slice(text).p, say_mistake, p);
        epp_buf_fini(text);
        return play_result(p, r);
}

/* An InferenceModel in the shape that users apply. */
static bool
verb_model(struct play *p)
{
        struct epp_buf text = { 0 };

        put(&text, "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferenceModel\n"
                   "metadata: {name: %s}\nspec:\n  modelName: %s\n  criticality: %s\n"
                   "  poolRef: {name: pool}\n%s", p->word[0], p->word[0], p->word[1],
                p->n > 2 ? "  targetModels:\n" : "");
        for (size_t i = 2; i < p->n; i++) {
                char *weight = strchr(p->word[i], '=');

                if (weight)
                        *weight++ = 0;
                put(&text, "  - {name: %s%s%s}\n", p->word[i], weight ? ", weight: " : "",
                        weight ? weight : "");
        }
        return add_objects(p, &text);
}

static bool
verb_objects(struct play *p)
{
        struct epp_buf text = { 0 };

        return play_block(p, &text) ? add_objects(p, &text) : (epp_buf_fini(&text), false);
}

/* The page that the options of this line describe; families not named are not on it. */
static void
build_page(const struct play *p, struct epp_buf *page)
{
        static const char *const rows[][2] = { { "waiting", "vllm:num_requests_waiting" },
                { "running", "vllm:num_requests_running" }, { "kv", "vllm:kv_cache_usage_perc" },
                { "kv_old", "vllm:gpu_cache_usage_perc" } };
        const char *run = play_option(p, "lora"), *wait = play_option(p, "wait_lora");
        const char *max = play_option(p, "max_lora"), *stamp = play_option(p, "stamp");
        char now[32];

        put(page, "# HELP python_info Python\n# TYPE python_info gauge\npython_info 1.0\n");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const char *value = play_option(p, rows[i][0]);

                if (value)
                        put(page, "# TYPE %s gauge\n%s{engine=\"0\",model_name=\"m\"} %s\n",
                                rows[i][1], rows[i][1], value);
        }
        if (!run && !wait && !max)
                return;
        snprintf(now, sizeof(now), "%.3f", 1.7e9 + (double)p->w.now / 1e6);
        put(page, "vllm:lora_requests_info{max_lora=\"%s\",running_lora_adapters=\"%s\","
                  "waiting_lora_adapters=\"%s\"} %s\n", max ? max : "0", run ? run : "",
                wait ? wait : "", stamp ? stamp : now);
}

static bool
scrape_one(struct play *p, const char *name)
{
        struct epp_buf page = { 0 };
        int r;

        if (!world_endpoint(&p->w, name))
                return p->lenient || play_fail(p, "%s is not in the pool", name);
        build_page(p, &page);
        r = world_scrape(&p->w, name, epp_buf_slice(&page), 7);
        epp_buf_fini(&page);
        return play_result(p, r);
}

static bool
verb_scrape(struct play *p)
{
        return play_each(p, p->word[0], scrape_one);
}

static bool
verb_page(struct play *p)
{
        struct epp_buf page = { 0 };
        bool ok = play_block(p, &page);

        if (ok && !world_endpoint(&p->w, p->word[0]))
                ok = p->lenient || play_fail(p, "%s is not in the pool", p->word[0]);
        else if (ok)
                ok = play_result(p, world_scrape(&p->w, p->word[0], epp_buf_slice(&page),
                                            (size_t)play_number_option(p, "cut", 100)));
        epp_buf_fini(&page);
        return ok;
}

static bool
server_one(struct play *p, const char *name)
{
        static const char *const modes[] = { "up", "down", "hangs" };
        struct server *s = world_server(&p->w, name);

        if (!s)
                return p->lenient || play_fail(p, "no such server: %s", name);
        for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
                if (strcmp(p->word[1], modes[i]) != 0)
                        continue;
                s->mode = (int)i;
                s->delay = (epp_us)play_number_option(p, "delay", 0);
                epp_buf_fini(&s->page);
                build_page(p, &s->page);
                return true;
        }
        return play_fail(p, "a server is up, down or hangs");
}

static bool
verb_server(struct play *p)
{
        return play_each(p, p->word[0], server_one);
}

static bool
verb_plan(struct play *p)
{
        world_plan(&p->w, (epp_us)play_number_option(p, "period", 50000),
                play_number_option(p, "budget", 0));
        p->w.timeout = (epp_us)play_number_option(p, "timeout", 1000000);
        p->w.staleness = (epp_us)play_number_option(p, "staleness", 2000000);
        p->w.cost = (epp_us)play_number_option(p, "cost", 0);
        return true;
}

static bool
verb_mark(struct play *p)
{
        for (struct server *s = p->w.servers; s; s = s->next) {
                s->asked = s->failed = 0;
                s->gap = 0;
        }
        p->w.plan.skipped = 0;
        return true;
}

static bool
verb_disconnect(struct play *p)
{
        struct call *calls = p->w.envoy.calls;

        for (struct call *c = calls; c; c = c->next)
                c->closed = true;
        p->w.envoy.calls = NULL; /* they can still be asked about */
        envoy_fini(&p->w.envoy);
        p->w.envoy.calls = calls;
        return true;
}

static bool
verb_drain(struct play *p)
{
        if (p->w.envoy.h2) {
                alloc_arm();
                epp_h2_shutdown(p->w.envoy.h2, true);
                alloc_disarm();
                envoy_pump(&p->w.envoy);
        }
        return true;
}

const struct verb verbs[] = {
        { "scheduler", 1, verb_scheduler,
                "tree-v0.3|tree-v0.5|active-request [seed=N] [affinity=X] [low=N] [queue=N] ..." },
        { "match", 1, verb_match, "auto|required|passthrough" },
        { "ready", 1, verb_ready, "yes|no" },
        { "pool", 2, verb_pool, "add NAME[=ADDR]... | remove NAME..." },
        { "model", 2, verb_model, "NAME Critical|Standard|Sheddable [TARGET[=WEIGHT]...]" },
        { "objects", 0, verb_objects, "(YAML lines up to \"end\")" },
        { "scrape", 1, verb_scrape, "NAME [waiting=N] [running=N] [kv=X] [lora=A,B] ..." },
        { "page", 1, verb_page, "NAME [cut=N] (metrics lines up to \"end\")" },
        { "server", 2, verb_server, "NAME up|down|hangs [delay=TIME] [waiting=N] ..." },
        { "plan", 1, verb_plan,
                "period=TIME [budget=X] [timeout=TIME] [staleness=TIME] [cost=TIME]" },
        { "mark", 0, verb_mark, "" },
        { "request", 3, verb_request, "ID [model=M] [mode=duplex] ... -> FATE" },
        { "respond", 2, verb_respond,
                "ID headers|body|trailers|garbage [status=N] [type=T] [text=T] [end]" },
        { "end", 1, verb_end, "ID" },
        { "reset", 1, verb_reset, "ID" },
        { "close", 1, verb_close, "ID" },
        { "disconnect", 0, verb_disconnect, "" },
        { "drain", 0, verb_drain, "" },
        { "expect", 2, verb_expect, "WHAT [NAME] VALUE" },
        { NULL, 0, NULL, NULL },
};
