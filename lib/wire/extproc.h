/* extproc.h - ext_proc messages <-> structs.
 * A message is taken apart in one pass over its top level; headers and metadata go through
 * protobuf-c, body chunks take the short road: spans only, nothing copied.
 * Knows: base, protobuf-c. Does not know: conversations (serve/stream does). */
#ifndef EPP_EXTPROC_H
#define EPP_EXTPROC_H

#include "base/buf.h"

enum epp_ext_kind { /* = field numbers of the oneof in ProcessingRequest */
        EPP_EXT_NONE = 0,
        EPP_EXT_REQUEST_HEADERS = 2,
        EPP_EXT_RESPONSE_HEADERS = 3,
        EPP_EXT_REQUEST_BODY = 4,
        EPP_EXT_RESPONSE_BODY = 5,
        EPP_EXT_REQUEST_TRAILERS = 6,
        EPP_EXT_RESPONSE_TRAILERS = 7,
};
enum epp_body_mode { /* = BodySendMode */
        EPP_MODE_NONE,
        EPP_MODE_STREAMED,
        EPP_MODE_BUFFERED,
        EPP_MODE_PARTIAL,
        EPP_MODE_DUPLEX,
};

struct epp_ext_in {
        enum epp_ext_kind kind;     /* the last of the oneof; NONE: nothing known was set */
        struct epp_slice payload;   /* its bytes */
        struct epp_slice body;      /* of a body message */
        bool end_of_stream;
        bool has_metadata;
        struct epp_slice metadata;  /* Metadata, still encoded; see epp_ext_subset */
        bool observability;
        bool has_config;            /* protocol_config was present, even if empty */
        unsigned request_mode, response_mode;
        bool early_body;            /* send_body_without_waiting_for_header_response */
};

/* Takes <msg> apart; every slice in *ret lends from it.
 * Returns 0 or EPP_EPROTO (not a protobuf message); *ret is undefined then. */
EPP_MUSTUSE int epp_ext_parse(struct epp_slice msg, struct epp_ext_in *ret);

/* Called per header, in order; raw_value wins over value. Slices are valid during the call. */
typedef void (*epp_ext_header_fn)(void *user, struct epp_slice name, struct epp_slice value);
/* Walks the headers of a *_HEADERS payload. Returns 0, EPP_EPROTO, EPP_ENOMEM. */
EPP_MUSTUSE int epp_ext_headers(struct epp_slice payload, epp_ext_header_fn fn, void *user);

/* Looks <key> up in namespace <ns> of Metadata bytes and calls <fn> for a string value, or for
 * every string of a list. Returns 1 present (even if empty), 0 absent or of another type,
 * EPP_EPROTO, EPP_EDEEP (nested more than 32 levels: nothing was unpacked), EPP_ENOMEM. */
typedef void (*epp_ext_string_fn)(void *user, struct epp_slice value);
EPP_MUSTUSE int epp_ext_metadata(struct epp_slice metadata, struct epp_slice ns,
        struct epp_slice key, epp_ext_string_fn fn, void *user);

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
        bool replace_body; /* body answers outside full duplex: by <body> */
        bool clear_body;   /* or by nothing */
        struct epp_slice body;
        struct epp_slice ns, key, endpoint; /* dynamic metadata when endpoint.n > 0 */
};
/* Each appends one encoded ProcessingResponse to <out>. Return 0, EPP_ENOMEM, EPP_ETOOBIG. */
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
