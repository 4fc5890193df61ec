/* reqhead.c - see reqhead.h. */
#include "serve/reqhead.h"

#define KEEP_MAX 1024 /* bytes of a header that are kept */

#define NAME(text, ...) { text, sizeof(text) - 1 },
#define LENGTH(text, ...) | UINT64_C(1) << (sizeof(text) - 1)
static const struct epp_slice control[] = { EPP_REQHEAD_CONTROL(NAME) };
static const struct epp_slice kept_names[EPP_KEPT_COUNT] = { EPP_REQHEAD_KEPT(NAME) };
/* The lengths of both, as bits: none has 64. */
static const uint64_t lengths = 0 EPP_REQHEAD_CONTROL(LENGTH) EPP_REQHEAD_KEPT(LENGTH);
_Static_assert(ARRAY_LEN(control) == EPP_REQHEAD_CONTROLS, "");

/* The last one wins, in the room of the one before it if that has enough: repeated headers do not
 * add up. */
static void
keep(struct epp_reqhead *h, enum epp_kept i, struct epp_slice v)
{
        size_t size = 32;
        char *at;

        h->kept[i].n = 0;
        if (v.n == 0 || v.n > KEEP_MAX || memchr(v.p, 0, v.n))
                return;
        while (size < v.n)
                size *= 2;
        if (h->kept[i].size < v.n) {
                if (epp_buf_reserve(&h->text, size, &at) < 0) {
                        h->nomem = true;
                        return;
                }
                h->kept[i].at = (uint32_t)epp_buf_len(&h->text);
                h->kept[i].size = (uint32_t)size;
                epp_buf_commit(&h->text, size);
        }
        h->kept[i].n = (uint32_t)v.n;
        memcpy(h->text.p + h->kept[i].at, v.p, v.n); /* nothing is drained from it */
}

/* What a dialect is told by: the end of the path, whatever a client appends as a query. The root
 * stays one character: an empty path would mean that none was sent. */
static struct epp_slice
path_end(struct epp_slice path)
{
        struct epp_slice root = epp_slice(path.p, EPP_MIN(path.n, (size_t)1));

        path = epp_dialect_bare(path);
        if (path.n == 0)
                return root;
        return path.n > KEEP_MAX ? epp_slice(path.p + path.n - KEEP_MAX, KEEP_MAX) : path;
}

/* Whether <name> may be one of control[] or kept_names[]: most are not, which their length or first
 * letter shows. Saves about 40 ns of a request with eleven headers. */
static bool
may_be_ours(struct epp_slice name)
{
        return name.n < 64 && lengths >> name.n & 1 &&
                (*name.p == 'x' || *name.p == 'X' || *name.p == ':');
}

void
epp_reqhead_add(struct epp_reqhead *h, struct epp_slice hint, struct epp_slice name,
        struct epp_slice value)
{
        bool ours = may_be_ours(name);
        uint64_t n;

        for (size_t i = 0; ours && i < EPP_KEPT_COUNT; i++) {
                if (epp_slice_ieq(name, kept_names[i])) {
                        if (i >= EPP_KEPT_PATH && i <= EPP_KEPT_FORWARDED_PATH)
                                value = path_end(value);
                        keep(h, (enum epp_kept)i, value);
                        h->seen |= 1u << i;
                        break; /* it may be one of control[] too */
                }
        }
        if (epp_slice_ieq(name, hint))
                h->hint = true;
        else if (epp_slice_ieq(name, EPP_SLICE("upgrade")))
                h->upgrade = true;
        else if (epp_slice_ieq(name, EPP_SLICE("content-length")))
                h->body_n = epp_slice_digits(value, &n) ? n : 0;
        else if (ours && *name.p != ':')
                for (size_t i = 0; i < ARRAY_LEN(control); i++)
                        if (epp_slice_ieq(name, control[i]))
                                h->control |= 1u << i;
}

struct epp_slice
epp_reqhead_get(const struct epp_reqhead *h, enum epp_kept i)
{
        const char *text = epp_buf_slice(&h->text).p;

        return epp_slice(text ? text + h->kept[i].at : NULL, h->kept[i].n);
}

struct epp_slice
epp_reqhead_either(const struct epp_reqhead *h, enum epp_kept name, enum epp_kept old)
{
        return epp_reqhead_get(h, h->seen & 1u << name ? name : old);
}

const struct epp_dialect *
epp_reqhead_dialect(const struct epp_reqhead *h)
{
        for (int i = EPP_KEPT_PATH; i <= EPP_KEPT_FORWARDED_PATH; i++)
                if (h->kept[i].n)
                        return epp_dialect_of(epp_reqhead_get(h, (enum epp_kept)i));
        return epp_dialect_unknown();
}

size_t
epp_reqhead_control(const struct epp_reqhead *h, struct epp_slice *out)
{
        size_t n = 0;

        for (size_t i = 0; h->control && i < ARRAY_LEN(control); i++)
                if (h->control & 1u << i)
                        out[n++] = control[i];
        return n;
}

void
epp_reqhead_fini(struct epp_reqhead *h)
{
        epp_buf_fini(&h->text);
}
