/* test_extproc.c - ProcessingRequest apart, ProcessingResponse together; hostile bytes refused. */
#include "unit.h"
#include "wire/extproc.h"

static struct epp_slice
bytes(const struct epp_buf *b)
{
        return epp_buf_slice(b);
}

/* Wraps the content of <in> as field <no> and appends it to <out>. */
static void
wrap(struct epp_buf *out, unsigned no, struct epp_slice in)
{
        char head[8];
        size_t n = 0;

        head[n++] = (char)(no << 3 | 2);
        for (size_t v = in.n;; v >>= 7) {
                head[n++] = (char)(v >= 0x80 ? v | 0x80 : v);
                if (v < 0x80)
                        break;
        }
        ck_assert_int_eq(epp_buf_append(out, epp_slice(head, n)), 0);
        ck_assert_int_eq(epp_buf_append(out, in), 0);
}

START_TEST(parses)
{
        struct epp_ext_in in;

        ck_assert_int_eq(epp_ext_parse(EPP_SLICE("\x22\x06\x0a\x02hi\x10\x01\x5a\x02\x08\x04"),
                &in), 0);
        ck_assert_int_eq(in.kind, EPP_EXT_REQUEST_BODY);
        ck_assert(epp_slice_eq(in.body, EPP_SLICE("hi")));
        ck_assert(in.end_of_stream && in.has_config);
        ck_assert_uint_eq(in.request_mode, EPP_MODE_DUPLEX);
        ck_assert_uint_eq(in.response_mode, EPP_MODE_NONE);
        ck_assert_int_eq(epp_ext_parse(EPP_SLICE(""), &in), 0);
        ck_assert_int_eq(in.kind, EPP_EXT_NONE);
        /* present but empty is NONE/NONE, a future mode is as absent */
        ck_assert_int_eq(epp_ext_parse(EPP_SLICE("\x5a\x00"), &in), 0);
        ck_assert(in.has_config);
        ck_assert_int_eq(epp_ext_parse(EPP_SLICE("\x5a\x02\x08\x63"), &in), 0);
        ck_assert(!in.has_config);
        /* the last of the oneof wins; unknown fields are skipped */
        ck_assert_int_eq(epp_ext_parse(EPP_SLICE("\x12\x02\x18\x01\xfa\x7f\x01x\x1a\x00"), &in), 0);
        ck_assert_int_eq(in.kind, EPP_EXT_RESPONSE_HEADERS);
        ck_assert(!in.end_of_stream);
        ck_assert_int_eq(epp_ext_parse(EPP_SLICE("\x12\x05\x18"), &in), EPP_EPROTO);
        ck_assert_int_eq(epp_ext_parse(EPP_SLICE("\x07"), &in), EPP_EPROTO);
        ck_assert_int_eq(epp_ext_parse(EPP_SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                &in), EPP_EPROTO);
}
END_TEST

/* One field around <in>; tag and length in as few bytes as can be, or in three. */
static size_t
field(char *out, unsigned no, unsigned type, bool wide, struct epp_slice in)
{
        unsigned v[2] = { no << 3 | type, (unsigned)in.n };
        size_t n = 0;

        for (unsigned i = 0; i < (type == 2 ? 2 : 1); i++) {
                if (wide)
                        out[n++] = (char)(v[i] | 0x80), out[n++] = (char)0x80, v[i] = 0;
                out[n++] = (char)v[i];
        }
        memcpy(out + n, in.p, in.n);
        return n + in.n;
}

/* A field of the message, with one of the headers or body in it. */
static void
check_fields(unsigned no, unsigned type, unsigned inner, unsigned inner_type, bool wide)
{
        bool known = type && no >= 2 && no <= 7, body = known && (no == 4 || no == 5);
        char a[16] = "\x01", b[32];
        struct epp_ext_in in;
        size_t n = 1, all;

        if (type)
                n = field(a, inner, inner_type, wide, EPP_SLICE("\x01"));
        all = field(b, no, type, wide, epp_slice(a, n));
        ck_assert_int_eq(epp_ext_parse(epp_slice(b, all), &in), 0);
        ck_assert_uint_eq(in.kind, known ? no : 0);
        ck_assert_uint_eq(in.payload.n, known ? n : 0);
        ck_assert_uint_eq(in.has_metadata, type && no == 8);
        ck_assert_uint_eq(in.metadata.n, type && no == 8 ? n : 0);
        ck_assert_uint_eq(in.observability, !type && no == 10);
        ck_assert_uint_eq(in.has_config, type && no == 11);
        ck_assert_uint_eq(in.body.n, body && inner_type && inner == 1);
        ck_assert_uint_eq(in.end_of_stream,
                known && !inner_type && (inner == 3 || (inner == 2 && body)));
}

/* Each of them, its tags read the usual and the long way. */
START_TEST(all_fields)
{
        for (unsigned no = 1; no < 16; no++)
                for (unsigned inner = 1; inner < 6; inner++)
                        for (unsigned k = 0; k < 8; k++)
                                check_fields(no, k & 1 ? 2 : 0, inner, k & 2 ? 2 : 0, k & 4);
}
END_TEST

static void
join(void *user, struct epp_slice a)
{
        ck_assert_int_eq(epp_buf_append(user, a), 0);
        ck_assert_int_eq(epp_buf_append(user, EPP_SLICE("|")), 0);
}

static void
join_header(void *user, struct epp_slice a, struct epp_slice b)
{
        join(user, a);
        join(user, b);
}

START_TEST(headers)
{
        struct epp_buf got = { 0 };

        ck_assert_int_eq(epp_ext_headers(EPP_SLICE("\x0a\x12"
                                                   "\x0a\x06\x0a\x01" "a\x12\x01v"
                                                   "\x0a\x08\x0a\x01" "b\x12\x00\x1a\x01w"),
                                 join_header, &got), 0);
        ck_assert(epp_slice_eq(bytes(&got), EPP_SLICE("a|v|b|w|")));
        epp_buf_fini(&got);
}
END_TEST

/* Metadata{1: entry{1: "ns", 2: Struct{1: entry{1: "k", 2: <value>}}}} */
static void
metadata(struct epp_buf *out, struct epp_slice value)
{
        struct epp_buf a = { 0 }, b = { 0 }, c = { 0 };

        wrap(&a, 1, EPP_SLICE("k"));
        wrap(&a, 2, value);
        wrap(&b, 1, bytes(&a));
        wrap(&c, 1, EPP_SLICE("ns"));
        wrap(&c, 2, bytes(&b));
        wrap(out, 1, bytes(&c));
        epp_buf_fini(&a);
        epp_buf_fini(&b);
        epp_buf_fini(&c);
}

START_TEST(hints)
{
        static const struct {
                struct epp_slice value;
                int result;
                const char *got;
        } rows[] = {
                { { "\x1a\x01x", 3 }, 1, "x|" },                                 /* string */
                { { "\x32\x0c\x0a\x03\x1a\x01x\x0a\x05\x1a\x03yyy", 14 }, 1, "x|yyy|" }, /* list */
                { { "\x32\x00", 2 }, 1, "" },                                    /* empty list */
                { { "\x32\x04\x0a\x02\x20\x01", 6 }, 1, "" },                   /* list of a bool */
                { { "\x20\x01", 2 }, 0, "" },                                    /* bool */
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_buf m = { 0 }, got = { 0 };

                metadata(&m, rows[i].value);
                ck_assert_int_eq(epp_ext_metadata(bytes(&m), EPP_SLICE("ns"), EPP_SLICE("k"), join,
                        &got), rows[i].result);
                ck_assert(epp_slice_eq(bytes(&got), epp_slice_str(rows[i].got)));
                ck_assert_int_eq(epp_ext_metadata(bytes(&m), EPP_SLICE("no"), EPP_SLICE("k"), join,
                        &got), 0);
                epp_buf_fini(&m);
                epp_buf_fini(&got);
        }
}
END_TEST

START_TEST(deep)
{
        struct epp_buf v = { 0 };

        wrap(&v, 3, EPP_SLICE("leaf"));
        for (int i = 0; i < 2000; i++) {
                struct epp_buf list = { 0 }, next = { 0 };

                wrap(&list, 1, bytes(&v));
                wrap(&next, 6, bytes(&list));
                epp_buf_fini(&v);
                epp_buf_fini(&list);
                v = next;
        }
        struct epp_buf m = { 0 };
        metadata(&m, bytes(&v));
        ck_assert_int_eq(epp_ext_metadata(bytes(&m), EPP_SLICE("ns"), EPP_SLICE("k"), join, NULL),
                EPP_EDEEP);
        epp_buf_fini(&m);
        epp_buf_fini(&v);
}
END_TEST

/* First bytes of messages: only what a gateway writes is taken apart, and nothing that lies about
 * its length. */
START_TEST(long_bodies)
{
        static const struct {
                const char *first; /* EPP_GRPC_SHOWN bytes */
                size_t size, n, in_first; /* n: bytes passed later; 0 with none in first: refused */
                char rest;
        } rows[] = {
                /* 100,000 bytes of body, nothing behind, 2 bytes behind, metadata behind */
                { "\x22\xa4\x8d\x06\x0a\xa0\x8d\x06xxxxxxxx", 100008, 99992, 8, 0 },
                { "\x22\xa6\x8d\x06\x0a\xa0\x8d\x06xxxxxxxx", 100010, 99992, 8, 2 },
                { "\x22\xa6\x8d\x06\x0a\xa0\x8d\x06xxxxxxxx", 100099, 99992, 8, 2 },
                /* a length of five bytes */
                { "\x22\xa8\x8d\x86\x80\x00\x0a\xa0\x8d\x86\x80\x00xxxx", 100014, 99996, 4, 2 },
                /* longer than the message, than the payload; 200 bytes behind it */
                { "\x22\xa6\x8d\x06\x0a\xa0\x8d\x06xxxxxxxx", 100009, 0, 0, 0 },
                { "\x22\xa3\x8d\x06\x0a\xa0\x8d\x06xxxxxxxx", 100099, 0, 0, 0 },
                { "\x22\xec\x8e\x06\x0a\xa0\x8d\x06xxxxxxxx", 100208, 0, 0, 0 },
                /* a short body in a long message; the end first; a response body; headers */
                { "\x22\x07\x0a\x03xxx\x10\x01xxxxxxxx", 100000, 0, 0, 0 },
                { "\x22\xa6\x8d\x06\x10\x01\x0a\xa0\x8d\x06xxxxxx", 100010, 0, 0, 0 },
                { "\x2a\xa4\x8d\x06\x0a\xa0\x8d\x06xxxxxxxx", 100008, 0, 0, 0 },
                { "\x12\xa4\x8d\x06\x0a\xa0\x8d\x06xxxxxxxx", 100008, 0, 0, 0 },
                /* lengths without an end, or beyond all bounds, or shorter than the head within */
                { "\x22\x05\x0a\xfa\xff\xff\xff\xff\xff\xff\xff\xff\x01xxx", 70000, 0, 0, 0 },
                { "\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 100008, 0, 0, 0 },
                { "\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x0a\xa0\x8d\x06x", 100008, 0, 0, 0 },
                { "\x22\xa4\x8d\x06\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 100008, 0, 0, 0 },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_slice first = epp_slice(rows[i].first, EPP_GRPC_SHOWN), body;
                struct epp_grpc_pass pass;
                bool is = epp_ext_long_body(first, rows[i].size, &body, &pass);
                struct epp_ext_in in;
                char left[4] = { 0, 0, 0x10, 1 };

                ck_assert_msg(is == (rows[i].in_first > 0), "row %zu", i);
                if (!is)
                        continue;
                ck_assert_uint_eq(pass.n, rows[i].n);
                ck_assert_uint_eq(body.n, rows[i].in_first);
                ck_assert_ptr_eq(body.p + body.n, first.p + first.n);
                ck_assert_uint_eq(pass.head_n, 2);
                ck_assert_int_eq(pass.head[1], rows[i].rest);
                memcpy(left, pass.head, 2);
                ck_assert_int_eq(epp_ext_parse(epp_slice(left, 2 + (size_t)rows[i].rest), &in), 0);
                ck_assert_int_eq(in.kind, EPP_EXT_REQUEST_BODY);
                ck_assert_uint_eq(in.body.n, 0);
                ck_assert_int_eq(in.end_of_stream, rows[i].rest == 2);
        }
}
END_TEST

UNIT_MAIN("extproc", long_bodies, parses, all_fields, headers, hints, deep)
