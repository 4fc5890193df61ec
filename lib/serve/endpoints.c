/* endpoints.c - see endpoints.h. Identity is namespace/name; a port may be text or a number. */
#include "serve/endpoints.h"

#include "base/map.h"

struct wanted {
        struct epp_slice name, addr;
        bool again; /* a later entry has the name: that one counts */
};

struct read {
        struct epp_slice file;
        void (*fn)(void *ctx, const char *line);
        void *ctx;
        struct epp_doc doc;
        struct wanted *v;
        size_t n;
        struct epp_map names; /* name -> wanted */
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

static bool
has_control(struct epp_slice s)
{
        for (size_t i = 0; i < s.n; i++)
                if ((unsigned char)s.p[i] < 0x20)
                        return true;
        return false;
}

static struct epp_slice
text_of(struct read *r, const struct epp_node *entry, const char *key, const char *field,
        const char *fallback)
{
        const struct epp_node *n = epp_node_get(entry, key);

        if (!n && fallback)
                return epp_slice_str(fallback);
        if (!n || n->kind != EPP_NODE_SCALAR || n->text.n == 0 || n->text.n > 253 ||
                has_control(n->text)) {
                mistake(r, n ? n->line : entry->line, field,
                        n ? "must be a short text" : "is required");
                return EPP_SLICE("");
        }
        return n->text;
}

static void
check_labels(struct read *r, const struct epp_node *entry)
{
        const struct epp_node *labels = epp_node_get(entry, "labels");

        if (labels && labels->kind != EPP_NODE_MAP)
                mistake(r, labels->line, "endpoints[].labels", "must be a map");
        for (const struct epp_node *n = labels ? labels->first : NULL; n; n = n->next)
                if (n->kind != EPP_NODE_SCALAR && n->kind != EPP_NODE_NULL)
                        mistake(r, n->line, "endpoints[].labels", "values must be text");
}

/* The address as ip:port or [ip6]:port, in the document's memory; empty after a mistake. */
static struct epp_slice
read_addr(struct read *r, const struct epp_node *entry)
{
        struct epp_slice ip = text_of(r, entry, "address", "endpoints[].address", NULL), part;
        const struct epp_node *port = epp_node_get(entry, "port");
        int64_t number = 1;
        unsigned parsed;
        char buf[320];
        int len;

        if (!epp_node_integer(port, 1, 65535, true, &number))
                mistake(r, port ? port->line : entry->line, "endpoints[].port",
                        "must be 1 to 65535");
        len = snprintf(buf, sizeof(buf), ip.n && memchr(ip.p, ':', ip.n) ? "[" SLICE_FMT "]:%d"
                                                                           : SLICE_FMT ":%d",
                SLICE_ARG(ip), (int)number);
        if (ip.n && !epp_addr_split(epp_slice(buf, (size_t)len), &part, &parsed))
                mistake(r, epp_node_get(entry, "address")->line, "endpoints[].address",
                        "must be an IP address");
        return epp_arena_copy(&r->doc.arena, epp_slice(buf, (size_t)len));
}

static int
read_entry(struct read *r, const struct epp_node *entry)
{
        struct wanted *w = &r->v[r->n], *before;
        struct epp_slice name, ns;
        char buf[640];
        int len;

        if (entry->kind != EPP_NODE_MAP) {
                mistake(r, entry->line, "endpoints[]", "must be a map");
                return 0;
        }
        name = text_of(r, entry, "name", "endpoints[].name", NULL);
        ns = text_of(r, entry, "namespace", "endpoints[].namespace", "default");
        w->addr = read_addr(r, entry);
        check_labels(r, entry);
        len = snprintf(buf, sizeof(buf), SLICE_FMT "/" SLICE_FMT, SLICE_ARG(ns), SLICE_ARG(name));
        w->name = epp_arena_copy(&r->doc.arena, epp_slice(buf, (size_t)len));
        r->n++;
        if (!w->name.p)
                return EPP_ENOMEM;
        before = epp_map_get(&r->names, w->name);
        if (before)
                before->again = true;
        return epp_map_put(&r->names, w->name, w) < 0 ? EPP_ENOMEM : 0;
}

static int
read_all(struct read *r)
{
        const struct epp_node *list = epp_node_get(r->doc.root, "endpoints");
        size_t n = 0;
        int result = 0;

        if (!list || list->kind != EPP_NODE_LIST) {
                mistake(r, r->doc.root ? r->doc.root->line : 1, "endpoints", "must be a list");
                return 0;
        }
        for (const struct epp_node *e = list->first; e; e = e->next)
                n++;
        r->v = calloc(n + 1, sizeof(*r->v));
        if (!r->v)
                return EPP_ENOMEM;
        for (const struct epp_node *e = list->first; e && result == 0; e = e->next)
                result = read_entry(r, e);
        return r->doc.arena.failed ? EPP_ENOMEM : result;
}

static int
apply(const struct read *r, struct epp_pool *pool)
{
        struct epp_endpoint *const *list;
        size_t n;

        list = epp_pool_list(pool, &n);
        for (size_t i = n; i-- > 0;)
                if (!list[i]->fixed && !epp_map_get(&r->names, list[i]->name))
                        epp_pool_remove(pool, list[i]->name);
        for (size_t i = 0; i < r->n; i++) {
                const struct wanted *w = &r->v[i];
                const struct epp_endpoint *known = epp_pool_find(pool, w->name);

                if (!w->again && !(known && known->fixed) &&
                        epp_pool_put(pool, w->name, w->addr, NULL) < 0)
                        return EPP_ENOMEM; /* addresses have been checked */
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
        epp_map_fini(&r.names);
        free(r.v);
        epp_doc_fini(&r.doc);
        return result;
}
