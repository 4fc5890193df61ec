/* kobj.c - see kobj.h. Every mistake is reported, not just the first. */
#include "wire/kobj.h"

static const struct epp_jkeep annotations[] = { { "k8s.io/initial-events-end", NULL },
        { NULL, NULL } };
static const struct epp_jkeep metadata[] = { { "name", NULL }, { "namespace", NULL },
        { "uid", NULL }, { "resourceVersion", NULL }, { "creationTimestamp", NULL },
        { "deletionTimestamp", NULL }, { "annotations", annotations }, { NULL, NULL } };
const struct epp_jkeep epp_kobj_keep[] = { { "kind", NULL }, { "apiVersion", NULL },
        { "code", NULL }, { "reason", NULL }, { "message", NULL }, { "details", NULL },
        { "metadata", metadata }, { "spec", NULL }, { NULL, NULL } };

struct decode {
        epp_mistake_fn fn;
        void *ctx;
        bool bad;
        unsigned line; /* of the parent, for what is missing */
};

static void
mistake(struct decode *d, const struct epp_node *n, const char *field, const char *what)
{
        d->bad = true;
        d->fn(d->ctx, n ? n->line : d->line, field, what);
}

/* The CRDs limit characters, not bytes. */
static size_t
characters(struct epp_slice s)
{
        size_t n = 0;

        for (size_t i = 0; i < s.n; i++)
                n += (s.p[i] & 0xc0) != 0x80;
        return n;
}

/* Text of at most <max> characters. Absent is fine unless <required>. */
static struct epp_slice
text(struct decode *d, const struct epp_node *parent, const char *key, const char *field,
        size_t max, bool required)
{
        const struct epp_node *n = epp_node_get(parent, key);

        if (!n) {
                if (required)
                        mistake(d, parent, field, "is required");
                return epp_slice(NULL, 0);
        }
        if (n->kind != EPP_NODE_SCALAR)
                mistake(d, n, field, "must be text");
        else if (characters(n->text) > max)
                mistake(d, n, field, "is too long");
        else if (required && n->text.n == 0)
                mistake(d, n, field, "must not be empty");
        else if (memchr(n->text.p, 0, n->text.n))
                mistake(d, n, field, "holds a NUL byte");
        else
                return n->text;
        return epp_slice(NULL, 0);
}

/* A whole number into *ret, or a mistake and false. */
static bool
integer(struct decode *d, const struct epp_node *n, const char *field, int64_t min, int64_t max,
        int64_t *ret)
{
        char what[80];

        if (epp_node_integer(n, min, max, false, ret))
                return true;
        snprintf(what, sizeof(what), "must be a whole number from %lld to %lld", (long long)min,
                (long long)max);
        mistake(d, n, field, what);
        return false;
}

static void
pool_ref(struct decode *d, const struct epp_node *spec, struct epp_kobj *o)
{
        const struct epp_node *ref = epp_node_get(spec, "poolRef");

        if (!ref) {
                mistake(d, spec, "spec.poolRef", "is required");
                return;
        }
        o->pool = text(d, ref, "name", "spec.poolRef.name", 253, true);
        o->pool_group = text(d, ref, "group", "spec.poolRef.group", 253, false);
        if (!o->pool_group.n)
                o->pool_group = o->kind == EPP_KOBJ_MODEL
                        ? EPP_SLICE("inference.networking.x-k8s.io")
                        : EPP_SLICE("inference.networking.k8s.io");
}

static void
add_port(struct decode *d, const struct epp_node *n, const char *field, struct epp_kobj *o)
{
        int64_t port;

        if (!integer(d, n, field, 1, 65535, &port))
                return;
        for (size_t i = 0; i < o->n_ports; i++)
                if (o->ports[i] == (unsigned)port)
                        mistake(d, n, field, "is there twice");
        if (o->n_ports == EPP_KOBJ_PORTS)
                mistake(d, n, field, "more than 8 ports");
        else
                o->ports[o->n_ports++] = (unsigned)port;
}

static void
pool_v1(struct decode *d, const struct epp_node *spec, struct epp_kobj *o)
{
        const struct epp_node *ports = epp_node_get(spec, "targetPorts");

        if (!ports || ports->kind != EPP_NODE_LIST || !ports->first) {
                mistake(d, ports ? ports : spec, "spec.targetPorts", "must be a list of ports");
                return;
        }
        for (const struct epp_node *p = ports->first; p; p = p->next) {
                d->line = p->line;
                add_port(d, epp_node_get(p, "number"), "spec.targetPorts[].number", o);
        }
}

static void
decode_pool(struct decode *d, const struct epp_node *spec, struct epp_kobj *o)
{
        const struct epp_node *selector = epp_node_get(spec, "selector");
        bool v1 = epp_slice_eq(o->group, EPP_SLICE("inference.networking.k8s.io"));

        if (selector && selector->kind != EPP_NODE_MAP)
                mistake(d, selector, "spec.selector", "must be a map");
        o->selector = v1 ? epp_node_get(selector, "matchLabels") : selector;
        for (const struct epp_node *n = o->selector ? o->selector->first : NULL; n; n = n->next)
                if (n->kind != EPP_NODE_SCALAR || n->text.n > 63)
                        mistake(d, n, v1 ? "spec.selector.matchLabels" : "spec.selector",
                                "must map labels to text");
        if (v1)
                pool_v1(d, spec, o);
        else
                add_port(d, epp_node_get(spec, "targetPortNumber"), "spec.targetPortNumber", o);
}

static int
criticality(struct decode *d, const struct epp_node *spec)
{
        static const char *const names[] = { "Standard", "Critical", "Sheddable" };
        const struct epp_node *n = epp_node_get(spec, "criticality");

        if (!n)
                return 0;
        for (int i = 0; i < 3; i++)
                if (n->kind == EPP_NODE_SCALAR && epp_slice_eq(n->text, epp_slice_str(names[i])))
                        return i;
        mistake(d, n, "spec.criticality", "must be Critical, Standard or Sheddable");
        return 0;
}

static void
decode_targets(struct decode *d, const struct epp_node *list, struct epp_kobj *o)
{
        size_t weighted = 0;

        if (list && list->kind != EPP_NODE_LIST) {
                mistake(d, list, "spec.targetModels", "must be a list");
                return;
        }
        for (const struct epp_node *n = list ? list->first : NULL; n; n = n->next) {
                struct epp_kobj_target *t = &o->targets[o->n_targets];
                const struct epp_node *weight = epp_node_get(n, "weight");
                int64_t w = 0;

                if (o->n_targets == EPP_KOBJ_TARGETS) {
                        mistake(d, n, "spec.targetModels", "more than 10 targets");
                        return;
                }
                t->name = text(d, n, "name", "spec.targetModels[].name", 253, false);
                if (!epp_node_get(n, "name"))
                        mistake(d, n, "spec.targetModels[].name", "is required");
                if (weight)
                        integer(d, weight, "spec.targetModels[].weight", 1, 1000000, &w);
                t->weight = (uint32_t)w;
                weighted += weight != NULL;
                o->n_targets++;
        }
        if (weighted && weighted != o->n_targets)
                mistake(d, list, "spec.targetModels", "weights must be given for all or for none");
}

static void
decode_model(struct decode *d, const struct epp_node *spec, struct epp_kobj *o)
{
        o->model = text(d, spec, "modelName", "spec.modelName", 256, true);
        o->criticality = criticality(d, spec);
        decode_targets(d, epp_node_get(spec, "targetModels"), o);
        pool_ref(d, spec, o);
}

static void
decode_objective(struct decode *d, const struct epp_node *spec, struct epp_kobj *o)
{
        const struct epp_node *n = epp_node_get(spec, "priority");
        int64_t priority = 0;

        if (n)
                integer(d, n, "spec.priority", INT64_MIN, INT64_MAX, &priority);
        o->priority = (int32_t)EPP_MAX(EPP_MIN(priority, (int64_t)INT32_MAX), (int64_t)INT32_MIN);
        pool_ref(d, spec, o);
}

/* The list <key>, or NULL when it is absent or none (said). */
static const struct epp_node *
list(struct decode *d, const struct epp_node *parent, const char *key, const char *field)
{
        const struct epp_node *n = epp_node_get(parent, key);

        if (!n || n->kind == EPP_NODE_LIST)
                return n;
        mistake(d, n, field, "must be a list");
        return NULL;
}

static void
check_match(struct decode *d, const struct epp_node *match)
{
        const struct epp_node *model = epp_node_get(match, "model");
        struct epp_slice type;

        if (!model) {
                mistake(d, match, "spec.rules[].matches[].model", "is required");
                return;
        }
        text(d, model, "value", "spec.rules[].matches[].model.value", SIZE_MAX, true);
        type = text(d, model, "type", "spec.rules[].matches[].model.type", 63, false);
        if (type.n && !epp_slice_eq(type, EPP_SLICE("Exact")))
                mistake(d, model, "spec.rules[].matches[].model.type", "must be Exact");
}

static void
check_rule(struct decode *d, const struct epp_node *rule)
{
        const struct epp_node *matches = list(d, rule, "matches", "spec.rules[].matches");
        const struct epp_node *targets = list(d, rule, "targets", "spec.rules[].targets"), *weight;
        int64_t w;

        for (const struct epp_node *n = matches ? matches->first : NULL; n; n = n->next)
                check_match(d, n);
        if (targets && !targets->first)
                mistake(d, targets, "spec.rules[].targets", "must not be empty");
        for (const struct epp_node *n = targets ? targets->first : NULL; n; n = n->next) {
                text(d, n, "modelRewrite", "spec.rules[].targets[].modelRewrite", SIZE_MAX, false);
                if (!epp_node_get(n, "modelRewrite"))
                        mistake(d, n, "spec.rules[].targets[].modelRewrite", "is required");
                weight = epp_node_get(n, "weight");
                if (weight)
                        integer(d, weight, "spec.rules[].targets[].weight", 1, 1000000, &w);
        }
}

static void
decode_rewrite(struct decode *d, const struct epp_node *spec, struct epp_kobj *o)
{
        const struct epp_node *rules = epp_node_get(spec, "rules");

        if (!rules || rules->kind != EPP_NODE_LIST)
                mistake(d, rules ? rules : spec, "spec.rules", "must be a list");
        else
                for (const struct epp_node *n = rules->first; n; n = n->next)
                        check_rule(d, n);
        o->spec = spec;
        pool_ref(d, spec, o);
}

static const struct {
        const char *kind, *groups[2];
        enum epp_kobj_kind value;
        void (*decode)(struct decode *d, const struct epp_node *spec, struct epp_kobj *o);
} kinds[] = {
        { "InferencePool", { "inference.networking.k8s.io", "inference.networking.x-k8s.io" },
                EPP_KOBJ_POOL, decode_pool },
        { "InferenceModel", { "inference.networking.x-k8s.io", NULL }, EPP_KOBJ_MODEL,
                decode_model },
        { "InferenceObjective", { "inference.networking.x-k8s.io", "llm-d.ai" }, EPP_KOBJ_OBJECTIVE,
                decode_objective },
        { "InferenceModelRewrite", { "inference.networking.x-k8s.io", "llm-d.ai" },
                EPP_KOBJ_REWRITE, decode_rewrite },
};

/* Takes <n> digits and one of <after> from the front of <s>. */
static bool
take_number(struct epp_slice *s, size_t n, const char *after, int64_t *ret)
{
        int64_t v = 0;

        if (s->n <= n)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (s->p[i] < '0' || s->p[i] > '9')
                        return false;
                v = v * 10 + (s->p[i] - '0');
        }
        if (!memchr(after, s->p[n], strlen(after)))
                return false;
        *s = epp_slice(s->p + n + 1, s->n - n - 1);
        *ret = v;
        return true;
}

/* Days since 1970-01-01; years begin in March here, so that the leap day is their last. */
static int64_t
days(int64_t y, int64_t m, int64_t d)
{
        y -= m <= 2;
        m = (m + 9) % 12;
        return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d - 1 - 719468;
}

/* RFC 3339 in UTC, as API servers write it; anything else counts as the newest. */
static int64_t
seconds(struct epp_slice s)
{
        int64_t y, mo, d, h, mi, sec;

        if (!take_number(&s, 4, "-", &y) || !take_number(&s, 2, "-", &mo) ||
                !take_number(&s, 2, "Tt ", &d) || !take_number(&s, 2, ":", &h) ||
                !take_number(&s, 2, ":", &mi) || !take_number(&s, 2, "Zz.", &sec))
                return INT64_MAX;
        if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 60)
                return INT64_MAX;
        return ((days(y, mo, d) * 24 + h) * 60 + mi) * 60 + sec;
}

static void
decode_meta(struct decode *d, const struct epp_node *doc, struct epp_kobj *o)
{
        const struct epp_node *meta = epp_node_get(doc, "metadata");

        if (!meta) {
                mistake(d, doc, "metadata", "is required");
                return;
        }
        o->name = text(d, meta, "name", "metadata.name", 253, true);
        o->ns = text(d, meta, "namespace", "metadata.namespace", 63, false);
        o->uid = text(d, meta, "uid", "metadata.uid", 253, false);
        o->version = text(d, meta, "resourceVersion", "metadata.resourceVersion", 253, false);
        o->created_s = seconds(
                text(d, meta, "creationTimestamp", "metadata.creationTimestamp", 40, false));
        o->deleted = epp_node_get(meta, "deletionTimestamp") != NULL;
}

/* Groups whose kinds we know all of: another is a slip of the pen. */
static bool
is_our_group(struct epp_slice group)
{
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
                for (size_t k = 0; k < ARRAY_LEN(kinds[i].groups); k++)
                        if (kinds[i].groups[k] &&
                                epp_slice_eq(group, epp_slice_str(kinds[i].groups[k])))
                                return true;
        return false;
}

int
epp_kobj_decode(const struct epp_node *doc, struct epp_kobj *ret, epp_mistake_fn fn, void *ctx)
{
        struct decode d = { fn, ctx, false, doc->line };
        struct epp_slice kind, version;
        const struct epp_node *spec;

        memset(ret, 0, sizeof(*ret));
        if (doc->kind == EPP_NODE_NULL)
                return 0; /* nothing between two separators */
        if (doc->kind != EPP_NODE_MAP) {
                mistake(&d, doc, "", "is not a Kubernetes object");
                return EPP_EINVAL;
        }
        kind = text(&d, doc, "kind", "kind", 63, true);
        version = text(&d, doc, "apiVersion", "apiVersion", 253, true);
        ret->group = epp_slice_cut(&version, '/');
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
                if (!epp_slice_eq(kind, epp_slice_str(kinds[i].kind)) ||
                        (!epp_slice_eq(ret->group, epp_slice_str(kinds[i].groups[0])) &&
                                !epp_slice_eq(ret->group, epp_slice_str(kinds[i].groups[1]))))
                        continue;
                ret->kind = kinds[i].value;
                decode_meta(&d, doc, ret);
                spec = epp_node_get(doc, "spec");
                if (!spec || spec->kind != EPP_NODE_MAP)
                        mistake(&d, spec ? spec : doc, "spec", "must be a map");
                else
                        kinds[i].decode(&d, spec, ret);
        }
        if (ret->kind == EPP_KOBJ_OTHER && is_our_group(ret->group) &&
                !epp_slice_eq(kind, EPP_SLICE("InferencePoolImport")))
                mistake(&d, epp_node_get(doc, "kind"), "kind", "is not a kind of this API group");
        return d.bad ? EPP_EINVAL : 0;
}
