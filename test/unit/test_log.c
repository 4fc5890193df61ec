/* test_log.c - one event is one line, whatever the text holds. */
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

START_TEST(levels)
{
        enum epp_log_level v;

        ck_assert_int_eq(epp_log_level_parse(EPP_SLICE("debug"), &v), 0);
        ck_assert_int_eq(v, EPP_LOG_DEBUG);
        ck_assert_int_eq(epp_log_level_parse(EPP_SLICE("loud"), &v), EPP_EINVAL);
}
END_TEST

UNIT_MAIN("log", lines, cut, levels)
