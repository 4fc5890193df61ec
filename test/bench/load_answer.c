/* load_answer.c - reads a ProcessingResponse by walking its fields; a histogram. */
#include "test/bench/load.h"

struct field {
        unsigned number, type;
        uint64_t v;
        const uint8_t *p;
        size_t n;
};

static bool
read_varint(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
        *v = 0;
        for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
                uint8_t byte = *(*p)++;

                *v |= (uint64_t)(byte & 0x7f) << shift;
                if (!(byte & 0x80))
                        return true;
        }
        return false;
}

/* Returns 1, 0 at the end, -1 when broken. eppd writes varints and bytes only. */
static int
next_field(const uint8_t **p, const uint8_t *end, struct field *f)
{
        uint64_t tag;

        if (*p == end)
                return 0;
        if (!read_varint(p, end, &tag))
                return -1;
        f->number = (unsigned)(tag >> 3);
        f->type = tag & 7;
        if (!read_varint(p, end, &f->v))
                return -1;
        if (f->type == 0)
                return 1;
        if (f->type != 2 || f->v > (uint64_t)(end - *p))
                return -1;
        f->p = *p;
        f->n = (size_t)f->v;
        *p += f->n;
        return 1;
}

/* The last field <number> of bytes in [p, p+n), or NULL. */
static const uint8_t *
inner(const uint8_t *p, size_t n, unsigned number, size_t *ret_n)
{
        const uint8_t *end = p ? p + n : p, *found = NULL;
        struct field f;

        while (p && next_field(&p, end, &f) == 1)
                if (f.number == number && f.type == 2) {
                        found = f.p;
                        *ret_n = f.n;
                }
        return found;
}

/* set_headers { header { key = 1, value = 2 or raw_value = 3 } }: the value of <name>. */
static void
read_destination(const uint8_t *p, size_t n, const char *name, struct answer *a)
{
        const uint8_t *end = p + n;
        struct field f;

        while (next_field(&p, end, &f) == 1) {
                size_t hn = 0, kn = 0, vn = 0;
                const uint8_t *header = f.number == 1 && f.type == 2 ? inner(f.p, f.n, 1, &hn) : NULL;
                const uint8_t *key = inner(header, hn, 1, &kn), *value;

                if (!key || kn != strlen(name) || memcmp(key, name, kn) != 0)
                        continue;
                value = inner(header, hn, 3, &vn);
                if (!value)
                        value = inner(header, hn, 2, &vn);
                a->destination = value ? value : key;
                a->destination_n = vn;
        }
}

static void
read_common(const uint8_t *p, size_t n, struct answer *a)
{
        static const char name[] = "x-gateway-destination-endpoint";
        size_t m = 0;
        const uint8_t *common = inner(p, n, 1, &m), *part;
        struct field f;

        if (!common)
                return;
        n = m;
        part = inner(common, n, 2, &m);
        if (part)
                read_destination(part, m, name, a);
        part = inner(common, n, 3, &m);
        part = part ? inner(part, m, 3, &m) : NULL;
        if (!part)
                return;
        a->streamed = true;
        for (const uint8_t *end = part + m; next_field(&part, end, &f) == 1;)
                if (f.number == 1 && f.type == 2)
                        a->body = f.p, a->body_n = f.n;
                else if (f.number == 2)
                        a->end = f.v;
}

static void
read_immediate(const uint8_t *p, size_t n, struct answer *a)
{
        size_t m = 0;
        const uint8_t *status = inner(p, n, 1, &m);
        struct field f;

        for (const uint8_t *end = status + m; status && next_field(&status, end, &f) == 1;)
                if (f.number == 1)
                        a->http = (unsigned)f.v;
}

bool
answer_read(const uint8_t *msg, size_t n, struct answer *a)
{
        const uint8_t *end = msg + n;
        struct field f;
        int r;

        *a = (struct answer){ 0 };
        while ((r = next_field(&msg, end, &f)) == 1) {
                if (f.type != 2 || f.number < 1 || f.number > 7)
                        continue;
                a->kind = f.number;
                if (f.number <= 4)
                        read_common(f.p, f.n, a);
                else if (f.number == 7)
                        read_immediate(f.p, f.n, a);
        }
        return r == 0;
}

static unsigned
cell_of(uint64_t us)
{
        unsigned shift = us < 64 ? 0 : (unsigned)(63 - __builtin_clzll(us)) - 5;

        return EPP_MIN(shift * 32 + (unsigned)(us >> shift), 32u * 64 - 1);
}

void
hist_add(struct hist *h, uint64_t us)
{
        h->cell[cell_of(us)]++;
        h->n++;
        h->max = EPP_MAX(h->max, us);
}

uint64_t
hist_at(const struct hist *h, double share)
{
        uint64_t seen = 0, rank = (uint64_t)((double)h->n * share);

        for (unsigned i = 0; i < ARRAY_LEN(h->cell); i++) {
                unsigned shift = i < 64 ? 0 : i / 32 - 1;

                seen += h->cell[i];
                if (seen > rank)
                        return EPP_MIN((uint64_t)(i - shift * 32) << shift, h->max);
        }
        return h->max;
}
