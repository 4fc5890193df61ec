/* test_reflector.c - what is asked, in which order and when, for every answer an API server gives.
 * A row is a conversation in virtual time:
 *   ?TEXT     a request is wanted whose URL has TEXT
 *   200 404.. the answer's status; R<s> before it: with Retry-After
 *   {..} text a piece of the body              .  its end        x  it is cut      !  refused, no
 * answer
 *   *         another reflector was answered
 *   @<ms>     time goes on; nothing may be wanted before (~<ms>: something may)
 *   #TEXT     the calls heard since the last # are TEXT      +  the credentials changed */
#include "serve/reflector.h"
#include "unit.h"

static const struct epp_jkeep notes[] = { EPP_REFLECT_KEEP_END, { NULL, NULL } };
static const struct epp_jkeep meta[] = { EPP_REFLECT_KEEP_META, { "annotations", notes },
        { NULL, NULL } };
static const struct epp_jkeep keep[] = { EPP_REFLECT_KEEP, { "metadata", meta }, { NULL, NULL } };

static char heard[512];
static struct epp_reflector *r;
static epp_us now;
static uint64_t running;

static void
hear(const char *what, struct epp_slice name)
{
        size_t n = strlen(heard);

        snprintf(heard + n, sizeof(heard) - n, "%s" SLICE_FMT " ", what, SLICE_ARG(name));
}

static struct epp_slice
name_of(const struct epp_node *o)
{
        const struct epp_node *n = epp_node_get(epp_node_get(o, "metadata"), "name");

        return n ? n->text : EPP_SLICE("?");
}

static void on_begin(void *ctx) { (void)ctx; hear("begin", EPP_SLICE("")); }
static void on_put(void *ctx, const struct epp_node *o) { (void)ctx; hear("+", name_of(o)); }
static void on_gone(void *ctx, const struct epp_node *o) { (void)ctx; hear("-", name_of(o)); }
static void on_synced(void *ctx) { (void)ctx; hear("synced", EPP_SLICE("")); }
static void on_absent(void *ctx) { (void)ctx; hear("absent", EPP_SLICE("")); }
static const struct epp_reflect_ops ops = { on_begin, on_put, on_gone, on_synced, on_absent };

static void
start(bool streaming)
{
        static const struct epp_log quiet = { .level = EPP_LOG_ERROR };
        struct epp_reflect_config cfg = { "pods", keep, &ops, NULL, &quiet, streaming, 7 };

        *heard = 0;
        running = 0;
        now = 1000000;
        ck_assert_int_eq(epp_reflector_new(&cfg, &r), 0);
        ck_assert_int_eq(
                epp_reflector_target(r, "/api/v1/namespaces/n/pods", "labelSelector=a%3Db", now),
                0);
}

#define LIST(page)                                                                                 \
        "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"10\"" page "},\"items\":["
#define POD(name) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"5\"}}"
#define EV(type, name, rv) "{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name                     \
        "\",\"resourceVersion\":\"" rv "\"}}}\n"
#define END(rv) "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv                    \
        "\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define ERR(code, reason)                                                                          \
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":" code                       \
        ",\"reason\":\"" reason "\"}}\n"
#define TOO_LARGE "{\"kind\":\"Status\",\"code\":504,\"reason\":\"Timeout\",\"details\":{\"causes\":["            \
        "{\"reason\":\"ResourceVersionTooLarge\"}],\"retryAfterSeconds\":1}}"
#define SYNCED "?limit=500&labelSelector=a%3Db|200|" LIST("") POD("a") "]}|.|#begin +a synced "

static const struct {
        const char *name;
        bool streaming;
        const char *script;
} rows[] = {
        { "list, then watch from its version", false,
                SYNCED
                "|?watch=1&allowWatchBookmarks=true|?&resourceVersion=10&labelSelector|200|" EV(
                        "ADDED", "b", "11") EV("MODIFIED", "b", "12")
                        EV("DELETED", "a", "13") "|#+b +b -a |.|~1000|"
                                                 "?&resourceVersion=13&" },
        { "an event in pieces, a cut one comes again", false,
                SYNCED "|?watch|200|{\"type\":\"ADD|ED\",\"object\":{\"metadata\":{\"na|me\":\"c\","
                       "\"resourceVersion\":"
                       "\"14\"}}}{\"type\":\"ADDED\",\"obj|x|#+c |~1000|?resourceVersion=14&" },
        { "pages: the first one's version counts", false,
                "?limit=500&label|200|" LIST(",\"continue\":\"t/k=\"") POD(
                        "a") "]}|.|?limit=500&continue=t%2Fk%3D&|200|"
                             "{\"items\":[" POD(
                                     "b") "],\"metadata\":{\"resourceVersion\":\"99\",\"continue\":"
                                          "\"u\"}}|.|?continue=u&|200|"
                                          "{\"metadata\":{\"resourceVersion\":\"99\"},\"items\":"
                                          "null}|.|#begin +a +b synced |?resourceVersion=10&" },
        { "#85 a page fails: all again, nothing swept", false,
                "?limit|200|" LIST(",\"continue\":\"c\"")
                        POD("a") "]}|.|?continue=c|500|.|#begin +a |~1700|"
                                 "?limit=500&labelSelector|#begin " },
        { "a page has expired: again, then in one piece", false,
                "?limit|200|" LIST(",\"continue\":\"c\"") "]}|.|?continue=c|410|.|?limit=500&l|"
                                                          "200|" LIST(
                                                                  ",\"continue\":\"d\"") "]}|.|"
                                                                                         "?continue"
                                                                                         "=d|410|.|"
                                                                                         "~1700|?"
                                                                                         "pods?"
                                                                                         "labelSele"
                                                                                         "ctor=a%"
                                                                                         "3Db" },
        { "streamed list", true,
                "?sendInitialEvents=true&resourceVersionMatch=NotOlderThan|200|" EV("ADDED", "a",
                        "3") "|#begin +a |" END("20") "|"
                                                      "#synced |" EV("ADDED", "b",
                                                              "21") "|.|~1000|?resourceVersion="
                                                                    "21&" },
        { "#88 streamed list refused", true, "?sendInitialEvents|422|.|?limit=500|#begin begin " },
        { "#89 an old etcd", true,
                "?sendInitialEvents|200|" ERR("500", "InternalError") "|.|?limit=500" },
        { "#90 a streamed list is cut", true,
                "?sendInitialEvents|200|" EV(
                        "ADDED", "a", "3") "|x|#begin +a |~1700|?sendInitialEvents" },
        { "a streamed list that cannot be read", true,
                "?sendInitialEvents|200|{\"type\":]|#begin |@790|~900|?limit=500" },
        { "a streamed list that does not begin", true,
                "?sendInitialEvents|200|@9900|~200|?limit=500" },
        { "a server that accepts and says nothing", true, "?sendInitialEvents|@59900|~200|?limit=500" },
        { "#80 resume from a bookmark", false,
                SYNCED "|?watch|200|{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{"
                       "\"resourceVersion\":\"77\"}}}|x|~1000|"
                       "?resourceVersion=77&" },
        { "#68 410 as a status", false, SYNCED "|?watch|410|.|?limit=500" },
        { "#69 410 as an event", false,
                SYNCED "|?watch|200|" ERR("410", "Expired") "|.|?limit=500|#begin " },
        { "#70 410 again at once", false,
                SYNCED
                "|?watch|410|.|?limit=500|200|" LIST("") "]}|.|?watch|410|.|@790|~900|?limit=500" },
        { "#71 an unknown error: resume, then list", false,
                SYNCED "|?watch|200|" ERR(
                        "500", "InternalError") "|.|@790|~900|?resourceVersion=10&|200|" ERR("500",
                        "InternalError") "|.|@1590|~1700|?limit=500" },
        { "#72 a clean end resumes", false,
                SYNCED "|?watch|200|@300000|.|~1000|?resourceVersion=10&" },
        { "#73 very short watches", false,
                SYNCED "|?watch|200|.|@790|~900|?resourceVersion=10&|200|.|@1590|~1700|?"
                       "resourceVersion=10&|200|.|@3190|~3300|?limit" },
        { "#91 429 with Retry-After", false,
                SYNCED "|?watch|R7 429|Too many requests|.|@6990|~20|?resourceVersion=10&" },
        { "#92 an HTML page", false,
                SYNCED "|?watch|503|<html>busy</html>|.|@790|~900|?limit=1&|200|" LIST(
                        "") "]}|.|?resourceVersion=10&" },
        { "an outage: peek, then go on", false,
                SYNCED "|?watch|!|@790|~900|?limit=1&|200|" LIST(",\"continue\":\"c\"") POD(
                        "z") "]}|.|#|?resourceVersion=10&" },
        { "an outage, back with an older version: list", false,
                SYNCED "|?watch|!|@790|~900|?limit=1&|!|@1590|~1700|?limit=1&|200|{\"metadata\":{"
                       "\"resourceVersion\":\"9\"},\"items\":[]}|.|?limit=500|#begin " },
        { "504 too large", false, SYNCED "|?watch|504|" TOO_LARGE "|.|@990|~1700|?limit=500" },
        { "#93 not followed", false, "?limit|302|.|@790|~900|?limit" },
        { "#56 not served", false,
                "?limit|404|404 page not found|.|#begin absent |@29990|~31000|?limit" },
        { "#60 forbidden", false, "?limit|403|.|@790|~900|?limit|403|.|@1590" },
        { "one of several hears of the end of an outage", false,
                "?limit|!|@790|~900|?limit|!|*|~260|?limit" },
        { "#77 garbage in a watch", false,
                SYNCED "|?watch|200|{\"type\":]|#|@790|~900|?limit=500" },
        { "#27 odd events", false,
                SYNCED "|?watch|200|" EV("RENAMED", "z",
                        "11") "{\"type\":\"ADDED\",\"object\":null}{\"type\":\"ADDED\","
                              "\"object\":{\"metadata\":{}}}[]3|" EV("ADDED", "b", "12") "|#+b " },
        { "#84 a list without a version", false,
                "?limit|200|{\"items\":[],\"metadata\":{}}|.|#begin synced |@29990|~60000|?limit" },
        { "a list that is none", false, "?limit|200|{}|.|#begin |~1700|?limit" },
        { "a list that ends early", false, "?limit|200|" LIST("") "|.|#begin |~1700|?limit" },
        { "#83 the periodic list", false, SYNCED "|?watch|200|~901000|?limit=500|#begin " },
        { "401, the token changed", false, "?limit|401|.|+|?limit" },
};

/* Wants a request whose URL has <text>, now. */
static void
wanted(const char *text, const char *where)
{
        struct epp_reflect_wish w;

        epp_reflector_wish(r, now, &w);
        ck_assert_msg(w.request && w.url, "%s: nothing is wanted", where);
        ck_assert_msg(strstr(w.url, text), "%s: %s", where, w.url);
        running = w.request;
}

static void
wait_ms(long ms, bool quiet, const char *where)
{
        struct epp_reflect_wish w;
        epp_us end = now + ms * 1000;

        while (now < end) {
                epp_reflector_wish(r, now, &w);
                if (w.request && w.request != running) {
                        ck_assert_msg(!quiet, "%s: wanted too early: %s", where, w.url);
                        return;
                }
                now = EPP_MIN(EPP_MAX(w.at, now + 1000), end);
        }
}

static void
step(char *word, const char *where)
{
        long retry = -1;

        if (*word == 'R') {
                retry = strtol(word + 1, &word, 10);
                word++;
        }
        if (*word == '?') {
                wanted(word[1] ? word + 1 : "", where);
        } else if (*word == '@' || *word == '~') {
                wait_ms(strtol(word + 1, NULL, 10), *word == '@', where);
        } else if (*word == '#') {
                ck_assert_msg(strcmp(heard, word + 1) == 0, "%s: heard '%s', wanted '%s'", where,
                        heard, word + 1);
                *heard = 0;
        } else if (strcmp(word, ".") == 0 || strcmp(word, "x") == 0 || strcmp(word, "!") == 0) {
                epp_reflector_end(r, running, *word == '.', now);
        } else if (strcmp(word, "*") == 0) {
                epp_reflector_nudge(r, now);
        } else if (strcmp(word, "+") == 0) {
                epp_reflector_new_credentials(r, now);
        } else if (strlen(word) == 3 && strtol(word, NULL, 10) >= 100) {
                epp_reflector_status(r, running, (int)strtol(word, NULL, 10), retry, now);
        } else if (epp_reflector_data(r, running, epp_slice_str(word), now) < 0) {
                epp_reflector_end(r, running, false, now);
        }
}

START_TEST(conversations)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                char *copy = strdup(rows[i].script), *save = NULL;

                start(rows[i].streaming);
                for (char *word = strtok_r(copy, "|", &save); word;
                        word = strtok_r(NULL, "|", &save))
                        step(word, rows[i].name);
                free(copy);
                epp_reflector_free(r);
        }
}
END_TEST

/* A new target while a request runs: the old one is no longer wanted, its late bytes are not heard.
 */
START_TEST(retarget)
{
        struct epp_reflect_wish w;
        uint64_t old;

        start(false);
        wanted("limit", "first");
        old = running;
        epp_reflector_status(r, old, 200, -1, now);
        ck_assert_int_eq(
                epp_reflector_target(r, "/api/v1/namespaces/n/pods", "labelSelector=c", now), 0);
        *heard = 0;
        ck_assert_int_eq(epp_reflector_data(r, old, EPP_SLICE(LIST("") POD("a") "]}"), now), 0);
        epp_reflector_end(r, old, true, now);
        ck_assert_str_eq(heard, "");
        epp_reflector_wish(r, now, &w);
        ck_assert(w.request != old);
        ck_assert_ptr_nonnull(strstr(w.url, "labelSelector=c"));
        ck_assert_int_eq(epp_reflector_target(r, NULL, NULL, now), 0);
        epp_reflector_wish(r, now, &w);
        ck_assert_uint_eq(w.request, 0);
        ck_assert(epp_reflector_state(r) == EPP_REFLECT_IDLE);
        epp_reflector_free(r);
}
END_TEST

/* #63: nobody answers for an hour. Often for five minutes, so that a short outage ends with it, then
 * seldom; always from where we were. */
START_TEST(outage)
{
        struct epp_reflect_wish w;
        epp_us began, last, gap = 0;
        int early = 0, late = 0;

        start(false);
        wanted("limit", "list");
        epp_reflector_status(r, running, 200, -1, now);
        ck_assert_int_eq(epp_reflector_data(r, running, EPP_SLICE(LIST("") "]}"), now), 0);
        epp_reflector_end(r, running, true, now);
        began = last = now;
        while (now < began + 3600 * (epp_us)1000000) {
                epp_reflector_wish(r, now, &w);
                if (!w.request) {
                        now = w.at;
                        continue;
                }
                ck_assert_ptr_nonnull(strstr(w.url, early ? "?limit=1&" : "resourceVersion=10&"));
                gap = now - last;
                last = now;
                if (now - began < 300000000)
                        ck_assert_int_le(gap, 4800000);
                now - began < 300000000 ? early++ : late++;
                epp_reflector_end(r, w.request, false, now);
        }
        ck_assert_int_ge(early, 60);
        ck_assert_int_le(early, 130);
        ck_assert_int_le(late, 120);
        ck_assert_int_ge(gap, 30000000);
        epp_reflector_free(r);
}
END_TEST

/* An event that never ends: given up at 16 MiB, and everything is listed again. */
START_TEST(endless_event)
{
        static char much[1 << 16];
        int n = 0;

        memset(much, 'x', sizeof(much));
        start(false);
        wanted("limit", "list");
        epp_reflector_status(r, running, 200, -1, now);
        ck_assert_int_eq(epp_reflector_data(r, running, EPP_SLICE(LIST("") "]}"), now), 0);
        epp_reflector_end(r, running, true, now);
        wanted("watch", "watch");
        epp_reflector_status(r, running, 200, -1, now);
        ck_assert_int_eq(epp_reflector_data(r, running,
                                 EPP_SLICE("{\"type\":\"ADDED\",\"object\":{\"a\":\""), now),
                0);
        while (epp_reflector_data(r, running, epp_slice(much, sizeof(much)), now) == 0)
                n++;
        ck_assert_int_eq(n, 255);
        epp_reflector_end(r, running, false, now);
        now += 2000000;
        wanted("limit", "again");
        ck_assert_uint_eq(epp_reflector_stats(r)->broken, 1);
        epp_reflector_free(r);
}
END_TEST

UNIT_MAIN("reflector", conversations, retarget, outage, endless_event)
