/* slice.h - pointer and length, by value. Never owns; not NUL-terminated.
 * Knows: base.h. */
#ifndef EPP_SLICE_H
#define EPP_SLICE_H

#include "base/base.h"

struct epp_slice {
        const char *p; /* may be NULL when n is 0 */
        size_t n;      /* bytes */
};

#define EPP_SLICE(lit) ((struct epp_slice){ (lit), sizeof(lit) - 1 })
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct epp_slice
epp_slice(const void *p, size_t n)
{
        return (struct epp_slice){ p, n };
}

static inline struct epp_slice
epp_slice_str(const char *s)
{
        return (struct epp_slice){ s, s ? strlen(s) : 0 };
}

static inline bool
epp_slice_eq(struct epp_slice a, struct epp_slice b)
{
        return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* < 0, 0, > 0: byte order, a prefix first. */
static inline int
epp_slice_cmp(struct epp_slice a, struct epp_slice b)
{
        size_t n = a.n < b.n ? a.n : b.n;
        int c = n ? memcmp(a.p, b.p, n) : 0;

        return c ? c : (a.n > b.n) - (a.n < b.n);
}

static inline char
epp_lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ASCII letters compare without case. */
static inline bool
epp_slice_ieq(struct epp_slice a, struct epp_slice b)
{
        if (a.n != b.n)
                return false;
        for (size_t i = 0; i < a.n; i++) {
                if (epp_lower(a.p[i]) != epp_lower(b.p[i]))
                        return false;
        }
        return true;
}

static inline bool
epp_slice_has_prefix(struct epp_slice s, struct epp_slice prefix)
{
        return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* A number in 1 to 19 decimal digits and nothing else. */
static inline bool
epp_slice_digits(struct epp_slice s, uint64_t *ret)
{
        uint64_t v = 0;

        if (s.n == 0 || s.n > 19)
                return false;
        for (size_t i = 0; i < s.n; i++) {
                if (s.p[i] < '0' || s.p[i] > '9')
                        return false;
                v = v * 10 + (uint64_t)(s.p[i] - '0');
        }
        *ret = v;
        return true;
}

/* Without leading and trailing blanks and tabs. */
static inline struct epp_slice
epp_slice_trim(struct epp_slice s)
{
        while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
                s.p++, s.n--;
        while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
                s.n--;
        return s;
}

/* Cuts the text before <sep> off *rest and returns it; the separator is dropped.
 * Without a separator everything is returned and *rest becomes empty with p NULL. */
static inline struct epp_slice
epp_slice_cut(struct epp_slice *rest, char sep)
{
        const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
        struct epp_slice head = *rest;

        if (!at) {
                *rest = (struct epp_slice){ NULL, 0 };
                return head;
        }
        head.n = (size_t)(at - head.p);
        rest->p = at + 1;
        rest->n -= head.n + 1;
        return head;
}

#endif
