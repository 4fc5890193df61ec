/* verbs.h - the table of what a scenario line can say, and what its functions share. */
#ifndef EPP_SIM_VERBS_H
#define EPP_SIM_VERBS_H

#include <inttypes.h>

#include "sim/play.h"

/* Plays p->word[0 .. p->n), the verb itself left out. False after play_fail. */
struct verb {
        const char *name;
        size_t least; /* words it needs */
        bool (*fn)(struct play *p);
        const char *usage;
};
extern const struct verb verbs[]; /* ends with a NULL name */

bool play_fail(struct play *p, const char *fmt, ...) EPP_PRINTF(2, 3); /* false */
bool play_result(struct play *p, int r);
const char *play_option(const struct play *p, const char *key); /* of key=value, or NULL */
double play_number_option(struct play *p, const char *key, double def);
bool play_flag(const struct play *p, const char *word);
bool play_number(const char *text, double *ret);
bool play_range(struct play *p, const char *text, double *low, double *high);
bool play_each(struct play *p, const char *word, bool (*fn)(struct play *p, const char *name));
bool play_block(struct play *p, struct epp_buf *out);
struct call *play_call(struct play *p, const char *id); /* the newest of that name; NULL: failed */

/* verbs of requests, in requests.c; of expectations, in expect.c */
bool verb_request(struct play *p);
bool verb_respond(struct play *p);
bool verb_end(struct play *p);
bool verb_reset(struct play *p);
bool verb_close(struct play *p);
bool verb_expect(struct play *p);

#endif
