/* test_show.c - values as JSON and as HTML. */
#include <math.h>

#include "daemon/show.h"
#include "unit.h"

static char written[512];

/* What <put> wrote. */
static const char *
shown(void (*put)(struct text *t, enum look l, struct value v), enum look l, struct value v)
{
        struct epp_buf b = { 0 };
        struct text t = { &b, false };

        put(&t, l, v);
        ck_assert(!t.failed);
        snprintf(written, sizeof(written), SLICE_FMT, SLICE_ARG(epp_buf_slice(&b)));
        epp_buf_fini(&b);
        return written;
}

#define THIN "\xe2\x80\xaf"
#define DASH "\xe2\x80\x93"

START_TEST(numbers)
{
        static const struct {
                enum look look;
                double n;
                const char *json, *html;
        } rows[] = {
                { LOOK_COUNT, 0, "0", "0" },
                { LOOK_COUNT, 999, "999", "999" },
                { LOOK_COUNT, 1000, "1000", "1" THIN "000" },
                { LOOK_COUNT, 1234567890, "1234567890", "1" THIN "234" THIN "567" THIN "890" },
                { LOOK_COUNT, 1e14, "100000000000000",
                        "100" THIN "000" THIN "000" THIN "000" THIN "000" },
                { LOOK_COUNT, 1e20, "1e+20", NULL },
                { LOOK_COUNT, NAN, "null", DASH },
                { LOOK_MS, 0.04, "0.04", "0.0 ms" },
                { LOOK_MS, 9.94, "9.94", "9.9 ms" },
                { LOOK_MS, 10.5, "10.5", "11 ms" },
                { LOOK_MS, 9999, "9999", "9999 ms" },
                { LOOK_MS, 10000, "10000", "10 s" },
                { LOOK_SECONDS, 99.9, "99.9", "99 s" },
                { LOOK_SECONDS, 100, "100", "1 min" },
                { LOOK_SECONDS, 5999, "5999", "99 min" },
                { LOOK_SECONDS, 6000, "6000", "1 h" },
                { LOOK_SECONDS, 172799, "172799", "47 h" },
                { LOOK_SECONDS, 172800, "172800", "2 d" },
                { LOOK_BYTES, 1023, "1023", "1023 B" },
                { LOOK_BYTES, 1536, "1536", "1.5 KiB" },
                { LOOK_BYTES, 5e15, "5e+15", "4547.5 TiB" },
                { LOOK_YES, 1, "true", "<i class=yes></i>yes" },
                { LOOK_YES, 0, "false", "<i class=no></i>no" },
                { LOOK_SHARE, 0.4312, "0.4312", "<svg class=bar aria-hidden=true>"
                        "<rect width=\"43.1%\"/></svg><span>43.1 %</span>" },
                { LOOK_SHARE, 1.5, "1.5", "<svg class=bar aria-hidden=true>"
                        "<rect width=\"100.0%\"/></svg><span>150.0 %</span>" },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct value v = value_number(rows[i].n);

                ck_assert_str_eq(shown(show_json, rows[i].look, v), rows[i].json);
                if (rows[i].html)
                        ck_assert_str_eq(shown(show_html, rows[i].look, v), rows[i].html);
        }
}
END_TEST

START_TEST(texts)
{
        struct value v = value_text(EPP_SLICE("<a href=\"x\">&'")),
                none = value_text(EPP_SLICE(""));

        ck_assert_str_eq(shown(show_html, LOOK_TEXT, v),
                "&#60;a href=&#34;x&#34;&#62;&#38;&#39;");
        ck_assert_str_eq(shown(show_json, LOOK_TEXT, v), "\"<a href=\\\"x\\\">&'\"");
        ck_assert_str_eq(shown(show_json, LOOK_TEXT, none), "null");
        ck_assert_str_eq(shown(show_html, LOOK_TEXT, none), DASH);
        ck_assert_str_eq(shown(show_html, LOOK_STATE, value_text(EPP_SLICE("stale"))),
                "<i class=\"stale\"></i>stale");
}
END_TEST

START_TEST(counts)
{
        struct epp_buf b = { 0 };
        struct text t = { &b, false };

        for (int html = 0; html < 2; html++) {
                bool begun = false;

                show_count(&t, html, &begun, "ok", 12345);
                show_count(&t, html, &begun, "bad", 1);
                text_putf(&t, "\n");
        }
        ck_assert(epp_slice_eq(epp_buf_slice(&b), EPP_SLICE("\"ok\":12345,\"bad\":1\n"
                "ok 12" THIN "345 \xc2\xb7 bad 1\n")));
        epp_buf_fini(&b);
}
END_TEST

/* Halves go up, in either direction of the binary fraction: script.js does the same. */
START_TEST(rounding)
{
        ck_assert_double_eq(show_rounded(0.25, 1), 0.3);
        ck_assert_double_eq(show_rounded(12.25, 1), 12.3);
        ck_assert_double_eq(show_rounded(12.24, 1), 12.2);
        ck_assert_double_eq(show_rounded(1234.5678, 3), 1234.568);
}
END_TEST

UNIT_MAIN("show", numbers, texts, counts, rounding)
