/* parts.h - a body as it goes on: the received bytes, with other model values between them.
 * Nothing is copied; the pieces lend from the body and from the quoted name.
 * Knows: wire/jscan. */
#ifndef EPP_PARTS_H
#define EPP_PARTS_H

#include "wire/jscan.h"

#define EPP_PARTS (2 * EPP_JSCAN_SPANS + 1)

struct epp_parts {
        struct epp_slice v[EPP_PARTS];
        size_t n, first;     /* pieces first .. n are not taken yet */
        size_t total;        /* their bytes */
        struct epp_buf name; /* the model as a JSON string */
};

/* All of <body> as it is. */
void epp_parts_plain(struct epp_parts *p, struct epp_slice body);
/* <body> with every model value that <scan> found in it replaced by <model>.
 * Returns 0 or EPP_ENOMEM (<p> holds nothing then). */
EPP_MUSTUSE int epp_parts_renamed(struct epp_parts *p, struct epp_slice body,
        const struct epp_jscan *scan, struct epp_slice model);
/* Moves the next <n> bytes (at most p->total) to out[EPP_PARTS]; returns how many slices. */
size_t epp_parts_take(struct epp_parts *p, size_t n, struct epp_slice *out);
/* Appends all that is left to <out>. Returns 0, EPP_ENOMEM, EPP_ETOOBIG. */
EPP_MUSTUSE int epp_parts_join(struct epp_parts *p, struct epp_buf *out);
void epp_parts_fini(struct epp_parts *p);

#endif
