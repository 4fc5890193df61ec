/* grpc.h - the five-byte message framing of gRPC.
 * Knows: base. Does not know: HTTP/2, what a message means. */
#ifndef EPP_GRPC_H
#define EPP_GRPC_H

#include "base/buf.h"

#define EPP_GRPC_PREFIX 5
#define EPP_GRPC_CODES 17

/* OK, Canceled and so on, as Go spells them; <code> is below EPP_GRPC_CODES. */
const char *epp_grpc_code_name(size_t code);

/* Cuts a byte stream into messages. A message that lies whole inside one input is
 * lent from it; only one that is split is gathered. */
struct epp_grpc_in {
        unsigned char prefix[EPP_GRPC_PREFIX];
        unsigned have;       /* bytes of the prefix held */
        size_t max;          /* largest message, bytes */
        size_t want;         /* length of the message being gathered */
        struct epp_buf part; /* its bytes so far */
        unsigned flag;       /* first byte of the last prefix, for the error text */
};

void epp_grpc_in_init(struct epp_grpc_in *g, size_t max_message);
void epp_grpc_in_fini(struct epp_grpc_in *g);
/* Takes what it needs of *in (advanced) and returns
 *   1  a message in *ret_msg, valid until the next call; call again with the rest
 *   0  *in is used up, more is needed
 *   EPP_EUNIMPL  compressed or unknown flag byte (in g->flag)
 *   EPP_ETOOBIG  longer than the limit (g->want); known from the prefix, nothing allocated
 *   EPP_ENOMEM
 * After an error the stream is out of step and must be closed. */
EPP_MUSTUSE int epp_grpc_in_next(struct epp_grpc_in *g, struct epp_slice *in,
        struct epp_slice *ret_msg);
/* True when bytes of an unfinished message are held. */
bool epp_grpc_in_midway(const struct epp_grpc_in *g);

/* Writes the prefix of a plain message of <n> bytes (n < 2^32) to <out>. */
void epp_grpc_prefix(char out[EPP_GRPC_PREFIX], size_t n);
/* Percent-encodes <text> for grpc-message: all outside 0x20..0x7E, and '%'.
 * Returns the length written, cut to <size> at a whole escape. */
size_t epp_grpc_quote(struct epp_slice text, char *out, size_t size);

#endif
