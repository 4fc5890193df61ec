/* response.h - what a response says as it goes by: status, first byte, tokens, end.
 * Bytes are only looked at; what they say is asked once, at the end. A broken upstream body counts
 * nothing and harms nothing. Knows: wire/sse, wire/usage. */
#ifndef EPP_RESPONSE_H
#define EPP_RESPONSE_H

#include "wire/sse.h"

/* What became of a routed request. */
struct epp_outcome {
        int status;             /* of the response, 0 = none was seen */
        int said;               /* what a header named status says, likewise (CGI) */
        bool begun;             /* some of the response was shown to us */
        bool complete;          /* the whole response went by */
        bool streaming;         /* server-sent events */
        epp_us first_us,
                all_us;         /* from the request headers to first body byte and end; 0 = never */
        uint64_t bytes, events; /* of the response body as far as it was shown to us */
        struct epp_usage usage;
};

/* A status that was seen and is not 2xx: the model server failed. */
static inline bool
epp_status_is_bad(int status)
{
        return status && (status < 200 || status > 299);
}

struct epp_response {
        int status, said;
        bool begun;             /* something of it was shown */
        bool encoded;           /* gzip or the like: not readable */
        enum { EPP_BODY_OPAQUE, EPP_BODY_JSON, EPP_BODY_SSE } kind;
        epp_us first, last;     /* when the first body byte and the last piece came, 0 = not yet */
        uint64_t bytes;
        union {
                struct epp_sse sse;
                struct epp_usage_walk json;
        } reader;
};

/* One response header, in order of arrival. <r> begins as zeroes. */
void epp_response_header(struct epp_response *r, struct epp_slice name, struct epp_slice value);
/* All headers were seen: chooses the reader of the body. */
void epp_response_begin(struct epp_response *r);
/* Body bytes, in any pieces. Returns the time since the piece before it when the response is
 * streamed and both have bytes, else -1. */
epp_us epp_response_body(struct epp_response *r, struct epp_slice body, epp_us now);
/* The sum for a request that began at <begun>; call once. */
struct epp_outcome epp_response_end(
        struct epp_response *r, epp_us begun, epp_us now, bool complete);

#endif
