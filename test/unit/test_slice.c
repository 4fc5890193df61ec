/* test_slice.c - slices and the status table. */
#include "unit.h"
#include "base/slice.h"
#include "base/status.h"

START_TEST(cuts)
{
        struct epp_slice s = EPP_SLICE("a,,bc"), h;

        h = epp_slice_cut(&s, ',');
        ck_assert(epp_slice_eq(h, EPP_SLICE("a")));
        h = epp_slice_cut(&s, ',');
        ck_assert_uint_eq(h.n, 0);
        h = epp_slice_cut(&s, ',');
        ck_assert(epp_slice_eq(h, EPP_SLICE("bc")));
        ck_assert_ptr_null(s.p);
}
END_TEST

START_TEST(compares)
{
        ck_assert(epp_slice_ieq(EPP_SLICE("X-Abc_[9"), EPP_SLICE("x-aBC_[9")));
        ck_assert(!epp_slice_ieq(EPP_SLICE("@"), EPP_SLICE("`")));
        ck_assert(epp_slice_eq(epp_slice_trim(EPP_SLICE(" \tx y ")), EPP_SLICE("x y")));
        ck_assert_uint_eq(epp_slice_trim(EPP_SLICE("  ")).n, 0);
        ck_assert(epp_slice_has_prefix(EPP_SLICE("abc"), EPP_SLICE("ab")));
        ck_assert(!epp_slice_has_prefix(EPP_SLICE("a"), EPP_SLICE("ab")));
}
END_TEST

START_TEST(statuses)
{
        ck_assert_str_eq(epp_status_text(EPP_OK), "ok");
        ck_assert_str_eq(epp_status_text(EPP_ETOOBIG), "larger than the limit");
        ck_assert_int_eq(epp_status_http(EPP_ETOOBIG), 413);
        ck_assert_int_eq(epp_status_grpc(EPP_ENOENDPOINT), 14);
        ck_assert_str_eq(epp_status_text(-9999), "unknown error");
        ck_assert_int_eq(epp_status_http(-9999), 500);
        ck_assert_int_eq(epp_status_grpc(-9999), 2);
}
END_TEST

UNIT_MAIN("slice", cuts, compares, statuses)
