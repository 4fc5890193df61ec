/* parts.h - a body as it goes on: the received bytes, with other model values between them.
 * Nothing is copied; the slices lend from the body and from the quoted name.
 * Knows: base/rope, wire/jscan. */
#ifndef EPP_PARTS_H
#define EPP_PARTS_H

#include "base/rope.h"
#include "wire/jscan.h"

#define EPP_PARTS 128 /* slices taken at once */

struct epp_parts {
        const struct epp_rope *body;
        struct epp_rope_at at; /* in it: the next byte */
        size_t total;          /* bytes that were not taken yet */
        struct epp_buf name;   /* the model as a JSON string */
        struct epp_slice left; /* of a name that was begun */
        size_t until[EPP_JSCAN_SPANS]; /* bytes of the body before a value, from the last one on */
        size_t span[EPP_JSCAN_SPANS];  /* and those of the value, which are passed over */
        size_t n, next;
};

/* All of <body> (borrowed) as it is. */
void epp_parts_plain(struct epp_parts *p, const struct epp_rope *body);
/* <body> with every model value that <scan> found in it replaced by <model>.
 * Returns 0 or EPP_ENOMEM (<p> holds nothing then). */
EPP_MUSTUSE int epp_parts_renamed(struct epp_parts *p, const struct epp_rope *body,
        const struct epp_jscan *scan, struct epp_slice model);
/* Moves the next *n bytes (at most p->total) to out[EPP_PARTS], or fewer where they lie in more
 * slices than that; *n is how many. Returns how many slices. */
size_t epp_parts_take(struct epp_parts *p, size_t *n, struct epp_slice *out);
void epp_parts_fini(struct epp_parts *p);

#endif
