/* tls.h - certificates and TLS contexts of listeners. Knows: OpenSSL, libevent. */
#ifndef EPPD_TLS_H
#define EPPD_TLS_H

#include <openssl/ssl.h>

#include "base/base.h"

struct bufferevent;
struct event_base;

/* Borrowed for the call, but <alpn>, which is a constant. */
struct tls_config {
        const char *dir;       /* has tls.crt and tls.key; NULL: a fresh self-signed certificate */
        const char *client_ca; /* a file: clients need a certificate of it; NULL: they need none */
        const char *alpn;      /* the one protocol that is spoken: h2, http/1.1 */
};

/* A server context, TLS 1.2 or later. Self-signed: ECDSA P-256, organization "Inference Ext", ten
 * years. Returns the context, owned by the caller (SSL_CTX_free), or NULL and one line in <err>. */
SSL_CTX *tls_context_new(const struct tls_config *cfg, char *err, size_t err_size);

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
