/* unit.h - the main of every unit suite: UNIT_MAIN("name", test, test, ...). */
#ifndef EPP_TEST_UNIT_H
#define EPP_TEST_UNIT_H

#include <check.h>
#include <stdlib.h>

#define UNIT_MAIN(name, ...) \
        int main(void) \
        { \
                const TTest *tests[] = { __VA_ARGS__ }; \
                return unit_run(name, tests, sizeof(tests) / sizeof(tests[0])); \
        }

static inline int
unit_run(const char *name, const TTest *const *tests, size_t n)
{
        Suite *s = suite_create(name);
        TCase *tc = tcase_create(name);
        SRunner *r = srunner_create(s);
        int failed;

        tcase_set_timeout(tc, 300);
        for (size_t i = 0; i < n; i++)
                tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
        srunner_run_all(r, CK_NORMAL);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
