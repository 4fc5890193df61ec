/* test_buf.c - the byte queue: order, cap, errors that change nothing, and how often it copies. */
#include "base/buf.h"
#include "unit.h"

START_TEST(queue)
{
        struct epp_buf b = { .cap = 600 };
        char *at;

        for (int i = 0; i < 1000; i++) {
                ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("abcdefg")), 0);
                ck_assert(epp_slice_has_prefix(epp_buf_slice(&b), EPP_SLICE("abcdefg")));
                if (i % 3 == 2)
                        epp_buf_drain(&b, 21);
        }
        ck_assert_uint_eq(epp_buf_len(&b), 7);
        ck_assert_int_eq(epp_buf_reserve(&b, 594, &at), EPP_ETOOBIG);
        ck_assert_int_eq(epp_buf_reserve(&b, SIZE_MAX, &at), EPP_ETOOBIG);
        ck_assert(epp_slice_eq(epp_buf_slice(&b), EPP_SLICE("abcdefg")));
        ck_assert_int_eq(epp_buf_reserve(&b, 593, &at), 0);
        epp_buf_drain(&b, 100);
        ck_assert_uint_eq(epp_buf_len(&b), 0);
        epp_buf_fini(&b);
        ck_assert_uint_eq(b.cap, 600);
}
END_TEST

/* Nearly full, a little out and a little in: the whole must not be copied for every few bytes. */
START_TEST(nearly_full)
{
        struct epp_buf b = { 0 };
        unsigned copies = 0;
        char *at, *was;

        ck_assert_int_eq(epp_buf_reserve(&b, 1 << 20, &at), 0);
        epp_buf_commit(&b, (1 << 20) - 400);
        for (int i = 0; i < 20000; i++) {
                was = b.p + b.head;
                epp_buf_drain(&b, 300);
                ck_assert_int_eq(epp_buf_reserve(&b, 300, &at), 0);
                copies += b.p + b.head != was + 300;
                epp_buf_commit(&b, 300);
        }
        ck_assert_uint_lt(copies, 20);
        ck_assert_uint_le(b.size, 2 << 20);
        epp_buf_fini(&b);
}
END_TEST

UNIT_MAIN("buf", queue, nearly_full)
