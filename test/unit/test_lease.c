/* test_lease.c - what is sent to the lease, when, and who leads, for every answer an API server
 * gives. First conversations of one machine ("#95" is a row of the specification's edge cases):
 *   ?GET TEXT   a request of this method is wanted now, TEXT is in its path or body
 *   404 ...     its answer: a status without a document; ! none came
 *   =           200 and what was sent, as the server has it now
 *   =A,15,t1    200 and a lease of holder A, 15 s, renewTime t1, acquireTime t0, 3 transitions
 *   {..}        200 and this document
 *   @<ms>       time goes on; nothing may be wanted before
 *   ~<ms>       time goes on until something is wanted or we no longer lead
 *   %<ms>       time goes on; every request gets the last answer again, none may be a PUT or POST
 *               but where there was no answer
 *   +<ms>       time goes on while a request runs
 *   T<ms>       the time that the running request has
 *   L F         we lead, follow            H<A>   A holds it, as we know
 *   R           it is to be released       D d    that is done, is not yet
 * Then two machines over one object, with clocks and an API server that go wrong. */
#include <jansson.h>

#include "serve/lease.h"
#include "unit.h"

#define SECOND ((epp_us)1000000)
#define START (100 * SECOND)
#define WALL ((epp_wall)1767323045000007) /* 2026-01-02T03:04:05.000007Z */

static const struct epp_log quiet = { .level = EPP_LOG_ERROR - 1 };
static struct epp_lease *l;
static epp_us now;
static struct epp_lease_wish asked; /* it runs unless its method is NOTHING */
static int version, changes;
static bool told;

static void
on_change(void *ctx, bool leading)
{
        (void)ctx;
        changes++;
        told = leading;
}

static struct epp_lease_config
config(const char *identity)
{
        return (struct epp_lease_config){ .ns = EPP_SLICE("ns"), .name = EPP_SLICE("epp-ns-pool"),
                .identity = epp_slice_str(identity), .duration = 15 * SECOND,
                .renew_deadline = 10 * SECOND, .retry = 2 * SECOND, .seed = 7, .log = &quiet,
                .changed = on_change };
}

#define TAKEN "?GET leases/epp-ns-pool|404|?POST \"holderIdentity\":\"me\"|=|L|"
#define FREE "=,1,t1"
#define LATER "@1990|~20|"
#define RENEWS LATER "?PUT \"holderIdentity\":\"me\"|=|L|"
#define FAILS(put, get) LATER "?PUT|" put "|?GET leases|" get "|L|"
#define SILENT LATER "?PUT|!|?GET leases|!|?GET /version|!|L|"
#define CONFLICTS LATER "?PUT|409|?GET|=me,15,t1|?PUT|409|L|"

static const struct {
        const char *name;
        bool strict;
        const char *script;
} rows[] = {
        { "created", false,
                "F|H|?GET /apis/coordination.k8s.io/v1/namespaces/ns/leases/epp-ns-pool|404|"
                "?POST \"name\":\"epp-ns-pool\",\"namespace\":\"ns\"|=|L|Hme|" RENEWS },
        { "the record of a new lease", false,
                "?GET|404|?POST {\"holderIdentity\":\"me\",\"leaseDurationSeconds\":15,"
                "\"acquireTime\":\"2026-01-02T03:04:05.000007Z\","
                "\"renewTime\":\"2026-01-02T03:04:05.000007Z\",\"leaseTransitions\":0}|=|L" },
        { "another created it meanwhile", false,
                "?GET|404|?POST|409|F|@1990|~4500|?GET|=A,15,t1|F|HA" },
        { "a free lease is taken at once", false,
                "?GET|" FREE "|?PUT \"leaseTransitions\":4|=|L|" RENEWS RENEWS },
        { "a lease without a spec, too", false,
                "?GET|{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"9\"}}|"
                "?PUT \"resourceVersion\":\"9\"|=|L" },
        { "its version goes back", false, "?GET|" FREE "|?PUT \"resourceVersion\":\"7\"|=|L|" LATER
                "?PUT \"resourceVersion\":\"8\"" },
        { "what others wrote goes back", false,
                "?GET|{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"9\",\"labels\":{\"a\":"
                "\"b\"},\"annotations\":{\"c\":\"\\u00e9\"},\"managedFields\":[{\"f:x\":{}}]},"
                "\"spec\":{\"strategy\":\"OldestEmulationVersion\",\"preferredHolder\":\"P\"},"
                "\"extra\":[1,2.5,null]}|?PUT \"labels\":{\"a\":\"b\"},\"annotations\":{\"c\":"
                "\"\xc3\xa9\"},\"managedFields\":[{\"f:x\":{}}]}|=|" LATER
                "?PUT \"strategy\":\"OldestEmulationVersion\",\"preferredHolder\":\"P\"|=|" LATER
                "?PUT \"extra\":[1,2.5,null]|=|L" },
        { "a take-over is one more transition, renewals are none", false,
                "?GET|=A,0,t1|?PUT \"leaseTransitions\":4|=|" LATER "?PUT \"leaseTransitions\":4|="
                "|" LATER "?PUT \"acquireTime\":\"2026-01-02T03:04:05.000007Z\"|=|L" },
        { "our own: acquireTime and transitions stay", false,
                "?GET|=me,15,t1|?PUT \"acquireTime\":\"t0\"|=|L|" LATER
                "?PUT \"leaseTransitions\":3|=|L" },
        { "a follower waits 15 s from its first look, whatever the times say", false,
                "?GET|=A,15,1999-01-01T00:00:00.000000Z|F|HA|%14900|~4500|?GET|"
                "=A,15,1999-01-01T00:00:00.000000Z|?PUT \"leaseTransitions\":4|=|L|Hme" },
        { "times in the future are none, too", false,
                "?GET|=A,15,2099-01-01T00:00:00.000000Z|F|%14900|~4500|?GET|"
                "=A,15,2099-01-01T00:00:00.000000Z|?PUT|=|L" },
        { "a change of the record begins it anew", false,
                "?GET|=A,15,t1|F|%12000|~4500|?GET|=A,15,t2|F|%14900|~4500|?GET|=A,15,t2|?PUT" },
        { "any field of it counts", false,
                "?GET|=A,15,t1|F|%12000|~4500|?GET|=A,16,t1|F|%15900|~4500|?GET|=A,16,t1|?PUT" },
        { "#100 60 s of another writer are 60 s", false,
                "?GET|=A,60,t1|F|%59900|~4500|?GET|=A,60,t1|?PUT" },
        { "a lease of 0 s or less is free", false, "?GET|=A,-5,t1|?PUT|=|L" },
        { "a take-over that comes too late", false,
                "?GET|=A,0,t1|?PUT|409|F|@1990|~4500|?GET|=B,15,t2|F|HB" },
        { "#95 taken by another: follower in the same round", false,
                TAKEN LATER "?PUT|409|?GET|=B,15,t1|F|HB|@1990|~4500|?GET" },
        { "#101 409 on renewal: the same round", false,
                TAKEN LATER "?PUT|409|?GET|=me,15,t1|?PUT resourceVersion\":\"8|=|L|" RENEWS },
        { "#99 deleted by hand: made again", false,
                TAKEN LATER "?PUT|404|?GET|404|?POST \"leaseTransitions\":0|=|L|" RENEWS },
        { "#99 deleted, another was faster", false,
                TAKEN LATER "?PUT|404|?GET|404|?POST|409|L|" LATER "?GET|=B,15,t1|F" },
        { "409 for ever: 10 s", false,
                TAKEN CONFLICTS CONFLICTS CONFLICTS CONFLICTS CONFLICTS LATER "F" },
        { "403 ends it at once", false, TAKEN LATER "?PUT|403|L|?GET|403|F|@1990|~4500|?PUT" },
        { "403 on the slow PUT as well", false, TAKEN LATER "?PUT|403|L|?GET|=me,15,t1|?PUT|403|F" },
        { "errors of the server are borne for 10 s", false,
                TAKEN FAILS("500", "503") FAILS("500", "429") FAILS("500", "401") FAILS("503", "200")
                FAILS("500", "302") LATER "F" },
        { "and forgotten with a renewal", false,
                TAKEN FAILS("500", "503") FAILS("500", "503") FAILS("500", "503") RENEWS
                FAILS("500", "503") FAILS("500", "503") FAILS("500", "503") FAILS("500", "503")
                RENEWS },
        { "a request has 5 s, or what is left of the 10", false,
                "?GET|T5000|404|?POST|T5000|=|" LATER "?PUT|T5000|+5000|!|?GET leases|T5000|+2000|500|"
                "L|?PUT|T3000|+2500|500|?GET|T500|+500|500|~10|F" },
        { "asking whether anybody answers has 2 s", false,
                TAKEN LATER "?PUT|!|?GET leases|!|?GET /version|T2000|!|L" },
        { "giving it back, what is left of its 10", false,
                TAKEN "R|?GET|T5000|+5000|503|~1010|?GET|T4000" },
        { "once lost, won again when the lease is still ours", false,
                TAKEN LATER "?PUT|403|?GET|403|F|@1990|~4500|?PUT|=|L|" RENEWS },
        { "no answer at all: asked whether anybody answers", false, TAKEN SILENT SILENT RENEWS },
        { "#96 only the lease is silent: 10 s", false,
                TAKEN LATER "?PUT|+5000|!|?GET lease|+5000|!|L|?GET /version|403|~10|F|"
                "@1990|~4500|?GET" },
        { "#97 nobody answers for 5 minutes", false, TAKEN SILENT "%300000|L|~2000|?GET|=me,15,t1|"
                "?PUT|=|L|" RENEWS },
        { "then errors: 10 s of them", false,
                TAKEN SILENT "%60000|L|~2000|?GET|503|L|" LATER "?GET|503|L|" LATER "?GET|503|L|"
                LATER "?GET|503|L|" LATER "F" },
        { "then another's record", false, TAKEN SILENT "%60000|L|~2000|?GET|=B,15,t9|F|HB" },
        { "strict: silence ends it as well", true,
                TAKEN FAILS("!", "!") FAILS("!", "!") FAILS("!", "!") FAILS("!", "!") FAILS("!", "!")
                LATER "F" },
        { "a follower does not ask whether anybody answers", false,
                "?GET|!|F|@1990|~4500|?GET leases|!|F|@1990|~4500|?GET leases" },
        { "answers that are no lease", false,
                "?GET|{\"kind\":\"Status\"}|F|@1990|~4500|?GET|{]|F|@1990|~4500|?GET|"
                "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":[]}|F|@1990|~4500|?GET" },
        { "a renewal whose answer is cut", false,
                TAKEN LATER "?PUT|{\"meta|?GET|=me,15,t1|?PUT|=|L" },
        { "#102 released: no holder, 1 s", false,
                "?GET|=A,0,t1|?PUT|=|L|R|F|d|?GET|=me,15,t5|?PUT "
                "\"holderIdentity\":\"\",\"leaseDurationSeconds\":1,|d|=|D|H|@60000" },
        { "transitions stay", false, TAKEN "R|?GET|=me,15,t5|?PUT \"leaseTransitions\":3|=|D" },
        { "not ours any more: left alone", false, TAKEN "R|?GET|=B,15,t5|D|HB|@60000" },
        { "never ours: nothing to release", false, "?GET|=B,15,t5|F|R|D|@60000" },
        { "before the first look", false, "R|D|@60000" },
        { "409 while it is released: again", false,
                TAKEN "R|?GET|=me,15,t5|?PUT|409|d|@90|~20|?GET|=me,15,t6|?PUT|409|~110|?GET|"
                "=B,15,t7|D" },
        { "errors: again in a second", false, TAKEN "R|?GET|503|d|@990|~20|?GET|404|D" },
        { "#103 the API is down: no wait", false, TAKEN "R|?GET|!|D" },
        { "#103 the API is silent: 10 s at most", false, TAKEN "R|?GET|+9990|d|+10|D|!|D|@60000" },
        { "released while a renewal runs", false,
                TAKEN LATER "?PUT|R|F|d|=|F|d|?GET|=me,15,t5|?PUT Identity\":\"\"|=|D" },
        { "while it fails", false, TAKEN LATER "?PUT|R|F|409|?GET|=B,15,t5|D" },
        { "while we take over, and nobody knows whether we have", false,
                "?GET|" FREE "|?PUT|R|!|F|d|?GET|=me,15,t5|?PUT Identity\":\"\"|=|D" },
        { "while we only look", false, "?GET|R|" FREE "|F|D" },
        { "while we ask whether anybody answers", false,
                TAKEN LATER "?PUT|!|?GET|!|?GET /version|R|!|F|d|?GET leases" },
};

static void
ask(void)
{
        if (asked.method == EPP_LEASE_NOTHING)
                epp_lease_wish(l, now, WALL, &asked);
}

static void
wanted(const char *word, const char *where)
{
        static const char *const methods[] = { "nothing", "GET", "POST", "PUT" };
        size_t n = strcspn(word, " ");
        const char *text = word[n] ? word + n + 1 : "";

        ask();
        ck_assert_msg(strncmp(word, methods[asked.method], n) == 0, "%s: %s is wanted, not %s",
                where, methods[asked.method], word);
        ck_assert_msg(asked.timeout_ms > 0 && asked.timeout_ms <= 5000, "%s: timeout", where);
        ck_assert_msg(strstr(asked.path, text) ||
                        (asked.body.n && memmem(asked.body.p, asked.body.n, text, strlen(text))),
                "%s: no %s in %s " SLICE_FMT, where, text, asked.path, SLICE_ARG(asked.body));
}

static void
answer(int http, const char *body)
{
        ck_assert(asked.method != EPP_LEASE_NOTHING);
        asked.method = EPP_LEASE_NOTHING;
        epp_lease_answer(l, http, epp_slice_str(body), now);
}

/* 200 with a document as the server would have it: <o> is taken. */
static void
answer_lease(json_t *o)
{
        char v[24], *text;

        snprintf(v, sizeof(v), "%d", version++);
        json_object_set_new(json_object_get(o, "metadata"), "resourceVersion", json_string(v));
        text = json_dumps(o, 0);
        json_decref(o);
        answer(asked.method == EPP_LEASE_POST ? 201 : 200, text);
        free(text);
}

static void
answer_word(const char *word)
{
        char holder[8] = "", renewed[40] = "";
        int seconds = 0;

        if (*word == '!') {
                answer(0, NULL);
        } else if (*word == '{') {
                answer(200, word);
        } else if (strcmp(word, "=") == 0) {
                answer_lease(json_loadb(asked.body.p, asked.body.n, 0, NULL));
        } else if (*word == '=') {
                snprintf(holder, sizeof(holder), "%.*s", (int)strcspn(word + 1, ","), word + 1);
                ck_assert_int_eq(sscanf(strchr(word, ','), ",%d,%39s", &seconds, renewed), 2);
                answer_lease(json_pack("{s:{s:s}, s:{s:s, s:i, s:s, s:s, s:i}}", "metadata", "name",
                        "epp-ns-pool", "spec", "holderIdentity", holder, "leaseDurationSeconds",
                        seconds, "acquireTime", "t0", "renewTime", renewed, "leaseTransitions", 3));
        } else {
                ck_assert_int_ge(strtol(word, NULL, 10), 200);
                answer((int)strtol(word, NULL, 10), "{\"kind\":\"Status\"}");
        }
}

static void
wait_ms(const char *word, const char *last, const char *where)
{
        epp_us end = now + strtol(word + 1, NULL, 10) * 1000;
        bool led = epp_lease_leading(l);

        while (now < end) {
                ask();
                if (asked.method && *word == '%') {
                        ck_assert_msg(asked.method == EPP_LEASE_GET || *last == '!',
                                "%s: written too early", where);
                        answer_word(last);
                } else if (asked.method) {
                        ck_assert_msg(*word == '~', "%s: too early by %d ms", where,
                                (int)((end - now) / 1000));
                        return;
                } else if (*word == '~' && led && !epp_lease_leading(l)) {
                        return;
                } else {
                        ck_assert_msg(asked.at > now, "%s: no time goes by", where);
                        now = EPP_MIN(asked.at, end);
                }
        }
}

static void
step(const char *word, const char *last, const char *where)
{
        switch (*word) {
        case '?':
                wanted(word + 1, where);
                break;
        case '@':
        case '~':
        case '%':
                wait_ms(word, last, where);
                break;
        case '+':
                now += strtol(word + 1, NULL, 10) * 1000;
                break;
        case 'T':
                ck_assert_msg(asked.timeout_ms == strtoul(word + 1, NULL, 10), "%s: %u ms", where,
                        asked.timeout_ms);
                break;
        case 'L':
        case 'F':
                ck_assert_msg(epp_lease_leading(l) == (*word == 'L'), "%s: not %s", where, word);
                ck_assert_msg(told == (*word == 'L'), "%s: not told", where);
                break;
        case 'H':
                ck_assert_msg(epp_slice_eq(epp_lease_holder(l), epp_slice_str(word + 1)),
                        "%s: " SLICE_FMT " holds it", where, SLICE_ARG(epp_lease_holder(l)));
                break;
        case 'R':
                epp_lease_release(l, now);
                break;
        case 'D':
        case 'd':
                ck_assert_msg(epp_lease_released(l, now) == (*word == 'D'), "%s: %s", where, word);
                break;
        default:
                answer_word(word);
        }
}

START_TEST(conversations)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_lease_config cfg = config("me");
                char *copy = strdup(rows[i].script), *save = NULL;
                const char *last = "";

                cfg.strict = rows[i].strict;
                now = START;
                version = 7;
                told = false;
                asked.method = EPP_LEASE_NOTHING;
                ck_assert_int_eq(epp_lease_new(&cfg, &l), 0);
                for (char *word = strtok_r(copy, "|", &save); word;
                        word = strtok_r(NULL, "|", &save)) {
                        step(word, last, rows[i].name);
                        if (strchr("!={123456789", *word))
                                last = word;
                }
                free(copy);
                epp_lease_free(l);
        }
}
END_TEST

START_TEST(bad_configurations)
{
        struct epp_lease_config good = config("me"), c = good;
        char long_name[EPP_LEASE_NAME_MAX + 2];

        memset(long_name, 'a', sizeof(long_name));
        c.duration = 10 * SECOND;
        ck_assert_int_eq(epp_lease_new(&c, &l), EPP_EINVAL);
        c = good;
        c.renew_deadline = 2400000;
        ck_assert_int_eq(epp_lease_new(&c, &l), EPP_EINVAL);
        c = good;
        c.retry = SECOND - 1;
        ck_assert_int_eq(epp_lease_new(&c, &l), EPP_EINVAL);
        c = good;
        c.name = EPP_SLICE("a/b");
        ck_assert_int_eq(epp_lease_new(&c, &l), EPP_EINVAL);
        c.name = EPP_SLICE("");
        ck_assert_int_eq(epp_lease_new(&c, &l), EPP_EINVAL);
        c.name = epp_slice(long_name, sizeof(long_name) - 1);
        ck_assert_int_eq(epp_lease_new(&c, &l), EPP_EINVAL);
        c.name.n--;
        ck_assert_int_eq(epp_lease_new(&c, &l), 0);
        epp_lease_free(l);
        epp_lease_free(NULL);
}
END_TEST

/* ---- two machines and one object; time goes in milliseconds ---- */

#define MS ((epp_us)1000)

struct node {
        struct epp_lease *l;
        double rate;          /* of its clock */
        epp_us offset;
        epp_wall wall_offset; /* its idea of the date */
        bool dead, cut;       /* cut: nobody answers it */
        struct epp_lease_wish w;
        epp_us answer_at;
        int http;
        char *reply;
};
static struct node nodes[2];
static json_t *stored;
static epp_us t;
static struct epp_rng dice;
static double loss;     /* of lease requests, before or after they act */
static epp_us both;     /* both have led for so long, in all */
static bool down;

static int
serve(const struct epp_lease_wish *w, char **ret_reply)
{
        json_t *sent = w->body.n ? json_loadb(w->body.p, w->body.n, 0, NULL) : NULL;
        const char *path = "metadata";
        json_t *mine = json_object_get(json_object_get(stored, path), "resourceVersion"),
               *theirs = json_object_get(json_object_get(sent, path), "resourceVersion");
        char v[24];
        int http = 200;

        if (strcmp(w->path, "/version") == 0)
                return 200;
        if (w->method == EPP_LEASE_POST ? stored != NULL : stored == NULL)
                http = stored ? 409 : 404;
        else if (w->method == EPP_LEASE_PUT && !json_equal(mine, theirs))
                http = 409;
        if (http == 200 && sent) {
                snprintf(v, sizeof(v), "%d", ++version);
                json_object_set_new(json_object_get(sent, path), "resourceVersion", json_string(v));
                json_decref(stored);
                stored = json_incref(sent);
        }
        json_decref(sent);
        if (http == 200)
                *ret_reply = json_dumps(stored, 0);
        return http;
}

static epp_us
local(const struct node *n)
{
        return (epp_us)((double)t * n->rate) + n->offset;
}

static void
turn(struct node *n)
{
        bool probe, lost;

        if (n->dead || (n->w.method && t < n->answer_at))
                return;
        if (n->w.method) {
                n->w.method = EPP_LEASE_NOTHING;
                epp_lease_answer(n->l, n->http, epp_slice_str(n->reply), local(n));
                free(n->reply);
                n->reply = NULL;
        }
        epp_lease_wish(n->l, local(n), WALL + t + n->wall_offset, &n->w);
        if (!n->w.method)
                return;
        probe = strcmp(n->w.path, "/version") == 0;
        lost = !probe && epp_rng_unit(&dice) < loss;
        n->answer_at = t + MS * (epp_us)(1 + epp_rng_below(&dice, 30));
        n->http = 0;
        if (down || n->cut || (lost && epp_rng_below(&dice, 2)))
                return; /* it never came there */
        n->http = serve(&n->w, &n->reply);
        if (lost)
                n->http = 0; /* its answer never came here */
}

static void
world(uint64_t seed, bool strict)
{
        static const char *const names[] = { "a", "b" };

        json_decref(stored);
        stored = NULL;
        t = START;
        both = 0;
        loss = 0;
        down = false;
        epp_rng_init(&dice, seed);
        for (size_t i = 0; i < 2; i++) {
                struct epp_lease_config cfg = config(names[i]);

                cfg.strict = strict;
                cfg.seed = seed * 2 + i;
                nodes[i] = (struct node){ .rate = 1 };
                ck_assert_int_eq(epp_lease_new(&cfg, &nodes[i].l), 0);
        }
}

static void
end_world(void)
{
        for (size_t i = 0; i < 2; i++) {
                epp_lease_free(nodes[i].l);
                free(nodes[i].reply);
        }
        json_decref(stored);
        stored = NULL;
}

static bool
leads(size_t i)
{
        return !nodes[i].dead && epp_lease_leading(nodes[i].l);
}

static void
run(epp_us how_long)
{
        for (epp_us end = t + how_long; t < end; t += MS) {
                turn(&nodes[t / MS % 2]);
                turn(&nodes[!(t / MS % 2)]);
                both += leads(0) && leads(1) ? MS : 0;
        }
}

/* Until somebody leads; how long that took. */
static epp_us
until_led(void)
{
        epp_us began = t;

        while (!leads(0) && !leads(1) && t < began + 60 * SECOND)
                run(MS);
        return t - began;
}

static size_t
leader(void)
{
        ck_assert_msg(leads(0) != leads(1), "%d lead", leads(0) + leads(1));
        return leads(1);
}

START_TEST(skewed_dates) /* #98 */
{
        static const int hours[][2] = { { 0, 0 }, { -1, 0 }, { 0, -1 }, { 1, 0 }, { 0, 1 }, { -1, 1 } };

        for (size_t i = 0; i < ARRAY_LEN(hours); i++) {
                epp_us took;
                size_t first;

                world(i, false);
                for (size_t k = 0; k < 2; k++) {
                        nodes[k].wall_offset = hours[i][k] * 3600 * SECOND;
                        nodes[k].offset = (epp_us)(k * 1000 + 7) * SECOND;
                }
                run(5 * SECOND);
                first = leader();
                changes = 0;
                run(300 * SECOND);
                ck_assert_uint_eq(leader(), first);
                ck_assert_int_eq(changes, 0);
                nodes[first].dead = true;
                took = until_led();
                ck_assert_int_ge(took, 13 * SECOND);
                ck_assert_int_le(took, 24 * SECOND);
                ck_assert_int_eq(both, 0);
                end_world();
        }
}
END_TEST

/* Clocks whose rates differ by less than duration / (retry + renew_deadline): as in client-go the
 * deadline runs from the first try that failed. */
START_TEST(fast_and_slow_clocks)
{
        for (uint64_t seed = 0; seed < 8; seed++) {
                world(seed, true);
                nodes[seed & 1].rate = 1.2;
                run(60 * SECOND);
                for (int i = 0; i < 20; i++) { /* a leader that hears nothing is down in time */
                        size_t was = leads(1);

                        nodes[was].cut = true;
                        run(30 * SECOND);
                        ck_assert_uint_eq(leader(), !was);
                        nodes[was].cut = false;
                        run(10 * SECOND);
                }
                ck_assert_int_eq(both, 0);
                end_world();
        }
}
END_TEST

/* What the others see of a crash is at most two of their waits (4.4 s) and the duration. */
START_TEST(crash)
{
        epp_us least = 60 * SECOND, most = 0;

        for (uint64_t seed = 0; seed < 200; seed++) {
                epp_us took;

                world(seed, false);
                run((10 + (epp_us)(seed % 7)) * SECOND + (epp_us)seed * 10 * MS);
                nodes[leader()].dead = true;
                took = until_led();
                least = EPP_MIN(least, took);
                most = EPP_MAX(most, took);
                ck_assert_int_eq(both, 0);
                end_world();
        }
        printf("# take-over after a crash: %d to %d ms\n", (int)(least / MS), (int)(most / MS));
        ck_assert_int_ge(least, 13 * SECOND);
        ck_assert_int_le(most, 23900 * MS);
}
END_TEST

START_TEST(handed_over)
{
        epp_us most = 0;

        for (uint64_t seed = 0; seed < 200; seed++) {
                epp_us took;
                size_t was;

                world(seed, false);
                run(10 * SECOND + (epp_us)seed * 10 * MS);
                was = leader();
                epp_lease_release(nodes[was].l, local(&nodes[was]));
                took = until_led();
                most = EPP_MAX(most, took);
                ck_assert_uint_eq(leader(), !was);
                ck_assert(epp_lease_released(nodes[was].l, local(&nodes[was])));
                ck_assert_int_eq(both, 0);
                end_world();
        }
        printf("# take-over of a released lease: at most %d ms\n", (int)(most / MS));
        ck_assert_int_le(most, 4550 * MS);
}
END_TEST

/* #97: the leader stays, one at any time; when the API is back, both lead for one retry at most. */
START_TEST(outage)
{
        for (uint64_t seed = 0; seed < 50; seed++) {
                size_t was;

                world(seed, false);
                run(10 * SECOND + (epp_us)seed * 10 * MS);
                was = leader();
                down = true;
                changes = 0;
                run(300 * SECOND);
                ck_assert_uint_eq(leader(), was);
                ck_assert_int_eq(changes, 0);
                down = false;
                run(20 * SECOND);
                (void)leader();
                ck_assert_int_le(both, 2100 * MS);
                end_world();
        }
}
END_TEST

START_TEST(outage_strict)
{
        for (uint64_t seed = 0; seed < 10; seed++) {
                world(seed, true);
                run(10 * SECOND + (epp_us)seed * 100 * MS);
                down = true;
                run(12100 * MS);
                ck_assert(!leads(0) && !leads(1));
                down = false;
                run(20 * SECOND);
                (void)leader();
                ck_assert_int_eq(both, 0);
                end_world();
        }
}
END_TEST

/* #99 for ever: a lease that keeps going away. */
START_TEST(deleted)
{
        world(3, false);
        for (int i = 0; i < 100; i++) {
                run(20 * SECOND + i * 37 * MS);
                (void)leader();
                json_decref(stored);
                stored = NULL;
        }
        ck_assert_int_le(both, 100 * 2100 * MS);
        end_world();
}
END_TEST

/* Requests to the lease that are lost, done or not, while others are answered: never two. */
START_TEST(losses)
{
        for (uint64_t seed = 0; seed < 20; seed++) {
                epp_us led = 0;

                world(seed, seed & 1);
                loss = 0.1 * (double)(1 + seed % 8);
                for (int i = 0; i < 600; i++) {
                        run(SECOND);
                        led += leads(0) || leads(1);
                }
                ck_assert_int_eq(both, 0);
                ck_assert_int_gt(led, 60);
                end_world();
        }
}
END_TEST

UNIT_MAIN("lease", conversations, bad_configurations, skewed_dates, fast_and_slow_clocks, crash,
        handed_over, outage, outage_strict, deleted, losses)
