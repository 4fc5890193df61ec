/* load.h - what the last metrics page said about one endpoint, and how samples become that.
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

/* Order as in epp_load_state_name. */
enum epp_load_state {
        EPP_LOAD_NEVER,   /* no page read yet */
        EPP_LOAD_FRESH,
        EPP_LOAD_STALE,   /* the last page is older than the limit */
        EPP_LOAD_MISSING, /* a page came, but without the wanted families */
};

const char *epp_load_state_name(enum epp_load_state s);

struct epp_load {
        epp_us at;            /* when the page was read; 0 = never */
        enum epp_load_state state;
        uint32_t missing;     /* 1 << signal: asked for, but not on the last page */
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

/* What is read from a page. Two names for the KV cache: vLLM renamed it about 0.11. */
enum epp_load_signal {
        EPP_LOAD_WAITING,
        EPP_LOAD_RUNNING,
        EPP_LOAD_KV,
        EPP_LOAD_KV_OLD,     /* used when EPP_LOAD_KV is not there */
        EPP_LOAD_LORA,
        EPP_LOAD_CACHE_INFO, /* block size and count are labels of this one */
        EPP_LOAD_BLOCK_SIZE, /* or values of these two */
        EPP_LOAD_BLOCKS,
        EPP_LOAD_SIGNALS
};

/* Which row counts when several match, as on pages of several engines. */
enum epp_load_rows { EPP_ROWS_FIRST, EPP_ROWS_SUM, EPP_ROWS_MAX, EPP_ROWS_MEAN };

#define EPP_LOAD_LABELS 8
struct epp_load_metric {
        const char *family;         /* NULL = this engine does not have it */
        struct epp_load_label {
                const char *name, *value;
        } label[EPP_LOAD_LABELS];   /* wanted pairs, up to the first without a name */
        enum epp_load_rows rows;    /* FIRST (greatest timestamp first) is the reference's */
};

struct epp_load_spec {
        const char *engine; /* value of the engine-type label */
        struct epp_load_metric metric[EPP_LOAD_SIGNALS];
        const char *block_size_label, *blocks_label; /* of CACHE_INFO */
};

/* The newest LoRA row so far; its three texts follow each other in text. */
struct epp_load_lora_row {
        bool seen;
        double value;
        char *text;
        size_t cap, n_running, n_waiting, n_max;
};

/* Collects the samples of one page at a time; one per scrape in flight. */
struct epp_load_fold {
        const struct epp_load_spec *spec;
        struct epp_slice names[EPP_LOAD_SIGNALS]; /* distinct families, for the scanner */
        unsigned n_names;
        unsigned family[EPP_LOAD_SIGNALS];        /* index into names; SIGNALS = none */
        epp_us now;
        epp_wall wall;
        struct epp_load_acc {
                uint32_t n;
                int64_t ts;
                double first, sum, max;
        } acc[EPP_LOAD_SIGNALS];
        int64_t block_size, blocks; /* from labels; -1 = not there */
        struct epp_load_lora_row lora, lora_v03;
        struct epp_loras spare[3];  /* built here, then exchanged with the load's */
        uint32_t found;             /* 1 << signal: a matching row came */
        uint32_t rejected;          /* values of this page that were not believed */
        bool nomem;
};

/* The engines known; the first is the default. NULL when <engine> is not among them. */
const struct epp_load_spec *epp_load_spec_find(struct epp_slice engine);
const struct epp_load_spec *epp_load_spec_default(void);

/* <spec> is borrowed until fini. Afterwards f->names[0 .. f->n_names) is what to scan for. */
void epp_load_fold_init(struct epp_load_fold *f, const struct epp_load_spec *spec);
void epp_load_fold_fini(struct epp_load_fold *f);
/* Forgets what was collected. <wall> may be 0 (unknown): it only tells a LoRA time stamp that
 * several server processes summed up from a real one. */
void epp_load_fold_begin(struct epp_load_fold *f, epp_us now, epp_wall wall);
/* One sample; <f> is a struct epp_load_fold *. The form is the scanner's callback: <labels> are
 * 2 * <n> slices, name and value in turn, borrowed for the call. */
void epp_load_fold_sample(void *f, unsigned family, const struct epp_slice *labels, size_t n,
        double value, int64_t ts_ms);
/* The page is complete: puts what it said into <l>; a signal that it did not say, or not
 * believably, keeps its value. Without any signal <l> keeps its age; it becomes MISSING
 * unless it is still FRESH (epp_load_age decides how long that is).
 * Returns the number of signals found, or EPP_ENOMEM (<l> unchanged). */
EPP_MUSTUSE int epp_load_fold_end(struct epp_load_fold *f, struct epp_load *l);
/* The server may be a new process: adapters and the cache's shape are forgotten, as a page says
 * them anew or not at all; numbers stay until the page. */
void epp_load_restart(struct epp_load *l);
/* FRESH becomes STALE when the page is older than <limit>. */
void epp_load_age(struct epp_load *l, epp_us now, epp_us limit);

/* Releases what <l> owns and zeroes it. */
void epp_load_fini(struct epp_load *l);
/* True when an adapter whose name hashes to <hash> is in <s>. */
static inline bool
epp_loras_has(const struct epp_loras *s, uint64_t hash)
{
        for (uint32_t i = 0; i < s->n; i++)
                if (s->v[i].hash == hash)
                        return true;
        return false;
}
/* Adds <name> (copied) unless it is there. Returns 1 added, 0 known, EPP_ENOMEM (unchanged). */
EPP_MUSTUSE int epp_loras_add(struct epp_loras *s, struct epp_slice name);

#endif
