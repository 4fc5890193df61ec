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
        struct epp_log l = { EPP_LOG_INFO, false, sink, NULL, wall, NULL };

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
        struct epp_log l = { EPP_LOG_INFO, false, sink, NULL, NULL, NULL };
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
        struct epp_log l = { EPP_LOG_INFO, false, sink, NULL, wall, NULL };
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
        struct epp_log l = { EPP_LOG_INFO, true, sink, NULL, wall, NULL };
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

static epp_wall clock_now = 1000000;
static unsigned written, told;
static char tellings[4096];

static epp_wall
set_wall(void *ctx)
{
        (void)ctx;
        return clock_now;
}

static void
counting_sink(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        const char *swallowed = strstr(line.p, "ev=swallowed");

        (void)ctx, (void)level;
        written++;
        if (!swallowed)
                return;
        told++;
        snprintf(tellings + strlen(tellings), sizeof(tellings) - strlen(tellings), "%.*s",
                (int)line.n - 28, line.p + 28); /* behind the time */
}

static struct epp_log_limit limit;
static struct epp_log limited = { EPP_LOG_DEBUG, false, counting_sink, NULL, set_wall, &limit };

/* <n> times the same event, <us> apart: how many lines that gave. */
static unsigned
flood(enum epp_log_level level, const char *ev, unsigned n, epp_wall us)
{
        unsigned before = written;

        for (unsigned i = 0; i < n; i++) {
                epp_log(&limited, level, ev, LOG_N("i", i));
                clock_now += us;
        }
        return written - before;
}

/* Twenty at once, then ten a second; each event and level has its own. */
START_TEST(swallows)
{
        ck_assert_uint_eq(flood(EPP_LOG_WARN, "storm", 20, 0), 20);
        ck_assert_uint_eq(flood(EPP_LOG_WARN, "storm", 980, 0), 0);
        ck_assert_uint_eq(flood(EPP_LOG_ERROR, "storm", 1, 0), 1);
        ck_assert_uint_eq(flood(EPP_LOG_INFO, "end", 1, 0), 1);
        ck_assert_uint_eq(limit.swallowed, 980);
        epp_log_tell(&limited);
        ck_assert_str_eq(tellings, "warn ev=swallowed of=storm lines=980\n");
        epp_log_tell(&limited); /* told once */
        ck_assert_uint_eq(told, 1);
        clock_now += 1000000;
        ck_assert_uint_eq(flood(EPP_LOG_WARN, "storm", 100, 0), 10);
        clock_now += 60000000; /* full again, and no fuller */
        ck_assert_uint_eq(flood(EPP_LOG_WARN, "storm", 100, 0), 20);
        clock_now += 60000000;
        ck_assert_uint_eq(flood(EPP_LOG_WARN, "storm", 1000, 100000), 1000); /* in step */
        ck_assert_uint_eq(flood(EPP_LOG_WARN, "storm", 2000, 10000), 219); /* ten times that, 20 s */
        ck_assert_uint_eq(flood(EPP_LOG_DEBUG, "pick", 1000, 0), 1000);
}
END_TEST

/* A wall clock that is set back does not silence an event until it is there again. */
START_TEST(clock_steps)
{
        clock_now = 1000000000;
        flood(EPP_LOG_WARN, "storm", 100, 0);
        clock_now = 5000000;
        ck_assert_uint_eq(flood(EPP_LOG_WARN, "storm", 100, 0), 20);
        clock_now = 9000000000;
        ck_assert_uint_eq(flood(EPP_LOG_WARN, "storm", 100, 0), 20);
}
END_TEST

/* More words than places: those that come late are not limited, and none is taken for another. */
START_TEST(many_words)
{
        static char words[EPP_LOG_SITES + 10][8];

        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
                unsigned n;

                snprintf(words[i], sizeof(words[i]), "w%zu", i);
                n = flood(EPP_LOG_INFO, words[i], 30, 0);
                ck_assert_uint_eq(n, i < EPP_LOG_SITES ? 20 : 30);
        }
        epp_log_tell(&limited);
        ck_assert_uint_eq(told, EPP_LOG_SITES);
}
END_TEST

UNIT_MAIN("log", lines, cut, numbers, always_json, levels, swallows, clock_steps, many_words)
