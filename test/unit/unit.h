/* unit.h - the main of every unit suite: UNIT_MAIN("name", test, test, ...), and with functions
 * that run before and after each test, UNIT_MAIN_WITH("name", setup, teardown, test, ...). */
#ifndef EPP_TEST_UNIT_H
#define EPP_TEST_UNIT_H

#include <check.h>
#include <stdlib.h>

#define UNIT_MAIN(name, ...) UNIT_MAIN_WITH(name, NULL, NULL, __VA_ARGS__)
#define UNIT_MAIN_WITH(name, setup, teardown, ...) \
        int main(void) \
        { \
                const TTest *tests[] = { __VA_ARGS__ }; \
                return unit_run(name, tests, sizeof(tests) / sizeof(tests[0]), setup, teardown); \
        }

static inline int
unit_run(const char *name, const TTest *const *tests, size_t n, SFun setup, SFun teardown)
{
        Suite *s = suite_create(name);
        SRunner *r = srunner_create(s);
        int failed;

        /* A case per test, so that CK_RUN_CASE=name runs just that one. */
        for (size_t i = 0; i < n; i++) {
                TCase *tc = tcase_create(tests[i]->name);

                tcase_set_timeout(tc, 300);
                tcase_add_checked_fixture(tc, setup, teardown);
                tcase_add_test(tc, tests[i]);
                suite_add_tcase(s, tc);
        }
        srunner_run_all(r, CK_NORMAL);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
