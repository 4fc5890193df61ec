/* test_objects.c - object and endpoint files: what is taken, every mistake with its place. */
#include "serve/endpoints.h"
#include "serve/objects.h"
#include "unit.h"

static char said[4096];

static void
say(void *ctx, const char *line)
{
        (void)ctx;
        snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", line);
}

#define MODEL_HEAD "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferenceModel\n"
#define POOL \
        "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\n" \
        "metadata: {name: p}\n" \
        "spec: {targetPortNumber: 8000, selector: {app: x}}\n"

/* Reads files, separated by "\f", into a set for <pool> in <ns>, as far as they are good; models or
 * NULL. */
static struct epp_models *
read_files(const char *pool, const char *ns, const char *text, char *ret_pool, size_t size)
{
        struct epp_objects *o;
        struct epp_models *m = NULL;
        struct epp_slice name, rest = epp_slice_str(text);
        char file[2] = "f";

        said[0] = 0;
        ck_assert_int_eq(epp_objects_new(epp_slice_str(pool), epp_slice_str(ns), say, NULL, &o), 0);
        for (; rest.p; file[0]++)
                (void)!epp_objects_add(o, epp_slice_str(file), epp_slice_cut(&rest, '\f'));
        if (epp_objects_finish(o, 1, &m, &name) == 0 && ret_pool)
                snprintf(ret_pool, size, SLICE_FMT " %zu", SLICE_ARG(name), epp_objects_others(o));
        epp_objects_free(o);
        return m;
}

static struct epp_models *
read_text(const char *pool, const char *text, char *ret_pool, size_t size)
{
        return read_files(pool, "", text, ret_pool, size);
}

START_TEST(good)
{
        char pool[64];
        struct epp_models *m = read_text("", POOL "---\n" MODEL_HEAD
                "metadata: {name: a}\n"
                "spec:\n  modelName: food-review\n  criticality: Critical\n  poolRef: {name: p}\n"
                "  targetModels:\n  - {name: food-1, weight: 10}\n  - {name: food-2, weight: 90}\n"
                "---\n---\n" MODEL_HEAD
                "metadata: {name: b, creationTimestamp: \"2025-01-01T00:00:00Z\"}\n"
                "spec: {modelName: chat, poolRef: {name: p}}\n"
                "---\n" MODEL_HEAD
                "metadata: {name: other}\nspec: {modelName: x, poolRef: {name: q}}\n"
                "---\nkind: Service\napiVersion: v1\nmetadata: {name: s}\n"
                "---\n" MODEL_HEAD
                "metadata: {name: c, creationTimestamp: \"2024-01-01T00:00:00Z\"}\n"
                "spec: {modelName: chat, criticality: Sheddable, poolRef: {name: p}}\n", pool,
                sizeof(pool));
        struct epp_model *f;

        ck_assert_str_eq(said, "");
        ck_assert_ptr_nonnull(m);
        ck_assert_str_eq(pool, "p 2"); /* another pool's, and the younger chat */
        ck_assert_uint_eq(epp_models_count(m), 2);
        f = epp_models_find(m, EPP_SLICE("food-review"));
        ck_assert_int_eq(f->criticality, EPP_CRITICAL);
        ck_assert_uint_eq(f->n_targets, 2);
        ck_assert_uint_eq(f->targets[1].weight, 90);
        ck_assert_int_eq(epp_models_find(m, EPP_SLICE("chat"))->criticality, EPP_SHEDDABLE);
        epp_models_free(m);
}
END_TEST

START_TEST(list_and_v1)
{
        struct epp_models *m = read_text("", "kind: List\napiVersion: v1\nitems:\n"
                "- {apiVersion: inference.networking.k8s.io/v1, kind: InferencePool,\n"
                "   metadata: {name: z},\n"
                "   spec: {targetPorts: [{number: 8000}], selector: {matchLabels: {a: b}}}}\n"
                "- {apiVersion: inference.networking.x-k8s.io/v1alpha2, kind: InferenceModel,\n"
                "   metadata: {name: m}, spec: {modelName: m, poolRef: {name: z}}}\n", NULL, 0);

        ck_assert_str_eq(said, "");
        ck_assert_uint_eq(epp_models_count(m), 1);
        epp_models_free(m);
}
END_TEST

#define C64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define C256 C64 C64 C64 C64
#define C257 C256 "x"
#define MODEL_POOL(pool, ns) MODEL_HEAD "metadata: {name: a, namespace: " ns "}\n" \
        "spec: {modelName: m, poolRef: {name: " pool "}}\n"

static const struct {
        const char *text, *said;
} bad[] = {
        { "a: [", "f:2: did not find expected node content\n" },
        { "a: 1\na: 2\n", "f:2: the key \"a\" is there twice\n" },
        { "a: &x 1\nb: *x\n", "f:2: aliases are not taken here\n" },
        { "a: !t 1\n", "f:1: tags are not taken here\n" },
        { "- 1\n", "f:1: is not a Kubernetes object\n" },
        { "kind: InferenceModell\napiVersion: inference.networking.x-k8s.io/v1alpha2\n",
                "f:1: kind: is not a kind of this API group\n" },
        { "kind: InferenceModel\napiVersion: inference.networking.k8s.io/v1\n",
                "f:1: kind: is not a kind of this API group\n" },
        { "x: 1\n", "f:1: kind: is required\nf:1: apiVersion: is required\n" },
        { MODEL_HEAD "metadata: {name: a}\nspec: {}\n",
                "f:4: spec.modelName: is required\nf:4: spec.poolRef: is required\n" },
        { MODEL_HEAD "spec: {modelName: [x], poolRef: {name: \"\"}, criticality: critical}\n",
                "f:1: metadata: is required\nf:3: spec.modelName: must be text\n"
                "f:3: spec.criticality: must be Critical, Standard or Sheddable\n"
                "f:3: spec.poolRef.name: must not be empty\n" },
        { MODEL_HEAD "metadata: {name: a}\nspec:\n  modelName: m\n"
                     "  poolRef: {name: p}\n  targetModels:\n"
                     "  - {name: a, weight: 0}\n  - {name: b}\n  - {weight: 3}\n",
                "f:8: spec.targetModels[].weight: must be a whole number from 1 to 1000000\n"
                "f:10: spec.targetModels[].name: is required\n"
                "f:8: spec.targetModels: weights must be given for all or for none\n" },
        { "apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: a}\n"
          "spec: {targetPorts: [{number: 80}, {number: 80}, {number: 0}, {}]}\n",
                "f:4: spec.targetPorts[].number: is there twice\n"
                "f:4: spec.targetPorts[].number: must be a whole number from 1 to 65535\n"
                "f:4: spec.targetPorts[].number: must be a whole number from 1 to 65535\n" },
        { MODEL_HEAD "metadata: {name: a}\nspec: {modelName: \"" C257
                     "\", poolRef: {name: p}, targetModels: "
                     "[{name: a, weight: 1000001}, {name: b, weight: \"1\"}, {name: [], weight: "
                     "1.5}]}\n",
                "f:4: spec.modelName: is too long\n"
                "f:4: spec.targetModels[].weight: must be a whole number from 1 to 1000000\n"
                "f:4: spec.targetModels[].weight: must be a whole number from 1 to 1000000\n"
                "f:4: spec.targetModels[].name: must be text\n"
                "f:4: spec.targetModels[].weight: must be a whole number from 1 to 1000000\n" },
        { MODEL_HEAD
                "metadata: {name: a}\nspec: {modelName: m, poolRef: {name: p}, targetModels: "
                "[{name: a}, {name: a}, {name: a}, {name: a}, {name: a}, {name: a}, {name: a}, "
                "{name: a}, {name: a}, {name: a},\n{name: a}]}\n",
                "f:5: spec.targetModels: more than 10 targets\n" },
        { MODEL_HEAD
                "metadata: {name: a}\nspec: {modelName: m, poolRef: {name: p}, targetModels: {}}\n",
                "f:4: spec.targetModels: must be a list\n" },
        { "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\nmetadata: {}\n"
          "spec: {targetPortNumber: 0, selector: []}\n",
                "f:3: metadata.name: is required\nf:4: spec.selector: must be a map\n"
                "f:4: spec.targetPortNumber: must be a whole number from 1 to 65535\n" },
        { "apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: a}\n"
          "spec: {targetPorts: [{number: 1}, {number: 2}, {number: 3}, {number: 4}, {number: 5},\n"
          "{number: 6}, {number: 7}, {number: 8}, {number: 9}]}\n",
                "f:5: spec.targetPorts[].number: more than 8 ports\n" },
        { "apiVersion: llm-d.ai/v1alpha2\nkind: InferenceObjective\nmetadata: {name: a}\n"
          "spec: {priority: high}\n",
                "f:4: spec.priority: must be a whole number from -9223372036854775808 to "
                "9223372036854775807\nf:4: spec.poolRef: is required\n" },
        { "apiVersion: llm-d.ai/v1alpha2\nkind: InferenceModelRewrite\nmetadata: {name: a}\nspec:\n"
          "  poolRef: {name: p}\n  rules:\n"
          "  - {matches: [{}, {model: {value: \"\", type: Prefix}}], targets: []}\n"
          "  - {targets: [{weight: 0}]}\n  - {matches: 1}\n",
                "f:7: spec.rules[].matches[].model: is required\n"
                "f:7: spec.rules[].matches[].model.value: must not be empty\n"
                "f:7: spec.rules[].matches[].model.type: must be Exact\n"
                "f:7: spec.rules[].targets: must not be empty\n"
                "f:8: spec.rules[].targets[].modelRewrite: is required\n"
                "f:8: spec.rules[].targets[].weight: must be a whole number from 1 to 1000000\n"
                "f:9: spec.rules[].matches: must be a list\n" },
        /* Both files' mistakes are told. */
        { "a: 1\fb",
                "f:1: kind: is required\nf:1: apiVersion: is required\n"
                "g:1: is not a Kubernetes object\n" },
        { POOL "---\n" MODEL_HEAD
               "metadata: {name: a}\nspec: {modelName: m, poolRef: {name: p}}\n---\n"
               "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\nmetadata: "
               "{name: p2}\n"
               "spec: {targetPortNumber: 8000}\n",
                "f:11: the objects name more than one pool: give --pool-name\n" },
        { POOL "---\n" MODEL_POOL("p", "x") "---\n" MODEL_POOL("p", "y"),
                "f:11: the pool is in more than one namespace: give --pool-namespace\n" },
};

START_TEST(mistakes)
{
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                epp_models_free(read_text("", bad[i].text, NULL, 0));
                if (strncmp(bad[i].said, "f:2: did", 8) == 0)
                        ck_assert_ptr_nonnull(strstr(said, "did not find expected"));
                else
                        ck_assert_msg(strcmp(said, bad[i].said) == 0, "%zu: said\n%s", i, said);
        }
}
END_TEST

/* Which object wins a model name (scheduling.md 2.3, kubernetes.md 2.6), and what is not one of the
 * pool. Each row: model objects as NAME:CREATED:CRITICALITY[:MORE], in files. */
#define M(name, meta, spec) MODEL_HEAD "metadata: {name: " name meta "}\n" \
        "spec: {modelName: m, poolRef: {name: p}" spec "}\n---\n"
#define T(time) ", creationTimestamp: \"" time "\""
#define CRIT ", criticality: Critical"
#define SHED ", criticality: Sheddable"
#define GONE ", deletionTimestamp: \"2025-01-01T00:00:00Z\""

static const struct {
        const char *text;
        int criticality; /* of the winner; -1: none */
} winners[] = {
        { M("a", T("2025-01-01T00:00:00Z"), CRIT) M("b", T("2025-01-01T00:00:01Z"), SHED),
                EPP_CRITICAL },
        { M("b", T("2025-01-01T00:00:01Z"), SHED) M("a", T("2025-01-01T00:00:00Z"), CRIT),
                EPP_CRITICAL },
        { M("z", T("2024-12-31T23:59:59Z"), CRIT) M("b", T("2025-01-01T00:00:00Z"), SHED),
                EPP_CRITICAL },
        /* The same second: the smaller name. */
        { M("b", T("2025-01-01T00:00:00Z"), SHED) M("a", T("2025-01-01T00:00:00Z"), CRIT),
                EPP_CRITICAL },
        { M("b", T("2025-01-01T00:00:00.9Z"), SHED) M("a", T("2025-01-01T00:00:00Z"), CRIT),
                EPP_CRITICAL },
        { M("ab", T("2025-01-01T00:00:00Z"), SHED) M("a", T("2025-01-01T00:00:00Z"), CRIT),
                EPP_CRITICAL },
        /* No time, or none to read, is the newest. */
        { M("a", "", SHED) M("b", T("2025-01-01T00:00:00Z"), CRIT), EPP_CRITICAL },
        { M("a", T("yesterday"), SHED) M("b", T("2025-01-01T00:00:00Z"), CRIT), EPP_CRITICAL },
        { M("a", T("2025-13-01T00:00:00Z"), SHED) M("b", T("2025-01-01T00:00:00Z"), CRIT),
                EPP_CRITICAL },
        { M("b", "", SHED) M("a", "", CRIT), EPP_CRITICAL },
        /* The same object again replaces itself, older or not, in this file or the next. */
        { M("a", T("2025-01-01T00:00:00Z"), SHED) M("a", T("2026-01-01T00:00:00Z"), CRIT),
                EPP_CRITICAL },
        { M("a", "", SHED) "\f" M("a", "", CRIT), EPP_CRITICAL },
        { M("a", ", namespace: n", SHED) M("a", "", CRIT), EPP_CRITICAL },
        { M("a", T("2025-01-01T00:00:00Z"), SHED) MODEL_HEAD
                "metadata: {name: a}\nspec: {modelName: other, poolRef: {name: p}}\n",
                -1 },
        /* Deleted, of another pool, of another namespace: the next one. */
        { M("a", T("2025-01-01T00:00:00Z") GONE, SHED) M("b", T("2026-01-01T00:00:00Z"), CRIT),
                EPP_CRITICAL },
        { M("a", GONE, SHED), -1 },
        { M("a", ", namespace: other", SHED), -1 },
        { MODEL_HEAD "metadata: {name: a}\nspec: {modelName: m, poolRef: {name: q}}\n---\n" M(
                  "b", "", CRIT),
                EPP_CRITICAL },
        /* Absent and Standard are one. */
        { M("a", "", ""), EPP_STANDARD },
        { M("a", "", ", criticality: Standard"), EPP_STANDARD },
        { M("a", "", ", criticality: null, targetModels: null"), EPP_STANDARD },
        { M("a", "", CRIT ", unknown: {field: [1]}"), EPP_CRITICAL },
};

START_TEST(winner)
{
        for (size_t i = 0; i < ARRAY_LEN(winners); i++) {
                struct epp_models *m = read_files("p", "n", winners[i].text, NULL, 0);
                struct epp_model *found;

                ck_assert_msg(m && !*said, "%zu: %s", i, said);
                found = epp_models_find(m, EPP_SLICE("m"));
                ck_assert_msg(
                        (found ? (int)found->criticality : -1) == winners[i].criticality, "%zu", i);
                epp_models_free(m);
        }
}
END_TEST

/* Names count in characters; a target may be empty, and weights absent. */
START_TEST(limits)
{
        static char text[4096];
        struct epp_models *m;
        struct epp_model *found;
        size_t n = (size_t)snprintf(text, sizeof(text), MODEL_HEAD "metadata: {name: a}\nspec:\n"
                "  poolRef: {name: p}\n  targetModels: [{name: \"\"}, {name: x}]\n  modelName: ");

        for (int i = 0; i < 256; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "\xc3\xbc");
        m = read_text("", text, NULL, 0);
        ck_assert_str_eq(said, "");
        found = epp_models_find(m, epp_slice(text + n - 512, 512));
        ck_assert_ptr_nonnull(found);
        ck_assert_uint_eq(found->n_targets, 2);
        ck_assert_uint_eq(found->targets[0].name.n + found->targets[0].weight, 0);
        epp_models_free(m);
}
END_TEST

/* Which pool: the flag's, the objects', their namespace. */
START_TEST(which_pool)
{
        static const char v1_in_prod[] = "apiVersion: inference.networking.k8s.io/v1\n"
                "kind: InferencePool\nmetadata: {name: p, namespace: prod}\n"
                "spec: {targetPorts: [{number: 1}], selector: {matchLabels: {}}}\n---\n";
        static const struct {
                const char *pool, *ns, *text, *expect; /* pool, models left out, models */
        } rows[] = {
                { "", "", POOL, "p 0 0" },
                { "", "", "", " 0 0" },
                { "", "", MODEL_POOL("q", "x"), "q 0 1" },
                { "z", "", POOL "---\n" MODEL_POOL("p", "x"), "z 1 0" },
                { "", "", POOL "---\n" MODEL_POOL("q", "x"), "p 1 0" },
                { "", "", POOL "---\n" MODEL_POOL("p", "x"), "p 0 1" },
                { "p", "y", POOL "---\n" MODEL_POOL("p", "x") "---\n" MODEL_POOL("p", "y"),
                        "p 1 1" },
                { "", "prod", POOL "---\n" M("a", "", ""), "p 0 1" }, /* as kubectl apply -n prod */
                { "p", "", M("a", "", ""), "p 0 1" },
                /* the namespace comes from the pool's object; the two APIs' pools of one name are
                   one */
                { "", "", NULL, "p 0 1" },
        };
        char all[4096], got[80];

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_models *m;

                snprintf(all, sizeof(all), "%s", rows[i].text ? rows[i].text : v1_in_prod);
                if (!rows[i].text)
                        snprintf(all, sizeof(all), "%s" POOL "---\n" MODEL_POOL("p", "prod"),
                                v1_in_prod);
                m = read_files(rows[i].pool, rows[i].ns, all, got, sizeof(got));
                ck_assert_msg(m != NULL, "%zu: %s", i, said);
                snprintf(got + strlen(got), 8, " %zu", epp_models_count(m));
                ck_assert_msg(strcmp(got, rows[i].expect) == 0, "%zu: %s", i, got);
                epp_models_free(m);
        }
}
END_TEST

/* What a later issue uses is taken whole: objectives with any priority, rewrites. */
START_TEST(others)
{
        static const struct {
                const char *spec;
                int32_t priority;
        } rows[] = { { "", 0 }, { ", priority: -7", -7 }, { ", priority: 99999999999", INT32_MAX },
                { ", priority: -99999999999", INT32_MIN }, { ", priority: null", 0 } };
        struct epp_kobj k;
        struct epp_doc doc;
        char text[512];

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                snprintf(text, sizeof(text), "apiVersion: %s/v1alpha2\nkind: InferenceObjective\n"
                        "metadata: {name: a}\nspec: {poolRef: {name: p}%s}\n",
                        i & 1 ? "llm-d.ai" : "inference.networking.x-k8s.io", rows[i].spec);
                ck_assert_int_eq(epp_doc_parse(epp_slice_str(text), &doc), 0);
                ck_assert_int_eq(epp_kobj_decode(doc.root, &k, NULL, NULL), 0);
                ck_assert_int_eq(k.kind, EPP_KOBJ_OBJECTIVE);
                ck_assert_int_eq(k.priority, rows[i].priority);
                epp_doc_fini(&doc);
        }
        ck_assert_int_eq(
                epp_doc_parse(EPP_SLICE("apiVersion: llm-d.ai/v1alpha2\n"
                                        "kind: InferenceModelRewrite\nmetadata: {name: a, "
                                        "creationTimestamp: 1970-01-02T00:00:01Z}\n"
                                        "spec: {poolRef: {name: p}, rules: [{targets: "
                                        "[{modelRewrite: x, weight: 5}, "
                                        "{modelRewrite: \"\"}]}, {matches: [{model: {value: m, "
                                        "type: Exact}}, {model: {value: n}}]}]}"),
                        &doc),
                0);
        ck_assert_int_eq(epp_kobj_decode(doc.root, &k, NULL, NULL), 0);
        ck_assert_int_eq(k.kind, EPP_KOBJ_REWRITE);
        ck_assert_int_eq(k.created_s, 86401);
        ck_assert_ptr_nonnull(k.spec);
        epp_doc_fini(&doc);
}
END_TEST

/* A file with a mistake leaves the set as it was. */
START_TEST(all_or_nothing)
{
        struct epp_models *m = read_text("",
                POOL "---\n" M("a", "", CRIT) "\f" M("a", "", SHED) MODEL_HEAD
                "metadata: {name: b}\nspec: {modelName: n, poolRef: {name: p}}\n---\nkind: 1\n",
                NULL, 0);

        ck_assert_str_eq(said, "g:11: apiVersion: is required\n");
        ck_assert_uint_eq(epp_models_count(m), 1);
        ck_assert_int_eq(epp_models_find(m, EPP_SLICE("m"))->criticality, EPP_CRITICAL);
        epp_models_free(m);
}
END_TEST

static const struct {
        const char *text, *said;
} bad_endpoints[] = {
        { "", "f:1: endpoints: must be a list\n" },
        { "{}", "f:1: endpoints: must be a list\n" },
        { "endpoints: {}", "f:1: endpoints: must be a list\n" },
        { "endpoints:\n- x\n- []\n-\n",
                "f:2: endpoints[]: must be a map\nf:3: endpoints[]: must be a map\n"
                "f:4: endpoints[]: must be a map\n" },
        { "endpoints: [{name: \"\", address: 1.2.3.4, port: 1}]",
                "f:1: endpoints[].name: must be a short text\n" },
        { "endpoints: [{name: \"a\\nb\", address: 1.2.3.4, port: 1}]",
                "f:1: endpoints[].name: must be a short text\n" },
        { "endpoints: [{name: a, port: 1}]", "f:1: endpoints[].address: is required\n" },
        { "endpoints: [{name: a, address: host, port: 1}]",
                "f:1: endpoints[].address: must be an IP address\n" },
        { "endpoints: [{name: a, address: \"[::1]\", port: 1}]",
                "f:1: endpoints[].address: must be an IP address\n" },
        { "endpoints: [{name: a, address: 1.2.3.4}]",
                "f:1: endpoints[].port: must be 1 to 65535\n" },
        { "endpoints: [{name: a, address: 1.2.3.4, port: 65536}]",
                "f:1: endpoints[].port: must be 1 to 65535\n" },
        { "endpoints: [{name: a, address: 1.2.3.4, port: \"8000x\"}]",
                "f:1: endpoints[].port: must be 1 to 65535\n" },
        { "endpoints: [{name: a, address: 1.2.3.4, port: 1, labels: [x]}]",
                "f:1: endpoints[].labels: must be a map\n" },
        { "endpoints: [{name: a, address: 1.2.3.4, port: 1, labels: {a: {}}}]",
                "f:1: endpoints[].labels: values must be text\n" },
        { "endpoints: [", NULL },
        { "endpoints: [{name: a, address: 1.2.3.4, port: 1}]\nendpoints: []\n",
                "f:2: the key \"endpoints\" is there twice\n" },
};

START_TEST(endpoint_mistakes)
{
        struct epp_pool *p;
        uint64_t version;

        ck_assert_int_eq(epp_pool_new(1, &p), 0);
        ck_assert_int_eq(epp_pool_put(p, EPP_SLICE("default/x"), EPP_SLICE("1.1.1.1:1"), NULL), 1);
        version = epp_pool_version(p);
        for (size_t i = 0; i < ARRAY_LEN(bad_endpoints); i++) {
                said[0] = 0;
                ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"),
                        epp_slice_str(bad_endpoints[i].text), say, NULL), EPP_EINVAL);
                if (bad_endpoints[i].said)
                        ck_assert_msg(strcmp(said, bad_endpoints[i].said) == 0, "%zu: %s", i, said);
                ck_assert_uint_eq(epp_pool_version(p), version); /* nothing is lost */
        }
        epp_pool_free(p);
}
END_TEST

/* Of one name the last counts, and the same file again changes nothing. */
START_TEST(endpoint_twice)
{
        static const char text[] =
                "{\"endpoints\": [{\"name\": \"a\", \"address\": \"1.1.1.1\", \"port\": \"1\"},"
                "{\"name\": \"a\", \"address\": \"2.2.2.2\", \"port\": 2, \"namespace\": "
                "\"default\"},"
                "{\"name\": \"a\", \"address\": \"3.3.3.3\", \"port\": 2, \"namespace\": \"n\"}]}";
        struct epp_pool *p;
        uint64_t version;
        size_t n;

        ck_assert_int_eq(epp_pool_new(1, &p), 0);
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), epp_slice_str(text), say, NULL), 0);
        version = epp_pool_version(p);
        (void)epp_pool_list(p, &n);
        ck_assert_uint_eq(n, 2);
        ck_assert(epp_slice_eq(
                epp_pool_find(p, EPP_SLICE("default/a"))->addr, EPP_SLICE("2.2.2.2:2")));
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), epp_slice_str(text), say, NULL), 0);
        ck_assert_uint_eq(epp_pool_version(p), version);
        epp_pool_free(p);
}
END_TEST

/* What the command line gave stays whatever the file says. */
START_TEST(endpoint_fixed)
{
        struct epp_pool *p;
        size_t n;

        ck_assert_int_eq(epp_pool_new(1, &p), 0);
        ck_assert_int_eq(epp_pool_put(p, EPP_SLICE("default/a"), EPP_SLICE("1.1.1.1:1"), NULL), 1);
        epp_pool_find(p, EPP_SLICE("default/a"))->fixed = true;
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints: "
                "[{name: a, address: 2.2.2.2, port: 2}, {name: b, address: 2.2.2.2, port: 2}]"),
                say, NULL), 0);
        ck_assert(epp_slice_eq(epp_pool_find(p, EPP_SLICE("default/a"))->addr, EPP_SLICE("1.1.1.1:1")));
        (void)epp_pool_list(p, &n);
        ck_assert_uint_eq(n, 2);
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints: []"), say,
                NULL), 0);
        (void)epp_pool_list(p, &n);
        ck_assert_uint_eq(n, 1);
        epp_pool_free(p);
}
END_TEST

START_TEST(endpoints)
{
        struct epp_pool *p;
        struct epp_ref a;
        size_t n;

        said[0] = 0;
        ck_assert_int_eq(epp_pool_new(1, &p), 0);
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints:\n"
                "- {name: a, address: 10.0.0.1, port: \"8000\", labels: {x: y}}\n"
                "- {name: b, namespace: n, address: \"fd00::1\", port: 8000}\n"), say, NULL), 0);
        a = epp_pool_find(p, EPP_SLICE("default/a"))->ref;
        ck_assert(epp_slice_eq(epp_pool_find(p, EPP_SLICE("n/b"))->addr,
                EPP_SLICE("[fd00::1]:8000")));
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints:\n"
                "- {name: c, address: host, port: 1}\n- {address: 10.0.0.1, port: 0}\n"), say,
                NULL), EPP_EINVAL);
        ck_assert_str_eq(said, "f:2: endpoints[].address: must be an IP address\n"
                "f:3: endpoints[].name: is required\nf:3: endpoints[].port: must be 1 to 65535\n");
        (void)epp_pool_list(p, &n);
        ck_assert_uint_eq(n, 2); /* nothing is lost */
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints:\n"
                "- {name: a, address: 10.0.0.1, port: 8000}\n"
                "- {name: d, address: 10.0.0.2, port: 1}\n"), say,
                NULL), 0);
        ck_assert_ptr_nonnull(epp_pool_get(p, a)); /* the same endpoint goes on */
        ck_assert_ptr_null(epp_pool_find(p, EPP_SLICE("n/b")));
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints: []\n"), say,
                NULL), 0);
        (void)epp_pool_list(p, &n);
        ck_assert_uint_eq(n, 0);
        said[0] = 0;
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE(""), say, NULL),
                EPP_EINVAL);
        ck_assert_str_eq(said, "f:1: endpoints: must be a list\n");
        epp_pool_free(p);
}
END_TEST

UNIT_MAIN("objects", good, list_and_v1, mistakes, winner, limits, which_pool, others,
        all_or_nothing, endpoints, endpoint_mistakes, endpoint_twice, endpoint_fixed)
