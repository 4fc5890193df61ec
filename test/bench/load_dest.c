/* load_dest.c - the destinations of picks: how often each was picked, which the subset allows. */
#include <err.h>

#include "test/bench/load.h"

static struct dest *
find(struct dests *d, const uint8_t *p, size_t n)
{
        uint32_t h = 2166136261u;
        struct dest *e;

        for (size_t i = 0; i < n; i++)
                h = (h ^ p[i]) * 16777619u;
        for (;; h++) {
                e = &d->cell[h % ARRAY_LEN(d->cell)];
                if (!e->n || (e->n == n && memcmp(e->text, p, n) == 0))
                        return e;
        }
}

/* The entry of these bytes, made when there is none. */
static struct dest *
entry(struct dests *d, const uint8_t *p, size_t n)
{
        struct dest *e;

        if (!n || n > sizeof(e->text))
                errx(2, "a destination of %zu bytes", n);
        e = find(d, p, n);
        if (e->n)
                return e;
        if (++d->n > ARRAY_LEN(d->cell) / 2)
                errx(2, "more than %zu destinations", ARRAY_LEN(d->cell) / 2);
        memcpy(e->text, p, n);
        e->n = (uint8_t)n;
        return e;
}

void
dests_allow(struct dests *d, const char *list)
{
        d->restricted = true;
        while (*list) {
                size_t n = strcspn(list, ",");

                entry(d, (const uint8_t *)list, n)->allowed = true;
                list += n + (list[n] == ',');
        }
}

bool
dests_pick(struct dests *d, const uint8_t *p, size_t n)
{
        struct dest *e;

        if (!n || n > sizeof(e->text))
                return false;
        e = entry(d, p, n);
        e->picks++;
        return !d->restricted || e->allowed;
}

void
dests_print(const struct dests *d, unsigned endpoints)
{
        uint64_t low = UINT64_MAX, high = 0;
        unsigned picked = 0;

        for (size_t i = 0; i < ARRAY_LEN(d->cell); i++) {
                if (!d->cell[i].n)
                        continue;
                picked += d->cell[i].picks > 0;
                low = EPP_MIN(low, d->cell[i].picks);
                high = EPP_MAX(high, d->cell[i].picks);
        }
        if (d->n < endpoints || !d->n)
                low = 0;
        printf("endpoints_picked %u\npicks_min %" PRIu64 "\npicks_max %" PRIu64 "\n", picked, low,
                high);
}
