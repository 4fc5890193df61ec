/* test_extanswer.c - answers as protobuf-c writes them, in every shape; where the order of fields is
 * ours (what may be long is last), protobuf-c reads them and writes them again. */
#include "base/rng.h"
#include "proto/ext_proc.pb-c.h"
#include "unit.h"
#include "wire/extanswer.h"

/* protoc-c's names are long; these are the ones used here. */
#define PB(name) Envoy__Service__ExtProc__V3__##name
#define PBF(name) envoy__service__ext_proc__v3__##name

/* ---- the twin ---- */

static ProtobufCBinaryData
to_pb(struct epp_slice s)
{
        return (ProtobufCBinaryData){ s.n, (uint8_t *)(uintptr_t)s.p };
}

#define SET_MAX 16

/* The mutable protobuf-c structs behind one HeaderMutation, on the caller's stack. */
struct mutation {
        PB(HeaderMutation) m;
        PB(HeaderValueOption) option[SET_MAX], *options[SET_MAX];
        PB(HeaderValue) value[SET_MAX];
        ProtobufCBinaryData remove[SET_MAX];
};

static void
mutation_build(struct mutation *b, const struct epp_ext_pair *set, size_t n_set,
        const struct epp_slice *remove, size_t n_remove)
{
        EPP_ASSERT(n_set <= SET_MAX && n_remove <= SET_MAX);
        PBF(header_mutation__init)(&b->m);
        for (size_t i = 0; i < n_set; i++) {
                PBF(header_value__init)(&b->value[i]);
                PBF(header_value_option__init)(&b->option[i]);
                b->value[i].key = to_pb(set[i].name);
                b->value[i].raw_value = to_pb(set[i].value);
                b->option[i].header = &b->value[i];
                b->option[i].append_action = 2; /* OVERWRITE_IF_EXISTS_OR_ADD, no `append` */
                b->options[i] = &b->option[i];
        }
        for (size_t i = 0; i < n_remove; i++)
                b->remove[i] = to_pb(remove[i]);
        b->m.n_set_headers = n_set;
        b->m.set_headers = b->options;
        b->m.n_remove_headers = n_remove;
        b->m.remove_headers = b->remove;
}

static int
put_message(struct epp_buf *out, const PB(ProcessingResponse) *msg)
{
        size_t n = PBF(processing_response__get_packed_size)(msg);
        char *at;
        int r = epp_buf_reserve(out, n, &at);

        if (r < 0)
                return r;
        epp_buf_commit(out, PBF(processing_response__pack)(msg, (uint8_t *)at));
        return 0;
}

/* Structs of the dynamic metadata ns { key: endpoint }; an empty ns puts the key on top. */
struct hint {
        PB(Struct) top, inner;
        PB(Struct__FieldsEntry) top_entry, inner_entry, *tops[1], *inners[1];
        PB(Value) text, nested;
};

static void
hint_build(struct hint *h, const struct epp_ext_out *o)
{
        PBF(struct__init)(&h->top);
        PBF(struct__init)(&h->inner);
        PBF(struct__fields_entry__init)(&h->top_entry);
        PBF(struct__fields_entry__init)(&h->inner_entry);
        PBF(value__init)(&h->text);
        PBF(value__init)(&h->nested);
        h->text.kind_case = ENVOY__SERVICE__EXT_PROC__V3__VALUE__KIND_STRING_VALUE;
        h->text.string_value = to_pb(o->endpoint);
        h->inner_entry.key = to_pb(o->key);
        h->inner_entry.value = &h->text;
        h->inners[0] = &h->inner_entry;
        h->inner.n_fields = 1;
        h->inner.fields = h->inners;
        if (o->ns.n == 0) {
                h->top = h->inner;
                return;
        }
        h->nested.kind_case = ENVOY__SERVICE__EXT_PROC__V3__VALUE__KIND_STRUCT_VALUE;
        h->nested.struct_value = &h->inner;
        h->top_entry.key = to_pb(o->ns);
        h->top_entry.value = &h->nested;
        h->tops[0] = &h->top_entry;
        h->top.n_fields = 1;
        h->top.fields = h->tops;
}

static int
twin_put(struct epp_buf *out, enum epp_ext_kind answered, const struct epp_ext_out *o,
        struct epp_slice new_body)
{
        PB(ProcessingResponse) msg;
        PB(HeadersResponse) headers;
        PB(BodyResponse) body;
        PB(TrailersResponse) trailers;
        PB(CommonResponse) common;
        PB(BodyMutation) change;
        struct mutation mutation;
        struct hint hint;

        PBF(processing_response__init)(&msg);
        PBF(headers_response__init)(&headers);
        PBF(body_response__init)(&body);
        PBF(trailers_response__init)(&trailers);
        PBF(common_response__init)(&common);
        PBF(body_mutation__init)(&change);
        if (o->n_set || o->n_remove) {
                mutation_build(&mutation, o->set, o->n_set, o->remove, o->n_remove);
                common.header_mutation = &mutation.m;
        }
        common.clear_route_cache = o->clear_route_cache;
        if (o->replace_body) {
                change.mutation_case = ENVOY__SERVICE__EXT_PROC__V3__BODY_MUTATION__MUTATION_BODY;
                change.body = to_pb(new_body);
                common.body_mutation = &change;
        } else if (o->clear_body) {
                change.mutation_case =
                        ENVOY__SERVICE__EXT_PROC__V3__BODY_MUTATION__MUTATION_CLEAR_BODY;
                change.clear_body = true;
                common.body_mutation = &change;
        }
        headers.response = body.response = &common;
        if (o->endpoint.n) {
                hint_build(&hint, o);
                msg.dynamic_metadata = &hint.top;
        }
        /* The answer's field is the request's field less one, in the same order. */
        msg.response_case = (PB(ProcessingResponse__ResponseCase))(
                (const int[]){ 0, 0, 1, 2, 3, 4, 5, 6 }[answered]);
        switch (answered) {
        case EPP_EXT_REQUEST_HEADERS:
        case EPP_EXT_RESPONSE_HEADERS:
                msg.request_headers = &headers;
                break;
        case EPP_EXT_REQUEST_BODY:
        case EPP_EXT_RESPONSE_BODY:
                msg.request_body = &body;
                break;
        case EPP_EXT_REQUEST_TRAILERS:
        case EPP_EXT_RESPONSE_TRAILERS:
                msg.request_trailers = &trailers;
                break;
        case EPP_EXT_NONE:
                return 0;
        }
        return put_message(out, &msg);
}

static int
twin_put_hint(struct epp_buf *out, const struct epp_ext_out *o)
{
        PB(ProcessingResponse) msg;
        struct hint hint;

        PBF(processing_response__init)(&msg);
        hint_build(&hint, o);
        msg.dynamic_metadata = &hint.top;
        return put_message(out, &msg);
}

static int
twin_put_immediate(struct epp_buf *out, int http, struct epp_slice text,
        const struct epp_ext_pair *set, size_t n_set)
{
        PB(ProcessingResponse) msg;
        PB(ImmediateResponse) now;
        PB(HttpStatus) status;
        struct mutation mutation;

        PBF(processing_response__init)(&msg);
        PBF(immediate_response__init)(&now);
        PBF(http_status__init)(&status);
        status.code = (uint32_t)http;
        now.status = &status;
        now.body = to_pb(text);
        if (n_set) {
                mutation_build(&mutation, set, n_set, NULL, 0);
                now.headers = &mutation.m;
        }
        msg.response_case =
                ENVOY__SERVICE__EXT_PROC__V3__PROCESSING_RESPONSE__RESPONSE_IMMEDIATE_RESPONSE;
        msg.immediate_response = &now;
        return put_message(out, &msg);
}

/* ---- tests ---- */

static char noise[300];

/* A piece of <noise>; sometimes none, sometimes longer than one byte of length says. */
static struct epp_slice
piece(struct epp_rng *rng)
{
        static const size_t most[] = { 1, 20, 127, 300 };
        size_t n = epp_rng_below(rng, most[epp_rng_below(rng, 4)]);

        return epp_slice(noise + epp_rng_below(rng, sizeof(noise) - n), n);
}

static void
same(struct epp_buf *a, struct epp_buf *b)
{
        ck_assert(epp_slice_eq(epp_buf_slice(a), epp_buf_slice(b)));
        epp_buf_fini(a);
        epp_buf_fini(b);
}

/* Replaces the message in <b> by what protobuf-c makes of it. */
static void
rewrite(struct epp_buf *b)
{
        struct epp_slice s = epp_buf_slice(b);
        PB(ProcessingResponse) *msg = PBF(processing_response__unpack)(NULL, s.n, (const uint8_t *)s.p);

        ck_assert_ptr_nonnull(msg);
        epp_buf_drain(b, s.n);
        ck_assert_int_eq(put_message(b, msg), 0);
        PBF(processing_response__free_unpacked)(msg, NULL);
}

START_TEST(twins)
{
        struct epp_rng rng;

        epp_rng_init(&rng, 11);
        for (size_t i = 0; i < sizeof(noise); i++)
                noise[i] = (char)epp_rng_next(&rng);
        for (int round = 0; round < 20000; round++) {
                struct epp_ext_pair set[SET_MAX];
                struct epp_slice remove[SET_MAX], body = piece(&rng);
                struct epp_ext_out o = { .set = set, .remove = remove,
                        .n_set = epp_rng_below(&rng, 4), .n_remove = epp_rng_below(&rng, 4),
                        .clear_route_cache = epp_rng_below(&rng, 2),
                        .replace_body = epp_rng_below(&rng, 2),
                        .clear_body = epp_rng_below(&rng, 2), .body_n = body.n,
                        .ns = piece(&rng), .key = piece(&rng), .endpoint = piece(&rng) };
                enum epp_ext_kind kind = 2 + (enum epp_ext_kind)epp_rng_below(&rng, 6);
                struct epp_buf a = { 0 }, b = { 0 };
                int http = 100 + (int)epp_rng_below(&rng, 500);

                for (size_t i = 0; i < SET_MAX; i++) {
                        set[i] = (struct epp_ext_pair){ piece(&rng), piece(&rng) };
                        remove[i] = piece(&rng);
                }
                ck_assert_int_eq(epp_ext_put(&a, kind, &o), 0);
                if (o.replace_body && kind < EPP_EXT_REQUEST_TRAILERS)
                        ck_assert_int_eq(epp_buf_append(&a, body), 0);
                ck_assert_int_eq(twin_put(&b, kind, &o, body), 0);
                rewrite(&a);
                same(&a, &b);
                ck_assert_int_eq(epp_ext_put_hint(&a, &o), 0);
                ck_assert_int_eq(twin_put_hint(&b, &o), 0);
                same(&a, &b);
                ck_assert_int_eq(epp_ext_put_immediate(&a, http, body, set, o.n_set), 0);
                ck_assert_int_eq(twin_put_immediate(&b, http, body, set, o.n_set), 0);
                same(&a, &b);
        }
}
END_TEST

START_TEST(answers)
{
        static const unsigned char expect[] = {
                0x42, 0x13, 0x0a, 0x11, 0x0a, 0x01, 0x6e, 0x12, 0x0c, 0x2a, 0x0a, 0x0a,
                0x08, 0x0a, 0x01, 0x6b, 0x12, 0x03, 0x1a, 0x01, 0x65,
                0x0a, 0x12, 0x0a, 0x10, 0x12, 0x0c, 0x0a, 0x0a, 0x0a, 0x06, 0x0a, 0x01,
                0x68, 0x1a, 0x01, 0x76, 0x18, 0x02, 0x28, 0x01,
        };
        struct epp_ext_pair set = { EPP_SLICE("h"), EPP_SLICE("v") };
        struct epp_ext_out o = { .set = &set, .n_set = 1, .clear_route_cache = true,
                .ns = EPP_SLICE("n"), .key = EPP_SLICE("k"), .endpoint = EPP_SLICE("e") };
        struct epp_buf out = { 0 };

        ck_assert_int_eq(epp_ext_put(&out, EPP_EXT_REQUEST_HEADERS, &o), 0);
        ck_assert(epp_slice_eq(epp_buf_slice(&out), epp_slice(expect, sizeof(expect))));
        epp_buf_fini(&out);
        ck_assert_int_eq(epp_ext_put(&out, EPP_EXT_RESPONSE_TRAILERS, &(struct epp_ext_out){ 0 }),
                0);
        ck_assert(epp_slice_eq(epp_buf_slice(&out), EPP_SLICE("\x32\x00")));
        epp_buf_fini(&out);
        ck_assert_int_eq(epp_ext_put_immediate(&out, 404, EPP_SLICE("no"), NULL, 0), 0);
        ck_assert(epp_slice_eq(epp_buf_slice(&out), EPP_SLICE("\x3a\x09\x0a\x03\x08\x94\x03\x1a\x02no")));
        epp_buf_fini(&out);
}
END_TEST

START_TEST(chunk_heads)
{
        static const size_t sizes[] = { 0, 1, 100, 127, 128, 16383, 16384, 62000 };
        char head[EPP_EXT_CHUNK_HEAD];

        ck_assert_uint_eq(epp_ext_chunk_head(head, EPP_EXT_RESPONSE_BODY, 2, true), 12);
        ck_assert(memcmp(head, "\x22\x0c\x0a\x0a\x1a\x08\x1a\x06\x10\x01\x0a\x02", 12) == 0);
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
                size_t n = epp_ext_chunk_head(head, EPP_EXT_REQUEST_BODY, sizes[i], i & 1);

                ck_assert_uint_le(n, EPP_EXT_CHUNK_HEAD);
                ck_assert_int_eq(head[0], 0x1a);
        }
}
END_TEST

UNIT_MAIN("extanswer", twins, answers, chunk_heads)
