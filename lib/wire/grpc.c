/* grpc.c - see grpc.h. */
#include "wire/grpc.h"

#define TRUSTED (1u << 20) /* bytes of a message that its prefix alone makes room for */

const char *
epp_grpc_code_name(size_t code)
{
        static const char *const names[EPP_GRPC_CODES] = { "OK", "Canceled", "Unknown",
                "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
                "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted",
                "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
                "Unauthenticated" };

        return names[code];
}

void
epp_grpc_in_init(struct epp_grpc_in *g, size_t max_message)
{
        *g = (struct epp_grpc_in){ .max = max_message };
}

void
epp_grpc_in_fini(struct epp_grpc_in *g)
{
        epp_buf_fini(&g->part);
}

bool
epp_grpc_in_midway(const struct epp_grpc_in *g)
{
        return g->have != 0;
}

static int
read_prefix(struct epp_grpc_in *g, struct epp_slice *in)
{
        const unsigned char *p = (const unsigned char *)in->p;

        if (EPP_LIKELY(g->have == 0 && in->n >= EPP_GRPC_PREFIX)) {
                g->have = EPP_GRPC_PREFIX;
                in->p += EPP_GRPC_PREFIX, in->n -= EPP_GRPC_PREFIX;
        } else {
                while (g->have < EPP_GRPC_PREFIX && in->n) {
                        g->prefix[g->have++] = (unsigned char)*in->p;
                        in->p++, in->n--;
                }
                if (g->have < EPP_GRPC_PREFIX)
                        return 0;
                p = g->prefix;
        }
        g->flag = p[0];
        g->want = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (g->flag)
                return EPP_EUNIMPL;
        return g->want > g->max ? EPP_ETOOBIG : 1;
}

/* Appends bytes of <in> until <goal> are there: 1, or 0 when the input has no more. */
static int
gather(struct epp_grpc_in *g, struct epp_slice *in, size_t goal)
{
        size_t held = epp_buf_len(&g->part), take = EPP_MIN(in->n, goal - held);
        size_t trusted = EPP_MIN(goal, TRUSTED);
        char *at;
        int r = 0;

        if (g->part.size < trusted)
                r = epp_buf_reserve(&g->part, trusted - held, &at);
        if (r == 0)
                r = epp_buf_append(&g->part, epp_slice(in->p, take));
        if (r < 0)
                return r;
        in->p += take, in->n -= take;
        return epp_buf_len(&g->part) == goal;
}

static int
pass(struct epp_grpc_in *g, struct epp_slice *in, struct epp_slice *ret)
{
        *ret = epp_slice(in->p, EPP_MIN(in->n, g->passing));
        g->passing -= ret->n;
        in->p += ret->n, in->n -= ret->n;
        return ret->n ? EPP_GRPC_PASSES : EPP_GRPC_MORE;
}

int
epp_grpc_in_next(struct epp_grpc_in *g, struct epp_slice *in, struct epp_slice *ret_msg)
{
        bool announce;
        int r;

        if (g->have < EPP_GRPC_PREFIX) {
                epp_buf_fini(&g->part); /* the last message was lent from here */
                g->announced = false;
                r = read_prefix(g, in);
                if (r <= 0)
                        return r;
        }
        if (g->passing)
                return pass(g, in, ret_msg);
        if (epp_buf_len(&g->part) == 0 && in->n >= g->want) {
                *ret_msg = epp_slice(in->p, g->want);
                in->p += g->want, in->n -= g->want;
                g->have = 0;
                return EPP_GRPC_MESSAGE;
        }
        announce = g->announces && !g->announced && g->want > EPP_GRPC_LONG;
        r = gather(g, in, announce ? EPP_GRPC_SHOWN : g->want);
        if (r <= 0)
                return r;
        *ret_msg = epp_buf_slice(&g->part);
        g->announced = announce;
        if (announce)
                return EPP_GRPC_BEGINS;
        g->have = 0;
        return EPP_GRPC_MESSAGE;
}

void
epp_grpc_in_pass(struct epp_grpc_in *g, const struct epp_grpc_pass *p)
{
        EPP_ASSERT(epp_buf_len(&g->part) == EPP_GRPC_SHOWN && p->n <= g->want - EPP_GRPC_SHOWN);
        g->want = g->want - EPP_GRPC_SHOWN - p->n + p->head_n;
        g->passing = p->n;
        g->part.tail = g->part.head + p->head_n; /* no longer than what was there */
        memcpy(g->part.p + g->part.head, p->head, p->head_n);
}

void
epp_grpc_prefix(char out[EPP_GRPC_PREFIX], size_t n)
{
        EPP_ASSERT(n <= UINT32_MAX);
        out[0] = 0;
        out[1] = (char)(n >> 24);
        out[2] = (char)(n >> 16);
        out[3] = (char)(n >> 8);
        out[4] = (char)n;
}

size_t
epp_grpc_quote(struct epp_slice text, char *out, size_t size)
{
        static const char hex[] = "0123456789ABCDEF";
        size_t at = 0;

        for (size_t i = 0; i < text.n; i++) {
                unsigned char c = (unsigned char)text.p[i];

                if (c >= 0x20 && c <= 0x7e && c != '%') {
                        if (at + 1 > size)
                                break;
                        out[at++] = (char)c;
                } else {
                        if (at + 3 > size)
                                break;
                        out[at++] = '%';
                        out[at++] = hex[c >> 4];
                        out[at++] = hex[c & 15];
                }
        }
        return at;
}
