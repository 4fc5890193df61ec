/* text.h - a page as it is written: plain pieces, numbers, escaped values. Memory running short
 * spoils the page, which is seen once, at its end. Knows: base. */
#ifndef EPPD_TEXT_H
#define EPPD_TEXT_H

#include "base/buf.h"

struct text {
        struct epp_buf *out;
        bool failed; /* something is missing: the page must not be sent */
};

void text_put(struct text *t, struct epp_slice s);
/* For what is short by nature, under 512 bytes: names of our own, numbers. */
void text_putf(struct text *t, const char *fmt, ...) EPP_PRINTF(2, 3);
/* Escaped for a label's value on /metrics: backslash, quote and newline; bytes that are not UTF-8
 * become U+FFFD. */
void text_label(struct text *t, struct epp_slice value);
/* The same as a JSON string, in quotes. */
void text_json(struct text *t, struct epp_slice value);
/* Escaped for HTML, in text and in quoted attributes. */
void text_html(struct text *t, struct epp_slice value);
/* The number as /metrics wants it: the shortest text that reads back to the same double, with an
 * exponent below 1e-4 and from 1e6 on; NaN, +Inf, -Inf. */
void text_number(struct text *t, double v);

#endif
