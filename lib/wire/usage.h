/* usage.h - token counts out of a response's JSON, byte by byte, in any split.
 * Walks one document (a whole body, or the data of one SSE event) and remembers numbers at the
 * places where model servers put them. Never fails: what is not JSON counts nothing.
 * Knows: base. */
#ifndef EPP_USAGE_H
#define EPP_USAGE_H

#include "base/slice.h"

struct epp_usage {
        uint64_t prompt, completion, total, cached; /* tokens; 0 = not said */
        bool details; /* it was said how many were cached, be it 0 */
        bool error; /* a top-level "error" object was seen */
};

#define EPP_USAGE_LEVELS 4 /* depth at which anything of interest can stand */

struct epp_usage_walk {
        struct epp_usage got, meta; /* meta counts only with a finish_reason */
        bool finished;
        unsigned char strong;       /* bits: the first choice of a name was seen (usage.c) */
        unsigned depth;
        uint64_t objects;           /* bit d: level d is an object (d < 64) */
        unsigned char key[EPP_USAGE_LEVELS + 1]; /* the key we are below, per level */
        unsigned char state;
        bool wants_key, dead;
        char text[32];              /* the key or number being read */
        unsigned char text_n;
        bool text_long;
};

/* Begins a document. */
void epp_usage_begin(struct epp_usage_walk *w);
void epp_usage_feed(struct epp_usage_walk *w, struct epp_slice in);
/* Ends it and merges into *sum: later numbers that are not zero win (events of one response). */
void epp_usage_end(struct epp_usage_walk *w, struct epp_usage *sum);

#endif
