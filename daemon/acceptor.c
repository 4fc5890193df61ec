/* acceptor.c - see acceptor.h. */
#include "daemon/acceptor.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <unistd.h>

#include "daemon/conn_addr.h"
#include "daemon/loop.h"
#include "daemon/systemd.h"

#define REST_US 100000
#define SAY_US 60000000 /* a shortage is said no more often */

struct acceptor {
        struct acceptor_config cfg;
        struct event_base *base;
        struct evconnlistener *ev;
        struct event *again;
        epp_us said;
        bool stopped;
};

static void
on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int len, void *user)
{
        struct acceptor *a = user;

        (void)ev, (void)len;
        a->cfg.fn(a->cfg.ctx, fd, sa);
}

static void
on_again(evutil_socket_t fd, short what, void *user)
{
        struct acceptor *a = user;

        (void)fd, (void)what;
        if (!a->stopped)
                evconnlistener_enable(a->ev);
}

/* accept(2) failed, and would at once again. */
static void
on_error(struct evconnlistener *ev, void *user)
{
        struct timeval rest = { 0, REST_US };
        struct acceptor *a = user;
        epp_us now = loop_now(a->base);
        int why = errno;

        evconnlistener_disable(ev);
        evtimer_add(a->again, &rest);
        if (a->said && now - a->said < SAY_US)
                return;
        a->said = now;
        epp_log(a->cfg.log, EPP_LOG_ERROR, "accept", LOG_N("port", acceptor_port(a)),
                LOG_T("why", why == EMFILE ? "too many open files: raise the limit, see ulimit -n"
                                           : strerror(why)));
}

/* A socket that was passed to us, or one of our own. Returns 0, or an errno. */
static int
open_door(struct acceptor *a)
{
        const struct acceptor_config *cfg = &a->cfg;
        int flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC;
        int fd = cfg->port ? systemd_take(cfg->port) : -1, len;
        struct sockaddr_storage sa;

        if (fd >= 0) {
                a->ev = evconnlistener_new(a->base, on_accept, a, flags, 0, fd);
                if (!a->ev)
                        close(fd);
                return a->ev ? 0 : ENOMEM;
        }
        len = conn_addr(cfg->address, cfg->port, &sa);
        if (len == 0)
                return EINVAL;
        a->ev = evconnlistener_new_bind(a->base, on_accept, a, flags, cfg->backlog,
                (struct sockaddr *)&sa, len);
        return a->ev ? 0 : errno;
}

int
acceptor_new(struct event_base *base, const struct acceptor_config *cfg, struct acceptor **ret)
{
        struct acceptor *a = calloc(1, sizeof(*a));
        int e = ENOMEM;

        if (!a)
                return -ENOMEM;
        *a = (struct acceptor){ .cfg = *cfg, .base = base };
        a->again = evtimer_new(base, on_again, a);
        if (a->again)
                e = open_door(a);
        if (e) {
                acceptor_free(a);
                return -e;
        }
        evconnlistener_set_error_cb(a->ev, on_error);
        *ret = a;
        return 0;
}

unsigned
acceptor_port(const struct acceptor *a)
{
        struct sockaddr_storage sa;
        socklen_t n = sizeof(sa);

        if (getsockname(evconnlistener_get_fd(a->ev), (struct sockaddr *)&sa, &n) < 0)
                return 0;
        return conn_port(&sa);
}

void
acceptor_stop(struct acceptor *a)
{
        a->stopped = true;
        evconnlistener_disable(a->ev);
}

void
acceptor_free(struct acceptor *a)
{
        if (!a)
                return;
        if (a->ev)
                evconnlistener_free(a->ev);
        if (a->again)
                event_free(a->again);
        free(a);
}
