/* test_cluster.c - objects of an API server become endpoints and models. The API is a few lines of
 * JSON per reflector, in virtual time; rows are numbered as in the specification. */
#include "serve/cluster.h"
#include "unit.h"

static struct epp_pool *pool;
static struct epp_models *models;
static struct epp_cluster *c;
static struct epp_reflector *const *refl;
static uint64_t running[8];
static epp_us now;
enum { V1, X, PODS, MODELS, OBJ, OBJ_X, REW, REW_X };

static char lines[8192];

static void
sink(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        size_t n = strlen(lines);

        (void)ctx, (void)level;
        snprintf(lines + n, sizeof(lines) - n, SLICE_FMT, SLICE_ARG(line));
}

static epp_wall
wall(void *ctx)
{
        (void)ctx;
        return 0;
}

static void
start_with(struct epp_cluster_config cfg)
{
        static struct epp_log log;
        size_t n;

        log = (struct epp_log){ .level = EPP_LOG_INFO, .sink = sink, .wall = wall };
        *lines = 0;
        now = 1000000;
        memset(running, 0, sizeof(running));
        ck_assert_int_eq(epp_pool_new(1, &pool), 0);
        ck_assert_int_eq(epp_models_new(1, &models), 0);
        cfg.ns = EPP_SLICE("n");
        cfg.pool = pool;
        cfg.models = &models;
        cfg.log = &log;
        cfg.seed = 1;
        ck_assert_int_eq(epp_cluster_new(&cfg, &c), 0);
        refl = epp_cluster_reflectors(c, &n);
        ck_assert_uint_eq(n, 8);
}

static void
start(void)
{
        start_with((struct epp_cluster_config){ .pool_name = EPP_SLICE("p") });
}

static void
stop(void)
{
        epp_cluster_free(c);
        epp_models_free(models);
        epp_pool_free(pool);
}

/* Takes up what reflector <i> wants: its URL, or NULL. */
static const char *
ask(int i)
{
        struct epp_reflect_wish w;

        epp_reflector_wish(refl[i], now, &w);
        running[i] = w.request;
        return w.url;
}

static void
settle(void)
{
        now += 30000;
        epp_cluster_tick(c, now);
        epp_cluster_tick(c, now + 30000);
}

/* Answers a list with <items>. */
static void
list(int i, const char *items)
{
        char body[4096];

        ck_assert_ptr_nonnull(ask(i));
        snprintf(body, sizeof(body), "{\"metadata\":{\"resourceVersion\":\"100\"},\"items\":[%s]}",
                items);
        epp_reflector_status(refl[i], running[i], 200, -1, now);
        ck_assert_int_eq(epp_reflector_data(refl[i], running[i], epp_slice_str(body), now), 0);
        epp_reflector_end(refl[i], running[i], true, now);
        settle();
        ask(i); /* the watch */
        epp_reflector_status(refl[i], running[i], 200, -1, now);
}

static void
refuse(int i, int http)
{
        ck_assert_ptr_nonnull(ask(i));
        epp_reflector_status(refl[i], running[i], http, -1, now);
        epp_reflector_end(refl[i], running[i], true, now);
        settle();
}

static void
event(int i, const char *type, const char *object)
{
        char body[4096];

        snprintf(body, sizeof(body), "{\"type\":\"%s\",\"object\":%s}\n", type, object);
        ck_assert_int_eq(epp_reflector_data(refl[i], running[i], epp_slice_str(body), now), 0);
        settle();
}

#define META(name, uid, rv, more) "\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"" uid                \
        "\",\"resourceVersion\":\"" rv "\"" more "}"
#define POD(name, uid, rv, ip, ready, more) "{" META(name, uid, rv, more) ",\"status\":{\"podIP\":\"" ip                 \
        "\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"" ready "\"}]}}"
#define POOL1(rv, labels, ports)                                                                   \
        "{\"apiVersion\":\"inference.networking.k8s.io/v1\",\"kind\":\"InferencePool\"," META(     \
                "p", "u", rv, "") ",\"spec\":{\"selector\":{\"matchLabels\":{" labels              \
                                  "}},\"targetPorts\":[" ports "]}}"
#define POOLX(rv, labels, port)                                                                    \
        "{\"apiVersion\":\"inference.networking.x-k8s.io/"                                         \
        "v1alpha2\",\"kind\":\"InferencePool\"," META("p", "ux", rv,                               \
                "") ",\"spec\":{\"selector\":{" labels "},\"targetPortNumber\":" port "}}"
#define PORT(n) "{\"number\":" n "}"
#define MODEL(name, rv, born, model, more) "{\"apiVersion\":\"inference.networking.x-k8s.io/v1alpha2\","                 \
        "\"kind\":\"InferenceModel\"," META(name, "u" name, rv, ",\"creationTimestamp\":\"" born "\"")                   \
        ",\"spec\":{\"modelName\":\"" model "\",\"poolRef\":{\"name\":\"p\"}" more "}}"

/* The endpoints as "name=addr ..." in order of their names. */
static const char *
endpoints(void)
{
        static char out[1024];
        struct epp_endpoint *const *v;
        struct epp_slice last = { NULL, 0 };
        size_t n, at = 0;

        v = epp_pool_list(pool, &n);
        *out = 0;
        for (size_t k = 0; k < n; k++) {
                const struct epp_endpoint *next = NULL;

                for (size_t i = 0; i < n; i++)
                        if (epp_slice_cmp(v[i]->name, last) > 0 &&
                                (!next || epp_slice_cmp(v[i]->name, next->name) < 0))
                                next = v[i];
                ck_assert_ptr_nonnull(next);
                at += (size_t)snprintf(out + at, sizeof(out) - at, SLICE_FMT "=" SLICE_FMT " ",
                        SLICE_ARG(next->name), SLICE_ARG(next->addr));
                last = next->name;
        }
        return out;
}

static void
others_absent(void)
{
        for (int i = MODELS; i <= REW_X;
                i++) /* an older group is asked for when the newer is absent */
                if (ask(i))
                        refuse(i, 404);
        ck_assert(epp_reflector_state(refl[OBJ_X]) == EPP_REFLECT_ABSENT);
}

static void
started(const char *pods)
{
        const char *why;

        start();
        list(V1, POOL1("1", "\"b\":\"2\",\"a\":\"1\"", PORT("8000")));
        ck_assert_str_eq(
                ask(PODS), "/api/v1/namespaces/n/pods?limit=500&labelSelector=a%3D1%2Cb%3D2");
        ck_assert(!epp_cluster_ready(c, now, &why));
        ck_assert_str_eq(why, "the pods have not been listed yet");
        list(PODS, pods);
        list(X, "");
        others_absent();
        ck_assert_msg(epp_cluster_ready(c, now, &why), "%s", why);
}

START_TEST(pods_of_a_pool)
{
        static const struct {
                const char *name, *type, *pod, *expect;
        } rows[] = {
                { "in the list", NULL, NULL, "a-rank-0=10.0.0.1:8000 " },
                { "1 not ready", "MODIFIED", POD("a", "1", "2", "10.0.0.1", "False", ""), "" },
                { "ready again", "MODIFIED", POD("a", "1", "3", "10.0.0.1", "True", ""),
                        "a-rank-0=10.0.0.1:8000 " },
                { "3 unknown", "MODIFIED", POD("a", "1", "4", "10.0.0.1", "Unknown", ""), "" },
                { "5 terminating", "MODIFIED",
                        POD("a", "1", "5", "10.0.0.1", "True", ",\"deletionTimestamp\":\"x\""),
                        "" },
                { "11 added again", "ADDED", POD("a", "1", "6", "10.0.0.1", "True", ""),
                        "a-rank-0=10.0.0.1:8000 " },
                { "8 another one was deleted", "DELETED",
                        POD("a", "0", "7", "10.0.0.1", "True", ""), "a-rank-0=10.0.0.1:8000 " },
                { "6 deleted though ready", "DELETED", POD("a", "1", "8", "10.0.0.1", "True", ""),
                        "" },
                { "7 deleted, not known", "DELETED", POD("z", "1", "9", "10.0.0.1", "True", ""),
                        "" },
                { "12 modified, not known", "MODIFIED", POD("b", "2", "10", "10.0.0.2", "True", ""),
                        "b-rank-0=10.0.0.2:8000 " },
                { "14 another address", "MODIFIED", POD("b", "2", "11", "10.0.0.3", "True", ""),
                        "b-rank-0=10.0.0.3:8000 " },
                { "15 no address", "MODIFIED", POD("b", "2", "12", "", "True", ""), "" },
                { "19 not an address", "MODIFIED", POD("b", "2", "13", "host", "True", ""), "" },
                { "18 IPv6", "MODIFIED", POD("b", "2", "14", "fd00::1", "True", ""),
                        "b-rank-0=[fd00::1]:8000 " },
                { "17 the same address twice", "ADDED", POD("d", "3", "15", "fd00::1", "True", ""),
                        "b-rank-0=[fd00::1]:8000 d-rank-0=[fd00::1]:8000 " },
                { "39 another namespace", "ADDED",
                        "{\"metadata\":{\"name\":\"e\",\"namespace\":\"m\",\"uid\":\"1\","
                        "\"resourceVersion\":\"16\"},\"status\":{\"podIP\":\"1.1.1.1\","
                        "\"conditions\":[{\"type\":"
                        "\"Ready\",\"status\":\"True\"}]}}",
                        "b-rank-0=[fd00::1]:8000 d-rank-0=[fd00::1]:8000 " },
                { "30 no active port", "MODIFIED",
                        POD("d", "3", "17", "fd00::1", "True",
                                ",\"annotations\":{\"llm-d.ai/active-ports\":\"\"}"),
                        "b-rank-0=[fd00::1]:8000 " },
                { "33 the new key wins", "MODIFIED",
                        POD("d", "3", "18", "fd00::1", "True",
                                ",\"annotations\":{\"llm-d.ai/active-ports\":\" 1 , 8000x, 99999\","
                                "\"inference.networking.k8s.io/active-ports\":\"\"}"),
                        "b-rank-0=[fd00::1]:8000 d-rank-0=[fd00::1]:8000 " },
        };

        started(POD("a", "1", "1", "10.0.0.1", "True",
                "") ",{\"metadata\":{\"name\":\"x\"}},"
                    "{" META(
                            "q", "9", "1", "") ",\"status\":{\"conditions\":[{\"type\":\"Ready\","
                                               "\"status\":\"False\"},"
                                               "{\"type\":\"Ready\",\"status\":\"True\"}],"
                                               "\"podIP\":\"1.1.1.1\"}}"); /* 4: the first counts */
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                if (rows[i].type)
                        event(PODS, rows[i].type, rows[i].pod);
                ck_assert_msg(strcmp(endpoints(), rows[i].expect) == 0, "%s: %s", rows[i].name,
                        endpoints());
        }
        ck_assert_uint_eq(epp_cluster_stats(c)->foreign, 1);
        ck_assert_uint_eq(epp_cluster_stats(c)->rejected, 1);
        ck_assert_ptr_nonnull(strstr(lines, "metadata.uid"));
        stop();
}
END_TEST

/* What is remembered of an endpoint: 9, 10, 13, 27. */
/* What no API server would let in is left out alone, counted, and named once. */
START_TEST(bad_pods)
{
        static const char *const rows[] = {
                "{}", "7", "[]", "\"text\"", "{\"metadata\":\"text\"}", "{\"metadata\":[1]}",
                "{\"metadata\":{\"name\":{\"a\":1},\"namespace\":\"n\",\"uid\":\"1\","
                "\"resourceVersion\":\"5\"}}",
                "{\"metadata\":{\"name\":null,\"namespace\":\"n\",\"uid\":\"1\",\"resourceVersion\":\"5\"}}",
                "{\"metadata\":{\"name\":\"e\",\"namespace\":\"n\",\"uid\":[],\"resourceVersion\":\"5\"}}",
        };
        static char pod[2000], name[400];
        uint64_t bad;

        started(POD("a", "1", "1", "10.0.0.1", "True", ""));
        memset(name, 'n', sizeof(name) - 1);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                event(PODS, "ADDED", rows[i]);
        bad = epp_cluster_stats(c)->rejected;
        ck_assert_uint_ge(bad, 3); /* the others have no version: the reflector counts them */
        *lines = 0;
        for (int i = 0; i < 3; i++) {
                snprintf(pod, sizeof(pod), "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\","
                        "\"uid\":\"1\",\"resourceVersion\":\"6\"},\"status\":{\"podIP\":\"1.1.1.1\","
                        "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}", name);
                event(PODS, "ADDED", i == 1 ? "{\"metadata\":{\"name\":\"y\",\"namespace\":\"n\","
                        "\"resourceVersion\":\"6\"}}" : pod);
        }
        ck_assert_uint_eq(epp_cluster_stats(c)->rejected, bad + 3);
        ck_assert_ptr_nonnull(strstr(lines, "metadata.name"));
        ck_assert_ptr_null(strstr(strstr(lines, "metadata.name") + 1, "metadata.name"));
        bad = epp_cluster_stats(c)->foreign;
        event(PODS, "ADDED", "{\"kind\":\"Secret\"," META("e", "1", "7", "") ",\"status\":{\"podIP\":"
                "\"1.1.1.1\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
        ck_assert_uint_eq(epp_cluster_stats(c)->foreign, bad + 1);
        event(PODS, "MODIFIED", "{" META("a", "1", "8", "") ",\"status\":[]}");
        ck_assert_str_eq(endpoints(), ""); /* without a Ready condition it is none */
        event(PODS, "MODIFIED", "{" META("a", "1", "9", "") ",\"status\":{\"podIP\":7,\"conditions\":"
                "[1,\"x\",null,{\"type\":[]},{\"type\":\"Ready\",\"status\":true}]}}");
        ck_assert_str_eq(endpoints(), "");
        event(PODS, "MODIFIED", POD("a", "1", "10", "10.0.0.1", "True", ""));
        ck_assert_str_eq(endpoints(), "a-rank-0=10.0.0.1:8000 ");
        stop();
}
END_TEST

START_TEST(identity)
{
        started(POD("a", "1", "1", "10.0.0.1", "True", ""));
        epp_pool_find(pool, EPP_SLICE("a-rank-0"))->picks = 7;
        event(PODS, "ADDED", POD("a", "1", "1", "10.0.0.1", "True", ""));
        event(PODS, "MODIFIED",
                POD("a", "1", "2", "10.0.0.1", "True", ",\"labels\":{\"x\":\"y\"}"));
        ck_assert_uint_eq(epp_pool_find(pool, EPP_SLICE("a-rank-0"))->picks, 7);
        event(PODS, "MODIFIED",
                POD("a", "2", "3", "10.0.0.1", "True", "")); /* its deletion was missed */
        ck_assert_uint_eq(epp_pool_find(pool, EPP_SLICE("a-rank-0"))->picks, 0);
        epp_pool_find(pool, EPP_SLICE("a-rank-0"))->picks = 7;
        event(V1, "MODIFIED", POOL1("2", "\"b\":\"2\",\"a\":\"1\"", PORT("9000")));
        ck_assert_str_eq(endpoints(), "a-rank-0=10.0.0.1:9000 ");
        ck_assert_uint_eq(epp_pool_find(pool, EPP_SLICE("a-rank-0"))->picks, 0);
        stop();
}
END_TEST

START_TEST(ports)
{
        static const struct {
                const char *pool, *expect;
        } rows[] = {
                { POOL1("2", "\"a\":\"1\",\"b\":\"2\"", PORT("8000") "," PORT("8001")),
                        "a-rank-0=1.1.1.1:8000 a-rank-1=1.1.1.1:8001 b-rank-1=2.2.2.2:8001 " },
                { POOL1("3", "\"a\":\"1\",\"b\":\"2\"", PORT("8001")),
                        "a-rank-0=1.1.1.1:8001 b-rank-0=2.2.2.2:8001 " },
                { POOL1("4", "\"a\":\"1\",\"b\":\"2\"", PORT("8001") "," PORT("8000")),
                        "a-rank-0=1.1.1.1:8001 a-rank-1=1.1.1.1:8000 b-rank-0=2.2.2.2:8001 " },
                /* 37: not valid, the last good one stays */
                { POOL1("5", "\"a\":\"1\"", PORT("0")),
                        "a-rank-0=1.1.1.1:8001 a-rank-1=1.1.1.1:8000 b-rank-0=2.2.2.2:8001 " },
                { POOL1("6", "\"a\":\"1\",\"b\":\"2\"", PORT("1") "," PORT("1")),
                        "a-rank-0=1.1.1.1:8001 a-rank-1=1.1.1.1:8000 b-rank-0=2.2.2.2:8001 " },
        };

        started(POD("a", "1", "1", "1.1.1.1", "True", "") "," POD("b", "2", "1", "2.2.2.2", "True",
                ",\"annotations\":{\"inference.networking.k8s.io/active-ports\":\"8001\"}"));
        ck_assert_str_eq(endpoints(), "a-rank-0=1.1.1.1:8000 ");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                event(V1, "MODIFIED", rows[i].pool);
                ck_assert_msg(
                        strcmp(endpoints(), rows[i].expect) == 0, "row %zu: %s", i, endpoints());
        }
        ck_assert_uint_eq(epp_cluster_stats(c)->rejected, 2);
        stop();
}
END_TEST

/* 23, 24, 25: the old selector's endpoints serve until the new list is complete. */
START_TEST(selector_changes)
{
        const char *why;

        started(POD("a", "1", "1", "1.1.1.1", "True", ""));
        event(V1, "MODIFIED", POOL1("2", "\"c\":\"3\"", PORT("9000")));
        ck_assert_str_eq(endpoints(), "a-rank-0=1.1.1.1:8000 ");
        refuse(PODS, 500);
        ck_assert_str_eq(endpoints(), "a-rank-0=1.1.1.1:8000 ");
        event(V1, "MODIFIED", POOL1("3", "\"d\":\"4\"", PORT("9001")));
        ck_assert_ptr_nonnull(strstr(ask(PODS), "labelSelector=d%3D4"));
        epp_reflector_status(refl[PODS], running[PODS], 200, -1, now);
        ck_assert_int_eq(epp_reflector_data(refl[PODS], running[PODS], EPP_SLICE("{\"items\":["
                POD("n", "5", "5", "3.3.3.3", "True", "")), now), 0);
        ck_assert_str_eq(endpoints(), "a-rank-0=1.1.1.1:8000 ");
        ck_assert_int_eq(epp_reflector_data(refl[PODS], running[PODS],
                                 EPP_SLICE("],\"metadata\":{\"resourceVersion\":\"6\"}}"), now),
                0);
        epp_reflector_end(refl[PODS], running[PODS], true, now);
        ck_assert_str_eq(endpoints(), "n-rank-0=3.3.3.3:9001 ");
        ck_assert(epp_cluster_ready(c, now, &why));
        stop();
}
END_TEST

/* 35, 36, 86, 87. */
START_TEST(pool_goes_and_comes)
{
        const char *why;

        started(POD("a", "1", "1", "1.1.1.1", "True", ""));
        event(V1, "MODIFIED",
                "{\"apiVersion\":\"inference.networking.k8s.io/"
                "v1\",\"kind\":\"InferencePool\"," META(
                        "p", "u", "2", ",\"deletionTimestamp\":\"x\"") ",\"spec\":{\"targetPorts\":"
                                                                       "[" PORT("1") "]}}");
        ck_assert_str_eq(endpoints(), "");
        ck_assert(!epp_cluster_ready(c, now, &why));
        ck_assert_str_eq(why, "there is no InferencePool p in namespace n");
        ck_assert_ptr_null(ask(PODS));
        event(V1, "DELETED", POOL1("3", "", PORT("1")));
        event(V1, "ADDED", POOL1("4", "", PORT("80")));
        ck_assert_str_eq(ask(PODS), "/api/v1/namespaces/n/pods?limit=500"); /* 42: everything */
        list(PODS,
                POD("a", "1", "1", "1.1.1.1", "True", "") "," POD(
                        "b", "1", "1", "2.2.2.2", "True", ""));
        ck_assert_str_eq(endpoints(), "a-rank-0=1.1.1.1:80 b-rank-0=2.2.2.2:80 ");
        ck_assert(epp_cluster_ready(c, now, &why));
        epp_reflector_status(refl[PODS], running[PODS], 410, -1, now);
        epp_reflector_end(refl[PODS], running[PODS], true, now);
        list(PODS, POD("b", "1", "1", "2.2.2.2", "True", "")); /* 86: a is not there any more */
        ck_assert_str_eq(endpoints(), "b-rank-0=2.2.2.2:80 ");
        stop();
}
END_TEST

/* 43, and the group that models refer to by. */
START_TEST(groups)
{
        const char *why;

        start();
        list(X, POOLX("1", "\"app\":\"x\"", "81"));
        ck_assert_ptr_null(ask(PODS)); /* v1 may have one: not known yet */
        ck_assert(!epp_cluster_ready(c, now, &why));
        refuse(V1, 404);
        ck_assert_ptr_nonnull(strstr(ask(PODS), "labelSelector=app%3Dx"));
        list(PODS, POD("a", "1", "1", "1.1.1.1", "True", ""));
        ck_assert_str_eq(endpoints(), "a=1.1.1.1:81 "); /* no rank behind an old pool's names */
        now += 61000000;
        list(V1, POOL1("1", "\"app\":\"x\"", PORT("82")));
        ck_assert_str_eq(endpoints(), "a-rank-0=1.1.1.1:82 ");
        stop();
}
END_TEST

START_TEST(the_models)
{
        struct epp_model *m;

        started(POD("a", "1", "1", "1.1.1.1", "True", ""));
        now += 61000000; /* the kind was absent */
        list(MODELS,
                MODEL("young", "1", "2025-01-02T00:00:00Z", "m",
                        ",\"criticality\":\"Sheddable\"") "," MODEL("old", "1",
                        "2025-01-01T00:00:00Z", "m",
                        ",\"criticality\":\"Critical\"") "," MODEL("else", "1",
                        "2025-01-01T00:00:00Z", "k",
                        ",\"targetModels\":[{\"name\":\"t\",\"weight\":1}]") ","
                                                                             "{\"apiVersion\":"
                                                                             "\"inference."
                                                                             "networking.x-k8s.io/"
                                                                             "v1alpha2\",\"kind\":"
                                                                             "\"InferenceModel\""
                                                                             "," META("bad", "1",
                                                                                     "1",
                                                                                     "") ",\"spec\""
                                                                                         ":{"
                                                                                         "\"modelNa"
                                                                                         "me\":7}"
                                                                                         "}");
        ck_assert_uint_eq(epp_models_count(models), 2);
        m = epp_models_find(models, EPP_SLICE("m"));
        ck_assert_int_eq(m->criticality, EPP_CRITICAL); /* 44 */
        event(MODELS, "DELETED", MODEL("old", "2", "2025-01-01T00:00:00Z", "m", ""));
        ck_assert_int_eq(
                epp_models_find(models, EPP_SLICE("m"))->criticality, EPP_SHEDDABLE); /* 46 */
        event(MODELS, "ADDED", MODEL("aaa", "3", "2025-01-02T00:00:00Z", "m", "")); /* 45 */
        ck_assert_int_eq(epp_models_find(models, EPP_SLICE("m"))->criticality, EPP_STANDARD);
        event(MODELS, "MODIFIED",
                "{\"apiVersion\":\"inference.networking.x-k8s.io/"
                "v1alpha2\",\"kind\":\"InferenceModel\"," META("aaa", "uaaa", "4",
                        "") ",\"spec\":{\"modelName\":\"m\",\"poolRef\":{\"name\":\"q\"}}}"); /* 47
                                                                                               */
        ck_assert_int_eq(epp_models_find(models, EPP_SLICE("m"))->criticality, EPP_SHEDDABLE);
        event(V1, "DELETED", POOL1("9", "", PORT("1"))); /* R3: models stay */
        ck_assert_uint_eq(epp_models_count(models), 2);
        stop();
}
END_TEST

#define REWRITE(group, name, born, pool_group, rules) "{\"apiVersion\":\"" group "/v1alpha2\",\"kind\":"              \
        "\"InferenceModelRewrite\"," META(name, "u", born, ",\"creationTimestamp\":\"2025-01-0" born "T00:00:00Z\"")     \
        ",\"spec\":{\"poolRef\":{\"name\":\"p\"" pool_group "},\"rules\":[" rules "]}}"
#define RULE(match, target) "{\"matches\":[{\"model\":{\"value\":\"" match "\"}}],\"targets\":[{\"modelRewrite\":\""     \
        target "\"}]}"

static const char *
rewritten(const char *model)
{
        static char out[64];
        struct epp_model *w = epp_models_rewrite(models, epp_slice_str(model));

        snprintf(out, sizeof(out), "%s", w ? "" : "-");
        for (size_t i = 0; w && i < w->n_targets; i++)
                snprintf(out + strlen(out), sizeof(out) - strlen(out), SLICE_FMT " ",
                        SLICE_ARG(w->targets[i].name));
        return out;
}

/* 49 to 55. */
START_TEST(rewrites_and_objectives)
{
        started(POD("a", "1", "1", "1.1.1.1", "True", ""));
        ck_assert_str_eq(rewritten("m"), "-");
        now += 61000000;
        list(REW_X,
                REWRITE("inference.networking.x-k8s.io", "legacy", "1", "", RULE("m", "legacy")));
        ck_assert_str_eq(rewritten("m"), "legacy ");
        list(REW,
                REWRITE("llm-d.ai", "generic", "1", "",
                        "{\"targets\":[{\"modelRewrite\":\"g\"}]}") "," REWRITE("llm-d.ai", "exact",
                        "2", "", RULE("m", "x") "," RULE("m", "never")) "," REWRITE("llm-d.ai",
                        "weights", "3", "",
                        "{\"matches\":[{\"model\":{\"value\":\"w\"}}],\"targets\":["
                        "{\"modelRewrite\":\"u\"},{\"modelRewrite\":\"v\",\"weight\":5}]}") "," REWRITE("llm-d.ai",
                        "alien", "1", ",\"group\":\"inference.networking.x-k8s.io\"",
                        RULE("z", "alien")));
        ck_assert_str_eq(rewritten("m"), "x ");
        ck_assert_str_eq(rewritten("w"), "v ");
        ck_assert_str_eq(rewritten("z"), "g ");
        ck_assert_ptr_null(ask(REW_X)); /* no longer reflected */
        event(REW, "MODIFIED", REWRITE("llm-d.ai", "exact", "4", "", ""));
        ck_assert_str_eq(rewritten("m"), "g ");
        list(OBJ,
                "{\"apiVersion\":\"llm-d.ai/v1alpha2\",\"kind\":\"InferenceObjective\"," META("low",
                        "1", "1", "") ",\"spec\":{\"priority\":-5,\"poolRef\":{\"name\":\"p\"}}}");
        ck_assert_int_eq(epp_models_priority(models, EPP_SLICE("low")), -5);
        ck_assert_int_eq(epp_models_priority(models, EPP_SLICE("none")), 0);
        event(OBJ, "MODIFIED",
                "{\"apiVersion\":\"llm-d.ai/v1alpha2\",\"kind\":\"InferenceObjective\"," META(
                        "low", "1", "2", "") ",\"spec\":{\"poolRef\":{\"name\":\"p\"}}}");
        ck_assert_int_eq(epp_models_priority(models, EPP_SLICE("low")), 0);
        stop();
}
END_TEST

/* 56, 59, 60: what is not needed is not waited for without end. */
START_TEST(readiness)
{
        const char *why;

        start();
        ck_assert(!epp_cluster_ready(c, now, &why));
        ck_assert_str_eq(why, "InferencePool p has not been read yet");
        list(V1, POOL1("1", "", PORT("80")));
        list(PODS, "");
        ck_assert(!epp_cluster_ready(c, now, &why));
        ck_assert_str_eq(why, "the inferencemodels have not been listed yet");
        refuse(MODELS, 403);
        ck_assert(!epp_cluster_ready(c, now, &why));
        ck_assert_str_eq(why, "the inferenceobjectives have not been listed yet");
        now += 10000001;
        ck_assert(epp_cluster_next(c) <= now);
        ck_assert(epp_cluster_ready(
                c, now, &why)); /* without the rest, after 10 s; no pods is fine */
        refuse(OBJ, 500);
        ck_assert(epp_cluster_ready(c, now, &why));
        stop();
}
END_TEST

/* The wait for what is optional ends with the pool: its time, long past, must not make us spin. */
START_TEST(wait_ends_with_pool)
{
        const char *why;

        start();
        list(V1, POOL1("1", "", PORT("80")));
        list(PODS, "");
        ck_assert(!epp_cluster_ready(c, now, &why));
        event(V1, "DELETED", POOL1("2", "", PORT("80")));
        ck_assert(!epp_cluster_ready(c, now, &why));
        now += 11000000;
        ck_assert(epp_cluster_next(c) > now);
        event(V1, "ADDED", POOL1("3", "", PORT("80")));
        list(PODS, "");
        ck_assert(!epp_cluster_ready(c, now, &why)); /* and it is waited for anew */
        stop();
}
END_TEST

/* A kind that is not served is asked for every minute, and said to be absent once. */
START_TEST(absent_once)
{
        size_t said;

        started(POD("a", "1", "1", "1.1.1.1", "True", ""));
        said = strlen(lines);
        for (int i = 0; i < 3; i++) {
                now += 61000000;
                refuse(MODELS, 404);
        }
        ck_assert_str_eq(lines + said, "");
        now += 61000000;
        list(MODELS, "");
        now += 1000000000;
        refuse(MODELS, 404);
        ck_assert_ptr_nonnull(strstr(lines + said, "kind_absent"));
        stop();
}
END_TEST

/* An endpoint that was lost for want of memory comes back with the next list, unchanged as it is. */
START_TEST(list_repairs)
{
        started(POD("a", "1", "1", "1.1.1.1", "True", ""));
        ck_assert(epp_pool_remove(pool, EPP_SLICE("a-rank-0")));
        ask(PODS); /* a full list is due in 15 minutes at most */
        now += 901000000;
        list(PODS, POD("a", "1", "1", "1.1.1.1", "True", ""));
        ck_assert_str_eq(endpoints(), "a-rank-0=1.1.1.1:8000 ");
        stop();
}
END_TEST

START_TEST(by_selector)
{
        static const struct {
                const char *text, *query; /* NULL: refused */
        } rows[] = {
                { "a=b", "labelSelector=a%3Db" },
                { "", "" },
                { "a,!b,c!=d", "labelSelector=a%2C%21b%2Cc%21%3Dd" },
                { "k in (a,,b), x notin (y)",
                        "labelSelector=k%20in%20%28a%2C%2Cb%29%2C%20x%20notin%20%28y%29" },
                { "ex.com/k==v", "labelSelector=ex.com%2Fk%3D%3Dv" },
                { "n>1,m<-2", "labelSelector=n%3E1%2Cm%3C-2" },
                { "k=", "labelSelector=k%3D" },
                { "=v", NULL },
                { "a b", NULL },
                { "k in a", NULL },
                { "k in (a", NULL },
                { "n>x", NULL },
                { "a,", NULL },
                { "a;b", NULL },
                { "k=a/b", NULL },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_cluster_config cfg = {
                        .selector = epp_slice_str(rows[i].text), .ports = { 80, 81 }, .n_ports = 2
                };
                char url[256];

                if (!rows[i].query) {
                        cfg.ns = EPP_SLICE("n");
                        ck_assert_int_eq(epp_pool_new(1, &pool), 0);
                        cfg.pool = pool;
                        ck_assert_msg(epp_cluster_new(&cfg, &c) == EPP_EINVAL, "%s", rows[i].text);
                        epp_pool_free(pool);
                        continue;
                }
                start_with(cfg);
                snprintf(url, sizeof(url), "/api/v1/namespaces/n/pods?limit=500%s%s",
                        *rows[i].query ? "&" : "", rows[i].query);
                ck_assert_str_eq(ask(PODS), url);
                ck_assert_ptr_null(ask(V1));
                list(PODS, POD("a", "1", "1", "1.1.1.1", "True", ""));
                ck_assert_str_eq(endpoints(), "a-rank-0=1.1.1.1:80 a-rank-1=1.1.1.1:81 ");
                stop();
        }
}
END_TEST

UNIT_MAIN("cluster", pods_of_a_pool, bad_pods, identity, ports, selector_changes, pool_goes_and_comes,
        groups, the_models, rewrites_and_objectives, readiness, wait_ends_with_pool, absent_once,
        list_repairs, by_selector)
