/* httphead.h - the head of an HTTP/1 request and its query, for a port that serves GET and HEAD of
 * pages. Strict: what another reader could take for a second request is refused with the status
 * it deserves. Knows: base. */
#ifndef EPP_HTTPHEAD_H
#define EPP_HTTPHEAD_H

#include "base/slice.h"
#include "base/status.h"

#define EPP_HTTPHEAD_MAX 8192    /* bytes of a head, its empty line included */
#define EPP_HTTPHEAD_LINE 4096   /* bytes of its first line */
#define EPP_HTTPHEAD_ACCEPT 1024 /* bytes of several Accept headers, joined */

/* Slices point into what was read, or into <joined>: the struct must not be copied. */
struct epp_httphead {
        struct epp_slice path;          /* as it came: begins with '/', nothing is decoded */
        struct epp_slice query;         /* behind '?', as it came */
        struct epp_slice accept;        /* Accept headers joined by commas, as far as they fit */
        struct epp_slice authorization; /* p NULL: there was none */
        struct epp_slice host;          /* p NULL: there was none, which is fine */
        bool head;                      /* HEAD, else GET */
        bool http10;                    /* HTTP/1.0: knows no chunks */
        int code;                       /* of a refusal: the answer's status and text */
        const char *why;
        char joined[EPP_HTTPHEAD_ACCEPT];
};

/* Reads the head at the begin of <in>. May be called again with more bytes: from the start.
 * Returns its length; 0: its end is not there yet, and it may become a head; EPP_EPROTO: it never
 * will, or it asks for what is not served; code and why say what to answer. */
EPP_MUSTUSE int epp_httphead_parse(struct epp_slice in, struct epp_httphead *h);

/* The value of the first parameter <name> of <query> into <out> with a NUL, cut at <size> (> 0);
 * %XX and + are decoded. A % without two hexadecimal digits, and %00, stand for themselves.
 * Returns false, and "", when it is not there. */
bool epp_httphead_param(struct epp_slice query, const char *name, char *out, size_t size);

#endif
