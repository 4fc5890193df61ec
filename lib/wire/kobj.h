/* kobj.h - Kubernetes objects -> plain structs. Files and (later) the API give the same trees, so
 * there is one decoder. Knows: yaml. Does not know: which pool is served. */
#ifndef EPP_KOBJ_H
#define EPP_KOBJ_H

#include "wire/jtree.h"

#define EPP_KOBJ_TARGETS 10 /* as the CRD has it */
#define EPP_KOBJ_PORTS 8

enum epp_kobj_kind { EPP_KOBJ_OTHER, EPP_KOBJ_POOL, EPP_KOBJ_MODEL, EPP_KOBJ_OBJECTIVE,
        EPP_KOBJ_REWRITE };

/* What must be kept of an object of these kinds, as it comes from the API. */
extern const struct epp_jkeep epp_kobj_keep[];

struct epp_kobj_target {
        struct epp_slice name; /* may be empty, as the CRD allows it */
        uint32_t weight; /* 0: none */
};
/* All text is lent by the document. */
struct epp_kobj {
        enum epp_kobj_kind kind;
        struct epp_slice group, name, ns; /* ns: empty when the object has none */
        int64_t created_s;                /* since 1970; INT64_MAX: none, or not readable */
        bool deleted;                     /* deletionTimestamp is set: as good as gone */
        struct epp_slice pool;            /* poolRef.name */
        struct epp_slice pool_group;      /* poolRef.group, with the default of the kind */
        struct epp_slice uid, version;    /* empty in files */
        /* pool */
        const struct epp_node *selector;  /* a map from label to value; NULL: every pod */
        unsigned ports[EPP_KOBJ_PORTS];
        size_t n_ports;
        /* model */
        struct epp_slice model;
        int criticality;                  /* 0 none or Standard, 1 Critical, 2 Sheddable */
        struct epp_kobj_target targets[EPP_KOBJ_TARGETS];
        size_t n_targets;
        /* objective */
        int32_t priority;                 /* clamped: the older CRD lets any number through */
        const struct epp_node *spec;      /* of a rewrite: its rules, checked, for a later user */
};

/* Hears of each mistake: the line, the field's path, what is wrong. */
typedef void (*epp_mistake_fn)(void *ctx, unsigned line, const char *field, const char *what);

/* Decodes one document. Unknown kinds are EPP_KOBJ_OTHER. Returns 0, or EPP_EINVAL after at least
 * one call of <fn>: *ret is not to be used then. */
EPP_MUSTUSE int epp_kobj_decode(const struct epp_node *doc, struct epp_kobj *ret, epp_mistake_fn fn,
        void *ctx);

#endif
