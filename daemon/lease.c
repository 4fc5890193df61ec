/* lease.c - see lease.h. One request at a time; its deadline is a timer of our own, because it
 * holds from the first name looked up on. */
#include "daemon/lease.h"

#include <event2/event.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/buf.h"
#include "daemon/loop.h"
#include "serve/lease.h"

struct lease {
        struct event_base *base;
        struct api *api;
        struct epp_lease *machine;
        struct event *wake;     /* for the next wish, or the end of the request's time */
        struct api_call *call;
        epp_us call_until;
        int http;               /* of the running request's answer, 0: not yet */
        struct epp_buf body;
        char name[EPP_LEASE_NAME_MAX + 1], identity[320], why[400];
        void (*changed)(void *ctx);
        void *ctx;
};

/* ---- what comes ---- */

static void
at_once(struct lease *e)
{
        struct timeval now = { 0, 0 };

        evtimer_add(e->wake, &now);
}

static void
on_status(void *ctx, int http, long retry_after_s)
{
        struct lease *e = ctx;

        (void)retry_after_s; /* a leader has no time to wait longer than retry */
        e->http = http;
}

static bool
on_data(void *ctx, struct epp_slice piece)
{
        struct lease *e = ctx;

        return epp_buf_append(&e->body, piece) == 0;
}

static void
answer(struct lease *e)
{
        e->call = NULL;
        epp_lease_answer(e->machine, e->http, epp_buf_slice(&e->body), loop_now(e->base));
        at_once(e);
        e->changed(e->ctx);
}

static void
on_end(void *ctx, bool ok)
{
        (void)ok; /* what was cut is no document */
        answer(ctx);
}

static const struct api_ops ops = { on_status, on_data, on_end };

static void
on_change(void *ctx, bool leading)
{
        struct lease *e = ctx;

        (void)leading;
        e->changed(e->ctx);
}

/* ---- what is wanted ---- */

static void
wake_at(struct lease *e, epp_us at)
{
        epp_us wait = EPP_MIN(EPP_MAX(at - loop_now(e->base), (epp_us)1000), (epp_us)60000000);
        struct timeval tv = { wait / 1000000, wait % 1000000 };

        evtimer_add(e->wake, &tv);
}

static void
send_wish(struct lease *e, const struct epp_lease_wish *w)
{
        static const char *const methods[] = { NULL, "GET", "POST", "PUT" };
        struct api_request q = { .method = methods[w->method], .path = w->path, .body = w->body,
                .timeout_ms = w->timeout_ms };

        e->http = 0;
        epp_buf_drain(&e->body, epp_buf_len(&e->body));
        e->call_until = loop_now(e->base) + (epp_us)w->timeout_ms * 1000;
        if (api_begin(e->api, &q, &ops, e, &e->call) < 0)
                answer(e);
        else
                wake_at(e, e->call_until);
}

static void
on_wake(evutil_socket_t fd, short what, void *user)
{
        struct lease *e = user;
        epp_us now = loop_now(e->base);
        struct epp_lease_wish w;

        (void)fd, (void)what;
        if (e->call && now < e->call_until) {
                wake_at(e, e->call_until);
                return;
        }
        if (e->call) {
                api_drop(e->call);
                answer(e);
                return;
        }
        epp_lease_wish(e->machine, now, loop_wall(), &w);
        if (w.method != EPP_LEASE_NOTHING)
                send_wish(e, &w);
        else
                wake_at(e, w.at);
}

/* ---- life ---- */

static int
refuse(const char *what)
{
        fprintf(stderr, "eppd: %s\n", what);
        return -1;
}

/* The Deployment that a pod of this name belongs to: without the last two parts. */
static size_t
deployment(const char *pod)
{
        size_t n = strlen(pod);

        for (int parts = 0; parts < 2; parts++) {
                size_t end = n;

                while (n && strchr("abcdefghijklmnopqrstuvwxyz0123456789", pod[n - 1]))
                        n--;
                if (n == end || n < 2 || pod[n - 1] != '-')
                        return 0;
                n--;
        }
        return n;
}

/* As the llm-d router calls it, so that both may share one. */
static int
choose_name(struct lease *e, const struct opt *o, const char *ns)
{
        const char *env = getenv("POD_NAME"), *pod = env ? env : "";
        int pool = (int)deployment(pod), n;

        if (*o->ha_lease_name)
                n = snprintf(e->name, sizeof(e->name), "%s", o->ha_lease_name);
        else if (*o->pool_name)
                n = snprintf(e->name, sizeof(e->name), "epp-%s-%s.llm-d.ai", ns, o->pool_name);
        else if (pool)
                n = snprintf(e->name, sizeof(e->name), "epp-%s-%.*s.llm-d.ai", ns, pool, pod);
        else
                return refuse("--ha-enable-leader-election: without --pool-name give "
                              "--ha-lease-name, or POD_NAME as of a Deployment's pod");
        return n < (int)sizeof(e->name) ? 0 : refuse("--ha-lease-name: longer than 253");
}

/* {hostname}_{uuid v4}: another one at each start. */
static int
choose_identity(struct lease *e)
{
        char host[256] = "";
        uint8_t u[16];
        int n;

        gethostname(host, sizeof(host) - 1);
        if (getrandom(u, sizeof(u), 0) != sizeof(u))
                return refuse("no random bytes from the system");
        u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
        u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
        n = snprintf(e->identity, sizeof(e->identity), "%s_", host);
        for (size_t i = 0; i < sizeof(u); i++)
                n += snprintf(e->identity + n, sizeof(e->identity) - (size_t)n, "%s%02x",
                        i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
        return 0;
}

int
lease_new(struct event_base *base, const struct opt *o, struct api *api, const char *ns,
        uint64_t seed, const struct epp_log *log, void (*changed)(void *ctx), void *ctx,
        struct lease **ret)
{
        struct lease *e = calloc(1, sizeof(*e));
        struct epp_lease_config cfg = { .ns = epp_slice_str(ns), .duration = o->ha_lease_duration,
                .renew_deadline = o->ha_renew_deadline, .retry = o->ha_retry_period,
                .strict = o->ha_strict, .seed = seed, .log = log, .changed = on_change, .ctx = e };
        int r;

        *ret = e;
        if (!e)
                return refuse("out of memory");
        e->base = base;
        e->api = api;
        e->changed = changed;
        e->ctx = ctx;
        e->body.cap = EPP_LEASE_BODY_MAX;
        if (choose_name(e, o, ns) < 0 || choose_identity(e) < 0)
                return -1;
        cfg.name = epp_slice_str(e->name);
        cfg.identity = epp_slice_str(e->identity);
        r = epp_lease_new(&cfg, &e->machine);
        if (r == EPP_EINVAL)
                return refuse("--ha-lease-duration must be longer than --ha-renew-deadline, that "
                              "longer than 1.2 times --ha-retry-period, that 1s at least; and "
                              "--ha-lease-name of a-z 0-9 - .");
        e->wake = r < 0 ? NULL : evtimer_new(base, on_wake, e);
        if (!e->wake)
                return refuse("out of memory");
        epp_log(log, EPP_LOG_INFO, "election", LOG_T("lease", e->name), LOG_T("namespace", ns),
                LOG_T("identity", e->identity));
        at_once(e);
        return 0;
}

void
lease_free(struct lease *e)
{
        if (!e)
                return;
        api_drop(e->call);
        if (e->wake)
                event_free(e->wake);
        epp_lease_free(e->machine);
        epp_buf_fini(&e->body);
        free(e);
}

bool
lease_leading(const struct lease *e)
{
        return epp_lease_leading(e->machine);
}

const char *
lease_why(struct lease *e)
{
        struct epp_slice holder = epp_lease_holder(e->machine);

        if (epp_slice_eq(holder, epp_slice_str(e->identity)))
                return "not the leader: the lease was not renewed";
        if (holder.n == 0)
                return "not the leader: nobody leads";
        snprintf(e->why, sizeof(e->why), "not the leader: " SLICE_FMT " leads",
                (int)EPP_MIN(holder.n, sizeof(e->identity)), holder.p);
        return e->why;
}

void
lease_release(struct lease *e)
{
        epp_lease_release(e->machine, loop_now(e->base));
        at_once(e);
}

bool
lease_released(const struct lease *e)
{
        return epp_lease_released(e->machine, loop_now(e->base));
}

const char *
lease_name(const struct lease *e)
{
        return e->name;
}

uint64_t
lease_slow_renewals(const struct lease *e)
{
        return epp_lease_slow_renewals(e->machine);
}
