/* extproc.c - see extproc.h. */
#include "wire/extproc.h"

#include "proto/ext_proc.pb-c.h"

#define DEPTH_MAX 32

/* protoc-c's names are long; these are the ones used here. */
#define PB(name) Envoy__Service__ExtProc__V3__##name
#define PBF(name) envoy__service__ext_proc__v3__##name

/* One field of a protobuf message. */
struct field {
        uint32_t no, type;
        uint64_t value;         /* type 0 */
        struct epp_slice bytes; /* type 2 */
};

static bool
varint(struct epp_slice *in, uint64_t *ret)
{
        uint64_t v = 0;

        for (unsigned shift = 0; shift < 64 && in->n; shift += 7) {
                unsigned char c = (unsigned char)*in->p;

                in->p++, in->n--;
                v |= (uint64_t)(c & 0x7f) << shift;
                if (!(c & 0x80)) {
                        *ret = v;
                        return true;
                }
        }
        return false;
}

static bool
skip(struct epp_slice *in, size_t n)
{
        if (in->n < n)
                return false;
        in->p += n, in->n -= n;
        return true;
}

/* The next field: 1 and *f, 0 at the end, EPP_EPROTO. */
static int
next_field(struct epp_slice *in, struct field *f)
{
        uint64_t tag, n;

        if (in->n == 0)
                return 0;
        if (!varint(in, &tag) || tag >> 32 || tag < 8)
                return EPP_EPROTO;
        *f = (struct field){ .no = (uint32_t)(tag >> 3), .type = tag & 7 };
        switch (f->type) {
        case 0:
                return varint(in, &f->value) ? 1 : EPP_EPROTO;
        case 1:
                return skip(in, 8) ? 1 : EPP_EPROTO;
        case 2:
                if (!varint(in, &n) || n > in->n)
                        return EPP_EPROTO;
                f->bytes = epp_slice(in->p, (size_t)n);
                return skip(in, (size_t)n) ? 1 : EPP_EPROTO;
        case 5:
                return skip(in, 4) ? 1 : EPP_EPROTO;
        default:
                return EPP_EPROTO;
        }
}

static int
parse_config(struct epp_slice in, struct epp_ext_in *ret)
{
        struct field f;
        int r;

        ret->has_config = true;
        while ((r = next_field(&in, &f)) == 1) {
                if (f.no == 1 && f.type == 0)
                        ret->request_mode = (unsigned)f.value;
                else if (f.no == 2 && f.type == 0)
                        ret->response_mode = (unsigned)f.value;
                else if (f.no == 3 && f.type == 0)
                        ret->early_body = f.value != 0;
        }
        if (ret->request_mode > EPP_MODE_DUPLEX || ret->response_mode > EPP_MODE_DUPLEX)
                ret->has_config = false; /* a mode of the future: as if absent */
        return r;
}

/* Body: 1 bytes, 2 and 3 end of stream. Headers: 3 end of stream. */
static int
parse_payload(struct epp_ext_in *ret)
{
        bool body = ret->kind == EPP_EXT_REQUEST_BODY || ret->kind == EPP_EXT_RESPONSE_BODY;
        struct epp_slice in = ret->payload;
        struct field f;
        int r;

        while ((r = next_field(&in, &f)) == 1) {
                if (body && f.no == 1 && f.type == 2)
                        ret->body = f.bytes;
                else if (f.type == 0 && (f.no == 3 || (body && f.no == 2)))
                        ret->end_of_stream |= f.value != 0;
        }
        return r;
}

int
epp_ext_parse(struct epp_slice msg, struct epp_ext_in *ret)
{
        struct field f;
        int r;

        *ret = (struct epp_ext_in){ 0 };
        while ((r = next_field(&msg, &f)) == 1) {
                if (f.type == 2 && f.no >= EPP_EXT_REQUEST_HEADERS &&
                        f.no <= EPP_EXT_RESPONSE_TRAILERS) {
                        ret->kind = (enum epp_ext_kind)f.no;
                        ret->payload = f.bytes;
                } else if (f.no == 8 && f.type == 2) {
                        ret->has_metadata = true;
                        ret->metadata = f.bytes;
                } else if (f.no == 10 && f.type == 0) {
                        ret->observability = f.value != 0;
                } else if (f.no == 11 && f.type == 2) {
                        r = parse_config(f.bytes, ret);
                        if (r < 0)
                                return r;
                }
        }
        if (r < 0)
                return r;
        return ret->kind == EPP_EXT_NONE ? 0 : parse_payload(ret);
}

static struct epp_slice
from_pb(ProtobufCBinaryData d)
{
        return epp_slice(d.data, d.len);
}

static ProtobufCBinaryData
to_pb(struct epp_slice s)
{
        return (ProtobufCBinaryData){ s.n, (uint8_t *)(uintptr_t)s.p };
}

int
epp_ext_headers(struct epp_slice payload, epp_ext_header_fn fn, void *user)
{
        PB(HttpHeaders) *h = PBF(http_headers__unpack)(NULL, payload.n, (const uint8_t *)payload.p);

        if (!h)
                return EPP_EPROTO;
        for (size_t i = 0; h->headers && i < h->headers->n_headers; i++) {
                const PB(HeaderValue) *v = h->headers->headers[i];

                fn(user, from_pb(v->key), from_pb(v->raw_value.len ? v->raw_value : v->value));
        }
        PBF(http_headers__free_unpacked)(h, NULL);
        return 0;
}

/* True when length-delimited fields of <in> can nest more than <left> levels. A string that
 * happens to look like a message is counted too: that errs on the safe side. */
static bool
too_deep(struct epp_slice in, unsigned left)
{
        struct field f;
        int r;

        if (left == 0)
                return true;
        while ((r = next_field(&in, &f)) == 1)
                if (f.type == 2 && f.bytes.n > 1 && too_deep(f.bytes, left - 1))
                        return true;
        return false;
}

static int
each_string(const PB(Value) *v, epp_ext_string_fn fn, void *user)
{
        if (v && v->kind_case == ENVOY__SERVICE__EXT_PROC__V3__VALUE__KIND_STRING_VALUE) {
                fn(user, from_pb(v->string_value));
                return 1;
        }
        if (!v || v->kind_case != ENVOY__SERVICE__EXT_PROC__V3__VALUE__KIND_LIST_VALUE)
                return 0;
        for (size_t i = 0; i < v->list_value->n_values; i++)
                if (v->list_value->values[i]->kind_case ==
                        ENVOY__SERVICE__EXT_PROC__V3__VALUE__KIND_STRING_VALUE)
                        fn(user, from_pb(v->list_value->values[i]->string_value));
        return 1;
}

int
epp_ext_metadata(struct epp_slice metadata, struct epp_slice ns, struct epp_slice key,
        epp_ext_string_fn fn, void *user)
{
        PB(Metadata) *m;
        int r = 0;

        if (metadata.n == 0)
                return 0;
        /* Metadata, entry, Struct, entry, Value, ListValue, Value: a Struct level takes three. */
        if (too_deep(metadata, 3 * DEPTH_MAX))
                return EPP_EDEEP;
        m = PBF(metadata__unpack)(NULL, metadata.n, (const uint8_t *)metadata.p);
        if (!m)
                return EPP_EPROTO;
        for (size_t i = 0; i < m->n_filter_metadata; i++) {
                const PB(Struct) *s = m->filter_metadata[i]->value;

                if (!s || !epp_slice_eq(from_pb(m->filter_metadata[i]->key), ns))
                        continue;
                for (size_t k = 0; k < s->n_fields; k++)
                        if (epp_slice_eq(from_pb(s->fields[k]->key), key))
                                r = each_string(s->fields[k]->value, fn, user);
        }
        PBF(metadata__free_unpacked)(m, NULL);
        return r;
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

int
epp_ext_put(struct epp_buf *out, enum epp_ext_kind answered, const struct epp_ext_out *o)
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
                change.body = to_pb(o->body);
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

int
epp_ext_put_hint(struct epp_buf *out, const struct epp_ext_out *o)
{
        PB(ProcessingResponse) msg;
        struct hint hint;

        PBF(processing_response__init)(&msg);
        hint_build(&hint, o);
        msg.dynamic_metadata = &hint.top;
        return put_message(out, &msg);
}

int
epp_ext_put_immediate(struct epp_buf *out, int http, struct epp_slice text,
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

static size_t
put_varint(char *at, uint64_t v)
{
        size_t n = 0;

        for (; v >= 0x80; v >>= 7)
                at[n++] = (char)(v | 0x80);
        at[n++] = (char)v;
        return n;
}

static size_t
varint_len(uint64_t v)
{
        size_t n = 1;

        while (v >>= 7)
                n++;
        return n;
}

/* ProcessingResponse{3|4: BodyResponse{1: CommonResponse{3: BodyMutation{3:
 * StreamedBodyResponse{2: end, 1: body}}}}}; end goes first so that the body can be last. */
size_t
epp_ext_chunk_head(char out[EPP_EXT_CHUNK_HEAD], enum epp_ext_kind answered, size_t n,
        bool end_of_stream)
{
        static const unsigned char tags[] = { 0, 0x0a, 0x1a, 0x1a };
        size_t len[4], at = 0;

        len[3] = (end_of_stream ? 2 : 0) + 1 + varint_len(n) + n;
        for (int i = 2; i >= 0; i--)
                len[i] = 1 + varint_len(len[i + 1]) + len[i + 1];
        for (size_t i = 0; i < 4; i++) {
                out[at++] = i ? (char)tags[i] : answered == EPP_EXT_REQUEST_BODY ? 0x1a : 0x22;
                at += put_varint(out + at, len[i]);
        }
        if (end_of_stream) {
                out[at++] = 0x10;
                out[at++] = 1;
        }
        out[at++] = 0x0a;
        return at + put_varint(out + at, n);
}
