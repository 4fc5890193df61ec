/* kselect.h - label selectors -> query text of the Kubernetes API. Knows: yaml (trees), buf. */
#ifndef EPP_KSELECT_H
#define EPP_KSELECT_H

#include "base/buf.h"
#include "wire/yaml.h"

/* Appends "labelSelector=k1%3Dv1%2Ck2%3Dv2", keys sorted, for a map of labels; nothing for NULL or
 * an empty one, which select everything. Returns 0, EPP_EINVAL (more than 64 labels), EPP_ENOMEM.
 */
EPP_MUSTUSE int epp_kselect_labels(struct epp_buf *out, const struct epp_node *labels);
/* The same for kubectl's syntax: k, !k, k=v, k==v, k!=v, k in (a,b), k notin (a,b), k>1, k<1,
 * joined by commas. Returns 0, EPP_EINVAL (not that syntax), EPP_ENOMEM. */
EPP_MUSTUSE int epp_kselect_text(struct epp_buf *out, struct epp_slice text);

#endif
