/* kpod.c - see kpod.h. */
#include "wire/kpod.h"

#include "base/addr.h"

#define NAME_MAX_BYTES 253 /* endpoints are named after pods, in buffers of a size */

static const struct epp_jkeep annotations[] = {{"k8s.io/initial-events-end", NULL},
        {"llm-d.ai/active-ports", NULL}, {"inference.networking.k8s.io/active-ports", NULL},
        {NULL, NULL}};
static const struct epp_jkeep metadata[] = {{"name", NULL}, {"namespace", NULL}, {"uid", NULL},
        {"resourceVersion", NULL}, {"deletionTimestamp", NULL}, {"annotations", annotations},
        {NULL, NULL}};
static const struct epp_jkeep conditions[] = {{"type", NULL}, {"status", NULL}, {NULL, NULL}};
static const struct epp_jkeep status[] = {
        {"podIP", NULL}, {"conditions", conditions}, {NULL, NULL}};
const struct epp_jkeep epp_kpod_keep[] = {{"kind", NULL}, {"code", NULL}, {"reason", NULL},
        {"message", NULL}, {"details", NULL}, {"metadata", metadata}, {"status", status},
        {NULL, NULL}};

static struct epp_slice
text(const struct epp_node *map, const char *key)
{
        const struct epp_node *n = epp_node_get(map, key);

        return n && n->kind == EPP_NODE_SCALAR ? n->text : epp_slice(NULL, 0);
}

static bool
is_ready(const struct epp_node *status_node)
{
        const struct epp_node *list = epp_node_get(status_node, "conditions");

        for (const struct epp_node *c = list ? list->first : NULL; c; c = c->next)
                if (epp_slice_eq(text(c, "type"), EPP_SLICE("Ready")))
                        return epp_slice_eq(text(c, "status"), EPP_SLICE("True"));
        return false;
}

/* A leading number, as the references read it: "8000abc" is 8000. 0: none. */
static unsigned
lenient_port(struct epp_slice s)
{
        unsigned v = 0;
        size_t i = s.n && s.p[0] == '+';

        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
                v = v * 10 + (unsigned)(s.p[i] - '0');
                if (v > 65535)
                        return 0;
        }
        return v;
}

static void
read_active(struct epp_kpod *p, const struct epp_node *notes)
{
        const struct epp_node *n = epp_node_get(notes, "llm-d.ai/active-ports");
        struct epp_slice rest;

        if (!n)
                n = epp_node_get(notes, "inference.networking.k8s.io/active-ports");
        if (!n || n->kind != EPP_NODE_SCALAR)
                return;
        p->restricted = true;
        rest = n->text;
        while (rest.p && p->n_active < EPP_KPOD_PORTS) {
                unsigned port = lenient_port(epp_slice_trim(epp_slice_cut(&rest, ',')));

                if (port)
                        p->active[p->n_active++] = port;
        }
}

static bool
fits(struct epp_slice s)
{
        return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

int
epp_kpod_decode(const struct epp_node *object, struct epp_kpod *ret, const char **why)
{
        const struct epp_node *meta = epp_node_get(object, "metadata"),
                              *state = epp_node_get(object, "status");

        *ret = (struct epp_kpod){.name = text(meta, "name"),
                .ns = text(meta, "namespace"),
                .uid = text(meta, "uid"),
                .version = text(meta, "resourceVersion"),
                .ip = text(state, "podIP"),
                .kind = text(object, "kind")};
        *why = !fits(ret->name) ? "metadata.name" : !fits(ret->uid) ? "metadata.uid"
             : !fits(ret->version) ? "metadata.resourceVersion" : NULL;
        if (*why)
                return EPP_EINVAL;
        if (!epp_is_ip(ret->ip))
                ret->ip = epp_slice(NULL, 0);
        ret->terminating = epp_node_get(meta, "deletionTimestamp") != NULL;
        ret->ready = is_ready(state);
        read_active(ret, epp_node_get(meta, "annotations"));
        return 0;
}
