/* test_opt.c - every flag of the original picker, Go's syntax, mistakes and their one line. */
#include "daemon/opt.h"
#include "daemon/thresholds.h"
#include "unit.h"

static char err[4096]; /* the lines that were said */
static int said;

static void
say(const char *line)
{
        size_t n = strlen(err);

        snprintf(err + n, sizeof(err) - n, "%s%s", n ? "\n" : "", line);
        said++;
}

/* Parses up to 16 words; the texts must stay writable, as argv is. */
static enum opt_result
parse_env(struct opt *o, const char *const *env, const char *const *words, size_t n)
{
        static char text[16][400];
        char *argv[17], *vars[17];
        size_t k = 0;

        ck_assert_uint_le(n, 16);
        argv[0] = text[0];
        for (size_t i = 0; i < n; i++) {
                snprintf(text[i], sizeof(text[i]), "%s", words[i]);
                argv[i + 1] = text[i];
        }
        for (; env && env[k]; k++)
                vars[k] = (char *)(uintptr_t)env[k];
        vars[k] = NULL;
        said = 0;
        err[0] = 0;
        return opt_parse(o, (int)n + 1, argv, vars, say);
}
#define PARSE_ENV(o, env, ...) parse_env(o, env, (const char *const[]){ __VA_ARGS__ }, \
        sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))
#define PARSE(o, ...) PARSE_ENV(o, NULL, __VA_ARGS__)

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

/* A flag in every way of Go's syntax: <value> begins with = when only that form is one. True when each
 * time the dump holds <want>, or with <want> NULL when it is refused as not built. */
static void
every_way(const char *flag, const char *value, const char *want, bool old)
{
        bool joined_only = value[0] == '=';

        for (int way = 0; way < 4; way++) {
                char word[300];
                struct opt o;
                enum opt_result r;

                snprintf(word, sizeof(word), "%.*s%s%s%s", way & 1 ? 1 : 2, "--", flag,
                        way & 2 ? "" : "=", way & 2 ? "" : value + joined_only);
                if (way & 2 && joined_only)
                        continue;
                r = way & 2 ? PARSE(&o, word, value) : PARSE(&o, word);
                if (want) {
                        ck_assert_msg(r == OPT_RUN, "%s: %s", word, err);
                        ck_assert_msg(dumps(&o, want), "%s: no %s", word, want);
                        ck_assert_msg(said == old, "%s: %s", word, err);
                        ck_assert(!old || strstr(err, flag));
                } else {
                        ck_assert_msg(r == OPT_BAD && said == 1, "%s: %s", word, err);
                        ck_assert_msg(strstr(err, "not built yet") && strstr(err, "--"), "%s", err);
                }
                opt_fini(&o);
        }
}

/* Every flag of GAIE v0.3.0, v0.5.1 and v1.5.0 and of today's picker, with a value other than ours by
 * default where there is one: what it then is here. */
static const struct {
        const char *flag, *value;
        const char *dump; /* NULL: refused as not built */
        bool old;
} original[] = {
        /* v0.3.0 */
        { "grpcPort", "1", "--grpc-port=1", true },
        { "grpcHealthPort", "1", "--grpc-health-port=1", true },
        { "metricsPort", "1", "--metrics-port=1", true },
        { "destinationEndpointHintKey", "k", "--destination-endpoint-hint-key=k", true },
        { "DestinationEndpointHintMetadataNamespace", "n",
                "--destination-endpoint-hint-metadata-namespace=n", true },
        { "poolName", "p", "--pool-name=p", true },
        { "poolNamespace", "n", "--pool-namespace=n", true },
        { "refreshMetricsInterval", "100ms", "--refresh-metrics-interval=100ms", true },
        { "refreshMetricsInterval", "1m1.5s", "--refresh-metrics-interval=61500ms", true },
        { "refreshPrometheusMetricsInterval", "1s", "--refresh-prometheus-metrics-interval=1s",
                true },
        { "v", "4", "--v=4", false },
        { "secureServing", "=false", "--secure-serving=false", true },
        { "secureServing", "=F", "--secure-serving=false", true },
        { "certPath", "/c", "--cert-path=/c", true },
        { "totalQueuedRequestsMetric", "m", "--total-queued-requests-metric=m", true },
        { "kvCacheUsagePercentageMetric", "m{a=b}", "--kv-cache-usage-percentage-metric=m{a=b}",
                true },
        { "loraInfoMetric", "\"\"", "--lora-info-metric=", true },
        { "zap-devel", "=true", "--zap-devel=true", false },
        { "zap-encoder", "json", "--zap-encoder=json", false },
        { "zap-encoder", "json", "--log-format=json", false },
        { "zap-log-level", "info", "--zap-log-level=info", false },
        { "zap-log-level", "5", "--log-level=debug", false },
        { "zap-stacktrace-level", "error", "--zap-stacktrace-level=error", false },
        { "zap-time-encoding", "iso8601", "--zap-time-encoding=iso8601", false },
        /* v0.5.1 */
        { "enablePprof", "=true", NULL, false },
        { "enablePprof", "=false", "--v=2", false },
        { "healthChecking", "=true", "--health-checking=true", true },
        { "healthChecking", "=false", "--health-checking=false", true },
        { "configFile", "/f", NULL, false },
        { "configText", "t", NULL, false },
        { "configText", "\"\"", "--v=2", false },
        { "modelServerMetricsPort", "8", "--model-server-metrics-port=8", true },
        { "modelServerMetricsPath", "/p", "--model-server-metrics-path=/p", true },
        { "modelServerMetricsScheme", "https", "--model-server-metrics-scheme=https", true },
        { "modelServerMetricsHttpsInsecureSkipVerify", "=false",
                "--model-server-metrics-https-insecure-skip-verify=false", true },
        /* v1.5.0 */
        { "grpc-port", "1", "--grpc-port=1", false },
        { "grpc-health-port", "1", "--grpc-health-port=1", false },
        { "metrics-port", "1", "--metrics-port=1", false },
        { "ha-enable-leader-election", "=true", "--ha-enable-leader-election=true", false },
        { "pool-group", "inference.networking.k8s.io", "--pool-group=inference.networking.k8s.io",
                false },
        { "pool-namespace", "n", "--pool-namespace=n", false },
        { "pool-name", "p", "--pool-name=p", false },
        { "endpoint-selector", "a=b,c=d", "--endpoint-selector=a=b,c=d", false },
        { "endpoint-target-ports", "1,2", "--endpoint-target-ports=1,2", false },
        { "disable-endpoint-subset-filter", "=true", NULL, false },
        { "disable-endpoint-subset-filter", "=false", "--v=2", false },
        { "model-server-metrics-scheme", "https", "--model-server-metrics-scheme=https", false },
        { "model-server-metrics-path", "/p", "--model-server-metrics-path=/p", false },
        { "model-server-metrics-port", "8", "--model-server-metrics-port=8", false },
        { "model-server-metrics-https-insecure-skip-verify", "=false",
                "--model-server-metrics-https-insecure-skip-verify=false", false },
        { "refresh-metrics-interval", "1s", "--refresh-metrics-interval=1s", false },
        { "refresh-prometheus-metrics-interval", "1h", "--refresh-prometheus-metrics-interval=1h",
                false },
        { "metrics-staleness-threshold", "1h", "--metrics-staleness-threshold=1h", false },
        { "total-queued-requests-metric", "m", "--total-queued-requests-metric=m", false },
        { "total-running-requests-metric", "\"r{a=\"b\"}\"",
                "--total-running-requests-metric=r{a=\"b\"}", false },
        { "kv-cache-usage-percentage-metric", "m", "--kv-cache-usage-percentage-metric=m", false },
        { "lora-info-metric", "m", "--lora-info-metric=m", false },
        { "cache-info-metric", "c", "--cache-info-metric=c", false },
        { "tracing", "=true", NULL, false },
        { "tracing", "=false", "--v=2", false },
        { "health-checking", "=true", "--health-checking=true", false },
        { "enable-pprof", "=true", NULL, false },
        { "enable-pprof", "=false", "--v=2", false },
        { "cert-path", "/c", "--cert-path=/c", false },
        { "enable-cert-reload", "=false", "--enable-cert-reload=false", false },
        { "secure-serving", "=false", "--secure-serving=false", false },
        { "metrics-endpoint-auth", "=true", "--metrics-endpoint-auth=true", false },
        { "metrics-endpoint-auth", "=True", "--metrics-endpoint-auth=true", false },
        { "metrics-endpoint-auth", "=1", "--metrics-endpoint-auth=true", false },
        { "metrics-endpoint-auth", "=t", "--metrics-endpoint-auth=true", false },
        { "metrics-endpoint-auth", "=false", "--metrics-endpoint-auth=false", false },
        { "metrics-endpoint-auth", "=0", "--metrics-endpoint-auth=false", false },
        { "metrics-endpoint-auth", "=auto", "--metrics-endpoint-auth=auto", false },
        { "config-file", "/f", NULL, false },
        { "config-file", "\"\"", "--v=2", false },
        { "config-text", "t", NULL, false },
        /* today's */
        { "drain-timeout", "1m", "--drain-timeout=1m", false },
        { "grpc-max-recv-msg-size", "10MiB", "--grpc-max-recv-msg-size=10Mi", false },
        { "grpc-max-send-msg-size", "25MB", "--grpc-max-send-msg-size=25000000", false },
        { "emit-endpoint-scores", "=true", NULL, false },
        { "emit-endpoint-scores", "=false", "--v=2", false },
        { "enable-grpc-stream-metrics", "=true", "--enable-grpc-stream-metrics=true", false },
        { "tls-min-version", "VersionTLS13", NULL, false },
        { "tls-min-version", "VersionTLS12", "--v=2", false },
        { "tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", NULL, false },
        { "metrics-client-ca-file", "/f", "--metrics-client-ca-file=/f", false },
        { "metrics-cert-dir", "/d", "--metrics-cert-dir=/d", false },
        { "allow-experimental-plugins", "=true", "--allow-experimental-plugins=true", false },
};

START_TEST(originals)
{
        for (size_t i = 0; i < ARRAY_LEN(original); i++)
                every_way(original[i].flag, original[i].value, original[i].dump, original[i].old);
}
END_TEST

/* Bare, as Go's booleans are. */
START_TEST(bare)
{
        struct opt o;

        ck_assert_int_eq(PARSE(&o, "--metrics-endpoint-auth", "--secure-serving", "-v", "3"), OPT_RUN);
        ck_assert(dumps(&o, "--metrics-endpoint-auth=true"));
        ck_assert(dumps(&o, "--v=3"));
        opt_fini(&o);
        ck_assert_int_eq(PARSE(&o, "--tracing"), OPT_BAD);
        opt_fini(&o);
        ck_assert_int_eq(PARSE(&o, "--metrics-endpoint-auth", "auto"), OPT_BAD);
        ck_assert_str_eq(err, "unexpected argument \"auto\": a value of --metrics-endpoint-auth goes "
                              "behind =, as --metrics-endpoint-auth=auto");
        opt_fini(&o);
}
END_TEST

/* The Go pickers' numbers and names, and who wins. */
START_TEST(levels)
{
        static const struct {
                const char *words[3];
                const char *level;
        } rows[] = {
                { { "--v=2" }, "info" },
                { { "--v=0" }, "info" },
                { { "--v=1" }, "info" },
                { { "--v=3" }, "info" },
                { { "--v=4" }, "debug" },
                { { "--v=5" }, "debug" },
                { { "--v=127" }, "debug" },
                { { "--log-level=error" }, "error" },
                { { "--log-level=info", "--v=5" }, "info" },
                { { "--v=5", "--log-level=warn", "--zap-log-level=debug" }, "warn" },
                { { "--zap-log-level=debug" }, "debug" },
                { { "--zap-log-level=error" }, "error" },
                { { "--zap-log-level=panic" }, "error" },
                { { "--zap-log-level=info", "--v=5" }, "info" },
                { { "--zap-log-level=3", "--v=5" }, "info" },
                { { "--zap-log-level=4", "--v=1" }, "debug" },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                size_t n = 0;
                struct opt o;
                char want[40];

                while (n < 3 && rows[i].words[n])
                        n++;
                ck_assert_int_eq(parse_env(&o, NULL, rows[i].words, n), OPT_RUN);
                snprintf(want, sizeof(want), "--log-level=%s", rows[i].level);
                ck_assert_msg(dumps(&o, want), "%s: %s", rows[i].words[0], want);
                opt_fini(&o);
        }
        struct opt o;
        ck_assert_int_eq(PARSE(&o, "--zap-encoder=json", "--log-format=logfmt"), OPT_RUN);
        ck_assert(dumps(&o, "--log-format=logfmt"));
        opt_fini(&o);
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
        ck_assert_str_eq(err, "-poolName is the old spelling of --pool-name");
        ck_assert_str_eq(o.pool_name, "p");
        opt_fini(&o);
}
END_TEST

START_TEST(mistakes)
{
        static const struct {
                const char *word, *line;
        } bad[] = {
                { "--grpc-port=70000",
                        "--grpc-port: \"70000\" is not a port, 0 to 65535; 0: any free one" },
                { "--grpc-port=-1",
                        "--grpc-port: \"-1\" is not a port, 0 to 65535; 0: any free one" },
                { "--grpc-port=9x",
                        "--grpc-port: \"9x\" is not a port, 0 to 65535; 0: any free one" },
                { "--refresh-metrics-interval=50",
                        "--refresh-metrics-interval: \"50\" is not a duration such as 50ms or 2s" },
                { "--refresh-metrics-interval=0",
                        "--refresh-metrics-interval: \"0\" is out of range: 1ms to 1h" },
                { "--refresh-metrics-interval=999us",
                        "--refresh-metrics-interval: \"999us\" is out of range: 1ms to 1h" },
                { "--refresh-metrics-interval=61m",
                        "--refresh-metrics-interval: \"61m\" is out of range: 1ms to 1h" },
                { "--max-connection-age=1ms",
                        "--max-connection-age: \"1ms\" is out of range: 10ms to 8760h; 0: never" },
                { "--decision-ring=99999999999999999999",
                        "--decision-ring: \"99999999999999999999\" is not a whole number; 0: none" },
                { "--decision-ring=65537",
                        "--decision-ring: \"65537\" is out of range: at most 65536; 0: none" },
                { "--max-request-body=4096Mi",
                        "--max-request-body: \"4096Mi\" is out of range: 1Ki to 4095Mi" },
                { "--max-request-body=0",
                        "--max-request-body: \"0\" is out of range: 1Ki to 4095Mi" },
                { "--v=128", "--v: \"128\" is out of range: at most 127" },
                { "--secure-serving=yes", "--secure-serving: \"yes\" is not true or false" },
                { "--scrape-budget=1.5",
                        "--scrape-budget: \"1.5\" is not a number from 0 to 1; 0: no limit" },
                { "--max-request-body=-3",
                        "--max-request-body: \"-3\" is not a size such as 64Mi" },
                { "--max-request-body=nan",
                        "--max-request-body: \"nan\" is not a size such as 64Mi" },
                { "--scheduler=best", "--scheduler: \"best\" is none of: tree-v0.3 tree-v0.5 active-request" },
                { "--model-match=", "--model-match: \"\" is none of: auto required passthrough" },
                { "--bind-address=localhost", "--bind-address: \"localhost\" is not an IP address" },
                { "--destination-endpoint-hint-key=a b",
                        "--destination-endpoint-hint-key: \"a b\" is not the name of a header" },
                { "--model-server-metrics-path=metrics",
                        "--model-server-metrics-path: \"metrics\" is not a path that begins with /" },
                { "--zap-log-level=0", "--zap-log-level: \"0\" is not debug, info, error, panic or a "
                                       "number from 1 to 127" },
                { "--pool-nam=x", "unknown flag --pool-nam; did you mean --pool-name?" },
                { "--nonsense-flag", "unknown flag --nonsense-flag (see --help)" },
                { "--config-file=x", "--config-file: this feature is not built yet" },
                { "--tracing=true", "--tracing: this feature is not built yet (only false is taken)" },
                { "--tracing=x", "--tracing: \"x\" is not true or false" },
                { "--config-file", "--config-file needs a value" },
                { "--pool-name", "--pool-name needs a text" },
                { "--scheduler", "--scheduler needs a value" },
                { "--lora-info-metric=m{a}",
                        "--lora-info-metric: \"m{a}\" is not a metric such as name or "
                        "name{label=value}" },
                { "-config-file=x", "--config-file: this feature is not built yet" },
                { "--objects=", "--objects: \"\" is not a text" },
                { "--endpoint=\"\"", "--endpoint: \"\" is not a text" },
                { "--", "unknown flag -- (see --help)" },
                { "--help=1", "unknown flag --help (see --help)" },
                { "--sed=1", "unknown flag --sed; did you mean --seed?" },
                { "word", "unexpected argument \"word\": flags begin with --" },
                { "--v=a\nb\x01", "--v: \"a?b?\" is not a whole number" },
                { "--v=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                        "--v: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                        "aaaa...\" is not a whole number" },
        };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct opt o;

                ck_assert_msg(PARSE(&o, bad[i].word) == OPT_BAD, "%s", bad[i].word);
                ck_assert_str_eq(err, bad[i].line);
                opt_fini(&o);
        }
}
END_TEST

/* All in one go, but not a screen full of them. */
START_TEST(many_mistakes)
{
        struct opt o;

        ck_assert_int_eq(PARSE(&o, "--one=1", "--two", "value", "--v=x", "--pool-name=p",
                                 "--config-file", "f", "-three"), OPT_BAD);
        ck_assert_str_eq(err, "unknown flag --one (see --help)\n"
                              "unknown flag --two (see --help)\n"
                              "--v: \"x\" is not a whole number\n"
                              "--config-file: this feature is not built yet\n"
                              "unknown flag --three (see --help)");
        opt_fini(&o);
        ck_assert_int_eq(PARSE(&o, "--q1", "--q2", "--q3", "--q4", "--q5", "--q6", "--q7", "--q8",
                                 "--q9", "--q10", "--q11", "--q12", "--q13"), OPT_BAD);
        ck_assert_int_eq(said, 11);
        ck_assert_ptr_nonnull(strstr(err, "\nand 3 more mistakes"));
        opt_fini(&o);
}
END_TEST

START_TEST(variables)
{
        static const char *const good[] = { "PATH=/bin", "EPPD_POOL_NAME=fromenv", "EPPD_V=4",
                "EPPD_ENDPOINT=1.2.3.4:5,a=b\n 1.2.3.4:6\t", "EPPD_SECURE_SERVING=false",
                "EPPD_LOG_FORMAT=", "EPPD_METRICS_ENDPOINT_AUTH=1", NULL };
        static const char *const bad[] = { "EPPD_GRPC_PORT=x", "EPPD_REFRESH_METRICS_INTERVAL=1us",
                NULL };
        static const char *const unknown[] = { "EPPD_POOL_NAM=x", "EPPD_ZAP=1", "EPPD_EMPTY=",
                "EPPDX=1", NULL };
        struct opt o;

        ck_assert_int_eq(PARSE_ENV(&o, good, "--pool-name=p"), OPT_RUN);
        ck_assert_str_eq(err, "");
        ck_assert_str_eq(o.pool_name, "p"); /* the command line wins */
        ck_assert(dumps(&o, "--log-level=debug"));
        ck_assert(dumps(&o, "--log-format=logfmt"));
        ck_assert(dumps(&o, "--secure-serving=false"));
        ck_assert(dumps(&o, "--metrics-endpoint-auth=true"));
        ck_assert_uint_eq(o.endpoint.n, 2);
        ck_assert_str_eq(o.endpoint.v[0], "1.2.3.4:5,a=b");
        ck_assert_str_eq(o.endpoint.v[1], "1.2.3.4:6");
        opt_fini(&o);
        ck_assert_int_eq(PARSE_ENV(&o, good, "--endpoint=4.3.2.1:1", "--endpoint=4.3.2.1:2"),
                OPT_RUN);
        ck_assert_uint_eq(o.endpoint.n, 2); /* in place of the variable's */
        ck_assert_str_eq(o.endpoint.v[0], "4.3.2.1:1");
        ck_assert_str_eq(o.pool_name, "fromenv");
        opt_fini(&o);
        ck_assert_int_eq(PARSE_ENV(&o, bad, "--pool-name=p"), OPT_BAD);
        ck_assert_str_eq(err, "EPPD_GRPC_PORT: \"x\" is not a port, 0 to 65535; 0: any free one\n"
                              "EPPD_REFRESH_METRICS_INTERVAL: \"1us\" is out of range: 1ms to 1h");
        opt_fini(&o);
        ck_assert_int_eq(PARSE_ENV(&o, unknown, "--pool-name=p"), OPT_RUN);
        ck_assert_str_eq(err, "no flag goes by EPPD_POOL_NAM, EPPD_ZAP (see --help)");
        opt_fini(&o);
}
END_TEST

/* What Kubernetes sets for Services called eppd, eppd-metrics and eppd-grpc: neither taken nor told. */
START_TEST(service_variables)
{
        static const char *const env[] = { "EPPD_SERVICE_HOST=10.0.0.1", "EPPD_SERVICE_PORT=9002",
                "EPPD_SERVICE_PORT_GRPC=9002", "EPPD_PORT=tcp://10.0.0.1:9002",
                "EPPD_PORT_9002_TCP=tcp://10.0.0.1:9002", "EPPD_PORT_9002_TCP_PROTO=tcp",
                "EPPD_PORT_9002_TCP_PORT=9002", "EPPD_PORT_9002_TCP_ADDR=10.0.0.1",
                "EPPD_METRICS_PORT=tcp://10.0.0.1:9090", "EPPD_METRICS_SERVICE_HOST=10.0.0.1",
                "EPPD_METRICS_PORT_9090_TCP_ADDR=10.0.0.1", "EPPD_GRPC_PORT=udp://10.0.0.1:53", NULL };
        struct opt o;

        ck_assert_int_eq(PARSE_ENV(&o, env, "--pool-name=p"), OPT_RUN);
        ck_assert_str_eq(err, "");
        ck_assert_uint_eq(o.metrics_port, 9090);
        opt_fini(&o);
}
END_TEST

/* A dump given back says the same again. */
START_TEST(given_back)
{
        struct opt o;
        char *text = NULL, *again = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);
        char *argv[200], *copy, *save = NULL;
        int argc = 1;

        ck_assert_int_eq(PARSE(&o, "--endpoint=1.2.3.4:5,a=b c", "--max-request-body=1000001",
                                 "--refresh-metrics-interval=1500us", "--scrape-budget=0.00001",
                                 "--pool-name=\"\"q\"\"", "--v=5", "--zap-encoder=json",
                                 "--upload-timeout=0", "--max-held-bodies=1536Mi",
                                 "--metrics-endpoint-auth"), OPT_RUN);
        opt_dump(&o, f);
        fclose(f);
        opt_fini(&o);
        ck_assert_ptr_nonnull(strstr(text, "--max-request-body=1000001\n"));
        ck_assert_ptr_nonnull(strstr(text, "--max-held-bodies=1536Mi\n"));
        ck_assert_ptr_nonnull(strstr(text, "--refresh-metrics-interval=1500us\n"));
        ck_assert_ptr_nonnull(strstr(text, "--drain-timeout=30s\n"));
        argv[0] = text;
        copy = strdup(text);
        for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                argv[argc++] = line;
        err[0] = 0;
        ck_assert_msg(opt_parse(&o, argc, argv, NULL, say) == OPT_RUN, "%s", err);
        ck_assert_str_eq(o.pool_name, "\"q\"");
        f = open_memstream(&again, &n);
        opt_dump(&o, f);
        fclose(f);
        ck_assert_str_eq(again, text);
        opt_fini(&o);
        free(copy);
        free(text);
        free(again);
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

UNIT_MAIN("opt", durations, environment, defaults, syntax, bare, originals, levels, mistakes,
        many_mistakes, variables, service_variables, given_back)
