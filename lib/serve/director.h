/* director.h - from a request to an endpoint: model match, split, candidates, cycle, verdict.
 * Owns nothing it decides over: pool, models and scheduler are the caller's. It keeps counts.
 * Knows: stream (the question), sched, model. */
#ifndef EPP_DIRECTOR_H
#define EPP_DIRECTOR_H

#include "base/log.h"
#include "model/objective.h"
#include "model/pool.h"
#include "sched/sched.h"
#include "serve/record.h"
#include "serve/stream.h"

enum epp_model_match { EPP_MATCH_AUTO, EPP_MATCH_REQUIRED, EPP_MATCH_PASSTHROUGH };

/* The word in an answer's text, as the original has it. */
const char *epp_failure_name(enum epp_failure f);

struct epp_director_stats {
        uint64_t requests;               /* asked */
        uint64_t refused[EPP_FAIL_COUNT];
        uint64_t unchecked;              /* passed without a look at their model */
        uint64_t model_errors;           /* responses other than 2xx, or with an error in them */
        uint64_t complete, aborted;      /* routed requests that have ended, ... */
        uint64_t unseen;                 /* ... and those of gateways that show no response */
        uint64_t moved;                  /* served elsewhere than picked */
        uint64_t response_bytes, prompt_tokens, completion_tokens, cached_tokens;
};

#define EPP_OBSERVERS 4

struct epp_director {
        struct epp_pool *pool;
        struct epp_models *models;       /* may be swapped between requests */
        struct epp_sched *sched;
        enum epp_model_match match;
        bool was_required;               /* models, at the last request */
        bool ready;                      /* sources have been read; before, all get 503 */
        struct epp_rng ids;              /* of requests that come without one */
        const struct epp_log *log;
        struct epp_series *series;       /* NULL: nothing is counted by model */
        bool compat_errors;              /* in it, see epp_account_ended */
        struct epp_observer observer[EPP_OBSERVERS];
        size_t n_observers;
        struct epp_director_stats stats;
};

/* The decider of streams; <d> is borrowed for its life. */
struct epp_decider epp_director_decider(struct epp_director *d);

#endif
