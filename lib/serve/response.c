/* response.c - see response.h. */
#include "serve/response.h"

static int
status_of(struct epp_slice value)
{
        int status = 0;

        for (size_t i = 0; i < value.n && i < 3 && value.p[i] >= '0' && value.p[i] <= '9'; i++)
                status = status * 10 + (value.p[i] - '0');
        return status;
}

void
epp_response_header(struct epp_response *r, struct epp_slice name, struct epp_slice value)
{
        if (epp_slice_eq(name, EPP_SLICE(":status"))) {
                r->status = status_of(value);
        } else if (epp_slice_ieq(name, EPP_SLICE("status"))) {
                r->said = status_of(value);
        } else if (epp_slice_ieq(name, EPP_SLICE("content-type"))) {
                struct epp_slice media = epp_slice_trim(epp_slice_cut(&value, ';'));

                r->kind = epp_slice_ieq(media, EPP_SLICE("text/event-stream")) ? EPP_BODY_SSE
                        : epp_slice_ieq(media, EPP_SLICE("application/json")) ? EPP_BODY_JSON
                                                                              : EPP_BODY_OPAQUE;
        } else if (epp_slice_ieq(name, EPP_SLICE("content-encoding"))) {
                r->encoded = !epp_slice_ieq(value, EPP_SLICE("identity"));
        }
}

void
epp_response_begin(struct epp_response *r)
{
        r->begun = true;
        if (r->encoded)
                r->kind = EPP_BODY_OPAQUE;
        if (r->kind == EPP_BODY_SSE)
                epp_sse_init(&r->reader.sse);
        else if (r->kind == EPP_BODY_JSON)
                epp_usage_begin(&r->reader.json);
}

epp_us
epp_response_body(struct epp_response *r, struct epp_slice body, epp_us now)
{
        epp_us gap = r->kind == EPP_BODY_SSE && body.n && r->bytes ? now - r->last : -1;

        if (body.n && !r->bytes)
                r->first = now;
        if (body.n)
                r->last = now;
        r->bytes += body.n;
        if (r->kind == EPP_BODY_SSE)
                epp_sse_feed(&r->reader.sse, body);
        else if (r->kind == EPP_BODY_JSON)
                epp_usage_feed(&r->reader.json, body);
        return gap;
}

struct epp_outcome
epp_response_end(struct epp_response *r, epp_us begun, epp_us now, bool complete)
{
        struct epp_outcome o = { .status = r->status, .begun = r->begun, .said = r->said,
                .complete = complete, .streaming = r->kind == EPP_BODY_SSE, .bytes = r->bytes,
                .first_us = r->first ? r->first - begun : 0, .all_us = now - begun };

        if (r->kind == EPP_BODY_SSE) {
                epp_sse_end(&r->reader.sse);
                o.usage = r->reader.sse.usage;
                o.events = r->reader.sse.events;
        } else if (r->kind == EPP_BODY_JSON) {
                epp_usage_end(&r->reader.json, &o.usage);
        }
        return o;
}
