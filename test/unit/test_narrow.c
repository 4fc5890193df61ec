/* test_narrow.c - whole pages or a query: every state with every answer, and the ways between. */
#include "serve/narrow.h"
#include "unit.h"

#define HAD 7u /* families of the whole page */
#define WHOLE 1000

static struct epp_narrow
in_state(enum epp_narrow_state state)
{
        struct epp_narrow n = { 0 };
        bool used = true;

        if (state >= EPP_NARROW_TRIAL)
                used &= epp_narrow_judge(&n, EPP_CAME_PAGE, HAD, WHOLE);
        if (state == EPP_NARROW_ON)
                used &= epp_narrow_judge(&n, EPP_CAME_PAGE, HAD, WHOLE / 10);
        ck_assert(used);
        if (state == EPP_NARROW_NEVER)
                ck_assert(!epp_narrow_judge(&n, EPP_CAME_ERROR, 0, 0));
        ck_assert_uint_eq(n.state, state);
        ck_assert_int_eq(epp_narrow_asks(&n), state == EPP_NARROW_TRIAL || state == EPP_NARROW_ON);
        return n;
}

#define S(x) EPP_NARROW_##x
#define C(x) EPP_CAME_##x

START_TEST(matrix)
{
        static const struct {
                enum epp_narrow_state before;
                enum epp_came came;
                uint32_t found;
                uint64_t bytes;
                bool used;
                enum epp_narrow_state after;
        } rows[] = {
                { S(WHOLE), C(PAGE), HAD, WHOLE, true, S(TRIAL) },
                { S(WHOLE), C(PAGE), 1, WHOLE, true, S(TRIAL) },
                { S(WHOLE), C(PAGE), 0, WHOLE, true, S(WHOLE) }, /* of something else */
                { S(WHOLE), C(ERROR), 0, 0, true, S(WHOLE) },
                { S(WHOLE), C(CUT), HAD, WHOLE, true, S(WHOLE) },
                { S(WHOLE), C(LATE), 0, 0, true, S(WHOLE) },
                { S(WHOLE), C(NOTHING), 0, 0, true, S(WHOLE) },
                { S(TRIAL), C(PAGE), HAD, 499, true, S(ON) },
                { S(TRIAL), C(PAGE), HAD | 8, 499, true, S(ON) },
                { S(TRIAL), C(PAGE), HAD, 500, false, S(NEVER) }, /* hardly smaller */
                { S(TRIAL), C(PAGE), HAD, WHOLE, false, S(NEVER) },
                { S(TRIAL), C(PAGE), HAD & ~1u, 499, false, S(NEVER) },
                { S(TRIAL), C(PAGE), 0, 0, false, S(NEVER) },
                { S(TRIAL), C(ERROR), 0, 0, false, S(NEVER) },
                { S(TRIAL), C(CUT), HAD, 400, false, S(NEVER) },
                { S(TRIAL), C(LATE), 0, 0, false, S(NEVER) },
                { S(TRIAL), C(NOTHING), 0, 0, false, S(NEVER) },
                { S(ON), C(PAGE), HAD, WHOLE, true, S(ON) }, /* it grew; still what was asked for */
                { S(ON), C(PAGE), HAD & ~4u, 100, false, S(NEVER) },
                { S(ON), C(PAGE), 0, 0, false, S(NEVER) },
                { S(ON), C(ERROR), 0, 0, false, S(NEVER) },
                { S(ON), C(CUT), HAD, 50, false, S(NEVER) },
                { S(ON), C(LATE), 0, 0, true, S(ON) },
                { S(ON), C(NOTHING), 0, 0, true, S(WHOLE) },
                { S(NEVER), C(PAGE), HAD, WHOLE, true, S(NEVER) },
                { S(NEVER), C(PAGE), 0, 0, true, S(NEVER) },
                { S(NEVER), C(ERROR), 0, 0, true, S(NEVER) },
                { S(NEVER), C(CUT), 0, 0, true, S(NEVER) },
                { S(NEVER), C(LATE), 0, 0, true, S(NEVER) },
                { S(NEVER), C(NOTHING), 0, 0, true, S(WHOLE) },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_narrow n = in_state(rows[i].before);
                bool used = epp_narrow_judge(&n, rows[i].came, rows[i].found, rows[i].bytes);

                ck_assert_msg(used == rows[i].used && n.state == rows[i].after,
                        "row %zu: used %d, then %d", i, used, n.state);
        }
}
END_TEST

/* A family that came later is missed as well when it goes; a new process starts with none. */
START_TEST(remembers)
{
        struct epp_narrow n = in_state(S(ON)), on;

        ck_assert(epp_narrow_judge(&n, C(PAGE), HAD | 8, 100));
        on = n;
        ck_assert(!epp_narrow_judge(&n, C(PAGE), HAD, 100));
        n = on;
        ck_assert(epp_narrow_judge(&n, C(NOTHING), 0, 0));
        ck_assert(epp_narrow_judge(&n, C(PAGE), 1, WHOLE));
        ck_assert(epp_narrow_judge(&n, C(PAGE), 1, 100));
        ck_assert_uint_eq(n.state, S(ON));
}
END_TEST

/* Trials that a connection breaks at, or nothing ends, are bounded; those with an answer are not. */
START_TEST(gives_up)
{
        static const enum epp_came ways[] = { C(CUT), C(LATE), C(NOTHING), C(ERROR) };

        for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
                struct epp_narrow n = { 0 };
                int trials = 0;

                for (int i = 0; i < 10; i++) {
                        ck_assert(epp_narrow_judge(&n, C(NOTHING), 0, 0));
                        ck_assert(epp_narrow_judge(&n, C(PAGE), HAD, WHOLE));
                        if (!epp_narrow_asks(&n))
                                continue;
                        ck_assert(!epp_narrow_judge(&n, ways[w], 0, 0));
                        trials++;
                }
                ck_assert_int_eq(trials, ways[w] == C(ERROR) ? 10 : EPP_NARROW_BREAKS);
        }
}
END_TEST

START_TEST(off)
{
        struct epp_narrow n;

        epp_narrow_off(&n);
        for (int i = 0; i < 5; i++) {
                ck_assert(epp_narrow_judge(&n, C(PAGE), HAD, WHOLE));
                ck_assert(epp_narrow_judge(&n, C(NOTHING), 0, 0));
                ck_assert(!epp_narrow_asks(&n));
        }
}
END_TEST

UNIT_MAIN("narrow", matrix, remembers, gives_up, off)
