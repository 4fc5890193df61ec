/* test_grpc.c - framing gives the same messages however the bytes are cut; limits; quoting. */
#include "unit.h"
#include "wire/grpc.h"

static const char wire[] = "\0\0\0\0\3abc" "\0\0\0\0\0" "\0\0\0\0\5hello" "\0\0\0\0\1z";
static const char *const expect[] = { "abc", "", "hello", "z" };

static size_t
feed(struct epp_grpc_in *g, struct epp_slice in, size_t count)
{
        struct epp_slice m;
        int r;

        while ((r = epp_grpc_in_next(g, &in, &m)) == 1) {
                ck_assert_uint_lt(count, ARRAY_LEN(expect));
                ck_assert(epp_slice_eq(m, epp_slice_str(expect[count])));
                count++;
        }
        ck_assert_int_eq(r, 0);
        return count;
}

START_TEST(cuts)
{
        size_t n = sizeof(wire) - 1;

        for (size_t a = 0; a <= n; a++) {
                for (size_t b = a; b <= n; b++) {
                        struct epp_grpc_in g;
                        size_t got;

                        epp_grpc_in_init(&g, 100);
                        got = feed(&g, epp_slice(wire, a), 0);
                        got = feed(&g, epp_slice(wire + a, b - a), got);
                        got = feed(&g, epp_slice(wire + b, n - b), got);
                        ck_assert_uint_eq(got, ARRAY_LEN(expect));
                        ck_assert(!epp_grpc_in_midway(&g));
                        epp_grpc_in_fini(&g);
                }
        }
}
END_TEST

START_TEST(refusals)
{
        struct epp_grpc_in g;
        struct epp_slice in, m;

        epp_grpc_in_init(&g, 100);
        in = epp_slice("\1\0\0\0\0", 5);
        ck_assert_int_eq(epp_grpc_in_next(&g, &in, &m), EPP_EUNIMPL);
        ck_assert_uint_eq(g.flag, 1);
        epp_grpc_in_init(&g, 100);
        in = epp_slice("\0\xff\xff\xff\xff", 5);
        ck_assert_int_eq(epp_grpc_in_next(&g, &in, &m), EPP_ETOOBIG);
        ck_assert_uint_eq(g.want, 0xffffffffu);
        ck_assert_ptr_null(g.part.p);
        epp_grpc_in_init(&g, 100);
        in = epp_slice("\0\0", 2);
        ck_assert_int_eq(epp_grpc_in_next(&g, &in, &m), 0);
        ck_assert(epp_grpc_in_midway(&g));
        epp_grpc_in_fini(&g);
}
END_TEST

START_TEST(quotes)
{
        char out[16];
        size_t n = epp_grpc_quote(EPP_SLICE("a%\xc3\xbc"), out, sizeof(out));

        ck_assert(epp_slice_eq(epp_slice(out, n), EPP_SLICE("a%25%C3%BC")));
        ck_assert_uint_eq(epp_grpc_quote(EPP_SLICE("\n\n"), out, 5), 3);
}
END_TEST

START_TEST(buffers)
{
        struct epp_buf b = { .cap = 10 };

        ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("0123456789")), 0);
        ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("x")), EPP_ETOOBIG);
        epp_buf_drain(&b, 7);
        ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("abc")), 0);
        ck_assert(epp_slice_eq(epp_buf_slice(&b), EPP_SLICE("789abc")));
        for (int i = 0; i < 100000; i++) {
                ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("wxyz")), 0);
                epp_buf_drain(&b, 4);
        }
        ck_assert_uint_eq(epp_buf_len(&b), 6);
        ck_assert_uint_le(b.size, 1024);
        epp_buf_fini(&b);
}
END_TEST

UNIT_MAIN("grpc", cuts, refusals, quotes, buffers)
