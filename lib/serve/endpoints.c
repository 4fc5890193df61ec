/* endpoints.c - see endpoints.h. Identity is namespace/name; a port may be text or a number. */
#include "serve/endpoints.h"

struct wanted {
        struct epp_slice name, addr;
};

struct read {
        struct epp_slice file;
        void (*fn)(void *ctx, const char *line);
        void *ctx;
        struct epp_doc doc;
        struct wanted *v;
        size_t n;
        bool bad;
};

static void
mistake(struct read *r, unsigned line, const char *field, const char *what)
{
        char text[512];

        r->bad = true;
        snprintf(text, sizeof(text), SLICE_FMT ":%u: %s%s%s", SLICE_ARG(r->file), line, field,
                *field ? ": " : "", what);
        r->fn(r->ctx, text);
}

static struct epp_slice
text_of(struct read *r, const struct epp_node *entry, const char *key, const char *field,
        const char *fallback)
{
        const struct epp_node *n = epp_node_get(entry, key);

        if (!n && fallback)
                return epp_slice_str(fallback);
        if (!n || n->kind != EPP_NODE_SCALAR || n->text.n == 0 || n->text.n > 253) {
                mistake(r, n ? n->line : entry->line, field, n ? "must be a short text" : "is required");
                return EPP_SLICE("");
        }
        return n->text;
}

static void
read_entry(struct read *r, const struct epp_node *entry)
{
        struct epp_slice name = text_of(r, entry, "name", "endpoints[].name", NULL);
        struct epp_slice ns = text_of(r, entry, "namespace", "endpoints[].namespace", "default");
        struct epp_slice ip = text_of(r, entry, "address", "endpoints[].address", NULL), part;
        const struct epp_node *port = epp_node_get(entry, "port");
        struct wanted *w = &r->v[r->n];
        int64_t number;
        unsigned parsed;
        char buf[640];
        int len;

        if (!epp_node_integer(port, 1, 65535, true, &number)) {
                mistake(r, port ? port->line : entry->line, "endpoints[].port", "must be 1 to 65535");
                return;
        }
        len = snprintf(buf, sizeof(buf), memchr(ip.p, ':', ip.n) ? "[" SLICE_FMT "]:%d" : SLICE_FMT ":%d",
                SLICE_ARG(ip), (int)number);
        if (ip.n && !epp_addr_split(epp_slice(buf, (size_t)len), &part, &parsed)) {
                mistake(r, entry->line, "endpoints[].address", "must be an IP address");
                return;
        }
        w->addr = epp_arena_copy(&r->doc.arena, epp_slice(buf, (size_t)len));
        len = snprintf(buf, sizeof(buf), SLICE_FMT "/" SLICE_FMT, SLICE_ARG(ns), SLICE_ARG(name));
        w->name = epp_arena_copy(&r->doc.arena, epp_slice(buf, (size_t)len));
        r->n++;
}

static int
read_all(struct read *r)
{
        const struct epp_node *list = epp_node_get(r->doc.root, "endpoints");
        size_t n = 0;

        if (!list || list->kind != EPP_NODE_LIST) {
                mistake(r, r->doc.root ? r->doc.root->line : 1, "endpoints", "must be a list");
                return 0;
        }
        for (const struct epp_node *e = list->first; e; e = e->next)
                n++;
        r->v = calloc(n + 1, sizeof(*r->v));
        if (!r->v)
                return EPP_ENOMEM;
        for (const struct epp_node *e = list->first; e; e = e->next)
                read_entry(r, e);
        return r->doc.arena.failed ? EPP_ENOMEM : 0;
}

static bool
is_wanted(const struct read *r, struct epp_slice name)
{
        for (size_t i = 0; i < r->n; i++)
                if (epp_slice_eq(r->v[i].name, name))
                        return true;
        return false;
}

static int
apply(const struct read *r, struct epp_pool *pool)
{
        struct epp_endpoint *const *list;
        size_t n;

        list = epp_pool_list(pool, &n);
        for (size_t i = n; i-- > 0;)
                if (!is_wanted(r, list[i]->name))
                        epp_pool_remove(pool, list[i]->name);
        for (size_t i = 0; i < r->n; i++) {
                int result = epp_pool_put(pool, r->v[i].name, r->v[i].addr, NULL);

                if (result < 0)
                        return result;
        }
        return 0;
}

int
epp_endpoints_apply(struct epp_pool *pool, struct epp_slice file, struct epp_slice text,
        void (*fn)(void *ctx, const char *line), void *ctx)
{
        struct read r = { .file = file, .fn = fn, .ctx = ctx };
        int result = epp_doc_parse(text, &r.doc);

        if (result == EPP_EPROTO || result == EPP_EDEEP) {
                mistake(&r, r.doc.error_line, "", r.doc.error);
                result = 0;
        } else if (result == 0) {
                result = read_all(&r);
        }
        if (result == 0)
                result = r.bad ? EPP_EINVAL : apply(&r, pool);
        free(r.v);
        epp_doc_fini(&r.doc);
        return result;
}
