/* extanswer.h - structs -> ext_proc answers. Sizes are summed first, then the bytes are written
 * once: with protobuf-c a small request spent a tenth of its time here (measured). test_extanswer
 * compares each shape with what protobuf-c writes. Knows: extproc. */
#ifndef EPP_EXTANSWER_H
#define EPP_EXTANSWER_H

#include "wire/extproc.h"

struct epp_ext_pair {
        struct epp_slice name, value;
};
/* What a headers or a buffered body answer carries. Zero = the empty answer. */
struct epp_ext_out {
        const struct epp_ext_pair *set;
        size_t n_set;
        const struct epp_slice *remove;
        size_t n_remove;
        bool clear_route_cache;
        bool replace_body; /* body answers outside full duplex: by <body_n> bytes, ... */
        bool clear_body;   /* or by nothing */
        size_t body_n;
        struct epp_slice ns, key, endpoint; /* dynamic metadata when endpoint.n > 0 */
};
/* Each appends one encoded ProcessingResponse to <out>. Return 0, EPP_ENOMEM, EPP_ETOOBIG.
 * With replace_body it ends where the body begins: the caller sends it behind, without a copy. */
EPP_MUSTUSE int epp_ext_put(struct epp_buf *out, enum epp_ext_kind answered,
        const struct epp_ext_out *o);
/* Only the dynamic metadata of <o>: to be sent behind another answer, in the same message. */
EPP_MUSTUSE int epp_ext_put_hint(struct epp_buf *out, const struct epp_ext_out *o);
EPP_MUSTUSE int epp_ext_put_immediate(struct epp_buf *out, int http, struct epp_slice text,
        const struct epp_ext_pair *set, size_t n_set);
/* The head of a full-duplex body answer for <n> body bytes: the message is these bytes, then the
 * body itself, which the caller sends behind it without copying it here. Returns its length. */
#define EPP_EXT_CHUNK_HEAD 64
size_t epp_ext_chunk_head(char out[EPP_EXT_CHUNK_HEAD], enum epp_ext_kind answered, size_t n,
        bool end_of_stream);

#endif
