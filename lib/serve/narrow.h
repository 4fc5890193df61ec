/* narrow.h - whether a model server is asked for its whole metrics page, or by a query for the
 * wanted families only. Some servers understand that and spare themselves most of the work; others
 * give the whole page, nothing, or an error. Nothing says which, so it is tried, once in the life
 * of a server's process:
 *
 *   WHOLE --a page--> TRIAL --all families again, in less than half the bytes--> ON
 *     ^                  `--anything else--> NEVER <--a family gone, an error--'  |
 *     `--no connection: what answers next may be another process--- NEVER, ON ----'
 *
 * An answer that speaks against it is not used at all: the next page, whole, is the news. A family
 * that appears later, and on whole pages only, is not noticed.
 * Knows: base. Does not know: what a family means, HTTP. */
#ifndef EPP_NARROW_H
#define EPP_NARROW_H

#include "base/base.h"

#define EPP_NARROW_BREAKS 2 /* trials without an answer: the server may have died of them */

enum epp_narrow_state { EPP_NARROW_WHOLE, EPP_NARROW_TRIAL, EPP_NARROW_ON, EPP_NARROW_NEVER };

/* One endpoint's own; zero is the beginning. */
struct epp_narrow {
        uint8_t state;  /* enum epp_narrow_state */
        uint8_t breaks; /* trials that no answer ended */
        uint32_t had;   /* families that this process has shown, a bit each */
        uint64_t bytes; /* of the page before the trial */
};

/* What came of a request. */
enum epp_came {
        EPP_CAME_PAGE,    /* 200, complete */
        EPP_CAME_ERROR,   /* an answer, but not that */
        EPP_CAME_CUT,     /* the beginning of one */
        EPP_CAME_LATE,    /* nothing before the deadline */
        EPP_CAME_NOTHING, /* no connection, or it broke before an answer */
};

/* <n> is not to be tried. */
void epp_narrow_off(struct epp_narrow *n);
/* Whether the next request is to have the query. */
bool epp_narrow_asks(const struct epp_narrow *n);
/* That request has ended; <found>: the wanted families on the page, which had <bytes>. False: the
 * answer is to be used in no way; the server is not at fault. Behind NOTHING it is tried again, but
 * after EPP_NARROW_BREAKS trials that ended with CUT, LATE or NOTHING never. */
EPP_MUSTUSE bool epp_narrow_judge(struct epp_narrow *n, enum epp_came came, uint32_t found,
        uint64_t bytes);

#endif
