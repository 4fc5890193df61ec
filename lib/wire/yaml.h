/* yaml.h - configuration text (YAML, and JSON as its subset) -> a tree of nodes.
 * Holds the only use of libyaml. Aliases, tags and duplicate keys are refused: they make a file
 * mean something else than it seems to. Knows: base. */
#ifndef EPP_YAML_H
#define EPP_YAML_H

#include "base/arena.h"
#include "base/status.h"

enum epp_node_kind { EPP_NODE_NULL, EPP_NODE_SCALAR, EPP_NODE_MAP, EPP_NODE_LIST };

struct epp_node {
        enum epp_node_kind kind;
        struct epp_slice key;  /* in a map */
        struct epp_slice text; /* of a scalar; NUL-terminated */
        bool quoted;           /* a scalar that is text whatever it looks like */
        unsigned line;         /* from 1 */
        struct epp_node *first, *next;
};

struct epp_doc {
        struct epp_arena arena;
        struct epp_node *root;  /* the documents of the text, linked by next */
        char error[160];        /* after an error */
        unsigned error_line;
};

/* Parses <text>. Returns 0, EPP_EPROTO (not YAML, or refused: see error), EPP_EDEEP (over 64
 * levels), EPP_ENOMEM. epp_doc_fini in every case. */
EPP_MUSTUSE int epp_doc_parse(struct epp_slice text, struct epp_doc *ret);
void epp_doc_fini(struct epp_doc *d);

/* A copy of <n> and all below it, in <a>; NULL when memory is short. */
struct epp_node *epp_node_copy(struct epp_arena *a, const struct epp_node *n);
/* The member <key> of a map, or NULL (also when <n> is NULL or no map, or the value is null). */
const struct epp_node *epp_node_get(const struct epp_node *n, const char *key);
/* A whole number between min and max. A quoted one counts only with <text_too>. */
bool epp_node_integer(const struct epp_node *n, int64_t min, int64_t max, bool text_too,
        int64_t *ret);

#endif
