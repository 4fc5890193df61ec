/* objective.c - see objective.h. */
#include "model/objective.h"

#include <xxhash.h>

#include "base/map.h"

struct objective {
        int32_t priority;
        struct epp_slice name;
        char text[];
};

struct epp_models {
        struct epp_map names, objectives, rewrites; /* of rewrites the exact ones */
        struct epp_model **list;
        size_t n, size;
        struct epp_model *generic; /* rewrite of all others */
};

const char *
epp_criticality_name(enum epp_criticality c)
{
        static const char *const names[] = { "Standard", "Critical", "Sheddable" };

        return names[c];
}

int
epp_models_new(uint64_t seed, struct epp_models **ret)
{
        struct epp_models *m = calloc(1, sizeof(*m));

        if (!m)
                return EPP_ENOMEM;
        m->names.seed = m->objectives.seed = m->rewrites.seed = seed;
        *ret = m;
        return 0;
}

/* Frees a map and its values, which are one block each. */
static void
free_values(struct epp_map *map)
{
        for (size_t i = 0; i < map->size; i++)
                free(map->cells[i].value);
        epp_map_fini(map);
}

void
epp_models_free(struct epp_models *m)
{
        if (!m)
                return;
        free_values(&m->objectives);
        free_values(&m->rewrites);
        free(m->generic);
        for (size_t i = 0; i < m->n; i++)
                free(m->list[i]);
        free(m->list);
        epp_map_fini(&m->names);
        free(m);
}

static struct epp_slice
keep(char **at, struct epp_slice s)
{
        struct epp_slice copy = epp_slice(*at, s.n);

        if (s.n)
                memcpy(*at, s.p, s.n);
        *at += s.n;
        return copy;
}

/* One block holds the model, its targets and all text. */
static struct epp_model *
model_new(struct epp_slice source, struct epp_slice name, const struct epp_target *targets,
        size_t n)
{
        size_t size = sizeof(struct epp_model) + n * sizeof(*targets) + source.n + name.n;
        struct epp_model *m;
        char *text;

        for (size_t i = 0; i < n; i++)
                size += targets[i].name.n;
        m = calloc(1, size);
        if (!m)
                return NULL;
        m->targets = (struct epp_target *)(m + 1);
        m->n_targets = n;
        text = (char *)(m->targets + n);
        m->source = keep(&text, source);
        m->name = keep(&text, name);
        for (size_t i = 0; i < n; i++) {
                m->targets[i] = targets[i];
                m->targets[i].name = keep(&text, targets[i].name);
                m->targets[i].name_hash = XXH3_64bits(m->targets[i].name.p, targets[i].name.n);
        }
        return m;
}

int
epp_models_add(struct epp_models *m, struct epp_slice name, enum epp_criticality criticality,
        const struct epp_target *targets, size_t n)
{
        struct epp_model *model;

        if (name.n == 0 || epp_models_find(m, name))
                return EPP_EINVAL;
        if (m->n == m->size) {
                size_t size = m->size ? m->size * 2 : 16;
                struct epp_model **list = realloc(m->list, size * sizeof(struct epp_model *));

                if (!list)
                        return EPP_ENOMEM;
                m->list = list;
                m->size = size;
        }
        model = model_new(epp_slice(NULL, 0), name, targets, n);
        if (!model)
                return EPP_ENOMEM;
        model->criticality = criticality;
        if (epp_map_put(&m->names, model->name, model) < 0) {
                free(model);
                return EPP_ENOMEM;
        }
        m->list[m->n++] = model;
        return 0;
}

struct epp_model *
epp_models_find(const struct epp_models *m, struct epp_slice name)
{
        return epp_map_get(&m->names, name);
}

size_t
epp_models_count(const struct epp_models *m)
{
        return m->n;
}

struct epp_model *const *
epp_models_list(const struct epp_models *m)
{
        return m->list;
}

int
epp_models_add_objective(struct epp_models *m, struct epp_slice name, int32_t priority)
{
        struct objective *o;
        char *at;

        if (epp_map_get(&m->objectives, name))
                return EPP_EINVAL;
        o = malloc(sizeof(*o) + name.n);
        if (!o)
                return EPP_ENOMEM;
        at = o->text;
        o->name = keep(&at, name);
        o->priority = priority;
        if (epp_map_put(&m->objectives, o->name, o) < 0) {
                free(o);
                return EPP_ENOMEM;
        }
        return 0;
}

int32_t
epp_models_priority(const struct epp_models *m, struct epp_slice name)
{
        const struct objective *o = epp_map_get(&m->objectives, name);

        return o ? o->priority : 0;
}

int
epp_models_add_rewrite(struct epp_models *m, struct epp_slice source, struct epp_slice model,
        const struct epp_target *targets, size_t n)
{
        struct epp_model *w;

        if (model.n ? epp_map_get(&m->rewrites, model) != NULL : m->generic != NULL)
                return 0;
        w = model_new(source, model, targets, n);
        if (!w)
                return EPP_ENOMEM;
        if (model.n == 0) {
                m->generic = w;
        } else if (epp_map_put(&m->rewrites, w->name, w) < 0) {
                free(w);
                return EPP_ENOMEM;
        }
        return 0;
}

struct epp_model *
epp_models_rewrite(const struct epp_models *m, struct epp_slice model)
{
        struct epp_model *w = epp_map_get(&m->rewrites, model);

        return w ? w : m->generic;
}

const struct epp_target *
epp_model_draw(const struct epp_model *m, struct epp_rng *rng)
{
        uint64_t sum = 0, x;

        if (m->n_targets == 0)
                return NULL;
        if (m->targets[0].weight)
                for (size_t i = 0; i < m->n_targets; i++)
                        sum += m->targets[i].weight;
        if (sum == 0)
                return &m->targets[epp_rng_below(rng, m->n_targets)];
        x = epp_rng_below(rng, sum);
        for (size_t i = 0; i < m->n_targets; i++) {
                if (x < m->targets[i].weight)
                        return &m->targets[i];
                x -= m->targets[i].weight;
        }
        return &m->targets[m->n_targets - 1];
}
