/* test_promscan.c - metrics pages: the edge cases of the format, every cut, broken lines. */
#include "unit.h"
#include "wire/promscan.h"

#include <math.h>

struct seen {
        char text[65536];
        size_t n;
};

static void
on_sample(void *arg, unsigned family, const struct epp_slice *labels, size_t n, double value,
        int64_t ts)
{
        struct seen *s = arg;

#define OUT(...) \
        do { \
                int w_ = snprintf(s->text + s->n, sizeof(s->text) - s->n, __VA_ARGS__); \
                s->n = EPP_MIN(s->n + (size_t)w_, sizeof(s->text) - 1); \
        } while (0)
        OUT("%u", family);
        for (size_t i = 0; i < n; i++)
                OUT("|" SLICE_FMT "=" SLICE_FMT, SLICE_ARG(labels[2 * i]),
                        SLICE_ARG(labels[2 * i + 1]));
        OUT(" %g", value);
        if (ts)
                OUT("@%lld", (long long)ts);
        OUT(";");
}

static const struct epp_slice names[] = { { "a", 1 }, { ":a", 2 }, { "a:b", 3 }, { "c", 1 },
        { "a_total", 7 } };

/* Scans <page> in pieces of <step> bytes; the samples stand in <s>, errors are returned. */
static uint64_t
scan(struct epp_slice page, size_t step, bool complete, struct seen *s)
{
        struct epp_promscan p;
        uint64_t errors;

        s->n = 0;
        s->text[0] = '\0';
        ck_assert_int_eq(epp_promscan_init(&p, names, ARRAY_LEN(names), on_sample, s), 0);
        for (size_t i = 0; i < page.n; i += step) {
                struct epp_slice piece = { page.p + i, EPP_MIN(step, page.n - i) };
                char *copy = malloc(piece.n); /* exact size: an over-read is seen */

                memcpy(copy, piece.p, piece.n);
                ck_assert_int_eq(epp_promscan_feed(&p, epp_slice(copy, piece.n)), 0);
                free(copy);
        }
        ck_assert_int_eq(epp_promscan_end(&p, complete), 0);
        errors = p.errors;
        epp_promscan_fini(&p);
        return errors;
}

#define R(text, out, errors) { { text, sizeof(text) - 1 }, out, errors }
static const struct row {
        struct epp_slice page;
        const char *out;
        unsigned errors;
} rows[] = {
        R("", "", 0), R("\n", "", 0), R("# only a comment\n", "", 0), R("#\n", "", 0),
        R("a 1\n", "0 1;", 0), R("a 1", "0 1;", 0), R("# TYPE a gauge\na 1\n", "0 1;", 0),
        R("a 1\r\n", "0 1;", 0), R("# TYPE a gauge\r\na 1\r\n", "0 1;", 0),
        R("\n\n\na 1\n", "0 1;", 0), R("  a 1\n", "0 1;", 0), R("\ta\t1\n", "0 1;", 0),
        R("a 1 \n", "0 1;", 0), R("a 1 5 \n", "0 1@5;", 0), R("a\x0b" "1\n", "", 1),
        R("a{} 1\n", "0 1;", 0), R("a{x=\"1\"} 1\n", "0|x=1 1;", 0),
        R("a{x=\"1\",} 1\n", "0|x=1 1;", 0), R("a{,x=\"1\"} 1\n", "", 1),
        R("a{x=\"1\",,y=\"2\"} 1\n", "", 1),
        R("a { x = \"1\" , y = \"2\" } 1\n", "0|x=1|y=2 1;", 0),
        R("a{x=\"1\"}1\n", "0|x=1 1;", 0), R("a{x=\"1\"}-Inf\n", "0|x=1 -inf;", 0),
        R("a{x=1} 1\n", "", 1), R("a{x='1'} 1\n", "", 1),
        R("a{x=\"q\\\"q\"} 1\n", "0|x=q\"q 1;", 0), R("a{x=\"b\\\\b\"} 1\n", "0|x=b\\b 1;", 0),
        R("a{x=\"n\\nn\",y=\"\\\\\"} 1\n", "0|x=n\nn|y=\\ 1;", 0), R("a{x=\"t\\tt\"} 1\n", "", 1),
        R("a{x=\"1\n2\"} 1\n", "", 1), R("a{x=\"}\"} 1\n", "0|x=} 1;", 0),
        R("a{x=\",\"} 1\n", "0|x=, 1;", 0),
        R("a{x=\"# TYPE b gauge\"} 1\n", "0|x=# TYPE b gauge 1;", 0),
        R("a{x=\"a,b\",y=\"c=d\"} 1\n", "0|x=a,b|y=c=d 1;", 0), R("a{x=\"\"} 1\n", "0|x= 1;", 0),
        R("a{x=\"1\",x=\"2\"} 1\n", "", 1), R("a{__name__=\"b\"} 1\n", "", 1),
        R("a{x:y=\"1\"} 1\n", "", 1), R("a{1x=\"1\"} 1\n", "", 1), R("a{x=\"1\"\n", "", 1),
        R("a{x=\"1\n", "", 1), R("a{x=\"1\\\n", "", 1), R("a{x=\"\xff\"} 1\n", "0|x=\xff 1;", 0),
        R("a{x=\"\xc3\xa9\"} 1\n", "0|x=\xc3\xa9 1;", 0),
        R("a{x=\"1\"} 1 # {trace=\"1\"} 0.5\n", "0|x=1 1;", 0),
        R("a{x=\"1\"}# {t=\"1\"} 1\n", "", 1),
        R("a{x=\"1\"} 1 1700000000000\n", "0|x=1 1@1700000000000;", 0),
        R("a{x=\"1\"} 1 1700000000.123\n", "0|x=1 1@1700000000123;", 0),
        R("a 1 1.5\n", "0 1@1500;", 0), R("a 1 1.\n", "0 1@1000;", 0),
        R("a 1 0.00149\n", "0 1@1;", 0), R("a 1 -5\n", "0 1@-5;", 0), R("a 1 1e3\n", "", 1),
        R("a 1 9223372036854775808\n", "", 1),
        R("a 1 -9223372036854775808\n", "0 1@-9223372036854775808;", 0),
        R("a 1 2 3\n", "", 1), R("a 1 5 junk\n", "", 1), R("a 1 .\n", "", 1), R("a 1 -\n", "", 1),
        R("a NaN\n", "0 nan;", 0), R("a nan\n", "0 nan;", 0), R("a +nan\n", "", 1),
        R("a +Inf\n", "0 inf;", 0), R("a Inf\n", "0 inf;", 0), R("a -inf\n", "0 -inf;", 0),
        R("a infinity\n", "0 inf;", 0), R("a 1e3\n", "0 1000;", 0),
        R("a 1.3e+06\n", "0 1.3e+06;", 0), R("a 1E-5\n", "0 1e-05;", 0), R("a .5\n", "0 0.5;", 0),
        R("a 5.\n", "0 5;", 0), R("a 08\n", "0 8;", 0), R("a +3\n", "0 3;", 0),
        R("a -0\n", "0 -0;", 0), R("a --3\n", "", 1), R("a 1,5\n", "", 1), R("a 1.0.0\n", "", 1),
        R("a 1;2\n", "", 1), R("a 0x10\n", "", 1), R("a 0x1p3\n", "", 1), R("a 1_000\n", "", 1),
        R("a 1e\n", "", 1), R("a 1e+\n", "", 1), R("a .\n", "", 1), R("a 1e400\n", "0 inf;", 0),
        R("a 1e-400\n", "0 0;", 0), R("a 18446744073709551616\n", "0 1.84467e+19;", 0),
        R("a\n", "", 1), R("a \n", "", 1), R("a{x=\"1\"}\n", "", 1), R("a 1\x00\n", "", 1),
        R("1a 1\n", "", 0), R("a-b 1\n", "", 0), R("a.b 1\n", "", 0), R("\xc3\xa9 1\n", "", 0),
        R("a:b 1\n", "2 1;", 0), R(":a 1\n", "1 1;", 0),
        R("{\"a\",x=\"1\"} 1\n", "0|x=1 1;", 0), R("{\"a\"} 1\n", "0 1;", 0),
        R("{\"a.b\",x=\"1\"} 1\n", "", 0), R("a{\"x\"=\"1\"} 1\n", "0|x=1 1;", 0),
        R("a{\"b\"} 1\n", "", 1), R("{x=\"1\"} 1\n", "", 0), R("# HELP\n# TYPE\n# TYPE a\n", "", 0),
        R("# TYPE a foo\n# TYPE a gauge extra\n#TYPE a gauge\n", "", 0),
        R("# HELP a bad \\x escape\n# HELP a \\\n# HELP a \xff\n", "", 0), R("{}", "", 1),
        R(" {}", "", 1), R("a 1\n{} 5\n", "0 1;", 1), R("# EOF\n# UNIT a s\na 1\n", "0 1;", 0),
        R("b 1\na 2\nb 2\na 3\n", "0 2;0 3;", 0), R("a 1\na 1\n", "0 1;0 1;", 0),
        R("# TYPE a counter\na_total 1\n", "4 1;", 0), R("a_bucket{le=\"1\"} 1\n", "", 0),
        R("a_bucket{le=\"x\"} -1\n", "", 0), R("# TYPE a histogram\na 1\n", "0 1;", 0),
        R("<html>\n<a 1>\n</html>\n", "", 0), R("{\"error\":\"x\"}\n", "", 0), R("[]", "", 0),
        R("\xef\xbb\xbf" "a 1\n", "0 1;", 0), R("\x1f\x8b\x08\x00\x00", "", 0),
        R("a{x=\"1\" 2\nc 3\n", "3 3;", 1), R("a_by_reason 1\nab 1\na:c 1\n", "", 0),
        R("a{y=\"2\",x=\"1\"} 1.0\n", "0|y=2|x=1 1;", 0),
};

START_TEST(edge_cases)
{
        struct seen *s = malloc(sizeof(*s));

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                for (size_t step = 1; step <= rows[i].page.n + 1; step++) {
                        uint64_t e = scan(rows[i].page, step, true, s);

                        ck_assert_msg(e == rows[i].errors && strcmp(s->text, rows[i].out) == 0,
                                "row %zu step %zu \"%s\": \"%s\", %d errors", i, step,
                                rows[i].page.p, s->text, (int)e);
                }
        }
        free(s);
}
END_TEST

START_TEST(cut_short)
{
        struct seen *s = malloc(sizeof(*s));

        ck_assert_uint_eq(scan(EPP_SLICE("c 1\na 1"), 3, false, s), 1);
        ck_assert_str_eq(s->text, "3 1;");
        ck_assert_uint_eq(scan(EPP_SLICE("c 1\na 1\n"), 3, false, s), 0);
        ck_assert_str_eq(s->text, "3 1;0 1;");
        free(s);
}
END_TEST

/* A line at the limit is read, one above is an error, in every cut. */
START_TEST(long_lines)
{
        static char page[EPP_PROM_LINE_MAX + 64];
        struct seen *s = malloc(sizeof(*s));

        for (size_t over = 0; over < 2; over++) {
                size_t n = EPP_PROM_LINE_MAX + over;

                memset(page, ' ', n);
                page[0] = 'a';
                page[n - 1] = '1';
                memcpy(page + n, "\nc 2\n", 5);
                /* The last step takes the page whole: no line is carried over then. */
                for (size_t step = 1; step <= 8 * sizeof(page); step = step * 7 + 3) {
                        ck_assert_uint_eq(scan(epp_slice(page, n + 5), step, true, s), over);
                        ck_assert_str_eq(s->text, over ? "3 2;" : "0 1;3 2;");
                }
        }
        free(s);
}
END_TEST

/* Any bytes, any cut: the same result. */
START_TEST(noise)
{
        static const char alphabet[] = "aac:_{}\",=\\n 1.-e#\n\n\r\t\x80";
        struct seen *whole = malloc(sizeof(*whole)), *cut = malloc(sizeof(*cut));
        uint32_t x = 1;
        char page[300]; /* some blocks of 64 bytes */

        for (int round = 0; round < 20000; round++) {
                uint64_t e;
                size_t step;

                for (size_t i = 0; i < sizeof(page); i++) {
                        x = x * 1664525u + 1013904223u;
                        page[i] = alphabet[(x >> 16) % (sizeof(alphabet) - 1)];
                }
                step = 1 + (x >> 8) % 9;
                e = scan(epp_slice(page, sizeof(page)), sizeof(page), true, whole);
                ck_assert_uint_eq(scan(epp_slice(page, sizeof(page)), step, true, cut), e);
                ck_assert_str_eq(whole->text, cut->text);
        }
        free(whole);
        free(cut);
}
END_TEST

static void
on_value(void *arg, unsigned family, const struct epp_slice *labels, size_t n, double value,
        int64_t ts)
{
        (void)family, (void)labels, (void)n, (void)ts;
        *(double *)arg = value;
}

/* Any decimal number is what strtod makes of it, to the last bit. */
START_TEST(numbers)
{
        struct epp_slice name = EPP_SLICE("a");
        struct epp_promscan p;
        double got, want;
        uint32_t x = 7;

        ck_assert_int_eq(epp_promscan_init(&p, &name, 1, on_value, &got), 0);
        for (int round = 0; round < 100000; round++) {
                char line[64] = "a ";
                size_t n = 2, digits, point;

                x = x * 1664525u + 1013904223u;
                digits = 1 + (x >> 8) % 18;
                point = (x >> 16) % 24; /* often none */
                for (size_t i = 0; i < digits; i++) {
                        if (i == point)
                                line[n++] = '.';
                        x = x * 1664525u + 1013904223u;
                        line[n++] = (char)('0' + (x >> 16) % 10);
                }
                line[n] = 0;
                want = strtod(line + 2, NULL);
                line[n++] = '\n';
                epp_promscan_begin(&p);
                ck_assert_int_eq(epp_promscan_feed(&p, epp_slice(line, n)), 0);
                ck_assert_uint_eq(p.samples, 1);
                ck_assert_msg(memcmp(&got, &want, sizeof(got)) == 0, "%s", line);
        }
        epp_promscan_fini(&p);
}
END_TEST

/* The look at a line's first bytes lets none of the wanted names pass by, however they are alike. */
START_TEST(common_beginnings)
{
        static const char *const wanted[][3] = { { "v:ab", "v:ac", "v:ab_long" },
                { "v:queue_of_requests_x", "v:queue_of_requests_y", "v:queue_of_requests" },
                { "v", "v:a", "w" }, { "same", "same", "same" }, { "12345678", "123456789", "1234567" } };

        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
                struct epp_slice list[3];
                struct epp_promscan p;
                char line[64];
                double got;

                for (size_t k = 0; k < 3; k++)
                        list[k] = epp_slice_str(wanted[i][k]);
                ck_assert_int_eq(epp_promscan_init(&p, list, 3, on_value, &got), 0);
                for (size_t k = 0; k < 3; k++)
                        for (int change = -1; change < (int)list[k].n; change++) {
                                bool ours = false;
                                int n = snprintf(line, sizeof(line), "%s 1\n", wanted[i][k]);

                                if (change >= 0)
                                        line[change] = '_';
                                for (size_t m = 0; m < 3; m++)
                                        ours |= epp_slice_eq(list[m], epp_slice(line, list[k].n));
                                epp_promscan_begin(&p);
                                ck_assert_int_eq(epp_promscan_feed(&p, epp_slice(line, (size_t)n)), 0);
                                ck_assert_msg(p.samples == ours, "%s", line);
                        }
                epp_promscan_fini(&p);
        }
}
END_TEST

START_TEST(bad_names)
{
        struct epp_slice many[EPP_PROM_FAMILIES_MAX + 1] = { { NULL, 0 } };
        struct epp_promscan p;

        ck_assert_int_eq(epp_promscan_init(&p, many, 1, on_sample, NULL), EPP_EINVAL);
        ck_assert_int_eq(epp_promscan_init(&p, many, ARRAY_LEN(many), on_sample, NULL),
                EPP_EINVAL);
}
END_TEST

UNIT_MAIN("promscan", edge_cases, cut_short, long_lines, noise, numbers, common_beginnings,
        bad_names)
