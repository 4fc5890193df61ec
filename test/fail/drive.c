/* drive.c - see drive.h. Only the code under test is armed. */
#include "fail/drive.h"

#include "fail/alloc.h"
#include "serve/endpoints.h"
#include "serve/health.h"
#include "serve/lease.h"
#include "serve/objects.h"
#include "sim/envoy.h"
#include "sim/play.h"
#include "wire/promscan.h"

static bool mistaken;

static void
on_mistake(void *ctx, const char *line)
{
        (void)ctx, (void)line;
        mistaken = true;
}

/* ---- an endpoints file, and the same file after an edit ---- */

static const char file_1[] = "endpoints:\n- {name: a, address: 10.0.0.1, port: 8000}\n"
                             "- {name: b, address: 10.0.0.2, port: \"8000\"}\n"
                             "- {name: c, namespace: x, address: \"fd00::1\", port: 80}\n";
static const char file_2[] = "endpoints:\n- {name: a, address: 10.0.0.1, port: 8000}\n"
                             "- {name: b, address: 10.0.0.9, port: 8000}\n"
                             "- {name: d, address: 10.0.0.4, port: 8000}\n"
                             "- {name: e, address: 10.0.0.5, port: 8000}\n";

static int
apply(struct epp_pool *pool, const char *text)
{
        mistaken = false;
        return ARMED(epp_endpoints_apply(pool, EPP_SLICE("f"), epp_slice_str(text), on_mistake,
                NULL));
}

static const char *
check_endpoints(struct epp_pool *pool)
{
        size_t n;
        int r = apply(pool, file_1);

        (void)epp_pool_list(pool, &n);
        if (mistaken || (r != 0 && r != EPP_ENOMEM))
                return "a good file was called bad";
        if (r == 0 && n != 3)
                return "the file was read, but the pool does not hold it";
        r = apply(pool, file_2);
        if (mistaken || (r != 0 && r != EPP_ENOMEM))
                return "a good file was called bad";
        alloc_stop(); /* memory is back: the next reading mends all */
        r = apply(pool, file_2);
        (void)epp_pool_list(pool, &n);
        return r == 0 && n == 4 ? NULL : "the file is not in force after memory is back";
}

static const char *
drive_endpoints(void)
{
        struct epp_pool *pool;
        const char *why;

        if (ARMED(epp_pool_new(1, &pool)) < 0)
                return NULL;
        alloc_arm();
        why = check_endpoints(pool);
        alloc_disarm();
        epp_pool_free(pool);
        return why;
}

/* ---- object files ---- */

#define MODEL(name, rest) \
        "---\napiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferenceModel\n" \
        "metadata: {name: " name "}\nspec: {modelName: " name ", poolRef: {name: p}" rest "}\n"
static const char objects_1[] = "apiVersion: inference.networking.x-k8s.io/v1alpha2\n"
                                "kind: InferencePool\nmetadata: {name: p}\n"
                                "spec: {targetPortNumber: 8000, selector: {app: x}}\n"
        MODEL("a", "")
        MODEL("b", ", criticality: Critical, "
                   "targetModels: [{name: x, weight: 1}, {name: y, weight: 2}]");
static const char objects_2[] = "kind: List\napiVersion: v1\nitems:\n"
                                "- {apiVersion: inference.networking.x-k8s.io/v1alpha2, "
                                "kind: InferenceModel, metadata: {name: c}, "
                                "spec: {modelName: c, poolRef: {name: p}}}\n";

static int
read_objects(struct epp_objects *o, struct epp_models **ret)
{
        struct epp_slice pool;
        int r = ARMED(epp_objects_add(o, EPP_SLICE("one"), epp_slice_str(objects_1)));

        if (r == 0)
                r = ARMED(epp_objects_add(o, EPP_SLICE("two"), epp_slice_str(objects_2)));
        return r < 0 ? r : ARMED(epp_objects_finish(o, 1, ret, &pool));
}

static const char *
drive_objects(void)
{
        struct epp_objects *o;
        struct epp_models *models = NULL;
        const char *why = NULL;
        int r;

        mistaken = false;
        if (ARMED(epp_objects_new(EPP_SLICE(""), EPP_SLICE("default"), on_mistake, NULL, &o)) < 0)
                return NULL;
        r = read_objects(o, &models);
        if (mistaken || (r != 0 && r != EPP_ENOMEM))
                why = "good objects were called bad";
        else if (r == 0 && epp_models_count(models) != 3)
                why = "the set is not whole";
        epp_models_free(models);
        epp_objects_free(o);
        return why;
}

/* ---- a metrics page as vLLM writes it ---- */

#define PIECE 1000

struct reader {
        struct epp_load_fold fold;
        struct epp_promscan scan;
};

static int
read_page(struct reader *x, struct epp_slice page, epp_us now, struct epp_load *l)
{
        int r = 0;

        alloc_arm();
        epp_promscan_begin(&x->scan);
        epp_load_fold_begin(&x->fold, now, 0);
        for (size_t i = 0; i < page.n; i += PIECE)
                r |= epp_promscan_feed(&x->scan,
                        epp_slice(page.p + i, EPP_MIN((size_t)PIECE, page.n - i)));
        r |= epp_promscan_end(&x->scan, true);
        r = r < 0 ? EPP_ENOMEM : epp_load_fold_end(&x->fold, l);
        alloc_disarm();
        return r;
}

static const char *
check_page(struct reader *x, struct epp_slice page)
{
        struct epp_load l = { 0 };
        const char *why = NULL;
        int r = read_page(x, page, 1, &l);

        if (r < 0 && (l.at || l.lora_v03.n || l.blocks))
                why = "a page that could not be read left a part";
        if (r >= 0 && (l.blocks != 5623 || l.max_lora != 8 || l.lora_v03.n != 7))
                why = "a page that was read says something else";
        alloc_stop();
        r = read_page(x, page, 2, &l);
        if (r < 0 || l.at != 2 || l.blocks != 5623 || l.lora_v03.n != 7)
                why = "the next page is not read";
        epp_load_fini(&l);
        return why;
}

static const char *
drive_page(void)
{
        static struct reader x;
        char *text = play_read("test/data/metrics/vllm-0.30.0-lora.txt");
        const char *why = "cannot be set up";

        if (!text)
                return why;
        epp_load_fold_init(&x.fold, epp_load_spec_default());
        if (epp_promscan_init(&x.scan, x.fold.names, x.fold.n_names, epp_load_fold_sample,
                    &x.fold) == 0)
                why = check_page(&x, epp_slice_str(text));
        epp_promscan_fini(&x.scan);
        epp_load_fold_fini(&x.fold);
        free(text);
        return why;
}

/* ---- health: Check, List and a Watch that is told of a change ---- */

static const char *
drive_health(void)
{
        static const char *const methods[] = { "/grpc.health.v1.Health/Check",
                "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch" };
        struct epp_rpc_handler handlers[EPP_HEALTH_HANDLERS];
        struct epp_h2_stats stats = { 0 };
        struct epp_health *health;
        struct epp_h2 *h2;
        struct envoy e = { .now = 1 };

        if (ARMED(epp_health_new(&health)) < 0)
                return NULL;
        epp_health_handlers(health, handlers);
        if (ARMED(epp_h2_new(handlers, ARRAY_LEN(handlers), &stats, &h2)) == 0) {
                (void)!envoy_init(&e, h2, 1);
                for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
                        struct call *c = envoy_open(&e, "health", methods[i]);

                        if (c)
                                envoy_say_empty(c);
                }
                alloc_arm();
                epp_health_set(health, true);
                alloc_disarm();
                envoy_pump(&e);
                envoy_fini(&e);
        }
        epp_health_free(health);
        return NULL;
}

/* ---- a lease: won, renewed, lost in between, given back ---- */

static void
on_leading(void *ctx, bool leading)
{
        *(bool *)ctx = leading;
}

/* What the server says to the n-th request; it keeps nothing but the version. */
static int
lease_reply(const struct epp_lease_wish *w, int n, struct epp_slice *ret)
{
        static const struct epp_slice mine = EPP_SLICE("{\"metadata\":{\"name\":\"l\","
                "\"resourceVersion\":\"1\",\"labels\":{\"a\":\"b\"}},\"spec\":{"
                "\"holderIdentity\":\"me\",\"leaseDurationSeconds\":15}}");

        *ret = mine;
        if (n == 0)
                return 404;
        return w->method == EPP_LEASE_PUT && n % 4 == 3 ? 409 : 200;
}

static const char *
drive_lease(void)
{
        static const struct epp_log quiet = { .level = EPP_LOG_ERROR };
        bool leading = false;
        struct epp_lease_config cfg = { .ns = EPP_SLICE("n"), .name = EPP_SLICE("l"),
                .identity = EPP_SLICE("me"), .duration = 15000000, .renew_deadline = 10000000,
                .retry = 2000000, .log = &quiet, .changed = on_leading, .ctx = &leading };
        struct epp_lease *l;
        struct epp_lease_wish w;
        struct epp_slice reply;
        epp_us now = 1;
        const char *why = NULL;

        if (ARMED(epp_lease_new(&cfg, &l)) < 0)
                return NULL;
        for (int n = 0, turns = 0; turns < 60 && !epp_lease_released(l, now); turns++) {
                alloc_arm();
                if (turns == 40)
                        epp_lease_release(l, now);
                epp_lease_wish(l, now, 1, &w);
                if (w.method) {
                        int http = lease_reply(&w, n++, &reply);

                        epp_lease_answer(l, http, reply, now);
                }
                alloc_disarm();
                if (!w.method && w.at <= now)
                        why = "no time goes by";
                now = w.method ? now : w.at;
                if (leading != epp_lease_leading(l))
                        why = "a change was not told";
        }
        epp_lease_free(l);
        return why;
}

const struct drive drives[] = {
        { "an endpoints file read, edited and read again", drive_endpoints },
        { "object files", drive_objects },
        { "a metrics page of vLLM", drive_page },
        { "the health service", drive_health },
        { "a lease", drive_lease },
        { NULL, NULL },
};
