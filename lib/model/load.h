/* load.h - what the last metrics page said about one endpoint.
 * Knows: base. Does not know: how a page looks (wire/promscan does). */
#ifndef EPP_LOAD_H
#define EPP_LOAD_H

#include "base/slice.h"

/* Adapter names; hash is XXH3_64bits of the name. */
struct epp_lora {
        uint64_t hash;
        uint32_t off, len; /* in text */
};
struct epp_loras {
        struct epp_lora *v;
        uint32_t n, cap;
        char *text;
        size_t text_n, text_cap;
};

enum epp_load_state {
        EPP_LOAD_NEVER,   /* no page read yet */
        EPP_LOAD_FRESH,
        EPP_LOAD_STALE,   /* the last page is older than the limit */
        EPP_LOAD_MISSING, /* a page came, but without the wanted families */
};

struct epp_load {
        epp_us at;            /* when the page was read; 0 = never */
        enum epp_load_state state;
        int64_t waiting;      /* requests in the server's queue */
        int64_t running;      /* requests in its batch */
        double kv_ratio;      /* 0..1 of the KV cache in use */
        int64_t block_size;   /* tokens per KV block, 0 = unknown */
        int64_t blocks;       /* KV blocks in all, 0 = unknown */
        int64_t max_lora;     /* adapter slots, newest sample by HEAD rule; 0 = unknown */
        struct epp_loras lora_running, lora_waiting; /* HEAD rule (decisions 22) */
        int64_t max_lora_v03;
        struct epp_loras lora_v03; /* v0.3.0 rule: union of running and waiting */
};

/* Releases what <l> owns and zeroes it. */
void epp_load_fini(struct epp_load *l);
/* True when an adapter whose name hashes to <hash> is in <s>. */
bool epp_loras_has(const struct epp_loras *s, uint64_t hash);
/* Adds <name> (copied) unless it is there. Returns 1 added, 0 known, EPP_ENOMEM (unchanged). */
EPP_MUSTUSE int epp_loras_add(struct epp_loras *s, struct epp_slice name);

#endif
