/* test_review.c - what an API server is asked about tokens, when, and who may read what for how long; virtual time. */
#include "serve/review.h"
#include "unit.h"

#define SECOND ((epp_us)1000000)
#define MANY 300

static struct epp_reviews *r;
static epp_us now;
static char lines[4096]; /* of the log */
static struct {
        int heard; /* verdicts of this question */
        struct epp_review_verdict v;
} of[MANY]; /* a question's number is its <who>, and one more, as 0 is nobody */

static void
on_verdict(void *who, const struct epp_review_verdict *v)
{
        size_t i = (size_t)(uintptr_t)who - 1;

        of[i].heard++;
        of[i].v = *v;
}

static void
on_line(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        size_t n = strlen(lines);

        (void)ctx, (void)level;
        snprintf(lines + n, sizeof(lines) - n, SLICE_FMT, SLICE_ARG(line));
}

static epp_wall
on_wall(void *ctx)
{
        (void)ctx;
        return 0;
}

static const struct epp_log sink = { .level = EPP_LOG_DEBUG, .sink = on_line, .wall = on_wall };

static void
setup(void)
{
        struct epp_review_config cfg = { .seed = 7, .log = &sink, .verdict = on_verdict };

        ck_assert_int_eq(epp_reviews_new(&cfg, &r), 0);
        now = 1000 * SECOND;
        memset(of, 0, sizeof(of));
        lines[0] = 0;
}

static void
teardown(void)
{
        ck_assert_ptr_null(strstr(lines, "secret")); /* every token begins with it */
        epp_reviews_free(r);
}

/* Question <i>: returns its code, 0 when it waits. */
static int
ask(size_t i, const char *token, const char *path)
{
        struct epp_question q = { .token = epp_slice_str(token), .path = epp_slice_str(path), .verb = "get" };
        int done;

        snprintf((char *)q.id, sizeof(q.id), "%s", token + strlen("secret"));
        of[i].heard = 0;
        done = epp_reviews_ask(r, &q, now, (void *)(i + 1), &of[i].v);
        return done ? of[i].v.code : 0;
}

static struct epp_review_wish w;

/* What slot <i> wishes: "" nothing, else the document. */
static const char *
wish(size_t i)
{
        static char text[20000];

        (void)epp_reviews_wish(r, i, now, &w);
        snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(w.body));
        return w.request ? text : "";
}

static void
answer(int http, const char *body)
{
        epp_reviews_answer(r, w.request, http, -1, epp_slice_str(body), now);
}

#define TOKEN_OF(t) "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{\"token\":\"" t "\"}}"
#define ALICE "{\"status\":{\"authenticated\":true,\"user\":{\"username\":\"alice\",\"uid\":\"u1\",\"groups\":[\"g\"]," \
        "\"extra\":{\"k\":[\"v\"]}}}}"
#define BOB "{\"status\":{\"authenticated\":true,\"user\":{\"username\":\"bob\",\"groups\":[\"system:authenticated\"]}}}"
#define NOBODY "{\"status\":{\"error\":\"[invalid bearer token]\"}}"
#define MAY "{\"status\":{\"allowed\":true}}"
#define MAY_NOT "{\"status\":{\"allowed\":false,\"reason\":\"no\"}}"

static void
check_heard(size_t i, int code, enum epp_review_result result, const char *text)
{
        ck_assert_int_eq(of[i].heard, 1);
        ck_assert_int_eq(of[i].v.code, code);
        ck_assert_int_eq(of[i].v.result, result);
        ck_assert_str_eq(of[i].v.text, text);
}

static void
let_in(const char *token, const char *user)
{
        ck_assert_int_eq(ask(0, token, "/metrics"), 0);
        ck_assert_str_ne(wish(0), "");
        answer(201, user);
        if (*wish(0))
                answer(201, MAY);
        check_heard(0, 200, EPP_REVIEW_OK, "");
}

START_TEST(documents)
{
        ck_assert_int_eq(ask(0, "secret-a\"\\", "/metrics"), 0);
        ck_assert_str_eq(wish(0), TOKEN_OF("secret-a\\\"\\\\"));
        ck_assert_str_eq(w.path, "/apis/authentication.k8s.io/v1/tokenreviews");
        ck_assert_uint_eq(w.timeout_ms, 10000);
        answer(201, ALICE);
        ck_assert_int_eq(of[0].heard, 0);
        ck_assert_str_eq(wish(0),
                "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\",\"spec\":{"
                "\"extra\":{\"k\":[\"v\"]},\"groups\":[\"g\",\"system:authenticated\"],"
                "\"nonResourceAttributes\":{\"path\":\"/metrics\",\"verb\":\"get\"},\"uid\":\"u1\",\"user\":\"alice\"}}");
        ck_assert_str_eq(w.path, "/apis/authorization.k8s.io/v1/subjectaccessreviews");
        answer(201, MAY);
        check_heard(0, 200, EPP_REVIEW_OK, "");
        ck_assert_str_eq(wish(0), "");
        /* what is not there is not sent, and a group not twice */
        ck_assert_int_eq(ask(1, "secret-b", "/"), 0);
        wish(0);
        answer(200, BOB);
        ck_assert_str_eq(wish(0),
                "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\",\"spec\":{"
                "\"groups\":[\"system:authenticated\"],"
                "\"nonResourceAttributes\":{\"path\":\"/\",\"verb\":\"get\"},\"user\":\"bob\"}}");
}
END_TEST

/* Answers to the first review, and to the second after a good first one. */
START_TEST(verdicts)
{
        static const struct {
                const char *token, *access;
                int code;
                enum epp_review_result result;
                const char *text;
        } rows[] = {
                { ALICE, MAY, 200, EPP_REVIEW_OK, "" },
                { ALICE, MAY_NOT, 403, EPP_REVIEW_DENIED, "Authorization denied for user alice\n" },
                { ALICE, "{\"status\":{\"allowed\":true,\"denied\":true}}", 403, EPP_REVIEW_DENIED,
                        "Authorization denied for user alice\n" },
                { ALICE, "{\"status\":{\"allowed\":\"true\"}}", 403, EPP_REVIEW_DENIED,
                        "Authorization denied for user alice\n" },
                { ALICE, "{\"status\":{}}", 403, EPP_REVIEW_DENIED, "Authorization denied for user alice\n" },
                { ALICE, "{}", 500, EPP_REVIEW_ERROR, "Authorization for user alice failed\n" },
                { ALICE, "{\"status\":", 500, EPP_REVIEW_ERROR, "Authorization for user alice failed\n" },
                { NOBODY, NULL, 401, EPP_REVIEW_UNAUTHORIZED, "Unauthorized\n" },
                { "{\"status\":{}}", NULL, 401, EPP_REVIEW_UNAUTHORIZED, "Unauthorized\n" },
                { "{\"status\":{\"authenticated\":false,\"user\":{\"username\":\"x\"}}}", NULL, 401,
                        EPP_REVIEW_UNAUTHORIZED, "Unauthorized\n" },
                { "{\"status\":{\"authenticated\":true}}", NULL, 401, EPP_REVIEW_UNAUTHORIZED, "Unauthorized\n" },
                { "{\"status\":{\"authenticated\":true,\"user\":{\"username\":\"\"}}}", NULL, 401,
                        EPP_REVIEW_UNAUTHORIZED, "Unauthorized\n" },
                { "{\"status\":{\"authenticated\":true,\"user\":{\"username\":7}}}", NULL, 401,
                        EPP_REVIEW_UNAUTHORIZED, "Unauthorized\n" },
                { "[]", NULL, 500, EPP_REVIEW_ERROR, "Authentication failed\n" },
                { "{\"status\":[]}", NULL, 500, EPP_REVIEW_ERROR, "Authentication failed\n" },
                { "", NULL, 500, EPP_REVIEW_ERROR, "Authentication failed\n" },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                teardown();
                setup();
                ck_assert_int_eq(ask(0, "secret", "/metrics"), 0);
                wish(0);
                answer(201, rows[i].token);
                ck_assert_int_eq(*wish(0) != 0, rows[i].access != NULL);
                if (rows[i].access)
                        answer(201, rows[i].access);
                check_heard(0, rows[i].code, rows[i].result, rows[i].text);
                ck_assert_str_eq(wish(0), "");
        }
}
END_TEST

/* An answer of 65 KB is none. */
START_TEST(too_large)
{
        char *body = malloc(70000);
        int n = snprintf(body, 70000, "{\"pad\":\"%0*d\",", EPP_REVIEW_BODY_MAX, 1);

        snprintf(body + n, 70000 - (size_t)n, "%s", ALICE + 1);
        ask(0, "secret", "/metrics");
        wish(0);
        answer(201, body);
        check_heard(0, 500, EPP_REVIEW_ERROR, "Authentication failed\n");
        free(body);
}
END_TEST

START_TEST(memory)
{
        let_in("secret-a", ALICE);
        ck_assert_int_eq(ask(1, "secret-a", "/metrics"), 200);
        ck_assert_int_eq(of[1].v.result, EPP_REVIEW_CACHED);
        now += 60 * SECOND - 1;
        ck_assert_int_eq(ask(1, "secret-a", "/metrics"), 200);
        /* another path is another question about the same user */
        ck_assert_int_eq(ask(1, "secret-a", "/debug/pool"), 0);
        ck_assert_ptr_nonnull(strstr(wish(0), "\"/debug/pool\""));
        answer(201, MAY_NOT);
        check_heard(1, 403, EPP_REVIEW_DENIED, "Authorization denied for user alice\n");
        ck_assert_int_eq(ask(1, "secret-a", "/debug/pool"), 403);
        /* the minute is over: whose token it is is asked again, what they may is still known */
        now += 1;
        ck_assert_int_eq(ask(1, "secret-a", "/metrics"), 0);
        ck_assert_str_eq(wish(0), TOKEN_OF("secret-a"));
        answer(201, ALICE);
        check_heard(1, 200, EPP_REVIEW_OK, "");
        ck_assert_str_eq(wish(0), "");
        /* a refusal lasts 30 s */
        now += 30 * SECOND - 2;
        ck_assert_int_eq(ask(1, "secret-a", "/debug/pool"), 403);
        now += 1;
        ck_assert_int_eq(ask(1, "secret-a", "/debug/pool"), 0);
        wish(0);
        answer(201, MAY);
        check_heard(1, 200, EPP_REVIEW_OK, "");
        /* the grant of the beginning 5 min, in which the same user's other token needs no more */
        now = 1000 * SECOND + 300 * SECOND - 1;
        let_in("secret-b", ALICE);
        ck_assert_str_eq(wish(0), "");
        now += 1;
        ck_assert_int_eq(ask(1, "secret-b", "/metrics"), 0);
        ck_assert_ptr_nonnull(strstr(wish(0), "SubjectAccessReview"));
}
END_TEST

START_TEST(strangers_are_remembered)
{
        ask(0, "secret-x", "/metrics");
        wish(0);
        answer(201, NOBODY);
        now += 60 * SECOND - 1;
        ck_assert_int_eq(ask(0, "secret-x", "/metrics"), 401);
        ck_assert_int_eq(of[0].v.result, EPP_REVIEW_UNAUTHORIZED);
        now += 1;
        ck_assert_int_eq(ask(0, "secret-x", "/metrics"), 0);
        ck_assert_str_ne(wish(0), "");
}
END_TEST

START_TEST(one_review_for_many)
{
        for (size_t i = 0; i < 20; i++)
                ck_assert_int_eq(ask(i, "secret-a", i % 2 ? "/metrics" : "/"), 0);
        ck_assert_str_ne(wish(0), "");
        for (size_t i = 1; i < EPP_REVIEW_SLOTS; i++)
                ck_assert_str_eq(wish(i), "");
        wish(0);
        answer(201, ALICE);
        /* one question for each path */
        ck_assert_ptr_nonnull(strstr(wish(0), "\"/\""));
        ck_assert_ptr_nonnull(strstr(wish(1), "\"/metrics\""));
        ck_assert_str_eq(wish(2), "");
        wish(1);
        answer(201, MAY);
        for (size_t i = 0; i < 20; i++)
                ck_assert_int_eq(of[i].heard, i % 2);
        wish(0);
        answer(201, MAY_NOT);
        for (size_t i = 0; i < 20; i++)
                check_heard(i, i % 2 ? 200 : 403, i % 2 ? EPP_REVIEW_OK : EPP_REVIEW_DENIED,
                        i % 2 ? "" : "Authorization denied for user alice\n");
}
END_TEST

/* No answer, and answers that may be other ones later. */
START_TEST(tries)
{
        static const int passing[] = { 0, 401, 429, 500, 503, 504 }, final[] = { 400, 403, 404, 422 };

        for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
                epp_us begun = now, gap = 0, last = now;
                int sent = 0;

                ck_assert_int_eq(ask(0, "secret-a", "/metrics"), 0);
                for (; !of[0].heard; now += 1000) {
                        epp_reviews_tick(r, now);
                        if (!*wish(0))
                                continue;
                        if (sent++) {
                                ck_assert_int_ge(now - last, gap);
                                gap = (now - last) * 5 / 4; /* they grow by half, less jitter */
                        } else {
                                gap = SECOND / 2;
                        }
                        last = now;
                        answer(passing[i], "");
                }
                ck_assert_int_eq(sent, 5);
                ck_assert_int_lt(now - begun, 6 * SECOND);
                check_heard(0, 500, EPP_REVIEW_ERROR, "Authentication failed\n");
        }
        for (size_t i = 0; i < ARRAY_LEN(final); i++) {
                ck_assert_int_eq(ask(0, "secret-a", "/metrics"), 0); /* errors are not remembered */
                wish(0);
                answer(final[i], "{}");
                check_heard(0, 500, EPP_REVIEW_ERROR, "Authentication failed\n");
                ck_assert_str_eq(wish(0), "");
        }
        /* the second try succeeds */
        ck_assert_int_eq(ask(0, "secret-a", "/metrics"), 0);
        wish(0);
        answer(500, "");
        ck_assert_str_eq(wish(0), "");
        now += SECOND;
        ck_assert_str_eq(wish(0), TOKEN_OF("secret-a"));
        ck_assert_uint_eq(w.timeout_ms, 9000);
        answer(201, ALICE);
        wish(0);
        answer(201, MAY);
        check_heard(0, 200, EPP_REVIEW_OK, "");
}
END_TEST

START_TEST(retry_after)
{
        ask(0, "secret-a", "/metrics");
        wish(0);
        epp_reviews_answer(r, w.request, 429, 7, EPP_SLICE(""), now);
        now += 7 * SECOND - 1;
        ck_assert_str_eq(wish(0), "");
        now += 1;
        ck_assert_str_ne(wish(0), "");
        /* longer than there is time */
        epp_reviews_answer(r, w.request, 429, 3, EPP_SLICE(""), now);
        check_heard(0, 500, EPP_REVIEW_ERROR, "Authentication failed\n");
}
END_TEST

START_TEST(an_answer_that_does_not_come)
{
        ask(0, "secret-a", "/metrics");
        wish(0);
        now += 10 * SECOND - 1;
        epp_reviews_tick(r, now);
        ck_assert_int_eq(of[0].heard, 0);
        now += 1;
        epp_reviews_tick(r, now);
        check_heard(0, 500, EPP_REVIEW_ERROR, "Authentication failed\n");
        answer(201, ALICE); /* late: of nobody's interest */
        ck_assert_str_eq(wish(0), "");
        ck_assert_int_eq(of[0].heard, 1);
        /* the question of access has as long again */
        ask(0, "secret-a", "/metrics");
        wish(0);
        now += 9 * SECOND;
        answer(201, ALICE);
        wish(0);
        now += 10 * SECOND;
        epp_reviews_tick(r, now);
        check_heard(0, 500, EPP_REVIEW_ERROR, "Authorization for user alice failed\n");
}
END_TEST

START_TEST(known_while_the_server_is_away)
{
        let_in("secret-a", ALICE);
        now += 60 * SECOND - 1;
        ck_assert_int_eq(ask(1, "secret-a", "/metrics"), 200);
        now += 1;
        ck_assert_int_eq(ask(1, "secret-a", "/metrics"), 0);
        for (; !of[1].heard; now += 100000)
                if (*wish(0))
                        answer(0, "");
        check_heard(1, 500, EPP_REVIEW_ERROR, "Authentication failed\n");
}
END_TEST

START_TEST(missing_rights_are_named_once)
{
        for (int i = 0; i < 3; i++) {
                ask(0, "secret-a", "/metrics");
                wish(0);
                answer(403, "{}");
        }
        ck_assert_ptr_nonnull(strstr(lines, "warn"));
        ck_assert_ptr_nonnull(strstr(lines, "tokenreviews"));
        ck_assert_ptr_nonnull(strstr(lines, "system:auth-delegator"));
        ck_assert_ptr_eq(strchr(lines, '\n'), lines + strlen(lines) - 1);
        /* it worked in between: said again */
        let_in("secret-a", ALICE);
        ask(0, "secret-b", "/metrics");
        wish(0);
        answer(403, "{}");
        ck_assert_ptr_ne(strchr(lines, '\n'), lines + strlen(lines) - 1);
}
END_TEST

START_TEST(who_leaves)
{
        struct epp_review_wish other;

        ask(0, "secret-a", "/metrics");
        ask(1, "secret-a", "/metrics");
        wish(0);
        epp_reviews_leave(r, (void *)1);
        ck_assert_str_ne(wish(0), "");
        epp_reviews_leave(r, (void *)2);
        (void)epp_reviews_wish(r, 0, now, &other);
        ck_assert_uint_eq(other.request, 0); /* the slot is to drop what it does */
        answer(201, ALICE);
        ck_assert_int_eq(of[0].heard + of[1].heard, 0);
        epp_reviews_leave(r, (void *)3); /* never asked */
}
END_TEST

START_TEST(limits)
{
        char token[32];

        let_in("secret-good", ALICE);
        for (size_t i = 0; i < EPP_REVIEW_WAITERS; i++) {
                snprintf(token, sizeof(token), "secret-%zu", i);
                ck_assert_int_eq(ask(i, token, "/metrics"), 0);
        }
        ck_assert_int_eq(ask(64, "secret-64", "/metrics"), 503);
        ck_assert_int_eq(of[64].v.result, EPP_REVIEW_ERROR);
        ck_assert_int_eq(ask(64, "secret-0", "/metrics"), 503);
        ck_assert_int_eq(ask(64, "secret-good", "/metrics"), 200); /* need not wait */
        ck_assert_int_eq(ask(64, "secret-good", "/other"), 503);
        for (size_t i = 0; i < EPP_REVIEW_SLOTS; i++)
                ck_assert_str_ne(wish(i), "");
        answer(201, NOBODY);
        ck_assert_int_eq(ask(64, "secret-64", "/metrics"), 0);
}
END_TEST

/* Tokens that somebody makes up do not displace those of bearers. */
START_TEST(made_up_tokens)
{
        char token[32];

        let_in("secret-good", ALICE);
        for (size_t i = 0; i < MANY; i++) {
                snprintf(token, sizeof(token), "secret-%zu", i);
                ck_assert_int_eq(ask(1, token, "/metrics"), 0);
                wish(0);
                answer(201, NOBODY);
                ck_assert_int_eq(of[1].v.code, 401);
                now += 1000;
        }
        ck_assert_int_eq(ask(1, "secret-good", "/metrics"), 200);
        ck_assert_int_eq(ask(1, "secret-299", "/metrics"), 401);
        ck_assert_int_eq(ask(1, "secret-0", "/metrics"), 0); /* displaced by later ones */
}
END_TEST

START_TEST(bearers)
{
        static const struct {
                const char *header, *token;
        } rows[] = { { "Bearer abc", "abc" }, { "bEARER abc", "abc" }, { " Bearer abc\t", "abc" }, { "Bearer a b", "a" },
                { "Bearer", "" }, { "Bearer ", "" }, { "Bearer  abc", "" }, { "Basic abc", "" }, { "abc", "" }, { "", "" },
                { "Bearers abc", "" }, { "Bearer a\tb", "" }, { "Bearer \xc3\xa4", "" } };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_slice got = epp_review_bearer(epp_slice_str(rows[i].header));

                ck_assert_msg(epp_slice_eq(got, epp_slice_str(rows[i].token)), "%s: " SLICE_FMT, rows[i].header,
                        SLICE_ARG(got));
        }
}
END_TEST

UNIT_MAIN_WITH("review", setup, teardown, documents, verdicts, too_large, memory, strangers_are_remembered,
        one_review_for_many, tries, retry_after, an_answer_that_does_not_come, known_while_the_server_is_away,
        missing_rights_are_named_once, who_leaves, limits, made_up_tokens, bearers)
