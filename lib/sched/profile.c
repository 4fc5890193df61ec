/* profile.c - the built-in configurations; two of them are trees.
 *
 * tree-v0.3   critical? yes: low queue (q < 128)? yes: LoRA, least queue, least KV
 *                                                 no:  least queue, LoRA, least KV
 *                       no:  capacity? yes: least queue, LoRA, least KV;  no: dropped
 * tree-v0.5   critical or not saturated? yes: low queue (q <= 128)? ... as above; no: dropped
 * active-request  those without a stale page first, of them the one with the fewest of our own
 *             requests; critical or not, nothing is dropped */
#include "sched/profile.h"

struct build {
        struct epp_profile *p;
        const struct epp_plugin_type *const *types;
        int error;
};

static struct epp_plugin *
node(struct build *b, const char *type, size_t n, const double *param)
{
        struct epp_plugin *self = &b->p->node[b->p->n++];

        EPP_ASSERT(b->p->n <= EPP_PROFILE_NODES);
        *self = (struct epp_plugin){ 0 };
        for (size_t i = 0; b->types[i]; i++)
                if (strcmp(b->types[i]->name, type) == 0)
                        self->type = b->types[i];
        if (!self->type) {
                b->error = EPP_ENOTFOUND;
                return self;
        }
        for (size_t i = 0; i < EPP_PARAMS_MAX && self->type->params[i].name; i++)
                self->param[i] = i < n ? param[i] : self->type->params[i].def;
        return self;
}
#define NODE(b, type, ...) \
        node(b, type, ARRAY_LEN(((double[]){ __VA_ARGS__ })), (double[]){ __VA_ARGS__ })
#define PLAIN(b, type) node(b, type, 0, NULL)

static const struct epp_plugin *
tree(struct build *b, const struct epp_plugin *current, const struct epp_plugin *success,
        const struct epp_plugin *failure)
{
        struct epp_plugin *self = PLAIN(b, "decision-tree-filter");

        self->current = current;
        self->on_success = success;
        self->on_failure = failure;
        return self;
}

/* <next> follows whatever <current> says. */
static const struct epp_plugin *
either(struct build *b, const struct epp_plugin *current, const struct epp_plugin *next)
{
        return tree(b, current, next, next);
}

/* The latency branch and the order for busy pools share their leaves. */
struct leaves {
        const struct epp_plugin *latency, *busy;
};

static struct leaves
build_leaves(struct build *b, const struct epp_thresholds *t, double slots)
{
        const struct epp_plugin *queue = PLAIN(b, "least-queue-filter");
        const struct epp_plugin *kv = PLAIN(b, "least-kv-cache-filter");
        const struct epp_plugin *lora = NODE(b, "lora-affinity-filter", t->lora_affinity, slots);

        return (struct leaves){ either(b, lora, either(b, queue, kv)),
                either(b, queue, either(b, lora, kv)) };
}

static const struct epp_plugin *
build_v03(struct build *b, const struct epp_thresholds *t)
{
        struct leaves l = build_leaves(b, t, 0);
        const struct epp_plugin *low = NODE(b, "low-queue-filter", t->queuing_lora, 0);
        const struct epp_plugin *room = NODE(b, "capacity-filter", t->queue_critical, t->kv);

        return tree(b, PLAIN(b, "criticality-filter"), tree(b, low, l.latency, l.busy),
                tree(b, room, l.busy, NULL));
}

static const struct epp_plugin *
build_v05(struct build *b, const struct epp_thresholds *t)
{
        struct leaves l = build_leaves(b, t, 1);
        const struct epp_plugin *low = NODE(b, "low-queue-filter", t->queuing_lora, 1);
        const struct epp_plugin *gate =
                NODE(b, "saturation-filter", t->queue_critical, t->kv, t->staleness_us);
        const struct epp_plugin *all = tree(b, low, l.latency, l.busy);

        return tree(b, PLAIN(b, "criticality-filter"), all, tree(b, gate, all, NULL));
}

static const struct epp_plugin *
build_active(struct build *b)
{
        b->p->scorer[b->p->n_scorers++] =
                (struct epp_weighted){ PLAIN(b, "active-request-scorer"), 1 };
        return PLAIN(b, "prefer-fresh-filter");
}

int
epp_profile_builtin(struct epp_profile *p, enum epp_builtin config, const struct epp_thresholds *t,
        const struct epp_plugin_type *const *types)
{
        struct build b = { p, types, 0 };

        p->n = p->n_scorers = 0;
        p->picker = PLAIN(&b, config == EPP_ACTIVE_REQUEST ? "max-score-picker" : "random-picker");
        switch (config) {
        case EPP_TREE_V03: p->filter = build_v03(&b, t); break;
        case EPP_TREE_V05: p->filter = build_v05(&b, t); break;
        case EPP_ACTIVE_REQUEST: p->filter = build_active(&b); break;
        }
        return b.error;
}
