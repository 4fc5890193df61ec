/* test_log.c - one event is one line, whatever the text holds. */
#include <jansson.h>

#include "base/log.h"
#include "base/status.h"
#include "unit.h"

static char last[4096];

static void
sink(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        (void)ctx, (void)level;
        snprintf(last, sizeof(last), SLICE_FMT, SLICE_ARG(line));
}

static epp_wall
wall(void *ctx)
{
        (void)ctx;
        return 86400000001;
}

START_TEST(lines)
{
        struct epp_log l = { EPP_LOG_INFO, false, sink, NULL, wall };

        epp_log(&l, EPP_LOG_INFO, "pick", LOG_T("ep", "a:1"), LOG_T("why", "two words\n"),
                LOG_N("us", -4));
        ck_assert_str_eq(last,
                "1970-01-02T00:00:00.000001Z info ev=pick ep=a:1 why=\"two words\\u000a\" us=-4\n");
        l.json = true;
        epp_log(&l, EPP_LOG_WARN, "x", LOG_T("k", "q\"\\"));
        ck_assert_str_eq(last,
                "{\"ts\":\"1970-01-02T00:00:00.000001Z\",\"level\":\"warn\",\"ev\":\"x\","
                               "\"k\":\"q\\\"\\\\\"}\n");
        last[0] = 0;
        epp_log(&l, EPP_LOG_DEBUG, "x", LOG_N("n", 1));
        ck_assert_str_eq(last, "");
}
END_TEST

START_TEST(cut)
{
        struct epp_log l = { EPP_LOG_INFO, false, sink, NULL, NULL };
        static char big[10000];

        memset(big, '"', sizeof(big));
        epp_log(&l, EPP_LOG_INFO, "x", LOG_S("k", epp_slice(big, sizeof(big))));
        ck_assert_uint_lt(strlen(last), 2048);
        ck_assert_str_eq(last + strlen(last) - 1, "\n");
}
END_TEST

/* Numbers as printf has them; thousandths with a point. */
START_TEST(numbers)
{
        static const struct {
                int64_t n;
                const char *whole, *milli;
        } rows[] = { { 0, "0", "0.000" }, { 7, "7", "0.007" }, { 1000, "1000", "1.000" },
                { 12345, "12345", "12.345" }, { -5, "-5", "-0.005" },
                { -98765, "-98765", "-98.765" },
                { INT64_MAX, "9223372036854775807", "9223372036854775.807" },
                { INT64_MIN, "-9223372036854775808", "-9223372036854775.808" } };
        struct epp_log l = { EPP_LOG_INFO, false, sink, NULL, wall };
        char want[200];

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                epp_log(&l, EPP_LOG_INFO, "x", LOG_N("n", rows[i].n), LOG_MILLI("m", rows[i].n));
                snprintf(want, sizeof(want), "ev=x n=%s m=%s\n", rows[i].whole, rows[i].milli);
                ck_assert_str_eq(strstr(last, "ev="), want);
        }
}
END_TEST

/* A line is JSON and UTF-8 whatever is in it, and however long. */
START_TEST(always_json)
{
        static const char *const parts[] = { "a", "\"", "\\", "\xff", "\xc3", "\xc3\xa9", "\n", "\x7f",
                "\xf0\x9f\x98\x80", "\xed\xa0\x80" };
        struct epp_log l = { EPP_LOG_INFO, true, sink, NULL, wall };
        static char big[6000];

        for (size_t part = 0; part < ARRAY_LEN(parts); part++) {
                size_t one = strlen(parts[part]);

                for (size_t n = 0; n < 3000; n += 1 + n / 50) {
                        size_t len = 0;
                        json_t *doc;

                        while (len < n)
                                memcpy(big + len, parts[part], one), len += one;
                        epp_log(&l, EPP_LOG_INFO, "x", LOG_S("key", epp_slice(big, len)),
                                LOG_S("more", epp_slice(big, len)), LOG_N("n", 7),
                                LOG_T("end", "yes"));
                        ck_assert_uint_lt(strlen(last), 2048);
                        doc = json_loads(last, 0, NULL);
                        ck_assert_msg(doc != NULL, "%s", last);
                        ck_assert(json_string_length(json_object_get(doc, "key")) >=
                                EPP_MIN(n, (size_t)300));
                        json_decref(doc);
                }
        }
}
END_TEST

START_TEST(levels)
{
        enum epp_log_level v;

        ck_assert_int_eq(epp_log_level_parse(EPP_SLICE("debug"), &v), 0);
        ck_assert_int_eq(v, EPP_LOG_DEBUG);
        ck_assert_int_eq(epp_log_level_parse(EPP_SLICE("loud"), &v), EPP_EINVAL);
}
END_TEST

UNIT_MAIN("log", lines, cut, numbers, always_json, levels)
