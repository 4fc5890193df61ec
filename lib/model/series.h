/* series.h - what is counted per model, target, fairness id and priority. The finest labels that a
 * page shows: coarser ones are sums over runs of cells that follow each other.
 * Values that clients choose are capped: what comes after the first <values> model names (or
 * fairness ids) counts under "other". Cells stay for life. Knows: base. */
#ifndef EPP_SERIES_H
#define EPP_SERIES_H

#include "base/hist.h"
#include "base/slice.h"
#include "base/status.h"

/* Why a request got no good answer. */
enum epp_failure {
        EPP_FAIL_BAD_REQUEST,
        EPP_FAIL_NOT_FOUND,
        EPP_FAIL_EXHAUSTED,
        EPP_FAIL_UNAVAILABLE,
        EPP_FAIL_INTERNAL,
        EPP_FAIL_MODEL_SERVER, /* routed, and answered with something other than 2xx */
        EPP_FAIL_COUNT
};

struct epp_labels {
        struct epp_slice model, target, fairness;
        int32_t priority;
        bool pinned, pinned_target; /* model, target: the operator named it, it takes no slot */
};

/* Histograms of a cell: seconds, bytes, tokens. */
#define EPP_CELL_HISTS(X) \
        X(duration, GEN) X(request_bytes, REQ) X(response_bytes, RESP) X(input_tokens, TIN) \
        X(output_tokens, TOUT) X(cached_tokens, TIN) X(ntpot, NTPOT) X(ttft, TTFT) \
        X(ttft_streaming, TTFT) X(tpot, TPOT) X(itl, ITL)

struct epp_cell {
        struct epp_labels labels; /* the series' own text, valid UTF-8 */
        uint64_t requests;        /* routed */
        uint64_t running;         /* of them, now; none without a model's name */
        uint64_t failures[EPP_FAIL_COUNT];
#define X(name, bounds) EPP_HIST(name, bounds);
        EPP_CELL_HISTS(X)
#undef X
};

struct epp_series;

/* <values>: cap of distinct values per label; <seed> keeps peers from choosing colliding names.
 * Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_series_new(size_t values, uint64_t seed, struct epp_series **ret);
/* Accepts NULL. */
void epp_series_free(struct epp_series *s);
/* From now on all fairness ids are the empty one. Before the first cell. */
void epp_series_hide_fairness(struct epp_series *s);
/* The cell of <l> (text is copied), never NULL. It stays where it is, and no two have the same
 * labels. Beyond 10,000 cells a new one is shared by all fairness ids, beyond another 10,000 it is
 * that of "other", as when memory is short. */
struct epp_cell *epp_series_cell(struct epp_series *s, const struct epp_labels *l);
/* All cells, ordered by model, target, priority, fairness, so that a sum over the latter ones is
 * one over neighbours; valid until the next new one. Cells that never counted anything may be among
 * them. */
struct epp_cell *const *epp_series_list(const struct epp_series *s, size_t *ret_n);

/* A count by three labels; own text. */
struct epp_tally {
        union {
                struct epp_slice label[3];
                struct {
                        struct epp_slice target, endpoint, port; /* of picks */
                };
                struct {
                        struct epp_slice rewrite, model, to; /* of rewrites */
                };
        };
        uint64_t n; /* not 0 */
};
/* Counts a pick; <endpoint> and <port> empty: the scheduler found none. Of more than 10,000
 * combinations the latest count with their endpoint and port as "other". */
void epp_series_attempt(struct epp_series *s, struct epp_slice target, struct epp_slice endpoint,
        struct epp_slice port);
/* Counts a decision of InferenceModelRewrite <rewrite>: <model> became <to>; likewise. */
void epp_series_rewrite(struct epp_series *s, struct epp_slice rewrite, struct epp_slice model,
        struct epp_slice to);
/* In the order of their first count, so that a page may be written in pieces; the list is valid
 * until a new one is counted. */
struct epp_tally *const *epp_series_attempts(const struct epp_series *s, size_t *ret_n);
struct epp_tally *const *epp_series_rewrites(const struct epp_series *s, size_t *ret_n);

#endif
