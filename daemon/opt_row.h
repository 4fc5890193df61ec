/* opt_row.h - the rows of opt.def, for opt*.c alone. */
#ifndef EPPD_OPT_ROW_H
#define EPPD_OPT_ROW_H

#include <stdio.h>

#include "daemon/opt.h"

enum opt_kind { TEXT, LIST, BOOL, PORT, NUMBER, BYTES, DURATION, RATIO, METRIC, ADDRESS, HEADER,
        PATH, LEVEL, ENUM };

struct opt_row {
        const char *group; /* a heading; the rest is unset */
        const char *name, *old, *def, *prose;
        enum opt_kind kind;
        size_t offset;
        unsigned id;
        const char *min, *max; /* as flags would say them; NULL: what the kind allows */
        const char *zero;      /* what 0 means; then it is allowed beside min to max */
};

/* A flag of the Go pickers whose feature is not built: refused by that word, never ignored. */
struct opt_unbuilt {
        const char *name, *old;
        bool boolean;
        const char *off; /* the one value that asks for what is so anyway */
};

extern const struct opt_row opt_rows[];
extern const size_t opt_rows_n;
extern const struct opt_unbuilt opt_unbuilt[];
extern const size_t opt_unbuilt_n;

/* opt_value.c */

/* <text> into the row's field; texts are borrowed, a list grows by one. False: it is not of the
 * row's kind (or memory ran out), the field is what it was. */
bool opt_set(struct opt *o, const struct opt_row *r, const char *text);
/* Whether <text>, which opt_set took, is from min to max or an allowed 0. */
bool opt_within(const struct opt_row *r, const char *text);
/* "1ms to 1h; 0: never", whatever of it the row has; returns false when it has nothing. */
bool opt_range(const struct opt_row *r, char *text, size_t size);
/* The field's value as opt_set takes it; not for lists. */
void opt_print(const struct opt *o, const struct opt_row *r, FILE *out);
/* The names an ENUM row allows, blanks between. */
struct epp_slice opt_choices(const struct opt_row *r);
/* May stand without a value, for true. */
bool opt_bare(const struct opt_row *r);
/* True, false and what Go takes for them. */
bool opt_bool(const char *text, bool *ret);
/* What the row takes, as in "a port". NULL for an ENUM. */
const char *opt_wants(const struct opt_row *r);

/* opt_show.c: to stdout */

void opt_help(void);
void opt_mdoc(void);
void opt_markdown(void);

#endif
