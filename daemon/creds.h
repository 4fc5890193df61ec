/* creds.h - who we are right now: token, client certificate, CA. Files are read again from time to
 * time, a credential plugin runs when what it gave has expired or was refused; what was good stays
 * when its successor is not. Knows: kubeconfig, child, exec_credential. Does not know: requests. */
#ifndef EPPD_CREDS_H
#define EPPD_CREDS_H

#include "base/log.h"
#include "daemon/kubeconfig.h"

struct event_base;
struct creds;

struct creds_config {
        const struct kubeconfig *k; /* borrowed */
        const struct epp_log *log;
        epp_us token_us, ca_us; /* how often files are read again; 0: 50 s and 5 min */
        unsigned exec_ms;       /* a plugin's time; 0: 60 s */
        /* Later than the call that found it: they are other ones now. */
        void (*changed)(void *ctx);
        /* creds_ready that said CREDS_WAIT has another answer now. */
        void (*ended)(void *ctx);
        void *ctx;
};

/* Returns 0, or -1 and one line in <err>. */
EPP_MUSTUSE int creds_new(struct event_base *base, const struct creds_config *cfg,
        struct creds **ret, char *err, size_t err_size);
/* Accepts NULL. */
void creds_free(struct creds *c);

enum creds_state {
        CREDS_OK,
        CREDS_WAIT, /* a plugin runs: `ended` tells */
        CREDS_NONE  /* it has just failed */
};
/* To be called before each request: reads again what is due. */
enum creds_state creds_ready(struct creds *c);
/* Valid until the next creds_ready or turn of the loop. */
const char *creds_header(const struct creds *c); /* "Authorization: ...", or NULL */
struct epp_slice creds_ca(const struct creds *c);
struct epp_slice creds_cert(const struct creds *c);
struct epp_slice creds_key(const struct creds *c);
/* Grows with every change. */
uint64_t creds_version(const struct creds *c);
/* A request with <version> was answered with 401: reads again at once, or runs the plugin again. */
void creds_refused(struct creds *c, uint64_t version);

#endif
