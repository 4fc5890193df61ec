/* reflector.c - see reflector.h. Numbers without a comment are client-go's. */
#include "serve/reflector.h"

#include "base/buf.h"

#define SECOND ((epp_us)1000000)
#define PAGE 500                       /* objects per page of a list */
#define LIST_TIMEOUT_MS 60000          /* the server ends longer ones itself */
#define WATCH_SECONDS 300              /* and as much again at random: restarts spread */
#define WATCH_SLACK_SECONDS 30
#define BACKOFF_FIRST (800 * SECOND / 1000)
#define BACKOFF_CAP (30 * SECOND)
/* While nobody answers we look more often for a while, so that a short outage ends with it: the
 * requests cost nobody anything. Then as the others. */
#define OUTAGE_CAP (2400 * SECOND / 1000)
#define OUTAGE_SHORT (300 * SECOND)
#define BACKOFF_FORGET (120 * SECOND)  /* without a failure */
#define ABSENT_RETRY (30 * SECOND)
#define RETRY_AFTER_CAP 60             /* seconds */
#define RESYNC (600 * SECOND) /* heals what a lost event or a restored etcd left */
#define STREAM_PATIENCE (10 * SECOND)  /* from the headers of a streamed list to its first byte */
#define HEADERS_PATIENCE (60 * SECOND) /* to its headers: a balancer may accept and say nothing */
#define EXPIRED_AGAIN (10 * SECOND)    /* a second 410 this soon is not answered at once */
#define EVENT_MAX (16u << 20)          /* bytes of one event */
#define KEPT_MAX (1u << 20)            /* bytes kept of one object */
#define SHORT_WATCH SECOND
#define SHORT_WATCHES 3                /* in a row: list again */
#define COMPLAIN (60 * SECOND)         /* the same trouble is logged no more often */

/* PEEK: a list of one object, for its version. */
enum doing { LIST, STREAM, WATCH, PEEK };

struct epp_reflector {
        struct epp_reflect_config cfg;
        struct epp_jkeep list_keep[8], event_keep[3];
        struct epp_reflect_stats stats;
        struct epp_rng rng;
        char *path, *query;
        enum epp_reflect_state state;
        enum epp_reflect_state intent; /* after BACKOFF or ABSENT */
        epp_us until;                  /* of BACKOFF or ABSENT */
        bool streaming, synced;
        epp_us now;                    /* of what is being reported */
        uint64_t numbers;              /* requests so far */

        /* The running request. */
        uint64_t request;              /* its number, 0: none */
        enum doing doing;
        struct epp_buf url;
        struct epp_jtree *tree;
        int http;
        long retry_after;
        bool got_bytes, got_doc, marker, failed; /* failed: an ERROR event came */
        epp_us began, headers_at;
        uint64_t events, event_bytes;
        int code;                      /* of a Status */
        bool expired_status, too_large_version;

        /* Where we are. */
        char rv[64], list_rv[64];
        struct epp_buf next_page;
        bool unpaged;
        bool doubt; /* the server was away: is its version older than ours when it is back? */
        epp_us resync_at, expired_at, failed_at, complained_at, delay;
        epp_us silent_since; /* nobody has answered since; 0: the last request was answered */
        unsigned short_watches, error_events;
        int trouble, complained;
        char text[160];                /* of the last error, for the log */
};

/* ---- trees of what is read of the envelopes ---- */

static const struct epp_jkeep list_meta[] = { { "resourceVersion", NULL }, { "continue", NULL },
        { NULL, NULL } };

static void
item_too_big(void *ctx)
{
        struct epp_reflector *r = ctx;

        r->stats.broken++;
        r->event_bytes = 0;
        epp_log(r->cfg.log, EPP_LOG_WARN, "object_too_big", LOG_T("kind", r->cfg.name));
}

static struct epp_slice
text_of(const struct epp_node *map, const char *key)
{
        const struct epp_node *n = epp_node_get(map, key);

        return n && n->kind == EPP_NODE_SCALAR ? n->text : epp_slice(NULL, 0);
}

static void
keep_text(char *out, size_t size, struct epp_slice s)
{
        snprintf(out, size, SLICE_FMT, (int)EPP_MIN(s.n, size - 1), s.p ? s.p : "");
}

/* What a Status document says: into code and the flags. */
static void
read_status(struct epp_reflector *r, const struct epp_node *status)
{
        const struct epp_node *details = epp_node_get(status, "details"),
                              *causes = epp_node_get(details, "causes");
        struct epp_slice reason = text_of(status, "reason");
        int64_t code = 0, wait;

        if (epp_node_integer(epp_node_get(status, "code"), 0, 999, false, &code))
                r->code = (int)code;
        r->expired_status = r->code == 410 || epp_slice_eq(reason, EPP_SLICE("Expired")) ||
                            epp_slice_eq(reason, EPP_SLICE("Gone"));
        for (const struct epp_node *c = causes ? causes->first : NULL; c; c = c->next)
                r->too_large_version |= epp_slice_eq(
                        text_of(c, "reason"), EPP_SLICE("ResourceVersionTooLarge"));
        if (r->retry_after < 0 &&
                epp_node_integer(epp_node_get(details, "retryAfterSeconds"), 0, 3600, false, &wait))
                r->retry_after = (long)wait;
        keep_text(r->text, sizeof(r->text), text_of(status, "message"));
}

static void
on_list_item(void *ctx, const struct epp_node *object)
{
        struct epp_reflector *r = ctx;

        if (r->doing != PEEK)
                r->cfg.ops->put(r->cfg.ctx, object);
}

static void
on_list_doc(void *ctx, const struct epp_node *list)
{
        struct epp_reflector *r = ctx;
        const struct epp_node *meta = epp_node_get(list, "metadata");
        struct epp_slice next = text_of(meta, "continue");
        bool first = epp_buf_len(&r->next_page) == 0;

        r->got_doc = meta != NULL;
        if (first)
                keep_text(r->list_rv, sizeof(r->list_rv), text_of(meta, "resourceVersion"));
        epp_buf_drain(&r->next_page, epp_buf_len(&r->next_page));
        if (epp_buf_append(&r->next_page, next) < 0)
                r->got_doc = false;
}

static void
on_status_doc(void *ctx, const struct epp_node *status)
{
        read_status(ctx, status);
}

static void
set_version(struct epp_reflector *r, const struct epp_node *object)
{
        struct epp_slice rv = text_of(epp_node_get(object, "metadata"), "resourceVersion");

        if (rv.n)
                keep_text(r->rv, sizeof(r->rv), rv);
}

static void
complete(struct epp_reflector *r)
{
        if (r->synced)
                r->stats.relists++;
        r->synced = true;
        r->doubt = false;
        r->stats.synced_at = r->now;
        r->short_watches = r->error_events = 0;
        r->trouble = 0;
        r->resync_at = 0; /* set by the next wish, which knows the time */
        r->cfg.ops->synced(r->cfg.ctx);
}

static void
on_bookmark(struct epp_reflector *r, const struct epp_node *object)
{
        const struct epp_node *notes = epp_node_get(
                epp_node_get(object, "metadata"), "annotations");

        r->stats.events[3]++;
        if (r->doing != STREAM || r->marker) {
                set_version(r, object);
                return;
        }
        if (!epp_slice_eq(text_of(notes, "k8s.io/initial-events-end"), EPP_SLICE("true")))
                return;
        set_version(r, object);
        r->marker = true;
        r->stats.streamed_lists++;
        r->state = EPP_REFLECT_WATCH;
        complete(r);
}

static void
on_event(void *ctx, const struct epp_node *event)
{
        static const char *const types[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };
        struct epp_reflector *r = ctx;
        const struct epp_node *object = epp_node_get(event, "object");
        struct epp_slice type = text_of(event, "type");
        size_t t = 0;

        if (r->failed)
                return;
        r->event_bytes = 0;
        if (epp_slice_eq(type, EPP_SLICE("ERROR"))) {
                r->failed = true;
                read_status(r, object);
                return;
        }
        while (t < ARRAY_LEN(types) && !epp_slice_eq(type, epp_slice_str(types[t])))
                t++;
        r->events++;
        r->stats.heard_at = r->now;
        if (t == 3) {
                on_bookmark(r, object);
        } else if (t == ARRAY_LEN(types) ||
                   text_of(epp_node_get(object, "metadata"), "resourceVersion").n == 0) {
                r->stats.broken++;
                epp_log(r->cfg.log, EPP_LOG_WARN, "odd_event", LOG_T("kind", r->cfg.name),
                        LOG_S("type", type));
        } else {
                r->stats.events[t]++;
                (t == 2 ? r->cfg.ops->gone : r->cfg.ops->put)(r->cfg.ctx, object);
        }
        if (t != 3 && (r->doing == WATCH || r->marker)) /* events before the marker have no order */
                set_version(r, object);
}

static const struct epp_jtree_ops list_ops = { on_list_item, on_list_doc, item_too_big };
static const struct epp_jtree_ops event_ops = { on_list_item, on_event, item_too_big };
static const struct epp_jtree_ops status_ops = { on_list_item, on_status_doc, item_too_big };

/* ---- life ---- */

int
epp_reflector_new(const struct epp_reflect_config *cfg, struct epp_reflector **ret)
{
        static const struct epp_jkeep status[] = { EPP_REFLECT_KEEP };
        struct epp_reflector *r = calloc(1, sizeof(*r));

        if (!r)
                return EPP_ENOMEM;
        r->cfg = *cfg;
        r->state = EPP_REFLECT_IDLE;
        r->streaming = cfg->streaming;
        r->delay = BACKOFF_FIRST;
        epp_rng_init(&r->rng, cfg->seed);
        r->list_keep[0] = (struct epp_jkeep){ "metadata", list_meta };
        r->list_keep[1] = (struct epp_jkeep){ "items", cfg->keep };
        memcpy(r->list_keep + 2, status, sizeof(status));
        r->event_keep[0] = (struct epp_jkeep){ "type", NULL };
        r->event_keep[1] = (struct epp_jkeep){ "object", cfg->keep };
        *ret = r;
        return 0;
}

static void
forget_request(struct epp_reflector *r)
{
        epp_jtree_free(r->tree);
        r->tree = NULL;
        r->request = 0;
}

void
epp_reflector_free(struct epp_reflector *r)
{
        if (!r)
                return;
        forget_request(r);
        epp_buf_fini(&r->url);
        epp_buf_fini(&r->next_page);
        free(r->path);
        free(r->query);
        free(r);
}

/* A full enumeration is wanted, from its first page. */
static void
want_sync(struct epp_reflector *r)
{
        forget_request(r);
        r->state = EPP_REFLECT_SYNC;
        epp_buf_drain(&r->next_page, epp_buf_len(&r->next_page));
        *r->rv = 0;
        r->doubt = false;
}

int
epp_reflector_target(struct epp_reflector *r, const char *path, const char *query, epp_us now)
{
        char *p = path ? strdup(path) : NULL, *q = path ? strdup(query) : NULL;

        (void)now;
        if (path && (!p || !q)) {
                free(p);
                free(q);
                return EPP_ENOMEM;
        }
        free(r->path);
        free(r->query);
        r->path = p;
        r->query = q;
        r->synced = r->unpaged = false;
        want_sync(r);
        if (!path)
                r->state = EPP_REFLECT_IDLE;
        return 0;
}

/* ---- what to ask ---- */

static bool
put(struct epp_buf *b, const char *text)
{
        return epp_buf_append(b, epp_slice_str(text)) == 0;
}

static bool
put_escaped(struct epp_buf *b, struct epp_slice s)
{
        return epp_buf_append_escaped(b, s) == 0;
}

static bool
put_request(struct epp_reflector *r, unsigned seconds)
{
        struct epp_buf *b = &r->url;
        char text[64];

        epp_buf_drain(b, epp_buf_len(b));
        if (!put(b, r->path))
                return false;
        if (r->doing == LIST && r->unpaged)
                return put(b, *r->query ? "?" : "") && put(b, r->query) &&
                        epp_buf_append(b, epp_slice("", 1)) == 0;
        if (r->doing == LIST || r->doing == PEEK) {
                snprintf(text, sizeof(text), "?limit=%d", r->doing == PEEK ? 1 : PAGE);
        } else {
                snprintf(text, sizeof(text), "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u",
                        seconds);
        }
        if (!put(b, text))
                return false;
        if (r->doing == STREAM &&
                !put(b, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"))
                return false;
        if (r->doing == WATCH &&
                (!put(b, "&resourceVersion=") || !put_escaped(b, epp_slice_str(r->rv))))
                return false;
        if (r->doing == LIST && epp_buf_len(&r->next_page) &&
                (!put(b, "&continue=") || !put_escaped(b, epp_buf_slice(&r->next_page))))
                return false;
        return put(b, *r->query ? "&" : "") && put(b, r->query) &&
                epp_buf_append(b, epp_slice("", 1)) == 0;
}

/* Begins the request that the state asks for. */
static bool
begin(struct epp_reflector *r, epp_us now, struct epp_reflect_wish *ret)
{
        unsigned seconds = WATCH_SECONDS + (unsigned)epp_rng_below(&r->rng, WATCH_SECONDS);

        r->doing = r->state == EPP_REFLECT_WATCH ? (r->doubt ? PEEK : WATCH)
                 : r->streaming                  ? STREAM
                                                 : LIST;
        if (!put_request(r, seconds))
                return false;
        if (r->doing == STREAM || (r->doing == LIST && epp_buf_len(&r->next_page) == 0))
                r->cfg.ops->begin(r->cfg.ctx);
        r->request = ++r->numbers;
        r->http = r->code = 0;
        r->retry_after = -1;
        r->got_bytes = r->got_doc = r->marker = r->failed = false;
        r->expired_status = r->too_large_version = false;
        r->events = r->event_bytes = 0;
        r->began = now;
        r->headers_at = 0;
        *r->text = 0;
        ret->watch = r->doing == STREAM || r->doing == WATCH;
        ret->timeout_ms = !ret->watch ? LIST_TIMEOUT_MS
                                           : (seconds + WATCH_SLACK_SECONDS) * 1000;
        return true;
}

static epp_us
jitter(struct epp_reflector *r, epp_us base, double share)
{
        return base + (epp_us)((double)base * share * epp_rng_unit(&r->rng));
}

/* What may end a running request early: a full enumeration that is due, a streamed list that does
 * not begin. Returns when to look again. */
static epp_us
look_at_request(struct epp_reflector *r, epp_us now)
{
        if (r->doing == STREAM && !r->got_bytes) {
                epp_us at = r->headers_at ? r->headers_at + STREAM_PATIENCE
                                          : r->began + HEADERS_PATIENCE;

                if (now < at)
                        return at;
                r->streaming = false;
                want_sync(r);
                return now;
        }
        if (r->state != EPP_REFLECT_WATCH)
                return INT64_MAX;
        if (!r->resync_at)
                r->resync_at = now + jitter(r, RESYNC, .5);
        if (now < r->resync_at)
                return r->resync_at;
        want_sync(r);
        return now;
}

void
epp_reflector_wish(struct epp_reflector *r, epp_us now, struct epp_reflect_wish *ret)
{
        *ret = (struct epp_reflect_wish){ .at = INT64_MAX };
        if ((r->state == EPP_REFLECT_BACKOFF || r->state == EPP_REFLECT_ABSENT) &&
                now >= r->until) {
                if (r->intent == EPP_REFLECT_WATCH)
                        r->state = EPP_REFLECT_WATCH;
                else
                        want_sync(r);
        }
        if (r->state == EPP_REFLECT_IDLE)
                return;
        if (r->state == EPP_REFLECT_BACKOFF || r->state == EPP_REFLECT_ABSENT) {
                ret->at = r->until;
                return;
        }
        if (r->request)
                ret->at = look_at_request(r, now);
        if (!r->request && !begin(r, now, ret)) {
                ret->at = now + SECOND; /* no memory now */
                return;
        }
        ret->watch = r->doing == STREAM || r->doing == WATCH;
        ret->request = r->request;
        ret->url = epp_buf_slice(&r->url).p;
}

/* ---- what came ---- */

void
epp_reflector_status(struct epp_reflector *r, uint64_t n, int http, long retry_after_s, epp_us now)
{
        bool list = (r->doing == LIST || r->doing == PEEK) && http == 200;

        if (n != r->request || !n)
                return;
        r->http = http;
        r->silent_since = 0;
        r->retry_after = retry_after_s;
        r->headers_at = now;
        epp_jtree_free(r->tree);
        r->tree = NULL;
        if (epp_jtree_new(http != 200 ? r->list_keep + 2
                            : list    ? r->list_keep
                                      : r->event_keep,
                    list ? "items" : NULL, KEPT_MAX,
                    http != 200    ? &status_ops
                            : list ? &list_ops
                                   : &event_ops,
                    r, &r->tree) < 0)
                r->tree = NULL;
        if (http == 200) {
                r->trouble = 0;
                r->stats.lists += r->doing == LIST;
                r->stats.watches += r->doing == WATCH;
        }
}

int
epp_reflector_data(struct epp_reflector *r, uint64_t n, struct epp_slice piece, epp_us now)
{
        int ret;

        if (n != r->request || !n)
                return 0;
        r->now = now;
        if (!r->tree)
                return EPP_ENOMEM;
        r->got_bytes |= piece.n > 0;
        r->event_bytes += piece.n;
        if (r->http == 200 && r->doing != LIST && r->doing != PEEK && r->event_bytes > EVENT_MAX) {
                r->stats.broken++;
                keep_text(r->text, sizeof(r->text), EPP_SLICE("an event of more than 16 MiB"));
                r->code = -1; /* cannot be resumed: it would come again */
                return EPP_ETOOBIG;
        }
        ret = epp_jtree_feed(r->tree, piece);
        if (ret < 0 && r->http == 200) {
                r->stats.broken++;
                keep_text(r->text, sizeof(r->text), EPP_SLICE("the answer is not JSON"));
                r->code = -1;
                return ret;
        }
        if (ret < 0 && !*r->text) /* a plain text of a proxy */
                keep_text(r->text, sizeof(r->text), piece);
        return 0;
}

/* ---- what it means ---- */

static void
complain(struct epp_reflector *r, int what, epp_us now)
{
        r->trouble = what;
        if (r->complained == what && now - r->complained_at < COMPLAIN)
                return;
        r->complained = what;
        r->complained_at = now;
        for (char *p = r->text; *p; p++)
                if ((unsigned char)*p < 0x20)
                        *p = ' ';
        epp_log(r->cfg.log, EPP_LOG_WARN, "watch_trouble", LOG_T("kind", r->cfg.name),
                LOG_N("status", r->http), LOG_N("code", r->code),
                LOG_T("why",
                        *r->text          ? r->text
                                : r->http ? ""
                                          : "no answer"));
}

/* Waits, longer each time, at least <least> seconds; then goes on as <intent>. */
static void
back_off(struct epp_reflector *r, enum epp_reflect_error why, enum epp_reflect_state intent,
        long least, epp_us now)
{
        epp_us wait, cap = BACKOFF_CAP;

        if (r->silent_since && now - r->silent_since < OUTAGE_SHORT)
                cap = OUTAGE_CAP;
        r->delay = EPP_MIN(r->delay, cap);
        if (now - r->failed_at > BACKOFF_FORGET)
                r->delay = BACKOFF_FIRST;
        r->failed_at = now;
        wait = jitter(r, r->delay, 1);
        r->delay = EPP_MIN(2 * r->delay, cap);
        least = EPP_MIN(least, (long)RETRY_AFTER_CAP);
        if (least > 0)
                wait = EPP_MAX(wait, least * SECOND);
        r->stats.errors[why]++;
        complain(r, r->http && r->http != 200 ? r->http : r->code ? r->code : 1, now);
        r->state = EPP_REFLECT_BACKOFF;
        r->intent = intent == EPP_REFLECT_WATCH && *r->rv ? EPP_REFLECT_WATCH : EPP_REFLECT_SYNC;
        r->until = now + wait;
}

/* The version we have is too old (or too new): a full enumeration, at once the first time. */
static void
expired(struct epp_reflector *r, epp_us now)
{
        bool again = r->expired_at && now - r->expired_at < EXPIRED_AGAIN;

        r->expired_at = now;
        *r->rv = 0;
        if (r->doing == LIST && epp_buf_len(&r->next_page))
                r->unpaged = again; /* pages expire faster than they are read */
        if (again) {
                back_off(r, EPP_REFLECT_EXPIRED, EPP_REFLECT_SYNC, 0, now);
                return;
        }
        r->stats.errors[EPP_REFLECT_EXPIRED]++;
        want_sync(r);
}

static void
absent(struct epp_reflector *r, epp_us now)
{
        r->state = EPP_REFLECT_ABSENT;
        r->intent = EPP_REFLECT_SYNC;
        r->until = now + jitter(r, ABSENT_RETRY, 1);
        r->trouble = 404;
        r->cfg.ops->absent(r->cfg.ctx);
}

/* Where we go on after a fault that says nothing of our version. */
static enum epp_reflect_state
same(const struct epp_reflector *r)
{
        bool kept = r->doing == WATCH || r->doing == PEEK || r->marker;

        return kept ? EPP_REFLECT_WATCH : EPP_REFLECT_SYNC;
}

static void
refused(struct epp_reflector *r, epp_us now)
{
        switch (r->http) {
        case 401:
                back_off(r, EPP_REFLECT_AUTH, same(r), 0, now);
                break;
        case 403:
                back_off(r, EPP_REFLECT_FORBIDDEN, same(r), 0, now);
                break;
        case 404:
                absent(r, now);
                break;
        case 410:
                expired(r, now);
                break;
        case 429:
        case 503:
                back_off(r, EPP_REFLECT_BUSY, same(r), r->retry_after, now);
                break;
        case 504:
                back_off(r, EPP_REFLECT_SERVER, r->too_large_version ? EPP_REFLECT_SYNC : same(r),
                        r->retry_after, now);
                break;
        case 400:
        case 406:
        case 415:
        case 422:
                if (r->doing == STREAM) { /* an older server */
                        r->streaming = false;
                        want_sync(r);
                        break;
                }
                EPP_FALLTHROUGH;
        default:
                back_off(r, r->http >= 500 ? EPP_REFLECT_SERVER : EPP_REFLECT_OTHER, same(r),
                        r->retry_after, now);
        }
}

/* An ERROR event: only of it do we know that the server ended the watch on purpose. */
static void
watch_failed(struct epp_reflector *r, epp_us now)
{
        if (r->expired_status || r->too_large_version) {
                expired(r, now);
        } else if (r->code == 429) {
                back_off(r, EPP_REFLECT_BUSY, same(r), r->retry_after, now);
        } else if (r->doing == STREAM && !r->marker) {
                r->streaming = false; /* gate off, or an etcd without progress requests */
                want_sync(r);
        } else {
                back_off(r, EPP_REFLECT_SERVER,
                        r->error_events++ ? EPP_REFLECT_SYNC : EPP_REFLECT_WATCH, 0, now);
        }
}

static void
watch_ended(struct epp_reflector *r, epp_us now)
{
        if (r->code == -1) {
                /* What cannot be read in a stream would be in the next one too; a list has room. */
                r->streaming &= r->doing == WATCH || r->marker;
                back_off(r, EPP_REFLECT_FORMAT, EPP_REFLECT_SYNC, 0, now);
        } else if (r->events == 0 && now - r->began < SHORT_WATCH) {
                bool often = ++r->short_watches >= SHORT_WATCHES;

                if (often)
                        r->short_watches = 0;
                back_off(r, EPP_REFLECT_SERVER, often ? EPP_REFLECT_SYNC : EPP_REFLECT_WATCH, 0,
                        now);
        } else { /* all watches of a server that restarts end at once: spread */
                r->short_watches = 0;
                r->state = EPP_REFLECT_BACKOFF;
                r->intent = EPP_REFLECT_WATCH;
                r->until = now + (epp_us)epp_rng_below(&r->rng, (uint64_t)SECOND);
        }
}

static void
list_ended(struct epp_reflector *r, bool ok, epp_us now)
{
        if (!ok || !r->got_doc || r->code == -1) {
                back_off(r, r->code == -1 ? EPP_REFLECT_FORMAT : EPP_REFLECT_TRANSPORT,
                        EPP_REFLECT_SYNC, 0, now);
        } else if (epp_buf_len(&r->next_page) == 0) {
                memcpy(r->rv, r->list_rv, sizeof(r->rv));
                r->unpaged = false;
                complete(r);
                if (*r->rv && strcmp(r->rv, "0") != 0) {
                        r->state = EPP_REFLECT_WATCH;
                        return;
                }
                keep_text(r->text, sizeof(r->text),
                        EPP_SLICE("the list has no version to watch from"));
                *r->rv = 0;
                back_off(r, EPP_REFLECT_FORMAT, EPP_REFLECT_SYNC, 30, now);
        }
}

/* Versions are numbers without leading zeros, of any length. */
static bool
is_older(const char *a, const char *b)
{
        size_t n = strlen(a), m = strlen(b);

        return n != m ? n < m : strcmp(a, b) < 0;
}

/* After an outage a watch from a version that the server does not have yet would be silent until it
 * has (it was restored from a backup): then everything is listed. */
static void
peek_ended(struct epp_reflector *r, bool ok, epp_us now)
{
        epp_buf_drain(&r->next_page, epp_buf_len(&r->next_page));
        if (!ok || !r->got_doc || r->code == -1) {
                back_off(r, r->code == -1 ? EPP_REFLECT_FORMAT : EPP_REFLECT_TRANSPORT,
                        EPP_REFLECT_WATCH, 0, now);
                return;
        }
        r->doubt = false;
        if (is_older(r->list_rv, r->rv))
                want_sync(r);
}

void
epp_reflector_end(struct epp_reflector *r, uint64_t n, bool ok, epp_us now)
{
        bool midway = r->tree && epp_jtree_midway(r->tree);

        if (n != r->request || !n)
                return;
        r->now = now;
        forget_request(r);
        if (r->http == 0 && !r->silent_since)
                r->silent_since = now;
        r->doubt |= r->http == 0 || r->http >= 500;
        if (r->http == 0)
                back_off(r, EPP_REFLECT_TRANSPORT, same(r), 0, now);
        else if (r->http != 200)
                refused(r, now);
        else if (r->doing == LIST)
                list_ended(r, ok && !midway, now);
        else if (r->doing == PEEK)
                peek_ended(r, ok && !midway, now);
        else if (r->failed)
                watch_failed(r, now);
        else if (r->doing == STREAM && !r->marker && r->code != -1)
                back_off(r, EPP_REFLECT_TRANSPORT, EPP_REFLECT_SYNC, 0, now);
        else
                watch_ended(r, now);
}

void
epp_reflector_nudge(struct epp_reflector *r, epp_us now)
{
        if (r->state == EPP_REFLECT_BACKOFF && r->silent_since)
                r->until = EPP_MIN(r->until, now + (epp_us)epp_rng_below(&r->rng, SECOND / 4));
}

void
epp_reflector_new_credentials(struct epp_reflector *r, epp_us now)
{
        if (r->state == EPP_REFLECT_BACKOFF && r->trouble == 401)
                r->until = now;
}

const char *
epp_reflector_state_name(enum epp_reflect_state s)
{
        static const char *const names[EPP_REFLECT_STATES] = { "sync", "watch", "backoff",
                "absent", "idle" };

        return names[s];
}

enum epp_reflect_state
epp_reflector_state(const struct epp_reflector *r)
{
        return r->state;
}

bool
epp_reflector_synced(const struct epp_reflector *r)
{
        return r->synced;
}

int
epp_reflector_trouble(const struct epp_reflector *r)
{
        return r->trouble;
}

const char *
epp_reflector_name(const struct epp_reflector *r)
{
        return r->cfg.name;
}

bool
epp_reflector_streams(const struct epp_reflector *r)
{
        return r->streaming;
}

epp_us
epp_reflector_until(const struct epp_reflector *r)
{
        return r->state == EPP_REFLECT_BACKOFF || r->state == EPP_REFLECT_ABSENT ? r->until : 0;
}

const struct epp_reflect_stats *
epp_reflector_stats(const struct epp_reflector *r)
{
        return &r->stats;
}
