/* auth.c - see auth.h. As watch drives reflectors: after anything that was reported, each slot is
 * brought in line with what serve/review wishes. */
#include "daemon/auth.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "base/buf.h"
#include "daemon/api.h"
#include "daemon/loop.h"
#include "daemon/span.h"

struct slot {
        struct auth *a;
        struct api_call *call;
        uint64_t request; /* that <call> carries out; 0: none */
        int http;
        long retry_after_s;
        struct epp_buf body;
};

struct auth {
        struct event_base *base;
        struct auth_config cfg;
        struct epp_reviews *reviews; /* NULL: nothing is ever reviewed */
        struct slot slots[EPP_REVIEW_SLOTS];
        struct event *wake; /* for the earliest wish, or at once after a report */
        struct auth_stats stats;
        uint8_t key[32];
};

const char *
auth_result_name(size_t result)
{
        static const char *const names[EPP_REVIEW_RESULTS] = { "ok", "cached", "unauthorized",
                "denied", "error" };

        return names[result];
}

static void
at_once(struct auth *a)
{
        struct timeval now = { 0, 0 };

        evtimer_add(a->wake, &now);
}

/* ---- what comes ---- */

static void
on_status(void *ctx, int http, long retry_after_s)
{
        struct slot *s = ctx;

        s->http = http;
        s->retry_after_s = retry_after_s;
}

static bool
on_data(void *ctx, struct epp_slice piece)
{
        struct slot *s = ctx;

        return epp_buf_append(&s->body, piece) == 0;
}

static void
on_end(void *ctx, bool ok)
{
        struct slot *s = ctx;
        uint64_t request = s->request;

        s->call = NULL;
        s->request = 0;
        epp_reviews_answer(s->a->reviews, request, ok ? s->http : 0, s->retry_after_s,
                epp_buf_slice(&s->body), loop_now(s->a->base));
        at_once(s->a);
}

static const struct api_ops ops = { on_status, on_data, on_end };

static void
on_verdict(void *who, const struct epp_review_verdict *v)
{
        struct auth_wait *w = who;

        w->a->stats.result[v->result]++;
        w->fn(w->ctx, v);
}

/* ---- what is wanted ---- */

/* Returns when to look again. */
static epp_us
settle_slot(struct auth *a, size_t i, epp_us now)
{
        struct api_request q = { .method = "POST" };
        struct slot *s = &a->slots[i];
        struct epp_review_wish wish;
        epp_us at = epp_reviews_wish(a->reviews, i, now, &wish);

        if (wish.request == s->request)
                return at;
        api_drop(s->call);
        s->call = NULL;
        s->request = wish.request;
        if (!wish.request)
                return at;
        s->http = 0;
        s->retry_after_s = -1;
        epp_buf_drain(&s->body, epp_buf_len(&s->body));
        q.path = wish.path;
        q.body = wish.body;
        q.timeout_ms = wish.timeout_ms;
        if (api_begin(a->cfg.api, &q, &ops, s, &s->call) < 0) {
                s->request = 0;
                epp_reviews_answer(a->reviews, wish.request, 0, -1, epp_slice(NULL, 0), now);
                return now;
        }
        return at;
}

static void
on_wake(evutil_socket_t fd, short what, void *user)
{
        struct span span = span_begin(SPAN_ADMIN);
        struct auth *a = user;
        epp_us now = loop_now(a->base), at = INT64_MAX, wait;
        struct timeval tv;

        (void)fd, (void)what;
        epp_reviews_tick(a->reviews, now);
        for (size_t i = 0; i < EPP_REVIEW_SLOTS; i++)
                at = EPP_MIN(at, settle_slot(a, i, now));
        if (at < INT64_MAX) {
                wait = EPP_MAX(at - now, (epp_us)1000);
                tv = (struct timeval){ wait / 1000000, wait % 1000000 };
                evtimer_add(a->wake, &tv);
        }
        span_end(SPAN_ADMIN, span);
}

/* ---- questions ---- */

static bool
decide(struct epp_review_verdict *v, enum epp_review_result result, int code, const char *text)
{
        v->result = result;
        v->code = code;
        snprintf(v->text, sizeof(v->text), "%s", text);
        return true;
}

/* Does this request need a token? False: *v says what becomes of it. */
static bool
needs_token(const struct auth *a, const struct auth_question *q, struct epp_review_verdict *v)
{
        bool local_mode = a->cfg.mode == AUTH_AUTO && !a->cfg.api;

        if (q->guard != ADMIN_HEALTH && a->cfg.mode != AUTH_FALSE && !local_mode &&
                !(a->cfg.mode == AUTH_AUTO && q->loopback))
                return true;
        if (q->guard == ADMIN_DEBUG && local_mode && !q->loopback)
                (void)decide(v, EPP_REVIEW_DENIED, 403,
                        "Without an API server only peers on the loopback address may see this; "
                        "--metrics-endpoint-auth=false opens it to all\n");
        else
                (void)decide(v, EPP_REVIEW_OK, 200, "");
        return false;
}

static bool
review(struct auth *a, const struct auth_question *q, struct auth_wait *w,
        struct epp_review_verdict *ret)
{
        struct epp_slice token = epp_review_bearer(q->authorization);
        struct epp_question ask = { .token = token, .path = q->path, .verb = q->verb };
        unsigned n = 0;

        if (token.n == 0)
                return decide(ret, EPP_REVIEW_UNAUTHORIZED, 401, "Unauthorized\n");
        if (!HMAC(EVP_sha256(), a->key, sizeof(a->key), (const unsigned char *)token.p, token.n,
                    ask.id, &n) ||
                n != sizeof(ask.id))
                return decide(ret, EPP_REVIEW_ERROR, 500, "Authentication failed\n");
        w->a = a;
        if (epp_reviews_ask(a->reviews, &ask, loop_now(a->base), w, ret))
                return true;
        at_once(a);
        return false;
}

bool
auth_ask(struct auth *a, const struct auth_question *q, struct auth_wait *w,
        struct epp_review_verdict *ret)
{
        if (!needs_token(a, q, ret)) {
                a->stats.result[ret->result] += ret->code != 200;
                return true;
        }
        if (!review(a, q, w, ret))
                return false;
        a->stats.result[ret->result]++;
        return true;
}

void
auth_leave(struct auth_wait *w)
{
        epp_reviews_leave(w->a->reviews, w);
        at_once(w->a);
}

/* ---- life ---- */

static int
start(struct auth *a)
{
        struct epp_review_config cfg = { .log = a->cfg.log, .verdict = on_verdict };

        if (!a->cfg.api || a->cfg.mode == AUTH_FALSE)
                return 0;
        if (getrandom(a->key, sizeof(a->key), 0) != sizeof(a->key) ||
                getrandom(&cfg.seed, sizeof(cfg.seed), 0) != sizeof(cfg.seed))
                return -EIO;
        a->wake = evtimer_new(a->base, on_wake, a);
        if (!a->wake || epp_reviews_new(&cfg, &a->reviews) < 0)
                return -ENOMEM;
        return 0;
}

int
auth_new(struct event_base *base, const struct auth_config *cfg, struct auth **ret)
{
        struct auth *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        EPP_ASSERT(cfg->api || cfg->mode != AUTH_TRUE);
        a->base = base;
        a->cfg = *cfg;
        for (size_t i = 0; i < EPP_REVIEW_SLOTS; i++)
                a->slots[i] = (struct slot){ .a = a, .body.cap = EPP_REVIEW_BODY_MAX };
        r = start(a);
        if (r < 0) {
                auth_free(a);
                return r;
        }
        *ret = a;
        return 0;
}

void
auth_free(struct auth *a)
{
        if (!a)
                return;
        for (size_t i = 0; i < EPP_REVIEW_SLOTS; i++) {
                api_drop(a->slots[i].call);
                epp_buf_fini(&a->slots[i].body);
        }
        if (a->wake)
                event_free(a->wake);
        epp_reviews_free(a->reviews);
        free(a);
}

const struct auth_stats *
auth_stats(const struct auth *a)
{
        return &a->stats;
}
