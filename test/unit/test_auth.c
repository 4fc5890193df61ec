/* test_auth.c - who needs a token for which page: every mode, with and without an API server, near and far peers. */
#include <event2/event.h>

#include "daemon/auth.h"
#include "unit.h"

#define ASKS 0 /* whose token it is */
#define HEALTH ADMIN_HEALTH
#define METRICS ADMIN_METRICS
#define DEBUG ADMIN_DEBUG

static const struct {
        enum auth_mode mode;
        bool api;
        enum admin_guard guard;
        int near, far; /* what a peer on the loopback address gets, and another */
} rows[] = {
        { AUTH_AUTO, false, HEALTH, 200, 200 },
        { AUTH_AUTO, false, METRICS, 200, 200 },
        { AUTH_AUTO, false, DEBUG, 200, 403 },
        { AUTH_AUTO, true, HEALTH, 200, 200 },
        { AUTH_AUTO, true, METRICS, 200, ASKS },
        { AUTH_AUTO, true, DEBUG, 200, ASKS },
        { AUTH_TRUE, true, HEALTH, 200, 200 },
        { AUTH_TRUE, true, METRICS, ASKS, ASKS },
        { AUTH_TRUE, true, DEBUG, ASKS, ASKS },
        { AUTH_FALSE, false, HEALTH, 200, 200 },
        { AUTH_FALSE, false, METRICS, 200, 200 },
        { AUTH_FALSE, false, DEBUG, 200, 200 },
        { AUTH_FALSE, true, HEALTH, 200, 200 },
        { AUTH_FALSE, true, METRICS, 200, 200 },
        { AUTH_FALSE, true, DEBUG, 200, 200 },
};
static const struct epp_log quiet = { .level = EPP_LOG_ERROR - 1 };

static void
unheard(void *ctx, const struct epp_review_verdict *v)
{
        (void)ctx, (void)v;
        ck_abort();
}

/* What <header> gets; ASKS leaves again before anything is sent. */
static int
ask(struct auth *a, enum admin_guard guard, bool loopback, const char *header, struct epp_review_verdict *v)
{
        struct auth_question q = { .guard = guard, .loopback = loopback, .authorization = epp_slice_str(header),
                .path = EPP_SLICE("/p"), .verb = "get" };
        struct auth_wait w = { .fn = unheard };

        if (auth_ask(a, &q, &w, v))
                return v->code;
        auth_leave(&w);
        return ASKS;
}

START_TEST(guards)
{
        static int nothing; /* no request is ever begun */
        struct event_base *base = event_base_new();
        struct epp_review_verdict v;

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct auth_config cfg = { rows[i].mode, rows[i].api ? (struct api *)(void *)&nothing : NULL, &quiet };
                const struct auth_stats *s;
                struct auth *a;

                ck_assert_int_eq(auth_new(base, &cfg, &a), 0);
                s = auth_stats(a);
                for (int loopback = 0; loopback < 2; loopback++) {
                        int want = loopback ? rows[i].near : rows[i].far;

                        ck_assert_msg(ask(a, rows[i].guard, loopback, "Bearer t", &v) == want, "row %zu, %d", i, loopback);
                        ck_assert_int_eq(ask(a, rows[i].guard, loopback, "Basic t", &v), want ? want : 401);
                        ck_assert_int_eq(*v.text == 0, want == 200);
                }
                ck_assert_uint_eq(s->result[EPP_REVIEW_OK] + s->result[EPP_REVIEW_CACHED], 0);
                ck_assert_uint_eq(s->result[EPP_REVIEW_UNAUTHORIZED], (rows[i].near == ASKS) + (rows[i].far == ASKS));
                ck_assert_uint_eq(s->result[EPP_REVIEW_DENIED], rows[i].far == 403 ? 2 : 0);
                auth_free(a);
        }
        event_base_free(base);
}
END_TEST

UNIT_MAIN("auth", guards)
