/* account.h - from records to the cells of model/series. Knows: record, series. */
#ifndef EPP_ACCOUNT_H
#define EPP_ACCOUNT_H

#include "serve/record.h"

/* Counts a decision; r->cell becomes where the rest of the request counts. */
void epp_account_decided(struct epp_series *s, struct epp_record *r);
/* Counts the end of a routed request (r->outcome) in r->cell. <compat>: only a header named status
 * tells of an error of the model server, as the Go pickers see it (and :status does not). */
void epp_account_ended(const struct epp_record *r, bool compat);
/* A response without a pick: counted under empty labels, as the Go pickers do. */
void epp_account_stray(struct epp_series *s, const struct epp_outcome *o, bool compat);

#endif
