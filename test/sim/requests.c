/* requests.c - the verbs of requests and responses, and what is expected of a request. */
#include "fail/alloc.h"
#include "sim/verbs.h"

static const char *const fates[] = { "open", "pick", "refused", "error", "passed" };
static const char *const modes[] = { "none", "streamed", "buffered", "partial", "duplex" };

struct call *
play_call(struct play *p, const char *id)
{
        for (struct call *c = p->w.envoy.calls; c; c = c->next)
                if (strcmp(c->id, id) == 0)
                        return c;
        if (!p->lenient)
                play_fail(p, "no such request: %s", id);
        return NULL;
}

/* What a request line says, before the arrow. */
struct ask {
        char body[1 << 21], subset[1024];
        const char *path, *method;
        int mode, response_mode;
        size_t cut, times;
        bool bodyless, unfinished, trailers;
};

static int
mode_option(struct play *p, const char *key, int def)
{
        const char *text = play_option(p, key);

        for (int i = 0; text && i < (int)ARRAY_LEN(modes); i++)
                if (strcmp(text, modes[i]) == 0)
                        return i;
        if (text)
                play_fail(p, "%s is none, streamed, buffered, partial or duplex", key);
        return def;
}

/* Names of the hint become addresses; what is no name is sent as it is. */
static void
read_subset(struct play *p, struct ask *a)
{
        struct epp_slice rest = epp_slice_str(play_option(p, "subset"));
        size_t n = 0;

        while (rest.p && n < sizeof(a->subset)) {
                struct epp_slice one = epp_slice_cut(&rest, ',');
                const struct server *s;
                char name[128];

                snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(one));
                s = world_server(&p->w, name);
                n += (size_t)snprintf(a->subset + n, sizeof(a->subset) - n, "%s%s", n ? "," : "",
                        s ? s->addr : name);
        }
}

static bool
read_ask(struct play *p, struct ask *a)
{
        const char *model = play_option(p, "model"), *body = play_option(p, "body");
        const char *path = play_option(p, "path"), *method = play_option(p, "method");

        size_t pad = (size_t)play_number_option(p, "pad", 0);

        if (pad > sizeof(a->body) / 2)
                return play_fail(p, "pad is at most %zu", sizeof(a->body) / 2);
        memset(a->body, ' ', pad);
        a->subset[0] = 0;
        a->path = path ? path : "/v1/chat/completions";
        a->method = method ? method : "POST";
        snprintf(a->body + pad, sizeof(a->body) - pad,
                model ? "{\"model\":\"%s\",\"messages\":[{}]}" : "%s",
                model ? model : body ? body : "");
        a->mode = mode_option(p, "mode", EPP_MODE_DUPLEX);
        a->response_mode = mode_option(p, "response",
                a->mode == EPP_MODE_DUPLEX ? EPP_MODE_DUPLEX : EPP_MODE_STREAMED);
        a->cut = (size_t)play_number_option(p, "cut", 64000);
        a->times = (size_t)play_number_option(p, "times", 1);
        a->bodyless = play_flag(p, "bodyless");
        a->unfinished = play_flag(p, "unfinished");
        a->trailers = play_flag(p, "trailers");
        if (play_option(p, "subset"))
                read_subset(p, a);
        return !p->failed;
}

static void
say_headers(struct call *c, const struct ask *a, const char *subset)
{
        struct epp_ext_pair h[] = { { EPP_SLICE(":method"), epp_slice_str(a->method) },
                { EPP_SLICE(":path"), epp_slice_str(a->path) },
                { EPP_SLICE("x-request-id"), epp_slice_str(c->id) } };

        envoy_say(c, &(struct message){ .kind = EPP_EXT_REQUEST_HEADERS, .headers = h,
                .n_headers = ARRAY_LEN(h), .end = a->bodyless, .subset = subset,
                .request_mode = a->mode, .response_mode = a->response_mode });
}

static void
say_body(struct call *c, const struct ask *a)
{
        size_t n = strlen(a->body), at = 0, piece = a->mode == EPP_MODE_BUFFERED ? n : a->cut;

        do {
                size_t k = EPP_MIN(n - at, piece);

                at += k;
                envoy_say(c, &(struct message){ .kind = EPP_EXT_REQUEST_BODY,
                        .body = epp_slice(a->body + at - k, k), .request_mode = -1,
                        .end = at == n && !a->unfinished && !a->trailers });
        } while (at < n && !c->closed);
        if (a->trailers && !a->unfinished)
                envoy_say(c, &(struct message){ .kind = EPP_EXT_REQUEST_TRAILERS,
                        .request_mode = -1 });
}

/* One request as the gateway would send it; NULL when the connection does not take it. */
static struct call *
ask_once(struct play *p, const struct ask *a)
{
        struct envoy *e = world_envoy(&p->w);
        struct call *c = e ? envoy_open(e, p->word[0], ENVOY_PROCESS) : NULL;

        if (!c)
                return NULL;
        c->mode = (enum epp_body_mode)a->mode;
        c->has_body = !a->bodyless;
        c->trailers = a->trailers;
        say_headers(c, a, play_option(p, "subset") ? a->subset : NULL);
        if (!a->bodyless && a->mode != EPP_MODE_NONE && !c->closed)
                say_body(c, a);
        return c;
}

static void
respond_all(struct call *c)
{
        struct epp_ext_pair h[] = { { EPP_SLICE(":status"), EPP_SLICE("200") } };

        envoy_say(c, &(struct message){ .kind = EPP_EXT_RESPONSE_HEADERS, .headers = h,
                .n_headers = 1, .request_mode = -1 });
        envoy_say(c, &(struct message){ .kind = EPP_EXT_RESPONSE_BODY, .body = EPP_SLICE("{}"),
                .end = true, .request_mode = -1 });
        envoy_half_close(c);
}

/* ---- what is expected ---- */

static const char *
name_at(const struct play *p, const char *addr)
{
        for (const struct server *s = p->w.servers; s; s = s->next)
                if (strcmp(s->addr, addr) == 0)
                        return s->name;
        return addr;
}

/* True when <name> is one of "a|b|c". */
static bool
one_of(const char *set, const char *name)
{
        struct epp_slice rest = epp_slice_str(set);

        while (rest.p)
                if (epp_slice_eq(epp_slice_cut(&rest, '|'), epp_slice_str(name)))
                        return true;
        return false;
}

/* Words behind the arrow: FATE [set] [as MODEL]. */
struct wish {
        char **word;
        size_t n;
        const char *model;
        double code;
};

static bool
read_wish(struct play *p, struct wish *w)
{
        size_t i = 0;

        while (i < p->n && strcmp(p->word[i], "->") != 0)
                i++;
        if (i + 1 >= p->n)
                return play_fail(p, "what becomes of it? -> pick NAME, 404, open, share ...");
        *w = (struct wish){ .word = p->word + i + 1, .n = p->n - i - 1 };
        p->n = i; /* options stand before the arrow */
        if (w->n > 2 && strcmp(w->word[w->n - 2], "as") == 0) {
                w->model = w->word[w->n - 1];
                w->n -= 2;
        }
        if (strcmp(w->word[0], "pick") == 0 && w->n != 2)
                return play_fail(p, "-> pick A|B [as MODEL]");
        return true;
}

static bool
in_subset(const struct ask *a, const char *endpoint)
{
        struct epp_slice rest = epp_slice_str(a->subset), e = epp_slice_str(endpoint);

        while (rest.p) {
                struct epp_slice one = epp_slice_trim(epp_slice_cut(&rest, ','));

                if (one.n && epp_slice_has_prefix(e, one))
                        return true;
        }
        return false;
}

/* What holds for every request even when allocations fail. */
static bool
check_safe(struct play *p, const struct call *c, const struct ask *a, const struct wish *w,
        enum fate fate)
{
        int code = play_number(w->word[0], &(double){ 0 }) ? (int)strtol(w->word[0], NULL, 10) : 0;
        char model[1100];

        envoy_model(c, model, sizeof(model));
        if (fate == FATE_OPEN && strcmp(w->word[0], "open") != 0)
                return play_fail(p, "%s hangs: no verdict, and it is open (answers \"%s\")",
                        c->id, c->answers);
        if (fate == FATE_PASSED)
                return play_fail(p, "%s was let through without a verdict", c->id);
        if (a->subset[0] && fate == FATE_PICK && !in_subset(a, c->endpoint))
                return play_fail(p, "%s was sent to %s, outside of its subset", c->id, c->endpoint);
        if (p->degraded)
                return true;
        if (fate == FATE_REFUSED && c->http < 429 && c->http != code)
                return play_fail(p, "%s was blamed for what it did not do: %d %s", c->id, c->http,
                        c->text);
        if (fate != FATE_PICK)
                return true;
        if (code == 400 || code == 404 || code == 413)
                return play_fail(p, "%s was routed, expected %d", c->id, code);
        if (w->model && model[0] && strcmp(w->model, model) != 0)
                return play_fail(p, "%s goes on as %s, expected %s", c->id, model, w->model);
        return true;
}

static bool
check_wish(struct play *p, const struct call *c, const struct wish *w, enum fate fate)
{
        const char *got = fate == FATE_PICK ? name_at(p, c->endpoint) : fates[fate];
        char model[1100];
        double code;

        if (play_number(w->word[0], &code)) {
                if (fate != FATE_REFUSED || c->http != (int)code)
                        return play_fail(p, "%s: expected %s, got %s (%d %s)", c->id, w->word[0],
                                got, c->http, c->text);
                return w->n < 2 || strstr(c->text, w->word[1]) ||
                       play_fail(p, "%s: \"%s\" does not say \"%s\"", c->id, c->text, w->word[1]);
        }
        if (strcmp(w->word[0], "pick") == 0) {
                if (fate != FATE_PICK || !one_of(w->word[1], got))
                        return play_fail(p, "%s: expected pick %s, got %s (%d %s)", c->id,
                                w->word[1], got, c->http, c->text);
        } else if (strcmp(w->word[0], fates[fate]) != 0 && strcmp(w->word[0], "share") != 0) {
                return play_fail(p, "%s: expected %s, got %s (%d %s)", c->id, w->word[0], got,
                        c->http, c->text);
        }
        envoy_model(c, model, sizeof(model));
        return !w->model || strcmp(model, w->model) == 0 ||
               play_fail(p, "%s: goes on as \"%s\", expected %s", c->id, model, w->model);
}

/* Counts by name: endpoints, and models that went on. */
struct tally {
        char name[64];
        size_t n;
};
#define TALLIES 64

static void
count(struct tally *t, const char *name)
{
        for (size_t i = 0; i < TALLIES && name[0]; i++) {
                if (t[i].n && strcmp(t[i].name, name) != 0)
                        continue;
                snprintf(t[i].name, sizeof(t[i].name), "%s", name);
                t[i].n++;
                return;
        }
}

static size_t
counted(const struct tally *t, struct epp_slice name)
{
        for (size_t i = 0; i < TALLIES; i++)
                if (t[i].n && epp_slice_eq(epp_slice_str(t[i].name), name))
                        return t[i].n;
        return 0;
}

/* -> share NAME LOW..HIGH ...; and of -> pick A|B every one must have come up. */
static bool
check_shares(struct play *p, const struct wish *w, const struct tally *t, size_t times)
{
        struct epp_slice rest = epp_slice_str(w->word[1]), name;

        if (strcmp(w->word[0], "pick") == 0) {
                while (rest.p) {
                        name = epp_slice_cut(&rest, '|');
                        if (times > 20 && counted(t, name) == 0)
                                return play_fail(p, SLICE_FMT " was never picked", SLICE_ARG(name));
                }
                return true;
        }
        for (size_t i = 1; i + 1 < w->n && strcmp(w->word[0], "share") == 0; i += 2) {
                size_t n = counted(t, epp_slice_str(w->word[i]));
                double low, high, got = (double)n / (double)times;

                if (!play_range(p, w->word[i + 1], &low, &high))
                        return false;
                if (got < low || got > high)
                        return play_fail(p, "%s has a share of %.3f, expected %s", w->word[i], got,
                                w->word[i + 1]);
        }
        return true;
}

bool
verb_request(struct play *p)
{
        static struct ask a;
        struct tally tally[TALLIES] = { { "", 0 } };
        struct wish w = { .n = 0 };

        if (!read_wish(p, &w) || !read_ask(p, &a))
                return false;
        if (p->lenient)
                a.times = EPP_MIN(a.times, (size_t)3);
        for (size_t i = 0; i < a.times; i++) {
                struct call *c = ask_once(p, &a);
                enum fate fate = c ? envoy_fate(c) : FATE_ERROR;
                char model[1100];

                if (!c && !p->lenient && strcmp(w.word[0], "error") != 0)
                        return play_fail(p, "the connection takes no request");
                if (!c)
                        continue;
                if (!check_safe(p, c, &a, &w, fate) || (!p->lenient && !check_wish(p, c, &w, fate)))
                        return false;
                envoy_model(c, model, sizeof(model));
                count(tally, fate == FATE_PICK ? name_at(p, c->endpoint) : "");
                count(tally, model);
                if (a.times > 1 && !c->closed)
                        respond_all(c);
        }
        return p->lenient || a.times == 1 || check_shares(p, &w, tally, a.times);
}

/* "\n" in a text stands for a line feed. */
static struct epp_slice
read_text(struct play *p)
{
        static char out[4096];
        const char *in = play_option(p, "text");
        size_t n = 0;

        for (; in && *in && n < sizeof(out); n++) {
                bool feed = in[0] == '\\' && in[1] == 'n';

                out[n] = feed ? '\n' : *in;
                in += feed ? 2 : 1;
        }
        return epp_slice(out, n);
}

bool
verb_respond(struct play *p)
{
        struct call *c = play_call(p, p->word[0]);
        const char *status = play_option(p, "status"), *type = play_option(p, "type");
        struct epp_ext_pair h[] = {
                { EPP_SLICE(":status"), epp_slice_str(status ? status : "200") },
                { EPP_SLICE("content-type"), epp_slice_str(type ? type : "application/json") } };
        struct message m = { .request_mode = -1, .end = play_flag(p, "end"),
                .body = read_text(p) };

        if (!c)
                return p->lenient;
        if (strcmp(p->word[1], "headers") == 0) {
                m.kind = EPP_EXT_RESPONSE_HEADERS;
                m.headers = h;
                m.n_headers = ARRAY_LEN(h);
        } else if (strcmp(p->word[1], "body") == 0) {
                m.kind = EPP_EXT_RESPONSE_BODY;
        } else if (strcmp(p->word[1], "trailers") == 0) {
                m.kind = EPP_EXT_RESPONSE_TRAILERS;
        } else if (strcmp(p->word[1], "garbage") != 0) {
                return play_fail(p, "a response has headers, body and trailers, or is garbage");
        }
        envoy_say(c, &m);
        return true;
}

bool
verb_end(struct play *p)
{
        struct call *c = play_call(p, p->word[0]);

        if (c)
                respond_all(c);
        return c || p->lenient;
}

bool
verb_reset(struct play *p)
{
        struct call *c = play_call(p, p->word[0]);

        if (c)
                envoy_reset(c, NGHTTP2_CANCEL);
        return c || p->lenient;
}

bool
verb_close(struct play *p)
{
        struct call *c = play_call(p, p->word[0]);

        if (c)
                envoy_half_close(c);
        return c || p->lenient;
}
