/* fault.c - faults on demand, and what the last request was. */
#include "test/vllmsim/sim.h"

#include <event2/keyvalq_struct.h>
#include <openssl/sha.h>
#include <xxhash.h>

void
fault_reset(struct server *sv)
{
        free(sv->fault.metrics_body);
        sv->fault = (struct fault){ .waiting = -1, .running = -1, .kv = -1, .status_ratio = 1 };
}

void
fault_fini(struct server *sv)
{
        fault_reset(sv);
        if (sv->restart)
                event_free(sv->restart);
        if (sv->rebind)
                event_free(sv->rebind);
        free(sv->last.uri);
        free(sv->last.model);
        json_decref(sv->last.headers);
}

static void
on_rebind(evutil_socket_t fd, short what, void *arg)
{
        struct server *sv = arg;
        struct timeval again = { 0, 100000 };

        (void)fd, (void)what;
        event_free(sv->rebind);
        sv->rebind = NULL;
        if (server_listen(sv))
                return;
        sv->rebind = evtimer_new(sv->evbase, on_rebind, sv);
        event_add(sv->rebind, &again);
}

/* Later than the request that asked for it, so that it gets its answer. */
static void
on_restart(evutil_socket_t fd, short what, void *arg)
{
        struct server *sv = arg;
        struct timeval tv = { sv->down_ms / 1000, sv->down_ms % 1000 * 1000 };

        (void)fd, (void)what;
        event_free(sv->restart);
        sv->restart = NULL;
        evhttp_free(sv->http); /* closes every connection, which ends every job */
        sv->http = NULL;
        fault_reset(sv);
        engine_reset(sv);
        sv->rebind = evtimer_new(sv->evbase, on_rebind, sv);
        event_add(sv->rebind, &tv);
}

static void
restart(struct server *sv, int down_ms)
{
        struct timeval tv = { 0, 20000 };

        if (sv->restart || sv->rebind)
                return;
        sv->down_ms = down_ms;
        sv->restart = evtimer_new(sv->evbase, on_restart, sv);
        event_add(sv->restart, &tv);
}

static int
as_int(const json_t *v)
{
        return json_is_number(v) ? (int)json_number_value(v) : -1;
}

/* One member of the POSTed object. Returns false for an unknown name. */
static bool
set(struct server *sv, const char *key, const json_t *v)
{
        struct fault *f = &sv->fault;

        if (!strcmp(key, "waiting"))
                f->waiting = as_int(v);
        else if (!strcmp(key, "running"))
                f->running = as_int(v);
        else if (!strcmp(key, "kv"))
                f->kv = json_is_number(v) ? json_number_value(v) : -1;
        else if (!strcmp(key, "metrics_delay_ms"))
                f->metrics_delay_ms = EPP_MAX(as_int(v), 0);
        else if (!strcmp(key, "metrics_status"))
                f->metrics_status = EPP_MAX(as_int(v), 0);
        else if (!strcmp(key, "status"))
                f->status = EPP_MAX(as_int(v), 0);
        else if (!strcmp(key, "status_ratio"))
                f->status_ratio = json_number_value(v);
        else if (!strcmp(key, "slow"))
                f->slow = json_number_value(v);
        else if (!strcmp(key, "cut_after"))
                f->cut_after = EPP_MAX(as_int(v), 0);
        else if (!strcmp(key, "hang"))
                f->hang = json_is_true(v);
        else if (!strcmp(key, "drop"))
                f->drop = json_is_true(v);
        else if (!strcmp(key, "sick"))
                f->sick = json_is_true(v);
        else if (!strcmp(key, "restart"))
                restart(sv, EPP_MAX(as_int(v), 0));
        else if (!strcmp(key, "metrics_body")) {
                free(f->metrics_body);
                f->metrics_body = json_is_string(v) ? xstrdup(json_string_value(v)) : NULL;
        } else if (!strcmp(key, "reset")) {
                fault_reset(sv);
        } else {
                return !strcmp(key, "all");
        }
        return true;
}

void
fault_post(struct server *sv, struct evhttp_request *req, const void *body, size_t len)
{
        json_t *doc = json_loadb(body, len, 0, NULL), *v;
        bool all = json_is_true(json_object_get(doc, "all")), known = json_is_object(doc);
        const char *key;

        for (int i = 0; i < sv->opt->servers; i++) {
                struct server *one = &sv->sim->servers[i];

                if (!all && one != sv)
                        continue;
                json_object_foreach(doc, key, v)
                        known &= set(one, key, v);
        }
        json_decref(doc);
        if (known)
                fault_show(sv, req);
        else
                api_error(sv, req, 400, "not an object, or a name that is not a fault");
}

void
fault_show(struct server *sv, struct evhttp_request *req)
{
        const struct fault *f = &sv->fault;

        api_reply_json(sv, req, 200, json_pack(
                "{s:s,s:i,s:i,s:f,s:i,s:i,s:f,s:i,s:i,s:s?,s:i,s:f,"
                "s:b,s:b,s:b,s:i,s:f,s:I,s:I,s:I,s:I}",
                "endpoint", sv->addr, "now_waiting", sv->nwaiting, "now_running", sv->nrunning,
                "now_kv", kv_usage(&sv->kv), "waiting", f->waiting, "running", f->running, "kv",
                f->kv,
                "metrics_delay_ms", f->metrics_delay_ms, "metrics_status", f->metrics_status,
                "metrics_body", f->metrics_body, "status", f->status, "status_ratio",
                f->status_ratio,
                "hang", f->hang, "drop", f->drop, "sick", f->sick, "cut_after", f->cut_after,
                "slow", f->slow,
                "done", (json_int_t)sv->done, "aborted", (json_int_t)sv->aborted,
                "prompt_tokens", (json_int_t)sv->prompt_tokens,
                "cached_tokens", (json_int_t)sv->cached_tokens));
}

/* Answers (or drops) a generation request instead of the engine. hang is the engine's. */
bool
fault_applies(struct server *sv, struct evhttp_request *req)
{
        const struct fault *f = &sv->fault;

        if (f->drop) {
                api_drop(req);
                return true;
        }
        if (!f->status || (double)(sim_random(&sv->rng) % 10000) >= f->status_ratio * 10000)
                return false;
        api_error(sv, req, f->status, "EngineDeadError");
        return true;
}

void
fault_note(struct server *sv, struct evhttp_request *req, const void *body, size_t len)
{
        struct last *l = &sv->last;
        unsigned char md[SHA256_DIGEST_LENGTH];
        struct evkeyval *kv;

        l->bytes = len;
        l->count++;
        SHA256(body, len, md);
        for (size_t i = 0; i < sizeof(md); i++)
                snprintf(l->sha256 + 2 * i, 3, "%02x", md[i]);
        snprintf(l->xxh3, sizeof(l->xxh3), "%016llx", (unsigned long long)XXH3_64bits(body, len));
        free(l->uri);
        l->uri = xstrdup(evhttp_request_get_uri(req));
        free(l->model);
        l->model = NULL;
        json_decref(l->headers);
        l->headers = json_object();
        TAILQ_FOREACH(kv, evhttp_request_get_input_headers(req), next)
                json_object_set_new(l->headers, kv->key, json_string(kv->value));
}

void
fault_last(struct server *sv, struct evhttp_request *req)
{
        const struct last *l = &sv->last;

        api_reply_json(sv, req, 200, json_pack("{s:I,s:I,s:s,s:s,s:s?,s:s?,s:O?}",
                "count", (json_int_t)l->count, "bytes", (json_int_t)l->bytes, "sha256", l->sha256,
                "xxh3", l->xxh3, "uri", l->uri, "model", l->model, "headers", l->headers));
}
