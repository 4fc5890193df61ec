/* base.c - what happens when an assertion does not hold. */
#include "base/base.h"

epp_assert_fn epp_assert_handler;

void
epp_assert_fail(const char *expr, const char *file, int line)
{
        if (epp_assert_handler)
                epp_assert_handler(expr, file, line);
        __builtin_trap();
}
