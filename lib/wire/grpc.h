/* grpc.h - the five-byte message framing of gRPC.
 * Knows: base. Does not know: HTTP/2, what a message means. */
#ifndef EPP_GRPC_H
#define EPP_GRPC_H

#include "base/buf.h"

#define EPP_GRPC_PREFIX 5
#define EPP_GRPC_LONG (64u << 10) /* bytes above which one that comes in pieces is announced */
#define EPP_GRPC_SHOWN 16         /* with so many of its first bytes */
#define EPP_GRPC_CODES 17

/* OK, Canceled and so on, as Go spells them; <code> is below EPP_GRPC_CODES. */
const char *epp_grpc_code_name(size_t code);

/* Cuts a byte stream into messages. A message that lies whole inside one input is
 * lent from it; only one that is split is gathered, or, when it is long, what the reader of its
 * first bytes wants of it. */
struct epp_grpc_in {
        unsigned char prefix[EPP_GRPC_PREFIX];
        unsigned have;       /* bytes of the prefix held */
        size_t max;          /* largest message, bytes */
        size_t want;         /* length of the message being gathered */
        struct epp_buf part; /* its bytes so far */
        size_t passing;      /* bytes that come next and are not gathered */
        bool announces;      /* set by the owner after init: BEGINS and PASSES may come */
        bool announced;
        unsigned flag;       /* first byte of the last prefix, for the error text */
};

enum epp_grpc_event {
        EPP_GRPC_MORE,    /* the input is used up */
        EPP_GRPC_MESSAGE, /* a message */
        EPP_GRPC_BEGINS,  /* a long message of g->want bytes, with the first EPP_GRPC_SHOWN */
        EPP_GRPC_PASSES,  /* bytes of the run that epp_grpc_in_pass asked for */
};

/* How a long message is taken apart: the bytes that were shown and the <n> behind them are not
 * gathered; in the message that is given in the end <head> stands for them. */
struct epp_grpc_pass {
        char head[EPP_GRPC_SHOWN];
        size_t head_n;
        size_t n;
};

void epp_grpc_in_init(struct epp_grpc_in *g, size_t max_message);
void epp_grpc_in_fini(struct epp_grpc_in *g);
/* Takes what it needs of *in (advanced) and returns an epp_grpc_event, with its bytes in *ret_msg,
 * valid until the next call; call again with the rest after each but EPP_GRPC_MORE. Or
 *   EPP_EUNIMPL  compressed or unknown flag byte (in g->flag)
 *   EPP_ETOOBIG  longer than the limit (g->want); known from the prefix, nothing allocated
 *   EPP_ENOMEM
 * After an error the stream is out of step and must be closed. */
EPP_MUSTUSE int epp_grpc_in_next(struct epp_grpc_in *g, struct epp_slice *in,
        struct epp_slice *ret_msg);
/* After EPP_GRPC_BEGINS only: the message is to be taken apart. p->n is at most what follows the
 * bytes that were shown. */
void epp_grpc_in_pass(struct epp_grpc_in *g, const struct epp_grpc_pass *p);
/* True when bytes of an unfinished message are held. */
bool epp_grpc_in_midway(const struct epp_grpc_in *g);

/* Writes the prefix of a plain message of <n> bytes (n < 2^32) to <out>. */
void epp_grpc_prefix(char out[EPP_GRPC_PREFIX], size_t n);
/* Percent-encodes <text> for grpc-message: all outside 0x20..0x7E, and '%'.
 * Returns the length written, cut to <size> at a whole escape. */
size_t epp_grpc_quote(struct epp_slice text, char *out, size_t size);

#endif
