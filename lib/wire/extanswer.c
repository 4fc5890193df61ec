/* extanswer.c - see extanswer.h. The shapes, with field numbers:
 *   ProcessingResponse{1..6: answer, 7: immediate, 8: dynamic metadata}
 *   answer{1: CommonResponse{2: HeaderMutation{1: set.., 2: remove..}, 3: BodyMutation{1: body,
 *          2: clear, 3: streamed{1: body, 2: end}}, 5: clear_route_cache}}
 *   set{1: HeaderValue{1: key, 3: raw_value}, 3: append_action} */
#include "wire/extanswer.h"

#define OVERWRITE_OR_ADD "\x18\x02" /* append_action 2, and no `append` beside it */

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

/* Bytes of a field with <n> bytes in it. */
static size_t
field_len(size_t n)
{
        return 1 + varint_len(n) + n;
}

/* The same of text: none is no field. */
static size_t
text_len(struct epp_slice s)
{
        return s.n ? field_len(s.n) : 0;
}

static char *
put_head(char *at, unsigned no, size_t n)
{
        *at++ = (char)(no << 3 | 2);
        return at + put_varint(at, n);
}

static char *
put_bytes(char *at, struct epp_slice s)
{
        if (s.n)
                memcpy(at, s.p, s.n);
        return at + s.n;
}

static char *
put_text(char *at, unsigned no, struct epp_slice s)
{
        return s.n ? put_bytes(put_head(at, no, s.n), s) : at;
}

/* ---- header mutation ---- */

static size_t
pair_len(const struct epp_ext_pair *p)
{
        return text_len(p->name) + text_len(p->value);
}

static size_t
mutation_len(const struct epp_ext_pair *set, size_t n_set, const struct epp_slice *remove,
        size_t n_remove)
{
        size_t n = 0;

        for (size_t i = 0; i < n_set; i++)
                n += field_len(field_len(pair_len(&set[i])) + 2);
        for (size_t i = 0; i < n_remove; i++)
                n += field_len(remove[i].n);
        return n;
}

static char *
put_mutation(char *at, const struct epp_ext_pair *set, size_t n_set, const struct epp_slice *remove,
        size_t n_remove)
{
        for (size_t i = 0; i < n_set; i++) {
                size_t n = pair_len(&set[i]);

                at = put_head(at, 1, field_len(n) + 2);
                at = put_head(at, 1, n);
                at = put_text(at, 1, set[i].name);
                at = put_text(at, 3, set[i].value);
                at = put_bytes(at, EPP_SLICE(OVERWRITE_OR_ADD));
        }
        for (size_t i = 0; i < n_remove; i++)
                at = put_bytes(put_head(at, 2, remove[i].n), remove[i]);
        return at;
}

/* ---- dynamic metadata: Struct{1: entry{1: ns, 2: Value{5: Struct{1: entry{1: key, 2: Value{3:
 * endpoint}}}}}}; an empty ns puts the key on top ---- */

struct hint {
        size_t value, entry, inner, outer; /* lengths; outer: of the entry around, 0 without */
};

static struct hint
hint_lens(const struct epp_ext_out *o)
{
        struct hint h = { .value = field_len(o->endpoint.n) };

        h.entry = text_len(o->key) + field_len(h.value);
        h.inner = field_len(h.entry);
        if (o->ns.n)
                h.outer = text_len(o->ns) + field_len(field_len(h.inner));
        return h;
}

static size_t
hint_len(const struct epp_ext_out *o)
{
        struct hint h = hint_lens(o);

        return h.outer ? field_len(h.outer) : h.inner;
}

static char *
put_hint(char *at, const struct epp_ext_out *o)
{
        struct hint h = hint_lens(o);

        at = put_head(at, 8, hint_len(o));
        if (h.outer) {
                at = put_head(at, 1, h.outer);
                at = put_text(at, 1, o->ns);
                at = put_head(at, 2, field_len(h.inner));
                at = put_head(at, 5, h.inner);
        }
        at = put_head(at, 1, h.entry);
        at = put_text(at, 1, o->key);
        at = put_head(at, 2, h.value);
        return put_bytes(put_head(at, 3, o->endpoint.n), o->endpoint);
}

int
epp_ext_put_hint(struct epp_buf *out, const struct epp_ext_out *o)
{
        size_t n = field_len(hint_len(o));
        char *at;
        int r = epp_buf_reserve(out, n, &at);

        if (r < 0)
                return r;
        put_hint(at, o);
        epp_buf_commit(out, n);
        return 0;
}

/* ---- answers ---- */

static size_t
body_len(const struct epp_ext_out *o)
{
        return o->replace_body ? field_len(o->body_n) : o->clear_body ? 2 : 0;
}

static size_t
common_len(const struct epp_ext_out *o)
{
        size_t n = o->clear_route_cache ? 2 : 0;

        if (o->n_set || o->n_remove)
                n += field_len(mutation_len(o->set, o->n_set, o->remove, o->n_remove));
        if (o->replace_body || o->clear_body)
                n += field_len(body_len(o));
        return n;
}

static char *
put_common(char *at, const struct epp_ext_out *o)
{
        if (o->n_set || o->n_remove) {
                at = put_head(at, 2, mutation_len(o->set, o->n_set, o->remove, o->n_remove));
                at = put_mutation(at, o->set, o->n_set, o->remove, o->n_remove);
        }
        if (o->clear_route_cache)
                at = put_bytes(at, EPP_SLICE("\x28\x01"));
        if (o->replace_body || o->clear_body)
                at = put_head(at, 3, body_len(o));
        if (o->replace_body)
                return put_head(at, 1, o->body_n);
        return o->clear_body ? put_bytes(at, EPP_SLICE("\x10\x01")) : at;
}

int
epp_ext_put(struct epp_buf *out, enum epp_ext_kind answered, const struct epp_ext_out *o)
{
        bool trailers = answered == EPP_EXT_REQUEST_TRAILERS ||
                answered == EPP_EXT_RESPONSE_TRAILERS;
        size_t common = common_len(o), answer = trailers ? 0 : field_len(common);
        size_t n = field_len(answer) + (o->endpoint.n ? field_len(hint_len(o)) : 0);
        char *at;
        int r;

        if (answered == EPP_EXT_NONE)
                return 0;
        if (o->replace_body && !trailers)
                n -= o->body_n;
        r = epp_buf_reserve(out, n, &at);
        if (r < 0)
                return r;
        if (o->endpoint.n)
                at = put_hint(at, o);
        /* The answer's field is the request's: 2, 3, 4, 5, 6, 7 become 1, 2, 3, 4, 5, 6. */
        at = put_head(at, (unsigned)answered - 1, answer);
        if (!trailers)
                put_common(put_head(at, 1, common), o);
        epp_buf_commit(out, n);
        return 0;
}

/* ImmediateResponse{1: HttpStatus{1: code}, 2: HeaderMutation, 3: body}. */
int
epp_ext_put_immediate(struct epp_buf *out, int http, struct epp_slice text,
        const struct epp_ext_pair *set, size_t n_set)
{
        size_t mutation = mutation_len(set, n_set, NULL, 0);
        size_t status = 1 + varint_len((uint64_t)http);
        size_t inner = field_len(status) + (n_set ? field_len(mutation) : 0) + text_len(text);
        size_t n = field_len(inner);
        char *at;
        int r = epp_buf_reserve(out, n, &at);

        if (r < 0)
                return r;
        at = put_head(put_head(at, 7, inner), 1, status);
        *at++ = 1 << 3;
        at += put_varint(at, (uint64_t)http);
        if (n_set)
                at = put_mutation(put_head(at, 2, mutation), set, n_set, NULL, 0);
        put_text(at, 3, text);
        epp_buf_commit(out, n);
        return 0;
}

/* ProcessingResponse{3|4: BodyResponse{1: CommonResponse{3: BodyMutation{3:
 * StreamedBodyResponse{2: end, 1: body}}}}}; end goes first so that the body can be last. */
size_t
epp_ext_chunk_head(char out[EPP_EXT_CHUNK_HEAD], enum epp_ext_kind answered, size_t n,
        bool end_of_stream)
{
        size_t streamed = (end_of_stream ? 2 : 0) + field_len(n), mutation = field_len(streamed);
        size_t common = field_len(mutation), answer = field_len(common);
        char *at = put_head(out, (unsigned)answered - 1, answer);

        at = put_head(at, 1, common);
        at = put_head(at, 3, mutation);
        at = put_head(at, 3, streamed);
        if (end_of_stream)
                at = put_bytes(at, EPP_SLICE("\x10\x01"));
        return (size_t)(put_head(at, 1, n) - out);
}
