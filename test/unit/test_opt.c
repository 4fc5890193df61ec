/* test_opt.c - every flag of the original picker, Go's syntax, mistakes and their one line. */
#include "daemon/opt.h"
#include "daemon/thresholds.h"
#include "unit.h"

static char err[256];
static int warned;

static void
warn(const char *line)
{
        (void)line;
        warned++;
}

/* Parses up to 8 words; the texts must stay writable, as argv is. */
static enum opt_result
parse(struct opt *o, const char *const *words, size_t n)
{
        static char text[8][400];
        char *argv[9];

        ck_assert_uint_le(n, 8);
        argv[0] = text[0];
        for (size_t i = 0; i < n; i++) {
                snprintf(text[i], sizeof(text[i]), "%s", words[i]);
                argv[i + 1] = text[i];
        }
        warned = 0;
        err[0] = 0;
        return opt_parse(o, (int)n + 1, argv, err, sizeof(err), warn);
}
#define PARSE(o, ...) parse(o, (const char *const[]){ __VA_ARGS__ }, \
        sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

START_TEST(defaults)
{
        struct opt o;

        ck_assert_int_eq(PARSE(&o, "--grpc-port=9002"), OPT_RUN);
        ck_assert_uint_eq(o.grpc_port, 9002);
        ck_assert_uint_eq(o.metrics_port, 9090);
        ck_assert(o.secure_serving);
        ck_assert_int_eq(o.refresh, 50000);
        ck_assert_uint_eq(o.max_body, 64u << 20);
        ck_assert_uint_eq(o.default_body_mode, 4);
        ck_assert_uint_eq(o.model_match, 0);
        ck_assert_uint_eq(o.scheduler, 0);
        ck_assert_str_eq(o.hint_key, "x-gateway-destination-endpoint");
        opt_fini(&o);
}
END_TEST

/* True when the configuration as printed holds <line>. */
static bool
dumps(const struct opt *o, const char *line)
{
        char *text = NULL, want[160];
        size_t n;
        FILE *f = open_memstream(&text, &n);
        bool found;

        opt_dump(o, f);
        fclose(f);
        snprintf(want, sizeof(want), "\n%s\n", line);
        found = strstr(text, want) != NULL;
        free(text);
        return found;
}

/* Each flag of GAIE v0.3.0, and of its successors where they read pages, with a value other than
 * its default: taken in every way of Go's syntax, and it is what the flag of today then holds. */
START_TEST(original)
{
        static const struct {
                const char *flag, *value, *dump;
        } flags[] = {
                { "grpcPort", "1", "--grpc-port=1" },
                { "grpcHealthPort", "1", "--grpc-health-port=1" },
                { "metricsPort", "1", "--metrics-port=1" },
                { "destinationEndpointHintKey", "k", "--destination-endpoint-hint-key=k" },
                { "DestinationEndpointHintMetadataNamespace", "n",
                        "--destination-endpoint-hint-metadata-namespace=n" },
                { "poolName", "p", "--pool-name=p" },
                { "poolNamespace", "n", "--pool-namespace=n" },
                { "refreshMetricsInterval", "100ms", "--refresh-metrics-interval=100000us" },
                { "refreshMetricsInterval", "1m1.5s", "--refresh-metrics-interval=61500000us" },
                { "refreshPrometheusMetricsInterval", "1s",
                        "--refresh-prometheus-metrics-interval=1000000us" },
                { "v", "4", "--v=4" },
                { "secureServing", "=false", "--secure-serving=false" },
                { "secureServing", "=F", "--secure-serving=false" },
                { "certPath", "/c", "--cert-path=/c" },
                { "totalQueuedRequestsMetric", "m", "--total-queued-requests-metric=m" },
                { "kvCacheUsagePercentageMetric", "m{a=b}",
                        "--kv-cache-usage-percentage-metric=m{a=b}" },
                { "loraInfoMetric", "\"\"", "--lora-info-metric=" },
                { "zap-devel", "=true", "--zap-devel=true" },
                { "zap-encoder", "json", "--zap-encoder=json" },
                { "zap-log-level", "info", "--zap-log-level=info" },
                { "zap-stacktrace-level", "error", "--zap-stacktrace-level=error" },
                { "zap-time-encoding", "iso8601", "--zap-time-encoding=iso8601" },
                { "modelServerMetricsPort", "8", "--model-server-metrics-port=8" },
                { "modelServerMetricsPath", "/p", "--model-server-metrics-path=/p" },
                { "modelServerMetricsScheme", "https", "--model-server-metrics-scheme=https" },
                { "modelServerMetricsHttpsInsecureSkipVerify", "=false",
                        "--model-server-metrics-https-insecure-skip-verify=false" },
                { "metrics-staleness-threshold", "1h",
                        "--metrics-staleness-threshold=3600000000us" },
                { "total-running-requests-metric", "\"r{a=\"b\"}\"",
                        "--total-running-requests-metric=r{a=\"b\"}" },
                { "cache-info-metric", "c", "--cache-info-metric=c" },
        };

        for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
                bool boolean = flags[i].value[0] == '=';

                for (int dashes = 1; dashes <= 2; dashes++) {
                        char joined[300], alone[160];
                        struct opt o;

                        snprintf(alone, sizeof(alone), "%.*s%s", dashes, "--", flags[i].flag);
                        snprintf(joined, sizeof(joined), "%s=%s", alone, flags[i].value + boolean);
                        ck_assert_msg(PARSE(&o, joined) == OPT_RUN, "%s: %s", joined, err);
                        ck_assert_msg(dumps(&o, flags[i].dump), "%s", joined);
                        opt_fini(&o);
                        if (boolean)
                                continue;
                        ck_assert_msg(PARSE(&o, alone, flags[i].value) == OPT_RUN, "%s", err);
                        ck_assert_msg(dumps(&o, flags[i].dump), "%s", alone);
                        opt_fini(&o);
                }
        }
}
END_TEST

START_TEST(durations)
{
        static const struct {
                const char *text;
                epp_us us; /* -1: refused */
        } rows[] = { { "0", 0 }, { "0s", 0 }, { "50ms", 50000 }, { "1.5h", 5400000000 },
                { "1h2m3s4ms5us", 3723004005 }, { "2000ns", 2 }, { "7\u00b5s", 7 },
                { "7\u03bcs", 7 }, { ".5s", 500000 }, { "1.s", 1000000 }, { "", -1 }, { "1", -1 },
                { "s", -1 }, { "1d", -1 }, { "-1s", -1 }, { "1s ", -1 }, { " 1s", -1 },
                { "1..5s", -1 }, { "1e3s", -1 }, { ".s", -1 }, { "1s1", -1 },
                { "99999999999h", -1 } };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                epp_us us = -2;
                bool ok = opt_duration(rows[i].text, &us);

                ck_assert_msg(ok == (rows[i].us >= 0) && us == (ok ? rows[i].us : -2), "%s",
                        rows[i].text);
        }
}
END_TEST

START_TEST(syntax)
{
        struct opt o;

        ck_assert_int_eq(PARSE(&o, "--endpoint", "1.2.3.4:5", "-endpoint=[::1]:6,name=x",
                                 "--secure-serving=false", "--pool-name=\"q\"",
                                 "--scrape-budget=0.5"), OPT_RUN);
        ck_assert_uint_eq(o.endpoint.n, 2);
        ck_assert_str_eq(o.endpoint.v[1], "[::1]:6,name=x");
        ck_assert(!o.secure_serving);
        ck_assert_str_eq(o.pool_name, "q");
        ck_assert(o.scrape_budget > 0.49 && o.scrape_budget < 0.51);
        opt_fini(&o);
        ck_assert_int_eq(PARSE(&o, "--secure-serving", "-poolName", "p"), OPT_RUN);
        ck_assert_int_eq(warned, 1);
        ck_assert_str_eq(o.pool_name, "p");
        opt_fini(&o);
        ck_assert_int_eq(PARSE(&o, "--tracing=false", "--health-checking=true"), OPT_RUN);
        opt_fini(&o);
}
END_TEST

START_TEST(mistakes)
{
        static const struct {
                const char *word, *line;
        } bad[] = {
                { "--grpc-port=70000", "--grpc-port: \"70000\" is not a port, 0 to 65535" },
                { "--grpc-port=-1", "--grpc-port: \"-1\" is not a port, 0 to 65535" },
                { "--grpc-port=9x", "--grpc-port: \"9x\" is not a port, 0 to 65535" },
                { "--refresh-metrics-interval=50",
                        "--refresh-metrics-interval: \"50\" is not a duration such as 50ms or 2s" },
                { "--secure-serving=yes", "--secure-serving: \"yes\" is not true or false" },
                { "--scrape-budget=1.5", "--scrape-budget: \"1.5\" is not a number from 0 to 1" },
                { "--max-request-body=-3",
                        "--max-request-body: \"-3\" is not a size such as 64Mi" },
                { "--max-request-body=nan",
                        "--max-request-body: \"nan\" is not a size such as 64Mi" },
                { "--scheduler=best", "--scheduler: \"best\" is none of: tree-v0.3 tree-v0.5" },
                { "--model-match=", "--model-match: \"\" is none of: auto required passthrough" },
                { "--pool-nam=x", "unknown flag --pool-nam; did you mean --pool-name?" },
                { "--nonsense-flag", "unknown flag --nonsense-flag (see --help)" },
                { "--config-file=x", "--config-file: this feature is not built yet" },
                { "--tracing=true", "unknown flag --tracing (see --help)" },
                { "--pool-name", "--pool-name needs a text" },
                { "--lora-info-metric=m{a}",
                        "--lora-info-metric: \"m{a}\" is not a metric such as name or "
                        "name{label=value}" },
                { "-config-file=x", "--config-file: this feature is not built yet" },
                { "--objects=", "--objects: \"\" is not a text" },
                { "--endpoint=\"\"", "--endpoint: \"\" is not a text" },
                { "--", "unknown flag -- (see --help)" },
                { "--help=1", "unknown flag --help (see --help)" },
                { "--sed=1", "unknown flag --sed; did you mean --seed?" },
                { "false", "unexpected argument \"false\": true and false are written behind =, "
                           "as --flag=false" },
                { "word", "unexpected argument \"word\": flags begin with --" },
        };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct opt o;

                ck_assert_int_eq(PARSE(&o, bad[i].word), OPT_BAD);
                ck_assert_str_eq(err, bad[i].line);
                opt_fini(&o);
        }
}
END_TEST

static const char *var_name, *var_value;

static char *
get(const char *name)
{
        return strcmp(name, var_name) ? NULL : (char *)(uintptr_t)var_value;
}

START_TEST(environment)
{
        static const struct {
                enum epp_builtin config;
                const char *name, *value;
                double expect; /* < 0: refused */
                size_t field;
        } env[] = {
#define F(x) offsetof(struct epp_thresholds, x)
                { EPP_TREE_V03, "KV_CACHE_THRESHOLD", "0.5", .5, F(kv) },
                { EPP_TREE_V03, "KV_CACHE_THRESHOLD", "1.5", -1, F(kv) },
                { EPP_TREE_V03, "KV_CACHE_THRESHOLD", "", -1, F(kv) },
                { EPP_TREE_V03, "QUEUE_THRESHOLD_CRITICAL", "7", 7, F(queue_critical) },
                { EPP_TREE_V03, "QUEUE_THRESHOLD_CRITICAL", "7.5", -1, F(queue_critical) },
                { EPP_TREE_V03, "QUEUING_THRESHOLD_LORA", "-1", -1, F(queuing_lora) },
                { EPP_TREE_V03, "LORA_AFFINITY_THRESHOLD", "nan", -1, F(lora_affinity) },
                { EPP_TREE_V03, "LORA_AFFINITY_THRESHOLD", "0", 0, F(lora_affinity) },
                /* not its tree: */
                { EPP_TREE_V03, "SD_QUEUE_DEPTH_THRESHOLD", "x", 5, F(queue_critical) },
                { EPP_TREE_V05, "SD_QUEUE_DEPTH_THRESHOLD", "9", 9, F(queue_critical) },
                { EPP_TREE_V05, "SD_METRICS_STALENESS_THRESHOLD", "1s", 1e6, F(staleness_us) },
                { EPP_TREE_V05, "SD_METRICS_STALENESS_THRESHOLD", "200", -1, F(staleness_us) },
                { EPP_TREE_V05, "SD_METRICS_STALENESS_THRESHOLD", "0", -1, F(staleness_us) },
                { EPP_TREE_V05, "SD_QUEUE_DEPTH_THRESHOLD", "0", -1, F(queue_critical) },
                { EPP_TREE_V05, "SD_KV_CACHE_UTIL_THRESHOLD", "0.7", .7, F(kv) },
                { EPP_TREE_V05, "SD_KV_CACHE_UTIL_THRESHOLD", "1", -1, F(kv) },
                { EPP_TREE_V05, "SD_KV_CACHE_UTIL_THRESHOLD", "0", -1, F(kv) },
                { EPP_TREE_V05, "QUEUE_THRESHOLD_CRITICAL", "x", 5, F(queue_critical) },
                { EPP_TREE_V05, "QUEUING_THRESHOLD_LORA", "x", 128, F(queuing_lora) },
                { EPP_TREE_V05, "LORA_AFFINITY_THRESHOLD", "x", .999, F(lora_affinity) },
                { EPP_TREE_V03, "SD_KV_CACHE_UTIL_THRESHOLD", "x", .8, F(kv) },
                { EPP_TREE_V03, "SD_METRICS_STALENESS_THRESHOLD", "x", 2e5, F(staleness_us) },
                { EPP_TREE_V03, "QUEUING_THRESHOLD_LORA", "64", 64, F(queuing_lora) },
                { EPP_TREE_V03, "QUEUING_THRESHOLD_LORA", "0x10", -1, F(queuing_lora) },
                { EPP_TREE_V03, "QUEUING_THRESHOLD_LORA", " 5", -1, F(queuing_lora) },
                { EPP_TREE_V03, "LORA_AFFINITY_THRESHOLD", "1", 1, F(lora_affinity) },
                { EPP_TREE_V05, "KV_CACHE_THRESHOLD", "x", .8, F(kv) },
        };

        for (size_t i = 0; i < ARRAY_LEN(env); i++) {
                struct epp_thresholds t;
                bool ok;

                var_name = env[i].name;
                var_value = env[i].value;
                ok = thresholds_read(env[i].config, get, &t, err, sizeof(err));
                ck_assert_msg(ok == (env[i].expect >= 0), "%s=%s", var_name, var_value);
                if (ok)
                        ck_assert(*(double *)(void *)((char *)&t + env[i].field) == env[i].expect);
                else
                        ck_assert_ptr_nonnull(strstr(err, var_name));
        }
}
END_TEST

UNIT_MAIN("opt", durations, environment, defaults, original, syntax, mistakes)
