/* extproc.h - ext_proc messages -> structs; extanswer.h is the way back.
 * A message is taken apart in one pass over its top level and its headers: spans only, nothing
 * copied. Metadata go through protobuf-c.
 * Knows: base, protobuf-c. Does not know: conversations (serve/stream does). */
#ifndef EPP_EXTPROC_H
#define EPP_EXTPROC_H

#include "wire/grpc.h"

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

/* True when a message of <size> bytes that begins with <first> is a request body as gateways write
 * it, the bytes of the body before all else. They can be taken as they come, then: *ret_body has
 * those in <first>, *ret says where the others are; the message that remains is the same with an
 * empty body. */
bool epp_ext_long_body(struct epp_slice first, size_t size, struct epp_slice *ret_body,
        struct epp_grpc_pass *ret);

/* Called per header, in order; raw_value wins over value. Slices are valid during the call. */
typedef void (*epp_ext_header_fn)(void *user, struct epp_slice name, struct epp_slice value);
/* Walks the headers of a *_HEADERS payload. Returns 0, or EPP_EPROTO: some may have been
 * called for. */
EPP_MUSTUSE int epp_ext_headers(struct epp_slice payload, epp_ext_header_fn fn, void *user);

/* Looks <key> up in namespace <ns> of Metadata bytes and calls <fn> for a string value, or for
 * every string of a list. Returns 1 present (even if empty), 0 absent or of another type,
 * EPP_EPROTO, EPP_EDEEP (nested more than 32 levels: nothing was unpacked), EPP_ENOMEM. */
typedef void (*epp_ext_string_fn)(void *user, struct epp_slice value);
EPP_MUSTUSE int epp_ext_metadata(struct epp_slice metadata, struct epp_slice ns,
        struct epp_slice key, epp_ext_string_fn fn, void *user);

#endif
