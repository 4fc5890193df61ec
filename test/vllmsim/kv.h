/* kv.h - the KV cache of one simulated server: blocks with a prefix index.
 * A full prompt block is known by the hash of everything up to its end. A block nobody uses keeps
 * its hash until it is taken again, least recently used first: that is the prefix cache.
 * Knows: base. */
#ifndef VLLMSIM_KV_H
#define VLLMSIM_KV_H

#include "base/base.h"

struct kv_block {
        uint64_t hash; /* 0 = not in the index */
        uint32_t refs;
        uint32_t prev, next;  /* free list, while refs is 0 */
        uint32_t chain;       /* next block of the same bucket */
};

struct kv {
        struct kv_block *blocks;
        uint32_t *buckets;
        uint32_t n, mask;
        uint32_t head, tail; /* free list; the head is taken first */
        uint32_t nfree;
        uint64_t promised; /* blocks that admitted requests may still ask for */
};

void kv_init(struct kv *kv, uint32_t nblocks);
void kv_fini(struct kv *kv);
/* How many leading <hashes> are held. */
size_t kv_match(const struct kv *kv, const uint64_t *hashes, size_t n);
/* Takes <prompt_blocks> blocks into <out> (the first <nhash> of them under their hashes, of which
 * at most <max_hits> are shared with earlier requests) and promises the rest of <total_blocks>.
 * Returns the number of hits, or -1 without room (nothing taken). */
int kv_admit(struct kv *kv, const uint64_t *hashes, size_t nhash, size_t max_hits,
        size_t prompt_blocks, size_t total_blocks, uint32_t *out);
/* One of the promised blocks. */
uint32_t kv_grow(struct kv *kv);
/* Gives back <n> blocks and the promise of <promised> more. */
void kv_release(struct kv *kv, const uint32_t *blocks, size_t n, size_t promised);
double kv_usage(const struct kv *kv);

#endif
