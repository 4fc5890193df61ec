/* fuzz_objects.c - object and endpoint files: taken whole or not at all; mistakes name their line.
 */
#include "fuzz.h"
#include "serve/endpoints.h"
#include "serve/objects.h"

#define SIZE_MAX_HERE 65536

static unsigned long mistakes;

static void
say(void *ctx, const char *line)
{
        (void)ctx;
        EPP_ASSERT(line[0] == 'f' && line[1] == ':' && line[2] >= '0' && line[2] <= '9');
        mistakes++;
}

/* The text after a good file: that one's model stays whatever the text is. */
static void
objects(struct epp_slice text)
{
        static const char good[] = "apiVersion: inference.networking.x-k8s.io/v1alpha2\n"
                "kind: InferenceModel\n"
                "metadata: {name: zz, creationTimestamp: \"0001-01-01T00:00:00Z\"}\n"
                "spec: {modelName: m, poolRef: {name: p}, criticality: Critical}\n";
        struct epp_objects *o;
        struct epp_models *m;
        struct epp_slice pool;
        int r;

        EPP_ASSERT(epp_objects_new(EPP_SLICE("p"), EPP_SLICE("n"), say, NULL, &o) == 0);
        EPP_ASSERT(epp_objects_add(o, EPP_SLICE("f"), epp_slice_str(good)) == 0);
        mistakes = 0;
        r = epp_objects_add(o, EPP_SLICE("f"), text);
        EPP_ASSERT(r == (mistakes ? EPP_EINVAL : 0));
        if (epp_objects_finish(o, 1, &m, &pool) == 0) {
                EPP_ASSERT(r == 0 || epp_models_count(m) == 1);
                for (size_t i = 0; i < epp_models_count(m); i++)
                        EPP_ASSERT(epp_models_list(m)[i]->name.n > 0);
                epp_models_free(m);
        }
        epp_objects_free(o);
}

static void
endpoints(struct epp_slice text)
{
        struct epp_pool *pool;
        uint64_t version;
        int r;

        EPP_ASSERT(epp_pool_new(1, &pool) == 0);
        EPP_ASSERT(epp_pool_put(pool, EPP_SLICE("default/a"), EPP_SLICE("1.2.3.4:5"), NULL) == 1);
        version = epp_pool_version(pool);
        mistakes = 0;
        r = epp_endpoints_apply(pool, EPP_SLICE("f"), text, say, NULL);
        EPP_ASSERT(r == (mistakes ? EPP_EINVAL : 0));
        EPP_ASSERT(r == 0 || epp_pool_version(pool) == version);
        version = epp_pool_version(pool);
        EPP_ASSERT(epp_endpoints_apply(pool, EPP_SLICE("f"), text, say, NULL) == r);
        EPP_ASSERT(epp_pool_version(pool) == version); /* the same again changes nothing */
        epp_pool_free(pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        size_t size = EPP_MIN(n, (size_t)SIZE_MAX_HERE);
        char *x = fuzz_copy(p, size);

        objects(epp_slice(x, size));
        endpoints(epp_slice(x, size));
        free(x);
        return 0;
}
