/* reqhead.h - what is remembered of the headers of a request. Knows: dialect. Does not know:
 * conversations (stream does). */
#ifndef EPP_REQHEAD_H
#define EPP_REQHEAD_H

#include "base/buf.h"
#include "serve/dialect.h"

#define EPP_EXPLAIN "x-eppd-explain" /* asks why, and answers */

/* Client headers that steer eppd: taken out before the request goes on. */
#define EPP_REQHEAD_CONTROL(X) \
        X("x-gateway-destination-endpoint-subset") X("x-gateway-destination-endpoint-served") \
        X("x-llm-d-inference-fairness-id") X("x-gateway-inference-fairness-id") \
        X("x-llm-d-inference-objective") X("x-gateway-inference-objective") \
        X("x-llm-d-model-name-rewrite") X("x-gateway-model-name-rewrite") \
        X("x-llm-d-slo-ttft-ms") X("x-slo-ttft-ms") X("x-llm-d-slo-tpot-ms") X("x-slo-tpot-ms") \
        X("x-llm-d-request-dropped-reason") X(EPP_EXPLAIN)
#define EPP_REQHEAD_CONTROLS 14

/* Headers whose value is kept; paths in the order of preference. */
#define EPP_REQHEAD_KEPT(X) \
        X(":method", METHOD) X(":path", PATH) X("x-original-path", ORIGINAL_PATH) \
        X("x-forwarded-path", FORWARDED_PATH) X("x-request-id", REQUEST_ID) \
        X("x-llm-d-inference-objective", OBJECTIVE) \
        X("x-gateway-inference-objective", OLD_OBJECTIVE) \
        X("x-llm-d-model-name-rewrite", REWRITE) X("x-gateway-model-name-rewrite", OLD_REWRITE) \
        X("x-llm-d-inference-fairness-id", FAIRNESS) \
        X("x-gateway-inference-fairness-id", OLD_FAIRNESS) X(EPP_EXPLAIN, EXPLAIN)

enum epp_kept {
#define X(text, id) EPP_KEPT_##id,
        EPP_REQHEAD_KEPT(X)
#undef X
        EPP_KEPT_COUNT
};

/* Begins as zeroes. */
struct epp_reqhead {
        uint32_t control;    /* bits of the client headers that steer us: they were sent */
        uint32_t seen;       /* 1 << kept */
        bool hint;           /* the client sent our own header */
        bool upgrade;
        bool nomem;          /* something was lost */
        uint64_t body_n;     /* content-length; 0: unknown */
        struct epp_buf text; /* of kept headers */
        struct {
                uint32_t at, n, size; /* size: room for it in text */
        } kept[EPP_KEPT_COUNT];
};

/* One header, in order; <hint> is the name of our own. Of repeated ones the last counts. Without
 * memory h->nomem. */
void epp_reqhead_add(struct epp_reqhead *h, struct epp_slice hint, struct epp_slice name,
        struct epp_slice value);
/* Empty when it did not come, or has a zero byte or (but for a path, of which the end is kept)
 * more than 1 KiB. Lent until the next add. */
struct epp_slice epp_reqhead_get(const struct epp_reqhead *h, enum epp_kept i);
/* The value of a header that has an old name too: the new one hides it, even when it is empty. */
struct epp_slice epp_reqhead_either(const struct epp_reqhead *h, enum epp_kept name,
        enum epp_kept old);
/* By the path that is best known; that of unknown paths when none came. */
const struct epp_dialect *epp_reqhead_dialect(const struct epp_reqhead *h);
/* Writes the names of the control headers that came to out[EPP_REQHEAD_CONTROLS]; how many. */
size_t epp_reqhead_control(const struct epp_reqhead *h, struct epp_slice *out);
void epp_reqhead_fini(struct epp_reqhead *h);

#endif
