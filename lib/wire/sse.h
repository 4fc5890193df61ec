/* sse.h - a response body as it goes by: events counted, usage found. Bytes are only looked at.
 * Knows: base, usage. */
#ifndef EPP_SSE_H
#define EPP_SSE_H

#include "wire/usage.h"

struct epp_sse {
        struct epp_usage usage;
        uint64_t events;          /* with data other than [DONE] */
        struct epp_usage_walk walk;
        bool walking, counts;     /* an event with data is being read; it counts */
        unsigned char at;         /* bytes of "data:" matched at the line start; see sse.c */
        unsigned char done;       /* bytes of "[DONE]" matched */
        bool cr, skip_space;
};

void epp_sse_init(struct epp_sse *s);
void epp_sse_feed(struct epp_sse *s, struct epp_slice in);
/* The end of the body: a last event without its blank line counts too. */
void epp_sse_end(struct epp_sse *s);

/* Where from <i> on in <n> bytes the next carriage return, or quote with u, e or m behind it,
 * stands; <n> without one. And the same byte by byte, to compare with. */
size_t epp_sse_suspect(const char *p, size_t n, size_t i);
size_t epp_sse_suspect_twin(const char *p, size_t n, size_t i);

#endif
