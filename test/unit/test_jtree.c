/* test_jtree.c - documents in pieces become the trees of what is kept of them. */
#include "base/buf.h"
#include "unit.h"
#include "wire/jtree.h"

static const struct epp_jkeep meta[] = { { "name", NULL }, { "labels", NULL }, { NULL, NULL } };
static const struct epp_jkeep cond[] = { { "type", NULL }, { "status", NULL }, { NULL, NULL } };
static const struct epp_jkeep status[] = { { "podIP", NULL }, { "conditions", cond },
        { NULL, NULL } };
static const struct epp_jkeep pod[] = { { "metadata", meta }, { "status", status },
        { NULL, NULL } };
static const struct epp_jkeep list_meta[] = { { "resourceVersion", NULL }, { NULL, NULL } };
static const struct epp_jkeep list[] = { { "metadata", list_meta }, { "items", pod },
        { NULL, NULL } };
static const struct epp_jkeep event[] = { { "type", NULL }, { "object", pod }, { NULL, NULL } };
static const struct epp_jkeep all[] = { { "*", NULL }, { NULL, NULL } };

static char out[4096];
static size_t at;

static void
add(const char *p, size_t n)
{
        ck_assert_uint_lt(at + n, sizeof(out));
        memcpy(out + at, p, n);
        at += n;
        out[at] = 0;
}

/* Maps stand in reverse order of their members. */
static void
tell(const struct epp_node *n)
{
        if (n->kind == EPP_NODE_SCALAR) {
                if (n->quoted)
                        add("'", 1);
                for (size_t i = 0; i < n->text.n; i++)
                        add(n->text.p[i] ? n->text.p + i : "@", 1);
        } else if (n->kind == EPP_NODE_NULL) {
                add("-", 1);
        } else {
                add(n->kind == EPP_NODE_LIST ? "[" : "{", 1);
                for (const struct epp_node *m = n->first; m; m = m->next) {
                        if (n->kind == EPP_NODE_MAP) {
                                add(m->key.p, m->key.n);
                                add(":", 1);
                        }
                        tell(m);
                        if (m->next)
                                add(",", 1);
                }
                add(n->kind == EPP_NODE_LIST ? "]" : "}", 1);
        }
}

static void
item(void *ctx, const struct epp_node *tree)
{
        (void)ctx;
        add("I", 1);
        tell(tree);
        add(";", 1);
}

static void
doc(void *ctx, const struct epp_node *tree)
{
        (void)ctx;
        add("D", 1);
        tell(tree);
        add(";", 1);
}

static void
too_big(void *ctx)
{
        (void)ctx;
        add("!;", 2);
}

static const struct epp_jtree_ops ops = { item, doc, too_big };

#define E "(error)"
static const struct {
        const struct epp_jkeep *keep;
        const char *each, *text, *expect;
} rows[] = {
        { event, NULL,
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"x\":{\"y\":[1,{}]}}"
                ","
                "\"spec\":{\"c\":[{\"image\":\"}]\"}]}}}\n",
                "D{object:{metadata:{name:'a}},type:'ADDED};" },
        { event, NULL, "{\"object\":{},\"type\":\"A\"}{\"type\":\"B\"} \n\n{}",
                "D{type:'A,object:{}};D{type:'B};D{};" },
        { list, "items",
                "{\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"name\":\"a\"}},{\"metadata\":{"
                "\"name\":\"b\","
                "\"labels\":{\"k\":\"v\",\"l\":\"\"}}}],\"metadata\":{\"resourceVersion\":\"7\","
                "\"z\":1}}",
                "I{metadata:{name:'a}};I{metadata:{labels:{l:',k:'v},name:'b}};"
                "D{metadata:{resourceVersion:'7},items:[]};" },
        { list, "items", "{\"items\":null,\"metadata\":{\"resourceVersion\":\"7\"}}",
                "D{metadata:{resourceVersion:'7},items:-};" },
        { list, "items", "{\"items\":[1,\"two\",null,[3]]}", "I1;I'two;I-;I[3];D{items:[]};" },
        { pod, NULL,
                "{\"status\":{\"podIP\":\"::1\",\"conditions\":[{\"type\":\"Ready\",\"status\":"
                "\"True\",\"x\":0},"
                "{\"type\":\"B\"}]}}",
                "D{status:{conditions:[{status:'True,type:'Ready},{type:'B}],podIP:'::1}};" },
        { all, NULL, "{\"a\":1,\"a\":2}", "D{a:2,a:1};" }, /* the last is found first */
        { all, NULL, "{\"a\":\"\\u0041\\\"\\\\\\/\\b\\n\\u00e9\\u20AC\\ud83d\\ude00\\u0000\"}",
                "D{a:'A\"\\/\b\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80@};" },
        { all, NULL, "{\"a\":\"\\ud83dx\\ude00\\ud83d\"}",
                "D{a:'\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd};" },
        { all, NULL, "{\"\\u0061b\":-1.5e+3,\"t\":true,\"f\":false,\"n\":null,\"l\":[[],{}]}",
                "D{l:[[],{}],n:-,f:false,t:true,ab:-1.5e+3};" },
        { all, NULL, " 42 \"x\" [1] null ", "D42;D'x;D[1];D-;" },
        { all, NULL, "{ \"a\" :\r\n[ 1 , 2 ]\t}", "D{a:[1,2]};" },
        { all, NULL, "{\"a\":1]", E },
        { all, NULL, "[1}", E },
        { all, NULL, "{\"a\" 1}", E },
        { all, NULL, "{a:1}", E },
        { all, NULL, "{\"a\":nul}", E },
        { all, NULL, "{\"a\":\"\\x\"}", E },
        { all, NULL, "{\"a\":\"\\u12g4\"}", E },
        { all, NULL, "}", E },
        { all, NULL, "<html>", E },
        { all, NULL, "{\"a\":\"\n\"}", E },
        { all, NULL, "404 page not found\n", "D404;" E },
        { pod, NULL, "{\"spec\":{\"a\":[{\"b\":\"]\\\"}\"}]},\"metadata\":{\"name\":\"n\"}}",
                "D{metadata:{name:'n}};" },
};

/* Feeds <text> in pieces of <size>, after a first of <first>. */
static void
feed(int i, size_t first, size_t size)
{
        struct epp_slice rest = epp_slice_str(rows[i].text);
        struct epp_jtree *t;
        int r = 0;

        at = 0;
        *out = 0;
        ck_assert_int_eq(epp_jtree_new(rows[i].keep, rows[i].each, 1 << 20, &ops, NULL, &t), 0);
        for (size_t n = first; rest.n && r == 0; n = size) {
                n = EPP_MIN(n, rest.n);
                r = epp_jtree_feed(t, epp_slice(rest.p, n));
                rest.p += n, rest.n -= n;
        }
        if (r < 0)
                add(E, sizeof(E) - 1);
        else
                ck_assert(!epp_jtree_midway(t));
        epp_jtree_free(t);
}

START_TEST(documents)
{
        for (int i = 0; i < (int)ARRAY_LEN(rows); i++) {
                size_t n = strlen(rows[i].text);

                for (size_t cut = 0; cut <= n; cut++) {
                        feed(i, cut ? cut : 1, cut ? n : 1);
                        ck_assert_msg(strcmp(out, rows[i].expect) == 0,
                                "%s cut at %zu\nwanted %s\ngot    %s", rows[i].text, cut,
                                rows[i].expect, out);
                }
        }
}
END_TEST

/* An item that is too large is left out alone; what is skipped counts nothing. */
START_TEST(large)
{
        static const char tail[] = "\"}},{\"metadata\":{\"name\":\"b\"}}]}";
        char *big = malloc(1 << 20);
        struct epp_jtree *t;

        memset(big, 'x', 1 << 20);
        for (int kept = 0; kept < 2; kept++) {
                at = 0;
                ck_assert_int_eq(epp_jtree_new(list, "items", 4096, &ops, NULL, &t), 0);
                ck_assert_int_eq(epp_jtree_feed(t,
                                         kept ? EPP_SLICE("{\"items\":[{\"metadata\":{\"name\":\"")
                                              : EPP_SLICE("{\"items\":[{\"metadata\":{\"no\":\"")),
                        0);
                ck_assert_int_eq(epp_jtree_feed(t, epp_slice(big, 1 << 20)), 0);
                ck_assert_int_eq(epp_jtree_feed(t, epp_slice(tail, sizeof(tail) - 1)), 0);
                ck_assert_str_eq(out, kept ? "!;I{metadata:{name:'b}};D{items:[]};"
                                           : "I{metadata:{}};I{metadata:{name:'b}};D{items:[]};");
                epp_jtree_free(t);
        }
        free(big);
}
END_TEST

/* Any depth is followed; what lies deeper than a tree may is left out. */
START_TEST(deep)
{
        struct epp_jtree *t;

        at = 0;
        ck_assert_int_eq(epp_jtree_new(all, NULL, 1 << 20, &ops, NULL, &t), 0);
        for (int i = 0; i < 100000; i++)
                ck_assert_int_eq(epp_jtree_feed(t, EPP_SLICE("[")), 0);
        ck_assert(epp_jtree_midway(t));
        for (int i = 0; i < 100000; i++)
                ck_assert_int_eq(epp_jtree_feed(t, EPP_SLICE("]")), 0);
        ck_assert(!epp_jtree_midway(t));
        ck_assert_int_eq(out[0], 'D');
        ck_assert_int_eq(epp_jtree_feed(t, EPP_SLICE("{\"a\":[")), 0);
        epp_jtree_reset(t);
        at = 0;
        ck_assert_int_eq(epp_jtree_feed(t, EPP_SLICE("{\"a\":[]}")), 0);
        ck_assert_str_eq(out, "D{a:[]};");
        epp_jtree_free(t);
}
END_TEST

UNIT_MAIN("jtree", documents, large, deep)
