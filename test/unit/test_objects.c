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
        "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\nmetadata: {name: p}\n" \
        "spec: {targetPortNumber: 8000, selector: {app: x}}\n"

/* Reads one file into a set for <pool>; models or NULL. */
static struct epp_models *
read_text(const char *pool, const char *text, char *ret_pool, size_t size)
{
        struct epp_objects *o;
        struct epp_models *m = NULL;
        struct epp_slice name;

        said[0] = 0;
        ck_assert_int_eq(epp_objects_new(epp_slice_str(pool), EPP_SLICE("default"), say, NULL, &o), 0);
        (void)!epp_objects_add(o, EPP_SLICE("f"), epp_slice_str(text));
        if (epp_objects_finish(o, 1, &m, &name) == 0 && ret_pool)
                snprintf(ret_pool, size, SLICE_FMT, SLICE_ARG(name));
        epp_objects_free(o);
        return m;
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
                "---\n" MODEL_HEAD "metadata: {name: other}\nspec: {modelName: x, poolRef: {name: q}}\n"
                "---\nkind: Service\napiVersion: v1\nmetadata: {name: s}\n"
                "---\n" MODEL_HEAD
                "metadata: {name: c, creationTimestamp: \"2024-01-01T00:00:00Z\"}\n"
                "spec: {modelName: chat, criticality: Sheddable, poolRef: {name: p}}\n", pool, sizeof(pool));
        struct epp_model *f;

        ck_assert_str_eq(said, "");
        ck_assert_ptr_nonnull(m);
        ck_assert_str_eq(pool, "p");
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
                "- {apiVersion: inference.networking.k8s.io/v1, kind: InferencePool, metadata: {name: z},\n"
                "   spec: {targetPorts: [{number: 8000}], selector: {matchLabels: {a: b}}}}\n"
                "- {apiVersion: inference.networking.x-k8s.io/v1alpha2, kind: InferenceModel,\n"
                "   metadata: {name: m}, spec: {modelName: m, poolRef: {name: z}}}\n", NULL, 0);

        ck_assert_str_eq(said, "");
        ck_assert_uint_eq(epp_models_count(m), 1);
        epp_models_free(m);
}
END_TEST

static const struct {
        const char *text, *said;
} bad[] = {
        { "a: [", "f:2: did not find expected node content\n" },
        { "a: 1\na: 2\n", "f:2: the key \"a\" is there twice\n" },
        { "a: &x 1\nb: *x\n", "f:2: aliases are not taken here\n" },
        { "a: !t 1\n", "f:1: tags are not taken here\n" },
        { "- 1\n", "f:1: is not a Kubernetes object\n" },
        { "x: 1\n", "f:1: kind: is required\nf:1: apiVersion: is required\n" },
        { MODEL_HEAD "metadata: {name: a}\nspec: {}\n",
                "f:4: spec.modelName: is required\nf:4: spec.poolRef: is required\n" },
        { MODEL_HEAD "spec: {modelName: [x], poolRef: {name: \"\"}, criticality: critical}\n",
                "f:1: metadata: is required\nf:3: spec.modelName: must be text\n"
                "f:3: spec.criticality: must be Critical, Standard or Sheddable\n"
                "f:3: spec.poolRef.name: must not be empty\n" },
        { MODEL_HEAD "metadata: {name: a}\nspec:\n  modelName: m\n  poolRef: {name: p}\n  targetModels:\n"
                     "  - {name: a, weight: 0}\n  - {name: b}\n  - {weight: 3}\n",
                "f:8: spec.targetModels[].weight: must be a whole number from 1 to 1000000\n"
                "f:10: spec.targetModels[].name: is required\n"
                "f:8: spec.targetModels: weights must be given for all or for none\n" },
        { "apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: a}\n"
          "spec: {targetPorts: [{number: 80}, {number: 80}, {number: 0}, {}]}\n",
                "f:4: spec.targetPorts[].number: is there twice\n"
                "f:4: spec.targetPorts[].number: must be a whole number from 1 to 65535\n"
                "f:4: spec.targetPorts[].number: must be a whole number from 1 to 65535\n" },
        { POOL "---\n" MODEL_HEAD "metadata: {name: a}\nspec: {modelName: m, poolRef: {name: p}}\n---\n"
          "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\nmetadata: {name: p2}\n"
          "spec: {targetPortNumber: 8000}\n",
                "f:11: the objects name more than one pool: give --pool-name\n" },
};

START_TEST(mistakes)
{
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                ck_assert_ptr_null(read_text("", bad[i].text, NULL, 0));
                if (strncmp(bad[i].said, "f:2: did", 8) == 0)
                        ck_assert_ptr_nonnull(strstr(said, "did not find expected"));
                else
                        ck_assert_msg(strcmp(said, bad[i].said) == 0, "%zu: said\n%s", i, said);
        }
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
        ck_assert(epp_slice_eq(epp_pool_find(p, EPP_SLICE("n/b"))->addr, EPP_SLICE("[fd00::1]:8000")));
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints:\n"
                "- {name: c, address: host, port: 1}\n- {address: 10.0.0.1, port: 0}\n"), say, NULL), EPP_EINVAL);
        ck_assert_str_eq(said, "f:2: endpoints[].address: must be an IP address\n"
                "f:3: endpoints[].name: is required\nf:3: endpoints[].port: must be 1 to 65535\n");
        (void)epp_pool_list(p, &n);
        ck_assert_uint_eq(n, 2); /* nothing is lost */
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints:\n"
                "- {name: a, address: 10.0.0.1, port: 8000}\n- {name: d, address: 10.0.0.2, port: 1}\n"), say,
                NULL), 0);
        ck_assert_ptr_nonnull(epp_pool_get(p, a)); /* the same endpoint goes on */
        ck_assert_ptr_null(epp_pool_find(p, EPP_SLICE("n/b")));
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE("endpoints: []\n"), say, NULL), 0);
        (void)epp_pool_list(p, &n);
        ck_assert_uint_eq(n, 0);
        said[0] = 0;
        ck_assert_int_eq(epp_endpoints_apply(p, EPP_SLICE("f"), EPP_SLICE(""), say, NULL), EPP_EINVAL);
        ck_assert_str_eq(said, "f:1: endpoints: must be a list\n");
        epp_pool_free(p);
}
END_TEST

UNIT_MAIN("objects", good, list_and_v1, mistakes, endpoints)
