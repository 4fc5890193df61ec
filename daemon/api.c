/* api.c - see api.h. A call waits for credentials, then for an address, then for its answer; its
 * `wake` event takes it one step further. */
#include "daemon/api.h"

#include <event2/event.h>
#include <time.h>

#include "daemon/creds.h"
#include "daemon/fetch.h"
#include "daemon/names.h"
#include "daemon/proxy.h"

#define CONNECTIONS 16 /* kept open; watches have their own */
#define CONNECT_MS 10000
#define RETRY_AFTER_MAX_S 60
#define WARNINGS_MAX 64
#define HEADERS_MAX 64
#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

#if defined(__x86_64__)
#define ARCH "amd64"
#elif defined(__aarch64__)
#define ARCH "arm64"
#else
#define ARCH "other"
#endif
/* Servers print JSON with blanks for curl's own, Wget's and Mozilla's. */
#define USER_AGENT "eppd/" EPPD_VERSION " (linux/" ARCH ")"

struct api {
        struct event_base *base;
        const struct epp_log *log;
        struct kubeconfig k;
        struct proxy proxy;
        struct creds *creds;
        struct names *names; /* NULL: the host is an address */
        struct fetcher *fetcher;
        char server[320], host_header[320], connect_to[600];
        const char *dial_host, *dial_port; /* of the proxy, if there is one */
        struct api_call *calls;
        void (*rotated)(void *ctx);
        void *rotated_ctx;
        uint64_t warned[WARNINGS_MAX]; /* hashes of texts */
        size_t n_warned;
        char trouble[300]; /* said last */
        struct api_stats stats;
};

struct api_call {
        struct api *api;
        struct api_call *prev, *next;
        const struct api_ops *ops;
        void *ctx;
        const char *method;
        char *path;
        struct epp_slice body; /* owned */
        unsigned timeout_ms;
        bool stream, failed;
        struct event *wake;
        struct names_ask *ask;
        struct fetch *fetch;
        uint64_t version; /* of the credentials it went with */
};

static void
call_free(struct api_call *c)
{
        char *body;

        if (c->prev)
                c->prev->next = c->next;
        else if (c->api->calls == c)
                c->api->calls = c->next;
        if (c->next)
                c->next->prev = c->prev;
        names_drop(c->ask);
        fetch_free(c->fetch);
        if (c->wake)
                event_free(c->wake);
        memcpy(&body, &c->body.p, sizeof(body));
        free(body);
        free(c->path);
        free(c);
}

static void
call_end(struct api_call *c, bool ok)
{
        const struct api_ops *ops = c->ops;
        void *ctx = c->ctx;

        call_free(c);
        ops->end(ctx, ok);
}

static void
wake(struct api_call *c)
{
        struct timeval now = {0, 0};

        evtimer_add(c->wake, &now);
}

/* Once per text: each request gets the same. */
static void
note_warnings(struct api *a, const struct fetch *f)
{
        const char *text;

        for (size_t i = 0; i < 8 && (text = fetch_header(f, "Warning", i)); i++) {
                uint64_t hash = 0xcbf29ce484222325u;
                size_t at = 0;

                if (strncmp(text, "299 ", 4) != 0)
                        continue;
                for (const char *p = text; *p; p++)
                        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
                while (at < a->n_warned && a->warned[at] != hash)
                        at++;
                if (at < a->n_warned || at == WARNINGS_MAX)
                        continue;
                a->warned[a->n_warned++] = hash;
                epp_log(a->log, EPP_LOG_WARN, "api_warning", LOG_T("text", text));
        }
}

static long
retry_after(const struct fetch *f)
{
        const char *text = fetch_header(f, "Retry-After", 0);
        int64_t s;
        char *end;

        if (!text)
                return -1;
        s = strtol(text, &end, 10);
        if (*text < '0' || *text > '9' || *end) {
                s = fetch_date(text);
                if (s < 0)
                        return -1;
                s -= time(NULL);
        }
        return (long)EPP_MAX(0, EPP_MIN(s, RETRY_AFTER_MAX_S));
}

static void
on_status(void *ctx, long http)
{
        struct api_call *c = ctx;

        note_warnings(c->api, c->fetch);
        c->ops->status(c->ctx, (int)http, retry_after(c->fetch));
}

static bool
on_data(void *ctx, struct epp_slice piece)
{
        struct api_call *c = ctx;

        return c->ops->data(c->ctx, piece);
}

/* A trouble is said once, until it is another one or gone; the others are for debugging. */
static void
say(struct api_call *c, enum fetch_result r, long http)
{
        struct api *a = c->api;
        bool fine = (r == FETCH_OK || r == FETCH_STATUS) && http < 500 && http != 401;
        const char *audit = fetch_header(c->fetch, "Audit-Id", 0);
        size_t path = strcspn(c->path, "?");
        char text[sizeof(a->trouble)];
        enum epp_log_level level;

        if (fine && http < 300) {
                *a->trouble = 0;
                return;
        }
        snprintf(
                text, sizeof(text), "%s %ld %s", fetch_result_name(r), http, fetch_error(c->fetch));
        level = fine || strcmp(text, a->trouble) == 0 ? EPP_LOG_DEBUG : EPP_LOG_WARN;
        if (!fine)
                memcpy(a->trouble, text, sizeof(text));
        epp_log(a->log, level, "api_error", LOG_T("server", a->server), LOG_T("method", c->method),
                LOG_S("path", epp_slice(c->path, path)), LOG_T("result", fetch_result_name(r)),
                LOG_N("status", http), LOG_T("audit", audit ? audit : ""),
                LOG_T("why", fetch_error(c->fetch)));
}

static void
count(const struct api_call *c, long http)
{
        static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
        struct api_stats *s = &c->api->stats;
        int code = http >= 100 && http < 600 ? (int)http : 0;
        const char *method = "";
        size_t i = 0;

        s->by_code[code / 100]++;
        for (size_t m = 0; m < ARRAY_LEN(methods); m++)
                if (strcmp(c->method, methods[m]) == 0)
                        method = methods[m];
        while (i < s->n_counts && (s->counts[i].method != method || s->counts[i].code != code))
                i++;
        if (i == ARRAY_LEN(s->counts))
                return;
        if (i == s->n_counts)
                s->counts[s->n_counts++] = (struct api_count){method, code, 0};
        s->counts[i].n++;
}

static void
on_done(void *ctx, enum fetch_result r, long http)
{
        struct api_call *c = ctx;
        struct api *a = c->api;

        count(c, http);
        say(c, r, http);
        if ((r == FETCH_CONNECT || r == FETCH_TIMEOUT) && http == 0 && a->names)
                names_doubt(a->names);
        if (http == 401)
                creds_refused(a->creds, c->version);
        call_end(c, r == FETCH_OK || r == FETCH_STATUS);
}

static const struct fetch_ops ops = {.data = on_data, .done = on_done, .status = on_status};

static bool
add_header(char **list, size_t *n, const char *name, const char *value)
{
        if (*n == HEADERS_MAX || asprintf(&list[*n], "%s: %s", name, value) < 0)
                return false;
        ++*n;
        return true;
}

/* All that a request needs beside Accept and Authorization. */
static bool
build_headers(struct api_call *c, char **list, size_t *n)
{
        const struct api *a = c->api;
        bool ok = true;

        if (*a->host_header)
                ok &= add_header(list, n, "Host", a->host_header);
        if (c->body.p)
                ok &= add_header(list, n, "Content-Type", "application/json");
        for (const struct kubeconfig_text *t = a->k.headers; t; t = t->next)
                ok &= add_header(list, n, t->name, t->value);
        return ok;
}

static int
new_fetch(struct api_call *c, const char *url, const char *resolve)
{
        struct api *a = c->api;
        char *list[HEADERS_MAX + 1];
        const char *headers[HEADERS_MAX + 1];
        size_t own = 0, n;
        struct fetch_more more = {.method = c->method,
                .body = c->body.p ? &c->body : NULL,
                .headers = headers,
                .user_agent = USER_AGENT,
                .resolve = resolve,
                .connect_to = *a->connect_to ? a->connect_to : NULL,
                .proxy = *a->proxy.url ? a->proxy.url : NULL,
                .ca = creds_ca(a->creds),
                .cert = creds_cert(a->creds),
                .key = creds_key(a->creds),
                .connect_timeout_ms = CONNECT_MS,
                .gzip = !c->stream && !a->k.no_gzip,
                .own_socket = c->stream};
        struct fetch_config cfg = {.url = url,
                .accept = "application/json",
                .timeout_ms = c->timeout_ms,
                .max_body = SIZE_MAX,
                .insecure = a->k.insecure,
                .more = &more};
        int r = -1;

        if (build_headers(c, list, &own)) {
                for (n = 0; n < own; n++)
                        headers[n] = list[n];
                if (creds_header(a->creds))
                        headers[n++] = creds_header(a->creds);
                more.n_headers = n;
                r = fetch_new(a->fetcher, &cfg, &ops, c, &c->fetch);
        }
        while (own)
                free(list[--own]);
        return r;
}

static void
send_request(struct api_call *c)
{
        struct api *a = c->api;
        const struct kubeconfig *k = &a->k;
        const char *host = k->tls && k->tls_name ? k->tls_name : k->host;
        bool six = strchr(host, ':') != NULL;
        const char *known = a->names ? names_known(a->names, a->dial_host) : NULL;
        char *url = NULL, *resolve = NULL;

        c->version = creds_version(a->creds);
        if (known && asprintf(&resolve, "%s:%s:%s", a->dial_host, a->dial_port, known) < 0)
                resolve = NULL;
        else if (asprintf(&url, "http%s://%s%s%s:%s%s%s", k->tls ? "s" : "", six ? "[" : "", host,
                         six ? "]" : "", k->port, k->prefix, c->path) < 0)
                url = NULL;
        if (url && new_fetch(c, url, resolve) == 0)
                c->failed = !fetch_start(c->fetch);
        else
                c->failed = true;
        free(url);
        free(resolve);
        if (c->failed)
                wake(c);
}

static void
on_name(void *ctx, bool ok)
{
        struct api_call *c = ctx;

        c->ask = NULL;
        if (!ok) {
                c->failed = true;
                if (strcmp(c->api->trouble, "dns") != 0)
                        epp_log(c->api->log, EPP_LOG_WARN, "api_error",
                                LOG_T("server", c->api->server), LOG_T("result", "dns"),
                                LOG_T("host", c->api->dial_host));
                snprintf(c->api->trouble, sizeof(c->api->trouble), "dns");
        }
        wake(c);
}

static void
on_wake(evutil_socket_t fd, short what, void *user)
{
        struct api_call *c = user;
        struct api *a = c->api;

        (void)fd, (void)what;
        if (c->failed) {
                count(c, 0);
                call_end(c, false);
                return;
        }
        if (c->fetch || c->ask)
                return;
        switch (creds_ready(a->creds)) {
        case CREDS_WAIT:
                return;
        case CREDS_NONE:
                c->failed = true;
                wake(c);
                return;
        case CREDS_OK:
                break;
        }
        if (!a->names || names_known(a->names, a->dial_host)) {
                send_request(c);
        } else if (names_ask(a->names, a->dial_host, on_name, c, &c->ask) < 0) {
                c->failed = true;
                wake(c);
        }
}

static void
on_changed(void *ctx)
{
        struct api *a = ctx;

        a->stats.rotations++;
        if (a->rotated)
                a->rotated(a->rotated_ctx);
}

/* The plugin has ended: those who wait for it look again. */
static void
on_ended(void *ctx)
{
        struct api *a = ctx;

        for (struct api_call *c = a->calls; c; c = c->next)
                wake(c);
}

/* Where to connect to, in the forms that log, headers and libcurl want. */
static void
set_addresses(struct api *a)
{
        const struct kubeconfig *k = &a->k;
        bool six = strchr(k->host, ':') != NULL, proxied = *a->proxy.url;
        const char *open = six ? "[" : "", *close = six ? "]" : "";

        snprintf(a->server, sizeof(a->server), "http%s://%s%s%s:%s", k->tls ? "s" : "", open,
                k->host, close, k->port);
        a->dial_host = proxied ? a->proxy.host : k->host;
        a->dial_port = proxied ? a->proxy.port : k->port;
        if (!k->tls || !k->tls_name)
                return;
        /* libcurl takes the name to check from the URL, and sends it as Host. */
        snprintf(
                a->host_header, sizeof(a->host_header), "%s%s%s:%s", open, k->host, close, k->port);
        snprintf(
                a->connect_to, sizeof(a->connect_to), "::%s%s%s:%s", open, k->host, close, k->port);
}

static int
start(struct api *a, const struct api_config *cfg, char *err, size_t err_size)
{
        struct kubeconfig_source from = cfg->from;
        struct creds_config who = {.k = &a->k,
                .log = a->log,
                .token_us = cfg->token_us,
                .ca_us = cfg->ca_us,
                .exec_ms = cfg->exec_ms,
                .changed = on_changed,
                .ended = on_ended,
                .ctx = a};

        if (!from.account)
                from.account = ACCOUNT;
        if (kubeconfig_load(&from, &a->k, err, err_size) < 0 ||
                proxy_choose(&a->k, from.env, &a->proxy, err, err_size) < 0 ||
                creds_new(a->base, &who, &a->creds, err, err_size) < 0)
                return -1;
        set_addresses(a);
        if (fetcher_new(a->base, CONNECTIONS, SPAN_API, &a->fetcher) < 0 ||
                (!names_is_address(a->dial_host) &&
                        names_new(a->base, cfg->resolv_conf, &a->names) < 0)) {
                snprintf(err, err_size, "out of memory");
                return -1;
        }
        epp_log(a->log, EPP_LOG_INFO, "api", LOG_T("server", a->server), LOG_T("from", a->k.origin),
                LOG_T("proxy", *a->proxy.url ? a->proxy.host : "none"));
        return 0;
}

int
api_new(struct event_base *base, const struct api_config *cfg, const struct epp_log *log,
        struct api **ret, char *err, size_t err_size)
{
        struct api *a = calloc(1, sizeof(*a));

        if (!a) {
                snprintf(err, err_size, "out of memory");
                return -1;
        }
        a->base = base;
        a->log = log;
        if (start(a, cfg, err, err_size) < 0) {
                api_free(a);
                return -1;
        }
        *ret = a;
        return 0;
}

void
api_free(struct api *a)
{
        if (!a)
                return;
        EPP_ASSERT(!a->calls);
        fetcher_free(a->fetcher);
        creds_free(a->creds);
        names_free(a->names);
        kubeconfig_fini(&a->k);
        free(a);
}

const char *
api_server(const struct api *a)
{
        return a->server;
}

const char *
api_namespace(const struct api *a)
{
        return a->k.namespace ? a->k.namespace : "";
}

int
api_begin(struct api *a, const struct api_request *q, const struct api_ops *user_ops, void *ctx,
        struct api_call **ret)
{
        struct api_call *c = calloc(1, sizeof(*c));

        if (!c)
                return -1;
        *c = (struct api_call){.api = a,
                .ops = user_ops,
                .ctx = ctx,
                .method = q->method,
                .path = strdup(q->path),
                .timeout_ms = q->timeout_ms,
                .stream = q->stream};
        if (q->body.n) {
                char *body = malloc(q->body.n);

                if (body)
                        memcpy(body, q->body.p, q->body.n);
                c->body = epp_slice(body, q->body.n);
        }
        c->wake = evtimer_new(a->base, on_wake, c);
        if (!c->path || !c->wake || (q->body.n && !c->body.p)) {
                call_free(c);
                return -1;
        }
        c->next = a->calls;
        if (c->next)
                c->next->prev = c;
        a->calls = c;
        wake(c);
        *ret = c;
        return 0;
}

void
api_drop(struct api_call *c)
{
        if (c)
                call_free(c);
}

void
api_on_rotation(struct api *a, void (*fn)(void *ctx), void *ctx)
{
        a->rotated = fn;
        a->rotated_ctx = ctx;
}

const struct api_stats *
api_stats(const struct api *a)
{
        return &a->stats;
}
