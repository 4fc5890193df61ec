/* fuzz_yaml.c - configuration text: any bytes become a tree or one error with its line. */
#include "fuzz.h"
#include "wire/yaml.h"

#define SIZE_MAX_HERE 65536

static size_t
walk(const struct epp_node *n, unsigned depth)
{
        size_t all = 1;
        int64_t v;

        EPP_ASSERT(depth <= 64 && n->line > 0);
        if (n->kind == EPP_NODE_SCALAR) {
                EPP_ASSERT(n->text.p && n->text.p[n->text.n] == 0 && !n->first);
                (void)epp_node_integer(n, INT64_MIN, INT64_MAX, true, &v);
        }
        for (const struct epp_node *c = n->first; c; c = c->next) {
                all += walk(c, depth + 1);
                if (n->kind != EPP_NODE_MAP)
                        continue;
                EPP_ASSERT(c->key.p);
                if (c->kind != EPP_NODE_NULL && !memchr(c->key.p, 0, c->key.n))
                        EPP_ASSERT(epp_node_get(n, c->key.p) == c); /* no key is there twice */
        }
        return all;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        size_t size = EPP_MIN(n, (size_t)SIZE_MAX_HERE), nodes = 0;
        char *x = fuzz_copy(p, size);
        struct epp_doc doc;
        int r = epp_doc_parse(epp_slice(x, size), &doc);

        free(x); /* the tree does not lean on the text */
        EPP_ASSERT(r == 0 || r == EPP_EPROTO || r == EPP_EDEEP);
        if (r < 0)
                EPP_ASSERT(doc.error[0] && doc.error_line > 0);
        else
                for (const struct epp_node *d = doc.root; d; d = d->next)
                        nodes += walk(d, 1);
        EPP_ASSERT(nodes <= 2 * size + 1);
        epp_doc_fini(&doc);
        return 0;
}
