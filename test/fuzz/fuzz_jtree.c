/* fuzz_jtree.c - a list or watch body of an API server in pieces: any cut gives the same trees, and
 * what they hold goes through the decoders of objects and pods. */
#include "base/buf.h"
#include "fuzz.h"
#include "wire/kobj.h"
#include "wire/kpod.h"

struct seen {
        struct epp_buf text;
        size_t docs;
};

static void
put(struct seen *s, struct epp_slice v)
{
        EPP_ASSERT(epp_buf_append(&s->text, v) == 0);
}

static void
tell(struct seen *s, const struct epp_node *n, unsigned depth)
{
        char kind = (char)('0' + (int)n->kind);

        EPP_ASSERT(depth <= 64);
        put(s, epp_slice(&kind, 1));
        put(s, n->key);
        put(s, n->text);
        for (const struct epp_node *c = n->first; c; c = c->next)
                tell(s, c, depth + 1);
        put(s, EPP_SLICE(";"));
}

static void
on_mistake(void *ctx, unsigned line, const char *field, const char *what)
{
        (void)ctx;
        EPP_ASSERT(line > 0 && field && *what);
}

static void
on_tree(void *ctx, const struct epp_node *tree)
{
        struct seen *s = ctx;
        struct epp_kobj *object = malloc(sizeof(*object));
        struct epp_kpod pod;
        const char *why;

        s->docs++;
        tell(s, tree, 1);
        EPP_ASSERT(object);
        (void)!epp_kobj_decode(tree, object, on_mistake, NULL);
        (void)!epp_kpod_decode(tree, &pod, &why);
        free(object);
}

static void
on_big(void *ctx)
{
        put(ctx, EPP_SLICE("!"));
}

static int
run(const char *x, size_t n, size_t piece, struct seen *s)
{
        static const struct epp_jkeep list[] = { { "metadata", NULL }, { "items", epp_kobj_keep },
                { NULL, NULL } };
        static const struct epp_jtree_ops ops = { on_tree, on_tree, on_big };
        struct epp_jtree *t;
        int r = 0;

        EPP_ASSERT(epp_jtree_new(list, "items", 4096, &ops, s, &t) == 0);
        for (size_t at = 0; at < n && r == 0; at += piece) {
                char *part = fuzz_copy((const uint8_t *)x + at, EPP_MIN(piece, n - at));

                r = epp_jtree_feed(t, epp_slice(part, EPP_MIN(piece, n - at)));
                free(part);
        }
        epp_jtree_free(t);
        return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        struct seen whole = { .docs = 0 }, cut = { .docs = 0 };
        size_t piece = n ? p[0] % 64 + 1 : 1;
        char *x = fuzz_copy(p, n);
        int a = run(x, n, n ? n : 1, &whole), b = run(x, n, piece, &cut);

        EPP_ASSERT(a == b && whole.docs == cut.docs);
        EPP_ASSERT(epp_slice_eq(epp_buf_slice(&whole.text), epp_buf_slice(&cut.text)));
        epp_buf_fini(&whole.text);
        epp_buf_fini(&cut.text);
        free(x);
        return 0;
}
