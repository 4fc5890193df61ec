/* model_sched.c - small world, all inputs: every pool of up to three endpoints on a grid of loads,
 * both trees, critical and not, both sides of the LoRA draw, against a twin written from the text
 * of the original's rules. What is compared is the whole set that can be picked: the picker is
 * replaced by one that remembers what it may choose from. */
#include <xxhash.h>

#include "plugin/plugins.h"
#include "sched/sched.h"
#include "unit/unit.h"

#ifdef __SANITIZE_ADDRESS__
#define STRIDE 3 /* of the pools of three */
#else
#define STRIDE 1
#endif

#define NOW 10000000
enum { T = 1, O = 2, P = 4 }; /* adapters, as bits */

struct state {
        bool scraped, old;
        int q;
        double kv;
        unsigned run, wait; /* adapter bits */
        int max;
};
static struct state states[256];
static struct epp_load loads[ARRAY_LEN(states)];
static size_t n_states;

/* What the picker may choose from, as bits by endpoint number. */
static unsigned offered;

static size_t
remember(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint *const *v,
        size_t n, const double *total)
{
        (void)self, (void)cy, (void)total;
        offered = 0;
        for (size_t i = 0; i < n; i++)
                offered |= 1u << v[i]->port;
        return n - 1;
}
static const struct epp_plugin_type remembering = { .name = "random-picker", .kind = EPP_PICKER,
        .pick = remember };

/* ---- the twin: sets of endpoints are bit masks; an empty one is a failed node ---- */

struct world {
        const struct state *e[3];
        size_t n;
        bool v05, critical, affine; /* affine: the draw falls on affinity */
        unsigned target;
};

static unsigned
twin_count(unsigned set)
{
        return (unsigned)__builtin_popcount(set);
}

static unsigned
twin_low(const struct world *w, unsigned in)
{
        unsigned out = 0;

        for (size_t i = 0; i < w->n; i++)
                if (in & 1u << i && (w->v05 ? w->e[i]->q <= 128 : w->e[i]->q < 128))
                        out |= 1u << i;
        return out;
}

static unsigned
twin_lora(const struct world *w, unsigned in)
{
        unsigned affinity = 0, available = 0;

        for (size_t i = 0; i < w->n; i++) {
                const struct state *s = w->e[i];
                unsigned used = w->v05 ? twin_count(s->run) + twin_count(s->wait)
                                       : twin_count(s->run | s->wait);

                if (!(in & 1u << i))
                        continue;
                if ((s->run | s->wait) & w->target)
                        affinity |= 1u << i;
                else if ((int)used < s->max)
                        available |= 1u << i;
        }
        if (affinity && available)
                return w->affine ? affinity : available;
        return affinity ? affinity : available;
}

static unsigned
twin_queue(const struct world *w, unsigned in)
{
        int min = INT32_MAX, max = 0;
        unsigned out = 0;

        for (size_t i = 0; i < w->n; i++) {
                if (!(in & 1u << i))
                        continue;
                min = w->e[i]->q < min ? w->e[i]->q : min;
                max = w->e[i]->q > max ? w->e[i]->q : max;
        }
        for (size_t i = 0; i < w->n; i++)
                if (in & 1u << i && w->e[i]->q <= min + (max - min) / (int)twin_count(in))
                        out |= 1u << i;
        return out;
}

static unsigned
twin_kv(const struct world *w, unsigned in)
{
        double min = 1e9, max = 0;
        unsigned out = 0;

        for (size_t i = 0; i < w->n; i++) {
                if (!(in & 1u << i))
                        continue;
                min = w->e[i]->kv < min ? w->e[i]->kv : min;
                max = w->e[i]->kv > max ? w->e[i]->kv : max;
        }
        for (size_t i = 0; i < w->n; i++)
                if (in & 1u << i && w->e[i]->kv <= min + (max - min) / (double)twin_count(in))
                        out |= 1u << i;
        return out;
}

/* A node that empties the set hands its own input on. */
static unsigned
or_input(unsigned out, unsigned in)
{
        return out ? out : in;
}

static unsigned
twin_busy(const struct world *w, unsigned in)
{
        unsigned s = twin_queue(w, in);

        return twin_kv(w, or_input(twin_lora(w, s), s));
}

static unsigned
twin_latency(const struct world *w, unsigned in)
{
        unsigned low = twin_low(w, in);

        if (!low)
                return twin_busy(w, in);
        return twin_kv(w, twin_queue(w, or_input(twin_lora(w, low), low)));
}

static unsigned
twin_room(const struct world *w, unsigned in, bool fresh)
{
        unsigned out = 0;

        for (size_t i = 0; i < w->n; i++)
                if (in & 1u << i && w->e[i]->q <= 5 && w->e[i]->kv <= .8 &&
                        (!fresh || (w->e[i]->scraped && !w->e[i]->old)))
                        out |= 1u << i;
        return out;
}

/* Those that can be picked; 0: dropped. */
static unsigned
twin_run(const struct world *w)
{
        unsigned in = 0, room;

        for (size_t i = 0; i < w->n; i++) /* never scraped: only when there is no other */
                in |= w->e[i]->scraped ? 1u << i : 0;
        in = or_input(in, (1u << w->n) - 1);
        if (!in)
                return 0;
        if (w->critical)
                return twin_latency(w, in);
        room = twin_room(w, in, w->v05);
        if (!room)
                return 0;
        return w->v05 ? twin_latency(w, in) : twin_busy(w, room);
}

/* ---- the grid ---- */

static void
add_adapters(struct epp_loras *a, struct epp_loras *b, unsigned set)
{
        static const char *const names[] = { "t", "o", "p" };

        for (size_t i = 0; i < 3; i++) {
                if (!(set & 1u << i))
                        continue;
                ck_assert_int_ge(epp_loras_add(a, epp_slice_str(names[i])), 0);
                ck_assert_int_ge(epp_loras_add(b, epp_slice_str(names[i])), 0);
        }
}

static void
add_state(struct state s)
{
        struct epp_load *l = &loads[n_states];

        *l = (struct epp_load){ .at = !s.scraped ? 0 : s.old ? NOW - 200001 : NOW - 200000,
                .waiting = s.q, .kv_ratio = s.kv, .max_lora = s.max, .max_lora_v03 = s.max };
        add_adapters(&l->lora_running, &l->lora_v03, s.run);
        add_adapters(&l->lora_waiting, &l->lora_v03, s.wait);
        states[n_states++] = s;
}

static void
build_grid(void)
{
        static const int queues[] = { 0, 5, 6, 128, 129 };
        static const double kvs[] = { 0, .8, .81 };
        static const struct {
                unsigned run, wait;
                int max;
        } loras[] = { { 0, 0, 0 }, { 0, 0, 2 }, { T, 0, 2 }, { O, P, 2 }, { 0, T, 1 },
                { O, O, 2 } };

        n_states = 0;
        add_state((struct state){ .scraped = false });
        for (size_t q = 0; q < ARRAY_LEN(queues); q++)
                for (size_t k = 0; k < ARRAY_LEN(kvs); k++)
                        for (size_t l = 0; l < ARRAY_LEN(loras); l++)
                                for (int old = 0; old < 2; old++)
                                        add_state((struct state){ true, old, queues[q], kvs[k],
                                                loras[l].run, loras[l].wait, loras[l].max });
}

static struct epp_sched *sched[2][2]; /* tree, side of the draw */
static struct epp_endpoint endpoints[3];

static void
check_world(struct world *w, const size_t *at, size_t turn)
{
        struct epp_request req = { .critical = w->critical, .now = NOW };
        struct epp_sched *s = sched[w->v05][w->affine];
        struct epp_endpoint **v = epp_sched_candidates(s, w->n), *got;
        unsigned expect = twin_run(w);
        int r;

        req.target_hash = XXH3_64bits(w->target == T ? "t" : "o", 1);
        for (size_t i = 0; i < w->n; i++)
                v[i] = &endpoints[(i + turn) % w->n]; /* order must not matter */
        offered = 0;
        r = epp_sched_run(s, &req, w->n, &got);
        if (r == (expect ? 0 : EPP_EFULL) && offered == expect)
                return;
        for (size_t i = 0; i < w->n; i++)
                printf("state %zu: scraped=%d old=%d q=%d kv=%.2f run=%u wait=%u max=%d\n", at[i],
                        w->e[i]->scraped, w->e[i]->old, w->e[i]->q, w->e[i]->kv, w->e[i]->run,
                        w->e[i]->wait, w->e[i]->max);
        ck_abort_msg("%s, %s, target %u, draw %s: result %d, set %#x, expected %#x",
                w->v05 ? "tree-v0.5" : "tree-v0.3", w->critical ? "critical" : "sheddable",
                w->target, w->affine ? "affinity" : "available", r, offered, expect);
}

/* One pool under every kind of request. */
static size_t
check_pool(const size_t *at, size_t n, size_t turn)
{
        struct world w = { .n = n };

        for (size_t i = 0; i < n; i++) {
                w.e[i] = &states[at[i]];
                endpoints[i].load = loads[at[i]]; /* lent: nothing is freed through it */
        }
        for (unsigned k = 0; k < 16; k++) {
                w.v05 = k & 1, w.critical = k & 2, w.affine = k & 4, w.target = k & 8 ? T : O;
                check_world(&w, at, turn);
        }
        return 16;
}

static void
build_schedulers(void)
{
        static const struct epp_plugin_type *types[64];

        for (size_t n = 0; epp_plugins[n]; n++)
                types[n] = strcmp(epp_plugins[n]->name, "random-picker") ? epp_plugins[n]
                                                                         : &remembering;
        for (int k = 0; k < 4; k++) {
                struct epp_thresholds t = epp_thresholds_default;

                t.lora_affinity = k & 1 ? 2 : 0; /* u is always below, or never */
                ck_assert_int_eq(epp_sched_new(k & 2 ? EPP_TREE_V05 : EPP_TREE_V03, &t, types, 1,
                                         &sched[(k & 2) != 0][k & 1]), 0);
        }
}

START_TEST(all_small_pools)
{
        size_t at[3] = { 0 }, pools = 0, runs;

        build_grid();
        build_schedulers();
        for (unsigned i = 0; i < 3; i++)
                endpoints[i].port = i;
        runs = check_pool(at, 0, 0);
        for (at[0] = 0; at[0] < n_states; at[0]++) {
                runs += check_pool(at, 1, 0);
                for (at[1] = at[0]; at[1] < n_states; at[1]++) {
                        runs += check_pool(at, 2, at[1]);
                        for (at[2] = at[1]; at[2] < n_states; at[2]++)
                                if (pools++ % STRIDE == 0)
                                        runs += check_pool(at, 3, pools / STRIDE);
                }
        }
        printf("%zu decisions over %zu states\n", runs, n_states);
        ck_assert_uint_gt(runs, 1000000);
        for (size_t i = 0; i < n_states; i++)
                epp_load_fini(&loads[i]);
        for (int k = 0; k < 4; k++)
                epp_sched_free(sched[k / 2][k % 2]);
}
END_TEST

UNIT_MAIN("model_sched", all_small_pools)
