/* sched.h - one decision: candidates -> one endpoint.
 * A scheduler is a profile of plugins under a built-in configuration; it allocates only when the
 * pool has grown. Knows: plugin. Does not know: queues, messages, sources. */
#ifndef EPP_SCHED_H
#define EPP_SCHED_H

#include "base/hist.h"
#include "base/status.h"
#include "sched/plugin.h"

#define EPP_TIMED 32 /* types of plugins, at most */

enum epp_builtin { EPP_TREE_V03, EPP_TREE_V05, EPP_ACTIVE_REQUEST };

/* The thresholds of the original's environment variables; epp_thresholds_default has its values. */
struct epp_thresholds {
        double kv;              /* KV_CACHE_THRESHOLD, SD_KV_CACHE_UTIL_THRESHOLD */
        double queue_critical;  /* QUEUE_THRESHOLD_CRITICAL, SD_QUEUE_DEPTH_THRESHOLD */
        double queuing_lora;    /* QUEUING_THRESHOLD_LORA */
        double lora_affinity;   /* LORA_AFFINITY_THRESHOLD */
        double staleness_us;    /* SD_METRICS_STALENESS_THRESHOLD */
};
extern const struct epp_thresholds epp_thresholds_default;

struct epp_sched;

/* <types>: the plugin table (epp_plugins), borrowed. Returns 0, EPP_ENOTFOUND (a type of the
 * configuration is not in the table), EPP_ENOMEM. */
EPP_MUSTUSE int epp_sched_new(enum epp_builtin config, const struct epp_thresholds *t,
        const struct epp_plugin_type *const *types, uint64_t seed, struct epp_sched **ret);
void epp_sched_free(struct epp_sched *s);
/* The generator of all random choices. */
struct epp_rng *epp_sched_rng(struct epp_sched *s);

/* How long decisions took, seconds. A branch of a tree has no time of its own: that of the filters
 * in it counts under their types. */
struct epp_timing {
        EPP_HIST(cycle, SCH); /* every epp_sched_run, whatever came of it */
        struct epp_timed {
                const struct epp_plugin_type *type;
                unsigned runs;        /* that are not in spent yet */
                EPP_HIST(spent, SCH); /* runs of plugins of this type; measured in each fifth cycle,
                                       * where one stands for those since the last */
        } plugin[EPP_TIMED];
        size_t n;
        uint64_t over_ns; /* when the last cycle ended; 0: not measured */
};
/* Begins to measure; <clock_ns> is monotonic. One reading lies between two plugins, so what a cycle
 * does beside them counts with the next one. */
void epp_sched_clock(struct epp_sched *s, uint64_t (*clock_ns)(void));
/* All zero as long as nothing is measured; lives as long as <s>. */
const struct epp_timing *epp_sched_timing(const struct epp_sched *s);

/* The array to put candidates into before epp_sched_run: room for <n>, or NULL (no memory). */
struct epp_endpoint **epp_sched_candidates(struct epp_sched *s, size_t n);
/* Decides among the first <n> candidates. Endpoints that were never scraped count only when no
 * other is left (decisions 23). Returns 0 and *ret, or EPP_EFULL (dropped, or no candidates). */
EPP_MUSTUSE int epp_sched_run(struct epp_sched *s, const struct epp_request *req, size_t n,
        struct epp_endpoint **ret);

/* The same, and notes in *trace how it went; NULL: nobody will read it. */
EPP_MUSTUSE int epp_sched_trace(struct epp_sched *s, const struct epp_request *req, size_t n,
        struct epp_trace *trace, struct epp_endpoint **ret);

#endif
