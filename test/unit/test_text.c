/* test_text.c - numbers and escapes of pages. */
#include <math.h>

#include "daemon/text.h"
#include "unit.h"

static const char *
number(double v)
{
        static char text[64];
        struct epp_buf b = { 0 };
        struct text t = { &b, false };

        text_number(&t, v);
        ck_assert(!t.failed);
        snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(epp_buf_slice(&b)));
        epp_buf_fini(&b);
        return text;
}

/* The examples of spec/metrics.md 3.3, and the borders between plain and exponent. */
START_TEST(numbers)
{
        static const struct {
                double v;
                const char *text;
        } rows[] = { { 0, "0" }, { 1, "1" }, { 0.0001, "0.0001" }, { 0.00001, "1e-05" },
                { 262144, "262144" }, { 524288, "524288" }, { 1000000, "1e+06" },
                { 1048576, "1.048576e+06" }, { 1073741824, "1.073741824e+09" },
                { 1700000000, "1.7e+09" }, { 123456.789, "123456.789" },
                { 1234567, "1.234567e+06" }, { 0.00205, "0.00205" }, { 999999.5, "999999.5" },
                { 100000.5, "100000.5" }, { -2.5, "-2.5" }, { -7, "-7" }, { 12.25, "12.25" },
                { 0.00012, "0.00012" }, { 0.1 + 0.2, "0.30000000000000004" },
                { 1.8446744073709552e19, "1.8446744073709552e+19" }, { INFINITY, "+Inf" },
                { -INFINITY, "-Inf" }, { NAN, "NaN" }, { 2.2250738585072014e-308,
                "2.2250738585072014e-308" } };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                ck_assert_str_eq(number(rows[i].v), rows[i].text);
}
END_TEST

START_TEST(numbers_read_back)
{
        uint64_t bits = 88172645463325252u;

        for (int i = 0; i < 100000; i++) {
                double v, back;
                const char *text;

                bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
                memcpy(&v, &bits, sizeof(v));
                if (isnan(v) || isinf(v))
                        continue;
                text = number(v);
                back = strtod(text, NULL);
                ck_assert_msg(back == v, "%s is not %a", text, v);
        }
}
END_TEST

START_TEST(escapes)
{
        static const struct {
                void (*fn)(struct text *t, struct epp_slice s);
                struct epp_slice in;
                const char *text;
        } rows[] = {
                { text_label, EPP_SLICE("a\\b\"c\nd"), "a\\\\b\\\"c\\nd" },
                { text_label, EPP_SLICE("\xc3\xa9\xff\xe2\x82\xac"),
                        "\xc3\xa9\xef\xbf\xbd\xe2\x82\xac" },
                { text_label, EPP_SLICE("\xed\xa0\x80|\xc0\x80|\xf4\x90\x80\x80|\xe2\x82"),
                        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd"
                        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd" },
                { text_label, EPP_SLICE(""), "" },
                { text_json, EPP_SLICE("a\"\\\n\x7f\xff/"),
                        "\"a\\\"\\\\\\u000a\\u007f\xef\xbf\xbd/\"" },
                { text_html, EPP_SLICE("<a href='x'>&\"</a>"),
                        "&#60;a href=&#39;x&#39;&#62;&#38;&#34;&#60;/a&#62;" },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_buf b = { 0 };
                struct text t = { &b, false };

                rows[i].fn(&t, rows[i].in);
                ck_assert_msg(epp_slice_eq(epp_buf_slice(&b), epp_slice_str(rows[i].text)),
                        "%zu: " SLICE_FMT, i, SLICE_ARG(epp_buf_slice(&b)));
                epp_buf_fini(&b);
        }
}
END_TEST

UNIT_MAIN("text", numbers, numbers_read_back, escapes)
