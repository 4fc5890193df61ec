/* test_httphead.c - heads of requests, sound and hostile, whole and cut at every byte; parameters of queries. */
#include "serve/httphead.h"
#include "unit.h"

#define OK 0
#define CUT 1
#define GET "GET /metrics HTTP/1.1\r\n"

static const struct {
        const char *text;
        size_t n; /* 0: all of text */
        int code; /* OK, CUT, or the status of the refusal */
} rows[] = {
        { GET "\r\n", 0, OK },
        { GET "Host: a\r\n\r\n", 0, OK },
        { "HEAD / HTTP/1.0\r\n\r\n", 0, OK },
        { GET "X:\r\nY: \t \r\nZ:\xc3\xa4\r\n\r\n", 0, OK },
        { GET "Content-Length: 0\r\n\r\n", 0, OK },
        { GET "\r\nGET /second HTTP/1.1\r\n\r\n", 0, OK },
        { GET "\r\n\0\0", sizeof(GET) + 3, OK },
        { "", 0, CUT },
        { GET, 0, CUT },
        { GET "Host: a\r\n", 0, CUT },
        { GET "Host: a\r\n\r", 0, CUT },
        /* no request line */
        { "\r\n" GET "\r\n", 0, 400 },
        { "\n", 0, 400 },
        { "GET /metrics\r\n", 0, 400 },
        { "GET  /metrics HTTP/1.1\r\n", 0, 400 },
        { "GET /metrics  HTTP/1.1\r\n", 0, 400 },
        { "GET /metrics HTTP/1.1 \r\n", 0, 400 },
        { "GET /metrics HTTP/1.1\n\n", 0, 400 },
        { "GET /metrics http/1.1\r\n", 0, 400 },
        { "GET /metrics HTTP/1.11\r\n", 0, 400 },
        { "G\tT /metrics HTTP/1.1\r\n", 0, 400 },
        { " GET /metrics HTTP/1.1\r\n", 0, 400 },
        { "GET /metrics HTTP/2.0\r\n", 0, 505 },
        { "GET /metrics HTTP/1.2\r\n", 0, 505 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 505 },
        { "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 13, 400 },
        /* targets */
        { "GET http://a/metrics HTTP/1.1\r\n", 0, 400 },
        { "GET * HTTP/1.1\r\n", 0, 400 },
        { "GET metrics HTTP/1.1\r\n", 0, 400 },
        { "GET /\x01 HTTP/1.1\r\n", 0, 400 },
        { "GET /\0x HTTP/1.1\r\n", 18, 400 },
        { "GET /\xc3\xa4 HTTP/1.1\r\n", 0, 400 },
        { "GET /a#b HTTP/1.1\r\n", 0, 400 },
        { "GET /\r/ HTTP/1.1\r\n", 0, 400 },
        { "GET /../etc/passwd HTTP/1.1\r\n\r\n", 0, OK }, /* no such page, and not our file */
        { "GET /%2e%2e/%zz?%=%&&=& HTTP/1.1\r\n\r\n", 0, OK },
        /* methods: when all the rest is sound */
        { "POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345", 0, 405 },
        { "POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 405 },
        { "OPTIONS * HTTP/1.1\r\n\r\n", 0, 405 },
        { "CONNECT a:80 HTTP/1.1\r\n\r\n", 0, 405 },
        { "get / HTTP/1.1\r\n\r\n", 0, 405 },
        { "POST /metrics HTTP/1.1\r\n", 0, CUT },
        { "POST /metrics HTTP/1.1\r\nX : 1\r\n", 0, 400 },
        /* bodies */
        { GET "Content-Length: 1\r\n\r\nx", 0, 400 },
        { GET "Transfer-Encoding: chunked\r\n\r\n", 0, 400 },
        { GET "Content-Length: 00\r\n\r\n", 0, 400 },
        { GET "Content-Length: +0\r\n\r\n", 0, 400 },
        { GET "Content-Length: 0, 0\r\n\r\n", 0, 400 },
        { GET "Content-Length:\r\n\r\n", 0, 400 },
        { GET "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 0, 400 },
        { GET "content-length: 0\r\nCONTENT-LENGTH: 5\r\n\r\n", 0, 400 },
        { GET "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400 },
        { "POST / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400 },
        { "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", 0, 400 },
        { "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, 400 },
        { "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 0, 400 },
        /* headers */
        { GET "X: a\r\n folded\r\n", 0, 400 },
        { GET " X: a\r\n", 0, 400 },
        { GET "Content-Length : 5\r\n", 0, 400 },
        { GET "Transfer-Encoding\t: chunked\r\n", 0, 400 },
        { GET ": a\r\n", 0, 400 },
        { GET "nothing\r\n", 0, 400 },
        { GET "X: a\n", 0, 400 },
        { GET "X: a\nContent-Length: 5\r\n", 0, 400 },
        { GET "X: a\rContent-Length: 5\r\n", 0, 400 },
        { GET "X: a\0b\r\n", sizeof(GET) - 1 + 8, 400 },
        { GET "X\0: a\r\n", sizeof(GET) - 1 + 7, 400 },
        { GET "X\xff: a\r\n", 0, 400 },
        { GET "Host: a\r\nHost: a\r\n", 0, 400 },
        { GET "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", 0, 400 },
};

static int
parse(const char *text, size_t n)
{
        struct epp_httphead h;
        char *copy = malloc(n + !n); /* exactly n, so that a read past the end is seen */
        int r;

        memset(&h, 0xee, sizeof(h));
        if (n)
                memcpy(copy, text, n);
        r = epp_httphead_parse(epp_slice(copy, n), &h);
        if (r < 0)
                ck_assert(r == EPP_EPROTO && h.why && *h.why);
        if (r > 0)
                ck_assert((size_t)r <= n && memcmp(copy + r - 4, "\r\n\r\n", 4) == 0);
        free(copy);
        return r > 0 ? OK : r == 0 ? CUT : h.code;
}

/* What is cut is never taken, and refused only as the whole is. */
START_TEST(heads)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                size_t n = rows[i].n ? rows[i].n : strlen(rows[i].text);
                int got = parse(rows[i].text, n);

                ck_assert_msg(got == rows[i].code, "row %zu, %s: %d", i, rows[i].text, got);
                for (size_t at = 0; at < n; at++) {
                        int cut = parse(rows[i].text, at);

                        ck_assert_msg(cut == CUT || cut == got, "row %zu at %zu: %d", i, at, cut);
                }
        }
}
END_TEST

static struct epp_httphead h;

static void
read_sound(const char *text)
{
        ck_assert_int_gt(epp_httphead_parse(epp_slice_str(text), &h), 0);
}

#define IS(slice, text) ck_assert_msg(epp_slice_eq(slice, epp_slice_str(text)), SLICE_FMT, SLICE_ARG(slice))

START_TEST(parts)
{
        read_sound("GET /a/b?x=1?y HTTP/1.1\r\nHOST:  h:1 \r\naccept:a/b\r\nAuthorization:\tBearer x y\t\r\n\r\n");
        IS(h.path, "/a/b");
        IS(h.query, "x=1?y");
        IS(h.host, "h:1");
        IS(h.accept, "a/b");
        IS(h.authorization, "Bearer x y");
        ck_assert(!h.head && !h.http10);
        read_sound("HEAD /? HTTP/1.0\r\n\r\n");
        IS(h.path, "/");
        IS(h.query, "");
        IS(h.accept, "");
        ck_assert(h.head && h.http10 && !h.host.p && !h.authorization.p);
}
END_TEST

START_TEST(accept_is_joined)
{
        char text[4096];

        read_sound(GET "Accept: a/b;q=1\r\nX: y\r\nAccept:\r\nACCEPT: c/d \r\n\r\n");
        IS(h.accept, "a/b;q=1,,c/d");
        /* the third does not fit, the fourth does */
        snprintf(text, sizeof(text), GET "Accept: a/b\r\nAccept: %01000d\r\nAccept: %0100d\r\nAccept: e/f\r\n\r\n", 1, 2);
        read_sound(text);
        ck_assert_uint_eq(h.accept.n, 3 + 1 + 1000 + 1 + 3);
        IS(epp_slice(h.accept.p + 1004, 4), ",e/f");
        /* a single one is not bounded by that */
        snprintf(text, sizeof(text), GET "Accept: %02000d\r\nAccept: x\r\n\r\n", 3);
        read_sound(text);
        ck_assert_uint_eq(h.accept.n, 2000);
}
END_TEST

/* Lengths around the limits: of the first line, and of the head. */
START_TEST(sizes)
{
        static char text[2 * EPP_HTTPHEAD_MAX];
        const size_t fixed = strlen("GET /") + strlen(" HTTP/1.1");
        int n;

        for (int over = -1; over <= 1; over++) {
                n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n\r\n",
                        (int)(EPP_HTTPHEAD_LINE - fixed) + over, 1);
                ck_assert_int_eq(parse(text, (size_t)n), over > 0 ? 414 : OK);
                n = snprintf(text, sizeof(text), GET "X: %0*d\r\n\r\n",
                        EPP_HTTPHEAD_MAX - (int)strlen(GET "X: \r\n\r\n") + over, 1);
                ck_assert_int_eq(parse(text, (size_t)n), over > 0 ? 431 : OK);
        }
        memset(text, 'x', sizeof(text));
        ck_assert_int_eq(parse(text, EPP_HTTPHEAD_LINE + 1), CUT);
        ck_assert_int_eq(parse(text, EPP_HTTPHEAD_LINE + 2), 414);
        memcpy(text, GET, strlen(GET));
        ck_assert_int_eq(parse(text, EPP_HTTPHEAD_MAX - 1), CUT);
        ck_assert_int_eq(parse(text, EPP_HTTPHEAD_MAX), 431);
}
END_TEST

START_TEST(params)
{
        static const struct {
                const char *query, *value; /* of "q"; NULL: not there */
        } of[] = { { "q=a", "a" }, { "", NULL }, { "q", "" }, { "q=", "" }, { "qq=a&q=b", "b" }, { "q=a&q=b", "a" },
                { "x=q=1&q=2", "2" }, { "q=a=b", "a=b" }, { "q=a+b%20c", "a b c" }, { "%71=a", "a" }, { "Q=a", NULL },
                { "&&q=a&", "a" }, { "=a", NULL }, { "q=%41%6a%6A", "Ajj" }, { "q=%", "%" }, { "q=%4", "%4" },
                { "q=%4g", "%4g" }, { "q=%%41", "%A" }, { "q=%00x", "%00x" }, { "q=%2500", "%00" }, { "q=%2b", "+" },
                { "q=%26&q=b", "&" }, { "q=%c3%a4", "\xc3\xa4" }, { "q%", NULL }, { "q%3d=a", NULL },
                { "q=0123456789abcdef", "0123456789abcde" }, { "q=%30123456789abcd%65f", "0123456789abcde" } };
        char out[16];

        for (size_t i = 0; i < ARRAY_LEN(of); i++) {
                size_t n = strlen(of[i].query);
                char *copy = malloc(n + !n);
                bool found;

                memcpy(copy, of[i].query, n);
                memset(out, 'z', sizeof(out));
                found = epp_httphead_param(epp_slice(copy, n), "q", out, sizeof(out));
                ck_assert_msg(found == (of[i].value != NULL), "%s", of[i].query);
                ck_assert_str_eq(out, found ? of[i].value : "");
                free(copy);
        }
}
END_TEST

UNIT_MAIN("httphead", heads, parts, accept_is_joined, sizes, params)
