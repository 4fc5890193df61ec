/* review.h - may the bearer of a token read a page? What an API server says is asked for and
 * remembered: first whose token it is (TokenReview), then whether they may (SubjectAccessReview).
 * One review of a token runs at a time, however many wait for it, and so for each question of
 * access. Tokens are known by a digest of the caller's; the token itself is kept only while its
 * review runs.
 *
 *     a bearer           1 min           a stranger   1 min         no answer: not remembered
 *     access granted     5 min           refused      30 s
 *
 * Knows: base, jansson (documents up to 64 KiB). Does not know: HTTP, OpenSSL. */
#ifndef EPP_REVIEW_H
#define EPP_REVIEW_H

#include "base/log.h"
#include "base/status.h"

#define EPP_REVIEW_ID 32         /* bytes of a token's digest */
#define EPP_REVIEW_SLOTS 4       /* requests that run at once */
#define EPP_REVIEW_WAITERS 64
#define EPP_REVIEW_BODY_MAX 65536 /* of an answer; a larger one counts as none */
#define EPP_REVIEW_KNOWN 256     /* tokens remembered, and as many answers on access */

enum epp_review_result {
        EPP_REVIEW_OK,           /* reviewed now: may */
        EPP_REVIEW_CACHED,       /* may, by what was known */
        EPP_REVIEW_UNAUTHORIZED, /* no token, or nobody's */
        EPP_REVIEW_DENIED,       /* may not */
        EPP_REVIEW_ERROR,        /* nobody could say */
        EPP_REVIEW_RESULTS
};
struct epp_review_verdict {
        enum epp_review_result result;
        int code;       /* 200, 401, 403, 500, 503 */
        char text[320]; /* for the peer, with its LF; empty with 200 */
};

struct epp_reviews;

struct epp_review_config {
        uint64_t seed;             /* of jitter */
        const struct epp_log *log; /* borrowed */
        /* What became of a question that waited. <who> may be gone when it returns; it must not ask
         * again from here. */
        void (*verdict)(void *who, const struct epp_review_verdict *v);
};

/* Returns 0, or EPP_ENOMEM. */
EPP_MUSTUSE int epp_reviews_new(const struct epp_review_config *cfg, struct epp_reviews **ret);
/* Nobody hears of it. Accepts NULL. */
void epp_reviews_free(struct epp_reviews *r);

/* The token of an Authorization header: the second word where the first is Bearer in any case.
 * Empty when there is none that could be one: printable ASCII. */
struct epp_slice epp_review_bearer(struct epp_slice authorization);

struct epp_question {
        uint8_t id[EPP_REVIEW_ID]; /* digest of the token, keyed */
        struct epp_slice token;    /* copied when it must be reviewed */
        struct epp_slice path;     /* borrowed until the verdict or epp_reviews_leave */
        const char *verb; /* the method in small letters; a constant */
};
/* Asks for <who>. Returns 1: *ret is the verdict (also: too many wait, no memory); 0: cfg.verdict
 * will have it, once, unless epp_reviews_leave comes before. */
EPP_MUSTUSE int epp_reviews_ask(struct epp_reviews *r, const struct epp_question *q, epp_us now,
        void *who, struct epp_review_verdict *ret);
/* <who> does not want to know any more. What nobody waits for is not asked any further. */
void epp_reviews_leave(struct epp_reviews *r, const void *who);

/* What slot 0 .. EPP_REVIEW_SLOTS - 1 is to do. When <request> differs from what it does it drops
 * that and begins this one; 0: nothing. */
struct epp_review_wish {
        uint64_t request;
        const char *path;      /* of a POST; constant */
        struct epp_slice body; /* borrowed until the next call */
        unsigned timeout_ms;
};
/* Returns when to look again, at the latest; INT64_MAX: when something is asked. */
epp_us epp_reviews_wish(struct epp_reviews *r, size_t slot, epp_us now, struct epp_review_wish *w);
/* The end of <request>: status (0: no whole answer), Retry-After (-1: none), body. Ends of
 * requests that are no longer wished for are ignored. */
void epp_reviews_answer(struct epp_reviews *r, uint64_t request, int http, long retry_after_s,
        struct epp_slice body, epp_us now);
/* Ends questions that nobody answered in time; before each round of wishes. */
void epp_reviews_tick(struct epp_reviews *r, epp_us now);

#endif
