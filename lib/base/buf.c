/* buf.c - see buf.h. Grows by doubling; drained space is reused before growing. */
#include "base/buf.h"

void
epp_buf_fini(struct epp_buf *b)
{
        free(b->p);
        *b = (struct epp_buf){ .cap = b->cap };
}

static int
make_room(struct epp_buf *b, size_t want)
{
        size_t size = b->size ? b->size : 256;
        char *p;

        if (b->head && b->head >= (b->tail - b->head) && b->size >= want) {
                memmove(b->p, b->p + b->head, b->tail - b->head);
                b->tail -= b->head;
                b->head = 0;
                return 0;
        }
        /* A queue that stays nearly full would be copied for every few bytes: a quarter is free. */
        while (size < want || (b->head && size - want < size / 4))
                if (epp_mul_overflows(size, 2, &size))
                        return EPP_ENOMEM;
        /* Without a gap in front the allocator can often let it grow in place. */
        p = b->head ? malloc(size) : realloc(b->p, size);
        if (!p)
                return EPP_ENOMEM;
        if (b->head) {
                memcpy(p, b->p + b->head, b->tail - b->head);
                free(b->p);
        }
        b->p = p;
        b->tail -= b->head;
        b->head = 0;
        b->size = size;
        return 0;
}

int
epp_buf_reserve(struct epp_buf *b, size_t n, char **ret)
{
        size_t want;
        int r;

        if (epp_add_overflows(epp_buf_len(b), n, &want))
                return EPP_ETOOBIG;
        if (b->cap && want > b->cap)
                return EPP_ETOOBIG;
        if (b->size - b->tail < n) {
                r = make_room(b, want);
                if (r < 0)
                        return r;
        }
        *ret = b->p + b->tail;
        return 0;
}

void
epp_buf_commit(struct epp_buf *b, size_t n)
{
        EPP_ASSERT(n <= b->size - b->tail);
        b->tail += n;
}

int
epp_buf_append(struct epp_buf *b, struct epp_slice s)
{
        char *at;
        int r;

        if (s.n == 0)
                return 0;
        r = epp_buf_reserve(b, s.n, &at);
        if (r < 0)
                return r;
        memcpy(at, s.p, s.n);
        b->tail += s.n;
        return 0;
}

static bool
is_unreserved(char c)
{
        return (c >= '0' && c <= '9') || (epp_lower(c) >= 'a' && epp_lower(c) <= 'z') ||
                (c && strchr("-._~", c));
}

int
epp_buf_append_escaped(struct epp_buf *b, struct epp_slice s)
{
        static const char hex[] = "0123456789ABCDEF";
        int r = 0;

        for (size_t i = 0; i < s.n && r == 0; i++) {
                unsigned char c = (unsigned char)s.p[i];
                char code[3] = { '%', hex[c >> 4], hex[c & 15] };

                r = epp_buf_append(
                        b, is_unreserved(s.p[i]) ? epp_slice(s.p + i, 1) : epp_slice(code, 3));
        }
        return r;
}

void
epp_buf_drain(struct epp_buf *b, size_t n)
{
        b->head += EPP_MIN(n, epp_buf_len(b));
        if (b->head == b->tail)
                b->head = b->tail = 0;
}
