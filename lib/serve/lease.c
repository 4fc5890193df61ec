/* lease.c - see lease.h. A try is one to three requests:
 *
 *   as holder of a valid lease   PUT ok | else ...
 *   else                         GET, 404: POST | free, run out or ours: PUT | another's: no
 *
 * A leader's tries that fail make a round; one that lasts renew_deadline ends its leadership. After
 * a try without an answer the leader asks for /version: when that has none either nobody answers
 * anybody, and the round begins anew (not with strict). */
#include "serve/lease.h"

#include <inttypes.h>
#include <jansson.h>
#include <time.h>

#include "base/buf.h"

#define SECOND ((epp_us)1000000)
#define FAR (3600 * SECOND)
#define RELEASE_LIMIT (10 * SECOND)
#define RELEASE_CONFLICT (100 * SECOND / 1000) /* somebody else writes the object, too */
#define RELEASE_BUSY SECOND                    /* 429, 5xx */
#define JITTER 1.2 /* a follower waits retry and up to so much of it more */
#define IDENTITY_MAX 320

enum step {
        TRY,   /* FAST or LOOK */
        FAST,  /* PUT over what we wrote last */
        LOOK,  /* GET */
        TAKE,  /* PUT or POST after it */
        PROBE, /* does anybody answer? */
        RELEASE_LOOK,
        RELEASE_PUT
};

struct epp_lease {
        struct epp_lease_config cfg;
        char ns[EPP_LEASE_NAME_MAX + 1], name[EPP_LEASE_NAME_MAX + 1], identity[IDENTITY_MAX + 1];
        char path[2 * EPP_LEASE_NAME_MAX + 100]; /* of the lease; its folder while a POST is sent */
        struct epp_rng rng;
        bool leading, releasing, released;

        json_t *object; /* as the server has it, as far as we know; NULL: it has none */
        json_t *record; /* the spec last observed, NULL: none */
        epp_us observed_at;
        json_t *draft;  /* the object that is being written */

        enum step step; /* that runs, or is next */
        bool running;
        epp_us at;          /* of the next step */
        epp_us try_at;      /* after a PROBE */
        epp_us try_began;
        epp_us round_began; /* first try since the last renewal, 0: none yet */
        epp_us release_until;
        struct epp_buf body; /* of the running request */

        uint64_t slow_renewals;
        int complained;     /* the trouble last logged, 0: none, -1: no answer, else HTTP */
};

/* ---- the record ---- */

static struct epp_slice
text_in(const json_t *object, const char *key)
{
        const json_t *v = json_object_get(object, key);

        return epp_slice(json_string_value(v), json_string_length(v));
}

static bool
held_by_me(const struct epp_lease *l)
{
        return epp_slice_eq(text_in(l->record, "holderIdentity"), epp_slice_str(l->identity));
}

/* Timed by what the record says and when we saw it change, never by the times in it. */
static bool
valid(const struct epp_lease *l, epp_us now)
{
        json_int_t s = json_integer_value(json_object_get(l->record, "leaseDurationSeconds"));

        s = EPP_MIN(EPP_MAX(s, 0), INT32_MAX);
        return l->record && l->observed_at + (epp_us)s * SECOND > now;
}

static void
observe(struct epp_lease *l, json_t *spec, epp_us now)
{
        struct epp_slice was = text_in(l->record, "holderIdentity"),
                         is = text_in(spec, "holderIdentity");

        if (l->record && json_equal(l->record, spec))
                return;
        if (!epp_slice_eq(was, is))
                epp_log(l->cfg.log, EPP_LOG_INFO, "leader", LOG_T("lease", l->name),
                        LOG_S("holder", is));
        json_incref(spec);
        json_decref(l->record);
        l->record = spec;
        l->observed_at = now;
}

/* A Lease of an answer, or NULL. Its spec is an object, though the server's may be missing. */
static json_t *
read_lease(struct epp_slice body)
{
        json_t *o, *spec;

        if (body.n == 0 || body.n > EPP_LEASE_BODY_MAX)
                return NULL;
        o = json_loadb(body.p, body.n, 0, NULL);
        spec = json_object_get(o, "spec");
        if (o && (!spec || json_is_null(spec)))
                json_object_set_new(o, "spec", json_object());
        if (text_in(json_object_get(o, "metadata"), "resourceVersion").n == 0 ||
                !json_is_object(json_object_get(o, "spec"))) {
                json_decref(o);
                return NULL;
        }
        return o;
}

/* MicroTime: UTC with exactly six digits. */
static json_t *
micro_time(epp_wall wall)
{
        time_t s = (time_t)(wall / SECOND);
        char day[32], text[48];
        struct tm tm;

        gmtime_r(&s, &tm);
        strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text, sizeof(text), "%s.%06dZ", day, (int)(wall % SECOND));
        return json_string(text);
}

static json_t *
new_object(const struct epp_lease *l)
{
        return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{}}", "apiVersion", "coordination.k8s.io/v1",
                "kind", "Lease", "metadata", "name", l->name, "namespace", l->ns, "spec");
}

static int
add_to_body(const char *text, size_t n, void *ctx)
{
        struct epp_lease *l = ctx;

        return epp_buf_append(&l->body, epp_slice(text, n)) < 0 ? -1 : 0;
}

/* The object with our changes, into l->draft and l->body: what others put there stays. */
static bool
make_draft(struct epp_lease *l, bool release, epp_wall wall)
{
        epp_us rounded_up = l->cfg.duration + SECOND - 1;
        json_t *d = l->object ? json_deep_copy(l->object) : new_object(l),
               *spec = json_object_get(d, "spec");
        json_int_t was = json_integer_value(json_object_get(spec, "leaseTransitions")),
                   turns = l->object ? was + 1 : 0;
        bool ours = l->object && held_by_me(l), ok = d != NULL;

        ok = ok && json_object_set_new(spec, "holderIdentity",
                           json_string(release ? "" : l->identity)) == 0;
        ok = ok && json_object_set_new(spec, "leaseDurationSeconds",
                           json_integer(release ? 1 : rounded_up / SECOND)) == 0;
        if (release || !ours || !json_object_get(spec, "acquireTime"))
                ok = ok && json_object_set_new(spec, "acquireTime", micro_time(wall)) == 0;
        ok = ok && json_object_set_new(spec, "renewTime", micro_time(wall)) == 0;
        if (!ours)
                ok = ok && json_object_set_new(spec, "leaseTransitions", json_integer(turns)) == 0;
        json_decref(l->draft);
        l->draft = d;
        epp_buf_drain(&l->body, epp_buf_len(&l->body));
        return ok && json_dump_callback(d, add_to_body, l, JSON_COMPACT) == 0;
}

/* ---- leadership ---- */

static void
set_leading(struct epp_lease *l, bool leading, const char *why)
{
        if (l->leading == leading)
                return;
        l->leading = leading;
        l->round_began = 0;
        epp_log(l->cfg.log, leading || l->releasing ? EPP_LOG_INFO : EPP_LOG_WARN,
                leading ? "leading" : "not_leading", LOG_T("lease", l->name), LOG_T("why", why));
        l->cfg.changed(l->cfg.ctx, leading);
}

/* Followers spread, so that they do not ask all at once. */
static epp_us
follower_wait(struct epp_lease *l)
{
        return l->cfg.retry + (epp_us)((double)l->cfg.retry * JITTER * epp_rng_unit(&l->rng));
}

/* Each kind of trouble is named once. */
static void
complain(struct epp_lease *l, int http)
{
        int what = http ? http : -1;

        if (l->complained == what)
                return;
        l->complained = what;
        epp_log(l->cfg.log, EPP_LOG_WARN, "lease_trouble", LOG_T("lease", l->name),
                LOG_N("http", http));
}

static void
next(struct epp_lease *l, enum step step, epp_us at)
{
        l->step = step;
        l->at = at;
}

static void
release_next(struct epp_lease *l, epp_us now)
{
        l->released = true;
        if (held_by_me(l) || (l->step == TAKE && l->draft)) { /* who knows whether that was done */
                l->released = false;
                next(l, RELEASE_LOOK, now);
        }
}

/* The try has failed; <http> 0: nobody answered. */
static void
fail(struct epp_lease *l, int http, epp_us now)
{
        if (!l->leading) {
                next(l, TRY, now + follower_wait(l));
                return;
        }
        next(l, TRY, EPP_MAX(now, l->try_began + l->cfg.retry));
        if (http || l->cfg.strict)
                return;
        l->try_at = l->at;
        next(l, PROBE, now);
}

static void
won(struct epp_lease *l, json_t *object, epp_us now)
{
        json_decref(l->object);
        l->object = object;
        observe(l, json_object_get(l->draft, "spec"), now);
        l->observed_at = now;
        l->round_began = 0;
        l->complained = 0;
        next(l, TRY, now + l->cfg.retry);
        if (!l->releasing)
                set_leading(l, true, "the lease is ours");
}

/* ---- answers ---- */

static void
on_fast(struct epp_lease *l, int http, json_t *object, epp_us now)
{
        if (object) {
                won(l, object, now);
                return;
        }
        if (http != 409)
                complain(l, http);
        l->slow_renewals += l->leading;
        next(l, LOOK, now);
}

/* The object was read: is the lease to be had? */
static void
on_record(struct epp_lease *l, json_t *object, epp_us now)
{
        json_decref(l->object);
        l->object = object;
        l->complained = 0;
        observe(l, json_object_get(object, "spec"), now);
        if (text_in(l->record, "holderIdentity").n && !held_by_me(l) && valid(l, now)) {
                set_leading(l, false, "another holds the lease");
                fail(l, 200, now);
        } else {
                next(l, TAKE, now);
        }
}

static void
forget_object(struct epp_lease *l)
{
        json_decref(l->object);
        json_decref(l->record);
        l->object = l->record = NULL;
}

static void
refused(struct epp_lease *l, int http, epp_us now)
{
        complain(l, http);
        if (http == 403)
                set_leading(l, false, "not allowed to renew");
        fail(l, http, now);
}

static void
on_look(struct epp_lease *l, int http, json_t *object, epp_us now)
{
        if (object) {
                on_record(l, object, now);
        } else if (http == 404) {
                forget_object(l);
                next(l, TAKE, now);
        } else {
                refused(l, http, now);
        }
}

static void
on_take(struct epp_lease *l, int http, json_t *object, epp_us now)
{
        if (object)
                won(l, object, now);
        else if (http == 409) /* another was faster: who, the next look says */
                fail(l, http, now);
        else
                refused(l, http, now);
}

static void
on_probe(struct epp_lease *l, int http, epp_us now)
{
        next(l, TRY, EPP_MAX(now, l->try_at));
        if (http || !l->leading)
                return;
        l->round_began = now;
}

static void
release_again(struct epp_lease *l, int http, epp_us now)
{
        if (http == 409)
                next(l, RELEASE_LOOK, now + RELEASE_CONFLICT);
        else if (http == 429 || http >= 500)
                next(l, RELEASE_LOOK, now + RELEASE_BUSY);
        else
                l->released = true; /* not to be had: the others wait for its end */
}

static void
on_release_look(struct epp_lease *l, int http, json_t *object, epp_us now)
{
        if (!object) {
                release_again(l, http, now);
                return;
        }
        json_decref(l->object);
        l->object = object;
        observe(l, json_object_get(object, "spec"), now);
        if (held_by_me(l))
                next(l, RELEASE_PUT, now);
        else
                l->released = true;
}

static void
on_release_put(struct epp_lease *l, int http, json_t *object, epp_us now)
{
        if (!object) {
                release_again(l, http, now);
                return;
        }
        observe(l, json_object_get(l->draft, "spec"), now);
        json_decref(object);
        l->released = true;
}

void
epp_lease_answer(struct epp_lease *l, int http, struct epp_slice body, epp_us now)
{
        json_t *object = NULL;
        enum step was = l->step;

        EPP_ASSERT(l->running);
        l->running = false;
        if (was != PROBE && (http == 200 || http == 201))
                object = read_lease(body);
        switch (was) {
        case FAST:
                on_fast(l, http, object, now);
                break;
        case LOOK:
                on_look(l, http, object, now);
                break;
        case TAKE:
                on_take(l, http, object, now);
                break;
        case RELEASE_LOOK:
                on_release_look(l, http, object, now);
                return;
        case RELEASE_PUT:
                on_release_put(l, http, object, now);
                return;
        default:
                on_probe(l, http, now);
        }
        if (!l->releasing)
                return;
        l->step = was == TAKE && http == 0 ? TAKE : TRY;
        release_next(l, now);
}

/* ---- wishes ---- */

static epp_us
request_timeout(const struct epp_lease *l, epp_us now)
{
        epp_us t = EPP_MAX(l->cfg.renew_deadline / 2, SECOND);

        if (l->step == PROBE)
                t = EPP_MIN(t, l->cfg.retry);
        else if (l->releasing)
                t = EPP_MIN(t, l->release_until - now);
        else if (l->leading)
                t = EPP_MIN(t, l->round_began + l->cfg.renew_deadline - now);
        return EPP_MAX(t, 1000);
}

static void
begin_try(struct epp_lease *l, epp_us now)
{
        l->try_began = now;
        l->step = l->object && held_by_me(l) && valid(l, now) ? FAST : LOOK;
        if (l->leading && l->step == LOOK)
                l->slow_renewals++;
}

/* The step's request into <w>, without its timeout; false: no memory. */
static bool
make_request(struct epp_lease *l, epp_wall wall, struct epp_lease_wish *w)
{
        bool write = l->step == FAST || l->step == TAKE || l->step == RELEASE_PUT,
             create = write && !l->object;

        if (write && !make_draft(l, l->step == RELEASE_PUT, wall))
                return false;
        w->method = create ? EPP_LEASE_POST : write ? EPP_LEASE_PUT : EPP_LEASE_GET;
        w->body = write ? epp_buf_slice(&l->body) : epp_slice(NULL, 0);
        snprintf(l->path, sizeof(l->path), "/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s",
                l->ns, create ? "" : "/", create ? "" : l->name);
        w->path = l->step == PROBE ? "/version" : l->path;
        return true;
}

void
epp_lease_wish(struct epp_lease *l, epp_us now, epp_wall wall, struct epp_lease_wish *ret)
{
        epp_us deadline;

        *ret = (struct epp_lease_wish){ .at = now + FAR };
        if (l->running || epp_lease_released(l, now))
                return;
        if (l->leading && !l->round_began && now >= l->at)
                l->round_began = now;
        deadline = l->leading && l->round_began ? l->round_began + l->cfg.renew_deadline
                                                : now + FAR;
        if (now >= deadline && l->step != PROBE) {
                set_leading(l, false, "not renewed in time");
                next(l, TRY, now + follower_wait(l));
        }
        if (now < l->at) {
                ret->at = EPP_MIN(l->at, EPP_MAX(deadline, now + 1000));
                return;
        }
        if (l->step == TRY)
                begin_try(l, now);
        if (!make_request(l, wall, ret)) {
                next(l, l->releasing ? RELEASE_LOOK : TRY, now + l->cfg.retry);
                ret->at = l->at;
                return;
        }
        ret->timeout_ms = (unsigned)(request_timeout(l, now) / 1000);
        l->running = true;
}

/* ---- life ---- */

static bool
copy_name(char *out, struct epp_slice s)
{
        for (size_t i = 0; i < s.n; i++)
                if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') &&
                        s.p[i] != '-' && s.p[i] != '.')
                        return false;
        if (s.n == 0 || s.n > EPP_LEASE_NAME_MAX)
                return false;
        memcpy(out, s.p, s.n);
        return true;
}

int
epp_lease_new(const struct epp_lease_config *cfg, struct epp_lease **ret)
{
        struct epp_lease *l;

        if (cfg->retry < SECOND || (double)cfg->renew_deadline <= JITTER * (double)cfg->retry ||
                cfg->duration <= cfg->renew_deadline || cfg->duration > INT32_MAX * SECOND ||
                cfg->identity.n == 0 || cfg->identity.n > IDENTITY_MAX)
                return EPP_EINVAL;
        l = calloc(1, sizeof(*l));
        if (!l)
                return EPP_ENOMEM;
        if (!copy_name(l->ns, cfg->ns) || !copy_name(l->name, cfg->name)) {
                free(l);
                return EPP_EINVAL;
        }
        l->cfg = *cfg;
        memcpy(l->identity, cfg->identity.p, cfg->identity.n);
        epp_rng_init(&l->rng, cfg->seed);
        *ret = l;
        return 0;
}

void
epp_lease_free(struct epp_lease *l)
{
        if (!l)
                return;
        json_decref(l->object);
        json_decref(l->record);
        json_decref(l->draft);
        epp_buf_fini(&l->body);
        free(l);
}

void
epp_lease_release(struct epp_lease *l, epp_us now)
{
        if (l->releasing)
                return;
        l->releasing = true;
        l->release_until = now + RELEASE_LIMIT;
        set_leading(l, false, "released");
        if (l->running)
                return;
        l->step = TRY;
        release_next(l, now);
}

bool
epp_lease_released(const struct epp_lease *l, epp_us now)
{
        return l->releasing && (l->released || now >= l->release_until);
}

bool
epp_lease_leading(const struct epp_lease *l)
{
        return l->leading;
}

struct epp_slice
epp_lease_holder(const struct epp_lease *l)
{
        return text_in(l->record, "holderIdentity");
}

uint64_t
epp_lease_slow_renewals(const struct epp_lease *l)
{
        return l->slow_renewals;
}
