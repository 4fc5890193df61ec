/* show.h - values that are shown twice, as JSON and as HTML: how each looks to a program and to the
 * eye. daemon/status/script.js has the same looks for what it draws from the JSON.
 * Knows: text. Does not know: what is shown. */
#ifndef EPPD_SHOW_H
#define EPPD_SHOW_H

#include "daemon/text.h"

/* X(ENUM, word): the word is the look's name in HTML, for script.js and style.css. */
#define LOOKS(X) \
        X(TEXT, "text") X(COUNT, "count") X(BYTES, "bytes") X(MS, "ms") X(SECONDS, "s") \
        X(SHARE, "share") X(YES, "yes") X(STATE, "state") X(NAMES, "names") X(COUNTS, "counts") \
        X(TARGETS, "targets") X(PLACE, "place") X(RATE, "rate") X(SPARK, "spark")

enum look {
#define X(id, word) LOOK_##id,
        LOOKS(X)
#undef X
        LOOK_COUNT_OF
};

enum value_kind { VALUE_NONE, VALUE_NUMBER, VALUE_TEXT };
struct value {
        enum value_kind kind;
        double n; /* of MS milliseconds, of SECONDS seconds, of SHARE 0 to 1, of YES 0 or 1 */
        struct epp_slice text; /* borrowed */
};

static inline struct value
value_text(struct epp_slice s)
{
        return (struct value){ s.n ? VALUE_TEXT : VALUE_NONE, 0, s };
}

static inline struct value
value_number(double n)
{
        return (struct value){ VALUE_NUMBER, n, { NULL, 0 } };
}

/* <n> to that many decimal places, halves up: the JSON and the page round alike. */
double show_rounded(double n, double places);
const char *show_look(enum look l);
/* As JSON: null, a number, a string, true or false. */
void show_json(struct text *t, enum look l, struct value v);
/* As HTML, with the markup of its look; what is text is escaped. None is a dash. */
void show_html(struct text *t, enum look l, struct value v);
/* One of several counts, "name n" to the eye; *begun is false before the first. */
void show_count(struct text *t, bool html, bool *begun, const char *name, uint64_t n);

#endif
