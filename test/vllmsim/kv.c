/* kv.c - blocks, free list in order of last use, prefix index. */
#include "test/vllmsim/kv.h"
#include "test/vllmsim/sim.h"

#define NONE UINT32_MAX

static void
free_push(struct kv *kv, uint32_t i)
{
        struct kv_block *b = &kv->blocks[i];

        b->prev = kv->tail;
        b->next = NONE;
        if (kv->tail != NONE)
                kv->blocks[kv->tail].next = i;
        else
                kv->head = i;
        kv->tail = i;
        kv->nfree++;
}

static void
free_unlink(struct kv *kv, uint32_t i)
{
        struct kv_block *b = &kv->blocks[i];

        if (b->prev != NONE)
                kv->blocks[b->prev].next = b->next;
        else
                kv->head = b->next;
        if (b->next != NONE)
                kv->blocks[b->next].prev = b->prev;
        else
                kv->tail = b->prev;
        kv->nfree--;
}

void
kv_init(struct kv *kv, uint32_t nblocks)
{
        uint32_t size = 16;

        while (size < nblocks * 2)
                size *= 2;
        *kv = (struct kv){ .n = nblocks, .mask = size - 1, .head = NONE, .tail = NONE };
        kv->blocks = xcalloc(nblocks, sizeof(*kv->blocks));
        kv->buckets = xcalloc(size, sizeof(*kv->buckets));
        memset(kv->buckets, 0xff, size * sizeof(*kv->buckets));
        for (uint32_t i = 0; i < nblocks; i++)
                free_push(kv, i);
}

void
kv_fini(struct kv *kv)
{
        free(kv->blocks);
        free(kv->buckets);
        *kv = (struct kv){ 0 };
}

static uint32_t
find(const struct kv *kv, uint64_t hash)
{
        uint32_t i = kv->buckets[hash & kv->mask];

        while (i != NONE && kv->blocks[i].hash != hash)
                i = kv->blocks[i].chain;
        return i;
}

static void
forget(struct kv *kv, uint32_t i)
{
        uint32_t *at = &kv->buckets[kv->blocks[i].hash & kv->mask];

        if (!kv->blocks[i].hash)
                return;
        while (*at != i)
                at = &kv->blocks[*at].chain;
        *at = kv->blocks[i].chain;
        kv->blocks[i].hash = 0;
}

static void
learn(struct kv *kv, uint32_t i, uint64_t hash)
{
        if (!hash || find(kv, hash) != NONE)
                return;
        kv->blocks[i].hash = hash;
        kv->blocks[i].chain = kv->buckets[hash & kv->mask];
        kv->buckets[hash & kv->mask] = i;
}

static uint32_t
take(struct kv *kv, uint64_t hash)
{
        uint32_t i = kv->head;

        free_unlink(kv, i);
        forget(kv, i);
        kv->blocks[i].refs = 1;
        learn(kv, i, hash);
        return i;
}

size_t
kv_match(const struct kv *kv, const uint64_t *hashes, size_t n)
{
        size_t hits = 0;

        while (hits < n && find(kv, hashes[hits]) != NONE)
                hits++;
        return hits;
}

int
kv_admit(struct kv *kv, const uint64_t *hashes, size_t nhash, size_t max_hits,
        size_t prompt_blocks, size_t total_blocks, uint32_t *out)
{
        size_t hits = kv_match(kv, hashes, EPP_MIN(nhash, max_hits)), idle = 0;

        for (size_t i = 0; i < hits; i++) {
                out[i] = find(kv, hashes[i]);
                idle += kv->blocks[out[i]].refs == 0;
        }
        if (kv->nfree < idle + (total_blocks - hits) + kv->promised)
                return -1;
        for (size_t i = 0; i < hits; i++) {
                if (kv->blocks[out[i]].refs++ == 0)
                        free_unlink(kv, out[i]);
        }
        for (size_t i = hits; i < prompt_blocks; i++)
                out[i] = take(kv, i < nhash ? hashes[i] : 0);
        kv->promised += total_blocks - prompt_blocks;
        return (int)hits;
}

uint32_t
kv_grow(struct kv *kv)
{
        EPP_ASSERT(kv->promised > 0 && kv->nfree > 0);
        kv->promised--;
        return take(kv, 0);
}

void
kv_release(struct kv *kv, const uint32_t *blocks, size_t n, size_t promised)
{
        /* From the end: the tail of a prompt is reused less often than its start. */
        for (size_t i = n; i-- > 0;) {
                if (--kv->blocks[blocks[i]].refs == 0)
                        free_push(kv, blocks[i]);
        }
        kv->promised -= promised;
}

double
kv_usage(const struct kv *kv)
{
        return 1.0 - (double)kv->nfree / kv->n;
}
