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

        while ((r = epp_grpc_in_next(g, &in, &m)) == EPP_GRPC_MESSAGE) {
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

/* A long message, cut anywhere: what is passed and what remains, or all of it when nobody asks. */
static void
long_one(size_t step, bool wanted, size_t n_pass)
{
        static char msg[EPP_GRPC_PREFIX + 2 * EPP_GRPC_LONG];
        size_t size = sizeof(msg) - EPP_GRPC_PREFIX, passed = 0, begun = 0, messages = 0;
        struct epp_grpc_pass pass = { .head = "<>", .head_n = 2, .n = n_pass };
        const char *body = msg + EPP_GRPC_PREFIX;
        struct epp_slice in, got;
        struct epp_grpc_in g;
        int r;

        for (size_t i = 0; i < size; i++)
                msg[EPP_GRPC_PREFIX + i] = (char)(i % 251);
        epp_grpc_prefix(msg, size);
        epp_grpc_in_init(&g, 1 << 20);
        g.announces = true;
        for (size_t at = 0; at < sizeof(msg); at += step) {
                in = epp_slice(msg + at, EPP_MIN(step, sizeof(msg) - at));
                while ((r = epp_grpc_in_next(&g, &in, &got)) > 0) {
                        if (r == EPP_GRPC_BEGINS) {
                                ck_assert_uint_eq(begun++, 0);
                                ck_assert_uint_eq(g.want, size);
                                ck_assert_uint_eq(got.n, EPP_GRPC_SHOWN);
                                ck_assert_mem_eq(got.p, body, got.n);
                                if (wanted)
                                        epp_grpc_in_pass(&g, &pass);
                        } else if (r == EPP_GRPC_PASSES) {
                                ck_assert_mem_eq(got.p, body + EPP_GRPC_SHOWN + passed, got.n);
                                passed += got.n;
                        } else {
                                size_t rest = size - EPP_GRPC_SHOWN - n_pass;

                                messages++;
                                ck_assert_uint_eq(got.n, wanted ? rest + 2 : size);
                                ck_assert_mem_eq(got.p, wanted ? "<>" : body, 2);
                                ck_assert_mem_eq(got.p + got.n - rest, body + size - rest, rest);
                        }
                }
                ck_assert_int_eq(r, EPP_GRPC_MORE);
        }
        ck_assert_uint_eq(messages, 1);
        ck_assert_uint_eq(begun, step < sizeof(msg));
        ck_assert_uint_eq(passed, wanted ? n_pass : 0);
        ck_assert(!epp_grpc_in_midway(&g));
        epp_grpc_in_fini(&g);
}

START_TEST(long_messages)
{
        static const size_t steps[] = { 1, 3, 5, 20, 21, 22, 1000, 16384, EPP_GRPC_LONG };
        size_t most = 2 * EPP_GRPC_LONG - EPP_GRPC_SHOWN;

        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                long_one(steps[i], true, most);
                long_one(steps[i], true, most - 2);
                long_one(steps[i], true, 1);
                long_one(steps[i], false, 0);
        }
        long_one(SIZE_MAX / 2, false, 0);
}
END_TEST

UNIT_MAIN("grpc", long_messages, cuts, refusals, quotes, buffers)
