/* review.c - see review.h. An item is one question to the API server:
 *
 *     WANTED --wish--> RUNNING --answer--> KNOWN --time--> FREE
 *        ^                |
 *        '-- try again ---'-- no answer in time, or for good: those who wait get an error, FREE
 *
 * A waiter is on its token's item, then on the item of its question of access. */
#include "serve/review.h"

#include <jansson.h>

#include "base/rng.h"

#define SECOND ((epp_us)1000000)
#define BEARER_US (60 * SECOND)
#define STRANGER_US (60 * SECOND)
#define GRANTED_US (300 * SECOND)
#define REFUSED_US (30 * SECOND)
#define ANSWER_US (10 * SECOND) /* of one item, its tries together */
#define TRIES 5
#define RETRY_US (SECOND / 2)
#define RETRY_FACTOR 1.5
#define RETRY_JITTER 0.2

enum kind { TOKEN, ACCESS, KINDS };
enum state { FREE, WANTED, RUNNING, KNOWN };

struct item {
        enum state state;
        enum kind kind;
        struct epp_slice key; /* owned: the digest, or the question as it is sent */
        char *body;           /* the request; NULL when known */
        json_t *user;         /* TOKEN: when known and good; ACCESS: who it is about */
        uint64_t request;     /* RUNNING */
        unsigned tries;
        epp_us at;            /* WANTED: not before */
        epp_us until;         /* an answer must be there; KNOWN: it counts */
        bool good;
};

struct waiter {
        void *who; /* NULL: free */
        struct item *on;
        struct epp_slice path;
        const char *verb;
        bool asked; /* had to wait */
};

struct epp_reviews {
        struct epp_review_config cfg;
        struct epp_rng rng;
        struct item items[KINDS][EPP_REVIEW_KNOWN];
        struct item *slots[EPP_REVIEW_SLOTS];
        struct waiter waiters[EPP_REVIEW_WAITERS];
        uint64_t requests;
        int complained[KINDS]; /* the trouble last logged, 0: none, -1: no answer, else HTTP */
};

static const char *const paths[KINDS] = { "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews" };

/* ---- items ---- */

static bool
awaited(const struct epp_reviews *r, const struct item *it)
{
        for (size_t i = 0; i < EPP_REVIEW_WAITERS; i++)
                if (r->waiters[i].who && r->waiters[i].on == it)
                        return true;
        return false;
}

static void
leave_slot(struct epp_reviews *r, const struct item *it)
{
        for (size_t i = 0; i < EPP_REVIEW_SLOTS; i++)
                if (r->slots[i] == it)
                        r->slots[i] = NULL;
}

static void
clear(struct epp_reviews *r, struct item *it)
{
        leave_slot(r, it);
        free((void *)(uintptr_t)it->key.p);
        free(it->body);
        json_decref(it->user);
        *it = (struct item){ .state = FREE };
}

/* Which of two known items is missed less: what ran out, then bad news (tokens that strangers make
 * up must not displace those of bearers), then the older. */
static bool
less_missed(const struct item *a, const struct item *b, epp_us now)
{
        bool a_over = a->until <= now, b_over = b->until <= now;

        if (a_over != b_over)
                return a_over;
        return a->good != b->good ? !a->good : a->until < b->until;
}

/* A free item, if need be by forgetting one. NULL: all of them are being asked. */
static struct item *
make_room(struct epp_reviews *r, enum kind kind, epp_us now)
{
        struct item *best = NULL;

        for (size_t i = 0; i < EPP_REVIEW_KNOWN; i++) {
                struct item *it = &r->items[kind][i];

                if (it->state == FREE)
                        return it;
                if (it->state == KNOWN && !awaited(r, it) &&
                        (!best || less_missed(it, best, now)))
                        best = it;
        }
        if (best)
                clear(r, best);
        return best;
}

/* What is known or being asked under <key>, or NULL. */
static struct item *
find(struct epp_reviews *r, enum kind kind, struct epp_slice key, epp_us now)
{
        for (size_t i = 0; i < EPP_REVIEW_KNOWN; i++) {
                struct item *it = &r->items[kind][i];

                if (it->state == FREE || !epp_slice_eq(it->key, key))
                        continue;
                if (it->state != KNOWN || now < it->until)
                        return it;
                clear(r, it);
                return NULL;
        }
        return NULL;
}

/* Takes <body> and <user>; NULL without memory. <key> is copied. */
static struct item *
want(struct epp_reviews *r, enum kind kind, struct epp_slice key, char *body, json_t *user,
        epp_us now)
{
        struct item *it = body ? make_room(r, kind, now) : NULL;
        char *copy = it && key.n ? malloc(key.n) : NULL;

        if (!copy) {
                free(body);
                json_decref(user);
                return NULL;
        }
        memcpy(copy, key.p, key.n);
        *it = (struct item){ .state = WANTED, .kind = kind, .key = epp_slice(copy, key.n),
                .body = body, .user = user, .at = now, .until = now + ANSWER_US };
        return it;
}

/* ---- documents ---- */

/* Takes <spec>. */
static char *
document(const char *api, const char *kind, json_t *spec)
{
        json_t *doc = json_pack("{s:s, s:s, s:o*}", "apiVersion", api, "kind", kind, "spec", spec);
        char *text = spec ? json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

        json_decref(doc);
        return text;
}

static char *
token_document(struct epp_slice token)
{
        return document("authentication.k8s.io/v1", "TokenReview",
                json_pack("{s:s%}", "token", token.p, token.n));
}

/* Sorted and compact: the same question is the same text. */
static char *
access_document(json_t *user, struct epp_slice path, const char *verb)
{
        json_t *spec = json_copy(user);

        json_object_set_new(spec, "nonResourceAttributes",
                json_pack("{s:s%, s:s}", "path", path.p, path.n, "verb", verb));
        return document("authorization.k8s.io/v1", "SubjectAccessReview", spec);
}

/* What SubjectAccessReviews say of the user of a TokenReview, or NULL. Whoever was authenticated is
 * in system:authenticated, whether the review says so or not. */
static json_t *
read_user(const json_t *u)
{
        json_t *name = json_object_get(u, "username"), *uid = json_object_get(u, "uid"),
               *extra = json_object_get(u, "extra"), *have = json_object_get(u, "groups"), *group,
               *groups = json_is_array(have) ? json_copy(have) : json_array();
        bool there = false;
        size_t i;

        json_array_foreach(groups, i, group) {
                const char *text = json_string_value(group);

                there = there || (text && strcmp(text, "system:authenticated") == 0);
        }
        if (!there)
                json_array_append_new(groups, json_string("system:authenticated"));
        if (json_string_length(name) == 0) {
                json_decref(groups);
                return NULL;
        }
        return json_pack("{s:O, s:O*, s:O*, s:o}", "user", name, "uid",
                json_is_string(uid) ? uid : NULL, "extra", json_is_object(extra) ? extra : NULL,
                "groups", groups);
}

/* ---- verdicts ---- */

static int EPP_PRINTF(4, 5)
say(struct epp_review_verdict *v, enum epp_review_result result, int code, const char *fmt, ...)
{
        va_list ap;

        v->result = result;
        v->code = code;
        va_start(ap, fmt);
        vsnprintf(v->text, sizeof(v->text), fmt, ap);
        va_end(ap);
        return 1;
}

static int
say_busy(struct epp_review_verdict *v)
{
        return say(v, EPP_REVIEW_ERROR, 503, "Too many wait for their token's review\n");
}

static const char *
name_of(const struct item *it)
{
        return json_string_value(json_object_get(it->user, "user"));
}

static void
deliver(struct epp_reviews *r, struct waiter *w, const struct epp_review_verdict *v)
{
        void *who = w->who;

        *w = (struct waiter){ .who = NULL };
        r->cfg.verdict(who, v);
}

/* From the token to the question of access, as far as is known. <room>: it may wait.
 * Returns 1: *v is the verdict; 0: it waits for w->on. */
static int
proceed(struct epp_reviews *r, struct waiter *w, bool room, epp_us now,
        struct epp_review_verdict *v)
{
        struct item *it = w->on, *access;
        char *body;

        if (it->state == KNOWN && it->kind == TOKEN) {
                if (!it->good)
                        return say(v, EPP_REVIEW_UNAUTHORIZED, 401, "Unauthorized\n");
                body = access_document(it->user, w->path, w->verb);
                access = find(r, ACCESS, epp_slice_str(body), now);
                if (access)
                        free(body);
                else if (room)
                        access = want(r, ACCESS, epp_slice_str(body), body, json_incref(it->user),
                                now);
                else
                        free(body);
                if (!access)
                        return say_busy(v);
                w->on = it = access;
        }
        if (it->state != KNOWN) {
                w->asked = true;
                return room ? 0 : say_busy(v);
        }
        if (it->good)
                return say(v, w->asked ? EPP_REVIEW_OK : EPP_REVIEW_CACHED, 200, "%s", "");
        return say(v, EPP_REVIEW_DENIED, 403, "Authorization denied for user %.200s\n",
                name_of(it));
}

/* The answer to <it> is there: those who wait for it go on. */
static void
become_known(struct epp_reviews *r, struct item *it, bool good, epp_us until, epp_us now)
{
        struct epp_review_verdict v;

        it->state = KNOWN;
        it->good = good;
        it->until = until;
        free(it->body); /* it has the token */
        it->body = NULL;
        for (size_t i = 0; i < EPP_REVIEW_WAITERS; i++) {
                struct waiter *w = &r->waiters[i];

                if (!w->who || w->on != it)
                        continue;
                w->asked = true;
                if (proceed(r, w, true, now, &v))
                        deliver(r, w, &v);
        }
}

/* Nobody could say: not remembered. */
static void
fail(struct epp_reviews *r, struct item *it)
{
        struct epp_review_verdict v;

        if (it->kind == TOKEN)
                say(&v, EPP_REVIEW_ERROR, 500, "Authentication failed\n");
        else
                say(&v, EPP_REVIEW_ERROR, 500, "Authorization for user %.200s failed\n",
                        name_of(it));
        it->state = KNOWN; /* nobody joins it any more */
        it->until = 0;
        for (size_t i = 0; i < EPP_REVIEW_WAITERS; i++)
                if (r->waiters[i].who && r->waiters[i].on == it)
                        deliver(r, &r->waiters[i], &v);
        clear(r, it);
}

/* ---- answers ---- */

static void
complain(struct epp_reviews *r, enum kind kind, int http)
{
        int what = http ? http : -1;

        if (r->complained[kind] == what)
                return;
        r->complained[kind] = what;
        if (http == 403)
                epp_log(r->cfg.log, EPP_LOG_WARN, "metrics_auth",
                        LOG_T("why",
                                kind == TOKEN ? "we may not create tokenreviews: nobody with a "
                                                "token can read the HTTP port"
                                              : "we may not create subjectaccessreviews: nobody "
                                                "with a token can read the HTTP port"),
                        LOG_T("do", "bind the ClusterRole system:auth-delegator to our account, "
                                    "or set --metrics-endpoint-auth=false"));
        else
                epp_log(r->cfg.log, EPP_LOG_WARN, "metrics_auth", LOG_T("review", paths[kind]),
                        LOG_N("http", http), LOG_T("why", http ? "the API server's answer"
                                                               : "no answer of the API server"));
}

/* An answer that is none. What may pass is tried again while there is time. */
static void
retry_or_fail(struct epp_reviews *r, struct item *it, int http, long retry_after_s, epp_us now)
{
        bool passing = http == 0 || http == 401 || http == 429 || http >= 500 ||
                       retry_after_s >= 0; /* 401: our own credentials, which rotate */
        double wait = (double)RETRY_US * (1 + RETRY_JITTER * epp_rng_unit(&r->rng));

        complain(r, it->kind, http);
        for (unsigned i = 0; i < it->tries; i++)
                wait *= RETRY_FACTOR;
        it->tries++;
        it->at = now + EPP_MAX((epp_us)wait, retry_after_s * SECOND);
        if (passing && it->tries < TRIES && it->at < it->until)
                it->state = WANTED;
        else
                fail(r, it);
}

void
epp_reviews_answer(struct epp_reviews *r, uint64_t request, int http, long retry_after_s,
        struct epp_slice body, epp_us now)
{
        struct item *it = NULL;
        json_t *doc = NULL, *status;

        for (size_t i = 0; i < EPP_REVIEW_SLOTS; i++)
                if (r->slots[i] && r->slots[i]->request == request)
                        it = r->slots[i];
        if (!it)
                return;
        leave_slot(r, it);
        if ((http == 200 || http == 201) && body.n && body.n <= EPP_REVIEW_BODY_MAX)
                doc = json_loadb(body.p, body.n, 0, NULL);
        status = json_object_get(doc, "status");
        if (!json_is_object(status)) {
                retry_or_fail(r, it, http, retry_after_s, now);
        } else if (it->kind == TOKEN) {
                r->complained[it->kind] = 0;
                if (json_is_true(json_object_get(status, "authenticated")))
                        it->user = read_user(json_object_get(status, "user"));
                become_known(r, it, it->user != NULL,
                        now + (it->user ? BEARER_US : STRANGER_US), now);
        } else {
                bool may = json_is_true(json_object_get(status, "allowed")) &&
                           !json_is_true(json_object_get(status, "denied"));

                r->complained[it->kind] = 0;
                become_known(r, it, may, now + (may ? GRANTED_US : REFUSED_US), now);
        }
        json_decref(doc);
}

void
epp_reviews_tick(struct epp_reviews *r, epp_us now)
{
        for (size_t i = 0; i < EPP_REVIEW_KNOWN * KINDS; i++) {
                struct item *it = &r->items[i / EPP_REVIEW_KNOWN][i % EPP_REVIEW_KNOWN];

                if ((it->state == WANTED || it->state == RUNNING) && it->until <= now) {
                        complain(r, it->kind, 0);
                        fail(r, it);
                }
        }
}

/* ---- wishes ---- */

/* The item that has waited longest, or NULL. *at becomes when one is due, if that is earlier. */
static struct item *
next_wanted(struct epp_reviews *r, epp_us now, epp_us *at)
{
        struct item *best = NULL;

        for (size_t i = 0; i < EPP_REVIEW_KNOWN * KINDS; i++) {
                struct item *it = &r->items[i / EPP_REVIEW_KNOWN][i % EPP_REVIEW_KNOWN];

                if (it->state == WANTED && it->at <= now && (!best || it->at < best->at))
                        best = it;
                else if (it->state == WANTED)
                        *at = EPP_MIN(*at, it->at);
        }
        return best;
}

epp_us
epp_reviews_wish(struct epp_reviews *r, size_t slot, epp_us now, struct epp_review_wish *w)
{
        struct item *it = r->slots[slot];
        epp_us at = INT64_MAX;

        *w = (struct epp_review_wish){ .request = 0 };
        if (!it) {
                it = next_wanted(r, now, &at);
                if (!it)
                        return at;
                r->slots[slot] = it;
                it->state = RUNNING;
                it->request = ++r->requests;
        }
        *w = (struct epp_review_wish){ .request = it->request, .path = paths[it->kind],
                .body = epp_slice_str(it->body),
                .timeout_ms = (unsigned)(EPP_MAX(it->until - now, (epp_us)1000) / 1000) };
        return it->until;
}

/* ---- questions ---- */

struct epp_slice
epp_review_bearer(struct epp_slice authorization)
{
        struct epp_slice rest = epp_slice_trim(authorization), scheme = epp_slice_cut(&rest, ' '),
                         token = epp_slice_cut(&rest, ' ');

        if (!epp_slice_ieq(scheme, EPP_SLICE("Bearer")))
                return epp_slice(NULL, 0);
        for (size_t i = 0; i < token.n; i++)
                if (token.p[i] <= ' ' || token.p[i] > '~')
                        return epp_slice(NULL, 0);
        return token;
}

static struct waiter *
free_waiter(struct epp_reviews *r)
{
        for (size_t i = 0; i < EPP_REVIEW_WAITERS; i++)
                if (!r->waiters[i].who)
                        return &r->waiters[i];
        return NULL;
}

int
epp_reviews_ask(struct epp_reviews *r, const struct epp_question *q, epp_us now, void *who,
        struct epp_review_verdict *ret)
{
        struct epp_slice key = epp_slice(q->id, sizeof(q->id));
        struct waiter w = { who, find(r, TOKEN, key, now), q->path, q->verb, false },
                      *place = free_waiter(r);
        int done;

        if (!w.on && place)
                w.on = want(r, TOKEN, key, token_document(q->token), NULL, now);
        if (!w.on)
                return say_busy(ret);
        done = proceed(r, &w, place != NULL, now, ret);
        if (!done)
                *place = w;
        return done;
}

void
epp_reviews_leave(struct epp_reviews *r, const void *who)
{
        for (size_t i = 0; i < EPP_REVIEW_WAITERS; i++) {
                struct waiter *w = &r->waiters[i];
                struct item *it = w->on;

                if (w->who != who)
                        continue;
                *w = (struct waiter){ .who = NULL };
                if (it->state != KNOWN && !awaited(r, it))
                        clear(r, it);
                return;
        }
}

/* ---- life ---- */

int
epp_reviews_new(const struct epp_review_config *cfg, struct epp_reviews **ret)
{
        struct epp_reviews *r = calloc(1, sizeof(*r));

        if (!r)
                return EPP_ENOMEM;
        r->cfg = *cfg;
        epp_rng_init(&r->rng, cfg->seed);
        *ret = r;
        return 0;
}

void
epp_reviews_free(struct epp_reviews *r)
{
        if (!r)
                return;
        for (size_t i = 0; i < EPP_REVIEW_KNOWN * KINDS; i++)
                clear(r, &r->items[i / EPP_REVIEW_KNOWN][i % EPP_REVIEW_KNOWN]);
        free(r);
}
