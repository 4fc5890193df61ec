/* decisions.h - one remembered decision as JSON. Knows: text, serve/ring. */
#ifndef EPPD_DECISIONS_H
#define EPPD_DECISIONS_H

#include "daemon/text.h"
#include "serve/ring.h"

/* Appends <d> as an object; the clocks say now. */
void decision_put(struct text *t, const struct epp_decision *d, epp_us now, epp_wall wall);

#endif
