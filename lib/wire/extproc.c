/* extproc.c - see extproc.h. */
#include "wire/extproc.h"

#include "proto/ext_proc.pb-c.h"

#define DEPTH_MAX 32

/* protoc-c's names are long; these are the ones used here. */
#define PB(name) Envoy__Service__ExtProc__V3__##name
#define PBF(name) envoy__service__ext_proc__v3__##name

/* One field of a protobuf message, its tag as on the wire: a number and a type. */
#define VARINT(no) ((no) << 3 | 0u)
#define SPAN(no) ((no) << 3 | 2u)
struct field {
        uint32_t tag;
        uint64_t value;         /* of a VARINT */
        struct epp_slice bytes; /* of a SPAN */
};

static inline bool
varint(struct epp_slice *in, uint64_t *ret)
{
        uint64_t v = 0;

        if (EPP_LIKELY(in->n && (unsigned char)*in->p < 0x80)) { /* nearly always */
                *ret = (unsigned char)*in->p;
                in->p++, in->n--;
                return true;
        }
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

/* The next field, of a kind that is rare; <in> is not empty. */
static int
any_field(struct epp_slice *in, struct field *f)
{
        uint64_t tag, n;

        if (!varint(in, &tag) || tag >> 32 || tag < 8)
                return EPP_EPROTO;
        *f = (struct field){ .tag = (uint32_t)tag };
        switch (tag & 7) {
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

/* The next field: 1 and *f, 0 at the end, EPP_EPROTO. Nearly all are spans whose tag has one byte
 * and whose length has one or two. What is rare works on copies, so that <in> and <f> of
 * a caller can stay in registers: in memory twelve headers took 325 ns, not 63. */
static inline int
next_field(struct epp_slice *in, struct field *f)
{
        const unsigned char *p = (const unsigned char *)in->p;
        struct epp_slice rest = *in;
        size_t n, head = 2;
        struct field rare;
        int r;

        if (EPP_LIKELY(in->n >= 3 && (p[0] & 0x87) == 2 && p[0] >= 8)) {
                n = p[1];
                if (n >= 0x80)
                        n = (n & 0x7f) | (size_t)p[2] << 7, head = 3;
                if (EPP_LIKELY((head == 2 || p[2] < 0x80) && n <= in->n - head)) {
                        f->tag = p[0], f->value = 0;
                        f->bytes = epp_slice(p + head, n);
                        in->p += head + n, in->n -= head + n;
                        return 1;
                }
        }
        if (in->n == 0)
                return 0;
        r = any_field(&rest, &rare);
        *in = rest;
        if (r == 1)
                *f = rare;
        return r;
}

static int
parse_config(struct epp_slice in, struct epp_ext_in *ret)
{
        struct field f;
        int r;

        ret->has_config = true;
        while ((r = next_field(&in, &f)) == 1) {
                if (f.tag == VARINT(1))
                        ret->request_mode = (unsigned)f.value;
                else if (f.tag == VARINT(2))
                        ret->response_mode = (unsigned)f.value;
                else if (f.tag == VARINT(3))
                        ret->early_body = f.value != 0;
        }
        if (ret->request_mode > EPP_MODE_DUPLEX || ret->response_mode > EPP_MODE_DUPLEX)
                ret->has_config = false; /* a mode of the future: as if absent */
        return r;
}

/* Body: 1 bytes, 2 and 3 end of stream. Headers: 3 end of stream. */
static int
parse_payload(struct epp_slice in, struct epp_ext_in *ret)
{
        bool body = ret->kind == EPP_EXT_REQUEST_BODY || ret->kind == EPP_EXT_RESPONSE_BODY;
        struct field f;
        int r;

        while ((r = next_field(&in, &f)) == 1) {
                if (body && f.tag == SPAN(1))
                        ret->body = f.bytes;
                else if (f.tag == VARINT(3) || (body && f.tag == VARINT(2)))
                        ret->end_of_stream |= f.value != 0;
        }
        return r;
}

int
epp_ext_parse(struct epp_slice msg, struct epp_ext_in *ret)
{
        struct epp_slice payload = { NULL, 0 };
        struct field f;
        int r;

        *ret = (struct epp_ext_in){ 0 };
        while ((r = next_field(&msg, &f)) == 1) {
                switch (f.tag) {
                case SPAN(EPP_EXT_REQUEST_HEADERS):
                case SPAN(EPP_EXT_RESPONSE_HEADERS):
                case SPAN(EPP_EXT_REQUEST_BODY):
                case SPAN(EPP_EXT_RESPONSE_BODY):
                case SPAN(EPP_EXT_REQUEST_TRAILERS):
                case SPAN(EPP_EXT_RESPONSE_TRAILERS):
                        ret->kind = (enum epp_ext_kind)(f.tag >> 3);
                        payload = f.bytes;
                        break;
                case SPAN(8):
                        ret->has_metadata = true;
                        ret->metadata = f.bytes;
                        break;
                case VARINT(10):
                        ret->observability = f.value != 0;
                        break;
                case SPAN(11):
                        r = parse_config(f.bytes, ret);
                        if (r < 0)
                                return r;
                        break;
                }
        }
        ret->payload = payload;
        if (r < 0 || ret->kind == EPP_EXT_NONE)
                return r;
        return parse_payload(payload, ret);
}

/* A tag and a length, as they stand before bytes. */
static bool
head_of(struct epp_slice *in, unsigned no, uint64_t *n)
{
        uint64_t tag;

        return varint(in, &tag) && tag == (no << 3 | 2) && varint(in, n);
}

bool
epp_ext_long_body(struct epp_slice first, size_t size, struct epp_slice *ret_body,
        struct epp_grpc_pass *ret)
{
        struct epp_slice in = first, payload;
        uint64_t all, body, rest;

        if (!head_of(&in, EPP_EXT_REQUEST_BODY, &all) || all > size - (first.n - in.n))
                return false;
        payload = in;
        if (!head_of(&in, 1, &body) || all < payload.n - in.n || body < in.n ||
                body > all - (payload.n - in.n))
                return false;
        rest = all - (payload.n - in.n) - body;
        if (rest >= 0x80)
                return false; /* it is 0 or 2: whether the stream ends here */
        *ret_body = in;
        *ret = (struct epp_grpc_pass){ .head = { EPP_EXT_REQUEST_BODY << 3 | 2, (char)rest },
                .head_n = 2, .n = (size_t)body - in.n };
        return true;
}

static struct epp_slice
from_pb(ProtobufCBinaryData d)
{
        return epp_slice(d.data, d.len);
}

/* HeaderValue{1: key, 2: value, 3: raw_value}. */
static int
one_header(struct epp_slice in, epp_ext_header_fn fn, void *user)
{
        struct epp_slice name = { NULL, 0 }, value = { NULL, 0 }, raw = { NULL, 0 };
        struct field f;
        int r;

        while ((r = next_field(&in, &f)) == 1)
                if (f.tag == SPAN(1))
                        name = f.bytes;
                else if (f.tag == SPAN(2))
                        value = f.bytes;
                else if (f.tag == SPAN(3))
                        raw = f.bytes;
        if (r == 0)
                fn(user, name, raw.n ? raw : value);
        return r;
}

/* HttpHeaders{1: HeaderMap{1: HeaderValue}}. */
int
epp_ext_headers(struct epp_slice payload, epp_ext_header_fn fn, void *user)
{
        struct field map, header;
        int r, q = 0;

        while ((r = next_field(&payload, &map)) == 1) {
                if (map.tag != SPAN(1))
                        continue;
                while (q == 0 && (q = next_field(&map.bytes, &header)) == 1)
                        q = header.tag == SPAN(1) ? one_header(header.bytes, fn, user) : 0;
                if (q < 0)
                        return q;
        }
        return r;
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
                if ((f.tag & 7) == 2 && f.bytes.n > 1 && too_deep(f.bytes, left - 1))
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
