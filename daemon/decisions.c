/* decisions.c - see decisions.h. */
#include "daemon/decisions.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "serve/director.h"

static void
put_name(struct text *t, const char *key, struct epp_slice value)
{
        text_putf(t, ",\"%s\":", key);
        text_json(t, value);
}

static void
put_time(struct text *t, epp_wall at)
{
        time_t sec = (time_t)(at / 1000000);
        char text[32];
        struct tm tm;

        gmtime_r(&sec, &tm);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        text_putf(t, "\"%s.%03dZ\"", text, (int)(at % 1000000 / 1000));
}

static void
put_result(struct text *t, const struct epp_decision *d)
{
        if (d->http == 0) {
                text_putf(t, ",\"result\":\"routed\",\"code\":null,\"reason\":null");
                return;
        }
        text_putf(t, ",\"result\":\"refused\",\"code\":%d", d->http);
        put_name(t, "reason", d->why);
}

static void
put_steps(struct text *t, const struct epp_decision *d)
{
        for (unsigned i = 0; i < d->n_steps; i++)
                text_putf(t, "%s{\"plugin\":\"%s\",\"in\":%" PRIu32 ",\"out\":%" PRIu32 "}",
                        i ? "," : "", d->step[i].plugin, d->step[i].in, d->step[i].out);
}

static void
put_seen(struct text *t, const struct epp_decision *d, unsigned i)
{
        const struct epp_seen *s = &d->seen[i].as;
        const char *by = epp_trace_dropped_by(d->step, d->n_steps, s->dropped_at);

        text_putf(t, "%s{\"name\":", i ? ",\n  " : "\n  ");
        text_json(t, d->seen[i].name);
        text_putf(t, ",\"passed\":%u,\"dropped_by\":",
                epp_trace_passed(d->step, d->n_steps, s->dropped_at));
        text_putf(t, by ? "\"%s\"" : "null", by);
        text_putf(t, ",\"waiting\":%" PRId64 ",\"running\":%" PRId64 ",\"kv_cache\":", s->waiting,
                s->running);
        text_putf(t, isfinite(s->kv_ratio) ? "%.4g" : "null", s->kv_ratio);
        text_putf(t, ",\"in_flight\":%" PRIu32 ",\"age_ms\":", s->inflight);
        text_putf(t, s->age < 0 ? "null" : "%" PRId64, s->age / 1000);
        if (!isnan(s->score))
                text_putf(t, ",\"score\":%.4g", s->score);
        text_putf(t, "}");
}

/* The name of the chosen one, or null. */
static void
put_endpoint(struct text *t, const struct epp_decision *d)
{
        bool chosen = d->http == 0 && d->n_seen && d->seen[0].as.dropped_at == EPP_TRACE_NEVER;

        text_putf(t, ",\"endpoint\":");
        if (chosen)
                text_json(t, d->seen[0].name);
        else
                text_putf(t, "null");
}

void
decision_put(struct text *t, const struct epp_decision *d, epp_us now, epp_wall wall)
{
        text_putf(t, "{\"number\":%" PRIu64 ",\"age_seconds\":%.3f,\"time\":", d->number,
                (double)(now - d->at) / 1e6);
        put_time(t, wall - (now - d->at));
        put_name(t, "request_id", d->id);
        put_name(t, "model", d->model);
        put_name(t, "target", d->target);
        text_putf(t, ",\"critical\":%s,\"priority\":%" PRId32, d->critical ? "true" : "false",
                d->priority);
        put_result(t, d);
        put_endpoint(t, d);
        text_putf(t, ",\"candidates\":%" PRIu32 ",\n \"steps\":[", d->candidates);
        put_steps(t, d);
        text_putf(t, "],\n \"endpoints\":[");
        for (unsigned i = 0; i < d->n_seen; i++)
                put_seen(t, d, i);
        text_putf(t, "]}");
}
