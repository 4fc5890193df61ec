/* promscan.h - a metrics page (Prometheus text 0.0.4), in pieces, to samples of wanted families.
 * A line that is broken is dropped and counted; the rest of the page is used.
 * Knows: base. Does not know: what a family means (model/load does). Single owner. */
#ifndef EPP_PROMSCAN_H
#define EPP_PROMSCAN_H

#include "base/buf.h"

#define EPP_PROM_FAMILIES_MAX 32
#define EPP_PROM_LABELS_MAX 128       /* per line; vLLM's longest has about 40 */
#define EPP_PROM_LINE_MAX (64 * 1024) /* bytes before the LF; longer lines are errors */

/* One sample of family <family> (index into the names given to _init). <labels> are 2 * <n> slices,
 * name and value in turn, unescaped; they and what they point to are lent for the call.
 * <ts_ms> is 0 when the line has none. <value> may be NaN or infinite. */
typedef void (*epp_prom_sample_fn)(void *arg, unsigned family, const struct epp_slice *labels,
        size_t n, double value, int64_t ts_ms);

struct epp_promscan {
        struct epp_slice names[EPP_PROM_FAMILIES_MAX];
        unsigned n_names;
        uint8_t first[256];     /* what a line that begins with this byte can be */
        size_t common;          /* bytes that all names begin with, the first eight of them, ... */
        uint64_t head, head_mask;
        bool next[256];         /* ... and those that can follow */
        epp_prom_sample_fn fn;
        void *arg;
        struct epp_buf carry;   /* the line that is not complete yet */
        struct epp_buf scratch; /* unescaped label values of one line */
        bool skip;              /* the rest of this line is dropped */
        bool nomem;
        uint64_t lines, samples, errors, bytes; /* of this page; samples = wanted ones */
        struct epp_slice labels[2 * EPP_PROM_LABELS_MAX];
};

/* <names> (the texts borrowed until _fini) are the wanted families; a name given twice counts once.
 * Returns 0, EPP_EINVAL (too many, or an empty name). */
EPP_MUSTUSE int epp_promscan_init(struct epp_promscan *p, const struct epp_slice *names, size_t n,
        epp_prom_sample_fn fn, void *arg);
void epp_promscan_fini(struct epp_promscan *p);
/* Forgets the page in progress and its counts. */
void epp_promscan_begin(struct epp_promscan *p);
/* Scans <s>; what is kept of it is copied. Returns 0, EPP_ENOMEM (lines were lost; the page's
 * values should not be used). The result does not depend on where the page is cut. */
EPP_MUSTUSE int epp_promscan_feed(struct epp_promscan *p, struct epp_slice s);
/* Ends the page. A last line without LF is used when <complete>, else it is an error.
 * Returns as epp_promscan_feed. */
EPP_MUSTUSE int epp_promscan_end(struct epp_promscan *p, bool complete);

#endif
