/* roster.c - see roster.h. */
#include "serve/roster.h"

/* Oldest first; without a time of creation last. */
static int
by_age(const void *a, const void *b)
{
        const struct epp_kobj *x = *(const struct epp_kobj *const *)a,
                              *y = *(const struct epp_kobj *const *)b;
        int c = (x->created_s > y->created_s) - (x->created_s < y->created_s);

        c = c ? c : epp_slice_cmp(x->ns, y->ns);
        return c ? c : epp_slice_cmp(x->name, y->name);
}

static int
add_model(struct epp_models *m, const struct epp_kobj *k)
{
        struct epp_target t[EPP_KOBJ_TARGETS];

        for (size_t i = 0; i < k->n_targets; i++)
                t[i] = (struct epp_target){ k->targets[i].name, k->targets[i].weight, 0 };
        return epp_models_add(m, k->model, (enum epp_criticality)k->criticality, t, k->n_targets);
}

static struct epp_slice
text(const struct epp_node *map, const char *key)
{
        const struct epp_node *n = epp_node_get(map, key);

        return n ? n->text : epp_slice(NULL, 0);
}

/* The targets of one rule. Where one has a weight, those without are never drawn. */
static size_t
rule_targets(const struct epp_node *rule, struct epp_target *out)
{
        const struct epp_node *list = epp_node_get(rule, "targets");
        bool weighted = false;
        size_t n = 0, kept = 0;

        for (const struct epp_node *t = list ? list->first : NULL; t && n < EPP_KOBJ_TARGETS;
                t = t->next) {
                int64_t weight = 0;

                (void)epp_node_integer(epp_node_get(t, "weight"), 1, 1000000, false, &weight);
                out[n++] = (struct epp_target){ text(t, "modelRewrite"), (uint32_t)weight, 0 };
                weighted |= weight > 0;
        }
        for (size_t i = 0; i < n; i++)
                if (!weighted || out[i].weight)
                        out[kept++] = out[i];
        return kept;
}

static int
add_rewrite(struct epp_models *m, const struct epp_kobj *k)
{
        const struct epp_node *rules = epp_node_get(k->spec, "rules");
        struct epp_target t[EPP_KOBJ_TARGETS];
        int r = 0;

        for (const struct epp_node *rule = rules ? rules->first : NULL; rule && r == 0;
                rule = rule->next) {
                const struct epp_node *matches = epp_node_get(rule, "matches");
                size_t n = rule_targets(rule, t);

                if (!matches || !matches->first)
                        r = epp_models_add_rewrite(m, k->name, epp_slice(NULL, 0), t, n);
                for (const struct epp_node *x = matches ? matches->first : NULL; x && r == 0;
                        x = x->next)
                        r = epp_models_add_rewrite(m, k->name,
                                text(epp_node_get(x, "model"), "value"), t, n);
        }
        return r;
}

/* Returns 0, EPP_EINVAL (not of this pool, or an older one says the same), EPP_ENOMEM. */
static int
add(struct epp_models *m, const struct epp_kobj *k, const struct epp_roster_pool *pool)
{
        bool ours = !k->deleted && (k->ns.n == 0 || epp_slice_eq(k->ns, pool->ns)) &&
                    epp_slice_eq(k->pool, pool->name);

        if (!ours)
                return EPP_EINVAL;
        if (k->kind ==
                EPP_KOBJ_MODEL) /* its poolRef.group is not compared: the original does not */
                return add_model(m, k);
        if (pool->group.n && !epp_slice_eq(k->pool_group, pool->group))
                return EPP_EINVAL;
        return k->kind == EPP_KOBJ_OBJECTIVE ? epp_models_add_objective(m, k->name, k->priority)
             : k->kind == EPP_KOBJ_REWRITE   ? add_rewrite(m, k)
                                             : EPP_EINVAL;
}

int
epp_roster_build(const struct epp_kobj **list, size_t n, const struct epp_roster_pool *pool,
        uint64_t seed, struct epp_models **ret, size_t *ret_others)
{
        struct epp_models *m;
        size_t others = 0;
        int r = epp_models_new(seed, &m);

        if (r < 0)
                return r;
        if (n)
                qsort(list, n, sizeof(*list), by_age);
        for (size_t i = 0; i < n && r == 0; i++) {
                r = add(m, list[i], pool);
                if (r == EPP_EINVAL) {
                        others += list[i]->kind == EPP_KOBJ_MODEL;
                        r = 0;
                }
        }
        if (r < 0) {
                epp_models_free(m);
                return r;
        }
        *ret = m;
        *ret_others = others;
        return 0;
}
