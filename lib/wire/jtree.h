/* jtree.h - JSON as it arrives -> trees of the wanted parts, the same trees that yaml makes.
 * One pass, cut anywhere; what is not wanted is skipped at scanning speed and never copied, so a
 * 10 MB object costs the memory of what is kept of it. For documents of the Kubernetes API: lists
 * whose items are handed out one by one, and streams of documents. Knows: base, yaml (the nodes).
 */
#ifndef EPP_JTREE_H
#define EPP_JTREE_H

#include "wire/yaml.h"

/* What to keep: rows ending with a NULL key. "*" is any key. <below> NULL: all of it. Lists are
 * transparent: the row of a list says what to keep of each item. */
struct epp_jkeep {
        const char *key;
        const struct epp_jkeep *below;
};

struct epp_jtree_ops {
        /* One item of the list <each>; the tree is lent until the call returns. */
        void (*item)(void *ctx, const struct epp_node *tree);
        /* The end of a document; its items are not in it. Lent as above. */
        void (*doc)(void *ctx, const struct epp_node *tree);
        /* An item (or document) of which more than max_kept bytes would be kept: it is left out. */
        void (*too_big)(void *ctx);
};

struct epp_jtree;

/* <keep>, <ops> and <each> (a top-level member that is a list, or NULL) are borrowed. <max_kept>:
 * bytes of text and nodes kept per item. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_jtree_new(const struct epp_jkeep *keep, const char *each, size_t max_kept,
        const struct epp_jtree_ops *ops, void *ctx, struct epp_jtree **ret);
void epp_jtree_free(struct epp_jtree *t);
/* Takes the next bytes; any number of documents may follow each other, with white space between
 * them. Strings are decoded; \u0000 becomes a NUL byte inside the text, duplicate keys follow each
 * other (epp_node_get must take the last: see jtree.c). A callback must not free <t>.
 * Returns 0, EPP_EPROTO (not JSON; nothing more is taken), EPP_ENOMEM (likewise). */
EPP_MUSTUSE int epp_jtree_feed(struct epp_jtree *t, struct epp_slice in);
/* True inside a document: the input was cut. */
bool epp_jtree_midway(const struct epp_jtree *t);
/* Forgets a half-read document and an error: the next byte begins a new one. */
void epp_jtree_reset(struct epp_jtree *t);

#endif
