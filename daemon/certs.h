/* certs.h - the certificate of one listener: made into a TLS context at start, and anew when its
 * files change. New connections get the new one, running ones keep theirs. What cannot be used is
 * told and counted, and the old one stays. Knows: tls, filewatch. */
#ifndef EPPD_CERTS_H
#define EPPD_CERTS_H

#include "base/log.h"
#include "daemon/tls.h"

struct event_base;
struct certs;

struct certs_stats {
        uint64_t reads, errors; /* of certificates, after the start */
};

struct certs_config {
        const char *flag;      /* for people: which certificate it is */
        struct tls_config tls; /* borrowed texts */
        bool watch;            /* the files, for changes; else certs_reload alone reads them */
        /* Takes <tls> into use; it is ours, and lives until the next call has returned. */
        void (*use)(void *ctx, SSL_CTX *tls);
        void *ctx;
        const struct epp_log *log;
        struct certs_stats *stats; /* may be shared */
};

/* Reads the files. Returns 0 and *ret, or -1 and one line in <err>: eppd cannot start. */
EPP_MUSTUSE int certs_new(struct event_base *base, const struct certs_config *cfg,
        struct certs **ret, char *err, size_t err_size);
/* The context in use. */
SSL_CTX *certs_tls(const struct certs *c);
/* Reads them again now (SIGHUP). Accepts NULL. */
void certs_reload(struct certs *c);
/* Accepts NULL. */
void certs_free(struct certs *c);

#endif
