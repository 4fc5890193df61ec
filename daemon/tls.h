/* tls.h - TLS contexts of our listeners, from files or from nothing. Knows: OpenSSL, libevent. */
#ifndef EPPD_TLS_H
#define EPPD_TLS_H

#include <openssl/ssl.h>

#include "base/base.h"

struct bufferevent;
struct event_base;

struct tls_config {
        const char *dir;       /* tls.crt and tls.key in it; NULL: a fresh self-signed ECDSA P-256
                                  certificate (organization "Inference Ext", ten years) */
        const char *client_ca; /* peers need a certificate of a CA in this file; NULL: none */
        const char *alpn;      /* the one protocol that is spoken: h2, http/1.1 */
};

/* A server context of what the files say now. Borrows <alpn>. Never waits: what is no
 * regular file, or wants a passphrase, is an error. Returns the context, owned by the caller
 * (SSL_CTX_free), or NULL and one line in <err>. */
SSL_CTX *tls_context_new(const struct tls_config *cfg, char *err, size_t err_size);
/* Sessions that <from> gave out can be resumed with <to>, too. */
void tls_keep_sessions(SSL_CTX *to, SSL_CTX *from);
/* When its certificate ends, as "2027-01-31T12:00:00Z". */
void tls_expires(const SSL_CTX *ctx, char ret[32]);
/* What is wrong with its time, for people; NULL: it is valid now. */
const char *tls_untimely(const SSL_CTX *ctx);

/* The server's side of <fd>; it has its own reference to <tls>, NULL: clear text. Owns <fd> and
 * returns it, or NULL: without memory, and <fd> is the caller's. */
struct bufferevent *tls_bufferevent(struct event_base *base, int fd, SSL_CTX *tls);
/* Tells the peer that nothing more comes, where <bev> speaks TLS: what ends without it was cut. */
void tls_end(struct bufferevent *bev);
/* The first byte of a connection: does a TLS record begin with it? */
static inline bool
tls_begins(unsigned char byte)
{
        return byte == 0x16;
}

#endif
