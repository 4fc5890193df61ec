/* fetch.c - see fetch.h: libcurl's multi-socket interface on libevent. */
#include "daemon/fetch.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/status.h"
#include "daemon/loop.h"

/* A usual page in one read: with 16 KiB four reads and five polls. 1,000 endpoints take 33 MiB
 * with this, 31 MiB with 16 KiB (measured). */
#define BUFFER 98304
#define MORE_BUFFER 65536
/* libcurl reads on while there is something to read, up to 100 buffers: 6 MB of a list are 23 ms
 * (measured). After so long the transfer pauses and others have their turn. */
#define SLICE_US 1000
/* A peer that vanished: half a minute of silence, then probes; unanswered data is given up too. */
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_STEP_S 15
#define UNANSWERED_MS 45000
/* API servers drop idle connections at 90 s; libcurl would use them until 118 s. */
#define IDLE_MAX_S 60

/* A descriptor that libcurl wants watched. Of a connection it stays watched between transfers: else
 * each page costs two epoll_ctl, and an event made and freed. */
struct watch {
        struct event *ev; /* NULL: none */
        short what;
        bool connection;  /* not one of libcurl's own pairs, whose close is not told */
        bool wanted;
};

struct fetcher {
        struct event_base *base;
        struct watch *watches; /* by descriptor */
        size_t n_watches;
        CURLM *multi;
        struct event *timer, *resume;
        struct fetch *paused;
        epp_us slice_began;
        uint64_t spent_us;
        enum span_kind span;
        bool several; /* a name has more than one address */
        bool refused; /* a connect failed, in this action */
};

struct fetch {
        struct fetcher *fr;
        struct fetch *next; /* in paused */
        CURL *easy;
        struct curl_slist *headers, *resolve, *connect_to;
        const struct fetch_ops *ops;
        void *ctx;
        size_t max_body, got;
        long status;
        bool any;  /* every answer is delivered */
        bool gzip;
        bool busy, too_large, encoded, begun, paused;
        char *error; /* CURL_ERROR_SIZE, or NULL */
};

const char *
fetch_result_name(enum fetch_result r)
{
        static const char *const names[FETCH_RESULTS] = { "ok", "connect", "timeout", "status",
                "too_large", "truncated", "encoding" };

        return names[r];
}

static enum fetch_result
classify(const struct fetch *f, CURLcode code)
{
        if (f->too_large)
                return FETCH_TOO_LARGE;
        if (f->encoded)
                return FETCH_ENCODING;
        switch (code) {
        case CURLE_WRITE_ERROR: /* not ours: libcurl's unpacking */
        case CURLE_BAD_CONTENT_ENCODING:
                return FETCH_ENCODING;
        case CURLE_OK:
                return f->status == 200 ? FETCH_OK : FETCH_STATUS;
        case CURLE_OPERATION_TIMEDOUT:
                return FETCH_TIMEOUT;
        case CURLE_PARTIAL_FILE:
        case CURLE_RECV_ERROR:
        case CURLE_HTTP2_STREAM:
                return f->status == 200 ? FETCH_TRUNCATED : FETCH_CONNECT;
        default:
                return FETCH_CONNECT;
        }
}

static void
unlink_paused(struct fetch *f)
{
        struct fetch **at = &f->fr->paused;

        if (!f->paused)
                return;
        while (*at != f)
                at = &(*at)->next;
        *at = f->next;
        f->paused = false;
}

static void
finish(struct fetch *f, CURLcode code)
{
        unlink_paused(f);
        curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &f->status);
        curl_multi_remove_handle(f->fr->multi, f->easy);
        f->busy = false;
        f->ops->done(f->ctx, classify(f, code), f->status);
}

static void
collect(struct fetcher *fr)
{
        CURLMsg *msg;
        int left;

        while ((msg = curl_multi_info_read(fr->multi, &left))) {
                CURLcode code = msg->data.result;
                struct fetch *f;

                if (msg->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &f);
                finish(f, code);
        }
}

/* ---- slices ---- */

static void
pause_fetch(struct fetch *f)
{
        struct timeval now = { 0, 0 };

        f->paused = true;
        f->next = f->fr->paused;
        f->fr->paused = f;
        evtimer_add(f->fr->resume, &now);
}

/* One fetch a turn: what libcurl holds of it comes at once. */
static void
on_resume(evutil_socket_t fd, short what, void *user)
{
        struct fetcher *fr = user;
        struct span span = span_begin(fr->span);
        struct timeval now = { 0, 0 };
        struct fetch *f = fr->paused;
        CURLcode code;

        (void)fd, (void)what;
        if (!f)
                return;
        while (f->next)
                f = f->next; /* the one that waits longest */
        unlink_paused(f);
        fr->slice_began = span.wall;
        code = curl_easy_pause(f->easy, CURLPAUSE_CONT);
        fr->spent_us += (uint64_t)(loop_now(fr->base) - span.wall);
        if (code != CURLE_OK && !f->paused)
                finish(f, code);
        if (fr->paused)
                evtimer_add(fr->resume, &now);
        span_end(fr->span, span);
}

/* libcurl 7.88 takes up the next address of a name when it is called again, and names neither a
 * time for that nor the transfer: it would be half the limit for connecting, 5 s (seen). What its
 * manual advises instead of this call reaches neither. */
static void
next_address(struct fetcher *fr)
{
        int running;

        if (!fr->refused)
                return;
        fr->refused = false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        curl_multi_socket_all(fr->multi, &running);
#pragma GCC diagnostic pop
}

/* Lets libcurl act on <fd>, then hears what has ended; the time is counted. */
static void
act(struct fetcher *fr, curl_socket_t fd, int flags)
{
        struct span span = span_begin(fr->span);
        int running;

        fr->slice_began = span.wall;
        curl_multi_socket_action(fr->multi, fd, flags, &running);
        next_address(fr);
        collect(fr);
        fr->spent_us += (uint64_t)(loop_now(fr->base) - span.wall);
        span_end(fr->span, span);
}

uint64_t
fetcher_spent(const struct fetcher *fr)
{
        return fr->spent_us;
}

static void
on_socket(evutil_socket_t fd, short what, void *user)
{
        struct fetcher *fr = user;
        int flags = (what & EV_READ ? CURL_CSELECT_IN : 0) |
                    (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

        if (fr->watches[fd].wanted)
                act(fr, fd, flags);
        else /* the peer closes; libcurl sees it when it takes the connection up again */
                event_del(fr->watches[fd].ev);
}

static void
on_timer(evutil_socket_t fd, short what, void *user)
{
        (void)fd, (void)what;
        act(user, CURL_SOCKET_TIMEOUT, 0);
}

static int
want_timer(CURLM *multi, long ms, void *user)
{
        struct fetcher *fr = user;
        struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

        (void)multi;
        if (ms < 0)
                evtimer_del(fr->timer);
        else
                evtimer_add(fr->timer, &tv);
        return 0;
}

/* The place of <fd>, or NULL without memory. */
static struct watch *
watch_of(struct fetcher *fr, curl_socket_t fd)
{
        size_t n = (size_t)fd + 1;
        struct watch *more;

        if (n <= fr->n_watches)
                return &fr->watches[fd];
        n += n / 2;
        more = realloc(fr->watches, n * sizeof(*more));
        if (!more)
                return NULL;
        memset(more + fr->n_watches, 0, (n - fr->n_watches) * sizeof(*more));
        fr->watches = more;
        fr->n_watches = n;
        return &more[fd];
}

static bool
is_connection(curl_socket_t fd)
{
        int domain = AF_UNIX;
        socklen_t n = sizeof(domain);

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain != AF_UNIX;
}

static void
unwatch(struct watch *w)
{
        if (w->ev)
                event_free(w->ev);
        w->ev = NULL;
}

static int
want_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket)
{
        struct fetcher *fr = user;
        struct watch *w = watch_of(fr, fd);
        short events = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
                               (what & CURL_POLL_OUT ? EV_WRITE : 0));

        (void)easy, (void)socket;
        if (!w)
                return -1;
        w->wanted = what != CURL_POLL_REMOVE;
        if (!w->wanted) {
                if (!w->connection || w->what & EV_WRITE)
                        unwatch(w);
                return 0;
        }
        if (w->ev && w->what != events)
                unwatch(w);
        if (!w->ev) {
                w->ev = event_new(fr->base, fd, events, on_socket, fr);
                w->connection = is_connection(fd);
        }
        w->what = events;
        /* Does nothing when it is armed. */
        return w->ev && event_add(w->ev, NULL) == 0 ? 0 : -1;
}

/* A connection's descriptor is made. One whose connect failed was closed without a word, and
 * libcurl asks for no other watch when the next address has the same number: it is armed anew. */
static void
adopt(struct fetcher *fr, curl_socket_t fd)
{
        struct watch *w = watch_of(fr, fd);

        if (!w || !w->ev)
                return;
        event_del(w->ev);
        event_add(w->ev, NULL);
}

static int
close_socket(void *user, curl_socket_t fd)
{
        struct fetcher *fr = user;

        if ((size_t)fd < fr->n_watches) {
                fr->refused |= fr->several && fr->watches[fd].what & EV_WRITE;
                unwatch(&fr->watches[fd]);
                fr->watches[fd] = (struct watch){ 0 };
        }
        return close(fd);
}

int
fetcher_new(struct event_base *base, long connections, enum span_kind span, struct fetcher **ret)
{
        struct fetcher *fr = calloc(1, sizeof(*fr));

        if (!fr)
                return EPP_ENOMEM;
        fr->base = base;
        fr->span = span;
        fr->multi = curl_multi_init();
        fr->timer = evtimer_new(base, on_timer, fr);
        fr->resume = evtimer_new(base, on_resume, fr);
        if (!fr->multi || !fr->timer || !fr->resume) {
                fetcher_free(fr);
                return EPP_ENOMEM;
        }
        curl_multi_setopt(fr->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
        curl_multi_setopt(fr->multi, CURLMOPT_SOCKETDATA, fr);
        curl_multi_setopt(fr->multi, CURLMOPT_TIMERFUNCTION, want_timer);
        curl_multi_setopt(fr->multi, CURLMOPT_TIMERDATA, fr);
        curl_multi_setopt(fr->multi, CURLMOPT_MAXCONNECTS, connections);
        *ret = fr;
        return 0;
}

void
fetcher_free(struct fetcher *fr)
{
        if (!fr)
                return;
        if (fr->multi)
                curl_multi_cleanup(fr->multi);
        for (size_t i = 0; i < fr->n_watches; i++)
                unwatch(&fr->watches[i]);
        if (fr->timer)
                event_free(fr->timer);
        if (fr->resume)
                event_free(fr->resume);
        free(fr->watches);
        free(fr);
}

/* Nothing is asked for, and libcurl undoes nothing that it did not ask for. */
static bool
is_encoded(const struct fetch *f)
{
        struct curl_header *h;

        return curl_easy_header(f->easy, "Content-Encoding", 0, CURLH_HEADER, -1, &h) ==
                       CURLHE_OK &&
               !epp_slice_ieq(epp_slice_str(h->value), EPP_SLICE("identity"));
}

static size_t
on_body(char *p, size_t size, size_t n, void *user)
{
        struct fetch *f = user;
        size_t all = size * n, fits = EPP_MIN(all, f->max_body - f->got);

        if (loop_now(f->fr->base) - f->fr->slice_began > SLICE_US) {
                pause_fetch(f);
                return CURL_WRITEFUNC_PAUSE; /* the piece comes again */
        }
        if (f->got == 0) {
                curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &f->status);
                f->encoded = !f->gzip && is_encoded(f);
        }
        if (f->encoded && (f->status == 200 || f->any))
                return 0; /* ends the transfer */
        f->got += fits;
        f->too_large = fits < all;
        if ((f->status == 200 || f->any) && fits && !f->ops->data(f->ctx, epp_slice(p, fits)))
                f->too_large = true;
        return f->too_large ? 0 : all; /* 0 ends the transfer */
}

/* The empty line after the headers of an answer that is not "100 Continue"; trailers come later. */
static size_t
on_header(char *p, size_t size, size_t n, void *user)
{
        struct fetch *f = user;
        size_t all = size * n;

        if (f->begun || all == 0 || (*p != '\r' && *p != '\n'))
                return all;
        curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &f->status);
        if (f->status < 200)
                return all;
        f->begun = true;
        if (f->ops->status)
                f->ops->status(f->ctx, f->status);
        return all;
}

/* Scrapes leave the last 64 descriptors, or half of fewer than 128, to gateways and probes. */
static int
spare_descriptors(void *user, curl_socket_t fd, curlsocktype type)
{
        struct rlimit r;

        (void)type;
        adopt(user, fd);
        if (getrlimit(RLIMIT_NOFILE, &r) < 0)
                return CURL_SOCKOPT_OK;
        return (rlim_t)fd < r.rlim_cur - EPP_MIN(r.rlim_cur / 2, (rlim_t)64) ? CURL_SOCKOPT_OK
                                                                          : CURL_SOCKOPT_ERROR;
}

static int
tune_socket(void *user, curl_socket_t fd, curlsocktype type)
{
        unsigned ms = UNANSWERED_MS;

        (void)type;
        adopt(user, fd);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
        return CURL_SOCKOPT_OK;
}

static bool
append(struct curl_slist **list, const char *text)
{
        struct curl_slist *longer = text ? curl_slist_append(*list, text) : *list;

        if (longer)
                *list = longer;
        return longer || !text;
}

static void
set_blob(CURL *e, CURLoption option, struct epp_slice pem)
{
        char *data = NULL;
        struct curl_blob blob;

        if (pem.n == 0)
                return;
        memcpy(&data, &pem.p, sizeof(data)); /* CURL_BLOB_COPY only reads it */
        blob = (struct curl_blob){ data, pem.n, CURL_BLOB_COPY };
        curl_easy_setopt(e, option, &blob);
}

static void
set_tls(CURL *e, const struct fetch_more *m)
{
        set_blob(e, CURLOPT_CAINFO_BLOB, m->ca);
        set_blob(e, CURLOPT_SSLCERT_BLOB, m->cert);
        set_blob(e, CURLOPT_SSLKEY_BLOB, m->key);
        curl_easy_setopt(e, CURLOPT_SSLCERTTYPE, "PEM");
        curl_easy_setopt(e, CURLOPT_SSLKEYTYPE, "PEM");
        curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 300L); /* of the system's */
}

static void
set_method(CURL *e, const struct fetch_more *m)
{
        if (m->body) {
                curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)m->body->n);
                curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, m->body->n ? m->body->p : "");
        }
        if (m->method)
                curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m->method);
}

static int
set_more(struct fetch *f, const struct fetch_more *m)
{
        CURL *e = f->easy;

        f->error = calloc(1, CURL_ERROR_SIZE);
        if (!f->error || !append(&f->resolve, m->resolve) ||
                !append(&f->connect_to, m->connect_to) || !append(&f->headers, "Expect:"))
                return EPP_ENOMEM;
        for (size_t i = 0; i < m->n_headers; i++)
                if (!append(&f->headers, m->headers[i]))
                        return EPP_ENOMEM;
        f->any = true;
        f->gzip = m->gzip;
        set_method(e, m);
        set_tls(e, m);
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, f->headers);
        f->fr->several |= m->resolve && strchr(m->resolve, ',');
        curl_easy_setopt(e, CURLOPT_RESOLVE, f->resolve);
        curl_easy_setopt(e, CURLOPT_CONNECT_TO, f->connect_to);
        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, f->error);
        curl_easy_setopt(e, CURLOPT_USERAGENT, m->user_agent);
        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(e, CURLOPT_HEADERDATA, f);
        curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)m->connect_timeout_ms);
        curl_easy_setopt(e, CURLOPT_PROXY, m->proxy ? m->proxy : "");
        curl_easy_setopt(e, CURLOPT_NOPROXY, ""); /* the caller has decided */
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)MORE_BUFFER);
        curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
        curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_STEP_S);
        curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)IDLE_MAX_S);
        curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, tune_socket);
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, (long)m->own_socket);
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, (long)m->own_socket);
        if (m->gzip)
                curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "gzip");
        return 0;
}

static int
set_options(struct fetch *f, const struct fetch_config *cfg)
{
        CURL *e = f->easy;
        char line[256];

        if (curl_easy_setopt(e, CURLOPT_URL, cfg->url) != CURLE_OK)
                return EPP_ENOMEM;
        /* Without a value the header is left out; libcurl would send its own. */
        snprintf(line, sizeof(line), cfg->accept ? "Accept: %s" : "Accept:%s",
                cfg->accept ? cfg->accept : "");
        f->headers = curl_slist_append(NULL, line);
        if (!f->headers)
                return EPP_ENOMEM;
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, f->headers);
        curl_easy_setopt(e, CURLOPT_USERAGENT, "eppd/" EPPD_VERSION);
        curl_easy_setopt(e, CURLOPT_PRIVATE, f);
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
        curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)cfg->timeout_ms);
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(e, CURLOPT_PROXY, "");
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER);
        curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
        curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, f->fr);
        curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
        curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, f->fr);
        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
        if (cfg->insecure) {
                curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
                curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
        }
        if (cfg->more)
                return set_more(f, cfg->more);
        curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, spare_descriptors);
        return 0;
}

int
fetch_new(struct fetcher *fr, const struct fetch_config *cfg, const struct fetch_ops *ops,
        void *ctx, struct fetch **ret)
{
        struct fetch *f = calloc(1, sizeof(*f));

        if (!f)
                return EPP_ENOMEM;
        f->fr = fr;
        f->ops = ops;
        f->ctx = ctx;
        f->max_body = cfg->max_body;
        f->easy = curl_easy_init();
        if (!f->easy || set_options(f, cfg) < 0) {
                fetch_free(f);
                return EPP_ENOMEM;
        }
        *ret = f;
        return 0;
}

int
fetch_url(struct fetch *f, const char *url)
{
        return curl_easy_setopt(f->easy, CURLOPT_URL, url) == CURLE_OK ? 0 : EPP_ENOMEM;
}

bool
fetch_start(struct fetch *f)
{
        if (f->busy)
                return false;
        f->got = 0;
        f->status = 0;
        f->too_large = f->encoded = f->begun = false;
        f->busy = curl_multi_add_handle(f->fr->multi, f->easy) == CURLM_OK;
        return f->busy;
}

void
fetch_free(struct fetch *f)
{
        if (!f)
                return;
        unlink_paused(f);
        if (f->busy)
                curl_multi_remove_handle(f->fr->multi, f->easy);
        if (f->easy)
                curl_easy_cleanup(f->easy);
        curl_slist_free_all(f->headers);
        curl_slist_free_all(f->resolve);
        curl_slist_free_all(f->connect_to);
        free(f->error);
        free(f);
}

const char *
fetch_header(const struct fetch *f, const char *name, size_t i)
{
        struct curl_header *h;
        bool there = curl_easy_header(f->easy, name, i, CURLH_HEADER, -1, &h) == CURLHE_OK;

        return there ? h->value : NULL;
}

const char *
fetch_error(const struct fetch *f)
{
        return f->error ? f->error : "";
}

int64_t
fetch_date(const char *text)
{
        return curl_getdate(text, NULL);
}
