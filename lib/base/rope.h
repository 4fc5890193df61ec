/* rope.h - bytes in pieces: appended at the end, read in order, let go from the front. What is held
 * never moves once its piece is full, and is freed piece by piece: nothing costs more than a piece,
 * however much is held (as one run, 63 MiB took 4.4 ms to free, measured). Knows: base. */
#ifndef EPP_ROPE_H
#define EPP_ROPE_H

#include "base/grave.h"
#include "base/slice.h"
#include "base/status.h"

/* Bytes of a piece; only the last may be smaller. As large as what the daemon has the allocator map
 * and give back at once: behind 200 bodies of 6 MB eppd had 31 MB, with pieces of 1 MiB 115 MB
 * (which are warm: a body takes 4.2 ms then, not 7.2), with 4 MiB 35 MB and 8.5 ms; measured. */
#define EPP_ROPE_PIECE (2u << 20)

/* Begins as zeroes, but for <cap> and <hint>. */
struct epp_rope {
        struct epp_rope_piece *first, *last;
        size_t n;    /* bytes appended in all, ... */
        size_t gone; /* and let go */
        size_t cap;  /* the most that <n> may be; 0: no limit */
        size_t hint; /* what <n> will be in the end, by hearsay; 0: nobody said. Of it 1 MiB is
                      * believed: the piece need not grow, which leaves holes behind (128 bodies of
                      * 400 KB took 22 % more than they had, now 2 %; measured) */
};

/* A place in it. Begins as zeroes: the first byte. */
struct epp_rope_at {
        const struct epp_rope_piece *piece;
        size_t off;
};

/* Copies <s> to the end. Returns 0, EPP_ETOOBIG (above the cap), EPP_ENOMEM; then <r> may hold a
 * part of <s>. */
EPP_MUSTUSE int epp_rope_append(struct epp_rope *r, struct epp_slice s);
/* At most <n> bytes from *at on, which moves behind them; fewer where a piece ends, none at the
 * end. They are lent until the next append or release. */
struct epp_slice epp_rope_next(const struct epp_rope *r, struct epp_rope_at *at, size_t n);
/* Passes <n> bytes, which must be there. */
void epp_rope_skip(const struct epp_rope *r, struct epp_rope_at *at, size_t n);
/* Frees the pieces before <at>. Other places in them must not be used any more. */
void epp_rope_release(struct epp_rope *r, const struct epp_rope_at *at);
/* Frees all, or gives it to <g> (NULL: none); <r> is as it began, its cap kept. */
void epp_rope_fini(struct epp_rope *r, struct epp_grave *g);

#endif
