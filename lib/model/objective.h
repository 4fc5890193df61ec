/* objective.h - what a request asks for: models (name -> criticality and target models), objectives
 * (name -> priority) and rewrites (name -> other target models).
 * Replaced as a whole: a reload builds a new set and swaps it. Knows: base. */
#ifndef EPP_OBJECTIVE_H
#define EPP_OBJECTIVE_H

#include "base/rng.h"
#include "base/slice.h"
#include "base/status.h"

enum epp_criticality { EPP_STANDARD, EPP_CRITICAL, EPP_SHEDDABLE };
/* As an InferenceModel spells it. */
const char *epp_criticality_name(enum epp_criticality c);

struct epp_target {
        struct epp_slice name;
        uint32_t weight;    /* 0: none was given */
        uint64_t name_hash; /* XXH3, as adapters are looked up */
};
struct epp_model {
        struct epp_slice name;
        struct epp_slice source; /* the object of a rewrite; empty for models */
        enum epp_criticality criticality;
        struct epp_target *targets;
        size_t n_targets;
};
struct epp_models;

/* An empty set. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_models_new(uint64_t seed, struct epp_models **ret);
void epp_models_free(struct epp_models *m);
/* Adds a model; all text is copied. An older one of the same name stays (EPP_EINVAL): give the
 * winner first. Returns 0, EPP_EINVAL, EPP_ENOMEM. */
EPP_MUSTUSE int epp_models_add(struct epp_models *m, struct epp_slice name,
        enum epp_criticality criticality, const struct epp_target *targets, size_t n);
/* The model named exactly <name>, or NULL. */
struct epp_model *epp_models_find(const struct epp_models *m, struct epp_slice name);
size_t epp_models_count(const struct epp_models *m);
struct epp_model *const *epp_models_list(const struct epp_models *m);

/* Objective <name>; an older one of the same name stays. Returns 0, EPP_EINVAL, EPP_ENOMEM. */
EPP_MUSTUSE int epp_models_add_objective(
        struct epp_models *m, struct epp_slice name, int32_t priority);
/* Its priority; 0 when there is none of this name. */
int32_t epp_models_priority(const struct epp_models *m, struct epp_slice name);
/* A rewrite of <model>, or of every model that has none of its own (empty name), by the object
 * <source>; one that stands already has precedence, and that is no error. Returns 0 or EPP_ENOMEM.
 */
EPP_MUSTUSE int epp_models_add_rewrite(struct epp_models *m, struct epp_slice source,
        struct epp_slice model, const struct epp_target *targets, size_t n);
/* The rewrite for <model>, to be drawn from, or NULL. */
struct epp_model *epp_models_rewrite(const struct epp_models *m, struct epp_slice model);

/* Draws a target: uniform when the first has no weight, else by weight (a missing one counts 0;
 * all 0 is uniform). NULL when the model has none: the name itself is the target. */
const struct epp_target *epp_model_draw(const struct epp_model *m, struct epp_rng *rng);

#endif
