/* buf.h - a byte queue with a cap: append at the end, drain from the front.
 * Contents are one contiguous run, so a reader gets one slice.
 * Knows: base. Single owner; slices it lends are valid until the next append or drain. */
#ifndef EPP_BUF_H
#define EPP_BUF_H

#include "base/slice.h"
#include "base/status.h"

struct epp_buf {
        char *p;
        size_t head, tail; /* the bytes are p[head .. tail) */
        size_t size;       /* allocated */
        size_t cap;        /* most bytes held at once; 0 = no limit */
};

static inline size_t
epp_buf_len(const struct epp_buf *b)
{
        return b->tail - b->head;
}

static inline struct epp_slice
epp_buf_slice(const struct epp_buf *b)
{
        return epp_slice(b->p ? b->p + b->head : NULL, b->tail - b->head);
}

/* Releases the bytes; the buffer is empty and usable afterwards, its cap kept. */
void epp_buf_fini(struct epp_buf *b);
/* Room for <n> more bytes at *ret; call epp_buf_commit with what was written.
 * Returns 0, EPP_ETOOBIG (above the cap), EPP_ENOMEM; unchanged on error. */
EPP_MUSTUSE int epp_buf_reserve(struct epp_buf *b, size_t n, char **ret);
void epp_buf_commit(struct epp_buf *b, size_t n);
/* Copies <s> to the end. Returns as epp_buf_reserve. */
EPP_MUSTUSE int epp_buf_append(struct epp_buf *b, struct epp_slice s);
/* The same with every byte outside A-Z a-z 0-9 - . _ ~ percent-encoded, as in a URL's query. */
EPP_MUSTUSE int epp_buf_append_escaped(struct epp_buf *b, struct epp_slice s);
/* Drops <n> bytes (at most what is held) from the front. */
void epp_buf_drain(struct epp_buf *b, size_t n);

#endif
