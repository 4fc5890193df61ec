/* map.c - see map.h: linear probing, at most three quarters full, deletion by shifting back. */
#include "base/map.h"

#include <xxhash.h>

void
epp_map_fini(struct epp_map *m)
{
        free(m->cells);
        *m = (struct epp_map){ .seed = m->seed };
}

static uint64_t
hash(const struct epp_map *m, struct epp_slice key)
{
        return XXH3_64bits_withSeed(key.n ? key.p : "", key.n, m->seed);
}

/* The cell of <key>, or the empty one where it belongs; size > 0. */
static size_t
seek(const struct epp_map *m, uint64_t h, struct epp_slice key)
{
        size_t i = h & (m->size - 1);

        while (m->cells[i].value &&
                !(m->cells[i].hash == h && epp_slice_eq(m->cells[i].key, key)))
                i = (i + 1) & (m->size - 1);
        return i;
}

void *
epp_map_get(const struct epp_map *m, struct epp_slice key)
{
        return m->n ? m->cells[seek(m, hash(m, key), key)].value : NULL;
}

static int
grow(struct epp_map *m)
{
        struct epp_map bigger = { .size = m->size ? m->size * 2 : 16, .n = m->n, .seed = m->seed };

        bigger.cells = calloc(bigger.size, sizeof(*bigger.cells));
        if (!bigger.cells)
                return EPP_ENOMEM;
        for (size_t i = 0; i < m->size; i++)
                if (m->cells[i].value)
                        bigger.cells[seek(&bigger, m->cells[i].hash, m->cells[i].key)] =
                                m->cells[i];
        free(m->cells);
        *m = bigger;
        return 0;
}

int
epp_map_put(struct epp_map *m, struct epp_slice key, void *value)
{
        uint64_t h = hash(m, key);
        size_t i;
        bool added;

        if ((m->n + 1) * 4 > m->size * 3 && grow(m) < 0)
                return EPP_ENOMEM;
        i = seek(m, h, key);
        added = !m->cells[i].value;
        m->cells[i] = (struct epp_map_cell){ h, key, value };
        m->n += added;
        return added;
}

void *
epp_map_remove(struct epp_map *m, struct epp_slice key)
{
        size_t mask = m->size - 1, i, j;
        void *value;

        if (!m->n)
                return NULL;
        i = seek(m, hash(m, key), key);
        value = m->cells[i].value;
        if (!value)
                return NULL;
        m->n--;
        for (j = (i + 1) & mask; m->cells[j].value; j = (j + 1) & mask) {
                size_t home = m->cells[j].hash & mask;

                if (((j - home) & mask) >= ((j - i) & mask)) {
                        m->cells[i] = m->cells[j];
                        i = j;
                }
        }
        m->cells[i].value = NULL;
        return value;
}
