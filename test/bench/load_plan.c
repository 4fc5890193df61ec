/* load_plan.c - the messages of a stream as Envoy 1.40 was seen to send them: protocol_config
 * on the first, an empty metadata_context on each (that of the headers holds the subset, if there
 * is one), the end of a full-duplex body as an empty one. */
#include <err.h>

#include "test/bench/load.h"

/* Growing bytes; the generator may die of a lack of memory. */
struct bytes {
        uint8_t *p;
        size_t n, size;
};

static void
put(struct bytes *b, const void *p, size_t n)
{
        if (b->size - b->n < n) {
                b->size = 2 * b->size + n;
                b->p = realloc(b->p, b->size);
                if (!b->p)
                        err(2, "realloc");
        }
        if (n)
                memcpy(b->p + b->n, p, n);
        b->n += n;
}

static void
put_text(struct bytes *b, const char *text)
{
        put(b, text, strlen(text));
}

static void
put_varint(struct bytes *b, uint64_t v)
{
        uint8_t byte;

        for (; v >= 0x80; v >>= 7) {
                byte = (uint8_t)(v | 0x80);
                put(b, &byte, 1);
        }
        byte = (uint8_t)v;
        put(b, &byte, 1);
}

static void
put_field(struct bytes *b, unsigned number, const void *p, size_t n)
{
        put_varint(b, number << 3 | 2);
        put_varint(b, n);
        put(b, p, n);
}

/* Wraps what is in <b> as its field <number>. */
static void
wrap(struct bytes *b, unsigned number)
{
        struct bytes outer = { 0 };

        put_field(&outer, number, b->p, b->n);
        free(b->p);
        *b = outer;
}

/* A map entry { key = 1, value = 2 } of what is in <b>. */
static void
wrap_entry(struct bytes *b, const char *key)
{
        struct bytes entry = { 0 };

        put_field(&entry, 1, key, strlen(key));
        put_field(&entry, 2, b->p, b->n);
        free(b->p);
        *b = entry;
}

/* Metadata { filter_metadata { namespace: Struct { key: Value { list_value { string_value } } } } } */
static struct bytes
subset_metadata(const char *list)
{
        struct bytes b = { 0 };

        while (*list) {
                struct bytes value = { 0 };
                size_t n = strcspn(list, ",");

                put_field(&value, 3, list, n);
                put_field(&b, 1, value.p, value.n);
                free(value.p);
                list += n + (list[n] == ',');
        }
        wrap(&b, 6);
        wrap_entry(&b, "x-gateway-destination-endpoint-subset");
        wrap(&b, 1);
        wrap_entry(&b, "envoy.lb.subset_hint");
        wrap(&b, 1);
        return b;
}

/* The rest of the message behind the oneof, and its gRPC prefix in front; frees <part>. */
static void
put_message(struct bytes *b, unsigned number, struct bytes *part, const char *config,
        const char *subset)
{
        struct bytes m = { 0 }, metadata = { 0 };
        uint8_t prefix[5] = { 0 };

        put_field(&m, number, part->p, part->n);
        if (subset)
                metadata = subset_metadata(subset);
        put_field(&m, 8, metadata.p, metadata.n);
        free(metadata.p);
        if (config)
                put_field(&m, 11, config, strlen(config));
        for (int i = 0; i < 4; i++)
                prefix[1 + i] = (uint8_t)(m.n >> (24 - 8 * i));
        put(b, prefix, sizeof(prefix));
        put(b, m.p, m.n);
        free(m.p);
        free(part->p);
        *part = (struct bytes){ 0 };
}

static void
put_headers(struct bytes *b, unsigned number, const char *const (*pairs)[2], size_t n, bool end,
        const char *config, const char *subset)
{
        struct bytes map = { 0 }, m = { 0 };

        for (size_t i = 0; i < n; i++) {
                struct bytes v = { 0 };

                put_field(&v, 1, pairs[i][0], strlen(pairs[i][0]));
                put_field(&v, 3, pairs[i][1], strlen(pairs[i][1]));
                put_field(&map, 1, v.p, v.n);
                free(v.p);
        }
        put_field(&m, 1, map.p, map.n);
        free(map.p);
        if (end)
                put(&m, "\x18\x01", 2);
        put_message(b, number, &m, config, subset);
}

static void
put_body(struct bytes *b, unsigned number, const uint8_t *p, size_t n, bool end)
{
        struct bytes m = { 0 };

        if (n)
                put_field(&m, 1, p, n);
        if (end)
                put(&m, "\x10\x01", 2);
        put_message(b, number, &m, NULL, NULL);
}

/* What was put since the last step becomes one; offsets turn into pointers at the end. */
static void
cut_step(struct plan *p, const struct bytes *b, const struct tally *want)
{
        size_t begun = p->n ? p->steps[p->n - 1].n : 0;

        if (b->n == begun)
                return;
        if (p->n == p->size) {
                p->size = 2 * p->size + 4;
                p->steps = realloc(p->steps, p->size * sizeof(*p->steps));
                if (!p->steps)
                        err(2, "realloc");
        }
        p->steps[p->n++] = (struct step){ .n = b->n, .want = *want };
}

static void
make_bodies(struct plan *p, const struct load_options *o)
{
        struct bytes body = { 0 };
        static const char tail[] = "\"}],\"stream\":true}";

        put_text(&body, "{\"model\":\"");
        put_text(&body, o->model);
        put_text(&body, "\",\"messages\":[{\"role\":\"user\",\"content\":\"");
        while (body.n + sizeof(tail) - 1 < o->body)
                put(&body, "a word or so, " + body.n % 7, 1);
        put_text(&body, tail);
        p->body_n = o->body ? body.n : 0;
        p->body = body.p;
        p->response_n = o->chunks * o->chunk_size;
        p->response = malloc(p->response_n + 1);
        if (!p->response)
                err(2, "malloc");
        for (size_t i = 0; i < p->response_n; i++)
                p->response[i] = (uint8_t)('a' + i % 23);
        /* Each chunk one event, if it can be */
        for (size_t i = 0; o->chunk_size >= 10 && i < p->response_n; i += o->chunk_size) {
                memcpy(p->response + i, "data: ", 6);
                memcpy(p->response + i + o->chunk_size - 2, "\n\n", 2);
        }
}

static void
plan_request(struct plan *p, const struct load_options *o, struct bytes *b, struct tally *want)
{
        char length[24];
        const char *const pairs[][2] = { { ":authority", "inference.example.com" },
                { ":path", "/v1/chat/completions" }, { ":method", p->body_n ? "POST" : "GET" },
                { ":scheme", "http" }, { "user-agent", "OpenAI/Python 1.99.0" },
                { "accept", "application/json" }, { "accept-encoding", "gzip, deflate" },
                { "x-forwarded-proto", "http" },
                { "x-request-id", "7b9d8e76-93d5-4b5c-8f6a-0c6c2d1b4c55" },
                { "content-type", "application/json" }, { "content-length", length } };
        static const char *const config[] = { "\x08\x04\x10\x04", "\x08\x04", "\x08\x02", "" };
        size_t at, n;

        snprintf(length, sizeof(length), "%zu", p->body_n);
        put_headers(b, 2, pairs, ARRAY_LEN(pairs) - 2 * !p->body_n, !p->body_n, config[o->mode],
                o->subset);
        want->req_heads = 1;
        if (!p->body_n || o->mode == MODE_NONE) {
                cut_step(p, b, want);
                return;
        }
        if (o->mode == MODE_BUFFERED) {
                cut_step(p, b, want);
                p->pick_step = p->hold_step = 1;
                put_body(b, 4, p->body, p->body_n, true);
                want->req_bodies = 1;
                cut_step(p, b, want);
                return;
        }
        for (at = 0; at < p->body_n; at += n) {
                n = EPP_MIN(p->body_n - at, o->request_chunk ? o->request_chunk : p->body_n);
                put_body(b, 4, p->body + at, n, false);
        }
        if (o->hold_at == HOLD_END) {
                const struct tally nothing = { 0 };

                cut_step(p, b, &nothing);
                p->pick_step = 1;
        }
        put_body(b, 4, NULL, 0, true);
        want->req_ends = 1;
        want->req_bytes = p->body_n;
        cut_step(p, b, want);
}

static void
plan_response(struct plan *p, const struct load_options *o, struct bytes *b, struct tally *want)
{
        static const char *const pairs[][2] = { { ":status", "200" },
                { "content-type", "text/event-stream" },
                { "date", "Mon, 24 Nov 2025 12:00:00 GMT" },
                { "server", "uvicorn" }, { "x-envoy-upstream-service-time", "12" } };

        const struct tally before = *want; /* chunks that have a time wait for no answer */

        put_headers(b, 3, pairs, ARRAY_LEN(pairs), false, NULL, NULL);
        want->resp_heads = 1;
        p->spaced_step = o->spacing > 0 ? p->n + 1 : SIZE_MAX;
        if (o->mode == MODE_DUPLEX) {
                for (size_t i = 0; i < o->chunks; i++) {
                        if (o->lockstep || o->spacing > 0)
                                cut_step(p, b, o->lockstep ? want : &before);
                        put_body(b, 5, p->response + i * o->chunk_size, o->chunk_size, false);
                        want->resp_bytes += o->chunk_size;
                }
                put_body(b, 5, NULL, 0, true);
                want->resp_ends = 1;
        }
        cut_step(p, b, want);
}

/* An abort ends the plan early: behind the headers, or in the middle of a message. */
static void
cut_short(struct plan *p, const struct load_options *o, size_t headers)
{
        struct step *last;

        if (o->abort == ABORT_NO)
                return;
        p->n = o->abort == ABORT_RESPONSE ? p->n : 1;
        last = &p->steps[p->n - 1];
        if (o->abort == ABORT_HEADERS)
                last->n = headers;
        else
                last->n -= (last->n - (p->n > 1 ? p->steps[p->n - 2].n : headers)) / 2;
}

void
plan_make(struct plan *p, const struct load_options *o)
{
        struct bytes b = { 0 };
        struct tally want = { 0 };
        size_t at = 0, headers;

        *p = (struct plan){ 0 };
        make_bodies(p, o);
        plan_request(p, o, &b, &want);
        headers = 5 + ((size_t)b.p[2] << 16 | (size_t)b.p[3] << 8 | b.p[4]);
        plan_response(p, o, &b, &want);
        cut_short(p, o, headers);
        p->bytes = b.p;
        for (size_t i = 0; i < p->n; i++) {
                size_t end = p->steps[i].n;

                p->steps[i].p = p->bytes + at;
                p->steps[i].n = end - at;
                at = end;
        }
}

void
plan_free(struct plan *p)
{
        free(p->steps);
        free(p->bytes);
        free((void *)(uintptr_t)p->body);
        free(p->response);
}
